//! A phone written by hand from the description of the protocol: a second implementation, which
//! keeps to the rules only as far as a test wants it to.
//!
//! Of the phone's code it uses the identity and certificate types alone.

use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use twocan::peer::{Contact, DeviceCert, DeviceKeys, Identity, PeerId, Reach, SafeText, Secret32};
use x_wing::EncapsulationKey;
use x_wing::kem::{Generate, KeyExport, TryDecapsulate};
use x_wing::{Ciphertext, DecapsulationKeyRejectNonContrib, Decapsulator, Encapsulate};

use super::link::{KEYS, Link};
use super::noise::{Key, Split, Xk, hmac};
use super::{EPOCH, World};

/// Who the hand-written phone is.
pub struct Manual {
    pub identity: Identity,
    pub device: DeviceKeys,
    /// What it shows of itself: 138 bytes, which need not be true.
    pub cert: Vec<u8>,
    /// The secret that it shares with the phone under test, or an invite's token.
    pub secret: Vec<u8>,
    pub address: SocketAddr,
    pub rng: ChaCha20Rng,
    /// With true the ciphertext that it answers has one wrong bit.
    pub bends_ciphertext: bool,
}

/// A HELLO and what is needed to go on after it.
pub struct Knock {
    pub xk: Xk,
    pub sidx: u32,
    pub hello: Vec<u8>,
    pub dial: [u8; 32],
}

impl Manual {
    pub fn new(number: u8) -> Manual {
        let identity = super::identity(number);
        let device = super::device(number);
        let unix = EPOCH as u32;
        let cert = identity.certify(&device, unix, unix + 30 * 86_400, 0);
        Manual {
            cert: cert.to_bytes().to_vec(),
            identity,
            device,
            secret: vec![number; 32],
            address: SocketAddr::from(([198, 51, 100, number], 4000)),
            rng: ChaCha20Rng::from_seed([number; 32]),
            bends_ciphertext: false,
        }
    }

    /// Itself as the phone under test keeps it.
    pub fn contact(&self, name: &str) -> Contact {
        Contact {
            id: self.identity.id(),
            petname: SafeText::name(name),
            name: SafeText::name(name),
            device: self.device.x_public(),
            dial: Secret32::new(self.secret.clone().try_into().expect("32 bytes")),
            hints: vec![self.address],
            verified: None,
            blocked: false,
            relay_only: false,
            added: EPOCH,
            last_seen: None,
            pending: None,
            reach: Reach::default(),
            told: 0,
        }
    }

    /// Puts itself into the contacts of a phone, which is started anew for it.
    pub fn befriend(&self, world: &mut World, side: usize, name: &str) {
        let contact = self.contact(name);
        world.restart_with(side, |settings| settings.contacts.push(contact));
    }

    /// A fresh HELLO for the phone `to`.
    pub fn knock(&mut self, world: &World, to: usize) -> Knock {
        let e = Key::new(self.random());
        self.knock_with(world, to, e)
    }

    pub fn knock_with(&mut self, world: &World, to: usize, e: Key) -> Knock {
        let (id, device) = (world.sides[to].id, super::device(to as u8 + 1).x_public());
        let dial = dial_key(&self.secret, world.moment().unix, &device);
        let mut xk = Xk::initiator(self.static_key(), e, device, &prologue(&id));
        let sidx = self.rng.next_u32();
        let noise1 = xk.write1(&[0; 32]);
        let mut hello = vec![1, 1, 0, 0];
        hello.extend(sidx.to_le_bytes());
        hello.extend(noise1);
        hello.extend([0; 32]);
        sign(&mut hello, &dial, None);
        Knock {
            xk,
            sidx,
            hello,
            dial,
        }
    }

    /// The FINISH for a REPLY, and the keys.
    pub fn finish(&self, mut knock: Knock, reply: &[u8]) -> Option<(Vec<u8>, Split, u32)> {
        assert_eq!((reply.len(), &reply[..4]), (76, &[2, 1, 0, 0][..]));
        assert_eq!(u32_at(reply, 8), knock.sidx);
        let payload = knock.xk.read2(&reply[12..])?;
        assert_eq!(payload, [&reply[4..8], &[0; 12]].concat());
        let mut finish = vec![3, 0, 0, 0];
        finish.extend(&reply[4..8]);
        finish.extend(knock.xk.write3(&self.cert));
        Some((finish, knock.xk.split(), u32_at(reply, 4)))
    }

    /// Calls the phone up to fresh keys in epoch 1: the session is open.
    pub fn call(&mut self, world: &mut World, to: usize) -> Link {
        let mut link = self.connect(world, to).expect("let in");
        self.exchange_keys(world, &mut link);
        link
    }

    /// Calls the phone up to the end of the handshake: epoch 0.
    pub fn connect(&mut self, world: &mut World, to: usize) -> Option<Link> {
        let knock = self.knock(world, to);
        let sidx = knock.sidx;
        world.inject(to, self.address, &knock.hello);
        world.run(2 * world.line.delay);
        let reply = world.mail(self.address).pop()?;
        let (finish, split, index_out) = self.finish(knock, &reply)?;
        world.inject(to, self.address, &finish);
        Some(Link::new(self, to, true, &split, sidx, index_out))
    }

    /// As initiator, after FINISH: the session in epoch 0.
    pub fn linked(&self, to: usize, split: &Split, index_in: u32, index_out: u32) -> Link {
        Link::new(self, to, true, split, index_in, index_out)
    }

    /// As initiator: the key encapsulation that makes the next epoch.
    pub fn exchange_keys(&mut self, world: &mut World, link: &mut Link) {
        let secret = DecapsulationKeyRejectNonContrib::generate_from_rng(&mut self.rng);
        let ek = secret.encapsulation_key().to_bytes();
        let number = link.epochs.len() as u8;
        let offer = [&[number][..], ek.as_slice()].concat();
        link.say_on(world, KEYS, 1, &offer);
        link.settle(world, Duration::from_millis(300));
        let (_, _, answer) = link
            .messages
            .iter()
            .find(|(lane, kind, body)| (*lane, *kind, body[0]) == (KEYS, 2, number))
            .expect("an answer to the offer");
        let (ct, cert) = answer[1..].split_at(1120);
        link.cert_there = cert.to_vec();
        let ct = Ciphertext::try_from(ct).expect("length");
        let shared = secret.try_decapsulate(&ct).expect("a good point");
        link.next_epoch(&shared.0, ek.as_slice(), ct.as_slice());
        link.say_nothing(world);
        link.settle(world, Duration::from_millis(50));
    }

    /// Waits for a HELLO and answers it, up to epoch 1.
    pub fn pick_up(&mut self, world: &mut World, from: usize) -> Link {
        let mut link = self.accept(world, from);
        self.answer_keys(world, &mut link);
        link
    }

    /// Waits for a HELLO and answers it, up to the end of the handshake.
    pub fn accept(&mut self, world: &mut World, from: usize) -> Link {
        let hello = world
            .mail(self.address)
            .into_iter()
            .find(|bytes| bytes[0] == 1);
        let hello = hello.expect("a HELLO");
        let dial = dial_key(&self.secret, world.moment().unix, &self.device.x_public());
        assert_eq!(hello[88..104], hmac(&dial, &[&hello[..88]])[..16], "mac1");
        let e = Key::new(self.random());
        let (mut xk, sidx, reply) = self.reply(&hello, e);
        world.inject(from, self.address, &reply);
        world.run(2 * world.line.delay);
        let finish = world.strays.iter().find(|seen| seen.bytes[0] == 3);
        let finish = finish.expect("a FINISH").bytes.clone();
        let (device, cert) = xk.read3(&finish[8..]).expect("FINISH");
        assert_eq!(device, super::device(from as u8 + 1).x_public());
        let cert = DeviceCert::parse(&cert).expect("certificate");
        cert.verify(&device, Some(&world.sides[from].id), world.moment().unix)
            .expect("a good certificate");
        let split = xk.split();
        Link::new(self, from, false, &split, sidx, u32_at(&hello, 4))
    }

    /// Answers a HELLO that has come with a REPLY by this ephemeral key.
    pub fn reply_with(&mut self, world: &mut World, from: usize, e: Key) {
        let mail = world.mail(self.address);
        let hello = mail.iter().find(|bytes| bytes[0] == 1).expect("a HELLO");
        let (_, _, reply) = self.reply(hello, e);
        world.inject(from, self.address, &reply);
    }

    fn reply(&mut self, hello: &[u8], e: Key) -> (Xk, u32, Vec<u8>) {
        let own = self.identity.id();
        let mut xk = Xk::responder(self.static_key(), e, &prologue(&own));
        assert_eq!(xk.read1(&hello[8..88]), Some(vec![0; 32]));
        let sidx = self.rng.next_u32();
        let mut reply = vec![2, 1, 0, 0];
        reply.extend(sidx.to_le_bytes());
        reply.extend(&hello[4..8]);
        let mut payload = [0; 16];
        payload[..4].copy_from_slice(&sidx.to_le_bytes());
        reply.extend(xk.write2(&payload));
        (xk, sidx, reply)
    }

    /// As responder: answers the key encapsulation.
    pub fn answer_keys(&mut self, world: &mut World, link: &mut Link) {
        link.settle(world, Duration::from_millis(50));
        let number = link.epochs.len() as u8;
        let offer = link
            .messages
            .iter()
            .find(|(lane, kind, body)| (*lane, *kind, body[0]) == (KEYS, 1, number));
        let ek = offer.expect("an offer").2[1..].to_vec();
        let key = EncapsulationKey::try_from(ek.as_slice()).expect("a good key");
        let (ct, shared) = key.encapsulate_with_rng(&mut self.rng);
        let mut told = ct.0;
        told[7] ^= u8::from(self.bends_ciphertext);
        let answer = [&[number][..], &told, &self.cert].concat();
        link.say_on(world, KEYS, 2, &answer);
        link.next_epoch(&shared.0, &ek, &ct.0);
        link.settle(world, Duration::from_millis(50));
    }

    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn static_key(&self) -> Key {
        Key::new(**self.device.x_secret())
    }
}

pub fn prologue(responder: &PeerId) -> Vec<u8> {
    [b"twocan/1\0", responder.as_bytes().as_slice()].concat()
}

/// HKDF-SHA256 of the pairwise secret for the 12 hours of `unix`.
pub fn dial_key(secret: &[u8], unix: u64, device: &[u8; 32]) -> [u8; 32] {
    let epoch = (unix / 43_200).to_le_bytes();
    hkdf(secret, &[b"twocan/1 dial", &epoch, device])
}

pub fn hkdf(secret: &[u8], info: &[&[u8]]) -> [u8; 32] {
    let prk = hmac(&[], &[secret]);
    hmac(&prk, &[&info.concat()[..], &[1]])
}

/// Puts `mac1`, and `mac2` if there is a cookie, into a HELLO.
pub fn sign(hello: &mut [u8], dial: &[u8; 32], cookie: Option<&[u8]>) {
    let mac1 = hmac(dial, &[&hello[..88]]);
    hello[88..104].copy_from_slice(&mac1[..16]);
    if let Some(cookie) = cookie {
        let mac2 = hmac(cookie, &[&hello[..104]]);
        hello[104..].copy_from_slice(&mac2[..16]);
    }
}

/// The cookie that answers this HELLO.
pub fn open_cookie(packet: &[u8], hello: &[u8], dial: &[u8; 32]) -> Option<Vec<u8>> {
    use chacha20poly1305::aead::{Aead, Payload};
    use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
    assert_eq!((packet.len(), &packet[..4]), (64, &[4, 0, 0, 0][..]));
    assert_eq!(packet[4..8], hello[4..8]);
    let key = hkdf(dial, &[b"twocan/1 cookie"]);
    let nonce = XNonce::try_from(&packet[8..32]).ok()?;
    let payload = Payload {
        msg: &packet[32..],
        aad: &hello[88..104],
    };
    XChaCha20Poly1305::new(&key.into())
        .decrypt(&nonce, payload)
        .ok()
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
