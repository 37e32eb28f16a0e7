//! A screen of a few lines: the facts, most important first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use crate::tui::call::Call;
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::times::short;
use crate::tui::view::contacts::presence_word;
use crate::tui::view::status;
use crate::tui::view::words::{ends, fit, line, span};

pub fn draw(model: &Model, frame: &mut Frame, area: Rect) {
    let width = usize::from(area.width);
    let mut lines = match model.current() {
        Some(call) => in_call(model, call, width, area.height > 3),
        None => idle(model, width, usize::from(area.height)),
    };
    if model.notice.is_some() || model.armed.is_some() {
        let at = lines.len().min(usize::from(area.height) - 1);
        lines.truncate(at);
        lines.push(status::bottom(model, width));
    } else if lines.len() < usize::from(area.height) {
        let mut last = status::bottom(model, width);
        if model.network.state.is_cut_off() {
            let word = format!("{} ", model.network.state.words());
            last.spans.insert(0, span(model, word, Role::Bad));
        }
        lines.push(last);
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn in_call(model: &Model, call: &Call, width: usize, roomy: bool) -> Vec<Line<'static>> {
    let more = model.look.glyphs.more;
    let muted = if model.muted { " MUTED" } else { "" };
    let recording = match crate::tui::recording::words(call) {
        Some(_) => " REC",
        None => "",
    };
    let time = short(call.seconds(model.now));
    let role = if model.muted {
        Role::Alarm
    } else {
        Role::Strong
    };
    let first = if call.is_answered() {
        format!("{time}{recording}{muted}")
    } else {
        call.stage() + muted
    };
    let mut lines = vec![line(model, ends(&call.peer, &first, width, more), role)];
    if let (Some(quality), Some(stats)) = (call.quality(), call.stats) {
        let text = format!(
            "{} {:.0} ms loss {:.1}%",
            quality.word(),
            stats.rtt_ms,
            stats.loss * 100.0
        );
        lines.push(line(
            model,
            fit(&text, width, more),
            super::call::quality_role(quality),
        ));
    }
    if let Some(words) = call.words.as_ref().filter(|_| roomy && !call.verified) {
        lines.push(line(
            model,
            fit(&words.join("-"), width, more),
            Role::Strong,
        ));
    }
    lines
}

fn idle(model: &Model, width: usize, height: usize) -> Vec<Line<'static>> {
    let more = model.look.glyphs.more;
    let shown = model.shown_contacts();
    let rows = height.saturating_sub(1).max(1);
    let at = shown
        .iter()
        .position(|contact| Some(contact.id) == model.selected)
        .unwrap_or(0);
    let skip = super::history::first_row(at, rows, shown.len());
    let mut lines: Vec<Line> = shown
        .iter()
        .enumerate()
        .skip(skip)
        .take(rows)
        .map(|(row, contact)| {
            let text = ends(&contact.name, &presence_word(model, contact), width, more);
            line(
                model,
                text,
                if row == at {
                    Role::Selected
                } else {
                    Role::Plain
                },
            )
        })
        .collect();
    if lines.is_empty() {
        let text = model
            .me
            .as_ref()
            .map_or("waiting for the phone".to_owned(), |me| {
                format!("{}: no contacts", me.name)
            });
        lines.push(line(model, fit(&text, width, more), Role::Strong));
    }
    lines
}
