//! Phones that live in homes of the simulated internet, with reflectors between them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use twocan::peer::PeerId;
use twocan::phone::types::{Datagram, Input, Missing, Path, Room, SideId};

use super::internet::{Arrival, Cable, Internet, NodeId};
use super::nat::{Nat, Rules};
use super::reflector::Reflector;
use super::{Seen, World};

/// What stands between a phone and the public internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    Open,
    Firewall,
    FullCone,
    AddressRestricted,
    PortRestricted,
    /// Symmetric, with random ports.
    Symmetric,
    /// Symmetric, with ports one after the other.
    Sequential,
    /// One random port for each address outside, and open to all of that address.
    AddressDependent,
    /// A port-restricted router behind a provider's, which takes random ports.
    Cgnat,
    /// A port-restricted router behind a symmetric one with random ports.
    HardCgnat,
    /// A full cone behind an address-restricted router of the same house.
    DoubleNat,
    /// A symmetric router that forwards the phone's port.
    PortMapped,
    UdpBlocked,
    /// Only TCP to port 443: for datagrams the same.
    TcpOnly,
}

impl Home {
    pub const ALL: [Home; 14] = [
        Home::Open,
        Home::Firewall,
        Home::FullCone,
        Home::AddressRestricted,
        Home::PortRestricted,
        Home::Symmetric,
        Home::Sequential,
        Home::AddressDependent,
        Home::Cgnat,
        Home::HardCgnat,
        Home::DoubleNat,
        Home::PortMapped,
        Home::UdpBlocked,
        Home::TcpOnly,
    ];

    /// Seen from outside in: the routers before the phone.
    fn routers(self) -> &'static [Rules] {
        match self {
            Home::Open => &[],
            Home::Firewall => &[Rules::FIREWALL],
            Home::FullCone => &[Rules::FULL_CONE],
            Home::AddressRestricted => &[Rules::ADDRESS_RESTRICTED],
            Home::PortRestricted => &[Rules::PORT_RESTRICTED],
            Home::Symmetric | Home::PortMapped => &[Rules::SYMMETRIC],
            Home::Sequential => &[Rules::SEQUENTIAL],
            Home::AddressDependent => &[Rules::ADDRESS_DEPENDENT],
            Home::Cgnat => &[Rules::PROVIDER, Rules::PORT_RESTRICTED],
            Home::HardCgnat => &[Rules::SYMMETRIC, Rules::PORT_RESTRICTED],
            Home::DoubleNat => &[Rules::ADDRESS_RESTRICTED, Rules::FULL_CONE],
            Home::UdpBlocked | Home::TcpOnly => &[Rules::NO_UDP],
        }
    }
}

/// The internet, and who lives where.
pub struct Homes {
    pub net: Internet,
    /// By side of the world.
    pub hosts: Vec<NodeId>,
    /// Where a router forwards to the phone, by side.
    pub mapped: Vec<Option<SocketAddr>>,
    pub reflectors: Vec<Reflector>,
    /// The cables of homes to come, one way.
    pub link: Duration,
    /// How long it takes to be given a room.
    pub rooms_take: Duration,
    /// Who has asked for rooms, and when.
    pub asked: Vec<(Duration, usize)>,
    /// Ports beside the phone's own that are open, and the most that ever were.
    pub ports: BTreeMap<(usize, SideId), u16>,
    pub most_ports: usize,
    next_port: u16,
    rooms: BTreeMap<(Duration, usize), (usize, PeerId, Box<Room>)>,
    seed: u64,
}

impl Homes {
    /// Two reflectors of different owners and nobody else.
    pub fn new(seed: u8) -> Homes {
        let seed = u64::from(seed) << 8;
        let mut homes = Homes {
            net: Internet::new(seed),
            hosts: Vec::new(),
            mapped: Vec::new(),
            reflectors: Vec::new(),
            link: Duration::from_millis(8),
            rooms_take: Duration::from_millis(60),
            asked: Vec::new(),
            ports: BTreeMap::new(),
            most_ports: 0,
            next_port: 30_000,
            rooms: BTreeMap::new(),
            seed,
        };
        for (number, delay) in [(1, 5), (2, 15)] {
            homes.add_reflector(number, Duration::from_millis(delay));
        }
        homes
    }

    /// One more reflector.
    pub fn add_reflector(&mut self, number: u8, delay: Duration) {
        let six = Ipv6Addr::new(0x2620, 9, 0, 0, 0, 0, 0, u16::from(number));
        let addresses = [IpAddr::from([9, 0, 0, number]), six.into()];
        let host = self.net.host(&addresses, None, Cable::of(delay));
        let seed = (self.seed & !0xff) + u64::from(number);
        self.reflectors.push(Reflector::new(host, &addresses, seed));
    }

    /// A router; the outermost has a public address, those behind it one of its network.
    pub fn router(&mut self, rules: Rules, behind: Option<NodeId>, delay: Duration) -> NodeId {
        self.seed += 1;
        let number = (self.seed & 0xff) as u8;
        let outside = match behind {
            None => Ipv4Addr::new(20, 0, 0, number),
            Some(_) => Ipv4Addr::new(100, 64, 0, number),
        };
        let nat = Nat::new(rules, outside, self.seed);
        self.net.router(nat, behind, Cable::of(delay))
    }

    /// The next phone's host, with that address behind that router.
    pub fn live(&mut self, behind: Option<NodeId>, addresses: &[IpAddr]) -> NodeId {
        let cable = Cable::of(match behind {
            None => self.link,
            Some(_) => Duration::ZERO,
        });
        let host = self.net.host(addresses, behind, cable);
        self.hosts.push(host);
        self.mapped.push(None);
        host
    }

    /// The next phone's host, in a home of its own.
    pub fn settle(&mut self, home: Home) -> NodeId {
        let side = self.hosts.len() as u8;
        let routers = home.routers();
        let mut behind = None;
        for rules in routers {
            behind = Some(self.router(*rules, behind, self.link / routers.len() as u32));
        }
        // Many homes have the same network inside.
        let address = match home {
            Home::Open | Home::Firewall => [21, 0, side, 2],
            _ => [192, 168, 1, 2 + side],
        };
        let host = self.live(behind, &[address.into()]);
        if let (Home::PortMapped, Some(router)) = (home, behind) {
            let inside = SocketAddr::from((address, PORT));
            self.mapped[usize::from(side)] = Some(self.net.nat(router).forward(inside));
        }
        host
    }

    /// The router next to a side's phone.
    pub fn router_of(&self, side: usize) -> NodeId {
        self.net.behind(self.hosts[side]).expect("behind a router")
    }

    /// Where a side's phone is seen from, its public address.
    pub fn outside(&self, side: usize) -> IpAddr {
        self.net.outside(self.hosts[side])
    }

    pub fn next_moment(&self) -> Option<Duration> {
        let room = self.rooms.keys().next().map(|(at, _)| *at);
        self.net.next_moment().into_iter().chain(room).min()
    }

    fn addresses(&self, side: usize) -> Vec<SocketAddr> {
        let addresses = self.net.addresses(self.hosts[side]).iter();
        addresses.map(|ip| SocketAddr::new(*ip, PORT)).collect()
    }

    fn mirrors(&self) -> Vec<SocketAddr> {
        let reflectors = self.reflectors.iter().filter(|r| !r.is_dead);
        reflectors.flat_map(Reflector::mirrors).collect()
    }

    fn port(&mut self, side: usize, path: Path) -> (u16, SocketAddr) {
        match path {
            Path::Udp(to) => (PORT, to),
            Path::Side(number, to) => {
                let next = &mut self.next_port;
                let port = *self.ports.entry((side, number)).or_insert_with(|| {
                    *next += 1;
                    *next
                });
                self.most_ports = self.most_ports.max(self.ports.len());
                (port, to)
            }
            other => panic!("{other:?} is not for the wire"),
        }
    }

    fn path(&self, side: usize, port: u16, from: SocketAddr) -> Option<Path> {
        if port == PORT {
            return Some(Path::Udp(from));
        }
        let mut ports = self.ports.iter();
        let found = ports.find(|((of, _), open)| *of == side && **open == port);
        found.map(|((_, number), _)| Path::Side(*number, from))
    }
}

impl World {
    /// Two friends who know no address of each other, in homes of these kinds.
    pub fn at_homes(seed: u8, homes: [Home; 2]) -> World {
        World::friends(seed).settle(Homes::new(seed), homes)
    }

    /// The same somewhere else.
    pub fn settle(self, mut there: Homes, homes: [Home; 2]) -> World {
        for home in homes {
            there.settle(home);
        }
        self.live_in(there)
    }

    /// The phones of this world move into homes, where they find each other by the directory and
    /// relays only.
    pub fn live_in(mut self, homes: Homes) -> World {
        assert_eq!(homes.hosts.len(), self.sides.len());
        self = self.with_sky();
        self.run(Duration::from_secs(60));
        self.wire.clear();
        self.homes = Some(homes);
        for side in 0..self.sides.len() {
            let addresses = self.homes().addresses(side);
            self.sides[side].address = addresses[0];
            self.restart_with(side, |settings| {
                settings.addresses = addresses;
                settings.contacts.iter_mut().for_each(|c| c.hints.clear());
            });
            self.sides[side].events.clear();
            let mirrors = self.homes().mirrors();
            self.handle(side, Input::Mirrors(mirrors));
            if let Some(mapped) = self.homes().mapped[side] {
                self.handle(side, Input::Mapped(Some(mapped)));
            }
        }
        self
    }

    pub fn homes(&mut self) -> &mut Homes {
        self.homes.as_mut().expect("in homes")
    }

    /// Pulls a side's cable out, or puts it in again.
    pub fn pull(&mut self, side: usize, is_out: bool) {
        self.sides[side].unplugged = is_out;
        let host = self.homes().hosts[side];
        self.homes().net.pull(host, is_out);
    }

    /// A side's host goes elsewhere; its circuits are lost without a word.
    pub fn move_side(&mut self, side: usize, behind: Option<NodeId>, address: IpAddr) {
        let host = self.homes().hosts[side];
        self.homes().net.move_host(host, behind, &[address]);
        self.jam_circuits(side);
        self.pull(side, false);
        let addresses = self.homes().addresses(side);
        self.sides[side].address = addresses[0];
        self.handle(side, Input::Addresses(addresses));
    }

    /// A side's router loses its memory, its circuits with it.
    pub fn reboot_router(&mut self, side: usize, outside: Option<Ipv4Addr>) {
        let router = self.homes().router_of(side);
        self.homes().net.reboot(router, outside);
        self.jam_circuits(side);
    }

    /// All that a side's phone has sent goes through here.
    pub(super) fn send_from_home(&mut self, side: usize, path: Path, datagram: &Datagram) {
        let (now, is_out) = (self.now, self.sides[side].unplugged);
        let homes = self.homes();
        let (port, to) = homes.port(side, path);
        let addresses = homes.net.addresses(homes.hosts[side]).iter().copied();
        let from = addresses
            .into_iter()
            .find(|ip| ip.is_ipv4() == to.is_ipv4());
        if let Some(from) = from.filter(|_| !is_out) {
            homes.net.now = now;
            homes.net.send(homes.hosts[side], port, to, datagram);
            self.wire.push(Seen {
                at: now,
                from: SocketAddr::new(from, port),
                to,
                bytes: datagram.clone(),
            });
        }
    }

    pub(super) fn close_port(&mut self, side: usize, number: SideId) {
        if let Some(homes) = &mut self.homes {
            homes.ports.remove(&(side, number));
        }
    }

    /// Asks the reflectors that live for a room each, as many as are wanted.
    pub(super) fn ask_for_rooms(&mut self, side: usize, peer: PeerId, missing: &Missing) {
        let now = self.now;
        let Some(homes) = &mut self.homes else {
            return;
        };
        homes.asked.push((now, side));
        let mut left = missing.rooms;
        for number in 0..homes.reflectors.len() {
            let reflector = &homes.reflectors[number];
            let besides = |ip: &IpAddr| missing.besides.contains(ip);
            if left > 0 && !reflector.is_dead && !reflector.addresses.iter().any(besides) {
                left -= 1;
                let at = now + homes.rooms_take + Duration::from_millis(number as u64);
                let room = homes.reflectors[number].make_room(now);
                let key = (at, 2 * homes.asked.len() + number);
                homes.rooms.insert(key, (side, peer, Box::new(room)));
            }
        }
    }

    pub(super) fn step_homes(&mut self) {
        while let Some(homes) = &mut self.homes
            && let Some(arrival) = homes.net.step(self.now)
        {
            self.arrive(arrival);
        }
        while let Some(homes) = &mut self.homes
            && let Some(entry) = homes.rooms.first_entry()
            && entry.key().0 <= self.now
        {
            let (side, peer, room) = entry.remove();
            if self.sides[side].on && !self.sides[side].unplugged {
                self.handle(side, Input::Room(peer, room));
            }
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Arrival { host, packet } = arrival;
        let now = self.now;
        let homes = self.homes();
        if let Some(reflector) = homes.reflectors.iter_mut().find(|r| r.host == host) {
            let port = packet.to.port();
            for (to, bytes) in reflector.receive(now, packet.from, port, &packet.bytes) {
                homes.net.send(host, port, to, &bytes);
            }
            return;
        }
        let Some(side) = homes.hosts.iter().position(|other| *other == host) else {
            self.strays.push_back(Seen {
                at: now,
                from: packet.from,
                to: packet.to,
                bytes: packet.bytes.iter().copied().collect(),
            });
            return;
        };
        let path = homes.path(side, packet.to.port(), packet.from);
        if let Some(path) = path.filter(|_| self.sides[side].on) {
            self.handle(side, Input::Receive(path, &packet.bytes));
        }
    }
}

/// The phones' own port.
pub const PORT: u16 = 4000;
