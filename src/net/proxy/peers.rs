//! The one message of `/twocan/peers/1`: where other ultrapeers are.

use super::cursor::{Cursor, finish, start};
use super::message::{FrameError, Message};
use super::{LARGE, MAX_FRAME, padded};

/// Addresses of ultrapeers, as binary multiaddrs that end in `/p2p`. Nothing says that they are
/// true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers(pub Vec<Vec<u8>>);

/// Addresses in one message.
pub const MAX_PEERS: usize = 32;

/// Bytes of one address.
pub const MAX_PEER_ADDRESS: usize = 128;

const PEERS: u8 = 1;

impl Message for Peers {
    const LONGEST: usize = 2 * LARGE;

    fn encode(&self) -> Vec<u8> {
        let fit = |address: &&Vec<u8>| !address.is_empty() && address.len() <= MAX_PEER_ADDRESS;
        let addresses: Vec<&Vec<u8>> = self.0.iter().filter(fit).take(MAX_PEERS).collect();
        let mut frame = start(PEERS);
        // At most MAX_PEERS, and each at most MAX_PEER_ADDRESS.
        frame.push(addresses.len() as u8);
        for address in addresses {
            frame.push(address.len() as u8);
            frame.extend_from_slice(address);
        }
        finish(frame, padded)
    }

    fn parse(frame: &[u8]) -> Result<Peers, FrameError> {
        let mut body = Cursor(frame);
        match body.u8()? {
            PEERS => {}
            kind => return Err(FrameError::Kind(kind)),
        }
        let count = usize::from(body.u8()?);
        if count > MAX_PEERS {
            return Err(FrameError::Bounds);
        }
        let addresses: Result<Vec<Vec<u8>>, FrameError> = (0..count)
            .map(|_| match usize::from(body.u8()?) {
                len @ 1..=MAX_PEER_ADDRESS => body.bytes(len).map(<[u8]>::to_vec),
                _ => Err(FrameError::Bounds),
            })
            .collect();
        let peers = Peers(addresses?);
        body.end(frame.len(), padded)?;
        Ok(peers)
    }
}

const _: () = assert!(MAX_PEERS * (1 + MAX_PEER_ADDRESS) + 4 <= Peers::LONGEST);
const _: () = assert!(Peers::LONGEST <= MAX_FRAME);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_survive_the_way_within_their_bounds() {
        let full = Peers(vec![vec![7; MAX_PEER_ADDRESS]; MAX_PEERS]);
        for peers in [Peers::default(), full.clone()] {
            assert_eq!(Peers::parse(&peers.encode()[2..]), Ok(peers));
        }
        let mut wild = vec![vec![], vec![8; MAX_PEER_ADDRESS + 1]];
        wild.extend(vec![vec![7; MAX_PEER_ADDRESS]; 10_000]);
        assert_eq!(Peers::parse(&Peers(wild).encode()[2..]), Ok(full));
    }

    #[test]
    fn more_than_the_bounds_is_refused() {
        let mut frame = Peers(vec![vec![7; 40]; 3]).encode();
        frame[3] = 33;
        assert_eq!(Peers::parse(&frame[2..]), Err(FrameError::Bounds));
        frame[3] = 3;
        frame[4] = 0;
        assert_eq!(Peers::parse(&frame[2..]), Err(FrameError::Bounds));
    }

    proptest! {
        #[test]
        fn any_bytes_are_addresses_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(peers) = Peers::parse(&bytes) {
                prop_assert_eq!(&peers.encode()[2..], &bytes[..]);
            }
        }
    }
}
