//! Calls on a real PulseAudio, with null sinks for loudspeakers and their monitors for microphones:
//! what is played comes back as what is said. One is killed and started again, one hangs, one is at
//! the other end of a real ssh connection, one at that of a long line. A program that is not
//! installed here is said to be so.

#![cfg(target_os = "linux")]
#![expect(clippy::print_stderr, reason = "says which tests were left out")]

#[path = "support/slow_line.rs"]
mod slow_line;

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use slow_line::slow_line;
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use twocan::api::CallId;
use twocan::audio::{
    Audio, AudioEvent, Backend, Choice, Choices, Decoder, Encoder, Place, SAMPLES, Settings,
    devices, survey,
};
use twocan::phone::types::{Frame, OpenMic};

#[tokio::test]
async fn what_is_played_comes_back_by_the_microphone() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut call = Call::on(&server.socket, "one.monitor", "one");
    let place = call.until_restored().await;
    assert_eq!(
        (place.microphone.as_str(), place.speaker.as_str()),
        ("one.monitor", "one")
    );
    call.until_heard(true).await;
    assert!(call.audio.place().starts_with("PulseAudio at"), "{place:?}");
}

#[tokio::test]
async fn what_is_played_is_heard_soon_however_long_the_call_lasts() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut call = Call::on(&server.socket, "one.monitor", "one");
    call.until_restored().await;
    for _ in 0..3 {
        call.until_heard(true).await;
        call.frames(100).await;
        let frames = call.fall_silent().await;
        assert!(frames <= 50, "heard for {frames} frames of 20 ms more");
    }
}

#[tokio::test]
async fn the_voice_has_no_gap_while_the_devices_start() {
    let Some(server) = Server::start() else {
        return;
    };
    // Who plays music has the sink work in long blocks, and the next one has to end first.
    let mut music = server.play_music("one");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut call = Call::on(&server.socket, "one.monitor", "two");
    let gap = call.longest_gap(200).await;
    let _ = music.kill();
    let _ = music.wait();
    assert!(gap < Duration::from_millis(250), "{gap:?}");
}

#[tokio::test]
async fn a_server_that_dies_in_a_call_is_used_again_when_it_is_back() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut call = Call::on(&server.socket, "one.monitor", "one");
    call.until_restored().await;
    call.until_heard(true).await;
    server.kill();
    let why = call.until_lost().await;
    assert!(why.contains("sound server"), "{why}");
    // The call goes on meanwhile.
    call.frames(100).await;
    server.again();
    call.until_restored().await;
    call.until_heard(true).await;
}

#[tokio::test]
async fn devices_are_changed_in_a_call_and_one_that_is_not_there_is_refused() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut call = Call::on(&server.socket, "two.monitor", "one");
    call.until_restored().await;
    call.until_heard(false).await;
    call.choose(None, Some("two"));
    let place = call.until_restored().await;
    assert_eq!(place.speaker, "two");
    call.until_heard(true).await;
    call.choose(Some("no such microphone"), None);
    let why = call.until_refused().await;
    assert!(why.contains("no such microphone"), "{why}");
    call.until_heard(true).await;
    call.choose(Some("one.monitor"), Some("one"));
    let place = call.until_restored().await;
    assert_eq!(
        (place.microphone.as_str(), place.speaker.as_str()),
        ("one.monitor", "one")
    );
    call.until_heard(true).await;
}

#[tokio::test]
async fn a_loudspeaker_that_is_unplugged_is_returned_to_when_it_is_back() {
    let Some(server) = Server::start() else {
        return;
    };
    if !is_installed("pactl") {
        return;
    }
    let mut call = Call::on(&server.socket, "one.monitor", "two");
    call.until_restored().await;
    server.control(&["unload-module", "module-null-sink", "two"]);
    let place = call.until_restored().await;
    assert_eq!(place.speaker, "one", "{place:?}");
    assert!(
        place
            .note
            .is_some_and(|note| note.contains("two is not there"))
    );
    call.until_heard(true).await;
    server.control(&["load-module", "module-null-sink", "sink_name=two"]);
    let place = call.until_restored().await;
    assert_eq!((place.speaker.as_str(), place.note), ("two", None));
}

#[tokio::test]
async fn a_server_that_hangs_is_told_and_holds_nothing_up() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("hangs");
    let _hangs = UnixListener::bind(&path).expect("a socket");
    let mut call = Call::on(&path, "one", "one");
    let why = call.until_lost().await;
    assert!(why.contains("does not answer"), "{why}");
    call.frames(100).await;
    let address = address(&path);
    let error = devices(Some(&address)).expect_err("nobody answers");
    assert!(error.to_string().contains("does not answer"), "{error}");
}

#[test]
fn the_devices_and_how_they_were_found_are_told() {
    let Some(server) = Server::start() else {
        return;
    };
    let address = address(&server.socket);
    let found = devices(Some(&address)).expect("it answers");
    let names: Vec<&str> = found.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    assert!(found.iter().all(|device| device.output && !device.input));
    let survey = survey(Some(&address));
    let used = survey.server.expect("it answers");
    assert_eq!((used.kind.as_str(), used.address), ("PulseAudio", address));
    assert_eq!(survey.tried.len(), 1);
}

#[tokio::test]
async fn sound_goes_through_a_real_ssh_connection() {
    let Some(server) = Server::start() else {
        return;
    };
    let Some(mut tunnel) = Tunnel::to(&server) else {
        return;
    };
    let mut call = Call::on(&tunnel.socket, "one.monitor", "one");
    call.until_restored().await;
    call.until_heard(true).await;
    // The connection breaks, the call does not.
    let _ = tunnel.ssh.kill();
    call.until_lost().await;
    call.frames(50).await;
}

#[tokio::test]
async fn a_microphone_behind_a_long_line_is_heard_as_it_speaks() {
    let Some(server) = Server::start() else {
        return;
    };
    let near = server.dir.path().join("near");
    let delay = Duration::from_millis(10);
    slow_line(&near, &server.socket, delay).expect("a socket");
    // It works in blocks of two seconds if nobody asks it to be quick, as microphones do.
    let mut music = server.play_music("two");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut call = Call::on(&near, "two.monitor", "one");
    let place = call.until_restored().await;
    assert!(place.link.is_some_and(|time| time > delay), "{place:?}");
    call.frames(50).await;
    let gap = call.longest_gap(150).await;
    let _ = music.kill();
    let _ = music.wait();
    assert!(gap < Duration::from_millis(250), "{gap:?}");
}

#[test]
fn twocan_ssh_brings_the_sound_along() {
    let Some(server) = Server::start() else {
        return;
    };
    let Some(tunnel) = Tunnel::to(&server) else {
        return;
    };
    let options = tunnel.options();
    let mut command = Command::new(env!("CARGO_BIN_EXE_twocan"));
    command
        .args(["--home", "/nonexistent", "ssh"])
        .args(&options);
    command.args(["127.0.0.1", "--", "--home"]);
    command
        .arg(tunnel.dir.path().join("home"))
        .args(["devices", "--json"]);
    command.env("PULSE_SERVER", address(&server.socket));
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{trouble}");
    assert!(said.contains("\"name\":\"two\""), "{said}\n{trouble}");
}

/// A call that hears a tone from the far side for ever.
struct Call {
    audio: Audio,
    events: Receiver<AudioEvent>,
    encoder: Encoder,
    at: usize,
    seq: u16,
    is_silent: bool,
}

impl Call {
    fn on(socket: &Path, microphone: &str, speaker: &str) -> Call {
        let backend = Backend::Cpal {
            input: Some(microphone.to_owned()),
            output: Some(speaker.to_owned()),
        };
        let settings = Settings {
            server: Some(address(socket)),
            // What is played comes back through the monitor of the sink: that is an echo.
            cleaning: Choices::NOTHING,
            ..Settings::new(backend)
        };
        let (audio, events) = Audio::start(settings).expect("a voice thread");
        audio.open(OpenMic::for_testing_only(CALL));
        Call {
            audio,
            events,
            encoder: Encoder::new(5).expect("an encoder"),
            at: 0,
            seq: 0,
            is_silent: false,
        }
    }

    fn choose(&self, microphone: Option<&str>, speaker: Option<&str>) {
        self.audio.choose(Choice {
            microphone: microphone.map(str::to_owned),
            speaker: speaker.map(str::to_owned),
        });
    }

    async fn until_restored(&mut self) -> Place {
        self.wait(|event| match event {
            AudioEvent::Restored { place } => Some(place.clone()),
            _ => None,
        })
        .await
    }

    async fn until_lost(&mut self) -> String {
        self.wait(|event| match event {
            AudioEvent::Lost { why } => Some(why.to_string()),
            _ => None,
        })
        .await
    }

    async fn until_refused(&mut self) -> String {
        self.wait(|event| match event {
            AudioEvent::Refused { why } => Some(why.clone()),
            _ => None,
        })
        .await
    }

    /// Until the microphone has heard the tone, or silence, for half a second without a break.
    async fn until_heard(&mut self, is_loud: bool) {
        let mut row = 0;
        self.wait(|event| match event {
            AudioEvent::Levels { mic, .. } => {
                row = if (*mic > 0.05) == is_loud { row + 1 } else { 0 };
                (row >= 5).then_some(())
            }
            _ => None,
        })
        .await;
    }

    /// The far side says nothing until that is heard: after so many frames of the microphone.
    async fn fall_silent(&mut self) -> usize {
        let mut decoder = Decoder::new(0).expect("a decoder");
        let mut count = 0;
        self.is_silent = true;
        self.wait(|event| {
            let AudioEvent::Frame(_, frame, _) = event else {
                return None;
            };
            let mut sound = [0.0; SAMPLES];
            decoder.decode(&frame.opus, &mut sound).expect("decoded");
            count += 1;
            let is_quiet = sound.iter().all(|sample| sample.abs() < 0.01);
            (is_quiet && count > 1).then_some(())
        })
        .await;
        self.is_silent = false;
        count
    }

    async fn frames(&mut self, count: usize) {
        let mut seen = 0;
        self.wait(|event| {
            seen += usize::from(matches!(event, AudioEvent::Frame(..)));
            (seen >= count).then_some(())
        })
        .await;
    }

    /// The longest time between two of so many frames of the microphone.
    async fn longest_gap(&mut self, count: usize) -> Duration {
        let (mut seen, mut last, mut longest) = (0, None, Duration::ZERO);
        self.wait(|event| {
            if let AudioEvent::Frame(_, _, at) = event {
                let gap = last.map_or(Duration::ZERO, |last| at.duration_since(last));
                (seen, last, longest) = (seen + 1, Some(*at), longest.max(gap));
            }
            (seen >= count).then_some(())
        })
        .await;
        longest
    }

    /// The far side says a frame of its tone for each frame of the microphone.
    async fn wait<T>(&mut self, mut wanted: impl FnMut(&AudioEvent) -> Option<T>) -> T {
        let waited = timeout(LONG, async {
            loop {
                let event = self.events.recv().await.expect("the voice thread runs");
                if matches!(event, AudioEvent::Frame(..)) {
                    self.say();
                }
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        });
        waited.await.expect("it happens at last")
    }

    fn say(&mut self) {
        let mut tone = [0.0; SAMPLES];
        for sample in &mut tone {
            let loud = if self.is_silent { 0.0 } else { 0.5 };
            *sample = loud * (self.at as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin();
            self.at = (self.at + 1) % 48_000;
        }
        let opus = self.encoder.encode(&tone, 80).expect("a packet");
        self.audio.push(CALL, Frame::new(self.seq, opus));
        self.seq = self.seq.wrapping_add(1);
    }
}

/// A PulseAudio of our own with the null sinks `one` and `two`.
struct Server {
    dir: TempDir,
    socket: PathBuf,
    child: Child,
}

impl Server {
    fn start() -> Option<Server> {
        if !is_installed("pulseaudio") {
            return None;
        }
        let dir = TempDir::new().expect("a directory");
        let socket = dir.path().join("native");
        let child = Server::run(dir.path(), &socket);
        Some(Server { dir, socket, child })
    }

    fn run(dir: &Path, socket: &Path) -> Child {
        let speak = format!(
            "module-native-protocol-unix socket={} auth-anonymous=1",
            socket.display()
        );
        let mut command = Command::new("pulseaudio");
        command.args([
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
        ]);
        command.args(["--disable-shm=yes", "--realtime=no", "--high-priority=no"]);
        for load in [
            "module-null-sink sink_name=one",
            "module-null-sink sink_name=two",
            &speak,
        ] {
            command.arg("-L").arg(load);
        }
        command.env("HOME", dir).env("XDG_RUNTIME_DIR", dir);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("pulseaudio starts");
        until(|| survey(Some(&address(socket))).server.is_some());
        child
    }

    /// Plays silence, in no hurry.
    fn play_music(&self, sink: &str) -> Child {
        let mut command = Command::new("pacat");
        command.env("PULSE_SERVER", address(&self.socket));
        command.args(["--playback", "--device", sink, "/dev/zero"]);
        command.spawn().expect("pacat runs")
    }

    fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    fn again(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        self.child = Server::run(self.dir.path(), &self.socket);
    }

    fn control(&self, words: &[&str]) {
        // A module is unloaded by its number, which depends on the version: look it up by its sink.
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        if words[0] == "unload-module" {
            let list = self.pactl(&["list", "short", "modules"]);
            let name = format!("sink_name={}", words[2]);
            let line = list.lines().find(|line| line.contains(&name));
            let number = line.and_then(|line| line.split('\t').next());
            words = vec![
                words[0].clone(),
                number.expect("the module is there").to_owned(),
            ];
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.pactl(&words);
    }

    fn pactl(&self, words: &[&str]) -> String {
        let mut command = Command::new("pactl");
        command
            .env("PULSE_SERVER", address(&self.socket))
            .env("HOME", self.dir.path());
        let output = command.args(words).output().expect("pactl runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An sshd on the loopback, and an ssh that brings the socket of a sound server to its side.
struct Tunnel {
    dir: TempDir,
    port: u16,
    sshd: Child,
    ssh: Child,
    socket: PathBuf,
}

impl Tunnel {
    fn to(server: &Server) -> Option<Tunnel> {
        let sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"]
            .iter()
            .find(|path| Path::new(path).exists());
        let Some(sshd) = sshd.filter(|_| is_installed("ssh")) else {
            assert!(!is_needed(), "openssh-server is not installed");
            eprintln!("left out: openssh-server is not installed");
            return None;
        };
        let dir = TempDir::new().expect("a directory");
        let path = |name: &str| dir.path().join(name).display().to_string();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)])
                .status();
            assert!(made.is_ok_and(|made| made.success()), "no key");
        }
        std::fs::copy(path("user.pub"), path("authorized")).expect("a copy");
        // sshd run by root wants it, and nobody else may make it.
        let _ = std::fs::create_dir("/run/sshd");
        let port = free_port();
        let program = Path::new(env!("CARGO_BIN_EXE_twocan"))
            .parent()
            .expect("a directory");
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin yes\nSetEnv PATH={}:/usr/bin:/bin\n",
            path("host"),
            path("authorized"),
            program.display()
        );
        std::fs::write(path("config"), config).expect("written");
        let log = std::fs::File::create(path("log")).expect("a log");
        let run = Command::new(sshd)
            .args(["-D", "-e", "-f", &path("config")])
            .stderr(log)
            .spawn();
        let sshd = run.expect("sshd starts");
        until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let socket = dir.path().join("forwarded");
        let mut tunnel = Tunnel {
            port,
            sshd,
            ssh: Command::new("true").spawn().expect("true"),
            socket,
            dir,
        };
        let mut command = Command::new("ssh");
        command.args(tunnel.options()).args([
            "-o",
            "ExitOnForwardFailure=yes",
            "-S",
            "none",
            "-N",
            "-R",
        ]);
        command.arg(format!(
            "{}:{}",
            tunnel.socket.display(),
            server.socket.display()
        ));
        let _ = tunnel.ssh.wait();
        tunnel.ssh = command
            .arg("127.0.0.1")
            .stdin(Stdio::null())
            .spawn()
            .expect("ssh starts");
        until(|| tunnel.socket.exists());
        Some(tunnel)
    }

    fn options(&self) -> Vec<String> {
        let key = self.dir.path().join("user").display().to_string();
        let options = [
            format!("Port={}", self.port),
            format!("IdentityFile={key}"),
            "IdentitiesOnly=yes".to_owned(),
            "BatchMode=yes".to_owned(),
            "StrictHostKeyChecking=no".to_owned(),
            "UserKnownHostsFile=/dev/null".to_owned(),
            "LogLevel=ERROR".to_owned(),
        ];
        options
            .into_iter()
            .flat_map(|option| ["-o".to_owned(), option])
            .collect()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        for child in [&mut self.ssh, &mut self.sshd] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn address(socket: &Path) -> String {
    format!("unix:{}", socket.display())
}

fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("its address").port()
}

/// In the daily run everything is installed, so that nothing is left out without a word.
fn is_installed(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        assert!(!is_needed(), "{program} is not installed");
        eprintln!("left out: {program} is not installed");
    }
    found
}

fn is_needed() -> bool {
    std::env::var_os("TWOCAN_TEST_SOUND").is_some()
}

fn until(mut happened: impl FnMut() -> bool) {
    for _ in 0..600 {
        if happened() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    panic!("it did not happen within 30 s");
}

const CALL: CallId = CallId(1);

/// Longer than anything may take on the slowest day.
const LONG: Duration = Duration::from_secs(60);
