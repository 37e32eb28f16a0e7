//! Whom this phone is connected with directly, and what they are good for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, StreamProtocol};

use crate::net::swarm;

/// The direct connections. Their number is bounded by the swarm's limits.
#[derive(Debug, Default)]
pub(super) struct Peers {
    connected: BTreeMap<PeerId, Peer>,
    /// Addresses of those that were of use, newest first.
    good: VecDeque<(PeerId, Multiaddr)>,
}

#[derive(Debug)]
pub(super) struct Peer {
    connections: BTreeSet<ConnectionId>,
    /// Where it was reached, with `/p2p`.
    pub address: Multiaddr,
    /// What it says that it does; `None` until it has said so.
    pub roles: Option<Roles>,
}

/// What a node does for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles {
    /// Puts and gets directory records for phones: an ultrapeer.
    pub directory: bool,
    /// Takes reservations.
    pub relay: bool,
    /// Is a server of the DHT of ultrapeers.
    pub kad: bool,
    /// Is a server of the public DHT.
    pub public: bool,
    /// Knows other ultrapeers.
    pub gossip: bool,
    /// Has a reflector for UDP.
    pub reflector: bool,
}

impl Roles {
    pub(super) fn of(protocols: &[StreamProtocol]) -> Roles {
        let has = |protocol| protocols.contains(&protocol);
        Roles {
            directory: has(swarm::DIRECTORY),
            relay: has(swarm::RELAY_HOP),
            kad: has(swarm::KAD_PRIVATE),
            public: has(swarm::KAD_PUBLIC),
            gossip: has(swarm::PEERS),
            reflector: has(swarm::REFLECT),
        }
    }

    /// One of our own network.
    pub(super) fn is_ultrapeer(self) -> bool {
        self.directory || self.kad
    }

    pub(super) fn is_any(self) -> bool {
        self != Roles::default()
    }
}

impl Peers {
    pub(super) fn connected(&mut self, peer: PeerId, connection: ConnectionId, address: Multiaddr) {
        let entry = self.connected.entry(peer).or_insert(Peer {
            connections: BTreeSet::new(),
            address,
            roles: None,
        });
        entry.connections.insert(connection);
    }

    /// The peer as it was, if this was its last connection.
    pub(super) fn closed(&mut self, peer: PeerId, connection: ConnectionId) -> Option<Peer> {
        let entry = self.connected.get_mut(&peer)?;
        entry.connections.remove(&connection);
        if entry.connections.is_empty() {
            return self.connected.remove(&peer);
        }
        None
    }

    /// Notes what a peer says of itself; `None` for one with whom there is no direct connection.
    pub(super) fn identified(&mut self, peer: PeerId, roles: Roles) -> Option<&Peer> {
        let entry = self.connected.get_mut(&peer)?;
        entry.roles = Some(roles);
        Some(entry)
    }

    /// The oldest direct connection to that peer.
    pub(super) fn connection(&self, peer: PeerId) -> Option<ConnectionId> {
        self.connected.get(&peer)?.connections.first().copied()
    }

    /// Where that peer was reached, with `/p2p`.
    pub(super) fn address(&self, peer: PeerId) -> Option<&Multiaddr> {
        Some(&self.connected.get(&peer)?.address)
    }

    /// Those that put and get directory records for phones.
    pub(super) fn with_directory(&self) -> Vec<(PeerId, ConnectionId)> {
        self.connected
            .iter()
            .filter(|(_, peer)| peer.roles.is_some_and(|roles| roles.directory))
            .filter_map(|(id, peer)| Some((*id, *peer.connections.first()?)))
            .collect()
    }

    /// How many nodes are there through which something can be had, or may be.
    pub(super) fn useful(&self, public: bool) -> usize {
        self.connected
            .values()
            .filter(|peer| match peer.roles {
                None => true,
                Some(roles) if public => roles.is_any(),
                Some(roles) => roles.is_ultrapeer() || roles.relay,
            })
            .count()
    }

    pub(super) fn answering(&self) -> bool {
        self.connected
            .values()
            .any(|peer| peer.roles.is_some_and(Roles::is_any))
    }

    pub(super) fn ultrapeers(&self) -> usize {
        self.connected
            .values()
            .filter(|peer| peer.roles.is_some_and(Roles::is_ultrapeer))
            .count()
    }

    pub(super) fn all(&self) -> Vec<PeerId> {
        self.connected.keys().copied().collect()
    }

    /// Remembers where a useful peer was reached. `true`: that is new.
    pub(super) fn remember(&mut self, peer: PeerId, address: Multiaddr) -> bool {
        if self.good.front() == Some(&(peer, address.clone())) {
            return false;
        }
        let known = self
            .good
            .iter()
            .any(|good| good.0 == peer && good.1 == address);
        self.good.retain(|(other, _)| *other != peer);
        self.good.push_front((peer, address));
        self.good.truncate(MAX_GOOD);
        !known
    }

    pub(super) fn good(&self) -> Vec<String> {
        self.good
            .iter()
            .map(|(_, address)| address.to_string())
            .collect()
    }
}

/// Nodes to start with next time.
const MAX_GOOD: usize = 16;
