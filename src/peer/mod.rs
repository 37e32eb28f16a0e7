//! Who somebody is: identities, devices, certificates, contacts, invites and the text they send.
//!
//! Everything here is pure data and arithmetic. Nothing reads a file, a socket or a clock; time
//! comes in as seconds since 1970 and randomness as an argument.

mod blind;
mod cert;
mod circle;
mod code;
mod contact;
mod id;
mod identity;
mod invite;
mod invite_line;
mod locate;
mod redacted;
mod seed;
mod stranger;
mod text;
pub mod words;

pub use blind::{BlindKey, Blinder};
pub use cert::{CertError, DeviceCert};
pub use circle::{Circle, Member, Reach};
pub use code::LongCode;
pub use contact::Contact;
pub use id::{IdError, PeerId};
pub use identity::{DeviceKeys, Identity};
pub use invite::{Invite, InviteError};
pub use locate::Slip;
pub use redacted::{Redacted, Secret32};
pub use seed::{Seed, SeedError};
pub use stranger::Stranger;
pub use text::SafeText;
