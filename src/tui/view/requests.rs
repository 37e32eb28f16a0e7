//! Strangers who ask, and the choice of what contacts see.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use crate::api::{RequestView, Standing};
use crate::peer::PeerId;
use crate::tui::action::{Action, entry};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::times;
use crate::tui::view::words::{ends, fit, hint_rows, hints, line, pad, wrap};

/// The list of strangers who ask.
pub fn list(model: &Model, at: Option<PeerId>, frame: &mut Frame, area: Rect) {
    let room = usize::from(area.width.saturating_sub(4)).clamp(1, 72);
    let text = match model.requests.is_empty() {
        true => "Nobody asks. Who uses a public invite of yours would stand here, without a sound.",
        false => {
            "Used your public invite. The names are what they call themselves: nobody has \
             checked them."
        }
    };
    let advice = wrap(text, room);
    let tall = advice.len() + model.requests.len() + 1;
    let title = format!("Requests {}", model.requests.len());
    let place = super::window(model, frame, area, &title, room as u16, tall as u16);
    let width = usize::from(place.width);
    let keys = match model.requests.is_empty() {
        true => hints(model, &[Action::CloseView], width),
        false => hints(model, &KEYS, width),
    };
    let height = usize::from(place.height).saturating_sub(1);
    // The people matter more than what is said about them.
    let above = advice.len().min(height.saturating_sub(2));
    let rows = height.saturating_sub(above);
    let row = position(model, at);
    let skip = super::history::first_row(row, rows, model.requests.len());
    let mut lines: Vec<Line> = advice.into_iter().take(above).map(Line::raw).collect();
    let visible = model.requests.iter().enumerate().skip(skip).take(rows);
    lines.extend(visible.map(|(number, request)| one(model, request, number == row, width)));
    if lines.is_empty() {
        lines.push(line(
            model,
            fit("nobody asks", width, model.look.glyphs.more),
            Role::Plain,
        ));
    }
    lines.truncate(height.max(1));
    lines.push(keys);
    frame.render_widget(Paragraph::new(lines), place);
}

/// How many ask, and the key that shows them; nothing if nobody does.
pub fn count(model: &Model, long: bool) -> Option<String> {
    let key = model.look.keymap.first(Action::Requests);
    let key = key.map_or(String::new(), |key| format!(" ({key})"));
    let what = if long { " to become contacts" } else { "" };
    match model.requests.len() {
        0 => None,
        1 => Some(format!("1 asks{what}{key}")),
        many => Some(format!("{many} ask{what}{key}")),
    }
}

/// What contacts may be told, each with its key and what it means.
pub fn standings(model: &Model, frame: &mut Frame, area: Rect) {
    let rows = STANDINGS.map(|(standing, action)| {
        let key = model.look.keymap.first(action).unwrap_or_default();
        let now = if standing == model.standing { ">" } else { " " };
        (format!("{now} {key}"), standing, entry(action).help)
    });
    let keys = rows.iter().map(|row| row.0.width()).max().unwrap_or(0);
    let more = model.look.glyphs.more;
    let wide = rows.iter().map(|row| row.2.width()).max().unwrap_or(0) + keys + 2;
    let height = rows.len() as u16 + 2;
    let place = super::window(model, frame, area, "What contacts see", wide as u16, height);
    let width = usize::from(place.width);
    let mut lines: Vec<Line> = rows
        .iter()
        .map(|(key, standing, help)| {
            let help = match keys + 2 + help.width() <= width {
                true => help,
                false => standing.words(),
            };
            let role = match *standing == model.standing {
                true => Role::Strong,
                false => Role::Plain,
            };
            let text = format!("{}  {help}", pad(key, keys, more));
            line(model, fit(&text, width, more), role)
        })
        .collect();
    if usize::from(place.height) > lines.len() + 1 {
        lines.push(Line::default());
    }
    if usize::from(place.height) <= STANDINGS.len() {
        // A screen of three lines: as many in one as there is room for.
        lines = hint_rows(model, &STANDINGS.map(|(_, action)| action), width);
    }
    lines.push(hints(model, &[Action::CloseView], width));
    frame.render_widget(Paragraph::new(lines), place);
}

fn one(model: &Model, request: &RequestView, here: bool, width: usize) -> Line<'static> {
    let more = model.look.glyphs.more;
    let cursor = if here { ">" } else { " " };
    let at = times::moment(request.at, model.now, &model.look.zone);
    let id = request.id.short();
    let name = fit(&request.name, (width / 2).max(6), more);
    let left = match width < COLUMNS_FOR_ID {
        true => format!("{cursor} {name}"),
        false => format!("{cursor} {name}  {id}"),
    };
    let role = if here { Role::Selected } else { Role::Plain };
    line(model, ends(&left, &at, width, more), role)
}

fn position(model: &Model, at: Option<PeerId>) -> usize {
    let row = |id| model.requests.iter().position(|request| request.id == id);
    at.and_then(row).unwrap_or(0)
}

const STANDINGS: [(Standing, Action); 4] = [
    (Standing::Available, Action::SayAvailable),
    (Standing::Away, Action::SayAway),
    (Standing::DoNotDisturb, Action::SayDoNotDisturb),
    (Standing::Invisible, Action::SayInvisible),
];

const KEYS: [Action; 3] = [
    Action::AcceptRequest,
    Action::DismissRequest,
    Action::CloseView,
];

/// Below this there is no room for a short ID beside name and time.
const COLUMNS_FOR_ID: usize = 46;
