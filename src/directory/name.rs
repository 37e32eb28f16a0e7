//! Under what a record stands in the directory.

use std::fmt;

/// A blinded Ed25519 public key `A'`. It is all that those who keep the record learn of its owner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub [u8; 32]);

impl Name {
    /// Bytes of a name's [`Name::key`].
    pub const KEY: usize = PREFIX.len() + 32;

    /// The key in the distributed table: `/ipns/` and the identity multihash of the public key in
    /// libp2p's protobuf.
    pub fn key(&self) -> Vec<u8> {
        [PREFIX, &self.0].concat()
    }

    /// The name of a key of the table, if it is one for an Ed25519 key.
    pub fn from_key(key: &[u8]) -> Option<Name> {
        let name = key.strip_prefix(PREFIX)?;
        Some(Name(name.try_into().ok()?))
    }
}

impl fmt::Debug for Name {
    /// Enough to follow a record through a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Name({a:02x}{b:02x}{c:02x}{d:02x})")
    }
}

const PREFIX: &[u8] = b"/ipns/\x00\x24\x08\x01\x12\x20";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_back_to_its_name_and_nothing_else_does() {
        let name = Name([7; 32]);
        let key = name.key();
        assert_eq!(key.len(), Name::KEY);
        assert_eq!(&key[..8], b"/ipns/\x00\x24");
        assert_eq!(Name::from_key(&key), Some(name));
        for length in 0..key.len() {
            assert_eq!(Name::from_key(&key[..length]), None);
        }
        assert_eq!(Name::from_key(&[&key[..], &[0]].concat()), None);
        for at in 0..PREFIX.len() {
            let mut other = key.clone();
            other[at] ^= 1;
            assert_eq!(Name::from_key(&other), None, "byte {at}");
        }
    }
}
