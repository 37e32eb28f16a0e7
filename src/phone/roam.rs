//! The path of a session, and the care with which it changes (after RFC 9000, section 9).
//!
//! An authentic packet from a new address is only a reason to ask there: we move when the challenge
//! comes back from it. So nobody who can merely replay or redirect a packet can pull a call away.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::types::Path;

#[derive(Debug)]
pub struct Roam {
    path: Path,
    trial: Option<Trial>,
}

#[derive(Debug)]
struct Trial {
    path: Path,
    nonce: [u8; 8],
    at: Duration,
}

impl Roam {
    pub fn new(path: Path) -> Roam {
        Roam { path, trial: None }
    }

    pub fn path(&self) -> Path {
        self.path
    }

    /// The newest authentic packet came from `from`. Returns the challenge to send there, if that
    /// is somewhere new and it is time to ask. One packet for one packet, so nothing is amplified.
    pub fn heard(&mut self, from: Path, now: Duration, rng: &mut ChaCha20Rng) -> Option<[u8; 8]> {
        if from == self.path {
            self.trial = None;
            return None;
        }
        if let Some(trial) = &self.trial
            && now < trial.at + BETWEEN_CHALLENGES
        {
            return None;
        }
        // Asked again at the same place, the question stays: the answer may be on its way.
        let asked = self.trial.as_ref().filter(|trial| trial.path == from);
        let nonce = asked.map(|trial| trial.nonce).unwrap_or_else(|| {
            let mut nonce = [0; 8];
            rng.fill_bytes(&mut nonce);
            nonce
        });
        self.trial = Some(Trial {
            path: from,
            nonce,
            at: now,
        });
        Some(nonce)
    }

    /// A response came from `from`. True if the session has moved there.
    pub fn answered(&mut self, from: Path, nonce: [u8; 8]) -> bool {
        let moved = self
            .trial
            .take_if(|trial| trial.path == from && trial.nonce == nonce)
            .is_some();
        if moved {
            self.path = from;
        }
        moved
    }
}

const BETWEEN_CHALLENGES: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    fn path(port: u16) -> Path {
        Path::Udp(([192, 0, 2, 1], port).into())
    }

    #[test]
    fn moves_only_when_the_challenge_comes_back_from_there() {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let mut roam = Roam::new(path(1));
        let nonce = roam
            .heard(path(2), Duration::ZERO, &mut rng)
            .expect("challenge");
        assert!(!roam.answered(path(3), nonce));
        assert!(!roam.answered(path(2), [0; 8]));
        assert_eq!(roam.path(), path(1));
        assert_eq!(
            roam.heard(path(2), Duration::from_millis(99), &mut rng),
            None
        );
        assert!(roam.answered(path(2), nonce));
        assert_eq!(roam.path(), path(2));
    }

    #[test]
    fn a_far_peer_has_the_time_to_answer() {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let mut roam = Roam::new(path(1));
        let first = roam.heard(path(2), Duration::ZERO, &mut rng);
        let second = roam.heard(path(2), BETWEEN_CHALLENGES, &mut rng);
        assert!(first.is_some() && first == second);
        assert!(roam.answered(path(2), first.expect("a challenge")));
        let elsewhere = roam.heard(path(3), 2 * BETWEEN_CHALLENGES, &mut rng);
        assert!(elsewhere.is_some() && elsewhere != first);
    }
}
