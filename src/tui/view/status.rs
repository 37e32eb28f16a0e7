//! The first and the last line of the screen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use crate::api::{AudioView, NetworkState, Standing};
use crate::tui::action::{Action, Situation};
use crate::tui::model::{Armed, Model};
use crate::tui::theme::Role;
use crate::tui::times;
use crate::tui::view::words::{self, fit, hints, span};

/// Who, and what goes on; where the sound is.
pub fn header(model: &Model, frame: &mut Frame, area: Rect) {
    let width = usize::from(area.width);
    let more = model.look.glyphs.more;
    let (left, role) = topic(model);
    let mut spans = vec![Span::raw(" "), span(model, left, role)];
    let mut facts = Vec::new();
    if let Some(call) = model.current().filter(|call| call.is_answered()) {
        let verified = if call.verified {
            "encrypted, verified"
        } else {
            "encrypted, not verified"
        };
        facts.push(Span::raw(format!("  {verified}")));
    }
    if model.muted && model.current().is_some() {
        facts.insert(0, span(model, " MUTED ", Role::Alarm));
        facts.insert(0, Span::raw("  "));
    }
    let ignored = model.incoming().filter(|call| call.ignored);
    if let Some(call) = ignored {
        facts.push(Span::raw(format!("  {} still rings (ignored)", call.peer)));
    }
    if model.current().is_some() && model.network.state == NetworkState::Offline {
        facts.push(span(model, "  network: offline", Role::Bad));
    }
    if model.current().is_none() && model.me.is_some() {
        let used: usize = spans.iter().chain(&facts).map(Span::width).sum();
        facts.extend(standing(model, width.saturating_sub(used)));
    }
    // A fact that has no room is left out whole, and all that come after it.
    for fact in facts {
        let used: usize = spans.iter().map(Span::width).sum();
        if used + fact.width() > width {
            break;
        }
        spans.push(fact);
    }
    let used: usize = spans.iter().map(Span::width).sum();
    let (sound, role) = sound(model);
    let room = width.saturating_sub(used + 3);
    if room >= 12 {
        let sound = fit(&sound, room, more);
        spans.push(Span::raw(" ".repeat(width - used - sound.width() - 1)));
        spans.push(span(model, sound, role));
    }
    frame.render_widget(Line::from(spans), area);
}

fn topic(model: &Model) -> (String, Role) {
    let Some(me) = &model.me else {
        return ("twocan  waiting for the phone".to_owned(), Role::Warn);
    };
    match model.current() {
        Some(call) if call.is_answered() => {
            let time = times::clock(call.seconds(model.now));
            let held = if call.held_here || call.held_there {
                format!("  {}", call.stage())
            } else {
                String::new()
            };
            (
                format!("In call: {}  {time}{held}", call.peer),
                Role::Strong,
            )
        }
        Some(call) => (
            format!("Calling {}: {}", call.peer, call.stage()),
            Role::Strong,
        ),
        None if !me.listening => (
            format!("twocan  {}  not reachable: no open port", me.name),
            Role::Warn,
        ),
        None if model.attached => (format!("twocan  {}  (daemon)", me.name), Role::Strong),
        None => (format!("twocan  {}", me.name), Role::Strong),
    }
}

/// What contacts see of us, and how far the network is: as much of it as there is room for.
fn standing(model: &Model, width: usize) -> Option<Span<'static>> {
    let network = &model.network;
    let (long, short) = match network.state {
        NetworkState::Off => (String::new(), ""),
        NetworkState::Online => (network.line(), "online"),
        // Only for calls of our own: contacts do not see where.
        NetworkState::Reachable if model.standing == Standing::Invisible => {
            ("online".to_owned(), "online")
        }
        state => (network.line(), state.words()),
    };
    let (said, brief) = match model.standing {
        // Without a directory it goes without saying.
        Standing::Available if network.state == NetworkState::Off => ("", ""),
        Standing::Available => (Standing::Available.words(), ""),
        Standing::DoNotDisturb => (Standing::DoNotDisturb.words(), "no disturb"),
        other => (other.words(), other.words()),
    };
    let calm = network.state == NetworkState::Reachable;
    // Trouble has no need of the place that the sound's name takes when all is well.
    let room = match calm {
        true => width.saturating_sub(sound(model).0.width() + 3),
        false => width,
    };
    let joined = |parts: [&str; 2]| {
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(model.look.glyphs.dot)
    };
    let wide = joined([said, &long]);
    let middle = if calm {
        joined([said, short])
    } else {
        joined([brief, &long])
    };
    let choices = [
        (wide, room),
        (middle, room),
        (joined([said, short]), width),
        (joined([brief, short]), width),
        (short.to_owned(), width),
    ];
    let fits = |(text, room): &(String, usize)| text.width() + 2 <= *room;
    let (text, _) = choices.into_iter().find(fits)?;
    let role = match (network.state, model.standing) {
        (NetworkState::Offline, _) => Role::Bad,
        (NetworkState::Joining | NetworkState::Online, _) => Role::Warn,
        (_, Standing::Available) => Role::Plain,
        _ => Role::Strong,
    };
    (!text.is_empty()).then(|| span(model, format!("  {text}"), role))
}

fn sound(model: &Model) -> (String, Role) {
    match &model.audio {
        Some(audio) => match &audio.trouble {
            Some(trouble) => (format!("no sound: {trouble}"), Role::Bad),
            None => (placed(audio), role_of(audio)),
        },
        None => (String::new(), Role::Plain),
    }
}

/// Where the sound is, and how far that is.
fn placed(audio: &AudioView) -> String {
    match audio.link_ms {
        Some(link) => format!("audio: {} {link:.0} ms", audio.place),
        None => format!("audio: {}", audio.place),
    }
}

fn role_of(audio: &AudioView) -> Role {
    match audio.note {
        Some(_) => Role::Warn,
        None => Role::Plain,
    }
}

/// A notice, a key that waits for its second press, or the keys that are valid here.
pub fn footer(model: &Model, frame: &mut Frame, area: Rect) {
    frame.render_widget(bottom(model, usize::from(area.width)), area);
}

/// The same as a line of `width` cells.
pub fn bottom(model: &Model, width: usize) -> Line<'static> {
    let more = model.look.glyphs.more;
    let key = |action| model.look.keymap.first(action).unwrap_or_default();
    match (model.armed, &model.notice) {
        (Some((Armed::HangUp(_), _)), _) => {
            let keys = model.look.keymap.shown(Action::HangUp);
            let key = keys.first().cloned().unwrap_or_default();
            words::line(
                model,
                fit(&format!(" {key} once more to hang up"), width, more),
                Role::Alarm,
            )
        }
        (Some((Armed::Quit, _)), _) => {
            let text = format!(" {} once more to quit", key(Action::Interrupt));
            words::line(model, fit(&text, width, more), Role::Alarm)
        }
        (None, Some(notice)) => {
            let role = if notice.grave {
                Role::Bad
            } else {
                Role::Strong
            };
            words::line(model, fit(&format!(" {}", notice.text), width, more), role)
        }
        (None, None) => keys(model, width),
    }
}

/// The keys of the table that are valid here and have a place in the footer; help comes always.
fn keys(model: &Model, width: usize) -> Line<'static> {
    let situation = model.situation();
    let last: Vec<Action> = match situation {
        Situation::Contacts { .. }
        | Situation::Details
        | Situation::Call
        | Situation::History { .. } => {
            vec![Action::Help, Action::Quit]
        }
        _ => Vec::new(),
    };
    let first: Vec<Action> = model
        .look
        .keymap
        .valid(situation)
        .filter(|entry| !entry.brief.is_empty() && !last.contains(&entry.action))
        .map(|entry| entry.action)
        .collect();
    if width < COLUMNS_FOR_WORDS {
        let keys = first
            .iter()
            .chain(&last)
            .filter_map(|action| model.look.keymap.first(*action));
        let keys: Vec<String> = keys.collect();
        return words::line(model, keys.join(" "), Role::Strong);
    }
    let tail = hints(model, &last, width.saturating_sub(1));
    let room = width.saturating_sub(tail.width() + 3);
    let mut line = hints(model, &first, room);
    line.spans.insert(0, Span::raw(" "));
    if !tail.spans.is_empty() {
        line.spans.push(Span::raw("  "));
        line.spans.extend(tail.spans);
    }
    line
}

/// Below this there are only the keys, without their words.
const COLUMNS_FOR_WORDS: usize = 30;
