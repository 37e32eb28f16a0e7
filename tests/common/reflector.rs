//! A reflector in the simulated internet: the real table of each port, and the rooms that it makes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use twocan::phone::types::Room;
use twocan::relay::reflector::{Class, Gate, Opening, Rules, Table, Verdict};

use super::internet::NodeId;

pub struct Reflector {
    pub host: NodeId,
    pub addresses: Vec<IpAddr>,
    /// With true it neither answers nor makes rooms: it was switched off without a word.
    pub is_dead: bool,
    /// How long the rooms to come last.
    pub rooms_last: Duration,
    /// By port, the first being [`FIRST_PORT`].
    tables: Vec<Table>,
    made: usize,
    rng: ChaCha20Rng,
}

impl Reflector {
    pub fn new(host: NodeId, addresses: &[IpAddr], seed: u64) -> Reflector {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let table = || {
            let rules = Rules {
                gate: Gate::default(),
                rooms: 100,
                rate: None,
            };
            let mut secret = [0; 32];
            rng.fill_bytes(&mut secret);
            Table::new(rules, &secret)
        };
        Reflector {
            host,
            addresses: addresses.to_vec(),
            is_dead: false,
            rooms_last: Duration::from_secs(4 * 3600),
            tables: std::iter::repeat_with(table).take(PORTS).collect(),
            made: 0,
            rng,
        }
    }

    /// Where it says from where it is asked.
    pub fn mirrors(&self) -> Vec<SocketAddr> {
        let ports = FIRST_PORT..FIRST_PORT + PORTS as u16;
        ports.flat_map(|port| self.at(port)).collect()
    }

    /// A room of two legs, at one of its ports.
    pub fn make_room(&mut self, now: Duration) -> Room {
        let number = self.made % PORTS;
        self.made += 1;
        let room = self.rng.next_u64();
        let mut tokens = [[0; 16]; 2];
        tokens.iter_mut().for_each(|t| self.rng.fill_bytes(t));
        let opening = Opening {
            room,
            tokens: tokens.into_iter().collect(),
            class: Class::Stranger,
            lasts: self.rooms_last,
            lease: None,
        };
        let table = &mut self.tables[number];
        table.open(opening, now).expect("room for another room");
        Room {
            servers: self.at(FIRST_PORT + number as u16).collect(),
            room,
            tokens,
        }
    }

    /// What it sends, from the same port, for a datagram that came to it.
    pub fn receive(
        &mut self,
        now: Duration,
        from: SocketAddr,
        port: u16,
        bytes: &[u8],
    ) -> Vec<(SocketAddr, Vec<u8>)> {
        let number = usize::from(port.wrapping_sub(FIRST_PORT));
        let Some(table) = self.tables.get_mut(number).filter(|_| !self.is_dead) else {
            return Vec::new();
        };
        table.expire(now);
        match table.receive(from, bytes, now) {
            Verdict::Silent => Vec::new(),
            Verdict::Answer(answer) => vec![(from, answer.to_vec())],
            Verdict::Forward(targets) => {
                let each = targets.into_iter();
                each.map(|to| (to, bytes.to_vec())).collect()
            }
        }
    }

    fn at(&self, port: u16) -> impl Iterator<Item = SocketAddr> {
        let addresses = self.addresses.iter();
        addresses.map(move |ip| SocketAddr::new(*ip, port))
    }
}

const FIRST_PORT: u16 = 9000;
/// Ports, and tables.
const PORTS: usize = 2;
