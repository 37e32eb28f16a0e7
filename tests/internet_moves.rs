//! A call goes on whatever happens to the network under it, without being dialled again and without
//! going back and forth between paths.

#![expect(
    clippy::print_stdout,
    reason = "the table of what came of each call, for --nocapture"
)]

mod common;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use common::World;
use common::homes::{Home, Homes};
use common::internet::Cable;
use common::nat::Rules;
use common::talks::{SECOND, is_direct};
use twocan::api::{CallState, PathKind};

const MILLI: Duration = Duration::from_millis(1);

/// A call that has found its path.
fn talking(seed: u8, homes: [Home; 2]) -> World {
    let mut world = World::at_homes(seed, homes);
    let talk = world.call();
    assert_ne!(talk.paths[0], PathKind::Circuit, "{homes:?}");
    world.run(5 * SECOND);
    world
}

/// Voice comes back at both ends within that time after `at` and stays; the call is the same, and
/// each end has changed its path `moves` times at most. Says how long it was away.
fn goes_on(world: &mut World, name: &str, at: Duration, within: Duration, moves: usize) {
    let before = [0, 1].map(|side| world.moves(side));
    world.run(at + within + 10 * SECOND - world.now);
    for (side, before) in before.into_iter().enumerate() {
        let away = world.longest_gap(side, at);
        let moved = world.moves(side) - before;
        let path = world.path(side).expect("a path");
        let away_ms = away.as_millis();
        println!("{name:<38} side {side}: away {away_ms:>5} ms, {moved} moves, {path:?}");
        assert_eq!(world.state(side), Some(CallState::Active), "{name}");
        assert!(away <= within, "{name}: side {side} away for {away:?}");
        let late = world.longest_gap(side, at + within);
        assert!(
            late <= 60 * MILLI,
            "{name}: side {side} had a gap of {late:?}"
        );
        assert!(moved <= moves, "{name}: side {side} moved {moved} times");
        let calls = world.sides[side].phone.status().calls;
        assert_eq!(calls.len(), 1, "{name}");
        assert_eq!(world.sides[side].mic_opens, 1, "{name}: not dialled again");
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

#[test]
fn an_end_gets_another_address_on_its_lan() {
    for side in 0..2 {
        for home in [Home::FullCone, Home::PortRestricted, Home::Symmetric] {
            let mut world = talking(1, [home, Home::PortRestricted]);
            let router = world.homes().router_of(side);
            let at = world.now;
            world.move_side(side, Some(router), ip("192.168.1.77"));
            goes_on(
                &mut world,
                &format!("new LAN address, {home:?}"),
                at,
                SECOND,
                4,
            );
        }
    }
}

#[test]
fn an_open_end_gets_another_address() {
    for side in 0..2 {
        let mut world = talking(2, [Home::Open, Home::Open]);
        let at = world.now;
        world.move_side(side, None, ip("21.9.9.9"));
        goes_on(&mut world, "new public address", at, SECOND, 3);
        assert!((0..2).all(|side| world.path(side).is_some_and(is_direct)));
    }
}

#[test]
fn a_router_reboots() {
    for side in 0..2 {
        for home in [Home::FullCone, Home::PortRestricted, Home::Symmetric] {
            for outside in [None, Some(Ipv4Addr::new(20, 0, 9, 9))] {
                let mut world = talking(3, [home, Home::PortRestricted]);
                let at = world.now;
                world.reboot_router(side, outside);
                let name = match outside {
                    None => format!("router reboots, {home:?}"),
                    Some(_) => format!("router reboots, new address, {home:?}"),
                };
                goes_on(&mut world, &name, at, SECOND, 4);
                assert!(world.is_direct(), "{name}: and is direct again");
            }
        }
    }
}

/// The cable of one network is out, and then another network is there.
#[test]
fn an_end_goes_from_its_home_to_a_mobile_network() {
    for (side, rules) in [
        (0, [Rules::PROVIDER, Rules::PORT_RESTRICTED]),
        (1, [Rules::PROVIDER, Rules::PORT_RESTRICTED]),
        (0, [Rules::SYMMETRIC, Rules::PORT_RESTRICTED]),
        (1, [Rules::SYMMETRIC, Rules::PORT_RESTRICTED]),
    ] {
        let mut world = talking(4, [Home::PortRestricted, Home::PortRestricted]);
        let began = world.now;
        world.pull(side, true);
        world.run(300 * MILLI);
        let homes = world.homes();
        let provider = homes.router(rules[0], None, 20 * MILLI);
        let mobile = homes.router(rules[1], Some(provider), 5 * MILLI);
        world.move_side(side, Some(mobile), ip("10.7.7.7"));
        let name = format!("to a mobile network, {:?}", rules[0].mapping);
        goes_on(&mut world, &name, began, 1300 * MILLI, 4);
        let is_direct = (0..2).all(|side| world.path(side).is_some_and(is_direct));
        assert!(is_direct, "and is direct again");
    }
}

#[test]
fn a_computer_sleeps_for_some_seconds() {
    for asleep in [3 * SECOND, 8 * SECOND] {
        for homes in [
            [Home::PortRestricted, Home::PortRestricted],
            [Home::Symmetric, Home::Symmetric],
        ] {
            for side in 0..2 {
                let mut world = talking(5, homes);
                world.suspend(side);
                world.run(asleep);
                let at = world.now;
                world.resume(side);
                goes_on(&mut world, &format!("asleep for {asleep:?}"), at, SECOND, 4);
            }
        }
    }
}

/// The reflector that carries the call is switched off without a word.
#[test]
fn a_second_reflector_stands_by() {
    let mut world = talking(6, [Home::Symmetric, Home::Symmetric]);
    assert_eq!(world.path(0), Some(PathKind::Reflected));
    kill_the_reflector(&mut world);
    let at = world.now;
    goes_on(&mut world, "reflector dies", at, 1500 * MILLI, 2);
    assert_eq!(world.path(0), Some(PathKind::Reflected));
}

/// What is lost is replaced as soon as the call goes on quietly, so that the next can die too.
#[test]
fn another_reflector_stands_by_in_the_place_of_a_dead_one() {
    for reserve in [false, true] {
        let mut homes = Homes::new(14);
        homes.add_reflector(3, 10 * MILLI);
        let mut world = World::friends(14).settle(homes, [Home::Symmetric, Home::Symmetric]);
        world.call();
        world.run(5 * SECOND);
        if reserve {
            world.homes().reflectors[1].is_dead = true;
        } else {
            kill_the_reflector(&mut world);
        }
        let at = world.now;
        goes_on(&mut world, "the first dies", at, 1500 * MILLI, 2);
        world.run(20 * SECOND);
        let asked = world.homes().asked.len();
        assert_eq!(asked, 2, "once for the call, once for what was lost");
        world.run(20 * SECOND);
        kill_the_reflector(&mut world);
        let at = world.now;
        goes_on(&mut world, "the second dies", at, 1500 * MILLI, 2);
        assert_eq!(world.path(0), Some(PathKind::Reflected));
        world.run(200 * SECOND);
        let asked = world.homes().asked.len();
        assert!(asked < 6, "asked {asked} times though there are no more");
    }
}

fn kill_the_reflector(world: &mut World) {
    let late = world.now - 200 * MILLI;
    let mut wire = world.wire.iter().rev().take_while(|seen| seen.at > late);
    let relay = wire.find(|seen| seen.bytes[0] == 0x20).expect("RELAY");
    let server = relay.to.ip();
    let mut reflectors = world.homes().reflectors.iter_mut();
    let used = reflectors.find(|reflector| reflector.addresses.contains(&server));
    used.expect("one of them").is_dead = true;
}

/// A room does not last for ever: before it ends the call goes on in another.
#[test]
fn a_call_outlives_its_rooms() {
    for homes in [
        [Home::Symmetric, Home::Symmetric],
        [Home::PortRestricted, Home::PortRestricted],
    ] {
        let mut there = Homes::new(15);
        for reflector in &mut there.reflectors {
            reflector.rooms_last = 480 * SECOND;
        }
        let mut world = World::friends(15).settle(there, homes);
        world.call();
        let (began, path) = (world.now, world.path(0));
        let before = [0, 1].map(|side| world.moves(side));
        world.run(600 * SECOND);
        for (side, before) in before.into_iter().enumerate() {
            let gap = world.longest_gap(side, began);
            let moved = world.moves(side) - before;
            println!("rooms end, {homes:?} side {side}: a gap of {gap:?}, {moved} moves");
            assert!(gap <= 40 * MILLI, "a gap of {gap:?}");
            assert!(moved <= 2, "{moved} moves");
            assert_eq!(world.path(side), path);
        }
        assert!(world.homes().asked.len() <= 4, "and few are asked for");
        // Whatever it runs over now, a room still stands by.
        match path {
            Some(PathKind::Reflected) => kill_the_reflector(&mut world),
            _ => {
                let outside = [0, 1].map(|side| world.homes().outside(side));
                world.homes().net.sever(outside[0], outside[1]);
            }
        }
        let at = world.now;
        goes_on(&mut world, "after the rooms ended", at, 1500 * MILLI, 2);
        assert_eq!(world.path(0), Some(PathKind::Reflected));
    }
}

/// One after the other: the circuit is left, and what is new when it is asked for again.
#[test]
fn a_call_outlives_all_reflectors() {
    let mut world = talking(7, [Home::Symmetric, Home::Symmetric]);
    for reflector in &mut world.homes().reflectors {
        reflector.is_dead = true;
    }
    let at = world.now;
    goes_on(&mut world, "all reflectors die", at, 3 * SECOND, 3);
    assert_eq!(world.path(0), Some(PathKind::Circuit));
}

#[test]
fn a_direct_path_is_cut() {
    for homes in [
        [Home::PortRestricted, Home::PortRestricted],
        [Home::Open, Home::FullCone],
        [Home::PortRestricted, Home::Sequential],
        [Home::Symmetric, Home::PortRestricted],
    ] {
        let mut world = talking(8, homes);
        assert!(world.is_direct());
        let outside = [0, 1].map(|side| world.homes().outside(side));
        world.homes().net.sever(outside[0], outside[1]);
        let at = world.now;
        goes_on(&mut world, &format!("cut, {homes:?}"), at, SECOND, 1);
        assert_eq!(world.path(0), Some(PathKind::Reflected));
    }
}

/// What was cut comes back, and is cut again: the call does not hurry back there each time.
#[test]
fn a_path_that_comes_and_goes_does_not_tear_the_call_along() {
    let mut world = talking(9, [Home::PortRestricted, Home::PortRestricted]);
    let outside = [0, 1].map(|side| world.homes().outside(side));
    let before = world.moves(0);
    let at = world.now;
    for _ in 0..10 {
        world.homes().net.sever(outside[0], outside[1]);
        world.run(3 * SECOND);
        world.homes().net.mend();
        world.run(3 * SECOND);
    }
    let moved = world.moves(0) - before;
    assert!(moved <= 8, "{moved} moves in a minute");
    for side in 0..2 {
        let heard = world.heard_since(side, at);
        assert!(heard > 2800, "{heard} of 3000 frames at side {side}");
    }
    let now = world.now;
    goes_on(&mut world, "no longer cut", now, SECOND, 1);
}

/// On a good line nothing is gained by moving.
#[test]
fn a_path_that_works_is_kept() {
    for homes in [
        [Home::PortRestricted, Home::Cgnat],
        [Home::Open, Home::Open],
        [Home::Symmetric, Home::HardCgnat],
        [Home::UdpBlocked, Home::Open],
    ] {
        let mut world = World::at_homes(10, homes);
        world.call();
        world.run(5 * SECOND);
        let at = world.now;
        world.run(120 * SECOND - SECOND);
        goes_on(
            &mut world,
            &format!("two minutes, {homes:?}"),
            at,
            120 * SECOND,
            0,
        );
        for side in 0..2 {
            assert!(world.longest_gap(side, at) <= 40 * MILLI, "{homes:?}");
        }
    }
}

/// Jitter and loss as on a poor radio link.
#[test]
fn a_bad_line_is_no_reason_to_move() {
    for homes in [
        [Home::PortRestricted, Home::PortRestricted],
        [Home::Symmetric, Home::Symmetric],
        [Home::Symmetric, Home::PortRestricted],
    ] {
        let mut world = World::at_homes(11, homes);
        for side in 0..2 {
            let mut cable = Cable::of(25 * MILLI);
            (cable.jitter, cable.loss) = (30 * MILLI, 0.03);
            let router = world.homes().router_of(side);
            world.homes().net.lay(router, cable);
        }
        world.dial(0, 1);
        assert!(world.run_until(5 * SECOND, |w| w.state(1) == Some(CallState::Ringing)));
        world.answer(1);
        world.run(15 * SECOND);
        let before = [0, 1].map(|side| world.moves(side));
        let at = world.now;
        world.run(60 * SECOND);
        for (side, before) in before.into_iter().enumerate() {
            let moved = world.moves(side) - before;
            let heard = world.heard_since(side, at);
            let path = world.path(side);
            println!("bad line, {homes:?} side {side}: {moved} moves, {heard} frames, {path:?}");
            assert!(moved <= 2, "{homes:?}: {moved} moves in a minute");
            assert!(heard > 2700, "{homes:?}: {heard} of 3000 frames");
            assert_ne!(path, Some(PathKind::Circuit));
        }
    }
}

/// Routers forget soon what is not used; the rooms that stand by are kept all the same.
#[test]
fn hasty_routers_do_not_cost_the_reserve() {
    let mut homes = Homes::new(12);
    let rules = Rules {
        timeout: 20 * SECOND,
        ..Rules::PORT_RESTRICTED
    };
    for side in 0..2 {
        let router = homes.router(rules, None, 8 * MILLI);
        homes.live(Some(router), &[[192, 168, 1, 2 + side].into()]);
    }
    let mut world = World::friends(12).live_in(homes);
    let talk = world.call();
    assert!(talk.is_direct());
    world.run(120 * SECOND);
    let outside = [0, 1].map(|side| world.homes().outside(side));
    world.homes().net.sever(outside[0], outside[1]);
    let at = world.now;
    goes_on(&mut world, "cut after two minutes", at, SECOND, 1);
    assert_eq!(world.path(0), Some(PathKind::Reflected));
}

/// No UDP from the middle of a call on.
#[test]
fn a_call_goes_on_over_tcp_when_udp_is_blocked() {
    let mut world = talking(13, [Home::PortRestricted, Home::PortRestricted]);
    let router = world.homes().router_of(0);
    world.homes().net.nat(router).rules.blocks_udp = true;
    let at = world.now;
    goes_on(&mut world, "UDP is blocked in mid-call", at, 3 * SECOND, 2);
    assert_eq!(world.path(0), Some(PathKind::Circuit));
}
