//! One UDP socket: bind, receive, send, count; nothing else.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::ops::AddAssign;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::phone::types::MAX_DATAGRAM;

/// A bound socket.
#[derive(Debug)]
pub(super) struct Udp {
    /// Watched for what arrives only: each datagram that has left makes it writable once more, which
    /// would wake us up to no purpose.
    socket: Arc<AsyncFd<UdpSocket>>,
    /// IPv4 peers have to be written as mapped IPv6 addresses.
    mapped: bool,
    counters: Counters,
}

/// What is received into: one byte more than any datagram of ours, so that larger ones are told.
pub(super) type Buffer = [u8; MAX_DATAGRAM + 1];

/// What went wrong at this end, in datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Dropped because the socket's buffer was full.
    pub full: u64,
    /// Refused by the system: no route, too large, forbidden.
    pub unsent: u64,
    /// Arrived, but larger than anything a phone sends.
    pub oversized: u64,
    /// Errors while receiving, such as late ICMP answers.
    pub receive_errors: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        self.full += other.full;
        self.unsent += other.unsent;
        self.oversized += other.oversized;
        self.receive_errors += other.receive_errors;
    }
}

impl Udp {
    /// Binds `listen`; an unspecified address means both families, if the system has both.
    pub(super) fn bind(listen: SocketAddr) -> io::Result<Udp> {
        if !listen.ip().is_unspecified() {
            return Udp::with(listen, false);
        }
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, listen.port()));
        match Udp::with(both, true) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => Udp::with(listen, false),
            bound => bound,
        }
    }

    fn with(listen: SocketAddr, mapped: bool) -> io::Result<Udp> {
        let socket = Socket::new(
            Domain::for_address(listen),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        socket.set_nonblocking(true)?;
        if listen.is_ipv6() {
            socket.set_only_v6(!mapped)?;
        }
        socket.bind(&listen.into())?;
        tune(&SockRef::from(&socket), listen.is_ipv6(), mapped);
        let socket = watched(socket.into())?;
        Ok(Udp {
            socket: Arc::new(socket),
            mapped,
            counters: Counters::default(),
        })
    }

    pub(super) fn port(&self) -> io::Result<u16> {
        self.socket.get_ref().local_addr().map(|addr| addr.port())
    }

    pub(super) async fn readable(&self) {
        // An error here would come again from the read, where it is counted.
        let _ = self.socket.readable().await;
    }

    /// Ready as soon as [`Udp::receive`] may have something.
    pub(super) fn readiness(&self) -> Readiness {
        Readiness(self.socket.clone())
    }

    /// The next datagram and its length; `None` when there is none for now.
    pub(super) fn receive(&mut self, buffer: &mut Buffer) -> Option<(SocketAddr, usize)> {
        for _ in 0..RECEIVE_TRIES {
            let read = |socket: &UdpSocket| socket.recv_from(&mut buffer[..]);
            match self.socket.try_io(Interest::READABLE, read) {
                Ok((len, _)) if len > MAX_DATAGRAM => self.counters.oversized += 1,
                Ok((len, from)) => return Some((plain(from), len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => self.counters.receive_errors += 1,
            }
        }
        None
    }

    pub(super) fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        let to = if self.mapped { mapped(to) } else { to };
        match self.socket.get_ref().send_to(bytes, to) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.counters.full += 1,
            Err(_) => self.counters.unsent += 1,
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }
}

/// Waits for one socket, and keeps it open meanwhile.
#[derive(Debug)]
pub(super) struct Readiness(Arc<AsyncFd<UdpSocket>>);

impl Future for Readiness {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // An error here would come again from the read, where it is counted.
        self.0.poll_read_ready(context).map(drop)
    }
}

/// Datagrams that are skipped before the caller gets its turn back.
const RECEIVE_TRIES: usize = 16;

/// Two seconds of a call with room for the system's own bookkeeping, in bytes.
const SOCKET_BUFFER: usize = 256 * 1024;

/// DSCP "expedited forwarding" (RFC 3246) in the upper six bits of the traffic class.
const EXPEDITED: u32 = 46 << 2;

/// None of this is needed for a call, so what a system does not know is left as it is.
fn tune(socket: &SockRef<'_>, v6: bool, mapped: bool) {
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    if v6 {
        let _ = socket.set_tclass_v6(EXPEDITED);
    }
    if !v6 || mapped {
        let _ = socket.set_tos_v4(EXPEDITED);
    }
}

/// Watches what owns its descriptor for something to read.
#[expect(
    deprecated,
    reason = "who owns a descriptor keeps it; what replaces this is unsafe"
)]
pub(super) fn watched<T: AsRawFd + Into<OwnedFd>>(owner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(owner, Interest::READABLE)
}

/// One spelling for each address, so that the phone can compare them.
fn plain(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(IpAddr::V4(v4), v6.port()),
            None => SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id())),
        },
        v4 @ SocketAddr::V4(_) => v4,
    }
}

fn mapped(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(v4) => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
        v6 @ SocketAddr::V6(_) => v6,
    }
}
