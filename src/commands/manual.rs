//! `twocan man` and `twocan completions`: what belongs beside the program.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use twocan::cli::{Cli, Exit};

use super::fail::Failure;
use super::out;

/// Writes the manual pages into `dir`, which is made if it is not there.
///
/// # Errors
/// When they cannot be written.
pub fn man(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(|error| unwritten(dir, &error))?;
    for (name, text) in PAGES {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|error| unwritten(&path, &error))?;
        out::say(format!("wrote {}", path.display()));
    }
    Ok(())
}

/// Prints the completion script for a shell.
///
/// # Errors
/// When nobody reads it.
pub fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "twocan", &mut script);
    out::line(String::from_utf8_lossy(&script).trim_end())
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::new(
        Exit::Other,
        format!("cannot write {path}: {error}; give a directory of yours"),
    )
}

/// The pages by file name.
const PAGES: &[(&str, &str)] = &[
    ("twocan.1", include_str!("../../man/twocan.1")),
    (
        "twocan-protocol.7",
        include_str!("../../man/twocan-protocol.7"),
    ),
];
