//! The nodes through which the network is entered: those named in the settings, those of last
//! time, and those that others told of.
//!
//! Decides whom to dial when. Dials nobody.

use std::time::Duration;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::address::peer_of;
use super::pause::pause;

/// All nodes that are known, each with what came of dialling it.
#[derive(Debug, Default)]
pub(super) struct Pool {
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    address: Multiaddr,
    peer: Option<PeerId>,
    source: Source,
    failures: u32,
    next: Instant,
    state: State,
}

/// Who named a node. Later ones give way to earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Settings,
    LastTime,
    Others,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Dialling(ConnectionId),
    Connected(PeerId),
}

/// How things look to somebody who waits for the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outlook {
    pub known: usize,
    /// All of them failed when they were tried last.
    pub dead: bool,
    /// When the next is tried.
    pub next: Option<Instant>,
}

impl Pool {
    /// Adds a node unless it is known. Those of others find no room in a full pool, unless one of
    /// them never answered.
    pub(super) fn learn(&mut self, address: Multiaddr, source: Source, now: Instant) {
        let peer = peer_of(&address);
        let same = |known: &Known| {
            known.address == address || (peer.is_some() && known.peer == peer && known.is_alive())
        };
        if self.known.iter().any(same) {
            return;
        }
        if self.known.len() >= MAX_KNOWN && !self.make_room(source) {
            return;
        }
        self.known.push(Known {
            address,
            peer,
            source,
            failures: 0,
            next: now,
            state: State::Idle,
        });
    }

    /// Takes the addresses to dial now: enough that `missing` nodes come of it even if one of the
    /// first is dead.
    pub(super) fn due(&mut self, missing: usize, now: Instant) -> Vec<Multiaddr> {
        if missing == 0 {
            return Vec::new();
        }
        let dialling = self.dialling();
        let mut due: Vec<&Known> = self
            .known
            .iter()
            .filter(|known| known.state == State::Idle && known.next <= now)
            .collect();
        due.sort_by_key(|known| (known.failures, known.source, known.next));
        due.into_iter()
            .take((missing + 1).saturating_sub(dialling))
            .map(|known| known.address.clone())
            .collect()
    }

    pub(super) fn dialling_now(&mut self, address: &Multiaddr, connection: ConnectionId) {
        if let Some(known) = self
            .known
            .iter_mut()
            .find(|known| known.address == *address)
        {
            known.state = State::Dialling(connection);
        }
    }

    /// The dial came to nothing.
    pub(super) fn failed(&mut self, connection: ConnectionId, now: Instant) {
        let dialled = |known: &&mut Known| known.state == State::Dialling(connection);
        if let Some(known) = self.known.iter_mut().find(dialled) {
            known.fail(now);
        }
    }

    /// An address that cannot even be tried.
    pub(super) fn refused(&mut self, address: &Multiaddr, now: Instant) {
        if let Some(known) = self
            .known
            .iter_mut()
            .find(|known| known.address == *address)
        {
            known.fail(now);
        }
    }

    pub(super) fn connected(&mut self, connection: ConnectionId, peer: PeerId) {
        for known in &mut self.known {
            if known.state == State::Dialling(connection) || known.peer == Some(peer) {
                known.state = State::Connected(peer);
                known.failures = 0;
            }
        }
    }

    /// The last connection to that peer is gone. `early`: before it was of any use.
    pub(super) fn lost(&mut self, peer: PeerId, early: bool, now: Instant) {
        for known in &mut self.known {
            if known.state != State::Connected(peer) {
                continue;
            }
            known.state = State::Idle;
            if early {
                known.fail(now);
            } else {
                known.next = now + pause(1, AGAIN, AGAIN);
            }
        }
    }

    /// The computer is somewhere else: what failed may work now, and what worked is of no use.
    pub(super) fn restart(&mut self, now: Instant) {
        for known in &mut self.known {
            known.state = State::Idle;
            known.failures = 0;
            known.next = now;
        }
    }

    pub(super) fn outlook(&self) -> Outlook {
        let idle = |known: &&Known| known.state == State::Idle;
        Outlook {
            known: self.known.len(),
            dead: self
                .known
                .iter()
                .all(|known| known.failures > 0 && !matches!(known.state, State::Connected(_))),
            next: self.known.iter().filter(idle).map(|known| known.next).min(),
        }
    }

    fn dialling(&self) -> usize {
        let dialling = |known: &&Known| matches!(known.state, State::Dialling(_));
        self.known.iter().filter(dialling).count()
    }

    /// Forgets the worst of those that others named, or that failed most often.
    fn make_room(&mut self, source: Source) -> bool {
        let worst = self
            .known
            .iter()
            .enumerate()
            .filter(|(_, known)| known.state == State::Idle && known.source != Source::Settings)
            .filter(|(_, known)| known.failures > 0 || known.source > source)
            .max_by_key(|(_, known)| (known.source, known.failures))
            .map(|(index, _)| index);
        if let Some(index) = worst {
            self.known.swap_remove(index);
        }
        worst.is_some()
    }
}

impl Known {
    fn is_alive(&self) -> bool {
        self.failures == 0
    }

    fn fail(&mut self, now: Instant) {
        self.state = State::Idle;
        self.failures = self.failures.saturating_add(1);
        self.next = now + pause(self.failures, FIRST_PAUSE, LONGEST_PAUSE);
    }
}

/// Nodes that are remembered, dead or alive.
const MAX_KNOWN: usize = 64;

/// After the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// However often it failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// After a connection that was good and ended.
const AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::node::now;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}")
            .parse()
            .expect("an address")
    }

    fn dial(pool: &mut Pool, missing: usize, now: Instant) -> Vec<ConnectionId> {
        let due = pool.due(missing, now);
        due.iter()
            .map(|address| {
                let connection = ConnectionId::new_unchecked(usize::from(port(address)));
                pool.dialling_now(address, connection);
                connection
            })
            .collect()
    }

    fn port(address: &Multiaddr) -> u16 {
        match address.iter().nth(1) {
            Some(libp2p::multiaddr::Protocol::Tcp(port)) => port,
            _ => panic!("{address} has no port"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_dead_are_tried_again_ever_more_seldom() {
        let mut now = now();
        let mut pool = Pool::default();
        pool.learn(address(1), Source::Settings, now);
        assert!(!pool.outlook().dead);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let dialled = dial(&mut pool, 2, now);
            assert_eq!(dialled.len(), 1);
            assert!(dial(&mut pool, 2, now).is_empty(), "dialled twice at once");
            pool.failed(dialled[0], now);
            let outlook = pool.outlook();
            assert!(outlook.dead);
            let next = outlook.next.expect("it is tried again");
            pauses.push(next - now);
            assert!(dial(&mut pool, 2, next - Duration::from_millis(1)).is_empty());
            now = next;
        }
        assert!(pauses[0] < Duration::from_secs(3), "{pauses:?}");
        assert!(
            pauses
                .iter()
                .all(|pause| *pause <= LONGEST_PAUSE.mul_f64(1.21))
        );
        assert!(pauses[11] >= LONGEST_PAUSE.mul_f64(0.79), "{pauses:?}");

        pool.restart(now);
        let dialled = dial(&mut pool, 2, now);
        let peer = PeerId::random();
        pool.connected(dialled[0], peer);
        assert!(!pool.outlook().dead);
        assert!(dial(&mut pool, 2, now).is_empty(), "it is connected");

        pool.restart(now);
        pool.lost(peer, false, now);
        let again = dial(&mut pool, 2, now);
        assert_eq!(
            again.len(),
            1,
            "it waits, although the old connection is of no use"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_addresses_push_nobody_out_who_answers() {
        let now = now();
        let mut pool = Pool::default();
        pool.learn(address(1), Source::Settings, now);
        pool.learn(address(2), Source::LastTime, now);
        for n in 0..10_000 {
            pool.learn(address(1000 + n), Source::Others, now);
        }
        assert_eq!(pool.known.len(), MAX_KNOWN);
        pool.learn(address(3), Source::Settings, now);
        assert_eq!(pool.known.len(), MAX_KNOWN);
        for port in 1..=3 {
            assert!(
                pool.known
                    .iter()
                    .any(|known| known.address == address(port))
            );
        }
        assert_eq!(pool.due(2, now)[..2], [address(1), address(3)]);
    }
}
