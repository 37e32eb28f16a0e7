//! The screen: contacts, calls, history and the first start in a terminal.
//!
//! [`mod@model`] is what is shown, [`update`] what a key or a message of the engine does to it,
//! [`view`] how it looks, [`driver`] the loop around them. The engine is only known as a [`Link`].

mod act;
pub mod action;
pub mod call;
mod clip;
pub mod devices;
pub mod driver;
mod echo;
pub mod glyphs;
pub mod keys;
pub mod model;
mod news;
pub mod notify;
mod options;
pub mod painter;
mod plain;
pub mod popup;
pub mod quality;
mod recording;
mod requests;
mod terminal;
pub mod theme;
mod times;
mod typing;
pub mod update;
pub mod view;
mod wander;
mod wizard;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::api;
use crate::peer::SafeText;
use crate::tui::devices::Came;
use crate::tui::driver::{Driver, Keys, Settings};
use crate::tui::glyphs::Glyphs;
use crate::tui::keys::{Keymap, KeysError};
use crate::tui::model::{Look, Model};
use crate::tui::notify::Surroundings;
use crate::tui::painter::Screen;

pub use options::Options;
pub use wizard::{NameStep, Outcome};

/// The two ends of the way to the engine, wherever it lives.
#[derive(Debug)]
pub struct Link {
    pub commands: mpsc::Sender<api::Request>,
    pub messages: mpsc::Receiver<api::Message>,
}

/// Peaks of the microphone (0..1), ten a second, while the first start tests the sound. Dropping
/// the receiver ends the test.
#[derive(Debug)]
pub struct SoundTest {
    pub levels: mpsc::Receiver<f32>,
}

/// How the screen ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The person left. An engine of this process was sent [`api::Command::Quit`].
    Left,
    /// SIGTERM, SIGHUP or SIGINT: an engine of this process still has to be shut down.
    Stopped,
}

/// Why the screen could not go on. The terminal is restored in every case.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    #[error("the terminal failed: {0}")]
    Terminal(#[from] io::Error),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("the phone behind this screen has ended; start twocan again")]
    EngineGone,
    #[error("the terminal was taken away")]
    Torn,
}

/// Shows the screen until the person leaves; line mode where the terminal is none.
///
/// # Errors
/// See [`ScreenError`].
pub async fn run(link: Link, options: Options) -> Result<Exit, ScreenError> {
    run_with_sound_test(link, options, None).await
}

/// The same for a first start whose sound step shows the levels of `test`.
///
/// # Errors
/// See [`ScreenError`].
pub async fn run_with_sound_test(
    link: Link,
    options: Options,
    test: Option<SoundTest>,
) -> Result<Exit, ScreenError> {
    let stop = stopped()?;
    let model = model(&options)?;
    if is_plain(&options) {
        return plain::run(link, model, stop).await;
    }
    let settings = settings(&options);
    let screen = Screen::open(options.log)?;
    Driver::new(screen, Keys::default(), link, model, settings)
        .with_sound_test(test)
        .run(stop)
        .await
}

/// The first step of the first start, before there is an engine: asks the name. None if the person
/// leaves. `guess` stands in the field.
///
/// # Errors
/// See [`ScreenError`].
pub async fn ask_name(options: &Options, guess: &str) -> Result<Option<SafeText>, ScreenError> {
    let model = model(options)?;
    let mut step = NameStep::new(guess);
    if is_plain(options) {
        return Ok(plain::ask_name(guess).await?);
    }
    let mut screen = Screen::open(options.log.clone())?;
    let stop = stopped()?;
    let mut keys = Keys::default();
    tokio::select! {
        () = stop => Ok(None),
        name = wizard::ask(&mut step, &model, &mut keys, |step, model| screen.draw_name(step, model)) => Ok(name?),
    }
}

/// An empty model that looks as the options say.
///
/// # Errors
/// The keys of the options contradict each other.
pub fn model(options: &Options) -> Result<Model, KeysError> {
    let look = Look {
        theme: options.theme,
        glyphs: Glyphs::choose(options.glyphs, variable),
        keymap: Arc::new(Keymap::new(&options.keys)?),
        zone: TimeZone::system(),
        borders: true,
    };
    let mut model = Model::new(look, jiff::Timestamp::UNIX_EPOCH);
    model.came = variable("SSH_CONNECTION").and_then(|connection| {
        let user = variable("USER").or_else(|| variable("LOGNAME"));
        Came::by_ssh(&connection, user.as_deref())
    });
    model.attached = options.attached;
    model.first_run = options.first_run;
    Ok(model)
}

/// Line mode is asked for, or the terminal can do no better.
fn is_plain(options: &Options) -> bool {
    let dumb = || variable("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let piped = || !io::stdout().is_terminal() || !io::stdin().is_terminal();
    options.plain.unwrap_or_else(|| dumb() || piped())
}

fn settings(options: &Options) -> Settings {
    let gap = Duration::from_millis(1000 / u64::from(options.rate.clamp(1, 10)));
    let far = variable("SSH_CONNECTION").is_some();
    Settings {
        gap,
        meter_gap: if far { gap.max(FAR_METER_GAP) } else { gap },
        bell: options.bell,
        desktop: options.desktop,
        surroundings: Surroundings::guess(variable),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Comes true at the first signal that asks the process to end.
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Meters over ssh: 5 a second.
const FAR_METER_GAP: Duration = Duration::from_millis(200);
