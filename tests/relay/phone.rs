//! The other end of an ultrapeer: a phone's directory stream, and a plain node of the DHT.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use libp2p::futures::io::{ReadHalf, WriteHalf};
use libp2p::futures::{AsyncReadExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, QueryResult, Quorum, Record};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{StreamProtocol, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, Swarm};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use twocan::net::proxy::{FrameReader, FrameWriter, Refusal, Reply, Request};
use twocan::net::reflect::{AskError, Asker, Given, Pass, ask};
use twocan::net::streams::{self, Event, Opening};
use twocan::net::swarm;
use twocan::relay::Relay;

use crate::author::{Author, random};

/// A phone with one directory stream.
pub struct Phone {
    pub me: PeerId,
    pub relay: PeerId,
    control: Control,
    reader: FrameReader<ReadHalf<Stream>>,
    writer: FrameWriter<WriteHalf<Stream>>,
    swarm: JoinHandle<()>,
}

impl Phone {
    pub async fn at(relay: &Relay) -> Phone {
        let mut phone = Phone::deaf(relay).await;
        phone.greeted().await;
        phone
    }

    /// One that reads nothing by itself.
    pub async fn deaf(relay: &Relay) -> Phone {
        let key = Keypair::generate_ed25519();
        let transport = swarm::transport(&key, None).expect("a transport");
        let me = key.public().to_peer_id();
        let streams = streams::Behaviour::new(Vec::new());
        let mut swarm = Swarm::new(transport, streams, me, swarm::swarm_config());
        let address = relay.addresses()[0].clone();
        let node = name(&address);
        swarm.dial(address).expect("an address");
        let (mut control, wanted) = mpsc::channel(8);
        let swarm = tokio::spawn(serve(swarm, node, wanted));
        let (reader, writer) = directory(&mut control).await;
        Phone {
            me,
            relay: node,
            control,
            reader,
            writer,
            swarm,
        }
    }

    /// Closes the stream and opens another.
    pub async fn reopen(&mut self) {
        self.writer.close().await;
        (self.reader, self.writer) = directory(&mut self.control).await;
        self.greeted().await;
    }

    async fn greeted(&mut self) {
        let hello = self.next().await;
        let Reply::Hello { version: 1, unix } = hello else {
            panic!("{hello:?}");
        };
        assert!(unix.abs_diff(crate::author::unix()) < 5);
    }

    pub async fn open(&mut self, protocol: StreamProtocol) -> Stream {
        open(&mut self.control, protocol).await
    }

    /// Asks for a room at the reflector.
    pub async fn room(&mut self, passes: &[Pass]) -> Result<Given, AskError> {
        let asker = Asker {
            me: self.me,
            relay: self.relay,
            ip: Some(std::net::Ipv4Addr::LOCALHOST.into()),
            passes: passes.to_vec(),
        };
        ask(self.open(swarm::REFLECT).await, &asker).await
    }

    pub async fn say(&mut self, request: Request) {
        // Somebody who is about to be dropped may be so by now.
        let _ = self.writer.send([&request]).await;
    }

    pub async fn put(&mut self, author: &Author, record: &[u8]) {
        let (name, value) = (author.name, record.to_vec());
        self.say(Request::Put { name, value }).await;
    }

    pub async fn get(&mut self, name: [u8; 32]) {
        self.say(Request::Get { name }).await;
    }

    /// Watches these, filled up with names that nobody has.
    pub async fn watch(&mut self, names: &[[u8; 32]]) {
        let mut names: BTreeSet<[u8; 32]> = names.iter().copied().collect();
        while !names.len().is_multiple_of(64) {
            names.insert(random());
        }
        self.say(Request::Watch { names }).await;
    }

    pub async fn next(&mut self) -> Reply {
        let reply = tokio::time::timeout(PATIENCE, self.reader.next()).await;
        let reply = reply.expect("something is said").expect("a good stream");
        reply.expect("more to come")
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

type Ends = (
    FrameReader<ReadHalf<Stream>>,
    FrameWriter<WriteHalf<Stream>>,
);

/// Asks the swarm's task for a stream to the ultrapeer.
type Control = mpsc::Sender<(StreamProtocol, oneshot::Sender<Stream>)>;

async fn open(control: &mut Control, protocol: StreamProtocol) -> Stream {
    let (reply, opened) = oneshot::channel();
    control.send((protocol, reply)).await.expect("it runs");
    opened.await.expect("it is spoken there")
}

/// Runs the swarm, and opens what is wanted once it is connected.
async fn serve(
    mut swarm: Swarm<streams::Behaviour>,
    relay: PeerId,
    mut wanted: mpsc::Receiver<(StreamProtocol, oneshot::Sender<Stream>)>,
) {
    let connection = loop {
        if let SwarmEvent::ConnectionEstablished { connection_id, .. } =
            swarm.select_next_some().await
        {
            break connection_id;
        }
    };
    let mut waiting: BTreeMap<Opening, oneshot::Sender<Stream>> = BTreeMap::new();
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let SwarmEvent::Behaviour(Event::Opened { opening, stream: Ok(stream), .. }) = event {
                    let reply = waiting.remove(&opening).expect("it was wanted");
                    let _ = reply.send(stream);
                }
            }
            Some((protocol, reply)) = wanted.recv() => {
                let opening = swarm.behaviour_mut().open(relay, connection, protocol);
                waiting.insert(opening, reply);
            }
        }
    }
}

async fn directory(control: &mut Control) -> Ends {
    let (read, write) = open(control, swarm::DIRECTORY).await.split();
    let mut writer = FrameWriter::new(write, PATIENCE);
    let hello = Request::Hello { version: 1 };
    writer.send([&hello]).await.expect("a good stream");
    (FrameReader::new(read), writer)
}

/// A node of the DHT, client only.
pub struct Node {
    swarm: Swarm<kad::Behaviour<MemoryStore>>,
    relay: PeerId,
    running: usize,
}

impl Node {
    pub async fn at(relay: &Relay, protocol: StreamProtocol) -> Node {
        let key = Keypair::generate_ed25519();
        let me = key.public().to_peer_id();
        let transport = swarm::transport(&key, None).expect("a transport");
        let kad = swarm::kad_client(protocol, me);
        let mut swarm = Swarm::new(transport, kad, me, swarm::swarm_config());
        let address = relay.addresses()[0].clone();
        let relay = name(&address);
        swarm.dial(address).expect("an address");
        while !swarm.is_connected(&relay) {
            swarm.next().await;
        }
        Node {
            swarm,
            relay,
            running: 0,
        }
    }

    /// Puts a record there and waits for what becomes of it.
    pub async fn put(&mut self, record: Record, quorum: Quorum) {
        let to = [self.relay].into_iter();
        self.swarm.behaviour_mut().put_record_to(record, to, quorum);
        self.running += 1;
        self.idle().await;
    }

    pub fn send(&mut self, record: Record) {
        let to = [self.relay].into_iter();
        self.swarm
            .behaviour_mut()
            .put_record_to(record, to, Quorum::One);
        self.running += 1;
    }

    /// Waits until all that was sent has arrived, or has not.
    pub async fn idle(&mut self) {
        while self.running > 0 {
            let event = tokio::time::timeout(PATIENCE, self.swarm.select_next_some()).await;
            if let SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
                result: QueryResult::PutRecord(_),
                ..
            }) = event.expect("it goes on")
            {
                self.running -= 1;
            }
        }
    }
}

impl Author {
    pub fn told(&self, record: &[u8]) -> Reply {
        Reply::Record {
            name: self.name,
            value: record.to_vec(),
        }
    }

    pub fn refused(&self, why: Refusal) -> Reply {
        Reply::Refused {
            name: self.name,
            why,
        }
    }
}

/// Where an address of TCP is.
pub fn socket(address: &Multiaddr) -> SocketAddr {
    let mut parts = address.iter();
    match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) => (ip, port).into(),
        other => panic!("{other:?}"),
    }
}

fn name(address: &Multiaddr) -> PeerId {
    match address.iter().last() {
        Some(Protocol::P2p(node)) => node,
        other => panic!("{other:?}"),
    }
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
