//! Pieces of text that fit their room.

use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::tui::action::{Action, entry};
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// `text` cut to `width` cells, with a sign for what is missing.
pub fn fit(text: &str, width: usize, more: &str) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(more.width());
    let mut cut = String::new();
    let mut cells = 0;
    for grapheme in text.graphemes(true) {
        cells += grapheme.width();
        if cells > room {
            break;
        }
        cut.push_str(grapheme);
    }
    if width >= more.width() {
        cut.push_str(more);
    }
    cut
}

/// `text` in exactly `width` cells, left in its room.
pub fn pad(text: &str, width: usize, more: &str) -> String {
    let mut text = fit(text, width, more);
    text.extend(std::iter::repeat_n(' ', width.saturating_sub(text.width())));
    text
}

/// `left` and `right` at the two ends of a line; the right one stays whole as long as possible.
pub fn ends(left: &str, right: &str, width: usize, more: &str) -> String {
    let right = fit(right, width, more);
    let room = width - right.width();
    if room < 2 {
        let most = if right.is_empty() { left } else { &right };
        return pad(most, width, more);
    }
    format!("{} {right}", pad(left, room - 1, more))
}

/// `text` broken into lines of `width` cells at spaces where there are any.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let used = lines.last().map_or(0, |line| line.width());
        if used > 0 && used + 1 + word.width() > width {
            lines.push(String::new());
        } else if used > 0 {
            lines
                .iter_mut()
                .last()
                .into_iter()
                .for_each(|line| line.push(' '));
        }
        push_hard(&mut lines, word, width);
    }
    lines
}

/// A word longer than a line goes on in the next one.
fn push_hard(lines: &mut Vec<String>, word: &str, width: usize) {
    for grapheme in word.graphemes(true) {
        let used = lines.last().map_or(0, |line| line.width());
        if used > 0 && used + grapheme.width() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(grapheme);
        }
    }
}

/// `a answer  d decline`: keys and words of actions, as many as fit one row.
pub fn hints(model: &Model, actions: &[Action], width: usize) -> Line<'static> {
    let mut line = Line::default();
    for action in actions {
        let hint = hint(model, *action, line.spans.is_empty());
        if line.width() + hint.width() <= width {
            line.spans.extend(hint.spans);
        }
    }
    line
}

/// The same with all of them, in as many rows as that takes.
pub fn hint_rows(model: &Model, actions: &[Action], width: usize) -> Vec<Line<'static>> {
    let mut rows = vec![Line::default()];
    for action in actions {
        let used = rows.last().map_or(0, Line::width);
        let full = used > 0 && used + hint(model, *action, false).width() > width;
        if full {
            rows.push(Line::default());
        }
        let hint = hint(model, *action, full || used == 0);
        rows.iter_mut()
            .last()
            .into_iter()
            .for_each(|row| row.spans.extend(hint.spans.clone()));
    }
    rows
}

/// One key and its word; nothing for an action without a key.
fn hint(model: &Model, action: Action, first: bool) -> Line<'static> {
    let Some(key) = model.look.keymap.first(action) else {
        return Line::default();
    };
    Line::from(vec![
        Span::raw(if first { "" } else { "  " }),
        span(model, key, Role::Strong),
        Span::raw(format!(" {}", entry(action).brief)),
    ])
}

/// A line in one role.
pub fn line(model: &Model, text: impl Into<String>, role: Role) -> Line<'static> {
    Line::styled(text.into(), model.look.theme.style(role))
}

/// A span in one role.
pub fn span(model: &Model, text: impl Into<String>, role: Role) -> Span<'static> {
    Span::styled(text.into(), model.look.theme.style(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_text_keeps_its_width() {
        assert_eq!(fit("anna", 4, "…"), "anna");
        assert_eq!(fit("annabel", 4, "…"), "ann…");
        assert_eq!(fit("日本語", 4, "…"), "日…");
        assert_eq!(pad("日本語", 5, "…").width(), 5);
        assert_eq!(fit("abc", 0, "…"), "");
        assert_eq!(ends("left", "right", 12, "…"), "left   right");
        assert_eq!(ends("left", "right", 5, "…"), "right");
        for width in 0..20 {
            assert_eq!(
                ends("e\u{301}e\u{301}日本", "語x", width, "…").width(),
                width
            );
        }
    }

    #[test]
    fn wrapping_loses_nothing() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
