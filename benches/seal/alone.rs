//! The sealed channel by itself, out of the library's own source: it is private there.
#![allow(
    dead_code,
    unused_imports,
    reason = "the bench uses a part of these files only, and not their tests"
)]

#[path = "../../src/phone/channel.rs"]
mod channel;
#[path = "../../src/phone/keys.rs"]
mod keys;
#[path = "../../src/phone/replay.rs"]
mod replay;
#[path = "../../src/phone/wire.rs"]
mod wire;
use twocan::phone::types;

use std::hint::black_box;
use std::time::{Duration, Instant};

use channel::{Channel, Plain};
use keys::{ChainKey, Role};
use wire::{PLAIN, Packet};

/// Nanoseconds for sealing one voice packet and opening it at the other end, header parsed, replay
/// window and all.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub fn seal_and_open() -> f64 {
    const COUNT: u32 = 20_000;
    let chain = || ChainKey::first(&[1; 32], &[2; 32], &[3; 32]);
    let mut from = Channel::new(Role::Initiator, chain(), 10, 20, Duration::ZERO);
    let mut to = Channel::new(Role::Responder, chain(), 20, 10, Duration::ZERO);
    let mut plain = Plain::new();
    let began = Instant::now();
    for count in 0..COUNT {
        let packet = from
            .seal(black_box(&[count as u8; PLAIN]))
            .expect("counters are left");
        let Some(Packet::Data(data)) = wire::parse(&packet) else {
            panic!("a sealed packet is a DATA packet");
        };
        let opened = to.open(&data, &mut plain, Duration::ZERO);
        assert!(opened.is_some() && plain.len() == PLAIN);
    }
    began.elapsed().as_nanos() as f64 / f64::from(COUNT)
}
