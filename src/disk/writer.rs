//! The thread that makes changes lasting, so that no `fsync` ever holds up the engine.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::api::HistoryView;
use crate::disk::{Contacts, DiskError, History, Home, HomeLock, Store, Surroundings};
use crate::peer::{Contact, Invite, PeerId, Reach, Stranger};

/// One change to what is kept.
#[derive(Clone, Debug)]
pub enum Job {
    /// Insert or replace by ID.
    PutContact(Box<Contact>),
    RemoveContact(PeerId),
    /// Insert or replace by token.
    PutInvite(Invite),
    /// By token.
    RemoveInvite([u8; 16]),
    SetReach(Reach),
    /// Insert or replace by ID.
    PutRequest(Box<Stranger>),
    RemoveRequest(PeerId),
    AddHistory(Box<HistoryView>),
    /// The newest entry that equals this one.
    RemoveHistory(Box<HistoryView>),
    ClearHistory,
    PutSurroundings(Box<Surroundings>),
}

/// Carries out jobs in the order in which they were handed in, and says of each when it is on the
/// disk or that it failed.
///
/// Changes to the contacts that are waiting at the same time share one write of the file. If that
/// fails, all of them have failed and the contacts are as before.
#[derive(Debug)]
pub struct Writer {
    queue: Option<SyncSender<(u64, Job)>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts with the contacts as they were loaded; `lock` is given back when the writer is gone.
    /// `done` is called on the writer's thread with the tag of each job; it must not wait.
    pub fn start(
        lock: HomeLock,
        home: Home,
        contacts: Contacts,
        done: impl FnMut(u64, Result<(), &DiskError>) + Send + 'static,
    ) -> Result<Writer, DiskError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let name = "writer".to_owned();
        let path = home.data_dir().to_owned();
        let work = move || {
            let _lock = lock;
            Work {
                home,
                contacts,
                done,
            }
            .run(&jobs);
        };
        let thread = thread::Builder::new().name(name).spawn(work);
        let thread = thread.map_err(DiskError::io("start a thread to write", &path))?;
        Ok(Writer {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Hands in a job without waiting.
    ///
    /// # Errors
    /// [`DiskError::Behind`] if the queue is full (the disk stands still) or the thread has died;
    /// the job is forgotten and nothing is said of its tag.
    pub fn submit(&self, tag: u64, job: Job) -> Result<(), DiskError> {
        let queue = self.queue.as_ref().ok_or(DiskError::Behind)?;
        queue.try_send((tag, job)).map_err(|_| DiskError::Behind)
    }

    /// Waits until everything handed in is done and said.
    pub fn finish(mut self) {
        self.close();
    }

    fn close(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by its hook; there is nothing more to save here.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

struct Work<D> {
    home: Home,
    contacts: Contacts,
    done: D,
}

impl<D: FnMut(u64, Result<(), &DiskError>)> Work<D> {
    fn run(&mut self, jobs: &Receiver<(u64, Job)>) {
        while let Ok(first) = jobs.recv() {
            let mut batch = vec![first];
            batch.extend(jobs.try_iter().take(QUEUE));
            self.carry_out(batch);
        }
    }

    /// Runs of changes to the contacts are written together; the order is kept.
    fn carry_out(&mut self, batch: Vec<(u64, Job)>) {
        let mut changes = Vec::new();
        for (tag, job) in batch {
            match job {
                Job::AddHistory(entry) => {
                    self.history(&mut changes, tag, |home| History::append(home, &entry))
                }
                Job::RemoveHistory(entry) => {
                    self.history(&mut changes, tag, |home| {
                        History::remove(home, &entry).map(drop)
                    });
                }
                Job::ClearHistory => self.history(&mut changes, tag, History::clear),
                Job::PutSurroundings(known) => {
                    let written = known.save(&self.home);
                    (self.done)(tag, written.as_ref().map(drop));
                }
                change => changes.push((tag, change)),
            }
        }
        self.contacts(&mut changes);
    }

    fn history(
        &mut self,
        changes: &mut Vec<(u64, Job)>,
        tag: u64,
        write: impl FnOnce(&Home) -> Result<(), DiskError>,
    ) {
        self.contacts(changes);
        let result = write(&self.home);
        (self.done)(tag, result.as_ref().map(drop));
    }

    fn contacts(&mut self, changes: &mut Vec<(u64, Job)>) {
        if changes.is_empty() {
            return;
        }
        let mut after = self.contacts.clone();
        let mut applied = Vec::new();
        for (tag, job) in changes.drain(..) {
            match apply(&mut after, job) {
                Ok(()) => applied.push(tag),
                Err(error) => (self.done)(tag, Err(&error)),
            }
        }
        if applied.is_empty() {
            return;
        }
        let written = Store::write(&self.home, &after);
        if written.is_ok() {
            self.contacts = after;
        }
        for tag in applied {
            (self.done)(tag, written.as_ref().map(drop));
        }
    }
}

fn apply(contacts: &mut Contacts, job: Job) -> Result<(), DiskError> {
    match job {
        Job::PutContact(contact) => contacts.put_contact(*contact)?,
        Job::RemoveContact(id) => drop(contacts.remove_contact(&id)),
        Job::PutInvite(invite) => contacts.put_invite(invite),
        Job::RemoveInvite(token) => drop(contacts.remove_invite(&token)),
        Job::SetReach(reach) => contacts.set_reach(reach),
        Job::PutRequest(request) => contacts.put_request(*request),
        Job::RemoveRequest(id) => drop(contacts.remove_request(&id)),
        Job::AddHistory(_)
        | Job::RemoveHistory(_)
        | Job::ClearHistory
        | Job::PutSurroundings(_) => {}
    }
    Ok(())
}

/// Jobs that may wait. A person makes a few a minute; a flood of invites or requests is bounded
/// elsewhere.
const QUEUE: usize = 256;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::api::{Direction, Why};
    use crate::disk::contacts::tests::{contact, home, id, invite, request};
    use crate::peer::SafeText;

    type Said = Receiver<(u64, Result<(), String>)>;

    fn start(home: &Home) -> (Writer, Said) {
        let (said, heard) = sync_channel(1000);
        let lock = HomeLock::acquire(home).expect("free");
        let contacts = Store::load(home).expect("loaded");
        let writer = Writer::start(lock, home.clone(), contacts, move |tag, result| {
            said.send((tag, result.map_err(ToString::to_string)))
                .expect("heard");
        });
        (writer.expect("started"), heard)
    }

    fn call(seconds: u64) -> HistoryView {
        HistoryView {
            at: jiff::Timestamp::UNIX_EPOCH,
            name: SafeText::name("anna"),
            id: id(1),
            direction: Direction::In,
            why: Why::Missed,
            seconds,
            path: None,
            loss: 0.0,
            recorded_here: false,
            recorded_there: false,
        }
    }

    #[test]
    fn jobs_are_done_in_order_and_each_is_said() {
        let (_dir, home) = home();
        let (writer, said) = start(&home);
        let jobs = [
            Job::PutContact(Box::new(contact(1))),
            Job::PutInvite(invite(1)),
            Job::AddHistory(Box::new(call(1))),
            Job::PutContact(Box::new(contact(2))),
            Job::RemoveContact(id(1)),
            Job::AddHistory(Box::new(call(2))),
            Job::RemoveHistory(Box::new(call(1))),
            Job::RemoveInvite([1; 16]),
            Job::PutInvite(invite(3)),
            Job::PutRequest(Box::new(request(4))),
            Job::PutRequest(Box::new(request(5))),
            Job::RemoveRequest(id(4)),
            Job::SetReach(contact(6).reach),
        ];
        let count = jobs.len() as u64;
        for (tag, job) in (0..).zip(jobs) {
            writer.submit(tag, job).expect("room");
        }
        writer.finish();
        let said: Vec<_> = said.iter().collect();
        assert_eq!(
            said,
            (0..count).map(|tag| (tag, Ok(()))).collect::<Vec<_>>()
        );
        let kept = Store::load(&home).expect("loaded");
        assert_eq!(kept.contacts(), [contact(2)]);
        assert_eq!(kept.invites(), [invite(3)]);
        assert_eq!(kept.requests(), [request(5)]);
        assert_eq!(*kept.reach(), contact(6).reach);
        assert_eq!(History::load(&home, 9).expect("loaded").entries, [call(2)]);
        HomeLock::acquire(&home).expect("given back");
    }

    #[test]
    fn what_is_said_is_already_on_the_disk() {
        let (_dir, home) = home();
        let (writer, said) = start(&home);
        for n in 1..20 {
            writer
                .submit(u64::from(n), Job::PutContact(Box::new(contact(n))))
                .expect("room");
            assert_eq!(said.recv(), Ok((u64::from(n), Ok(()))));
            assert_eq!(
                Store::load(&home).expect("loaded").by_id(&id(n)),
                Some(&contact(n))
            );
        }
    }

    #[test]
    fn a_failure_is_said_and_changes_nothing() {
        let (_dir, home) = home();
        let (writer, said) = start(&home);
        writer
            .submit(1, Job::PutContact(Box::new(contact(1))))
            .expect("room");
        assert_eq!(said.recv(), Ok((1, Ok(()))));
        let mut same_name = contact(2);
        same_name.petname = contact(1).petname;
        writer
            .submit(2, Job::PutContact(Box::new(same_name)))
            .expect("room");
        assert!(
            said.recv()
                .is_ok_and(|(tag, result)| tag == 2 && result.is_err())
        );

        let in_the_way = home.data_dir().join("contacts.toml.new");
        fs::create_dir(&in_the_way).expect("made");
        writer.submit(3, Job::RemoveContact(id(1))).expect("room");
        let (tag, result) = said.recv().expect("said");
        let why = result.expect_err("cannot be written");
        assert!(tag == 3 && why.contains("contacts.toml"), "{why}");
        fs::remove_dir(&in_the_way).expect("removed");
        writer
            .submit(4, Job::PutContact(Box::new(contact(3))))
            .expect("room");
        assert_eq!(said.recv(), Ok((4, Ok(()))));
        let kept = Store::load(&home).expect("loaded");
        assert_eq!(kept.contacts(), [contact(1), contact(3)]);
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let (_dir, home) = home();
        let lock = HomeLock::acquire(&home).expect("free");
        let (go, wait) = sync_channel::<()>(0);
        // Stands still in the first report until told to go on.
        let writer = Writer::start(lock, home, Contacts::default(), move |_, _| {
            let _ = wait.recv();
        });
        let writer = writer.expect("started");
        let mut taken = 0;
        while writer.submit(taken, Job::RemoveInvite([0; 16])).is_ok() {
            taken += 1;
            assert!(taken <= 2 * QUEUE as u64 + 2, "the queue has no end");
        }
        drop(go);
        writer.finish();
    }
}
