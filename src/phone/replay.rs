//! Replay window: each counter is accepted once (RFC 6479's idea, 1024 wide).
//!
//! Looking and committing are two steps, so that a forged packet can never move the window: look
//! before decrypting, commit only after the tag has verified.

/// How far behind the newest counter a packet may come. Wide, because one packet may travel over
/// two paths.
pub const WINDOW: u32 = 1024;

const WORDS: usize = (WINDOW / 64) as usize;

#[derive(Clone, Debug)]
pub struct ReplayWindow {
    /// One past the highest counter committed.
    next: u64,
    seen: [u64; WORDS],
}

impl ReplayWindow {
    pub fn new() -> ReplayWindow {
        ReplayWindow {
            next: 0,
            seen: [0; WORDS],
        }
    }

    /// Whether a packet with this counter could still be new.
    pub fn is_fresh(&self, counter: u32) -> bool {
        let counter = u64::from(counter);
        if counter >= self.next {
            return true;
        }
        if counter + u64::from(WINDOW) < self.next {
            return false;
        }
        self.seen[word(counter)] & bit(counter) == 0
    }

    /// Marks an authentic packet's counter as seen.
    pub fn commit(&mut self, counter: u32) {
        let counter = u64::from(counter);
        if counter >= self.next {
            self.clear_up_to(counter);
            self.next = counter + 1;
        }
        self.seen[word(counter)] |= bit(counter);
    }

    fn clear_up_to(&mut self, counter: u64) {
        if counter - self.next >= u64::from(WINDOW) {
            self.seen = [0; WORDS];
            return;
        }
        for stale in self.next..=counter {
            self.seen[word(stale)] &= !bit(stale);
        }
    }
}

fn word(counter: u64) -> usize {
    (counter / 64) as usize % WORDS
}

fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_set(counters in prop::collection::vec(0u32..5000, 1..2000)) {
            let mut window = ReplayWindow::new();
            let mut seen = BTreeSet::new();
            let mut highest = None;
            for counter in counters {
                let too_old = highest.is_some_and(|h: u32| counter + WINDOW < h + 1);
                let fresh = !too_old && !seen.contains(&counter);
                prop_assert_eq!(window.is_fresh(counter), fresh);
                if fresh {
                    window.commit(counter);
                    seen.insert(counter);
                    highest = highest.max(Some(counter));
                }
            }
        }
    }

    #[test]
    fn the_last_counter_does_not_overflow() {
        let mut window = ReplayWindow::new();
        window.commit(u32::MAX);
        assert!(!window.is_fresh(u32::MAX));
        assert!(!window.is_fresh(0));
        assert!(window.is_fresh(u32::MAX - 1));
    }
}
