//! The inside of a DATA packet: a voice frame, then items, then zeros.
//!
//! ```text
//! seq u16 | len u8 | opus (len bytes) | { type u8 | len u8 | body }* | zero padding
//! ```
//!
//! Every packet of a phase has one size, whatever is in it: speech, silence, signalling or nothing
//! look alike from outside. The size steps only when the far side reports how the line is. Unknown
//! item types are skipped, so that later versions can add some.

use arrayvec::ArrayVec;

use super::channel::Plain;
use super::types::{Frame, MAX_OPUS, Report, Rung};
use super::wire::rung_of;

/// Which of the two reliable streams an item belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Calls, texts, contacts. Legal from epoch 1 on.
    Signal,
    /// Key encapsulation. Legal always.
    Keys,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Segment {
        lane: Lane,
        offset: u32,
        bytes: &'a [u8],
    },
    /// All below `next` has come, and so have the segments that begin at `offsets` (u32 each).
    Acknowledgement {
        lane: Lane,
        next: u32,
        offsets: &'a [u8],
    },
    /// Wants its stamp back.
    Ping {
        stamp: u32,
    },
    /// A ping's stamp, and the microseconds between its arrival and this packet.
    Pong {
        stamp: u32,
        held: u32,
    },
    PathChallenge([u8; 8]),
    PathResponse([u8; 8]),
    /// The sender, who follows, has had an answer to a challenge of its own on this path.
    PathReady,
    /// The session is over; see [`super::message::Bye`].
    Bye(u8),
    ByeAcknowledged,
    /// The frame that was sent `back` frames before this packet's.
    Copy {
        back: u8,
        opus: &'a [u8],
    },
    Report(Report),
}

/// A decrypted packet, taken apart.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    pub voice: Option<(u16, &'a [u8])>,
    /// By the size of the packet; the usual one for packets of any other size.
    pub rung: Rung,
    rest: &'a [u8],
}

/// `None` when the voice part is longer than a voice frame may be or than the packet is.
pub fn split(plain: &[u8]) -> Option<Contents<'_>> {
    let (head, rest) = plain.split_at_checked(3)?;
    let length = usize::from(head[2]);
    if length > MAX_OPUS {
        return None;
    }
    let (opus, rest) = rest.split_at_checked(length)?;
    let seq = u16::from_le_bytes([head[0], head[1]]);
    let voice = (length > 0).then_some((seq, opus));
    Some(Contents {
        voice,
        rung: rung_of(plain.len()).unwrap_or(Rung::USUAL),
        rest,
    })
}

impl<'a> Contents<'a> {
    /// The items, up to the padding or the first malformed one.
    pub fn items(&self) -> impl Iterator<Item = Item<'a>> {
        let mut rest = self.rest;
        std::iter::from_fn(move || {
            loop {
                let (&[kind, length], tail) = rest.split_first_chunk::<2>()?;
                if kind == PADDING {
                    return None;
                }
                let (body, tail) = tail.split_at_checked(usize::from(length))?;
                rest = tail;
                if let Some(item) = item(kind, body) {
                    return Some(item);
                }
            }
        })
    }
}

/// Puts a packet together.
#[derive(Debug)]
pub struct Builder {
    out: Plain,
    size: usize,
}

impl Builder {
    /// A packet of `size` plaintext bytes with nothing in it but perhaps voice. A copy that does
    /// not fit is left out, and so is a frame.
    pub fn new(size: usize, voice: Option<&Frame>) -> Builder {
        let mut builder = Builder {
            out: ArrayVec::new(),
            size,
        };
        let Some(frame) = voice.filter(|frame| frame.opus.len() + VOICE_HEAD <= size) else {
            builder.put(&[0; VOICE_HEAD]);
            return builder;
        };
        builder.put(&frame.seq.to_le_bytes());
        builder.put(&[frame.opus.len() as u8]);
        builder.put(&frame.opus);
        for copy in &frame.copies {
            builder.add(&Item::Copy {
                back: copy.back,
                opus: &copy.opus,
            });
        }
        builder
    }

    /// Bytes of body that one more item can have.
    pub fn room(&self) -> usize {
        (self.size - self.out.len()).saturating_sub(2).min(255)
    }

    /// Adds an item if it fits.
    pub fn add(&mut self, item: &Item<'_>) -> bool {
        let mut body = ArrayVec::<u8, 255>::new();
        let kind = write(item, &mut body);
        if body.len() > self.room() || self.size - self.out.len() < 2 {
            return false;
        }
        self.put(&[kind, body.len() as u8]);
        self.put(&body);
        true
    }

    /// The whole plaintext, padded.
    pub fn finish(mut self) -> Plain {
        while self.out.len() < self.size {
            self.out.push(0);
        }
        self.out
    }

    fn put(&mut self, bytes: &[u8]) {
        self.out
            .try_extend_from_slice(bytes)
            .expect("checked against the size, which is at most the capacity");
    }
}

fn item(kind: u8, body: &[u8]) -> Option<Item<'_>> {
    let item = match kind {
        SEGMENT_SIGNAL | SEGMENT_KEYS => {
            let (offset, bytes) = body.split_first_chunk()?;
            Item::Segment {
                lane: lane(kind == SEGMENT_SIGNAL),
                offset: u32::from_le_bytes(*offset),
                bytes,
            }
        }
        ACKNOWLEDGE_SIGNAL | ACKNOWLEDGE_KEYS => {
            let (next, offsets) = body.split_first_chunk()?;
            Item::Acknowledgement {
                lane: lane(kind == ACKNOWLEDGE_SIGNAL),
                next: u32::from_le_bytes(*next),
                offsets,
            }
        }
        PING => Item::Ping {
            stamp: u32::from_le_bytes(body.try_into().ok()?),
        },
        PONG => {
            let (stamp, held) = body.split_first_chunk()?;
            Item::Pong {
                stamp: u32::from_le_bytes(*stamp),
                held: u32::from_le_bytes(held.try_into().ok()?),
            }
        }
        PATH_CHALLENGE => Item::PathChallenge(body.try_into().ok()?),
        PATH_RESPONSE => Item::PathResponse(body.try_into().ok()?),
        PATH_READY => Item::PathReady,
        BYE => Item::Bye(*body.first()?),
        BYE_ACKNOWLEDGED => Item::ByeAcknowledged,
        COPY => {
            let (&back, opus) = body.split_first()?;
            if back == 0 || opus.is_empty() || opus.len() > MAX_OPUS {
                return None;
            }
            Item::Copy { back, opus }
        }
        REPORT => {
            let &[loss, recent, burst, queue] = body.first_chunk()?;
            Item::Report(Report {
                loss,
                recent,
                burst,
                queue,
            })
        }
        _ => return None,
    };
    Some(item)
}

fn lane(is_signal: bool) -> Lane {
    if is_signal { Lane::Signal } else { Lane::Keys }
}

fn write(item: &Item<'_>, body: &mut ArrayVec<u8, 255>) -> u8 {
    let mut put = |bytes: &[u8]| {
        let fits = bytes.len().min(body.remaining_capacity());
        body.extend(bytes[..fits].iter().copied());
    };
    match *item {
        Item::Segment {
            lane,
            offset,
            bytes,
        } => {
            put(&offset.to_le_bytes());
            put(bytes);
            match lane {
                Lane::Signal => SEGMENT_SIGNAL,
                Lane::Keys => SEGMENT_KEYS,
            }
        }
        Item::Acknowledgement {
            lane,
            next,
            offsets,
        } => {
            put(&next.to_le_bytes());
            put(offsets);
            match lane {
                Lane::Signal => ACKNOWLEDGE_SIGNAL,
                Lane::Keys => ACKNOWLEDGE_KEYS,
            }
        }
        Item::Ping { stamp } => {
            put(&stamp.to_le_bytes());
            PING
        }
        Item::Pong { stamp, held } => {
            put(&stamp.to_le_bytes());
            put(&held.to_le_bytes());
            PONG
        }
        Item::PathChallenge(nonce) => {
            put(&nonce);
            PATH_CHALLENGE
        }
        Item::PathResponse(nonce) => {
            put(&nonce);
            PATH_RESPONSE
        }
        Item::PathReady => PATH_READY,
        Item::Bye(reason) => {
            put(&[reason]);
            BYE
        }
        Item::ByeAcknowledged => BYE_ACKNOWLEDGED,
        Item::Copy { back, opus } => {
            put(&[back]);
            put(opus);
            COPY
        }
        Item::Report(report) => {
            put(&[report.loss, report.recent, report.burst, report.queue]);
            REPORT
        }
    }
}

/// Number and length of a voice frame.
const VOICE_HEAD: usize = 3;

const PADDING: u8 = 0;
const SEGMENT_SIGNAL: u8 = 1;
const SEGMENT_KEYS: u8 = 2;
const ACKNOWLEDGE_SIGNAL: u8 = 3;
const ACKNOWLEDGE_KEYS: u8 = 4;
const PING: u8 = 5;
const PONG: u8 = 6;
const PATH_CHALLENGE: u8 = 7;
const PATH_RESPONSE: u8 = 8;
const BYE: u8 = 9;
const BYE_ACKNOWLEDGED: u8 = 10;
const PATH_READY: u8 = 11;
const COPY: u8 = 12;
const REPORT: u8 = 13;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::types::{Copied, Rung};
    use super::super::wire::{PLAIN, PLAIN_WIDE, plain_size};
    use super::*;

    #[test]
    fn a_full_voice_packet_still_carries_a_segment_and_an_acknowledgement() {
        let opus = [7; Rung::USUAL.payload()];
        let frame = Frame::new(0xfffe, opus.into_iter().collect());
        let acknowledgement = Item::Acknowledgement {
            lane: Lane::Keys,
            next: 5,
            offsets: &[1, 0, 0, 0],
        };
        let segment = Item::Segment {
            lane: Lane::Signal,
            offset: 9,
            bytes: &[3; 29],
        };
        let mut builder = Builder::new(PLAIN, Some(&frame));
        assert!(builder.add(&acknowledgement));
        assert!(builder.add(&segment));
        assert_eq!(builder.room(), 0);
        let plain = builder.finish();
        let contents = split(&plain).expect("well formed");
        assert_eq!(contents.voice, Some((0xfffe, frame.opus.as_slice())));
        let items: Vec<_> = contents.items().collect();
        assert_eq!(items, [acknowledgement, segment]);
    }

    #[test]
    fn every_rung_has_room_for_its_payload_and_a_little_talk_beside_it() {
        for rung in Rung::all() {
            let opus = |length: usize| (0..length).map(|byte| byte as u8).collect();
            let share = rung.payload() / 4;
            let mut frame = Frame::new(7, opus(rung.payload() - 3 * share));
            frame.rung = rung;
            frame.copies.extend((1..=3).map(|back| Copied {
                back,
                opus: opus(share),
            }));
            let mut builder = Builder::new(plain_size(rung), Some(&frame));
            let report = Item::Report(Report {
                loss: 200,
                recent: 3,
                burst: 4,
                queue: 255,
            });
            assert!(builder.add(&report));
            assert!(builder.room() >= 28, "{} left", builder.room());
            let plain = builder.finish();
            let contents = split(&plain).expect("well formed");
            assert_eq!(contents.rung, rung);
            assert_eq!(contents.voice, Some((7, frame.opus.as_slice())));
            let copies = frame.copies.iter().map(|copy| Item::Copy {
                back: copy.back,
                opus: &copy.opus,
            });
            let expected: Vec<_> = copies.chain([report]).collect();
            assert_eq!(contents.items().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut frame = Frame::new(7, [1; MAX_OPUS].into());
        let plain = Builder::new(plain_size(Rung::numbered(0)), Some(&frame)).finish();
        assert!(plain.iter().all(|byte| *byte == 0));
        frame.opus.truncate(80);
        let opus = [2; MAX_OPUS].into();
        frame.copies.push(Copied { back: 1, opus });
        let plain = Builder::new(PLAIN, Some(&frame)).finish();
        let contents = split(&plain).expect("well formed");
        assert_eq!(contents.voice, Some((7, frame.opus.as_slice())));
        assert_eq!(contents.items().count(), 0);
    }

    #[test]
    fn unknown_items_are_skipped() {
        let mut plain = vec![0, 0, 0, 200, 3, 1, 2, 3, PING, 4, 1, 0, 0, 0];
        plain.resize(PLAIN, 0);
        let contents = split(&plain).expect("well formed");
        assert_eq!(
            contents.items().collect::<Vec<_>>(),
            [Item::Ping { stamp: 1 }]
        );
    }

    proptest! {
        #[test]
        fn any_plaintext_is_taken_apart_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..PLAIN_WIDE)) {
            if let Some(contents) = split(&bytes) {
                prop_assert!(contents.items().count() <= bytes.len());
            }
        }
    }
}
