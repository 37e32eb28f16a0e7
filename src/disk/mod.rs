//! What is kept between two runs, and where: the identity, the contacts, the history.
//!
//! Every file is made with mode 0600 and replaced by writing a new one beside it, so that a kill at
//! any moment leaves the old state or the new one. A file that cannot be understood is left exactly
//! as it is, and the error names the line. Nothing here decides anything about calls.

mod atomic;
mod contacts;
mod contacts_file;
mod error;
mod harden;
mod hex;
mod history;
mod home;
pub mod key;
mod lock;
mod passes;
mod port;
mod relay;
mod sealed;
mod surroundings;
mod writer;

pub use contacts::{Contacts, Store};
pub use error::DiskError;
pub use harden::harden;
pub use history::{History, Kept};
pub use home::Home;
pub use key::Keys;
pub use lock::HomeLock;
pub use passes::passes;
pub use port::{load_port, save_port};
pub use relay::{new_relay_pass, relay_key, relay_pass, relay_port, save_relay_port};
pub use surroundings::Surroundings;
pub use writer::{Job, Writer};
