//! Rooms at the reflectors of ultrapeers, and the ports there that say from where they are asked.
//!
//! Decides whom to ask when. An ultrapeer is asked by itself once, soon after it is met, for which
//! ports it has; and for the rooms that a call lacks, each at another ultrapeer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use libp2p::{PeerId, Stream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::run::{Purpose, Running};
use super::{NodeEvent, now};
use crate::net::reflect::{self, AskError, Asker, Given, Pass};
use crate::net::swarm;
use crate::phone::types::Missing;

/// Whom we ask, whom we asked, and what they said.
#[derive(Debug)]
pub(super) struct Rooms {
    passes: Vec<Pass>,
    /// Of the ultrapeers that contacts run.
    offered: Vec<Pass>,
    /// Calls that need rooms.
    calls: BTreeMap<u64, Call>,
    /// When to ask a reflector for its ports; `None`: it was asked.
    known: BTreeMap<PeerId, Option<Instant>>,
    /// The ports of those that answered, the latest last.
    mirrors: Vec<(PeerId, Vec<SocketAddr>)>,
    news: mpsc::Sender<RoomNews>,
}

/// What a reflector answered.
#[derive(Debug)]
pub(super) struct RoomNews {
    from: PeerId,
    /// For whom; `None`: only its ports are of interest.
    ticket: Option<u64>,
    given: Result<Given, AskError>,
}

#[derive(Debug)]
struct Call {
    until: Instant,
    /// Until then one place is kept for a contact's ultrapeer that is being dialled.
    kept: Option<Instant>,
    asked: BTreeSet<PeerId>,
    /// Rooms that were given, and those that are being asked for.
    rooms: usize,
    /// Rooms that are wanted.
    most: usize,
}

impl Rooms {
    pub(super) fn new(passes: Vec<Pass>) -> (Rooms, mpsc::Receiver<RoomNews>) {
        let (news, arriving) = mpsc::channel(ARRIVING);
        let rooms = Rooms {
            passes,
            offered: Vec::new(),
            calls: BTreeMap::new(),
            known: BTreeMap::new(),
            mirrors: Vec::new(),
            news,
        };
        (rooms, arriving)
    }

    /// The passes that contacts let us have.
    pub(super) fn offered(&mut self, passes: Vec<Pass>) {
        self.offered = passes;
    }

    /// All that we hold.
    fn passes(&self) -> Vec<Pass> {
        self.passes.iter().chain(&self.offered).cloned().collect()
    }

    /// A call needs so many rooms. `there`: reflectors that have one for it already; `dialled`:
    /// ultrapeers of contacts may be there in a moment.
    pub(super) fn wanted(
        &mut self,
        ticket: u64,
        most: usize,
        there: BTreeSet<PeerId>,
        dialled: bool,
        now: Instant,
    ) {
        while self.calls.len() >= MAX_CALLS {
            self.calls.pop_first();
        }
        let call = Call {
            until: now + PATIENCE,
            kept: dialled.then(|| now + FOR_FRIENDS),
            asked: there,
            rooms: 0,
            most,
        };
        self.calls.insert(ticket, call);
    }

    /// That ultrapeer has a reflector.
    pub(super) fn met(&mut self, peer: PeerId, now: Instant) {
        self.known.entry(peer).or_insert(Some(now + SOON));
    }

    /// There is no connection to that peer any more.
    pub(super) fn lost(&mut self, peer: PeerId) {
        self.known.remove(&peer);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let ports = self.known.values().filter_map(|when| *when);
        let calls = self.calls.values();
        let calls = calls.flat_map(|call| [call.until].into_iter().chain(call.kept));
        ports.chain(calls).min()
    }

    /// The next reflector to ask, and for which call.
    fn due(&mut self, now: Instant) -> Option<(PeerId, Option<u64>)> {
        self.calls.retain(|_, call| call.until > now);
        let held = || self.passes.iter().chain(&self.offered);
        for (&ticket, call) in &mut self.calls {
            call.kept = call.kept.filter(|kept| *kept > now);
            let asked = &call.asked;
            let others = self.known.keys().filter(|peer| !asked.contains(peer));
            // Friends first.
            let is_strange = |peer: &&PeerId| !held().any(|pass| pass.is_for(peer));
            let next = others.min_by_key(is_strange).copied();
            let kept = next.as_ref().is_some_and(|peer| is_strange(&peer)) && call.kept.is_some();
            let most = call.most.saturating_sub(usize::from(kept));
            if let Some(peer) = next.filter(|_| call.rooms < most) {
                call.asked.insert(peer);
                call.rooms += 1;
                // The answer tells its ports as well.
                self.known.insert(peer, None);
                return Some((peer, Some(ticket)));
            }
        }
        let is_due = |when: &Option<Instant>| when.is_some_and(|when| when <= now);
        let (peer, when) = self.known.iter_mut().find(|(_, when)| is_due(when))?;
        *when = None;
        Some((*peer, None))
    }

    /// Nothing comes of having asked for that call; another may be asked.
    pub(super) fn failed(&mut self, ticket: Option<u64>) {
        let call = ticket.and_then(|ticket| self.calls.get_mut(&ticket));
        if let Some(call) = call {
            call.rooms = call.rooms.saturating_sub(1);
        }
    }

    /// Asks over that stream, beside everything else.
    fn ask(&self, stream: Stream, asker: Asker, ticket: Option<u64>) {
        let news = self.news.clone();
        tokio::spawn(async move {
            let given = reflect::ask(stream, &asker).await;
            let from = asker.relay;
            let told = RoomNews {
                from,
                ticket,
                given,
            };
            let _ = news.send(told).await;
        });
    }

    /// All known ports, those of each reflector together, if they have changed.
    fn learn(&mut self, from: PeerId, mirrors: Vec<SocketAddr>) -> Option<Vec<SocketAddr>> {
        let known = self
            .mirrors
            .iter()
            .any(|known| known.0 == from && known.1 == mirrors);
        if known || mirrors.is_empty() {
            return None;
        }
        self.mirrors.retain(|(peer, _)| *peer != from);
        self.mirrors.push((from, mirrors));
        if self.mirrors.len() > MAX_MIRRORED {
            self.mirrors.remove(0);
        }
        Some(
            self.mirrors
                .iter()
                .flat_map(|known| known.1.clone())
                .collect(),
        )
    }
}

impl Running {
    pub(super) fn ask_reflectors(&mut self, now: Instant) {
        while let Some((peer, ticket)) = self.rooms.due(now) {
            match self.peers.connection(peer) {
                Some(connection) => self.open(peer, connection, Purpose::Room(ticket)),
                None => self.rooms.failed(ticket),
            }
        }
    }

    pub(super) fn reflector_opened(&mut self, relay: PeerId, ticket: Option<u64>, stream: Stream) {
        let ip = self.peers.address(relay).and_then(swarm::ip);
        let asker = Asker {
            me: *self.swarm.local_peer_id(),
            relay,
            ip,
            passes: self.rooms.passes(),
        };
        self.rooms.ask(stream, asker, ticket);
    }

    pub(super) fn room_news(&mut self, news: RoomNews) {
        let RoomNews {
            from,
            ticket,
            given,
        } = news;
        let given = match given {
            Ok(given) => given,
            Err(error) => {
                tracing::debug!("no room at {from}: {error}");
                self.rooms.failed(ticket);
                return;
            }
        };
        if let Some(mirrors) = self.rooms.learn(from, given.mirrors) {
            self.outbox.push(NodeEvent::Mirrors(mirrors));
        }
        if let Some(ticket) = ticket {
            let room = Box::new(given.room);
            self.outbox.push(NodeEvent::Room { ticket, room });
        }
    }

    pub(super) fn need_rooms(&mut self, ticket: u64, missing: &Missing) {
        let now = now();
        let dialled = self.dial_offers(now);
        let is_besides = |peer: &PeerId| {
            let ip = self.peers.address(*peer).and_then(swarm::ip);
            ip.is_some_and(|ip| missing.besides.contains(&ip))
        };
        let there = self
            .rooms
            .known
            .keys()
            .copied()
            .filter(is_besides)
            .collect();
        self.rooms
            .wanted(ticket, missing.rooms, there, dialled, now);
    }
}

/// How long a place is kept for a contact's ultrapeer: a far one is there by then.
const FOR_FRIENDS: Duration = Duration::from_secs(2);

/// Not while a connection is still busy with everything else.
const SOON: Duration = Duration::from_secs(1);

/// A call that has had no room by then does without.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reflectors whose ports are remembered.
const MAX_MIRRORED: usize = 3;

const MAX_CALLS: usize = 32;
const ARRIVING: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms() -> (Rooms, Instant) {
        (Rooms::new(Vec::new()).0, now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_gets_two_rooms_of_two_reflectors_as_soon_as_they_are_there() {
        let (mut rooms, now) = rooms();
        let peers = [PeerId::random(), PeerId::random(), PeerId::random()];
        rooms.wanted(7, 2, BTreeSet::new(), false, now);
        assert_eq!(rooms.due(now), None, "nobody is there");
        rooms.met(peers[0], now);
        assert_eq!(rooms.due(now), Some((peers[0], Some(7))));
        assert_eq!(rooms.due(now), None, "each once");
        rooms.met(peers[1], now);
        rooms.met(peers[2], now);
        let second = rooms.due(now).expect("the second room");
        assert_ne!(second.0, peers[0]);
        assert_eq!(second.1, Some(7));
        assert_eq!(rooms.due(now), None, "two are enough");

        rooms.failed(Some(7));
        let third = rooms.due(now).expect("one more is asked in its place");
        assert!(third.0 != peers[0] && third.0 != second.0);
        rooms.failed(Some(7));
        assert_eq!(rooms.due(now), None, "all were asked");
        assert_eq!(rooms.due(now + PATIENCE), None);
        assert_eq!(rooms.deadline(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_room_that_is_missing_is_asked_of_a_reflector_that_has_none_yet() {
        let (mut rooms, now) = rooms();
        let peers = [PeerId::random(), PeerId::random(), PeerId::random()];
        peers.iter().for_each(|peer| rooms.met(*peer, now));
        let there = BTreeSet::from([peers[0], peers[2]]);
        rooms.wanted(8, 1, there, false, now);
        assert_eq!(rooms.due(now), Some((peers[1], Some(8))));
        rooms.failed(Some(8));
        assert_eq!(rooms.due(now), None, "there is no other");
    }

    #[tokio::test(start_paused = true)]
    async fn the_ports_of_a_reflector_are_asked_for_once() {
        let (mut rooms, now) = rooms();
        let peer = PeerId::random();
        rooms.met(peer, now);
        assert_eq!(rooms.due(now), None);
        assert_eq!(rooms.deadline(), Some(now + SOON));
        assert_eq!(rooms.due(now + SOON), Some((peer, None)));
        rooms.met(peer, now);
        assert_eq!(rooms.due(now + SOON), None);
        rooms.lost(peer);
        rooms.met(peer, now);
        assert!(rooms.due(now + SOON).is_some(), "a new connection");
    }

    #[test]
    fn ports_are_told_when_they_are_news() {
        let (mut rooms, _) = rooms();
        let port = |port: u16| SocketAddr::from(([192, 0, 2, 1], port));
        let peers: Vec<PeerId> = (0..5).map(|_| PeerId::random()).collect();
        assert_eq!(
            rooms.learn(peers[0], vec![port(1), port(2)]),
            Some(vec![port(1), port(2)])
        );
        assert_eq!(rooms.learn(peers[0], vec![port(1), port(2)]), None);
        assert_eq!(rooms.learn(peers[1], Vec::new()), None);
        let all = rooms.learn(peers[1], vec![port(3)]).expect("news");
        assert_eq!(all, [port(1), port(2), port(3)]);
        for (n, peer) in peers.iter().enumerate().skip(2) {
            rooms.learn(*peer, vec![port(10 + n as u16)]);
        }
        assert_eq!(rooms.mirrors.len(), MAX_MIRRORED);
    }
}
