//! Where the screen stands, what is pressed, what the engine is asked for.

mod screen;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use screen::*;
use twocan::api::*;
use twocan::peer::{Identity, Invite, SafeText, Seed};
use twocan::tui::action::{Situation, TABLE};
use twocan::tui::glyphs::UNICODE;
use twocan::tui::model::{Model, Pane};
use twocan::tui::popup::{Popup, PromptKind};
use twocan::tui::update::{Effect, Msg, update};

fn idle() -> Model {
    screen(UNICODE, status())
}

fn in_call() -> Model {
    let mut model = idle();
    talking(&mut model);
    model
}

/// Bo's phone rings, dialled from here.
fn dialling() -> Model {
    let mut model = idle();
    event(
        &mut model,
        call_event(1, 2, "bo", Direction::Out, CallState::Ringing),
    );
    model
}

/// Anna has been calling for two seconds.
fn ringing(mut model: Model) -> Model {
    event(
        &mut model,
        call_event(7, 1, "anna", Direction::In, CallState::Ringing),
    );
    wait(&mut model, 2_000);
    model
}

fn held() -> Model {
    let mut model = in_call();
    let mut held = call_event(1, 2, "bo", Direction::Out, CallState::Held);
    if let Event::Call { held_here, .. } = &mut held {
        *held_here = true;
    }
    event(&mut model, held);
    model
}

/// Bo on hold, anna talks.
fn two_calls() -> Model {
    let mut model = held();
    event(
        &mut model,
        call_event(7, 1, "anna", Direction::In, CallState::Active),
    );
    model
}

fn commands(effects: Vec<Effect>) -> Vec<Command> {
    effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Send(request) => Some(request.command),
            _ => None,
        })
        .collect()
}

fn id(number: u8) -> String {
    peer(number).to_string()
}

fn hold(call: u32, to: Switch) -> Command {
    Command::Hold {
        call: Some(CallId(call)),
        to,
    }
}

fn dial(number: u8, muted: bool) -> Command {
    Command::Dial {
        peer: id(number),
        muted,
    }
}

#[test]
fn keys_become_commands() {
    use Command::*;
    let first = Some(CallId(1));
    let anna = Some(CallId(7));
    let answer = |muted| Answer { call: anna, muted };
    let cases: Vec<(&str, Model, &str, Vec<Command>)> = vec![
        (
            "enter calls the selected contact",
            idle(),
            "enter",
            vec![dial(1, false)],
        ),
        ("down, then call", idle(), "j j c", vec![dial(3, false)]),
        (
            "the ends of the list",
            idle(),
            "shift-g g down enter",
            vec![dial(2, false)],
        ),
        ("call muted", idle(), "m", vec![dial(1, true)]),
        (
            "call from the details",
            idle(),
            "tab enter",
            vec![dial(1, false)],
        ),
        ("call back", idle(), "3 j r", vec![dial(2, false)]),
        (
            "redial takes the newest of the history",
            idle(),
            "j r",
            vec![dial(1, false)],
        ),
        (
            "a blocked contact is not called",
            idle(),
            "shift-g enter",
            vec![],
        ),
        (
            "filter, then call",
            idle(),
            "/ c h enter enter",
            vec![dial(3, false)],
        ),
        (
            "esc clears the filter",
            idle(),
            "/ b o esc g enter",
            vec![dial(1, false)],
        ),
        (
            "letters in the filter are text",
            idle(),
            "/ x x q a i enter",
            vec![],
        ),
        (
            "invite",
            idle(),
            "i",
            vec![Invite {
                lifetime: 604_800,
                uses: 1,
                public: false,
            }],
        ),
        (
            "text",
            idle(),
            "shift-t h i space a enter",
            vec![Text {
                peer: id(1),
                text: "hi a".into(),
            }],
        ),
        (
            "empty text is not sent",
            idle(),
            "shift-t space enter",
            vec![],
        ),
        (
            "rename",
            idle(),
            "e ctrl-u z o e enter",
            vec![Rename {
                peer: id(1),
                name: "zoe".into(),
            }],
        ),
        ("rename to the same is nothing", idle(), "e enter", vec![]),
        ("remove asks: no", idle(), "shift-d n", vec![]),
        ("remove asks: esc is no", idle(), "shift-d esc y", vec![]),
        (
            "remove asks: enter is nothing",
            idle(),
            "shift-d enter space",
            vec![],
        ),
        (
            "remove asks: yes",
            idle(),
            "shift-d y",
            vec![Remove { peer: id(1) }],
        ),
        (
            "block asks",
            idle(),
            "b y",
            vec![Block {
                peer: id(1),
                to: Switch::On,
            }],
        ),
        (
            "unblock does not ask",
            idle(),
            "shift-g b",
            vec![Block {
                peer: id(7),
                to: Switch::Off,
            }],
        ),
        (
            "clear history asks",
            idle(),
            "3 shift-c y",
            vec![ClearHistory, Status],
        ),
        ("own engine ends with the screen", idle(), "q", vec![Quit]),
        (
            "call keys do nothing without a call",
            idle(),
            "x x h v shift-v [ ]",
            vec![],
        ),
        (
            "one press ends ringing there",
            dialling(),
            "x",
            vec![Hangup { call: first }],
        ),
        ("one press ends no talk", in_call(), "x", vec![]),
        (
            "two presses do",
            in_call(),
            "x x",
            vec![Hangup { call: first }],
        ),
        (
            "another key between takes it back",
            in_call(),
            "x m x",
            vec![Mute { to: Switch::Toggle }],
        ),
        (
            "mute from any pane",
            in_call(),
            "1 m",
            vec![Mute { to: Switch::Toggle }],
        ),
        ("hold", in_call(), "h", vec![hold(1, Switch::On)]),
        ("hold only in the call pane", in_call(), "1 h", vec![]),
        ("resume", held(), "h", vec![hold(1, Switch::Off)]),
        (
            "words match",
            in_call(),
            "v",
            vec![Verify {
                peer: id(2),
                matches: true,
            }],
        ),
        (
            "words differ",
            in_call(),
            "shift-v",
            vec![Verify {
                peer: id(2),
                matches: false,
            }],
        ),
        (
            "loudspeaker",
            in_call(),
            "] ]",
            vec![Volume { gain: 1.1 }, Volume { gain: 1.2 }],
        ),
        ("microphone", in_call(), "{", vec![Gain { gain: 0.9 }]),
        (
            "text in a call goes to the other end",
            in_call(),
            "shift-t a enter",
            vec![Text {
                peer: id(2),
                text: "a".into(),
            }],
        ),
        ("a second call asks", in_call(), "1 enter", vec![]),
        (
            "and holds the first",
            in_call(),
            "1 enter y",
            vec![hold(1, Switch::On), dial(1, false)],
        ),
        ("quitting in a call asks", in_call(), "q", vec![]),
        ("quitting: no", in_call(), "q n", vec![]),
        ("quitting: yes", in_call(), "q y", vec![Quit]),
        ("esc ends nothing", in_call(), "esc esc esc esc", vec![]),
        ("answer", ringing(idle()), "a", vec![answer(false)]),
        (
            "answer muted",
            ringing(idle()),
            "shift-a",
            vec![answer(true)],
        ),
        (
            "decline",
            ringing(idle()),
            "d",
            vec![Decline { call: anna }],
        ),
        ("ignore", ringing(idle()), "i", vec![Ignore { call: anna }]),
        (
            "an ignored call gives its keys back",
            ringing(idle()),
            "i i",
            vec![
                Ignore { call: anna },
                Invite {
                    lifetime: 604_800,
                    uses: 1,
                    public: false,
                },
            ],
        ),
        (
            "no enter, no space, no esc",
            ringing(idle()),
            "enter space esc c x",
            vec![],
        ),
        (
            "block the caller asks",
            ringing(idle()),
            "b y",
            vec![
                Decline { call: anna },
                Block {
                    peer: id(1),
                    to: Switch::On,
                },
            ],
        ),
        (
            "the second call is answered by holding the first",
            ringing(in_call()),
            "a",
            vec![hold(1, Switch::On), answer(false)],
        ),
        (
            "declining it leaves the first",
            ringing(in_call()),
            "d",
            vec![Decline { call: anna }],
        ),
        (
            "mute works while it rings",
            ringing(in_call()),
            "m",
            vec![Mute { to: Switch::Toggle }],
        ),
        (
            "switch",
            two_calls(),
            "w",
            vec![hold(7, Switch::On), hold(1, Switch::Off)],
        ),
        (
            "keys are for the call that is talked in",
            two_calls(),
            "x x",
            vec![Hangup { call: anna }],
        ),
    ];
    for (what, mut model, keys, wanted) in cases {
        assert_eq!(commands(press(&mut model, keys)), wanted, "{what}: {keys}");
    }
}

#[test]
fn typing_cannot_answer() {
    let mut model = idle();
    event(
        &mut model,
        call_event(7, 1, "anna", Direction::In, CallState::Ringing),
    );
    // Seven keys in 700 ms: 100, 200 ... 600 ms are too early.
    assert_eq!(commands(press(&mut model, "a d i b shift-a a")), []);
    wait(&mut model, 100);
    assert_eq!(commands(press(&mut model, "a")).len(), 1);
}

#[test]
fn a_field_keeps_its_keys_and_the_guard_begins_when_it_closes() {
    let mut model = idle();
    press(&mut model, "shift-t");
    event(
        &mut model,
        call_event(7, 1, "anna", Direction::In, CallState::Ringing),
    );
    wait(&mut model, 5_000);
    assert_eq!(commands(press(&mut model, "d a")), []);
    assert!(matches!(&model.popup, Some(Popup::Prompt(prompt)) if prompt.field.text() == "da"));
    assert_eq!(
        commands(press(&mut model, "enter a")),
        [Command::Text {
            peer: id(1),
            text: "da".into()
        }]
    );
    wait(&mut model, 700);
    assert_eq!(commands(press(&mut model, "a")).len(), 1);
}

#[test]
fn an_ignored_call_can_still_be_answered_in_the_call_pane() {
    let mut model = ringing(idle());
    press(&mut model, "i 2");
    wait(&mut model, 700);
    let answer = Command::Answer {
        call: Some(CallId(7)),
        muted: false,
    };
    assert_eq!(commands(press(&mut model, "a")), [answer]);
}

#[test]
fn releases_are_no_presses() {
    let mut model = idle();
    let mut key = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
    key.kind = KeyEventKind::Release;
    assert_eq!(update(&mut model, Msg::Key(key)), []);
}

#[test]
fn the_second_press_must_come_soon() {
    let mut model = in_call();
    press(&mut model, "x");
    wait(&mut model, 2_000);
    assert_eq!(commands(press(&mut model, "x")), []);
    let mut model = idle();
    assert_eq!(press(&mut model, "ctrl-c"), []);
    wait(&mut model, 3_000);
    assert_eq!(press(&mut model, "ctrl-c"), []);
    assert!(press(&mut model, "ctrl-c").contains(&Effect::Quit));
}

#[test]
fn leaving_an_attached_screen_leaves_the_daemon() {
    let mut model = in_call();
    model.attached = true;
    assert_eq!(press(&mut model, "q"), []);
    assert_eq!(press(&mut model, "y"), [Effect::Quit]);
}

#[test]
fn suspending_is_refused_while_it_would_freeze_a_call() {
    assert_eq!(press(&mut idle(), "ctrl-z"), [Effect::Suspend]);
    let mut model = in_call();
    assert_eq!(press(&mut model, "ctrl-z"), []);
    assert!(
        model
            .notice
            .as_ref()
            .is_some_and(|notice| notice.text.contains("daemon"))
    );
    model.attached = true;
    assert_eq!(press(&mut model, "ctrl-z"), [Effect::Suspend]);
}

fn an_invite() -> String {
    let identity = Identity::from_seed(&Seed::from_bytes([42; 32]));
    let device = twocan::peer::DeviceKeys::from_secrets([1; 32], [2; 32]);
    let invite = Invite {
        id: identity.id(),
        device: device.x_public(),
        token: [7; 16],
        expires: 1_800_000_000,
        uses: 1,
        claimed_by: Vec::new(),
        public: false,
        hints: vec!["192.0.2.1:7000".parse().expect("an address")],
    };
    invite.to_line()
}

#[test]
fn a_pasted_invite_opens_the_field_and_becomes_a_contact() {
    let mut model = idle();
    let line = an_invite();
    let pasted = format!("  {line}\n");
    update(&mut model, Msg::Paste(pasted));
    assert!(
        matches!(&model.popup, Some(Popup::Prompt(prompt)) if prompt.kind == PromptKind::AddLine)
    );
    let sent = commands(press(&mut model, "enter z o e enter"));
    assert_eq!(
        sent,
        [Command::AddContact {
            line: line.clone(),
            name: Some("zoe".into())
        }]
    );
    // Refused: what was typed comes back, with the reason.
    let asked = model.next_request - 1;
    let refusal = Refusal {
        trouble: Trouble::Usage,
        why: "this invite has expired".into(),
    };
    reply(&mut model, asked, Err(refusal));
    let Some(Popup::Prompt(prompt)) = &model.popup else {
        panic!("the field is open again: {:?}", model.popup);
    };
    assert_eq!(
        (prompt.field.text(), prompt.trouble.as_deref()),
        (&*line, Some("this invite has expired"))
    );
}

#[test]
fn a_wrong_invite_is_told_at_once_and_nothing_pasted_runs_as_keys() {
    let mut model = idle();
    let mut line = an_invite();
    line.replace_range(30..31, if &line[30..31] == "q" { "p" } else { "q" });
    update(&mut model, Msg::Paste(line));
    assert_eq!(commands(press(&mut model, "enter")), []);
    let Some(Popup::Prompt(prompt)) = &model.popup else {
        panic!("the field stays open");
    };
    assert!(
        prompt
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.contains("31")),
        "{:?}",
        prompt.trouble
    );
    let mut model = idle();
    assert_eq!(update(&mut model, Msg::Paste("q\nDy\n".into())), []);
    assert_eq!(model.popup, None);
}

#[test]
fn an_invite_is_shown_and_copied() {
    let mut model = idle();
    press(&mut model, "i");
    let asked = model.next_request - 1;
    let done = Done::Invite {
        line: "twocan:1:abc".into(),
        expires: at("2026-11-10T12:00:00Z"),
    };
    assert_eq!(
        reply(&mut model, asked, Ok(done)),
        [Effect::Copy("twocan:1:abc".into())]
    );
    assert_eq!(
        press(&mut model, "y"),
        [Effect::Copy("twocan:1:abc".into())]
    );
    press(&mut model, "esc");
    assert_eq!(model.popup, None);
}

#[test]
fn the_first_start_goes_from_sound_to_invite() {
    let mut model = twocan::tui::model(&twocan::tui::Options {
        first_run: true,
        ..Default::default()
    })
    .expect("keys");
    update(&mut model, Msg::Start);
    reply(&mut model, 1, Ok(Done::Status(Box::new(status()))));
    assert!(matches!(model.popup, Some(Popup::Wizard(_))));
    update(&mut model, Msg::SoundTest { mic: 0.5 });
    assert!(model.sound_test.is_some());
    let effects = press(&mut model, "enter");
    assert!(effects.contains(&Effect::EndSoundTest));
    assert_eq!(
        commands(effects),
        [Command::Invite {
            lifetime: 604_800,
            uses: 1,
            public: false,
        }]
    );
}

#[test]
fn a_call_that_ends_says_how_and_asks_for_the_history() {
    let mut model = in_call();
    let mut end = call_event(1, 2, "bo", Direction::Out, CallState::Ended);
    if let Event::Call { why, .. } = &mut end {
        *why = Some(Why::PeerHungUp);
    }
    assert_eq!(commands(event(&mut model, end)), [Command::Status]);
    assert!(model.calls.is_empty());
    assert_eq!(model.pane, Pane::Contacts);
    let said = model.notice.as_ref().map(|notice| notice.text.as_str());
    assert_eq!(said, Some("bo: the other side hung up after 14:03"));
}

#[test]
fn incoming_calls_missed_calls_and_texts_call_attention() {
    let mut model = idle();
    let rings = event(
        &mut model,
        call_event(7, 1, "anna", Direction::In, CallState::Ringing),
    );
    assert_eq!(rings, [Effect::Notify("anna calls".into())]);
    let mut end = call_event(7, 1, "anna", Direction::In, CallState::Ended);
    if let Event::Call { why, .. } = &mut end {
        *why = Some(Why::PeerCancelled);
    }
    assert!(event(&mut model, end).contains(&Effect::Notify("missed call from anna".into())));
    let text = Event::Text {
        peer: SafeText::name("bo"),
        id: peer(2),
        text: SafeText::line("hi"),
        sent: false,
    };
    assert_eq!(event(&mut model, text), [Effect::Notify("bo: hi".into())]);
}

#[test]
fn lost_events_bring_a_fresh_status_that_keeps_what_only_the_screen_knows() {
    let mut model = in_call();
    assert_eq!(
        commands(event(&mut model, Event::Resync)),
        [Command::Status]
    );
    let asked = model.next_request - 1;
    let view = CallView {
        call: CallId(1),
        peer: SafeText::name("bo"),
        id: peer(2),
        direction: Direction::Out,
        state: CallState::Active,
        since: noon(),
        answered: Some(noon()),
        held_here: false,
        held_there: false,
        recording_here: false,
        recording_there: false,
        path: Some(PathKind::Direct),
        words: None,
        verified: true,
    };
    reply(
        &mut model,
        asked,
        Ok(Done::Status(Box::new(Status {
            calls: vec![view],
            ..status()
        }))),
    );
    assert_eq!(model.calls[0].past.len(), 60);
    assert!(model.calls[0].verified);
}

/// Help, footer and table agree: what the help lists works, and nothing works that it does not list.
#[test]
fn help_lists_exactly_the_keys_that_work() {
    let keymap = idle().look.keymap;
    for situation in Situation::ALL {
        let listed: Vec<_> = keymap.valid(situation).map(|entry| entry.action).collect();
        for entry in TABLE {
            for key in entry.keys {
                let key = crokey::parse(key).expect("a key");
                let found = keymap.find(key, situation).map(|found| found.0);
                if let Some(found) = found {
                    assert!(
                        listed.contains(&found),
                        "{found:?} works in {situation:?} but is not listed"
                    );
                }
                if listed.contains(&entry.action) {
                    assert_eq!(found, Some(entry.action), "{key} in {situation:?}");
                }
            }
        }
    }
}

#[test]
fn the_help_overlay_shows_every_valid_row() {
    let mut model = in_call();
    press(&mut model, "?");
    let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(120, 60))
        .expect("a test terminal");
    terminal
        .draw(|frame| twocan::tui::view::view(&model, frame))
        .expect("drawn");
    let shown = terminal.backend().to_string();
    for entry in model.look.keymap.valid(Situation::Call) {
        assert!(
            shown.contains(entry.help),
            "{} is missing:\n{shown}",
            entry.name
        );
    }
}
