//! Writing what stands under one name, and reading it.

use std::fmt;

use crate::directory::record::Fields;
use crate::directory::sealed::{BLOB, Seal};
use crate::directory::{Content, Name, Spot};
use crate::peer::{BlindKey, Blinder};

/// Writes the records of one spot in one period. Only the owner of the identity can have one.
pub struct Pen {
    name: Name,
    key: BlindKey,
    seal: Seal,
}

/// A sealed content: what stays the same from one renewal to the next.
pub type Blob = [u8; BLOB];

impl Pen {
    /// The pen of the identity behind `blinder`, whatever `spot` says about the writer.
    pub fn new(blinder: &Blinder, spot: &Spot, period: u64) -> Pen {
        let key = blinder.key(&spot.secret, period);
        let name = Name(key.public());
        let seal = Seal::new(&spot.secret, &name, period);
        Pen { name, key, seal }
    }

    pub fn name(&self) -> Name {
        self.name
    }

    /// Seals `content`. `fresh` should be random.
    ///
    /// What is beyond the limits is left out: four devices with one longest relay each always fit,
    /// and where there is no room for all relays, the last ones of the devices with most go first.
    pub fn seal(&self, content: &Content, fresh: &[u8; 32]) -> Blob {
        self.seal.seal(&content.encode(), fresh)
    }

    /// The record: `sequence` in milliseconds, `validity` in seconds, both since 1970.
    pub fn sign(&self, blob: &Blob, sequence: u64, validity: u64) -> Vec<u8> {
        Fields::sign(&self.key, blob, sequence, validity).write()
    }
}

impl fmt::Debug for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pen({:?})", self.name)
    }
}

/// What a record says that stood under the name of `spot` in `period`. It has to be checked before:
/// see [`crate::directory::check`].
pub fn open(spot: &Spot, period: u64, value: &[u8]) -> Option<Content> {
    let blob = Fields::read(value)?.blob();
    let plain = Seal::new(&spot.secret, &spot.name(period), period).open(blob)?;
    Content::decode(&plain[..], &spot.writer)
}
