//! `Noise_XK_25519_ChaChaPoly_SHA256`, written by hand from the specification (revision 34).
//!
//! Shares no code with the phone, which uses snow: if both agree, both are right. Ephemeral keys
//! are given from outside, and may be bad on purpose.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

/// An X25519 pair. One whose public half is a low-order point shares zeros with everybody.
#[derive(Clone)]
pub struct Key {
    secret: [u8; 32],
    pub public: [u8; 32],
    is_weak: bool,
}

impl Key {
    pub fn new(secret: [u8; 32]) -> Key {
        let public = PublicKey::from(&StaticSecret::from(secret)).to_bytes();
        Key {
            secret,
            public,
            is_weak: false,
        }
    }

    pub fn weak(public: [u8; 32]) -> Key {
        Key {
            secret: [1; 32],
            public,
            is_weak: true,
        }
    }

    fn dh(&self, other: &[u8; 32]) -> [u8; 32] {
        if self.is_weak {
            return [0; 32];
        }
        let shared = StaticSecret::from(self.secret).diffie_hellman(&PublicKey::from(*other));
        shared.to_bytes()
    }
}

/// One side of the handshake.
pub struct Xk {
    s: Key,
    e: Key,
    rs: [u8; 32],
    re: [u8; 32],
    h: [u8; 32],
    ck: [u8; 32],
    k: [u8; 32],
    n: u64,
}

/// What a finished handshake gives.
pub struct Split {
    pub hash: [u8; 32],
    pub i2r: [u8; 32],
    pub r2i: [u8; 32],
}

impl Xk {
    pub fn initiator(s: Key, e: Key, responder: [u8; 32], prologue: &[u8]) -> Xk {
        Xk::new(s, e, responder, &responder, prologue)
    }

    pub fn responder(s: Key, e: Key, prologue: &[u8]) -> Xk {
        let own = s.public;
        Xk::new(s, e, [0; 32], &own, prologue)
    }

    fn new(s: Key, e: Key, rs: [u8; 32], responder: &[u8; 32], prologue: &[u8]) -> Xk {
        let name = *b"Noise_XK_25519_ChaChaPoly_SHA256";
        let mut xk = Xk {
            s,
            e,
            rs,
            re: [0; 32],
            h: name,
            ck: name,
            k: [0; 32],
            n: 0,
        };
        xk.mix_hash(prologue);
        xk.mix_hash(responder);
        xk
    }

    /// Another static key than at the beginning.
    pub fn set_static(&mut self, s: Key) {
        self.s = s;
    }

    /// `-> e, es`
    pub fn write1(&mut self, payload: &[u8]) -> Vec<u8> {
        let e = self.e.public;
        self.mix_hash(&e);
        self.mix_key(&self.e.dh(&self.rs));
        [e.to_vec(), self.seal(payload)].concat()
    }

    pub fn read1(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let (re, sealed) = message.split_first_chunk()?;
        self.re = *re;
        self.mix_hash(re);
        self.mix_key(&self.s.dh(re));
        self.open(sealed)
    }

    /// `<- e, ee`
    pub fn write2(&mut self, payload: &[u8]) -> Vec<u8> {
        let e = self.e.public;
        self.mix_hash(&e);
        self.mix_key(&self.e.dh(&self.re));
        [e.to_vec(), self.seal(payload)].concat()
    }

    pub fn read2(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let (re, sealed) = message.split_first_chunk()?;
        self.re = *re;
        self.mix_hash(re);
        self.mix_key(&self.e.dh(re));
        self.open(sealed)
    }

    /// `-> s, se`
    pub fn write3(&mut self, payload: &[u8]) -> Vec<u8> {
        let s = self.seal(&self.s.public.clone());
        self.mix_key(&self.s.dh(&self.re));
        [s, self.seal(payload)].concat()
    }

    /// The initiator's static key and payload.
    pub fn read3(&mut self, message: &[u8]) -> Option<([u8; 32], Vec<u8>)> {
        let (s, sealed) = message.split_at_checked(48)?;
        self.rs = self.open(s)?.try_into().ok()?;
        self.mix_key(&self.e.dh(&self.rs));
        Some((self.rs, self.open(sealed)?))
    }

    pub fn split(self) -> Split {
        let (i2r, r2i) = hkdf2(&self.ck, b"");
        Split {
            hash: self.h,
            i2r,
            r2i,
        }
    }

    fn mix_hash(&mut self, data: &[u8]) {
        self.h = Sha256::new()
            .chain_update(self.h)
            .chain_update(data)
            .finalize()
            .into();
    }

    fn mix_key(&mut self, shared: &[u8]) {
        (self.ck, self.k) = hkdf2(&self.ck, shared);
        self.n = 0;
    }

    fn seal(&mut self, payload: &[u8]) -> Vec<u8> {
        let sealed = cipher(&self.k)
            .encrypt(
                &nonce(self.n).into(),
                Payload {
                    msg: payload,
                    aad: &self.h,
                },
            )
            .expect("short messages");
        self.n += 1;
        self.mix_hash(&sealed);
        sealed
    }

    fn open(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload {
            msg: sealed,
            aad: &self.h,
        };
        let opened = cipher(&self.k)
            .decrypt(&nonce(self.n).into(), payload)
            .ok()?;
        self.n += 1;
        self.mix_hash(sealed);
        Some(opened)
    }
}

pub fn hmac(key: &[u8], data: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length");
    data.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// 4 zero bytes and the counter.
pub fn nonce(n: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&n.to_le_bytes());
    nonce
}

pub fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.into())
}

fn hkdf2(ck: &[u8; 32], input: &[u8]) -> ([u8; 32], [u8; 32]) {
    let temp = hmac(ck, &[input]);
    let first = hmac(&temp, &[&[1]]);
    let second = hmac(&temp, &[&first, &[2]]);
    (first, second)
}
