//! The four words: a short authentication string by commitment (after ZRTP, RFC 6189).
//!
//! The caller commits to a nonce before he sees the callee's, so that a man in the middle has one
//! guess in 2^32 and no way to try. What the words stand for is the transcript of both key exchanges
//! and both identities.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::keys::derive;
use crate::peer::{PeerId, words};

/// What both ends of a session agree on if nobody stands between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript([u8; 32]);

/// The ingredients of a [`Transcript`].
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    pub handshake: &'a [u8; 32],
    pub ek: &'a [u8],
    pub ct: &'a [u8],
    pub initiator: &'a PeerId,
    pub responder: &'a PeerId,
    pub initiator_device: &'a [u8; 32],
    pub responder_device: &'a [u8; 32],
}

impl Transcript {
    pub fn new(parts: &Parts<'_>) -> Transcript {
        let hash = Sha256::new()
            .chain_update(b"twocan/1 transcript\0")
            .chain_update(parts.handshake)
            .chain_update(parts.ek)
            .chain_update(parts.ct)
            .chain_update(parts.initiator.as_bytes())
            .chain_update(parts.responder.as_bytes())
            .chain_update(parts.initiator_device)
            .chain_update(parts.responder_device);
        Transcript(hash.finalize().into())
    }

    #[cfg(test)]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the caller sends before he knows the callee's nonce.
    pub fn commit(&self, caller_nonce: &[u8; 32]) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"twocan/1 sas commit\0")
            .chain_update(caller_nonce)
            .chain_update(self.0)
            .finalize()
            .into()
    }

    /// Whether the caller has revealed what he had committed to.
    pub fn is_kept(&self, commit: &[u8; 32], caller_nonce: &[u8; 32]) -> bool {
        self.commit(caller_nonce).ct_eq(commit).into()
    }

    /// The four words that both people should read alike.
    pub fn words(&self, caller_nonce: &[u8; 32], callee_nonce: &[u8; 32]) -> [String; 4] {
        let mut nonces = [0; 64];
        nonces[..32].copy_from_slice(caller_nonce);
        nonces[32..].copy_from_slice(callee_nonce);
        let mut bytes = [0; 4];
        derive(&self.0, &nonces, b"twocan/1 sas", &mut bytes);
        words::sas(&bytes)
    }
}
