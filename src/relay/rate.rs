//! How often somebody may do something. Pure: the time is an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use libp2p::PeerId;

/// Addresses that one person can easily have all of: a /24 of IPv4, a /48 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group([u8; 6]);

impl Group {
    pub fn of(ip: IpAddr) -> Group {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                // No address of IPv6 on the Internet starts with 0xffff.
                Group([0xff, 0xff, 0xff, a, b, c])
            }
            IpAddr::V6(ip) => {
                let octets = ip.octets();
                let mut group = [0; 6];
                group.copy_from_slice(&octets[..6]);
                Group(group)
            }
        }
    }

    /// A group of its own for one node.
    pub fn of_node(node: &PeerId) -> Group {
        let bytes = node.to_bytes();
        let mut group = [0xfe; 6];
        // The end of a name is the hash or the key itself. No address starts with 0xfefe.
        group[2..].copy_from_slice(&bytes[bytes.len() - 4..]);
        Group(group)
    }
}

/// A bucket of tokens for each of many.
#[derive(Debug)]
pub struct Rates<K> {
    burst: f64,
    per_second: f64,
    buckets: HashMap<K, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

impl<K: Hash + Eq> Rates<K> {
    /// `burst` at once, and `per_minute` from then on.
    pub fn new(burst: u32, per_minute: u32) -> Rates<K> {
        Rates {
            burst: f64::from(burst),
            per_second: f64::from(per_minute) / 60.0,
            buckets: HashMap::new(),
        }
    }

    /// Whether `who` may once more. `now` counts from any fixed moment.
    pub fn take(&mut self, who: K, now: Duration) -> bool {
        if self.buckets.len() >= MANY {
            self.forget(now);
        }
        if self.buckets.len() >= MANY && !self.buckets.contains_key(&who) {
            return false;
        }
        let full = Bucket {
            tokens: self.burst,
            at: now,
        };
        let bucket = self.buckets.entry(who).or_insert(full);
        let gained = now.saturating_sub(bucket.at).as_secs_f64() * self.per_second;
        bucket.tokens = (bucket.tokens + gained).min(self.burst);
        bucket.at = now;
        let may = bucket.tokens >= 1.0;
        bucket.tokens -= f64::from(u8::from(may));
        may
    }

    /// Drops the buckets that have filled up again: they say nothing.
    pub fn forget(&mut self, now: Duration) {
        let (burst, per_second) = (self.burst, self.per_second);
        self.buckets.retain(|_, bucket| {
            let gained = now.saturating_sub(bucket.at).as_secs_f64() * per_second;
            bucket.tokens + gained < burst
        });
    }
}

/// So many are told apart at once.
const MANY: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_and_then_the_rate_holds() {
        let mut rates = Rates::new(3, 60);
        let at = Duration::from_secs;
        let taken = |rates: &mut Rates<u8>, now| (0..10).filter(|_| rates.take(1, now)).count();
        assert_eq!(taken(&mut rates, at(0)), 3);
        assert_eq!(taken(&mut rates, at(2)), 2);
        assert!(rates.take(2, at(2)), "another has his own");
        assert_eq!(taken(&mut rates, at(1000)), 3);
        assert_eq!(taken(&mut rates, at(500)), 0, "a clock that goes back");
    }

    #[test]
    fn many_strangers_take_no_more_room() {
        let mut rates = Rates::new(2, 60);
        for n in 0..100_000_u32 {
            rates.take(n, Duration::ZERO);
        }
        assert!(rates.buckets.len() <= MANY);
        assert!(rates.take(200_000, Duration::from_secs(60)));
        assert_eq!(rates.buckets.len(), 1);
    }

    #[test]
    fn neighbours_are_one_group() {
        let group = |ip: &str| Group::of(ip.parse().expect("an address"));
        assert_eq!(group("192.0.2.1"), group("192.0.2.254"));
        assert_eq!(group("192.0.2.1"), group("::ffff:192.0.2.9"));
        assert_ne!(group("192.0.2.1"), group("192.0.3.1"));
        assert_eq!(group("2001:db8:1::1"), group("2001:db8:1:ffff::2"));
        assert_ne!(group("2001:db8:1::1"), group("2001:db8:2::1"));
        assert_ne!(group("0.0.0.0"), group("::"));
    }
}
