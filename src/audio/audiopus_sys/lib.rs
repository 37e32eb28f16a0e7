//! The raw libopus 1.6.1 bindings under the name that `audiopus` looks for.
#![no_std]
pub use opusic_sys::*;
