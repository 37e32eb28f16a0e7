//! A rate and what may be taken at once, in one number (the generic cell rate algorithm, ITU-T
//! I.371). Times are nanoseconds since any fixed moment.

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// Counts by the time at which all that was taken will have been paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    paid_at: u64,
}

impl Bucket {
    /// How much is not paid for yet.
    pub fn debt(self, now: u64) -> u64 {
        self.paid_at.saturating_sub(now)
    }

    /// Takes what costs so many nanoseconds.
    pub fn add(&mut self, now: u64, cost: u64) {
        self.paid_at = self.paid_at.max(now).saturating_add(cost);
    }

    /// As [`Bucket::add`], but owes no more than `most` and this.
    pub fn add_at_most(&mut self, now: u64, cost: u64, most: u64) {
        self.paid_at = self.paid_at.min(now.saturating_add(most));
        self.add(now, cost);
    }

    /// Takes it if no more than `depth` is owed. `false` if it did not.
    pub fn take(&mut self, now: u64, cost: u64, depth: u64) -> bool {
        let may = self.debt(now) <= depth;
        if may {
            self.add(now, cost);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_and_then_the_rate_holds() {
        let mut bucket = Bucket::default();
        let cost = SECOND / 10;
        let taken = |bucket: &mut Bucket, now| {
            let tries = (0..100).filter(|_| bucket.take(now, cost, 4 * cost));
            tries.count()
        };
        assert_eq!(taken(&mut bucket, 5 * SECOND), 5);
        assert_eq!(taken(&mut bucket, 6 * SECOND), 5, "it was empty again");
        assert_eq!(taken(&mut bucket, 6 * SECOND + 2 * cost), 2);
        assert_eq!(taken(&mut bucket, 0), 0, "a clock that goes back");
    }

    #[test]
    fn no_debt_grows_without_bound() {
        let mut bucket = Bucket::default();
        for _ in 0..1000 {
            bucket.add_at_most(0, 5, 100);
        }
        assert_eq!(bucket.debt(0), 105);
    }
}
