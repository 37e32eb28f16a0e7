//! Which of the agreed ways is so much better than the present one that it pays to move.

use std::cmp::Ordering;
use std::time::Duration;

use super::Choice;
use crate::phone::types::Path;
use crate::phone::way::{SURE, Way, class};

impl Choice {
    /// The best of the agreed ways, if it is so much better that it pays to move.
    pub(super) fn best(&self, now: Duration) -> Option<Path> {
        if !self.leads || self.is_silent(now) {
            return None;
        }
        let best = self.agreed(now)?;
        let (here, there) = (class(self.kind()), class(best.kind));
        let pays = match here.cmp(&there) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => self.is_ending() || self.is_much_better(best, now),
        };
        (pays && !best.is_ending).then_some(best.path)
    }

    /// The best of the other agreed ways, be it worse than the present one.
    pub(super) fn spare(&self, now: Duration) -> Option<Path> {
        Some(self.agreed(now)?.path)
    }

    /// There are proven ways to compare: as good as the present one, or better.
    pub(super) fn has_choice(&self, now: Duration) -> bool {
        let here = class(self.kind());
        let compared = |way: &&Way| way.is_proven(now) && class(way.kind) <= here;
        self.ways.iter().filter(compared).count() > 1
    }

    fn agreed(&self, now: Duration) -> Option<&Way> {
        let others = self.ways.iter().filter(|way| way.path != self.path);
        let agreed = others.filter(|way| way.is_agreed(now));
        agreed.min_by_key(|way| (class(way.kind), way.is_ending, way.score()))
    }

    fn is_ending(&self) -> bool {
        self.way(self.path).is_some_and(|way| way.is_ending)
    }

    fn is_much_better(&self, other: &Way, now: Duration) -> bool {
        let Some(present) = self.way(self.path).filter(|way| way.samples >= SURE) else {
            return false;
        };
        let has_settled = self.chosen_at.is_none_or(|at| now >= at + COMPARE_AFTER);
        let margin = MARGIN.max(present.score() / 5);
        has_settled && other.samples >= SURE && other.score() + margin < present.score()
    }
}

/// How much better another direct way has to be, at least.
const MARGIN: Duration = Duration::from_millis(10);
/// How long after a move nothing is compared.
const COMPARE_AFTER: Duration = Duration::from_secs(5);
