//! The choice, in virtual time.

use super::*;
use crate::phone::types::Leg;

const MILLI: Duration = Duration::from_millis(1);
const RTT: Duration = Duration::from_millis(40);

fn udp(port: u16) -> Path {
    Path::Udp(([192, 0, 2, 1], port).into())
}

fn reflected() -> Path {
    Path::Reflected(Leg {
        server: ([192, 0, 2, 9], 9).into(),
        room: 1,
        leg: 0,
    })
}

fn over(path: Path, leads: bool) -> Choice {
    Choice::new(path, path.kind(), leads, Duration::ZERO)
}

/// The peer answers and says that it is ready, as long as it is asked.
fn agree(choice: &mut Choice, path: Path, kind: PathKind, rtt: Duration, now: Duration) {
    choice.answered(path, kind, rtt, now);
    choice.ready(path, now);
}

#[test]
fn the_leader_moves_to_what_both_ends_have_proven_and_better_only() {
    let mut choice = over(Path::Circuit(1), true);
    choice.answered(reflected(), PathKind::Reflected, RTT, MILLI);
    assert!(!choice.decide(MILLI), "proven here, not there");
    choice.ready(reflected(), MILLI);
    assert!(choice.decide(MILLI));
    assert_eq!(choice.path(), reflected());
    agree(&mut choice, udp(1), PathKind::Punched, RTT, 2 * MILLI);
    assert!(!choice.decide(3 * MILLI), "a better one may come");
    agree(&mut choice, udp(2), PathKind::Direct, RTT / 9, 50 * MILLI);
    let at = choice.deadline().expect("to decide");
    assert!(at <= 122 * MILLI);
    assert!(choice.decide(122 * MILLI) || choice.decide(170 * MILLI));
    assert_eq!((choice.path(), choice.kind()), (udp(2), PathKind::Direct));
    agree(
        &mut choice,
        reflected(),
        PathKind::Reflected,
        MILLI,
        200 * MILLI,
    );
    assert!(!choice.decide(500 * MILLI), "shorter, but not straight");
}

#[test]
fn who_does_not_lead_follows_the_stream_and_nothing_else() {
    let mut choice = over(reflected(), false);
    agree(&mut choice, udp(1), PathKind::Direct, RTT, MILLI);
    assert!(!choice.decide(SETTLE));
    assert!(choice.is_ready(udp(1), 2 * MILLI));
    assert_eq!(choice.streamed(udp(1), 3 * MILLI), Follow::Moved);
    assert_eq!(choice.path(), udp(1));
    // Where nothing is proven it asks first.
    assert_eq!(choice.streamed(udp(2), 4 * MILLI), Follow::Ask);
    assert_eq!(choice.streamed(udp(2), 103 * MILLI), Follow::Stay);
    assert_eq!(choice.streamed(udp(2), 104 * MILLI), Follow::Ask);
    assert!(choice.answered(udp(2), PathKind::Direct, RTT, 140 * MILLI));
    assert_eq!(choice.path(), udp(2));
}

#[test]
fn a_leader_that_has_chosen_is_not_drawn_back_by_what_was_under_way() {
    let mut choice = over(reflected(), true);
    agree(&mut choice, udp(1), PathKind::Direct, RTT, MILLI);
    assert!(choice.decide(150 * MILLI));
    choice.seen(udp(1), 300 * MILLI);
    assert_eq!(choice.streamed(reflected(), 301 * MILLI), Follow::Stay);
    // Later it asks, and follows only if nothing came over the present path meanwhile.
    let later = SETTLE + 200 * MILLI;
    choice.seen(udp(1), later);
    assert_eq!(choice.streamed(udp(3), later + MILLI), Follow::Ask);
    choice.seen(udp(1), later + 2 * MILLI);
    assert!(!choice.answered(udp(3), PathKind::Direct, RTT, later + 3 * MILLI));
    assert_eq!(choice.streamed(udp(3), later + 200 * MILLI), Follow::Ask);
    assert!(choice.answered(udp(3), PathKind::Direct, RTT, later + 240 * MILLI));
}

#[test]
fn without_voice_all_others_are_asked_and_the_first_to_answer_is_taken() {
    let mut choice = over(udp(1), true);
    choice.expect_voice(Duration::ZERO, Duration::ZERO);
    choice.offer(reflected(), PathKind::Reflected, Duration::ZERO);
    choice.offer(Path::Circuit(1), PathKind::Circuit, Duration::ZERO);
    while choice.due(Duration::ZERO).is_some() {}
    for path in [reflected(), Path::Circuit(1)] {
        agree(&mut choice, path, path.kind(), RTT, MILLI);
    }
    assert!(!choice.search(399 * MILLI));
    assert!(choice.search(400 * MILLI) && !choice.search(420 * MILLI));
    let asked: Vec<Path> = std::iter::from_fn(|| choice.due(400 * MILLI)).collect();
    assert_eq!(asked, [reflected(), Path::Circuit(1)]);
    assert!(choice.answered(Path::Circuit(1), PathKind::Circuit, RTT, 440 * MILLI));
    // Then the better one, by agreement; the one that fell silent has to wait.
    agree(
        &mut choice,
        reflected(),
        PathKind::Reflected,
        RTT,
        450 * MILLI,
    );
    assert!(choice.decide(450 * MILLI));
    let mut back = None;
    for at in (500..6000).step_by(100).map(|at| at * MILLI) {
        choice.seen(choice.path(), at);
        agree(&mut choice, udp(1), PathKind::Direct, RTT, at);
        if choice.decide(at) {
            back.get_or_insert(at);
        }
    }
    assert_eq!((choice.path(), back), (udp(1), Some(4500 * MILLI)));
}

#[test]
fn direct_paths_are_exchanged_for_much_shorter_ones_only_and_rarely() {
    for (other, moves) in [(39, false), (33, false), (20, true)] {
        let mut choice = over(udp(1), true);
        let mut moved = 0;
        for at in (0..30_000).step_by(500) {
            let now = at * MILLI;
            choice.seen(choice.path(), now);
            agree(&mut choice, udp(1), PathKind::Direct, RTT, now);
            agree(&mut choice, udp(2), PathKind::Direct, other * MILLI, now);
            moved += u32::from(choice.decide(now));
        }
        assert_eq!(moved, u32::from(moves), "{other} ms");
    }
}

#[test]
fn a_way_that_will_end_is_left_for_another_as_good_and_not_returned_to() {
    let leg = |room| {
        Path::Reflected(Leg {
            server: ([192, 0, 2, 9], 9).into(),
            room,
            leg: 0,
        })
    };
    let mut choice = over(leg(1), true);
    for (path, rtt) in [(leg(1), RTT), (leg(2), RTT), (leg(3), 2 * RTT)] {
        agree(&mut choice, path, PathKind::Reflected, rtt, MILLI);
    }
    assert!(!choice.decide(2 * MILLI), "they are no better");
    choice.retire(leg(2));
    assert!(!choice.decide(3 * MILLI));
    choice.retire(leg(1));
    assert!(choice.decide(4 * MILLI));
    assert_eq!(choice.path(), leg(3));
    for second in 1..40 {
        let now = second * 1000 * MILLI;
        choice.seen(leg(3), now);
        for path in [leg(1), leg(2)] {
            agree(&mut choice, path, PathKind::Reflected, RTT / 9, now);
        }
        agree(&mut choice, leg(3), PathKind::Reflected, 2 * RTT, now);
        assert!(!choice.decide(now), "what is much shorter ends soon");
    }
    // In need it is better than nothing.
    choice.gone(leg(3), 41 * 1000 * MILLI);
    let at = 41_100 * MILLI;
    assert!(choice.answered(leg(1), PathKind::Reflected, RTT, at));
}

#[test]
fn a_closed_circuit_is_left_at_the_first_answer_and_never_asked() {
    let mut choice = over(Path::Circuit(1), false);
    choice.offer(Path::Circuit(2), PathKind::Circuit, Duration::ZERO);
    while choice.due(Duration::ZERO).is_some() {}
    assert!(!choice.gone(Path::Circuit(3), MILLI));
    assert!(choice.gone(Path::Circuit(1), MILLI));
    let asked: Vec<Path> = std::iter::from_fn(|| choice.due(MILLI)).collect();
    assert_eq!(asked, [Path::Circuit(2)]);
    assert!(choice.answered(Path::Circuit(2), PathKind::Circuit, RTT, 41 * MILLI));
    assert!(!choice.has_other_ways());
}

#[test]
fn the_table_of_ways_is_bounded_and_keeps_the_present_one() {
    let mut choice = over(udp(1), true);
    for port in 2..500 {
        let now = u32::from(port) * MILLI;
        choice.answered(udp(port), PathKind::Punched, RTT, now);
        choice.offer(Path::Circuit(port.into()), PathKind::Circuit, now);
    }
    assert_eq!(choice.paths().count(), MAX_WAYS);
    assert!(choice.paths().any(|path| path == udp(1)));
}
