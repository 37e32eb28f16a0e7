//! One record of ours: when it has to be written again, and how often to try.

use std::time::Duration;

use super::Moment;
use crate::directory::{Blob, Content, Pen, Stamp, State, VALID};

pub(super) struct Post {
    pen: Pen,
    slot: bool,
    content: Option<Content>,
    blob: Option<Box<Blob>>,
    /// The record as last signed; empty before.
    value: Vec<u8>,
    sequence: u64,
    validity: u64,
    /// It must be signed anew before it is put.
    stale: bool,
    /// It says that we are off, and goes when that is stored.
    last: bool,
    stored: bool,
    /// An answer is waited for.
    waiting: bool,
    put_at: Option<Duration>,
    due: Duration,
    renew_at: Duration,
    /// Puts in a row that did not do.
    tries: u32,
}

impl Post {
    pub fn new(pen: Pen, slot: bool, now: Moment) -> Post {
        Post {
            pen,
            slot,
            content: None,
            blob: None,
            value: Vec::new(),
            sequence: 0,
            validity: 0,
            stale: true,
            last: false,
            stored: false,
            waiting: false,
            put_at: None,
            due: now.mono,
            renew_at: now.mono,
            tries: 0,
        }
    }

    /// What it is to say from now on. While that stays the same, so does the sealed blob.
    pub fn set(&mut self, content: Content, fresh: &[u8; 32], now: Moment) {
        self.last = false;
        if self.content.as_ref() == Some(&content) {
            return;
        }
        self.blob = Some(Box::new(self.pen.seal(&content, fresh)));
        self.content = Some(content);
        self.stale = true;
        self.tries = 0;
        self.due = now.mono;
    }

    /// Makes it the last one, that says that we are off. `false`: there is nothing to take back.
    pub fn sign_off(&mut self, fresh: &[u8; 32], delay: Duration, now: Moment) -> bool {
        if self.slot || self.put_at.is_none() {
            return false;
        }
        if self.last {
            return now.unix < self.validity || self.stale;
        }
        let content = Content::Location {
            state: State::Off,
            devices: Vec::new(),
            offer: None,
        };
        self.set(content, fresh, now);
        self.due = now.mono + delay;
        self.last = true;
        self.stored = false;
        true
    }

    /// True if nothing more has to be said.
    pub fn is_done(&self) -> bool {
        self.last && self.stored
    }

    pub fn is_due(&self, now: Moment) -> bool {
        self.due(now) <= now.mono
    }

    /// When it has to be put: as planned, or at once if the clock was set or stood still.
    pub fn due(&self, now: Moment) -> Duration {
        let due = match self.has_odd_end(now) && !self.last {
            true => self.due.min(now.mono),
            false => self.due,
        };
        self.put_at.map_or(due, |at| due.max(at + PACE))
    }

    /// The record to put now, signed anew if that is worth it.
    pub fn put(&mut self, last: &mut u64, now: Moment, jitter: Duration) -> Vec<u8> {
        let worn = self.validity < now.unix + VALID - WORN;
        if self.stale || worn || self.has_odd_end(now) {
            self.sign(last, now);
            self.renew_at = now.mono + RENEW - jitter.min(RENEW / 2);
        }
        if self.waiting {
            self.tries += 1;
        }
        self.waiting = true;
        self.put_at = Some(now.mono);
        self.due = now.mono + pause(ANSWER, self.tries, LONGEST_REFUSED);
        self.value.clone()
    }

    pub fn stored(&mut self, copies: u16, now: Moment) {
        let expected = std::mem::take(&mut self.waiting);
        if self.stale || !expected {
            return;
        }
        self.stored = true;
        if copies >= ENOUGH {
            self.tries = 0;
            self.due = self.renew_at;
        } else {
            let again = now.mono + pause(THIN, self.tries, RENEW);
            self.tries += 1;
            self.due = again.min(self.renew_at);
        }
    }

    /// `true`: it is worth looking what stands there.
    pub fn refused(&mut self, now: Moment) -> bool {
        if !std::mem::take(&mut self.waiting) {
            return false;
        }
        self.stale = true;
        self.due = now.mono + pause(REFUSED, self.tries, LONGEST_REFUSED);
        self.tries += 1;
        self.tries <= LOOKS
    }

    /// A true record of ours has come back from the directory. The caller's sequence is beyond it.
    pub fn found(&mut self, stamp: &Stamp, now: Moment) {
        let mine = (self.sequence, self.validity);
        let theirs = (stamp.sequence, stamp.validity);
        if theirs == mine || self.value.is_empty() || self.is_done() {
            return;
        }
        // Older: somebody has lost the last one. Newer: somebody would never take ours.
        self.stale |= theirs > mine;
        let again = now.mono + pause(REFUSED, self.tries, LONGEST_REFUSED);
        self.tries += 1;
        self.due = self.due.min(again);
    }

    /// What was said before may be lost: say it again.
    pub fn start_over(&mut self, now: Moment) {
        self.waiting = false;
        self.tries = 0;
        self.due = now.mono;
    }

    /// True if the record ends too soon or too late, because time has passed unseen or the clock was set.
    fn has_odd_end(&self, now: Moment) -> bool {
        let good = now.unix + MARGIN..=now.unix + VALID + SET;
        !self.value.is_empty() && !good.contains(&self.validity)
    }

    fn sign(&mut self, last: &mut u64, now: Moment) {
        let Some(blob) = &self.blob else {
            return;
        };
        *last = last.saturating_add(1);
        self.sequence = *last;
        self.validity = now.unix + VALID;
        self.value = self.pen.sign(blob, self.sequence, self.validity);
        self.stale = false;
    }
}

/// `first`, twice that after the first failure, and so on.
fn pause(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.min(16)).min(longest)
}

/// How often a record is renewed. It is good for 10 minutes more.
const RENEW: Duration = Duration::from_secs(20 * 60);
/// Between two puts of one name.
const PACE: Duration = Duration::from_secs(1);
/// How long an answer to a put may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Before a refused record is put again, the first time and at most.
const REFUSED: Duration = Duration::from_secs(2);
const LONGEST_REFUSED: Duration = Duration::from_secs(5 * 60);
/// Refusals in a row after which it is no longer looked what stands there.
const LOOKS: u32 = 3;
/// Copies besides the first that are enough.
const ENOUGH: u16 = 3;
/// Before a record of which there are fewer copies is put again, the first time.
const THIN: Duration = Duration::from_secs(30);
/// Seconds after which a record that is put again anyway is signed anew.
const WORN: u64 = 600;
/// Seconds before its end when a record is renewed whatever the plan says.
const MARGIN: u64 = 300;
/// Seconds by which a record's end may be too late before that is mended.
const SET: u64 = 60;
