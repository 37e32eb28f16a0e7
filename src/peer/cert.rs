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

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;
    use crate::peer::{Identity, Seed};

    const START: u32 = 1_800_000_000;
    const NOW: u64 = START as u64 + 1000;

    fn sample() -> (Identity, DeviceKeys, DeviceCert) {
        let identity = Identity::from_seed(&Seed::from_bytes([1; 32]));
        let device = DeviceKeys::from_secrets([2; 32], [3; 32]);
        let cert = identity.certify(&device, START, START + DeviceCert::MAX_LIFE, 0x0102);
        (identity, device, cert)
    }

    /// Made by another implementation (Python `cryptography`) from the same seeds.
    #[test]
    fn known_answer() {
        let (identity, device, cert) = sample();
        let hex: String = cert.to_bytes().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, KNOWN);
        let back = DeviceCert::parse(&cert.to_bytes()).expect("a sound certificate");
        assert_eq!(back, cert);
        assert_eq!(back.caps(), 0x0102);
        let verified = back.verify(&device.x_public(), Some(&identity.id()), NOW);
        assert_eq!(verified, Ok(()));
    }

    #[test]
    fn every_single_bit_counts() {
        let (identity, device, cert) = sample();
        let good = cert.to_bytes();
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            let believed =
                DeviceCert::parse(&bad).and_then(|cert| cert.verify(&device.x_public(), None, NOW));
            assert!(believed.is_err(), "bit {bit}");
        }
        for bit in 0..256 {
            let mut x = device.x_public();
            x[bit / 8] ^= 1 << (bit % 8);
            assert!(
                cert.verify(&x, Some(&identity.id()), NOW).is_err(),
                "bit {bit} of X_d"
            );
        }
    }

    #[test]
    fn only_one_length_is_read() {
        let (_, _, cert) = sample();
        let mut long = cert.to_bytes().to_vec();
        long.push(0);
        for length in (0..DeviceCert::LEN).chain([long.len()]) {
            assert_eq!(DeviceCert::parse(&long[..length]), Err(CertError::Length));
        }
    }

    #[test]
    fn another_identity_is_refused_both_ways() {
        let (_, device, cert) = sample();
        let mallory = Identity::from_seed(&Seed::from_bytes([9; 32]));
        let verified = cert.verify(&device.x_public(), Some(&mallory.id()), NOW);
        assert_eq!(verified, Err(CertError::OtherIdentity));
        // Mallory certifies a device key that is not his: good under his name only.
        let stolen = mallory.certify(&device, START, START + 1000, 0);
        assert_eq!(
            stolen.verify(&device.x_public(), Some(&mallory.id()), NOW),
            Ok(())
        );
        let verified = stolen.verify(&device.x_public(), Some(&cert.identity()), NOW);
        assert_eq!(verified, Err(CertError::OtherIdentity));
    }

    #[test]
    fn time_is_checked_to_the_second() {
        let (identity, device, cert) = sample();
        let x = device.x_public();
        let (from, to) = (u64::from(cert.not_before()), u64::from(cert.not_after()));
        assert_eq!(cert.verify(&x, None, from - DeviceCert::SLACK), Ok(()));
        assert_eq!(
            cert.verify(&x, None, from - DeviceCert::SLACK - 1),
            Err(CertError::NotYet)
        );
        assert_eq!(cert.verify(&x, None, to + DeviceCert::SLACK), Ok(()));
        assert_eq!(
            cert.verify(&x, None, to + DeviceCert::SLACK + 1),
            Err(CertError::Expired)
        );
        assert_eq!(cert.verify(&x, None, u64::MAX), Err(CertError::Expired));
        assert_eq!(cert.verify(&x, None, 0), Err(CertError::NotYet));

        let endings = [START, START - 1, START + DeviceCert::MAX_LIFE + 1, u32::MAX];
        for not_after in endings {
            let cert = identity.certify(&device, START, not_after, 0);
            assert_eq!(
                cert.verify(&x, None, NOW),
                Err(CertError::Life),
                "{not_after}"
            );
        }
    }

    #[test]
    fn a_signature_in_another_context_is_refused() {
        let (_, device, cert) = sample();
        let key = SigningKey::from_bytes(&Seed::from_bytes([1; 32]).identity_secret());
        let fields = cert.fields();
        for context in [
            &b""[..],
            b"twocan/1 succession\0",
            b"twocan/1 device cert",
            b"twocan/2 device cert\0",
        ] {
            let message = [context, &device.x_public(), &fields].concat();
            let mut forged = cert.clone();
            forged.signature = key.sign(&message).to_bytes();
            let verified = forged.verify(&device.x_public(), None, NOW);
            assert_eq!(verified, Err(CertError::Signature), "{context:?}");
        }
    }

    #[test]
    fn a_signature_has_one_form() {
        let (_, device, cert) = sample();
        // S + L satisfies the equation as well, but is not the canonical S.
        let mut forged = cert.clone();
        let mut carry = 0_u16;
        for (byte, order) in forged.signature[32..].iter_mut().zip(GROUP_ORDER) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        let verified = forged.verify(&device.x_public(), None, NOW);
        assert_eq!(verified, Err(CertError::Signature));
    }

    #[test]
    fn unsafe_keys_are_refused_wherever_they_stand() {
        let (_, device, cert) = sample();
        for point in curve25519_dalek::constants::EIGHT_TORSION {
            let weak = point.compress().to_bytes();
            for from in [0, 32] {
                let mut bytes = cert.to_bytes();
                bytes[from..from + 32].copy_from_slice(&weak);
                assert_eq!(DeviceCert::parse(&bytes), Err(CertError::BadKey));
            }
            let montgomery = point.to_montgomery().to_bytes();
            assert_eq!(cert.verify(&montgomery, None, NOW), Err(CertError::BadKey));
        }
        let ok = cert.verify(&device.x_public(), None, NOW);
        assert_eq!(ok, Ok(()));
    }

    /// L = 2^252 + 27742317777372353535851937790883648493, little-endian.
    const GROUP_ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];

    const KNOWN: &str = "c691f23113cdc21d7a9e3538239352187f03110b8c10e394c4dc1e238eaf1383\
        ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1\
        00d2496b80f6776b0201\
        6381a424d4f4714ae1569b80c6aa4c92b2f2257a01001308953f02af520a461f\
        aaa0ac77248674f30bf0374dc8d01f319e272581946c34b7a879e76b2656f601";
}
