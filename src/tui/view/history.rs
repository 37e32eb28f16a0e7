//! Past calls.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use crate::api::{Direction, HistoryView};
use crate::tui::call::path_word;
use crate::tui::model::{Model, Pane};
use crate::tui::theme::Role;
use crate::tui::times;
use crate::tui::view::words::{fit, line, pad};

pub fn draw(model: &Model, frame: &mut Frame, area: Rect) {
    let focus = model.pane == Pane::History;
    let inner = super::pane(model, frame, area, "History", focus);
    if model.history.is_empty() {
        frame.render_widget(Line::raw(" no call yet"), inner);
        return;
    }
    let rows = usize::from(inner.height);
    let skip = first_row(
        if focus { model.history_row } else { 0 },
        rows,
        model.history.len(),
    );
    let visible = model.history.iter().enumerate().skip(skip).take(rows);
    let lines: Vec<Line> = visible
        .map(|(at, row)| {
            one(
                model,
                row,
                focus && at == model.history_row,
                usize::from(inner.width),
            )
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

/// The first row to show so that row `at` of `len` can be seen in `rows`.
pub fn first_row(at: usize, rows: usize, len: usize) -> usize {
    (at + 1).saturating_sub(rows).min(len.saturating_sub(rows))
}

fn one(model: &Model, row: &HistoryView, here: bool, width: usize) -> Line<'static> {
    let more = model.look.glyphs.more;
    let arrow = if row.direction == Direction::Out {
        "->"
    } else {
        "<-"
    };
    let at = times::moment(row.at, model.now, &model.look.zone);
    let name_room = (width / 4).clamp(6, 20);
    let text = format!(
        " {arrow} {} {} {}",
        pad(&row.name, name_room, more),
        pad(&at, 15, more),
        outcome(row)
    );
    let role = match row.why.is_missed() {
        _ if here => Role::Selected,
        true => Role::Strong,
        false => Role::Plain,
    };
    line(model, pad(&fit(&text, width, more), width, more), role)
}

/// How a call went: its length and way, or why there was none.
pub fn outcome(row: &HistoryView) -> String {
    if row.seconds == 0 {
        return row.why.words().to_owned();
    }
    let path = row
        .path
        .map_or(String::new(), |path| format!("  {}", path_word(path)));
    format!(
        "{}{path}  loss {:.1}%",
        times::short(row.seconds),
        row.loss * 100.0
    )
}
