//! UDP ports beside the phone's own, opened when something is first sent from them.
//!
//! Two phones behind NATs that give each destination a port of its own find each other by trying
//! many ports at once. Hundreds of them cost nothing while nothing arrives: one waiting future
//! stands for all, and only those that have something are looked at.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::FuturesUnordered;

use super::udp::{Buffer, Counters, Readiness, Udp};
use crate::phone::types::SideId;

/// The open sides of one phone.
#[derive(Debug)]
pub(super) struct Sides {
    /// The address of this computer that the phone listens on.
    ip: IpAddr,
    open: BTreeMap<SideId, Side>,
    /// Those of which nothing is known to have arrived.
    waiting: FuturesUnordered<Abortable<Waiting>>,
    /// Those from which there may be something to take.
    ready: VecDeque<SideId>,
    /// Of the sides that are closed, and of those that could not be opened.
    counters: Counters,
}

#[derive(Debug)]
struct Side {
    udp: Udp,
    /// Ends the wait, so that the port is free again.
    wait: AbortHandle,
}

/// Most sides that are open at the same time.
pub const MAX_SIDES: usize = 300;

impl Sides {
    pub(super) fn new(ip: IpAddr) -> Sides {
        Sides {
            ip,
            open: BTreeMap::new(),
            waiting: FuturesUnordered::new(),
            ready: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Waits until something may have arrived. Cancel safe.
    pub(super) async fn readable(&mut self) {
        while self.ready.is_empty() {
            match self.waiting.next().await {
                Some(Ok(side)) => self.ready.push_back(side),
                // It was closed.
                Some(Err(_)) => {}
                None => return std::future::pending().await,
            }
        }
    }

    /// The next datagram: on which side, from whom, how long.
    pub(super) fn receive(&mut self, buffer: &mut Buffer) -> Option<(SideId, SocketAddr, usize)> {
        while let Some(id) = self.ready.pop_front() {
            let Some(side) = self.open.get_mut(&id) else {
                continue;
            };
            if let Some((from, len)) = side.udp.receive(buffer) {
                // There may be more, but the others come first.
                self.ready.push_back(id);
                return Some((id, from, len));
            }
            let (wait, waiting) = wait_for(id, &side.udp);
            side.wait = wait;
            self.waiting.push(waiting);
        }
        None
    }

    pub(super) fn send(&mut self, id: SideId, to: SocketAddr, bytes: &[u8]) {
        if !self.open.contains_key(&id)
            && let Err(error) = self.open(id)
        {
            tracing::debug!("cannot open a port beside the phone's own: {error}");
        }
        match self.open.get_mut(&id) {
            Some(side) => side.udp.send(to, bytes),
            None => self.counters.unsent += 1,
        }
    }

    pub(super) fn close(&mut self, id: SideId) {
        if let Some(side) = self.open.remove(&id) {
            side.wait.abort();
            self.counters += side.udp.counters();
        }
    }

    pub(super) fn counters(&self) -> Counters {
        let mut sum = self.counters;
        for side in self.open.values() {
            sum += side.udp.counters();
        }
        sum
    }

    fn open(&mut self, id: SideId) -> io::Result<()> {
        if self.open.len() >= MAX_SIDES {
            return Err(io::Error::other("too many are open"));
        }
        let udp = Udp::bind(SocketAddr::new(self.ip, 0))?;
        let (wait, waiting) = wait_for(id, &udp);
        self.waiting.push(waiting);
        self.open.insert(id, Side { udp, wait });
        Ok(())
    }
}

/// Ready with the side's number when something has arrived there.
#[derive(Debug)]
struct Waiting {
    side: SideId,
    readiness: Readiness,
}

impl Future for Waiting {
    type Output = SideId;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<SideId> {
        let side = self.side;
        Pin::new(&mut self.readiness).poll(context).map(|()| side)
    }
}

fn wait_for(side: SideId, udp: &Udp) -> (AbortHandle, Abortable<Waiting>) {
    let (handle, registration) = AbortHandle::new_pair();
    let readiness = udp.readiness();
    let waiting = Waiting { side, readiness };
    (handle, Abortable::new(waiting, registration))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use tokio::time::timeout;

    use crate::net::{MAX_SIDES, Net};
    use crate::phone::types::{Path, SideId};

    fn home() -> std::net::SocketAddr {
        "127.0.0.1:0".parse().expect("an address")
    }

    async fn next(net: &mut Net) -> Option<(Path, Vec<u8>)> {
        let next = async {
            loop {
                if let Some((path, bytes)) = net.receive() {
                    return (path, bytes.to_vec());
                }
                net.readable().await;
            }
        };
        timeout(Duration::from_secs(5), next).await.ok()
    }

    #[tokio::test]
    async fn each_side_is_a_port_of_its_own_and_hears_its_own_answers() {
        let mut phone = Net::open(home(), None).expect("port");
        let mut peer = Net::open(home(), None).expect("port");
        for side in 0..256 {
            phone.send(Path::Side(side, peer.listen()), &side.to_le_bytes());
        }
        let mut ports = BTreeSet::new();
        for _ in 0..256 {
            let (path, bytes) = next(&mut peer).await.expect("all of them arrive");
            assert!(ports.insert(path), "two sides on one port");
            peer.send(path, &bytes);
        }
        let mut answered = BTreeSet::new();
        for _ in 0..256 {
            let (path, bytes) = next(&mut phone).await.expect("all answers arrive");
            let Path::Side(side, from) = path else {
                panic!("{path:?} is no side");
            };
            assert_eq!(bytes, side.to_le_bytes());
            assert_eq!(from, peer.listen());
            answered.insert(side);
        }
        assert_eq!(answered.len(), 256);

        // And once more, each having been empty in between.
        phone.send(Path::Side(7, peer.listen()), b"again");
        let (path, _) = next(&mut peer).await.expect("it arrives");
        peer.send(path, b"and back");
        let (path, bytes) = next(&mut phone).await.expect("it arrives");
        assert!(matches!(path, Path::Side(7, _)), "{path:?}");
        assert_eq!(bytes, b"and back");
    }

    #[tokio::test]
    async fn no_more_than_the_most_are_open_and_a_closed_one_gives_its_port_back() {
        let mut phone = Net::open(home(), None).expect("port");
        let mut peer = Net::open(home(), None).expect("port");
        let most = SideId::try_from(MAX_SIDES).expect("few");
        for side in 0..most {
            phone.send(Path::Side(side, peer.listen()), b"here");
            next(&mut peer).await.expect("it arrives");
        }
        phone.send(Path::Side(most, peer.listen()), b"one too many");
        assert_eq!(phone.counters().unsent, 1);

        phone.close_side(3);
        phone.send(Path::Side(most, peer.listen()), b"in its place");
        let (path, bytes) = next(&mut peer).await.expect("it arrives");
        assert_eq!(bytes, b"in its place");
        let port = path.udp().expect("an address").port();
        phone.close_side(most);
        // The wait for it ends with the next turn.
        let _ = timeout(Duration::from_millis(50), phone.readable()).await;
        std::net::UdpSocket::bind(("127.0.0.1", port)).expect("the port is free");
    }

    #[tokio::test]
    async fn a_flood_at_the_phones_port_does_not_starve_a_side() {
        let mut phone = Net::open(home(), None).expect("port");
        let mut peer = Net::open(home(), None).expect("port");
        phone.send(Path::Side(1, peer.listen()), b"open");
        let (side, _) = next(&mut peer).await.expect("it arrives");
        for _ in 0..50 {
            peer.send(Path::Udp(phone.listen()), b"flood");
        }
        peer.send(side, b"voice");
        phone.readable().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _ = timeout(Duration::from_millis(1), phone.sides.readable()).await;
        let first: Vec<_> = std::iter::from_fn(|| phone.receive().map(|(path, _)| path))
            .take(2)
            .collect();
        assert!(
            first.iter().any(|path| matches!(path, Path::Side(1, _))),
            "{first:?}"
        );
    }
}
