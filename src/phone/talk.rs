//! Calls: dialling, ringing, answering, holding, ending; who has the microphone.
//!
//! At most two calls live at a time: one that is talked in and one that waits or is held.

use super::call::{Call, RING, Stage};
use super::message::{Bye, Message};
use super::types::{Frame, Media, Now, Output, Report};
use super::{MAX_CALLS, Phone, orders};
use crate::api::{CallId, Refusal, Switch, Trouble, Why};
use crate::peer::PeerId;

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
        let attempt = self.attempts.get(&peer);
        let has_way = self.session_with(&peer).is_some()
            || self.book.has_hints(&peer)
            || attempt.is_some_and(|attempt| attempt.has_ways());
        call.is_looking = !has_way;
        self.calls.insert(id, call);
        if muted {
            self.mute(true, now);
        }
        self.tell(id, None);
        self.want_rooms(peer, now);
        self.look_into_mirrors(now);
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
        self.rings.forget(&peer);
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
        let Some(peer) = self.served_peer(call) else {
            return;
        };
        self.with_session(&peer, now, |session, io| session.voice(frame, io.now));
    }

    /// How the far microphone arrives here.
    pub(super) fn report(&mut self, call: CallId, report: Report, now: Now) {
        let Some(peer) = self.served_peer(call) else {
            return;
        };
        self.with_session(&peer, now, |session, io| session.report(report, io));
    }

    /// A frame of the far microphone. It is heard only in the call that is talked in.
    pub(super) fn hear_voice(&mut self, peer: PeerId, frame: Frame) {
        if let Some(call) = self.served_with(&peer) {
            self.out.push_back(Output::Voice(call, frame));
        }
    }

    /// How our microphone arrives at the far side. Only the call that is talked in has one.
    pub(super) fn hear_report(&mut self, peer: PeerId, report: Report) {
        if let Some(call) = self.served_with(&peer) {
            self.out.push_back(Output::Report(call, report));
        }
    }

    /// The peer of this call, if it has the microphone.
    fn served_peer(&self, call: CallId) -> Option<PeerId> {
        let served = self.served.filter(|served| *served == call)?;
        self.calls.get(&served).map(|call| call.peer)
    }

    /// The call with this peer, if it has the microphone.
    fn served_with(&self, peer: &PeerId) -> Option<CallId> {
        let call = self.call_with(peer)?.id;
        (self.served == Some(call)).then_some(call)
    }

    /// Both sides have agreed: packets flow from now on, until the farewell.
    pub(super) fn begin_talking(&mut self, id: CallId, peer: PeerId, message: &Message, now: Now) {
        self.with_session(&peer, now, |session, io| {
            session.send(message, io);
            session.start_media(io);
        });
        self.update_media(now);
        self.tell(id, None);
        self.tell_path(peer);
        let about = self.about(&peer);
        self.with_session(&peer, now, |session, io| session.send(&about, io));
        self.update_reserve(peer, now);
        self.try_hints(peer, now);
    }

    pub(super) fn hold_others(&mut self, except: Option<CallId>, now: Now) {
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
    pub(super) fn update_media(&mut self, now: Now) {
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
        if call.recording_here {
            self.media(Media::Record(id, false));
        }
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

    pub(super) fn call_with_mut(&mut self, peer: &PeerId) -> Option<&mut Call> {
        self.calls.values_mut().find(|call| call.peer == *peer)
    }

    /// The call that a command without a number means.
    pub(super) fn foremost(&self) -> Option<CallId> {
        let rank = |call: &&Call| match call.stage {
            Stage::Active if !call.held_here => 0,
            Stage::Connecting | Stage::Waiting => 1,
            Stage::Active => 2,
            Stage::Ringing => 3,
        };
        self.calls.values().min_by_key(rank).map(|call| call.id)
    }

    pub(super) fn new_call_id(&mut self) -> CallId {
        let id = CallId(self.next_call);
        self.next_call += 1;
        id
    }
}

pub(super) fn no_call() -> Refusal {
    orders::refusal(Trouble::NotNow, "there is no such call")
}
