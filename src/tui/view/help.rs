//! The keys that are valid here, straight from the table.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::tui::action::{Action, Entry};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::view::words::{fit, hints, pad, span, wrap};

pub fn draw(model: &Model, scroll: u16, frame: &mut Frame, area: Rect) {
    let width = area.width.saturating_sub(4).min(96);
    let rows = rows(model, usize::from(width));
    let tall = rows.len() as u16 + 2;
    let place = super::window(model, frame, area, "Keys that work here", width, tall);
    let (body, last) = (place.height.saturating_sub(1), place.height.min(1));
    let scroll = scroll.min((rows.len() as u16).saturating_sub(body));
    frame.render_widget(
        Paragraph::new(rows).scroll((scroll, 0)),
        Rect {
            height: body,
            ..place
        },
    );
    let bottom = Rect {
        y: place.y + body,
        height: last,
        ..place
    };
    let more = model.look.glyphs.more;
    let hidden = body < tall - 2;
    let version = model
        .me
        .as_ref()
        .map_or(String::new(), |me| format!("   twocan {}", me.version));
    let mut line = hints(model, &[Action::CloseView], usize::from(place.width));
    let room = usize::from(place.width).saturating_sub(line.width());
    let keys = [Action::Down, Action::Up]
        .map(|action| model.look.keymap.first(action).unwrap_or_default());
    let scroll = if hidden {
        format!("   {} more", keys.join(" "))
    } else {
        String::new()
    };
    line.push_span(Span::raw(fit(&format!("{scroll}{version}"), room, more)));
    frame.render_widget(line, bottom);
}

fn rows(model: &Model, width: usize) -> Vec<Line<'static>> {
    let here = model.main_situation();
    let keymap = &model.look.keymap;
    let entries: Vec<&Entry> = keymap.valid(here).collect();
    let keys: Vec<String> = entries
        .iter()
        .map(|entry| keymap.shown(entry.action).join(" "))
        .collect();
    let key_room = keys.iter().map(String::len).max().unwrap_or(0).min(14);
    let mut lines = Vec::new();
    for (entry, keys) in entries.iter().zip(&keys) {
        let help = wrap(entry.help, width.saturating_sub(key_room + 2));
        for (at, text) in help.into_iter().enumerate() {
            let keys = if at == 0 { keys.as_str() } else { "" };
            lines.push(Line::from(vec![
                span(
                    model,
                    pad(keys, key_room, model.look.glyphs.more),
                    Role::Strong,
                ),
                Span::raw(format!("  {text}")),
            ]));
        }
    }
    lines
}
