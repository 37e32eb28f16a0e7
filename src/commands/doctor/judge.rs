//! What the answers mean. Pure, so that it can be tested without a network.

use std::net::{IpAddr, SocketAddr};

use twocan::config::Network;

use super::findings::{Calls, Directory, Ipv6, Mapping, Nat, Udp};

/// Who was asked, and from where he was seen to be asked: in the order of asking.
pub type Seen = (SocketAddr, SocketAddr);

/// What stands before a computer with these addresses that asks from `port`.
pub fn nat(local: &[IpAddr], port: u16, seen: &[Seen]) -> Nat {
    let v4: Vec<SocketAddr> = seen
        .iter()
        .filter(|(asked, _)| asked.is_ipv4())
        .map(|(_, seen)| *seen)
        .collect();
    let Some(first) = v4.first() else {
        return Nat::Unknown;
    };
    if v4
        .iter()
        .all(|seen| local.contains(&seen.ip()) && seen.port() == port)
    {
        return Nat::None;
    }
    if v4.iter().all(|seen| seen == first) {
        return Nat::EndpointIndependent;
    }
    let steps: Vec<i32> = v4
        .windows(2)
        .map(|pair| i32::from(pair[1].port()) - i32::from(pair[0].port()))
        .collect();
    let is_small = |step: &i32| (1..=MOST_STEP).contains(step) || (-MOST_STEP..=-1).contains(step);
    let is_one_way = steps.iter().all(|step| *step > 0) || steps.iter().all(|step| *step < 0);
    if steps.iter().all(is_small) && is_one_way {
        Nat::Sequential
    } else {
        Nat::Random
    }
}

pub fn udp(asked: &[SocketAddr], seen: &[Seen]) -> Udp {
    match (asked.is_empty(), seen.is_empty()) {
        (true, _) => Udp::Unknown,
        (false, true) => Udp::Blocked,
        (false, false) => Udp::Works,
    }
}

pub fn ipv6(has_global: bool, asked: &[SocketAddr], seen: &[Seen]) -> Ipv6 {
    let was_asked = asked.iter().any(SocketAddr::is_ipv6);
    let answered = seen.iter().any(|(asked, _)| asked.is_ipv6());
    match (has_global, was_asked, answered) {
        (_, _, true) => Ipv6::Works,
        (false, ..) => Ipv6::None,
        (true, false, _) => Ipv6::Untried,
        (true, true, false) => Ipv6::Silent,
    }
}

/// How calls are carried.
pub fn calls(
    network: Network,
    directory: Directory,
    udp: Udp,
    nat: Nat,
    mapping: &Mapping,
    is_connected: bool,
) -> Calls {
    if !is_connected {
        return Calls::None;
    }
    if network == Network::None {
        return Calls::Invites;
    }
    let is_mapped = matches!(mapping, Mapping::Found { .. });
    match (udp, directory) {
        (_, Directory::Silent | Directory::Off) => Calls::None,
        (Udp::Blocked | Udp::Unknown, _) => Calls::Circuit,
        (Udp::Works, _) if is_mapped || nat == Nat::None => Calls::Always,
        (Udp::Works, _) => match nat {
            Nat::EndpointIndependent | Nat::Sequential => Calls::Direct,
            _ => Calls::Mostly,
        },
    }
}

/// How far two ports of a NAT in order may lie apart, with those that others are given between them.
const MOST_STEP: i32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect(text)
    }

    fn judged(outside: &[&str]) -> Nat {
        let asked = ["198.51.100.1:7", "198.51.100.1:8", "198.51.100.2:7"];
        let pairs = asked.iter().zip(outside);
        let seen: Vec<Seen> = pairs.map(|(a, b)| (address(a), address(b))).collect();
        let local = ["192.168.1.5", "203.0.113.9"].map(|ip| ip.parse().expect(ip));
        nat(&local, 4000, &seen)
    }

    #[test]
    fn each_kind_of_nat_is_told_from_the_others() {
        assert_eq!(judged(&[]), Nat::Unknown);
        assert_eq!(judged(&["203.0.113.9:4000"; 3]), Nat::None);
        assert_eq!(judged(&["203.0.113.1:4000"; 3]), Nat::EndpointIndependent);
        assert_eq!(judged(&["203.0.113.9:5000"; 2]), Nat::EndpointIndependent);
        let port = |ports: [u16; 3]| ports.map(|port| format!("203.0.113.1:{port}"));
        let kind = |ports| {
            let seen = port(ports);
            judged(&[&seen[0], &seen[1], &seen[2]])
        };
        assert_eq!(kind([40000, 40001, 40002]), Nat::Sequential);
        assert_eq!(kind([40000, 40002, 40006]), Nat::Sequential);
        assert_eq!(kind([40000, 39999, 39998]), Nat::Sequential);
        assert_eq!(kind([40000, 40001, 40000]), Nat::Random);
        assert_eq!(kind([40000, 40000, 40001]), Nat::Random);
        assert_eq!(kind([40000, 1234, 60000]), Nat::Random);
    }

    #[test]
    fn silence_is_blocked_only_where_somebody_was_asked() {
        let asked = [address("198.51.100.1:7")];
        assert_eq!(udp(&[], &[]), Udp::Unknown);
        assert_eq!(udp(&asked, &[]), Udp::Blocked);
        assert_eq!(udp(&asked, &[(asked[0], asked[0])]), Udp::Works);
        let six = [address("[2001:db8::1]:7")];
        assert_eq!(ipv6(false, &asked, &[]), Ipv6::None);
        assert_eq!(ipv6(true, &asked, &[]), Ipv6::Untried);
        assert_eq!(ipv6(true, &six, &[]), Ipv6::Silent);
        assert_eq!(ipv6(true, &six, &[(six[0], six[0])]), Ipv6::Works);
    }

    #[test]
    fn what_works_follows_from_all_of_it() {
        let refused = Mapping::Refused { why: String::new() };
        let found = Mapping::Found {
            by: "PCP".to_owned(),
            outside: address("203.0.113.1:4000"),
        };
        let carried = |directory, udp, nat, mapping: &Mapping, connected| {
            calls(Network::Public, directory, udp, nat, mapping, connected)
        };
        let up = Directory::Reachable;
        let kept = Nat::EndpointIndependent;
        assert_eq!(carried(up, Udp::Works, kept, &refused, false), Calls::None);
        assert_eq!(carried(up, Udp::Works, kept, &refused, true), Calls::Direct);
        assert_eq!(
            carried(up, Udp::Works, Nat::Random, &refused, true),
            Calls::Mostly
        );
        assert_eq!(
            carried(up, Udp::Works, Nat::Random, &found, true),
            Calls::Always
        );
        assert_eq!(
            carried(up, Udp::Blocked, Nat::Unknown, &refused, true),
            Calls::Circuit
        );
        let silent = Directory::Silent;
        assert_eq!(
            carried(silent, Udp::Unknown, Nat::Unknown, &refused, true),
            Calls::None
        );
    }
}
