//! Proofs of work, done where they hold up nobody: one at a time on a thread of its own.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::run::Run;
use crate::peer::PeerId;
use crate::phone::pow::{self, Puzzle};
use crate::phone::types::Input;

/// Puzzles that wait, and the way back of the one that is being solved.
#[derive(Debug)]
pub(super) struct Labour {
    waiting: BTreeMap<PeerId, Puzzle>,
    is_busy: bool,
    say: mpsc::Sender<(PeerId, u64)>,
    done: mpsc::Receiver<(PeerId, u64)>,
}

impl Labour {
    pub(super) fn new() -> Labour {
        let (say, done) = mpsc::channel(1);
        Labour {
            waiting: BTreeMap::new(),
            is_busy: false,
            say,
            done,
        }
    }

    /// A puzzle that is solved. Cancel safe; pending while there is none.
    pub(super) async fn done(&mut self) -> (PeerId, u64) {
        match self.done.recv().await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }

    fn add(&mut self, peer: PeerId, puzzle: Puzzle) {
        // One for each pending contact at most, and those are bounded.
        self.waiting.insert(peer, puzzle);
        self.go_on();
    }

    fn go_on(&mut self) {
        if self.is_busy {
            return;
        }
        let Some((peer, puzzle)) = self.waiting.pop_first() else {
            return;
        };
        let say = self.say.clone();
        let started = std::thread::Builder::new()
            .name("labour".to_owned())
            .spawn(move || {
                // Nobody listens any more when the phone has ended meanwhile.
                let _ = say.try_send((peer, pow::solve(&puzzle)));
            });
        match started {
            Ok(_) => self.is_busy = true,
            Err(error) => tracing::warn!("no thread for a proof of work: {error}"),
        }
    }
}

impl Run {
    pub(super) fn work(&mut self, peer: PeerId, puzzle: Puzzle) {
        self.parts.labour.add(peer, puzzle);
    }

    pub(super) fn take_work(&mut self, (peer, nonce): (PeerId, u64)) {
        self.parts.labour.is_busy = false;
        self.tell_phone(Input::Worked(peer, nonce));
        self.parts.labour.go_on();
    }
}
