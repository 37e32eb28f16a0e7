//! What messages are made of: names, addresses, lists, each written and read in one place.

use std::net::{IpAddr, SocketAddr};

use super::candidates::{Candidate, Candidates, Kind, List, MAX_CANDIDATES, Nat};
use super::message::{Card, MAX_HINTS, Work};
use crate::api::NatKind;
use crate::peer::SafeText;

pub fn put_card(body: &mut Vec<u8>, card: &Card) {
    body.extend(card.half);
    put_name(body, &card.name);
    put_hints(body, &card.hints);
}

pub fn card(rest: &mut &[u8]) -> Option<Card> {
    Some(Card {
        half: take(rest)?,
        name: name(rest)?,
        hints: hints(rest)?,
    })
}

pub fn work(rest: &mut &[u8]) -> Option<Work> {
    Some(Work {
        day: u32::from_le_bytes(take(rest)?),
        nonce: u64::from_le_bytes(take(rest)?),
    })
}

pub fn put_name(body: &mut Vec<u8>, name: &SafeText) {
    let bytes = clip(name, 255).as_bytes();
    body.push(bytes.len() as u8);
    body.extend(bytes);
}

pub fn name(rest: &mut &[u8]) -> Option<SafeText> {
    let [length] = take(rest)?;
    let (name, tail) = rest.split_at_checked(usize::from(length))?;
    *rest = tail;
    Some(SafeText::name(&String::from_utf8_lossy(name)))
}

pub fn put_hints(body: &mut Vec<u8>, hints: &[SocketAddr]) {
    let hints = &hints[..hints.len().min(MAX_HINTS)];
    body.push(hints.len() as u8);
    for hint in hints {
        put_address(body, hint);
    }
}

pub fn put_address(body: &mut Vec<u8>, address: &SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            body.push(4);
            body.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            body.push(6);
            body.extend(ip.octets());
        }
    }
    body.extend(address.port().to_le_bytes());
}

pub fn hints(rest: &mut &[u8]) -> Option<Vec<SocketAddr>> {
    let [count] = take(rest)?;
    let mut hints = Vec::new();
    for _ in 0..usize::from(count).min(MAX_HINTS) {
        let hint = address(rest)?;
        if is_dialable(&hint) {
            hints.push(hint);
        }
    }
    Some(hints)
}

pub fn address(rest: &mut &[u8]) -> Option<SocketAddr> {
    let ip = match take(rest)? {
        [4] => IpAddr::from(take::<4>(rest)?),
        [6] => IpAddr::from(take::<16>(rest)?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_le_bytes(take(rest)?)))
}

pub fn put_candidates(body: &mut Vec<u8>, candidates: &Candidates) {
    let nat = match candidates.nat.kind {
        NatKind::Unknown => 0,
        NatKind::Open => 1,
        NatKind::Steady => 2,
        NatKind::Sequential => 3,
        NatKind::Random => 4,
        NatKind::Blocked => 5,
    };
    body.extend([nat, candidates.nat.step as u8, candidates.list.len() as u8]);
    for candidate in &candidates.list {
        body.push(candidate.kind as u8);
        put_address(body, &candidate.address);
    }
}

pub fn candidates(rest: &mut &[u8]) -> Option<Candidates> {
    let [nat, step, count] = take(rest)?;
    let kind = match nat {
        1 => NatKind::Open,
        2 => NatKind::Steady,
        3 => NatKind::Sequential,
        4 => NatKind::Random,
        5 => NatKind::Blocked,
        _ => NatKind::Unknown,
    };
    let mut list = List::new();
    for _ in 0..usize::from(count).min(MAX_CANDIDATES) {
        let [kind] = take(rest)?;
        let address = address(rest)?;
        let kind = match kind {
            0 => Kind::Host,
            1 => Kind::Mapped,
            2 => Kind::Reflexive,
            3 => Kind::Latest,
            _ => continue,
        };
        list.push(Candidate { kind, address });
    }
    let step = step as i8;
    Some(Candidates {
        nat: Nat { kind, step },
        list,
    })
}

/// Addresses that can never be a phone's are not worth a packet.
pub fn is_dialable(hint: &SocketAddr) -> bool {
    let ip = hint.ip();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    hint.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

pub fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// The longest prefix of whole characters within `most` bytes.
pub fn clip(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn useless_addresses_are_left_out() {
        let mut body = Vec::new();
        let all = [
            "0.0.0.0:1",
            "224.0.0.1:9",
            "255.255.255.255:9",
            "192.0.2.1:0",
        ];
        put_hints(&mut body, &all.map(|hint| hint.parse().expect("address")));
        assert_eq!(hints(&mut body.as_slice()), Some(Vec::new()));
    }
}
