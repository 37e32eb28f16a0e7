//! What the engine says, laid into the model.

use jiff::Timestamp;

use crate::api::{
    CallState, Command, Done, Event, Message, PathKind, Presence, Refusal, Reply, Stamped,
    Standing, Why,
};
use crate::peer::{PeerId, SafeText};
use crate::tui::call::{Call, Meter, stats_of};
use crate::tui::devices;
use crate::tui::model::{Asked, Model, Pane, TextLine};
use crate::tui::popup::{InviteView, Popup, Prompt, PromptKind, Step};
use crate::tui::times::short;
use crate::tui::update::{Effect, ask};
use crate::tui::{recording, requests};

/// Takes one message of the engine.
pub fn hear(model: &mut Model, effects: &mut Vec<Effect>, message: Message) {
    match message {
        Message::Reply(Reply { reply, result }) => {
            let asked = model.asked.remove(&reply).unwrap_or(Asked::Other);
            match result {
                Ok(done) => on_done(model, effects, asked, done),
                Err(refusal) => on_refusal(model, asked, refusal),
            }
        }
        Message::Event(Stamped { event, at }) => on_event(model, effects, event, at),
    }
}

fn on_done(model: &mut Model, effects: &mut Vec<Effect>, asked: Asked, done: Done) {
    match (asked, done) {
        (_, Done::Status(status)) => {
            let first = model.me.is_none();
            model.take_status(*status);
            if first && model.current().is_some() {
                model.pane = Pane::Call;
            }
            if first && model.first_run {
                model.popup = Some(Popup::Wizard(Step::Sound));
            }
        }
        (Asked::Invite { welcome, public }, Done::Invite { line, expires }) => {
            effects.push(Effect::Copy(line.clone()));
            model.popup = Some(Popup::Invite(InviteView {
                line,
                expires,
                public,
                full_size: false,
                welcome,
            }));
        }
        (Asked::Add { .. }, Done::Contact(contact)) => {
            let waiting = if contact.pending {
                "; waiting for that phone, will finish by itself"
            } else {
                ""
            };
            model.say(format!("{} added{waiting}", contact.name), false);
            model.selected = Some(contact.id);
            model.take_contact(contact, false);
        }
        (_, Done::Devices(devices)) => devices::take(model, devices),
        (Asked::Accept, Done::Nothing) => model.say("accepted: will finish by itself", false),
        (_, Done::Contact(contact)) => model.take_contact(contact, false),
        _ => {}
    }
}

/// Nothing that was typed is lost: the field comes back with what is wrong.
fn on_refusal(model: &mut Model, asked: Asked, refusal: Refusal) {
    let again = match asked {
        Asked::Add { line, .. } => Some((PromptKind::AddLine, line)),
        Asked::Text { peer, name, text } => Some((PromptKind::Text { peer, name }, text)),
        _ => None,
    };
    match again.filter(|_| model.popup.is_none()) {
        Some((kind, text)) => {
            let mut prompt = Prompt::new(kind, &text);
            prompt.trouble = Some(refusal.why);
            model.popup = Some(Popup::Prompt(prompt));
        }
        None => model.say(refusal.why, true),
    }
}

fn on_event(model: &mut Model, effects: &mut Vec<Effect>, event: Event, at: Timestamp) {
    if let Some((id, stats)) = stats_of(&event) {
        if let Some(call) = model.call(id) {
            call.note(stats);
            if let Event::Stats { cleaning, .. } = event {
                call.cleaning = cleaning;
            }
        }
        return;
    }
    match event {
        Event::Ready { .. } | Event::Resync => ask(model, effects, Command::Status, Asked::Status),
        Event::Presence { id, presence, .. } => on_presence(model, id, presence, at),
        Event::Call {
            state: CallState::Ended,
            call,
            peer,
            why,
            ..
        } => {
            on_end(model, effects, call, &peer, why);
        }
        event @ Event::Call { .. } => on_call(model, effects, event, at),
        Event::Path { call, path, .. } => on_path(model, call, path),
        Event::Levels {
            call,
            mic,
            speaker,
            talking,
        } => {
            if let Some(call) = model.call(call) {
                call.hear(mic, speaker, talking);
            }
        }
        Event::Microphone { call, state } => {
            if let Some(call) = model.call(call) {
                call.microphone = state;
            }
        }
        event @ Event::Recording { .. } => recording::take(model, event),
        Event::Sas { call, words } => {
            if let Some(call) = model.call(call) {
                call.words = Some(words);
            }
        }
        Event::Text {
            peer,
            id,
            text,
            sent,
        } => {
            if !sent {
                notify(model, effects, format!("{peer}: {text}"));
                model.say(format!("{peer}: {text}"), false);
            }
            model.note_text(TextLine {
                at,
                peer: id,
                name: peer,
                text,
                sent,
            });
        }
        Event::Contact { contact, removed } => on_contact(model, contact, removed),
        Event::Audio(audio) => devices::hear(model, audio),
        Event::Error { why } => model.say(why, true),
        Event::Request { request, removed } => requests::take(model, request, removed),
        Event::Network { network } => model.network = network,
        Event::Standing { standing } => {
            if model.standing != standing {
                model.say(format!("contacts now see: {}", seen(standing)), false);
            }
            model.standing = standing;
        }
        Event::Stats { .. } => {}
    }
}

/// Calls attention, unless nobody is to be disturbed.
fn notify(model: &Model, effects: &mut Vec<Effect>, text: String) {
    if !model.is_quiet() {
        effects.push(Effect::Notify(text));
    }
}

/// What others see of a standing.
fn seen(standing: Standing) -> &'static str {
    match standing {
        Standing::Invisible => "nothing, as if this phone were off",
        standing => standing.words(),
    }
}

fn on_presence(model: &mut Model, id: PeerId, presence: Presence, at: Timestamp) {
    let Some(contact) = model.contacts.iter_mut().find(|contact| contact.id == id) else {
        return;
    };
    if contact.presence == Presence::Connected || presence == Presence::Connected {
        contact.last_seen = Some(at);
    }
    contact.presence = presence;
}

fn on_contact(model: &mut Model, contact: crate::api::ContactView, removed: bool) {
    if removed {
        model.texts.retain(|line| line.peer != contact.id);
    }
    let calls = model
        .calls
        .iter_mut()
        .filter(|call| call.peer_id == contact.id);
    calls.for_each(|call| {
        call.peer = contact.name.clone();
        call.verified = contact.verified;
    });
    let was_pending = model.contact(contact.id).map(|known| known.pending);
    let mut asked = model.asked.values();
    let accepting = asked.any(|asked| matches!(asked, Asked::Accept));
    let became = match was_pending {
        // Whose invite was opened here, by whatever program, is pending first.
        None if !accepting => Some("joined by your invite"),
        Some(true) => Some("is a contact now"),
        _ => None,
    };
    if let Some(became) = became.filter(|_| !removed && !contact.pending) {
        model.say(format!("{} {became}", contact.name), false);
    }
    model.take_contact(contact, removed);
}

fn on_path(model: &mut Model, id: crate::api::CallId, path: PathKind) {
    if let Some(call) = model.call(id) {
        call.path = Some(path);
    }
}

fn on_call(model: &mut Model, effects: &mut Vec<Effect>, event: Event, at: Timestamp) {
    let Event::Call {
        call: id,
        peer,
        id: peer_id,
        direction,
        state,
        path,
        muted,
        held_here,
        held_there,
        ..
    } = event
    else {
        return;
    };
    model.muted = muted;
    let verified = model
        .contact(peer_id)
        .is_some_and(|contact| contact.verified);
    let new = model.call(id).is_none();
    if new {
        let fresh = Call {
            id,
            peer: peer.clone(),
            peer_id,
            direction,
            state,
            since: at,
            answered: None,
            held_here,
            held_there,
            recording_here: false,
            recording_there: false,
            path,
            words: None,
            verified,
            ignored: false,
            quiet: model.is_quiet(),
            stats: None,
            past: Default::default(),
            mic: Meter::default(),
            speaker: Meter::default(),
            cleaning: crate::api::CleaningView::default(),
            microphone: crate::api::Microphone::Fine,
        };
        if fresh.rings_here() {
            notify(model, effects, format!("{peer} calls"));
        } else {
            // Dialled here or by another client of the same phone: either way this is now the topic.
            model.pane = Pane::Call;
            model.last_dialled = Some(peer_id);
        }
        model.calls.push(fresh);
    }
    let Some(call) = model.call(id) else {
        return;
    };
    if call.state != state {
        call.since = at;
    }
    let answered_now = state == CallState::Active && call.answered.is_none();
    if answered_now {
        call.answered = Some(at);
    }
    call.state = state;
    call.peer = peer;
    call.path = path.or(call.path);
    (call.held_here, call.held_there) = (held_here, held_there);
    if answered_now {
        model.pane = Pane::Call;
    }
}

/// The call is gone from the screen; a line says how it ended, the history (asked for anew) too.
fn on_end(
    model: &mut Model,
    effects: &mut Vec<Effect>,
    id: crate::api::CallId,
    peer: &SafeText,
    why: Option<Why>,
) {
    let over = model
        .calls
        .iter()
        .position(|call| call.id == id)
        .map(|at| model.calls.remove(at));
    let words = why.map_or("call over", Why::words);
    let talked = over.as_ref().and_then(|call| call.answered);
    let time = talked.map(|since| {
        format!(
            " after {}",
            short(crate::tui::times::seconds_between(since, model.now))
        )
    });
    let grave = matches!(
        why,
        Some(
            Why::Lost
                | Why::IdentityMismatch
                | Why::WordsDiffer
                | Why::KeysTooOld
                | Why::Unreachable
        )
    );
    model.say(
        format!("{peer}: {words}{}", time.unwrap_or_default()),
        grave,
    );
    if why.is_some_and(Why::is_missed) {
        notify(model, effects, format!("missed call from {peer}"));
    }
    if model.current().is_none() && model.pane == Pane::Call {
        model.pane = Pane::Contacts;
    }
    ask(model, effects, Command::Status, Asked::Status);
}
