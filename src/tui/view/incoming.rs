//! Somebody calls: a window with its keys, or a banner while a field has the keyboard.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::widgets::Paragraph;

use crate::tui::action::Action;
use crate::tui::call::{Call, path_word};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::times::short;
use crate::tui::view::words::{fit, hint_rows, line, pad};
use unicode_width::UnicodeWidthStr;

pub fn draw(model: &Model, frame: &mut Frame, area: Rect) {
    if let Some(call) = model.answerable() {
        window(model, call, frame, area);
    } else if let Some(call) = model.incoming().filter(|call| !call.ignored) {
        match call.quiet {
            true => quiet(model, call, frame, area),
            false => banner(model, call, frame, area),
        }
    }
}

/// Nobody is to be disturbed: a line, and the key that opens the window.
fn quiet(model: &Model, call: &Call, frame: &mut Frame, area: Rect) {
    let row = Rect { height: 1, ..area };
    let width = usize::from(row.width);
    let key = model.look.keymap.first(Action::PaneCall);
    let key = key.unwrap_or_default();
    let long = format!(" {} calls, without a sound: {key} shows it", call.peer);
    let text = match long.width() <= width {
        true => long,
        false => format!("{key}: {} calls", call.peer),
    };
    let text = pad(&text, width, model.look.glyphs.more);
    frame.render_widget(line(model, text, Role::Strong), row);
}

fn window(model: &Model, call: &Call, frame: &mut Frame, area: Rect) {
    let more = model.look.glyphs.more;
    let inside = usize::from(area.width.saturating_sub(4)).clamp(1, 62);
    let rows = hint_rows(model, &KEYS, inside).len() as u16;
    let second = model.current().is_some();
    let place = super::window(
        model,
        frame,
        area,
        "Incoming call",
        62,
        2 + rows + u16::from(second),
    );
    let width = usize::from(place.width);
    let mut lines = vec![line(
        model,
        pad(&format!("{} calls you", call.peer), width, more),
        Role::Alarm,
    )];
    // The keys matter more than the facts.
    let mut keys = hint_rows(model, &KEYS, width);
    if keys.len() + 1 > usize::from(place.height) {
        keys = hint_rows(model, &[Action::Answer, Action::Decline], width);
    }
    let room = usize::from(place.height).saturating_sub(1 + keys.len());
    if room > 0 {
        lines.push(line(
            model,
            fit(&facts(model, call), width, more),
            Role::Plain,
        ));
    }
    if second && room > 1 {
        lines.push(line(
            model,
            fit("answering puts the other call on hold", width, more),
            Role::Plain,
        ));
    }
    lines.extend(keys);
    frame.render_widget(Paragraph::new(lines), place);
}

fn facts(model: &Model, call: &Call) -> String {
    let verified = if call.verified {
        "verified"
    } else {
        "NOT verified"
    };
    let path = call.path.map(path_word);
    let time = format!("ringing {}", short(call.seconds(model.now)));
    let facts: Vec<&str> = [Some(verified), path, Some(&time)]
        .into_iter()
        .flatten()
        .collect();
    facts.join(model.look.glyphs.dot)
}

fn banner(model: &Model, call: &Call, frame: &mut Frame, area: Rect) {
    let row = Rect { height: 1, ..area };
    let close = model.look.keymap.first(Action::Cancel).unwrap_or_default();
    let text = format!(
        " {} calls you. {close} closes the field, then its keys work",
        call.peer
    );
    let text = pad(&text, usize::from(row.width), model.look.glyphs.more);
    frame.render_widget(line(model, text, Role::Alarm), row);
}

const KEYS: [Action; 5] = [
    Action::Answer,
    Action::AnswerMuted,
    Action::Decline,
    Action::Ignore,
    Action::BlockCaller,
];
