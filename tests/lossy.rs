//! Calls over bad lines: loss, jitter, reordering, repetition, and addresses that change.

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use common::{Line, World};
use twocan::api::{CallState, Command, Done, Event, Switch, Why};
use twocan::phone::Load;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

#[test]
fn calls_connect_hold_write_and_end_at_five_percent_loss() {
    for seed in 0..20 {
        whole_call(seed, Line::lossy(0.05), 3 * SECOND);
    }
}

#[test]
fn calls_connect_hold_write_and_end_at_twenty_percent_loss() {
    for seed in 0..20 {
        whole_call(seed, Line::lossy(0.2), 8 * SECOND);
    }
}

#[test]
fn calls_connect_hold_write_and_end_at_thirty_percent_loss() {
    for seed in 0..20 {
        whole_call(seed, Line::lossy(0.3), 20 * SECOND);
    }
}

/// Jitter of many packet intervals puts most packets out of order.
#[test]
fn calls_connect_hold_write_and_end_with_300_ms_of_jitter() {
    let line = Line {
        delay: 20 * MILLI,
        jitter: 300 * MILLI,
        loss: 0.05,
        duplicate: 0.1,
    };
    for seed in 0..10 {
        whole_call(seed, line, 8 * SECOND);
    }
}

#[test]
fn every_frame_that_arrives_is_heard_once_though_half_come_twice() {
    let mut world = World::friends(1);
    world.line = Line {
        delay: 20 * MILLI,
        jitter: 200 * MILLI,
        loss: 0.0,
        duplicate: 0.5,
    };
    world.talk(0, 1);
    world.run(10 * SECOND);
    for side in &world.sides {
        let heard: Vec<u16> = side.heard.iter().map(|(_, _, frame)| frame.seq).collect();
        let different: BTreeSet<u16> = heard.iter().copied().collect();
        assert_eq!(different.len(), heard.len(), "a frame was heard twice");
        assert!(!heard.is_sorted(), "nothing was out of order");
        let (first, last) = (different.first(), different.last());
        let span = last.zip(first).map(|(last, first)| last - first);
        let missing = span.expect("heard") as usize + 1 - heard.len();
        assert!(missing < 15, "{missing}: all but those under way");
    }
}

#[test]
fn keys_are_renewed_for_twelve_minutes_at_twenty_percent_loss() {
    let mut world = World::friends(2);
    world.line = Line {
        delay: 20 * MILLI,
        jitter: 60 * MILLI,
        loss: 0.2,
        duplicate: 0.02,
    };
    world.talk(0, 1);
    let began = world.now;
    world.run(720 * SECOND);
    assert_eq!(world.state(0), Some(CallState::Active));
    assert_eq!(world.state(1), Some(CallState::Active));
    for side in 0..2 {
        let from = world.sides[side].address;
        let epochs: BTreeSet<&[u8]> = world
            .wire
            .iter()
            .filter(|seen| seen.from == from && seen.at >= began)
            .map(|seen| &seen.bytes[1..5])
            .collect();
        assert!(epochs.len() >= 6, "{} epochs", epochs.len());
        let heard = world.sides[side]
            .heard
            .iter()
            .filter(|(at, ..)| *at >= began);
        let heard: Vec<(Duration, u16)> = heard.map(|(at, _, frame)| (*at, frame.seq)).collect();
        let share = heard.len() as f64 / (720.0 * 50.0);
        assert!((0.78..0.82).contains(&share), "{share} arrived");
        // 8 lost in a row is once in 400,000 frames; a change of keys must not add to that.
        let mut numbers: Vec<u16> = heard.iter().map(|(_, seq)| *seq).collect();
        numbers.sort_unstable();
        let widest = numbers.windows(2).map(|two| two[1] - two[0]).max();
        assert!(widest <= Some(9), "{widest:?} frames in a row");
    }
}

/// More than the stream has room for waits its turn, and breaks nothing.
#[test]
fn a_pasted_page_arrives_whole_and_the_call_goes_on() {
    for loss in [0.0, 0.2] {
        let mut world = World::friends(7);
        world.line = Line::lossy(loss);
        world.talk(0, 1);
        let before = world.sides[0].replies.len();
        let lines: Vec<String> = (10..40).map(|n| format!("{n} ").repeat(330)).collect();
        for text in lines.clone() {
            let peer = world.name(1);
            world.order(0, Command::Text { peer, text });
        }
        world.run(90 * SECOND);
        assert_eq!(world.state(0), Some(CallState::Active));
        let read = world.sides[1]
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Text { text, .. } => Some(text.trim_end().to_owned()),
                _ => None,
            });
        let read: Vec<String> = read.collect();
        assert!(read.iter().eq(lines.iter().map(|line| line.trim_end())));
        let replies = world.sides[0].replies.values().skip(before);
        assert!(replies.clone().all(|reply| *reply == Ok(Done::Nothing)));
        assert_eq!(replies.count(), 30);
    }
}

/// A NAT forgets its mapping: the same phone suddenly speaks from another address.
#[test]
fn a_call_heals_in_half_a_second_when_an_address_changes() {
    for (seed, delay) in [(3, 5), (4, 50), (5, 120)] {
        for side in 0..2 {
            let mut world = World::friends(seed);
            world.line.delay = delay * MILLI;
            world.talk(0, 1);
            world.run(2 * SECOND);
            let (quiet, moved) = (world.wire.len(), world.now);
            world.sides[side].address = ([198, 51, 100, 77], 1234).into();
            world.run(3 * SECOND);
            for side in 0..2 {
                let heard = world.sides[side].heard.iter();
                let after = heard.filter(|(at, ..)| *at > moved + 500 * MILLI);
                assert!(after.count() >= 123, "{delay} ms, side {side}");
            }
            assert!(world.wire[quiet..].iter().all(|seen| seen.bytes[0] >= 0x10));
            let moves = world.sides[1 - side].events.iter();
            let moves = moves.filter(|event| matches!(event, Event::Path { .. }));
            assert_eq!(moves.count(), 2, "told at the answer and at the move");
            world.hang_up(side);
            world.run(SECOND);
            assert_eq!(world.why(1 - side), Some(Why::PeerHungUp));
        }
    }
}

/// Copies of fresh packets from elsewhere, before or after the originals, move nothing.
#[test]
fn copies_from_another_address_do_not_take_a_call_away() {
    for from_first in [false, true] {
        let mut world = World::friends(6);
        world.line.delay = 20 * MILLI;
        world.talk(0, 1);
        for side in &mut world.sides {
            side.heard.clear();
        }
        let thief: SocketAddr = ([203, 0, 113, 66], 6666).into();
        let mut seen = world.wire.len();
        let (mut cost, mut gain) = (0, 0);
        let quiet = seen;
        for _ in 0..500 {
            while let Some(packet) = world.wire.get(seen).cloned() {
                let to_thief = packet.to == thief;
                if !to_thief && !from_first && packet.at + 25 * MILLI > world.now {
                    break;
                }
                seen += 1;
                if to_thief {
                    gain += packet.bytes.len();
                } else {
                    let side = usize::from(packet.to == world.sides[1].address);
                    cost += packet.bytes.len();
                    world.inject(side, thief, &packet.bytes);
                }
            }
            world.run(5 * MILLI);
        }
        assert!(gain <= cost / 2, "{gain} of {cost} bytes");
        let media = world.wire[quiet..].iter().filter(|seen| seen.to == thief);
        assert!(media.count() < 60, "challenges only");
        for side in &world.sides {
            assert!(side.heard.len() > 120, "{}", side.heard.len());
            assert!(
                side.heard
                    .windows(2)
                    .all(|two| two[1].2.seq == two[0].2.seq + 1)
            );
        }
    }
}

/// Dials, answers, holds, resumes, writes, hangs up; each has to be heard of within `patience`.
fn whole_call(seed: u8, line: Line, patience: Duration) {
    let mut world = World::friends(40 + seed);
    world.line = line;
    world.dial(0, 1);
    let wait = |world: &mut World, what: &str, done: &dyn Fn(&World) -> bool| {
        let met = world.run_until(patience, done);
        assert!(met, "{what} within {patience:?} (seed {seed})");
    };
    wait(&mut world, "it rings here and there", &|w| {
        [0, 1].map(|side| w.state(side)) == [Some(CallState::Ringing); 2]
    });
    world.answer(1);
    wait(&mut world, "both know the answer and the words", &|w| {
        w.state(0) == Some(CallState::Active) && w.words(0).is_some() && w.words(0) == w.words(1)
    });
    hold(&mut world, Switch::On);
    wait(&mut world, "the hold arrives", &|w| {
        w.state(0) == Some(CallState::Held) && w.sides[0].mic.is_none()
    });
    hold(&mut world, Switch::Off);
    wait(&mut world, "the call is resumed", &|w| {
        w.state(0) == Some(CallState::Active) && w.sides[0].mic.is_some()
    });
    let (peer, text) = (world.name(0), "line ".repeat(100));
    world.order(1, Command::Text { peer, text });
    wait(&mut world, "the text arrives and is confirmed", &|w| {
        let is_text = |event: &Event| matches!(event, Event::Text { .. });
        let confirmed = w.sides[1].replies.values().next_back() == Some(&Ok(Done::Nothing));
        w.sides[0].events.iter().any(is_text) && confirmed
    });
    world.hang_up(0);
    wait(&mut world, "the farewell arrives", &|w| {
        w.state(1) == Some(CallState::Ended)
    });
    // Either the farewell was heard, or all of its copies were lost: then it is told apart.
    assert_eq!(world.why(1), Some(Why::PeerHungUp), "seed {seed}");
    world.run(60 * SECOND);
    for side in &world.sides {
        let nothing = Load {
            half_open: 0,
            attempts: 0,
            sessions: 0,
            calls: 0,
        };
        assert_eq!(side.phone.load(), nothing);
        assert_eq!(side.phone.deadline(), None);
    }
}

fn hold(world: &mut World, to: Switch) {
    world.order(1, Command::Hold { call: None, to });
}
