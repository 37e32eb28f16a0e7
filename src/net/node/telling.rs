//! What the engine is told of the node's state, each time it has changed and never else.

use libp2p::Multiaddr;
use tokio::time::Instant;

use super::pool::Outlook;
use super::run::Running;
use super::{NodeEvent, NodeState, Phase};

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Told {
    state: Option<(Phase, u32, u32, Outlook)>,
    routes: Vec<Multiaddr>,
}

impl Running {
    pub(super) fn tell(&mut self, now: Instant) {
        let routes = self.relays.routes();
        let outlook = self.pool.outlook();
        let phase = self.phase(&routes, outlook);
        let ultrapeers = self.peers.ultrapeers() as u32;
        let relays = routes.len() as u32;
        // The pauses are of interest only to somebody who waits for their end.
        let outlook = match phase {
            Phase::Offline => outlook,
            _ => Outlook::default(),
        };
        let state = Some((phase, ultrapeers, relays, outlook));
        if self.told.state != state {
            self.told.state = state;
            self.outbox.push(NodeEvent::State(NodeState {
                phase,
                ultrapeers,
                relays,
                words: words(phase, outlook, now),
            }));
        }
        if self.told.routes != routes {
            self.outbox.push(NodeEvent::Routes {
                peer: self.swarm.local_peer_id().to_bytes(),
                relays: routes.iter().map(Multiaddr::to_vec).collect(),
            });
            self.told.routes = routes;
        }
    }

    fn phase(&self, routes: &[Multiaddr], outlook: Outlook) -> Phase {
        if !routes.is_empty() {
            Phase::Reachable
        } else if self.peers.answering() {
            Phase::Online
        } else if outlook.dead {
            Phase::Offline
        } else {
            Phase::Joining
        }
    }
}

fn words(phase: Phase, outlook: Outlook, now: Instant) -> String {
    match phase {
        Phase::Off | Phase::Reachable => String::new(),
        Phase::Joining => "looking for the network".to_owned(),
        Phase::Online => "no relay has taken us yet, so nobody can ring here".to_owned(),
        Phase::Offline if outlook.known == 0 => {
            "no node of the network is known: name one with --bootstrap".to_owned()
        }
        Phase::Offline => {
            let known = match outlook.known {
                1 => "the one node we know does not answer".to_owned(),
                known => format!("none of the {known} nodes we know answers"),
            };
            let next = outlook.next.map_or(0, |next| {
                next.saturating_duration_since(now).as_secs().max(1)
            });
            format!("{known}; next try in {next} s")
        }
    }
}
