//! Rooms at reflectors: the legs that we hold for calls, and what goes through them.
//!
//! The caller has rooms made and tells the other end of them; both bind their legs and keep them as
//! long as the session is wanted. To a session a bound leg is one more way. Its datagrams are put
//! into RELAY at the very edge of the core, and taken out there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;
use rand_chacha::ChaCha20Rng;

use super::binding::Binding;
use super::candidates::Place;
use super::message::Told;
use super::reflect::{self, Token};
use super::types::{Datagram, Leg, MAX_SERVERS, Path, Room};
use crate::peer::PeerId;

/// All legs, by the peer for whom they are.
#[derive(Default)]
pub struct Rooms {
    held: BTreeMap<PeerId, Held>,
}

#[derive(Default)]
struct Held {
    legs: ArrayVec<Hold, MAX_LEGS>,
    /// When rooms were asked for last.
    asked_at: Option<Duration>,
    /// Rooms that the peer has told of.
    told: u8,
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
}

/// What has become of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Bound(PeerId, Leg),
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
    /// Whether rooms should be asked for now: none answers, and none was asked for just now.
    pub fn want(&mut self, peer: PeerId, now: Duration) -> bool {
        let held = self.held.entry(peer).or_default();
        let is_asked = held.asked_at.is_some_and(|at| now < at + BETWEEN_ROOMS);
        let is_served = held.legs.iter().any(|hold| hold.is_alive(now));
        let wants = !is_asked && !is_served;
        if wants {
            held.asked_at = Some(now);
        }
        wants
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
        if held.told < MAX_TOLD && held.leg_mut(told.room, 1).is_none() {
            held.told += 1;
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

    /// The next datagram that is due, and where to.
    pub fn due(&mut self, now: Duration, rng: &mut ChaCha20Rng) -> Option<(SocketAddr, Datagram)> {
        let mut legs = self.legs_mut();
        legs.find_map(|(_, hold)| hold.due(now, rng))
    }

    pub fn deadline(&self) -> Option<Duration> {
        let legs = self.held.values().flat_map(|held| &held.legs);
        legs.map(|hold| hold.binding.deadline()).min()
    }

    /// What was not known of a leg before.
    pub fn change(&mut self, now: Duration) -> Option<Change> {
        let change = self.legs_mut().find_map(|(peer, hold)| {
            let is_bound = hold.binding.is_bound(now);
            let leg = hold.binding.leg();
            let was_bound = std::mem::replace(&mut hold.was_bound, is_bound);
            match (was_bound, is_bound) {
                (false, true) => Some(Change::Bound(peer, leg)),
                (true, false) => Some(Change::Lost(peer, leg)),
                _ => None,
            }
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

impl Held {
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
/// Rooms of which one peer may tell in one call.
const MAX_TOLD: u8 = 8;
const BETWEEN_ROOMS: Duration = Duration::from_secs(5);
/// How long the first address of a reflector may be silent before the next is tried.
const NEXT_SERVER: Duration = Duration::from_millis(800);
/// How long a bound leg may be silent before others are looked for.
const DOUBT: Duration = Duration::from_secs(3);
/// How long a reflector may be silent altogether.
const GIVE_UP: Duration = Duration::from_secs(12);

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;
    use crate::phone::wire;

    const ROOM: u64 = 77;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn server(port: u16) -> SocketAddr {
        ([198, 18, 0, 1], port).into()
    }

    fn peer() -> PeerId {
        let seed = crate::peer::Seed::from_bytes([1; 32]);
        crate::peer::Identity::from_seed(&seed).id()
    }

    fn room(servers: &[SocketAddr]) -> Room {
        Room {
            servers: servers.iter().copied().collect(),
            room: ROOM,
            tokens: [[1; 16], [2; 16]],
        }
    }

    fn place() -> Place {
        Place {
            hosts: vec![([192, 168, 1, 2], 4000).into()],
            ..Place::default()
        }
    }

    /// Everything that is sent up to then: when, where to, and which kind.
    fn run(rooms: &mut Rooms, until: u64) -> Vec<(u64, SocketAddr, u8)> {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut sent = Vec::new();
        for at in 0..until {
            while let Some((to, datagram)) = rooms.due(ms(at), &mut rng) {
                sent.push((at, to, datagram[0]));
            }
            while rooms.change(ms(at)).is_some() {}
        }
        sent
    }

    #[test]
    fn a_room_is_asked_for_once_and_told_once() {
        let (mut rooms, peer) = (Rooms::default(), peer());
        assert!(rooms.want(peer, ms(0)) && !rooms.want(peer, ms(1)));
        rooms.add_own(peer, &room(&[server(9)]), &place(), ms(2));
        assert!(!rooms.want(peer, ms(3) + BETWEEN_ROOMS), "one is there");
        let told = rooms.untold(&peer).expect("to be told");
        assert_eq!((told.room, told.token), (ROOM, [2; 16]));
        assert_eq!(rooms.untold(&peer), None);
        rooms.tell_again(&peer);
        assert!(rooms.untold(&peer).is_some(), "a new session knows nothing");
        rooms.drop(&peer);
        assert_eq!(rooms.deadline(), None);
    }

    #[test]
    fn a_silent_address_is_exchanged_for_the_next_and_a_silent_reflector_given_up() {
        let (mut rooms, peer) = (Rooms::default(), peer());
        let servers = [server(1), server(2)];
        rooms.add_own(peer, &room(&servers), &place(), ms(0));
        let sent = run(&mut rooms, 30_000);
        let first = sent.iter().filter(|(_, to, _)| *to == servers[0]);
        let last = first.map(|(at, ..)| *at).max();
        assert!(last < Some(NEXT_SERVER.as_millis() as u64 + 1000));
        assert!(sent.iter().any(|(_, to, _)| *to == servers[1]));
        assert!(sent.len() < 20, "{}", sent.len());
        assert_eq!(rooms.deadline(), None);
        assert!(rooms.want(peer, ms(30_000)), "there is none any more");
    }

    #[test]
    fn a_peer_tells_of_few_rooms_and_of_none_at_home() {
        let (mut rooms, peer) = (Rooms::default(), peer());
        let told = |room, server| Told {
            room,
            token: [2; 16],
            servers: vec![server],
        };
        rooms.add_told(peer, &told(0, ([127, 0, 0, 1], 9).into()), &place(), ms(0));
        assert_eq!(rooms.deadline(), None);
        for number in 1..100 {
            rooms.add_told(peer, &told(number, server(9)), &place(), ms(0));
        }
        let sent = run(&mut rooms, 1).len();
        assert_eq!(sent, MAX_LEGS);
        assert_eq!(rooms.untold(&peer), None, "the peer knows its own rooms");
    }

    #[test]
    fn what_is_framed_for_one_leg_is_taken_at_the_other_once_bound() {
        let (mut rooms, peer) = (Rooms::default(), peer());
        rooms.add_own(peer, &room(&[server(9)]), &place(), ms(0));
        let other = Leg {
            server: server(9),
            room: ROOM,
            leg: 1,
        };
        let inner = wire::hello(7, &[1; wire::NOISE1]);
        let (to, relay) = framed(other, &inner).expect("may be carried");
        assert_eq!(to, Path::Udp(server(9)));
        assert!(rooms.take(server(9), &relay, ms(0)).is_none(), "not bound");
        run(&mut rooms, 1);
        let (room, leg) = (ROOM, 0);
        let proof = [3; 16];
        let chal = reflect::chal(&reflect::Chal { room, leg, proof });
        assert!(
            rooms.take(server(8), &chal, ms(1)).is_none(),
            "from elsewhere"
        );
        assert!(matches!(
            rooms.take(server(9), &chal, ms(1)),
            Some(Taken::Control(Some(_)))
        ));
        let (met, seen) = (true, server(4));
        let bound = reflect::bound(&reflect::Bound {
            room,
            leg,
            met,
            seen,
        });
        assert!(matches!(
            rooms.take(server(9), &bound, ms(2)),
            Some(Taken::Control(None))
        ));
        let leg = Leg { leg: 0, ..other };
        assert_eq!(rooms.change(ms(2)), Some(Change::Bound(peer, leg)));
        assert_eq!(rooms.bound(&peer, ms(2)).as_slice(), [leg]);
        let taken = rooms.take(server(9), &relay, ms(3));
        assert_eq!(taken, Some(Taken::Carried(leg, &inner[..])));
        assert!(rooms.take(server(8), &relay, ms(3)).is_none());
        assert_eq!(rooms.change(ms(40_000)), Some(Change::Lost(peer, leg)));
    }
}
