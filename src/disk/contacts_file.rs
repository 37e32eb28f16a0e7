//! The text of `contacts.toml`, to and from [`Contacts`].

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use zeroize::Zeroizing;

use super::atomic::line_at;
use super::hex::Hex;
use crate::disk::{Contacts, DiskError};
use crate::peer::{Contact, Invite, PeerId, Reach, SafeText, Secret32, Stranger};

pub(super) fn to_text(contacts: &Contacts) -> Zeroizing<String> {
    let file = FileOut {
        version: VERSION,
        contact: contacts.contacts().iter().map(ContactEntry::from).collect(),
        reach: reach_entry(contacts.reach()),
        invite: contacts.invites().iter().map(InviteEntry::from).collect(),
        request: contacts.requests().iter().map(RequestEntry::from).collect(),
    };
    let body = Zeroizing::new(toml::to_string(&file).expect("strings, numbers and lists are TOML"));
    let mut text = Zeroizing::new(String::with_capacity(HEADER.len() + body.len()));
    text.push_str(HEADER);
    text.push_str(&body);
    text
}

/// # Errors
/// [`DiskError::Damaged`] with the line, also for a second contact of the same ID or petname and
/// for a field that this program does not know (it would be lost with the next change).
pub(super) fn from_text(path: &Path, text: &str) -> Result<Contacts, DiskError> {
    let damaged = |offset: usize, why: String| DiskError::Damaged {
        path: path.to_owned(),
        line: line_at(text.as_bytes(), offset),
        why,
        remedy: "Correct that line, or put back a copy of the file",
    };
    let file: FileIn = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        match newer(text) {
            Some(version) => DiskError::Newer {
                path: path.to_owned(),
                version,
            },
            None => damaged(at, error.message().to_owned()),
        }
    })?;
    if file.version != VERSION {
        let version = file.version;
        return Err(DiskError::Newer {
            path: path.to_owned(),
            version,
        });
    }
    let mut contacts = Contacts::default();
    for entry in file.contact {
        let at = entry.span().start;
        let contact = Contact::from(entry.into_inner());
        if contacts.by_id(&contact.id).is_some() {
            return Err(damaged(
                at,
                format!("a second contact with the ID {}", contact.id),
            ));
        }
        let again = |_| damaged(at, "a second contact with the same petname".to_owned());
        contacts.put_contact(contact).map_err(again)?;
    }
    for entry in file.invite {
        let at = entry.span().start;
        let invite = Invite::from(entry.into_inner());
        if contacts
            .invites()
            .iter()
            .any(|other| other.token == invite.token)
        {
            return Err(damaged(
                at,
                "a second invite with the same token".to_owned(),
            ));
        }
        contacts.put_invite(invite);
    }
    for entry in file.request {
        let at = entry.span().start;
        let request = Stranger::from(entry.into_inner());
        let is_second = contacts.requests().iter().any(|r| r.id == request.id);
        if is_second {
            return Err(damaged(at, format!("a second request of {}", request.id)));
        }
        contacts.put_request(request);
    }
    contacts.set_reach(reach(file.reach));
    Ok(contacts)
}

/// The version of a file that is whole TOML, but of a later format.
fn newer(text: &str) -> Option<i64> {
    let table: toml::Table = toml::from_str(text).ok()?;
    table
        .get("version")?
        .as_integer()
        .filter(|&version| version > VERSION)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIn {
    version: i64,
    #[serde(default)]
    reach: Option<ReachEntry>,
    #[serde(default)]
    contact: Vec<Spanned<ContactEntry>>,
    #[serde(default)]
    invite: Vec<Spanned<InviteEntry>>,
    #[serde(default)]
    request: Vec<Spanned<RequestEntry>>,
}

#[derive(Serialize)]
struct FileOut {
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reach: Option<ReachEntry>,
    contact: Vec<ContactEntry>,
    invite: Vec<InviteEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    request: Vec<RequestEntry>,
}

/// Times are seconds since 1970.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactEntry {
    petname: String,
    id: PeerId,
    name: String,
    device: Hex<32>,
    dial: Hex<32>,
    #[serde(default)]
    hints: Vec<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verified: Option<u64>,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    relay_only: bool,
    added: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_seen: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    told: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reach: Option<ReachEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<InviteEntry>,
}

/// A location secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReachEntry {
    version: u32,
    secret: Hex<32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestEntry {
    id: PeerId,
    name: String,
    at: u64,
    #[serde(default)]
    accepted: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InviteEntry {
    id: PeerId,
    device: Hex<32>,
    token: Hex<16>,
    expires: u64,
    #[serde(default)]
    uses: u32,
    #[serde(default)]
    claimed_by: Vec<PeerId>,
    #[serde(default)]
    hints: Vec<SocketAddr>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    public: bool,
}

impl From<&Contact> for ContactEntry {
    fn from(contact: &Contact) -> ContactEntry {
        ContactEntry {
            petname: contact.petname.to_string(),
            id: contact.id,
            name: contact.name.to_string(),
            device: Hex(contact.device),
            dial: Hex(*contact.dial.as_bytes()),
            hints: contact.hints.clone(),
            verified: contact.verified,
            blocked: contact.blocked,
            relay_only: contact.relay_only,
            added: contact.added,
            last_seen: contact.last_seen,
            told: contact.told,
            reach: reach_entry(&contact.reach),
            pending: contact.pending.as_ref().map(InviteEntry::from),
        }
    }
}

impl From<ContactEntry> for Contact {
    fn from(entry: ContactEntry) -> Contact {
        Contact {
            id: entry.id,
            petname: SafeText::name(&entry.petname),
            name: SafeText::name(&entry.name),
            device: entry.device.0,
            dial: Secret32::new(entry.dial.0),
            hints: entry.hints,
            verified: entry.verified,
            blocked: entry.blocked,
            relay_only: entry.relay_only,
            added: entry.added,
            last_seen: entry.last_seen,
            pending: entry.pending.map(Invite::from),
            reach: reach(entry.reach),
            told: entry.told,
        }
    }
}

impl From<&Invite> for InviteEntry {
    fn from(invite: &Invite) -> InviteEntry {
        InviteEntry {
            id: invite.id,
            device: Hex(invite.device),
            token: Hex(invite.token),
            expires: invite.expires,
            uses: invite.uses,
            claimed_by: invite.claimed_by.clone(),
            hints: invite.hints.clone(),
            public: invite.public,
        }
    }
}

impl From<InviteEntry> for Invite {
    fn from(entry: InviteEntry) -> Invite {
        Invite {
            id: entry.id,
            device: entry.device.0,
            token: entry.token.0,
            expires: entry.expires,
            uses: entry.uses,
            claimed_by: entry.claimed_by,
            hints: entry.hints,
            public: entry.public,
        }
    }
}

impl From<&Stranger> for RequestEntry {
    fn from(stranger: &Stranger) -> RequestEntry {
        RequestEntry {
            id: stranger.id,
            name: stranger.name.to_string(),
            at: stranger.at,
            accepted: stranger.accepted,
        }
    }
}

impl From<RequestEntry> for Stranger {
    fn from(entry: RequestEntry) -> Stranger {
        Stranger {
            id: entry.id,
            name: SafeText::name(&entry.name),
            at: entry.at,
            accepted: entry.accepted,
        }
    }
}

/// Version 0 stands for none, and is not written.
fn reach_entry(reach: &Reach) -> Option<ReachEntry> {
    (reach.version > 0).then(|| ReachEntry {
        version: reach.version,
        secret: Hex(*reach.secret.as_bytes()),
    })
}

fn reach(entry: Option<ReachEntry>) -> Reach {
    entry.map_or_else(Reach::default, |entry| Reach {
        version: entry.version,
        secret: Secret32::new(entry.secret.0),
    })
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

const VERSION: i64 = 1;
const HEADER: &str = "# The contacts of a twocan phone. Holds secrets: keep it to yourself.\n\
    # Edit it only while no twocan runs. Comments are lost with the next change.\n\n";
