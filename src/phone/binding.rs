//! One end's hold on its leg of a room at a reflector: bind, challenge, bound, and again in time.
//!
//! Does nothing by itself. What it hands out goes to the server of its leg, and it has to be
//! handed only what came from there.

use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::reflect::{self, Packet, Token};
use super::types::{Datagram, Leg};

/// See the [module](self).
pub struct Binding {
    leg: Leg,
    token: Token,
    nonce: [u8; 16],
    /// The answer to our challenge, until BOUND comes.
    proof: Option<[u8; 16]>,
    /// Datagrams of this round that were not answered.
    tries: u8,
    /// When to send the next.
    next: Duration,
    /// When the round began that is not over.
    since: Option<Duration>,
    /// When the challenge came that was answered last.
    challenged: Duration,
    /// The same of the last round that ended well.
    bound: Option<Duration>,
    met: bool,
    is_ending: bool,
    seen: Option<SocketAddr>,
}

impl Binding {
    /// Begins at once: the first datagram is due.
    pub fn new(leg: Leg, token: Token, now: Duration) -> Binding {
        Binding {
            leg,
            token,
            nonce: [0; 16],
            proof: None,
            tries: 0,
            next: now,
            since: None,
            challenged: now,
            bound: None,
            met: false,
            is_ending: false,
            seen: None,
        }
    }

    pub fn leg(&self) -> Leg {
        self.leg
    }

    /// Whether the reflector sends us what comes for this leg.
    pub fn is_bound(&self, now: Duration) -> bool {
        self.bound.is_some_and(|bound| now < bound + LIFE)
    }

    /// Whether another leg was bound too when the reflector last said so.
    pub fn has_met(&self) -> bool {
        self.met
    }

    /// Whether the reflector says that the room will end before long.
    pub fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// From where the reflector sees us.
    pub fn seen(&self) -> Option<SocketAddr> {
        self.seen
    }

    /// Since when it answers nothing, if it does not.
    pub fn unanswered(&self) -> Option<Duration> {
        self.since
    }

    /// We may have another address now: binds anew, at once.
    pub fn renew(&mut self, now: Duration) {
        self.since = None;
        self.next = now;
    }

    /// When to call [`Binding::due`].
    pub fn deadline(&self) -> Duration {
        self.next
    }

    /// What is to be sent now, if it is time.
    pub fn due(&mut self, now: Duration, rng: &mut ChaCha20Rng) -> Option<Datagram> {
        if now < self.next {
            return None;
        }
        let begins = self.since.is_none();
        // An answer that is not taken may have come too late: then another challenge is needed.
        let refused = self.proof.is_some() && self.tries >= PROOF_TRIES;
        if begins || refused {
            rng.fill_bytes(&mut self.nonce);
            self.proof = None;
            self.tries = 0;
            self.since.get_or_insert(now);
        }
        self.next = now + FIRST_PAUSE * (1 << self.tries.min(3));
        self.tries = self.tries.saturating_add(1);
        Some(self.datagram())
    }

    /// Takes what came from the server. Returns what is to be sent at once.
    pub fn handle(&mut self, bytes: &[u8], now: Duration) -> Option<Datagram> {
        let mine = |room, leg| (room, leg) == (self.leg.room, self.leg.leg);
        match reflect::parse(bytes)? {
            // Without a question there is no answer to it, and one answer is enough.
            Packet::Chal(chal)
                if mine(chal.room, chal.leg) && self.since.is_some() && self.proof.is_none() =>
            {
                self.proof = Some(chal.proof);
                self.challenged = now;
                self.tries = 1;
                self.next = now + FIRST_PAUSE;
                Some(self.datagram())
            }
            Packet::Bound(bound) if mine(bound.room, bound.leg) && self.proof.is_some() => {
                self.met = bound.met;
                self.is_ending |= bound.ending;
                self.seen = Some(bound.seen);
                self.proof = None;
                self.since = None;
                self.bound = Some(self.challenged);
                self.next = now + EVERY;
                None
            }
            _ => None,
        }
    }

    fn datagram(&self) -> Datagram {
        let Leg { room, leg, .. } = self.leg;
        match &self.proof {
            None => reflect::bind(room, leg, &self.nonce, &self.token),
            Some(proof) => reflect::bind2(room, leg, &self.nonce, proof, &self.token),
        }
    }
}

impl std::fmt::Debug for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Binding({:?}, bound {:?})", self.leg, self.bound)
    }
}

/// How long the reflector holds a binding, less what its challenge may have travelled.
const LIFE: Duration = Duration::from_secs(28);

/// How often it is renewed: no NAT forgets so soon (RFC 4787, REQ-5), and a round may fail.
const EVERY: Duration = Duration::from_secs(12);

/// After how long an unanswered datagram is repeated first; twice as long each time, thrice.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How often one challenge is answered.
const PROOF_TRIES: u8 = 3;

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;
    use crate::phone::reflect::{Bound, Chal};

    const LEG: Leg = Leg {
        server: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9),
        room: 77,
        leg: 1,
    };
    const TOKEN: Token = [3; 16];

    fn chal(room: u64) -> [u8; reflect::CHAL] {
        let proof = [5; 16];
        reflect::chal(&Chal {
            room,
            leg: 1,
            proof,
        })
    }

    fn bound(leg: u8) -> [u8; reflect::BOUND] {
        reflect::bound(&Bound {
            room: 77,
            leg,
            met: true,
            ending: false,
            seen: "192.0.2.1:5".parse().expect("an address"),
        })
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn sent(binding: &mut Binding, now: Duration) -> Option<u8> {
        let mut rng = ChaCha20Rng::seed_from_u64(now.as_millis() as u64);
        binding.due(now, &mut rng).map(|datagram| datagram[0])
    }

    #[test]
    fn a_leg_is_bound_by_three_datagrams_and_renewed_in_time() {
        let mut binding = Binding::new(LEG, TOKEN, ms(0));
        assert_eq!(sent(&mut binding, ms(0)), Some(0x21));
        assert_eq!(sent(&mut binding, ms(10)), None);
        let answer = binding.handle(&chal(77), ms(40)).expect("BIND2");
        assert_eq!(answer[0], 0x23);
        assert_eq!(binding.handle(&chal(77), ms(41)), None, "one is enough");
        assert!(!binding.is_bound(ms(41)));
        assert_eq!(binding.handle(&bound(1), ms(80)), None);
        assert!(binding.is_bound(ms(80)) && binding.has_met());
        assert_eq!(binding.unanswered(), None);
        assert!(binding.is_bound(ms(28_000)) && !binding.is_bound(ms(28_100)));
        assert_eq!(binding.deadline(), ms(12_080));
        assert_eq!(sent(&mut binding, ms(12_080)), Some(0x21));
    }

    #[test]
    fn what_was_not_asked_for_or_is_for_others_is_nothing() {
        let mut binding = Binding::new(LEG, TOKEN, ms(0));
        assert_eq!(binding.handle(&chal(77), ms(0)), None);
        assert_eq!(binding.handle(&bound(1), ms(0)), None);
        sent(&mut binding, ms(0));
        assert_eq!(binding.handle(&bound(1), ms(1)), None);
        assert_eq!(binding.handle(&chal(78), ms(1)), None);
        assert!(!binding.is_bound(ms(1)));
        binding.handle(&chal(77), ms(2)).expect("BIND2");
        binding.handle(&bound(0), ms(3));
        assert!(!binding.is_bound(ms(3)));
    }

    #[test]
    fn a_silent_server_is_asked_ever_less_often() {
        let mut binding = Binding::new(LEG, TOKEN, ms(0));
        let mut times = Vec::new();
        for now in (0..10_000).map(ms) {
            if sent(&mut binding, now).is_some() {
                times.push(now.as_millis());
            }
        }
        assert_eq!(times, [0, 250, 750, 1750, 3750, 5750, 7750, 9750]);
        assert_eq!(binding.unanswered(), Some(ms(0)));
    }

    #[test]
    fn an_answer_that_is_not_taken_leads_to_a_new_challenge() {
        let mut binding = Binding::new(LEG, TOKEN, ms(0));
        sent(&mut binding, ms(0));
        binding.handle(&chal(77), ms(10)).expect("BIND2");
        let kinds: Vec<u8> = (10..2000)
            .filter_map(|now| sent(&mut binding, ms(now)))
            .collect();
        assert_eq!(kinds, [0x23, 0x23, 0x21]);
    }
}
