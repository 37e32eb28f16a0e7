//! js-libp2p, an implementation of the network that we did not write, as all the network there is:
//! it keeps our records, its own validator judges them, and phones meet at its relay.
//!
//! Needs the packages of `tests/interop/js` and a Node.js of at least version 22, named by the
//! environment variable `TWOCAN_INTEROP_NODE`; without them each test says that it was skipped.

#![expect(clippy::disallowed_methods, reason = "these tests run in real time")]

#[path = "net/phone.rs"]
#[allow(dead_code, reason = "not all that its other users need")]
mod phone;
#[path = "interop/js/mod.rs"]
mod server;
mod support;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libp2p::PeerId;
use libp2p::identity::Keypair;
use phone::Phone;
use server::Held;
use twocan::api::{CallState, Command, Event, NetworkState, Why};
use twocan::config::Network;
use twocan::directory::{Content, Name, Pen, Spot};
use twocan::net::{NodeCommand, NodeEvent, Phase};
use twocan::peer::{Identity, Invite, Reach, Secret32, Seed};
use twocan::relay::{Limits, Options, Reflection, Relay};

#[test]
fn its_validator_takes_our_records_and_no_forged_or_late_ones() {
    let Some(mut server) = server::server() else {
        return;
    };
    let now = unix();
    let (name, value) = record(1, now, 0);
    assert_eq!(server.judge(&name.key(), &value), None);

    let (other, _) = record(2, now, 0);
    assert!(server.judge(&other.key(), &value).is_some(), "another's");
    let (late_name, late) = record(1, now - 7200, 0);
    let wrong = server.judge(&late_name.key(), &late).expect("it is late");
    assert!(wrong.to_lowercase().contains("expired"), "{wrong}");
    for at in [value.len() / 3, value.len() - 2] {
        let mut forged = value.clone();
        forged[at] ^= 1;
        assert!(server.judge(&name.key(), &forged).is_some(), "byte {at}");
    }
}

#[tokio::test]
async fn a_phone_puts_a_record_on_it_and_another_reads_it_back() {
    let Some(mut server) = server::server() else {
        return;
    };
    let (mut alice, mut bob) = (Phone::start(&[&server]), Phone::start(&[&server]));
    alice.reachable(1).await;
    bob.reachable(1).await;
    let (name, value) = record(3, unix(), 0);
    put(&mut alice, name, &value).await;
    let held = |value: &Vec<u8>| Held {
        network: "/twocan/kad/1.0.0".to_owned(),
        value: value.clone(),
        wrong: None,
    };
    assert_eq!(server.held(&name.key()), [held(&value)]);
    get(&mut bob, name, &value).await;

    let (_, newer) = record(3, unix(), 999);
    put(&mut alice, name, &newer).await;
    assert_eq!(server.held(&name.key()), [held(&newer)]);
    get(&mut bob, name, &newer).await;

    let (Name(watched), second) = record(4, unix(), 0);
    put(&mut alice, Name(watched), &second).await;
    bob.node.ask(NodeCommand::Watch(BTreeSet::from([watched])));
    let seen = NodeEvent::Record {
        name: watched,
        value: second,
    };
    assert_eq!(bob.next().await, seen, "what is watched is read unasked");

    let absent = [9; 32];
    bob.node.ask(NodeCommand::Get { name: absent });
    assert_eq!(bob.next().await, NodeEvent::Absent { name: absent });
    let mut forged = record(5, unix(), 0);
    forged.1[300] ^= 1;
    let (Name(name), value) = forged;
    alice.node.ask(NodeCommand::Put { name, value });
    let NodeEvent::Refused { name: refused, .. } = alice.next().await else {
        panic!("it took a forged record");
    };
    assert_eq!(refused, name);
    assert_eq!(server.held(&Name(name).key()), []);
}

#[tokio::test]
async fn phones_reserve_at_its_relay_and_meet_there() {
    let Some(mut server) = server::server() else {
        return;
    };
    let (mut alice, mut bob) = (Phone::start(&[&server]), Phone::start(&[&server]));
    alice.reachable(1).await;
    bob.reachable(1).await;
    assert_eq!(bob.routes.1, [server.address.to_vec()]);
    let peer = |phone: &Phone| PeerId::from_bytes(&phone.routes.0).expect("a PeerId");
    let mut expected = [peer(&alice).to_string(), peer(&bob).to_string()];
    let mut reserved = server.reservations();
    expected.sort();
    reserved.sort();
    assert_eq!(reserved, expected);

    let (peer, relays) = bob.routes.clone();
    let circuit = alice.meet(peer, relays).await.expect("they meet");
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

    drop(server);
    alice
        .until("offline", |phone| phone.phase() == Phase::Offline)
        .await;
}

#[tokio::test]
async fn an_ultrapeer_of_ours_keeps_records_on_it_for_phones() {
    let Some(mut server) = server::server() else {
        return;
    };
    let options = Options {
        key: Keypair::generate_ed25519(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        network: Network::Private,
        bootstrap: vec![server.address.to_string()],
        external: Vec::new(),
        also: Vec::new(),
        reflector: Reflection::default(),
        limits: Limits::default(),
    };
    let relay = Relay::start(options).await.expect("an ultrapeer");
    let address = relay.addresses()[0].to_string();
    let mut phone = Phone::at(vec![address]);
    phone.reachable(1).await;
    let (name, value) = record(6, unix(), 0);
    let end = Instant::now() + FOUND;
    // The ultrapeer may find it later than the phone finds the ultrapeer.
    while server.held(&name.key()).is_empty() {
        assert!(
            Instant::now() < end,
            "the ultrapeer never gave it the record"
        );
        let put = NodeCommand::Put {
            name: name.0,
            value: value.clone(),
        };
        phone.node.ask(put);
        let stored = phone.next().await;
        assert!(matches!(stored, NodeEvent::Stored { .. }), "{stored:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let held = Held {
        network: "/twocan/kad/1.0.0".to_owned(),
        value,
        wrong: None,
    };
    assert_eq!(server.held(&name.key()), [held]);
    relay.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_phones_find_each_other_and_ring_with_nothing_else() {
    let Some(server) = server::server() else {
        return;
    };
    let bootstrap = [server.address.to_string()];
    let mut anna = support::Phone::in_network("anna", &bootstrap);
    let mut bo = support::Phone::in_network("bo", &bootstrap);
    reachable(&mut anna).await;
    reachable(&mut bo).await;
    let line = anna.invite().await;
    let invite = Invite::parse_line(&line).expect("an invite");
    assert_eq!(invite.hints, [], "the invite names addresses");
    bo.order(Command::AddContact { line, name: None }).await;
    known(&mut bo).await;
    known(&mut anna).await;
    bo.dial("anna").await;
    bo.until(CallState::Active).await;
    anna.until(CallState::Active).await;
    bo.hang_up().await;
    assert_eq!(bo.until_ended(support::SOON).await, Why::HungUp);
}

async fn put(phone: &mut Phone, Name(name): Name, value: &[u8]) {
    let value = value.to_vec();
    phone.node.ask(NodeCommand::Put { name, value });
    assert_eq!(phone.next().await, NodeEvent::Stored { name, copies: 1 });
}

async fn get(phone: &mut Phone, Name(name): Name, value: &[u8]) {
    let value = value.to_vec();
    phone.node.ask(NodeCommand::Get { name });
    assert_eq!(phone.next().await, NodeEvent::Record { name, value });
}

async fn reachable(phone: &mut support::Phone) {
    if phone.status().await.network.state == NetworkState::Reachable {
        return;
    }
    let is_reachable = |event: &Event| match event {
        Event::Network { network } if network.state == NetworkState::Reachable => Some(()),
        _ => None,
    };
    phone.wait(FOUND, is_reachable).await;
}

async fn known(phone: &mut support::Phone) {
    if phone.status().await.contacts.iter().any(|c| !c.pending) {
        return;
    }
    let is_known = |event: &Event| match event {
        Event::Contact { contact, .. } if !contact.pending => Some(()),
        _ => None,
    };
    phone.wait(FOUND, is_known).await;
}

/// A true record, signed `later_ms` after the second `unix`, valid for half an hour.
fn record(of: u8, unix: u64, later_ms: u64) -> (Name, Vec<u8>) {
    let identity = Identity::from_seed(&Seed::from_bytes([of; 32]));
    let reach = Reach {
        version: 1,
        secret: Secret32::new([of; 32]),
    };
    let spot = Spot::location(identity.id(), &reach);
    let pen = Pen::new(&identity.blinder(), &spot, spot.period(unix));
    let blob = pen.seal(&Content::Slot(reach), &[of; 32]);
    let value = pen.sign(&blob, unix * 1000 + later_ms, unix + 1800);
    (pen.name(), value)
}

fn unix() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

/// Longest that finding the network and being found in it may take on a busy machine.
const FOUND: Duration = Duration::from_secs(30);
