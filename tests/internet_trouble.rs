//! Calls that begin in a network where something is missing, or where everything happens at once.

#![expect(
    clippy::print_stdout,
    reason = "the table of what came of each call, for --nocapture"
)]

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use common::World;
use common::homes::{Home, Homes};
use common::nat::Rules;
use common::talks::{SECOND, is_direct};
use twocan::api::{CallState, PathKind};
use twocan::phone::types::{Input, Report};

const MILLI: Duration = Duration::from_millis(1);

/// Two ports of one reflector tell enough of most routers, and its room is as good as two.
#[test]
fn one_reflector_is_enough() {
    for (homes, path) in [
        ([Home::PortRestricted, Home::Cgnat], None),
        ([Home::PortRestricted, Home::Symmetric], None),
        ([Home::Sequential, Home::PortRestricted], None),
        (
            [Home::Symmetric, Home::Symmetric],
            Some(PathKind::Reflected),
        ),
    ] {
        let mut there = Homes::new(1);
        there.reflectors.truncate(1);
        let talk = World::friends(1).settle(there, homes).call();
        match path {
            None => assert!(talk.is_direct(), "{homes:?}: {talk:?}"),
            Some(kind) => assert!(talk.is(kind), "{homes:?}: {talk:?}"),
        }
        assert!(
            talk.gap <= 40 * MILLI && talk.ring <= 600 * MILLI,
            "{talk:?}"
        );
    }
}

/// Nobody says from where a phone is seen: only what it knows itself is left.
#[test]
fn without_any_reflector_open_homes_talk_directly_and_others_over_a_circuit() {
    for (homes, path) in [
        ([Home::Open, Home::PortRestricted], PathKind::Direct),
        ([Home::Symmetric, Home::Open], PathKind::Direct),
        ([Home::Firewall, Home::Firewall], PathKind::Direct),
        (
            [Home::PortRestricted, Home::PortRestricted],
            PathKind::Circuit,
        ),
    ] {
        let mut there = Homes::new(2);
        there.reflectors.clear();
        let talk = World::friends(2).settle(there, homes).call();
        assert!(talk.is(path), "{homes:?}: {talk:?}");
        assert!(
            talk.gap <= 40 * MILLI && talk.ring <= 600 * MILLI,
            "{talk:?}"
        );
    }
}

/// A reflector gives rooms, but its UDP never answers.
#[test]
fn a_reflector_that_is_deaf_costs_nothing() {
    for deaf in 0..2 {
        let mut world = World::at_homes(3, [Home::Symmetric, Home::Symmetric]);
        let host = world.homes().reflectors[deaf].host;
        world.homes().net.pull(host, true);
        let talk = world.call();
        assert!(talk.is(PathKind::Reflected), "{talk:?}");
        assert!(
            talk.gap <= 40 * MILLI && talk.ring <= 600 * MILLI,
            "{talk:?}"
        );
    }
}

/// Both dial at once, each has rooms made, and still it is one call on one path.
#[test]
fn two_who_dial_at_once_agree_on_everything() {
    for apart in [0, 30, 90, 150, 250] {
        for homes in [
            [Home::PortRestricted, Home::Symmetric],
            [Home::Symmetric, Home::Symmetric],
        ] {
            let mut world = World::at_homes(4, homes);
            world.dial(0, 1);
            world.run(apart * MILLI);
            world.dial(1, 0);
            world.run(8 * SECOND);
            for side in 0..2 {
                assert_eq!(world.state(side), Some(CallState::Active), "{apart} ms");
                assert_eq!(world.sides[side].phone.status().calls.len(), 1);
                assert!(world.heard_since(side, world.now - SECOND) >= 49);
            }
            match homes[0] {
                Home::Symmetric => assert_eq!(world.path(0), Some(PathKind::Reflected)),
                _ => assert!(world.is_direct(), "{apart} ms apart"),
            }
        }
    }
}

/// Neither end knows where the other is now: only the rooms still do.
#[test]
fn both_ends_get_other_addresses_at_once() {
    for homes in [
        [Home::PortRestricted, Home::PortRestricted],
        [Home::Symmetric, Home::Symmetric],
    ] {
        let mut world = World::at_homes(5, homes);
        world.call();
        world.run(3 * SECOND);
        let at = world.now;
        for side in 0..2 {
            let outside = Ipv4Addr::new(20, 0, 9, 1 + side as u8);
            world.reboot_router(side, Some(outside));
            let router = world.homes().router_of(side);
            let address = [192, 168, 1, 90 + side as u8].into();
            world.move_side(side, Some(router), address);
        }
        world.run(10 * SECOND);
        for side in 0..2 {
            let away = world.longest_gap(side, at);
            println!("both move, {homes:?}: side {side} away for {away:?}");
            assert!(away <= SECOND, "{homes:?}: side {side} away for {away:?}");
            assert_eq!(world.state(side), Some(CallState::Active));
        }
    }
}

/// From a network with UDP into one without.
#[test]
fn an_end_goes_where_there_is_no_udp() {
    for side in 0..2 {
        let mut world = World::at_homes(6, [Home::PortRestricted, Home::PortRestricted]);
        world.call();
        world.run(3 * SECOND);
        let router = world.homes().router(Rules::NO_UDP, None, 8 * MILLI);
        let at = world.now;
        world.move_side(side, Some(router), [10, 1, 1, 2].into());
        world.run(12 * SECOND);
        for end in 0..2 {
            let away = world.longest_gap(end, at);
            println!("no UDP where side {side} goes: side {end} away for {away:?}");
            assert!(away <= 3 * SECOND, "side {end} away for {away:?}");
            assert_eq!(world.path(end), Some(PathKind::Circuit));
        }
    }
}

/// A cut that lasts, and then is mended: the direct path is taken again, without a gap.
#[test]
fn a_direct_path_that_is_back_is_taken_again() {
    let mut world = World::at_homes(7, [Home::PortRestricted, Home::PortRestricted]);
    world.call();
    let outside = [0, 1].map(|side| world.homes().outside(side));
    world.homes().net.sever(outside[0], outside[1]);
    world.run(20 * SECOND);
    assert_eq!(world.path(0), Some(PathKind::Reflected));
    world.homes().net.mend();
    let at = world.now;
    assert!(
        world.run_until(60 * SECOND, World::is_direct),
        "never direct again"
    );
    println!("direct again {:?} after the cut was mended", world.now - at);
    world.run(10 * SECOND);
    for side in 0..2 {
        assert!(world.path(side).is_some_and(is_direct));
        assert!(world.longest_gap(side, at) <= 40 * MILLI);
    }
}

/// Runs for some seconds, in each of which both ends report what they have missed.
fn run_with_reports(world: &mut World, seconds: u32) -> Vec<[Option<PathKind>; 2]> {
    let mut paths = Vec::new();
    for _ in 0..seconds {
        let since = world.now;
        world.run(SECOND);
        for side in 0..2 {
            let missed = 50_usize.saturating_sub(world.heard_since(side, since));
            let report = Report {
                recent: (4 * missed).min(200) as u8,
                ..Report::default()
            };
            let call = world.sides[side].mic.expect("an open microphone");
            world.handle(side, Input::Report(call, report));
        }
        paths.push([0, 1].map(|side| world.path(side)));
    }
    paths
}

/// A quarter is lost on the direct path and nothing by the reflector: it is left, and taken again
/// when it is whole; where it is as bad elsewhere, the session comes back.
#[test]
fn a_path_that_loses_much_is_left_for_one_that_does_not() {
    for elsewhere in [0.0, 0.25] {
        let mut world = World::at_homes(9, [Home::PortRestricted, Home::PortRestricted]);
        let talk = world.call();
        assert!(talk.is_direct(), "{talk:?}");
        run_with_reports(&mut world, 5);
        let outside = [0, 1].map(|side| world.homes().outside(side));
        world.homes().net.thin(outside[0], outside[1], 0.25);
        for reflector in 0..2 {
            let host = world.homes().reflectors[reflector].host;
            let address = world.homes().net.addresses(host)[0];
            world.homes().net.thin(outside[0], address, elsewhere);
        }
        let paths = run_with_reports(&mut world, 60);
        let reflected = [Some(PathKind::Reflected); 2];
        let left = paths.iter().position(|path| *path == reflected);
        println!(
            "{elsewhere} lost elsewhere: left after {left:?} s, then {:?}",
            paths[59]
        );
        assert!(left.is_some_and(|left| left < 10), "{paths:?}");
        let stayed = paths.iter().filter(|path| **path == reflected).count();
        if elsewhere > 0.0 {
            assert!(stayed < 20 && world.is_direct(), "{stayed} s: {paths:?}");
            continue;
        }
        assert!(stayed > 20, "{stayed} s: {paths:?}");
        world.homes().net.mend();
        run_with_reports(&mut world, 120);
        assert!(world.is_direct());
        let moves = world.moves(0);
        run_with_reports(&mut world, 120);
        assert_eq!(world.moves(0), moves, "it does not come to rest");
    }
}

/// The second call of two friends is as direct as the first.
#[test]
fn calls_one_after_the_other_are_all_direct() {
    let mut world = World::at_homes(8, [Home::Symmetric, Home::PortRestricted]);
    for number in 0..4 {
        let talk = world.call();
        assert!(talk.is_direct(), "call {number}: {talk:?}");
        world.hang_up(number % 2);
        world.run(if number == 1 {
            200 * SECOND
        } else {
            2 * SECOND
        });
        for side in 0..2 {
            world.sides[side].events.clear();
            world.sides[side].heard.clear();
        }
    }
    world.run(200 * SECOND);
    let ports = world.homes().ports.len();
    assert_eq!(ports, 0, "the ports of the search are closed at last");
}

/// Nothing is left to wake up for, and nothing is sent any more.
#[test]
fn after_a_call_the_network_is_quiet() {
    for homes in [
        [Home::Symmetric, Home::PortRestricted],
        [Home::Symmetric, Home::Symmetric],
        [Home::UdpBlocked, Home::Open],
    ] {
        let mut world = World::at_homes(9, homes);
        world.call();
        world.hang_up(0);
        world.run(200 * SECOND);
        let sent = world.wire.len();
        world.run(600 * SECOND);
        let late = &world.wire[sent..];
        assert!(late.is_empty(), "{homes:?}: {} packets", late.len());
        for side in 0..2 {
            assert_eq!(world.sides[side].phone.deadline(), None, "{homes:?}");
        }
    }
}
