//! An ultrapeer: the node with a public address on which phones lean.
//!
//! It is a server of the DHT on which the directory stands, asks that DHT for phones
//! (`/twocan/dir/1`, frames in [`crate::net::proxy`]), carries circuits between phones that cannot
//! reach each other, tells nodes whether they can be reached (autonat), and which other ultrapeers
//! there are (`/twocan/peers/1`). It sees blinded names, sealed records and sealed datagrams; whose
//! they are it does not learn.
//!
//! Everybody it talks to is a stranger: everything it holds for others is bounded, and who takes
//! more than a share loses that first.
//!
//! - `shelf`, `desk`, `mesh`, `rate`, `lookups`: pure; what is kept, who watches, who else is there,
//!   how often, and what is being asked.
//! - `table`, `guests`, `fence`, `behaviour`: what libp2p is given.
//! - [`reflector`]: what is forwarded between phones that cannot reach each other.
//! - `rooms`: who is given a room there.
//! - `streams`: one task for each stream; `errands`: those that wait to be opened.
//! - `run`: the one loop that decides, with `clients` for what phones ask and `queries` for what is
//!   asked of the DHTs.
//!
//! With at most twenty ultrapeers each of them keeps every record, and the DHT's own PUT is what
//! brings news from one to the watchers at another. Beyond that each reads the names that are
//! watched at it again every five minutes.

mod behaviour;
mod clients;
mod desk;
mod errands;
mod fence;
mod guests;
mod listen;
mod lookups;
mod mesh;
mod queries;
mod rate;
pub mod reflector;
mod rooms;
mod run;
mod shelf;
mod streams;
mod table;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::Network;
use crate::net::is_global;
use crate::net::swarm::{PUBLIC_ENTRIES, ip};
use crate::peer::Redacted;
use fence::{Fence, bare};

pub use behaviour::server;
pub use rate::Group;
pub use rooms::{Reflected, Reflection, Serve};
pub use shelf::{Kept, Shelf, Source, Unkept};
pub use table::{SharedShelf, Table, shards};

/// How an ultrapeer runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name in libp2p; kept, so that its addresses stay good.
    pub key: Keypair,
    /// Where it listens, by TCP.
    pub listen: SocketAddr,
    /// Where it listens too, say on port 443 for networks that let nothing else out.
    pub also: Vec<SocketAddr>,
    /// [`Network::Public`] joins the DHT that everybody shares too.
    pub network: Network,
    /// Nodes through which it finds the others, as multiaddrs that end in `/p2p`. On the public
    /// network the usual ones if there are none.
    pub bootstrap: Vec<String>,
    /// Addresses at which it is reached although it does not see them itself, behind a forwarded
    /// port: multiaddrs without `/p2p`.
    pub external: Vec<String>,
    pub reflector: Reflection,
    pub limits: Limits,
}

/// How much an ultrapeer gives to others.
#[derive(Clone, Debug)]
pub struct Limits {
    pub connections: u32,
    pub connections_per_address: usize,
    /// Directory streams.
    pub clients: usize,
    pub records: usize,
    pub reservations: usize,
    pub circuits: usize,
    pub circuits_per_address_and_minute: u32,
    /// Rooms at the reflector, and those that one address may have made.
    pub rooms: usize,
    pub rooms_per_address: usize,
    /// How long a phone may be away before those who watch it are told.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 4096,
            connections_per_address: 512,
            clients: 2048,
            records: 20_000,
            reservations: 1024,
            circuits: 1024,
            circuits_per_address_and_minute: 600,
            rooms: 20_000,
            rooms_per_address: 8,
            grace: Duration::from_secs(20),
        }
    }
}

/// An ultrapeer that runs until it is closed or dropped.
#[derive(Debug)]
pub struct Relay {
    addresses: Vec<Multiaddr>,
    status: watch::Receiver<Status>,
    secrets: watch::Sender<Redacted<[u8; 16]>>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts it. Needs a running tokio runtime.
    ///
    /// # Errors
    /// When it cannot listen, or one of the addresses makes no sense.
    pub async fn start(options: Options) -> Result<Relay, RelayError> {
        let bootstrap = entries(&options)?;
        let external = options
            .external
            .iter()
            .map(|text| parse(text))
            .collect::<Result<Vec<_>, _>>()?;
        let fence = fence(&options, &bootstrap);
        let (stop, stopped) = oneshot::channel();
        let (secrets, secret) = watch::channel(Redacted([0; 16]));
        let (ultrapeer, addresses, status) =
            run::Ultrapeer::start(&options, fence, bootstrap, external).await?;
        let task = tokio::spawn(ultrapeer.run(stopped, secret));
        Ok(Relay {
            addresses,
            status,
            secrets,
            stop: Some(stop),
            task: Some(task),
        })
    }

    /// Where it is reached, each with `/p2p`: what a phone names as `--bootstrap`.
    pub fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }

    /// What it is doing, and each change of that.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// What changes whom the reflector takes for friends: the secret of the pass that they hold from
    /// now on. Rooms that were given for the one before end within a minute, and those in them are
    /// told, so that whoever may can have another.
    pub fn secrets(&self) -> watch::Sender<Redacted<[u8; 16]>> {
        self.secrets.clone()
    }

    /// Ends it, and returns when its port is free.
    pub async fn close(mut self) {
        // It may have ended already.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// What an ultrapeer is doing, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Connections to nodes of any kind.
    pub connections: usize,
    /// Directory streams that others opened here.
    pub clients: usize,
    /// Other ultrapeers to which a directory stream stands.
    pub ultrapeers: usize,
    pub records: usize,
    /// Phones that are reached through circuits here.
    pub reservations: usize,
    pub circuits: usize,
    /// What its reflector does.
    pub reflector: Reflected,
    /// Requests that were refused as too many or too bad, since the start.
    pub refused: u64,
}

/// Why an ultrapeer did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    #[error("without a network there is nothing to relay: write --network public or private")]
    NoNetwork,
    #[error("`{0}` is no address such as /ip4/192.0.2.1/tcp/4001")]
    Address(String),
    #[error("`{0}` does not end in /p2p/ and the name of the node there")]
    Nameless(String),
    #[error("cannot listen on {listen}: {why}; choose another address with --listen IP:PORT")]
    Listen { listen: SocketAddr, why: String },
    #[error(
        "the reflector cannot have the UDP port {listen}: {why}; choose others with --reflector-port PORT"
    )]
    Reflector { listen: SocketAddr, why: String },
    #[error("the key of this ultrapeer cannot be used: {0}")]
    Key(#[from] libp2p::noise::Error),
}

fn entries(options: &Options) -> Result<Vec<(libp2p::PeerId, Multiaddr)>, RelayError> {
    let usual = || PUBLIC_ENTRIES.map(str::to_owned).to_vec();
    let texts = match options.network {
        Network::None => return Err(RelayError::NoNetwork),
        Network::Public if options.bootstrap.is_empty() => usual(),
        _ => options.bootstrap.clone(),
    };
    let entry =
        |text: &String| mesh::split(parse(text)?).ok_or_else(|| RelayError::Nameless(text.clone()));
    texts.iter().map(entry).collect()
}

fn parse(text: &str) -> Result<Multiaddr, RelayError> {
    text.parse()
        .map_err(|_| RelayError::Address(text.to_owned()))
}

/// A network that lives on one computer, or in one house, is one whose entries do.
fn fence(options: &Options, bootstrap: &[(libp2p::PeerId, Multiaddr)]) -> Fence {
    let homes: Vec<IpAddr> = bootstrap
        .iter()
        .filter_map(|(_, address)| ip(address))
        .collect();
    let listen = options.listen.ip();
    let alone = listen.is_loopback() || (listen.is_unspecified() && only_loopback());
    let inside = homes.iter().any(|&ip| !is_global(ip));
    Fence {
        loopback: alone || homes.iter().any(IpAddr::is_loopback),
        private: options.network == Network::Private || inside,
        named: bootstrap.iter().map(|(_, address)| bare(address)).collect(),
    }
}

fn only_loopback() -> bool {
    let cards = if_addrs::get_if_addrs().unwrap_or_default();
    cards.iter().all(if_addrs::Interface::is_loopback)
}
