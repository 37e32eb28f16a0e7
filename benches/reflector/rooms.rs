//! Our own reflector with rooms in which both legs are bound.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use twocan::phone::binding::Binding;
use twocan::phone::reflect;
use twocan::phone::types::Leg;
use twocan::relay::reflector::{
    Class, Counts, Gate, Made, Opening, Reflector, Rules, Setup, Table, Verdict,
};

use super::load::{Talker, cpu, socket};

pub struct Rooms {
    reflector: Reflector,
    made: Vec<Made>,
}

impl Rooms {
    pub fn start(ports: usize, rooms: usize) -> Rooms {
        let setup = Setup {
            listen: "127.0.0.1:0".parse().expect("an address"),
            ports,
            gate: gate(),
            homes: Vec::new(),
            rooms: rooms + 64,
            rate: None,
        };
        let reflector = Reflector::start(&setup).expect("free ports");
        let made = (0..rooms).map(|_| made(&reflector)).collect();
        Rooms { reflector, made }
    }

    /// Binds both legs of each room.
    pub fn pairs(&self, payload: usize) -> Vec<Talker> {
        let legs = self.made.iter().flat_map(|made| [(made, 0), (made, 1)]);
        legs.map(|(made, leg)| bound(made, leg, payload)).collect()
    }

    pub fn cpu(&self) -> Duration {
        cpu("self", "reflect-")
    }

    pub fn counts(&self) -> Counts {
        self.reflector.counts()
    }

    /// Datagrams that the reflector took and dropped.
    pub fn lost(&self) -> u64 {
        self.counts().lost.iter().sum()
    }
}

/// A room; those that wait to be made are many for a moment.
fn made(reflector: &Reflector) -> Made {
    loop {
        if let Some(made) = reflector.open(2, Class::Stranger, None) {
            return made;
        }
        // The next datagram, whatever it is, lets the port make those that wait.
        for address in reflector.addresses() {
            socket().send_to(&[0xff], address).expect("sent");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn bound(made: &Made, leg: u8, payload: usize) -> Talker {
    let (server, room) = (made.server, made.room);
    let token = made.tokens[usize::from(leg)];
    let mut binding = Binding::new(Leg { server, room, leg }, token, Duration::ZERO);
    let mut rng = ChaCha20Rng::seed_from_u64(room ^ u64::from(leg));
    let socket = socket();
    let began = Instant::now();
    let mut buffer = [0; 2048];
    while !binding.is_bound(began.elapsed()) {
        if let Some(datagram) = binding.due(began.elapsed(), &mut rng) {
            socket.send_to(&datagram, server).expect("sent");
        }
        let (length, _) = socket.recv_from(&mut buffer).expect("an answer");
        if let Some(datagram) = binding.handle(&buffer[..length], began.elapsed()) {
            socket.send_to(&datagram, server).expect("sent");
        }
    }
    let datagram = reflect::relay(room, 1 - leg, leg, &vec![0x10; payload]).expect("carried");
    Talker {
        socket,
        to: server,
        datagram: datagram.to_vec(),
    }
}

/// Prints what so many rooms take in memory, both legs of each bound.
pub fn idle(rooms: u64) {
    let before = resident();
    let rules = Rules {
        gate: gate(),
        rooms: rooms as usize,
        rate: None,
    };
    let mut table = Table::new(rules, &[7; 32]);
    let now = Duration::from_secs(1);
    for room in 0..rooms {
        let room = room.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let opening = Opening {
            room,
            tokens: [[1; 16], [2; 16]].into_iter().collect(),
            class: Class::Stranger,
            lasts: Duration::from_secs(14_400),
            lease: None,
        };
        table.open(opening, now).expect("there is room");
        for leg in 0..2 {
            bind(&mut table, room, leg, now);
        }
    }
    table.expire(now);
    assert_eq!(table.counts().talking, rooms);
    println!(
        "{rooms} rooms {:.1} MB more; {:.1} MB in all, this bench and its sockets included",
        (resident() - before) as f64 / 1e6,
        resident() as f64 / 1e6,
    );
}

fn bind(table: &mut Table, room: u64, leg: u8, now: Duration) {
    let port = 1024 + (room % 60_000) as u16;
    let from = SocketAddr::from(([9, 9, 9, leg], port));
    let token = [leg + 1; 16];
    let asked = table.receive(from, &reflect::bind(room, leg, &[5; 16], &token), now);
    let Verdict::Answer(answer) = asked else {
        panic!("{asked:?}");
    };
    let Some(reflect::Packet::Chal(chal)) = reflect::parse(&answer) else {
        panic!("no challenge");
    };
    let answered = reflect::bind2(room, leg, &[5; 16], &chal.proof, &token);
    let bound = table.receive(from, &answered, now);
    assert!(matches!(bound, Verdict::Answer(_)), "{bound:?}");
}

fn gate() -> Gate {
    Gate {
        loopback: true,
        private: true,
        own: Vec::new(),
    }
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    1024 * kib.expect("a number")
}
