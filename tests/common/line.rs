//! The line between phones that all see each other: delay, jitter, loss, repetition.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use rand_core::Rng;
use twocan::phone::types::{Datagram, Input, Path};

use super::{Side, World};

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

impl World {
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

    pub(super) fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: Datagram) {
        let number = to.port().checked_sub(SIDES).map(u32::from);
        let lives = |side: &Side| {
            let has_port = to.port() == side.address.port() || number.is_some();
            side.address.ip() == to.ip() && has_port
        };
        let Some(side) = self.sides.iter().position(lives) else {
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
            let path = match number {
                Some(number) => Path::Side(number, from),
                None => Path::Udp(from),
            };
            self.handle(side, Input::Receive(path, &bytes));
        }
    }

    pub(super) fn fly(&mut self, side: usize, path: Path, datagram: Datagram) {
        self.sides[side].sent.push((self.now, datagram.clone()));
        if self.homes.is_some() {
            self.send_from_home(side, path, &datagram);
            return;
        }
        let mut from = self.sides[side].address;
        let to = match path {
            Path::Udp(to) => to,
            Path::Side(number, to) => {
                from.set_port(SIDES + number as u16);
                to
            }
            other => panic!("{other:?} is not for the line"),
        };
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

    pub(super) fn random(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / f64::from(u32::MAX)
    }
}

/// The first of the ports that phones open beside their own.
const SIDES: u16 = 20_000;
