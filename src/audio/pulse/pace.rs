//! When a sound server will have something for us, so that not each of its messages wakes us up.
//!
//! A server on this computer sends some four hundred messages a second, of which a hundred matter:
//! those that complete a frame of the microphone, and those by which the loudspeaker asks for more
//! than it was given. Both ways it goes by its own even clock, so what it will send can be foretold
//! and slept for; what else has come meanwhile is read with it.

use std::time::{Duration, Instant};

use crate::audio::codec::RATE;

/// The pace of both streams.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    mic: Option<Clock>,
    speaker: Clock,
    /// What comes next has to be awaited.
    awaits: bool,
}

/// A stream as it was read, in samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// What it moved on by since it was read before.
    pub(super) by: usize,
    /// What it has to move on by for us to be needed.
    pub(super) lacks: usize,
    /// By how much it moves at a time.
    pub(super) piece: usize,
}

impl Pace {
    /// For a microphone, if it `records`, and a loudspeaker.
    pub(super) fn new(records: bool, now: Instant) -> Pace {
        Pace {
            began: now,
            mic: records.then(Clock::default),
            speaker: Clock::default(),
            awaits: true,
        }
    }

    /// Until when nothing is worth waking up for; nothing if what comes next must be awaited.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = self.first_due();
        let due = u64::try_from(due).ok().filter(|_| !self.awaits)?;
        Some(self.began + Duration::from_micros(due))
    }

    /// What the server had sent was read at `now`, and answered.
    pub(super) fn read(&mut self, now: Instant, mic: Read, speaker: Read) {
        let now = now.saturating_duration_since(self.began).as_micros() as i64;
        self.speaker.read(now, speaker, self.awaits);
        if let Some(clock) = &mut self.mic {
            clock.read(now, mic, self.awaits);
        }
        self.awaits = self.first_due() <= now;
    }

    fn first_due(&self) -> i64 {
        let mic = self.mic.as_ref().map_or(i64::MAX, |mic| mic.due);
        mic.min(self.speaker.due)
    }
}

/// A clock that counts samples, in microseconds of ours.
#[derive(Debug, Default)]
struct Clock {
    /// Since the beginning.
    count: i64,
    /// When it was at 0, and when that was last thought about.
    zero: Option<(i64, i64)>,
    /// When we shall be needed.
    due: i64,
}

impl Clock {
    /// What comes while it is awaited is seen as it comes. Of all else it is only known that it was
    /// there by now, so between two times that it was awaited it is expected ever sooner.
    fn read(&mut self, now: i64, read: Read, is_awaited: bool) {
        self.count += read.by as i64;
        let seen = now - micros(self.count);
        let zero = match self.zero {
            Some((zero, at)) => (zero - (now - at) / CREEP).min(seen),
            None => seen,
        };
        let zero = if is_awaited && read.by > 0 {
            seen
        } else {
            zero
        };
        self.zero = Some((zero, now));
        // Pieces are not all of one length: one that would nearly do may do.
        let piece = read.piece.max(1);
        let pieces = read.lacks.saturating_sub(piece / 8).max(1).div_ceil(piece);
        self.due = zero + micros(self.count + (pieces * piece) as i64) + MARGIN;
    }
}

fn micros(samples: i64) -> i64 {
    samples * 1000 / (i64::from(RATE) / 1000)
}

/// As late we are on purpose, for neither server nor clocks are exact to the microsecond.
const MARGIN: i64 = 300;

/// It is expected sooner by one part in so many.
const CREEP: i64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that records in pieces and asks for sound, each at its own pace, for ten seconds. How
    /// late frames and requests were found in the last five, and how often we were awake a second.
    fn serve(piece: impl Fn(u64) -> usize, request: usize, stall: u64) -> (Duration, u64) {
        let began = crate::audio::now();
        let at = |samples: u64| began + Duration::from_secs(samples) / RATE;
        // It stands still for 30 ms, and then all of it comes at once.
        let from = began + Duration::from_millis(stall);
        let late = |when: Instant| {
            let till = from + Duration::from_millis(30);
            if (from..till).contains(&when) {
                till
            } else {
                when
            }
        };
        let mut pace = Pace::new(true, began);
        let (mut recorded, mut pieces, mut asked, mut given) = (0, 0, 0, 0);
        let (mut wakes, mut latest, mut now) = (0, Duration::ZERO, began);
        while now < at(480_000) {
            let next_piece = late(at(recorded + piece(pieces) as u64));
            let next_request = late(at(asked + request as u64));
            now = pace.due().unwrap_or(next_piece.min(next_request)).max(now);
            wakes += 1;
            let (recorded_before, asked_before) = (recorded, asked);
            let mut came = Vec::new();
            loop {
                let size = piece(pieces) as u64;
                let at = late(at(recorded + size));
                if at > now {
                    break;
                }
                came.extend((recorded / 960 < (recorded + size) / 960).then_some(at));
                (recorded, pieces) = (recorded + size, pieces + 1);
            }
            while late(at(asked + request as u64)) <= now {
                asked += request as u64;
                if asked > given {
                    came.push(late(at(asked)));
                    given += 960;
                }
            }
            if now > at(240_000) {
                latest = came.iter().fold(latest, |latest, at| latest.max(now - *at));
            }
            let mic = Read {
                by: (recorded - recorded_before) as usize,
                lacks: 960 - (recorded % 960) as usize,
                piece: piece(pieces.saturating_sub(1)),
            };
            let speaker = Read {
                by: (asked - asked_before) as usize,
                lacks: (given - asked) as usize + 1,
                piece: request,
            };
            pace.read(now, mic, speaker);
        }
        (latest, wakes / 10)
    }

    #[test]
    fn what_the_server_sends_is_found_soon_whatever_its_pieces() {
        let pieces: [fn(u64) -> usize; 6] = [
            |_| 480,
            |_| 320,
            |_| 330,
            |_| 256,
            |n| 320 + (n % 3) as usize * 10,
            |n| [480, 240, 240][n as usize % 3],
        ];
        for (kind, piece) in pieces.into_iter().enumerate() {
            for request in [240, 480, 256] {
                for (stall, most) in [(0, 1), (1013, 1), (8013, 7)] {
                    let (latest, wakes) = serve(piece, request, stall);
                    let is_soon = latest < Duration::from_millis(most);
                    let what = format!("{kind}, {request}, {stall}: {latest:?}, {wakes} a second");
                    assert!(is_soon && wakes < 165, "{what}");
                }
            }
        }
    }
}
