//! The ways of a session: paths that come, are looked for, fall silent and go.

use std::ops::Range;
use std::time::Duration;

use arrayvec::ArrayVec;

use super::again::Again;
use super::{Heard, Io, Session, Stage};
use crate::api::PathKind;
use crate::phone::candidates::{Candidates, Kind, Place};
use crate::phone::checks::Birthday;
use crate::phone::message::Message;
use crate::phone::plain::Item;
use crate::phone::timer::Timer;
use crate::phone::types::{Output, Path, SideId};

/// How much the peer may learn of where we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reserve {
    /// Everything: he is verified, or somebody here talks with him.
    Open,
    /// Nothing new until somebody here answers.
    #[default]
    UntilAnswer,
    /// Nothing ever, by the owner's wish.
    Always,
}

/// What a session knows of its two ends' places.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) reserve: Reserve,
    /// What the peer has told, and what we have told him and when.
    theirs: Option<Candidates>,
    told: Option<(Candidates, Duration)>,
    /// Addresses that the peer has by itself.
    natural: ArrayVec<std::net::SocketAddr, MAX_NATURAL>,
    /// No NAT is on this side, for IPv4 and for IPv6.
    is_open_here: [bool; 2],
    sides: Option<Sides>,
    /// Since when the session runs on a direct path.
    direct_since: Option<Duration>,
    again: Again,
}

/// Ports that were opened for a birthday search.
#[derive(Debug)]
struct Sides {
    open: Range<SideId>,
    until: Duration,
}

impl Session {
    /// There is another way to the peer: it is tried, and used if it is better than the present one
    /// or that one is silent.
    pub fn offer(&mut self, path: Path, io: &mut Io<'_>) {
        if let Path::Udp(address) = path {
            self.places.note_natural(address);
        }
        if self.stage != Stage::Open {
            // Full means that there are ways enough.
            let _ = self.others.try_push(path);
            return;
        }
        let kind = self.places.kind(path);
        self.choice.offer(path, kind, io.now);
        self.ask_ways(io);
    }

    pub fn reserve(&self) -> Reserve {
        self.places.reserve
    }

    /// How much the peer may learn of us from now on.
    pub fn set_reserve(&mut self, reserve: Reserve, place: &Place, io: &mut Io<'_>) {
        let old = std::mem::replace(&mut self.places.reserve, reserve);
        if old != Reserve::Open && reserve == Reserve::Open {
            self.choice.ask_others(io.now);
        }
        self.look_around(place, io);
    }

    /// We may have come to know more of our own place: tells the peer, if he may know and does not.
    pub fn look_around(&mut self, place: &Place, io: &mut Io<'_>) {
        self.places.is_open_here = [false, true].map(|v6| place.is_open(v6));
        if self.stage != Stage::Open || self.places.reserve != Reserve::Open {
            return;
        }
        let candidates = place.candidates();
        let told = self.places.told.as_ref().map(|(told, _)| told);
        if told == Some(&candidates) || told.is_none() && candidates.list.is_empty() {
            return;
        }
        let message = Message::Candidates(Box::new(candidates.clone()));
        self.places.told = Some((candidates, io.now));
        self.send(&message, io);
        self.look(place, io);
    }

    /// The peer says where it may be. Whether we ask there is our own business.
    pub fn take_candidates(&mut self, theirs: Candidates, place: &Place, io: &mut Io<'_>) {
        self.places.theirs = Some(theirs);
        self.look(place, io);
    }

    /// Addresses at which the peer was found before, as long as it names none itself.
    pub fn take_hints(&mut self, hints: Candidates, place: &Place, io: &mut Io<'_>) {
        if self.places.theirs.is_none() && !self.is_direct() {
            self.take_candidates(hints, place, io);
        }
    }

    /// Looks for direct paths, anew. The other end begins when it has our candidates: so do we, that
    /// the first datagrams cross on the way and no NAT sees one that it did not wait for.
    fn look(&mut self, place: &Place, io: &mut Io<'_>) {
        let may_look = self.stage == Stage::Open && self.places.reserve == Reserve::Open;
        let Some(theirs) = self.places.theirs.as_ref().filter(|_| may_look) else {
            return;
        };
        let mut list = place.judge(theirs);
        let nats = [place.nat, theirs.nat];
        let by_itself = |kind| matches!(kind, Kind::Host | Kind::Mapped);
        for candidate in list.iter().filter(|candidate| by_itself(candidate.kind)) {
            self.places.note_natural(candidate.address);
        }
        let present = self.choice.path();
        list.retain(|candidate| Path::Udp(candidate.address) != present);
        let half = self.rtt.unwrap_or_default() / 2;
        let told = self.places.told.as_ref().map(|(_, at)| *at + half);
        self.checks
            .begin(&list, nats, self.rtt, io.now.max(told.unwrap_or_default()));
        self.places.direct_since = None;
        self.ask_ways(io);
    }

    /// Looks for a direct path again, and has the other end look too.
    pub fn look_again(&mut self, place: &Place, io: &mut Io<'_>) {
        self.places.told = None;
        self.look_around(place, io);
    }

    /// Neither end's candidates have led to a path, and a birthday search might.
    pub fn search(&mut self, birthday: Birthday, sides: Range<SideId>, io: &mut Io<'_>) {
        self.checks.search(birthday, &sides, io.now);
        if matches!(birthday, Birthday::Open(_)) {
            self.places.sides = Some(Sides {
                open: sides,
                until: io.now + SIDES_LAST,
            });
        }
        self.ask_ways(io);
    }

    /// All that still have to be closed when the session is over.
    pub fn open_sides(&self) -> impl Iterator<Item = SideId> {
        let searched = self
            .places
            .sides
            .iter()
            .flat_map(|sides| sides.open.clone());
        let found = self.choice.paths().filter_map(side);
        let sides = self.places.sides.as_ref();
        searched.chain(found.filter(move |id| sides.is_none_or(|sides| !sides.open.contains(id))))
    }

    /// We may have another address now: every way is asked anew.
    pub fn ask_everywhere(&mut self, io: &mut Io<'_>) {
        self.choice.ask_others(io.now);
        self.ask_ways(io);
    }

    /// That leg will be lost before long.
    pub fn retire(&mut self, path: Path, io: &mut Io<'_>) {
        self.choice.retire(path);
        self.ask_ways(io);
    }

    /// That circuit is closed, or that leg is lost.
    pub fn lose_path(&mut self, path: Path, io: &mut Io<'_>) {
        self.others.retain(|other| *other != path);
        if self.choice.gone(path, io.now) && self.is_alive() {
            self.events.push_back(Heard::Adrift);
        }
        self.ask_ways(io);
    }

    /// Nobody needs the session, and there is no way left for it.
    pub fn abandon(&mut self) {
        if self.is_alive() {
            self.events.push_back(Heard::Closed);
        }
        self.die();
    }

    /// False when nothing is left to hope for but that somebody offers another way.
    pub fn has_other_ways(&self) -> bool {
        self.choice.has_other_ways() || !self.others.is_empty() || !self.checks.is_over()
    }

    /// The peer is heard on the present path.
    pub fn is_at_rest(&self, now: Duration) -> bool {
        self.stage == Stage::Open && self.choice.silent_since(now).is_none()
    }

    /// What the session runs over.
    pub fn kind(&self) -> PathKind {
        self.choice.kind()
    }

    pub fn is_direct(&self) -> bool {
        matches!(self.kind(), PathKind::Direct | PathKind::Punched)
    }

    /// Nothing is heard: whoever can shall find another way, and those that are known are asked.
    pub(super) fn drift(&mut self, io: &mut Io<'_>) {
        self.drifted_at = io.now;
        self.choice.ask_others(io.now);
        self.ask_ways(io);
        self.events.push_back(Heard::Adrift);
    }

    /// Voice should be heard and is not.
    pub(super) fn miss(&mut self, io: &mut Io<'_>) {
        let Some(since) = self.choice.silent_since(io.now) else {
            return;
        };
        if self.choice.search(io.now) {
            self.events.push_back(Heard::Silent);
        }
        self.ask_ways(io);
        if io.now >= since + DRIFT_AFTER && io.now >= self.drifted_at + BETWEEN_DRIFTS {
            self.drift(io);
        }
    }

    /// In a call: whether a direct path is missed for long.
    pub(super) fn miss_direct(&mut self, now: Duration) {
        let is_met = self.is_direct() || self.places.reserve != Reserve::Open;
        if self.places.again.is_due(is_met, now) {
            self.events.push_back(Heard::Apart);
        }
    }

    /// The session is open now: tries the other ways that were known before.
    pub(super) fn offer_others(&mut self, io: &mut Io<'_>) {
        for path in std::mem::take(&mut self.others) {
            if path != self.choice.path() {
                self.offer(path, io);
            }
        }
    }

    /// Sends the challenges that are due, and moves if it is time.
    pub(super) fn ask_ways(&mut self, io: &mut Io<'_>) {
        if self.stage != Stage::Open {
            return;
        }
        while let Some(path) = self.choice.due(io.now) {
            if self.may_use(path) {
                self.challenge(path, io);
            }
        }
        let has_direct = self.choice.has_direct(io.now);
        if has_direct {
            self.checks.end_search();
        }
        while let Some(path) = self.checks.due(io.now, io.rng) {
            self.challenge(path, io);
        }
        let birthday = self.checks.wants_birthday(io.now);
        if let Some(birthday) = birthday.filter(|_| !has_direct) {
            self.events.push_back(Heard::Stuck(birthday));
        }
        self.choice.set_hasty(self.checks.has_searched());
        if self.choice.decide(io.now) {
            self.moved();
            // The other end follows the stream, and there may be none yet.
            self.ping_due = true;
            self.flush(io);
        }
        let rest = self.rest(io);
        let deadlines = [self.choice.deadline(), self.checks.deadline(), rest];
        self.timers
            .set_or_stop(Timer::Probe, deadlines.into_iter().flatten().min());
    }

    /// Whether the peer may see a datagram of ours there.
    pub(super) fn may_use(&self, path: Path) -> bool {
        let is_direct = matches!(path, Path::Udp(_) | Path::Side(..));
        let present = self.choice.path();
        match self.places.reserve {
            _ if !is_direct || path == present => true,
            Reserve::Open => true,
            // He has our address already.
            Reserve::UntilAnswer => matches!(present, Path::Udp(_)),
            Reserve::Always => false,
        }
    }

    /// What a path is called on which the peer has answered. Where its stream has come from another
    /// address than before, that one is as good as the old one.
    pub(super) fn kind_of(&self, path: Path) -> PathKind {
        let is_udp = matches!(path, Path::Udp(_));
        let was_direct = self.kind() == PathKind::Direct;
        if is_udp && was_direct && self.choice.is_followed(path) {
            return PathKind::Direct;
        }
        self.places.kind(path)
    }

    pub(super) fn challenge(&mut self, path: Path, io: &mut Io<'_>) {
        let nonce = self.challenger.ask(path, io.now, io.rng);
        let challenge = [Item::PathChallenge(nonce)];
        self.transmit_alone(path, challenge.iter(), io);
    }

    pub(super) fn moved(&mut self) {
        self.rtt = self.choice.rtt().or(self.rtt);
        self.places.direct_since = None;
        self.events.push_back(Heard::Moved);
    }

    /// Ends the search some time after it has succeeded, and closes the ports that nobody needs.
    /// Returns when to come back for that.
    fn rest(&mut self, io: &mut Io<'_>) -> Option<Duration> {
        if !self.is_direct() {
            self.places.direct_since = None;
        } else if !self.checks.is_over() || self.places.sides.is_some() {
            let since = *self.places.direct_since.get_or_insert(io.now);
            if io.now >= since + GO_ON {
                self.checks.stop();
                self.close_sides(io);
            }
        }
        let sides = self.places.sides.as_ref().map(|sides| sides.until);
        if sides.is_some_and(|until| io.now >= until) {
            self.close_sides(io);
        }
        let is_busy = !self.checks.is_over() || self.places.sides.is_some();
        let since = self.places.direct_since.filter(|_| is_busy);
        let sides = self.places.sides.as_ref().map(|sides| sides.until);
        since
            .map(|since| since + GO_ON)
            .into_iter()
            .chain(sides)
            .min()
    }

    /// Closes all ports of the search but those over which the peer has answered.
    fn close_sides(&mut self, io: &mut Io<'_>) {
        let Some(sides) = self.places.sides.take() else {
            return;
        };
        let found: ArrayVec<SideId, 16> = self.choice.paths().filter_map(side).collect();
        let lost = sides.open.filter(|id| !found.contains(id));
        io.out.extend(lost.map(Output::CloseSide));
    }
}

impl Places {
    pub(super) fn note_natural(&mut self, address: std::net::SocketAddr) {
        if !self.natural.contains(&address) {
            if self.natural.is_full() {
                self.natural.remove(0);
            }
            self.natural.push(address);
        }
    }

    /// What a path is to be called: direct if the address of one end is its own.
    fn kind(&self, path: Path) -> PathKind {
        match path {
            Path::Udp(address)
                if !self.natural.contains(&address)
                    && !self.is_open_here[usize::from(address.is_ipv6())] =>
            {
                PathKind::Punched
            }
            other => other.kind(),
        }
    }
}

fn side(path: Path) -> Option<SideId> {
    match path {
        Path::Side(side, _) => Some(side),
        Path::Udp(_) | Path::Reflected(_) | Path::Circuit(_) => None,
    }
}

/// Addresses of the peer that are remembered as its own.
const MAX_NATURAL: usize = 24;
/// How long checks go on when a direct path is used: the other end may not have it yet.
const GO_ON: Duration = Duration::from_millis(800);
/// How long the ports of a birthday search stay open.
const SIDES_LAST: Duration = Duration::from_secs(5);
/// After this long without voice, new ways are sought.
const DRIFT_AFTER: Duration = Duration::from_millis(900);
/// Between two searches for another way while the peer is not heard.
pub(super) const BETWEEN_DRIFTS: Duration = Duration::from_secs(5);
