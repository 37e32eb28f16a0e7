//! Recording as the screen has it: the key, the news, and the words of the mark.

use crate::api::{Command, Event, Switch};
use crate::tui::call::Call;
use crate::tui::model::Model;
use crate::tui::update::{Effect, send};

/// Records the call on the screen, or no longer.
pub fn toggle(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some((id, on)) = model
        .current()
        .filter(|call| call.is_answered())
        .map(|call| (call.id, call.recording_here))
    else {
        model.say("only a call that was answered can be recorded", false);
        return;
    };
    let to = if on { Switch::Off } else { Switch::On };
    send(model, effects, Command::Record { call: Some(id), to });
}

/// A recording has begun or ended, here or there.
pub fn take(model: &mut Model, event: Event) {
    let Event::Recording {
        call,
        peer,
        here,
        there,
        file,
        ..
    } = event
    else {
        return;
    };
    let Some(call) = model.call(call) else {
        return;
    };
    let before = (call.recording_here, call.recording_there);
    (call.recording_here, call.recording_there) = (here, there);
    match (before, (here, there)) {
        ((false, _), (true, _)) => {
            let file = file.unwrap_or("a file".to_owned());
            model.say(format!("recording to {file}; {peer} is told"), false);
        }
        ((true, _), (false, _)) => model.say("the recording is over", false),
        ((_, false), (_, true)) => model.say(format!("{peer} is recording this call"), true),
        ((_, true), (_, false)) => model.say(format!("{peer} records no longer"), false),
        _ => {}
    }
}

/// Who records, for the mark in the call.
pub fn words(call: &Call) -> Option<String> {
    let peer = &call.peer;
    match (call.recording_here, call.recording_there) {
        (true, true) => Some(format!("you and {peer} are recording")),
        (true, false) => Some(format!("you are recording, {peer} is told")),
        (false, true) => Some(format!("{peer} is recording")),
        (false, false) => None,
    }
}
