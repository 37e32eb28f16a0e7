//! All ports of a reflector.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arrayvec::ArrayVec;

use super::cap::Class;
use super::counts::Counts;
use super::gate::Gate;
use super::port::{Bound, Port, bind};
use super::table::{Lease, Opening, Rules};
use crate::phone::reflect::{MAX_LEGS, Token};

/// A reflector that runs until it is dropped. A room lives on one of its ports.
#[derive(Debug)]
pub struct Reflector {
    ports: Vec<Port>,
    rooms: usize,
}

/// How a reflector runs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The first of its ports; the others follow. With port 0 the system picks each.
    pub listen: SocketAddr,
    /// That many ports, and threads.
    pub ports: usize,
    pub gate: Gate,
    /// Addresses of this computer.
    pub homes: Vec<IpAddr>,
    /// Most rooms at a time, on all ports together.
    pub rooms: usize,
    /// Most bits that are sent in a second, by all ports together.
    pub rate: Option<u64>,
}

/// A room that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub room: u64,
    pub tokens: ArrayVec<Token, { MAX_LEGS as usize }>,
    /// The port on which it is.
    pub server: SocketAddr,
    /// How long it lasts at most.
    pub lasts: Duration,
}

impl Reflector {
    /// Takes the ports and serves them.
    ///
    /// # Errors
    /// When one of the ports is taken, or the system gives no thread.
    pub fn start(setup: &Setup) -> io::Result<Reflector> {
        let listen = |n: usize| {
            let first = setup.listen.port();
            let port = u16::try_from(n).ok().and_then(|n| first.checked_add(n));
            let port = if first == 0 { Some(0) } else { port };
            let beyond = || io::Error::new(io::ErrorKind::InvalidInput, "there is no such port");
            port.ok_or_else(beyond)
                .map(|port| SocketAddr::new(setup.listen.ip(), port))
        };
        let bound: Vec<Bound> = (0..setup.ports)
            .map(|n| bind(listen(n)?))
            .collect::<io::Result<_>>()?;
        let mut gate = setup.gate.clone();
        for bound in &bound {
            let port = bound.address.port();
            let homes = setup.homes.iter().map(|&ip| SocketAddr::new(ip, port));
            gate.own.extend(homes.chain([bound.address]));
        }
        let ports = setup.ports.max(1);
        let rules = Rules {
            gate,
            rooms: setup.rooms.div_ceil(ports),
            rate: setup.rate.map(|rate| rate / ports as u64),
        };
        let serve = |bound| Port::serve(bound, rules.clone());
        Ok(Reflector {
            ports: bound.into_iter().map(serve).collect::<io::Result<_>>()?,
            rooms: setup.rooms,
        })
    }

    /// Where it listens, as it was told to.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.ports.iter().map(Port::address)
    }

    /// Rooms at this very moment.
    pub fn rooms(&self) -> usize {
        self.ports.iter().map(Port::rooms).sum()
    }

    /// The numbers of all ports together, of a moment ago.
    pub fn counts(&self) -> Counts {
        let all = self.ports.iter().map(Port::counts);
        all.fold(Counts::default(), Counts::plus)
    }

    /// What friends hold is void: the rooms that they were given for it end within a minute.
    pub fn retire_friends(&self) {
        self.ports.iter().for_each(Port::retire_friends);
    }

    /// Makes a room of that many legs on the port that has fewest. `None` if there are too
    /// many, or too many are being made.
    pub fn open(&self, legs: u8, class: Class, lease: Lease) -> Option<Made> {
        let alive = self.ports.iter().filter(|port| port.is_alive());
        let port = alive.min_by_key(|port| port.rooms())?;
        if port.rooms() >= self.rooms.div_ceil(self.ports.len()) {
            return None;
        }
        let mut room = [0; 8];
        getrandom::fill(&mut room).ok()?;
        let mut tokens = ArrayVec::new();
        for _ in 0..legs.min(MAX_LEGS) {
            let mut token = [0; 16];
            getrandom::fill(&mut token).ok()?;
            tokens.push(token);
        }
        let room = u64::from_le_bytes(room);
        let opening = Opening {
            room,
            tokens: tokens.clone(),
            class,
            lasts: LASTS,
            lease,
        };
        port.open(opening).ok()?;
        Some(Made {
            room,
            tokens,
            server: port.address(),
            lasts: LASTS,
        })
    }
}

/// How long a room may last. Whoever talks for longer has another one made.
const LASTS: Duration = Duration::from_secs(4 * 3600);
