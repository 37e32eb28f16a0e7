//! A sound server of our own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use twocan::audio::survey;

use super::{address, is_installed, until};

/// A PulseAudio of our own with the null sinks `one` and `two`.
pub struct Server {
    pub dir: TempDir,
    pub socket: PathBuf,
    child: Child,
}

impl Server {
    pub fn start() -> Option<Server> {
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

    /// Plays silence, in no hurry, until it is dropped.
    pub fn play_music(&self, sink: &str) -> Music {
        let mut command = Command::new("pacat");
        command.env("PULSE_SERVER", address(&self.socket));
        command.args(["--playback", "--device", sink, "/dev/zero"]);
        Music(command.spawn().expect("pacat runs"))
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    pub fn again(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        self.child = Server::run(self.dir.path(), &self.socket);
    }

    pub fn control(&self, words: &[&str]) {
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

    pub fn pactl(&self, words: &[&str]) -> String {
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
        end(&mut self.child);
    }
}

/// A program that plays.
pub struct Music(Child);

impl Drop for Music {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Whatever has become of it already.
pub fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
