//! The tables of the file, one struct each, with their defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[identity]`: who this phone is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// What contacts are told as this phone's name; empty: the name given when it was made.
    pub name: String,
    /// Where the secret key lies; empty: `identity.key` among the data files.
    pub key_file: PathBuf,
}

/// `[sound]`: which devices `audio = "cpal"` uses, and what is done with the own voice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sound {
    /// Name of the microphone; empty: the system's choice.
    pub microphone: String,
    /// Name of the loudspeaker; empty: the system's choice.
    pub speaker: String,
    /// Directory of recorded calls; empty: `recordings` among the data files.
    pub recordings: PathBuf,
    /// Address of the sound server, in the form of `PULSE_SERVER`; empty: looked for.
    pub server: String,
    pub echo_cancelling: EchoCancelling,
    /// Take constant noise out of the own voice, where there is any.
    pub noise_suppression: bool,
    /// Make a voice that is far too quiet louder, and one that is far too loud quieter.
    pub automatic_gain: bool,
}

impl Default for Sound {
    fn default() -> Sound {
        Sound {
            microphone: String::new(),
            speaker: String::new(),
            recordings: PathBuf::new(),
            server: String::new(),
            echo_cancelling: EchoCancelling::Auto,
            noise_suppression: true,
            automatic_gain: true,
        }
    }
}

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

/// `[sounds]`: the phone's own tones, each of which can be off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sounds {
    /// Somebody calls.
    pub ring: bool,
    /// Name of the device to ring on; empty: the loudspeaker of calls.
    pub ringer: String,
    /// It rings at the other end.
    pub ring_back: bool,
    /// The call did not come about: busy, declined, not reachable.
    pub busy: bool,
    /// Somebody else calls while a call is up.
    pub waiting: bool,
    /// Both can talk now.
    pub join: bool,
    /// The call is over.
    pub leave: bool,
    /// The microphone goes off or on.
    pub mute: bool,
    /// A recording begins, here or there.
    pub recording: bool,
}

impl Default for Sounds {
    fn default() -> Sounds {
        Sounds {
            ring: true,
            ringer: String::new(),
            ring_back: true,
            busy: true,
            waiting: true,
            join: false,
            leave: true,
            mute: true,
            recording: true,
        }
    }
}

/// `[ui]`: how the screen looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ui {
    pub glyphs: Glyphs,
    pub theme: Theme,
    pub rate: Rate,
}

/// Which characters the screen draws with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Glyphs {
    /// Unicode where the locale says so.
    #[default]
    Auto,
    Unicode,
    Ascii,
}

/// Which colours the screen uses; all of them the terminal's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Theme {
    #[default]
    Terminal,
    HighContrast,
    /// No colour at all, only bold and reverse.
    Mono,
}

/// How often the screen may be drawn, 1..=10 times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Rate(u8);

impl Rate {
    pub fn per_second(self) -> u8 {
        self.0
    }
}

impl Default for Rate {
    fn default() -> Rate {
        Rate(10)
    }
}

impl TryFrom<u8> for Rate {
    type Error = String;

    fn try_from(rate: u8) -> Result<Rate, String> {
        match rate {
            1..=10 => Ok(Rate(rate)),
            _ => Err(format!("{rate} is not between 1 and 10")),
        }
    }
}

impl From<Rate> for u8 {
    fn from(rate: Rate) -> u8 {
        rate.0
    }
}

/// `[notify]`: how an incoming call draws attention beside the screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// Ring the terminal's bell.
    pub bell: bool,
    /// Ask the terminal for a desktop notification (OSC 9 or 777).
    pub desktop: bool,
}

impl Default for Notify {
    fn default() -> Notify {
        Notify {
            bell: true,
            desktop: true,
        }
    }
}

/// `[log]`: what is written to the log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Filter in the form of `RUST_LOG`: `error`, `warn`, `info`, `debug` or per module.
    pub filter: String,
    /// Where the log goes; empty: `twocan.log` among the state files.
    pub file: PathBuf,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            filter: "info".to_owned(),
            file: PathBuf::new(),
        }
    }
}

/// `[keys]`: name of an action to the keys for it; what is not named keeps its keys, an empty list
/// takes them away. The screen knows the names.
pub type Keys = BTreeMap<String, Vec<String>>;
