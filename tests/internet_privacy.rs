//! Who learns whose address, and what a peer can make a phone send to others.

#![expect(
    clippy::print_stdout,
    reason = "the table of what came of each call, for --nocapture"
)]

mod common;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::homes::{Home, Homes};
use common::internet::Cable;
use common::link::Link;
use common::manual::Manual;
use common::talks::SECOND;
use common::{Seen, World};
use twocan::api::{CallState, Command, PathKind, Switch};
use twocan::phone::types::Input;

const MILLI: Duration = Duration::from_millis(1);

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

/// Datagrams that went to anybody but the reflectors.
fn strayed(world: &mut World) -> Vec<Seen> {
    let reflectors = world.homes().reflectors.iter();
    let known: Vec<IpAddr> = reflectors.flat_map(|r| r.addresses.clone()).collect();
    let wire = world.wire.iter();
    wire.filter(|seen| !known.contains(&seen.to.ip()))
        .cloned()
        .collect()
}

fn each_way(world: &mut World, command: impl Fn(String) -> Command) {
    for (side, peer) in [(0, 1), (1, 0)] {
        let peer = world.name(peer);
        let reply = world.order(side, command(peer));
        assert!(matches!(reply, None | Some(Ok(_))), "{reply:?}");
    }
    world.run(SECOND);
}

fn verify(peer: String) -> Command {
    let matches = true;
    Command::Verify { peer, matches }
}

fn only_relays(peer: String) -> Command {
    let to = Switch::On;
    Command::RelayOnly { peer, to }
}

/// Homes in which an address would be good for something at once.
const HOMES: [[Home; 2]; 3] = [
    [Home::Open, Home::Open],
    [Home::FullCone, Home::PortRestricted],
    [Home::Sequential, Home::PortMapped],
];

#[test]
fn until_the_answer_unverified_contacts_learn_no_address() {
    for homes in HOMES {
        let mut world = World::at_homes(1, homes);
        world.dial(0, 1);
        world.run(10 * SECOND);
        assert_eq!(world.state(0), Some(CallState::Ringing));
        let strayed = strayed(&mut world);
        assert!(strayed.is_empty(), "{homes:?}: {strayed:?}");
        world.answer(1);
        assert!(world.run_until(3 * SECOND, World::is_direct), "{homes:?}");
    }
}

#[test]
fn verified_contacts_meet_while_it_rings() {
    for homes in HOMES {
        let mut world = World::at_homes(2, homes);
        each_way(&mut world, verify);
        world.dial(0, 1);
        world.run(3 * SECOND);
        assert_eq!(world.state(0), Some(CallState::Ringing));
        assert!(!strayed(&mut world).is_empty(), "{homes:?}");
        world.answer(1);
        world.run(100 * MILLI);
        assert!(world.is_direct(), "{homes:?}: from the first word");
    }
}

/// One end that has verified the other shows itself, but learns nothing of it.
#[test]
fn a_contact_verified_by_one_end_alone_shows_no_address_of_the_other() {
    let mut world = World::at_homes(3, [Home::Open, Home::Open]);
    let peer = world.name(1);
    world.order(0, verify(peer));
    world.dial(0, 1);
    world.run(10 * SECOND);
    let shy = world.homes().outside(1);
    let strayed = strayed(&mut world);
    let known: Vec<&Seen> = strayed.iter().filter(|seen| seen.to.ip() == shy).collect();
    assert!(known.is_empty(), "{known:?}");
}

#[test]
fn contacts_set_to_relays_only_never_meet() {
    for homes in HOMES {
        for verified in [false, true] {
            let mut world = World::at_homes(4, homes);
            if verified {
                each_way(&mut world, verify);
            }
            each_way(&mut world, only_relays);
            let talk = world.call();
            assert!(talk.is(PathKind::Reflected), "{homes:?}: {talk:?}");
            assert!(talk.gap <= 40 * MILLI);
            world.run(60 * SECOND);
            let strayed = strayed(&mut world);
            assert!(strayed.is_empty(), "{homes:?}: {strayed:?}");
        }
    }
}

/// It is enough that one end wants it.
#[test]
fn one_end_set_to_relays_only_is_enough() {
    for side in 0..2 {
        let mut world = World::at_homes(5, [Home::Open, Home::Open]);
        each_way(&mut world, verify);
        let peer = world.name(1 - side);
        world.order(side, only_relays(peer));
        let talk = world.call();
        assert!(talk.is(PathKind::Reflected), "{talk:?}");
        let shy = world.homes().outside(side);
        for seen in strayed(&mut world) {
            assert!(seen.to.ip() != shy && seen.from.ip() != shy, "{seen:?}");
        }
    }
}

#[test]
fn relays_only_holds_when_reflectors_die_and_routers_reboot() {
    let mut world = World::at_homes(6, [Home::FullCone, Home::FullCone]);
    each_way(&mut world, only_relays);
    world.call();
    world.homes().reflectors[0].is_dead = true;
    world.run(5 * SECOND);
    world.reboot_router(0, None);
    world.run(5 * SECOND);
    world.homes().reflectors[1].is_dead = true;
    world.run(20 * SECOND);
    assert!(strayed(&mut world).is_empty());
    assert_eq!(world.state(0), Some(CallState::Active));
    assert_eq!(world.path(0), Some(PathKind::Circuit));
}

/// Bo in a home, and Mallory with an address of his own, in a call.
fn bo_and_mallory(seed: u8, home: Home) -> (World, Manual, Link) {
    let mut homes = Homes::new(seed);
    homes.settle(Home::Open);
    homes.settle(home);
    let mut mallory = Manual::new(9);
    mallory.address = "22.0.0.9:4000".parse().expect("an address");
    let cable = Cable::of(5 * MILLI);
    homes.net.host(&[mallory.address.ip()], None, cable);
    let mut world = World::new(&["anna", "bo"], seed).live_in(homes);
    world.line.delay = 50 * MILLI;
    mallory.befriend(&mut world, 1, "mallory");
    let reflectors = world.homes().reflectors.iter();
    let mirrors = reflectors.flat_map(|r| r.mirrors()).collect();
    world.handle(1, Input::Mirrors(mirrors));
    world.run(5 * SECOND);
    // What a router would do for what comes to it.
    let outside = world.homes().outside(1);
    assert_ne!(outside, mallory.address.ip());
    let mut link = mallory.call(&mut world, 1);
    link.say(&mut world, INVITE, &[7; 48]);
    link.settle(&mut world, 200 * MILLI);
    assert_eq!(world.state(1), Some(CallState::Ringing));
    (world, mallory, link)
}

fn put_address(body: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            body.push(4);
            body.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            body.push(6);
            body.extend(ip.octets());
        }
    }
    body.extend(address.port().to_le_bytes());
}

/// The body of CANDIDATES with all of them, of one kind.
fn candidates(nat: u8, kind: u8, addresses: &[SocketAddr]) -> Vec<u8> {
    let mut body = vec![nat, 1, addresses.len() as u8];
    for address in addresses {
        body.push(kind);
        put_address(&mut body, *address);
    }
    body
}

/// The body of ROOM at those addresses.
fn room(number: u64, servers: &[SocketAddr]) -> Vec<u8> {
    let mut body = number.to_le_bytes().to_vec();
    body.extend([3; 16]);
    body.push(servers.len() as u8);
    for server in servers {
        put_address(&mut body, *server);
    }
    body
}

fn at(text: &str) -> SocketAddr {
    SocketAddr::new(ip(text), 4000)
}

/// No phone of Mallory's can be there.
const NOBODYS: [&str; 15] = [
    "0.0.0.0",
    "127.0.0.1",
    "127.9.9.9",
    "10.1.2.3",
    "172.16.1.1",
    "192.168.77.1",
    "100.64.0.1",
    "169.254.1.1",
    "224.0.0.251",
    "239.255.255.250",
    "255.255.255.255",
    "::1",
    "::ffff:127.0.0.1",
    "fe80::1",
    "ff02::1",
];

fn sent_to(world: &World, addresses: &[IpAddr]) -> BTreeMap<SocketAddr, usize> {
    let mut sent = BTreeMap::new();
    for seen in &world.wire {
        if addresses.contains(&seen.to.ip().to_canonical()) {
            *sent.entry(seen.to).or_default() += 1;
        }
    }
    sent
}

#[test]
fn addresses_that_can_be_nobodys_get_no_packet() {
    let addresses: Vec<SocketAddr> = NOBODYS.into_iter().map(at).collect();
    let ips: Vec<IpAddr> = addresses.iter().map(|a| a.ip().to_canonical()).collect();
    for home in [Home::Open, Home::PortRestricted] {
        let (mut world, _, mut link) = bo_and_mallory(7, home);
        for round in 0..3 {
            for kind in 0..4 {
                for nat in 0..6 {
                    link.say(&mut world, CANDIDATES, &candidates(nat, kind, &addresses));
                    link.settle(&mut world, 50 * MILLI);
                }
            }
            for (number, server) in addresses.iter().enumerate() {
                link.say(&mut world, ROOM, &room(number as u64, &[*server]));
                link.settle(&mut world, 50 * MILLI);
            }
            if round == 0 {
                world.answer(1);
            }
            link.settle(&mut world, 3 * SECOND);
        }
        let sent = sent_to(&world, &ips);
        assert!(sent.is_empty(), "{home:?}: {sent:?}");
    }
}

/// A peer has to be asked where he says he is. He names somebody else, as often as he can, or as
/// seldom as makes the phone search longest.
#[test]
fn a_named_victim_gets_few_packets() {
    let victims: Vec<SocketAddr> = (1..=16u8)
        .map(|n| SocketAddr::from(([23, 0, 0, n], 53)))
        .collect();
    let ips: Vec<IpAddr> = victims.iter().map(SocketAddr::ip).collect();
    for (nat, pause) in (2..5).flat_map(|nat| [(nat, 100 * MILLI), (nat, 4 * SECOND)]) {
        for home in [Home::Open, Home::PortRestricted, Home::Symmetric] {
            let (mut world, _, mut link) = bo_and_mallory(8, home);
            world.answer(1);
            let began = world.now;
            let mut kinds = (0..4).cycle();
            while world.now < began + 40 * SECOND {
                let kind = kinds.next().expect("endless");
                link.say(&mut world, CANDIDATES, &candidates(nat, kind, &victims));
                link.settle(&mut world, pause);
            }
            let sent: usize = sent_to(&world, &ips).values().sum();
            let ports = world.homes().most_ports;
            println!("victims, NAT {nat}, {home:?}, {pause:?}: {sent} packets, {ports} ports");
            assert!(sent <= 3000, "{sent} packets: a minute of voice");
            assert!(ports <= 512, "{ports} ports");
        }
    }
}

/// Rooms at somebody who never asked for them.
#[test]
fn a_named_reflector_that_is_none_gets_few_packets() {
    let victims: Vec<SocketAddr> = (1..=4u8)
        .map(|n| SocketAddr::from(([23, 0, 0, n], 53)))
        .collect();
    let ips: Vec<IpAddr> = victims.iter().map(SocketAddr::ip).collect();
    let (mut world, _, mut link) = bo_and_mallory(9, Home::PortRestricted);
    world.answer(1);
    for number in 0..400 {
        link.say(&mut world, ROOM, &room(number, &victims));
        link.settle(&mut world, 100 * MILLI);
    }
    let sent: usize = sent_to(&world, &ips).values().sum();
    println!("rooms at victims: {sent} packets");
    assert!(sent <= 300, "{sent} packets");
}

/// A lie about paths hurts the liar's call alone.
#[test]
fn a_liar_does_not_disturb_another_call() {
    let (mut world, _, mut link) = bo_and_mallory(10, Home::PortRestricted);
    let sessions = world.sides[1].phone.load().sessions;
    assert_eq!(sessions, 1);
    for round in 0..50u8 {
        let lies: Vec<SocketAddr> = (0..16)
            .map(|n| SocketAddr::from(([23, round, 0, n], 9)))
            .collect();
        link.say(&mut world, CANDIDATES, &candidates(4, 2, &lies));
        link.settle(&mut world, 20 * MILLI);
    }
    assert_eq!(world.state(1), Some(CallState::Ringing));
    let late = world.now - SECOND;
    let told = world.wire.iter().filter(|seen| seen.at > late);
    let strays = told.filter(|seen| seen.to.ip() != link.address.ip());
    let strays: Vec<&Seen> = strays
        .filter(|seen| seen.to.ip().to_string().starts_with("23."))
        .collect();
    assert!(strays.is_empty(), "before the answer nobody is asked");
}

const INVITE: u8 = 3;
const CANDIDATES: u8 = 13;
const ROOM: u8 = 14;
