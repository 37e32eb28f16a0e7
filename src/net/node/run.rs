//! The node's one loop: it carries what happens to whom it concerns, and then sets the next timer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use libp2p::futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::behaviour::{self, Behaviour};
use super::circuits::{CircuitNews, Circuits};
use super::dht::Dht;
use super::directory::Wishes;
use super::gossip::{Gossip, GossipNews};
use super::lan::{Lan, Neighbour};
use super::meet::Meetings;
use super::offers::Offers;
use super::outbox::Outbox;
use super::peers::Peers;
use super::pool::{Pool, Source};
use super::proxies::Proxies;
use super::relays::Relays;
use super::rooms::Rooms;
use super::telling::Told;
use super::{NodeCommand, NodeEvent, NodeOptions, address, now};
use crate::config::Network;
use crate::net::streams::Opening;
use crate::net::swarm;
use crate::phone::types::CircuitId;

/// The node's ends of the channels to the engine.
pub(super) struct Ends {
    pub asked: mpsc::Receiver<NodeCommand>,
    pub leaving: mpsc::Receiver<(CircuitId, Box<[u8]>)>,
    pub tell: mpsc::Sender<NodeEvent>,
}

/// Runs until the engine has dropped its ends.
pub(super) async fn run(options: NodeOptions, bootstrap: Vec<Multiaddr>, mut ends: Ends) {
    let (circuits, mut datagrams) = Circuits::new();
    let (gossip, mut rumours) = Gossip::new();
    let (proxies, mut answers) = Proxies::new();
    let (lan, mut neighbours) = Lan::new();
    let (rooms, mut given) = Rooms::new(options.passes.clone());
    let parts = (circuits, gossip, proxies, lan, rooms);
    let mut running = match Running::new(&options, bootstrap, parts) {
        Ok(running) => running,
        Err(error) => {
            tracing::error!("the network cannot be used: {error}");
            return;
        }
    };
    loop {
        let deadline = running.settle();
        tokio::select! {
            event = running.swarm.select_next_some() => running.happened(event),
            command = ends.asked.recv() => match command {
                Some(command) => running.command(command),
                None => return,
            },
            Some((circuit, datagram)) = ends.leaving.recv() => {
                running.circuits.send(circuit, datagram);
            }
            Some(news) = datagrams.recv() => running.circuit_news(news),
            Some(news) = rumours.recv() => running.rumours(news),
            Some(news) = answers.recv() => running.proxy_news(news),
            Some(news) = given.recv() => running.room_news(news),
            Some(neighbour) = neighbours.recv() => running.neighbour(neighbour),
            room = ends.tell.reserve(), if !running.outbox.is_empty() => match room {
                Ok(room) => if let Some(event) = running.outbox.pop() {
                    room.send(event);
                },
                Err(_) => return,
            },
            () = sleep_until(deadline) => {}
        }
    }
}

/// Everything the loop works on.
pub(super) struct Running {
    pub swarm: Swarm<Behaviour>,
    pub network: Network,
    pub pool: Pool,
    pub peers: Peers,
    pub relays: Relays,
    pub circuits: Circuits,
    pub meetings: Meetings,
    pub gossip: Gossip,
    pub proxies: Proxies,
    pub wishes: Wishes,
    pub dht: Dht,
    lan: Option<Lan>,
    pub rooms: Rooms,
    pub offers: Offers,
    pub decoys: [u8; 32],
    /// Connections that strangers opened, until when they have to be used for a call.
    pub callers: BTreeMap<ConnectionId, Instant>,
    pub openings: BTreeMap<Opening, (ConnectionId, Purpose)>,
    pub outbox: Outbox,
    pub told: Told,
}

/// What a stream that was asked for is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Call,
    Gossip,
    Directory,
    /// Of a call, or only for the reflector's ports.
    Room(Option<u64>),
}

impl Running {
    fn new(
        options: &NodeOptions,
        bootstrap: Vec<Multiaddr>,
        (circuits, gossip, proxies, lan, rooms): (Circuits, Gossip, Proxies, Lan, Rooms),
    ) -> Result<Running, libp2p::noise::Error> {
        let now = now();
        let mut pool = Pool::default();
        let cache = options
            .cache
            .iter()
            .filter_map(|text| address::bootstrap(text).ok());
        let public = match options.network {
            Network::Public => swarm::PUBLIC_ENTRIES.as_slice(),
            Network::Private | Network::None => &[],
        };
        let public = public.iter().filter_map(|text| text.parse().ok());
        for address in bootstrap.into_iter().chain(public) {
            pool.learn(address, Source::Settings, now);
        }
        for address in cache.take(MAX_CACHE) {
            pool.learn(address, Source::LastTime, now);
        }
        Ok(Running {
            swarm: behaviour::swarm(options.network)?,
            network: options.network,
            pool,
            peers: Peers::default(),
            relays: Relays::default(),
            circuits,
            meetings: Meetings::default(),
            gossip,
            proxies,
            wishes: Wishes::default(),
            dht: Dht::default(),
            lan: options.lan.then_some(lan),
            rooms,
            offers: Offers::default(),
            decoys: options.decoys,
            callers: BTreeMap::new(),
            openings: BTreeMap::new(),
            outbox: Outbox::default(),
            told: Told::default(),
        })
    }

    pub(super) fn only_global(&self) -> bool {
        self.network == Network::Public
    }

    fn command(&mut self, command: NodeCommand) {
        match command {
            NodeCommand::Put { name, value } => self.put(name, value),
            NodeCommand::Watch(names) => {
                self.watch(names);
                self.restart_round();
            }
            NodeCommand::Get { name } => self.get(name),
            NodeCommand::Lan { own, contacts } => {
                let unix = self.unix();
                let lan = self.lan.as_mut();
                let found = lan.map(|lan| lan.set(own, contacts, unix));
                self.neighbours(found.unwrap_or_default());
            }
            NodeCommand::Meet {
                ticket,
                peer,
                relays,
            } => self.meet(ticket, &peer, &relays),
            NodeCommand::Close(circuit) => self.close_circuit(circuit),
            NodeCommand::Rooms { ticket, missing } => self.need_rooms(ticket, &missing),
            NodeCommand::Offers(offers) => self.take_offers(&offers),
            NodeCommand::NetworkChanged => self.start_anew(),
        }
    }

    fn meet(&mut self, ticket: u64, peer: &[u8], relays: &[Vec<u8>]) {
        let race = self.meetings.race(peer, relays, self.only_global());
        let Some(dial) = race else {
            self.met(ticket, None);
            return;
        };
        let connection = dial.connection_id();
        match self.swarm.dial(dial) {
            Ok(()) => self.meetings.running(connection, ticket, now()),
            Err(error) => {
                tracing::debug!("cannot meet: {error}");
                self.met(ticket, None);
            }
        }
    }

    pub(super) fn met(&mut self, ticket: u64, circuit: Option<CircuitId>) {
        self.outbox.push(NodeEvent::Met { ticket, circuit });
    }

    pub(super) fn close_circuit(&mut self, circuit: CircuitId) {
        if let Some(connection) = self.circuits.close(circuit) {
            self.swarm.close_connection(connection);
        }
    }

    fn start_anew(&mut self) {
        self.pool.restart(now());
        for listener in self.relays.restart() {
            self.swarm.remove_listener(listener);
        }
        self.proxies.restart();
        for peer in self.peers.all() {
            // It can only fail for a peer that is gone already.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    fn circuit_news(&mut self, news: CircuitNews) {
        match news {
            CircuitNews::Datagram(circuit, datagram) => {
                if self.circuits.is_open(circuit) {
                    self.outbox.push(NodeEvent::Datagram(circuit, datagram));
                }
            }
            CircuitNews::Ended(circuit) => {
                if self.circuits.is_open(circuit) {
                    self.close_circuit(circuit);
                    self.outbox.push(NodeEvent::Closed(circuit));
                }
            }
        }
    }

    fn neighbour(&mut self, neighbour: Neighbour) {
        let unix = self.unix();
        let lan = self.lan.as_mut();
        let found = lan.map(|lan| lan.heard(neighbour, unix));
        self.neighbours(found.unwrap_or_default());
    }

    fn neighbours(&mut self, found: Vec<(crate::peer::PeerId, SocketAddr)>) {
        for (id, address) in found {
            self.outbox.push(NodeEvent::Lan { id, address });
        }
    }

    fn rumours(&mut self, news: GossipNews) {
        let now = now();
        for bytes in news.addresses {
            if let Some((_, address)) = address::named(&bytes, self.only_global()) {
                self.pool.learn(address, Source::Others, now);
            }
        }
    }

    /// Does what is due, says what has changed, and answers when to come back.
    fn settle(&mut self) -> Instant {
        let now = now();
        self.dial_nodes(now);
        self.reserve(now);
        while let Some(connection) = self.meetings.late(now) {
            self.meeting_failed(connection);
            self.swarm.close_connection(connection);
        }
        self.close_idle_callers(now);
        self.serve_directory(now);
        self.ask_reflectors(now);
        let unix = self.unix();
        if let Some(lan) = &mut self.lan {
            lan.announce(unix);
        }
        self.tell(now);
        let pool = self.pool.outlook().next.filter(|_| self.missing() > 0);
        let callers = self.callers.values().min().copied();
        [
            pool,
            self.relays.deadline(),
            self.meetings.deadline(),
            callers,
            self.proxies.deadline(),
            self.wishes.deadline(),
            self.dht.deadline(),
            self.rooms.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(now + LONGEST_SLEEP)
        // What is due and cannot be done now must not turn the loop into a wheel.
        .max(now + SHORTEST_SLEEP)
    }

    fn missing(&self) -> usize {
        WANTED.saturating_sub(self.peers.useful(self.only_global()))
    }

    fn dial_nodes(&mut self, now: Instant) {
        for address in self.pool.due(self.missing(), now) {
            let dial = DialOpts::unknown_peer_id().address(address.clone()).build();
            let connection = dial.connection_id();
            match self.swarm.dial(dial) {
                Ok(()) => self.pool.dialling_now(&address, connection),
                Err(error) => {
                    tracing::debug!("cannot dial {address}: {error}");
                    self.pool.refused(&address, now);
                }
            }
        }
    }

    fn reserve(&mut self, now: Instant) {
        while let Some((peer, address)) = self.relays.due(now) {
            match self.swarm.listen_on(address.with(Protocol::P2pCircuit)) {
                Ok(listener) => self.relays.asked(peer, listener, now),
                Err(error) => {
                    tracing::debug!("cannot reserve at {peer}: {error}");
                    self.relays.failed(peer, now);
                }
            }
        }
        while let Some(listener) = self.relays.stuck(now) {
            self.swarm.remove_listener(listener);
        }
    }

    fn serve_directory(&mut self, now: Instant) {
        while let Some(peer) = self.proxies.late(now) {
            self.proxy_failed(peer);
        }
        if self.proxies.forgive(now) {
            self.find_proxies();
        }
        self.chase(now);
        self.watch_again(now);
        self.read_rounds(now);
    }

    fn close_idle_callers(&mut self, now: Instant) {
        let late: Vec<ConnectionId> = self
            .callers
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(connection, _)| *connection)
            .collect();
        for connection in late {
            self.callers.remove(&connection);
            if !self.circuits.uses(connection) {
                self.swarm.close_connection(connection);
            }
        }
    }

    pub(super) fn is_me(&self, peer: PeerId) -> bool {
        *self.swarm.local_peer_id() == peer
    }
}

/// Nodes to stay connected with.
const WANTED: usize = 2;

/// Entries of the last start that are tried.
const MAX_CACHE: usize = 16;

/// Also the longest that the LAN's tag of the past hour stays.
const LONGEST_SLEEP: Duration = Duration::from_secs(600);
const SHORTEST_SLEEP: Duration = Duration::from_millis(50);
