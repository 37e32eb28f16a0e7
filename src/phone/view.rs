//! What the phone shows of itself: a snapshot, numbers, and the events of its calls.

use super::call::{Call, Stage};
use super::types::Output;
use super::{Phone, book};
use crate::api::{
    CallId, CallState, CallView, ContactView, Event, PathKind, Presence, RequestView, Why,
};
use crate::peer::{PeerId, SafeText};

/// What a screen wants to know of the phone, beside what the engine knows itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub calls: Vec<CallView>,
    pub contacts: Vec<ContactView>,
    pub muted: bool,
    /// Strangers who want to become contacts, newest first.
    pub requests: Vec<RequestView>,
}

/// The line under a call, in numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Numbers {
    /// Round trip, smoothed; 0 before it was measured.
    pub rtt_ms: f32,
    /// Voice packets with a frame in them since the answer.
    pub sent: u64,
    pub received: u64,
}

/// How much the phone carries at the moment. All of it is bounded, whatever the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Callers who were let in but have not yet said who they are.
    pub half_open: usize,
    /// Peers whom we are trying to reach.
    pub attempts: usize,
    /// Sessions, those that say farewell included.
    pub sessions: usize,
    pub calls: usize,
}

impl Phone {
    pub fn load(&self) -> Load {
        Load {
            half_open: self.half_open.len(),
            attempts: self.attempts.len(),
            sessions: self.sessions.len(),
            calls: self.calls.len(),
        }
    }

    pub fn status(&self) -> Snapshot {
        Snapshot {
            calls: self
                .calls
                .values()
                .map(|call| self.call_view(call))
                .collect(),
            contacts: self
                .book
                .contacts()
                .map(|contact| self.book.view(contact, self.presence(&contact.id)))
                .collect(),
            muted: self.muted,
            requests: self.strangers.views(),
        }
    }

    /// `None` when there is no such call or it has no session yet.
    pub fn call_numbers(&self, call: CallId) -> Option<Numbers> {
        let call = self.calls.get(&call)?;
        let session = self.session_with(&call.peer)?;
        let rtt = session.rtt().unwrap_or_default();
        Some(Numbers {
            rtt_ms: rtt.as_secs_f32() * 1000.0,
            sent: session.voice_sent,
            received: session.voice_received,
        })
    }

    pub(super) fn presence(&self, peer: &PeerId) -> Presence {
        if self.has_open_session(peer) {
            Presence::Connected
        } else {
            self.sky.presence(peer)
        }
    }

    pub(super) fn tell_presence(&mut self, peer: PeerId) {
        let presence = self.presence(&peer);
        let Some(contact) = self.book.get(&peer) else {
            return;
        };
        let event = Event::Presence {
            peer: contact.petname.clone(),
            id: peer,
            presence,
        };
        self.out.push_back(Output::Event(event));
    }

    pub(super) fn tell_path(&mut self, peer: PeerId) {
        let Some(call) = self.call_with(&peer) else {
            return;
        };
        let (id, numbers) = (call.id, self.call_numbers(call.id));
        let Some(path) = self.path_kind(&peer) else {
            return;
        };
        if let Some(call) = self.calls.get_mut(&id) {
            call.path = path;
        }
        self.out.push_back(Output::Event(Event::Path {
            call: id,
            path,
            rtt_ms: numbers.map_or(0.0, |numbers| numbers.rtt_ms),
        }));
    }

    pub(super) fn call_view(&self, call: &Call) -> CallView {
        let contact = self.book.get(&call.peer);
        CallView {
            call: call.id,
            peer: self.petname(&call.peer),
            id: call.peer,
            direction: call.direction,
            state: call.state(),
            since: book::timestamp(call.since),
            answered: call.answered.map(book::timestamp),
            held_here: call.held_here,
            held_there: call.held_there,
            recording_here: call.recording_here,
            recording_there: call.recording_there,
            path: self.path_kind(&call.peer),
            words: call.words.clone(),
            verified: contact.is_some_and(|contact| contact.verified.is_some()),
        }
    }

    /// What the session with `peer` runs over.
    fn path_kind(&self, peer: &PeerId) -> Option<PathKind> {
        Some(self.session_with(peer)?.kind())
    }

    pub(super) fn petname(&self, peer: &PeerId) -> SafeText {
        match self.book.get(peer) {
            Some(contact) => contact.petname.clone(),
            None => SafeText::name(&peer.short()),
        }
    }

    pub(super) fn tell_words(&mut self, call: CallId, words: [String; 4]) {
        self.out
            .push_back(Output::Event(Event::Sas { call, words }));
    }

    /// Says what state a call is in now; with a `why`, that it has ended.
    pub(super) fn tell(&mut self, id: CallId, why: Option<Why>) {
        let Some(peer) = self.calls.get(&id).map(|call| call.peer) else {
            return;
        };
        let (path, petname) = (self.path_kind(&peer), self.petname(&peer));
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        call.path = path.unwrap_or(call.path);
        let call = &*call;
        let is_active = call.stage == Stage::Active;
        let event = Event::Call {
            call: id,
            peer: petname,
            id: call.peer,
            direction: call.direction,
            state: why.map_or(call.state(), |_| CallState::Ended),
            path: is_active.then_some(call.path),
            why,
            muted: self.muted,
            held_here: call.held_here,
            held_there: call.held_there,
        };
        self.out.push_back(Output::Event(event));
    }
}
