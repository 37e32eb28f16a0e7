//! How many connections one address may have here.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use crate::net::swarm::ip;

/// Refuses connections from addresses that have too many already, and knows the address of each.
#[derive(Debug)]
pub struct Guests {
    most: usize,
    connections: HashMap<ConnectionId, (PeerId, IpAddr)>,
    counts: HashMap<IpAddr, usize>,
    homes: HashMap<PeerId, IpAddr>,
}

impl Guests {
    /// At most that many connections from one address.
    pub fn new(most: usize) -> Guests {
        Guests {
            most,
            connections: HashMap::new(),
            counts: HashMap::new(),
            homes: HashMap::new(),
        }
    }

    /// The address of a node that is connected.
    pub fn home(&self, node: &PeerId) -> Option<IpAddr> {
        self.homes.get(node).copied()
    }

    /// A connection that stands to that node.
    pub fn connection(&self, node: &PeerId) -> Option<ConnectionId> {
        let mut theirs = self
            .connections
            .iter()
            .filter(|(_, (peer, _))| peer == node);
        theirs.next().map(|(id, _)| *id)
    }

    fn arrive(&mut self, id: ConnectionId, node: PeerId, address: &Multiaddr) {
        if let Some(ip) = ip(address) {
            self.connections.insert(id, (node, ip));
            self.homes.insert(node, ip);
            *self.counts.entry(ip).or_default() += 1;
        }
    }

    fn leave(&mut self, id: ConnectionId, last: bool) {
        let Some((node, ip)) = self.connections.remove(&id) else {
            return;
        };
        if let Some(count) = self.counts.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&ip);
            }
        }
        if last {
            self.homes.remove(&node);
        }
    }
}

/// Says why a connection was refused.
#[derive(Debug, thiserror::Error)]
#[error("{0} has too many connections here")]
struct TooMany(IpAddr);

impl NetworkBehaviour for Guests {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        match ip(remote) {
            Some(ip)
                if self
                    .counts
                    .get(&ip)
                    .is_some_and(|&count| count >= self.most) =>
            {
                Err(ConnectionDenied::new(TooMany(ip)))
            }
            _ => Ok(()),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        // Many may have come up at the same time.
        self.handle_pending_inbound_connection(ConnectionId::new_unchecked(0), local, remote)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(made) => self.arrive(
                made.connection_id,
                made.peer_id,
                made.endpoint.get_remote_address(),
            ),
            FromSwarm::ConnectionClosed(ConnectionClosed {
                connection_id,
                remaining_established,
                ..
            }) => self.leave(connection_id, remaining_established == 0),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
