//! What stands between this phone and the Internet.

use serde::{Deserialize, Serialize};

/// How the NAT (if there is one) gives out ports for UDP over IPv4, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatKind {
    /// Nobody was asked, or too few have answered.
    #[default]
    Unknown,
    /// No NAT: this computer has the address under which others see it.
    Open,
    /// One port for all destinations (endpoint-independent mapping, RFC 4787).
    Steady,
    /// Another port for each destination, in steps that can be foretold.
    Sequential,
    /// Another port for each destination, at random.
    Random,
    /// No answer comes back: UDP does not get out.
    Blocked,
}

impl NatKind {
    /// In words for a person.
    pub fn words(self) -> &'static str {
        match self {
            NatKind::Unknown => "not known yet",
            NatKind::Open => "no NAT: a public address",
            NatKind::Steady => "a NAT that keeps one port: calls go straight",
            NatKind::Sequential => {
                "a NAT with a port for each destination, one after the other: most calls go straight"
            }
            NatKind::Random => {
                "a NAT with a random port for each destination: some calls need a reflector"
            }
            NatKind::Blocked => "UDP does not get out: calls go over TCP",
        }
    }
}
