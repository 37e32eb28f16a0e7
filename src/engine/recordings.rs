//! Where recorded calls go, and what they are called.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::run::Run;
use crate::api::{CallId, Event};
use crate::audio::{Label, Recording};
use crate::peer::SafeText;
use crate::phone::types::Input;

/// The directory, and the file that was named last.
#[derive(Debug)]
pub(super) struct Recordings {
    directory: PathBuf,
    last: Option<(CallId, PathBuf)>,
    /// Distinguishes files of the same second and name.
    count: u32,
}

impl Recordings {
    pub(super) fn new(directory: PathBuf) -> Recordings {
        Recordings {
            directory,
            last: None,
            count: 1,
        }
    }

    /// A name that no file of this run has had.
    fn name(&mut self, call: CallId, peer: &SafeText, at: Timestamp, zone: TimeZone) -> PathBuf {
        let stem = stem(peer, at, zone);
        let plain = self.directory.join(format!("{stem}.opus"));
        let is_same = |last: &PathBuf| {
            let last = last.file_name().and_then(|name| name.to_str());
            last.is_some_and(|name| name.starts_with(&stem))
        };
        let file = match self.last.as_ref().is_some_and(|(_, last)| is_same(last)) {
            true => {
                self.count += 1;
                self.directory.join(format!("{stem}-{}.opus", self.count))
            }
            false => {
                self.count = 1;
                plain
            }
        };
        self.last = Some((call, file.clone()));
        file
    }

    fn file_of(&self, call: CallId) -> Option<String> {
        let (of, file) = self.last.as_ref()?;
        (*of == call).then(|| file.display().to_string())
    }
}

impl Run {
    /// Keeps a call in a file from now on, or no longer.
    pub(super) fn record(&mut self, call: CallId, on: bool) {
        if !on {
            return self.parts.audio.end_recording(call);
        }
        let calls = self.parts.phone.status().calls;
        let Some(view) = calls.into_iter().find(|view| view.call == call) else {
            return;
        };
        let at = self.parts.clock.stamp();
        let recordings = &mut self.parts.recordings;
        let file = recordings.name(call, &view.peer, at, TimeZone::system());
        self.parts.audio.record(Recording {
            call,
            file,
            label: Label {
                title: format!("Call with {}", view.peer),
                date: at.to_string(),
            },
        });
    }

    /// The sound side says that it is over.
    pub(super) fn lose_recording(&mut self, call: CallId, why: String) {
        self.parts.audio.end_recording(call);
        self.announce(Event::Error { why });
        self.tell_phone(Input::RecordingEnded(call));
    }

    /// The phone does not know the file.
    pub(super) fn with_file(&self, mut event: Event) -> Event {
        if let Event::Recording {
            call, here, file, ..
        } = &mut event
            && *here
        {
            *file = self.parts.recordings.file_of(*call);
        }
        event
    }
}

/// `twocan-YYYYMMDD-HHMMSS-NAME` in the time of this place; the name without whatever a file system
/// or a shell could take amiss.
fn stem(peer: &SafeText, at: Timestamp, zone: TimeZone) -> String {
    let tame = |c: char| if c.is_alphanumeric() { c } else { '_' };
    let name: String = peer.chars().take(LETTERS).map(tame).collect();
    let time = at.to_zoned(zone).strftime("%Y%m%d-%H%M%S").to_string();
    format!("twocan-{time}-{name}")
}

/// Letters of a name in a file's name.
const LETTERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn named(recordings: &mut Recordings, peer: &str) -> String {
        let at = "2026-11-23T07:08:09Z".parse().expect("a moment");
        let file = recordings.name(CallId(1), &SafeText::name(peer), at, TimeZone::UTC);
        file.display().to_string()
    }

    #[test]
    fn names_are_tame_and_never_the_same() {
        let mut recordings = Recordings::new(PathBuf::from("/r"));
        let cases = [
            ("anna", "/r/twocan-20261123-070809-anna.opus"),
            ("anna", "/r/twocan-20261123-070809-anna-2.opus"),
            ("anna", "/r/twocan-20261123-070809-anna-3.opus"),
            ("../etc/x y", "/r/twocan-20261123-070809-___etc_x_y.opus"),
            ("Chlo\u{e9}", "/r/twocan-20261123-070809-Chlo\u{e9}.opus"),
        ];
        for (peer, file) in cases {
            assert_eq!(named(&mut recordings, peer), file);
        }
        assert_eq!(recordings.file_of(CallId(2)), None);
        assert!(recordings.file_of(CallId(1)).is_some());
    }
}
