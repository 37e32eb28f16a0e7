//! What of us stands in the directory, and what we know of others from it.
//!
//! A machine without clock, socket or randomness of its own: it is told what happened and when, and
//! says what is to be done. [`ours`] is the half that publishes, [`theirs`] the half that reads.
//! They share nothing but the time and whether there is a network.

mod friend;
mod ours;
mod post;
mod theirs;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::directory::{Name, Offer, State};
use crate::peer::{Circle, DeviceCert, Identity, PeerId, Reach};

use ours::Ours;
use theirs::Theirs;

/// A moment by the two clocks of the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Since any fixed moment, and never going back.
    pub mono: Duration,
    /// Seconds since 1970 as this machine has them, right or wrong: see [`Input::Clock`].
    pub unix: u64,
}

/// What the keeper is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// Whom the directory serves from now on.
    Circle(Circle),
    /// This device: its certificate, and `X_d`.
    Device(DeviceCert, [u8; 32]),
    /// What we say of ourselves. [`State::Off`] for who wants not to be seen, and at the end: it is
    /// said once, and then nothing more.
    Standing(State),
    /// Where we can be met: our libp2p PeerId, and the multiaddrs of relays that know us.
    Routes { peer: Vec<u8>, relays: Vec<Vec<u8>> },
    /// What we offer our contacts from now on.
    Offer(Option<Offer>),
    /// Whether the directory can be reached.
    Online(bool),
    /// A record that stands in the directory; nobody has checked it yet.
    Record { name: Name, value: Vec<u8> },
    /// Whoever put the record up to `sequence` has gone without saying so.
    Gone { name: Name, sequence: u64 },
    /// Nothing stands there.
    Absent { name: Name },
    /// Our record is stored, in so many copies besides the first.
    Stored { name: Name, copies: u16 },
    /// Our record was not taken.
    Refused { name: Name },
    /// What has to be added to our clock, in seconds, to have the network's.
    Clock { offset_s: i64 },
    /// Somebody is to be called: where is he?
    Seek(PeerId),
    /// The [`Keeper::deadline`] has come.
    Timeout,
}

/// What the keeper wants done, or has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Put {
        name: Name,
        value: Vec<u8>,
    },
    /// All names of which news are wanted from now on.
    Watch(BTreeSet<Name>),
    Get(Name),
    /// A change in what we know of somebody's presence. `at`: when it was last said, in seconds
    /// since 1970 by the network's clock.
    Seen {
        id: PeerId,
        presence: Announced,
        at: Option<u64>,
    },
    /// The answer to [`Input::Seek`], one for each device.
    Located {
        id: PeerId,
        /// `X_d`, for which `id` has signed.
        device: [u8; 32],
        peer: Vec<u8>,
        relays: Vec<Vec<u8>>,
    },
    /// The other answer to [`Input::Seek`].
    NotLocated {
        id: PeerId,
    },
    /// What all contacts together offer at present.
    Offers(Vec<Offer>),
    /// The secret under which that contact is found from now on.
    Reach {
        id: PeerId,
        reach: Reach,
    },
}

/// What the directory says of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Announced {
    /// We cannot know: we are offline ourselves, or have only begun to look.
    #[default]
    Unknown,
    /// Signed off, gone, or not heard of in time.
    Offline,
    Available,
    Away,
    DoNotDisturb,
}

/// The machine. After each [`Keeper::handle`], [`Keeper::poll`] until there is nothing more, then
/// wait for [`Keeper::deadline`].
pub struct Keeper {
    now: Moment,
    /// Of the network's clock against ours, in seconds.
    offset: i64,
    online: bool,
    ours: Ours,
    theirs: Theirs,
    out: VecDeque<Output>,
}

impl Keeper {
    /// `seed` must be random, and another one each time. `born`: milliseconds since 1970 as this
    /// machine has them, so that who comes back within a second is newer than when he went.
    pub fn new(seed: [u8; 32], identity: &Identity, born: u64) -> Keeper {
        Keeper {
            now: Moment::default(),
            offset: 0,
            online: false,
            ours: Ours::new(seed, identity.blinder(), born),
            theirs: Theirs::new(identity.id()),
            out: VecDeque::new(),
        }
    }

    /// Takes one input. Whatever it is, it costs work in proportion to the circle at most.
    pub fn handle(&mut self, input: Input, now: Moment) {
        if let Input::Clock { offset_s } = input {
            self.offset = offset_s;
        }
        let unix = now.unix.saturating_add_signed(self.offset);
        self.now = Moment {
            mono: now.mono,
            unix: unix.min(LATEST),
        };
        self.take(input, now.unix.saturating_mul(1000));
        self.ours.work(self.now, self.online, &mut self.out);
        self.theirs.work(self.now, self.online, &mut self.out);
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to hand in [`Input::Timeout`] at the latest, on the clock of [`Moment::mono`].
    pub fn deadline(&self) -> Option<Duration> {
        let ours = self.ours.deadline(self.now, self.online);
        let theirs = self.theirs.deadline(self.now, self.online);
        ours.into_iter().chain(theirs).min()
    }

    /// `millis`: our own clock, which sequences are taken from.
    fn take(&mut self, input: Input, millis: u64) {
        let (now, out) = (self.now, &mut self.out);
        self.ours.tell_time(millis);
        match input {
            Input::Circle(circle) => {
                self.theirs.set_circle(&circle, now);
                self.ours.set_circle(circle);
            }
            Input::Device(cert, x_public) => self.ours.set_device(cert, x_public),
            Input::Standing(state) => self.ours.set_state(state),
            Input::Routes { peer, relays } => self.ours.set_routes(peer, relays, now),
            Input::Offer(offer) => self.ours.set_offer(offer),
            Input::Online(online) if online == self.online => {}
            Input::Online(online) => {
                self.online = online;
                self.ours.set_online(now);
                self.theirs.set_online();
            }
            Input::Record { name, value } => {
                if !self.ours.take_record(name, &value, now) {
                    self.theirs.take_record(name, &value, now, out);
                }
            }
            Input::Gone { name, sequence } => self.theirs.take_gone(name, sequence, now),
            Input::Absent { name } => self.theirs.take_absent(name),
            Input::Stored { name, copies } => self.ours.stored(name, copies, now),
            Input::Refused { name } => self.ours.refused(name, now, out),
            Input::Seek(id) => self.theirs.seek(id, now, out),
            Input::Clock { .. } => {
                self.ours.clock_changed();
                self.theirs.clock_changed();
            }
            Input::Timeout => {}
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("now", &self.now)
            .field("online", &self.online)
            .finish_non_exhaustive()
    }
}

/// Contacts that are served; those beyond are neither watched nor written to.
const MAX_MEMBERS: usize = 1000;
/// Invites that are served, ours and others'.
const MAX_INVITES: usize = 64;
/// How often to see whether a period or an invite has ended. They have slack of an hour.
const TICK: Duration = Duration::from_secs(60);
/// Latest time that is believed in, in seconds since 1970: so far that nothing computed from it
/// overflows.
const LATEST: u64 = 200_000_000_000;
