//! The path of a session, and the care with which it changes (after RFC 9000, section 9).
//!
//! An authentic packet from a new address is only a reason to ask there: we move when the challenge
//! comes back from it. So nobody who can merely replay or redirect a packet can pull a call away.
//! The same challenge finds better paths: it is sent to addresses that the peer has told us, while
//! the session runs over a relay. A direct path is better than a circuit and is left for one only
//! when nothing is heard on it.
//!
//! Of the two ends the initiator of the session chooses among direct paths, and the other follows
//! its packets, so that both come to the same one.

use std::time::Duration;

use arrayvec::ArrayVec;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::types::Path;

#[derive(Debug)]
pub struct Roam {
    path: Path,
    /// When something authentic came over `path`.
    heard_at: Duration,
    /// `path` is a circuit that was closed.
    is_gone: bool,
    /// We choose among equal paths.
    leads: bool,
    /// When a challenge of our own accord has moved us.
    chosen_at: Option<Duration>,
    trial: Option<Trial>,
    probes: ArrayVec<Probe, MAX_PROBES>,
    /// Other ways that may be of use when this one falls silent, newest last.
    spares: ArrayVec<Path, MAX_SPARES>,
    /// Addresses that may still be probed because the peer names them.
    told_left: u8,
}

#[derive(Debug)]
struct Trial {
    path: Path,
    nonce: [u8; 8],
    at: Duration,
}

/// A path that we ask of our own accord.
#[derive(Debug)]
struct Probe {
    path: Path,
    nonce: [u8; 8],
    tries: u8,
    /// When to ask again or, after the last try, to stop waiting.
    next: Duration,
}

impl Roam {
    /// `leads` at the initiator of the session.
    pub fn new(path: Path, leads: bool, now: Duration) -> Roam {
        Roam {
            path,
            heard_at: now,
            is_gone: false,
            leads,
            chosen_at: None,
            trial: None,
            probes: ArrayVec::new(),
            spares: ArrayVec::new(),
            told_left: MAX_TOLD,
        }
    }

    pub fn path(&self) -> Path {
        self.path
    }

    /// An authentic packet came from `from`.
    pub fn seen(&mut self, from: Path, now: Duration) {
        if from == self.path && !self.is_gone {
            self.heard_at = now;
        }
    }

    /// The newest authentic packet came from `from`. Returns the challenge to send there, if that
    /// is somewhere to follow to and it is time to ask. One packet for one packet, so nothing is
    /// amplified.
    pub fn heard(&mut self, from: Path, now: Duration, rng: &mut ChaCha20Rng) -> Option<[u8; 8]> {
        if from == self.path {
            self.trial = None;
            return None;
        }
        if !self.follows_to(from, now) {
            return None;
        }
        if let Some(trial) = &self.trial
            && now < trial.at + BETWEEN_CHALLENGES
        {
            return None;
        }
        // Asked again at the same place, the question stays: the answer may be on its way.
        let asked = self.trial.as_ref().filter(|trial| trial.path == from);
        let nonce = asked.map_or_else(|| nonce(rng), |trial| trial.nonce);
        self.trial = Some(Trial {
            path: from,
            nonce,
            at: now,
        });
        Some(nonce)
    }

    /// A response came from `from`. True if the session has moved there.
    pub fn answered(&mut self, from: Path, nonce: [u8; 8], now: Duration) -> bool {
        let follows = self
            .trial
            .take_if(|trial| trial.path == from && trial.nonce == nonce)
            .is_some();
        if follows {
            self.move_to(from, now);
            return true;
        }
        let asked = |probe: &Probe| probe.path == from && probe.nonce == nonce;
        let Some(at) = self.probes.iter().position(asked) else {
            return false;
        };
        self.probes.remove(at);
        let is_better = is_direct(from) && !is_direct(self.path) && self.leads;
        let moves = from != self.path && (is_better || self.is_silent(now));
        if moves {
            self.move_to(from, now);
            self.chosen_at = Some(now);
        }
        moves
    }

    /// There is a way to the peer: asks there, if it is better than the present one or that one is
    /// silent, else keeps it for then.
    pub fn offer(&mut self, path: Path, now: Duration, rng: &mut ChaCha20Rng) {
        if path == self.path {
            return;
        }
        let is_better = is_direct(path) && !is_direct(self.path);
        if is_better || self.is_silent(now) {
            self.probe(path, now, rng);
        }
        self.keep(path);
    }

    /// The peer says that it may be at `path`. It could name anybody's address, so there is an end
    /// to how many a session asks.
    pub fn told(&mut self, path: Path, now: Duration, rng: &mut ChaCha20Rng) {
        let is_new = self.probes.iter().all(|probe| probe.path != path);
        if is_direct(self.path) || !is_new || self.told_left == 0 {
            return;
        }
        if self.probe(path, now, rng) {
            self.told_left -= 1;
        }
    }

    /// A circuit was closed. True if the session lived there.
    pub fn gone(&mut self, path: Path, now: Duration, rng: &mut ChaCha20Rng) -> bool {
        self.probes.retain(|probe| probe.path != path);
        self.spares.retain(|spare| *spare != path);
        self.trial.take_if(|trial| trial.path == path);
        if path != self.path {
            return false;
        }
        self.is_gone = true;
        self.ask_spares(now, rng);
        true
    }

    /// Nothing is heard any more: asks at all other places that are known.
    pub fn ask_spares(&mut self, now: Duration, rng: &mut ChaCha20Rng) {
        for path in self.spares.clone() {
            self.probe(path, now, rng);
        }
    }

    pub fn has_other_ways(&self) -> bool {
        !self.spares.is_empty() || !self.probes.is_empty()
    }

    /// The next challenge that is due of our own accord.
    pub fn due(&mut self, now: Duration) -> Option<(Path, [u8; 8])> {
        self.probes
            .retain(|probe| now < probe.next || probe.tries < TRIES);
        let probe = self.probes.iter_mut().find(|probe| now >= probe.next)?;
        probe.tries += 1;
        probe.next = now
            + if probe.tries < TRIES {
                FIRST_PAUSE * u32::from(probe.tries)
            } else {
                LAST_WAIT
            };
        Some((probe.path, probe.nonce))
    }

    pub fn deadline(&self) -> Option<Duration> {
        self.probes.iter().map(|probe| probe.next).min()
    }

    /// Nothing was heard over the present path for longer than voice goes on without.
    fn is_silent(&self, now: Duration) -> bool {
        self.is_gone || now >= self.heard_at + SILENT
    }

    /// Whether the peer's newest packet from there is a reason to go there.
    fn follows_to(&self, from: Path, now: Duration) -> bool {
        let is_quiet = self.is_gone || now >= self.heard_at + QUIET;
        match (is_direct(self.path), is_direct(from)) {
            (false, _) => true,
            (true, false) => is_quiet,
            (true, true) => {
                let has_chosen = self.chosen_at.is_some_and(|at| now < at + SETTLE);
                !(self.leads && has_chosen) || is_quiet
            }
        }
    }

    fn move_to(&mut self, path: Path, now: Duration) {
        let old = std::mem::replace(&mut self.path, path);
        if !std::mem::take(&mut self.is_gone) {
            self.keep(old);
        }
        self.spares.retain(|spare| *spare != path);
        self.heard_at = now;
        self.trial = None;
        if is_direct(path) {
            self.probes.clear();
        }
    }

    /// False if that path is asked already, or too many others are.
    fn probe(&mut self, path: Path, now: Duration, rng: &mut ChaCha20Rng) -> bool {
        let is_asked = self.probes.iter().any(|probe| probe.path == path);
        if path == self.path || is_asked || self.probes.is_full() {
            return false;
        }
        self.probes.push(Probe {
            path,
            nonce: nonce(rng),
            tries: 0,
            next: now,
        });
        true
    }

    fn keep(&mut self, path: Path) {
        self.spares.retain(|spare| *spare != path);
        if self.spares.is_full() {
            self.spares.remove(0);
        }
        self.spares.push(path);
    }
}

fn is_direct(path: Path) -> bool {
    path.udp().is_some()
}

fn nonce(rng: &mut ChaCha20Rng) -> [u8; 8] {
    let mut nonce = [0; 8];
    rng.fill_bytes(&mut nonce);
    nonce
}

const BETWEEN_CHALLENGES: Duration = Duration::from_millis(100);
/// Paths asked at once of our own accord.
const MAX_PROBES: usize = 6;
const MAX_SPARES: usize = 6;
/// Addresses told by the peer that one session asks.
const MAX_TOLD: u8 = 24;
const TRIES: u8 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// How long an answer may come after the last try.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// A path on which nothing is heard for this long is left for any other.
const SILENT: Duration = Duration::from_secs(5);
/// After this long without a sound on the direct path, the peer is followed to a circuit.
const QUIET: Duration = Duration::from_secs(1);
/// How long the chosen direct path is not left for another one on which the peer is heard.
const SETTLE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn path(port: u16) -> Path {
        Path::Udp(([192, 0, 2, 1], port).into())
    }

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([3; 32])
    }

    fn all_due(roam: &mut Roam, now: Duration) -> Vec<(Path, [u8; 8])> {
        std::iter::from_fn(|| roam.due(now)).collect()
    }

    #[test]
    fn moves_only_when_the_challenge_comes_back_from_there() {
        let mut rng = rng();
        let mut roam = Roam::new(path(1), true, Duration::ZERO);
        let nonce = roam
            .heard(path(2), Duration::ZERO, &mut rng)
            .expect("challenge");
        assert!(!roam.answered(path(3), nonce, MILLI));
        assert!(!roam.answered(path(2), [0; 8], MILLI));
        assert_eq!(roam.path(), path(1));
        assert_eq!(roam.heard(path(2), 99 * MILLI, &mut rng), None);
        assert!(roam.answered(path(2), nonce, 100 * MILLI));
        assert_eq!(roam.path(), path(2));
    }

    #[test]
    fn a_far_peer_has_the_time_to_answer() {
        let mut rng = rng();
        let mut roam = Roam::new(path(1), false, Duration::ZERO);
        let first = roam.heard(path(2), Duration::ZERO, &mut rng);
        let second = roam.heard(path(2), BETWEEN_CHALLENGES, &mut rng);
        assert!(first.is_some() && first == second);
        assert!(roam.answered(path(2), first.expect("a challenge"), 2 * BETWEEN_CHALLENGES));
        let elsewhere = roam.heard(path(3), 2 * BETWEEN_CHALLENGES, &mut rng);
        assert!(elsewhere.is_some() && elsewhere != first);
    }

    #[test]
    fn a_direct_path_that_is_heard_is_not_left_for_a_circuit() {
        let mut rng = rng();
        let mut roam = Roam::new(path(1), true, Duration::ZERO);
        assert_eq!(roam.heard(Path::Circuit(1), 900 * MILLI, &mut rng), None);
        roam.offer(Path::Circuit(2), 900 * MILLI, &mut rng);
        assert_eq!(roam.due(900 * MILLI), None, "kept, not asked");
        let later = Duration::from_secs(5);
        assert!(roam.heard(Path::Circuit(1), later, &mut rng).is_some());
        roam.ask_spares(later, &mut rng);
        let (asked, nonce) = roam.due(later).expect("the spare circuit");
        assert_eq!(asked, Path::Circuit(2));
        assert!(roam.answered(asked, nonce, later));
        assert_eq!(roam.path(), asked);
    }

    #[test]
    fn an_address_is_asked_three_times_and_a_session_asks_so_many_and_no_more() {
        let mut rng = rng();
        let mut roam = Roam::new(Path::Circuit(1), false, Duration::ZERO);
        let mut sent = 0;
        for ms in 0..60_000 {
            let now = ms * MILLI;
            roam.told(path(ms as u16 + 1), now, &mut rng);
            sent += all_due(&mut roam, now).len();
        }
        assert_eq!(sent, usize::from(MAX_TOLD) * usize::from(TRIES));
        assert!(roam.deadline().is_none());
    }

    #[test]
    fn the_initiator_chooses_and_the_other_end_follows() {
        let mut rng = rng();
        for leads in [true, false] {
            let mut roam = Roam::new(Path::Circuit(1), leads, Duration::ZERO);
            roam.told(path(7), MILLI, &mut rng);
            let (at, nonce) = roam.due(MILLI).expect("asked");
            assert_eq!(roam.answered(at, nonce, 2 * MILLI), leads);
            let followed = roam.heard(path(8), 3 * MILLI, &mut rng);
            assert_eq!(followed.is_some(), !leads);
        }
    }

    #[test]
    fn a_closed_circuit_is_silent_at_once() {
        let mut rng = rng();
        let mut roam = Roam::new(Path::Circuit(1), false, Duration::ZERO);
        roam.offer(Path::Circuit(2), Duration::ZERO, &mut rng);
        assert!(!roam.gone(Path::Circuit(3), MILLI, &mut rng));
        assert!(roam.gone(Path::Circuit(1), MILLI, &mut rng));
        let (at, nonce) = roam.due(MILLI).expect("the other one is asked");
        assert!(roam.answered(at, nonce, 2 * MILLI));
        assert_eq!(roam.path(), Path::Circuit(2));
    }
}
