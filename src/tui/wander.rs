//! Moving about: panes, rows, views. Changes the model and nothing else.

use crate::tui::action::Action;
use crate::tui::devices;
use crate::tui::model::{Model, Pane};
use crate::tui::popup::Popup;
use crate::tui::requests;

/// Carries out an action that only moves.
pub fn act(model: &mut Model, action: Action) {
    match action {
        Action::NextPane => model.pane = turn(model.pane, true),
        Action::PreviousPane => model.pane = turn(model.pane, false),
        Action::PaneContacts => model.pane = Pane::Contacts,
        Action::PaneCall => {
            model.pane = Pane::Call;
            show_quiet(model);
        }
        Action::PaneHistory => model.pane = Pane::History,
        Action::Up => go(model, -1),
        Action::Down => go(model, 1),
        Action::PageUp => go(model, -PAGE),
        Action::PageDown => go(model, PAGE),
        Action::First => go(model, isize::MIN),
        Action::Last => go(model, isize::MAX),
        Action::Back => back(model),
        Action::CloseView => model.popup = None,
        Action::CopyMode => model.look.borders = !model.look.borders,
        Action::Standing => model.popup = Some(Popup::Standing),
        Action::Requests => requests::open(model),
        Action::Help => model.popup = Some(Popup::Help { scroll: 0 }),
        Action::FullSize => {
            if let Some(Popup::Invite(view)) = &mut model.popup {
                view.full_size = !view.full_size;
            }
        }
        _ => {}
    }
}

/// A call that made no sound gets its window, and with it its keys.
fn show_quiet(model: &mut Model) {
    let ringing = model.calls.iter_mut().filter(|call| call.rings_here());
    ringing.for_each(|call| call.quiet = false);
}

fn turn(pane: Pane, forward: bool) -> Pane {
    match (pane, forward) {
        (Pane::Contacts, true) | (Pane::History, false) => Pane::Call,
        (Pane::Call, true) | (Pane::Contacts, false) => Pane::History,
        (Pane::History, true) | (Pane::Call, false) => Pane::Contacts,
    }
}

/// One step back, never out: Esc must be harmless, since slow lines make it up out of broken keys.
fn back(model: &mut Model) {
    let something = model.popup.take().is_some()
        || model.filter.take().is_some()
        || model.notice.take().is_some();
    if !something && model.current().is_none() {
        model.pane = Pane::Contacts;
    }
}

fn go(model: &mut Model, by: isize) {
    if let Some(Popup::Help { scroll }) = &mut model.popup {
        *scroll = moved(usize::from(*scroll), by, MAX_HELP)
            .try_into()
            .unwrap_or(u16::MAX);
        return;
    }
    if matches!(model.popup, Some(Popup::Requests { .. })) {
        requests::go(model, by);
        return;
    }
    if matches!(model.popup, Some(Popup::Devices { .. })) {
        devices::go(model, by);
        return;
    }
    if model.pane == Pane::History {
        model.history_row = moved(model.history_row, by, model.history.len());
        return;
    }
    let shown = model.shown_contacts();
    let at = shown
        .iter()
        .position(|contact| Some(contact.id) == model.selected);
    let to = at.map_or(0, |at| moved(at, by, shown.len()));
    model.selected = shown.get(to).map(|contact| contact.id).or(model.selected);
}

fn moved(at: usize, by: isize, len: usize) -> usize {
    at.saturating_add_signed(by).min(len.saturating_sub(1))
}

const PAGE: isize = 10;

/// More rows than the table of keys has; the view stops at its own end.
const MAX_HELP: usize = 80;
