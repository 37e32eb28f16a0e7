//! The records that this ultrapeer keeps: only valid ones, the newest of each name, and never more
//! than there is room for. Pure.
//!
//! Anybody can make any number of valid records under keys of his own. So room is shared by where
//! records come from: when it runs out, the group of addresses that holds most of it pays, and in
//! the group the node that put most. Whoever floods pushes out his own flood.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use libp2p::PeerId;

use super::rate::Group;
use crate::directory::{Name, Stamp, is_newer};

/// See the module.
#[derive(Debug)]
pub struct Shelf {
    room: usize,
    entries: HashMap<Name, Entry>,
    ends: BTreeSet<(u64, Name)>,
    groups: HashMap<Group, Share>,
    /// The groups by what they hold.
    ranks: BTreeSet<(usize, Group)>,
}

/// One record. It was valid when it was put.
#[derive(Clone, Debug)]
pub struct Entry {
    pub value: Vec<u8>,
    pub stamp: Stamp,
    /// Whoever put it last.
    pub source: Source,
    /// Its writer is no longer where it was put.
    pub gone: bool,
}

/// From where a record came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub group: Group,
    pub node: PeerId,
}

/// What a put changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A name that was not there, or what its record says.
    News,
    /// Only until when it is good.
    Renewed,
    /// Nothing: the same record was there.
    Same,
}

/// Why a valid record was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unkept {
    #[error("a newer record is there")]
    Stale,
    #[error("there is no room for it")]
    Full,
}

impl Shelf {
    /// Has room for that many records.
    pub fn new(room: usize) -> Shelf {
        Shelf {
            room,
            entries: HashMap::new(),
            ends: BTreeSet::new(),
            groups: HashMap::new(),
            ranks: BTreeSet::new(),
        }
    }

    pub fn get(&self, name: &Name) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// How many records are kept.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Keeps a record that [`crate::directory::check`] found good.
    ///
    /// # Errors
    /// When a newer one is there, or no room.
    pub fn put(
        &mut self,
        name: Name,
        value: Vec<u8>,
        stamp: Stamp,
        source: Source,
    ) -> Result<Kept, Unkept> {
        let kept = match self.entries.get(&name) {
            None => Kept::News,
            Some(old) if is_newer(&stamp, &old.stamp) => match old.stamp.blob == stamp.blob {
                true => Kept::Renewed,
                false => Kept::News,
            },
            // Put again by whoever put it, it says that its writer is there after all.
            Some(old) if old.stamp == stamp && old.gone && old.source.node == source.node => {
                Kept::News
            }
            Some(old) if old.stamp == stamp => return Ok(Kept::Same),
            Some(_) => return Err(Unkept::Stale),
        };
        self.remove(&name);
        let entry = Entry {
            value,
            stamp,
            source,
            gone: false,
        };
        self.insert(name, entry);
        match self.entries.len() > self.room && self.make_room() == Some(name) {
            true => Err(Unkept::Full),
            false => Ok(kept),
        }
    }

    /// Notes that the writer of the record up to `sequence` is gone; `true` if that is news. Only
    /// the node that put it may say so.
    pub fn gone(&mut self, name: &Name, sequence: u64, node: &PeerId) -> Result<bool, NotTheirs> {
        let Some(entry) = self.entries.get_mut(name) else {
            return Err(NotTheirs);
        };
        if entry.source.node != *node {
            return Err(NotTheirs);
        }
        let news = !entry.gone && entry.stamp.sequence <= sequence;
        entry.gone |= news;
        Ok(news)
    }

    /// Drops what has ended at `unix`.
    pub fn expire(&mut self, unix: u64) {
        while let Some(&(end, name)) = self.ends.first() {
            if end > unix {
                break;
            }
            self.remove(&name);
        }
    }

    fn insert(&mut self, name: Name, entry: Entry) {
        let Source { group, node } = entry.source;
        let end = entry.stamp.validity;
        self.ends.insert((end, name));
        let share = self.groups.entry(group).or_default();
        self.ranks.remove(&(share.records, group));
        share.insert(node, (end, name));
        self.ranks.insert((share.records, group));
        self.entries.insert(name, entry);
    }

    fn remove(&mut self, name: &Name) -> Option<Entry> {
        let entry = self.entries.remove(name)?;
        let Source { group, node } = entry.source;
        let end = entry.stamp.validity;
        self.ends.remove(&(end, *name));
        if let Some(share) = self.groups.get_mut(&group) {
            self.ranks.remove(&(share.records, group));
            share.remove(node, &(end, *name));
            if share.records == 0 {
                self.groups.remove(&group);
            } else {
                self.ranks.insert((share.records, group));
            }
        }
        Some(entry)
    }

    /// Of the node that holds most in the group that holds most, the record that ends first.
    fn make_room(&mut self) -> Option<Name> {
        let (_, group) = *self.ranks.last()?;
        let name = self.groups.get(&group)?.first_of_largest()?;
        self.remove(&name);
        Some(name)
    }
}

/// Whoever says that a record's writer is gone did not put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTheirs;

/// What one group of addresses holds.
#[derive(Debug, Default)]
struct Share {
    records: usize,
    nodes: BTreeMap<PeerId, BTreeSet<(u64, Name)>>,
    ranks: BTreeSet<(usize, PeerId)>,
}

impl Share {
    fn insert(&mut self, node: PeerId, record: (u64, Name)) {
        let held = self.nodes.entry(node).or_default();
        self.ranks.remove(&(held.len(), node));
        held.insert(record);
        self.ranks.insert((held.len(), node));
        self.records += 1;
    }

    fn remove(&mut self, node: PeerId, record: &(u64, Name)) {
        let Some(held) = self.nodes.get_mut(&node) else {
            return;
        };
        self.ranks.remove(&(held.len(), node));
        self.records -= usize::from(held.remove(record));
        if held.is_empty() {
            self.nodes.remove(&node);
        } else {
            self.ranks.insert((held.len(), node));
        }
    }

    fn first_of_largest(&self) -> Option<Name> {
        let (_, node) = self.ranks.last()?;
        self.nodes.get(node)?.first().map(|&(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn name(n: u32) -> Name {
        let mut name = [0; 32];
        name[..4].copy_from_slice(&n.to_be_bytes());
        Name(name)
    }

    fn source(net: u8, node: PeerId) -> Source {
        let group = Group::of(Ipv4Addr::new(net, 0, 0, 1).into());
        Source { group, node }
    }

    fn stamp(sequence: u64, validity: u64, blob: u8) -> Stamp {
        Stamp {
            sequence,
            validity,
            blob: [blob; 32],
        }
    }

    #[test]
    fn the_newest_record_of_a_name_is_kept() {
        let mut shelf = Shelf::new(10);
        let from = source(1, PeerId::random());
        let mut put = |stamp| shelf.put(name(1), vec![1], stamp, from);
        assert_eq!(put(stamp(5, 100, 1)), Ok(Kept::News));
        assert_eq!(put(stamp(5, 100, 1)), Ok(Kept::Same));
        assert_eq!(put(stamp(6, 100, 1)), Ok(Kept::Renewed));
        assert_eq!(put(stamp(7, 100, 2)), Ok(Kept::News));
        assert_eq!(put(stamp(6, 900, 3)), Err(Unkept::Stale));
        assert_eq!(put(stamp(7, 100, 9)), Err(Unkept::Stale), "a fork");
        assert_eq!(shelf.get(&name(1)).map(|e| e.stamp.sequence), Some(7));
    }

    #[test]
    fn only_whoever_put_a_record_ends_it_and_never_a_newer_one() {
        let mut shelf = Shelf::new(10);
        let (mine, other) = (PeerId::random(), PeerId::random());
        let put = |shelf: &mut Shelf, sequence| {
            shelf.put(name(1), vec![1], stamp(sequence, 100, 1), source(1, mine))
        };
        put(&mut shelf, 5).expect("kept");
        assert_eq!(shelf.gone(&name(1), 5, &other), Err(NotTheirs));
        assert_eq!(shelf.gone(&name(2), 5, &mine), Err(NotTheirs));
        assert_eq!(shelf.gone(&name(1), 4, &mine), Ok(false));
        assert_eq!(shelf.gone(&name(1), 5, &mine), Ok(true));
        assert_eq!(shelf.gone(&name(1), 5, &mine), Ok(false), "no news");
        assert_eq!(put(&mut shelf, 5), Ok(Kept::News), "back again");
        assert!(!shelf.get(&name(1)).expect("there").gone);
        assert_eq!(shelf.gone(&name(1), 5, &mine), Ok(true));
        put(&mut shelf, 6).expect("newer");
        assert!(!shelf.get(&name(1)).expect("there").gone);
    }

    #[test]
    fn what_has_ended_goes() {
        let mut shelf = Shelf::new(10);
        for n in 0..5 {
            let stamp = stamp(1, 100 + u64::from(n), 1);
            shelf
                .put(name(n), vec![1], stamp, source(1, PeerId::random()))
                .expect("kept");
        }
        shelf.expire(102);
        assert_eq!(shelf.count(), 2);
        shelf.expire(u64::MAX);
        assert_eq!((shelf.count(), shelf.ends.len()), (0, 0));
        assert!(shelf.groups.is_empty() && shelf.ranks.is_empty());
    }

    #[test]
    fn a_flood_of_valid_records_pushes_out_itself() {
        let mut shelf = Shelf::new(2_000);
        let honest: Vec<Name> = (0..900)
            .map(|n| {
                // Three ultrapeers with three hundred phones each.
                let from = source(10 + (n % 3) as u8, PeerId::random());
                shelf
                    .put(name(n), vec![1], stamp(1, 1_000, 1), from)
                    .expect("room");
                name(n)
            })
            .collect();
        let flooders: Vec<PeerId> = (0..50).map(|_| PeerId::random()).collect();
        for n in 0..100_000_u32 {
            // Good for longer than all others, and from many nodes.
            let from = source(200, flooders[n as usize % 50]);
            let put = shelf.put(name(1_000_000 + n), vec![1], stamp(1, 9_000, 1), from);
            assert!(matches!(put, Ok(Kept::News) | Err(Unkept::Full)));
            assert!(shelf.count() <= 2_000);
        }
        assert!(honest.iter().all(|name| shelf.get(name).is_some()));
        let late = shelf.put(
            name(950),
            vec![1],
            stamp(1, 1_000, 1),
            source(11, flooders[0]),
        );
        assert_eq!(late, Ok(Kept::News), "there is room for who has few");
    }
}
