//! Events, contacts and calls as spoken lines.

use crate::api::{CallState, Direction, Done, Event, Message, Standing, Why};
use crate::tui::call::{path_word, stats_of};
use crate::tui::devices;
use crate::tui::model::Asked;
use crate::tui::model::Model;
use crate::tui::quality::Quality;
use crate::tui::times;
use crate::tui::view::{outcome, presence_word};

/// Says the quality only when its word changes for three seconds, so that it does not chatter.
#[derive(Clone, Copy, Debug, Default)]
pub struct QualityWatch {
    said: Option<Quality>,
    seen: Option<Quality>,
    times: u8,
}

impl QualityWatch {
    fn take(&mut self, quality: Quality) -> Option<Quality> {
        self.times = if self.seen == Some(quality) {
            self.times.saturating_add(1)
        } else {
            1
        };
        self.seen = Some(quality);
        if self.times < STEADY_SECONDS || self.said == Some(quality) {
            return None;
        }
        self.said = Some(quality);
        Some(quality)
    }
}

/// The line for a message, if it is worth one. `model` is still as it was before.
pub fn line(model: &Model, message: &Message, quality: &mut QualityWatch) -> Option<String> {
    match message {
        Message::Reply(reply) => match &reply.result {
            Err(refusal) => Some(refusal.why.clone()),
            Ok(Done::Invite { line, expires }) => {
                let until = times::moment(*expires, model.now, &model.look.zone);
                let public = matches!(
                    model.asked.get(&reply.reply),
                    Some(Asked::Invite { public: true, .. })
                );
                let whom = if public { "anybody" } else { "one friend" };
                Some(format!("invite, good for {whom} until {until}:\n{line}"))
            }
            Ok(Done::Contact(contact)) => Some(format!(
                "{}: {}",
                contact.name,
                presence_word(model, contact)
            )),
            Ok(_) => None,
        },
        Message::Event(stamped) => event(model, &stamped.event, quality),
    }
}

fn event(model: &Model, event: &Event, quality: &mut QualityWatch) -> Option<String> {
    if let Some((_, stats)) = stats_of(event) {
        let word = quality.take(Quality::rate(&stats))?.word();
        return Some(format!(
            "connection {word}: {:.0} percent lost, {:.0} ms",
            stats.loss * 100.0,
            stats.rtt_ms
        ));
    }
    match event {
        Event::Call {
            call,
            peer,
            id,
            direction,
            state,
            why,
            held_here,
            held_there,
            muted,
            ..
        } => {
            let before = model.calls.iter().find(|other| other.id == *call);
            if before.is_none_or(|before| before.state != *state) {
                *quality = QualityWatch::default();
            }
            let verified = model.contact(*id).is_some_and(|contact| contact.verified);
            Some(match (state, direction) {
                (CallState::Ringing, Direction::In) => {
                    let mark = if verified { "verified" } else { "not verified" };
                    let quiet = if model.is_quiet() {
                        ", without a sound"
                    } else {
                        ""
                    };
                    format!(
                        "incoming call from {peer} ({mark}{quiet}). a=answer d=decline i=ignore"
                    )
                }
                (CallState::Ringing, Direction::Out) => format!("it rings at {peer}"),
                (CallState::LookingUp, _) => format!("looking up where {peer} is"),
                (CallState::Connecting, _) => format!("connecting to {peer}"),
                (CallState::Active, _) => match *muted {
                    true => format!("talking with {peer}, MUTED"),
                    false => format!("talking with {peer}"),
                },
                (CallState::Held, _) => match (held_here, held_there) {
                    (true, _) => format!("{peer} is on hold"),
                    _ => format!("{peer} put you on hold"),
                },
                (CallState::Ended, _) => {
                    format!("call with {peer}: {}", why.map_or("over", Why::words))
                }
            })
        }
        Event::Path { path, .. } => Some(format!("the way is now {}", path_word(*path))),
        Event::Recording {
            peer,
            here,
            there,
            file,
            ..
        } => Some(recorded(peer, (*here, *there), file.as_deref())),
        Event::Sas { words, .. } => Some(format!(
            "read to each other: {}. v=same V=different",
            words.join(" ")
        )),
        Event::Text {
            peer,
            text,
            sent: false,
            ..
        } => Some(format!("{peer} writes: {text}")),
        Event::Text { peer, text, .. } => Some(format!("sent to {peer}: {text}")),
        Event::Contact {
            contact,
            removed: true,
        } => Some(format!("{} was removed", contact.name)),
        Event::Contact { contact, .. } => {
            let known = model.contact(contact.id);
            let became = !contact.pending && known.is_none_or(|known| known.pending);
            became.then(|| format!("{} is a contact now", contact.name))
        }
        Event::Audio(audio) => devices::said(audio),
        Event::Error { why } => Some(why.clone()),
        Event::Microphone { state, .. } => state.words().map(str::to_owned),
        Event::Request {
            request,
            removed: false,
        } => Some(format!(
            "{} asks to become a contact. Type requests",
            request.name
        )),
        // Its words may change every few seconds; status says them.
        Event::Network { network } => {
            let new = network.state != model.network.state;
            new.then(|| format!("network: {}", network.line()))
        }
        Event::Standing { standing } => Some(sees(*standing)),
        Event::Ready { .. }
        | Event::Presence { .. }
        | Event::Levels { .. }
        | Event::Request { .. }
        | Event::Stats { .. }
        | Event::Resync => None,
    }
}

/// The line with its time.
pub fn stamped(model: &Model, line: &str) -> String {
    format!("{} {line}", times::of_day(model.now, &model.look.zone))
}

/// How it stands.
pub fn status(model: &Model) -> Vec<String> {
    let mut lines = Vec::new();
    match &model.me {
        Some(me) => lines.push(format!(
            "you are {}, {} contacts",
            me.name,
            model.contacts.len()
        )),
        None => lines.push("the phone has not answered yet".to_owned()),
    }
    if model.me.is_some() {
        lines.push(sees(model.standing));
        lines.push(format!("network: {}", model.network.line()));
    }
    if !model.requests.is_empty() {
        lines.push(format!("{} ask to become contacts", model.requests.len()));
    }
    if let Some(audio) = &model.audio {
        lines.push(
            audio
                .trouble
                .as_ref()
                .map_or(format!("sound: {}", audio.place), |trouble| {
                    format!("no sound: {trouble}")
                }),
        );
    }
    for call in &model.calls {
        let quality = call.quality().map_or(String::new(), |quality| {
            format!(", quality {}", quality.word())
        });
        let muted = if model.muted { ", MUTED" } else { "" };
        lines.push(format!(
            "{}: {} {}{quality}{muted}",
            call.peer,
            call.stage(),
            times::short(call.seconds(model.now))
        ));
    }
    lines
}

pub fn contacts(model: &Model) -> Vec<String> {
    let lines = model.contacts.iter().map(|contact| {
        let verified = if contact.verified {
            "verified"
        } else {
            "not verified"
        };
        format!(
            "{}: {}, {verified}",
            contact.name,
            presence_word(model, contact)
        )
    });
    some(lines.collect(), "nobody yet: type invite, or add INVITE")
}

/// Strangers who ask, with the numbers that `accept` and `dismiss` take.
pub fn requests(model: &Model) -> Vec<String> {
    let lines = (1..).zip(&model.requests).map(|(number, request)| {
        let at = times::moment(request.at, model.now, &model.look.zone);
        let (name, id) = (&request.name, request.id);
        format!("{number}. calls itself {name}, {at}, {id}")
    });
    some(lines.collect(), "nobody asks")
}

fn recorded(peer: &str, sides: (bool, bool), file: Option<&str>) -> String {
    let file = file.unwrap_or("a file");
    match sides {
        (true, true) => format!("you are recording to {file}, and {peer} is recording too"),
        (true, false) => format!("you are recording to {file}; {peer} is told"),
        (false, true) => format!("{peer} is recording this call"),
        (false, false) => "nobody records this call any more".to_owned(),
    }
}

fn sees(standing: Standing) -> String {
    match standing {
        Standing::Invisible => "your contacts see nothing, as if this phone were off".to_owned(),
        standing => format!("your contacts see: {}", standing.words()),
    }
}

pub fn history(model: &Model) -> Vec<String> {
    let lines = model.history.iter().take(20).map(|row| {
        let way = if row.direction == Direction::Out {
            "to"
        } else {
            "from"
        };
        let at = times::moment(row.at, model.now, &model.look.zone);
        format!("{at} {way} {}: {}", row.name, outcome(row))
    });
    some(lines.collect(), "no call yet")
}

fn some(lines: Vec<String>, none: &str) -> Vec<String> {
    if lines.is_empty() {
        vec![none.to_owned()]
    } else {
        lines
    }
}

const STEADY_SECONDS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_is_said_once_it_stays() {
        let mut watch = QualityWatch::default();
        let said: Vec<_> = [Quality::Good; 5]
            .into_iter()
            .map(|quality| watch.take(quality))
            .collect();
        assert_eq!(said, [None, None, Some(Quality::Good), None, None]);
        assert_eq!(watch.take(Quality::Poor), None);
        assert_eq!(watch.take(Quality::Good), None);
        let said: Vec<_> = [Quality::Poor; 3]
            .into_iter()
            .map(|quality| watch.take(quality))
            .collect();
        assert_eq!(said, [None, None, Some(Quality::Poor)]);
    }
}
