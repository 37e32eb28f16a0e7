//! Where the files are.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use crate::disk::DiskError;

/// The directories of one phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    config: PathBuf,
    data: PathBuf,
    state: PathBuf,
    runtime: PathBuf,
    /// Where the key is, if not among the data.
    key: Option<PathBuf>,
}

impl Home {
    /// Everything under one directory (`--home`).
    pub fn at(dir: impl Into<PathBuf>) -> Home {
        let dir = dir.into();
        Home {
            config: dir.clone(),
            data: dir.clone(),
            state: dir.clone(),
            runtime: dir,
            key: None,
        }
    }

    /// The places of the XDG base directory specification, or the platform's own.
    ///
    /// # Errors
    /// [`DiskError::NoHome`] if the user has no home directory.
    pub fn xdg() -> Result<Home, DiskError> {
        let dirs = ProjectDirs::from("", "", "twocan").ok_or(DiskError::NoHome)?;
        let data = dirs.data_dir().to_owned();
        let state = dirs.state_dir().unwrap_or(&data).to_owned();
        let runtime = dirs.runtime_dir().unwrap_or(&state).to_owned();
        Ok(Home {
            config: dirs.config_dir().to_owned(),
            data,
            state,
            runtime,
            key: None,
        })
    }

    /// The same places with the key in a file of its own, say on a stick.
    pub fn with_identity_key(self, file: impl Into<PathBuf>) -> Home {
        Home {
            key: Some(file.into()),
            ..self
        }
    }

    /// Makes the directories that are missing, closed to others.
    pub fn create(&self) -> Result<(), DiskError> {
        for dir in [&self.config, &self.data, &self.state, &self.runtime] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(DiskError::io("make the directory", dir))?;
        }
        Ok(())
    }

    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    pub fn identity_key(&self) -> PathBuf {
        let usual = || self.data.join("identity.key");
        self.key.clone().unwrap_or_else(usual)
    }

    pub fn contacts(&self) -> PathBuf {
        self.data.join("contacts.toml")
    }

    /// Passes of friends' reflectors.
    pub fn passes(&self) -> PathBuf {
        self.data.join("passes")
    }

    pub fn lock_file(&self) -> PathBuf {
        self.data.join("lock")
    }

    pub fn history(&self) -> PathBuf {
        self.state.join("history.jsonl")
    }

    pub fn log(&self) -> PathBuf {
        self.state.join("twocan.log")
    }

    /// Remembers the UDP port, so that the addresses in old invites stay good.
    pub fn port_file(&self) -> PathBuf {
        self.state.join("port")
    }

    /// The key of an ultrapeer, which is no phone.
    pub fn relay_key(&self) -> PathBuf {
        self.data.join("relay.key")
    }

    pub fn relay_lock(&self) -> PathBuf {
        self.data.join("relay.lock")
    }

    pub fn relay_log(&self) -> PathBuf {
        self.state.join("relay.log")
    }

    pub fn relay_port(&self) -> PathBuf {
        self.state.join("relay.port")
    }

    /// What friends of an ultrapeer's owner hold.
    pub fn relay_pass(&self) -> PathBuf {
        self.data.join("relay.pass")
    }

    pub fn relay_socket(&self) -> PathBuf {
        self.runtime.join("relay.sock")
    }

    /// Where recorded calls go, unless the settings say otherwise.
    pub fn recordings(&self) -> PathBuf {
        self.data.join("recordings")
    }

    /// Remembers what was known of the network.
    pub fn network_file(&self) -> PathBuf {
        self.state.join("network.toml")
    }

    pub fn socket(&self) -> PathBuf {
        self.runtime.join("control.sock")
    }

    /// Where the identity and the contacts are, for messages.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_directory_holds_everything_and_is_closed() {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = temp.path().join("deep/home");
        let home = Home::at(&dir);
        home.create().expect("made");
        home.create().expect("made already");
        let mode = dir.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        for file in [
            home.config_file(),
            home.identity_key(),
            home.socket(),
            home.history(),
        ] {
            assert_eq!(file.parent(), Some(dir.as_path()));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let temp = tempfile::NamedTempFile::new().expect("a file");
        let error = Home::at(temp.path().join("below"))
            .create()
            .expect_err("below a file");
        assert!(error.to_string().contains("below"), "{error}");
    }
}
