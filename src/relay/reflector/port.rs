//! One UDP port of a reflector, and the thread that serves it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::batch::{Inbox, Outbox};
use super::cap::Class;
use super::counts::Counts;
use super::pace::Pace;
use super::table::{Full, Opening, Rules, Table, Verdict};

/// See the module. The thread ends when this is dropped.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    openings: SyncSender<Opening>,
    counts: Arc<Mutex<Counts>>,
    /// One more than there are rooms, the openings that wait counted in.
    rooms: Arc<()>,
    /// The rooms of friends are to end.
    retire: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A port that nobody serves yet.
#[derive(Debug)]
pub struct Bound {
    socket: UdpSocket,
    pub address: SocketAddr,
}

/// Takes a port. An unspecified address of IPv4 or IPv6 means all of both, where there is IPv6.
pub fn bind(listen: SocketAddr) -> io::Result<Bound> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, listen.port()));
    let socket = match listen.ip().is_unspecified() {
        true => open(both).or_else(|_| open((Ipv4Addr::UNSPECIFIED, listen.port()).into()))?,
        false => open(listen)?,
    };
    // A burst is held while the thread is busy. Less than this is no failure.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_read_timeout(Some(WAIT))?;
    socket.set_write_timeout(Some(WAIT))?;
    let socket = UdpSocket::from(socket);
    let port = socket.local_addr()?.port();
    let address = SocketAddr::new(listen.ip(), port);
    Ok(Bound { socket, address })
}

fn open(listen: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(listen),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if listen.is_ipv6() && listen.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&listen.into())?;
    Ok(socket)
}

impl Port {
    /// Serves a port on a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread, or no randomness.
    pub fn serve(bound: Bound, rules: Rules) -> io::Result<Port> {
        let Bound { socket, address } = bound;
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let (openings, opened) = sync_channel(OPENINGS);
        let served = Served {
            socket,
            table: Table::new(rules, &secret),
            opened,
            counts: Arc::default(),
            retire: Arc::default(),
            stop: Arc::default(),
        };
        let (counts, stop) = (Arc::clone(&served.counts), Arc::clone(&served.stop));
        let retire = Arc::clone(&served.retire);
        let thread = std::thread::Builder::new()
            .name(format!("reflect-{}", address.port()))
            .spawn(move || served.run())?;
        Ok(Port {
            address,
            openings,
            counts,
            rooms: Arc::default(),
            retire,
            stop,
            thread: Some(thread),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes a room: it is there before anything that arrives from now on.
    ///
    /// # Errors
    /// When too many are being made.
    pub fn open(&self, mut opening: Opening) -> Result<(), Full> {
        opening.lease = Some(Box::new((opening.lease, Arc::clone(&self.rooms))));
        match self.openings.try_send(opening) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Full),
        }
    }

    /// Ends the rooms of friends that are there now, as [`Table::retire`] does.
    pub fn retire_friends(&self) {
        self.retire.store(true, Ordering::Relaxed);
    }

    /// Rooms at this very moment.
    pub fn rooms(&self) -> usize {
        Arc::strong_count(&self.rooms) - 1
    }

    /// The numbers of a moment ago.
    pub fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it still serves.
    pub fn is_alive(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It takes no longer than WAIT. That it panicked has been said already.
            let _ = thread.join();
        }
    }
}

struct Served {
    socket: UdpSocket,
    table: Table,
    opened: Receiver<Opening>,
    counts: Arc<Mutex<Counts>>,
    retire: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Served {
    fn run(mut self) {
        let began = instant();
        let mut inbox = Inbox::new();
        let mut upkeep = Duration::ZERO;
        let mut pace = Pace::default();
        while !self.stop.load(Ordering::Relaxed) {
            // What arrives is judged by the rooms that were there when it did. An error, such as
            // one that an earlier datagram brought back, means nothing to the next.
            let arrived = inbox.receive(&self.socket).is_ok();
            let now = instant().duration_since(began);
            if self.retire.swap(false, Ordering::Relaxed) {
                self.table.retire(Class::Friend, now);
            }
            for opening in self.opened.try_iter() {
                // Whoever asked finds out by the silence: there is a limit before this one.
                let _ = self.table.open(opening, now);
            }
            if arrived {
                self.judge(&inbox, now);
            }
            if let Some(pause) = pace.pause(inbox.count(), now) {
                wait(pause);
            }
            if now >= upkeep {
                upkeep = now + UPKEEP;
                self.table.expire(now);
                let mut shown = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
                *shown = *self.table.counts();
            }
        }
    }

    fn judge(&mut self, inbox: &Inbox, now: Duration) {
        let mut out = Outbox::new(&self.socket);
        for (from, bytes) in inbox.datagrams() {
            match self.table.receive(from, bytes, now) {
                Verdict::Silent => {}
                Verdict::Answer(answer) => {
                    // Lost, if it cannot be sent: it will be asked for again.
                    let _ = self.socket.send_to(&answer, from);
                }
                Verdict::Forward(targets) => {
                    for to in targets {
                        out.push(to, bytes);
                    }
                }
            }
        }
        out.flush();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is waited for is more of the same"
)]
fn wait(pause: Duration) {
    std::thread::sleep(pause);
}

#[expect(clippy::disallowed_methods, reason = "the reflector's clock")]
fn instant() -> Instant {
    Instant::now()
}

/// How long nothing may come before the thread looks whether it is to end.
const WAIT: Duration = Duration::from_millis(200);

/// How often rooms expire and the numbers are shown.
const UPKEEP: Duration = Duration::from_millis(500);

/// Bytes that the system may hold for a port, each way.
const BUFFER: usize = 4 << 20;

/// Rooms that may wait to be made.
const OPENINGS: usize = 256;
