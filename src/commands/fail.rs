//! How a command fails: one sentence and an exit code. The only place that turns the phone's words
//! into exit codes.

use twocan::api::{Done, Refusal, Trouble, Why};
use twocan::cli::Exit;
use twocan::config::{ConfigError, SettingError};

/// What a command brings when it does not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    /// What is wrong and what to do, in one or a few lines; empty when it was said already.
    pub message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl ToString) -> Failure {
        Failure {
            exit,
            message: message.to_string(),
        }
    }

    /// Ends with a code and says nothing more.
    pub fn silent(exit: Exit) -> Failure {
        Failure {
            exit,
            message: String::new(),
        }
    }

    /// The phone answered something that does not belong to the question.
    pub fn unexpected(answer: &Done) -> Failure {
        Failure::new(
            Exit::Other,
            format!("the running phone, perhaps another version, answered {answer:?}"),
        )
    }

    /// No phone runs where one is needed.
    pub fn nobody_runs() -> Failure {
        Failure::new(
            Exit::Home,
            "no phone runs for this home: start one with `twocan` or `twocan daemon`",
        )
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::new(Exit::Config, error)
    }
}

impl From<SettingError> for Failure {
    fn from(error: SettingError) -> Failure {
        Failure::new(Exit::Usage, error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure {
            exit: of_trouble(refusal.trouble),
            message: refusal.why,
        }
    }
}

/// The exit code of a refused request.
fn of_trouble(trouble: Trouble) -> Exit {
    match trouble {
        Trouble::Usage => Exit::Usage,
        Trouble::Config => Exit::Config,
        Trouble::NoSuchContact => Exit::NoSuchContact,
        Trouble::Unreachable => Exit::Unreachable,
        Trouble::Audio => Exit::Audio,
        Trouble::Identity => Exit::Mismatch,
        Trouble::NotNow | Trouble::Other => Exit::Other,
    }
}

/// The exit code of a call that this command dialled.
pub fn of_call(why: Why) -> Exit {
    match why {
        Why::HungUp | Why::PeerHungUp => Exit::Ok,
        Why::Declined
        | Why::DeclinedHere
        | Why::Busy
        | Why::NoAnswer
        | Why::Missed
        | Why::Cancelled
        | Why::PeerCancelled => Exit::NotTaken,
        Why::Unreachable | Why::Offline | Why::Lost | Why::PeerGone => Exit::Unreachable,
        Why::IdentityMismatch | Why::WordsDiffer => Exit::Mismatch,
        Why::KeysTooOld => Exit::Other,
        Why::ShutDown => Exit::Home,
    }
}
