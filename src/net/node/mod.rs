//! The phone in the network of others: found, met, and told what it looks for.
//!
//! [`Node`] runs libp2p on a thread of its own. The engine asks with [`NodeCommand`]s and hears
//! [`NodeEvent`]s; neither side ever waits for the other. Nothing here knows who anybody is: names
//! are blinded, records are sealed, and the datagrams of calls are the phone core's.

mod address;
mod behaviour;
mod circuits;
mod dht;
mod directory;
mod events;
mod gossip;
mod lan;
mod meet;
mod offers;
mod outbox;
mod pause;
mod peers;
mod pool;
mod proxies;
mod relays;
mod rooms;
mod run;
mod telling;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::thread;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::Network;
use crate::directory::Offer;
use crate::net::proxy::Refusal;
use crate::net::reflect::Pass;
use crate::peer::{PeerId, Secret32};
use crate::phone::types::{CircuitId, Missing, Room};

/// How the node starts.
#[derive(Clone)]
pub struct NodeOptions {
    pub network: Network,
    /// Multiaddrs from the settings, in the order of writing.
    pub bootstrap: Vec<String>,
    /// What [`NodeEvent::GoodPeers`] said last time. What cannot be read of it is left out.
    pub cache: Vec<String>,
    /// The same at each start: of it are made the names that hide among them those that are
    /// really watched.
    pub decoys: [u8; 32],
    /// Passes of friends' reflectors.
    pub passes: Vec<Pass>,
    /// Whether contacts are looked for in the LAN. Not for phones that listen on the loopback.
    pub lan: bool,
}

impl fmt::Debug for NodeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeOptions")
            .field("network", &self.network)
            .field("bootstrap", &self.bootstrap)
            .field("cache", &self.cache)
            .field("lan", &self.lan)
            .finish_non_exhaustive()
    }
}

/// What the node is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeCommand {
    /// Publish this record. Answered by [`NodeEvent::Stored`] or [`NodeEvent::Refused`]. Put again
    /// by itself when the ultrapeer that published it is gone.
    Put { name: [u8; 32], value: Vec<u8> },
    /// From now on tell of these names and no others: [`NodeEvent::Record`], [`NodeEvent::Gone`].
    Watch(BTreeSet<[u8; 32]>),
    /// Read this record once. Answered by [`NodeEvent::Record`] or [`NodeEvent::Absent`].
    Get { name: [u8; 32] },
    /// Look for contacts in the LAN: each with the secret of its location. `own` is ours and our UDP
    /// port, by which they find us; without it nothing is announced.
    Lan {
        own: Option<(Secret32, u16)>,
        contacts: Vec<(PeerId, Secret32)>,
    },
    /// Open a circuit to that libp2p peer through whichever of these relays (at most three,
    /// multiaddrs with `/p2p`) is first. Answered by [`NodeEvent::Met`] with the same ticket.
    Meet {
        ticket: u64,
        peer: Vec<u8>,
        relays: Vec<Vec<u8>>,
    },
    /// End a circuit. [`NodeEvent::Closed`] does not follow.
    Close(CircuitId),
    /// Have rooms made for a call. Answered by up to as many [`NodeEvent::Room`] with the same
    /// ticket, of different ultrapeers, as soon as any are there within 20 s.
    Rooms { ticket: u64, missing: Missing },
    /// The ultrapeers that contacts run for us, all of them: asked for rooms like others, and before
    /// them.
    Offers(Vec<Offer>),
    /// The computer is somewhere else: all connections are made anew.
    NetworkChanged,
}

/// What the node has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    State(NodeState),
    /// Where this phone can be met from now on: its libp2p PeerId, and relays as multiaddrs with
    /// `/p2p`, at most three. None: nowhere.
    Routes {
        peer: Vec<u8>,
        relays: Vec<Vec<u8>>,
    },
    /// A record that was asked for or is watched: signed by its name, in date, and newer than
    /// what was said of that name before.
    Record {
        name: [u8; 32],
        value: Vec<u8>,
    },
    /// Whoever put the record up to this sequence has left its ultrapeer. Only a hint.
    Gone {
        name: [u8; 32],
        sequence: u64,
    },
    /// Nobody has that record.
    Absent {
        name: [u8; 32],
    },
    /// So many nodes took the record.
    Stored {
        name: [u8; 32],
        copies: u16,
    },
    /// The record was not published.
    Refused {
        name: [u8; 32],
        why: Refusal,
    },
    /// How far the clocks of ultrapeers are ahead of ours, in seconds.
    Clock {
        offset_s: i64,
    },
    /// The answer to [`NodeCommand::Meet`].
    Met {
        ticket: u64,
        circuit: Option<CircuitId>,
    },
    /// Somebody opened a circuit to this phone.
    Incoming(CircuitId),
    Datagram(CircuitId, Box<[u8]>),
    /// A circuit ended that nobody here had closed.
    Closed(CircuitId),
    /// Very likely that contact is in our LAN, at this UDP address.
    Lan {
        id: PeerId,
        address: SocketAddr,
    },
    /// An answer to [`NodeCommand::Rooms`].
    Room {
        ticket: u64,
        room: Box<Room>,
    },
    /// All UDP ports that are known to say from where they are asked, those of each reflector
    /// together.
    Mirrors(Vec<SocketAddr>),
    /// Nodes that answered, for the next start.
    GoodPeers(Vec<String>),
}

/// How far the phone is in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    pub phase: Phase,
    /// Ultrapeers that are connected.
    pub ultrapeers: u32,
    /// Relays that hold a reservation for this phone.
    pub relays: u32,
    /// What is going on or wrong, for a person; empty when all is well.
    pub words: String,
}

impl NodeState {
    pub(crate) fn of(phase: Phase) -> NodeState {
        NodeState {
            phase,
            ultrapeers: 0,
            relays: 0,
            words: String::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Off,
    /// Nobody has answered yet.
    Joining,
    /// Nobody answers; it is tried again with growing pauses.
    Offline,
    /// Others can be asked.
    Online,
    /// And this phone can be met.
    Reachable,
}

/// The running node. It ends when this is dropped.
#[derive(Debug)]
pub struct Node {
    commands: mpsc::Sender<NodeCommand>,
    datagrams: mpsc::Sender<(CircuitId, Box<[u8]>)>,
}

impl Node {
    /// Starts the node's thread. With [`Network::None`] it says [`Phase::Off`] and does nothing.
    ///
    /// # Errors
    /// When a bootstrap address is none, or the system gives no thread.
    pub fn start(options: NodeOptions) -> Result<(Node, mpsc::Receiver<NodeEvent>), NodeError> {
        let bootstrap = options
            .bootstrap
            .iter()
            .map(|text| address::bootstrap(text))
            .collect::<Result<Vec<_>, _>>()?;
        let (commands, asked) = mpsc::channel(COMMANDS);
        let (datagrams, leaving) = mpsc::channel(DATAGRAMS);
        let (tell, events) = mpsc::channel(EVENTS);
        let node = Node {
            commands,
            datagrams,
        };
        if options.network == Network::None {
            tell.try_send(NodeEvent::State(NodeState::of(Phase::Off)))
                .expect("the channel is new and has room");
            return Ok((node, events));
        }
        let ends = run::Ends {
            asked,
            leaving,
            tell,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(NodeError::Thread)?;
        thread::Builder::new()
            .name("net".to_owned())
            .spawn(move || runtime.block_on(run::run(options, bootstrap, ends)))
            .map_err(NodeError::Thread)?;
        Ok((node, events))
    }

    /// Never waits. `false`: the node is too busy, or off, and will not do it.
    pub fn ask(&self, command: NodeCommand) -> bool {
        let asked = self.commands.try_send(command);
        if let Err(error) = &asked {
            tracing::debug!("the node was not asked: {error}");
        }
        asked.is_ok()
    }

    /// Sends a datagram over a circuit, now or never.
    pub fn send(&self, circuit: CircuitId, datagram: &[u8]) {
        // A full queue loses it, as a full road would.
        let _ = self.datagrams.try_send((circuit, datagram.into()));
    }
}

/// Why the node does not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(
        "`{address}` is no address of a node: {why}; write it like \
         /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW..., as `twocan relay` prints it"
    )]
    Address { address: String, why: String },
    #[error("cannot start the network: {0}")]
    Thread(io::Error),
}

#[expect(clippy::disallowed_methods, reason = "the node is a driver")]
fn now() -> Instant {
    Instant::now()
}

const COMMANDS: usize = 256;
const DATAGRAMS: usize = 64;
const EVENTS: usize = 256;
