//! Ultrapeers over the loopback: what is put through one reaches who watches at another, what is
//! wrong gets nowhere, and nobody takes more than his share.

#![expect(clippy::print_stdout, reason = "how long it took is worth knowing")]
#![expect(clippy::disallowed_methods, reason = "real ultrapeers have real time")]

#[path = "relay/author.rs"]
mod author;
#[expect(dead_code, reason = "rooms are asked for in another test")]
#[path = "relay/phone.rs"]
mod phone;

use std::time::{Duration, Instant};

use author::{Author, random, unix};
use libp2p::futures::AsyncWriteExt;
use libp2p::kad::{Quorum, Record};
use libp2p::swarm::StreamProtocol;
use phone::{Node, Phone};
use twocan::config::Network;
use twocan::directory::{self, MAX_AHEAD, renew};
use twocan::net::proxy::{Refusal, Reply, Request};
use twocan::net::swarm::{DIRECTORY, KAD_PRIVATE, PEERS};
use twocan::relay::{Limits, Options, Reflection, Relay, RelayError, Status};

#[tokio::test]
async fn news_put_through_one_reach_who_watches_at_another() {
    let relays = network(5).await;
    let author = Author::new();
    let mut here = Phone::at(&relays[1]).await;
    let mut there = Phone::at(&relays[4]).await;
    there.watch(&[author.name]).await;

    // So near its end that a renewal is not kept waiting for others.
    let first = author.record(1, 1, unix() + 200);
    let began = Instant::now();
    here.put(&author, &first).await;
    assert_eq!(there.next().await, author.told(&first));
    let took = began.elapsed();
    println!("from the put to the watcher at another ultrapeer: {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let stored = Reply::Stored {
        name: author.name,
        copies: 4,
    };
    assert_eq!(here.next().await, stored);

    let again = author.record(1, 2, unix() + 1800);
    here.put(&author, &again).await;
    let Reply::Renewed(renewals) = there.next().await else {
        panic!("only the end of the record has changed");
    };
    assert!(renewals.len() == 1 && renewals[0].of(&author.name));
    let rebuilt = renew(&first, &renewals[0].change).expect("a record");
    assert_eq!(rebuilt, again, "to the byte");

    let other = author.record(2, 3, unix() + 1800);
    here.put(&author, &other).await;
    assert_eq!(there.next().await, author.told(&other));

    let began = Instant::now();
    drop(here);
    let gone = Reply::Gone {
        name: author.name,
        sequence: author.sequence(3),
    };
    assert_eq!(there.next().await, gone);
    println!(
        "from the loss of a phone to its watcher: {:?}",
        began.elapsed()
    );

    let mut back = Phone::at(&relays[2]).await;
    let newest = author.record(2, 4, unix() + 1800);
    back.put(&author, &newest).await;
    assert!(matches!(there.next().await, Reply::Renewed(_)), "at once");
}

#[tokio::test]
async fn a_phone_that_comes_back_in_time_was_never_gone() {
    let relays = network(2).await;
    let author = Author::new();
    let mut here = Phone::at(&relays[0]).await;
    let mut there = Phone::at(&relays[1]).await;
    there.watch(&[author.name]).await;
    let record = author.record(1, 1, unix() + 1800);
    here.put(&author, &record).await;
    assert_eq!(there.next().await, author.told(&record));
    here.reopen().await;
    tokio::time::sleep(GRACE * 2).await;
    there.get(random()).await;
    assert!(
        matches!(there.next().await, Reply::Absent { .. }),
        "and nothing before it"
    );
}

#[tokio::test]
async fn one_that_starts_later_finds_what_is_there() {
    let relays = network(3).await;
    let author = Author::new();
    let mut here = Phone::at(&relays[0]).await;
    let record = author.record(1, 1, unix() + 1800);
    here.put(&author, &record).await;
    here.next().await;

    let late = start(&[&relays[1]], limits()).await;
    joined(&late, 3).await;
    let mut reader = Phone::at(&late).await;
    let began = Instant::now();
    reader.watch(&[author.name]).await;
    assert_eq!(reader.next().await, author.told(&record));
    println!(
        "read by an ultrapeer that has just begun: {:?}",
        began.elapsed()
    );
    reader.get(author.name).await;
    assert_eq!(reader.next().await, author.told(&record));
    reader.get(random()).await;
    assert!(matches!(reader.next().await, Reply::Absent { .. }));
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let relays = network(2).await;
    let author = Author::new();
    let mut phone = Phone::at(&relays[0]).await;
    let now = unix();
    let good = author.record(1, 5, now + 1800);
    let mut forged = good.clone();
    forged[900] ^= 1;
    let cases = [
        (forged, Refusal::Invalid),
        (vec![7; 100], Refusal::Invalid),
        ([good.clone(), vec![0; 409]].concat(), Refusal::Invalid),
        (Author::new().record(1, 5, now + 1800), Refusal::Invalid),
        (author.record(1, 5, now - 1), Refusal::Expired),
        (author.record(1, 5, now + MAX_AHEAD + 60), Refusal::Expired),
    ];
    for (record, why) in cases {
        phone.put(&author, &record).await;
        assert_eq!(phone.next().await, author.refused(why));
    }
    phone.put(&author, &good).await;
    assert!(matches!(
        phone.next().await,
        Reply::Stored { copies: 1, .. }
    ));
    phone.put(&author, &author.record(2, 4, now + 1800)).await;
    assert_eq!(phone.next().await, author.refused(Refusal::Stale));

    // Only whoever put it may say that it is gone.
    let mut stranger = Phone::at(&relays[0]).await;
    stranger.say(gone(&author, 5)).await;
    assert_eq!(stranger.next().await, author.refused(Refusal::NotYours));
    let mut elsewhere = Phone::at(&relays[1]).await;
    elsewhere.say(gone(&author, 5)).await;
    assert_eq!(elsewhere.next().await, author.refused(Refusal::NotYours));
}

#[tokio::test]
async fn a_renewal_makes_a_record_good_for_longer_and_no_other_one() {
    let relays = network(2).await;
    let author = Author::new();
    let mut phone = Phone::at(&relays[0]).await;
    let now = unix();
    let renew = |record: &[u8]| Request::Renew {
        name: author.name,
        change: directory::renewal(record).expect("a record"),
    };
    let later = author.record(1, 6, now + 1800);
    phone.say(renew(&later)).await;
    assert_eq!(phone.next().await, author.refused(Refusal::NotHeld));
    phone.put(&author, &author.record(1, 5, now + 900)).await;
    assert!(matches!(phone.next().await, Reply::Stored { .. }));
    phone.say(renew(&author.record(2, 7, now + 1800))).await;
    assert_eq!(phone.next().await, author.refused(Refusal::Invalid));
    phone.say(renew(&later)).await;
    assert!(matches!(
        phone.next().await,
        Reply::Stored { copies: 1, .. }
    ));
    let mut other = Phone::at(&relays[1]).await;
    other.get(author.name).await;
    assert_eq!(other.next().await, author.told(&later));
}

#[tokio::test]
async fn the_dht_keeps_only_what_is_right() {
    let relays = network(2).await;
    let author = Author::new();
    let mut node = Node::at(&relays[0], KAD_PRIVATE).await;
    let now = unix();
    let good = author.record(1, 5, now + 1800);
    let mut forged = good.clone();
    forged[900] ^= 1;
    let mut reader = Phone::at(&relays[0]).await;
    for wrong in [forged, vec![1; 5000], author.record(1, 9, now - 5)] {
        node.put(Record::new(author.key(), wrong), Quorum::One)
            .await;
        node.put(
            Record::new(b"/twocan/anything".to_vec(), vec![1]),
            Quorum::One,
        )
        .await;
        reader.get(author.name).await;
        let absent = Reply::Absent { name: author.name };
        assert_eq!(reader.next().await, absent);
    }
    node.put(Record::new(author.key(), good.clone()), Quorum::One)
        .await;
    let old = author.record(3, 4, now + 1800);
    node.put(Record::new(author.key(), old), Quorum::One).await;
    reader.get(author.name).await;
    assert_eq!(reader.next().await, author.told(&good));
    let mut status = relays[0].status();
    let all = tokio::time::timeout(
        Duration::from_secs(5),
        status.wait_for(|status| status.refused == 7),
    );
    all.await.expect("seven").expect("it runs");
}

#[tokio::test]
async fn a_flood_of_true_records_drives_no_honest_one_out() {
    let small = Limits {
        records: 300,
        ..limits()
    };
    let first = start(&[], small.clone()).await;
    let second = start(&[&first], small).await;
    joined(&first, 1).await;
    joined(&second, 1).await;
    let mut honest = Phone::at(&second).await;
    let authors: Vec<Author> = (0..100).map(|_| Author::new()).collect();
    for author in &authors {
        honest
            .put(author, &author.record(1, 1, unix() + 1000))
            .await;
        assert!(matches!(
            honest.next().await,
            Reply::Stored { copies: 1, .. }
        ));
    }
    let mut flood = Node::at(&first, KAD_PRIVATE).await;
    for _ in 0..1500 {
        let author = Author::new();
        let record = Record::new(author.key(), author.record(1, 1, unix() + 7000));
        flood.send(record);
    }
    flood.idle().await;
    let mut status = first.status();
    let full = status.wait_for(|status| status.records >= 300).await;
    assert_eq!(full.expect("it runs").records, 300);
    let mut reader = Phone::at(&first).await;
    for author in &authors {
        reader.get(author.name).await;
        let reply = reader.next().await;
        assert!(matches!(reply, Reply::Record { .. }), "{reply:?}");
    }
}

#[tokio::test]
async fn junk_on_every_protocol_ends_only_its_own_stream() {
    let relay = start(&[], limits()).await;
    let mut phone = Phone::at(&relay).await;
    let mut junk = vec![0xA5; 70_000];
    junk[..2].copy_from_slice(&[0xff, 0xff]);
    let protocols = [
        DIRECTORY,
        PEERS,
        KAD_PRIVATE,
        StreamProtocol::new("/libp2p/circuit/relay/0.2.0/hop"),
        StreamProtocol::new("/libp2p/autonat/2/dial-request"),
        StreamProtocol::new("/ipfs/id/1.0.0"),
        StreamProtocol::new("/ipfs/ping/1.0.0"),
    ];
    for protocol in protocols {
        for bytes in [&junk[..], &junk[..1], &junk[100..164], &[0; 3000]] {
            let mut stream = phone.open(protocol.clone()).await;
            // It may be ended while this is written.
            let _ = stream.write_all(bytes).await;
            let _ = stream.close().await;
        }
    }
    let raw = relay.addresses()[0].clone();
    for bytes in [&junk[..], b"GET / HTTP/1.1\r\n\r\n", &[]] {
        let mut tcp = tokio::net::TcpStream::connect(phone::socket(&raw))
            .await
            .expect("it listens");
        // As above.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut tcp, bytes).await;
    }
    phone.get(random()).await;
    assert!(matches!(phone.next().await, Reply::Absent { .. }));
}

#[tokio::test]
async fn who_does_not_read_is_dropped_and_holds_up_nobody() {
    let relay = start(&[], limits()).await;
    let author = Author::new();
    let mut phone = Phone::at(&relay).await;
    phone
        .put(&author, &author.record(1, 1, unix() + 1800))
        .await;
    phone.next().await;
    let mut lazy = Phone::deaf(&relay).await;
    for _ in 0..590 {
        lazy.get(author.name).await;
    }
    let mut status = relay.status();
    let alone = tokio::time::timeout(
        Duration::from_secs(15),
        status.wait_for(|status| status.clients == 1),
    );
    alone
        .await
        .expect("the lazy one is dropped")
        .expect("it runs");
    phone.get(author.name).await;
    assert!(matches!(phone.next().await, Reply::Record { .. }));
}

#[tokio::test]
async fn too_much_of_anything_is_refused() {
    let relay = start(&[], limits()).await;
    let mut phone = Phone::at(&relay).await;
    let mut refused = 0;
    for n in 0..300 {
        let author = Author::new();
        phone
            .put(&author, &author.record(1, 1, unix() + 1800))
            .await;
        match phone.next().await {
            Reply::Stored { copies: 0, .. } => assert_eq!(refused, 0, "{n}"),
            Reply::Refused { why, .. } => {
                assert!(matches!(why, Refusal::Busy | Refusal::Full), "{why:?}");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((40..=44).contains(&refused), "{refused}");
}

#[tokio::test]
async fn what_cannot_work_says_so() {
    let bad = |network, bootstrap: &str| Options {
        network,
        bootstrap: vec![bootstrap.to_owned()],
        ..options(&[], limits())
    };
    let none = Relay::start(bad(Network::None, ""))
        .await
        .expect_err("no network");
    assert!(none.to_string().contains("--network"), "{none}");
    for text in ["127.0.0.1:4190", "/ip4/1.2.3.4/tcp/notaport"] {
        let error = Relay::start(bad(Network::Private, text))
            .await
            .expect_err(text);
        assert!(matches!(error, RelayError::Address(_)), "{error}");
    }
    let nameless = Relay::start(bad(Network::Private, "/ip4/1.2.3.4/tcp/1")).await;
    assert!(matches!(nameless, Err(RelayError::Nameless(_))));

    let first = start(&[], limits()).await;
    let taken = Options {
        listen: phone::socket(&first.addresses()[0]),
        ..options(&[], limits())
    };
    let error = Relay::start(taken).await.expect_err("the port is taken");
    assert!(error.to_string().contains("--listen"), "{error}");
    let port = phone::socket(&first.addresses()[0]);
    first.close().await;
    std::net::TcpListener::bind(port).expect("the port is free again");
}

/// That many ultrapeers that all know each other, though each was told of the first only.
/// What was put before two ultrapeers met would else reach the second with the next renewal only.
#[tokio::test]
async fn ultrapeers_that_meet_give_each_other_what_their_phones_have_put() {
    let one = start(&[], limits()).await;
    let other = start(&[], limits()).await;
    let author = Author::new();
    let mut there = Phone::at(&other).await;
    there.watch(&[author.name]).await;
    let mut here = Phone::at(&one).await;
    let record = author.record(1, 1, unix() + 1800);
    here.put(&author, &record).await;
    let alone = Reply::Stored {
        name: author.name,
        copies: 0,
    };
    assert_eq!(here.next().await, alone);

    let _third = start(&[&one, &other], limits()).await;
    loop {
        match there.next().await {
            Reply::Absent { .. } => {}
            reply => break assert_eq!(reply, author.told(&record)),
        }
    }
}

async fn network(count: usize) -> Vec<Relay> {
    let mut relays = vec![start(&[], limits()).await];
    for _ in 1..count {
        relays.push(start(&[&relays[0]], limits()).await);
    }
    let began = Instant::now();
    for relay in &relays {
        joined(relay, count - 1).await;
    }
    println!(
        "{count} ultrapeers know each other after {:?}",
        began.elapsed()
    );
    relays
}

async fn joined(relay: &Relay, others: usize) {
    let mut status = relay.status();
    let enough = |status: &Status| status.ultrapeers >= others && status.clients >= others;
    let joined = tokio::time::timeout(Duration::from_secs(20), status.wait_for(enough)).await;
    joined.expect("they find each other").expect("it runs");
}

async fn start(others: &[&Relay], limits: Limits) -> Relay {
    Relay::start(options(others, limits))
        .await
        .expect("it starts")
}

fn options(others: &[&Relay], limits: Limits) -> Options {
    let entry = |relay: &&Relay| relay.addresses()[0].to_string();
    Options {
        key: libp2p::identity::Keypair::generate_ed25519(),
        listen: "127.0.0.1:0".parse().expect("an address"),
        network: Network::Private,
        bootstrap: others.iter().map(entry).collect(),
        external: Vec::new(),
        also: Vec::new(),
        reflector: Reflection::default(),
        limits,
    }
}

fn limits() -> Limits {
    Limits {
        grace: GRACE,
        ..Limits::default()
    }
}

fn gone(author: &Author, number: u64) -> Request {
    Request::Gone {
        name: author.name,
        sequence: author.sequence(number),
    }
}

/// Instead of 20 seconds.
const GRACE: Duration = Duration::from_secs(2);
