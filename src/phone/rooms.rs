//! Rooms at reflectors: the legs that we hold for calls, and what goes through them.
//!
//! The caller has rooms made and tells the other end of them; both bind their legs and keep them as
//! long as the session is wanted. To a session a bound leg is one more way. Its datagrams are put
//! into RELAY at the very edge of the core, and taken out there.
//!
//! Two rooms are to serve a call: one to talk in, and one that stands by. Whoever had them made has
//! another one made for each that is lost or will end before long.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;
use rand_chacha::ChaCha20Rng;

use super::binding::Binding;
use super::candidates::Place;
use super::message::Told;
use super::reflect::{self, Token};
use super::spares::Spares;
use super::tally::Tally;
use super::types::{Datagram, Leg, MAX_SERVERS, Missing, Path, Room};
use crate::peer::PeerId;

/// All legs, by the peer for whom they are.
#[derive(Default)]
pub struct Rooms {
    held: BTreeMap<PeerId, Held>,
}

struct Held {
    legs: ArrayVec<Hold, MAX_LEGS>,
    /// When rooms were asked for last.
    asked_at: Option<Duration>,
    spares: Spares,
    /// Rooms that the peer has told of.
    told: Tally<()>,
}

/// One leg.
struct Hold {
    binding: Binding,
    token: Token,
    servers: ArrayVec<SocketAddr, MAX_SERVERS>,
    /// Which of them is used.
    server: usize,
    /// What the peer has to know, in a room of ours.
    tell: Option<Told>,
    is_told: bool,
    /// It was bound when we looked last.
    was_bound: bool,
    /// That its room will end has been told.
    was_ending: bool,
}

/// What has become of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Bound(PeerId, Leg),
    /// Its room will end before long.
    Ending(PeerId, Leg),
    Lost(PeerId, Leg),
}

/// What a datagram from a reflector was.
#[derive(Debug, PartialEq)]
pub enum Taken<'a> {
    /// About a leg; perhaps there is something to answer at once.
    Control(Option<Box<Datagram>>),
    /// From the other end of that leg.
    Carried(Leg, &'a [u8]),
}

impl Rooms {
    /// The rooms to ask for now: all, if none answers and none was asked for just now.
    pub fn want(&mut self, peer: PeerId, now: Duration) -> Option<Missing> {
        let held = self.held.entry(peer).or_default();
        let is_asked = held.asked_at.is_some_and(|at| now < at + BETWEEN_ROOMS);
        let missing = held.missing(now);
        let wants = !is_asked && missing.rooms == ROOMS;
        wants.then(|| held.ask(missing, now))
    }

    /// Somebody for whom it is time to look whether a room stands by.
    pub fn look(&mut self, now: Duration) -> Option<PeerId> {
        let mut asked = self
            .held
            .iter_mut()
            .filter(|(_, held)| held.asked_at.is_some());
        asked.find_map(|(peer, held)| held.spares.look(now).then_some(*peer))
    }

    /// The rooms to ask for now in the place of those that were lost, if we asked for those.
    pub fn want_spare(&mut self, peer: &PeerId, now: Duration) -> Option<Missing> {
        let held = self.held.get_mut(peer)?;
        let missing = held.missing(now);
        let is_due = held.spares.is_due(missing.rooms, held.asked_at?, now);
        is_due.then(|| held.ask(missing, now))
    }

    /// Has a leg of a room that was made for us bound.
    pub fn add_own(&mut self, peer: PeerId, room: &Room, place: &Place, now: Duration) {
        let tell = Told {
            room: room.room,
            token: room.tokens[1],
            servers: room.servers.to_vec(),
        };
        let held = self.held.entry(peer).or_default();
        held.add(room.room, 0, room.tokens[0], &room.servers, place, now);
        if let Some(hold) = held.leg_mut(room.room, 0) {
            hold.tell = Some(tell);
        }
    }

    /// The same for a room of which the peer tells.
    pub fn add_told(&mut self, peer: PeerId, told: &Told, place: &Place, now: Duration) {
        let held = self.held.entry(peer).or_default();
        if held.leg_mut(told.room, 1).is_none() && held.told.allow((), now) {
            held.add(told.room, 1, told.token, &told.servers, place, now);
        }
    }

    /// What has to be told to that peer, each once.
    pub fn untold(&mut self, peer: &PeerId) -> Option<Told> {
        let held = self.held.get_mut(peer)?;
        let hold = held.legs.iter_mut().find(|hold| !hold.is_told)?;
        hold.is_told = true;
        // Of the peer's own rooms it needs to hear nothing.
        hold.tell.clone()
    }

    /// With a new session everything is told again: the peer may have been restarted.
    pub fn tell_again(&mut self, peer: &PeerId) {
        for hold in self
            .held
            .get_mut(peer)
            .iter_mut()
            .flat_map(|held| &mut held.legs)
        {
            hold.is_told = hold.tell.is_none();
        }
    }

    /// Nobody needs these rooms any more.
    pub fn drop(&mut self, peer: &PeerId) {
        self.held.remove(peer);
    }

    /// We may have another address now: binds anew.
    pub fn renew(&mut self, peer: Option<&PeerId>, now: Duration) {
        let held = self.held.iter_mut();
        for (_, held) in held.filter(|(id, _)| peer.is_none_or(|peer| peer == *id)) {
            for hold in &mut held.legs {
                hold.binding.renew(now);
            }
        }
    }

    /// Legs that the reflector serves just now.
    pub fn bound(&self, peer: &PeerId, now: Duration) -> ArrayVec<Leg, MAX_LEGS> {
        let legs = self.held.get(peer).into_iter().flat_map(|held| &held.legs);
        legs.filter(|hold| hold.binding.is_bound(now))
            .map(|hold| hold.binding.leg())
            .collect()
    }

    /// Those of them that will not be served for long.
    pub fn ending(&self, peer: &PeerId) -> ArrayVec<Leg, MAX_LEGS> {
        let legs = self.held.get(peer).into_iter().flat_map(|held| &held.legs);
        legs.filter(|hold| hold.binding.is_ending())
            .map(|hold| hold.binding.leg())
            .collect()
    }

    /// The next datagram that is due, and where to.
    pub fn due(&mut self, now: Duration, rng: &mut ChaCha20Rng) -> Option<(SocketAddr, Datagram)> {
        let mut legs = self.legs_mut();
        legs.find_map(|(_, hold)| hold.due(now, rng))
    }

    pub fn deadline(&self) -> Option<Duration> {
        let legs = self.held.values().flat_map(|held| &held.legs);
        let asked = self.held.values().filter(|held| held.asked_at.is_some());
        let looks = asked.map(|held| held.spares.deadline());
        legs.map(|hold| hold.binding.deadline()).chain(looks).min()
    }

    /// What was not known of a leg before.
    pub fn change(&mut self, now: Duration) -> Option<Change> {
        let change = self.legs_mut().find_map(|(peer, hold)| {
            let is_bound = hold.binding.is_bound(now);
            let leg = hold.binding.leg();
            let was_bound = std::mem::replace(&mut hold.was_bound, is_bound);
            match (was_bound, is_bound) {
                (false, true) => return Some(Change::Bound(peer, leg)),
                (true, false) => return Some(Change::Lost(peer, leg)),
                _ => {}
            }
            let is_ending = hold.binding.is_ending();
            let was_ending = std::mem::replace(&mut hold.was_ending, is_ending);
            (is_ending && !was_ending).then_some(Change::Ending(peer, leg))
        });
        for held in self.held.values_mut() {
            held.legs.retain(|hold| !hold.is_dead(now));
        }
        change
    }

    /// Takes what came from a reflector. `None` for everything else.
    pub fn take<'a>(
        &mut self,
        from: SocketAddr,
        bytes: &'a [u8],
        now: Duration,
    ) -> Option<Taken<'a>> {
        let packet = reflect::parse(bytes)?;
        let (room, leg) = match &packet {
            reflect::Packet::Relay(relay) => (relay.room, None),
            reflect::Packet::Chal(chal) => (chal.room, Some(chal.leg)),
            reflect::Packet::Bound(bound) => (bound.room, Some(bound.leg)),
            _ => return None,
        };
        let mut legs = self.legs_mut().map(|(_, hold)| &mut hold.binding);
        let binding = legs.find(|binding| {
            let own = binding.leg();
            own.server == from && own.room == room && leg.is_none_or(|leg| leg == own.leg)
        })?;
        match packet {
            reflect::Packet::Relay(relay) if binding.is_bound(now) => {
                Some(Taken::Carried(binding.leg(), relay.inner))
            }
            reflect::Packet::Relay(_) => None,
            _ => Some(Taken::Control(binding.handle(bytes, now).map(Box::new))),
        }
    }

    fn legs_mut(&mut self) -> impl Iterator<Item = (PeerId, &mut Hold)> {
        let held = self.held.iter_mut();
        held.flat_map(|(peer, held)| held.legs.iter_mut().map(|hold| (*peer, hold)))
    }
}

impl Default for Held {
    fn default() -> Held {
        Held {
            legs: ArrayVec::new(),
            asked_at: None,
            spares: Spares::default(),
            told: Tally::new(MAX_TOLD, TOLD_IN),
        }
    }
}

impl Held {
    fn missing(&self, now: Duration) -> Missing {
        let stays = |hold: &&Hold| hold.is_alive(now) && !hold.binding.is_ending();
        let alive = self.legs.iter().filter(stays);
        let servers = alive.clone().flat_map(|hold| &hold.servers);
        Missing {
            rooms: ROOMS.saturating_sub(alive.count()),
            besides: servers.map(SocketAddr::ip).collect(),
        }
    }

    fn ask(&mut self, missing: Missing, now: Duration) -> Missing {
        self.asked_at = Some(now);
        self.spares.asked(now);
        missing
    }

    fn add(
        &mut self,
        room: u64,
        leg: u8,
        token: Token,
        servers: &[SocketAddr],
        place: &Place,
        now: Duration,
    ) {
        let reachable = |server: &&SocketAddr| place.may_reach(**server, leg == 0);
        let reachable = servers.iter().filter(reachable);
        let servers: ArrayVec<SocketAddr, MAX_SERVERS> =
            reachable.take(MAX_SERVERS).copied().collect();
        let Some(&server) = servers.first() else {
            return;
        };
        if self.leg_mut(room, leg).is_some() {
            return;
        }
        let leg = Leg { server, room, leg };
        let hold = Hold {
            binding: Binding::new(leg, token, now),
            token,
            servers,
            server: 0,
            tell: None,
            is_told: leg.leg != 0,
            was_bound: false,
            was_ending: false,
        };
        // There are rooms enough.
        let _ = self.legs.try_push(hold);
    }

    fn leg_mut(&mut self, room: u64, leg: u8) -> Option<&mut Hold> {
        let is_it = |own: Leg| (own.room, own.leg) == (room, leg);
        self.legs.iter_mut().find(|hold| is_it(hold.binding.leg()))
    }
}

impl Hold {
    fn due(&mut self, now: Duration, rng: &mut ChaCha20Rng) -> Option<(SocketAddr, Datagram)> {
        let waits = self.binding.unanswered();
        let is_lost = waits.is_some_and(|since| now >= since + NEXT_SERVER);
        if is_lost && self.server + 1 < self.servers.len() && !self.binding.is_bound(now) {
            self.server += 1;
            let server = self.servers[self.server];
            let leg = Leg {
                server,
                ..self.binding.leg()
            };
            self.binding = Binding::new(leg, self.token, now);
        }
        let datagram = self.binding.due(now, rng)?;
        Some((self.binding.leg().server, datagram))
    }

    /// It is bound or may soon be.
    fn is_alive(&self, now: Duration) -> bool {
        let waits = self.binding.unanswered();
        self.binding.is_bound(now) && waits.is_none_or(|since| now < since + DOUBT)
            || !self.binding.is_bound(now) && waits.is_none_or(|since| now < since + NEXT_SERVER)
    }

    fn is_dead(&self, now: Duration) -> bool {
        let is_last = self.server + 1 >= self.servers.len();
        let waits = self.binding.unanswered();
        let is_lost = waits.is_some_and(|since| now >= since + GIVE_UP);
        is_last && is_lost && !self.binding.is_bound(now) && !self.was_bound
    }
}

/// What leaves the core for a leg: the datagram in the frame of the reflector. `None` if that may
/// not be carried, as nothing that two phones say to each other.
pub fn framed(leg: Leg, datagram: &[u8]) -> Option<(Path, Datagram)> {
    let relay = reflect::relay(leg.room, reflect::TO_ALL, leg.leg, datagram)?;
    Some((Path::Udp(leg.server), relay))
}

/// Legs at most for one peer: two rooms of each end's.
const MAX_LEGS: usize = 4;
/// Rooms that are to serve a call.
const ROOMS: usize = 2;
/// Rooms of which one peer may tell in one call in [`TOLD_IN`].
const MAX_TOLD: usize = 8;
const TOLD_IN: Duration = Duration::from_secs(3600);
const BETWEEN_ROOMS: Duration = Duration::from_secs(5);
/// How long the first address of a reflector may be silent before the next is tried.
const NEXT_SERVER: Duration = Duration::from_millis(800);
/// How long a bound leg may be silent before others are looked for.
const DOUBT: Duration = Duration::from_secs(3);
/// How long a reflector may be silent altogether.
const GIVE_UP: Duration = Duration::from_secs(12);

#[cfg(test)]
mod tests;
