//! Longer and shorter by one period: how sound changes its length without a click.
//!
//! A period of the voice (2.5 to 15 ms), or a piece of noise as long, is taken out or put in twice,
//! and both sides of the cut are faded into each other where they are most alike: the WSOLA of
//! Verhelst and Roelands (ICASSP 1993), with one cut at a time, as WebRTC's NetEq does it.

/// A cut that would go well, or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// First sample of the fade.
    pub at: usize,
    /// How many samples the sound becomes shorter or longer.
    pub by: usize,
    /// Correlation (-1..1) of both sides.
    pub likeness: f32,
    /// Mean square of the sound there.
    pub power: f32,
}

/// The best place in `sound` to take out `least` to `most` samples; nothing if the sound is too
/// short. `greed` (0..1) prefers long cuts.
pub fn shorter(sound: &[f32], least: usize, most: usize, greed: f32) -> Option<Cut> {
    let longest = most.min(LONGEST).min(sound.len().checked_sub(FADE)?);
    let mut best: Option<Cut> = None;
    for at in (0..sound.len()).step_by(STEP) {
        let room = longest.min(sound.len().saturating_sub(at + FADE));
        let other = |by: usize| at + by;
        let Some(cut) = search(sound, at, least.max(SHORTEST), room, greed, other) else {
            break;
        };
        best = better(best, cut, greed);
    }
    best
}

/// The best place in `sound`, not before `from`, to put in `least` to `most` samples.
pub fn longer(sound: &[f32], from: usize, least: usize, most: usize) -> Option<Cut> {
    let mut best: Option<Cut> = None;
    for at in (from..(sound.len() + 1).checked_sub(FADE)?).step_by(STEP) {
        let room = most.min(LONGEST).min(at);
        let other = |by: usize| at - by;
        let Some(cut) = search(sound, at, least.max(SHORTEST), room, 0.0, other) else {
            continue;
        };
        best = better(best, cut, 0.0);
    }
    best
}

/// The cut at `at` that goes on at `other`, however that sounds; its power is that of all between.
pub fn plain(sound: &[f32], at: usize, other: usize) -> Option<Cut> {
    let between = sound.get(at.min(other)..at.max(other) + FADE)?;
    let sum: f32 = between.iter().map(|sample| sample * sample).sum();
    Some(Cut {
        at,
        by: at.abs_diff(other),
        likeness: compare(sound, at, other, 1).0,
        power: sum / between.len() as f32,
    })
}

/// Takes [`Cut::by`] samples out. What is left stands at the front; the new length is returned.
pub fn shorten(sound: &mut [f32], cut: Cut) -> usize {
    let length = sound.len();
    let Cut { at, by, .. } = cut;
    if at + by + FADE > length {
        return length;
    }
    for index in 0..FADE {
        let (old, new) = weights(index, cut.likeness);
        sound[at + index] = old * sound[at + index] + new * sound[at + by + index];
    }
    sound.copy_within(at + by + FADE.., at + FADE);
    length - by
}

/// Puts [`Cut::by`] samples in; `sound` has so much room behind its first `length` samples. The
/// new length is returned.
pub fn lengthen(sound: &mut [f32], length: usize, cut: Cut) -> usize {
    let Cut { at, by, .. } = cut;
    if at < by || at + FADE > length || length + by > sound.len() {
        return length;
    }
    // Up to the cut nothing changes; from there on everything comes again from a period before.
    let mut fade = [0.0; FADE];
    for (index, sample) in fade.iter_mut().enumerate() {
        let (old, new) = weights(index, cut.likeness);
        *sample = old * sound[at + index] + new * sound[at - by + index];
    }
    sound.copy_within(at - by + FADE..length, at + FADE);
    sound[at..at + FADE].copy_from_slice(&fade);
    length + by
}

/// Goes on with the last period of `past` (of [`LONGEST`] samples or more).
pub fn go_on(past: &[f32], sound: &mut [f32]) {
    let at = past.len().saturating_sub(FADE);
    let room = LONGEST.min(at);
    let period = search(past, at, SHORTEST, room, 0.0, |by| at - by).map(|cut| cut.by);
    let Some(period) = period else {
        sound.fill(0.0);
        return;
    };
    let last = &past[past.len() - period..];
    for (sample, known) in sound.iter_mut().zip(last.iter().cycle()) {
        *sample = *known;
    }
}

/// Shares of both sides at a place of a fade. Sounds that are alike are added up by amplitude,
/// others by power, or the fade would be louder or softer than both.
pub fn weights(index: usize, likeness: f32) -> (f32, f32) {
    let new = (index as f32 + 0.5) / FADE as f32;
    let old = 1.0 - new;
    let together = old * old + new * new + 2.0 * old * new * likeness.clamp(0.0, 1.0);
    let scale = together.sqrt().recip();
    (old * scale, new * scale)
}

/// Compares the fade at `at` with the ones that `other` names, first roughly, then sample by
/// sample around the best.
fn search(
    sound: &[f32],
    at: usize,
    least: usize,
    most: usize,
    greed: f32,
    other: impl Fn(usize) -> usize,
) -> Option<Cut> {
    if least > most || at + FADE > sound.len() {
        return None;
    }
    let rate = |by: usize, step: usize| {
        let (likeness, power) = compare(sound, at, other(by), step);
        Cut {
            at,
            by,
            likeness,
            power,
        }
    };
    let mut best: Option<Cut> = None;
    for by in (least..=most).step_by(COARSE) {
        best = better(best, rate(by, COARSE), greed);
    }
    let around = best?.by;
    let from = around.saturating_sub(COARSE - 1).max(least);
    let mut fine: Option<Cut> = None;
    for by in from..=(around + COARSE - 1).min(most) {
        fine = better(fine, rate(by, 1), greed);
    }
    fine
}

fn better(best: Option<Cut>, cut: Cut, greed: f32) -> Option<Cut> {
    let worth = |cut: &Cut| cut.likeness + greed * cut.by as f32 / LONGEST as f32;
    match best {
        Some(best) if worth(&best) >= worth(&cut) => Some(best),
        _ => Some(cut),
    }
}

/// Normalised correlation and mean square of two stretches as long as a fade.
fn compare(sound: &[f32], a: usize, b: usize, step: usize) -> (f32, f32) {
    let (mut both, mut left, mut right) = (0.0f32, 0.0f32, 0.0f32);
    let (a, b) = (&sound[a..a + FADE], &sound[b..b + FADE]);
    for (x, y) in a.iter().zip(b).step_by(step) {
        both += x * y;
        left += x * x;
        right += y * y;
    }
    let scale = (left * right).sqrt();
    let likeness = if scale > 0.0 { both / scale } else { 1.0 };
    let power = (left + right) / (2 * FADE.div_ceil(step)) as f32;
    (likeness, power)
}

/// A fade is 5 ms.
pub const FADE: usize = 240;

/// 2.5 ms: a voice of 400 Hz.
pub const SHORTEST: usize = 120;

/// 15 ms: a voice of 67 Hz.
pub const LONGEST: usize = 720;

/// Places are tried every 5 ms.
const STEP: usize = 240;

/// The rough search looks at every fourth sample: 12 kHz of a voice that has 8 kHz at most, and
/// little above 3 kHz that matters for its period.
const COARSE: usize = 4;
