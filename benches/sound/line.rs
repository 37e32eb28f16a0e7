//! What a line does to datagrams, by a seeded chance.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// The kind of a line, the same both ways.
#[derive(Clone, Copy)]
pub struct Line {
    pub delay_ms: f64,
    pub jitter: Jitter,
    /// Jitter holds up what comes after, instead of letting it overtake.
    pub in_order: bool,
    pub loss: Loss,
    /// So often nothing gets through for two seconds, and then all of it; 0: never.
    pub stall_each_s: f64,
    /// 0: everything. What is too much waits in a queue of up to 2 s.
    pub carries_kbps: f64,
}

#[derive(Clone, Copy)]
pub enum Jitter {
    None,
    /// Standard deviation in ms.
    Normal(f64),
    /// The same, with a long tail: shape 3, cut at four deviations.
    Pareto(f64),
}

#[derive(Clone, Copy)]
pub enum Loss {
    None,
    Random(f64),
    /// Share and mean length in ms, of Gilbert's and Elliott's kind in steps of 10 ms, 400 ms at
    /// most.
    Bursts(f64, f64),
}

impl Line {
    pub const GOOD: Line = Line {
        delay_ms: 0.0,
        jitter: Jitter::None,
        in_order: false,
        loss: Loss::None,
        stall_each_s: 0.0,
        carries_kbps: 0.0,
    };

    pub const fn lossy(loss: Loss) -> Line {
        Line {
            delay_ms: 30.0,
            loss,
            ..Line::GOOD
        }
    }
}

/// One direction of a line.
pub struct Way {
    line: Line,
    chance: ChaCha20Rng,
    /// When the last one arrives.
    last: Duration,
    /// When what waits in the queue has left it.
    free_at: Duration,
    burst: Burst,
}

#[derive(Default)]
struct Burst {
    steps: u64,
    /// Steps that the present burst has lasted.
    lasts: u32,
}

impl Way {
    pub fn new(line: Line, seed: u8) -> Way {
        Way {
            line,
            chance: ChaCha20Rng::from_seed([seed; 32]),
            last: Duration::ZERO,
            free_at: Duration::ZERO,
            burst: Burst::default(),
        }
    }

    /// When a datagram of `bytes` that is sent at `now` arrives, if it does.
    pub fn send(&mut self, bytes: usize, now: Duration) -> Option<Duration> {
        if self.is_lost(now) {
            return None;
        }
        let left = self.queue(bytes, now)?;
        let late = self.jitter_ms() + self.line.delay_ms;
        let mut at = left + Duration::from_secs_f64(late.max(0.0) / 1000.0);
        if self.line.stall_each_s > 0.0 {
            let since = at.as_secs_f64() % self.line.stall_each_s;
            let over = Duration::from_secs_f64((STALL - since).max(0.0));
            at += if at > STALL_FROM {
                over
            } else {
                Duration::ZERO
            };
        }
        if self.line.in_order {
            at = at.max(self.last);
        }
        self.last = at;
        Some(at)
    }

    fn is_lost(&mut self, now: Duration) -> bool {
        match self.line.loss {
            Loss::None => false,
            Loss::Random(share) => self.one() < share,
            Loss::Bursts(share, mean_ms) => {
                let step = (now.as_millis() / 10) as u64;
                while self.burst.steps < step {
                    self.burst.steps += 1;
                    self.step_burst(share, mean_ms);
                }
                self.burst.lasts > 0
            }
        }
    }

    fn step_burst(&mut self, share: f64, mean_ms: f64) {
        let end = 10.0 / mean_ms;
        let begin = end * share / (1.0 - share);
        let chance = self.one();
        self.burst.lasts = match self.burst.lasts {
            0 => u32::from(chance < begin),
            40.. => 0,
            lasts if chance >= end => lasts + 1,
            _ => 0,
        };
    }

    fn queue(&mut self, bytes: usize, now: Duration) -> Option<Duration> {
        if self.line.carries_kbps == 0.0 {
            return Some(now);
        }
        if self.free_at > now + QUEUE {
            return None;
        }
        let bits = (bytes + UDP_AND_IP) as f64 * 8.0;
        let takes = Duration::from_secs_f64(bits / self.line.carries_kbps / 1000.0);
        self.free_at = self.free_at.max(now) + takes;
        Some(self.free_at)
    }

    fn jitter_ms(&mut self) -> f64 {
        match self.line.jitter {
            Jitter::None => 0.0,
            Jitter::Normal(deviation) => {
                let (radius, angle) = (self.one().max(1e-12), self.one());
                let angle = angle * std::f64::consts::TAU;
                deviation * (-2.0 * radius.ln()).sqrt() * angle.cos()
            }
            Jitter::Pareto(deviation) => {
                // Of shape 3 and least value 1: mean 1.5, deviation 0.866.
                let value = self.one().max(1e-12).powf(-1.0 / 3.0);
                deviation * ((value - 1.5) / 0.866).min(4.0)
            }
        }
    }

    /// 0..1
    fn one(&mut self) -> f64 {
        (self.chance.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Seconds.
const STALL: f64 = 2.0;

/// The call has found its delay by then.
const STALL_FROM: Duration = Duration::from_secs(1010);

const QUEUE: Duration = Duration::from_secs(2);

const UDP_AND_IP: usize = 28;
