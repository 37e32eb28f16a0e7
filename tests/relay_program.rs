//! `twocan relay` as a whole process.

#![expect(clippy::disallowed_methods, reason = "a program has a second to end")]

mod program;

use std::time::{Duration, Instant};

use program::Home;
use rustix::process::Signal;

#[test]
fn it_says_where_it_is_ends_when_told_and_is_there_again() {
    let home = Home::new();
    let (line, code, took) = life(&home, Signal::TERM);
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(home.mode("relay.key"), 0o600);
    let (again, code, _) = life(&home, Signal::INT);
    assert_eq!((again, code), (line, 130), "the same address, and Ctrl-C");
}

#[test]
fn two_find_each_other_and_one_home_runs_one() {
    let (home, other) = (Home::new(), Home::new());
    let first = home.start(&RELAY);
    let line = address(&first);
    let entry = [&RELAY[..], &["--bootstrap", &line]].concat();
    let second = other.start(&entry);
    second.wait("a status", |event| {
        event["event"] == "status" && event["ultrapeers"] == 1
    });
    first.wait("a status", |event| {
        event["event"] == "status" && event["clients"] == 1
    });
    let run = home.run(&RELAY);
    assert_eq!(run.code(), 8);
    assert!(run.stderr.contains("another twocan"), "{}", run.stderr);
}

#[test]
fn what_cannot_be_is_said_in_one_line() {
    let home = Home::new();
    let cases = [
        (&["--network", "none"][..], 2, "--network"),
        (
            &["--bootstrap", "relay.example.org"],
            2,
            "relay.example.org",
        ),
        (&["--bootstrap", "/ip4/192.0.2.1/tcp/1"], 2, "/p2p/"),
        (&["--listen", "192.0.2.1:1"], 1, "--listen"),
        (&["--external", "here"], 2, "here"),
    ];
    for (arguments, code, word) in cases {
        let base = [
            "relay",
            "--json",
            "--network",
            "private",
            "--listen",
            "127.0.0.1:0",
        ];
        let mut all: Vec<&str> = base.to_vec();
        // A flag that is given twice is a mistake of its own.
        if let Some(at) = all.iter().position(|&flag| flag == arguments[0]) {
            all.drain(at..at + 2);
        }
        all.extend(arguments);
        let run = home.run(&all);
        assert_eq!(run.code(), code, "{all:?}: {}", run.stderr);
        assert!(run.stderr.contains(word), "{}", run.stderr);
        assert!(run.stdout.is_empty(), "{}", run.stdout);
    }
}

#[test]
fn a_unit_for_systemd_is_printed() {
    let run = Home::new().run(&["relay", "--systemd"]).ok();
    for line in ["[Unit]", "[Service]", "NoNewPrivileges=yes", "[Install]"] {
        assert!(run.stdout.lines().any(|l| l == line), "{}", run.stdout);
    }
    assert!(!run.stdout.contains("HOME") && !run.stdout.contains("NAMED"));
}

fn life(home: &Home, signal: Signal) -> (String, i32, Duration) {
    let mut relay = home.start(&RELAY);
    let line = address(&relay);
    let told = Instant::now();
    relay.signal(signal);
    (line, relay.end(), told.elapsed())
}

/// The first line must be it.
fn address(relay: &program::Running) -> String {
    let ready = relay.next().expect("a first line");
    assert_eq!(ready["event"], "ready", "{ready}");
    let line = ready["addresses"][0]
        .as_str()
        .expect("an address")
        .to_owned();
    assert!(
        line.starts_with("/ip4/127.0.0.1/tcp/") && line.contains("/p2p/"),
        "{line}"
    );
    line
}

const RELAY: [&str; 6] = [
    "relay",
    "--json",
    "--network",
    "private",
    "--listen",
    "127.0.0.1:0",
];
