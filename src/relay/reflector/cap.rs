//! How much goes out altogether, and who has to give way when that is less than what comes in.
//!
//! There is no queue: voice that waits is of no use. Instead each room owes for what it sent, and
//! pays at its fair share of the cap, which is what a round robin by deficits would serve it. While
//! there is room enough debts do not matter. When it is tight, a room that owes more than a moment's
//! share loses what it sends beyond it, so that drops hit who sends most and never who comes last.
//! Strangers notice first, and have half of the cap among them while friends of the owner talk.

use super::bucket::{Bucket, SECOND};

/// For whom a room was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Whoever showed the owner's pass.
    Friend,
    Stranger,
}

/// See the module.
#[derive(Debug)]
pub struct Cap {
    /// Nanoseconds that 1024 bytes take; `None` without a cap.
    per_kib: Option<u64>,
    sent: Bucket,
    window: u64,
    /// Rooms that sent in this window and in the one before, by class.
    active: [u64; 2],
    before: [u64; 2],
}

/// What one room owes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Share {
    owed: Bucket,
    window: u64,
}

impl Cap {
    /// At most that many bits a second; `None` for no cap.
    pub fn new(rate: Option<u64>) -> Cap {
        Cap {
            per_kib: rate.map(|rate| 1024 * 8 * SECOND / rate.max(1)),
            sent: Bucket::default(),
            window: 0,
            active: [0; 2],
            before: [0; 2],
        }
    }

    /// Whether a room may send so many bytes. If so they count.
    pub fn may(&mut self, share: &mut Share, class: Class, bytes: usize, now: u64) -> bool {
        let Some(per_kib) = self.per_kib else {
            return true;
        };
        self.notice(share, class, now);
        let cost = (bytes as u64 * per_kib) >> 10;
        let debt = self.sent.debt(now);
        let tight = match class {
            Class::Friend => debt > DEPTH / 2,
            Class::Stranger => debt > DEPTH / 4,
        };
        let greedy = share.owed.debt(now) > WINDOW;
        if debt > MOST || tight && greedy {
            return false;
        }
        self.sent.add(now, cost);
        let due = cost.saturating_mul(self.divisor(class));
        share.owed.add_at_most(now, due, WINDOW);
        true
    }

    /// Into how many shares the cap is divided, seen from that class.
    fn divisor(&self, class: Class) -> u64 {
        let rooms = |class: Class| self.active[class as usize].max(self.before[class as usize]);
        let other = match class {
            Class::Friend => Class::Stranger,
            Class::Stranger => Class::Friend,
        };
        let halved = if rooms(other) > 0 { 2 } else { 1 };
        halved * rooms(class).max(1)
    }

    fn notice(&mut self, share: &mut Share, class: Class, now: u64) {
        // Window 0 is that of rooms which never sent.
        let window = 1 + now / WINDOW;
        if window != self.window {
            self.before = match window == self.window + 1 {
                true => self.active,
                false => [0; 2],
            };
            self.active = [0; 2];
            self.window = window;
        }
        if share.window != window {
            share.window = window;
            self.active[class as usize] += 1;
        }
    }
}

/// How much of the cap may go out at once before that counts as tight: a twentieth of a second.
const DEPTH: u64 = SECOND / 20;

/// The same before all is dropped: so much that all who owe nothing can send at the same moment.
const MOST: u64 = WINDOW + DEPTH;

/// Five frames of voice: who did not send for so long does not count, and as much may be owed.
const WINDOW: u64 = SECOND / 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets that get through of those of each room, which sends one of 1000 bytes with that
    /// pause, in ten seconds. The first is always the last to send among those of one moment.
    fn run(cap: u64, rooms: &[(Class, u64)]) -> Vec<f64> {
        let mut cap = Cap::new(Some(cap));
        let mut shares = vec![Share::default(); rooms.len()];
        let mut through = vec![(0_u32, 0_u32); rooms.len()];
        for ms in 0..10_000 {
            for (n, (class, pause)) in rooms.iter().enumerate().rev() {
                if ms % pause != 0 {
                    continue;
                }
                // The first second is for settling down.
                let counts = u32::from(ms >= 1000);
                let passed = cap.may(&mut shares[n], *class, 1000, ms * 1_000_000);
                through[n].0 += counts * u32::from(passed);
                through[n].1 += counts;
            }
        }
        let part = |(passed, all): &(u32, u32)| f64::from(*passed) / f64::from(*all);
        through.iter().map(part).collect()
    }

    use Class::{Friend, Stranger};

    #[test]
    fn without_a_cap_all_goes() {
        let mut cap = Cap::new(None);
        let mut share = Share::default();
        assert!((0..10_000).all(|_| cap.may(&mut share, Stranger, 1200, 0)));
    }

    #[test]
    fn below_the_cap_nobody_loses() {
        // 50 packets a second of 8000 bits each: 400 kbit/s a room.
        let through = run(5_000_000, &[(Stranger, 20); 10]);
        assert!(through.iter().all(|&part| part == 1.0), "{through:?}");
    }

    #[test]
    fn only_who_sends_most_loses() {
        // 10 x 400 kbit/s and one of 8 Mbit/s, with 5 Mbit/s for all.
        let mut rooms = vec![(Stranger, 20); 10];
        rooms.push((Stranger, 1));
        let through = run(5_000_000, &rooms);
        assert!(
            through[..10].iter().all(|&part| part > 0.999),
            "{through:?}"
        );
        assert!((0.08..0.15).contains(&through[10]), "{through:?}");
    }

    #[test]
    fn equals_lose_equally_and_the_cap_holds() {
        let through = run(2_000_000, &[(Stranger, 20); 10]);
        let sum: f64 = through.iter().sum();
        assert!((4.5..5.2).contains(&sum), "half goes: {sum}");
        assert!(
            through.iter().all(|p| (0.4..0.6).contains(p)),
            "{through:?}"
        );
    }

    #[test]
    fn strangers_have_half_while_friends_talk() {
        let rooms = [(Friend, 4), (Stranger, 1), (Stranger, 1)];
        // The friend wants 2 Mbit/s of 4, and gets them; strangers want 16.
        let through = run(4_000_000, &rooms);
        assert!(through[0] > 0.99, "{through:?}");
        let strangers: f64 = through[1..].iter().sum();
        assert!((0.2..0.3).contains(&strangers), "{through:?}");
        // Without friends they have all.
        let through = run(4_000_000, &rooms[1..]);
        let strangers: f64 = through.iter().sum();
        assert!((0.45..0.55).contains(&strangers), "{through:?}");
    }
}
