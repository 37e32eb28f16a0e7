//! Recording a call: who does it, and that the other side is told before anything is kept.

use super::message::Message;
use super::talk::no_call;
use super::types::{Media, Now, Output};
use super::{Phone, call::Stage, orders};
use crate::api::{CallId, Event, Refusal, Switch, Trouble};
use crate::peer::PeerId;

impl Phone {
    /// Keeps a call (the one that is talked in, without a number) in a file, or no longer.
    pub(super) fn record(
        &mut self,
        call: Option<CallId>,
        to: Switch,
        now: Now,
    ) -> Result<(), Refusal> {
        let recorded = self.calls.values().find(|call| call.recording_here);
        let recorded = recorded.map(|call| call.id);
        let id = match (call, to, recorded) {
            (Some(id), ..) => id,
            (None, Switch::Off, Some(id)) => id,
            (None, ..) => self.foremost().ok_or_else(no_call)?,
        };
        let call = self.calls.get(&id).ok_or_else(no_call)?;
        if call.stage != Stage::Active {
            let why = "only a call that was answered can be recorded";
            return Err(orders::refusal(Trouble::NotNow, why));
        }
        let on = to.apply(call.recording_here);
        if on && recorded.is_some_and(|other| other != id) {
            let why = "another call is being recorded: end that recording first";
            return Err(orders::refusal(Trouble::NotNow, why));
        }
        self.set_recording(id, on, now);
        Ok(())
    }

    /// The sound side could not go on.
    pub(super) fn recording_ended(&mut self, call: CallId, now: Now) {
        self.set_recording(call, false, now);
    }

    /// The far side records, or no longer. Not before the answer: nothing is heard until then.
    pub(super) fn take_recording(&mut self, peer: PeerId, on: bool) {
        let Some(call) = self.call_with_mut(&peer) else {
            return;
        };
        if call.stage != Stage::Active || call.recording_there == on {
            return;
        }
        call.recording_there = on;
        let id = call.id;
        self.tell_recording(id);
    }

    fn set_recording(&mut self, id: CallId, on: bool, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if call.recording_here == on {
            return;
        }
        call.recording_here = on;
        let peer = call.peer;
        let told = Message::Recording { on };
        self.with_session(&peer, now, |session, io| session.send(&told, io));
        self.media(Media::Record(id, on));
        self.tell_recording(id);
    }

    fn tell_recording(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else {
            return;
        };
        let event = Event::Recording {
            call: id,
            peer: self.petname(&call.peer),
            id: call.peer,
            here: call.recording_here,
            there: call.recording_there,
            file: None,
        };
        self.out.push_back(Output::Event(event));
    }
}
