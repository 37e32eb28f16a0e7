//! The reflector of a real ultrapeer over the loopback: rooms are given, bound and used.

#![expect(clippy::disallowed_methods, reason = "a real reflector has real time")]

#[expect(dead_code, reason = "records are put in other tests")]
#[path = "relay/author.rs"]
mod author;
#[expect(dead_code, reason = "the directory is asked in other tests")]
#[path = "relay/phone.rs"]
mod phone;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use libp2p::identity::Keypair;
use phone::Phone;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use twocan::config::Network;
use twocan::net::reflect::{AskError, Given, Pass, Refusal};
use twocan::peer::Redacted;
use twocan::phone::binding::Binding;
use twocan::phone::types::Leg;
use twocan::phone::{reflect, stun};
use twocan::relay::{Limits, Options, Reflection, Relay, Serve};

#[tokio::test(flavor = "multi_thread")]
async fn two_who_bind_hear_each_other() {
    let relay = start(Reflection::default(), Limits::default()).await;
    let mut phone = Phone::at(&relay).await;
    let given = phone.room(&[]).await.expect("a room");
    assert!(given.mirrors.len() >= 2, "{given:?}");
    assert!(given.mirrors.contains(&given.room.servers[0]), "{given:?}");

    let (one, other) = (End::bound(&given, 0), End::bound(&given, 1));
    assert!(!one.binding.has_met() && other.binding.has_met());
    assert_eq!(one.binding.seen(), one.socket.local_addr().ok());
    for length in [64, 153, 1187] {
        one.say(1, &vec![0x10; length]);
        assert_eq!(other.hear(), Some(vec![0x10; length]));
        other.say(reflect::TO_ALL, &vec![0x11; length]);
        assert_eq!(one.hear(), Some(vec![0x11; length]));
    }
    let mut status = relay.status();
    let counted = status.wait_for(|status| status.reflector.packets == 6);
    let status = tokio::time::timeout(PATIENCE, counted).await;
    let status = *status.expect("it is counted").expect("it runs");
    assert_eq!((status.reflector.rooms, status.reflector.talking), (1, 1));
    assert_eq!(status.reflector.given, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_port_says_from_where_it_is_asked() {
    let relay = start(Reflection::default(), Limits::default()).await;
    let given = Phone::at(&relay).await.room(&[]).await.expect("a room");
    let socket = socket();
    for (n, mirror) in given.mirrors.iter().enumerate() {
        let transaction = [n as u8; 12];
        let sent = socket.send_to(&stun::request(&transaction), mirror);
        sent.expect("sent");
        let (answer, from) = receive(&socket).expect("an answer");
        assert_eq!(from, *mirror);
        let own = socket.local_addr().expect("an address");
        assert_eq!(stun::parse_response(&answer), Some((transaction, own)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_may_serve_friends_only() {
    let key = Keypair::generate_ed25519();
    let public = key.public().try_into_ed25519().expect("such a key");
    let pass = Pass::new(public.to_bytes(), [7; 16]).expect("a pass");
    let wrong = Pass::new(public.to_bytes(), [8; 16]).expect("a pass");
    let reflection = Reflection {
        serve: Serve::Friends,
        pass: Some(pass.clone()),
        ..Reflection::default()
    };
    let relay = start_as(key, reflection, Limits::default()).await;
    let mut phone = Phone::at(&relay).await;
    for passes in [&[][..], &[wrong]] {
        let refused = phone.room(passes).await;
        assert!(
            matches!(refused, Err(AskError::Refused(Refusal::Friends))),
            "{refused:?}"
        );
    }
    phone
        .room(std::slice::from_ref(&pass))
        .await
        .expect("a friend");
    relay.secrets().send_replace(Redacted([9; 16]));
    let other = Pass::new(public.to_bytes(), [9; 16]).expect("a pass");
    let began = Instant::now();
    while phone.room(std::slice::from_ref(&other)).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "the new pass opens nothing");
    }
    let refused = phone.room(&[pass]).await;
    assert!(
        matches!(refused, Err(AskError::Refused(Refusal::Friends))),
        "{refused:?}"
    );
}

/// A friend is one no more: what he holds is void, and what he was given for it will end.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_pass_takes_the_old_one_away_and_what_it_gave() {
    let key = Keypair::generate_ed25519();
    let id = key.public().to_peer_id();
    let [old, new] = [7, 8].map(|byte| Pass::of(&id, [byte; 16]).expect("a pass"));
    let reflection = Reflection {
        pass: Some(old.clone()),
        ..Reflection::default()
    };
    let relay = start_as(key, reflection, Limits::default()).await;
    let mut phone = Phone::at(&relay).await;
    let kept = phone.room(&[]).await.expect("of a stranger");
    let lost = phone
        .room(std::slice::from_ref(&old))
        .await
        .expect("of a friend");
    assert!(
        [&kept, &lost]
            .into_iter()
            .all(|given| !End::bound(given, 0).binding.is_ending())
    );
    relay.secrets().send_replace(Redacted([8; 16]));
    let began = Instant::now();
    while !End::bound(&lost, 0).binding.is_ending() {
        assert!(began.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_secs(1));
    }
    let other = phone.room(&[new]).await.expect("of a friend");
    assert!(
        [&kept, &other]
            .into_iter()
            .all(|given| !End::bound(given, 0).binding.is_ending())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_reflector_there_are_no_rooms() {
    let reflection = Reflection {
        serve: Serve::Nobody,
        ..Reflection::default()
    };
    let relay = start(reflection, Limits::default()).await;
    let refused = Phone::at(&relay).await.room(&[]).await;
    assert!(
        matches!(refused, Err(AskError::Refused(Refusal::Unsupported))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_address_has_so_many_rooms_and_many_cost_work() {
    let limits = Limits {
        rooms: 6,
        rooms_per_address: 5,
        ..Limits::default()
    };
    let relay = start(Reflection::default(), limits).await;
    let mut phone = Phone::at(&relay).await;
    // The last of them has to be worked for.
    for n in 0..5 {
        phone.room(&[]).await.unwrap_or_else(|e| panic!("{n}: {e}"));
    }
    let refused = phone.room(&[]).await;
    assert!(
        matches!(refused, Err(AskError::Refused(Refusal::Busy))),
        "{refused:?}"
    );
}

/// One end of a room.
struct End {
    socket: UdpSocket,
    server: SocketAddr,
    binding: Binding,
}

impl End {
    fn bound(given: &Given, leg: u8) -> End {
        let server = given.room.servers[0];
        let room = given.room.room;
        let token = given.room.tokens[usize::from(leg)];
        let began = Instant::now();
        let mut binding = Binding::new(Leg { server, room, leg }, token, Duration::ZERO);
        let socket = socket();
        let mut rng = ChaCha20Rng::seed_from_u64(u64::from(leg));
        while !binding.is_bound(began.elapsed()) {
            assert!(began.elapsed() < PATIENCE, "it is never bound");
            if let Some(datagram) = binding.due(began.elapsed(), &mut rng) {
                socket.send_to(&datagram, server).expect("sent");
            }
            // What gets no answer is sent again, as a phone does.
            let pause = binding.deadline().saturating_sub(began.elapsed());
            let Some((bytes, from)) = receive_within(&socket, pause) else {
                continue;
            };
            assert_eq!(from, server);
            if let Some(datagram) = binding.handle(&bytes, began.elapsed()) {
                socket.send_to(&datagram, server).expect("sent");
            }
        }
        End {
            socket,
            server,
            binding,
        }
    }

    fn say(&self, to: u8, inner: &[u8]) {
        let Leg { room, leg, .. } = self.binding.leg();
        let datagram = reflect::relay(room, to, leg, inner).expect("it may be carried");
        self.socket.send_to(&datagram, self.server).expect("sent");
    }

    fn hear(&self) -> Option<Vec<u8>> {
        let (bytes, _) = receive(&self.socket)?;
        reflect::Relay::parse(&bytes).map(|relay| relay.inner.to_vec())
    }
}

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("a port")
}

fn receive(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    receive_within(socket, PATIENCE)
}

fn receive_within(socket: &UdpSocket, time: Duration) -> Option<(Vec<u8>, SocketAddr)> {
    let time = time.max(Duration::from_millis(1));
    socket.set_read_timeout(Some(time)).expect("set");
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).ok()?;
    Some((buffer[..length].to_vec(), from))
}

async fn start(reflector: Reflection, limits: Limits) -> Relay {
    start_as(Keypair::generate_ed25519(), reflector, limits).await
}

async fn start_as(key: Keypair, reflector: Reflection, limits: Limits) -> Relay {
    let options = Options {
        key,
        listen: "127.0.0.1:0".parse().expect("an address"),
        also: Vec::new(),
        network: Network::Private,
        bootstrap: Vec::new(),
        external: Vec::new(),
        reflector,
        limits,
    };
    Relay::start(options).await.expect("it starts")
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
