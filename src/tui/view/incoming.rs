//! Somebody calls: a window with its keys, or a banner while a field has the keyboard.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::widgets::Paragraph;

use crate::tui::action::Action;
use crate::tui::call::{Call, path_word};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::times::short;
use crate::tui::view::words::{fit, hints, line, pad};

pub fn draw(model: &Model, frame: &mut Frame, area: Rect) {
    if let Some(call) = model.answerable() {
        window(model, call, frame, area);
    } else if let Some(call) = model.incoming().filter(|call| !call.ignored) {
        banner(model, call, frame, area);
    }
}

fn window(model: &Model, call: &Call, frame: &mut Frame, area: Rect) {
    let place = super::window(model, frame, area, "Incoming call", 62, 4);
    let width = usize::from(place.width);
    let more = model.look.glyphs.more;
    let facts = [
        Some(
            if call.verified {
                "verified"
            } else {
                "NOT verified"
            }
            .to_owned(),
        ),
        call.path.map(|path| path_word(path).to_owned()),
        Some(format!("ringing {}", short(call.seconds(model.now)))),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let mut lines = vec![
        line(
            model,
            pad(&format!("{} calls you", call.peer), width, more),
            Role::Alarm,
        ),
        line(
            model,
            fit(&facts.join(model.look.glyphs.dot), width, more),
            Role::Plain,
        ),
        hints(model, &KEYS, width),
    ];
    if model.current().is_some() {
        lines.insert(
            2,
            line(
                model,
                fit("answering puts the other call on hold", width, more),
                Role::Plain,
            ),
        );
    }
    if place.height < 3 {
        lines.remove(1);
    }
    if place.height == 1 {
        lines = vec![line(
            model,
            fit(&format!("{} calls", call.peer), width, more),
            Role::Alarm,
        )];
    }
    frame.render_widget(Paragraph::new(lines), place);
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
