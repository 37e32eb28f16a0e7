//! What the reflector costs, beside a forwarder that only forwards and beside coturn, in one run:
//!
//! ```text
//! cargo bench --bench reflector
//! ```
//!
//! Packets that were relayed for each second of processor time, with 30,000 offered a second by 300
//! pairs that talk; the memory of 10,000 idle rooms; and what is lost of 1,000 rooms in which two
//! talk. coturn is measured if `turnserver` is there.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

mod bare;
mod coturn;
mod load;
mod rooms;

use std::time::Duration;

use load::{Load, Measured};
use rooms::Rooms;

const PAYLOAD: usize = 160;
const PAIRS: usize = 300;
const TIME: Duration = Duration::from_secs(8);

fn main() {
    let ours = {
        let rooms = Rooms::start(1, PAIRS);
        Load::new(rooms.pairs(PAYLOAD)).run(TIME, || rooms.cpu())
    };
    say("reflector", &ours, &ours);
    let bare = {
        let bare = bare::Bare::start(PAIRS);
        Load::new(bare.pairs(PAYLOAD)).run(TIME, || bare.cpu())
    };
    say("bare", &bare, &ours);
    match coturn::Coturn::start() {
        Some(coturn) => {
            let measured = Load::new(coturn.pairs(PAIRS, PAYLOAD)).run(TIME, || coturn.cpu());
            say("coturn", &measured, &ours);
        }
        None => println!("coturn      no turnserver here"),
    }
    rooms::idle(10_000);
    let rooms = Rooms::start(2, 1000);
    let many = Load::new(rooms.pairs(PAYLOAD)).run(TIME, || rooms.cpu());
    println!(
        "1000 rooms  {} sent, {} heard, {} lost by the reflector itself ({:?})",
        many.sent,
        many.heard,
        rooms.lost(),
        rooms.counts(),
    );
}

fn say(name: &str, measured: &Measured, ours: &Measured) {
    println!(
        "{name:<11} {:>8.0} packets a CPU second; {:.0}/s offered, {:.3} % lost; the reflector is {:.2} of it",
        measured.per_cpu_second(),
        measured.sent as f64 / TIME.as_secs_f64(),
        100.0 * (1.0 - measured.heard as f64 / measured.sent as f64),
        ours.per_cpu_second() / measured.per_cpu_second(),
    );
}
