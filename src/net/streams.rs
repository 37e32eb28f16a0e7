//! Streams of our own protocols over libp2p connections: opened and accepted, nothing else.
//!
//! Like the crate `libp2p-stream`, with three differences that a node on the Internet needs: a
//! stream is opened on a connection that the caller names, nobody is dialled for it, and nothing
//! is kept of a connection that has closed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, Stream, StreamProtocol};

/// Opens streams and accepts those of the protocols that it was made with.
#[derive(Debug)]
pub struct Behaviour {
    accepted: Vec<StreamProtocol>,
    to_open: VecDeque<(PeerId, ConnectionId, Open)>,
    arrived: VecDeque<Event>,
    next: u64,
}

/// Names a stream that was asked for, until [`Event::Opened`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening(u64);

/// What happened to a stream.
pub enum Event {
    /// The other end opened this.
    Accepted {
        peer: PeerId,
        connection: ConnectionId,
        protocol: StreamProtocol,
        stream: Stream,
    },
    /// The answer to [`Behaviour::open`]. If the connection closes before, there is none.
    Opened {
        peer: PeerId,
        connection: ConnectionId,
        opening: Opening,
        stream: Result<Stream, OpenError>,
    },
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Accepted { peer, protocol, .. } => write!(f, "Accepted({peer}, {protocol})"),
            Event::Opened { peer, opening, .. } => write!(f, "Opened({peer}, {opening:?})"),
        }
    }
}

/// Why a stream could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("the other end does not know this protocol")]
    Unsupported,
    #[error("the other end did not answer")]
    Failed,
}

impl Behaviour {
    pub fn new(accepted: Vec<StreamProtocol>) -> Behaviour {
        Behaviour {
            accepted,
            to_open: VecDeque::new(),
            arrived: VecDeque::new(),
            next: 0,
        }
    }

    /// Asks for a stream on an open connection.
    pub fn open(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        protocol: StreamProtocol,
    ) -> Opening {
        let opening = Opening(self.next);
        self.next += 1;
        self.to_open
            .push_back((peer, connection, Open { opening, protocol }));
        opening
    }

    fn handler(&self) -> Handler {
        Handler {
            accepted: self.accepted.clone(),
            to_open: VecDeque::new(),
            arrived: VecDeque::new(),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        if let FromSwarm::ConnectionClosed(closed) = event {
            self.to_open
                .retain(|(_, connection, _)| *connection != closed.connection_id);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.arrived.push_back(match event {
            Arrived::Accepted(protocol, stream) => Event::Accepted {
                peer,
                connection,
                protocol,
                stream,
            },
            Arrived::Opened(opening, stream) => Event::Opened {
                peer,
                connection,
                opening,
                stream,
            },
        });
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(event) = self.arrived.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(event));
        }
        if let Some((peer_id, connection, event)) = self.to_open.pop_front() {
            return Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(connection),
                event,
            });
        }
        Poll::Pending
    }
}

/// A stream to open.
#[derive(Clone, Debug)]
pub struct Open {
    opening: Opening,
    protocol: StreamProtocol,
}

/// A stream that a connection has brought, or failed to bring.
pub enum Arrived {
    Accepted(StreamProtocol, Stream),
    Opened(Opening, Result<Stream, OpenError>),
}

impl fmt::Debug for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arrived::Accepted(protocol, _) => write!(f, "Accepted({protocol})"),
            Arrived::Opened(opening, _) => write!(f, "Opened({opening:?})"),
        }
    }
}

/// The part of [`Behaviour`] that lives with one connection.
#[derive(Debug)]
pub struct Handler {
    accepted: Vec<StreamProtocol>,
    to_open: VecDeque<Open>,
    arrived: VecDeque<Arrived>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Arrived;
    type InboundProtocol = AnyOf;
    type OutboundProtocol = AnyOf;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opening;

    fn listen_protocol(&self) -> SubstreamProtocol<AnyOf, ()> {
        SubstreamProtocol::new(AnyOf(self.accepted.clone()), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<AnyOf, Opening, Arrived>> {
        if let Some(arrived) = self.arrived.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(arrived));
        }
        if let Some(Open { opening, protocol }) = self.to_open.pop_front() {
            let protocol =
                SubstreamProtocol::new(AnyOf(vec![protocol]), opening).with_timeout(OPEN_TIMEOUT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, open: Open) {
        self.to_open.push_back(open);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<AnyOf, AnyOf, Self::InboundOpenInfo, Self::OutboundOpenInfo>,
    ) {
        match event {
            // Dropping a stream resets it.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                ..
            }) if self.arrived.len() < MAX_WAITING => {
                self.arrived.push_back(Arrived::Accepted(protocol, stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (stream, _),
                info,
            }) => self.arrived.push_back(Arrived::Opened(info, Ok(stream))),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let error = match error {
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                    _ => OpenError::Failed,
                };
                self.arrived.push_back(Arrived::Opened(info, Err(error)));
            }
            _ => {}
        }
    }
}

/// Whichever of these protocols the other end agrees to, with nothing added to the stream.
#[derive(Debug)]
pub struct AnyOf(Vec<StreamProtocol>);

impl UpgradeInfo for AnyOf {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for AnyOf {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for AnyOf {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

/// Streams of one connection that wait to be taken.
const MAX_WAITING: usize = 8;

const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
