//! What is wrong with the file, and where.

use std::io;
use std::path::{Path, PathBuf};

/// A file that cannot be used. It was only read, so it is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Something in it is wrong; line and column count from 1.
    #[error(
        "{}:{line}:{column}: {message}. Correct that place (the file was left as it is); \
         `twocan config template` shows all options",
        path.display()
    )]
    Wrong {
        path: PathBuf,
        line: usize,
        column: usize,
        message: String,
    },
    /// It cannot be read at all.
    #[error("{}: {reason}. Give a file that can be read with --config, or none", path.display())]
    Unreadable { path: PathBuf, reason: String },
}

impl ConfigError {
    /// An error at the value of `keys` (table, then key), or at the file's start if there is none.
    pub fn at(path: &Path, text: &str, keys: &[&str], message: String) -> ConfigError {
        let (line, column) = position(text, keys).unwrap_or((1, 1));
        ConfigError::Wrong {
            path: path.to_owned(),
            line,
            column,
            message,
        }
    }

    pub(super) fn from_toml(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
        let (line, column) = place(text, error.span().map_or(0, |span| span.start));
        // The message goes into one line.
        let message = error.message().trim().replace('\n', "; ");
        ConfigError::Wrong {
            path: path.to_owned(),
            line,
            column,
            message,
        }
    }

    pub(super) fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
        ConfigError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }
}

/// Line and column, both from 1, of the value that `keys` leads to.
pub fn position(text: &str, keys: &[&str]) -> Option<(usize, usize)> {
    let root = toml::de::DeTable::parse(text).ok()?;
    let (last, tables) = keys.split_last()?;
    let mut table = root.get_ref();
    for key in tables {
        table = table.get(*key)?.get_ref().as_table()?;
    }
    Some(place(text, table.get(*last)?.span().start))
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_again() {
        let text = "audio = 'null'\n[keys]\n# comment\n'änswer' = 1\nanswer = ['a']\n";
        assert_eq!(position(text, &["keys", "answer"]), Some((5, 10)));
        assert_eq!(position(text, &["audio"]), Some((1, 9)));
        assert_eq!(position(text, &["keys", "nothing"]), None);
    }
}
