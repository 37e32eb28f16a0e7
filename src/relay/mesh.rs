//! Which other ultrapeers are known, and when to dial which. Pure.
//!
//! Everything here was told by others and may be a lie: it is tried, kept within bounds, and
//! forgotten when it does not work.

use std::collections::HashMap;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;

use crate::net::proxy::{MAX_PEER_ADDRESS, MAX_PEERS, Peers, Request};

/// See the module.
#[derive(Debug, Default)]
pub struct Mesh {
    known: HashMap<PeerId, Known>,
    streams: HashMap<PeerId, mpsc::Sender<Request>>,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Vec<Multiaddr>,
    /// The owner named it: never forgotten.
    named: bool,
    /// It says itself that it is no ultrapeer of ours.
    foreign: bool,
    /// It was connected once, so its address is worth telling.
    proved: bool,
    failures: u32,
    retry: Duration,
}

impl Mesh {
    /// Notes where an ultrapeer may be. Returns whether that was news.
    pub fn learn(&mut self, node: PeerId, addresses: Vec<Multiaddr>, named: bool) -> bool {
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&node) && !self.forget() {
            return false;
        }
        let known = self.known.entry(node).or_default();
        known.named |= named;
        let before = known.addresses.len();
        for address in addresses {
            if known.addresses.len() < MAX_ADDRESSES && !known.addresses.contains(&address) {
                known.addresses.push(address);
            }
        }
        known.addresses.len() > before
    }

    /// What the node itself says of where it is, and whether it is an ultrapeer.
    pub fn identified(&mut self, node: PeerId, addresses: Vec<Multiaddr>, ultrapeer: bool) {
        if !ultrapeer {
            if let Some(known) = self.known.get_mut(&node) {
                known.foreign = true;
                known.failures = 0;
            }
            return;
        }
        if let Some(known) = self.known.get_mut(&node)
            && !addresses.is_empty()
            && !known.named
        {
            known.addresses.clear();
        }
        self.learn(node, addresses, false);
        if let Some(known) = self.known.get_mut(&node) {
            known.foreign = false;
            known.proved = true;
            known.failures = 0;
        }
    }

    /// A dial to it failed. Returns how often in a row.
    pub fn failed(&mut self, node: &PeerId, now: Duration) -> u32 {
        let Some(known) = self.known.get_mut(node) else {
            return 0;
        };
        known.failures += 1;
        known.retry = now + pause(known.failures);
        let failures = known.failures;
        if failures > GIVE_UP && !known.named {
            self.known.remove(node);
        }
        failures
    }

    /// Whom to dial now. Nodes that are no ultrapeers only while `lost`: nobody is connected.
    pub fn due(&mut self, now: Duration, lost: bool) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let room = MAX_STREAMS.saturating_sub(self.streams.len());
        let streams = &self.streams;
        self.known
            .iter_mut()
            .filter(|(node, known)| {
                known.retry <= now && !streams.contains_key(node) && (lost || !known.foreign)
            })
            .take(room)
            .map(|(node, known)| {
                known.retry = now + pause(known.failures + 1);
                (*node, known.addresses.clone())
            })
            .collect()
    }

    /// Whether a directory stream to it is wanted and there is none; then this is where to put what
    /// goes there.
    pub fn join(&mut self, node: PeerId) -> Option<mpsc::Receiver<Request>> {
        let wanted = self.known.get(&node).is_some_and(|known| !known.foreign);
        if !wanted || self.streams.contains_key(&node) || self.streams.len() >= MAX_STREAMS {
            return None;
        }
        let (to, requests) = mpsc::channel(QUEUE);
        self.streams.insert(node, to);
        Some(requests)
    }

    pub fn part(&mut self, node: &PeerId, now: Duration) {
        self.streams.remove(node);
        if let Some(known) = self.known.get_mut(node) {
            known.retry = now + Duration::from_secs(1);
        }
    }

    /// Whether it is one of those to which this ultrapeer keeps a stream.
    pub fn is_member(&self, node: &PeerId) -> bool {
        self.streams.contains_key(node)
    }

    pub fn members(&self) -> impl Iterator<Item = &PeerId> {
        self.streams.keys()
    }

    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Sends to all of them; what one of them does not take at once it does not get.
    pub fn tell(&self, request: &Request) {
        for to in self.streams.values() {
            let _ = to.try_send(request.clone());
        }
    }

    /// What to tell others who ask. Only nodes that were there, and not all of their addresses.
    pub fn peers(&self, me: PeerId, mine: &[Multiaddr]) -> Peers {
        let others = self.known.iter().filter(|(_, known)| known.proved);
        let own = mine.iter().take(2).map(|address| (me, address));
        let addresses = own
            .chain(others.flat_map(|(node, known)| {
                known
                    .addresses
                    .iter()
                    .take(1)
                    .map(|address| (*node, address))
            }))
            .map(|(node, address)| with_name(address, node).to_vec())
            .filter(|address| address.len() <= MAX_PEER_ADDRESS)
            .take(MAX_PEERS);
        Peers(addresses.collect())
    }

    /// Makes room by dropping what worked least.
    fn forget(&mut self) -> bool {
        let worst = self
            .known
            .iter()
            .filter(|(node, known)| !known.named && !self.streams.contains_key(node))
            .max_by_key(|(_, known)| (!known.proved, known.failures))
            .map(|(node, _)| *node);
        worst.is_some_and(|node| self.known.remove(&node).is_some())
    }
}

/// Splits an address into where somebody is and who.
pub fn split(mut address: Multiaddr) -> Option<(PeerId, Multiaddr)> {
    match address.pop() {
        Some(Protocol::P2p(node)) => Some((node, address)),
        _ => None,
    }
}

/// The address with the name of who is there.
pub fn with_name(address: &Multiaddr, node: PeerId) -> Multiaddr {
    match address.iter().last() {
        Some(Protocol::P2p(_)) => address.clone(),
        _ => address.clone().with(Protocol::P2p(node)),
    }
}

fn pause(failures: u32) -> Duration {
    Duration::from_secs(2 << failures.min(8)).min(Duration::from_secs(300))
}

/// Ultrapeers that are remembered, with so many addresses each.
const MAX_KNOWN: usize = 256;
const MAX_ADDRESSES: usize = 4;

/// Ultrapeers to which a stream is kept.
const MAX_STREAMS: usize = 24;

/// Dials that fail in a row before a node is forgotten.
const GIVE_UP: u32 = 12;

/// Requests that wait for one of them.
const QUEUE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/192.0.2.1/tcp/{port}").parse().expect("one")
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ten_thousand_lies_take_no_more_room() {
        let mut mesh = Mesh::default();
        let named = PeerId::random();
        mesh.learn(named, vec![address(1)], true);
        for _ in 0..10_000 {
            mesh.learn(PeerId::random(), (1..200).map(address).collect(), false);
        }
        assert_eq!(mesh.known.len(), MAX_KNOWN);
        assert!(mesh.known.contains_key(&named));
        assert!(
            mesh.known
                .values()
                .all(|k| k.addresses.len() <= MAX_ADDRESSES)
        );
        assert!(mesh.due(at(0), true).len() <= MAX_STREAMS);
        assert!(mesh.peers(named, &[]).0.is_empty(), "nothing is proved");
    }

    #[test]
    fn dials_are_repeated_with_growing_pauses_and_end() {
        let mut mesh = Mesh::default();
        let (named, told) = (PeerId::random(), PeerId::random());
        mesh.learn(named, vec![address(1)], true);
        mesh.learn(told, vec![address(2)], false);
        let mut dials = 0;
        for second in 0..4 * 3600 {
            for (node, _) in mesh.due(at(second), true) {
                dials += 1;
                mesh.failed(&node, at(second));
            }
        }
        assert!((50..150).contains(&dials), "{dials}");
        assert!(mesh.known.contains_key(&named) && !mesh.known.contains_key(&told));
    }

    #[test]
    fn a_node_that_is_none_of_ours_gets_no_stream() {
        let mut mesh = Mesh::default();
        let (ours, other) = (PeerId::random(), PeerId::random());
        mesh.learn(other, vec![address(1)], true);
        mesh.identified(other, vec![], false);
        mesh.identified(ours, vec![address(2)], true);
        assert!(mesh.join(other).is_none());
        let mut requests = mesh.join(ours).expect("wanted");
        assert!(mesh.join(ours).is_none(), "one is enough");
        let gone = Request::Gone {
            name: [1; 32],
            sequence: 1,
        };
        mesh.tell(&gone);
        assert_eq!(requests.try_recv(), Ok(gone));
        assert!(mesh.due(at(9), false).is_empty());
        assert_eq!(mesh.due(at(9), true).len(), 1);

        let told = mesh.peers(PeerId::random(), &[address(9)]);
        let names: Vec<_> = told
            .0
            .into_iter()
            .map(|a| split(a.try_into().expect("one")))
            .collect();
        assert_eq!(names.len(), 2);
        assert_eq!(names[1], Some((ours, address(2))));
    }
}
