//! The reflector: forwards datagrams between two phones that cannot reach each other.
//!
//! Each of its UDP ports is served by a thread of its own and has rooms of its own, so that threads
//! share nothing. [`Table`] decides about every datagram and is pure; [`Reflector`] is all of them with
//! sockets and threads.

mod batch;
mod bucket;
mod cap;
mod counts;
mod gate;
mod pace;
mod port;
mod proof;
mod room;
mod server;
mod table;

pub use cap::Class;
pub use counts::{Counts, LOSSES, Loss};
pub use gate::Gate;
pub use room::Targets;
pub use server::{Made, Reflector, Setup};
pub use table::{Answer, Full, Lease, Opening, Rules, Table, Verdict};
