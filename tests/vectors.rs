//! Known answers: whole calls from fixed seeds, to the byte, and a second implementation that
//! agrees with every one of them.
//!
//! With `TWOCAN_WRITE_VECTORS=1` the files in `tests/vectors` are written anew. Do that only when
//! the bytes on the wire were meant to change, and say so in the commit.

mod common;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use common::link::Link;
use common::manual::{Manual, open_cookie};
use common::{Seen, World};
use twocan::api::{CallState, Command, Done, Why};
use twocan::peer::PeerId;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

const INVITE: u8 = 3;
const RINGING: u8 = 4;
const ANSWER: u8 = 5;
const CONFIRM: u8 = 6;

/// Bo opens anna's invite; later anna rings him, they talk, she writes a line and hangs up.
#[test]
fn two_phones_say_what_they_always_said() {
    let mut world = World::new(&["anna", "bo"], 77);
    let mut told = Told::default();
    let line = world.invite(0);
    told.say("invite", &line);
    let name = Some("anna".to_owned());
    world.order(1, Command::AddContact { line, name });
    world.run(SECOND);
    told.packets("bo is added", &mut world);
    world.run(40 * SECOND);
    told.packets("the session closes", &mut world);
    world.dial(0, 1);
    world.run_until(SECOND, |w| w.state(0) == Some(CallState::Ringing));
    told.packets("anna rings", &mut world);
    world.answer(1);
    world.run(100 * MILLI);
    told.packets("bo answers", &mut world);
    told.say("words", &world.words(0).expect("answered").join(" "));
    let (peer, text) = ("bo".to_owned(), "a line of text".to_owned());
    world.order(0, Command::Text { peer, text });
    world.run(60 * MILLI);
    told.packets("anna writes", &mut world);
    world.hang_up(0);
    world.run(5 * SECOND);
    told.packets("anna hangs up", &mut world);
    assert_eq!(world.why(1), Some(Why::PeerHungUp));
    told.compare("call.txt");
}

/// The hand-written phone calls bo; every secret that it comes by is told.
#[test]
fn every_secret_of_a_session_is_what_it_always_was() {
    let (mut world, mut mallory) = bo_and_mallory(78);
    let mut told = Told::default();
    told.hex("pairwise secret", &mallory.secret);
    told.hex("caller X_d", &mallory.device.x_public());
    told.hex("caller certificate", &mallory.cert);
    told.hex("callee I", world.sides[1].id.as_bytes());
    told.hex("callee X_d", &common::device(2).x_public());
    let knock = mallory.knock(&world, 1);
    told.hex("dial key", &knock.dial);
    told.hex("HELLO", &knock.hello);
    world.inject(1, mallory.address, &knock.hello);
    world.run(2 * MILLI);
    let reply = world.mail(mallory.address).pop().expect("a REPLY");
    told.hex("REPLY", &reply);
    let sidx = knock.sidx;
    let (finish, split, index_out) = mallory.finish(knock, &reply).expect("let in");
    told.hex("FINISH", &finish);
    told.hex("h", &split.hash);
    told.hex("k1", &split.i2r);
    told.hex("k2", &split.r2i);
    world.inject(1, mallory.address, &finish);
    let mut link = mallory.linked(1, &split, sidx, index_out);
    mallory.exchange_keys(&mut world, &mut link);
    let (kind, body) = (INVITE, [7; 48]);
    link.say(&mut world, kind, &body);
    link.settle(&mut world, 50 * MILLI);
    for (number, epoch) in link.epochs.iter().enumerate() {
        told.hex(&format!("CK_{number}"), &epoch.chain);
        told.hex(&format!("epoch {number}, caller's key"), &epoch.send);
        told.hex(&format!("epoch {number}, callee's key"), &epoch.receive);
        told.hex(
            &format!("epoch {number}, index to the callee"),
            &epoch.index_out.to_le_bytes(),
        );
        told.hex(
            &format!("epoch {number}, index to the caller"),
            &epoch.index_in.to_le_bytes(),
        );
    }
    let ids = [&mallory.identity.id(), &world.sides[1].id];
    let devices = [mallory.device.x_public(), common::device(2).x_public()];
    told.hex("T", &link.transcript(ids, devices));
    told.say(
        "words for two nonces of 01 and 02",
        &link.words(ids, devices, &[[1; 32], [2; 32]]).join(" "),
    );
    told.opened("callee's packets in epoch 1", &world, &link);
    told.compare("secrets.txt");
}

/// As caller and as callee: session, call, words, voice both ways, text, farewell.
#[test]
fn a_second_implementation_calls_and_is_called() {
    let (mut world, mut mallory) = bo_and_mallory(79);
    let (bo, own) = (world.sides[1].id, mallory.identity.id());
    let mut link = mallory.call(&mut world, 1);
    let nonce = [5; 32];
    let devices = [mallory.device.x_public(), common::device(2).x_public()];
    let transcript = link.transcript([&own, &bo], devices);
    link.say(
        &mut world,
        INVITE,
        &[&[7; 16][..], &commit(&nonce, &transcript)].concat(),
    );
    link.settle(&mut world, 50 * MILLI);
    assert_eq!(world.state(1), Some(CallState::Ringing));
    assert_eq!(link.said(RINGING), [[7; 16]]);
    world.answer(1);
    link.settle(&mut world, 50 * MILLI);
    let answer = link.said(ANSWER).pop().expect("an ANSWER");
    link.say(&mut world, CONFIRM, &nonce);
    talk(&mut world, &mut link);
    let callee = answer[16..].try_into().expect("32 bytes");
    let words = link.words([&own, &bo], devices, &[nonce, callee]);
    assert_eq!(world.words(1), Some(words));
    world.hang_up(1);
    link.settle(&mut world, 50 * MILLI);
    assert_eq!(link.byes.first(), Some(&1));

    world.run(10 * SECOND);
    world.strays.clear();
    let peer = "mallory".to_owned();
    world.order(1, Command::Dial { peer, muted: false });
    world.run(2 * MILLI);
    let mut link = mallory.pick_up(&mut world, 1);
    let invite = link.said(INVITE).pop().expect("an INVITE");
    link.say(&mut world, RINGING, &invite[..16]);
    link.settle(&mut world, 50 * MILLI);
    assert_eq!(world.state(1), Some(CallState::Ringing));
    link.say(&mut world, ANSWER, &[&invite[..16], &[6; 32]].concat());
    talk(&mut world, &mut link);
    let nonce: [u8; 32] = link.said(CONFIRM)[0].clone().try_into().expect("32 bytes");
    let devices = [devices[1], devices[0]];
    let transcript = link.transcript([&bo, &own], devices);
    assert_eq!(invite[16..], commit(&nonce, &transcript));
    let words = link.words([&bo, &own], devices, &[nonce, [6; 32]]);
    assert_eq!(world.words(1), Some(words));
    // BYE "hung up", and its acknowledgement.
    link.send(&mut world, &[9, 1, 1]);
    link.settle(&mut world, 50 * MILLI);
    assert_eq!(world.why(1), Some(Why::PeerHungUp));
    assert!(link.items.contains(&10));
}

#[test]
fn a_second_implementation_reads_a_cookie() {
    let (mut world, mut mallory) = bo_and_mallory(80);
    let mut cookies = 0;
    for number in 0..60u8 {
        let knock = mallory.knock(&world, 1);
        let from = ([10, 0, number, 1], 9).into();
        world.inject(1, from, &knock.hello);
        world.run(2 * MILLI);
        let answer = world.mail(from).pop().expect("an answer");
        if answer[0] == 4 {
            assert!(open_cookie(&answer, &knock.hello, &knock.dial).is_some());
            cookies += 1;
        }
    }
    assert!(cookies > 9, "{cookies}");
}

fn bo_and_mallory(seed: u8) -> (World, Manual) {
    let mut world = World::new(&["anna", "bo"], seed);
    let mallory = Manual::new(9);
    mallory.befriend(&mut world, 1, "mallory");
    (world, mallory)
}

/// Voice and a line of text, both ways.
fn talk(world: &mut World, link: &mut Link) {
    let heard = world.sides[1].heard.len();
    for seq in 0..20u8 {
        let voice = [&[seq, 1, 80][..], &[seq; 80]].concat();
        link.send_in(world, 1, &voice);
        link.settle(world, 20 * MILLI);
    }
    let heard = &world.sides[1].heard[heard..];
    assert_eq!(heard.len(), 20);
    assert!(
        heard
            .iter()
            .all(|(_, _, f)| f.seq >> 8 == 1 && f.opus.len() == 80)
    );
    assert!(link.voices >= 15, "{} frames", link.voices);
    let (peer, text) = ("mallory".to_owned(), "a line".to_owned());
    world.order(1, Command::Text { peer, text });
    link.settle(world, 100 * MILLI);
    let text = link.said(8).pop().expect("the text");
    assert_eq!(text[4..], *b"a line");
    link.say(world, 9, &text[..4]);
    link.settle(world, 50 * MILLI);
    let confirmed = world.sides[1].replies.values().next_back();
    assert_eq!(confirmed, Some(&Ok(Done::Nothing)));
}

/// What the caller commits to, from the description.
fn commit(nonce: &[u8; 32], transcript: &[u8; 32]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::new()
        .chain_update(b"twocan/1 sas commit\0")
        .chain_update(nonce)
        .chain_update(transcript)
        .finalize()
        .into()
}

/// Lines of `name = value`, to be compared with a file.
#[derive(Default)]
struct Told {
    text: String,
    packets: usize,
}

impl Told {
    fn say(&mut self, name: &str, value: &str) {
        writeln!(self.text, "{name} = {value}").expect("memory");
    }

    fn hex(&mut self, name: &str, bytes: &[u8]) {
        self.say(name, &hex(bytes));
    }

    /// All packets since the last time: milliseconds, who, bytes.
    fn packets(&mut self, scene: &str, world: &mut World) {
        writeln!(self.text, "\n# {scene}").expect("memory");
        for seen in &world.wire[self.packets..] {
            let who = world.sides.iter().find(|side| side.address == seen.from);
            let who = who.map_or("?", |side| &side.name);
            let name = format!("{:.3} {who}", seen.at.as_secs_f64() - 1000.0);
            self.hex(&name, &seen.bytes);
        }
        self.packets = world.wire.len();
    }

    /// Packets that the link can open, with what is in them.
    fn opened(&mut self, scene: &str, world: &World, link: &Link) {
        writeln!(self.text, "\n# {scene}").expect("memory");
        let to_us = |seen: &&Seen| seen.to == link.address && seen.bytes[0] == 0x11;
        for seen in world.wire.iter().filter(to_us) {
            let (_, plain) = link.open(&seen.bytes).expect("for us");
            self.hex("packet", &seen.bytes);
            self.hex("plain", &plain);
        }
    }

    fn compare(self, file: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/vectors")
            .join(file);
        if std::env::var_os("TWOCAN_WRITE_VECTORS").is_some() {
            std::fs::write(&path, &self.text).expect("tests/vectors can be written");
        }
        let known = std::fs::read_to_string(&path).expect("tests/vectors");
        let mut lines = (1..).zip(known.lines().zip(self.text.lines()));
        let differs = lines.find(|(_, (known, now))| known != now);
        assert!(
            known == self.text,
            "{file} differs, first in {differs:?}; if the wire was meant to change: TWOCAN_WRITE_VECTORS=1"
        );
        assert!(known.lines().count() > 20);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files are what other implementations read, so they must name what they stand for.
#[test]
fn the_files_hold_every_type_of_packet() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/call.txt");
    let call = std::fs::read_to_string(path).expect("tests/vectors");
    for (kind, length) in [
        ("01", 120),
        ("02", 76),
        ("03", 210),
        ("10", 505),
        ("11", 153),
    ] {
        let packets = call.lines().filter_map(|line| line.split_once(" = "));
        let found = packets.filter(|(_, hex)| hex.starts_with(kind) && hex.len() == 2 * length);
        assert!(found.count() > 0, "type {kind}");
    }
    let id: Option<PeerId> = call
        .lines()
        .find_map(|line| line.strip_prefix("invite = "))
        .and_then(|line| twocan::peer::Invite::parse_line(line).ok())
        .map(|invite| invite.id);
    assert_eq!(id, Some(common::identity(1).id()));
}
