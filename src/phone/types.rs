//! What goes into the phone and what comes out of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arrayvec::ArrayVec;

pub use super::consent::OpenMic;
pub use super::pow::Puzzle;
pub use crate::api::CallId;
use crate::api::{Command, Done, Event, PathKind, Presence, Refusal, RequestId};
use crate::peer::{Contact, DeviceCert, Invite, PeerId, Reach, Stranger};

/// The moment at which something happens. The phone never reads a clock: it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time since an origin of the driver's choice. All timers run on it.
    pub mono: Duration,
    /// Seconds since 1970 (UTC), for certificates, invites and dial keys. May jump.
    pub unix: u64,
}

/// Where a datagram came from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Path {
    /// From and to the phone's own port.
    Udp(SocketAddr),
    /// From and to another port of this computer, that the driver opens when it is first sent from.
    Side(SideId, SocketAddr),
    /// Through a room at a reflector. The core puts such datagrams into those of [`Path::Udp`] and
    /// takes them out again; a driver never sees one.
    Reflected(Leg),
    /// A byte stream through a relay, opened (or accepted) by the driver. Each number is used once.
    Circuit(CircuitId),
}

impl Path {
    /// `None` for paths that are not an address to which the phone's own port sends.
    pub fn udp(self) -> Option<SocketAddr> {
        match self {
            Path::Udp(address) => Some(address),
            Path::Side(..) | Path::Reflected(_) | Path::Circuit(_) => None,
        }
    }

    /// What the screen calls it.
    pub fn kind(self) -> PathKind {
        match self {
            Path::Udp(_) => PathKind::Direct,
            Path::Side(..) => PathKind::Punched,
            Path::Reflected(_) => PathKind::Reflected,
            Path::Circuit(_) => PathKind::Circuit,
        }
    }
}

/// Ways to one peer.
pub type Paths = ArrayVec<Path, MAX_PATHS>;

/// Most ways to one peer that are tried at the same time.
pub const MAX_PATHS: usize = 8;

/// Names one open stream through a relay, as long as the program runs.
pub type CircuitId = u64;

/// Names one of the ports that are opened beside the phone's own, as long as the program runs.
pub type SideId = u32;

/// One end of a room at a reflector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// Where this end reaches the reflector.
    pub server: SocketAddr,
    pub room: u64,
    /// 0 at whoever made the room.
    pub leg: u8,
}

/// A room that a reflector has made for us: two legs, on which it forwards from one to the other
/// whatever comes from an address that holds the token of its leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Where the reflector is reached, by UDP; each end uses the first that it can reach.
    pub servers: ArrayVec<SocketAddr, MAX_SERVERS>,
    pub room: u64,
    /// What proves the right to a leg: ours, then the peer's.
    pub tokens: [[u8; 16]; 2],
}

/// Addresses of one reflector.
pub const MAX_SERVERS: usize = 4;

/// Rooms that a session lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// How many.
    pub rooms: usize,
    /// Where it has some already: another one there would be of no use.
    pub besides: Vec<IpAddr>,
}

/// Largest UDP payload we ever send or accept, in bytes: fits IPv6's least MTU of 1280.
pub const MAX_DATAGRAM: usize = 1200;

/// One datagram, ready for the socket.
pub type Datagram = ArrayVec<u8, MAX_DATAGRAM>;

/// Largest Opus packet in a voice packet, in bytes: 64 kbit/s in 20 ms.
pub const MAX_OPUS: usize = 160;

/// Time between two voice packets.
pub const FRAME: Duration = Duration::from_millis(20);

/// An Opus packet of 20 ms, 1..=[`MAX_OPUS`] bytes.
pub type Opus = ArrayVec<u8, MAX_OPUS>;

/// One encoded 20 ms of voice, and earlier ones for whom they did not reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Counts the frames of one sender in one call; wraps.
    pub seq: u16,
    pub opus: Opus,
    /// Exact copies of earlier frames. With `opus` they fit into [`Rung::payload`] bytes.
    pub copies: ArrayVec<Copied, MAX_COPIES>,
    /// How large the packet is; it stays so until a frame says otherwise. Chosen by what the far
    /// side reports of the line, never by what is said.
    pub rung: Rung,
}

impl Frame {
    /// A frame alone, in a packet of the usual size.
    pub fn new(seq: u16, opus: Opus) -> Frame {
        Frame {
            seq,
            opus,
            copies: ArrayVec::new(),
            rung: Rung::USUAL,
        }
    }
}

/// The copy of an earlier frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many frames earlier, 1..=255.
    pub back: u8,
    pub opus: Opus,
}

/// Most copies in one packet.
pub const MAX_COPIES: usize = 3;

/// One of the few sizes that voice packets have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rung(u8);

impl Rung {
    /// 32 kbit/s: what a call begins with.
    pub const USUAL: Rung = Rung(3);

    /// All of them, the smallest first.
    pub fn all() -> impl DoubleEndedIterator<Item = Rung> {
        (0..PAYLOADS.len() as u8).map(Rung)
    }

    /// The number of this rung, counted from 0 at the smallest.
    pub fn number(self) -> usize {
        usize::from(self.0)
    }

    /// The rung of this number; the largest for numbers beyond it.
    pub fn numbered(number: usize) -> Rung {
        Rung(number.min(PAYLOADS.len() - 1) as u8)
    }

    /// Bytes of Opus in one packet, copies included.
    pub const fn payload(self) -> usize {
        PAYLOADS[self.0 as usize]
    }

    /// The same in bits a second.
    pub const fn bits(self) -> u32 {
        self.payload() as u32 * 8 * 50
    }
}

/// 12, 16, 24, 32, 48 and 64 kbit/s in 20 ms.
const PAYLOADS: [usize; 6] = [30, 40, 60, 80, 120, MAX_OPUS];

/// How the voice of one side arrives at the other, as that one tells it about once a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Frames lost before any repair, in half percents; more than 200 counts as 200.
    pub loss: u8,
    /// The same of the last two seconds alone.
    pub recent: u8,
    /// Mean number of frames lost in a row, in quarters.
    pub burst: u8,
    /// By how much even the quickest frames of late were slower than the quickest ever, in 4 ms:
    /// what waits in a queue on the way.
    pub queue: u8,
}

/// Everything that can happen to the phone.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "frames are the most frequent by far and must not be allocated"
)]
pub enum Input<'a> {
    Request(RequestId, Command),
    Receive(Path, &'a [u8]),
    /// The next encoded frame of our microphone, for the call that the microphone is open for.
    Voice(CallId, Frame),
    /// How the far voice of that call arrives here, for the far side to know.
    Report(CallId, Report),
    /// The change that [`Output::Save`] asked for is on the disk (or, with `false`, could not be
    /// written).
    Saved(SaveId, bool),
    /// [`super::Phone::deadline`] has passed.
    Timeout,
    /// The addresses at which this phone can be reached have changed.
    Addresses(Vec<SocketAddr>),
    /// Where a gateway forwards to the phone's port (UPnP IGD, NAT-PMP, PCP). None: it does not.
    Mapped(Option<SocketAddr>),
    /// UDP ports of reflectors, which say from where they are asked (STUN). At least two ports of
    /// each reflector, so that one that stands alone still shows what kind of NAT is on the way.
    Mirrors(Vec<SocketAddr>),
    /// The answer to [`Output::Rooms`], for each room.
    Room(PeerId, Box<Room>),
    /// A renewed certificate for our device.
    Certificate(Box<DeviceCert>),
    /// A way to that peer stands: a circuit to him, or an address at which he may be. May be said
    /// at any time; what nobody needs is passed over.
    Way(PeerId, Path),
    /// Neither the directory nor its relays have brought a way to that peer, for now.
    NoWay(PeerId),
    /// That circuit is closed.
    PathGone(Path),
    /// What the directory knows of a contact, and when (seconds since 1970) he was last seen there.
    Announced(PeerId, Presence, Option<u64>),
    /// The static key of the peer's device, from a record in which a certificate proves it.
    Located(PeerId, [u8; 32]),
    /// The contact's new location secret, from its slot in the directory.
    Reach(PeerId, Reach),
    /// What [`Media::Record`] began has come to an end by itself: there is no room for more.
    RecordingEnded(CallId),
    /// The work that [`Output::Work`] asked for is done: what [`super::pow::solve`] returned.
    Worked(PeerId, u64),
    /// Whether the directory can be asked at all. True until said otherwise.
    Online(bool),
    /// Whether this phone can be found by the directory: then its invites name no address. False
    /// until said otherwise.
    Findable(bool),
    /// End all calls and sessions; the phone says BYE to everybody.
    Shutdown,
}

/// Everything the phone wants done, in this order.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "datagrams are the most frequent output by far and must not be allocated"
)]
pub enum Output {
    Transmit(Path, Datagram),
    /// A frame of the far microphone, in the order of arrival, for the jitter buffer.
    Voice(CallId, Frame),
    /// How our voice arrives at the far side of that call.
    Report(CallId, Report),
    Media(Media),
    Event(Event),
    Reply(RequestId, Result<Done, Refusal>),
    /// Make this lasting, then answer with [`Input::Saved`].
    Save(SaveId, Change),
    /// Whom the directory serves has changed: see [`super::Phone::circle`].
    Circle,
    /// Do this work ([`super::pow::solve`], a second or so) somewhere else and answer with
    /// [`Input::Worked`]. It replaces work for the same peer that is not done.
    Work(PeerId, Puzzle),
    /// Have so many rooms made, each at a reflector of another owner, for a session with that peer:
    /// answer with any number of [`Input::Room`].
    Rooms(PeerId, Missing),
    /// That port is not needed any more.
    CloseSide(SideId),
    /// Find ways to that peer: answer with any number of [`Input::Way`], or with [`Input::NoWay`].
    Seek(PeerId),
}

/// What the sound side has to do.
#[derive(Debug)]
pub enum Media {
    /// Serve this call: microphone and loudspeaker from now on, fresh codec state. Also sent when a
    /// held call is resumed. Replaces whatever call was served.
    Open(CallId, OpenMic),
    /// Stop serving this call (it was held or has ended).
    Close(CallId),
    /// Record silence instead of the microphone, or the microphone again.
    Mute(bool),
    /// Keep both voices of this call in a file from now on, or no longer. What is said while it is
    /// on hold is not kept.
    Record(CallId, bool),
}

/// Numbers a change until it is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaveId(pub u64);

/// A change to what is kept between two runs.
#[derive(Clone, Debug)]
pub enum Change {
    /// Insert or replace by `id`.
    Contact(Box<Contact>),
    RemoveContact(PeerId),
    /// Insert or replace by token.
    Invite(Invite),
    /// By token.
    RemoveInvite([u8; 16]),
    /// Our own location secret.
    Reach(Reach),
    /// Insert or replace by ID.
    Request(Box<Stranger>),
    RemoveRequest(PeerId),
}
