//! Prints what a call costs and how quick it is: two phones, each in a process of its own, over the
//! loopback, with sound from files.
//!
//! `cargo bench --bench call` takes about two minutes; `-- --minutes 10` talks for longer and shows
//! whether the delay or the memory grows.

#![allow(clippy::print_stdout, reason = "printing is what it does")]

mod phone;
mod process;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use jiff::Timestamp;
use phone::Person;
use support::signal;
use twocan::api::{CallState, Command};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    match arguments.first().map(String::as_str) {
        Some("phone") => runtime.block_on(phone::be(&arguments[1])),
        _ => runtime.block_on(measure(minutes(&arguments))),
    }
}

fn minutes(arguments: &[String]) -> u64 {
    let at = arguments
        .iter()
        .position(|argument| argument == "--minutes");
    let number = at.and_then(|at| arguments.get(at + 1));
    number.map_or(1, |number| {
        number.parse().expect("--minutes takes a whole number")
    })
}

async fn measure(minutes: u64) {
    if cfg!(debug_assertions) {
        println!("(a debug build: these figures say nothing)");
    }
    let talk = Duration::from_secs(60 * minutes);
    let seconds = talk.as_secs_f32() + 5.0;
    let said = [signal::speech(seconds, 1), signal::speech(seconds, 2)];
    let mut anna = Person::new("Anna", &said[0]);
    let mut ben = Person::new("Ben", &said[1]);
    phone::befriend(&mut anna, &mut ben).await;
    quickness(&mut anna, &mut ben).await;
    cost(&mut anna, &mut ben, talk).await;
    delays(&anna, &ben, &said, talk);
}

/// Short calls, each between phones that were just started, so that every handshake is done.
async fn quickness(anna: &mut Person, ben: &mut Person) {
    let (mut rings, mut voices) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        ben.restart().await;
        anna.restart().await;
        let dialled = now();
        ben.order(dial("Anna")).await;
        rings.push(ms(dialled, anna.at(CallState::Ringing).await));
        ben.at(CallState::Ringing).await;
        let answered = now();
        anna.order(ANSWER).await;
        let active = [
            anna.at(CallState::Active).await,
            ben.at(CallState::Active).await,
        ];
        tokio::time::sleep(Duration::from_secs(1)).await;
        anna.order(HANG_UP).await;
        anna.at(CallState::Ended).await;
        ben.at(CallState::Ended).await;
        tokio::time::sleep(FILE_COMPLETE).await;
        for (person, active) in [(&*anna, active[0]), (&*ben, active[1])] {
            let first = signal::onset(&signal::read(&person.out())).expect("a voice");
            voices.push(ms(answered, active) + first as f64 * 1000.0 / signal::RATE as f64);
        }
    }
    row("dial to ringing there, cold, ms", &rings, "30");
    row("answer to first voice heard, ms", &voices, "60");
}

async fn cost(anna: &mut Person, ben: &mut Person, talk: Duration) {
    ben.restart().await;
    anna.restart().await;
    let idle = [anna.used(), ben.used()];
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle = [anna.used()[0] - idle[0][0], ben.used()[0] - idle[1][0]];
    println!("{:40} {idle:.1?}", "CPU of a phone idle for 3 s, ms");

    ben.order(dial("Anna")).await;
    anna.at(CallState::Ringing).await;
    anna.order(ANSWER).await;
    anna.active = Some(anna.at(CallState::Active).await);
    ben.active = Some(ben.at(CallState::Active).await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = [anna.used(), ben.used()];
    let began = [anna.resident(), ben.resident()];
    tokio::time::sleep(talk).await;
    let a_minute = 60.0 / talk.as_secs_f64() / 1000.0;
    let after = [anna.used(), ben.used()];
    let cpu = |part: usize| [0, 1].map(|side| (after[side][part] - before[side][part]) * a_minute);
    let ended = [anna.resident(), ben.resident()];
    row("CPU of a call, s a minute", &cpu(0), "1.2");
    println!("{:40} {:.2?}", "  of which voice thread", cpu(1));
    println!("{:40} {:.2?}", "  of which engine thread", cpu(2));
    row("memory as the call began, MB", &began, "14");
    row("memory as the call ended, MB", &ended, "14");
    let waits = [anna.buffer().await, ben.buffer().await];
    println!("{:40} {waits:.1?}", "last wait in the jitter buffer, ms");
    anna.order(HANG_UP).await;
    ben.at(CallState::Ended).await;
    anna.at(CallState::Ended).await;
    tokio::time::sleep(FILE_COMPLETE).await;
}

/// What one said, searched in what the other heard, at the start and at the end of the call.
fn delays(anna: &Person, ben: &Person, said: &[Vec<i16>; 2], talk: Duration) {
    let windows = [2.0, talk.as_secs_f32() / 2.0, talk.as_secs_f32() - 5.0];
    for (speaker, hearer, said) in [(anna, ben, &said[0]), (ben, anna, &said[1])] {
        let heard = signal::read(&hearer.out());
        // Both files begin when the call became active, each at its own side.
        let skew = ms(
            speaker.active.expect("talked"),
            hearer.active.expect("talked"),
        );
        for from in windows {
            let found = signal::compare(said, &heard, from, 3.0);
            println!(
                "{:40} {:8.1}  (likeness {:.2}, wanted: at most 60)",
                format!("mouth to {}'s ear after {from:.0} s, ms", hearer.name),
                f64::from(found.delay_ms) + skew,
                found.likeness
            );
        }
    }
}

fn row(what: &str, values: &[f64], wanted: &str) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    println!(
        "{what:40} {:8.2}  ({:.2} to {:.2}, wanted: at most {wanted})",
        sorted[sorted.len() / 2],
        sorted[0],
        sorted[sorted.len() - 1]
    );
}

/// From one moment to the other, in milliseconds.
fn ms(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1000.0
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn dial(peer: &str) -> Command {
    let (peer, muted) = (peer.to_owned(), false);
    Command::Dial { peer, muted }
}

const ANSWER: Command = Command::Answer {
    call: None,
    muted: false,
};

const HANG_UP: Command = Command::Hangup { call: None };

/// Calls from which the middle is taken.
const CALLS: usize = 7;

/// After this a written sound file is whole.
const FILE_COMPLETE: Duration = Duration::from_secs(1);
