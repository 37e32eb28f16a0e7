//! Where sound is, and what is wrong with it, for people.

use std::fmt;
use std::time::Duration;

/// Where sound comes from and goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// In words: `null`, `PulseAudio at anna-laptop by ssh`.
    pub words: String,
    /// Names of the devices; empty where there is none or it has no name.
    pub microphone: String,
    pub speaker: String,
    /// Something that whoever sits here should know of it.
    pub note: Option<String>,
    /// Round trip to a sound server on another computer.
    pub link: Option<Duration>,
}

impl Place {
    /// One that is said in these words, and nothing more is known of.
    pub fn called(words: impl Into<String>) -> Place {
        Place {
            words: words.into(),
            ..Place::default()
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// Why there is no sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub why: String,
    /// There is no device at all, and no server answers.
    pub is_missing: bool,
}

impl From<String> for Trouble {
    fn from(why: String) -> Trouble {
        Trouble {
            why,
            is_missing: false,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Which devices to use from now on; what is left out stays as it is. An empty name is the system's
/// choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    pub microphone: Option<String>,
    pub speaker: Option<String>,
}
