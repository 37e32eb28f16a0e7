//! What was found, as `--json` prints it.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use twocan::config::Network;

/// Everything that was asked and answered. Fields may be added, never renamed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Findings {
    pub network: Network,
    /// Packets to the world have a way.
    pub connected: bool,
    /// Addresses of this computer.
    pub local: Vec<IpAddr>,
    /// Addresses from which it is seen to send.
    pub outside: Vec<SocketAddr>,
    pub nat: Nat,
    pub udp: Udp,
    pub ipv6: Ipv6,
    pub port_mapping: Mapping,
    pub directory: Directory,
    /// Multiaddrs of the relays through which this computer could be called.
    pub relays: Vec<String>,
    /// Ports of reflectors that were asked.
    pub reflectors: Vec<SocketAddr>,
    /// How calls are carried from here.
    pub calls: Calls,
}

/// What stands between this computer and the world, by IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// Nobody could be asked.
    Unknown,
    /// The outside address is this computer's own.
    None,
    /// Keeps one outside port for all destinations.
    EndpointIndependent,
    /// Gives each destination a port of its own, in order.
    Sequential,
    /// Gives each destination a port of its own, by chance.
    Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Udp {
    /// There was nobody to ask.
    Unknown,
    Works,
    /// Ports are known, and none of them answers.
    Blocked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ipv6 {
    /// This computer has no address of it that means anything outside.
    None,
    /// It has, but nobody could be asked by it.
    Untried,
    Works,
    /// Nobody answers by it.
    Silent,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Mapping {
    /// Switched off in the settings.
    Off,
    /// No gateway stands before this computer.
    Needless,
    Found {
        by: String,
        outside: SocketAddr,
    },
    Refused {
        why: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directory {
    /// Switched off in the settings.
    Off,
    /// Nobody of the network answers.
    Silent,
    /// It can be asked, but no relay takes us.
    Asked,
    /// And contacts can call here.
    Reachable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Calls {
    /// No call can be made.
    None,
    /// Only with addresses from invites, as far as those are reached.
    Invites,
    /// Through a relay, as a byte stream.
    Circuit,
    /// Through a reflector, and directly where the other end's network helps.
    Mostly,
    /// Directly with everybody whose network lets UDP pass and keeps to some order.
    Direct,
    /// Directly with everybody whose network lets UDP pass.
    Always,
}

impl Findings {
    /// What keeps this phone from calls, if something does.
    pub fn trouble(&self) -> Option<&'static str> {
        match (self.calls, self.connected, self.directory) {
            (_, false, _) => Some("this computer is in no network"),
            (Calls::None, ..) => Some(
                "nobody of the network answers: name a node with --bootstrap, or see whether a \
                 firewall stands before TCP",
            ),
            (_, _, Directory::Silent) => Some("nobody of the network answers"),
            (_, _, Directory::Asked) => {
                Some("no relay has taken this phone, so nobody can ring here")
            }
            _ => None,
        }
    }
}
