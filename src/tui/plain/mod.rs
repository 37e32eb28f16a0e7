//! Line mode: the same phone without a picture. For screen readers, dumb terminals and pipes.
//!
//! Only appends lines: no cursor movement, no colour, nothing that repeats by itself.

mod orders;
mod said;

use std::future::Future;
use std::io::{self, BufRead, Write};

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::api::{Command, Message, RequestView};
use crate::peer::SafeText;
use crate::tui::model::Model;
use crate::tui::update::{Effect, Msg, update};
use crate::tui::{Exit, Link, ScreenError};

use orders::Order;

/// Reads orders from stdin and says what happens on stdout.
pub async fn run(
    mut link: Link,
    mut model: Model,
    stop: impl Future<Output = ()>,
) -> Result<Exit, ScreenError> {
    let mut lines = stdin_lines();
    let mut quality = said::QualityWatch::default();
    tokio::pin!(stop);
    say("twocan, line mode. Type help for the orders.")?;
    update(&mut model, Msg::Tick(now()));
    let effects = update(&mut model, Msg::Start);
    // Levels would only be noise here.
    let effects = effects.into_iter().filter(|effect| !matches!(effect, Effect::Send(request) if matches!(request.command, Command::Listen { .. })));
    carry_out(&link, effects.collect())?;
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(Exit::Stopped),
            line = lines.recv() => {
                let line = line.unwrap_or_else(|| "quit".to_owned());
                update(&mut model, Msg::Tick(now()));
                if let Some(exit) = obey(&link, &mut model, &line)? {
                    return Ok(exit);
                }
            }
            message = link.messages.recv() => {
                let message = message.ok_or(ScreenError::EngineGone)?;
                hear(&link, &mut model, message, &mut quality)?;
            }
        }
    }
}

/// Asks the name on a line; None at the end of the input.
pub async fn ask_name(guess: &str) -> io::Result<Option<SafeText>> {
    say(&format!(
        "Your name, as your friends know you (empty: {guess}):"
    ))?;
    let line = stdin_lines().recv().await;
    Ok(line.map(|line| {
        SafeText::name(if line.trim().is_empty() {
            guess
        } else {
            line.trim()
        })
    }))
}

fn hear(
    link: &Link,
    model: &mut Model,
    message: Message,
    quality: &mut said::QualityWatch,
) -> Result<(), ScreenError> {
    update(model, Msg::Tick(now()));
    let first = model.me.is_none();
    let line = said::line(model, &message, quality);
    let effects = update(model, Msg::Heard(message));
    if let Some(line) = line {
        say(&said::stamped(model, &line))?;
    }
    if first && model.me.is_some() {
        for line in said::status(model) {
            say(&line)?;
        }
    }
    // What the screen would draw as a window is a line here.
    model.popup = None;
    carry_out(link, effects)
}

fn obey(link: &Link, model: &mut Model, line: &str) -> Result<Option<Exit>, ScreenError> {
    match orders::parse(line) {
        Ok(Order::Nothing) => {}
        Ok(Order::Help) => orders::HELP.iter().try_for_each(|line| say(line))?,
        Ok(Order::Status) => said::status(model).iter().try_for_each(|line| say(line))?,
        Ok(Order::Contacts) => said::contacts(model)
            .iter()
            .try_for_each(|line| say(line))?,
        Ok(Order::History) => said::history(model).iter().try_for_each(|line| say(line))?,
        Ok(Order::Requests) => said::requests(model)
            .iter()
            .try_for_each(|line| say(line))?,
        Ok(Order::Accept(who)) => match stranger(model, &who) {
            Some(peer) => send(link, model, vec![Command::Accept { peer }])?,
            None => say(NO_SUCH_REQUEST)?,
        },
        Ok(Order::Dismiss(who)) => match stranger(model, &who) {
            Some(peer) => send(link, model, vec![Command::Dismiss { peer }])?,
            None => say(NO_SUCH_REQUEST)?,
        },
        Ok(Order::Quit) if !model.attached => {
            send(link, model, vec![Command::Quit])?;
            return Ok(Some(Exit::Left));
        }
        Ok(Order::Quit) => return Ok(Some(Exit::Left)),
        Ok(Order::Verify(matches)) => match model.current().map(|call| call.peer_id.to_string()) {
            Some(peer) => send(link, model, vec![Command::Verify { peer, matches }])?,
            None => say("no call whose words could be compared")?,
        },
        Ok(Order::Hold) => match model.current().map(|call| (call.id, call.held_here)) {
            Some((call, held)) => {
                let to = if held {
                    crate::api::Switch::Off
                } else {
                    crate::api::Switch::On
                };
                send(
                    link,
                    model,
                    vec![Command::Hold {
                        call: Some(call),
                        to,
                    }],
                )?;
            }
            None => say("no call to hold")?,
        },
        Ok(Order::Answer { muted }) => {
            let active = model
                .current()
                .filter(|call| call.is_answered() && !call.held_here)
                .map(|call| call.id);
            let hold = active.map(|call| Command::Hold {
                call: Some(call),
                to: crate::api::Switch::On,
            });
            let answer = Command::Answer {
                call: model.incoming().map(|call| call.id),
                muted,
            };
            send(link, model, hold.into_iter().chain([answer]).collect())?;
        }
        Ok(Order::Send(command)) => send(link, model, vec![command])?,
        Err(trouble) => say(&trouble)?,
    }
    Ok(None)
}

/// The ID of somebody in the list of requests, by ID or by number.
fn stranger(model: &Model, who: &str) -> Option<String> {
    let numbered = (1..).zip(&model.requests);
    let found = |(number, request): &(usize, &RequestView)| {
        who.parse() == Ok(*number) || request.id.to_string() == who
    };
    let (_, request) = numbered.into_iter().find(found)?;
    Some(request.id.to_string())
}

fn send(link: &Link, model: &mut Model, commands: Vec<Command>) -> Result<(), ScreenError> {
    let mut effects = Vec::new();
    for command in commands {
        crate::tui::update::send(model, &mut effects, command);
    }
    carry_out(link, effects)
}

fn carry_out(link: &Link, effects: Vec<Effect>) -> Result<(), ScreenError> {
    use tokio::sync::mpsc::error::TrySendError;
    for effect in effects {
        let Effect::Send(request) = effect else {
            continue;
        };
        match link.commands.try_send(request) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => say("the phone is busy, that was not done: try again")?,
            Err(TrySendError::Closed(_)) => return Err(ScreenError::EngineGone),
        }
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

const NO_SUCH_REQUEST: &str = "nobody in the list has that number or ID. Type requests to see it";

/// Stdin has no way to be waited for here, so a thread reads it; it ends with the process.
fn stdin_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else {
                return;
            };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[expect(
    clippy::disallowed_methods,
    reason = "this loop is the driver that tells the model the time"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
