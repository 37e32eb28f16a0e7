//! Comfort noise: the room of the far side, to be heard while nothing comes from there.
//!
//! It is made of what was heard in the quiet moments: short pieces of it, taken at random and
//! faded into each other, have its level and its colour.

use crate::voice::stretch::{self, FADE};

/// Remembers how quiet it was, and goes on with it.
#[derive(Debug)]
pub(super) struct Noise {
    /// The last quiet blocks.
    room: Box<[f32; ROOM]>,
    /// How much of it is filled, and where the next block goes.
    filled: usize,
    write: usize,
    /// Mean square of the quiet moments; it follows down at once and up slowly.
    level: f32,
    /// Where the piece that is being played stands in the room, how much of it is left, and
    /// whether it is turned over.
    read: usize,
    left: usize,
    sign: f32,
    random: u32,
}

impl Noise {
    pub(super) fn new() -> Noise {
        Noise {
            room: Box::new([0.0; ROOM]),
            filled: 0,
            write: 0,
            level: f32::MAX,
            read: 0,
            left: 0,
            sign: 1.0,
            random: 1,
        }
    }

    /// Looks at a block of what is heard.
    pub(super) fn hear(&mut self, block: &[f32; BLOCK]) {
        let power = block.iter().map(|s| s * s).sum::<f32>() / BLOCK as f32;
        self.level = power.min(self.level * RISE);
        if power > self.level * QUIET || power > LOUDEST {
            return;
        }
        self.room[self.write..self.write + BLOCK].copy_from_slice(block);
        self.write = (self.write + BLOCK) % ROOM;
        self.filled = (self.filled + BLOCK).min(ROOM);
    }

    /// True for a mean square that is no louder than the room.
    pub(super) fn is_quiet(&self, power: f32) -> bool {
        power < SILENCE || power <= self.level * QUIET
    }

    /// Goes on with the noise of the room; with silence if that is not known.
    pub(super) fn fill(&mut self, sound: &mut [f32]) {
        if self.filled < 2 * PIECE {
            sound.fill(0.0);
            return;
        }
        let mut done = 0;
        while done < sound.len() {
            if self.left <= FADE {
                done += self.turn(&mut sound[done..]);
                continue;
            }
            let count = (self.left - FADE).min(sound.len() - done);
            for (sample, known) in sound[done..done + count]
                .iter_mut()
                .zip(&self.room[self.read..])
            {
                *sample = self.sign * known;
            }
            self.read += count;
            self.left -= count;
            done += count;
        }
    }

    /// Fades from the end of one piece into the beginning of another, as far as `sound` goes.
    fn turn(&mut self, sound: &mut [f32]) -> usize {
        let (read, sign, left) = (self.read, self.sign, self.left);
        self.random = self
            .random
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let places = self.filled - PIECE;
        self.read = (self.random >> 8) as usize % places;
        self.sign = if self.random >> 31 == 0 { 1.0 } else { -1.0 };
        self.left = PIECE;
        let count = left.min(sound.len());
        for (index, sample) in sound[..count].iter_mut().enumerate() {
            let (old, new) = stretch::weights(index, 0.0);
            let known = sign * self.room[read + index];
            *sample = old * known + new * self.sign * self.room[self.read + index];
        }
        self.read += count;
        self.left -= count;
        count
    }
}

/// What is looked at at a time: 10 ms at 48 kHz.
pub(super) const BLOCK: usize = 480;

/// 200 ms of quiet moments.
const ROOM: usize = 20 * BLOCK;

/// A piece of noise is 20 ms, with a fade at its end.
const PIECE: usize = 2 * BLOCK;

/// What is quieter than four times the level is still the room.
const QUIET: f32 = 4.0;

/// The level rises by 3 dB a second where it is never quiet.
const RISE: f32 = 1.007;

/// What is louder than -45 dB of full scale (mean square) is no room, however long it lasts.
const LOUDEST: f32 = 3e-5;

/// What is softer than -66 dB is not heard.
const SILENCE: f32 = 2.5e-7;
