//! What a phone and an ultrapeer have in common in libp2p: transport, protocol names, limits.
//!
//! Each setting here is set on purpose; where it is not libp2p's default, the reason stands beside
//! it. What a node does with its connections is not here.

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::identity::{Keypair, PublicKey};
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::multiaddr::Protocol;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Transport, dns, identify, kad, noise, ping, swarm, tcp,
};
use libp2p::{relay, yamux};
use sha2::{Digest, Sha256};

/// The DHT of ultrapeers that belong to nobody else.
pub const KAD_PRIVATE: StreamProtocol = StreamProtocol::new("/twocan/kad/1.0.0");

/// The DHT that everybody shares.
pub const KAD_PUBLIC: StreamProtocol = StreamProtocol::new("/ipfs/kad/1.0.0");

/// A phone's control stream to an ultrapeer: the directory.
pub const DIRECTORY: StreamProtocol = StreamProtocol::new("/twocan/dir/1");

/// Datagrams between two phones, over a circuit.
pub const CALL: StreamProtocol = StreamProtocol::new("/twocan/call/1");

/// Which other ultrapeers an ultrapeer knows.
pub const PEERS: StreamProtocol = StreamProtocol::new("/twocan/peers/1");

/// Rooms at the reflector of an ultrapeer.
pub const REFLECT: StreamProtocol = StreamProtocol::new("/twocan/reflect/1");

/// Where the public network is entered (libp2p's own bootstrap nodes).
pub const PUBLIC_ENTRIES: [&str; 5] = [
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
    "/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
];

/// What a relay says in identify when it takes reservations.
pub const RELAY_HOP: StreamProtocol = StreamProtocol::new("/libp2p/circuit/relay/0.2.0/hop");

/// How long a connection may take to be established, with encryption and multiplexer. A dead node
/// of a DHT costs each look-up that long.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A relay that is switched off says so, or its system does; only one that vanishes has to be found
/// out. Pings, with those of the multiplexer that each of them wakes, are most of what an idle phone
/// sends, and NATs keep a TCP connection for longer.
pub const PHONE_PING: Duration = Duration::from_secs(240);

/// The same for phones that vanish: contacts see them for that long.
pub const ULTRAPEER_PING: Duration = Duration::from_secs(240);

/// The IP in a node's address; none if it names a host instead.
pub fn ip(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(IpAddr::from(ip).to_canonical()),
        _ => None,
    })
}

/// TCP, names of the DNS, Noise and yamux; and, for phones, circuits through relays.
///
/// Needs a running tokio runtime.
pub fn transport(
    key: &Keypair,
    circuits: Option<relay::client::Transport>,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let tcp = || tcp::tokio::Transport::new(tcp::Config::new().nodelay(true));
    let direct = match dns::tokio::Transport::system(tcp()) {
        Ok(transport) => transport.boxed(),
        Err(error) => {
            tracing::warn!("names cannot be resolved here: {error}");
            tcp().boxed()
        }
    };
    let direct = direct
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(yamux())
        .timeout(DIAL_TIMEOUT)
        .boxed();
    let Some(circuits) = circuits else {
        return Ok(direct);
    };
    // A circuit dials the relay first, so it needs the time of two.
    let circuits = circuits
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(yamux())
        .timeout(2 * DIAL_TIMEOUT)
        .boxed();
    Ok(circuits
        .or_transport(direct)
        .map(|either, _| either.into_inner())
        .boxed())
}

/// Few streams wait for their protocol, and a connection without any use is closed.
pub fn swarm_config() -> swarm::Config {
    swarm::Config::with_tokio_executor()
        // We offer one protocol a stream, so what we have to say need not wait for the other side to
        // agree to it: a round trip less for each stream, and a call through a relay opens three.
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
        .with_max_negotiating_inbound_streams(16)
        .with_notify_handler_buffer_size(NonZeroUsize::new(8).expect("8 is not 0"))
        .with_per_connection_event_buffer_size(8)
        .with_dial_concurrency_factor(NonZeroU8::new(3).expect("3 is not 0"))
        .with_idle_connection_timeout(Duration::from_secs(30))
}

/// Says the same of every twocan, and no listening address.
pub fn identify(key: PublicKey) -> identify::Config {
    identify::Config::new("/twocan/1".to_owned(), key)
        .with_agent_version("twocan".to_owned())
        .with_hide_listen_addrs(true)
        .with_push_listen_addr_updates(false)
        // It is asked once; asking every five minutes would be most of an idle phone's traffic.
        .with_interval(Duration::from_secs(24 * 3600))
        .with_cache_size(0)
}

/// The DHT as both ends use it. Which mode a node is in has to be set by hand: left alone, a phone
/// with a reservation at a relay would become a server.
pub fn kad_config(protocol: StreamProtocol) -> kad::Config {
    // Among ultrapeers the first answer nearly always is the one: more at once would only cost more.
    // In the public network many do not answer.
    let parallel = if protocol == KAD_PRIVATE { 3 } else { 6 };
    let mut config = kad::Config::new(protocol);
    config
        // An answer of twenty nodes with forty addresses each does not fit into the default 16 KiB.
        .set_max_packet_size(1 << 20)
        .set_query_timeout(Duration::from_secs(30))
        .set_substreams_timeout(DIAL_TIMEOUT)
        .set_parallelism(NonZeroUsize::new(parallel).expect("it is not 0"))
        .set_periodic_bootstrap_interval(None)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        // Nothing is stored before it was validated, nor sent on by libp2p's own timers.
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_record_ttl(Some(Duration::from_secs(48 * 3600)))
        .set_caching(kad::Caching::Enabled { max_peers: 3 });
    config
}

/// The DHT of a phone: asks, and is never asked.
pub fn kad_client(protocol: StreamProtocol, id: PeerId) -> kad::Behaviour<MemoryStore> {
    let nothing = MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_providers_per_key: 1,
        max_provided_keys: 0,
    };
    let store = MemoryStore::with_config(id, nothing);
    let mut config = kad_config(protocol);
    // It would be said to whoever stores our records.
    config.set_record_ttl(None);
    let mut kad = kad::Behaviour::with_config(id, store, config);
    kad.set_mode(Some(kad::Mode::Client));
    kad
}

/// Under which ultrapeers say on the public DHT that they are there. `shard` is below [`SHARDS`].
pub fn ultrapeers_key(shard: u8) -> kad::RecordKey {
    let hash = Sha256::new()
        .chain_update(b"/twocan/ultrapeer/1/")
        .chain_update([shard])
        .finalize();
    // A multihash: SHA-256, 32 bytes.
    kad::RecordKey::from([&[0x12, 0x20], &hash[..]].concat())
}

/// So that the nodes near one key do not carry them all.
pub const SHARDS: u8 = 8;

/// At most so many connections in all, and half of them while they come up.
pub fn limits(established: u32, per_peer: u32) -> connection_limits::Behaviour {
    let pending = (established / 2).max(8);
    connection_limits::Behaviour::new(
        ConnectionLimits::default()
            .with_max_pending_incoming(Some(pending))
            .with_max_pending_outgoing(Some(pending))
            .with_max_established(Some(established))
            .with_max_established_per_peer(Some(per_peer)),
    )
}

/// Keeps mappings in routers alive and finds out who is gone.
pub fn ping(every: Duration) -> ping::Behaviour {
    ping::Behaviour::new(
        ping::Config::new()
            .with_interval(every)
            .with_timeout(Duration::from_secs(15)),
    )
}

fn yamux() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MAX_STREAMS);
    config
}

/// Streams of one connection. Each may hold 256 KiB that nobody has read yet.
const MAX_STREAMS: usize = 64;
