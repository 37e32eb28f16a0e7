//! From 20 ms of the own voice to the frame that is sent: its encoding, copies of earlier ones
//! beside it, and the size of it all, as the far side's reports make it wise.

use std::time::Duration;

use arrayvec::ArrayVec;

use crate::audio::codec::{CodecError, Encoder, SAMPLES};
use crate::phone::types::{Copied, Frame, Opus, Rung};
use crate::voice::{Plan, Policy, Report};

/// Encoder, memory and policy of one call.
#[derive(Debug)]
pub(super) struct Sending {
    encoder: Encoder,
    policy: Policy,
    /// The frames before, by number.
    kept: [Opus; KEPT],
    seq: u16,
    sent: u64,
    last: Report,
}

impl Sending {
    /// `policy` is that of an earlier part of the call, which was held meanwhile.
    pub(super) fn new(complexity: u8, policy: Policy) -> Result<Sending, CodecError> {
        Ok(Sending {
            encoder: Encoder::new(complexity)?,
            policy,
            kept: std::array::from_fn(|_| Opus::new()),
            seq: 0,
            sent: 0,
            last: Report::default(),
        })
    }

    /// The frame of this sound; none if libopus fails.
    pub(super) fn encode(&mut self, pcm: &[f32; SAMPLES]) -> Option<Frame> {
        let Sending { policy, kept, .. } = self;
        let plan = policy.plan();
        let rung = Rung::numbered(plan.rate);
        let seq = self.seq;
        let mut room = rung.payload();
        let mut copies = ArrayVec::new();
        for back in plan.copies.iter().copied() {
            let opus = &kept[usize::from(seq.wrapping_sub(u16::from(back))) % KEPT];
            let is_there = u64::from(back) <= self.sent && !opus.is_empty();
            if is_there && opus.len() + LEAST <= room {
                room -= opus.len();
                let opus = opus.clone();
                copies.push(Copied { back, opus });
            }
        }
        self.encoder.aim(rate_of(plan), plan.fec).ok()?;
        let opus = self.encoder.encode(pcm, room).ok()?;
        kept[usize::from(seq) % KEPT].clone_from(&opus);
        self.seq = seq.wrapping_add(1);
        self.sent += 1;
        Some(Frame {
            seq,
            opus,
            copies,
            rung,
        })
    }

    /// The far side says how the own voice arrives there.
    pub(super) fn hear(&mut self, report: Report, now: Duration) {
        self.policy.hear(&report, now);
        self.last = report;
    }

    /// What the far side has said last.
    pub(super) fn last_report(&self) -> &Report {
        &self.last
    }

    pub(super) fn plan(&self) -> &Plan {
        self.policy.plan()
    }

    /// Frames made so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// For the time after a hold.
    pub(super) fn into_policy(self) -> Policy {
        self.policy
    }
}

/// Bits a second at which a frame and its copies fill their packet. The encoder stays below on the
/// whole, and may be above for a while as long as there is room. More would fill the packets better
/// and sound worse, as what one frame has too much its neighbours have too little.
fn rate_of(plan: &Plan) -> u32 {
    Rung::numbered(plan.rate).bits() / (1 + plan.copies.len() as u32)
}

/// Frames that are kept for copies: a little more than a copy is ever back.
const KEPT: usize = 16;

/// Bytes that a frame must have beside the copies. With less it would sound worse than a loss now
/// and then does.
const LEAST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::RATES;

    fn sound(number: usize) -> [f32; SAMPLES] {
        let loud = if number % 50 < 10 { 0.0 } else { 0.3 };
        std::array::from_fn(|i| {
            let at = (number * SAMPLES + i) as f32;
            loud * (at * 0.02).sin() * (at * 0.0007).sin()
        })
    }

    #[test]
    fn the_rates_of_the_policy_are_the_sizes_of_the_packets() {
        let rates = Rung::all().map(|rung| rung.payload() as u32 * 8 * 50 / 1000);
        assert!(rates.eq(RATES));
    }

    #[test]
    fn copies_are_exact_and_all_fits_whatever_the_line_is_like() {
        let mut sending = Sending::new(5, Policy::new()).expect("libopus");
        let mut frames: Vec<Frame> = Vec::new();
        let lines = [(0.0, 0.0), (0.03, 1.0), (0.06, 1.0), (0.15, 1.2)];
        let lines = lines.into_iter().chain([(0.3, 1.4), (0.2, 4.0)]);
        let mut most = 0;
        for (part, (loss, burst)) in lines.enumerate() {
            let report = Report {
                loss,
                recent: loss,
                burst,
                queue: Duration::ZERO,
            };
            sending.hear(report, Duration::from_secs(part as u64));
            for _ in 0..100 {
                let frame = sending.encode(&sound(frames.len())).expect("encoded");
                let copied = frame.copies.iter().map(|copy| copy.opus.len());
                let payload = frame.opus.len() + copied.sum::<usize>();
                assert!(payload <= frame.rung.payload(), "{payload}");
                for copy in &frame.copies {
                    let earlier = &frames[frames.len() - usize::from(copy.back)];
                    assert_eq!(copy.opus, earlier.opus);
                }
                most = most.max(frame.copies.len());
                frames.push(frame);
            }
        }
        assert_eq!(most, 3);
        let seqs = frames.iter().map(|frame| usize::from(frame.seq));
        assert!(seqs.eq(0..frames.len()));
    }

    #[test]
    fn what_is_said_does_not_change_the_size() {
        let mut sending = Sending::new(5, Policy::new()).expect("libopus");
        let rungs = |number| sending.encode(&sound(number)).expect("encoded").rung;
        assert!((0..200).map(rungs).all(|rung| rung == Rung::USUAL));
    }
}
