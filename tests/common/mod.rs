//! Phones in a simulated network with a virtual clock. No socket, no sleep, no real time.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub mod circuits;
pub mod homes;
pub mod internet;
pub mod line;
pub mod link;
pub mod manual;
pub mod nat;
pub mod noise;
pub mod reflector;
pub mod side;
pub mod talks;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use twocan::api::{CallId, CallState, Command, Done, Event, Refusal, Why};
use twocan::phone::types::{Datagram, Input, Media, Now, Output, Path};

pub use line::{Line, Seen};
pub use side::{Side, device, identity};

/// Seconds since 1970 at which every simulation begins.
pub const EPOCH: u64 = 1_790_000_000;

pub struct World {
    pub now: Duration,
    /// Added to the wall clock of all phones.
    pub clock_jump: u64,
    pub sides: Vec<Side>,
    pub line: Line,
    seed: u8,
    /// All that was sent, lost or not.
    pub wire: Vec<Seen>,
    /// What has come to addresses where none of the phones lives.
    pub strays: VecDeque<Seen>,
    /// When a side was last cut off, by [`World::unplug`].
    pub unplugged_at: Duration,
    /// Where the phones live, if not all on one line.
    pub homes: Option<homes::Homes>,
    /// Relays and the directory.
    pub sky: circuits::Sky,
    /// With true no datagram gets through any more, only what runs over circuits.
    pub udp_is_blocked: bool,
    flying: BTreeMap<(Duration, u64), (SocketAddr, SocketAddr, Datagram)>,
    count: u64,
    /// Steps made without any time passing.
    steps: u32,
    rng: ChaCha20Rng,
}

impl World {
    /// `names` phones, strangers to each other.
    pub fn new(names: &[&str], seed: u8) -> World {
        let now = Duration::from_secs(1000);
        let sides = (1..)
            .zip(names)
            .map(|(n, name)| Side::new(name, n, seed, now));
        World {
            now,
            clock_jump: 0,
            sides: sides.collect(),
            line: Line::GOOD,
            seed,
            wire: Vec::new(),
            strays: VecDeque::new(),
            unplugged_at: Duration::MAX,
            homes: None,
            sky: circuits::Sky::default(),
            udp_is_blocked: false,
            flying: BTreeMap::new(),
            count: 0,
            steps: 0,
            rng: ChaCha20Rng::from_seed([seed; 32]),
        }
    }

    /// Two phones that are in each other's contacts.
    pub fn friends(seed: u8) -> World {
        let mut world = World::new(&["anna", "bo"], seed);
        world.befriend(0, 1);
        world
    }

    pub fn befriend(&mut self, inviter: usize, invited: usize) {
        let line = self.invite(inviter);
        let name = self.name(inviter);
        self.order(
            invited,
            Command::AddContact {
                line,
                name: Some(name),
            },
        );
        let pending = |side: &Side| side.contacts.values().any(|c| c.pending.is_some());
        self.run_until(Duration::from_secs(60), |world| {
            !pending(&world.sides[invited]) && !world.sides[invited].contacts.is_empty()
        });
        self.run(Duration::from_secs(40));
        for side in &mut self.sides {
            side.events.clear();
            side.sent.clear();
        }
    }

    pub fn invite(&mut self, inviter: usize) -> String {
        let reply = self.order(
            inviter,
            Command::Invite {
                lifetime: 3600,
                uses: 1,
                public: false,
            },
        );
        match reply {
            Some(Ok(Done::Invite { line, .. })) => line,
            other => panic!("no invite: {other:?}"),
        }
    }

    pub fn name(&self, side: usize) -> String {
        ["anna", "bo", "chloe", "dmitri"][side].to_owned()
    }

    /// Gives a command; the reply, if it came at once.
    pub fn order(&mut self, side: usize, command: Command) -> Option<Result<Done, Refusal>> {
        let request = self.sides[side].next_request;
        self.sides[side].next_request += 1;
        self.handle(side, Input::Request(request, command));
        self.sides[side].replies.get(&request).cloned()
    }

    pub fn dial(&mut self, from: usize, to: usize) -> CallId {
        let peer = self.name(to);
        match self.order(from, Command::Dial { peer, muted: false }) {
            Some(Ok(Done::Call(call))) => call,
            other => panic!("not dialled: {other:?}"),
        }
    }

    pub fn answer(&mut self, side: usize) -> CallId {
        let command = Command::Answer {
            call: None,
            muted: false,
        };
        match self.order(side, command) {
            Some(Ok(Done::Call(call))) => call,
            other => panic!("not answered: {other:?}"),
        }
    }

    pub fn hang_up(&mut self, side: usize) {
        self.order(side, Command::Hangup { call: None });
    }

    /// Dials, waits for the ring, answers, and lets both talk for a second.
    pub fn talk(&mut self, from: usize, to: usize) {
        self.dial(from, to);
        self.run_until(Duration::from_secs(20), |world| {
            world.state(to) == Some(CallState::Ringing)
        });
        self.answer(to);
        self.run(Duration::from_secs(1));
    }

    /// State of the side's latest call, as its last event told it.
    pub fn state(&self, side: usize) -> Option<CallState> {
        self.sides[side]
            .events
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::Call { state, .. } => Some(*state),
                _ => None,
            })
    }

    /// How the side's latest call ended.
    pub fn why(&self, side: usize) -> Option<Why> {
        self.sides[side]
            .events
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::Call { why, .. } => Some(*why),
                _ => None,
            })?
    }

    pub fn words(&self, side: usize) -> Option<[String; 4]> {
        self.sides[side]
            .events
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::Sas { words, .. } => Some(words.clone()),
                _ => None,
            })
    }

    pub fn handle(&mut self, side: usize, input: Input<'_>) {
        let now = self.moment();
        self.sides[side].phone.handle(input, now);
        self.drain(side);
    }

    /// A datagram that comes to `side` as if from `from`.
    pub fn inject(&mut self, side: usize, from: SocketAddr, bytes: &[u8]) {
        self.handle(side, Input::Receive(Path::Udp(from), bytes));
    }

    /// Lets the time pass.
    pub fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets the time pass until `done`. True if that came to be.
    pub fn run_until(&mut self, time: Duration, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now + time;
        while !done(self) {
            match self.next_moment().filter(|at| *at <= end) {
                Some(at) => self.step(at),
                None => {
                    self.now = end;
                    return done(self);
                }
            }
        }
        true
    }

    pub fn moment(&self) -> Now {
        Now {
            mono: self.now,
            unix: EPOCH + self.clock_jump + self.now.as_secs(),
        }
    }

    fn next_moment(&self) -> Option<Duration> {
        let flying = self.flying.keys().next().map(|(at, _)| *at);
        let phones = self.sides.iter().filter(|side| side.on).flat_map(|side| {
            let frame = side.mic.map(|_| side.next_frame);
            [side.phone.deadline(), frame]
        });
        let sky = self.sky.next_moment();
        let homes = self.homes.as_ref().and_then(|homes| homes.next_moment());
        phones.flatten().chain(flying).chain(sky).chain(homes).min()
    }

    fn step(&mut self, at: Duration) {
        self.steps = if at > self.now { 0 } else { self.steps + 1 };
        assert!(self.steps < 10_000, "woken again and again for one moment");
        self.now = self.now.max(at);
        while let Some(entry) = self.flying.first_entry()
            && entry.key().0 <= self.now
        {
            let (from, to, datagram) = entry.remove();
            self.deliver(from, to, datagram);
        }
        self.step_sky();
        self.step_homes();
        for side in 0..self.sides.len() {
            if !self.sides[side].on {
                continue;
            }
            self.make_frame(side);
            let deadline = self.sides[side].phone.deadline();
            if deadline.is_some_and(|at| at <= self.now) {
                self.handle(side, Input::Timeout);
            }
        }
    }

    fn drain(&mut self, side: usize) {
        while let Some(output) = self.sides[side].phone.poll() {
            let now = self.moment();
            match output {
                Output::Transmit(path @ (Path::Udp(_) | Path::Side(..)), datagram) => {
                    self.fly(side, path, datagram);
                }
                Output::Transmit(Path::Circuit(id), datagram) => {
                    self.relay(side, id, datagram);
                }
                Output::Seek(peer) => self.seek(side, peer),
                Output::Circle => self.sides[side].circles += 1,
                Output::Work(peer, puzzle) => self.work(side, peer, puzzle),
                Output::Save(id, change) => {
                    self.sides[side].store(change);
                    self.sides[side].saves += 1;
                    self.sides[side].phone.handle(Input::Saved(id, true), now);
                }
                Output::Media(Media::Open(call, mic)) => {
                    assert_eq!(mic.call(), call);
                    let this = &mut self.sides[side];
                    this.mic = Some(call);
                    this.mic_opens += 1;
                    this.next_frame = now.mono + Duration::from_millis(7);
                }
                Output::Media(Media::Close(_)) => self.sides[side].mic = None,
                Output::Media(Media::Mute(_) | Media::Record(..)) => {}
                Output::Voice(call, frame) => {
                    self.sides[side].heard.push((now.mono, call, frame));
                }
                Output::Report(_, report) => self.sides[side].reports.push((now.mono, report)),
                Output::Event(event) => self.sides[side].events.push(event),
                Output::Reply(request, result) => {
                    self.sides[side].replies.insert(request, result);
                }
                Output::Rooms(peer, missing) => self.ask_for_rooms(side, peer, &missing),
                Output::CloseSide(number) => self.close_port(side, number),
                other => panic!("a new output that the tests do not know: {other:?}"),
            }
        }
    }
}
