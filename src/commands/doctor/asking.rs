//! Asks: the node for relays and reflectors, the reflectors from where they are asked, the gateway
//! for a port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use libp2p::Multiaddr;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use twocan::cli::Exit;
use twocan::config::{Engine as Settings, Network};
use twocan::disk::{Home, Surroundings};
use twocan::engine;
use twocan::net::mapping::Forward;
use twocan::net::{Net, Node, NodeEvent, NodeOptions, Phase, is_global};
use twocan::phone::stun;
use twocan::phone::types::Path;

use super::findings::{Directory, Findings, Mapping};
use super::judge::{self, Seen};
use crate::commands::fail::Failure;

/// Asks everybody.
///
/// # Errors
/// When there is no port or no thread to ask by, or the files of this home are wrong.
pub async fn ask(home: &Home, settings: &Settings) -> Result<Findings, Failure> {
    // Not the phone's own port, which may be in use.
    let listen = SocketAddr::new(settings.listen.addr().ip(), 0);
    let other = |error: &dyn ToString| Failure::new(Exit::Other, error.to_string());
    let mut net = Net::open(listen, None).map_err(|error| other(&error))?;
    let place = net.place();
    let port = net.listen().port();
    let inside = place.inside().filter(|_| !listen.ip().is_loopback());
    let patience = if place.is_connected() {
        PATIENCE
    } else {
        PATIENCE_ALONE
    };
    let (met, port_mapping) = tokio::join!(
        meet(home, settings, patience),
        forward(settings.port_mapping, inside, port)
    );
    let met = met?;
    let seen = mirror(&mut net, &met.mirrors).await;
    let local: Vec<IpAddr> = place.addresses().iter().map(SocketAddr::ip).collect();
    let is_six = |ip: &IpAddr| ip.is_ipv6() && is_global(*ip);
    let nat = judge::nat(&local, port, &seen);
    let udp = judge::udp(&met.mirrors, &seen);
    let mut outside: Vec<SocketAddr> = seen.iter().map(|(_, seen)| *seen).collect();
    outside.sort_unstable();
    outside.dedup();
    Ok(Findings {
        network: settings.network,
        connected: place.is_connected(),
        ipv6: judge::ipv6(local.iter().any(is_six), &met.mirrors, &seen),
        calls: judge::calls(
            settings.network,
            met.directory,
            udp,
            nat,
            &port_mapping,
            place.is_connected(),
        ),
        local,
        outside,
        nat,
        udp,
        port_mapping,
        directory: met.directory,
        relays: met.relays,
        reflectors: met.mirrors,
    })
}

/// What the node has found.
struct Met {
    directory: Directory,
    relays: Vec<String>,
    mirrors: Vec<SocketAddr>,
}

async fn meet(home: &Home, settings: &Settings, patience: Duration) -> Result<Met, Failure> {
    let mut met = Met {
        directory: match settings.network {
            Network::None => Directory::Off,
            Network::Public | Network::Private => Directory::Silent,
        },
        relays: Vec::new(),
        mirrors: Vec::new(),
    };
    if settings.network == Network::None {
        return Ok(met);
    }
    let mut decoys = [0; 32];
    getrandom::fill(&mut decoys).map_err(|error| Failure::new(Exit::Other, error))?;
    // It ends when this function does.
    let (_node, mut events) = Node::start(NodeOptions {
        network: settings.network,
        bootstrap: settings.bootstrap.clone(),
        cache: Surroundings::load(home).nodes,
        decoys,
        passes: engine::passes(home)?,
        lan: false,
    })
    .map_err(engine::EngineError::from)?;
    let whole = listen(&mut events, &mut met);
    let _ = timeout(patience, whole).await;
    Ok(met)
}

/// Notes what the node tells, until everything is there or nothing more comes for a while.
async fn listen(events: &mut mpsc::Receiver<NodeEvent>, met: &mut Met) {
    loop {
        let has_both = met.directory == Directory::Reachable && !met.mirrors.is_empty();
        let pause = if has_both { AFTER_ALL } else { PATIENCE };
        match timeout(pause, events.recv()).await {
            Ok(Some(event)) => note(met, event),
            Ok(None) | Err(_) => return,
        }
    }
}

fn note(met: &mut Met, event: NodeEvent) {
    match event {
        NodeEvent::State(state) => {
            met.directory = match state.phase {
                Phase::Off => Directory::Off,
                Phase::Joining | Phase::Offline => Directory::Silent,
                Phase::Online => Directory::Asked,
                Phase::Reachable => Directory::Reachable,
            };
        }
        NodeEvent::Routes { relays, .. } => {
            let named = relays.into_iter().filter_map(|bytes| {
                let address = Multiaddr::try_from(bytes).ok()?;
                Some(address.to_string())
            });
            met.relays = named.collect();
        }
        NodeEvent::Mirrors(mirrors) => met.mirrors = mirrors,
        _ => {}
    }
}

/// Asks each of these ports from where it is asked, all from the same port of ours.
async fn mirror(net: &mut Net, mirrors: &[SocketAddr]) -> Vec<Seen> {
    let mut transaction = [0; 12];
    // Whoever guesses it lies to a person who reads a report, and to nobody else.
    let _ = getrandom::fill(&mut transaction);
    let mut answers: Vec<Option<SocketAddr>> = vec![None; mirrors.len()];
    for _ in 0..TRIES {
        for (index, mirror) in mirrors.iter().enumerate() {
            if answers[index].is_none() {
                transaction[0] = index as u8;
                net.send(Path::Udp(*mirror), &stun::request(&transaction));
            }
        }
        let until = sleep(BETWEEN);
        tokio::pin!(until);
        while answers.iter().any(Option::is_none) {
            tokio::select! {
                () = net.readable() => {}
                () = &mut until => break,
            }
            while let Some((_, bytes)) = net.receive() {
                let Some((answered, seen)) = stun::parse_response(bytes) else {
                    continue;
                };
                let index = usize::from(answered[0]);
                if answered[1..] == transaction[1..] && index < answers.len() {
                    answers[index] = Some(seen);
                }
            }
        }
    }
    let pairs = mirrors.iter().zip(answers);
    pairs
        .filter_map(|(asked, seen)| Some((*asked, seen?)))
        .collect()
}

/// Has a port forwarded, and gives it back.
async fn forward(is_wanted: bool, inside: Option<Ipv4Addr>, port: u16) -> Mapping {
    let (Some(inside), Some(port)) = (inside, NonZeroU16::new(port)) else {
        return Mapping::Needless;
    };
    if !is_wanted {
        return Mapping::Off;
    }
    match Forward::make(inside, port).await {
        Ok(forward) => {
            let (by, outside) = (forward.protocol().to_string(), forward.outside());
            forward.remove().await;
            Mapping::Found { by, outside }
        }
        Err(why) => Mapping::Refused { why },
    }
}

/// How long the network may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The same without a way to the world; nodes may run on this computer.
const PATIENCE_ALONE: Duration = Duration::from_secs(3);

/// When there is a relay and a reflector: for the second of each.
const AFTER_ALL: Duration = Duration::from_secs(3);

const TRIES: usize = 4;
const BETWEEN: Duration = Duration::from_millis(500);
