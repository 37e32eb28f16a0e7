//! The sound devices, with what the microphone hears; or what to do where there are none.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use crate::tui::action::Action;
use crate::tui::call::Meter;
use crate::tui::devices::{Row, rows};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::view::words::{ends, fit, hints, line, wrap};

/// Draws the page with the cursor on this row.
pub fn draw(model: &Model, row: usize, frame: &mut Frame, area: Rect) {
    let rows = rows(model);
    if rows.is_empty() {
        return without(model, frame, area);
    }
    let head = head(model);
    let tall = rows.len() + head.len() + 4;
    let place = super::window(model, frame, area, "Sound devices", 72, tall as u16);
    let width = usize::from(place.width);
    let height = usize::from(place.height).saturating_sub(1);
    let mut lines: Vec<Line> = Vec::new();
    // Titles, meters and places go first where there is little room.
    let is_roomy = height >= rows.len() + 2;
    if height >= tall - 1 {
        lines.extend(head.iter().map(|text| cut(model, text, width)));
    }
    let room = height.saturating_sub(lines.len() + if is_roomy { 2 } else { 0 });
    let room = room.max(1);
    let skip = super::history::first_row(row, room, rows.len());
    let mut way = None;
    for (number, one) in rows.iter().enumerate().skip(skip).take(room) {
        if is_roomy && way != Some(one.is_microphone) {
            lines.push(title(model, one.is_microphone, width));
        }
        way = Some(one.is_microphone);
        lines.push(device(model, one, number == row, width));
    }
    lines.truncate(height.max(1));
    lines.push(hints(model, &KEYS, width));
    frame.render_widget(Paragraph::new(lines), place);
}

/// Where the sound is, and how far that is.
fn head(model: &Model) -> Vec<String> {
    let Some(audio) = &model.audio else {
        return Vec::new();
    };
    let mut lines = vec![match (&audio.trouble, audio.link_ms) {
        (Some(trouble), _) => format!("no sound: {trouble}"),
        (None, Some(link)) => format!("{}, link {link:.0} ms", audio.place),
        (None, None) => audio.place.clone(),
    }];
    lines.extend(audio.note.clone());
    lines.push("Lasts until the phone ends; to keep it: [sound] in the config".into());
    lines
}

fn title(model: &Model, is_microphone: bool, width: usize) -> Line<'static> {
    let call = model.current();
    let (name, meter) = match is_microphone {
        true => ("Microphone", call.map(|call| call.mic)),
        false => ("Loudspeaker", call.map(|call| call.speaker)),
    };
    let glyphs = &model.look.glyphs;
    let text = match meter {
        None => format!("{name}   (its level shows in a call)"),
        Some(meter) => {
            let room = usize::from(Meter::STEPS).min(width.saturating_sub(14));
            let full = (usize::from(meter.steps) * room).div_ceil(usize::from(Meter::STEPS));
            let full = full.min(room);
            let bar = glyphs.meter_full.repeat(full);
            format!("{name:<12}{bar}{}", glyphs.meter_empty.repeat(room - full))
        }
    };
    line(model, fit(&text, width, glyphs.more), Role::Strong)
}

fn device(model: &Model, row: &Row, here: bool, width: usize) -> Line<'static> {
    let more = model.look.glyphs.more;
    let cursor = if here { ">" } else { " " };
    let mark = if row.in_use { "*" } else { " " };
    let (name, default) = match row.device {
        None => ("the system's choice".to_owned(), ""),
        Some(device) => (
            device.description.to_string(),
            if device.default { "default" } else { "" },
        ),
    };
    let role = if here { Role::Selected } else { Role::Plain };
    line(
        model,
        ends(&format!("{cursor} {mark} {name}"), default, width, more),
        role,
    )
}

/// Nothing is known yet, or there is nothing.
fn without(model: &Model, frame: &mut Frame, area: Rect) {
    let room = usize::from(area.width.saturating_sub(4)).clamp(1, 76);
    if model.devices.is_none() {
        let place = super::window(model, frame, area, "Sound devices", room as u16, 2);
        let width = usize::from(place.width);
        let lines = vec![
            cut(model, "Looking for sound devices ...", width),
            hints(model, &[Action::CloseView], width),
        ];
        frame.render_widget(Paragraph::new(lines), place);
        return;
    }
    let advice = advice(model, room);
    let place = super::window(
        model,
        frame,
        area,
        "No sound",
        room as u16,
        advice.len() as u16 + 1,
    );
    let width = usize::from(place.width);
    let height = usize::from(place.height).saturating_sub(1).max(1);
    let mut lines: Vec<Line> = advice
        .iter()
        .take(height)
        .map(|text| cut(model, text, width))
        .collect();
    let keys: &[Action] = match model.came {
        Some(_) => &[Action::CopyCommand, Action::LookAgain, Action::CloseView],
        None => &[Action::LookAgain, Action::CloseView],
    };
    lines.push(hints(model, keys, width));
    frame.render_widget(Paragraph::new(lines), place);
}

/// What to do, in lines of this width.
fn advice(model: &Model, width: usize) -> Vec<String> {
    let mut text = Vec::new();
    let mut say = |words: &str| text.extend(wrap(words, width));
    match &model.came {
        None => {
            say("No sound device here, and no sound server answers.");
            say(
                "Plug one in, or start PulseAudio or PipeWire, then look again. `twocan doctor audio` \
                 says what was tried. Calls work, in silence.",
            );
        }
        Some(came) => {
            say(&format!(
                "No sound device here. You came by ssh from {}: the sound has to come from that \
                 computer. There (Linux with PulseAudio or PipeWire) run:",
                came.from
            ));
            say(&came.command());
            say(&format!(
                "or, if twocan is installed there:  twocan ssh {}",
                came.to
            ));
            say("Write the name by which you reach this computer, if it is another one.");
            say(
                "An old tmux session will do: the socket is found by itself. mosh carries no sound. \
                 Calls work without it, in silence.",
            );
        }
    }
    text
}

fn cut(model: &Model, text: &str, width: usize) -> Line<'static> {
    line(model, fit(text, width, model.look.glyphs.more), Role::Plain)
}

const KEYS: [Action; 3] = [Action::UseDevice, Action::LookAgain, Action::CloseView];
