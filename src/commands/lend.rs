//! A phone that lends its line to its contacts: an ultrapeer in the phone's process, whose reflector
//! forwards their calls and nobody else's.
//!
//! Contacts learn of it, and get the pass, by the phone's record in the directory. The pass is another
//! one at each start, and as soon as one of them is removed or blocked.

use std::time::Duration;

use libp2p::Multiaddr;
use tokio::task::JoinHandle;
use twocan::cli::Exit;
use twocan::config::{Engine, Network};
use twocan::control::Server;
use twocan::directory::MAX_RELAY;
use twocan::disk::{HomeLock, relay_port, save_relay_port};
use twocan::engine::Lending;
use twocan::net::{is_in_reach, swarm};
use twocan::relay::{Limits, Options, Reflection, Relay, Serve};

use super::fail::Failure;
use super::setup::Setup;
use super::{relay, relay_status};

/// What runs beside the phone.
pub struct Lent {
    relay: Relay,
    address: Multiaddr,
    secret: [u8; 32],
    telling: JoinHandle<()>,
    _lock: HomeLock,
}

impl Lent {
    /// What the contacts are told of it.
    pub fn lending(&self) -> Lending {
        Lending::new(self.address.to_vec(), self.secret, self.relay.secrets())
    }

    pub async fn stop(self) {
        self.telling.abort();
        self.relay.close().await;
    }
}

/// Starts it if it can be of use. The phone does without it if it cannot, and the log says why.
pub async fn start(setup: &Setup, settings: &Engine) -> Option<Lent> {
    if settings.network == Network::None {
        tracing::warn!("nothing is lent: `lend` needs a network");
        return None;
    }
    match lend(setup, settings).await {
        Ok(Some(lent)) => Some(lent),
        Ok(None) => {
            tracing::warn!("nothing is lent: this computer has no address that contacts can reach");
            None
        }
        Err(failure) => {
            tracing::warn!("nothing is lent: {}", failure.message);
            None
        }
    }
}

async fn lend(setup: &Setup, settings: &Engine) -> Result<Option<Lent>, Failure> {
    let lock = HomeLock::acquire_relay(&setup.home)?;
    let server = Server::bind(&setup.home.relay_socket())
        .map_err(|error| Failure::new(Exit::Home, error))?;
    let key = relay::key(setup)?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| Failure::new(Exit::Other, error))?;
    let mut listen = settings.listen.addr();
    listen.set_port(0);
    let options = Options {
        key,
        listen,
        also: Vec::new(),
        network: settings.network,
        bootstrap: named(&settings.bootstrap),
        external: Vec::new(),
        reflector: Reflection {
            serve: Serve::Friends,
            port: None,
            rate: None,
            // The phone says what contacts hold.
            pass: None,
        },
        limits: LIMITS,
    };
    let relay = relay::start(options, relay_port(&setup.home)).await?;
    if let Some(port) = relay::port(relay.addresses()) {
        save_relay_port(&setup.home, port)?;
    }
    let alone = settings.listen.addr().ip().is_loopback();
    let found = relay.addresses().iter();
    let mut found = found.filter(|address| is_of_use(address, settings.network, alone));
    let Some(address) = found.next().cloned() else {
        relay.close().await;
        return Ok(None);
    };
    tracing::info!("calls of contacts are forwarded, at {address}");
    let telling = tokio::spawn(server.tell(relay_status::line(relay.status())));
    Ok(Some(Lent {
        address,
        secret,
        relay,
        telling,
        _lock: lock,
    }))
}

/// Those that say whom to expect there: an ultrapeer takes no others.
fn named(bootstrap: &[String]) -> Vec<String> {
    let named = bootstrap.iter().filter(|text| text.contains("/p2p/"));
    named.cloned().collect()
}

/// Whether contacts elsewhere can reach it there. `alone`: who listens on the loopback is reached
/// there and nowhere else.
fn is_of_use(address: &Multiaddr, network: Network, alone: bool) -> bool {
    let is_private = network == Network::Private;
    let reached = swarm::ip(address).is_some_and(|ip| is_in_reach(ip, alone, is_private));
    reached && address.to_vec().len() <= MAX_RELAY
}

/// A guest in a phone: enough for its contacts, and a small share of the directory.
const LIMITS: Limits = Limits {
    connections: 256,
    connections_per_address: 64,
    clients: 64,
    records: 2000,
    reservations: 32,
    circuits: 16,
    circuits_per_address_and_minute: 60,
    rooms: 64,
    rooms_per_address: 8,
    grace: Duration::from_secs(20),
};
