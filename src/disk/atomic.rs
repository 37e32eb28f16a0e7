//! Reading secrets with care, and replacing a file so that a kill at any moment does no harm.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::disk::DiskError;

/// Replaces `path` by a file with these bytes, mode 0600. On return it is on the disk; on error, or
/// if the process dies meanwhile, `path` is as it was.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    // Where the file is a link into another place, it is that place that gets the new file.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    put(&target, bytes, |new| fs::rename(new, &target))
}

/// Like [`replace`], but fails with [`io::ErrorKind::AlreadyExists`] if `path` exists.
pub(super) fn create(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    put(path, bytes, |new| {
        fs::hard_link(new, path)?;
        fs::remove_file(new)
    })
}

/// The text of a file that holds secrets; `None` if there is none.
///
/// # Errors
/// [`DiskError::OpenToOthers`] if group or others have any right to it.
pub(super) fn read_secret(path: &Path) -> Result<Option<Zeroizing<String>>, DiskError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(DiskError::io("open", path))?,
    };
    let about = file.metadata().map_err(DiskError::io("look at", path))?;
    let mode = about.permissions().mode() & 0o7777;
    if about.is_file() && mode & 0o077 != 0 {
        return Err(DiskError::OpenToOthers {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(about.len() as usize + 1));
    let read = (&mut file).take(MOST_BYTES).read_to_end(&mut bytes);
    read.map_err(DiskError::io("read", path))?;
    match str::from_utf8(&bytes) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(error) => Err(DiskError::Damaged {
            path: path.to_owned(),
            line: line_at(&bytes, error.valid_up_to()),
            why: "this is not text".to_owned(),
            remedy: "Put back a copy of the file",
        }),
    }
}

/// The line, counted from 1, that the byte at `offset` is in.
pub(super) fn line_at(bytes: &[u8], offset: usize) -> usize {
    let before = &bytes[..offset.min(bytes.len())];
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
}

fn put(
    path: &Path,
    bytes: &[u8],
    into_place: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), DiskError> {
    let new = beside(path);
    let result = write_new(&new, bytes)
        .and_then(|()| into_place(&new))
        .and_then(|()| sync_dir(path));
    if result.is_err() {
        // Best effort: the next writer removes it as well.
        let _ = fs::remove_file(&new);
    }
    result.map_err(DiskError::io("write", path))
}

fn write_new(new: &Path, bytes: &[u8]) -> io::Result<()> {
    // One from a process that was killed. Only the holder of the home's lock writes here.
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => File::open(dir)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// More than any of our files can honestly have.
const MOST_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_closed_and_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        for text in ["one", "two, and longer", "3"] {
            replace(&path, text.as_bytes()).expect("written");
            let back = read_secret(&path).expect("read").expect("there");
            assert_eq!(*back, text);
            let mode = path.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let names = fs::read_dir(dir.path()).expect("listed").count();
        assert_eq!(names, 1);
    }

    #[test]
    fn leavings_of_a_killed_writer_do_no_harm() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        replace(&path, b"old").expect("written");
        fs::write(beside(&path), b"ha").expect("leavings");
        assert_eq!(**read_secret(&path).expect("read").expect("there"), *"old");
        replace(&path, b"new").expect("written");
        assert_eq!(**read_secret(&path).expect("read").expect("there"), *"new");
        assert!(!beside(&path).exists());
    }

    #[test]
    fn create_never_replaces() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        create(&path, b"first").expect("created");
        assert!(create(&path, b"second").is_err());
        assert_eq!(fs::read(&path).expect("read"), b"first");
        assert!(!beside(&path).exists());
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        replace(&path, b"old").expect("written");
        // A directory in the way of the new file cannot be removed as a file.
        fs::create_dir(beside(&path)).expect("in the way");
        assert!(replace(&path, b"new").is_err());
        assert_eq!(fs::read(&path).expect("read"), b"old");
    }

    #[test]
    fn a_link_is_followed_not_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        replace(&real, b"old").expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        replace(&link, b"new").expect("written");
        assert!(link.symlink_metadata().expect("there").is_symlink());
        assert_eq!(fs::read(&real).expect("read"), b"new");
    }

    #[test]
    fn secrets_open_to_others_are_refused_with_the_command() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("it's a file");
        replace(&path, b"secret").expect("written");
        for mode in [0o640, 0o604, 0o660, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
            let error = read_secret(&path).expect_err("open to others").to_string();
            assert!(error.contains("chmod 600 '"), "{error}");
            assert!(
                error.contains(&format!("{mode:04o}")) && error.contains(r"it'\''s"),
                "{error}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        replace(&path, b"one\ntwo\nthr\xffee").expect("written");
        let error = read_secret(&path).expect_err("not text").to_string();
        assert!(error.contains("file:3: "), "{error}");
    }
}
