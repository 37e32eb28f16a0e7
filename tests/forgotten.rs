//! Sessions of which the peer knows nothing any more: its computer lost power, or slept for long.

mod common;

use std::time::Duration;

use common::World;
use twocan::api::{CallState, Command, Done, Event, Why};

const SECOND: Duration = Duration::from_secs(1);

/// Two friends with an open session that nobody uses.
fn acquainted(seed: u8) -> World {
    let mut world = World::friends(seed);
    text(&mut world, "hello");
    world.run(SECOND);
    world
}

fn text(world: &mut World, text: &str) {
    let (peer, text) = (world.name(1), text.to_owned());
    world.order(0, Command::Text { peer, text });
}

fn rings(world: &World) -> bool {
    [0, 1].map(|side| world.state(side)) == [Some(CallState::Ringing); 2]
}

fn rang(world: &World, side: usize) -> usize {
    let events = world.sides[side].events.iter();
    let ringing =
        |event: &&Event| matches!(event, Event::Call { state, .. } if *state == CallState::Ringing);
    events.filter(ringing).count()
}

#[test]
fn who_has_begun_anew_is_reached_all_the_same() {
    let mut world = acquainted(51);
    world.restart(1);
    world.run(SECOND);
    let dialled = world.now;
    world.dial(0, 1);
    assert!(world.run_until(5 * SECOND, rings), "it does not ring");
    assert!(world.now - dialled < 3 * SECOND);
    world.answer(1);
    world.run(2 * SECOND);
    assert_eq!(world.state(0), Some(CallState::Active));
    assert!(world.words(0).is_some());
    assert_eq!(world.words(0), world.words(1));
    assert!(world.sides.iter().all(|side| side.heard.len() > 90));
}

#[test]
fn it_rings_also_if_the_old_session_is_found_lost_meanwhile() {
    let mut world = acquainted(52);
    world.sides[1].on = false;
    world.run(18 * SECOND);
    world.restart(1);
    world.dial(0, 1);
    assert!(world.run_until(5 * SECOND, rings), "it does not ring");
}

#[test]
fn a_line_for_who_has_begun_anew_arrives() {
    let mut world = acquainted(53);
    world.restart(1);
    world.sides[1].events.clear();
    let before = world.sides[0].replies.len();
    text(&mut world, "are you back?");
    text(&mut world, "I am.");
    world.run(5 * SECOND);
    let lines = world.sides[1]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Text { text, .. } => Some(text.to_string()),
            _ => None,
        });
    assert_eq!(lines.collect::<Vec<_>>(), ["are you back?", "I am."]);
    let replies = world.sides[0].replies.values().skip(before);
    assert_eq!(replies.collect::<Vec<_>>(), [&Ok(Done::Nothing); 2]);
}

#[test]
fn a_line_that_is_cut_for_a_while_makes_one_call_of_one() {
    for cut in [1, 3, 6] {
        let mut world = acquainted(54);
        let good = world.line;
        world.line.loss = 1.0;
        world.dial(0, 1);
        world.run(cut * SECOND);
        world.line = good;
        assert!(world.run_until(8 * SECOND, rings), "cut for {cut} s");
        world.run(3 * SECOND);
        assert!(rings(&world), "cut for {cut} s");
        assert_eq!(
            [rang(&world, 0), rang(&world, 1)],
            [1, 1],
            "cut for {cut} s"
        );
    }
}

#[test]
fn who_is_gone_is_said_to_be() {
    let mut world = acquainted(55);
    world.sides[1].on = false;
    world.dial(0, 1);
    world.run(25 * SECOND);
    assert_eq!(world.why(0), Some(Why::Unreachable));
    world.run(40 * SECOND);
    assert_eq!(world.sides[0].phone.deadline(), None);
}
