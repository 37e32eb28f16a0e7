//! The jitter buffer: order, spacing, and the choice between play, repair, conceal and silence.
//!
//! Frame `n` should be played at the moment it was sent plus [`Delay::target`]. The buffer itself
//! never changes its delay by cutting sound: it says how much too early or too late it plays, and
//! whoever has the samples stretches them ([`Jitter::excess`], [`Jitter::lack`]). Only when it is
//! far behind it skips frames. A missing frame is repaired in this order: an exact copy from a
//! later packet; the in-band repair in the packet after it; concealment. (A deep repair reaching
//! back several frames would stand between the last two.)
//!
//! When nothing at all is here the line has stopped, and time stops with it: what comes late is
//! played late, and the delay is caught up afterwards. What comes after the missing frames says
//! that they are lost, and then time has gone on.

use std::time::Duration;

use crate::voice::delay::Delay;
use crate::voice::meter::{Filled, Meter, Stats};
use crate::voice::ring::{Origin, Ring, SLOTS};
use crate::voice::trim::Trim;

/// How a [`Jitter`] is built.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What one frame stands for.
    pub frame: Duration,
    /// The least time that frames wait before they are played, on a quiet line.
    pub target: Duration,
    /// Longer payloads are refused, in bytes.
    pub max_payload: usize,
    /// True for a payload from which the frame before it can be decoded as well.
    pub mends: fn(&[u8]) -> bool,
}

/// What the loudspeaker gets next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull<'a> {
    /// Decode this; it lasts one frame.
    Play(&'a [u8]),
    /// Decode the frame before this one from the repair in it; it lasts one frame.
    Recover(&'a [u8]),
    /// Bridge something missing, for half a frame.
    Conceal,
    /// Nobody speaks (yet, or any more). It lasts as long as the caller likes: ask again after it.
    Silence,
}

/// Reorders, spaces and counts the frames of one sender. Allocates in [`Jitter::new`] only.
#[derive(Debug)]
pub struct Jitter {
    settings: Settings,
    ring: Ring,
    state: State,
    /// Frame to be played next, counted without wrapping.
    next: u64,
    /// Highest frame seen.
    newest: u64,
    /// When that came, relative to when it was sent.
    newest_came: i64,
    last_came: Duration,
    /// Frames behind `next` since the last good one.
    behind: u32,
    /// A frame of this stream has been played: what is before it comes too late.
    started: bool,
    /// Half of the frame `next`, which is lost, has been bridged already.
    half_gone: bool,
    trim: Trim,
    delay: Delay,
    /// When the last frames were taken, relative to when they were sent; the last one last.
    taken: [i64; TAKEN],
    meter: Meter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing has ever come.
    New,
    /// Frames have come and are held back until this moment.
    Filling(Duration),
    /// Counts the halves of frames since the line stopped.
    Playing { dry: u32 },
}

impl Jitter {
    pub fn new(settings: Settings) -> Jitter {
        Jitter {
            ring: Ring::new(settings.max_payload),
            state: State::New,
            next: 0,
            newest: 0,
            newest_came: 0,
            last_came: Duration::ZERO,
            behind: 0,
            started: false,
            half_gone: false,
            trim: Trim::default(),
            delay: Delay::new(settings.target),
            taken: [UNKNOWN; TAKEN],
            meter: Meter::new(settings.frame),
            settings,
        }
    }

    /// Takes a frame that has arrived at `now`. Bytes too long, too late or here already are
    /// counted and dropped.
    pub fn push(&mut self, seq: u16, payload: &[u8], now: Duration) {
        if payload.len() > self.settings.max_payload {
            self.meter.refused();
            return;
        }
        let number = self.unwrap(seq);
        if self.state == State::New || number >= self.next + SLOTS as u64 {
            self.begin(number);
        }
        if number < self.next && !self.started && self.newest - number < SLOTS as u64 {
            self.next = number;
        }
        if number < self.next {
            self.behind += 1;
            self.meter.late();
            if self.behind < RESTARTED {
                self.learn(number, 1.0, now);
                return;
            }
            self.begin(number);
        }
        self.behind = 0;
        match self.ring.get(number).map(|held| held.origin) {
            Some(Origin::Own) => {
                self.meter.duplicate();
                return;
            }
            // Its copy was faster, and is as good.
            Some(Origin::Copy) => {
                self.meter.arrived(number, now);
                self.move_on(number, now);
            }
            None => self.take(number, payload, now),
        }
        let before = number.saturating_sub(1);
        if (self.settings.mends)(payload) && (self.started || before >= self.next) {
            self.ring.mend(before);
            self.learn(before, MENDED, now);
        }
    }

    /// Takes a copy of frame `seq`, which came in the packet `back` frames after that. It fills a
    /// gap and is nothing else; a useless one is dropped.
    pub fn push_copy(&mut self, seq: u16, payload: &[u8], back: u8, now: Duration) {
        let number = self.unwrap(seq);
        let is_near = number < self.newest && self.newest - number < SLOTS as u64;
        if payload.len() > self.settings.max_payload || self.state == State::New || !is_near {
            return;
        }
        self.meter.copy(back, now);
        self.delay.copied(i64::from(back) * self.frame(), now);
        self.learn(number, 1.0, now);
        if number < self.next && !self.started {
            self.next = number;
        }
        if number >= self.next && !self.ring.holds(number) {
            self.ring.put(number, payload, Origin::Copy, now);
        }
    }

    /// The next frame for the loudspeaker, to be called whenever that needs more samples.
    pub fn pop(&mut self, now: Duration) -> Pull<'_> {
        if let State::Filling(until) = self.state
            && now >= until
        {
            self.state = State::Playing { dry: 0 };
            self.taken = [UNKNOWN; TAKEN];
            self.half_gone = false;
            self.next = self.oldest().unwrap_or(self.next);
        }
        let State::Playing { dry } = self.state else {
            self.meter.silence(self.started, now);
            return Pull::Silence;
        };
        let Some(oldest) = self.oldest() else {
            return self.stand_still(dry, now);
        };
        self.go_on(oldest, dry, now);
        self.catch_up(now);
        let oldest = self.oldest().unwrap_or(self.next);
        let taken = self.since_sent(self.next, now);
        if oldest == self.next {
            return self.play(taken, now);
        }
        let may_wait = taken + self.half() <= self.delay.target();
        if !self.half_gone && self.ring.is_mended(self.next) && self.ring.holds(self.next + 1) {
            return self.recover(taken, now);
        }
        self.conceal(taken, may_wait, now)
    }

    /// How many halves of frames are to be left out at the beginning of what was just pulled, since
    /// their time was bridged: the frame came only a little late, and the delay is long enough.
    pub fn trim(&mut self) -> u32 {
        self.trim.take()
    }

    /// How much too late frames are played: this much sound may be taken out. Zero unless both the
    /// frames of the last third of a second and the newest one had it to spare.
    pub fn excess(&self) -> Duration {
        let target = self.delay.target() + self.slack();
        let spare = self.earliest().saturating_sub(target);
        let newest = self.taken[TAKEN - 1].saturating_sub(self.newest_came);
        let is_known = self.delay.is_known();
        let excess = u64::try_from(spare.min(newest)).unwrap_or(0);
        Duration::from_micros(if is_known { excess } else { 0 })
    }

    /// How much too early frames are played: so much sound should be put in.
    pub fn lack(&self) -> Duration {
        let target = self.delay.target() - self.slack();
        let target = target.min(self.delay.slowest().max(target - MAY_LACK));
        let lack = target.saturating_sub(self.earliest());
        Duration::from_micros(u64::try_from(lack).unwrap_or(0))
    }

    /// Sound was added (or taken out, with `added` below zero), so that the next frame is asked for
    /// `later` microseconds later (earlier) than it would have been. `is_rough`: it may be heard.
    pub fn stretched(&mut self, added: i64, later: i64, is_rough: bool) {
        self.shift(later);
        let by = Duration::from_micros(added.unsigned_abs());
        self.meter.stretched(by, is_rough);
    }

    /// Counts and measures up to `now`.
    pub fn stats(&self, now: Duration) -> Stats {
        Stats {
            target: self.delay.wait(),
            quantile: self.delay.quantile(),
            ..self.meter.stats(now)
        }
    }

    fn play(&mut self, taken: i64, now: Duration) -> Pull<'_> {
        if self.half_gone {
            self.trim.bridged(1);
            self.shift(self.half());
        }
        let spare = (taken + EARLY - self.delay.target()) / self.half();
        let trim = self.trim.play(self.next, u32::try_from(spare).unwrap_or(0));
        let trimmed = i64::from(trim) * self.half();
        self.shift(-trimmed);
        let number = self.advance(taken - trimmed);
        self.started = true;
        let Some(held) = self.ring.take(number) else {
            return Pull::Conceal;
        };
        let how = match held.origin {
            Origin::Own => Filled::Own,
            Origin::Copy => Filled::Copied,
        };
        let wait = now.saturating_sub(held.arrived);
        self.meter.fill(how, Some(wait), now);
        Pull::Play(held.payload)
    }

    fn recover(&mut self, taken: i64, now: Duration) -> Pull<'_> {
        let number = self.advance(taken);
        self.meter.fill(Filled::Recovered, None, now);
        let next = self.ring.get(number + 1);
        next.map_or(Pull::Conceal, |held| Pull::Recover(held.payload))
    }

    /// Bridges half of a frame that is lost, or half a frame of time when it is worth waiting.
    fn conceal(&mut self, taken: i64, may_wait: bool, now: Duration) -> Pull<'_> {
        if may_wait && !self.half_gone {
            self.meter.bridge(now);
            self.shift(self.half());
            return Pull::Conceal;
        }
        self.meter.bridge(now);
        if !self.half_gone {
            self.half_gone = true;
            return Pull::Conceal;
        }
        let number = self.advance(taken - self.half());
        self.ring.empty(number);
        self.meter.fill(Filled::Concealed, None, now);
        Pull::Conceal
    }

    /// Something has come. While the line stood still the time of as many lost frames was filled,
    /// unless the delay should be longer anyway; what is left of it made the delay longer.
    fn go_on(&mut self, oldest: u64, dry: u32, now: Duration) {
        self.state = State::Playing { dry: 0 };
        if dry == 0 {
            return;
        }
        let over = self.since_sent(self.next, now) - self.delay.target();
        let over = u64::try_from(over / self.half()).unwrap_or(0);
        let lost = (oldest - self.next).min(u64::from(dry).min(over) / 2) as u32;
        for _ in 0..lost {
            self.meter.fill(Filled::Concealed, None, now);
        }
        self.next += u64::from(lost);
        let mut left = dry - 2 * lost;
        if left == 1 && over > 2 * u64::from(lost) && oldest > self.next {
            self.half_gone = true;
            left = 0;
        }
        self.shift(i64::from(left) * self.half());
        self.trim.bridged(left);
    }

    /// Nothing is here.
    fn stand_still(&mut self, dry: u32, now: Duration) -> Pull<'_> {
        self.state = State::Playing {
            dry: dry.saturating_add(1),
        };
        self.half_gone = false;
        if dry < CONCEALED_AT_MOST {
            self.meter.bridge(now);
            return Pull::Conceal;
        }
        self.meter.silence(true, now);
        Pull::Silence
    }

    /// Goes on to the frame after the next one and says which that was.
    fn advance(&mut self, taken: i64) -> u64 {
        self.taken.rotate_left(1);
        self.taken[TAKEN - 1] = taken;
        self.half_gone = false;
        self.next += 1;
        self.next - 1
    }

    /// Skips frames when there are far too many.
    fn catch_up(&mut self, now: Duration) {
        let taken = self.since_sent(self.next, now);
        let excess = (taken - self.delay.target()).min(taken - self.newest_came);
        if excess < TOO_LATE {
            return;
        }
        let frames = u64::try_from(excess / self.frame()).unwrap_or(0);
        let until = (self.next + frames).min(self.newest);
        for number in self.next..until {
            self.ring.empty(number);
            self.meter.skipped();
        }
        self.next = until;
        self.half_gone = false;
        self.taken = [UNKNOWN; TAKEN];
    }

    /// Keeps a frame that came in its own packet.
    fn take(&mut self, number: u64, payload: &[u8], now: Duration) {
        self.ring.put(number, payload, Origin::Own, now);
        self.meter.arrived(number, now);
        let at = self.since_sent(number, now);
        self.delay.arrived(at, now);
        self.move_on(number, now);
        // What has queued up behind a late frame says nothing new about the line.
        let apart = now.saturating_sub(self.last_came).as_micros() as i64;
        let is_queued = number == self.newest + 1 && apart < self.frame() / 4;
        self.learn(number, if is_queued { QUEUED } else { 1.0 }, now);
        self.last_came = now;
        if number >= self.newest {
            self.newest = number;
            self.newest_came = at;
        }
        let is_over = matches!(self.state, State::Playing { dry } if dry >= OVER);
        if self.state == State::New || is_over {
            self.state = State::Filling(now + self.delay.wait());
        }
    }

    /// The packet of frame `number` has come.
    fn move_on(&mut self, number: u64, now: Duration) {
        let ahead = number as i64 - self.newest as i64;
        self.delay.moved_on(ahead, self.frame(), now);
    }

    /// Frame `number` could be played from now on, as good (0..=1) as that is.
    fn learn(&mut self, number: u64, good: f32, now: Duration) {
        if self.newest.saturating_sub(number) >= SLOTS as u64 {
            return;
        }
        let news = self.ring.know(number, good);
        if news > 0.0 {
            let at = self.since_sent(number, now);
            self.delay.available(at, news, now);
        }
    }

    /// Starts over with a stream whose first frame is `number`.
    fn begin(&mut self, number: u64) {
        self.ring.clear();
        self.state = State::New;
        self.next = number;
        self.newest = number;
        self.behind = 0;
        self.started = false;
        self.half_gone = false;
        self.delay.restart();
        self.meter.begin();
    }

    /// The number nearest to the newest one that ends in `seq`.
    fn unwrap(&self, seq: u16) -> u64 {
        if self.state == State::New {
            return FIRST + u64::from(seq);
        }
        let step = seq.wrapping_sub(self.newest as u16) as i16;
        self.newest.saturating_add_signed(i64::from(step))
    }

    fn oldest(&self) -> Option<u64> {
        (self.next..=self.newest).find(|number| self.ring.holds(*number))
    }

    /// Microseconds from when a frame was sent until now, plus a constant.
    fn since_sent(&self, number: u64, now: Duration) -> i64 {
        let sent = (number as i64 - FIRST as i64).saturating_mul(self.frame());
        (now.as_micros() as i64).saturating_sub(sent)
    }

    fn earliest(&self) -> i64 {
        self.taken.iter().copied().min().unwrap_or(UNKNOWN)
    }

    /// From now on frames are taken so many microseconds later.
    fn shift(&mut self, later: i64) {
        for taken in &mut self.taken {
            if *taken != UNKNOWN {
                *taken += later;
            }
        }
    }

    /// What is left alone of a wait that changes a little all the time.
    fn slack(&self) -> i64 {
        self.delay.wait().as_micros() as i64 / SLACK
    }

    fn frame(&self) -> i64 {
        (self.settings.frame.as_micros() as i64).max(1)
    }

    fn half(&self) -> i64 {
        self.frame() / 2
    }
}

/// Far from zero, so that frames before the first one have numbers as well.
const FIRST: u64 = 1 << 32;

/// After so many halves of frames there is nothing left to bridge: 100 ms of a standstill.
const CONCEALED_AT_MOST: u32 = 10;

/// Microseconds by which a frame may be played before its time once it was trimmed: a half, and what
/// the device asks early.
const EARLY: i64 = 12_000;

/// After so many halves of frames (a second) what comes is a new start.
const OVER: u32 = 100;

/// What a frame that can be decoded from its repair is worth, compared with the frame itself.
const MENDED: f32 = 0.5;

/// What a frame counts that came right behind its predecessor.
const QUEUED: f32 = 0.1;

/// Microseconds that are not worth playing faster for: what is too much is skipped.
const TOO_LATE: i64 = 300_000;

/// As many frames behind in a row mean that the sender counts from a new start.
const RESTARTED: u32 = 10;

/// Frames that must all have had time to spare before any is given away: 320 ms of 20 ms each.
const TAKEN: usize = 16;

/// A moment that is not known, later than all others.
const UNKNOWN: i64 = i64::MAX;

/// Microseconds that may be wanting as long as no frame of late would have missed them. Every change is
/// one of 10 ms: with less the delay would go to and fro on a quiet line, where the wait that is
/// wanted moves by as much.
const MAY_LACK: i64 = 3_500;

/// One part in so many of the wait is left alone, or it would be changed for ever.
const SLACK: i64 = 16;
