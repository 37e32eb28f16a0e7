//! Routers of homes and providers: translation of addresses and firewalls, in the terms of RFC 4787.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// What of the far end a mapping or a filter depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Nothing,
    Address,
    AddressPort,
}

/// How outside ports are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// The inside port, or the next one that is free.
    Preserving,
    Random,
    /// Random ones of a block of so many.
    Block(u16),
    /// Each one higher than the last.
    Sequential,
}

/// What kind of router it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub mapping: By,
    pub filtering: By,
    pub ports: Ports,
    /// With false addresses stay as they are, as always with IPv6: only the filter works.
    pub translates: bool,
    pub timeout: Duration,
    /// Packets that come in prolong a mapping too.
    pub inbound_refreshes: bool,
    /// Two hosts inside reach each other by their outside addresses.
    pub hairpins: bool,
    pub blocks_udp: bool,
}

impl Rules {
    pub const FULL_CONE: Rules = Rules {
        mapping: By::Nothing,
        filtering: By::Nothing,
        ports: Ports::Preserving,
        translates: true,
        timeout: Duration::from_secs(120),
        inbound_refreshes: false,
        hairpins: false,
        blocks_udp: false,
    };
    pub const ADDRESS_RESTRICTED: Rules = Rules {
        filtering: By::Address,
        ..Rules::FULL_CONE
    };
    pub const PORT_RESTRICTED: Rules = Rules {
        filtering: By::AddressPort,
        ..Rules::FULL_CONE
    };
    /// No translation, but nobody comes in who was not written to.
    pub const FIREWALL: Rules = Rules {
        translates: false,
        ..Rules::PORT_RESTRICTED
    };
    pub const SYMMETRIC: Rules = Rules {
        mapping: By::AddressPort,
        ports: Ports::Random,
        ..Rules::PORT_RESTRICTED
    };
    pub const SEQUENTIAL: Rules = Rules {
        ports: Ports::Sequential,
        ..Rules::SYMMETRIC
    };
    pub const ADDRESS_DEPENDENT: Rules = Rules {
        mapping: By::Address,
        filtering: By::Address,
        ..Rules::SYMMETRIC
    };
    /// What a provider puts before its customers' routers.
    pub const PROVIDER: Rules = Rules {
        ports: Ports::Random,
        ..Rules::PORT_RESTRICTED
    };
    pub const NO_UDP: Rules = Rules {
        blocks_udp: true,
        ..Rules::PORT_RESTRICTED
    };
}

/// One router: its rules and what it remembers.
pub struct Nat {
    pub rules: Rules,
    /// What its packets come from.
    pub outside: Ipv4Addr,
    /// By the address outside.
    mappings: BTreeMap<SocketAddr, Mapping>,
    by_inside: BTreeMap<Key, SocketAddr>,
    /// Ports that it forwards because somebody inside has asked for it (UPnP IGD, PCP).
    forwards: BTreeMap<u16, SocketAddr>,
    next_port: u16,
    /// Where its block of ports begins.
    block: u16,
    rng: ChaCha20Rng,
}

/// What a mapping is for: an address inside, and as much of the far end's as it depends on.
type Key = (SocketAddr, Option<IpAddr>, u16);

struct Mapping {
    key: Key,
    until: Duration,
    /// Who may come in, and until when: as much of the address as the filter looks at.
    allowed: BTreeMap<(Option<IpAddr>, u16), Duration>,
}

impl Nat {
    pub fn new(rules: Rules, outside: Ipv4Addr, seed: u64) -> Nat {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        Nat {
            rules,
            outside,
            mappings: BTreeMap::new(),
            by_inside: BTreeMap::new(),
            forwards: BTreeMap::new(),
            next_port: any_port(&mut rng),
            block: LOWEST + (any_port(&mut rng) - LOWEST) / 2,
            rng,
        }
    }

    /// A packet goes out: where it seems to come from, or `None` if it is dropped.
    pub fn outbound(
        &mut self,
        now: Duration,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<SocketAddr> {
        if self.rules.blocks_udp {
            return None;
        }
        let key = part(self.mapping(from.ip()), to);
        let key = (from, key.0, key.1);
        let outside = match self.live(now, &key) {
            Some(outside) => outside,
            None => self.open(now, key)?,
        };
        let allowed = part(self.rules.filtering, to);
        let until = now + self.rules.timeout;
        let mapping = self.mappings.get_mut(&outside)?;
        mapping.until = until;
        mapping.allowed.insert(allowed, until);
        Some(outside)
    }

    /// A packet comes to an address outside: to whom it goes, or `None` if it is dropped.
    pub fn inbound(
        &mut self,
        now: Duration,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<SocketAddr> {
        if self.rules.blocks_udp {
            return None;
        }
        if let Some(inside) = self.forwarded(to) {
            return self.outbound(now, inside, from).map(|_| inside);
        }
        let Rules {
            timeout, filtering, ..
        } = self.rules;
        let mapping = self.mappings.get_mut(&to).filter(|m| now < m.until)?;
        let part = part(filtering, from);
        let until = mapping.allowed.get_mut(&part).filter(|until| now < **until);
        if filtering != By::Nothing && until.is_none() {
            return None;
        }
        if self.rules.inbound_refreshes {
            mapping.until = now + timeout;
            mapping.allowed.insert(part, now + timeout);
        }
        Some(mapping.key.0)
    }

    /// Forwards a port to an address inside until the next reboot; the address outside.
    pub fn forward(&mut self, inside: SocketAddr) -> SocketAddr {
        self.forwards.insert(inside.port(), inside);
        SocketAddr::from((self.outside, inside.port()))
    }

    /// Forgets everything, and comes back perhaps with another address.
    pub fn reboot(&mut self, outside: Option<Ipv4Addr>) {
        self.outside = outside.unwrap_or(self.outside);
        self.mappings.clear();
        self.by_inside.clear();
        self.forwards.clear();
        self.next_port = any_port(&mut self.rng);
    }

    /// Mappings that have not timed out.
    pub fn open_ports(&self, now: Duration) -> usize {
        self.mappings.values().filter(|m| now < m.until).count()
    }

    /// Whether this router puts its own address before that of a host inside.
    pub fn translates(&self, inside: IpAddr) -> bool {
        self.rules.translates && inside.is_ipv4()
    }

    fn mapping(&self, inside: IpAddr) -> By {
        if self.translates(inside) {
            self.rules.mapping
        } else {
            By::Nothing
        }
    }

    fn forwarded(&self, to: SocketAddr) -> Option<SocketAddr> {
        let is_here = to.ip() == IpAddr::V4(self.outside);
        self.forwards.get(&to.port()).copied().filter(|_| is_here)
    }

    fn live(&self, now: Duration, key: &Key) -> Option<SocketAddr> {
        let outside = self.by_inside.get(key)?;
        let mapping = self.mappings.get(outside)?;
        (now < mapping.until && mapping.key == *key).then_some(*outside)
    }

    fn open(&mut self, now: Duration, key: Key) -> Option<SocketAddr> {
        let inside = key.0;
        let outside = if self.translates(inside.ip()) {
            let port = self.free_port(now, inside)?;
            SocketAddr::from((self.outside, port))
        } else {
            inside
        };
        let mapping = Mapping {
            key,
            until: Duration::ZERO,
            allowed: BTreeMap::new(),
        };
        self.mappings.insert(outside, mapping);
        self.by_inside.insert(key, outside);
        Some(outside)
    }

    fn block_port(&mut self, size: u16) -> u16 {
        self.block + (self.rng.next_u32() % u32::from(size)) as u16
    }

    fn free_port(&mut self, now: Duration, inside: SocketAddr) -> Option<u16> {
        if self.forwards.get(&inside.port()) == Some(&inside) {
            return Some(inside.port());
        }
        let mut port = match self.rules.ports {
            Ports::Preserving => inside.port(),
            Ports::Random => any_port(&mut self.rng),
            Ports::Block(size) => self.block_port(size),
            Ports::Sequential => self.next_port,
        };
        for _ in LOWEST..=u16::MAX {
            let outside = SocketAddr::from((self.outside, port));
            let is_taken = self.mappings.get(&outside).is_some_and(|m| now < m.until);
            if !is_taken && !self.forwards.contains_key(&port) {
                self.next_port = after(port);
                return Some(port);
            }
            port = match self.rules.ports {
                Ports::Random => any_port(&mut self.rng),
                Ports::Block(size) => self.block_port(size),
                Ports::Preserving | Ports::Sequential => after(port),
            };
        }
        None
    }
}

fn part(by: By, far: SocketAddr) -> (Option<IpAddr>, u16) {
    match by {
        By::Nothing => (None, 0),
        By::Address => (Some(far.ip()), 0),
        By::AddressPort => (Some(far.ip()), far.port()),
    }
}

fn after(port: u16) -> u16 {
    port.checked_add(1).unwrap_or(LOWEST)
}

fn any_port(rng: &mut ChaCha20Rng) -> u16 {
    LOWEST + (rng.next_u32() % (u32::from(u16::MAX - LOWEST) + 1)) as u16
}

const LOWEST: u16 = 1024;
