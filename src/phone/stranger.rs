//! The silent list of strangers who came by a public invite. Nothing rings for them, and they learn
//! nothing until the owner of this phone agrees.

use std::time::Duration;

use super::message::Work;
use super::pow::{self, Puzzle};
use super::tally::Tally;
use super::types::{Change, Now, Output};
use super::{AfterSave, Phone, book, orders};
use crate::api::{Done, Event, RequestId, RequestView, Trouble};
use crate::peer::{PeerId, SafeText, Stranger};

pub struct Strangers {
    /// Oldest first; those who were accepted too, until they come again.
    list: Vec<Stranger>,
    /// Who was taken off the list on which day, oldest first.
    dismissed: Vec<(PeerId, u32)>,
    /// Requests that came by each token.
    rate: Tally<[u8; 16]>,
}

impl Strangers {
    pub fn new(list: Vec<Stranger>) -> Strangers {
        Strangers {
            list,
            dismissed: Vec::new(),
            rate: Tally::new(MAX_AN_HOUR, HOUR),
        }
    }

    pub fn is_accepted(&self, peer: &PeerId) -> bool {
        self.find(peer).is_some_and(|stranger| stranger.accepted)
    }

    /// Those who wait, newest first.
    pub fn views(&self) -> Vec<RequestView> {
        let waiting = self.list.iter().rev().filter(|s| !s.accepted);
        waiting.map(view).collect()
    }

    fn find(&self, peer: &PeerId) -> Option<&Stranger> {
        self.list.iter().find(|stranger| stranger.id == *peer)
    }

    fn was_dismissed(&self, peer: &PeerId, day: u32) -> bool {
        self.dismissed.contains(&(*peer, day))
    }

    fn remember_dismissed(&mut self, peer: PeerId, day: u32) {
        if self.dismissed.len() >= MAX_DISMISSED {
            self.dismissed.remove(0);
        }
        self.dismissed.push((peer, day));
    }

    /// The oldest of its kind, if there is one too many.
    fn surplus(&self, accepted: bool) -> Option<PeerId> {
        let mut alike = self.list.iter().filter(|s| s.accepted == accepted);
        let oldest = alike.next()?.id;
        (alike.count() >= MAX_STRANGERS).then_some(oldest)
    }
}

impl Phone {
    /// Somebody asks by a public invite. Once a day, if he has worked for it.
    pub(super) fn take_stranger(
        &mut self,
        peer: PeerId,
        name: SafeText,
        token: &[u8; 16],
        work: Option<Work>,
        now: Now,
    ) {
        let today = pow::day(now.unix);
        let is_again =
            self.strangers.find(&peer).is_some() || self.strangers.was_dismissed(&peer, today);
        if is_again || !self.is_paid(&peer, work, now) {
            return;
        }
        if !self.strangers.rate.allow(*token, now.mono) {
            return;
        }
        let stranger = Stranger {
            id: peer,
            name,
            at: now.unix,
            accepted: false,
        };
        self.strangers.list.push(stranger.clone());
        self.save(
            Change::Request(Box::new(stranger.clone())),
            AfterSave::Nothing,
        );
        self.tell_request(&stranger, false);
        self.drop_surplus(false);
    }

    pub(super) fn accept(&mut self, request: RequestId, who: &str) {
        if self.book.is_full() {
            let why = "the contact list is full; remove somebody first";
            return self.reply(request, Err(orders::refusal(Trouble::NotNow, why)));
        }
        let Some(mut stranger) = self.waiting(request, who) else {
            return;
        };
        stranger.accepted = true;
        let mut list = self.strangers.list.iter_mut();
        if let Some(kept) = list.find(|kept| kept.id == stranger.id) {
            kept.accepted = true;
        }
        self.tell_request(&stranger, true);
        let saved = AfterSave::Reply(request, Done::Nothing);
        self.save(Change::Request(Box::new(stranger)), saved);
        self.drop_surplus(true);
    }

    pub(super) fn dismiss(&mut self, request: RequestId, who: &str, now: Now) {
        let Some(stranger) = self.waiting(request, who) else {
            return;
        };
        self.strangers.list.retain(|kept| kept.id != stranger.id);
        let today = pow::day(now.unix);
        self.strangers.remember_dismissed(stranger.id, today);
        self.tell_request(&stranger, true);
        let saved = AfterSave::Reply(request, Done::Nothing);
        self.save(Change::RemoveRequest(stranger.id), saved);
    }

    /// He is a contact now.
    pub(super) fn forget_request(&mut self, peer: &PeerId) {
        let Some(stranger) = self.strangers.find(peer).cloned() else {
            return;
        };
        self.strangers.list.retain(|kept| kept.id != *peer);
        self.save(Change::RemoveRequest(*peer), AfterSave::Nothing);
        if !stranger.accepted {
            self.tell_request(&stranger, true);
        }
    }

    /// The one in the list that the owner means; else says that there is none.
    fn waiting(&mut self, request: RequestId, who: &str) -> Option<Stranger> {
        let id = who.trim().parse::<PeerId>().ok();
        let found = id.and_then(|id| self.strangers.find(&id));
        let found = found.filter(|stranger| !stranger.accepted).cloned();
        if found.is_none() {
            let why = "nobody with this ID waits in the list of requests";
            self.reply(request, Err(orders::refusal(Trouble::NoSuchContact, why)));
        }
        found
    }

    fn is_paid(&self, peer: &PeerId, work: Option<Work>, now: Now) -> bool {
        work.is_some_and(|work| {
            let puzzle = Puzzle::new(&self.me.identity, peer, work.day);
            pow::is_good_day(work.day, now.unix) && puzzle.is_solved_by(work.nonce)
        })
    }

    fn drop_surplus(&mut self, accepted: bool) {
        while let Some(oldest) = self.strangers.surplus(accepted) {
            self.forget_request(&oldest);
        }
    }

    fn tell_request(&mut self, stranger: &Stranger, removed: bool) {
        let request = view(stranger);
        self.out
            .push_back(Output::Event(Event::Request { request, removed }));
    }
}

fn view(stranger: &Stranger) -> RequestView {
    RequestView {
        id: stranger.id,
        name: stranger.name.clone(),
        at: book::timestamp(stranger.at),
    }
}

/// Most who wait, and most who were accepted and have not come again.
const MAX_STRANGERS: usize = 20;
/// Requests taken by one public invite in an hour.
const MAX_AN_HOUR: usize = 5;
const HOUR: Duration = Duration::from_secs(3600);
const MAX_DISMISSED: usize = 64;
