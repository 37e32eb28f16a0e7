//! How this phone stands in the network, and what it says there of its owner.

use serde::{Deserialize, Serialize};

use super::NatKind;
use crate::peer::{PeerId, SafeText};

/// What the contacts are told of this phone's owner. Nobody else is told anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    #[default]
    Available,
    Away,
    /// Calls come in without a sound.
    DoNotDisturb,
    /// Looks as if the phone were off, and cannot be found by the directory.
    Invisible,
}

impl Standing {
    /// What the contacts read.
    pub fn words(self) -> &'static str {
        match self {
            Standing::Available => "available",
            Standing::Away => "away",
            Standing::DoNotDisturb => "do not disturb",
            Standing::Invisible => "invisible",
        }
    }
}

/// How far this phone has come into the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkState {
    /// `network = "none"`: no directory is used.
    #[default]
    Off,
    /// Nobody of the network has answered yet.
    Joining,
    /// Nobody of the network answers; it is tried again with growing pauses.
    Offline,
    /// The directory can be asked.
    Online,
    /// The directory can be asked, and contacts can find this phone by it.
    Reachable,
}

impl NetworkState {
    pub fn words(self) -> &'static str {
        match self {
            NetworkState::Off => "not used",
            NetworkState::Joining => "joining",
            NetworkState::Offline => "offline",
            NetworkState::Online => "online, not to be found yet",
            NetworkState::Reachable => "reachable",
        }
    }

    /// A directory is used, but cannot be asked now: nothing is known of anybody.
    pub fn is_cut_off(self) -> bool {
        matches!(self, NetworkState::Joining | NetworkState::Offline)
    }
}

/// The network as a screen shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkView {
    pub state: NetworkState,
    /// Ultrapeers that are connected.
    pub ultrapeers: u32,
    /// Relays that hold a reservation for this phone.
    pub relays: u32,
    /// What is going on or what is wrong, in a few words for a person; empty when all is well.
    #[serde(default)]
    pub words: String,
    /// What stands between this phone and the Internet.
    #[serde(default)]
    pub nat: NatKind,
}

impl NetworkView {
    /// The state and what is to be said about it, in one line.
    pub fn line(&self) -> String {
        let state = match self.state {
            // The words say what is missing.
            NetworkState::Online if !self.words.is_empty() => "online",
            state => state.words(),
        };
        let is_blocked = self.state == NetworkState::Reachable && self.nat == NatKind::Blocked;
        match (self.words.as_str(), self.state, self.relays) {
            ("", ..) if is_blocked => {
                format!("{state}, no UDP here: calls run by a relay over TCP")
            }
            ("", NetworkState::Reachable, 1) => format!("{state} by 1 relay"),
            ("", NetworkState::Reachable, 2..) => format!("{state} by {} relays", self.relays),
            ("", ..) => state.to_owned(),
            (words, ..) => format!("{state}: {words}"),
        }
    }
}

/// Somebody who opened a public invite of this phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestView {
    pub id: PeerId,
    /// What the stranger calls himself.
    pub name: SafeText,
    pub at: jiff::Timestamp,
}
