//! Who may find this phone in the directory: the location secret, and telling it to the contacts.
//!
//! One secret serves all contacts; whoever is removed or blocked makes it void, and the others are
//! told the next one, in a session or (by the directory's care) in their slot.

use std::time::Duration;

use super::message::Message;
use super::types::{Change, Now, Output};
use super::{AfterSave, Phone};
use crate::peer::{Circle, Invite, Member, PeerId, Reach, Secret32};

impl Phone {
    /// What the directory has to know of the contacts and invites of this phone.
    pub fn circle(&self) -> Circle {
        let friends = self.book.contacts().filter(|c| self.book.is_friend(&c.id));
        let members = friends.map(|contact| Member {
            id: contact.id,
            reach: contact.reach.clone(),
            pairwise: contact.dial.clone(),
            told: contact.told,
        });
        let invites = self.book.invites().filter(|i| self.is_open(i));
        let joining = self.book.contacts().filter_map(|contact| {
            let invite = contact.pending.as_ref()?;
            let goes_on = self.friends.is_joining(&contact.id) && !contact.blocked;
            goes_on.then_some((contact.id, invite.token))
        });
        Circle {
            mine: self.reach.clone(),
            members: members.collect(),
            invites: invites.map(|i| (i.token, i.expires)).collect(),
            opened: joining.collect(),
        }
    }

    /// Whether somebody may still come by the invite; also who has used it, but may not have heard
    /// that he is in our list, and has no other way to find us.
    fn is_open(&self, invite: &Invite) -> bool {
        let is_unsure = |id: &PeerId| self.book.get(id).is_some_and(|c| c.told == 0);
        invite.public || invite.uses > 0 || invite.claimed_by.iter().any(is_unsure)
    }

    /// Says so if [`Phone::circle`] has changed.
    pub(super) fn tell_circle(&mut self) {
        if !std::mem::take(&mut self.circle_is_stale) {
            return;
        }
        let circle = self.circle();
        if circle != self.circle {
            self.circle = circle;
            self.out.push_back(Output::Circle);
        }
    }

    /// A new secret takes the place of the old one, which somebody holds who should not.
    pub(super) fn rotate(&mut self, now: Now) {
        self.renew_reach();
        let peers: Vec<PeerId> = self.by_peer.keys().copied().collect();
        for peer in peers {
            self.tell_reach(peer, now);
        }
    }

    pub(super) fn renew_reach(&mut self) {
        self.reach = Reach {
            version: self.reach.version.saturating_add(1),
            secret: Secret32::new(self.random()),
        };
        self.save(Change::Reach(self.reach.clone()), AfterSave::Nothing);
    }

    /// Tells a contact our secret, unless he has confirmed it.
    pub(super) fn tell_reach(&mut self, peer: PeerId, now: Now) {
        let is_due = self.book.is_friend(&peer)
            && self.has_open_session(&peer)
            && self
                .book
                .get(&peer)
                .is_some_and(|contact| contact.told < self.reach.version);
        if is_due {
            let message = Message::Reach(self.reach.clone());
            self.with_session(&peer, now, |session, io| session.send(&message, io));
        }
    }

    /// A contact tells his secret: in a session he says what counts, even if it is an older one
    /// that he has from a copy of his files.
    pub(super) fn take_reach(&mut self, peer: PeerId, reach: Reach, now: Now) {
        let version = reach.version;
        let is_known = self.book.get(&peer).is_some_and(|c| c.reach == reach);
        if version == 0 || !is_known && !self.reaches.allow(peer, now.mono) {
            return;
        }
        if !is_known {
            self.put_reach(peer, reach);
        }
        let ok = Message::ReachOk { version };
        self.with_session(&peer, now, |session, io| session.send(&ok, io));
    }

    pub(super) fn take_reach_ok(&mut self, peer: PeerId, version: u32) {
        let mine = self.reach.version;
        let Some(contact) = self.book.get_mut(&peer) else {
            return;
        };
        if version != mine || contact.told == mine {
            return;
        }
        contact.told = mine;
        let contact = Box::new(contact.clone());
        self.save(Change::Contact(contact), AfterSave::Nothing);
    }

    /// The directory has found a contact's newer secret in the slot for us.
    pub(super) fn learn_reach(&mut self, peer: PeerId, reach: Reach) {
        let known = self.book.get(&peer).map(|contact| contact.reach.version);
        let is_newer = known.is_some_and(|version| reach.version > version);
        if is_newer && self.book.is_friend(&peer) {
            self.put_reach(peer, reach);
        }
    }

    fn put_reach(&mut self, peer: PeerId, reach: Reach) {
        let Some(contact) = self.book.get_mut(&peer) else {
            return;
        };
        contact.reach = reach;
        let contact = Box::new(contact.clone());
        self.save(Change::Contact(contact), AfterSave::Nothing);
    }
}

/// How often a contact may change his secret in [`CHANGES_IN`]; each change is written to the disk.
pub const MAX_CHANGES: usize = 8;
pub const CHANGES_IN: Duration = Duration::from_secs(3600);
