//! Calls between phones that find each other by the directory and meet over relays.

mod common;

use std::time::Duration;

use common::World;
use twocan::api::{CallState, Command, Event, PathKind, Presence, Why};
use twocan::phone::types::{Input, Path};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// Friends whose addresses are no longer good: only the directory helps.
fn strays(seed: u8) -> World {
    let mut world = World::friends(seed).with_sky();
    world.run(60 * SECOND);
    for side in 0..2 {
        world.restart_with(side, |settings| {
            settings.contacts.iter_mut().for_each(|c| c.hints.clear());
        });
        world.sides[side].events.clear();
    }
    world
}

fn paths(world: &World, side: usize) -> Vec<PathKind> {
    let events = world.sides[side].events.iter();
    let paths = events.filter_map(|event| match event {
        Event::Path { path, .. } => Some(*path),
        _ => None,
    });
    paths.collect()
}

fn states(world: &World, side: usize) -> Vec<CallState> {
    let events = world.sides[side].events.iter();
    let states = events.filter_map(|event| match event {
        Event::Call { state, .. } => Some(*state),
        _ => None,
    });
    states.collect()
}

fn heard_since(world: &World, side: usize, at: Duration) -> usize {
    let heard = world.sides[side].heard.iter();
    heard.filter(|(when, ..)| *when >= at).count()
}

#[test]
fn a_contact_without_an_address_is_found_and_rung_over_a_circuit() {
    let mut world = strays(1);
    world.udp_is_blocked = true;
    let began = world.now;
    world.dial(0, 1);
    assert!(world.run_until(SECOND, |w| w.state(0) == Some(CallState::Ringing)));
    let took = world.now - began;
    assert!(took < 600 * MILLI, "ringing after {took:?}");
    let steps = [
        CallState::LookingUp,
        CallState::Connecting,
        CallState::Ringing,
    ];
    assert_eq!(states(&world, 0), steps);
    world.answer(1);
    world.run(5 * SECOND);
    for side in 0..2 {
        assert_eq!(world.state(side), Some(CallState::Active));
        assert_eq!(paths(&world, side), [PathKind::Circuit]);
        assert_eq!(world.sides[side].mic_opens, 1);
        assert!(world.sides[side].heard.len() > 200);
        let calls = world.sides[side].phone.status().calls;
        assert_eq!(calls[0].path, Some(PathKind::Circuit));
    }
    assert_eq!(world.words(0), world.words(1));
}

#[test]
fn a_call_over_a_relay_moves_to_the_direct_path_without_a_gap() {
    let mut world = strays(2);
    world.talk(0, 1);
    let at = world.now;
    world.run(5 * SECOND);
    for side in 0..2 {
        assert_eq!(paths(&world, side).last(), Some(&PathKind::Direct));
        assert_eq!(paths(&world, side).len(), 2);
        assert!(heard_since(&world, side, at) > 245);
        let seqs: Vec<u16> = world.sides[side].heard.iter().map(|h| h.2.seq).collect();
        let mut sorted = seqs.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), seqs.len(), "nothing twice");
        let lost = usize::from(sorted[sorted.len() - 1] - sorted[0]) + 1 - sorted.len();
        assert_eq!(lost, 0);
    }
    let late = world
        .sky
        .carried
        .iter()
        .filter(|(when, ..)| *when > at + 2 * SECOND);
    assert_eq!(late.count(), 0, "the relay has nothing to carry any more");
}

/// Before the answer nobody learns an address whom the owner has not verified.
#[test]
fn addresses_are_shown_before_the_answer_to_verified_contacts_only() {
    for verified in [false, true] {
        let mut world = strays(3);
        if verified {
            for (side, peer) in [(0, 1), (1, 0)] {
                let peer = world.name(peer);
                world.order(
                    side,
                    Command::Verify {
                        peer,
                        matches: true,
                    },
                );
            }
        }
        world.wire.clear();
        world.dial(0, 1);
        world.run(10 * SECOND);
        assert_eq!(world.state(0), Some(CallState::Ringing));
        assert_eq!(!world.wire.is_empty(), verified);
        world.answer(1);
        world.run(3 * SECOND);
        assert_eq!(paths(&world, 0).last(), Some(&PathKind::Direct));
    }
}

#[test]
fn voice_comes_back_by_itself_when_the_relay_of_a_call_dies() {
    for jammed in [false, true] {
        let mut world = strays(4);
        world.udp_is_blocked = true;
        world.talk(0, 1);
        let number = world.sky.open()[0];
        let at = world.now;
        if jammed {
            world.jam_circuit(number);
        } else {
            world.close_circuit(number);
        }
        let back = at + if jammed { 7 * SECOND } else { SECOND };
        world.run(back + 5 * SECOND - at);
        for side in 0..2 {
            assert_eq!(world.state(side), Some(CallState::Active));
            let heard = heard_since(&world, side, back);
            assert!(
                heard > 230,
                "{heard} after a relay was lost, jammed {jammed}"
            );
            assert_eq!(world.sides[side].mic_opens, 1);
        }
    }
}

#[test]
fn a_dead_direct_path_falls_back_to_the_circuit() {
    let mut world = strays(5);
    world.talk(0, 1);
    world.run(3 * SECOND);
    assert_eq!(paths(&world, 0).last(), Some(&PathKind::Direct));
    world.udp_is_blocked = true;
    let at = world.now;
    world.run(12 * SECOND);
    for side in 0..2 {
        assert_eq!(world.state(side), Some(CallState::Active));
        assert_eq!(paths(&world, side).last(), Some(&PathKind::Circuit));
        assert!(heard_since(&world, side, at + 7 * SECOND) > 230);
    }
}

#[test]
fn without_any_way_a_call_ends_soon_and_says_why() {
    let mut world = strays(6);
    world.sky.absent = vec![1];
    world.dial(0, 1);
    world.run(SECOND);
    assert_eq!(world.why(0), Some(Why::Unreachable));
    world.handle(0, Input::Online(false));
    world.dial(0, 1);
    world.run(SECOND);
    assert_eq!(world.why(0), Some(Why::Offline));
    let who = world.sides[1].id;
    let hint = world.sides[1].address;
    world.handle(0, Input::Online(true));
    world.sides[1].on = false;
    world.dial(0, 1);
    world.handle(0, Input::Way(who, Path::Udp(hint)));
    world.run(19 * SECOND);
    assert_eq!(
        world.state(0),
        Some(CallState::Connecting),
        "a way is tried on"
    );
    world.run(2 * SECOND);
    assert_eq!(world.why(0), Some(Why::Unreachable));
    assert_eq!(world.sides[0].phone.load().attempts, 0);
    assert_eq!(world.sides[0].phone.deadline(), None);
}

/// A text needs a way as much as a call does.
#[test]
fn a_text_finds_its_way_over_a_circuit() {
    let mut world = strays(7);
    world.udp_is_blocked = true;
    let peer = world.name(1);
    let text = "hello".to_owned();
    world.order(0, Command::Text { peer, text });
    world.run(2 * SECOND);
    let came = |event: &Event| matches!(event, Event::Text { sent: false, .. });
    assert!(world.sides[1].events.iter().any(came));
}

/// The REPLY needs longer than the pause before the next HELLO.
#[test]
fn a_slow_circuit_is_a_way_too() {
    let mut world = strays(8);
    world.udp_is_blocked = true;
    world.sky.delay = 350 * MILLI;
    world.dial(0, 1);
    world.run(3 * SECOND);
    assert_eq!(world.state(0), Some(CallState::Ringing));
    assert_eq!(world.sides[1].phone.load().sessions, 1);
}

#[test]
fn a_circuit_that_dies_while_dialling_is_sought_anew() {
    let mut world = strays(9);
    world.udp_is_blocked = true;
    world.dial(0, 1);
    world.run(110 * MILLI);
    world.close_circuit(0);
    world.run(2 * SECOND);
    assert_eq!(world.state(0), Some(CallState::Ringing));
    assert_eq!(world.sky.sought.iter().filter(|s| s.1 == 0).count(), 2);
}

/// What the directory says is shown, but never above what a session shows.
#[test]
fn presence_is_the_session_then_the_directory_then_nothing() {
    let mut world = strays(10);
    let bo = world.sides[1].id;
    let presence = |w: &World| w.sides[0].phone.status().contacts[0].presence;
    assert_eq!(presence(&world), Presence::Unknown);
    let seen = Some(world.moment().unix + 9);
    world.handle(0, Input::Announced(bo, Presence::Connected, seen));
    assert_eq!(presence(&world), Presence::Reachable);
    world.handle(0, Input::Announced(bo, Presence::Away, None));
    assert_eq!(presence(&world), Presence::Away);
    assert!(world.sides[0].contacts[&bo].last_seen == seen);
    world.talk(0, 1);
    assert_eq!(presence(&world), Presence::Connected);
    world.handle(0, Input::Announced(bo, Presence::Offline, None));
    assert_eq!(presence(&world), Presence::Connected);
    world.hang_up(0);
    world.run(5 * SECOND);
    assert_eq!(presence(&world), Presence::Offline);
    world.handle(0, Input::Online(false));
    assert_eq!(presence(&world), Presence::Unknown);
}

#[test]
fn a_new_device_key_from_the_directory_is_dialled() {
    let mut world = strays(11);
    let bo = world.sides[1].id;
    let right = common::device(2).x_public();
    world.restart_with(0, |settings| settings.contacts[0].device = [9; 32]);
    world.dial(0, 1);
    world.run(3 * SECOND);
    assert_eq!(world.state(0), Some(CallState::Connecting));
    world.handle(0, Input::Located(bo, right));
    world.run(SECOND);
    assert_eq!(world.state(0), Some(CallState::Ringing));
    assert_eq!(world.sides[0].contacts[&bo].device, right);
}

/// An unknown circuit gets nothing but what an unknown address gets.
#[test]
fn circuits_of_strangers_find_silence() {
    let mut world = strays(12);
    for length in [1, 64, 76, 120, 153, 210, 505] {
        for kind in 0..32 {
            let mut bytes = vec![7; length];
            bytes[0] = kind;
            world.handle(1, Input::Receive(Path::Circuit(999), &bytes));
        }
    }
    world.handle(1, Input::PathGone(Path::Circuit(998)));
    assert!(world.sky.carried.is_empty());
    assert_eq!(world.sides[1].phone.deadline(), None);
}
