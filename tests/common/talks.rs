//! Calls between homes, and what came of them.

use std::fmt;
use std::time::Duration;

use twocan::api::{CallState, Event, PathKind};

use super::World;

/// What came of one call.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    /// From dialling to the ring at the far phone.
    pub ring: Duration,
    /// When it was answered, on the clock of the world.
    pub answered: Duration,
    /// From the answer until both ends said that the path is direct.
    pub direct: Option<Duration>,
    /// What both ends said five seconds after the answer.
    pub paths: [PathKind; 2],
    /// The longest time without a frame at either end, from its first frame on.
    pub gap: Duration,
}

impl World {
    /// Side 0 dials side 1, which answers after two seconds; both talk for five.
    pub fn call(&mut self) -> Talk {
        let dialled = self.now;
        self.dial(0, 1);
        let rings = |world: &World| world.state(1) == Some(CallState::Ringing);
        assert!(self.run_until(20 * SECOND, rings), "never rang");
        let ring = self.now - dialled;
        self.run(2 * SECOND);
        assert_eq!(self.state(0), Some(CallState::Ringing));
        let answered = self.now;
        self.answer(1);
        let is_direct = self.run_until(3 * SECOND, World::is_direct);
        let direct = is_direct.then(|| self.now - answered);
        self.run(answered + 5 * SECOND - self.now);
        let mut gap = Duration::ZERO;
        for side in 0..2 {
            assert_eq!(self.state(side), Some(CallState::Active));
            let heard = self.heard_since(side, answered);
            assert!(heard > 225, "{heard} frames in 5 s at side {side}");
            let first = self.next_heard(side, answered).expect("a frame");
            gap = gap.max(self.longest_gap(side, first));
        }
        Talk {
            ring,
            answered,
            direct,
            paths: [0, 1].map(|side| self.path(side).expect("a path")),
            gap,
        }
    }

    /// What the phone said last about the way of its call.
    pub fn path(&self, side: usize) -> Option<PathKind> {
        let events = self.sides[side].events.iter().rev();
        events.filter_map(path_of).next()
    }

    /// How many ways of the call the phone has named, one after the other.
    pub fn moves(&self, side: usize) -> usize {
        let events = self.sides[side].events.iter();
        let paths: Vec<PathKind> = events.filter_map(path_of).collect();
        paths.len()
    }

    /// Both ends say that nobody stands between them.
    pub fn is_direct(&self) -> bool {
        (0..2).all(|side| self.path(side).is_some_and(is_direct))
    }

    pub fn heard_since(&self, side: usize, at: Duration) -> usize {
        let heard = self.sides[side].heard.iter();
        heard.filter(|(when, ..)| *when >= at).count()
    }

    /// When the first frame was heard that came after that moment.
    pub fn next_heard(&self, side: usize, at: Duration) -> Option<Duration> {
        let heard = self.sides[side].heard.iter();
        heard.map(|(when, ..)| *when).find(|when| *when >= at)
    }

    /// The longest time without a frame between that moment and now.
    pub fn longest_gap(&self, side: usize, from: Duration) -> Duration {
        let heard = self.sides[side].heard.iter().map(|(when, ..)| *when);
        let mut last = from;
        let mut longest = Duration::ZERO;
        for when in heard.filter(|when| *when >= from).chain([self.now]) {
            longest = longest.max(when - last);
            last = when;
        }
        longest
    }
}

impl Talk {
    pub fn is_direct(&self) -> bool {
        self.direct.is_some() && self.paths.into_iter().all(is_direct)
    }

    pub fn is(&self, kind: PathKind) -> bool {
        self.paths == [kind; 2]
    }
}

impl fmt::Display for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [path, there] = self.paths.map(|path| format!("{path:?}").to_lowercase());
        let ring = self.ring.as_millis();
        let direct = match self.direct {
            Some(after) => format!("{} ms", after.as_millis()),
            None => "-".to_owned(),
        };
        let gap = self.gap.as_millis();
        write!(
            f,
            "{path:<10} {there:<10} {ring:>5} ms {direct:>8} {gap:>5} ms"
        )
    }
}

pub fn is_direct(path: PathKind) -> bool {
    matches!(path, PathKind::Direct | PathKind::Punched)
}

fn path_of(event: &Event) -> Option<PathKind> {
    match event {
        Event::Path { path, .. } => Some(*path),
        Event::Call {
            path,
            state: CallState::Active,
            ..
        } => *path,
        _ => None,
    }
}

pub const SECOND: Duration = Duration::from_secs(1);
