//! A session between a hand-written phone and the phone under test.

use std::net::SocketAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use twocan::peer::PeerId;

use super::World;
use super::manual::{Manual, u32_at};
use super::noise::{self, Split, hmac};

/// The keys of one epoch.
pub struct Epoch {
    pub chain: [u8; 32],
    pub send: [u8; 32],
    pub receive: [u8; 32],
    pub index_in: u32,
    pub index_out: u32,
    pub counter: u32,
}

/// A session with a phone.
pub struct Link {
    pub side: usize,
    pub address: SocketAddr,
    pub is_initiator: bool,
    pub hash: [u8; 32],
    pub epochs: Vec<Epoch>,
    lanes: [Lane; 2],
    /// Lane, type and body of what the phone has said.
    pub messages: Vec<(usize, u8, Vec<u8>)>,
    pub voices: usize,
    pub byes: Vec<u8>,
    /// Types of all items that came, and where they came to.
    pub items: Vec<u8>,
    /// DATA packets that could be opened, and those that could not.
    pub opened: usize,
    pub unknown: usize,
    pub cert_there: Vec<u8>,
    first_exchange: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Default)]
struct Lane {
    sent: u32,
    next: u32,
    ready: Vec<u8>,
    early: Vec<(u32, Vec<u8>)>,
    owes: bool,
}

pub const SIGNAL: usize = 0;
pub const KEYS: usize = 1;

impl Link {
    pub(super) fn new(
        own: &Manual,
        side: usize,
        is_initiator: bool,
        split: &Split,
        index_in: u32,
        index_out: u32,
    ) -> Link {
        let chain = hmac(&split.hash, &[&split.i2r, &split.r2i]);
        let mut link = Link {
            side,
            address: own.address,
            is_initiator,
            hash: split.hash,
            epochs: Vec::new(),
            lanes: Default::default(),
            messages: Vec::new(),
            voices: 0,
            byes: Vec::new(),
            items: Vec::new(),
            opened: 0,
            unknown: 0,
            cert_there: Vec::new(),
            first_exchange: None,
        };
        let mut first = link.epoch(chain);
        (first.index_in, first.index_out) = (index_in, index_out);
        link.epochs.push(first);
        link
    }

    pub fn next_epoch(&mut self, shared: &[u8; 32], ek: &[u8], ct: &[u8]) {
        let exchange = Sha256::new().chain_update(ek).chain_update(ct).finalize();
        let chain = hmac(&self.latest().chain, &[shared, &exchange]);
        let epoch = self.epoch(chain);
        self.epochs.push(epoch);
        if self.first_exchange.is_none() {
            self.first_exchange = Some((ek.to_vec(), ct.to_vec()));
        }
    }

    fn epoch(&self, chain: [u8; 32]) -> Epoch {
        let (out, back) = if self.is_initiator { (0, 1) } else { (1, 0) };
        let expand =
            |label: &str, way: u8| hmac(&chain, &[b"twocan/1 ", label.as_bytes(), &[way], &[1]]);
        Epoch {
            chain,
            send: expand("data", out),
            receive: expand("data", back),
            index_out: u32_at(&expand("idx", out), 0),
            index_in: u32_at(&expand("idx", back), 0),
            counter: 0,
        }
    }

    fn latest(&self) -> &Epoch {
        self.epochs.last().expect("never empty")
    }

    /// The four words, from all that both ends should know.
    pub fn words(
        &self,
        ids: [&PeerId; 2],
        devices: [[u8; 32]; 2],
        nonces: &[[u8; 32]; 2],
    ) -> [String; 4] {
        let transcript = self.transcript(ids, devices);
        let prk = hmac(&transcript, &[&nonces[0], &nonces[1]]);
        let bytes = hmac(&prk, &[b"twocan/1 sas", &[1]]);
        twocan::peer::words::sas(bytes.first_chunk().expect("32 bytes"))
    }

    /// Identities and devices: the initiator's first.
    pub fn transcript(&self, ids: [&PeerId; 2], devices: [[u8; 32]; 2]) -> [u8; 32] {
        let (ek, ct) = self.first_exchange.as_ref().expect("after the exchange");
        Sha256::new()
            .chain_update(b"twocan/1 transcript\0")
            .chain_update(self.hash)
            .chain_update(ek)
            .chain_update(ct)
            .chain_update(ids[0].as_bytes())
            .chain_update(ids[1].as_bytes())
            .chain_update(devices[0])
            .chain_update(devices[1])
            .finalize()
            .into()
    }

    /// Seals any plaintext in any epoch that has been.
    pub fn seal(&mut self, epoch: usize, plain: &[u8]) -> Vec<u8> {
        let keys = &mut self.epochs[epoch];
        let mut packet = vec![0x10 | (epoch & 3) as u8];
        packet.extend(keys.index_out.to_le_bytes());
        packet.extend(keys.counter.to_le_bytes());
        let payload = chacha20poly1305::aead::Payload {
            msg: plain,
            aad: &packet,
        };
        let nonce = noise::nonce(u64::from(keys.counter));
        let sealed = chacha20poly1305::aead::Aead::encrypt(
            &noise::cipher(&keys.send),
            &nonce.into(),
            payload,
        );
        packet.extend(sealed.expect("short"));
        keys.counter += 1;
        packet
    }

    /// Epoch and plaintext of a DATA packet to us.
    pub fn open(&self, packet: &[u8]) -> Option<(usize, Vec<u8>)> {
        let epoch = self
            .epochs
            .iter()
            .position(|keys| keys.index_in == u32_at(packet, 1))?;
        assert_eq!(packet[0], 0x10 | (epoch & 3) as u8);
        let payload = chacha20poly1305::aead::Payload {
            msg: &packet[9..],
            aad: &packet[..9],
        };
        let nonce = noise::nonce(u64::from(u32_at(packet, 5)));
        let cipher = noise::cipher(&self.epochs[epoch].receive);
        chacha20poly1305::aead::Aead::decrypt(&cipher, &nonce.into(), payload)
            .ok()
            .map(|plain| (epoch, plain))
    }

    /// Sends items (after an empty voice part) in the newest epoch.
    pub fn send(&mut self, world: &mut World, items: &[u8]) {
        let epoch = self.epochs.len() - 1;
        self.send_in(world, epoch, &[&[0, 0, 0], items].concat());
    }

    /// Sends a plaintext, padded to the next legal size.
    pub fn send_in(&mut self, world: &mut World, epoch: usize, plain: &[u8]) {
        let packet = self.packet(epoch, plain);
        world.inject(self.side, self.address, &packet);
    }

    /// A datagram with a plaintext, padded to the next legal size.
    pub fn packet(&mut self, epoch: usize, plain: &[u8]) -> Vec<u8> {
        let size = if plain.len() <= 128 && epoch > 0 {
            128
        } else {
            480
        };
        let mut plain = plain.to_vec();
        plain.resize(size, 0);
        self.seal(epoch, &plain)
    }

    pub fn say_nothing(&mut self, world: &mut World) {
        self.send(world, &[]);
    }

    /// Says a message on the signalling stream.
    pub fn say(&mut self, world: &mut World, kind: u8, body: &[u8]) {
        self.say_on(world, SIGNAL, kind, body);
    }

    pub fn say_on(&mut self, world: &mut World, lane: usize, kind: u8, body: &[u8]) {
        let mut bytes = ((body.len() + 1) as u16).to_le_bytes().to_vec();
        bytes.push(kind);
        bytes.extend(body);
        self.say_bytes(world, lane, &bytes);
    }

    /// Puts any bytes on a stream, whole messages or not.
    pub fn say_bytes(&mut self, world: &mut World, lane: usize, bytes: &[u8]) {
        let room = if self.epochs.len() > 1 { 119 } else { 240 };
        for part in bytes.chunks(room) {
            let item = segment(lane, self.lanes[lane].sent, part);
            self.lanes[lane].sent += part.len() as u32;
            self.send(world, &item);
        }
    }

    /// Lets time pass, and reads and acknowledges meanwhile.
    pub fn settle(&mut self, world: &mut World, time: Duration) {
        let end = world.now + time;
        while world.now < end {
            world.run(Duration::from_millis(2).min(end - world.now));
            self.read(world);
        }
    }

    /// Reads what has come, and acknowledges it.
    pub fn read(&mut self, world: &mut World) {
        for packet in world.mail(self.address) {
            if packet[0] & 0xf0 != 0x10 {
                continue;
            }
            let Some((_, plain)) = self.open(&packet) else {
                self.unknown += 1;
                continue;
            };
            self.opened += 1;
            self.take_in(&plain);
        }
        for lane in [SIGNAL, KEYS] {
            if std::mem::take(&mut self.lanes[lane].owes) {
                let next = self.lanes[lane].next;
                let item = [&[3 + lane as u8, 4][..], &next.to_le_bytes()].concat();
                self.send(world, &item);
            }
        }
    }

    fn take_in(&mut self, plain: &[u8]) {
        let voice = usize::from(plain[2]);
        self.voices += usize::from(voice > 0);
        let mut rest = &plain[3 + voice..];
        while let [kind, length, tail @ ..] = rest
            && *kind != 0
        {
            let (body, tail) = tail.split_at(usize::from(*length));
            rest = tail;
            self.items.push(*kind);
            match kind {
                1 | 2 => self.take_segment(usize::from(kind - 1), body),
                9 => self.byes.push(body[0]),
                _ => {}
            }
        }
    }

    fn take_segment(&mut self, number: usize, body: &[u8]) {
        let lane = &mut self.lanes[number];
        lane.owes = true;
        lane.early.push((u32_at(body, 0), body[4..].to_vec()));
        while let Some(at) = lane.early.iter().position(|(offset, bytes)| {
            *offset <= lane.next && offset + bytes.len() as u32 > lane.next
        }) {
            let (offset, bytes) = lane.early.swap_remove(at);
            let known = (lane.next - offset) as usize;
            lane.next += (bytes.len() - known) as u32;
            lane.ready.extend(&bytes[known..]);
        }
        while let [low, high, rest @ ..] = &lane.ready[..]
            && let length = usize::from(u16::from_le_bytes([*low, *high]))
            && rest.len() >= length
        {
            self.messages
                .push((number, rest[0], rest[1..length].to_vec()));
            lane.ready.drain(..2 + length);
        }
    }

    /// Bodies of the signalling messages of one type that the phone has said.
    pub fn said(&self, kind: u8) -> Vec<Vec<u8>> {
        let said = self.messages.iter();
        said.filter(|(lane, k, _)| (*lane, *k) == (SIGNAL, kind))
            .map(|(_, _, body)| body.clone())
            .collect()
    }
}

pub fn segment(lane: usize, offset: u32, bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() + 4) as u8;
    [&[1 + lane as u8, length][..], &offset.to_le_bytes(), bytes].concat()
}
