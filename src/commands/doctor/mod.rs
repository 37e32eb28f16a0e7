//! `twocan doctor net`: what kind of network this computer is in, and what that means for calls; and
//! `twocan doctor audio`: the same of its sound.
//!
//! It really asks: through a node and a UDP port of its own, beside a phone that may be running.

mod asking;
mod audio;
mod findings;
mod judge;
mod words;

use twocan::cli::{DoctorCommand, EngineArgs, Exit};

use super::fail::Failure;
use super::setup::Setup;
use super::{host, log, out};

/// Carries out `twocan doctor ...`.
///
/// # Errors
/// When the configuration is wrong, or calls cannot work here.
pub async fn run(setup: &Setup, command: DoctorCommand) -> Result<(), Failure> {
    match command {
        DoctorCommand::Net(args) => net(setup, args).await,
        DoctorCommand::Audio => audio::run(setup).await,
    }
}

async fn net(setup: &Setup, args: EngineArgs) -> Result<(), Failure> {
    let config = setup.config()?;
    let settings = config.engine.clone().with(host::overrides(args)?)?;
    // It may be the first command of all.
    setup.home.create()?;
    log::start(&setup.global, &config.log, &setup.home.log())?;
    out::say("Asking around; this takes up to 20 seconds.");
    let findings = asking::ask(&setup.home, &settings).await?;
    if setup.global.json {
        out::json(&findings)?;
    } else {
        for line in words::report(&findings) {
            out::line(line)?;
        }
    }
    match findings.trouble() {
        None => Ok(()),
        Some(why) => Err(Failure::new(Exit::Other, why)),
    }
}
