//! The path of a session: which ways are known and proven, and the care with which it changes.
//!
//! A way is proven when the peer has answered a challenge there, and only there (RFC 9000, section
//! 9): nobody who can merely replay or redirect a packet pulls a call away. Direct is better than
//! reflected, reflected better than a circuit. The initiator of the session leads: he moves to a
//! better way when it is proven at both ends, which the other end says there (PATH-READY), and the
//! other end follows his stream. The old way stays known, so nothing is broken before the new one
//! stands.
//!
//! A path that loses too much is left by the leader for another one that may be no better: see
//! [`super::lossy`].
//!
//! When nothing is heard for longer than voice may be missed, either end asks all ways at once and
//! moves to the first that answers.

mod weigh;

use std::time::Duration;

use arrayvec::ArrayVec;

use super::lossy::{Advice, Lossy};
use super::types::Path;
use super::way::{MEASURE, PROOF_LASTS, Way, class, gather, patience};
use crate::api::PathKind;

/// See the [module](self).
#[derive(Debug)]
pub struct Choice {
    path: Path,
    leads: bool,
    /// When something authentic came over `path`.
    heard_at: Duration,
    /// How long nothing may come.
    patience: Duration,
    /// `path` is gone: a circuit was closed, a leg lost.
    is_gone: bool,
    /// When we moved of our own accord.
    chosen_at: Option<Duration>,
    /// Where the peer's stream comes from though we are elsewhere.
    trial: Option<Trial>,
    ways: ArrayVec<Way, MAX_WAYS>,
    /// When all ways were asked because nothing is heard.
    searched_at: Option<Duration>,
    /// When the ways were weighed last.
    decided_at: Duration,
    /// What is found now is as good as what may come.
    is_hasty: bool,
    lossy: Lossy,
}

#[derive(Debug)]
struct Trial {
    path: Path,
    since: Duration,
    asked_at: Duration,
}

/// What the newest packet of the peer's stream is a reason for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    Stay,
    /// Ask there.
    Ask,
    /// We are there now.
    Moved,
}

impl Choice {
    /// `leads` at the initiator of the session.
    pub fn new(path: Path, kind: PathKind, leads: bool, now: Duration) -> Choice {
        let mut ways = ArrayVec::new();
        ways.push(Way::new(path, kind));
        Choice {
            path,
            leads,
            heard_at: now,
            patience: IDLE_PATIENCE,
            is_gone: false,
            chosen_at: None,
            trial: None,
            ways,
            searched_at: None,
            decided_at: now,
            is_hasty: false,
            lossy: Lossy::default(),
        }
    }

    pub fn path(&self) -> Path {
        self.path
    }

    pub fn kind(&self) -> PathKind {
        self.way(self.path).map_or(self.path.kind(), |way| way.kind)
    }

    /// The round trip that the challenges on the present path have shown.
    pub fn rtt(&self) -> Option<Duration> {
        self.way(self.path)
            .filter(|way| way.samples > 0)
            .map(|way| way.rtt)
    }

    /// Voice flows from now on: its first packet may take so long.
    pub fn expect_voice(&mut self, within: Duration, now: Duration) {
        self.patience = VOICE_PATIENCE;
        self.heard_at = self.heard_at.max(now + within);
    }

    /// An authentic packet came from `from`.
    pub fn seen(&mut self, from: Path, now: Duration) {
        if from == self.path && !self.is_gone {
            self.heard_at = self.heard_at.max(now);
            self.searched_at = None;
        }
    }

    /// The newest packet of the peer's stream (anything but checks) came from `from`.
    pub fn streamed(&mut self, from: Path, now: Duration) -> Follow {
        if from == self.path {
            self.trial = None;
            return Follow::Stay;
        }
        let is_silent = self.is_silent(now);
        let has_chosen = self.chosen_at.is_some_and(|at| now < at + SETTLE);
        if self.leads && has_chosen && !is_silent {
            // What was under way when we moved.
            return Follow::Stay;
        }
        let is_proven = self.way(from).is_some_and(|way| way.is_proven(now));
        if is_proven && (!self.leads || is_silent) {
            self.move_to(from, now);
            return Follow::Moved;
        }
        if let Some(trial) = &self.trial
            && now < trial.asked_at + BETWEEN_CHALLENGES
        {
            return Follow::Stay;
        }
        // Asked again, it is still about the same absence from the present path.
        let old = self.trial.as_ref().filter(|trial| trial.path == from);
        let since = old.map_or(now, |trial| trial.since);
        self.trial = Some(Trial {
            path: from,
            since: if since < self.heard_at { now } else { since },
            asked_at: now,
        });
        Follow::Ask
    }

    /// Whether the peer's stream has come from there, and we have asked.
    pub fn is_followed(&self, path: Path) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.path == path)
    }

    /// Whether a challenge of the peer's from there is to be answered with one of ours: until the
    /// way is proven, and now and then later.
    pub fn wants_proof(&self, from: Path, now: Duration) -> bool {
        self.way(from)
            .and_then(|way| way.answered_at)
            .is_none_or(|at| now >= at + PROOF_LASTS / 2)
    }

    /// The peer has answered at `from`. True if we have moved there.
    pub fn answered(&mut self, from: Path, kind: PathKind, rtt: Duration, now: Duration) -> bool {
        let heard_at = self.heard_at;
        let is_silent = self.is_silent(now);
        let here = class(self.kind());
        let Some(way) = self.way_or_new(from, kind) else {
            return false;
        };
        way.take_answer(rtt, now);
        if class(kind) > here || !self.has_choice(now) {
            // Nothing to compare with.
            self.rest(from);
        }
        if from == self.path {
            return false;
        }
        let is_rival = class(kind) <= here;
        if let Some(present) = self
            .way_mut(self.path)
            .filter(|way| is_rival && way.samples == 0)
        {
            // Now there is something to compare with.
            present.next.get_or_insert(now);
        }
        // The peer has gone there: nothing came over the present path since we asked.
        let is_followed = self
            .trial
            .as_ref()
            .is_some_and(|trial| trial.path == from && heard_at <= trial.since);
        if is_followed || is_silent || !self.leads && self.is_followed(from) {
            self.move_to(from, now);
            if is_silent {
                self.chosen_at = Some(now);
            }
            return true;
        }
        false
    }

    /// The other end says that `from` is proven there.
    pub fn ready(&mut self, from: Path, now: Duration) {
        if let Some(way) = self.way_mut(from) {
            way.ready_at = Some(now);
        }
    }

    /// Whether to tell the leader that `path` is proven here.
    pub fn is_ready(&self, path: Path, now: Duration) -> bool {
        !self.leads && self.way(path).is_some_and(|way| way.is_proven(now))
    }

    /// Many ports of the two ends are tried with each other: all that are found lead the same way, so
    /// that the first is taken at once.
    pub fn set_hasty(&mut self, is_hasty: bool) {
        self.is_hasty = is_hasty;
    }

    /// As leader: moves if there is a better way on which both ends agree. True if so.
    pub fn decide(&mut self, now: Duration) -> bool {
        self.decided_at = now;
        let Some(best) = self.best(now) else {
            return false;
        };
        let Some(way) = self.way(best) else {
            return false;
        };
        if now < way.proven_at.unwrap_or(now) + self.gather(way) {
            return false;
        }
        self.move_to(best, now);
        self.chosen_at = Some(now);
        true
    }

    /// That end says how much voice is lost on the way to it, in half percents. As leader, leaves a
    /// path that loses too much. True if so.
    pub fn suffer(&mut self, end: usize, loss: u8, now: Duration) -> bool {
        self.lossy.told(end, loss, now);
        if !self.leads || self.is_silent(now) {
            return false;
        }
        let from = self.path;
        match self.lossy.advise(now) {
            Advice::Stay => return false,
            Advice::Ask => {
                self.ask_others(now);
                return false;
            }
            Advice::Leave => {
                let Some(to) = self.spare(now) else {
                    return false;
                };
                if let Some(way) = self.way_mut(from) {
                    way.ban(now);
                }
                self.move_to(to, now);
                self.lossy.left(from, now);
            }
            Advice::Return(back) => {
                let old = self.way_mut(back);
                if !old.is_some_and(|way| way.forgive(now)) {
                    return false;
                }
                self.move_to(back, now);
            }
        }
        self.chosen_at = Some(now);
        true
    }

    /// There is a way that may be of use: it is asked a few times, and again in need.
    pub fn offer(&mut self, path: Path, kind: PathKind, now: Duration) {
        if let Some(way) = self.way_or_new(path, kind) {
            way.ask(now);
        }
    }

    /// That way will not be there for long: it is left as soon as another as good is agreed on.
    pub fn retire(&mut self, path: Path) {
        if let Some(way) = self.way_mut(path) {
            way.is_ending = true;
        }
    }

    /// That way is closed. True if the session lived there.
    pub fn gone(&mut self, path: Path, now: Duration) -> bool {
        self.trial.take_if(|trial| trial.path == path);
        if path != self.path {
            self.ways.retain(|way| way.path != path);
            return false;
        }
        if !std::mem::replace(&mut self.is_gone, true) {
            self.ask_others(now);
        }
        true
    }

    /// Nothing is heard, or more ways may be used than before, or we are somewhere else: asks
    /// everywhere but on the present path, where the stream asks.
    pub fn ask_others(&mut self, now: Duration) {
        let present = self.path;
        for way in self.ways.iter_mut().filter(|way| way.path != present) {
            way.ask(now);
        }
    }

    /// If nothing is heard for too long: asks everywhere, some times a second. True at the first.
    pub fn search(&mut self, now: Duration) -> bool {
        if !self.is_silent(now) {
            return false;
        }
        let is_first = self.searched_at.is_none();
        if self
            .searched_at
            .is_none_or(|at| now >= at + BETWEEN_SEARCHES)
        {
            self.searched_at = Some(now);
            self.ask_others(now);
        }
        is_first
    }

    /// Since when nothing is heard, if that is too long.
    pub fn silent_since(&self, now: Duration) -> Option<Duration> {
        self.is_silent(now).then_some(self.heard_at)
    }

    pub fn has_other_ways(&self) -> bool {
        self.ways.iter().any(|way| way.path != self.path)
    }

    /// Ways that are known, the present one among them.
    pub fn paths(&self) -> impl Iterator<Item = Path> {
        self.ways.iter().map(|way| way.path)
    }

    /// The peer has answered on a direct way.
    pub fn has_direct(&self, now: Duration) -> bool {
        let mut ways = self.ways.iter();
        ways.any(|way| class(way.kind) == 0 && way.is_proven(now))
    }

    /// The next way to ask.
    pub fn due(&mut self, now: Duration) -> Option<Path> {
        let present = self.path;
        let here = class(self.kind());
        let has_choice = self.has_choice(now);
        self.ways
            .retain(|way| way.path == present || !way.is_useless());
        let is_gone = self.is_gone;
        let is_due = |way: &&mut Way| {
            let is_lost = is_gone && way.path == present;
            !is_lost && way.next.is_some_and(|at| now >= at)
        };
        let way = self.ways.iter_mut().find(is_due)?;
        way.unanswered = way.unanswered.saturating_add(1);
        let tries = u32::from(way.unanswered);
        way.next = match way.answered_at {
            // Alone there is nothing to compare with, and what is worse is asked in need only.
            Some(_) if tries <= 1 => (has_choice && class(way.kind) <= here).then(|| now + MEASURE),
            _ if way.unanswered < patience(way.path) => Some(now + FIRST_PAUSE * tries.min(3)),
            _ => None,
        };
        Some(way.path)
    }

    pub fn deadline(&self) -> Option<Duration> {
        let is_lost = |way: &&Way| self.is_gone && way.path == self.path;
        let asks = self.ways.iter().filter(|way| !is_lost(way));
        let asks = asks.filter_map(|way| way.next);
        let gathers = self
            .ways
            .iter()
            .filter(|way| self.leads && class(way.kind) < class(self.kind()))
            .filter_map(|way| Some(way.ready_at.and(way.proven_at)? + self.gather(way)));
        asks.chain(gathers.filter(|at| *at > self.decided_at)).min()
    }

    /// Nothing came over the present path for longer than we wait.
    fn is_silent(&self, now: Duration) -> bool {
        self.is_gone || now >= self.heard_at + self.patience
    }

    fn gather(&self, way: &Way) -> Duration {
        match self.is_hasty {
            true => Duration::ZERO,
            false => gather(way.kind),
        }
    }

    fn rest(&mut self, path: Path) {
        if let Some(way) = self.way_mut(path) {
            way.next = None;
        }
    }

    fn move_to(&mut self, path: Path, now: Duration) {
        let is_silent = self.is_silent(now);
        let (old, was_gone) = (self.path, std::mem::take(&mut self.is_gone));
        if is_silent {
            // What stood before the silence need not stand any more.
            let silent_since = self.heard_at;
            for way in self.ways.iter_mut().filter(|way| way.path != path) {
                way.doubt(silent_since);
            }
        }
        self.path = path;
        self.lossy.moved();
        self.heard_at = now;
        self.trial = None;
        self.searched_at = None;
        if was_gone {
            self.ways.retain(|way| way.path != old);
        } else if is_silent && let Some(way) = self.way_mut(old) {
            way.fall(now);
        }
        let here = class(self.kind());
        for way in &mut self.ways {
            // From now on those are compared, and no others.
            let is_compared = way.answered_at.is_some() && class(way.kind) <= here;
            way.next = match way.next {
                None => is_compared.then(|| now + MEASURE),
                next => next.filter(|_| is_compared || way.answered_at.is_none()),
            };
        }
    }

    fn way(&self, path: Path) -> Option<&Way> {
        self.ways.iter().find(|way| way.path == path)
    }

    fn way_mut(&mut self, path: Path) -> Option<&mut Way> {
        self.ways.iter_mut().find(|way| way.path == path)
    }

    fn way_or_new(&mut self, path: Path, kind: PathKind) -> Option<&mut Way> {
        if self.way(path).is_none() {
            if self.ways.is_full() {
                let present = self.path;
                let spare = |way: &&Way| way.path != present;
                let (_, worst) = (self.ways.iter().zip(0..))
                    .filter(|(way, _)| spare(way))
                    .map(|(way, at)| ((way.answered_at, class(way.kind)), at))
                    .min()?;
                self.ways.remove(worst);
            }
            self.ways.push(Way::new(path, kind));
        }
        self.way_mut(path)
    }
}

const MAX_WAYS: usize = 16;
const BETWEEN_CHALLENGES: Duration = Duration::from_millis(100);
/// Voice comes every 20 ms; even a bad line does not hold it up so long.
const VOICE_PATIENCE: Duration = Duration::from_millis(400);
/// Without voice: two PINGs.
const IDLE_PATIENCE: Duration = Duration::from_secs(11);
const BETWEEN_SEARCHES: Duration = Duration::from_millis(250);
/// How long a chosen path is kept though the other end's stream comes from elsewhere.
const SETTLE: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
