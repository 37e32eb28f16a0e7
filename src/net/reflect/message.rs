//! The messages of `/twocan/reflect/1`, to the byte.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{MAX_MIRRORS, MAX_SERVERS, Work};
use crate::net::proxy::cursor::{Cursor, finish, start};
use crate::net::proxy::{FrameError, Message, padded};

/// What a phone asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub version: u16,
    /// How many legs the room is to have.
    pub legs: u8,
    /// Proves that the asker holds the owner's pass; zeros if he holds none.
    pub pass: [u8; 16],
    /// Solves the [`Work`] that was answered before; 0 the first time.
    pub worked: u64,
}

/// What an ultrapeer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Given {
        room: u64,
        /// How long the room lasts at most, in seconds.
        lasts: u32,
        /// One for each leg.
        tokens: Vec<[u8; 16]>,
        /// Where the room is, by UDP. An unspecified IP is that at which the ultrapeer was reached.
        servers: Vec<SocketAddr>,
        /// All UDP ports of the reflector, which answer STUN; likewise.
        mirrors: Vec<SocketAddr>,
    },
    /// Ask once more, with this done.
    Work(Work),
    Refused(Refusal),
}

/// Why no room is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has as many rooms as it can hold, or as much to carry as its owner gives.
    Full,
    /// It serves only those who hold its owner's pass.
    Friends,
    /// You, or your neighbours, have as many as one may.
    Busy,
    /// It makes no such rooms, or does not know this version.
    Unsupported,
    /// Something that this version does not know.
    Other(u8),
}

const ASK: u8 = 1;
const GIVEN: u8 = 1;
const WORK: u8 = 2;
const REFUSED: u8 = 3;

/// Most legs of a room.
const MAX_LEGS: usize = 16;

impl Message for Ask {
    const LONGEST: usize = 64;

    fn encode(&self) -> Vec<u8> {
        let mut frame = start(ASK);
        frame.extend_from_slice(&self.version.to_le_bytes());
        frame.push(self.legs);
        frame.extend_from_slice(&self.pass);
        frame.extend_from_slice(&self.worked.to_le_bytes());
        finish(frame, padded)
    }

    fn parse(frame: &[u8]) -> Result<Ask, FrameError> {
        let mut body = Cursor(frame);
        match body.u8()? {
            ASK => {}
            kind => return Err(FrameError::Kind(kind)),
        }
        let ask = Ask {
            version: body.u16()?,
            legs: body.u8()?,
            pass: body.array()?,
            worked: body.u64()?,
        };
        body.end(frame.len(), padded)?;
        Ok(ask)
    }
}

impl Message for Answer {
    const LONGEST: usize = 512;

    fn encode(&self) -> Vec<u8> {
        match self {
            Answer::Given {
                room,
                lasts,
                tokens,
                servers,
                mirrors,
            } => {
                let mut frame = start(GIVEN);
                frame.extend_from_slice(&room.to_le_bytes());
                frame.extend_from_slice(&lasts.to_le_bytes());
                let tokens = &tokens[..tokens.len().min(MAX_LEGS)];
                frame.push(tokens.len() as u8);
                frame.extend_from_slice(tokens.as_flattened());
                write(&mut frame, servers, MAX_SERVERS);
                write(&mut frame, mirrors, MAX_MIRRORS);
                finish(frame, padded)
            }
            Answer::Work(work) => {
                let mut frame = start(WORK);
                frame.push(work.bits);
                frame.extend_from_slice(&work.challenge);
                finish(frame, padded)
            }
            Answer::Refused(why) => {
                let mut frame = start(REFUSED);
                frame.push(why.code());
                finish(frame, padded)
            }
        }
    }

    fn parse(frame: &[u8]) -> Result<Answer, FrameError> {
        let mut body = Cursor(frame);
        let answer = match body.u8()? {
            GIVEN => {
                let room = body.u64()?;
                let lasts = u32::from_le_bytes(body.array()?);
                let legs = usize::from(body.u8()?);
                if !(2..=MAX_LEGS).contains(&legs) {
                    return Err(FrameError::Bounds);
                }
                let tokens = (0..legs).map(|_| body.array());
                Answer::Given {
                    room,
                    lasts,
                    tokens: tokens.collect::<Result<_, _>>()?,
                    servers: read(&mut body, MAX_SERVERS)?,
                    mirrors: read(&mut body, MAX_MIRRORS)?,
                }
            }
            WORK => Answer::Work(Work {
                bits: body.u8()?,
                challenge: body.array()?,
            }),
            REFUSED => Answer::Refused(Refusal::of_code(body.u8()?)),
            kind => return Err(FrameError::Kind(kind)),
        };
        body.end(frame.len(), padded)?;
        Ok(answer)
    }
}

impl Refusal {
    fn code(self) -> u8 {
        match self {
            Refusal::Full => 1,
            Refusal::Friends => 2,
            Refusal::Busy => 3,
            Refusal::Unsupported => 4,
            Refusal::Other(code) => code,
        }
    }

    fn of_code(code: u8) -> Refusal {
        match code {
            1 => Refusal::Full,
            2 => Refusal::Friends,
            3 => Refusal::Busy,
            4 => Refusal::Unsupported,
            other => Refusal::Other(other),
        }
    }
}

fn write(frame: &mut Vec<u8>, addresses: &[SocketAddr], most: usize) {
    let addresses = &addresses[..addresses.len().min(most)];
    frame.push(addresses.len() as u8);
    for address in addresses {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        frame.extend_from_slice(&ip.octets());
        frame.extend_from_slice(&address.port().to_le_bytes());
    }
}

fn read(body: &mut Cursor<'_>, most: usize) -> Result<Vec<SocketAddr>, FrameError> {
    let count = usize::from(body.u8()?);
    if count > most {
        return Err(FrameError::Bounds);
    }
    let address = |_| {
        let ip = IpAddr::V6(Ipv6Addr::from(body.array::<16>()?));
        Ok(SocketAddr::new(ip.to_canonical(), body.u16()?))
    };
    (0..count).map(address).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn given(legs: usize, servers: usize, mirrors: usize) -> Answer {
        let addresses = |count: usize| {
            let address = |n| {
                format!("[2001:db8::{n}]:41{n}")
                    .parse()
                    .expect("an address")
            };
            (0..count).map(address).collect()
        };
        Answer::Given {
            room: 0x0102_0304_0506_0708,
            lasts: 14_400,
            tokens: vec![[9; 16]; legs],
            servers: addresses(servers),
            mirrors: addresses(mirrors),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let ask = Ask {
            version: 1,
            legs: 2,
            pass: [3; 16],
            worked: 77,
        };
        assert_eq!(ask.encode().len(), Ask::LONGEST);
        assert_eq!(Ask::parse(&ask.encode()[2..]), Ok(ask));
        let answers = [
            given(2, 1, 2),
            given(16, MAX_SERVERS, MAX_MIRRORS),
            Answer::Work(Work {
                challenge: [5; 16],
                bits: 20,
            }),
            Answer::Refused(Refusal::Full),
            Answer::Refused(Refusal::Friends),
            Answer::Refused(Refusal::Busy),
            Answer::Refused(Refusal::Unsupported),
            Answer::Refused(Refusal::Other(99)),
        ];
        for answer in answers {
            assert!(answer.encode().len() <= Answer::LONGEST);
            assert_eq!(Answer::parse(&answer.encode()[2..]), Ok(answer));
        }
    }

    #[test]
    fn addresses_of_ipv4_stay_such() {
        let text = ["0.0.0.0:4190", "192.0.2.7:1"];
        let servers = text.map(|text| text.parse().expect(text)).to_vec();
        let sent = Answer::Given {
            room: 1,
            lasts: 1,
            tokens: vec![[0; 16]; 2],
            servers,
            mirrors: Vec::new(),
        };
        assert_eq!(Answer::parse(&sent.encode()[2..]), Ok(sent));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(
            kind in 0_u8..5,
            tail in proptest::collection::vec(any::<u8>(), 0..520),
        ) {
            let bytes = [&[kind][..], &tail].concat();
            let _ = (Ask::parse(&bytes), Answer::parse(&bytes));
            let mut frame = bytes.clone();
            frame.resize(padded(bytes.len() + 2) - 2, 0);
            let _ = (Ask::parse(&frame), Answer::parse(&frame));
        }
    }
}
