//! What an ultrapeer keeps: its key in libp2p and its port, so that its address lines stay good.

use std::path::PathBuf;
use std::{fs, io};

use zeroize::Zeroizing;

use super::hex::{Hex, encode};
use super::{atomic, port};
use crate::disk::{DiskError, Home};

/// The secret half of the ultrapeer's Ed25519 key, made the first time. It names a node, not a
/// person, and has nothing to do with anybody's identity.
///
/// # Errors
/// When the file can be read by others or makes no sense; it is never written over.
pub fn relay_key(home: &Home) -> Result<Zeroizing<[u8; 32]>, DiskError> {
    kept(
        home.relay_key(),
        "Restore it from a backup, or move it away: a new one is made then, and the addresses of \
         this ultrapeer change",
    )
}

/// The secret that the owner's friends hold, made the first time.
///
/// # Errors
/// As [`relay_key`].
pub fn relay_pass(home: &Home) -> Result<Zeroizing<[u8; 16]>, DiskError> {
    kept(
        home.relay_pass(),
        "Restore it from a backup, or make a new one with `twocan relay pass --new` and tell your \
         friends",
    )
}

/// Makes another one in its place.
///
/// # Errors
/// When it cannot be written.
pub fn new_relay_pass(home: &Home) -> Result<Zeroizing<[u8; 16]>, DiskError> {
    let path = home.relay_pass();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DiskError::io("remove", &path)(error))
        }
        _ => relay_pass(home),
    }
}

/// A secret of hexadecimal digits, made if it is not there.
fn kept<const N: usize>(
    path: PathBuf,
    remedy: &'static str,
) -> Result<Zeroizing<[u8; N]>, DiskError> {
    if let Some(text) = atomic::read_secret(&path)? {
        let line = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text.trim());
        return match <Hex<N> as serde::Deserialize>::deserialize(line) {
            Ok(key) => Ok(Zeroizing::new(key.0)),
            Err(error) => Err(DiskError::Damaged {
                path,
                line: 1,
                why: error.to_string(),
                remedy,
            }),
        };
    }
    let mut key = Zeroizing::new([0; N]);
    getrandom::fill(&mut *key)?;
    let text = Zeroizing::new(format!("{}\n", encode(&*key).as_str()));
    atomic::create(&path, text.as_bytes())?;
    Ok(key)
}

/// The ultrapeer's port of the last run; `None` if there is none or the file makes no sense.
pub fn relay_port(home: &Home) -> Option<u16> {
    port::read(&home.relay_port())
}

/// Remembers `port` for the next run.
///
/// # Errors
/// When it cannot be written.
pub fn save_relay_port(home: &Home, port: u16) -> Result<(), DiskError> {
    port::write(&home.relay_port(), port)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_closed() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::at(dir.path());
        let key = relay_key(&home).expect("made");
        assert_ne!(*key, [0; 32]);
        assert_eq!(relay_key(&home).expect("read"), key);
        let mode = home.relay_key().metadata().expect("there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);

        fs::set_permissions(home.relay_key(), fs::Permissions::from_mode(0o644)).expect("set");
        assert!(matches!(
            relay_key(&home),
            Err(DiskError::OpenToOthers { .. })
        ));
    }

    #[test]
    fn a_pass_stays_until_another_is_made() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::at(dir.path());
        let pass = relay_pass(&home).expect("made");
        assert_eq!(relay_pass(&home).expect("read"), pass);
        let other = new_relay_pass(&home).expect("made");
        assert_ne!(other, pass);
        assert_eq!(relay_pass(&home).expect("read"), other);
        let mode = home.relay_pass().metadata().expect("there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_named_and_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::at(dir.path());
        relay_key(&home).expect("made");
        for damage in ["", "12", "zz"] {
            fs::write(home.relay_key(), damage).expect("written");
            let error = relay_key(&home).expect_err(damage).to_string();
            assert!(error.contains("relay.key:1"), "{error}");
            assert_eq!(fs::read_to_string(home.relay_key()).expect("there"), damage);
        }
    }
}
