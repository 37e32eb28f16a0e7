//! What libp2p's DHT sees of the [`Shelf`]: it reads there, and never writes.
//!
//! Whatever is to be kept goes through the ultrapeer's own check first. Of providers only those of
//! the few well-known keys under which ultrapeers are found are kept, and few of each.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use libp2p::PeerId;
use libp2p::kad::store::{Error, RecordStore, Result};
use libp2p::kad::{ProviderRecord, Record, RecordKey};

use super::shelf::Shelf;
use crate::directory::Name;
use crate::net::swarm::{SHARDS, ultrapeers_key};

/// A view of the shelf for one DHT, with the providers of that DHT.
#[derive(Debug)]
pub struct Table {
    shelf: SharedShelf,
    me: PeerId,
    providers: HashMap<RecordKey, VecDeque<ProviderRecord>>,
}

/// The one shelf of the ultrapeer; it is only ever locked for one step.
#[derive(Clone, Debug)]
pub struct SharedShelf(Arc<Mutex<Shelf>>);

impl SharedShelf {
    pub fn new(shelf: Shelf) -> SharedShelf {
        SharedShelf(Arc::new(Mutex::new(shelf)))
    }

    pub fn lock(&self) -> MutexGuard<'_, Shelf> {
        // Nothing panics while it holds the lock; if it did, each record still is whole.
        self.0.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

impl Table {
    pub fn new(shelf: SharedShelf, me: PeerId) -> Table {
        let providers = shards().map(|key| (key, VecDeque::new())).collect();
        Table {
            shelf,
            me,
            providers,
        }
    }
}

impl RecordStore for Table {
    type RecordsIter<'a> = std::iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = std::vec::IntoIter<Cow<'a, ProviderRecord>>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        let name = Name::from_key(key.as_ref())?;
        let value = self.shelf.lock().get(&name)?.value.clone();
        Some(Cow::Owned(Record::new(key.clone(), value)))
    }

    fn put(&mut self, _: Record) -> Result<()> {
        Err(Error::MaxRecords)
    }

    fn remove(&mut self, _: &RecordKey) {}

    /// None: libp2p is not to send records on by itself.
    fn records(&self) -> Self::RecordsIter<'_> {
        std::iter::empty()
    }

    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        let Some(known) = self.providers.get_mut(&record.key) else {
            return Err(Error::MaxProvidedKeys);
        };
        known.retain(|old| old.provider != record.provider);
        if known.len() >= MAX_PROVIDERS {
            // The oldest goes, but never our own.
            let oldest = known.iter().position(|old| old.provider != self.me);
            oldest.and_then(|at| known.remove(at));
        }
        known.push_back(record);
        Ok(())
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let known = self.providers.get(key).into_iter().flatten();
        known.rev().take(MAX_ANSWERED).cloned().collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        let all = self.providers.values().flatten();
        let mine: Vec<_> = all
            .filter(|record| record.provider == self.me)
            .map(|record| Cow::Owned(record.clone()))
            .collect();
        mine.into_iter()
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if let Some(known) = self.providers.get_mut(key) {
            known.retain(|record| record.provider != *provider);
        }
    }
}

/// The keys under which ultrapeers provide themselves.
pub fn shards() -> impl Iterator<Item = RecordKey> {
    (0..SHARDS).map(ultrapeers_key)
}

/// Providers kept for each shard, and of them told to whoever asks.
const MAX_PROVIDERS: usize = 64;
const MAX_ANSWERED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(key: RecordKey) -> ProviderRecord {
        ProviderRecord {
            key,
            provider: PeerId::random(),
            expires: None,
            addresses: Vec::new(),
        }
    }

    #[test]
    fn providers_by_the_thousand_are_few_and_only_of_ultrapeers() {
        let me = PeerId::random();
        let mut table = Table::new(SharedShelf::new(Shelf::new(1)), me);
        let shard = shards().next().expect("a shard");
        let mine = ProviderRecord {
            provider: me,
            ..provider(shard.clone())
        };
        table.add_provider(mine).expect("our own");
        for n in 0..20_000_u32 {
            let other = RecordKey::new(&n.to_be_bytes());
            assert!(table.add_provider(provider(other)).is_err());
            table
                .add_provider(provider(shard.clone()))
                .expect("of a shard");
        }
        assert_eq!(table.providers.len(), usize::from(SHARDS));
        assert_eq!(table.providers[&shard].len(), MAX_PROVIDERS);
        assert_eq!(table.providers(&shard).len(), MAX_ANSWERED);
        assert_eq!(table.provided().len(), 1, "our own stays");
        assert_eq!(table.records().count(), 0);
    }

    #[test]
    fn nothing_gets_in_past_the_check() {
        let mut table = Table::new(SharedShelf::new(Shelf::new(9)), PeerId::random());
        let key = RecordKey::new(&Name([7; 32]).key());
        assert!(table.put(Record::new(key.clone(), vec![1])).is_err());
        assert!(table.get(&key).is_none());
        assert!(table.get(&RecordKey::new(b"/pk/anything")).is_none());
    }
}
