//! Phones in a simulated network with a virtual clock. No socket, no sleep, no real time.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub mod circuits;
pub mod manual;
pub mod noise;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use twocan::api::{CallId, CallState, Command, Done, Event, Refusal, Why};
use twocan::peer::{
    Contact, DeviceKeys, Identity, Invite, PeerId, Reach, SafeText, Seed, Stranger,
};
use twocan::phone::types::{Change, Datagram, Frame, Input, Media, Now, Output, Path};
use twocan::phone::{Phone, Settings};

/// Seconds since 1970 at which every simulation begins.
pub const EPOCH: u64 = 1_790_000_000;

/// What the network does to datagrams. Loss is a share of 0..1.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub delay: Duration,
    pub jitter: Duration,
    pub loss: f64,
    pub duplicate: f64,
}

impl Line {
    pub const GOOD: Line = Line {
        delay: Duration::from_millis(1),
        jitter: Duration::ZERO,
        loss: 0.0,
        duplicate: 0.0,
    };

    pub fn lossy(loss: f64) -> Line {
        Line {
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(15),
            loss,
            duplicate: 0.02,
        }
    }
}

/// A datagram as an eavesdropper sees it, at the moment when it is sent.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Duration,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Datagram,
}

/// One phone and everything it has said.
pub struct Side {
    pub phone: Phone,
    pub name: String,
    number: u8,
    restarts: u8,
    pub address: SocketAddr,
    pub id: PeerId,
    pub events: Vec<Event>,
    pub replies: BTreeMap<u64, Result<Done, Refusal>>,
    pub contacts: BTreeMap<PeerId, Contact>,
    pub invites: BTreeMap<[u8; 16], Invite>,
    pub requests: BTreeMap<PeerId, Stranger>,
    pub reach: Reach,
    /// How often the circle has changed.
    pub circles: u32,
    /// How often it wanted something kept.
    pub saves: u32,
    /// The call that the microphone is open for; frames are made while it is.
    pub mic: Option<CallId>,
    pub mic_opens: u32,
    pub heard: Vec<(Duration, CallId, Frame)>,
    pub sent: Vec<(Duration, Datagram)>,
    /// With false the far end's datagrams vanish: the phone was switched off without a word.
    pub on: bool,
    /// With true nothing comes or goes, but the phone runs on.
    pub unplugged: bool,
    /// With true no frames are made, though the microphone is open.
    pub mic_is_broken: bool,
    next_frame: Duration,
    frames: u16,
    next_request: u64,
}

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
        let sides = (1..).zip(names).map(|(n, name)| side(name, n, seed, now));
        World {
            now,
            clock_jump: 0,
            sides: sides.collect(),
            line: Line::GOOD,
            seed,
            wire: Vec::new(),
            strays: VecDeque::new(),
            unplugged_at: Duration::MAX,
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

    /// Ends a phone without a word and starts it again with what was on its disk.
    pub fn restart(&mut self, side: usize) {
        self.restart_with(side, |_| {});
    }

    /// Starts a phone again with changed settings.
    pub fn restart_with(&mut self, side: usize, change: impl FnOnce(&mut Settings)) {
        let now = self.moment();
        let this = &mut self.sides[side];
        this.restarts += 1;
        let seed = self.seed.wrapping_add(this.restarts.wrapping_mul(101));
        let contacts = this.contacts.values().cloned().collect();
        let invites = this.invites.values().cloned().collect();
        let mut settings = settings(&this.name, this.number, seed, this.address, self.now);
        settings.contacts = contacts;
        settings.invites = invites;
        settings.requests = this.requests.values().cloned().collect();
        settings.requests.sort_by_key(|stranger| stranger.at);
        settings.reach = this.reach.clone();
        change(&mut settings);
        for contact in &settings.contacts {
            this.contacts.insert(contact.id, contact.clone());
        }
        this.phone = Phone::new(settings, now);
        this.mic = None;
        this.on = true;
        self.drain(side);
    }

    /// Cuts a side off: nothing comes or goes any more.
    pub fn unplug(&mut self, side: usize) {
        self.sides[side].unplugged = true;
        self.unplugged_at = self.now;
    }

    /// What has come to this address, where no phone lives.
    pub fn mail(&mut self, address: SocketAddr) -> Vec<Datagram> {
        let (mine, others) = std::mem::take(&mut self.strays)
            .into_iter()
            .partition(|seen| seen.to == address);
        self.strays = others;
        let mine: VecDeque<Seen> = mine;
        mine.into_iter().map(|seen| seen.bytes).collect()
    }

    fn next_moment(&self) -> Option<Duration> {
        let flying = self.flying.keys().next().map(|(at, _)| *at);
        let phones = self.sides.iter().filter(|side| side.on).flat_map(|side| {
            let frame = side.mic.map(|_| side.next_frame);
            [side.phone.deadline(), frame]
        });
        let sky = self.sky.next_moment();
        phones.flatten().chain(flying).chain(sky).min()
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

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: Datagram) {
        let Some(side) = self.sides.iter().position(|side| side.address == to) else {
            let at = self.now;
            self.strays.push_back(Seen {
                at,
                from,
                to,
                bytes,
            });
            return;
        };
        if self.sides[side].on && !self.sides[side].unplugged {
            self.inject(side, from, &bytes);
        }
    }

    fn make_frame(&mut self, side: usize) {
        let now = self.now;
        let this = &mut self.sides[side];
        let Some(call) = this.mic.filter(|_| this.next_frame <= now) else {
            return;
        };
        this.next_frame += Duration::from_millis(20);
        if this.mic_is_broken {
            return;
        }
        this.frames = this.frames.wrapping_add(1);
        let frame = Frame {
            seq: this.frames,
            opus: ArrayVec::from([side as u8; 80]),
        };
        self.handle(side, Input::Voice(call, frame));
    }

    fn drain(&mut self, side: usize) {
        while let Some(output) = self.sides[side].phone.poll() {
            let now = self.moment();
            match output {
                Output::Transmit(Path::Udp(to), datagram) => self.fly(side, to, datagram),
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
                Output::Media(Media::Mute(_)) => {}
                Output::Voice(call, frame) => {
                    self.sides[side].heard.push((now.mono, call, frame));
                }
                Output::Event(event) => self.sides[side].events.push(event),
                Output::Reply(request, result) => {
                    self.sides[side].replies.insert(request, result);
                }
                other => panic!("a new output that the tests do not know: {other:?}"),
            }
        }
    }

    fn fly(&mut self, side: usize, to: SocketAddr, datagram: Datagram) {
        let from = self.sides[side].address;
        self.sides[side].sent.push((self.now, datagram.clone()));
        self.wire.push(Seen {
            at: self.now,
            from,
            to,
            bytes: datagram.clone(),
        });
        if self.sides[side].unplugged || self.udp_is_blocked {
            return;
        }
        let copies = 1 + u32::from(self.chance(self.line.duplicate));
        for _ in 0..copies {
            if self.chance(self.line.loss) {
                continue;
            }
            let jitter = self.line.jitter.mul_f64(self.random());
            let at = self.now + self.line.delay + jitter;
            self.count += 1;
            self.flying
                .insert((at, self.count), (from, to, datagram.clone()));
        }
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.random() < share
    }

    fn random(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / f64::from(u32::MAX)
    }
}

impl Side {
    fn store(&mut self, change: Change) {
        match change {
            Change::Contact(contact) => {
                self.contacts.insert(contact.id, *contact);
            }
            Change::RemoveContact(id) => {
                self.contacts.remove(&id);
            }
            Change::Invite(invite) => {
                self.invites.insert(invite.token, invite);
            }
            Change::RemoveInvite(token) => {
                self.invites.remove(&token);
            }
            Change::Reach(reach) => self.reach = reach,
            Change::Request(stranger) => {
                self.requests.insert(stranger.id, *stranger);
            }
            Change::RemoveRequest(id) => {
                self.requests.remove(&id);
            }
        }
    }
}

fn side(name: &str, number: u8, seed: u8, now: Duration) -> Side {
    let address = SocketAddr::from(([192, 0, 2, number], 4000));
    let settings = settings(name, number, seed, address, now);
    let id = settings.identity;
    let moment = Now {
        mono: now,
        unix: EPOCH + now.as_secs(),
    };
    Side {
        phone: Phone::new(settings, moment),
        name: name.to_owned(),
        number,
        restarts: 0,
        address,
        id,
        events: Vec::new(),
        replies: BTreeMap::new(),
        contacts: BTreeMap::new(),
        invites: BTreeMap::new(),
        requests: BTreeMap::new(),
        reach: Reach::default(),
        circles: 0,
        saves: 0,
        mic: None,
        mic_opens: 0,
        heard: Vec::new(),
        sent: Vec::new(),
        on: true,
        unplugged: false,
        mic_is_broken: false,
        next_frame: Duration::ZERO,
        frames: 0,
        next_request: 1,
    }
}

/// The settings of a phone whose identity is given by `number`, so that it can be started again.
pub fn settings(name: &str, number: u8, seed: u8, address: SocketAddr, now: Duration) -> Settings {
    let identity = identity(number);
    let device = device(number);
    let unix = (EPOCH + now.as_secs()) as u32;
    let cert = identity.certify(&device, unix - 60, unix + 30 * 86_400, 0);
    Settings {
        seed: [seed ^ number.wrapping_mul(37); 32],
        device,
        cert,
        identity: identity.id(),
        name: SafeText::name(name),
        contacts: Vec::new(),
        invites: Vec::new(),
        requests: Vec::new(),
        reach: Reach::default(),
        addresses: vec![address],
        auto_answer: false,
    }
}

pub fn identity(number: u8) -> Identity {
    Identity::from_seed(&Seed::from_bytes([number; 32]))
}

pub fn device(number: u8) -> DeviceKeys {
    DeviceKeys::from_secrets([number ^ 0x55; 32], [number ^ 0xaa; 32])
}
