//! Requests: what the engine answers itself, and what it passes to the phone.

use super::listeners::ListenerId;
use super::run::Run;
use crate::api::{Command, Done, Refusal, Reply, Request, Status, Trouble};
use crate::audio::{Choice, LOUDEST};
use crate::disk::Job;
use crate::phone::types::Input;

impl Run {
    pub(super) fn request(&mut self, listener: ListenerId, request: Request) {
        let Request { id, command } = request;
        let is_quitting = matches!(command, Command::Quit);
        let result = match command {
            _ if self.is_ending() => Err(refusal(Trouble::NotNow, "the phone is ending")),
            Command::Status => Ok(Done::Status(Box::new(self.status()))),
            Command::Listen { levels } => {
                self.listeners.want_levels(listener, levels);
                Ok(Done::Nothing)
            }
            Command::Volume { gain } => share(gain).map(|gain| {
                self.parts.audio.volume(gain);
                Done::Nothing
            }),
            Command::Gain { gain } => share(gain).map(|gain| {
                self.parts.audio.gain(gain);
                Done::Nothing
            }),
            Command::EchoCancelling { to } => {
                self.choose_echo_cancelling(to);
                Ok(Done::Nothing)
            }
            Command::Announce { standing } => {
                self.announce_standing(standing);
                Ok(Done::Nothing)
            }
            Command::Devices => return self.list_devices(listener, id),
            Command::Sound {
                microphone,
                speaker,
            } => self.choose_sound(Choice {
                microphone,
                speaker,
            }),
            Command::ClearHistory => {
                self.parts.book.clear();
                return self.parts.keep.request(listener, id, Job::ClearHistory);
            }
            Command::Quit => Ok(Done::Nothing),
            for_phone => return self.ask_phone(listener, id, for_phone),
        };
        self.listeners.answer(listener, Reply { reply: id, result });
        if is_quitting {
            self.begin_to_end();
        }
    }

    fn ask_phone(&mut self, listener: ListenerId, id: u64, command: Command) {
        if let Command::Ignore { call } = command {
            self.chimes.ignore(call);
        }
        if shares_addresses(&command) {
            self.look_for_addresses();
        }
        self.last_asked += 1;
        self.asked.insert(self.last_asked, (listener, id));
        self.tell_phone(Input::Request(self.last_asked, command));
    }

    fn status(&self) -> Status {
        let phone = self.parts.phone.status();
        Status {
            name: self.parts.name.clone(),
            id: self.parts.id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listen: vec![self.listen()],
            muted: phone.muted,
            audio: self.sound.clone(),
            calls: phone.calls,
            contacts: phone.contacts,
            network: self.parts.finder.view.clone(),
            standing: self.parts.finder.known.standing,
            requests: phone.requests,
            history: self.parts.book.past(),
        }
    }
}

fn shares_addresses(command: &Command) -> bool {
    matches!(
        command,
        Command::Dial { .. } | Command::Invite { .. } | Command::AddContact { .. }
    )
}

fn share(gain: f32) -> Result<f32, Refusal> {
    if (0.0..=LOUDEST).contains(&gain) {
        return Ok(gain);
    }
    let why = format!("{gain} is no loudness: 0 is silent, 1 as it comes, {LOUDEST} the most");
    Err(refusal(Trouble::Usage, &why))
}

fn refusal(trouble: Trouble, why: &str) -> Refusal {
    Refusal {
        trouble,
        why: why.to_owned(),
    }
}
