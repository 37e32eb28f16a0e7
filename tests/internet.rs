//! Any two homes are connected: every pair of kinds of routers, both directions, and homes that
//! share a router. `--nocapture` prints a table of all calls.

#![expect(
    clippy::print_stdout,
    reason = "the table of what came of each call, for --nocapture"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use common::World;
use common::homes::{Home, Homes};
use common::internet::Cable;
use common::nat::{Ports, Rules};
use common::talks::{SECOND, Talk};
use twocan::api::PathKind;

const MILLI: Duration = Duration::from_millis(1);

/// What theory says of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Best {
    Direct,
    /// A punch needs luck that cannot be counted on.
    DirectOrReflected,
    Reflected,
    Circuit,
}

/// Whether the outside port depends on whom a datagram goes to, and can be foreseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mapping {
    None,
    Same,
    Random,
    Sequential,
}

fn mapping(home: Home) -> Mapping {
    match home {
        Home::UdpBlocked | Home::TcpOnly => Mapping::None,
        Home::Symmetric | Home::AddressDependent | Home::HardCgnat => Mapping::Random,
        Home::Sequential => Mapping::Sequential,
        _ => Mapping::Same,
    }
}

/// With one port that stays, the other side's need only be found: by its first packet, by foresight,
/// or by a birthday search.
fn best(a: Home, b: Home) -> Best {
    match (mapping(a), mapping(b)) {
        (Mapping::None, _) | (_, Mapping::None) => Best::Circuit,
        (Mapping::Same, _) | (_, Mapping::Same) => Best::Direct,
        (Mapping::Sequential, Mapping::Sequential) => Best::DirectOrReflected,
        _ => Best::Reflected,
    }
}

fn check(name: &str, talk: &Talk, best: Best) {
    assert!(
        is_as_it_should(name, talk, best),
        "{name}: {best:?} expected"
    );
}

fn is_as_it_should(name: &str, talk: &Talk, best: Best) -> bool {
    println!("{name:<37} {talk}");
    let is_path = match best {
        Best::Direct => talk.is_direct(),
        Best::DirectOrReflected => talk.is_direct() || talk.is(PathKind::Reflected),
        Best::Reflected => talk.is(PathKind::Reflected),
        Best::Circuit => talk.is(PathKind::Circuit),
    };
    is_path && talk.ring <= 600 * MILLI && talk.gap <= 40 * MILLI
}

/// One home calls homes of all kinds.
fn calls_all(home: Home) {
    println!(
        "{:<37} caller     called     ring     direct     longest gap",
        "pair"
    );
    let mut wrong = Vec::new();
    for (seed, other) in (1..).zip(Home::ALL) {
        let (name, best) = (format!("{home:?} - {other:?}"), best(home, other));
        let talk = World::at_homes(seed, [home, other]).call();
        if !is_as_it_should(&name, &talk, best) {
            wrong.push(format!("{name}: {best:?} expected"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_open_home_calls_all() {
    calls_all(Home::Open);
}

#[test]
fn a_firewalled_home_calls_all() {
    calls_all(Home::Firewall);
}

#[test]
fn a_home_behind_a_full_cone_calls_all() {
    calls_all(Home::FullCone);
}

#[test]
fn an_address_restricted_home_calls_all() {
    calls_all(Home::AddressRestricted);
}

#[test]
fn a_port_restricted_home_calls_all() {
    calls_all(Home::PortRestricted);
}

#[test]
fn a_home_with_random_ports_calls_all() {
    calls_all(Home::Symmetric);
}

#[test]
fn a_home_with_ports_in_sequence_calls_all() {
    calls_all(Home::Sequential);
}

#[test]
fn an_address_dependent_home_calls_all() {
    calls_all(Home::AddressDependent);
}

#[test]
fn a_home_behind_a_provider_calls_all() {
    calls_all(Home::Cgnat);
}

#[test]
fn a_home_behind_a_symmetric_provider_calls_all() {
    calls_all(Home::HardCgnat);
}

#[test]
fn a_home_behind_two_routers_calls_all() {
    calls_all(Home::DoubleNat);
}

#[test]
fn a_home_with_a_forwarded_port_calls_all() {
    calls_all(Home::PortMapped);
}

#[test]
fn a_home_without_udp_calls_all() {
    calls_all(Home::UdpBlocked);
}

#[test]
fn a_home_with_tcp_443_alone_calls_all() {
    calls_all(Home::TcpOnly);
}

/// Many providers give each customer a block of ports: then a search begins where one was seen.
#[test]
fn random_ports_of_a_block_are_found_by_few_tries() {
    for seed in 0..12 {
        let mut there = Homes::new(seed);
        let rules = Rules {
            ports: Ports::Block(1024),
            ..Rules::SYMMETRIC
        };
        for (side, rules) in [Rules::PORT_RESTRICTED, rules].into_iter().enumerate() {
            let router = there.router(rules, None, 8 * MILLI);
            there.live(Some(router), &[[192, 168, 1, 2 + side as u8].into()]);
        }
        let mut world = World::friends(seed).live_in(there);
        let talk = world.call();
        assert!(talk.is_direct(), "{talk}");
        let sent = tries(&mut world, 0, talk.answered);
        println!("a block of ports: {talk}, {sent} tries");
        assert!(sent < 100, "{sent} tries");
    }
}

/// Ports at the other end to which a side has sent since then.
fn tries(world: &mut World, side: usize, from: Duration) -> usize {
    let (own, other) = (
        world.sides[side].address.ip(),
        world.homes().outside(1 - side),
    );
    let sent = world.wire.iter().filter(|seen| seen.at >= from);
    let sent = sent.filter(|seen| seen.from.ip() == own && seen.to.ip() == other);
    sent.map(|seen| seen.to.port())
        .collect::<BTreeSet<u16>>()
        .len()
}

/// Two homes on lines of that length.
fn far_homes(seed: u8, link: Duration, homes: [Home; 2]) -> World {
    let mut there = Homes::new(seed);
    there.link = link;
    World::friends(seed).settle(there, homes)
}

/// Whether ports meet is chance; that they meet in time must not be. A try is 153 bytes, and neither
/// end sends more than 2000 packets in a second, or for longer than a tenth more than 1000.
#[test]
fn random_ports_are_found_whatever_the_dice_say() {
    for link in [8, 40] {
        let (mut times, mut all_tries) = (Vec::new(), 0);
        for seed in 0..12 {
            for homes in [
                [Home::PortRestricted, Home::Symmetric],
                [Home::Symmetric, Home::Cgnat],
            ] {
                let mut world = far_homes(seed, link * MILLI, homes);
                let talk = world.call();
                let direct = talk.direct.expect("within 3 s");
                assert!(talk.gap <= 40 * MILLI, "{homes:?}: {talk:?}");
                assert!(direct <= 2 * SECOND, "{homes:?}: {talk:?}");
                times.push(direct.as_millis());
                let steady = usize::from(homes[0] == Home::Symmetric);
                all_tries += tries(&mut world, steady, talk.answered);
                for (window, most) in [(100, 240), (1000, 1400)] {
                    let sent = busiest(&world, talk.answered, window * MILLI);
                    assert!(sent <= most, "{sent} packets in {window} ms");
                }
                assert!(world.homes().most_ports <= 256);
            }
        }
        times.sort_unstable();
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        let tries = all_tries / times.len();
        println!(
            "random ports, {link} ms to the core: {median} ms, at most {most} ms, {tries} tries"
        );
        assert!(tries < 700, "{tries} tries for a call");
    }
}

/// Most packets that one end has sent in so long.
fn busiest(world: &World, from: Duration, window: Duration) -> usize {
    let mut sent = BTreeMap::new();
    for seen in world.wire.iter().filter(|seen| seen.at >= from) {
        let at = (seen.at - from).as_millis() / window.as_millis();
        *sent.entry((seen.from.ip(), at)).or_insert(0) += 1;
    }
    sent.into_values().max().unwrap_or(0)
}

/// Random ports are no hindrance where the other end lets in whoever it has written to, or anybody.
#[test]
fn nothing_is_searched_where_a_plain_check_gets_through() {
    for other in [
        Home::Open,
        Home::FullCone,
        Home::AddressRestricted,
        Home::DoubleNat,
        Home::PortMapped,
    ] {
        for link in [8, 40] {
            for homes in [[Home::Symmetric, other], [other, Home::Symmetric]] {
                let mut world = far_homes(7, link * MILLI, homes);
                let talk = world.call();
                assert!(talk.is_direct(), "{homes:?}: {talk}");
                assert_eq!(world.homes().most_ports, 0, "{homes:?}");
                let sent = busiest(&world, talk.answered, SECOND);
                assert!(sent < 200, "{homes:?}: {sent} packets in a second");
            }
        }
    }
}

/// Far from each other and from the reflectors, on lines that lose a packet in a hundred.
#[test]
fn far_homes_are_rung_soon_and_talk_directly_in_time() {
    for (seed, homes) in (0..).zip([
        [Home::Open, Home::Firewall],
        [Home::PortRestricted, Home::PortRestricted],
        [Home::Cgnat, Home::DoubleNat],
        [Home::PortRestricted, Home::Sequential],
        [Home::Sequential, Home::Cgnat],
        [Home::PortRestricted, Home::Symmetric],
        [Home::HardCgnat, Home::PortRestricted],
        [Home::Symmetric, Home::Symmetric],
    ]) {
        let mut there = Homes::new(seed);
        there.link = 40 * MILLI;
        let mut world = World::friends(seed).settle(there, homes);
        for side in 0..2 {
            let mut cable = Cable::of(40 * MILLI);
            cable.loss = 0.01;
            let host = world.homes().hosts[side];
            let node = world.homes().net.behind(host).unwrap_or(host);
            world.homes().net.lay(node, cable);
        }
        let talk = world.call();
        let [a, b] = homes;
        let name = format!("far: {a:?} - {b:?}");
        println!("{name:<37} {talk}");
        match best(a, b) {
            Best::Direct => assert!(talk.is_direct(), "{name}"),
            _ => assert!(talk.is(PathKind::Reflected), "{name}"),
        }
        assert!(talk.ring <= 600 * MILLI, "{name}");
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

#[test]
fn neighbours_on_one_lan_talk_there() {
    for rules in [Rules::PORT_RESTRICTED, Rules::SYMMETRIC, Rules::NO_UDP] {
        let mut homes = Homes::new(3);
        let router = homes.router(rules, None, 8 * MILLI);
        for address in ["192.168.1.2", "192.168.1.3"] {
            homes.live(Some(router), &[ip(address)]);
        }
        let mut world = World::friends(3).live_in(homes);
        let talk = world.call();
        check("same LAN", &talk, Best::Direct);
        let from = talk.answered + 4 * SECOND;
        let late = world.wire.iter().filter(|seen| seen.at > from);
        let (near, far): (Vec<_>, Vec<_>) = late.partition(|seen| is_near(seen.to.ip()));
        assert!(near.len() >= 100 && far.len() < 20, "{far:?}");
    }
}

fn is_near(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[..3] == [192, 168, 1])
}

/// Two homes whose provider has put them behind one address.
fn under_one_provider(hairpins: bool) -> World {
    let mut homes = Homes::new(4);
    let rules = Rules {
        hairpins,
        ..Rules::PROVIDER
    };
    let provider = homes.router(rules, None, 4 * MILLI);
    for address in ["192.168.1.2", "192.168.1.3"] {
        let router = homes.router(Rules::PORT_RESTRICTED, Some(provider), 4 * MILLI);
        homes.live(Some(router), &[ip(address)]);
    }
    World::friends(4).live_in(homes)
}

#[test]
fn customers_of_one_provider_meet_directly_where_it_hairpins() {
    let talk = under_one_provider(true).call();
    check("same CGNAT, hairpin", &talk, Best::Direct);
}

#[test]
fn customers_of_one_provider_meet_at_a_reflector_where_it_does_not() {
    let talk = under_one_provider(false).call();
    check("same CGNAT", &talk, Best::Reflected);
}

/// Where both have IPv6 nothing is translated, and random ports do no harm.
#[test]
fn ipv6_goes_straight_where_ipv4_cannot() {
    let mut homes = Homes::new(5);
    for (side, six) in ["2620:a::2", "2620:b::2"].into_iter().enumerate() {
        let router = homes.router(Rules::SYMMETRIC, None, 8 * MILLI);
        homes.live(
            Some(router),
            &[[192, 168, 1, 2 + side as u8].into(), ip(six)],
        );
    }
    let mut world = World::friends(5).live_in(homes);
    let talk = world.call();
    check("IPv6 over symmetric", &talk, Best::Direct);
    assert_eq!(world.homes().most_ports, 0, "no birthday search");
}

/// One end with IPv6 alone, the other with both.
#[test]
fn a_home_without_ipv4_calls_one_that_has_both() {
    let mut homes = Homes::new(6);
    let router = homes.router(Rules::FIREWALL, None, 8 * MILLI);
    homes.live(Some(router), &[ip("2620:a::2")]);
    let router = homes.router(Rules::PORT_RESTRICTED, None, 8 * MILLI);
    homes.live(Some(router), &[[192, 168, 1, 2].into(), ip("2620:b::2")]);
    let talk = World::friends(6).live_in(homes).call();
    check("IPv6 alone", &talk, Best::Direct);
}
