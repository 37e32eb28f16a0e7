//! What comes from the directory: ways to peers, and what it knows of them.
//!
//! The core never asks the directory itself. It says [`Output::Seek`] and takes what comes, at any
//! time and in any order.

use std::collections::BTreeMap;

use super::session::Session;
use super::types::{Change, Now, Output, Path};
use super::{AfterSave, Phone};
use crate::api::Presence;
use crate::peer::PeerId;

pub struct Sky {
    /// The directory can be asked.
    pub is_online: bool,
    /// Others can find this phone there.
    pub is_findable: bool,
    /// What it says of contacts, as far as it says anything.
    announced: BTreeMap<PeerId, Presence>,
}

impl Sky {
    pub fn new() -> Sky {
        Sky {
            is_online: true,
            is_findable: false,
            announced: BTreeMap::new(),
        }
    }

    /// What the directory says of a contact.
    pub fn presence(&self, peer: &PeerId) -> Presence {
        self.announced
            .get(peer)
            .copied()
            .unwrap_or(Presence::Unknown)
    }

    pub fn forget(&mut self, peer: &PeerId) {
        self.announced.remove(peer);
    }
}

impl Phone {
    pub(super) fn take_way(&mut self, peer: PeerId, path: Path, now: Now) {
        if path.udp().is_some() && self.is_relayed(&peer) {
            return;
        }
        let has_session = self.session_with(&peer).is_some_and(Session::is_alive);
        if has_session {
            self.with_session(&peer, now, |session, io| session.offer(path, io));
        } else if !self.attempts.contains_key(&peer) && self.friends.is_joining(&peer) {
            self.try_joining(peer, now);
        }
        let Some(attempt) = self.attempts.get_mut(&peer) else {
            return;
        };
        if let Some(hello) = attempt.add(path, now.mono) {
            self.out.push_back(Output::Transmit(path, hello));
        }
        self.found_way(peer);
    }

    pub(super) fn take_no_way(&mut self, peer: PeerId, now: Now) {
        let Some(attempt) = self.attempts.get_mut(&peer) else {
            return;
        };
        attempt.is_seeking = false;
        if !attempt.has_ways() {
            self.give_up(peer, now);
        }
    }

    pub(super) fn lose_path(&mut self, path: Path, now: Now) {
        self.each_session(now, |session, io| session.lose_path(path, io));
        let mut missed = Vec::new();
        let mut lost = Vec::new();
        for (&peer, attempt) in &mut self.attempts {
            if attempt.remove(path) {
                missed.push(peer);
            } else if !attempt.has_ways() && !attempt.is_seeking {
                lost.push(peer);
            }
        }
        self.out.extend(missed.into_iter().map(Output::Seek));
        for peer in lost {
            self.give_up(peer, now);
        }
    }

    pub(super) fn take_announcement(
        &mut self,
        peer: PeerId,
        presence: Presence,
        seen: Option<u64>,
        now: Now,
    ) {
        let Some(contact) = self.book.get_mut(&peer).filter(|c| !c.blocked) else {
            return;
        };
        let is_later = seen > contact.last_seen;
        if is_later {
            contact.last_seen = seen;
        }
        let contact = contact.clone();
        // Connected is what a session says, never the directory.
        let presence = match presence {
            Presence::Connected => Presence::Reachable,
            other => other,
        };
        let before = self.sky.announced.insert(peer, presence);
        if before == Some(presence) {
            return;
        }
        if is_later {
            self.save(Change::Contact(Box::new(contact)), AfterSave::Nothing);
            self.tell_contact(peer);
        }
        if !self.has_open_session(&peer) {
            self.tell_presence(peer);
        }
        let is_there = !matches!(presence, Presence::Offline | Presence::Unknown);
        if is_there && !self.attempts.contains_key(&peer) && self.friends.is_waiting(&peer) {
            self.try_joining(peer, now);
        }
    }

    /// The directory proves another key of the peer's device: from now on that one is dialled.
    pub(super) fn take_location(&mut self, peer: PeerId, device: [u8; 32], now: Now) {
        let Some(contact) = self.book.get_mut(&peer) else {
            return;
        };
        if contact.device == device {
            return;
        }
        contact.device = device;
        let contact = Box::new(contact.clone());
        self.save(Change::Contact(contact), AfterSave::Nothing);
        let attempt = self.attempts.get_mut(&peer);
        if attempt.is_some_and(|attempt| attempt.change_device(device)) {
            self.repeat_attempt(peer, now);
        }
    }

    /// While the directory cannot be asked, nothing is known of anybody.
    pub(super) fn take_online(&mut self, is_online: bool) {
        self.sky.is_online = is_online;
        if is_online {
            return;
        }
        let known = std::mem::take(&mut self.sky.announced);
        for peer in known.into_keys() {
            if !self.has_open_session(&peer) {
                self.tell_presence(peer);
            }
        }
    }

    pub(super) fn found_way(&mut self, peer: PeerId) {
        let Some(call) = self.call_with_mut(&peer).filter(|call| call.is_looking) else {
            return;
        };
        call.is_looking = false;
        let id = call.id;
        self.tell(id, None);
    }
}
