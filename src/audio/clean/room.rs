//! The microphone and the loudspeaker in one room: what is done at 16 kHz.

use std::time::Duration;

use crate::audio::clean::canceller::Canceller;
use crate::audio::clean::cleaner::{Cleaner, FRAME};
use crate::audio::clean::fade::Fade;
use crate::audio::clean::level::{Floor, SILENCE, decibels};
use crate::audio::clean::noise::Noise;
use crate::audio::clean::presence::{Heard, Now, Presence};
use crate::audio::clean::rate::{Down, Up};
use crate::audio::clean::{Echo, tame};
use crate::audio::codec::SAMPLES;
use crate::config::EchoCancelling;

/// Everything that needs the sound at 16 kHz.
#[derive(Debug)]
pub(super) struct Room {
    choice: EchoCancelling,
    canceller: Option<Canceller>,
    presence: Presence,
    heard: Heard,
    far: Far,
    down: Down,
    up: Up,
    offset: Offset,
    noise: Option<Noise>,
    floor: Floor,
    /// The cancelled version instead of the recorded one.
    cancelled: Fade,
    /// The cleaned version instead of the untouched one of 48 kHz.
    cleaned: Fade,
}

impl Room {
    pub(super) fn new() -> Room {
        Room {
            choice: EchoCancelling::Off,
            canceller: None,
            presence: Presence::new(),
            heard: Heard::Unknown,
            far: Far::new(),
            down: Down::new(SAMPLES),
            up: Up::new(FRAME),
            offset: Offset::default(),
            noise: None,
            floor: Floor::new(),
            cancelled: Fade::on(),
            cleaned: Fade::on(),
        }
    }

    pub(super) fn choose(&mut self, echo: EchoCancelling, noise: bool) {
        if echo != self.choice {
            self.choice = echo;
            self.heard = Heard::Unknown;
            self.presence = Presence::new();
        }
        if echo == EchoCancelling::Off {
            self.canceller = None;
        } else if self.canceller.is_none() {
            self.canceller = Some(Canceller::new());
        }
        if noise != self.noise.is_some() {
            self.noise = noise.then(Noise::new);
        }
    }

    /// Another pair of devices: what was known of the echo is worth nothing.
    pub(super) fn moved(&mut self) {
        self.presence = Presence::new();
        self.heard = Heard::Unknown;
        if let Some(canceller) = &mut self.canceller {
            *canceller = Canceller::new();
        }
    }

    pub(super) fn hint(&mut self, delay: Duration) {
        if let Some(canceller) = &mut self.canceller {
            canceller.hint(delay);
        }
    }

    pub(super) fn far(&mut self, sound: &[f32]) {
        if let Some(canceller) = &mut self.canceller {
            self.far.turn(sound, |slow| canceller.far(slow));
        }
    }

    pub(super) fn near(&mut self, frame: &mut [f32; SAMPLES]) {
        let mut sound = [0.0; FRAME];
        self.down.turn(frame.as_slice(), &mut sound);
        self.offset.take_from(&mut sound);
        self.cancel(&mut sound);
        self.floor.note(decibels(&sound));
        let is_suppressing = match &mut self.noise {
            Some(noise) => {
                noise.turn(&mut sound, self.floor.settled());
                noise.is_noisy()
            }
            None => false,
        };
        let is_wanted = is_suppressing || self.is_cancelling();
        if is_wanted || self.cleaned.is_on() {
            let mut cleaned = [0.0; SAMPLES];
            self.up.turn(&sound, &mut cleaned);
            self.cleaned.mix(frame.as_mut_slice(), &cleaned, is_wanted);
        }
    }

    pub(super) fn echo(&self) -> Echo {
        match (&self.canceller, self.heard) {
            (None, _) => Echo::Off,
            (Some(_), Heard::Echo) => Echo::Cancelling,
            (Some(_), Heard::Unknown) => Echo::Listening,
            (Some(_), Heard::Nothing) if self.choice == EchoCancelling::On => Echo::Cancelling,
            (Some(_), Heard::Nothing) => Echo::NoneHeard,
        }
    }

    pub(super) fn is_noisy(&self) -> bool {
        self.noise.as_ref().is_some_and(Noise::is_noisy)
    }

    /// True while the far side speaks and what comes back of it is heard or not known.
    pub(super) fn is_echo_about(&self) -> bool {
        self.far.speaks() && self.heard != Heard::Nothing
    }

    fn is_cancelling(&self) -> bool {
        matches!(self.echo(), Echo::Listening | Echo::Cancelling)
    }

    fn cancel(&mut self, sound: &mut [f32; FRAME]) {
        self.far.pass();
        let Some(canceller) = &mut self.canceller else {
            return;
        };
        let mut cancelled = *sound;
        let left = canceller.near(&mut cancelled);
        if !left.linear.is_finite() || cancelled.iter().any(|sample| !sample.is_finite()) {
            // It would never come back to numbers by itself.
            *canceller = Canceller::new();
            return;
        }
        self.heard = self.presence.note(Now {
            near: decibels(sound.as_slice()),
            left,
            far: self.far.level,
            floor: self.floor.level(),
            far_speaks: self.far.speaks(),
        });
        let is_cancelling = self.is_cancelling();
        self.cancelled.mix(sound, &cancelled, is_cancelling);
    }
}

/// The loudspeaker's side: gathers pieces of any length, and knows whether somebody speaks there.
#[derive(Debug)]
struct Far {
    down: Down,
    pending: [f32; SAMPLES / 2],
    filled: usize,
    /// Of the last 10 ms, in dB under full scale.
    level: f32,
    /// Frames of the microphone in which an echo may still come.
    about: u32,
}

impl Far {
    fn new() -> Far {
        Far {
            down: Down::new(SAMPLES / 2),
            pending: [0.0; SAMPLES / 2],
            filled: 0,
            level: SILENCE,
            about: 0,
        }
    }

    fn turn(&mut self, sound: &[f32], mut give: impl FnMut(&[f32])) {
        let mut rest = sound;
        while !rest.is_empty() {
            let fits = rest.len().min(self.pending.len() - self.filled);
            let (now, later) = rest.split_at(fits);
            self.pending[self.filled..][..fits].copy_from_slice(now);
            self.filled += fits;
            rest = later;
            if self.filled < self.pending.len() {
                return;
            }
            self.filled = 0;
            tame(&mut self.pending);
            let mut slow = [0.0; FRAME / 2];
            self.down.turn(&self.pending, &mut slow);
            self.level = decibels(&slow);
            if self.level > SPEECH {
                self.about = COMES_BACK;
            }
            give(&slow);
        }
    }

    /// A frame of the microphone goes by.
    fn pass(&mut self) {
        self.about = self.about.saturating_sub(1);
    }

    fn speaks(&self) -> bool {
        self.about > 0
    }
}

/// Takes away what is only an offset: a filter of first order at 12 Hz.
#[derive(Debug, Default)]
struct Offset {
    input: f32,
    output: f32,
}

impl Offset {
    fn take_from(&mut self, sound: &mut [f32]) {
        for sample in sound {
            let input = *sample;
            self.output = input - self.input + self.output * 0.995;
            self.input = input;
            *sample = self.output;
        }
    }
}

/// The far side speaks when its sound is above this, in dB under full scale.
const SPEECH: f32 = -50.0;

/// Frames after it in which its echo may come: half a second.
const COMES_BACK: u32 = 25;
