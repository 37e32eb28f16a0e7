//! Pictures of every screen in five sizes and both glyph sets; odd names, every size, bytes a second.

mod screen;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use ratatui::backend::{CrosstermBackend, TestBackend};
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use screen::*;
use twocan::api::*;
use twocan::peer::SafeText;
use twocan::tui::devices::Came;
use twocan::tui::glyphs::{Glyphs, UNICODE};
use twocan::tui::model::Model;
use twocan::tui::painter::Painter;
use twocan::tui::theme::Theme;
use twocan::tui::update::{Msg, update};
use twocan::tui::view::view;

/// Makes a screen that draws with these signs.
type Build = fn(Glyphs) -> Model;

/// Every screen there is, by name.
const SCREENS: [(&str, Build); 31] = [
    ("waiting", |glyphs| {
        let mut model = screen(glyphs, status());
        model.me = None;
        model.contacts.clear();
        model.history.clear();
        model
    }),
    ("empty", |glyphs| {
        let nobody = Status {
            contacts: Vec::new(),
            history: Vec::new(),
            ..status()
        };
        screen(glyphs, nobody)
    }),
    ("contacts", |glyphs| screen(glyphs, status())),
    ("details", |glyphs| pressed(screen(glyphs, status()), "tab")),
    ("history", |glyphs| pressed(screen(glyphs, status()), "3 j")),
    ("dialling", |glyphs| {
        let mut model = screen(glyphs, status());
        event(
            &mut model,
            call_event(1, 2, "bo", Direction::Out, CallState::Ringing),
        );
        wait(&mut model, 7_000);
        model
    }),
    ("call", |glyphs| {
        let mut model = screen(glyphs, status());
        talking(&mut model);
        model
    }),
    ("call-muted-texts", |glyphs| {
        let mut model = screen(glyphs, status());
        talking(&mut model);
        model.muted = true;
        for (text, sent) in [("are you at the door?", false), ("two minutes", true)] {
            let (peer, text) = (SafeText::name("bo"), SafeText::line(text));
            event(
                &mut model,
                Event::Text {
                    peer,
                    id: screen::peer(2),
                    text,
                    sent,
                },
            );
        }
        model.notice = None;
        model
    }),
    ("call-contacts", |glyphs| {
        let mut model = screen(glyphs, status());
        talking(&mut model);
        pressed(model, "1 x")
    }),
    ("waiting-call", |glyphs| {
        let mut model = screen(glyphs, status());
        talking(&mut model);
        event(
            &mut model,
            call_event(2, 1, "anna", Direction::In, CallState::Ringing),
        );
        wait(&mut model, 3_000);
        model
    }),
    ("incoming", |glyphs| {
        let mut model = screen(glyphs, status());
        event(
            &mut model,
            call_event(1, 1, "anna", Direction::In, CallState::Ringing),
        );
        wait(&mut model, 7_000);
        model
    }),
    ("banner", |glyphs| {
        let mut model = pressed(screen(glyphs, status()), "a t w o");
        event(
            &mut model,
            call_event(1, 1, "anna", Direction::In, CallState::Ringing),
        );
        pressed(model, "enter")
    }),
    ("help", |glyphs| pressed(screen(glyphs, status()), "?")),
    ("invite", |glyphs| {
        let mut model = pressed(screen(glyphs, status()), "i");
        let line = format!("twocan:1:{}", "k7f3q2xw0pzry9x8".repeat(10));
        let expires = at("2026-11-10T12:00:00Z");
        let asked = model.next_request - 1;
        reply(&mut model, asked, Ok(Done::Invite { line, expires }));
        model
    }),
    ("online", |glyphs| screen(glyphs, online())),
    ("joining", |glyphs| {
        let mut status = offline();
        let words = "looking for the network";
        status.network = network(NetworkState::Joining, 0, words);
        screen(glyphs, status)
    }),
    ("offline", |glyphs| screen(glyphs, offline())),
    ("offline-details", |glyphs| {
        let mut status = offline();
        status.standing = Standing::DoNotDisturb;
        pressed(screen(glyphs, status), "j 2")
    }),
    ("online-pending", |glyphs| {
        let mut status = online();
        status.standing = Standing::Away;
        pressed(screen(glyphs, status), "shift-g k 2")
    }),
    ("standing", |glyphs| {
        let mut status = online();
        status.standing = Standing::Invisible;
        pressed(screen(glyphs, status), "s")
    }),
    ("requests", |glyphs| {
        pressed(screen(glyphs, online()), "shift-r j")
    }),
    ("invite-public", |glyphs| {
        let mut model = pressed(screen(glyphs, online()), "i");
        let expires = at("2027-02-01T12:00:00Z");
        for line in ["twocan:1:friend", "twocan:1:stranger"] {
            let asked = model.next_request - 1;
            let line = line.to_owned();
            reply(&mut model, asked, Ok(Done::Invite { line, expires }));
            press(&mut model, "p");
        }
        model
    }),
    ("call-recorded", |glyphs| {
        let mut model = screen(glyphs, status());
        talking(&mut model);
        event(&mut model, recording(true, false));
        wait(&mut model, 13_000);
        model
    }),
    ("call-recorded-there", |glyphs| {
        let mut model = screen(glyphs, status());
        talking(&mut model);
        event(&mut model, recording(false, true));
        model
    }),
    ("quiet-call", |glyphs| {
        let mut status = online();
        status.standing = Standing::DoNotDisturb;
        let mut model = screen(glyphs, status);
        let call = call_event(1, 1, "anna", Direction::In, CallState::Ringing);
        event(&mut model, call);
        wait(&mut model, 3_000);
        model
    }),
    ("looking-up", |glyphs| {
        let mut model = screen(glyphs, online());
        let mut call = call_event(1, 2, "bo", Direction::Out, CallState::LookingUp);
        if let Event::Call { path, .. } = &mut call {
            *path = None;
        }
        event(&mut model, call);
        wait(&mut model, 1_200);
        model
    }),
    ("online-without-udp", |glyphs| {
        let mut status = online();
        status.network.nat = NatKind::Blocked;
        screen(glyphs, status)
    }),
    ("details-relay-only", |glyphs| {
        let mut status = status();
        status.contacts[2].relay_only = true;
        pressed(screen(glyphs, status), "tab")
    }),
    ("devices", |glyphs| {
        let mut status = status();
        status.audio.microphone = "usb_mic".into();
        let mut model = screen(glyphs, status);
        talking(&mut model);
        press(&mut model, "shift-s");
        let asked = model.next_request - 1;
        reply(&mut model, asked, Ok(Done::Devices(devices())));
        pressed(model, "j j")
    }),
    ("no-device", |glyphs| screen(glyphs, without_sound())),
    ("no-device-by-ssh", |glyphs| {
        let mut model = screen(glyphs, without_sound());
        model.came = Came::by_ssh("192.0.2.7 50000 198.51.100.2 2222", Some("mika"));
        model
    }),
];

fn without_sound() -> Status {
    let mut status = status();
    status.audio = AudioView {
        place: "no sound".into(),
        trouble: Some("there is no sound device".into()),
        missing: true,
        ..AudioView::default()
    };
    status
}

fn devices() -> Vec<SoundDevice> {
    let device = |name: &str, description: &str, microphone, default| SoundDevice {
        name: SafeText::line(name),
        description: SafeText::line(description),
        host: SafeText::line("PulseAudio"),
        microphone,
        speaker: !microphone,
        default,
    };
    vec![
        device("usb_mic", "Yeti Stereo Microphone", true, true),
        device(
            "alsa_input.pci",
            "Built-in Audio Analog Stereo",
            true,
            false,
        ),
        device(
            "alsa_output.pci",
            "Built-in Audio Analog Stereo",
            false,
            true,
        ),
        device("bluez_output", "Bluetooth Headset", false, false),
    ]
}

fn pressed(mut model: Model, keys: &str) -> Model {
    press(&mut model, keys);
    model
}

fn picture(model: &Model, (width, height): (u16, u16)) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test terminal");
    terminal.draw(|frame| view(model, frame)).expect("drawn");
    terminal.backend().clone()
}

#[test]
fn every_screen_looks_as_before() {
    for (set, glyphs) in SETS {
        for (name, build) in SCREENS {
            let model = build(glyphs);
            for (width, height) in SIZES {
                let shown = picture(&model, (width, height));
                insta::assert_snapshot!(format!("{name}-{width}x{height}-{set}"), shown);
            }
        }
    }
}

#[test]
fn ascii_screens_are_ascii_but_for_names() {
    for (name, build) in SCREENS {
        let mut model = build(SETS[1].1);
        model.contacts.retain(|contact| contact.name.is_ascii());
        model.requests.retain(|request| request.name.is_ascii());
        for size in SIZES {
            let shown = picture(&model, size).to_string();
            assert!(shown.is_ascii(), "{name} {size:?}:\n{shown}");
        }
    }
}

#[test]
fn no_size_is_refused() {
    for (name, build) in SCREENS {
        let model = build(UNICODE);
        for width in (1..=34).chain([49, 50, 51, 79, 80, 99, 100, 101, 200]) {
            for height in (1..=12).chain([19, 24, 60]) {
                let shown = picture(&model, (width, height)).to_string();
                let blank = shown.chars().all(|c| c.is_whitespace() || c == '"');
                assert!(!blank, "{name} shows nothing at {width}x{height}");
            }
        }
    }
}

/// The column of the right-hand border must be the same in every row, whatever the names are.
#[test]
fn odd_names_do_not_shift_borders() {
    let names = [
        "日本語日本語日本語日本語日本語日本語",
        "e\u{301}\u{302}\u{303}\u{304}v",
        "\u{202e}evil\x1b[31m",
        "a\u{200b}b",
        "👩\u{200d}👩\u{200d}👧",
        "ﷺﷺﷺ",
        "",
    ];
    let mut odd = status();
    odd.contacts = (1..)
        .zip(names)
        .map(|(number, name)| contact(number, name, Presence::Reachable))
        .collect();
    for row in &mut odd.history {
        row.name = SafeText::name(names[0]);
    }
    let model = screen(UNICODE, odd);
    let shown = picture(&model, (80, 24));
    let buffer = shown.buffer();
    for y in 2..22 {
        for x in [0, 29] {
            assert_eq!(
                buffer[(x, y)].symbol(),
                "│",
                "row {y}, column {x}:\n{shown}"
            );
        }
        assert!(
            ["│", "┘", "┐"].contains(&buffer[(79, y)].symbol()),
            "row {y}:\n{shown}"
        );
    }
    assert!(!shown.to_string().contains(['\u{202e}', '\x1b', '\u{200b}']));
}

#[test]
fn a_line_that_carries_too_little_is_said_in_the_call() {
    for (starved, size) in [(true, (80, 24)), (true, (60, 16)), (false, (80, 24))] {
        let mut model = screen(UNICODE, status());
        talking(&mut model);
        let mut told = stats(61);
        if let Event::Stats { starved: told, .. } = &mut told {
            *told = starved;
        }
        event(&mut model, told);
        let shown = picture(&model, size).to_string();
        assert_eq!(
            shown.contains("the line carries too little"),
            starved,
            "{shown}"
        );
    }
}

#[test]
fn without_colour_nothing_is_lost() {
    let mut model = SCREENS[7].1(UNICODE);
    model.look.theme = Theme::Mono;
    let shown = picture(&model, (80, 24));
    let colours = shown.buffer().content().iter().filter(|cell| {
        cell.fg != ratatui::style::Color::Reset || cell.bg != ratatui::style::Color::Reset
    });
    assert_eq!(colours.count(), 0);
    assert!(shown.to_string().contains("[MUTED]"));
}

#[test]
fn a_qr_code_is_black_on_white_and_says_the_line() {
    let model = SCREENS[13].1(UNICODE);
    let shown = picture(&model, (120, 60));
    let cells = shown
        .buffer()
        .content()
        .iter()
        .filter(|cell| cell.symbol() == "▀");
    let (mut count, mut dark) = (0, 0);
    for cell in cells {
        use ratatui::style::Color::{Black, White};
        assert!([Black, White].contains(&cell.fg) && [Black, White].contains(&cell.bg));
        count += 1;
        dark += usize::from(cell.fg == Black);
    }
    assert!(count > 400 && dark > 100, "{count} cells, {dark} dark");
}

/// Counts what a terminal would get.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<usize>>);

impl Counter {
    fn count(&self) -> usize {
        *self.0.lock().expect("no thread panics")
    }
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        *self.0.lock().expect("no thread panics") += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Speech-like levels: syllables four a second, pauses, never twice the same.
fn level(tenth: u64, seed: u64) -> f32 {
    let noise = (tenth
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(seed)
        >> 33)
        % 1000;
    let pause = (tenth / 13 + seed).is_multiple_of(3);
    if pause {
        0.001
    } else {
        0.05 + 0.9 * noise as f32 / 1000.0
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is wanted")]
fn a_call_costs_little_on_a_slow_line() {
    const SECONDS: u64 = 60;
    let counter = Counter::default();
    let viewport = Viewport::Fixed(Rect::new(0, 0, 80, 24));
    let backend = CrosstermBackend::new(counter.clone());
    let terminal =
        Terminal::with_options(backend, TerminalOptions { viewport }).expect("a terminal");
    let mut painter = Painter::new(terminal);
    let mut model = screen(UNICODE, status());
    talking(&mut model);
    painter.draw(&model, true).expect("drawn");
    let first = counter.count();
    for tenth in 1..=SECONDS * 10 {
        wait(&mut model, 100);
        let before = model.clone();
        let (mic, speaker) = (level(tenth, 1), level(tenth, 2));
        event(
            &mut model,
            Event::Levels {
                call: CallId(1),
                mic,
                speaker,
                talking: mic > 0.01,
            },
        );
        if tenth.is_multiple_of(10) {
            event(&mut model, stats(60 + tenth / 10));
        }
        let second = before.now.as_second() != model.now.as_second();
        if second || before != model {
            painter.draw(&model, false).expect("drawn");
        }
    }
    let rate = (counter.count() - first) as u64 / SECONDS;
    println!("full picture {first} B, call at 80x24 with 10 Hz meters: {rate} B/s");
    assert!(rate <= 1200, "{rate} B/s");
}

#[test]
fn a_tick_that_changes_nothing_asks_for_no_picture() {
    let mut model = screen(
        UNICODE,
        Status {
            contacts: Vec::new(),
            ..status()
        },
    );
    assert_eq!(model.next_change(), None);
    event(
        &mut model,
        call_event(1, 1, "anna", Direction::Out, CallState::Ringing),
    );
    wait(&mut model, 300);
    let next = model.next_change().expect("a second runs");
    assert_eq!(next, noon() + jiff::SignedDuration::from_secs(1));
    update(&mut model, Msg::Tick(next));
    assert_eq!(
        model.next_change(),
        Some(noon() + jiff::SignedDuration::from_secs(2))
    );
}
