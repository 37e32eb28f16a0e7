//! How long it takes from mouth to ear, by where what was said is found in what was heard.

/// The delay of each second that is loud enough to tell, from second `from` on, in ms. `ratio` is
/// the time of a heard sample in samples of what was said.
pub fn delays(said: &[f32], heard: &[f32], from: f64, ratio: f64) -> Vec<f32> {
    let (said, heard) = (thin(said), thin(heard));
    let mut found = Vec::new();
    let mut near: Option<usize> = None;
    let mut at = (from * RATE) as usize;
    while at + WINDOW + LONGEST < said.len().min(heard.len()) {
        let window = &said[at..at + WINDOW];
        let begin = (at as f64 / ratio) as usize;
        let search = |lags: std::ops::Range<usize>| {
            let likeness = lags.map(|lag| (likeness(window, &heard[begin + lag..]), lag));
            likeness.max_by(|a, b| a.0.total_cmp(&b.0))
        };
        let close =
            near.and_then(|lag| search(lag.saturating_sub(NEAR)..(lag + NEAR).min(LONGEST)));
        let best = close
            .filter(|(likeness, _)| *likeness > SURE)
            .or_else(|| search(0..LONGEST));
        if let Some((likeness, lag)) = best
            && energy(window) > LOUD
            && likeness > LIKE
        {
            near = Some(lag);
            let sample = (begin + lag) as f64 * ratio - at as f64;
            found.push((sample / RATE * 1000.0) as f32);
        }
        at += WINDOW;
    }
    found
}

/// At 4 kHz, which is fine enough for a quarter of a millisecond.
fn thin(sound: &[f32]) -> Vec<f32> {
    let (parts, _) = sound.as_chunks::<12>();
    parts.iter().map(|part| part.iter().sum()).collect()
}

/// -1..=1
fn likeness(window: &[f32], heard: &[f32]) -> f32 {
    let (mut both, mut power) = (0.0, 0.0);
    for (said, heard) in window.iter().zip(heard) {
        both += said * heard;
        power += heard * heard;
    }
    both / (power * energy(window)).sqrt().max(1e-9)
}

fn energy(window: &[f32]) -> f32 {
    window.iter().map(|sample| sample * sample).sum()
}

const RATE: f64 = 4000.0;

/// A second.
const WINDOW: usize = 4000;

/// Longest delay that is looked for, and how far from the last one at first.
const LONGEST: usize = 5200;
const NEAR: usize = 240;

/// Likeness that needs no further search, and that is a finding at all.
const SURE: f32 = 0.7;
const LIKE: f32 = 0.5;

/// Energy of a window with speech in it.
const LOUD: f32 = 20.0;
