//! Recording a call: from the voice thread by two rings to a thread that may wait for the disk.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};
use tokio::sync::mpsc;

use crate::audio::codec::{RATE, SAMPLES};
use crate::audio::record_file::{Label, RecordError, RecordFile};
use crate::audio::{Audio, AudioEvent};
use crate::phone::types::CallId;

/// The voice thread's end of a recording. Dropping it ends the recording.
#[derive(Debug)]
pub(super) struct Tap {
    call: CallId,
    said: Producer<f32>,
    heard: Producer<f32>,
}

impl Tap {
    pub(super) fn call(&self) -> CallId {
        self.call
    }

    /// What the far side gets of us. What finds the ring full is lost: the disk is not waited for.
    pub(super) fn said(&mut self, sound: &[f32]) {
        let _ = self.said.push_partial_slice(sound);
    }

    /// What we get of the far side, before anything of ours is mixed in.
    pub(super) fn heard(&mut self, sound: &[f32]) {
        let _ = self.heard.push_partial_slice(sound);
    }
}

/// A recording as the engine asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    pub call: CallId,
    /// Must not be there yet; missing directories are made.
    pub file: PathBuf,
    pub label: Label,
}

/// The thread that writes; it says here that it is done.
#[derive(Debug)]
pub(super) struct Writing {
    done: Receiver<()>,
}

impl Writing {
    /// Waits until the file is whole, but not for a disk that hangs.
    pub(super) fn wait(self) {
        let _ = self.done.recv_timeout(LAST_WORDS);
    }
}

impl Audio {
    /// Keeps both voices of this call in a file, until [`Audio::end_recording`]; what is said while
    /// the call is on hold is left out. If it fails, [`AudioEvent::RecordingLost`] says so.
    pub fn record(&mut self, recording: Recording) {
        // Without the voice thread there is nothing to record.
        let Some(events) = self.events.upgrade() else {
            return;
        };
        let (tap, writing) = begin(recording, events);
        let call = tap.call;
        // In this order: a tap of a call that is not recorded is dropped.
        self.order(|wanted| wanted.recording = Some(call));
        if self.taps.try_send(tap).is_ok()
            && let Some(thread) = self.thread()
        {
            thread.unpark();
        }
        self.writing.retain(|writing| !writing.is_over());
        self.writing.extend(writing);
    }

    /// The file becomes whole within a moment.
    pub fn end_recording(&self, call: CallId) {
        self.order(|wanted| {
            if wanted.recording == Some(call) {
                wanted.recording = None;
            }
        });
    }
}

/// Starts the thread that writes. Without a thread to spare the recording is lost at once.
fn begin(recording: Recording, events: mpsc::Sender<AudioEvent>) -> (Tap, Option<Writing>) {
    let (said, said_out) = RingBuffer::new(HELD);
    let (heard, heard_out) = RingBuffer::new(HELD);
    let call = recording.call;
    let tap = Tap { call, said, heard };
    let reels = Reels {
        said: said_out,
        heard: heard_out,
    };
    let (say_done, done) = sync_channel(1);
    let told = events.clone();
    let started = thread::Builder::new()
        .name("recording".to_owned())
        .spawn(move || {
            let file = recording.file.display().to_string();
            if let Err(error) = write(&recording, reels) {
                let why = format!("the recording {file} has ended: {error}");
                tell(&events, AudioEvent::RecordingLost { call, why });
            }
            let _ = say_done.try_send(());
        });
    match started {
        Ok(_) => (tap, Some(Writing { done })),
        Err(error) => {
            let why = format!("the call cannot be recorded: {error}");
            let _ = told.try_send(AudioEvent::RecordingLost { call, why });
            (tap, None)
        }
    }
}

impl Writing {
    fn is_over(&self) -> bool {
        !matches!(
            self.done.try_recv(),
            Err(std::sync::mpsc::TryRecvError::Empty)
        )
    }
}

/// Writes until the voice thread lets go of its end.
fn write(recording: &Recording, mut reels: Reels) -> Result<(), RecordError> {
    let file = create(&recording.file)?;
    let mut file = RecordFile::begin(BufWriter::new(file), &recording.label)?;
    loop {
        let is_over = reels.is_over();
        while let Some((said, heard)) = reels.next(is_over) {
            file.write([&said, &heard])?;
        }
        if is_over {
            return file.finish();
        }
        thread::park_timeout(LOOKS_EVERY);
    }
}

/// A new file that others cannot read.
fn create(path: &Path) -> Result<File, std::io::Error> {
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// The writer's ends of the rings, and how they are laid side by side.
struct Reels {
    said: Consumer<f32>,
    heard: Consumer<f32>,
}

impl Reels {
    fn is_over(&self) -> bool {
        self.said.is_abandoned() && self.heard.is_abandoned()
    }

    /// The next 20 ms of both. A side that has fallen behind by [`APART`] has nothing to say, so
    /// silence stands for it; at the end everything is brought out.
    fn next(&mut self, is_over: bool) -> Option<([f32; SAMPLES], [f32; SAMPLES])> {
        let (said, heard) = (self.said.slots(), self.heard.slots());
        let (least, most) = (said.min(heard), said.max(heard));
        let is_apart = most >= least + APART;
        let is_rest = is_over && most > 0;
        (least >= SAMPLES || is_apart || is_rest).then(|| {
            (
                take(&mut self.said, is_over),
                take(&mut self.heard, is_over),
            )
        })
    }
}

/// A whole frame, else silence; at the end what there is of one.
fn take(reel: &mut Consumer<f32>, is_over: bool) -> [f32; SAMPLES] {
    let mut frame = [0.0; SAMPLES];
    if is_over || reel.slots() >= SAMPLES {
        let _ = reel.pop_partial_slice(&mut frame);
    }
    frame
}

/// Room may be short for a moment; the end of the sound side is the end of trying.
fn tell(events: &mpsc::Sender<AudioEvent>, mut event: AudioEvent) {
    for _ in 0..TRIES {
        match events.try_send(event) {
            Err(mpsc::error::TrySendError::Full(back)) => event = back,
            _ => return,
        }
        thread::park_timeout(LOOKS_EVERY);
    }
}

/// Samples of each side that wait for the disk: 5 s.
const HELD: usize = 5 * RATE as usize;

/// How far the two sides may be apart: 200 ms, more than any device takes or asks for at a time.
const APART: usize = RATE as usize / 5;

const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// Attempts to tell of a failure.
const TRIES: usize = 50;

/// How long the end of the program waits for the disk.
const LAST_WORDS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn reels() -> (Tap, Reels) {
        let (said, said_out) = RingBuffer::new(HELD);
        let (heard, heard_out) = RingBuffer::new(HELD);
        let call = CallId(1);
        let reels = Reels {
            said: said_out,
            heard: heard_out,
        };
        (Tap { call, said, heard }, reels)
    }

    #[test]
    fn the_sides_run_together_whatever_pieces_they_come_in() {
        let (mut tap, mut reels) = reels();
        let mut frames = Vec::new();
        for _ in 0..50 {
            tap.said(&[0.1; SAMPLES]);
            tap.heard(&[0.2; 480]);
            tap.heard(&[0.2; 480]);
            frames.extend(std::iter::from_fn(|| reels.next(false)));
        }
        assert_eq!(frames.len(), 50);
        assert!(
            frames
                .iter()
                .all(|(a, b)| *a == [0.1; SAMPLES] && *b == [0.2; SAMPLES])
        );
    }

    #[test]
    fn a_side_that_stops_is_silent_and_the_other_goes_on() {
        let (mut tap, mut reels) = reels();
        (0..50).for_each(|_| tap.said(&[0.1; SAMPLES]));
        let frames: Vec<_> = std::iter::from_fn(|| reels.next(false)).collect();
        assert_eq!(frames.len(), 41, "200 ms are waited for");
        assert!(
            frames
                .iter()
                .all(|(a, b)| *a == [0.1; SAMPLES] && *b == [0.0; SAMPLES])
        );
    }

    #[test]
    fn the_last_of_both_is_kept() {
        let (mut tap, mut reels) = reels();
        tap.said(&[0.1; 100]);
        tap.heard(&[0.2; 1000]);
        drop(tap);
        assert!(reels.is_over());
        let frames: Vec<_> = std::iter::from_fn(|| reels.next(true)).collect();
        assert_eq!(frames.len(), 2);
        assert_eq!((frames[0].0[99], frames[0].0[100]), (0.1, 0.0));
        assert_eq!((frames[1].1[39], frames[1].1[40]), (0.2, 0.0));
    }

    #[test]
    fn a_disk_that_is_full_is_told_once_with_the_file() {
        let recording = Recording {
            call: CallId(7),
            file: PathBuf::from("/dev/full/x.opus"),
            label: Label {
                title: String::new(),
                date: String::new(),
            },
        };
        let (events, mut heard) = mpsc::channel(4);
        let (tap, writing) = begin(recording, events);
        writing.expect("a thread").wait();
        drop(tap);
        match heard.try_recv() {
            Ok(AudioEvent::RecordingLost { call, why }) => {
                assert_eq!(call, CallId(7));
                assert!(why.contains("/dev/full/x.opus"), "{why}");
            }
            other => panic!("{other:?}"),
        }
        assert!(heard.try_recv().is_err());
    }
}
