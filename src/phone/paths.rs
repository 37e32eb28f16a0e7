//! What peers may know of where we are, and what is known of it: the phone's part of every search
//! for paths.
//!
//! A verified contact is told our addresses as soon as a session stands, others when somebody here
//! talks with them, and those that the owner keeps to relays never.

use super::Phone;
use super::candidates::{Candidate, Candidates, Kind, Place};
use super::checks::{self, Birthday};
use super::message::Message;
use super::session::Reserve;
use super::types::{Now, Output, SideId};
use crate::api::{NatKind, PathKind};
use crate::peer::PeerId;

/// Where this phone stands in the network, for its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    pub nat: NatKind,
    /// Addresses under which others have seen it, newest first.
    pub seen: Vec<std::net::SocketAddr>,
    /// Where a gateway forwards to it.
    pub mapped: Option<std::net::SocketAddr>,
}

impl Phone {
    /// What is known of this phone's place. Mirrors are asked when they become known and when a call
    /// begins.
    pub fn surroundings(&self, now: Now) -> Surroundings {
        let place = self.place(now);
        Surroundings {
            nat: place.nat.kind,
            seen: place.reflexive.to_vec(),
            mapped: place.mapped,
        }
    }

    /// What kind of NAT stands before this phone.
    pub fn nat(&self) -> NatKind {
        self.mirror.nat().kind
    }

    pub(super) fn place(&self, now: Now) -> Place {
        Place {
            hosts: self.me.addresses.clone(),
            mapped: self.mapped,
            reflexive: self.mirror.seen(now.mono),
            nat: self.mirror.nat(),
        }
    }

    /// A call begins: finds out how we are seen from outside.
    pub(super) fn look_into_mirrors(&mut self, now: Now) {
        let side = self.free_sides(1).start;
        self.mirror.ask(side, now.mono, &mut self.rng);
        self.step_mirror(now);
    }

    /// Sends the questions that are due, and tells what the answers have shown.
    pub(super) fn step_mirror(&mut self, now: Now) {
        while let Some((path, question)) = self.mirror.due(now.mono) {
            self.out.push_back(Output::Transmit(path, question));
        }
        if self.mirror.judge(&self.me.addresses, now.mono) {
            let side = self.mirror.done_side();
            self.out.extend(side.map(Output::CloseSide));
            self.look_around(now);
        }
    }

    /// What is known of our place has changed.
    pub(super) fn look_around(&mut self, now: Now) {
        let place = self.place(now);
        self.each_session(now, |session, io| session.look_around(&place, io));
    }

    /// The addresses of this computer have changed: everything is asked anew.
    pub(super) fn moved(&mut self, addresses: Vec<std::net::SocketAddr>, now: Now) {
        if self.me.addresses == addresses {
            return;
        }
        self.me.addresses = addresses;
        self.mirror.forget();
        let side = self.free_sides(1).start;
        self.mirror.ask_anew(side, now.mono, &mut self.rng);
        self.rooms.renew(None, now.mono);
        self.step_mirror(now);
        self.step_rooms(now);
        self.look_around(now);
        self.each_session(now, |session, io| session.ask_everywhere(io));
    }

    /// Where a gateway forwards to us has changed.
    pub(super) fn mapped(&mut self, address: Option<std::net::SocketAddr>, now: Now) {
        if std::mem::replace(&mut self.mapped, address) != address {
            self.look_around(now);
        }
    }

    pub(super) fn take_mirrors(&mut self, mirrors: &[std::net::SocketAddr], now: Now) {
        if self.mirror.set(mirrors) {
            let side = self.free_sides(1).start;
            self.mirror.ask_anew(side, now.mono, &mut self.rng);
            self.step_mirror(now);
        }
    }

    /// How much that peer may know has perhaps changed.
    pub(super) fn update_reserve(&mut self, peer: PeerId, now: Now) {
        let reserve = self.reserve(&peer);
        let is_new = |session: &super::Session| session.is_open() && session.reserve() != reserve;
        if self.session_with(&peer).is_some_and(is_new) {
            let place = self.place(now);
            self.with_session(&peer, now, |session, io| {
                session.set_reserve(reserve, &place, io);
            });
        }
    }

    /// A session stands: begins to look for better paths, as far as that peer may know.
    pub(super) fn tell_addresses(&mut self, peer: PeerId, now: Now) {
        let reserve = self.reserve(&peer);
        let place = self.place(now);
        let is_reflected = self
            .session_with(&peer)
            .is_some_and(|session| session.path().udp().is_none());
        if is_reflected && reserve == Reserve::Open {
            let about = self.about(&peer);
            self.with_session(&peer, now, |session, io| session.send(&about, io));
        }
        self.with_session(&peer, now, |session, io| {
            session.set_reserve(reserve, &place, io);
        });
        self.try_hints(peer, now);
    }

    /// Tries the addresses at which the peer was found before, as long as it tells no others.
    pub(super) fn try_hints(&mut self, peer: PeerId, now: Now) {
        if self.reserve(&peer) != Reserve::Open {
            return;
        }
        let Some(contact) = self.book.get(&peer) else {
            return;
        };
        let hints = contact.hints.iter().map(|&address| Candidate {
            kind: Kind::Host,
            address,
        });
        let hints = Candidates {
            list: hints.take(super::message::MAX_HINTS).collect(),
            ..Candidates::default()
        };
        if hints.list.is_empty() {
            return;
        }
        let place = self.place(now);
        self.with_session(&peer, now, |session, io| {
            session.take_hints(hints, &place, io);
        });
    }

    pub(super) fn take_candidates(&mut self, peer: PeerId, theirs: Candidates, now: Now) {
        let place = self.place(now);
        self.with_session(&peer, now, |session, io| {
            session.take_candidates(theirs, &place, io);
        });
    }

    /// What we are called and where we are found, for that peer.
    pub(super) fn about(&self, peer: &PeerId) -> Message {
        let hints = match self.reserve(peer) {
            Reserve::Open => self.me.addresses.clone(),
            Reserve::UntilAnswer | Reserve::Always => Vec::new(),
        };
        Message::About {
            name: self.me.name.clone(),
            hints,
        }
    }

    /// The owner wants that peer to meet us over relays only.
    pub(super) fn is_relayed(&self, peer: &PeerId) -> bool {
        self.book
            .get(peer)
            .is_some_and(|contact| contact.relay_only)
    }

    /// The peer was heard there, and may be found there again.
    pub(super) fn own_address(&self, peer: &PeerId) -> Option<std::net::SocketAddr> {
        let session = self.session_with(peer)?;
        let is_own = session.kind() == PathKind::Direct;
        session.path().udp().filter(|_| is_own)
    }

    /// No voice comes: perhaps our NAT has forgotten us, so legs are bound anew, and if others see us
    /// at another address now, the peer is told.
    pub(super) fn search_ways(&mut self, peer: PeerId, now: Now) {
        self.look_into_mirrors(now);
        self.rooms.renew(Some(&peer), now.mono);
        self.step_rooms(now);
    }

    /// A call runs over others for a while already: looks again whether there is a direct path, and
    /// whether a reflector can be reached.
    pub(super) fn look_again(&mut self, peer: PeerId, now: Now) {
        self.look_into_mirrors(now);
        let is_circuit = |session: &super::Session| session.kind() == PathKind::Circuit;
        if self.session_with(&peer).is_some_and(is_circuit) {
            self.want_rooms(peer, now);
        }
        let place = self.place(now);
        self.with_session(&peer, now, |session, io| session.look_again(&place, io));
    }

    /// Nothing comes over the present path. Whoever is in need of the session looks for another.
    pub(super) fn adrift(&mut self, peer: PeerId, now: Now) {
        if self.is_wanted(&peer) {
            self.want_rooms(peer, now);
            self.look_into_mirrors(now);
            self.out.push_back(Output::Seek(peer));
            return;
        }
        let is_alone = |session: &super::Session| !session.has_other_ways();
        if self.session_with(&peer).is_some_and(is_alone) {
            self.with_session(&peer, now, |session, _| session.abandon());
        }
    }

    /// Nothing but a search over many ports can help: it is costly, so it is rare.
    pub(super) fn search_ports(&mut self, peer: PeerId, birthday: Birthday, now: Now) {
        if self.call_with(&peer).is_none() || !self.searches.allow(peer, now.mono) {
            return;
        }
        let sides = self.free_sides(SideId::from(checks::SIDES));
        self.with_session(&peer, now, |session, io| {
            session.search(birthday, sides, io);
        });
    }

    /// Numbers for ports beside the phone's own.
    fn free_sides(&mut self, count: SideId) -> std::ops::Range<SideId> {
        let first = self.next_side;
        self.next_side = first.wrapping_add(count);
        first..self.next_side
    }

    fn reserve(&self, peer: &PeerId) -> Reserve {
        let talks = self
            .call_with(peer)
            .is_some_and(|call| call.answered.is_some());
        let Some(contact) = self.book.get(peer).filter(|_| self.book.is_friend(peer)) else {
            return Reserve::UntilAnswer;
        };
        match contact.relay_only {
            true => Reserve::Always,
            false if talks || contact.verified.is_some() => Reserve::Open,
            false => Reserve::UntilAnswer,
        }
    }
}
