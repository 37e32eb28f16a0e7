//! One attempt to reach a peer: HELLO on every way we know, until somebody there answers.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

use super::gate;
use super::handshake::{Handshake, Refused};
use super::types::{Datagram, Now, Path, Paths};
use super::wire::{self, Cookie, Reply};
use crate::peer::PeerId;

/// Whom to reach, and how to be let in.
#[derive(Clone)]
pub struct Target {
    pub peer: PeerId,
    /// The peer's static key.
    pub device: [u8; 32],
    /// The secret that the dial key comes from: pairwise, or an invite's token.
    pub secret: Zeroizing<Vec<u8>>,
    /// None at all as long as other ways are sought.
    pub paths: Paths,
}

pub struct Attempt {
    target: Target,
    round: Round,
    /// The HELLO before this one: on a slow way its REPLY may still come.
    previous: Option<Round>,
    /// When the attempt began.
    pub began: Duration,
    next_at: Duration,
    pause: Duration,
    give_up: Duration,
    /// Other ways are being sought.
    pub is_seeking: bool,
    seeks_left: u8,
}

/// One HELLO and the handshake behind it.
struct Round {
    dial: Zeroizing<[u8; 32]>,
    sidx: u32,
    handshake: Handshake,
    hello: Datagram,
    mac1: [u8; 16],
    cookie_used: bool,
    sent_at: Duration,
}

/// The peer has answered; FINISH makes it a session.
pub struct Answered {
    pub target: Target,
    pub handshake: Handshake,
    pub index_in: u32,
    /// Where to send FINISH to.
    pub index_out: u32,
    pub rtt: Duration,
}

impl Attempt {
    /// Makes the first HELLO; [`Attempt::datagrams`] says where to send it.
    pub fn new(
        target: Target,
        sidx: u32,
        secret: &[u8; 32],
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Result<Attempt, Refused> {
        Ok(Attempt {
            round: Round::new(&target, sidx, secret, now, rng)?,
            target,
            previous: None,
            began: now.mono,
            next_at: now.mono + FIRST_PAUSE,
            pause: FIRST_PAUSE,
            give_up: now.mono + GIVE_UP,
            is_seeking: true,
            seeks_left: MAX_SEEKS,
        })
    }

    /// The HELLO of now, for each way.
    pub fn datagrams(&self) -> impl Iterator<Item = (Path, Datagram)> {
        self.target
            .paths
            .iter()
            .map(|&path| (path, self.round.hello.clone()))
    }

    pub fn deadline(&self) -> Duration {
        if self.has_ways() {
            self.next_at.min(self.give_up)
        } else {
            self.give_up
        }
    }

    /// Nobody answered in all the time that we give.
    pub fn is_over(&self, now: Duration) -> bool {
        now >= self.give_up
    }

    pub fn is_due(&self, now: Duration) -> bool {
        self.has_ways() && now >= self.next_at
    }

    pub fn has_ways(&self) -> bool {
        !self.target.paths.is_empty()
    }

    /// The indices that a REPLY may name.
    pub fn has_index(&self, sidx: u32) -> bool {
        let previous = self.previous.as_ref().map(|round| round.sidx);
        self.round.sidx == sidx || previous == Some(sidx)
    }

    /// One more way: the HELLO to send there, unless there are ways enough. It gets its time to be
    /// answered, however late it comes.
    pub fn add(&mut self, path: Path, now: Duration) -> Option<Datagram> {
        if self.target.paths.contains(&path) || self.target.paths.try_push(path).is_err() {
            return None;
        }
        self.is_seeking = false;
        if self.target.paths.len() == 1 {
            self.round.sent_at = now;
            self.next_at = now + self.pause;
        }
        let latest = self.began + LONGEST;
        self.give_up = self.give_up.max(latest.min(now + GIVE_UP));
        Some(self.round.hello.clone())
    }

    /// That way is no more. True if others should be sought now.
    pub fn remove(&mut self, path: Path) -> bool {
        self.target.paths.retain(|known| *known != path);
        let seeks = !self.has_ways() && !self.is_seeking && self.seeks_left > 0;
        if seeks {
            self.is_seeking = true;
            self.seeks_left -= 1;
        }
        seeks
    }

    /// The peer's device has another key than we thought; [`Attempt::again`] has to follow. False
    /// if that is not so.
    pub fn change_device(&mut self, device: [u8; 32]) -> bool {
        let is_new = self.target.device != device;
        self.target.device = device;
        is_new
    }

    /// The same attempt with a fresh ephemeral key, and more patience.
    pub fn again(
        &mut self,
        sidx: u32,
        secret: &[u8; 32],
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Result<(), Refused> {
        let next = Round::new(&self.target, sidx, secret, now, rng)?;
        self.previous = Some(std::mem::replace(&mut self.round, next));
        self.pause = self.pause * 3 / 2;
        self.next_at = now.mono + self.pause;
        Ok(())
    }

    /// The peer is under load: the HELLO to send back to where the cookie came from, if that is
    /// where we have knocked. Only one cookie counts for one HELLO.
    pub fn take_cookie(&mut self, from: Path, packet: &Cookie<'_>) -> Option<Datagram> {
        let round = &mut self.round;
        let is_ours = round.sidx == packet.sidx && self.target.paths.contains(&from);
        if round.cookie_used || !is_ours {
            return None;
        }
        let cookie = gate::open_cookie(&round.dial, &round.mac1, packet)?;
        round.cookie_used = true;
        gate::sign(&mut round.hello, &round.dial, Some(&cookie));
        Some(round.hello.clone())
    }

    /// Checks a REPLY to the last HELLO or to the one before it; the index to send to. After an
    /// error the attempt stands as before.
    pub fn take_reply(&mut self, reply: &Reply<'_>) -> Result<u32, Refused> {
        let previous = self.previous.as_mut();
        let round = match previous.filter(|round| round.sidx == reply.sidx_i) {
            Some(round) => round,
            None => &mut self.round,
        };
        round.handshake.read_reply(reply.noise)
    }

    /// Where the session begins after a REPLY from `from`. A copy of a REPLY can come from
    /// anywhere, so only an address where we have knocked counts; should the peer really speak from
    /// another one, the session moves there by the care of [`super::choice`].
    pub fn path_to(&self, from: Path) -> Path {
        let known = self.target.paths.iter().find(|path| **path == from);
        known.or(self.target.paths.first()).copied().unwrap_or(from)
    }

    /// After a good REPLY, which named these indices.
    pub fn answered(self, sidx: u32, index_out: u32, now: Duration) -> Answered {
        let previous = self.previous.filter(|round| round.sidx == sidx);
        let round = previous.unwrap_or(self.round);
        Answered {
            rtt: now.saturating_sub(round.sent_at),
            target: self.target,
            handshake: round.handshake,
            index_in: round.sidx,
            index_out,
        }
    }
}

impl Round {
    fn new(
        target: &Target,
        sidx: u32,
        secret: &[u8; 32],
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Result<Round, Refused> {
        let epoch = gate::dial_epoch(now.unix);
        let dial = gate::dial_key(&target.secret, epoch, &target.device);
        let mut handshake = Handshake::initiator(secret, &target.peer, &target.device, rng)?;
        let mut hello = wire::hello(sidx, &handshake.write_hello()?);
        let mac1 = gate::sign(&mut hello, &dial, None);
        Ok(Round {
            dial,
            sidx,
            handshake,
            hello,
            mac1,
            cookie_used: false,
            sent_at: now.mono,
        })
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long there may be no answer on any way.
const GIVE_UP: Duration = Duration::from_secs(20);
/// How long an attempt may last when ways keep coming.
const LONGEST: Duration = Duration::from_secs(40);
/// How often other ways are sought when those that were found are gone again.
const MAX_SEEKS: u8 = 2;
