//! The reflector's table among people who mean ill, on a virtual clock: nobody is sent to who has
//! not asked, nobody's leg is taken, and those who talk do not notice.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use twocan::phone::reflect::{self, Bound, Chal, Packet, TO_ALL, Token};
use twocan::phone::stun;
use twocan::relay::reflector::{Class, Full, Gate, Loss, Opening, Rules, Table, Verdict};

const ROOM: u64 = 0x0123_4567_89ab_cdef;
const NONCE: [u8; 16] = [5; 16];

#[test]
fn nothing_that_comes_from_the_unknown_is_answered_by_more() {
    let mut world = World::new();
    let (anna, eve) = (address("9.9.9.1:1"), address("8.8.8.8:53"));
    world.room(ROOM);
    let proof = world.challenge(ROOM, 0, eve).expect("it holds the token");
    let mut datagrams = vec![
        reflect::bind(ROOM, 0, &NONCE, &token(0)).to_vec(),
        reflect::bind2(ROOM, 0, &NONCE, &proof, &token(0)).to_vec(),
        reflect::chal(&Chal {
            room: ROOM,
            leg: 0,
            proof,
        })
        .to_vec(),
        reflect::relay(ROOM, 1, 0, &[0x10; 153])
            .expect("a RELAY")
            .to_vec(),
        stun::request(&[1; 12]).to_vec(),
        stun::response(&[1; 12], anna).to_vec(),
    ];
    // All of them cut, and lengthened.
    for whole in datagrams.clone() {
        datagrams.extend((0..whole.len()).map(|end| whole[..end].to_vec()));
        datagrams.push([&whole[..], &[0; 40]].concat());
    }
    for length in 20..100 {
        let mut request = vec![0; length];
        request[..20].copy_from_slice(&stun::request(&[1; 12])[..20]);
        request[2..4].copy_from_slice(&(length as u16 - 20).to_be_bytes());
        datagrams.push(request);
    }
    let mut answered = 0;
    for datagram in datagrams {
        world.now += Duration::from_millis(700);
        match world.receive(eve, &datagram) {
            Verdict::Silent => {}
            Verdict::Answer(answer) => {
                assert!(answer.len() <= datagram.len(), "{datagram:02x?}");
                answered += 1;
            }
            Verdict::Forward(_) => panic!("{datagram:02x?}"),
        }
    }
    assert!((3..20).contains(&answered), "{answered}");
}

#[test]
fn only_who_holds_the_token_is_challenged_and_not_at_every_address() {
    let mut world = World::new();
    world.room(ROOM);
    let eve = address("8.8.8.8:4000");
    let wrong = reflect::bind(ROOM, 0, &NONCE, &[9; 16]);
    assert_eq!(world.receive(eve, &wrong), Verdict::Silent);
    // The token of one leg is none for the other.
    let other = reflect::bind(ROOM, 1, &NONCE, &token(0));
    assert_eq!(world.receive(eve, &other), Verdict::Silent);
    let unknown = reflect::bind(ROOM + 1, 0, &NONCE, &token(0));
    assert_eq!(world.receive(eve, &unknown), Verdict::Silent);
    for shut in [
        "127.0.0.1:4000",
        "0.0.0.0:4000",
        "10.0.0.1:4000",
        "192.168.0.1:53",
        "169.254.169.254:80",
        "224.0.0.1:4000",
        "255.255.255.255:9",
        "[::1]:4000",
        "[::ffff:127.0.0.1]:4000",
        "[::ffff:10.0.0.1]:4000",
        "[fe80::1]:4000",
        "[ff02::1]:4000",
        "8.8.8.8:0",
        OWN,
    ] {
        assert_eq!(world.challenge(ROOM, 0, address(shut)), None, "{shut}");
        let asked = world.receive(address(shut), &stun::request(&[1; 12]));
        assert_eq!(asked, Verdict::Silent, "{shut}");
    }
    assert!(world.challenge(ROOM, 0, eve).is_some());
}

#[test]
fn a_leg_cannot_be_stolen_by_what_was_overheard() {
    let mut world = World::new();
    let (anna, bo, eve) = three();
    world.pair(ROOM, anna, bo);
    // Eve has seen every datagram, and sends them from her own address.
    let proof = world.challenge(ROOM, 1, bo).expect("a challenge");
    let overheard = reflect::bind2(ROOM, 1, &NONCE, &proof, &token(1));
    assert_eq!(world.receive(eve, &overheard), Verdict::Silent);
    // Her own challenge helps her nothing without the token.
    let hers = world.challenge(ROOM, 1, eve).expect("BIND can be replayed");
    for proof in [proof, hers] {
        let forged = reflect::bind2(ROOM, 1, &NONCE, &proof, &[0; 16]);
        assert_eq!(world.receive(eve, &forged), Verdict::Silent);
    }
    let voice = relay(0, 1);
    assert_eq!(world.receive(eve, &voice), Verdict::Silent);
    assert_eq!(world.receive(eve, &relay(1, 0)), Verdict::Silent);
    assert_eq!(world.heard_by(anna, &voice), [bo]);
}

#[test]
fn an_old_answer_moves_nobody_back_and_holds_nothing_longer() {
    let mut world = World::new();
    let (anna, bo, moved) = three();
    world.pair(ROOM, anna, bo);
    world.now += Duration::from_secs(1);
    let proof = world.challenge(ROOM, 1, bo).expect("a challenge");
    let old = reflect::bind2(ROOM, 1, &NONCE, &proof, &token(1));
    assert!(matches!(world.receive(bo, &old), Verdict::Answer(_)));
    world.now += Duration::from_millis(5);
    world.bind(ROOM, 1, moved);
    assert_eq!(world.heard_by(anna, &relay(0, 1)), [moved]);
    // Somebody plays the old answer back, under the old address.
    assert_eq!(world.receive(bo, &old), Verdict::Silent);
    assert_eq!(world.heard_by(anna, &relay(0, 1)), [moved]);

    // Nor does the newest hold for longer by being sent again.
    let proof = world.challenge(ROOM, 1, moved).expect("a challenge");
    let newest = reflect::bind2(ROOM, 1, &NONCE, &proof, &token(1));
    for _ in 0..5 {
        assert!(matches!(world.receive(moved, &newest), Verdict::Answer(_)));
        world.now += Duration::from_secs(2);
    }
    world.bind(ROOM, 0, anna);
    world.now += Duration::from_millis(19_900);
    assert_eq!(world.heard_by(anna, &relay(0, 1)), [moved]);
    world.now += Duration::from_millis(200);
    assert_eq!(world.receive(anna, &relay(0, 1)), Verdict::Silent);
    assert_eq!(world.receive(moved, &newest), Verdict::Silent, "too late");
}

/// However well it is held, a room ends, and those in it are told before.
#[test]
fn a_room_ends_after_four_hours_and_says_so_a_quarter_of_an_hour_before() {
    let mut world = World::new();
    let (anna, bo, _) = three();
    world.pair(ROOM, anna, bo);
    let began = world.now;
    let mut told = None;
    while world.now < began + Duration::from_secs(14_390) {
        world.now += Duration::from_secs(10);
        world.table.expire(world.now);
        let [one, other] = [(0, anna), (1, bo)].map(|(leg, at)| world.bind(ROOM, leg, at));
        assert_eq!(one.ending, other.ending);
        if one.ending {
            told.get_or_insert(world.now - began);
        }
    }
    assert_eq!(told, Some(Duration::from_secs(13_500)));
    assert_eq!(world.heard_by(anna, &relay(0, 1)), [bo]);
    world.now += Duration::from_secs(10);
    world.table.expire(world.now);
    assert_eq!(world.receive(anna, &relay(0, 1)), Verdict::Silent);
    assert_eq!(world.challenge(ROOM, 0, anna), None);
}

/// What was given to friends is taken back when somebody is a friend no more. Those who still are
/// have a minute to ask again.
#[test]
fn rooms_of_friends_end_a_minute_after_they_are_taken_back() {
    let mut world = World::new();
    let (anna, bo, _) = three();
    for (room, class) in [(1, Class::Friend), (2, Class::Stranger), (3, Class::Friend)] {
        if room == 3 {
            world.table.retire(Class::Friend, world.now);
        }
        world.open_as(room, class).expect("there is room");
        world.bind(room, 0, anna);
        world.bind(room, 1, bo);
    }
    let taken_back = |room| room == 1;
    for _ in 0..5 {
        world.now += Duration::from_secs(11);
        world.table.expire(world.now);
        for room in 1..=3 {
            assert_eq!(world.bind(room, 0, anna).ending, taken_back(room), "{room}");
        }
    }
    world.now += Duration::from_secs(5);
    world.table.expire(world.now);
    for room in 1..=3 {
        let is_there = world.challenge(room, 0, anna).is_some();
        assert_eq!(is_there, !taken_back(room), "{room}");
    }
}

#[test]
fn who_has_not_answered_for_thirty_seconds_is_sent_nothing() {
    let mut world = World::new();
    let (anna, bo, _) = three();
    world.room(ROOM);
    world.bind(ROOM, 0, anna);
    assert_eq!(world.receive(anna, &relay(0, 1)), Verdict::Silent);
    world.bind(ROOM, 1, bo);
    for _ in 0..3 {
        world.now += Duration::from_secs(12);
        world.bind(ROOM, 0, anna);
    }
    // 36 seconds, and Bo has said nothing.
    for to in [1, TO_ALL] {
        assert_eq!(world.receive(anna, &relay(0, to)), Verdict::Silent);
    }
    assert_eq!(world.receive(bo, &relay(1, 0)), Verdict::Silent);
    assert_eq!(world.table.counts().lost(Loss::Nobody), 3);
}

#[test]
fn reflectors_cannot_be_set_upon_each_other() {
    let (mut one, mut other) = (World::new(), World::new());
    let (here, there) = (address("9.0.0.1:4190"), address("9.0.0.2:4190"));
    one.room(ROOM);
    other.room(ROOM);
    // Under the address of the other, whoever holds tokens of both.
    let bind = reflect::bind(ROOM, 0, &NONCE, &token(0));
    let request = stun::request(&[1; 12]);
    for datagram in [&bind[..], &request] {
        let Verdict::Answer(answer) = one.receive(there, datagram) else {
            panic!("it is a global address");
        };
        assert_eq!(other.receive(here, &answer), Verdict::Silent);
    }
}

#[test]
fn nothing_is_carried_twice_or_back() {
    let mut world = World::new();
    let (anna, bo, _) = three();
    world.pair(ROOM, anna, bo);
    let inner = relay(0, 1);
    let mut chain = vec![0x20, 1];
    chain.extend((inner.len() as u16).to_le_bytes());
    chain.extend(ROOM.to_le_bytes());
    chain.push(0);
    chain.extend(&inner);
    assert_eq!(world.receive(anna, &chain), Verdict::Silent);
    for (from, to) in [(0, 0), (0, 2), (0, 254), (2, 0), (255, 0)] {
        assert_eq!(
            world.receive(anna, &relay(from, to)),
            Verdict::Silent,
            "{from} {to}"
        );
    }
    assert_eq!(world.heard_by(anna, &relay(0, TO_ALL)), [bo]);
}

#[test]
fn a_flood_of_rooms_is_bounded_and_those_who_talk_go_on() {
    let mut world = World::new();
    let (anna, bo, eve) = three();
    world.pair(ROOM, anna, bo);
    let mut full = 0;
    for n in 0..1_000_000_u64 {
        full += u64::from(world.open(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).is_err());
    }
    assert_eq!(full, 1_000_001 - MOST as u64);
    for n in 0..100_000_u64 {
        let bind = reflect::bind(n, 0, &NONCE, &[9; 16]);
        assert_eq!(world.receive(eve, &bind), Verdict::Silent);
    }
    assert_eq!(world.heard_by(anna, &relay(0, 1)), [bo]);
    // Rooms that nobody enters are gone soon; the one that is used stays.
    for _ in 0..4 {
        world.now += Duration::from_secs(10);
        world.bind(ROOM, 0, anna);
        world.bind(ROOM, 1, bo);
        world.table.expire(world.now);
    }
    assert_eq!(world.table.counts().rooms, 1);
    assert_eq!(world.heard_by(anna, &relay(0, 1)), [bo]);
    world.now += Duration::from_secs(61);
    world.table.expire(world.now);
    assert_eq!(world.table.counts().rooms, 0);
}

#[test]
fn who_sends_too_fast_loses_his_own_only() {
    let mut world = World::new();
    let (anna, bo, _) = three();
    world.pair(ROOM, anna, bo);
    let (greedy, friend) = (address("7.7.7.7:1"), address("7.7.7.8:1"));
    world.pair(ROOM + 1, greedy, friend);
    let (mut kept, mut passed) = (0, 0);
    for ms in 0..20_000_u64 {
        world.now += Duration::from_millis(1);
        if ms % 5000 == 0 {
            for (room, leg, from) in [(ROOM, 0, anna), (ROOM, 1, bo)] {
                world.bind(room, leg, from);
            }
            world.bind(ROOM + 1, 0, greedy);
            world.bind(ROOM + 1, 1, friend);
        }
        let flood = reflect::relay(ROOM + 1, 1, 0, &[0x10; 153]).expect("a RELAY");
        passed += u32::from(world.receive(greedy, &flood) != Verdict::Silent);
        if ms % 20 == 0 {
            kept += world.heard_by(anna, &relay(0, 1)).len();
        }
    }
    assert_eq!(kept, 1000, "nothing of the others' is lost");
    // 60 a second, and 100 at once at the beginning.
    assert!((1200..1320).contains(&passed), "{passed}");
}

#[test]
fn who_asks_for_challenges_all_the_time_gets_few() {
    let mut world = World::new();
    world.room(ROOM);
    let anna = address("9.9.9.1:1");
    let asked = (0..10_000).filter(|_| {
        world.now += Duration::from_millis(1);
        world.challenge(ROOM, 0, anna).is_some()
    });
    let asked = asked.count();
    assert!((20..40).contains(&asked), "{asked}");
}

#[test]
fn one_greedy_household_takes_nothing_from_a_single_call() {
    // Twenty rooms at full speed and one call, with a quarter of what they want.
    let mut world = World::capped(1_000_000);
    let (anna, bo, _) = three();
    world.pair(ROOM, anna, bo);
    let ends = |n: u64| {
        let end = |leg: u64| SocketAddr::from(([7, 7, leg as u8, n as u8], 1));
        (end(0), end(1))
    };
    for n in 1..=20 {
        let (near, far) = ends(n);
        world.pair(ROOM + n, near, far);
    }
    let (mut calls, mut lost) = (0, 0);
    let (mut greedy, mut through) = (0, 0);
    for tick in 0..1000_u64 {
        world.now += Duration::from_millis(20);
        for n in 1..=20 {
            let (near, far) = ends(n);
            if tick % 500 == 0 {
                world.bind(ROOM + n, 0, near);
                world.bind(ROOM + n, 1, far);
            }
            for (leg, from) in [(0, near), (1, far)] {
                let big = reflect::relay(ROOM + n, 1 - leg, leg, &[0x10; 220]).expect("a RELAY");
                greedy += 1;
                through += u32::from(world.receive(from, &big) != Verdict::Silent);
            }
        }
        if tick % 500 == 0 {
            world.bind(ROOM, 0, anna);
            world.bind(ROOM, 1, bo);
        }
        // The call comes last in every tick, and asks for less than a share.
        if tick % 4 == 0 {
            calls += 1;
            lost += u32::from(world.receive(anna, &relay(0, 1)) == Verdict::Silent);
        }
    }
    assert!(through * 2 < greedy, "the cap holds: {through} of {greedy}");
    assert!(lost * 100 <= calls, "{lost} of {calls}");
}

proptest! {
    #[test]
    fn no_bytes_break_it_or_are_answered_by_more(
        kind in 0_u8..0x31,
        tail in proptest::collection::vec(any::<u8>(), 0..90),
        right in any::<bool>(),
    ) {
        let mut world = World::new();
        world.pair(ROOM, address("9.9.9.1:1"), address("9.9.9.2:2"));
        let mut bytes = [&[kind][..], &tail].concat();
        if right && bytes.len() >= 12 {
            bytes[1..4].copy_from_slice(&[0; 3]);
            bytes[4..12].copy_from_slice(&ROOM.to_le_bytes());
        }
        match world.receive(address("8.8.8.8:8"), &bytes) {
            Verdict::Silent => {}
            Verdict::Answer(answer) => prop_assert!(answer.len() <= bytes.len()),
            Verdict::Forward(_) => prop_assert!(false, "nobody there is bound"),
        }
    }
}

/// One table and its time.
struct World {
    table: Table,
    now: Duration,
}

impl World {
    fn new() -> World {
        World::with(None)
    }

    fn capped(rate: u64) -> World {
        World::with(Some(rate))
    }

    fn with(rate: Option<u64>) -> World {
        let gate = Gate {
            own: vec![address(OWN)],
            ..Gate::default()
        };
        let rules = Rules {
            gate,
            rooms: MOST,
            rate,
        };
        World {
            table: Table::new(rules, &[7; 32]),
            now: Duration::from_secs(100),
        }
    }

    fn open(&mut self, room: u64) -> Result<(), Full> {
        self.open_as(room, Class::Stranger)
    }

    fn open_as(&mut self, room: u64, class: Class) -> Result<(), Full> {
        let opening = Opening {
            room,
            tokens: [token(0), token(1)].into_iter().collect(),
            class,
            lasts: Duration::from_secs(14_400),
            lease: None,
        };
        self.table.open(opening, self.now)
    }

    fn room(&mut self, room: u64) {
        self.open(room).expect("there is room");
    }

    fn receive(&mut self, from: SocketAddr, bytes: &[u8]) -> Verdict {
        self.table.receive(from, bytes, self.now)
    }

    /// The proof that whoever is at `from` is given.
    fn challenge(&mut self, room: u64, leg: u8, from: SocketAddr) -> Option<[u8; 16]> {
        let bind = reflect::bind(room, leg, &NONCE, &token(leg));
        let Verdict::Answer(answer) = self.receive(from, &bind) else {
            return None;
        };
        match reflect::parse(&answer) {
            Some(Packet::Chal(chal)) => Some(chal.proof),
            other => panic!("{other:?}"),
        }
    }

    fn bind(&mut self, room: u64, leg: u8, from: SocketAddr) -> Bound {
        let proof = self.challenge(room, leg, from).expect("a challenge");
        let answer = reflect::bind2(room, leg, &NONCE, &proof, &token(leg));
        let Verdict::Answer(bound) = self.receive(from, &answer) else {
            panic!("nothing is answered");
        };
        match reflect::parse(&bound) {
            Some(Packet::Bound(bound)) => bound,
            other => panic!("{other:?}"),
        }
    }

    fn pair(&mut self, room: u64, one: SocketAddr, other: SocketAddr) {
        self.room(room);
        self.bind(room, 0, one);
        self.bind(room, 1, other);
    }

    fn heard_by(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<SocketAddr> {
        match self.receive(from, datagram) {
            Verdict::Forward(targets) => targets.to_vec(),
            _ => Vec::new(),
        }
    }
}

fn token(leg: u8) -> Token {
    [leg + 1; 16]
}

fn relay(from: u8, to: u8) -> Vec<u8> {
    let datagram = reflect::relay(ROOM, to, from, &[0x10; 153]);
    datagram.expect("a RELAY").to_vec()
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect(text)
}

fn three() -> (SocketAddr, SocketAddr, SocketAddr) {
    (
        address("9.9.9.1:1"),
        address("9.9.9.2:2"),
        address("9.9.9.3:3"),
    )
}

/// The reflector's own address, and most rooms there.
const OWN: &str = "9.0.0.1:4190";
const MOST: usize = 10_000;
