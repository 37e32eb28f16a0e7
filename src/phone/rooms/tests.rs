//! The rooms, in virtual time.

use rand_core::SeedableRng;

use super::*;
use crate::phone::wire;

const ROOM: u64 = 77;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn server(port: u16) -> SocketAddr {
    ([198, 18, 0, 1], port).into()
}

fn peer() -> PeerId {
    let seed = crate::peer::Seed::from_bytes([1; 32]);
    crate::peer::Identity::from_seed(&seed).id()
}

fn room(servers: &[SocketAddr]) -> Room {
    Room {
        servers: servers.iter().copied().collect(),
        room: ROOM,
        tokens: [[1; 16], [2; 16]],
    }
}

fn place() -> Place {
    Place {
        hosts: vec![([192, 168, 1, 2], 4000).into()],
        ..Place::default()
    }
}

/// Everything that is sent up to then: when, where to, and which kind.
fn run(rooms: &mut Rooms, until: u64) -> Vec<(u64, SocketAddr, u8)> {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut sent = Vec::new();
    for at in 0..until {
        while let Some((to, datagram)) = rooms.due(ms(at), &mut rng) {
            sent.push((at, to, datagram[0]));
        }
        while rooms.change(ms(at)).is_some() {}
    }
    sent
}

#[test]
fn a_room_is_asked_for_once_and_told_once() {
    let (mut rooms, peer) = (Rooms::default(), peer());
    assert!(
        rooms
            .want(peer, ms(0))
            .is_some_and(|missing| missing.rooms == 2)
    );
    assert_eq!(rooms.want(peer, ms(1)), None);
    rooms.add_own(peer, &room(&[server(9)]), &place(), ms(2));
    let later = ms(3) + BETWEEN_ROOMS;
    assert_eq!(rooms.want(peer, later), None, "one is there");
    let told = rooms.untold(&peer).expect("to be told");
    assert_eq!((told.room, told.token), (ROOM, [2; 16]));
    assert_eq!(rooms.untold(&peer), None);
    rooms.tell_again(&peer);
    assert!(rooms.untold(&peer).is_some(), "a new session knows nothing");
    rooms.drop(&peer);
    assert_eq!(rooms.deadline(), None);
}

#[test]
fn a_silent_address_is_exchanged_for_the_next_and_a_silent_reflector_given_up() {
    let (mut rooms, peer) = (Rooms::default(), peer());
    let servers = [server(1), server(2)];
    rooms.add_own(peer, &room(&servers), &place(), ms(0));
    let sent = run(&mut rooms, 30_000);
    let first = sent.iter().filter(|(_, to, _)| *to == servers[0]);
    let last = first.map(|(at, ..)| *at).max();
    assert!(last < Some(NEXT_SERVER.as_millis() as u64 + 1000));
    assert!(sent.iter().any(|(_, to, _)| *to == servers[1]));
    assert!(sent.len() < 20, "{}", sent.len());
    assert_eq!(rooms.deadline(), None);
    let wanted = rooms.want(peer, ms(30_000));
    assert!(wanted.is_some(), "there is none any more");
}

#[test]
fn a_peer_tells_of_few_rooms_and_of_none_at_home() {
    let (mut rooms, peer) = (Rooms::default(), peer());
    let told = |room, server| Told {
        room,
        token: [2; 16],
        servers: vec![server],
    };
    rooms.add_told(peer, &told(0, ([127, 0, 0, 1], 9).into()), &place(), ms(0));
    assert_eq!(rooms.deadline(), None);
    for number in 1..100 {
        rooms.add_told(peer, &told(number, server(9)), &place(), ms(0));
    }
    let sent = run(&mut rooms, 1).len();
    assert_eq!(sent, MAX_LEGS);
    assert_eq!(rooms.untold(&peer), None, "the peer knows its own rooms");
}

#[test]
fn what_is_framed_for_one_leg_is_taken_at_the_other_once_bound() {
    let (mut rooms, peer) = (Rooms::default(), peer());
    rooms.add_own(peer, &room(&[server(9)]), &place(), ms(0));
    let other = Leg {
        server: server(9),
        room: ROOM,
        leg: 1,
    };
    let inner = wire::hello(7, &[1; wire::NOISE1]);
    let (to, relay) = framed(other, &inner).expect("may be carried");
    assert_eq!(to, Path::Udp(server(9)));
    assert!(rooms.take(server(9), &relay, ms(0)).is_none(), "not bound");
    run(&mut rooms, 1);
    let (room, leg) = (ROOM, 0);
    let proof = [3; 16];
    let chal = reflect::chal(&reflect::Chal { room, leg, proof });
    assert!(
        rooms.take(server(8), &chal, ms(1)).is_none(),
        "from elsewhere"
    );
    assert!(matches!(
        rooms.take(server(9), &chal, ms(1)),
        Some(Taken::Control(Some(_)))
    ));
    let (met, ending, seen) = (true, false, server(4));
    let bound = reflect::bound(&reflect::Bound {
        room,
        leg,
        met,
        ending,
        seen,
    });
    assert!(matches!(
        rooms.take(server(9), &bound, ms(2)),
        Some(Taken::Control(None))
    ));
    let leg = Leg { leg: 0, ..other };
    assert_eq!(rooms.change(ms(2)), Some(Change::Bound(peer, leg)));
    assert_eq!(rooms.bound(&peer, ms(2)).as_slice(), [leg]);
    let taken = rooms.take(server(9), &relay, ms(3));
    assert_eq!(taken, Some(Taken::Carried(leg, &inner[..])));
    assert!(rooms.take(server(8), &relay, ms(3)).is_none());
    assert_eq!(rooms.change(ms(40_000)), Some(Change::Lost(peer, leg)));
}
