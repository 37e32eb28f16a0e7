//! Under which addresses this computer can be reached by others.
//!
//! Only what its own interfaces say; nobody is asked and nothing is sent.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::net::MAX_ADDRESSES;

/// Where in the world this computer is, as far as it can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    addresses: Vec<SocketAddr>,
    /// All addresses of the interfaces.
    present: BTreeSet<IpAddr>,
    /// What packets to the world would carry as their source.
    sources: Vec<IpAddr>,
}

impl Place {
    /// As it is now, for a phone that listens on `listen`.
    pub(super) fn now(listen: SocketAddr) -> Place {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
            tracing::warn!("cannot list the network interfaces: {error}");
            Vec::new()
        });
        let present: BTreeSet<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
        let sources = primary();
        let addresses = of(listen, &present, &sources);
        Place {
            addresses,
            present,
            sources,
        }
    }

    /// The addresses under which others can reach this phone, best first, at most
    /// [`crate::net::MAX_ADDRESSES`].
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether that address is one of this computer.
    pub fn has(&self, ip: IpAddr) -> bool {
        ip.is_unspecified() || ip.is_loopback() || self.present.contains(&ip)
    }

    /// The address of ours from which packets go to the world by IPv4, if it means nothing there: a
    /// gateway stands before it.
    pub fn inside(&self) -> Option<Ipv4Addr> {
        self.sources.iter().find_map(|ip| match ip {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                let shared = a == 100 && (64..128).contains(&b);
                (ip.is_private() || shared).then_some(*ip)
            }
            IpAddr::V6(_) => None,
        })
    }

    /// Whether packets to the world have a way at all.
    pub fn is_connected(&self) -> bool {
        !self.sources.is_empty()
    }

    /// Whether connections that were made at `before` are of no use any more: an address that they
    /// may come from is gone. With no network at all nothing is lost yet; it may come back.
    pub fn is_elsewhere(&self, before: &Place) -> bool {
        let is_gone = |ip: &IpAddr| !self.present.contains(ip);
        self.is_connected() && (!before.is_connected() || before.sources.iter().any(is_gone))
    }
}

/// The addresses to give to others for a phone that listens on `listen`, best first.
fn of(listen: SocketAddr, present: &BTreeSet<IpAddr>, sources: &[IpAddr]) -> Vec<SocketAddr> {
    if !listen.ip().is_unspecified() {
        return vec![listen];
    }
    let mut ips = ranked(present.iter().copied().collect(), sources);
    ips.truncate(MAX_ADDRESSES);
    ips.into_iter()
        .map(|ip| SocketAddr::new(ip, listen.port()))
        .collect()
}

/// Orders by use: the addresses of the default routes, then the rest, IPv4 before IPv6; the
/// loopback only if there is nothing else.
fn ranked(mut ips: Vec<IpAddr>, primary: &[IpAddr]) -> Vec<IpAddr> {
    ips.retain(|ip| !ip.is_unspecified() && !is_link_local(*ip));
    ips.sort_by_key(|ip| (!primary.contains(ip), ip.is_ipv6(), *ip));
    ips.dedup();
    let (loopback, mut others): (Vec<_>, Vec<_>) = ips.into_iter().partition(IpAddr::is_loopback);
    if others.is_empty() {
        others = loopback;
    }
    others
}

/// The addresses that packets to the world would carry as their source. Connecting a UDP socket
/// only looks up the route, it sends nothing.
fn primary() -> Vec<IpAddr> {
    let families: [(IpAddr, IpAddr); 2] = [
        (Ipv4Addr::UNSPECIFIED.into(), DOCUMENTATION_V4.into()),
        (Ipv6Addr::UNSPECIFIED.into(), DOCUMENTATION_V6.into()),
    ];
    families
        .into_iter()
        .filter_map(|(any, far)| source_towards(any, far))
        .collect()
}

fn source_towards(any: IpAddr, far: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((far, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Addresses that belong to nobody (RFC 5737, RFC 3849): only the route towards them matters.
const DOCUMENTATION_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const DOCUMENTATION_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace()
            .map(|ip| ip.parse().expect("an address"))
            .collect()
    }

    #[test]
    fn a_chosen_address_is_the_only_one() {
        let listen: SocketAddr = "127.0.0.1:4000".parse().expect("an address");
        assert_eq!(Place::now(listen).addresses(), [listen]);
    }

    #[test]
    fn an_unspecified_address_is_never_given_away() {
        let place = Place::now("0.0.0.0:4000".parse().expect("an address"));
        let found = place.addresses();
        assert!(found.len() <= MAX_ADDRESSES);
        assert!(
            found
                .iter()
                .all(|addr| !addr.ip().is_unspecified() && addr.port() == 4000)
        );
    }

    #[test]
    fn the_default_route_comes_first_and_loopback_not_at_all() {
        let all = ips("127.0.0.1 ::1 fe80::1 fd00::2 172.17.0.1 192.168.1.5 169.254.3.3");
        let found = ranked(all, &ips("192.168.1.5"));
        assert_eq!(found, ips("192.168.1.5 172.17.0.1 fd00::2"));
    }

    #[test]
    fn loopback_is_better_than_nothing() {
        assert_eq!(ranked(ips("::1 127.0.0.1"), &[]), ips("127.0.0.1 ::1"));
    }

    fn place(present: &str, sources: &str) -> Place {
        let present = ips(present).into_iter().collect();
        let sources = ips(sources);
        let listen = "0.0.0.0:4000".parse().expect("an address");
        Place {
            addresses: of(listen, &present, &sources),
            present,
            sources,
        }
    }

    #[test]
    fn another_network_is_elsewhere_and_one_more_is_not() {
        let home = place(
            "127.0.0.1 192.168.1.5 2001:db8::5",
            "192.168.1.5 2001:db8::5",
        );
        let docked = place(
            "127.0.0.1 10.0.0.5 192.168.1.5 2001:db8::5",
            "10.0.0.5 2001:db8::5",
        );
        let away = place("127.0.0.1 172.20.0.7", "172.20.0.7");
        let nowhere = place("127.0.0.1", "");
        assert!(!docked.is_elsewhere(&home), "the old address still works");
        assert!(home.is_elsewhere(&docked));
        assert!(away.is_elsewhere(&home) && home.is_elsewhere(&away));
        assert!(!nowhere.is_elsewhere(&home), "it may come back");
        assert!(home.is_elsewhere(&nowhere), "who knows what was lost");
        assert!(!home.is_elsewhere(&home) && !nowhere.is_elsewhere(&nowhere));
    }
}
