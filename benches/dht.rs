//! What a look-up in the directory costs among 50, 200 and 500 nodes, and when three of ten are gone.
//! `cargo bench --bench dht`
//!
//! All nodes are in this process, with the ultrapeer's own store and check of records; the links are
//! memory, with Noise and yamux, and 25 ms late. Time is virtual: it stands still while anything is
//! computed, so the milliseconds are those of the links alone.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "../tests/relay/author.rs"]
mod author;
#[path = "dht/link.rs"]
mod link;

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use author::{Author, unix};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{
    self, GetRecordOk, InboundRequest, QueryId, QueryResult, QueryStats, Quorum, Record, RecordKey,
};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use twocan::directory::{Name, check};
use twocan::net::swarm::{KAD_PRIVATE, kad_client, swarm_config};
use twocan::relay::{Group, SharedShelf, Shelf, Source, Table, server};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tokio::time::pause();
    println!(
        "nodes | put: requests, ms, kB | read: requests, ms, kB | 30 % gone: found, requests, ms, kB"
    );
    for (round, count) in [50, 200, 500].into_iter().enumerate() {
        measure(count, 1 + 10_000 * round as u64).await;
    }
}

async fn measure(count: usize, first: u64) {
    let mut rng = ChaCha20Rng::seed_from_u64(count as u64);
    let mut nodes = found(count, first);
    let homes: Vec<(PeerId, Multiaddr)> = nodes.iter().map(Node::home).collect();
    let authors: Vec<Author> = (0..RECORDS).map(|_| Author::new()).collect();

    let mut puts = Figures::default();
    for authors in authors.chunks(10) {
        let mut writer = Client::new(&homes);
        for author in authors {
            writer.put(author, &mut puts).await;
        }
    }
    let mut reads = Figures::default();
    read_all(&homes, &authors, &mut reads).await;

    for _ in 0..count * 3 / 10 {
        let at = rng.next_u64() as usize % nodes.len();
        nodes.swap_remove(at);
    }
    // Who is aborted is dropped when the runtime gets round to it.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let mut rest = Figures::default();
    read_all(&homes, &authors, &mut rest).await;
    println!(
        "{count:5} | {puts} | {reads} | {}/{RECORDS}, {rest}",
        rest.requests.len()
    );
    assert_eq!(rest.requests.len(), RECORDS, "some were not found");
    assert!(median(&mut rest.requests) <= 5, "too many requests");
}

/// Each read is by a reader that knows the nodes and is connected to none, or few.
async fn read_all(homes: &[(PeerId, Multiaddr)], authors: &[Author], figures: &mut Figures) {
    for authors in authors.chunks(5) {
        let mut reader = Client::new(homes);
        for author in authors {
            reader.read(author, figures).await;
        }
    }
}

/// A node that runs until it is dropped.
struct Node {
    id: PeerId,
    address: Multiaddr,
    task: JoinHandle<()>,
}

impl Node {
    fn home(&self) -> (PeerId, Multiaddr) {
        (self.id, self.address.clone())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A node answers and never asks: what libp2p asks by itself when a table changes would be more than
/// all that is measured here.
#[derive(NetworkBehaviour)]
struct Server {
    kad: kad::Behaviour<Table>,
    silence: connection_limits::Behaviour,
}

/// Nodes that know of each other as much as their tables hold.
fn found(count: usize, first: u64) -> Vec<Node> {
    let keys: Vec<Keypair> = (0..count).map(|_| Keypair::generate_ed25519()).collect();
    let homes: Vec<(PeerId, Multiaddr)> = keys
        .iter()
        .zip(first..)
        .map(|(key, port)| (key.public().to_peer_id(), Protocol::Memory(port).into()))
        .collect();
    let node = |(key, (id, address)): (&Keypair, &(PeerId, Multiaddr))| {
        let shelf = SharedShelf::new(Shelf::new(20_000));
        let mut kad = server(KAD_PRIVATE, *id, &shelf);
        fill(&mut kad, &homes);
        let silence = ConnectionLimits::default().with_max_pending_outgoing(Some(0));
        let server = Server {
            kad,
            silence: connection_limits::Behaviour::new(silence),
        };
        let mut swarm = Swarm::new(link::transport(key), server, *id, swarm_config());
        swarm.listen_on(address.clone()).expect("memory is free");
        let task = tokio::spawn(async move {
            loop {
                serve(&shelf, swarm.select_next_some().await);
            }
        });
        Node {
            id: *id,
            address: address.clone(),
            task,
        }
    };
    keys.iter().zip(&homes).map(node).collect()
}

fn fill<S: RecordStore + Send + 'static>(
    kad: &mut kad::Behaviour<S>,
    homes: &[(PeerId, Multiaddr)],
) {
    for (id, address) in homes {
        kad.add_address(id, address.clone());
    }
}

/// Keeps what is right, as an ultrapeer does.
fn serve(shelf: &SharedShelf, event: SwarmEvent<ServerEvent>) {
    if let SwarmEvent::Behaviour(ServerEvent::Kad(kad::Event::InboundRequest {
        request:
            InboundRequest::PutRecord {
                source,
                record: Some(record),
                ..
            },
    })) = event
    {
        let name = Name::from_key(record.key.as_ref()).expect("a name");
        let stamp = check(&name, &record.value, unix()).expect("a good record");
        let source = Source {
            group: Group::of(Ipv4Addr::LOCALHOST.into()),
            node: source,
        };
        let kept = shelf.lock().put(name, record.value, stamp, source);
        kept.expect("there is room");
    }
}

/// Asks, and is never asked.
struct Client(Swarm<kad::Behaviour<kad::store::MemoryStore>>);

impl Client {
    fn new(homes: &[(PeerId, Multiaddr)]) -> Client {
        let key = Keypair::generate_ed25519();
        let id = key.public().to_peer_id();
        let mut kad = kad_client(KAD_PRIVATE, id);
        fill(&mut kad, homes);
        Client(Swarm::new(link::transport(&key), kad, id, swarm_config()))
    }

    async fn put(&mut self, author: &Author, figures: &mut Figures) {
        let start = Start::now();
        let id = self.0.behaviour_mut().get_closest_peers(author.key());
        let (result, found) = self.last(id).await;
        let QueryResult::GetClosestPeers(Ok(closest)) = result else {
            panic!("{result:?}");
        };
        let nodes: Vec<PeerId> = closest.peers.iter().map(|peer| peer.peer_id).collect();
        assert_eq!(nodes.len(), 20);
        let record = Record::new(author.key(), author.record(1, 1, unix() + 1800));
        let kad = self.0.behaviour_mut();
        let id = kad.put_record_to(record, nodes.into_iter(), Quorum::All);
        let (result, stored) = self.last(id).await;
        assert!(
            matches!(result, QueryResult::PutRecord(Ok(_))),
            "{result:?}"
        );
        start.end(found.num_requests() + stored.num_requests(), figures);
    }

    /// Until the first good copy.
    async fn read(&mut self, author: &Author, figures: &mut Figures) {
        let start = Start::now();
        let key = RecordKey::new(&author.key());
        let id = self.0.behaviour_mut().get_record(key);
        let name = Name(author.name);
        loop {
            let (result, stats, last) = self.next(id).await;
            if let QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) = result
                && check(&name, &found.record.value, unix()).is_ok()
            {
                start.end(stats.num_requests(), figures);
                break;
            }
            if last {
                return;
            }
        }
        if let Some(mut query) = self.0.behaviour_mut().query_mut(&id) {
            query.finish();
            self.last(id).await;
        }
    }

    async fn last(&mut self, id: QueryId) -> (QueryResult, QueryStats) {
        loop {
            if let (result, stats, true) = self.next(id).await {
                return (result, stats);
            }
        }
    }

    async fn next(&mut self, wanted: QueryId) -> (QueryResult, QueryStats, bool) {
        loop {
            if let SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
                id,
                result,
                stats,
                step,
            }) = self.0.select_next_some().await
                && id == wanted
            {
                return (result, stats, step.last);
            }
        }
    }
}

/// When something began.
struct Start(Instant, u64);

impl Start {
    fn now() -> Start {
        Start(Instant::now(), link::BYTES.load(Ordering::Relaxed))
    }

    fn end(self, requests: u32, figures: &mut Figures) {
        figures.requests.push(u64::from(requests));
        figures.ms.push(self.0.elapsed().as_millis() as u64);
        figures.bytes += link::BYTES.load(Ordering::Relaxed) - self.1;
    }
}

/// What many of one kind cost.
#[derive(Clone, Default)]
struct Figures {
    requests: Vec<u64>,
    ms: Vec<u64>,
    bytes: u64,
}

impl std::fmt::Display for Figures {
    /// Medians and 95th of a hundred, and the mean of the bytes in both directions.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (mut requests, mut ms) = (self.requests.clone(), self.ms.clone());
        let mean = self.bytes as f64 / 1000.0 / requests.len().max(1) as f64;
        write!(
            f,
            "{}/{}, {}/{}, {mean:.1}",
            median(&mut requests),
            at(&mut requests, 95),
            median(&mut ms),
            at(&mut ms, 95),
        )
    }
}

fn median(all: &mut [u64]) -> u64 {
    at(all, 50)
}

fn at(all: &mut [u64], percent: usize) -> u64 {
    all.sort_unstable();
    let last = all.len().saturating_sub(1);
    all.get(last * percent / 100).copied().unwrap_or(u64::MAX)
}

const RECORDS: usize = 100;
