//! The files under fire: a process that saves all the time is killed, again and again.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use twocan::api::{Direction, HistoryView, Why};
use twocan::disk::{History, Home, HomeLock, Job, Keys, Store, Writer, key, load_port, save_port};
use twocan::peer::{Contact, DeviceKeys, Identity, SafeText, Secret32, Seed};

/// Kills a saving process 200 times, at any moment, and looks at what is left each time: the
/// identity untouched, every confirmed contact and call there, nothing unreadable, nothing lying
/// about. The process is this test again, told by the environment to save instead.
#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_confirmed() {
    if let Some(dir) = std::env::var_os(SAVE_IN) {
        save_for_ever(Path::new(&dir));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let home = Home::at(dir.path());
    key::create(&home, &keys(), None).expect("created");
    let identity = std::fs::read(home.identity_key()).expect("read");
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut confirmed = 0;
    for round in 0..200 {
        let mut child = start_saving(dir.path());
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut lines = output
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| number(&line));
        for _ in 0..rng.next_u32() % 4 {
            confirmed = lines.next().expect("it goes on for ever");
        }
        pause(Duration::from_micros(u64::from(rng.next_u32() % 8000)));
        child.kill().expect("SIGKILL");
        child.wait().expect("waited for");
        // What it still managed to say before its death counts as well.
        confirmed = lines.last().unwrap_or(confirmed);

        assert_eq!(std::fs::read(home.identity_key()).expect("read"), identity);
        let contacts = Store::load(&home).expect("whole");
        let saved = contacts
            .contacts()
            .first()
            .map_or(0, |contact| contact.added);
        assert!(saved >= confirmed, "round {round}: {saved} of {confirmed}");
        let history = History::load(&home, usize::MAX).expect("readable");
        assert_eq!(history.damaged, [0_usize; 0], "round {round}");
        let newest = history.entries.first().map_or(0, |entry| entry.seconds);
        assert!(
            newest >= confirmed,
            "round {round}: {newest} of {confirmed}"
        );
        assert!(
            history
                .entries
                .is_sorted_by(|one, next| one.seconds > next.seconds)
        );
        let port = load_port(&home);
        assert!(
            confirmed == 0 || port == Some(40_000),
            "round {round}: {port:?}"
        );
        assert_closed(dir.path());
    }
    assert!(
        confirmed > 100,
        "only {confirmed} confirmed saves: nothing was tested"
    );
    // The lock went with its holder, and the next writer heals what is torn.
    let lock = HomeLock::acquire(&home).expect("free");
    drop(lock);
    History::append(&home, &call(u64::MAX >> 1)).expect("added");
    let history = History::load(&home, usize::MAX).expect("readable");
    assert_eq!(history.entries.first(), Some(&call(u64::MAX >> 1)));
    assert_eq!(
        key::load(&home, None).expect("loaded").identity().id(),
        keys().identity().id()
    );
}

/// Puts contact and call `n`, says `n` when both are on the disk, goes on with `n + 1`.
fn save_for_ever(dir: &Path) -> ! {
    let home = Home::at(dir);
    let lock = HomeLock::acquire(&home).expect("the last one is dead");
    let contacts = Store::load(&home).expect("whole");
    let history = History::load(&home, 1).expect("readable");
    let done = contacts
        .contacts()
        .first()
        .map_or(0, |contact| contact.added);
    let called = history.entries.first().map_or(0, |entry| entry.seconds);
    let (said, heard) = std::sync::mpsc::sync_channel(2);
    let writer = Writer::start(lock, home.clone(), contacts, move |_, result| {
        said.send(result.is_ok()).expect("heard");
    });
    let writer = writer.expect("started");
    let mut out = std::io::stdout();
    for n in done.max(called) + 1.. {
        writer
            .submit(n, Job::PutContact(Box::new(contact(n))))
            .expect("room");
        writer
            .submit(n, Job::AddHistory(Box::new(call(n))))
            .expect("room");
        assert!(heard.recv() == Ok(true) && heard.recv() == Ok(true));
        save_port(&home, 40_000).expect("saved");
        writeln!(out, "{SAVED}{n}")
            .and_then(|()| out.flush())
            .expect("a pipe");
    }
    unreachable!("2^64 saves")
}

fn start_saving(dir: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args([
        "--exact",
        "a_kill_at_any_moment_loses_nothing_that_was_confirmed",
        "--nocapture",
    ]);
    command
        .env(SAVE_IN, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().expect("started")
}

fn number(line: &str) -> Option<u64> {
    line.split_once(SAVED)?.1.parse().ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the moment of the kill is what is tested"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// No file can be read by others, whatever moment the writer died at.
fn assert_closed(dir: &Path) {
    for entry in std::fs::read_dir(dir).expect("listed") {
        let entry = entry.expect("listed");
        let mode = entry.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", entry.path());
    }
}

fn keys() -> Keys {
    Keys {
        name: SafeText::name("mika"),
        seed: Seed::from_bytes([1; 32]),
        device: DeviceKeys::from_secrets([2; 32], [3; 32]),
    }
}

/// A contact whose entry is long enough for a write to be torn, and tells which save it is from.
fn contact(n: u64) -> Contact {
    Contact {
        id: Identity::from_seed(&Seed::from_bytes([7; 32])).id(),
        petname: SafeText::name("anna"),
        name: SafeText::name(&"x".repeat(n as usize % 32)),
        device: [8; 32],
        dial: Secret32::new([9; 32]),
        hints: vec![SocketAddr::from(([192, 0, 2, 1], 40_000)); n as usize % 5],
        verified: None,
        blocked: false,
        relay_only: false,
        added: n,
        last_seen: Some(n),
        pending: None,
        reach: twocan::peer::Reach::default(),
        told: 0,
    }
}

fn call(n: u64) -> HistoryView {
    HistoryView {
        at: jiff::Timestamp::UNIX_EPOCH,
        name: SafeText::name("anna"),
        id: keys().identity().id(),
        direction: Direction::Out,
        why: Why::HungUp,
        seconds: n,
        path: None,
        loss: 0.0,
        recorded_here: false,
        recorded_there: false,
    }
}

const SAVE_IN: &str = "TWOCAN_TEST_SAVE_IN";
const SAVED: &str = "saved ";
