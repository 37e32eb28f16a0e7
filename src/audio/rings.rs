//! The two rings between a device and the voice thread, with the voice thread's sides of them.

use rtrb::{Consumer, Producer, RingBuffer};

use crate::audio::codec::{RATE, SAMPLES};
use crate::audio::resample::{RateError, Resample};

/// The device's sides.
#[derive(Debug)]
pub(super) struct DeviceSide {
    pub(super) mic: Producer<f32>,
    pub(super) speaker: Consumer<f32>,
}

/// The voice thread's sides. Rates other than ours are converted here, never in a callback.
pub(super) struct VoiceSide {
    mic: Consumer<f32>,
    from_mic: Option<Resample>,
    /// Converted samples that do not make a whole frame yet.
    half: Option<[f32; CHUNK]>,
    speaker: Producer<f32>,
    to_speaker: Option<Resample>,
    speaker_rate: u32,
}

/// Mono rings of 200 ms for a microphone and a loudspeaker of these rates.
pub(super) fn rings(
    mic_rate: u32,
    speaker_rate: u32,
) -> Result<(DeviceSide, VoiceSide), RateError> {
    let (mic, from_mic) = RingBuffer::new(capacity(mic_rate));
    let (to_speaker, speaker) = RingBuffer::new(capacity(speaker_rate));
    let convert = |rate: u32| (rate != RATE).then_some(rate);
    let voice = VoiceSide {
        mic: from_mic,
        from_mic: convert(mic_rate)
            .map(|rate| Resample::to_ours(rate, CHUNK))
            .transpose()?,
        half: None,
        speaker: to_speaker,
        to_speaker: convert(speaker_rate)
            .map(|rate| Resample::from_ours(rate, CHUNK))
            .transpose()?,
        speaker_rate,
    };
    Ok((DeviceSide { mic, speaker }, voice))
}

impl VoiceSide {
    /// Takes one frame of the microphone if a whole one is there.
    pub(super) fn record(&mut self, frame: &mut [f32; SAMPLES]) -> bool {
        let Some(resample) = &mut self.from_mic else {
            return self.mic.pop_entire_slice(frame).is_ok();
        };
        while self.mic.pop_entire_slice(resample.input()).is_ok() {
            let mut chunk = [0.0; CHUNK];
            let made = resample.turn();
            chunk[..made.len()].copy_from_slice(made);
            match self.half.take() {
                None => self.half = Some(chunk),
                Some(first) => {
                    frame[..CHUNK].copy_from_slice(&first);
                    frame[CHUNK..].copy_from_slice(&chunk);
                    return true;
                }
            }
        }
        false
    }

    /// Drops what the microphone has recorded so far.
    pub(super) fn forget_recorded(&mut self) {
        let held = self.mic.slots();
        if let Ok(chunk) = self.mic.read_chunk(held) {
            chunk.commit_all();
        }
        self.half = None;
    }

    /// Samples (of our rate) that lie ready for the loudspeaker.
    pub(super) fn ready(&self) -> usize {
        held(&self.speaker) * RATE as usize / self.speaker_rate as usize
    }

    /// Samples by whose multiples sound may be laid ready for a loudspeaker that wants so many: 5 ms
    /// if that is enough and nothing has to be converted, or 10 ms.
    pub(super) fn grain(&self, wanted: usize) -> usize {
        let is_small = (1..=CHUNK / 2).contains(&wanted) && self.to_speaker.is_none();
        if is_small { CHUNK / 2 } else { CHUNK }
    }

    /// Lays a multiple of the grain ready. What does not fit is dropped: nobody takes it.
    pub(super) fn play(&mut self, sound: &[f32]) {
        let Some(resample) = &mut self.to_speaker else {
            let _ = self.speaker.push_partial_slice(sound);
            return;
        };
        for chunk in sound.chunks_exact(CHUNK) {
            resample.input().copy_from_slice(chunk);
            let _ = self.speaker.push_partial_slice(resample.turn());
        }
    }
}

impl std::fmt::Debug for VoiceSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VoiceSide({} ready)", self.ready())
    }
}

/// Samples that wait in a ring, as who fills it sees it.
pub(super) fn held(ring: &Producer<f32>) -> usize {
    ring.buffer().capacity() - ring.slots()
}

fn capacity(rate: u32) -> usize {
    rate as usize / 5
}

/// Samples that are converted at a time: 10 ms.
pub(super) const CHUNK: usize = SAMPLES / 2;
