//! Asking ultrapeers for others of their kind.

use std::collections::BTreeSet;
use std::time::Duration;

use libp2p::{PeerId, Stream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::net::proxy::{FrameReader, Peers};

/// Whom we asked, and the queue for the answers.
#[derive(Debug)]
pub(super) struct Gossip {
    asked: BTreeSet<PeerId>,
    news: mpsc::Sender<GossipNews>,
}

/// Multiaddrs that an ultrapeer named; nothing says that they are true.
#[derive(Debug)]
pub(super) struct GossipNews {
    pub addresses: Vec<Vec<u8>>,
}

impl Gossip {
    pub(super) fn new() -> (Gossip, mpsc::Receiver<GossipNews>) {
        let (news, arriving) = mpsc::channel(ARRIVING);
        let asked = BTreeSet::new();
        (Gossip { asked, news }, arriving)
    }

    /// Whether to ask that peer: each once in a while.
    pub(super) fn wants(&mut self, peer: PeerId) -> bool {
        if self.asked.len() >= MAX_ASKED {
            self.asked.clear();
        }
        self.asked.insert(peer)
    }

    /// Reads the one answer of that stream, or gives up.
    pub(super) fn read(&self, stream: Stream) {
        let news = self.news.clone();
        tokio::spawn(async move {
            let mut frames = FrameReader::new(stream);
            let answer = timeout(PATIENCE, frames.next::<Peers>()).await;
            if let Ok(Ok(Some(Peers(addresses)))) = answer {
                let _ = news.send(GossipNews { addresses }).await;
            }
        });
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
const ARRIVING: usize = 4;
const MAX_ASKED: usize = 64;
