//! The directory through ultrapeers: watched, put, got, and never believed without a signature.

use std::collections::BTreeSet;
use std::time::Duration;

use twocan::directory;
use twocan::net::proxy::{Refusal, Renewal, Reply, Request};
use twocan::net::{NodeCommand, NodeEvent};

use crate::phone::Phone;
use crate::proxy::{self, Table, record, start, unix};

fn watch(phone: &Phone, names: impl IntoIterator<Item = [u8; 32]>) {
    assert!(
        phone
            .node
            .ask(NodeCommand::Watch(names.into_iter().collect()))
    );
}

/// Waits until the ultrapeer has heard it.
async fn heard(table: &proxy::Shared, what: &str, wanted: impl Fn(&Table) -> bool) {
    for _ in 0..1000 {
        if wanted(&table.lock().expect("no panic")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the ultrapeer never heard {what}");
}

#[tokio::test]
async fn what_one_phone_puts_another_sees_at_once() {
    let (server, table) = start();
    let (mut alice, mut bob) = (Phone::start(&[&server]), Phone::start(&[&server]));
    let (name, value) = record(1, unix(), 0);
    watch(&bob, [name]);
    let of_bob = |table: &Table| table.watched(name).is_some_and(|names| names.len() == 64);
    heard(&table, "the names", of_bob).await;
    let put = |value: &Vec<u8>| NodeCommand::Put {
        name,
        value: value.clone(),
    };
    alice.node.ask(put(&value));
    assert_eq!(alice.next().await, NodeEvent::Stored { name, copies: 3 });
    let record_of = |value: &Vec<u8>| NodeEvent::Record {
        name,
        value: value.clone(),
    };
    assert_eq!(bob.next().await, record_of(&value));

    let (_, renewed) = record(1, unix(), 7);
    let change = directory::renewal(&renewed).expect("a record");
    let renewal = Renewal {
        prefix: name[..8].try_into().expect("8 bytes"),
        change,
    };
    table
        .lock()
        .expect("no panic")
        .push(name, &Reply::Renewed(vec![renewal]));
    assert_eq!(
        bob.next().await,
        record_of(&renewed),
        "made of the old one and the renewal"
    );

    let gone = Reply::Gone { name, sequence: 5 };
    table.lock().expect("no panic").push(name, &gone);
    assert_eq!(bob.next().await, NodeEvent::Gone { name, sequence: 5 });

    alice.node.ask(NodeCommand::Get { name });
    assert_eq!(alice.next().await, record_of(&value));
    alice.node.ask(NodeCommand::Get { name: [2; 32] });
    assert_eq!(alice.next().await, NodeEvent::Absent { name: [2; 32] });
    alice.node.ask(put(&vec![1; 3000]));
    let why = Refusal::Invalid;
    assert_eq!(alice.next().await, NodeEvent::Refused { name, why });
}

#[tokio::test]
async fn a_record_that_is_only_good_for_longer_is_not_sent_whole_again() {
    let (server, table) = start();
    let mut phone = Phone::start(&[&server]);
    let put = |later| {
        let (name, value) = record(1, unix(), later);
        NodeCommand::Put { name, value }
    };
    let (name, _) = record(1, unix(), 0);
    let stored = NodeEvent::Stored { name, copies: 3 };
    let heard = || {
        let table = table.lock().expect("no panic");
        let all = table.heard.iter().map(|(_, request)| request.clone());
        let kinds: Vec<&str> = all
            .filter_map(|request| match request {
                Request::Put { .. } => Some("put"),
                Request::Renew { .. } => Some("renew"),
                _ => None,
            })
            .collect();
        kinds.join(" ")
    };
    for later in [0, 1] {
        phone.node.ask(put(later));
        assert_eq!(phone.next().await, stored);
    }
    assert_eq!(heard(), "put renew");
    let (_, renewed) = record(1, unix(), 1);
    assert_eq!(table.lock().expect("no panic").records[&name], renewed);

    table.lock().expect("no panic").records.clear();
    phone.node.ask(put(2));
    assert_eq!(phone.next().await, stored);
    assert_eq!(heard(), "put renew renew put", "the ultrapeer had lost it");
    phone.node.ask(put(3));
    assert_eq!(phone.next().await, stored);
    assert_eq!(heard(), "put renew renew put renew");
}

#[tokio::test]
async fn lies_and_old_news_of_an_ultrapeer_are_dropped() {
    let (server, table) = start();
    let mut phone = Phone::start(&[&server]);
    let (name, value) = record(1, unix(), 500);
    let (other, of_other) = record(2, unix(), 0);
    let (_, older) = record(1, unix() - 60, 0);
    let (_, expired) = record(1, unix() - 7200, 0);
    let mut forged = value.clone();
    forged[300] ^= 1;
    watch(&phone, [name]);
    heard(&table, "the names", |table| table.watched(name).is_some()).await;
    let say = |name: [u8; 32], value: &Vec<u8>| {
        let value = value.clone();
        table
            .lock()
            .expect("no panic")
            .push(name, &Reply::Record { name, value });
    };
    say(name, &forged);
    say(name, &of_other);
    say(name, &expired);
    say(other, &of_other);
    say(name, &value);
    say(name, &older);
    say(name, &value);
    let (_, newest) = record(1, unix(), 900);
    say(name, &newest);
    for expected in [value, newest] {
        let value = expected;
        assert_eq!(phone.next().await, NodeEvent::Record { name, value });
    }
}

#[tokio::test]
async fn one_ultrapeer_reads_and_another_writes_and_each_takes_over() {
    let ((one, first), (two, second)) = (start(), start());
    let mut phone = Phone::start(&[&one, &two]);
    phone.reachable(2).await;
    let (name, value) = record(1, unix(), 0);
    let names: BTreeSet<[u8; 32]> = (10..70).map(|of| record(of, unix(), 0).0).collect();
    watch(&phone, names.clone());
    let ready = |table: &Table| !table.heard.is_empty();
    heard(&first, "anything", ready).await;
    heard(&second, "anything", ready).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let command = NodeCommand::Put { name, value };
    phone.node.ask(command);
    assert_eq!(phone.next().await, NodeEvent::Stored { name, copies: 3 });

    let watched = *names.first().expect("sixty");
    let watches = |table: &proxy::Shared| {
        let table = table.lock().expect("no panic");
        table.watched(watched).is_some()
    };
    let wrote = |table: &Table| {
        let is_put = |request: &Request| matches!(request, Request::Put { .. });
        table.heard.iter().any(|(_, request)| is_put(request))
    };
    let (reader, writer, reads, writes) = if watches(&first) {
        (one, two, first, second)
    } else {
        (two, one, second, first)
    };
    assert!(!watches(&writes), "both see what we watch");
    assert!(wrote(&writes.lock().expect("no panic")));
    assert!(
        !wrote(&reads.lock().expect("no panic")),
        "the reader sees what we put"
    );

    drop(writer);
    heard(&reads, "the record of the dead one", wrote).await;
    drop(reader);
    phone
        .until("nowhere", |phone| phone.routes.1.is_empty())
        .await;
}

#[tokio::test]
async fn a_clock_that_is_two_hours_off_is_noticed_and_allowed_for() {
    let (server, table) = start();
    let ahead = 7200;
    table.lock().expect("no panic").ahead = ahead;
    let (name, value) = record(1, unix() + ahead.unsigned_abs(), 0);
    table
        .lock()
        .expect("no panic")
        .records
        .insert(name, value.clone());
    let mut phone = Phone::start(&[&server]);
    watch(&phone, [name]);
    assert_eq!(phone.next().await, NodeEvent::Record { name, value });
    let offset = phone.clock.expect("it was said before");
    assert!((offset - ahead).abs() <= 2, "{offset}");
}

#[tokio::test]
async fn after_a_restart_of_the_ultrapeer_all_is_watched_and_put_again() {
    let key = libp2p::identity::Keypair::generate_ed25519();
    let table = proxy::Shared::default();
    let server = proxy::start_at(key.clone(), 0, table.clone());
    let port = server.port();
    let mut phone = Phone::start(&[&server]);
    let (name, value) = record(1, unix(), 0);
    let (watched, news) = record(2, unix(), 0);
    watch(&phone, [watched]);
    phone.node.ask(NodeCommand::Put { name, value });
    assert_eq!(phone.next().await, NodeEvent::Stored { name, copies: 3 });
    drop(server);
    *table.lock().expect("no panic") = Table::default();
    let _server = proxy::start_at(key, port, table.clone());
    heard(&table, "the record", |table| {
        table.records.contains_key(&name)
    })
    .await;
    heard(&table, "the names", |table| {
        table.watched(watched).is_some()
    })
    .await;
    let record = Reply::Record {
        name: watched,
        value: news.clone(),
    };
    table.lock().expect("no panic").push(watched, &record);
    let NodeEvent::Record { name, value } = phone.next().await else {
        panic!("something else came");
    };
    assert_eq!((name, value), (watched, news));
}
