//! The loop of the screen: keys, the engine's messages and the clock go in, pictures come out.
//! Generic over the terminal and the keyboard, so that tests can drive it.

use std::future::Future;
use std::io;
use std::time::Duration;

use crossterm::event::Event as TerminalEvent;
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use crate::api::{Event, Message, Stamped};
use crate::tui::clip;
use crate::tui::model::Model;
use crate::tui::notify::{BELL, Surroundings};
use crate::tui::update::{Effect, Msg, update};
use crate::tui::{Exit, Link, ScreenError, SoundTest};

/// Where pictures go.
pub trait Surface {
    /// Draws what differs; `whole` = more than meters and times has changed.
    fn draw(&mut self, model: &Model, whole: bool) -> io::Result<()>;
    /// Sends a sequence that is no part of the picture.
    fn emit(&mut self, sequence: &str) -> io::Result<()>;
    /// Forgets the last picture, so that the next one is drawn in full.
    fn repaint(&mut self) -> io::Result<()>;
    /// Stops the process until the shell continues it.
    fn suspend(&mut self) -> io::Result<()>;
    /// The terminal is still ours.
    fn is_up(&self) -> bool;
}

/// Where keys come from.
pub trait Keyboard {
    /// The next event; None at the end. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<io::Result<TerminalEvent>>>;
    /// Lets go of the terminal until the next call of `next`.
    fn release(&mut self);
}

/// The keys of the real terminal.
#[derive(Debug, Default)]
pub struct Keys(Option<crossterm::event::EventStream>);

impl Keyboard for Keys {
    async fn next(&mut self) -> Option<io::Result<TerminalEvent>> {
        self.0.get_or_insert_default().next().await
    }

    fn release(&mut self) {
        self.0 = None;
    }
}

/// What the loop needs to know beside the model.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Shortest time between two pictures after a key or an event.
    pub gap: Duration,
    /// The same for meters and running times.
    pub meter_gap: Duration,
    pub bell: bool,
    pub desktop: bool,
    pub surroundings: Surroundings,
}

/// One screen at work.
#[derive(Debug)]
pub struct Driver<S, K> {
    surface: S,
    keyboard: K,
    link: Link,
    model: Model,
    settings: Settings,
    sound_test: Option<SoundTest>,
    dirty: Dirty,
    begun: Instant,
    drawn: Option<Instant>,
    focused: bool,
    title: String,
    clock: fn() -> Timestamp,
}

/// How much of the picture has changed since it was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dirty {
    No,
    Meters,
    Whole,
}

impl<S: Surface, K: Keyboard> Driver<S, K> {
    pub fn new(
        surface: S,
        keyboard: K,
        link: Link,
        model: Model,
        settings: Settings,
    ) -> Driver<S, K> {
        Driver {
            surface,
            keyboard,
            link,
            model,
            settings,
            sound_test: None,
            dirty: Dirty::Whole,
            begun: present(),
            drawn: None,
            focused: true,
            title: String::new(),
            clock: wall_clock,
        }
    }

    /// Levels to show in the sound step of the first start.
    pub fn with_sound_test(mut self, sound_test: Option<SoundTest>) -> Driver<S, K> {
        self.sound_test = sound_test;
        self
    }

    /// Another clock, for tests.
    pub fn with_clock(mut self, clock: fn() -> Timestamp) -> Driver<S, K> {
        self.clock = clock;
        self
    }

    /// Runs until the person leaves, `stop` comes true or the engine goes away.
    ///
    /// # Errors
    /// The terminal fails or is taken away, or the engine ends.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<Exit, ScreenError> {
        tokio::pin!(stop);
        if let Some(exit) = self.take(Msg::Start)? {
            return Ok(exit);
        }
        loop {
            let wake = self.wake();
            let msg = tokio::select! {
                biased;
                () = &mut stop => return Ok(Exit::Stopped),
                event = self.keyboard.next() => self.on_terminal(event)?,
                message = self.link.messages.recv() => {
                    Some(Msg::Heard(message.ok_or(ScreenError::EngineGone)?))
                }
                heard = next_level(&mut self.sound_test) => self.on_level(heard),
                () = sleep_until(wake) => None,
            };
            if !self.surface.is_up() {
                return Err(ScreenError::Torn);
            }
            if let Some(exit) = msg.map(|msg| self.take(msg)).transpose()?.flatten() {
                return Ok(exit);
            }
            self.draw_if_due()?;
        }
    }

    /// When there is something to do without anything happening.
    fn wake(&self) -> Option<Instant> {
        let draw = (self.dirty != Dirty::No).then(|| self.due());
        let change = self.model.next_change().map(|at| {
            let millis = at
                .as_millisecond()
                .saturating_sub((self.clock)().as_millisecond());
            present() + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
        });
        draw.into_iter().chain(change).min()
    }

    /// The earliest moment for the next picture.
    fn due(&self) -> Instant {
        let gap = match self.dirty {
            Dirty::Meters if !self.focused => UNSEEN_GAP,
            Dirty::Meters => self.settings.meter_gap,
            _ => self.settings.gap,
        };
        self.drawn.map_or(self.begun, |drawn| drawn + gap)
    }

    fn on_terminal(
        &mut self,
        event: Option<io::Result<TerminalEvent>>,
    ) -> Result<Option<Msg>, ScreenError> {
        // An end of the keyboard means that the terminal is gone.
        let event = event.ok_or(ScreenError::Torn)??;
        Ok(match event {
            TerminalEvent::Key(key) => Some(Msg::Key(key)),
            TerminalEvent::Paste(text) => Some(Msg::Paste(text)),
            TerminalEvent::FocusGained => {
                self.focused = true;
                None
            }
            TerminalEvent::FocusLost => {
                self.focused = false;
                None
            }
            TerminalEvent::Resize(..) => {
                self.dirty = Dirty::Whole;
                None
            }
            TerminalEvent::Mouse(_) => None,
        })
    }

    fn on_level(&mut self, heard: Option<f32>) -> Option<Msg> {
        if heard.is_none() {
            self.sound_test = None;
        }
        heard.map(|mic| Msg::SoundTest { mic })
    }

    /// Tells the model the time and a message, and does what it asks for.
    fn take(&mut self, msg: Msg) -> Result<Option<Exit>, ScreenError> {
        self.tick();
        let meters = meters(&msg);
        let before = meters.then(|| self.model.clone());
        let effects = update(&mut self.model, msg);
        let changed = match before {
            Some(before) if before == self.model => Dirty::No,
            Some(_) => Dirty::Meters,
            None => Dirty::Whole,
        };
        self.dirty = self.dirty.max(changed);
        for effect in effects {
            if let Some(exit) = self.carry_out(effect)? {
                return Ok(Some(exit));
            }
        }
        Ok(None)
    }

    fn tick(&mut self) {
        let before = self.model.now.as_second();
        let gone = (self.model.notice.is_some(), self.model.armed.is_some());
        update(&mut self.model, Msg::Tick((self.clock)()));
        if gone != (self.model.notice.is_some(), self.model.armed.is_some()) {
            self.dirty = Dirty::Whole;
        }
        if before != self.model.now.as_second() && self.model.next_change().is_some() {
            self.dirty = self.dirty.max(Dirty::Meters);
        }
    }

    fn draw_if_due(&mut self) -> Result<(), ScreenError> {
        self.tick();
        if self.dirty == Dirty::No || present() < self.due() {
            return Ok(());
        }
        self.surface.draw(&self.model, self.dirty == Dirty::Whole)?;
        let title = title(&self.model);
        if title != self.title {
            self.surface.emit(&format!("\x1b]2;{title}\x07"))?;
            self.title = title;
        }
        self.dirty = Dirty::No;
        self.drawn = Some(present());
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<Option<Exit>, ScreenError> {
        match effect {
            Effect::Send(request) => match self.link.commands.try_send(request) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => {
                    update(&mut self.model, Msg::Busy);
                }
                Err(TrySendError::Closed(_)) => return Err(ScreenError::EngineGone),
            },
            Effect::Copy(text) => self
                .surface
                .emit(&clip::copy(&text, self.settings.surroundings))?,
            Effect::Notify(text) => self.notify(&text)?,
            Effect::EndSoundTest => self.sound_test = None,
            Effect::Repaint => self.surface.repaint()?,
            Effect::Suspend => {
                self.keyboard.release();
                self.surface.suspend()?;
                self.title.clear();
            }
            Effect::Quit => return Ok(Some(Exit::Left)),
        }
        Ok(None)
    }

    fn notify(&mut self, text: &str) -> io::Result<()> {
        let mut sequence = String::new();
        if self.settings.desktop && !self.focused {
            sequence.push_str(&self.settings.surroundings.desktop(text));
        }
        if self.settings.bell {
            sequence.push_str(BELL);
        }
        self.surface.emit(&sequence)
    }
}

/// Messages that only move meters, ten a second: worth a look whether they change anything.
fn meters(msg: &Msg) -> bool {
    match msg {
        Msg::Heard(Message::Event(Stamped { event, .. })) => {
            matches!(event, Event::Levels { .. } | Event::Stats { .. })
        }
        Msg::SoundTest { .. } => true,
        _ => false,
    }
}

/// What the window and the task bar say.
fn title(model: &Model) -> String {
    let muted = if model.muted { "MUTED " } else { "" };
    match (
        model.incoming().filter(|call| !call.ignored && !call.quiet),
        model.current(),
    ) {
        (Some(call), _) => format!("twocan: {} calls", call.peer),
        (None, Some(call)) => format!("twocan: {muted}{}", call.peer),
        (None, None) => "twocan".to_owned(),
    }
}

async fn next_level(test: &mut Option<SoundTest>) -> Option<f32> {
    match test {
        Some(test) => test.levels.recv().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this loop is the driver that tells the model the time"
)]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}

#[expect(clippy::disallowed_methods, reason = "paces the drawing")]
fn present() -> Instant {
    Instant::now()
}

/// Meters nobody looks at.
const UNSEEN_GAP: Duration = Duration::from_secs(1);
