//! Real sound devices: opening them aside, and the device's end of the rings.
//!
//! Opening and closing may take seconds when a sound server hangs, so both happen in threads of
//! their own; the voice thread only looks whether they are done.

use std::any::Any;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use rtrb::{Consumer, Producer};

use crate::audio::codec::RATE;
use crate::audio::resample::RateError;
use crate::audio::rings::{CHUNK, VoiceSide};
use crate::audio::{card, pulse};

/// No sound can be had from the devices.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The computer has none, and no sound server answers.
    #[error("no sound device here: {0}")]
    None(String),
    #[error("there is no sound device called {0:?}; `twocan devices` lists them")]
    Unknown(String),
    /// A device or server is there but does not do as asked.
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Rate(#[from] RateError),
}

/// Both streams of an open device. Dropping them closes the device, in a thread of its own.
#[derive(Debug)]
pub(super) struct Streams {
    place: String,
    link: Arc<Link>,
    keep: Option<Keep>,
    /// The count of turns when it last moved, and that moment.
    alive: (u64, Duration),
}

/// What the streams' ends tell the voice thread.
#[derive(Debug)]
pub(super) struct Link {
    voice: Thread,
    trouble: OnceLock<String>,
    /// How often the loudspeaker has asked for samples.
    turns: AtomicU64,
    /// Most samples that the loudspeaker asked for at a time, of our rate.
    largest: AtomicUsize,
}

/// The microphone's end: takes samples from the device.
#[derive(Debug)]
pub(super) struct MicEnd {
    ring: Producer<f32>,
    link: Arc<Link>,
    frame: usize,
}

/// The loudspeaker's end: gives samples to the device.
#[derive(Debug)]
pub(super) struct SpeakerEnd {
    ring: Consumer<f32>,
    link: Arc<Link>,
    rate: u32,
}

/// Only ever dropped.
struct Keep {
    _open: Box<dyn Any + Send>,
}

impl Streams {
    /// `keep` holds the device open.
    pub(super) fn new(place: String, link: Arc<Link>, keep: impl Any + Send) -> Streams {
        Streams {
            place,
            link,
            keep: Some(Keep {
                _open: Box::new(keep),
            }),
            alive: (0, Duration::ZERO),
        }
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// How many samples the loudspeaker should find ready.
    pub(super) fn wanted(&self) -> usize {
        self.link.largest.load(Relaxed)
    }

    /// True once the loudspeaker asks for more than what filled its buffer at first.
    pub(super) fn is_running(&self) -> bool {
        self.link.turns.load(Relaxed) > FILLING
    }

    /// Why the device can be used no longer.
    pub(super) fn trouble(&mut self, now: Duration) -> Option<String> {
        if let Some(why) = self.link.trouble.get() {
            return Some(why.clone());
        }
        let turns = self.link.turns.load(Relaxed);
        if turns != self.alive.0 || self.alive.1.is_zero() {
            self.alive = (turns, now);
        }
        let silent = now.saturating_sub(self.alive.1);
        (silent > DEAD).then(|| "the sound device does not answer any more".to_owned())
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        let keep = self.keep.take();
        // Without a thread to spare it is closed here.
        let _ = thread::Builder::new()
            .name("close sound".to_owned())
            .spawn(move || drop(keep));
    }
}

impl std::fmt::Debug for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keep")
    }
}

impl Link {
    pub(super) fn new(voice: Thread) -> Arc<Link> {
        Arc::new(Link {
            voice,
            trouble: OnceLock::new(),
            turns: AtomicU64::new(0),
            largest: AtomicUsize::new(CHUNK),
        })
    }

    /// The first trouble counts; the voice thread is woken to let the device go.
    pub(super) fn fail(&self, why: String) {
        if self.trouble.set(why).is_ok() {
            self.voice.unpark();
        }
    }
}

impl MicEnd {
    pub(super) fn new(ring: Producer<f32>, link: Arc<Link>, rate: u32) -> MicEnd {
        MicEnd {
            ring,
            link,
            frame: rate as usize / 50,
        }
    }

    /// Takes mono samples. The voice thread is woken when there is a whole frame.
    pub(super) fn put(&mut self, samples: impl ExactSizeIterator<Item = f32>) {
        let fits = samples.len().min(self.ring.slots());
        if let Ok(room) = self.ring.write_chunk_uninit(fits) {
            room.fill_from_iter(samples);
        }
        let held = self.ring.buffer().capacity() - self.ring.slots();
        if held >= self.frame {
            self.link.voice.unpark();
        }
    }
}

impl SpeakerEnd {
    pub(super) fn new(ring: Consumer<f32>, link: Arc<Link>, rate: u32) -> SpeakerEnd {
        SpeakerEnd { ring, link, rate }
    }

    /// Fills `samples`, with silence where nothing is ready. The voice thread is woken when the
    /// next turn would find too little.
    pub(super) fn take(&mut self, samples: &mut [f32]) {
        let given = self.ring.pop_partial_slice(samples).0.len();
        samples[given..].fill(0.0);
        let asked = samples.len() * RATE as usize / self.rate as usize;
        let largest = asked.clamp(CHUNK, LARGEST);
        let largest = self.link.largest.fetch_max(largest, Relaxed).max(largest);
        self.link.turns.fetch_add(1, Relaxed);
        if self.ring.slots() * RATE as usize / (self.rate as usize) < largest {
            self.link.voice.unpark();
        }
    }
}

/// Opens devices without making the voice thread wait.
#[derive(Debug)]
pub(super) struct Opener {
    input: Option<String>,
    output: Option<String>,
    answer: Option<Receiver<Answer>>,
}

type Answer = Result<(Streams, VoiceSide), DeviceError>;

impl Opener {
    /// By name, or the default ones without.
    pub(super) fn new(input: Option<String>, output: Option<String>) -> Opener {
        Opener {
            input,
            output,
            answer: None,
        }
    }

    /// Begins an attempt for the thread that calls this.
    pub(super) fn start(&mut self) {
        let (send, answer) = sync_channel(1);
        self.answer = Some(answer);
        let (input, output) = (self.input.clone(), self.output.clone());
        let voice = thread::current();
        // Without a thread to spare, the closed channel says that the attempt has failed.
        let _ = thread::Builder::new()
            .name("open sound".to_owned())
            .spawn(move || {
                let opened = open(input.as_deref(), output.as_deref(), voice);
                // Nobody waits any more: the streams are closed again right here.
                let _ = send.send(opened);
            });
    }

    /// The outcome, once.
    pub(super) fn finished(&mut self) -> Option<Answer> {
        let outcome = match self.answer.as_ref()?.try_recv() {
            Ok(outcome) => outcome,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => {
                let why = "opening the sound device failed half-way".to_owned();
                Err(DeviceError::Failed(why))
            }
        };
        self.answer = None;
        Some(outcome)
    }
}

/// A sound server if one answers, else the sound card.
fn open(input: Option<&str>, output: Option<&str>, voice: Thread) -> Answer {
    match pulse::open(input, output, voice.clone()) {
        Err(pulse::PulseError::NoServer) => card::open(input, output, voice),
        Err(pulse::PulseError::NoSuchDevice(name)) => Err(DeviceError::Unknown(name)),
        Err(error) => Err(DeviceError::Failed(error.to_string())),
        Ok(opened) => Ok(opened),
    }
}

/// A device asks this often when it is opened, whether it runs or not.
const FILLING: u64 = 3;

/// A loudspeaker that asks for nothing for so long is gone.
const DEAD: Duration = Duration::from_secs(5);

/// Most samples that are held ready, whatever the device asks for at a time: 100 ms.
const LARGEST: usize = 4800;
