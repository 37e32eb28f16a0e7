//! What the sound side says of cleaning, in the words of the interface.

use super::run::Run;
use crate::api::{self, CallId, CleaningView, Event};
use crate::audio::clean::{Doing, Echo};
use crate::audio::{self, AudioStats};
use crate::config;

impl Run {
    pub(super) fn choose_echo_cancelling(&self, to: api::EchoCancelling) {
        self.parts.audio.cancel_echo(match to {
            api::EchoCancelling::Auto => config::EchoCancelling::Auto,
            api::EchoCancelling::On => config::EchoCancelling::On,
            api::EchoCancelling::Off => config::EchoCancelling::Off,
        });
    }

    pub(super) fn cleaning(&self, stats: &AudioStats) -> CleaningView {
        let Doing { echo, noise, gain } = stats.cleaning;
        CleaningView {
            choice: match self.parts.audio.echo_cancelling() {
                config::EchoCancelling::Auto => api::EchoCancelling::Auto,
                config::EchoCancelling::On => api::EchoCancelling::On,
                config::EchoCancelling::Off => api::EchoCancelling::Off,
            },
            echo: match echo {
                Echo::Off => api::Echo::Off,
                Echo::Listening => api::Echo::Listening,
                Echo::Cancelling => api::Echo::Cancelling,
                Echo::NoneHeard => api::Echo::NoneHeard,
            },
            noise,
            gain_db: gain,
        }
    }

    pub(super) fn tell_microphone(&mut self, call: CallId, state: audio::Microphone) {
        let state = match state {
            audio::Microphone::Fine => api::Microphone::Fine,
            audio::Microphone::Dead => api::Microphone::Dead,
            audio::Microphone::TalkingMuted => api::Microphone::TalkingMuted,
            audio::Microphone::Clipping => api::Microphone::Clipping,
            audio::Microphone::Quiet => api::Microphone::Quiet,
        };
        self.announce(Event::Microphone { call, state });
    }
}
