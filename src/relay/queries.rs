//! What an ultrapeer asks the DHTs, and what it does with the answers.

use std::collections::HashSet;
use std::time::Duration;

use libp2p::PeerId;
use libp2p::kad::{
    self, GetClosestPeersError, GetProvidersOk, GetRecordOk, PutRecordError, QueryId, QueryResult,
    Quorum, Record, RecordKey,
};

use super::desk::ClientId;
use super::lookups::{Job, Which};
use super::run::{Moment, Ultrapeer};
use crate::directory::{Name, check};
use crate::net::proxy::{Refusal, Reply};

impl Ultrapeer {
    /// Gives a record to all who are to keep it.
    pub fn send_out(&mut self, id: ClientId, name: Name, value: Vec<u8>) -> Result<(), Refusal> {
        let queries = 1 + usize::from(self.kad(Which::Public).is_some());
        let put = self.lookups.put(name, value, id, queries);
        let put = put.ok_or(Refusal::Busy)?;
        for which in [Which::Own, Which::Public] {
            let Some(kad) = self.kad(which) else {
                continue;
            };
            let all: Vec<PeerId> = nodes(kad, MANY + 1);
            if which == Which::Own && all.len() <= MANY {
                self.store(which, put, all);
            } else {
                let id = kad.get_closest_peers(name.key());
                self.lookups.start(which, id, Job::Closest { put, name });
            }
        }
        Ok(())
    }

    /// Gives an ultrapeer that has just been met what the phones here have put: what was put before
    /// that would stay here alone until it is renewed.
    pub fn share_with(&mut self, node: PeerId) {
        let kad = &mut self.swarm.behaviour_mut().own;
        if nodes(kad, MANY + 1).len() > MANY {
            return;
        }
        let shelf = self.shelf.lock();
        let records = self.clients.put_by_phones().filter_map(|name| {
            let entry = shelf.get(&name)?;
            Some(Record::new(name.key(), entry.value.clone()))
        });
        for record in records.take(SHARED) {
            // What does not arrive comes with the next renewal.
            kad.put_record_to(record, std::iter::once(node), Quorum::One);
        }
    }

    fn store(&mut self, which: Which, put: u64, nodes: Vec<PeerId>) {
        let value = self.lookups.value(put).map(<[u8]>::to_vec);
        let name = self.lookups.name(put);
        let (Some(value), Some(name), Some(kad)) = (value, name, self.kad(which)) else {
            return;
        };
        let asked = nodes.len();
        if asked == 0 {
            return self.stored(put, 0);
        }
        let record = Record::new(name.key(), value);
        let id = kad.put_record_to(record, nodes.into_iter(), Quorum::All);
        self.lookups.start(which, id, Job::Store { put, asked });
    }

    fn stored(&mut self, put: u64, copies: usize) {
        if let Some(put) = self.lookups.stored(put, copies) {
            let name = put.name.0;
            let copies = u16::try_from(put.copies).unwrap_or(u16::MAX);
            self.reply(put.client, vec![Reply::Stored { name, copies }]);
        }
    }

    /// Reads again what is watched and not there, or about to end.
    pub fn read_watched(&mut self, now: Moment) {
        let large = nodes(&mut self.swarm.behaviour_mut().own, MANY + 1).len() > MANY;
        let shelf = self.shelf.lock();
        for name in self.clients.desk.watched() {
            let ending = shelf
                .get(name)
                .is_none_or(|entry| entry.stamp.validity <= now.unix + 240);
            if (large || ending) && self.lookups.is_due(name, now.mono) {
                self.lookups.want(*name, None);
            }
        }
        drop(shelf);
        let desk = &self.clients.desk;
        self.lookups.keep(|name| desk.is_watched(name));
    }

    /// Begins to read what waits for it.
    pub fn read_more(&mut self) {
        let queries = 1 + usize::from(self.swarm.behaviour().public.is_enabled());
        while let Some(name) = self.lookups.next(queries) {
            for which in [Which::Own, Which::Public] {
                if let Some(kad) = self.kad(which) {
                    let id = kad.get_record(RecordKey::new(&name.key()));
                    self.lookups.start(which, id, Job::Read { name });
                }
            }
        }
    }

    pub fn query_event(&mut self, which: Which, id: QueryId, result: QueryResult, last: bool) {
        match result {
            QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
                let from = found.peer;
                self.answered(which, id, from, &found.record);
            }
            QueryResult::GetRecord(Ok(GetRecordOk::FinishedWithNoAdditionalRecord {
                cache_candidates,
            })) => self.repair(which, id, cache_candidates.into_values().collect()),
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) => {
                self.found_ultrapeers(providers);
            }
            QueryResult::GetClosestPeers(found) if last => {
                if let Some(Job::Closest { put, .. }) = self.lookups.end(which, id) {
                    let peers = match found {
                        Ok(found) => found.peers,
                        Err(GetClosestPeersError::Timeout { peers, .. }) => peers,
                    };
                    let nodes = peers.into_iter().map(|peer| peer.peer_id).collect();
                    return self.store(which, put, nodes);
                }
            }
            QueryResult::PutRecord(put) if last => {
                if let Some(Job::Store { put: number, asked }) = self.lookups.end(which, id) {
                    let copies = match put {
                        Ok(_) => asked,
                        Err(
                            PutRecordError::QuorumFailed { success, .. }
                            | PutRecordError::Timeout { success, .. },
                        ) => success.len(),
                    };
                    return self.stored(number, copies);
                }
            }
            _ => {}
        }
        if last && let Some(Job::Read { name }) = self.lookups.end(which, id) {
            self.finished(&name);
        }
    }

    /// A node answered a read, with whatever it likes.
    fn answered(&mut self, which: Which, id: QueryId, from: Option<PeerId>, record: &Record) {
        let now = self.now();
        let Some(Job::Read { name }) = self.lookups.job(which, id).cloned() else {
            return;
        };
        if Name::from_key(record.key.as_ref()) != Some(name) {
            return;
        }
        let Ok(stamp) = check(&name, &record.value, now.unix) else {
            return;
        };
        let Some((valid, _)) = self.lookups.answer(&name, &record.value, stamp) else {
            return;
        };
        if let Some(from) = from {
            let source = self.source(&from);
            // An older one than is held is simply not the best answer.
            let _ = self.keep(record, source, now);
        }
        if valid >= ENOUGH
            && let Some(mut query) = self.kad(which).and_then(|kad| kad.query_mut(&id))
        {
            query.finish();
        }
    }

    /// Gives the best record to nodes that should have had it.
    fn repair(&mut self, which: Which, id: QueryId, lacking: Vec<PeerId>) {
        let Some(Job::Read { name }) = self.lookups.job(which, id).cloned() else {
            return;
        };
        let best = self.lookups.read(&name).and_then(|read| read.best.clone());
        let (Some((value, _)), Some(kad)) = (best, self.kad(which)) else {
            return;
        };
        if !lacking.is_empty() {
            let record = Record::new(name.key(), value);
            let id = kad.put_record_to(record, lacking.into_iter(), Quorum::One);
            self.lookups.start(which, id, Job::Repair);
        }
    }

    fn finished(&mut self, name: &Name) {
        let now = self.now();
        let Some(read) = self.lookups.finish(name) else {
            return;
        };
        let held = self.shelf.lock().get(name).map(|entry| entry.value.clone());
        match &held {
            Some(_) => self.lookups.present(*name, now.mono, REREAD),
            None => self.lookups.absent(*name, now.mono),
        }
        for client in read.askers {
            let name = name.0;
            let reply = match held.clone() {
                Some(value) => Reply::Record { name, value },
                None => Reply::Absent { name },
            };
            self.reply(client, vec![reply]);
        }
    }

    fn found_ultrapeers(&mut self, providers: HashSet<PeerId>) {
        let me = *self.swarm.local_peer_id();
        for node in providers.into_iter().filter(|node| *node != me).take(8) {
            self.mesh.learn(node, Vec::new(), false);
            // Its addresses are known only now, while the query runs.
            let _ = self.swarm.dial(node);
        }
    }
}

/// Nodes of the routing table, at most that many.
fn nodes(kad: &mut kad::Behaviour<super::table::Table>, most: usize) -> Vec<PeerId> {
    let entries = kad.kbuckets().flat_map(|bucket| {
        let keys: Vec<PeerId> = bucket
            .iter()
            .map(|entry| *entry.node.key.preimage())
            .collect();
        keys
    });
    entries.take(most).collect()
}

/// With at most this many other ultrapeers each of them keeps every record.
const MANY: usize = 20;

/// Records that a newly met ultrapeer is given at once.
const SHARED: usize = 512;

/// Valid answers after which a read ends.
const ENOUGH: usize = 3;

/// When a name that is watched and there is read again, where not every ultrapeer keeps it.
const REREAD: Duration = Duration::from_secs(300);
