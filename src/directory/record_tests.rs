//! The record: against another implementation, and against damage.

use proptest::prelude::*;

use super::*;
use crate::directory::{Blob, Content, Pen, Spot, State, open};
use crate::peer::{Identity, Reach, Secret32, Seed};

const PERIOD: u64 = 20_000;
const NOW: u64 = 1_728_000_000;
const SEQUENCE: u64 = NOW * 1000 + 123;
const VALIDITY: u64 = NOW + 1800;

fn identity() -> Identity {
    Identity::from_seed(&Seed::from_bytes([1; 32]))
}

fn reach(byte: u8) -> Reach {
    Reach {
        version: 7,
        secret: Secret32::new([byte; 32]),
    }
}

fn spot() -> Spot {
    Spot::location(identity().id(), &reach(2))
}

fn pen() -> Pen {
    Pen::new(&identity().blinder(), &spot(), PERIOD)
}

fn blob() -> Blob {
    pen().seal(&Content::Slot(reach(8)), &[4; 32])
}

fn sample() -> (Name, Vec<u8>) {
    (pen().name(), pen().sign(&blob(), SEQUENCE, VALIDITY))
}

/// The hash of the whole record, and the two derived secrets, are from another implementation
/// (Python: RFC 8032's code for the points, `cryptography` for Ed25519 and the AEAD).
#[test]
fn known_answer() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let (_, value) = sample();
    assert_eq!(value.len(), RECORD);
    let hash = "3591b034f9cdfbcef41fb308eb1df35980cc08e260ef672e83f1a22b03b15198";
    assert_eq!(hex(&Sha256::digest(&value)), hash);
    let id = identity().id();
    let invite = "0508560969a8889084b26d635c219d4f05f8f0aaf19bc51eef8d0a30c319cc59";
    assert_eq!(hex(Spot::invite(id, &[5; 16]).secret.as_bytes()), invite);
    let slot = "134dedc1342a417abb8a66d12c0caabbcb75b0836c9182e87d3b44fbeba5100d";
    let pairwise = Secret32::new([6; 32]);
    assert_eq!(hex(Spot::slot(id, &pairwise).secret.as_bytes()), slot);
    // 77214 seconds of phase: the period with this number began so long before midnight.
    assert_eq!(spot().period(20_000 * 86_400 - 77_214), 20_000);
    assert_eq!(spot().period(20_000 * 86_400 - 77_215), 19_999);
}

#[test]
fn a_record_is_checked_and_opened() {
    let (name, value) = sample();
    let stamp = check(&name, &value, NOW).expect("a good record");
    assert_eq!((stamp.sequence, stamp.validity), (SEQUENCE, VALIDITY));
    assert_eq!(open(&spot(), PERIOD, &value), Some(Content::Slot(reach(8))));
    assert_eq!(open(&spot(), PERIOD + 1, &value), None);
    let other = Spot::location(identity().id(), &reach(3));
    assert_eq!(open(&other, PERIOD, &value), None);
}

#[test]
fn time_is_checked_to_the_second() {
    let (name, value) = sample();
    let at = |unix| check(&name, &value, unix).map(|_| ());
    assert_eq!(at(VALIDITY - 1), Ok(()));
    assert_eq!(at(VALIDITY), Err(RecordError::Expired));
    assert_eq!(at(u64::MAX), Err(RecordError::Expired));
    assert_eq!(at(VALIDITY - MAX_AHEAD), Ok(()));
    assert_eq!(at(VALIDITY - MAX_AHEAD - 1), Err(RecordError::TooFarAhead));
    assert_eq!(at(0), Err(RecordError::TooFarAhead));
}

#[test]
fn every_bit_counts() {
    let (name, value) = sample();
    for bit in 0..value.len() * 8 {
        let mut bad = value.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(check(&name, &bad, NOW).is_err(), "bit {bit}");
    }
    for bit in 0..256 {
        let mut other = name;
        other.0[bit / 8] ^= 1 << (bit % 8);
        assert!(check(&other, &value, NOW).is_err(), "bit {bit} of the name");
    }
}

#[test]
fn only_one_length_is_read() {
    let (name, value) = sample();
    for length in 0..value.len() {
        assert_eq!(check(&name, &value[..length], NOW), Err(RecordError::Form));
        assert_eq!(renewal(&value[..length]), None);
        assert_eq!(open(&spot(), PERIOD, &value[..length]), None);
    }
    let mut long = value;
    long.push(0);
    assert_eq!(check(&name, &long, NOW), Err(RecordError::Form));
    long.resize(MAX_RECORD + 1, 0);
    assert_eq!(check(&name, &long, NOW), Err(RecordError::TooLong));
}

#[test]
fn weak_names_are_refused() {
    let (_, value) = sample();
    for point in curve25519_dalek::constants::EIGHT_TORSION {
        let name = Name(point.compress().to_bytes());
        assert_eq!(check(&name, &value, NOW), Err(RecordError::BadName));
    }
    assert_eq!(
        check(&Name([0xff; 32]), &value, NOW),
        Err(RecordError::BadName)
    );
}

#[test]
fn a_renewal_makes_the_record_that_the_writer_made() {
    let (name, old) = sample();
    let new = pen().sign(&blob(), SEQUENCE + 1_200_000, VALIDITY + 1200);
    let renewal = renewal(&new).expect("a record");
    let renewal = Renewal::from_bytes(&renewal.to_bytes());
    assert_eq!(renew(&old, &renewal), Some(new.clone()));
    let stamps = [&old, &new].map(|value| check(&name, value, NOW + 10).expect("good"));
    assert!(is_newer(&stamps[1], &stamps[0]));
    assert!(!is_newer(&stamps[0], &stamps[1]));
    assert!(!is_newer(&stamps[0], &stamps[0]));
    assert_eq!(stamps[0].blob, stamps[1].blob);
    // A renewal of another blob makes a record that nobody takes.
    let away = Content::Location {
        state: State::Away,
        devices: Vec::new(),
        offer: None,
    };
    let other = pen().sign(&pen().seal(&away, &[4; 32]), SEQUENCE, VALIDITY);
    let mixed = renew(&other, &renewal).expect("of the right form");
    assert_eq!(check(&name, &mixed, NOW), Err(RecordError::Signature));
}

#[test]
fn all_sequences_and_ends_make_records_of_one_size() {
    for number in [0, 1, 1 << 32, 1 << 35, 1 << 41, 1 << 42, u64::MAX] {
        let value = pen().sign(&blob(), number, number);
        assert_eq!(value.len(), RECORD);
        let fields = Fields::read(&value).expect("its own record");
        let unix = fields.validity - fields.validity.min(1);
        let checked = check(&pen().name(), &value, unix).map(|_| ());
        assert_eq!(checked.is_ok(), number > 0, "{number}");
    }
}

#[test]
fn impossible_renewals_make_nothing() {
    let (_, value) = sample();
    let good = renewal(&value).expect("a record");
    for sequence in [0, 1, (1 << 35) - 1, 1 << 42, u64::MAX] {
        let renewal = Renewal { sequence, ..good };
        assert_eq!(renew(&value, &renewal), None);
    }
    for validity in [LATEST + 1, u64::MAX] {
        let renewal = Renewal { validity, ..good };
        assert_eq!(renew(&value, &renewal), None);
    }
    assert_eq!(renew(&value[1..], &good), None);
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_harm(bytes: Vec<u8>, name: [u8; 32], unix: u64) {
        prop_assert!(check(&Name(name), &bytes, unix).is_err());
        prop_assert_eq!(renewal(&bytes), None);
    }

    #[test]
    fn damage_anywhere_is_refused(
        changes in prop::collection::vec((0..RECORD, any::<u8>()), 1..8), unix: u64,
    ) {
        let (name, good) = sample();
        let mut bad = good.clone();
        for (at, byte) in changes {
            bad[at] = byte;
        }
        prop_assert!(bad == good || check(&name, &bad, NOW).is_err());
        let _ = check(&name, &bad, unix);
        let _ = open(&spot(), PERIOD, &bad);
    }

    #[test]
    fn any_renewal_is_survived(bytes in prop::array::uniform32(any::<u8>()), number: u64, end: u64) {
        let mut raw = [bytes[0]; Renewal::LEN];
        raw[..8].copy_from_slice(&number.to_le_bytes());
        raw[8..16].copy_from_slice(&end.to_le_bytes());
        raw[16..48].copy_from_slice(&bytes);
        let (name, value) = sample();
        if let Some(renewed) = renew(&value, &Renewal::from_bytes(&raw)) {
            prop_assert!(check(&name, &renewed, end.saturating_sub(1)).is_err());
        }
    }
}
