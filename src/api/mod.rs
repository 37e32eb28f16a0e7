//! All words between the engine and whoever steers it: the screen, the control socket, a script.
//!
//! A [`Command`] goes in with a number, exactly one [`Reply`] with the same number comes back, and
//! [`Event`]s tell what happened, to everybody who listens. The control socket speaks these types
//! as JSON lines; nothing here does any work.

mod call;
mod cleaning;
mod command;
mod event;
mod nat;
mod network;
mod sound;
mod status;

pub use call::{CallId, CallState, Direction, PathKind, Presence, Why};
pub use cleaning::{CleaningView, Echo, EchoCancelling, Microphone};
pub use command::{Command, Request, RequestId, Switch};
pub use event::{Done, Event, Message, Playout, Refusal, Reply, Stamped, Trouble};
pub use nat::NatKind;
pub use network::{NetworkState, NetworkView, RequestView, Standing};
pub use sound::SoundDevice;
pub use status::{AudioView, CallView, ContactView, HistoryView, Status};
