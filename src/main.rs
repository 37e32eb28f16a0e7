//! The program: reads the command line, carries it out, and ends with the right code.

mod commands;

use std::process::ExitCode;

use twocan::cli::{Cli, Exit};
use twocan::disk;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    if let Err(error) = disk::harden() {
        tracing::warn!("cannot keep debuggers and core dumps away: {error}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(commands::run(cli)),
        Err(error) => Err(commands::Failure::new(Exit::Other, error)),
    };
    match ended {
        Ok(()) => Exit::Ok.code().into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                commands::say(format!("twocan: {}", failure.message));
            }
            failure.exit.code().into()
        }
    }
}

/// Help and version are no errors, and go to standard output.
fn usage(error: &clap::Error) -> ExitCode {
    let exit = if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Ok
    };
    // With nobody left to read it there is nothing more to say.
    let _ = error.print();
    exit.code().into()
}
