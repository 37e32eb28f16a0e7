//! Everything a screen needs to draw itself from nothing.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    CallId, CallState, Direction, NetworkView, PathKind, Presence, RequestView, Standing, Why,
};
use crate::peer::{PeerId, SafeText};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub name: SafeText,
    pub id: PeerId,
    pub version: String,
    pub listen: Vec<SocketAddr>,
    pub muted: bool,
    pub audio: AudioView,
    pub calls: Vec<CallView>,
    pub contacts: Vec<ContactView>,
    #[serde(default)]
    pub network: NetworkView,
    #[serde(default)]
    pub standing: Standing,
    /// Strangers who want to become contacts, newest first, at most 20.
    #[serde(default)]
    pub requests: Vec<RequestView>,
    /// Newest first, at most 100.
    pub history: Vec<HistoryView>,
}

/// Where sound is. Fields may be added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AudioView {
    /// Backend and server in words, such as `PulseAudio at anna-laptop` or `null`.
    pub place: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Name of the microphone in use; empty before the first call: the system's choice.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub microphone: String,
    /// The same of the loudspeaker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub speaker: String,
    /// What whoever sits here should know although there is sound: it comes out elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Round trip to a sound server on another computer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_ms: Option<f32>,
    /// The trouble is that there is no sound device at all, and no server answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallView {
    pub call: CallId,
    pub peer: SafeText,
    pub id: PeerId,
    pub direction: Direction,
    pub state: CallState,
    /// When the present state began.
    pub since: jiff::Timestamp,
    /// When the call was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<jiff::Timestamp>,
    pub held_here: bool,
    pub held_there: bool,
    /// Which side records the call.
    #[serde(default)]
    pub recording_here: bool,
    #[serde(default)]
    pub recording_there: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<[String; 4]>,
    /// The contact was verified by words or QR before or in this call.
    pub verified: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactView {
    /// The petname.
    pub name: SafeText,
    pub id: PeerId,
    /// What the peer calls itself, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_itself: Option<SafeText>,
    pub verified: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<jiff::Timestamp>,
    pub presence: Presence,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<jiff::Timestamp>,
    pub blocked: bool,
    /// Calls with this contact run through relays and reflectors only.
    #[serde(default)]
    pub relay_only: bool,
    /// The invite was opened here, but the other phone has not confirmed it yet.
    pub pending: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryView {
    pub at: jiff::Timestamp,
    pub name: SafeText,
    pub id: PeerId,
    pub direction: Direction,
    pub why: Why,
    /// How long was talked; 0 for a call that was not answered.
    pub seconds: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathKind>,
    /// Share of frames (0..1) that were lost over the whole call.
    #[serde(default)]
    pub loss: f32,
    /// Which side recorded the call, or a part of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recorded_here: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub recorded_there: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}
