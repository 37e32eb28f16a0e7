//! The sound of one call without device, thread or clock, for whoever brings his own: benches and
//! tests.

use std::time::Duration;

use crate::audio::codec::CodecError;
use crate::audio::line::Line;
use crate::audio::rings::{CHUNK, DeviceSide, VoiceSide, rings};
use crate::audio::{AudioStats, Controls, RATE, Settings};
use crate::phone::types::{Frame, OpenMic, Report};
use crate::voice::Policy;

/// Samples in one block of [`Chain::turn`]: 10 ms.
pub const BLOCK: usize = CHUNK;

/// Microphone to frames and frames to loudspeaker, as the voice thread does it.
#[derive(Debug)]
pub struct Chain {
    line: Line,
    device: DeviceSide,
    rings: VoiceSide,
    controls: Controls,
}

impl Chain {
    /// The backend of the settings is not used.
    pub fn new(mic: OpenMic, settings: &Settings) -> Result<Chain, CodecError> {
        let (device, rings) = rings(RATE, RATE).expect("our own rate needs no conversion");
        Ok(Chain {
            line: Line::new(mic, settings, Policy::new())?,
            device,
            rings,
            controls: Controls {
                muted: false,
                volume: settings.volume,
                gain: settings.gain,
                cleaning: settings.cleaning,
            },
        })
    }

    /// 10 ms of the device end at `now`: takes what the microphone has recorded and gives what the
    /// loudspeaker plays from then on. Every second time there is a frame to send.
    pub fn turn(
        &mut self,
        microphone: &[f32; BLOCK],
        loudspeaker: &mut [f32; BLOCK],
        now: Duration,
    ) -> Option<Frame> {
        // The ring has room for 200 ms and is emptied each time.
        let _ = self.device.mic.push_entire_slice(microphone);
        let frame = self.line.record(&mut self.rings, &self.controls);
        self.line
            .play(&mut self.rings, &self.controls, None, BLOCK, now);
        loudspeaker.fill(0.0);
        let _ = self.device.speaker.pop_partial_slice(loudspeaker);
        frame
    }

    /// A frame of the far side has arrived at `at`.
    pub fn receive(&mut self, frame: &Frame, at: Duration) {
        self.line.receive(frame, at);
    }

    /// What the far side should be told now of how its voice arrives.
    pub fn report(&mut self, now: Duration) -> Option<Report> {
        self.line.report(now)
    }

    /// The far side says how the own voice arrives there.
    pub fn hear_report(&mut self, report: Report, now: Duration) {
        self.line.hear_report(report, now);
    }

    pub fn stats(&self, now: Duration) -> AudioStats {
        self.line.stats(now)
    }
}
