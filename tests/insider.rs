//! What somebody can do who is let in: a hostile contact, the holder of an invite, a phone that
//! claims to be another one.

mod common;

use std::time::Duration;

use common::link::{KEYS, Link, SIGNAL, segment};
use common::manual::Manual;
use common::noise::Key;
use common::{EPOCH, World};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use twocan::api::{CallState, Command, Event, Why};
use twocan::peer::{DeviceCert, SafeText};
use twocan::phone::Settings;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

const INVITE: u8 = 3;
const RINGING: u8 = 4;
const ANSWER: u8 = 5;
const CONFIRM: u8 = 6;
const HOLD: u8 = 7;
const TEXT: u8 = 8;

/// Ring, and then everything that might talk the phone into answering by itself.
#[test]
fn a_ringing_phone_stays_silent_whatever_the_caller_says() {
    let (mut world, mut mallory) = bo_and_mallory(1);
    let mut link = mallory.call(&mut world, 1);
    ring(&mut world, &mut link);
    for round in 0..50u8 {
        link.say(&mut world, ANSWER, &[&[7; 16][..], &[round; 32]].concat());
        link.say(&mut world, CONFIRM, &[9; 32]);
        link.say(&mut world, HOLD, &[round & 1]);
        link.say(&mut world, RINGING, &[7; 16]);
        link.say(&mut world, INVITE, &[&[round; 16][..], &[1; 32]].concat());
        for seq in 0..20 {
            link.send_in(&mut world, 1, &voice(seq));
        }
        link.settle(&mut world, 20 * MILLI);
    }
    link.settle(&mut world, SECOND);
    let packets = link.opened;
    link.settle(&mut world, 5 * SECOND);
    let packets = link.opened - packets;
    assert!(packets < 10, "{packets} in 5 s: signs of life, no stream");
    assert_eq!(world.state(1), Some(CallState::Ringing));
    let bo = &world.sides[1];
    assert_eq!((bo.mic_opens, bo.mic), (0, None));
    assert!(bo.heard.is_empty() && link.voices == 0);
}

#[test]
fn an_answer_from_nobody_we_rang_opens_nothing() {
    let (mut world, mut mallory) = bo_and_mallory(2);
    let mut link = mallory.call(&mut world, 1);
    for id in 0..10u8 {
        link.say(&mut world, ANSWER, &[&[id; 16][..], &[1; 32]].concat());
        link.say(&mut world, CONFIRM, &[1; 32]);
        link.send_in(&mut world, 1, &voice(1));
    }
    link.settle(&mut world, 5 * SECOND);
    assert_eq!(world.sides[1].mic_opens, 0);
    assert!(calls(&world).is_empty() && link.voices == 0);
    let opened = link.opened;
    assert!(opened < 60, "{opened}: no stream of voice");
}

/// The right answer to our own call, before it rang there, is an answer. One to another call is not.
#[test]
fn only_the_answer_to_our_own_call_starts_it() {
    let (mut world, mut mallory) = bo_and_mallory(3);
    dial_mallory(&mut world);
    let mut link = mallory.pick_up(&mut world, 1);
    let invite = link.said(INVITE).pop().expect("INVITE");
    link.say(&mut world, ANSWER, &[&[8; 16][..], &[1; 32]].concat());
    link.say(&mut world, HOLD, &[0]);
    link.say(&mut world, CONFIRM, &[1; 32]);
    link.send_in(&mut world, 1, &voice(1));
    link.settle(&mut world, SECOND);
    assert_eq!(world.sides[1].mic_opens, 0);
    assert!(world.sides[1].heard.is_empty());
    link.say(&mut world, ANSWER, &[&invite[..16], &[1; 32]].concat());
    link.settle(&mut world, SECOND);
    assert_eq!(
        world.sides[1].mic_opens, 1,
        "or the test above shows nothing"
    );
    assert!(link.voices > 30);
    let nonce = link.said(CONFIRM).pop().expect("CONFIRM");
    let ids = [&world.sides[1].id, &mallory.identity.id()];
    let devices = [common::device(2).x_public(), mallory.device.x_public()];
    let words = link.words(
        ids,
        devices,
        &[nonce.try_into().expect("32 bytes"), [1; 32]],
    );
    assert_eq!(world.words(1), Some(words));
}

#[test]
fn a_caller_who_reveals_another_nonce_than_he_committed_to_is_cut_off() {
    let (mut world, mut mallory) = bo_and_mallory(4);
    let mut link = mallory.call(&mut world, 1);
    ring(&mut world, &mut link);
    world.answer(1);
    link.settle(&mut world, 100 * MILLI);
    link.say(&mut world, CONFIRM, &[3; 32]);
    link.settle(&mut world, 100 * MILLI);
    assert_eq!(world.why(1), Some(Why::WordsDiffer));
    assert_eq!(world.sides[1].mic, None);
    assert_eq!(world.words(1), None);
    assert_eq!(link.byes.first(), Some(&6));
}

#[test]
fn nothing_but_keys_is_heard_before_the_quantum_safe_keys_stand() {
    let (mut world, mut mallory) = bo_and_mallory(5);
    let mut link = mallory.connect(&mut world, 1).expect("let in");
    let presence = world.sides[1].events.len();
    link.say(&mut world, INVITE, &[7; 48]);
    link.say(&mut world, TEXT, b"\x01\0\0\0hello");
    link.send_in(&mut world, 0, &voice(1));
    link.send(&mut world, &[9, 1, 1]);
    link.settle(&mut world, 2 * SECOND);
    assert_eq!(world.sides[1].events.len(), presence);
    assert!(calls(&world).is_empty());
    let mut link = mallory.call(&mut world, 1);
    ring(&mut world, &mut link);
}

/// Signs of life do not keep a session that never comes to its keys.
#[test]
fn a_session_without_keys_does_not_stay() {
    let (mut world, mut mallory) = bo_and_mallory(18);
    let mut link = mallory.connect(&mut world, 1).expect("let in");
    for second in 0..40 {
        let sessions = world.sides[1].phone.load().sessions;
        assert_eq!(sessions, usize::from(second < 30), "after {second} s");
        link.send(&mut world, &[5, 4, 1, 2, 3, 4]);
        world.run(SECOND);
    }
}

#[test]
fn a_bent_ciphertext_never_makes_a_call() {
    let (mut world, mut mallory) = bo_and_mallory(6);
    mallory.bends_ciphertext = true;
    dial_mallory(&mut world);
    let mut link = mallory.pick_up(&mut world, 1);
    assert!(link.said(INVITE).is_empty());
    link.settle(&mut world, 30 * SECOND);
    assert_eq!(world.why(1), Some(Why::Unreachable));
    assert_eq!(world.sides[1].mic_opens, 0);
    assert!(link.unknown > 0, "it did try the keys that nobody else has");
    assert_eq!(world.sides[1].phone.load().sessions, 0);
    assert_eq!(world.sides[1].phone.deadline(), None);
}

#[test]
fn streams_that_break_the_framing_end_that_session_and_no_other() {
    let oversized = [2049u16, 4096, 0xffff].map(|length| length.to_le_bytes().to_vec());
    for (number, mut bytes) in oversized.into_iter().chain([vec![0, 0]]).enumerate() {
        let (mut world, mut mallory) = bo_and_mallory(7);
        world.befriend(0, 1);
        world.talk(0, 1);
        let mut link = mallory.call(&mut world, 1);
        let lane = if number % 2 == 0 { SIGNAL } else { KEYS };
        bytes.resize(3000, 7);
        assert_eq!(world.sides[1].phone.load().sessions, 2);
        link.say_bytes(&mut world, lane, &bytes);
        assert_eq!(world.sides[1].phone.load().sessions, 1);
        world.run(2 * SECOND);
        assert_eq!(world.state(1), Some(CallState::Active));
        let heard = &world.sides[1].heard;
        assert!(heard.windows(2).all(|two| two[0].2.seq + 1 == two[1].2.seq));
    }
}

/// Well sealed nonsense, in every state that a caller can bring the phone to.
#[test]
fn sealed_garbage_never_opens_the_microphone_or_makes_the_phone_grow() {
    for (number, ringing) in [(8, false), (9, true)] {
        let (mut world, mut mallory) = bo_and_mallory(number);
        let mut rng = ChaCha20Rng::from_seed([number; 32]);
        let mut sessions = 0;
        for _ in 0..12 {
            world.run(3 * SECOND);
            let mut link = mallory.call(&mut world, 1);
            if ringing {
                link.say(&mut world, INVITE, &[7; 48]);
            }
            for _ in 0..400 {
                let epoch = usize::from(!rng.next_u32().is_multiple_of(8));
                let plain = garbage(&mut rng);
                link.send_in(&mut world, epoch, &plain);
                sessions = sessions.max(world.sides[1].phone.load().sessions);
            }
            link.settle(&mut world, 100 * MILLI);
        }
        let bo = &world.sides[1];
        assert_eq!(bo.mic_opens, 0);
        assert!(bo.heard.is_empty() && sessions <= 4, "{sessions} sessions");
        // Whoever has rung so often has to wait before he rings again.
        world.run(310 * SECOND);
        let load = world.sides[1].phone.load();
        assert_eq!((load.sessions, load.calls, load.half_open), (0, 0, 0));
        assert_eq!(world.sides[1].phone.deadline(), None);
        let mut link = mallory.call(&mut world, 1);
        ring(&mut world, &mut link);
    }
}

#[test]
fn texts_and_names_full_of_tricks_come_out_tame() {
    let (mut world, mut mallory) = bo_and_mallory(10);
    let mut link = mallory.call(&mut world, 1);
    let nasty =
        "\u{1b}[2J\u{202e}evil\u{200b}\0\n\r\u{9b}31m e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}";
    let text = [&[1, 0, 0, 0], nasty.as_bytes(), &[0xff, 0xfe]].concat();
    link.say(&mut world, TEXT, &text);
    let name = [&[nasty.len() as u8], nasty.as_bytes(), &[0]].concat();
    link.say(&mut world, 10, &name);
    link.settle(&mut world, SECOND);
    let told = world.sides[1]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Text { text, .. } => Some(text.to_string()),
            Event::Contact { contact, .. } => {
                contact.calls_itself.as_ref().map(SafeText::to_string)
            }
            _ => None,
        });
    let told: Vec<String> = told.collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for text in told {
        let wild = |c: char| c.is_control() || "\u{202e}\u{200b}".contains(c);
        assert!(text.contains("evil") && !text.contains(wild), "{text:?}");
        assert!(text.matches('\u{301}').count() <= 4);
    }
}

/// An invite lets its holder ask to be added, and do nothing else.
#[test]
fn the_holder_of_an_invite_cannot_ring_or_write() {
    let mut world = World::friends(11);
    world.invite(1);
    let token = world.sides[1].invites.values().next().expect("kept").token;
    let mut mallory = Manual::new(9);
    mallory.secret = token.to_vec();
    let mut link = mallory.call(&mut world, 1);
    link.say(&mut world, INVITE, &[7; 48]);
    link.say(&mut world, TEXT, b"\x01\0\0\0hello");
    link.say(&mut world, ANSWER, &[7; 48]);
    link.settle(&mut world, 2 * SECOND);
    assert!(world.sides[1].events.is_empty());
    assert!(link.said(RINGING).is_empty());
}

/// However many names the holder of an invite goes by, contacts still get through.
#[test]
fn a_crowd_that_shares_an_invite_keeps_no_contact_out() {
    let mut world = World::friends(12);
    world.invite(1);
    let token = world.sides[1].invites.values().next().expect("kept").token;
    let mut crowd = Vec::new();
    for number in 20..70 {
        let mut guest = Manual::new(number);
        guest.secret = token.to_vec();
        guest.address = ([10, number, 1, 1], 9).into();
        if let Some(mut link) = guest.connect(&mut world, 1) {
            link.send(&mut world, &[5, 4, 1, 2, 3, 4]);
            crowd.push(link);
        }
        world.run(200 * MILLI);
    }
    assert!(crowd.len() >= 40, "{} were let in", crowd.len());
    assert!(world.sides[1].phone.load().sessions <= 8);
    world.dial(0, 1);
    let rings = world.run_until(SECOND, |w| w.state(1) == Some(CallState::Ringing));
    assert!(rings);
}

#[test]
fn a_phone_with_somebody_elses_or_a_bad_certificate_reaches_nobody() {
    for (name, doctor) in doctored_certificates() {
        let mut world = World::friends(13);
        world.restart_with(0, doctor);
        world.sides[1].events.clear();
        world.dial(0, 1);
        world.run(30 * SECOND);
        assert_eq!(world.why(0), Some(Why::Unreachable), "{name}");
        assert!(world.sides[1].events.is_empty(), "{name}");
        assert!(world.sides[0].mic_opens + world.sides[1].mic_opens == 0);
    }
}

#[test]
fn a_call_to_a_phone_with_somebody_elses_or_a_bad_certificate_is_stopped() {
    for (name, doctor) in doctored_certificates() {
        let mut world = World::friends(14);
        world.restart_with(1, doctor);
        world.sides[1].events.clear();
        world.dial(0, 1);
        world.run(2 * SECOND);
        assert_eq!(world.why(0), Some(Why::IdentityMismatch), "{name}");
        assert!(calls(&world).is_empty(), "{name} rang");
        assert!(world.sides[0].mic_opens + world.sides[1].mic_opens == 0);
    }
    let mut world = World::friends(14);
    world.restart_with(1, |_| {});
    world.dial(0, 1);
    world.run(2 * SECOND);
    assert_eq!(world.state(1), Some(CallState::Ringing), "with its own");
}

/// The dial secret and the device are right, but the person is not who was meant.
#[test]
fn the_identity_that_is_dialled_is_part_of_the_handshake() {
    let mut world = World::friends(15);
    let wrong = common::identity(9).id();
    world.restart_with(0, |settings| {
        let mut contact = settings.contacts[0].clone();
        contact.id = wrong;
        contact.petname = SafeText::name("mallory");
        settings.contacts = vec![contact];
    });
    world.sides[1].events.clear();
    let quiet = world.wire.len();
    dial_mallory_from(&mut world, 0);
    world.run(30 * SECOND);
    assert_eq!(world.why(0), Some(Why::Unreachable));
    assert!(world.sides[1].events.is_empty());
    let from_bo = world.sides[1].address;
    assert!(world.wire[quiet..].iter().all(|seen| seen.from != from_bo));
}

/// A contact shows another contact's certificate, or his own with any one bit changed.
#[test]
fn every_bit_of_a_certificate_counts() {
    let (mut world, mut mallory) = bo_and_mallory(16);
    let own = mallory.cert.clone();
    let annas = common::identity(1);
    let unix = EPOCH as u32;
    let others = annas.certify(&common::device(1), unix, unix + 1000, 0);
    let stolen = annas.certify(&mallory.device, unix, unix + 1000, 0);
    let mut bad = vec![others.to_bytes().to_vec(), stolen.to_bytes().to_vec()];
    for at in 0..DeviceCert::LEN {
        let mut cert = own.clone();
        cert[at] ^= 1 << (at % 8);
        bad.push(cert);
    }
    for cert in bad {
        mallory.cert = cert;
        let mut link = mallory.connect(&mut world, 1).expect("a REPLY");
        link.settle(&mut world, 250 * MILLI);
        assert_eq!((link.opened, world.sides[1].phone.load().sessions), (0, 0));
    }
    mallory.cert = own;
    mallory.call(&mut world, 1);
    assert_eq!(world.sides[1].phone.load().sessions, 1);
}

#[test]
fn points_of_low_order_are_refused_in_every_place() {
    let (mut world, mut mallory) = bo_and_mallory(17);
    for point in low_order_points() {
        let knock = mallory.knock_with(&world, 1, Key::weak(point));
        let quiet = world.wire.len();
        world.inject(1, mallory.address, &knock.hello);
        assert_eq!(world.wire.len(), quiet, "as e of HELLO");

        let mut knock = mallory.knock(&world, 1);
        knock.xk.set_static(Key::weak(point));
        world.inject(1, mallory.address, &knock.hello);
        world.run(2 * MILLI);
        let reply = world.mail(mallory.address).pop().expect("REPLY");
        let (finish, ..) = mallory.finish(knock, &reply).expect("let in");
        world.inject(1, mallory.address, &finish);
        assert_eq!(world.sides[1].phone.load().sessions, 0, "as s of FINISH");
        world.run(6 * SECOND);

        dial_mallory(&mut world);
        world.run(2 * MILLI);
        mallory.reply_with(&mut world, 1, Key::weak(point));
        assert_eq!(world.sides[1].phone.load().sessions, 0, "as e of REPLY");
        world.hang_up(1);
        world.run(SECOND);
        world.strays.clear();
    }
}

fn bo_and_mallory(seed: u8) -> (World, Manual) {
    let mut world = World::new(&["anna", "bo"], seed);
    let mallory = Manual::new(9);
    mallory.befriend(&mut world, 1, "mallory");
    (world, mallory)
}

/// Rings with call 7777..; checks that it does ring.
fn ring(world: &mut World, link: &mut Link) {
    link.say(world, INVITE, &[7; 48]);
    link.settle(world, 50 * MILLI);
    assert_eq!(world.state(1), Some(CallState::Ringing));
    assert_eq!(link.said(RINGING).len(), 1);
}

fn dial_mallory(world: &mut World) {
    dial_mallory_from(world, 1);
}

fn dial_mallory_from(world: &mut World, side: usize) {
    let peer = "mallory".to_owned();
    world.order(side, Command::Dial { peer, muted: false });
    world.run(2 * MILLI);
}

/// What bo's phone has told about calls.
fn calls(world: &World) -> Vec<&Event> {
    let events = world.sides[1].events.iter();
    events
        .filter(|event| matches!(event, Event::Call { .. }))
        .collect()
}

fn voice(seq: u8) -> Vec<u8> {
    [&[seq, 0, 80][..], &[seq; 80]].concat()
}

/// Random bytes, or items of known types with random bodies.
fn garbage(rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut plain = vec![0; 128];
    rng.fill_bytes(&mut plain);
    if rng.next_u32().is_multiple_of(4) {
        return plain;
    }
    let mut items = vec![0, 0, 0];
    while items.len() < 100 {
        let (kind, length) = (1 + rng.next_u32() % 13, rng.next_u32() % 40);
        let mut body = vec![0; length as usize];
        rng.fill_bytes(&mut body);
        if kind <= 2 && rng.next_u32().is_multiple_of(2) {
            let offset = rng.next_u32() % 5000;
            items.extend(segment(kind as usize - 1, offset, &body));
        } else if kind != 9 || rng.next_u32().is_multiple_of(64) {
            items.extend([kind as u8, length as u8]);
            items.extend(body);
        }
    }
    items.truncate(128);
    items
}

type Doctor = fn(&mut Settings);

/// Certificates that must not be believed, for anna's phone or bo's.
fn doctored_certificates() -> Vec<(&'static str, Doctor)> {
    fn certify(settings: &mut Settings, identity: u8, device: u8, from: i64, until: i64) {
        let unix = (EPOCH + 1100) as i64;
        settings.cert = common::identity(identity).certify(
            &common::device(device),
            (unix + from) as u32,
            (unix + until) as u32,
            0,
        );
    }
    fn own(settings: &Settings) -> u8 {
        1 + u8::from(settings.identity == common::identity(2).id())
    }
    const DAY: i64 = 86_400;
    vec![
        ("mallory's certificate", |s| certify(s, 9, 9, -60, DAY)),
        ("mallory's for this device", |s| {
            certify(s, 9, own(s), -60, DAY);
        }),
        ("its own for another device", |s| {
            certify(s, own(s), 9, -60, DAY);
        }),
        ("the other side's", |s| {
            let other = 3 - own(s);
            certify(s, other, other, -60, DAY);
        }),
        ("expired", |s| certify(s, own(s), own(s), -30 * DAY, -DAY)),
        ("not yet good", |s| {
            certify(s, own(s), own(s), DAY, 20 * DAY)
        }),
        ("good for too long", |s| {
            certify(s, own(s), own(s), -60, 40 * DAY);
        }),
    ]
}

/// The points of X25519 with which every secret gives zero, in all their encodings (RFC 7748).
fn low_order_points() -> Vec<[u8; 32]> {
    let hex = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let low = hex.map(|hex| {
        let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex");
        std::array::from_fn(byte)
    });
    let high_bit = low.map(|mut point: [u8; 32]| {
        point[31] |= 0x80;
        point
    });
    low.into_iter().chain(high_bit).collect()
}
