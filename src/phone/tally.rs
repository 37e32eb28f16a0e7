//! How often somebody did something lately.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Allows each key so many events in so long, and forgets what is older.
#[derive(Debug)]
pub struct Tally<K> {
    most: usize,
    within: Duration,
    events: BTreeMap<K, VecDeque<Duration>>,
}

impl<K: Ord> Tally<K> {
    pub fn new(most: usize, within: Duration) -> Tally<K> {
        Tally {
            most,
            within,
            events: BTreeMap::new(),
        }
    }

    /// Counts one more event if it is allowed.
    pub fn allow(&mut self, key: K, now: Duration) -> bool {
        let within = self.within;
        for events in self.events.values_mut() {
            events.retain(|&at| now < at + within);
        }
        self.events.retain(|_, events| !events.is_empty());
        let events = self.events.entry(key).or_default();
        let is_allowed = events.len() < self.most;
        if is_allowed {
            events.push_back(now);
        }
        is_allowed
    }

    pub fn forget(&mut self, key: &K) {
        self.events.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_so_long_for_each() {
        let mut tally = Tally::new(2, Duration::from_secs(10));
        let mut at = |key, second| tally.allow(key, Duration::from_secs(second));
        assert_eq!(
            [at(1, 0), at(1, 5), at(1, 9), at(2, 9)],
            [true, true, false, true]
        );
        assert_eq!([at(1, 10), at(1, 11), at(1, 15)], [true, false, true]);
    }
}
