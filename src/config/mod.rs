//! `config.toml`: what may stand in it, what holds when it does not, and what to say when it is wrong.
//!
//! The file is read, never written: settings that the program changes by itself live elsewhere, and
//! comments survive. It holds no secret. A setting given by flag or environment beats the file, the
//! file beats the defaults, and every default is in the `Default` impls of this module.

mod bootstrap;
mod engine;
mod error;
mod sections;

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use bootstrap::Bootstrap;
pub use engine::{Answer, AudioMode, Engine, Listen, Network, Overrides, SettingError};
pub use error::{ConfigError, position};
pub use sections::{
    EchoCancelling, Glyphs, Identity, Keys, Log, Notify, Rate, Sound, Sounds, Theme, Ui,
};

/// The whole file.
///
/// The engine's options stand at its top, under the names that they have as flags; everything else
/// has a table of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "File", into = "File")]
pub struct Config {
    pub engine: Engine,
    pub identity: Identity,
    pub sound: Sound,
    pub sounds: Sounds,
    pub ui: Ui,
    pub notify: Notify,
    pub log: Log,
    pub keys: Keys,
}

impl Config {
    /// Reads a file that has to be there.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or holds an option or a value that does not exist; the
    /// error names the file, the line and the column.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        Config::parse(&text, path)
    }

    /// Like [`Config::load`], but a file that is not there means the defaults.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_or_default(path: &Path) -> Result<Config, ConfigError> {
        match fs::read_to_string(path) {
            Ok(text) => Config::parse(&text, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Config::default()),
            Err(error) => Err(ConfigError::unreadable(path, &error)),
        }
    }

    /// Reads `text`; `path` is only for the error.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::from_toml(path, text, &error))
    }

    /// The config as TOML, every option written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("plain tables of strings, numbers and lists are always TOML")
    }
}

/// The commented file with every option at its default, as `config.example.toml` shows it.
pub const TEMPLATE: &str = include_str!("../../config.example.toml");

/// How the options lie in the file.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    listen: Listen,
    network: Network,
    bootstrap: Vec<Bootstrap>,
    lan: bool,
    port_mapping: bool,
    lend: bool,
    audio: AudioMode,
    answer: Answer,
    identity: Identity,
    sound: Sound,
    sounds: Sounds,
    ui: Ui,
    notify: Notify,
    log: Log,
    keys: Keys,
}

impl Default for File {
    fn default() -> File {
        File::from(Config::default())
    }
}

impl From<File> for Config {
    fn from(file: File) -> Config {
        Config {
            engine: Engine {
                listen: file.listen,
                network: file.network,
                bootstrap: file.bootstrap.into_iter().map(String::from).collect(),
                lan: file.lan,
                port_mapping: file.port_mapping,
                lend: file.lend,
                audio: file.audio,
                answer: file.answer,
            },
            identity: file.identity,
            sound: file.sound,
            sounds: file.sounds,
            ui: file.ui,
            notify: file.notify,
            log: file.log,
            keys: file.keys,
        }
    }
}

impl From<Config> for File {
    fn from(config: Config) -> File {
        File {
            listen: config.engine.listen,
            network: config.engine.network,
            bootstrap: entries(config.engine.bootstrap),
            lan: config.engine.lan,
            port_mapping: config.engine.port_mapping,
            lend: config.engine.lend,
            audio: config.engine.audio,
            answer: config.engine.answer,
            identity: config.identity,
            sound: config.sound,
            sounds: config.sounds,
            ui: config.ui,
            notify: config.notify,
            log: config.log,
            keys: config.keys,
        }
    }
}

/// The addresses as they stand in the file. They were read by the same rule, so none is left out.
fn entries(addresses: Vec<String>) -> Vec<Bootstrap> {
    let read = addresses.iter().filter_map(|text| text.parse().ok());
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("c.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(parse(""), Ok(Config::default()));
    }

    #[test]
    fn the_template_is_every_default_and_nothing_else() {
        let template: toml::Table = toml::from_str(TEMPLATE).expect("the template is TOML");
        let defaults: toml::Table =
            toml::from_str(&Config::default().to_toml()).expect("the defaults are TOML");
        assert_eq!(template, defaults);
    }

    #[test]
    fn what_is_written_out_is_read_back() {
        let text = "listen = '127.0.0.1:4000'\nnetwork = 'none'\naudio = 'wav:in.wav,out.wav'\n\
                    answer = 'auto'\nbootstrap = ['/dns4/node.example/tcp/4001']\nlan = false\n\
                    [keys]\nanswer = ['a', 'ctrl-y']\n[ui]\nglyphs = 'ascii'\nrate = 5\n";
        let config = parse(text).expect("all of it exists");
        assert_eq!(config.engine.listen.addr().port(), 4000);
        assert!(!config.engine.lan);
        assert_eq!(config.ui.rate.per_second(), 5);
        assert_eq!(parse(&config.to_toml()), Ok(config));
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let cases = [
            ("lisen = 'x'\n", "c.toml:1:1: unknown field `lisen`"),
            (
                "\n[ui]\nglyphs = 'emoji'\n",
                "c.toml:3:10: unknown variant `emoji`",
            ),
            ("listen = 'home'\n", "c.toml:1:10: `home` is no address"),
            (
                "audio = 'wav:in.wav'\n",
                "c.toml:1:9: `wav:in.wav` is no sound backend",
            ),
            (
                "bootstrap = ['/ip4/192.0.2.1/tcp/1',\n '/ip4/192.0.2.1/udp/1']\n",
                "c.toml:1:13: `/ip4/192.0.2.1/udp/1` is no address of a node",
            ),
            (
                "[ui]\nrate = 60\n",
                "c.toml:2:8: 60 is not between 1 and 10",
            ),
            ("[ui\n", "c.toml:1:4: "),
        ];
        for (text, start) in cases {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(start), "{text:?} gave {error:?}");
            assert!(
                error.contains("config template"),
                "{error:?} does not say what to do"
            );
        }
    }
}
