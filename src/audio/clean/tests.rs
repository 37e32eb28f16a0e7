//! Decisions and effects of the whole cleaning, on sound made here.

use super::*;

/// The far voice, the own voice and the noise of a room, frame by frame.
struct World {
    random: u32,
    at: usize,
    /// What went to the loudspeaker of late.
    played: Vec<f32>,
}

type Frame = [f32; SAMPLES];

impl World {
    fn new() -> World {
        World {
            random: 1,
            at: 0,
            played: vec![0.0; PAST],
        }
    }

    fn noise(&mut self) -> f32 {
        self.random = self
            .random
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        (self.random >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Hiss in syllables, four a second with a pause every two seconds, at this peak.
    fn speech(&mut self, peak: f32) -> Frame {
        let mut past = 0.0;
        std::array::from_fn(|i| {
            let t = (self.at + i) as f32 / 48_000.0;
            let syllable = (t * 4.0 * std::f32::consts::PI).sin().powi(2);
            let pause = if t % 2.0 > 1.6 { 0.0 } else { 1.0 };
            past = 0.8 * past + 0.2 * self.noise();
            past * 3.0 * peak * syllable * pause
        })
    }

    /// What comes back of the loudspeaker after 60 ms, with two reflections.
    fn echo(&self, gain: f32) -> Frame {
        std::array::from_fn(|i| {
            let heard = |late: usize| self.played[PAST - SAMPLES + i - late];
            gain * (heard(2880) + 0.5 * heard(3100) - 0.3 * heard(3700))
        })
    }

    /// One frame with this much echo and own voice; returns what was recorded and what became of it.
    fn turn(&mut self, cleaning: &mut Cleaning, echo: f32, own: f32) -> (Frame, Frame) {
        let mut recorded = self.echo(echo);
        let voice = self.speech(own);
        for (sample, voice) in recorded.iter_mut().zip(voice) {
            *sample += voice + self.noise() * 0.0003;
        }
        let mut frame = recorded;
        cleaning.near(&mut frame, false);
        let far = self.speech(0.3);
        self.at += SAMPLES;
        self.played.drain(..SAMPLES);
        self.played.extend_from_slice(&far);
        cleaning.far(&far);
        (recorded, frame)
    }

    /// So many seconds; returns by how many dB the last one was lowered.
    fn run(&mut self, cleaning: &mut Cleaning, seconds: usize, echo: f32) -> f32 {
        let (mut before, mut after) = (0.0, 0.0);
        for frame in 0..seconds * 50 {
            let (recorded, cleaned) = self.turn(cleaning, echo, 0.0);
            if frame >= (seconds - 1) * 50 {
                before += level::power(&recorded);
                after += level::power(&cleaned);
            }
        }
        10.0 * (before / after).log10()
    }
}

fn cleaning(choices: Choices) -> Cleaning {
    let mut cleaning = Cleaning::new(true);
    cleaning.choose(choices);
    cleaning.moved(false);
    cleaning
}

#[test]
fn what_is_switched_off_or_no_room_is_left_alone_to_the_bit() {
    let mut files = Cleaning::new(false);
    files.choose(Choices::USUAL);
    for mut untouched in [cleaning(Choices::NOTHING), files] {
        let mut world = World::new();
        for _ in 0..100 {
            let (recorded, passed) = world.turn(&mut untouched, 0.3, 0.02);
            assert_eq!(recorded, passed);
        }
        assert_eq!(untouched.doing(), Doing::default());
    }
}

#[test]
fn an_echo_is_cancelled_and_said_to_be() {
    let mut cleaning = cleaning(Choices::USUAL);
    let mut world = World::new();
    let lowered = world.run(&mut cleaning, 3, 0.3);
    assert_eq!(cleaning.doing().echo, Echo::Cancelling);
    assert!(lowered > 20.0, "{lowered} dB");
    assert!(!cleaning.is_talking(), "an echo is not the owner's voice");
}

#[test]
fn where_nothing_comes_back_sound_passes_to_the_bit_until_something_does() {
    let mut cleaning = cleaning(Choices::USUAL);
    let mut world = World::new();
    world.run(&mut cleaning, 6, 0.0);
    assert_eq!(cleaning.doing().echo, Echo::NoneHeard);
    let (recorded, passed) = world.turn(&mut cleaning, 0.0, 0.0);
    assert_eq!(recorded, passed);
    // The headset is pulled out.
    world.run(&mut cleaning, 2, 0.3);
    assert_eq!(cleaning.doing().echo, Echo::Cancelling);
    let lowered = world.run(&mut cleaning, 2, 0.3);
    assert!(lowered > 15.0, "{lowered} dB");
}

#[test]
fn two_who_speak_at_once_are_not_cancelled_for_long_where_nothing_comes_back() {
    let mut cleaning = cleaning(Choices::USUAL);
    let mut world = World::new();
    for _ in 0..250 {
        world.turn(&mut cleaning, 0.0, 0.5);
    }
    assert_eq!(cleaning.doing().echo, Echo::NoneHeard);
    // An echo that comes later is heard in the next pause.
    world.run(&mut cleaning, 4, 0.3);
    assert_eq!(cleaning.doing().echo, Echo::Cancelling);
}

#[test]
fn speaking_all_the_time_is_no_proof_that_there_is_no_echo() {
    let mut cleaning = cleaning(Choices::USUAL);
    let mut world = World::new();
    world.run(&mut cleaning, 3, 0.1);
    for _ in 0..500 {
        world.turn(&mut cleaning, 0.1, 0.5);
    }
    assert_eq!(cleaning.doing().echo, Echo::Cancelling);
}

#[test]
fn the_choice_and_a_headset_decide() {
    let mut cleaning = cleaning(Choices::USUAL);
    cleaning.moved(true);
    assert_eq!(cleaning.doing().echo, Echo::Off);
    cleaning.choose(Choices {
        echo: EchoCancelling::On,
        ..Choices::USUAL
    });
    let mut world = World::new();
    world.run(&mut cleaning, 6, 0.0);
    assert_eq!(
        cleaning.doing().echo,
        Echo::Cancelling,
        "even if none is heard"
    );
    for name in ["Jabra Headset", "Headphones (wired)", "AirPods Pro"] {
        assert!(is_headset(name), "{name}");
    }
    assert!(!is_headset("Built-in Audio Analog Stereo"));
}

#[test]
fn noise_is_suppressed_where_there_is_some() {
    for (noise, is_noisy) in [(0.01, true), (0.0002, false)] {
        let mut cleaning = cleaning(Choices::USUAL);
        let mut world = World::new();
        let (mut before, mut after) = (0.0, 0.0);
        for number in 0..500 {
            let mut frame = world.speech(0.3);
            frame.iter_mut().for_each(|s| *s += world.noise() * noise);
            let is_pause = number % 100 > 85;
            before += if is_pause { level::power(&frame) } else { 0.0 };
            cleaning.near(&mut frame, false);
            after += if is_pause && number > 400 {
                level::power(&frame) * 5.0
            } else {
                0.0
            };
            world.at += SAMPLES;
        }
        assert_eq!(cleaning.doing().noise, is_noisy, "noise {noise}");
        let lowered = 10.0 * (before / after).log10();
        assert_eq!(lowered > 6.0, is_noisy, "{lowered} dB of noise {noise}");
    }
}

#[test]
fn a_quiet_voice_is_raised_and_a_usual_one_left_alone() {
    for (peak, is_raised) in [(0.01, true), (0.3, false)] {
        let choices = Choices {
            echo: EchoCancelling::Off,
            ..Choices::USUAL
        };
        let mut cleaning = cleaning(choices);
        let mut world = World::new();
        for _ in 0..600 {
            world.turn(&mut cleaning, 0.0, peak);
        }
        let gain = cleaning.doing().gain;
        assert_eq!(gain > 6.0, is_raised, "{gain} dB at {peak}");
        assert_eq!(gain == 0.0, !is_raised, "{gain} dB at {peak}");
    }
}

#[test]
fn whatever_a_device_delivers_comes_out_as_numbers() {
    let mut cleaning = cleaning(Choices::USUAL);
    let mut world = World::new();
    let wild = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        1e-40,
        -7.0,
    ];
    for number in 0..200 {
        let mut frame = world.speech(0.5);
        for sample in frame.iter_mut().skip(number % 7).step_by(31) {
            *sample = wild[number % wild.len()];
        }
        cleaning.far(&frame.map(|sample| sample.clamp(-1.0, 1.0)));
        cleaning.far(&frame[..number]);
        cleaning.near(&mut frame, number % 2 == 0);
        assert!(frame.iter().all(|s| s.abs() <= 4.0), "frame {number}");
    }
    let lowered = world.run(&mut cleaning, 5, 0.3);
    assert!(lowered > 10.0, "and it recovers: {lowered} dB");
}

/// Samples of the loudspeaker that are remembered.
const PAST: usize = 9600;
