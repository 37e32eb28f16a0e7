//! How well the own voice is cleaned, in virtual time: `cargo bench --bench echo`.
//!
//! Rooms of one minute: 0.6-15 s only the far side speaks, 15-30 s both, 30-40 s only the near side,
//! 40-60 s only the far side, and at 45 s the microphone is moved. Prints by how many dB the echo is
//! lowered, when 20 dB are reached, what becomes of the near voice, and the cost. Then the same
//! decision with each of several voices, with a near voice from the beginning; and two voices
//! without an echo, who speak all the time, in every pair.
//!
//! The voices are synthetic and the same each time. `cargo bench --bench echo -- NEAR.wav FAR.wav`
//! takes real ones (48 kHz mono, two or more). Where a Python with `pesq`, `numpy` and `scipy` is called `python3`
//! (or named by `PYTHON`), PESQ-WB of the near voice is printed, before and after cleaning.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark may fail loudly")]

mod pesq;
mod scene;
mod several;
mod speech;

use std::path::Path;

use rustix::time::{ClockId, clock_gettime};
use scene::{NEAR, RATE, ROOMS, Scene};
use twocan::audio::SAMPLES;
use twocan::audio::clean::{Choices, Cleaning, Echo};

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let voices: Vec<Vec<f32>> = match words.len() {
        0 | 1 => speech::voices(),
        _ => words
            .iter()
            .map(|word| speech::read(Path::new(word)))
            .collect(),
    };
    let (near, far) = (&voices[0], &voices[1]);
    let scorer = pesq::Scorer::find();
    println!(
        "room   echo lowered by dB in s   after a move   20 dB   near voice dB   \
         PESQ recorded > cleaned       CPU ms  worst\n\
         \u{20}        0-2   2-5  5-15       +2s  later    at s    alone   both   \
         alone         both            per s   20 ms"
    );
    for room in ROOMS {
        let scene = Scene::of(&room, near, far);
        let cleaned = run(&scene.mic, &scene.far);
        report(room.name, &scene, &cleaned, scorer.as_ref());
    }
    several::report(&voices);
}

/// What came out, and at what cost.
#[derive(Default)]
struct Cleaned {
    sound: Vec<f32>,
    cpu: f64,
    worst: f64,
    log: Vec<String>,
    echo: Vec<Echo>,
}

fn run(mic: &[f32], far: &[f32]) -> Cleaned {
    let mut cleaning = Cleaning::new(true);
    cleaning.choose(Choices::USUAL);
    cleaning.moved(false);
    let mut cleaned = Cleaned::default();
    let mut before = None;
    let mic = mic.as_chunks::<SAMPLES>().0;
    let far = far.as_chunks::<SAMPLES>().0;
    for (number, (mic, far)) in mic.iter().zip(far).enumerate() {
        let mut frame = *mic;
        let began = cpu();
        cleaning.near(&mut frame, false);
        cleaning.far(far);
        let cost = cpu() - began;
        cleaned.cpu += cost;
        cleaned.worst = cleaned.worst.max(cost);
        cleaned.sound.extend_from_slice(&frame);
        let doing = cleaning.doing();
        cleaned.echo.push(doing.echo);
        let now = (doing.echo, doing.noise, cleaning.microphone());
        if before.replace(now) != Some(now) {
            let at = number as f32 / 50.0;
            let noise = if now.1 { ", noise" } else { "" };
            let line = format!("{at:.1} s {:?}{noise}, microphone {:?}", now.0, now.2);
            cleaned.log.push(line);
        }
    }
    cleaned
}

fn report(name: &str, scene: &Scene, cleaned: &Cleaned, scorer: Option<&pesq::Scorer>) {
    let out = &cleaned.sound;
    let lowered = |from: f32, to: f32| {
        let (from, to) = (at(from), at(to));
        level(&scene.mic[from..to]) - level(&out[from..to])
    };
    let kept = |from: f32, to: f32| {
        let (from, to) = (at(from), at(to));
        level(&out[from..to]) - level(&scene.near[from..to])
    };
    let scores = |from: f32, to: f32| {
        let part = at(from)..at(to);
        let score = |sound: &[f32]| {
            let score = scorer?.score(&scene.near[part.clone()], &sound[part.clone()])?;
            Some(format!("{score:.2}"))
        };
        let told = |score: Option<String>| score.unwrap_or("-".to_owned());
        format!("{} > {}", told(score(&scene.mic)), told(score(out)))
    };
    println!(
        "{name:6} {:5.1} {:5.1} {:5.1}     {:5.1} {:6.1} {:>7}    {:5.1}  {:5.1}   {:12}  {:12}  \
         {:7.1} {:5.2} ms",
        lowered(0.0, 2.0),
        lowered(2.0, 5.0),
        lowered(5.0, 15.0),
        lowered(45.0, 47.0),
        lowered(47.0, 60.0),
        reached(scene, out).map_or("never".to_owned(), |at| format!("{at:.1}")),
        kept(NEAR.0, NEAR.1),
        kept(15.0, 30.0),
        scores(NEAR.0, NEAR.1),
        scores(15.0, 30.0),
        cleaned.cpu / 60.0 * 1000.0,
        cleaned.worst * 1000.0
    );
    println!("       {}", cleaned.log.join("; "));
}

/// Seconds of echo until half a second of it is lowered by 20 dB, and stays so for one second more.
/// Moments in which the echo is not that much above the noise do not count.
fn reached(scene: &Scene, out: &[f32]) -> Option<f32> {
    let is_done = |frame: usize| {
        let (from, to) = (frame * SAMPLES, (frame + HALF_SECOND) * SAMPLES);
        let (echo, left) = (level(&scene.mic[from..to]), level(&out[from..to]));
        echo < scene.noise_db + 22.0 || echo - left >= 20.0
    };
    let is_heard = |frame: &usize| level(&scene.echo[frame * SAMPLES..][..SAMPLES]) > -60.0;
    let heard = (0..700).find(is_heard)?;
    (heard..650)
        .find(|frame| (0..50).step_by(5).all(|later| is_done(frame + later)))
        .map(|frame| (frame + HALF_SECOND - heard) as f32 / 50.0)
}

/// The sample at so many seconds.
fn at(seconds: f32) -> usize {
    (seconds * RATE as f32) as usize
}

/// Mean level in dB under full scale.
fn level(sound: &[f32]) -> f32 {
    let power: f32 = sound.iter().map(|s| s * s).sum::<f32>() / sound.len() as f32;
    10.0 * power.max(1e-12).log10()
}

/// This thread's processor time in seconds: others on the machine do not count.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// In frames.
const HALF_SECOND: usize = 25;
