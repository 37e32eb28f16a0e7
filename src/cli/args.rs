//! The arguments of single commands.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jiff::{Span, SpanRelativeTo, Unit};

/// How the engine runs. Also in the configuration file, under the same names.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Engine options")]
pub struct EngineArgs {
    /// Address to listen on, by UDP, or TCP for `relay`, where it may be repeated; port 0 picks one
    #[arg(long, value_name = "IP:PORT", env = "TWOCAN_LISTEN")]
    pub listen: Vec<String>,
    /// Network to find people in: public, private or none
    #[arg(long, value_name = "public|private|none", env = "TWOCAN_NETWORK")]
    pub network: Option<String>,
    /// A node through which the network is entered; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    pub bootstrap: Vec<String>,
    /// Look for contacts on the local network too
    #[arg(long, value_name = "true|false", env = "TWOCAN_LAN")]
    pub lan: Option<bool>,
    /// Ask the gateway to forward a port to this phone
    #[arg(long, value_name = "true|false", env = "TWOCAN_PORT_MAPPING")]
    pub port_mapping: Option<bool>,
    /// Forward calls of contacts that cannot reach each other, if this phone has a public address
    #[arg(long, value_name = "true|false", env = "TWOCAN_LEND")]
    pub lend: Option<bool>,
    /// Sound: the devices, none, or files
    #[arg(long, value_name = "cpal|null|wav:IN,OUT", env = "TWOCAN_AUDIO")]
    pub audio: Option<String>,
    /// Whether a person answers, or the phone does by itself, with the microphone or an echo
    #[arg(long, value_name = "auto|manual|echo", env = "TWOCAN_ANSWER")]
    pub answer: Option<String>,
}

/// `twocan call`.
#[derive(Clone, Debug, Args)]
pub struct CallArgs {
    /// A contact's name or whole ID
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Hang up this long after the call was answered, such as 10s or 5m
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub limit: Option<Duration>,
    /// Call with the microphone muted
    #[arg(long)]
    pub muted: bool,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// `twocan relay`.
#[derive(Clone, Debug, Args)]
pub struct RelayArgs {
    /// An address at which this ultrapeer is reached but which it does not see itself, as behind a
    /// forwarded port; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    pub external: Vec<String>,
    /// Print a systemd unit that runs this ultrapeer, and do nothing else
    #[arg(long)]
    pub systemd: bool,
    /// Whose calls the reflector forwards: those of everyone, of friends who hold the pass, or of nobody
    #[arg(
        long,
        value_name = "everyone|friends|nobody",
        default_value = "everyone",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub reflect: Reflect,
    /// First UDP port of the reflector, which takes one for each processor, at least two; without it
    /// those from the TCP port on, or any that are free
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub reflector_port: Option<u16>,
    /// Most bits that the reflector sends in a second, such as 500k, 20M or 1G
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub max_rate: Option<u64>,
    #[command(flatten)]
    pub engine: EngineArgs,
    #[command(subcommand)]
    pub command: Option<RelayCommand>,
}

/// `twocan relay ...`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum RelayCommand {
    /// How much the running ultrapeer carries, for how many, and where it caps; never for whom
    Status {
        /// Go on, once a second
        #[arg(long)]
        watch: bool,
    },
    /// Print the line by which friends are served first, for their configuration
    Pass {
        /// Make a new one: the old one is good for nothing once the ultrapeer starts again
        #[arg(long)]
        new: bool,
    },
}

/// Whose calls a reflector forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reflect {
    Everyone,
    Friends,
    Nobody,
}

/// `twocan echo`.
#[derive(Clone, Debug, Args)]
pub struct EchoArgs {
    /// End by itself after this time, such as 10s
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub limit: Option<Duration>,
    /// Sound: the devices, none, or files
    #[arg(long, value_name = "cpal|null|wav:IN,OUT", env = "TWOCAN_AUDIO")]
    pub audio: Option<String>,
}

/// `twocan ssh`.
#[derive(Clone, Debug, Args)]
pub struct SshArgs {
    /// Print the command instead of running it
    #[arg(long)]
    pub print: bool,
    /// An option for ssh, such as Port=2222; may be repeated
    #[arg(short = 'o', long = "option", value_name = "OPTION")]
    pub option: Vec<String>,
    /// The other computer, as ssh knows it
    #[arg(value_name = "HOST")]
    pub host: String,
    /// What the phone there is told, such as `call anna`; without it, it shows its screen
    #[arg(
        value_name = "ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub args: Vec<String>,
}

/// `twocan invite`.
#[derive(Clone, Debug, Args)]
pub struct InviteArgs {
    /// How long the invite is good, such as 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_duration)]
    pub expires: Duration,
    /// How many people may use it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub uses: u32,
    /// For strangers: whoever uses it waits in the list of requests until accepted
    #[arg(long, conflicts_with = "uses")]
    pub public: bool,
    /// Also draw it as a QR code, on standard error
    #[arg(long)]
    pub qr: bool,
}

/// `twocan id ...`.
#[derive(Clone, Debug, Subcommand)]
pub enum IdCommand {
    /// Make the identity of this phone
    New {
        /// Name that contacts are told
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Lock the key with a passphrase, which is asked for
        #[arg(long)]
        passphrase: bool,
    },
    /// Print the 24 words that restore this identity: keep them secret
    Words,
    /// Make the identity again from its 24 words, read from standard input
    Restore {
        /// Name that contacts are told
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Lock the key with a passphrase, change it, or unlock the key for good
    Passphrase,
}

/// `twocan contact ...`.
#[derive(Clone, Debug, Subcommand)]
pub enum ContactCommand {
    /// Add whoever made an invite
    Add {
        /// The invite line; - reads it from standard input
        #[arg(value_name = "LINE")]
        line: String,
        /// Name to keep the contact under
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// List all contacts
    List,
    /// Show one contact
    Show {
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Give a contact another name
    Rename {
        #[arg(value_name = "NAME")]
        name: String,
        #[arg(value_name = "NEW")]
        new: String,
    },
    /// Forget a contact: neither side can ring the other any more
    Remove {
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Note that the words of a call were the same at both ends
    Verify {
        #[arg(value_name = "NAME")]
        name: String,
        /// They differ: ends the call and takes the mark away
        #[arg(long)]
        differ: bool,
    },
    /// Let a contact ring no more
    Block {
        #[arg(value_name = "NAME")]
        name: String,
        /// Let the contact ring again
        #[arg(long)]
        off: bool,
    },
    /// Call a contact by relays only, so that neither side learns the other's address
    RelayOnly {
        #[arg(value_name = "NAME")]
        name: String,
        /// Call by any path again
        #[arg(long)]
        off: bool,
    },
}

/// `twocan requests ...`.
#[derive(Clone, Debug, Subcommand)]
pub enum RequestsCommand {
    /// List those who ask
    List,
    /// Make a contact of one who asks
    Accept {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Take one who asks off the list; nobody is told
    Dismiss {
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// What contacts are told of this phone's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Standing {
    Available,
    Away,
    /// Calls come in without a sound.
    #[value(name = "dnd", alias = "do-not-disturb")]
    DoNotDisturb,
    /// Contacts see nothing, as if this phone were off.
    Invisible,
}

/// `twocan devices ...`.
#[derive(Clone, Debug, Subcommand)]
pub enum DevicesCommand {
    /// Change the running phone to other devices, until it ends
    #[command(arg_required_else_help = true)]
    Use {
        /// Name of the microphone; an empty one is the system's choice
        #[arg(long, value_name = "NAME")]
        microphone: Option<String>,
        /// Name of the loudspeaker; an empty one is the system's choice
        #[arg(long, value_name = "NAME")]
        speaker: Option<String>,
    },
}

/// `twocan doctor ...`.
#[derive(Clone, Debug, Subcommand)]
pub enum DoctorCommand {
    /// What kind of network this computer is in, and how calls are carried from here
    Net(EngineArgs),
    /// Where sound comes from and goes to, and whether the microphone hears anything
    Audio,
}

/// `twocan config ...`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print where the file belongs
    Path,
    /// Print the settings that hold
    Show,
    /// Say whether the file is right
    Check,
    /// Print the file with every option at its default
    Template,
}

/// On, off, or the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
    Toggle,
}

/// Reads `10s`, `5m`, `12h`, `7d` and the like; a day has 24 hours.
///
/// # Errors
/// Says how a time is written.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<Span>()
        .and_then(|span| span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())));
    match seconds {
        Ok(seconds) if seconds > 0.0 => {
            Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
        }
        _ => Err("write a time like 10s, 5m, 12h or 7d".to_owned()),
    }
}

/// Reads `500k`, `20M`, `1.5G`: bits in a second.
///
/// # Errors
/// Says how a rate is written.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1e3),
        Some(b'M') => (&text[..text.len() - 1], 1e6),
        Some(b'G') => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    let plain = number
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    match number.parse::<f64>() {
        // A call of two voices takes 160 kbit/s.
        Ok(number) if plain && (1e5..=1e12).contains(&(number * unit)) => {
            Ok((number * unit) as u64)
        }
        _ => Err("write bits in a second like 500k, 20M or 1G, at least 100k".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        let good = [
            ("500k", 500_000),
            ("20M", 20_000_000),
            ("1.5G", 1_500_000_000),
            ("123456", 123_456),
        ];
        for (text, bits) in good {
            assert_eq!(parse_rate(text), Ok(bits), "{text}");
        }
        for text in ["", "M", "20", "-5M", "infG", "1e9", "20 Mbit", "99k"] {
            assert!(parse_rate(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let good = [
            ("10s", 10),
            ("90s", 90),
            ("5m", 300),
            ("1h30m", 5400),
            ("7d", 604_800),
            ("2w", 1_209_600),
        ];
        for (text, seconds) in good {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "10", "s", "-5s", "0s", "1 year and a bit"] {
            assert!(parse_duration(text).is_err(), "{text:?} was taken");
        }
    }
}
