//! Meeting another phone: the race of its relays, one race a ticket.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::address::named;

/// The races that run.
#[derive(Debug, Default)]
pub(super) struct Meetings(BTreeMap<ConnectionId, Meeting>);

#[derive(Debug)]
pub(super) struct Meeting {
    pub ticket: u64,
    until: Instant,
}

impl Meetings {
    /// What to dial for a race: all ways at once, the first that stands wins and ends the others.
    /// `None` where no way can be gone.
    pub(super) fn race(
        &mut self,
        peer: &[u8],
        relays: &[Vec<u8>],
        only_global: bool,
    ) -> Option<DialOpts> {
        if self.0.len() >= MAX_RACES {
            return None;
        }
        let peer = PeerId::from_bytes(peer).ok()?;
        let ways: Vec<Multiaddr> = relays
            .iter()
            .take(MAX_RELAYS)
            .filter_map(|bytes| named(bytes, only_global))
            .filter(|(relay, _)| *relay != peer)
            .map(|(_, relay)| relay.with(Protocol::P2pCircuit).with(Protocol::P2p(peer)))
            .collect();
        if ways.is_empty() {
            return None;
        }
        let dial = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(ways)
            .override_dial_concurrency_factor(AT_ONCE)
            .build();
        Some(dial)
    }

    pub(super) fn running(&mut self, connection: ConnectionId, ticket: u64, now: Instant) {
        let until = now + PATIENCE;
        self.0.insert(connection, Meeting { ticket, until });
    }

    pub(super) fn of(&self, connection: ConnectionId) -> Option<&Meeting> {
        self.0.get(&connection)
    }

    pub(super) fn end(&mut self, connection: ConnectionId) -> Option<Meeting> {
        self.0.remove(&connection)
    }

    pub(super) fn late(&self, now: Instant) -> Option<ConnectionId> {
        let late = |meeting: &Meeting| meeting.until <= now;
        self.0
            .iter()
            .find(|(_, meeting)| late(meeting))
            .map(|(connection, _)| *connection)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|meeting| meeting.until).min()
    }
}

/// A record names no more.
const MAX_RELAYS: usize = 3;
const AT_ONCE: NonZeroU8 = NonZeroU8::new(3).expect("3 is not 0");

const MAX_RACES: usize = 16;
const PATIENCE: Duration = Duration::from_secs(12);
