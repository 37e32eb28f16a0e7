//! The scripting contract with whole phones: processes that know nothing of each other but what is
//! said on the command line, over the loopback.

#[allow(dead_code, reason = "only a part of it is needed here")]
#[path = "support/signal.rs"]
mod sound;

mod program;

use program::{Home, Running};
use rustix::process::Signal;
use serde_json::Value;

#[test]
fn a_call_of_ten_seconds_carries_both_voices() {
    let (anna, bo) = (Home::with_identity("anna"), Home::with_identity("bo"));
    let said: Vec<Vec<i16>> = [1, 2].map(|seed| sound::speech(5.0, seed)).into();
    sound::write(&anna.path("in.wav"), &said[0]);
    sound::write(&bo.path("in.wav"), &said[1]);
    let mut phone = daemon(&bo, &["--answer", "auto", "--audio", &wav(&bo)]);
    befriend(&anna, &bo);

    let call = anna
        .run(&[
            "call",
            "bo",
            "--for",
            "4s",
            "--json",
            "--audio",
            &wav(&anna),
        ])
        .ok();
    let events = call.lines();
    assert_eq!(events[0]["event"], "ready");
    for event in &events {
        assert!(event["event"].is_string(), "{event}");
        let at: Result<jiff::Timestamp, _> = event["at"].as_str().unwrap_or("").parse();
        assert!(at.is_ok(), "{event}");
    }
    let states: Vec<&Value> = of_kind(&events, "call")
        .map(|event| &event["state"])
        .collect();
    assert_eq!(states, ["connecting", "ringing", "active", "ended"]);
    let ended = of_kind(&events, "call").last().expect("an end");
    assert_eq!(ended["why"], "hung-up");
    assert_eq!(ended["direction"], "out");
    assert_eq!(
        of_kind(&events, "path").next().expect("a path")["path"],
        "direct"
    );
    let stats: Vec<&Value> = of_kind(&events, "stats").collect();
    assert!((2..=6).contains(&stats.len()), "{stats:?}");
    for field in [
        "rtt_ms",
        "jitter_ms",
        "loss",
        "buffer_ms",
        "concealed",
        "sent",
        "received",
        "target_ms",
        "repaired",
        "late",
        "stretched_ms",
    ] {
        assert!(stats[0][field].is_number(), "{field}");
    }

    let there = phone.wait("the words", |event| event["event"] == "sas");
    let here = of_kind(&events, "sas").next().expect("words");
    assert_eq!(here["words"], there["words"]);
    assert_eq!(phone.wait_call("ended")["why"], "peer-hung-up");
    for (home, said) in [(&anna, &said[1]), (&bo, &said[0])] {
        let heard = sound::read(&home.path("out.wav"));
        // A busy machine may stall for a moment: part by part, and a stranger's voice scores 0.2.
        let found = sound::compare_in_parts(said, &heard);
        assert!(found.likeness > 0.6, "{found:?}");
    }
    let history = bo.run(&["status", "--json"]).ok().json()["history"][0].clone();
    assert_eq!(history["name"], "anna");
    assert!(
        (3..=5).contains(&history["seconds"].as_u64().expect("seconds")),
        "{history}"
    );
    phone.signal(Signal::TERM);
    assert_eq!(phone.end(), 0);
}

#[test]
fn the_running_phone_is_steered_from_outside() {
    let (anna, bo) = (Home::with_identity("anna"), Home::with_identity("bo"));
    let (mut here, mut there) = (daemon(&anna, &[]), daemon(&bo, &[]));
    befriend(&anna, &bo);
    assert_eq!(
        anna.run(&["daemon", "--audio", "null"]).code(),
        8,
        "one phone a home"
    );
    assert_eq!(anna.run(&["call", "nobody"]).code(), 4);
    assert_eq!(anna.run(&["hangup"]).code(), 1, "there is no call");

    let mut call = anna.start(&["call", "bo", "--json"]);
    there.wait_call("ringing");
    bo.run(&["answer"]).ok();
    call.wait_call("active");
    let mut watch = anna.start(&["watch", "--json", "--levels"]);
    watch.wait("levels", |event| event["event"] == "levels");
    anna.run(&["mute", "on"]).ok();
    let status = anna.run(&["status", "--json"]).ok().json();
    assert_eq!(status["muted"], true);
    assert_eq!(status["calls"][0]["state"], "active");
    anna.run(&["hold", "on"]).ok();
    call.wait_call("held");
    anna.run(&["hold", "off"]).ok();
    call.wait_call("active");
    anna.run(&["text", "bo", "a line\u{1b}[31m of text"]).ok();
    let text = there.wait("the text", |event| event["event"] == "text");
    assert!(!text["text"].as_str().expect("text").contains('\u{1b}'));
    anna.run(&["contact", "verify", "bo"]).ok();
    assert_eq!(
        anna.run(&["contact", "show", "bo", "--json"]).ok().json()["verified"],
        true
    );
    anna.run(&["contact", "rename", "bo", "robert"]).ok();
    anna.run(&["hangup"]).ok();
    assert_eq!(call.end(), 0);

    let mut call = anna.start(&["call", "robert", "--json"]);
    there.wait_call("ringing");
    bo.run(&["decline"]).ok();
    assert_eq!(call.wait_call("ended")["why"], "declined");
    assert_eq!(call.end(), 6);

    let mut call = anna.start(&["call", "robert", "--json"]);
    there.wait_call("ringing");
    call.signal(Signal::INT);
    assert_eq!(call.end(), 130);
    assert_eq!(there.wait_call("ended")["why"], "peer-cancelled");

    there.signal(Signal::INT);
    assert_eq!(there.end(), 130);
    assert_eq!(anna.run(&["call", "robert"]).code(), 5, "nobody there");
    here.signal(Signal::TERM);
    assert_eq!(here.end(), 0);
    assert_eq!(watch.end(), 0);
}

#[test]
fn a_contact_of_a_phone_that_is_off_waits() {
    let (anna, bo) = (Home::with_identity("anna"), Home::with_identity("bo"));
    let invite = bo.run(&["invite"]).ok().stdout;
    let added = anna
        .run_with(&["contact", "add", "-", "--name", "bo", "--json"], &invite)
        .ok();
    assert_eq!(added.json()["pending"], true);
    assert!(added.stderr.contains("waiting for bo"), "{}", added.stderr);

    // The invite was made for the port that the phone takes later.
    let _there = daemon(&bo, &[]);
    let here = daemon(&anna, &[]);
    here.wait("the confirmation", |event| {
        event["event"] == "contact" && event["contact"]["pending"] == false
    });
    let list = bo.run(&["contact", "list", "--json"]).ok().json();
    assert_eq!(list["contacts"][0]["name"], "anna");
    assert!(
        list["contacts"][0]["id"]
            .as_str()
            .expect("an ID")
            .starts_with("tc1")
    );
}

#[test]
fn a_terminal_that_goes_away_does_not_end_a_daemon() {
    let home = Home::with_identity("anna");
    let mut phone = daemon(&home, &[]);
    phone.signal(Signal::HUP);
    home.run(&["status"]).ok();
    phone.signal(Signal::TERM);
    assert_eq!(phone.end(), 0);
    assert_eq!(home.run(&["status"]).code(), 8);
    assert!(!home.path("control.sock").exists());
}

#[test]
fn a_killed_phone_leaves_a_home_that_works() {
    let home = Home::with_identity("anna");
    let phone = daemon(&home, &[]);
    let invite = home.run(&["invite"]).ok().stdout;
    phone.signal(Signal::KILL);
    drop(phone);
    let _again = daemon(&home, &[]);
    let bo = Home::with_identity("bo");
    bo.run(&["contact", "add", invite.trim()]).ok();
    let list = home.run(&["contact", "list", "--json"]).ok().json();
    assert_eq!(
        list["contacts"][0]["name"], "bo",
        "the invite is still good"
    );
}

#[test]
fn what_contacts_see_is_chosen_kept_and_told() {
    let anna = Home::with_identity("anna");
    let mut phone = daemon(&anna, &[]);
    let seen = || anna.run(&["announce", "--json"]).ok().json()["standing"].clone();
    assert_eq!(seen(), "available");
    anna.run(&["announce", "dnd"]).ok();
    let told = phone.wait("the new standing", |event| event["event"] == "standing");
    assert_eq!(told["standing"], "do-not-disturb");
    let status = anna.run(&["status", "--json"]).ok().json();
    assert_eq!(status["standing"], "do-not-disturb");
    assert_eq!(status["network"]["state"], "off");
    assert!(anna.run(&["status"]).ok().stdout.contains("do not disturb"));
    phone.signal(Signal::TERM);
    assert_eq!(phone.end(), 0);
    let mut phone = daemon(&anna, &[]);
    assert_eq!(seen(), "do-not-disturb", "over a restart");

    let requests = anna.run(&["requests", "--json"]).ok().json();
    assert_eq!(requests, serde_json::json!({ "requests": [] }));
    let bo = Home::with_identity("bo").run(&["id", "--json"]).ok().json();
    let stranger = bo["id"].as_str().expect("an ID");
    for act in ["accept", "dismiss"] {
        let run = anna.run(&["requests", act, stranger]);
        assert_eq!(run.code(), 4, "{act}: {}", run.stderr);
    }
    let public = anna.run(&["invite", "--public", "--json"]).ok().json();
    assert!(public["line"].is_string() && public["expires"].is_string());
    phone.signal(Signal::TERM);
    assert_eq!(phone.end(), 0);
}

#[test]
fn files_that_are_no_sound_are_refused_by_name() {
    let home = Home::with_identity("anna");
    home.write("in.wav", b"RIFF but not really");
    let run = home.run(&["daemon", "--audio", &wav(&home)]);
    assert_eq!(run.code(), 7, "{}", run.stderr);
    assert!(run.stderr.contains("in.wav"), "{}", run.stderr);
}

/// A phone that runs, waited for until it can be called.
fn daemon(home: &Home, options: &[&str]) -> Running {
    let always = ["daemon", "--json", "--network", "none", "--audio", "null"];
    let usual = if options.contains(&"--audio") {
        &always[..4]
    } else {
        &always[..]
    };
    let phone = home.start(&[usual, options].concat());
    let ready = phone.next().expect("an event");
    assert_eq!(ready["event"], "ready");
    assert!(
        ready["listen"]
            .as_array()
            .is_some_and(|listen| !listen.is_empty()),
        "{ready}"
    );
    phone
}

/// Makes them contacts by an invite of `invited`, whose phone runs.
fn befriend(inviting: &Home, invited: &Home) {
    let line = invited.run(&["invite"]).ok().stdout;
    inviting
        .run(&["contact", "add", line.trim(), "--name", "bo"])
        .ok();
    let list = invited.run(&["contact", "list", "--json"]).ok().json();
    assert_eq!(
        list["contacts"][0]["name"], "anna",
        "both sides know each other"
    );
}

fn wav(home: &Home) -> String {
    format!(
        "wav:{},{}",
        home.path("in.wav").display(),
        home.path("out.wav").display()
    )
}

fn of_kind<'a>(events: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["event"] == kind)
}
