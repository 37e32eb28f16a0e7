//! Past calls.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use crate::api::{Direction, HistoryView};
use crate::tui::call::path_word;
use crate::tui::model::{Model, Pane};
use crate::tui::theme::Role;
use crate::tui::times;
use crate::tui::view::words::{line, pad};

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
    let visible: Vec<&HistoryView> = model.history.iter().skip(skip).take(rows).collect();
    let columns = columns(model, &visible, usize::from(inner.width));
    let lines: Vec<Line> = visible
        .iter()
        .enumerate()
        .map(|(at, row)| one(model, row, focus && at + skip == model.history_row, columns))
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

/// Widths of the names, the times and the whole row: no wider than what is shown needs.
type Columns = (usize, usize, usize);

fn columns(model: &Model, rows: &[&HistoryView], width: usize) -> Columns {
    let widest =
        |text: &dyn Fn(&HistoryView) -> usize| rows.iter().map(|row| text(row)).max().unwrap_or(0);
    let names = widest(&|row| row.name.width()).min((width / 4).max(6));
    let times = widest(&|row| moment(model, row).width());
    (names, times, width)
}

fn moment(model: &Model, row: &HistoryView) -> String {
    times::moment(row.at, model.now, &model.look.zone)
}

/// The first row to show so that row `at` of `len` can be seen in `rows`.
pub fn first_row(at: usize, rows: usize, len: usize) -> usize {
    (at + 1).saturating_sub(rows).min(len.saturating_sub(rows))
}

fn one(
    model: &Model,
    row: &HistoryView,
    here: bool,
    (names, times, width): Columns,
) -> Line<'static> {
    let more = model.look.glyphs.more;
    let cursor = if here { ">" } else { " " };
    let arrow = if row.direction == Direction::Out {
        "->"
    } else {
        "<-"
    };
    let name = pad(&row.name, names, more);
    let at = pad(&moment(model, row), times, more);
    let text = format!("{cursor}{arrow} {name}  {at}  {}", outcome(row));
    let role = match row.why.is_missed() {
        _ if here => Role::Selected,
        true => Role::Strong,
        false => Role::Plain,
    };
    line(model, pad(&text, width, more), role)
}

/// How a call went: its length and way, or why there was none.
pub fn outcome(row: &HistoryView) -> String {
    if row.seconds == 0 {
        return row.why.words().to_owned();
    }
    let path = row
        .path
        .map_or(String::new(), |path| format!("  {}", path_word(path)));
    let recorded = match (row.recorded_here, row.recorded_there) {
        (false, false) => "",
        (true, _) => "  recorded",
        (false, true) => "  recorded there",
    };
    format!(
        "{}{path}  loss {:.1}%{recorded}",
        times::short(row.seconds),
        row.loss * 100.0
    )
}
