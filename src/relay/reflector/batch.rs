//! Many datagrams with one system call, where there is one for that.

pub use system::{Inbox, Outbox};

/// Datagrams that are taken from the system at once.
const BATCH: usize = 64;

/// Datagrams that are given to the system at once, but for the copies of one.
const OUT: usize = 128;

/// Longer than any datagram that means something here, so that a cut one is too long too.
const LONGEST: usize = 1280;

#[cfg(target_os = "linux")]
mod system {
    use std::array;
    use std::io::{self, IoSlice, IoSliceMut};
    use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::slice;

    use arrayvec::ArrayVec;
    use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
    use rustix::net::addr::SocketAddrArg;
    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

    use super::{BATCH, LONGEST, OUT};

    /// Where datagrams arrive.
    pub struct Inbox {
        buffers: Box<[[u8; LONGEST]; BATCH]>,
        headers: MultiHeaders<SockaddrStorage>,
        arrived: ArrayVec<(SocketAddr, usize), BATCH>,
    }

    impl Inbox {
        pub fn new() -> Inbox {
            Inbox {
                buffers: Box::new([[0; LONGEST]; BATCH]),
                headers: MultiHeaders::preallocate(BATCH, None),
                arrived: ArrayVec::new(),
            }
        }

        /// Waits for a datagram, as long as the socket is set to, and takes all that are there.
        pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
            self.arrived.clear();
            let mut free = self.buffers.iter_mut();
            let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
                array::from_fn(|_| [IoSliceMut::new(free.next().map_or(&mut [], |b| &mut b[..]))]);
            let arrived = recvmmsg(
                socket.as_raw_fd(),
                &mut self.headers,
                slices.iter_mut(),
                MsgFlags::MSG_WAITFORONE,
                None,
            )?;
            for message in arrived {
                let from = message.address.as_ref().and_then(address);
                // Without an address it is nobody's.
                let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
                self.arrived.push((from.unwrap_or(nobody), message.bytes));
            }
            Ok(())
        }

        /// How many have arrived.
        pub fn count(&self) -> usize {
            self.arrived.len()
        }

        /// What has arrived, and from where.
        pub fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
            let whole = self.arrived.iter().zip(self.buffers.iter());
            whole.map(|((from, length), buffer)| (*from, &buffer[..*length]))
        }
    }

    fn address(from: &SockaddrStorage) -> Option<SocketAddr> {
        match (from.as_sockaddr_in6(), from.as_sockaddr_in()) {
            (Some(from), _) => Some(SocketAddrV6::from(*from).into()),
            (_, Some(from)) => Some(SocketAddrV4::from(*from).into()),
            _ => None,
        }
    }

    /// What is to be sent.
    pub struct Outbox<'a> {
        socket: &'a UdpSocket,
        to: ArrayVec<SocketAddrAny, OUT>,
        data: ArrayVec<IoSlice<'a>, OUT>,
    }

    impl<'a> Outbox<'a> {
        pub fn new(socket: &'a UdpSocket) -> Outbox<'a> {
            Outbox {
                socket,
                to: ArrayVec::new(),
                data: ArrayVec::new(),
            }
        }

        /// Sends it with the next [`Outbox::flush`], or before.
        pub fn push(&mut self, to: SocketAddr, bytes: &'a [u8]) {
            if self.to.is_full() {
                self.flush();
            }
            self.to.push(to.as_any());
            self.data.push(IoSlice::new(bytes));
        }

        pub fn flush(&mut self) {
            let mut controls: ArrayVec<SendAncillaryBuffer<'_, '_, '_>, OUT> =
                self.to.iter().map(|_| Default::default()).collect();
            let all = self.to.iter().zip(&self.data).zip(&mut controls);
            let mut messages: ArrayVec<MMsgHdr<'_>, OUT> = all
                .map(|((to, data), control)| {
                    MMsgHdr::new_with_addr(to, slice::from_ref(data), control)
                })
                .collect();
            let mut sent = 0;
            while sent < messages.len() {
                let left = &mut messages[sent..];
                // One that cannot be sent is lost, and only that one.
                sent += match sendmmsg(self.socket, left, SendFlags::empty()) {
                    Ok(count) => count.max(1),
                    Err(rustix::io::Errno::INTR) => 0,
                    Err(_) => 1,
                };
            }
            drop(messages);
            drop(controls);
            self.to.clear();
            self.data.clear();
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::net::{SocketAddr, UdpSocket};

    use super::LONGEST;

    pub struct Inbox {
        buffer: Box<[u8; LONGEST]>,
        arrived: Option<(SocketAddr, usize)>,
    }

    impl Inbox {
        pub fn new() -> Inbox {
            Inbox {
                buffer: Box::new([0; LONGEST]),
                arrived: None,
            }
        }

        pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
            self.arrived = None;
            let (length, from) = socket.recv_from(&mut self.buffer[..])?;
            self.arrived = Some((from, length));
            Ok(())
        }

        pub fn count(&self) -> usize {
            self.arrived.iter().count()
        }

        pub fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
            let whole = self.arrived.iter();
            whole.map(|(from, length)| (*from, &self.buffer[..*length]))
        }
    }

    pub struct Outbox<'a> {
        socket: &'a UdpSocket,
    }

    impl<'a> Outbox<'a> {
        pub fn new(socket: &'a UdpSocket) -> Outbox<'a> {
            Outbox { socket }
        }

        pub fn push(&mut self, to: SocketAddr, bytes: &'a [u8]) {
            // What cannot be sent is lost, as on any road.
            let _ = self.socket.send_to(bytes, to);
        }

        pub fn flush(&mut self) {}
    }
}
