//! The rooms of one port, and what becomes of each datagram that comes in there.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;

use super::bucket::{Bucket, SECOND};
use super::cap::{Cap, Class};
use super::counts::{Counts, Loss};
use super::gate::Gate;
use super::proof::{Prover, Question};
use super::room::{Room, Targets};
use crate::phone::reflect::{self, Bind, Bind2, Bound, Chal, MAX_LEGS, Packet, Relay, Token};
use crate::phone::stun;

/// The rooms of one port. Pure: it is told the time, and sends nothing by itself.
///
/// ```text
/// table.open(room, now)                            as often as somebody is given a room
/// match table.receive(from, &bytes, now) {
///     Verdict::Silent => {}
///     Verdict::Answer(answer) => send(from, &answer),
///     Verdict::Forward(targets) => for to in targets { send(to, &bytes) },
/// }
/// table.expire(now)                                about once a second
/// ```
///
/// `now` counts from any fixed moment. What is forwarded is forwarded as it came, so one buffer
/// serves; on that way nothing is allocated, and no key is touched.
#[derive(Debug)]
pub struct Table {
    rooms: HashMap<u64, Room, BuildHasherDefault<Itself>>,
    most: usize,
    gate: Gate,
    prover: Prover,
    cap: Cap,
    mirrored: Bucket,
    counts: Counts,
}

/// What one port gives, and to whom.
#[derive(Clone, Debug)]
pub struct Rules {
    /// To which addresses it may send.
    pub gate: Gate,
    /// Most rooms at a time.
    pub rooms: usize,
    /// Most bits that it sends in a second, as IP packets; `None`: whatever the line takes.
    pub rate: Option<u64>,
}

/// A room to be made.
#[derive(Debug)]
pub struct Opening {
    /// Drawn at random, so that nobody can guess it.
    pub room: u64,
    /// One for each leg.
    pub tokens: ArrayVec<Token, { MAX_LEGS as usize }>,
    pub class: Class,
    /// How long it is there at most.
    pub lasts: Duration,
    /// Is given back when the room ends.
    pub lease: Lease,
}

/// Something that is dropped with the room.
pub type Lease = Option<Box<dyn std::any::Any + Send>>;

/// What is to be done about a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "forwarding is the rule, and must not allocate"
)]
pub enum Verdict {
    /// Nothing, and nobody is told.
    Silent,
    /// This goes back to where it came from. Never longer than what came.
    Answer(Answer),
    /// The datagram itself goes there.
    Forward(Targets),
}

/// A short datagram.
pub type Answer = ArrayVec<u8, { reflect::BIND }>;

/// Why no room was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no more rooms")]
pub struct Full;

impl Table {
    /// `secret` is fresh and random; challenges hang on it.
    pub fn new(rules: Rules, secret: &[u8; 32]) -> Table {
        Table {
            rooms: HashMap::default(),
            most: rules.rooms,
            gate: rules.gate,
            prover: Prover::new(secret),
            cap: Cap::new(rules.rate),
            mirrored: Bucket::default(),
            counts: Counts::default(),
        }
    }

    /// Makes a room.
    ///
    /// # Errors
    /// When there are too many, or one of that name.
    pub fn open(&mut self, opening: Opening, now: Duration) -> Result<(), Full> {
        let legs = opening.tokens.len();
        let fits = (2..=usize::from(MAX_LEGS)).contains(&legs);
        if !fits || self.rooms.len() >= self.most || self.rooms.contains_key(&opening.room) {
            return Err(Full);
        }
        let number = opening.room;
        self.rooms.insert(number, Room::new(opening, nanos(now)));
        Ok(())
    }

    /// Judges a datagram that came from `from`.
    pub fn receive(&mut self, from: SocketAddr, bytes: &[u8], now: Duration) -> Verdict {
        let now = nanos(now);
        self.counts.received += 1;
        let judged = match bytes.first() {
            Some(0x20) => self.forward(from, bytes, now),
            Some(0x21..=0x24) => self.bind(from, bytes, now),
            Some(0x00) => self.mirror(from, bytes, now),
            _ => Err(Loss::Foreign),
        };
        judged.unwrap_or_else(|loss| {
            self.counts.lose(loss);
            Verdict::Silent
        })
    }

    /// The rooms of that class are over in a minute, and whoever is in one is told.
    pub fn retire(&mut self, class: Class, now: Duration) {
        let now = nanos(now);
        let rooms = self.rooms.values_mut();
        rooms
            .filter(|room| room.is_of(class))
            .for_each(|room| room.retire(now));
    }

    /// Forgets the rooms that are over.
    pub fn expire(&mut self, now: Duration) {
        let now = nanos(now);
        self.rooms.retain(|_, room| !room.is_over(now));
        let bound = self.rooms.values().filter(|room| room.is_met(now));
        self.counts.rooms = self.rooms.len() as u64;
        self.counts.talking = bound.count() as u64;
        let room = self.most.min(self.rooms.len() * 2 + 64);
        if self.rooms.capacity() > 4 * room {
            self.rooms.shrink_to(room);
        }
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    fn forward(&mut self, from: SocketAddr, bytes: &[u8], now: u64) -> Result<Verdict, Loss> {
        let relay = Relay::parse(bytes).ok_or(Loss::Foreign)?;
        let room = self.rooms.get_mut(&relay.room).ok_or(Loss::Unknown)?;
        let targets = room.pass(from, &relay, bytes.len(), now, &mut self.cap)?;
        self.counts.forwarded(targets.len(), bytes.len());
        Ok(Verdict::Forward(targets))
    }

    fn bind(&mut self, from: SocketAddr, bytes: &[u8], now: u64) -> Result<Verdict, Loss> {
        let answer = match reflect::parse(bytes) {
            Some(Packet::Bind(bind)) => self.challenge(from, &bind, now)?,
            Some(Packet::Bind2(bind)) => self.settle(from, &bind, now)?,
            _ => return Err(Loss::Foreign),
        };
        self.counts.answered += 1;
        Ok(Verdict::Answer(answer))
    }

    fn challenge(&mut self, from: SocketAddr, bind: &Bind<'_>, now: u64) -> Result<Answer, Loss> {
        let room = self.rooms.get_mut(&bind.room).ok_or(Loss::Unknown)?;
        let leg = room.leg(bind.leg).ok_or(Loss::Unknown)?;
        if !bind.is_by(&leg.token) {
            return Err(Loss::Stranger);
        }
        if !self.gate.passes(from) {
            return Err(Loss::Address);
        }
        if !leg.may_ask(now) {
            return Err(Loss::Rate);
        }
        let question = Question {
            from,
            room: bind.room,
            leg: bind.leg,
            nonce: bind.nonce,
        };
        let chal = Chal {
            room: bind.room,
            leg: bind.leg,
            proof: self.prover.prove(&question, now / MILLISECOND),
        };
        Ok(reflect::chal(&chal)[..].iter().copied().collect())
    }

    fn settle(&mut self, from: SocketAddr, bind: &Bind2<'_>, now: u64) -> Result<Answer, Loss> {
        let room = self.rooms.get_mut(&bind.room).ok_or(Loss::Unknown)?;
        let leg = room.leg(bind.leg).ok_or(Loss::Unknown)?;
        if !bind.is_by(&leg.token) {
            return Err(Loss::Stranger);
        }
        let question = Question {
            from,
            room: bind.room,
            leg: bind.leg,
            nonce: bind.nonce,
        };
        let stamp = self
            .prover
            .check(&question, &bind.proof, now / MILLISECOND)
            .ok_or(Loss::Stale)?;
        // The binding counts from the challenge, so that a repeated answer adds nothing to it.
        if !room.bind(bind.leg, from, stamp * MILLISECOND) {
            return Err(Loss::Stale);
        }
        let bound = Bound {
            room: bind.room,
            leg: bind.leg,
            met: room.has_other(bind.leg, now),
            ending: room.is_ending(now),
            seen: from,
        };
        Ok(reflect::bound(&bound)[..].iter().copied().collect())
    }

    fn mirror(&mut self, from: SocketAddr, bytes: &[u8], now: u64) -> Result<Verdict, Loss> {
        let answer = stun::answer(bytes, from).ok_or(Loss::Foreign)?;
        if !self.gate.passes(from) {
            return Err(Loss::Address);
        }
        if !self.mirrored.take(now, SECOND / MIRRORED, SECOND) {
            return Err(Loss::Rate);
        }
        self.counts.answered += 1;
        Ok(Verdict::Answer(answer.into_iter().collect()))
    }
}

/// Room numbers are drawn at random here, so they are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

pub(super) fn nanos(now: Duration) -> u64 {
    // Enough for 584 years.
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Questions of STUN that one port answers in a second.
const MIRRORED: u64 = 5000;

const MILLISECOND: u64 = 1_000_000;
