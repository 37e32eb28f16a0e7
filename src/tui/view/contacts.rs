//! The list of contacts with what is known of each.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::api::{ContactView, Presence};
use crate::tui::model::{Filter, Model, Pane};
use crate::tui::theme::Role;
use crate::tui::times;
use crate::tui::view::requests;
use crate::tui::view::words::{ends, fit, line, wrap};
use unicode_width::UnicodeWidthStr;

pub fn draw(model: &Model, frame: &mut Frame, area: Rect) {
    let focus = model.pane == Pane::Contacts;
    let title = match requests::count(model, false) {
        Some(count) => format!("Contacts {}, {count}", model.contacts.len()),
        None => format!("Contacts {}", model.contacts.len()),
    };
    let inner = super::pane(model, frame, area, &title, focus);
    let mut rest = inner;
    // Without a border there is no title to say it.
    let count = requests::count(model, true);
    if let Some(count) = count.filter(|_| inner == area && area.height > 2) {
        rest.height -= 1;
        let last = Rect {
            y: rest.bottom(),
            height: 1,
            ..rest
        };
        frame.render_widget(Line::raw(format!(" {count}")), last);
    }
    if let Some(filter) = &model.filter {
        rest = filter_row(model, filter, frame, rest);
    }
    let shown = model.shown_contacts();
    if shown.is_empty() {
        frame.render_widget(Paragraph::new(nobody(model, usize::from(rest.width))), rest);
        return;
    }
    let at = shown
        .iter()
        .position(|contact| Some(contact.id) == model.selected)
        .unwrap_or(0);
    let rows = usize::from(rest.height);
    let skip = super::history::first_row(at, rows, shown.len());
    let visible = shown.iter().enumerate().skip(skip).take(rows);
    let lines: Vec<Line> = visible
        .map(|(row, contact)| one(model, contact, row == at, focus, rest.width))
        .collect();
    frame.render_widget(Paragraph::new(lines), rest);
}

fn filter_row(model: &Model, filter: &Filter, frame: &mut Frame, area: Rect) -> Rect {
    let width = usize::from(area.width).saturating_sub(4);
    let (text, cursor) = filter.field.window(width);
    let role = if filter.open {
        Role::Strong
    } else {
        Role::Plain
    };
    let row = Rect {
        height: area.height.min(1),
        ..area
    };
    frame.render_widget(line(model, format!(" / {text}"), role), row);
    if filter.open && row.height > 0 {
        let column = area.x + (3 + cursor as u16).min(area.width.saturating_sub(1));
        frame.set_cursor_position((column, area.y));
    }
    Rect {
        y: area.y + row.height,
        height: area.height - row.height,
        ..area
    }
}

fn nobody(model: &Model, width: usize) -> Vec<Line<'static>> {
    let key = |action| model.look.keymap.first(action).unwrap_or_default();
    let text = match (&model.me, model.contacts.is_empty()) {
        (None, _) => String::new(),
        (_, false) => "No name holds that.".to_owned(),
        _ => format!(
            "Nobody yet. {} makes an invite to send to a friend; or paste here the one you were sent.",
            key(crate::tui::action::Action::Invite)
        ),
    };
    wrap(&text, width.saturating_sub(2))
        .into_iter()
        .map(|row| Line::raw(format!(" {row}")))
        .collect()
}

fn one(model: &Model, contact: &ContactView, here: bool, focus: bool, width: u16) -> Line<'static> {
    let glyphs = &model.look.glyphs;
    let sign = sign(model, contact);
    let cursor = if here { ">" } else { " " };
    let width = usize::from(width);
    let state = presence_word(model, contact);
    // A long name may push the state out, but never below half of the row.
    let room = width.saturating_sub(5);
    let state_room = room.saturating_sub(contact.name.width() + 1).max(room / 2);
    let text = ends(
        &contact.name,
        &fit(&state, state_room, glyphs.more),
        room,
        glyphs.more,
    );
    let role = if here && focus {
        Role::Selected
    } else {
        Role::Plain
    };
    let style = model.look.theme.style(role);
    let shown = match contact.presence {
        Presence::Connected if !contact.blocked => model.look.theme.style(Role::Good).patch(style),
        _ => style,
    };
    Line::from(vec![
        Span::styled(format!(" {cursor} "), style),
        Span::styled(sign, shown),
        Span::styled(format!(" {text}"), style),
    ])
}

fn sign(model: &Model, contact: &ContactView) -> &'static str {
    let glyphs = &model.look.glyphs;
    match contact.presence {
        _ if contact.blocked => glyphs.blocked,
        _ if contact.pending => glyphs.pending,
        Presence::Connected => glyphs.connected,
        Presence::Reachable => glyphs.reachable,
        Presence::Away => glyphs.away,
        Presence::DoNotDisturb => glyphs.do_not_disturb,
        Presence::Offline => glyphs.offline,
        Presence::Unknown => glyphs.unknown,
    }
}

/// What is known of somebody, in a word or two.
pub fn presence_word(model: &Model, contact: &ContactView) -> String {
    match (contact.presence, contact.last_seen) {
        _ if contact.blocked => "blocked".to_owned(),
        _ if contact.pending => "waiting".to_owned(),
        (Presence::Offline, None) => "never seen".to_owned(),
        // While this phone is cut off, an age would look like news.
        (Presence::Offline, Some(seen)) => times::age(seen, model.now),
        (Presence::Unknown, Some(seen)) if !model.network.state.is_cut_off() => {
            times::age(seen, model.now)
        }
        (presence, _) => presence.words().to_owned(),
    }
}
