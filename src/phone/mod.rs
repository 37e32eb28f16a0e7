//! The phone itself, pure: what goes in and what comes out. The call machine is to be written.

mod consent;
pub mod types;
