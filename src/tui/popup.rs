//! What can lie over the main screen: questions, fields, the invite, help. One at a time.

use crossterm::event::Event as TerminalEvent;
use jiff::Timestamp;
use tui_input::Input;
use tui_input::backend::crossterm::to_input_request;

use crate::api::CallId;
use crate::peer::{PeerId, SafeText};

/// The one thing over the main screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Popup {
    Help {
        scroll: u16,
    },
    Ask(Question),
    Prompt(Prompt),
    Invite(InviteView),
    /// What contacts are told of the owner.
    Standing,
    /// Strangers who ask, with the one under the cursor.
    Requests {
        at: Option<PeerId>,
    },
    /// Sound devices, with the cursor on this row.
    Devices {
        row: usize,
    },
    Wizard(Step),
}

/// A yes-or-no question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    Remove {
        peer: PeerId,
        name: SafeText,
    },
    Block {
        peer: PeerId,
        name: SafeText,
    },
    /// Somebody who is calling right now.
    BlockCaller {
        call: CallId,
        peer: PeerId,
        name: SafeText,
    },
    /// A second call: the first one goes on hold.
    DialToo {
        peer: PeerId,
        name: SafeText,
        muted: bool,
    },
    ClearHistory,
    /// A call is up.
    Quit,
}

/// One line to type.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    pub kind: PromptKind,
    pub field: Field,
    /// What is wrong with what was typed.
    pub trouble: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PromptKind {
    /// The invite line of a new contact.
    AddLine,
    /// What to call the new contact.
    AddName {
        line: String,
    },
    Rename {
        peer: PeerId,
        name: SafeText,
    },
    Text {
        peer: PeerId,
        name: SafeText,
    },
}

impl Prompt {
    pub fn new(kind: PromptKind, text: &str) -> Prompt {
        Prompt {
            kind,
            field: Field::with(text),
            trouble: None,
        }
    }
}

/// An invite that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteView {
    pub line: String,
    pub expires: Timestamp,
    /// For strangers.
    pub public: bool,
    /// The QR code in whole cells instead of half blocks.
    pub full_size: bool,
    /// The view closes the first start.
    pub welcome: bool,
}

/// The steps of the first start that need a running phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Sound,
}

/// A text field with the keys of readline.
#[derive(Clone, Debug, Default)]
pub struct Field(Input);

impl Field {
    pub fn with(text: &str) -> Field {
        Field(Input::new(text.to_owned()))
    }

    pub fn text(&self) -> &str {
        self.0.value()
    }

    /// Takes a key. True if it meant anything to the field.
    pub fn key(&mut self, key: crossterm::event::KeyEvent) -> bool {
        let request = to_input_request(&TerminalEvent::Key(key));
        request.is_some_and(|request| self.0.handle(request).is_some())
    }

    /// Inserts pasted text at the cursor: one line, no control characters, bounded.
    pub fn paste(&mut self, text: &str) {
        let room = MAX_TYPED.saturating_sub(self.text().chars().count());
        let clean = text.chars().filter(|c| !c.is_control()).take(room);
        clean.for_each(|c| {
            self.0.handle(tui_input::InputRequest::InsertChar(c));
        });
    }

    /// The part that fits `width` cells, and the cursor's column in it.
    pub fn window(&self, width: usize) -> (String, usize) {
        use unicode_segmentation::UnicodeSegmentation;
        use unicode_width::UnicodeWidthStr;
        let scroll = self.0.visual_scroll(width.max(1));
        let (mut column, mut shown, mut cells) = (0, String::new(), 0);
        for grapheme in self.text().graphemes(true) {
            let wide = grapheme.width();
            if column >= scroll && cells + wide <= width {
                shown.push_str(grapheme);
                cells += wide;
            }
            column += wide;
        }
        (
            shown,
            self.0
                .visual_cursor()
                .saturating_sub(scroll)
                .min(width.saturating_sub(1)),
        )
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Field) -> bool {
        self.0.value() == other.0.value() && self.0.cursor() == other.0.cursor()
    }
}

/// Longer than any invite, short enough to be no burden.
const MAX_TYPED: usize = 4000;
