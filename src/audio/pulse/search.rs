//! Where sound servers may be, and which of them answers first.
//!
//! A server that was named is the only one. Else, for somebody who came by ssh, the sockets that
//! ssh may have brought along come before the servers of this computer, which nobody may hear.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PulseError;
use super::address::Address;
use super::client::Server;

/// What this process was started with.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// The server that the settings name.
    pub(super) named: Option<String>,
    /// `PULSE_SERVER`: a list with spaces between.
    pub(super) pulse_server: Option<String>,
    pub(super) by_ssh: bool,
    /// `PULSE_RUNTIME_PATH`.
    pub(super) pulse_runtime: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub(super) runtime: Option<PathBuf>,
    pub(super) home: Option<PathBuf>,
    /// Where ssh leaves sockets.
    pub(super) tmp: PathBuf,
    /// Names that stand for this computer in braces before an address.
    pub(super) machine: Vec<String>,
}

impl Surroundings {
    pub(super) fn here(named: Option<&str>) -> Surroundings {
        let path = |name| std::env::var_os(name).filter(|path| !path.is_empty());
        let text = |name| {
            std::env::var(name)
                .ok()
                .filter(|text| !text.trim().is_empty())
        };
        let ids = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
        let ids = ids.iter().filter_map(|path| fs::read_to_string(path).ok());
        Surroundings {
            named: named.map(str::to_owned),
            pulse_server: text("PULSE_SERVER"),
            by_ssh: text("SSH_CONNECTION").is_some(),
            pulse_runtime: path("PULSE_RUNTIME_PATH").map(PathBuf::from),
            runtime: path("XDG_RUNTIME_DIR").map(PathBuf::from),
            home: std::env::home_dir(),
            tmp: PathBuf::from("/tmp"),
            machine: ids
                .map(|id| id.trim().to_owned())
                .chain(host_name())
                .collect(),
        }
    }
}

/// Why a server is looked for at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The settings name it.
    Settings,
    /// `PULSE_SERVER` names it.
    Environment,
    /// ssh has brought it along.
    Forwarded,
    /// Servers of this computer are there.
    Usual,
}

/// A place where a server may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) text: String,
    pub(super) origin: Origin,
    /// Or why it is not even tried.
    pub(super) address: Result<Address, String>,
}

/// What became of a [`Candidate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tried {
    pub(super) text: String,
    pub(super) origin: Origin,
    /// Why it is not used; nothing for the one that is.
    pub(super) why: Option<String>,
}

/// A server that has answered.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) server: Server,
    pub(super) origin: Origin,
    pub(super) by_ssh: bool,
}

/// Tries the candidates in their order. Notes in `tried` what became of each.
///
/// # Errors
/// [`PulseError::NoServer`] when nothing is anywhere and nothing was named, else what is wrong with
/// the first one that is there or was named.
pub(super) fn search(here: &Surroundings, tried: &mut Vec<Tried>) -> Result<Found, PulseError> {
    let mut failure = None;
    for candidate in candidates(here) {
        let Candidate {
            text,
            origin,
            address,
        } = candidate;
        let (why, is_there) = match address {
            Err(why) => (why, false),
            Ok(address) => match Server::connect(&address, &text, LIMIT) {
                Ok(server) => {
                    tried.push(Tried {
                        text,
                        origin,
                        why: None,
                    });
                    let by_ssh = here.by_ssh;
                    return Ok(Found {
                        server,
                        origin,
                        by_ssh,
                    });
                }
                Err(error) => {
                    if error.is_nobody_there() && origin == Origin::Forwarded {
                        tidy(&address);
                    }
                    (error.why(), !error.is_nobody_there())
                }
            },
        };
        let is_named = matches!(origin, Origin::Settings | Origin::Environment);
        if is_named || is_there {
            failure.get_or_insert_with(|| PulseError::Server {
                server: text.clone(),
                why: why.clone(),
            });
        }
        let why = Some(why);
        tried.push(Tried { text, origin, why });
    }
    Err(failure.unwrap_or(PulseError::NoServer))
}

/// Where to look, the first first.
pub(super) fn candidates(here: &Surroundings) -> Vec<Candidate> {
    if let Some(named) = &here.named {
        return vec![candidate(here, named, Origin::Settings)];
    }
    let named = here.pulse_server.as_deref().unwrap_or_default();
    let mut all: Vec<Candidate> = named
        .split_whitespace()
        .take(MOST)
        .map(|text| candidate(here, text, Origin::Environment))
        .collect();
    // An old shell may name a socket that is gone; a new one may have been brought along since.
    if here.by_ssh || !all.is_empty() {
        all.extend(forwarded(here));
    }
    if named.trim().is_empty() {
        all.extend(usual(here).map(|path| at(path, Origin::Usual)));
    }
    if !here.by_ssh && named.trim().is_empty() {
        all.extend(forwarded(here));
    }
    all
}

/// The first server of this computer that is there, or that was named, as ssh forwards it.
pub(in crate::audio) fn to_forward() -> Option<String> {
    let here = Surroundings {
        by_ssh: false,
        ..Surroundings::here(None)
    };
    let all = candidates(&here).into_iter();
    let mut there = all.filter_map(|one| match one.address {
        Ok(Address::Path(path)) => path.exists().then(|| path.display().to_string()),
        Ok(Address::Tcp { host, port, .. }) => Some(match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }),
        Err(_) => None,
    });
    there.next()
}

fn candidate(here: &Surroundings, text: &str, origin: Origin) -> Candidate {
    let (machine, rest) = match text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((machine, rest)) => (Some(machine), rest),
        None => (None, text),
    };
    let is_ours = |machine: &str| here.machine.iter().any(|name| name == machine);
    let address = match machine {
        Some(machine) if !is_ours(machine) => Err("is meant for another computer".to_owned()),
        _ => Address::parse(rest),
    };
    Candidate {
        text: text.to_owned(),
        origin,
        address,
    }
}

fn at(path: PathBuf, origin: Origin) -> Candidate {
    Candidate {
        text: path.display().to_string(),
        origin,
        address: Ok(Address::Path(path)),
    }
}

fn usual(here: &Surroundings) -> impl Iterator<Item = PathBuf> {
    let below = |dir: &Option<PathBuf>, rest: &str| dir.as_ref().map(|dir| dir.join(rest));
    let mut places: Vec<PathBuf> = [
        below(&here.pulse_runtime, "native"),
        below(&here.runtime, "pulse/native"),
    ]
    .into_iter()
    .flatten()
    .collect();
    // Without a runtime directory PulseAudio keeps a link beside its cookie.
    let config = below(&here.home, ".config/pulse");
    let links = config.and_then(|dir| fs::read_dir(dir).ok());
    let links = links.into_iter().flatten().flatten().take(ENTRIES);
    places.extend(links.map(|entry| entry.path()).filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        name.ends_with("-runtime").then(|| path.join("native"))
    }));
    places.push(PathBuf::from("/mnt/wslg/PulseServer"));
    places.dedup();
    places.into_iter().take(MOST)
}

/// Sockets that `twocan ssh` or a person has left here, the newest first.
fn forwarded(here: &Surroundings) -> Vec<Candidate> {
    let one = here
        .runtime
        .as_ref()
        .map(|dir| dir.join("twocan-audio.sock"));
    let many = fs::read_dir(&here.tmp).into_iter().flatten().flatten();
    let many = many.take(ENTRIES).filter_map(|entry| {
        let name = entry.file_name();
        let name = name.to_str()?;
        (name.starts_with("twocan-audio-") && name.ends_with(".sock")).then(|| entry.path())
    });
    let mut found: Vec<_> = one
        .into_iter()
        .filter(|path| fs::symlink_metadata(path).is_ok())
        .chain(many)
        .map(|path| (age(&path), path))
        .collect();
    found.sort();
    let found = found.into_iter().take(MOST);
    let checked = found.map(|(_, path)| match ours(&path) {
        Ok(()) => at(path, Origin::Forwarded),
        Err(why) => Candidate {
            address: Err(why.to_owned()),
            ..at(path, Origin::Forwarded)
        },
    });
    checked.collect()
}

/// Whoever else could write to the socket could listen by it.
#[cfg(unix)]
fn ours(path: &Path) -> Result<(), &'static str> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let meta = fs::symlink_metadata(path).map_err(|_| "has gone away")?;
    if !meta.file_type().is_socket() {
        return Err("is no socket, and links are not followed");
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err("belongs to somebody else");
    }
    if meta.mode() & 0o077 != 0 {
        return Err("is open to others: its mode has to be 0600");
    }
    Ok(())
}

#[cfg(not(unix))]
fn ours(_: &Path) -> Result<(), &'static str> {
    Err("is nothing that this system knows")
}

/// Takes away what ssh has left behind. A socket that is being made refuses for a moment as well.
fn tidy(address: &Address) {
    let Address::Path(path) = address else {
        return;
    };
    if ours(path).is_ok() && age(path).is_some_and(|age| age > Duration::from_secs(60)) {
        // Then the next one finds it and may try.
        let _ = fs::remove_file(path);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the age of a file is by the wall clock"
)]
fn age(path: &Path) -> Option<Duration> {
    let made = fs::symlink_metadata(path).ok()?.modified().ok()?;
    std::time::SystemTime::now().duration_since(made).ok()
}

/// What proves to the server that the user may use it. A server that knows the user by the socket
/// accepts any, but insists on the length.
pub(super) fn cookie() -> Vec<u8> {
    let home = std::env::home_dir();
    let named = std::env::var_os("PULSE_COOKIE").map(PathBuf::from);
    let below = |path| home.as_ref().map(|home| home.join(path));
    [named, below(".config/pulse/cookie"), below(".pulse-cookie")]
        .into_iter()
        .flatten()
        .find_map(|path| whole_cookie(&path))
        .unwrap_or_else(|| vec![0; COOKIE])
}

fn whole_cookie(path: &Path) -> Option<Vec<u8>> {
    let mut cookie = Vec::new();
    let file = fs::File::open(path).ok()?;
    io::Read::read_to_end(&mut io::Read::take(file, COOKIE as u64 + 1), &mut cookie).ok()?;
    (cookie.len() == COOKIE).then_some(cookie)
}

/// What this computer calls itself.
pub(super) fn host_name() -> Option<String> {
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let mut read = files
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    read.next().map(|name| name.trim().to_owned())
}

/// Length that PulseAudio gives its cookies.
const COOKIE: usize = 256;

/// How long one candidate may take to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Candidates of one kind.
const MOST: usize = 8;

/// Files of a directory that are looked at.
const ENTRIES: usize = 4096;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn here(dir: &Path) -> Surroundings {
        Surroundings {
            tmp: dir.join("tmp"),
            runtime: Some(dir.join("run")),
            machine: vec!["ours".to_owned()],
            ..Surroundings::default()
        }
    }

    fn texts(here: &Surroundings) -> Vec<(String, Origin)> {
        let all = candidates(here).into_iter();
        all.map(|one| (one.text, one.origin)).collect()
    }

    fn socket(path: &Path) -> UnixListener {
        let socket = UnixListener::bind(path).expect("a socket");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode");
        socket
    }

    #[test]
    fn a_server_that_the_settings_name_is_the_only_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let named = Surroundings {
            named: Some("tcp:a".to_owned()),
            pulse_server: Some("unix:/b".to_owned()),
            by_ssh: true,
            ..here(dir.path())
        };
        assert_eq!(texts(&named), [("tcp:a".to_owned(), Origin::Settings)]);
    }

    #[test]
    fn the_environment_may_name_several_and_some_for_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let named = Surroundings {
            pulse_server: Some(" {ours}unix:/a  {theirs}/b tcp4:c:1 ".to_owned()),
            ..here(dir.path())
        };
        let found = candidates(&named);
        let is_tried: Vec<bool> = found.iter().map(|one| one.address.is_ok()).collect();
        assert_eq!(is_tried, [true, false, true]);
        assert_eq!(found[0].address, Ok(Address::Path("/a".into())));
        assert!(found.iter().all(|one| one.origin == Origin::Environment));
    }

    #[test]
    fn what_ssh_brought_comes_first_for_who_came_by_ssh() {
        let dir = tempfile::tempdir().expect("a directory");
        for sub in ["tmp", "run"] {
            fs::create_dir(dir.path().join(sub)).expect("a directory");
        }
        let _socket = socket(&dir.path().join("tmp/twocan-audio-me.sock"));
        let order = |by_ssh| {
            let here = Surroundings {
                by_ssh,
                ..here(dir.path())
            };
            let all = texts(&here).into_iter();
            all.map(|(_, origin)| origin).collect::<Vec<_>>()
        };
        assert_eq!(order(true)[0], Origin::Forwarded);
        assert_eq!(order(false).last(), Some(&Origin::Forwarded));
        assert_eq!(order(false)[0], Origin::Usual);
    }

    #[test]
    fn sockets_of_others_open_ones_and_links_are_refused_by_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let tmp = dir.path().join("tmp");
        fs::create_dir(&tmp).expect("a directory");
        let name = |name: &str| tmp.join(format!("twocan-audio-{name}.sock"));
        let _open = socket(&name("open"));
        fs::set_permissions(name("open"), fs::Permissions::from_mode(0o666)).expect("its mode");
        let _good = socket(&name("good"));
        symlink(name("good"), name("link")).expect("a link");
        fs::write(name("file"), "").expect("a file");
        let _other = socket(&tmp.join("other.sock"));
        let why = |text: &str| {
            let found = forwarded(&here(dir.path()));
            let path = name(text).display().to_string();
            let one = found.into_iter().find(|one| one.text == path);
            one.expect("a candidate").address.err().unwrap_or_default()
        };
        assert!(why("open").contains("0600"));
        assert!(why("link").contains("links"));
        assert!(why("file").contains("no socket"));
        assert_eq!(why("good"), "");
        assert_eq!(forwarded(&here(dir.path())).len(), 4);
    }

    #[test]
    fn nobody_anywhere_is_no_server_but_a_named_one_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut tried = Vec::new();
        let nobody = search(&here(dir.path()), &mut tried);
        assert!(matches!(nobody, Err(PulseError::NoServer)));
        assert!(tried.iter().all(|one| one.why.is_some()), "{tried:?}");
        let named = Surroundings {
            named: Some(dir.path().join("none").display().to_string()),
            ..here(dir.path())
        };
        let error = search(&named, &mut tried).expect_err("nobody is there");
        assert!(error.to_string().contains("none"), "{error}");
    }

    #[test]
    fn a_server_that_never_answers_is_named_and_given_up() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(dir.path().join("run/pulse")).expect("a directory");
        let _hangs = socket(&dir.path().join("run/pulse/native"));
        let error = search(&here(dir.path()), &mut Vec::new()).expect_err("no answer");
        assert!(error.to_string().contains("does not answer"), "{error}");
    }
}
