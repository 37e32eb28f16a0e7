//! `twocan call`: one call, from dialling to its end.

use std::future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Sleep;
use twocan::api::{CallId, CallState, Command, Done, Event, Stamped, Why};
use twocan::cli::{CallArgs, Exit};

use super::fail::{self, Failure};
use super::phone::Phone;
use super::setup::Setup;
use super::signals::Signals;
use super::{out, words};

/// Dials, and stays until the call has ended.
///
/// # Errors
/// When nobody could be talked to; the exit code says why not.
pub async fn run(setup: &Setup, args: CallArgs) -> Result<(), Failure> {
    let signals = Signals::new()?;
    let mut phone = Phone::running_or_own(setup, args.engine).await?;
    let dial = Command::Dial {
        peer: args.name,
        muted: args.muted,
    };
    let ended = match phone.request(dial).await {
        Ok(Done::Call(call)) => {
            let conversation = Conversation {
                call,
                limit: args.limit,
                setup,
                signals,
            };
            conversation.run(&mut phone).await
        }
        Ok(other) => Err(Failure::unexpected(&other)),
        Err(failure) => Err(failure),
    };
    phone.close().await;
    ended
}

/// One call that was dialled here.
struct Conversation<'a> {
    call: CallId,
    /// How long to talk.
    limit: Option<Duration>,
    setup: &'a Setup,
    signals: Signals,
}

/// Why this side hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The time is over.
    Limit,
    Signal,
}

impl Conversation<'_> {
    async fn run(mut self, phone: &mut Phone) -> Result<(), Failure> {
        let mut clock = None;
        let ending = loop {
            let event = tokio::select! {
                _ = self.signals.next() => break Ending::Signal,
                () = ring(&mut clock) => break Ending::Limit,
                event = phone.event() => event,
            };
            let missed = matches!(&event, Some(stamped) if stamped.event == Event::Resync);
            if let Some(why) = self.take(event, &mut clock)? {
                return self.over(why);
            }
            if missed && !self.goes_on(phone).await? {
                let error =
                    "the call ended while this command could not follow; the history tells how";
                return Err(Failure::new(Exit::Other, error));
            }
        };
        let over = self.hang_up(phone);
        let ended = tokio::time::timeout(GOODBYE, over).await.unwrap_or(Ok(()));
        match ending {
            Ending::Signal => Err(Failure::new(
                Exit::Interrupted,
                "interrupted: the call was ended",
            )),
            Ending::Limit => ended,
        }
    }

    /// Whether the call is still there, after events were lost.
    async fn goes_on(&self, phone: &mut Phone) -> Result<bool, Failure> {
        let status = phone.status().await?;
        Ok(status.calls.iter().any(|call| call.call == self.call))
    }

    /// Asks for the end and waits for it.
    async fn hang_up(&self, phone: &mut Phone) -> Result<(), Failure> {
        phone
            .request(Command::Hangup {
                call: Some(self.call),
            })
            .await?;
        let mut clock = None;
        loop {
            let event = phone.event().await;
            if self.take(event, &mut clock)?.is_some() {
                return Ok(());
            }
        }
    }

    /// Prints what happened to this call. Starts the clock when it becomes active.
    ///
    /// Brings how it ended, once it has.
    fn take(&self, event: Option<Stamped>, clock: &mut Clock) -> Result<Option<Why>, Failure> {
        let Some(stamped) = event else {
            return Err(Failure::new(
                Exit::Home,
                "the phone has ended, and the call with it",
            ));
        };
        if !self.concerns(&stamped.event) {
            return Ok(None);
        }
        if self.setup.global.json {
            out::json(&stamped)?;
        } else {
            words::tell(self.setup, &stamped.event);
        }
        match (stamped.event, self.limit) {
            (
                Event::Call {
                    state: CallState::Active,
                    ..
                },
                Some(limit),
            ) if clock.is_none() => {
                *clock = Some(Box::pin(tokio::time::sleep(limit)));
                Ok(None)
            }
            (
                Event::Call {
                    state: CallState::Ended,
                    why,
                    ..
                },
                _,
            ) => Ok(Some(why.unwrap_or(Why::Lost))),
            _ => Ok(None),
        }
    }

    fn concerns(&self, event: &Event) -> bool {
        match event {
            Event::Call { call, .. }
            | Event::Path { call, .. }
            | Event::Stats { call, .. }
            | Event::Levels { call, .. }
            | Event::Recording { call, .. }
            | Event::Microphone { call, .. }
            | Event::Sas { call, .. } => *call == self.call,
            Event::Ready { .. } | Event::Audio(_) | Event::Error { .. } | Event::Resync => true,
            Event::Presence { .. }
            | Event::Text { .. }
            | Event::Contact { .. }
            | Event::Request { .. }
            | Event::Network { .. }
            | Event::Standing { .. } => false,
        }
    }

    fn over(&self, why: Why) -> Result<(), Failure> {
        match fail::of_call(why) {
            Exit::Ok => Ok(()),
            exit => Err(Failure::new(exit, why.words())),
        }
    }
}

/// Runs from the moment that the call is active.
type Clock = Option<Pin<Box<Sleep>>>;

/// Comes true when the clock has run off; never, if it does not run.
async fn ring(clock: &mut Clock) {
    match clock {
        Some(clock) => clock.await,
        None => future::pending().await,
    }
}

/// How long the end of a call may take to come true.
const GOODBYE: Duration = Duration::from_secs(3);
