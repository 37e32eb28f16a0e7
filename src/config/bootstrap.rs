//! Where the network is entered, as a person writes it: the shape of the address and no more.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::engine::SettingError;

/// A multiaddr of the form `/HOST/tcp/PORT`, or `/dnsaddr/NAME`, with or without `/p2p/ID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bootstrap(String);

impl FromStr for Bootstrap {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Bootstrap, SettingError> {
        let text = text.trim();
        if is_address(text) {
            return Ok(Bootstrap(text.to_owned()));
        }
        Err(SettingError::new(
            text,
            "address of a node",
            "/ip4/ADDRESS/tcp/PORT or /dns4/NAME/tcp/PORT, and /p2p/ID after it if known, \
             as `twocan relay` prints it",
        ))
    }
}

impl TryFrom<String> for Bootstrap {
    type Error = SettingError;

    fn try_from(text: String) -> Result<Bootstrap, SettingError> {
        text.parse()
    }
}

impl From<Bootstrap> for String {
    fn from(address: Bootstrap) -> String {
        address.0
    }
}

fn is_address(text: &str) -> bool {
    let mut parts = text.split('/');
    if parts.next() != Some("") {
        return false;
    }
    let parts: Vec<&str> = parts.collect();
    match parts[..] {
        ["dnsaddr", name] => is_name(name),
        ["dnsaddr", name, "p2p", id] => is_name(name) && is_id(id),
        [kind, host, "tcp", port] => is_host(kind, host) && is_port(port),
        [kind, host, "tcp", port, "p2p", id] => is_host(kind, host) && is_port(port) && is_id(id),
        _ => false,
    }
}

fn is_host(kind: &str, host: &str) -> bool {
    match kind {
        "ip4" => host.parse().is_ok_and(|ip: Ipv4Addr| !ip.is_unspecified()),
        "ip6" => host.parse().is_ok_and(|ip: Ipv6Addr| !ip.is_unspecified()),
        "dns" | "dns4" | "dns6" => is_name(host),
        _ => false,
    }
}

/// 253 letters at most (RFC 1035 section 2.3.4, without the last dot).
fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (1..=253).contains(&name.len()) && name.chars().all(letter)
}

fn is_port(port: &str) -> bool {
    port.parse().is_ok_and(|port: u16| port != 0)
}

/// Base58 of a hash or key (`Qm...`, `12D3...`), or a CID in base32 or base36 (`b...`, `k...`).
fn is_id(id: &str) -> bool {
    (40..=70).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    #[test]
    fn what_a_relay_prints_is_taken() {
        for good in [
            "/ip4/127.0.0.1/tcp/4001".to_owned(),
            format!(" /ip6/2001:db8::1/tcp/4001/p2p/{ID}\n"),
            format!("/dns4/relay.example.org/tcp/443/p2p/{ID}"),
            "/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN"
                .to_owned(),
        ] {
            let read: Bootstrap = good.parse().expect(&good);
            assert_eq!(String::from(read), good.trim());
        }
    }

    #[test]
    fn what_cannot_be_dialled_is_named() {
        for bad in [
            "",
            "127.0.0.1:4001",
            "ip4/127.0.0.1/tcp/4001",
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/udp/4001/quic-v1",
            "/ip4/127.0.0.1/tcp/0",
            "/ip4/127.0.0.1/tcp/70000",
            "/ip4/0.0.0.0/tcp/4001",
            "/ip4/300.0.0.1/tcp/4001",
            "/ip4/127.0.0.1/tcp/4001/",
            "/ip4/127.0.0.1/tcp/4001/p2p/",
            "/ip4/127.0.0.1/tcp/4001/p2p/short",
            "/dns4/two words/tcp/4001",
        ] {
            let error = bad.parse::<Bootstrap>().expect_err(bad).to_string();
            assert!(
                error.starts_with(&format!("`{bad}` is no address")),
                "{error}"
            );
            assert!(error.contains("/tcp/PORT"), "{error}");
        }
    }
}
