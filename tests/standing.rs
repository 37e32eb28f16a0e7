//! What contacts see of the owner, what the screen says of the network, strangers who ask, and who
//! has become a contact.

mod screen;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use screen::*;
use twocan::api::*;
use twocan::tui::glyphs::UNICODE;
use twocan::tui::model::{Model, Pane};
use twocan::tui::popup::Popup;
use twocan::tui::update::Effect;
use twocan::tui::view::{presence_word, view};

fn commands(effects: &[Effect]) -> Vec<Command> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send(request) => Some(request.command.clone()),
        _ => None,
    });
    sent.collect()
}

fn notices(effects: &[Effect]) -> usize {
    let told = |effect: &&Effect| matches!(effect, Effect::Notify(_));
    effects.iter().filter(told).count()
}

fn picture(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test terminal");
    terminal.draw(|frame| view(model, frame)).expect("drawn");
    terminal.backend().to_string()
}

fn header(model: &Model, width: u16) -> String {
    let all = picture(model, width, 24);
    all.lines().next().unwrap_or_default().to_owned()
}

fn not_to_be_disturbed() -> Model {
    let mut status = online();
    status.standing = Standing::DoNotDisturb;
    screen(UNICODE, status)
}

fn rings(call: u32) -> Event {
    call_event(call, 1, "anna", Direction::In, CallState::Ringing)
}

#[test]
fn each_key_of_the_choice_announces_its_own() {
    let cases = [
        ("s a", Standing::Available),
        ("s w", Standing::Away),
        ("s d", Standing::DoNotDisturb),
        ("s i", Standing::Invisible),
    ];
    for (keys, standing) in cases {
        let mut model = screen(UNICODE, online());
        let effects = press(&mut model, keys);
        assert_eq!(commands(&effects), [Command::Announce { standing }]);
        assert_eq!(model.popup, None);
        assert_eq!(model.standing, Standing::Available, "not before it is true");
        event(&mut model, Event::Standing { standing });
        assert_eq!(model.standing, standing);
    }
    let mut model = screen(UNICODE, online());
    assert_eq!(commands(&press(&mut model, "s esc")), []);
    assert_eq!(model.popup, None);
}

#[test]
fn while_nobody_is_to_be_disturbed_calls_make_no_sound_and_take_no_keys() {
    let mut model = not_to_be_disturbed();
    assert_eq!(notices(&event(&mut model, rings(1))), 0);
    wait(&mut model, 2_000);
    assert!(picture(&model, 80, 24).contains("anna calls, without a sound: 2 shows it"));
    assert_eq!(commands(&press(&mut model, "d")), [], "no key of a call");
    press(&mut model, "2");
    assert_eq!(commands(&press(&mut model, "d")), [], "typed blindly");
    wait(&mut model, 800);
    let declined = Command::Decline {
        call: Some(CallId(1)),
    };
    assert_eq!(commands(&press(&mut model, "d")), [declined]);

    let mut model = not_to_be_disturbed();
    event(&mut model, rings(2));
    let mut over = call_event(2, 1, "anna", Direction::In, CallState::Ended);
    if let Event::Call { why, .. } = &mut over {
        *why = Some(Why::PeerCancelled);
    }
    let effects = event(&mut model, over);
    assert_eq!(notices(&effects), 0);
    assert_eq!(commands(&effects), [Command::Status], "for the history");

    let mut model = screen(UNICODE, online());
    assert_eq!(
        notices(&event(&mut model, rings(1))),
        1,
        "else it does ring"
    );
}

#[test]
fn a_call_that_came_quietly_can_be_taken_during_another() {
    let mut model = not_to_be_disturbed();
    talking(&mut model);
    event(&mut model, rings(7));
    wait(&mut model, 2_000);
    assert_eq!(model.pane, Pane::Call);
    assert_eq!(commands(&press(&mut model, "a")), []);
    press(&mut model, "2");
    wait(&mut model, 800);
    let answered = commands(&press(&mut model, "a"));
    let answer = Command::Answer {
        call: Some(CallId(7)),
        muted: false,
    };
    assert_eq!(answered.last(), Some(&answer));
}

#[test]
fn requests_come_without_a_sound_and_go_by_a_key() {
    let mut model = screen(UNICODE, online());
    let request = request(30, "Zoe", "2026-11-03T12:00:00Z");
    let new = Event::Request {
        request: request.clone(),
        removed: false,
    };
    let effects = event(&mut model, new.clone());
    assert_eq!((effects.len(), &model.notice), (0, &None));
    event(&mut model, new);
    assert_eq!(model.requests.len(), 3, "once each");
    assert!(picture(&model, 80, 24).contains("Contacts 7, 3 ask (R)"));

    let effects = press(&mut model, "shift-r a");
    let id = |number| peer(number).to_string();
    assert_eq!(commands(&effects), [Command::Accept { peer: id(30) }]);
    let gone = Event::Request {
        request,
        removed: true,
    };
    event(&mut model, gone);
    let dismiss = |number| Command::Dismiss { peer: id(number) };
    assert_eq!(commands(&press(&mut model, "d")), [dismiss(21)]);
    assert_eq!(commands(&press(&mut model, "down d")), [dismiss(22)]);
    press(&mut model, "esc");
    assert_eq!(model.popup, None);
}

#[test]
fn the_cursor_stays_on_the_same_stranger() {
    let mut model = screen(UNICODE, online());
    press(&mut model, "shift-r");
    for number in 40..90 {
        let request = request(number, "spam", "2026-11-03T12:00:00Z");
        let removed = false;
        event(&mut model, Event::Request { request, removed });
        let Some(Popup::Requests { at: Some(at) }) = model.popup else {
            panic!("{:?}", model.popup);
        };
        let listed = model.requests.iter().any(|request| request.id == at);
        assert!(listed, "the cursor is on nobody");
        assert!(number > 57 || at == peer(21), "{number} moved the cursor");
    }
    assert_eq!(model.requests.len(), 20);
    for number in 0..=255 {
        let request = request(number, "", "2026-11-03T12:00:00Z");
        let removed = true;
        event(&mut model, Event::Request { request, removed });
    }
    assert_eq!(model.popup, Some(Popup::Requests { at: None }));
    assert_eq!(commands(&press(&mut model, "a d")), []);
}

#[test]
fn the_invite_view_offers_one_for_strangers() {
    let mut model = screen(UNICODE, online());
    press(&mut model, "i");
    let invite = |line: &str| Done::Invite {
        line: line.into(),
        expires: noon(),
    };
    let asked = model.next_request - 1;
    reply(&mut model, asked, Ok(invite("twocan:1:friend")));
    let sent = commands(&press(&mut model, "p"));
    assert!(
        matches!(sent[..], [Command::Invite { public: true, .. }]),
        "{sent:?}"
    );
    let refusal = Refusal {
        trouble: Trouble::Other,
        why: "not now".into(),
    };
    let asked = model.next_request - 1;
    reply(&mut model, asked, Err(refusal));
    let shown = picture(&model, 80, 24);
    assert!(
        shown.contains("not now") && shown.contains("twocan:1:friend"),
        "{shown}"
    );
    press(&mut model, "p");
    let asked = model.next_request - 1;
    reply(&mut model, asked, Ok(invite("twocan:1:stranger")));
    let shown = picture(&model, 80, 24);
    assert!(shown.contains("Good for anybody") && shown.contains("twocan:1:stranger"));
}

#[test]
fn presence_says_no_more_than_is_known() {
    let mut model = screen(UNICODE, online());
    let word = |model: &Model, number| {
        let contact = model.contact(peer(number)).expect("a contact");
        presence_word(model, contact)
    };
    assert_eq!(word(&model, 1), "connected");
    assert_eq!(word(&model, 2), "available");
    assert_eq!(word(&model, 3), "away");
    assert_eq!(word(&model, 4), "2 days ago");
    assert_eq!(word(&model, 5), "do not disturb");
    assert_eq!(word(&model, 6), "waiting");
    reply(&mut model, 1, Ok(Done::Status(Box::new(offline()))));
    for number in 1..=5 {
        assert_eq!(word(&model, number), "not known", "of contact {number}");
    }
}

#[test]
fn the_header_tells_the_network_in_the_room_there_is() {
    let mut model = screen(UNICODE, offline());
    assert!(header(&model, 80).contains("offline: none of the 12 nodes we know answers"));
    assert!(header(&model, 40).contains("offline"));
    assert!(picture(&model, 20, 3).contains("offline"));
    let network = network(NetworkState::Reachable, 1, "");
    event(&mut model, Event::Network { network });
    assert!(header(&model, 120).contains("available · reachable by 1 relay "));
    assert!(header(&model, 40).contains("reachable"));
    assert!(!picture(&model, 20, 3).contains("offline"));
    let standing = Standing::Invisible;
    event(&mut model, Event::Standing { standing });
    assert!(header(&model, 40).contains("invisible"));
}

#[test]
fn a_way_by_a_relay_is_called_so() {
    let mut model = screen(UNICODE, online());
    talking(&mut model);
    let by_relay = Event::Path {
        call: CallId(1),
        path: PathKind::Circuit,
        rtt_ms: 90.0,
    };
    event(&mut model, by_relay);
    for (width, height) in [(120, 40), (80, 24), (40, 12)] {
        let shown = picture(&model, width, height);
        assert!(shown.contains("by a relay"), "{width}x{height}:\n{shown}");
    }
}

#[test]
fn only_who_came_by_our_invite_is_said_to_have() {
    let becomes = |model: &mut Model, number, name, pending| {
        model.notice = None;
        let contact = ContactView {
            pending,
            ..contact(number, name, Presence::Connected)
        };
        let removed = false;
        event(model, Event::Contact { contact, removed });
        model.notice.as_ref().map(|notice| notice.text.clone())
    };
    let mut model = screen(
        UNICODE,
        Status {
            contacts: Vec::new(),
            ..online()
        },
    );
    let said = becomes(&mut model, 1, "anna", false);
    assert_eq!(said.as_deref(), Some("anna joined by your invite"));
    assert_eq!(becomes(&mut model, 1, "anne", false), None);

    // As when another program on this phone opens an invite.
    assert_eq!(becomes(&mut model, 2, "qxs6mdeh", true), None);
    let said = becomes(&mut model, 2, "ben", false);
    assert_eq!(said.as_deref(), Some("ben is a contact now"));
}
