//! Contacts and open invites as the phone sees them, and the secrets that let people in.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use zeroize::Zeroizing;

use super::dial::Target;
use super::gate::{Caller, Secret};
use super::keys::derive;
use super::message::MAX_HINTS;
use super::types::Path;
use crate::api::{ContactView, Presence, Refusal, Trouble};
use crate::peer::{Contact, Invite, PeerId, SafeText, Secret32};

#[derive(Default)]
pub struct Book {
    contacts: BTreeMap<PeerId, Contact>,
    invites: BTreeMap<[u8; 16], Invite>,
}

/// Most contacts: each costs one HMAC for every HELLO that comes in.
pub const MAX_CONTACTS: usize = 256;
/// Most open invites.
pub const MAX_INVITES: usize = 20;

impl Book {
    pub fn new(contacts: Vec<Contact>, invites: Vec<Invite>) -> Book {
        Book {
            contacts: contacts.into_iter().map(|c| (c.id, c)).collect(),
            invites: invites.into_iter().map(|i| (i.token, i)).collect(),
        }
    }

    pub fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.contacts.values()
    }

    pub fn get(&self, id: &PeerId) -> Option<&Contact> {
        self.contacts.get(id)
    }

    pub fn get_mut(&mut self, id: &PeerId) -> Option<&mut Contact> {
        self.contacts.get_mut(id)
    }

    /// A contact that both sides have confirmed and that is not blocked.
    pub fn is_friend(&self, id: &PeerId) -> bool {
        self.get(id)
            .is_some_and(|contact| contact.pending.is_none() && !contact.blocked)
    }

    pub fn is_full(&self) -> bool {
        self.contacts.len() >= MAX_CONTACTS
    }

    pub fn put(&mut self, contact: Contact) {
        self.contacts.insert(contact.id, contact);
    }

    pub fn remove(&mut self, id: &PeerId) -> Option<Contact> {
        self.contacts.remove(id)
    }

    /// Whether `peer` may become a contact by this invite, once more if he did before.
    pub fn may_claim(&self, token: &[u8; 16], peer: &PeerId, unix: u64) -> bool {
        self.invites.get(token).is_some_and(|invite| {
            let has_place = invite.public || invite.uses > 0 || invite.claimed_by.contains(peer);
            unix < invite.expires && has_place
        })
    }

    pub fn invite_mut(&mut self, token: &[u8; 16]) -> Option<&mut Invite> {
        self.invites.get_mut(token)
    }

    /// For strangers: see [`Invite::public`].
    pub fn is_public(&self, token: &[u8; 16]) -> bool {
        self.invites.get(token).is_some_and(|invite| invite.public)
    }

    pub fn invites(&self) -> impl Iterator<Item = &Invite> {
        self.invites.values()
    }

    pub fn invites_left(&self) -> usize {
        MAX_INVITES.saturating_sub(self.invites.len())
    }

    pub fn put_invite(&mut self, invite: Invite) {
        self.invites.insert(invite.token, invite);
    }

    /// Takes out an invite that is no longer good, if there is one.
    pub fn take_expired_invite(&mut self, unix: u64) -> Option<[u8; 16]> {
        let token = self
            .invites
            .values()
            .find(|invite| unix >= invite.expires)
            .map(|invite| invite.token)?;
        self.invites.remove(&token);
        Some(token)
    }

    /// The contact that a person means by `who`: a petname (letter case aside) or a whole ID.
    pub fn find(&self, who: &str) -> Result<&Contact, Refusal> {
        let who = who.trim();
        let by_id = who.parse::<PeerId>().ok();
        let found = self.contacts.values().find(|contact| {
            Some(contact.id) == by_id || contact.petname.to_lowercase() == who.to_lowercase()
        });
        found.ok_or_else(|| Refusal {
            trouble: Trouble::NoSuchContact,
            why: format!(
                "no contact is called {:?}; `twocan contact list` shows the names",
                SafeText::name(who).to_string()
            ),
        })
    }

    /// `wanted`, or with a number behind it if another contact has that name already.
    pub fn free_petname(&self, wanted: &SafeText, id: &PeerId) -> SafeText {
        let is_taken = |name: &SafeText| {
            self.contacts
                .values()
                .any(|c| c.id != *id && c.petname.to_lowercase() == name.to_lowercase())
        };
        let numbered = (2..).map(|n| SafeText::name(&format!("{} {n}", clipped(wanted))));
        std::iter::once(wanted.clone())
            .chain(numbered)
            .find(|name| !is_taken(name))
            .expect("there are more numbers than contacts")
    }

    /// The secrets of all who may knock.
    pub fn secrets(&self) -> Vec<Secret> {
        let contacts = self
            .contacts
            .values()
            .filter(|contact| self.is_friend(&contact.id))
            .map(|contact| Secret {
                caller: Caller::Contact(contact.id),
                secret: Zeroizing::new(contact.dial.as_bytes().to_vec()),
                until: u64::MAX,
            });
        let invites = self.invites.values().map(|invite| Secret {
            caller: Caller::Invite(invite.token),
            secret: Zeroizing::new(invite.token.to_vec()),
            until: invite.expires,
        });
        contacts.chain(invites).collect()
    }

    pub fn has_hints(&self, id: &PeerId) -> bool {
        self.get(id)
            .is_some_and(|contact| !contact.hints.is_empty() && !contact.relay_only)
    }

    /// How to reach a contact, with the addresses that are known.
    pub fn target(&self, id: &PeerId) -> Option<Target> {
        let contact = self.get(id)?;
        let secret = match &contact.pending {
            Some(invite) => invite.token.to_vec(),
            None => contact.dial.as_bytes().to_vec(),
        };
        let hints = contact.hints.iter().take(MAX_HINTS);
        let hints = hints.filter(|_| !contact.relay_only);
        Some(Target {
            peer: *id,
            device: contact.device,
            secret: Zeroizing::new(secret),
            paths: hints.map(|&hint| Path::Udp(hint)).collect(),
        })
    }

    /// The contact as the screen sees it.
    pub fn view(&self, contact: &Contact, presence: Presence) -> ContactView {
        ContactView {
            name: contact.petname.clone(),
            id: contact.id,
            calls_itself: (contact.name != contact.petname).then(|| contact.name.clone()),
            verified: contact.verified.is_some(),
            verified_at: contact.verified.map(timestamp),
            presence,
            last_seen: contact.last_seen.map(timestamp),
            blocked: contact.blocked,
            relay_only: contact.relay_only,
            pending: contact.pending.is_some(),
        }
    }
}

/// The pairwise dial secret, from both halves. The invited side's half comes first.
pub fn pairwise(invited: &[u8; 32], inviter: &[u8; 32]) -> Secret32 {
    let mut halves = Zeroizing::new([0; 64]);
    halves[..32].copy_from_slice(invited);
    halves[32..].copy_from_slice(inviter);
    let mut secret = Zeroizing::new([0; 32]);
    derive(b"", halves.as_ref(), b"twocan/1 pair", secret.as_mut());
    Secret32::from(*secret)
}

/// Addresses to remember: where the peer was just heard, then what it tells of itself.
pub fn merge_hints(heard_at: Option<SocketAddr>, told: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut hints = Vec::new();
    for hint in heard_at.iter().chain(told) {
        let hint = SocketAddr::new(hint.ip().to_canonical(), hint.port());
        if !hints.contains(&hint) && hints.len() < MAX_HINTS {
            hints.push(hint);
        }
    }
    hints
}

/// Seconds since 1970 as a timestamp; out of range (a broken clock) becomes 1970.
pub fn timestamp(unix: u64) -> jiff::Timestamp {
    let seconds = i64::try_from(unix).unwrap_or_default();
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// Room for a number within the length of a name.
fn clipped(name: &SafeText) -> &str {
    &name[..name.floor_char_boundary(24)]
}
