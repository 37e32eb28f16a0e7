//! Datagrams that come in, and the callee's side of the handshake.

use std::time::Duration;

use zeroize::Zeroizing;

use super::dial::Answered;
use super::gate::{Caller, Verdict};
use super::handshake::{Handshake, Refused};
use super::keys::Role;
use super::session::{Beginning, Io, Session};
use super::types::{Datagram, Now, Output, Path, Paths};
use super::wire::{
    self, Cookie, Data, Finish, HELLO_HEAD, Hello, MAC1_COVERS, MAC2_COVERS, NOISE2, Packet, Reply,
};
use super::{Phone, SessionId};
use crate::peer::{DeviceCert, PeerId};

/// A caller who was let in but has not yet said who he is.
pub struct HalfOpen {
    handshake: Handshake,
    seed: Zeroizing<[u8; 32]>,
    caller: Caller,
    sidx: u32,
    /// What made this, all but `mac2`.
    hello: [u8; MAC2_COVERS],
    /// Repeated when the same HELLO comes again, perhaps by another of our addresses.
    reply: Datagram,
    replied_at: Duration,
    /// Where REPLYs went. Whoever sends FINISH has read one of them, so there he is.
    paths: Paths,
    pub until: Duration,
}

impl Phone {
    /// Any datagram from anybody. Silence is the answer to all that is not ours.
    pub(super) fn receive(&mut self, from: Path, bytes: &[u8], now: Now) {
        match from {
            // What a mirror answers begins with the same two bytes as a HELLO.
            Path::Udp(_) | Path::Side(..) if !wire::is_ours(bytes) => {
                self.take_foreign(from, bytes, now);
            }
            _ => self.receive_from(from, bytes, now),
        }
    }

    /// Mirrors and reflectors speak to our port too.
    fn take_foreign(&mut self, from: Path, bytes: &[u8], now: Now) {
        let reflector = from.udp();
        let is_reflected = reflector.is_some_and(|from| self.take_reflected(from, bytes, now));
        if !is_reflected && self.mirror.take(from, bytes, now.mono) {
            self.step_mirror(now);
        }
    }

    pub(super) fn receive_from(&mut self, from: Path, bytes: &[u8], now: Now) {
        match wire::parse(bytes) {
            Some(Packet::Data(data)) => self.receive_data(from, &data, now),
            Some(Packet::Hello(hello)) => self.receive_hello(from, &hello, now),
            Some(Packet::Reply(reply)) => self.receive_reply(from, &reply, now),
            Some(Packet::Finish(finish)) => self.receive_finish(from, &finish, now),
            Some(Packet::Cookie(cookie)) => self.receive_cookie(from, &cookie),
            None => {}
        }
    }

    fn receive_data(&mut self, from: Path, data: &Data<'_>, now: Now) {
        let Some(id) = self.by_index.get(&data.header.index) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let mut io = Io {
            now: now.mono,
            unix: now.unix,
            rng: &mut self.rng,
            out: &mut self.out,
        };
        session.receive(from, data, &mut io);
    }

    fn receive_hello(&mut self, from: Path, hello: &Hello<'_>, now: Now) {
        let known = self
            .half_open
            .values_mut()
            .find(|half| half.hello == hello.whole[..MAC2_COVERS]);
        if let Some(half) = known {
            if !half.paths.contains(&from) && half.paths.try_push(from).is_err() {
                return;
            }
            self.out
                .push_back(Output::Transmit(from, half.reply.clone()));
            return;
        }
        let half_open = self.half_open.len();
        match self.gate.judge(hello, from, half_open, now, &mut self.rng) {
            Verdict::Admit(caller) => self.admit(from, hello, caller, now),
            Verdict::Challenge(cookie) => self.out.push_back(Output::Transmit(from, *cookie)),
            Verdict::Drop => {}
        }
    }

    fn admit(&mut self, from: Path, hello: &Hello<'_>, caller: Caller, now: Now) {
        let is_crossing =
            matches!(caller, Caller::Contact(peer) if self.prefers_own_session(&peer, now));
        // To whom the owner wants to be found over relays only, there is nobody here.
        let is_hidden = matches!(caller, Caller::Contact(peer) if self.is_relayed(&peer))
            && from.udp().is_some();
        if self.half_open.len() >= MAX_HALF_OPEN || is_crossing || is_hidden {
            return;
        }
        let Some(&whole) = hello.whole.first_chunk() else {
            return;
        };
        let (index, seed) = (self.free_index(), Zeroizing::new(self.random()));
        let Ok((handshake, noise)) = self.answer_hello(hello.noise, index, &seed) else {
            return;
        };
        let reply = wire::reply(index, hello.sidx, &noise);
        self.out.push_back(Output::Transmit(from, reply.clone()));
        self.half_open.insert(
            index,
            HalfOpen {
                handshake,
                seed,
                caller,
                sidx: hello.sidx,
                hello: whole,
                reply,
                replied_at: now.mono,
                paths: [from].into_iter().collect(),
                until: now.mono + HALF_OPEN_LIFE,
            },
        );
    }

    fn answer_hello(
        &self,
        noise: &[u8],
        index: u32,
        seed: &Zeroizing<[u8; 32]>,
    ) -> Result<(Handshake, [u8; NOISE2]), Refused> {
        let secret = self.me.device.x_secret();
        Handshake::responder(secret, &self.me.identity, noise, index, seed.clone())
    }

    /// Both dial at once: the side with the lower identity stays the caller, as long as its own
    /// HELLO or FINISH may still be on its way. Without a rule that both ends follow, each could
    /// end with the session that the other has dropped.
    fn prefers_own_session(&self, peer: &PeerId, now: Now) -> bool {
        let attempt = self.attempts.get(peer).map(|attempt| attempt.began);
        let session = self.session_with(peer).and_then(Session::made_here_at);
        let began = attempt.or(session);
        self.me.identity < *peer && began.is_some_and(|began| now.mono < began + GLARE)
    }

    fn receive_finish(&mut self, from: Path, finish: &Finish<'_>, now: Now) {
        let Some(half) = self.half_open.get_mut(&finish.sidx) else {
            return;
        };
        let Ok((cert, device)) = half.handshake.read_finish(finish.noise) else {
            self.renew_half_open(finish.sidx);
            return;
        };
        let Some(half) = self.half_open.remove(&finish.sidx) else {
            return;
        };
        let known = half.paths.iter().find(|path| **path == from);
        let path = known.or(half.paths.first()).copied().unwrap_or(from);
        let Some(peer) = self.judge_caller(half.caller, &cert, &device, now) else {
            return;
        };
        if self.prefers_own_session(&peer, now) {
            return;
        }
        if peer < self.me.identity {
            self.attempts.remove(&peer);
        }
        let token = match half.caller {
            Caller::Invite(token) => Some(token),
            Caller::Contact(_) => None,
        };
        let is_stranger = token.is_some_and(|token| self.book.is_public(&token));
        if token.is_some() && !self.friends.has_room_for(&peer, is_stranger) {
            return;
        }
        let Ok(finished) = half.handshake.split() else {
            return;
        };
        let beginning = Beginning {
            role: Role::Responder,
            peer,
            peer_device: device,
            own: self.me.identity,
            own_device: self.me.device.x_public(),
            own_cert: self.me.cert.clone(),
            finished,
            index_in: finish.sidx,
            index_out: half.sidx,
            path,
            others: Paths::new(),
            finish: None,
            rtt: Some(now.mono.saturating_sub(half.replied_at)),
        };
        self.begin_session(beginning, now);
        if let (Some(token), true) = (token, self.by_peer.contains_key(&peer)) {
            self.friends.came_by_invite(peer, token, is_stranger);
        }
    }

    /// A forged FINISH must change nothing: the good one may still be on its way.
    fn renew_half_open(&mut self, index: u32) {
        let Some(half) = self.half_open.get(&index) else {
            return;
        };
        let noise = &half.hello[HELLO_HEAD..MAC1_COVERS];
        let Ok((handshake, _)) = self.answer_hello(noise, index, &half.seed) else {
            return;
        };
        if let Some(half) = self.half_open.get_mut(&index) {
            half.handshake = handshake;
        }
    }

    /// Who the caller has proven to be, if he is somebody we want to hear.
    fn judge_caller(
        &self,
        caller: Caller,
        cert: &DeviceCert,
        device: &[u8; 32],
        now: Now,
    ) -> Option<PeerId> {
        let expected = match &caller {
            Caller::Contact(peer) => Some(peer),
            Caller::Invite(_) => None,
        };
        cert.verify(device, expected, now.unix).ok()?;
        let peer = cert.identity();
        let is_blocked = self.book.get(&peer).is_some_and(|contact| contact.blocked);
        let may_enter = match &caller {
            Caller::Contact(_) => true,
            Caller::Invite(token) => self.book.may_claim(token, &peer, now.unix),
        };
        let is_welcome = peer != self.me.identity && !is_blocked;
        (is_welcome && may_enter).then_some(peer)
    }

    fn receive_reply(&mut self, from: Path, reply: &Reply<'_>, now: Now) {
        let found = self
            .attempts
            .iter_mut()
            .find(|(_, attempt)| attempt.has_index(reply.sidx_i));
        let Some((&peer, attempt)) = found else {
            return;
        };
        let Ok(index_out) = attempt.take_reply(reply) else {
            return;
        };
        let path = attempt.path_to(from);
        let Some(attempt) = self.attempts.remove(&peer) else {
            return;
        };
        let Answered {
            target,
            mut handshake,
            index_in,
            index_out,
            rtt,
        } = attempt.answered(reply.sidx_i, index_out, now.mono);
        let Ok(noise) = handshake.write_finish(&self.me.cert) else {
            return;
        };
        let Ok(finished) = handshake.split() else {
            return;
        };
        let beginning = Beginning {
            role: Role::Initiator,
            peer,
            peer_device: target.device,
            own: self.me.identity,
            own_device: self.me.device.x_public(),
            own_cert: self.me.cert.clone(),
            finished,
            index_in,
            index_out,
            path,
            others: target.paths,
            finish: Some(wire::finish(index_out, &noise)),
            rtt: Some(rtt),
        };
        self.begin_session(beginning, now);
    }

    fn receive_cookie(&mut self, from: Path, cookie: &Cookie<'_>) {
        let found = self
            .attempts
            .values_mut()
            .find(|attempt| attempt.has_index(cookie.sidx));
        if let Some(hello) = found.and_then(|attempt| attempt.take_cookie(from, cookie)) {
            self.out.push_back(Output::Transmit(from, hello));
        }
    }

    /// One session a peer: a new one, which the peer has made with its keys, replaces the old one.
    fn begin_session(&mut self, beginning: Beginning, now: Now) {
        let peer = beginning.peer;
        let is_new = !self.by_peer.contains_key(&peer);
        if is_new && self.by_peer.len() >= MAX_SESSIONS {
            return;
        }
        self.replace_session(peer, now);
        // The peer was faster: what we still try would only make one more session in its place.
        self.attempts.remove(&peer);
        let mut io = Io {
            now: now.mono,
            unix: now.unix,
            rng: &mut self.rng,
            out: &mut self.out,
        };
        let session = Session::new(beginning, &mut io);
        let id: SessionId = self.next_session;
        self.next_session += 1;
        self.sessions.insert(id, session);
        self.by_peer.insert(peer, id);
    }

    fn replace_session(&mut self, peer: PeerId, now: Now) {
        let Some(old) = self.by_peer.remove(&peer) else {
            return;
        };
        let was_open = self.sessions.get(&old).is_some_and(Session::is_open);
        self.forget_session(old);
        self.texts.unsend(&peer);
        if was_open {
            self.end_replaced_call(peer, now);
        }
    }
}

const MAX_HALF_OPEN: usize = 256;
const HALF_OPEN_LIFE: Duration = Duration::from_secs(5);
/// Most sessions at once.
const MAX_SESSIONS: usize = 32;
/// How long the lower identity insists on its own HELLO when both dial.
const GLARE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::stun;

    #[test]
    fn the_answer_of_a_mirror_is_no_hello() {
        for seen in ["203.0.113.1:4000", "[2001:db8::1]:4000"] {
            let answer = stun::response(&[7; 12], seen.parse().expect(seen));
            assert!(!wire::is_ours(&answer), "{seen}");
            assert!(wire::parse(&answer).is_none());
        }
        let mut hello = [0; 120];
        hello[..2].copy_from_slice(&[1, 1]);
        assert!(wire::is_ours(&hello));
        assert!(wire::is_ours(&[0x10; 60]) && !wire::is_ours(&[0x20; 60]));
    }
}
