//! Text fields: the filter and the prompts.

use crossterm::event::KeyEvent;

use crate::api::Command;
use crate::peer::Invite;
use crate::tui::action::Action;
use crate::tui::model::{Asked, Model};
use crate::tui::popup::{Field, Popup, Prompt, PromptKind};
use crate::tui::update::{Effect, ask, send};

/// A key that is a command even in a field.
pub fn act(model: &mut Model, effects: &mut Vec<Effect>, action: Action) {
    match action {
        Action::Submit => submit(model, effects),
        Action::Cancel | Action::Interrupt => cancel(model),
        Action::Repaint => effects.push(Effect::Repaint),
        _ => {}
    }
}

/// A key that the field takes as text or movement.
pub fn key(model: &mut Model, key: KeyEvent) {
    if let Some(field) = field(model) {
        field.key(key);
    }
    keep_selection(model);
}

pub fn paste(model: &mut Model, text: &str) {
    if let Some(field) = field(model) {
        field.paste(text);
    }
    keep_selection(model);
}

fn field(model: &mut Model) -> Option<&mut Field> {
    if let Some(filter) = model.filter.as_mut().filter(|filter| filter.open) {
        return Some(&mut filter.field);
    }
    let Some(Popup::Prompt(prompt)) = &mut model.popup else {
        return None;
    };
    prompt.trouble = None;
    Some(&mut prompt.field)
}

/// The cursor never stands on a contact that the filter hides.
fn keep_selection(model: &mut Model) {
    if model.selected().is_none() {
        model.selected = model
            .shown_contacts()
            .first()
            .map(|contact| contact.id)
            .or(model.selected);
    }
}

fn cancel(model: &mut Model) {
    if model.filter.take_if(|filter| filter.open).is_none() {
        model.popup = None;
    }
}

fn submit(model: &mut Model, effects: &mut Vec<Effect>) {
    if let Some(filter) = model.filter.as_mut().filter(|filter| filter.open) {
        filter.open = false;
        model
            .filter
            .take_if(|filter| filter.field.text().is_empty());
        return;
    }
    let Some(Popup::Prompt(mut prompt)) = model.popup.take() else {
        return;
    };
    let text = prompt.field.text().trim().to_owned();
    let empty = text.is_empty();
    match prompt.kind {
        _ if empty && !matches!(prompt.kind, PromptKind::AddName { .. }) => {}
        PromptKind::AddLine => match Invite::parse_line(&text) {
            Ok(_) => {
                model.popup = Some(Popup::Prompt(Prompt::new(
                    PromptKind::AddName { line: text },
                    "",
                )))
            }
            Err(error) => {
                prompt.trouble = Some(error.to_string());
                model.popup = Some(Popup::Prompt(prompt));
            }
        },
        PromptKind::AddName { line } => {
            let asked = Asked::Add {
                line: line.clone(),
                name: text.clone(),
            };
            let name = (!empty).then_some(text);
            ask(model, effects, Command::AddContact { line, name }, asked);
        }
        PromptKind::Rename { name, .. } if *name == *text => {}
        PromptKind::Rename { peer, .. } => {
            send(
                model,
                effects,
                Command::Rename {
                    peer: peer.to_string(),
                    name: text,
                },
            );
        }
        PromptKind::Text { peer, name } => {
            let asked = Asked::Text {
                peer,
                name,
                text: text.clone(),
            };
            ask(
                model,
                effects,
                Command::Text {
                    peer: peer.to_string(),
                    text,
                },
                asked,
            );
        }
    }
}
