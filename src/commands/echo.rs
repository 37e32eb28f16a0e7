//! `twocan echo`: hear yourself two seconds later, without anybody else.

use std::future;
use std::time::Duration;

use tokio::sync::mpsc;
use twocan::audio::{AudioError, AudioEvent, AudioStats, EchoEvent, echo};
use twocan::cli::{EchoArgs, Exit};
use twocan::config::Overrides;
use twocan::tui::SoundTest;

use super::fail::Failure;
use super::setup::Setup;
use super::signals::Signals;
use super::{host, log, out};

/// Runs until Ctrl-C or for the time that was given.
///
/// # Errors
/// When there is no sound at all.
pub async fn run(setup: &Setup, args: EchoArgs) -> Result<(), Failure> {
    let config = setup.config()?;
    let over = Overrides {
        audio: args.audio,
        ..Overrides::default()
    };
    let settings = host::audio(&config.engine.clone().with(over)?, &config);
    log::start(&setup.global, &config.log, &setup.home.log())?;
    let mut signals = Signals::new()?;
    let (tell, mut heard) = mpsc::channel(EVENTS);
    let mut running = tokio::spawn(echo(settings, tell));
    let mut meter = Meter {
        json: setup.global.json,
        ..Meter::default()
    };
    let mut over = Box::pin(limit(args.limit));
    out::say("Speak: you hear yourself two seconds later. Ctrl-C ends it.");
    let ended = loop {
        tokio::select! {
            _ = signals.next() => break Err(Failure::silent(Exit::Interrupted)),
            () = &mut over => break meter.verdict(),
            Some(event) = heard.recv() => if let Err(failure) = meter.take(event) {
                break Err(failure);
            },
            ended = &mut running => break match ended {
                Ok(Ok(())) => meter.verdict(),
                Ok(Err(error)) => Err(error.into()),
                Err(error) => Err(Failure::new(Exit::Other, error)),
            },
        }
    };
    // Without a listener the sound side ends, and a file that it writes becomes whole.
    drop(heard);
    if !running.is_finished() {
        let _ = running.await;
    }
    ended
}

/// The same for the sound step of the first start: the microphone's levels, as long as somebody
/// listens to them.
pub fn sound_test(settings: twocan::audio::Settings) -> SoundTest {
    let (tell, mut heard) = mpsc::channel(EVENTS);
    let (send, levels) = mpsc::channel(EVENTS);
    tokio::spawn(async move {
        if let Err(error) = echo(settings, tell).await {
            tracing::warn!("no sound test: {error}");
        }
    });
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                event = heard.recv() => event,
                () = send.closed() => None,
            };
            match event {
                Some(EchoEvent {
                    sound: AudioEvent::Levels { mic, .. },
                    ..
                }) => drop(send.try_send(mic)),
                Some(_) => {}
                None => return,
            }
        }
    });
    SoundTest { levels }
}

impl From<AudioError> for Failure {
    fn from(error: AudioError) -> Failure {
        Failure::new(Exit::Audio, error)
    }
}

/// Prints once a second how loud it was.
#[derive(Default)]
struct Meter {
    json: bool,
    mic: f32,
    speaker: f32,
    trouble: Option<String>,
}

impl Meter {
    fn take(&mut self, event: EchoEvent) -> Result<(), Failure> {
        let EchoEvent { sound, held } = event;
        match sound {
            AudioEvent::Frame(..)
            | AudioEvent::Report(..)
            | AudioEvent::RecordingLost { .. }
            | AudioEvent::Microphone { .. } => Ok(()),
            AudioEvent::Levels { mic, speaker, .. } => {
                self.mic = self.mic.max(mic);
                self.speaker = self.speaker.max(speaker);
                Ok(())
            }
            AudioEvent::Stats { stats, .. } => {
                let (mic, speaker) = (
                    std::mem::take(&mut self.mic),
                    std::mem::take(&mut self.speaker),
                );
                self.print(mic, speaker, held, &stats)
            }
            AudioEvent::Lost { why } => {
                out::say(format!("no sound: {why}"));
                self.trouble = Some(why.to_string());
                Ok(())
            }
            AudioEvent::Restored { place } => {
                out::say(format!("sound: {place}"));
                if let Some(note) = &place.note {
                    out::say(note);
                }
                self.trouble = None;
                Ok(())
            }
            AudioEvent::Refused { why } => {
                out::say(why);
                Ok(())
            }
        }
    }

    fn print(
        &self,
        mic: f32,
        speaker: f32,
        held: Duration,
        stats: &AudioStats,
    ) -> Result<(), Failure> {
        // Nothing has come back in the first two seconds.
        let delay = held.as_secs_f32() * 1000.0 + stats.buffer_ms;
        let delay = (!held.is_zero()).then_some(delay);
        let dropped = stats.dropped + stats.late + stats.skipped;
        if self.json {
            return out::json(&serde_json::json!({
                "mic": mic, "speaker": speaker, "jitter_ms": stats.jitter_ms,
                "buffer_ms": stats.buffer_ms, "loss": stats.loss, "concealed": stats.concealed,
                "delay_ms": delay, "dropped": dropped,
            }));
        }
        let bar = |level: f32| "#".repeat((level.clamp(0.0, 1.0) * BAR) as usize);
        out::line(format!(
            "microphone [{:<20}]  loudspeaker [{:<20}]  delay {} ms, {dropped} dropped, {} concealed",
            bar(mic),
            bar(speaker),
            delay.map_or("?".to_owned(), |delay| format!("{delay:.0}")),
            stats.concealed
        ))
    }

    /// No sound at the end is a failure.
    fn verdict(&mut self) -> Result<(), Failure> {
        match self.trouble.take() {
            None => Ok(()),
            Some(trouble) => Err(Failure::new(Exit::Audio, trouble)),
        }
    }
}

async fn limit(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => future::pending().await,
    }
}

/// Events that wait to be looked at.
const EVENTS: usize = 32;
/// Signs of a full bar.
const BAR: f32 = 20.0;
