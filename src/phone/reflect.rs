//! The datagrams between a phone and a reflector, to the byte.
//!
//! A reflector forwards between the legs of a room. Whoever holds the token of a leg binds it to
//! his address by answering a challenge there; the reflector sends nowhere else, and no datagram
//! names an address to send to. All integers are little endian.
//!
//! ```text
//! BIND   64 B  21 | leg u8 | 0000 | room u64 | nonce 16 | mac 16 | zeros 20              to the reflector
//! CHAL   48 B  22 | leg u8 | 0000 | room u64 | proof 16 | zeros 20                       back
//! BIND2  64 B  23 | leg u8 | 0000 | room u64 | nonce 16 | proof 16 | mac 16 | zeros 4    to the reflector
//! BOUND  32 B  24 | leg u8 | flags u8 | 00 | room u64 | seen IP 16 | seen port u16 | 0000  back
//! RELAY 13+n   20 | to u8 | n u16 | room u64 | from u8 | inner n                         both ways
//! mac = HMAC-SHA256(token of the leg, all before it)[..16]
//! ```
//!
//! No answer is longer than what it answers, and none is answered by one of its own kind.
//! Parsing takes any bytes and never panics; whoever parses has to judge MACs and proofs.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hmac::Mac;

use super::keys::{keyed, truncated};
use super::types::{Datagram, MAX_DATAGRAM};

pub const BIND: usize = 64;
pub const CHAL: usize = 48;
pub const BIND2: usize = 64;
pub const BOUND: usize = 32;

/// Bytes of RELAY before what it carries.
pub const RELAY_HEADER: usize = 13;
/// Fewest and most bytes that RELAY carries.
pub const INNER_MIN: usize = 64;
pub const INNER_MAX: usize = MAX_DATAGRAM - RELAY_HEADER;

/// As the `to` of RELAY: every leg but the sender's.
pub const TO_ALL: u8 = 255;

/// Most legs of a room.
pub const MAX_LEGS: u8 = 16;

/// What proves the right to one leg of a room.
pub type Token = [u8; 16];

/// A datagram of these whose form is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Bind(Bind<'a>),
    Chal(Chal),
    Bind2(Bind2<'a>),
    Bound(Bound),
    Relay(Relay<'a>),
}

/// Asks for a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    pub room: u64,
    pub leg: u8,
    pub nonce: [u8; 16],
    mac: &'a [u8],
    covered: &'a [u8],
}

/// The challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chal {
    pub room: u64,
    pub leg: u8,
    pub proof: [u8; 16],
}

/// Answers the challenge, from the address at which it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind2<'a> {
    pub room: u64,
    pub leg: u8,
    pub nonce: [u8; 16],
    pub proof: [u8; 16],
    mac: &'a [u8],
    covered: &'a [u8],
}

/// Says that the leg is bound for the next 30 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub room: u64,
    pub leg: u8,
    /// Another leg of the room is bound too.
    pub met: bool,
    /// The room will end before long.
    pub ending: bool,
    /// From where the reflector sees this leg.
    pub seen: SocketAddr,
}

/// Carries a datagram from leg to leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relay<'a> {
    pub room: u64,
    /// A leg, or [`TO_ALL`].
    pub to: u8,
    pub from: u8,
    pub inner: &'a [u8],
}

/// The datagram's form, or `None` for anything that is not exactly one of these.
pub fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    match (bytes.first()?, bytes.len()) {
        (0x20, _) => Relay::parse(bytes).map(Packet::Relay),
        (0x21, BIND) if is_zero(&bytes[2..4]) && is_zero(&bytes[44..]) => {
            Some(Packet::Bind(Bind {
                room: room_at_4(bytes),
                leg: bytes[1],
                nonce: sixteen(bytes, 12),
                mac: &bytes[28..44],
                covered: &bytes[..28],
            }))
        }
        (0x22, CHAL) if is_zero(&bytes[2..4]) && is_zero(&bytes[28..]) => {
            Some(Packet::Chal(Chal {
                room: room_at_4(bytes),
                leg: bytes[1],
                proof: sixteen(bytes, 12),
            }))
        }
        (0x23, BIND2) if is_zero(&bytes[2..4]) && is_zero(&bytes[60..]) => {
            Some(Packet::Bind2(Bind2 {
                room: room_at_4(bytes),
                leg: bytes[1],
                nonce: sixteen(bytes, 12),
                proof: sixteen(bytes, 28),
                mac: &bytes[44..60],
                covered: &bytes[..44],
            }))
        }
        (0x24, BOUND)
            if bytes[2] & !(MET | ENDING) == 0 && bytes[3] == 0 && is_zero(&bytes[30..]) =>
        {
            let ip = IpAddr::V6(Ipv6Addr::from(sixteen(bytes, 12))).to_canonical();
            Some(Packet::Bound(Bound {
                room: room_at_4(bytes),
                leg: bytes[1],
                met: bytes[2] & MET != 0,
                ending: bytes[2] & ENDING != 0,
                seen: SocketAddr::new(ip, u16::from_le_bytes([bytes[28], bytes[29]])),
            }))
        }
        _ => None,
    }
}

impl Bind<'_> {
    /// Whether its sender holds that token.
    pub fn is_by(&self, token: &Token) -> bool {
        let mac = keyed(token).chain_update(self.covered);
        mac.verify_truncated_left(self.mac).is_ok()
    }
}

impl Bind2<'_> {
    /// As for [`Bind`].
    pub fn is_by(&self, token: &Token) -> bool {
        let mac = keyed(token).chain_update(self.covered);
        mac.verify_truncated_left(self.mac).is_ok()
    }
}

impl<'a> Relay<'a> {
    /// Cheap: a few comparisons, no copy.
    pub fn parse(bytes: &'a [u8]) -> Option<Relay<'a>> {
        let (header, inner) = bytes.split_at_checked(RELAY_HEADER)?;
        let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let form = header[0] == 0x20 && length == inner.len();
        (form && may_carry(inner)).then(|| Relay {
            room: room_at_4(bytes),
            to: header[1],
            from: header[12],
            inner,
        })
    }
}

/// Whether RELAY may carry this: what two phones say to each other, and never another RELAY, so
/// that nobody can chain reflectors.
pub fn may_carry(inner: &[u8]) -> bool {
    let length = (INNER_MIN..=INNER_MAX).contains(&inner.len());
    length && matches!(inner[0], 0x01..=0x04 | 0x10..=0x1f | 0x30)
}

/// BIND, under the token of the leg.
pub fn bind(room: u64, leg: u8, nonce: &[u8; 16], token: &Token) -> Datagram {
    let mut out = start(0x21, leg, 0, room);
    push(&mut out, nonce);
    sign(&mut out, token);
    push(&mut out, &[0; 20]);
    out
}

/// BIND2, under the token of the leg.
pub fn bind2(room: u64, leg: u8, nonce: &[u8; 16], proof: &[u8; 16], token: &Token) -> Datagram {
    let mut out = start(0x23, leg, 0, room);
    push(&mut out, nonce);
    push(&mut out, proof);
    sign(&mut out, token);
    push(&mut out, &[0; 4]);
    out
}

pub fn chal(chal: &Chal) -> [u8; CHAL] {
    let mut out = [0; CHAL];
    out[..12].copy_from_slice(&head(0x22, chal.leg, 0, chal.room));
    out[12..28].copy_from_slice(&chal.proof);
    out
}

pub fn bound(bound: &Bound) -> [u8; BOUND] {
    let mut out = [0; BOUND];
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    let flags = flag(bound.met, MET) | flag(bound.ending, ENDING);
    let head = head(0x24, bound.leg, flags, bound.room);
    out[..12].copy_from_slice(&head);
    out[12..28].copy_from_slice(&octets(bound.seen.ip()));
    out[28..30].copy_from_slice(&bound.seen.port().to_le_bytes());
    out
}

/// RELAY around `inner`; `None` if that may not be carried.
pub fn relay(room: u64, to: u8, from: u8, inner: &[u8]) -> Option<Datagram> {
    if !may_carry(inner) {
        return None;
    }
    let mut out = Datagram::new();
    push(&mut out, &[0x20, to]);
    // At most INNER_MAX.
    push(&mut out, &(inner.len() as u16).to_le_bytes());
    push(&mut out, &room.to_le_bytes());
    push(&mut out, &[from]);
    push(&mut out, inner);
    Some(out)
}

/// The address as 16 octets, those of IPv4 mapped into IPv6 (RFC 4291).
pub fn octets(ip: IpAddr) -> [u8; 16] {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn start(kind: u8, leg: u8, flags: u8, room: u64) -> Datagram {
    let mut out = Datagram::new();
    push(&mut out, &head(kind, leg, flags, room));
    out
}

fn head(kind: u8, leg: u8, flags: u8, room: u64) -> [u8; 12] {
    let mut head = [0; 12];
    head[..4].copy_from_slice(&[kind, leg, flags, 0]);
    head[4..].copy_from_slice(&room.to_le_bytes());
    head
}

fn sign(out: &mut Datagram, token: &Token) {
    let mac = truncated(keyed(token).chain_update(&out[..]));
    push(out, &mac);
}

fn push(out: &mut Datagram, bytes: &[u8]) {
    out.try_extend_from_slice(bytes)
        .expect("nothing here is longer than MAX_DATAGRAM");
}

/// The callers know that there are as many bytes.
fn sixteen(bytes: &[u8], at: usize) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&bytes[at..at + 16]);
    out
}

fn room_at_4(bytes: &[u8]) -> u64 {
    let mut room = [0; 8];
    room.copy_from_slice(&bytes[4..12]);
    u64::from_le_bytes(room)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Flags of BOUND.
const MET: u8 = 1;
const ENDING: u8 = 2;

const _: () = assert!(CHAL <= BIND && BOUND <= BIND2);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: Token = [7; 16];

    #[test]
    fn what_is_written_is_read() {
        let bytes = bind(0x0102_0304_0506_0708, 3, &[9; 16], &TOKEN);
        assert_eq!(bytes.len(), BIND);
        assert_eq!(bytes[..6], [0x21, 3, 0, 0, 8, 7]);
        let Some(Packet::Bind(read)) = parse(&bytes) else {
            panic!("not a BIND");
        };
        assert_eq!((read.room, read.leg), (0x0102_0304_0506_0708, 3));
        assert!(read.is_by(&TOKEN) && !read.is_by(&[8; 16]));

        let bytes = bind2(5, 1, &[9; 16], &[4; 16], &TOKEN);
        assert_eq!(bytes.len(), BIND2);
        let Some(Packet::Bind2(read)) = parse(&bytes) else {
            panic!("not a BIND2");
        };
        assert_eq!((read.room, read.nonce, read.proof), (5, [9; 16], [4; 16]));
        assert!(read.is_by(&TOKEN) && !read.is_by(&[8; 16]));

        let sent = Chal {
            room: 5,
            leg: 1,
            proof: [4; 16],
        };
        assert_eq!(parse(&chal(&sent)), Some(Packet::Chal(sent)));

        for (seen, met, ending) in [
            ("192.0.2.1:4000", true, false),
            ("192.0.2.1:4000", false, true),
            ("[2001:db8::1]:65535", true, true),
        ] {
            let sent = Bound {
                room: 5,
                leg: 0,
                met,
                ending,
                seen: seen.parse().expect("an address"),
            };
            assert_eq!(parse(&bound(&sent)), Some(Packet::Bound(sent)));
        }

        let inner = [0x10; 153];
        let bytes = relay(5, TO_ALL, 1, &inner).expect("it may be carried");
        assert_eq!(bytes.len(), RELAY_HEADER + 153);
        let read = Relay::parse(&bytes).expect("a RELAY");
        assert_eq!((read.to, read.from, read.inner), (TO_ALL, 1, &inner[..]));
    }

    #[test]
    fn every_changed_bit_is_refused_or_breaks_the_mac() {
        for whole in [
            bind(5, 1, &[9; 16], &TOKEN),
            bind2(5, 1, &[9; 16], &[4; 16], &TOKEN),
        ] {
            for bit in 0..8 * whole.len() {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let good = match parse(&bytes) {
                    Some(Packet::Bind(read)) => read.is_by(&TOKEN),
                    Some(Packet::Bind2(read)) => read.is_by(&TOKEN),
                    _ => false,
                };
                assert!(!good, "bit {bit}");
            }
        }
    }

    #[test]
    fn only_what_phones_say_to_each_other_is_carried() {
        for first in 0..=255 {
            let phones = matches!(first, 1..=4 | 0x10..=0x1f | 0x30);
            assert_eq!(relay(1, 0, 1, &[first; 100]).is_some(), phones, "{first}");
        }
        for (length, good) in [(63, false), (64, true), (1187, true), (1188, false)] {
            assert_eq!(relay(1, 0, 1, &vec![0x10; length]).is_some(), good);
        }
        let chain = relay(1, 0, 1, &[0x10; 100]).expect("once");
        assert_eq!(relay(1, 0, 1, &chain), None, "and not twice");
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn almost_right_bytes_never_panic(
            kind in 0x1f_u8..0x26,
            tail in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let bytes = [&[kind, 0, 0, 0][..], &tail].concat();
            if let Some(Packet::Relay(read)) = parse(&bytes) {
                let again = relay(read.room, read.to, read.from, read.inner);
                prop_assert_eq!(again.as_deref(), Some(&bytes[..]));
            }
        }
    }
}
