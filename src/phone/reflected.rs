//! The phone's part of reflected paths: rooms are asked for, told, bound, and become ways.

use std::net::SocketAddr;

use super::Phone;
use super::message::{Message, Told};
use super::rooms::{Change, Taken};
use super::types::{Now, Output, Path, Room};
use crate::peer::PeerId;

impl Phone {
    /// Has rooms made for a call with that peer, unless there are some.
    pub(super) fn want_rooms(&mut self, peer: PeerId, now: Now) {
        if self.call_with(&peer).is_none() {
            return;
        }
        let missing = self.rooms.want(peer, now.mono);
        self.out
            .extend(missing.map(|missing| Output::Rooms(peer, missing)));
    }

    /// Has rooms made in the place of those that a call has lost or will lose. Not while it looks for
    /// its path: then all that it has is asked already, and what is lost is not known yet.
    fn replace_rooms(&mut self, now: Now) {
        while let Some(peer) = self.rooms.look(now.mono) {
            let talks = self
                .call_with(&peer)
                .is_some_and(|call| call.answered.is_some());
            let session = self.session_with(&peer);
            let is_at_rest = session.is_some_and(|session| session.is_at_rest(now.mono));
            if talks && is_at_rest {
                let missing = self.rooms.want_spare(&peer, now.mono);
                self.out
                    .extend(missing.map(|missing| Output::Rooms(peer, missing)));
            }
        }
    }

    pub(super) fn take_room(&mut self, peer: PeerId, room: &Room, now: Now) {
        if self.call_with(&peer).is_none() {
            return;
        }
        let place = self.place(now);
        self.rooms.add_own(peer, room, &place, now.mono);
        self.tell_rooms(peer, now);
        self.step_rooms(now);
    }

    pub(super) fn take_told_room(&mut self, peer: PeerId, told: &Told, now: Now) {
        if self.call_with(&peer).is_none() {
            return;
        }
        let place = self.place(now);
        self.rooms.add_told(peer, told, &place, now.mono);
        self.step_rooms(now);
    }

    /// Tells the peer of the rooms that it does not know yet.
    pub(super) fn tell_rooms(&mut self, peer: PeerId, now: Now) {
        if !self.has_open_session(&peer) {
            return;
        }
        while let Some(told) = self.rooms.untold(&peer) {
            let message = Message::Room(told);
            self.with_session(&peer, now, |session, io| session.send(&message, io));
        }
    }

    /// A session stands: its legs are ways for it.
    pub(super) fn offer_legs(&mut self, peer: PeerId, now: Now) {
        self.rooms.tell_again(&peer);
        self.tell_rooms(peer, now);
        for leg in self.rooms.bound(&peer, now.mono) {
            let path = Path::Reflected(leg);
            self.with_session(&peer, now, |session, io| session.offer(path, io));
        }
        for leg in self.rooms.ending(&peer) {
            let path = Path::Reflected(leg);
            self.with_session(&peer, now, |session, io| session.retire(path, io));
        }
    }

    /// Gives up rooms that no call and no session needs any more.
    pub(super) fn drop_rooms(&mut self, peer: &PeerId) {
        let is_needed = self.call_with(peer).is_some()
            || self.sessions.values().any(|session| session.peer == *peer);
        if !is_needed {
            self.rooms.drop(peer);
        }
    }

    /// Sends what is due to reflectors, and lets sessions know what has come of it.
    pub(super) fn step_rooms(&mut self, now: Now) {
        while let Some((server, datagram)) = self.rooms.due(now.mono, &mut self.rng) {
            let path = Path::Udp(server);
            self.out.push_back(Output::Transmit(path, datagram));
        }
        self.replace_rooms(now);
        while let Some(change) = self.rooms.change(now.mono) {
            match change {
                Change::Bound(peer, leg) => {
                    let path = Path::Reflected(leg);
                    self.with_session(&peer, now, |session, io| session.offer(path, io));
                }
                Change::Ending(peer, leg) => {
                    let path = Path::Reflected(leg);
                    self.with_session(&peer, now, |session, io| session.retire(path, io));
                }
                Change::Lost(peer, leg) => {
                    let path = Path::Reflected(leg);
                    self.with_session(&peer, now, |session, io| session.lose_path(path, io));
                }
            }
        }
    }

    /// A datagram from a reflector of ours. False if it is none.
    pub(super) fn take_reflected(&mut self, from: SocketAddr, bytes: &[u8], now: Now) -> bool {
        match self.rooms.take(from, bytes, now.mono) {
            None => false,
            Some(Taken::Carried(leg, inner)) => {
                self.receive_from(Path::Reflected(leg), inner, now);
                true
            }
            Some(Taken::Control(answer)) => {
                if let Some(answer) = answer {
                    self.out
                        .push_back(Output::Transmit(Path::Udp(from), *answer));
                }
                self.step_rooms(now);
                true
            }
        }
    }
}
