//! Phones that find each other in a directory, through days, restarts, wrong clocks and lies.
#![expect(clippy::print_stdout, reason = "the traffic is a figure worth seeing")]

mod bulletin;

use bulletin::{START, World, pairwise, reach, seconds};
use proptest::prelude::*;
use std::time::Duration;

use twocan::directory::{Announced, Input, Keeper, Moment, Name, Offer, Output, State};
use twocan::peer::{Member, PeerId, Redacted};

const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

/// Two phones that know each other and have a network.
fn pair() -> World {
    let mut world = World::new();
    let (one, two) = (world.add(1), world.add(2));
    world.befriend(one, two);
    world.open();
    world.run(seconds(2));
    world
}

fn located(world: &World, at: usize) -> Vec<u8> {
    let said = world.phones[at].said.iter().rev();
    let mut found = said.filter_map(|(_, output)| match output {
        Output::Located { peer, .. } => Some(peer.clone()),
        _ => None,
    });
    found.next().expect("located")
}

fn count(world: &World, at: usize, which: impl Fn(&Output) -> bool) -> usize {
    let said = world.phones[at].said.iter();
    said.filter(|(_, output)| which(output)).count()
}

fn not_located(output: &Output) -> bool {
    matches!(output, Output::NotLocated { .. })
}

#[test]
fn two_phones_find_each_other_and_a_warm_search_costs_nothing() {
    let mut world = pair();
    for (me, other) in [(0, 1), (1, 0)] {
        assert_eq!(world.presence(me, other), Announced::Available);
    }
    let id = world.id(1);
    let (gets, device) = (world.phones[0].gets, world.phones[1].device.x_public());
    world.tell(0, Input::Seek(id));
    let said = &world.phones[0].said.last().expect("an answer").1;
    let expected = Output::Located {
        id,
        device,
        peer: vec![1; 38],
        relays: vec![vec![1; 60]; 2],
    };
    assert_eq!((said, world.phones[0].gets), (&expected, gets));
}

#[test]
fn a_change_is_seen_within_two_seconds_even_the_second_one() {
    let mut world = pair();
    world.run(seconds(100));
    world.tell(0, Input::Standing(State::Away));
    assert_eq!(world.presence(1, 0), Announced::Away, "at once");
    world.tell(0, Input::Standing(State::Available));
    world.tell(0, Input::Standing(State::DoNotDisturb));
    world.run(seconds(2));
    assert_eq!(world.presence(1, 0), Announced::DoNotDisturb);
}

#[test]
fn names_are_not_put_more_than_once_a_second() {
    let mut world = pair();
    world.run(seconds(10));
    let puts = world.phones[0].puts;
    for round in 0..100 {
        let state = [State::Away, State::Available][round % 2];
        world.tell(0, Input::Standing(state));
        world.run(seconds(1) / 10);
    }
    assert!(world.phones[0].puts - puts <= 11);
}

#[test]
fn routes_wait_until_they_rest_but_the_first_do_not() {
    let mut world = pair();
    let puts = world.phones[0].puts;
    assert!(puts > 0, "the first announcement waits for nothing");
    for byte in 2..7 {
        world.tell(
            0,
            Input::Routes {
                peer: vec![byte; 38],
                relays: vec![vec![byte; 60]],
            },
        );
        world.run(seconds(2));
    }
    assert_eq!(world.phones[0].puts, puts);
    world.run(seconds(11));
    assert_eq!(world.phones[0].puts, puts + 1);
    let id = world.id(0);
    world.tell(1, Input::Seek(id));
    assert_eq!(located(&world, 1), [6; 38]);
}

#[test]
fn who_is_called_while_both_are_just_coming_is_found() {
    let mut world = pair();
    let id = world.id(0);
    world.restart(0, 7, 0);
    world.online(0, false);
    world.store.clear();
    world.restart(1, 8, 0);
    world.tell(1, Input::Seek(id));
    world.run(seconds(2));
    assert_eq!(count(&world, 1, not_located), 0, "too early to say");
    world.online(0, true);
    world.run(seconds(1));
    assert_eq!(located(&world, 1), [7; 38]);

    world.tell(0, Input::Standing(State::Off));
    world.online(0, false);
    world.restart(1, 9, 0);
    world.tell(1, Input::Seek(id));
    world.run(seconds(5));
    assert_eq!(count(&world, 1, not_located), 1, "but not for ever");
}

#[test]
fn the_invisible_sign_off_once_and_then_say_nothing() {
    let mut world = pair();
    world.tell(0, Input::Standing(State::Off));
    world.run(seconds(2));
    assert_eq!(world.presence(1, 0), Announced::Offline);
    let puts = world.phones[0].puts;
    world.run(seconds(3 * DAY));
    assert_eq!(world.phones[0].puts, puts);
    assert_eq!(world.presence(1, 0), Announced::Offline);
    world.tell(0, Input::Standing(State::Available));
    world.run(seconds(2));
    assert_eq!(world.presence(1, 0), Announced::Available);
    // Who starts invisible has nothing to take back.
    let mut world = World::new();
    world.add(1);
    world.tell(0, Input::Standing(State::Off));
    world.open();
    world.run(seconds(DAY));
    assert_eq!(world.phones[0].puts, 0);
}

#[test]
fn the_removed_see_only_offline_and_the_others_follow_by_their_slots() {
    let mut world = World::new();
    let [me, stays, goes] = [1, 2, 3].map(|byte| world.add(byte));
    world.befriend(me, stays);
    world.befriend(me, goes);
    world.open();
    world.run(seconds(5));
    let removed = world.id(goes);
    world.phones[me].circle.mine = reach(2, 1);
    world.phones[me]
        .circle
        .members
        .retain(|member| member.id != removed);
    world.recircle(me);
    world.run(seconds(5));
    assert_eq!(world.presence(goes, me), Announced::Offline);
    let id = world.id(me);
    let told = Output::Reach {
        id,
        reach: reach(2, 1),
    };
    assert_eq!(count(&world, stays, |output| *output == told), 1);
    assert_eq!(
        count(&world, goes, |output| matches!(
            output,
            Output::Reach { .. }
        )),
        0
    );
    world.phones[stays].circle.members[0].reach = reach(2, 1);
    world.recircle(stays);
    world.run(seconds(1));
    assert_eq!(world.presence(stays, me), Announced::Available);
    // Once the contact has confirmed, the slot is left to end.
    world.phones[me].circle.members[0].told = 2;
    world.recircle(me);
    let puts = world.phones[me].puts;
    world.run(seconds(2 * HOUR));
    assert!(
        world.phones[me].puts - puts <= 14,
        "the location alone, on one day or two"
    );
    world.tell(goes, Input::Seek(id));
    world.run(seconds(5));
    assert_eq!(count(&world, goes, not_located), 1);
    assert_eq!(world.presence(goes, me), Announced::Offline);
}

#[test]
fn a_search_follows_the_slot_to_the_new_secret() {
    let mut world = World::new();
    let (one, two) = (world.add(1), world.add(2));
    world.befriend(one, two);
    world.phones[one].circle.mine = reach(2, 1);
    world.open();
    // Two was away when the secret changed: it has the old one.
    world.phones[two].said.clear();
    let id = world.id(one);
    world.tell(two, Input::Seek(id));
    world.run(seconds(1));
    assert_eq!(count(&world, two, not_located), 0, "it waits for the core");
    world.phones[two].circle.members[0].reach = reach(2, 1);
    world.recircle(two);
    assert_eq!(located(&world, two), [1; 38]);
}

#[test]
fn nobody_is_lost_at_the_edge_of_a_day() {
    for skew in [-3000, 0, 3000] {
        let mut world = World::new();
        let (one, two) = (world.add(1), world.add_with(2, skew));
        world.befriend(one, two);
        world.open();
        world.run(seconds(2));
        let before = world.phones[two].said.len();
        world.run(seconds(3 * DAY));
        let news = &world.phones[two].said[before..];
        // A clock that is behind by more than its validity sees no end; one ahead may.
        if skew <= 0 {
            assert_eq!(news, [], "skew {skew}");
        }
        if skew == 0 {
            assert_eq!(world.presence(one, two), Announced::Available);
        }
    }
}

#[test]
fn a_clock_two_hours_wrong_is_set_right_by_the_network() {
    for skew in [-2 * HOUR as i64, 2 * HOUR as i64, -400 * DAY as i64] {
        let mut world = World::new();
        let (one, two) = (world.add(1), world.add_with(2, skew));
        world.befriend(one, two);
        world.tell(two, Input::Clock { offset_s: -skew });
        world.introduce(two, 1);
        world.open();
        world.run(seconds(2));
        for (me, other) in [(one, two), (two, one)] {
            assert_eq!(
                world.presence(me, other),
                Announced::Available,
                "skew {skew}"
            );
        }
        let before = [one, two].map(|at| world.phones[at].said.len());
        world.run(seconds(2 * DAY));
        let after = [one, two].map(|at| world.phones[at].said.len());
        assert_eq!(before, after, "no news in two days");
    }
}

#[test]
fn a_wrong_clock_never_shows_the_gone_as_there() {
    let mut world = World::new();
    let (one, two) = (world.add(1), world.add_with(2, 2 * HOUR as i64));
    world.befriend(one, two);
    world.open();
    world.run(seconds(HOUR));
    assert_eq!(
        world.presence(two, one),
        Announced::Offline,
        "all looks expired"
    );
    let offset_s = -2 * HOUR as i64;
    world.tell(two, Input::Clock { offset_s });
    world.run(seconds(21 * 60));
    assert_eq!(world.presence(two, one), Announced::Available);
}

/// A machine that slept: the wall clock went on and the other one did not.
#[test]
fn who_wakes_up_with_a_worn_record_renews_it_at_once() {
    for slept in [26 * 60, 10 * HOUR as i64] {
        let mut world = pair();
        world.run(seconds(60));
        let puts = world.phones[0].puts;
        world.phones[0].skew += 60;
        world.tell(0, Input::Timeout);
        assert_eq!(world.phones[0].puts, puts, "a minute is nothing");
        world.phones[0].skew += slept;
        world.tell(0, Input::Timeout);
        assert_eq!(world.phones[0].puts, puts + 1, "{slept}");
        // Learning that the clock was wrong after all mends the record just so.
        world.run(seconds(2));
        let offset_s = -60 - slept;
        world.tell(0, Input::Clock { offset_s });
        assert_eq!(world.phones[0].puts, puts + 2, "{slept}");
        world.run(seconds(5));
        assert_eq!(world.presence(1, 0), Announced::Available);
    }
}

#[test]
fn a_restart_with_a_clock_set_back_still_gets_its_record_in() {
    for skew in [0, -(HOUR as i64)] {
        let mut world = pair();
        world.run(seconds(100));
        world.restart(0, 9, skew);
        world.tell(0, Input::Clock { offset_s: -skew });
        world.run(seconds(10));
        let id = world.id(0);
        world.tell(1, Input::Seek(id));
        assert_eq!(located(&world, 1), [9; 38], "skew {skew}");
    }
}

#[test]
fn who_comes_back_within_a_second_is_seen_at_once() {
    let mut world = pair();
    world.run(seconds(100));
    world.tell(0, Input::Standing(State::Off));
    assert_eq!(world.presence(1, 0), Announced::Offline);
    world.run(Duration::from_millis(300));
    world.restart(0, 9, 0);
    assert_eq!(world.presence(1, 0), Announced::Available);
}

#[test]
fn who_vanishes_is_offline_when_the_record_ends_or_somebody_says_so() {
    let mut world = pair();
    world.run(seconds(60));
    world.online(0, false);
    world.run(seconds(28 * 60));
    assert_eq!(world.presence(1, 0), Announced::Available);
    world.run(seconds(3 * 60));
    assert_eq!(world.presence(1, 0), Announced::Offline);
    world.online(0, true);
    world.run(seconds(2));
    assert_eq!(world.presence(1, 0), Announced::Available);

    // A lie about it lowers the presence until the next record, and hides nobody from a search.
    let names: Vec<_> = world.store.keys().copied().collect();
    let liar = u64::MAX;
    for name in names {
        world.tell(
            1,
            Input::Gone {
                name,
                sequence: liar,
            },
        );
    }
    assert_eq!(world.presence(1, 0), Announced::Offline);
    let id = world.id(0);
    world.phones[1].said.clear();
    world.tell(1, Input::Seek(id));
    assert_eq!(located(&world, 1), [1; 38]);
    world.tell(0, Input::Standing(State::Away));
    world.run(seconds(2));
    assert_eq!(world.presence(1, 0), Announced::Away);
    let names: Vec<_> = world.store.keys().copied().collect();
    for name in names {
        world.tell(1, Input::Gone { name, sequence: 0 });
    }
    assert_eq!(
        world.presence(1, 0),
        Announced::Away,
        "that was another one"
    );
}

#[test]
fn without_a_network_of_our_own_nothing_is_known() {
    let mut world = pair();
    world.online(1, false);
    assert_eq!(world.presence(1, 0), Announced::Unknown);
    let id = world.id(0);
    world.tell(1, Input::Seek(id));
    assert_eq!(located(&world, 1), [1; 38], "the cache is fresh");
    world.run(seconds(HOUR));
    world.phones[1].said.clear();
    world.tell(1, Input::Seek(id));
    world.run(seconds(5));
    assert_eq!(count(&world, 1, not_located), 1);
    world.online(1, true);
    world.run(seconds(2));
    assert_eq!(world.presence(1, 0), Announced::Available);
}

#[test]
fn an_old_record_is_never_believed_again() {
    let mut world = pair();
    let (_, _, name, old) = world
        .log
        .iter()
        .find(|(_, at, ..)| *at == 0)
        .cloned()
        .expect("a put");
    world.tell(0, Input::Standing(State::Off));
    world.run(seconds(2));
    assert_eq!(world.presence(1, 0), Announced::Offline);
    world.tell(1, Input::Record { name, value: old });
    assert_eq!(world.presence(1, 0), Announced::Offline);
}

/// What that phone was told last of what its contacts offer.
fn offers(world: &World, at: usize) -> Vec<Offer> {
    let said = world.phones[at].said.iter().rev();
    let mut told = said.filter_map(|(_, output)| match output {
        Output::Offers(offers) => Some(offers.clone()),
        _ => None,
    });
    told.next().unwrap_or_default()
}

#[test]
fn what_is_offered_is_for_contacts_and_ends_with_the_presence() {
    let mut world = World::new();
    let (giver, friend, invited) = (world.add(1), world.add(2), world.add(3));
    world.befriend(giver, friend);
    let token = [9; 16];
    let end = world.unix() + DAY;
    let id = world.id(giver);
    world.phones[giver].circle.invites = vec![(token, end)];
    world.phones[invited].circle.opened = vec![(id, token)];
    for at in [giver, invited] {
        world.recircle(at);
    }
    world.open();
    world.run(seconds(2));
    assert_eq!(offers(&world, friend), []);
    let offer = Offer {
        relay: vec![7; 50],
        pass: Redacted([8; 16]),
    };
    world.tell(giver, Input::Offer(Some(offer.clone())));
    world.run(seconds(2));
    assert_eq!(offers(&world, friend), [offer]);
    assert_eq!(world.presence(invited, giver), Announced::Available);
    assert_eq!(offers(&world, invited), [], "an invite may be anywhere");
    world.tell(giver, Input::Standing(State::Off));
    world.run(seconds(2));
    assert_eq!(offers(&world, friend), []);
}

#[test]
fn an_invite_needs_no_address() {
    let mut world = World::new();
    let (inviter, opener, stranger) = (world.add(1), world.add(2), world.add(3));
    let token = [7; 16];
    let end = START + 3 * HOUR;
    let id = world.id(inviter);
    world.phones[inviter].circle.invites = vec![(token, end)];
    world.phones[opener].circle.opened = vec![(id, token)];
    world.phones[stranger].circle.opened = vec![(id, [8; 16])];
    world.open();
    world.run(seconds(2));
    assert_eq!(world.presence(opener, inviter), Announced::Available);
    for at in [opener, stranger] {
        world.tell(at, Input::Seek(id));
    }
    world.run(seconds(12));
    assert_eq!(located(&world, opener), [1; 38]);
    assert_eq!(count(&world, stranger, not_located), 1);
    assert_eq!(world.presence(stranger, inviter), Announced::Offline);
    // An invite that has ended leads nowhere.
    world.run(seconds(4 * HOUR));
    assert_eq!(world.presence(opener, inviter), Announced::Offline);
}

#[test]
fn refusals_and_thin_copies_are_met_with_growing_pauses() {
    let mut world = pair();
    world.run(seconds(10));
    let puts = world.phones[0].puts;
    world.refuses = true;
    world.tell(0, Input::Standing(State::Away));
    world.run(seconds(HOUR));
    let refused = world.phones[0].puts - puts;
    assert!(
        (10..=60).contains(&refused),
        "{refused} puts in an hour of refusals"
    );
    world.refuses = false;
    world.run(seconds(6 * 60));
    assert_eq!(world.presence(1, 0), Announced::Away);

    let mut world = World::new();
    world.add(1);
    world.copies = 0;
    world.open();
    world.run(seconds(60));
    assert!(world.phones[0].puts >= 2, "once more, soon");
    world.run(seconds(HOUR));
    assert!(world.phones[0].puts <= 14, "{} puts", world.phones[0].puts);
}

/// 50 contacts, an hour in which nothing changes.
#[test]
fn an_hour_of_fifty_contacts_costs_little() {
    let mut world = World::new();
    let me = world.add(0);
    for byte in 1..=50 {
        let other = world.add(byte);
        world.befriend(me, other);
    }
    world.open();
    world.run(seconds(HOUR));
    let before = tally(&world, me);
    world.run(seconds(HOUR));
    let after = tally(&world, me);
    let [sent, received, puts, gets, watches] = std::array::from_fn(|at| after[at] - before[at]);
    println!(
        "an hour with 50 contacts: {received} bytes of records in, {sent} out, {puts} puts, \
         {gets} gets, {watches} watches; {} names watched",
        world.phones[me].watched.len()
    );
    assert!(received <= 30_000 && sent <= 15_000);
    assert!(gets == 0 && watches <= 8);
    let shown = (1..=50).filter(|at| world.presence(me, *at) == Announced::Available);
    assert_eq!(shown.count(), 50);
}

fn tally(world: &World, at: usize) -> [u64; 5] {
    let phone = &world.phones[at];
    [
        phone.sent,
        phone.received,
        phone.puts,
        phone.gets,
        phone.watches,
    ]
}

#[test]
fn seeking_a_stranger_ends_at_once() {
    let mut world = pair();
    let id = PeerId::from_bytes(world.id(0).blinded(&pairwise(0, 1), 1)).expect("a sound point");
    world.tell(1, Input::Seek(id));
    assert_eq!(count(&world, 1, not_located), 1);
}

#[test]
fn more_contacts_than_can_be_served_do_no_harm() {
    let world = pair();
    let mut keeper = Keeper::new([1; 32], &world.phones[0].identity, 0);
    let mut circle = world.phones[0].circle.clone();
    let member = circle.members[0].clone();
    for number in 0..1100_u64 {
        let id = world.id(1).blinded(&pairwise(0, 1), number);
        let id = PeerId::from_bytes(id).expect("a sound point");
        circle.members.push(Member {
            id,
            ..member.clone()
        });
    }
    let now = Moment {
        mono: seconds(1),
        unix: START,
    };
    keeper.handle(Input::Circle(circle), now);
    keeper.handle(Input::Online(true), now);
    let outputs: Vec<Output> = std::iter::from_fn(|| keeper.poll()).collect();
    let [Output::Watch(names)] = &outputs[..] else {
        panic!("{} outputs", outputs.len());
    };
    assert!(names.len() <= 4000);
}

/// Any input, with the names and the records of a real world among the nonsense.
fn input(world: &World) -> impl Strategy<Value = Input> + use<> {
    let names: Vec<Name> = world.store.keys().copied().chain([Name([9; 32])]).collect();
    let values: Vec<Vec<u8>> = world.log.iter().map(|(.., value)| value.clone()).collect();
    let (id, other) = (world.id(0), world.id(1));
    let circle = world.phones[1].circle.clone();
    let name = prop::sample::select(names);
    let value = prop_oneof![
        prop::sample::select(values.clone()),
        (
            prop::sample::select(values),
            any::<prop::sample::Index>(),
            any::<u8>()
        )
            .prop_map(|(mut value, at, byte)| {
                let at = at.index(value.len());
                value[at] = byte;
                value
            }),
        prop::collection::vec(any::<u8>(), 0..3000),
    ];
    prop_oneof![
        (name.clone(), value).prop_map(|(name, value)| Input::Record { name, value }),
        (name.clone(), any::<u64>()).prop_map(|(name, sequence)| Input::Gone { name, sequence }),
        name.clone().prop_map(|name| Input::Absent { name }),
        name.clone().prop_map(|name| Input::Refused { name }),
        (name, any::<u16>()).prop_map(|(name, copies)| Input::Stored { name, copies }),
        prop_oneof![any::<i64>(), -10_000..10_000_i64, Just(0)]
            .prop_map(|offset_s| Input::Clock { offset_s }),
        any::<bool>().prop_map(Input::Online),
        prop::sample::select(vec![id, other]).prop_map(Input::Seek),
        prop::sample::select(vec![State::Off, State::Away]).prop_map(Input::Standing),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6).prop_map(
            |relays| Input::Routes {
                peer: vec![1; 38],
                relays
            }
        ),
        any::<bool>().prop_map(move |empty| match empty {
            true => Input::Circle(Default::default()),
            false => Input::Circle(circle.clone()),
        }),
        Just(Input::Timeout),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in whatever order at whatever time: no panic, few outputs, and a deadline
    /// that does not stand still.
    #[test]
    fn nonsense_does_no_harm(
        inputs in {
            let world = pair();
            prop::collection::vec((input(&world), 0..5000_u64, prop_oneof![
                9 => Just(None), 1 => any::<u64>().prop_map(Some),
            ]), 1..60)
        },
    ) {
        let world = pair();
        let mut keeper = Keeper::new([3; 32], &world.phones[1].identity, 0);
        let mut mono = world.mono;
        let phone = &world.phones[1];
        let from = START as u32;
        let cert = phone.identity.certify(&phone.device, from, from + 86_400, 0);
        for input in [
            Input::Circle(phone.circle.clone()),
            Input::Device(cert, phone.device.x_public()),
            Input::Standing(State::Available),
            Input::Online(true),
        ] {
            keeper.handle(input, Moment { mono, unix: START });
        }
        while keeper.poll().is_some() {}
        for (input, wait, unix) in inputs {
            mono += seconds(wait);
            let unix = unix.unwrap_or(START + mono.as_secs());
            keeper.handle(input, Moment { mono, unix });
            let outputs = std::iter::from_fn(|| keeper.poll()).count();
            prop_assert!(outputs <= 16, "{} outputs", outputs);
            for _ in 0..4 {
                keeper.handle(Input::Timeout, Moment { mono, unix });
                while keeper.poll().is_some() {}
            }
            prop_assert!(keeper.deadline().is_none_or(|due| due > mono), "a busy loop");
        }
    }
}
