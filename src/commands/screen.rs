//! `twocan` alone: the screen, on the running phone or on one of its own.

use twocan::cli::{EngineArgs, Exit};
use twocan::control::{self, ConnectError, Link};
use twocan::disk::key;
use twocan::tui::{self, Options, ScreenError, SoundTest};

use super::fail::Failure;
use super::setup::Setup;
use super::{echo, host, id};

/// Shows the screen until the person leaves it.
///
/// # Errors
/// When there is no phone to show and none can be started, or the terminal fails.
pub async fn run(setup: &Setup, engine: EngineArgs) -> Result<(), Failure> {
    let mut options = Options::from_config(&setup.config()?);
    options.plain = setup.global.plain.then_some(true);
    options.log = Some(setup.home.log());
    match control::connect(&setup.home.socket()).await {
        Ok(link) => {
            options.attached = true;
            show(link, options, None).await
        }
        Err(ConnectError::NobodyThere(_)) => with_own_phone(setup, engine, options).await,
        Err(error) => Err(Failure::new(Exit::Home, error)),
    }
}

async fn with_own_phone(
    setup: &Setup,
    engine: EngineArgs,
    mut options: Options,
) -> Result<(), Failure> {
    if !key::exists(&setup.home) {
        if !first_start(setup, &options).await? {
            return Ok(());
        }
        options.first_run = true;
    }
    let config = setup.config()?;
    let settings = config
        .engine
        .clone()
        .with(host::overrides(engine.clone())?)?;
    let phone = host::start(setup, engine).await?;
    let test = options
        .first_run
        .then(|| echo::sound_test(host::audio(&settings, &config)));
    let shown = show(phone.link(), options, test).await;
    phone.stop().await;
    shown
}

/// Asks for a name and makes the identity; false if the person leaves instead.
async fn first_start(setup: &Setup, options: &Options) -> Result<bool, Failure> {
    if setup.global.no_input {
        let error = "there is no identity yet: make one with `twocan id new --name NAME`";
        return Err(Failure::new(Exit::Config, error));
    }
    setup.home.create()?;
    let guess = std::env::var("USER").unwrap_or_default();
    match tui::ask_name(options, &guess).await? {
        Some(name) => id::create_new(setup, name).map(|_| true),
        None => Ok(false),
    }
}

async fn show(link: Link, options: Options, test: Option<SoundTest>) -> Result<(), Failure> {
    let (commands, messages) = link;
    tui::run_with_sound_test(tui::Link { commands, messages }, options, test).await?;
    Ok(())
}

impl From<ScreenError> for Failure {
    fn from(error: ScreenError) -> Failure {
        let exit = match error {
            ScreenError::Keys(_) => Exit::Config,
            ScreenError::EngineGone => Exit::Home,
            _ => Exit::Other,
        };
        Failure::new(exit, error)
    }
}
