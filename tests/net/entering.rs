//! Into the network, out of it and into it again.

use libp2p::identity::Keypair;
use twocan::config::Network;
use twocan::net::{Node, NodeCommand, NodeEvent, NodeOptions, Phase};

use crate::phone::Phone;
use crate::server::{Server, nothing};

#[tokio::test]
async fn a_dead_network_is_said_in_words_and_heals() {
    let key = Keypair::generate_ed25519();
    let server = Server::with(key.clone(), 0, Vec::new(), nothing());
    let port = server.port();
    let address = server.address.to_string();
    drop(server);

    let gone = "/ip4/127.0.0.1/tcp/1".to_owned();
    let mut phone = Phone::at(vec![address, gone]);
    phone
        .until("offline", |phone| phone.phase() == Phase::Offline)
        .await;
    let words = phone.states.last().expect("a state").words.clone();
    assert!(words.contains("none of the 2 nodes"), "{words}");
    assert!(words.contains("next try in"), "{words}");

    let server = Server::with(key.clone(), port, Vec::new(), nothing());
    phone.reachable(1).await;
    assert_eq!(
        phone.states.last().map(|state| state.words.as_str()),
        Some("")
    );
    assert_eq!(phone.good, [server.address.to_string()]);

    drop(server);
    phone
        .until("offline again", |phone| phone.phase() == Phase::Offline)
        .await;
    assert!(phone.routes.1.is_empty(), "still said to be met somewhere");
    let _server = Server::with(key, port, Vec::new(), nothing());
    phone.reachable(1).await;
}

#[tokio::test]
async fn each_start_is_a_new_peer_that_tells_nothing_of_itself() {
    let mut server = Server::start(0);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut phone = Phone::start(&[&server]);
        phone.reachable(1).await;
        ids.push(phone.routes.0.clone());
        let info = server.seen.recv().await.expect("identify");
        assert_eq!(info.agent_version, "twocan");
        assert_eq!(info.protocol_version, "/twocan/1");
        assert!(info.listen_addrs.is_empty(), "{:?}", info.listen_addrs);
        let protocols: Vec<&str> = info.protocols.iter().map(AsRef::as_ref).collect();
        assert!(
            !protocols.iter().any(|protocol| protocol.contains("kad")),
            "a phone is no server: {protocols:?}"
        );
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn another_place_means_other_connections() {
    let server = Server::start(0);
    let mut phone = Phone::start(&[&server]);
    phone.reachable(1).await;
    phone.node.ask(NodeCommand::NetworkChanged);
    phone
        .until("nowhere", |phone| phone.routes.1.is_empty())
        .await;
    phone.reachable(1).await;
}

#[tokio::test]
async fn without_a_network_nothing_is_done() {
    let options = NodeOptions {
        network: Network::None,
        bootstrap: Vec::new(),
        cache: Vec::new(),
        decoys: [7; 32],
        passes: Vec::new(),
        lan: false,
    };
    let (node, mut events) = Node::start(options).expect("nothing to go wrong");
    let Some(NodeEvent::State(state)) = events.recv().await else {
        panic!("no state");
    };
    assert_eq!((state.phase, state.words.as_str()), (Phase::Off, ""));
    assert_eq!(events.recv().await, None);
    assert!(!node.ask(NodeCommand::NetworkChanged));
}

#[tokio::test]
async fn a_wrong_address_is_named() {
    let options = NodeOptions {
        network: Network::Private,
        bootstrap: vec![
            "/ip4/127.0.0.1/tcp/4001".to_owned(),
            "relay.example".to_owned(),
        ],
        cache: vec!["junk".to_owned()],
        decoys: [7; 32],
        passes: Vec::new(),
        lan: false,
    };
    let error = Node::start(options).expect_err("no multiaddr").to_string();
    assert!(error.contains("`relay.example`"), "{error}");
}
