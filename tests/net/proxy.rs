//! The smallest ultrapeer: one table of records, told to whoever watches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libp2p::futures::AsyncReadExt;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Stream};
use tokio::sync::mpsc;
use twocan::directory::{self, Content, Name, Pen, Spot};
use twocan::net::proxy::{FrameReader, FrameWriter, Refusal, Reply, Request};
use twocan::net::swarm;
use twocan::peer::{Identity, Reach, Secret32, Seed};

use crate::server::{Serve, Server};

#[derive(Default)]
pub struct Table {
    pub records: BTreeMap<[u8; 32], Vec<u8>>,
    watchers: Vec<(BTreeSet<[u8; 32]>, mpsc::Sender<Reply>)>,
    /// All that phones said.
    pub heard: Vec<(PeerId, Request)>,
    /// Seconds by which its clock is ahead.
    pub ahead: i64,
}

impl Table {
    /// Says something to all who watch that name.
    pub fn push(&mut self, name: [u8; 32], reply: &Reply) {
        for (names, watcher) in &self.watchers {
            if names.contains(&name) {
                let _ = watcher.try_send(reply.clone());
            }
        }
    }

    /// The last names that somebody watches together with this one.
    pub fn watched(&self, name: [u8; 32]) -> Option<&BTreeSet<[u8; 32]>> {
        let requests = self.heard.iter().rev();
        requests
            .filter_map(|(_, request)| match request {
                Request::Watch { names } => Some(names),
                _ => None,
            })
            .find(|names| names.contains(&name))
    }
}

pub type Shared = Arc<Mutex<Table>>;

pub fn start() -> (Server, Shared) {
    let table = Shared::default();
    let server = start_at(Keypair::generate_ed25519(), 0, table.clone());
    (server, table)
}

pub fn start_at(key: Keypair, port: u16, table: Shared) -> Server {
    Server::with(key, port, vec![swarm::DIRECTORY], serving(table))
}

fn serving(table: Shared) -> Serve {
    Box::new(move |peer, stream| {
        tokio::spawn(serve(peer, stream, table.clone()));
    })
}

async fn serve(peer: PeerId, stream: Stream, table: Shared) {
    let (incoming, outgoing) = stream.split();
    let mut requests = FrameReader::new(incoming);
    let mut frames = FrameWriter::new(outgoing, Duration::from_secs(5));
    let (replies, mut queue) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Some(reply) = queue.recv().await {
            if frames.send([&reply]).await.is_err() {
                return;
            }
        }
    });
    while let Ok(Some(request)) = requests.next::<Request>().await {
        let mut table = table.lock().expect("no panic");
        table.heard.push((peer, request.clone()));
        for reply in answer(&mut table, request, &replies) {
            let _ = replies.try_send(reply);
        }
    }
}

fn answer(table: &mut Table, request: Request, replies: &mpsc::Sender<Reply>) -> Vec<Reply> {
    match request {
        Request::Hello { version } => {
            let unix = unix().saturating_add_signed(table.ahead);
            vec![Reply::Hello { version, unix }]
        }
        Request::Watch { names } => {
            table
                .watchers
                .retain(|(_, other)| !other.same_channel(replies));
            table.watchers.push((names.clone(), replies.clone()));
            let known = table
                .records
                .iter()
                .filter(|(name, _)| names.contains(*name));
            known
                .map(|(name, value)| Reply::Record {
                    name: *name,
                    value: value.clone(),
                })
                .collect()
        }
        Request::Put { name, value } => {
            table.records.insert(name, value.clone());
            table.push(name, &Reply::Record { name, value });
            vec![Reply::Stored { name, copies: 3 }]
        }
        Request::Renew { name, change } => {
            let why = Refusal::NotHeld;
            let held = table.records.get(&name);
            vec![
                match held.and_then(|held| directory::renew(held, &change)) {
                    Some(value) => {
                        table.records.insert(name, value);
                        Reply::Stored { name, copies: 3 }
                    }
                    None => Reply::Refused { name, why },
                },
            ]
        }
        Request::Get { name } => vec![match table.records.get(&name) {
            Some(value) => Reply::Record {
                name,
                value: value.clone(),
            },
            None => Reply::Absent { name },
        }],
        Request::Gone { .. } => Vec::new(),
    }
}

pub fn unix() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// A record of somebody, good for half an hour by that clock.
pub fn record(of: u8, unix: u64, later_ms: u64) -> ([u8; 32], Vec<u8>) {
    let identity = Identity::from_seed(&Seed::from_bytes([of; 32]));
    let reach = Reach {
        version: 1,
        secret: Secret32::new([of; 32]),
    };
    let spot = Spot::location(identity.id(), &reach);
    let pen = Pen::new(&identity.blinder(), &spot, spot.period(unix));
    let blob = pen.seal(&Content::Slot(reach), &[of; 32]);
    let Name(name) = pen.name();
    (name, pen.sign(&blob, unix * 1000 + later_ms, unix + 1800))
}
