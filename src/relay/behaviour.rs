//! What an ultrapeer does in libp2p, and the limits of it.

use std::num::NonZeroU32;
use std::time::Duration;

use libp2p::core::Transport;
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    PeerId, StreamProtocol, Swarm, autonat, connection_limits, identify, kad, noise, ping, relay,
};

use super::Limits;
use super::fence::{Fence, Fenced};
use super::guests::Guests;
use super::table::{SharedShelf, Table};
use crate::net::{streams, swarm};

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    limits: connection_limits::Behaviour,
    pub guests: Guests,
    pub identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub own: kad::Behaviour<Table>,
    pub public: Toggle<kad::Behaviour<Table>>,
    relay: relay::Behaviour,
    autonat: autonat::v2::server::Behaviour,
    pub streams: streams::Behaviour,
}

/// Builds the swarm. Needs a running tokio runtime.
///
/// # Errors
/// When the key is none that Noise takes.
pub fn build(
    key: &Keypair,
    public: bool,
    fence: Fence,
    shelf: &SharedShelf,
    limits: &Limits,
) -> Result<Swarm<Behaviour>, noise::Error> {
    let me = key.public().to_peer_id();
    let transport = Fenced {
        inner: swarm::transport(key, None)?,
        fence,
    };
    let table = |protocol| server(protocol, me, shelf);
    let behaviour = Behaviour {
        limits: swarm::limits(limits.connections, 4),
        guests: Guests::new(limits.connections_per_address),
        identify: identify::Behaviour::new(swarm::identify(key.public())),
        ping: swarm::ping(swarm::ULTRAPEER_PING),
        own: table(swarm::KAD_PRIVATE),
        public: public.then(|| table(swarm::KAD_PUBLIC)).into(),
        relay: relay::Behaviour::new(me, circuits(limits)),
        autonat: autonat::v2::server::Behaviour::default(),
        streams: streams::Behaviour::new(vec![swarm::DIRECTORY, swarm::PEERS, swarm::REFLECT]),
    };
    let config = swarm::swarm_config();
    Ok(Swarm::new(transport.boxed(), behaviour, me, config))
}

/// A node of the DHT that keeps what is on the shelf.
pub fn server(protocol: StreamProtocol, me: PeerId, shelf: &SharedShelf) -> kad::Behaviour<Table> {
    let table = Table::new(shelf.clone(), me);
    let mut config = swarm::kad_config(protocol);
    // The end of a record stands in it, and the shelf goes by that.
    config.set_record_ttl(None);
    let mut kad = kad::Behaviour::with_config(me, table, config);
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

/// A circuit has to last for a call of two phones that have no UDP between them: two voices of 72
/// kbit/s are 65 MB an hour. libp2p counts both directions together.
fn circuits(limits: &Limits) -> relay::Config {
    let relay = relay::Config {
        max_reservations: limits.reservations,
        max_reservations_per_peer: 4,
        reservation_duration: Duration::from_secs(3600),
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits.circuits,
        max_circuits_per_peer: 8,
        max_circuit_duration: Duration::from_secs(4 * 3600),
        max_circuit_bytes: 256 << 20,
        circuit_src_rate_limiters: Vec::new(),
    };
    let few = NonZeroU32::new(60).expect("60 is not 0");
    let many = NonZeroU32::new(limits.circuits_per_address_and_minute).unwrap_or(NonZeroU32::MIN);
    let minute = Duration::from_secs(60);
    relay
        .reservation_rate_per_peer(few, minute)
        .reservation_rate_per_ip(many, minute)
        .circuit_src_per_peer(few, minute)
        .circuit_src_per_ip(many, minute)
}
