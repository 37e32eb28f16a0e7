//! How the far voice arrives, for its sender to know: loss before any repair, its bursts, and what
//! waits in a queue on the way.

use std::time::Duration;

/// What is told of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Share (0..=1) of the frames that never came.
    pub loss: f32,
    /// The same over the last two seconds alone: less certain, but quick to show a change.
    pub recent: f32,
    /// Mean number of frames lost in a row; 0 without loss.
    pub burst: f32,
    /// By how much even the quickest frames of the last second were slower than the quickest ever.
    /// Jitter leaves some frames quick; a queue leaves none.
    pub queue: Duration,
}

/// Watches the arrivals of one sender. Allocates nothing.
#[derive(Debug)]
pub struct Arrivals {
    frame: Duration,
    /// One bit for each of the last frames: whether it has come.
    came: [u64; WORDS],
    /// First frame that counts, and the newest that came; none before the first has come.
    span: Option<(u64, u64)>,
    delays: Delays,
    told: Option<(Report, Duration)>,
    /// Something has arrived since then.
    is_fresh: bool,
}

impl Arrivals {
    /// `frame` is what one frame stands for.
    pub fn new(frame: Duration) -> Arrivals {
        Arrivals {
            frame,
            came: [0; WORDS],
            span: None,
            delays: Delays::default(),
            told: None,
            is_fresh: false,
        }
    }

    /// Frame `seq` itself, not a copy of it, has arrived at `now`.
    pub fn arrived(&mut self, seq: u16, now: Duration) {
        self.is_fresh = true;
        let (_, newest) = *self
            .span
            .get_or_insert((FIRST + u64::from(seq), FIRST + u64::from(seq)));
        let step = seq.wrapping_sub(newest as u16) as i16;
        let number = newest.saturating_add_signed(i64::from(step));
        if !(-BACK..=GAP).contains(&i64::from(step)) {
            // The sender has begun anew, or nothing came for so long that no copy could help.
            self.span = Some((number, number));
            self.delays = Delays::default();
        }
        self.note(number);
        let due = self.frame.as_micros() as i64 * (number - FIRST / 2) as i64;
        self.delays.note(now.as_micros() as i64 - due, now);
    }

    /// What the sender should be told now: once a second, and sooner when the line gets worse.
    pub fn report(&mut self, now: Duration) -> Option<Report> {
        let since = self.told.map(|(_, at)| now.saturating_sub(at));
        if !self.is_fresh || since.is_some_and(|since| since < SOONEST) {
            return None;
        }
        let report = Report {
            loss: self.loss(),
            recent: self.recent(),
            burst: self.burst(),
            queue: self.delays.queue(now),
        };
        let is_due = since.is_none_or(|since| since >= USUALLY);
        if !is_due && !self.told.is_some_and(|(told, _)| is_worse(&report, &told)) {
            return None;
        }
        self.told = Some((report, now));
        self.is_fresh = false;
        Some(report)
    }

    fn note(&mut self, number: u64) {
        let Some((first, newest)) = &mut self.span else {
            return;
        };
        for passed in *newest + 1..number {
            clear(&mut self.came, passed);
        }
        *first = (*first).max(number.saturating_sub(KEPT - 1));
        *newest = number.max(*newest);
        set(&mut self.came, number);
    }

    /// The share over ten seconds; where a shorter time was clearly worse, that of the shorter time
    /// as far as it is certain. So a loss that begins shows within a second, and one that has ended
    /// is forgotten in ten.
    fn loss(&self) -> f32 {
        let Some((first, end)) = self.judged() else {
            return 0.0;
        };
        let lost_of_last = |frames: u64| self.lost(first.max(end.saturating_sub(frames)), end);
        let whole = lost_of_last(KEPT) / ((end - first) as f32).max(FEWEST);
        let certain = WINDOWS.map(|frames| {
            let lost = lost_of_last(frames);
            (lost - CERTAINTY * lost.sqrt()) / frames as f32
        });
        certain.into_iter().fold(whole, f32::max)
    }

    fn recent(&self) -> f32 {
        let Some((first, end)) = self.judged() else {
            return 0.0;
        };
        self.lost(first.max(end.saturating_sub(LATELY)), end) / LATELY as f32
    }

    fn burst(&self) -> f32 {
        let Some((first, end)) = self.judged() else {
            return 0.0;
        };
        let lost = self.lost(first, end);
        if lost == 0.0 {
            return 0.0;
        }
        let ends = (first..end).filter(|number| !self.has(*number) && self.has(number + 1));
        lost / (ends.count() as f32).max(1.0)
    }

    /// How many of the frames from `from` to `end` have not come.
    fn lost(&self, from: u64, end: u64) -> f32 {
        let mut lost = 0;
        let mut at = from;
        while at < end {
            let (word, bit) = place(at);
            let count = (64 - bit).min(end - at);
            let missing = !self.came[word] >> bit << (64 - count);
            lost += missing.count_ones();
            at += count;
        }
        lost as f32
    }

    /// From the first frame that counts to the first of which it is too early to say.
    fn judged(&self) -> Option<(u64, u64)> {
        let (first, newest) = self.span?;
        let end = (newest + 1).saturating_sub(PATIENCE);
        (end > first).then_some((first, end))
    }

    fn has(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.came[word] >> bit & 1 == 1
    }
}

fn set(words: &mut [u64; WORDS], number: u64) {
    let (word, bit) = place(number);
    words[word] |= 1 << bit;
}

fn clear(words: &mut [u64; WORDS], number: u64) {
    let (word, bit) = place(number);
    words[word] &= !(1 << bit);
}

fn place(number: u64) -> (usize, u64) {
    let index = number % KEPT;
    ((index / 64) as usize, index % 64)
}

fn is_worse(now: &Report, told: &Report) -> bool {
    now.loss > told.loss * 1.5 + 0.015 || now.queue > told.queue + WORSE
}

/// The least delay of late and the least ever, in microseconds from an origin of no meaning.
#[derive(Debug, Default)]
struct Delays {
    /// Of the last half seconds, the latest first.
    halves: [Option<i64>; RECENT],
    /// Number of the half second that is the latest.
    filling: u64,
    /// The least ever and when it was.
    least: Option<(i64, Duration)>,
    /// Of the frame that came last.
    last: Option<i64>,
    jump: Option<Jump>,
}

/// A delay that was suddenly longer. No queue grows so fast: the sender has paused, or the way has
/// become longer; or it was a stall, and then the frames behind it come faster and faster.
#[derive(Debug)]
struct Jump {
    at: Duration,
    /// A delay under this is back again.
    back_at: i64,
    /// The least before it.
    least: Option<(i64, Duration)>,
}

impl Delays {
    fn note(&mut self, delay: i64, now: Duration) {
        self.turn(now);
        self.follow_jumps(delay, now);
        let half = self.halves[0].get_or_insert(delay);
        *half = delay.min(*half);
        if self.aged(now).is_none_or(|least| delay < least) {
            self.least = Some((delay, now));
        }
    }

    /// Takes a jump for a longer way, until the delay is as before.
    fn follow_jumps(&mut self, delay: i64, now: Duration) {
        let last = self.last.replace(delay).unwrap_or(delay);
        if let Some(jump) = self.jump.take_if(|jump| delay < jump.back_at) {
            self.least = jump.least;
        }
        self.jump.take_if(|jump| now.saturating_sub(jump.at) > OPEN);
        let by = delay - last;
        if by > JUMP && self.jump.is_none() {
            self.jump = Some(Jump {
                at: now,
                back_at: last + by / 2,
                least: self.least,
            });
            self.least = self.least.map(|(least, at)| (least + by, at));
        }
    }

    fn queue(&mut self, now: Duration) -> Duration {
        self.turn(now);
        let recent = self.halves.into_iter().flatten().min();
        let (Some(recent), Some(least)) = (recent, self.aged(now)) else {
            return Duration::ZERO;
        };
        Duration::from_micros(recent.saturating_sub(least).max(0) as u64)
    }

    /// The least ever as it would be now: the clocks of the two sides drift apart.
    fn aged(&self, now: Duration) -> Option<i64> {
        let (least, at) = self.least?;
        let age = now.saturating_sub(at).as_micros() as i64;
        Some(least + age / DRIFT)
    }

    fn turn(&mut self, now: Duration) {
        let half = (now.as_millis() / 500) as u64;
        let passed = half.saturating_sub(self.filling).min(RECENT as u64) as usize;
        self.halves.rotate_right(passed);
        self.halves[..passed].fill(None);
        self.filling = half.max(self.filling);
    }
}

/// Far from zero, so that frames before the first one have numbers as well.
const FIRST: u64 = 1 << 32;

/// Frames that are remembered: ten seconds of 20 ms.
const KEPT: u64 = 512;
const WORDS: usize = KEPT as usize / 64;

/// Frames after which one that has not come counts as lost (until it comes after all).
const PATIENCE: u64 = 6;

/// Older frames than this are those of another start.
const BACK: i64 = 400;

/// More missing in a row are an outage and no loss that could be repaired: half a second.
const GAP: i64 = 25;

/// Frames by which a share is divided at least, ten seconds: the loss of a single frame says nothing
/// of a line, though it be in the first second.
const FEWEST: f32 = 500.0;

/// Frames of the last two seconds.
const LATELY: u64 = 100;

/// Windows in which loss that has just begun is looked for, in frames.
const WINDOWS: [u64; 3] = [50, 100, 200];

/// So many standard deviations (of a count, its square root) are taken off for certainty.
const CERTAINTY: f32 = 1.5;

/// Half seconds that are "of late".
const RECENT: usize = 3;

/// Clocks drift by no more than one part in so many.
const DRIFT: i64 = 2000;

/// Between two reports at least, and when there is nothing new.
const SOONEST: Duration = Duration::from_millis(200);
const USUALLY: Duration = Duration::from_secs(1);

/// Microseconds by which one frame is slower than the one before if something has happened.
const JUMP: i64 = 100_000;

/// For so long a jump may turn out to be a stall.
const OPEN: Duration = Duration::from_secs(3);

/// Growth of the queue that is told before its time.
const WORSE: Duration = Duration::from_millis(25);

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    /// Lets frames arrive for `seconds`, each after a delay in ms unless it is lost. All reports.
    fn watch(seconds: u64, mut way: impl FnMut(u64) -> Option<u64>) -> Vec<(Duration, Report)> {
        let mut arrivals = Arrivals::new(FRAME);
        let mut flying: Vec<(Duration, u16)> = Vec::new();
        let mut reports = Vec::new();
        for number in 0..seconds * 50 {
            let now = FRAME * number as u32;
            if let Some(delay) = way(number) {
                // Numbers wrap after a while.
                let seq = 65_000u16.wrapping_add(number as u16);
                flying.push((now + Duration::from_millis(delay), seq));
            }
            flying.sort();
            let come = flying.iter().take_while(|(at, _)| *at <= now).count();
            for (at, seq) in flying.drain(..come) {
                arrivals.arrived(seq, at);
            }
            reports.extend(arrivals.report(now).map(|report| (now, report)));
        }
        reports
    }

    fn random(seed: u64) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1u64 << 24) as f32
        }
    }

    #[test]
    fn a_good_line_is_reported_once_a_second_and_as_good() {
        let reports = watch(60, |_| Some(30));
        assert!((59..=61).contains(&reports.len()), "{}", reports.len());
        let good = Report::default();
        assert!(reports.iter().all(|(_, report)| *report == good));
    }

    #[test]
    fn jitter_and_reordering_are_neither_loss_nor_queue() {
        let mut chance = random(3);
        let reports = watch(60, |_| Some(20 + (chance() * 90.0) as u64));
        for (at, report) in reports {
            assert_eq!((report.loss, report.burst), (0.0, 0.0), "at {at:?}");
            let queue = report.queue;
            assert!(queue < Duration::from_millis(12), "{queue:?} at {at:?}");
        }
    }

    #[test]
    fn random_loss_is_measured_and_told_soon_and_forgotten_in_ten_seconds() {
        let mut chance = random(5);
        let is_bad = |number: u64| (1000..2000).contains(&number);
        let reports = watch(60, |n| (!is_bad(n) || chance() > 0.2).then_some(30));
        let at = |second: u64| {
            let before = Duration::from_secs(second);
            let mut latest = reports.iter().rev();
            latest.find(|(at, _)| *at < before).expect("one").1
        };
        assert_eq!(at(20).loss, 0.0);
        let first = reports.iter().find(|(_, report)| report.loss > 0.05);
        let soon = first.expect("told").0;
        assert!(soon < Duration::from_millis(20_900), "at {soon:?}");
        assert!((0.08..0.3).contains(&at(23).loss), "{:?}", at(23));
        assert!((0.16..0.24).contains(&at(40).loss), "{:?}", at(40));
        assert!((1.0..1.6).contains(&at(40).burst), "{:?}", at(40));
        assert_eq!(at(53).loss, 0.0);
        assert_eq!((at(20).recent, at(44).recent), (0.0, 0.0));
        assert!((0.08..0.32).contains(&at(40).recent), "{:?}", at(40));
        let apart = |six: &[(Duration, Report)]| six[5].0 - six[0].0 >= SOONEST * 5;
        assert!(reports.windows(6).all(apart), "more than five in a second");
    }

    #[test]
    fn bursts_are_told_from_single_losses() {
        let mut chance = random(7);
        let mut left = 0;
        let reports = watch(60, |_| {
            left = if chance() < 0.04 { 4 } else { left - 1 };
            (left <= 0).then_some(30)
        });
        let (_, last) = reports.last().expect("reports");
        assert!((3.0..5.5).contains(&last.burst), "{last:?}");
    }

    #[test]
    fn an_outage_is_no_loss_and_silence_brings_no_report() {
        let reports = watch(60, |n| (!(1000..1200).contains(&n)).then_some(30));
        assert!(reports.iter().all(|(_, report)| report.loss == 0.0));
        let during = Duration::from_millis(21_100)..Duration::from_secs(24);
        assert!(!reports.iter().any(|(at, _)| during.contains(at)));
    }

    #[test]
    fn a_sender_that_paused_has_no_queue_and_a_stall_hides_none() {
        let paused = watch(20, |n| Some(if n < 300 { 30 } else { 560 }));
        assert!(paused.iter().all(|(_, report)| report.queue < WORSE));
        // What a stall of 0.6 s holds up comes at once, and then a queue grows as it may.
        let stalled = |n: u64| match n {
            300..330 => (330 - n) * 20 + 30,
            _ => 30 + n.clamp(500, 600) - 500,
        };
        let reports = watch(20, |n| Some(stalled(n)));
        let at = |second| {
            let mut later = reports.iter();
            let found = later.find(|(at, _)| at.as_secs() >= second);
            found.expect("one").1.queue
        };
        assert!(at(9) < WORSE, "{:?}", at(9));
        assert!(at(17) > Duration::from_millis(80), "{:?}", at(17));
    }

    #[test]
    fn one_lost_frame_is_no_loss() {
        let reports = watch(10, |n| (n != 100).then_some(30));
        assert!(reports.iter().all(|(_, report)| report.loss < 0.0025));
    }

    #[test]
    fn a_queue_shows_while_it_stands_and_when_it_grows_before_its_time() {
        let reports = watch(60, |n| Some(30 + n.clamp(1500, 1600) - 1500));
        let grown = reports.iter().find(|(_, report)| report.queue > WORSE);
        let (at, _) = grown.expect("told");
        assert!(*at < Duration::from_secs(33), "{at:?}");
        let (_, last) = reports[reports.len() - 5];
        // What a drift of clocks could be is taken off.
        let still = Duration::from_millis(80)..Duration::from_millis(100);
        assert!(still.contains(&last.queue), "{last:?}");
    }
}
