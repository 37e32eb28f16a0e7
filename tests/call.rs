//! Calls between phones, one behaviour each.

mod common;

use std::time::Duration;

use common::{Line, World};
use twocan::api::{CallState, Command, Done, Event, PathKind, Presence, Switch, Trouble, Why};

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
    for side in &world.sides {
        assert!(side.heard.len() > 90, "{} frames", side.heard.len());
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

#[test]
fn ringing_takes_two_and_a_half_round_trips() {
    let mut world = World::friends(2);
    world.line.delay = Duration::from_millis(100);
    let began = world.now;
    world.dial(0, 1);
    world.run_until(5 * SECOND, |w| w.state(1) == Some(CallState::Ringing));
    assert_eq!(world.now - began, Duration::from_millis(500));
    world.run_until(5 * SECOND, |w| w.state(0) == Some(CallState::Ringing));
    assert_eq!(world.now - began, Duration::from_millis(600));
}

#[test]
fn an_invite_makes_contacts_of_both() {
    let world = World::friends(3);
    for (side, other) in [(0, 1), (1, 0)] {
        let contact = world.sides[side].contacts[&world.sides[other].id].clone();
        assert_eq!(&*contact.petname, world.name(other));
        assert!(contact.pending.is_none() && contact.verified.is_none());
        assert_eq!(contact.hints, [world.sides[other].address]);
    }
    let (a, b) = (&world.sides[0], &world.sides[1]);
    assert_eq!(a.contacts[&b.id].dial, b.contacts[&a.id].dial);
    assert!(!a.contacts[&b.id].dial.is_zero());
}

#[test]
fn an_invite_is_good_for_one_person_only() {
    let mut world = World::new(&["anna", "bo", "chloe"], 4);
    let line = world.invite(0);
    for side in [1, 2] {
        let line = line.clone();
        world.order(side, Command::AddContact { line, name: None });
        world.run(30 * SECOND);
    }
    let known = &world.sides[0].contacts;
    assert!(known.contains_key(&world.sides[1].id));
    assert!(!known.contains_key(&world.sides[2].id));
    let chloes = world.sides[2].contacts.values().next().expect("kept");
    assert!(chloes.pending.is_some());
}

#[test]
fn an_invite_opened_while_the_inviter_is_away_finishes_by_itself() {
    let mut world = World::new(&["anna", "bo"], 5);
    let line = world.invite(0);
    world.sides[0].on = false;
    let name = Some("anna".to_owned());
    world.order(1, Command::AddContact { line, name });
    world.run(120 * SECOND);
    assert!(
        world.sides[1]
            .contacts
            .values()
            .all(|c| c.pending.is_some())
    );
    world.sides[0].on = true;
    world.run(600 * SECOND);
    assert!(
        world.sides[1]
            .contacts
            .values()
            .all(|c| c.pending.is_none())
    );
    assert_eq!(world.sides[0].contacts.len(), 1);
}

#[test]
fn declined_busy_cancelled_and_unanswered_are_told_apart() {
    let mut world = World::friends(6);
    world.dial(0, 1);
    world.run(SECOND);
    world.order(1, Command::Decline { call: None });
    world.run(SECOND);
    assert_eq!(
        (world.why(0), world.why(1)),
        (Some(Why::Declined), Some(Why::DeclinedHere))
    );

    world.dial(0, 1);
    world.run(SECOND);
    world.hang_up(0);
    world.run(SECOND);
    assert_eq!(
        (world.why(0), world.why(1)),
        (Some(Why::Cancelled), Some(Why::PeerCancelled))
    );

    world.dial(0, 1);
    world.run(59 * SECOND);
    assert_eq!(world.state(0), Some(CallState::Ringing));
    world.run(3 * SECOND);
    assert_eq!(
        (world.why(0), world.why(1)),
        (Some(Why::NoAnswer), Some(Why::Missed))
    );
    assert_eq!(world.sides[1].mic_opens, 0);

    world.sides[1].on = false;
    world.run(10 * SECOND);
    world.dial(0, 1);
    world.run(25 * SECOND);
    assert_eq!(world.why(0), Some(Why::Unreachable));
}

#[test]
fn giving_up_before_the_ring_leaves_no_trace_there() {
    let mut world = World::friends(7);
    world.line.delay = Duration::from_millis(100);
    world.dial(0, 1);
    world.run(Duration::from_millis(250));
    world.hang_up(0);
    world.run(60 * SECOND);
    assert_eq!(world.why(0), Some(Why::Cancelled));
    assert_eq!(world.state(1), None);
}

#[test]
fn both_dialling_makes_one_call_without_ringing() {
    for apart in 0..60 {
        let mut world = World::friends(8);
        world.line.delay = Duration::from_millis(20);
        world.dial(0, 1);
        world.run(Duration::from_millis(apart));
        let peer = world.name(0);
        world.order(1, Command::Dial { peer, muted: false });
        world.run(5 * SECOND);
        for side in 0..2 {
            assert_eq!(
                world.state(side),
                Some(CallState::Active),
                "{apart} ms apart"
            );
            assert_eq!(world.sides[side].phone.status().calls.len(), 1);
            assert_eq!(world.sides[side].mic_opens, 1);
        }
        assert!(world.words(0).is_some());
        assert_eq!(world.words(0), world.words(1));
    }
}

/// The slower HELLO must not make a second session when the first one stands already.
#[test]
fn both_dialling_from_afar_costs_no_second_session() {
    let mut world = World::friends(23);
    world.line.delay = Duration::from_millis(200);
    world.run(60 * SECOND);
    world.sides.iter_mut().for_each(|side| side.sent.clear());
    world.dial(0, 1);
    world.dial(1, 0);
    let talks = |w: &World| (0..2).all(|side| w.state(side) == Some(CallState::Active));
    assert!(world.run_until(7 * world.line.delay, talks));
    world.run(5 * SECOND);
    assert!(talks(&world));
    let finishes = |side: usize| {
        let sent = world.sides[side].sent.iter();
        sent.filter(|(_, datagram)| datagram[0] == 3).count()
    };
    assert!((finishes(0) == 0) ^ (finishes(1) == 0));
}

#[test]
fn a_waiting_call_is_answered_by_holding_the_first() {
    let mut world = World::new(&["anna", "bo", "chloe"], 9);
    world.befriend(0, 1);
    world.befriend(0, 2);
    world.talk(1, 0);
    world.dial(2, 0);
    world.run(SECOND);
    assert_eq!(world.state(2), Some(CallState::Ringing));
    let second = world.answer(0);
    world.run(SECOND);
    assert_eq!(world.sides[0].mic, Some(second));
    assert_eq!(world.state(1), Some(CallState::Held));
    assert_eq!(world.sides[1].mic, None);
    assert_eq!(world.state(2), Some(CallState::Active));
    let to = Switch::Off;
    let first = world.sides[0].phone.status().calls[0].call;
    world.order(
        0,
        Command::Hold {
            call: Some(first),
            to,
        },
    );
    world.run(SECOND);
    assert_eq!(world.sides[0].mic, Some(first));
    assert_eq!(
        (world.state(1), world.state(2)),
        (Some(CallState::Active), Some(CallState::Held))
    );
}

#[test]
fn a_third_caller_hears_busy_and_is_recorded_as_missed() {
    let mut world = World::new(&["anna", "bo", "chloe", "dmitri"], 10);
    for friend in 1..4 {
        world.befriend(0, friend);
    }
    world.talk(1, 0);
    world.dial(2, 0);
    world.run(SECOND);
    world.dial(3, 0);
    world.run(SECOND);
    assert_eq!(world.why(3), Some(Why::Busy));
    let missed = world.sides[0].events.iter().any(|event| {
        matches!(event, Event::Call { id, why: Some(Why::Missed), .. } if *id == world.sides[3].id)
    });
    assert!(missed);
    assert_eq!(world.sides[0].phone.status().calls.len(), 2);
}

#[test]
fn hold_stops_the_voice_and_resume_brings_it_back() {
    let mut world = World::friends(11);
    world.talk(0, 1);
    world.order(
        0,
        Command::Hold {
            call: None,
            to: Switch::On,
        },
    );
    world.run(SECOND);
    let heard = |w: &World| (w.sides[0].heard.len(), w.sides[1].heard.len());
    let before = heard(&world);
    world.run(3 * SECOND);
    assert_eq!(heard(&world), before);
    assert_eq!(
        (world.state(0), world.state(1)),
        (Some(CallState::Held), Some(CallState::Held))
    );
    world.order(
        0,
        Command::Hold {
            call: None,
            to: Switch::Off,
        },
    );
    world.run(SECOND);
    assert!(heard(&world).0 > before.0 + 40 && heard(&world).1 > before.1 + 40);
}

#[test]
fn a_peer_that_falls_silent_is_lost_after_twenty_seconds() {
    let mut world = World::friends(12);
    world.talk(0, 1);
    world.sides[1].on = false;
    world.sides[0].sent.clear();
    world.run(19 * SECOND);
    assert_eq!(world.state(0), Some(CallState::Active));
    let late = world.now - 10 * SECOND;
    let probes = world.sides[0].sent.iter().filter(|(at, _)| *at > late);
    assert!(probes.count() <= 11, "only probes without consent");
    world.run(2 * SECOND);
    assert_eq!(world.why(0), Some(Why::Lost));
    assert_eq!(world.sides[0].mic, None);
}

#[test]
fn a_short_cut_of_the_line_does_not_end_the_call() {
    let mut world = World::friends(13);
    world.talk(0, 1);
    world.line.loss = 1.0;
    world.run(12 * SECOND);
    world.line.loss = 0.0;
    let before = world.sides[1].heard.len();
    world.run(3 * SECOND);
    assert_eq!(world.state(0), Some(CallState::Active));
    assert!(world.sides[1].heard.len() > before + 80);
}

#[test]
fn switching_off_tells_the_other_side() {
    let mut world = World::friends(14);
    world.talk(0, 1);
    world.handle(1, twocan::phone::types::Input::Shutdown);
    world.run(SECOND);
    assert_eq!(
        (world.why(0), world.why(1)),
        (Some(Why::PeerGone), Some(Why::ShutDown))
    );
}

#[test]
fn words_that_differ_end_the_call_at_both_ends() {
    let mut world = World::friends(15);
    world.talk(0, 1);
    let peer = world.name(1);
    world.order(
        0,
        Command::Verify {
            peer: peer.clone(),
            matches: true,
        },
    );
    assert!(
        world.sides[0].contacts[&world.sides[1].id]
            .verified
            .is_some()
    );
    world.order(
        0,
        Command::Verify {
            peer,
            matches: false,
        },
    );
    world.run(SECOND);
    assert_eq!(
        (world.why(0), world.why(1)),
        (Some(Why::WordsDiffer), Some(Why::WordsDiffer))
    );
    assert!(
        world.sides[0].contacts[&world.sides[1].id]
            .verified
            .is_none()
    );
}

#[test]
fn text_arrives_with_and_without_a_call_and_is_confirmed() {
    let mut world = World::friends(16);
    let send = |world: &mut World, text: &str| {
        let (peer, text) = (world.name(1), text.to_owned());
        world.order(0, Command::Text { peer, text });
        world.run(SECOND);
    };
    send(&mut world, "without a call \u{1b}[31m\u{202e}");
    world.talk(0, 1);
    send(&mut world, "within a call");
    let lines: Vec<String> = world.sides[1]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Text {
                text, sent: false, ..
            } => Some(text.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(lines, ["without a call [31m", "within a call"]);
    let confirmed = world.sides[0]
        .replies
        .values()
        .filter(|r| **r == Ok(Done::Nothing));
    assert!(confirmed.count() >= 2);
    world.hang_up(0);
    world.sides[1].on = false;
    world.run(10 * SECOND);
    send(&mut world, "to nobody");
    world.run(30 * SECOND);
    let last = world.sides[0].replies.values().next_back().cloned();
    let refusal = last.expect("a reply").expect_err("cannot be delivered");
    assert_eq!(refusal.trouble, Trouble::Unreachable);
}

#[test]
fn a_blocked_contact_finds_silence() {
    let mut world = World::friends(17);
    let peer = world.name(1);
    world.order(
        0,
        Command::Block {
            peer,
            to: Switch::On,
        },
    );
    world.run(40 * SECOND);
    world.sides[0].sent.clear();
    world.sides[0].events.clear();
    world.dial(1, 0);
    world.run(30 * SECOND);
    assert_eq!(world.why(1), Some(Why::Unreachable));
    assert_eq!(world.sides[0].sent, []);
    assert_eq!(world.sides[0].events, []);
    let peer = world.name(1);
    world.order(
        0,
        Command::Block {
            peer,
            to: Switch::Off,
        },
    );
    world.talk(1, 0);
    assert_eq!(world.state(1), Some(CallState::Active));
}

#[test]
fn a_removed_contact_is_gone_at_once() {
    let mut world = World::friends(18);
    world.talk(0, 1);
    let peer = world.name(1);
    world.order(0, Command::Remove { peer });
    world.run(5 * SECOND);
    assert_eq!(world.why(1), Some(Why::PeerHungUp));
    world.dial(1, 0);
    world.run(30 * SECOND);
    assert_eq!(world.why(1), Some(Why::Unreachable));
    assert!(world.sides[0].contacts.is_empty());
}

#[test]
fn presence_is_said_when_it_is_known() {
    let mut world = World::friends(19);
    world.talk(0, 1);
    let told = |w: &World| {
        w.sides[0]
            .events
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::Presence { presence, .. } => Some(*presence),
                _ => None,
            })
    };
    assert_eq!(told(&world), Some(Presence::Connected));
    world.hang_up(0);
    world.run(SECOND);
    assert_eq!(told(&world), Some(Presence::Unknown));
}

#[test]
fn the_path_and_its_round_trip_are_told() {
    let mut world = World::friends(20);
    world.line.delay = Duration::from_millis(30);
    world.talk(0, 1);
    world.run(20 * SECOND);
    let call = world.sides[0].phone.status().calls[0].call;
    let numbers = world.sides[0].phone.call_numbers(call).expect("a session");
    assert!(
        (58.0..64.0).contains(&numbers.rtt_ms),
        "{} ms",
        numbers.rtt_ms
    );
    let direct = world.sides[0].events.iter().any(|event| {
        matches!(
            event,
            Event::Path {
                path: PathKind::Direct,
                ..
            }
        )
    });
    assert!(direct);
}

#[test]
fn keys_are_renewed_while_people_talk() {
    let mut world = World::friends(21);
    world.line = Line::lossy(0.05);
    world.talk(0, 1);
    let index = |w: &World| w.sides[0].sent.last().map(|(_, d)| d[1..5].to_vec());
    let mut indices = Vec::new();
    for _ in 0..13 {
        world.run(60 * SECOND);
        indices.push(index(&world));
    }
    indices.dedup();
    assert!(indices.len() >= 5, "{} epochs in 13 minutes", indices.len());
    assert_eq!(world.state(0), Some(CallState::Active));
}

#[test]
fn dialling_somebody_who_rings_here_answers() {
    let mut world = World::friends(22);
    world.dial(0, 1);
    world.run(SECOND);
    let peer = world.name(0);
    world.order(1, Command::Dial { peer, muted: false });
    world.run(SECOND);
    assert_eq!(
        (world.state(0), world.state(1)),
        (Some(CallState::Active), Some(CallState::Active))
    );
}

#[test]
fn orders_that_make_no_sense_are_refused_in_words() {
    let mut world = World::friends(23);
    let mut trouble = |command| match world.order(0, command) {
        Some(Err(refusal)) => refusal.trouble,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(trouble(Command::Hangup { call: None }), Trouble::NotNow);
    assert_eq!(trouble(Command::Decline { call: None }), Trouble::NotNow);
    assert_eq!(
        trouble(Command::Answer {
            call: None,
            muted: false
        }),
        Trouble::NotNow
    );
    let nobody = Command::Dial {
        peer: "zoe".into(),
        muted: false,
    };
    assert_eq!(trouble(nobody), Trouble::NoSuchContact);
    let line = "twocan:1:nonsense".to_owned();
    assert_eq!(
        trouble(Command::AddContact { line, name: None }),
        Trouble::Usage
    );
}
