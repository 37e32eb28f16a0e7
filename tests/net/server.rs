//! A node that serves phones: relay, DHT server, and nothing that is twocan's own but the names.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use libp2p::futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, identify, kad, ping, relay};
use tokio::sync::{mpsc, oneshot};
use twocan::net::{streams, swarm};

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    relay: relay::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: streams::Behaviour,
}

/// A running server; it dies when this is dropped, with all its connections.
pub struct Server {
    pub address: Multiaddr,
    /// What phones said of themselves.
    pub seen: mpsc::Receiver<identify::Info>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the server does with a stream of ours that somebody opens. Runs on its thread.
pub type Serve = Box<dyn FnMut(PeerId, libp2p::Stream) + Send>;

impl Server {
    /// On a port of the loopback; 0 picks one.
    pub fn start(port: u16) -> Server {
        Server::with(Keypair::generate_ed25519(), port, Vec::new(), nothing())
    }

    pub fn with(key: Keypair, port: u16, protocols: Vec<StreamProtocol>, serve: Serve) -> Server {
        let peer = key.public().to_peer_id();
        let (listening, listens) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let (tell, seen) = mpsc::channel(64);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let mut swarm = new_swarm(&key, protocols);
                let listen = format!("/ip4/127.0.0.1/tcp/{port}");
                swarm
                    .listen_on(listen.parse().expect("an address"))
                    .expect("a free port");
                tokio::select! {
                    () = serve_all(&mut swarm, listening, tell, serve) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(Duration::ZERO);
        });
        let address: Multiaddr = listens.recv().expect("it listens");
        Server {
            address: address.with_p2p(peer).expect("no other peer in it"),
            seen,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn port(&self) -> u16 {
        match self.address.iter().nth(1) {
            Some(libp2p::multiaddr::Protocol::Tcp(port)) => port,
            other => panic!("{other:?} is no port"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server did not panic");
        }
    }
}

/// Resets every stream.
pub fn nothing() -> Serve {
    Box::new(|_, _| {})
}

fn new_swarm(key: &Keypair, protocols: Vec<StreamProtocol>) -> Swarm<Behaviour> {
    let peer = key.public().to_peer_id();
    let transport = swarm::transport(key, None).expect("a transport");
    let mut kad = kad::Behaviour::with_config(
        peer,
        MemoryStore::new(peer),
        kad::Config::new(swarm::KAD_PRIVATE),
    );
    kad.set_mode(Some(kad::Mode::Server));
    let limits = relay::Config {
        max_circuit_bytes: 1 << 22,
        max_circuits: 64,
        max_circuits_per_peer: 32,
        reservation_rate_limiters: Vec::new(),
        circuit_src_rate_limiters: Vec::new(),
        ..relay::Config::default()
    };
    let behaviour = Behaviour {
        relay: relay::Behaviour::new(peer, limits),
        kad,
        identify: identify::Behaviour::new(swarm::identify(key.public())),
        ping: swarm::ping(swarm::ULTRAPEER_PING),
        streams: streams::Behaviour::new(protocols),
    };
    Swarm::new(transport, behaviour, peer, swarm::swarm_config())
}

async fn serve_all(
    swarm: &mut Swarm<Behaviour>,
    listening: std::sync::mpsc::SyncSender<Multiaddr>,
    tell: mpsc::Sender<identify::Info>,
    mut serve: Serve,
) {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                swarm.add_external_address(address.clone());
                listening.try_send(address).expect("one address");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                info,
                ..
            })) => {
                let _ = tell.try_send(info);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Streams(streams::Event::Accepted {
                peer,
                stream,
                ..
            })) => serve(peer, stream),
            SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::InboundRequest {
                request:
                    kad::InboundRequest::PutRecord {
                        record: Some(record),
                        ..
                    },
            })) => {
                use kad::store::RecordStore;
                let _ = swarm.behaviour_mut().kad.store_mut().put(record);
            }
            _ => {}
        }
    }
}
