//! The searches, in virtual time.

use std::collections::BTreeSet;

use rand_core::SeedableRng;

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn list(of: &[(Kind, u16)]) -> List {
    let candidates = of.iter().map(|&(kind, port)| Candidate {
        kind,
        address: ([203, 0, 113, 5], port).into(),
    });
    candidates.collect()
}

fn nat(kind: NatKind, step: i8) -> Nat {
    Nat { kind, step }
}

const STEADY: Nat = Nat {
    kind: NatKind::Steady,
    step: 0,
};

/// All that is asked, and when, in so many milliseconds.
fn run(checks: &mut Checks, until: u64) -> Vec<(u64, Path)> {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut sent = Vec::new();
    for at in 0..until {
        while let Some(path) = checks.due(ms(at), &mut rng) {
            sent.push((at, path));
        }
    }
    sent
}

fn port(path: Path) -> u16 {
    path.udp().expect("from our own port").port()
}

#[test]
fn candidates_are_asked_one_after_the_other_in_rounds() {
    let mut checks = Checks::new(true);
    let theirs = list(&[(Kind::Host, 1), (Kind::Reflexive, 2)]);
    checks.begin(&theirs, [STEADY; 2], None, ms(10));
    let sent = run(&mut checks, 10_000);
    let first: Vec<_> = sent.iter().map(|(at, path)| (*at, port(*path))).collect();
    assert_eq!(first[..4], [(10, 1), (30, 2), (210, 1), (230, 2)]);
    assert_eq!(sent.len(), 2 * (PAUSES.len() + 1));
    assert!(checks.is_over());
    assert_eq!(checks.wants_birthday(ms(10_000)), None);
}

#[test]
fn a_session_asks_so_often_and_no_more() {
    let mut checks = Checks::new(true);
    let mut sent = 0;
    for round in 0..200 {
        let theirs: Vec<_> = (1..=16).map(|n| (Kind::Host, round * 20 + n)).collect();
        checks.begin(&list(&theirs), [STEADY; 2], None, ms(0));
        sent += run(&mut checks, 5000).len();
    }
    assert_eq!(sent, usize::from(MAX_DATAGRAMS));
    assert_eq!(checks.deadline(), None);
}

/// Both NATs give out the next port for each new destination. Before the sweep each end has
/// taken some ports that the other does not know of.
#[test]
fn two_sweeps_of_different_slope_meet() {
    for (lead_error, other_error) in [(0, 0), (3, 0), (0, 5), (7, 9), (12, 12)] {
        for (lead_step, other_step) in [(1, 1), (2, 1), (1, -1)] {
            let ends = [
                (true, lead_step, other_step),
                (false, other_step, lead_step),
            ];
            let errors = [lead_error, other_error];
            let latest = [40_000, 50_000];
            let mut points = ends.iter().zip(0..).map(|(&(leads, own, peers), n)| {
                let mut checks = Checks::new(leads);
                let theirs = list(&[(Kind::Latest, latest[1 - n])]);
                let nats = [own, peers].map(|step| nat(NatKind::Sequential, step));
                checks.begin(&theirs, nats, None, ms(0));
                let aims: Vec<u16> = run(&mut checks, 130).iter().map(|s| port(s.1)).collect();
                let from = |sent: usize| {
                    let ports = i32::from(own) * (sent as i32 + 1 + errors[n]);
                    (i32::from(latest[n]) + ports) as u16
                };
                (0..)
                    .zip(aims)
                    .map(|(sent, aim)| (from(sent), aim))
                    .collect()
            });
            let lead: BTreeSet<(u16, u16)> = points.next().expect("two ends");
            let other: BTreeSet<(u16, u16)> = points.next().expect("two ends");
            let met = other
                .iter()
                .filter(|(own, aim)| lead.contains(&(*aim, *own)));
            assert_eq!(met.count(), 1, "{lead_error} {other_error} {lead_step}");
        }
    }
}

#[test]
fn the_birthday_search_is_for_one_end_with_random_ports() {
    let theirs = list(&[(Kind::Reflexive, 4000)]);
    let [random, sequential] = [NatKind::Random, NatKind::Sequential].map(|kind| nat(kind, 1));
    let seen = theirs[0].address;
    let cases = [
        (
            [STEADY, random],
            Some(Birthday::Try(seen.ip(), (4000, 4000))),
        ),
        ([random, STEADY], Some(Birthday::Open(seen))),
        ([random, random], None),
        ([STEADY, STEADY], None),
        ([random, sequential], None),
    ];
    for (nats, expected) in cases {
        let mut checks = Checks::new(true);
        checks.begin(&theirs, nats, None, ms(0));
        assert_eq!(checks.wants_birthday(ms(399)), None);
        assert_eq!(checks.wants_birthday(ms(400)), expected, "{nats:?}");
    }
    let mut checks = Checks::new(true);
    let private = Candidate {
        kind: Kind::Reflexive,
        address: ([192, 168, 0, 1], 4000).into(),
    };
    let theirs = [private].into_iter().collect();
    checks.begin(&theirs, [STEADY, random], None, ms(0));
    assert_eq!(checks.wants_birthday(ms(400)), None, "not in a private net");
}

#[test]
fn the_birthday_search_begins_when_plain_checks_could_have_been_answered() {
    let theirs = list(&[(Kind::Reflexive, 4000)]);
    let random = nat(NatKind::Random, 0);
    let [open, trying] = [[random, STEADY], [STEADY, random]];
    let rtt = Some(ms(100));
    for (nats, rtt, expected) in [
        (open, rtt, 120),
        (trying, rtt, 110),
        (open, Some(ms(1000)), 400),
        (trying, Some(ms(1000)), 400),
        (trying, None, 400),
    ] {
        let mut checks = Checks::new(true);
        checks.begin(&theirs, nats, rtt, ms(0));
        assert_eq!(checks.wants_birthday(ms(expected - 1)), None, "{nats:?}");
        assert!(checks.wants_birthday(ms(expected)).is_some(), "{nats:?}");
    }
    let mut checks = Checks::new(true);
    checks.begin(&theirs, trying, rtt, ms(0));
    let named = Path::Udp(theirs[0].address);
    checks.is_asked(named, rtt, ms(50));
    assert_eq!(checks.deadline(), Some(ms(0)), "the plain checks");
    let other = Path::Udp(([203, 0, 113, 5], 5000).into());
    checks.is_asked(other, rtt, ms(50));
    assert_eq!(checks.wants_birthday(ms(149)), None, "it has got through");
    assert!(checks.wants_birthday(ms(150)).is_some());
}

#[test]
fn ports_are_tried_around_those_that_were_seen() {
    for (seen, near) in [
        ([5000, 5800, 5300, 5600], 4200..=6600),
        ([5000, 5001, 5000, 5001], 4936..=5065),
        ([9, 1, 3, 1023], 1024..=2045),
        ([65_000, 65_535, 1, 2], 1024..=65_535),
    ] {
        let list: List = list(&seen.map(|port| (Kind::Reflexive, port)));
        let mut checks = Checks::new(true);
        checks.begin(&list, [STEADY, nat(NatKind::Random, 0)], None, ms(0));
        let birthday = checks.wants_birthday(ms(400)).expect("a search");
        let mut checks = Checks::new(true);
        checks.search(birthday, &(0..0), ms(0));
        let tried: Vec<u16> = run(&mut checks, 3000).iter().map(|s| port(s.1)).collect();
        let is_near = tried.iter().step_by(2).all(|port| near.contains(port));
        assert!(is_near, "{seen:?}");
        let others: BTreeSet<u16> = tried.iter().skip(1).step_by(2).map(|p| p / 4096).collect();
        assert_eq!(others.len(), 16, "all others are tried as well");
    }
}

#[test]
fn a_thousand_a_second_two_thousand_at_most_and_each_side_twice() {
    let to: SocketAddr = ([203, 0, 113, 5], 4000).into();
    let mut checks = Checks::new(true);
    checks.search(Birthday::Try(to.ip(), (4000, 4000)), &(0..0), ms(0));
    let sent = run(&mut checks, 10_000);
    assert_eq!(sent.len(), usize::from(MAX_TRIES));
    assert_eq!(sent[999].0, 999);
    assert!(sent.iter().all(|(_, path)| port(*path) >= 1024));
    let mut checks = Checks::new(true);
    checks.search(Birthday::Open(to), &(7..263), ms(0));
    let sent = run(&mut checks, 10_000);
    assert_eq!(sent.len(), 512);
    let sides: BTreeSet<Path> = sent.iter().map(|(_, path)| *path).collect();
    assert_eq!(sides.len(), 256);
    assert_eq!(sides.first(), Some(&Path::Side(7, to)));
}
