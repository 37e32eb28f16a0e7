//! Calls: dialling, ringing, answering, holding, ending; who has the microphone.
//!
//! At most two calls live at a time: one that is talked in and one that waits or is held.

use super::call::{Call, RING, Stage};
use super::message::{Bye, Message};
use super::session::Loss;
use super::types::{Frame, Media, Now, Output};
use super::{Phone, book, orders};
use crate::api::{
    CallId, CallState, CallView, Direction, Event, PathKind, Refusal, Switch, Trouble, Why,
};
use crate::peer::{PeerId, SafeText};

impl Phone {
    pub(super) fn dial(&mut self, who: &str, muted: bool, now: Now) -> Result<CallId, Refusal> {
        let contact = self.book.find(who)?;
        let (peer, name) = (contact.id, contact.petname.clone());
        if contact.blocked {
            let why = format!("{name} is blocked; unblock first");
            return Err(orders::refusal(Trouble::Usage, &why));
        }
        if contact.pending.is_some() {
            let why = format!("{name} has not confirmed your invite yet; it will finish by itself");
            return Err(orders::refusal(Trouble::Unreachable, &why));
        }
        if let Some(ringing) = self
            .call_with(&peer)
            .filter(|call| call.stage == Stage::Ringing)
        {
            // Both people want this call: dialling somebody who rings here is answering.
            return self.answer(Some(ringing.id), muted, now);
        }
        if self.call_with(&peer).is_some() || self.calls.len() >= MAX_CALLS {
            let why = "there is no free line: hang up a call first";
            return Err(orders::refusal(Trouble::NotNow, why));
        }
        self.hold_others(None, now);
        let (wire_id, nonce) = (self.random(), self.random());
        let id = self.new_call_id();
        let mut call = Call::dialled(id, peer, wire_id, nonce, now.unix);
        call.ring_until = Some(now.mono + super::session::LOST + RING);
        self.calls.insert(id, call);
        if muted {
            self.mute(true, now);
        }
        self.tell(id, None);
        if self.has_open_session(&peer) {
            self.invite_over_session(peer, now);
        } else if !self.reach(peer, now) {
            self.finish(id, Why::Unreachable, None, now);
        }
        self.update_wanted(peer, now);
        Ok(id)
    }

    pub(super) fn answer(
        &mut self,
        call: Option<CallId>,
        muted: bool,
        now: Now,
    ) -> Result<CallId, Refusal> {
        let id = self.ringing(call)?;
        self.hold_others(Some(id), now);
        if muted {
            self.mute(true, now);
        }
        let Some(call) = self.calls.get_mut(&id) else {
            return Err(no_call());
        };
        call.answer_here(now.unix);
        let answer = Message::Answer {
            id: call.wire_id,
            nonce: call.nonce(),
        };
        let peer = call.peer;
        self.begin_talking(id, peer, &answer, now);
        Ok(id)
    }

    pub(super) fn decline(&mut self, call: Option<CallId>, now: Now) -> Result<(), Refusal> {
        let id = self.ringing(call)?;
        self.finish(id, Why::DeclinedHere, Some(Bye::Declined), now);
        Ok(())
    }

    pub(super) fn hang_up(&mut self, call: Option<CallId>, now: Now) -> Result<(), Refusal> {
        let id = match call {
            Some(id) => id,
            None => self.foremost().ok_or_else(no_call)?,
        };
        let call = self.calls.get(&id).ok_or_else(no_call)?;
        let (why, bye) = call.hang_up();
        self.finish(id, why, Some(bye), now);
        Ok(())
    }

    pub(super) fn hold(
        &mut self,
        call: Option<CallId>,
        to: Switch,
        now: Now,
    ) -> Result<(), Refusal> {
        let id = match call {
            Some(id) => id,
            None => self.foremost().ok_or_else(no_call)?,
        };
        let call = self.calls.get(&id).ok_or_else(no_call)?;
        if call.stage != Stage::Active {
            let why = "only a call that was answered can be held";
            return Err(orders::refusal(Trouble::NotNow, why));
        }
        let on = to.apply(call.held_here);
        if !on {
            self.hold_others(Some(id), now);
        }
        self.set_held(id, on, now);
        Ok(())
    }

    pub(super) fn mute(&mut self, on: bool, _now: Now) {
        if self.muted == on {
            return;
        }
        self.muted = on;
        self.media(Media::Mute(on));
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            self.tell(id, None);
        }
    }

    /// A frame of our microphone. It goes only where the microphone is open for.
    pub(super) fn speak(&mut self, call: CallId, frame: Frame, now: Now) {
        if self.served != Some(call) {
            return;
        }
        let Some(peer) = self.calls.get(&call).map(|call| call.peer) else {
            return;
        };
        self.with_session(&peer, now, |session, io| session.voice(frame, io.now));
    }

    /// A frame of the far microphone. It is heard only in the call that is talked in.
    pub(super) fn hear_voice(&mut self, peer: PeerId, frame: Frame) {
        let call = self.call_with(&peer).map(|call| call.id);
        if let Some(call) = call.filter(|call| self.served == Some(*call)) {
            self.out.push_back(Output::Voice(call, frame));
        }
    }

    pub(super) fn take_message(&mut self, peer: PeerId, message: Message, now: Now) {
        let is_friend = self.book.is_friend(&peer);
        match message {
            Message::ContactRequest(card) => self.take_contact_request(peer, card, now),
            Message::ContactOk(card) => self.take_contact_ok(peer, &card, now),
            _ if !is_friend => {}
            Message::Invite { id, commit } => self.take_invite(peer, id, commit, now),
            Message::Ringing { id } => self.take_ringing(peer, id, now),
            Message::Answer { id, nonce } => self.take_answer(peer, id, &nonce, now),
            Message::Confirm { nonce } => self.take_confirm(peer, &nonce, now),
            Message::Hold { on } => self.take_hold(peer, on, now),
            Message::Text { id, text } => self.take_text(peer, id, text, now),
            Message::TextOk { id } => self.take_text_ok(peer, id, now),
            Message::About { name, hints } => self.take_about(peer, name, &hints),
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
        let id = self.new_call_id();
        let nonce = self.random();
        let call = Call::incoming(id, peer, wire_id, commit, nonce, now.unix);
        let is_busy = self.calls.len() >= MAX_CALLS;
        self.calls.insert(id, call);
        if is_busy {
            return self.finish(id, Why::Missed, Some(Bye::Busy), now);
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.ring_until = Some(now.mono + RING);
        }
        self.tell(id, None);
        let ringing = Message::Ringing { id: wire_id };
        self.with_session(&peer, now, |session, io| session.send(&ringing, io));
        if self.me.auto_answer {
            // The owner's setting is his consent. Nothing can be refused: the call rings.
            let _ = self.answer(Some(id), false, now);
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

    /// Both sides have agreed: packets flow from now on, until the farewell.
    fn begin_talking(&mut self, id: CallId, peer: PeerId, message: &Message, now: Now) {
        self.with_session(&peer, now, |session, io| {
            session.send(message, io);
            session.start_media(io);
        });
        self.update_media(now);
        self.tell(id, None);
        self.tell_path(peer);
        let about = Message::About {
            name: self.me.name.clone(),
            hints: self.me.addresses.clone(),
        };
        self.with_session(&peer, now, |session, io| session.send(&about, io));
    }

    fn hold_others(&mut self, except: Option<CallId>, now: Now) {
        let others = self.calls.values().filter(|call| {
            call.stage == Stage::Active && !call.held_here && Some(call.id) != except
        });
        for id in others.map(|call| call.id).collect::<Vec<_>>() {
            self.set_held(id, true, now);
        }
    }

    fn set_held(&mut self, id: CallId, on: bool, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if call.held_here == on {
            return;
        }
        call.held_here = on;
        call.since = now.unix;
        let peer = call.peer;
        let hold = Message::Hold { on };
        self.with_session(&peer, now, |session, io| session.send(&hold, io));
        self.update_media(now);
        self.tell(id, None);
    }

    /// Gives the microphone to the call that may have it, or takes it away.
    fn update_media(&mut self, now: Now) {
        let (wanted, mic) = self
            .calls
            .values()
            .rev()
            .find_map(|call| call.mic().map(|mic| (call.id, mic)))
            .unzip();
        if wanted == self.served {
            return;
        }
        if let Some(old) = self.served.take() {
            self.media(Media::Close(old));
            if let Some(peer) = self.calls.get(&old).map(|call| call.peer) {
                self.with_session(&peer, now, |session, _| session.drop_voice());
            }
        }
        self.served = wanted;
        if let Some(mic) = mic {
            self.media(Media::Open(mic.call(), mic));
        }
    }

    /// Ends a call here, and there if `bye` says so.
    pub(super) fn finish(&mut self, id: CallId, why: Why, bye: Option<Bye>, now: Now) {
        self.tell(id, Some(why));
        let Some(call) = self.calls.remove(&id) else {
            return;
        };
        if let Some(bye) = bye {
            self.close_session(call.peer, bye, now);
        }
        self.update_media(now);
        self.drop_unwanted_attempt(call.peer);
        self.update_wanted(call.peer, now);
        if self.calls.is_empty() {
            self.mute(false, now);
        }
    }

    /// Says farewell and lets the session go. The next wish makes a new one, with new keys.
    pub(super) fn close_session(&mut self, peer: PeerId, bye: Bye, now: Now) {
        if self
            .with_session(&peer, now, |session, io| session.close(bye, io))
            .is_none()
        {
            return;
        }
        self.by_peer.remove(&peer);
        self.fail_texts(peer);
        self.joining_failed(peer, now);
        self.tell_presence(peer);
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

    /// Calls that have rung for too long.
    pub(super) fn end_rung_out(&mut self, now: Now) {
        let over = self
            .calls
            .values()
            .filter(|call| call.ring_until.is_some_and(|until| now.mono >= until));
        for (id, stage) in over.map(|call| (call.id, call.stage)).collect::<Vec<_>>() {
            let why = match stage {
                Stage::Ringing => Why::Missed,
                Stage::Connecting => Why::Unreachable,
                Stage::Waiting | Stage::Active => Why::NoAnswer,
            };
            self.finish(id, why, Some(Bye::NoAnswer), now);
        }
    }

    /// The call that rings here: the named one, or the only one.
    pub(super) fn ringing(&self, call: Option<CallId>) -> Result<CallId, Refusal> {
        let mut ringing = self.calls.values().filter(|c| c.stage == Stage::Ringing);
        let found = match call {
            Some(id) => ringing.find(|call| call.id == id),
            None => ringing.next(),
        };
        let why = "no call is ringing here";
        found
            .map(|call| call.id)
            .ok_or_else(|| orders::refusal(Trouble::NotNow, why))
    }

    pub(super) fn call_with(&self, peer: &PeerId) -> Option<&Call> {
        self.calls.values().find(|call| call.peer == *peer)
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
            path: self.session_with(&call.peer).map(|_| PathKind::Direct),
            words: call.words.clone(),
            verified: contact.is_some_and(|contact| contact.verified.is_some()),
        }
    }

    fn call_with_mut(&mut self, peer: &PeerId) -> Option<&mut Call> {
        self.calls.values_mut().find(|call| call.peer == *peer)
    }

    /// Our outgoing call that the peer means.
    fn call_named(&mut self, peer: &PeerId, wire_id: [u8; 16]) -> Option<&mut Call> {
        self.call_with_mut(peer)
            .filter(|call| call.direction == Direction::Out && call.wire_id == wire_id)
    }

    /// The call that a command without a number means.
    fn foremost(&self) -> Option<CallId> {
        let rank = |call: &&Call| match call.stage {
            Stage::Active if !call.held_here => 0,
            Stage::Connecting | Stage::Waiting => 1,
            Stage::Active => 2,
            Stage::Ringing => 3,
        };
        self.calls.values().min_by_key(rank).map(|call| call.id)
    }

    fn new_call_id(&mut self) -> CallId {
        let id = CallId(self.next_call);
        self.next_call += 1;
        id
    }

    fn petname(&self, peer: &PeerId) -> SafeText {
        match self.book.get(peer) {
            Some(contact) => contact.petname.clone(),
            None => SafeText::name(&peer.short()),
        }
    }

    fn tell_words(&mut self, call: CallId, words: [String; 4]) {
        self.out
            .push_back(Output::Event(Event::Sas { call, words }));
    }

    /// Says what state a call is in now; with a `why`, that it has ended.
    fn tell(&mut self, id: CallId, why: Option<Why>) {
        let Some(call) = self.calls.get(&id) else {
            return;
        };
        let is_active = call.stage == Stage::Active;
        let event = Event::Call {
            call: id,
            peer: self.petname(&call.peer),
            id: call.peer,
            direction: call.direction,
            state: why.map_or(call.state(), |_| CallState::Ended),
            path: is_active.then_some(PathKind::Direct),
            why,
            muted: self.muted,
            held_here: call.held_here,
            held_there: call.held_there,
        };
        self.out.push_back(Output::Event(event));
    }
}

fn no_call() -> Refusal {
    orders::refusal(Trouble::NotNow, "there is no such call")
}

/// One to talk in, one that waits or is held.
const MAX_CALLS: usize = 2;
