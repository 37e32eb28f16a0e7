//! Cleaning of the own voice between microphone and encoder: echo, noise, level; and watching the
//! microphone on the way.
//!
//! Everything works at 16 kHz on frames of 20 ms: a third of the work of 48 kHz, and the codec sends
//! no more band than that. Whatever has nothing to do stands aside: while there is no echo, no noise
//! and no wrong level, the frame is passed on bit for bit and without delay. With an echo it comes
//! 7 ms later, with noise 13 ms.
//!
//! Nothing here waits. Nothing allocates once the first frames of a call have gone through, but for
//! the canceller: it is made when it is needed, and its crate makes eleven small buffers a block and
//! gives them back.

mod canceller;
mod cleaner;
mod fade;
mod gain;
mod level;
mod noise;
mod presence;
mod rate;
mod room;
mod search;
mod selftest;
mod side;
mod talking;
#[cfg(test)]
mod tests;
mod transform;

use std::time::Duration;

use crate::audio::codec::SAMPLES;
use crate::config::EchoCancelling;

use gain::Gain;
use level::{Floor, decibels};
use room::Room;
use selftest::{Seen, SelfTest};
use talking::Talking;

pub use selftest::Microphone;

/// What is wanted of the cleaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choices {
    pub echo: EchoCancelling,
    pub noise: bool,
    pub gain: bool,
}

impl Choices {
    /// Everything, each where it is needed.
    pub const USUAL: Choices = Choices {
        echo: EchoCancelling::Auto,
        noise: true,
        gain: true,
    };

    /// Frames pass untouched.
    pub const NOTHING: Choices = Choices {
        echo: EchoCancelling::Off,
        noise: false,
        gain: false,
    };
}

/// What is done about the loudspeaker's sound in the microphone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Echo {
    /// Nothing, as was chosen or because of a headset.
    #[default]
    Off,
    /// It is cancelled, without proof so far that there is any.
    Listening,
    /// It is heard and cancelled.
    Cancelling,
    /// There is none, so nothing is done.
    NoneHeard,
}

/// What the cleaning does at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Doing {
    pub echo: Echo,
    /// Noise is being suppressed.
    pub noise: bool,
    /// By how many dB the voice is made louder (or, below 0, quieter).
    pub gain: f32,
}

/// The cleaning of one call.
#[derive(Debug)]
pub struct Cleaning {
    choices: Choices,
    /// Without a room (files, no device) there is nothing to clean.
    has_room: bool,
    headset: bool,
    /// A device serves, so that what comes from it can be judged.
    is_open: bool,
    room: Option<Box<Room>>,
    gain: Gain,
    floor: Floor,
    talking: Talking,
    test: SelfTest,
    microphone: Microphone,
}

impl Cleaning {
    /// For real devices (`has_room`), or for files and silence, which are passed on untouched and
    /// not judged.
    pub fn new(has_room: bool) -> Cleaning {
        Cleaning {
            choices: Choices::NOTHING,
            has_room,
            headset: false,
            is_open: false,
            room: None,
            gain: Gain::new(),
            floor: Floor::new(),
            talking: Talking::new(),
            test: SelfTest::default(),
            microphone: Microphone::Fine,
        }
    }

    /// Changes what is wanted; costs nothing where nothing changes.
    pub fn choose(&mut self, choices: Choices) {
        if self.choices == choices || !self.has_room {
            return;
        }
        self.choices = choices;
        self.furnish();
    }

    /// Other devices are in use now, a headset or not. What was known of the echo is forgotten.
    pub fn moved(&mut self, headset: bool) {
        self.headset = headset;
        self.is_open = true;
        self.test = SelfTest::default();
        self.furnish();
        if let Some(room) = &mut self.room {
            room.moved();
        }
    }

    /// A device serves again.
    pub fn found(&mut self) {
        self.is_open = true;
    }

    /// No device serves: what comes now is only silence in its place.
    pub fn lost(&mut self) {
        self.is_open = false;
        self.microphone = Microphone::Fine;
    }

    /// The time from here to the loudspeaker and from the microphone to here together, if known.
    pub fn hint(&mut self, delay: Duration) {
        if let Some(room) = &mut self.room {
            room.hint(delay);
        }
    }

    /// What goes to the loudspeaker next, at 48 kHz, in pieces of any length.
    pub fn far(&mut self, sound: &[f32]) {
        if let Some(room) = &mut self.room {
            room.far(sound);
        }
    }

    /// Cleans the next 20 ms of the microphone. `muted` means that nobody will hear them.
    pub fn near(&mut self, frame: &mut [f32; SAMPLES], muted: bool) {
        tame(frame);
        let is_zero = frame.iter().all(|sample| *sample == 0.0);
        let cut = frame.iter().filter(|s| s.abs() >= FULL_SCALE).count();
        if let Some(room) = &mut self.room {
            room.near(frame);
        }
        let level = decibels(frame.as_slice());
        self.floor.note(level);
        let floor = self.floor.level();
        let is_voice = self.talking.note(level, floor);
        if !self.has_room || !self.is_open {
            return;
        }
        // An echo that is not cancelled is not the owner's voice.
        let is_own = is_voice && !self.room.as_ref().is_some_and(|room| room.is_echo_about());
        if self.choices.gain {
            if is_own {
                self.gain.note(level);
            }
            self.gain.turn(frame, floor);
        }
        self.microphone = self.test.note(Seen {
            is_zero,
            cut,
            voice: is_own.then_some(level + self.gain.aim()),
            muted,
        });
    }

    /// Whether the owner speaks, for a mark on the screen.
    pub fn is_talking(&self) -> bool {
        self.talking.is_talking()
    }

    /// What the owner should know about the microphone.
    pub fn microphone(&self) -> Microphone {
        self.microphone
    }

    pub fn doing(&self) -> Doing {
        let room = self.room.as_ref();
        Doing {
            echo: room.map_or(Echo::Off, |room| room.echo()),
            noise: room.is_some_and(|room| room.is_noisy()),
            gain: self.gain.decibels(),
        }
    }

    /// Sets up what the choices need and takes away what they do not.
    fn furnish(&mut self) {
        if !self.choices.gain {
            self.gain = Gain::new();
        }
        let echo = match self.choices.echo {
            EchoCancelling::Auto if self.headset => EchoCancelling::Off,
            echo => echo,
        };
        let is_needed = echo != EchoCancelling::Off || self.choices.noise;
        if !self.has_room || !is_needed {
            self.room = None;
            return;
        }
        let room = self.room.get_or_insert_with(|| Box::new(Room::new()));
        room.choose(echo, self.choices.noise);
    }
}

/// True for the name of a device that is worn, so that its loudspeaker is not heard by its
/// microphone.
pub fn is_headset(name: &str) -> bool {
    let name = name.to_lowercase();
    [
        "headset",
        "headphone",
        "earbud",
        "earphone",
        "airpods",
        "hands-free",
        "handsfree",
    ]
    .iter()
    .any(|worn| name.contains(worn))
}

/// A device may deliver anything: what is no number becomes silence, and what is louder than full
/// scale by far is cut off.
fn tame(frame: &mut [f32]) {
    for sample in frame {
        if !(-LOUDEST..=LOUDEST).contains(sample) {
            *sample = if sample.is_nan() {
                0.0
            } else {
                sample.clamp(-LOUDEST, LOUDEST)
            };
        }
    }
}

/// From here on a sample counts as cut off.
const FULL_SCALE: f32 = 0.999;

/// Twice full scale.
const LOUDEST: f32 = 2.0;
