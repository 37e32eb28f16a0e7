//! The key schedule: from the handshake's two keys to the keys of each epoch.
//!
//! ```text
//! CK_0 = HKDF-Extract(salt = h, k_i2r | k_r2i)
//! CK_n = HKDF-Extract(salt = CK_{n-1}, xwing_ss_n | SHA256(ek_n | ct_n))
//! key  = HKDF-Expand(CK_n, "twocan/1 " | label | direction)
//! ```
//!
//! A break of X-Wing, of X25519 or of ML-KEM alone leaves every CK_n secret, since each hangs on
//! all before it (the construction of PQXDH and of Mullvad's tunnels: a KEM inside the channel).

use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Which end made the session; fixes the direction byte of every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Initiator,
    Responder,
}

/// CK_n. Not cloneable on purpose: an epoch's chain key is replaced, never kept beside the next.
pub struct ChainKey(Zeroizing<[u8; 32]>);

/// What one end needs to send and receive in one epoch.
pub struct EpochKeys {
    pub send: ChaCha20Poly1305,
    pub receive: ChaCha20Poly1305,
    /// Index that stands in packets to us.
    pub index_in: u32,
    /// Index that stands in packets to the peer.
    pub index_out: u32,
}

impl ChainKey {
    /// CK_0, from the handshake hash and the two split keys.
    pub fn first(hash: &[u8], i2r: &[u8; 32], r2i: &[u8; 32]) -> ChainKey {
        let mut secret = Zeroizing::new([0; 64]);
        secret[..32].copy_from_slice(i2r);
        secret[32..].copy_from_slice(r2i);
        extract(hash, secret.as_ref())
    }

    /// CK_n from CK_{n-1} and a finished X-Wing exchange.
    pub fn next(&self, shared: &[u8; 32], ek: &[u8], ct: &[u8]) -> ChainKey {
        let mut secret = Zeroizing::new([0; 64]);
        secret[..32].copy_from_slice(shared);
        secret[32..].copy_from_slice(&Sha256::new().chain_update(ek).chain_update(ct).finalize());
        extract(self.0.as_ref(), secret.as_ref())
    }

    #[cfg(test)]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The keys of this epoch as seen from `role`.
    pub fn epoch(&self, role: Role) -> EpochKeys {
        let (out, back) = match role {
            Role::Initiator => (0, 1),
            Role::Responder => (1, 0),
        };
        EpochKeys {
            send: self.cipher(out),
            receive: self.cipher(back),
            index_out: self.index(out),
            index_in: self.index(back),
        }
    }

    fn cipher(&self, direction: u8) -> ChaCha20Poly1305 {
        let mut key = Zeroizing::new([0; 32]);
        self.expand("data", direction, key.as_mut());
        ChaCha20Poly1305::new((&*key).into())
    }

    fn index(&self, direction: u8) -> u32 {
        let mut index = [0; 4];
        self.expand("idx", direction, &mut index);
        u32::from_le_bytes(index)
    }

    fn expand(&self, label: &str, direction: u8, out: &mut [u8]) {
        let info = [b"twocan/1 ", label.as_bytes(), &[direction]].concat();
        expand(self.0.as_ref(), &info, out);
    }
}

pub type HmacSha256 = Hmac<Sha256>;

pub fn keyed(key: &[u8]) -> HmacSha256 {
    <HmacSha256 as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// The first 16 bytes of the MAC.
pub fn truncated(mac: HmacSha256) -> [u8; 16] {
    let whole = mac.finalize().into_bytes();
    *whole
        .first_chunk()
        .expect("SHA-256 is longer than 16 bytes")
}

/// HKDF-SHA256 from input keying material that is already uniform.
pub fn derive(salt: &[u8], secret: &[u8], info: &[u8], out: &mut [u8]) {
    let (prk, _) = Hkdf::<Sha256>::extract(Some(salt), secret);
    let prk = Zeroizing::new(<[u8; 32]>::from(prk));
    expand(prk.as_ref(), info, out);
}

fn extract(salt: &[u8], secret: &[u8]) -> ChainKey {
    let (prk, _) = Hkdf::<Sha256>::extract(Some(salt), secret);
    ChainKey(Zeroizing::new(prk.into()))
}

fn expand(prk: &[u8], info: &[u8], out: &mut [u8]) {
    Hkdf::<Sha256>::from_prk(prk)
        .expect("a chain key is as long as the hash")
        .expand(info, out)
        .expect("all outputs are far shorter than 255 hashes");
}

impl std::fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChainKey(..)")
    }
}

impl std::fmt::Debug for EpochKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EpochKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_hold_the_same_indices_crosswise() {
        let chain = ChainKey::first(&[1; 32], &[2; 32], &[3; 32]);
        let ours = chain.epoch(Role::Initiator);
        let theirs = chain.epoch(Role::Responder);
        assert_eq!(ours.index_in, theirs.index_out);
        assert_eq!(ours.index_out, theirs.index_in);
        assert_ne!(ours.index_in, ours.index_out);
    }

    #[test]
    fn every_input_changes_the_next_chain_key() {
        let chain = ChainKey::first(&[1; 32], &[2; 32], &[3; 32]);
        let index = |shared: u8, ek: u8, ct: u8| {
            chain
                .next(&[shared; 32], &[ek; 1216], &[ct; 1120])
                .epoch(Role::Initiator)
                .index_in
        };
        let base = index(1, 1, 1);
        assert_ne!(base, index(2, 1, 1));
        assert_ne!(base, index(1, 2, 1));
        assert_ne!(base, index(1, 1, 2));
    }
}
