//! The reflector: forwards datagrams between two phones that cannot reach each other.
//!
//! Each of its UDP ports is served by a thread of its own and has rooms of its own, so that threads
//! share nothing. [`Table`] decides about every datagram and is pure.

mod bucket;
mod cap;
mod counts;
mod gate;
mod proof;
mod room;
mod table;

pub use cap::Class;
pub use counts::{Counts, LOSSES, Loss};
pub use gate::Gate;
pub use room::Targets;
pub use table::{Answer, Full, Lease, Opening, Rules, Table, Verdict};
