//! twocan: a telephone that lives in a terminal and belongs to nobody.
//!
//! This page is the map of the program. What it does for a person stands in `README.md` and
//! `man/twocan.1`; what goes over the network, to the byte, in `man/twocan-protocol.7`.
//!
//! # The shape
//!
//! The protocol core is pure, the drivers stand at the edge, the screen knows only commands and
//! events. An arrow means "may import"; `tests/layers.rs` fails on any other.
//!
//! ```text
//! main    --> cli, config, disk, engine, control, tui, relay
//! tui     --> api, peer, config                 never engine, net, audio, phone
//! control --> api, peer                         a unix socket: the same commands and events
//! engine  --> phone, net, directory, audio, disk, api, peer, config
//! relay   --> net, phone::{reflect, stun, types}, directory, peer, config
//!                                               an ultrapeer, on which phones lean
//! net     --> phone::types, directory, peer, config     sockets and libp2p live here only
//! audio   --> phone::types, voice, config       devices and codec live here only
//! phone   --> api, peer                         sans-IO: sessions, calls, contacts
//! voice   --> nothing of ours                   sans-IO: jitter buffer, meters
//! directory --> peer                            records of who is where, sealed and blinded
//! disk    --> peer, api     api --> peer     config, cli, peer --> nothing of ours
//! ```
//!
//! | module | in one line |
//! | --- | --- |
//! | [`api`] | all words between the engine and whoever steers it |
//! | [`peer`] | who somebody is: identity, certificate, invite, contact, text made tame |
//! | [`phone`] | the phone without its body: one deterministic machine, told the time |
//! | [`voice`] | when a received frame is played, concealed or left out |
//! | [`audio`] | the voice thread between microphone, codec, jitter buffer and loudspeaker |
//! | [`directory`] | where phones find each other: records, what is ours there, what we know of others |
//! | [`net`] | the UDP port, and the node that finds and meets others by libp2p |
//! | [`relay`] | an ultrapeer: DHT server, circuits, reflector, and the directory for phones |
//! | [`disk`] | key, contacts, history: written whole or not at all |
//! | [`engine`] | the one loop that carries inputs and outputs, and decides nothing |
//! | [`control`] | the socket through which screens and scripts reach a running phone |
//! | [`tui`] | the screen: model, update, view |
//! | [`config`], [`cli`] | settings and command line, every default in one place |
//!
//! # The way of a voice frame
//!
//! Microphone callback, ring, voice thread (encode), channel, `phone.handle(Voice)`, wait for the
//! constant clock ([`phone`]'s pacer), seal, datagram. Back: datagram, open, channel, jitter buffer,
//! decode or conceal, ring, loudspeaker callback. One ring and one channel a side; no lock is
//! shared, and nothing between the two channels waits or allocates. A frame does not wake the engine:
//! it is taken when its packet is due, and counts from when it was made.
//!
//! # The way of a call
//!
//! Key, `Action`, `update`, [`api::Command::Dial`], [`phone::Phone`]: HELLO to the contact's
//! addresses, XK handshake, X-Wing inside it, then a sealed INVITE. The far phone rings and says so:
//! only then it says "ringing" here. The answer makes the [`phone::types::OpenMic`] without which
//! the sound side cannot start a microphone.
//!
//! # Habits
//!
//! Everything is bounded: queues, tables, sessions, text. Live sound drops the oldest, control
//! fails. Bytes from outside are parsed once and can never panic. The clock is read in the drivers
//! only (`.clippy.toml` sees to it), so that tests run whole calls on a virtual clock.
#![forbid(unsafe_code)]

pub mod api;
pub mod audio;
pub mod cli;
pub mod config;
pub mod control;
pub mod directory;
pub mod disk;
pub mod engine;
pub mod net;
pub mod peer;
pub mod phone;
pub mod relay;
pub mod tui;
pub mod voice;
