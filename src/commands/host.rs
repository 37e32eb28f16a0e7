//! Carries a phone in this process: its engine, and the control socket through which others reach it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use twocan::audio::{self, Backend, Choices, Sounds, Tone};
use twocan::cli::{EngineArgs, Exit};
use twocan::config::{self, Answer, AudioMode, Config, Engine as Settings, Overrides};
use twocan::control::{Link, Server};
use twocan::disk::HomeLock;
use twocan::engine::{Answering, Engine, EngineError, Handle, Options};

use super::fail::Failure;
use super::lend::{self, Lent};
use super::setup::Setup;
use super::{id, log};

/// A phone in this process.
pub struct Hosted {
    handle: Handle,
    stop: Arc<Notify>,
    server: JoinHandle<()>,
    lent: Option<Lent>,
}

impl Hosted {
    /// A new conversation with the phone.
    pub fn link(&self) -> Link {
        self.handle.client()
    }

    /// Hangs up, makes everything lasting, and closes the control socket.
    pub async fn stop(self) {
        self.handle.stop();
        if let Err(error) = self.handle.ended().await {
            tracing::error!("{error}");
        }
        self.stop.notify_one();
        if let Err(error) = self.server.await {
            tracing::error!("control socket: {error}");
        }
        if let Some(lent) = self.lent {
            lent.stop().await;
        }
    }
}

/// Starts a phone with the options of the command line and the configuration.
///
/// # Errors
/// When another one holds the home, there is no identity, or something cannot be opened.
pub async fn start(setup: &Setup, args: EngineArgs) -> Result<Hosted, Failure> {
    let config = setup.config()?;
    let settings = config.engine.clone().with(overrides(args)?)?;
    log::start(&setup.global, &config.log, &setup.home.log())?;
    let mut keys = id::load(setup)?;
    keys.name = id::name(setup, &keys)?;
    let lock = HomeLock::acquire(&setup.home)?;
    let server =
        Server::bind(&setup.home.socket()).map_err(|error| Failure::new(Exit::Home, error))?;
    let lent = match settings.lend {
        true => lend::start(setup, &settings).await,
        false => None,
    };
    let handle = Engine::start(Options {
        home: setup.home.clone(),
        lock,
        keys,
        listen: settings.listen.addr(),
        audio: audio(&settings, &config),
        network: settings.network,
        bootstrap: settings.bootstrap.clone(),
        recordings: recordings(setup, &config),
        lan: settings.lan,
        port_mapping: settings.port_mapping,
        lending: lent.as_ref().map(Lent::lending),
        answering: match settings.answer {
            Answer::Manual => Answering::Manual,
            Answer::Auto => Answering::Auto,
            Answer::Echo => Answering::Echo,
        },
    })?;
    let stop = Arc::new(Notify::new());
    let server = {
        let (handle, stop) = (handle.clone(), stop.clone());
        tokio::spawn(async move {
            server.run(move || handle.client(), stop.notified()).await;
        })
    };
    Ok(Hosted {
        handle,
        stop,
        server,
        lent,
    })
}

/// Where recorded calls go.
fn recordings(setup: &Setup, config: &Config) -> PathBuf {
    let named = &config.sound.recordings;
    if named.as_os_str().is_empty() {
        return setup.home.recordings();
    }
    let beside = setup.config_path().parent().unwrap_or(Path::new(""));
    beside.join(named)
}

/// What the command line sets.
///
/// # Errors
/// When it names several addresses to listen on: a phone has one.
pub fn overrides(mut args: EngineArgs) -> Result<Overrides, Failure> {
    let listen = args.listen.pop();
    if !args.listen.is_empty() {
        let why = "--listen can be given once only, but for `twocan relay`";
        return Err(Failure::new(Exit::Usage, why));
    }
    Ok(Overrides {
        listen,
        network: args.network,
        bootstrap: args.bootstrap,
        lan: args.lan,
        port_mapping: args.port_mapping,
        lend: args.lend,
        audio: args.audio,
        answer: args.answer,
    })
}

/// How the sound side is set up.
pub fn audio(settings: &Settings, config: &Config) -> audio::Settings {
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let backend = match &settings.audio {
        AudioMode::Cpal => Backend::Cpal {
            input: named(&config.sound.microphone),
            output: named(&config.sound.speaker),
        },
        AudioMode::Null => Backend::Null,
        AudioMode::Wav { input, output } => Backend::Wav {
            input: input.clone(),
            output: output.clone(),
        },
    };
    let mut sound = audio::Settings {
        server: sound_server(config),
        cleaning: Choices {
            echo: config.sound.echo_cancelling,
            noise: config.sound.noise_suppression,
            gain: config.sound.automatic_gain,
        },
        ..audio::Settings::new(backend)
    };
    // What is written to a file is the call and nothing else.
    if settings.audio == AudioMode::Cpal && settings.answer != Answer::Echo {
        sound.sounds = sounds(&config.sounds);
    }
    sound
}

/// The tones that are not switched off.
fn sounds(config: &config::Sounds) -> Sounds {
    let allowed = [
        (config.ring, Tone::Ring),
        (config.ring_back, Tone::RingBack),
        (config.busy, Tone::Busy),
        (config.waiting, Tone::Waiting),
        (config.join, Tone::Join),
        (config.leave, Tone::Leave),
        (config.mute, Tone::MuteOn),
        (config.mute, Tone::MuteOff),
        (config.recording, Tone::Recording),
    ];
    let allowed = allowed.into_iter().filter(|(is_on, _)| *is_on);
    Sounds {
        allowed: allowed.map(|(_, tone)| tone).collect(),
        ringer: (!config.ringer.is_empty()).then(|| config.ringer.clone()),
    }
}

/// The only sound server that will do, if one was named.
pub fn sound_server(config: &Config) -> Option<String> {
    let by_environment = std::env::var("TWOCAN_AUDIO_SERVER").ok();
    let named = [by_environment, Some(config.sound.server.clone())];
    named
        .into_iter()
        .flatten()
        .find(|name| !name.trim().is_empty())
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        match error {
            EngineError::Disk(error) => error.into(),
            EngineError::Audio(error) => Failure::new(Exit::Audio, error),
            error => Failure::new(Exit::Other, error),
        }
    }
}
