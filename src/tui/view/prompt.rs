//! Questions, text fields, and the sound step of the first start.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use crate::tui::action::Action;
use crate::tui::model::Model;
use crate::tui::popup::{Field, Prompt, PromptKind, Question};
use crate::tui::theme::Role;
use crate::tui::view::words::{hints, line, wrap};

/// A question with its two keys.
pub fn ask(model: &Model, question: &Question, frame: &mut Frame, area: Rect) {
    let text = match question {
        Question::Remove { name, .. } => {
            format!("Remove {name}? Calling each other then takes a new invite.")
        }
        Question::Block { name, .. } => {
            format!("Block {name}? No call and no text from there will reach you.")
        }
        Question::BlockCaller { name, .. } => format!("Block {name} and decline this call?"),
        Question::DialToo { name, .. } => format!("Put the present call on hold and call {name}?"),
        Question::ClearHistory => "Forget all past calls?".to_owned(),
        Question::Quit if model.attached => {
            "Leave the screen? The call goes on in the daemon.".to_owned()
        }
        Question::Quit => "Quit? This hangs up.".to_owned(),
    };
    let width = usize::from(area.width.saturating_sub(4)).min(60);
    let mut lines: Vec<Line> = wrap(&text, width.max(1))
        .into_iter()
        .map(|row| line(model, row, Role::Strong))
        .collect();
    if area.height > 3 {
        lines.push(Line::default());
    }
    lines.push(hints(
        model,
        &[Action::Yes, Action::No],
        usize::from(area.width),
    ));
    show(model, frame, area, "Question", lines);
}

/// A field with its question above and what is wrong below.
pub fn draw(model: &Model, prompt: &Prompt, frame: &mut Frame, area: Rect) {
    let (title, text) = match &prompt.kind {
        PromptKind::AddLine => (
            "Add a contact",
            "Paste the invite you were sent:".to_owned(),
        ),
        PromptKind::AddName { .. } => (
            "Add a contact",
            "Name for this contact (empty: what they call themselves):".to_owned(),
        ),
        PromptKind::Rename { name, .. } => ("Rename", format!("New name for {name}:")),
        PromptKind::Text { name, .. } => ("Text", format!("To {name}:")),
    };
    field(
        model,
        frame,
        area,
        title,
        &text,
        &prompt.field,
        prompt.trouble.as_deref(),
    );
}

/// The same for any field.
pub fn field(
    model: &Model,
    frame: &mut Frame,
    area: Rect,
    title: &str,
    text: &str,
    field: &Field,
    trouble: Option<&str>,
) {
    let width = usize::from(area.width.saturating_sub(4)).clamp(1, 72);
    let trouble: Vec<String> = trouble
        .map(|trouble| wrap(trouble, width))
        .unwrap_or_default();
    let tall = (wrap(text, width).len() + trouble.len() + 2) as u16;
    let place = super::window(model, frame, area, title, width as u16, tall);
    let (shown, cursor) = field.window(usize::from(place.width).saturating_sub(3));
    let mut lines: Vec<Line> = wrap(text, usize::from(place.width).max(1))
        .into_iter()
        .map(Line::raw)
        .collect();
    // The field itself matters most where there is one row.
    let above = (lines.len() as u16).min(place.height.saturating_sub(1));
    lines.truncate(usize::from(above));
    lines.push(line(model, format!("> {shown}"), Role::Strong));
    lines.extend(trouble.into_iter().map(|row| line(model, row, Role::Bad)));
    lines.push(hints(
        model,
        &[Action::Submit, Action::Cancel],
        usize::from(place.width),
    ));
    frame.render_widget(Paragraph::new(lines), place);
    if !place.is_empty() {
        let column = (2 + cursor as u16).min(place.width - 1);
        frame.set_cursor_position((place.x + column, place.y + above));
    }
}

/// The sound step: where the sound goes, and whether the microphone hears anything.
pub fn sound(model: &Model, frame: &mut Frame, area: Rect) {
    let width = usize::from(area.width.saturating_sub(4)).clamp(1, 64);
    let audio = model.audio.as_ref();
    let mut text = vec![match audio {
        Some(audio) => format!("Sound: {}", audio.place),
        None => "Sound: looking for it".to_owned(),
    }];
    text.extend(audio.and_then(|audio| audio.trouble.clone()));
    let mut lines: Vec<Line> = text
        .iter()
        .flat_map(|text| wrap(text, width))
        .map(Line::raw)
        .collect();
    match model.sound_test {
        Some(meter) => {
            let glyphs = &model.look.glyphs;
            let room = width.saturating_sub(12).min(30);
            let full = usize::from(meter.steps) * room / 30;
            let bar = format!(
                "{}{}",
                glyphs.meter_full.repeat(full),
                glyphs.meter_empty.repeat(room - full)
            );
            lines.push(Line::raw(format!("microphone {bar}")));
            lines.extend(
                wrap(
                    "Speak now: the bar moves, and you hear yourself 2 s later.",
                    width,
                )
                .into_iter()
                .map(Line::raw),
            );
        }
        None => lines.extend(
            wrap("To hear yourself, run: twocan echo", width)
                .into_iter()
                .map(Line::raw),
        ),
    }
    lines.push(Line::default());
    lines.push(hints(model, &[Action::NextStep], width));
    show(model, frame, area, "First start: sound (2 of 3)", lines);
}

fn show(model: &Model, frame: &mut Frame, area: Rect, title: &str, lines: Vec<Line<'static>>) {
    let width = lines.iter().map(Line::width).max().unwrap_or(0).max(24) as u16;
    let place = super::window(model, frame, area, title, width, lines.len() as u16);
    frame.render_widget(Paragraph::new(lines), place);
}
