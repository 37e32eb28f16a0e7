//! The call pane: who talks, how good it is, the words to compare.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::tui::action::Action;
use crate::tui::call::{Call, Meter, path_word};
use crate::tui::model::{Model, Pane};
use crate::tui::quality::{Quality, Stats};
use crate::tui::recording;
use crate::tui::theme::Role;
use crate::tui::times;
use crate::tui::view::details::text_rows;
use crate::tui::view::words::{fit, line, pad, span};

pub fn draw(model: &Model, frame: &mut Frame, area: Rect) {
    let inner = super::pane(model, frame, area, "Call", model.pane == Pane::Call);
    let Some(call) = model.current() else {
        return;
    };
    let inner = Rect {
        x: inner.x + inner.width.min(1),
        width: inner.width.saturating_sub(2),
        ..inner
    };
    let lines = lines(
        model,
        call,
        usize::from(inner.width),
        usize::from(inner.height),
    );
    frame.render_widget(Paragraph::new(lines), inner);
}

/// The pane in `height` rows: what matters least goes first where there is little room.
pub fn lines(model: &Model, call: &Call, width: usize, height: usize) -> Vec<Line<'static>> {
    let mut blocks: Vec<(u8, Vec<Line>)> = Vec::new();
    blocks.push((11, recording(model, call, width)));
    if call.is_answered() {
        blocks.push((10, meters(model, call, width)));
        blocks.push((9, microphone(model, call, width)));
        blocks.push((1, vec![Line::default()]));
        blocks.push((8, quality(model, call, width)));
        blocks.push((4, sparks(model, call, width)));
        blocks.push((3, counts(call, width, model)));
    } else {
        blocks.push((10, dialling(model, call, width)));
    }
    blocks.push((6, others(model, call, width)));
    blocks.push((7, words(model, call, width)));
    // The rank says what stays longest; the order on the screen is another matter.
    let mut room = height;
    let mut ranks: Vec<u8> = blocks.iter().map(|block| block.0).collect();
    ranks.sort_unstable_by(|a, b| b.cmp(a));
    let mut kept = Vec::new();
    for rank in ranks {
        let size: usize = blocks
            .iter()
            .filter(|block| block.0 == rank)
            .map(|block| block.1.len())
            .sum();
        if size <= room {
            room -= size;
            kept.push(rank);
        }
    }
    let mut lines: Vec<Line> = blocks
        .into_iter()
        .filter(|block| kept.contains(&block.0))
        .flat_map(|block| block.1)
        .collect();
    let texts = text_rows(model, call.peer_id, width, room.saturating_sub(1));
    if !texts.is_empty() {
        lines.push(Line::default());
        lines.extend(texts);
    }
    lines
}

/// Nobody may overlook that what is said is kept.
fn recording(model: &Model, call: &Call, width: usize) -> Vec<Line<'static>> {
    let Some(words) = recording::words(call) else {
        return Vec::new();
    };
    let glyphs = &model.look.glyphs;
    let text = format!("{} REC  {words}", glyphs.recording);
    vec![line(model, fit(&text, width, glyphs.more), Role::Bad)]
}

fn meters(model: &Model, call: &Call, width: usize) -> Vec<Line<'static>> {
    let muted = model.muted;
    let mic_state = match muted {
        true => span(model, "[MUTED]", Role::Alarm),
        false if call.held_here || call.held_there => span(model, "on hold", Role::Strong),
        false => talk_mark(model, call.mic),
    };
    let far_state = match call.held_there {
        true => span(model, "holds", Role::Strong),
        false => talk_mark(model, call.speaker),
    };
    let percent = |label: &str, gain: Option<f32>| {
        gain.map_or(String::new(), |gain| {
            format!("  {label} {:.0}%", gain * 100.0)
        })
    };
    vec![
        meter(
            model,
            "you",
            mic_state,
            call.mic,
            muted,
            &percent("mic", model.gain),
            width,
        ),
        meter(
            model,
            &call.peer,
            far_state,
            call.speaker,
            false,
            &percent("vol", model.volume),
            width,
        ),
    ]
}

/// What is wrong with the microphone, if anything.
fn microphone(model: &Model, call: &Call, width: usize) -> Vec<Line<'static>> {
    let words = call.microphone.words().into_iter();
    words
        .map(|words| {
            let row = fit(words, width, model.look.glyphs.more);
            line(model, row, Role::Alarm)
        })
        .collect()
}

fn talk_mark(model: &Model, meter: Meter) -> Span<'static> {
    match meter.is_talking() {
        true => span(model, "talking", Role::Good),
        false => span(model, "", Role::Plain),
    }
}

fn meter(
    model: &Model,
    name: &str,
    state: Span<'static>,
    meter: Meter,
    off: bool,
    tail: &str,
    width: usize,
) -> Line<'static> {
    let glyphs = &model.look.glyphs;
    let name_room = if width < 50 { 6 } else { 10 };
    let gap = 8usize.saturating_sub(state.width());
    let room = width
        .saturating_sub(name_room + 1 + 8 + tail.len())
        .min(usize::from(Meter::STEPS));
    let full = (usize::from(meter.steps) * room)
        .div_ceil(usize::from(Meter::STEPS))
        .min(room);
    let bar = match off {
        true => glyphs.meter_off.repeat(room),
        false => format!(
            "{}{}",
            glyphs.meter_full.repeat(full),
            glyphs.meter_empty.repeat(room - full)
        ),
    };
    Line::from(vec![
        span(model, pad(name, name_room, glyphs.more), Role::Strong),
        Span::raw(" "),
        state,
        Span::raw(" ".repeat(gap)),
        Span::raw(format!("{bar}{tail}")),
    ])
}

fn quality(model: &Model, call: &Call, width: usize) -> Vec<Line<'static>> {
    let path = call.path.map_or("", path_word);
    let (Some(stats), Some(quality)) = (&call.stats, call.quality()) else {
        return vec![Line::raw(fit(
            &format!("quality not measured yet   {path}"),
            width,
            model.look.glyphs.more,
        ))];
    };
    let role = quality_role(quality);
    let dot = model.look.glyphs.dot;
    let long = format!(
        "   round trip {:.0} ms{dot}jitter {:.0} ms{dot}buffer {:.0} ms   {path}",
        stats.rtt_ms, stats.jitter_ms, stats.buffer_ms
    );
    // The way before the loss, which the rows below tell as well.
    let short = format!(
        " {:.0} ms {path} loss {:.1}%",
        stats.rtt_ms,
        stats.loss * 100.0
    );
    let facts = if stats.starved {
        " the line carries too little".to_owned()
    } else if 12 + long.chars().count() <= width {
        long
    } else {
        short
    };
    vec![Line::from(vec![
        Span::raw("quality "),
        span(model, quality.word(), role),
        Span::raw(fit(
            &facts,
            width.saturating_sub(12),
            model.look.glyphs.more,
        )),
    ])]
}

pub fn quality_role(quality: Quality) -> Role {
    match quality {
        Quality::Good => Role::Good,
        Quality::Fair => Role::Plain,
        Quality::Poor => Role::Warn,
        Quality::Lost => Role::Bad,
    }
}

fn sparks(model: &Model, call: &Call, width: usize) -> Vec<Line<'static>> {
    let Some(stats) = &call.stats else {
        return Vec::new();
    };
    vec![
        // A tenth of the frames lost fills the row, half a frame of jitter beyond 50 ms as well.
        spark(
            model,
            call,
            width,
            &format!("loss   {:.1}%", stats.loss * 100.0),
            |past| past.loss / 0.10,
        ),
        spark(
            model,
            call,
            width,
            &format!("jitter {:.0} ms", stats.jitter_ms),
            |past| past.jitter_ms / 60.0,
        ),
    ]
}

/// The last minute as a row of bars, newest at the right.
fn spark(
    model: &Model,
    call: &Call,
    width: usize,
    label: &str,
    share: impl Fn(&Stats) -> f32,
) -> Line<'static> {
    let glyphs = &model.look.glyphs;
    let label = pad(label, 16, glyphs.more);
    let room = width.saturating_sub(16 + 13).min(60);
    let skip = call.past.len().saturating_sub(room);
    let bars: String = call
        .past
        .iter()
        .skip(skip)
        .map(|past| bar(glyphs.spark, share(past)))
        .collect();
    let pad_to = room - call.past.len().min(room);
    Line::raw(format!(
        "{label}{bars}{}   last {} s",
        " ".repeat(pad_to),
        call.past.len().min(room)
    ))
}

fn bar(bars: [&'static str; 8], share: f32) -> &'static str {
    let at = (share.clamp(0.0, 1.0) * 7.0).ceil() as usize;
    bars[at.min(7)]
}

fn counts(call: &Call, width: usize, model: &Model) -> Vec<Line<'static>> {
    let Some(stats) = &call.stats else {
        return Vec::new();
    };
    let link = stats.audio_link_ms.map_or(String::new(), |link| {
        format!("   sound by ssh or network: {link:.0} ms more")
    });
    let echo = match call.cleaning.echo.words() {
        "" => String::new(),
        words => format!(", {words}"),
    };
    let text = format!(
        "voice  {} sent, {} received, {} concealed{echo}{link}",
        stats.sent, stats.received, stats.concealed
    );
    vec![Line::raw(fit(&text, width, model.look.glyphs.more))]
}

fn dialling(model: &Model, call: &Call, width: usize) -> Vec<Line<'static>> {
    let more = model.look.glyphs.more;
    let path = call
        .path
        .map_or(String::new(), |path| format!(", {}", path_word(path)));
    let time = times::short(call.seconds(model.now));
    let mut lines = vec![
        line(model, fit(&call.peer, width, more), Role::Strong),
        Line::raw(fit(&format!("{} {time}{path}", call.stage()), width, more)),
    ];
    if model.muted {
        lines.push(line(model, "[MUTED]", Role::Alarm));
    }
    lines
}

/// The second call, and one that rings although it is ignored.
fn others(model: &Model, call: &Call, width: usize) -> Vec<Line<'static>> {
    let more = model.look.glyphs.more;
    let swap = model.look.keymap.first(Action::Swap).unwrap_or_default();
    let others = model.calls.iter().filter(|other| other.id != call.id);
    others
        .map(|other| {
            let time = times::short(other.seconds(model.now));
            let hint = if other.is_answered() {
                format!("   {swap} switch")
            } else {
                String::new()
            };
            line(
                model,
                fit(
                    &format!("also   {}  {} {time}{hint}", other.peer, other.stage()),
                    width,
                    more,
                ),
                Role::Strong,
            )
        })
        .collect()
}

fn words(model: &Model, call: &Call, width: usize) -> Vec<Line<'static>> {
    let Some(words) = call
        .words
        .as_ref()
        .filter(|_| !call.verified && call.is_answered())
    else {
        return Vec::new();
    };
    let key = |action| model.look.keymap.first(action).unwrap_or_default();
    let joined = words.join(" - ");
    let keys = format!(
        "{} the same   {} different (hangs up)",
        key(Action::WordsMatch),
        key(Action::WordsDiffer)
    );
    let label = "not verified. Read to each other:  ";
    let mut lines = vec![Line::default()];
    if label.len() + joined.len() <= width {
        lines.push(Line::from(vec![
            Span::raw(label),
            span(model, joined, Role::Strong),
        ]));
    } else {
        lines.push(Line::raw(fit(
            "read to each other:",
            width,
            model.look.glyphs.more,
        )));
        lines.extend(
            crate::tui::view::words::wrap(&joined, width)
                .into_iter()
                .map(|row| line(model, row, Role::Strong)),
        );
    }
    lines.push(Line::raw(fit(&keys, width, model.look.glyphs.more)));
    lines
}
