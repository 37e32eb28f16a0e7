//! Frames that wait for their turn, by number. Allocates when it is made and never again.

use std::time::Duration;

/// Payloads of the last [`SLOTS`] numbers.
#[derive(Debug)]
pub(super) struct Ring {
    slots: Box<[Slot]>,
    payloads: Box<[u8]>,
    room: usize,
}

/// Where a frame's payload came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The packet that it was sent in.
    Own,
    /// A later packet, that carried a copy.
    Copy,
}

/// A frame that is here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub(super) payload: &'a [u8],
    pub(super) arrived: Duration,
    pub(super) origin: Origin,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    number: u64,
    length: usize,
    arrived: Duration,
    origin: Origin,
    full: bool,
    /// How well it is known from when on this frame can be heard: 0..=1.
    known: f32,
    /// The next packet repairs this frame if it must.
    mended: bool,
}

impl Ring {
    /// Room for payloads of up to `room` bytes.
    pub(super) fn new(room: usize) -> Ring {
        Ring {
            slots: vec![Slot::empty(u64::MAX); SLOTS].into(),
            payloads: vec![0; SLOTS * room].into(),
            room,
        }
    }

    pub(super) fn clear(&mut self) {
        self.slots.fill(Slot::empty(u64::MAX));
    }

    pub(super) fn holds(&self, number: u64) -> bool {
        self.slot(number).is_some_and(|slot| slot.full)
    }

    pub(super) fn get(&self, number: u64) -> Option<Held<'_>> {
        self.payload(number).filter(|_| self.holds(number))
    }

    /// Keeps a payload, which must not be longer than the room.
    pub(super) fn put(&mut self, number: u64, payload: &[u8], origin: Origin, now: Duration) {
        let start = index(number) * self.room;
        let length = payload.len().min(self.room);
        self.payloads[start..start + length].copy_from_slice(&payload[..length]);
        let slot = self.claim(number);
        slot.length = length;
        slot.arrived = now;
        slot.origin = origin;
        slot.full = true;
    }

    /// Takes a frame out; what is known about it stays.
    pub(super) fn take(&mut self, number: u64) -> Option<Held<'_>> {
        if !self.holds(number) {
            return None;
        }
        self.empty(number);
        self.payload(number)
    }

    /// Lets the payload go.
    pub(super) fn empty(&mut self, number: u64) {
        let slot = &mut self.slots[index(number)];
        if slot.number == number {
            slot.full = false;
        }
    }

    /// A frame can be heard from now on, as good (0..=1) as that is. Answers by how much that is
    /// better than what was known.
    pub(super) fn know(&mut self, number: u64, good: f32) -> f32 {
        let slot = self.claim(number);
        let news = (good - slot.known).max(0.0);
        slot.known += news;
        news
    }

    /// The packet after this frame's carries a repair for it.
    pub(super) fn mend(&mut self, number: u64) {
        self.claim(number).mended = true;
    }

    pub(super) fn is_mended(&self, number: u64) -> bool {
        self.slot(number).is_some_and(|slot| slot.mended)
    }

    fn payload(&self, number: u64) -> Option<Held<'_>> {
        let slot = self.slot(number)?;
        let start = index(number) * self.room;
        Some(Held {
            payload: self.payloads.get(start..start + slot.length)?,
            arrived: slot.arrived,
            origin: slot.origin,
        })
    }

    fn slot(&self, number: u64) -> Option<&Slot> {
        let slot = &self.slots[index(number)];
        (slot.number == number).then_some(slot)
    }

    /// The slot of a frame, taken from an older one if need be.
    fn claim(&mut self, number: u64) -> &mut Slot {
        let slot = &mut self.slots[index(number)];
        if slot.number != number {
            *slot = Slot::empty(number);
        }
        slot
    }
}

impl Slot {
    const fn empty(number: u64) -> Slot {
        Slot {
            number,
            length: 0,
            arrived: Duration::ZERO,
            origin: Origin::Own,
            full: false,
            known: 0.0,
            mended: false,
        }
    }
}

fn index(number: u64) -> usize {
    (number % SLOTS as u64) as usize
}

/// Frames that are kept apart, waiting or just gone by: 2.56 s of 20 ms each.
pub(super) const SLOTS: usize = 128;
