//! The keys of this phone: the long-term identity and those of this device.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use rand_core::CryptoRng;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::peer::{Blinder, DeviceCert, PeerId, Seed};

/// The Ed25519 identity key. It signs device certificates and nothing else that could be confused
/// with one: every message it signs starts with its own context string. Records in the directory
/// are signed by keys blinded from it, see [`Blinder`].
pub struct Identity {
    key: SigningKey,
    id: PeerId,
}

impl Identity {
    pub fn from_seed(seed: &Seed) -> Identity {
        let key = SigningKey::from_bytes(&seed.identity_secret());
        let id = PeerId::from_bytes(key.verifying_key().to_bytes())
            .expect("a clamped multiple of the base point is in the prime-order group, not zero");
        Identity { key, id }
    }

    pub fn id(&self) -> PeerId {
        self.id
    }

    /// What the directory needs to publish records that only the holders of a secret can find.
    pub fn blinder(&self) -> Blinder {
        Blinder::new(&self.key, self.id)
    }

    /// Certifies that the keys of `device` (of which only the public halves are used) speak for
    /// this identity from `not_before` to `not_after`, in seconds since 1970.
    pub fn certify(
        &self,
        device: &DeviceKeys,
        not_before: u32,
        not_after: u32,
        caps: u16,
    ) -> DeviceCert {
        let sign = |message: &[u8]| self.key.sign(message).to_bytes();
        DeviceCert::issue(self.id, device, not_before, not_after, caps, sign)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.id)
    }
}

/// The two secret keys of one device: X25519 for the handshake, Ed25519 for what it signs.
///
/// Made at random, not from the seed, so that a lost device does not give the identity away and the
/// words do not give old sessions away.
pub struct DeviceKeys {
    x: Zeroizing<[u8; 32]>,
    x_public: [u8; 32],
    d: SigningKey,
}

impl DeviceKeys {
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> DeviceKeys {
        let mut x = Zeroizing::new([0; 32]);
        let mut d = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *x);
        rng.fill_bytes(&mut *d);
        DeviceKeys::from_secrets(*x, *d)
    }

    /// `x` is the X25519 secret (clamped when it is used, as RFC 7748 says), `d` the Ed25519 seed.
    pub fn from_secrets(x: [u8; 32], d: [u8; 32]) -> DeviceKeys {
        let x = Zeroizing::new(x);
        let d = Zeroizing::new(d);
        let x_public = PublicKey::from(&StaticSecret::from(*x)).to_bytes();
        DeviceKeys {
            x,
            x_public,
            d: SigningKey::from_bytes(&d),
        }
    }

    pub fn x_secret(&self) -> &Zeroizing<[u8; 32]> {
        &self.x
    }

    /// `X_d`: the Noise static key.
    pub fn x_public(&self) -> [u8; 32] {
        self.x_public
    }

    pub fn d_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.d.to_bytes())
    }

    /// `D_d`: what rosters and the like are signed with.
    pub fn d_public(&self) -> [u8; 32] {
        self.d.verifying_key().to_bytes()
    }
}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKeys([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_person() {
        let one = Identity::from_seed(&Seed::from_bytes([5; 32]));
        let two = Identity::from_seed(&Seed::from_bytes([5; 32]));
        let other = Identity::from_seed(&Seed::from_bytes([6; 32]));
        assert_eq!(one.id(), two.id());
        assert_ne!(one.id(), other.id());
    }

    #[test]
    fn device_keys_survive_storing() {
        let keys = DeviceKeys::from_secrets([1; 32], [2; 32]);
        let back = DeviceKeys::from_secrets(**keys.x_secret(), *keys.d_secret());
        assert_eq!(keys.x_public(), back.x_public());
        assert_eq!(keys.d_public(), back.d_public());
        assert_eq!(format!("{keys:?}"), "DeviceKeys([redacted])");
    }
}
