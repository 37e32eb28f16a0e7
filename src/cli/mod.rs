//! The command line: what can be typed, and what the program's exit codes mean.
//!
//! Only the table is here; nothing is carried out. The manual and the completions are made from it.

mod args;
mod exit;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use args::{
    CallArgs, ConfigCommand, ContactCommand, DevicesCommand, DoctorCommand, EchoArgs, EngineArgs,
    IdCommand, InviteArgs, Reflect, RelayArgs, RelayCommand, RequestsCommand, SshArgs, Standing,
    Switch, parse_duration, parse_rate,
};
pub use exit::Exit;

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "twocan",
    version,
    about = "A telephone that lives in a terminal and belongs to nobody",
    long_about = "A telephone that lives in a terminal and belongs to nobody.\n\n\
                  Without a command it shows the screen; the first time it asks for a name.",
    after_help = Exit::help(),
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(flatten)]
    pub engine: EngineArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// Reads the words of a command line, the program's name first.
    ///
    /// # Errors
    /// What clap says about it; asking for help or the version is such an error too.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
        let matches = Cli::command().try_get_matches_from(words)?;
        let cli = Cli::from_arg_matches(&matches)?;
        match cli.command {
            None => Ok(cli),
            Some(_) => refuse_engine_options(&matches).map(|()| cli),
        }
    }
}

/// The engine options of the screen would be lost before a command.
fn refuse_engine_options(matches: &ArgMatches) -> Result<(), clap::Error> {
    let typed = [
        "listen",
        "network",
        "bootstrap",
        "lan",
        "port_mapping",
        "lend",
        "audio",
        "answer",
    ]
    .into_iter()
    .find(|id| matches.value_source(id) == Some(ValueSource::CommandLine));
    match typed {
        None => Ok(()),
        Some(id) => Err(Cli::command().error(
            ErrorKind::ArgumentConflict,
            format!(
                "--{} does nothing here: write it after `daemon`, `call` or `relay`, or without a command",
                id.replace('_', "-")
            ),
        )),
    }
}

/// Options that every command understands.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Keep everything (config, keys, contacts, log, socket) in this directory
    #[arg(long, global = true, value_name = "DIR", env = "TWOCAN_HOME")]
    pub home: Option<PathBuf>,
    /// Read this configuration file instead of the usual one
    #[arg(long, global = true, value_name = "FILE", env = "TWOCAN_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print data as JSON: one object, or one a line where it goes on
    #[arg(long, global = true)]
    pub json: bool,
    /// Never ask anything: what is missing is an error
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Lines of text instead of a screen
    #[arg(long, global = true, env = "TWOCAN_PLAIN", value_parser = clap::builder::FalseyValueParser::new())]
    pub plain: bool,
    /// Write the log to this file; - means standard error
    #[arg(long, global = true, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Log more: debug, and with -vv everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Colours: auto, always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    pub color: Color,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    Always,
    Never,
}

/// What is to be done.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show, make or restore the identity of this phone
    Id {
        #[command(subcommand)]
        command: Option<IdCommand>,
    },
    /// Print one line that adds whoever opens it as a contact
    Invite(InviteArgs),
    /// The people this phone knows
    Contact {
        #[command(subcommand)]
        command: ContactCommand,
    },
    /// Strangers who used a public invite and ask to become contacts
    Requests {
        #[command(subcommand)]
        command: Option<RequestsCommand>,
    },
    /// Choose what contacts see of you; without a word, print it
    Announce {
        #[arg(
            value_name = "available|away|dnd|invisible",
            hide_possible_values = true
        )]
        standing: Option<Standing>,
    },
    /// Run the phone without a screen, until SIGTERM or Ctrl-C
    Daemon(EngineArgs),
    /// Print what happens on the running phone
    Watch {
        /// Also the sound levels, ten a second while a call is up
        #[arg(long)]
        levels: bool,
    },
    /// Call somebody; ends when the call ends
    Call(CallArgs),
    /// End the call on the running phone
    Hangup,
    /// Answer the ringing call on the running phone
    Answer {
        /// Leave the microphone muted
        #[arg(long)]
        muted: bool,
    },
    /// Decline the ringing call on the running phone
    Decline,
    /// Mute the running phone's microphone
    Mute {
        #[arg(value_name = "on|off|toggle")]
        to: Switch,
    },
    /// Keep both voices of the running phone's call in a file; the other side is told
    Record {
        #[arg(
            value_name = "on|off|toggle",
            default_value = "toggle",
            hide_default_value = true
        )]
        to: Switch,
    },
    /// Put the running phone's call on hold, or take it up again
    Hold {
        #[arg(
            value_name = "on|off|toggle",
            default_value = "toggle",
            hide_default_value = true
        )]
        to: Switch,
    },
    /// Send one line of text to a contact
    Text {
        #[arg(value_name = "NAME")]
        name: String,
        #[arg(value_name = "LINE")]
        line: String,
    },
    /// What the running phone is doing
    Status,
    /// Run an ultrapeer, on which phones lean to find each other, until SIGTERM or Ctrl-C
    Relay(RelayArgs),
    /// Find out what works here and what does not
    Doctor {
        #[command(subcommand)]
        command: DoctorCommand,
    },
    /// List microphones and loudspeakers, or change to others
    Devices {
        #[command(subcommand)]
        command: Option<DevicesCommand>,
    },
    /// Run the phone on another computer, with the sound of this one
    Ssh(SshArgs),
    /// Hear yourself two seconds later, to try the sound
    Echo(EchoArgs),
    /// The configuration file
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print a completion script for a shell
    Completions {
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory
    Man {
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::read(
            std::iter::once("twocan")
                .chain(line.split_whitespace())
                .map(OsString::from),
        )
    }

    #[test]
    fn the_table_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in ["--home /h --json status", "status --json --home /h"] {
            let cli = parse(line).expect(line);
            assert_eq!(cli.global.home, Some(PathBuf::from("/h")));
            assert!(cli.global.json);
        }
    }

    #[test]
    fn engine_options_stand_on_the_screen_daemon_and_call() {
        for line in [
            "--audio null",
            "daemon --audio null",
            "call anna --audio null --for 10s",
            "relay --audio null",
        ] {
            let cli = parse(line).expect(line);
            let args = match cli.command {
                None => cli.engine,
                Some(Command::Daemon(engine)) => engine,
                Some(Command::Call(call)) => call.engine,
                Some(Command::Relay(relay)) => relay.engine,
                Some(other) => panic!("{other:?}"),
            };
            assert_eq!(args.audio.as_deref(), Some("null"));
        }
        assert!(parse("status --audio null").is_err());
        assert!(parse("--audio null status").is_err());
        assert!(parse("--audio null daemon").is_err());
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        for line in [
            "dance",
            "mute perhaps",
            "call",
            "call anna --for soon",
            "contact",
            "text anna",
            "announce busy",
            "requests accept",
            "invite --public --uses 2",
        ] {
            assert!(parse(line).is_err(), "{line} was taken");
        }
    }
}
