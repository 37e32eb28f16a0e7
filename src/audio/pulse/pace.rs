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
    /// By how much it moved at a time last, and how much more or less it was at other times.
    pub(super) piece: usize,
    pub(super) change: usize,
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
    /// What it had to move on by when it was read last.
    lacked: usize,
    /// By how much its pieces of late were longer or shorter than others.
    uneven: usize,
    habit: Option<Habit>,
    /// When we shall be needed.
    due: i64,
}

/// When we are needed next if all goes on as before. A server may move on by large and small steps
/// in turns, which says more than the length of its pieces.
#[derive(Clone, Copy, Debug)]
struct Habit {
    due: i64,
    /// By how much it moved on at once when we were needed.
    step: usize,
    /// It has come true at least once.
    is_proven: bool,
    /// When it was seen for the last time.
    seen: i64,
}

impl Clock {
    /// What comes while it is awaited is seen as it comes. Of all else it is only known that it was
    /// there by now, so between two times that it was awaited it is expected ever sooner.
    fn read(&mut self, now: i64, read: Read, is_awaited: bool) {
        self.count += read.by as i64;
        self.learn(now, read, is_awaited);
        let piece = read.piece.max(1);
        let tolerance = 4 * self.uneven;
        let is_even = tolerance < piece / 4;
        let seen = now - micros(self.count);
        let (zero, at) = self.zero.unwrap_or((seen, now));
        let by_now = (zero - (now - at) / CREEP).min(seen);
        let zero = match is_awaited && read.by > 0 {
            true if is_even => seen,
            // The next step may be larger, and sooner for its size.
            true => by_now + (seen - by_now) / 8,
            false => by_now,
        };
        self.zero = Some((zero, now));
        let comes = match is_even {
            // Of pieces that are not quite of one length, one that would nearly do may do.
            true => {
                let wanted = read.lacks.saturating_sub(tolerance).max(1);
                wanted.div_ceil(piece) * piece
            }
            false => read.lacks,
        };
        let due = zero + micros(self.count + comes as i64);
        let habit = self.habit.filter(|habit| habit.is_proven);
        self.due = habit.map_or(due, |habit| habit.due.max(due)) + MARGIN;
    }

    fn learn(&mut self, now: i64, read: Read, is_awaited: bool) {
        self.uneven = read.change.max(self.uneven - self.uneven.div_ceil(FORGETS));
        let lacked = std::mem::replace(&mut self.lacked, read.lacks);
        let Some(surplus) = read.by.checked_sub(lacked) else {
            return;
        };
        let before = self.habit.take();
        let habit = if is_awaited {
            Habit {
                due: now,
                step: read.by,
                is_proven: before.is_some_and(|habit| habit.due.abs_diff(now) < SAME),
                seen: now,
            }
        } else {
            let Some(habit) = before else {
                return;
            };
            let due = habit.due.min(now);
            Habit { due, ..habit }
        };
        // With much more than we needed, the step before may be enough the next time.
        if surplus + NEARLY_A_STEP < habit.step && now - habit.seen < HOLDS {
            let next = micros((read.lacks + surplus) as i64);
            let due = habit.due + next - next / CREEP;
            self.habit = Some(Habit { due, ..habit });
        }
    }
}

fn micros(samples: i64) -> i64 {
    samples * 1000 / (i64::from(RATE) / 1000)
}

/// As late we are on purpose, for neither server nor clocks are exact to the microsecond.
const MARGIN: i64 = 300;

/// It is expected sooner by one part in so many.
const CREEP: i64 = 1000;

/// Samples by which a step may be shorter than the one before: half a millisecond.
const NEARLY_A_STEP: usize = 24;

/// Times that it is read, about, in which it is forgotten that pieces were uneven.
const FORGETS: usize = 32;

/// Within so many microseconds something has happened when it was expected.
const SAME: u64 = 500;

/// What was not seen for a second may have changed.
const HOLDS: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a microphone's stream brings: when, in microseconds, and the lengths of its pieces.
    type Arrival = (i64, Vec<usize>);

    /// A server that records and asks for sound, each at its own pace, for twenty seconds. How
    /// late frames and requests were found in the last ten, and how often we were awake a second.
    fn serve(
        arrivals: impl Iterator<Item = Arrival>,
        request: usize,
        stall: i64,
    ) -> (Duration, u64) {
        let began = crate::audio::now();
        let at = |micros: i64| began + Duration::from_micros(micros as u64);
        // It stands still for 30 ms, and then all of it comes at once.
        let late = |micros: i64| match micros {
            _ if (stall..stall + 30_000).contains(&micros) => stall + 30_000,
            _ => micros,
        };
        let mut arrivals = arrivals.map(|(at, pieces)| (late(at), pieces)).peekable();
        let mut pace = Pace::new(true, began);
        let (mut recorded, mut asked, mut given, mut piece) = (0, 0, 0, 0);
        let mut change;
        let (mut wakes, mut latest, mut now) = (0, 0, 0);
        while now < 20_000_000 {
            let next_piece = arrivals.peek().expect("it goes on").0;
            let next_request = late(micros((asked + request) as i64));
            let due = pace.due().map(|due| (due - began).as_micros() as i64);
            now = due.unwrap_or(next_piece.min(next_request)).max(now);
            wakes += u64::from(now > 10_000_000);
            let (recorded_before, asked_before) = (recorded, asked);
            let mut came = Vec::new();
            change = 0;
            while let Some((at, pieces)) = arrivals.next_if(|(at, _)| *at <= now) {
                let size: usize = pieces.iter().sum();
                came.extend((recorded / 960 < (recorded + size) / 960).then_some(at));
                recorded += size;
                for length in pieces {
                    change = length.abs_diff(piece).max(change);
                    piece = length;
                }
            }
            while late(micros((asked + request) as i64)) <= now {
                asked += request;
                if asked > given {
                    came.push(late(micros(asked as i64)));
                    given += 960;
                }
            }
            if now > 10_000_000 {
                latest = came.iter().fold(latest, |latest, at| latest.max(now - at));
            }
            let mic = Read {
                by: recorded - recorded_before,
                lacks: 960 - recorded % 960,
                piece,
                change,
            };
            let speaker = Read {
                by: asked - asked_before,
                lacks: given - asked + 1,
                piece: request,
                change: 0,
            };
            pace.read(at(now), mic, speaker);
        }
        (Duration::from_micros(latest as u64), wakes / 10)
    }

    /// Pieces that come as soon as they are recorded.
    fn pieces(lengths: &[usize]) -> impl Iterator<Item = Arrival> {
        lengths.iter().cycle().scan(0, |recorded, length| {
            *recorded += *length as i64;
            Some((micros(*recorded), vec![*length]))
        })
    }

    /// What comes by steps at even times, but for a jitter, whatever their lengths.
    fn steps(every: i64, jitter: i64, lengths: &[&[usize]]) -> impl Iterator<Item = Arrival> {
        let steps = lengths.iter().cycle().zip(1..);
        steps.map(move |(step, number)| {
            let shift = (number * 7919 % 101 - 50) * jitter / 50;
            (number * every + shift, step.to_vec())
        })
    }

    #[test]
    fn what_the_server_sends_is_found_soon_whatever_its_pieces() {
        let kinds: [&[usize]; 6] = [
            &[480],
            &[320],
            &[330],
            &[256],
            &[320, 330, 340],
            &[480, 240, 240],
        ];
        // When it stands still, and how late all is found then.
        let stalls = [
            (-30_000, 1),
            (1_013_000, 1),
            (8_013_000, 2),
            (15_013_000, 7),
        ];
        for kind in kinds {
            for request in [240, 480, 256] {
                for (stall, most) in stalls {
                    let (latest, wakes) = serve(pieces(kind), request, stall);
                    let is_soon = latest < Duration::from_millis(most);
                    let what =
                        format!("{kind:?}, {request}, {stall}: {latest:?}, {wakes} a second");
                    assert!(is_soon && wakes < 150, "{what}");
                }
            }
        }
    }

    #[test]
    fn a_server_that_moves_on_by_large_and_small_steps_is_followed() {
        for every in [9_990, 10_000, 10_010] {
            for request in [240, 480] {
                for jitter in [0, 400] {
                    let arrivals = steps(every, jitter, &[&[156, 480], &[325]]);
                    let (latest, wakes) = serve(arrivals, request, -30_000);
                    let is_soon = latest < Duration::from_millis(2);
                    let what = format!("{every}, {request}: {latest:?}, {wakes} a second");
                    assert!(is_soon && wakes < 130, "{jitter}, {what}");
                }
            }
        }
    }
}
