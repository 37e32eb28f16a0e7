//! Who is given a room at the reflector.
//!
//! Friends are those who show the owner's pass. Strangers are served if the owner wants it: so many
//! rooms for each address, for some work when many ask, and only while there is something left to
//! give. Nothing is kept of who asked but how many rooms each address has, and that only in memory.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, oneshot};

use super::fence::Fence;
use super::rate::Rates;
use super::reflector::{Class, Counts, Gate, Lease, Loss, Reflector, Setup};
use super::run::Ultrapeer;
use super::streams::Said;
use super::{Options, RelayError};
use crate::net::proxy::{FrameReader, FrameWriter};
use crate::net::reflect::{Answer, Ask, BITS, MAX_MIRRORS, Pass, Refusal, VERSION, Work};
use crate::net::swarm::ip;
use crate::phone::reflect::MAX_LEGS;

/// How an ultrapeer's reflector runs.
#[derive(Clone, Debug, Default)]
pub struct Reflection {
    pub serve: Serve,
    /// Its first UDP port; the others follow. `None`: from the TCP port on, or any that are free.
    pub port: Option<u16>,
    /// Most bits that it sends in a second; `None`: whatever the line takes.
    pub rate: Option<u64>,
    /// What friends hold, until [`super::Relay::secrets`] says otherwise.
    pub pass: Option<Pass>,
}

/// Whom a reflector serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Serve {
    #[default]
    Everyone,
    /// Whoever shows the owner's pass.
    Friends,
    /// There is no reflector.
    Nobody,
}

/// What a reflector is doing, in numbers, and where the owner caps it; never for whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reflected {
    pub serves: Serve,
    pub ports: usize,
    /// Rooms now, how many there may be, and those in which two talk.
    pub rooms: u64,
    pub max_rooms: u64,
    pub talking: u64,
    /// What goes out now, IP and UDP headers included.
    pub packets_per_second: u64,
    pub bits_per_second: u64,
    pub max_bits_per_second: Option<u64>,
    /// Since the start: packets that went out and their bytes, and packets that did not because a
    /// leg sent too fast, or because of the owner's cap.
    pub packets: u64,
    pub bytes: u64,
    pub too_fast: u64,
    pub capped: u64,
    /// Since the start: rooms that were given and refused.
    pub given: u64,
    pub refused: u64,
}

/// Somebody who asks for a room.
#[derive(Debug)]
pub struct Asked {
    node: PeerId,
    ask: Ask,
    /// The work that was asked for is done.
    worked: bool,
    reply: oneshot::Sender<Answer>,
}

/// See the module.
#[derive(Debug)]
pub struct Rooms {
    reflector: Option<Reflector>,
    setup: Reflection,
    me: PeerId,
    /// Addresses of this computer, and those that the owner names.
    homes: Vec<IpAddr>,
    most: usize,
    most_each: usize,
    leases: HashMap<IpAddr, Arc<()>>,
    asks: Rates<IpAddr>,
    rush: Rates<()>,
    desks: Arc<Semaphore>,
    told: Reflected,
    before: (Duration, Counts),
}

impl Rooms {
    /// Starts the reflector, if there is to be one.
    pub fn start(
        options: &Options,
        me: PeerId,
        fence: &Fence,
        external: &[Multiaddr],
    ) -> Result<Rooms, RelayError> {
        let mut homes: Vec<IpAddr> = external.iter().filter_map(ip).collect();
        homes.sort_unstable();
        homes.dedup();
        let setup = options.reflector.clone();
        let reflector = match setup.serve {
            Serve::Nobody => None,
            Serve::Everyone | Serve::Friends => Some(start(options, fence, external)?),
        };
        let told = Reflected {
            serves: setup.serve,
            ports: reflector.as_ref().map_or(0, |r| r.addresses().count()),
            max_rooms: options.limits.rooms as u64,
            max_bits_per_second: setup.rate,
            ..Reflected::default()
        };
        Ok(Rooms {
            reflector,
            setup,
            me,
            homes,
            most: options.limits.rooms,
            most_each: options.limits.rooms_per_address,
            leases: HashMap::new(),
            asks: Rates::new(32, 60),
            rush: Rates::new(200, 1200),
            desks: Arc::new(Semaphore::new(DESKS)),
            told,
            before: Default::default(),
        })
    }

    /// The numbers, brought up to date.
    pub fn tick(&mut self, now: Duration) -> Reflected {
        let Some(reflector) = &self.reflector else {
            return self.told;
        };
        let counts = reflector.counts();
        let (at, before) = self.before;
        let passed = now.saturating_sub(at);
        if passed >= Duration::from_secs(1) {
            let per_second = |count: u64| (count as f64 / passed.as_secs_f64()).round() as u64;
            let packets = counts.packets - before.packets;
            let bytes = counts.bytes - before.bytes + packets * HEADERS;
            self.told.packets_per_second = per_second(packets);
            self.told.bits_per_second = per_second(8 * bytes);
            self.before = (now, counts);
            self.leases.retain(|_, lease| Arc::strong_count(lease) > 1);
        }
        self.told.rooms = reflector.rooms() as u64;
        self.told.talking = counts.talking;
        self.told.packets = counts.packets;
        self.told.bytes = counts.bytes;
        self.told.too_fast = counts.lost(Loss::Rate);
        self.told.capped = counts.lost(Loss::Cap);
        self.told
    }

    /// From now on friends are those who hold the pass with this secret. What was given for another
    /// one is taken back.
    pub fn set_secret(&mut self, secret: [u8; 16]) {
        let pass = Pass::of(&self.me, secret);
        let before = std::mem::replace(&mut self.setup.pass, pass);
        let is_void = before.is_some() && before != self.setup.pass;
        if let Some(reflector) = self.reflector.as_ref().filter(|_| is_void) {
            reflector.retire_friends();
        }
    }

    fn answer(&mut self, asked: &Asked, from: Option<IpAddr>, now: Duration) -> Answer {
        let answer = self.judge(asked, from, now).unwrap_or_else(Answer::Refused);
        match answer {
            Answer::Given { .. } => self.told.given += 1,
            Answer::Refused(_) => self.told.refused += 1,
            Answer::Work(_) => {}
        }
        answer
    }

    fn judge(
        &mut self,
        asked: &Asked,
        from: Option<IpAddr>,
        now: Duration,
    ) -> Result<Answer, Refusal> {
        let Some(reflector) = &self.reflector else {
            return Err(Refusal::Unsupported);
        };
        let ask = &asked.ask;
        if ask.version != VERSION || !(2..=MAX_LEGS).contains(&ask.legs) {
            return Err(Refusal::Unsupported);
        }
        let held = |pass: &Pass| pass.is_held(&ask.pass, &asked.node, &self.me);
        let class = match self.setup.pass.as_ref().is_some_and(held) {
            true => Class::Friend,
            false => Class::Stranger,
        };
        if class == Class::Stranger && self.setup.serve == Serve::Friends {
            return Err(Refusal::Friends);
        }
        let home = home(from.ok_or(Refusal::Busy)?);
        if !self.asks.take(home, now) {
            return Err(Refusal::Busy);
        }
        let most = match class {
            Class::Friend => 8 * self.most_each,
            Class::Stranger => self.most_each,
        };
        let lease = self.leases.entry(home).or_default();
        if Arc::strong_count(lease) > most {
            return Err(Refusal::Busy);
        }
        if is_tight(&self.told, class) {
            return Err(Refusal::Full);
        }
        let rushed = !asked.worked && !self.rush.take((), now);
        if class == Class::Stranger
            && !asked.worked
            && (rushed || reflector.rooms() > self.most / 2)
        {
            return work();
        }
        let lease: Lease = Some(Box::new(Arc::clone(lease)));
        let made = reflector
            .open(ask.legs, class, lease)
            .ok_or(Refusal::Full)?;
        Ok(Answer::Given {
            room: made.room,
            lasts: made.lasts.as_secs() as u32,
            tokens: made.tokens.to_vec(),
            servers: self.named(made.server),
            mirrors: reflector.addresses().take(MAX_MIRRORS).collect(),
        })
    }

    /// Where others reach that address of ours: where they reached us, and all else that we know.
    fn named(&self, own: SocketAddr) -> Vec<SocketAddr> {
        let homes = self.homes.iter().map(|&ip| SocketAddr::new(ip, own.port()));
        let others = homes.filter(|_| own.ip().is_unspecified());
        [own].into_iter().chain(others).collect()
    }
}

impl Ultrapeer {
    /// Somebody opened a stream to ask for a room.
    pub fn open_asking(&mut self, node: PeerId, stream: Stream) {
        let Ok(desk) = Arc::clone(&self.rooms.desks).try_acquire_owned() else {
            self.status.refused += 1;
            return;
        };
        let said = self.said.clone();
        tokio::spawn(async move {
            let served = tokio::time::timeout(PATIENCE, serve(node, stream, said)).await;
            if !matches!(served, Ok(Ok(()))) {
                tracing::debug!("somebody who asked for a room went away: {served:?}");
            }
            drop(desk);
        });
    }

    pub fn asked(&mut self, asked: Asked) {
        let from = self.swarm.behaviour().guests.home(&asked.node);
        let now = self.now().mono;
        let answer = self.rooms.answer(&asked, from, now);
        // He may be gone; then the room ends by itself.
        let _ = asked.reply.send(answer);
    }
}

async fn serve(
    node: PeerId,
    stream: Stream,
    said: tokio::sync::mpsc::Sender<Said>,
) -> std::io::Result<()> {
    use libp2p::futures::AsyncReadExt;
    let (read, write) = stream.split();
    let mut reader = FrameReader::new(read);
    let mut writer = FrameWriter::new(write, PATIENCE);
    let mut work: Option<Work> = None;
    // Once without and once with work.
    for _ in 0..2 {
        let Some(ask) = reader.next::<Ask>().await? else {
            break;
        };
        let (reply, answer) = oneshot::channel();
        let worked = work.is_some_and(|work| work.is_solved_by(ask.worked));
        let asked = Asked {
            node,
            ask,
            worked,
            reply,
        };
        if said.send(Said::Asked(asked)).await.is_err() {
            break;
        }
        let Ok(answer) = answer.await else {
            break;
        };
        writer.send([&answer]).await?;
        match answer {
            Answer::Work(asked) => work = Some(asked),
            _ => break,
        }
    }
    writer.close().await;
    Ok(())
}

fn start(
    options: &Options,
    fence: &Fence,
    external: &[Multiaddr],
) -> Result<Reflector, RelayError> {
    let Reflection { port, rate, .. } = options.reflector;
    let listen = |port| SocketAddr::new(options.listen.ip(), port);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let setup = |port| Setup {
        listen: listen(port),
        ports: cores.clamp(2, MAX_MIRRORS),
        gate: Gate {
            loopback: fence.loopback,
            private: fence.private,
            own: Vec::new(),
        },
        homes: external.iter().filter_map(ip).collect(),
        rooms: options.limits.rooms,
        rate,
    };
    let failed = |port| {
        move |error: std::io::Error| RelayError::Reflector {
            listen: listen(port),
            why: error.to_string(),
        }
    };
    if let Some(port) = port {
        return Reflector::start(&setup(port)).map_err(failed(port));
    }
    let tcp = match options.listen.port() {
        0 => external.iter().find_map(tcp_port).unwrap_or(0),
        port => port,
    };
    Reflector::start(&setup(tcp))
        .or_else(|_| Reflector::start(&setup(0)))
        .map_err(failed(0))
}

fn tcp_port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        libp2p::multiaddr::Protocol::Tcp(port) => Some(port),
        _ => None,
    })
}

fn work() -> Result<Answer, Refusal> {
    let mut challenge = [0; 16];
    getrandom::fill(&mut challenge).map_err(|_| Refusal::Busy)?;
    Ok(Answer::Work(Work {
        challenge,
        bits: BITS,
    }))
}

/// Whether so much goes out that one more call would spoil others.
fn is_tight(now: &Reflected, class: Class) -> bool {
    let percent = match class {
        Class::Friend => 95,
        Class::Stranger => 80,
    };
    now.max_bits_per_second
        .is_some_and(|most| now.bits_per_second >= most / 100 * percent)
}

/// What one household easily has: an address of IPv4, a /64 of IPv6.
fn home(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        ip => ip,
    }
}

/// Those who may be asking at a time, and how long each may take.
const DESKS: usize = 256;
const PATIENCE: Duration = Duration::from_secs(15);

/// Bytes of IPv4 and UDP around each datagram.
const HEADERS: u64 = 28;
