//! The far voice of one served call: from frames that arrived to the loudspeaker.

use std::time::Duration;

use crate::audio::clean::Cleaning;
use crate::audio::codec::{CodecError, Decoder, SAMPLES, mends};
use crate::audio::level;
use crate::audio::record::Tap;
use crate::audio::rings::{CHUNK, VoiceSide};
use crate::audio::tones::Chorus;
use crate::audio::{Controls, Settings, Tone};
use crate::phone::types::{FRAME, Frame, MAX_OPUS};
use crate::voice::{Decode, Playout, Stats};

/// Jitter buffer, decoder and meter of one call.
#[derive(Debug)]
pub(super) struct Hearing {
    decoder: Decoder,
    playout: Playout,
    chorus: Chorus,
    is_audible: bool,
    peak: f32,
    block: Box<[f32; CHUNK]>,
}

impl Hearing {
    pub(super) fn new(settings: &Settings) -> Result<Hearing, CodecError> {
        Ok(Hearing {
            decoder: Decoder::new(settings.decoder_complexity)?,
            playout: Playout::new(crate::voice::Settings {
                frame: FRAME,
                target: settings.delay,
                max_payload: MAX_OPUS,
                mends,
            }),
            chorus: Chorus::default(),
            is_audible: false,
            peak: 0.0,
            block: Box::new([0.0; CHUNK]),
        })
    }

    /// A frame from the far side that arrived at `at`.
    pub(super) fn receive(&mut self, frame: &Frame, at: Duration) {
        self.playout.push(frame.seq, &frame.opus, at);
        self.decoder.note_room(frame.rung, !frame.copies.is_empty());
        for copy in &frame.copies {
            let seq = frame.seq.wrapping_sub(u16::from(copy.back));
            self.playout.push_copy(seq, &copy.opus, copy.back, at);
        }
    }

    /// Lays sound ready until there are `wanted` samples for the loudspeaker.
    pub(super) fn play(
        &mut self,
        rings: &mut VoiceSide,
        controls: &Controls,
        mut tap: Option<&mut Tap>,
        cleaning: &mut Cleaning,
        wanted: usize,
        now: Duration,
    ) {
        if wanted == 0 {
            return;
        }
        let grain = rings.grain(wanted);
        self.playout.set_grain(grain);
        let mut held = rings.ready();
        // What needs no decoding is laid ready too, so that we are woken once a frame.
        while held < wanted || self.playout.ready() > 0 {
            let piece = self.playout.ready().clamp(grain, CHUNK);
            let sound = &mut self.block[..piece];
            self.playout.pull(&mut self.decoder, now, sound);
            if let Some(tap) = &mut tap {
                tap.heard(sound);
            }
            level::amplify(sound, controls.volume);
            self.peak = level::peak(self.peak, sound);
            if self.is_audible {
                self.chorus.mix(sound);
            }
            cleaning.far(sound);
            rings.play(sound);
            held += sound.len();
        }
    }

    /// The tone that goes on from now on, and those to be heard once.
    pub(super) fn take_tones(&mut self, lasting: Option<Tone>, short: Vec<Tone>) {
        self.chorus.last(lasting);
        short.into_iter().for_each(|tone| self.chorus.add(tone));
    }

    pub(super) fn let_tones_be_heard(&mut self, is_audible: bool) {
        self.is_audible = is_audible;
    }

    pub(super) fn stats(&self, now: Duration) -> Stats {
        self.playout.stats(now)
    }

    /// The highest level since this was last asked, as share of full scale.
    pub(super) fn take_peak(&mut self) -> f32 {
        std::mem::take(&mut self.peak)
    }
}

impl Decode for Decoder {
    fn decode(&mut self, packet: &[u8], sound: &mut [f32; SAMPLES]) -> bool {
        Decoder::decode(self, packet, sound).is_ok()
    }

    fn recover(&mut self, packet: &[u8], sound: &mut [f32; SAMPLES]) -> bool {
        Decoder::recover(self, packet, sound).is_ok()
    }

    fn conceal(&mut self, sound: &mut [f32]) -> bool {
        Decoder::conceal(self, sound).is_ok()
    }
}
