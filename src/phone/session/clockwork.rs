//! What a session does when time passes.

use std::time::Duration;

use super::{ANSWER, Heard, Io, LOST, Loss, Session, Stage};
use crate::phone::message::Bye;
use crate::phone::timer::Timer;

impl Session {
    /// Some deadline has passed.
    pub fn timeout(&mut self, io: &mut Io<'_>) {
        while let Some(timer) = self.timers.expired(io.now) {
            self.expired(timer, io);
        }
    }

    fn expired(&mut self, timer: Timer, io: &mut Io<'_>) {
        match timer {
            Timer::Repeat => self.flush(io),
            Timer::Tick => self.tick(io),
            Timer::Rekey => {
                self.offer_keys(io);
                self.flush(io);
            }
            Timer::KeyAge => {
                self.events.push_back(Heard::Lost(Loss::KeysTooOld));
                self.close(Bye::KeysTooOld, io);
            }
            Timer::Forget => {
                self.indices_changed |= self.channel.expire(io.now);
                self.timers
                    .set_or_stop(Timer::Forget, self.channel.deadline());
            }
            Timer::Silence => {
                let until = self.heard_at + LOST;
                if io.now >= until {
                    self.lose(Loss::Silence);
                } else {
                    self.timers.set(Timer::Silence, until);
                }
            }
            Timer::Ping => {
                self.ping_due = true;
                let pause = if self.pacer.is_some() {
                    PING_TALKING
                } else {
                    PING_IDLE
                };
                self.timers.set(Timer::Ping, io.now + pause);
                if self.pacer.is_none() && io.now >= self.heard_at + UNHEARD_IDLE {
                    self.drift(io);
                }
                if !self.paused {
                    // While paused, the probes carry it.
                    self.flush(io);
                }
            }
            Timer::Probe => self.ask_ways(io),
            Timer::Answer => {
                let until = self.heard_at + ANSWER;
                if io.now < until {
                    self.timers.set(Timer::Answer, until);
                } else if self.stage == Stage::Open && self.pacer.is_none() {
                    self.events.push_back(Heard::Unanswered);
                }
            }
            Timer::Bye => self.repeat_bye(io),
            Timer::Idle => {
                self.events.push_back(Heard::Closed);
                self.close(Bye::Done, io);
            }
            Timer::Gone => self.die(),
        }
    }

    fn tick(&mut self, io: &mut Io<'_>) {
        self.paused = io.now >= self.heard_at + CONSENT;
        let Some(pacer) = &mut self.pacer else { return };
        let frame = pacer.tick(io.now);
        let (next, rung) = (pacer.deadline(), pacer.rung());
        if self.paused {
            // No consent to send media to somebody who is not heard: probe only (RFC 7675).
            self.ping_due = true;
            self.send_tick(None, rung, io);
            self.timers.set(Timer::Tick, io.now + PROBE);
            self.miss(io);
            return;
        }
        self.voice_sent += u64::from(frame.is_some());
        self.send_tick(frame.as_ref(), rung, io);
        self.timers.set(Timer::Tick, next);
        self.miss(io);
        self.miss_direct(io.now);
    }

    /// The peer is heard again: media goes on at once.
    pub(super) fn resume(&mut self, io: &mut Io<'_>) {
        if self.paused && self.stage == Stage::Open {
            self.paused = false;
            self.timers.set(Timer::Tick, io.now);
        }
    }

    /// A pong came back: smooth the round trip as RFC 6298 does.
    pub(super) fn measure(&mut self, stamp: u32, held: u32, now: Duration) {
        let elapsed = (now.as_micros() as u32).wrapping_sub(stamp);
        let Some(sample) = elapsed.checked_sub(held) else {
            return;
        };
        let sample = Duration::from_micros(u64::from(sample));
        if sample > LOST {
            return;
        }
        self.rtt = Some(match self.rtt {
            Some(rtt) => (rtt * 7 + sample) / 8,
            None => sample,
        });
    }
}

/// How long media goes on without anything authentic from the peer.
const CONSENT: Duration = Duration::from_secs(5);
/// How long nothing may be heard without voice before another way is looked for: two PINGs.
const UNHEARD_IDLE: Duration = Duration::from_secs(11);
/// Between two probes while the peer is not heard.
const PROBE: Duration = Duration::from_secs(1);
const PING_TALKING: Duration = Duration::from_secs(1);
pub(super) const PING_IDLE: Duration = Duration::from_secs(5);
