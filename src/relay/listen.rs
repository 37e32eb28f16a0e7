//! Where an ultrapeer listens by TCP.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use libp2p::futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm};

use super::behaviour::Behaviour;
use super::{Options, RelayError};

/// Listens, and waits until it is known at which addresses: those of `options.listen` first.
pub async fn listen(
    swarm: &mut Swarm<Behaviour>,
    options: &Options,
) -> Result<Vec<Multiaddr>, RelayError> {
    let mut found = Vec::new();
    for &at in [&options.listen].into_iter().chain(&options.also) {
        found.extend(listen_on(swarm, at).await?);
    }
    Ok(found)
}

async fn listen_on(
    swarm: &mut Swarm<Behaviour>,
    listen: SocketAddr,
) -> Result<Vec<Multiaddr>, RelayError> {
    let failed = |why: String| RelayError::Listen { listen, why };
    // libp2p shares a port with whoever listens there already, and each then gets half of the
    // connections. So the port is taken once in the usual way, and given up again.
    let free = TcpListener::bind(listen)
        .and_then(|probe| probe.local_addr())
        .map_err(|error| failed(error.to_string()))?;
    swarm
        .listen_on(tcp(free))
        .map_err(|error| failed(error.to_string()))?;
    let mut found = Vec::new();
    loop {
        let patience = if found.is_empty() { SETTLE } else { QUIET };
        match tokio::time::timeout(patience, swarm.select_next_some()).await {
            Ok(SwarmEvent::NewListenAddr { address, .. }) => found.push(address),
            Ok(SwarmEvent::ListenerClosed {
                reason: Err(error), ..
            }) => return Err(failed(error.to_string())),
            Ok(_) => {}
            Err(_) if found.is_empty() => {
                return Err(failed("it has no address of this computer".to_owned()));
            }
            Err(_) => return Ok(found),
        }
    }
}

fn tcp(listen: SocketAddr) -> Multiaddr {
    Multiaddr::from(listen.ip()).with(Protocol::Tcp(listen.port()))
}

/// How long the addresses of this computer may take to be known.
const SETTLE: Duration = Duration::from_secs(3);

/// How long after one address of this computer the next may come.
const QUIET: Duration = Duration::from_millis(100);
