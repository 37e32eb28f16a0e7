//! The own voice of one served call: from the microphone to frames for the far side.

use crate::audio::Controls;
use crate::audio::clean::Cleaning;
use crate::audio::codec::{CodecError, SAMPLES};
use crate::audio::level;
use crate::audio::rings::VoiceSide;
use crate::audio::sending::Sending;
use crate::phone::types::Frame;
use crate::voice::Policy;

/// What leaves the microphone, and the meter of it.
#[derive(Debug)]
pub(super) struct Speaking {
    pub(super) sending: Sending,
    peak: f32,
    frame: Box<[f32; SAMPLES]>,
}

impl Speaking {
    pub(super) fn new(complexity: u8, policy: Policy) -> Result<Speaking, CodecError> {
        Ok(Speaking {
            sending: Sending::new(complexity, policy)?,
            peak: 0.0,
            frame: Box::new([0.0; SAMPLES]),
        })
    }

    /// The next frame of the microphone, if a whole one has been recorded.
    pub(super) fn record(
        &mut self,
        rings: &mut VoiceSide,
        controls: &Controls,
        cleaning: &mut Cleaning,
    ) -> Option<Frame> {
        if !rings.record(&mut self.frame) {
            return None;
        }
        cleaning.choose(controls.cleaning);
        cleaning.near(&mut self.frame, controls.muted);
        let gain = if controls.muted { 0.0 } else { controls.gain };
        level::amplify(self.frame.as_mut_slice(), gain);
        self.peak = level::peak(self.peak, self.frame.as_slice());
        self.sending.encode(&self.frame)
    }

    /// The sound of the last frame, as it was sent.
    pub(super) fn said(&self) -> &[f32] {
        self.frame.as_slice()
    }

    /// The highest level since this was last asked, as share of full scale.
    pub(super) fn take_peak(&mut self) -> f32 {
        std::mem::take(&mut self.peak)
    }
}
