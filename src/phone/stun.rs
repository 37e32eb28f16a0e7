//! The Binding method of STUN (RFC 8489): from where a datagram is seen to come.
//!
//! Only what is needed: a request without authentication, and its success response with
//! XOR-MAPPED-ADDRESS. Our requests carry a SOFTWARE attribute, which any server passes over, of
//! such a length that the longest answer is no longer than the question; our servers stay silent
//! to shorter ones, so that nobody can use them to multiply his bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Identifies a question and its answer.
pub type Transaction = [u8; 12];

/// Bytes of our request, and most bytes of our answer.
pub const REQUEST: usize = HEADER + 4 + SOFTWARE.len();
pub const MAX_RESPONSE: usize = HEADER + 4 + 20;

/// A response, as long as it has to be.
pub type Response = arrayvec::ArrayVec<u8, MAX_RESPONSE>;

/// A Binding request.
pub fn request(transaction: &Transaction) -> [u8; REQUEST] {
    let mut out = [0; REQUEST];
    let length = REQUEST - HEADER;
    out[..HEADER].copy_from_slice(&header(TYPE_REQUEST, length, transaction));
    out[20..22].copy_from_slice(&ATTRIBUTE_SOFTWARE.to_be_bytes());
    out[22..24].copy_from_slice(&(SOFTWARE.len() as u16).to_be_bytes());
    out[24..].copy_from_slice(SOFTWARE);
    out
}

/// The transaction of a Binding request, or `None` for anything else.
pub fn parse_request(bytes: &[u8]) -> Option<Transaction> {
    let (transaction, attributes) = message(bytes, TYPE_REQUEST)?;
    // Nothing that has to be understood is understood here.
    let optional = |(kind, _): (u16, &[u8])| kind >= 0x8000;
    Attributes(attributes)
        .all(|attribute| attribute.is_some_and(optional))
        .then_some(transaction)
}

/// The answer to `request` that came from `from`: `None` if it is no request, or shorter than the
/// answer.
pub fn answer(request: &[u8], from: SocketAddr) -> Option<Response> {
    let transaction = parse_request(request)?;
    let response = response(&transaction, from);
    (response.len() <= request.len()).then_some(response)
}

/// Binding success response.
pub fn response(transaction: &Transaction, seen: SocketAddr) -> Response {
    let mut out = Response::new();
    let mut push = |bytes: &[u8]| {
        out.try_extend_from_slice(bytes)
            .expect("MAX_RESPONSE holds the longest address");
    };
    let [p, q, ..] = COOKIE;
    let [a, b] = seen.port().to_be_bytes();
    let port = [a ^ p, b ^ q];
    let pad = pad(transaction);
    match seen.ip().to_canonical() {
        IpAddr::V4(ip) => {
            push(&header(TYPE_SUCCESS, 12, transaction));
            push(&[0x00, 0x20, 0, 8, 0, 1]);
            push(&port);
            push(&xor(ip.octets(), &pad));
        }
        IpAddr::V6(ip) => {
            push(&header(TYPE_SUCCESS, 24, transaction));
            push(&[0x00, 0x20, 0, 20, 0, 2]);
            push(&port);
            push(&xor(ip.octets(), &pad));
        }
    }
    out
}

/// Whose question was answered, and from where that was seen to come. `None` for anything that is
/// no success response of Binding with an address.
pub fn parse_response(bytes: &[u8]) -> Option<(Transaction, SocketAddr)> {
    let (transaction, attributes) = message(bytes, TYPE_SUCCESS)?;
    let mut seen = None;
    for attribute in Attributes(attributes) {
        let (kind, value) = attribute?;
        if kind == ATTRIBUTE_XOR_MAPPED_ADDRESS && seen.is_none() {
            seen = Some(address(value, &transaction)?);
        }
    }
    Some((transaction, seen?))
}

fn address(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let (head, ip) = value.split_first_chunk::<4>()?;
    let [p, q, ..] = COOKIE;
    let port = u16::from_be_bytes([head[2] ^ p, head[3] ^ q]);
    let pad = pad(transaction);
    let ip = match head[1] {
        1 => Ipv4Addr::from(xor(<[u8; 4]>::try_from(ip).ok()?, &pad)).into(),
        2 => Ipv6Addr::from(xor(<[u8; 16]>::try_from(ip).ok()?, &pad)).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Transaction and attributes of a STUN message of that type.
fn message(bytes: &[u8], kind: u16) -> Option<(Transaction, &[u8])> {
    let (header, attributes) = bytes.split_first_chunk::<HEADER>()?;
    let right = header[..2] == kind.to_be_bytes()
        && usize::from(u16::from_be_bytes([header[2], header[3]])) == attributes.len()
        && attributes.len().is_multiple_of(4)
        && header[4..8] == COOKIE;
    let mut transaction = [0; 12];
    transaction.copy_from_slice(&header[8..]);
    right.then_some((transaction, attributes))
}

/// Type and value of each attribute; `None` where the bytes make no sense, and then no more.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let attribute = self.take();
        if attribute.is_none() {
            self.0 = &[];
        }
        Some(attribute)
    }
}

impl<'a> Attributes<'a> {
    fn take(&mut self) -> Option<(u16, &'a [u8])> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (padded, rest) = rest.split_at_checked(length.next_multiple_of(4))?;
        self.0 = rest;
        Some((u16::from_be_bytes([head[0], head[1]]), &padded[..length]))
    }
}

fn header(kind: u16, length: usize, transaction: &Transaction) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..2].copy_from_slice(&kind.to_be_bytes());
    out[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    out[4..8].copy_from_slice(&COOKIE);
    out[8..].copy_from_slice(transaction);
    out
}

/// What an address is combined with.
fn pad(transaction: &Transaction) -> [u8; 16] {
    let mut pad = [0; 16];
    pad[..4].copy_from_slice(&COOKIE);
    pad[4..].copy_from_slice(transaction);
    pad
}

fn xor<const N: usize>(mut bytes: [u8; N], pad: &[u8; 16]) -> [u8; N] {
    bytes
        .iter_mut()
        .zip(pad)
        .for_each(|(byte, with)| *byte ^= with);
    bytes
}

const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const TYPE_REQUEST: u16 = 0x0001;
const TYPE_SUCCESS: u16 = 0x0101;
const ATTRIBUTE_XOR_MAPPED_ADDRESS: u16 = 0x0020;
const ATTRIBUTE_SOFTWARE: u16 = 0x8022;

/// The same in every phone, so that it tells nothing about one.
const SOFTWARE: &[u8; 20] = b"twocan call phone 01";

const _: () = assert!(MAX_RESPONSE <= REQUEST);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The transaction of RFC 5769.
    const RFC: Transaction = [
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ];

    /// RFC 5769, section 2.2, without MESSAGE-INTEGRITY and FINGERPRINT.
    #[test]
    fn the_ipv4_response_of_the_rfc_is_read_and_written() {
        let software = b"\x80\x22\x00\x0btest vector ";
        let mapped = b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43";
        let head = b"\x01\x01\x00\x1c\x21\x12\xa4\x42";
        let bytes = [&head[..], &RFC, software, mapped].concat();
        let seen = "192.0.2.1:32853".parse().expect("an address");
        assert_eq!(parse_response(&bytes), Some((RFC, seen)));
        assert_eq!(response(&RFC, seen)[HEADER..], mapped[..]);
    }

    /// RFC 5769, section 2.3, likewise.
    #[test]
    fn the_ipv6_response_of_the_rfc_is_read_and_written() {
        let mapped = b"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\
            \xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9";
        let seen = "[2001:db8:1234:5678:11:2233:4455:6677]:32853"
            .parse()
            .expect("an address");
        let whole = response(&RFC, seen);
        assert_eq!(whole[HEADER..], mapped[..]);
        assert_eq!(parse_response(&whole), Some((RFC, seen)));
    }

    #[test]
    fn no_answer_is_longer_than_its_question() {
        let v6 = "[2001:db8::1]:9".parse().expect("an address");
        let v4 = "192.0.2.1:9".parse().expect("an address");
        let ours = request(&RFC);
        assert_eq!(parse_request(&ours), Some(RFC));
        for from in [v4, v6] {
            let answer = answer(&ours, from).expect("an answer");
            assert!(answer.len() <= ours.len());
            assert_eq!(parse_response(&answer), Some((RFC, from)));
        }
        let bare = header(TYPE_REQUEST, 0, &RFC);
        assert_eq!(parse_request(&bare), Some(RFC));
        assert_eq!(answer(&bare, v4), None);
    }

    #[test]
    fn an_answer_is_never_a_question() {
        let seen = "192.0.2.1:9".parse().expect("an address");
        let response = response(&RFC, seen);
        assert_eq!(parse_request(&response), None);
        assert_eq!(parse_response(&request(&RFC)), None);
        assert_eq!(answer(&response, seen), None);
    }

    #[test]
    fn what_must_be_understood_is_not_passed_over() {
        let mut bytes = request(&RFC);
        bytes[20] = 0;
        assert_eq!(parse_request(&bytes), None);
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (parse_request(&bytes), parse_response(&bytes));
        }

        #[test]
        fn foreign_attributes_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..25)) {
            let attributes = tail.repeat(4);
            for kind in [TYPE_REQUEST, TYPE_SUCCESS] {
                let bytes = [&header(kind, attributes.len(), &RFC)[..], &attributes].concat();
                let _ = (parse_request(&bytes), parse_response(&bytes));
                let mapped = [&header(kind, 4 + attributes.len(), &RFC)[..],
                    &[0, 0x20, 0, attributes.len() as u8], &attributes].concat();
                let _ = parse_response(&mapped);
            }
        }
    }
}
