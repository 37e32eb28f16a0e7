//! One room: its legs, who holds them, and how much may pass.

use std::net::{Ipv4Addr, SocketAddr};

use arrayvec::ArrayVec;

use super::bucket::{Bucket, SECOND};
use super::cap::{Cap, Class, Share};
use super::counts::Loss;
use super::table::{Lease, Opening, nanos};
use crate::phone::reflect::{MAX_LEGS, Relay, TO_ALL, Token};

/// To where a datagram goes.
pub type Targets = ArrayVec<SocketAddr, { MAX_LEGS as usize - 1 }>;

/// How long a binding holds, from its challenge on.
pub const LIFE: u64 = 30 * SECOND;

#[derive(Debug)]
pub struct Room {
    legs: Box<[Leg]>,
    class: Class,
    /// From then on whoever binds a leg is told that it ends.
    notice_at: u64,
    ends_at: u64,
    /// When the last of its bindings ends.
    held_until: u64,
    out: Bucket,
    share: Share,
    _lease: Lease,
}

#[derive(Clone)]
pub struct Leg {
    pub token: Token,
    address: SocketAddr,
    /// When the challenge was made that was answered last; 0 if none was.
    bound_at: u64,
    packets: Bucket,
    bytes: Bucket,
    questions: Bucket,
}

impl Room {
    pub fn new(opening: Opening, now: u64) -> Room {
        let lasts = nanos(opening.lasts);
        Room {
            legs: opening.tokens.iter().map(Leg::new).collect(),
            class: opening.class,
            notice_at: now + lasts - lasts / NOTICE,
            ends_at: now + lasts,
            held_until: now,
            out: Bucket::default(),
            share: Share::default(),
            _lease: opening.lease,
        }
    }

    pub fn leg(&mut self, leg: u8) -> Option<&mut Leg> {
        self.legs.get_mut(usize::from(leg))
    }

    /// Binds a leg to `from`, where a challenge of that moment was answered. `false` if a newer one
    /// was answered before, or the same from elsewhere.
    pub fn bind(&mut self, leg: u8, from: SocketAddr, challenged: u64) -> bool {
        let bound = self.leg(leg).is_some_and(|leg| leg.bind(from, challenged));
        if bound {
            self.held_until = self.held_until.max(challenged + LIFE);
        }
        bound
    }

    /// Whether any leg but that one is bound.
    pub fn has_other(&self, leg: u8, now: u64) -> bool {
        let mut others = self.legs.iter().enumerate();
        others.any(|(n, other)| n != usize::from(leg) && other.is_bound(now))
    }

    /// Whether two legs are bound.
    pub fn is_met(&self, now: u64) -> bool {
        self.legs.iter().filter(|leg| leg.is_bound(now)).count() >= 2
    }

    pub fn is_over(&self, now: u64) -> bool {
        now >= self.held_until + IDLE || now >= self.ends_at
    }

    /// It ends a minute from now, if not before, and its legs are told from now on.
    pub fn retire(&mut self, now: u64) {
        self.notice_at = self.notice_at.min(now);
        self.ends_at = self.ends_at.min(now + GRACE);
    }

    pub fn is_of(&self, class: Class) -> bool {
        self.class == class
    }

    /// Whether its legs should be somewhere else soon.
    pub fn is_ending(&self, now: u64) -> bool {
        now >= self.notice_at
    }

    /// To where a RELAY of `length` bytes goes, and counts it.
    pub fn pass(
        &mut self,
        from: SocketAddr,
        relay: &Relay<'_>,
        length: usize,
        now: u64,
        cap: &mut Cap,
    ) -> Result<Targets, Loss> {
        let number = usize::from(relay.from);
        let sender = self.legs.get_mut(number).ok_or(Loss::Unknown)?;
        if sender.address != from || !sender.is_bound(now) {
            return Err(Loss::Stranger);
        }
        sender.take(length, now)?;
        let targets = self.targets(number, relay.to, now);
        if targets.is_empty() {
            return Err(Loss::Nobody);
        }
        let out = targets.len() * (length + BELOW);
        let legs = self.legs.len() as u64;
        if self.out.debt(now) > SECOND {
            return Err(Loss::Rate);
        }
        if !cap.may(&mut self.share, self.class, out, now) {
            return Err(Loss::Cap);
        }
        self.out.add(now, out as u64 * ROOM_BYTE / legs);
        Ok(targets)
    }

    fn targets(&self, sender: usize, to: u8, now: u64) -> Targets {
        let is_target = |n: usize| n != sender && (to == TO_ALL || n == usize::from(to));
        let legs = self.legs.iter().enumerate();
        legs.filter(|(n, leg)| is_target(*n) && leg.is_bound(now))
            .map(|(_, leg)| leg.address)
            .take(Targets::new().capacity())
            .collect()
    }
}

impl Leg {
    fn new(token: &Token) -> Leg {
        Leg {
            token: *token,
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            bound_at: 0,
            packets: Bucket::default(),
            bytes: Bucket::default(),
            questions: Bucket::default(),
        }
    }

    fn is_bound(&self, now: u64) -> bool {
        self.bound_at > 0 && now < self.bound_at + LIFE
    }

    /// Whether it may be given another challenge.
    pub fn may_ask(&mut self, now: u64) -> bool {
        self.questions.take(now, SECOND / 2, 5 * SECOND)
    }

    fn bind(&mut self, from: SocketAddr, challenged: u64) -> bool {
        // Nothing is bound at 0.
        let challenged = challenged.max(1);
        let newer = challenged > self.bound_at;
        if newer {
            self.bound_at = challenged;
            self.address = from;
        }
        newer || challenged == self.bound_at && from == self.address
    }

    fn take(&mut self, length: usize, now: u64) -> Result<(), Loss> {
        let greedy =
            self.packets.debt(now) > PACKETS_AT_ONCE || self.bytes.debt(now) > BYTES_AT_ONCE;
        if greedy {
            return Err(Loss::Rate);
        }
        self.packets.add(now, PACKET);
        self.bytes.add(now, length as u64 * BYTE);
        Ok(())
    }
}

impl std::fmt::Debug for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leg(..)")
    }
}

/// How long a room without any binding waits for one.
const IDLE: u64 = 30 * SECOND;

/// Which part of its time a room has left when its legs are told: a quarter of an hour of four hours.
const NOTICE: u64 = 16;

/// How long a room lasts that has no right to be there any more: those who have are in it too, and
/// hear of it within 12 s.
const GRACE: u64 = 60 * SECOND;

/// A leg sends 60 packets and 100 kbit in a second, and 100 packets or 64 KiB at once.
const PACKET: u64 = SECOND / 60;
const PACKETS_AT_ONCE: u64 = 99 * PACKET;
const BYTE: u64 = 8 * SECOND / 100_000;
const BYTES_AT_ONCE: u64 = 64 * 1024 * BYTE;

/// What is sent into a room is at most 400 kbit/s a leg, however many hear each packet.
const ROOM_BYTE: u64 = 8 * SECOND / 400_000;

/// Bytes of UDP and IPv4 around each datagram.
const BELOW: usize = 28;
