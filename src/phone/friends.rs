//! Becoming contacts by an invite.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::book::{self, pairwise};
use super::message::{Bye, Card, Message, Work};
use super::pow::{self, Puzzle};
use super::types::{Change, Now, Output};
use super::{AfterSave, Phone, orders};
use crate::api::{Done, Refusal, RequestId, Trouble};
use crate::peer::{Contact, Invite, PeerId, Reach, SafeText, Secret32};

#[derive(Default)]
pub struct Friends {
    /// Invites opened here that the other phone has not confirmed.
    joining: BTreeMap<PeerId, Join>,
    /// Who came in by which of our invites, in sessions that stand now.
    guests: BTreeMap<PeerId, Guest>,
    /// What to tell a new contact once he is on our disk.
    welcomes: BTreeMap<PeerId, Card>,
}

struct Join {
    /// Our half of the pairwise secret in the present session.
    half: [u8; 32],
    pause: Duration,
    next_try: Option<Duration>,
    /// What a public invite costs, once it is done.
    work: Option<Work>,
}

#[derive(Clone, Copy)]
struct Guest {
    token: [u8; 16],
    is_stranger: bool,
}

impl Friends {
    pub fn is_joining(&self, peer: &PeerId) -> bool {
        self.joining.contains_key(peer) || self.welcomes.contains_key(peer)
    }

    /// An invite was opened, and is not being tried just now.
    pub fn is_waiting(&self, peer: &PeerId) -> bool {
        let join = self.joining.get(peer);
        join.is_some_and(|join| join.next_try.is_some())
    }

    pub fn deadline(&self) -> Option<Duration> {
        self.joining.values().filter_map(|join| join.next_try).min()
    }

    /// Whether one more may come in by an invite. Anybody who has it can come under any number of
    /// names, and must not take the place of contacts, nor strangers that of people invited.
    pub fn has_room_for(&self, peer: &PeerId, is_stranger: bool) -> bool {
        let guests = self.guests.values();
        let alike = guests.filter(|guest| guest.is_stranger == is_stranger);
        let most = if is_stranger {
            MAX_STRANGERS
        } else {
            MAX_GUESTS
        };
        alike.count() < most || self.guests.contains_key(peer)
    }

    /// With `is_stranger`, by a public invite.
    pub fn came_by_invite(&mut self, peer: PeerId, token: [u8; 16], is_stranger: bool) {
        self.guests.insert(peer, Guest { token, is_stranger });
    }

    pub fn stop_joining(&mut self, peer: &PeerId) {
        self.joining.remove(peer);
    }
}

impl Phone {
    pub(super) fn make_invite(
        &mut self,
        request: RequestId,
        lifetime: u64,
        uses: u32,
        public: bool,
        now: Now,
    ) {
        while let Some(token) = self.book.take_expired_invite(now.unix) {
            self.save(Change::RemoveInvite(token), AfterSave::Nothing);
        }
        if self.book.invites_left() == 0 {
            let why = "too many invites are open; wait until some have expired";
            return self.reply(request, Err(orders::refusal(Trouble::NotNow, why)));
        }
        let invite = Invite {
            id: self.me.identity,
            device: self.me.device.x_public(),
            token: self.random(),
            expires: now.unix.saturating_add(lifetime.min(MAX_LIFETIME)),
            uses: uses.clamp(1, 100),
            claimed_by: Vec::new(),
            // What everybody may read says nothing of where this phone is.
            // Whoever has the invite finds the phone by it, and it tells no address to anybody else.
            hints: if public || self.sky.is_findable {
                Vec::new()
            } else {
                self.me.addresses.clone()
            },
            public,
        };
        let done = Done::Invite {
            line: invite.to_line(),
            expires: book::timestamp(invite.expires),
        };
        self.book.put_invite(invite.clone());
        self.gate.admit_only(self.book.secrets());
        self.save(Change::Invite(invite), AfterSave::Reply(request, done));
    }

    pub(super) fn add_contact(
        &mut self,
        request: RequestId,
        line: &str,
        name: Option<String>,
        now: Now,
    ) {
        let contact = match self.pending_contact(line, name, now) {
            Ok(contact) => contact,
            Err(refusal) => return self.reply(request, Err(refusal)),
        };
        let peer = contact.id;
        let done = Done::Contact(self.book.view(&contact, self.presence(&peer)));
        if contact.pending.is_none() {
            return self.reply(request, Ok(done));
        }
        self.book.put(contact.clone());
        self.friends.joining.insert(peer, Join::new());
        let saved = AfterSave::Reply(request, done);
        self.save(Change::Contact(Box::new(contact)), saved);
        self.tell_contact(peer);
        self.try_joining(peer, now);
    }

    /// The contact that a line makes: pending, unless the peer is one already.
    fn pending_contact(
        &self,
        line: &str,
        name: Option<String>,
        now: Now,
    ) -> Result<Contact, Refusal> {
        let refuse = |trouble, why: &str| Err(orders::refusal(trouble, why));
        let invite = match Invite::parse_line(line).and_then(|i| i.check(now.unix).map(|()| i)) {
            Ok(invite) => invite,
            Err(error) => return refuse(Trouble::Usage, &error.to_string()),
        };
        if invite.id == self.me.identity {
            return refuse(
                Trouble::Usage,
                "this is your own invite: send it to somebody else",
            );
        }
        let known = self.book.get(&invite.id);
        if known.is_none() && self.book.is_full() {
            return refuse(
                Trouble::NotNow,
                "the contact list is full; remove somebody first",
            );
        }
        if let Some(known) = known.filter(|known| known.pending.is_none()) {
            return Ok(known.clone());
        }
        let wanted = match name {
            Some(name) => SafeText::name(&name),
            None => SafeText::name(&invite.id.short()),
        };
        Ok(Contact {
            id: invite.id,
            petname: self.book.free_petname(&wanted, &invite.id),
            name: SafeText::name(&invite.id.short()),
            device: invite.device,
            dial: Secret32::new([0; 32]),
            hints: book::merge_hints(None, &invite.hints),
            verified: None,
            blocked: false,
            relay_only: false,
            added: now.unix,
            last_seen: None,
            pending: Some(invite),
            reach: Reach::default(),
            told: 0,
        })
    }

    /// At start: goes on with invites that were opened in an earlier run.
    pub(super) fn resume_joining(&mut self, now: Now) {
        let pending = self.book.contacts().filter(|c| c.pending.is_some());
        let peers: Vec<PeerId> = pending.map(|contact| contact.id).collect();
        for peer in peers {
            let join = Join {
                next_try: Some(now.mono),
                ..Join::new()
            };
            self.friends.joining.insert(peer, join);
        }
    }

    pub(super) fn retry_joining(&mut self, now: Now) {
        let joining = self.friends.joining.iter();
        let due = joining.filter(|(_, join)| join.next_try.is_some_and(|at| now.mono >= at));
        let due: Vec<PeerId> = due.map(|(&peer, _)| peer).collect();
        for peer in due {
            self.try_joining(peer, now);
        }
    }

    pub(super) fn try_joining(&mut self, peer: PeerId, now: Now) {
        let is_expired = self.book.get(&peer).is_some_and(|contact| {
            let invite = contact.pending.as_ref();
            invite.is_some_and(|invite| now.unix >= invite.expires)
        });
        if is_expired {
            self.friends.joining.remove(&peer);
            self.circle_is_stale = true;
            return;
        }
        if !self.has_worked(peer, now) {
            return;
        }
        if let Some(join) = self.friends.joining.get_mut(&peer) {
            join.next_try = None;
        }
        if !self.reach(peer, now) {
            self.joining_failed(peer, now);
        }
    }

    /// Whether what the invite costs has been paid today; else has it done first.
    fn has_worked(&mut self, peer: PeerId, now: Now) -> bool {
        let invite = self.book.get(&peer).and_then(|c| c.pending.as_ref());
        let is_public = invite.is_some_and(|invite| invite.public);
        let today = pow::day(now.unix);
        let Some(join) = self.friends.joining.get_mut(&peer) else {
            return true;
        };
        if !is_public || join.work.is_some_and(|work| work.day == today) {
            return true;
        }
        join.work = None;
        join.next_try = Some(now.mono + WORK_TIME);
        let puzzle = Puzzle::new(&peer, &self.me.identity, today);
        self.out.push_back(Output::Work(peer, puzzle));
        false
    }

    pub(super) fn take_work(&mut self, peer: PeerId, nonce: u64, now: Now) {
        let day = pow::day(now.unix);
        let puzzle = Puzzle::new(&peer, &self.me.identity, day);
        let Some(join) = self.friends.joining.get_mut(&peer) else {
            return;
        };
        if join.work.is_none() && puzzle.is_solved_by(nonce) {
            join.work = Some(Work { day, nonce });
            self.try_joining(peer, now);
        }
    }

    /// Not this time: tries again by itself, with growing pauses.
    pub(super) fn joining_failed(&mut self, peer: PeerId, now: Now) {
        self.friends.guests.remove(&peer);
        self.friends.welcomes.remove(&peer);
        if let Some(join) = self.friends.joining.get_mut(&peer) {
            join.next_try = Some(now.mono + join.pause);
            join.pause = (join.pause * 2).min(MAX_PAUSE);
        }
    }

    /// A session with the inviter stands: ask to be added.
    pub(super) fn join_over_session(&mut self, peer: PeerId, now: Now) {
        let half = self.random();
        let Some(join) = self.friends.joining.get_mut(&peer) else {
            return;
        };
        join.half = half;
        let work = join.work;
        let mut card = self.card(half);
        if work.is_some() {
            // He does not know us yet, and need not know where we are.
            card.hints.clear();
        }
        let request = Message::ContactRequest(card, work);
        self.with_session(&peer, now, |session, io| session.send(&request, io));
    }

    /// Somebody who came in by an invite asks to be added: the invite was our consent.
    pub(super) fn take_contact_request(
        &mut self,
        peer: PeerId,
        card: Card,
        work: Option<Work>,
        now: Now,
    ) {
        let Some(guest) = self.friends.guests.get(&peer).copied() else {
            return;
        };
        let is_known = self.book.get(&peer).is_some() || self.strangers.is_accepted(&peer);
        if guest.is_stranger && !is_known {
            self.take_stranger(peer, card.name, &guest.token, work, now);
            // Whatever came of it, he sees the same.
            return self.close_session(peer, Bye::Done, now);
        }
        if !self.claim_invite(&guest.token, peer, now) {
            return;
        }
        self.forget_request(&peer);
        let Some(session) = self.session_with(&peer) else {
            return;
        };
        let (path, device) = (session.path(), session.peer_device());
        let half = self.random();
        let known = self.book.get(&peer).cloned();
        let petname = match &known {
            Some(known) => known.petname.clone(),
            None => self.book.free_petname(&card.name, &peer),
        };
        let contact = Contact {
            id: peer,
            petname,
            name: card.name,
            device,
            dial: pairwise(&card.half, &half),
            hints: book::merge_hints(path.udp(), &card.hints),
            verified: known.as_ref().and_then(|known| known.verified),
            blocked: false,
            relay_only: false,
            reach: known.as_ref().map(|k| k.reach.clone()).unwrap_or_default(),
            added: known.map_or(now.unix, |known| known.added),
            last_seen: Some(now.unix),
            pending: None,
            told: 0,
        };
        self.friends.joining.remove(&peer);
        self.friends.welcomes.insert(peer, self.card(half));
        self.book.put(contact.clone());
        self.gate.admit_only(self.book.secrets());
        self.save(Change::Contact(Box::new(contact)), AfterSave::Welcome(peer));
    }

    /// Counts one use of an invite, once for each person. False if it is used up or expired.
    fn claim_invite(&mut self, token: &[u8; 16], peer: PeerId, now: Now) -> bool {
        let is_full = self.book.is_full() && self.book.get(&peer).is_none();
        if is_full || !self.book.may_claim(token, &peer, now.unix) {
            return false;
        }
        let Some(invite) = self.book.invite_mut(token) else {
            return false;
        };
        if invite.public || invite.claimed_by.contains(&peer) {
            return true;
        }
        invite.uses -= 1;
        invite.claimed_by.push(peer);
        let invite = invite.clone();
        self.save(Change::Invite(invite), AfterSave::Nothing);
        true
    }

    /// The new contact is on our disk.
    pub(super) fn welcome(&mut self, peer: PeerId, now: Now) {
        self.tell_contact(peer);
        self.tell_presence(peer);
        if let Some(card) = self.friends.welcomes.remove(&peer) {
            let ok = Message::ContactOk(card);
            self.with_session(&peer, now, |session, io| session.send(&ok, io));
        }
        self.tell_reach(peer, now);
        self.update_wanted(peer, now);
    }

    /// The inviter has added us.
    pub(super) fn take_contact_ok(&mut self, peer: PeerId, card: &Card, now: Now) {
        let Some(join) = self.friends.joining.remove(&peer) else {
            return;
        };
        let heard_at = self.own_address(&peer);
        let Some(mut contact) = self.book.get(&peer).cloned() else {
            return;
        };
        let had_no_name = *contact.petname == *contact.name;
        contact.name = card.name.clone();
        if had_no_name {
            contact.petname = self.book.free_petname(&card.name, &peer);
        }
        contact.dial = pairwise(&join.half, &card.half);
        contact.hints = book::merge_hints(heard_at, &card.hints);
        contact.last_seen = Some(now.unix);
        contact.pending = None;
        self.book.put(contact.clone());
        self.gate.admit_only(self.book.secrets());
        self.save(Change::Contact(Box::new(contact)), AfterSave::Welcome(peer));
    }

    /// The peer tells where it is found and what it calls itself.
    pub(super) fn take_about(
        &mut self,
        peer: PeerId,
        name: SafeText,
        hints: &[SocketAddr],
        now: Now,
    ) {
        let heard_at = self.own_address(&peer);
        let Some(contact) = self.book.get_mut(&peer) else {
            return;
        };
        let hints = book::merge_hints(heard_at, hints);
        if contact.name == name && contact.hints == hints {
            return self.try_hints(peer, now);
        }
        contact.name = name;
        contact.hints = hints;
        let contact = Box::new(contact.clone());
        self.save(Change::Contact(contact), AfterSave::Nothing);
        self.tell_contact(peer);
        self.try_hints(peer, now);
    }

    fn card(&self, half: [u8; 32]) -> Card {
        Card {
            name: self.me.name.clone(),
            half,
            hints: self.me.addresses.clone(),
        }
    }
}

impl Join {
    fn new() -> Join {
        Join {
            half: [0; 32],
            pause: FIRST_PAUSE,
            next_try: None,
            work: None,
        }
    }
}

/// A year: longer than anybody remembers having sent an invite.
const MAX_LIFETIME: u64 = 366 * 24 * 3600;
/// Most sessions at once with people who come by an invite.
const MAX_GUESTS: usize = 4;
/// The same for people who come by a public one.
const MAX_STRANGERS: usize = 2;
/// How long to wait for work that was asked for.
const WORK_TIME: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(600);
