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
    let first = PREFIX_LEN + 1;
    if SYMBOLS.abs_diff(symbols.len()) <= 1
        && let Some(slip) = locate::locate::<Bech32m>(HRP, symbols, first, fits)
    {
        return match slip {
            Slip::Missing { at, .. } if at == first + symbols.len() => IdError::EndsEarly(1),
            slip => IdError::Slip(slip),
        };
    }
    if symbols.len() == SYMBOLS
        && let Some(slip) = locate::locate_two::<Bech32m>(HRP, symbols, first, fits)
    {
        return IdError::Slip(slip);
    }
    if let Some(slip) = locate::first_illegal(symbols, first) {
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

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::peer::{Identity, Seed};

    /// Made by another implementation of BIP 350 from the key of seed 01 01 .. 01.
    const KNOWN: &str = "tc1q8rfru33z0xuy8t6nc6nsgun2gv87qc3pwxppcu5cnwpuguw4ufcxjntdrd";
    const ALPHABET: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

    fn sample() -> PeerId {
        Identity::from_seed(&Seed::from_bytes([1; 32])).id()
    }

    fn slip(text: &str) -> Result<Slip, IdError> {
        match text.parse::<PeerId>() {
            Err(IdError::Slip(slip)) => Ok(slip),
            Err(error) => Err(error),
            Ok(_) => panic!("accepted {text}"),
        }
    }

    #[test]
    fn known_answer_and_back() {
        let id = sample();
        assert_eq!(id.to_string(), KNOWN);
        assert_eq!(KNOWN.len(), PeerId::LEN);
        assert_eq!(KNOWN.parse(), Ok(id));
        assert_eq!(KNOWN.to_uppercase().parse(), Ok(id));
        assert_eq!(format!(" {KNOWN}\n").parse(), Ok(id));
        assert_eq!(id.short(), "q8rfru33");
        assert_eq!(format!("{id:?}"), "PeerId(q8rfru33)");
        let json = serde_json::to_string(&id).expect("a string");
        assert_eq!(json, format!("\"{KNOWN}\""));
        assert_eq!(serde_json::from_str::<PeerId>(&json).ok(), Some(id));
    }

    #[test]
    fn points_of_small_or_mixed_order_are_refused() {
        let sound = ED25519_BASEPOINT_POINT;
        for (at, torsion) in EIGHT_TORSION.iter().enumerate() {
            let weak = torsion.compress().to_bytes();
            assert_eq!(PeerId::from_bytes(weak), Err(IdError::BadKey), "point {at}");
            let mixed = (sound + torsion).compress().to_bytes();
            assert_eq!(PeerId::from_bytes(mixed).is_ok(), at == 0, "point {at}");
        }
    }

    #[test]
    fn encodings_that_are_not_canonical_are_refused() {
        // p + k for every k that fits, with both signs; and zero x with a sign.
        for k in 0..19 {
            for sign in [0, 0x80] {
                let mut bytes = [0xff; 32];
                bytes[0] = 0xed + k;
                bytes[31] = 0x7f | sign;
                assert_eq!(PeerId::from_bytes(bytes), Err(IdError::BadKey));
            }
        }
        let mut minus_zero = [0; 32];
        (minus_zero[0], minus_zero[31]) = (1, 0x80);
        assert_eq!(PeerId::from_bytes(minus_zero), Err(IdError::BadKey));
        assert_eq!(
            PeerId::from_bytes([0x55; 32]).is_err(),
            !is_sound(&[0x55; 32])
        );
    }

    #[test]
    fn every_wrong_character_is_pointed_at() {
        for at in 0..PeerId::LEN {
            let old = char::from(KNOWN.as_bytes()[at]);
            for new in ' '..='~' {
                if new == old {
                    continue;
                }
                let text = format!("{}{new}{}", &KNOWN[..at], &KNOWN[at + 1..]);
                if at < PREFIX_LEN || (new == ' ' && at == PeerId::LEN - 1) {
                    assert!(text.parse::<PeerId>().is_err(), "{text}");
                    continue;
                }
                let at = at + 1;
                let expected = if new.is_ascii_uppercase() {
                    Slip::MixedCase { at, found: new }
                } else if ALPHABET.contains(new) {
                    Slip::Wrong { at, is: old }
                } else {
                    Slip::Illegal {
                        at,
                        found: new,
                        is: Some(old),
                    }
                };
                assert_eq!(slip(&text), Ok(expected), "{text}");
            }
        }
    }

    #[test]
    fn left_out_doubled_and_swapped_characters_are_pointed_at() {
        for at in PREFIX_LEN..PeerId::LEN {
            let (head, tail) = (&KNOWN[..at], &KNOWN[at + 1..]);
            let old = char::from(KNOWN.as_bytes()[at]);
            let missing = slip(&format!("{head}{tail}"));
            match missing {
                Err(error) => assert_eq!((error, at), (IdError::EndsEarly(1), PeerId::LEN - 1)),
                Ok(Slip::Missing { at: found, is }) => {
                    assert_eq!(is, old);
                    assert!(KNOWN[found - 1..=at].chars().all(|c| c == old));
                }
                Ok(other) => panic!("{other}"),
            }
            for new in ALPHABET.chars() {
                let text = format!("{head}{new}{old}{tail}");
                let Ok(Slip::Extra { at: found, .. }) = slip(&text) else {
                    panic!("{text}: {:?}", slip(&text));
                };
                assert!(text[found - 1..=at].chars().all(|c| c == new));
            }
            let next = tail.chars().next().filter(|next| *next != old);
            if let Some(next) = next {
                let text = format!("{head}{next}{old}{}", &tail[1..]);
                assert_eq!(slip(&text), Ok(Slip::Swapped { at: at + 1 }));
            }
        }
    }

    #[test]
    fn cut_and_overlong_ids_are_counted() {
        for length in 0..PREFIX_LEN {
            assert_eq!(KNOWN[..length].parse::<PeerId>(), Err(IdError::Prefix));
        }
        for length in PREFIX_LEN..PeerId::LEN {
            let cut = KNOWN[..length].parse::<PeerId>();
            assert_eq!(cut, Err(IdError::EndsEarly(PeerId::LEN - length)));
        }
        let long = format!("{KNOWN}qqpq");
        assert_eq!(long.parse::<PeerId>(), Err(IdError::TooLong(4)));
        assert!(
            format!("tc1{}", "q".repeat(1 << 20))
                .parse::<PeerId>()
                .is_err()
        );
        assert!("tc1é\u{202e}".parse::<PeerId>().is_err());
    }

    /// Up to four substitutions are beyond luck: bech32m promises to notice them.
    #[test]
    fn several_wrong_characters_are_never_accepted() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let line: Vec<Fe32> = KNOWN[PREFIX_LEN..]
            .chars()
            .map(|c| Fe32::from_char(c).expect("legal"))
            .collect();
        for _ in 0..100_000 {
            let mut bad = line.clone();
            for _ in 0..2 + rng.next_u32() % 3 {
                let at = rng.next_u32() as usize % SYMBOLS;
                bad[at] = Fe32::try_from((rng.next_u32() % 32) as u8).expect("below 32");
            }
            assert_eq!(locate::checks::<Bech32m>(HRP, &bad), bad == line);
        }
    }

    #[test]
    fn two_wrong_characters_are_both_pointed_at() {
        let text = format!("{}p{}zz{}", &KNOWN[..10], &KNOWN[11..30], &KNOWN[32..]);
        let (is, other_is) = (
            char::from(KNOWN.as_bytes()[10]),
            char::from(KNOWN.as_bytes()[30]),
        );
        assert_ne!((is, other_is), ('p', 'z'));
        let found = slip(&text.replacen("zz", &format!("z{}", &KNOWN[31..32]), 1));
        assert_eq!(
            found,
            Ok(Slip::TwoWrong {
                at: 11,
                is,
                other: 31,
                other_is
            })
        );
    }

    #[test]
    fn an_id_of_another_version_says_so() {
        let mut payload = [2; 33];
        payload[1..].copy_from_slice(sample().as_bytes());
        let text = bech32::encode::<Bech32m>(HRP, &payload).expect("short");
        assert_eq!(text.parse::<PeerId>(), Err(IdError::Version(2)));
    }
}
