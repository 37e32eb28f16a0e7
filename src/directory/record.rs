//! The record as those see it who keep it: an IPNS record, versions 1 and 2 in one, to the byte.
//!
//! This is no reader of IPNS records in general. All fields of ours have one length and one order,
//! so a record is a fixed form with six values written in; reading is to take the six from their
//! places, to write the form again and to compare. That leaves nothing to a decoder's leniency (two
//! encodings of one record, unknown fields, lengths that lie), all records have the same size, and
//! it is shorter than calling a protobuf and a CBOR library would be. That others read the form is
//! for their tests and ours with them to show.
//!
//! Sources: the IPNS record specification (specs.ipfs.tech/ipns/ipns-record), DAG-CBOR (keys sorted
//! by length, then by bytes), RFC 8949, RFC 3339.

use ed25519_dalek::{Signature, VerifyingKey};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::directory::Name;
use crate::directory::sealed::BLOB;
use crate::peer::{BlindKey, PeerId};

/// No record is longer. What is longer need not be read, sent or kept.
pub const MAX_RECORD: usize = 2048;

/// Bytes of every record.
pub const RECORD: usize = 1639;

/// How far ahead of the reader's clock a record may end, in seconds: 2 hours. It is valid for half
/// an hour; the rest is for clocks. Without an end, records would be kept for nobody.
pub const MAX_AHEAD: u64 = 2 * 3600;

/// What decides which of two records is the newer one, and whether they say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since 1970 by the writer's clock, and never going back.
    pub sequence: u64,
    /// Until when the record is good, in seconds since 1970.
    pub validity: u64,
    /// SHA-256 of the sealed blob: equal as long as the writer only renews.
    pub blob: [u8; 32],
}

/// Checks what a server has to check before it keeps a record, and a reader before it looks inside:
/// form, size, both signatures by `name`, and that at `unix` (seconds since 1970) it has neither
/// expired nor an end too far away.
///
/// # Errors
/// The first of these that does not hold.
pub fn check(name: &Name, value: &[u8], unix: u64) -> Result<Stamp, RecordError> {
    if value.len() > MAX_RECORD {
        return Err(RecordError::TooLong);
    }
    let fields = Fields::read(value).ok_or(RecordError::Form)?;
    if fields.validity <= unix {
        return Err(RecordError::Expired);
    }
    if fields.validity > unix.saturating_add(MAX_AHEAD) {
        return Err(RecordError::TooFarAhead);
    }
    // The same test as for identities: a canonical point of large prime order.
    PeerId::from_bytes(name.0).map_err(|_| RecordError::BadName)?;
    let key = VerifyingKey::from_bytes(&name.0).map_err(|_| RecordError::BadName)?;
    let verify = |message: &[u8], signature: &[u8; 64]| {
        key.verify_strict(message, &Signature::from_bytes(signature))
            .map_err(|_| RecordError::Signature)
    };
    verify(&fields.message_v2(), &fields.signature_v2)?;
    verify(&fields.message_v1(), &fields.signature_v1)?;
    Ok(fields.stamp())
}

/// True if `new` takes the place of `old`: a higher sequence, or the same one valid for longer.
pub fn is_newer(new: &Stamp, old: &Stamp) -> bool {
    (new.sequence, new.validity) > (old.sequence, old.validity)
}

/// Why a record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    #[error("the record is longer than any may be")]
    TooLong,
    #[error("the record is not of the form that phones write")]
    Form,
    #[error("the record's name is no safe key")]
    BadName,
    #[error("a signature on the record is wrong")]
    Signature,
    #[error("the record has expired")]
    Expired,
    #[error("the record's end is too far away: one of the two clocks is wrong")]
    TooFarAhead,
}

/// All that differs between a record and its renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// As in [`Stamp`].
    pub sequence: u64,
    /// As in [`Stamp`].
    pub validity: u64,
    /// The signature of version 1: over value, validity and type.
    pub signature_v1: [u8; 64],
    /// The signature of version 2: over the whole of the data.
    pub signature_v2: [u8; 64],
}

impl Renewal {
    /// Bytes of a renewal: `sequence 8 | validity 8 | signature_v1 64 | signature_v2 64`, integers
    /// little-endian.
    pub const LEN: usize = 144;

    pub fn to_bytes(&self) -> [u8; Renewal::LEN] {
        let mut bytes = [0; Renewal::LEN];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.validity.to_le_bytes());
        bytes[16..80].copy_from_slice(&self.signature_v1);
        bytes[80..].copy_from_slice(&self.signature_v2);
        bytes
    }

    /// Takes any bytes of the right length; [`renew`] and [`check`] tell whether they are good.
    pub fn from_bytes(bytes: &[u8; Renewal::LEN]) -> Renewal {
        let number = |from: usize| {
            let part = bytes[from..from + 8].try_into();
            u64::from_le_bytes(part.expect("8 bytes"))
        };
        Renewal {
            sequence: number(0),
            validity: number(8),
            signature_v1: bytes[16..80].try_into().expect("64 bytes"),
            signature_v2: bytes[80..].try_into().expect("64 bytes"),
        }
    }
}

/// What has to be sent to one who holds an earlier record with the same blob. Nothing is verified.
pub fn renewal(value: &[u8]) -> Option<Renewal> {
    let fields = Fields::read(value)?;
    Some(Renewal {
        sequence: fields.sequence,
        validity: fields.validity,
        signature_v1: fields.signature_v1,
        signature_v2: fields.signature_v2,
    })
}

/// The record that `renewal` makes of the earlier one `value`. Nothing is verified: [`check`] it.
pub fn renew(value: &[u8], renewal: &Renewal) -> Option<Vec<u8>> {
    let fields = Fields {
        sequence: renewal.sequence,
        validity: renewal.validity,
        signature_v1: renewal.signature_v1,
        signature_v2: renewal.signature_v2,
        ..Fields::read(value)?
    };
    fields.is_writable().then(|| fields.write())
}

/// What of a record is not the same in all of them.
pub(super) struct Fields<'a> {
    sequence: u64,
    validity: u64,
    blob: &'a [u8],
    signature_v1: [u8; 64],
    signature_v2: [u8; 64],
}

impl<'a> Fields<'a> {
    /// Signs a record. `sequence` and `validity` are pressed into what the form can hold.
    pub(super) fn sign(key: &BlindKey, blob: &'a [u8; BLOB], sequence: u64, validity: u64) -> Self {
        let mut fields = Fields {
            sequence: sequence.clamp(SEQUENCE.0, SEQUENCE.1),
            validity: validity.min(LATEST),
            blob,
            signature_v1: [0; 64],
            signature_v2: [0; 64],
        };
        fields.signature_v1 = key.sign(&fields.message_v1());
        fields.signature_v2 = key.sign(&fields.message_v2());
        fields
    }

    pub(super) fn read(value: &'a [u8]) -> Option<Fields<'a>> {
        if value.len() != RECORD {
            return None;
        }
        let sequence = value[SEQUENCE_AT..SEQUENCE_AT + 8].try_into().ok()?;
        let validity = std::str::from_utf8(&value[VALIDITY_AT..VALIDITY_AT + VALIDITY]).ok()?;
        let validity: Timestamp = validity.parse().ok()?;
        let fields = Fields {
            sequence: u64::from_be_bytes(sequence),
            validity: u64::try_from(validity.as_second()).ok()?,
            blob: &value[BLOB_AT..BLOB_AT + BLOB],
            signature_v1: value[SIGNATURE_V1_AT..SIGNATURE_V1_AT + 64]
                .try_into()
                .ok()?,
            signature_v2: value[SIGNATURE_V2_AT..SIGNATURE_V2_AT + 64]
                .try_into()
                .ok()?,
        };
        (fields.is_writable() && fields.write() == value).then_some(fields)
    }

    pub(super) fn blob(&self) -> &'a [u8] {
        self.blob
    }

    pub(super) fn stamp(&self) -> Stamp {
        Stamp {
            sequence: self.sequence,
            validity: self.validity,
            blob: Sha256::digest(self.blob).into(),
        }
    }

    fn is_writable(&self) -> bool {
        (SEQUENCE.0..=SEQUENCE.1).contains(&self.sequence) && self.validity <= LATEST
    }

    /// The record: protobuf, fields in the order of their numbers.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(RECORD);
        field(&mut out, 1, VALUE);
        field(&mut out, 2, &self.signature_v1);
        number(&mut out, 3, 0);
        field(&mut out, 4, self.end().as_bytes());
        number(&mut out, 5, self.sequence);
        number(&mut out, 6, TTL);
        field(&mut out, 8, &self.signature_v2);
        field(&mut out, 9, &self.data());
        out
    }

    /// The signed data of version 2: a DAG-CBOR map of six entries.
    fn data(&self) -> Vec<u8> {
        let mut out = vec![0xa6];
        text(&mut out, "TTL");
        wide(&mut out, TTL);
        text(&mut out, "Value");
        bytes(&mut out, VALUE);
        text(&mut out, "_twocan");
        bytes(&mut out, self.blob);
        text(&mut out, "Sequence");
        wide(&mut out, self.sequence);
        text(&mut out, "Validity");
        bytes(&mut out, self.end().as_bytes());
        text(&mut out, "ValidityType");
        out.push(0);
        out
    }

    fn message_v1(&self) -> Vec<u8> {
        [VALUE, self.end().as_bytes(), b"EOL"].concat()
    }

    fn message_v2(&self) -> Vec<u8> {
        [b"ipns-signature:", &self.data()[..]].concat()
    }

    /// The validity as RFC 3339 with nine digits behind the point, in UTC.
    fn end(&self) -> String {
        let second = i64::try_from(self.validity).unwrap_or(i64::MAX);
        let end = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        format!("{end:.9}")
    }
}

/// A protobuf field of bytes.
fn field(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag << 3 | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// A protobuf field that is a number.
fn number(out: &mut Vec<u8>, tag: u8, value: u64) {
    out.push(tag << 3);
    varint(out, value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A CBOR text of less than 24 bytes.
fn text(out: &mut Vec<u8>, content: &str) {
    out.push(0x60 | content.len() as u8);
    out.extend_from_slice(content.as_bytes());
}

/// CBOR bytes, with the shortest form of their length as DAG-CBOR demands.
fn bytes(out: &mut Vec<u8>, content: &[u8]) {
    match content.len() {
        length @ 0..24 => out.push(0x40 | length as u8),
        length @ 24..256 => out.extend([0x58, length as u8]),
        length => {
            out.push(0x59);
            out.extend((length as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(content);
}

/// A CBOR number of at least 2^32, which takes the longest form.
fn wide(out: &mut Vec<u8>, value: u64) {
    out.push(0x1b);
    out.extend(value.to_be_bytes());
}

/// What the record points to for programs that do not know us: nothing, as an empty inline CID.
const VALUE: &[u8] = b"/ipfs/bafkqaaa";
/// For how long others may answer from a cache, in nanoseconds: a minute.
const TTL: u64 = 60_000_000_000;
/// Lowest and highest sequence whose protobuf form has six bytes: all milliseconds from 1971 to
/// 2109.
const SEQUENCE: (u64, u64) = (1 << 35, (1 << 42) - 1);
/// The last second whose year has four digits: the end of 9998, that no time zone tips over.
const LATEST: u64 = 253_370_764_799;
/// Bytes of a written validity.
const VALIDITY: usize = 30;
/// Where the values stand in a record.
const SIGNATURE_V1_AT: usize = 18;
const VALIDITY_AT: usize = 86;
const SIGNATURE_V2_AT: usize = 132;
const BLOB_AT: usize = 245;
const SEQUENCE_AT: usize = BLOB_AT + BLOB + 10;

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
