//! An invite: the whole line, free of borders so that it can be selected, and as QR code.

use qrcode::{Color as Module, EcLevel, QrCode};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::tui::action::Action;
use crate::tui::model::Model;
use crate::tui::popup::InviteView;
use crate::tui::theme::Role;
use crate::tui::times;
use crate::tui::view::words::{hint_rows, line, wrap};

pub fn draw(model: &Model, invite: &InviteView, frame: &mut Frame, area: Rect) {
    super::blank(model, frame, area);
    let width = usize::from(area.width);
    let until = times::moment(invite.expires, model.now, &model.look.zone);
    let title = match (invite.welcome, invite.public) {
        (true, _) => "First start: your first invite (3 of 3)",
        (false, true) => "Invite for strangers",
        (false, false) => "Invite",
    };
    // The line comes first and in full: it is what this view is for.
    let mut lines = vec![line(model, title, Role::Strong), Line::default()];
    lines.extend(chunks(&invite.line, width).into_iter().map(Line::raw));
    lines.push(Line::default());
    let advice = match invite.public {
        true => format!(
            "On your clipboard, if the terminal allows it. Good for anybody, until {until}. \
             Whoever uses it waits without a sound in the list of requests, until you accept."
        ),
        false => format!(
            "On your clipboard, if the terminal allows it. Good for one friend, until {until}. \
             Send it by mail or chat: whoever opens it is added on both sides."
        ),
    };
    lines.extend(wrap(&advice, width).into_iter().map(Line::raw));
    let keys = if invite.public { &PUBLIC[..] } else { &KEYS };
    lines.extend(hint_rows(model, keys, width));
    let used = lines.len() as u16;
    if area.height < 8 {
        lines.drain(..2);
    }
    frame.render_widget(Paragraph::new(lines), area);
    let room = Rect {
        y: area.y + used.min(area.height),
        height: area.height.saturating_sub(used),
        ..area
    };
    code(model, invite, frame, room);
    // The view covers the place where notices stand.
    if model.notice.is_some() && area.height > 1 {
        let last = Rect {
            y: area.bottom() - 1,
            height: 1,
            ..area
        };
        super::blank(model, frame, last);
        super::status::footer(model, frame, last);
    }
}

/// Rows of exactly the screen's width, so that a selection joins them again.
fn chunks(text: &str, width: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters
        .chunks(width.max(1))
        .map(|chunk| chunk.iter().collect())
        .collect()
}

fn code(model: &Model, invite: &InviteView, frame: &mut Frame, room: Rect) {
    let half = model.look.glyphs.half_blocks && !invite.full_size;
    let Some(rows) = rows(&invite.line, half) else {
        return;
    };
    let (wide, high) = (
        rows.first().map_or(0, Line::width) as u16,
        rows.len() as u16,
    );
    if wide > room.width || high > room.height {
        let need = high + (frame.area().height - room.height);
        let text = format!(
            "(a window of {}x{} would show it as QR code too)",
            wide.max(40),
            need
        );
        if room.height > 0 {
            frame.render_widget(Line::raw(text), room);
        }
        return;
    }
    let place = Rect {
        x: room.x + (room.width - wide) / 2,
        width: wide,
        height: high,
        ..room
    };
    frame.render_widget(Paragraph::new(rows), place);
}

/// The code with its quiet zone, always black on white: a code in the theme's colours would not
/// scan. In half blocks two modules share a cell; else one module is two cells wide.
pub fn rows(text: &str, half: bool) -> Option<Vec<Line<'static>>> {
    // In capitals it is the same invite, and the code has room for two letters where it had one.
    let code = QrCode::with_error_correction_level(text.to_ascii_uppercase(), EcLevel::L).ok()?;
    let size = code.width();
    let side = size + 2 * QUIET;
    let dark = |x: usize, y: usize| {
        let inside = (QUIET..QUIET + size).contains(&x) && (QUIET..QUIET + size).contains(&y);
        inside && code[(x - QUIET, y - QUIET)] == Module::Dark
    };
    let color = |dark: bool| if dark { Color::Black } else { Color::White };
    let row = |y: usize| -> Line<'static> {
        let cells = (0..side).map(|x| match half {
            true => Span::styled(
                "▀",
                Style::new().fg(color(dark(x, y))).bg(color(dark(x, y + 1))),
            ),
            false => Span::styled("  ", Style::new().bg(color(dark(x, y)))),
        });
        Line::from_iter(cells)
    };
    Some(
        (0..side)
            .step_by(if half { 2 } else { 1 })
            .map(row)
            .collect(),
    )
}

/// Light modules around the code (ISO/IEC 18004 asks for four).
const QUIET: usize = 4;

const KEYS: [Action; 4] = [
    Action::CopyInvite,
    Action::PublicInvite,
    Action::FullSize,
    Action::CloseView,
];

/// The same for one that is public already.
const PUBLIC: [Action; 3] = [Action::CopyInvite, Action::FullSize, Action::CloseView];
