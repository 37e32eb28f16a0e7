//! One attempt to reach a peer: HELLO to every address we know, until somebody there answers.

use std::time::Duration;

use arrayvec::ArrayVec;
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

use super::gate;
use super::handshake::{Handshake, Refused};
use super::message::MAX_HINTS;
use super::types::{Datagram, Now, Path};
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
    pub paths: ArrayVec<Path, MAX_HINTS>,
}

pub struct Attempt {
    target: Target,
    dial: Zeroizing<[u8; 32]>,
    /// Index that a REPLY must name.
    pub sidx: u32,
    handshake: Handshake,
    hello: Datagram,
    mac1: [u8; 16],
    cookie_used: bool,
    /// When the attempt began.
    pub began: Duration,
    sent_at: Duration,
    next_at: Duration,
    pause: Duration,
}

/// The peer has answered; FINISH makes it a session.
pub struct Answered {
    pub target: Target,
    pub handshake: Handshake,
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
        let epoch = gate::dial_epoch(now.unix);
        let dial = gate::dial_key(&target.secret, epoch, &target.device);
        let mut handshake = Handshake::initiator(secret, &target.peer, &target.device, rng)?;
        let mut hello = wire::hello(sidx, &handshake.write_hello()?);
        let mac1 = gate::sign(&mut hello, &dial, None);
        Ok(Attempt {
            target,
            dial,
            sidx,
            handshake,
            hello,
            mac1,
            cookie_used: false,
            began: now.mono,
            sent_at: now.mono,
            next_at: now.mono + FIRST_PAUSE,
            pause: FIRST_PAUSE,
        })
    }

    /// The HELLO of now, for each address.
    pub fn datagrams(&self) -> impl Iterator<Item = (Path, Datagram)> {
        self.target
            .paths
            .iter()
            .map(|&path| (path, self.hello.clone()))
    }

    pub fn deadline(&self) -> Duration {
        self.next_at.min(self.began + GIVE_UP)
    }

    /// Nobody answered in all the time that we give.
    pub fn is_over(&self, now: Duration) -> bool {
        now >= self.began + GIVE_UP
    }

    pub fn is_due(&self, now: Duration) -> bool {
        now >= self.next_at
    }

    /// The same attempt with a fresh ephemeral key, and more patience.
    pub fn again(
        &mut self,
        sidx: u32,
        secret: &[u8; 32],
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Result<(), Refused> {
        let mut next = Attempt::new(self.target.clone(), sidx, secret, now, rng)?;
        next.began = self.began;
        next.pause = self.pause * 3 / 2;
        next.next_at = now.mono + next.pause;
        *self = next;
        Ok(())
    }

    /// The peer is under load: the HELLO to send back to where the cookie came from, if that is
    /// where we have knocked. Only one cookie counts for one HELLO.
    pub fn take_cookie(&mut self, from: Path, packet: &Cookie<'_>) -> Option<Datagram> {
        if self.cookie_used || !self.target.paths.contains(&from) {
            return None;
        }
        let cookie = gate::open_cookie(&self.dial, &self.mac1, packet)?;
        self.cookie_used = true;
        gate::sign(&mut self.hello, &self.dial, Some(&cookie));
        Some(self.hello.clone())
    }

    /// Checks a REPLY; the index to send to. After an error the attempt stands as before.
    pub fn take_reply(&mut self, reply: &Reply<'_>) -> Result<u32, Refused> {
        self.handshake.read_reply(reply.noise)
    }

    /// Where the session begins after a REPLY from `from`. A copy of a REPLY can come from
    /// anywhere, so only an address where we have knocked counts; should the peer really speak from
    /// another one, the session moves there by the care of [`super::roam`].
    pub fn path_to(&self, from: Path) -> Path {
        let known = self.target.paths.iter().find(|path| **path == from);
        known.or(self.target.paths.first()).copied().unwrap_or(from)
    }

    /// After a good REPLY.
    pub fn answered(self, now: Duration) -> Answered {
        Answered {
            rtt: now.saturating_sub(self.sent_at),
            target: self.target,
            handshake: self.handshake,
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const GIVE_UP: Duration = Duration::from_secs(20);
