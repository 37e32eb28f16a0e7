//! The life of a call in words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names one call on this phone, from the dialling or the first ring to its end.
///
/// Local and small: the far phone numbers its calls by itself. Never reused while the engine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallId(pub u32);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Who started the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    In,
    Out,
}

/// How far a call has come. Each state is said only when it is true at the far end as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallState {
    /// The directory is asked where the peer is.
    LookingUp,
    /// A path and an encrypted session are being made.
    Connecting,
    /// Out: the far phone has said that it rings. In: this phone rings.
    Ringing,
    /// Both talk.
    Active,
    /// One side (or both) put the call on hold.
    Held,
    /// Over; the [`Why`] beside it says how.
    Ended,
}

/// How a call ended. Each has its own words, so that nobody has to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// This side hung up an answered call.
    HungUp,
    /// The other side hung up an answered call.
    PeerHungUp,
    /// The other side declined.
    Declined,
    /// This side declined.
    DeclinedHere,
    /// The other phone is in a call and has another one waiting.
    Busy,
    /// It rang there until the ring time was over.
    NoAnswer,
    /// It rang here until the ring time was over.
    Missed,
    /// This side gave up before there was an answer.
    Cancelled,
    /// The caller gave up before this side answered: a missed call.
    PeerCancelled,
    /// No way to the other phone was found, or nothing answered there.
    Unreachable,
    /// This phone has no network, so nobody can be reached.
    Offline,
    /// An answered call heard nothing authentic for 20 s.
    Lost,
    /// The other phone proved another identity than the contact's.
    IdentityMismatch,
    /// The spoken words were marked as different, or the commitment to them was broken.
    WordsDiffer,
    /// Fresh keys could not be agreed in time, so the call was ended rather than kept on old ones.
    KeysTooOld,
    /// The other phone was shut down.
    PeerGone,
    /// This phone was shut down.
    ShutDown,
}

impl Why {
    /// One line for a person; the peer's name goes before or after it.
    pub fn words(self) -> &'static str {
        match self {
            Why::HungUp => "you hung up",
            Why::PeerHungUp => "the other side hung up",
            Why::Declined => "declined there",
            Why::DeclinedHere => "you declined",
            Why::Busy => "busy: in another call",
            Why::NoAnswer => "it rang, nobody answered",
            Why::Missed => "missed",
            Why::Cancelled => "you gave up before an answer",
            Why::PeerCancelled => "missed: the caller gave up",
            Why::Unreachable => "not reachable: no answer from that phone",
            Why::Offline => "this phone is offline",
            Why::Lost => "connection lost",
            Why::IdentityMismatch => "stopped: the other phone is not who it should be",
            Why::WordsDiffer => "stopped: the words differ, somebody may be listening",
            Why::KeysTooOld => "stopped: fresh keys could not be agreed",
            Why::PeerGone => "the other phone was switched off",
            Why::ShutDown => "this phone was switched off",
        }
    }

    /// True for an incoming call that ended without anybody here having decided about it.
    pub fn is_missed(self) -> bool {
        matches!(self, Why::Missed | Why::PeerCancelled)
    }
}

/// What the packets of a call travel over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// Straight to an address the peer has by itself.
    Direct,
    /// Straight, through holes punched in NATs.
    Punched,
    /// By a volunteer's UDP reflector.
    Reflected,
    /// By a libp2p relay circuit, as a byte stream.
    Circuit,
}

/// What is known of a contact at this moment; never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// An encrypted session stands right now.
    Connected,
    /// A live directory record says it can be reached.
    Reachable,
    /// The same, and that its owner is away.
    Away,
    /// The same, and that its owner does not want to be disturbed.
    DoNotDisturb,
    /// The directory was asked, and has no live record.
    Offline,
    /// Nothing is known: not asked yet, or this phone is itself offline.
    Unknown,
}

impl Presence {
    pub fn words(self) -> &'static str {
        match self {
            Presence::Connected => "connected",
            Presence::Reachable => "available",
            Presence::Away => "away",
            Presence::DoNotDisturb => "do not disturb",
            Presence::Offline => "not there",
            Presence::Unknown => "not known",
        }
    }

    /// The directory has a live record.
    pub fn is_announced(self) -> bool {
        matches!(
            self,
            Presence::Reachable | Presence::Away | Presence::DoNotDisturb
        )
    }
}
