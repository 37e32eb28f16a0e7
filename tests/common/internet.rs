//! A small internet: hosts behind routers, cables that delay and lose, whole regions that vanish.
//!
//! Datagrams go hop by hop, so that a router decides at the moment when they reach it. Nothing here
//! knows of phones; see `homes.rs`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::nat::Nat;

/// What the cable between a node and the segment above it does, in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Cable {
    pub delay: Duration,
    /// Added to the delay, evenly between nothing and this; late packets hold up the next.
    pub jitter: Duration,
    pub loss: f64,
    /// Bytes per second, headers of UDP and IP included; 0: any number.
    pub rate: u32,
    /// A packet that would wait longer for the line than this is dropped.
    pub queue: Duration,
}

impl Cable {
    pub fn of(delay: Duration) -> Cable {
        Cable {
            delay,
            jitter: Duration::ZERO,
            loss: 0.0,
            rate: 0,
            queue: Duration::from_millis(200),
        }
    }
}

/// A host or a router.
pub type NodeId = usize;

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Packet {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// A datagram that has come to a host.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub host: NodeId,
    pub packet: Packet,
}

/// See the [module](self).
pub struct Internet {
    pub now: Duration,
    nodes: Vec<Node>,
    hops: BTreeMap<(Duration, u64), Hop>,
    count: u64,
    /// Nothing passes between these two on the public segment.
    severed: Vec<[IpAddr; 2]>,
    /// Pairs between which that share is lost across the public segment.
    thin: Vec<([IpAddr; 2], f64)>,
    /// Datagrams to addresses where nobody is.
    pub nowhere: Vec<(Duration, Packet)>,
    /// All that has passed the public segment: when, and how.
    pub public: Vec<(Duration, Packet)>,
    rng: ChaCha20Rng,
}

struct Node {
    addresses: Vec<IpAddr>,
    behind: Option<NodeId>,
    router: Option<Nat>,
    up: Line,
    down: Line,
    /// Cable out.
    is_out: bool,
}

struct Line {
    cable: Cable,
    free_at: Duration,
    last_at: Duration,
}

struct Hop {
    node: NodeId,
    way: Way,
    packet: Packet,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

impl Internet {
    pub fn new(seed: u64) -> Internet {
        Internet {
            now: Duration::ZERO,
            nodes: Vec::new(),
            hops: BTreeMap::new(),
            count: 0,
            severed: Vec::new(),
            thin: Vec::new(),
            nowhere: Vec::new(),
            public: Vec::new(),
            rng: ChaCha20Rng::seed_from_u64(seed),
        }
    }

    pub fn host(&mut self, addresses: &[IpAddr], behind: Option<NodeId>, cable: Cable) -> NodeId {
        self.add(addresses.to_vec(), behind, None, cable)
    }

    /// Its own address is the NAT's outside address.
    pub fn router(&mut self, nat: Nat, behind: Option<NodeId>, cable: Cable) -> NodeId {
        let outside = vec![IpAddr::V4(nat.outside)];
        self.add(outside, behind, Some(nat), cable)
    }

    fn add(
        &mut self,
        addresses: Vec<IpAddr>,
        behind: Option<NodeId>,
        router: Option<Nat>,
        cable: Cable,
    ) -> NodeId {
        let line = || Line {
            cable,
            free_at: Duration::ZERO,
            last_at: Duration::ZERO,
        };
        self.nodes.push(Node {
            addresses,
            behind,
            router,
            up: line(),
            down: line(),
            is_out: false,
        });
        self.nodes.len() - 1
    }

    pub fn addresses(&self, host: NodeId) -> &[IpAddr] {
        &self.nodes[host].addresses
    }

    pub fn behind(&self, node: NodeId) -> Option<NodeId> {
        self.nodes[node].behind
    }

    pub fn nat(&mut self, router: NodeId) -> &mut Nat {
        self.nodes[router].router.as_mut().expect("a router")
    }

    /// Changes both directions of the cable above a node.
    pub fn lay(&mut self, node: NodeId, cable: Cable) {
        self.nodes[node].up.cable = cable;
        self.nodes[node].down.cable = cable;
    }

    /// Pulls a node's cable out, or puts it in again.
    pub fn pull(&mut self, node: NodeId, is_out: bool) {
        self.nodes[node].is_out = is_out;
    }

    /// A host gets other addresses, or goes behind another router.
    pub fn move_host(&mut self, host: NodeId, behind: Option<NodeId>, addresses: &[IpAddr]) {
        self.nodes[host].behind = behind;
        self.nodes[host].addresses = addresses.to_vec();
    }

    /// A router comes back without any memory, perhaps with another address.
    pub fn reboot(&mut self, router: NodeId, outside: Option<std::net::Ipv4Addr>) {
        self.nat(router).reboot(outside);
        let outside = self.nat(router).outside;
        self.nodes[router].addresses = vec![IpAddr::V4(outside)];
    }

    /// From now on nothing gets from one to the other across the public segment.
    pub fn sever(&mut self, a: IpAddr, b: IpAddr) {
        self.severed.push([a, b]);
    }

    /// From now on that share of what goes from one to the other across the public segment is lost,
    /// either way.
    pub fn thin(&mut self, a: IpAddr, b: IpAddr, loss: f64) {
        self.thin.push(([a, b], loss));
    }

    pub fn mend(&mut self) {
        self.thin.clear();
        self.severed.clear();
    }

    /// The address that others see of what a host sends to the public segment.
    pub fn outside(&self, host: NodeId) -> IpAddr {
        let mut seen = self.nodes[host].addresses[0];
        let mut node = host;
        while let Some(above) = self.nodes[node].behind {
            let nat = self.nodes[above].router.as_ref().expect("a router");
            if nat.translates(seen) {
                seen = IpAddr::V4(nat.outside);
            }
            node = above;
        }
        seen
    }

    /// A host sends a datagram. False if it has no address of that family.
    pub fn send(&mut self, host: NodeId, port: u16, to: SocketAddr, bytes: &[u8]) -> bool {
        let addresses = self.nodes[host].addresses.iter();
        let from = addresses.copied().find(|ip| ip.is_ipv4() == to.is_ipv4());
        let Some(from) = from else {
            return false;
        };
        let packet = Packet {
            from: SocketAddr::new(from, port),
            to,
            bytes: bytes.to_vec(),
        };
        if !to.ip().is_loopback() {
            self.cross(host, Way::Up, packet);
        }
        true
    }

    pub fn next_moment(&self) -> Option<Duration> {
        self.hops.keys().next().map(|(at, _)| *at)
    }

    /// Moves everything that is due by `now`, and gives the next datagram that has come to a host.
    pub fn step(&mut self, now: Duration) -> Option<Arrival> {
        while let Some(entry) = self.hops.first_entry()
            && entry.key().0 <= now
        {
            self.now = entry.key().0;
            let Hop { node, way, packet } = entry.remove();
            match way {
                Way::Up => self.pass(self.nodes[node].behind, packet),
                Way::Down if self.nodes[node].router.is_some() => self.enter(node, packet),
                Way::Down => {
                    let is_here = self.nodes[node].addresses.contains(&packet.to.ip());
                    let arrival = Arrival { host: node, packet };
                    if is_here {
                        return Some(arrival);
                    }
                }
            }
        }
        self.now = now;
        None
    }

    /// A packet is on a segment: the public one, or that inside a router.
    fn pass(&mut self, segment: Option<NodeId>, packet: Packet) {
        let to = packet.to.ip();
        if segment.is_none() && self.is_cut(packet.from.ip(), to) {
            return;
        }
        if segment.is_none() {
            self.public.push((self.now, packet.clone()));
        }
        let mut nodes = 0..self.nodes.len();
        let next = nodes.find(|&n| self.nodes[n].behind == segment && self.leads_to(n, to));
        match (next, segment) {
            (Some(next), _) => self.cross(next, Way::Down, packet),
            (None, Some(router)) => self.leave(router, packet),
            (None, None) => self.nowhere.push((self.now, packet)),
        }
    }

    /// A packet from inside reaches its router.
    fn leave(&mut self, router: NodeId, mut packet: Packet) {
        let now = self.now;
        let is_own = self.nodes[router].addresses.contains(&packet.to.ip());
        let nat = self.nat(router);
        let Some(from) = nat.outbound(now, packet.from, packet.to) else {
            return;
        };
        packet.from = from;
        if !is_own {
            self.cross(router, Way::Up, packet);
        } else if nat.rules.hairpins {
            self.enter(router, packet);
        }
    }

    /// A packet from outside reaches a router.
    fn enter(&mut self, router: NodeId, mut packet: Packet) {
        let now = self.now;
        if let Some(to) = self.nat(router).inbound(now, packet.from, packet.to) {
            packet.to = to;
            self.pass_inside(router, packet);
        }
    }

    /// Only downwards: a router never sends back what came from outside.
    fn pass_inside(&mut self, router: NodeId, packet: Packet) {
        let to = packet.to.ip();
        let mut nodes = 0..self.nodes.len();
        let is_inside = |n: usize| self.nodes[n].behind == Some(router);
        if let Some(next) = nodes.find(|&n| is_inside(n) && self.leads_to(n, to)) {
            self.cross(next, Way::Down, packet);
        }
    }

    fn leads_to(&self, node: NodeId, ip: IpAddr) -> bool {
        let this = &self.nodes[node];
        if this.addresses.contains(&ip) {
            return true;
        }
        let is_plain = this.router.as_ref().is_some_and(|nat| !nat.translates(ip));
        let mut nodes = 0..self.nodes.len();
        is_plain && nodes.any(|n| self.nodes[n].behind == Some(node) && self.leads_to(n, ip))
    }

    fn is_cut(&mut self, a: IpAddr, b: IpAddr) -> bool {
        let is_pair = |pair: &[IpAddr; 2]| *pair == [a, b] || *pair == [b, a];
        let loss = self.thin.iter().find(|(pair, _)| is_pair(pair));
        let lost = loss
            .is_some_and(|(_, loss)| f64::from(self.rng.next_u32()) / f64::from(u32::MAX) < *loss);
        lost || self.severed.iter().any(is_pair)
    }

    fn cross(&mut self, node: NodeId, way: Way, packet: Packet) {
        let chance = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        let spread = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        let now = self.now;
        let this = &mut self.nodes[node];
        let line = match way {
            Way::Up => &mut this.up,
            Way::Down => &mut this.down,
        };
        if this.is_out || (line.cable.loss > 0.0 && chance < line.cable.loss) {
            return;
        }
        let Some(sent) = line.take(now, packet.bytes.len() + HEADERS) else {
            return;
        };
        let at = sent + line.cable.delay + line.cable.jitter.mul_f64(spread);
        line.last_at = line.last_at.max(at);
        let at = line.last_at;
        self.count += 1;
        self.hops
            .insert((at, self.count), Hop { node, way, packet });
    }
}

impl Line {
    /// When the last bit is on the line, or `None` if the queue is full.
    fn take(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        if self.cable.rate == 0 {
            return Some(now);
        }
        let begin = self.free_at.max(now);
        if begin - now > self.cable.queue {
            return None;
        }
        let takes = bytes as f64 / f64::from(self.cable.rate);
        self.free_at = begin + Duration::from_secs_f64(takes);
        Some(self.free_at)
    }
}

/// Bytes of UDP's and IPv4's headers.
const HEADERS: usize = 28;
