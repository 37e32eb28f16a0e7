//! The constant clock of voice packets.
//!
//! From the answer to the farewell one packet leaves every 20 ms, whatever is said: an observer
//! learns nothing from sizes or gaps. A packet without a frame is as large as the last with one. The
//! clock is ours, not the microphone's, whose jitter would show on the wire; but its phase leans slowly
//! on the microphone's, so that a frame waits only a few milliseconds for its packet, and follows the
//! drift between the two clocks. The lean is far too slow to carry anything of the content.

use std::collections::VecDeque;
use std::time::Duration;

use super::types::{FRAME, Frame, Rung};

#[derive(Debug)]
pub struct Pacer {
    next: Duration,
    /// Until when the clock may still be set to the microphone's; later it only leans.
    may_jump_until: Duration,
    queue: VecDeque<Frame>,
    /// Smoothed wait of a frame beyond [`MARGIN`], in microseconds; `None` before the first frame.
    error: Option<i64>,
    dropped: u64,
    /// Ticks in a row that have left a frame waiting.
    surplus: u32,
    rung: Rung,
}

impl Pacer {
    pub fn new(now: Duration) -> Pacer {
        Pacer {
            next: now,
            may_jump_until: now + SETTLING,
            queue: VecDeque::with_capacity(MAX_QUEUE + 1),
            error: None,
            dropped: 0,
            surplus: 0,
            rung: Rung::USUAL,
        }
    }

    /// When the next packet leaves.
    pub fn deadline(&self) -> Duration {
        self.next
    }

    /// The size of the packet that leaves now.
    pub fn rung(&self) -> Rung {
        self.rung
    }

    /// A frame from the microphone.
    pub fn push(&mut self, frame: Frame, now: Duration) {
        if self.queue.is_empty() {
            self.lean(now);
        }
        if self.queue.len() >= MAX_QUEUE {
            self.queue.pop_front();
            self.dropped += 1;
        }
        self.queue.push_back(frame);
    }

    /// Leaves out what waits: the microphone now belongs to another call.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.error = None;
    }

    /// The packet of this tick leaves now, with this frame if there is one.
    pub fn tick(&mut self, now: Duration) -> Option<Frame> {
        let lean = self.error.unwrap_or(0) / 32;
        let lean = lean.clamp(-MAX_LEAN, MAX_LEAN);
        let period = FRAME.as_micros() as i64 - lean;
        self.next += Duration::from_micros(period as u64);
        if now > self.next + LATE {
            self.next = now + FRAME;
        }
        if let Some(error) = &mut self.error {
            *error -= lean;
        }
        let frame = self.queue.pop_front();
        self.rung = frame.as_ref().map_or(self.rung, |frame| frame.rung);
        self.drop_surplus();
        frame
    }

    /// After a stall of the microphone's side a frame too many may wait for ever: one for one goes
    /// in and out. That is delay nobody needs, so it is left out, and the far side conceals it: as
    /// soon as one comes in which next to nothing is said, which nobody misses.
    fn drop_surplus(&mut self) {
        self.surplus = match self.queue.is_empty() {
            true => 0,
            false => self.surplus + 1,
        };
        let says_little =
            |frame: &Frame| frame.opus.len() * 8 * 50 < frame.rung.bits() as usize / 3;
        let is_missed = !self.queue.front().is_some_and(says_little);
        if self.surplus >= if is_missed { MAX_SURPLUS } else { BURST } {
            self.queue.pop_front();
            self.dropped += 1;
            self.surplus = 0;
        }
    }

    fn lean(&mut self, now: Duration) {
        let period = FRAME.as_micros() as i64;
        let wait = self.next.as_micros() as i64 - now.as_micros() as i64;
        let late = wait - MARGIN.as_micros() as i64;
        let nearest = (late + period / 2).rem_euclid(period) - period / 2;
        match &mut self.error {
            None if now < self.may_jump_until => {
                self.next = now + MARGIN;
                self.error = Some(0);
            }
            None => self.error = Some(nearest),
            Some(error) => *error += (nearest - *error) / 16,
        }
    }
}

/// Frames that may wait: more would be delay that never goes away.
const MAX_QUEUE: usize = 2;
/// Ticks after which a waiting frame is not a burst any more: half a second.
const BURST: u32 = 25;
/// Ticks after which it is left out whatever it says.
const MAX_SURPLUS: u32 = 75;
/// How long before its packet a frame should be there. Sound servers record in pieces of about 5 ms,
/// and with the last of some a frame is complete: now and then one piece later.
const MARGIN: Duration = Duration::from_millis(5);
/// How long after the answer the microphone's first frame may set the clock. A jump later on, such
/// as when a held call is resumed, would show from outside.
const SETTLING: Duration = Duration::from_secs(1);
/// Most microseconds by which one period differs from 20 ms.
const MAX_LEAN: i64 = 50;
/// After standing still for longer than this, packets are not made up for.
const LATE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use arrayvec::ArrayVec;

    use super::*;

    /// Runs microphone and packets for `seconds`; returns the longest wait of a frame and the
    /// widest deviation of a period from 20 ms over the second half, in microseconds.
    fn run(microphone_period: f64, jitter: impl Fn(u32) -> f64, seconds: u32) -> (u64, u64) {
        let mut pacer = Pacer::new(Duration::ZERO);
        let mut made = VecDeque::new();
        let (mut longest, mut widest) = (0, 0);
        let mut last_tick: Option<Duration> = None;
        for count in 0..seconds * 50 {
            let at = 5000.0 + f64::from(count) * microphone_period + jitter(count);
            let at = Duration::from_micros(at as u64);
            while pacer.deadline() <= at {
                let tick = pacer.deadline();
                let settled = count > seconds * 25;
                if pacer.tick(tick).is_some() {
                    let born: Duration = made.pop_front().expect("a frame was made");
                    let wait = (tick - born).as_micros() as u64;
                    longest = longest.max(if settled { wait } else { 0 });
                }
                if let (Some(last), true) = (last_tick, settled) {
                    let period = (tick - last).as_micros() as i64;
                    widest = widest.max((period - 20_000).unsigned_abs());
                }
                last_tick = Some(tick);
            }
            pacer.push(Frame::new(count as u16, ArrayVec::new()), at);
            made.push_back(at);
            while made.len() > pacer.queue.len() {
                made.pop_front();
            }
        }
        (longest, widest)
    }

    #[test]
    fn frames_wait_a_few_milliseconds_though_the_clocks_drift() {
        for period in [19_994.0, 20_000.0, 20_006.0] {
            let (wait, deviation) = run(period, |_| 0.0, 120);
            assert!(wait < 6_000, "waited {wait} us");
            assert!(deviation <= MAX_LEAN as u64);
        }
    }

    /// Two frames at once, then one for each packet; the first of 400 that is left out. Speech is
    /// louder than silence in packets too.
    fn after_a_stall(is_speech: impl Fn(u16) -> bool) -> Option<u16> {
        let frame = |seq| {
            let length = if is_speech(seq) { 70 } else { 20 };
            Frame::new(seq, std::iter::repeat_n(0, length).collect())
        };
        let mut pacer = Pacer::new(Duration::ZERO);
        pacer.push(frame(0), Duration::ZERO);
        let mut missing = None;
        for seq in 1..400 {
            let at = pacer.deadline();
            pacer.push(frame(seq), at);
            let sent = pacer.tick(at).expect("a frame").seq;
            missing = missing.or((sent == seq).then(|| seq - 1));
        }
        assert_eq!((pacer.queue.len(), pacer.dropped), (0, 1));
        missing
    }

    #[test]
    fn delay_from_a_stall_goes_away_again_where_nobody_misses_it() {
        assert_eq!(after_a_stall(|_| false), Some(25));
        assert_eq!(after_a_stall(|seq| !(50..60).contains(&seq)), Some(50));
        assert_eq!(after_a_stall(|_| true), Some(75));
    }

    #[test]
    fn a_packet_without_a_frame_is_as_large_as_the_one_before() {
        let mut pacer = Pacer::new(Duration::ZERO);
        let mut frame = Frame::new(0, ArrayVec::new());
        frame.rung = Rung::numbered(5);
        assert_eq!(pacer.rung(), Rung::USUAL);
        pacer.push(frame, Duration::ZERO);
        for _ in 0..3 {
            pacer.tick(pacer.deadline());
            assert_eq!(pacer.rung(), Rung::numbered(5));
        }
        pacer.clear();
        assert_eq!(
            pacer.rung(),
            Rung::numbered(5),
            "a held call looks the same"
        );
    }

    #[test]
    fn a_microphone_that_comes_in_pieces_misses_no_packet() {
        // Each sample is there at the end of its piece of 5.33 ms, in a clock that drifts.
        for ppm in [-200.0, 200.0] {
            let period = 20_000.0 + ppm / 50.0;
            let piece = |count: u32| {
                let at = f64::from(count) * 20_000.0;
                (at / 5_333.0).ceil() * 5_333.0 - at
            };
            let (wait, _) = run(period, piece, 120);
            assert!(wait < 14_000, "{ppm}: waited {wait} us");
        }
    }

    #[test]
    fn a_jittering_microphone_does_not_show_in_the_packets() {
        let jitter =
            |count: u32| f64::from(count.wrapping_mul(2_654_435_761) >> 20) / 4096.0 * 2_500.0;
        let (wait, deviation) = run(20_000.0, jitter, 60);
        assert!(wait < 10_000, "waited {wait} us");
        assert!(deviation <= MAX_LEAN as u64);
    }
}
