//! A reliable, ordered stream of messages inside a lossy channel.
//!
//! Signalling and key exchange ride in the room that packets have left. Bytes are cut into
//! segments as room appears; each segment is acknowledged on its own (the last few offsets) and in
//! sum (the next offset wanted), and repeated when its time-out passes. Order is kept, so a message
//! can rely on all before it. Messages are `length u16 | type u8 | body`.
//!
//! Bounded everywhere: what is queued, what is in flight, what is kept out of order.

use std::collections::VecDeque;
use std::time::Duration;

/// Largest message (type and body), in bytes.
pub const MAX_MESSAGE: usize = 2048;

/// Bytes of a segment or acknowledgement besides its payload: type, length and one offset.
pub const OVERHEAD: usize = 2 + 4;

#[derive(Debug, Default)]
pub struct Sender {
    /// Bytes not yet acknowledged; the first stands at offset `base`.
    queue: VecDeque<u8>,
    base: u32,
    /// Offset one past the last byte that was sent at least once.
    sent: u32,
    flight: VecDeque<Segment>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    offset: u32,
    length: u16,
    at: Duration,
    attempts: u8,
    acknowledged: bool,
}

/// A message did not fit: more than [`MAX_QUEUE`] bytes wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Sender {
    /// Queues one message.
    pub fn push(&mut self, kind: u8, body: &[u8]) -> Result<(), Full> {
        let length = body.len() + 1;
        if length > MAX_MESSAGE || self.queue.len() + 2 + length > MAX_QUEUE {
            return Err(Full);
        }
        self.queue.extend((length as u16).to_le_bytes());
        self.queue.push_back(kind);
        self.queue.extend(body);
        Ok(())
    }

    /// Whether less than half of what may wait does. Long messages keep to that, so that there is
    /// always room for the short ones that a call needs.
    pub fn has_room(&self) -> bool {
        self.queue.len() < MAX_QUEUE / 2
    }

    /// Everything has been acknowledged.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether [`Sender::segment`] would yield something now.
    pub fn is_due(&self, now: Duration, rto: Duration) -> bool {
        self.has_unsent() || self.deadline(rto).is_some_and(|at| now >= at)
    }

    /// When the next repetition is due.
    pub fn deadline(&self, rto: Duration) -> Option<Duration> {
        self.flight
            .iter()
            .filter(|segment| !segment.acknowledged)
            .map(|segment| segment.at + patience(rto, segment.attempts))
            .min()
    }

    /// The next segment to send, cut to at most `room` bytes of payload: an overdue one first,
    /// else new bytes. Writes the payload to `out` and returns its offset.
    pub fn segment(
        &mut self,
        room: usize,
        now: Duration,
        rto: Duration,
        out: &mut impl Extend<u8>,
    ) -> Option<u32> {
        if room == 0 {
            return None;
        }
        let index = self.overdue(now, rto).or_else(|| self.cut(room))?;
        self.shorten(index, room);
        let segment = self.flight.get_mut(index)?;
        segment.at = now;
        segment.attempts = segment.attempts.saturating_add(1);
        let start = segment.offset.wrapping_sub(self.base) as usize;
        let end = start + usize::from(segment.length);
        out.extend(self.queue.range(start..end).copied());
        Some(segment.offset)
    }

    /// Takes in an acknowledgement: all below `next`, and the segments that began at `offsets`.
    pub fn acknowledge(&mut self, next: u32, offsets: impl Iterator<Item = u32>) {
        for offset in offsets {
            let known = self.flight.iter_mut().find(|s| s.offset == offset);
            if let Some(segment) = known {
                segment.acknowledged = true;
            }
        }
        let acknowledged = next.wrapping_sub(self.base);
        if acknowledged > self.sent.wrapping_sub(self.base) {
            return;
        }
        for segment in &mut self.flight {
            let end = segment.offset.wrapping_add(u32::from(segment.length));
            if end.wrapping_sub(self.base) <= acknowledged {
                segment.acknowledged = true;
            }
        }
        while let Some(first) = self.flight.front()
            && first.acknowledged
        {
            self.base = self.base.wrapping_add(u32::from(first.length));
            self.queue.drain(..usize::from(first.length));
            self.flight.pop_front();
        }
    }

    fn has_unsent(&self) -> bool {
        let sent = self.sent.wrapping_sub(self.base) as usize;
        sent < self.queue.len() && sent < WINDOW && self.flight.len() < MAX_FLIGHT
    }

    fn overdue(&self, now: Duration, rto: Duration) -> Option<usize> {
        self.flight.iter().position(|segment| {
            !segment.acknowledged && now >= segment.at + patience(rto, segment.attempts)
        })
    }

    fn cut(&mut self, room: usize) -> Option<usize> {
        if !self.has_unsent() {
            return None;
        }
        let sent = self.sent.wrapping_sub(self.base) as usize;
        let length = room.min(self.queue.len() - sent).min(WINDOW - sent);
        self.flight.push_back(Segment {
            offset: self.sent,
            length: length as u16,
            at: Duration::ZERO,
            attempts: 0,
            acknowledged: false,
        });
        self.sent = self.sent.wrapping_add(length as u32);
        Some(self.flight.len() - 1)
    }

    /// A segment first sent in a roomier packet is split, so that its head fits.
    fn shorten(&mut self, index: usize, room: usize) {
        let Some(segment) = self.flight.get_mut(index) else {
            return;
        };
        if usize::from(segment.length) <= room {
            return;
        }
        let mut tail = *segment;
        segment.length = room as u16;
        tail.offset = tail.offset.wrapping_add(room as u32);
        tail.length -= room as u16;
        self.flight.insert(index + 1, tail);
    }
}

#[derive(Debug, Default)]
pub struct Receiver {
    /// Offset of the next byte wanted.
    next: u32,
    /// Bytes in order that do not yet make a whole message.
    ready: VecDeque<u8>,
    /// Segments that came early: (offset, bytes).
    early: Vec<(u32, Vec<u8>)>,
    recent: VecDeque<u32>,
    owed: bool,
}

/// The peer broke the framing; the session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl Receiver {
    /// Takes in one segment. Anything outside the window is dropped and not acknowledged.
    pub fn receive(&mut self, offset: u32, bytes: &[u8]) {
        let ahead = offset.wrapping_sub(self.next) as usize;
        let is_old = ahead > usize::MAX / 2 || ahead as u32 > u32::MAX / 2;
        self.owed = true;
        if is_old {
            self.skip_old(offset, bytes);
            return;
        }
        if ahead + bytes.len() > WINDOW {
            return;
        }
        if ahead == 0 {
            self.append(bytes);
        } else if self.may_keep(offset, bytes.len()) {
            self.early.push((offset, bytes.to_vec()));
        } else {
            return;
        }
        self.recent.push_back(offset);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        self.join_early();
    }

    /// Whether the peer waits for an acknowledgement.
    pub fn owes_acknowledgement(&self) -> bool {
        self.owed
    }

    /// Next offset wanted, and the offsets of the latest segments (at most `most`), newest first.
    pub fn acknowledgement(&mut self, most: usize) -> (u32, impl Iterator<Item = u32>) {
        self.owed = false;
        (self.next, self.recent.iter().rev().take(most).copied())
    }

    /// The next whole message (type, body), if there is one.
    pub fn pop(&mut self) -> Result<Option<(u8, Vec<u8>)>, Broken> {
        let (Some(&low), Some(&high)) = (self.ready.front(), self.ready.get(1)) else {
            return Ok(None);
        };
        let length = usize::from(u16::from_le_bytes([low, high]));
        if length == 0 || length > MAX_MESSAGE {
            return Err(Broken);
        }
        if self.ready.len() < 2 + length {
            return Ok(None);
        }
        let mut message = self.ready.drain(..2 + length).skip(2);
        let kind = message.next().ok_or(Broken)?;
        Ok(Some((kind, message.collect())))
    }

    /// Segments that overlap could be many times the window.
    fn may_keep(&self, offset: u32, length: usize) -> bool {
        let kept: usize = self.early.iter().map(|(_, bytes)| bytes.len()).sum();
        let is_known = self.early.iter().any(|(known, _)| *known == offset);
        !is_known && self.early.len() < MAX_FLIGHT && kept + length <= MAX_QUEUE
    }

    /// A segment that begins before what we have may still end behind it.
    fn skip_old(&mut self, offset: u32, bytes: &[u8]) {
        let known = self.next.wrapping_sub(offset) as usize;
        if let Some(new) = bytes.get(known..)
            && !new.is_empty()
        {
            self.append(new);
            self.join_early();
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        // A message is taken out as soon as it is whole, so that only one can be incomplete here.
        if self.ready.len() + bytes.len() > MAX_QUEUE {
            return;
        }
        self.ready.extend(bytes);
        self.next = self.next.wrapping_add(bytes.len() as u32);
    }

    fn join_early(&mut self) {
        while let Some(at) = self.early.iter().position(|(offset, bytes)| {
            let behind = self.next.wrapping_sub(*offset) as usize;
            behind <= bytes.len()
        }) {
            let (offset, bytes) = self.early.swap_remove(at);
            let known = self.next.wrapping_sub(offset) as usize;
            self.append(&bytes[known..]);
        }
    }
}

/// Time-out of one segment: doubled with each attempt, to at most 2 s (RFC 6298, section 5.5).
fn patience(rto: Duration, attempts: u8) -> Duration {
    let doublings = u32::from(attempts.saturating_sub(1).min(5));
    (rto * 2u32.pow(doublings)).min(Duration::from_secs(2))
}

/// Bytes that may wait to be sent or be put in order.
pub const MAX_QUEUE: usize = 8192;
/// Bytes that may be under way.
const WINDOW: usize = 4096;
/// Segments that may be under way or kept out of order.
const MAX_FLIGHT: usize = 160;
/// Offsets remembered for acknowledgements.
const RECENT: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    const RTO: Duration = Duration::from_millis(100);

    /// Sends `messages` through a channel that drops, repeats and reorders as chance says. It never
    /// repeats itself, or a segment and its repetitions could always meet the same fate.
    fn exchange(messages: &[(u8, Vec<u8>)], seed: u64) -> Vec<(u8, Vec<u8>)> {
        let mut sender = Sender::default();
        let mut receiver = Receiver::default();
        let mut fate = ChaCha8Rng::seed_from_u64(seed);
        let mut got = Vec::new();
        let mut now = Duration::ZERO;
        let mut waiting = messages.iter();
        let mut next = waiting.next();
        let mut held: Option<(u32, Vec<u8>)> = None;
        for _ in 0..20_000 {
            while let Some((kind, body)) = next {
                if sender.push(*kind, body).is_err() {
                    break;
                }
                next = waiting.next();
            }
            now += Duration::from_millis(20);
            let luck = fate.next_u32();
            let room = 20 + (luck % 40) as usize;
            let mut bytes = Vec::new();
            if let Some(offset) = sender.segment(room, now, RTO, &mut bytes) {
                match luck % 5 {
                    0 => {}
                    1 => held = Some((offset, bytes)),
                    2 => {
                        receiver.receive(offset, &bytes);
                        receiver.receive(offset, &bytes);
                    }
                    _ => receiver.receive(offset, &bytes),
                }
            }
            if luck % 7 == 0
                && let Some((offset, bytes)) = held.take()
            {
                receiver.receive(offset, &bytes);
            }
            if luck % 3 != 0 {
                let (next, recent) = receiver.acknowledgement(2);
                sender.acknowledge(next, recent);
            }
            while let Some(message) = receiver.pop().expect("framing holds") {
                got.push(message);
            }
            if got.len() == messages.len() && next.is_none() && sender.is_idle() {
                break;
            }
        }
        got
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn everything_arrives_in_order(
            messages in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..1500)), 1..12),
            seed in any::<u64>(),
        ) {
            prop_assert_eq!(exchange(&messages, seed), messages);
        }

        #[test]
        fn foreign_segments_stay_bounded(
            segments in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..470)), 0..400),
        ) {
            let mut receiver = Receiver::default();
            for (offset, bytes) in segments {
                receiver.receive(offset, &bytes);
                receiver.receive(receiver.next.wrapping_add(offset % 5000), &bytes);
                let kept: usize = receiver.early.iter().map(|(_, bytes)| bytes.len()).sum();
                prop_assert!(receiver.ready.len() <= MAX_QUEUE && kept <= MAX_QUEUE);
            }
        }
    }

    #[test]
    fn acknowledgements_of_what_was_never_sent_change_nothing() {
        let mut sender = Sender::default();
        sender.push(1, &[0; 100]).expect("room");
        sender.acknowledge(5000, [7, 9].into_iter());
        assert!(!sender.is_idle());
        let mut out = Vec::new();
        assert_eq!(sender.segment(200, RTO, RTO, &mut out), Some(0));
        assert_eq!(out.len(), 103);
    }
}
