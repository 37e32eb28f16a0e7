//! One engine a home.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::disk::{DiskError, Home};

/// The right to write in a home; given back when dropped, or by the system when the process dies.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

impl HomeLock {
    /// Takes the home, making its directories if they are missing.
    ///
    /// # Errors
    /// [`DiskError::InUse`] while another process (or another lock of this one) has it.
    pub fn acquire(home: &Home) -> Result<HomeLock, DiskError> {
        HomeLock::take(home, home.lock_file())
    }

    /// The same for an ultrapeer, which may run beside a phone of the same home.
    ///
    /// # Errors
    /// As [`HomeLock::acquire`].
    pub fn acquire_relay(home: &Home) -> Result<HomeLock, DiskError> {
        HomeLock::take(home, home.relay_lock())
    }

    fn take(home: &Home, path: PathBuf) -> Result<HomeLock, DiskError> {
        home.create()?;
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(&path).map_err(DiskError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let path = home.data_dir().to_owned();
                let holder = holder(&mut file);
                return Err(DiskError::InUse { path, holder });
            }
            Err(TryLockError::Error(error)) => return Err(DiskError::io("lock", &path)(error)),
        }
        // Only for the words of the error above: losing it does no harm.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(HomeLock { _file: file })
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_waits_for_the_first_to_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::at(dir.path().join("home"));
        let first = HomeLock::acquire(&home).expect("free");
        let error = HomeLock::acquire(&home).expect_err("taken");
        assert!(error.is_in_use());
        let words = format!("another twocan (process {}) uses ", std::process::id());
        assert!(error.to_string().starts_with(&words), "{error}");
        drop(first);
        HomeLock::acquire(&home).expect("free again");
    }
}
