//! Streams that this ultrapeer wants at others, and those that others open here.

use std::collections::BTreeMap;

use libp2p::swarm::ConnectionId;
use libp2p::{PeerId, Stream, StreamProtocol};
use tokio::sync::mpsc;

use super::run::Ultrapeer;
use super::streams;
use crate::net::proxy::Request;
use crate::net::streams::{Event, Opening};
use crate::net::swarm::{DIRECTORY, PEERS, REFLECT};

/// What a stream is wanted for.
#[derive(Debug)]
pub enum Errand {
    /// Carry requests there, for as long as it lasts.
    Attend(mpsc::Receiver<Request>),
    /// Ask whom it knows.
    Ask,
}

/// Those whose streams are not open yet.
#[derive(Debug, Default)]
pub struct Errands(BTreeMap<Opening, (PeerId, ConnectionId, Errand)>);

impl Errand {
    fn protocol(&self) -> StreamProtocol {
        match self {
            Errand::Attend(_) => DIRECTORY,
            Errand::Ask => PEERS,
        }
    }
}

impl Ultrapeer {
    /// Opens a stream for that, if there is a connection.
    pub fn set_out(&mut self, node: PeerId, errand: Errand) {
        let behaviour = self.swarm.behaviour_mut();
        let Some(connection) = behaviour.guests.connection(&node) else {
            return self.give_up(node, &errand);
        };
        let opening = behaviour.streams.open(node, connection, errand.protocol());
        self.errands.0.insert(opening, (node, connection, errand));
    }

    pub fn stream(&mut self, event: Event) {
        match event {
            Event::Accepted {
                peer,
                protocol,
                stream,
                ..
            } => self.accepted(peer, &protocol, stream),
            Event::Opened {
                opening, stream, ..
            } => {
                let Some((node, _, errand)) = self.errands.0.remove(&opening) else {
                    return;
                };
                match (stream, errand) {
                    (Ok(stream), Errand::Attend(requests)) => {
                        streams::attend(node, stream, requests, self.said.clone());
                    }
                    (Ok(stream), Errand::Ask) => streams::ask(node, stream, self.said.clone()),
                    (Err(error), errand) => {
                        tracing::debug!("no stream to ultrapeer {node}: {error}");
                        self.give_up(node, &errand);
                    }
                }
            }
        }
    }

    /// The connection is closed: its streams will not be opened.
    pub fn forget_errands(&mut self, closed: ConnectionId) {
        let gone: Vec<_> = self
            .errands
            .0
            .extract_if(.., |_, (_, connection, _)| *connection == closed)
            .collect();
        for (_, (node, _, errand)) in gone {
            self.give_up(node, &errand);
        }
    }

    fn give_up(&mut self, node: PeerId, errand: &Errand) {
        if matches!(errand, Errand::Attend(_)) {
            let now = self.now().mono;
            self.mesh.part(&node, now);
        }
    }

    fn accepted(&mut self, node: PeerId, protocol: &StreamProtocol, stream: Stream) {
        let now = self.now().mono;
        if *protocol == DIRECTORY {
            self.open_client(node, stream);
        } else if *protocol == REFLECT {
            self.open_asking(node, stream);
        } else if self.asks.take(node, now) {
            let me = *self.swarm.local_peer_id();
            streams::gossip(stream, self.mesh.peers(me, &self.external));
        }
    }
}
