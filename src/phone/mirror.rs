//! Asking from where we are seen, and what the answers tell of the NAT on the way.
//!
//! The same socket asks several UDP ports in a fixed order (STUN). One port in all answers: the NAT
//! keeps a port for all destinations. Steps of one size: the next port can be foretold. Else ports
//! are given out at random, and only a search finds the one towards a peer.

use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::candidates::Nat;
use super::stun;
use super::types::{Datagram, Path, SideId};
use crate::api::NatKind;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Mirror {
    mirrors: ArrayVec<SocketAddr, MAX_MIRRORS>,
    /// Of this round.
    questions: ArrayVec<Question, MAX_QUESTIONS>,
    asked_at: Option<Duration>,
    /// When this round is judged, whatever is still missing.
    judged_at: Option<Duration>,
    seen: ArrayVec<SocketAddr, 4>,
    nat: Nat,
}

#[derive(Debug)]
struct Question {
    mirror: SocketAddr,
    /// Asked from a port that was opened for it: the NAT shows the port that it gives out now, not
    /// one that it gave out some time ago.
    side: Option<SideId>,
    transaction: stun::Transaction,
    tries: u8,
    next: Option<Duration>,
    seen: Option<SocketAddr>,
}

impl Mirror {
    /// Other mirrors are there from now on. True if they have to be asked.
    pub fn set(&mut self, mirrors: &[SocketAddr]) -> bool {
        let mirrors: ArrayVec<_, MAX_MIRRORS> = picked(mirrors);
        let is_new = mirrors.iter().any(|mirror| !self.mirrors.contains(mirror));
        self.mirrors = mirrors;
        is_new
    }

    /// Somebody wants to know: asks, unless that was done just now.
    /// `side` is a number that nobody else uses.
    pub fn ask(&mut self, side: SideId, now: Duration, rng: &mut ChaCha20Rng) {
        if self.asked_at.is_none_or(|at| now >= at + FRESH) {
            self.ask_anew(side, now, rng);
        }
    }

    /// We may be somewhere else now.
    pub fn ask_anew(&mut self, side: SideId, now: Duration, rng: &mut ChaCha20Rng) {
        let is_known = self.nat.kind == NatKind::Sequential;
        self.questions.clear();
        if self.mirrors.is_empty() {
            return;
        }
        self.asked_at = Some(now);
        self.judged_at = Some(now + PATIENCE);
        let first = self.mirrors.iter().find(|mirror| mirror.is_ipv4());
        let latest = first
            .filter(|_| is_known)
            .map(|mirror| (mirror, Some(side)));
        let all = self.mirrors.iter().map(|mirror| (mirror, None));
        for (place, (&mirror, side)) in (0..).zip(all.chain(latest)) {
            let mut transaction = [0; 12];
            rng.fill_bytes(&mut transaction);
            self.questions.push(Question {
                mirror,
                side,
                transaction,
                tries: 0,
                next: Some(now + APART * place),
                seen: None,
            });
        }
    }

    /// The next question that is due.
    pub fn due(&mut self, now: Duration) -> Option<(Path, Datagram)> {
        let is_due = |q: &&mut Question| q.next.is_some_and(|at| now >= at);
        let question = self.questions.iter_mut().find(is_due)?;
        question.tries += 1;
        question.next = (question.tries < TRIES).then(|| now + PAUSE * u32::from(question.tries));
        let request = stun::request(&question.transaction);
        Some((question.path(), request.iter().copied().collect()))
    }

    pub fn deadline(&self) -> Option<Duration> {
        let questions = self.questions.iter().filter_map(|question| question.next);
        questions.chain(self.judged_at).min()
    }

    /// Takes an answer. False if it is none of ours.
    pub fn take(&mut self, from: Path, bytes: &[u8], now: Duration) -> bool {
        let Some((transaction, seen)) = stun::parse_response(bytes) else {
            return false;
        };
        let asked = |q: &&mut Question| q.path() == from && q.transaction == transaction;
        let Some(question) = self.questions.iter_mut().find(asked) else {
            return false;
        };
        if question.seen.replace(seen).is_none() {
            question.next = None;
            let waits = self.questions.iter().any(|q| q.seen.is_none());
            let until = now + if waits { GATHER } else { Duration::ZERO };
            // An answer that comes after the judgement is reason for another one.
            self.judged_at = Some(self.judged_at.map_or(until, |at| at.min(until)));
        }
        true
    }

    /// Judges the answers when it is time. True if that was so.
    pub fn judge(&mut self, hosts: &[SocketAddr], now: Duration) -> bool {
        if self.judged_at.take_if(|at| now >= *at).is_none() {
            return false;
        }
        let mut seen = ArrayVec::new();
        let answers = || self.questions.iter().rev().filter_map(|q| q.seen);
        for address in answers().filter(|a| a.is_ipv4()).take(2).chain(answers()) {
            if !seen.contains(&address) {
                let _ = seen.try_push(address);
            }
        }
        self.nat = self.nat_of(hosts);
        self.seen = seen;
        true
    }

    /// The port that was opened for this round, when it is over.
    pub fn done_side(&mut self) -> Option<SideId> {
        if self.judged_at.is_some() {
            return None;
        }
        self.questions.iter_mut().find_map(|q| {
            q.next = q.next.filter(|_| q.side.is_none());
            q.side.take()
        })
    }

    /// What we know of ourselves, if it is not too old: from where we are seen, newest first.
    pub fn seen(&self, now: Duration) -> ArrayVec<SocketAddr, 4> {
        let is_fresh = self.asked_at.is_some_and(|at| now < at + KEPT);
        self.seen.iter().copied().filter(|_| is_fresh).collect()
    }

    /// How the NAT gives out ports; it stays what it was until others are asked.
    pub fn nat(&self) -> Nat {
        self.nat
    }

    /// We are in another network: what was known is worth nothing.
    pub fn forget(&mut self) {
        self.seen.clear();
        self.nat = Nat::default();
    }

    fn nat_of(&self, hosts: &[SocketAddr]) -> Nat {
        let own_port = self.questions.iter().filter(|q| q.side.is_none());
        let v4 = own_port.filter(|q| q.mirror.is_ipv4());
        let asked = v4.clone().count();
        let seen: ArrayVec<SocketAddr, MAX_MIRRORS> = v4.filter_map(|q| q.seen).collect();
        let (kind, step) = match seen.as_slice() {
            [] if asked > 0 => (NatKind::Blocked, 0),
            [] => (NatKind::Unknown, 0),
            seen if seen.iter().any(|address| hosts.contains(address)) => (NatKind::Open, 0),
            [_] => (NatKind::Unknown, 0),
            [first, rest @ ..] if rest.iter().all(|other| other == first) => (NatKind::Steady, 0),
            seen => match step(seen) {
                Some(step) => (NatKind::Sequential, step),
                None => (NatKind::Random, 0),
            },
        };
        Nat { kind, step }
    }
}

impl Question {
    fn path(&self) -> Path {
        match self.side {
            Some(side) => Path::Side(side, self.mirror),
            None => Path::Udp(self.mirror),
        }
    }
}

/// The step from port to port, in the order of the questions: of one sign and small, as others
/// behind the same NAT may have taken some between.
fn step(seen: &[SocketAddr]) -> Option<i8> {
    let ports = seen.windows(2).map(|two| {
        let [one, next] = [two[0], two[1]].map(|address| address.port());
        next.wrapping_sub(one) as i16
    });
    let steps = ports.filter(|step| *step != 0);
    let smallest = steps.clone().min_by_key(|step| step.unsigned_abs())?;
    let is_one_way = steps.clone().all(|step| (step > 0) == (smallest > 0));
    let all: u32 = steps.map(|step| u32::from(step.unsigned_abs())).sum();
    let is_small = smallest.unsigned_abs() <= MAX_STEP && all <= MAX_SPAN;
    (is_one_way && is_small).then_some(smallest as i8)
}

/// Mirrors of both families, if there are such; most of IPv4, where the NATs are.
fn picked(mirrors: &[SocketAddr]) -> ArrayVec<SocketAddr, MAX_MIRRORS> {
    let v4 = mirrors.iter().filter(|mirror| mirror.is_ipv4());
    let v6 = mirrors.iter().filter(|mirror| mirror.is_ipv6());
    v4.take(MAX_MIRRORS - 2)
        .chain(v6.take(2))
        .copied()
        .collect()
}

const MAX_MIRRORS: usize = 6;
const MAX_QUESTIONS: usize = MAX_MIRRORS + 1;
/// Between two questions, so that they come to the NAT in this order.
const APART: Duration = Duration::from_millis(4);
const TRIES: u8 = 4;
const PAUSE: Duration = Duration::from_millis(150);
/// How long others may still answer after one has.
const GATHER: Duration = Duration::from_millis(120);
/// How long nobody may answer.
const PATIENCE: Duration = Duration::from_millis(1200);
/// Answers younger than this are not asked for again.
const FRESH: Duration = Duration::from_secs(3);
/// How long an answer is told to peers: a NAT keeps a port so long that is not used (RFC 4787,
/// REQ-5), or gives it out again.
const KEPT: Duration = Duration::from_secs(60);
/// Largest step that is believed to be one.
const MAX_STEP: u16 = 8;
/// Most ports that may lie between the first and the last answer.
const MAX_SPAN: u32 = 64;

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn mirrors() -> Vec<SocketAddr> {
        let ports = [
            "198.18.0.1:7",
            "198.18.0.1:8",
            "198.18.0.2:7",
            "198.18.0.2:8",
        ];
        ports.map(|text| text.parse().expect(text)).to_vec()
    }

    fn seen_at(port: u16) -> SocketAddr {
        ([203, 0, 113, 1], port).into()
    }

    /// Asks all and answers with these ports, 30 ms later; 0 is no answer.
    fn learn(ports: [u16; 4]) -> (Mirror, bool) {
        let mut mirror = Mirror::default();
        assert!(mirror.set(&mirrors()));
        mirror.ask(7, Duration::ZERO, &mut ChaCha20Rng::from_seed([1; 32]));
        let mut sent = Vec::new();
        for at in 0..20 {
            sent.extend(std::iter::from_fn(|| mirror.due(at * MILLI)));
        }
        let order: Vec<SocketAddr> = sent.iter().filter_map(|(to, _)| to.udp()).collect();
        assert_eq!(order, mirrors());
        for ((to, request), port) in sent.iter().zip(ports) {
            let transaction = stun::parse_request(request).expect("a request");
            let response = stun::response(&transaction, seen_at(port));
            assert!(
                !mirror.take(Path::Udp(seen_at(9)), &response, 30 * MILLI),
                "not asked"
            );
            if port != 0 {
                assert!(mirror.take(*to, &response, 30 * MILLI));
            }
        }
        let hosts = ["192.168.1.2:40".parse().expect("an address")];
        let is_judged = mirror.judge(&hosts, 30 * MILLI) || mirror.judge(&hosts, 2000 * MILLI);
        (mirror, is_judged)
    }

    #[test]
    fn the_ports_tell_what_the_nat_does() {
        let kinds = [
            ([40, 40, 40, 40], NatKind::Steady, 0),
            ([40, 0, 0, 40], NatKind::Steady, 0),
            ([40, 41, 42, 43], NatKind::Sequential, 1),
            ([40, 42, 44, 49], NatKind::Sequential, 2),
            ([40, 40, 41, 41], NatKind::Sequential, 1),
            ([43, 42, 41, 40], NatKind::Sequential, -1),
            ([65_535, 65_535, 0, 1], NatKind::Sequential, 2),
            ([4000, 12, 40_000, 7], NatKind::Random, 0),
            ([40, 41, 40, 41], NatKind::Random, 0),
            ([40, 0, 0, 0], NatKind::Unknown, 0),
            ([0, 0, 0, 0], NatKind::Blocked, 0),
        ];
        for (ports, kind, step) in kinds {
            let (mirror, is_judged) = learn(ports);
            assert_eq!(mirror.nat(), Nat { kind, step }, "{ports:?}");
            assert!(is_judged);
            let newest = ports.iter().rev().find(|port| **port != 0);
            let newest = newest.map(|port| seen_at(*port));
            assert_eq!(mirror.seen(MILLI).first().copied(), newest);
            assert!(mirror.seen(KEPT).is_empty(), "too old");
        }
    }

    #[test]
    fn an_own_address_in_the_mirror_means_that_there_is_no_nat() {
        let (mut mirror, _) = learn([40, 40, 40, 40]);
        mirror.judged_at = Some(Duration::ZERO);
        assert!(mirror.judge(&[seen_at(40)], MILLI));
        assert_eq!(mirror.nat().kind, NatKind::Open);
    }

    #[test]
    fn silence_is_asked_a_few_times_and_then_judged() {
        let mut mirror = Mirror::default();
        assert_eq!(mirror.deadline(), None);
        mirror.set(&mirrors());
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        mirror.ask(7, Duration::ZERO, &mut rng);
        let mut sent = 0;
        while let Some(at) = mirror.deadline() {
            mirror.judge(&[], at);
            while mirror.due(at).is_some() {
                sent += 1;
            }
        }
        assert_eq!(sent, mirrors().len() * usize::from(TRIES));
        assert_eq!(mirror.nat().kind, NatKind::Blocked);
        mirror.ask(7, FRESH - MILLI, &mut rng);
        assert_eq!(mirror.deadline(), None, "asked just now");
        mirror.ask(7, FRESH, &mut rng);
        assert!(mirror.deadline().is_some());
    }

    /// The ports by which mirrors know us were given out long ago: a new one tells where the NAT is.
    #[test]
    fn a_nat_that_counts_is_asked_from_a_fresh_port() {
        let (mut mirror, _) = learn([40, 41, 42, 43]);
        assert_eq!(mirror.done_side(), None);
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let at = Duration::from_secs(30);
        mirror.ask(9, at, &mut rng);
        let mut sent: Vec<_> = std::iter::from_fn(|| mirror.due(at + 20 * MILLI)).collect();
        assert_eq!(sent.len(), 5);
        let (path, request) = sent.pop().expect("five");
        assert_eq!(path, Path::Side(9, mirrors()[0]));
        for ((from, request), port) in sent
            .iter()
            .chain([&(path, request)])
            .zip([40, 41, 42, 43, 900])
        {
            let transaction = stun::parse_request(request).expect("a request");
            let response = stun::response(&transaction, seen_at(port));
            assert!(mirror.take(*from, &response, at + 50 * MILLI));
        }
        assert_eq!(mirror.done_side(), None, "not judged yet");
        assert!(mirror.judge(&[], at + 50 * MILLI));
        assert_eq!(mirror.nat().kind, NatKind::Sequential);
        assert_eq!(mirror.seen(at).first(), Some(&seen_at(900)));
        assert_eq!((mirror.done_side(), mirror.done_side()), (Some(9), None));
    }
}
