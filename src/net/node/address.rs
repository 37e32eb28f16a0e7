//! Which multiaddrs a phone dials.
//!
//! Only TCP to one host, and that host's name: what others tell us can be anything, and a phone
//! that dials whatever it is told knocks at doors for strangers.

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::NodeError;
use crate::net::is_global;

/// Reads an address that a person wrote: HOST/tcp/PORT with or without `/p2p/ID`, or `/dnsaddr`.
pub(super) fn bootstrap(text: &str) -> Result<Multiaddr, NodeError> {
    let bad = |why: &str| NodeError::Address {
        address: text.to_owned(),
        why: why.to_owned(),
    };
    let address: Multiaddr = text.trim().parse().map_err(|_| bad("it is no multiaddr"))?;
    let mut parts = address.iter();
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(host), Some(Protocol::Tcp(port)), None, None) if is_host(&host) && port != 0 => {}
        (Some(host), Some(Protocol::Tcp(port)), Some(Protocol::P2p(_)), None)
            if is_host(&host) && port != 0 => {}
        (Some(Protocol::Dnsaddr(_)), None, None, None)
        | (Some(Protocol::Dnsaddr(_)), Some(Protocol::P2p(_)), None, None) => {}
        (Some(_), Some(Protocol::Udp(_)), ..) => return Err(bad("only tcp is spoken")),
        _ => return Err(bad("it is not of that form")),
    }
    Ok(address)
}

/// An address that a stranger named: a host, a TCP port, and whom to expect there.
pub(super) fn named(bytes: &[u8], only_global: bool) -> Option<(PeerId, Multiaddr)> {
    if bytes.len() > MAX_ADDRESS {
        return None;
    }
    let address = Multiaddr::try_from(bytes.to_vec()).ok()?;
    strict(address, only_global)
}

/// Like [`named`], of an address that is parsed already.
pub(super) fn strict(address: Multiaddr, only_global: bool) -> Option<(PeerId, Multiaddr)> {
    let mut parts = address.iter();
    let host = parts.next()?;
    let (Protocol::Tcp(port), Protocol::P2p(peer), None) =
        (parts.next()?, parts.next()?, parts.next())
    else {
        return None;
    };
    let fits = is_host(&host) && port != 0 && (!only_global || is_global_host(&host));
    fits.then_some((peer, address))
}

/// The peer that an address ends in.
pub(super) fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last()? {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    }
}

/// The address with the peer at its end, once.
pub(super) fn with_peer(address: Multiaddr, peer: PeerId) -> Option<Multiaddr> {
    address.with_p2p(peer).ok()
}

pub(super) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

fn is_host(part: &Protocol<'_>) -> bool {
    match part {
        Protocol::Ip4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        Protocol::Ip6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
        Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) => true,
        _ => false,
    }
}

/// Whether it is one host of the whole Internet. Names may hide anything, so on the public network
/// nobody's word for a name is taken.
fn is_global_host(host: &Protocol<'_>) -> bool {
    match host {
        Protocol::Ip4(ip) => is_global((*ip).into()),
        Protocol::Ip6(ip) => is_global((*ip).into()),
        _ => false,
    }
}

/// Bytes of an address that a directory record or an ultrapeer may name.
pub(super) const MAX_ADDRESS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    #[test]
    fn what_a_person_writes_is_taken_or_named_in_the_error() {
        for good in [
            "/ip4/127.0.0.1/tcp/4001".to_owned(),
            format!(" /ip6/::1/tcp/4001/p2p/{ID}\n"),
            format!("/dns4/relay.example.org/tcp/443/p2p/{ID}"),
            "/dnsaddr/bootstrap.libp2p.io".to_owned(),
        ] {
            assert!(bootstrap(&good).is_ok(), "{good}");
        }
        for bad in [
            "127.0.0.1:4001",
            "",
            "/ip4/127.0.0.1/udp/4001/quic-v1",
            "/ip4/127.0.0.1/tcp/0",
            "/ip4/0.0.0.0/tcp/4001",
            "/ip4/127.0.0.1/tcp/4001/p2p-circuit",
            "/ip4/127.0.0.1",
        ] {
            let error = bootstrap(bad).expect_err(bad).to_string();
            assert!(error.contains(&format!("`{bad}`")), "{error}");
            assert!(
                error.contains("/tcp/"),
                "{error} does not say what to write"
            );
        }
    }

    #[test]
    fn strangers_cannot_send_a_phone_anywhere() {
        let name = |text: &str, global| {
            let address: Multiaddr = format!("{text}/p2p/{ID}").parse().expect(text);
            named(&address.to_vec(), global).is_some()
        };
        assert!(name("/ip4/203.1.2.3/tcp/4001", true));
        assert!(name("/ip6/2a00:1450::1/tcp/4001", true));
        assert!(name("/ip4/192.168.1.1/tcp/80", false));
        for inside in [
            "/ip4/192.168.1.1/tcp/80",
            "/ip4/127.0.0.1/tcp/631",
            "/ip4/169.254.169.254/tcp/80",
            "/ip4/100.64.0.1/tcp/80",
            "/ip6/::ffff:10.0.0.1/tcp/80",
            "/ip6/fd00::1/tcp/80",
            "/dns4/router/tcp/80",
        ] {
            assert!(!name(inside, true), "{inside}");
        }
        for strange in ["/ip4/203.1.2.3/udp/53", "/ip4/203.1.2.3/tcp/0"] {
            assert!(!name(strange, false), "{strange}");
        }
        let circuit = format!("/ip4/203.1.2.3/tcp/1/p2p/{ID}/p2p-circuit");
        assert!(!name(&circuit, false));
        assert!(named(&[0xFF; 40], false).is_none() && named(&[], false).is_none());
    }
}
