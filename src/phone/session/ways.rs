//! The ways of a session: paths that come, are tried, fall silent and go.

use super::{Io, Session, Stage};
use crate::phone::plain::Item;
use crate::phone::session::Heard;
use crate::phone::timer::Timer;
use crate::phone::types::Path;

impl Session {
    /// There is another way to the peer: it is tried if it is better than the present one or that
    /// one is silent, and kept for later else.
    pub fn offer(&mut self, path: Path, io: &mut Io<'_>) {
        if self.stage != Stage::Open {
            // Full means that there are ways enough.
            let _ = self.others.try_push(path);
            return;
        }
        self.roam.offer(path, io.now, io.rng);
        self.ask_ways(io);
    }

    /// The peer says that it is found there too.
    pub fn told(&mut self, paths: impl Iterator<Item = Path>, io: &mut Io<'_>) {
        if self.stage != Stage::Open {
            return;
        }
        for path in paths {
            self.roam.told(path, io.now, io.rng);
        }
        self.ask_ways(io);
    }

    /// That circuit is closed.
    pub fn lose_path(&mut self, path: Path, io: &mut Io<'_>) {
        self.others.retain(|other| *other != path);
        if self.roam.gone(path, io.now, io.rng) && self.is_alive() {
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
        self.roam.has_other_ways() || !self.others.is_empty()
    }

    /// Nothing is heard: whoever can shall find another way, and those that are known are asked.
    pub(super) fn drift(&mut self, io: &mut Io<'_>) {
        self.roam.ask_spares(io.now, io.rng);
        self.ask_ways(io);
        self.events.push_back(Heard::Adrift);
    }

    /// The session is open now: tries the other ways that were known before.
    pub(super) fn offer_others(&mut self, io: &mut Io<'_>) {
        for path in std::mem::take(&mut self.others) {
            self.offer(path, io);
        }
    }

    /// Sends the challenges that are due.
    pub(super) fn ask_ways(&mut self, io: &mut Io<'_>) {
        if self.stage != Stage::Open {
            return;
        }
        while let Some((path, nonce)) = self.roam.due(io.now) {
            let challenge = [Item::PathChallenge(nonce)];
            self.transmit_alone(path, challenge.iter(), io);
        }
        self.timers.set_or_stop(Timer::Probe, self.roam.deadline());
    }
}
