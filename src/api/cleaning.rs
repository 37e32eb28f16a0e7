//! What is done with the own voice before it is sent, and what is wrong with the microphone.

use serde::{Deserialize, Serialize};

/// Whether the loudspeaker's sound is taken out of the microphone's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EchoCancelling {
    /// While it can be heard there, and never with a headset.
    #[default]
    Auto,
    On,
    Off,
}

impl EchoCancelling {
    /// The next one, for a key that goes through them all.
    pub fn next(self) -> EchoCancelling {
        match self {
            EchoCancelling::Auto => EchoCancelling::On,
            EchoCancelling::On => EchoCancelling::Off,
            EchoCancelling::Off => EchoCancelling::Auto,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            EchoCancelling::Auto => "automatic",
            EchoCancelling::On => "on",
            EchoCancelling::Off => "off",
        }
    }
}

/// What is done about the loudspeaker's sound in the microphone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Echo {
    /// Nothing: as was chosen, because of a headset, or because there is no device.
    #[default]
    Off,
    /// It is cancelled, without proof so far that there is any.
    Listening,
    /// It is heard and cancelled.
    Cancelling,
    /// There is none, so nothing is done.
    NoneHeard,
}

impl Echo {
    /// As it stands behind other facts of a call; nothing where there is nothing to say.
    pub fn words(self) -> &'static str {
        match self {
            Echo::Off => "",
            Echo::Listening => "listening for echo",
            Echo::Cancelling => "echo cancelled",
            Echo::NoneHeard => "no echo",
        }
    }
}

/// How the own voice is cleaned at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CleaningView {
    pub choice: EchoCancelling,
    pub echo: Echo,
    /// Noise is being suppressed.
    pub noise: bool,
    /// By how much the voice is made louder (or, below 0, quieter).
    pub gain_db: f32,
}

/// What the owner should know about the microphone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Microphone {
    #[default]
    Fine,
    /// Nothing but zeros come from it.
    Dead,
    TalkingMuted,
    /// The voice is cut off at full scale.
    Clipping,
    Quiet,
}

impl Microphone {
    /// What to tell; nothing while all is well.
    pub fn words(self) -> Option<&'static str> {
        match self {
            Microphone::Fine => None,
            Microphone::Dead => Some("nothing comes from the microphone: is the system muting it?"),
            Microphone::TalkingMuted => Some("you are talking while muted"),
            Microphone::Clipping => Some("you are too loud: the microphone is set too high"),
            Microphone::Quiet => Some("you are too quiet: the microphone is set too low"),
        }
    }
}
