//! The 32 bytes everything lasting is derived from, and their 24 words.

use std::fmt;

use bip39::{Language, Mnemonic};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The secret behind an identity. Wiped when dropped, never printed.
///
/// As words it is an English BIP39 mnemonic of 24 words, of which only the entropy is used: the
/// BIP39 passphrase and seed derivation play no part. Keys come from HKDF-SHA256 (RFC 5869) without
/// salt, with the seed as input keying material and a fixed label as info.
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Seed {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Seed(bytes)
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Seed {
        Seed(Zeroizing::new(bytes))
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 24 words, lower case, one space between two.
    pub fn to_words(&self) -> Zeroizing<String> {
        let mnemonic = Mnemonic::from_entropy_in(Language::English, &*self.0)
            .expect("32 bytes are a length that BIP39 allows");
        let mut line = Zeroizing::new(String::with_capacity(WORDS * 9));
        for (at, word) in mnemonic.words().enumerate() {
            if at > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
        line
    }

    /// Reads 24 words, in any case, with any white space or commas between them.
    ///
    /// # Errors
    /// Names the word that is not on the list, the wrong count, or says that the words do not fit
    /// together.
    pub fn from_words(text: &str) -> Result<Seed, SeedError> {
        let words: Zeroizing<Vec<String>> = Zeroizing::new(
            text.split(|c: char| c.is_whitespace() || c == ',')
                .filter(|word| !word.is_empty())
                .map(str::to_lowercase)
                .collect(),
        );
        for (at, word) in words.iter().enumerate() {
            if Language::English.find_word(word).is_none() {
                return Err(unknown_word(at, word));
            }
        }
        if words.len() != WORDS {
            return Err(SeedError::Count(words.len()));
        }
        let line = Zeroizing::new(words.join(" "));
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &line)
            .map_err(|_| SeedError::Checksum)?;
        let (entropy, length) = mnemonic.to_entropy_array();
        let entropy = Zeroizing::new(entropy);
        let mut bytes = [0; 32];
        if length != bytes.len() {
            return Err(SeedError::Count(words.len()));
        }
        bytes.copy_from_slice(&entropy[..32]);
        Ok(Seed::from_bytes(bytes))
    }

    /// Secret of the Ed25519 identity key.
    pub(super) fn identity_secret(&self) -> Zeroizing<[u8; 32]> {
        self.derive(b"twocan/1 identity")
    }

    /// Key for a backup of the contacts that only the owner of the words can read.
    pub fn store_key(&self) -> Zeroizing<[u8; 32]> {
        self.derive(b"twocan/1 store")
    }

    fn derive(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &*self.0)
            .expand(label, &mut *key)
            .expect("HKDF-SHA256 yields up to 8160 bytes");
        key
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed([redacted])")
    }
}

/// Why words are not a seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// `at` counts from 1. Holds a word that is *not* part of any seed, so it may be shown.
    #[error("word {at}, \"{word}\", is not on the list{hint}")]
    UnknownWord {
        at: usize,
        word: String,
        hint: String,
    },
    #[error("24 words are needed, these are {0}")]
    Count(usize),
    #[error(
        "each word is on the list, but together they are not a seed: \
         one is wrong or two are swapped; compare them with your paper"
    )]
    Checksum,
}

fn unknown_word(at: usize, word: &str) -> SeedError {
    let word: String = word
        .chars()
        .filter(|c| c.is_alphanumeric())
        .take(16)
        .collect();
    // The first four letters tell all BIP39 words apart.
    let mut stem: &str = &word;
    let hint = loop {
        let alike = Language::English.words_by_prefix_iter(stem).next();
        if let Some(first) = alike.filter(|_| stem.len() >= 3) {
            break format!(": is it \"{first}\"?");
        }
        let Some((end, _)) = stem.char_indices().next_back() else {
            break String::new();
        };
        stem = &stem[..end];
    };
    SeedError::UnknownWord {
        at: at + 1,
        word,
        hint,
    }
}

const WORDS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_bip39_vectors() {
        let zeros = Seed::from_bytes([0; 32]).to_words();
        assert_eq!(*zeros, format!("{}art", "abandon ".repeat(23)));
        let ones = Seed::from_bytes([0xff; 32]).to_words();
        assert_eq!(*ones, format!("{}vote", "zoo ".repeat(23)));
    }

    #[test]
    fn words_come_back_whatever_the_case_and_the_spaces() {
        let bytes: [u8; 32] = std::array::from_fn(|at| at as u8 * 7);
        let words = Seed::from_bytes(bytes).to_words();
        let messy = format!("  {}\n", words.to_uppercase().replace(' ', ",\t "));
        assert_eq!(Seed::from_words(&messy).map(|s| *s.as_bytes()), Ok(bytes));
    }

    #[test]
    fn errors_name_the_word() {
        let words = Seed::from_bytes([3; 32]).to_words();
        let mut list: Vec<&str> = words.split(' ').collect();
        list[6] = "acheive";
        let error = Seed::from_words(&list.join(" ")).map(|_| ());
        let text = error.expect_err("not a word").to_string();
        assert!(text.starts_with("word 7, \"acheive\""), "{text}");

        let short = list[..5].join(" ");
        assert_eq!(
            Seed::from_words(&short).map(|_| ()),
            Err(SeedError::Count(5))
        );
        let wrong = "abandon ".repeat(24);
        assert_eq!(
            Seed::from_words(&wrong).map(|_| ()),
            Err(SeedError::Checksum)
        );
        assert_eq!(Seed::from_words("").map(|_| ()), Err(SeedError::Count(0)));
    }

    /// Computed with Python: `hmac` twice, as RFC 5869 says, over a seed of 32 bytes 0x01.
    #[test]
    fn derived_keys_are_fixed() {
        let seed = Seed::from_bytes([1; 32]);
        let hex = |key: &[u8; 32]| key.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(&seed.identity_secret()), IDENTITY);
        assert_eq!(hex(&seed.store_key()), STORE);
    }

    const IDENTITY: &str = "9eb94d479551844ad50b85133827673322d101871667f3a02bb54e0674961ba3";
    const STORE: &str = "e81c3c0ef36999bb87b0bd2a61ee6a632d72ee471f7ae3ac5c515952bee75ce7";
}
