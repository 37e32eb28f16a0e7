//! How much one port has carried and lost: numbers only, never for whom.

/// Numbers of one port since it was opened, and of now where that is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams that came in, of any kind.
    pub received: u64,
    /// Datagrams that were sent on, and their bytes.
    pub packets: u64,
    pub bytes: u64,
    /// Challenges, bindings and mirrored addresses that were sent back.
    pub answered: u64,
    /// Rooms now, and those of them in which two are bound.
    pub rooms: u64,
    pub talking: u64,
    /// Datagrams that went nowhere, by [`Loss`].
    pub lost: [u64; LOSSES],
}

/// Why a datagram went nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Loss {
    /// Nothing that a reflector is told.
    Foreign,
    /// There is no such room or leg.
    Unknown,
    /// Not by who holds the leg.
    Stranger,
    /// The challenge was answered too late, or from elsewhere.
    Stale,
    /// Nothing is sent to such an address.
    Address,
    /// No other leg is bound.
    Nobody,
    /// More than a leg or a room may send.
    Rate,
    /// More than the owner gives.
    Cap,
}

/// How many kinds of [`Loss`] there are.
pub const LOSSES: usize = Loss::Cap as usize + 1;

impl Counts {
    pub fn lose(&mut self, loss: Loss) {
        self.lost[loss as usize] += 1;
    }

    pub fn lost(&self, loss: Loss) -> u64 {
        self.lost[loss as usize]
    }

    /// Both together.
    pub fn plus(mut self, other: Counts) -> Counts {
        self.received += other.received;
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.answered += other.answered;
        self.rooms += other.rooms;
        self.talking += other.talking;
        for (lost, more) in self.lost.iter_mut().zip(other.lost) {
            *lost += more;
        }
        self
    }

    pub fn forwarded(&mut self, copies: usize, length: usize) {
        self.packets += copies as u64;
        self.bytes += (copies * length) as u64;
    }
}
