//! An eavesdropper on the line: what sizes, times and bytes tell.

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use common::{Line, Seen, World};
use twocan::api::{CallState, Command, Done, Switch};
use twocan::peer::SafeText;
use twocan::phone::types::Rung;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// HELLO, REPLY, FINISH, wide and small DATA.
const SIZES: [usize; 5] = [120, 76, 210, 505, 153];

#[test]
fn a_call_shows_one_handshake_and_five_sizes() {
    let mut world = World::friends(1);
    let quiet = world.wire.len();
    world.talk(0, 1);
    world.run(10 * SECOND);
    world.hang_up(0);
    world.run(10 * SECOND);
    let wire = &world.wire[quiet..];
    assert!(wire.len() > 1000);
    assert_eq!(distinct(wire, 1), 1);
    assert_eq!(distinct(wire, 2), 1);
    assert_eq!(distinct(wire, 3), 1);
    assert_eq!(distinct(wire, 4), 0);
    let sizes: BTreeSet<usize> = wire.iter().map(|seen| seen.bytes.len()).collect();
    assert_eq!(sizes, SIZES.into());
    let small = wire.iter().filter(|seen| seen.bytes.len() == 153).count();
    assert!(wire.len() - small < 20, "{} others", wire.len() - small);
}

#[test]
fn no_name_word_key_or_identity_is_ever_on_the_wire() {
    let mut world = World::friends(2);
    world.talk(0, 1);
    let secret = "the heron nests behind the mill, bring the blue ladder";
    let (peer, text) = (world.name(1), secret.to_owned());
    world.order(0, Command::Text { peer, text });
    world.run(3 * SECOND);
    world.hang_up(1);
    world.run(SECOND);
    let delivered = world.sides[0].replies.values().next_back();
    assert_eq!(delivered, Some(&Ok(Done::Nothing)), "the text");

    let mut secrets: Vec<Vec<u8>> = secret.split(' ').map(|word| word.into()).collect();
    secrets.retain(|word| word.len() > 4);
    for (number, side) in (1..).zip(&world.sides) {
        secrets.push(side.id.as_bytes().to_vec());
        secrets.push(common::device(number).x_public().to_vec());
        secrets.push(common::device(number).d_public().to_vec());
        secrets.push(side.id.to_string().into_bytes());
    }
    for words in [world.words(0), world.words(1)] {
        let words = words.expect("they have talked");
        secrets.extend(words.map(String::into_bytes));
    }
    for contact in world.sides[0].contacts.values() {
        secrets.push(contact.dial.as_bytes().to_vec());
    }
    for invite in world.sides[0].invites.values() {
        secrets.push(invite.token.to_vec());
    }
    secrets.push(vec![0; 12]);
    secrets.push(b"anna".to_vec());
    for seen in &world.wire {
        for secret in &secrets {
            let mut parts = seen.bytes.windows(secret.len());
            // A HELLO ends in a MAC that is zero without a cookie.
            let covered = if seen.bytes[0] == 1 { 104 } else { 600 };
            let found = parts.position(|part| part == secret);
            assert!(
                found.is_none_or(|at| at >= covered - secret.len()),
                "{secret:02x?}"
            );
        }
    }
}

/// One packet every 20 ms each way from the answer to the farewell, of one size, whatever happens.
#[test]
fn speech_silence_mute_hold_text_and_new_keys_look_alike() {
    let mut world = World::friends(3);
    world.dial(0, 1);
    world.run_until(SECOND, |w| w.state(0) == Some(CallState::Ringing));
    world.run(SECOND);
    world.answer(1);
    world.run(100 * MILLI);
    let began = world.now;
    world.run(5 * SECOND);
    let scenes: [fn(&mut World); 9] = [
        |w| mute(w, 0, Switch::On),
        |w| w.sides[1].mic_is_broken = true,
        |w| hold(w, 0, Switch::On),
        |w| write(w, 0, 900),
        |w| hold(w, 1, Switch::On),
        |w| hold(w, 0, Switch::Off),
        |w| write(w, 1, 30),
        |w| {
            hold(w, 1, Switch::Off);
            w.sides[1].mic_is_broken = false;
        },
        |w| mute(w, 0, Switch::Off),
    ];
    for scene in scenes {
        scene(&mut world);
        world.run(4_013 * MILLI);
    }
    // The keys change after 108 to 132 s.
    world.run(180 * SECOND);
    let ended = world.now;
    for from in [0, 1].map(|side| world.sides[side].address) {
        let sent = between(&world.wire, from, began, ended);
        let epochs: BTreeSet<u8> = sent.iter().map(|seen| seen.bytes[0]).collect();
        assert_eq!(epochs, [0x11, 0x12].into(), "keys were renewed once");
        check_clock(&sent, 153);
    }
}

/// The one thing that changes the size is a frame that asks for another, as one does when the far
/// side reports a worse line: and then all that follows is as large, whatever it is.
#[test]
fn a_size_that_was_asked_for_stays_in_silence_mute_and_hold() {
    let mut world = World::friends(9);
    world.talk(0, 1);
    for (number, size) in [(5, 233), (0, 103), (4, 193), (1, 113), (2, 133), (3, 153)] {
        world.run(SECOND);
        world.sides[0].rung = Rung::numbered(number);
        world.run(100 * MILLI);
        let began = world.now;
        let scenes: [fn(&mut World); 7] = [
            |w| mute(w, 0, Switch::On),
            |w| w.sides[0].mic_is_broken = true,
            |w| write(w, 0, 300),
            |w| hold(w, 0, Switch::On),
            |w| hold(w, 0, Switch::Off),
            |w| w.sides[0].mic_is_broken = false,
            |w| mute(w, 0, Switch::Off),
        ];
        for scene in scenes {
            scene(&mut world);
            world.run(1_013 * MILLI);
        }
        for (side, size) in [(0, size), (1, 153)] {
            let from = world.sides[side].address;
            check_clock(&between(&world.wire, from, began, world.now), size);
        }
    }
}

/// The harness above does see a gap or another size.
#[test]
#[should_panic(expected = "gap")]
fn a_missing_packet_would_be_seen() {
    let mut world = World::friends(4);
    world.talk(0, 1);
    world.run(2 * SECOND);
    let mut sent = between(
        &world.wire,
        world.sides[0].address,
        world.now - SECOND,
        world.now,
    );
    sent.remove(20);
    check_clock(&sent, 153);
}

/// The four ways in which a call that was answered can end look alike: farewell packets.
#[test]
fn the_farewell_has_the_size_of_every_packet() {
    let mut world = World::friends(5);
    world.talk(0, 1);
    let ended = world.now;
    world.hang_up(0);
    world.run(10 * SECOND);
    let after: Vec<&Seen> = world.wire.iter().filter(|seen| seen.at >= ended).collect();
    assert!((2..=8).contains(&after.len()), "{}", after.len());
    assert!(after.iter().all(|seen| seen.bytes.len() == 153));
}

#[test]
fn new_keys_come_with_new_indices_and_counters() {
    let mut world = World::friends(6);
    world.talk(0, 1);
    world.run(150 * SECOND);
    for from in [0, 1].map(|side| world.sides[side].address) {
        let sent = between(&world.wire, from, world.now - 140 * SECOND, world.now);
        let ids: BTreeSet<(u8, &[u8])> = sent
            .iter()
            .map(|seen| (seen.bytes[0], &seen.bytes[1..5]))
            .collect();
        assert_eq!(ids.len(), 2, "one index for each epoch");
        let indices: BTreeSet<&[u8]> = ids.iter().map(|(_, index)| *index).collect();
        assert_eq!(indices.len(), 2);
        let counters = sent.windows(2).map(|two| {
            let (one, next) = (counter(&two[0]), counter(&two[1]));
            (one + 1 == next, next)
        });
        let jumps: Vec<u32> = counters
            .filter(|(goes_on, _)| !goes_on)
            .map(|(_, n)| n)
            .collect();
        assert_eq!(jumps, [0], "counters begin again with the keys, once");
    }
}

#[test]
fn two_calls_of_the_same_people_have_nothing_in_common() {
    let mut world = World::friends(7);
    let mut pieces: BTreeSet<Vec<u8>> = BTreeSet::new();
    for _ in 0..2 {
        let quiet = world.wire.len();
        world.talk(0, 1);
        world.hang_up(0);
        world.run(5 * SECOND);
        let mut seen_now = BTreeSet::new();
        for seen in &world.wire[quiet..] {
            // Indices, ephemeral keys, ciphertext: anything of 8 bytes, MACs that are zero aside.
            let head = if seen.bytes[0] < 0x10 { 4 } else { 9 };
            let tail = if seen.bytes[0] == 1 {
                104
            } else {
                seen.bytes.len()
            };
            let parts = seen.bytes[head..tail].windows(8);
            seen_now.extend(parts.map(<[u8]>::to_vec));
        }
        assert!(seen_now.len() > 1000);
        assert!(pieces.is_disjoint(&seen_now));
        pieces.extend(seen_now);
    }
}

/// Losses and answers to them do not show in size or clock either.
#[test]
fn a_lossy_line_changes_neither_size_nor_clock() {
    let mut world = World::friends(8);
    world.line = Line::lossy(0.2);
    world.talk(0, 1);
    world.run(SECOND);
    let began = world.now;
    write(&mut world, 0, 900);
    world.run(20 * SECOND);
    for from in [0, 1].map(|side| world.sides[side].address) {
        check_clock(&between(&world.wire, from, began, world.now), 153);
    }
}

fn mute(world: &mut World, side: usize, to: Switch) {
    world.order(side, Command::Mute { to });
}

fn hold(world: &mut World, side: usize, to: Switch) {
    world.order(side, Command::Hold { call: None, to });
}

fn write(world: &mut World, side: usize, length: usize) {
    let (peer, text) = (world.name(1 - side), "x".repeat(length));
    assert_eq!(SafeText::line(&text).len(), length);
    world.order(side, Command::Text { peer, text });
}

fn distinct(wire: &[Seen], kind: u8) -> usize {
    let of_kind = wire.iter().filter(|seen| seen.bytes[0] == kind);
    of_kind
        .map(|seen| &seen.bytes)
        .collect::<BTreeSet<_>>()
        .len()
}

fn between(wire: &[Seen], from: SocketAddr, began: Duration, ended: Duration) -> Vec<Seen> {
    wire.iter()
        .filter(|seen| seen.from == from && seen.at > began && seen.at < ended)
        .cloned()
        .collect()
}

/// One size, one packet every 20 ms, give or take the 50 us by which the clock leans on the
/// microphone's.
fn check_clock(sent: &[Seen], size: usize) {
    assert!(sent.len() > 40);
    for two in sent.windows(2) {
        assert_eq!(two[0].bytes.len(), size);
        let gap = (two[1].at - two[0].at).as_micros();
        assert!(
            (19_950..=20_050).contains(&gap),
            "gap of {gap} us at {:?}",
            two[1].at
        );
    }
}

fn counter(seen: &Seen) -> u32 {
    u32::from_le_bytes(*seen.bytes[5..].first_chunk().expect("DATA"))
}
