//! Calls between two phones, one behaviour each.

mod common;

use std::time::Duration;

use common::{Line, World};
use twocan::api::{CallState, Command, Done, Event, Switch, Trouble, Why};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_call_rings_is_answered_talks_and_ends() {
    let mut world = World::friends(1);
    world.dial(0, 1);
    assert_eq!(world.state(0), Some(CallState::Connecting));
    world.run_until(SECOND, |w| w.state(0) == Some(CallState::Ringing));
    assert_eq!(world.state(1), Some(CallState::Ringing));
    assert_eq!((world.sides[0].mic, world.sides[1].mic), (None, None));
    world.answer(1);
    world.run(2 * SECOND);
    assert_eq!(world.state(0), Some(CallState::Active));
    assert_eq!(world.state(1), Some(CallState::Active));
    assert!(world.words(0).is_some());
    assert_eq!(world.words(0), world.words(1));
    for side in 0..2 {
        assert!(
            world.sides[side].heard.len() > 90,
            "{}",
            world.sides[side].heard.len()
        );
    }
    world.hang_up(0);
    world.run(SECOND);
    assert_eq!(world.why(0), Some(Why::HungUp));
    assert_eq!(world.why(1), Some(Why::PeerHungUp));
    assert_eq!((world.sides[0].mic, world.sides[1].mic), (None, None));
    world.run(10 * SECOND);
    assert_eq!(
        world.sides[0].phone.deadline(),
        None,
        "nothing to wake up for"
    );
}
