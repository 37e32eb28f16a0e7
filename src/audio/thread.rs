//! The voice thread: serves one call at a time and never waits for anything but its device.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use tokio::sync::{Notify, mpsc, watch};

use crate::audio::clean::Microphone;
use crate::audio::clocked::Ends;
use crate::audio::line::Line;
use crate::audio::record::Tap;
use crate::audio::sound::{News, Sound};
use crate::audio::{AudioEvent, Backend, Choice, Controls, Received, Settings, Tone, Wanted};
use crate::phone::types::{CallId, OpenMic, Report};
use crate::voice::Policy;

/// The thread's ends of everything that leads to the handle and the engine. `clock` tells the time
/// since the start of the sound side.
pub(super) struct Ways<C> {
    pub(super) wanted: watch::Sender<Wanted>,
    pub(super) received: Receiver<Received>,
    /// Recordings that begin.
    pub(super) taps: Receiver<Tap>,
    pub(super) events: mpsc::Sender<AudioEvent>,
    pub(super) placed: watch::Sender<String>,
    /// Wakes the engine, which otherwise takes the events when it is awake.
    pub(super) urgent: Arc<Notify>,
    pub(super) clock: C,
    /// Where `clock` has its zero.
    pub(super) began: Instant,
}

/// Runs until the handle is dropped.
pub(super) fn run<C: Fn() -> Duration>(settings: Settings, ways: Ways<C>) {
    let mut voice = Voice {
        settings,
        ways,
        opened: 0,
        serving: None,
        files: None,
        learned: ArrayVec::new(),
        tap: None,
        news: VecDeque::new(),
    };
    loop {
        let orders = voice.orders();
        if orders.quit {
            voice.stop();
            return;
        }
        voice.obey(orders);
        voice.rest();
    }
}

struct Voice<C> {
    settings: Settings,
    ways: Ways<C>,
    /// Which of the orders to open a call was carried out last.
    opened: u64,
    serving: Option<Serving>,
    /// The files of the last call, which may be resumed.
    files: Option<(CallId, Ends)>,
    /// What was learned of the lines of calls that are held, the latest last.
    learned: ArrayVec<(CallId, Policy), LEARNED>,
    /// The recording of a call, which may be on hold.
    tap: Option<Tap>,
    /// What must still be told; it may not be lost, so it waits here while the channel is full.
    news: VecDeque<AudioEvent>,
}

struct Serving {
    line: Line,
    sound: Sound,
    /// Frames that arrived earlier belong to the time before.
    since: Duration,
    levels_due: Duration,
    stats_due: Duration,
    /// What was told last of the microphone.
    microphone: Microphone,
    /// Frames of the microphone that found the channel full.
    dropped: u64,
    /// Frames of the far side that had found the channel full when the call was opened.
    dropped_before: u64,
}

/// A copy of [`Wanted`].
struct Orders {
    opened: u64,
    since: Duration,
    mic: Option<OpenMic>,
    serving: bool,
    choice: Option<Choice>,
    controls: Controls,
    dropped: u64,
    report: Option<(CallId, Report)>,
    lasting: Option<Tone>,
    short: Vec<Tone>,
    recording: Option<CallId>,
    quit: bool,
}

impl<C: Fn() -> Duration> Voice<C> {
    fn orders(&self) -> Orders {
        let mut orders = None;
        self.ways.wanted.send_if_modified(|wanted| {
            orders = Some(Orders {
                opened: wanted.opened,
                since: wanted.since,
                mic: wanted.opening.take(),
                serving: wanted.serving.is_some(),
                choice: wanted.choice.take(),
                controls: wanted.controls,
                dropped: wanted.dropped,
                report: wanted.report.take(),
                lasting: wanted.lasting,
                short: std::mem::take(&mut wanted.short),
                recording: wanted.recording,
                quit: wanted.quit,
            });
            false
        });
        orders.expect("send_if_modified calls its argument exactly once")
    }

    /// Waits until there may be something to do again.
    fn rest(&self) {
        match &self.serving {
            // Levels and statistics go with the sound.
            Some(serving) => serving.sound.rest((self.ways.clock)(), serving.levels_due),
            None => thread::park(),
        }
    }

    /// Does what is to be done now.
    fn obey(&mut self, orders: Orders) {
        if !orders.serving || orders.opened != self.opened {
            self.stop();
        }
        if let Some(choice) = &orders.choice {
            self.choose(choice);
        }
        if let Some(mic) = orders.mic {
            self.opened = orders.opened;
            self.begin(mic, orders.since, orders.dropped);
        }
        self.tap = self.ways.taps.try_iter().last().or(self.tap.take());
        self.tap.take_if(|tap| Some(tap.call()) != orders.recording);
        self.tell_news();
        let now = (self.ways.clock)();
        let Some(serving) = self.serving.as_mut() else {
            return;
        };
        serving.line.take_tones(orders.lasting, orders.short);
        serving.receive(&self.ways.received);
        if let Some((call, report)) = orders.report
            && call == serving.line.call()
        {
            serving.line.hear_report(report, now);
        }
        serving.turn(&self.ways, &orders.controls, self.tap.as_mut(), now);
        serving.report(&self.ways.events, orders.dropped, now);
        let news = serving.sound.care(now);
        self.take(news);
    }

    fn begin(&mut self, mic: OpenMic, since: Duration, dropped: u64) {
        let now = (self.ways.clock)();
        let call = mic.call();
        let known = self.learned.iter().position(|(of, _)| *of == call);
        let policy = known.map(|at| self.learned.remove(at).1);
        let policy = policy.unwrap_or_default();
        let line = match Line::new(mic, &self.settings, policy) {
            Ok(line) => line,
            Err(error) => {
                let why = error.to_string().into();
                self.take(Some(News::Lost(why)));
                return;
            }
        };
        let kept = self.files.take().filter(|(of, _)| *of == call);
        let (sound, news) = Sound::open(&self.settings, kept.map(|(_, ends)| ends), now);
        self.serving = Some(Serving {
            line,
            sound,
            since,
            levels_due: now + LEVELS_EVERY,
            stats_due: now + STATS_EVERY,
            microphone: Microphone::Fine,
            dropped: 0,
            dropped_before: dropped,
        });
        self.take(news);
    }

    /// Ends serving: closes the devices, makes written files whole.
    fn stop(&mut self) {
        let Some(serving) = self.serving.take() else {
            return;
        };
        let call = serving.line.call();
        if self.learned.is_full() {
            self.learned.remove(0);
        }
        self.learned.push((call, serving.line.into_policy()));
        if let Some(mut ends) = serving.sound.close() {
            if let Err(error) = ends.save() {
                self.take(Some(News::Lost(error.to_string().into())));
            }
            self.files = Some((call, ends));
        }
    }

    /// Keeps the choice for all calls to come, and changes the devices of one that is served.
    fn choose(&mut self, choice: &Choice) {
        let now = (self.ways.clock)();
        if let Backend::Cpal { input, output } = &mut self.settings.backend {
            for (kept, chosen) in [(input, &choice.microphone), (output, &choice.speaker)] {
                if let Some(name) = chosen {
                    *kept = Some(name.clone()).filter(|name| !name.is_empty());
                }
            }
        }
        if let Some(serving) = &mut self.serving {
            let news = serving.sound.choose(choice, now);
            self.take(news);
        }
    }

    fn take(&mut self, news: Option<News>) {
        if let Some(Serving { line, .. }) = &mut self.serving {
            match &news {
                Some(News::Restored(place)) => line.moved(place),
                Some(News::Lost(_)) => line.lost(),
                Some(News::Refused(_)) | None => {}
            }
        }
        let event = match news {
            None => return,
            Some(News::Lost(why)) => {
                self.ways.placed.send_replace("no sound".to_owned());
                AudioEvent::Lost { why }
            }
            Some(News::Restored(place)) => {
                self.ways.placed.send_replace(place.to_string());
                AudioEvent::Restored { place }
            }
            Some(News::Refused(why)) => AudioEvent::Refused { why },
        };
        if self.news.len() == NEWS {
            self.news.pop_front();
        }
        self.news.push_back(event);
        self.tell_news();
    }

    fn tell_news(&mut self) {
        while let Some(news) = self.news.pop_front() {
            let told = self.ways.events.try_send(news);
            self.ways.urgent.notify_one();
            if let Err(mpsc::error::TrySendError::Full(news)) = told {
                self.news.push_front(news);
                return;
            }
        }
    }
}

impl Serving {
    fn receive(&mut self, received: &Receiver<Received>) {
        while let Ok(Received { call, frame, at }) = received.try_recv() {
            if call == self.line.call() && at >= self.since {
                self.line.receive(&frame, at);
            }
        }
    }

    /// Moves sound both ways as far as the device allows.
    fn turn<C>(
        &mut self,
        ways: &Ways<C>,
        controls: &Controls,
        tap: Option<&mut Tap>,
        now: Duration,
    ) {
        let Serving {
            line,
            sound,
            dropped,
            ..
        } = self;
        let call = line.call();
        let mut tap = tap.filter(|tap| tap.call() == call);
        line.let_tones_be_heard(sound.is_audible());
        sound.turn(now, |rings, wanted| {
            while let Some(frame) = line.record(rings, controls) {
                if let Some(tap) = &mut tap {
                    tap.said(line.said());
                }
                let is_first = frame.seq == 0;
                let frame = AudioEvent::Frame(call, frame, ways.began + now);
                let is_taken = ways.events.try_send(frame).is_ok();
                *dropped += u64::from(!is_taken);
                if is_first || !is_taken {
                    ways.urgent.notify_one();
                }
            }
            line.play(rings, controls, tap.as_deref_mut(), wanted, now);
        });
    }

    fn report(&mut self, events: &mpsc::Sender<AudioEvent>, dropped: u64, now: Duration) {
        let call = self.line.call();
        if let Some(report) = self.line.report(now) {
            let _ = events.try_send(AudioEvent::Report(call, report));
        }
        if now >= self.levels_due {
            self.levels_due = now + LEVELS_EVERY;
            let peaks = self.line.take_peaks();
            // Levels and statistics that find the channel full have been overtaken anyway.
            let _ = events.try_send(AudioEvent::Levels {
                call,
                mic: peaks.mic,
                speaker: peaks.speaker,
                talking: self.line.is_talking(),
            });
        }
        let state = self.line.microphone();
        let told = AudioEvent::Microphone { call, state };
        if state != self.microphone && events.try_send(told).is_ok() {
            self.microphone = state;
        }
        if now >= self.stats_due {
            self.stats_due = now + STATS_EVERY;
            let mut stats = self.line.stats(now);
            stats.dropped = self.dropped + dropped - self.dropped_before;
            let link = self.sound.round_trip();
            stats.shortages = self.sound.shortages();
            stats.link_ms = link.map(|time| time.as_secs_f32() * 1000.0);
            let _ = events.try_send(AudioEvent::Stats { call, stats });
        }
    }
}

/// Where sound will come from, as far as it can be said before a call.
pub(super) fn planned_place(backend: &Backend) -> String {
    match backend {
        Backend::Null => "null".to_owned(),
        Backend::Wav { input, output } => {
            format!("wav: {} to {}", input.display(), output.display())
        }
        Backend::Cpal { input, output } => {
            let named = |name: &Option<String>| name.clone().unwrap_or("default".to_owned());
            format!("{} and {}", named(input), named(output))
        }
    }
}

const LEVELS_EVERY: Duration = Duration::from_millis(100);

/// News that wait; older ones are overtaken.
const NEWS: usize = 8;

const STATS_EVERY: Duration = Duration::from_secs(1);

/// Calls that may be held, or over, while another is served.
const LEARNED: usize = 4;
