//! A phone in a process of its own, and the hand that steers it from outside.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command as Process};
use twocan::api::{CallState, Command, Done, Event};
use twocan::audio::Backend;
use twocan::control::{Client, Server};
use twocan::disk::{Home, key};

use crate::process;
use crate::support::{self, signal};

/// The process: runs a phone in this home, reachable by its control socket, until it is killed.
pub async fn be(home: &str) {
    let dir = Path::new(home);
    let keys = key::load(&Home::at(dir), None).expect("an identity");
    let backend = Backend::Wav {
        input: dir.join("in.wav"),
        output: dir.join("out.wav"),
    };
    let handle = support::start(dir, keys, backend, twocan::phone::Answering::Manual);
    let server = Server::bind(&Home::at(dir).socket()).expect("a socket");
    println!("ready");
    let ended = async {
        let _ = handle.ended().await;
    };
    server.run(|| handle.client(), ended).await;
}

/// Somebody with a phone.
pub struct Person {
    pub name: &'static str,
    /// When the present call became active here.
    pub active: Option<Timestamp>,
    dir: TempDir,
    running: Option<(Child, Client)>,
}

impl Person {
    pub fn new(name: &'static str, voice: &[i16]) -> Person {
        let dir = TempDir::new().expect("a directory");
        key::create(&Home::at(dir.path()), &support::keys(name), None).expect("an identity");
        signal::write(&dir.path().join("in.wav"), voice);
        Person {
            name,
            active: None,
            dir,
            running: None,
        }
    }

    /// Ends the phone, if it runs, and starts it again with nothing in its memory.
    pub async fn restart(&mut self) {
        if let Some((mut child, mut client)) = self.running.take() {
            client.request(Command::Quit).await.expect("it ends");
            child.wait().await.expect("it has ended");
        }
        let mut child = Process::new(std::env::current_exe().expect("this program"))
            .arg("phone")
            .arg(self.dir.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a process");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        out.read_line(&mut line)
            .await
            .expect("it says when it is ready");
        let client = Client::connect(&Home::at(self.dir.path()).socket()).await;
        let mut client = client.expect("it answers");
        // The system connects before the phone has taken the connection, and what the phone tells
        // until then is told to others only.
        let first = client.event().await.expect("the phone runs").event;
        assert!(matches!(first, Event::Ready { .. }), "{first:?}");
        self.running = Some((child, client));
    }

    pub async fn order(&mut self, command: Command) -> Done {
        self.client()
            .request(command)
            .await
            .expect("it can be done")
    }

    /// When the call came to this state.
    pub async fn at(&mut self, wanted: CallState) -> Timestamp {
        self.wait(&format!("{wanted:?}"), |event| {
            support::is_state(event, wanted)
        })
        .await
    }

    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out.wav")
    }

    /// Processor time so far: all of it, the voice thread's, the engine thread's.
    pub fn used(&self) -> [f64; 3] {
        [None, Some("voice"), Some("engine")].map(|thread| process::used(self.pid(), thread))
    }

    pub fn resident(&self) -> f64 {
        process::resident(self.pid())
    }

    /// How long frames wait in the jitter buffer, by the newest statistics, in milliseconds.
    pub async fn buffer(&mut self) -> f64 {
        let client = self.client();
        let mut newest = f64::NAN;
        while let Ok(Some(told)) = tokio::time::timeout(Duration::ZERO, client.event()).await {
            if let Event::Stats { buffer_ms, .. } = told.event {
                newest = f64::from(buffer_ms);
            }
        }
        newest
    }

    /// When the wanted event came. What came instead is in the message if it does not.
    async fn wait(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Timestamp {
        let client = self.client();
        let mut others = Vec::new();
        let found = async {
            loop {
                let stamped = client.event().await.expect("the phone runs");
                if wanted(&stamped.event) {
                    return stamped.at;
                }
                others.push(stamped);
            }
        };
        let found = tokio::time::timeout(SOON, found).await;
        found.unwrap_or_else(|_| panic!("{}: {what} did not come, but {others:#?}", self.name))
    }

    fn client(&mut self) -> &mut Client {
        &mut self.running.as_mut().expect("the phone runs").1
    }

    fn pid(&self) -> u32 {
        let (child, _) = self.running.as_ref().expect("the phone runs");
        child.id().expect("the phone runs")
    }
}

/// Starts both phones and lets the second add the first.
pub async fn befriend(one: &mut Person, two: &mut Person) {
    one.restart().await;
    two.restart().await;
    let (lifetime, uses) = (3600, 1);
    let Done::Invite { line, .. } = one
        .order(Command::Invite {
            lifetime,
            uses,
            public: false,
        })
        .await
    else {
        panic!("no invite");
    };
    two.order(Command::AddContact { line, name: None }).await;
    for person in [one, two] {
        let is_added =
            |event: &Event| matches!(event, Event::Contact { contact, .. } if !contact.pending);
        person.wait("the contact", is_added).await;
    }
}

/// What a machine with other work may take for any single step.
const SOON: Duration = Duration::from_secs(10);
