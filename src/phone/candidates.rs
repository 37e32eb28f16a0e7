//! Where a phone may be reached: our own list for the peer, and what of the peer's we believe.
//!
//! The peer could name anybody's address, so his list is short, and what no phone of his could
//! have is passed over: loopback, multicast, the private addresses of other people's networks.

use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;

use crate::api::NatKind;

/// One address at which a phone may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub kind: Kind,
    pub address: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Of an interface of its own.
    Host = 0,
    /// Where a gateway forwards to it.
    Mapped = 1,
    /// From where others saw it.
    Reflexive = 2,
    /// The port that its NAT has given out last; the next ones follow in steps.
    Latest = 3,
}

/// How a NAT gives out ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    pub kind: NatKind,
    /// From each port to the next, if [`NatKind::Sequential`].
    pub step: i8,
}

/// What one phone tells the other of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    pub nat: Nat,
    pub list: List,
}

pub type List = ArrayVec<Candidate, MAX_CANDIDATES>;

/// Most candidates that are told or believed.
pub const MAX_CANDIDATES: usize = 16;

/// What is known of this phone's place in the network.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub hosts: Vec<SocketAddr>,
    pub mapped: Option<SocketAddr>,
    /// Newest first.
    pub reflexive: ArrayVec<SocketAddr, 4>,
    pub nat: Nat,
}

impl Place {
    /// The list for a peer.
    pub fn candidates(&self) -> Candidates {
        let mut list = List::new();
        let hosts = self.hosts.iter().take(MAX_HOSTS);
        for &address in hosts {
            add(&mut list, Kind::Host, address);
        }
        if let Some(address) = self.mapped {
            add(&mut list, Kind::Mapped, address);
        }
        for &address in &self.reflexive {
            add(&mut list, Kind::Reflexive, address);
        }
        if let (NatKind::Sequential, Some(&latest)) = (self.nat.kind, self.v4()) {
            let _ = list.try_push(Candidate {
                kind: Kind::Latest,
                address: latest,
            });
        }
        Candidates {
            nat: self.nat,
            list,
        }
    }

    /// What of the peer's list is worth a packet, best first.
    pub fn judge(&self, theirs: &Candidates) -> List {
        let mut list: List = theirs
            .list
            .iter()
            .filter(|candidate| self.believes(candidate, theirs))
            .copied()
            .collect();
        list.sort_by_key(rank);
        list
    }

    /// No NAT is on this side for that family, or its gateway forwards to us.
    pub fn is_open(&self, v6: bool) -> bool {
        if self.mapped.is_some_and(|mapped| mapped.is_ipv6() == v6) {
            return true;
        }
        let is_own = |own: &SocketAddr| own.is_ipv6() == v6 && is_anybodys(own.ip());
        self.nat.kind == NatKind::Open && !v6 || self.hosts.iter().any(is_own)
    }

    /// The address from which the world sees us by IPv4.
    fn v4(&self) -> Option<&SocketAddr> {
        self.reflexive.iter().find(|address| address.is_ipv4())
    }

    fn believes(&self, candidate: &Candidate, theirs: &Candidates) -> bool {
        let ip = candidate.address.ip().to_canonical();
        let speaks = |v6: bool| self.hosts.iter().any(|own| own.is_ipv6() == v6);
        if candidate.address.port() == 0
            || self.hosts.contains(&candidate.address)
            || ip.is_ipv6() && !speaks(true)
        {
            return false;
        }
        match scope(ip) {
            Scope::Nobody => false,
            Scope::Host => self.hosts.iter().any(|own| own.ip().is_loopback()),
            Scope::Site => self.shares_site(ip, theirs),
            Scope::Aside => !self.is_on_the_internet(),
            Scope::World => true,
        }
    }

    /// Whether an address of a private network can be in ours: both are seen from one address, or
    /// nobody has seen us and we have such addresses too.
    fn shares_site(&self, ip: IpAddr, theirs: &Candidates) -> bool {
        let is_seen =
            |c: &&Candidate| c.kind == Kind::Reflexive && c.address.is_ipv4() == ip.is_ipv4();
        let seen = theirs.list.iter().filter(is_seen).map(|c| c.address.ip());
        let ours = |theirs: IpAddr| self.reflexive.iter().any(|own| own.ip() == theirs);
        let is_same_family = |own: &SocketAddr| own.is_ipv4() == ip.is_ipv4();
        if self.reflexive.iter().any(is_same_family) {
            return seen.clone().any(ours);
        }
        self.hosts.iter().any(|own| is_neighbour(own.ip(), ip))
    }

    /// Whether a reflector can be at `server`. Of one that was found by ourselves more is believed
    /// than of one that the peer names.
    pub fn may_reach(&self, server: SocketAddr, is_own: bool) -> bool {
        let ip = server.ip().to_canonical();
        let has = |wanted: Scope| self.hosts.iter().any(|own| scope(own.ip()) == wanted);
        let is_there = match scope(ip) {
            Scope::Nobody => false,
            Scope::Host => has(Scope::Host),
            Scope::Site if is_own => has(Scope::Site),
            Scope::Site => self.shares_site(ip, &Candidates::default()),
            Scope::Aside => is_own || !self.is_on_the_internet(),
            Scope::World => true,
        };
        let speaks = ip.is_ipv4() || self.hosts.iter().any(SocketAddr::is_ipv6);
        is_there && server.port() != 0 && speaks
    }

    /// Some address of ours means the same to everybody, so no test network is around us.
    fn is_on_the_internet(&self) -> bool {
        let own = self.hosts.iter().chain(&self.reflexive).chain(&self.mapped);
        own.clone().any(|own| scope(own.ip()) == Scope::World)
    }
}

/// How far the meaning of an address reaches (IANA's special-purpose registries, RFC 6890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nobody's: unspecified, multicast, broadcast, reserved.
    Nobody,
    /// This computer.
    Host,
    /// One private network or one link.
    Site,
    /// Documentation and benchmarks: the Internet of test networks.
    Aside,
    World,
}

pub fn scope(ip: IpAddr) -> Scope {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            match (a, b, c) {
                (0 | 224.., ..) | (192, 0, 0) => Scope::Nobody,
                (127, ..) => Scope::Host,
                (10, ..) | (172, 16..32, _) | (192, 168, _) => Scope::Site,
                (100, 64..128, _) | (169, 254, _) => Scope::Site,
                (198, 18 | 19, _) => Scope::Aside,
                _ if ip.is_documentation() => Scope::Aside,
                _ => Scope::World,
            }
        }
        IpAddr::V6(ip) => match ip.segments() {
            _ if ip.is_loopback() => Scope::Host,
            [0xfc00..=0xfdff, ..] => Scope::Site,
            [0x2001, 0xdb8, ..] => Scope::Aside,
            [0x2001, 0..0x200, ..] | [0x2002, ..] => Scope::Nobody,
            [0x2000..0x4000, ..] => Scope::World,
            // Addresses of one link (fe80::/10) mean nothing without the link's name.
            _ => Scope::Nobody,
        },
    }
}

/// Whether a datagram may be sent there only because somebody else says so.
pub fn is_anybodys(ip: IpAddr) -> bool {
    matches!(scope(ip), Scope::Aside | Scope::World)
}

fn add(list: &mut List, kind: Kind, address: SocketAddr) {
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let is_known = list.iter().any(|known| known.address == address);
    if !is_known && scope(address.ip()) != Scope::Nobody {
        // A list that is full says enough.
        let _ = list.try_push(Candidate { kind, address });
    }
}

/// Both in one range of private addresses.
fn is_neighbour(own: IpAddr, ip: IpAddr) -> bool {
    match (own.to_canonical(), ip) {
        (IpAddr::V4(own), IpAddr::V4(ip)) => {
            let ([a, b, ..], [c, d, ..]) = (own.octets(), ip.octets());
            scope(own.into()) == Scope::Site
                && a == c
                && (a == 10 || a == 100 || a == 172 || b == d)
        }
        (IpAddr::V6(own), IpAddr::V6(ip)) => {
            scope(own.into()) == Scope::Site && own.segments()[..3] == ip.segments()[..3]
        }
        _ => false,
    }
}

/// Which candidates are asked first.
fn rank(candidate: &Candidate) -> (u8, Kind) {
    let ip = candidate.address.ip();
    let place = match (scope(ip), ip.is_ipv6()) {
        (Scope::Site | Scope::Host, _) => 0,
        (_, true) => 1,
        (_, false) => 2,
    };
    (place, candidate.kind)
}

/// Addresses of our own interfaces that are told.
const MAX_HOSTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect(text)
    }

    fn theirs(list: &[(Kind, &str)]) -> Candidates {
        let list = list.iter().map(|&(kind, text)| Candidate {
            kind,
            address: address(text),
        });
        Candidates {
            nat: Nat::default(),
            list: list.collect(),
        }
    }

    fn place(hosts: &[&str], reflexive: &[&str]) -> Place {
        Place {
            hosts: hosts.iter().map(|text| address(text)).collect(),
            mapped: None,
            reflexive: reflexive.iter().map(|text| address(text)).collect(),
            nat: Nat::default(),
        }
    }

    fn believed(place: &Place, list: &[(Kind, &str)]) -> Vec<String> {
        let list = place.judge(&theirs(list));
        list.iter().map(|c| c.address.to_string()).collect()
    }

    #[test]
    fn what_can_be_no_phones_address_is_passed_over() {
        let here = place(
            &["192.168.1.2:4000", "[2620:fe::2]:4000"],
            &["9.9.9.9:4000"],
        );
        for text in [
            "0.0.0.0:1",
            "127.0.0.1:4000",
            "[::1]:4000",
            "[::ffff:127.0.0.1]:4000",
            "224.0.0.1:4000",
            "255.255.255.255:4000",
            "240.1.1.1:4000",
            "169.254.1.1:4000",
            "[fe80::1]:4000",
            "[ff02::1]:4000",
            "8.8.8.8:0",
            "203.0.113.5:4000",
            "198.18.0.1:4000",
            "192.168.1.2:4000",
        ] {
            let list = [(Kind::Host, text), (Kind::Reflexive, "8.8.4.4:7")];
            assert_eq!(believed(&here, &list), ["8.8.4.4:7"], "{text}");
        }
        for text in ["8.8.8.8:53", "[2620:fe::9]:4000"] {
            assert_eq!(believed(&here, &[(Kind::Mapped, text)]), [text]);
        }
    }

    #[test]
    fn private_addresses_count_in_the_same_network_only() {
        let home = ["192.168.1.2:4000"];
        let at = |seen| [(Kind::Host, "192.168.7.3:4000"), (Kind::Reflexive, seen)];
        let here = place(&home, &["9.9.9.9:4000"]);
        assert_eq!(believed(&here, &at("9.9.9.9:5000")).len(), 2);
        assert_eq!(believed(&here, &at("8.8.8.8:5000")), ["8.8.8.8:5000"]);
        assert!(believed(&here, &at("9.9.9.9:5000")[..1]).is_empty());
        // Nobody has told either where it is: a network without any mirror.
        let alone = place(&home, &[]);
        let host = [(Kind::Host, "192.168.7.3:4000")];
        assert_eq!(believed(&alone, &host).len(), 1);
        assert!(believed(&alone, &[(Kind::Host, "10.0.0.1:4000")]).is_empty());
    }

    #[test]
    fn a_peer_names_no_reflector_in_our_private_network() {
        let mut here = place(&["192.168.1.2:4000"], &["9.9.9.9:4000"]);
        let server = address("192.168.1.9:3478");
        assert!(here.may_reach(server, true) && !here.may_reach(server, false));
        assert!(here.may_reach(address("8.8.8.8:3478"), false));
        for nobody in ["127.0.0.1:1", "10.0.0.1:0", "224.0.0.1:1", "[2620:fe::9]:7"] {
            assert!(!here.may_reach(address(nobody), true), "{nobody}");
        }
        here.reflexive.clear();
        assert!(here.may_reach(server, false), "a network of its own");
    }

    #[test]
    fn loopback_counts_among_phones_on_loopback() {
        let here = place(&["127.0.0.1:4000"], &[]);
        assert_eq!(believed(&here, &[(Kind::Host, "127.0.0.1:5000")]).len(), 1);
        assert!(believed(&here, &[(Kind::Host, "127.0.0.1:4000")]).is_empty());
    }

    #[test]
    fn test_networks_are_an_internet_of_their_own() {
        let here = place(&["192.168.1.2:4000"], &["203.0.113.1:4000"]);
        assert_eq!(believed(&here, &[(Kind::Mapped, "198.18.0.1:4")]).len(), 1);
    }

    #[test]
    fn the_nearest_is_asked_first() {
        let here = place(
            &["192.168.1.2:4000", "[2620:fe::2]:4000"],
            &["9.9.9.9:4000"],
        );
        let list = [
            (Kind::Reflexive, "9.9.9.9:5000"),
            (Kind::Mapped, "9.9.9.9:6000"),
            (Kind::Host, "[2620:fe::9]:4000"),
            (Kind::Host, "192.168.1.3:4000"),
        ];
        let order = [
            "192.168.1.3:4000",
            "[2620:fe::9]:4000",
            "9.9.9.9:6000",
            "9.9.9.9:5000",
        ];
        assert_eq!(believed(&here, &list), order);
    }

    #[test]
    fn the_own_list_is_told_once_each_with_the_last_port_for_prediction() {
        let mut here = place(&["192.168.1.2:4000"], &["9.9.9.9:4003", "9.9.9.9:4002"]);
        here.mapped = Some(address("9.9.9.9:4003"));
        here.nat = Nat {
            kind: NatKind::Sequential,
            step: 1,
        };
        let told = here.candidates();
        let kinds: Vec<Kind> = told.list.iter().map(|candidate| candidate.kind).collect();
        assert_eq!(
            kinds,
            [Kind::Host, Kind::Mapped, Kind::Reflexive, Kind::Latest]
        );
        assert_eq!(told.list[3].address, address("9.9.9.9:4003"));
    }
}
