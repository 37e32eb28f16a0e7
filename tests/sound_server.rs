//! Calls on a real PulseAudio, with null sinks for loudspeakers and their monitors for microphones:
//! what is played comes back as what is said. One is killed and started again, one hangs, one is at
//! the other end of a real ssh connection, one at that of a long line. A program that is not
//! installed here is said to be so.

#![cfg(target_os = "linux")]
#![expect(clippy::print_stderr, reason = "says which tests were left out")]

#[path = "support/slow_line.rs"]
mod slow_line;
mod sound;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use slow_line::slow_line;
use sound::{Server, Tunnel, address, is_installed};
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
    let music = server.play_music("one");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut call = Call::on(&server.socket, "one.monitor", "two");
    let gap = call.longest_gap(200).await;
    drop(music);
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
    tunnel.cut();
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
    let music = server.play_music("two");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut call = Call::on(&near, "two.monitor", "one");
    let place = call.until_restored().await;
    assert!(place.link.is_some_and(|time| time > delay), "{place:?}");
    call.frames(50).await;
    let gap = call.longest_gap(150).await;
    drop(music);
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

const CALL: CallId = CallId(1);

/// Longer than anything may take on the slowest day.
const LONG: Duration = Duration::from_secs(60);
