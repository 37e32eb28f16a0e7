//! Values that must not end up in a log.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A value whose `Debug` and `Display` say only that something is there.
///
/// For addresses, names and the like in log lines: not secret from the program, but nobody else's
/// business.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Redacted<T>(pub T);

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// A secret of 32 bytes: wiped when dropped, compared in constant time, never printed.
#[derive(Clone, Default)]
pub struct Secret32(Zeroizing<[u8; 32]>);

impl Secret32 {
    pub fn new(bytes: [u8; 32]) -> Secret32 {
        Secret32(Zeroizing::new(bytes))
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// True for the 32 zero bytes that stand for "no secret yet".
    pub fn is_zero(&self) -> bool {
        bool::from(self.0.ct_eq(&[0; 32]))
    }
}

impl From<[u8; 32]> for Secret32 {
    fn from(bytes: [u8; 32]) -> Secret32 {
        Secret32::new(bytes)
    }
}

impl PartialEq for Secret32 {
    fn eq(&self, other: &Secret32) -> bool {
        bool::from(self.0.ct_eq(&*other.0))
    }
}

impl Eq for Secret32 {}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

const HIDDEN: &str = "[redacted]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_secret_is_printed() {
        let secret = Secret32::new([0xab; 32]);
        assert_eq!(format!("{secret:?} {secret:#?}"), "[redacted] [redacted]");
        let address = Redacted("192.0.2.7:1");
        assert_eq!(format!("{address:?} {address}"), "[redacted] [redacted]");
    }

    #[test]
    fn secrets_compare_by_every_byte() {
        let one = Secret32::new([7; 32]);
        for at in 0..32 {
            let mut other = [7; 32];
            other[at] ^= 0x80;
            assert_ne!(one, Secret32::new(other), "byte {at}");
        }
        assert_eq!(one, one.clone());
        assert!(Secret32::default().is_zero() && !one.is_zero());
    }
}
