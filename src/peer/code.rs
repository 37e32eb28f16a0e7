//! The checksum at the end of an invite line.

use bech32::{Checksum, Fe32, Fe1024};

/// The checksum of BIP 93 for long strings ("long codex32"): 15 characters, a BCH code over GF(32).
///
/// Its generator has eight consecutive roots in GF(1024), so by the BCH bound two valid lines of
/// equal length, up to 1023 characters, differ in at least 9 places. Therefore up to 8 wrong
/// characters are always noticed, up to 4 can be pointed at without doubt, and any other damage
/// passes with a chance of 2^-75.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongCode {}

impl Checksum for LongCode {
    type MidstateRepr = u128;
    type CorrectionField = Fe1024;
    const ROOT_GENERATOR: Fe1024 = Fe1024::new([Fe32::Y, Fe32::_9]);
    const ROOT_EXPONENTS: std::ops::RangeInclusive<usize> = 1020..=1027;
    const CODE_LENGTH: usize = 1023;
    const CHECKSUM_LENGTH: usize = 15;
    const GENERATOR_SH: [u128; 5] = [
        0x3d59d273535ea62d897,
        0x7a9becb6361c6c51507,
        0x543f9b7e6c38d8a2a0e,
        0x0c577eaeccf1990d13c,
        0x1887f74f8dc71b10651,
    ];
    const TARGET_RESIDUE: u128 = 0x43381e570bf4798ab26;
}

#[cfg(test)]
mod tests {
    use bech32::CorrectableError;
    use bech32::primitives::decode::UncheckedHrpstring;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn the_constants_fit_together() {
        LongCode::sanity_check();
    }

    /// Only a code of distance 9 or more lets four errors be found, so this checks the constants.
    #[test]
    fn any_four_errors_can_be_found() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let hrp = bech32::Hrp::parse("twocan").expect("a valid prefix");
        let line = bech32::encode::<LongCode>(hrp, &[0x5a; 92]).expect("short enough");
        for _ in 0..2000 {
            let mut bytes = line.clone().into_bytes();
            let mut expected = Vec::new();
            while expected.len() < 4 {
                let back = (rng.next_u32() % 160) as usize;
                let at = bytes.len() - 1 - back;
                let old = Fe32::from_char(char::from(bytes[at])).expect("legal");
                let new = Fe32::try_from((rng.next_u32() % 32) as u8).expect("below 32");
                if new != old && expected.iter().all(|&(other, _)| other != back) {
                    bytes[at] = new.to_char() as u8;
                    expected.push((back, old + new));
                }
            }
            let text = String::from_utf8(bytes).expect("ASCII");
            let error = UncheckedHrpstring::new(&text)
                .expect("well-formed")
                .validate_checksum::<LongCode>()
                .expect_err("four errors");
            let context = error.correction_context::<LongCode>().expect("a residue");
            let mut found: Vec<_> = context.bch_errors().expect("correctable").collect();
            found.sort_by_key(|&(back, _)| back);
            expected.sort_by_key(|&(back, _)| back);
            assert_eq!(found, expected);
        }
    }
}
