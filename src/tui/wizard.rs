//! The first start: asks the name before there is an engine. Sound and invite follow on the main
//! screen, once the engine runs ([`crate::tui::Options::first_run`]).

use std::io;

use crossterm::event::{Event as TerminalEvent, KeyEventKind};

use crate::peer::SafeText;
use crate::tui::action::{Action, Situation};
use crate::tui::driver::Keyboard;
use crate::tui::model::Model;
use crate::tui::popup::Field;

/// What the first screen holds.
#[derive(Clone, Debug, PartialEq)]
pub struct NameStep {
    pub field: Field,
    pub trouble: Option<&'static str>,
}

/// How it went on after a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Asking,
    Chosen(SafeText),
    /// The person wants to leave before anything was made.
    Left,
}

impl NameStep {
    /// `guess` stands in the field, say the login name.
    pub fn new(guess: &str) -> NameStep {
        NameStep {
            field: Field::with(guess),
            trouble: None,
        }
    }

    /// Takes what the terminal says.
    pub fn take(&mut self, model: &Model, event: TerminalEvent) -> Outcome {
        match event {
            TerminalEvent::Paste(text) => self.field.paste(&text),
            TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => {
                let found = model.look.keymap.find(key.into(), Situation::Field);
                match found.map(|found| found.0) {
                    Some(Action::Submit) => return self.submit(),
                    Some(Action::Interrupt) => return Outcome::Left,
                    Some(_) => {}
                    None => {
                        self.field.key(key);
                        self.trouble = None;
                    }
                }
            }
            _ => {}
        }
        Outcome::Asking
    }

    fn submit(&mut self) -> Outcome {
        if self.field.text().trim().is_empty() {
            self.trouble = Some("a name is needed; it can be anything your friends know you by");
            return Outcome::Asking;
        }
        Outcome::Chosen(SafeText::name(self.field.text().trim()))
    }
}

/// Asks until there is a name; None if the person leaves.
pub(super) async fn ask<K: Keyboard>(
    step: &mut NameStep,
    model: &Model,
    keyboard: &mut K,
    mut draw: impl FnMut(&NameStep, &Model) -> io::Result<()>,
) -> io::Result<Option<SafeText>> {
    loop {
        draw(step, model)?;
        let Some(event) = keyboard.next().await.transpose()? else {
            return Ok(None);
        };
        match step.take(model, event) {
            Outcome::Asking => {}
            Outcome::Chosen(name) => return Ok(Some(name)),
            Outcome::Left => return Ok(None),
        }
    }
}
