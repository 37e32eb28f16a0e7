//! Whole phones over the loopback, in real time: engine, socket, sound files, disk.

mod support;

use std::time::Duration;

use support::road::Road;
use support::{Phone, SOON, connect, friends, is_state, signal};
use twocan::api::{CallState, Command, Direction, Event, Presence, Trouble, Why};

#[tokio::test]
async fn two_people_add_each_other_talk_and_hang_up() {
    let (said_by_anna, said_by_ben) = (signal::speech(5.0, 1), signal::speech(5.0, 2));
    let anna = Phone::with_wav("Anna", &said_by_anna);
    let ben = Phone::with_wav("Ben", &said_by_ben);
    let (mut anna, mut ben) = friends(anna, ben).await;

    connect(&mut ben, &mut anna, "Anna").await;
    assert_eq!(ben.words().await, anna.words().await);
    let text = "see you at \u{202e}eight\u{1b}[2J".to_owned();
    let peer = "Ben".to_owned();
    anna.order(Command::Text { peer, text }).await;
    let text = ben
        .wait(SOON, |event| match event {
            Event::Text {
                text, sent: false, ..
            } => Some(text.to_string()),
            _ => None,
        })
        .await;
    assert_eq!(text, "see you at eight[2J");

    let stats = |event: &Event| match *event {
        Event::Stats { received, .. } if received > 240 => Some(event.clone()),
        _ => None,
    };
    for phone in [&mut anna, &mut ben] {
        let Event::Stats {
            loss, rtt_ms, sent, ..
        } = phone.wait(SOON, stats).await
        else {
            unreachable!("only statistics are waited for");
        };
        assert!(
            loss < 0.5 && rtt_ms > 0.0 && sent > 200,
            "{:?}",
            phone.told.last()
        );
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    anna.hang_up().await;
    assert_eq!(anna.until_ended(SOON).await, Why::HungUp);
    assert_eq!(ben.until_ended(SOON).await, Why::PeerHungUp);

    for (phone, direction, why) in [
        (&mut anna, Direction::In, Why::HungUp),
        (&mut ben, Direction::Out, Why::PeerHungUp),
    ] {
        let history = phone.history().await;
        assert_eq!(history.len(), 1);
        assert_eq!((history[0].direction, history[0].why), (direction, why));
        assert!((4..=15).contains(&history[0].seconds), "{history:?}");
        assert!(history[0].loss < 0.25, "{history:?}");
    }

    for (said, hearer) in [(&said_by_anna, &ben), (&said_by_ben, &anna)] {
        let heard = signal::read(&hearer.out());
        let found = signal::compare_in_parts(said, &heard);
        assert!(found.likeness > 0.7, "{found:?}");
        assert!((0.0..400.0).contains(&found.delay_ms), "{found:?}");
    }
    // What one person said must not be in what the same person heard.
    let echo = signal::compare_in_parts(&said_by_anna, &signal::read(&anna.out()));
    assert!(echo.likeness < 0.5, "{echo:?}");
    anna.end().await;
    ben.end().await;
}

#[tokio::test]
async fn each_way_not_to_talk_has_its_own_word() {
    let (anna, ben) = (Phone::new("Anna"), Phone::new("Ben"));
    let (mut anna, mut ben) = friends(anna, ben).await;

    anna.dial("Ben").await;
    ben.until(CallState::Ringing).await;
    ben.order(Command::Decline { call: None }).await;
    assert_eq!(anna.until_ended(SOON).await, Why::Declined);
    assert_eq!(ben.until_ended(SOON).await, Why::DeclinedHere);

    anna.dial("Ben").await;
    ben.until(CallState::Ringing).await;
    anna.hang_up().await;
    assert_eq!(anna.until_ended(SOON).await, Why::Cancelled);
    assert_eq!(ben.until_ended(SOON).await, Why::PeerCancelled);

    let whys = |history: Vec<twocan::api::HistoryView>| -> Vec<Why> {
        history.iter().map(|line| line.why).collect()
    };
    assert_eq!(whys(anna.history().await), [Why::Cancelled, Why::Declined]);
    let missed = ben.history().await;
    assert!(missed[0].why.is_missed());
    assert_eq!(whys(missed), [Why::PeerCancelled, Why::DeclinedHere]);
}

#[tokio::test]
async fn who_has_two_calls_is_busy_for_the_third() {
    let (anna, ben) = friends(Phone::new("Anna"), Phone::new("Ben")).await;
    let (anna, carl) = friends(anna, Phone::new("Carl")).await;
    let (mut anna, mut dora) = friends(anna, Phone::new("Dora")).await;
    let (mut ben, mut carl) = (ben, carl);
    connect(&mut ben, &mut anna, "Anna").await;
    carl.dial("Anna").await;
    carl.until(CallState::Ringing).await;
    dora.dial("Anna").await;
    assert_eq!(dora.until_ended(SOON).await, Why::Busy);
    assert!(
        !dora
            .told
            .iter()
            .any(|event| is_state(event, CallState::Ringing))
    );

    anna.end().await;
    assert_eq!(ben.until_ended(SOON).await, Why::PeerGone);
    assert_eq!(carl.until_ended(SOON).await, Why::PeerGone);
}

#[tokio::test]
async fn a_cut_road_is_left_for_another_one() {
    let (mut anna, mut ben) = (Phone::new("Anna"), Phone::new("Ben"));
    let road = Road::to(anna.handle.listen()).await;
    let line = road.lead(&anna.invite().await);
    ben.befriend(&mut anna, line).await;
    connect(&mut ben, &mut anna, "Anna").await;

    // By then they have told each other where else they are.
    tokio::time::sleep(Duration::from_secs(1)).await;
    road.cut();
    tokio::time::sleep(Duration::from_secs(6)).await;
    ben.hang_up().await;
    assert_eq!(anna.until_ended(SOON).await, Why::PeerHungUp);
    assert_eq!(ben.until_ended(SOON).await, Why::HungUp);
}

#[tokio::test]
async fn nobody_there_is_said_after_a_while_and_a_stranger_at_once() {
    let (anna, ben) = friends(Phone::new("Anna"), Phone::new("Ben")).await;
    let mut ben = ben;
    anna.end().await;
    let (peer, muted) = ("Carl".to_owned(), false);
    let refused = ben
        .ask(Command::Dial { peer, muted })
        .await
        .expect_err("who?");
    assert_eq!(refused.trouble, Trouble::NoSuchContact);

    ben.dial("Anna").await;
    assert_eq!(
        ben.until_ended(Duration::from_secs(30)).await,
        Why::Unreachable
    );
}

#[tokio::test]
async fn contacts_history_and_port_outlive_the_engine() {
    let (anna, mut ben) = friends(Phone::new("Anna"), Phone::new("Ben")).await;
    let mut anna = anna;
    anna.dial("Ben").await;
    ben.until(CallState::Ringing).await;
    anna.hang_up().await;
    ben.until_ended(SOON).await;
    let before = ben.status().await;
    let listen = ben.handle.listen();
    let dir = ben.end().await;

    let keys = support::keys("Ben again");
    let handle = support::start(
        dir.path(),
        keys,
        twocan::audio::Backend::Null,
        twocan::phone::Answering::Manual,
    );
    assert_eq!(handle.listen(), listen, "old invites would lead nowhere");
    let mut client = twocan::control::Client::new(handle.client());
    let status = match client.request(Command::Status).await {
        Ok(twocan::api::Done::Status(status)) => status,
        other => panic!("{other:?} is no status"),
    };
    assert_eq!(status.history, before.history);
    let names = |status: &twocan::api::Status| -> Vec<String> {
        status
            .contacts
            .iter()
            .map(|contact| contact.name.to_string())
            .collect()
    };
    assert_eq!(names(&status), names(&before));
    assert_eq!(status.contacts[0].presence, Presence::Unknown);
}

#[tokio::test]
async fn quit_is_answered_and_then_everything_is_over() {
    let mut anna = Phone::new("Anna");
    anna.order(Command::Quit).await;
    anna.handle.ended().await.expect("it ends as it should");
    assert!(anna.client.request(Command::Status).await.is_err());
    let late = twocan::control::Client::new(anna.handle.client());
    let mut late = late;
    assert!(late.event().await.is_none(), "nobody is there to say Ready");
}
