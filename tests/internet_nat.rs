//! The simulated internet behaves as its routers' rules say.

mod common;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::homes::{Home, Homes};
use common::internet::{Arrival, Cable, Internet, NodeId, Packet};
use common::nat::{By, Nat, Ports, Rules};
use twocan::phone::reflect;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
const PORT: u16 = common::homes::PORT;

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect(text)
}

/// One home, and two servers that look at it from two addresses each.
struct Lab {
    net: Internet,
    now: Duration,
    inside: NodeId,
    router: NodeId,
    server: NodeId,
    stranger: NodeId,
}

const SERVER: &str = "9.0.0.1:53";
const OTHER_PORT: &str = "9.0.0.1:54";
const STRANGER: &str = "9.0.0.2:53";

impl Lab {
    fn new(rules: Rules) -> Lab {
        let mut net = Internet::new(1);
        let server = net.host(
            &[ip("9.0.0.1"), ip("2620:9::1")],
            None,
            Cable::of(5 * MILLI),
        );
        let stranger = net.host(
            &[ip("9.0.0.2"), ip("2620:9::2")],
            None,
            Cable::of(5 * MILLI),
        );
        let nat = Nat::new(rules, [20, 0, 0, 1].into(), 7);
        let router = net.router(nat, None, Cable::of(8 * MILLI));
        let own = match rules.translates {
            true => "192.168.1.2",
            false => "21.0.0.2",
        };
        let addresses = [ip(own), ip("2620:a::2")];
        let inside = net.host(&addresses, Some(router), Cable::of(MILLI));
        Lab {
            net,
            now: SECOND,
            inside,
            router,
            server,
            stranger,
        }
    }

    /// What comes to that host within a tenth of a second.
    fn sent(&mut self, from: NodeId, port: u16, to: SocketAddr, at: NodeId) -> Option<Packet> {
        self.net.step(self.now);
        self.net.send(from, port, to, b"hello");
        self.now += 100 * MILLI;
        let mut found = None;
        while let Some(arrival) = self.net.step(self.now) {
            assert_eq!(arrival.host, at, "{:?}", arrival.packet);
            found = Some(arrival.packet);
        }
        found
    }

    /// As whom the host inside is seen at that address.
    fn seen(&mut self, to: &str) -> SocketAddr {
        let to = at(to);
        let host = if self.net.addresses(self.server).contains(&to.ip()) {
            self.server
        } else {
            self.stranger
        };
        self.sent(self.inside, PORT, to, host).expect("out").from
    }

    /// Whether a packet from there comes in at that address.
    fn gets_in(&mut self, from: &str, to: SocketAddr) -> bool {
        let from = at(from);
        let host = if self.net.addresses(self.server).contains(&from.ip()) {
            self.server
        } else {
            self.stranger
        };
        let found = self.sent(host, from.port(), to, self.inside);
        found.is_some_and(|packet| packet.to.port() == PORT)
    }
}

#[test]
fn mappings_depend_on_what_the_rules_say() {
    for (mapping, same_address, same_all) in [
        (By::Nothing, true, true),
        (By::Address, true, false),
        (By::AddressPort, false, false),
    ] {
        for ports in [Ports::Random, Ports::Sequential] {
            let mut lab = Lab::new(Rules {
                mapping,
                ports,
                ..Rules::PORT_RESTRICTED
            });
            let first = lab.seen(SERVER);
            assert_eq!(lab.seen(SERVER), first);
            assert_eq!(lab.seen(OTHER_PORT) == first, same_address, "{mapping:?}");
            assert_eq!(lab.seen(STRANGER) == first, same_all, "{mapping:?}");
        }
    }
}

#[test]
fn filters_let_in_whom_the_rules_say() {
    for (filtering, other_port, stranger) in [
        (By::Nothing, true, true),
        (By::Address, true, false),
        (By::AddressPort, false, false),
    ] {
        let mut lab = Lab::new(Rules {
            filtering,
            ..Rules::FULL_CONE
        });
        let unknown = at("20.0.0.1:4000");
        assert!(!lab.gets_in(SERVER, unknown), "before anything went out");
        let outside = lab.seen(SERVER);
        assert_eq!(outside, unknown, "preserved");
        assert!(lab.gets_in(SERVER, outside));
        assert_eq!(lab.gets_in(OTHER_PORT, outside), other_port);
        assert_eq!(lab.gets_in(STRANGER, outside), stranger);
    }
}

#[test]
fn ports_are_kept_random_or_one_after_the_other() {
    let each = |ports| {
        let mut lab = Lab::new(Rules {
            ports,
            ..Rules::SYMMETRIC
        });
        [SERVER, OTHER_PORT, STRANGER].map(|to| i32::from(lab.seen(to).port()))
    };
    assert_eq!(each(Ports::Preserving), [4000, 4001, 4002]);
    let [a, b, c] = each(Ports::Sequential);
    assert_eq!([b - a, c - b], [1, 1]);
    let [a, b, c] = each(Ports::Random);
    assert!((b - a).abs() > 20 && (c - b).abs() > 20);
}

#[test]
fn a_mapping_lives_from_the_last_packet_out_and_from_the_last_in_only_where_it_says_so() {
    for (inbound_refreshes, lives) in [(false, false), (true, true)] {
        let mut lab = Lab::new(Rules {
            timeout: 30 * SECOND,
            inbound_refreshes,
            ..Rules::PORT_RESTRICTED
        });
        let outside = lab.seen(SERVER);
        lab.now += 20 * SECOND;
        assert!(lab.gets_in(SERVER, outside));
        lab.now += 20 * SECOND;
        assert_eq!(lab.gets_in(SERVER, outside), lives);
        assert_eq!(lab.seen(SERVER), outside);
        lab.now += 29 * SECOND;
        assert!(lab.gets_in(SERVER, outside));
        lab.now += 35 * SECOND;
        assert!(!lab.gets_in(SERVER, outside));
    }
}

/// Each of those who may come in was written to within the time-out.
#[test]
fn a_mapping_kept_alive_by_one_does_not_let_in_another_for_ever() {
    let mut lab = Lab::new(Rules {
        timeout: 30 * SECOND,
        ..Rules::PORT_RESTRICTED
    });
    let outside = lab.seen(STRANGER);
    for _ in 0..4 {
        lab.now += 10 * SECOND;
        assert_eq!(lab.seen(SERVER), outside);
    }
    assert!(lab.gets_in(SERVER, outside));
    assert!(!lab.gets_in(STRANGER, outside));
}

#[test]
fn symmetric_ports_get_a_new_number_after_the_time_out() {
    let mut lab = Lab::new(Rules::SYMMETRIC);
    let outside = lab.seen(SERVER);
    lab.now += 119 * SECOND;
    assert_eq!(lab.seen(SERVER), outside);
    lab.now += 121 * SECOND;
    assert_ne!(lab.seen(SERVER), outside);
    let router = lab.router;
    assert_eq!(lab.net.nat(router).open_ports(lab.now), 1);
}

#[test]
fn a_reboot_forgets_and_may_change_the_address() {
    let mut lab = Lab::new(Rules::FULL_CONE);
    let outside = lab.seen(SERVER);
    lab.net.reboot(lab.router, None);
    assert!(!lab.gets_in(SERVER, outside));
    assert_eq!(lab.seen(SERVER), outside, "the port is preserved");
    lab.net.reboot(lab.router, Some([20, 0, 0, 77].into()));
    assert!(!lab.gets_in(SERVER, outside));
    assert_eq!(lab.seen(SERVER), at("20.0.0.77:4000"));
}

#[test]
fn blocked_udp_goes_nowhere() {
    let mut lab = Lab::new(Rules::NO_UDP);
    let (inside, server) = (lab.inside, lab.server);
    assert!(lab.sent(inside, PORT, at(SERVER), server).is_none());
    assert!(!lab.gets_in(SERVER, at("20.0.0.1:4000")));
}

#[test]
fn a_firewall_translates_nothing_and_lets_in_only_answers() {
    let mut lab = Lab::new(Rules::FIREWALL);
    let own = at("21.0.0.2:4000");
    assert!(!lab.gets_in(SERVER, own));
    assert_eq!(lab.seen(SERVER), own);
    assert!(lab.gets_in(SERVER, own));
    assert!(!lab.gets_in(OTHER_PORT, own));
}

#[test]
fn ipv6_is_not_translated_but_filtered() {
    for rules in [Rules::SYMMETRIC, Rules::PORT_RESTRICTED, Rules::FIREWALL] {
        let mut lab = Lab::new(rules);
        let own = at("[2620:a::2]:4000");
        assert!(!lab.gets_in("[2620:9::1]:53", own));
        assert_eq!(lab.seen("[2620:9::1]:53"), own);
        assert!(lab.gets_in("[2620:9::1]:53", own));
        assert!(!lab.gets_in("[2620:9::2]:53", own));
    }
}

#[test]
fn a_forwarded_port_lets_everybody_in_until_the_reboot() {
    let mut lab = Lab::new(Rules::SYMMETRIC);
    let (inside, router) = (lab.inside, lab.router);
    let outside = lab.net.nat(router).forward(at("192.168.1.2:4000"));
    assert!(lab.gets_in(STRANGER, outside));
    assert_eq!(lab.seen(STRANGER), outside, "and goes out by it");
    assert_eq!(lab.seen(SERVER), outside);
    assert!(
        lab.sent(inside, 4001, at(SERVER), lab.server)
            .expect("out")
            .from
            != outside
    );
    lab.net.reboot(router, None);
    assert!(!lab.gets_in(STRANGER, outside));
}

/// Two hosts with the same port behind one router.
#[test]
fn neighbours_get_ports_of_their_own_and_meet_outside_only_where_it_hairpins() {
    for hairpins in [false, true] {
        let mut lab = Lab::new(Rules {
            hairpins,
            ..Rules::PORT_RESTRICTED
        });
        let cable = Cable::of(MILLI);
        let other = lab.net.host(&[ip("192.168.1.3")], Some(lab.router), cable);
        let (inside, server) = (lab.inside, lab.server);
        let here = lab.seen(SERVER);
        let there = lab.sent(other, PORT, at(SERVER), server).expect("out").from;
        assert_ne!(here, there);
        assert!(lab.sent(inside, PORT, there, other).is_none(), "filtered");
        let came = lab.sent(other, PORT, here, inside);
        assert_eq!(came.map(|packet| packet.from), hairpins.then_some(there));
        let near = lab.sent(inside, PORT, at("192.168.1.3:4000"), other);
        assert_eq!(near.expect("on the LAN").from, at("192.168.1.2:4000"));
    }
}

#[test]
fn a_home_behind_a_provider_is_translated_twice() {
    let mut lab = Lab::new(Rules::PORT_RESTRICTED);
    let nat = Nat::new(Rules::PROVIDER, [20, 0, 1, 1].into(), 3);
    let isp = lab.net.router(nat, None, Cable::of(4 * MILLI));
    let nat = Nat::new(Rules::PORT_RESTRICTED, [100, 64, 0, 2].into(), 4);
    let home = lab.net.router(nat, Some(isp), Cable::of(4 * MILLI));
    lab.net
        .move_host(lab.inside, Some(home), &[ip("192.168.1.9")]);
    let outside = lab.seen(SERVER);
    assert_eq!(outside.ip(), ip("20.0.1.1"));
    assert_eq!(lab.net.outside(lab.inside), outside.ip());
    assert!(lab.gets_in(SERVER, outside));
    assert!(!lab.gets_in(STRANGER, outside));
}

#[test]
fn a_cable_delays_loses_queues_and_can_be_pulled() {
    let mut lab = Lab::new(Rules::FULL_CONE);
    let (inside, server) = (lab.inside, lab.server);
    let mut cable = Cable::of(20 * MILLI);
    cable.jitter = 10 * MILLI;
    cable.loss = 0.25;
    lab.net.lay(inside, cable);
    let mut came = 0;
    for _ in 0..1000 {
        came += usize::from(lab.sent(inside, PORT, at(SERVER), server).is_some());
    }
    assert!((700..800).contains(&came), "{came}");
    // 72 bytes on the line, 1000 a second.
    cable = Cable::of(20 * MILLI);
    (cable.rate, cable.queue) = (1000, 200 * MILLI);
    lab.net.lay(inside, cable);
    lab.net.step(lab.now);
    for _ in 0..10 {
        lab.net.send(inside, PORT, at(SERVER), &[0; 44]);
    }
    let mut moments = Vec::new();
    while lab.net.step(lab.now + SECOND).is_some() {
        moments.push((lab.net.now - lab.now).as_millis());
    }
    assert_eq!(moments, [105, 177, 249], "8 + 5 + 20 ms and 72 each");
    lab.now += SECOND;
    lab.net.pull(inside, true);
    assert!(lab.sent(inside, PORT, at(SERVER), server).is_none());
    lab.net.pull(inside, false);
    assert!(lab.sent(inside, PORT, at(SERVER), server).is_some());
}

#[test]
fn severed_addresses_reach_everybody_but_each_other() {
    let mut lab = Lab::new(Rules::FULL_CONE);
    let (inside, server) = (lab.inside, lab.server);
    lab.net.sever(ip("20.0.0.1"), ip("9.0.0.1"));
    assert!(lab.sent(inside, PORT, at(SERVER), server).is_none());
    assert_eq!(lab.seen(STRANGER), at("20.0.0.1:4000"));
    assert!(!lab.gets_in(SERVER, at("20.0.0.1:4000")));
    lab.net.mend();
    assert!(lab.gets_in(SERVER, at("20.0.0.1:4000")));
    let nowhere = at("20.0.0.99:1");
    assert!(lab.sent(inside, PORT, nowhere, server).is_none());
    assert_eq!(lab.net.nowhere.len(), 1);
}

/// Whether two homes reach each other once both have written to where the other is seen.
fn punches(a: Rules, b: Rules) -> bool {
    let mut lab = Lab::new(a);
    let nat = Nat::new(b, [20, 0, 0, 2].into(), 9);
    let router = lab.net.router(nat, None, Cable::of(8 * MILLI));
    let own = ip(if b.translates {
        "192.168.1.2"
    } else {
        "21.0.0.3"
    });
    let other = lab.net.host(&[own], Some(router), Cable::of(MILLI));
    let hosts = [lab.inside, other];
    let server = lab.server;
    let mut seen = hosts.map(|host| lab.sent(host, PORT, at(SERVER), server).expect("out").from);
    let mut heard = [false; 2];
    for _ in 0..4 {
        for (side, host) in hosts.into_iter().enumerate() {
            lab.net.step(lab.now);
            lab.net.send(host, PORT, seen[1 - side], b"hello");
        }
        lab.now += 100 * MILLI;
        while let Some(arrival) = lab.net.step(lab.now) {
            let side = usize::from(arrival.host == other);
            heard[side] = true;
            seen[1 - side] = arrival.packet.from;
        }
    }
    heard == [true, true]
}

#[test]
fn every_pair_of_kinds_punches_or_not_as_theory_has_it() {
    let kinds = [
        Rules::FIREWALL,
        Rules::FULL_CONE,
        Rules::ADDRESS_RESTRICTED,
        Rules::PORT_RESTRICTED,
        Rules::SYMMETRIC,
        Rules::SEQUENTIAL,
    ];
    let is_symmetric = |rules: Rules| rules.mapping == By::AddressPort;
    let is_picky = |rules: Rules| rules.filtering == By::AddressPort;
    for a in kinds {
        for b in kinds {
            let fails = is_symmetric(a) && is_picky(b) || is_symmetric(b) && is_picky(a);
            assert_eq!(punches(a, b), !fails, "{a:?}\n{b:?}");
        }
    }
}

/// Two homes that no punch would connect, each with the token of one leg of a room.
#[test]
fn a_reflector_carries_between_two_symmetric_homes() {
    let mut homes = Homes::new(1);
    let hosts = [0, 1].map(|_| homes.settle(Home::Symmetric));
    let now = SECOND;
    let room = homes.reflectors[0].make_room(now);
    let server = room.servers[0];
    let mut bound = [None; 2];
    for (leg, host) in hosts.into_iter().enumerate() {
        let token = &room.tokens[leg];
        let bind = reflect::bind(room.room, leg as u8, &[leg as u8; 16], token);
        homes.net.send(host, PORT, server, &bind);
        let answers = answers(&mut homes, now);
        let Some(reflect::Packet::Chal(chal)) = reflect::parse(&answers[0].packet.bytes) else {
            panic!("no challenge");
        };
        let nonce = [leg as u8; 16];
        let bind2 = reflect::bind2(room.room, leg as u8, &nonce, &chal.proof, token);
        homes.net.send(host, PORT, server, &bind2);
        let answers = self::answers(&mut homes, now);
        let Some(reflect::Packet::Bound(seen)) = reflect::parse(&answers[0].packet.bytes) else {
            panic!("not bound");
        };
        assert_eq!(seen.met, leg == 1);
        bound[leg] = Some(seen.seen);
    }
    assert_ne!(bound[0].map(|at| at.port()), Some(PORT), "translated");
    let relay = reflect::relay(room.room, 1, 0, &[0x10; 100]).expect("may be carried");
    homes.net.send(hosts[0], PORT, server, &relay);
    let came = answers(&mut homes, now);
    assert_eq!((came[0].host, came[0].packet.from), (hosts[1], server));
    assert_eq!(came[0].packet.bytes, relay[..]);
    homes.reflectors[0].is_dead = true;
    homes.net.send(hosts[0], PORT, server, &relay);
    assert!(answers(&mut homes, now).is_empty());
}

/// Serves the reflectors for a second; what comes to the other hosts.
fn answers(homes: &mut Homes, now: Duration) -> Vec<Arrival> {
    let mut came = Vec::new();
    let end = homes.net.now + SECOND;
    while let Some(arrival) = homes.net.step(end) {
        let Arrival { host, packet } = arrival.clone();
        let reflector = homes.reflectors.iter_mut().find(|r| r.host == host);
        let Some(reflector) = reflector else {
            came.push(arrival);
            continue;
        };
        let port = packet.to.port();
        for (to, bytes) in reflector.receive(now, packet.from, port, &packet.bytes) {
            homes.net.send(host, port, to, &bytes);
        }
    }
    came
}
