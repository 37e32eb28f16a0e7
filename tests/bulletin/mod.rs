//! A directory in memory and phones around it, on a virtual clock.
//!
//! The store does what an ultrapeer does: it checks, keeps the newest, answers, and pushes news to
//! whoever watches. It also writes down all that it ever saw.
#![allow(dead_code, reason = "each test uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use twocan::directory::{
    Announced, Input, Keeper, Moment, Name, Output, Renewal, Stamp, State, check, is_newer,
};
use twocan::peer::{Circle, DeviceKeys, Identity, Member, PeerId, Reach, Secret32, Seed};

/// Seconds since 1970 at which every world begins.
pub const START: u64 = 1_800_000_000;
/// Bytes of the frame that renews a record: the first 8 of the name, and the renewal.
pub const RENEWED: u64 = 8 + Renewal::LEN as u64;

pub struct World {
    pub mono: Duration,
    pub phones: Vec<Phone>,
    pub store: BTreeMap<Name, (Vec<u8>, Stamp)>,
    /// Answers every put with a refusal.
    pub refuses: bool,
    pub copies: u16,
    /// All values that were ever put, with the second and the phone.
    pub log: Vec<(u64, usize, Name, Vec<u8>)>,
}

pub struct Phone {
    pub keeper: Keeper,
    pub identity: Identity,
    pub device: DeviceKeys,
    pub circle: Circle,
    /// Seconds by which its clock is wrong.
    pub skew: i64,
    pub online: bool,
    pub watched: BTreeSet<Name>,
    /// Everything it said but puts, gets and watches, with the second.
    pub said: Vec<(Duration, Output)>,
    pub gets: u64,
    pub watches: u64,
    pub puts: u64,
    /// Bytes of records and renewals sent and received.
    pub sent: u64,
    pub received: u64,
    /// The blobs it was sent, as the ultrapeer remembers them.
    blobs: BTreeMap<Name, [u8; 32]>,
}

impl World {
    pub fn new() -> World {
        World {
            mono: Duration::from_secs(1000),
            phones: Vec::new(),
            store: BTreeMap::new(),
            refuses: false,
            copies: 3,
            log: Vec::new(),
        }
    }

    pub fn unix(&self) -> u64 {
        START + self.mono.as_secs()
    }

    /// A phone with nobody in its circle yet, and all it needs to be found.
    pub fn add(&mut self, byte: u8) -> usize {
        self.add_with(byte, 0)
    }

    /// The same with a clock that is wrong by `skew` seconds.
    pub fn add_with(&mut self, byte: u8, skew: i64) -> usize {
        let identity = Identity::from_seed(&Seed::from_bytes([byte; 32]));
        let at = self.phones.len();
        self.phones.push(Phone {
            keeper: Keeper::new([byte ^ 0xa5; 32], &identity, 0),
            identity,
            device: DeviceKeys::from_secrets([byte.wrapping_add(1); 32], [byte; 32]),
            circle: Circle {
                mine: reach(1, byte),
                ..Circle::default()
            },
            skew,
            online: false,
            watched: BTreeSet::new(),
            said: Vec::new(),
            gets: 0,
            watches: 0,
            puts: 0,
            sent: 0,
            received: 0,
            blobs: BTreeMap::new(),
        });
        self.introduce(at, 1);
        at
    }

    /// Tells the keeper of a phone all that it has to know at the start.
    pub fn introduce(&mut self, at: usize, peer: u8) {
        let phone = &self.phones[at];
        let from = (self.unix() - 60) as u32;
        let cert = phone
            .identity
            .certify(&phone.device, from, from + 30 * 86_400, 0);
        let x_public = phone.device.x_public();
        let circle = phone.circle.clone();
        self.tell(at, Input::Circle(circle));
        self.tell(at, Input::Device(cert, x_public));
        self.tell(at, Input::Standing(State::Available));
        self.tell(
            at,
            Input::Routes {
                peer: vec![peer; 38],
                relays: vec![vec![peer; 60]; 2],
            },
        );
    }

    /// Another process of the same phone: all that it knew is gone.
    pub fn restart(&mut self, at: usize, peer: u8, skew: i64) {
        let millis = START * 1000 + self.mono.as_millis() as u64;
        let born = millis.saturating_add_signed(1000 * skew);
        let phone = &mut self.phones[at];
        phone.keeper = Keeper::new([peer; 32], &phone.identity, born);
        (phone.skew, phone.online) = (skew, false);
        phone.watched.clear();
        phone.blobs.clear();
        self.introduce(at, peer);
        self.online(at, true);
    }

    /// Two phones know each other, and each the other's secret.
    pub fn befriend(&mut self, one: usize, two: usize) {
        let pairwise = pairwise(one, two);
        for (me, other) in [(one, two), (two, one)] {
            let theirs = &self.phones[other];
            let member = Member {
                id: theirs.identity.id(),
                reach: theirs.circle.mine.clone(),
                pairwise: pairwise.clone(),
                told: self.phones[me].circle.mine.version,
            };
            self.phones[me].circle.members.push(member);
        }
    }

    pub fn recircle(&mut self, at: usize) {
        let circle = self.phones[at].circle.clone();
        self.tell(at, Input::Circle(circle));
    }

    /// Everybody is told of their circle and gets a network.
    pub fn open(&mut self) {
        for at in 0..self.phones.len() {
            self.recircle(at);
            self.online(at, true);
        }
    }

    pub fn online(&mut self, at: usize, online: bool) {
        self.phones[at].online = online;
        if !online {
            self.phones[at].watched.clear();
            self.phones[at].blobs.clear();
        }
        self.tell(at, Input::Online(online));
    }

    pub fn id(&self, at: usize) -> PeerId {
        self.phones[at].identity.id()
    }

    pub fn tell(&mut self, at: usize, input: Input) {
        self.give(at, input);
        self.settle();
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.mono + time;
        self.settle();
        loop {
            let deadlines = self
                .phones
                .iter()
                .filter_map(|phone| phone.keeper.deadline());
            let next = deadlines.min().map_or(end, |at| at.max(self.mono));
            if next > end {
                break;
            }
            // Drivers are never quite on time.
            self.mono = next + Duration::from_millis(1);
            for at in 0..self.phones.len() {
                if self.phones[at]
                    .keeper
                    .deadline()
                    .is_some_and(|due| due <= self.mono)
                {
                    self.give(at, Input::Timeout);
                }
            }
            self.settle();
        }
        self.mono = self.mono.max(end);
    }

    /// What a phone believes of another one.
    pub fn presence(&self, at: usize, of: usize) -> Announced {
        let id = self.id(of);
        let said = self.phones[at].said.iter().rev();
        let mut seen = said.filter_map(|(_, output)| match output {
            Output::Seen {
                id: of, presence, ..
            } if *of == id => Some(*presence),
            _ => None,
        });
        seen.next().unwrap_or_default()
    }

    fn give(&mut self, at: usize, input: Input) {
        let phone = &mut self.phones[at];
        let unix = (START + self.mono.as_secs()).saturating_add_signed(phone.skew);
        let mono = self.mono;
        phone.keeper.handle(input, Moment { mono, unix });
    }

    fn settle(&mut self) {
        while let Some((at, output)) = self.next() {
            self.answer(at, output);
        }
    }

    fn next(&mut self) -> Option<(usize, Output)> {
        let phones = self.phones.iter_mut().enumerate();
        phones
            .filter_map(|(at, phone)| Some((at, phone.keeper.poll()?)))
            .next()
    }

    fn answer(&mut self, at: usize, output: Output) {
        match output {
            Output::Put { name, value } => self.put(at, name, value),
            Output::Get(name) => {
                self.phones[at].gets += 1;
                assert!(self.phones[at].online, "asks without a network");
                self.show(at, name, true);
            }
            Output::Watch(names) => {
                let phone = &mut self.phones[at];
                assert!(phone.online, "asks without a network");
                phone.watches += 1;
                let new: Vec<Name> = names.difference(&phone.watched).copied().collect();
                phone.watched = names;
                new.iter().for_each(|name| self.show(at, *name, true));
            }
            other => {
                let mono = self.mono;
                self.phones[at].said.push((mono, other));
            }
        }
    }

    fn put(&mut self, at: usize, name: Name, value: Vec<u8>) {
        let unix = self.unix();
        let phone = &mut self.phones[at];
        assert!(phone.online, "puts without a network");
        phone.puts += 1;
        phone.sent += value.len() as u64;
        self.log.push((unix, at, name, value.clone()));
        let held = self.store.get(&name);
        let taken = check(&name, &value, unix).ok().filter(|stamp| {
            let stale = held.is_some_and(|(_, held)| is_newer(held, stamp));
            !self.refuses && !stale
        });
        let Some(stamp) = taken else {
            self.give(at, Input::Refused { name });
            return;
        };
        let news = held.is_none_or(|(_, held)| is_newer(&stamp, held));
        self.store.insert(name, (value, stamp));
        let copies = self.copies;
        self.give(at, Input::Stored { name, copies });
        if news {
            let watching = self.phones.iter().enumerate();
            let watching = watching.filter(|(_, phone)| phone.watched.contains(&name));
            let watching: Vec<usize> = watching.map(|(at, _)| at).collect();
            watching.iter().for_each(|at| self.show(*at, name, false));
        }
    }

    /// Brings a record to a phone, as short as may be.
    fn show(&mut self, at: usize, name: Name, asked: bool) {
        let unix = self.unix();
        let held = self.store.get(&name);
        let Some((value, stamp)) = held.filter(|(_, stamp)| stamp.validity > unix).cloned() else {
            if asked {
                self.give(at, Input::Absent { name });
            }
            return;
        };
        let phone = &mut self.phones[at];
        let known = phone.blobs.insert(name, stamp.blob) == Some(stamp.blob);
        phone.received += if known { RENEWED } else { value.len() as u64 };
        self.give(at, Input::Record { name, value });
    }
}

pub fn reach(version: u32, byte: u8) -> Reach {
    let mut secret = [byte.wrapping_mul(3) ^ 0x77; 32];
    secret[..4].copy_from_slice(&version.to_le_bytes());
    Reach {
        version,
        secret: Secret32::new(secret),
    }
}

pub fn pairwise(one: usize, two: usize) -> Secret32 {
    let mut secret = [0x5a; 32];
    secret[0] = one.min(two) as u8;
    secret[1] = one.max(two) as u8;
    Secret32::new(secret)
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
