//! The parts of libp2p that a phone is made of.
//!
//! Left out on purpose: mDNS (it tells the PeerId to the whole LAN), hole punching (it answers
//! strangers with our addresses), and everything that serves others.

use std::time::Duration;

use libp2p::connection_limits::ConnectionLimits;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Swarm, connection_limits, identify, kad, noise, ping, relay};

use crate::config::Network;
use crate::net::{streams, swarm};

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    // First, so that nothing else spends work on a connection that is refused.
    limits: connection_limits::Behaviour,
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub relay: relay::client::Behaviour,
    pub streams: streams::Behaviour,
    /// The DHT of ultrapeers.
    pub kad: kad::Behaviour<MemoryStore>,
    /// The DHT of everybody.
    pub public: Toggle<kad::Behaviour<MemoryStore>>,
}

/// A swarm under a key that was never used before and is forgotten with it.
pub(super) fn swarm(network: Network) -> Result<Swarm<Behaviour>, noise::Error> {
    let key = Keypair::generate_ed25519();
    let id = key.public().to_peer_id();
    let (circuits, relay) = relay::client::new(id);
    let transport = swarm::transport(&key, Some(circuits))?;
    let public = (network == Network::Public).then(|| swarm::kad_client(swarm::KAD_PUBLIC, id));
    let behaviour = Behaviour {
        limits: limits(),
        identify: identify::Behaviour::new(swarm::identify(key.public())),
        ping: swarm::ping(swarm::PHONE_PING),
        relay,
        streams: streams::Behaviour::new(vec![swarm::CALL]),
        kad: swarm::kad_client(swarm::KAD_PRIVATE, id),
        public: public.into(),
    };
    let config = swarm::swarm_config().with_idle_connection_timeout(IDLE);
    Ok(Swarm::new(transport, behaviour, id, config))
}

/// What comes in are circuits, most of them from strangers if there are many; they must not keep
/// the phone from its own relays.
fn limits() -> connection_limits::Behaviour {
    connection_limits::Behaviour::new(
        ConnectionLimits::default()
            .with_max_pending_incoming(Some(8))
            .with_max_pending_outgoing(Some(48))
            .with_max_established_incoming(Some(32))
            .with_max_established_outgoing(Some(64))
            .with_max_established_per_peer(Some(4)),
    )
}

const IDLE: Duration = Duration::from_secs(20);
