//! The options of the engine, which are flags as well.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bootstrap::Bootstrap;

/// How the engine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    pub listen: Listen,
    pub network: Network,
    /// Nodes through which the network is entered, each of the shape of a [`Bootstrap`].
    pub bootstrap: Vec<String>,
    /// Contacts on the same local network are looked for there.
    pub lan: bool,
    /// The gateway is asked to forward a port to this phone.
    pub port_mapping: bool,
    /// Calls of contacts are forwarded by a reflector in this process, where it can be reached.
    pub lend: bool,
    pub audio: AudioMode,
    pub answer: Answer,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine {
            listen: Listen::default(),
            network: Network::default(),
            bootstrap: Vec::new(),
            lan: true,
            port_mapping: true,
            lend: false,
            audio: AudioMode::default(),
            answer: Answer::default(),
        }
    }
}

impl Engine {
    /// Puts the settings of flags and environment over those of the file.
    ///
    /// # Errors
    /// Names the setting whose value does not exist.
    pub fn with(mut self, over: Overrides) -> Result<Engine, SettingError> {
        set(&mut self.listen, over.listen)?;
        set(&mut self.network, over.network)?;
        set(&mut self.audio, over.audio)?;
        set(&mut self.answer, over.answer)?;
        if !over.bootstrap.is_empty() {
            let read = over.bootstrap.iter().map(|text| text.parse());
            let read: Vec<Bootstrap> = read.collect::<Result<_, _>>()?;
            self.bootstrap = read.into_iter().map(String::from).collect();
        }
        self.lan = over.lan.unwrap_or(self.lan);
        self.port_mapping = over.port_mapping.unwrap_or(self.port_mapping);
        self.lend = over.lend.unwrap_or(self.lend);
        Ok(self)
    }
}

/// Engine settings as they were typed; those that were not are left alone.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub listen: Option<String>,
    pub network: Option<String>,
    pub bootstrap: Vec<String>,
    pub lan: Option<bool>,
    pub port_mapping: Option<bool>,
    pub lend: Option<bool>,
    pub audio: Option<String>,
    pub answer: Option<String>,
}

fn set<T: FromStr<Err = SettingError>>(
    field: &mut T,
    typed: Option<String>,
) -> Result<(), SettingError> {
    if let Some(text) = typed {
        *field = text.parse()?;
    }
    Ok(())
}

/// A value that does not exist, and what may stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no {what}: write {choices}")]
pub struct SettingError {
    value: String,
    what: &'static str,
    choices: &'static str,
}

impl SettingError {
    pub(super) fn new(value: &str, what: &'static str, choices: &'static str) -> SettingError {
        SettingError {
            value: value.to_owned(),
            what,
            choices,
        }
    }
}

/// The UDP address to listen on. Port 0 lets the phone choose, the same as last time if it is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Listen(SocketAddr);

impl Listen {
    pub fn addr(self) -> SocketAddr {
        self.0
    }
}

impl Default for Listen {
    fn default() -> Listen {
        Listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
    }
}

impl FromStr for Listen {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Listen, SettingError> {
        text.parse().map(Listen).map_err(|_| SettingError {
            value: text.to_owned(),
            what: "address to listen on",
            choices: "IP:PORT, such as 0.0.0.0:0 or [::]:4000",
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which network of other phones is used to find people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The network that everybody shares.
    #[default]
    Public,
    /// One of our own, of ultrapeers that are found by those named in `bootstrap`.
    Private,
    /// None: calls go by the addresses in invites.
    None,
}

impl FromStr for Network {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Network, SettingError> {
        match text {
            "public" => Ok(Network::Public),
            "private" => Ok(Network::Private),
            "none" => Ok(Network::None),
            _ => Err(SettingError {
                value: text.to_owned(),
                what: "network",
                choices: "public, private or none",
            }),
        }
    }
}

/// Where sound comes from and goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AudioMode {
    /// The computer's microphone and loudspeaker.
    #[default]
    Cpal,
    /// Silence in, nothing out.
    Null,
    /// A file as the microphone, a file instead of the loudspeaker.
    Wav { input: PathBuf, output: PathBuf },
}

impl FromStr for AudioMode {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<AudioMode, SettingError> {
        let files = text
            .strip_prefix("wav:")
            .and_then(|files| files.split_once(','));
        match (text, files) {
            ("cpal", _) => Ok(AudioMode::Cpal),
            ("null", _) => Ok(AudioMode::Null),
            (_, Some((input, output))) if !input.is_empty() && !output.is_empty() => {
                Ok(AudioMode::Wav {
                    input: input.into(),
                    output: output.into(),
                })
            }
            _ => Err(SettingError {
                value: text.to_owned(),
                what: "sound backend",
                choices: "cpal, null or wav:IN.wav,OUT.wav",
            }),
        }
    }
}

impl fmt::Display for AudioMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AudioMode::Cpal => f.write_str("cpal"),
            AudioMode::Null => f.write_str("null"),
            AudioMode::Wav { input, output } => {
                write!(f, "wav:{},{}", input.display(), output.display())
            }
        }
    }
}

/// What happens when somebody rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A person has to answer.
    #[default]
    Manual,
    /// Contacts are answered at once, with the microphone open.
    Auto,
    /// Contacts are answered at once, and hear themselves two seconds later.
    Echo,
}

impl FromStr for Answer {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Answer, SettingError> {
        match text {
            "manual" => Ok(Answer::Manual),
            "auto" => Ok(Answer::Auto),
            "echo" => Ok(Answer::Echo),
            _ => Err(SettingError {
                value: text.to_owned(),
                what: "way to answer",
                choices: "auto, manual or echo",
            }),
        }
    }
}

macro_rules! as_string {
    ($($type:ty),*) => {$(
        impl TryFrom<String> for $type {
            type Error = SettingError;

            fn try_from(text: String) -> Result<Self, SettingError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    )*};
}

as_string!(Listen, AudioMode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_beat_the_file() {
        let file = Engine {
            network: Network::Private,
            bootstrap: vec!["/dnsaddr/file.example".to_owned()],
            ..Engine::default()
        };
        let over = Overrides {
            audio: Some("null".to_owned()),
            bootstrap: vec!["/dnsaddr/flag.example".to_owned()],
            lan: Some(false),
            ..Overrides::default()
        };
        let engine = file.with(over).expect("all of it exists");
        assert_eq!(engine.network, Network::Private);
        assert_eq!(engine.audio, AudioMode::Null);
        assert_eq!(engine.bootstrap, ["/dnsaddr/flag.example"]);
        assert!(!engine.lan);
    }

    #[test]
    fn a_wrong_flag_says_what_may_stand_there() {
        let over = Overrides {
            answer: Some("maybe".to_owned()),
            ..Overrides::default()
        };
        let error = Engine::default()
            .with(over)
            .expect_err("there is no such answer");
        assert_eq!(
            error.to_string(),
            "`maybe` is no way to answer: write auto, manual or echo"
        );
    }

    #[test]
    fn a_flag_that_is_no_address_is_named() {
        let over = Overrides {
            bootstrap: vec!["192.0.2.1:4001".to_owned()],
            ..Overrides::default()
        };
        let error = Engine::default().with(over).expect_err("no multiaddr");
        assert!(error.to_string().starts_with("`192.0.2.1:4001` is no"));
    }

    #[test]
    fn wav_needs_two_files() {
        for text in ["wav:", "wav:a.wav", "wav:,b.wav", "wav:a.wav,", "pulse"] {
            assert!(text.parse::<AudioMode>().is_err(), "{text} was taken");
        }
        let both: AudioMode = "wav:a b.wav,/c,d.wav".parse().expect("two files");
        assert_eq!(both.to_string(), "wav:a b.wav,/c,d.wav");
    }
}
