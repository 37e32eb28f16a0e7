//! What is being asked of the DHTs, and when what is watched is to be asked again. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use libp2p::kad::QueryId;

use super::desk::ClientId;
use crate::directory::{Name, Stamp, is_newer};

/// Which DHT. Query numbers of the two may be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    Own,
    Public,
}

/// A query that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Who is to get the record.
    Closest {
        put: u64,
        name: Name,
    },
    /// That many nodes are being given it.
    Store {
        put: u64,
        asked: usize,
    },
    Read {
        name: Name,
    },
    /// A better record to those that lacked it; nobody waits for it.
    Repair,
    /// Looking for ultrapeers.
    Shard,
    Bootstrap,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Lookups {
    jobs: HashMap<(Which, QueryId), Job>,
    reads: HashMap<Name, Read>,
    queue: VecDeque<Name>,
    puts: BTreeMap<u64, Put>,
    next_put: u64,
    again: HashMap<Name, Again>,
}

/// One name that is being read, or is to be.
#[derive(Debug, Default)]
pub struct Read {
    /// Who asked for it by name, and is to be told even that there is none.
    pub askers: BTreeSet<ClientId>,
    pub best: Option<(Vec<u8>, Stamp)>,
    pub valid: usize,
    left: usize,
}

/// One record on its way to those that are to keep it.
#[derive(Debug)]
pub struct Put {
    pub name: Name,
    pub value: Vec<u8>,
    pub client: ClientId,
    pub copies: usize,
    left: usize,
}

/// When a watched name is read next, and how long after that.
#[derive(Clone, Copy, Debug)]
struct Again {
    at: Duration,
    pause: Duration,
}

impl Lookups {
    pub fn start(&mut self, which: Which, id: QueryId, job: Job) {
        self.jobs.insert((which, id), job);
    }

    pub fn job(&self, which: Which, id: QueryId) -> Option<&Job> {
        self.jobs.get(&(which, id))
    }

    pub fn end(&mut self, which: Which, id: QueryId) -> Option<Job> {
        self.jobs.remove(&(which, id))
    }

    /// Wants a name read. `false` when too much waits already.
    pub fn want(&mut self, name: Name, asker: Option<ClientId>) -> bool {
        if self.queue.len() >= MAX_QUEUE && !self.reads.contains_key(&name) {
            return false;
        }
        let read = self.reads.entry(name).or_insert_with(|| {
            self.queue.push_back(name);
            Read::default()
        });
        if let Some(asker) = asker.filter(|_| read.askers.len() < MAX_ASKERS) {
            read.askers.insert(asker);
        }
        true
    }

    /// The next name to read, if not too many are being read. Each read counts until
    /// [`Lookups::finish`] was called as often as `queries`.
    pub fn next(&mut self, queries: usize) -> Option<Name> {
        if self.reads.len() - self.queue.len() >= MAX_READS {
            return None;
        }
        let name = self.queue.pop_front()?;
        self.reads.get_mut(&name)?.left = queries;
        Some(name)
    }

    /// A valid answer came. Returns how many did, and whether this one is the newest so far.
    pub fn answer(&mut self, name: &Name, value: &[u8], stamp: Stamp) -> Option<(usize, bool)> {
        let read = self.reads.get_mut(name)?;
        read.valid += 1;
        let best = read.best.as_ref();
        let newest = best.is_none_or(|(_, best)| is_newer(&stamp, best));
        if newest {
            read.best = Some((value.to_vec(), stamp));
        }
        Some((read.valid, newest))
    }

    pub fn read(&self, name: &Name) -> Option<&Read> {
        self.reads.get(name)
    }

    /// One of the queries for that name ended. Returns what was found when it was the last.
    pub fn finish(&mut self, name: &Name) -> Option<Read> {
        let read = self.reads.get_mut(name)?;
        read.left = read.left.saturating_sub(1);
        (read.left == 0).then(|| self.reads.remove(name)).flatten()
    }

    /// Begins a put of as many queries as `queries`. `None` when too many run.
    pub fn put(
        &mut self,
        name: Name,
        value: Vec<u8>,
        client: ClientId,
        queries: usize,
    ) -> Option<u64> {
        if self.puts.len() >= MAX_PUTS {
            return None;
        }
        self.next_put += 1;
        let put = Put {
            name,
            value,
            client,
            copies: 0,
            left: queries,
        };
        self.puts.insert(self.next_put, put);
        Some(self.next_put)
    }

    pub fn value(&self, put: u64) -> Option<&[u8]> {
        self.puts.get(&put).map(|put| put.value.as_slice())
    }

    pub fn name(&self, put: u64) -> Option<Name> {
        self.puts.get(&put).map(|put| put.name)
    }

    /// One of the queries of a put ended. Returns it when that was the last.
    pub fn stored(&mut self, put: u64, copies: usize) -> Option<Put> {
        let state = self.puts.get_mut(&put)?;
        state.copies += copies;
        state.left = state.left.saturating_sub(1);
        (state.left == 0).then(|| self.puts.remove(&put)).flatten()
    }

    /// Sets when a name that is watched is read next: soon if nothing was found, and then ever
    /// later.
    pub fn absent(&mut self, name: Name, now: Duration) {
        let pause = self
            .again
            .get(&name)
            .map_or(FIRST_PAUSE, |again| again.pause * 2);
        let pause = pause.min(LAST_PAUSE);
        self.again.insert(
            name,
            Again {
                at: now + pause,
                pause,
            },
        );
    }

    /// A record of that name is there, and is to be read again after `pause`.
    pub fn present(&mut self, name: Name, now: Duration, pause: Duration) {
        let at = now + pause;
        let pause = FIRST_PAUSE;
        self.again.insert(name, Again { at, pause });
    }

    /// Whether it is time to read that name again.
    pub fn is_due(&self, name: &Name, now: Duration) -> bool {
        !self.reads.contains_key(name) && self.again.get(name).is_none_or(|again| again.at <= now)
    }

    /// Forgets the names that nobody watches any more.
    pub fn keep(&mut self, watched: impl Fn(&Name) -> bool) {
        self.again.retain(|name, _| watched(name));
    }
}

/// Names read at once, names that wait, who waits for one name, and puts at once.
const MAX_READS: usize = 32;
const MAX_QUEUE: usize = 16_384;
const MAX_ASKERS: usize = 64;
const MAX_PUTS: usize = 1024;

/// Pauses between two readings of a name that is nowhere.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LAST_PAUSE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: ClientId = ClientId(1);

    fn stamp(sequence: u64) -> Stamp {
        Stamp {
            sequence,
            validity: 9,
            blob: [0; 32],
        }
    }

    #[test]
    fn a_name_is_read_once_for_all_who_want_it() {
        let mut lookups = Lookups::default();
        let name = Name([1; 32]);
        assert!(lookups.want(name, None));
        assert!(lookups.want(name, Some(CLIENT)));
        assert_eq!(lookups.next(2), Some(name));
        assert_eq!(lookups.next(2), None);
        assert_eq!(lookups.answer(&name, b"old", stamp(4)), Some((1, true)));
        assert_eq!(lookups.answer(&name, b"new", stamp(5)), Some((2, true)));
        assert_eq!(lookups.answer(&name, b"old", stamp(4)), Some((3, false)));
        assert!(lookups.finish(&name).is_none(), "one query still runs");
        let read = lookups.finish(&name).expect("the last one");
        assert_eq!(read.best, Some((b"new".to_vec(), stamp(5))));
        assert!(read.askers.contains(&CLIENT));
    }

    #[test]
    fn everything_that_waits_is_bounded() {
        let mut lookups = Lookups::default();
        let name = |n: u32| {
            let mut name = [0; 32];
            name[..4].copy_from_slice(&n.to_le_bytes());
            Name(name)
        };
        let taken = (0..100_000)
            .filter(|&n| lookups.want(name(n), None))
            .count();
        assert_eq!(taken, MAX_QUEUE);
        assert_eq!((0..100).filter_map(|_| lookups.next(1)).count(), MAX_READS);
        let puts = (0..10_000).filter_map(|n| lookups.put(name(n), vec![], CLIENT, 1));
        assert_eq!(puts.count(), MAX_PUTS);
    }

    #[test]
    fn a_name_that_is_nowhere_is_read_ever_less_often() {
        let mut lookups = Lookups::default();
        let name = Name([1; 32]);
        let mut reads = 0;
        for second in 0..24 * 3600 {
            let now = Duration::from_secs(second);
            if lookups.is_due(&name, now) {
                reads += 1;
                lookups.absent(name, now);
            }
        }
        assert!((24..34).contains(&reads), "{reads}");
        lookups.keep(|_| false);
        assert!(lookups.again.is_empty());
    }
}
