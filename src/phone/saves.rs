//! Changes on their way to the disk, and what waits for them.

use super::Phone;
use super::types::{Change, Now, Output, SaveId};
use crate::api::{Done, Refusal, RequestId};
use crate::peer::PeerId;

/// What waits for a change to be on the disk.
#[derive(Debug)]
pub(super) enum AfterSave {
    Nothing,
    Reply(RequestId, Done),
    /// The new contact is safe here: now the other side may count on it.
    Welcome(PeerId),
}

impl Phone {
    /// Asks for a change to be kept; `after` happens when it is.
    pub(super) fn save(&mut self, change: Change, after: AfterSave) {
        let id = SaveId(self.next_save);
        self.next_save += 1;
        self.saves.insert(id, after);
        self.circle_is_stale = true;
        self.out.push_back(Output::Save(id, change));
    }

    pub(super) fn saved(&mut self, id: SaveId, written: bool, now: Now) {
        match self.saves.remove(&id) {
            None | Some(AfterSave::Nothing) => {}
            Some(AfterSave::Reply(request, done)) => {
                let result = if written {
                    Ok(done)
                } else {
                    Err(not_written())
                };
                self.reply(request, result);
            }
            Some(AfterSave::Welcome(peer)) if written => self.welcome(peer, now),
            Some(AfterSave::Welcome(_)) => {}
        }
    }
}

fn not_written() -> Refusal {
    Refusal {
        trouble: crate::api::Trouble::Other,
        why: "it could not be written to the disk; the log says why".into(),
    }
}
