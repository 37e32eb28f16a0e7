//! The phone's node against real servers on the loopback: found, met, and left alone by the rest.
#![expect(clippy::print_stdout, reason = "the times are figures worth seeing")]
#![expect(clippy::disallowed_methods, reason = "these tests run in real time")]

mod phone;
mod proxy;
mod server;

mod asking;
mod entering;
mod hostile;
mod meeting;
mod ultrapeer;
