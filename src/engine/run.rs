//! The loop: wait for one thing to happen, tell the phone, do what it says.
//!
//! Nothing is awaited but the `select!`. While nothing happens nothing runs: there is one alarm, and
//! it is set to the first of all deadlines.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::alarm::Alarm;
use super::book::Book;
use super::chimes::Chimes;
use super::clock::Clock;
use super::echo::Echo;
use super::finder::Finder;
use super::keep::{Keep, Kept};
use super::labour::Labour;
use super::listeners::{ListenerId, Listeners};
use super::moving::Moving;
use super::recordings::Recordings;
use super::renewal::Renewal;
use super::sound::Lookout;
use crate::api::{
    AudioView, Done, Event, Message, Refusal, Reply, Request, RequestId, Stamped, Trouble,
};
use crate::audio::{Audio, AudioEvent};
use crate::directory;
use crate::net::Net;
use crate::peer::{PeerId, SafeText};
use crate::phone::Phone;
use crate::phone::types::{Input, Now};

/// Everything that the loop works on.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) alarm: Alarm,
    pub(super) phone: Phone,
    pub(super) net: Net,
    pub(super) audio: Audio,
    pub(super) audio_events: mpsc::Receiver<AudioEvent>,
    pub(super) recordings: Recordings,
    pub(super) echo: Echo,
    pub(super) keep: Keep,
    pub(super) book: Book,
    pub(super) renewal: Renewal,
    pub(super) finder: Finder,
    pub(super) labour: Labour,
    pub(super) joins: mpsc::Receiver<Join>,
    pub(super) stop: Arc<Notify>,
    pub(super) id: PeerId,
    pub(super) name: SafeText,
    pub(super) moving: Moving,
}

/// The engine's ends of a new conversation.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) messages: mpsc::Sender<Message>,
}

/// A running engine.
pub(super) struct Run {
    pub(super) parts: Parts,
    pub(super) listeners: Listeners,
    pub(super) sound: AudioView,
    pub(super) chimes: Chimes,
    /// A call has used the devices, so that what is said of them is certain.
    pub(super) sound_is_known: bool,
    pub(super) lookout: Lookout,
    /// Requests that the phone has not answered yet, by the number that it knows them by.
    pub(super) asked: BTreeMap<RequestId, (ListenerId, RequestId)>,
    pub(super) last_asked: RequestId,
    /// When to end, on the monotonic clock; set by the wish to stop.
    ending: Option<Duration>,
}

impl Run {
    pub(super) fn new(parts: Parts, lookout: Lookout) -> Run {
        let sound = AudioView {
            place: parts.audio.place(),
            ..AudioView::default()
        };
        Run {
            parts,
            listeners: Listeners::default(),
            sound,
            chimes: Chimes::default(),
            sound_is_known: false,
            lookout,
            asked: BTreeMap::new(),
            last_asked: 0,
            ending: None,
        }
    }

    pub(super) fn id(&self) -> PeerId {
        self.parts.id
    }

    pub(super) fn listen(&self) -> SocketAddr {
        self.parts.net.listen()
    }

    /// Runs to the end.
    pub(super) async fn run(mut self) {
        // What the phone wants at its birth.
        self.drain();
        self.begin_to_find();
        while !self.is_over() {
            self.set_alarm();
            let parts = &mut self.parts;
            tokio::select! {
                () = parts.net.readable() => self.receive(),
                () = parts.audio.urgent() => self.listen_in(),
                event = parts.finder.news() => self.take_news(event),
                survey = self.lookout.seen() => self.take_survey(&survey),
                done = parts.labour.done() => self.take_work(done),
                seen = parts.moving.news() => self.see(seen),
                () = parts.alarm.rings() => self.be_on_time(),
                kept = parts.keep.done() => self.settle(kept),
                (listener, request) = self.listeners.next() => self.request(listener, request),
                Some(join) = parts.joins.recv() => self.welcome(join),
                () = parts.stop.notified() => self.begin_to_end(),
            }
        }
        self.finish();
    }

    /// Tells the phone one thing and does what follows from it.
    pub(super) fn tell_phone(&mut self, input: Input<'_>) {
        let now = self.parts.clock.now();
        self.tell_phone_at(input, now);
    }

    pub(super) fn tell_phone_at(&mut self, input: Input<'_>, now: Now) {
        self.parts.phone.handle(input, now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.parts.phone.poll() {
            self.apply(output);
        }
        self.tell_nat();
        self.chime();
    }

    /// Takes what the sound side has left since the last turn.
    fn listen_in(&mut self) {
        while let Ok(event) = self.parts.audio_events.try_recv() {
            self.hear(event);
        }
    }

    fn receive(&mut self) {
        for _ in 0..DATAGRAMS_A_TURN {
            let parts = &mut self.parts;
            let Some((from, bytes)) = parts.net.receive() else {
                return;
            };
            let now = parts.clock.now();
            parts.phone.handle(Input::Receive(from, bytes), now);
            self.drain();
        }
    }

    fn be_on_time(&mut self) {
        // Frames must be there before the packet that they leave in.
        self.listen_in();
        let now = self.parts.clock.now();
        self.notice_sleep(now);
        self.echo_on_time();
        if let Some(cert) = self.parts.renewal.due(now.unix) {
            self.tell_phone(Input::Certificate(Box::new(cert)));
            self.tell_keeper_of_device();
        }
        if self.parts.phone.deadline().is_some_and(|at| at <= now.mono) {
            self.tell_phone(Input::Timeout);
        }
        let finder = self.parts.finder.deadline();
        if finder.is_some_and(|at| at <= now.mono) {
            self.tell_keeper(directory::Input::Timeout);
        }
    }

    fn settle(&mut self, kept: Kept) {
        match kept {
            Kept::Change(id, Ok(())) => self.tell_phone(Input::Saved(id, true)),
            Kept::Change(id, Err(why)) => {
                self.announce(Event::Error { why });
                self.tell_phone(Input::Saved(id, false));
            }
            Kept::History(Ok(())) | Kept::Remembered(Ok(())) => {}
            Kept::History(Err(why)) | Kept::Remembered(Err(why)) => {
                self.announce(Event::Error { why })
            }
            Kept::Answer(listener, reply, result) => {
                let trouble = Trouble::Other;
                let result = result.map(|()| Done::Nothing);
                let result = result.map_err(|why| Refusal { trouble, why });
                self.listeners.answer(listener, Reply { reply, result });
            }
        }
    }

    fn welcome(&mut self, join: Join) {
        let ready = self.stamped(Event::Ready {
            id: self.parts.id,
            listen: vec![self.listen()],
        });
        self.listeners.add(join.requests, join.messages, ready);
    }

    /// Tells everybody that something happened.
    pub(super) fn announce(&mut self, event: Event) {
        let event = self.stamped(event);
        self.listeners.tell(&event);
    }

    pub(super) fn stamped(&self, event: Event) -> Stamped {
        let at = self.parts.clock.stamp();
        Stamped { event, at }
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Hangs up everywhere; the loop goes on for a moment, so that the others hear of it.
    pub(super) fn begin_to_end(&mut self) {
        if self.ending.is_none() {
            self.ending = Some(self.parts.clock.now().mono + LAST_WORDS);
            self.tell_phone(Input::Shutdown);
            self.parts.moving.end();
            self.sign_off();
        }
    }

    fn is_over(&self) -> bool {
        self.ending.is_some_and(|end| {
            let is_silent = self.parts.phone.deadline().is_none()
                && self.parts.keep.is_idle()
                && !self.parts.finder.is_signing_off()
                && self.parts.moving.has_ended();
            is_silent || self.parts.clock.now().mono >= end
        })
    }

    fn finish(self) {
        let Parts { audio, keep, .. } = self.parts;
        // The written sound is complete when its thread has ended.
        drop(audio);
        keep.finish();
    }

    fn set_alarm(&mut self) {
        let parts = &mut self.parts;
        let now = parts.clock.now();
        let renewal = now.mono + Duration::from_secs(parts.renewal.in_seconds(now.unix));
        let deadlines = [
            parts.phone.deadline(),
            parts.finder.deadline(),
            parts.echo.deadline(),
            self.ending,
            Some(renewal),
        ];
        let first = deadlines.into_iter().flatten().min();
        parts.alarm.set(first, now.mono);
    }
}

/// Datagrams taken before others get their turn: more than half a second of a call.
const DATAGRAMS_A_TURN: usize = 32;

/// How long the end of the engine may take for saying goodbye.
const LAST_WORDS: Duration = Duration::from_millis(300);
