//! The one loop of an ultrapeer: what libp2p, the streams and the clock bring, and what follows.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libp2p::futures::StreamExt;
use libp2p::kad::{self, InboundRequest, Record, RecordKey};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, identify, relay};
use tokio::sync::{mpsc, oneshot, watch};

use super::behaviour::{self, Behaviour, BehaviourEvent};
use super::clients::Clients;
use super::errands::{Errand, Errands};
use super::fence::Fence;
use super::listen::listen;
use super::lookups::{Job, Lookups, Which};
use super::mesh::{Mesh, split, with_name};
use super::rate::Rates;
use super::rooms::Rooms;
use super::shelf::Shelf;
use super::streams::Said;
use super::table::{SharedShelf, shards};
use super::{Limits, Options, RelayError, Status};
use crate::config::Network;
use crate::net::is_global;
use crate::net::swarm::{DIRECTORY, KAD_PRIVATE, KAD_PUBLIC, ip};
use crate::peer::Redacted;

/// See the module.
pub struct Ultrapeer {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) shelf: SharedShelf,
    pub(super) clients: Clients,
    pub(super) lookups: Lookups,
    pub(super) mesh: Mesh,
    pub(super) limits: Limits,
    pub(super) said: mpsc::Sender<Said>,
    pub(super) status: Status,
    pub(super) errands: Errands,
    pub(super) rooms: Rooms,
    heard: mpsc::Receiver<Said>,
    fence: Fence,
    pub(super) external: Vec<Multiaddr>,
    puts: Rates<PeerId>,
    pub(super) asks: Rates<PeerId>,
    started: Instant,
    upkeep: Upkeep,
    told: watch::Sender<Status>,
}

/// When the slow duties are next done.
#[derive(Debug, Default)]
struct Upkeep {
    gossip: Duration,
    bootstrap: Duration,
    provide: Duration,
    watched: Duration,
}

/// Now, since the start and in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub mono: Duration,
    pub unix: u64,
}

impl Ultrapeer {
    pub async fn start(
        options: &Options,
        fence: Fence,
        bootstrap: Vec<(PeerId, Multiaddr)>,
        named: Vec<Multiaddr>,
    ) -> Result<(Ultrapeer, Vec<Multiaddr>, watch::Receiver<Status>), RelayError> {
        let public = options.network == Network::Public;
        let shelf = SharedShelf::new(Shelf::new(options.limits.records));
        let mut swarm =
            behaviour::build(&options.key, public, fence.clone(), &shelf, &options.limits)?;
        let listening = listen(&mut swarm, options).await?;
        let external = reachable(listening, named, &fence);
        for address in &external {
            swarm.add_external_address(address.clone());
        }
        let me = *swarm.local_peer_id();
        let addresses = external
            .iter()
            .map(|address| with_name(address, me))
            .collect();

        let rooms = Rooms::start(options, me, &fence, &external)?;
        let (said, heard) = mpsc::channel(QUEUE);
        let mut mesh = Mesh::default();
        for (node, address) in bootstrap.into_iter().filter(|(node, _)| *node != me) {
            mesh.learn(node, vec![address], true);
        }
        let (told, status) = watch::channel(Status::default());
        let ultrapeer = Ultrapeer {
            swarm,
            shelf,
            clients: Clients::default(),
            lookups: Lookups::default(),
            mesh,
            limits: options.limits.clone(),
            said,
            status: Status::default(),
            errands: Errands::default(),
            rooms,
            heard,
            fence,
            external,
            puts: Rates::new(6000, 3000),
            asks: Rates::new(20, 20),
            started: instant(),
            upkeep: Upkeep::default(),
            told,
        };
        Ok((ultrapeer, addresses, status))
    }

    /// Runs until it is told to stop.
    pub async fn run(
        mut self,
        mut stop: oneshot::Receiver<()>,
        mut secret: watch::Receiver<Redacted<[u8; 16]>>,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut stop => break,
                event = self.swarm.select_next_some() => self.swarm_event(event),
                Ok(()) = secret.changed() => {
                    let Redacted(secret) = *secret.borrow_and_update();
                    self.rooms.set_secret(secret);
                }
                Some(said) = self.heard.recv() => self.stream_event(said),
                _ = tick.tick() => self.tick(),
            }
            self.read_more();
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment {
            mono: instant().duration_since(self.started),
            unix: unix(),
        }
    }

    pub(super) fn kad(&mut self, which: Which) -> Option<&mut kad::Behaviour<super::Table>> {
        let behaviour = self.swarm.behaviour_mut();
        match which {
            Which::Own => Some(&mut behaviour.own),
            Which::Public => behaviour.public.as_mut(),
        }
    }

    fn swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Own(event)) => self.kad_event(Which::Own, event),
            SwarmEvent::Behaviour(BehaviourEvent::Public(event)) => {
                self.kad_event(Which::Public, event);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => self.identified(peer_id, &info),
            SwarmEvent::Behaviour(BehaviourEvent::Relay(event)) => self.relay_event(&event),
            SwarmEvent::Behaviour(BehaviourEvent::Streams(event)) => self.stream(event),
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                ..
            } => {
                self.forget_errands(connection_id);
                if num_established == 0 {
                    self.mesh.part(&peer_id, self.now().mono);
                }
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(node),
                error,
                ..
            } => self.unreached(node, &error),
            _ => {}
        }
    }

    fn kad_event(&mut self, which: Which, event: kad::Event) {
        match event {
            kad::Event::InboundRequest {
                request:
                    InboundRequest::PutRecord {
                        source,
                        record: Some(record),
                        ..
                    },
            } => self.put_by_node(source, record),
            kad::Event::InboundRequest {
                request:
                    InboundRequest::AddProvider {
                        record: Some(record),
                    },
            } => {
                use libp2p::kad::store::RecordStore;
                // A stranger's key is refused there.
                let _ = self
                    .kad(which)
                    .map(|kad| kad.store_mut().add_provider(record));
            }
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => self.query_event(which, id, result, step.last),
            _ => {}
        }
    }

    /// Another node of the DHT wants a record kept.
    fn put_by_node(&mut self, node: PeerId, record: Record) {
        let now = self.now();
        let member = self.mesh.is_member(&node);
        if !member
            && !self
                .clients
                .may_put_as_stranger(self.group(&node), now.mono)
            || !self.puts.take(node, now.mono)
        {
            self.status.refused += 1;
            return;
        }
        let source = self.source(&node);
        if self.keep(&record, source, now).is_err() {
            self.status.refused += 1;
        }
    }

    fn identified(&mut self, node: PeerId, info: &identify::Info) {
        let speaks = |protocol: StreamProtocol| info.protocols.contains(&protocol);
        let addresses: Vec<Multiaddr> = info
            .listen_addrs
            .iter()
            .filter(|address| self.fence.passes(address))
            .take(4)
            .map(super::bare)
            .collect();
        for (which, protocol) in [(Which::Own, KAD_PRIVATE), (Which::Public, KAD_PUBLIC)] {
            if speaks(protocol)
                && let Some(kad) = self.kad(which)
            {
                for address in &addresses {
                    kad.add_address(&node, address.clone());
                }
            }
        }
        let ultrapeer = speaks(DIRECTORY) && speaks(KAD_PRIVATE);
        self.mesh.identified(node, addresses, ultrapeer);
        self.join(node);
    }

    /// Opens what is to stand between two ultrapeers.
    fn join(&mut self, node: PeerId) {
        if let Some(requests) = self.mesh.join(node) {
            self.set_out(node, Errand::Attend(requests));
            self.set_out(node, Errand::Ask);
            self.share_with(node);
        }
    }

    fn unreached(&mut self, node: PeerId, error: &DialError) {
        if matches!(error, DialError::DialPeerConditionFalse(_)) {
            return;
        }
        let failures = self.mesh.failed(&node, self.now().mono);
        // A dead node would cost each put and each look-up the whole time of a dial.
        if failures != 1 && !self.swarm.is_connected(&node) {
            for which in [Which::Own, Which::Public] {
                self.kad(which).map(|kad| kad.remove_peer(&node));
            }
        }
    }

    fn relay_event(&mut self, event: &relay::Event) {
        let status = &mut self.status;
        match event {
            relay::Event::ReservationReqAccepted { renewed: false, .. } => status.reservations += 1,
            relay::Event::ReservationClosed { .. } | relay::Event::ReservationTimedOut { .. } => {
                status.reservations = status.reservations.saturating_sub(1);
            }
            relay::Event::CircuitReqAccepted { .. } => status.circuits += 1,
            relay::Event::CircuitClosed { .. } => {
                status.circuits = status.circuits.saturating_sub(1);
            }
            relay::Event::ReservationReqDenied { .. } | relay::Event::CircuitReqDenied { .. } => {
                status.refused += 1;
            }
            _ => {}
        }
    }

    fn stream_event(&mut self, said: Said) {
        let now = self.now();
        match said {
            Said::Request(client, request) => self.request(client, request),
            Said::Ended(client) => self.close_client(client),
            Said::Parted(node) => self.mesh.part(&node, now.mono),
            Said::Heard(peers) => self.heard_of(peers.0),
            Said::Asked(asked) => self.asked(asked),
        }
    }

    fn heard_of(&mut self, peers: Vec<Vec<u8>>) {
        let me = *self.swarm.local_peer_id();
        for bytes in peers {
            let Some((node, address)) = bytes.try_into().ok().and_then(split) else {
                continue;
            };
            if node != me && self.fence.passes(&address) {
                self.mesh.learn(node, vec![address], false);
            }
        }
        self.dial();
    }

    fn dial(&mut self) {
        let lost = self.swarm.network_info().num_peers() == 0;
        for (node, addresses) in self.mesh.due(self.now().mono, lost) {
            if self.swarm.is_connected(&node) {
                self.join(node);
                continue;
            }
            let options = DialOpts::peer_id(node)
                .addresses(addresses)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .build();
            // That it is being dialled already is no error; others come as an event too.
            let _ = self.swarm.dial(options);
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        self.shelf.lock().expire(now.unix);
        self.dial();
        self.tend_clients(now);
        if self.upkeep.gossip <= now.mono {
            self.upkeep.gossip = now.mono + Duration::from_secs(600);
            let members: Vec<PeerId> = self.mesh.members().copied().collect();
            for node in members {
                self.set_out(node, Errand::Ask);
            }
        }
        if self.upkeep.watched <= now.mono {
            self.upkeep.watched = now.mono + Duration::from_secs(15);
            self.read_watched(now);
        }
        self.tend_tables(now);
        self.status.connections = self.swarm.network_info().num_peers();
        self.status.ultrapeers = self.mesh.len();
        self.status.records = self.shelf.lock().count();
        self.status.reflector = self.rooms.tick(now.mono);
        let status = self.status;
        self.told
            .send_if_modified(|old| std::mem::replace(old, status) != status);
    }

    /// Fills the routing tables, and makes this ultrapeer known on the public DHT.
    fn tend_tables(&mut self, now: Moment) {
        if self.upkeep.bootstrap <= now.mono {
            let mut began = false;
            for which in [Which::Own, Which::Public] {
                if let Some(Ok(id)) = self.kad(which).map(kad::Behaviour::bootstrap) {
                    self.lookups.start(which, id, Job::Bootstrap);
                    began = true;
                }
            }
            // Until somebody is known it is tried again soon.
            let pause = if began { 3600 } else { 10 };
            self.upkeep.bootstrap = now.mono + Duration::from_secs(pause);
        }
        let public = self.swarm.behaviour().public.is_enabled();
        if public && self.upkeep.provide <= now.mono && self.swarm.connected_peers().count() >= 4 {
            self.upkeep.provide = now.mono + Duration::from_secs(12 * 3600);
            self.provide();
        }
    }

    fn provide(&mut self) {
        let reached = self
            .external
            .iter()
            .any(|address| ip(address).is_some_and(is_global) || self.fence.private);
        for key in shards() {
            let Some(kad) = self.kad(Which::Public) else {
                return;
            };
            let found = kad.get_providers(RecordKey::clone(&key));
            let provided = reached.then(|| kad.start_providing(key));
            self.lookups.start(Which::Public, found, Job::Shard);
            if let Some(Ok(id)) = provided {
                self.lookups.start(Which::Public, id, Job::Shard);
            }
        }
    }
}

/// The addresses that count as reachable until somebody proves otherwise: those of this computer
/// that are not only its own, and what the owner names. Its own if it has no others.
fn reachable(listening: Vec<Multiaddr>, named: Vec<Multiaddr>, fence: &Fence) -> Vec<Multiaddr> {
    let own = |address: &Multiaddr| ip(address).is_some_and(|ip| ip.is_loopback());
    let link = |address: &Multiaddr| {
        address
            .iter()
            .any(|part| matches!(part, Protocol::Ip6(ip) if ip.is_unicast_link_local()))
    };
    let (inside, mut outside): (Vec<_>, Vec<_>) = listening.into_iter().partition(own);
    outside.retain(|address| !link(address) && !named.contains(address));
    // On the public network a global address, if there is one, is the one to go by.
    outside.sort_by_key(|address| !ip(address).is_some_and(is_global));
    if !fence.private && outside.iter().any(|a| ip(a).is_some_and(is_global)) {
        outside.retain(|address| ip(address).is_some_and(is_global));
    }
    let all: Vec<Multiaddr> = named.into_iter().chain(outside).collect();
    if all.is_empty() { inside } else { all }
}

#[expect(clippy::disallowed_methods, reason = "the ultrapeer's clock")]
fn instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the ultrapeer's clock")]
fn unix() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// How often what is due is looked for.
const TICK: Duration = Duration::from_millis(500);

/// Messages of streams that wait for the loop.
const QUEUE: usize = 1024;
