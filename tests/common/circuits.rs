//! Relays and a directory in the simulated network: byte streams that keep the order and can be
//! closed, and somebody who answers when a phone seeks another one.

use std::collections::BTreeMap;
use std::time::Duration;

use twocan::peer::PeerId;
use twocan::phone::pow;
use twocan::phone::types::{CircuitId, Datagram, Input, Path, Puzzle};

use super::World;

/// What the directory and the relays do.
#[derive(Default)]
pub struct Sky {
    /// With false every search is in vain, at once, as without any network.
    pub is_on: bool,
    /// How long a search takes.
    pub search: Duration,
    /// One way through a relay.
    pub delay: Duration,
    /// Sides that no relay reaches.
    pub absent: Vec<usize>,
    /// All that was sought, by whom.
    pub sought: Vec<(Duration, usize, PeerId)>,
    /// All that was sent over circuits: when, from which side, how many bytes.
    pub carried: Vec<(Duration, usize, usize)>,
    circuits: Vec<[usize; 2]>,
    closed: Vec<bool>,
    errands: BTreeMap<(Duration, u64), Errand>,
    count: u64,
}

enum Errand {
    Found(usize, PeerId),
    NotFound(usize, PeerId),
    Worked(usize, PeerId, Puzzle),
    Deliver(CircuitId, Box<Datagram>),
    Closed(CircuitId),
}

impl Sky {
    pub fn next_moment(&self) -> Option<Duration> {
        self.errands.keys().next().map(|(at, _)| *at)
    }

    fn later(&mut self, at: Duration, errand: Errand) {
        self.count += 1;
        self.errands.insert((at, self.count), errand);
    }

    /// The circuits that stand, by the number of each.
    pub fn open(&self) -> Vec<usize> {
        let all = 0..self.circuits.len();
        all.filter(|&number| !self.closed[number]).collect()
    }
}

impl World {
    /// A world in which phones find each other by a directory and relays, with 40 ms each way.
    pub fn with_sky(mut self) -> World {
        self.sky.is_on = true;
        self.sky.search = Duration::from_millis(100);
        self.sky.delay = Duration::from_millis(40);
        self
    }

    /// Opens a circuit between two sides; the path of each end.
    pub fn open_circuit(&mut self, a: usize, b: usize) -> [Path; 2] {
        let number = self.sky.circuits.len();
        self.sky.circuits.push([a, b]);
        self.sky.closed.push(false);
        [0, 1].map(|end| Path::Circuit((2 * number + end) as CircuitId))
    }

    /// Ends a circuit; what is under way in it is lost, and both phones are told.
    pub fn close_circuit(&mut self, number: usize) {
        self.sky.closed[number] = true;
        for end in [0, 1] {
            let id = (2 * number + end) as CircuitId;
            self.sky.later(self.now, Errand::Closed(id));
        }
    }

    /// A relay stops working: its circuits stand, but carry nothing.
    pub fn jam_circuit(&mut self, number: usize) {
        self.sky.closed[number] = true;
    }

    /// As [`World::jam_circuit`], with all circuits of a side.
    pub fn jam_circuits(&mut self, side: usize) {
        for (number, ends) in self.sky.circuits.iter().enumerate() {
            self.sky.closed[number] |= ends.contains(&side);
        }
    }

    pub(super) fn relay(&mut self, side: usize, id: CircuitId, datagram: Datagram) {
        let number = (id / 2) as usize;
        assert_eq!(self.sky.circuits[number][(id % 2) as usize], side);
        self.sky.carried.push((self.now, side, datagram.len()));
        if self.sides[side].unplugged || self.sky.closed[number] {
            return;
        }
        let at = self.now + self.sky.delay;
        self.sky
            .later(at, Errand::Deliver(id ^ 1, Box::new(datagram)));
    }

    pub(super) fn seek(&mut self, side: usize, peer: PeerId) {
        self.sky.sought.push((self.now, side, peer));
        let target = self.sides.iter().position(|side| side.id == peer);
        let there = target.filter(|target| {
            let is_on = self.sides[*target].on && !self.sides[*target].unplugged;
            self.sky.is_on && is_on && !self.sky.absent.contains(target)
        });
        let errand = match there {
            Some(_) => Errand::Found(side, peer),
            None => Errand::NotFound(side, peer),
        };
        self.sky.later(self.now + self.sky.search, errand);
    }

    /// A processor needs a second for it.
    pub(super) fn work(&mut self, side: usize, peer: PeerId, puzzle: Puzzle) {
        let at = self.now + Duration::from_secs(1);
        self.sky.later(at, Errand::Worked(side, peer, puzzle));
    }

    pub(super) fn step_sky(&mut self) {
        while let Some(entry) = self.sky.errands.first_entry()
            && entry.key().0 <= self.now
        {
            let errand = entry.remove();
            self.run_errand(errand);
        }
    }

    fn run_errand(&mut self, errand: Errand) {
        match errand {
            Errand::Worked(side, peer, puzzle) => {
                let nonce = pow::solve(&puzzle);
                self.handle(side, Input::Worked(peer, nonce));
            }
            Errand::NotFound(side, peer) => self.handle(side, Input::NoWay(peer)),
            Errand::Found(side, peer) => {
                let target = self.sides.iter().position(|side| side.id == peer);
                let target = target.expect("found");
                let [path, _] = self.open_circuit(side, target);
                self.handle(side, Input::Way(peer, path));
            }
            Errand::Deliver(id, datagram) => {
                let (number, side) = self.end(id);
                let is_there = self.sides[side].on && !self.sides[side].unplugged;
                if is_there && !self.sky.closed[number] {
                    self.handle(side, Input::Receive(Path::Circuit(id), &datagram));
                }
            }
            Errand::Closed(id) => {
                let (_, side) = self.end(id);
                if self.sides[side].on {
                    self.handle(side, Input::PathGone(Path::Circuit(id)));
                }
            }
        }
    }

    fn end(&self, id: CircuitId) -> (usize, usize) {
        let number = (id / 2) as usize;
        (number, self.sky.circuits[number][(id % 2) as usize])
    }
}
