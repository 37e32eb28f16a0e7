//! The messages of `/twocan/dir/1`, to the byte.

use std::collections::BTreeSet;

use super::cursor::{Cursor, finish, start};
use super::{MAX_VALUE, padded};
use crate::directory;

/// What is carried in frames.
pub trait Message: Sized {
    /// Bytes of the longest frame of this kind, its length included.
    const LONGEST: usize;

    /// The whole frame, its length included. What is too long for it is left out.
    fn encode(&self) -> Vec<u8>;

    /// Reads a frame without its length.
    ///
    /// # Errors
    /// When it is not exactly what [`Message::encode`] makes.
    fn parse(frame: &[u8]) -> Result<Self, FrameError>;
}

/// What a phone says to an ultrapeer, and one ultrapeer to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Must come first.
    Hello { version: u16 },
    /// From now on tell me of these names and no others. In a frame they always are a multiple of
    /// [`WATCH_STEP`]: the caller fills up with names that nobody has.
    Watch { names: BTreeSet<[u8; 32]> },
    /// Store this record with all who are to have it.
    Put { name: [u8; 32], value: Vec<u8> },
    /// The record that I put here is good for longer and else as it was.
    Renew {
        name: [u8; 32],
        change: directory::Renewal,
    },
    /// Read this record.
    Get { name: [u8; 32] },
    /// The record up to this sequence stands for nobody that is there any more. Only from whoever
    /// put it.
    Gone { name: [u8; 32], sequence: u64 },
}

/// What an ultrapeer answers, and says by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Comes first; `unix` is the ultrapeer's clock in seconds since 1970.
    Hello {
        version: u16,
        unix: u64,
    },
    /// The record, whole: the answer to a `Get`, and a watched name's news.
    Record {
        name: [u8; 32],
        value: Vec<u8>,
    },
    /// Watched records are good for longer and else as they were.
    Renewed(Vec<Renewal>),
    /// Whoever put the watched record up to this sequence is gone from the ultrapeer.
    Gone {
        name: [u8; 32],
        sequence: u64,
    },
    /// There is no such record within reach.
    Absent {
        name: [u8; 32],
    },
    /// That many nodes besides the ultrapeer took the record.
    Stored {
        name: [u8; 32],
        copies: u16,
    },
    Refused {
        name: [u8; 32],
        why: Refusal,
    },
}

/// What changes in a record that is only made good for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The first bytes of the watched name; the whole name would be a fifth of the traffic of an
    /// idle phone. The signatures say whether it was the right one.
    pub prefix: [u8; 8],
    pub change: directory::Renewal,
}

impl Renewal {
    /// Whether it speaks of that name.
    pub fn of(&self, name: &[u8; 32]) -> bool {
        name.starts_with(&self.prefix)
    }
}

/// Why an ultrapeer did not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The record is none, is forged, or too long.
    Invalid,
    /// It is past its end, or its end is too far away: look at the clock.
    Expired,
    /// A newer one is known.
    Stale,
    /// Too much was asked in too short a time.
    Busy,
    /// The ultrapeer has no room for it.
    Full,
    /// Only whoever put a record may say so.
    NotYours,
    /// There is no record here to renew.
    NotHeld,
    /// Something that this version does not know.
    Other(u8),
}

impl Refusal {
    fn code(self) -> u8 {
        match self {
            Refusal::Invalid => 1,
            Refusal::Expired => 2,
            Refusal::Stale => 3,
            Refusal::Busy => 4,
            Refusal::Full => 5,
            Refusal::NotYours => 6,
            Refusal::NotHeld => 7,
            Refusal::Other(code) => code,
        }
    }

    fn of_code(code: u8) -> Refusal {
        match code {
            1 => Refusal::Invalid,
            2 => Refusal::Expired,
            3 => Refusal::Stale,
            4 => Refusal::Busy,
            5 => Refusal::Full,
            6 => Refusal::NotYours,
            7 => Refusal::NotHeld,
            other => Refusal::Other(other),
        }
    }
}

/// A frame that nobody who keeps to the protocol sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame ends too early")]
    Short,
    #[error("a frame has the unknown kind {0}")]
    Kind(u8),
    #[error("a frame has a field out of its bounds")]
    Bounds,
    #[error("a frame is not padded as it must be")]
    Padding,
}

/// The number of names in a `Watch` frame is a multiple of this.
pub const WATCH_STEP: usize = 64;

/// Names in the longest `Watch` frame.
pub const MAX_WATCHED: usize = 512;

/// Renewals in the longest `Renewed` frame: it stays below a record's.
const MAX_RENEWED: usize = 14;

/// Renewals are the bulk of an idle phone's traffic: padded in smaller steps than the rest.
const RENEWED_STEP: usize = 64;

impl Message for Request {
    const LONGEST: usize = super::MAX_FRAME;

    fn encode(&self) -> Vec<u8> {
        let frame = match self {
            Request::Hello { version } => with(HELLO, &[&version.to_le_bytes()]),
            Request::Watch { names } => {
                let whole = names.len().min(MAX_WATCHED) / WATCH_STEP * WATCH_STEP;
                let mut frame = start(WATCH);
                // At most MAX_WATCHED.
                frame.extend_from_slice(&(whole as u16).to_le_bytes());
                frame.extend(names.iter().take(whole).flatten());
                frame
            }
            Request::Put { name, value } => record(PUT, name, value),
            Request::Renew { name, change } => {
                return finish(with(RENEW, &[name, &change.to_bytes()]), padded_renewals);
            }
            Request::Get { name } => with(GET, &[name]),
            Request::Gone { name, sequence } => with(GONE, &[name, &sequence.to_le_bytes()]),
        };
        finish(frame, padded)
    }

    fn parse(frame: &[u8]) -> Result<Request, FrameError> {
        let mut body = Cursor(frame);
        let request = match body.u8()? {
            HELLO => Request::Hello {
                version: body.u16()?,
            },
            WATCH => Request::Watch {
                names: names(&mut body)?,
            },
            PUT => Request::Put {
                name: body.array()?,
                value: value(&mut body)?,
            },
            RENEW => {
                let request = Request::Renew {
                    name: body.array()?,
                    change: directory::Renewal::from_bytes(&body.array()?),
                };
                body.end(frame.len(), padded_renewals)?;
                return Ok(request);
            }
            GET => Request::Get {
                name: body.array()?,
            },
            GONE => Request::Gone {
                name: body.array()?,
                sequence: body.u64()?,
            },
            kind => return Err(FrameError::Kind(kind)),
        };
        body.end(frame.len(), padded)?;
        Ok(request)
    }
}

impl Message for Reply {
    const LONGEST: usize = super::LARGE;

    fn encode(&self) -> Vec<u8> {
        let frame = match self {
            Reply::Hello { version, unix } => {
                with(HELLO, &[&version.to_le_bytes(), &unix.to_le_bytes()])
            }
            Reply::Record { name, value } => record(RECORD, name, value),
            Reply::Renewed(renewals) => return renewed(renewals),
            Reply::Gone { name, sequence } => with(GONE, &[name, &sequence.to_le_bytes()]),
            Reply::Absent { name } => with(ABSENT, &[name]),
            Reply::Stored { name, copies } => with(STORED, &[name, &copies.to_le_bytes()]),
            Reply::Refused { name, why } => with(REFUSED, &[name, &[why.code()]]),
        };
        finish(frame, padded)
    }

    fn parse(frame: &[u8]) -> Result<Reply, FrameError> {
        let mut body = Cursor(frame);
        let reply = match body.u8()? {
            HELLO => Reply::Hello {
                version: body.u16()?,
                unix: body.u64()?,
            },
            RECORD => Reply::Record {
                name: body.array()?,
                value: value(&mut body)?,
            },
            RENEWED => {
                let renewals = renewals(&mut body)?;
                body.end(frame.len(), padded_renewals)?;
                return Ok(Reply::Renewed(renewals));
            }
            GONE => Reply::Gone {
                name: body.array()?,
                sequence: body.u64()?,
            },
            ABSENT => Reply::Absent {
                name: body.array()?,
            },
            STORED => Reply::Stored {
                name: body.array()?,
                copies: body.u16()?,
            },
            REFUSED => Reply::Refused {
                name: body.array()?,
                why: Refusal::of_code(body.u8()?),
            },
            kind => return Err(FrameError::Kind(kind)),
        };
        body.end(frame.len(), padded)?;
        Ok(reply)
    }
}

impl Reply {
    /// `Renewed` frames for all of them, as many as each can hold.
    pub fn renewed(renewals: &[Renewal]) -> impl Iterator<Item = Reply> {
        renewals
            .chunks(MAX_RENEWED)
            .map(|chunk| Reply::Renewed(chunk.to_vec()))
    }
}

const HELLO: u8 = 1;
const WATCH: u8 = 2;
const PUT: u8 = 3;
const GET: u8 = 4;
const RECORD: u8 = 5;
const RENEWED: u8 = 6;
const GONE: u8 = 7;
const ABSENT: u8 = 8;
const STORED: u8 = 9;
const REFUSED: u8 = 10;
const RENEW: u8 = 11;

fn with(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let mut frame = start(kind);
    for field in fields {
        frame.extend_from_slice(field);
    }
    frame
}

fn record(kind: u8, name: &[u8; 32], value: &[u8]) -> Vec<u8> {
    let value = &value[..value.len().min(MAX_VALUE)];
    // At most MAX_VALUE.
    let len = (value.len() as u16).to_le_bytes();
    with(kind, &[name, &len, value])
}

fn value(body: &mut Cursor) -> Result<Vec<u8>, FrameError> {
    let len = usize::from(body.u16()?);
    if len == 0 || len > MAX_VALUE {
        return Err(FrameError::Bounds);
    }
    body.bytes(len).map(<[u8]>::to_vec)
}

fn names(body: &mut Cursor) -> Result<BTreeSet<[u8; 32]>, FrameError> {
    let count = usize::from(body.u16()?);
    if count > MAX_WATCHED || !count.is_multiple_of(WATCH_STEP) {
        return Err(FrameError::Bounds);
    }
    let (names, _) = body.bytes(count * 32)?.as_chunks();
    // In order and each once, so that the frame says nothing by its order.
    if !names.is_sorted_by(|a, b| a < b) {
        return Err(FrameError::Bounds);
    }
    Ok(names.iter().copied().collect())
}

fn renewed(renewals: &[Renewal]) -> Vec<u8> {
    let renewals = &renewals[..renewals.len().min(MAX_RENEWED)];
    let mut frame = start(RENEWED);
    frame.push(renewals.len() as u8);
    for renewal in renewals {
        frame.extend_from_slice(&renewal.prefix);
        frame.extend_from_slice(&renewal.change.to_bytes());
    }
    finish(frame, padded_renewals)
}

fn renewals(body: &mut Cursor) -> Result<Vec<Renewal>, FrameError> {
    let count = usize::from(body.u8()?);
    if count == 0 || count > MAX_RENEWED {
        return Err(FrameError::Bounds);
    }
    (0..count)
        .map(|_| {
            Ok(Renewal {
                prefix: body.array()?,
                change: directory::Renewal::from_bytes(&body.array()?),
            })
        })
        .collect()
}

fn padded_renewals(used: usize) -> usize {
    used.next_multiple_of(RENEWED_STEP)
}

#[cfg(test)]
mod tests;
