//! The directory without an ultrapeer: the DHT asked by the phone itself.
//!
//! Dearer and slower, and the nodes asked see who asks; so only where no ultrapeer is there.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use libp2p::PeerId;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, GetProvidersOk, GetRecordOk, QueryId, QueryResult, Quorum, Record};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use tokio::time::Instant;

use super::run::Running;
use super::{NodeEvent, now};
use crate::directory::{self, Name, Stamp};
use crate::net::swarm;

/// The queries that run, and what waits for its turn.
#[derive(Debug, Default)]
pub(super) struct Dht {
    queries: HashMap<QueryId, Query>,
    /// Watched names to read in this round.
    round: VecDeque<[u8; 32]>,
    next_round: Option<Instant>,
    /// Nodes are known, so that asking makes sense.
    pub known: bool,
    entered: bool,
}

#[derive(Debug)]
enum Query {
    /// Where a record belongs.
    Place {
        name: [u8; 32],
        value: Vec<u8>,
    },
    Put {
        name: [u8; 32],
    },
    Get(Get),
    /// Of whose end nobody needs to hear.
    Aside,
}

#[derive(Debug)]
struct Get {
    name: [u8; 32],
    best: Option<(Stamp, Vec<u8>)>,
    /// Who had what, to set those right that had something older.
    answers: Vec<(PeerId, Stamp)>,
}

impl Dht {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next_round.filter(|_| self.known)
    }

    fn has_room(&self) -> bool {
        self.queries.len() < MAX_QUERIES
    }

    fn reads(&self, name: &[u8; 32]) -> bool {
        self.queries
            .values()
            .any(|query| matches!(query, Query::Get(get) if get.name == *name))
    }
}

impl Running {
    pub(super) fn dht_put(&mut self, name: [u8; 32], value: Vec<u8>) {
        // Otherwise an ultrapeer gets it as soon as there is one, or it is late.
        if self.dht.known && self.dht.has_room() {
            let query = self.kad().get_closest_peers(Name(name).key());
            self.dht.queries.insert(query, Query::Place { name, value });
        }
    }

    pub(super) fn dht_get(&mut self, name: [u8; 32]) {
        if !self.dht.known || !self.dht.has_room() || self.dht.reads(&name) {
            return;
        }
        let query = self.kad().get_record(Name(name).key().into());
        let get = Get {
            name,
            best: None,
            answers: Vec::new(),
        };
        self.dht.queries.insert(query, Query::Get(get));
    }

    /// Enters the public DHT once somebody of it is known, and looks there for ultrapeers.
    pub(super) fn enter_public(&mut self) {
        if self.dht.entered {
            return;
        }
        self.dht.entered = true;
        // It can only fail if nobody is known.
        if let Ok(query) = self.kad().bootstrap() {
            self.dht.queries.insert(query, Query::Aside);
        }
        let shard = getrandom::u32().unwrap_or(0) as u8 % swarm::SHARDS;
        let query = self.kad().get_providers(swarm::ultrapeers_key(shard));
        self.dht.queries.insert(query, Query::Aside);
    }

    /// Reads the watched names in rounds, a few at a time, while no ultrapeer does it for us.
    pub(super) fn read_rounds(&mut self, now: Instant) {
        if self.proxies.reader().is_some() || !self.dht.known {
            self.dht.next_round = None;
            self.dht.round.clear();
            return;
        }
        if self.dht.next_round.is_none_or(|next| next <= now) {
            self.dht.round = self.watched().collect();
            self.dht.next_round = Some(now + ROUND);
        }
        while self.dht.queries.len() < MAX_QUERIES / 2 {
            let Some(name) = self.dht.round.pop_front() else {
                break;
            };
            self.dht_get(name);
        }
    }

    /// A new set of names is watched: it is read soon.
    pub(super) fn restart_round(&mut self) {
        self.dht.next_round = None;
    }

    pub(super) fn kad_event(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed {
            id,
            result,
            stats,
            step,
        } = event
        else {
            return;
        };
        match &result {
            QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
                if let Some(peer) = found.peer {
                    self.found(id, peer, found.record.value.clone());
                }
            }
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) => {
                self.dial_providers(providers.iter().copied().take(MAX_PROVIDERS));
            }
            _ => {}
        }
        if !step.last {
            return;
        }
        match self.dht.queries.remove(&id) {
            Some(Query::Place { name, value }) => self.place(name, value, result_peers(result)),
            Some(Query::Put { name }) => {
                let copies = u16::try_from(stats.num_successes()).unwrap_or(u16::MAX);
                self.dht_stored(name, copies);
            }
            Some(Query::Get(get)) => self.got(get),
            Some(Query::Aside) | None => {}
        }
    }

    fn place(&mut self, name: [u8; 32], value: Vec<u8>, peers: Vec<PeerId>) {
        let query = self.put_to(name, value, peers);
        self.dht.queries.insert(query, Query::Put { name });
    }

    fn put_to(&mut self, name: [u8; 32], value: Vec<u8>, peers: Vec<PeerId>) -> QueryId {
        // No publisher: whoever stores it shall not learn more than that.
        let record = Record {
            key: Name(name).key().into(),
            value,
            publisher: None,
            expires: None,
        };
        self.kad()
            .put_record_to(record, peers.into_iter(), Quorum::One)
    }

    fn found(&mut self, id: QueryId, peer: PeerId, value: Vec<u8>) {
        let unix = self.unix();
        let Some(Query::Get(get)) = self.dht.queries.get_mut(&id) else {
            return;
        };
        let name = get.name;
        let Ok(stamp) = directory::check(&Name(name), &value, unix) else {
            tracing::debug!("{peer} has no true record");
            return;
        };
        get.answers.push((peer, stamp));
        let enough = get.answers.len() >= ENOUGH;
        let first = get.best.is_none();
        let newer = get
            .best
            .as_ref()
            .is_none_or(|(best, _)| directory::is_newer(&stamp, best));
        if newer {
            get.best = Some((stamp, value.clone()));
        }
        if enough && let Some(mut query) = self.kad().query_mut(&id) {
            query.finish();
        }
        if first || (newer && self.watched().any(|watched| watched == name)) {
            self.take_record(name, value);
        } else if newer {
            self.outbox.push(NodeEvent::Record { name, value });
        }
    }

    /// Tells those that had an older record the newest, and says so if there was none.
    fn got(&mut self, get: Get) {
        self.dht_done(get.name);
        let Some((best, value)) = get.best else {
            return;
        };
        let outdated: Vec<PeerId> = get
            .answers
            .iter()
            .filter(|(_, stamp)| directory::is_newer(&best, stamp))
            .map(|(peer, _)| *peer)
            .collect();
        if !outdated.is_empty() && self.dht.has_room() {
            let query = self.put_to(get.name, value, outdated);
            self.dht.queries.insert(query, Query::Aside);
        }
    }

    /// Their addresses are known only as long as the query runs.
    fn dial_providers(&mut self, providers: impl Iterator<Item = PeerId>) {
        for peer in providers {
            let dial = DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .build();
            if let Err(error) = self.swarm.dial(dial) {
                tracing::debug!("cannot dial the ultrapeer {peer}: {error}");
            }
        }
    }

    fn kad(&mut self) -> &mut kad::Behaviour<MemoryStore> {
        let behaviour = self.swarm.behaviour_mut();
        behaviour.public.as_mut().unwrap_or(&mut behaviour.kad)
    }

    /// Notes that a node of the DHT that is asked is known.
    pub(super) fn dht_known(&mut self) {
        if !self.dht.known {
            self.dht.known = true;
            self.dht.next_round = Some(now() + FIRST_ROUND);
        }
    }
}

fn result_peers(result: QueryResult) -> Vec<PeerId> {
    let peers = match result {
        QueryResult::GetClosestPeers(Ok(found)) => found.peers,
        QueryResult::GetClosestPeers(Err(kad::GetClosestPeersError::Timeout { peers, .. })) => {
            peers
        }
        _ => Vec::new(),
    };
    peers.into_iter().map(|peer| peer.peer_id).collect()
}

/// Queries at the same time.
const MAX_QUERIES: usize = 8;

/// Answers after which a newer one is no longer waited for.
const ENOUGH: usize = 8;

const MAX_PROVIDERS: usize = 8;

/// Between two readings of the same name.
const ROUND: Duration = Duration::from_secs(600);

/// Ultrapeers get the chance to come first.
const FIRST_ROUND: Duration = Duration::from_secs(5);
