//! Bytes as hexadecimal text in our TOML files.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// `N` bytes, written as `2 N` hexadecimal digits. Wiped when dropped, since most are secrets.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(super) struct Hex<const N: usize>(pub [u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let digits = text.as_bytes();
        if digits.len() != 2 * N {
            let why = format!(
                "{} hexadecimal digits are needed, these are {}",
                2 * N,
                digits.len()
            );
            return Err(de::Error::custom(why));
        }
        let mut bytes = Hex([0; N]);
        for (at, digit) in digits.iter().enumerate() {
            let Some(value) = char::from(*digit).to_digit(16) else {
                let why = format!("character {} is not a hexadecimal digit", at + 1);
                return Err(de::Error::custom(why));
            };
            bytes.0[at / 2] |= (value as u8) << if at % 2 == 0 { 4 } else { 0 };
        }
        Ok(bytes)
    }
}

/// Lower-case digits.
pub(super) fn encode(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        for value in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(value)]));
        }
    }
    text
}
