//! What a room costs at a reflector that many ask: some computing.
//!
//! ```text
//! solved by a nonce (u64) if SHA-256("twocan/1 room work\0" | challenge 16 | nonce) begins with
//! that many zero bits
//! ```

use sha2::{Digest, Sha256};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Random, and used once.
    pub challenge: [u8; 16],
    pub bits: u8,
}

/// What our reflectors ask for: a million hashes on average.
pub const BITS: u8 = 20;

/// More than this is no work but mischief: a minute.
const MOST_BITS: u8 = 26;

impl Work {
    pub fn is_solved_by(&self, nonce: u64) -> bool {
        let hash = Sha256::new()
            .chain_update(b"twocan/1 room work\0")
            .chain_update(self.challenge)
            .chain_update(nonce.to_le_bytes());
        let hash = <[u8; 32]>::from(hash.finalize());
        let head = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        head.leading_zeros() >= u32::from(self.bits)
    }

    /// Searches until a solution is found; `None` for more work than is decent.
    pub fn solve(&self) -> Option<u64> {
        if self.bits > MOST_BITS {
            return None;
        }
        (0..=u64::MAX).find(|&nonce| self.is_solved_by(nonce))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_and_seen_to_be() {
        let work = Work {
            challenge: [1; 16],
            bits: 12,
        };
        let nonce = work.solve().expect("decent");
        assert!(work.is_solved_by(nonce));
        let other = Work {
            challenge: [2; 16],
            ..work
        };
        assert!(!other.is_solved_by(nonce) || !work.is_solved_by(nonce + 1));
        let mischief = Work { bits: 60, ..work };
        assert_eq!(mischief.solve(), None);
    }
}
