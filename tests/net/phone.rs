//! One node and all that it has said.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout;
use twocan::config::Network;
use twocan::net::{Node, NodeCommand, NodeEvent, NodeOptions, NodeState, Phase};

use crate::server::Server;

pub struct Phone {
    pub node: Node,
    events: mpsc::Receiver<NodeEvent>,
    pub states: Vec<NodeState>,
    /// The PeerId and the relays of the last routes.
    pub routes: (Vec<u8>, Vec<Vec<u8>>),
    pub good: Vec<String>,
    /// What the clocks of ultrapeers say.
    pub clock: Option<i64>,
    tickets: u64,
}

impl Phone {
    pub fn start(bootstrap: &[&Server]) -> Phone {
        Phone::at(
            bootstrap
                .iter()
                .map(|server| server.address.to_string())
                .collect(),
        )
    }

    pub fn at(bootstrap: Vec<String>) -> Phone {
        let options = NodeOptions {
            network: Network::Private,
            bootstrap,
            cache: Vec::new(),
            decoys: [7; 32],
            passes: Vec::new(),
            lan: false,
        };
        let (node, events) = Node::start(options).expect("good addresses");
        Phone {
            node,
            events,
            states: Vec::new(),
            routes: Default::default(),
            good: Vec::new(),
            clock: None,
            tickets: 0,
        }
    }

    /// The next event that is not noted here anyway.
    pub async fn next(&mut self) -> NodeEvent {
        loop {
            let event = timeout(LONG, self.events.recv())
                .await
                .unwrap_or_else(|_| panic!("nothing happened; states: {:?}", self.states))
                .expect("the node runs");
            if let Some(event) = self.note(event) {
                return event;
            }
        }
    }

    /// Waits until what was noted is as wanted.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Phone) -> bool) {
        let end = Instant::now() + LONG;
        while !wanted(self) {
            assert!(Instant::now() < end, "never {what}: {:?}", self.states);
            let event = timeout(LONG, self.events.recv())
                .await
                .unwrap_or_else(|_| panic!("never {what}: {:?}", self.states))
                .expect("the node runs");
            self.note(event);
        }
    }

    pub async fn reachable(&mut self, relays: usize) {
        self.until("reachable", |phone| {
            phone.phase() == Phase::Reachable && phone.routes.1.len() == relays
        })
        .await;
    }

    pub fn phase(&self) -> Phase {
        self.states
            .last()
            .map_or(Phase::Joining, |state| state.phase)
    }

    /// Asks to meet another phone; the answer.
    pub async fn meet(&mut self, peer: Vec<u8>, relays: Vec<Vec<u8>>) -> Option<u64> {
        self.tickets += 1;
        let ticket = self.tickets;
        let command = NodeCommand::Meet {
            ticket,
            peer,
            relays,
        };
        assert!(self.node.ask(command));
        loop {
            if let NodeEvent::Met {
                ticket: of,
                circuit,
            } = self.next().await
            {
                assert_eq!(of, ticket);
                return circuit;
            }
        }
    }

    pub async fn datagram(&mut self) -> (u64, Vec<u8>) {
        loop {
            if let NodeEvent::Datagram(circuit, bytes) = self.next().await {
                return (circuit, bytes.into());
            }
        }
    }

    /// The next event that is not the end of a circuit.
    pub async fn other_than_closed(&mut self) -> NodeEvent {
        loop {
            match self.next().await {
                NodeEvent::Closed(_) => {}
                event => return event,
            }
        }
    }

    fn note(&mut self, event: NodeEvent) -> Option<NodeEvent> {
        match event {
            NodeEvent::State(state) => self.states.push(state),
            NodeEvent::Routes { peer, relays } => self.routes = (peer, relays),
            NodeEvent::GoodPeers(good) => self.good = good,
            NodeEvent::Clock { offset_s } => self.clock = Some(offset_s),
            event => return Some(event),
        }
        None
    }
}

/// More than anything takes, even on a busy machine.
const LONG: Duration = Duration::from_secs(30);
