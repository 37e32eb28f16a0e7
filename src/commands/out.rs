//! Data to standard output, talk to standard error.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;
use twocan::cli::Exit;

use super::fail::Failure;

/// Writes one line of data.
///
/// # Errors
/// When nobody reads any more, or the disk behind a redirection is full.
pub fn line(data: impl Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{data}")
        .and_then(|()| stdout.flush())
        .map_err(|error| unwritten(&error))
}

/// Writes one line of JSON.
///
/// # Errors
/// As [`line`].
pub fn json(data: &impl Serialize) -> Result<(), Failure> {
    line(serde_json::to_string(data).map_err(|error| Failure::new(Exit::Other, error))?)
}

/// Says something to the person at the terminal. Nobody being there to read it is no failure.
pub fn say(talk: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{talk}");
}

/// A closed pipe (`twocan watch | head -1`) ends the command without a word.
fn unwritten(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(Exit::Other),
        _ => Failure::new(
            Exit::Other,
            format!("cannot write to standard output: {error}"),
        ),
    }
}
