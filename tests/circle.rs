//! Who can find a phone: location secrets, invites without an address, and strangers.

mod common;

use std::time::Duration;

use common::World;
use common::manual::Manual;
use twocan::api::{CallState, Command, Done, Event, Switch, Why};
use twocan::peer::{Invite, PeerId, Reach, SafeText, Secret32, Stranger};
use twocan::phone::pow::{self, Puzzle};
use twocan::phone::types::{Input, Path};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

const CONTACT_REQUEST: u8 = 1;
const CONTACT_OK: u8 = 2;
const INVITE: u8 = 3;
const REACH: u8 = 11;
const REACH_OK: u8 = 12;

#[test]
fn contacts_hold_each_others_secret_from_the_beginning() {
    let world = World::friends(1);
    for (side, other) in [(0, 1), (1, 0)] {
        let circle = world.sides[side].phone.circle();
        assert_eq!(circle.mine.version, 1);
        assert_eq!(circle.members.len(), 1);
        assert_eq!(
            circle.members[0].reach,
            world.sides[other].phone.circle().mine
        );
        assert_eq!(circle.members[0].told, 1);
        assert!(circle.invites.is_empty() && circle.opened.is_empty());
        assert!(world.sides[side].circles > 0);
        assert_eq!(world.sides[side].reach, circle.mine, "it is on the disk");
    }
    let pairwise = |side: usize| world.sides[side].phone.circle().members[0].pairwise.clone();
    assert_eq!(pairwise(0), pairwise(1));
}

#[test]
fn a_secret_is_the_same_after_a_restart() {
    let mut world = World::friends(2);
    let before = world.sides[0].phone.circle();
    world.restart(0);
    assert_eq!(world.sides[0].phone.circle(), before);
}

/// Whoever is removed or blocked holds a secret that is good for nothing; the others get the next.
#[test]
fn removing_and_blocking_change_the_secret() {
    for blocks in [true, false] {
        let mut world = World::new(&["anna", "bo", "chloe"], 3);
        world.befriend(0, 1);
        world.befriend(0, 2);
        world.run(60 * SECOND);
        let old = world.sides[0].phone.circle().mine;
        let circles = world.sides[0].circles;
        let peer = world.sides[1].name.clone();
        let to = Switch::On;
        world.order(
            0,
            if blocks {
                Command::Block { peer, to }
            } else {
                Command::Remove { peer }
            },
        );
        let circle = world.sides[0].phone.circle();
        assert_eq!(circle.mine.version, 2);
        assert_ne!(circle.mine.secret, old.secret);
        assert_eq!(circle.members.len(), 1, "bo is none");
        assert_eq!(circle.members[0].told, 1, "chloe has to be told");
        assert!(world.sides[0].circles > circles);
        world.dial(2, 0);
        world.run(SECOND);
        assert_eq!(world.sides[0].phone.circle().members[0].told, 2);
        let chloes = &world.sides[2].phone.circle().members[0];
        assert_eq!(chloes.reach, world.sides[0].phone.circle().mine);
        let bos = &world.sides[1].phone.circle().members[0];
        assert_eq!(bos.reach, old, "bo knows nothing new");
    }
}

#[test]
fn the_slot_brings_a_newer_secret_and_never_an_older_one() {
    let mut world = World::friends(4);
    let bo = world.sides[1].id;
    let reach = |version, byte| Reach {
        version,
        secret: Secret32::new([byte; 32]),
    };
    world.handle(0, Input::Reach(bo, reach(3, 3)));
    world.handle(0, Input::Reach(bo, reach(2, 2)));
    world.handle(0, Input::Reach(world.sides[0].id, reach(9, 9)));
    assert_eq!(world.sides[0].contacts[&bo].reach, reach(3, 3));
    world.dial(1, 0);
    world.run(SECOND);
    let told = world.sides[0].contacts[&bo].reach.clone();
    assert_eq!(told, reach(3, 3), "bo thinks that anna has his first");
}

/// Neither phone knows an address, and the inviter is away when the invite is opened.
#[test]
fn an_invite_without_an_address_finishes_by_itself() {
    let mut world = World::new(&["anna", "bo"], 5).with_sky();
    world.handle(0, Input::Addresses(Vec::new()));
    world.udp_is_blocked = true;
    let line = world.invite(0);
    let token = Invite::parse_line(&line).expect("a line").token;
    assert!(Invite::parse_line(&line).expect("a line").hints.is_empty());
    assert_eq!(world.sides[0].phone.circle().invites[0].0, token);
    world.sky.absent = vec![0];
    let name = Some("anna".to_owned());
    world.order(1, Command::AddContact { line, name });
    let anna = world.sides[0].id;
    assert_eq!(world.sides[1].phone.circle().opened, [(anna, token)]);
    world.run(600 * SECOND);
    assert!(world.sides[1].contacts[&anna].pending.is_some());
    world.sky.absent.clear();
    // The directory sees her, and so the wait is over.
    let presence = twocan::api::Presence::Reachable;
    world.handle(1, Input::Announced(anna, presence, None));
    world.run(3 * SECOND);
    assert!(world.sides[1].contacts[&anna].pending.is_none());
    assert_eq!(world.sides[0].contacts.len(), 1);
    for side in 0..2 {
        let circle = world.sides[side].phone.circle();
        assert_eq!((circle.members.len(), circle.members[0].told), (1, 1));
        assert!(circle.opened.is_empty() && circle.invites.is_empty());
    }
    world.talk(1, 0);
    assert_eq!(world.state(0), Some(CallState::Active));
}

/// A way alone is enough to try again at once.
#[test]
fn a_way_to_the_inviter_is_used_at_once() {
    let mut world = World::new(&["anna", "bo"], 6).with_sky();
    world.handle(0, Input::Addresses(Vec::new()));
    let line = world.invite(0);
    world.sky.absent = vec![0];
    world.order(1, Command::AddContact { line, name: None });
    world.run(100 * SECOND);
    let anna = world.sides[0].id;
    let [path, _] = world.open_circuit(1, 0);
    world.handle(1, Input::Way(anna, path));
    world.run(2 * SECOND);
    assert!(world.sides[1].contacts[&anna].pending.is_none());
}

#[test]
fn a_contact_rings_three_times_in_five_minutes_and_no_more() {
    let mut world = World::friends(7);
    let rings = |w: &World| {
        let rings = w.sides[1].events.iter();
        let state = CallState::Ringing;
        rings
            .filter(|e| matches!(e, Event::Call { state: s, .. } if *s == state))
            .count()
    };
    for number in 1..=5 {
        world.dial(0, 1);
        world.run(SECOND);
        assert_eq!(rings(&world), number.min(3));
        world.hang_up(0);
        world.run(5 * SECOND);
    }
    assert_eq!(world.why(0), Some(Why::Busy));
    world.run(300 * SECOND);
    for _ in 0..5 {
        world.talk(0, 1);
        assert_eq!(
            world.state(1),
            Some(CallState::Active),
            "answered calls are free"
        );
        world.hang_up(0);
        world.run(5 * SECOND);
    }
}

#[test]
fn a_stranger_waits_in_silence_until_he_is_accepted() {
    let mut world = World::new(&["anna", "bo"], 8).with_sky();
    let line = public_invite(&mut world);
    let invite = Invite::parse_line(&line).expect("a line");
    assert!(invite.public && invite.hints.is_empty());
    world.order(1, Command::AddContact { line, name: None });
    world.run(10 * SECOND);
    let bo = world.sides[1].id;
    let waiting = world.sides[0].phone.status().requests;
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].id, &*waiting[0].name), (bo, "bo"));
    assert!(world.sides[0].contacts.is_empty());
    assert_eq!(world.sides[0].phone.load().sessions, 0);
    assert_eq!(told_requests(&world), [false]);
    world.run(HOUR);
    assert_eq!(told_requests(&world), [false], "he asks again in vain");
    world.restart(0);
    let peer = bo.to_string();
    assert_eq!(world.sides[0].phone.status().requests.len(), 1, "kept");
    let reply = world.order(0, Command::Accept { peer });
    assert_eq!(reply, Some(Ok(Done::Nothing)));
    assert!(world.sides[0].phone.status().requests.is_empty());
    world.restart(0);
    world.run(HOUR);
    assert!(world.sides[0].contacts[&bo].pending.is_none());
    assert!(
        world.sides[1]
            .contacts
            .values()
            .all(|c| c.pending.is_none())
    );
    assert!(world.sides[0].requests.is_empty());
    world.talk(1, 0);
    assert_eq!(world.state(0), Some(CallState::Active));
}

#[test]
fn a_dismissed_stranger_hears_nothing_and_may_ask_again_tomorrow() {
    let mut world = World::new(&["anna", "bo"], 9).with_sky();
    let line = public_invite(&mut world);
    world.order(1, Command::AddContact { line, name: None });
    world.run(10 * SECOND);
    let peer = world.sides[1].id.to_string();
    world.order(0, Command::Dismiss { peer: peer.clone() });
    world.run(HOUR);
    assert_eq!(told_requests(&world), [false, true]);
    let reply = world.order(0, Command::Accept { peer });
    assert!(reply.is_some_and(|reply| reply.is_err()));
    world.run(25 * HOUR);
    assert_eq!(told_requests(&world), [false, true, false]);
}

/// Without the work, with that of others or of another day, nothing is noticed; with it only so
/// many an hour, and the list has an end.
#[test]
fn strangers_pay_and_the_list_has_an_end() {
    let mut world = World::new(&["anna"], 10);
    let line = public_invite(&mut world);
    let token = Invite::parse_line(&line).expect("a line").token;
    let anna = world.sides[0].id;
    let day = pow::day(world.moment().unix);
    let old = (1..=20).map(|n| Stranger {
        id: common::identity(100 + n).id(),
        name: SafeText::name("old"),
        at: u64::from(n),
        accepted: false,
    });
    let old: Vec<Stranger> = old.collect();
    let kept = old.clone();
    world.restart_with(0, |settings| settings.requests = kept);
    let mut asked = 0;
    for number in 20..28 {
        let mut stranger = Manual::new(number);
        stranger.secret = token.to_vec();
        stranger.address = ([10, number, 1, 1], 9).into();
        let id = stranger.identity.id();
        let nonce = pow::solve(&Puzzle::new(&anna, &id, day));
        let works = [
            (day, nonce.wrapping_add(1)),
            (day - 1, nonce),
            (day + 1, nonce),
            (day, nonce),
        ];
        for (day, nonce) in works {
            let mut link = stranger.call(&mut world, 0);
            let body = [
                &[7; 32][..],
                &[1, b'x', 0],
                &day.to_le_bytes(),
                &nonce.to_le_bytes(),
            ];
            link.say(&mut world, CONTACT_REQUEST, &body.concat());
            link.settle(&mut world, SECOND);
            assert_eq!(link.byes.first(), Some(&0), "all see the same");
            assert!(link.said(CONTACT_OK).is_empty());
            world.run(5 * SECOND);
        }
        asked += 1;
        let list = world.sides[0].phone.status().requests;
        assert_eq!(list.len(), 20);
        let newest = list.iter().filter(|request| &*request.name == "x").count();
        assert_eq!(newest, asked.min(5), "five an hour");
    }
    let left: Vec<PeerId> = world.sides[0]
        .phone
        .status()
        .requests
        .iter()
        .map(|r| r.id)
        .collect();
    assert!(
        old[..5].iter().all(|gone| !left.contains(&gone.id)),
        "the oldest made room"
    );
    assert_eq!(world.sides[0].mic_opens, 0);
    assert!(world.sides[0].contacts.is_empty());
}

/// A crowd of strangers takes no place of the people who were invited.
#[test]
fn strangers_keep_no_invited_guest_out() {
    let mut world = World::new(&["anna", "bo"], 11);
    let public = public_invite(&mut world);
    let token = Invite::parse_line(&public).expect("a line").token;
    for number in 20..50 {
        let mut stranger = Manual::new(number);
        stranger.secret = token.to_vec();
        stranger.address = ([10, number, 1, 1], 9).into();
        let link = stranger.connect(&mut world, 0);
        assert!(link.is_some());
        world.run(Duration::from_millis(200));
    }
    assert!(world.sides[0].phone.load().sessions <= 2);
    let line = world.invite(0);
    world.order(1, Command::AddContact { line, name: None });
    world.run(3 * SECOND);
    assert_eq!(world.sides[0].contacts.len(), 1);
}

/// A contact may say anything at any time: nothing opens, and the disk is not kept busy.
#[test]
fn a_contact_who_floods_with_secrets_changes_little() {
    let mut world = World::new(&["anna", "bo"], 12);
    let mut mallory = Manual::new(9);
    mallory.befriend(&mut world, 1, "mallory");
    let mut link = mallory.call(&mut world, 1);
    link.settle(&mut world, SECOND);
    let mine = link.said(REACH).pop().expect("told");
    assert_eq!(mine.len(), 36);
    let saves = world.sides[1].saves;
    for round in 0..200_u32 {
        let reach = [&round.to_le_bytes()[..], &[round as u8; 32]].concat();
        link.say(&mut world, REACH, &reach);
        link.say(&mut world, REACH, &reach[..20]);
        link.say(&mut world, REACH_OK, &(round + 2).to_le_bytes());
        link.say(&mut world, REACH_OK, &[]);
        link.say(
            &mut world,
            CONTACT_REQUEST,
            &[&[7; 32][..], &[1, b'x', 0], &[0; 12]].concat(),
        );
        link.say(
            &mut world,
            CONTACT_OK,
            &[&[7; 32][..], &[1, b'x', 0]].concat(),
        );
        link.settle(&mut world, Duration::from_millis(20));
    }
    let saves = world.sides[1].saves - saves;
    assert!(saves <= 8, "{saves} changes");
    let contact = world.sides[1].contacts.values().next().expect("kept");
    assert_eq!(contact.told, 0, "what was never said is not confirmed");
    link.say(&mut world, REACH_OK, &mine[..4]);
    link.say(&mut world, INVITE, &[7; 48]);
    link.settle(&mut world, SECOND);
    assert_eq!(
        world.sides[1].contacts.values().next().expect("kept").told,
        1
    );
    assert_eq!(
        world.state(1),
        Some(CallState::Ringing),
        "the session stands"
    );
    assert_eq!((world.sides[1].mic_opens, world.sides[1].mic), (0, None));
}

/// Ways that lead nowhere, for anybody, at any time.
#[test]
fn senseless_news_from_the_directory_harms_nothing() {
    let mut world = World::friends(13);
    let strange = common::identity(77).id();
    let bo = world.sides[1].id;
    for peer in [strange, bo, world.sides[0].id] {
        for number in 0..50 {
            world.handle(
                0,
                Input::Way(peer, Path::Udp(([192, 0, 2, 99], number + 1).into())),
            );
            world.handle(0, Input::NoWay(peer));
            world.handle(0, Input::Worked(peer, u64::from(number)));
            world.handle(0, Input::PathGone(Path::Udp(([192, 0, 2, 99], 1).into())));
        }
    }
    world.run(60 * SECOND);
    assert_eq!(world.sides[0].phone.load().attempts, 0);
    assert_eq!(world.sides[0].phone.deadline(), None);
    world.talk(0, 1);
    assert_eq!(world.state(0), Some(CallState::Active));
}

fn public_invite(world: &mut World) -> String {
    let command = Command::Invite {
        lifetime: 30 * 86_400,
        uses: 1,
        public: true,
    };
    match world.order(0, command) {
        Some(Ok(Done::Invite { line, .. })) => line,
        other => panic!("no invite: {other:?}"),
    }
}

/// Each request that was told of: whether it went off the list.
fn told_requests(world: &World) -> Vec<bool> {
    let events = world.sides[0].events.iter();
    let told = events.filter_map(|event| match event {
        Event::Request { removed, .. } => Some(*removed),
        _ => None,
    });
    told.collect()
}
