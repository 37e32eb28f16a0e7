//! Where an ultrapeer dials to. Others tell it addresses by the thousand; it must not become the
//! hand that reaches into somebody's own network.

use std::collections::HashSet;
use std::pin::Pin;
use std::task::{Context, Poll};

use libp2p::Multiaddr;
use libp2p::core::Transport;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;

use crate::net::is_in_reach;
use crate::net::swarm::ip;

/// Which addresses are dialled.
#[derive(Clone, Debug, Default)]
pub struct Fence {
    /// Addresses of this computer itself, for a network that lives on one.
    pub loopback: bool,
    /// Addresses that only mean something in one house or company.
    pub private: bool,
    /// Whatever the owner named.
    pub named: HashSet<Multiaddr>,
}

impl Fence {
    /// Whether it may be dialled. Names of the DNS only if the owner named them.
    pub fn passes(&self, address: &Multiaddr) -> bool {
        if self.named.contains(&bare(address)) {
            return true;
        }
        let named = address.iter().any(|part| {
            matches!(
                part,
                Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)
            )
        });
        let circuit = address.iter().any(|part| part == Protocol::P2pCircuit);
        let port = address
            .iter()
            .any(|part| matches!(part, Protocol::Tcp(1..)));
        !named
            && !circuit
            && port
            && ip(address).is_some_and(|ip| is_in_reach(ip, self.loopback, self.private))
    }
}

/// The address without the name of who is there.
pub fn bare(address: &Multiaddr) -> Multiaddr {
    address
        .iter()
        .filter(|part| !matches!(part, Protocol::P2p(_)))
        .collect()
}

/// A transport that dials only what the fence lets pass.
#[derive(Debug)]
pub struct Fenced<T> {
    pub inner: T,
    pub fence: Fence,
}

impl<T: Transport + Unpin> Transport for Fenced<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<T::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<T::Dial, TransportError<T::Error>> {
        if !self.fence.passes(&address) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        Pin::new(&mut self.inner).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("a multiaddr")
    }

    fn passing(fence: &Fence, all: &[&str]) -> Vec<String> {
        let pass = all.iter().filter(|text| fence.passes(&address(text)));
        pass.map(ToString::to_string).collect()
    }

    const GLOBAL: &[&str] = &["/ip4/9.9.9.9/tcp/4001", "/ip6/2620:fe::9/tcp/1"];
    const PRIVATE: &[&str] = &[
        "/ip4/10.1.2.3/tcp/1",
        "/ip4/192.168.1.1/tcp/80",
        "/ip4/169.254.169.254/tcp/80",
        "/ip4/100.64.0.1/tcp/1",
        "/ip4/198.18.0.1/tcp/1",
        "/ip4/203.0.113.5/tcp/1",
        "/ip6/fd00::1/tcp/1",
        "/ip6/::ffff:10.0.0.1/tcp/1",
    ];
    const LOOPBACK: &[&str] = &[
        "/ip4/127.0.0.1/tcp/22",
        "/ip6/::1/tcp/22",
        "/ip6/::ffff:127.0.0.1/tcp/22",
    ];
    const NEVER: &[&str] = &[
        "/ip4/0.0.0.0/tcp/22",
        "/ip4/224.0.0.1/tcp/1",
        "/ip4/255.255.255.255/tcp/1",
        "/ip6/::/tcp/22",
        "/ip6/ff02::1/tcp/1",
        "/ip6/::ffff:0.0.0.0/tcp/1",
        "/ip4/9.9.9.9/tcp/0",
        "/ip4/9.9.9.9/udp/53",
        "/dns4/localhost/tcp/22",
        "/ip4/9.9.9.9/tcp/1/p2p-circuit",
    ];

    #[test]
    fn only_global_addresses_are_dialled_on_the_public_network() {
        let fence = Fence::default();
        assert_eq!(passing(&fence, GLOBAL).len(), GLOBAL.len());
        for refused in [PRIVATE, LOOPBACK, NEVER] {
            assert_eq!(passing(&fence, refused), [""; 0]);
        }
    }

    #[test]
    fn a_private_network_has_private_addresses_and_no_more() {
        let mut fence = Fence {
            private: true,
            ..Fence::default()
        };
        assert_eq!(passing(&fence, PRIVATE).len(), PRIVATE.len());
        assert_eq!(passing(&fence, LOOPBACK), [""; 0]);
        fence.loopback = true;
        assert_eq!(passing(&fence, LOOPBACK).len(), LOOPBACK.len());
        assert_eq!(passing(&fence, NEVER), [""; 0]);
    }

    #[test]
    fn what_the_owner_named_is_dialled() {
        let name = "/dns4/relay.example.org/tcp/4001";
        let fence = Fence {
            named: HashSet::from([address(name)]),
            ..Fence::default()
        };
        let peer = libp2p::PeerId::random();
        let whole = address(name).with(Protocol::P2p(peer));
        assert!(fence.passes(&whole));
        assert!(!fence.passes(&address("/dns4/other.example.org/tcp/4001")));
    }
}
