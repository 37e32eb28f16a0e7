//! Data to standard output, talk to standard error.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;

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
    prompt(format_args!("{talk}\n"));
}

/// The same without an end of the line.
pub fn prompt(talk: impl Display) {
    let _ = match TALK.get() {
        Some(mut file) => write!(file, "{talk}"),
        None => write!(io::stderr().lock(), "{talk}"),
    };
}

/// From now on only this program's own words reach standard error; what libraries print there goes
/// to `noise`. ALSA is not to be stopped otherwise.
///
/// # Errors
/// When the system refuses; then everything stays as it was.
pub fn part_from_noise(noise: &File) -> io::Result<()> {
    let talk = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    if TALK.set(talk).is_ok() {
        rustix::stdio::dup2_stderr(noise)?;
        std::panic::set_hook(Box::new(|panic| say(panic)));
    }
    Ok(())
}

/// Standard error, once the noise has gone elsewhere.
static TALK: OnceLock<File> = OnceLock::new();

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
