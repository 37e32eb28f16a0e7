//! `twocan daemon` and `twocan watch`: the phone without a screen, and what happens on it.

use twocan::api::Command;
use twocan::cli::{EngineArgs, Exit};

use super::fail::Failure;
use super::phone::Phone;
use super::setup::Setup;
use super::signals::{Signals, Stop};
use super::{out, words};

/// Runs the phone until a signal or [`Command::Quit`] ends it. A terminal that goes away does not.
///
/// # Errors
/// When the phone cannot be started, or with Ctrl-C.
pub async fn run(setup: &Setup, engine: EngineArgs) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut phone = Phone::own(setup, engine).await?;
    let ended = loop {
        tokio::select! {
            stop = signals.next() => match stop {
                Stop::Hangup => {}
                Stop::Terminate => break Ok(()),
                Stop::Interrupt => break Err(Failure::silent(Exit::Interrupted)),
            },
            event = phone.event() => match event {
                Some(event) if setup.global.json => {
                    // A reader that is gone does not end the phone: others may use it.
                    let _ = out::json(&event);
                }
                Some(event) => words::tell(setup, &event.event),
                None => break Ok(()),
            },
        }
    };
    phone.close().await;
    ended
}

/// Prints what happens on the running phone until that ends.
///
/// # Errors
/// When none runs, nobody reads any more, or with a signal.
pub async fn watch(setup: &Setup, levels: bool) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut phone = Phone::running(setup).await?;
    phone.request(Command::Listen { levels }).await?;
    loop {
        let event = tokio::select! {
            _ = signals.next() => return Err(Failure::silent(Exit::Interrupted)),
            event = phone.event() => event,
        };
        match event {
            Some(event) if setup.global.json => out::json(&event)?,
            Some(event) => {
                if let Some(line) = words::line(&event.event) {
                    out::line(line)?;
                }
            }
            None => return Ok(()),
        }
    }
}
