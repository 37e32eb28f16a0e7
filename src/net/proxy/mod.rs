//! What a phone and an ultrapeer say to each other about directory records, and its frames.
//!
//! A frame is `u16` length of what follows, `u8` kind, body, zeros up to a fixed size; integers are
//! little endian. [`Request`] and [`Reply`] run over one long-lived stream of `/twocan/dir/1`, opened
//! by the phone; a stream of `/twocan/peers/1` brings whoever opens it one [`Peers`]. All three are
//! pure: bytes in, values out. [`FrameReader`] and [`FrameWriter`] carry them over any byte stream.
//! Nothing here knows whether a record is true, or who asks.

pub(in crate::net) mod cursor;
mod frames;
mod message;
mod peers;

pub use frames::{FrameReader, FrameWriter};
pub use message::{FrameError, MAX_WATCHED, Message, Refusal, Renewal, Reply, Request, WATCH_STEP};
pub use peers::{MAX_PEER_ADDRESS, MAX_PEERS, Peers};

/// Version of the directory frames, said in the first of them.
pub const VERSION: u16 = 1;

/// Bytes of the longest value that is put or sent.
pub const MAX_VALUE: usize = 2048;

/// Bytes of the longest frame, its length included: 512 watched names.
pub const MAX_FRAME: usize = 8 * LARGE;

/// Bytes of a frame, its length included. Longer frames are a multiple of [`LARGE`].
const SIZES: [usize; 5] = [64, 256, 512, 1024, 1728];
const LARGE: usize = 2304;

/// To what a frame of `used` bytes is padded.
pub(in crate::net) fn padded(used: usize) -> usize {
    SIZES
        .into_iter()
        .find(|&size| used <= size)
        .unwrap_or_else(|| used.next_multiple_of(LARGE))
}
