//! The device of a call in all its states: open, being opened, lost, or a file.
//!
//! While there is no real device the clock stands in for it with silence, so that frames go on
//! flowing both ways and the call does not notice. A device is exchanged for another one, or for
//! itself with other buffers, by opening the new one beside the old one where that can be done.

use std::thread;
use std::time::Duration;

use crate::audio::clocked::{Clocked, Ends};
use crate::audio::codec::RATE;
use crate::audio::device::{DeviceError, Opener, Streams, Wish};
use crate::audio::place::{Choice, Place, Trouble};
use crate::audio::pulse::STEPS;
use crate::audio::rings::{CHUNK, VoiceSide, rings};
use crate::audio::starved::{Verdict, Watch};
use crate::audio::thread::planned_place;
use crate::audio::{Backend, Settings};

/// The device and the rings to it.
#[derive(Debug)]
pub(super) struct Sound {
    rings: VoiceSide,
    device: Device,
    /// For real devices only.
    keeper: Option<Keeper>,
}

#[derive(Debug)]
enum Device {
    Clocked(Box<Clocked>),
    Streams(Streams),
}

/// Sees to it that there is a device.
#[derive(Debug)]
struct Keeper {
    wish: Wish,
    opener: Opener,
    /// When to try next; nothing while an attempt is under way, or needless.
    due: Option<Duration>,
    pause: Duration,
    /// Open, but it has not moved any sound yet; that can take a sound server two seconds.
    starting: Option<(Streams, VoiceSide)>,
    /// What to go back to if a person's choice cannot be had.
    before: Option<Wish>,
    watch: Watch,
}

/// What the engine is to be told.
#[derive(Debug)]
pub(super) enum News {
    Lost(Trouble),
    Restored(Place),
    /// What was chosen cannot be had; all is as it was.
    Refused(String),
}

impl Sound {
    /// Starts at once with what can be had at once. `kept` are the files of a resumed call.
    pub(super) fn open(
        settings: &Settings,
        kept: Option<Ends>,
        now: Duration,
    ) -> (Sound, Option<News>) {
        let backend = &settings.backend;
        let mut news = Some(News::Restored(Place::called(planned_place(backend))));
        let mut keeper = None;
        let ends = match (backend, kept) {
            (_, Some(ends)) => ends,
            (Backend::Wav { input, output }, None) => {
                Ends::files(input, output).unwrap_or_else(|error| {
                    news = Some(News::Lost(error.to_string().into()));
                    Ends::Silence
                })
            }
            (Backend::Null, None) => Ends::Silence,
            (Backend::Cpal { input, output }, None) => {
                news = None;
                keeper = Some(Keeper::start(Wish {
                    server: settings.server.clone(),
                    records: true,
                    microphone: input.clone(),
                    speaker: output.clone(),
                    ..Wish::default()
                }));
                Ends::Silence
            }
        };
        let (rings, device) = clocked(ends, now);
        let sound = Sound {
            rings,
            device,
            keeper,
        };
        (sound, news)
    }

    /// A loudspeaker alone: no microphone is opened. By name, or the system's choice.
    pub(super) fn speaker(server: Option<String>, name: Option<String>, now: Duration) -> Sound {
        let keeper = Keeper::start(Wish {
            server,
            speaker: name,
            ..Wish::default()
        });
        let (rings, device) = clocked(Ends::Silence, now);
        Sound {
            rings,
            device,
            keeper: Some(keeper),
        }
    }

    /// Changes to other devices. Without real devices it is refused.
    pub(super) fn choose(&mut self, choice: &Choice, now: Duration) -> Option<News> {
        let Some(keeper) = &mut self.keeper else {
            let why = "there are no devices to choose from with this sound backend";
            return Some(News::Refused(why.to_owned()));
        };
        let name = |now: &Option<String>, choice: &Option<String>| match choice.as_deref() {
            None => now.clone(),
            Some("") => None,
            Some(name) => Some(name.to_owned()),
        };
        let wish = Wish {
            microphone: name(&keeper.wish.microphone, &choice.microphone),
            speaker: name(&keeper.wish.speaker, &choice.speaker),
            is_strict: true,
            ..keeper.wish.clone()
        };
        let before = std::mem::replace(&mut keeper.wish, wish);
        keeper.before.get_or_insert(before);
        self.reopen(now);
        None
    }

    /// Lets `exchange` move sound through the rings wherever the device is ready for it; it is
    /// given the number of samples that the loudspeaker wants to find.
    pub(super) fn turn(&mut self, now: Duration, mut exchange: impl FnMut(&mut VoiceSide, usize)) {
        match &mut self.device {
            Device::Streams(streams) => {
                streams.take();
                exchange(&mut self.rings, streams.wanted());
                streams.give();
            }
            Device::Clocked(clocked) => {
                while clocked.record(now) {
                    exchange(&mut self.rings, CHUNK);
                    clocked.play();
                }
            }
        }
    }

    /// Somebody hears (or a file keeps) what is played.
    pub(super) fn is_audible(&self) -> bool {
        match &self.device {
            Device::Streams(_) => true,
            Device::Clocked(clocked) => clocked.ends.are_files(),
        }
    }

    /// How often the device that is open now had to go without sound.
    pub(super) fn shortages(&self) -> u64 {
        match &self.device {
            Device::Streams(streams) => streams.link().short(),
            Device::Clocked(_) => 0,
        }
    }

    /// Round trip to a sound server on another computer.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        match &self.device {
            Device::Streams(streams) => streams.link().round_trip(),
            Device::Clocked(_) => None,
        }
    }

    /// Looks after the device: one that was lost, has come back, or starves.
    pub(super) fn care(&mut self, now: Duration) -> Option<News> {
        if let Device::Clocked(clocked) = &mut self.device
            && let Some(error) = clocked.trouble()
        {
            return Some(News::Lost(error.to_string().into()));
        }
        self.look_after_streams(now)
            .or_else(|| self.look_for_streams(now))
    }

    /// Waits until [`Sound::turn`] has to be called again, but not beyond `until`; or until somebody
    /// unparks the thread.
    pub(super) fn rest(&self, now: Duration, until: Duration) {
        match &self.device {
            Device::Clocked(clocked) => {
                thread::park_timeout(clocked.due().min(until).saturating_sub(now));
            }
            Device::Streams(streams) => streams.rest(until.saturating_sub(now)),
        }
    }

    /// Ends it; files are handed back, as the call may be resumed.
    pub(super) fn close(self) -> Option<Ends> {
        match self.device {
            Device::Streams(_) => None,
            Device::Clocked(clocked) => Some(clocked.ends).filter(Ends::are_files),
        }
    }

    fn look_after_streams(&mut self, now: Duration) -> Option<News> {
        let (Device::Streams(streams), Some(keeper)) = (&mut self.device, &mut self.keeper) else {
            return None;
        };
        if let Some(why) = streams.trouble(now) {
            tracing::warn!("sound lost: {why}");
            (self.rings, self.device) = clocked(Ends::Silence, now);
            keeper.lose(now);
            return Some(News::Lost(why.into()));
        }
        if let Some(place) = streams.take_move(&keeper.wish) {
            tracing::info!(
                "the sound was moved to {} and {}",
                place.microphone,
                place.speaker
            );
            return Some(News::Restored(place.clone()));
        }
        let has_new = streams.link().take_new_device();
        if has_new && streams.is_misplaced(&keeper.wish) {
            self.reopen(now);
            return None;
        }
        let (asked, short) = (streams.link().asked(), streams.link().short());
        match keeper.watch.look(now, asked, short, keeper.wish.step) {
            Verdict::More(share) if keeper.wish.step < STEPS => {
                keeper.wish.step += 1;
                let (share, step) = (share * 100.0, keeper.wish.step);
                tracing::warn!("the sound starves ({share:.0} % asked for): buffer step {step}");
                self.reopen(now);
            }
            Verdict::Less => {
                keeper.wish.step -= 1;
                tracing::info!("the sound is calm: buffer step {}", keeper.wish.step);
                self.reopen(now);
            }
            _ => {}
        }
        None
    }

    /// Opens what is wished for now, beside what is open.
    fn reopen(&mut self, now: Duration) {
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        if matches!(&self.device, Device::Streams(streams) if !streams.can_share()) {
            (self.rings, self.device) = clocked(Ends::Silence, now);
        }
        keeper.watch.restart();
        keeper.begin();
    }

    fn look_for_streams(&mut self, now: Duration) -> Option<News> {
        let has_sound = matches!(self.device, Device::Streams(_));
        let keeper = self.keeper.as_mut()?;
        if keeper.due.is_some_and(|due| now >= due) {
            keeper.begin();
        }
        match keeper.opener.finished() {
            Some(Ok(started)) => keeper.starting = Some(started),
            Some(Err(error)) => return keeper.failed(&error, has_sound, now),
            None => {}
        }
        let (streams, _) = keeper.starting.as_mut()?;
        streams.idle();
        if let Some(why) = streams.trouble(now) {
            keeper.starting = None;
            return keeper.failed(&DeviceError::Failed(why), has_sound, now);
        }
        if !streams.is_running(keeper.wish.records) {
            return None;
        }
        let (streams, mut rings) = keeper.starting.take()?;
        keeper.found();
        rings.forget_recorded();
        let place = streams.place().clone();
        tracing::info!("sound: {place}");
        self.rings = rings;
        self.device = Device::Streams(streams);
        Some(News::Restored(place))
    }
}

impl Keeper {
    fn start(wish: Wish) -> Keeper {
        let mut keeper = Keeper {
            wish,
            opener: Opener::new(),
            due: None,
            pause: FIRST_PAUSE,
            starting: None,
            before: None,
            watch: Watch::default(),
        };
        keeper.begin();
        keeper
    }

    fn begin(&mut self) {
        self.due = None;
        self.starting = None;
        self.opener.start(&self.wish);
    }

    /// The device that was open is gone.
    fn lose(&mut self, now: Duration) {
        self.due = Some(now + FIRST_PAUSE);
        self.pause = FIRST_PAUSE * 2;
        self.watch.restart();
    }

    fn found(&mut self) {
        self.due = None;
        self.pause = FIRST_PAUSE;
        self.before = None;
        // From now on it may be unplugged, and another one stand in for it.
        self.wish.is_strict = false;
        self.watch.restart();
    }

    /// Plans the next attempt. Only the first of a row of failures is news.
    fn failed(&mut self, error: &DeviceError, has_sound: bool, now: Duration) -> Option<News> {
        let why = error.to_string();
        tracing::warn!("no sound device: {why}");
        if let Some(before) = self.before.take() {
            self.wish = before;
            if !has_sound {
                self.begin();
            }
            return Some(News::Refused(why));
        }
        if has_sound {
            // What is open will do.
            return None;
        }
        let first = self.pause == FIRST_PAUSE;
        self.due = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        let is_missing = matches!(error, DeviceError::None(_));
        first.then_some(News::Lost(Trouble { why, is_missing }))
    }
}

fn clocked(ends: Ends, now: Duration) -> (VoiceSide, Device) {
    let (device, voice) = rings(RATE, RATE).expect("our own rate needs no conversion");
    let clocked = Clocked::start(ends, device, now);
    (voice, Device::Clocked(Box::new(clocked)))
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);

const LONGEST_PAUSE: Duration = Duration::from_secs(4);
