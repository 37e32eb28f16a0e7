//! Which addresses mean the same host everywhere on the Internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the whole Internet could mean the same host by it (IANA's special-purpose address
/// registries, RFC 6890).
pub fn is_global(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

/// Whether somebody at that address can be sent anything by one who serves the Internet, and with
/// `loopback` this computer too, with `private` also a house or a company.
pub fn is_in_reach(ip: IpAddr, loopback: bool, private: bool) -> bool {
    match ip.to_canonical() {
        ip if is_nowhere(ip) => false,
        ip if ip.is_loopback() => loopback,
        ip => private || is_global(ip),
    }
}

/// Whether no single host anywhere has that address.
pub fn is_nowhere(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.octets()[0] >= 224,
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmark = a == 198 && (18..20).contains(&b);
    let assignments = (a, b, c) == (192, 0, 0);
    let special =
        ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_documentation();
    !(special || shared || benchmark || assignments || a == 0 || a >= 224)
}

/// 2000::/3 is all that is given out (IANA), less what is set aside in it.
fn is_global_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let documentation = a == 0x2001 && b == 0xdb8;
    let special = a == 0x2001 && b < 0x200 || a == 0x2002;
    a & 0xE000 == 0x2000 && !documentation && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_nowhere_on_the_internet() {
        let global = |text: &str| is_global(text.parse().expect(text));
        for open in ["9.9.9.9", "203.1.2.3", "2620:fe::9", "::ffff:9.9.9.9"] {
            assert!(global(open), "{open}");
        }
        for aside in [
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "192.0.0.9",
            "198.18.0.1",
            "203.0.113.5",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::ffff:10.0.0.1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!global(aside), "{aside}");
        }
    }
}
