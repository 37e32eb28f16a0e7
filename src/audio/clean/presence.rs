//! Whether the loudspeaker can be heard in the microphone at all.
//!
//! Cancelling an echo that is not there costs quality whenever both sides speak (PESQ 3.5 becomes
//! 1.5), so it is worth knowing, and soon. What proves an echo is that the far sound is found in the
//! microphone at some distance in time ([`crate::audio::clean::search`]); that it is not found in
//! most of a second of far speech is taken for the opposite, until it is.

use crate::audio::clean::search::Likeness;

/// Decides from frames of 20 ms.
#[derive(Debug)]
pub(super) struct Presence {
    heard: Heard,
    /// What stood out last.
    last: Option<Likeness>,
    /// Samples from the far sound to its echo.
    lag: Option<usize>,
    /// Frames of far speech since the last proof, those in which an echo should have been heard, and
    /// all.
    unheard: u32,
    unproven: u32,
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
            last: None,
            lag: None,
            unheard: 0,
            unproven: 0,
        }
    }

    /// Takes the next frame.
    pub(super) fn note(&mut self, now: Now) -> Heard {
        if now.far_speaks {
            self.unproven = self.unproven.saturating_add(1);
            // Once there was an echo, a quiet microphone says soonest that there is none any more: in
            // a loud one, the owner's voice may cover it.
            self.unheard += u32::from(now.is_quiet);
        }
        let proof = now.likeness.filter(|found| self.is_proof(*found));
        self.last = now.likeness.or(self.last);
        if let Some(likeness) = proof {
            self.heard = Heard::Echo;
            self.lag = Some(likeness.lag);
            self.unheard = 0;
            self.unproven = 0;
        } else if self.is_without() || self.is_covered(now) {
            self.heard = Heard::Nothing;
            self.lag = None;
        }
        self.heard
    }

    /// How many samples later the echo comes, once it is known.
    pub(super) fn lag(&self) -> Option<usize> {
        self.lag
    }

    /// True while there is an echo that was proven not long ago, so that nobody need look for it.
    pub(super) fn is_settled(&self) -> bool {
        self.heard == Heard::Echo && self.unproven < SETTLED
    }

    fn is_proof(&self, found: Likeness) -> bool {
        let is_at = |lag: usize| lag.abs_diff(found.lag) <= NEARBY;
        let seen = self
            .last
            .is_some_and(|last| last.strength > STILL && is_at(last.lag));
        found.strength
            > match (self.lag.is_some_and(is_at), seen) {
                (true, _) => STILL,
                (false, true) => PROOF,
                (false, false) => CERTAIN,
            }
    }

    /// Both speak, and the far side long enough for what is found at a desk to begin to stand out:
    /// an echo that does not is far under the near voice, which cancelling would harm.
    fn is_covered(&self, now: Now) -> bool {
        let is_traceless = now.likeness.is_some_and(|found| found.strength < TRACE);
        let is_both = now.far_speaks && !now.is_quiet;
        self.heard == Heard::Unknown && is_both && is_traceless && self.unproven >= BEGINS
    }

    fn is_without(&self) -> bool {
        match self.heard {
            Heard::Nothing => true,
            Heard::Echo => self.unheard >= LONG_WITHOUT || self.unproven >= FORGOTTEN,
            Heard::Unknown => {
                let is_suspect = self.last.is_some_and(|found| found.strength > STILL);
                self.unproven >= if is_suspect { SUSPECT } else { UNPROVEN }
            }
        }
    }
}

/// One frame of the microphone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// What the search found just now.
    pub(super) likeness: Option<Likeness>,
    /// The microphone hears no more than its noise.
    pub(super) is_quiet: bool,
    /// The far side speaks.
    pub(super) far_speaks: bool,
}

/// Standard deviations that prove an echo at once; those that do when seen twice at one distance; and
/// those that do where an echo was proven before. Among the pairs of 16 real voices without an echo
/// the most was 6.4, among those of 8 synthetic ones, which are all pulses, under 10.
const CERTAIN: f32 = 12.0;
const PROOF: f32 = 10.0;
const STILL: f32 = 6.5;

/// Frames of far speech for which a proof holds: two seconds.
const SETTLED: u32 = 100;

/// Samples (of 16 kHz) by which an echo may move and be the same: 4 ms.
const NEARBY: usize = 64;

/// Frames of far speech after which an echo would have shown, were there one that matters: 0.8
/// seconds, 1.6 if there was something. One that is far under the owner's own voice may take longer,
/// but then that covers it.
const UNPROVEN: u32 = 40;
const SUSPECT: u32 = 80;

/// Frames of far speech after which an echo begins to stand out of the near voice, and by how many
/// standard deviations. Of 96 echoes (60 to 180 ms late, 4 to 20 dB under the near voice, 16 voices)
/// one had less than 5 after so many, and was found later; of 112 pairs without one, nine in ten.
const BEGINS: u32 = 30;
const TRACE: f32 = 4.6;

/// Frames of far speech with a quiet microphone after which there is no echo any more: three seconds.
const LONG_WITHOUT: u32 = 150;

/// The same whatever the microphone heard: fifteen seconds.
const FORGOTTEN: u32 = 750;

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of far speech with a look every eight of them; returns what is heard at the end.
    fn hear(presence: &mut Presence, frames: u32, strength: f32, lag: usize) -> Heard {
        for frame in 1..=frames {
            let found = Likeness { strength, lag };
            presence.note(Now {
                likeness: (frame % 8 == 0).then_some(found),
                is_quiet: false,
                far_speaks: true,
            });
        }
        presence.heard
    }

    #[test]
    fn a_clear_echo_is_one_at_once_and_a_faint_one_when_it_is_seen_again() {
        let mut presence = Presence::new();
        assert_eq!(hear(&mut presence, 8, CERTAIN + 1.0, 500), Heard::Echo);
        let mut presence = Presence::new();
        assert_eq!(hear(&mut presence, 8, PROOF + 1.0, 500), Heard::Unknown);
        assert_eq!(hear(&mut presence, 8, PROOF + 1.0, 900), Heard::Unknown);
        assert_eq!(hear(&mut presence, 8, PROOF + 1.0, 910), Heard::Echo);
        assert_eq!(presence.lag(), Some(910));
    }

    #[test]
    fn without_proof_there_is_none_and_a_suspicion_waits_longer() {
        let mut presence = Presence::new();
        assert_eq!(hear(&mut presence, UNPROVEN, 4.0, 0), Heard::Nothing);
        let mut presence = Presence::new();
        assert_eq!(hear(&mut presence, UNPROVEN, 7.0, 0), Heard::Unknown);
        assert_eq!(hear(&mut presence, UNPROVEN, 7.0, 0), Heard::Nothing);
        assert_eq!(hear(&mut presence, 8, CERTAIN + 1.0, 0), Heard::Echo);
    }

    #[test]
    fn a_near_voice_over_no_trace_of_an_echo_is_let_through_sooner() {
        for (strength, is_quiet, heard) in [
            (TRACE - 0.5, false, Heard::Nothing),
            (TRACE - 0.5, true, Heard::Unknown),
            (TRACE + 0.5, false, Heard::Unknown),
        ] {
            let mut presence = Presence::new();
            for frame in 1..=BEGINS {
                presence.note(Now {
                    likeness: (frame == BEGINS).then_some(Likeness { strength, lag: 0 }),
                    is_quiet,
                    far_speaks: true,
                });
            }
            assert_eq!(presence.heard, heard, "{strength} {is_quiet}");
        }
    }

    #[test]
    fn an_echo_is_kept_on_less_and_let_go_when_it_is_gone() {
        let mut presence = Presence::new();
        hear(&mut presence, 8, CERTAIN + 1.0, 500);
        assert_eq!(hear(&mut presence, 3000, STILL + 0.5, 520), Heard::Echo);
        assert_eq!(hear(&mut presence, FORGOTTEN - 8, 4.0, 500), Heard::Echo);
        assert_eq!(hear(&mut presence, 8, 4.0, 500), Heard::Nothing);
    }
}
