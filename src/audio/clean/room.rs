//! The microphone and the loudspeaker in one room: what is done at 16 kHz.

use std::time::Duration;

use crate::audio::clean::canceller::Canceller;
use crate::audio::clean::cleaner::{Cleaner, FRAME};
use crate::audio::clean::fade::Fade;
use crate::audio::clean::level::{Floor, SILENCE, decibels};
use crate::audio::clean::noise::Noise;
use crate::audio::clean::presence::{Heard, Now, Presence};
use crate::audio::clean::rate::{Down, Up};
use crate::audio::clean::search::{self, Search};
use crate::audio::clean::{Echo, tame};
use crate::audio::codec::SAMPLES;
use crate::config::EchoCancelling;

/// Everything that needs the sound at 16 kHz.
#[derive(Debug)]
pub(super) struct Room {
    choice: EchoCancelling,
    /// Only while it is needed.
    canceller: Option<Canceller>,
    /// Frames for which the canceller has learned the noise while nobody spoke.
    learned: u32,
    /// What is known of the way from loudspeaker to microphone.
    hint: Option<Duration>,
    search: Search,
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
            learned: 0,
            hint: None,
            search: Search::new(),
            presence: Presence::new(),
            heard: Heard::Unknown,
            far: Far::new(),
            down: Down::new(SAMPLES),
            up: Up::new(FRAME),
            offset: Offset::default(),
            noise: None,
            floor: Floor::new(),
            cancelled: Fade::off(),
            cleaned: Fade::off(),
        }
    }

    pub(super) fn choose(&mut self, echo: EchoCancelling, noise: bool) {
        if echo != self.choice {
            self.choice = echo;
            self.heard = Heard::Unknown;
            self.presence = Presence::new();
        }
        if noise != self.noise.is_some() {
            self.noise = noise.then(Noise::new);
        }
    }

    /// Another pair of devices: what was known of the echo is worth nothing.
    pub(super) fn moved(&mut self) {
        self.hint = None;
        self.search = Search::new();
        self.presence = Presence::new();
        self.heard = Heard::Unknown;
        self.far.has_spoken = false;
        self.canceller = None;
    }

    pub(super) fn hint(&mut self, delay: Duration) {
        self.hint = Some(delay);
    }

    pub(super) fn far(&mut self, sound: &[f32]) {
        if self.choice == EchoCancelling::Off {
            return;
        }
        let is_awake = self.is_awake();
        let Room {
            far,
            search,
            canceller,
            ..
        } = self;
        far.turn(sound, |slow, has_spoken| {
            search.far(slow);
            if let Some(canceller) = canceller.as_mut().filter(|_| is_awake || has_spoken) {
                canceller.far(slow);
            }
        });
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
        let is_wanted = is_suppressing || self.cancelled.is_on();
        if is_wanted || self.cleaned.is_on() {
            let mut cleaned = [0.0; SAMPLES];
            self.up.turn(&sound, &mut cleaned);
            self.cleaned.mix(frame.as_mut_slice(), &cleaned, is_wanted);
        }
    }

    pub(super) fn echo(&self) -> Echo {
        match (self.choice, self.heard) {
            (EchoCancelling::Off, _) => Echo::Off,
            (_, Heard::Echo) => Echo::Cancelling,
            (_, Heard::Unknown) => Echo::Listening,
            (EchoCancelling::On, Heard::Nothing) => Echo::Cancelling,
            (EchoCancelling::Auto, Heard::Nothing) => Echo::NoneHeard,
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

    /// Before the far side has said its first word, nothing can come back: then the canceller only
    /// learns the noise, which it cannot tell from an echo later.
    fn is_awake(&self) -> bool {
        self.far.has_spoken || self.learned < LEARNS
    }

    /// Has a canceller stand ready while one is needed.
    fn furnish(&mut self, is_needed: bool) {
        if self.canceller.is_some() || !is_needed {
            return;
        }
        let mut canceller = Canceller::new();
        let found = self.presence.lag().map(search::duration);
        if let Some(delay) = found.or(self.hint) {
            canceller.hint(delay);
        }
        self.canceller = Some(canceller);
        self.learned = 0;
    }

    fn cancel(&mut self, sound: &mut [f32; FRAME]) {
        self.far.pass();
        if self.choice != EchoCancelling::Off {
            let noise = self.floor.level().min(NOISIEST);
            let is_quiet = decibels(sound.as_slice()) < noise + ABOVE_NOISE;
            // What is no louder than the noise is no echo worth cancelling, though it may be found.
            let heard = if is_quiet { [0.0; FRAME] } else { *sound };
            self.heard = self.presence.note(Now {
                likeness: self.search.near(&heard, self.presence.is_settled()),
                is_quiet,
                far_speaks: self.far.level > SPEECH,
            });
        }
        let is_cancelling = self.is_cancelling();
        self.furnish(is_cancelling);
        let is_awake = self.is_awake();
        self.learned = self.learned.saturating_add(1);
        let Some(canceller) = self.canceller.as_mut().filter(|_| is_awake) else {
            return;
        };
        let mut cancelled = *sound;
        canceller.near(&mut cancelled);
        if cancelled.iter().any(|sample| !sample.is_finite()) {
            // It would never come back to numbers by itself.
            *canceller = Canceller::new();
            return;
        }
        let is_wanted = is_cancelling && self.far.has_spoken;
        self.cancelled.mix(sound, &cancelled, is_wanted);
        if !is_cancelling {
            self.canceller = None;
        }
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
    has_spoken: bool,
}

impl Far {
    fn new() -> Far {
        Far {
            down: Down::new(SAMPLES / 2),
            pending: [0.0; SAMPLES / 2],
            filled: 0,
            level: SILENCE,
            about: 0,
            has_spoken: false,
        }
    }

    fn turn(&mut self, sound: &[f32], mut give: impl FnMut(&[f32], bool)) {
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
                self.has_spoken = true;
            }
            give(&slow, self.has_spoken);
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

/// Up to so many dB above the noise the microphone is quiet; noise over the second (in dB under full
/// scale) may be somebody's voice.
const ABOVE_NOISE: f32 = 6.0;
const NOISIEST: f32 = -45.0;

/// Frames: half a second, after which the canceller knows the noise of the room.
const LEARNS: u32 = 25;

/// Frames after it in which its echo may come: half a second.
const COMES_BACK: u32 = 25;
