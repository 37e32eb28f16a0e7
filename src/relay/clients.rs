//! What an ultrapeer does for those who have a directory stream to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use libp2p::kad::Record;
use libp2p::{PeerId, Stream};
use tokio::sync::mpsc;

use super::desk::{ClientId, Desk, Outbox};
use super::rate::{Group, Rates};
use super::run::{Moment, Ultrapeer};
use super::shelf::{Kept, Source, Unkept};
use super::streams;
use crate::directory::{self, Name, RecordError, Renewal, check};
use crate::net::proxy::{MAX_WATCHED, Refusal, Reply, Request};

/// Who has a stream here, and what they put.
#[derive(Debug)]
pub struct Clients {
    open: HashMap<ClientId, Client>,
    next: u64,
    pub desk: Desk,
    writers: HashMap<PeerId, Writer>,
    puts: Rates<PeerId>,
    fresh: Rates<Group>,
    gets: Rates<PeerId>,
    watches: Rates<PeerId>,
    gones: Rates<PeerId>,
    strangers: Rates<Group>,
}

#[derive(Debug)]
struct Client {
    node: PeerId,
    replies: mpsc::Sender<Vec<Reply>>,
}

/// A phone that put records through this ultrapeer.
#[derive(Debug, Default)]
struct Writer {
    /// Name to sequence.
    records: BTreeMap<Name, u64>,
    streams: usize,
    /// Without a stream since then.
    left: Option<Duration>,
}

impl Default for Clients {
    fn default() -> Clients {
        Clients {
            open: HashMap::new(),
            next: 0,
            desk: Desk::default(),
            writers: HashMap::new(),
            puts: Rates::new(256, 60),
            fresh: Rates::new(4000, 600),
            gets: Rates::new(600, 120),
            watches: Rates::new(20, 12),
            gones: Rates::new(2000, 600),
            strangers: Rates::new(1200, 120),
        }
    }
}

impl Clients {
    /// Whether a node that is no ultrapeer known here may put once more into the DHT.
    pub fn may_put_as_stranger(&mut self, group: Group, now: Duration) -> bool {
        self.strangers.take(group, now)
    }

    /// The names whose records were put by phones that are here.
    pub fn put_by_phones(&self) -> impl Iterator<Item = Name> {
        let here = self.writers.values().filter(|writer| writer.streams > 0);
        here.flat_map(|writer| writer.records.keys().copied())
    }
}

impl Ultrapeer {
    pub fn open_client(&mut self, node: PeerId, stream: Stream) {
        let same = self
            .clients
            .open
            .values()
            .filter(|client| client.node == node);
        if same.count() >= MAX_STREAMS || self.clients.open.len() >= self.limits.clients {
            self.status.refused += 1;
            return;
        }
        self.clients.next += 1;
        let id = ClientId(self.clients.next);
        let (replies, out) = mpsc::channel(QUEUE);
        self.clients.open.insert(id, Client { node, replies });
        if let Some(writer) = self.clients.writers.get_mut(&node) {
            writer.streams += 1;
            writer.left = None;
        }
        self.status.clients = self.clients.open.len();
        streams::serve(id, stream, self.now().unix, self.said.clone(), out);
    }

    pub fn close_client(&mut self, id: ClientId) {
        self.clients.desk.close(id);
        let Some(client) = self.clients.open.remove(&id) else {
            return;
        };
        let now = self.now().mono;
        if let Some(writer) = self.clients.writers.get_mut(&client.node) {
            writer.streams = writer.streams.saturating_sub(1);
            if writer.streams == 0 {
                writer.left = Some(now);
            }
        }
        self.status.clients = self.clients.open.len();
    }

    pub fn request(&mut self, id: ClientId, request: Request) {
        let Some(node) = self.clients.open.get(&id).map(|client| client.node) else {
            return;
        };
        let now = self.now();
        match request {
            Request::Hello { .. } => {}
            Request::Watch { names } => {
                if names.len() > MAX_WATCHED || !self.clients.watches.take(node, now.mono) {
                    self.status.refused += 1;
                    return self.drop_client(id);
                }
                self.watch(id, names.into_iter().map(Name).collect(), now);
            }
            Request::Put { name, value } => {
                let name = Name(name);
                if let Err(why) = self.put(id, node, name, value, now) {
                    self.refuse(id, name, why);
                }
            }
            Request::Renew { name, change } => {
                let name = Name(name);
                if let Err(why) = self.renew(id, node, name, &change, now) {
                    self.refuse(id, name, why);
                }
            }
            Request::Get { name } => self.get(id, node, Name(name), now),
            Request::Gone { name, sequence } => {
                let name = Name(name);
                let may = self.clients.gones.take(node, now.mono);
                if !may || !self.end(&name, sequence, &node, now) {
                    self.refuse(
                        id,
                        name,
                        if may {
                            Refusal::NotYours
                        } else {
                            Refusal::Busy
                        },
                    );
                }
            }
        }
    }

    fn watch(&mut self, id: ClientId, names: BTreeSet<Name>, now: Moment) {
        let mut replies = Vec::new();
        for name in self.clients.desk.watch(id, names) {
            let shelf = self.shelf.lock();
            match shelf.get(&name) {
                Some(entry) => {
                    let desk = &mut self.clients.desk;
                    replies.extend(desk.tell_one(id, &name, entry, now.mono, now.unix));
                }
                None if self.lookups.is_due(&name, now.mono) => {
                    self.lookups.want(name, None);
                }
                None => {}
            }
        }
        self.reply(id, replies);
    }

    fn put(
        &mut self,
        id: ClientId,
        node: PeerId,
        name: Name,
        value: Vec<u8>,
        now: Moment,
    ) -> Result<(), Refusal> {
        if !self.clients.puts.take(node, now.mono) {
            return Err(Refusal::Busy);
        }
        let source = self.source(&node);
        let fresh = self.shelf.lock().get(&name).is_none();
        if fresh && !self.clients.fresh.take(source.group, now.mono) {
            return Err(Refusal::Busy);
        }
        let writer = self.clients.writers.get(&node);
        if writer.is_some_and(|w| w.records.len() >= MAX_NAMES && !w.records.contains_key(&name)) {
            return Err(Refusal::Full);
        }
        let record = Record::new(name.key(), value);
        let sequence = self.keep(&record, source, now)?;
        let streams = self
            .clients
            .open
            .values()
            .filter(|c| c.node == node)
            .count();
        let writer = self.clients.writers.entry(node).or_default();
        writer.streams = streams;
        writer.records.insert(name, sequence);
        self.send_out(id, name, record.value)
    }

    fn renew(
        &mut self,
        id: ClientId,
        node: PeerId,
        name: Name,
        change: &Renewal,
        now: Moment,
    ) -> Result<(), Refusal> {
        let held = self.shelf.lock().get(&name).map(|e| e.value.clone());
        let value = held.and_then(|held| directory::renew(&held, change));
        self.put(id, node, name, value.ok_or(Refusal::NotHeld)?, now)
    }

    fn get(&mut self, id: ClientId, node: PeerId, name: Name, now: Moment) {
        if !self.clients.gets.take(node, now.mono) {
            return self.refuse(id, name, Refusal::Busy);
        }
        let held = self
            .shelf
            .lock()
            .get(&name)
            .map(|entry| entry.value.clone());
        if let Some(value) = held {
            let name = name.0;
            return self.reply(id, vec![Reply::Record { name, value }]);
        }
        if !self.lookups.want(name, Some(id)) {
            self.refuse(id, name, Refusal::Busy);
        }
    }

    /// Checks a record, keeps it, and tells who watches. Returns its sequence.
    pub fn keep(&mut self, record: &Record, source: Source, now: Moment) -> Result<u64, Refusal> {
        let name = Name::from_key(record.key.as_ref()).ok_or(Refusal::Invalid)?;
        let stamp = check(&name, &record.value, now.unix).map_err(|error| match error {
            RecordError::Expired | RecordError::TooFarAhead => Refusal::Expired,
            _ => Refusal::Invalid,
        })?;
        let kept = self
            .shelf
            .lock()
            .put(name, record.value.clone(), stamp, source);
        match kept {
            Ok(Kept::News | Kept::Renewed) => self.tell(&name, now),
            Ok(Kept::Same) => {}
            Err(Unkept::Stale) => return Err(Refusal::Stale),
            Err(Unkept::Full) => return Err(Refusal::Full),
        }
        Ok(stamp.sequence)
    }

    fn tell(&mut self, name: &Name, now: Moment) {
        let outbox = match self.shelf.lock().get(name) {
            Some(entry) => self.clients.desk.tell(name, entry, now.mono, now.unix),
            None => Outbox::new(),
        };
        self.send_all(outbox);
    }

    /// The writer of that record is gone, says the node that put it. `false` if it did not.
    fn end(&mut self, name: &Name, sequence: u64, node: &PeerId, now: Moment) -> bool {
        let ended = self.shelf.lock().gone(name, sequence, node);
        let Ok(news) = ended else {
            return false;
        };
        if news {
            self.tell(name, now);
            // What came from another ultrapeer, that one has told to all itself.
            if !self.mesh.is_member(node) {
                self.mesh.tell(&Request::Gone {
                    name: name.0,
                    sequence,
                });
            }
        }
        true
    }

    /// Ends the records of phones that did not come back, and sends the renewals that waited.
    pub fn tend_clients(&mut self, now: Moment) {
        let grace = self.limits.grace;
        let is_over = |w: &Writer| w.left.is_some_and(|left| now.mono >= left + grace);
        let writers = &mut self.clients.writers;
        let over: Vec<(PeerId, Writer)> = writers.extract_if(|_, writer| is_over(writer)).collect();
        for (node, writer) in over {
            for (name, sequence) in writer.records {
                self.end(&name, sequence, &node, now);
            }
        }
        for writer in self.clients.writers.values_mut() {
            let shelf = self.shelf.lock();
            writer.records.retain(|name, _| shelf.get(name).is_some());
        }
        let due = self.clients.desk.flush(&self.shelf.lock(), now.mono);
        self.send_all(due);
    }

    pub fn group(&self, node: &PeerId) -> Group {
        let home = self.swarm.behaviour().guests.home(node);
        Group::of(home.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into()))
    }

    /// From where a record of that node comes. An ultrapeer of the mesh stands for many phones and
    /// for itself.
    pub fn source(&self, node: &PeerId) -> Source {
        let group = match self.mesh.is_member(node) {
            true => Group::of_node(node),
            false => self.group(node),
        };
        Source { group, node: *node }
    }

    fn refuse(&mut self, id: ClientId, name: Name, why: Refusal) {
        self.status.refused += 1;
        self.reply(id, vec![Reply::Refused { name: name.0, why }]);
    }

    fn send_all(&mut self, outbox: Outbox) {
        for (id, replies) in outbox {
            self.reply(id, replies);
        }
    }

    pub fn reply(&mut self, id: ClientId, replies: Vec<Reply>) {
        let Some(client) = self.clients.open.get(&id) else {
            return;
        };
        if !replies.is_empty() && client.replies.try_send(replies).is_err() {
            tracing::debug!("{} does not read what it asked for", client.node);
            self.drop_client(id);
        }
    }

    fn drop_client(&mut self, id: ClientId) {
        // Its task ends when nobody can send to it any more.
        self.close_client(id);
    }
}

/// Streams of one node, names of one phone, and messages that wait for one stream.
const MAX_STREAMS: usize = 2;
const MAX_NAMES: usize = 256;
const QUEUE: usize = 256;
