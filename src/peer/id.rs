//! The name of a person: an Ed25519 public key that is safe to use, and how it is written.

use std::fmt;
use std::str::FromStr;

use bech32::{Bech32m, Checksum, Fe32, Fe32IterExt, Hrp};
use curve25519_dalek::edwards::CompressedEdwardsY;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::locate::{self, Slip};

/// Whose identity: the Ed25519 identity key `I`, which is known to lie in the prime-order group.
///
/// Written as bech32m (BIP 350) with prefix `tc`, over the byte 1 and the key: 62 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// Characters of a written ID.
    pub const LEN: usize = 62;

    /// # Errors
    /// [`IdError::BadKey`] for bytes that are not the one canonical encoding of a point of large
    /// prime order. Other points let one signature or one identity pass for several.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<PeerId, IdError> {
        if is_sound(&bytes) {
            Ok(PeerId(bytes))
        } else {
            Err(IdError::BadKey)
        }
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight characters after `tc1`, to tell apart people of the same name.
    pub fn short(&self) -> String {
        self.to_string().chars().skip(PREFIX_LEN).take(8).collect()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut payload = [VERSION; 33];
        payload[1..].copy_from_slice(&self.0);
        let text = bech32::encode::<Bech32m>(HRP, &payload).map_err(|_| fmt::Error)?;
        f.pad(&text)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.short())
    }
}

impl FromStr for PeerId {
    type Err = IdError;

    /// Reads all lower or all upper case; white space around it is ignored.
    fn from_str(text: &str) -> Result<PeerId, IdError> {
        let text = text.trim();
        let prefix: String = text.chars().take(PREFIX_LEN).collect();
        let upper = prefix == PREFIX.to_ascii_uppercase();
        if prefix != PREFIX && !upper {
            return Err(IdError::Prefix);
        }
        let symbols = read_symbols(&text[PREFIX_LEN..], upper)?;
        let values: Option<Vec<Fe32>> = symbols.iter().map(|(_, fe)| *fe).collect();
        match values {
            Some(line) if line.len() == SYMBOLS && locate::checks::<Bech32m>(HRP, &line) => {
                from_symbols(&line)
            }
            _ => Err(diagnose(&symbols)),
        }
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PeerId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Why something is not an ID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    #[error("this is not an ID: an ID starts with \"tc1\" and has 62 characters")]
    Prefix,
    #[error("this ID is damaged: {0}")]
    Slip(#[from] Slip),
    #[error("the ID ends early: {0} of its 62 characters are missing")]
    EndsEarly(usize),
    #[error("the ID is too long: it has {0} characters more than 62")]
    TooLong(usize),
    #[error("this ID is damaged in several places: copy it again")]
    Damaged,
    #[error("this ID is of a kind ({0}) that this twocan does not know: update twocan")]
    Version(u8),
    #[error("this ID is no safe key: nobody can have made it by a proper program")]
    BadKey,
}

/// True for the canonical encoding of a point of the prime-order group other than zero.
pub(super) fn is_sound(bytes: &[u8; 32]) -> bool {
    let Some(point) = CompressedEdwardsY(*bytes).decompress() else {
        return false;
    };
    point.compress().as_bytes() == bytes && !point.is_small_order() && point.is_torsion_free()
}

fn read_symbols(text: &str, upper: bool) -> Result<Vec<(char, Option<Fe32>)>, Slip> {
    // Two more than needed show that it is too long; the rest of a huge text is not worth reading.
    let mut symbols = Vec::with_capacity(SYMBOLS + 2);
    for (at, found) in text.chars().take(READ_AT_MOST).enumerate() {
        if found.is_ascii_alphabetic() && found.is_ascii_uppercase() != upper {
            let at = PREFIX_LEN + 1 + at;
            return Err(Slip::MixedCase { at, found });
        }
        symbols.push((found, Fe32::from_char(found.to_ascii_lowercase()).ok()));
    }
    Ok(symbols)
}

fn diagnose(symbols: &locate::Symbols) -> IdError {
    let fits = |line: &[Fe32]| line.len() == SYMBOLS;
    let near = SYMBOLS.abs_diff(symbols.len()) <= 1;
    if near && let Some(slip) = locate::locate::<Bech32m>(HRP, symbols, PREFIX_LEN + 1, fits) {
        return match slip {
            Slip::Missing { at, .. } if at > PREFIX_LEN + symbols.len() => IdError::EndsEarly(1),
            slip => IdError::Slip(slip),
        };
    }
    if let Some(slip) = locate::first_illegal(symbols, PREFIX_LEN + 1) {
        IdError::Slip(slip)
    } else if symbols.len() < SYMBOLS {
        IdError::EndsEarly(SYMBOLS - symbols.len())
    } else if symbols.len() > SYMBOLS {
        IdError::TooLong(symbols.len() - SYMBOLS)
    } else {
        IdError::Damaged
    }
}

fn from_symbols(line: &[Fe32]) -> Result<PeerId, IdError> {
    let data = &line[..SYMBOLS - Bech32m::CHECKSUM_LENGTH];
    let payload: Vec<u8> = data.iter().copied().fes_to_bytes().collect();
    // 33 bytes leave one bit over in 53 characters; it has one value, so that an ID is written in
    // one way only.
    let padding = data[data.len() - 1].to_u8() & 1;
    match payload.split_first() {
        Some((&VERSION, key)) if padding == 0 => {
            let key = key.try_into().map_err(|_| IdError::Damaged)?;
            PeerId::from_bytes(key)
        }
        Some((&VERSION, _)) | None => Err(IdError::Damaged),
        Some((&other, _)) => Err(IdError::Version(other)),
    }
}

const VERSION: u8 = 1;
const HRP: Hrp = Hrp::parse_unchecked("tc");
const PREFIX: &str = "tc1";
const PREFIX_LEN: usize = PREFIX.len();
/// Characters after the prefix: 53 for 33 bytes, and the checksum.
const SYMBOLS: usize = PeerId::LEN - PREFIX_LEN;
const READ_AT_MOST: usize = 1000;
