//! The call machine against a small reference: people do anything in any order, over lines that
//! fail, and what the phones tell has to make sense.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::{Line, World};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use twocan::api::{CallId, CallState, Command, Direction, Done, Event, Refusal, Switch, Why};
use twocan::peer::PeerId;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// What somebody does, or what happens to a line.
#[derive(Clone, Debug)]
enum Act {
    Dial(usize, usize),
    Answer(usize),
    Decline(usize),
    HangUp(usize),
    Hold(usize, Switch),
    Mute(usize),
    Text(usize, usize),
    Unplug(usize),
    Plug(usize),
    Restart(usize),
    Wait(u64),
}

#[test]
fn whatever_people_do_the_phones_tell_one_sound_story() {
    let config = Config {
        cases: 200,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let story = (any::<u8>(), prop::collection::vec(act(), 1..40));
    TestRunner::new_with_rng(config, rng)
        .run(&story, |(seed, acts)| {
            Stage::new(seed).play(&acts);
            Ok(())
        })
        .unwrap_or_else(|failure| {
            use proptest::test_runner::TestError;
            match failure {
                TestError::Fail(why, story) => panic!("{why}, in {story:?}"),
                TestError::Abort(why) => panic!("{why}"),
            }
        });
}

/// Two people who dial each other at the same moment have one call, and nobody's phone rings.
#[test]
fn a_thousand_crossing_calls_become_one_each_and_none_rings() {
    let mut world = World::friends(9);
    let mut rng = ChaCha20Rng::from_seed([9; 32]);
    let mut adopted = [0; 2];
    for round in 0..1000 {
        world.line = Line {
            delay: 30 * MILLI,
            jitter: MILLI * (rng.next_u32() % 60),
            ..Line::GOOD
        };
        let first = (rng.next_u32() % 2) as usize;
        world.dial(first, 1 - first);
        // Before an INVITE can be there: 2.5 ways.
        world.run(MILLI * (rng.next_u32() % 75));
        world.dial(1 - first, first);
        world.run(2 * SECOND);
        for side in 0..2 {
            let this = &world.sides[side];
            assert_eq!(world.state(side), Some(CallState::Active), "round {round}");
            assert!(!rang(&this.events), "round {round}");
            assert_eq!((this.mic_opens, world.words(side)), (1, world.words(0)));
            assert_eq!(this.phone.load().calls, 1);
            let ids = this.events.iter().filter_map(|event| match event {
                Event::Call { call, .. } => Some(*call),
                _ => None,
            });
            assert_eq!(ids.collect::<BTreeSet<_>>().len(), 1, "round {round}");
        }
        adopted[first] += 1;
        world.hang_up(first);
        world.run(4 * SECOND);
        forget(&mut world);
    }
    assert!(adopted.iter().all(|&count| count > 300));
}

/// A session that nobody needs is closed after half a minute; a call that begins right then rings.
#[test]
fn a_call_at_the_moment_when_an_idle_session_closes_rings_all_the_same() {
    for early in 0..60 {
        for (from, to) in [(0, 1), (1, 0)] {
            let mut world = World::friends(10);
            world.line.delay = 20 * MILLI;
            let (peer, text) = (world.name(1), "hello".to_owned());
            world.order(0, Command::Text { peer, text });
            world.run(29_950 * MILLI + 5 * MILLI * early);
            world.dial(from, to);
            let rings = world.run_until(2 * SECOND, |w| w.state(to) == Some(CallState::Ringing));
            let after = 29_950 + 5 * early;
            assert!(rings, "{after} ms after the text: {:?}", world.why(from));
        }
    }
}

/// The phones, and what the reference holds of each.
struct Stage {
    world: World,
    books: Vec<Book>,
    /// How often a side's calls with another ended in each way.
    ends: BTreeMap<(usize, usize, Word), usize>,
}

/// A [`Why`] that can be sorted.
type Word = &'static str;

/// The reference: what one phone's events and its owner's orders allow.
#[derive(Default)]
struct Book {
    read: usize,
    calls: BTreeMap<CallId, Known>,
    /// Calls that the owner dialled or answered.
    consents: BTreeSet<CallId>,
    ordered: Option<Act>,
    requests: usize,
}

#[derive(Clone, Debug)]
struct Known {
    peer: usize,
    direction: Direction,
    state: CallState,
    held: (bool, bool),
}

impl Stage {
    fn new(seed: u8) -> Stage {
        let mut world = World::new(&["anna", "bo", "chloe"], seed);
        world.befriend(0, 1);
        world.befriend(0, 2);
        world.befriend(1, 2);
        world.line = Line {
            delay: 10 * MILLI,
            jitter: 30 * MILLI,
            loss: 0.05,
            duplicate: 0.05,
        };
        let books = world.sides.iter().map(|side| Book {
            requests: side.replies.len(),
            ..Book::default()
        });
        Stage {
            books: books.collect(),
            world,
            ends: BTreeMap::new(),
        }
    }

    fn play(mut self, acts: &[Act]) {
        for act in acts {
            self.perform(act);
            self.check();
        }
        for side in 0..3 {
            self.perform(&Act::Plug(side));
        }
        self.wait(150 * SECOND);
        self.check_agreement();
        for _ in 0..2 {
            for side in 0..3 {
                self.perform(&Act::HangUp(side));
                self.check();
            }
        }
        self.wait(60 * SECOND);
        self.check_rest();
    }

    fn perform(&mut self, act: &Act) {
        let call = None;
        let (side, command) = match *act {
            Act::Dial(from, to) => (from, self.dial(to)),
            Act::Answer(side) => (side, Command::Answer { call, muted: false }),
            Act::Decline(side) => (side, Command::Decline { call }),
            Act::HangUp(side) => (side, Command::Hangup { call }),
            Act::Hold(side, to) => (side, Command::Hold { call, to }),
            Act::Mute(side) => (side, Command::Mute { to: Switch::Toggle }),
            Act::Text(from, to) => {
                let (peer, text) = (self.world.name(to), "a line".to_owned());
                (from, Command::Text { peer, text })
            }
            Act::Unplug(side) => return self.world.unplug(side),
            Act::Plug(side) => {
                self.world.sides[side].unplugged = false;
                return;
            }
            Act::Restart(side) => return self.restart(side),
            Act::Wait(millis) => return self.wait(Duration::from_millis(millis)),
        };
        self.books[side].ordered = Some(act.clone());
        let calls = self.books[side].calls.clone();
        let reply = self.world.order(side, command);
        self.books[side].requests += 1;
        self.judge_reply(side, act, reply, &calls);
        self.read(side);
        self.books[side].ordered = None;
    }

    /// An order is refused when it makes no sense, and only then.
    fn judge_reply(
        &mut self,
        side: usize,
        act: &Act,
        reply: Option<Result<Done, Refusal>>,
        calls: &BTreeMap<CallId, Known>,
    ) {
        let any = |state| calls.values().any(|known| known.state == state);
        let rings = calls
            .values()
            .any(|known| known.state == CallState::Ringing && known.direction == Direction::In);
        let possible = match *act {
            Act::Dial(_, to) => {
                let with = calls.values().find(|known| known.peer == to);
                let answers = with.is_some_and(|known| {
                    known.direction == Direction::In && known.state == CallState::Ringing
                });
                answers || with.is_none() && calls.len() < 2
            }
            Act::Answer(_) | Act::Decline(_) => rings,
            Act::HangUp(_) => !calls.is_empty(),
            Act::Hold(..) if any(CallState::Connecting) => return,
            Act::Hold(..) if any(CallState::Ringing) => return,
            Act::Hold(..) => any(CallState::Active) || any(CallState::Held),
            _ => return,
        };
        let reply = reply.expect("such orders are answered at once");
        assert_eq!(
            reply.is_ok(),
            possible,
            "{act:?} got {reply:?} in {calls:?}"
        );
        if let Ok(Done::Call(call)) = reply {
            self.books[side].consents.insert(call);
        }
    }

    fn restart(&mut self, side: usize) {
        self.read(side);
        let book = &mut self.books[side];
        book.calls.clear();
        book.consents.clear();
        self.world.restart(side);
        let this = &self.world.sides[side];
        self.books[side].requests = this.replies.len();
    }

    fn wait(&mut self, time: Duration) {
        let end = self.world.now + time;
        while self.world.now < end {
            let step = (end - self.world.now).min(SECOND);
            self.world.run(step);
            for side in 0..3 {
                self.read(side);
            }
            forget_packets(&mut self.world);
        }
    }

    /// Takes in the events of a side that were not read yet.
    fn read(&mut self, side: usize) {
        let events = &self.world.sides[side].events;
        let new = events[self.books[side].read..].to_vec();
        self.books[side].read = events.len();
        for event in new {
            self.take_in(side, event);
        }
    }

    fn take_in(&mut self, side: usize, event: Event) {
        let Event::Call {
            call,
            id,
            direction,
            state,
            why,
            held_here,
            held_there,
            ..
        } = event
        else {
            return;
        };
        let peer = self.number(&id);
        let book = &mut self.books[side];
        let before = book.calls.get(&call).cloned();
        let told = (before.as_ref().map(|known| known.state), direction, state);
        assert!(may_follow(told), "{side} tells {told:?}, {why:?}");
        if let Some(why) = why {
            let was = before.map(|known| known.state);
            assert_eq!(state, CallState::Ended);
            let ordered = book.ordered.clone();
            assert!(
                may_end(was, direction, why, ordered.as_ref()),
                "{side} ends {was:?} {direction:?} by {why:?} after {ordered:?}"
            );
            book.calls.remove(&call);
            *self.ends.entry((side, peer, word(why))).or_default() += 1;
            return;
        }
        let held = (held_here, held_there);
        assert_eq!(state == CallState::Held, held != (false, false));
        let known = Known {
            peer,
            direction,
            state,
            held,
        };
        book.calls.insert(call, known);
    }

    /// What holds at every moment.
    fn check(&mut self) {
        for side in 0..3 {
            self.read(side);
            let this = &self.world.sides[side];
            let book = &self.books[side];
            assert!(book.calls.len() <= 2);
            let told = book.calls.iter().map(|(&call, known)| (call, known.state));
            let views = this.phone.status().calls.into_iter();
            let shown = views.map(|view| (view.call, view.state));
            assert!(
                told.eq(shown),
                "the status tells another story than the events"
            );
            let talking = book
                .calls
                .iter()
                .filter(|(_, k)| k.state == CallState::Active);
            let talking: Vec<CallId> = talking.map(|(&call, _)| call).collect();
            assert!(talking.len() <= 1);
            assert_eq!(this.mic, talking.first().copied(), "microphone of {side}");
            assert!(this.mic.is_none_or(|call| book.consents.contains(&call)));
        }
        for (&(side, peer, why), &count) in &self.ends {
            let causes: &[Word] = match why {
                // A call that is given up there may have been answered here meanwhile.
                "PeerHungUp" => &["HungUp", "Cancelled"],
                "Declined" => &["DeclinedHere", "HungUp"],
                "Busy" => &["Missed"],
                _ => continue,
            };
            let caused = causes
                .iter()
                .filter_map(|why| self.ends.get(&(peer, side, why)));
            assert!(
                caused.sum::<usize>() >= count,
                "{side} heard {why} from {peer}"
            );
        }
    }

    /// After a long quiet time with all lines up.
    fn check_agreement(&mut self) {
        self.check();
        for side in 0..3 {
            for known in self.books[side].calls.values() {
                assert!(matches!(known.state, CallState::Active | CallState::Held));
                let theirs = self.books[known.peer].calls.values();
                let theirs: Vec<_> = theirs.filter(|other| other.peer == side).collect();
                assert_eq!(theirs.len(), 1, "{side} talks with {} alone", known.peer);
                assert_eq!(theirs[0].held, (known.held.1, known.held.0));
                let one_was_called =
                    [theirs[0].direction, known.direction].contains(&Direction::Out);
                assert!(one_was_called, "nobody dialled");
            }
            let replies = self.world.sides[side].replies.len();
            assert_eq!(
                replies, self.books[side].requests,
                "one reply to each order"
            );
        }
    }

    fn check_rest(&mut self) {
        self.check();
        for side in 0..3 {
            let this = &self.world.sides[side];
            assert!(self.books[side].calls.is_empty());
            let load = this.phone.load();
            assert_eq!((load.sessions, load.attempts, load.half_open), (0, 0, 0));
            assert_eq!(this.phone.deadline(), None, "{side} wants to be woken");
        }
    }

    fn dial(&self, to: usize) -> Command {
        let peer = self.world.name(to);
        Command::Dial { peer, muted: false }
    }

    fn number(&self, id: &PeerId) -> usize {
        let mut sides = self.world.sides.iter();
        sides.position(|side| side.id == *id).expect("one of us")
    }
}

/// Which state a call may go to.
fn may_follow(told: (Option<CallState>, Direction, CallState)) -> bool {
    use CallState::{Active, Connecting, Ended, Held, LookingUp, Ringing};
    match told {
        (None, Direction::Out, Connecting) => true,
        (None, Direction::In, Ringing | Ended) => true,
        (None, ..) => false,
        (Some(Connecting), Direction::Out, Connecting | Ringing | Active | Held | Ended) => true,
        (Some(Ringing), _, Ringing | Active | Held | Ended) => true,
        (Some(Active | Held), _, Active | Held | Ended) => true,
        (Some(Connecting | Ringing | Active | Held | Ended | LookingUp), ..) => false,
    }
}

/// How a call may end, given how it stood and what its owner has just ordered.
fn may_end(was: Option<CallState>, direction: Direction, why: Why, ordered: Option<&Act>) -> bool {
    use CallState::{Active, Connecting, Held, Ringing};
    let hung_up = matches!(ordered, Some(Act::HangUp(_)));
    let declined = hung_up || matches!(ordered, Some(Act::Decline(_)));
    match (was, direction) {
        (None, Direction::In) => why == Why::Missed,
        (Some(Ringing), Direction::In) => match why {
            Why::DeclinedHere => declined,
            Why::Missed | Why::PeerCancelled => ordered.is_none(),
            _ => false,
        },
        (Some(Connecting | Ringing), Direction::Out) => match why {
            Why::Cancelled => hung_up,
            Why::Unreachable => true,
            Why::Declined | Why::Busy | Why::NoAnswer => ordered.is_none(),
            _ => false,
        },
        (Some(Active | Held), _) => match why {
            Why::HungUp => hung_up,
            Why::PeerHungUp | Why::Lost => ordered.is_none(),
            _ => false,
        },
        _ => false,
    }
}

fn act() -> impl Strategy<Value = Act> {
    let side = || 0usize..3;
    let pair = || (0usize..3, 1usize..3).prop_map(|(one, step)| (one, (one + step) % 3));
    let switch = prop_oneof![Just(Switch::On), Just(Switch::Off), Just(Switch::Toggle)];
    prop_oneof![
        6 => pair().prop_map(|(from, to)| Act::Dial(from, to)),
        6 => side().prop_map(Act::Answer),
        1 => side().prop_map(Act::Decline),
        3 => side().prop_map(Act::HangUp),
        3 => (side(), switch).prop_map(|(side, to)| Act::Hold(side, to)),
        1 => side().prop_map(Act::Mute),
        2 => pair().prop_map(|(from, to)| Act::Text(from, to)),
        1 => side().prop_map(Act::Unplug),
        2 => side().prop_map(Act::Plug),
        1 => side().prop_map(Act::Restart),
        8 => prop_oneof![1u64..60, 60u64..2000].prop_map(Act::Wait),
        1 => prop_oneof![Just(6_000u64), 19_000u64..33_000, Just(62_000)].prop_map(Act::Wait),
    ]
}

fn word(why: Why) -> Word {
    match why {
        Why::HungUp => "HungUp",
        Why::PeerHungUp => "PeerHungUp",
        Why::Declined => "Declined",
        Why::DeclinedHere => "DeclinedHere",
        Why::Busy => "Busy",
        Why::Missed => "Missed",
        Why::Cancelled => "Cancelled",
        _ => "other",
    }
}

fn rang(events: &[Event]) -> bool {
    let rings = |event: &Event| {
        matches!(
            event,
            Event::Call {
                state: CallState::Ringing,
                direction: Direction::In,
                ..
            }
        )
    };
    events.iter().any(rings)
}

fn forget(world: &mut World) {
    forget_packets(world);
    for side in &mut world.sides {
        side.events.clear();
        side.mic_opens = 0;
    }
}

/// Keeps long stories within memory.
fn forget_packets(world: &mut World) {
    world.wire.clear();
    world.strays.clear();
    for side in &mut world.sides {
        side.sent.clear();
        side.heard.clear();
    }
}
