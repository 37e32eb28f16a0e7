//! What an echo canceller has to do, whoever made it.

use std::time::Duration;

/// Takes the loudspeaker's sound out of the microphone's, at 16 kHz.
pub(super) trait Cleaner {
    /// What goes to the loudspeaker next, in pieces of any length.
    fn far(&mut self, sound: &[f32]);

    /// Cleans the next 20 ms of the microphone and says how much of it was echo.
    fn near(&mut self, frame: &mut [f32; FRAME]) -> Left;

    /// The time between [`Cleaner::far`] and the echo of that sound in [`Cleaner::near`], if somebody
    /// knows it. A canceller finds and follows the delay itself; this is where it starts to look.
    fn hint(&mut self, delay: Duration);
}

/// Sums of squares over one frame, as share of full scale: what came, and what is left of it when a
/// linear filter takes out what it can foretell from the loudspeaker's sound.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Left {
    pub(super) before: f32,
    pub(super) linear: f32,
}

/// Samples in 20 ms at the rate at which sound is cleaned.
pub(super) const FRAME: usize = 320;
