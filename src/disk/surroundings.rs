//! What is remembered of the network: nodes that answered, and what the contacts are told.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::api::Standing;
use crate::disk::{DiskError, Home, atomic};

/// Nothing here is worth an error: without it the phone takes longer to find the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    #[serde(default)]
    pub standing: Standing,
    /// Multiaddrs of nodes that were of use, the best first.
    #[serde(default)]
    pub nodes: Vec<String>,
}

impl Surroundings {
    /// Those of the last run; the default if there are none or the file makes no sense.
    pub fn load(home: &Home) -> Surroundings {
        let text = fs::read_to_string(home.network_file()).unwrap_or_default();
        let mut found: Surroundings = toml::from_str(&text).unwrap_or_default();
        found.nodes.truncate(MOST_NODES);
        found
    }

    pub fn save(&self, home: &Home) -> Result<(), DiskError> {
        let text = toml::to_string(self).expect("words and lists of words are TOML");
        atomic::replace(&home.network_file(), text.as_bytes())
    }
}

/// More are not needed to find back.
const MOST_NODES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_is_known_again_and_nonsense_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::at(dir.path());
        assert_eq!(Surroundings::load(&home), Surroundings::default());
        let known = Surroundings {
            standing: Standing::DoNotDisturb,
            nodes: vec!["/ip4/192.0.2.1/tcp/4001".to_owned()],
        };
        known.save(&home).expect("saved");
        assert_eq!(Surroundings::load(&home), known);
        for nonsense in ["standing = 3", "nodes = [1]", "\0", "[[["] {
            fs::write(home.network_file(), nonsense).expect("written");
            assert_eq!(Surroundings::load(&home), Surroundings::default());
        }
    }

    #[test]
    fn a_swollen_file_does_not_swell_the_phone() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::at(dir.path());
        let many = Surroundings {
            nodes: vec!["x".to_owned(); 10_000],
            ..Surroundings::default()
        };
        many.save(&home).expect("saved");
        assert_eq!(Surroundings::load(&home).nodes.len(), MOST_NODES);
    }
}
