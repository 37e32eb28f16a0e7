//! The sealed blob inside a record: one size, whatever is in it.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::directory::Name;
use crate::peer::Secret32;

/// Bytes of what is sealed.
pub(super) const PLAIN: usize = 1280;
/// Bytes of a blob: `1 | nonce 24 | ciphertext 1280 | tag 16`.
pub(super) const BLOB: usize = 1 + NONCE + PLAIN + 16;

/// Seals and opens what stands under one name.
pub(super) struct Seal {
    cipher: XChaCha20Poly1305,
    nonces: Zeroizing<[u8; 32]>,
    context: [u8; 40],
}

impl Seal {
    /// The keys follow from the secret, the name and the period, so each day has its own.
    pub(super) fn new(secret: &Secret32, name: &Name, period: u64) -> Seal {
        let mut context = [0; 40];
        context[..32].copy_from_slice(&name.0);
        context[32..].copy_from_slice(&period.to_be_bytes());
        let mut keys = Zeroizing::new([0; 64]);
        Hkdf::<Sha256>::new(None, secret.as_bytes())
            .expand_multi_info(&[b"twocan/1 record", &context], &mut *keys)
            .expect("HKDF-SHA256 yields up to 8160 bytes");
        let (key, rest) = keys.split_at(32);
        let mut nonces = Zeroizing::new([0; 32]);
        nonces.copy_from_slice(rest);
        let cipher = XChaCha20Poly1305::new_from_slice(key).expect("32 bytes are a key");
        Seal {
            cipher,
            nonces,
            context,
        }
    }

    /// Seals `plain`. The nonce is taken from `fresh`, which should be random, and from the text:
    /// should `fresh` ever repeat, no two texts share a nonce all the same.
    pub(super) fn seal(&self, plain: &[u8; PLAIN], fresh: &[u8; 32]) -> [u8; BLOB] {
        let mut blob = [0; BLOB];
        blob[0] = VERSION;
        let (nonce, text) = blob[1..].split_at_mut(NONCE);
        Hkdf::<Sha256>::new(Some(&*self.nonces), plain)
            .expand(fresh, nonce)
            .expect("HKDF-SHA256 yields up to 8160 bytes");
        let (text, tag) = text.split_at_mut(PLAIN);
        text.copy_from_slice(plain);
        let nonce: &[u8; NONCE] = (&*nonce).try_into().expect("24 bytes");
        let made = self
            .cipher
            .encrypt_inout_detached(&(*nonce).into(), &self.context, text.into())
            .expect("1280 bytes are not too long");
        tag.copy_from_slice(&made);
        blob
    }

    /// The text of a blob, or nothing if the blob is not from one who knew the secret, not for
    /// this name and day, or not whole.
    pub(super) fn open(&self, blob: &[u8]) -> Option<Zeroizing<[u8; PLAIN]>> {
        let blob: &[u8; BLOB] = blob.try_into().ok()?;
        let (head, text) = blob.split_at(1 + NONCE);
        let (text, tag) = text.split_at(PLAIN);
        let nonce: [u8; NONCE] = head[1..].try_into().ok()?;
        let tag: [u8; 16] = tag.try_into().ok()?;
        if head[0] != VERSION {
            return None;
        }
        let mut plain = Zeroizing::new([0; PLAIN]);
        plain.copy_from_slice(text);
        self.cipher
            .decrypt_inout_detached(
                &nonce.into(),
                &self.context,
                plain.as_mut_slice().into(),
                &tag.into(),
            )
            .ok()?;
        Some(plain)
    }
}

const VERSION: u8 = 1;
const NONCE: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        Seal::new(&Secret32::new([1; 32]), &Name([2; 32]), 3)
    }

    #[test]
    fn what_is_sealed_opens_again_and_only_under_its_name_and_day() {
        let plain = std::array::from_fn(|at| at as u8);
        let blob = seal().seal(&plain, &[4; 32]);
        assert_eq!(seal().open(&blob).as_deref(), Some(&plain));
        let others = [
            Seal::new(&Secret32::new([9; 32]), &Name([2; 32]), 3),
            Seal::new(&Secret32::new([1; 32]), &Name([9; 32]), 3),
            Seal::new(&Secret32::new([1; 32]), &Name([2; 32]), 4),
        ];
        assert!(others.iter().all(|other| other.open(&blob).is_none()));
    }

    #[test]
    fn every_bit_and_every_byte_of_length_counts() {
        let blob = seal().seal(&[7; PLAIN], &[4; 32]);
        for bit in 0..BLOB * 8 {
            let mut bad = blob;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(seal().open(&bad).is_none(), "bit {bit}");
        }
        for length in 0..BLOB {
            assert!(seal().open(&blob[..length]).is_none());
        }
        assert!(seal().open(&[&blob[..], &[0]].concat()).is_none());
    }

    #[test]
    fn no_two_texts_share_a_nonce_even_without_randomness() {
        let nonce = |blob: [u8; BLOB]| blob[1..1 + NONCE].to_vec();
        let one = nonce(seal().seal(&[7; PLAIN], &[4; 32]));
        assert_ne!(one, nonce(seal().seal(&[8; PLAIN], &[4; 32])));
        assert_ne!(one, nonce(seal().seal(&[7; PLAIN], &[5; 32])));
    }
}
