//! Two phones that know nothing of each other but a relay.

use std::time::{Duration, Instant};

use twocan::net::{NodeCommand, NodeEvent};

use crate::phone::Phone;
use crate::server::Server;

#[tokio::test]
async fn two_phones_meet_at_a_relay_and_talk() {
    let server = Server::start(0);
    let start = Instant::now();
    let (mut alice, mut bob) = (Phone::start(&[&server]), Phone::start(&[&server]));
    alice.reachable(1).await;
    bob.reachable(1).await;
    println!("reserved {:?} after the start", start.elapsed());
    assert_ne!(alice.routes.0, bob.routes.0);
    assert_eq!(bob.routes.1, [server.address.to_vec()]);

    let asked = Instant::now();
    let (peer, relays) = bob.routes.clone();
    let circuit = alice.meet(peer, relays).await.expect("they meet");
    println!("met {:?} after asking", asked.elapsed());
    let NodeEvent::Incoming(there) = bob.next().await else {
        panic!("no circuit came in");
    };

    alice.node.send(circuit, &[1; 1200]);
    assert_eq!(bob.datagram().await, (there, vec![1; 1200]));
    for n in 0..50_u8 {
        bob.node.send(there, &[n; 100]);
        assert_eq!(alice.datagram().await, (circuit, vec![n; 100]));
        alice.node.send(circuit, &[n]);
        assert_eq!(bob.datagram().await, (there, vec![n]));
    }

    alice.node.ask(NodeCommand::Close(circuit));
    loop {
        match bob.next().await {
            NodeEvent::Closed(circuit) => break assert_eq!(circuit, there),
            NodeEvent::Datagram(..) => {}
            other => panic!("{other:?} instead of the end"),
        }
    }
}

#[tokio::test]
async fn the_race_is_won_by_a_relay_that_lives() {
    let (server, dead, other) = (Server::start(0), Server::start(0), Server::start(0));
    let mut alice = Phone::start(&[&server]);
    let mut bob = Phone::start(&[&server, &other]);
    bob.reachable(2).await;
    alice.reachable(1).await;
    let (peer, mut relays) = bob.routes.clone();
    relays.insert(0, dead.address.to_vec());
    drop(dead);
    let circuit = alice.meet(peer.clone(), relays).await;
    assert!(circuit.is_some());

    let nowhere = alice
        .meet(peer.clone(), vec![b"junk".to_vec(), Vec::new()])
        .await;
    assert_eq!(nowhere, None, "no address is no way");
    let stranger = libp2p::PeerId::random().to_bytes();
    let relays = vec![server.address.to_vec()];
    assert_eq!(alice.meet(stranger, relays).await, None, "nobody is there");
    assert_eq!(
        alice.meet(vec![1, 2, 3], Vec::new()).await,
        None,
        "no PeerId"
    );
}

#[tokio::test]
async fn a_relay_that_dies_ends_its_circuits_and_is_replaced() {
    let mut servers: Vec<Server> = (0..3).map(|_| Server::start(0)).collect();
    let all: Vec<&Server> = servers.iter().collect();
    let (mut alice, mut bob) = (Phone::start(&all), Phone::start(&all));
    bob.reachable(2).await;
    alice.reachable(2).await;
    let (peer, relays) = bob.routes.clone();
    let circuit = alice
        .meet(peer, vec![relays[0].clone()])
        .await
        .expect("they meet");
    let NodeEvent::Incoming(there) = bob.next().await else {
        panic!("no circuit came in");
    };

    let dies = servers
        .iter()
        .position(|server| server.address.to_vec() == relays[0])
        .expect("it is one of them");
    drop(servers.remove(dies));
    let died = Instant::now();
    assert_eq!(alice.next().await, NodeEvent::Closed(circuit));
    assert_eq!(bob.next().await, NodeEvent::Closed(there));
    bob.until("two others", |bob| {
        bob.routes.1.len() == 2 && !bob.routes.1.contains(&relays[0])
    })
    .await;
    println!("replaced after {:?}", died.elapsed());
    assert!(died.elapsed() < Duration::from_secs(10));
    alice
        .until("two others", |alice| {
            alice.routes.1.len() == 2 && !alice.routes.1.contains(&relays[0])
        })
        .await;
    let (peer, relays) = bob.routes.clone();
    assert!(alice.meet(peer, relays).await.is_some());
}
