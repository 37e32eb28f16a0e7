//! What the phone tells.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    AudioView, CallId, CallState, CleaningView, ContactView, Direction, Microphone, NetworkView,
    PathKind, Presence, RequestId, RequestView, SoundDevice, Standing, Status, Why,
};
use crate::peer::{PeerId, SafeText};

/// What the playout of the far voice decides on, as part of [`Event::Stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Playout {
    /// How long the fastest frames are to wait.
    pub target_ms: f32,
    /// The wait by which 95 % of the frames were there.
    pub quantile_ms: f32,
    /// Share (0..1) of the last second's frames that were not there when due, before any repair, and
    /// how many in a row.
    pub lost: f32,
    pub burst: f32,
    /// Frames since the answer that were played from a copy or an in-band repair ...
    pub repaired: u64,
    /// ... that came too late ...
    pub late: u64,
    /// ... and that were left out to bring the delay down at once.
    pub skipped: u64,
    /// Sound that was put in and taken out to change the delay, since the answer.
    pub stretched_ms: f32,
}

/// Something that happened. In JSON the kind stands in `"event"`; [`Stamped`] adds `"at"`.
///
/// `peer` is the petname, `id` the identity behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The engine listens and can be called. The first event to whoever connects: what happens from
    /// then on is told, and what was before is in the status.
    Ready {
        id: PeerId,
        listen: Vec<SocketAddr>,
    },
    Presence {
        peer: SafeText,
        id: PeerId,
        presence: Presence,
    },
    Call {
        call: CallId,
        peer: SafeText,
        id: PeerId,
        direction: Direction,
        state: CallState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<PathKind>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<Why>,
        /// This side's microphone is muted.
        #[serde(default)]
        muted: bool,
        /// Which side holds a held call.
        #[serde(default)]
        held_here: bool,
        #[serde(default)]
        held_there: bool,
    },
    Path {
        call: CallId,
        path: PathKind,
        rtt_ms: f32,
    },
    /// Once a second while a call is active. `loss` is the share (0..1) of the last second's frames
    /// that never came or came too late; `sent` and `received` count voice packets since the answer.
    /// `far_` is what the other side has reported of our voice: the share lost, how many in a row,
    /// and how long it waited in a queue on the way; then what is sent because of it: kbit/s of Opus,
    /// how many frames back the copies of earlier frames are, and whether Opus repeats each frame in
    /// the next one. `starved`: the line carries too little even of the least.
    Stats {
        call: CallId,
        rtt_ms: f32,
        jitter_ms: f32,
        loss: f32,
        buffer_ms: f32,
        concealed: u64,
        sent: u64,
        received: u64,
        #[serde(default)]
        far_loss: f32,
        #[serde(default)]
        far_burst: f32,
        #[serde(default)]
        far_queue_ms: f32,
        #[serde(default)]
        payload_kbps: u32,
        #[serde(default)]
        copies: Vec<u8>,
        #[serde(default)]
        fec: bool,
        #[serde(default)]
        starved: bool,
        #[serde(flatten)]
        playout: Playout,
        /// Round trip to a sound server on another computer, which comes on top of the call's delay.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio_link_ms: Option<f32>,
        /// What is done with the own voice.
        #[serde(default)]
        cleaning: CleaningView,
    },
    /// A call is recorded, or no longer: by which side. The call's end ends it without a word.
    Recording {
        call: CallId,
        peer: SafeText,
        id: PeerId,
        here: bool,
        there: bool,
        /// Where this side's recording goes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// Peak levels since the last such event, as share (0..1) of full scale.
    Levels {
        call: CallId,
        mic: f32,
        speaker: f32,
        /// The owner speaks, muted or not.
        #[serde(default)]
        talking: bool,
    },
    /// There is something to know about the microphone, or (`fine`) no longer.
    Microphone {
        call: CallId,
        state: Microphone,
    },
    Sas {
        call: CallId,
        words: [String; 4],
    },
    Text {
        peer: SafeText,
        id: PeerId,
        text: SafeText,
        /// True for a line that this side sent and the far phone has confirmed.
        #[serde(default)]
        sent: bool,
    },
    /// A contact was added, changed or (with `removed`) taken away.
    Contact {
        contact: ContactView,
        #[serde(default)]
        removed: bool,
    },
    /// Somebody with a public invite wants to become a contact (or, with `removed`, is off the list).
    Request {
        request: RequestView,
        #[serde(default)]
        removed: bool,
    },
    /// The way to the directory changed, or has come a step further.
    Network {
        network: NetworkView,
    },
    /// What the contacts are told of this phone's owner.
    Standing {
        standing: Standing,
    },
    /// Sound came, went or changed its place; the call goes on.
    Audio(AudioView),
    Error {
        why: String,
    },
    /// Events were lost on the way to this listener: ask for [`super::Command::Status`].
    Resync,
}

/// An event and the moment it happened, RFC 3339.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    #[serde(flatten)]
    pub event: Event,
    pub at: jiff::Timestamp,
}

/// The answer to a [`super::Request`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    pub reply: RequestId,
    #[serde(flatten)]
    pub result: Result<Done, Refusal>,
}

/// What a command brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    Nothing,
    Call(CallId),
    Status(Box<Status>),
    Invite {
        line: String,
        expires: jiff::Timestamp,
    },
    Contact(ContactView),
    Devices(Vec<SoundDevice>),
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    pub trouble: Trouble,
    /// One sentence for a person: what is wrong and what to do.
    pub why: String,
}

/// The kind of a refusal; each has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    Usage,
    Config,
    NoSuchContact,
    Unreachable,
    Audio,
    /// Nothing to act on: no ringing call to answer, no call to hang up.
    NotNow,
    Identity,
    Other,
}

/// One line from the engine to a client of the control socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Message {
    Reply(Reply),
    Event(Stamped),
}
