//! Where this phone can be met: the relays that hold a reservation for it.
//!
//! Decides at whom to reserve when. What libp2p tells of a reservation is little: each is known by
//! its listener, and over when that or the connection to the relay is.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::core::transport::ListenerId;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::pause::pause;

/// All relays that are known, and the reservations.
#[derive(Debug, Default)]
pub(super) struct Relays {
    candidates: BTreeMap<PeerId, Candidate>,
    held: Vec<Held>,
}

#[derive(Debug)]
struct Candidate {
    address: Multiaddr,
    /// One of ours: what it allows suffices for a call.
    ultrapeer: bool,
    failures: u32,
    next: Instant,
}

#[derive(Debug)]
struct Held {
    peer: PeerId,
    listener: ListenerId,
    address: Multiaddr,
    ultrapeer: bool,
    /// Until then it has to be confirmed; `None`: it is.
    until: Option<Instant>,
}

impl Relays {
    /// Whoever says that it takes reservations. `address` ends in `/p2p`.
    pub(super) fn offer(
        &mut self,
        peer: PeerId,
        address: Multiaddr,
        ultrapeer: bool,
        now: Instant,
    ) {
        if let Some(known) = self.candidates.get_mut(&peer) {
            known.address = address;
            known.ultrapeer = ultrapeer;
            return;
        }
        if self.candidates.len() >= MAX_CANDIDATES {
            let held = |peer: &PeerId| self.held.iter().any(|held| held.peer == *peer);
            let worst = self
                .candidates
                .iter()
                .filter(|(peer, _)| !held(peer))
                .max_by_key(|(_, candidate)| (!candidate.ultrapeer, candidate.failures))
                .map(|(peer, _)| *peer);
            let Some(worst) = worst else { return };
            self.candidates.remove(&worst);
        }
        let candidate = Candidate {
            address,
            ultrapeer,
            failures: 0,
            next: now,
        };
        self.candidates.insert(peer, candidate);
    }

    /// The relay to ask for a reservation now. Our own kind first.
    pub(super) fn due(&self, now: Instant) -> Option<(PeerId, Multiaddr)> {
        self.wanted()
            .filter(|(_, candidate)| candidate.next <= now)
            .min_by_key(|(_, candidate)| (!candidate.ultrapeer, candidate.failures))
            .map(|(peer, candidate)| (*peer, candidate.address.clone()))
    }

    /// When [`Relays::due`] or [`Relays::stuck`] has to be asked again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let next = self.wanted().map(|(_, candidate)| candidate.next);
        let until = self.held.iter().filter_map(|held| held.until);
        next.chain(until).min()
    }

    pub(super) fn asked(&mut self, peer: PeerId, listener: ListenerId, now: Instant) {
        if let Some(candidate) = self.candidates.get(&peer) {
            self.held.push(Held {
                peer,
                listener,
                address: candidate.address.clone(),
                ultrapeer: candidate.ultrapeer,
                until: Some(now + PATIENCE),
            });
        }
    }

    pub(super) fn confirmed(&mut self, listener: ListenerId) {
        let Some(held) = self.held.iter_mut().find(|held| held.listener == listener) else {
            return;
        };
        held.until = None;
        if let Some(candidate) = self.candidates.get_mut(&held.peer) {
            candidate.failures = 0;
        }
    }

    /// That listener is closed: refused, ended, or its connection broke.
    pub(super) fn closed(&mut self, listener: ListenerId, now: Instant) {
        if let Some(index) = self.held.iter().position(|held| held.listener == listener) {
            self.end(index, now);
        }
    }

    /// The last connection to that peer is gone, and with it what it held for us.
    pub(super) fn lost(&mut self, peer: PeerId, now: Instant) -> Option<ListenerId> {
        let index = self.held.iter().position(|held| held.peer == peer)?;
        let listener = self.held[index].listener;
        self.end(index, now);
        Some(listener)
    }

    /// Asking that relay was not even possible.
    pub(super) fn failed(&mut self, peer: PeerId, now: Instant) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.fail(now);
        }
    }

    /// A reservation that was asked for and not answered.
    pub(super) fn stuck(&mut self, now: Instant) -> Option<ListenerId> {
        let late = |held: &Held| held.until.is_some_and(|until| until <= now);
        let index = self.held.iter().position(late)?;
        let listener = self.held[index].listener;
        self.end(index, now);
        Some(listener)
    }

    /// The computer is somewhere else: everything starts anew, with those who are connected anew.
    /// The listeners to close.
    pub(super) fn restart(&mut self) -> Vec<ListenerId> {
        self.candidates.clear();
        self.held.drain(..).map(|held| held.listener).collect()
    }

    /// The relays at which we can be met, our own kind first.
    pub(super) fn routes(&self) -> Vec<Multiaddr> {
        let mut held: Vec<&Held> = self.confirmed_ones().collect();
        held.sort_by_key(|held| (!held.ultrapeer, held.peer));
        held.into_iter().map(|held| held.address.clone()).collect()
    }

    fn confirmed_ones(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| held.until.is_none())
    }

    /// The candidates that would be an improvement.
    fn wanted(&self) -> impl Iterator<Item = (&PeerId, &Candidate)> {
        let own = self.held.iter().filter(|held| held.ultrapeer).count();
        let any = self.held.len();
        self.candidates
            .iter()
            .filter(move |(_, candidate)| match candidate.ultrapeer {
                true => own < WANTED && any < MOST,
                false => any < WANTED,
            })
            .filter(|(peer, _)| !self.held.iter().any(|held| held.peer == **peer))
    }

    fn end(&mut self, index: usize, now: Instant) {
        let held = self.held.swap_remove(index);
        let Some(candidate) = self.candidates.get_mut(&held.peer) else {
            return;
        };
        if held.until.is_some() {
            candidate.fail(now);
        } else {
            // It was good: perhaps it only starts anew.
            candidate.failures = 1;
            candidate.next = now + pause(1, AGAIN, AGAIN);
        }
    }
}

impl Candidate {
    fn fail(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.next = now + pause(self.failures, FIRST_PAUSE, LONGEST_PAUSE);
    }
}

/// Reservations to hold: one may break without anybody noticing.
const WANTED: usize = 2;

/// Reservations to hold when ultrapeers come in addition to relays of others; as many as a
/// directory record has room for.
const MOST: usize = 3;

const MAX_CANDIDATES: usize = 32;

/// A relay has that long to answer.
const PATIENCE: Duration = Duration::from_secs(12);

const AGAIN: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::node::now;

    fn offer(relays: &mut Relays, ultrapeer: bool, now: Instant) -> PeerId {
        let peer = PeerId::random();
        let address = format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}");
        relays.offer(peer, address.parse().expect("an address"), ultrapeer, now);
        peer
    }

    fn reserve(relays: &mut Relays, now: Instant) -> Option<(PeerId, ListenerId)> {
        let (peer, _) = relays.due(now)?;
        let listener = ListenerId::next();
        relays.asked(peer, listener, now);
        Some((peer, listener))
    }

    #[tokio::test(start_paused = true)]
    async fn two_are_held_and_a_lost_one_is_replaced() {
        let now = now();
        let mut relays = Relays::default();
        let peers: Vec<PeerId> = (0..3).map(|_| offer(&mut relays, true, now)).collect();
        let (first, one) = reserve(&mut relays, now).expect("a relay");
        let (second, two) = reserve(&mut relays, now).expect("another");
        assert!(reserve(&mut relays, now).is_none(), "two are enough");
        assert!(relays.routes().is_empty(), "nothing is confirmed");
        relays.confirmed(one);
        relays.confirmed(two);
        assert_eq!(relays.routes().len(), 2);

        assert_eq!(relays.lost(first, now), Some(one));
        let (third, _) = reserve(&mut relays, now).expect("the third");
        assert!(peers.contains(&third) && third != first && third != second);
        relays.closed(two, now);
        assert!(relays.routes().is_empty());
        assert!(relays.due(now).is_none(), "both that broke have to wait");
        let next = relays.deadline().expect("they are tried again");
        assert!(next <= now + Duration::from_secs(2));
        assert!(relays.due(next).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_refuses_is_asked_ever_more_seldom() {
        let mut now = now();
        let mut relays = Relays::default();
        offer(&mut relays, false, now);
        let mut last = Duration::ZERO;
        for round in 0..14 {
            let (_, listener) = reserve(&mut relays, now).expect("the only one");
            relays.closed(listener, now);
            let next = relays.deadline().expect("again");
            if round % 3 == 2 {
                assert!(
                    next - now > last,
                    "{round}: {:?} after {last:?}",
                    next - now
                );
                last = (next - now).min(LONGEST_PAUSE.mul_f64(0.7));
            }
            now = next;
        }
        let (_, listener) = reserve(&mut relays, now).expect("the only one");
        now += PATIENCE;
        assert_eq!(relays.stuck(now), Some(listener));
        assert_eq!(relays.stuck(now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn ultrapeers_come_in_addition_to_relays_of_others() {
        let now = now();
        let mut relays = Relays::default();
        for _ in 0..100 {
            offer(&mut relays, false, now);
        }
        assert_eq!(relays.candidates.len(), MAX_CANDIDATES);
        let strangers: Vec<_> = std::iter::from_fn(|| reserve(&mut relays, now)).collect();
        assert_eq!(strangers.len(), WANTED);
        let own = offer(&mut relays, true, now);
        assert_eq!(reserve(&mut relays, now).map(|(peer, _)| peer), Some(own));
        offer(&mut relays, true, now);
        assert!(reserve(&mut relays, now).is_none(), "no room in the record");
        for (_, listener) in strangers {
            relays.confirmed(listener);
        }
        assert_eq!(relays.routes().len(), 2);
    }
}
