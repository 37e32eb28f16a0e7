//! What an echo canceller has to do, whoever made it.

use std::time::Duration;

/// Takes the loudspeaker's sound out of the microphone's, at 16 kHz.
pub(super) trait Cleaner {
    /// What goes to the loudspeaker next, in pieces of any length.
    fn far(&mut self, sound: &[f32]);

    /// Cleans the next 20 ms of the microphone.
    fn near(&mut self, frame: &mut [f32; FRAME]);

    /// The time between [`Cleaner::far`] and the echo of that sound in [`Cleaner::near`], if somebody
    /// knows it. A canceller finds and follows the delay itself; this is where it starts to look.
    fn hint(&mut self, delay: Duration);
}

/// Samples in 20 ms at the rate at which sound is cleaned.
pub(super) const FRAME: usize = 320;
