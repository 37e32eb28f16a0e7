//! The phone without its body: sessions, calls, contacts, as one deterministic machine.
//!
//! No clock, socket, task, lock or randomness of its own: the driver hands in one [`Input`] at a
//! time with the moment it happened, takes [`Output`]s until there are none, and comes back at
//! [`Phone::deadline`]. The same inputs and seed give the same outputs.
//!
//! ```text
//! phone.handle(input, now);
//! while let Some(output) = phone.poll() { ... }
//! wait until phone.deadline() or the next input
//! ```
//!
//! Nothing that comes over the network can make it panic, grow without bound, or open the
//! microphone (see `consent.rs`).

pub mod binding;
mod book;
mod call;
mod candidates;
mod challenge;
mod chance;
mod channel;
mod checks;
mod choice;
mod circle;
mod consent;
mod contacts;
mod dial;
mod fields;
mod friends;
mod gate;
mod handshake;
mod kem;
mod keys;
mod knock;
mod listen;
mod lossy;
mod message;
mod mirror;
mod orders;
mod pacer;
mod paths;
mod plain;
pub mod pow;
mod reach;
mod recording;
pub mod reflect;
mod reflected;
mod replay;
mod rooms;
mod sas;
mod saves;
mod session;
mod sky;
mod spares;
mod stranger;
mod stream;
pub mod stun;
mod talk;
mod tally;
mod texts;
mod timer;
pub mod types;
#[cfg(test)]
mod vectors;
mod view;
mod way;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use book::Book;
use call::Call;
use dial::Attempt;
use friends::Friends;
use gate::Gate;
use knock::HalfOpen;
use message::Bye;
use mirror::Mirror;
use rooms::Rooms;
use saves::AfterSave;
use session::{Heard, Io, Session};
use sky::Sky;
use stranger::Strangers;
use tally::Tally;
use texts::Texts;
use types::{Input, Media, Now, Output, Path, SaveId, SideId};

pub use listen::Answering;
pub use paths::Surroundings;
pub use view::{Load, Numbers, Snapshot};

use crate::api::{CallId, Done, Refusal, RequestId};
use crate::peer::{
    Circle, Contact, DeviceCert, DeviceKeys, Invite, PeerId, Reach, SafeText, Stranger,
};

/// What a phone is made of.
pub struct Settings {
    /// From the operating system's generator. Everything random hangs on it.
    pub seed: [u8; 32],
    pub device: DeviceKeys,
    /// Binds `device` to the identity.
    pub cert: DeviceCert,
    pub identity: PeerId,
    /// What others are told that we are called.
    pub name: SafeText,
    pub contacts: Vec<Contact>,
    pub invites: Vec<Invite>,
    /// Strangers who want to become contacts.
    pub requests: Vec<Stranger>,
    /// Under which this phone is found in the directory; of version 0 at the first start.
    pub reach: Reach,
    /// Where this phone can be reached, best first.
    pub addresses: Vec<SocketAddr>,
    /// The owner's standing consent, if it is not [`Answering::Manual`].
    pub answering: Answering,
}

/// See the [module](self).
pub struct Phone {
    me: Me,
    rng: ChaCha20Rng,
    book: Book,
    gate: Gate,
    attempts: BTreeMap<PeerId, Attempt>,
    half_open: BTreeMap<u32, HalfOpen>,
    sessions: BTreeMap<SessionId, Session>,
    next_session: SessionId,
    by_index: BTreeMap<u32, SessionId>,
    by_peer: BTreeMap<PeerId, SessionId>,
    calls: BTreeMap<CallId, Call>,
    next_call: u32,
    /// The call that the microphone and the loudspeaker serve.
    served: Option<CallId>,
    muted: bool,
    friends: Friends,
    texts: Texts,
    sky: Sky,
    reach: Reach,
    /// The last that was told of.
    circle: Circle,
    circle_is_stale: bool,
    reaches: Tally<PeerId>,
    rings: Tally<PeerId>,
    strangers: Strangers,
    mirror: Mirror,
    mapped: Option<SocketAddr>,
    rooms: Rooms,
    /// Birthday searches: each is some thousand datagrams.
    searches: Tally<PeerId>,
    next_side: SideId,
    saves: BTreeMap<SaveId, AfterSave>,
    next_save: u64,
    out: VecDeque<Output>,
}

type SessionId = u64;

struct Me {
    device: DeviceKeys,
    cert: DeviceCert,
    identity: PeerId,
    name: SafeText,
    addresses: Vec<SocketAddr>,
    answering: Answering,
}

impl Phone {
    pub fn new(settings: Settings, now: Now) -> Phone {
        let mut rng = ChaCha20Rng::from_seed(settings.seed);
        let mut gate = Gate::new(settings.device.x_public(), &mut rng);
        let book = Book::new(settings.contacts, settings.invites);
        gate.admit_only(book.secrets());
        let mut phone = Phone {
            me: Me {
                device: settings.device,
                cert: settings.cert,
                identity: settings.identity,
                name: settings.name,
                addresses: settings.addresses,
                answering: settings.answering,
            },
            rng,
            book,
            gate,
            attempts: BTreeMap::new(),
            half_open: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_session: 0,
            by_index: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            calls: BTreeMap::new(),
            next_call: 1,
            served: None,
            muted: false,
            friends: Friends::default(),
            texts: Texts::default(),
            sky: Sky::new(),
            reach: settings.reach,
            circle: Circle::default(),
            circle_is_stale: true,
            reaches: Tally::new(circle::MAX_CHANGES, circle::CHANGES_IN),
            rings: Tally::new(MAX_RINGS, RINGS_IN),
            strangers: Strangers::new(settings.requests),
            mirror: Mirror::default(),
            mapped: None,
            rooms: Rooms::default(),
            searches: Tally::new(MAX_SEARCHES, SEARCHES_IN),
            next_side: 0,
            saves: BTreeMap::new(),
            next_save: 1,
            out: VecDeque::with_capacity(64),
        };
        phone.resume_joining(now);
        if phone.reach.version == 0 {
            phone.renew_reach();
        }
        phone
    }

    /// Takes in one thing that happened. Take all [`Phone::poll`] has before the next one.
    pub fn handle(&mut self, input: Input<'_>, now: Now) {
        match input {
            Input::Request(id, command) => self.order(id, command, now),
            Input::Receive(from, bytes) => self.receive(from, bytes, now),
            Input::Voice(call, frame) => self.speak(call, frame, now),
            Input::Report(call, report) => self.report(call, report, now),
            Input::Saved(id, written) => self.saved(id, written, now),
            Input::Timeout => self.timeout(now),
            Input::Addresses(addresses) => self.moved(addresses, now),
            Input::Mapped(address) => self.mapped(address, now),
            Input::Mirrors(mirrors) => self.take_mirrors(&mirrors, now),
            Input::Room(peer, room) => self.take_room(peer, &room, now),
            Input::Certificate(cert) => self.me.cert = *cert,
            Input::Way(peer, path) => self.take_way(peer, path, now),
            Input::NoWay(peer) => self.take_no_way(peer, now),
            Input::PathGone(path) => self.lose_path(path, now),
            Input::Announced(peer, presence, seen) => {
                self.take_announcement(peer, presence, seen, now);
            }
            Input::Located(peer, device) => self.take_location(peer, device, now),
            Input::Findable(is_findable) => self.sky.is_findable = is_findable,
            Input::Online(is_online) => self.take_online(is_online),
            Input::Reach(peer, reach) => self.learn_reach(peer, reach),
            Input::RecordingEnded(call) => self.recording_ended(call, now),
            Input::Worked(peer, nonce) => self.take_work(peer, nonce, now),
            Input::Shutdown => self.shut_down(now),
        }
        self.settle(now);
        self.tell_circle();
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        loop {
            match self.out.pop_front()? {
                Output::Transmit(Path::Reflected(leg), datagram) => {
                    if let Some((path, relay)) = rooms::framed(leg, &datagram) {
                        return Some(Output::Transmit(path, relay));
                    }
                }
                other => return Some(other),
            }
        }
    }

    /// When to come back with [`Input::Timeout`], on the clock of [`Now::mono`].
    pub fn deadline(&self) -> Option<Duration> {
        let sessions = self.sessions.values().filter_map(Session::deadline);
        let attempts = self.attempts.values().map(Attempt::deadline);
        let half_open = self.half_open.values().map(|half| half.until);
        let calls = self.calls.values().filter_map(|call| call.ring_until);
        let paths = [self.mirror.deadline(), self.rooms.deadline()];
        let others = self.friends.deadline().into_iter();
        let others = others.chain(paths.into_iter().flatten());
        sessions
            .chain(attempts)
            .chain(half_open)
            .chain(calls)
            .chain(others)
            .min()
    }

    /// Does everything that follows from what the sessions have heard, until nothing follows.
    fn settle(&mut self, now: Now) {
        while let Some((id, heard)) = self.next_heard() {
            self.hear(id, heard, now);
        }
        self.reindex();
    }

    fn next_heard(&mut self) -> Option<(SessionId, Heard)> {
        self.sessions
            .iter_mut()
            .find_map(|(&id, session)| session.poll().map(|heard| (id, heard)))
    }

    fn hear(&mut self, id: SessionId, heard: Heard, now: Now) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let peer = session.peer;
        let is_current = self.by_peer.get(&peer) == Some(&id);
        match heard {
            Heard::Gone => self.forget_session(id),
            _ if !is_current => {}
            Heard::Up => self.session_up(peer, now),
            Heard::Message(message) => self.take_message(peer, message, now),
            Heard::Voice(frame) => self.hear_voice(peer, frame),
            Heard::Report(report) => self.hear_report(peer, report),
            Heard::Bye(reason) => self.session_ended(peer, Some(reason), None, now),
            Heard::Lost(loss) => self.session_ended(peer, None, Some(loss), now),
            Heard::Closed => self.session_ended(peer, None, None, now),
            Heard::Moved => {
                self.tell_path(peer);
                self.remember_address(peer, now);
            }
            Heard::Silent => self.search_ways(peer, now),
            Heard::Unanswered => self.knock_beside(peer, now),
            Heard::Apart => self.look_again(peer, now),
            Heard::Adrift => self.adrift(peer, now),
            Heard::Stuck(birthday) => self.search_ports(peer, birthday, now),
        }
    }

    fn timeout(&mut self, now: Now) {
        let Phone {
            sessions, rng, out, ..
        } = self;
        for session in sessions.values_mut() {
            session.timeout(&mut Io {
                now: now.mono,
                unix: now.unix,
                rng,
                out,
            });
        }
        self.settle(now);
        self.half_open.retain(|_, half| now.mono < half.until);
        self.step_mirror(now);
        self.step_rooms(now);
        self.settle(now);
        self.retry_attempts(now);
        self.end_rung_out(now);
        self.retry_joining(now);
    }

    fn shut_down(&mut self, now: Now) {
        for call in self.calls.keys().copied().collect::<Vec<_>>() {
            self.finish(call, crate::api::Why::ShutDown, None, now);
        }
        self.each_session(now, |session, io| {
            session.close_at_once(Bye::ShutDown, io);
        });
        self.attempts.clear();
    }

    fn each_session(&mut self, now: Now, mut act: impl FnMut(&mut Session, &mut Io<'_>)) {
        let Phone {
            sessions, rng, out, ..
        } = self;
        for session in sessions.values_mut() {
            act(
                session,
                &mut Io {
                    now: now.mono,
                    unix: now.unix,
                    rng,
                    out,
                },
            );
        }
    }

    /// Does something with the live session with `peer`, if there is one.
    fn with_session<T>(
        &mut self,
        peer: &PeerId,
        now: Now,
        act: impl FnOnce(&mut Session, &mut Io<'_>) -> T,
    ) -> Option<T> {
        let id = self.by_peer.get(peer)?;
        let session = self.sessions.get_mut(id)?;
        let mut io = Io {
            now: now.mono,
            unix: now.unix,
            rng: &mut self.rng,
            out: &mut self.out,
        };
        Some(act(session, &mut io))
    }

    fn session_with(&self, peer: &PeerId) -> Option<&Session> {
        self.sessions.get(self.by_peer.get(peer)?)
    }

    fn has_open_session(&self, peer: &PeerId) -> bool {
        self.session_with(peer).is_some_and(Session::is_open)
    }

    fn forget_session(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.remove(&id) {
            self.out.extend(session.open_sides().map(Output::CloseSide));
            self.drop_rooms(&session.peer);
        }
        self.by_peer.retain(|_, session| *session != id);
        self.by_index.retain(|_, session| *session != id);
    }

    /// Keeps the table of indices that packets to us may carry.
    fn reindex(&mut self) {
        for (&id, session) in &mut self.sessions {
            if session.take_indices_changed() {
                self.by_index.retain(|_, owner| *owner != id);
                self.by_index
                    .extend(session.indices_in().map(|index| (index, id)));
            }
        }
    }

    /// Keeps a session as long as somebody wants something of it.
    fn update_wanted(&mut self, peer: PeerId, now: Now) {
        let wanted = self.is_wanted(&peer);
        self.drop_rooms(&peer);
        self.update_reserve(peer, now);
        self.with_session(&peer, now, |session, io| session.set_wanted(wanted, io.now));
    }

    fn reply(&mut self, request: RequestId, result: Result<Done, Refusal>) {
        self.out.push_back(Output::Reply(request, result));
    }

    fn media(&mut self, media: Media) {
        self.out.push_back(Output::Media(media));
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Phone {
    /// Only what may stand in a log: no key, name or address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phone")
            .field("sessions", &self.sessions.len())
            .field("half_open", &self.half_open.len())
            .field("attempts", &self.attempts.len())
            .field("calls", &self.calls.len())
            .finish_non_exhaustive()
    }
}

/// One call to talk in, one that waits or is held.
const MAX_CALLS: usize = 2;
/// How often one contact may ring without an answer in [`RINGS_IN`].
const MAX_RINGS: usize = 3;
const RINGS_IN: Duration = Duration::from_secs(300);
/// Birthday searches for the same peer: somebody has talked with him meanwhile.
const MAX_SEARCHES: usize = 4;
const SEARCHES_IN: Duration = Duration::from_secs(180);
