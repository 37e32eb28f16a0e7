//! Those who steer the phone and hear from it: the screen, and clients of the control socket.
//!
//! None of them can hold the engine up. A listener that is slow loses events, is told so once by
//! [`Event::Resync`], and can ask for the whole state; one that lets its answers pile up is let go.

use std::task::{Context, Poll};

use tokio::sync::mpsc;

use crate::api::{Event, Message, Reply, Request, Stamped};

/// Names a listener as long as the engine runs.
pub(super) type ListenerId = u64;

/// The engine's ends of all conversations.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    all: Vec<Listener>,
    last: ListenerId,
}

#[derive(Debug)]
struct Listener {
    id: ListenerId,
    requests: mpsc::Receiver<Request>,
    /// More requests may come.
    asks: bool,
    messages: mpsc::Sender<Message>,
    wants_levels: bool,
    /// It was told to resynchronise and has not caught up yet.
    is_behind: bool,
}

impl Listeners {
    /// Welcomes a listener with `first`.
    pub(super) fn add(
        &mut self,
        requests: mpsc::Receiver<Request>,
        messages: mpsc::Sender<Message>,
        first: Stamped,
    ) {
        self.last += 1;
        let mut listener = Listener {
            id: self.last,
            requests,
            asks: true,
            messages,
            wants_levels: false,
            is_behind: false,
        };
        listener.tell(&first);
        self.all.retain(|listener| !listener.messages.is_closed());
        self.all.push(listener);
    }

    /// Tells everybody.
    pub(super) fn tell(&mut self, event: &Stamped) {
        self.all.retain(|listener| !listener.messages.is_closed());
        for listener in &mut self.all {
            listener.tell(event);
        }
    }

    /// Tells those who have the time: what comes again soon is worth no resynchronising.
    pub(super) fn tell_in_passing(&mut self, event: &Stamped) {
        let is_levels = matches!(event.event, Event::Levels { .. });
        for listener in &mut self.all {
            let wanted = listener.wants_levels || !is_levels;
            if wanted && !listener.is_behind && listener.has_caught_up() {
                let _ = listener.messages.try_send(Message::Event(event.clone()));
            }
        }
    }

    pub(super) fn want_levels(&mut self, id: ListenerId, wanted: bool) {
        if let Some(listener) = self.all.iter_mut().find(|listener| listener.id == id) {
            listener.wants_levels = wanted;
        }
    }

    pub(super) fn is_anybody_watching_levels(&self) -> bool {
        self.all.iter().any(|listener| listener.wants_levels)
    }

    /// Answers a request of this listener, if it is still there.
    pub(super) fn answer(&mut self, id: ListenerId, reply: Reply) {
        let Some(index) = self.all.iter().position(|listener| listener.id == id) else {
            return;
        };
        let message = Message::Reply(reply);
        if self.all[index].messages.try_send(message).is_err() {
            tracing::warn!("let go of a client that does not read its answers");
            self.all.swap_remove(index);
        }
    }

    /// The next request of anybody; forever pending while nobody asks. Cancel safe.
    pub(super) async fn next(&mut self) -> (ListenerId, Request) {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(ListenerId, Request)> {
        for index in 0..self.all.len() {
            let listener = &mut self.all[index];
            if !listener.asks {
                continue;
            }
            match listener.requests.poll_recv(cx) {
                Poll::Ready(Some(request)) => {
                    let id = listener.id;
                    // Whoever was served goes to the end of the queue.
                    self.all[index..].rotate_left(1);
                    return Poll::Ready((id, request));
                }
                Poll::Ready(None) => listener.asks = false,
                Poll::Pending => {}
            }
        }
        // Who has said all it wants may go on listening; who does neither is gone.
        self.all
            .retain(|listener| listener.asks || !listener.messages.is_closed());
        Poll::Pending
    }
}

impl Listener {
    fn tell(&mut self, event: &Stamped) {
        if self.is_behind && !self.has_caught_up() {
            return;
        }
        self.is_behind = false;
        let has_room = self.messages.capacity() > FOR_ANSWERS;
        let message = if has_room {
            Message::Event(event.clone())
        } else {
            self.is_behind = true;
            Message::Event(Stamped {
                event: Event::Resync,
                at: event.at,
            })
        };
        // Full of answers, or gone: the next answer finds that out.
        let _ = self.messages.try_send(message);
    }

    fn has_caught_up(&self) -> bool {
        self.messages.capacity() > self.messages.max_capacity() / 2
    }
}

/// Requests of one listener that wait for their turn.
pub(super) const REQUESTS: usize = 32;

/// Messages that wait for one listener.
pub(super) const MESSAGES: usize = 256;

/// Places in a listener's queue that events leave free.
const FOR_ANSWERS: usize = 64;

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::api::{CallId, Command, Done};

    struct Client {
        requests: mpsc::Sender<Request>,
        messages: mpsc::Receiver<Message>,
    }

    fn join(listeners: &mut Listeners) -> Client {
        let (requests, asked) = mpsc::channel(REQUESTS);
        let (told, messages) = mpsc::channel(MESSAGES);
        listeners.add(asked, told, news("welcome"));
        Client { requests, messages }
    }

    fn news(why: &str) -> Stamped {
        let why = why.to_owned();
        stamped(Event::Error { why })
    }

    fn stamped(event: Event) -> Stamped {
        let at = Timestamp::UNIX_EPOCH;
        Stamped { event, at }
    }

    fn levels() -> Stamped {
        stamped(Event::Levels {
            call: CallId(1),
            mic: 0.5,
            speaker: 0.5,
            talking: true,
        })
    }

    fn reply(number: u64) -> Reply {
        Reply {
            reply: number,
            result: Ok(Done::Nothing),
        }
    }

    fn taken(client: &mut Client) -> Vec<Message> {
        std::iter::from_fn(|| client.messages.try_recv().ok()).collect()
    }

    fn resyncs(messages: &[Message]) -> usize {
        let resync = Message::Event(stamped(Event::Resync));
        messages
            .iter()
            .filter(|message| **message == resync)
            .count()
    }

    #[test]
    fn the_slow_one_is_told_once_and_the_quick_one_loses_nothing() {
        let mut listeners = Listeners::default();
        let (mut quick, mut slow) = (join(&mut listeners), join(&mut listeners));
        let mut heard = taken(&mut quick).len();
        for _ in 0..1000 {
            listeners.tell(&news("x"));
            heard += taken(&mut quick).len();
        }
        assert_eq!(heard, 1001);

        let late = taken(&mut slow);
        assert_eq!(late.len(), MESSAGES - FOR_ANSWERS + 1);
        assert_eq!(resyncs(&late), 1);
        assert_eq!(late.last(), Some(&Message::Event(stamped(Event::Resync))));

        listeners.tell(&news("again"));
        assert_eq!(taken(&mut slow), [Message::Event(news("again"))]);
    }

    #[test]
    fn answers_have_room_behind_any_number_of_events() {
        let mut listeners = Listeners::default();
        let mut client = join(&mut listeners);
        for _ in 0..1000 {
            listeners.tell(&news("x"));
        }
        for number in 0..10 {
            listeners.answer(1, reply(number));
        }
        let messages = taken(&mut client);
        let answers = messages
            .iter()
            .filter(|message| matches!(message, Message::Reply(_)));
        assert_eq!(answers.count(), 10);
    }

    #[test]
    fn who_never_reads_its_answers_is_let_go() {
        let mut listeners = Listeners::default();
        let _client = join(&mut listeners);
        for number in 0..1000 {
            listeners.answer(1, reply(number));
        }
        assert!(listeners.all.is_empty());
    }

    #[test]
    fn levels_go_to_those_who_asked_and_never_crowd_out_news() {
        let mut listeners = Listeners::default();
        let (mut plain, mut meter) = (join(&mut listeners), join(&mut listeners));
        assert!(!listeners.is_anybody_watching_levels());
        listeners.want_levels(2, true);
        assert!(listeners.is_anybody_watching_levels());
        for _ in 0..1000 {
            listeners.tell_in_passing(&levels());
        }
        listeners.tell(&news("x"));
        assert_eq!(taken(&mut plain).len(), 2);
        let seen = taken(&mut meter);
        assert_eq!(resyncs(&seen), 0);
        assert_eq!(seen.last(), Some(&Message::Event(news("x"))));
    }

    #[tokio::test]
    async fn everybody_gets_a_turn() {
        let mut listeners = Listeners::default();
        let clients = [join(&mut listeners), join(&mut listeners)];
        for client in &clients {
            for id in 0..3 {
                let command = Command::Status;
                client
                    .requests
                    .try_send(Request { id, command })
                    .expect("room");
            }
        }
        let mut order = Vec::new();
        for _ in 0..6 {
            order.push(listeners.next().await.0);
        }
        assert_eq!(order, [1, 2, 1, 2, 1, 2]);
    }

    #[tokio::test]
    async fn who_is_gone_leaves_nothing_and_who_only_listens_stays() {
        let mut listeners = Listeners::default();
        let gone = join(&mut listeners);
        let mut quiet = join(&mut listeners);
        drop(gone);
        let (requests, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut quiet.requests, requests));
        let waited = tokio::time::timeout(std::time::Duration::ZERO, listeners.next()).await;
        assert!(waited.is_err(), "nobody asked anything");
        assert_eq!(listeners.all.len(), 1);
        listeners.tell(&news("x"));
        assert_eq!(taken(&mut quiet).len(), 2);
    }
}
