//! What happens on the phone, in words for a person without a screen.

use twocan::api::{CallState, Direction, Event, PathKind, Presence};

use super::out;
use super::setup::Setup;

/// Says an event on standard error, unless the person wants it quiet.
pub fn tell(setup: &Setup, event: &Event) {
    if setup.global.quiet && !matches!(event, Event::Error { .. }) {
        return;
    }
    if let Some(line) = line(event) {
        out::say(line);
    }
}

/// One line, or nothing for what only a screen can use.
pub fn line(event: &Event) -> Option<String> {
    match event {
        Event::Ready { id, listen } => {
            let places: Vec<String> = listen.iter().map(ToString::to_string).collect();
            Some(format!("ready: {id} listens on {}", places.join(", ")))
        }
        Event::Presence { peer, presence, .. } => {
            Some(format!("{peer} is {}", of_presence(*presence)))
        }
        Event::Call {
            peer,
            direction,
            state,
            why,
            ..
        } => {
            let why = why.map(|why| why.words());
            Some(format!("{peer}: {}", of_state(*direction, *state, why)))
        }
        Event::Path { path, rtt_ms, .. } => Some(format!(
            "path: {}, {rtt_ms:.0} ms there and back",
            of_path(*path)
        )),
        Event::Sas { words, .. } => {
            Some(format!("compare these words by voice: {}", words.join(" ")))
        }
        Event::Text {
            peer, text, sent, ..
        } => Some(if *sent {
            format!("to {peer}: {text}")
        } else {
            format!("{peer}: {text}")
        }),
        Event::Contact {
            contact,
            removed: true,
        } => Some(format!("{} was removed", contact.name)),
        Event::Contact { contact, .. } if contact.pending => {
            Some(format!("{} has not confirmed the invite yet", contact.name))
        }
        Event::Contact { contact, .. } => Some(format!("{} is a contact", contact.name)),
        Event::Audio {
            place,
            trouble: None,
        } => Some(format!("sound: {place}")),
        Event::Audio {
            trouble: Some(trouble),
            ..
        } => Some(format!("no sound: {trouble}")),
        Event::Error { why } => Some(format!("error: {why}")),
        Event::Resync => Some("some events were missed".to_owned()),
        Event::Stats { .. } | Event::Levels { .. } => None,
    }
}

/// A call's state as a person says it.
pub fn of_state(direction: Direction, state: CallState, why: Option<&'static str>) -> String {
    match (state, direction) {
        (CallState::LookingUp, _) => "looking for the phone".to_owned(),
        (CallState::Connecting, _) => "connecting".to_owned(),
        (CallState::Ringing, Direction::Out) => "it rings there".to_owned(),
        (CallState::Ringing, Direction::In) => "is calling".to_owned(),
        (CallState::Active, _) => "you are talking".to_owned(),
        (CallState::Held, _) => "on hold".to_owned(),
        (CallState::Ended, _) => {
            format!("ended: {}", why.unwrap_or("for a reason that is not known"))
        }
    }
}

/// How a path is called.
pub fn of_path(path: PathKind) -> &'static str {
    match path {
        PathKind::Direct => "direct",
        PathKind::Punched => "direct through NATs",
        PathKind::Reflected => "by a reflector",
        PathKind::Circuit => "by a relay",
    }
}

/// What is known of somebody's phone.
pub fn of_presence(presence: Presence) -> &'static str {
    match presence {
        Presence::Connected => "connected",
        Presence::Reachable => "reachable",
        Presence::Away => "away",
        Presence::DoNotDisturb => "do not disturb",
        Presence::Offline => "offline",
        Presence::Unknown => "not connected",
    }
}
