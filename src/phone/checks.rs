//! Looking for direct paths: which addresses are asked when, until the peer answers from one.
//!
//! Three kinds of search, each slow enough for a line and bounded for a session, because the peer
//! could name anybody's address:
//!
//! - the peer's candidates, one after the other, in several rounds: the first datagram often only
//!   opens our own NAT for the peer's;
//! - a sweep over the next ports of a NAT that gives them out one after the other. If both NATs do
//!   so, each datagram takes a port at this end and aims at one at the other: the leader aims at
//!   every second port, the other end at each. Two lines of different slope cross, however far the
//!   foretold ports are off;
//! - the birthday search, if the ports of one end are random: that end opens many ports towards the
//!   other, which tries as many at random, until two meet.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use arrayvec::ArrayVec;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::candidates::{Candidate, Kind, List, Nat, is_anybodys};
use super::types::{Path, SideId};
use crate::api::NatKind;

/// See the [module](self).
#[derive(Debug)]
pub struct Checks {
    leads: bool,
    checks: ArrayVec<Check, MAX_CHECKS>,
    sweep: Option<Sweep>,
    search: Option<Search>,
    /// When a birthday search may begin, and where.
    birthday: Option<(Duration, Birthday)>,
    /// One has begun: no plain check has found a path.
    has_searched: bool,
    /// Datagrams that may still go to addresses because the peer has named them.
    left: u16,
}

#[derive(Debug)]
struct Check {
    path: Path,
    round: u8,
    next: Duration,
}

/// One datagram to each of the next ports, and again.
#[derive(Debug)]
struct Sweep {
    latest: SocketAddr,
    /// From one port that the peer's NAT gives out to the next.
    step: i32,
    /// Steps between two aims.
    slope: i32,
    sent: u16,
    next: Duration,
}

/// The birthday search under way.
#[derive(Debug)]
struct Search {
    by: By,
    sent: u16,
    next: Duration,
}

#[derive(Debug)]
enum By {
    /// From many ports of ours to the peer's one.
    Sides(SideId, SocketAddr),
    /// From our one port to many of the peer's: of all, and of these, among which it was seen.
    Ports(IpAddr, Ports),
}

/// Which end of a birthday search is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birthday {
    /// Our ports are random: to this address, from [`SIDES`] ports.
    Open(SocketAddr),
    /// The peer's are, at this address. It was seen at ports between these.
    Try(IpAddr, Ports),
}

/// The lowest and the highest of some ports.
pub type Ports = (u16, u16);

impl Checks {
    /// `leads` at the initiator of the session.
    pub fn new(leads: bool) -> Checks {
        Checks {
            leads,
            checks: ArrayVec::new(),
            sweep: None,
            search: None,
            birthday: None,
            has_searched: false,
            left: MAX_DATAGRAMS,
        }
    }

    /// The peer may be at these addresses; nothing leaves before `at`. `rtt`: the round trip to the
    /// peer as far as it is known, for the time in which plain checks may find it.
    pub fn begin(&mut self, theirs: &List, nats: [Nat; 2], rtt: Option<Duration>, at: Duration) {
        self.checks.clear();
        let asked = theirs.iter().filter(|c| c.kind != Kind::Latest);
        for (place, candidate) in (0..).zip(asked) {
            self.add(Path::Udp(candidate.address), at + APART * place);
        }
        let all = at + APART * self.checks.len() as u32;
        let [ours, peers] = nats;
        let latest = theirs.iter().find(|c| c.kind == Kind::Latest);
        let slope = match (ours.kind, self.leads) {
            (NatKind::Sequential, true) => 2,
            _ => 1,
        };
        self.sweep = latest
            .filter(|_| peers.kind == NatKind::Sequential && peers.step != 0)
            .map(|latest| Sweep {
                latest: latest.address,
                step: i32::from(peers.step),
                slope,
                sent: 0,
                next: all,
            });
        if self.search.is_none() {
            let birthday = birthday(theirs, nats);
            self.birthday = birthday.map(|birthday| (at + alone(birthday, rtt), birthday));
        }
    }

    /// One more address, told otherwise.
    pub fn add(&mut self, path: Path, at: Duration) {
        if self.checks.iter().all(|check| check.path != path) {
            // When there are too many, the others are tried.
            let _ = self.checks.try_push(Check {
                path,
                round: 0,
                next: at,
            });
        }
    }

    /// The next address to ask now. A few may be due at once.
    pub fn due(&mut self, now: Duration, rng: &mut ChaCha20Rng) -> Option<Path> {
        if self.left == 0 {
            self.stop();
            return None;
        }
        let path = self
            .due_candidate(now)
            .or_else(|| self.due_in_sweep(now))
            .or_else(|| self.due_in_search(now, rng))?;
        self.left -= 1;
        Some(path)
    }

    pub fn deadline(&self) -> Option<Duration> {
        let checks = self.checks.iter().map(|check| check.next);
        let sweep = self.sweep.iter().map(|sweep| sweep.next);
        let search = self.search.iter().map(|search| search.next);
        let birthday = self.birthday.iter().map(|(at, _)| *at);
        checks.chain(sweep).chain(search).chain(birthday).min()
    }

    /// Plain checks alone have not found a path: it is time to ask for a birthday search.
    pub fn wants_birthday(&mut self, now: Duration) -> Option<Birthday> {
        let (_, birthday) = self.birthday.take_if(|(at, _)| now >= *at)?;
        Some(birthday)
    }

    /// The peer asks from an address that it has not named: perhaps a plain check is about to find a
    /// path.
    pub fn is_asked(&mut self, from: Path, rtt: Option<Duration>, now: Duration) {
        let is_news = from.udp().is_some() && self.checks.iter().all(|check| check.path != from);
        if let Some((at, _)) = self.birthday.as_mut().filter(|_| is_news) {
            *at = (*at).max(now + rtt.unwrap_or(PLAIN_FIRST));
        }
    }

    /// What is found now is found by a birthday search: no plain check has found a path.
    pub fn has_searched(&self) -> bool {
        self.has_searched
    }

    /// The peer has answered on a direct path: ports are searched no more. Other checks go on, since
    /// the peer may not have it yet.
    pub fn end_search(&mut self) {
        self.search = None;
    }

    /// Begins the birthday search; `sides` are [`SIDES`] numbers that nobody else uses.
    pub fn search(&mut self, birthday: Birthday, sides: &Range<SideId>, now: Duration) {
        let by = match birthday {
            Birthday::Open(address) => By::Sides(sides.start, address),
            Birthday::Try(ip, seen) => By::Ports(ip, around(seen)),
        };
        let (sent, next) = (0, now);
        self.search = Some(Search { by, sent, next });
        self.has_searched = true;
    }

    /// A direct path stands: nothing more is looked for.
    pub fn stop(&mut self) {
        self.checks.clear();
        self.sweep = None;
        self.search = None;
        self.birthday = None;
        self.has_searched = false;
    }

    pub fn is_over(&self) -> bool {
        self.deadline().is_none()
    }

    fn due_candidate(&mut self, now: Duration) -> Option<Path> {
        let at = self.checks.iter().position(|check| now >= check.next)?;
        let check = &mut self.checks[at];
        let path = check.path;
        match PAUSES.get(usize::from(check.round)) {
            Some(pause) => {
                check.round += 1;
                check.next = now + *pause;
            }
            None => {
                self.checks.remove(at);
            }
        }
        Some(path)
    }

    fn due_in_sweep(&mut self, now: Duration) -> Option<Path> {
        let sweep = self.sweep.as_mut().filter(|sweep| now >= sweep.next)?;
        let place = i32::from(sweep.sent % SWEEP) * sweep.slope + 1;
        let port = i32::from(sweep.latest.port()) + sweep.step * place;
        sweep.sent += 1;
        let is_last = sweep.sent.is_multiple_of(SWEEP);
        sweep.next += if is_last { SWEEP_PAUSE } else { SWEEP_APART };
        let ip = sweep.latest.ip();
        if sweep.sent >= SWEEP * SWEEPS {
            self.sweep = None;
        }
        Some(Path::Udp(SocketAddr::new(ip, port as u16)))
    }

    fn due_in_search(&mut self, now: Duration, rng: &mut ChaCha20Rng) -> Option<Path> {
        let search = self.search.as_mut().filter(|search| now >= search.next)?;
        let sent = search.sent;
        search.sent += 1;
        search.next += match search.by {
            By::Sides(..) => SIDES_APART,
            By::Ports(..) => PORTS_APART,
        };
        let (path, is_last) = match search.by {
            By::Sides(first, to) => {
                let side = first + SideId::from(sent % SIDES);
                if search.sent.is_multiple_of(SIDES) {
                    search.next = now + SIDES_PAUSE;
                }
                (Path::Side(side, to), search.sent >= SIDES * SIDE_ROUNDS)
            }
            By::Ports(ip, near) => {
                let (first, last) = if sent % 2 == 0 { near } else { ALL };
                let ports = u32::from(last - first) + 1;
                let port = first + (rng.next_u32() % ports) as u16;
                (
                    Path::Udp(SocketAddr::new(ip, port)),
                    search.sent >= MAX_TRIES,
                )
            }
        };
        if is_last {
            self.search = None;
        }
        Some(path)
    }
}

/// How long plain checks are alone. The first from the end with the random ports is let in by the
/// other end or is not: that one knows half a round trip later, and the asker by the answer.
fn alone(birthday: Birthday, rtt: Option<Duration>) -> Duration {
    let Some(rtt) = rtt else {
        return PLAIN_FIRST;
    };
    PLAIN_FIRST.min(match birthday {
        Birthday::Try(..) => rtt / 2 + 60 * MILLI,
        Birthday::Open(_) => rtt + 20 * MILLI,
    })
}

/// Whether and how a birthday search could help: one end's ports are random, the other's not.
fn birthday(theirs: &List, nats: [Nat; 2]) -> Option<Birthday> {
    let is_random = nats.map(|nat| nat.kind == NatKind::Random);
    let keeps_port = |nat: Nat| matches!(nat.kind, NatKind::Steady | NatKind::Open);
    let is_seen = |c: &&Candidate| {
        c.address.is_ipv4() && c.kind != Kind::Latest && is_anybodys(c.address.ip())
    };
    // Without a NAT it is seen at its own address.
    let seen = theirs
        .iter()
        .filter(is_seen)
        .max_by_key(|c| c.kind)?
        .address;
    match is_random {
        [true, false] if keeps_port(nats[1]) => Some(Birthday::Open(seen)),
        [false, true] if keeps_port(nats[0]) => {
            let ports = theirs.iter().filter(|c| c.address.ip() == seen.ip());
            let ports = ports.map(|c| c.address.port());
            let (first, last) = (ports.clone().min()?, ports.max()?);
            Some(Birthday::Try(seen.ip(), (first, last)))
        }
        _ => None,
    }
}

/// Where ports of the same NAT may be, if some were seen between these. Many providers give each
/// customer a block of ports (RFC 7422), in which a few tries are enough; and where a NAT takes any
/// port, these are as good as others. One port alone says nothing.
fn around((first, last): Ports) -> Ports {
    if first == last {
        return ALL;
    }
    let wide = (last - first).max(LEAST_WIDE);
    let (lowest, highest) = ALL;
    let wider = [first.saturating_sub(wide), last.saturating_add(wide)];
    wider.map(|port| port.clamp(lowest, highest)).into()
}

/// Ports that the end with the random ones opens: with 1000 tries by the other end they meet in 98
/// of 100 cases, with 2000 nearly always.
pub const SIDES: u16 = 256;

const MAX_CHECKS: usize = 24;
/// Between two candidates.
const APART: Duration = Duration::from_millis(20);
/// Between the rounds of one candidate.
const PAUSES: [Duration; 7] = [
    Duration::from_millis(200),
    Duration::from_millis(200),
    Duration::from_millis(300),
    Duration::from_millis(500),
    Duration::from_millis(600),
    Duration::from_millis(700),
    Duration::from_millis(1000),
];
/// Most datagrams of one session to addresses that the peer has named: a minute of voice.
const MAX_DATAGRAMS: u16 = 3000;
/// Ports ahead of the last one that are tried.
const SWEEP: u16 = 64;
const SWEEPS: u16 = 4;
const SWEEP_APART: Duration = Duration::from_millis(2);
const SWEEP_PAUSE: Duration = Duration::from_millis(250);
/// How long the plain checks are alone at most.
const PLAIN_FIRST: Duration = Duration::from_millis(400);
const MILLI: Duration = Duration::from_millis(1);
/// Between two tries: 1.4 Mbit/s of the line up, for two seconds at most.
const PORTS_APART: Duration = Duration::from_millis(1);
/// Between two ports that are opened. Tries are in vain before, so they open twice as fast.
const SIDES_APART: Duration = Duration::from_micros(500);
const MAX_TRIES: u16 = 2000;
const SIDES_PAUSE: Duration = Duration::from_millis(900);
const SIDE_ROUNDS: u16 = 2;
/// No NAT gives out the well-known ports.
const ALL: Ports = (1024, u16::MAX);
/// A block is at least about so large.
const LEAST_WIDE: u16 = 64;

#[cfg(test)]
mod tests;
