//! Challenges that nothing has to be kept of until they are answered.
//!
//! ```text
//! proof = stamp 5 | HMAC-SHA256(secret, stamp | IP 16 | port u16 | room u64 | leg u8 | nonce 16)[..11]
//! ```
//! The stamp is the reflector's own time in milliseconds. It makes a proof good for some seconds
//! only, and lets a leg refuse every one that is older than the last it took: who replays an old
//! answer moves nothing.

use std::net::SocketAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::phone::reflect::octets;

/// Who was asked for what.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub from: SocketAddr,
    pub room: u64,
    pub leg: u8,
    pub nonce: [u8; 16],
}

/// Makes and checks proofs.
pub struct Prover(Hmac<Sha256>);

impl Prover {
    pub fn new(secret: &[u8; 32]) -> Prover {
        let keyed = <Hmac<Sha256> as KeyInit>::new_from_slice(secret);
        Prover(keyed.expect("HMAC takes keys of any length"))
    }

    /// `now` in milliseconds.
    pub fn prove(&self, question: &Question, now: u64) -> [u8; 16] {
        let mut proof = [0; 16];
        proof[..STAMP].copy_from_slice(&now.to_le_bytes()[..STAMP]);
        let mac = self.mac(question, &proof[..STAMP]).finalize().into_bytes();
        proof[STAMP..].copy_from_slice(&mac[..16 - STAMP]);
        proof
    }

    /// When the challenge was made, if this is its proof and was made no more than `LIFE` ago.
    pub fn check(&self, question: &Question, proof: &[u8; 16], now: u64) -> Option<u64> {
        let mut stamp = [0; 8];
        stamp[..STAMP].copy_from_slice(&proof[..STAMP]);
        let stamp = u64::from_le_bytes(stamp);
        if stamp > now || now > stamp + LIFE {
            return None;
        }
        let mac = self.mac(question, &proof[..STAMP]);
        mac.verify_truncated_left(&proof[STAMP..]).ok()?;
        Some(stamp)
    }

    fn mac(&self, question: &Question, stamp: &[u8]) -> Hmac<Sha256> {
        let Question {
            from,
            room,
            leg,
            nonce,
        } = question;
        let mac = self.0.clone().chain_update(stamp);
        mac.chain_update(octets(from.ip()))
            .chain_update(from.port().to_le_bytes())
            .chain_update(room.to_le_bytes())
            .chain_update([*leg])
            .chain_update(nonce)
    }
}

impl std::fmt::Debug for Prover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prover(..)")
    }
}

/// Bytes of the time in a proof: 34 years of milliseconds.
const STAMP: usize = 5;

/// How long a challenge may be answered, in milliseconds.
const LIFE: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_good_for_one_question_and_ten_seconds() {
        let prover = Prover::new(&[7; 32]);
        let asked = Question {
            from: "192.0.2.1:4000".parse().expect("an address"),
            room: 5,
            leg: 1,
            nonce: [3; 16],
        };
        let proof = prover.prove(&asked, 1_000_000);
        assert_eq!(prover.check(&asked, &proof, 1_000_000), Some(1_000_000));
        assert_eq!(prover.check(&asked, &proof, 1_010_000), Some(1_000_000));
        assert_eq!(prover.check(&asked, &proof, 1_010_001), None);
        assert_eq!(prover.check(&asked, &proof, 999_999), None);
        for bit in 0..128 {
            let mut wrong = proof;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(prover.check(&asked, &wrong, 1_000_100), None, "{bit}");
        }
        let others = [
            Question {
                from: "192.0.2.1:4001".parse().expect("an address"),
                ..asked
            },
            Question {
                from: "192.0.2.2:4000".parse().expect("an address"),
                ..asked
            },
            Question { room: 6, ..asked },
            Question { leg: 0, ..asked },
            Question {
                nonce: [4; 16],
                ..asked
            },
        ];
        for other in others {
            assert_eq!(prover.check(&other, &proof, 1_000_000), None, "{other:?}");
        }
        assert_eq!(Prover::new(&[8; 32]).check(&asked, &proof, 1_000_000), None);
    }
}
