//! What every command starts from: where the files are, and what the configuration says.

use std::fs;
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;
use twocan::cli::{Exit, Global};
use twocan::config::{Config, ConfigError, position};
use twocan::disk::{DiskError, Home};
use twocan::tui::keys::{Keymap, KeysError};

use super::fail::Failure;

/// The options and places of this run.
#[derive(Debug)]
pub struct Setup {
    pub global: Global,
    pub home: Home,
    config: PathBuf,
}

impl Setup {
    /// # Errors
    /// When the user has no home directory and gives none.
    pub fn new(global: Global) -> Result<Setup, Failure> {
        let home = match &global.home {
            Some(dir) => Home::at(dir),
            None => Home::xdg()?,
        };
        let config = global.config.clone().unwrap_or_else(|| home.config_file());
        Ok(Setup {
            global,
            home,
            config,
        })
    }

    /// The same home with the key where the configuration says. A wrong configuration is an error
    /// for every command that reads the home.
    ///
    /// # Errors
    /// As [`Setup::config`].
    pub fn with_key_file(mut self) -> Result<Setup, Failure> {
        let key_file = self.config()?.identity.key_file;
        if !key_file.as_os_str().is_empty() {
            let beside = self.config.parent().unwrap_or(Path::new(""));
            self.home = self.home.with_identity_key(beside.join(key_file));
        }
        Ok(self)
    }

    pub fn config_path(&self) -> &Path {
        &self.config
    }

    /// The configuration; the defaults if there is no file and none was asked for.
    ///
    /// # Errors
    /// When the file is wrong anywhere, its keys and its log filter included.
    pub fn config(&self) -> Result<Config, Failure> {
        let config = match &self.global.config {
            Some(path) => Config::load(path)?,
            None => Config::load_or_default(&self.config)?,
        };
        Keymap::new(&config.keys).map_err(|error| self.wrong_keys(&error))?;
        EnvFilter::try_new(&config.log.filter).map_err(|error| {
            let message = format!("`{}` is no log filter: {error}", config.log.filter);
            self.wrong(&["log", "filter"], message)
        })?;
        Ok(config)
    }

    fn wrong_keys(&self, error: &KeysError) -> Failure {
        let name = match error {
            KeysError::NoSuchAction { name } | KeysError::NotAKey { name, .. } => name.as_str(),
            KeysError::Duplicate { first, second, .. } => self.named(first, second),
            KeysError::Needed { name } => name,
        };
        self.wrong(&["keys", name], error.to_string())
    }

    fn wrong(&self, place: &[&str], message: String) -> Failure {
        ConfigError::at(&self.config, &self.text(), place, message).into()
    }

    /// Of two actions, the one that the file speaks of.
    fn named<'a>(&self, first: &'a str, second: &'a str) -> &'a str {
        match position(&self.text(), &["keys", second]) {
            Some(_) => second,
            None => first,
        }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.config).unwrap_or_default()
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Failure {
        let exit = match error {
            DiskError::InUse { .. } => Exit::Home,
            DiskError::PetnameTaken(_) => Exit::Usage,
            DiskError::Stretching | DiskError::Random(_) => Exit::Other,
            _ => Exit::Config,
        };
        Failure::new(exit, error)
    }
}
