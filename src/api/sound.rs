//! Microphones and loudspeakers.

use serde::{Deserialize, Serialize};

use crate::peer::SafeText;

/// One sound device that calls could use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundDevice {
    /// The name to choose it by.
    pub name: SafeText,
    /// What a person would call it.
    pub description: SafeText,
    /// Who serves it: `PulseAudio`, `PipeWire`, `ALSA`.
    pub host: SafeText,
    pub microphone: bool,
    pub speaker: bool,
    /// The system's choice.
    pub default: bool,
}
