//! Where phones find each other: small sealed records that strangers' machines keep.
//!
//! Each phone publishes its location and state as an IPNS record, the one kind of value that the
//! nodes of the public network store, under a key that only its contacts can compute and that
//! changes each day ([`crate::peer::Blinder`]). Inside is a blob of one fixed size that only they
//! can read. `man/twocan-protocol.7` has it to the byte.
//!
//! - [`Name`]: under what a record stands.
//! - [`Spot`]: a secret and an identity, and under which names they stand at a time.
//! - [`check`], [`renew`]: the record as servers see it; they need no secret.
//! - [`Content`]: what stands inside; [`Pen`] seals and signs it, [`open`] reads it.
//! - [`Keeper`]: what of us stands there, and what we know of others from it.
//!
//! All of it is pure: no clock, no socket, no randomness but what it is given.

mod content;
mod keeper;
mod name;
mod pen;
mod record;
mod sealed;
mod spot;

pub use content::{Content, Device, MAX_DEVICES, MAX_PEER, MAX_RELAY, MAX_RELAYS, Offer, State};
pub use keeper::{Announced, Input, Keeper, Moment, Output};
pub use name::Name;
pub use pen::{Blob, Pen, open};
pub use record::{
    MAX_AHEAD, MAX_RECORD, RECORD, RecordError, Renewal, Stamp, check, is_newer, renew, renewal,
};
pub use spot::{EARLY, EDGE, PERIOD, Spot, VALID};
