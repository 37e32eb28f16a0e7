//! The one line that makes two phones know each other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bech32::{ByteIterExt, Fe32, Fe32IterExt};

use super::cert::contributes;
use super::invite_line;
use super::locate::Slip;
use crate::peer::{Contact, PeerId};

/// A ticket to become a contact: whoever opens it knows whom to ring, and may.
///
/// The line is `twocan:1:` and, in the characters of bech32, the payload followed by the 15
/// characters of [`super::LongCode`] under the prefix `twocan`. Payload, integers little-endian:
/// `version 1 u8 | shape u8 | I 32 | X_d 32 | token 16 | expires u32 | hints`. Bits 0-2 of the shape
/// count the hints (at most 4), bit 3 makes it public, bits 4-7 are set for the hints that are IPv6. A hint
/// is 4 or 16 bytes of address and a u16 port.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    pub id: PeerId,
    /// `X_d`: Noise static key of the inviter's device.
    pub device: [u8; 32],
    /// Shown by whoever was invited; the right to become a contact.
    pub token: [u8; 16],
    /// Seconds since 1970.
    pub expires: u64,
    /// How many people may still use it. Known to the inviter only; 0 in an invite from elsewhere.
    pub uses: u32,
    /// Who used it. Known to the inviter only.
    pub claimed_by: Vec<PeerId>,
    /// Where the inviter may be reached, at most [`Contact::MAX_HINTS`].
    pub hints: Vec<SocketAddr>,
    /// For strangers: it buys a place in the inviter's list of requests, at the price of some
    /// computing, and nothing more.
    pub public: bool,
}

impl Invite {
    /// The line to hand over; in upper case it is the same invite and makes a smaller QR code.
    pub fn to_line(&self) -> String {
        let symbols = self.to_payload().into_iter().bytes_to_fes();
        invite_line::write(symbols)
    }

    /// Reads a line as people paste it: text before it, white space, line breaks, quotes, angle
    /// brackets and borders of a terminal window within it are ignored, and so is anything after
    /// its end that does not touch it.
    ///
    /// # Errors
    /// Says which character looks wrong. Nothing is corrected. Whether the invite has expired is
    /// for [`Invite::check`], since that takes a clock.
    pub fn parse_line(text: &str) -> Result<Invite, InviteError> {
        let symbols = invite_line::read(text)?;
        let data = &symbols[..symbols.len() - invite_line::CHECKSUM];
        let payload: Vec<u8> = data.iter().copied().fes_to_bytes().collect();
        let spare = data.len() * 5 - payload.len() * 8;
        let padding = data.last().map_or(0, |fe| fe.to_u8() & ((1 << spare) - 1));
        if padding != 0 {
            return Err(InviteError::Damaged);
        }
        Invite::from_payload(&payload)
    }

    /// # Errors
    /// [`InviteError::Expired`] if the invite is no longer good at `unix` (seconds since 1970).
    pub fn check(&self, unix: u64) -> Result<(), InviteError> {
        if unix <= self.expires {
            return Ok(());
        }
        let moment = i64::try_from(self.expires)
            .ok()
            .and_then(|s| jiff::Timestamp::from_second(s).ok());
        Err(InviteError::Expired(moment.unwrap_or(jiff::Timestamp::MAX)))
    }

    fn to_payload(&self) -> Vec<u8> {
        let hints = &self.hints[..self.hints.len().min(Contact::MAX_HINTS)];
        let mut shape = hints.len() as u8 | if self.public { PUBLIC } else { 0 };
        for (at, hint) in hints.iter().enumerate() {
            shape |= u8::from(hint.is_ipv6()) << (4 + at);
        }
        let mut payload = vec![VERSION, shape];
        payload.extend(self.id.as_bytes());
        payload.extend(&self.device);
        payload.extend(&self.token);
        payload.extend(
            u32::try_from(self.expires)
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        for hint in hints {
            match hint.ip() {
                IpAddr::V4(ip) => payload.extend(ip.octets()),
                IpAddr::V6(ip) => payload.extend(ip.octets()),
            }
            payload.extend(hint.port().to_le_bytes());
        }
        payload
    }

    fn from_payload(payload: &[u8]) -> Result<Invite, InviteError> {
        let mut rest = Reader(payload);
        let [version, shape] = rest.take()?;
        if version != VERSION {
            return Err(InviteError::Newer);
        }
        let id = PeerId::from_bytes(rest.take()?).map_err(|_| InviteError::BadKey)?;
        let device = rest.take()?;
        if !contributes(&device) {
            return Err(InviteError::BadKey);
        }
        let token = rest.take()?;
        let expires = u64::from(u32::from_le_bytes(rest.take()?));
        let mut hints = Vec::new();
        for at in 0..usize::from(shape & COUNT) {
            let ip = match shape >> (4 + at) & 1 {
                0 => IpAddr::V4(Ipv4Addr::from(rest.take::<4>()?)),
                _ => IpAddr::V6(Ipv6Addr::from(rest.take::<16>()?)),
            };
            hints.push(SocketAddr::new(ip, u16::from_le_bytes(rest.take()?)));
        }
        Ok(Invite {
            id,
            device,
            token,
            expires,
            uses: 0,
            claimed_by: Vec::new(),
            hints,
            public: shape & PUBLIC != 0,
        })
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite")
            .field("id", &self.id)
            .field("expires", &self.expires)
            .field("uses", &self.uses)
            .field("claimed_by", &self.claimed_by)
            .finish_non_exhaustive()
    }
}

/// Why a text is not an invite that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    #[error("this is not an invite: an invite is one line that starts with \"twocan:1:\"")]
    NotAnInvite,
    #[error("this is an ID, not an invite: ask for a line that starts with \"twocan:1:\"")]
    IsAnId,
    #[error("this invite was made by a newer twocan: update yours")]
    Newer,
    #[error("the invite is damaged: {0}")]
    Slip(#[from] Slip),
    #[error("the line ends early: {0} characters are missing")]
    EndsEarly(usize),
    #[error("the line ends early, soon after its beginning: copy the whole line")]
    EndsAtStart,
    #[error("the line is too long: character {at} and what follows do not belong to it")]
    TooLong { at: usize },
    #[error("the invite is damaged in several places: copy the whole line again")]
    Damaged,
    #[error("the invite holds an unsafe key: no proper program made it")]
    BadKey,
    #[error("this invite expired on {}: ask for a new one", .0.strftime("%Y-%m-%d at %H:%M UTC"))]
    Expired(jiff::Timestamp),
}

/// Length in bytes of the payload whose first bytes are `version` and `shape`; `None` if version 1
/// has no such shape.
fn payload_length(shape: u8) -> Option<usize> {
    let count = shape & COUNT;
    if usize::from(count) > Contact::MAX_HINTS {
        return None;
    }
    if u16::from(shape) >> (4 + count) != 0 {
        return None;
    }
    let v6 = (shape >> 4).count_ones() as usize;
    let v4 = usize::from(count) - v6;
    Some(FIXED + v4 * 6 + v6 * 18)
}

/// Symbols of the whole line after its prefix, by its first four symbols.
pub(super) fn line_length(symbols: &[Fe32]) -> Option<usize> {
    let mut front = symbols.iter().take(4).copied().fes_to_bytes();
    let (version, shape) = (front.next()?, front.next()?);
    if version != VERSION {
        return None;
    }
    Some((payload_length(shape)? * 8).div_ceil(5) + invite_line::CHECKSUM)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], InviteError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(InviteError::Damaged)?;
        self.0 = rest;
        Ok(*head)
    }
}

const VERSION: u8 = 1;
/// Version, shape, I, X_d, token, expires.
const FIXED: usize = 1 + 1 + 32 + 32 + 16 + 4;
const COUNT: u8 = 0b0111;
const PUBLIC: u8 = 0b1000;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::peer::{DeviceKeys, Identity, Seed};

    /// Made by another implementation of the codes, from the fields of [`sample`].
    const KNOWN: &str = "twocan:1:qy3vdy0jxyfumssa020r2wprjdfpslcrzy9ccy8rjnzdc83r36h38q7w35adr\
        n9kx0k8kuxp0q22t3mwe5pfdpg9p56yw3d6qkrsukratyqqzqsrqszsvpcgpy9qkrqdpc8sp5jfd0qqqqs8gz\
        wzqqgdhqqqqqqqqqqqqqqqqqqqwsvuf4yd48dm56h3z7f";

    pub fn sample() -> Invite {
        Invite {
            id: Identity::from_seed(&Seed::from_bytes([1; 32])).id(),
            device: DeviceKeys::from_secrets([2; 32], [3; 32]).x_public(),
            token: std::array::from_fn(|at| at as u8),
            expires: 1_800_000_000,
            uses: 0,
            claimed_by: Vec::new(),
            hints: vec![hint("192.0.2.7:40000"), hint("[2001:db8::7]:40001")],
            public: false,
        }
    }

    fn hint(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn known_answer_and_back() {
        assert_eq!(sample().to_line(), KNOWN);
        assert_eq!(Invite::parse_line(KNOWN), Ok(sample()));
        assert_eq!(Invite::parse_line(&KNOWN.to_uppercase()), Ok(sample()));
    }

    #[test]
    fn every_set_of_hints_comes_back_in_its_order() {
        let (v4, v6) = (hint("198.51.100.1:1"), hint("[2001:db8::1]:65535"));
        for count in 0..=4_u32 {
            for families in 0..1 << count {
                let pick = |at| if families >> at & 1 == 1 { v6 } else { v4 };
                let mut invite = sample();
                invite.hints = (0..count).map(pick).collect();
                invite.public = families % 3 == 1;
                let line = invite.to_line();
                assert_eq!(Invite::parse_line(&line), Ok(invite), "{line}");
            }
        }
        let mut many = sample();
        many.hints = vec![v6; 9];
        let back = Invite::parse_line(&many.to_line()).expect("a line");
        assert_eq!(back.hints, vec![v6; 4]);
        assert_eq!(many.to_line().len(), 277);
    }

    #[test]
    fn expiry_is_an_error_of_its_own() {
        let invite = sample();
        assert_eq!(invite.check(invite.expires), Ok(()));
        let error = invite.check(invite.expires + 1).expect_err("too late");
        let text = "this invite expired on 2027-01-15 at 08:00 UTC: ask for a new one";
        assert_eq!(error.to_string(), text);
        let mut never = sample();
        never.expires = u64::MAX;
        let back = Invite::parse_line(&never.to_line()).expect("a line");
        assert_eq!(back.expires, u64::from(u32::MAX));
    }

    #[test]
    fn unsafe_keys_and_odd_shapes_are_refused() {
        let read = |payload: Vec<u8>| {
            let line = invite_line::write(payload.into_iter().bytes_to_fes());
            Invite::parse_line(&line)
        };
        let good = sample().to_payload();
        assert_eq!(read(good.clone()), Ok(sample()));
        for from in [2, 34] {
            let mut bad = good.clone();
            bad[from..from + 32].fill(0);
            assert_eq!(read(bad), Err(InviteError::BadKey));
        }
        for shape in (0..=255).filter(|&shape| payload_length(shape) != Some(good.len())) {
            let mut bad = good.clone();
            bad[1] = shape;
            assert!(read(bad).is_err(), "shape {shape:08b}");
        }
        let mut newer = good.clone();
        newer[0] = 2;
        assert_eq!(read(newer), Err(InviteError::Newer));
    }

    #[test]
    fn the_token_is_not_printed() {
        let mut invite = sample();
        invite.token = [0xa7; 16];
        let shown = format!("{invite:?} {invite:#?}");
        assert!(!shown.contains("167") && !shown.contains("a7"), "{shown}");
    }
}
