//! The sealed channel: AEAD framing, epochs and replay protection.
//!
//! At most three epochs are alive: the one we send on, the one before (received for 5 s more, for
//! packets under way) and, at the responder of a rekey, the next one, until the initiator's first
//! packet on it shows that both ends have it.

use std::time::Duration;

use arrayvec::ArrayVec;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{Nonce, Tag};

use super::keys::{ChainKey, EpochKeys, Role};
use super::replay::ReplayWindow;
use super::types::Datagram;
use super::wire::{Data, DataHeader, PLAIN_WIDE, TAG};

/// A decrypted DATA packet.
pub type Plain = ArrayVec<u8, PLAIN_WIDE>;

pub struct Channel {
    role: Role,
    chain: ChainKey,
    current: Epoch,
    previous: Option<(Epoch, Duration)>,
    next: Option<(Epoch, ChainKey)>,
}

/// What an authentic packet tells beside its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Number of the epoch it was sealed in; signalling is legal from 1 on.
    pub epoch: u64,
    /// Counts the packets of the epoch in the order in which they were sent.
    pub counter: u32,
    /// This packet moved us to a new epoch: there is a new index in, and the keys are confirmed.
    pub switched: bool,
}

struct Epoch {
    number: u64,
    keys: EpochKeys,
    window: ReplayWindow,
    counter: u32,
    began: Duration,
}

impl Channel {
    /// The channel right after the handshake, in epoch 0, whose indices are those of the handshake.
    pub fn new(
        role: Role,
        chain: ChainKey,
        index_in: u32,
        index_out: u32,
        now: Duration,
    ) -> Channel {
        let mut keys = chain.epoch(role);
        keys.index_in = index_in;
        keys.index_out = index_out;
        Channel {
            role,
            current: Epoch::new(0, keys, now),
            chain,
            previous: None,
            next: None,
        }
    }

    /// Number of the epoch we send on.
    pub fn epoch(&self) -> u64 {
        self.current.number
    }

    #[cfg(test)]
    pub fn chain(&self) -> &ChainKey {
        &self.chain
    }

    /// All indices that packets to us may carry now.
    pub fn indices_in(&self) -> impl Iterator<Item = u32> {
        let previous = self.previous.iter().map(|(epoch, _)| epoch.keys.index_in);
        let next = self.next.iter().map(|(epoch, _)| epoch.keys.index_in);
        std::iter::once(self.current.keys.index_in)
            .chain(previous)
            .chain(next)
    }

    /// Seals `plain` into a DATA packet. `None` when this epoch's counters are used up, which the
    /// limit on an epoch's age makes impossible at any rate a line can carry.
    pub fn seal(&mut self, plain: &[u8]) -> Option<Datagram> {
        let epoch = &mut self.current;
        let header = DataHeader {
            epoch: (epoch.number & 3) as u8,
            index: epoch.keys.index_out,
            counter: epoch.counter,
        }
        .to_bytes();
        let mut out = Datagram::new();
        out.try_extend_from_slice(&header).ok()?;
        out.try_extend_from_slice(plain).ok()?;
        let tag = epoch
            .keys
            .send
            .encrypt_inout_detached(
                &nonce(epoch.counter),
                &header,
                (&mut out[header.len()..]).into(),
            )
            .ok()?;
        out.try_extend_from_slice(&tag).ok()?;
        epoch.counter = epoch.counter.checked_add(1)?;
        Some(out)
    }

    /// Opens an authentic, new packet into `plain`. `None` for everything else, whatever the reason.
    pub fn open(&mut self, data: &Data<'_>, plain: &mut Plain, now: Duration) -> Option<Opened> {
        let (index, counter) = (data.header.index, data.header.counter);
        if self.current.keys.index_in == index {
            self.current.open(data, plain)?;
            return Some(Opened {
                epoch: self.current.number,
                counter,
                switched: false,
            });
        }
        if let Some((previous, _)) = &mut self.previous
            && previous.keys.index_in == index
        {
            previous.open(data, plain)?;
            return Some(Opened {
                epoch: previous.number,
                counter,
                switched: false,
            });
        }
        let (next, _) = self.next.as_mut()?;
        if next.keys.index_in != index {
            return None;
        }
        next.open(data, plain)?;
        let (mut next, chain) = self.next.take()?;
        next.began = now;
        self.switch(next, chain, now);
        Some(Opened {
            epoch: self.current.number,
            counter,
            switched: true,
        })
    }

    /// The initiator of an X-Wing exchange has the secret: send on the new epoch from now on.
    pub fn advance(&mut self, shared: &[u8; 32], ek: &[u8], ct: &[u8], now: Duration) {
        let chain = self.chain.next(shared, ek, ct);
        let epoch = Epoch::new(self.current.number + 1, chain.epoch(self.role), now);
        self.switch(epoch, chain, now);
    }

    /// The responder of an X-Wing exchange has the secret: receive on the new epoch, and send on it
    /// once the peer has done so.
    pub fn prepare(&mut self, shared: &[u8; 32], ek: &[u8], ct: &[u8], now: Duration) {
        let chain = self.chain.next(shared, ek, ct);
        let epoch = Epoch::new(self.current.number + 1, chain.epoch(self.role), now);
        self.next = Some((epoch, chain));
    }

    /// When keys have to be forgotten next.
    pub fn deadline(&self) -> Option<Duration> {
        self.previous.as_ref().map(|&(_, until)| until)
    }

    /// Forgets the previous epoch when its time is over. True if an index went with it.
    pub fn expire(&mut self, now: Duration) -> bool {
        self.previous.take_if(|(_, until)| now >= *until).is_some()
    }

    fn switch(&mut self, epoch: Epoch, chain: ChainKey, now: Duration) {
        let old = std::mem::replace(&mut self.current, epoch);
        self.previous = Some((old, now + KEEP_PREVIOUS));
        self.chain = chain;
        self.next = None;
    }
}

impl Epoch {
    fn new(number: u64, keys: EpochKeys, began: Duration) -> Epoch {
        Epoch {
            number,
            keys,
            window: ReplayWindow::new(),
            counter: 0,
            began,
        }
    }

    /// Verifies, decrypts, commits.
    fn open(&mut self, data: &Data<'_>, plain: &mut Plain) -> Option<()> {
        let counter = data.header.counter;
        let right_epoch = u64::from(data.header.epoch) == self.number & 3;
        if !right_epoch || !self.window.is_fresh(counter) {
            return None;
        }
        let (ciphertext, tag) = data.sealed.split_at_checked(data.sealed.len() - TAG)?;
        plain.clear();
        plain.try_extend_from_slice(ciphertext).ok()?;
        self.keys
            .receive
            .decrypt_inout_detached(
                &nonce(counter),
                data.associated,
                plain.as_mut_slice().into(),
                &Tag::try_from(tag).ok()?,
            )
            .ok()?;
        self.window.commit(counter);
        Some(())
    }
}

/// 4 zero bytes, then the counter as u64, as in the Noise specification (section 12.3).
fn nonce(counter: u32) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[4..8].copy_from_slice(&counter.to_le_bytes());
    nonce
}

/// How long packets of the epoch before are still received.
const KEEP_PREVIOUS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::super::wire::{PLAIN, Packet, parse};
    use super::*;

    const T0: Duration = Duration::ZERO;

    fn pair() -> (Channel, Channel) {
        let chain = || ChainKey::first(&[1; 32], &[2; 32], &[3; 32]);
        (
            Channel::new(Role::Initiator, chain(), 10, 20, T0),
            Channel::new(Role::Responder, chain(), 20, 10, T0),
        )
    }

    fn open(channel: &mut Channel, bytes: &[u8], now: Duration) -> Option<Opened> {
        let Some(Packet::Data(data)) = parse(bytes) else {
            panic!("not DATA");
        };
        channel.open(&data, &mut Plain::new(), now)
    }

    #[test]
    fn a_packet_opens_once_and_untouched_only() {
        let (mut a, mut b) = pair();
        let packet = a.seal(&[7; PLAIN]).expect("seal");
        for at in 0..packet.len() {
            let mut forged = packet.clone();
            forged[at] ^= 1;
            if let Some(Packet::Data(data)) = parse(&forged) {
                assert_eq!(b.open(&data, &mut Plain::new(), T0), None, "byte {at}");
            }
        }
        assert!(open(&mut b, &packet, T0).is_some());
        assert_eq!(open(&mut b, &packet, T0), None);
    }

    #[test]
    fn the_responder_follows_the_initiator_to_the_next_epoch() {
        let (mut a, mut b) = pair();
        let late = a.seal(&[1; PLAIN]).expect("seal");
        b.prepare(&[9; 32], b"ek", b"ct", T0);
        let early = b.seal(&[2; PLAIN]).expect("seal");
        a.advance(&[9; 32], b"ek", b"ct", T0);
        assert_eq!(open(&mut a, &early, T0).map(|o| o.epoch), Some(0));
        let first = a.seal(&[3; PLAIN]).expect("seal");
        let opened = open(&mut b, &first, T0).expect("open");
        assert_eq!((opened.epoch, opened.switched), (1, true));
        assert_eq!(b.epoch(), 1);
        assert_eq!(open(&mut b, &late, T0).map(|o| o.epoch), Some(0));
        b.expire(KEEP_PREVIOUS);
        let too_late = b.indices_in().count();
        assert_eq!(too_late, 1);
    }
}
