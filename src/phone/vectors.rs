//! The worked example of `man/twocan-protocol.7`, made from fixed secrets by the code itself.
//!
//! The page is written for people who have only the page, so its figures must be this code's. The
//! same figures are checked from the other side by the second implementation in `tests/interop`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use super::book::pairwise;
use super::channel::{Channel, Plain};
use super::dial::{Attempt, Target};
use super::gate;
use super::handshake::Handshake;
use super::kem::{self, Offer};
use super::keys::Role;
use super::message::Message;
use super::plain::{self, Builder, Item, Lane};
use super::sas::{Parts, Transcript};
use super::types::{Frame, Now, Path};
use super::wire::{self, PLAIN, Packet};
use crate::peer::{DeviceCert, DeviceKeys, Identity, Invite, SafeText, Seed, words};

const PAGE: &str = include_str!("../../man/twocan-protocol.7");
const PATH: Path = Path::Udp(SocketAddr::new(
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    4000,
));
const SIDX_R: u32 = 0x0102_0304;
const UNIX: u64 = 1_790_000_000;
const NOW: Now = Now {
    mono: std::time::Duration::ZERO,
    unix: UNIX,
};

#[test]
fn the_page_shows_what_this_code_makes() {
    let example = Example::default().told();
    assert!(
        PAGE.contains(&example),
        "the example in man/twocan-protocol.7 has to be:\n{example}"
    );
}

#[test]
fn the_page_lists_the_words_that_are_shown() {
    let (_, list) = PAGE.split_once(".SH WORD LIST").expect("the list of words");
    let list: Vec<&str> = list.split_whitespace().collect();
    for byte in 0..=255 {
        let [even, odd, ..] = words::sas(&[byte; 4]);
        let line = [&*format!("{byte:02x}"), &even, &odd];
        assert!(list.windows(3).any(|three| three == line), "{line:?}");
    }
}

/// Collects `name = value` lines.
#[derive(Default)]
struct Example(String);

struct Person {
    identity: Identity,
    device: DeviceKeys,
    cert: DeviceCert,
}

impl Example {
    fn told(mut self) -> String {
        let (anna, bo) = (person(1), person(2));
        self.people(&anna, &bo);
        self.invite(&bo);
        let dial = self.contact();
        let (hash, mut ours, mut theirs) = self.handshake(&anna, &bo, &dial);
        let transcript = self.exchange(&anna, &bo, &hash, &mut ours, &mut theirs);
        self.data(&mut ours, &mut theirs);
        self.words(&transcript);
        self.0
    }

    fn people(&mut self, anna: &Person, bo: &Person) {
        for (number, name, who) in [(1, "anna", anna), (2, "bo", bo)] {
            self.hex(&format!("{name} seed"), &[number; 32]);
            self.hex(&format!("{name} I"), who.identity.id().as_bytes());
            self.text(&format!("{name} ID"), &who.identity.id().to_string());
            self.hex(&format!("{name} x secret"), &**who.device.x_secret());
            self.hex(&format!("{name} X_d"), &who.device.x_public());
            self.hex(&format!("{name} d secret"), &*who.device.d_secret());
            self.hex(&format!("{name} certificate"), &who.cert.to_bytes());
        }
    }

    fn invite(&mut self, bo: &Person) {
        let token = [0x77; 16];
        let invite = Invite {
            id: bo.identity.id(),
            device: bo.device.x_public(),
            token,
            expires: UNIX + 3600,
            uses: 1,
            claimed_by: Vec::new(),
            hints: ["192.0.2.2:4000", "[2001:db8::2]:4001"]
                .map(|hint| hint.parse().expect("an address"))
                .into(),
            public: false,
        };
        self.text("bo invite", &invite.to_line());
        let epoch = gate::dial_epoch(UNIX);
        self.text("dial epoch", &epoch.to_string());
        let dial = gate::dial_key(&token, epoch, &bo.device.x_public());
        self.hex("dial key by token", &*dial);
    }

    /// The pairwise secret of two who have exchanged their halves.
    fn contact(&mut self) -> Vec<u8> {
        let halves = ([0xa1; 32], [0xb2; 32]);
        let request = Message::ContactRequest(
            super::message::Card {
                half: halves.0,
                name: SafeText::name("anna"),
                hints: vec!["192.0.2.1:4000".parse().expect("an address")],
            },
            None,
        );
        let (kind, body) = request.encode();
        self.text("request type", &kind.to_string());
        self.hex("request body", &body);
        self.hex("half of bo", &halves.1);
        let secret = pairwise(&halves.0, &halves.1);
        self.hex("pairwise secret", secret.as_bytes());
        secret.as_bytes().to_vec()
    }

    fn handshake(
        &mut self,
        anna: &Person,
        bo: &Person,
        secret: &[u8],
    ) -> ([u8; 32], Channel, Channel) {
        let mut rng = ChaCha20Rng::from_seed([0xe1; 32]);
        self.hex("e_i secret", &ephemeral(&rng));
        let target = Target {
            peer: bo.identity.id(),
            device: bo.device.x_public(),
            secret: secret.to_vec().into(),
            paths: [PATH].into_iter().collect(),
        };
        let dial = gate::dial_key(secret, gate::dial_epoch(UNIX), &bo.device.x_public());
        self.hex("dial key", &*dial);
        let x_secret = anna.device.x_secret();
        let mut attempt =
            Attempt::new(target, 0x0a0b_0c0d, x_secret, NOW, &mut rng).expect("sound keys");
        let (_, hello) = attempt.datagrams().next().expect("one path");
        self.hex("HELLO", &hello);
        let Some(Packet::Hello(parsed)) = wire::parse(&hello) else {
            panic!("not a HELLO");
        };
        self.cookie(&mut attempt, &dial, parsed.mac1);

        let seed = drawn(&ChaCha20Rng::from_seed([0xe2; 32]));
        self.hex("e_r secret", &drawn::<32>(&ChaCha20Rng::from_seed(seed)));
        let own = bo.identity.id();
        let (mut responder, noise) = Handshake::responder(
            bo.device.x_secret(),
            &own,
            parsed.noise,
            SIDX_R,
            seed.into(),
        )
        .expect("genuine");
        let reply = wire::reply(SIDX_R, parsed.sidx, &noise);
        self.hex("REPLY", &reply);
        let Some(Packet::Reply(reply)) = wire::parse(&reply) else {
            panic!("not a REPLY");
        };
        assert_eq!(attempt.take_reply(&reply), Ok(SIDX_R));
        let mut initiator = attempt.answered(0x0a0b_0c0d, SIDX_R, NOW.mono).handshake;
        let noise = initiator.write_finish(&anna.cert).expect("in turn");
        self.hex("FINISH", &wire::finish(reply.sidx_r, &noise));
        let (cert, device) = responder.read_finish(&noise).expect("genuine");
        cert.verify(&device, Some(&anna.identity.id()), UNIX)
            .expect("genuine");

        let (ours, theirs) = (
            initiator.split().expect("finished"),
            responder.split().expect("finished"),
        );
        assert_eq!(ours.hash, theirs.hash);
        self.hex("h", &ours.hash);
        self.hex("CK_0", ours.chain.as_bytes());
        let end = |role, chain, index_in, index_out| {
            Channel::new(role, chain, index_in, index_out, NOW.mono)
        };
        (
            ours.hash,
            end(Role::Initiator, ours.chain, parsed.sidx, reply.sidx_r),
            end(Role::Responder, theirs.chain, reply.sidx_r, parsed.sidx),
        )
    }

    fn cookie(&mut self, attempt: &mut Attempt, dial: &[u8; 32], mac1: &[u8]) {
        let (cookie, nonce) = ([0xc0; 16], [0xc1; 24]);
        let sealed = gate::seal_with(dial, mac1, &cookie, &nonce).expect("short");
        let datagram = wire::cookie(0x0a0b_0c0d, &nonce, &sealed);
        self.hex("cookie", &cookie);
        self.hex("COOKIE", &datagram);
        let Some(Packet::Cookie(packet)) = wire::parse(&datagram) else {
            panic!("not a COOKIE");
        };
        let hello = attempt.take_cookie(PATH, &packet).expect("genuine");
        self.hex("mac2", &hello[wire::MAC2_COVERS..]);
    }

    fn exchange(
        &mut self,
        anna: &Person,
        bo: &Person,
        hash: &[u8; 32],
        ours: &mut Channel,
        theirs: &mut Channel,
    ) -> Transcript {
        let mut rng = ChaCha20Rng::from_seed([0xd1; 32]);
        self.hex("X-Wing seed", &drawn::<32>(&rng));
        let offer = Offer::new(&mut rng);
        self.hex("SHA-256(ek)", &Sha256::digest(*offer.ek));
        let mut rng = ChaCha20Rng::from_seed([0xd2; 32]);
        self.hex("X-Wing randomness", &drawn::<64>(&rng));
        let (ct, shared) = kem::answer(&offer.ek, &mut rng).expect("sound key");
        assert_eq!(offer.accept(&ct).expect("genuine"), shared);
        self.hex("SHA-256(ct)", &Sha256::digest(*ct));
        self.hex("X-Wing secret", &*shared);
        theirs.prepare(&shared, &*offer.ek, &*ct, NOW.mono);
        ours.advance(&shared, &*offer.ek, &*ct, NOW.mono);
        self.hex("CK_1", ours.chain().as_bytes());
        Transcript::new(&Parts {
            handshake: hash,
            ek: &*offer.ek,
            ct: &*ct,
            initiator: &anna.identity.id(),
            responder: &bo.identity.id(),
            initiator_device: &anna.device.x_public(),
            responder_device: &bo.device.x_public(),
        })
    }

    fn data(&mut self, ours: &mut Channel, theirs: &mut Channel) {
        let opus = [0xf8, 0xff, 0xfe].into_iter().collect();
        let frame = Frame::new(0x0102, opus);
        let mut builder = Builder::new(PLAIN, Some(&frame));
        let added = builder.add(&Item::Ping { stamp: 0x1122_3344 })
            && builder.add(&Item::Segment {
                lane: Lane::Signal,
                offset: 0,
                bytes: &[2, 0, 7, 1],
            });
        assert!(added);
        let sealed = ours.seal(&builder.finish()).expect("room");
        self.hex("DATA", &sealed);
        let Some(Packet::Data(data)) = wire::parse(&sealed) else {
            panic!("not DATA");
        };
        let mut plain = Plain::new();
        let opened = theirs.open(&data, &mut plain, NOW.mono).expect("genuine");
        assert!(opened.switched && plain::split(&plain).is_some());
        self.hex("plaintext", &plain);
    }

    fn words(&mut self, transcript: &Transcript) {
        let (caller, callee) = ([0x5a; 32], [0xa5; 32]);
        self.hex("T", transcript.as_bytes());
        self.hex("n_A", &caller);
        self.hex("n_B", &callee);
        self.hex("commit", &transcript.commit(&caller));
        self.text("words", &transcript.words(&caller, &callee).join(" "));
    }

    fn hex(&mut self, name: &str, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.text(name, &hex);
    }

    /// One line if it fits, else the value below its name, 64 characters a line.
    fn text(&mut self, name: &str, value: &str) {
        if name.len() + value.len() + 3 <= 72 {
            self.0 += &format!("{name} = {value}\n");
            return;
        }
        self.0 += &format!("{name} =\n");
        for line in value.as_bytes().chunks(64) {
            self.0 += &format!("  {}\n", String::from_utf8_lossy(line));
        }
    }
}

fn person(number: u8) -> Person {
    let identity = Identity::from_seed(&Seed::from_bytes([number; 32]));
    let device = DeviceKeys::from_secrets([number << 4; 32], [number << 6; 32]);
    let unix = UNIX as u32;
    let cert = identity.certify(&device, unix - 60, unix + 30 * 86_400, 0);
    Person {
        identity,
        device,
        cert,
    }
}

/// The ephemeral secret that a handshake made with this generator draws.
fn ephemeral(rng: &ChaCha20Rng) -> [u8; 32] {
    drawn(&ChaCha20Rng::from_seed(drawn(rng)))
}

/// The next bytes of a generator, which stays as it is.
fn drawn<const N: usize>(rng: &ChaCha20Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.clone().fill_bytes(&mut bytes);
    bytes
}
