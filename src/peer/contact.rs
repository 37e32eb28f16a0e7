//! Somebody this phone knows.

use std::net::SocketAddr;

use crate::peer::{Invite, PeerId, Reach, SafeText, Secret32};

/// One person, known by one identity key.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    pub id: PeerId,
    /// What the owner of this phone calls the peer; unique among the contacts.
    pub petname: SafeText,
    /// What the peer calls itself. Never shown without the petname.
    pub name: SafeText,
    /// `X_d`: Noise static key of the peer's device.
    pub device: [u8; 32],
    /// The secret both phones key their first packets with. All zero while `pending`.
    pub dial: Secret32,
    /// Where the peer was last heard, newest first, at most [`Contact::MAX_HINTS`].
    pub hints: Vec<SocketAddr>,
    /// When the words were compared and found equal, in seconds since 1970.
    pub verified: Option<u64>,
    pub blocked: bool,
    /// Nobody learns the address of the other: all goes through relays and reflectors.
    pub relay_only: bool,
    /// Seconds since 1970.
    pub added: u64,
    /// Seconds since 1970.
    pub last_seen: Option<u64>,
    /// The invite that was opened here and not yet confirmed by the other phone.
    pub pending: Option<Invite>,
    /// Under which the peer is found in the directory.
    pub reach: Reach,
    /// The version of our own [`Reach`] that the peer has confirmed; 0 for none.
    pub told: u32,
}

impl Contact {
    /// Addresses kept for one contact or invite.
    pub const MAX_HINTS: usize = 4;
}
