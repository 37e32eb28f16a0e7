//! What the owner of this phone changes in the list of contacts.

use super::message::Bye;
use super::types::{Change, Now, Output};
use super::{AfterSave, Phone, orders};
use crate::api::{Done, Event, RequestId, Switch, Trouble, Why};
use crate::peer::{Contact, PeerId, SafeText};

impl Phone {
    pub(super) fn rename(&mut self, request: RequestId, who: &str, name: &str) {
        let wanted = SafeText::name(name);
        let found = self.book.find(who).cloned().and_then(|contact| {
            let free = self.book.free_petname(&wanted, &contact.id);
            let why = format!("another contact is called {wanted} already; choose another name");
            if free == wanted {
                Ok(contact)
            } else {
                Err(orders::refusal(Trouble::Usage, &why))
            }
        });
        match found {
            Ok(contact) => self.change(
                request,
                Contact {
                    petname: wanted,
                    ..contact
                },
            ),
            Err(refusal) => self.reply(request, Err(refusal)),
        }
    }

    pub(super) fn verify(&mut self, request: RequestId, who: &str, matches: bool, now: Now) {
        let Some(contact) = self.find_for(request, who) else {
            return;
        };
        let call = self.call_with(&contact.id).map(|call| call.id);
        if let (false, Some(call)) = (matches, call) {
            self.finish(call, Why::WordsDiffer, Some(Bye::WordsDiffer), now);
        }
        let verified = matches.then_some(now.unix);
        let peer = contact.id;
        self.change(
            request,
            Contact {
                verified,
                ..contact
            },
        );
        self.update_reserve(peer, now);
    }

    pub(super) fn block(&mut self, request: RequestId, who: &str, on: Switch, now: Now) {
        let Some(contact) = self.find_for(request, who) else {
            return;
        };
        let blocked = on.apply(contact.blocked);
        if blocked {
            self.part(contact.id, now);
            self.sky.forget(&contact.id);
        }
        let is_new = blocked && !contact.blocked && contact.pending.is_none();
        self.change(request, Contact { blocked, ..contact });
        self.gate.admit_only(self.book.secrets());
        if is_new {
            self.rotate(now);
        }
    }

    /// Sessions that stand already keep the path that they have.
    pub(super) fn keep_to_relays(&mut self, request: RequestId, who: &str, on: Switch, now: Now) {
        let Some(contact) = self.find_for(request, who) else {
            return;
        };
        let relay_only = on.apply(contact.relay_only);
        let peer = contact.id;
        self.change(
            request,
            Contact {
                relay_only,
                ..contact
            },
        );
        self.update_reserve(peer, now);
    }

    pub(super) fn remove(&mut self, request: RequestId, who: &str, now: Now) {
        let peer = match self.book.find(who) {
            Ok(contact) => contact.id,
            Err(refusal) => return self.reply(request, Err(refusal)),
        };
        self.part(peer, now);
        let Some(contact) = self.book.remove(&peer) else {
            return;
        };
        if contact.pending.is_none() {
            // First, so that no crash leaves him the secret without his name in the list.
            self.rotate(now);
        }
        self.friends.stop_joining(&peer);
        self.attempts.remove(&peer);
        self.sky.forget(&peer);
        self.gate.admit_only(self.book.secrets());
        let view = self.book.view(&contact, self.presence(&peer));
        let saved = AfterSave::Reply(request, Done::Nothing);
        self.save(Change::RemoveContact(peer), saved);
        self.out.push_back(Output::Event(Event::Contact {
            contact: view,
            removed: true,
        }));
    }

    pub(super) fn tell_contact(&mut self, peer: PeerId) {
        let Some(contact) = self.book.get(&peer) else {
            return;
        };
        let contact = self.book.view(contact, self.presence(&peer));
        self.out.push_back(Output::Event(Event::Contact {
            contact,
            removed: false,
        }));
    }

    /// Ends whatever there is with a peer, without a reason that would tell him more.
    fn part(&mut self, peer: PeerId, now: Now) {
        if let Some(call) = self.call_with(&peer) {
            let (id, (why, bye)) = (call.id, call.hang_up());
            self.finish(id, why, Some(bye), now);
        }
        self.close_session(peer, Bye::Done, now);
        self.fail_texts(peer);
    }

    /// The contact of that name; if there is none, the request is refused.
    fn find_for(&mut self, request: RequestId, who: &str) -> Option<Contact> {
        let found = self.book.find(who).cloned();
        found
            .map_err(|refusal| self.reply(request, Err(refusal)))
            .ok()
    }

    /// Stores a changed contact, then answers.
    fn change(&mut self, request: RequestId, contact: Contact) {
        let peer = contact.id;
        self.book.put(contact.clone());
        let done = Done::Contact(self.book.view(&contact, self.presence(&peer)));
        let saved = AfterSave::Reply(request, done);
        self.save(Change::Contact(Box::new(contact)), saved);
        self.tell_contact(peer);
    }
}
