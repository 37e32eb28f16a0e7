//! The ringer: plays the phone's tones where no call's sound is open, on a thread of its own.
//!
//! A device is open only while something sounds, and only its loudspeaker. In a call the voice
//! thread mixes the tones into the far voice instead, so that the echo canceller knows of them.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;

use crate::audio::rings::CHUNK;
use crate::audio::sound::{News, Sound};
use crate::audio::tones::{Chorus, Tone};
use crate::audio::{Audio, Backend, Settings};

/// The tones that may sound, and where. By default none may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sounds {
    pub allowed: Vec<Tone>,
    /// On which device it rings; without a name where the far voice is heard.
    pub ringer: Option<String>,
}

impl Audio {
    /// From now on this tone goes on, or none: in the loudspeaker of the served call, else where it
    /// rings.
    pub fn last(&self, tone: Option<Tone>) {
        let tone = tone.filter(|tone| self.tones.allowed.contains(tone));
        if self.wanted.borrow().lasting != tone {
            self.order(|wanted| wanted.lasting = tone);
            self.place_tones();
        }
    }

    /// This tone is heard once.
    pub fn chime(&self, tone: Tone) {
        if !self.tones.allowed.contains(&tone) {
            return;
        }
        if self.wanted.borrow().serving.is_none() {
            return self.tones.add(tone);
        }
        self.order(|wanted| {
            if wanted.short.len() < MOST {
                wanted.short.push(tone);
            }
        });
    }

    /// A lasting tone moves between the ringer and the voice thread with the call's sound.
    pub(super) fn place_tones(&self) {
        let here = {
            let wanted = self.wanted.borrow();
            wanted.lasting.filter(|_| wanted.serving.is_none())
        };
        self.tones.last(here);
    }
}

/// The tones that may sound, and the ringer that there is if any may.
#[derive(Debug)]
pub(super) struct Tones {
    allowed: Vec<Tone>,
    ringer: Option<Ringer>,
}

impl Tones {
    pub(super) fn start(
        settings: &Settings,
        clock: impl Fn() -> Duration + Send + 'static,
    ) -> io::Result<Tones> {
        let Sounds { allowed, ringer } = settings.sounds.clone();
        let Backend::Cpal { output, .. } = &settings.backend else {
            // Files and silence have no loudspeaker outside a call.
            let ringer = None;
            return Ok(Tones { allowed, ringer });
        };
        let places = Places {
            ringer,
            speaker: output.clone(),
        };
        let ringer = match allowed.is_empty() {
            true => None,
            false => {
                let server = settings.server.clone();
                let open = move |name, at| Sound::speaker(server.clone(), name, at);
                Some(Ringer::start(places, clock, open)?)
            }
        };
        Ok(Tones { allowed, ringer })
    }

    fn last(&self, tone: Option<Tone>) {
        if let Some(ringer) = &self.ringer {
            ringer.last(tone);
        }
    }

    fn add(&self, tone: Tone) {
        if let Some(ringer) = &self.ringer {
            ringer.add(tone);
        }
    }
}

/// Where tones are played. `at` is the time on the clock of the sound side.
trait Speaker {
    /// Has sound made, 10 ms at a time, as long as the device takes more.
    fn feed(&mut self, at: Duration, make: &mut dyn FnMut(&mut [f32; CHUNK]));

    /// Waits until [`Speaker::feed`] has to be called again, or somebody unparks the thread.
    fn rest(&self, at: Duration);
}

/// The handle of the ringer's thread.
#[derive(Debug)]
struct Ringer {
    wish: watch::Sender<Wish>,
    thread: Option<JoinHandle<()>>,
}

/// What is wanted of the ringer; it looks at the latest state only.
#[derive(Debug, Default)]
struct Wish {
    lasting: Option<Tone>,
    short: Vec<Tone>,
    quit: bool,
}

impl Ringer {
    /// `open` opens the device with this name, or the default one, for tones; it does not wait.
    fn start<S: Speaker>(
        places: Places,
        clock: impl Fn() -> Duration + Send + 'static,
        open: impl Fn(Option<String>, Duration) -> S + Send + 'static,
    ) -> io::Result<Ringer> {
        let wish = watch::Sender::new(Wish::default());
        let bell = Bell {
            wish: wish.clone(),
            places,
            clock,
            open,
            chorus: Chorus::default(),
        };
        let thread = thread::Builder::new()
            .name("ringer".to_owned())
            .spawn(move || bell.run())?;
        Ok(Ringer {
            wish,
            thread: Some(thread),
        })
    }

    /// From now on this tone, or none.
    fn last(&self, tone: Option<Tone>) {
        if self.wish.borrow().lasting != tone {
            self.order(|wish| wish.lasting = tone);
        }
    }

    /// Once.
    fn add(&self, tone: Tone) {
        self.order(|wish| {
            if wish.short.len() < MOST {
                wish.short.push(tone);
            }
        });
    }

    fn order(&self, change: impl FnOnce(&mut Wish)) {
        self.wish.send_modify(change);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Ringer {
    fn drop(&mut self) {
        self.order(|wish| wish.quit = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The devices, by name.
#[derive(Clone, Debug, Default)]
struct Places {
    ringer: Option<String>,
    speaker: Option<String>,
}

impl Places {
    fn of(&self, tone: Tone) -> &Option<String> {
        match tone {
            Tone::Ring if self.ringer.is_some() => &self.ringer,
            _ => &self.speaker,
        }
    }
}

struct Bell<C, O> {
    wish: watch::Sender<Wish>,
    places: Places,
    clock: C,
    open: O,
    chorus: Chorus,
}

/// An open device, its name, and since when it has had nothing to play.
struct Playing<S> {
    speaker: S,
    name: Option<String>,
    idle: Option<Duration>,
}

impl<S: Speaker, C: Fn() -> Duration, O: Fn(Option<String>, Duration) -> S> Bell<C, O> {
    fn run(mut self) {
        let mut playing = None;
        loop {
            let (quit, tone) = self.take_wish();
            if quit {
                return;
            }
            self.turn(&mut playing, tone);
            match &playing {
                Some(open) => open.speaker.rest((self.clock)()),
                None => thread::park(),
            }
        }
    }

    /// Whether to end, and the tone that decides where to play.
    fn take_wish(&mut self) -> (bool, Option<Tone>) {
        let (mut taken, mut quit) = (Wish::default(), false);
        self.wish.send_if_modified(|wish| {
            taken.lasting = wish.lasting;
            taken.short.append(&mut wish.short);
            quit = wish.quit;
            false
        });
        let tone = taken.lasting.or(taken.short.first().copied());
        self.chorus.last(taken.lasting);
        taken
            .short
            .into_iter()
            .for_each(|tone| self.chorus.add(tone));
        (quit, tone)
    }

    /// Plays what there is to play.
    fn turn(&mut self, playing: &mut Option<Playing<S>>, tone: Option<Tone>) {
        let now = (self.clock)();
        if let Some(tone) = tone {
            let name = self.places.of(tone);
            let is_there = playing.as_ref().is_some_and(|open| open.name == *name);
            if !is_there {
                *playing = Some(Playing {
                    speaker: (self.open)(name.clone(), now),
                    name: name.clone(),
                    idle: None,
                });
            }
        }
        let Some(open) = playing.as_mut() else {
            return;
        };
        let chorus = &mut self.chorus;
        open.speaker.feed(now, &mut |chunk| chorus.mix(chunk));
        open.idle = match chorus.is_silent() {
            true => open.idle.or(Some(now)),
            false => None,
        };
        if open.idle.is_some_and(|since| now >= since + LINGERS) {
            *playing = None;
        }
    }
}

/// A loudspeaker whose tones wait until it is there.
impl Speaker for Sound {
    fn feed(&mut self, at: Duration, make: &mut dyn FnMut(&mut [f32; CHUNK])) {
        let is_audible = self.is_audible();
        self.turn(at, |rings, wanted| {
            while rings.ready() < wanted {
                let mut chunk = [0.0; CHUNK];
                if is_audible {
                    make(&mut chunk);
                }
                rings.play(&chunk);
            }
        });
        if let Some(News::Lost(why)) = self.care(at) {
            tracing::warn!("no tones: {why}");
        }
    }

    fn rest(&self, at: Duration) {
        Sound::rest(self, at, at + LONGEST_WAIT);
    }
}

/// Short tones that wait to be taken.
const MOST: usize = 4;

/// How long the device stays open behind the last sound: what lies ready there is still played.
const LINGERS: Duration = Duration::from_millis(500);

/// A device that is dead or closed is looked after so often.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// What was opened, and what was heard there.
    #[derive(Default)]
    struct Room {
        now: Cell<Duration>,
        heard: RefCell<Vec<(Option<String>, Vec<f32>)>>,
        closed: Cell<usize>,
    }

    /// A device that takes 10 ms of sound every 10 ms.
    struct Fake<'a>(&'a Room, usize);

    impl Speaker for Fake<'_> {
        fn feed(&mut self, _: Duration, make: &mut dyn FnMut(&mut [f32; CHUNK])) {
            let mut chunk = [0.0; CHUNK];
            make(&mut chunk);
            self.0.heard.borrow_mut()[self.1].1.extend(chunk);
        }

        fn rest(&self, _: Duration) {}
    }

    impl Drop for Fake<'_> {
        fn drop(&mut self) {
            self.0.closed.set(self.0.closed.get() + 1);
        }
    }

    /// Lets the bell work for this long; says whether a device is open afterwards.
    fn run<'a, C, O>(
        room: &'a Room,
        bell: &mut Bell<C, O>,
        playing: &mut Option<Playing<Fake<'a>>>,
        millis: u64,
    ) -> bool
    where
        C: Fn() -> Duration,
        O: Fn(Option<String>, Duration) -> Fake<'a>,
    {
        for _ in 0..millis / 10 {
            room.now.set(room.now.get() + Duration::from_millis(10));
            let (quit, tone) = bell.take_wish();
            assert!(!quit);
            bell.turn(playing, tone);
        }
        playing.is_some()
    }

    fn bell<'a>(
        room: &'a Room,
    ) -> Bell<impl Fn() -> Duration + 'a, impl Fn(Option<String>, Duration) -> Fake<'a> + 'a> {
        Bell {
            wish: watch::Sender::new(Wish::default()),
            places: Places {
                ringer: Some("bell".to_owned()),
                speaker: None,
            },
            clock: || room.now.get(),
            open: |name, _| {
                let mut heard = room.heard.borrow_mut();
                heard.push((name, Vec::new()));
                Fake(room, heard.len() - 1)
            },
            chorus: Chorus::default(),
        }
    }

    fn is_loud(sound: &[f32]) -> bool {
        sound.iter().any(|sample| sample.abs() > 0.03)
    }

    #[test]
    fn it_rings_on_the_ringer_and_the_rest_is_heard_where_calls_are() {
        let room = Room::default();
        let (mut bell, mut playing) = (bell(&room), None);
        bell.wish
            .send_modify(|wish| wish.lasting = Some(Tone::Ring));
        assert!(run(&room, &mut bell, &mut playing, 4000));
        bell.wish
            .send_modify(|wish| wish.lasting = Some(Tone::RingBack));
        assert!(run(&room, &mut bell, &mut playing, 1000));
        let heard = room.heard.borrow();
        let names: Vec<_> = heard.iter().map(|(name, _)| name.as_deref()).collect();
        assert_eq!(names, [Some("bell"), None]);
        assert!(heard.iter().all(|(_, sound)| is_loud(sound)));
        let ring = &heard[0].1;
        assert!(is_loud(&ring[144_000..]), "it rings again after 3 s");
        assert_eq!(room.closed.get(), 1, "only one device is open at a time");
    }

    #[test]
    fn no_device_is_open_but_while_something_sounds() {
        let room = Room::default();
        let (mut bell, mut playing) = (bell(&room), None);
        assert!(!run(&room, &mut bell, &mut playing, 1000));
        assert!(room.heard.borrow().is_empty(), "nothing was opened");
        bell.wish.send_modify(|wish| wish.short.push(Tone::Leave));
        assert!(run(&room, &mut bell, &mut playing, 400));
        assert!(!run(&room, &mut bell, &mut playing, 1000));
        let heard = room.heard.borrow();
        assert_eq!(heard.len(), 1);
        assert!(is_loud(&heard[0].1[..14_400]));
        assert_eq!(room.closed.get(), 1);
    }

    #[test]
    fn a_ring_that_is_answered_stops_within_20_ms() {
        let room = Room::default();
        let (mut bell, mut playing) = (bell(&room), None);
        bell.wish
            .send_modify(|wish| wish.lasting = Some(Tone::Ring));
        run(&room, &mut bell, &mut playing, 500);
        bell.wish.send_modify(|wish| wish.lasting = None);
        run(&room, &mut bell, &mut playing, 200);
        let heard = room.heard.borrow();
        let (ringing, after) = heard[0].1.split_at(24_000);
        assert!(is_loud(ringing));
        assert!(after[960..].iter().all(|sample| *sample == 0.0));
    }
}
