//! How a phone is given a room at an ultrapeer's reflector: `/twocan/reflect/1`.
//!
//! A stream carries one [`Ask`] and one [`Answer`]; if that is [`Answer::Work`], one more of each.
//! Frames are those of [`super::proxy`]. The phone's end is [`ask`].

mod asking;
mod message;
mod pass;
mod work;

pub use asking::{AskError, Asker, Given, ask};
pub use message::{Answer, Ask, Refusal};
pub use pass::{Pass, PassError};
pub use work::{BITS, Work};

/// Version of these frames.
pub const VERSION: u16 = 1;

/// Most addresses in each list of an answer.
pub const MAX_SERVERS: usize = crate::phone::types::MAX_SERVERS;
pub const MAX_MIRRORS: usize = 8;
