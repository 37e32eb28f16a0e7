//! From a key press to an action: the default keys of the table with the user's own laid over them.

use std::collections::BTreeMap;

use crokey::{KeyCombination, KeyCombinationFormat};
use crossterm::event::{KeyCode, KeyModifiers};

use crate::tui::action::{Action, Context, Entry, Situation, TABLE};

/// `[keys]` of the config file: action name to keys, in crokey syntax (`ctrl-l`, `shift-a` or `A`).
/// An empty list takes all keys from the action.
pub type Overrides = BTreeMap<String, Vec<String>>;

/// Which keys do what.
#[derive(Clone, Debug, PartialEq)]
pub struct Keymap {
    keys: BTreeMap<Action, Vec<KeyCombination>>,
}

/// What is wrong in `[keys]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("[keys] names the action \"{name}\", which does not exist; the manual lists them all")]
    NoSuchAction { name: String },
    #[error("[keys] {name}: \"{key}\" is not a key; write it like a, shift-a, ctrl-l, enter or f2")]
    NotAKey { name: String, key: String },
    #[error("[keys] gives {key} to both {first} and {second}, which are valid at the same time")]
    Duplicate {
        key: String,
        first: &'static str,
        second: &'static str,
    },
    #[error("[keys] leaves no key for {name}, which would lock you out")]
    Needed { name: &'static str },
}

impl Keymap {
    /// Lays `overrides` over the defaults.
    ///
    /// # Errors
    /// A name or key that does not exist, a key with two meanings in one situation, or no key left
    /// for an action that nobody can do without.
    pub fn new(overrides: &Overrides) -> Result<Keymap, KeysError> {
        if let Some(name) = overrides.keys().find(|name| row(name).is_none()) {
            return Err(KeysError::NoSuchAction { name: name.clone() });
        }
        let mut keys = BTreeMap::new();
        for entry in TABLE {
            keys.insert(entry.action, keys_of(entry, overrides)?);
        }
        let keymap = Keymap { keys };
        keymap.check()?;
        Ok(keymap)
    }

    /// What `key` means where `situation` is, and in which context it was found.
    pub fn find(&self, key: KeyCombination, situation: Situation) -> Option<(Action, Context)> {
        let key = plain(key);
        let contexts = situation.contexts();
        TABLE.iter().find_map(|entry| {
            let context = contexts
                .iter()
                .find(|context| entry.contexts.contains(context))?;
            self.keys[&entry.action]
                .contains(&key)
                .then_some((entry.action, *context))
        })
    }

    /// The keys of an action as a person writes them, the one to show first.
    pub fn shown(&self, action: Action) -> Vec<String> {
        self.keys[&action].iter().map(|key| show(*key)).collect()
    }

    /// The first key of an action, if it has one.
    pub fn first(&self, action: Action) -> Option<String> {
        let key = show(*self.keys[&action].first()?);
        // Hanging up wants the key twice, so that is how it is shown.
        Some(if action == Action::HangUp && key.chars().count() == 1 {
            key.repeat(2)
        } else {
            key
        })
    }

    /// The table's rows that are valid in a situation and have a key.
    pub fn valid(&self, situation: Situation) -> impl Iterator<Item = &'static Entry> {
        let contexts = situation.contexts();
        TABLE.iter().filter(move |entry| {
            entry
                .contexts
                .iter()
                .any(|context| contexts.contains(context))
                && !self.keys[&entry.action].is_empty()
        })
    }

    fn check(&self) -> Result<(), KeysError> {
        for situation in Situation::ALL {
            self.check_one(situation)?;
        }
        let needed = [
            Action::Answer,
            Action::HangUp,
            Action::Quit,
            Action::Submit,
            Action::Cancel,
            Action::Yes,
            Action::No,
        ];
        match TABLE
            .iter()
            .find(|entry| needed.contains(&entry.action) && self.keys[&entry.action].is_empty())
        {
            Some(entry) => Err(KeysError::Needed { name: entry.name }),
            None => Ok(()),
        }
    }

    fn check_one(&self, situation: Situation) -> Result<(), KeysError> {
        let mut taken: Vec<(KeyCombination, &'static str)> = Vec::new();
        for entry in self.valid(situation) {
            for key in &self.keys[&entry.action] {
                if let Some((_, first)) = taken.iter().find(|(other, _)| other == key) {
                    return Err(KeysError::Duplicate {
                        key: show(*key),
                        first,
                        second: entry.name,
                    });
                }
                taken.push((*key, entry.name));
            }
        }
        Ok(())
    }
}

impl Default for Keymap {
    fn default() -> Keymap {
        Keymap::new(&Overrides::new()).expect("a unit test loads the defaults")
    }
}

fn row(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.name == name)
}

fn keys_of(entry: &Entry, overrides: &Overrides) -> Result<Vec<KeyCombination>, KeysError> {
    let own: Vec<&str> = match overrides.get(entry.name) {
        Some(keys) => keys.iter().map(String::as_str).collect(),
        None => entry.keys.to_vec(),
    };
    own.into_iter()
        .map(|key| {
            parse(key).ok_or_else(|| KeysError::NotAKey {
                name: entry.name.to_owned(),
                key: key.to_owned(),
            })
        })
        .collect()
}

/// Crokey ignores case; a lone capital at the end means shift here, as people write it.
fn parse(text: &str) -> Option<KeyCombination> {
    let text = text.trim();
    let last = text.rsplit('-').next().unwrap_or(text);
    let capital = last.len() == 1 && last.chars().all(|c| c.is_ascii_uppercase());
    let spelled = if capital && !text.to_ascii_lowercase().contains("shift-") {
        format!("{}shift-{last}", &text[..text.len() - last.len()])
    } else {
        text.to_owned()
    };
    let key = crokey::parse(&spelled).ok()?;
    key.is_ansi_compatible().then(|| plain(key))
}

/// One spelling for one key: `?` arrives with or without shift, depending on the terminal.
fn plain(key: KeyCombination) -> KeyCombination {
    let mut key = key.normalized();
    if let KeyCode::Char(c) = *key.codes.first()
        && !c.is_alphabetic()
    {
        key.modifiers.remove(KeyModifiers::SHIFT);
    }
    key
}

fn show(key: KeyCombination) -> String {
    match *key.codes.first() {
        KeyCode::BackTab => "Shift-Tab".to_owned(),
        KeyCode::Up if key.modifiers.is_empty() => "Up".to_owned(),
        _ => KeyCombinationFormat::default()
            .with_implicit_shift()
            .to_string(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(name: &str, keys: &[&str]) -> Overrides {
        Overrides::from([(
            name.to_owned(),
            keys.iter().map(|key| (*key).to_owned()).collect(),
        )])
    }

    #[test]
    fn the_defaults_load_without_duplicates() {
        assert!(Keymap::new(&Overrides::new()).is_ok());
    }

    #[test]
    fn own_keys_replace_the_defaults() {
        let keymap = Keymap::new(&overrides("mute", &["f2", "U"])).expect("valid");
        let here = Situation::Call;
        let key = |text: &str| parse(text).expect("a key");
        assert_eq!(
            keymap.find(key("f2"), here).map(|found| found.0),
            Some(Action::Mute)
        );
        assert_eq!(
            keymap.find(key("shift-u"), here).map(|found| found.0),
            Some(Action::Mute)
        );
        assert_eq!(keymap.find(key("m"), here), None);
        assert_eq!(keymap.shown(Action::Mute), ["F2", "U"]);
    }

    #[test]
    fn mistakes_are_named() {
        let error =
            |name: &str, keys: &[&str]| Keymap::new(&overrides(name, keys)).expect_err("refused");
        assert_eq!(
            error("mutte", &["m"]),
            KeysError::NoSuchAction {
                name: "mutte".into()
            }
        );
        assert_eq!(
            error("mute", &["hyper-m"]),
            KeysError::NotAKey {
                name: "mute".into(),
                key: "hyper-m".into()
            }
        );
        assert_eq!(
            error("mute", &[""]),
            KeysError::NotAKey {
                name: "mute".into(),
                key: String::new()
            }
        );
        assert_eq!(
            error("hold", &["m"]),
            KeysError::Duplicate {
                key: "m".into(),
                first: "mute",
                second: "hold"
            }
        );
        assert_eq!(error("answer", &[]), KeysError::Needed { name: "answer" });
    }

    #[test]
    fn shift_on_a_sign_is_no_other_key() {
        let keymap = Keymap::default();
        let question = KeyCombination::one_key(KeyCode::Char('?'), KeyModifiers::SHIFT);
        let found = keymap.find(question, Situation::Contacts { in_call: false });
        assert_eq!(found.map(|found| found.0), Some(Action::Help));
    }
}
