//! Reaching a peer: a session if there is none, and what follows when one stands or ends.

use super::call::Stage;
use super::dial::Attempt;
use super::message::Bye;
use super::session::Loss;
use super::types::{Change, Now, Output};
use super::{AfterSave, Phone, book};
use crate::api::Why;
use crate::peer::PeerId;

impl Phone {
    /// Makes sure that a session stands or is being made: HELLO to the addresses that are known,
    /// and at the same time other ways are sought. False if there is no such contact.
    pub(super) fn reach(&mut self, peer: PeerId, now: Now) -> bool {
        let has_session = self
            .session_with(&peer)
            .is_some_and(|session| session.is_alive());
        if has_session || self.attempts.contains_key(&peer) {
            return true;
        }
        self.begin_attempt(peer, now)
    }

    /// What waits for the peer is not heard over the session with him. He may know nothing of it
    /// any more, so a new one is sought as well; if he is heard over this one first, it goes on.
    pub(super) fn knock_beside(&mut self, peer: PeerId, now: Now) {
        let call = self.call_with(&peer);
        let is_settled = call.is_some_and(|call| call.stage != Stage::Connecting);
        if self.is_wanted(&peer) && !is_settled && !self.attempts.contains_key(&peer) {
            self.begin_attempt(peer, now);
        }
    }

    fn begin_attempt(&mut self, peer: PeerId, now: Now) -> bool {
        let Some(target) = self.book.target(&peer) else {
            return false;
        };
        let sidx = self.free_index();
        let secret = self.me.device.x_secret().clone();
        let Ok(attempt) = Attempt::new(target, sidx, &secret, now, &mut self.rng) else {
            return false;
        };
        self.transmit_hello(&attempt);
        self.attempts.insert(peer, attempt);
        self.out.push_back(Output::Seek(peer));
        true
    }

    /// Everything that waited for a session with `peer` begins.
    pub(super) fn session_up(&mut self, peer: PeerId, now: Now) {
        self.attempts.remove(&peer);
        self.found_way(peer);
        self.tell_presence(peer);
        self.remember_address(peer, now);
        self.join_over_session(peer, now);
        self.invite_over_session(peer, now);
        self.offer_legs(peer, now);
        self.tell_addresses(peer, now);
        self.tell_reach(peer, now);
        self.send_texts(peer, now);
        self.update_wanted(peer, now);
    }

    /// No packet goes over this session any more.
    pub(super) fn session_ended(
        &mut self,
        peer: PeerId,
        reason: Option<Bye>,
        loss: Option<Loss>,
        now: Now,
    ) {
        self.by_peer.remove(&peer);
        self.end_call_with_session(peer, reason, loss, now);
        let is_unheard = reason == Some(Bye::Done) || self.attempts.contains_key(&peer);
        if !is_unheard || !self.send_texts_again(peer, now) {
            self.fail_texts(peer);
        }
        self.joining_failed(peer, now);
        self.tell_presence(peer);
    }

    pub(super) fn retry_attempts(&mut self, now: Now) {
        let over: Vec<PeerId> = self.attempts_where(|attempt| attempt.is_over(now.mono));
        for peer in over {
            self.give_up(peer, now);
        }
        for peer in self.attempts_where(|attempt| attempt.is_due(now.mono)) {
            self.repeat_attempt(peer, now);
        }
    }

    /// The peer is not to be reached, for now.
    pub(super) fn give_up(&mut self, peer: PeerId, now: Now) {
        let Some(attempt) = self.attempts.remove(&peer) else {
            return;
        };
        let why = if attempt.has_ways() || self.sky.is_online {
            Why::Unreachable
        } else {
            Why::Offline
        };
        self.not_reached(peer, why, now);
    }

    /// Whether a session with this peer is of use just now.
    pub(super) fn is_wanted(&self, peer: &PeerId) -> bool {
        self.call_with(peer).is_some()
            || self.texts.is_waiting(peer)
            || self.friends.is_joining(peer)
    }

    /// Nobody needs this attempt any more: no packet more for it.
    pub(super) fn drop_unwanted_attempt(&mut self, peer: PeerId) {
        if !self.is_wanted(&peer) {
            self.attempts.remove(&peer);
        }
    }

    /// The peer was heard: remember where, and when.
    pub(super) fn remember_address(&mut self, peer: PeerId, now: Now) {
        let Some(session) = self.session_with(&peer) else {
            return;
        };
        let device = session.peer_device();
        let heard_at = self.own_address(&peer);
        let Some(contact) = self.book.get_mut(&peer) else {
            return;
        };
        contact.hints = book::merge_hints(heard_at, &contact.hints);
        contact.last_seen = Some(now.unix);
        contact.device = device;
        let contact = Box::new(contact.clone());
        self.save(Change::Contact(contact), AfterSave::Nothing);
    }

    pub(super) fn repeat_attempt(&mut self, peer: PeerId, now: Now) {
        let sidx = self.free_index();
        let secret = self.me.device.x_secret().clone();
        let Some(mut attempt) = self.attempts.remove(&peer) else {
            return;
        };
        if attempt.again(sidx, &secret, now, &mut self.rng).is_ok() {
            self.transmit_hello(&attempt);
            self.attempts.insert(peer, attempt);
        } else {
            self.not_reached(peer, Why::Unreachable, now);
        }
    }

    fn not_reached(&mut self, peer: PeerId, why: Why, now: Now) {
        if let Some(call) = self.call_with(&peer).map(|call| call.id) {
            self.finish(call, why, None, now);
        }
        self.fail_texts(peer);
        self.joining_failed(peer, now);
    }

    fn transmit_hello(&mut self, attempt: &Attempt) {
        let datagrams = attempt.datagrams();
        self.out
            .extend(datagrams.map(|(path, hello)| Output::Transmit(path, hello)));
    }

    fn attempts_where(&self, is_wanted: impl Fn(&Attempt) -> bool) -> Vec<PeerId> {
        self.attempts
            .iter()
            .filter(|(_, attempt)| is_wanted(attempt))
            .map(|(&peer, _)| peer)
            .collect()
    }
}
