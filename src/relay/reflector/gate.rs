//! To which addresses a reflector may send.

use std::net::{IpAddr, SocketAddr};

use crate::net::is_in_reach;

/// Says where a leg may be. Nobody can make a reflector reach into its own house, or itself.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// Addresses of this computer itself may, for a network that lives on one.
    pub loopback: bool,
    /// Addresses that only mean something in one house or company may.
    pub private: bool,
    /// Its own ports, and those of others that forward too. Never.
    pub own: Vec<SocketAddr>,
}

impl Gate {
    pub fn passes(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let own = |own: &SocketAddr| {
            own.port() == address.port() && (own.ip().is_unspecified() || own.ip() == ip)
        };
        let reaches = is_in_reach(ip, self.loopback, self.private);
        address.port() != 0 && reaches && !(self.is_here(ip) && self.own.iter().any(own))
    }

    /// An unspecified address of our own stands for those of this computer only.
    fn is_here(&self, ip: IpAddr) -> bool {
        let named = self.own.iter().any(|own| own.ip() == ip);
        named || ip.is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(gate: &Gate, text: &str) -> bool {
        gate.passes(text.parse().expect(text))
    }

    #[test]
    fn on_the_internet_only_the_internet_is_reached() {
        let gate = Gate::default();
        for open in ["9.9.9.9:4000", "[2620:fe::9]:1"] {
            assert!(passes(&gate, open), "{open}");
        }
        for shut in [
            "0.0.0.0:1",
            "0.1.2.3:1",
            "10.0.0.1:1",
            "127.0.0.1:1",
            "169.254.169.254:80",
            "192.168.1.1:1",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "9.9.9.9:0",
            "[::]:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
            "[::ffff:10.0.0.1]:1",
            "[::ffff:0.0.0.0]:1",
            "[fe80::1]:1",
            "[fd00::1]:1",
            "[ff02::1]:1",
        ] {
            assert!(!passes(&gate, shut), "{shut}");
        }
    }

    #[test]
    fn in_a_house_the_house_is_reached_but_never_itself() {
        let own = ["127.0.0.1:4190", "10.0.0.1:4190", "0.0.0.0:4191"];
        let gate = Gate {
            loopback: true,
            private: true,
            own: own.map(|own| own.parse().expect(own)).to_vec(),
        };
        for open in ["127.0.0.1:5000", "10.0.0.1:5000", "10.0.0.2:4190"] {
            assert!(passes(&gate, open), "{open}");
        }
        for shut in [
            "127.0.0.1:4190",
            "[::ffff:127.0.0.1]:4190",
            "10.0.0.1:4190",
            "10.0.0.1:4191",
            "127.0.0.1:4191",
            "224.0.0.1:1",
        ] {
            assert!(!passes(&gate, shut), "{shut}");
        }
    }
}
