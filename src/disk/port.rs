//! The port of the last run.

use std::fs;
use std::path::Path;

use crate::disk::{DiskError, Home, atomic};

/// The remembered UDP port of the phone; `None` if there is none or the file makes no sense, since any port will do.
pub fn load_port(home: &Home) -> Option<u16> {
    read(&home.port_file())
}

/// Remembers `port` for the next run.
pub fn save_port(home: &Home, port: u16) -> Result<(), DiskError> {
    write(&home.port_file(), port)
}

pub(super) fn read(path: &Path) -> Option<u16> {
    let text = fs::read_to_string(path).ok()?;
    text.trim().parse().ok().filter(|&port| port != 0)
}

pub(super) fn write(path: &Path, port: u16) -> Result<(), DiskError> {
    atomic::replace(path, format!("{port}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_remembered_and_nonsense_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::at(dir.path());
        assert_eq!(load_port(&home), None);
        save_port(&home, 40123).expect("saved");
        assert_eq!(load_port(&home), Some(40123));
        for nonsense in ["", "0", "65536", "-1", "a\n", "\0\u{1b}"] {
            fs::write(home.port_file(), nonsense).expect("written");
            assert_eq!(load_port(&home), None, "{nonsense:?}");
        }
    }
}
