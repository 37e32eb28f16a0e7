//! Phones on the real ultrapeers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use libp2p::identity::Keypair;
use twocan::config::Network;
use twocan::net::{NodeCommand, NodeEvent, swarm};
use twocan::relay::{self, Limits, Options, Reflection, Relay};

use crate::phone::Phone;
use crate::proxy::{record, unix};

async fn ultrapeer(bootstrap: Vec<String>) -> Relay {
    let options = Options {
        key: Keypair::generate_ed25519(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        network: Network::Private,
        bootstrap,
        external: Vec::new(),
        also: Vec::new(),
        reflector: Reflection::default(),
        limits: Limits::default(),
    };
    Relay::start(options).await.expect("a free port")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_one_address_to_two_ultrapeers_and_a_call() {
    let first = ultrapeer(Vec::new()).await;
    let address = first.addresses()[0].to_string();
    let second = ultrapeer(vec![address.clone()]).await;
    let mut other = second.status();
    let met = other.wait_for(|status| status.ultrapeers > 0);
    tokio::time::timeout(Duration::from_secs(20), met)
        .await
        .expect("they find each other")
        .expect("it runs");

    let start = Instant::now();
    let (mut alice, mut bob) = (Phone::at(vec![address.clone()]), Phone::at(vec![address]));
    alice
        .until("reachable", |phone| !phone.routes.1.is_empty())
        .await;
    println!("reachable {:?} after the start", start.elapsed());
    alice.reachable(2).await;
    bob.reachable(2).await;
    println!("at two relays {:?} after the start", start.elapsed());

    let (name, value) = record(1, unix(), 0);
    bob.node.ask(NodeCommand::Watch([name].into()));
    alice.node.ask(NodeCommand::Put {
        name,
        value: value.clone(),
    });
    let put = Instant::now();
    assert!(matches!(alice.next().await, NodeEvent::Stored { .. }));
    println!("stored after {:?}", put.elapsed());
    assert_eq!(bob.next().await, NodeEvent::Record { name, value });
    println!("seen after {:?}", put.elapsed());

    let (peer, relays) = bob.routes.clone();
    let asked = Instant::now();
    let circuit = alice.meet(peer, relays).await.expect("they meet");
    println!("met after {:?}", asked.elapsed());
    alice.node.send(circuit, b"ring");
    assert_eq!(bob.datagram().await.1, b"ring");

    first.close().await;
    alice
        .until("one relay", |phone| phone.routes.1.len() == 1)
        .await;
    let (later, value) = record(2, unix(), 0);
    alice.node.ask(NodeCommand::Put { name: later, value });
    let NodeEvent::Stored { name, .. } = alice.other_than_closed().await else {
        panic!("not stored");
    };
    assert_eq!(name, later);
    second.close().await;
}

#[test]
fn phones_look_for_ultrapeers_where_those_say_that_they_are() {
    let looked: Vec<_> = (0..swarm::SHARDS).map(swarm::ultrapeers_key).collect();
    assert_eq!(looked, relay::shards().collect::<Vec<_>>());
}
