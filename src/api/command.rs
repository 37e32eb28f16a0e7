//! What can be asked of the phone.

use serde::{Deserialize, Serialize};

use super::{CallId, EchoCancelling, Standing};

/// Number that the asker gives a request and finds again in its [`super::Reply`].
pub type RequestId = u64;

/// A command with its number, as it stands in one line of the control socket:
/// `{"id":7,"command":"dial","peer":"anna"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub id: RequestId,
    #[serde(flatten)]
    pub command: Command,
}

/// Off, on, or the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    On,
    Off,
    Toggle,
}

impl Switch {
    /// The new position, given the present one.
    pub fn apply(self, now: bool) -> bool {
        match self {
            Switch::On => true,
            Switch::Off => false,
            Switch::Toggle => !now,
        }
    }
}

/// Everything a person or a script can want. `peer` is a petname or a whole ID; a missing `call`
/// means the one that the command obviously is for (the ringing one for `Answer`, the active or
/// outgoing one for `Hangup`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// A [`super::Status`]: everything a screen needs to draw itself.
    Status,
    /// Whether this listener wants [`super::Event::Levels`], ten a second while a call is up.
    Listen {
        levels: bool,
    },
    Dial {
        peer: String,
        #[serde(default)]
        muted: bool,
    },
    Answer {
        #[serde(default)]
        call: Option<CallId>,
        #[serde(default)]
        muted: bool,
    },
    Decline {
        #[serde(default)]
        call: Option<CallId>,
    },
    /// Stops the ringing here and leaves the caller to his ring time.
    Ignore {
        #[serde(default)]
        call: Option<CallId>,
    },
    Hangup {
        #[serde(default)]
        call: Option<CallId>,
    },
    Hold {
        #[serde(default)]
        call: Option<CallId>,
        to: Switch,
    },
    Mute {
        to: Switch,
    },
    /// Keeps both voices of an answered call in a file, or no longer; the other side is told.
    Record {
        #[serde(default)]
        call: Option<CallId>,
        to: Switch,
    },
    /// The result of comparing the words: `matches` true marks the peer verified, false ends the
    /// call and takes a mark away.
    Verify {
        peer: String,
        matches: bool,
    },
    /// One line of text, sent in the session with `peer` (made for it if there is none).
    Text {
        peer: String,
        text: String,
    },
    Invite {
        /// Seconds that the invite stays good.
        lifetime: u64,
        /// How many people may use it.
        uses: u32,
        /// For strangers: any number may use it, each at the price of some computing, and lands in
        /// the list of requests instead of among the contacts.
        #[serde(default)]
        public: bool,
    },
    /// What the contacts are told of this phone's owner; kept over restarts.
    Announce {
        standing: Standing,
    },
    /// Makes a contact of somebody in the list of requests. `peer` is an ID.
    Accept {
        peer: String,
    },
    /// Takes somebody off the list of requests without a word to them.
    Dismiss {
        peer: String,
    },
    AddContact {
        line: String,
        #[serde(default)]
        name: Option<String>,
    },
    Rename {
        peer: String,
        name: String,
    },
    Remove {
        peer: String,
    },
    Block {
        peer: String,
        to: Switch,
    },
    /// With it on, neither side of a call with this contact learns the other's address.
    RelayOnly {
        peer: String,
        to: Switch,
    },
    /// Playback gain, 1.0 = as received, 0.0..=4.0.
    Volume {
        gain: f32,
    },
    /// Microphone gain, 1.0 = as recorded, 0.0..=4.0.
    Gain {
        gain: f32,
    },
    /// The sound devices that there are: [`super::Done::Devices`]. The answer may take seconds.
    Devices,
    /// Other sound devices, by the names in [`super::Done::Devices`]; an empty name is the system's
    /// choice. Holds until the phone ends.
    Sound {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        microphone: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speaker: Option<String>,
    },
    /// Whether the loudspeaker's sound is taken out of the microphone's.
    EchoCancelling {
        to: EchoCancelling,
    },
    ClearHistory,
    /// Ends the engine (and the daemon that carries it) after hanging up.
    Quit,
}
