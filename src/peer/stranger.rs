//! Somebody who has opened a public invite of this phone.

use crate::peer::{PeerId, SafeText};

/// A wish to become a contact that waits for the owner of this phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    pub id: PeerId,
    /// What the stranger calls itself.
    pub name: SafeText,
    /// When it came, in seconds since 1970.
    pub at: u64,
    /// The owner has agreed; the stranger becomes a contact when his phone asks again.
    pub accepted: bool,
}
