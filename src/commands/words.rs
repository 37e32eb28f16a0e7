//! What happens on the phone, in words for a person without a screen.

use twocan::api::{CallState, Direction, Event, NetworkView, PathKind, Presence, Standing};

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
        Event::Presence { peer, presence, .. } => Some(match presence {
            Presence::Unknown => format!("{peer}: not known whether that phone is there"),
            Presence::DoNotDisturb => format!("{peer} does not want to be disturbed"),
            presence => format!("{peer} is {}", presence.words()),
        }),
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
        Event::Recording {
            peer,
            here,
            there,
            file,
            ..
        } => Some(of_recording(peer, *here, *there, file.as_deref())),
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
        Event::Contact { contact, .. } if contact.pending => Some(format!(
            "waiting for {}: will finish by itself",
            contact.name
        )),
        Event::Contact { contact, .. } => Some(format!("{} is a contact", contact.name)),
        Event::Request { removed: true, .. } => None,
        Event::Request { request, .. } => Some(format!(
            "{} asks to become a contact: {}",
            request.name, request.id
        )),
        Event::Network { network } => Some(of_network(network)),
        Event::Standing { standing } => Some(of_standing(*standing)),
        Event::Audio(audio) => Some(match (&audio.trouble, &audio.note) {
            (Some(trouble), _) => format!("no sound: {trouble}"),
            (None, Some(note)) => format!("sound: {}; {note}", audio.place),
            (None, None) => format!("sound: {}", audio.place),
        }),
        Event::Microphone { state, .. } => state.words().map(str::to_owned),
        Event::Error { why } => Some(format!("error: {why}")),
        Event::Resync => Some("some events were missed".to_owned()),
        Event::Stats { .. } | Event::Levels { .. } => None,
    }
}

/// A call's state as a person says it.
pub fn of_state(direction: Direction, state: CallState, why: Option<&'static str>) -> String {
    match (state, direction) {
        (CallState::LookingUp, _) => "looking up where that phone is".to_owned(),
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

/// Who records.
fn of_recording(peer: &str, here: bool, there: bool, file: Option<&str>) -> String {
    let file = file.unwrap_or("a file");
    match (here, there) {
        (true, true) => format!("recording to {file}, and {peer} is recording too"),
        (true, false) => format!("recording to {file}; {peer} is told"),
        (false, true) => format!("{peer} is recording this call"),
        (false, false) => "nobody records this call any more".to_owned(),
    }
}

/// How far this phone is in the network.
pub fn of_network(network: &NetworkView) -> String {
    format!("network: {}", network.line())
}

/// What contacts are told of this phone's owner.
pub fn of_standing(standing: Standing) -> String {
    match standing {
        Standing::Invisible => "contacts see nothing, as if this phone were off".to_owned(),
        standing => format!("contacts see: {}", standing.words()),
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
