//! The exit codes.

/// How the program ends, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    Other = 1,
    Usage = 2,
    Config = 3,
    NoSuchContact = 4,
    Unreachable = 5,
    NotTaken = 6,
    Audio = 7,
    Home = 8,
    Mismatch = 9,
    TimedOut = 124,
    Interrupted = 130,
}

impl Exit {
    /// Every code there is, in order.
    pub const ALL: [Exit; 12] = [
        Exit::Ok,
        Exit::Other,
        Exit::Usage,
        Exit::Config,
        Exit::NoSuchContact,
        Exit::Unreachable,
        Exit::NotTaken,
        Exit::Audio,
        Exit::Home,
        Exit::Mismatch,
        Exit::TimedOut,
        Exit::Interrupted,
    ];

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for help and manual.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "all went well",
            Exit::Other => "something else went wrong",
            Exit::Usage => "wrong usage",
            Exit::Config => "configuration or identity cannot be used",
            Exit::NoSuchContact => "no such contact",
            Exit::Unreachable => "the other phone cannot be reached",
            Exit::NotTaken => "declined, busy or no answer",
            Exit::Audio => "sound does not work",
            Exit::Home => "another twocan holds this home, or none runs",
            Exit::Mismatch => "identity or words do not match",
            Exit::TimedOut => "timed out",
            Exit::Interrupted => "interrupted",
        }
    }

    pub(super) fn help() -> String {
        let lines = Exit::ALL.map(|exit| format!("  {:<4} {}", exit.code(), exit.meaning()));
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}
