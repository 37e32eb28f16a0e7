//! Bytes as words to be read aloud: the PGP word list (Juola and Zimmermann, 1995).

/// The four words for a short authentication string.
///
/// Bytes at even positions take two-syllable words, bytes at odd positions three-syllable words, so
/// that a word left out or swapped with its neighbour is heard. All lower case.
pub fn sas(bytes: &[u8; 4]) -> [String; 4] {
    let words = pgp_words::to_words(bytes);
    std::array::from_fn(|at| words[at].to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn known_answers_of_the_published_list() {
        let bytes = [0xe5, 0x82, 0x94, 0xf2];
        assert_eq!(sas(&bytes), ["topmost", "istanbul", "pluto", "vagabond"]);
        let bytes = [0xe9, 0xa2, 0x27, 0x48];
        assert_eq!(
            sas(&bytes),
            ["treadmill", "pacific", "brackish", "dictator"]
        );
    }

    /// The digest was computed from the list that magic-wormhole 0.24 carries: all 256 even words
    /// in lower case, then all 256 odd words, a line feed after each.
    #[test]
    fn the_whole_list_agrees_with_an_independent_copy() {
        let mut digest = Sha256::new();
        let mut seen = BTreeSet::new();
        for place in 0..2 {
            for byte in 0..=255 {
                let word = sas(&[byte; 4])[place].clone();
                digest.update(&word);
                digest.update("\n");
                seen.insert(word);
            }
        }
        let expected = "0847bcad4a09374ec628019e7c3e3eeee1dfa2f3870168eaa306310eeda40ff5";
        let got: String = digest
            .finalize()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(got, expected);
        assert_eq!(seen.len(), 512);
    }
}
