//! Draws the model. Reads it and nothing else; every size from 1x1 up shows something useful.

mod call;
mod contacts;
mod details;
mod devices;
mod help;
mod history;
mod incoming;
mod invite;
mod prompt;
mod requests;
mod status;
mod tiny;
mod words;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::{Block, Clear};

use crate::tui::model::{Model, Pane};
use crate::tui::popup::Popup;
use crate::tui::theme::Role;
use crate::tui::wizard::NameStep;

pub use contacts::presence_word;
pub use history::outcome;

/// Draws everything into the frame.
pub fn view(model: &Model, frame: &mut Frame) {
    let area = frame.area();
    if area.is_empty() {
        return;
    }
    frame
        .buffer_mut()
        .set_style(area, model.look.theme.style(Role::Plain));
    if area.height < ROWS_FOR_PANES || area.width < COLUMNS_FOR_PANES {
        tiny::draw(model, frame, area);
    } else {
        let [top, body, bottom] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(area);
        status::header(model, frame, top);
        panes(model, frame, body);
        status::footer(model, frame, bottom);
    }
    over(model, frame, area);
}

/// Draws the first step of the first start: the name.
pub fn name_step(model: &Model, step: &NameStep, frame: &mut Frame) {
    let area = frame.area();
    if area.is_empty() {
        return;
    }
    frame
        .buffer_mut()
        .set_style(area, model.look.theme.style(Role::Plain));
    let text = "Your name. Only the people you call or invite see it.";
    prompt::field(
        model,
        frame,
        area,
        "First start: name (1 of 3)",
        text,
        &step.field,
        step.trouble,
    );
}

fn panes(model: &Model, frame: &mut Frame, area: Rect) {
    let in_call = model.current().is_some();
    let low = frame.area().height < ROWS_FOR_HISTORY;
    if area.width < COLUMNS_FOR_TWO || (in_call && area.width < COLUMNS_FOR_THREE) {
        single(model, frame, area, low);
        return;
    }
    let left = if area.width < COLUMNS_FOR_THREE {
        30
    } else {
        36
    };
    let [left, right] =
        Layout::horizontal([Constraint::Length(left), Constraint::Fill(1)]).areas(area);
    contacts::draw(model, frame, left);
    let upper = match in_call {
        _ if low => right.height,
        true => right.height.min(CALL_ROWS).max(right.height / 2),
        false => (right.height * 2 / 5).max(right.height.min(DETAILS_ROWS)),
    };
    let [upper, lower] =
        Layout::vertical([Constraint::Length(upper), Constraint::Fill(1)]).areas(right);
    if low && model.pane == Pane::History {
        history::draw(model, frame, upper);
        return;
    }
    if in_call {
        call::draw(model, frame, upper)
    } else {
        details::draw(model, frame, upper)
    }
    if lower.height >= 3 {
        history::draw(model, frame, lower);
    }
}

/// One pane at a time. In a call wider than a column the contacts still share the screen with the
/// history, as without one.
fn single(model: &Model, frame: &mut Frame, area: Rect, low: bool) {
    let in_call = model.current().is_some();
    match model.pane {
        Pane::Call if in_call => call::draw(model, frame, area),
        Pane::Call => details::draw(model, frame, area),
        Pane::History => history::draw(model, frame, area),
        Pane::Contacts if area.width >= COLUMNS_FOR_TWO && !low => {
            let [left, right] =
                Layout::horizontal([Constraint::Length(30), Constraint::Fill(1)]).areas(area);
            contacts::draw(model, frame, left);
            history::draw(model, frame, right);
        }
        Pane::Contacts => contacts::draw(model, frame, area),
    }
}

/// What lies over the main screen, and the incoming call over that.
fn over(model: &Model, frame: &mut Frame, area: Rect) {
    match &model.popup {
        Some(Popup::Invite(invite)) => invite::draw(model, invite, frame, area),
        Some(Popup::Standing) => requests::standings(model, frame, area),
        Some(Popup::Requests { at }) => requests::list(model, *at, frame, area),
        Some(Popup::Devices { row }) => devices::draw(model, *row, frame, area),
        Some(Popup::Help { scroll }) => help::draw(model, *scroll, frame, area),
        Some(Popup::Ask(question)) => prompt::ask(model, question, frame, area),
        Some(Popup::Prompt(prompt)) => prompt::draw(model, prompt, frame, area),
        Some(Popup::Wizard(_)) => prompt::sound(model, frame, area),
        None => {}
    }
    incoming::draw(model, frame, area);
}

/// A framed pane; without borders on narrow screens and in copy mode. Returns the room inside.
fn pane(model: &Model, frame: &mut Frame, area: Rect, title: &str, focus: bool) -> Rect {
    let look = &model.look;
    if !look.borders || frame.area().width < COLUMNS_FOR_BORDERS {
        return area;
    }
    let style = look
        .theme
        .style(if focus { Role::Focus } else { Role::Border });
    let title = words::fit(
        title,
        usize::from(area.width.saturating_sub(6)),
        look.glyphs.more,
    );
    let block = Block::bordered()
        .border_set(look.glyphs.border())
        .border_style(style)
        .title(format!(" {title} "))
        .title_style(style);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// Room for something over the screen, emptied. Takes the whole screen where there is little.
fn window(
    model: &Model,
    frame: &mut Frame,
    area: Rect,
    title: &str,
    width: u16,
    height: u16,
) -> Rect {
    let small = area.width < COLUMNS_FOR_BORDERS || area.height < 8;
    if small || !model.look.borders {
        let height = if small {
            area.height
        } else {
            area.height.min(height)
        };
        let place = Rect { height, ..area };
        blank(model, frame, place);
        return place;
    }
    let (width, height) = (area.width.min(width + 4), area.height.min(height + 2));
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 3,
        width,
        height,
    };
    blank(model, frame, place);
    let inner = pane(model, frame, place, title, true);
    Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    }
}

fn blank(model: &Model, frame: &mut Frame, place: Rect) {
    frame.render_widget(Clear, place);
    frame
        .buffer_mut()
        .set_style(place, model.look.theme.style(Role::Plain));
}

/// Below these the screen is only lines of facts.
const ROWS_FOR_PANES: u16 = 6;
const COLUMNS_FOR_PANES: u16 = 30;
/// Below these the panes come one at a time, lose their borders, or the history goes.
const COLUMNS_FOR_BORDERS: u16 = 50;
const COLUMNS_FOR_TWO: u16 = 80;
const COLUMNS_FOR_THREE: u16 = 100;
const ROWS_FOR_HISTORY: u16 = 10;
/// What the panes on the right want in height, borders included.
const CALL_ROWS: u16 = 19;
const DETAILS_ROWS: u16 = 11;
