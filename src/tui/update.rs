//! What every message does to the model. No input or output, no clock: time comes in
//! [`Msg::Tick`], and whatever must happen outside is returned as [`Effect`]s.

use crossterm::event::{KeyEvent, KeyEventKind};
use jiff::Timestamp;

use crate::api::{Command, Message, Request};
use crate::tui::act;
use crate::tui::action::{Action, Context, Situation};
use crate::tui::model::{Asked, CONFIRM_MS, DEAF_MS, Model};
use crate::tui::news;
use crate::tui::popup::{Popup, Prompt, PromptKind};
use crate::tui::times::within;
use crate::tui::typing;

/// Everything that can happen to the screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Msg {
    /// The present. Comes before every other message, and when [`Model::next_change`] asks for it.
    Tick(Timestamp),
    /// The screen has come up: ask the engine for everything.
    Start,
    Key(KeyEvent),
    Paste(String),
    /// The engine has spoken.
    Heard(Message),
    /// The engine did not take a request: its queue is full.
    Busy,
    /// Levels of the sound test: peaks of microphone and loudspeaker, 0..1.
    SoundTest {
        mic: f32,
    },
}

/// Something to be done outside the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Send(Request),
    /// Put it on the clipboard.
    Copy(String),
    /// Tell the person even if the screen is not looked at.
    Notify(String),
    /// The sound test is over.
    EndSoundTest,
    Repaint,
    Suspend,
    /// Leave the screen. With its own engine that means the end of it.
    Quit,
}

/// Applies `msg` and returns what is to be done.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let mut effects = Vec::new();
    match msg {
        Msg::Tick(now) => tick(model, now),
        Msg::Start => {
            ask(model, &mut effects, Command::Status, Asked::Status);
            send(model, &mut effects, Command::Listen { levels: true });
        }
        Msg::Key(key) if key.kind == KeyEventKind::Release => {}
        Msg::Key(key) => on_key(model, &mut effects, key),
        Msg::Paste(text) => on_paste(model, &text),
        Msg::Heard(message) => news::hear(model, &mut effects, message),
        Msg::Busy => model.say("the phone is busy, that was not done: try again", true),
        Msg::SoundTest { mic } => {
            model.sound_test.get_or_insert_default().take(mic);
        }
    }
    guard_incoming(model);
    effects
}

/// Sends a command whose answer matters only if it is a refusal.
pub fn send(model: &mut Model, effects: &mut Vec<Effect>, command: Command) {
    ask(model, effects, command, Asked::Other);
}

/// Sends a command and notes what its answer is for.
pub fn ask(model: &mut Model, effects: &mut Vec<Effect>, command: Command, asked: Asked) {
    let id = model.next_request;
    model.next_request += 1;
    model.asked.insert(id, asked);
    // Answers that never came (the engine dropped the request) must not pile up.
    while model.asked.len() > MAX_ASKED {
        model.asked.pop_first();
    }
    effects.push(Effect::Send(Request { id, command }));
}

fn tick(model: &mut Model, now: Timestamp) {
    model.now = now;
    if model
        .notice
        .as_ref()
        .is_some_and(|notice| !within(notice.at, now, notice.lasts()))
    {
        model.notice = None;
    }
    if model
        .armed
        .is_some_and(|(_, at)| !within(at, now, CONFIRM_MS))
    {
        model.armed = None;
    }
}

/// The time without keys starts anew whenever the keys of an incoming call become valid.
fn guard_incoming(model: &mut Model) {
    model.incoming_since = match model.answerable() {
        Some(_) => model.incoming_since.or(Some(model.now)),
        None => None,
    };
}

fn on_key(model: &mut Model, effects: &mut Vec<Effect>, key: KeyEvent) {
    let situation = model.situation();
    let found = model.look.keymap.find(key.into(), situation);
    match found {
        Some((_, Context::Incoming)) if is_deaf(model) => {}
        Some((action, _)) if situation == Situation::Field => typing::act(model, effects, action),
        Some((action, _)) => act::act(model, effects, action),
        None if situation == Situation::Field => typing::key(model, key),
        None => {}
    }
    let confirms = [Action::HangUp, Action::Interrupt];
    if !found.is_some_and(|(action, _)| confirms.contains(&action)) {
        model.armed = None;
    }
}

fn is_deaf(model: &Model) -> bool {
    model
        .incoming_since
        .is_some_and(|since| within(since, model.now, DEAF_MS))
}

fn on_paste(model: &mut Model, text: &str) {
    match model.situation() {
        Situation::Field => typing::paste(model, text),
        Situation::Contacts { .. }
        | Situation::Details
        | Situation::Call
        | Situation::History { .. } => {
            paste_on_main(model, text);
        }
        _ => {}
    }
}

/// An invite may be pasted anywhere; anything else pasted here must not run as keys.
fn paste_on_main(model: &mut Model, text: &str) {
    if !text.to_lowercase().contains(INVITE_MARK) {
        model.say(
            "that is no invite: nothing was done with the pasted text",
            false,
        );
        return;
    }
    let mut prompt = Prompt::new(PromptKind::AddLine, "");
    prompt.field.paste(text);
    model.popup = Some(Popup::Prompt(prompt));
}

/// Every invite begins with it; what stands before (a mail's first lines) the parser skips.
const INVITE_MARK: &str = "twocan:";

const MAX_ASKED: usize = 100;
