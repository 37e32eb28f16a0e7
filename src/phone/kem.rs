//! X-Wing (X25519 with ML-KEM-768) inside the channel: the first exchange makes a session safe
//! against a later quantum computer, each further one renews its keys.

use rand_chacha::ChaCha20Rng;
use x_wing::kem::{Generate, KeyExport, TryDecapsulate};
use x_wing::{
    CIPHERTEXT_SIZE, Ciphertext, DecapsulationKeyRejectNonContrib, Decapsulator,
    ENCAPSULATION_KEY_SIZE, Encapsulate, EncapsulationKey,
};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::handshake::Refused;

/// Bytes of an encapsulation key.
pub const EK: usize = ENCAPSULATION_KEY_SIZE;
/// Bytes of a ciphertext.
pub const CT: usize = CIPHERTEXT_SIZE;

/// Our half of an exchange, until the peer has answered.
pub struct Offer {
    secret: DecapsulationKeyRejectNonContrib,
    pub ek: Box<[u8; EK]>,
}

pub type Shared = Zeroizing<[u8; 32]>;

impl Offer {
    pub fn new(rng: &mut ChaCha20Rng) -> Offer {
        let secret = DecapsulationKeyRejectNonContrib::generate_from_rng(rng);
        let ek = Box::new(secret.encapsulation_key().to_bytes().0);
        Offer { secret, ek }
    }

    /// The secret that the peer encapsulated.
    pub fn accept(&self, ct: &[u8; CT]) -> Result<Shared, Refused> {
        let ct = Ciphertext::try_from(ct.as_slice()).map_err(|_| Refused)?;
        let shared = self.secret.try_decapsulate(&ct).map_err(|_| Refused)?;
        Ok(Zeroizing::new(shared.0))
    }
}

/// Encapsulates a fresh secret to the peer's key.
pub fn answer(ek: &[u8; EK], rng: &mut ChaCha20Rng) -> Result<(Box<[u8; CT]>, Shared), Refused> {
    if !is_contributory(ek) {
        return Err(Refused);
    }
    let key = EncapsulationKey::try_from(ek.as_slice()).map_err(|_| Refused)?;
    let (ct, shared) = key.encapsulate_with_rng(rng);
    Ok((Box::new(ct.0), Zeroizing::new(shared.0)))
}

/// Whether the X25519 half of a key (its last 32 bytes) is a point of large order. Any clamped
/// scalar sends a low-order point to zero.
fn is_contributory(ek: &[u8; EK]) -> bool {
    ek.last_chunk::<32>().is_some_and(|point| {
        StaticSecret::from([1; 32])
            .diffie_hellman(&PublicKey::from(*point))
            .was_contributory()
    })
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Offer(..)")
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn both_ends_get_the_same_secret() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let offer = Offer::new(&mut rng);
        let (ct, theirs) = answer(&offer.ek, &mut rng).expect("own key");
        assert_eq!(offer.accept(&ct).expect("own ciphertext"), theirs);
        let mut bent = ct.clone();
        bent[0] ^= 1;
        assert_ne!(offer.accept(&bent).ok(), Some(theirs));
    }

    #[test]
    fn low_order_points_and_invalid_keys_are_refused() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let offer = Offer::new(&mut rng);
        for low in [0u8, 1] {
            let mut ek = offer.ek.clone();
            ek[EK - 32..].fill(0);
            ek[EK - 32] = low;
            assert!(answer(&ek, &mut rng).is_err());
            let (mut ct, _) = answer(&offer.ek, &mut rng).expect("own key");
            ct[CT - 32..].fill(0);
            ct[CT - 32] = low;
            assert!(offer.accept(&ct).is_err());
        }
        assert!(answer(&[0xff; EK], &mut rng).is_err());
    }
}
