//! Asking the person at the terminal.

use std::io::{self, BufRead, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use twocan::cli::Exit;
use zeroize::Zeroizing;

use super::fail::Failure;
use super::out;
use super::setup::Setup;

/// Asks for one line.
///
/// # Errors
/// When nobody is there to be asked; `flag` then says how to give the answer instead.
pub fn line(setup: &Setup, question: &str, flag: &str) -> Result<String, Failure> {
    if setup.global.no_input || !io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::Usage,
            format!("{question} is missing: give it with {flag}"),
        ));
    }
    out::prompt(format_args!("{question}: "));
    Ok(read_line()?.trim().to_owned())
}

/// Asks for the passphrase, which is not shown. Without a terminal it is the next line of standard
/// input.
///
/// # Errors
/// When nothing may be asked, or there is nothing to read.
pub fn passphrase(setup: &Setup, question: &str) -> Result<Zeroizing<String>, Failure> {
    if setup.global.no_input {
        return Err(Failure::new(
            Exit::Config,
            format!("{question} is needed, and --no-input forbids to ask"),
        ));
    }
    if !io::stdin().is_terminal() {
        return read_line();
    }
    out::prompt(format_args!("{question}: "));
    let echo = Echo::off()?;
    let answer = read_line();
    drop(echo);
    out::say("");
    answer
}

/// All of standard input, for what is too long to be asked or too secret to be an argument.
///
/// # Errors
/// When it cannot be read or is no text.
pub fn everything() -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    io::stdin()
        .lock()
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|error| unread(&error))?;
    Ok(text)
}

fn read_line() -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    io::stdin()
        .lock()
        .take(LONGEST)
        .read_line(&mut text)
        .map_err(|error| unread(&error))?;
    if text.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "standard input ended before the answer",
        ));
    }
    let length = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(length);
    Ok(text)
}

fn unread(error: &io::Error) -> Failure {
    Failure::new(Exit::Other, format!("cannot read standard input: {error}"))
}

/// Keeps the terminal from showing what is typed, while it lives.
struct Echo(Termios);

impl Echo {
    fn off() -> Result<Echo, Failure> {
        let refused = |error: rustix::io::Errno| {
            Failure::new(Exit::Other, format!("cannot hide what is typed: {error}"))
        };
        let before = tcgetattr(io::stdin()).map_err(refused)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).map_err(refused)?;
        Ok(Echo(before))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Bytes of input that are read at most.
const LONGEST: u64 = 64 * 1024;
