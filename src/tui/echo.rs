//! The key for echo cancelling.

use crate::api::Command;
use crate::tui::model::Model;
use crate::tui::update::{Effect, send};

/// Goes on to the next way of cancelling.
pub fn next(model: &mut Model, effects: &mut Vec<Effect>) {
    let now = model.echo_cancelling.or_else(|| {
        let call = model.current()?;
        Some(call.cleaning.choice)
    });
    let to = now.unwrap_or_default().next();
    model.echo_cancelling = Some(to);
    model.say(format!("echo cancelling: {}", to.words()), false);
    send(model, effects, Command::EchoCancelling { to });
}
