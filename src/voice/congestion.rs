//! How much the line carries, as far as its queue and its loss show.
//!
//! A queue that grows, or stands though we send less, is ours. Loss may be ours too, where what is
//! too much is dropped at once: that is found out by a trial, a few seconds with less.

use std::time::Duration;

use crate::voice::report::Report;

/// The largest rate that the line is believed to carry, as place in a ladder of rates.
#[derive(Debug)]
pub struct Congestion {
    top: usize,
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
    /// Our packets have become larger: to be tried then.
    At(Duration),
    /// Less is sent until then; with more, so much was lost.
    Until(Duration, f32),
}

impl Congestion {
    /// `top` is the place of the largest rate.
    pub fn new(top: usize) -> Congestion {
        Congestion {
            top,
            ceiling: top,
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
        if matches!(self.trial, Trial::Above(_) | Trial::At(_)) {
            self.trial = Trial::At(now + STEADY);
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
            self.ceiling = self.top;
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
        match self.trial {
            Trial::Above(loss) if report.loss > loss => self.trial = Trial::At(now + STEADY),
            // Bursts come and go: four seconds without one prove nothing.
            Trial::At(at) if now >= at && report.burst > BURSTY => self.trial = Trial::At(at),
            Trial::At(at) if now >= at && report.recent > SUSPECT && rate > 0 => {
                self.ceiling = rate.saturating_sub(2);
                self.trial = Trial::Until(now + TRIAL, report.recent.max(report.loss));
            }
            Trial::At(at) if now >= at => self.trial = Trial::Above(SUSPECT),
            Trial::Until(at, before) if now >= at && report.recent < before * 0.6 => {
                // It was ours; perhaps what is left is, too.
                self.trial = Trial::At(now + STEADY);
                self.probe_at = now + self.pause;
            }
            Trial::Until(at, before) if now >= at => {
                self.ceiling = self.top;
                self.trial = Trial::Above(before * 1.5 + 0.05);
            }
            _ => {}
        }
    }

    fn probe(&mut self, report: &Report, wanted: usize, now: Duration) {
        let is_trying = matches!(self.trial, Trial::Until(..));
        if is_trying || self.ceiling == self.top || now < self.probe_at {
            return;
        }
        self.probe_at = now + self.pause;
        if self.ceiling < wanted {
            self.ceiling += 1;
            self.probed = Some((now, report.recent));
        } else {
            self.ceiling = self.top;
            self.pause = PAUSE;
        }
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
const SUSPECT: f32 = 0.12;

/// So long packets stay as they are before less is tried, and so long that is tried.
const STEADY: Duration = Duration::from_secs(6);
const TRIAL: Duration = Duration::from_secs(4);

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
    }

    /// What is seen in each second: the rate, the delay of its last frame, frames lost.
    struct Second {
        rate: u32,
        delay_ms: f64,
        lost: u32,
        starved: bool,
    }

    fn run(line: &Line, seconds: u64) -> Vec<Second> {
        let (mut policy, mut arrivals) = (Policy::new(), Arrivals::new(FRAME));
        let mut reports: VecDeque<(Duration, Report)> = VecDeque::new();
        let mut flying: VecDeque<(Duration, u16)> = VecDeque::new();
        let (mut seen, mut lost, mut delay_ms) = (Vec::new(), 0, 0.0);
        let mut free_at = 0.0f64;
        for number in 0..seconds * 50 {
            let now = FRAME * number as u32;
            let (now_ms, second) = (number as f64 * 20.0, number / 50);
            // Head, tag, UDP and IPv4 go with the payload.
            let bytes = f64::from(RATES[policy.plan().rate]) * 2.5 + 48.0 + 25.0 + 28.0;
            let sent_ms = bytes * 8.0 / (line.carries)(second);
            if free_at - now_ms > line.queue_ms {
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
            extra_ms: |_| 0.0,
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
            queue_ms: 1000.0,
            extra_ms: |_| 0.0,
        };
        let seen = run(&line, 90);
        assert!(seen[15].rate < 32);
        assert_eq!(seen[89].rate, 32);
    }

    #[test]
    fn a_way_that_becomes_longer_is_no_queue() {
        let line = Line {
            carries: |_| 1000.0,
            queue_ms: 1000.0,
            extra_ms: |second| if second < 20 { 0.0 } else { 120.0 },
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
            extra_ms: |_| 0.0,
        };
        let seen = run(&line, 120);
        let lost: u32 = seen[60..].iter().map(|s| s.lost).sum();
        let share = f64::from(lost) / 3000.0;
        assert!(share < 0.2, "{share} lost in the second minute");
    }

    #[test]
    fn a_line_that_carries_not_even_the_least_is_told() {
        let line = Line {
            carries: |_| 40.0,
            queue_ms: 800.0,
            extra_ms: |_| 0.0,
        };
        let seen = run(&line, 60);
        assert!(seen[20..].iter().all(|s| s.starved && s.rate == 12));
    }
}
