//! The server that `server.js` makes of js-libp2p, run beside the test.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use libp2p::Multiaddr;
use serde_json::{Value, json};

/// The server under way.
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    /// With `/p2p`.
    pub address: Multiaddr,
}

/// `None`, and a line that says why, if no Node.js is named or the packages are not there.
pub fn server() -> Option<Server> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/js");
    let node = std::env::var_os(VARIABLE).filter(|value| *value != OsString::new());
    let Some(node) = node.filter(|_| directory.join("node_modules/libp2p").is_dir()) else {
        // Not println: the harness would swallow it.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: run `npm ci` in tests/interop/js, and set \
             {VARIABLE}=$PWD/tests/interop/js/node_modules/.bin/node"
        );
        return None;
    };
    let mut child = Command::new(node)
        .arg(directory.join("server.js"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the named Node.js starts");
    let stdout = child.stdout.take().expect("piped");
    let (sender, lines) = sync_channel(64);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut server = Server {
        child,
        lines,
        address: Multiaddr::empty(),
    };
    let hello = server.line();
    server.address = text(&hello["address"]).parse().expect("a multiaddr");
    Some(server)
}

/// A record as the server holds it.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    /// Of which DHT.
    pub network: String,
    pub value: Vec<u8>,
    /// What its validator has against it.
    pub wrong: Option<String>,
}

impl Server {
    /// The records that it holds under a key, in whichever DHT.
    pub fn held(&mut self, key: &[u8]) -> Vec<Held> {
        let answer = self.ask(&json!({ "held": to_hex(key) }));
        let records = answer["records"].as_array().expect("a list");
        let held = records.iter().map(|record| Held {
            network: text(&record["network"]),
            value: from_hex(&text(&record["value"])),
            wrong: record["wrong"].as_str().map(str::to_owned),
        });
        held.collect()
    }

    /// What its validator has against a record.
    pub fn judge(&mut self, key: &[u8], value: &[u8]) -> Option<String> {
        let judge = json!({ "key": to_hex(key), "value": to_hex(value) });
        let answer = self.ask(&json!({ "judge": judge }));
        answer["wrong"].as_str().map(str::to_owned)
    }

    /// The peers that hold a reservation.
    pub fn reservations(&mut self) -> Vec<String> {
        let answer = self.ask(&json!({ "reservations": true }));
        let peers = answer["reservations"].as_array().expect("a list");
        peers.iter().map(text).collect()
    }

    fn ask(&mut self, question: &Value) -> Value {
        let stdin = self.child.stdin.as_mut().expect("open");
        writeln!(stdin, "{question}").expect("it listens");
        self.line()
    }

    fn line(&self) -> Value {
        let line = self.lines.recv_timeout(LONG);
        let line = line.expect("an answer; a complaint stands above");
        serde_json::from_str(&line).expect("a line of JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a text takes it");
        hex
    })
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}

const VARIABLE: &str = "TWOCAN_INTEROP_NODE";

/// It has to load some hundred files first.
const LONG: Duration = Duration::from_secs(30);
