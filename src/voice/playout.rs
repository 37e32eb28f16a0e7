//! From packets to the samples of a loudspeaker: the jitter buffer, a decoder, and what makes the
//! delay longer and shorter in between.
//!
//! A frame is decoded as late as possible, when the loudspeaker wants the sound that begins it: at
//! multiples of what that takes at a time, the grain. What of a frame does not fill a grain waits for
//! the next.

use std::time::Duration;

use crate::voice::jitter::{Jitter, Pull, Settings};
use crate::voice::meter::Stats;
use crate::voice::noise::Noise;
use crate::voice::stretch::{self, Cut, FADE, LONGEST, SHORTEST};

/// Samples in the largest grain: 10 ms at 48 kHz, the only rate that is known here.
pub const BLOCK: usize = 480;

/// Samples in one 20 ms frame.
pub const FRAME: usize = 2 * BLOCK;

/// A decoder of 20 ms frames. The answers say whether it could; what it has written then counts
/// for nothing.
pub trait Decode {
    fn decode(&mut self, packet: &[u8], sound: &mut [f32; FRAME]) -> bool;

    /// Decodes the frame before `packet` from the repair in it.
    fn recover(&mut self, packet: &[u8], sound: &mut [f32; FRAME]) -> bool;

    /// Goes on with what was heard last, for a block or two.
    fn conceal(&mut self, sound: &mut [f32]) -> bool;
}

/// What is heard of one sender. Allocates in [`Playout::new`] only.
#[derive(Debug)]
pub struct Playout {
    jitter: Jitter,
    noise: Noise,
    grain: usize,
    /// What was played last, then `held` samples that wait.
    sound: Box<[f32; PAST + ROOM]>,
    held: usize,
    /// Blocks bridged in a row.
    bridged: u32,
    /// What stands at the end of `sound` fades over into noise or is noise.
    is_noise: bool,
    /// What comes next does not follow from that.
    is_cut: bool,
    /// Frames since a change of the delay has been wanted.
    waited: u32,
}

impl Playout {
    pub fn new(settings: Settings) -> Playout {
        Playout {
            jitter: Jitter::new(settings),
            noise: Noise::new(),
            grain: BLOCK,
            sound: Box::new([0.0; PAST + ROOM]),
            held: 0,
            bridged: 0,
            is_noise: true,
            is_cut: false,
            waited: 0,
        }
    }

    /// See [`Jitter::push`].
    pub fn push(&mut self, seq: u16, payload: &[u8], now: Duration) {
        self.jitter.push(seq, payload, now);
    }

    /// See [`Jitter::push_copy`].
    pub fn push_copy(&mut self, seq: u16, payload: &[u8], back: u8, now: Duration) {
        self.jitter.push_copy(seq, payload, back, now);
    }

    /// The loudspeaker takes so many samples at a time, at most [`BLOCK`]: the delay is changed in
    /// steps of it.
    pub fn set_grain(&mut self, samples: usize) {
        self.grain = samples.clamp(SHORTEST, BLOCK);
    }

    /// Samples, in whole grains, for which nothing has to be decoded.
    pub fn ready(&self) -> usize {
        self.held / self.grain * self.grain
    }

    /// The next samples for the loudspeaker.
    pub fn pull(&mut self, decoder: &mut impl Decode, now: Duration, sound: &mut [f32]) {
        for piece in sound.chunks_mut(BLOCK) {
            while self.held < piece.len() {
                self.append(decoder, now);
            }
            let end = PAST + piece.len();
            piece.copy_from_slice(&self.sound[PAST..end]);
            self.sound.copy_within(piece.len()..PAST + self.held, 0);
            self.held -= piece.len();
        }
    }

    pub fn stats(&self, now: Duration) -> Stats {
        self.jitter.stats(now)
    }

    /// Lays more sound ready.
    fn append(&mut self, decoder: &mut impl Decode, now: Duration) {
        let end = PAST + self.held;
        let Some(room) = self.sound[end..].first_chunk_mut::<FRAME>() else {
            return;
        };
        let is_decoded = match self.jitter.pop(now) {
            Pull::Play(packet) => decoder.decode(packet, room) || is_bridged(decoder, room),
            Pull::Recover(packet) => decoder.recover(packet, room) || is_bridged(decoder, room),
            Pull::Conceal => return self.bridge(decoder),
            Pull::Silence => return self.rest(),
        };
        if !is_decoded {
            room.fill(0.0);
        }
        for block in room.as_chunks::<BLOCK>().0 {
            self.noise.hear(block);
        }
        let before = self.held;
        let trim = (self.jitter.trim() as usize * BLOCK).min(FRAME);
        self.is_cut |= trim > 0;
        self.sound.copy_within(end + trim..end + FRAME, end);
        self.held += FRAME - trim;
        self.bridged = 0;
        self.join(before);
        if trim == 0 {
            self.adjust(before);
        }
    }

    /// Bridges a block; when it has been long, with less and less voice.
    fn bridge(&mut self, decoder: &mut impl Decode) {
        let end = PAST + self.held;
        let block = &mut self.sound[end..end + BLOCK];
        if !decoder.conceal(block) {
            block.fill(0.0);
        }
        self.bridged = self.bridged.saturating_add(1);
        self.held += BLOCK;
        self.is_noise = false;
        if self.bridged <= BRIDGED {
            return;
        }
        let mut noise = [0.0; BLOCK];
        self.noise.fill(&mut noise);
        let gone = (self.bridged - BRIDGED - 1) as f32;
        for (index, (sample, noise)) in block.iter_mut().zip(noise).enumerate() {
            let share = (gone + index as f32 / BLOCK as f32) / FADING as f32;
            let share = share.min(1.0);
            *sample = (1.0 - share) * *sample + share.sqrt() * noise;
        }
        self.is_noise = true;
    }

    /// A block of what the other side's room sounds like.
    fn rest(&mut self) {
        let end = PAST + self.held;
        self.noise.fill(&mut self.sound[end..end + BLOCK]);
        self.held += BLOCK;
        self.is_noise = true;
    }

    /// Fades into what was decoded after the first `before` samples, where that does not follow
    /// from what was heard.
    fn join(&mut self, before: usize) {
        if self.held < before + FADE || !(self.is_noise || self.is_cut) {
            return;
        }
        let start = PAST + before;
        let mut old = [0.0; FADE];
        if self.is_noise {
            self.noise.fill(&mut old);
        } else {
            stretch::go_on(&self.sound[..start], &mut old);
        }
        for (index, old) in old.into_iter().enumerate() {
            let (fading, rising) = stretch::weights(index, 0.0);
            let sample = &mut self.sound[start + index];
            *sample = fading * old + rising * *sample;
        }
        self.is_noise = false;
        self.is_cut = false;
    }

    /// Makes what waits shorter or longer if the delay asks for it and the sound allows it.
    /// `before` samples waited before the last frame was decoded.
    fn adjust(&mut self, before: usize) {
        let excess = samples(self.jitter.excess());
        // Frames are asked for in steps of a grain; what waits beside is delay for nothing.
        let spare = before + excess / self.grain * self.grain;
        let lack = samples(self.jitter.lack());
        if lack > LACKING {
            self.waited += 1;
            self.lengthen(before, lack);
        } else if spare >= WORTH {
            self.waited += 1;
            self.shorten(before, spare);
        } else {
            self.waited = 0;
        }
    }

    fn shorten(&mut self, before: usize, spare: usize) {
        let haste = (spare as f32 / HASTE).min(1.0);
        let gate = self.gate(spare, haste);
        let sound = &mut self.sound[PAST..PAST + self.held];
        let at_once = spare.min(LONGEST).min(sound.len() - FADE);
        let cut = stretch::plain(sound, 0, at_once);
        let cut = match cut.filter(|cut| self.noise.is_quiet(cut.power)) {
            Some(cut) => Some(cut),
            None if gate < NEVER => stretch::shorter(sound, SHORTEST, spare, haste),
            None => None,
        };
        let Some(cut) = cut.filter(|cut| is_good(&self.noise, cut, gate)) else {
            return;
        };
        self.held = stretch::shorten(sound, cut);
        let grains = cut.by.saturating_sub(before).div_ceil(self.grain);
        self.note(cut, -(cut.by as i64), -((grains * self.grain) as i64));
    }

    fn lengthen(&mut self, before: usize, lack: usize) {
        let gate = self.gate(lack, lack as f32 / HASTE);
        let length = PAST + self.held;
        let sound = &self.sound[..length];
        // What is asked for next comes a grain later only when this is longer than a grain.
        let step = self.grain.saturating_sub(before).max(SHORTEST);
        let cut = stretch::plain(sound, PAST + before, PAST + before - step);
        let cut = match cut.filter(|cut| self.noise.is_quiet(cut.power)) {
            Some(cut) => Some(cut),
            None if gate < NEVER => stretch::longer(sound, PAST, SHORTEST, LONGEST),
            None => None,
        };
        let Some(cut) = cut.filter(|cut| is_good(&self.noise, cut, gate)) else {
            return;
        };
        self.held = stretch::lengthen(self.sound.as_mut_slice(), length, cut) - PAST;
        let grains = (before + cut.by) / self.grain;
        self.note(cut, cut.by as i64, (grains * self.grain) as i64);
    }

    /// How alike the sides of a cut must be to change the delay by `wanted` samples. At first only a
    /// quiet moment will do, where nobody can hear it; how long that is waited for depends.
    fn gate(&self, wanted: usize, haste: f32) -> f32 {
        let much = (wanted as f32 / MUCH).min(1.0);
        let patience = PATIENCE * (1.0 - much) + IMPATIENCE * much;
        let over = (self.waited as f32 / patience - 1.0).min(1.0);
        if over < 0.0 && much < 1.0 {
            return NEVER;
        }
        ALIKE - haste.max(0.5 * over)
    }

    fn note(&mut self, cut: Cut, added: i64, later: i64) {
        let is_rough = cut.likeness < AUDIBLE && !self.noise.is_quiet(cut.power);
        self.jitter
            .stretched(added * 1000 / 48, later * 1000 / 48, is_rough);
    }
}

fn is_bridged(decoder: &mut impl Decode, sound: &mut [f32; FRAME]) -> bool {
    decoder.conceal(sound)
}

fn is_good(noise: &Noise, cut: &Cut, gate: f32) -> bool {
    cut.likeness >= gate || noise.is_quiet(cut.power)
}

fn samples(time: Duration) -> usize {
    (time.as_micros() * 48 / 1000) as usize
}

/// Enough of the past to go back by one period.
const PAST: usize = LONGEST;

/// Less than a block, a frame, and what lengthens it.
const ROOM: usize = BLOCK + FRAME + LONGEST;

/// So many blocks are bridged by the decoder alone ...
const BRIDGED: u32 = 6;

/// ... and it has faded to noise after as many more.
const FADING: u32 = 4;

/// Too short by less than this is not worth a change.
const LACKING: usize = 24;

/// Too long by less than this neither.
const WORTH: usize = 240;

/// Sides of a cut that are so alike make one that nobody hears ...
const ALIKE: f32 = 0.9;

/// ... and below this one may.
const AUDIBLE: f32 = 0.7;

/// With so many samples too much or too little (150 ms) any cut will do.
const HASTE: f32 = 7200.0;

/// A few samples too much or too little wait for a quiet moment for so many frames (4 s) ...
const PATIENCE: f32 = 200.0;

/// ... and many, ...
const IMPATIENCE: f32 = 50.0;

/// ... namely as many (60 ms), for so many; more do not wait at all.
const MUCH: f32 = 2880.0;

/// More than any likeness.
const NEVER: f32 = 2.0;
