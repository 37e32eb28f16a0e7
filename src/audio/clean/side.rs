//! One of two streams of sound that are compared block by block though they come in pieces of any
//! length and not at the same time.

/// Sound of one side that waits for that of the other.
#[derive(Debug)]
pub(super) struct Side {
    has_begun: bool,
    /// Of the pre-emphasis.
    last: f32,
    /// The block before what waits.
    past: [f32; BLOCK],
    held: Vec<f32>,
    /// The least that waited of late.
    least: usize,
}

impl Side {
    pub(super) fn new() -> Side {
        Side {
            has_begun: false,
            last: 0.0,
            past: [0.0; BLOCK],
            held: Vec::with_capacity(MOST + 2 * BLOCK),
            least: usize::MAX,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    pub(super) fn has_block(&self) -> bool {
        self.held.len() >= BLOCK
    }

    /// True if the other side stands still.
    pub(super) fn is_full(&self) -> bool {
        self.held.len() > MOST
    }

    pub(super) fn restart(&mut self) {
        self.has_begun = false;
        self.held.clear();
        self.least = usize::MAX;
    }

    pub(super) fn push(&mut self, sound: &[f32]) {
        self.has_begun = true;
        for sample in sound {
            self.held.push(sample - self.last * EMPHASIS);
            self.last = *sample;
        }
    }

    /// The next block behind the one before it; there must be one.
    pub(super) fn take(&mut self) -> Pair {
        let mut pair = [0.0; 2 * BLOCK];
        pair[..BLOCK].copy_from_slice(&self.past);
        pair[BLOCK..].copy_from_slice(&self.held[..BLOCK]);
        self.past.copy_from_slice(&self.held[..BLOCK]);
        self.held.drain(..BLOCK);
        pair
    }

    /// Leaves out the oldest but for this many samples.
    pub(super) fn keep(&mut self, most: usize) {
        let surplus = self.held.len().saturating_sub(most);
        self.held.drain(..surplus);
    }

    /// Takes note of how much waits now.
    pub(super) fn note(&mut self) {
        self.least = self.least.min(self.held.len());
    }

    /// Leaves out what has waited all the time; true if that was much.
    pub(super) fn catch_up(&mut self) -> bool {
        let least = std::mem::replace(&mut self.least, usize::MAX);
        let is_late = least > LATE && least <= self.held.len();
        if is_late {
            self.held.drain(..least);
        }
        is_late
    }
}

/// Samples at 16 kHz: 32 ms.
pub(super) const BLOCK: usize = 512;

pub(super) type Pair = [f32; 2 * BLOCK];

/// Samples that may wait for the other side: half a second; and so many for long.
const MOST: usize = 8192;
const LATE: usize = 1024;

/// Pre-emphasis, so that the strong low bins do not leak into the others.
const EMPHASIS: f32 = 0.95;
