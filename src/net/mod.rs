//! The phone's sockets: datagrams in and out, and the addresses at which they arrive.
//!
//! Nothing here knows what a datagram means, and nothing that the network does ends anything: a
//! datagram that cannot be sent is a lost datagram, as on any road.

mod addresses;
mod global;
pub mod mapping;
mod node;
pub mod proxy;
pub mod reflect;
mod sides;
pub mod streams;
pub mod swarm;
#[cfg(target_os = "linux")]
pub mod timer;
mod udp;
mod watch;

use std::io;
use std::net::SocketAddr;

pub use addresses::Place;
pub use global::{is_global, is_in_reach, is_nowhere};
pub use node::{Node, NodeCommand, NodeError, NodeEvent, NodeOptions, NodeState, Phase};
pub use sides::MAX_SIDES;
pub use udp::Counters;
pub use watch::Watch;

use crate::phone::types::{MAX_DATAGRAM, Path, SideId};
use sides::Sides;
use udp::{Buffer, Udp};

/// Everything through which the phone reaches others.
#[derive(Debug)]
pub struct Net {
    udp: Udp,
    sides: Sides,
    listen: SocketAddr,
    buffer: Box<Buffer>,
    /// Whose turn it is to be asked first for what has arrived, so that neither starves the other.
    is_sides_turn: bool,
}

impl Net {
    /// Opens the phone's port. With port 0 in `listen`, `remembered` is tried first, so that the
    /// addresses in old invites stay true; if it is taken, the system picks.
    ///
    /// An unspecified address, of either family, means every address of both. Needs a running
    /// tokio runtime.
    ///
    /// # Errors
    /// When the address is not of this computer or the port is taken.
    pub fn open(listen: SocketAddr, remembered: Option<u16>) -> Result<Net, NetError> {
        let udp = bind(listen, remembered).map_err(|source| NetError { listen, source })?;
        let port = udp.port().map_err(|source| NetError { listen, source })?;
        let listen = SocketAddr::new(listen.ip(), port);
        Ok(Net {
            udp,
            sides: Sides::new(listen.ip()),
            listen,
            buffer: Box::new([0; MAX_DATAGRAM + 1]),
            is_sides_turn: false,
        })
    }

    /// The address that was asked for, with the port that it got.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where this phone is now.
    pub fn place(&self) -> Place {
        Place::now(self.listen)
    }

    /// Waits until a datagram has arrived. Cancel safe; loses nothing.
    pub async fn readable(&mut self) {
        tokio::select! {
            () = self.udp.readable() => {}
            () = self.sides.readable() => {}
        }
    }

    /// Takes the next datagram that has arrived, if there is one.
    pub fn receive(&mut self) -> Option<(Path, &[u8])> {
        self.is_sides_turn = !self.is_sides_turn;
        let (path, len) = if self.is_sides_turn {
            self.at_a_side().or_else(|| self.at_the_port())
        } else {
            self.at_the_port().or_else(|| self.at_a_side())
        }?;
        Some((path, &self.buffer[..len]))
    }

    fn at_the_port(&mut self) -> Option<(Path, usize)> {
        let (from, len) = self.udp.receive(&mut self.buffer)?;
        Some((Path::Udp(from), len))
    }

    fn at_a_side(&mut self) -> Option<(Path, usize)> {
        let (side, from, len) = self.sides.receive(&mut self.buffer)?;
        Some((Path::Side(side, from), len))
    }

    /// Sends now or never: what the system does not take at once is dropped and counted. The first
    /// datagram from a side opens it; at most [`MAX_SIDES`] are open at a time.
    pub fn send(&mut self, to: Path, bytes: &[u8]) {
        match to {
            Path::Udp(to) => self.udp.send(to, bytes),
            Path::Side(side, to) => self.sides.send(side, to, bytes),
            // The phone puts the one into datagrams of `Path::Udp`; the other is the node's.
            Path::Reflected(_) | Path::Circuit(_) => {}
        }
    }

    /// Closes a side, if it is open.
    pub fn close_side(&mut self, side: SideId) {
        self.sides.close(side);
    }

    /// What was lost at this end since the start.
    pub fn counters(&self) -> Counters {
        let mut counters = self.udp.counters();
        counters += self.sides.counters();
        counters
    }
}

/// The port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {source}; choose another with --listen IP:PORT (port 0 picks)")]
pub struct NetError {
    listen: SocketAddr,
    source: io::Error,
}

/// How many addresses an invite or a contact carries.
pub const MAX_ADDRESSES: usize = 4;

fn bind(listen: SocketAddr, remembered: Option<u16>) -> io::Result<Udp> {
    let again = remembered.filter(|&port| listen.port() == 0 && port != 0);
    if let Some(port) = again
        && let Ok(udp) = Udp::bind(SocketAddr::new(listen.ip(), port))
    {
        return Ok(udp);
    }
    Udp::bind(listen)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn local(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    #[tokio::test]
    async fn the_port_of_last_time_is_taken_again_if_it_is_free() {
        let first = Net::open(local(0), None).expect("a free port");
        let port = first.listen().port();
        let other = Net::open(local(0), Some(port)).expect("another free port");
        assert_ne!(other.listen().port(), port, "two phones on one port");

        drop(first);
        let again = Net::open(local(0), Some(port)).expect("the port is free again");
        assert_eq!(again.listen(), local(port));
    }

    #[tokio::test]
    async fn a_port_that_was_asked_for_is_not_replaced() {
        let first = Net::open(local(0), None).expect("a free port");
        let error = Net::open(first.listen(), None).expect_err("it is taken");
        let text = error.to_string();
        assert!(
            text.contains(&first.listen().to_string()) && text.contains("--listen"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn an_unspecified_address_hears_both_families() {
        let mut phone =
            Net::open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), None).expect("port");
        let port = phone.listen().port();
        assert_eq!(phone.listen().ip(), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        for home in ["127.0.0.1:0", "[::1]:0"] {
            let home: SocketAddr = home.parse().expect("an address");
            let Ok(mut peer) = Net::open(home, None) else {
                continue;
            };
            peer.send(Path::Udp(SocketAddr::new(home.ip(), port)), b"there");
            phone.readable().await;
            let (from, bytes) = phone.receive().expect("a datagram");
            assert_eq!((from, bytes), (Path::Udp(peer.listen()), &b"there"[..]));

            phone.send(from, b"and back");
            peer.readable().await;
            assert_eq!(
                peer.receive().map(|(_, bytes)| bytes),
                Some(&b"and back"[..])
            );
        }
    }

    #[tokio::test]
    async fn nothing_listening_there_and_too_much_data_end_nothing() {
        let mut phone = Net::open(local(0), None).expect("port");
        let mut peer = Net::open(local(0), None).expect("port");
        let gone = Net::open(local(0), None).expect("port").listen();

        phone.send(Path::Udp(gone), b"nobody hears this");
        phone.send(Path::Udp(peer.listen()), &[0; 70_000]);
        assert_eq!(phone.counters().unsent, 1, "{:?}", phone.counters());
        phone.send(Path::Udp(peer.listen()), b"still here");
        peer.readable().await;
        assert_eq!(
            peer.receive().map(|(_, bytes)| bytes),
            Some(&b"still here"[..])
        );
    }

    #[tokio::test]
    async fn a_datagram_larger_than_any_of_ours_is_dropped_whole() {
        let mut phone = Net::open(local(0), None).expect("port");
        let mut peer = Net::open(local(0), None).expect("port");
        peer.send(Path::Udp(phone.listen()), &[7; 1201]);
        peer.send(Path::Udp(phone.listen()), &[8; 1200]);
        phone.readable().await;
        assert_eq!(
            phone.receive().map(|(_, bytes)| bytes.to_vec()),
            Some(vec![8; 1200])
        );
        assert!(phone.receive().is_none());
        assert_eq!(phone.counters().oversized, 1);
    }
}
