//! Every message there and back, and bytes that nobody of ours sends.

use proptest::prelude::*;

use super::*;
use crate::net::proxy::{LARGE, MAX_FRAME, SIZES};

fn renewal(byte: u8) -> Renewal {
    Renewal {
        prefix: [byte; 8],
        change: directory::Renewal {
            sequence: 1 << 40,
            validity: u64::MAX,
            signature_v1: [byte; 64],
            signature_v2: [!byte; 64],
        },
    }
}

fn watched(count: u16) -> BTreeSet<[u8; 32]> {
    (0..count)
        .map(|n| {
            let mut name = [7; 32];
            name[..2].copy_from_slice(&n.to_be_bytes());
            name
        })
        .collect()
}

fn renew() -> Request {
    Request::Renew {
        name: [9; 32],
        change: renewal(1).change,
    }
}

fn requests() -> Vec<Request> {
    let name = [9; 32];
    let put = |len| Request::Put {
        name,
        value: vec![3; len],
    };
    let watch = |count| Request::Watch {
        names: watched(count),
    };
    vec![
        Request::Hello { version: 1 },
        watch(0),
        watch(64),
        watch(512),
        put(1),
        put(900),
        put(MAX_VALUE),
        renew(),
        Request::Get { name },
        Request::Gone { name, sequence: 5 },
    ]
}

fn replies() -> Vec<Reply> {
    let name = [9; 32];
    let mut all = vec![
        Reply::Hello {
            version: 1,
            unix: 1_800_000_000,
        },
        Reply::Record {
            name,
            value: vec![0; MAX_VALUE],
        },
        Reply::Renewed(vec![renewal(1)]),
        Reply::Renewed(vec![renewal(2); MAX_RENEWED]),
        Reply::Gone { name, sequence: 5 },
        Reply::Absent { name },
        Reply::Stored { name, copies: 20 },
    ];
    all.extend((0..=255).map(|code| Reply::Refused {
        name,
        why: Refusal::of_code(code),
    }));
    all
}

fn there_and_back<M: Message + PartialEq + std::fmt::Debug>(message: &M) -> Vec<u8> {
    let frame = message.encode();
    let len = usize::from(u16::from_le_bytes([frame[0], frame[1]]));
    assert_eq!(len + 2, frame.len(), "{message:?}");
    assert!(frame.len() <= M::LONGEST, "{message:?}: {}", frame.len());
    assert_eq!(M::parse(&frame[2..]).as_ref(), Ok(message));
    frame
}

#[test]
fn every_message_survives_the_way() {
    requests().iter().for_each(|message| {
        there_and_back(message);
    });
    replies().iter().for_each(|message| {
        there_and_back(message);
    });
}

#[test]
fn frames_have_few_sizes() {
    assert_eq!(renew().encode().len(), 192);
    for message in requests().into_iter().filter(|other| *other != renew()) {
        let len = message.encode().len();
        assert!(SIZES.contains(&len) || len.is_multiple_of(LARGE), "{len}");
    }
    let name = [0; 32];
    let size = |len| {
        let value = vec![1; len];
        Reply::Record { name, value }.encode().len()
    };
    assert_eq!((size(987), size(988)), (1024, 1728));
    assert_eq!((size(1639), size(MAX_VALUE)), (1728, LARGE));
    assert_eq!(Reply::Absent { name }.encode().len(), 64);
    let gone = Reply::Gone { name, sequence: 1 }.encode();
    assert_eq!(gone.len(), 64);
}

#[test]
fn what_is_out_of_bounds_never_leaves() {
    let long = Request::Put {
        name: [0; 32],
        value: vec![1; 100_000],
    };
    assert!(long.encode().len() <= MAX_FRAME);
    let many = Request::Watch {
        names: watched(1000),
    };
    let Ok(Request::Watch { names }) = Request::parse(&many.encode()[2..]) else {
        panic!("a watch");
    };
    assert_eq!(names.len(), MAX_WATCHED);
    let split: Vec<Reply> = Reply::renewed(&[renewal(1); 40]).collect();
    assert_eq!(split.len(), 3);
    split.iter().for_each(|reply| {
        there_and_back(reply);
    });
}

#[test]
fn a_frame_cut_anywhere_is_refused() {
    for message in requests() {
        let frame = message.encode();
        for end in 2..frame.len() {
            assert!(Request::parse(&frame[2..end]).is_err(), "{message:?} {end}");
        }
    }
    for message in replies() {
        let frame = message.encode();
        for end in 2..frame.len() {
            assert!(Reply::parse(&frame[2..end]).is_err(), "{message:?} {end}");
        }
    }
}

#[test]
fn padding_carries_nothing() {
    let mut frame = Request::Get { name: [1; 32] }.encode();
    let last = frame.len() - 1;
    frame[last] = 1;
    assert_eq!(Request::parse(&frame[2..]), Err(FrameError::Padding));
    frame[last] = 0;
    frame.resize(256, 0);
    assert_eq!(Request::parse(&frame[2..]), Err(FrameError::Padding));
}

#[test]
fn names_are_whole_steps_in_order() {
    let watch = Request::Watch {
        names: watched(128),
    }
    .encode();
    let mut odd = watch.clone();
    odd[3] = 127;
    assert_eq!(Request::parse(&odd[2..]), Err(FrameError::Bounds));
    let mut twice = watch.clone();
    twice.copy_within(5..37, 37);
    assert_eq!(Request::parse(&twice[2..]), Err(FrameError::Bounds));
    let mut more = watch;
    more[3..5].copy_from_slice(&u16::MAX.to_le_bytes());
    assert_eq!(Request::parse(&more[2..]), Err(FrameError::Bounds));
}

#[test]
fn a_phone_of_fifty_contacts_stays_far_below_thirty_kilobytes_an_hour() {
    // Each is renewed three times an hour; news of two minutes travel together.
    let flushes = 30;
    let each = [renewal(1); 5];
    let bytes: usize = Reply::renewed(&each)
        .map(|reply| reply.encode().len())
        .sum();
    assert_eq!(flushes * each.len(), 150);
    assert!(bytes * flushes < 26_000, "{}", bytes * flushes);
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        if let Ok(request) = Request::parse(&bytes) {
            prop_assert_eq!(&request.encode()[2..], &bytes[..]);
        }
        if let Ok(reply) = Reply::parse(&bytes) {
            prop_assert_eq!(&reply.encode()[2..], &bytes[..]);
        }
    }

    #[test]
    fn a_flipped_byte_makes_another_message_or_an_error(which in 0usize..9, at in 2usize..2000, bit in 0u8..8) {
        let request = &requests()[which];
        let mut frame = request.encode();
        let at = 2 + at % (frame.len() - 2);
        frame[at] ^= 1 << bit;
        if let Ok(other) = Request::parse(&frame[2..]) {
            prop_assert_ne!(&other, request);
            prop_assert_eq!(other.encode(), frame);
        }
    }
}
