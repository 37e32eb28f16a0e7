//! Where the phone's tones are heard: in a call they are mixed into the far voice before anything
//! else sees it, so that the echo canceller knows of them and the far side never hears them.

use crate::audio::tones::Tone;
use crate::audio::{Audio, Settings};

/// The tones that may sound, and where. By default none may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sounds {
    pub allowed: Vec<Tone>,
    /// On which device it rings; without a name where the far voice is heard.
    pub ringer: Option<String>,
}

impl Audio {
    /// From now on this tone goes on, or none.
    pub fn last(&self, tone: Option<Tone>) {
        let tone = tone.filter(|tone| self.tones.allowed.contains(tone));
        if self.wanted.borrow().lasting != tone {
            self.order(|wanted| wanted.lasting = tone);
        }
    }

    /// This tone is heard once.
    pub fn chime(&self, tone: Tone) {
        let is_served = self.wanted.borrow().serving.is_some();
        if !is_served || !self.tones.allowed.contains(&tone) {
            return;
        }
        self.order(|wanted| {
            if wanted.short.len() < MOST {
                wanted.short.push(tone);
            }
        });
    }
}

/// The tones that may sound.
#[derive(Debug)]
pub(super) struct Tones {
    allowed: Vec<Tone>,
}

impl Tones {
    pub(super) fn of(settings: &Settings) -> Tones {
        let allowed = settings.sounds.allowed.clone();
        Tones { allowed }
    }
}

/// Short tones that wait to be taken.
const MOST: usize = 4;
