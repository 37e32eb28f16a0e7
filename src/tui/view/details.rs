//! Everything about the selected contact.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use crate::api::{ContactView, NetworkState, Presence};
use crate::tui::action::Action;
use crate::tui::model::{Model, Pane};
use crate::tui::theme::Role;
use crate::tui::times::{self, within};
use crate::tui::view::words::{ends, fit, hints, line, wrap};

pub fn draw(model: &Model, frame: &mut Frame, area: Rect) {
    let focus = model.pane == Pane::Call;
    let selected = model.selected();
    let title = selected.map_or("No contact", |contact| &contact.name);
    let inner = super::pane(model, frame, area, title, focus);
    let Some(contact) = selected else {
        return welcome(model, frame, inner);
    };
    let width = usize::from(inner.width).saturating_sub(2);
    let mut lines = facts(model, contact, width, inner != area);
    let keys = hints(model, &KEYS, width);
    let room = usize::from(inner.height).saturating_sub(lines.len() + 2);
    lines.extend(texts(model, contact, width, room));
    let free = usize::from(inner.height).saturating_sub(lines.len() + 1);
    lines.extend(std::iter::repeat_n(Line::default(), free.min(1)));
    lines.push(keys);
    frame.render_widget(Paragraph::new(lines), indent(inner));
}

fn indent(area: Rect) -> Rect {
    Rect {
        x: area.x + area.width.min(1),
        width: area.width.saturating_sub(2),
        ..area
    }
}

fn welcome(model: &Model, frame: &mut Frame, area: Rect) {
    let width = usize::from(area.width).saturating_sub(2);
    let mut lines: Vec<Line> = match &model.me {
        Some(me) => {
            let mut lines = vec![
                Line::raw(format!("You are {}.", me.name)),
                Line::raw("Your ID:"),
            ];
            lines.extend(wrap(&me.id.to_string(), width).into_iter().map(Line::raw));
            lines
        }
        None => vec![Line::raw("The phone has not answered yet.")],
    };
    lines.push(Line::default());
    lines.push(hints(
        model,
        &[Action::Invite, Action::Add, Action::Help],
        width,
    ));
    frame.render_widget(Paragraph::new(lines), indent(area));
}

fn facts(model: &Model, contact: &ContactView, width: usize, bordered: bool) -> Vec<Line<'static>> {
    let more = model.look.glyphs.more;
    let mut lines = Vec::new();
    // Without a border there is no title with the name.
    if !bordered {
        lines.push(line(model, fit(&contact.name, width, more), Role::Strong));
    }
    let verified = match (contact.verified, contact.verified_at) {
        (true, Some(at)) => format!("verified {}", times::date(at, model.now, &model.look.zone)),
        (true, None) => "verified".to_owned(),
        (false, _) => "not verified".to_owned(),
    };
    let state = state(model, contact);
    if state.width() + 1 + verified.width() <= width {
        let both = ends(&state, &verified, width, more);
        lines.push(line(model, both, Role::Plain));
    } else {
        lines.push(Line::raw(fit(&state, width, more)));
        lines.push(Line::raw(fit(&verified, width, more)));
    }
    if let Some(seen) = last_seen(model, contact) {
        lines.push(Line::raw(fit(&seen, width, more)));
    }
    if let Some(own) = &contact.calls_itself {
        lines.push(Line::raw(fit(&format!("calls itself {own}"), width, more)));
    }
    if contact.relay_only {
        let said = "calls by relays only: no address is told";
        lines.push(Line::raw(fit(said, width, more)));
    }
    let mut last = model.history.iter().filter(|row| row.id == contact.id);
    if let Some(row) = last.next() {
        let how = super::history::outcome(row);
        let at = times::moment(row.at, model.now, &model.look.zone);
        lines.push(Line::raw(fit(&format!("last   {at}, {how}"), width, more)));
    }
    lines.extend(id_lines(&contact.id.to_string(), width));
    lines
}

fn id_lines(id: &str, width: usize) -> Vec<Line<'static>> {
    let rows = wrap(id, width.saturating_sub(7));
    let labels = std::iter::once("ID     ").chain(std::iter::repeat("       "));
    labels
        .zip(rows)
        .map(|(label, row)| Line::raw(format!("{label}{row}")))
        .collect()
}

fn state(model: &Model, contact: &ContactView) -> String {
    match (contact.presence, contact.last_seen) {
        _ if contact.blocked => "blocked: cannot ring here".to_owned(),
        _ if contact.pending => "waiting: will finish by itself".to_owned(),
        (Presence::Connected, _) => "connected now".to_owned(),
        (Presence::Unknown, _) if model.network.state == NetworkState::Joining => {
            "not known yet: joining".to_owned()
        }
        (Presence::Unknown, _) if model.network.state == NetworkState::Offline => {
            "not known: we are offline".to_owned()
        }
        (Presence::Offline, Some(seen)) => {
            format!("not there now, last seen {}", times::age(seen, model.now))
        }
        (Presence::Offline, None) => "not there now, never seen".to_owned(),
        (Presence::Unknown, Some(seen)) => {
            format!("not known, last seen {}", times::age(seen, model.now))
        }
        (Presence::Unknown, None) => "not known yet whether it can be reached".to_owned(),
        (announced, seen) => {
            let heard = seen.filter(|seen| within(*seen, model.now, FRESH_MS));
            let heard = heard.map(|seen| format!(", heard {}", times::age(seen, model.now)));
            format!("{}{}", announced.words(), heard.unwrap_or_default())
        }
    }
}

/// When somebody was there last, where the first row has no room for it.
fn last_seen(model: &Model, contact: &ContactView) -> Option<String> {
    let seen = contact.last_seen?;
    let unsaid = contact.presence == Presence::Unknown
        && model.network.state.is_cut_off()
        && !contact.blocked
        && !contact.pending;
    unsaid.then(|| format!("last seen {}", times::age(seen, model.now)))
}

/// The newest lines of text, as many as there is room for.
fn texts(model: &Model, contact: &ContactView, width: usize, room: usize) -> Vec<Line<'static>> {
    let mut rows: Vec<Line> = text_rows(model, contact.id, width, room.saturating_sub(1));
    if !rows.is_empty() {
        rows.insert(0, Line::default());
    }
    rows
}

/// The newest lines with somebody in at most `room` rows.
pub fn text_rows(
    model: &Model,
    peer: crate::peer::PeerId,
    width: usize,
    room: usize,
) -> Vec<Line<'static>> {
    let mut rows = Vec::new();
    for text in model.texts_with(peer).rev() {
        let who = if text.sent { "you" } else { &*text.name };
        let time = times::of_day(text.at, &model.look.zone);
        let wrapped = wrap(&format!("{} {who}: {}", &time[..5], text.text), width);
        if rows.len() + wrapped.len() > room {
            break;
        }
        rows.extend(wrapped.into_iter().rev());
    }
    rows.reverse();
    rows.into_iter().map(Line::raw).collect()
}

/// Records of the directory are renewed well within this time; an older date is that of an event of
/// another kind.
const FRESH_MS: i64 = 30 * 60 * 1000;

/// The keys printed below the facts.
const KEYS: [Action; 3] = [Action::Call, Action::Text, Action::Help];
