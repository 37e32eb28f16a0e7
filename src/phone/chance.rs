//! What has to be random, and nobody may foresee.

use rand_core::Rng;

use super::Phone;

impl Phone {
    /// An index that no packet to us may carry yet.
    pub(super) fn free_index(&mut self) -> u32 {
        loop {
            let index = self.rng.next_u32();
            let is_taken = self.by_index.contains_key(&index)
                || self.half_open.contains_key(&index)
                || self.attempts.values().any(|a| a.has_index(index));
            if !is_taken {
                return index;
            }
        }
    }

    pub(super) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }
}
