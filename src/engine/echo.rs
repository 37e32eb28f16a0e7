//! `answer = "echo"`: incoming calls are answered with what the caller says, two seconds later.
//! The microphone of this computer stays closed.

use std::time::Duration;

use super::run::Run;
use crate::api::{CallId, Command, Direction};
use crate::audio::Parrot;
use crate::phone::types::{Frame, Input};

/// The echo, and the call that it is for.
#[derive(Debug)]
pub(super) struct Echo {
    is_on: bool,
    call: Option<Call>,
}

#[derive(Debug)]
struct Call {
    id: CallId,
    until: Duration,
    /// None while the call is on hold.
    parrot: Option<Parrot>,
}

impl Echo {
    pub(super) fn new(is_on: bool) -> Echo {
        Echo { is_on, call: None }
    }

    /// When there is a frame to send, or the call has lasted long enough.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let call = self.call.as_ref()?;
        let next = call.parrot.as_ref().map(Parrot::deadline);
        Some(next.map_or(call.until, |next| next.min(call.until)))
    }

    fn parrot(&mut self, id: CallId) -> Option<&mut Parrot> {
        let call = self.call.as_mut().filter(|call| call.id == id)?;
        call.parrot.as_mut()
    }
}

impl Run {
    /// Takes a call that should be heard now; false if it is not one for an echo.
    pub(super) fn begin_echo(&mut self, id: CallId) -> bool {
        let is_incoming = || {
            let mut calls = self.parts.phone.status().calls.into_iter();
            calls.any(|call| call.call == id && call.direction == Direction::In)
        };
        if !self.parts.echo.is_on || !is_incoming() {
            return false;
        }
        let now = self.parts.clock.now().mono;
        let parrot = Parrot::new(now).inspect_err(|error| tracing::error!("no echo: {error}"));
        let before = self.parts.echo.call.take().filter(|call| call.id == id);
        self.parts.echo.call = Some(Call {
            id,
            until: before.map_or(now + LONGEST, |call| call.until),
            parrot: parrot.ok(),
        });
        true
    }

    /// The call is on hold, or over.
    pub(super) fn end_echo(&mut self, id: CallId) {
        if let Some(call) = self.parts.echo.call.as_mut().filter(|call| call.id == id) {
            call.parrot = None;
        }
        let calls = self.parts.phone.status().calls;
        if !calls.iter().any(|call| call.call == id) {
            self.parts.echo.call.take_if(|call| call.id == id);
        }
    }

    /// Takes a frame of the caller; false if there is no echo in this call.
    pub(super) fn echo(&mut self, id: CallId, frame: &Frame) -> bool {
        let now = self.parts.clock.now().mono;
        let parrot = self.parts.echo.parrot(id);
        parrot.map(|parrot| parrot.hear(frame, now)).is_some()
    }

    /// Sends back what is due.
    pub(super) fn echo_on_time(&mut self) {
        let now = self.parts.clock.now().mono;
        let Some(call) = &mut self.parts.echo.call else {
            return;
        };
        let id = call.id;
        if now >= call.until {
            self.parts.echo.call = None;
            self.last_asked += 1;
            let command = Command::Hangup { call: Some(id) };
            return self.tell_phone(Input::Request(self.last_asked, command));
        }
        while let Some(turn) = self.parts.echo.parrot(id).and_then(|p| p.turn(now)) {
            if let Some(frame) = turn {
                self.tell_phone(Input::Voice(id, frame));
            }
        }
        if let Some(report) = self.parts.echo.parrot(id).and_then(|p| p.report(now)) {
            self.tell_phone(Input::Report(id, report));
        }
    }
}

/// A line that is tried longer than this was forgotten.
const LONGEST: Duration = Duration::from_secs(300);
