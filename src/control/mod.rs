//! The control socket: how a screen or a script reaches a phone that runs in another process.
//!
//! A unix socket that only its owner can open. Each line is one JSON object: a
//! [`Request`] on the way in, a [`Message`] on the way
//! out. The socket carries words and does no work: behind it, as behind the screen, stands a pair
//! of channels to the engine.

mod client;
mod lines;
mod notice;
mod server;

use tokio::sync::mpsc;

pub use client::{Client, ClientError, ConnectError, connect};
pub use server::{MAX_CLIENTS, MAX_REQUEST_LINE, Server, ServerError};

use crate::api::{Message, Request};

/// One end of a conversation with the engine. It is over when either channel is closed.
pub type Link = (mpsc::Sender<Request>, mpsc::Receiver<Message>);
