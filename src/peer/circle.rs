//! Whom the directory serves: the secrets under which this phone is found, and finds others.

use super::{PeerId, Secret32};

/// One of the secrets under which this phone's location stands in the directory.
///
/// Whoever holds it and knows the identity can find and read that record, and nobody else can tell
/// whose it is. It is given to contacts only, and a new one replaces it when one of them is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Counts the secrets of one identity, from 1; 0 where there is none.
    pub version: u32,
    pub secret: Secret32,
}

/// All that the directory has to know of the contacts and invites of this phone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circle {
    /// Under which our own record stands.
    pub mine: Reach,
    pub members: Vec<Member>,
    /// Tokens of our own open invites, each with its end in seconds since 1970: under each stands a
    /// copy of our record, for whoever opens it.
    pub invites: Vec<([u8; 16], u64)>,
    /// Invites opened here that the other phone has not confirmed: the inviter and the token.
    pub opened: Vec<(PeerId, [u8; 16])>,
}

/// A contact as the directory sees it. Blocked contacts and those not yet confirmed are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: PeerId,
    /// Under which the contact is found. Version 0: not told yet.
    pub reach: Reach,
    /// The secret that the two phones share and nobody else has.
    pub pairwise: Secret32,
    /// The version of our own secret that the contact has confirmed.
    pub told: u32,
}
