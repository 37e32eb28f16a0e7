//! twocan: a telephone that lives in a terminal and belongs to nobody.
#![forbid(unsafe_code)]

pub mod api;
pub mod audio;
pub mod cli;
pub mod config;
pub mod control;
pub mod disk;
pub mod engine;
pub mod net;
pub mod peer;
pub mod phone;
pub mod tui;
pub mod voice;
