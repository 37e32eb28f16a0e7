//! What waits to be told to the engine.
//!
//! The node never waits for the engine. While the engine is busy, news that describe a state
//! replace their elders, and datagrams are lost as on any road.

use std::collections::VecDeque;
use std::mem::discriminant;

use super::NodeEvent;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<NodeEvent>,
    datagrams: usize,
    /// Events that found no room.
    pub lost: u64,
}

impl Outbox {
    pub(super) fn push(&mut self, event: NodeEvent) {
        match event {
            NodeEvent::Datagram(..) if self.datagrams >= MAX_DATAGRAMS => {
                self.lost += 1;
                return;
            }
            NodeEvent::Datagram(..) => self.datagrams += 1,
            NodeEvent::State(_)
            | NodeEvent::Routes { .. }
            | NodeEvent::Mirrors(_)
            | NodeEvent::GoodPeers(_)
            | NodeEvent::Clock { .. } => {
                let kind = discriminant(&event);
                self.waiting.retain(|other| discriminant(other) != kind);
            }
            // The engine has to hear of every end, or it would keep the circuit for ever; no new
            // circuit is taken while this is full.
            NodeEvent::Closed(_) | NodeEvent::Met { .. } => {}
            _ if self.waiting.len() >= MAX_WAITING => {
                self.lost += 1;
                return;
            }
            _ => {}
        }
        self.waiting.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<NodeEvent> {
        let event = self.waiting.pop_front()?;
        if matches!(event, NodeEvent::Datagram(..)) {
            self.datagrams -= 1;
        }
        Some(event)
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// 640 ms of one call.
const MAX_DATAGRAMS: usize = 64;

const MAX_WAITING: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::node::{NodeState, Phase};

    #[test]
    fn an_engine_that_sleeps_costs_no_memory() {
        let mut outbox = Outbox::default();
        for n in 0..100_000_u32 {
            outbox.push(NodeEvent::Datagram(1, vec![0; 10].into()));
            outbox.push(NodeEvent::Absent { name: [0; 32] });
            let state = NodeState {
                relays: n,
                ..NodeState::of(Phase::Online)
            };
            outbox.push(NodeEvent::State(state));
        }
        outbox.push(NodeEvent::Closed(7));
        let events: Vec<NodeEvent> = std::iter::from_fn(|| outbox.pop()).collect();
        assert!(events.len() <= MAX_WAITING + 3, "{}", events.len());
        let datagrams = events
            .iter()
            .filter(|event| matches!(event, NodeEvent::Datagram(..)));
        assert_eq!(datagrams.count(), MAX_DATAGRAMS);
        let states: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                NodeEvent::State(state) => Some(state.relays),
                _ => None,
            })
            .collect();
        assert_eq!(states, [99_999], "only the latest");
        assert!(matches!(events.last(), Some(NodeEvent::Closed(7))));
        outbox.push(NodeEvent::Datagram(1, vec![0; 10].into()));
        assert!(!outbox.is_empty(), "room again");
    }
}
