//! The findings in words for a person.

use std::fmt::Display;

use super::findings::{Calls, Directory, Findings, Ipv6, Mapping, Nat, Udp};

/// The report, line by line.
pub fn report(found: &Findings) -> Vec<String> {
    let mut lines = Vec::new();
    let mut fact = |name: &str, words: String| lines.push(format!("{name:<13}{words}"));
    if !found.connected {
        fact("network", "this computer is in none".to_owned());
    }
    fact("local", listed(&found.local, "none"));
    fact("outside", listed(&found.outside, "not known"));
    fact("NAT", nat(found).to_owned());
    fact("UDP", udp(found.udp).to_owned());
    fact("IPv6", ipv6(found.ipv6).to_owned());
    fact("forwarding", mapping(&found.port_mapping));
    fact("directory", directory(found.directory).to_owned());
    fact("relays", listed(&found.relays, "none"));
    fact("reflectors", listed(&found.reflectors, "none"));
    lines.push(String::new());
    lines.push(format!("Calls: {}", calls(found.calls)));
    lines.push(String::new());
    lines.push("Who sees what of this computer:".to_owned());
    lines.extend(seen(found));
    lines
}

fn listed(items: &[impl Display], none: &str) -> String {
    if items.is_empty() {
        return none.to_owned();
    }
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

fn nat(found: &Findings) -> &'static str {
    match found.nat {
        Nat::Unknown => "not known: no reflector has answered by IPv4",
        Nat::None => "none: this computer has its own address in the Internet",
        Nat::EndpointIndependent => "keeps one outside port for everybody: calls get through it",
        Nat::Sequential => {
            "gives each destination a port of its own, in order: the next ones can be foretold"
        }
        Nat::Random => {
            "gives each destination a port of its own, by chance: calls get through by many tries, \
             if the other end's does not do so too"
        }
    }
}

fn udp(udp: Udp) -> &'static str {
    match udp {
        Udp::Unknown => "not known: there was no reflector to ask",
        Udp::Works => "works",
        Udp::Blocked => "blocked: no reflector answers by it",
    }
}

fn ipv6(ipv6: Ipv6) -> &'static str {
    match ipv6 {
        Ipv6::None => "none",
        Ipv6::Untried => "there is an address, but no reflector to ask by it",
        Ipv6::Works => "works",
        Ipv6::Silent => "there is an address, but no reflector answers by it",
    }
}

fn mapping(mapping: &Mapping) -> String {
    match mapping {
        Mapping::Off => "switched off (port_mapping)".to_owned(),
        Mapping::Needless => "needless: no gateway stands before this computer".to_owned(),
        Mapping::Found { by, outside } => format!("by {by}: {outside} leads here"),
        Mapping::Refused { why } => format!("none: {why}"),
    }
}

fn directory(directory: Directory) -> &'static str {
    match directory {
        Directory::Off => "switched off (network = \"none\")",
        Directory::Silent => "nobody of the network answers",
        Directory::Asked => "answers, but no relay has taken this phone: nobody can ring here",
        Directory::Reachable => "answers, and contacts can ring here",
    }
}

fn calls(calls: Calls) -> &'static str {
    match calls {
        Calls::None => "none can be made from here.",
        Calls::Invites => "only by the addresses in invites, as far as those can be reached.",
        Calls::Circuit => {
            "no UDP here: they run by a relay over TCP, with everybody, some tenths of a second later."
        }
        Calls::Mostly => {
            "direct with most; by a reflector with those whose NAT also picks ports by chance."
        }
        Calls::Direct => {
            "direct with nearly everybody; by a reflector or a relay with the few others."
        }
        Calls::Always => "direct with everybody whose network lets UDP pass.",
    }
}

fn seen(found: &Findings) -> Vec<String> {
    let outside = match found.outside.first() {
        Some(outside) => format!("its outside address ({})", outside.ip()),
        None => "its outside address".to_owned(),
    };
    vec![
        format!("  a verified contact   {outside} and its local ones, during a call or a text"),
        "  another contact      the same, once a call is answered; before, nothing".to_owned(),
        "  relay-only contacts  nothing: only the address of a relay or reflector".to_owned(),
        "  strangers            nothing: no answer to any packet".to_owned(),
        format!(
            "  relays, reflectors   {outside}, and when and how much is carried; not who or what"
        ),
    ]
}

#[cfg(test)]
mod tests {
    use twocan::config::Network;

    use super::*;

    fn nowhere() -> Findings {
        Findings {
            network: Network::Public,
            connected: false,
            local: Vec::new(),
            outside: Vec::new(),
            nat: Nat::Unknown,
            udp: Udp::Unknown,
            ipv6: Ipv6::None,
            port_mapping: Mapping::Needless,
            directory: Directory::Silent,
            relays: Vec::new(),
            reflectors: Vec::new(),
            calls: Calls::None,
        }
    }

    #[test]
    fn without_a_network_nothing_is_promised() {
        let text = report(&nowhere()).join("\n");
        assert!(text.contains("this computer is in none"), "{text}");
        assert!(text.contains("Calls: none can be made"), "{text}");
        assert!(!text.contains("works"), "{text}");
        assert_eq!(nowhere().trouble(), Some("this computer is in no network"));
    }

    #[test]
    fn a_network_without_udp_is_said_to_be_one() {
        let found = Findings {
            connected: true,
            udp: Udp::Blocked,
            directory: Directory::Reachable,
            calls: Calls::Circuit,
            reflectors: vec!["198.51.100.1:7".parse().expect("an address")],
            ..nowhere()
        };
        let text = report(&found).join("\n");
        assert!(text.contains("no UDP here"), "{text}");
        assert!(text.contains("198.51.100.1:7"), "{text}");
        assert_eq!(found.trouble(), None, "calls work");
    }
}
