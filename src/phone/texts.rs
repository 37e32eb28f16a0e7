//! Lines of text on their way: kept until the far phone has them.

use super::message::Message;
use super::types::{Now, Output};
use super::{Phone, orders};
use crate::api::{Done, Event, Refusal, RequestId, Trouble};
use crate::peer::{PeerId, SafeText};

#[derive(Default)]
pub struct Texts {
    waiting: Vec<Line>,
    next_id: u32,
}

struct Line {
    id: u32,
    request: RequestId,
    peer: PeerId,
    text: SafeText,
    is_sent: bool,
}

impl Texts {
    pub fn is_waiting(&self, peer: &PeerId) -> bool {
        self.waiting.iter().any(|line| line.peer == *peer)
    }

    /// The next line that was not sent yet; now it counts as sent.
    fn next_for(&mut self, peer: &PeerId) -> Option<Message> {
        let mut unsent = self.waiting.iter_mut().filter(|line| !line.is_sent);
        let line = unsent.find(|line| line.peer == *peer)?;
        line.is_sent = true;
        let (id, text) = (line.id, line.text.clone());
        Some(Message::Text { id, text })
    }

    /// What was not confirmed is sent again over the next session. The far phone may show a line
    /// twice, which is better than not at all.
    pub fn unsend(&mut self, peer: &PeerId) {
        let lines = self.waiting.iter_mut();
        lines
            .filter(|line| line.peer == *peer)
            .for_each(|line| line.is_sent = false);
    }

    /// Takes out the line that the far phone confirms.
    fn confirmed(&mut self, peer: &PeerId, id: u32) -> Option<Line> {
        let at = self
            .waiting
            .iter()
            .position(|line| line.peer == *peer && line.id == id)?;
        Some(self.waiting.remove(at))
    }
}

impl Phone {
    /// Sends a line now, or as soon as there is a session.
    pub(super) fn send_text(&mut self, request: RequestId, who: &str, text: &str, now: Now) {
        let peer = match self.book.find(who) {
            Ok(contact) => contact.id,
            Err(refusal) => return self.reply(request, Err(refusal)),
        };
        if self.texts.waiting.len() >= MAX_WAITING {
            let why = "too many lines wait to be sent; try again when some have arrived";
            return self.reply(request, Err(orders::refusal(Trouble::NotNow, why)));
        }
        if !self.book.is_friend(&peer) || !self.reach(peer, now) {
            return self.reply(request, Err(unreachable()));
        }
        let id = self.texts.next_id;
        self.texts.next_id += 1;
        self.texts.waiting.push(Line {
            id,
            request,
            peer,
            text: SafeText::line(text),
            is_sent: false,
        });
        self.send_texts(peer, now);
    }

    /// Sends what waits for an open session with `peer`, as far as there is room. The rest follows
    /// when a line is confirmed.
    pub(super) fn send_texts(&mut self, peer: PeerId, now: Now) {
        while self
            .session_with(&peer)
            .is_some_and(|session| session.is_open() && session.has_room())
        {
            let Some(message) = self.texts.next_for(&peer) else {
                break;
            };
            self.with_session(&peer, now, |session, io| session.send(&message, io));
        }
        self.update_wanted(peer, now);
    }

    /// A line of the peer's has come: show it, and say so.
    pub(super) fn take_text(&mut self, peer: PeerId, id: u32, text: SafeText, now: Now) {
        self.tell_text(peer, text, false);
        let confirm = Message::TextOk { id };
        self.with_session(&peer, now, |session, io| session.send(&confirm, io));
    }

    pub(super) fn take_text_ok(&mut self, peer: PeerId, id: u32, now: Now) {
        let Some(line) = self.texts.confirmed(&peer, id) else {
            return;
        };
        self.tell_text(peer, line.text, true);
        self.reply(line.request, Ok(Done::Nothing));
        self.send_texts(peer, now);
    }

    /// There is no session to send over: whoever asked is told.
    pub(super) fn fail_texts(&mut self, peer: PeerId) {
        let mut failed = Vec::new();
        self.texts.waiting.retain(|line| {
            let fails = line.peer == peer;
            failed.extend(fails.then_some(line.request));
            !fails
        });
        for request in failed {
            self.reply(request, Err(unreachable()));
        }
    }

    /// The peer closed a session that had nothing to do, so what was sent last has not been read.
    /// Sends it again over a new one. False if there is no way.
    pub(super) fn send_texts_again(&mut self, peer: PeerId, now: Now) -> bool {
        if !self.texts.is_waiting(&peer) || !self.reach(peer, now) {
            return false;
        }
        self.texts.unsend(&peer);
        true
    }

    fn tell_text(&mut self, peer: PeerId, text: SafeText, sent: bool) {
        let Some(contact) = self.book.get(&peer) else {
            return;
        };
        let event = Event::Text {
            peer: contact.petname.clone(),
            id: peer,
            text,
            sent,
        };
        self.out.push_back(Output::Event(event));
    }
}

fn unreachable() -> Refusal {
    let why = "the other phone cannot be reached now, so the line was not delivered";
    orders::refusal(Trouble::Unreachable, why)
}

const MAX_WAITING: usize = 64;
