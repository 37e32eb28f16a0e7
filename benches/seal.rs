//! What the protocol core costs in own time: a voice packet, a call up to the ring, a HELLO that has
//! to be checked against many contacts. `cargo bench --bench seal`
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "seal/alone.rs"]
mod alone;
#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use common::manual::Manual;
use common::{EPOCH, World};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use twocan::api::{CallState, Command, Done};
use twocan::phone::types::{Datagram, Frame, Input, MAX_DATAGRAM, Now, Output, Path};

fn main() {
    let alone = best_of(7, alone::seal_and_open);
    println!("voice packet, sealing and opening alone: {alone:.0} ns");
    let packet = best_of(7, voice_packet);
    println!("voice packet, sealed and opened, through both phones: {packet:.0} ns");
    let ring = best_of(7, dial_to_ring) / 1e6;
    println!("dial to ring, own time of both phones: {ring:.3} ms");
    for contacts in [1, 16, 255] {
        let (good, bad) = (1..=7)
            .map(|_| hello(contacts))
            .fold((f64::MAX, f64::MAX), |(a, b), (c, d)| (a.min(c), b.min(d)));
        println!(
            "HELLO with {contacts} contacts: false {:.1} us, true and answered {:.1} us",
            bad / 1e3,
            good / 1e3
        );
    }
}

/// Nanoseconds of the quickest run: the others were disturbed.
fn best_of(runs: usize, measure: impl Fn() -> f64) -> f64 {
    (0..runs).map(|_| measure()).fold(f64::MAX, f64::min)
}

/// Nanoseconds for one frame from `Input::Voice` at one phone to `Output::Voice` at the other.
fn voice_packet() -> f64 {
    const COUNT: u32 = 20_000;
    let mut world = World::friends(1);
    world.talk(0, 1);
    let calls = [0, 1].map(|side| world.sides[side].mic.expect("a call is up"));
    let mut heard = 0;
    let mut spent = Duration::ZERO;
    for count in 0..COUNT {
        world.now += Duration::from_millis(20);
        let now = moment(world.now);
        let late = world.now + Duration::from_millis(19);
        for (side, call) in calls.into_iter().enumerate() {
            let frame = Frame::new(count as u16, [7; 80].into_iter().collect());
            let began = Instant::now();
            let from = &mut world.sides[side].phone;
            from.handle(Input::Voice(call, frame), now);
            while from.deadline().is_some_and(|at| at <= late) {
                from.handle(Input::Timeout, moment(late));
            }
            let mut sent: ArrayVec<Datagram, 2> = ArrayVec::new();
            while let Some(output) = from.poll() {
                if let Output::Transmit(_, datagram) = output {
                    sent.push(datagram);
                }
            }
            let path = Path::Udp(world.sides[side].address);
            let to = &mut world.sides[1 - side].phone;
            for datagram in &sent {
                to.handle(Input::Receive(path, datagram), now);
                while let Some(output) = to.poll() {
                    heard += u32::from(matches!(output, Output::Voice(..)));
                }
            }
            spent += began.elapsed();
        }
    }
    assert!(heard > 2 * COUNT - 10, "{heard} frames");
    spent.as_nanos() as f64 / f64::from(heard)
}

/// Nanoseconds of both phones together from the dialling until the caller knows that it rings.
fn dial_to_ring() -> f64 {
    let mut world = World::friends(2);
    let mut spent = Duration::ZERO;
    const CALLS: u32 = 20;
    for _ in 0..CALLS {
        let began = Instant::now();
        let peer = world.name(1);
        let reply = world.order(0, Command::Dial { peer, muted: false });
        assert!(matches!(reply, Some(Ok(Done::Call(_)))));
        let rings = world.run_until(Duration::from_secs(1), |world| {
            world.state(0) == Some(CallState::Ringing)
        });
        spent += began.elapsed();
        assert!(rings);
        world.hang_up(0);
        // Who rings more than three times in five minutes is busy.
        world.run(Duration::from_secs(120));
    }
    spent.as_nanos() as f64 / f64::from(CALLS)
}

/// Nanoseconds for a HELLO by the last of so many contacts, answered; and for a false one.
fn hello(contacts: u8) -> (f64, f64) {
    let mut world = World::new(&["anna", "bo"], 3);
    let mut last = Manual::new(0);
    world.restart_with(1, |settings| {
        for number in (0..=u8::MAX)
            .filter(|number| *number != 2)
            .take(contacts.into())
        {
            let contact = Manual::new(number).contact(&format!("contact {number}"));
            settings.contacts.push(contact);
        }
        settings.contacts.sort_by_key(|contact| contact.id);
        let wanted = settings.contacts.last().map(|contact| contact.id);
        let mut all = (0..).map(Manual::new);
        last = all
            .find(|one| Some(one.identity.id()) == wanted)
            .expect("one of them");
    });
    let mut spent = Duration::ZERO;
    const COUNT: u32 = 20;
    for _ in 0..COUNT {
        let knock = last.knock(&world, 1);
        let seen = world.wire.len();
        let began = Instant::now();
        world.inject(1, last.address, &knock.hello);
        spent += began.elapsed();
        assert_eq!(world.wire.len(), seen + 1, "answered");
        world.run(Duration::from_secs(6));
    }
    let good = spent.as_nanos() as f64 / f64::from(COUNT);

    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    let mut false_hello = last.knock(&world, 1).hello;
    let mut spent = Duration::ZERO;
    for _ in 0..COUNT {
        rng.fill_bytes(&mut false_hello[88..]);
        let bytes = ArrayVec::<u8, MAX_DATAGRAM>::try_from(&false_hello[..]).expect("short");
        let now = world.moment();
        let phone = &mut world.sides[1].phone;
        let began = Instant::now();
        phone.handle(Input::Receive(Path::Udp(last.address), &bytes), now);
        spent += began.elapsed();
        assert!(phone.poll().is_none());
        world.run(Duration::from_secs(1));
    }
    (good, spent.as_nanos() as f64 / f64::from(COUNT))
}

fn moment(now: Duration) -> Now {
    Now {
        mono: now,
        unix: EPOCH + now.as_secs(),
    }
}
