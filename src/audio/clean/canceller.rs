//! Echo cancelling by WebRTC's AEC3 in its Rust port, the crate `sonora-aec3`; the only file that
//! knows it.
//!
//! Frames of 20 ms are five of its blocks, so nothing waits to be framed: it adds the 4 ms by which
//! its windows overlap. It finds the delay of the echo itself, up to 500 ms, and follows it.

use sonora_aec3::block::Block;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::config::EchoCanceller3Config;

use crate::audio::clean::cleaner::{Cleaner, FRAME, Left};
use crate::audio::clean::level::power;

/// One canceller for one pair of microphone and loudspeaker.
#[derive(Debug)]
pub(super) struct Canceller {
    inner: BlockProcessor,
    /// What has come for the loudspeaker and is not a whole block yet.
    far: Block,
    filled: usize,
    near: Block,
    linear: Block,
}

impl Canceller {
    /// Allocates what lasts; some buffers of a block are made anew each time.
    pub(super) fn new() -> Canceller {
        Canceller {
            inner: BlockProcessor::new(&tuned(), 16_000, 1, 1),
            far: Block::new(1, 1),
            filled: 0,
            near: Block::new(1, 1),
            linear: Block::new(1, 1),
        }
    }
}

impl Cleaner for Canceller {
    fn far(&mut self, sound: &[f32]) {
        for sample in sound {
            self.far.view_mut(0, 0)[self.filled] = sample * FULL;
            self.filled += 1;
            if self.filled == BLOCK {
                self.inner.buffer_render(&self.far);
                self.filled = 0;
            }
        }
    }

    fn near(&mut self, frame: &mut [f32; FRAME]) -> Left {
        let mut sum = Left::default();
        for sound in frame.as_chunks_mut::<BLOCK>().0 {
            sum.before += power(sound);
            sum.linear += self.block(sound);
        }
        sum
    }

    fn hint(&mut self, delay: std::time::Duration) {
        let ms = delay.as_millis().min(500);
        self.inner.set_audio_buffer_delay(ms as i32);
    }
}

impl Canceller {
    /// Cleans one block and says what power the linear filter alone leaves.
    fn block(&mut self, sound: &mut [f32; BLOCK]) -> f32 {
        let near = self.near.view_mut(0, 0);
        for (to, from) in near.iter_mut().zip(sound.iter()) {
            *to = from * FULL;
        }
        let saturated = near.iter().any(|sample| sample.abs() >= SATURATED);
        // Until sound has come for the loudspeaker it leaves both as they are.
        self.linear.view_mut(0, 0).copy_from_slice(near);
        let linear = Some(&mut self.linear);
        self.inner
            .process_capture(false, saturated, linear, &mut self.near);
        for (to, from) in sound.iter_mut().zip(self.near.view(0, 0)) {
            *to = from / FULL;
        }
        power(self.linear.view(0, 0)) / (FULL * FULL)
    }
}

/// The usual settings but for two things that the bench `echo` shows to be better at 16 kHz: the
/// filters learn from quieter sound as well (20 dB reached in the first two seconds, not in the
/// third), and what may be echo is taken away at half the usual level (8 dB less of it in the two
/// seconds after somebody moves the microphone; double talk loses 0.1 dB).
fn tuned() -> EchoCanceller3Config {
    let mut config = EchoCanceller3Config::default();
    let filter = &mut config.filter;
    filter.export_linear_aec_output = true;
    filter.refined.noise_gate = NOISE_GATE;
    filter.refined_initial.noise_gate = NOISE_GATE;
    filter.coarse.noise_gate = NOISE_GATE;
    filter.coarse_initial.noise_gate = NOISE_GATE;
    let tuning = &mut config.suppressor.normal_tuning;
    for mask in [&mut tuning.mask_lf, &mut tuning.mask_hf] {
        mask.enr_transparent *= 0.5;
        mask.enr_suppress *= 0.5;
    }
    config
}

const BLOCK: usize = 64;

/// AEC3 counts in 16 bits.
const FULL: f32 = 32_768.0;

/// From here on AEC3 takes a sample for cut off.
const SATURATED: f32 = 32_700.0;

/// Power of the loudspeaker's sound in one spectrum below which the filters rest; the usual value is
/// a hundred times that.
const NOISE_GATE: f32 = 200_000.0;
