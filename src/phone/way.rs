//! One way to the peer: whether it is proven, how long its round trip is, when to ask there again.

use std::time::Duration;

use super::types::Path;
use crate::api::PathKind;

/// See the [module](self).
#[derive(Debug)]
pub struct Way {
    pub path: Path,
    pub kind: PathKind,
    /// When the peer first answered there, in a row of answers.
    pub proven_at: Option<Duration>,
    /// When it answered last.
    pub answered_at: Option<Duration>,
    /// When the other end said that it has our answer there.
    pub ready_at: Option<Duration>,
    /// Smoothed round trip and how many answers made it.
    pub rtt: Duration,
    pub samples: u32,
    /// Challenges since the last answer.
    pub unanswered: u8,
    pub next: Option<Duration>,
    /// It fell silent: not before then again.
    pub banned_until: Duration,
    pub fell: u32,
    /// It will be closed before long.
    pub is_ending: bool,
}

impl Way {
    pub fn new(path: Path, kind: PathKind) -> Way {
        Way {
            path,
            kind,
            proven_at: None,
            answered_at: None,
            ready_at: None,
            rtt: Duration::ZERO,
            samples: 0,
            unanswered: 0,
            next: None,
            banned_until: Duration::ZERO,
            fell: 0,
            is_ending: false,
        }
    }

    /// Asks it now, and as often as a new one.
    pub fn ask(&mut self, now: Duration) {
        self.unanswered = 0;
        self.next = Some(now);
    }

    pub fn take_answer(&mut self, rtt: Duration, now: Duration) {
        if !self.is_proven(now) {
            self.proven_at = Some(now);
        }
        self.answered_at = Some(now);
        self.unanswered = 0;
        self.rtt = match self.samples {
            0 => rtt,
            _ => (self.rtt * 3 + rtt) / 4,
        };
        self.samples += 1;
        // Soon again, until the round trip can be believed.
        let pause = if self.samples < SURE { SOON } else { MEASURE };
        self.next = Some(now + pause);
    }

    /// The peer answered here not long ago.
    pub fn is_proven(&self, now: Duration) -> bool {
        self.answered_at.is_some_and(|at| now < at + PROOF_LASTS)
    }

    pub fn is_agreed(&self, now: Duration) -> bool {
        let is_ready = self.ready_at.is_some_and(|at| now < at + PROOF_LASTS);
        is_ready && self.is_proven(now) && now >= self.banned_until
    }

    /// It was the present path and fell silent: each time it has to wait longer for its return.
    pub fn fall(&mut self, now: Duration) {
        self.fell += 1;
        self.banned_until = now + BAN * (1 << self.fell.min(4));
        self.doubt(now);
    }

    /// It was the present path and lost too much.
    pub fn ban(&mut self, now: Duration) {
        self.fell += 1;
        self.banned_until = now + LOSSY_BAN * (1 << self.fell.min(4));
    }

    /// It may be the present path again; true if it can be at once.
    pub fn forgive(&mut self, now: Duration) -> bool {
        self.banned_until = Duration::ZERO;
        self.is_agreed(now)
    }

    /// Answers from before that moment count no more.
    pub fn doubt(&mut self, since: Duration) {
        let is_old = |at: &mut Duration| *at <= since;
        self.answered_at.take_if(is_old);
        self.ready_at.take_if(is_old);
    }

    /// Nobody answers at an address that was only worth a try.
    pub fn is_useless(&self) -> bool {
        let is_kept = matches!(self.path, Path::Circuit(_) | Path::Reflected(_));
        !is_kept && self.next.is_none() && self.unanswered >= patience(self.path)
    }

    /// Round trip, with a little for the ways that live from a hole in a NAT.
    pub fn score(&self) -> Duration {
        let is_v6 = self.path.udp().is_some_and(|address| address.is_ipv6());
        let handicap = match self.kind {
            PathKind::Direct if is_v6 => Duration::ZERO,
            PathKind::Direct => Duration::from_millis(1),
            _ => Duration::from_millis(3),
        };
        self.rtt + handicap
    }
}

/// Straight, by a reflector, by a circuit.
pub fn class(kind: PathKind) -> u8 {
    match kind {
        PathKind::Direct | PathKind::Punched => 0,
        PathKind::Reflected => 1,
        PathKind::Circuit => 2,
    }
}

/// How often a way is asked that does not answer.
pub fn patience(path: Path) -> u8 {
    match path {
        // The other end may bind its leg a little later.
        Path::Reflected(_) => 10,
        Path::Circuit(_) => 5,
        Path::Udp(_) | Path::Side(..) => 3,
    }
}

/// How long after the first direct way others may still come, of which the best is taken.
pub fn gather(kind: PathKind) -> Duration {
    match class(kind) {
        0 => Duration::from_millis(120),
        _ => Duration::ZERO,
    }
}

/// Between two measurements of a way; also keeps NATs open on those that are not used.
pub const MEASURE: Duration = Duration::from_secs(4);
pub const SOON: Duration = Duration::from_millis(500);
/// Two measurements may fail.
pub const PROOF_LASTS: Duration = Duration::from_secs(13);
/// Answers after which a round trip is believed.
pub const SURE: u32 = 3;
/// How long a way that fell silent is not chosen again, doubled each time.
pub const BAN: Duration = Duration::from_secs(2);
/// How long one that lost too much is not, doubled each time.
pub const LOSSY_BAN: Duration = Duration::from_secs(15);
