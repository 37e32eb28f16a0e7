//! Leaving a path that loses too much, and finding out whether that was worth it.
//!
//! Loss is known only where voice flows, from what both ends report of their arrivals. So another way
//! is tried: if it loses clearly less, it is kept for a while; if not, the session goes back, and
//! leaves again only after a pause that grows.

use std::time::Duration;

use super::types::Path;

/// What is known of the loss on the present path, and what came of leaving others.
#[derive(Debug, Default)]
pub struct Lossy {
    /// The last word from either end: lost frames in half percents, and when it came.
    told: [Option<(u8, Duration)>; 2],
    bad_since: Option<Duration>,
    trial: Option<Trial>,
    rest_until: Duration,
    returns: u32,
}

/// We left a path for its loss.
#[derive(Debug)]
struct Trial {
    from: Path,
    /// What was lost there.
    lost: u8,
    until: Duration,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    Stay,
    /// Ask the other ways: one of them may be needed in a moment.
    Ask,
    /// Go to another way, if there is one.
    Leave,
    /// Go back there: it is no better here.
    Return(Path),
}

impl Lossy {
    /// One end says how much of what is sent to it is lost.
    pub fn told(&mut self, end: usize, loss: u8, now: Duration) {
        self.told[end] = Some((loss, now));
    }

    pub fn advise(&mut self, now: Duration) -> Advice {
        let Some(loss) = self.loss(now) else {
            return Advice::Stay;
        };
        if let Some(trial) = self.trial.take_if(|trial| now >= trial.until) {
            let is_better = loss + MARGIN <= trial.lost && loss <= trial.lost / 2;
            if !is_better {
                self.rest_until = now + REST * (1 << self.returns.min(4));
                self.returns += 1;
                self.bad_since = None;
                return Advice::Return(trial.from);
            }
            self.returns = 0;
        }
        if loss < BAD || self.trial.is_some() || now < self.rest_until {
            self.bad_since = None;
            return Advice::Stay;
        }
        let since = *self.bad_since.get_or_insert(now);
        match now - since {
            long if long >= LEAVE_AFTER => Advice::Leave,
            _ => Advice::Ask,
        }
    }

    /// The session has left that path as was advised.
    pub fn left(&mut self, from: Path, now: Duration) {
        let lost = self.loss(now).unwrap_or(BAD);
        let until = now + TRIAL;
        self.trial = Some(Trial { from, lost, until });
    }

    /// The session is somewhere else, for whatever reason.
    pub fn moved(&mut self) {
        self.bad_since = None;
        self.trial = None;
    }

    /// What is lost in the worse direction.
    fn loss(&self, now: Duration) -> Option<u8> {
        let fresh = self.told.iter().flatten();
        let fresh = fresh.filter(|(_, at)| now < *at + BELIEVED);
        fresh.map(|(loss, _)| *loss).max()
    }
}

/// Loss that copies hide at a price, in half percents: 10 %.
const BAD: u8 = 20;
/// By how much less has to be lost elsewhere, at least: 5 %, and half of it.
const MARGIN: u8 = 10;
/// How long it has been bad before we leave.
const LEAVE_AFTER: Duration = Duration::from_secs(4);
/// How long another way is tried: reports look back two seconds, and come about once a second.
const TRIAL: Duration = Duration::from_secs(8);
/// After a trial that showed nothing better, doubled each time.
const REST: Duration = Duration::from_secs(60);
/// How long a report counts; they come about once a second.
const BELIEVED: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn path() -> Path {
        Path::Circuit(1)
    }

    /// Advice in each second, with that loss in one direction and none in the other.
    fn advice(lossy: &mut Lossy, loss: u8, seconds: std::ops::Range<u32>) -> Vec<Advice> {
        let each = seconds.map(|second| {
            let now = second * SECOND;
            lossy.told(0, 0, now);
            lossy.told(1, loss, now);
            lossy.advise(now)
        });
        each.collect()
    }

    #[test]
    fn a_path_is_left_after_some_seconds_of_much_loss_and_not_for_a_moment_of_it() {
        let mut lossy = Lossy::default();
        assert!(
            advice(&mut lossy, BAD - 1, 0..100)
                .iter()
                .all(|a| *a == Advice::Stay)
        );
        assert!(!advice(&mut lossy, BAD, 100..103).contains(&Advice::Leave));
        assert_eq!(advice(&mut lossy, 0, 103..104), [Advice::Stay]);
        let again = advice(&mut lossy, 40, 104..110);
        assert_eq!(again[..4], [Advice::Ask; 4]);
        assert_eq!(again[4..], [Advice::Leave; 2]);
    }

    #[test]
    fn what_is_no_better_is_given_up_and_the_next_try_is_later_each_time() {
        let mut lossy = Lossy::default();
        let mut tries = Vec::new();
        for second in 0..2000 {
            match advice(&mut lossy, 40, second..second + 1)[0] {
                Advice::Leave => {
                    tries.push(second);
                    lossy.moved();
                    lossy.left(path(), second * SECOND);
                }
                Advice::Return(back) => {
                    assert_eq!(back, path());
                    lossy.moved();
                }
                Advice::Ask | Advice::Stay => {}
            }
        }
        assert_eq!(tries, [4, 76, 208, 460, 952, 1924]);
    }

    #[test]
    fn what_is_clearly_better_is_kept() {
        let mut lossy = Lossy::default();
        lossy.told(0, 40, SECOND);
        lossy.left(path(), SECOND);
        assert!(
            advice(&mut lossy, 4, 2..60)
                .iter()
                .all(|a| *a == Advice::Stay)
        );
    }

    #[test]
    fn silence_of_the_reports_says_nothing() {
        let mut lossy = Lossy::default();
        lossy.told(0, 200, SECOND);
        assert_eq!(lossy.advise(2 * SECOND), Advice::Ask);
        assert_eq!(lossy.advise(SECOND + BELIEVED), Advice::Stay);
    }
}
