//! The key encapsulation inside the session: the first makes epoch 1, the others renew.

use std::time::Duration;

use rand_core::Rng;

use super::{Heard, Io, Loss, Session, Stage};
use crate::peer::DeviceCert;
use crate::phone::kem::{self, CT, EK, Offer};
use crate::phone::keys::Role;
use crate::phone::sas::{Parts, Transcript};
use crate::phone::timer::Timer;

impl Session {
    /// As initiator: offer a fresh encapsulation key for the next epoch.
    pub(super) fn offer_keys(&mut self, io: &mut Io<'_>) {
        let offer = Offer::new(io.rng);
        let mut body = vec![self.next_epoch()];
        body.extend(offer.ek.iter());
        if self.keys.out.push(OFFER, &body).is_err() {
            self.lose(Loss::Protocol);
            return;
        }
        self.offer = Some(offer);
    }

    /// A message of the key stream.
    pub(super) fn take_keys(&mut self, kind: u8, body: &[u8], io: &mut Io<'_>) {
        let Some((&epoch, body)) = body.split_first() else {
            return self.lose(Loss::Protocol);
        };
        if epoch != self.next_epoch() {
            return self.lose(Loss::Protocol);
        }
        match (kind, self.role) {
            (OFFER, Role::Responder) => self.take_offer(body, io),
            (ANSWER, Role::Initiator) => self.take_answer(body, io),
            _ => self.lose(Loss::Protocol),
        }
    }

    /// The initiator has sent on the epoch that we had prepared: now we send on it as well.
    pub(super) fn confirm_epoch(&mut self, io: &mut Io<'_>) {
        self.begin_epoch(io.now);
        if self.stage == Stage::Keys {
            self.open(io);
        }
    }

    fn take_offer(&mut self, body: &[u8], io: &mut Io<'_>) {
        let Ok(ek) = <&[u8; EK]>::try_from(body) else {
            return self.lose(Loss::Protocol);
        };
        let Ok((ct, shared)) = kem::answer(ek, io.rng) else {
            return self.lose(Loss::Protocol);
        };
        self.remember_transcript(ek, ct.as_slice());
        self.channel.prepare(&shared, ek, ct.as_slice(), io.now);
        self.indices_changed = true;
        let mut body = vec![self.next_epoch()];
        body.extend(ct.iter());
        body.extend(self.own_cert.to_bytes());
        if self.keys.out.push(ANSWER, &body).is_err() {
            self.lose(Loss::Protocol);
        }
    }

    fn take_answer(&mut self, body: &[u8], io: &mut Io<'_>) {
        let Some((ct, cert)) = body.split_first_chunk::<CT>() else {
            return self.lose(Loss::Protocol);
        };
        let Some(offer) = self.offer.take() else {
            return self.lose(Loss::Protocol);
        };
        if !self.is_peers(cert, io.unix) {
            return self.lose(Loss::WrongIdentity);
        }
        let Ok(shared) = offer.accept(ct) else {
            return self.lose(Loss::Protocol);
        };
        self.remember_transcript(offer.ek.as_slice(), ct);
        self.channel
            .advance(&shared, offer.ek.as_slice(), ct, io.now);
        self.begin_epoch(io.now);
        let spread = u64::from(io.rng.next_u32()) % (2 * REKEY_SPREAD.as_millis() as u64);
        let after = REKEY - REKEY_SPREAD + Duration::from_millis(spread);
        self.timers.set(Timer::Rekey, io.now + after);
        if self.stage == Stage::Keys {
            self.open(io);
        }
    }

    /// Whether the certificate binds the device that we talk with to the identity that we dialled.
    fn is_peers(&self, cert: &[u8], unix: u64) -> bool {
        DeviceCert::parse(cert).is_ok_and(|cert| {
            cert.verify(&self.identities.peer_device, Some(&self.peer), unix)
                .is_ok()
        })
    }

    fn open(&mut self, io: &mut Io<'_>) {
        self.stage = Stage::Open;
        self.timers
            .set(Timer::Ping, io.now + super::clockwork::PING_IDLE);
        self.events.push_back(Heard::Up);
        self.offer_others(io);
    }

    fn begin_epoch(&mut self, now: Duration) {
        self.indices_changed = true;
        self.timers.set(Timer::KeyAge, now + KEY_AGE);
        self.timers
            .set_or_stop(Timer::Forget, self.channel.deadline());
    }

    /// The words of a session stand for its first exchange.
    fn remember_transcript(&mut self, ek: &[u8], ct: &[u8]) {
        if self.transcript.is_some() {
            return;
        }
        let ids = &self.identities;
        let own = (&ids.own, &ids.own_device);
        let peer = (&self.peer, &ids.peer_device);
        let (initiator, responder) = match self.role {
            Role::Initiator => (own, peer),
            Role::Responder => (peer, own),
        };
        self.transcript = Some(Transcript::new(&Parts {
            handshake: &ids.handshake,
            ek,
            ct,
            initiator: initiator.0,
            responder: responder.0,
            initiator_device: initiator.1,
            responder_device: responder.1,
        }));
    }

    /// Number of the epoch that the next exchange makes, modulo 256.
    fn next_epoch(&self) -> u8 {
        (self.channel.epoch() + 1) as u8
    }
}

/// Messages of the key stream: `epoch u8 | ek 1216` and `epoch u8 | ct 1120 | certificate 138`.
const OFFER: u8 = 1;
const ANSWER: u8 = 2;

/// Time between two exchanges, give or take [`REKEY_SPREAD`].
const REKEY: Duration = Duration::from_secs(120);
const REKEY_SPREAD: Duration = Duration::from_secs(12);
/// No packet is sent on keys older than this.
const KEY_AGE: Duration = Duration::from_secs(180);
