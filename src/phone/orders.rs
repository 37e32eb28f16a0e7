//! What the owner of the phone orders.

use super::Phone;
use super::types::Now;
use crate::api::{Command, Done, Refusal, RequestId, Trouble};

impl Phone {
    pub(super) fn order(&mut self, id: RequestId, command: Command, now: Now) {
        match command {
            Command::Dial { peer, muted } => {
                let result = self.dial(&peer, muted, now);
                self.reply(id, result.map(Done::Call));
            }
            Command::Answer { call, muted } => {
                let result = self.answer(call, muted, now);
                self.reply(id, result.map(Done::Call));
            }
            Command::Decline { call } => {
                let result = self.decline(call, now);
                self.reply(id, result.map(|()| Done::Nothing));
            }
            Command::Ignore { call } => {
                let result = self.ringing(call).map(|_| Done::Nothing);
                self.reply(id, result);
            }
            Command::Hangup { call } => {
                let result = self.hang_up(call, now);
                self.reply(id, result.map(|()| Done::Nothing));
            }
            Command::Hold { call, to } => {
                let result = self.hold(call, to, now);
                self.reply(id, result.map(|()| Done::Nothing));
            }
            Command::Mute { to } => {
                self.mute(to.apply(self.muted), now);
                self.reply(id, Ok(Done::Nothing));
            }
            Command::Record { call, to } => {
                let result = self.record(call, to, now);
                self.reply(id, result.map(|()| Done::Nothing));
            }
            Command::Verify { peer, matches } => self.verify(id, &peer, matches, now),
            Command::Text { peer, text } => self.send_text(id, &peer, &text, now),
            Command::Invite {
                lifetime,
                uses,
                public,
            } => self.make_invite(id, lifetime, uses, public, now),
            Command::Accept { peer } => self.accept(id, &peer),
            Command::Dismiss { peer } => self.dismiss(id, &peer, now),
            Command::AddContact { line, name } => self.add_contact(id, &line, name, now),
            Command::Rename { peer, name } => self.rename(id, &peer, &name),
            Command::Remove { peer } => self.remove(id, &peer, now),
            Command::Block { peer, to } => self.block(id, &peer, to, now),
            Command::RelayOnly { peer, to } => self.keep_to_relays(id, &peer, to, now),
            Command::Status
            | Command::Listen { .. }
            | Command::Volume { .. }
            | Command::Gain { .. }
            | Command::EchoCancelling { .. }
            | Command::Announce { .. }
            | Command::Devices
            | Command::Sound { .. }
            | Command::ClearHistory
            | Command::Quit => {
                let why = "this command is not for the protocol core";
                self.reply(id, Err(refusal(Trouble::Other, why)));
            }
        }
    }
}

pub(super) fn refusal(trouble: Trouble, why: &str) -> Refusal {
    Refusal {
        trouble,
        why: why.to_owned(),
    }
}
