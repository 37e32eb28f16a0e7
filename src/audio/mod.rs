//! Sound: devices, codec, and the voice thread between them and the engine.
//!
//! [`Audio`] is the handle. Its methods only leave word for the voice thread and return at once;
//! whatever that finds out comes back as [`AudioEvent`]s. While a call is served the voice thread
//! wakes when the device has a frame or wants one; while none is, it sleeps and no device is open.

mod card;
mod chain;
pub mod clean;
mod clocked;
mod codec;
mod device;
mod echo;
mod ends;
mod hearing;
mod level;
mod line;
mod list;
mod parrot;
mod place;
mod pulse;
mod record;
mod record_file;
mod reports;
mod resample;
mod ringer;
mod rings;
mod sending;
mod sound;
mod speaking;
mod starved;
mod survey;
mod thread;
mod tones;
mod wav;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc, watch};

use crate::config::EchoCancelling;
use crate::phone::types::{CallId, Frame, MAX_COPIES, OpenMic, Report};
use record::{Tap, Writing};
use ringer::Tones;

pub use chain::{BLOCK, Chain};
pub use clean::{Choices, Microphone};
pub use codec::{CodecError, Decoder, Encoder, RATE, SAMPLES};
pub use device::DeviceError;
pub use echo::{EchoEvent, echo};
pub use list::{DeviceView, devices};
pub use parrot::Parrot;
pub use place::{Choice, Place, Trouble};
pub use record::Recording;
pub use record_file::Label;
pub use resample::RateError;
pub use ringer::Sounds;
pub use survey::{Attempt, Survey, Used, local_server, survey};
pub use tones::Tone;
pub use wav::WavError;

/// Where sound comes from and goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Sound devices, by the names that [`devices`] lists; the default ones without a name.
    Cpal {
        input: Option<String>,
        output: Option<String>,
    },
    /// No device: a silent microphone, nobody listens. For tests and machines without sound.
    Null,
    /// `input` is played as the microphone, what the loudspeaker would play is written to `output`.
    Wav { input: PathBuf, output: PathBuf },
}

/// How the sound side is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub backend: Backend,
    /// Address of the only sound server that will do, in the form of `PULSE_SERVER`.
    pub server: Option<String>,
    /// Share (1 = as received) at which the far voice is played, 0..=[`LOUDEST`].
    pub volume: f32,
    /// Share (1 = as recorded) at which the own voice is sent, 0..=[`LOUDEST`].
    pub gain: f32,
    /// What is done with the own voice; nothing with files and without a device.
    pub cleaning: Choices,
    /// 0..=10, see [`Encoder::new`].
    pub encoder_complexity: u8,
    /// 0..=10, see [`Decoder::new`].
    pub decoder_complexity: u8,
    /// The least time that received frames wait for their turn, see [`crate::voice::Settings`].
    pub delay: Duration,
    /// The phone's own tones.
    pub sounds: Sounds,
}

impl Settings {
    /// The usual settings with this backend.
    pub fn new(backend: Backend) -> Settings {
        Settings {
            backend,
            server: None,
            volume: 1.0,
            gain: 1.0,
            encoder_complexity: 6,
            cleaning: Choices::USUAL,
            decoder_complexity: 5,
            delay: Duration::from_millis(5),
            sounds: Sounds::default(),
        }
    }
}

/// Most that [`Audio::volume`] and [`Audio::gain`] amplify by.
pub const LOUDEST: f32 = 4.0;

/// The sound side cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    #[error(transparent)]
    Wav(#[from] WavError),
    #[error("the voice thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// What the sound side has to tell.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "frames are the most frequent by far and must not be allocated"
)]
pub enum AudioEvent {
    /// The next 20 ms of the microphone, for the call that it is open for, and when they were
    /// complete.
    Frame(CallId, Frame, Instant),
    /// How the far voice of this call arrives, for the far side to know.
    Report(CallId, Report),
    /// Ten times a second: peaks since the last time, as share (0..1) of full scale, and whether the
    /// owner speaks, muted or not.
    Levels {
        call: CallId,
        mic: f32,
        speaker: f32,
        talking: bool,
    },
    /// There is something to know of the microphone, or no longer.
    Microphone { call: CallId, state: Microphone },
    /// Once a second.
    Stats { call: CallId, stats: AudioStats },
    /// There is no sound (any more). The call goes on in silence, and the device is tried again.
    Lost { why: Trouble },
    /// There is sound (again), or elsewhere, from this place.
    Restored { place: Place },
    /// The devices that were chosen cannot be had; all is as it was.
    Refused { why: String },
    /// What [`Audio::record`] began cannot go on, or not even begin. The call goes on.
    RecordingLost { call: CallId, why: String },
}

/// Counts since the call was opened, and measures of the last second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AudioStats {
    pub jitter_ms: f32,
    /// How long received frames wait before they are played.
    pub buffer_ms: f32,
    /// Share (0..1) of the last second's frames that were not there when they were due.
    pub loss: f32,
    pub concealed: u64,
    /// Frames made from the microphone.
    pub recorded: u64,
    pub received: u64,
    pub late: u64,
    pub duplicate: u64,
    /// Frames left out to bring the delay down.
    pub skipped: u64,
    /// How long the fastest frames should wait.
    pub target_ms: f32,
    /// The wait by which 95 % of the frames of the last seconds were there.
    pub quantile_ms: f32,
    /// Share (0..1) of the last second's frames whose own packet was not there when they were due,
    /// before any repair, and the mean length of the runs of those.
    pub lost: f32,
    pub burst: f32,
    /// Frames played from copies in later packets, and from the in-band repair of the next one.
    pub copied: u64,
    pub recovered: u64,
    /// Sound added and taken out to change the delay, and how often that may have been heard.
    pub stretched_ms: f32,
    pub rough: u64,
    /// Frames that found a full channel on their way between engine and voice thread.
    pub dropped: u64,
    /// What the far side has last reported: the share (0..1) of our frames that never came there,
    /// how many were lost in a row, and how long they waited in a queue on the way.
    pub far_loss: f32,
    pub far_burst: f32,
    pub far_queue_ms: f32,
    /// What is sent because of it: kbit/s of Opus, and how many frames back the copies are.
    pub payload_kbps: u32,
    pub copies: ArrayVec<u8, MAX_COPIES>,
    /// Opus repeats each frame coarsely in the next one.
    pub fec: bool,
    /// The line carries too little: not even the least gets through.
    pub starved: bool,
    /// Round trip to a sound server on another computer.
    pub link_ms: Option<f32>,
    /// What is done with the own voice.
    pub cleaning: clean::Doing,
    /// How often the device that is open now had to go without sound.
    pub shortages: u64,
}

/// The handle of the voice thread. Dropping it ends the thread and completes a written WAV file.
#[derive(Debug)]
pub struct Audio {
    wanted: watch::Sender<Wanted>,
    frames: SyncSender<Received>,
    place: watch::Receiver<String>,
    urgent: Arc<Notify>,
    began: Instant,
    thread: Option<JoinHandle<()>>,
    tones: Tones,
    /// For those who write recordings, beside the voice thread.
    events: mpsc::WeakSender<AudioEvent>,
    taps: SyncSender<Tap>,
    writing: Vec<Writing>,
}

/// What the engine wants at the moment. The voice thread looks at the latest state only.
#[derive(Debug)]
struct Wanted {
    /// Counts the calls of [`Audio::open`]: each is a fresh start.
    opened: u64,
    /// When that was.
    since: Duration,
    /// The call to open, until the voice thread has taken it.
    opening: Option<OpenMic>,
    serving: Option<CallId>,
    /// Devices to change to, until the voice thread has taken them.
    choice: Option<Choice>,
    controls: Controls,
    /// Frames that found the channel to the voice thread full.
    dropped: u64,
    /// The last word of a far side, until the voice thread has taken it.
    report: Option<(CallId, Report)>,
    /// The tone that goes on in the served call.
    lasting: Option<Tone>,
    /// Tones to be heard once there, until the voice thread has taken them.
    short: Vec<Tone>,
    /// The call that is recorded.
    recording: Option<CallId>,
    quit: bool,
}

#[derive(Clone, Copy, Debug)]
struct Controls {
    muted: bool,
    volume: f32,
    gain: f32,
    cleaning: Choices,
}

/// A frame of the far side and the moment it arrived.
#[derive(Debug)]
struct Received {
    call: CallId,
    frame: Frame,
    at: Duration,
}

impl Audio {
    /// Starts the voice thread. No device is opened yet, but WAV files are looked at, so that a
    /// wrong one is told at once.
    ///
    /// The receiver holds 16 events; who does not take them loses frames, levels and statistics.
    pub fn start(settings: Settings) -> Result<(Audio, mpsc::Receiver<AudioEvent>), AudioError> {
        if let Backend::Wav { input, output } = &settings.backend {
            wav::check(input, output)?;
        }
        let controls = Controls {
            muted: false,
            volume: within(settings.volume),
            gain: within(settings.gain),
            cleaning: settings.cleaning,
        };
        let wanted = watch::Sender::new(Wanted {
            opened: 0,
            since: Duration::ZERO,
            opening: None,
            serving: None,
            choice: None,
            controls,
            dropped: 0,
            report: None,
            lasting: None,
            short: Vec::new(),
            recording: None,
            quit: false,
        });
        let (frames, received) = sync_channel(FRAMES_IN);
        let (events, out) = mpsc::channel(EVENTS_OUT);
        let told = events.downgrade();
        let (taps, tapped) = sync_channel(TAPS);
        let (placed, place) = watch::channel(thread::planned_place(&settings.backend));
        let began = now();
        let tones = Tones::start(&settings, move || now().saturating_duration_since(began))?;
        let urgent = Arc::new(Notify::new());
        let ways = thread::Ways {
            urgent: urgent.clone(),
            wanted: wanted.clone(),
            received,
            taps: tapped,
            events,
            placed,
            clock: move || now().saturating_duration_since(began),
            began,
        };
        let thread = std::thread::Builder::new()
            .name("voice".to_owned())
            .spawn(move || thread::run(settings, ways))?;
        let audio = Audio {
            wanted,
            frames,
            place,
            urgent,
            began,
            thread: Some(thread),
            tones,
            events: told,
            taps,
            writing: Vec::new(),
        };
        Ok((audio, out))
    }

    /// Waits for an event that should not wait: a call's first frame, news of the devices, or a
    /// channel that is full. All others are there to be taken whenever whoever takes them is awake
    /// anyway, at least once a frame: waking up costs more than all the rest of handing over one.
    pub fn urgent(&self) -> Notified<'_> {
        self.urgent.notified()
    }

    /// Serves this call from now on, with fresh codec and jitter state, in the place of any other.
    pub fn open(&self, mic: OpenMic) {
        let since = self.now();
        self.order(|wanted| {
            wanted.opened += 1;
            wanted.since = since;
            wanted.serving = Some(mic.call());
            wanted.opening = Some(mic);
        });
        self.place_tones();
    }

    /// Stops serving this call and closes the devices.
    pub fn close(&self, call: CallId) {
        self.order(|wanted| {
            if wanted.serving == Some(call) {
                wanted.serving = None;
                wanted.opening = None;
            }
        });
        self.place_tones();
    }

    /// Sends silence in the place of the microphone, or the microphone again.
    pub fn mute(&self, muted: bool) {
        self.order(|wanted| wanted.controls.muted = muted);
    }

    /// A frame of the far side has just arrived. Of a call that is not served it is dropped.
    pub fn push(&self, call: CallId, frame: Frame) {
        let at = self.now();
        // The voice thread is not woken: it looks when the loudspeaker needs something.
        if self.frames.try_send(Received { call, frame, at }).is_err() {
            self.wanted.send_modify(|wanted| wanted.dropped += 1);
        }
    }

    /// The far side says how our voice arrives there.
    pub fn report(&self, call: CallId, report: Report) {
        // It can wait until the microphone has a frame.
        self.wanted
            .send_modify(|wanted| wanted.report = Some((call, report)));
    }

    /// How loud the far side is played, 0..=[`LOUDEST`]; 1 leaves it as it is.
    pub fn volume(&self, volume: f32) {
        self.order(|wanted| wanted.controls.volume = within(volume));
    }

    /// How loud the own voice is sent, 0..=[`LOUDEST`]; 1 leaves it as it is.
    pub fn gain(&self, gain: f32) {
        self.order(|wanted| wanted.controls.gain = within(gain));
    }

    /// Changes to other devices, now and for all calls to come. What came of it is an event while a
    /// call is served.
    pub fn choose(&self, choice: Choice) {
        self.order(|wanted| {
            let before = wanted.choice.take().unwrap_or_default();
            wanted.choice = Some(Choice {
                microphone: choice.microphone.or(before.microphone),
                speaker: choice.speaker.or(before.speaker),
            });
        });
    }

    /// Whether the loudspeaker's sound is taken out of the microphone's.
    pub fn cancel_echo(&self, choice: EchoCancelling) {
        self.order(|wanted| wanted.controls.cleaning.echo = choice);
    }

    /// What was chosen by that or by the settings.
    pub fn echo_cancelling(&self) -> EchoCancelling {
        self.wanted.borrow().controls.cleaning.echo
    }

    /// Where sound comes from and goes to, in words: `null`, `PulseAudio at anna-laptop`.
    pub fn place(&self) -> String {
        self.place.borrow().clone()
    }

    fn order(&self, change: impl FnOnce(&mut Wanted)) {
        self.wanted.send_modify(change);
        if let Some(thread) = self.thread() {
            thread.unpark();
        }
    }

    fn now(&self) -> Duration {
        now().saturating_duration_since(self.began)
    }

    fn thread(&self) -> Option<&Thread> {
        self.thread.as_ref().map(JoinHandle::thread)
    }
}

impl Drop for Audio {
    fn drop(&mut self) {
        self.order(|wanted| wanted.quit = true);
        if let Some(thread) = self.thread.take() {
            // It never waits for anything but its own short work, so this is short as well.
            let _ = thread.join();
        }
        self.writing.drain(..).for_each(Writing::wait);
    }
}

fn within(share: f32) -> f32 {
    if share.is_nan() {
        return 1.0;
    }
    share.clamp(0.0, LOUDEST)
}

#[expect(clippy::disallowed_methods, reason = "sound runs in real time")]
fn now() -> Instant {
    Instant::now()
}

/// Received frames that wait for the voice thread: after a stall all of its frames come at once.
const FRAMES_IN: usize = 128;

/// Recordings that the voice thread has not begun yet.
const TAPS: usize = 4;

/// Events that wait for the engine: eight frames, and room for the rare others.
const EVENTS_OUT: usize = 16;
