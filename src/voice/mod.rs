//! What happens to received voice between the network and the loudspeaker. Pure: no clock, no
//! codec, no device, no thread; everything is told the time and can be simulated.
//!
//! [`Playout`] turns packets into blocks of 10 ms, with a decoder that it is lent. Its [`Jitter`]
//! puts frames back in order and decides whether a frame is played, repaired, concealed, or there
//! is nothing to hear; how long frames wait is learned in `delay`. [`stretch`] changes the length
//! of sound, so that the delay can follow.

mod congestion;
mod delay;
mod jitter;
mod meter;
mod noise;
mod playout;
mod policy;
mod report;
mod ring;
pub mod stretch;
mod trim;

pub use jitter::{Jitter, Pull, Settings};
pub use meter::Stats;
pub use playout::{BLOCK, Decode, FRAME, Playout};
pub use policy::{Plan, Policy, RATES};
pub use report::{Arrivals, Report};
