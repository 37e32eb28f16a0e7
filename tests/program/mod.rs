//! The real program for tests, in homes of its own.

#![allow(dead_code, reason = "each test uses the part that it needs")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A home of its own, and the program that lives in it.
pub struct Home(TempDir);

impl Home {
    pub fn new() -> Home {
        Home(tempfile::tempdir().expect("a directory"))
    }

    pub fn with_identity(name: &str) -> Home {
        let home = Home::new();
        home.run(&["id", "new", "--name", name, "--no-input"]).ok();
        home
    }

    /// Runs one command to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_all(arguments, &[], "")
    }

    pub fn run_with(&self, arguments: &[&str], input: &str) -> Run {
        self.run_all(arguments, &[], input)
    }

    pub fn run_env(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        self.run_all(arguments, variables, "")
    }

    /// Starts a command that goes on, and follows what it prints.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (send, events) = sync_channel(10_000);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if send.send(event).is_err() {
                    return;
                }
            }
        });
        Running { child, events }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("a file of the home")
    }

    /// Writes as the owner would: private.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::write(&path, bytes).expect("a file of the home");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("own file");
    }

    pub fn mode(&self, name: &str) -> u32 {
        let file = fs::metadata(self.path(name)).expect("a file of the home");
        file.permissions().mode() & 0o777
    }

    fn run_all(&self, arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Run {
        let mut child = self
            .command(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A program that does not read its input closes the pipe.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        Run::new(child.wait_with_output().expect("the program ends"))
    }

    /// Nothing of the surroundings may matter to a test.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twocan"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TWOCAN_") {
                command.env_remove(name);
            }
        }
        command
            .arg("--home")
            .arg(self.0.path())
            .args(arguments)
            .stdout(Stdio::piped());
        command
    }
}

/// How the program ended and what it said.
#[derive(Debug)]
pub struct Run {
    output: Output,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    fn new(output: Output) -> Run {
        let stdout = String::from_utf8(output.stdout.clone()).expect("text");
        let stderr = String::from_utf8(output.stderr.clone()).expect("text");
        Run {
            output,
            stdout,
            stderr,
        }
    }

    pub fn code(&self) -> i32 {
        self.output.status.code().expect("no signal ended it")
    }

    pub fn ok(self) -> Run {
        assert_eq!(self.code(), 0, "{}", self.stderr);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// Standard output as JSON lines.
    pub fn lines(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.stdout.lines().map(read).collect()
    }
}

/// A command that runs, and what it prints.
pub struct Running {
    child: Child,
    events: Receiver<Value>,
}

impl Running {
    /// The next line, or `None` when there are no more.
    ///
    /// # Panics
    /// When nothing comes for a long time.
    pub fn next(&self) -> Option<Value> {
        match self.events.recv_timeout(PATIENCE) {
            Ok(event) => Some(event),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("nothing happens any more"),
        }
    }

    /// Waits for the event that passes `test` and gives it; those before it are gone.
    pub fn wait(&self, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self
                .next()
                .unwrap_or_else(|| panic!("it ended before: {what}"));
            if test(&event) {
                return event;
            }
        }
    }

    /// Waits until a call is in a state.
    pub fn wait_call(&self, state: &str) -> Value {
        self.wait(state, |event| {
            event["event"] == "call" && event["state"] == state
        })
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it still runs");
    }

    /// Waits for its end and gives the exit code.
    pub fn end(&mut self) -> i32 {
        while self.next().is_some() {}
        let status = self.child.wait().expect("it ends");
        status.code().expect("no signal ended it")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);
