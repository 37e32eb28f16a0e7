//! The device of a call in all its states: open, being opened, lost, or a file.
//!
//! While there is no real device the clock stands in for it with silence, so that frames go on
//! flowing both ways and the call does not notice.

use std::time::Duration;

use crate::audio::Backend;
use crate::audio::clocked::{Clocked, Ends};
use crate::audio::codec::RATE;
use crate::audio::device::{Opener, Streams};
use crate::audio::rings::{CHUNK, VoiceSide, rings};
use crate::audio::thread::planned_place;

/// The device and the rings to it.
#[derive(Debug)]
pub(super) struct Sound {
    rings: VoiceSide,
    device: Device,
    retry: Option<Retry>,
}

#[derive(Debug)]
enum Device {
    Clocked(Box<Clocked>),
    Streams(Streams),
}

/// What to do about a device that is not there.
#[derive(Debug)]
struct Retry {
    opener: Opener,
    /// When to try next; nothing while an attempt is under way.
    due: Option<Duration>,
    pause: Duration,
    /// Open, but it has not moved any sound yet; that can take a sound server two seconds.
    starting: Option<(Streams, VoiceSide)>,
}

/// What the engine is to be told.
#[derive(Debug)]
pub(super) enum News {
    Lost(String),
    Restored(String),
}

impl Sound {
    /// Starts at once with what can be had at once. `kept` are the files of a resumed call.
    pub(super) fn open(
        backend: &Backend,
        kept: Option<Ends>,
        now: Duration,
    ) -> (Sound, Option<News>) {
        let mut news = Some(News::Restored(planned_place(backend)));
        let mut retry = None;
        let ends = match (backend, kept) {
            (_, Some(ends)) => ends,
            (Backend::Wav { input, output }, None) => {
                Ends::files(input, output).unwrap_or_else(|error| {
                    news = Some(News::Lost(error.to_string()));
                    Ends::Silence
                })
            }
            (Backend::Null, None) => Ends::Silence,
            (Backend::Cpal { input, output }, None) => {
                news = None;
                let mut opener = Opener::new(input.clone(), output.clone());
                opener.start();
                retry = Some(Retry {
                    opener,
                    due: None,
                    pause: FIRST_PAUSE,
                    starting: None,
                });
                Ends::Silence
            }
        };
        let (rings, device) = clocked(ends, now);
        let sound = Sound {
            rings,
            device,
            retry,
        };
        (sound, news)
    }

    /// Lets `exchange` move sound through the rings wherever the device is ready for it; it is
    /// given the number of samples that the loudspeaker wants to find.
    pub(super) fn turn(&mut self, now: Duration, mut exchange: impl FnMut(&mut VoiceSide, usize)) {
        match &mut self.device {
            Device::Streams(streams) => exchange(&mut self.rings, streams.wanted()),
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

    /// Looks after a device that was lost or has come back.
    pub(super) fn care(&mut self, now: Duration) -> Option<News> {
        match &mut self.device {
            Device::Clocked(clocked) => {
                if let Some(error) = clocked.trouble() {
                    return Some(News::Lost(error.to_string()));
                }
            }
            Device::Streams(streams) => {
                let why = streams.trouble(now)?;
                (self.rings, self.device) = clocked(Ends::Silence, now);
                let retry = self.retry.as_mut()?;
                retry.due = Some(now + FIRST_PAUSE);
                retry.pause = FIRST_PAUSE * 2;
                return Some(News::Lost(why));
            }
        }
        let retry = self.retry.as_mut()?;
        if retry.due.is_some_and(|due| now >= due) {
            retry.due = None;
            retry.opener.start();
        }
        match retry.opener.finished() {
            Some(Ok(started)) => retry.starting = Some(started),
            Some(Err(error)) => return retry.failed(error.to_string(), now),
            None => {}
        }
        let (streams, _) = retry.starting.as_mut()?;
        if let Some(why) = streams.trouble(now) {
            retry.starting = None;
            return retry.failed(why, now);
        }
        if !streams.is_running() {
            return None;
        }
        let (streams, mut rings) = retry.starting.take()?;
        retry.pause = FIRST_PAUSE;
        rings.forget_recorded();
        let place = streams.place().to_owned();
        self.rings = rings;
        self.device = Device::Streams(streams);
        Some(News::Restored(place))
    }

    /// When [`Sound::turn`] has to be called even if no device calls for it.
    pub(super) fn due(&self) -> Option<Duration> {
        match &self.device {
            Device::Clocked(clocked) => Some(clocked.due()),
            Device::Streams(_) => None,
        }
    }

    /// Ends it; files are handed back, as the call may be resumed.
    pub(super) fn close(self) -> Option<Ends> {
        match self.device {
            Device::Streams(_) => None,
            Device::Clocked(clocked) => Some(clocked.ends).filter(Ends::are_files),
        }
    }
}

impl Retry {
    /// Plans the next attempt. Only the first of a row of failures is news.
    fn failed(&mut self, why: String, now: Duration) -> Option<News> {
        let first = self.pause == FIRST_PAUSE;
        self.due = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        first.then_some(News::Lost(why))
    }
}

fn clocked(ends: Ends, now: Duration) -> (VoiceSide, Device) {
    let (device, voice) = rings(RATE, RATE).expect("our own rate needs no conversion");
    let clocked = Clocked::start(ends, device, now);
    (voice, Device::Clocked(Box::new(clocked)))
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);

const LONGEST_PAUSE: Duration = Duration::from_secs(4);
