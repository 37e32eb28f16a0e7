//! Memory: none for a voice packet, a bounded amount for whatever others send.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;
use common::link::{KEYS, SIGNAL, segment};
use common::manual::{Manual, sign};
use common::{EPOCH, World};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use twocan::phone::Phone;
use twocan::phone::types::{Copied, Datagram, Frame, Input, Now, Output, Path, Report, Rung};

/// Counts what each thread takes and gives back.
struct Counting;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        HELD.set(HELD.get() + layout.size() as i64);
        // SAFETY: as asked by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as i64);
        // SAFETY: as asked by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_voice_packet_from_phone_to_phone_allocates_nothing() {
    let mut world = World::friends(1);
    world.talk(0, 1);
    let mut heard = [0; 2];
    for _ in 0..100 {
        talk_20_ms(&mut world, &mut heard);
    }
    let before = (TAKEN.get(), heard);
    for _ in 0..1000 {
        talk_20_ms(&mut world, &mut heard);
    }
    let came = [0, 1].map(|kind| heard[kind] - before.1[kind]);
    assert_eq!(came, [2000; 2], "frames and reports");
    assert_eq!(TAKEN.get() - before.0, 0, "allocations");
}

/// The counter of the test above does count.
#[test]
fn an_allocation_would_be_counted() {
    let before = (TAKEN.get(), HELD.get());
    let kept = std::hint::black_box(vec![0u8; 4096]);
    assert_eq!(TAKEN.get() - before.0, 1);
    assert_eq!(HELD.get() - before.1, 4096);
    drop(kept);
    assert_eq!(HELD.get(), before.1);
}

#[test]
fn a_flood_of_hellos_holds_less_than_a_megabyte_and_gives_it_back() {
    let (mut world, mut mallory) = bo_and_mallory(2);
    let knock = mallory.knock(&world, 1);
    let mut hello = knock.hello.clone();
    let bo = &mut world.sides[1].phone;
    let (mut held, mut most, mut admitted) = (0, 0, 0);
    let mut now = world.now;
    for number in 0..30_000u32 {
        hello[4..8].copy_from_slice(&number.to_le_bytes());
        if !number.is_multiple_of(4) {
            sign(&mut hello, &knock.dial, None);
        }
        let from = SocketAddr::from(([10, (number >> 8) as u8, number as u8, 1], 9));
        held += weigh(|| receive(bo, from, &hello, now));
        most = most.max(held);
        admitted = admitted.max(bo.load().half_open);
        if number.is_multiple_of(10) {
            now += Duration::from_millis(1);
            held += weigh(|| sleep(bo, now));
        }
    }
    assert!(admitted >= 32, "{admitted} half open");
    assert!((1..1_000_000).contains(&most), "{most} bytes");
    held += weigh(|| sleep(bo, now + 20 * SECOND));
    assert!(held < 150_000, "{held} bytes are left");
}

#[test]
fn a_contact_cannot_make_a_session_hold_more_than_64_kib() {
    let (mut world, mut mallory) = bo_and_mallory(3);
    let mut link = mallory.call(&mut world, 1);
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let (from, mut now) = (link.address, world.now);
    let (mut held, mut most) = (0, 0);
    for number in 0..4000u32 {
        // Fragments that overlap and leave a hole before them, as many and large as will be kept.
        let lane = [SIGNAL, KEYS][(number % 2) as usize];
        let offset = 1500 + rng.next_u32() % 3800;
        let plain = [&[0, 0, 0][..], &segment(lane, offset, &[7; 249])].concat();
        let packet = link.packet(1, &plain);
        let bo = &mut world.sides[1].phone;
        held += weigh(|| receive(bo, from, &packet, now));
        most = most.max(held);
        if number.is_multiple_of(50) {
            now += Duration::from_millis(20);
            held += weigh(|| sleep(bo, now));
        }
    }
    assert!(most > 16_000, "{most} bytes: the fragments were not kept");
    assert!(most < 65_536, "{most} bytes");
    let bo = &mut world.sides[1].phone;
    assert_eq!(bo.load().sessions, 1);
    for second in 0..40 {
        held += weigh(|| sleep(bo, now + second * SECOND));
    }
    assert_eq!(bo.load().sessions, 0);
    assert!(held < 2000, "{held} bytes are left");
}

fn bo_and_mallory(seed: u8) -> (World, Manual) {
    let mut world = World::new(&["anna", "bo"], seed);
    let mallory = Manual::new(9);
    mallory.befriend(&mut world, 1, "mallory");
    (world, mallory)
}

/// Bytes that are held after `act` and were not before.
fn weigh(act: impl FnOnce()) -> i64 {
    let before = HELD.get();
    act();
    HELD.get() - before
}

fn receive(phone: &mut Phone, from: SocketAddr, bytes: &[u8], now: Duration) {
    phone.handle(Input::Receive(Path::Udp(from), bytes), moment(now));
    while phone.poll().is_some() {}
}

fn sleep(phone: &mut Phone, until: Duration) {
    while phone.deadline().is_some_and(|at| at <= until) {
        let at = phone.deadline().expect("looked");
        phone.handle(Input::Timeout, moment(at));
        while phone.poll().is_some() {}
    }
}

/// Both microphones make a frame, both phones send what is due, both take it in.
fn talk_20_ms(world: &mut World, heard: &mut [usize; 2]) {
    world.now += Duration::from_millis(20);
    let now = world.now;
    for side in 0..2 {
        let frame = full_frame(now.as_millis() as u16);
        let report = Report {
            loss: side as u8,
            ..Report::default()
        };
        let call = world.sides[side].mic.expect("a call is up");
        let [one, other] = &mut world.sides[..] else {
            panic!("two phones");
        };
        let (from, to) = if side == 0 {
            (one, other)
        } else {
            (other, one)
        };
        from.phone.handle(Input::Voice(call, frame), moment(now));
        from.phone.handle(Input::Report(call, report), moment(now));
        while from
            .phone
            .deadline()
            .is_some_and(|at| at <= now + Duration::from_millis(19))
        {
            let at = from.phone.deadline().expect("looked").max(now);
            from.phone.handle(Input::Timeout, moment(at));
        }
        let sent = drain(&mut from.phone, heard);
        for datagram in &sent {
            let path = Path::Udp(from.address);
            to.phone.handle(Input::Receive(path, datagram), moment(now));
        }
        let answers = drain(&mut to.phone, heard);
        assert!(answers.is_empty());
    }
}

/// As large as they come, with as many copies as can be.
fn full_frame(seq: u16) -> Frame {
    let mut frame = Frame::new(seq, [7; 40].into_iter().collect());
    frame.rung = Rung::all().next_back().expect("there are some");
    let opus = frame.opus.clone();
    frame.copies.extend((1..=3).map(|back| Copied {
        back,
        opus: opus.clone(),
    }));
    frame
}

fn drain(phone: &mut Phone, [heard, reported]: &mut [usize; 2]) -> ArrayVec<Datagram, 4> {
    let mut sent = ArrayVec::new();
    while let Some(output) = phone.poll() {
        match output {
            Output::Transmit(_, datagram) => sent.push(datagram),
            Output::Voice(_, frame) => {
                assert_eq!(frame.copies.len(), frame.copies.capacity());
                *heard += 1;
            }
            Output::Report(..) => *reported += 1,
            other => panic!("in the middle of a call: {other:?}"),
        }
    }
    sent
}

fn moment(now: Duration) -> Now {
    Now {
        mono: now,
        unix: EPOCH + now.as_secs(),
    }
}
