//! The one table of everything a key can do: name, help, where it is valid, default keys.
//!
//! Bindings, the footer, the help overlay, the check of `[keys]` in the config file and the man
//! page all read [`TABLE`]; a key that is not here does nothing.

use std::fmt;

/// What a key press asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Answer,
    AnswerMuted,
    Decline,
    Ignore,
    BlockCaller,
    Mute,
    HangUp,
    WordsMatch,
    WordsDiffer,
    Hold,
    Record,
    Swap,
    Quieter,
    Louder,
    GainDown,
    GainUp,
    EchoCancelling,
    Call,
    CallMuted,
    CallBack,
    Redial,
    Invite,
    Add,
    Text,
    Rename,
    Block,
    RelayOnly,
    Remove,
    CopyId,
    ClearHistory,
    Filter,
    NextPane,
    PreviousPane,
    PaneContacts,
    PaneCall,
    PaneHistory,
    Up,
    Down,
    First,
    Last,
    PageUp,
    PageDown,
    Back,
    CopyMode,
    Standing,
    Requests,
    Help,
    Quit,
    Yes,
    No,
    CopyInvite,
    PublicInvite,
    FullSize,
    SayAvailable,
    SayAway,
    SayDoNotDisturb,
    SayInvisible,
    AcceptRequest,
    DismissRequest,
    Devices,
    UseDevice,
    LookAgain,
    CopyCommand,
    CloseView,
    NextStep,
    Submit,
    Cancel,
    Interrupt,
    Repaint,
    Suspend,
}

/// Where a key is valid. Several hold at once; no key may mean two things in contexts that can hold
/// together (see [`Situation::contexts`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Context {
    /// The list of contacts has the focus.
    Contacts,
    /// The details of a contact have the focus (no call is up).
    Details,
    /// The call pane has the focus and a call is up.
    Call,
    /// The history has the focus.
    History,
    /// No call is up, whatever has the focus.
    Idle,
    /// A call is up, whatever has the focus.
    InCall,
    /// Somebody calls and no text field is open.
    Incoming,
    /// A yes-or-no question is open.
    Ask,
    /// The help overlay is open.
    Help,
    /// The invite view is open.
    Invite,
    /// The choice of what contacts see is open.
    Standing,
    /// The list of strangers who ask is open.
    Requests,
    /// The list of sound devices is open.
    Devices,
    /// A step of the first start is open.
    Wizard,
    /// A text field is open: no letter is a command.
    Field,
    /// Any pane of the main screen.
    Main,
    /// Everywhere, text fields included.
    Always,
}

impl Context {
    /// The heading for help and manual.
    pub fn title(self) -> &'static str {
        match self {
            Context::Contacts => "contacts",
            Context::Details => "details of a contact",
            Context::Call => "call pane",
            Context::History => "history",
            Context::Idle => "while no call is up",
            Context::InCall => "in a call",
            Context::Incoming => "somebody calls",
            Context::Ask => "question",
            Context::Help => "this help",
            Context::Invite => "invite",
            Context::Standing => "what contacts see",
            Context::Requests => "requests",
            Context::Devices => "sound devices",
            Context::Wizard => "first start",
            Context::Field => "text field",
            Context::Main => "any pane",
            Context::Always => "anywhere",
        }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// What the keyboard talks to at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    Contacts { in_call: bool },
    Details,
    Call,
    History { in_call: bool },
    Incoming { in_call: bool },
    Ask,
    Help,
    Invite,
    Standing,
    Requests,
    Devices,
    Wizard,
    Field,
}

impl Situation {
    /// Every situation there is, for checks of the whole table.
    pub const ALL: [Situation; 16] = [
        Situation::Contacts { in_call: false },
        Situation::Contacts { in_call: true },
        Situation::Details,
        Situation::Call,
        Situation::History { in_call: false },
        Situation::History { in_call: true },
        Situation::Incoming { in_call: false },
        Situation::Incoming { in_call: true },
        Situation::Ask,
        Situation::Help,
        Situation::Invite,
        Situation::Standing,
        Situation::Requests,
        Situation::Devices,
        Situation::Wizard,
        Situation::Field,
    ];

    /// The contexts that hold here.
    pub fn contexts(self) -> &'static [Context] {
        use Context::*;
        match self {
            Situation::Contacts { in_call: false } => &[Contacts, Idle, Main, Always],
            Situation::Contacts { in_call: true } => &[Contacts, InCall, Main, Always],
            Situation::Details => &[Details, Idle, Main, Always],
            Situation::Call => &[Call, InCall, Main, Always],
            Situation::History { in_call: false } => &[History, Idle, Main, Always],
            Situation::History { in_call: true } => &[History, InCall, Main, Always],
            Situation::Incoming { in_call: false } => &[Incoming, Main, Always],
            Situation::Incoming { in_call: true } => &[Incoming, InCall, Main, Always],
            Situation::Ask => &[Ask, Always],
            Situation::Help => &[Help, Always],
            Situation::Invite => &[Invite, Always],
            Situation::Standing => &[Standing, Always],
            Situation::Requests => &[Requests, Always],
            Situation::Devices => &[Devices, Always],
            Situation::Wizard => &[Wizard, Always],
            Situation::Field => &[Field, Always],
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub action: Action,
    /// The name in `[keys]` of the config file.
    pub name: &'static str,
    /// One line for help and manual.
    pub help: &'static str,
    /// One or two words for the footer; empty = not shown there.
    pub brief: &'static str,
    pub contexts: &'static [Context],
    /// In crokey syntax, the one to show first.
    pub keys: &'static [&'static str],
}

/// The row of an action.
pub fn entry(action: Action) -> &'static Entry {
    TABLE
        .iter()
        .find(|entry| entry.action == action)
        .expect("a unit test finds every action in the table")
}

/// All rows; the footer shows them in this order.
#[rustfmt::skip]
pub const TABLE: &[Entry] = {
    use Action::*;
    use Context as C;
    const MAIN: &[Context] = &[C::Main];
    const PERSON: &[Context] = &[C::Contacts, C::Details];
    const NO_CALL_PANE: &[Context] = &[C::Contacts, C::Details, C::History];
    const IN_CALL: &[Context] = &[C::InCall];
    const INCOMING: &[Context] = &[C::Incoming];
    const ALWAYS: &[Context] = &[C::Always];
    const LISTS: &[Context] = &[C::Main, C::Help, C::Requests, C::Devices];
    const SAY: &[Context] = &[C::Standing];
    const REQUESTS: &[Context] = &[C::Requests];
    &[
        row(Answer, "answer", "answer; a call that is up is put on hold", "answer", INCOMING, &["a"]),
        row(AnswerMuted, "answer-muted", "answer with the microphone muted", "answer muted", INCOMING, &["shift-a"]),
        row(Decline, "decline", "decline; the caller is told", "decline", INCOMING, &["d"]),
        row(Ignore, "ignore", "stop the ringing here, the caller is not told", "ignore (quiet)", INCOMING, &["i"]),
        row(BlockCaller, "block-caller", "block the caller (asks)", "block", INCOMING, &["b"]),
        row(Mute, "mute", "mute or unmute the microphone", "mute", IN_CALL, &["m"]),
        row(HangUp, "hang-up", "hang up: press twice; once while it rings there", "hang up", IN_CALL, &["x"]),
        row(WordsMatch, "words-match", "the words are the same at both ends: mark as verified", "", IN_CALL, &["v"]),
        row(WordsDiffer, "words-differ", "the words differ: hang up and take the mark away", "", IN_CALL, &["shift-v"]),
        row(Hold, "hold", "put the call on hold, or take it up again", "hold", &[C::Call], &["h"]),
        row(Record, "record", "record the call, or no longer; the other side is told", "record", &[C::Call], &["shift-o"]),
        row(Swap, "swap", "switch between two calls", "", &[C::Call], &["w"]),
        row(Quieter, "quieter", "loudspeaker down", "", IN_CALL, &["["]),
        row(Louder, "louder", "loudspeaker up", "", IN_CALL, &["]"]),
        row(GainDown, "gain-down", "microphone down", "", IN_CALL, &["{"]),
        row(GainUp, "gain-up", "microphone up", "", IN_CALL, &["}"]),
        row(EchoCancelling, "echo-cancelling", "echo cancelling: automatic, on, off", "", IN_CALL, &["shift-e"]),
        row(Call, "call", "call", "call", PERSON, &["enter", "c"]),
        row(CallMuted, "call-muted", "call with the microphone muted", "", &[C::Idle], &["m"]),
        row(CallBack, "call-back", "call back", "call back", &[C::History], &["enter", "r"]),
        row(Redial, "redial", "call the last one again", "", PERSON, &["r"]),
        row(Invite, "invite", "make an invite: one line that adds a friend", "invite", NO_CALL_PANE, &["i"]),
        row(Add, "add", "add a contact by an invite (or just paste it)", "add", NO_CALL_PANE, &["a"]),
        row(Text, "text", "send a line of text", "text", &[C::Contacts, C::Details, C::Call], &["shift-t"]),
        row(Rename, "rename", "give the contact another name", "", PERSON, &["e"]),
        row(Block, "block", "block (asks) or unblock the contact", "", PERSON, &["b"]),
        row(RelayOnly, "relay-only", "calls by relays only, so that neither side learns the other's address, or by any path", "", PERSON, &["o"]),
        row(Remove, "remove", "remove the contact (asks)", "", PERSON, &["shift-d"]),
        row(CopyId, "copy-id", "copy the contact's ID to the clipboard", "", PERSON, &["y"]),
        row(ClearHistory, "clear-history", "clear the history (asks)", "", &[C::History], &["shift-c"]),
        row(Filter, "filter", "show only contacts whose name holds a text", "find", MAIN, &["/"]),
        row(NextPane, "next-pane", "next pane", "pane", MAIN, &["tab"]),
        row(PreviousPane, "previous-pane", "previous pane", "", MAIN, &["backtab"]),
        row(PaneContacts, "pane-contacts", "go to the contacts", "", MAIN, &["1"]),
        row(PaneCall, "pane-call", "go to the call or the details", "", MAIN, &["2"]),
        row(PaneHistory, "pane-history", "go to the history", "", MAIN, &["3"]),
        row(Up, "up", "up", "", LISTS, &["k", "up"]),
        row(Down, "down", "down", "", LISTS, &["j", "down"]),
        row(First, "first", "to the top", "", LISTS, &["g", "home"]),
        row(Last, "last", "to the end", "", LISTS, &["shift-g", "end"]),
        row(PageUp, "page-up", "a page up", "", LISTS, &["pageup"]),
        row(PageDown, "page-down", "a page down", "", LISTS, &["pagedown"]),
        row(Back, "back", "back; always harmless", "", MAIN, &["esc"]),
        row(CopyMode, "copy-mode", "hide the borders, to select text with the mouse", "", MAIN, &["z"]),
        row(Standing, "standing", "choose what contacts see: available, away, do not disturb, nothing", "", MAIN, &["s"]),
        row(Requests, "requests", "strangers who ask to become contacts", "", MAIN, &["shift-r"]),
        row(Devices, "devices", "sound devices: see them, change to others", "", MAIN, &["shift-s"]),
        row(Yes, "yes", "yes", "yes", &[C::Ask], &["y"]),
        row(No, "no", "no", "no", &[C::Ask], &["n", "esc", "q"]),
        row(CopyInvite, "copy-invite", "copy the line to the clipboard again", "copy again", &[C::Invite], &["y"]),
        row(PublicInvite, "public-invite", "make an invite for strangers: who uses it has to be accepted", "public invite", &[C::Invite], &["p"]),
        row(FullSize, "full-size", "QR code in double size, for terminals that tear half blocks", "QR size", &[C::Invite], &["shift-q"]),
        row(SayAvailable, "available", "contacts see: available", "available", SAY, &["a"]),
        row(SayAway, "away", "contacts see: away", "away", SAY, &["w"]),
        row(SayDoNotDisturb, "do-not-disturb", "contacts see: do not disturb; calls come in without a sound", "do not disturb", SAY, &["d"]),
        row(SayInvisible, "invisible", "contacts see nothing, as if this phone were off", "invisible", SAY, &["i"]),
        row(AcceptRequest, "accept-request", "make a contact of who asks", "accept", REQUESTS, &["a"]),
        row(DismissRequest, "dismiss-request", "take who asks off the list, without a word", "dismiss", REQUESTS, &["d"]),
        row(UseDevice, "use-device", "use this device from now on", "use", &[C::Devices], &["enter"]),
        row(LookAgain, "look-again", "look for sound devices again", "look again", &[C::Devices], &["r"]),
        row(CopyCommand, "copy-command", "copy the command that brings the sound along by ssh", "copy command", &[C::Devices], &["c"]),
        row(CloseView, "close", "close", "close", &[C::Invite, C::Help, C::Standing, C::Requests, C::Devices], &["esc", "q", "?"]),
        row(NextStep, "next-step", "go on", "go on", &[C::Wizard], &["enter", "esc", "s"]),
        row(Help, "help", "the keys that are valid here", "keys", MAIN, &["?"]),
        row(Quit, "quit", "quit; asks while a call is up", "quit", MAIN, &["q"]),
        row(Submit, "submit", "take over what was typed", "ok", &[C::Field], &["enter"]),
        row(Cancel, "cancel", "leave the field", "cancel", &[C::Field], &["esc"]),
        row(Interrupt, "interrupt", "leave a field or view; on the main screen twice within 2 s: quit", "", ALWAYS, &["ctrl-c"]),
        row(Repaint, "repaint", "draw everything again", "", ALWAYS, &["ctrl-l"]),
        row(Suspend, "suspend", "to the shell (refused in a call)", "", ALWAYS, &["ctrl-z"]),
    ]
};

const fn row(
    action: Action,
    name: &'static str,
    help: &'static str,
    brief: &'static str,
    contexts: &'static [Context],
    keys: &'static [&'static str],
) -> Entry {
    Entry {
        action,
        name,
        help,
        brief,
        contexts,
        keys,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_action_stands_once_and_has_words_keys_and_contexts() {
        let mut actions = BTreeSet::new();
        let mut names = BTreeSet::new();
        for entry in TABLE {
            assert!(actions.insert(entry.action), "{:?} twice", entry.action);
            assert!(names.insert(entry.name), "{} twice", entry.name);
            assert!(!entry.help.is_empty() && !entry.keys.is_empty() && !entry.contexts.is_empty());
        }
        assert!(
            actions.contains(&Action::Suspend),
            "the last variant is in the table"
        );
        assert_eq!(
            actions.len(),
            Action::Suspend as usize + 1,
            "no variant is missing"
        );
    }

    #[test]
    fn nothing_that_answers_or_ends_a_call_is_on_enter_space_or_esc() {
        for entry in TABLE.iter().filter(|entry| {
            entry.contexts.contains(&Context::Incoming) || entry.contexts.contains(&Context::InCall)
        }) {
            for key in entry.keys {
                assert!(
                    !["enter", "space", "esc"].contains(key),
                    "{} on {key}",
                    entry.name
                );
            }
        }
    }
}
