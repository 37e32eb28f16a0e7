//! Follows calls from their first event to the line in the history that tells how they went.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{CallId, CallState, Direction, Event, HistoryView, PathKind, Why};
use crate::audio::AudioStats;
use crate::peer::{PeerId, SafeText};

/// The calls that go on and the last ones that are over.
#[derive(Debug)]
pub(super) struct Book {
    open: BTreeMap<CallId, Page>,
    /// Newest first.
    past: VecDeque<HistoryView>,
}

#[derive(Debug)]
struct Page {
    began: Timestamp,
    name: SafeText,
    id: PeerId,
    direction: Direction,
    /// On the monotonic clock.
    answered: Option<Duration>,
    path: Option<PathKind>,
    recorded: [bool; 2],
    sound: Sound,
}

/// Frames of the whole call: the sound side counts anew after each hold.
#[derive(Debug, Default)]
struct Sound {
    before: (u64, u64),
    now: (u64, u64),
}

impl Book {
    /// `past` is newest first.
    pub(super) fn new(past: Vec<HistoryView>) -> Book {
        let mut past = VecDeque::from(past);
        past.truncate(KEPT);
        Book {
            open: BTreeMap::new(),
            past,
        }
    }

    /// At most 100, newest first.
    pub(super) fn past(&self) -> Vec<HistoryView> {
        self.past.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.past.clear();
    }

    /// Learns from an event; an ended call comes back as its line in the history.
    pub(super) fn note(
        &mut self,
        event: &Event,
        at: Timestamp,
        mono: Duration,
    ) -> Option<HistoryView> {
        match event {
            Event::Call {
                call,
                peer,
                id,
                direction,
                state,
                path,
                why,
                ..
            } => {
                let page = self.open.entry(*call).or_insert_with(|| Page {
                    began: at,
                    name: peer.clone(),
                    id: *id,
                    direction: *direction,
                    answered: None,
                    path: None,
                    recorded: [false; 2],
                    sound: Sound::default(),
                });
                page.path = path.or(page.path);
                if *state == CallState::Active {
                    page.answered.get_or_insert(mono);
                }
                if *state == CallState::Ended {
                    return self.close(*call, why.unwrap_or(Why::Lost), mono);
                }
            }
            Event::Path { call, path, .. } => {
                if let Some(page) = self.open.get_mut(call) {
                    page.path = Some(*path);
                }
            }
            Event::Recording {
                call, here, there, ..
            } => {
                if let Some(page) = self.open.get_mut(call) {
                    page.recorded[0] |= here;
                    page.recorded[1] |= there;
                }
            }
            _ => {}
        }
        None
    }

    /// Learns how much of the call's sound came.
    pub(super) fn note_sound(&mut self, call: CallId, stats: &AudioStats) {
        if let Some(page) = self.open.get_mut(&call) {
            page.sound.note(stats.concealed, stats.received);
        }
    }

    fn close(&mut self, call: CallId, why: Why, mono: Duration) -> Option<HistoryView> {
        let page = self.open.remove(&call)?;
        let talked = page.answered.map(|answered| mono.saturating_sub(answered));
        let line = HistoryView {
            at: page.began,
            name: page.name,
            id: page.id,
            direction: page.direction,
            why,
            seconds: talked.unwrap_or_default().as_secs(),
            path: page.path,
            loss: page.sound.loss(),
            recorded_here: page.recorded[0],
            recorded_there: page.recorded[1],
        };
        self.past.push_front(line.clone());
        self.past.truncate(KEPT);
        Some(line)
    }
}

impl Sound {
    fn note(&mut self, concealed: u64, received: u64) {
        if received < self.now.1 {
            self.before.0 += self.now.0;
            self.before.1 += self.now.1;
        }
        self.now = (concealed, received);
    }

    fn loss(&self) -> f32 {
        let lost = self.before.0 + self.now.0;
        let all = lost + self.before.1 + self.now.1;
        if all == 0 {
            return 0.0;
        }
        (lost as f64 / all as f64) as f32
    }
}

/// Lines of the history that a [`crate::api::Status`] carries.
pub(super) const KEPT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Identity, Seed};

    fn id() -> PeerId {
        Identity::from_seed(&Seed::from_bytes([1; 32])).id()
    }

    fn call(call: u32, state: CallState, why: Option<Why>) -> Event {
        Event::Call {
            call: CallId(call),
            peer: SafeText::name("Anna"),
            id: id(),
            direction: Direction::Out,
            state,
            path: (state == CallState::Ringing).then_some(PathKind::Direct),
            why,
            muted: false,
            held_here: false,
            held_there: false,
        }
    }

    fn at(second: i64) -> (Timestamp, Duration) {
        let at = Timestamp::from_second(1_800_000_000 + second).expect("a moment");
        (at, Duration::from_secs(second as u64))
    }

    fn told(book: &mut Book, second: i64, event: &Event) -> Option<HistoryView> {
        let (at, mono) = at(second);
        book.note(event, at, mono)
    }

    #[test]
    fn an_answered_call_tells_when_it_began_and_how_long_it_was_talked() {
        let mut book = Book::new(Vec::new());
        for (second, state) in [
            (0, CallState::LookingUp),
            (1, CallState::Ringing),
            (10, CallState::Active),
            (20, CallState::Held),
            (30, CallState::Active),
        ] {
            assert_eq!(told(&mut book, second, &call(1, state, None)), None);
        }
        let ended = call(1, CallState::Ended, Some(Why::PeerHungUp));
        let line = told(&mut book, 75, &ended).expect("it has ended");
        assert_eq!(line.at, at(0).0);
        assert_eq!(line.seconds, 65);
        assert_eq!(
            (line.why, line.path),
            (Why::PeerHungUp, Some(PathKind::Direct))
        );
        assert_eq!(book.past(), [line]);
    }

    #[test]
    fn a_call_that_nobody_answered_lasted_no_time() {
        let mut book = Book::new(Vec::new());
        told(&mut book, 0, &call(1, CallState::Ringing, None));
        let line = told(
            &mut book,
            60,
            &call(1, CallState::Ended, Some(Why::NoAnswer)),
        );
        assert_eq!(line.expect("it has ended").seconds, 0);
    }

    #[test]
    fn the_loss_is_that_of_the_whole_call_over_every_hold() {
        let mut book = Book::new(Vec::new());
        told(&mut book, 0, &call(1, CallState::Active, None));
        for (concealed, received) in [(5, 45), (10, 90), (0, 20), (0, 100)] {
            let stats = AudioStats {
                concealed,
                received,
                ..AudioStats::default()
            };
            book.note_sound(CallId(1), &stats);
        }
        let line = told(&mut book, 9, &call(1, CallState::Ended, Some(Why::HungUp)));
        assert_eq!(line.expect("it has ended").loss, 0.05);
    }

    #[test]
    fn the_newest_hundred_are_kept_newest_first() {
        let mut book = Book::new(Vec::new());
        for number in 0..150 {
            told(
                &mut book,
                i64::from(number),
                &call(number, CallState::Ended, Some(Why::Busy)),
            );
        }
        let past = book.past();
        assert_eq!(past.len(), KEPT);
        assert_eq!((past[0].at, past[99].at), (at(149).0, at(50).0));
    }
}
