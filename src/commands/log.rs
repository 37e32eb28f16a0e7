//! The log: one file for this home, readable by its owner only, with one older file beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use twocan::cli::{Exit, Global};
use twocan::config::Log;

use super::fail::Failure;
use super::out;

/// Starts logging: to `--log`, else to the file that the configuration names, else to `usual`.
///
/// # Errors
/// When the filter is none, or the file cannot be written.
pub fn start(global: &Global, log: &Log, usual: &Path) -> Result<(), Failure> {
    let filter = filter(global, log)?;
    let path = match &global.log {
        Some(path) => path,
        None if log.file.as_os_str().is_empty() => usual,
        None => &log.file,
    };
    let writer = if path.as_os_str() == "-" {
        BoxMakeWriter::new(io::stderr)
    } else {
        let file = Rotating::open(path).map_err(|error| {
            let path = path.display();
            Failure::new(
                Exit::Other,
                format!("{path}: cannot write the log: {error}; choose another place with --log"),
            )
        })?;
        if let Err(error) = out::part_from_noise(&file.file) {
            out::say(format!(
                "what sound libraries print will be seen here: {error}"
            ));
        }
        BoxMakeWriter::new(Mutex::new(file))
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(writer)
        .init();
    Ok(())
}

/// Flags, then the environment, then the configuration, whose filter has been checked.
fn filter(global: &Global, log: &Log) -> Result<EnvFilter, Failure> {
    let by_flag = match (global.quiet, global.verbose) {
        (true, _) => Some("error"),
        (_, 0) => None,
        (_, 1) => Some("twocan=debug"),
        (_, _) => Some("trace"),
    };
    if let Some(level) = by_flag {
        return Ok(EnvFilter::new(level));
    }
    match std::env::var("TWOCAN_LOG") {
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| {
            Failure::new(
                Exit::Usage,
                format!("TWOCAN_LOG={text} is no log filter: {error}"),
            )
        }),
        Err(_) => Ok(EnvFilter::new(&log.filter)),
    }
}

/// A file that becomes `NAME.old` when it has grown to [`LARGEST`].
struct Rotating {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Rotating {
    fn open(path: &Path) -> io::Result<Rotating> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let length = file.metadata()?.len();
        Ok(Rotating {
            path: path.to_owned(),
            file,
            length,
        })
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(".old");
        fs::rename(&self.path, old)?;
        *self = Rotating::open(&self.path)?;
        Ok(())
    }
}

impl Write for Rotating {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.length >= LARGEST {
            self.turn()?;
        }
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Bytes after which a new file is begun.
const LARGEST: u64 = 5_000_000;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_full_log_moves_aside_and_both_are_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("twocan.log");
        let mut log = Rotating::open(&path).expect("a new file");
        log.length = LARGEST;
        fs::write(&path, "before").expect("a small file");
        log.write_all(b"after").expect("written");
        let old = dir.path().join("twocan.log.old");
        assert_eq!(fs::read_to_string(&old).expect("moved"), "before");
        assert_eq!(fs::read_to_string(&path).expect("new"), "after");
        for file in [&path, &old] {
            let mode = fs::metadata(file).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
