//! What a public invite costs: some computing, bound to who asks whom on which day.
//!
//! ```text
//! seed  = SHA-256("twocan/1 work\0" | I of the inviter | I of the asker | day u32)
//! solved by a nonce (u64) if SHA-256(seed | nonce) begins with 22 zero bits
//! ```
//!
//! To check a solution takes two hashes; to find one takes four million on average.

use sha2::{Digest, Sha256};

use crate::peer::PeerId;

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Puzzle([u8; 32]);

impl Puzzle {
    /// `day` counts from 1970, as [`day`] does.
    pub fn new(inviter: &PeerId, asker: &PeerId, day: u32) -> Puzzle {
        let hash = Sha256::new()
            .chain_update(b"twocan/1 work\0")
            .chain_update(inviter.as_bytes())
            .chain_update(asker.as_bytes())
            .chain_update(day.to_le_bytes());
        Puzzle(hash.finalize().into())
    }

    pub fn is_solved_by(&self, nonce: u64) -> bool {
        let hash = Sha256::new()
            .chain_update(self.0)
            .chain_update(nonce.to_le_bytes());
        let hash = <[u8; 32]>::from(hash.finalize());
        let head = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        head.leading_zeros() >= BITS
    }
}

/// Looks for a solution among `tries` nonces from `from` on, so that whoever waits can give up
/// between two calls. A processor tries some millions in a second.
pub fn search(puzzle: &Puzzle, from: u64, tries: u64) -> Option<u64> {
    let mut nonces = (0..tries).map(|step| from.wrapping_add(step));
    nonces.find(|&nonce| puzzle.is_solved_by(nonce))
}

/// Searches until a solution is found: a second or so.
pub fn solve(puzzle: &Puzzle) -> u64 {
    search(puzzle, 0, u64::MAX).expect("one nonce in four million solves it")
}

/// Days since 1970.
pub fn day(unix: u64) -> u32 {
    u32::try_from(unix / 86_400).unwrap_or(u32::MAX)
}

/// The days of which work is good at this moment: clocks may differ by two hours.
pub fn is_good_day(worked: u32, unix: u64) -> bool {
    let slack = 2 * 3600;
    (day(unix.saturating_sub(slack))..=day(unix + slack)).contains(&worked)
}

const BITS: u32 = 22;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Identity, Seed};

    #[test]
    fn work_is_good_for_one_pair_and_one_day() {
        let id = |n| Identity::from_seed(&Seed::from_bytes([n; 32])).id();
        let puzzle = Puzzle::new(&id(1), &id(2), 20_000);
        let nonce = solve(&puzzle);
        assert!(puzzle.is_solved_by(nonce));
        let others = [
            Puzzle::new(&id(2), &id(1), 20_000),
            Puzzle::new(&id(1), &id(3), 20_000),
            Puzzle::new(&id(1), &id(2), 20_001),
        ];
        assert!(others.iter().all(|other| !other.is_solved_by(nonce)));
        assert_eq!(search(&puzzle, 0, nonce), None);
    }

    #[test]
    fn a_day_lasts_two_hours_longer_at_both_ends() {
        let midnight = 20_000 * 86_400;
        assert!(is_good_day(19_999, midnight + 7199) && !is_good_day(19_999, midnight + 7200));
        assert!(is_good_day(20_000, midnight - 7200) && !is_good_day(20_000, midnight - 7201));
    }
}
