//! Real sound devices: opening them aside, and looking after the open ones.
//!
//! Opening and closing may take seconds when a sound server hangs, so both happen in threads of
//! their own; the voice thread only looks whether they are done.

use std::any::Any;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::audio::codec::RATE;
use crate::audio::ends::{FILLING, Link, Names};
use crate::audio::resample::RateError;
use crate::audio::rings::VoiceSide;
use crate::audio::{Place, card, pulse};

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

/// What is to be opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// Address of the only sound server that will do.
    pub(super) server: Option<String>,
    /// A loudspeaker alone leaves the microphone shut.
    pub(super) records: bool,
    /// Names; without one the system's choice.
    pub(super) microphone: Option<String>,
    pub(super) speaker: Option<String>,
    /// No other device may stand in for a named one that is not there.
    pub(super) is_strict: bool,
    /// How much more than usual is kept in buffers, 0..=[`pulse::STEPS`].
    pub(super) step: usize,
}

impl Wish {
    /// Whether a device that was named is not among these.
    pub(super) fn misses(&self, names: &Names) -> bool {
        let other = |wish: &Option<String>, name: &str| {
            wish.as_ref()
                .is_some_and(|wish| !name.is_empty() && wish != name)
        };
        other(&self.microphone, &names.microphone) || other(&self.speaker, &names.speaker)
    }
}

/// The streams of an open device. Dropping them closes it.
#[derive(Debug)]
pub(super) struct Streams {
    place: Place,
    link: Arc<Link>,
    open: Open,
    /// The count of turns when it last moved, and that moment.
    alive: (u64, Duration),
}

/// What holds a device open.
#[derive(Debug)]
pub(super) enum Open {
    /// Whoever has the streams carries the sound to and from it.
    Server(Box<pulse::Flow>),
    Card {
        _kept: Card,
    },
}

/// Streams of a sound card, whose callbacks carry the sound. Closing it may take seconds, so that is
/// done in a thread of its own.
pub(super) struct Card(Option<Box<dyn Any + Send>>);

impl Card {
    /// `streams` are only ever dropped.
    pub(super) fn new(streams: impl Any + Send) -> Card {
        Card(Some(Box::new(streams)))
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let streams = self.0.take();
        // Without a thread to spare it is closed here.
        let _ = thread::Builder::new()
            .name("close sound".to_owned())
            .spawn(move || drop(streams));
    }
}

impl std::fmt::Debug for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Card")
    }
}

impl Streams {
    pub(super) fn new(place: Place, link: Arc<Link>, open: Open) -> Streams {
        Streams {
            place,
            link,
            open,
            alive: (0, Duration::ZERO),
        }
    }

    /// Takes what the device has recorded, and what it wants.
    pub(super) fn take(&mut self) {
        if let Open::Server(flow) = &mut self.open {
            flow.take();
        }
    }

    /// Gives what lies ready for the loudspeaker.
    pub(super) fn give(&mut self) {
        if let Open::Server(flow) = &mut self.open {
            flow.give();
        }
    }

    /// While nobody uses it: gives silence, and drops what is recorded.
    pub(super) fn idle(&mut self) {
        if let Open::Server(flow) = &mut self.open {
            flow.take();
            flow.hush();
        }
    }

    /// Waits until the device may want something, or for `limit`, or until somebody unparks the
    /// thread.
    pub(super) fn rest(&self, limit: Duration) {
        match &self.open {
            Open::Server(flow) => flow.rest(limit),
            Open::Card { .. } => thread::park_timeout(limit),
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Others can be opened beside them; most cards can be opened once only.
    pub(super) fn can_share(&self) -> bool {
        matches!(self.open, Open::Server(_))
    }

    /// The server has moved the streams to other devices: where the sound is now.
    pub(super) fn take_move(&mut self, wish: &Wish) -> Option<&Place> {
        let names = self.link.take_move()?;
        let mut now = Names {
            microphone: self.place.microphone.clone(),
            speaker: self.place.speaker.clone(),
        };
        for (kept, new) in [
            (&mut now.microphone, names.microphone),
            (&mut now.speaker, names.speaker),
        ] {
            if !new.is_empty() {
                *kept = new;
            }
        }
        self.place.note = wish.misses(&now).then(|| stand_in(wish, &now));
        self.place.microphone = now.microphone;
        self.place.speaker = now.speaker;
        Some(&self.place)
    }

    /// Another device stands in for the one that was named.
    pub(super) fn is_misplaced(&self, wish: &Wish) -> bool {
        wish.misses(&Names {
            microphone: self.place.microphone.clone(),
            speaker: self.place.speaker.clone(),
        })
    }

    /// How many samples the loudspeaker should find ready.
    pub(super) fn wanted(&self) -> usize {
        self.link.wanted()
    }

    /// True once the loudspeaker asks for more than what filled its buffer at first, and the
    /// microphone, if there is one, delivers: a server may take two seconds for either.
    pub(super) fn is_running(&self, records: bool) -> bool {
        let hears = !records || self.link.frames() > 0 || self.link.asked() > DEAF;
        self.link.turns() > FILLING && hears
    }

    /// Why the device can be used no longer.
    pub(super) fn trouble(&mut self, now: Duration) -> Option<String> {
        if let Some(why) = self.link.trouble() {
            return Some(why.clone());
        }
        let turns = self.link.turns();
        if turns != self.alive.0 || self.alive.1.is_zero() {
            self.alive = (turns, now);
        }
        let silent = now.saturating_sub(self.alive.1);
        (silent > DEAD).then(|| "the sound device does not answer any more".to_owned())
    }
}

/// Says which device stands in for which.
pub(super) fn stand_in(wish: &Wish, names: &Names) -> String {
    let pairs = [
        ("microphone", &wish.microphone, &names.microphone),
        ("loudspeaker", &wish.speaker, &names.speaker),
    ];
    let said = pairs.into_iter().filter_map(|(what, wish, name)| {
        let wish = wish.as_ref().filter(|wish| *wish != name)?;
        Some(format!(
            "the {what} {wish} is not there, {name} stands in for it"
        ))
    });
    said.collect::<Vec<_>>().join("; ")
}

/// Opens devices without making the voice thread wait.
#[derive(Debug)]
pub(super) struct Opener {
    answer: Option<Receiver<Answer>>,
}

pub(super) type Answer = Result<(Streams, VoiceSide), DeviceError>;

impl Opener {
    pub(super) fn new() -> Opener {
        Opener { answer: None }
    }

    /// Begins an attempt for the thread that calls this; an earlier one is given up.
    pub(super) fn start(&mut self, wish: &Wish) {
        let (send, answer) = sync_channel(1);
        self.answer = Some(answer);
        let wish = wish.clone();
        let voice = thread::current();
        // Without a thread to spare, the closed channel says that the attempt has failed.
        let _ = thread::Builder::new()
            .name("open sound".to_owned())
            .spawn(move || {
                let caller = voice.clone();
                let opened = open(&wish, voice);
                // Nobody waits any more: the streams are closed again right here.
                let _ = send.send(opened);
                caller.unpark();
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
fn open(wish: &Wish, voice: Thread) -> Answer {
    match pulse::open(wish, voice.clone()) {
        Err(pulse::PulseError::NoServer) => card::open(wish, voice),
        Err(pulse::PulseError::NoSuchDevice(name)) => Err(DeviceError::Unknown(name)),
        Err(error) => Err(DeviceError::Failed(error.to_string())),
        Ok(opened) => Ok(opened),
    }
}

/// Samples that a loudspeaker asks for in four seconds: a microphone that has delivered nothing by
/// then is not waited for any longer.
const DEAF: u64 = 4 * RATE as u64;

/// A loudspeaker that asks for nothing for so long is gone.
const DEAD: Duration = Duration::from_secs(5);
