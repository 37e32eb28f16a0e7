//! Sound devices: what is told of them, asking what there is, and changing to others.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::listeners::ListenerId;
use super::run::Run;
use crate::api::{Done, Event, Refusal, Reply, RequestId, SoundDevice, Trouble};
use crate::audio::{self, Backend, Choice, DeviceView, Place, Settings, Survey};
use crate::peer::SafeText;

/// Looks around for devices, which may take seconds, on a thread of its own.
#[derive(Debug)]
pub(super) struct Lookout {
    server: Option<Arc<str>>,
    /// The sound comes from devices at all.
    has_devices: bool,
    /// Who has asked since the last look began.
    waiting: Vec<(ListenerId, RequestId)>,
    is_busy: bool,
    say: mpsc::Sender<Box<Survey>>,
    seen: mpsc::Receiver<Box<Survey>>,
}

impl Lookout {
    /// The first look begins at once.
    pub(super) fn new(settings: &Settings) -> Lookout {
        let (say, seen) = mpsc::channel(1);
        let mut lookout = Lookout {
            server: settings.server.as_deref().map(Arc::from),
            has_devices: matches!(settings.backend, Backend::Cpal { .. }),
            waiting: Vec::new(),
            is_busy: false,
            say,
            seen,
        };
        if lookout.has_devices {
            lookout.look();
        }
        lookout
    }

    /// What a look has shown. Cancel safe; pending while nobody looks.
    pub(super) async fn seen(&mut self) -> Box<Survey> {
        match self.seen.recv().await {
            Some(seen) => seen,
            None => std::future::pending().await,
        }
    }

    fn look(&mut self) {
        if self.is_busy {
            return;
        }
        let (say, server) = (self.say.clone(), self.server.clone());
        let started = std::thread::Builder::new()
            .name("look for sound".to_owned())
            .spawn(move || {
                // Nobody listens any more when the phone has ended meanwhile.
                let _ = say.try_send(Box::new(audio::survey(server.as_deref())));
            });
        match started {
            Ok(_) => self.is_busy = true,
            Err(error) => tracing::warn!("no thread to look for sound devices: {error}"),
        }
    }
}

impl Run {
    /// Answers when the look that begins now, or is under way, is over.
    pub(super) fn list_devices(&mut self, listener: ListenerId, request: RequestId) {
        let lookout = &mut self.lookout;
        if !lookout.has_devices || lookout.waiting.len() >= WAITING {
            let result = Ok(Done::Devices(Vec::new()));
            let reply = request;
            return self.listeners.answer(listener, Reply { reply, result });
        }
        lookout.waiting.push((listener, request));
        lookout.look();
    }

    pub(super) fn take_survey(&mut self, survey: &Survey) {
        self.lookout.is_busy = false;
        let devices: Vec<SoundDevice> = survey.devices.iter().take(MOST).map(view).collect();
        let trouble = survey.trouble.as_ref().map(|why| Refusal {
            trouble: Trouble::Audio,
            why: SafeText::line(why).to_string(),
        });
        for (listener, reply) in std::mem::take(&mut self.lookout.waiting) {
            let result = match &trouble {
                None => Ok(Done::Devices(devices.clone())),
                Some(refusal) => Err(refusal.clone()),
            };
            self.listeners.answer(listener, Reply { reply, result });
        }
        // What a call has found out is worth more.
        if self.sound_is_known {
            return;
        }
        self.sound.trouble = trouble.map(|refusal| refusal.why);
        self.sound.missing = survey.has_nothing();
        if self.sound.missing {
            self.sound.trouble = Some("no sound device here, and no sound server answers".into());
        }
        if let Some(used) = &survey.server {
            self.sound.place = SafeText::line(&used.place).to_string();
            self.sound.note = used.note.as_deref().map(tame);
            let link = (!used.is_here).then_some(used.round_trip);
            self.sound.link_ms = link.map(|time| time.as_secs_f32() * 1000.0);
        }
        self.tell_sound();
    }

    /// Changes to other devices.
    ///
    /// # Errors
    /// When there is nothing to choose from.
    pub(super) fn choose_sound(&mut self, choice: Choice) -> Result<Done, Refusal> {
        if !self.lookout.has_devices {
            return Err(Refusal {
                trouble: Trouble::Audio,
                why: "this phone uses no sound devices: start it with --audio cpal".to_owned(),
            });
        }
        if let Some(name) = &choice.microphone {
            self.sound.microphone = tame(name);
        }
        if let Some(name) = &choice.speaker {
            self.sound.speaker = tame(name);
        }
        self.parts.audio.choose(choice);
        self.tell_sound();
        Ok(Done::Nothing)
    }

    pub(super) fn lose_sound(&mut self, why: &audio::Trouble) {
        self.sound_is_known = true;
        self.sound.trouble = Some(tame(&why.why));
        self.sound.missing = why.is_missing;
        self.sound.link_ms = None;
        self.tell_sound();
    }

    pub(super) fn find_sound(&mut self, place: &Place) {
        self.sound_is_known = true;
        self.sound.place = tame(&place.words);
        self.sound.microphone = tame(&place.microphone);
        self.sound.speaker = tame(&place.speaker);
        self.sound.note = place.note.as_deref().map(tame);
        self.sound.link_ms = place.link.map(|time| time.as_secs_f32() * 1000.0);
        self.sound.trouble = None;
        self.sound.missing = false;
        self.tell_sound();
    }

    fn tell_sound(&mut self) {
        self.announce(Event::Audio(self.sound.clone()));
    }
}

fn view(device: &DeviceView) -> SoundDevice {
    SoundDevice {
        name: SafeText::line(&device.name),
        description: SafeText::line(&device.description),
        host: SafeText::line(&device.host),
        microphone: device.input,
        speaker: device.output,
        default: device.default,
    }
}

/// What a sound server calls things is somebody else's text.
fn tame(text: &str) -> String {
    SafeText::line(text).to_string()
}

/// Devices that are told of.
const MOST: usize = 64;

/// Those who may wait for the same look.
const WAITING: usize = 64;
