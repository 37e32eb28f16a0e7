//! What an action does. Text fields have their own file.

use crate::api::{CallState, Command, Standing, Switch};
use crate::peer::{PeerId, SafeText};
use crate::tui::action::Action;
use crate::tui::call::Call;
use crate::tui::devices;
use crate::tui::echo;
use crate::tui::model::{Armed, Asked, CONFIRM_MS, Filter, Model, Pane};
use crate::tui::popup::{Popup, Prompt, PromptKind, Question};
use crate::tui::times::within;
use crate::tui::update::{Effect, ask, send};
use crate::tui::wander;
use crate::tui::{recording, requests};

/// Carries out an action that is valid in the present situation.
pub fn act(model: &mut Model, effects: &mut Vec<Effect>, action: Action) {
    match action {
        Action::Answer => answer(model, effects, false),
        Action::AnswerMuted => answer(model, effects, true),
        Action::Decline => on_incoming(model, effects, |call| Command::Decline {
            call: Some(call.id),
        }),
        Action::Ignore => ignore(model, effects),
        Action::BlockCaller => block_caller(model),
        Action::Mute => send(model, effects, Command::Mute { to: Switch::Toggle }),
        Action::HangUp => hang_up(model, effects),
        Action::WordsMatch => words(model, effects, true),
        Action::WordsDiffer => words(model, effects, false),
        Action::Hold => hold(model, effects),
        Action::Record => recording::toggle(model, effects),
        Action::Swap => swap(model, effects),
        Action::Quieter => volume(model, effects, -STEP),
        Action::Louder => volume(model, effects, STEP),
        Action::GainDown => gain(model, effects, -STEP),
        Action::GainUp => gain(model, effects, STEP),
        Action::EchoCancelling => echo::next(model, effects),
        Action::Call => dial_selected(model, effects, false),
        Action::CallMuted => dial_selected(model, effects, true),
        Action::CallBack => call_back(model, effects),
        Action::Redial => redial(model, effects),
        Action::Invite => invite(model, effects, false),
        Action::PublicInvite => public_invite(model, effects),
        Action::SayAvailable => announce(model, effects, Standing::Available),
        Action::SayAway => announce(model, effects, Standing::Away),
        Action::SayDoNotDisturb => announce(model, effects, Standing::DoNotDisturb),
        Action::SayInvisible => announce(model, effects, Standing::Invisible),
        Action::AcceptRequest => requests::accept(model, effects),
        Action::DismissRequest => requests::dismiss(model, effects),
        Action::Add => prompt(model, PromptKind::AddLine, ""),
        Action::Text => text(model),
        Action::Rename => on_person(model, |model, peer, name| {
            let now = name.to_string();
            prompt(model, PromptKind::Rename { peer, name }, &now);
        }),
        Action::Block => block(model, effects),
        Action::RelayOnly => relay_only(model, effects),
        Action::Remove => on_person(model, |model, peer, name| {
            model.popup = Some(Popup::Ask(Question::Remove { peer, name }));
        }),
        Action::CopyId => on_person(model, |model, peer, name| {
            effects.push(Effect::Copy(peer.to_string()));
            model.say(
                format!("the ID of {name} is on the clipboard: {peer}"),
                false,
            );
        }),
        Action::ClearHistory if !model.history.is_empty() => {
            model.popup = Some(Popup::Ask(Question::ClearHistory));
        }
        Action::Filter => filter(model),
        Action::Yes => yes(model, effects),
        Action::No => model.popup = None,
        Action::CopyInvite => copy_invite(model, effects),
        Action::NextStep => {
            effects.push(Effect::EndSoundTest);
            model.sound_test = None;
            model.popup = None;
            invite(model, effects, true);
        }
        Action::Quit => quit(model, effects),
        Action::Interrupt => interrupt(model, effects),
        Action::Repaint => effects.push(Effect::Repaint),
        Action::Suspend => suspend(model, effects),
        other if devices::act(model, effects, other) => {}
        other => wander::act(model, other),
    }
}

/// Answers the ringing call; one that is talked in goes on hold first.
fn answer(model: &mut Model, effects: &mut Vec<Effect>, muted: bool) {
    hold_active(model, effects);
    on_incoming(model, effects, |call| Command::Answer {
        call: Some(call.id),
        muted,
    });
}

fn hold_active(model: &mut Model, effects: &mut Vec<Effect>) {
    let active = model
        .calls
        .iter()
        .find(|call| call.is_answered() && !call.held_here);
    if let Some(call) = active.map(|call| call.id) {
        send(
            model,
            effects,
            Command::Hold {
                call: Some(call),
                to: Switch::On,
            },
        );
    }
}

fn on_incoming(model: &mut Model, effects: &mut Vec<Effect>, command: impl Fn(&Call) -> Command) {
    if let Some(command) = model.incoming().map(command) {
        send(model, effects, command);
    }
}

fn ignore(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(id) = model.incoming().map(|call| call.id) else {
        return;
    };
    if let Some(call) = model.call(id) {
        call.ignored = true;
    }
    send(model, effects, Command::Ignore { call: Some(id) });
}

fn block_caller(model: &mut Model) {
    if let Some(call) = model.incoming() {
        let question = Question::BlockCaller {
            call: call.id,
            peer: call.peer_id,
            name: call.peer.clone(),
        };
        model.popup = Some(Popup::Ask(question));
    }
}

/// An answered call wants the key twice, a call that only rings there once.
fn hang_up(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some((id, answered)) = model.current().map(|call| (call.id, call.is_answered())) else {
        return;
    };
    let confirmed = model
        .armed
        .is_some_and(|(armed, at)| armed == Armed::HangUp(id) && within(at, model.now, CONFIRM_MS));
    if answered && !confirmed {
        model.armed = Some((Armed::HangUp(id), model.now));
        return;
    }
    model.armed = None;
    send(model, effects, Command::Hangup { call: Some(id) });
}

fn words(model: &mut Model, effects: &mut Vec<Effect>, matches: bool) {
    let Some(call) = model.current().filter(|call| call.words.is_some()) else {
        model.say("the words to compare are not there yet", false);
        return;
    };
    let peer = call.peer_id.to_string();
    send(model, effects, Command::Verify { peer, matches });
}

fn hold(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some((id, held)) = model
        .current()
        .filter(|call| call.is_answered())
        .map(|call| (call.id, call.held_here))
    else {
        return;
    };
    let to = if held { Switch::Off } else { Switch::On };
    send(model, effects, Command::Hold { call: Some(id), to });
}

fn swap(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(other) = model.other().map(|call| call.id) else {
        model.say("there is no second call", false);
        return;
    };
    hold_active(model, effects);
    send(
        model,
        effects,
        Command::Hold {
            call: Some(other),
            to: Switch::Off,
        },
    );
}

fn volume(model: &mut Model, effects: &mut Vec<Effect>, by: f32) {
    let gain = stepped(model.volume, by);
    model.volume = Some(gain);
    send(model, effects, Command::Volume { gain });
}

fn gain(model: &mut Model, effects: &mut Vec<Effect>, by: f32) {
    let gain = stepped(model.gain, by);
    model.gain = Some(gain);
    send(model, effects, Command::Gain { gain });
}

fn stepped(now: Option<f32>, by: f32) -> f32 {
    let steps = ((now.unwrap_or(1.0) + by) * STEPS_OF_ONE).round();
    (steps / STEPS_OF_ONE).clamp(0.0, 4.0)
}

fn dial_selected(model: &mut Model, effects: &mut Vec<Effect>, muted: bool) {
    let row = model
        .history
        .get(model.history_row)
        .filter(|_| model.pane == Pane::History);
    let person = match row {
        Some(row) => Some((row.id, row.name.clone())),
        None => model
            .selected()
            .map(|contact| (contact.id, contact.name.clone())),
    };
    match person {
        Some((peer, name)) => dial(model, effects, peer, name, muted),
        None => model.say(
            "no contact yet: make an invite, or paste one you were sent",
            false,
        ),
    }
}

fn call_back(model: &mut Model, effects: &mut Vec<Effect>) {
    if let Some(row) = model.history.get(model.history_row) {
        let (peer, name) = (row.id, row.name.clone());
        dial(model, effects, peer, name, false);
    }
}

fn redial(model: &mut Model, effects: &mut Vec<Effect>) {
    let last = model
        .last_dialled
        .or_else(|| model.history.first().map(|row| row.id));
    match last
        .and_then(|id| model.contact(id))
        .map(|contact| (contact.id, contact.name.clone()))
    {
        Some((peer, name)) => dial(model, effects, peer, name, false),
        None => model.say("nobody was called yet", false),
    }
}

fn dial(model: &mut Model, effects: &mut Vec<Effect>, peer: PeerId, name: SafeText, muted: bool) {
    let contact = model.contact(peer);
    if contact.is_none() {
        model.say(format!("{name} is no longer a contact"), true);
    } else if contact.is_some_and(|contact| contact.blocked) {
        model.say(format!("{name} is blocked: unblock first"), true);
    } else if model
        .calls
        .iter()
        .any(|call| call.peer_id == peer && !call.rings_here())
    {
        model.pane = Pane::Call;
    } else if model.current().is_some() {
        model.popup = Some(Popup::Ask(Question::DialToo { peer, name, muted }));
    } else {
        send(
            model,
            effects,
            Command::Dial {
                peer: peer.to_string(),
                muted,
            },
        );
    }
}

/// Asks the engine for an invite; the view opens with its answer.
fn invite(model: &mut Model, effects: &mut Vec<Effect>, welcome: bool) {
    let command = Command::Invite {
        lifetime: INVITE_SECONDS,
        uses: 1,
        public: false,
    };
    let asked = Asked::Invite {
        welcome,
        public: false,
    };
    ask(model, effects, command, asked);
}

/// Takes the place of the invite that is shown.
fn public_invite(model: &mut Model, effects: &mut Vec<Effect>) {
    let asked = Asked::Invite {
        welcome: false,
        public: true,
    };
    ask(model, effects, public_command(), asked);
}

/// Asks for an invite for strangers.
pub fn public_command() -> Command {
    Command::Invite {
        lifetime: PUBLIC_INVITE_SECONDS,
        uses: 1,
        public: true,
    }
}

fn announce(model: &mut Model, effects: &mut Vec<Effect>, standing: Standing) {
    model.popup = None;
    send(model, effects, Command::Announce { standing });
}

fn copy_invite(model: &mut Model, effects: &mut Vec<Effect>) {
    if let Some(Popup::Invite(view)) = &model.popup {
        effects.push(Effect::Copy(view.line.clone()));
        model.say(
            "copied, if this terminal lets programs reach the clipboard",
            false,
        );
    }
}

fn prompt(model: &mut Model, kind: PromptKind, text: &str) {
    model.popup = Some(Popup::Prompt(Prompt::new(kind, text)));
}

fn text(model: &mut Model) {
    let call = model.current().filter(|_| model.pane == Pane::Call);
    let person = match call {
        Some(call) => Some((call.peer_id, call.peer.clone())),
        None => model
            .selected()
            .map(|contact| (contact.id, contact.name.clone())),
    };
    if let Some((peer, name)) = person {
        prompt(model, PromptKind::Text { peer, name }, "");
    }
}

fn on_person(model: &mut Model, then: impl FnOnce(&mut Model, PeerId, SafeText)) {
    match model
        .selected()
        .map(|contact| (contact.id, contact.name.clone()))
    {
        Some((peer, name)) => then(model, peer, name),
        None => model.say("no contact is selected", false),
    }
}

fn block(model: &mut Model, effects: &mut Vec<Effect>) {
    let blocked = model.selected().is_some_and(|contact| contact.blocked);
    on_person(model, |model, peer, name| {
        if blocked {
            send(
                model,
                effects,
                Command::Block {
                    peer: peer.to_string(),
                    to: Switch::Off,
                },
            );
        } else {
            model.popup = Some(Popup::Ask(Question::Block { peer, name }));
        }
    });
}

fn relay_only(model: &mut Model, effects: &mut Vec<Effect>) {
    let is_on = model.selected().is_some_and(|contact| contact.relay_only);
    on_person(model, |model, peer, _| {
        let command = Command::RelayOnly {
            peer: peer.to_string(),
            to: if is_on { Switch::Off } else { Switch::On },
        };
        send(model, effects, command);
    });
}

fn filter(model: &mut Model) {
    model.pane = Pane::Contacts;
    model.filter.get_or_insert_with(Filter::default).open = true;
}

fn yes(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(Popup::Ask(question)) = model.popup.take() else {
        return;
    };
    let block = |peer: PeerId| Command::Block {
        peer: peer.to_string(),
        to: Switch::On,
    };
    match question {
        Question::Remove { peer, .. } => send(
            model,
            effects,
            Command::Remove {
                peer: peer.to_string(),
            },
        ),
        Question::Block { peer, .. } => send(model, effects, block(peer)),
        Question::BlockCaller { call, peer, .. } => {
            // The call may have ended while the question was open.
            if model
                .calls
                .iter()
                .any(|other| other.id == call && other.state == CallState::Ringing)
            {
                send(model, effects, Command::Decline { call: Some(call) });
            }
            send(model, effects, block(peer));
        }
        Question::DialToo { peer, muted, .. } => {
            hold_active(model, effects);
            send(
                model,
                effects,
                Command::Dial {
                    peer: peer.to_string(),
                    muted,
                },
            );
        }
        Question::ClearHistory => {
            send(model, effects, Command::ClearHistory);
            ask(model, effects, Command::Status, Asked::Status);
        }
        Question::Quit => leave(model, effects),
    }
}

fn quit(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.filter.take().is_some() {
        return;
    }
    if model.calls.is_empty() {
        leave(model, effects);
    } else {
        model.popup = Some(Popup::Ask(Question::Quit));
    }
}

/// With an own engine, leaving ends it (and it hangs up); a daemon goes on.
fn leave(model: &mut Model, effects: &mut Vec<Effect>) {
    if !model.attached {
        send(model, effects, Command::Quit);
    }
    effects.push(Effect::Quit);
}

fn interrupt(model: &mut Model, effects: &mut Vec<Effect>) {
    let again = model
        .armed
        .is_some_and(|(armed, at)| armed == Armed::Quit && within(at, model.now, CONFIRM_MS));
    if again {
        leave(model, effects);
        return;
    }
    if model.popup.take().is_some() {
        return;
    }
    model.armed = Some((Armed::Quit, model.now));
}

fn suspend(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.attached || model.calls.is_empty() {
        effects.push(Effect::Suspend);
    } else {
        model.say(
            "not in a call: the call would freeze. Use \"twocan daemon\", then it goes on",
            true,
        );
    }
}

/// A gain is changed in steps of 10 percent.
const STEPS_OF_ONE: f32 = 10.0;
const STEP: f32 = 1.0 / STEPS_OF_ONE;

/// An invite from the screen is good for a week and for one person.
const INVITE_SECONDS: u64 = 7 * 24 * 3600;

/// One for strangers stands on a page or a card, so it is good for longer.
const PUBLIC_INVITE_SECONDS: u64 = 90 * 24 * 3600;
