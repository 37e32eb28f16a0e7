//! The secrets of `identity.key` behind a passphrase.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::hex::Hex;
use crate::disk::DiskError;
use crate::peer::PeerId;

/// Bytes of the secrets: seed, X25519 and Ed25519 secret of the device.
pub(super) const SECRETS: usize = 96;

/// Argon2id (RFC 9106, one lane) over the passphrase gives the key of an XChaCha20-Poly1305 box
/// around the secrets, with `"twocan/1 identity.key\0" | I` as associated data.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    argon2id_kib: u32,
    argon2id_passes: u32,
    salt: Hex<16>,
    nonce: Hex<24>,
    #[serde(rename = "box")]
    sealed: Hex<{ SECRETS + 16 }>,
}

impl Sealed {
    pub(super) fn seal(
        secrets: &[u8; SECRETS],
        passphrase: &str,
        id: &PeerId,
    ) -> Result<Sealed, DiskError> {
        let mut sealed = Sealed {
            argon2id_kib: MEMORY_KIB,
            argon2id_passes: PASSES,
            salt: Hex([0; 16]),
            nonce: Hex([0; 24]),
            sealed: Hex([0; SECRETS + 16]),
        };
        getrandom::fill(&mut sealed.salt.0)?;
        getrandom::fill(&mut sealed.nonce.0)?;
        let aad = associated(id);
        let payload = Payload {
            msg: secrets,
            aad: &aad,
        };
        let cipher = XChaCha20Poly1305::new(&(*sealed.stretch(passphrase)?).into());
        let boxed = cipher
            .encrypt(&XNonce::from(sealed.nonce.0), payload)
            .expect("a message of 96 bytes can be sealed");
        sealed.sealed.0.copy_from_slice(&boxed);
        Ok(sealed)
    }

    /// `None` if the passphrase is wrong or anything was changed.
    pub(super) fn open(
        &self,
        passphrase: &str,
        id: &PeerId,
    ) -> Result<Option<Zeroizing<[u8; SECRETS]>>, DiskError> {
        let cipher = XChaCha20Poly1305::new(&(*self.stretch(passphrase)?).into());
        let aad = associated(id);
        let payload = Payload {
            msg: &self.sealed.0,
            aad: &aad,
        };
        let Ok(opened) = cipher.decrypt(&XNonce::from(self.nonce.0), payload) else {
            return Ok(None);
        };
        let opened = Zeroizing::new(opened);
        let mut secrets = Zeroizing::new([0; SECRETS]);
        secrets.copy_from_slice(&opened);
        Ok(Some(secrets))
    }

    /// A file from elsewhere must not make this program eat all memory or hang.
    pub(super) fn bounds(&self) -> Result<(), &'static str> {
        match (self.argon2id_kib, self.argon2id_passes) {
            (8..=MOST_MEMORY_KIB, 1..=MOST_PASSES) => Ok(()),
            _ => Err("argon2id_kib must be 8 to 1048576 and argon2id_passes 1 to 64"),
        }
    }

    fn stretch(&self, passphrase: &str) -> Result<Zeroizing<[u8; 32]>, DiskError> {
        let params = Params::new(self.argon2id_kib, self.argon2id_passes, 1, Some(32));
        let params = params.map_err(|_| DiskError::Stretching)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &self.salt.0, &mut *key)
            .map_err(|_| DiskError::Stretching)?;
        Ok(key)
    }
}

fn associated(id: &PeerId) -> Vec<u8> {
    [b"twocan/1 identity.key\0".as_slice(), id.as_bytes()].concat()
}

const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const MOST_MEMORY_KIB: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 64;
