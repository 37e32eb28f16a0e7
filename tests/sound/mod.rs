//! Real sound servers and real ssh connections. A program that is not installed here is said to be so.

mod server;
mod tunnel;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

pub use server::Server;
pub use tunnel::Tunnel;

pub fn address(socket: &Path) -> String {
    format!("unix:{}", socket.display())
}

/// In the daily run everything is installed, so that nothing is left out without a word.
pub fn is_installed(program: &str) -> bool {
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
