//! A place in the directory that two sides find by a common secret, and how it moves each day.

use hkdf::Hkdf;
use sha2::{Digest, Sha256};

use crate::directory::Name;
use crate::peer::{PeerId, Reach, Secret32};

/// How long one name serves, in seconds: a day.
pub const PERIOD: u64 = 86_400;
/// How long before its period a record is published already, in seconds: 2 hours.
pub const EARLY: u64 = 2 * 3600;
/// How near to the edge of a period readers look on both sides of it, in seconds: 1 hour. With
/// [`EARLY`] it lets two clocks differ by an hour.
pub const EDGE: u64 = 3600;
/// How long a record is valid, in seconds: 30 minutes.
pub const VALID: u64 = 30 * 60;

/// The identity that writes there and the secret by which the place is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    pub writer: PeerId,
    pub secret: Secret32,
    /// Seconds by which the edges of this spot's days lie before midnight, so that not all phones
    /// move at the same moment.
    phase: u64,
}

impl Spot {
    /// Where the location of `writer` stands for all its contacts.
    pub fn location(writer: PeerId, reach: &Reach) -> Spot {
        Spot::new(writer, reach.secret.clone())
    }

    /// Where `writer` leaves word for the one contact with which it shares `pairwise`.
    pub fn slot(writer: PeerId, pairwise: &Secret32) -> Spot {
        let info = [b"twocan/1 slot", &writer.as_bytes()[..]].concat();
        Spot::new(writer, derive(pairwise.as_bytes(), &info))
    }

    /// Where the location of `writer` stands for those whom it has invited.
    pub fn invite(writer: PeerId, token: &[u8; 16]) -> Spot {
        let info = [b"twocan/1 invite record", &writer.as_bytes()[..]].concat();
        Spot::new(writer, derive(token, &info))
    }

    fn new(writer: PeerId, secret: Secret32) -> Spot {
        let hash = Sha256::new()
            .chain_update(b"twocan/1 phase\0")
            .chain_update(secret.as_bytes())
            .finalize();
        let first = hash[..8].try_into().expect("8 of 32 bytes");
        let phase = u64::from_be_bytes(first) % PERIOD;
        Spot {
            writer,
            secret,
            phase,
        }
    }

    /// The period at `unix`, in seconds since 1970.
    pub fn period(&self, unix: u64) -> u64 {
        unix.saturating_add(self.phase) / PERIOD
    }

    /// In which periods the writer publishes: this one, and the next one when it is near.
    pub fn write_periods(&self, unix: u64) -> Vec<u64> {
        let now = self.period(unix);
        let mut periods = vec![now];
        periods.extend(Some(self.period(unix.saturating_add(EARLY))).filter(|p| *p != now));
        periods
    }

    /// In which periods a reader looks: this one, and a neighbour when its edge is near.
    pub fn read_periods(&self, unix: u64) -> Vec<u64> {
        let mut periods = vec![
            self.period(unix.saturating_sub(EDGE)),
            self.period(unix),
            self.period(unix.saturating_add(EDGE)),
        ];
        periods.dedup();
        periods
    }

    pub fn name(&self, period: u64) -> Name {
        Name(self.writer.blinded(&self.secret, period))
    }
}

fn derive(secret: &[u8], info: &[u8]) -> Secret32 {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, secret)
        .expand(info, &mut key)
        .expect("HKDF-SHA256 yields up to 8160 bytes");
    Secret32::new(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Identity, Seed};

    fn spot() -> Spot {
        let id = Identity::from_seed(&Seed::from_bytes([1; 32])).id();
        let secret = Secret32::new([2; 32]);
        Spot::location(id, &Reach { version: 1, secret })
    }

    /// Any instant at which a new period of `spot` starts.
    fn edge(spot: &Spot) -> u64 {
        (20_000 * PERIOD) - spot.phase
    }

    #[test]
    fn days_begin_at_the_edge_to_the_second() {
        let spot = spot();
        let edge = edge(&spot);
        assert_eq!(spot.period(edge), 20_000);
        assert_eq!(spot.period(edge - 1), 19_999);
        assert_eq!(spot.period(edge + PERIOD - 1), 20_000);
        assert_ne!(spot.phase, 0, "a phase of its own");
    }

    #[test]
    fn writers_are_early_and_readers_look_on_both_sides() {
        let spot = spot();
        let edge = edge(&spot);
        assert_eq!(spot.write_periods(edge - EARLY - 1), [19_999]);
        assert_eq!(spot.write_periods(edge - EARLY), [19_999, 20_000]);
        assert_eq!(spot.write_periods(edge), [20_000]);
        assert_eq!(spot.read_periods(edge - EDGE - 1), [19_999]);
        assert_eq!(spot.read_periods(edge - EDGE), [19_999, 20_000]);
        assert_eq!(spot.read_periods(edge + EDGE - 1), [19_999, 20_000]);
        assert_eq!(spot.read_periods(edge + EDGE), [20_000]);
    }

    /// Whatever the time, clocks that differ by up to an hour have a period in common.
    #[test]
    fn a_reader_with_a_clock_an_hour_off_meets_the_writer() {
        let spot = spot();
        for at in (edge(&spot) - PERIOD..edge(&spot) + PERIOD).step_by(97) {
            for off in [0, 1, 1800, EDGE] {
                let written = spot.write_periods(at);
                for reader in [at - off, at + off] {
                    let read = spot.read_periods(reader);
                    assert!(
                        read.iter().any(|p| written.contains(p)),
                        "{at} and {reader}"
                    );
                }
            }
        }
    }

    #[test]
    fn no_time_is_too_strange() {
        let spot = spot();
        for at in [0, 1, u64::MAX - EARLY, u64::MAX] {
            assert!(!spot.write_periods(at).is_empty());
            assert!(!spot.read_periods(at).is_empty());
        }
    }

    #[test]
    fn the_two_directions_of_a_pair_have_spots_of_their_own() {
        let ids = [3, 4].map(|byte| Identity::from_seed(&Seed::from_bytes([byte; 32])).id());
        let pairwise = Secret32::new([9; 32]);
        let [one, two] = ids.map(|id| Spot::slot(id, &pairwise));
        assert_ne!(one.secret, two.secret);
        assert_ne!(one.secret, Spot::invite(ids[0], &[9; 16]).secret);
        assert_ne!(
            Spot::invite(ids[0], &[9; 16]).secret,
            Spot::invite(ids[0], &[8; 16]).secret
        );
    }
}
