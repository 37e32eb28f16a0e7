//! `twocan ssh`: the phone on another computer, with the sound of this one.
//!
//! The socket of this computer's sound server is brought along by ssh, under a name that nothing
//! older can have taken, and is taken away at the end.

use std::io::IsTerminal;
use std::process::Command;

use twocan::audio::local_server;
use twocan::cli::{Exit, SshArgs};

use super::fail::Failure;
use super::out;

/// Runs ssh until it ends, or prints how.
///
/// # Errors
/// When there is no sound server here, ssh cannot be run, or it fails.
pub fn run(args: &SshArgs) -> Result<(), Failure> {
    if args.host.starts_with('-') {
        return Err(Failure::new(
            Exit::Usage,
            format!("`{}` is no host", args.host),
        ));
    }
    let Some(local) = local_server() else {
        let why = "there is no PulseAudio or PipeWire socket on this computer to bring along; \
                   on macOS: brew install pulseaudio, and start it";
        return Err(Failure::new(Exit::Audio, why));
    };
    let user = std::env::var("USER").unwrap_or_default();
    let remote = remote_socket(&user, std::process::id());
    let has_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let words = words(args, &local, &remote, has_terminal || args.print);
    if args.print {
        let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
        return out::line(format!("ssh {}", quoted.join(" ")));
    }
    let ended = Command::new("ssh").args(&words).status();
    let ended =
        ended.map_err(|error| Failure::new(Exit::Other, format!("cannot run ssh: {error}")))?;
    match ended.code() {
        Some(0) => Ok(()),
        Some(SSH_FAILED) => Err(Failure::new(Exit::Unreachable, ADVICE)),
        Some(127) => {
            let why = "there is no `twocan` on the path of that computer: install it there first";
            Err(Failure::new(Exit::Other, why))
        }
        code => Err(Failure::silent(meaning(code))),
    }
}

/// What ssh is told, word by word.
fn words(args: &SshArgs, local: &str, remote: &str, has_terminal: bool) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut say = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
    if has_terminal {
        say(&["-t"]);
    }
    // A connection of its own: a big copy on a shared one would hold the sound up.
    say(&["-S", "none"]);
    for option in &args.option {
        say(&["-o", option]);
    }
    for option in OPTIONS {
        say(&["-o", option]);
    }
    say(&["-R", &format!("{remote}:{local}"), "--", &args.host]);
    say(&[&there(&args.args, remote)]);
    words
}

/// What the other computer's shell runs, whichever shell it is.
fn there(args: &[String], remote: &str) -> String {
    let args: Vec<String> = args.iter().map(|arg| quote(arg)).collect();
    let script = format!(
        "TWOCAN_AUDIO_SERVER=unix:{remote} twocan {}; s=$?; rm -f {remote}; exit $s",
        args.join(" ")
    );
    format!("sh -c {}", quote(&script))
}

/// The name is for people who look into /tmp; the number makes it new each time.
fn remote_socket(user: &str, number: u32) -> String {
    let user: String = user
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .take(32)
        .collect();
    format!("/tmp/twocan-audio-{user}-{number}.sock")
}

/// One word for a shell.
fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The other phone's exit code, if it is one of ours.
fn meaning(code: Option<i32>) -> Exit {
    let known = Exit::ALL.into_iter();
    let mut fits = known.filter(|exit| Some(i32::from(exit.code())) == code);
    fits.next().unwrap_or(Exit::Other)
}

/// What ssh ends with when it could not do its own part.
const SSH_FAILED: i32 = 255;

const ADVICE: &str = "ssh has ended: see above. If it could not forward the port: that sshd may forbid \
                      it (AllowStreamLocalForwarding, AllowTcpForwarding)";

const OPTIONS: [&str; 5] = [
    "ExitOnForwardFailure=yes",
    "StreamLocalBindMask=0177",
    "Compression=no",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> SshArgs {
        SshArgs {
            print: false,
            option: vec!["Port=2222".to_owned()],
            host: "anna@host".to_owned(),
            args: words.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    #[test]
    fn the_socket_is_forwarded_and_taken_away_again() {
        let words = words(
            &args(&["call", "o'neil"]),
            "/run/pulse",
            "/tmp/x.sock",
            true,
        );
        assert_eq!(words[0], "-t");
        let forward = words
            .iter()
            .position(|word| word == "-R")
            .expect("a forward");
        assert_eq!(words[forward + 1], "/tmp/x.sock:/run/pulse");
        assert!(words.contains(&"ExitOnForwardFailure=yes".to_owned()));
        assert_eq!(words[forward + 3], "anna@host");
        let there = words.last().expect("a command");
        assert!(there.starts_with("sh -c '"), "{there}");
        assert!(there.contains("rm -f /tmp/x.sock"), "{there}");
    }

    #[test]
    fn words_reach_the_other_shell_as_they_are() {
        for word in [
            "plain",
            "two words",
            "o'neil",
            "$(reboot)",
            "",
            "a;b",
            "`x`",
        ] {
            let script = format!("printf %s {}", quote(word));
            let said = Command::new("sh").args(["-c", &script]).output();
            assert_eq!(said.expect("a shell").stdout, word.as_bytes());
        }
    }

    #[test]
    fn a_user_name_makes_no_path() {
        assert_eq!(remote_socket("../x y", 7), "/tmp/twocan-audio-xy-7.sock");
    }
}
