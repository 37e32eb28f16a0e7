//! Keys that are an identity to those who hold a secret, and a stranger to everybody else.
//!
//! The directory is kept by machines of unknown people. A record there stands under the identity
//! key multiplied by a number that follows from a secret and the day: who knows identity and secret
//! finds the key, only the owner of the identity can sign with it, and without the secret nobody
//! can tell it from a random key, nor two days of it from two people. The idea is Tor's (rend-spec
//! version 3, appendix A.2), with a secret in the place of public values and without clamping.

use std::fmt;

use curve25519_dalek::Scalar;
use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{SigningKey, VerifyingKey};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use crate::peer::{PeerId, Secret32};

/// What of an identity makes blinded keys. It can sign nothing else.
pub struct Blinder {
    /// `a`, with `I = a B`.
    scalar: Zeroizing<Scalar>,
    /// From which the nonces of the identity's own signatures come; only hashed further here.
    prefix: Zeroizing<[u8; 32]>,
    id: PeerId,
}

impl Blinder {
    pub(super) fn new(key: &SigningKey, id: PeerId) -> Blinder {
        let expanded = ExpandedSecretKey::from(key.as_bytes());
        Blinder {
            scalar: Zeroizing::new(expanded.scalar),
            prefix: Zeroizing::new(expanded.hash_prefix),
            id,
        }
    }

    pub fn id(&self) -> PeerId {
        self.id
    }

    /// The key of this identity for `secret` in the day `period`: `a' = b a mod L`.
    ///
    /// Its nonces come from a prefix of its own, so that no nonce is ever shared with another key
    /// whose relation to this one somebody knows.
    pub fn key(&self, secret: &Secret32, period: u64) -> BlindKey {
        let scalar = factor(&self.id, secret, period) * *self.scalar;
        let prefix = Sha512::new()
            .chain_update(PREFIX)
            .chain_update(*self.prefix)
            .chain_update(secret.as_bytes())
            .chain_update(period.to_be_bytes())
            .finalize();
        let mut hash_prefix = [0; 32];
        hash_prefix.copy_from_slice(&prefix[..32]);
        let expanded = ExpandedSecretKey {
            scalar,
            hash_prefix,
        };
        let public = VerifyingKey::from(&expanded);
        BlindKey { expanded, public }
    }
}

impl fmt::Debug for Blinder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blinder({:?})", self.id)
    }
}

/// An Ed25519 key pair for one secret and one day.
pub struct BlindKey {
    expanded: ExpandedSecretKey,
    public: VerifyingKey,
}

impl BlindKey {
    /// `A'`.
    pub fn public(&self) -> [u8; 32] {
        self.public.to_bytes()
    }

    /// A signature that any Ed25519 verifier takes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        raw_sign::<Sha512>(&self.expanded, message, &self.public).to_bytes()
    }
}

impl fmt::Debug for BlindKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlindKey([redacted])")
    }
}

impl PeerId {
    /// `A' = b I`: under which key that identity's record stands for `secret` in the day `period`.
    pub fn blinded(&self, secret: &Secret32, period: u64) -> [u8; 32] {
        let point = CompressedEdwardsY(*self.as_bytes())
            .decompress()
            .expect("a PeerId is a sound point by construction");
        (factor(self, secret, period) * point).compress().to_bytes()
    }
}

/// `b = SHA-512("twocan/1 blind\0" | secret | I | period, big-endian) mod L`. Never clamped: the
/// order of `I` is `L`, so there is no torsion to clear, and clamping would undo the product.
fn factor(id: &PeerId, secret: &Secret32, period: u64) -> Scalar {
    let hash = Sha512::new()
        .chain_update(BLIND)
        .chain_update(secret.as_bytes())
        .chain_update(id.as_bytes())
        .chain_update(period.to_be_bytes())
        .finalize();
    let mut wide = Zeroizing::new([0; 64]);
    wide.copy_from_slice(&hash);
    Scalar::from_bytes_mod_order_wide(&wide)
}

const BLIND: &[u8] = b"twocan/1 blind\0";
const PREFIX: &[u8] = b"twocan/1 blind prefix\0";

#[cfg(test)]
mod tests {
    use ed25519_dalek::Signature;

    use super::*;
    use crate::peer::{Identity, Seed};

    fn identity(byte: u8) -> Identity {
        Identity::from_seed(&Seed::from_bytes([byte; 32]))
    }

    /// `A'` and the signature were made by another implementation (Python, RFC 8032's own code).
    #[test]
    fn known_answer() {
        let key = identity(1).blinder().key(&Secret32::new([2; 32]), 20_000);
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(&key.public()), PUBLIC);
        assert_eq!(hex(&key.sign(b"hello")), SIGNATURE);
    }

    #[test]
    fn owner_and_reader_find_the_same_key_and_it_signs() {
        for byte in 0..20 {
            let (identity, secret) = (identity(byte), Secret32::new([byte ^ 0x55; 32]));
            let period = u64::from(byte) << 50;
            let key = identity.blinder().key(&secret, period);
            assert_eq!(key.public(), identity.id().blinded(&secret, period));
            assert!(PeerId::from_bytes(key.public()).is_ok(), "a sound point");
            let verifier = VerifyingKey::from_bytes(&key.public()).expect("a point");
            let signature = Signature::from_bytes(&key.sign(b"words"));
            assert!(verifier.verify_strict(b"words", &signature).is_ok());
            assert!(verifier.verify_strict(b"sword", &signature).is_err());
        }
    }

    #[test]
    fn identity_secret_and_day_all_change_the_key() {
        let secret = Secret32::new([1; 32]);
        let base = identity(1).id().blinded(&secret, 7);
        assert_ne!(base, identity(2).id().blinded(&secret, 7));
        assert_ne!(base, identity(1).id().blinded(&secret, 8));
        let other = Secret32::new([3; 32]);
        assert_ne!(base, identity(1).id().blinded(&other, 7));
        assert_ne!(&base, identity(1).id().as_bytes());
    }

    #[test]
    fn nothing_secret_is_printed() {
        let blinder = identity(1).blinder();
        let key = blinder.key(&Secret32::new([1; 32]), 7);
        assert_eq!(format!("{key:?}"), "BlindKey([redacted])");
        assert_eq!(
            format!("{blinder:?}"),
            format!("Blinder({:?})", identity(1).id())
        );
    }

    const PUBLIC: &str = "1248ec94203783bfcd61f17b8ee045ed04aac4cb73d918f244330ec9dd6a2f3b";
    const SIGNATURE: &str = "c6f4ecb512b2654f91212a453a80200b8e6c943f1a0495680ff4fdfea8ca61e2\
        7ad391b85e6e1ccdcf282e20904f0506a0e8984102990e45b9f6f26ef0472c06";
}
