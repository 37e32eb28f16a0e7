//! The pass that the owner of an ultrapeer gives to friends, so that its reflector serves them
//! first.
//!
//! A line, `tcpass1...`: bech32m of `01 | Ed25519 public key of the ultrapeer 32 | secret 16`. The
//! secret itself is never sent: a phone shows that it holds it by
//! `HMAC-SHA256(secret, "twocan/1 pass\0" | PeerId of the phone | PeerId of the ultrapeer)[..16]`,
//! which is of no use to anybody else, since both ends of a connection have proved their PeerIds.

use std::fmt;
use std::str::FromStr;

use bech32::{Bech32m, Hrp};
use hmac::{Hmac, KeyInit, Mac};
use libp2p::PeerId;
use libp2p::identity::{PublicKey, ed25519};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Pass {
    relay: [u8; 32],
    secret: Zeroizing<[u8; 16]>,
}

/// Why a line is no pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no pass: copy the whole line that `twocan relay pass` prints, tcpass1...")]
pub struct PassError(String);

impl Pass {
    /// The pass of the ultrapeer with that Ed25519 public key; `None` if it is none.
    pub fn new(relay: [u8; 32], secret: [u8; 16]) -> Option<Pass> {
        let pass = Pass {
            relay,
            secret: Zeroizing::new(secret),
        };
        ed25519::PublicKey::try_from_bytes(&relay).ok()?;
        Some(pass)
    }

    /// The pass of the ultrapeer with that PeerId, which must be made of its Ed25519 public key.
    pub fn of(relay: &PeerId, secret: [u8; 16]) -> Option<Pass> {
        let key = PublicKey::try_decode_protobuf(relay.as_ref().digest()).ok()?;
        Pass::new(key.try_into_ed25519().ok()?.to_bytes(), secret)
    }

    /// Whether it is that ultrapeer's.
    pub fn is_for(&self, relay: &PeerId) -> bool {
        let key = ed25519::PublicKey::try_from_bytes(&self.relay);
        key.is_ok_and(|key| PublicKey::from(key).to_peer_id() == *relay)
    }

    /// What the phone with this PeerId shows to that ultrapeer.
    pub fn shown(&self, phone: &PeerId, relay: &PeerId) -> [u8; 16] {
        let keyed = <Hmac<Sha256> as KeyInit>::new_from_slice(&*self.secret);
        let mac = keyed
            .expect("HMAC takes keys of any length")
            .chain_update(b"twocan/1 pass\0")
            .chain_update(phone.to_bytes())
            .chain_update(relay.to_bytes())
            .finalize()
            .into_bytes();
        let mut shown = [0; 16];
        shown.copy_from_slice(&mac[..16]);
        shown
    }

    /// Whether that phone holds it.
    pub fn is_held(&self, shown: &[u8; 16], phone: &PeerId, relay: &PeerId) -> bool {
        self.shown(phone, relay).ct_eq(shown).into()
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = Zeroizing::new([&[1][..], &self.relay, &*self.secret].concat());
        let line = bech32::encode::<Bech32m>(PREFIX, &payload).map_err(|_| fmt::Error)?;
        f.write_str(&Zeroizing::new(line))
    }
}

impl FromStr for Pass {
    type Err = PassError;

    fn from_str(line: &str) -> Result<Pass, PassError> {
        let parsed = || {
            let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(line.trim());
            let checked = checked.ok().filter(|line| line.hrp() == PREFIX)?;
            let payload: Zeroizing<Vec<u8>> = Zeroizing::new(checked.byte_iter().collect());
            let (&version, rest) = payload.split_first()?;
            let (relay, secret) = rest.split_first_chunk::<32>()?;
            let secret = secret.try_into().ok().filter(|_| version == 1)?;
            Pass::new(*relay, secret)
        };
        // What was typed may be a secret with a slip in it.
        parsed().ok_or_else(|| PassError(line.chars().take(12).chain(['…']).collect()))
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass(..)")
    }
}

const PREFIX: Hrp = Hrp::parse_unchecked("tcpass");

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;

    fn relay() -> (PeerId, [u8; 32]) {
        let key = Keypair::generate_ed25519();
        let public = key.public().try_into_ed25519().expect("such a key");
        (key.public().to_peer_id(), public.to_bytes())
    }

    #[test]
    fn a_pass_is_a_line_that_every_slip_spoils() {
        let (id, key) = relay();
        let pass = Pass::new(key, [7; 16]).expect("a pass");
        let line = pass.to_string();
        assert!(line.starts_with("tcpass1"), "{line}");
        assert_eq!(line.parse(), Ok(pass.clone()));
        assert!(pass.is_for(&id) && !pass.is_for(&PeerId::random()));
        assert_eq!(Pass::of(&id, [7; 16]), Some(pass));
        assert_eq!(Pass::of(&PeerId::random(), [7; 16]), None);
        for at in 0..line.len() {
            let mut wrong = line.clone().into_bytes();
            wrong[at] = if wrong[at] == b'q' { b'p' } else { b'q' };
            let wrong = String::from_utf8(wrong).expect("ASCII");
            let error = wrong.parse::<Pass>().expect_err("a slip").to_string();
            assert!(!error.contains(&line[20..]), "{error}");
        }
        for text in ["", "tcpass1", "tc1qqqq", &line[..40]] {
            assert!(text.parse::<Pass>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_good_for_these_two_only() {
        let (id, key) = relay();
        let pass = Pass::new(key, [7; 16]).expect("a pass");
        let (phone, other) = (PeerId::random(), PeerId::random());
        let shown = pass.shown(&phone, &id);
        assert!(pass.is_held(&shown, &phone, &id));
        assert!(!pass.is_held(&shown, &other, &id));
        assert!(!pass.is_held(&shown, &phone, &other));
        assert!(!pass.is_held(&[0; 16], &phone, &id));
        let stranger = Pass::new(key, [8; 16]).expect("a pass");
        assert!(!stranger.is_held(&shown, &phone, &id));
    }
}
