//! What libp2p reports, and what follows from it.

use libp2p::core::ConnectedPoint;
use libp2p::kad;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, identify};
use std::time::Duration;

use super::behaviour::BehaviourEvent;
use super::peers::Roles;
use super::run::{Purpose, Running};
use super::{NodeEvent, address, now};
use crate::net::{streams, swarm};

impl Running {
    pub(super) fn happened(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.connected(peer_id, connection_id, endpoint),
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                ..
            } => self.connection_closed(peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                tracing::debug!("a dial failed: {error}");
                self.pool.failed(connection_id, now());
                self.meeting_failed(connection_id);
            }
            SwarmEvent::NewListenAddr { listener_id, .. } => self.relays.confirmed(listener_id),
            SwarmEvent::ListenerClosed {
                listener_id,
                reason,
                ..
            } => {
                tracing::debug!("a reservation ended: {reason:?}");
                self.relays.closed(listener_id, now());
            }
            SwarmEvent::Behaviour(event) => self.behaved(event),
            _ => {}
        }
    }

    fn connected(&mut self, peer: PeerId, connection: ConnectionId, endpoint: ConnectedPoint) {
        if self.meetings.of(connection).is_some() {
            self.open(peer, connection, Purpose::Call);
            return;
        }
        match endpoint {
            ConnectedPoint::Dialer { address, .. } if !address::is_circuit(&address) => {
                self.pool.connected(connection, peer);
                if let Some(address) = address::with_peer(address, peer) {
                    self.peers.connected(peer, connection, address);
                }
            }
            _ => {
                self.callers.insert(connection, now() + CALLER_PATIENCE);
            }
        }
    }

    fn connection_closed(&mut self, peer: PeerId, connection: ConnectionId) {
        let now = now();
        for circuit in self.circuits.connection_closed(connection) {
            self.outbox.push(NodeEvent::Closed(circuit));
        }
        self.meeting_failed(connection);
        self.callers.remove(&connection);
        for (_, (_, purpose)) in self.openings.extract_if(.., |_, open| open.0 == connection) {
            if let Purpose::Room(ticket) = purpose {
                self.rooms.failed(ticket);
            }
        }
        if let Some(peer) = self.proxies.on(connection) {
            self.proxy_failed(peer);
        }
        if let Some(gone) = self.peers.closed(peer, connection) {
            let early = gone.roles.is_none_or(|roles| !roles.is_any());
            self.pool.lost(peer, early, now);
            self.rooms.lost(peer);
            if let Some(listener) = self.relays.lost(peer, now) {
                self.swarm.remove_listener(listener);
            }
        }
    }

    fn behaved(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.identified(peer_id, &info.protocols);
            }
            BehaviourEvent::Ping(libp2p::ping::Event {
                peer,
                connection,
                result: Err(error),
            }) => {
                tracing::debug!("{peer} does not answer pings: {error}");
                self.swarm.close_connection(connection);
            }
            BehaviourEvent::Streams(event) => self.stream(event),
            BehaviourEvent::Public(kad::Event::RoutablePeer { peer, address }) => {
                self.route_public(peer, address);
            }
            BehaviourEvent::Public(event) | BehaviourEvent::Kad(event) => self.kad_event(event),
            _ => {}
        }
    }

    fn identified(&mut self, peer: PeerId, protocols: &[libp2p::StreamProtocol]) {
        let roles = Roles::of(protocols);
        let Some(known) = self.peers.identified(peer, roles) else {
            return;
        };
        let address = known.address.clone();
        if roles.kad {
            let kad = &mut self.swarm.behaviour_mut().kad;
            kad.add_address(&peer, address.clone());
            if !self.only_global() {
                self.dht_known();
            }
        }
        if roles.directory {
            self.find_proxies();
        }
        if roles.public {
            self.route_public(peer, address.clone());
        }
        if roles.relay {
            let ultrapeer = roles.is_ultrapeer();
            self.relays.offer(peer, address.clone(), ultrapeer, now());
        }
        if roles.reflector {
            self.rooms.met(peer, now());
        }
        if roles.is_ultrapeer() && self.peers.remember(peer, address) {
            self.outbox.push(NodeEvent::GoodPeers(self.peers.good()));
        }
        if roles.gossip
            && self.gossip.wants(peer)
            && let Some(connection) = self.peers.connection(peer)
        {
            self.open(peer, connection, Purpose::Gossip);
        }
    }

    /// A node of the public DHT, as far as its address is one for the world.
    fn route_public(&mut self, peer: PeerId, address: Multiaddr) {
        let Some(address) = address::with_peer(address, peer) else {
            return;
        };
        if let Some((peer, address)) = address::strict(address, true)
            && let Some(kad) = self.swarm.behaviour_mut().public.as_mut()
        {
            kad.add_address(&peer, address);
            self.dht_known();
            self.enter_public();
        }
    }

    pub(super) fn open(&mut self, peer: PeerId, connection: ConnectionId, purpose: Purpose) {
        let protocol = match purpose {
            Purpose::Call => swarm::CALL,
            Purpose::Gossip => swarm::PEERS,
            Purpose::Directory => swarm::DIRECTORY,
            Purpose::Room(_) => swarm::REFLECT,
        };
        let streams = &mut self.swarm.behaviour_mut().streams;
        let opening = streams.open(peer, connection, protocol);
        self.openings.insert(opening, (connection, purpose));
    }

    fn stream(&mut self, event: streams::Event) {
        match event {
            streams::Event::Accepted {
                peer,
                connection,
                stream,
                ..
            } => self.accept(peer, connection, stream),
            streams::Event::Opened {
                peer,
                connection,
                opening,
                stream,
            } => {
                let Some((_, purpose)) = self.openings.remove(&opening) else {
                    return;
                };
                match (purpose, stream) {
                    (Purpose::Call, Ok(stream)) => self.called(peer, connection, stream),
                    (Purpose::Call, Err(_)) => {
                        self.meeting_failed(connection);
                        self.swarm.close_connection(connection);
                    }
                    (Purpose::Gossip, Ok(stream)) => self.gossip.read(stream),
                    (Purpose::Gossip, Err(_)) => {}
                    (Purpose::Directory, Ok(stream)) => self.proxies.opened(peer, stream),
                    (Purpose::Directory, Err(_)) => self.proxy_failed(peer),
                    (Purpose::Room(ticket), Ok(stream)) => {
                        self.reflector_opened(peer, ticket, stream);
                    }
                    (Purpose::Room(ticket), Err(_)) => self.rooms.failed(ticket),
                }
            }
        }
    }

    fn called(&mut self, peer: PeerId, connection: ConnectionId, stream: Stream) {
        // Without a meeting it came too late: dropping the stream resets it.
        if let Some(meeting) = self.meetings.end(connection) {
            let circuit = self.circuits.opened(peer, connection, stream);
            self.met(meeting.ticket, Some(circuit));
        }
    }

    fn accept(&mut self, peer: PeerId, connection: ConnectionId, stream: Stream) {
        if self.outbox.is_full() || self.is_me(peer) {
            return;
        }
        let Some((circuit, replaced)) = self.circuits.accepted(peer, connection, stream) else {
            return;
        };
        if let Some(replaced) = replaced {
            self.close_circuit(replaced);
            self.outbox.push(NodeEvent::Closed(replaced));
        }
        self.outbox.push(NodeEvent::Incoming(circuit));
    }

    pub(super) fn meeting_failed(&mut self, connection: ConnectionId) {
        if let Some(meeting) = self.meetings.end(connection) {
            self.met(meeting.ticket, None);
        }
    }
}

/// Whoever connects and opens no call has no business here.
const CALLER_PATIENCE: Duration = Duration::from_secs(8);
