//! What a session tells its owner.

use crate::phone::checks::Birthday;
use crate::phone::message::{Bye, Message};
use crate::phone::types::{Frame, Report};

/// What the session tells its owner.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "frames are the most frequent by far and must not be allocated"
)]
pub enum Heard {
    /// Fresh quantum-safe keys stand and both ends have proven who they are.
    Up,
    Message(Message),
    Voice(Frame),
    /// How our voice arrives at the peer.
    Report(Report),
    /// The peer said farewell.
    Bye(Bye),
    /// Nothing authentic came for too long, or the peer proved to be somebody else.
    Lost(Loss),
    /// Nobody wanted anything of the session any more, so it says farewell.
    Closed,
    /// The session lives on another path now.
    Moved,
    /// Voice is not heard; all other ways are being asked.
    Silent,
    /// Nothing comes over the present path any more; another one would be welcome.
    Adrift,
    /// Something was said and nothing is heard of the peer since, though no voice flows: perhaps he
    /// has begun anew.
    Unanswered,
    /// A call has gone on for a while without a direct path: see [`super::Session::look_again`].
    Apart,
    /// No direct path is found by the peer's candidates: see [`super::Session::search`].
    Stuck(Birthday),
    /// Nothing is left of the session.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Silence,
    WrongIdentity,
    KeysTooOld,
    /// The peer breaks the protocol.
    Protocol,
}
