//! Floods, cookies and amplification: what many packets, or packets from false addresses, can do.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::World;
use common::manual::{Knock, Manual, open_cookie, sign};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use twocan::api::CallState;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// The attacker is a contact, so that his HELLOs have a right MAC: the worst that can knock.
#[test]
fn a_flood_of_valid_hellos_costs_a_live_call_nothing_and_keeps_nobody_out() {
    let (mut world, mut mallory) = three_friends_and_mallory(1);
    world.talk(0, 1);
    let knock = mallory.knock(&world, 1);
    let (mut replies, mut cookies, mut most) = (0, 0, 0);
    let mut first_cookie = None;
    let (mut dialled, mut rings) = (None, None);
    let (began, quiet) = (world.now, world.wire.len());
    for number in 0..10_000u32 {
        // 5 a millisecond, each from an address of its own.
        let from = SocketAddr::from(([10, (number >> 8) as u8, number as u8, 7], 999));
        let seen = world.wire.len();
        world.inject(1, from, &again(&knock, number));
        for seen in &world.wire[seen..] {
            assert_eq!(seen.to, from, "only the sender is answered");
            assert!(seen.bytes.len() <= 120);
            replies += usize::from(seen.bytes[0] == 2);
            cookies += usize::from(seen.bytes[0] == 4);
        }
        if cookies == 1 {
            first_cookie.get_or_insert(world.now - began);
        }
        most = most.max(world.sides[1].phone.load().half_open);
        if number % 5 == 4 {
            world.run(MILLI);
        }
        if number == 2_503 {
            world.dial(2, 1);
            dialled = Some(world.now);
        }
        if world.state(2) == Some(CallState::Ringing) {
            rings.get_or_insert(world.now);
        }
    }
    assert!(most <= 256 && replies <= 256, "{most} half open, {replies}");
    assert!(cookies > 1000, "{cookies} cookies");
    assert!(first_cookie < Some(100 * MILLI) && first_cookie.is_some());
    let waited = rings.zip(dialled).map(|(rings, dialled)| rings - dialled);
    assert!(
        waited.is_some_and(|waited| waited < 2 * SECOND),
        "{waited:?}"
    );
    let elapsed = (world.now - began).as_millis() as usize;
    assert!(elapsed >= 2_000);
    for side in 0..2 {
        let heard = &world.sides[side].heard;
        let during = heard.iter().filter(|(at, ..)| *at > began).count();
        assert!(during >= elapsed / 20 - 1, "{during} frames");
        assert!(heard.windows(2).all(|two| two[0].2.seq + 1 == two[1].2.seq));
    }
    assert!(world.wire.len() > quiet);
    world.run(10 * SECOND);
    assert_eq!(world.sides[1].phone.load().half_open, 0);
}

/// Strangers cannot make a right MAC, but they can make the phone check many.
#[test]
fn a_flood_of_false_hellos_gets_silence_and_keeps_nobody_out() {
    let (mut world, mut mallory) = three_friends_and_mallory(2);
    let knock = mallory.knock(&world, 1);
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    world.talk(0, 1);
    let began = world.now;
    let mut rings = None;
    for number in 0..20_000u32 {
        let mut hello = knock.hello.clone();
        rng.fill_bytes(&mut hello[88..]);
        let seen = world.wire.len();
        let from = SocketAddr::from(([11, (number >> 8) as u8, number as u8, 7], 999));
        world.inject(1, from, &hello);
        assert_eq!(world.wire.len(), seen);
        if number == 3_000 {
            world.dial(2, 1);
        }
        if number % 10 == 9 {
            world.run(MILLI);
        }
        if world.state(2) == Some(CallState::Ringing) {
            rings.get_or_insert(world.now - began);
        }
    }
    assert!(rings < Some(2 * SECOND) && rings.is_some(), "{rings:?}");
}

#[test]
fn a_cookie_is_good_for_its_address_and_for_four_minutes_at_most() {
    let (mut world, mut mallory) = three_friends_and_mallory(3);
    let here = mallory.address;
    let elsewhere = SocketAddr::from(([198, 51, 100, 9], 4001));
    make_busy(&mut world, &mut mallory);
    let mut knock = mallory.knock(&world, 1);
    let cookie = answer(&mut world, here, &knock.hello);
    assert_eq!(cookie.first(), Some(&4));
    let cookie = open_cookie(&cookie, &knock.hello, &knock.dial).expect("genuine");
    sign(&mut knock.hello, &knock.dial, Some(&cookie));
    assert_eq!(
        answer(&mut world, elsewhere, &knock.hello).first(),
        Some(&4)
    );
    assert_eq!(answer(&mut world, here, &knock.hello).first(), Some(&2));

    let mut with_cookie = |world: &mut World, wait: u32| {
        world.run(wait * SECOND);
        make_busy(world, &mut mallory);
        let mut knock = mallory.knock(world, 1);
        sign(&mut knock.hello, &knock.dial, Some(&cookie));
        answer(world, here, &knock.hello).first().copied()
    };
    assert_eq!(with_cookie(&mut world, 100), Some(2));
    assert_eq!(with_cookie(&mut world, 140), Some(4));
}

/// A caller whose HELLO is answered by a cookie goes on by himself.
#[test]
fn a_caller_who_gets_a_cookie_rings_without_waiting() {
    let (mut world, mut mallory) = three_friends_and_mallory(4);
    make_busy(&mut world, &mut mallory);
    let began = world.now;
    let quiet = world.wire.len();
    world.dial(0, 1);
    world.run_until(SECOND, |w| w.state(0) == Some(CallState::Ringing));
    assert!(world.now - began < 20 * MILLI);
    assert!(world.wire[quiet..].iter().any(|seen| seen.bytes[0] == 4));
}

/// Packets with a false source address: what comes back there is never more than what was sent.
#[test]
fn nothing_from_a_false_address_is_answered_with_more_than_it_cost() {
    let (mut world, mut mallory) = three_friends_and_mallory(5);
    let victim = SocketAddr::from(([203, 0, 113, 80], 80));

    let knock = mallory.knock(&world, 1);
    check_spoofed(
        &mut world,
        "HELLO",
        std::slice::from_ref(&knock.hello),
        victim,
    );
    check_spoofed(&mut world, "HELLO again", &vec![knock.hello; 20], victim);
    make_busy(&mut world, &mut mallory);
    let knock = mallory.knock(&world, 1);
    check_spoofed(&mut world, "HELLO under load", &[knock.hello], victim);

    world.run(20 * SECOND);
    let knock = mallory.knock(&world, 1);
    let sidx = knock.sidx;
    let reply = answer(&mut world, mallory.address, &knock.hello);
    let (finish, split, index_out) = mallory.finish(knock, &reply).expect("let in");
    check_spoofed(&mut world, "FINISH", &[finish], victim);
    let mut link = mallory.linked(1, &split, sidx, index_out);
    mallory.exchange_keys(&mut world, &mut link);

    let items = |count: usize, item: &[u8]| [&[0, 0, 0][..], &item.repeat(count)].concat();
    let challenge = [7, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    let ping = [5, 4, 1, 2, 3, 4];
    let many = [
        ("a challenge", items(1, &challenge)),
        ("many challenges", items(12, &challenge)),
        ("more challenges", items(47, &challenge)),
        ("many pings", items(60, &ping)),
        ("farewell", items(1, &[9, 1, 1])),
    ];
    for (name, plain) in many {
        let packet = link.packet(1, &plain);
        check_spoofed(&mut world, name, &[packet], victim);
        world.run(SECOND);
    }
}

/// Sends datagrams to phone 1 as if from the victim's address, and weighs what goes there.
fn check_spoofed(world: &mut World, name: &str, datagrams: &[Vec<u8>], victim: SocketAddr) {
    let seen = world.wire.len();
    for datagram in datagrams {
        world.inject(1, victim, datagram);
    }
    world.run(5 * SECOND);
    let hits: Vec<usize> = world.wire[seen..]
        .iter()
        .filter(|seen| seen.to == victim)
        .map(|seen| seen.bytes.len())
        .collect();
    let cost: usize = datagrams.iter().map(Vec::len).sum();
    let gain: usize = hits.iter().sum();
    assert!(gain <= cost, "{name}: {gain} bytes for {cost}");
    assert!(hits.len() <= datagrams.len(), "{name}: {}", hits.len());
}

/// Anna, bo and chloe know each other; bo also knows mallory.
fn three_friends_and_mallory(seed: u8) -> (World, Manual) {
    let mut world = World::new(&["anna", "bo", "chloe"], seed);
    world.befriend(0, 1);
    world.befriend(2, 1);
    let mallory = Manual::new(9);
    mallory.befriend(&mut world, 1, "mallory");
    (world, mallory)
}

/// Opens so many handshakes that the phone asks for cookies.
fn make_busy(world: &mut World, mallory: &mut Manual) {
    let knock = mallory.knock(world, 1);
    for number in 0..60 {
        let from = SocketAddr::from(([172, 16, number as u8, 1], 999));
        world.inject(1, from, &again(&knock, number));
    }
    world.strays.clear();
}

/// The same HELLO as another one: only the index differs, and the MAC with it.
fn again(knock: &Knock, number: u32) -> Vec<u8> {
    let mut hello = knock.hello.clone();
    hello[4..8].copy_from_slice(&number.to_le_bytes());
    sign(&mut hello, &knock.dial, None);
    hello
}

/// What phone 1 answers to one datagram.
fn answer(world: &mut World, from: SocketAddr, datagram: &[u8]) -> Vec<u8> {
    world.inject(1, from, datagram);
    world.run(2 * MILLI);
    let mail = world.mail(from);
    mail.last().map(|bytes| bytes.to_vec()).unwrap_or_default()
}
