//! People find each other by ultrapeers: whole engines and whole ultrapeers over the loopback.
//!
//! The phones have real UDP ports beside the circuits, so that a session that began over a circuit
//! may move to a direct path; that it began there is shown by invites that name no address.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use libp2p::identity::Keypair;
use support::{Phone, SOON};
use twocan::api::{CallState, Command, Event, NetworkState, Presence, Standing, Switch, Why};
use twocan::config::Network;
use twocan::engine::Lending;
use twocan::peer::Invite;
use twocan::relay::{Limits, Options, Reflection, Relay, Serve};

/// Longest that finding the network and being found in it may take on a busy machine.
const FOUND: Duration = Duration::from_secs(30);

async fn ultrapeer(port: u16, key: &Keypair, bootstrap: &[String]) -> Relay {
    with_reflector(port, key, bootstrap, Reflection::default()).await
}

async fn with_reflector(
    port: u16,
    key: &Keypair,
    bootstrap: &[String],
    reflector: Reflection,
) -> Relay {
    let options = Options {
        key: key.clone(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        network: Network::Private,
        bootstrap: bootstrap.to_vec(),
        external: Vec::new(),
        also: Vec::new(),
        reflector,
        limits: Limits::default(),
    };
    Relay::start(options).await.expect("an ultrapeer")
}

fn lines(relay: &Relay) -> Vec<String> {
    relay.addresses().iter().map(ToString::to_string).collect()
}

async fn two_ultrapeers() -> (Vec<Relay>, Vec<String>) {
    let first = ultrapeer(0, &Keypair::generate_ed25519(), &[]).await;
    let bootstrap = lines(&first);
    let second = ultrapeer(0, &Keypair::generate_ed25519(), &bootstrap).await;
    (vec![first, second], bootstrap)
}

async fn until_network(phone: &mut Phone, wanted: NetworkState) {
    if phone.status().await.network.state == wanted {
        return;
    }
    phone
        .wait(FOUND, |event| match event {
            Event::Network { network } if network.state == wanted => Some(()),
            _ => None,
        })
        .await;
}

async fn until_presence(phone: &mut Phone, wanted: Presence) {
    let contacts = phone.status().await.contacts;
    if contacts.iter().any(|contact| contact.presence == wanted) {
        return;
    }
    phone
        .wait(FOUND, |event| match event {
            Event::Presence { presence, .. } if *presence == wanted => Some(()),
            _ => None,
        })
        .await;
}

async fn until_contact(phone: &mut Phone) {
    let is_there = |contacts: &[twocan::api::ContactView]| contacts.iter().any(|c| !c.pending);
    if is_there(&phone.status().await.contacts) {
        return;
    }
    phone
        .wait(FOUND, |event| match event {
            Event::Contact { contact, .. } if !contact.pending => Some(()),
            _ => None,
        })
        .await;
}

/// An invite that names no address, opened by the second.
async fn befriend_by_directory(one: &mut Phone, two: &mut Phone) {
    until_network(one, NetworkState::Reachable).await;
    until_network(two, NetworkState::Reachable).await;
    let line = one.invite().await;
    let invite = Invite::parse_line(&line).expect("an invite");
    assert_eq!(invite.hints, [], "the invite names addresses");
    two.order(Command::AddContact { line, name: None }).await;
    until_contact(two).await;
    until_contact(one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_without_an_address_is_enough_to_meet_and_to_talk() {
    let (relays, bootstrap) = two_ultrapeers().await;
    let mut anna = Phone::in_network("anna", &bootstrap);
    let mut bo = Phone::in_network("bo", &bootstrap);
    befriend_by_directory(&mut anna, &mut bo).await;
    for _ in 0..2 {
        bo.dial("anna").await;
        bo.until(CallState::Active).await;
        anna.until(CallState::Active).await;
        bo.hang_up().await;
        assert_eq!(bo.until_ended(SOON).await, Why::HungUp);
        // With the call the session has ended: from now on only the directory knows.
        until_presence(&mut bo, Presence::Reachable).await;
        until_presence(&mut anna, Presence::Reachable).await;
    }

    anna.order(Command::Announce {
        standing: Standing::Away,
    })
    .await;
    until_presence(&mut bo, Presence::Away).await;
    anna.end().await;
    until_presence(&mut bo, Presence::Offline).await;
    bo.end().await;
    for relay in relays {
        relay.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_is_added_when_he_comes_back() {
    let (_relays, bootstrap) = two_ultrapeers().await;
    let keys = support::keys("anna");
    let same = support::same(&keys);
    let mut anna =
        Phone::again_in_network(tempfile::TempDir::new().expect("dir"), keys, &bootstrap);
    until_network(&mut anna, NetworkState::Reachable).await;
    let line = anna.invite().await;
    let home = anna.end().await;

    let mut bo = Phone::in_network("bo", &bootstrap);
    until_network(&mut bo, NetworkState::Reachable).await;
    bo.order(Command::AddContact { line, name: None }).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(bo.status().await.contacts[0].pending);

    let mut anna = Phone::again_in_network(home, same, &bootstrap);
    until_contact(&mut bo).await;
    until_contact(&mut anna).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_call_outlives_the_ultrapeers_and_all_heals_when_one_comes_back() {
    let key = Keypair::generate_ed25519();
    let relay = ultrapeer(0, &key, &[]).await;
    let bootstrap = lines(&relay);
    let port = port(&bootstrap[0]);
    let mut anna = Phone::in_network("anna", &bootstrap);
    let mut bo = Phone::in_network("bo", &bootstrap);
    befriend_by_directory(&mut anna, &mut bo).await;
    bo.dial("anna").await;
    bo.until(CallState::Active).await;
    anna.until(CallState::Active).await;
    let is_direct = |event: &Event| match event {
        Event::Path {
            path: twocan::api::PathKind::Direct,
            ..
        } => Some(()),
        _ => None,
    };
    let calls = bo.status().await.calls;
    if calls[0].path != Some(twocan::api::PathKind::Direct) {
        bo.wait(SOON, is_direct).await;
    }

    relay.close().await;
    until_network(&mut bo, NetworkState::Offline).await;
    let status = bo.status().await;
    assert_eq!(status.calls[0].state, CallState::Active);
    let _again = ultrapeer(port, &key, &[]).await;
    until_network(&mut bo, NetworkState::Reachable).await;
    until_network(&mut anna, NetworkState::Reachable).await;
    bo.hang_up().await;
    assert_eq!(bo.until_ended(SOON).await, Why::HungUp);
    until_presence(&mut bo, Presence::Reachable).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_with_an_ultrapeer_of_his_own_gives_his_contacts_rooms() {
    let nobody = Reflection {
        serve: Serve::Nobody,
        ..Reflection::default()
    };
    let relay = with_reflector(0, &Keypair::generate_ed25519(), &[], nobody).await;
    let bootstrap = lines(&relay);
    let key = Keypair::generate_ed25519();
    let friends = Reflection {
        serve: Serve::Friends,
        ..Reflection::default()
    };
    // It is no way into the network: only his record leads to it.
    let lent = with_reflector(0, &key, &[], friends).await;
    let lending = Lending::new(lent.addresses()[0].to_vec(), [7; 32], lent.secrets());
    let mut gus = Phone::offering("gus", &bootstrap, lending);
    let mut anna = Phone::in_network("anna", &bootstrap);
    let mut bo = Phone::in_network("bo", &bootstrap);
    befriend_by_directory(&mut gus, &mut anna).await;
    // With a call the session ends: then anna has seen what stands in the directory.
    anna.dial("gus").await;
    anna.until(CallState::Active).await;
    anna.hang_up().await;
    until_presence(&mut anna, Presence::Reachable).await;
    let line = anna.invite().await;
    bo.order(Command::AddContact { line, name: None }).await;
    until_contact(&mut bo).await;
    anna.order(Command::Dial {
        peer: "bo".to_owned(),
        muted: false,
    })
    .await;
    anna.until(CallState::Active).await;
    let mut status = lent.status();
    let given = status.wait_for(|status| status.reflector.given > 0);
    let given = tokio::time::timeout(FOUND, given).await;
    assert!(given.is_ok(), "no room was made");
    assert_eq!(relay.status().borrow().reflector.given, 0);
    // Whoever is removed or blocked holds nothing that opens any more.
    let mut passes = lent.secrets().subscribe();
    let block = |is_on: bool| Command::Block {
        peer: "anna".to_owned(),
        to: if is_on { Switch::On } else { Switch::Off },
    };
    let remove = Command::Remove {
        peer: "anna".to_owned(),
    };
    for (order, is_new) in [(block(true), true), (block(false), false), (remove, true)] {
        let held = *passes.borrow_and_update();
        gus.order(order.clone()).await;
        gus.order(Command::Status).await;
        let changed = passes.has_changed().expect("the ultrapeer runs");
        assert_eq!(changed, is_new, "{order:?}");
        assert_eq!(*passes.borrow() != held, is_new, "{order:?}");
    }
}

fn port(address: &str) -> u16 {
    let mut parts = address.split('/');
    parts
        .find(|part| *part == "tcp")
        .and_then(|_| parts.next())
        .and_then(|port| port.parse().ok())
        .expect("an address with a port")
}
