//! The own voice of one served call: from the microphone to frames for the far side.

use crate::audio::Controls;
use crate::audio::codec::{CodecError, Encoder, SAMPLES};
use crate::audio::level;
use crate::audio::rings::VoiceSide;
use crate::phone::types::Frame;

/// Encoder and meter of one call.
#[derive(Debug)]
pub(super) struct Speaking {
    encoder: Encoder,
    seq: u16,
    sent: u64,
    peak: f32,
    frame: Box<[f32; SAMPLES]>,
}

impl Speaking {
    pub(super) fn new(complexity: u8) -> Result<Speaking, CodecError> {
        Ok(Speaking {
            encoder: Encoder::new(complexity)?,
            seq: 0,
            sent: 0,
            peak: 0.0,
            frame: Box::new([0.0; SAMPLES]),
        })
    }

    /// The next frame of the microphone, if a whole one has been recorded.
    pub(super) fn record(&mut self, rings: &mut VoiceSide, controls: &Controls) -> Option<Frame> {
        if !rings.record(&mut self.frame) {
            return None;
        }
        let gain = if controls.muted { 0.0 } else { controls.gain };
        level::amplify(self.frame.as_mut_slice(), gain);
        self.peak = level::peak(self.peak, self.frame.as_slice());
        let opus = self.encoder.encode(&self.frame).ok()?;
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        self.sent += 1;
        Some(Frame::new(seq, opus))
    }

    /// Frames made so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// The highest level since this was last asked, as share of full scale.
    pub(super) fn take_peak(&mut self) -> f32 {
        std::mem::take(&mut self.peak)
    }
}
