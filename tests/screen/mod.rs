//! A fixed model for tests of the screen: one clock, one zone, six contacts.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use crossterm::event::KeyEvent;
use jiff::{Timestamp, tz::TimeZone};
use twocan::api::*;
use twocan::peer::{Identity, PeerId, SafeText, Seed};
use twocan::tui::glyphs::{ASCII, Glyphs, UNICODE};
use twocan::tui::model::Model;
use twocan::tui::update::{Effect, Msg, update};
use twocan::tui::{Options, model};

pub const SETS: [(&str, Glyphs); 2] = [("unicode", UNICODE), ("ascii", ASCII)];
pub const SIZES: [(u16, u16); 5] = [(120, 40), (80, 24), (60, 16), (40, 12), (20, 3)];

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// Noon of 3 November 2026.
pub fn noon() -> Timestamp {
    at("2026-11-03T12:00:00Z")
}

pub fn peer(number: u8) -> PeerId {
    Identity::from_seed(&Seed::from_bytes([number; 32])).id()
}

pub fn contact(number: u8, name: &str, presence: Presence) -> ContactView {
    ContactView {
        name: SafeText::name(name),
        id: peer(number),
        calls_itself: None,
        verified: false,
        verified_at: None,
        presence,
        last_seen: None,
        blocked: false,
        relay_only: false,
        pending: false,
    }
}

fn past(
    number: u8,
    name: &str,
    when: &str,
    direction: Direction,
    why: Why,
    seconds: u64,
) -> HistoryView {
    HistoryView {
        at: at(when),
        name: SafeText::name(name),
        id: peer(number),
        direction,
        why,
        seconds,
        path: (seconds > 0).then_some(PathKind::Direct),
        loss: if seconds > 0 { 0.002 } else { 0.0 },
        recorded_here: false,
        recorded_there: false,
    }
}

pub fn status() -> Status {
    let mut anna = contact(1, "anna", Presence::Connected);
    anna.verified = true;
    anna.verified_at = Some(at("2026-10-03T12:00:00Z"));
    anna.calls_itself = Some(SafeText::name("Anna K."));
    let mut dmitri = contact(4, "dmitri", Presence::Offline);
    dmitri.last_seen = Some(at("2026-11-01T11:00:00Z"));
    let mut finn = contact(6, "finn", Presence::Unknown);
    finn.pending = true;
    let mut gus = contact(7, "gus", Presence::Unknown);
    gus.blocked = true;
    Status {
        name: SafeText::name("mika"),
        id: peer(99),
        version: "0.1.0".into(),
        listen: vec!["192.0.2.1:7000".parse().expect("an address")],
        muted: false,
        audio: AudioView {
            place: "PulseAudio at anna-laptop".into(),
            ..AudioView::default()
        },
        calls: Vec::new(),
        contacts: vec![
            contact(3, "chloé", Presence::Reachable),
            dmitri,
            anna,
            gus,
            contact(2, "bo", Presence::Reachable),
            contact(5, "eve", Presence::Offline),
            finn,
        ],
        network: Default::default(),
        standing: Default::default(),
        requests: Vec::new(),
        history: vec![
            past(
                1,
                "anna",
                "2026-11-03T11:02:00Z",
                Direction::Out,
                Why::HungUp,
                843,
            ),
            past(
                2,
                "bo",
                "2026-11-03T09:40:00Z",
                Direction::In,
                Why::PeerCancelled,
                0,
            ),
            past(
                1,
                "anna",
                "2026-10-31T20:15:00Z",
                Direction::In,
                Why::PeerHungUp,
                171,
            ),
            past(
                5,
                "eve",
                "2026-10-01T08:00:00Z",
                Direction::Out,
                Why::Unreachable,
                0,
            ),
        ],
    }
}

pub fn network(state: NetworkState, relays: u32, words: &str) -> NetworkView {
    NetworkView {
        state,
        ultrapeers: relays,
        relays,
        words: words.into(),
        nat: NatKind::Steady,
    }
}

pub fn request(number: u8, name: &str, when: &str) -> RequestView {
    RequestView {
        id: peer(number),
        name: SafeText::name(name),
        at: at(when),
    }
}

/// The same phone with a network: every presence there is, and two strangers who ask.
pub fn online() -> Status {
    let mut status = status();
    let known = [
        (Presence::Reachable, "2026-11-03T11:55:00Z"),
        (Presence::Away, "2026-11-03T11:48:00Z"),
        (Presence::DoNotDisturb, "2026-11-03T11:59:40Z"),
    ];
    let people = [2, 3, 5].map(peer);
    for (id, (presence, seen)) in people.into_iter().zip(known) {
        for contact in status.contacts.iter_mut().filter(|other| other.id == id) {
            contact.presence = presence;
            contact.last_seen = Some(at(seen));
        }
    }
    status.network = network(NetworkState::Reachable, 2, "");
    status.requests = vec![
        request(21, "Olga from the choir", "2026-11-03T10:12:00Z"),
        request(22, "日本語", "2026-11-01T18:30:00Z"),
    ];
    status
}

/// And when nobody of the network answers.
pub fn offline() -> Status {
    let mut status = online();
    let words = "none of the 12 nodes we know answers; next try in 40 s";
    status.network = network(NetworkState::Offline, 0, words);
    for contact in &mut status.contacts {
        contact.presence = Presence::Unknown;
    }
    status
}

/// A screen whose engine has told `status`.
pub fn screen(glyphs: Glyphs, status: Status) -> Model {
    let mut model = model(&Options::default()).expect("the default keys");
    model.look.glyphs = glyphs;
    model.look.zone = TimeZone::UTC;
    update(&mut model, Msg::Tick(noon()));
    update(&mut model, Msg::Start);
    reply(&mut model, 1, Ok(Done::Status(Box::new(status))));
    model
}

pub fn reply(model: &mut Model, reply: u64, result: Result<Done, Refusal>) -> Vec<Effect> {
    update(model, Msg::Heard(Message::Reply(Reply { reply, result })))
}

pub fn event(model: &mut Model, event: Event) -> Vec<Effect> {
    let at = model.now;
    update(model, Msg::Heard(Message::Event(Stamped { event, at })))
}

/// A call event of the contact with this number.
pub fn call_event(
    call: u32,
    number: u8,
    name: &str,
    direction: Direction,
    state: CallState,
) -> Event {
    Event::Call {
        call: CallId(call),
        peer: SafeText::name(name),
        id: peer(number),
        direction,
        state,
        path: Some(PathKind::Direct),
        why: None,
        muted: false,
        held_here: false,
        held_there: false,
    }
}

/// Talks with bo for 14:03 minutes, with words to compare and a minute of figures.
pub fn talking(model: &mut Model) {
    let begun = at("2026-11-03T11:45:57Z");
    update(model, Msg::Tick(begun));
    for state in [
        CallState::LookingUp,
        CallState::Connecting,
        CallState::Ringing,
        CallState::Active,
    ] {
        event(model, call_event(1, 2, "bo", Direction::Out, state));
    }
    update(model, Msg::Tick(noon()));
    let words = ["uncle", "topmost", "village", "adroitness"].map(String::from);
    event(
        model,
        Event::Sas {
            call: CallId(1),
            words,
        },
    );
    for second in 0..60 {
        event(model, stats(second));
    }
    event(
        model,
        Event::Levels {
            call: CallId(1),
            mic: 0.02,
            speaker: 0.3,
            talking: true,
        },
    );
}

/// Who records the call with bo.
pub fn recording(here: bool, there: bool) -> Event {
    Event::Recording {
        call: CallId(1),
        peer: SafeText::name("bo"),
        id: peer(2),
        here,
        there,
        file: here.then(|| "/home/mika/twocan-20261103-114557-bo.opus".to_owned()),
    }
}

pub fn stats(second: u64) -> Event {
    Event::Stats {
        call: CallId(1),
        rtt_ms: 48.0,
        jitter_ms: 6.0 + (second % 7) as f32 * 3.0,
        loss: if second.is_multiple_of(11) { 0.02 } else { 0.0 },
        buffer_ms: 30.0,
        concealed: second / 11,
        sent: second * 50,
        received: second * 50 - second / 11,
        far_loss: 0.0,
        far_burst: 0.0,
        far_queue_ms: 0.0,
        payload_kbps: 32,
        copies: Vec::new(),
        fec: false,
        starved: false,
        playout: Playout::default(),
        audio_link_ms: None,
        cleaning: CleaningView::default(),
    }
}

/// Presses keys as crokey spells them, separated by spaces, 100 ms apart.
pub fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for key in keys.split_whitespace() {
        let later = model.now + jiff::SignedDuration::from_millis(100);
        update(model, Msg::Tick(later));
        let key: KeyEvent = crokey::parse(key).expect("a key").into();
        effects.extend(update(model, Msg::Key(key)));
    }
    effects
}

pub fn wait(model: &mut Model, millis: i64) {
    let later = model.now + jiff::SignedDuration::from_millis(millis);
    update(model, Msg::Tick(later));
}
