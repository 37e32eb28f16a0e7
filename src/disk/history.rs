//! `history.jsonl`: the calls of the past, one JSON object a line, oldest first.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use super::atomic;
use crate::api::HistoryView;
use crate::disk::{DiskError, Home};

/// What a look at the history brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// Newest first.
    pub entries: Vec<HistoryView>,
    /// Numbers (from 1) of the lines that could not be understood. They are kept in the file.
    pub damaged: Vec<usize>,
}

/// Reads and writes `history.jsonl`. Writing is for the holder of the home's lock.
#[derive(Clone, Copy, Debug)]
pub struct History;

impl History {
    /// The newest `limit` calls. A last line that a kill tore off is passed over in silence.
    pub fn load(home: &Home, limit: usize) -> Result<Kept, DiskError> {
        let path = home.history();
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
            opened => opened.map_err(DiskError::io("open", &path))?,
        };
        let mut reader = BufReader::new(file);
        let mut newest = VecDeque::new();
        let mut damaged = Vec::new();
        for number in 1.. {
            let mut line = Vec::new();
            let length = reader
                .read_until(b'\n', &mut line)
                .map_err(DiskError::io("read", &path))?;
            if length == 0 {
                break;
            }
            match serde_json::from_slice(&line) {
                Ok(entry) => newest.push_front(entry),
                Err(_) if line.ends_with(b"\n") && !line.trim_ascii().is_empty() => {
                    damaged.push(number)
                }
                Err(_) => {}
            }
            newest.truncate(limit);
        }
        let entries = newest.into();
        Ok(Kept { entries, damaged })
    }

    /// Adds a call. On return it is on the disk.
    pub fn append(home: &Home, entry: &HistoryView) -> Result<(), DiskError> {
        let path = home.history();
        let mut line = to_line(entry);
        let result = open(&path).and_then(|mut file| {
            let length = heal(&mut file)?;
            if let Some(separator) = length.needs_line_end {
                line.insert(0, separator);
            }
            // One write at the end: a kill leaves the whole line or a torn last one.
            let written = file.write_all(&line).and_then(|()| file.sync_data());
            if written.is_err() {
                let _ = file.set_len(length.bytes);
            }
            written
        });
        result.map_err(DiskError::io("write", &path))
    }

    /// Takes one call out (the newest that equals `entry`). True if it was there.
    pub fn remove(home: &Home, entry: &HistoryView) -> Result<bool, DiskError> {
        let path = home.history();
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            read => read.map_err(DiskError::io("read", &path))?,
        };
        let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        let is_it = |line: &&[u8]| {
            serde_json::from_slice::<HistoryView>(line).is_ok_and(|found| found == *entry)
        };
        let Some(at) = lines.iter().rposition(is_it) else {
            return Ok(false);
        };
        let rest: Vec<u8> = [&lines[..at], &lines[at + 1..]].concat().concat();
        atomic::replace(&path, &rest)?;
        Ok(true)
    }

    /// Forgets all calls.
    pub fn clear(home: &Home) -> Result<(), DiskError> {
        let path = home.history();
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(DiskError::io("remove", &path)),
        }
    }
}

fn to_line(entry: &HistoryView) -> Vec<u8> {
    let mut line = serde_json::to_vec(entry).expect("a history entry has string keys only");
    line.push(b'\n');
    line
}

fn open(path: &std::path::Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    // Who called whom is nobody else's business, whoever loosened it.
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

struct Length {
    bytes: u64,
    /// The line end that a whole last line lacks, perhaps after somebody's editor.
    needs_line_end: Option<u8>,
}

/// Cuts off a last line that was torn by a kill; it was never confirmed to anybody.
fn heal(file: &mut File) -> io::Result<Length> {
    let end = file.metadata()?.len();
    let from = end.saturating_sub(LONGEST_LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(LONGEST_LINE).read_to_end(&mut tail)?;
    let last = tail
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    let torn = &tail[last..];
    if torn.is_empty() {
        return Ok(Length {
            bytes: end,
            needs_line_end: None,
        });
    }
    let whole = serde_json::from_slice::<HistoryView>(torn).is_ok();
    if whole || (last == 0 && from > 0) {
        return Ok(Length {
            bytes: end,
            needs_line_end: Some(b'\n'),
        });
    }
    let bytes = from + last as u64;
    file.set_len(bytes)?;
    Ok(Length {
        bytes,
        needs_line_end: None,
    })
}

/// Bytes looked at for the start of the last line; ours have a few hundred.
const LONGEST_LINE: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Direction, Why};
    use crate::disk::contacts::tests::{home, id};
    use crate::peer::SafeText;

    fn entry(n: u64) -> HistoryView {
        HistoryView {
            at: jiff::Timestamp::from_second(1_800_000_000 + n as i64).expect("in range"),
            name: SafeText::name("anna"),
            id: id(1),
            direction: Direction::Out,
            why: Why::HungUp,
            seconds: n,
            path: None,
            loss: 0.25,
            recorded_here: false,
            recorded_there: false,
        }
    }

    fn seconds(home: &Home) -> Vec<u64> {
        let kept = History::load(home, 100).expect("loaded");
        kept.entries.iter().map(|entry| entry.seconds).collect()
    }

    #[test]
    fn calls_come_back_newest_first() {
        let (_dir, home) = home();
        assert_eq!(History::load(&home, 9).expect("none"), Kept::default());
        for n in 0..5 {
            History::append(&home, &entry(n)).expect("added");
        }
        assert_eq!(seconds(&home), [4, 3, 2, 1, 0]);
        let newest = History::load(&home, 2).expect("loaded").entries;
        assert_eq!(newest, [entry(4), entry(3)]);
        let mode = home
            .history()
            .metadata()
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_torn_last_line_is_passed_over_and_healed() {
        let (_dir, home) = home();
        History::append(&home, &entry(1)).expect("added");
        let whole = fs::read(home.history()).expect("read");
        for cut in 1..whole.len() {
            let mut torn = whole.clone();
            torn.extend(&whole[..cut]);
            fs::write(home.history(), &torn).expect("written");
            let before = History::load(&home, 9).expect("loaded");
            assert!(before.damaged.is_empty(), "cut at {cut}");
            History::append(&home, &entry(2)).expect("added");
            // With all but its line end, the last line is whole and stays.
            let expected: &[u64] = if cut == whole.len() - 1 {
                &[2, 1, 1]
            } else {
                &[2, 1]
            };
            assert_eq!(seconds(&home), expected, "cut at {cut}");
        }
    }

    #[test]
    fn damaged_lines_are_counted_and_kept() {
        let (_dir, home) = home();
        History::append(&home, &entry(1)).expect("added");
        let mut bytes = fs::read(home.history()).expect("read");
        bytes.extend(b"{\"at\":7}\n\xff\xfe\n\n");
        fs::write(home.history(), &bytes).expect("written");
        History::append(&home, &entry(2)).expect("added");
        let kept = History::load(&home, 9).expect("loaded");
        assert_eq!(
            (kept.entries, kept.damaged),
            (vec![entry(2), entry(1)], vec![2, 3])
        );
        assert!(History::remove(&home, &entry(1)).expect("removed"));
        assert!(!History::remove(&home, &entry(1)).expect("gone"));
        let left = fs::read(home.history()).expect("read");
        assert!(left.starts_with(b"{\"at\":7}\n\xff\xfe\n"));
        assert_eq!(seconds(&home), [2]);
        History::clear(&home).expect("cleared");
        History::clear(&home).expect("nothing to clear");
        assert_eq!(seconds(&home), [0; 0]);
    }

    #[test]
    fn a_loosened_file_is_closed_again() {
        let (_dir, home) = home();
        History::append(&home, &entry(1)).expect("added");
        fs::set_permissions(home.history(), Permissions::from_mode(0o644)).expect("changed");
        History::append(&home, &entry(2)).expect("added");
        let mode = home
            .history()
            .metadata()
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
