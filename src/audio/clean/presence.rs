//! Whether the loudspeaker can be heard in the microphone at all.
//!
//! Cancelling an echo that is not there costs quality whenever both sides speak (PESQ 3.5 becomes
//! 1.5), so it is worth knowing. Two signs count as proof. First, that a linear filter fed with the
//! loudspeaker's sound foretells most of the microphone's over half a second: chance does not do
//! that, and the canceller runs that filter anyway. Second, that the ups and downs of the two levels
//! go together at one and the same distance in time, which holds where the filter foretells little: on a
//! distorting loudspeaker or a delay that moves.

use crate::audio::clean::cleaner::Left;

/// Decides from frames of 20 ms.
#[derive(Debug)]
pub(super) struct Presence {
    heard: Heard,
    /// Sums over about half a second of speech from the far side.
    recent: Left,
    /// Frames of far speech in these sums, at most [`ENOUGH`].
    held: u32,
    /// Frames since the last proof in which an echo should have been heard.
    unheard: u32,
    /// Frames of far speech since the last proof, whatever the microphone heard.
    unproven: u32,
    together: Together,
}

/// What is known of the echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The far side has not spoken enough to say.
    Unknown,
    Echo,
    Nothing,
}

impl Presence {
    pub(super) fn new() -> Presence {
        Presence {
            heard: Heard::Unknown,
            recent: Left::default(),
            held: 0,
            unheard: 0,
            unproven: 0,
            together: Together::new(),
        }
    }

    /// Takes the next frame.
    pub(super) fn note(&mut self, now: Now) -> Heard {
        let moves_along = self.together.note(now.far, now.near);
        if now.far_speaks {
            self.recent.before = self.recent.before * KEPT + now.left.before;
            self.recent.linear = self.recent.linear * KEPT + now.left.linear;
            self.held = (self.held + 1).min(ENOUGH);
            self.unproven = self.unproven.saturating_add(1);
            // Once there was an echo, only a quiet microphone says that there is none any more: in a
            // loud one, the owner's voice may cover it.
            self.unheard += u32::from(now.near < now.floor + ABOVE_NOISE);
        }
        let is_foretold = |times: f32| {
            self.held == ENOUGH
                && self.recent.before > QUIETEST
                && self.recent.before > self.recent.linear * times
        };
        if is_foretold(FORETOLD) || moves_along && is_foretold(HINTED) {
            self.heard = Heard::Echo;
            self.unheard = 0;
            self.unproven = 0;
        } else if self.unheard >= LONG_WITHOUT || self.unproven >= self.patience() {
            self.heard = Heard::Nothing;
        }
        self.heard
    }

    /// Frames of far speech without proof after which there is no echo, though the owner speaks.
    fn patience(&self) -> u32 {
        match self.heard {
            Heard::Echo => FORGOTTEN,
            Heard::Unknown | Heard::Nothing => UNPROVEN,
        }
    }
}

/// One frame of the microphone. Levels are in dB under full scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// What the canceller made of it.
    pub(super) left: Left,
    /// The loudspeaker's level at this moment.
    pub(super) far: f32,
    /// The microphone's level, and that of the noise in it.
    pub(super) near: f32,
    pub(super) floor: f32,
    /// The far side speaks, or has just spoken so that its echo may still come.
    pub(super) far_speaks: bool,
}

/// Whether two levels rise and fall together, so many frames apart.
#[derive(Debug)]
struct Together {
    far: [f32; WINDOW + LAGS],
    near: [f32; WINDOW],
    at: usize,
    due: usize,
    /// The lag found last, and how often in a row.
    lag: usize,
    row: u32,
}

impl Together {
    fn new() -> Together {
        Together {
            far: [FAINT; WINDOW + LAGS],
            near: [FAINT; WINDOW],
            at: 0,
            due: 0,
            lag: 0,
            row: 0,
        }
    }

    fn note(&mut self, far: f32, near: f32) -> bool {
        self.far[self.at % self.far.len()] = far.max(FAINT);
        self.near[self.at % WINDOW] = near.max(FAINT);
        self.at += 1;
        self.due += 1;
        if self.due < LOOK_EVERY || self.at < WINDOW + LAGS {
            return false;
        }
        self.due = 0;
        let best = (0..LAGS)
            .map(|lag| (lag, self.correlation(lag)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        match best {
            Some((lag, alike)) if alike > ALIKE => {
                self.row = if lag.abs_diff(self.lag) <= 1 {
                    self.row + 1
                } else {
                    1
                };
                self.lag = lag;
            }
            _ => self.row = 0,
        }
        self.row >= IN_A_ROW
    }

    /// Pearson's, of the microphone now with the loudspeaker `lag` frames ago; 0 where either hardly
    /// moves.
    fn correlation(&self, lag: usize) -> f32 {
        let pairs = || {
            (0..WINDOW).map(|back| {
                let near = self.near[(self.at - 1 - back) % WINDOW];
                let far = self.far[(self.at - 1 - back - lag) % self.far.len()];
                (far, near)
            })
        };
        let count = WINDOW as f32;
        let (far, near) = pairs().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
        let (far, near) = (far / count, near / count);
        let (mut both, mut of_far, mut of_near) = (0.0, 0.0, 0.0);
        for (f, n) in pairs() {
            both += (f - far) * (n - near);
            of_far += (f - far).powi(2);
            of_near += (n - near).powi(2);
        }
        if of_far < MOVES * count || of_near < MOVES * count {
            return 0.0;
        }
        both / (of_far * of_near).sqrt()
    }
}

/// What a sum keeps of itself from frame to frame: half a second.
const KEPT: f32 = 0.96;

/// Frames of far speech before the sums say anything.
const ENOUGH: u32 = 15;

/// How much more there must be before the linear filter than behind it: 6 dB. A voice like the far one
/// lets it foretell half by chance.
const FORETOLD: f32 = 4.0;

/// And where the levels go together: two who begin and end their sentences at the same time do that
/// too, but then the filter foretells little. 2 dB.
const HINTED: f32 = 1.6;

/// A sum of squares under which nothing is heard anyway: half a second at -75 dB.
const QUIETEST: f32 = 25.0 * 320.0 * 3.2e-8;

/// Frames of far speech with a quiet microphone after which there is no echo: three seconds.
const LONG_WITHOUT: u32 = 150;

/// Frames of far speech after which an echo would have shown, were there one that matters: three
/// seconds. An echo alone shows in half a second, a faint one in two; one under the owner's own
/// voice may not, but then that covers it, and it shows in his next pause.
const UNPROVEN: u32 = 150;

/// The same where there was one: twenty seconds without a pause of the owner's.
const FORGOTTEN: u32 = 1000;

/// Up to so many dB above the noise the microphone is quiet.
const ABOVE_NOISE: f32 = 6.0;

/// Frames that are compared: two seconds.
const WINDOW: usize = 100;

/// An echo comes back within so many frames: half a second.
const LAGS: usize = 26;

/// Frames between two looks: half a second.
const LOOK_EVERY: usize = 25;

/// How alike the levels must be, and how often in a row.
const ALIKE: f32 = 0.85;
const IN_A_ROW: u32 = 3;

/// Levels under this (in dB) count as this, so that noise in pauses does not matter.
const FAINT: f32 = -65.0;

/// The least variance (dB squared) of a level that says something.
const MOVES: f32 = 9.0;
