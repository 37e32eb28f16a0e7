//! The five datagrams, to the byte.
//!
//! Parsing takes any bytes and never panics: exact length, exact type, reserved bits zero, or it is
//! not ours. What stands inside (keys, ciphertext) is judged elsewhere. All integers are little
//! endian. The layout is documented for other implementations in `man/twocan-protocol.7`.
//!
//! ```text
//! HELLO  120 B  01 | ver 01 | 0000 | sidx_i u32 | noise1 80 | mac1 16 | mac2 16
//! REPLY   76 B  02 | ver 01 | 0000 | sidx_r u32 | sidx_i u32 | noise2 64
//! FINISH 210 B  03 | 000000 | sidx_r u32 | noise3 202
//! COOKIE  64 B  04 | 000000 | sidx_i u32 | nonce 24 | sealed cookie 32
//! DATA  9+P+16  10|epoch&3 | index u32 | counter u32 | ciphertext P | tag 16
//! ```
//!
//! P is 480 in the first key exchange and 128 otherwise, but for voice, where it is one of the
//! sizes of [`plain_size`].

use super::types::{Datagram, Rung};

/// Protocol version in HELLO and REPLY.
pub const VERSION: u8 = 1;

pub const HELLO: usize = 120;
pub const REPLY: usize = 76;
pub const FINISH: usize = 210;
pub const COOKIE: usize = 64;

/// Bytes of HELLO before its Noise message.
pub const HELLO_HEAD: usize = 8;
/// Bytes of HELLO that `mac1` covers.
pub const MAC1_COVERS: usize = 88;
/// Bytes of HELLO that `mac2` covers.
pub const MAC2_COVERS: usize = 104;

pub const NOISE1: usize = 80;
pub const NOISE2: usize = 64;
pub const NOISE3: usize = 202;

/// Type, index and counter of a DATA packet: its associated data.
pub const DATA_HEADER: usize = 9;
pub const TAG: usize = 16;

/// Plaintext bytes of a DATA packet that is neither voice nor of the first key exchange, and of
/// voice as a call begins.
pub const PLAIN: usize = plain_size(Rung::USUAL);
/// Plaintext bytes of a DATA packet while the first key encapsulation runs.
pub const PLAIN_WIDE: usize = 480;

/// Plaintext bytes of a voice packet: its payload, the head of the voice part, and 45 bytes for the
/// heads of copies and for signalling.
pub const fn plain_size(rung: Rung) -> usize {
    rung.payload() + 48
}

/// The rung of the voice packets that have so many plaintext bytes.
pub fn rung_of(plain: usize) -> Option<Rung> {
    Rung::all().find(|rung| plain_size(*rung) == plain)
}

/// A datagram whose outer form is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Hello(Hello<'a>),
    Reply(Reply<'a>),
    Finish(Finish<'a>),
    Cookie(Cookie<'a>),
    Data(Data<'a>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    pub sidx: u32,
    pub noise: &'a [u8],
    pub mac1: &'a [u8],
    pub mac2: &'a [u8],
    /// The whole datagram, for the two MACs.
    pub whole: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    pub sidx_r: u32,
    pub sidx_i: u32,
    pub noise: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish<'a> {
    pub sidx: u32,
    pub noise: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie<'a> {
    pub sidx: u32,
    pub nonce: &'a [u8],
    pub sealed: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    pub header: DataHeader,
    /// The header as it stood in the datagram: the associated data.
    pub associated: &'a [u8],
    /// Ciphertext and tag.
    pub sealed: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    /// Key epoch modulo 4.
    pub epoch: u8,
    pub index: u32,
    pub counter: u32,
}

/// The datagram's outer form, or `None` for anything that is not exactly one of ours.
pub fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let (&kind, rest) = bytes.split_first()?;
    match (kind, bytes.len()) {
        (0x01, HELLO) if rest[..3] == [VERSION, 0, 0] => Some(Packet::Hello(Hello {
            sidx: u32_at(bytes, 4)?,
            noise: &bytes[HELLO_HEAD..MAC1_COVERS],
            mac1: &bytes[MAC1_COVERS..MAC2_COVERS],
            mac2: &bytes[MAC2_COVERS..],
            whole: bytes,
        })),
        (0x02, REPLY) if rest[..3] == [VERSION, 0, 0] => Some(Packet::Reply(Reply {
            sidx_r: u32_at(bytes, 4)?,
            sidx_i: u32_at(bytes, 8)?,
            noise: &bytes[12..],
        })),
        (0x03, FINISH) if rest[..3] == [0, 0, 0] => Some(Packet::Finish(Finish {
            sidx: u32_at(bytes, 4)?,
            noise: &bytes[8..],
        })),
        (0x04, COOKIE) if rest[..3] == [0, 0, 0] => Some(Packet::Cookie(Cookie {
            sidx: u32_at(bytes, 4)?,
            nonce: &bytes[8..32],
            sealed: &bytes[32..],
        })),
        (0x10..=0x13, length) if is_data_length(length) => Some(Packet::Data(Data {
            header: DataHeader {
                epoch: kind & 3,
                index: u32_at(bytes, 1)?,
                counter: u32_at(bytes, 5)?,
            },
            associated: &bytes[..DATA_HEADER],
            sealed: &bytes[DATA_HEADER..],
        })),
        _ => None,
    }
}

/// Whether a datagram could be one of these five. The answers of STUN begin like HELLO.
pub fn is_ours(bytes: &[u8]) -> bool {
    match bytes.first() {
        Some(0x01) => bytes.len() == HELLO,
        Some(kind) => matches!(kind, 0x02..=0x04 | 0x10..=0x13),
        None => true,
    }
}

/// HELLO with both MACs zero; the caller fills them in (see [`super::gate`]).
pub fn hello(sidx: u32, noise: &[u8]) -> Datagram {
    let mut out = Datagram::new();
    push(&mut out, &[0x01, VERSION, 0, 0]);
    push(&mut out, &sidx.to_le_bytes());
    push(&mut out, noise);
    push(&mut out, &[0; 32]);
    out
}

pub fn reply(sidx_r: u32, sidx_i: u32, noise: &[u8]) -> Datagram {
    let mut out = Datagram::new();
    push(&mut out, &[0x02, VERSION, 0, 0]);
    push(&mut out, &sidx_r.to_le_bytes());
    push(&mut out, &sidx_i.to_le_bytes());
    push(&mut out, noise);
    out
}

pub fn finish(sidx_r: u32, noise: &[u8]) -> Datagram {
    let mut out = Datagram::new();
    push(&mut out, &[0x03, 0, 0, 0]);
    push(&mut out, &sidx_r.to_le_bytes());
    push(&mut out, noise);
    out
}

pub fn cookie(sidx_i: u32, nonce: &[u8; 24], sealed: &[u8]) -> Datagram {
    let mut out = Datagram::new();
    push(&mut out, &[0x04, 0, 0, 0]);
    push(&mut out, &sidx_i.to_le_bytes());
    push(&mut out, nonce);
    push(&mut out, sealed);
    out
}

impl DataHeader {
    pub fn to_bytes(self) -> [u8; DATA_HEADER] {
        let mut out = [0; DATA_HEADER];
        out[0] = 0x10 | (self.epoch & 3);
        out[1..5].copy_from_slice(&self.index.to_le_bytes());
        out[5..].copy_from_slice(&self.counter.to_le_bytes());
        out
    }
}

fn is_data_length(length: usize) -> bool {
    const OVERHEAD: usize = DATA_HEADER + TAG;
    let plain = length.checked_sub(OVERHEAD);
    plain.is_some_and(|plain| rung_of(plain).is_some() || plain == PLAIN_WIDE)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

fn push(out: &mut Datagram, bytes: &[u8]) {
    out.try_extend_from_slice(bytes)
        .expect("every datagram here is far shorter than MAX_DATAGRAM");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_protocol() {
        assert_eq!(hello(7, &[1; NOISE1]).len(), HELLO);
        assert_eq!(reply(7, 8, &[1; NOISE2]).len(), REPLY);
        assert_eq!(finish(7, &[1; NOISE3]).len(), FINISH);
        assert_eq!(cookie(7, &[1; 24], &[2; 32]).len(), COOKIE);
    }

    #[test]
    fn what_is_written_is_read() {
        let datagram = reply(0x0102_0304, 9, &[5; NOISE2]);
        let Some(Packet::Reply(read)) = parse(&datagram) else {
            panic!("not a REPLY");
        };
        assert_eq!((read.sidx_r, read.sidx_i), (0x0102_0304, 9));
        assert_eq!(read.noise, &[5; NOISE2]);
    }

    #[test]
    fn reserved_bits_and_other_lengths_are_refused() {
        let good = hello(1, &[0; NOISE1]);
        for at in 1..4 {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            assert_eq!(parse(&bad), None);
        }
        for length in 0..1500 {
            for kind in 0..=255 {
                let mut bytes = vec![0; length];
                if let Some(first) = bytes.first_mut() {
                    *first = kind;
                }
                let parsed = parse(&bytes);
                let sizes = [103, 113, 133, 153, 193, 233, 505];
                let data = (0x10..=0x13).contains(&kind) && sizes.contains(&length);
                let fixed = matches!((kind, length), (3, FINISH) | (4, COOKIE));
                assert_eq!(
                    parsed.is_some(),
                    data || fixed,
                    "type {kind}, {length} bytes"
                );
            }
        }
    }
}
