//! Invites that are no longer good let nobody in, not even to see that somebody lives here.

mod common;

use std::time::Duration;

use common::World;
use common::manual::Manual;

const SECOND: Duration = Duration::from_secs(1);

/// Somebody with the token of the one invite of phone 0.
fn guest(world: &World, number: u8) -> Manual {
    let mut guest = Manual::new(number);
    let invite = world.sides[0].invites.values().next();
    guest.secret = invite.expect("kept").token.to_vec();
    guest
}

#[test]
fn an_open_invite_lets_in() {
    let mut world = World::new(&["anna"], 1);
    world.invite(0);
    let mut guest = guest(&world, 9);
    assert!(guest.connect(&mut world, 0).is_some());
}

#[test]
fn an_expired_invite_is_met_with_silence() {
    let mut world = World::new(&["anna"], 2);
    world.invite(0);
    let mut guest = guest(&world, 9);
    // An invite of an hour, well within the dial epochs that are accepted.
    world.clock_jump = 3600;
    assert!(guest.connect(&mut world, 0).is_none());
    assert_eq!(world.sides[0].sent.len(), 0);
}

#[test]
fn an_invite_that_is_used_up_gives_no_session_to_another_person() {
    let mut world = World::friends(3);
    assert_eq!(
        world.sides[0].invites.values().next().expect("kept").uses,
        0
    );
    let sessions = world.sides[0].phone.load().sessions;
    let mut guest = guest(&world, 9);
    let _ = guest.connect(&mut world, 0);
    world.run(SECOND);
    assert_eq!(world.sides[0].phone.load().sessions, sessions);
    // At most REPLY: whose the HELLO is cannot be known before FINISH.
    assert!(world.sides[0].sent.len() <= 1);
}
