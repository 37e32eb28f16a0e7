//! A contact that answers with an echo: whoever calls hears himself two seconds later.

mod support;

use support::{Phone, SOON, friends, signal};
use twocan::api::{CallState, Event, Switch, Why};
use twocan::audio::Backend;
use twocan::phone::Answering;

fn echo() -> Phone {
    Phone::with("Echo", Backend::Null, Answering::Echo)
}

#[tokio::test]
async fn the_caller_hears_a_tone_and_then_himself_two_seconds_later() {
    let said = signal::speech(6.0, 3);
    let (mut anna, mut echo) = friends(Phone::with_wav("Anna", &said), echo()).await;
    anna.dial("Echo").await;
    anna.until(CallState::Active).await;
    let received = |event: &Event| match event {
        Event::Stats { received, .. } if *received > 330 => Some(()),
        _ => None,
    };
    anna.wait(2 * SOON, received).await;
    anna.hang_up().await;
    anna.until_ended(SOON).await;
    assert_eq!(echo.until_ended(SOON).await, Why::PeerHungUp);

    let heard = signal::read(&anna.out());
    let tone = signal::onset(&heard).expect("something was heard");
    assert!(tone < signal::RATE, "the tone came after {tone} samples");
    // Two seconds off: the comparison itself looks half a second both ways.
    let late = &heard[2 * signal::RATE..];
    let found = signal::compare_in_parts(&said, late);
    assert!(found.likeness > 0.7, "{found:?}");
    assert!((0.0..450.0).contains(&found.delay_ms), "{found:?}");
    anna.end().await;
    echo.end().await;
}

#[tokio::test]
async fn it_takes_one_call_at_a_time_and_begins_again_after_a_hold() {
    let (anna, echo) = friends(Phone::new("Anna"), echo()).await;
    let (mut echo, mut ben) = friends(echo, Phone::new("Ben")).await;
    let mut anna = anna;
    anna.dial("Echo").await;
    anna.until(CallState::Active).await;
    ben.dial("Echo").await;
    assert_eq!(ben.until_ended(SOON).await, Why::Busy);
    assert_eq!(echo.until_ended(SOON).await, Why::Missed);

    let received = |event: &Event| match event {
        Event::Stats { received, .. } => Some(*received),
        _ => None,
    };
    let before = anna.wait(SOON, received).await;
    anna.hold(Switch::On).await;
    anna.until(CallState::Held).await;
    anna.hold(Switch::Off).await;
    anna.until(CallState::Active).await;
    let more = |event: &Event| match event {
        Event::Stats { received, .. } if *received > before + 60 => Some(()),
        _ => None,
    };
    anna.wait(SOON, more).await;
    anna.hang_up().await;
    assert_eq!(echo.until_ended(SOON).await, Why::PeerHungUp);
}
