//! Servers and strangers that do all they can.

use std::time::{Duration, Instant};

use libp2p::futures::AsyncWriteExt;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use twocan::net::proxy::{FrameWriter, Peers};
use twocan::net::{NodeCommand, NodeEvent, swarm};

use crate::phone::Phone;
use crate::server::{Serve, Server};

fn server(serve: Serve) -> Server {
    let protocols = vec![swarm::DIRECTORY, swarm::PEERS];
    Server::with(Keypair::generate_ed25519(), 0, protocols, serve)
}

#[tokio::test]
async fn junk_and_silence_on_every_stream_harm_nobody() {
    let junk = server(Box::new(|_, mut stream| {
        tokio::spawn(async move {
            let _ = stream.write_all(&[0xA7; 100_000]).await;
            let _ = stream.close().await;
        });
    }));
    let silent = server(Box::new(|_, stream| {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(stream);
        });
    }));
    let good = Server::start(0);
    let mut alice = Phone::start(&[&junk, &silent]);
    let mut bob = Phone::start(&[&good]);
    alice.reachable(2).await;
    bob.reachable(1).await;
    assert!(alice.node.ask(NodeCommand::Get { name: [1; 32] }));
    let asked = Instant::now();
    assert_eq!(alice.next().await, NodeEvent::Absent { name: [1; 32] });
    assert!(asked.elapsed() < Duration::from_secs(15));
    let (peer, relays) = bob.routes.clone();
    assert!(alice.meet(peer, relays).await.is_some());
}

#[tokio::test]
async fn thousands_of_false_addresses_do_not_keep_a_phone_from_its_network() {
    let liar = server(Box::new(|_, stream| {
        tokio::spawn(async move {
            let address = |n: u16| -> Multiaddr {
                format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", 1 + n % 9, PeerId::random())
                    .parse()
                    .expect("an address")
            };
            let mut frames = FrameWriter::new(stream, Duration::from_secs(5));
            for _ in 0..300 {
                let peers = Peers((0..32).map(|n| address(n).to_vec()).collect());
                if frames.send([&peers]).await.is_err() {
                    return;
                }
            }
        });
    }));
    let mut phone = Phone::start(&[&liar]);
    phone.reachable(1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(liar);
    phone
        .until("nowhere", |phone| phone.routes.1.is_empty())
        .await;
    assert!(phone.good.len() <= 16);
}

#[tokio::test]
async fn a_flood_of_circuits_is_bounded_and_the_answered_ones_live() {
    let relay = Server::start(0);
    let mut bob = Phone::start(&[&relay]);
    bob.reachable(1).await;
    let (peer, relays) = bob.routes.clone();

    let mut friend = Phone::start(&[&relay]);
    friend.reachable(1).await;
    let own = friend
        .meet(peer.clone(), relays.clone())
        .await
        .expect("they meet");
    let NodeEvent::Incoming(answered) = bob.next().await else {
        panic!("no circuit came in");
    };
    bob.node.send(answered, b"hello");
    assert_eq!(friend.datagram().await, (own, b"hello".to_vec()));

    let mut crowd = Vec::new();
    for _ in 0..12 {
        let mut stranger = Phone::start(&[&relay]);
        stranger.reachable(1).await;
        for _ in 0..4 {
            // Some succeed, some do not.
            let _ = stranger.meet(peer.clone(), relays.clone()).await;
        }
        crowd.push(stranger);
    }
    friend.node.send(own, b"are you there?");
    let (mut open, mut most) = (1_i32, 1);
    loop {
        match bob.next().await {
            NodeEvent::Incoming(_) => open += 1,
            NodeEvent::Closed(circuit) => {
                assert_ne!(circuit, answered, "the friend was thrown out");
                open -= 1;
            }
            NodeEvent::Datagram(circuit, bytes) => {
                assert_eq!((circuit, &*bytes), (answered, &b"are you there?"[..]));
                break;
            }
            _ => {}
        }
        most = most.max(open);
    }
    println!("{most} circuits at most");
    assert!((3..=25).contains(&most), "{most}");
}
