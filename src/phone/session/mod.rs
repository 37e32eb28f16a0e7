//! One encrypted session with one peer, whatever the path: keys, reliable signalling, voice packets,
//! signs of life, farewell.
//!
//! A session begins with a finished handshake in epoch 0, where only the key encapsulation may be
//! spoken. It is open, and may ring, from epoch 1 on. It knows nothing of calls or contacts: it
//! hands up [`Heard`]s. Every loop here is bounded, and nothing a peer sends makes it grow.

mod again;
mod clockwork;
mod exchange;
mod heard;
mod packets;
mod voice;
mod ways;

use std::collections::VecDeque;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;

use crate::peer::{DeviceCert, PeerId};
use crate::phone::challenge::Challenger;
use crate::phone::channel::{Channel, Opened, Plain};
use crate::phone::checks::Checks;
use crate::phone::choice::Choice;
use crate::phone::handshake::Finished;
use crate::phone::kem::Offer;
use crate::phone::keys::Role;
use crate::phone::message::{Bye, Message};
use crate::phone::pacer::Pacer;
use crate::phone::plain::{self, Item, Lane};
use crate::phone::sas::Transcript;
use crate::phone::stream::{Receiver, Sender};
use crate::phone::timer::{Timer, Timers};
use crate::phone::types::{Datagram, Output, Path, Paths, Report};
use crate::phone::wire::Data;

pub use heard::{Heard, Loss};
use ways::Places;
pub use ways::Reserve;

/// What the session needs from outside while it handles something.
pub struct Io<'a> {
    pub now: Duration,
    pub unix: u64,
    pub rng: &'a mut ChaCha20Rng,
    pub out: &'a mut VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Epoch 0: only the key encapsulation.
    Keys,
    Open,
    /// We said farewell and wait for it to be heard.
    Closing(Bye),
    /// The peer said farewell; only its repetitions are answered.
    Drained,
    Dead,
}

pub struct Session {
    pub peer: PeerId,
    role: Role,
    stage: Stage,
    began: Duration,
    channel: Channel,
    choice: Choice,
    challenger: Challenger,
    checks: Checks,
    places: Places,
    timers: Timers,
    signal: Stream,
    keys: Stream,
    /// FINISH, repeated until the responder has been heard.
    finish: Option<Datagram>,
    offer: Option<Offer>,
    own_cert: DeviceCert,
    identities: Identities,
    transcript: Option<Transcript>,
    pacer: Option<Pacer>,
    /// Media is stopped because the peer is not heard.
    paused: bool,
    /// When another way was looked for because of that.
    drifted_at: Duration,
    heard_at: Duration,
    rtt: Option<Duration>,
    ping_due: bool,
    pong_due: Option<(u32, Duration)>,
    report_due: Option<Report>,
    /// Where else the peer may be reached, until the session is open.
    others: Paths,
    /// What the packet that is being taken in says of its path.
    about_path: AboutPath,
    /// The newest packet of the peer's stream: its epoch, and its number there.
    streamed: (u64, u32),
    acknowledge_bye: bool,
    byes: u32,
    indices_changed: bool,
    pub voice_sent: u64,
    pub voice_received: u64,
    events: VecDeque<Heard>,
}

#[derive(Default)]
struct AboutPath {
    challenge: Option<[u8; 8]>,
    /// It is a check, and so no reason to follow.
    is_check: bool,
}

#[derive(Default)]
struct Stream {
    out: Sender,
    into: Receiver,
}

/// Who takes part, for the transcript.
pub struct Identities {
    pub own: PeerId,
    pub own_device: [u8; 32],
    pub peer_device: [u8; 32],
    pub handshake: [u8; 32],
}

/// A finished handshake, from which a session begins.
pub struct Beginning {
    pub role: Role,
    pub peer: PeerId,
    pub peer_device: [u8; 32],
    pub own: PeerId,
    pub own_device: [u8; 32],
    pub own_cert: DeviceCert,
    pub finished: Finished,
    pub index_in: u32,
    pub index_out: u32,
    pub path: Path,
    /// Where else HELLO went.
    pub others: Paths,
    /// FINISH, at the initiator.
    pub finish: Option<Datagram>,
    /// Round trip of the handshake, as far as it was seen.
    pub rtt: Option<Duration>,
}

impl Session {
    pub fn new(beginning: Beginning, io: &mut Io<'_>) -> Session {
        let Beginning { finished, .. } = beginning;
        let channel = Channel::new(
            beginning.role,
            finished.chain,
            beginning.index_in,
            beginning.index_out,
            io.now,
        );
        let mut session = Session {
            peer: beginning.peer,
            role: beginning.role,
            stage: Stage::Keys,
            began: io.now,
            channel,
            choice: Choice::new(
                beginning.path,
                beginning.path.kind(),
                beginning.role == Role::Initiator,
                io.now,
            ),
            challenger: Challenger::default(),
            checks: Checks::new(beginning.role == Role::Initiator),
            places: Places::default(),
            timers: Timers::default(),
            signal: Stream::default(),
            keys: Stream::default(),
            finish: beginning.finish,
            offer: None,
            own_cert: beginning.own_cert,
            identities: Identities {
                own: beginning.own,
                own_device: beginning.own_device,
                peer_device: beginning.peer_device,
                handshake: finished.hash,
            },
            transcript: None,
            pacer: None,
            paused: false,
            drifted_at: Duration::ZERO,
            heard_at: io.now,
            rtt: beginning.rtt,
            ping_due: false,
            pong_due: None,
            report_due: None,
            others: beginning.others,
            about_path: AboutPath::default(),
            streamed: (0, 0),
            acknowledge_bye: false,
            byes: 0,
            indices_changed: true,
            voice_sent: 0,
            voice_received: 0,
            events: VecDeque::new(),
        };
        if let Path::Udp(address) = beginning.path {
            session.places.note_natural(address);
        }
        session.timers.set(Timer::Silence, io.now + LOST);
        session.timers.set(Timer::KeyAge, io.now + FIRST_KEYS);
        if session.role == Role::Initiator {
            session.offer_keys(io);
        }
        session.flush(io);
        session
    }

    /// The next thing to tell.
    pub fn poll(&mut self) -> Option<Heard> {
        self.events.pop_front()
    }

    pub fn deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    pub fn path(&self) -> Path {
        self.choice.path()
    }

    /// Epoch 1 stands and no farewell was said.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Still on the way to open, or open.
    pub fn is_alive(&self) -> bool {
        matches!(self.stage, Stage::Keys | Stage::Open)
    }

    /// When it began, if we are its initiator and it is not over.
    pub fn made_here_at(&self) -> Option<Duration> {
        (self.role == Role::Initiator && self.is_alive()).then_some(self.began)
    }

    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    pub fn peer_device(&self) -> [u8; 32] {
        self.identities.peer_device
    }

    /// Present once the session is open.
    pub fn transcript(&self) -> Option<&Transcript> {
        self.transcript.as_ref()
    }

    pub fn indices_in(&self) -> impl Iterator<Item = u32> {
        self.channel.indices_in()
    }

    /// True once after the set of indices has changed.
    pub fn take_indices_changed(&mut self) -> bool {
        std::mem::take(&mut self.indices_changed)
    }

    /// Queues a message. A peer that acknowledges nothing while we have much to say is lost.
    pub fn send(&mut self, message: &Message, io: &mut Io<'_>) {
        let (kind, body) = message.encode();
        if self.signal.out.push(kind, &body).is_err() {
            self.lose(Loss::Silence);
            return;
        }
        self.timers.start(Timer::Answer, io.now + ANSWER);
        self.flush(io);
    }

    /// Whether a long message should be sent now, or later.
    pub fn has_room(&self) -> bool {
        self.signal.out.has_room()
    }

    /// Whether the session has something to live for beside what is being sent just now.
    pub fn set_wanted(&mut self, wanted: bool, now: Duration) {
        if wanted {
            self.timers.stop(Timer::Idle);
        } else if self.stage == Stage::Open {
            self.timers.set(Timer::Idle, now + IDLE);
        }
    }

    /// Says farewell until it is heard. A session that is not open ends without a word.
    pub fn close(&mut self, reason: Bye, io: &mut Io<'_>) {
        match self.stage {
            Stage::Open => {
                self.stage = Stage::Closing(reason);
                self.stop_talking();
                self.timers.set(Timer::Gone, io.now + FAREWELL);
                self.repeat_bye(io);
            }
            Stage::Keys => self.die(),
            Stage::Closing(_) | Stage::Drained | Stage::Dead => {}
        }
    }

    /// Says farewell thrice at once, for a program that ends now.
    pub fn close_at_once(&mut self, reason: Bye, io: &mut Io<'_>) {
        self.close(reason, io);
        while matches!(self.stage, Stage::Closing(_)) && self.byes < 3 {
            self.repeat_bye(io);
        }
        self.die();
    }

    /// Takes in one DATA packet for one of our indices.
    pub fn receive(&mut self, from: Path, data: &Data<'_>, io: &mut Io<'_>) {
        let mut plain = Plain::new();
        let Some(opened) = self.channel.open(data, &mut plain, io.now) else {
            return;
        };
        self.heard_at = io.now;
        self.choice.seen(from, io.now);
        self.finish = None;
        if opened.switched {
            self.confirm_epoch(io);
        }
        self.take_in(from, &plain, opened, io);
        if self.signal.out.is_idle() {
            self.timers.stop(Timer::Answer);
        }
        self.ask_and_answer(from, opened, io);
        self.resume(io);
        self.deliver(io);
        self.flush(io);
    }

    fn take_in(&mut self, from: Path, plain: &[u8], opened: Opened, io: &mut Io<'_>) {
        let Some(contents) = plain::split(plain) else {
            return;
        };
        let may_signal = opened.epoch >= 1;
        if may_signal {
            self.take_voice(&contents, io);
        }
        for item in contents.items() {
            self.take_item(from, item, may_signal, io);
        }
    }

    fn take_item(&mut self, from: Path, item: Item<'_>, may_signal: bool, io: &mut Io<'_>) {
        match item {
            Item::Segment {
                lane,
                offset,
                bytes,
            } if may_signal || lane == Lane::Keys => {
                self.lane(lane).into.receive(offset, bytes);
            }
            Item::Acknowledgement {
                lane,
                next,
                offsets,
            } if may_signal || lane == Lane::Keys => {
                let (offsets, _) = offsets.as_chunks::<4>();
                let offsets = offsets.iter().map(|four| u32::from_le_bytes(*four));
                self.lane(lane).out.acknowledge(next, offsets);
            }
            Item::Segment { .. } | Item::Acknowledgement { .. } => {}
            Item::Ping { stamp } => self.pong_due = Some((stamp, io.now)),
            Item::Pong { stamp, held } => self.measure(stamp, held, io.now),
            Item::PathChallenge(nonce) => {
                self.about_path.challenge = Some(nonce);
                self.about_path.is_check = true;
            }
            Item::PathResponse(nonce) => self.take_response(from, nonce, io),
            Item::PathReady => {
                self.about_path.is_check = true;
                self.choice.ready(from, io.now);
            }
            Item::Bye(reason) if may_signal => self.hear_bye(Bye::from_byte(reason), io),
            Item::ByeAcknowledged if matches!(self.stage, Stage::Closing(_)) => {
                self.stage = Stage::Drained;
                self.timers.stop(Timer::Bye);
            }
            Item::Bye(_) | Item::ByeAcknowledged => {}
            // Taken already, with the frame.
            Item::Copy { .. } | Item::Report(_) => {}
        }
    }

    /// Hands up what has become whole on the two streams.
    fn deliver(&mut self, io: &mut Io<'_>) {
        while self.is_alive() {
            match self.keys.into.pop() {
                Ok(Some((kind, body))) => self.take_keys(kind, &body, io),
                Ok(None) => break,
                Err(_) => self.lose(Loss::Protocol),
            }
        }
        while self.stage == Stage::Open {
            match self.signal.into.pop() {
                Ok(Some((kind, body))) => {
                    // What this version does not know is skipped: a later one may have sent it.
                    let message = Message::decode(kind, &body);
                    self.events.extend(message.map(Heard::Message));
                }
                Ok(None) => break,
                Err(_) => self.lose(Loss::Protocol),
            }
        }
    }

    fn hear_bye(&mut self, reason: Bye, io: &mut Io<'_>) {
        if self.stage == Stage::Open {
            // What the peer said before its farewell counts first.
            self.deliver(io);
        }
        if self.stage == Stage::Open {
            self.events.push_back(Heard::Bye(reason));
        }
        if self.stage != Stage::Drained {
            self.stop_talking();
            self.stage = Stage::Drained;
            self.timers.set(Timer::Gone, io.now + FAREWELL);
        }
        self.acknowledge_bye = true;
    }

    /// The session is over without a farewell.
    fn lose(&mut self, loss: Loss) {
        if self.is_alive() {
            self.events.push_back(Heard::Lost(loss));
        }
        self.die();
    }

    fn stop_talking(&mut self) {
        self.timers.stop_all();
        self.pacer = None;
        self.offer = None;
    }

    fn die(&mut self) {
        if self.stage == Stage::Dead {
            return;
        }
        self.stop_talking();
        self.stage = Stage::Dead;
        self.events.push_back(Heard::Gone);
    }

    fn lane(&mut self, lane: Lane) -> &mut Stream {
        match lane {
            Lane::Signal => &mut self.signal,
            Lane::Keys => &mut self.keys,
        }
    }
}

/// How long nothing authentic may be heard before the session is lost.
pub const LOST: Duration = Duration::from_secs(20);
/// How long nothing authentic may be heard after something was said before another session is tried
/// beside this one. On a bad line it has been said four times by then.
const ANSWER: Duration = Duration::from_secs(2);
/// How long the first key exchange may take.
const FIRST_KEYS: Duration = Duration::from_secs(30);
/// How long a session without purpose is kept, so that the next call or text is quick.
const IDLE: Duration = Duration::from_secs(30);
/// How long a farewell is repeated, or answered, before the keys are wiped.
const FAREWELL: Duration = Duration::from_secs(2);
