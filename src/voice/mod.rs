//! What happens to received voice between the network and the decoder. Pure: no clock, no codec, no
//! device, no thread; everything is told the time and can be simulated.
//!
//! [`Jitter`] puts frames back in order and decides for every 20 ms of the loudspeaker whether a
//! frame is played, a missing one is concealed, or there is nothing to hear.

mod congestion;
mod jitter;
mod meter;
mod policy;
mod report;

pub use jitter::{Jitter, Pull, Settings};
pub use meter::Stats;
pub use policy::{Plan, Policy, RATES};
pub use report::{Arrivals, Report};
