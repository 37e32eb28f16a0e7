//! The decisions with several voices: whether there is an echo, and how soon it is gone.

use twocan::audio::SAMPLES;
use twocan::audio::clean::Echo;

use crate::scene::{RATE, ROOMS, Room, Scene};
use crate::speech::{Random, to_level};
use crate::{reached, run};

/// Runs them and prints three tables.
pub fn report(voices: &[Vec<f32>]) {
    for room in ROOMS.iter().filter(|room| room.is_echoing()) {
        alone(room, voices);
    }
    for room in ROOMS.iter().filter(|room| room.is_echoing()) {
        together(room, voices);
    }
    without(voices);
}

/// The far side alone: when 20 dB are reached.
fn alone(room: &Room, voices: &[Vec<f32>]) {
    let mut seconds = Vec::new();
    for (number, far) in voices.iter().enumerate() {
        let near = &voices[(number + 1) % voices.len()];
        let scene = Scene::of(room, near, far);
        let cleaned = run(&scene.mic[..FIRST], &scene.far[..FIRST]);
        seconds.push(reached(&scene.upto(FIRST), &cleaned.sound).unwrap_or(f32::INFINITY));
    }
    println!(
        "{:6} far side alone, {} voices: 20 dB to stay after {}",
        room.name,
        voices.len(),
        spread(&mut seconds)
    );
}

/// Both from the beginning: when the echo is found.
fn together(room: &Room, voices: &[Vec<f32>]) {
    let mut seconds = Vec::new();
    for (number, far) in voices.iter().enumerate() {
        let near = minute(&voices[(number + 1) % voices.len()]);
        let scene = Scene::of(room, &near, far);
        let mic: Vec<f32> = scene.echo[..FIRST]
            .iter()
            .zip(&near)
            .map(|(echo, near)| (echo + near).clamp(-1.0, 1.0))
            .collect();
        let echo = run(&mic, &scene.far[..FIRST]).echo;
        let is_heard = |frame: &&[f32]| frame.iter().any(|sample| sample.abs() > 0.001);
        let frames = scene.echo.as_chunks::<SAMPLES>().0;
        let first = frames
            .iter()
            .take_while(|frame| !is_heard(&frame.as_slice()))
            .count();
        let found = echo
            .iter()
            .skip(first)
            .position(|echo| *echo == Echo::Cancelling);
        seconds.push(found.map_or(f32::INFINITY, |frame| frame as f32 / 50.0));
    }
    println!(
        "{:6} both at once, {} voices: echo found after {}",
        room.name,
        voices.len(),
        spread(&mut seconds)
    );
}

/// Both all the time and no echo, in every pair: how long anything is done about it.
fn without(voices: &[Vec<f32>]) {
    let mut random = Random(9);
    let (mut pairs, mut taken, mut touched, mut frames, mut cpu) = (0, 0, 0, 0, 0.0);
    let mut early = Vec::new();
    for (number, far) in voices.iter().enumerate() {
        for (_, near) in voices.iter().enumerate().filter(|(at, _)| *at != number) {
            let (far, mut near) = (minute(far), minute(near));
            near.iter_mut()
                .for_each(|sample| *sample += random.normal() * NOISE);
            let cleaned = run(&near[..FIRST], &far[..FIRST]);
            let is_touched = |echo: &&Echo| matches!(echo, Echo::Listening | Echo::Cancelling);
            let (soon, later) = cleaned.echo.split_at(150);
            pairs += 1;
            taken += usize::from(cleaned.echo.contains(&Echo::Cancelling));
            touched += later.iter().filter(is_touched).count();
            frames += later.len();
            early.push(soon.iter().filter(is_touched).count() as f32 / 50.0);
            cpu += cleaned.cpu;
        }
    }
    println!(
        "no echo, both all the time, {pairs} pairs: {taken} taken for an echo, {:.1} % of the frames \
         touched after 3 s, before that for {}; {:.2} s of processor a minute",
        touched as f32 / frames as f32 * 100.0,
        spread(&mut early),
        cpu / (pairs * FIRST) as f64 * (60 * RATE) as f64
    );
}

fn minute(voice: &[f32]) -> Vec<f32> {
    let mut sound: Vec<f32> = voice.iter().copied().cycle().take(60 * RATE).collect();
    to_level(&mut sound, -20.0);
    sound
}

fn spread(seconds: &mut [f32]) -> String {
    seconds.sort_by(f32::total_cmp);
    let median = seconds[seconds.len() / 2];
    let most = seconds[seconds.len() - 1];
    format!("{median:.1} s, at most {most:.1} s")
}

/// Samples of each of these runs.
const FIRST: usize = 14 * RATE;

/// Of a quiet microphone: -75 dB.
const NOISE: f32 = 1.8e-4;
