//! One call, from the first wish or ring to its end: what state it is in and what may follow.
//!
//! It decides nothing about sessions, other calls or the microphone device; [`super::Phone`] does.

use std::time::Duration;

use super::consent::{Consent, OpenMic};
use super::message::Bye;
use super::sas::Transcript;
use crate::api::{CallId, CallState, Direction, PathKind, Why};
use crate::peer::PeerId;

pub struct Call {
    pub id: CallId,
    pub peer: PeerId,
    pub direction: Direction,
    /// The call's name at both ends. In a glare the lower one of two survives.
    pub wire_id: [u8; 16],
    pub stage: Stage,
    pub held_here: bool,
    pub held_there: bool,
    /// Which side keeps the call in a file.
    pub recording_here: bool,
    pub recording_there: bool,
    /// When the present state began and when the call was answered, in seconds since 1970.
    pub since: u64,
    pub answered: Option<u64>,
    pub words: Option<[String; 4]>,
    /// Our nonce, and what we know of the other side's part.
    nonce: [u8; 32],
    commit: Option<[u8; 32]>,
    consent: Option<Consent>,
    /// When it has rung for too long.
    pub ring_until: Option<Duration>,
    /// Out: no way to the peer is known yet.
    pub is_looking: bool,
    /// What the call runs over, or last ran over.
    pub path: PathKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Out: no session yet, or the INVITE is under way.
    Connecting,
    /// Out: the far phone rings.
    Waiting,
    /// In: this phone rings.
    Ringing,
    Active,
}

/// The caller revealed another nonce than he had committed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenCommitment;

impl Call {
    /// A call that a local command makes: the consent comes with it.
    pub(super) fn dialled(
        id: CallId,
        peer: PeerId,
        wire_id: [u8; 16],
        nonce: [u8; 32],
        unix: u64,
    ) -> Call {
        Call {
            consent: Some(Consent::given_by_local_command(id)),
            stage: Stage::Connecting,
            direction: Direction::Out,
            ..Call::blank(id, peer, wire_id, nonce, unix)
        }
    }

    /// A call that comes in. Nothing can be heard of us until somebody here answers.
    pub(super) fn incoming(
        id: CallId,
        peer: PeerId,
        wire_id: [u8; 16],
        commit: [u8; 32],
        nonce: [u8; 32],
        unix: u64,
    ) -> Call {
        Call {
            commit: Some(commit),
            ..Call::blank(id, peer, wire_id, nonce, unix)
        }
    }

    fn blank(id: CallId, peer: PeerId, wire_id: [u8; 16], nonce: [u8; 32], unix: u64) -> Call {
        Call {
            id,
            peer,
            direction: Direction::In,
            wire_id,
            stage: Stage::Ringing,
            held_here: false,
            held_there: false,
            recording_here: false,
            recording_there: false,
            since: unix,
            answered: None,
            words: None,
            nonce,
            commit: None,
            consent: None,
            ring_until: None,
            is_looking: false,
            path: PathKind::Direct,
        }
    }

    pub fn state(&self) -> CallState {
        match self.stage {
            Stage::Connecting if self.is_looking => CallState::LookingUp,
            Stage::Connecting => CallState::Connecting,
            Stage::Waiting | Stage::Ringing => CallState::Ringing,
            Stage::Active if self.is_held() => CallState::Held,
            Stage::Active => CallState::Active,
        }
    }

    pub fn is_held(&self) -> bool {
        self.held_here || self.held_there
    }

    /// The nonce that we reveal or answer with.
    pub fn nonce(&self) -> [u8; 32] {
        self.nonce
    }

    /// Somebody at this phone answers.
    pub(super) fn answer_here(&mut self, unix: u64) {
        self.consent = Some(Consent::given_by_local_command(self.id));
        self.begin(unix);
    }

    /// The far side answered a call of ours. True if that was due.
    pub fn answer_there(&mut self, unix: u64) -> bool {
        let due = matches!(self.stage, Stage::Connecting | Stage::Waiting);
        if due {
            self.begin(unix);
        }
        due
    }

    /// Both dialled: this side takes up the other's call. Both have consented by dialling.
    pub fn adopt(&mut self, wire_id: [u8; 16], commit: [u8; 32], unix: u64) {
        self.wire_id = wire_id;
        self.commit = Some(commit);
        self.begin(unix);
    }

    /// Permission to record: only for an answered call that nobody holds, and that somebody here
    /// dialled or answered.
    pub fn mic(&self) -> Option<OpenMic> {
        if self.stage != Stage::Active || self.is_held() {
            return None;
        }
        self.consent.as_ref().map(Consent::open)
    }

    /// As caller, once the callee's nonce is here.
    pub fn words_as_caller(&mut self, transcript: &Transcript, callee: &[u8; 32]) -> [String; 4] {
        let words = transcript.words(&self.nonce, callee);
        self.words = Some(words.clone());
        words
    }

    /// As callee, once the caller has revealed his nonce. `None` if that was not due.
    pub fn words_as_callee(
        &mut self,
        transcript: &Transcript,
        caller: &[u8; 32],
    ) -> Option<Result<[String; 4], BrokenCommitment>> {
        let commit = self
            .commit
            .filter(|_| self.stage == Stage::Active && self.words.is_none())?;
        if !transcript.is_kept(&commit, caller) {
            return Some(Err(BrokenCommitment));
        }
        let words = transcript.words(caller, &self.nonce);
        self.words = Some(words.clone());
        Some(Ok(words))
    }

    /// How the call ended, when the peer said farewell with `reason`.
    pub fn why(&self, reason: Bye) -> Why {
        let side = match self.stage {
            Stage::Active => Side::Talking,
            Stage::Ringing => Side::Called,
            Stage::Connecting | Stage::Waiting => Side::Calling,
        };
        match (reason, side) {
            (Bye::WordsDiffer, _) => Why::WordsDiffer,
            (Bye::KeysTooOld, _) => Why::KeysTooOld,
            (Bye::NoAnswer, Side::Called) => Why::Missed,
            (_, Side::Called) => Why::PeerCancelled,
            (Bye::ShutDown, _) => Why::PeerGone,
            (_, Side::Talking) => Why::PeerHungUp,
            (Bye::Busy, Side::Calling) => Why::Busy,
            (Bye::NoAnswer, Side::Calling) => Why::NoAnswer,
            (_, Side::Calling) => Why::Declined,
        }
    }

    /// What hanging up means now, here and to the peer.
    pub fn hang_up(&self) -> (Why, Bye) {
        match self.stage {
            Stage::Active => (Why::HungUp, Bye::HungUp),
            Stage::Ringing => (Why::DeclinedHere, Bye::Declined),
            Stage::Connecting | Stage::Waiting => (Why::Cancelled, Bye::Cancelled),
        }
    }

    fn begin(&mut self, unix: u64) {
        self.stage = Stage::Active;
        self.since = unix;
        self.answered = Some(unix);
        self.ring_until = None;
    }
}

enum Side {
    Talking,
    Called,
    Calling,
}

/// How long a call rings, at both ends.
pub const RING: Duration = Duration::from_secs(60);
