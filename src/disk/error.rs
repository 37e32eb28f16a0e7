//! What can be wrong with the files, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::peer::SafeText;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{}:{line}: {why}\n{remedy}. The file was left as it is.", path.display())]
    Damaged {
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        why: String,
        remedy: &'static str,
    },
    #[error(
        "{} can be read by others (mode {mode:04o}) and holds secrets; close it with:\n  \
         chmod 600 {}", path.display(), quoted(path)
    )]
    OpenToOthers { path: PathBuf, mode: u32 },
    #[error("there is already an identity in {}; it was not touched", .0.display())]
    IdentityExists(PathBuf),
    #[error("there is no identity in {} yet; make one with: twocan id new --name NAME", .0.display())]
    NoIdentity(PathBuf),
    #[error("{} is locked with a passphrase", .0.display())]
    PassphraseNeeded(PathBuf),
    #[error("that is not the passphrase of {} (or the file is damaged)", .0.display())]
    WrongPassphrase(PathBuf),
    #[error("{} was written by a newer twocan (format {version}): update twocan", path.display())]
    Newer { path: PathBuf, version: i64 },
    #[error("another twocan{} uses {}", process(*holder), path.display())]
    InUse { path: PathBuf, holder: Option<u32> },
    #[error("there is already a contact named {0:?}: choose another name")]
    PetnameTaken(SafeText),
    #[error("cannot find your home directory: set HOME, or say where with --home DIR")]
    NoHome,
    #[error("the passphrase could not be turned into a key: not enough memory (64 MiB are needed)")]
    Stretching,
    #[error("the disk does not keep up: the change was not kept")]
    Behind,
    #[error("the system has no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

impl DiskError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
        let path = path.to_owned();
        move |source| DiskError::Io {
            doing,
            path,
            source,
        }
    }

    /// True if another engine holds the home.
    pub fn is_in_use(&self) -> bool {
        matches!(self, DiskError::InUse { .. })
    }
}

fn process(holder: Option<u32>) -> String {
    holder.map_or(String::new(), |pid| format!(" (process {pid})"))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
