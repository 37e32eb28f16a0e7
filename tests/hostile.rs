//! What strangers can do to a phone: nothing, in whatever state it is.
//!
//! Garbage of every length and type, broken and replayed copies of everything that went over the
//! wire, forged and diverted handshakes.

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use common::{Seen, World};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use twocan::api::{CallState, Command, Switch, Why};
use twocan::phone::Load;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

#[test]
fn garbage_of_every_length_and_type_is_met_with_silence_in_every_state() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let garbage: Vec<Vec<u8>> = (0..=1500).flat_map(|n| garbage(n, &mut rng)).collect();
    assert!(garbage.len() > 15_000);
    for (state, mut world) in states() {
        let before = Mark::of(&world);
        for side in 0..2 {
            for from in [stranger(), world.sides[1 - side].address] {
                for bytes in &garbage {
                    world.inject(side, from, bytes);
                }
            }
        }
        assert_eq!(Mark::of(&world), before, "while {state}");
        goes_on(state, world);
    }
}

#[test]
fn garbage_with_the_right_indices_is_met_with_silence_in_every_state() {
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    for (state, mut world) in states() {
        let aimed: Vec<Vec<u8>> = recording(&world)
            .iter()
            .flat_map(|seen| aimed(&seen.bytes, &mut rng))
            .collect();
        let before = Mark::of(&world);
        inject_everywhere(&mut world, &aimed);
        assert_eq!(Mark::of(&world), before, "while {state}");
        goes_on(state, world);
    }
}

#[test]
fn broken_copies_of_everything_that_was_sent_are_met_with_silence() {
    for (state, mut world) in states() {
        let copies: Vec<Vec<u8>> = recording(&world)
            .iter()
            .flat_map(|seen| broken_copies(&seen.bytes))
            .collect();
        assert!(copies.len() > 5_000);
        let before = Mark::of(&world);
        inject_everywhere(&mut world, &copies);
        assert_eq!(Mark::of(&world), before, "while {state}");
        goes_on(state, world);
    }
}

/// The harness of the three tests above does notice what a phone takes in.
#[test]
fn a_genuine_datagram_is_noticed_by_these_tests() {
    let mut world = World::friends(1);
    world.line.delay = SECOND;
    world.dial(0, 1);
    let hello = world.wire.last().expect("a HELLO").clone();
    let before = Mark::of(&world);
    world.inject(1, hello.from, &hello.bytes);
    assert_ne!(Mark::of(&world), before);
}

#[test]
fn replays_of_everything_change_nothing_and_are_answered_with_less_than_they_cost() {
    for (state, mut world) in states() {
        let recording: Vec<Seen> = recording(&world)
            .into_iter()
            .filter(|seen| seen.at + 60 * MILLI < world.now.min(world.unplugged_at))
            .collect();
        assert!(recording.len() > 60, "{}", recording.len());
        let before = Mark::of(&world);
        let paid = world.wire.len();
        for round in 0..3 {
            for seen in &recording {
                for side in 0..2 {
                    let answered = world.wire.len();
                    world.inject(side, stranger(), &seen.bytes);
                    let answer = &world.wire[answered..];
                    let is_hello = seen.bytes[0] == 1;
                    assert!(
                        answer.is_empty() || is_hello && answer[0].bytes[0] == 2,
                        "while {state}, round {round}"
                    );
                    assert!(answer.iter().all(|a| a.bytes.len() <= seen.bytes.len()));
                    assert!(answer.len() <= 1);
                }
            }
        }
        // A replayed HELLO cannot be told from the first one, so it gets a REPLY that nobody can use.
        world.wire.truncate(paid);
        let mut after = Mark::of(&world);
        let most = after.loads.iter().map(|load| load.half_open).max();
        assert!(most <= Some(12), "{most:?} half open");
        for (after, before) in after.loads.iter_mut().zip(&before.loads) {
            after.half_open = before.half_open;
        }
        assert_eq!(after, before, "while {state}");
        goes_on(state, world);
    }
}

#[test]
fn replays_after_a_restart_do_not_ring() {
    let mut world = World::friends(3);
    world.talk(0, 1);
    world.hang_up(0);
    world.run(5 * SECOND);
    let recording = world.wire.clone();
    world.restart(1);
    world.sides[1].events.clear();
    for seen in &recording {
        let answered = world.wire.len();
        world.inject(1, seen.from, &seen.bytes);
        // FINISH again, aimed at the index that the new REPLY has named.
        let reply = world.wire.get(answered).map(|seen| seen.bytes.clone());
        if let Some(reply) = reply {
            assert_eq!(reply.len(), 76);
            for finish in recording.iter().filter(|seen| seen.bytes[0] == 3) {
                let mut finish = finish.bytes.clone();
                finish[4..8].copy_from_slice(&reply[4..8]);
                world.inject(1, seen.from, &finish);
            }
        }
    }
    assert!(world.wire.len() > recording.len(), "nothing was tried");
    world.run(30 * SECOND);
    assert!(world.sides[1].events.is_empty());
    assert_eq!(world.sides[1].phone.load(), NOTHING);
    assert_eq!(world.sides[1].phone.deadline(), None);
}

#[test]
fn forged_replies_finishes_and_cookies_do_not_disturb_a_handshake() {
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    let mut world = World::friends(4);
    world.line.delay = 50 * MILLI;
    let (began, quiet) = (world.now, world.wire.len());
    world.dial(0, 1);
    for step in 1..60 {
        let flying: Vec<Seen> = world.wire[quiet..].to_vec();
        let before = Mark::of(&world);
        for seen in flying.iter().rev().take(8) {
            let forged = broken_copies(&seen.bytes)
                .into_iter()
                .chain(aimed(&seen.bytes, &mut rng));
            for bytes in forged {
                let side = usize::from(seen.to == world.sides[1].address);
                world.inject(side, seen.from, &bytes);
            }
        }
        assert_eq!(Mark::of(&world), before, "after {} ms", 5 * step);
        world.run(5 * MILLI);
    }
    assert_eq!(world.state(1), Some(CallState::Ringing));
    let rang = world.wire[quiet..]
        .iter()
        .find(|seen| seen.from == world.sides[1].address && seen.at >= began + 250 * MILLI);
    assert_eq!(rang.map(|seen| seen.at - began), Some(250 * MILLI));
    for kind in [1, 2, 3] {
        let handshake = world.wire[quiet..].iter().filter(|s| s.bytes[0] == kind);
        let mut different: Vec<_> = handshake.map(|seen| &seen.bytes).collect();
        different.dedup();
        assert_eq!(different.len(), 1, "packets of type {kind}");
    }
}

/// Somebody who sees all and is faster than the line sends copies from his own address first.
#[test]
fn datagrams_raced_from_elsewhere_divert_no_call() {
    let mut world = called_before(5);
    let began = world.now;
    world.dial(0, 1);
    let mut racer = Racer::new(&world, 2..=0x13);
    let rings = racer.run(&mut world, SECOND, |w| {
        w.state(1) == Some(CallState::Ringing)
    });
    assert!(rings && world.now - began < 600 * MILLI);
    world.answer(1);
    racer.run(&mut world, 5 * SECOND, |_| false);
    assert_eq!(world.state(0), Some(CallState::Active));
    for side in 0..2 {
        assert!(world.sides[side].heard.len() > 240);
        assert_eq!(missing_frames(&world, side), 0);
    }
}

/// As above, and the copy of HELLO comes first, too: REPLY then goes to both. The caller may have to
/// wait until that stops, but it costs the attacker more than anybody gets, and nobody rings.
#[test]
fn a_raced_hello_amplifies_nothing_and_harms_only_while_it_lasts() {
    let mut world = called_before(6);
    world.dial(0, 1);
    let mut racer = Racer::new(&world, 1..=0x13);
    racer.run(&mut world, 3 * SECOND, |_| false);
    assert!(racer.gain > 0);
    let rings = world.run_until(5 * SECOND, |w| w.state(1) == Some(CallState::Ringing));
    assert!(rings);
}

fn called_before(seed: u8) -> World {
    let mut world = World::friends(seed);
    world.line.delay = 50 * MILLI;
    world.talk(0, 1);
    world.hang_up(0);
    world.run(5 * SECOND);
    for side in &mut world.sides {
        side.heard.clear();
    }
    world
}

/// Sends a copy of everything from the stranger's address before the original arrives.
struct Racer {
    seen: usize,
    kinds: std::ops::RangeInclusive<u8>,
    cost: usize,
    gain: usize,
}

impl Racer {
    /// Begins with the last datagram that was sent.
    fn new(world: &World, kinds: std::ops::RangeInclusive<u8>) -> Racer {
        Racer {
            seen: world.wire.len() - 1,
            kinds,
            cost: 0,
            gain: 0,
        }
    }

    fn run(&mut self, world: &mut World, time: Duration, done: impl Fn(&World) -> bool) -> bool {
        let end = world.now + time;
        while world.now < end && !done(world) {
            while let Some(seen) = world.wire.get(self.seen).cloned() {
                self.seen += 1;
                self.copy(world, &seen);
            }
            world.run(5 * MILLI);
        }
        done(world)
    }

    fn copy(&mut self, world: &mut World, seen: &Seen) {
        if seen.to == stranger() {
            self.gain += seen.bytes.len();
        } else if self.kinds.contains(&seen.bytes[0]) {
            self.cost += seen.bytes.len();
            let side = usize::from(seen.to == world.sides[1].address);
            world.inject(side, stranger(), &seen.bytes);
        }
        assert!(self.gain <= self.cost, "{} for {}", self.gain, self.cost);
    }
}

#[test]
fn only_an_authentic_farewell_ends_a_call_and_a_lost_one_is_told_apart() {
    let mut world = World::friends(6);
    world.talk(0, 1);
    world.hang_up(0);
    world.run(SECOND);
    assert_eq!(world.why(1), Some(Why::PeerHungUp));

    world.run(5 * SECOND);
    world.talk(0, 1);
    world.sides[1].unplugged = true;
    world.hang_up(0);
    world.run(4 * SECOND);
    assert_eq!(world.state(1), Some(CallState::Active));
    let before_pause = world.sides[1].sent.len();
    world.run(15 * SECOND);
    assert_eq!(world.state(1), Some(CallState::Active));
    let probes = world.sides[1].sent.len() - before_pause;
    assert!(probes < 70, "{probes} packets to a peer that is not heard");
    world.run(2 * SECOND);
    assert_eq!(world.why(1), Some(Why::Lost));
    assert_eq!(world.sides[1].mic, None);
}

/// Two phones in every state that a handshake and a call have, the caller first.
fn states() -> Vec<(&'static str, World)> {
    let ready = |seed: u8| {
        let mut world = World::friends(seed);
        world.talk(0, 1);
        world.hang_up(1);
        world.run(10 * SECOND);
        world
    };
    let after_dial = |seed: u8, wait: Duration| {
        let mut world = ready(seed);
        world.line.delay = 50 * MILLI;
        world.dial(0, 1);
        world.run(wait);
        world.line.delay = MILLI;
        world
    };
    let talking = |seed: u8| {
        let mut world = ready(seed);
        world.talk(0, 1);
        world
    };
    let mut unheard = ready(21);
    unheard.unplug(1);
    unheard.dial(0, 1);
    unheard.run(SECOND);
    let mut held = talking(22);
    let to = Switch::On;
    held.order(0, Command::Hold { call: None, to });
    held.run(SECOND);
    let mut farewell = talking(23);
    farewell.unplug(1);
    farewell.hang_up(0);
    farewell.run(30 * MILLI);
    let mut paused = talking(24);
    paused.unplug(1);
    paused.run(7 * SECOND);
    vec![
        ("idle", ready(25)),
        ("dialling in vain", unheard),
        ("half open", after_dial(26, 75 * MILLI)),
        ("finishing", after_dial(27, 125 * MILLI)),
        ("exchanging keys", after_dial(28, 175 * MILLI)),
        ("ringing", after_dial(29, SECOND)),
        ("talking", talking(30)),
        ("holding", held),
        ("saying farewell", farewell),
        ("paused", paused),
    ]
}

/// After the attack, everything goes on as if nothing had been.
fn goes_on(state: &str, mut world: World) {
    world.sides[1].unplugged = false;
    if state == "ringing" {
        world.answer(1);
    }
    if ["ringing", "talking", "paused"].contains(&state) {
        world.run(3 * SECOND);
        assert_eq!(world.state(0), Some(CallState::Active), "after {state}");
        for side in 0..2 {
            world.sides[side].heard.clear();
        }
        world.run(SECOND);
        for side in 0..2 {
            assert!(world.sides[side].heard.len() >= 49, "after {state}");
            assert_eq!(missing_frames(&world, side), 0, "after {state}");
        }
    }
    for side in 0..2 {
        world.hang_up(side);
    }
    world.run(60 * SECOND);
    for side in &world.sides {
        assert_eq!(side.phone.load(), NOTHING, "after {state}");
        assert_eq!(side.phone.deadline(), None, "after {state}");
    }
    world.dial(0, 1);
    let rings = world.run_until(SECOND, |w| w.state(1) == Some(CallState::Ringing));
    assert!(rings, "after {state}");
}

fn missing_frames(world: &World, side: usize) -> usize {
    let heard = &world.sides[side].heard;
    let numbers = heard.iter().map(|(_, _, frame)| frame.seq);
    let next = numbers.clone().skip(1);
    numbers
        .zip(next)
        .filter(|(one, next)| one.wrapping_add(1) != *next)
        .count()
}

/// Everything about two phones that an attack could change.
#[derive(Debug, PartialEq)]
struct Mark {
    told: Vec<(usize, usize, u32, usize)>,
    loads: Vec<Load>,
    sent: usize,
}

impl Mark {
    fn of(world: &World) -> Mark {
        let sides = world.sides.iter();
        Mark {
            told: sides
                .clone()
                .map(|s| (s.events.len(), s.replies.len(), s.mic_opens, s.heard.len()))
                .collect(),
            loads: sides.map(|side| side.phone.load()).collect(),
            sent: world.wire.len(),
        }
    }
}

const NOTHING: Load = Load {
    half_open: 0,
    attempts: 0,
    sessions: 0,
    calls: 0,
};

fn stranger() -> SocketAddr {
    ([203, 0, 113, 66], 6666).into()
}

/// All that is worth copying: every packet of a handshake and key exchange, and the latest others.
fn recording(world: &World) -> Vec<Seen> {
    let late = world.wire.len().saturating_sub(24);
    let mut counts: BTreeMap<[u8; 4], u32> = BTreeMap::new();
    let mut recording = Vec::new();
    for (number, seen) in world.wire.iter().enumerate() {
        let index = *seen.bytes[1..].first_chunk().expect("long enough");
        let count = counts.entry(index).or_default();
        *count += 1;
        if seen.bytes[0] < 0x10 || *count < 8 || number >= late {
            recording.push(seen.clone());
        }
    }
    recording
}

fn inject_everywhere(world: &mut World, datagrams: &[Vec<u8>]) {
    for side in 0..2 {
        for from in [stranger(), world.sides[1 - side].address] {
            for bytes in datagrams {
                world.inject(side, from, bytes);
            }
        }
    }
}

/// Nothing in particular: zeros, ones, chance, and chance behind the head of each known type.
fn garbage(length: usize, rng: &mut ChaCha20Rng) -> Vec<Vec<u8>> {
    let heads: [&[u8]; 8] = [
        &[],
        &[1, 1, 0, 0],
        &[2, 1, 0, 0],
        &[3, 0, 0, 0],
        &[4, 0, 0, 0],
        &[0x10],
        &[0x11],
        &[0x13],
    ];
    let mut all = vec![vec![0; length], vec![0xff; length]];
    for head in heads {
        let mut bytes = vec![0; length];
        rng.fill_bytes(&mut bytes);
        for (byte, head) in bytes.iter_mut().zip(head) {
            *byte = *head;
        }
        all.push(bytes);
    }
    all
}

/// The head of a genuine packet with chance behind it; for DATA with counters far ahead, too.
fn aimed(bytes: &[u8], rng: &mut ChaCha20Rng) -> Vec<Vec<u8>> {
    let keep = match bytes[0] {
        1 | 3 | 4 => 8,
        2 => 12,
        _ => 5,
    };
    let chance = |rng: &mut ChaCha20Rng, keep: usize| {
        let mut bytes = bytes.to_vec();
        rng.fill_bytes(&mut bytes[keep..]);
        bytes
    };
    let mut cookie = vec![4, 0, 0, 0];
    cookie.extend(&bytes[4..8]);
    cookie.extend([7; 56]);
    let mut ahead = chance(rng, keep);
    if bytes[0] >= 0x10 {
        ahead[5..9].fill(0xff);
    }
    vec![chance(rng, keep), chance(rng, keep), ahead, cookie]
}

/// Every shorter copy, some longer ones, and one wrong bit in every byte.
fn broken_copies(bytes: &[u8]) -> Vec<Vec<u8>> {
    let shorter = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let longer = [1, 2, 16, 352, bytes.len()].map(|more| {
        let mut longer = bytes.to_vec();
        longer.resize(bytes.len() + more, 0);
        longer
    });
    // The last 16 bytes of a HELLO count under load only, and a REPLY's index only where it stands
    // encrypted: bending them makes nothing else of a packet.
    let idle = match bytes[0] {
        1 => 104..120,
        2 => 4..8,
        _ => 0..0,
    };
    let counts = (0..bytes.len()).filter(|at| !idle.contains(at));
    let bent = counts.map(|at| {
        let mut bent = bytes.to_vec();
        bent[at] ^= 1 << (at % 8);
        bent
    });
    shorter.chain(longer).chain(bent).collect()
}
