//! What is wrong with the microphone, if anything: told to its owner while a call lasts, and only
//! after seconds of proof, because a wrong word here is worse than none.

/// What the owner should know about the microphone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Microphone {
    #[default]
    Fine,
    /// Nothing but zeros come from it.
    Dead,
    /// The owner speaks while muted.
    TalkingMuted,
    /// It is set so high that the voice is cut off.
    Clipping,
    /// The voice is too quiet, whatever automatic gain can do.
    Quiet,
}

/// Watches one microphone.
#[derive(Debug, Default)]
pub(super) struct SelfTest {
    /// Frames of nothing but zeros in a row, and whether any sound has come before.
    zeros: u32,
    heard: bool,
    /// Frames that were cut off: more with each, less with time.
    clipped: u32,
    /// Frames of voice while muted: more with each, less with time.
    spoken: u32,
    state: Steady,
    voice: Voice,
}

/// One frame as the test wants to know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) is_zero: bool,
    /// Samples at full scale.
    pub(super) cut: usize,
    /// The voice's level after automatic gain in dB, if this frame is the owner's voice.
    pub(super) voice: Option<f32>,
    pub(super) muted: bool,
}

impl SelfTest {
    /// Takes the next 20 ms, as they come from the device, and says what is to be told now.
    pub(super) fn note(&mut self, seen: Seen) -> Microphone {
        self.heard |= !seen.is_zero;
        self.zeros = if seen.is_zero {
            self.zeros.saturating_add(1)
        } else {
            0
        };
        self.clipped = match seen.cut >= CUT_SAMPLES {
            true => (self.clipped + CLIPPED_COUNTS).min(CLIPPED_MOST),
            false => self.clipped.saturating_sub(1),
        };
        self.spoken = match (seen.muted, seen.voice) {
            (false, _) => 0,
            (true, Some(_)) => (self.spoken + 2).min(SPOKEN_MOST),
            (true, None) => self.spoken.saturating_sub(1),
        };
        if let Some(level) = seen.voice {
            self.voice.note(level);
        }
        let now = self.now(seen.muted);
        self.state.settle(now)
    }

    fn now(&self, muted: bool) -> Microphone {
        let patience = if self.heard { ZEROS_LATER } else { ZEROS_FIRST };
        if self.zeros >= patience {
            return Microphone::Dead;
        }
        if muted {
            return match self.spoken >= SPOKEN_ENOUGH {
                true => Microphone::TalkingMuted,
                false => Microphone::Fine,
            };
        }
        if self.clipped >= CLIPPED_ENOUGH {
            return Microphone::Clipping;
        }
        if self.voice.is_quiet() {
            return Microphone::Quiet;
        }
        Microphone::Fine
    }
}

/// The level of the owner's voice over the last seconds of it.
#[derive(Debug, Default)]
struct Voice {
    level: f32,
    heard: u32,
    is_quiet: bool,
}

impl Voice {
    fn note(&mut self, level: f32) {
        self.heard = (self.heard + 1).min(VOICE_ENOUGH);
        self.level += (level - self.level) / self.heard as f32;
        let edge = if self.is_quiet { LOUD_AGAIN } else { TOO_QUIET };
        self.is_quiet = self.heard == VOICE_ENOUGH && self.level < edge;
    }

    fn is_quiet(&self) -> bool {
        self.is_quiet
    }
}

/// A state stays for some seconds, so that it can be read and does not flicker; only good news of a
/// dead microphone or an ended mute come at once.
#[derive(Debug, Default)]
struct Steady {
    shown: Microphone,
    age: u32,
}

impl Steady {
    fn settle(&mut self, now: Microphone) -> Microphone {
        self.age = self.age.saturating_add(1);
        let may_change = match self.shown {
            Microphone::Fine | Microphone::Dead | Microphone::TalkingMuted => true,
            Microphone::Clipping | Microphone::Quiet => self.age >= LEAST_SHOWN,
        };
        if now != self.shown && may_change {
            self.shown = now;
            self.age = 0;
        }
        self.shown
    }
}

/// Frames of zeros: three seconds at the start of a call; ten later, because some headsets send
/// zeros in pauses.
const ZEROS_FIRST: u32 = 150;
const ZEROS_LATER: u32 = 500;

/// A frame with so many samples at full scale is cut off. Ten of them within some seconds are too
/// many; each is forgotten after a second.
const CUT_SAMPLES: usize = 4;
const CLIPPED_COUNTS: u32 = 50;
const CLIPPED_ENOUGH: u32 = 500;
const CLIPPED_MOST: u32 = 600;

/// One and a half second of voice within a few; forgotten within five seconds of silence.
const SPOKEN_ENOUGH: u32 = 150;
const SPOKEN_MOST: u32 = 250;

/// Frames of voice that are judged: three seconds. In dB under full scale.
const VOICE_ENOUGH: u32 = 150;
const TOO_QUIET: f32 = -45.0;
const LOUD_AGAIN: f32 = -41.0;

/// Frames: four seconds.
const LEAST_SHOWN: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Seen = Seen {
        is_zero: false,
        cut: 0,
        voice: None,
        muted: false,
    };

    /// What is told after each of so many frames.
    fn told(test: &mut SelfTest, frames: u32, seen: impl Fn(u32) -> Seen) -> Vec<Microphone> {
        let mut told: Vec<_> = (0..frames).map(|frame| test.note(seen(frame))).collect();
        told.dedup();
        told
    }

    #[test]
    fn zeros_are_told_after_three_seconds_and_taken_back_at_once() {
        let mut test = SelfTest::default();
        let zero = Seen {
            is_zero: true,
            ..SILENT
        };
        assert_eq!(told(&mut test, 149, |_| zero), [Microphone::Fine]);
        assert_eq!(told(&mut test, 1, |_| zero), [Microphone::Dead]);
        assert_eq!(told(&mut test, 1, |_| SILENT), [Microphone::Fine]);
        // A headset that sends zeros between the words is not dead.
        let gated = |frame: u32| if frame % 400 < 20 { SILENT } else { zero };
        assert_eq!(told(&mut test, 5000, gated), [Microphone::Fine]);
    }

    #[test]
    fn speaking_while_muted_is_told_once_it_is_certain() {
        let mut test = SelfTest::default();
        let cough = |frame: u32| Seen {
            muted: true,
            voice: (frame % 300 < 20).then_some(-30.0),
            ..SILENT
        };
        assert_eq!(told(&mut test, 3000, cough), [Microphone::Fine]);
        let words = |frame: u32| Seen {
            muted: true,
            voice: (frame % 50 < 35).then_some(-30.0),
            ..SILENT
        };
        let told_of_words = told(&mut test, 250, words);
        assert_eq!(told_of_words, [Microphone::Fine, Microphone::TalkingMuted]);
        assert_eq!(told(&mut test, 1, |_| SILENT), [Microphone::Fine]);
    }

    #[test]
    fn clipping_counts_when_it_goes_on() {
        let mut test = SelfTest::default();
        let cut = |every: u32| {
            move |frame: u32| Seen {
                cut: if frame.is_multiple_of(every) { 10 } else { 0 },
                ..SILENT
            }
        };
        assert_eq!(told(&mut test, 3000, cut(100)), [Microphone::Fine]);
        let going_on = told(&mut test, 300, cut(8));
        assert_eq!(going_on, [Microphone::Fine, Microphone::Clipping]);
        assert_eq!(
            told(&mut test, 700, |_| SILENT).last(),
            Some(&Microphone::Fine)
        );
    }

    #[test]
    fn a_quiet_voice_is_told_and_a_louder_one_takes_it_back() {
        let mut test = SelfTest::default();
        let voice = |level: f32| {
            move |_| Seen {
                voice: Some(level),
                ..SILENT
            }
        };
        assert_eq!(told(&mut test, 500, voice(-30.0)), [Microphone::Fine]);
        assert_eq!(
            told(&mut test, 900, voice(-50.0)).last(),
            Some(&Microphone::Quiet)
        );
        // Between the two edges it stays as it is.
        assert_eq!(told(&mut test, 900, voice(-43.0)), [Microphone::Quiet]);
        assert_eq!(
            told(&mut test, 900, voice(-30.0)).last(),
            Some(&Microphone::Fine)
        );
        assert_eq!(told(&mut test, 900, voice(-43.0)), [Microphone::Fine]);
    }
}
