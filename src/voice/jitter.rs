//! The jitter buffer: order, spacing, and the choice between play, conceal and silence.
//!
//! The delay is plain: it starts at [`Settings::target`], a frame that comes later than that makes
//! it one frame longer, and when every frame of a second has waited for more than one frame above
//! the target, the excess is skipped. So the delay follows the line up at once and comes down
//! again. Where that turns out to have been too early, the next time takes twice as long.

use std::time::Duration;

use crate::voice::meter::{Meter, Stats};

/// How a [`Jitter`] is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What one frame stands for.
    pub frame: Duration,
    /// The least time that frames wait before they are played, on a quiet line.
    pub target: Duration,
    /// Longer payloads are refused, in bytes.
    pub max_payload: usize,
}

/// What the loudspeaker gets next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull<'a> {
    /// Decode this; it lasts one frame.
    Play(&'a [u8]),
    /// Bridge a missing frame; it lasts one frame.
    Conceal,
    /// Nobody speaks (yet, or any more). It lasts as long as the caller likes: ask again after it.
    Silence,
}

/// Reorders, spaces and counts the frames of one sender. Allocates in [`Jitter::new`] only.
#[derive(Debug)]
pub struct Jitter {
    settings: Settings,
    slots: Box<[Slot]>,
    payloads: Box<[u8]>,
    state: State,
    /// Frame to be played next, counted without wrapping.
    next: u64,
    /// Highest frame seen.
    newest: u64,
    /// Frames behind `next` since the last good one.
    behind: u32,
    /// A frame of this stream has been played: what is before it comes too late.
    started: bool,
    /// Shortest wait of the frames played since `judged`.
    least_wait: Option<Duration>,
    judged: Duration,
    /// How long a delay must have been too long before it is shortened.
    patience: Duration,
    /// When the delay was last shortened, and last found too short.
    skipped: Option<Duration>,
    ran_dry: Option<Duration>,
    meter: Meter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing has ever come.
    New,
    /// Frames have come and are held back until this moment.
    Filling(Duration),
    /// One frame a pull; the number counts the pulls since the buffer ran dry.
    Playing { dry: u32 },
    /// It ran dry for too long to go on concealing.
    Stalled,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    number: u64,
    length: usize,
    arrived: Duration,
    full: bool,
}

impl Jitter {
    pub fn new(settings: Settings) -> Jitter {
        let empty = Slot {
            number: 0,
            length: 0,
            arrived: Duration::ZERO,
            full: false,
        };
        Jitter {
            settings,
            slots: vec![empty; SLOTS].into(),
            payloads: vec![0; SLOTS * settings.max_payload].into(),
            state: State::New,
            next: 0,
            newest: 0,
            behind: 0,
            started: false,
            least_wait: None,
            judged: Duration::ZERO,
            patience: IMPATIENT,
            skipped: None,
            ran_dry: None,
            meter: Meter::new(settings.frame),
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
        if self.state == State::New || self.is_far_ahead(number) {
            self.begin(number);
        }
        if number < self.next && !self.started && self.newest - number < SLOTS as u64 {
            self.next = number;
        }
        if number < self.next {
            self.behind += 1;
            self.meter.late();
            if self.behind < RESTARTED {
                return;
            }
            self.begin(number);
        }
        self.behind = 0;
        if self.slot(number).is_some() {
            self.meter.duplicate();
            return;
        }
        self.store(number, payload, now);
    }

    /// The next frame for the loudspeaker, to be called whenever that needs more samples.
    pub fn pop(&mut self, now: Duration) -> Pull<'_> {
        if let State::Filling(until) = self.state
            && now >= until
        {
            self.state = State::Playing { dry: 0 };
            self.least_wait = None;
            self.judged = now;
            self.next = self.oldest().unwrap_or(self.next);
        }
        let State::Playing { dry } = self.state else {
            let missing = self.state == State::Stalled;
            self.meter.silence(missing, now);
            return Pull::Silence;
        };
        self.shorten(now);
        match self.oldest() {
            Some(oldest) => self.play(oldest, dry, now),
            None if dry < CONCEALED_AT_MOST => {
                if dry == 0 {
                    self.learn(now);
                }
                self.state = State::Playing { dry: dry + 1 };
                self.meter.conceal(now);
                Pull::Conceal
            }
            None => {
                self.state = State::Stalled;
                self.meter.silence(true, now);
                Pull::Silence
            }
        }
    }

    /// Counts and measures up to `now`.
    pub fn stats(&self, now: Duration) -> Stats {
        self.meter.stats(now)
    }

    /// Plays the frame that is due. `oldest` is the oldest one that is here.
    fn play(&mut self, oldest: u64, dry: u32, now: Duration) -> Pull<'_> {
        // Pulls without a frame have already filled the time of as many missing ones.
        self.next = oldest.min(self.next + u64::from(dry));
        self.state = State::Playing { dry: 0 };
        let number = self.next;
        self.next += 1;
        let index = index(number);
        if oldest != number {
            self.meter.conceal(now);
            return Pull::Conceal;
        }
        let slot = &mut self.slots[index];
        slot.full = false;
        self.started = true;
        let wait = now.saturating_sub(slot.arrived);
        let start = index * self.settings.max_payload;
        let end = start + slot.length;
        self.least_wait = Some(self.least_wait.map_or(wait, |least| least.min(wait)));
        self.meter.play(wait, now);
        Pull::Play(&self.payloads[start..end])
    }

    /// Skips what makes the delay longer than it need be: at once when it is far too long, else
    /// when it was for a second.
    fn shorten(&mut self, now: Duration) {
        let held = (self.newest + 1).saturating_sub(self.next);
        let frame = self.settings.frame;
        let excess = if held > HELD_AT_MOST {
            held - 1 - frames_in(self.settings.target, frame)
        } else if now.saturating_sub(self.judged) >= self.patience {
            let spare = self.least_wait.take().unwrap_or_default();
            self.judged = now;
            frames_in(spare.saturating_sub(self.settings.target), frame)
        } else {
            return;
        };
        let excess = excess.min(held.saturating_sub(1));
        if excess > 0 {
            self.skipped = Some(now);
        }
        for _ in 0..excess {
            self.slots[index(self.next)].full = false;
            self.next += 1;
            self.meter.skipped();
        }
        if held > HELD_AT_MOST {
            self.least_wait = None;
            self.judged = now;
        }
    }

    /// Takes note that a frame was not there in time.
    fn learn(&mut self, now: Duration) {
        let before = self.ran_dry.replace(now);
        let since = |then: Option<Duration>| then.map(|then| now.saturating_sub(then));
        if since(self.skipped).is_some_and(|time| time <= self.patience * 4) {
            self.patience = (self.patience * 2).min(PATIENT);
        } else if since(before).is_some_and(|time| time > PATIENT * 2) {
            self.patience = IMPATIENT;
        }
    }

    fn store(&mut self, number: u64, payload: &[u8], now: Duration) {
        let index = index(number);
        let start = index * self.settings.max_payload;
        self.payloads[start..start + payload.len()].copy_from_slice(payload);
        self.slots[index] = Slot {
            number,
            length: payload.len(),
            arrived: now,
            full: true,
        };
        self.newest = self.newest.max(number);
        self.meter.arrived(number, now);
        if matches!(self.state, State::New | State::Stalled) {
            self.state = State::Filling(now + self.settings.target);
        }
    }

    /// Starts over with a stream whose first frame is `number`.
    fn begin(&mut self, number: u64) {
        for slot in &mut self.slots {
            slot.full = false;
        }
        self.state = State::New;
        self.next = number;
        self.newest = number;
        self.behind = 0;
        self.started = false;
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

    /// True for a jump too far to be loss: the sender has started over, or a long outage is over.
    fn is_far_ahead(&self, number: u64) -> bool {
        number >= self.next + SLOTS as u64
    }

    fn oldest(&self) -> Option<u64> {
        (self.next..=self.newest).find(|number| self.slot(*number).is_some())
    }

    fn slot(&self, number: u64) -> Option<&Slot> {
        let slot = &self.slots[index(number)];
        (slot.full && slot.number == number).then_some(slot)
    }
}

fn index(number: u64) -> usize {
    (number % SLOTS as u64) as usize
}

fn frames_in(time: Duration, frame: Duration) -> u64 {
    (time.as_nanos() / frame.as_nanos().max(1)) as u64
}

/// Frames that fit, in or out of order: 1.28 s of 20 ms each.
const SLOTS: usize = 64;

/// Far from zero, so that frames before the first one have numbers as well.
const FIRST: u64 = 1 << 32;

/// After this many missing frames in a row there is nothing left to bridge.
const CONCEALED_AT_MOST: u32 = 5;

/// More frames than these are a backlog that is not worth hearing (300 ms).
const HELD_AT_MOST: u64 = 15;

/// A delay is called too long when it was so all this time, at first ...
const IMPATIENT: Duration = Duration::from_secs(1);

/// ... and on a line that keeps being late.
const PATIENT: Duration = Duration::from_secs(16);

/// As many frames behind in a row mean that the sender counts from a new start.
const RESTARTED: u32 = 10;
