//! Strangers who ask to become contacts: a list that makes no sound.

use crate::api::{Command, RequestView};
use crate::peer::PeerId;
use crate::tui::model::{Asked, Model};
use crate::tui::popup::Popup;
use crate::tui::update::{Effect, ask, send};

/// Opens the list.
pub fn open(model: &mut Model) {
    let at = model.requests.first().map(|request| request.id);
    model.popup = Some(Popup::Requests { at });
}

/// Takes what the engine says of one of them. The cursor stays on the same person.
pub fn take(model: &mut Model, request: RequestView, removed: bool) {
    let row = position(model, Some(request.id));
    model.requests.retain(|other| other.id != request.id);
    if !removed {
        let row = model
            .requests
            .iter()
            .position(|other| other.at <= request.at)
            .unwrap_or(model.requests.len());
        model.requests.insert(row, request);
        model.requests.truncate(MAX_REQUESTS);
    }
    if let Some(Popup::Requests { at }) = &model.popup
        && position(model, *at).is_none()
    {
        select(model, row.unwrap_or(0));
    }
}

/// Moves the cursor by so many rows.
pub fn go(model: &mut Model, by: isize) {
    if let Some(Popup::Requests { at }) = &model.popup {
        let row = position(model, *at).map_or(0, |row| row.saturating_add_signed(by));
        select(model, row);
    }
}

pub fn accept(model: &mut Model, effects: &mut Vec<Effect>) {
    if let Some(peer) = chosen(model) {
        ask(model, effects, Command::Accept { peer }, Asked::Accept);
    }
}

pub fn dismiss(model: &mut Model, effects: &mut Vec<Effect>) {
    if let Some(peer) = chosen(model) {
        send(model, effects, Command::Dismiss { peer });
    }
}

fn chosen(model: &Model) -> Option<String> {
    let Some(Popup::Requests { at: Some(at) }) = &model.popup else {
        return None;
    };
    Some(at.to_string())
}

fn select(model: &mut Model, row: usize) {
    let row = row.min(model.requests.len().saturating_sub(1));
    let at = model.requests.get(row).map(|request| request.id);
    model.popup = Some(Popup::Requests { at });
}

fn position(model: &Model, id: Option<PeerId>) -> Option<usize> {
    let id = id?;
    model.requests.iter().position(|request| request.id == id)
}

/// As many as the engine keeps.
const MAX_REQUESTS: usize = 20;
