//! The far voice of one served call: from frames that arrived to the loudspeaker.

use std::time::Duration;

use crate::audio::codec::{CodecError, Decoder, SAMPLES};
use crate::audio::level;
use crate::audio::record::Tap;
use crate::audio::rings::{CHUNK, VoiceSide};
use crate::audio::tones::Chorus;
use crate::audio::{Controls, Settings, Tone};
use crate::phone::types::{FRAME, Frame, MAX_OPUS};
use crate::voice::{Jitter, Pull, Stats};

/// Jitter buffer, decoder and meter of one call.
#[derive(Debug)]
pub(super) struct Hearing {
    decoder: Decoder,
    jitter: Jitter,
    chorus: Chorus,
    is_audible: bool,
    peak: f32,
    frame: Box<[f32; SAMPLES]>,
}

impl Hearing {
    pub(super) fn new(settings: &Settings) -> Result<Hearing, CodecError> {
        Ok(Hearing {
            decoder: Decoder::new(settings.decoder_complexity)?,
            jitter: Jitter::new(crate::voice::Settings {
                frame: FRAME,
                target: settings.delay,
                max_payload: MAX_OPUS,
            }),
            chorus: Chorus::default(),
            is_audible: false,
            peak: 0.0,
            frame: Box::new([0.0; SAMPLES]),
        })
    }

    /// A frame from the far side that arrived at `at`.
    pub(super) fn receive(&mut self, frame: &Frame, at: Duration) {
        self.jitter.push(frame.seq, &frame.opus, at);
        for copy in &frame.copies {
            let seq = frame.seq.wrapping_sub(u16::from(copy.back));
            self.jitter.push(seq, &copy.opus, at);
        }
    }

    /// Lays sound ready until there are `wanted` samples for the loudspeaker.
    pub(super) fn play(
        &mut self,
        rings: &mut VoiceSide,
        controls: &Controls,
        mut tap: Option<&mut Tap>,
        wanted: usize,
        now: Duration,
    ) {
        let mut held = rings.ready();
        while held < wanted {
            let length = self.next_sound(now);
            let sound = &mut self.frame[..length];
            if let Some(tap) = &mut tap {
                tap.heard(sound);
            }
            level::amplify(sound, controls.volume);
            self.peak = level::peak(self.peak, sound);
            if self.is_audible {
                self.chorus.mix(sound);
            }
            rings.play(sound);
            held += length;
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
        self.jitter.stats(now)
    }

    /// The highest level since this was last asked, as share of full scale.
    pub(super) fn take_peak(&mut self) -> f32 {
        std::mem::take(&mut self.peak)
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
