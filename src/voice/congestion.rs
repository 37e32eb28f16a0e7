//! How much the line carries, as far as its queue and its loss show.
//!
//! A queue that grows, or stands though we send less, is ours. Loss may be ours too, where what is
//! too much is dropped at once: that is found out by a trial, a few seconds with a little less. If the
//! line passes on no more than it carries, its loss must fall as much as that; loss by chance stays.

use std::time::Duration;

use crate::voice::report::Report;

/// The largest rate that the line is believed to carry, as place in a ladder of rates.
#[derive(Debug)]
pub struct Congestion {
    /// Payloads in kbit/s, the least first.
    ladder: &'static [u32],
    ceiling: usize,
    /// A queue that stood still though we sent less: the way has become longer, that is all.
    base: Duration,
    last: Duration,
    /// The queue as it was when we first went down because of it.
    first: Option<Duration>,
    downs: u32,
    /// When the effect of the last step down can be seen.
    settled: Duration,
    /// When the next step up is tried, and how long after a trouble that is.
    probe_at: Duration,
    pause: Duration,
    /// The last step up from a ceiling: when, and the loss before it.
    probed: Option<(Duration, f32)>,
    trial: Trial,
}

/// Whether loss comes of what we send.
#[derive(Clone, Copy, Debug)]
enum Trial {
    /// Not in question below this loss.
    Above(f32),
    /// To be tried if it is more than so much: our packets have become larger, or with less of them
    /// less was lost. The losses of the last seconds before that moment are noted.
    At(Duration, f32, Mean),
    /// Less is sent.
    Less(Less),
}

impl Trial {
    fn at(at: Duration, least: f32) -> Trial {
        Trial::At(at, least, Mean::default())
    }
}

/// A trial with less.
#[derive(Clone, Copy, Debug)]
struct Less {
    since: Duration,
    /// The loss before.
    before: f32,
    /// What it falls to if it comes of what we send.
    ours: f32,
    /// The loss since the trial shows.
    seen: Mean,
}

/// Of reported losses.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f32,
    count: u16,
}

impl Mean {
    fn take(&mut self, loss: f32) {
        self.sum += loss.clamp(0.0, 1.0);
        self.count = self.count.saturating_add(1);
    }

    fn get(&self) -> Option<f32> {
        (self.count > 0).then(|| self.sum / f32::from(self.count))
    }
}

impl Congestion {
    /// `ladder` are the payloads that there are, in kbit/s, the least first.
    pub fn new(ladder: &'static [u32]) -> Congestion {
        Congestion {
            ladder,
            ceiling: ladder.len().saturating_sub(1),
            base: Duration::ZERO,
            last: Duration::ZERO,
            first: None,
            downs: 0,
            settled: Duration::ZERO,
            probe_at: Duration::ZERO,
            pause: PAUSE,
            probed: None,
            trial: Trial::Above(SUSPECT),
        }
    }

    pub fn ceiling(&self) -> usize {
        self.ceiling
    }

    /// What is reported of the line while packets of `rate` are sent and `wanted` would be better.
    pub fn hear(&mut self, report: &Report, rate: usize, wanted: usize, now: Duration) {
        let queue = report.queue.min(LONGEST);
        self.base = self.base.min(queue);
        let queue = queue - self.base;
        let drains = queue + DRAINING < self.last;
        self.last = queue;
        if self.has_choked(report, now) {
            self.go_down(rate, queue, now);
        } else if queue >= LONG && !drains && now >= self.settled {
            self.take_queue(report, rate, queue, now);
        } else if queue < SHORT {
            self.first = None;
            self.downs = 0;
            self.try_less(report, rate, now);
            self.probe(report, wanted, now);
        }
    }

    /// Our packets have become larger, to repair more loss.
    pub fn grew(&mut self, now: Duration) {
        if matches!(self.trial, Trial::Above(_) | Trial::At(..)) {
            self.trial = Trial::at(now + STEADY, SUSPECT);
        }
    }

    /// Loss that is much more since we have tried more.
    fn has_choked(&mut self, report: &Report, now: Duration) -> bool {
        let Some((at, before)) = self.probed else {
            return false;
        };
        let since = now.saturating_sub(at);
        if since > BLAMED {
            self.probed = None;
        }
        since > EFFECT && report.recent > before * 1.5 + 0.05
    }

    fn take_queue(&mut self, report: &Report, rate: usize, queue: Duration, now: Duration) {
        let first = *self.first.get_or_insert(queue);
        let stands_still = queue + DRAINING * 2 > first && queue < first + DRAINING * 2;
        if self.downs >= 2 && stands_still && report.recent < FULL {
            self.base += queue;
            self.first = None;
            self.downs = 0;
            self.ceiling = self.top();
            return;
        }
        self.go_down(rate, queue, now);
    }

    fn go_down(&mut self, rate: usize, queue: Duration, now: Duration) {
        if self.probed.take().is_some() {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        let steps = if queue >= VERY_LONG { 2 } else { 1 };
        self.ceiling = rate.saturating_sub(steps);
        self.downs += 1;
        self.settled = now + EFFECT;
        self.probe_at = now + self.pause;
    }

    fn try_less(&mut self, report: &Report, rate: usize, now: Duration) {
        match &mut self.trial {
            Trial::Above(loss) if report.loss > *loss => {
                self.trial = Trial::at(now + STEADY, SUSPECT);
            }
            Trial::At(at, least, seen) => {
                if now + SEEN >= *at {
                    seen.take(report.recent);
                }
                // Bursts come and go: some seconds without one prove nothing.
                if now >= *at && report.burst <= BURSTY {
                    let (least, before) = (*least, seen.get().unwrap_or(report.recent));
                    self.begin_trial(before, least, rate, now);
                }
            }
            Trial::Less(less) => {
                let since = now.saturating_sub(less.since);
                if since >= EFFECT {
                    less.seen.take(report.recent);
                }
                if since >= TRIAL {
                    let less = *less;
                    self.end_trial(less, now);
                }
            }
            Trial::Above(_) => {}
        }
    }

    fn begin_trial(&mut self, before: f32, least: f32, rate: usize, now: Duration) {
        if before <= least || rate == 0 {
            self.trial = Trial::Above(SUSPECT);
            return;
        }
        self.ceiling = rate - 1;
        let less = self.on_wire(rate) / self.on_wire(rate - 1);
        self.trial = Trial::Less(Less {
            since: now,
            before,
            ours: (1.0 - (1.0 - before) * less).max(0.0),
            seen: Mean::default(),
        });
    }

    fn end_trial(&mut self, less: Less, now: Duration) {
        let Some(seen) = less.seen.get() else {
            return;
        };
        if seen < (less.before + less.ours) / 2.0 {
            // Perhaps what is left is ours, too.
            self.trial = Trial::at(now + STEADY, MORE);
            self.probe_at = now + self.pause;
        } else {
            self.ceiling = self.top();
            self.trial = Trial::Above(less.before * 1.5 + 0.05);
        }
    }

    fn probe(&mut self, report: &Report, wanted: usize, now: Duration) {
        let is_trying = matches!(self.trial, Trial::Less(_));
        if is_trying || self.ceiling == self.top() || now < self.probe_at {
            return;
        }
        self.probe_at = now + self.pause;
        if self.ceiling < wanted {
            self.ceiling += 1;
            self.probed = Some((now, report.recent));
        } else {
            self.ceiling = self.top();
            self.pause = PAUSE;
        }
    }

    fn top(&self) -> usize {
        self.ladder.len().saturating_sub(1)
    }

    /// What packets of this rate take of the line, in kbit/s.
    fn on_wire(&self, rate: usize) -> f32 {
        (self.ladder[rate.min(self.top())] + AROUND) as f32
    }
}

/// A queue that matters, one that is none, and one that has to go at once.
const LONG: Duration = Duration::from_millis(40);
const SHORT: Duration = Duration::from_millis(20);
const VERY_LONG: Duration = Duration::from_millis(200);

/// Whatever is said to be longer is as good as this.
const LONGEST: Duration = Duration::from_secs(2);

/// A change of the queue that is more than chance.
const DRAINING: Duration = Duration::from_millis(8);

/// Loss beside a queue that stands still: it is full.
const FULL: f32 = 0.02;

/// After a step, until its effect was reported: a report looks back up to 2 s.
const EFFECT: Duration = Duration::from_millis(2500);

/// Later than this loss has other reasons than a step.
const BLAMED: Duration = Duration::from_secs(8);

/// Mean losses in a row from which on loss is no subject for a trial.
const BURSTY: f32 = 2.2;

/// Loss that may be our own.
const SUSPECT: f32 = 0.08;

/// The same after a part of it was.
const MORE: f32 = 0.03;

/// So long packets stay as they are before less is tried, and so long that is tried.
const STEADY: Duration = Duration::from_secs(6);
const TRIAL: Duration = Duration::from_secs(6);

/// So long before a trial the loss is noted.
const SEEN: Duration = Duration::from_secs(4);

/// What headers, tag and numbers around a payload take in kbit/s: 100 bytes, 50 times a second.
const AROUND: u32 = 40;

/// Before the next rate is tried, at first and after many that failed.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::voice::policy::{Policy, RATES};
    use crate::voice::report::Arrivals;

    const FRAME: Duration = Duration::from_millis(20);

    /// A line that carries so many kbit/s, with a queue of so many ms before it, and 40 ms long.
    struct Line {
        carries: fn(u64) -> f64,
        queue_ms: f64,
        extra_ms: fn(u64) -> f64,
        /// Of a thousand frames, lost by chance.
        unlucky: u64,
    }

    /// What is seen in each second: the rate, the delay of its last frame, frames lost.
    struct Second {
        rate: u32,
        delay_ms: f64,
        lost: u32,
        starved: bool,
    }

    /// It carries all, without a queue to speak of.
    const WIDE: Line = Line {
        carries: |_| 1000.0,
        queue_ms: 1000.0,
        extra_ms: |_| 0.0,
        unlucky: 0,
    };

    fn run(line: &Line, seconds: u64) -> Vec<Second> {
        let (mut policy, mut arrivals) = (Policy::new(), Arrivals::new(FRAME));
        let mut reports: VecDeque<(Duration, Report)> = VecDeque::new();
        let mut flying: VecDeque<(Duration, u16)> = VecDeque::new();
        let (mut seen, mut lost, mut delay_ms) = (Vec::new(), 0, 0.0);
        let mut free_at = 0.0f64;
        let mut chance = 7u64;
        for number in 0..seconds * 50 {
            let now = FRAME * number as u32;
            let (now_ms, second) = (number as f64 * 20.0, number / 50);
            // Head, tag, UDP and IPv4 go with the payload.
            let bytes = f64::from(RATES[policy.plan().rate]) * 2.5 + 48.0 + 25.0 + 28.0;
            let sent_ms = bytes * 8.0 / (line.carries)(second);
            chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            if free_at - now_ms > line.queue_ms || (chance >> 33) % 1000 < line.unlucky {
                lost += 1;
            } else {
                free_at = free_at.max(now_ms) + sent_ms;
                delay_ms = free_at - now_ms + 40.0 + (line.extra_ms)(second);
                let at = now + Duration::from_secs_f64(delay_ms / 1000.0);
                flying.push_back((at, number as u16));
            }
            while flying.front().is_some_and(|(at, _)| *at <= now) {
                let (at, seq) = flying.pop_front().expect("looked");
                arrivals.arrived(seq, at);
            }
            let report = arrivals.report(now);
            reports.extend(report.map(|report| (now + Duration::from_millis(40), report)));
            while reports.front().is_some_and(|(at, _)| *at <= now) {
                let (_, report) = reports.pop_front().expect("looked");
                policy.hear(&report, now);
            }
            if number % 50 == 49 {
                seen.push(Second {
                    rate: RATES[policy.plan().rate],
                    delay_ms,
                    lost: std::mem::take(&mut lost),
                    starved: policy.plan().starved,
                });
            }
        }
        seen
    }

    /// Of all that follow second `from`.
    fn worst(seen: &[Second], from: usize) -> f64 {
        seen[from..].iter().map(|s| s.delay_ms).fold(0.0, f64::max)
    }

    #[test]
    fn a_line_too_narrow_gets_less_and_its_queue_goes_away() {
        let line = Line {
            carries: |_| 62.0,
            queue_ms: 2000.0,
            ..WIDE
        };
        let seen = run(&line, 120);
        let late = &seen[20..];
        assert!(late.iter().all(|s| s.rate <= 24), "sends too much");
        let quick = late.iter().filter(|s| s.delay_ms < 120.0).count();
        assert!(quick > 80, "only {quick} of 100 s without a queue");
        assert!(worst(&seen, 20) < 400.0, "{} ms", worst(&seen, 20));
        assert!(seen.iter().all(|s| !s.starved));
    }

    #[test]
    fn what_was_given_up_comes_back_when_the_line_is_wide_again() {
        let line = Line {
            carries: |second| if second < 20 { 62.0 } else { 1000.0 },
            ..WIDE
        };
        let seen = run(&line, 90);
        assert!(seen[15].rate < 32);
        assert_eq!(seen[89].rate, 32);
    }

    #[test]
    fn a_way_that_becomes_longer_is_no_queue() {
        let line = Line {
            extra_ms: |second| if second < 20 { 0.0 } else { 120.0 },
            ..WIDE
        };
        let seen = run(&line, 90);
        assert!(seen[..20].iter().chain(&seen[40..]).all(|s| s.rate == 32));
    }

    #[test]
    fn loss_that_comes_of_what_we_send_is_not_answered_with_more() {
        // No queue to speak of: what is too much is dropped.
        let line = Line {
            carries: |_| 66.0,
            queue_ms: 25.0,
            ..WIDE
        };
        let seen = run(&line, 120);
        let lost: u32 = seen[60..].iter().map(|s| s.lost).sum();
        let share = f64::from(lost) / 3000.0;
        assert!(share < 0.2, "{share} lost in the second minute");
    }

    #[test]
    fn loss_by_chance_is_repaired_with_all_there_is() {
        let line = Line {
            unlucky: 200,
            ..WIDE
        };
        let seen = run(&line, 120);
        let full = seen[30..].iter().filter(|s| s.rate == 64).count();
        assert!(full > 80, "the most in {full} of 90 s only");
        assert!(seen[5..].iter().all(|s| s.rate >= 48));
    }

    #[test]
    fn a_line_that_carries_not_even_the_least_is_told() {
        let line = Line {
            carries: |_| 40.0,
            queue_ms: 800.0,
            ..WIDE
        };
        let seen = run(&line, 60);
        assert!(seen[20..].iter().all(|s| s.starved && s.rate == 12));
    }
}
