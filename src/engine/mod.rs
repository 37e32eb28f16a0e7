//! The engine: one thread that carries words between the phone and the world.
//!
//! It owns the pure [`Phone`], the network, the sound, and the way to the disk, and decides nothing
//! itself. The screen and the control socket reach it by [`Handle::client`]; none of them, nor the
//! disk, nor a lost sound card, can hold it up or end it.

mod alarm;
mod answer;
mod apply;
mod book;
mod chimes;
mod cleaning;
mod clock;
mod echo;
mod finder;
mod keep;
mod labour;
mod lending;
mod listeners;
mod moving;
mod recordings;
mod renewal;
mod run;
mod sound;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::{Notify, mpsc, watch};

use crate::api::{Message, Request};
use crate::audio::{self, Audio, AudioError};
use crate::config::Network;
use crate::directory::Keeper;
use crate::disk::{self, DiskError, History, Home, HomeLock, Keys, Store, Surroundings};
use crate::net::mapping::Mapper;
use crate::net::reflect::{Pass, PassError};
use crate::net::{Net, NetError, Node, NodeError, NodeOptions, Watch};
use crate::peer::{DeviceKeys, PeerId};
use crate::phone::{Phone, Settings};

pub use crate::phone::Answering;
use alarm::Alarm;
use book::Book;
use clock::Clock;
use echo::Echo;
use finder::Finder;
use keep::Keep;
use labour::Labour;
pub use lending::Lending;
use listeners::{MESSAGES, REQUESTS};
use moving::Moving;
use recordings::Recordings;
use renewal::Renewal;
use run::{Join, Run};
use sound::Lookout;

/// What an engine is made of.
#[derive(Debug)]
pub struct Options {
    /// Where contacts and history are kept.
    pub home: Home,
    /// The right to write there; given back at the end.
    pub lock: HomeLock,
    pub keys: Keys,
    /// Where to listen. Port 0 picks, and tries that of the last run first.
    pub listen: SocketAddr,
    pub audio: audio::Settings,
    /// Which directory is used, and through whom it is entered.
    pub network: Network,
    /// Multiaddrs.
    pub bootstrap: Vec<String>,
    /// The gateway is asked to forward a port to this phone.
    pub port_mapping: bool,
    /// What contacts are offered.
    pub lending: Option<Lending>,
    /// Contacts are looked for on the local network too.
    pub lan: bool,
    /// Where recorded calls go.
    pub recordings: PathBuf,
    /// What happens when a contact calls.
    pub answering: Answering,
}

/// Starts engines.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Starts an engine on a thread of its own; when this returns, it can be called.
    ///
    /// # Errors
    /// When the contacts or the history cannot be read, or the port, the sound backend's files, or
    /// a thread cannot be had.
    pub fn start(options: Options) -> Result<Handle, EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(EngineError::Thread)?;
        let (joins, joining) = mpsc::channel(JOINS);
        let (end, ended) = watch::channel(false);
        let stop = Arc::new(Notify::new());
        let assembled = {
            let _context = runtime.enter();
            assemble(options, joining, stop.clone())
        };
        let run = match assembled {
            Ok(run) => run,
            Err(error) => {
                // Dropping it would wait, which whoever calls from a task must not.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let (id, listen) = (run.id(), run.listen());
        std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                // As a task: what is not one is woken by a system call each time, even by its own timer.
                let ended = runtime.block_on(runtime.spawn(run.run()));
                drop(runtime);
                if let Err(error) = ended
                    && let Ok(panic) = error.try_into_panic()
                {
                    std::panic::resume_unwind(panic);
                }
                end.send_replace(true);
            })
            .map_err(EngineError::Thread)?;
        Ok(Handle {
            joins,
            stop,
            ended,
            id,
            listen,
        })
    }
}

/// A running engine. Clones stand for the same one; it runs on when all of them are dropped, until
/// [`Handle::stop`] or a [`crate::api::Command::Quit`].
#[derive(Clone, Debug)]
pub struct Handle {
    joins: mpsc::Sender<Join>,
    stop: Arc<Notify>,
    ended: watch::Receiver<bool>,
    id: PeerId,
    listen: SocketAddr,
}

impl Handle {
    /// A new conversation with the engine. The first message is [`crate::api::Event::Ready`]; the
    /// conversation is over when the engine ends or both channels are dropped.
    pub fn client(&self) -> (mpsc::Sender<Request>, mpsc::Receiver<Message>) {
        let (requests, asked) = mpsc::channel(REQUESTS);
        let (told, messages) = mpsc::channel(MESSAGES);
        // If the engine has ended (or is swamped), the closed channels say so.
        let _ = self.joins.try_send(Join {
            requests: asked,
            messages: told,
        });
        (requests, messages)
    }

    /// Who this phone is.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// The address that was asked for, with the port that it got.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Asks the engine to hang up and end; [`Handle::ended`] tells when it has.
    pub fn stop(&self) {
        self.stop.notify_one();
    }

    /// Waits for the end: calls are over, files are complete, everything is on the disk.
    ///
    /// # Errors
    /// When the engine's thread died instead of ending.
    pub async fn ended(&self) -> Result<(), EngineError> {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(|&ended| ended).await;
        ended.map(|_| ()).map_err(|_| EngineError::Died)
    }
}

/// The engine cannot start, or did not end as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Audio(#[from] AudioError),
    #[error("{}:{line}: {source}", path.display())]
    Pass {
        path: PathBuf,
        line: usize,
        source: PassError,
    },
    #[error("the system gives no randomness: {0}")]
    Random(getrandom::Error),
    #[error("the system gives no timer: {0}")]
    Timer(#[source] io::Error),
    #[error("the engine's thread could not be started: {0}")]
    Thread(#[source] io::Error),
    /// A panic, which is a bug; its message is in the log.
    #[error("the engine died; the log has the reason")]
    Died,
}

/// Conversations that wait to be taken up.
const JOINS: usize = 32;

fn assemble(
    options: Options,
    joins: mpsc::Receiver<Join>,
    stop: Arc<Notify>,
) -> Result<Run, EngineError> {
    let clock = Clock::start();
    let now = clock.now();
    let Options { home, keys, .. } = options;
    let contacts = Store::load(&home)?;
    let history = History::load(&home, book::KEPT)?;
    for line in &history.damaged {
        tracing::warn!("passed over line {line} of {}", home.history().display());
    }
    let net = open_net(options.listen, &home)?;
    let lookout = Lookout::new(&options.audio);
    let (audio, audio_events) = Audio::start(options.audio)?;
    let seed = random()?;
    let identity = keys.identity();
    let id = identity.id();
    let device = DeviceKeys::from_secrets(**keys.device.x_secret(), *keys.device.d_secret());
    let keeper = match options.network {
        Network::Public | Network::Private => {
            let born = Clock::unix_millis();
            Some(Keeper::new(random()?, &identity, born))
        }
        Network::None => None,
    };
    let known = Surroundings::load(&home);
    let (node, news) = Node::start(NodeOptions {
        network: options.network,
        bootstrap: options.bootstrap,
        cache: known.nodes.clone(),
        decoys: decoys(&keys.device),
        passes: passes(&home)?,
        // Who listens on the loopback only is on no LAN.
        lan: options.lan && !options.listen.ip().is_loopback(),
    })?;
    let (renewal, cert) = Renewal::begin(identity, keys.device, now.unix);
    let place = net.place();
    let is_alone = options.network == Network::None || options.listen.ip().is_loopback();
    let mapper = match NonZeroU16::new(net.listen().port()) {
        Some(port) if options.port_mapping && !is_alone => {
            Some(Mapper::start(port, place.inside()).map_err(EngineError::Thread)?)
        }
        _ => None,
    };
    let settings = Settings {
        seed,
        device,
        cert,
        identity: id,
        name: keys.name.clone(),
        contacts: contacts.contacts().to_vec(),
        invites: contacts.invites().to_vec(),
        requests: contacts.requests().to_vec(),
        reach: contacts.reach().clone(),
        addresses: place.addresses().to_vec(),
        answering: options.answering,
    };
    let parts = run::Parts {
        clock,
        alarm: Alarm::new().map_err(EngineError::Timer)?,
        phone: Phone::new(settings, now),
        net,
        audio,
        audio_events,
        recordings: Recordings::new(options.recordings),
        echo: Echo::new(options.answering == Answering::Echo),
        keep: Keep::start(options.lock, home, contacts)?,
        book: Book::new(history.entries),
        renewal,
        finder: Finder::new(node, news, keeper, known, options.lending),
        labour: Labour::new(),
        joins,
        stop,
        id,
        name: keys.name,
        moving: Moving::new(Watch::start(), place, mapper, now),
    };
    Ok(Run::new(parts, lookout))
}

/// The passes of friends' reflectors that the owner of this home has put there.
///
/// # Errors
/// When a line is none, or the file cannot be read or can be read by others.
pub fn passes(home: &Home) -> Result<Vec<Pass>, EngineError> {
    let lines = disk::passes(home)?;
    let read = lines.into_iter().map(|(line, text)| {
        text.parse().map_err(|source| EngineError::Pass {
            path: home.passes(),
            line,
            source,
        })
    });
    read.collect()
}

fn random() -> Result<[u8; 32], EngineError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(EngineError::Random)?;
    Ok(bytes)
}

/// From which the names are made that hide the watched ones: the same at each start, or comparing
/// two starts would tell them apart.
fn decoys(device: &DeviceKeys) -> [u8; 32] {
    let hash = Sha256::new().chain_update(b"twocan/1 decoys\0");
    hash.chain_update(device.d_secret()).finalize().into()
}

/// Opens the port, and remembers it if it was picked.
fn open_net(listen: SocketAddr, home: &Home) -> Result<Net, NetError> {
    let last = disk::load_port(home);
    let net = Net::open(listen, last)?;
    let port = net.listen().port();
    let is_new = listen.port() == 0 && last != Some(port);
    if is_new && let Err(error) = disk::save_port(home, port) {
        tracing::warn!("old invites may not work after a restart: {error}");
    }
    Ok(net)
}
