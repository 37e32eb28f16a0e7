//! What two phones say to each other on the signalling stream, and why a session ends.

use std::net::SocketAddr;

use super::candidates::Candidates;
use super::fields::*;
use super::types::MAX_SERVERS;
use crate::peer::{Reach, SafeText, Secret32};

/// A message of the signalling stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// "I opened your invite": who we are to be called, half of the pairwise dial secret, where we
    /// are found. By a public invite also what it costs.
    ContactRequest(Card, Option<Work>),
    /// "You are in my contacts now", with the other half.
    ContactOk(Card),
    /// A call begins. `id` names it at both ends; `commit` binds the caller's part of the words.
    Invite { id: [u8; 16], commit: [u8; 32] },
    /// The called phone rings.
    Ringing { id: [u8; 16] },
    /// The called person answered; `nonce` is their part of the words.
    Answer { id: [u8; 16], nonce: [u8; 32] },
    /// The caller's part of the words, which `commit` has bound.
    Confirm { nonce: [u8; 32] },
    /// The sender put the call on hold, or took it back.
    Hold { on: bool },
    /// One line of text.
    Text { id: u32, text: SafeText },
    /// That line is on the far phone.
    TextOk { id: u32 },
    /// Where the sender is found from now on, and what it calls itself.
    About {
        name: SafeText,
        hints: Vec<SocketAddr>,
    },
    /// Under which the sender is found in the directory from now on.
    Reach(Reach),
    /// That version of it has come.
    ReachOk { version: u32 },
    /// Where the sender may be reached just now, and what its NAT does.
    Candidates(Box<Candidates>),
    /// A room at a reflector, and the token of the receiver's leg.
    Room(Told),
    /// The sender records the call from now on, or no longer.
    Recording { on: bool },
}

/// What the end that made a room tells the other end of it, whose leg is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub room: u64,
    pub token: [u8; 16],
    pub servers: Vec<SocketAddr>,
}

/// The solution of a [`super::pow::Puzzle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    pub day: u32,
    pub nonce: u64,
}

/// What one side gives the other when they become contacts.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    pub name: SafeText,
    /// Random half of the pairwise dial secret.
    pub half: [u8; 32],
    pub hints: Vec<SocketAddr>,
}

/// Why a session ends, as told to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Bye {
    /// Nothing more to say.
    Done = 0,
    HungUp = 1,
    Declined = 2,
    Busy = 3,
    Cancelled = 4,
    /// The ring time is over.
    NoAnswer = 5,
    WordsDiffer = 6,
    KeysTooOld = 7,
    ShutDown = 8,
    /// What came could not be understood or was not allowed.
    Protocol = 9,
}

/// Most addresses that are told or remembered.
pub const MAX_HINTS: usize = 4;

/// Longest text line, in bytes of UTF-8.
pub const MAX_TEXT: usize = 1900;

impl Message {
    /// Type and body.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let mut body = Vec::new();
        let kind = match self {
            Message::ContactRequest(card, work) => {
                put_card(&mut body, card);
                if let Some(work) = work {
                    body.extend(work.day.to_le_bytes());
                    body.extend(work.nonce.to_le_bytes());
                }
                CONTACT_REQUEST
            }
            Message::ContactOk(card) => {
                put_card(&mut body, card);
                CONTACT_OK
            }
            Message::Invite { id, commit } => {
                body.extend(id);
                body.extend(commit);
                INVITE
            }
            Message::Ringing { id } => {
                body.extend(id);
                RINGING
            }
            Message::Answer { id, nonce } => {
                body.extend(id);
                body.extend(nonce);
                ANSWER
            }
            Message::Confirm { nonce } => {
                body.extend(nonce);
                CONFIRM
            }
            Message::Hold { on } => {
                body.push(u8::from(*on));
                HOLD
            }
            Message::Text { id, text } => {
                body.extend(id.to_le_bytes());
                body.extend(clip(text, MAX_TEXT).as_bytes());
                TEXT
            }
            Message::TextOk { id } => {
                body.extend(id.to_le_bytes());
                TEXT_OK
            }
            Message::About { name, hints } => {
                put_name(&mut body, name);
                put_hints(&mut body, hints);
                ABOUT
            }
            Message::Reach(reach) => {
                body.extend(reach.version.to_le_bytes());
                body.extend(reach.secret.as_bytes());
                REACH
            }
            Message::ReachOk { version } => {
                body.extend(version.to_le_bytes());
                REACH_OK
            }
            Message::Candidates(candidates) => {
                put_candidates(&mut body, candidates);
                CANDIDATES
            }
            Message::Room(told) => {
                body.extend(told.room.to_le_bytes());
                body.extend(told.token);
                put_hints(&mut body, &told.servers);
                ROOM
            }
            Message::Recording { on } => {
                body.push(u8::from(*on));
                RECORDING
            }
        };
        (kind, body)
    }

    /// The message, or `None` if this version does not know it or it is malformed. Text is
    /// sanitised here, once.
    pub fn decode(kind: u8, body: &[u8]) -> Option<Message> {
        let mut rest = body;
        let message = match kind {
            CONTACT_REQUEST => Message::ContactRequest(card(&mut rest)?, work(&mut rest)),
            CONTACT_OK => Message::ContactOk(card(&mut rest)?),
            INVITE => Message::Invite {
                id: take(&mut rest)?,
                commit: take(&mut rest)?,
            },
            RINGING => Message::Ringing {
                id: take(&mut rest)?,
            },
            ANSWER => Message::Answer {
                id: take(&mut rest)?,
                nonce: take(&mut rest)?,
            },
            CONFIRM => Message::Confirm {
                nonce: take(&mut rest)?,
            },
            HOLD => Message::Hold {
                on: take::<1>(&mut rest)? != [0],
            },
            TEXT => Message::Text {
                id: u32::from_le_bytes(take(&mut rest)?),
                text: SafeText::line(&String::from_utf8_lossy(
                    rest.get(..MAX_TEXT).unwrap_or(rest),
                )),
            },
            TEXT_OK => Message::TextOk {
                id: u32::from_le_bytes(take(&mut rest)?),
            },
            ABOUT => Message::About {
                name: name(&mut rest)?,
                hints: hints(&mut rest)?,
            },
            REACH => Message::Reach(Reach {
                version: u32::from_le_bytes(take(&mut rest)?),
                secret: Secret32::new(take(&mut rest)?),
            }),
            REACH_OK => Message::ReachOk {
                version: u32::from_le_bytes(take(&mut rest)?),
            },
            CANDIDATES => Message::Candidates(Box::new(candidates(&mut rest)?)),
            ROOM => Message::Room(Told {
                room: u64::from_le_bytes(take(&mut rest)?),
                token: take(&mut rest)?,
                servers: hints(&mut rest)?,
            }),
            RECORDING => Message::Recording {
                on: take::<1>(&mut rest)? != [0],
            },
            _ => return None,
        };
        Some(message)
    }
}

impl Bye {
    /// A reason that a later version may have added counts as [`Bye::Done`].
    pub fn from_byte(byte: u8) -> Bye {
        match byte {
            1 => Bye::HungUp,
            2 => Bye::Declined,
            3 => Bye::Busy,
            4 => Bye::Cancelled,
            5 => Bye::NoAnswer,
            6 => Bye::WordsDiffer,
            7 => Bye::KeysTooOld,
            8 => Bye::ShutDown,
            9 => Bye::Protocol,
            _ => Bye::Done,
        }
    }
}

const CONTACT_REQUEST: u8 = 1;
const CONTACT_OK: u8 = 2;
const INVITE: u8 = 3;
const RINGING: u8 = 4;
const ANSWER: u8 = 5;
const CONFIRM: u8 = 6;
const HOLD: u8 = 7;
const TEXT: u8 = 8;
const TEXT_OK: u8 = 9;
const ABOUT: u8 = 10;
const REACH: u8 = 11;
const REACH_OK: u8 = 12;
const CANDIDATES: u8 = 13;
const ROOM: u8 = 14;
const RECORDING: u8 = 15;

// Servers of a room are told as hints are.
const _: () = assert!(MAX_SERVERS == MAX_HINTS);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::candidates::{Candidate, Kind, Nat};
    use super::*;
    use crate::api::NatKind;

    #[test]
    fn every_message_survives_the_wire() {
        let card = Card {
            name: SafeText::name("Chloé"),
            half: [7; 32],
            hints: vec![
                "192.0.2.1:4000".parse().expect("address"),
                "[2001:db8::1]:5".parse().expect("address"),
            ],
        };
        let messages = [
            Message::ContactRequest(card.clone(), None),
            Message::ContactRequest(
                card.clone(),
                Some(Work {
                    day: 20_000,
                    nonce: u64::MAX - 1,
                }),
            ),
            Message::Reach(Reach {
                version: 3,
                secret: Secret32::new([8; 32]),
            }),
            Message::ReachOk { version: 3 },
            Message::ContactOk(card.clone()),
            Message::Invite {
                id: [1; 16],
                commit: [2; 32],
            },
            Message::Ringing { id: [1; 16] },
            Message::Answer {
                id: [1; 16],
                nonce: [3; 32],
            },
            Message::Confirm { nonce: [4; 32] },
            Message::Hold { on: true },
            Message::Recording { on: true },
            Message::Recording { on: false },
            Message::Text {
                id: 9,
                text: SafeText::line("hello"),
            },
            Message::TextOk { id: 9 },
            Message::Room(Told {
                room: u64::MAX - 3,
                token: [9; 16],
                servers: card.hints.clone(),
            }),
            Message::Candidates(Box::new(Candidates {
                nat: Nat {
                    kind: NatKind::Sequential,
                    step: -2,
                },
                list: [Kind::Host, Kind::Mapped, Kind::Reflexive, Kind::Latest]
                    .into_iter()
                    .zip(card.hints.iter().cycle())
                    .map(|(kind, &address)| Candidate { kind, address })
                    .collect(),
            })),
            Message::About {
                name: card.name,
                hints: card.hints,
            },
        ];
        for message in messages {
            let (kind, body) = message.encode();
            assert_eq!(Message::decode(kind, &body), Some(message));
        }
    }

    proptest! {
        #[test]
        fn any_body_is_decoded_without_panic(kind: u8, body in prop::collection::vec(any::<u8>(), 0..2048)) {
            let _ = Message::decode(kind, &body);
        }
    }
}
