//! What the far phone says about calls: its messages, and the end of its session.

use super::call::{Call, RING, Stage};
use super::message::{Bye, Message};
use super::session::Loss;
use super::types::Now;
use super::{MAX_CALLS, Phone};
use crate::api::{CallId, Direction, Why};
use crate::peer::PeerId;

/// What happens when a contact calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answering {
    /// Somebody answers, or not.
    #[default]
    Manual,
    /// Each call is answered at once, with the microphone open.
    Auto,
    /// The same with an echo in the place of the microphone, and for one caller at a time.
    Echo,
}

impl Phone {
    pub(super) fn take_message(&mut self, peer: PeerId, message: Message, now: Now) {
        let is_friend = self.book.is_friend(&peer);
        // The peer knows this session, so none beside it is needed.
        self.attempts.remove(&peer);
        match message {
            Message::ContactRequest(card, work) => {
                self.take_contact_request(peer, card, work, now);
            }
            Message::ContactOk(card) => self.take_contact_ok(peer, &card, now),
            _ if !is_friend => {}
            Message::Invite { id, commit } => self.take_invite(peer, id, commit, now),
            Message::Ringing { id } => self.take_ringing(peer, id, now),
            Message::Answer { id, nonce } => self.take_answer(peer, id, &nonce, now),
            Message::Confirm { nonce } => self.take_confirm(peer, &nonce, now),
            Message::Hold { on } => self.take_hold(peer, on, now),
            Message::Text { id, text } => self.take_text(peer, id, text, now),
            Message::TextOk { id } => self.take_text_ok(peer, id, now),
            Message::About { name, hints } => self.take_about(peer, name, &hints, now),
            Message::Reach(reach) => self.take_reach(peer, reach, now),
            Message::ReachOk { version } => self.take_reach_ok(peer, version),
            Message::Candidates(theirs) => self.take_candidates(peer, *theirs, now),
            Message::Recording { on } => self.take_recording(peer, on),
            Message::Room(told) => self.take_told_room(peer, &told, now),
        }
        self.update_wanted(peer, now);
    }

    /// A session stands: the call that waited for it is announced there.
    pub(super) fn invite_over_session(&mut self, peer: PeerId, now: Now) {
        let Some(transcript) = self
            .session_with(&peer)
            .and_then(|s| s.transcript().cloned())
        else {
            return;
        };
        let Some(call) = self.call_with(&peer) else {
            return;
        };
        if call.stage != Stage::Connecting {
            return;
        }
        let invite = Message::Invite {
            id: call.wire_id,
            commit: transcript.commit(&call.nonce()),
        };
        self.with_session(&peer, now, |session, io| session.send(&invite, io));
    }

    fn take_invite(&mut self, peer: PeerId, wire_id: [u8; 16], commit: [u8; 32], now: Now) {
        if let Some(own) = self.call_with(&peer) {
            let is_glare = matches!(own.stage, Stage::Connecting | Stage::Waiting);
            if is_glare && wire_id < own.wire_id {
                let id = own.id;
                self.adopt(id, wire_id, commit, now);
            }
            return;
        }
        if !self.rings.allow(peer, now.mono) {
            return self.close_session(peer, Bye::Busy, now);
        }
        let id = self.new_call_id();
        let nonce = self.random();
        let call = Call::incoming(id, peer, wire_id, commit, nonce, now.unix);
        let is_busy = self.calls.len() >= self.lines();
        self.calls.insert(id, call);
        if is_busy {
            return self.finish(id, Why::Missed, Some(Bye::Busy), now);
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.ring_until = Some(now.mono + RING);
        }
        self.tell(id, None);
        self.look_into_mirrors(now);
        let ringing = Message::Ringing { id: wire_id };
        self.with_session(&peer, now, |session, io| session.send(&ringing, io));
        if self.me.answering != Answering::Manual {
            // The owner's setting is his consent. Nothing can be refused: the call rings.
            let _ = self.answer(Some(id), false, now);
        }
    }

    /// Calls that may be live at a time.
    fn lines(&self) -> usize {
        match self.me.answering {
            Answering::Echo => 1,
            Answering::Manual | Answering::Auto => MAX_CALLS,
        }
    }

    /// Both have dialled each other: one call, no ringing.
    fn adopt(&mut self, id: CallId, wire_id: [u8; 16], commit: [u8; 32], now: Now) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        call.adopt(wire_id, commit, now.unix);
        let answer = Message::Answer {
            id: wire_id,
            nonce: call.nonce(),
        };
        let peer = call.peer;
        self.hold_others(Some(id), now);
        self.begin_talking(id, peer, &answer, now);
    }

    fn take_ringing(&mut self, peer: PeerId, wire_id: [u8; 16], now: Now) {
        let Some(call) = self.call_named(&peer, wire_id) else {
            return;
        };
        if call.stage != Stage::Connecting {
            return;
        }
        call.stage = Stage::Waiting;
        call.since = now.unix;
        call.ring_until = Some(now.mono + RING);
        let id = call.id;
        self.tell(id, None);
    }

    fn take_answer(&mut self, peer: PeerId, wire_id: [u8; 16], nonce: &[u8; 32], now: Now) {
        let Some(transcript) = self
            .session_with(&peer)
            .and_then(|s| s.transcript().cloned())
        else {
            return;
        };
        let Some(call) = self.call_named(&peer, wire_id) else {
            return;
        };
        if !call.answer_there(now.unix) {
            return;
        }
        let (id, confirm) = (
            call.id,
            Message::Confirm {
                nonce: call.nonce(),
            },
        );
        let words = call.words_as_caller(&transcript, nonce);
        self.hold_others(Some(id), now);
        self.begin_talking(id, peer, &confirm, now);
        self.tell_words(id, words);
    }

    fn take_confirm(&mut self, peer: PeerId, nonce: &[u8; 32], now: Now) {
        let Some(transcript) = self
            .session_with(&peer)
            .and_then(|s| s.transcript().cloned())
        else {
            return;
        };
        let Some(call) = self.call_with_mut(&peer) else {
            return;
        };
        let id = call.id;
        match call.words_as_callee(&transcript, nonce) {
            Some(Ok(words)) => self.tell_words(id, words),
            Some(Err(_)) => self.finish(id, Why::WordsDiffer, Some(Bye::WordsDiffer), now),
            None => {}
        }
    }

    fn take_hold(&mut self, peer: PeerId, on: bool, now: Now) {
        let Some(call) = self.call_with_mut(&peer) else {
            return;
        };
        if call.stage != Stage::Active || call.held_there == on {
            return;
        }
        call.held_there = on;
        call.since = now.unix;
        let id = call.id;
        self.update_media(now);
        self.tell(id, None);
    }

    pub(super) fn end_call_with_session(
        &mut self,
        peer: PeerId,
        reason: Option<Bye>,
        loss: Option<Loss>,
        now: Now,
    ) {
        let Some(call) = self.call_with(&peer) else {
            return;
        };
        let is_unheard = match reason {
            // The session was closed there, for want of use or with a call of theirs, before our
            // INVITE came: the next session brings it.
            Some(Bye::Done | Bye::Cancelled) => true,
            // Another is being made already.
            None => loss == Some(Loss::Silence) && self.attempts.contains_key(&peer),
            Some(_) => false,
        };
        if is_unheard && call.stage == Stage::Connecting && self.reach(peer, now) {
            return;
        }
        let Some(call) = self.call_with(&peer) else {
            return;
        };
        let why = match (reason, loss, call.stage) {
            (Some(bye), _, _) => call.why(bye),
            (None, Some(Loss::WrongIdentity), _) => Why::IdentityMismatch,
            (None, Some(Loss::KeysTooOld), _) => Why::KeysTooOld,
            (None, _, Stage::Active) => Why::Lost,
            (None, _, Stage::Ringing) => Why::PeerCancelled,
            (None, _, Stage::Connecting | Stage::Waiting) => Why::Unreachable,
        };
        let id = call.id;
        self.finish(id, why, None, now);
    }

    /// The peer has begun anew, so what was there before is over. A call of ours that still waits
    /// for a session goes on in the new one.
    pub(super) fn end_replaced_call(&mut self, peer: PeerId, now: Now) {
        let waits = self
            .call_with(&peer)
            .is_some_and(|call| call.stage == Stage::Connecting);
        if !waits {
            self.end_call_with_session(peer, None, Some(Loss::Silence), now);
        }
    }

    /// Our outgoing call that the peer means.
    fn call_named(&mut self, peer: &PeerId, wire_id: [u8; 16]) -> Option<&mut Call> {
        self.call_with_mut(peer)
            .filter(|call| call.direction == Direction::Out && call.wire_id == wire_id)
    }
}
