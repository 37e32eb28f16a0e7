//! The device certificate: an identity says for how long which device keys speak for it.

use ed25519_dalek::{Signature, VerifyingKey};
use x25519_dalek::{PublicKey, StaticSecret};

use super::id::is_sound;
use crate::peer::{DeviceKeys, PeerId};

/// A certificate as it travels in the handshake.
///
/// 138 bytes, integers little-endian: `I 32 | D_d 32 | not_before u32 | not_after u32 | caps u16 |
/// sig 64`. The signature is by `I` over `"twocan/1 device cert\0" | X_d | I | D_d | not_before |
/// not_after | caps`; `X_d` itself is not repeated, because the handshake proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCert {
    identity: PeerId,
    d_public: [u8; 32],
    not_before: u32,
    not_after: u32,
    caps: u16,
    signature: [u8; 64],
}

impl DeviceCert {
    pub const LEN: usize = 138;

    /// Longest time between `not_before` and `not_after`, in seconds: 35 days.
    pub const MAX_LIFE: u32 = 35 * 86_400;

    /// How far two clocks may differ, in seconds: 2 hours.
    pub const SLACK: u64 = 2 * 3600;

    pub(super) fn issue(
        identity: PeerId,
        device: &DeviceKeys,
        not_before: u32,
        not_after: u32,
        caps: u16,
        sign: impl FnOnce(&[u8]) -> [u8; 64],
    ) -> DeviceCert {
        let mut cert = DeviceCert {
            identity,
            d_public: device.d_public(),
            not_before,
            not_after,
            caps,
            signature: [0; 64],
        };
        cert.signature = sign(&cert.message(&device.x_public()));
        cert
    }

    pub fn to_bytes(&self) -> [u8; DeviceCert::LEN] {
        let mut bytes = [0; DeviceCert::LEN];
        bytes[..FIELDS].copy_from_slice(&self.fields());
        bytes[FIELDS..].copy_from_slice(&self.signature);
        bytes
    }

    /// Reads a certificate without believing it: see [`DeviceCert::verify`].
    ///
    /// # Errors
    /// [`CertError::Length`] for anything but 138 bytes, [`CertError::BadKey`] for an identity or
    /// device key that is not a canonical point of the prime-order group.
    pub fn parse(bytes: &[u8]) -> Result<DeviceCert, CertError> {
        let bytes: &[u8; DeviceCert::LEN] = bytes.try_into().map_err(|_| CertError::Length)?;
        let d_public = part(bytes, 32);
        if !is_sound(&d_public) {
            return Err(CertError::BadKey);
        }
        Ok(DeviceCert {
            identity: PeerId::from_bytes(part(bytes, 0)).map_err(|_| CertError::BadKey)?,
            d_public,
            not_before: u32::from_le_bytes(part(bytes, 64)),
            not_after: u32::from_le_bytes(part(bytes, 68)),
            caps: u16::from_le_bytes(part(bytes, 72)),
            signature: part(bytes, FIELDS),
        })
    }

    /// Checks everything a handshake needs: that the certificate is by `expected` (if given), for
    /// the Noise static key `x_static`, of a life of at most [`DeviceCert::MAX_LIFE`], good at
    /// `unix` (seconds since 1970, with [`DeviceCert::SLACK`]), and signed. The signature is
    /// checked strictly: no malleable or small-order encodings.
    ///
    /// # Errors
    /// The first of these that does not hold.
    pub fn verify(
        &self,
        x_static: &[u8; 32],
        expected: Option<&PeerId>,
        unix: u64,
    ) -> Result<(), CertError> {
        if expected.is_some_and(|id| *id != self.identity) {
            return Err(CertError::OtherIdentity);
        }
        if !contributes(x_static) {
            return Err(CertError::BadKey);
        }
        if self.not_after <= self.not_before || self.not_after - self.not_before > Self::MAX_LIFE {
            return Err(CertError::Life);
        }
        if unix.saturating_add(Self::SLACK) < u64::from(self.not_before) {
            return Err(CertError::NotYet);
        }
        if unix > u64::from(self.not_after) + Self::SLACK {
            return Err(CertError::Expired);
        }
        let key =
            VerifyingKey::from_bytes(self.identity.as_bytes()).map_err(|_| CertError::BadKey)?;
        key.verify_strict(
            &self.message(x_static),
            &Signature::from_bytes(&self.signature),
        )
        .map_err(|_| CertError::Signature)
    }

    pub fn identity(&self) -> PeerId {
        self.identity
    }

    /// `D_d`: the device's Ed25519 key.
    pub fn d_public(&self) -> &[u8; 32] {
        &self.d_public
    }

    /// Seconds since 1970.
    pub fn not_before(&self) -> u32 {
        self.not_before
    }

    /// Seconds since 1970.
    pub fn not_after(&self) -> u32 {
        self.not_after
    }

    /// Bits for what the device can do; unknown bits are kept and ignored.
    pub fn caps(&self) -> u16 {
        self.caps
    }

    fn fields(&self) -> [u8; FIELDS] {
        let mut fields = [0; FIELDS];
        fields[..32].copy_from_slice(self.identity.as_bytes());
        fields[32..64].copy_from_slice(&self.d_public);
        fields[64..68].copy_from_slice(&self.not_before.to_le_bytes());
        fields[68..72].copy_from_slice(&self.not_after.to_le_bytes());
        fields[72..].copy_from_slice(&self.caps.to_le_bytes());
        fields
    }

    fn message(&self, x_static: &[u8; 32]) -> Vec<u8> {
        [CONTEXT, x_static, &self.fields()].concat()
    }
}

/// Why a certificate was not believed. For the log and the screen here; never told to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    #[error("the device certificate has the wrong length")]
    Length,
    #[error("the device certificate names an unsafe key")]
    BadKey,
    #[error("the device certificate is by another identity than expected")]
    OtherIdentity,
    #[error("the device certificate has a life that is not allowed")]
    Life,
    #[error("the device certificate is not good yet: one of the two clocks is wrong")]
    NotYet,
    #[error("the device certificate has expired: one of the two clocks is wrong, or it was stolen")]
    Expired,
    #[error("the signature on the device certificate is wrong")]
    Signature,
}

/// True if a Diffie-Hellman with this X25519 public key depends on the other side's secret.
///
/// Every X25519 secret is a multiple of 8, so a key of small order gives zero with all of them and
/// any one secret shows it.
pub(super) fn contributes(x_public: &[u8; 32]) -> bool {
    let any = StaticSecret::from([0x42; 32]);
    any.diffie_hellman(&PublicKey::from(*x_public))
        .was_contributory()
}

fn part<const N: usize>(bytes: &[u8; DeviceCert::LEN], from: usize) -> [u8; N] {
    std::array::from_fn(|at| bytes[from + at])
}

const CONTEXT: &[u8] = b"twocan/1 device cert\0";
/// Length of everything before the signature.
const FIELDS: usize = 74;
