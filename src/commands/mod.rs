//! What the program does for each command of its command line.
//!
//! A command goes to the phone that runs for the home, if one does; else it works on the files or
//! starts a phone of its own. Nothing here decides anything about calls.

mod ask;
mod call;
mod config;
mod contact;
mod daemon;
mod devices;
mod doctor;
mod echo;
mod fail;
mod host;
mod id;
mod invite;
mod lend;
mod log;
mod manual;
mod out;
mod phone;
mod relay;
mod relay_status;
mod requests;
mod screen;
mod setup;
mod signals;
mod ssh;
mod steer;
mod words;

use twocan::api;
use twocan::cli::{Cli, Color, Command};

pub use fail::Failure;
pub use out::say;
use setup::Setup;

/// Carries out the command line.
///
/// # Errors
/// What went wrong, with its exit code.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    match cli.global.color {
        Color::Auto => {}
        Color::Always => crossterm::style::force_color_output(true),
        Color::Never => crossterm::style::force_color_output(false),
    }
    let setup = Setup::new(cli.global)?;
    // These work without a home, and with a damaged configuration.
    match cli.command {
        Some(Command::Ssh(args)) => return ssh::run(&args),
        Some(Command::Completions { shell }) => return manual::completions(shell),
        Some(Command::Man { dir }) => return manual::man(&dir),
        Some(Command::Config { command }) => return config::run(&setup, command),
        _ => {}
    }
    let setup = setup.with_key_file()?;
    match cli.command {
        None => screen::run(&setup, cli.engine).await,
        Some(command) => carry_out(&setup, command).await,
    }
}

async fn carry_out(setup: &Setup, command: Command) -> Result<(), Failure> {
    match command {
        Command::Id { command } => id::run(setup, command),
        Command::Invite(args) => invite::run(setup, &args).await,
        Command::Contact { command } => contact::run(setup, command).await,
        Command::Requests { command } => requests::run(setup, command).await,
        Command::Announce { standing } => steer::announce(setup, standing).await,
        Command::Daemon(engine) => daemon::run(setup, engine).await,
        Command::Watch { levels } => daemon::watch(setup, levels).await,
        Command::Call(args) => call::run(setup, args).await,
        Command::Hangup => steer::run(setup, api::Command::Hangup { call: None }).await,
        Command::Answer { muted } => {
            steer::run(setup, api::Command::Answer { call: None, muted }).await
        }
        Command::Decline => steer::run(setup, api::Command::Decline { call: None }).await,
        Command::Mute { to } => {
            let to = steer::switch(to);
            steer::run(setup, api::Command::Mute { to }).await
        }
        Command::Record { to } => {
            let to = steer::switch(to);
            steer::run(setup, api::Command::Record { call: None, to }).await
        }
        Command::Hold { to } => {
            let to = steer::switch(to);
            steer::run(setup, api::Command::Hold { call: None, to }).await
        }
        Command::Text { name, line } => {
            steer::run(
                setup,
                api::Command::Text {
                    peer: name,
                    text: line,
                },
            )
            .await
        }
        Command::Status => steer::status(setup).await,
        Command::Relay(args) => relay::run(setup, args).await,
        Command::Devices { command } => devices::run(setup, command).await,
        Command::Doctor { command } => doctor::run(setup, command).await,
        Command::Ssh(args) => ssh::run(&args),
        Command::Echo(args) => echo::run(setup, args).await,
        Command::Config { command } => config::run(setup, command),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { dir } => manual::man(&dir),
    }
}
