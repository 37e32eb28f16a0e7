//! A Python program of `tests/interop`, run beside the test.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// A Python program under way. What it says comes line by line.
pub struct Python {
    child: Child,
    pub lines: Receiver<String>,
}

/// `None` if no Python is named.
pub fn python(program: &str, arguments: &[&str]) -> Option<Python> {
    let Some(python) = std::env::var_os(VARIABLE).filter(|value| *value != OsString::new()) else {
        let mut out = std::io::stderr();
        let _ = writeln!(out, "skipped: {VARIABLE} does not name a Python");
        return None;
    };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
    let mut child = Command::new(python)
        .arg("-B")
        .arg("-Wignore")
        .arg(directory.join(program))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the named Python starts");
    let stdout = child.stdout.take().expect("piped");
    let (sender, lines) = sync_channel(1024);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Some(Python { child, lines })
}

impl Python {
    pub fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("open");
        writeln!(stdin, "{line}").expect("it listens");
    }

    pub fn line(&self, wait: Duration) -> Option<String> {
        self.lines.recv_timeout(wait).ok()
    }

    /// Waits for its end, which has to be a good one.
    pub fn end(&mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("it was started");
        assert!(status.success(), "{status}: its complaint stands above");
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const VARIABLE: &str = "TWOCAN_INTEROP_PYTHON";
