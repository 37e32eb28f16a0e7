//! The way to the disk: what is to last, and what became of it.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::mpsc;

use super::listeners::ListenerId;
use crate::api::{HistoryView, RequestId};
use crate::disk::{Contacts, DiskError, Home, HomeLock, Job, Surroundings, Writer};
use crate::phone::types::{Change, SaveId};

/// Hands jobs to the writer and keeps what could not be written.
#[derive(Debug)]
pub(super) struct Keep {
    writer: Writer,
    done: mpsc::Receiver<Said>,
    /// Jobs that the writer has, by their tags.
    jobs: BTreeMap<u64, Doing>,
    last_tag: u64,
    /// Jobs that the writer did not take.
    refused: VecDeque<Kept>,
    /// Lines of the history for which the disk had no room; they go with the next one.
    unwritten: VecDeque<HistoryView>,
}

/// What became of a job; the error is in words for a person.
#[derive(Debug)]
pub(super) enum Kept {
    Change(SaveId, Result<(), String>),
    History(Result<(), String>),
    Remembered(Result<(), String>),
    /// The answer to a request.
    Answer(ListenerId, RequestId, Result<(), String>),
}

#[derive(Debug)]
enum Doing {
    Change(SaveId),
    AddHistory(Box<HistoryView>),
    Remember,
    Request(ListenerId, RequestId),
}

type Said = (u64, Result<(), String>);

impl Keep {
    /// Takes the home: nobody else writes in it until [`Keep::finish`].
    pub(super) fn start(lock: HomeLock, home: Home, contacts: Contacts) -> Result<Keep, DiskError> {
        let (say, done) = mpsc::channel(JOBS);
        // There is a place for each job that the writer may have, so this never waits or fails.
        let writer = Writer::start(lock, home, contacts, move |tag, result| {
            let _ = say.try_send((tag, result.map_err(ToString::to_string)));
        })?;
        Ok(Keep {
            writer,
            done,
            jobs: BTreeMap::new(),
            last_tag: 0,
            refused: VecDeque::new(),
            unwritten: VecDeque::new(),
        })
    }

    pub(super) fn change(&mut self, id: SaveId, change: Change) {
        let job = match change {
            Change::Contact(contact) => Job::PutContact(contact),
            Change::RemoveContact(id) => Job::RemoveContact(id),
            Change::Invite(invite) => Job::PutInvite(invite),
            Change::RemoveInvite(token) => Job::RemoveInvite(token),
            Change::Reach(reach) => Job::SetReach(reach),
            Change::Request(request) => Job::PutRequest(request),
            Change::RemoveRequest(id) => Job::RemoveRequest(id),
        };
        self.submit(Doing::Change(id), job);
    }

    /// Adds a line to the history, after those that wait for better times.
    pub(super) fn history(&mut self, line: HistoryView) {
        self.unwritten.push_back(line);
        for line in std::mem::take(&mut self.unwritten) {
            let line = Box::new(line);
            self.submit(Doing::AddHistory(line.clone()), Job::AddHistory(line));
        }
    }

    /// Keeps what is known of the network for the next run.
    pub(super) fn remember(&mut self, known: Surroundings) {
        self.submit(Doing::Remember, Job::PutSurroundings(Box::new(known)));
    }

    /// Does `job` for a request; its answer comes when it is done.
    pub(super) fn request(&mut self, listener: ListenerId, request: RequestId, job: Job) {
        if matches!(job, Job::ClearHistory) {
            self.unwritten.clear();
        }
        self.submit(Doing::Request(listener, request), job);
    }

    /// What became of the next job; pending while there is none. Cancel safe.
    pub(super) async fn done(&mut self) -> Kept {
        loop {
            if let Some(kept) = self.refused.pop_front() {
                return kept;
            }
            let Some((tag, result)) = self.done.recv().await else {
                return std::future::pending().await;
            };
            if let Some(doing) = self.jobs.remove(&tag) {
                return self.kept(doing, result);
            }
        }
    }

    /// Nothing is on its way to the disk.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.refused.is_empty()
    }

    /// Waits until everything is written, as far as it can be.
    pub(super) fn finish(mut self) {
        for line in std::mem::take(&mut self.unwritten) {
            let line = Box::new(line);
            self.submit(Doing::AddHistory(line.clone()), Job::AddHistory(line));
        }
        let Keep {
            writer, mut done, ..
        } = self;
        writer.finish();
        while let Ok((_, result)) = done.try_recv() {
            if let Err(error) = result {
                tracing::error!("lost at the end: {error}");
            }
        }
    }

    fn submit(&mut self, doing: Doing, job: Job) {
        self.last_tag += 1;
        let has_room = self.jobs.len() < JOBS;
        if has_room && self.writer.submit(self.last_tag, job).is_ok() {
            self.jobs.insert(self.last_tag, doing);
            return;
        }
        let why = "the disk does not keep up: a change could not be written";
        let kept = self.kept(doing, Err(why.to_owned()));
        self.refused.push_back(kept);
    }

    fn kept(&mut self, doing: Doing, result: Result<(), String>) -> Kept {
        match doing {
            Doing::Change(id) => Kept::Change(id, result),
            Doing::Remember => Kept::Remembered(result),
            Doing::Request(listener, request) => Kept::Answer(listener, request, result),
            Doing::AddHistory(line) => {
                if result.is_err() && self.unwritten.len() < UNWRITTEN {
                    self.unwritten.push_back(*line);
                }
                Kept::History(result)
            }
        }
    }
}

/// Jobs that may be with the writer at a time: those in its queue and those in its hands.
const JOBS: usize = 512;

/// Lines of the history that wait for room on the disk.
const UNWRITTEN: usize = 100;
