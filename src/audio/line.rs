//! The sound of one served call: frames out of the microphone, frames into the loudspeaker.

use std::time::Duration;

use crate::audio::codec::{CodecError, Decoder, Encoder, SAMPLES};
use crate::audio::rings::{CHUNK, VoiceSide};
use crate::audio::{AudioStats, Controls, Settings};
use crate::phone::types::{CallId, FRAME, Frame, MAX_OPUS, OpenMic};
use crate::voice::{Jitter, Pull};

/// Codec, jitter buffer and meters of one call. Lives as long as the microphone may be open.
#[derive(Debug)]
pub(super) struct Line {
    permit: OpenMic,
    encoder: Encoder,
    decoder: Decoder,
    jitter: Jitter,
    seq: u16,
    sent: u64,
    peaks: Peaks,
    frame: Box<[f32; SAMPLES]>,
}

/// Highest levels since they were last taken, as share of full scale.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peaks {
    pub(super) mic: f32,
    pub(super) speaker: f32,
}

impl Line {
    pub(super) fn new(permit: OpenMic, settings: &Settings) -> Result<Line, CodecError> {
        Ok(Line {
            permit,
            encoder: Encoder::new(settings.encoder_complexity)?,
            decoder: Decoder::new(settings.decoder_complexity)?,
            jitter: Jitter::new(crate::voice::Settings {
                frame: FRAME,
                target: settings.delay,
                max_payload: MAX_OPUS,
            }),
            seq: 0,
            sent: 0,
            peaks: Peaks::default(),
            frame: Box::new([0.0; SAMPLES]),
        })
    }

    pub(super) fn call(&self) -> CallId {
        self.permit.call()
    }

    /// The next frame of the microphone, if a whole one has been recorded.
    pub(super) fn record(&mut self, rings: &mut VoiceSide, controls: &Controls) -> Option<Frame> {
        if !rings.record(&mut self.frame) {
            return None;
        }
        let gain = if controls.muted { 0.0 } else { controls.gain };
        amplify(self.frame.as_mut_slice(), gain);
        self.peaks.mic = peak(self.peaks.mic, self.frame.as_slice());
        let opus = self.encoder.encode(&self.frame).ok()?;
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        self.sent += 1;
        Some(Frame { seq, opus })
    }

    /// A frame from the far side that arrived at `at`.
    pub(super) fn receive(&mut self, frame: &Frame, at: Duration) {
        self.jitter.push(frame.seq, &frame.opus, at);
    }

    /// Lays sound ready until there are `wanted` samples for the loudspeaker.
    pub(super) fn play(
        &mut self,
        rings: &mut VoiceSide,
        controls: &Controls,
        wanted: usize,
        now: Duration,
    ) {
        let mut held = rings.ready();
        while held < wanted {
            let length = self.next_sound(now);
            let sound = &mut self.frame[..length];
            amplify(sound, controls.volume);
            self.peaks.speaker = peak(self.peaks.speaker, sound);
            rings.play(sound);
            held += length;
        }
    }

    pub(super) fn take_peaks(&mut self) -> Peaks {
        std::mem::take(&mut self.peaks)
    }

    pub(super) fn stats(&self, now: Duration) -> AudioStats {
        let voice = self.jitter.stats(now);
        AudioStats {
            jitter_ms: voice.jitter.as_secs_f32() * 1000.0,
            buffer_ms: voice.depth.as_secs_f32() * 1000.0,
            loss: voice.loss,
            concealed: voice.concealed,
            recorded: self.sent,
            received: voice.received,
            late: voice.late,
            duplicate: voice.duplicate,
            skipped: voice.skipped,
            dropped: 0,
        }
    }

    /// Fills the front of `frame` with what is heard next and says how long it is.
    fn next_sound(&mut self, now: Duration) -> usize {
        let decoded = match self.jitter.pop(now) {
            Pull::Silence => {
                self.frame[..CHUNK].fill(0.0);
                return CHUNK;
            }
            Pull::Play(packet) => self.decoder.decode(packet, &mut self.frame),
            Pull::Conceal => self.decoder.conceal(&mut self.frame),
        };
        // A packet that cannot be decoded is as good as lost.
        if decoded.is_err() && self.decoder.conceal(&mut self.frame).is_err() {
            self.frame.fill(0.0);
        }
        SAMPLES
    }
}

fn amplify(sound: &mut [f32], gain: f32) {
    if gain == 1.0 {
        return;
    }
    for sample in sound {
        *sample = (*sample * gain).clamp(-1.0, 1.0);
    }
}

fn peak(before: f32, sound: &[f32]) -> f32 {
    sound
        .iter()
        .fold(before, |peak, sample| peak.max(sample.abs()))
        .min(1.0)
}
