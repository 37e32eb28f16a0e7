//! What the phone wants of the directory, and how far that is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libp2p::PeerId;
use tokio::time::Instant;

use super::proxies::{ProxyId, ProxyNews, filled};
use super::run::{Purpose, Running};
use super::{NodeEvent, now};
use crate::directory::{self, Name, RecordError, Stamp};
use crate::net::proxy::{
    self, MAX_VALUE, MAX_WATCHED, Refusal, Reply, Request, VERSION, WATCH_STEP,
};

/// All that was asked and is not answered, and all that has to outlive an ultrapeer.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Each with the newest record of it.
    watched: BTreeMap<[u8; 32], Option<(Stamp, Vec<u8>)>>,
    /// The last record that was put under each name, as long as it is good.
    published: BTreeMap<[u8; 32], Published>,
    puts: BTreeMap<[u8; 32], Job>,
    gets: BTreeMap<[u8; 32], Job>,
    /// Who was told last what to watch, with the names that hide the real ones.
    watching: Option<(ProxyId, BTreeSet<[u8; 32]>)>,
    /// Who published last.
    publisher: Option<ProxyId>,
    offset: Option<i64>,
    next_watch: Option<Instant>,
}

#[derive(Debug)]
struct Published {
    value: Vec<u8>,
    /// The ultrapeer that has said that it has the record, or one like it but for the end.
    holder: Option<ProxyId>,
}

#[derive(Clone, Copy, Debug)]
struct Job {
    until: Instant,
    tries: u32,
    /// Only what is new in the record was sent, to this one.
    renews: Option<ProxyId>,
}

impl Wishes {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let jobs = self.puts.values().chain(self.gets.values());
        jobs.map(|job| job.until).chain(self.next_watch).min()
    }
}

impl Running {
    pub(super) fn put(&mut self, name: [u8; 32], value: Vec<u8>) {
        if self.wishes.published.len() >= MAX_PUBLISHED {
            self.forget_expired();
        }
        let wishes = &mut self.wishes;
        let full = wishes.published.len() >= MAX_PUBLISHED && !wishes.published.contains_key(&name);
        if value.is_empty() || value.len() > MAX_VALUE || full {
            let why = if full {
                Refusal::Full
            } else {
                Refusal::Invalid
            };
            self.outbox.push(NodeEvent::Refused { name, why });
            return;
        }
        let writer = self.proxies.writer();
        let before = wishes.published.get(&name);
        let renewal = before
            .filter(|before| writer.is_some() && before.holder == writer)
            .and_then(|before| renewal(name, &before.value, &value));
        let holder = writer.filter(|_| renewal.is_some());
        let published = Published {
            value: value.clone(),
            holder,
        };
        wishes.published.insert(name, published);
        wishes.puts.insert(
            name,
            Job {
                renews: holder,
                ..Job::until(now() + PUT_PATIENCE)
            },
        );
        if let Some(writer) = writer {
            self.wishes.publisher = Some(writer);
            let put = || Request::Put { name, value };
            self.proxies.ask(writer, renewal.unwrap_or_else(put));
        } else {
            self.dht_put(name, value);
        }
    }

    pub(super) fn get(&mut self, name: [u8; 32]) {
        if self.wishes.gets.len() >= MAX_GETS {
            self.outbox.push(NodeEvent::Absent { name });
            return;
        }
        let job = Job::until(now() + GET_PATIENCE);
        self.wishes.gets.insert(name, job);
        if let Some(reader) = self.proxies.reader() {
            self.proxies.ask(reader, Request::Get { name });
        } else {
            self.dht_get(name);
        }
    }

    pub(super) fn watch(&mut self, names: BTreeSet<[u8; 32]>) {
        let mut before = std::mem::take(&mut self.wishes.watched);
        self.wishes.watched = names
            .into_iter()
            .take(MAX_WATCHED)
            .map(|name| (name, before.remove(&name).flatten()))
            .collect();
        self.brief_proxies();
    }

    /// Opens control streams where they are missing.
    pub(super) fn find_proxies(&mut self) {
        for (peer, connection) in self.peers.with_directory() {
            if self.proxies.wants(peer, connection, now()) {
                self.open(peer, connection, Purpose::Directory);
            }
        }
    }

    pub(super) fn proxy_failed(&mut self, peer: PeerId) {
        if self.proxies.failed(peer, now()) {
            tracing::debug!("the directory stream to {peer} ended");
            self.find_proxies();
            self.brief_proxies();
        }
    }

    pub(super) fn proxy_news(&mut self, news: ProxyNews) {
        let Some(peer) = self.proxies.peer(news.from) else {
            return;
        };
        match news.reply {
            None => self.proxy_failed(peer),
            Some(Reply::Hello { version, unix }) => {
                let offset = i64::try_from(unix)
                    .unwrap_or(i64::MAX)
                    .saturating_sub(wall());
                let good = version == VERSION && offset.abs() <= MAX_OFFSET;
                if good && self.proxies.greeted(news.from, offset) {
                    self.tell_clock();
                    self.brief_proxies();
                } else {
                    self.proxy_failed(peer);
                }
            }
            Some(Reply::Record { name, value }) => self.record(news.from, name, value),
            Some(Reply::Renewed(renewals)) => {
                for renewal in renewals {
                    self.renewed(news.from, &renewal);
                }
            }
            Some(Reply::Gone { name, sequence }) => {
                if self.wishes.watched.contains_key(&name) {
                    self.outbox.push(NodeEvent::Gone { name, sequence });
                }
            }
            Some(Reply::Absent { name }) => {
                if self.wishes.gets.remove(&name).is_some() {
                    self.outbox.push(NodeEvent::Absent { name });
                }
            }
            Some(Reply::Stored { name, copies }) => {
                if self.wishes.puts.remove(&name).is_some() {
                    if let Some(published) = self.wishes.published.get_mut(&name) {
                        published.holder = Some(news.from);
                    }
                    self.outbox.push(NodeEvent::Stored { name, copies });
                }
            }
            Some(Reply::Refused { name, why }) => {
                if !self.put_whole(news.from, name) {
                    self.refused(name, why);
                }
            }
        }
    }

    /// The names that hide the real ones change in the course of the day, as those do.
    pub(super) fn watch_again(&mut self, now: Instant) {
        if self.wishes.next_watch.is_none_or(|next| next > now) {
            return;
        }
        self.wishes.next_watch = None;
        if let Some(reader) = self.proxies.reader() {
            self.send_watch(reader);
        }
    }

    /// What is late is asked once more, of somebody else if there is somebody.
    pub(super) fn chase(&mut self, now: Instant) {
        let late = |jobs: &BTreeMap<[u8; 32], Job>| -> Vec<([u8; 32], Job)> {
            let late = jobs.iter().filter(|(_, job)| job.until <= now);
            late.map(|(name, job)| (*name, *job)).collect()
        };
        for (name, job) in late(&self.wishes.gets) {
            let other = self.proxies.writer().filter(|_| job.tries == 0);
            if let Some(other) = other {
                self.proxies.ask(other, Request::Get { name });
                self.wishes.gets.insert(name, job.again(now + GET_PATIENCE));
            } else {
                self.wishes.gets.remove(&name);
                self.outbox.push(NodeEvent::Absent { name });
            }
        }
        for (name, job) in late(&self.wishes.puts) {
            let other = self.proxies.reader().filter(|_| job.tries == 0);
            let published = self.wishes.published.get(&name);
            if let (Some(other), Some(published)) = (other, published) {
                let value = published.value.clone();
                self.proxies.ask(other, Request::Put { name, value });
                self.wishes.puts.insert(name, job.again(now + PUT_PATIENCE));
            } else {
                let why = Refusal::Busy;
                self.refused(name, why);
            }
        }
    }

    /// Takes a record from whoever brought it, if it is true and news. `false`: it is a lie.
    pub(super) fn take_record(&mut self, name: [u8; 32], value: Vec<u8>) -> bool {
        let asked = self.wishes.gets.contains_key(&name);
        let watched = self.wishes.watched.get(&name);
        if !asked && watched.is_none() {
            return true;
        }
        let stamp = match directory::check(&Name(name), &value, self.unix()) {
            Ok(stamp) => stamp,
            // Late, or one of two clocks is wrong: that is nobody's lie.
            Err(RecordError::Expired | RecordError::TooFarAhead) => return true,
            Err(error) => {
                tracing::debug!("a record is not true: {error}");
                return false;
            }
        };
        let older = |held: &Option<(Stamp, Vec<u8>)>| match held {
            Some((held, _)) => !directory::is_newer(&stamp, held),
            None => false,
        };
        let known = watched.is_some_and(older);
        if !known && let Some(held) = self.wishes.watched.get_mut(&name) {
            *held = Some((stamp, value.clone()));
        }
        self.wishes.gets.remove(&name);
        if asked || !known {
            self.outbox.push(NodeEvent::Record { name, value });
        }
        true
    }

    /// Seconds since 1970 as the network has them.
    pub(super) fn unix(&self) -> u64 {
        let offset = self.wishes.offset.unwrap_or(0);
        u64::try_from(wall().saturating_add(offset)).unwrap_or(0)
    }

    pub(super) fn watched(&self) -> impl Iterator<Item = [u8; 32]> {
        self.wishes.watched.keys().copied()
    }

    /// The answer of the DHT to a put; `None`: nobody took it.
    pub(super) fn dht_stored(&mut self, name: [u8; 32], copies: u16) {
        if copies == 0 {
            self.refused(name, Refusal::Busy);
        } else if self.wishes.puts.remove(&name).is_some() {
            self.outbox.push(NodeEvent::Stored { name, copies });
        }
    }

    /// The DHT has nothing more to say of that name.
    pub(super) fn dht_done(&mut self, name: [u8; 32]) {
        if self.wishes.gets.remove(&name).is_some() {
            self.outbox.push(NodeEvent::Absent { name });
        }
    }

    /// The ultrapeer does not have what was to be renewed there. `false`: that was not asked.
    fn put_whole(&mut self, from: ProxyId, name: [u8; 32]) -> bool {
        let wishes = &mut self.wishes;
        let job = wishes.puts.get_mut(&name);
        let Some(job) = job.filter(|job| job.renews == Some(from)) else {
            return false;
        };
        job.renews = None;
        let Some(published) = wishes.published.get_mut(&name) else {
            return false;
        };
        published.holder = None;
        let value = published.value.clone();
        self.proxies.ask(from, Request::Put { name, value })
    }

    fn refused(&mut self, name: [u8; 32], why: Refusal) {
        let put = self.wishes.puts.remove(&name).is_some();
        let get = self.wishes.gets.remove(&name).is_some();
        if put {
            self.wishes.published.remove(&name);
            self.outbox.push(NodeEvent::Refused { name, why });
        }
        if get {
            self.outbox.push(NodeEvent::Absent { name });
        }
    }

    fn record(&mut self, from: ProxyId, name: [u8; 32], value: Vec<u8>) {
        if !self.take_record(name, value) {
            self.strike(from);
        }
    }

    fn renewed(&mut self, from: ProxyId, renewal: &proxy::Renewal) {
        let names = self.wishes.watched.iter();
        let held: Vec<([u8; 32], Option<Vec<u8>>)> = names
            .filter(|(name, _)| renewal.of(name))
            .map(|(name, held)| (*name, held.as_ref().map(|(_, value)| value.clone())))
            .collect();
        for (name, value) in held {
            let renewed = value.and_then(|value| directory::renew(&value, &renewal.change));
            let Some(renewed) = renewed else {
                self.get(name);
                continue;
            };
            if !self.take_record(name, renewed) {
                // We hold something else than the ultrapeer thinks.
                self.strike(from);
                self.get(name);
            }
        }
    }

    fn strike(&mut self, from: ProxyId) {
        if self.proxies.strike(from)
            && let Some(peer) = self.proxies.peer(from)
        {
            tracing::warn!("{peer} keeps bringing records that are not true");
            self.proxy_failed(peer);
        }
    }

    /// Tells the ultrapeers what they have to know, as far as they do not.
    fn brief_proxies(&mut self) {
        if let Some(reader) = self.proxies.reader() {
            let before = self.wishes.watching.as_ref().map(|(reader, _)| *reader);
            self.send_watch(reader);
            if before != Some(reader) {
                let gets: Vec<[u8; 32]> = self.wishes.gets.keys().copied().collect();
                for name in gets {
                    self.proxies.ask(reader, Request::Get { name });
                }
            }
        }
        if let Some(writer) = self.proxies.writer() {
            let gone = |publisher: ProxyId| self.proxies.peer(publisher).is_none();
            if self.wishes.publisher.is_none_or(gone) {
                self.wishes.publisher = Some(writer);
                self.publish_again(writer);
            }
        }
    }

    fn send_watch(&mut self, reader: ProxyId) {
        let names = self.watched().collect();
        let names = filled(&names, WATCH_STEP, &self.decoys, self.unix());
        self.wishes.next_watch = Some(now() + REWATCH);
        let watching = Some((reader, names.clone()));
        if self.wishes.watching != watching && self.proxies.ask(reader, Request::Watch { names }) {
            self.wishes.watching = watching;
        }
    }

    /// Whoever published for us is gone, and will say that we are.
    fn publish_again(&mut self, writer: ProxyId) {
        self.forget_expired();
        for (&name, published) in &self.wishes.published {
            let value = published.value.clone();
            self.proxies.ask(writer, Request::Put { name, value });
        }
    }

    fn forget_expired(&mut self) {
        let unix = self.unix();
        let good = |name: &[u8; 32], value: &[u8]| directory::check(&Name(*name), value, unix);
        let published = &mut self.wishes.published;
        published.retain(|name, held| good(name, &held.value) != Err(RecordError::Expired));
    }

    fn tell_clock(&mut self) {
        let offset = self.proxies.offset();
        if let Some(offset_s) = offset
            && self
                .wishes
                .offset
                .is_none_or(|told| told.abs_diff(offset_s) > 1)
        {
            self.wishes.offset = offset;
            self.outbox.push(NodeEvent::Clock { offset_s });
        }
    }
}

impl Job {
    fn until(until: Instant) -> Job {
        Job {
            until,
            tries: 0,
            renews: None,
        }
    }

    fn again(self, until: Instant) -> Job {
        Job {
            tries: self.tries + 1,
            ..Job::until(until)
        }
    }
}

/// What makes the new record of the old one, if that is less than the whole.
fn renewal(name: [u8; 32], old: &[u8], new: &[u8]) -> Option<Request> {
    let change = directory::renewal(new)?;
    let is_all = directory::renew(old, &change).is_some_and(|made| made == new);
    is_all.then_some(Request::Renew { name, change })
}

/// Seconds since 1970 by this computer's clock.
#[expect(clippy::disallowed_methods, reason = "the node is a driver")]
fn wall() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}

/// A clock that is further off is not ours to correct, in seconds.
const MAX_OFFSET: i64 = 26 * 3600;

/// Between two looks whether other names have to hide the real ones.
const REWATCH: Duration = Duration::from_secs(30 * 60);

const MAX_PUBLISHED: usize = 256;
const MAX_GETS: usize = 256;
const GET_PATIENCE: Duration = Duration::from_secs(8);
const PUT_PATIENCE: Duration = Duration::from_secs(20);
