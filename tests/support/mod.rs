//! Whole phones for tests: real engines with homes of their own, over the loopback.

#![allow(dead_code, reason = "each test and bench uses the part that it needs")]

pub mod road;
pub mod signal;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use twocan::api::{
    CallState, Command, Done, Event, HistoryView, Refusal, Stamped, Status, Switch, Why,
};
use twocan::audio::{Backend, Settings};
use twocan::config::Network;
use twocan::control::{Client, ClientError};
use twocan::disk::{Home, HomeLock, Keys};
use twocan::engine::{Answering, Engine, Handle, Lending, Options};
use twocan::peer::{DeviceKeys, SafeText, Seed};

/// A phone and somebody who sits at it.
pub struct Phone {
    pub handle: Handle,
    pub client: Client,
    /// Everything that was told so far.
    pub told: Vec<Event>,
    pub dir: TempDir,
}

impl Phone {
    /// A new person with a new home and no sound.
    pub fn new(name: &str) -> Phone {
        Phone::with(name, Backend::Null, Answering::Manual)
    }

    /// A new person whose microphone is a file; the other file is [`Phone::out`].
    pub fn with_wav(name: &str, voice: &[i16]) -> Phone {
        let dir = TempDir::new().expect("a directory");
        let input = dir.path().join("in.wav");
        let output = dir.path().join("out.wav");
        signal::write(&input, voice);
        Phone::at(dir, name, Backend::Wav { input, output }, Answering::Manual)
    }

    pub fn with(name: &str, backend: Backend, answering: Answering) -> Phone {
        Phone::at(
            TempDir::new().expect("a directory"),
            name,
            backend,
            answering,
        )
    }

    /// A new person with no sound who finds others by these ultrapeers.
    pub fn in_network(name: &str, bootstrap: &[String]) -> Phone {
        let dir = TempDir::new().expect("a directory");
        Phone::again_in_network(dir, keys(name), bootstrap)
    }

    /// The same, who offers his contacts an ultrapeer.
    pub fn offering(name: &str, bootstrap: &[String], lending: Lending) -> Phone {
        let dir = TempDir::new().expect("a directory");
        let options = Options {
            network: Network::Private,
            bootstrap: bootstrap.to_vec(),
            lending: Some(lending),
            ..options(dir.path(), keys(name), Backend::Null, Answering::Auto)
        };
        Phone::sit_at(Engine::start(options).expect("an engine"), dir)
    }

    /// The same, in a home that may have been used before.
    pub fn again_in_network(dir: TempDir, keys: Keys, bootstrap: &[String]) -> Phone {
        let options = Options {
            network: Network::Private,
            bootstrap: bootstrap.to_vec(),
            ..options(dir.path(), keys, Backend::Null, Answering::Auto)
        };
        let handle = Engine::start(options).expect("an engine");
        Phone::sit_at(handle, dir)
    }

    pub fn at(dir: TempDir, name: &str, backend: Backend, answering: Answering) -> Phone {
        let handle = start(dir.path(), keys(name), backend, answering);
        Phone::sit_at(handle, dir)
    }

    fn sit_at(handle: Handle, dir: TempDir) -> Phone {
        let client = Client::new(handle.client());
        Phone {
            handle,
            client,
            told: Vec::new(),
            dir,
        }
    }

    /// What the loudspeaker played, once the call is over.
    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out.wav")
    }

    pub async fn ask(&mut self, command: Command) -> Result<Done, Refusal> {
        match self.client.request(command).await {
            Ok(done) => Ok(done),
            Err(ClientError::Refused(refusal)) => Err(refusal),
            Err(error) => panic!("{error}"),
        }
    }

    /// Asks for what must be done.
    pub async fn order(&mut self, command: Command) -> Done {
        let words = format!("{command:?}");
        match self.ask(command).await {
            Ok(done) => done,
            Err(refusal) => panic!("{words}: {refusal}"),
        }
    }

    /// The first event, from now on or within `limit`, of which `wanted` makes something.
    pub async fn wait<T>(
        &mut self,
        limit: Duration,
        mut wanted: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        let told = &mut self.told;
        let client = &mut self.client;
        let found = tokio::time::timeout(limit, async {
            loop {
                let Stamped { event, .. } = client.event().await.expect("the engine runs");
                let found = wanted(&event);
                told.push(event);
                if let Some(found) = found {
                    return found;
                }
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!(
                "it did not happen within {limit:?}, but this: {:#?}",
                self.told
            ),
        }
    }

    pub async fn until(&mut self, state: CallState) {
        self.wait(SOON, |event| is_state(event, state).then_some(()))
            .await;
    }

    /// How the call ended.
    pub async fn until_ended(&mut self, limit: Duration) -> Why {
        self.wait(limit, |event| match event {
            Event::Call { why, .. } if is_state(event, CallState::Ended) => *why,
            _ => None,
        })
        .await
    }

    pub async fn words(&mut self) -> [String; 4] {
        self.wait(SOON, |event| match event {
            Event::Sas { words, .. } => Some(words.clone()),
            _ => None,
        })
        .await
    }

    pub async fn status(&mut self) -> Status {
        match self.order(Command::Status).await {
            Done::Status(status) => *status,
            other => panic!("{other:?} is no status"),
        }
    }

    pub async fn history(&mut self) -> Vec<HistoryView> {
        self.status().await.history
    }

    pub async fn dial(&mut self, peer: &str) {
        let peer = peer.to_owned();
        let muted = false;
        self.order(Command::Dial { peer, muted }).await;
    }

    pub async fn answer(&mut self) {
        let (call, muted) = (None, false);
        self.order(Command::Answer { call, muted }).await;
    }

    pub async fn hang_up(&mut self) {
        self.order(Command::Hangup { call: None }).await;
    }

    pub async fn hold(&mut self, to: Switch) {
        self.order(Command::Hold { call: None, to }).await;
    }

    pub async fn invite(&mut self) -> String {
        let (lifetime, uses) = (3600, 1);
        match self
            .order(Command::Invite {
                lifetime,
                uses,
                public: false,
            })
            .await
        {
            Done::Invite { line, .. } => line,
            other => panic!("{other:?} is no invite"),
        }
    }

    /// Opens an invite and waits until both sides have each other.
    pub async fn befriend(&mut self, other: &mut Phone, line: String) {
        self.order(Command::AddContact { line, name: None }).await;
        for phone in [self, other] {
            phone
                .wait(SOON, |event| match event {
                    Event::Contact { contact, .. } if !contact.pending => Some(()),
                    _ => None,
                })
                .await;
        }
    }

    /// Ends the phone and waits for it; the home stays.
    pub async fn end(self) -> TempDir {
        self.handle.stop();
        self.handle.ended().await.expect("it ends as it should");
        self.dir
    }
}

/// Longest that anything on the loopback may take.
pub const SOON: Duration = Duration::from_secs(10);

/// Two phones that have each other, the second added the first.
pub async fn friends(mut one: Phone, mut two: Phone) -> (Phone, Phone) {
    let line = one.invite().await;
    two.befriend(&mut one, line).await;
    (one, two)
}

/// Dials from the first to the second, who answers, until both are talking.
pub async fn connect(one: &mut Phone, two: &mut Phone, name: &str) {
    one.dial(name).await;
    two.until(CallState::Ringing).await;
    one.until(CallState::Ringing).await;
    two.answer().await;
    one.until(CallState::Active).await;
    two.until(CallState::Active).await;
}

pub fn is_state(event: &Event, wanted: CallState) -> bool {
    matches!(event, Event::Call { state, .. } if *state == wanted)
}

pub fn keys(name: &str) -> Keys {
    let random = || {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        bytes
    };
    Keys {
        name: SafeText::name(name),
        seed: Seed::from_bytes(random()),
        device: DeviceKeys::from_secrets(random(), random()),
    }
}

/// Starts an engine in this directory.
pub fn start(dir: &Path, keys: Keys, backend: Backend, answering: Answering) -> Handle {
    Engine::start(options(dir, keys, backend, answering)).expect("an engine")
}

fn options(dir: &Path, keys: Keys, backend: Backend, answering: Answering) -> Options {
    let home = Home::at(dir);
    Options {
        recordings: dir.join("recordings"),
        lock: HomeLock::acquire(&home).expect("nobody else is in this home"),
        home,
        keys,
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        audio: Settings::new(backend),
        network: Network::None,
        bootstrap: Vec::new(),
        lan: false,
        port_mapping: false,
        lending: None,
        answering,
    }
}

/// The keys of the same phone, for its next start.
pub fn same(keys: &Keys) -> Keys {
    Keys {
        name: keys.name.clone(),
        seed: keys.seed.clone(),
        device: DeviceKeys::from_secrets(**keys.device.x_secret(), *keys.device.d_secret()),
    }
}
