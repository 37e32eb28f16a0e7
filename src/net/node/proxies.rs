//! The ultrapeers that put and get for this phone, and what was asked of them.
//!
//! Two are used where there are two: one sees what we look for, the other what we publish, and
//! neither both. What they answer is checked before it counts: an ultrapeer can hold a record back,
//! but not make one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use libp2p::futures::AsyncReadExt;
use libp2p::swarm::ConnectionId;
use libp2p::{PeerId, Stream};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::pause::pause;
use crate::directory::{EDGE, PERIOD};
use crate::net::proxy::{FrameReader, FrameWriter, Reply, Request, VERSION};

/// The control streams that are open or being opened.
#[derive(Debug)]
pub(super) struct Proxies {
    all: Vec<Proxy>,
    /// Who failed, how often, and until when it is left alone.
    failed: BTreeMap<PeerId, (u32, Option<Instant>)>,
    next: ProxyId,
    news: mpsc::Sender<ProxyNews>,
    /// How far the clocks of the last few were ahead of ours.
    offsets: Vec<(PeerId, i64)>,
}

/// Names one control stream.
pub(super) type ProxyId = u64;

/// What came over a control stream; `None`: it ended.
#[derive(Debug)]
pub(super) struct ProxyNews {
    pub from: ProxyId,
    pub reply: Option<Reply>,
}

#[derive(Debug)]
struct Proxy {
    id: ProxyId,
    peer: PeerId,
    connection: ConnectionId,
    state: State,
    /// Answers that were wrong or that nobody had asked for.
    strikes: u32,
}

#[derive(Debug)]
enum State {
    /// Until then it has to have said hello.
    Opening(Instant, Option<Line>),
    Ready(Line),
}

#[derive(Debug)]
struct Line {
    requests: mpsc::Sender<Request>,
    tasks: [AbortHandle; 2],
}

impl Drop for Line {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Proxies {
    pub(super) fn new() -> (Proxies, mpsc::Receiver<ProxyNews>) {
        let (news, arriving) = mpsc::channel(ARRIVING);
        let proxies = Proxies {
            all: Vec::new(),
            failed: BTreeMap::new(),
            next: 1,
            news,
            offsets: Vec::new(),
        };
        (proxies, arriving)
    }

    /// Whether to open a control stream to that ultrapeer now. `true` counts it as being opened.
    pub(super) fn wants(&mut self, peer: PeerId, connection: ConnectionId, now: Instant) -> bool {
        let known = self.all.iter().any(|proxy| proxy.peer == peer);
        let waits = self
            .failed
            .get(&peer)
            .is_some_and(|(_, next)| next.is_some());
        if known || waits || self.all.len() >= WANTED {
            return false;
        }
        self.all.push(Proxy {
            id: self.next,
            peer,
            connection,
            state: State::Opening(now + PATIENCE, None),
            strikes: 0,
        });
        self.next += 1;
        true
    }

    pub(super) fn opened(&mut self, peer: PeerId, stream: Stream) {
        let waiting = |proxy: &&mut Proxy| {
            proxy.peer == peer && matches!(proxy.state, State::Opening(_, None))
        };
        let Some(proxy) = self.all.iter_mut().find(waiting) else {
            return;
        };
        let State::Opening(until, _) = proxy.state else {
            return;
        };
        let line = Line::start(proxy.id, stream, self.news.clone());
        let hello = Request::Hello { version: VERSION };
        // The queue is new and empty.
        let _ = line.requests.try_send(hello);
        proxy.state = State::Opening(until, Some(line));
    }

    /// The ultrapeer has said hello: it can be asked. `false`: it had before, or is not known.
    pub(super) fn greeted(&mut self, id: ProxyId, offset_s: i64) -> bool {
        let Some(proxy) = self.all.iter_mut().find(|proxy| proxy.id == id) else {
            return false;
        };
        let State::Opening(_, line) = &mut proxy.state else {
            return false;
        };
        let Some(line) = line.take() else {
            return false;
        };
        proxy.state = State::Ready(line);
        let peer = proxy.peer;
        self.failed.remove(&peer);
        self.offsets.retain(|(other, _)| *other != peer);
        self.offsets.push((peer, offset_s));
        if self.offsets.len() > MAX_OFFSETS {
            self.offsets.remove(0);
        }
        true
    }

    /// Ends a control stream; it is tried again later. `true`: it was one that could be asked.
    pub(super) fn failed(&mut self, peer: PeerId, now: Instant) -> bool {
        let Some(index) = self.all.iter().position(|proxy| proxy.peer == peer) else {
            return false;
        };
        let proxy = self.all.remove(index);
        if self.failed.len() >= MAX_FAILED {
            self.failed.retain(|_, (_, next)| next.is_some());
        }
        if self.failed.len() < MAX_FAILED {
            let failures = &mut self.failed.entry(peer).or_insert((0, None));
            failures.0 += 1;
            failures.1 = Some(now + pause(failures.0, FIRST_PAUSE, LONGEST_PAUSE));
        }
        matches!(proxy.state, State::Ready(_))
    }

    /// All connections are made anew; that the streams end is nobody's fault.
    pub(super) fn restart(&mut self) {
        self.all.clear();
        self.failed.clear();
    }

    /// Whoever stopped before saying hello.
    pub(super) fn late(&self, now: Instant) -> Option<PeerId> {
        let late = |proxy: &&Proxy| matches!(proxy.state, State::Opening(until, _) if until <= now);
        self.all.iter().find(late).map(|proxy| proxy.peer)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let opening = self.all.iter().filter_map(|proxy| match proxy.state {
            State::Opening(until, _) => Some(until),
            State::Ready(_) => None,
        });
        let again = self.failed.values().filter_map(|(_, next)| *next);
        // More than enough are there: nobody needs to be tried again.
        let again = again.filter(|_| self.all.len() < WANTED);
        opening.chain(again).min()
    }

    /// `true`: somebody was left alone for long enough and may be tried again.
    pub(super) fn forgive(&mut self, now: Instant) -> bool {
        let mut over = false;
        for (_, next) in self.failed.values_mut() {
            if next.is_some_and(|next| next <= now) {
                *next = None;
                over = true;
            }
        }
        over
    }

    pub(super) fn peer(&self, id: ProxyId) -> Option<PeerId> {
        let proxy = self.all.iter().find(|proxy| proxy.id == id)?;
        Some(proxy.peer)
    }

    /// The connection over which that ultrapeer is asked.
    pub(super) fn on(&self, connection: ConnectionId) -> Option<PeerId> {
        let proxy = self
            .all
            .iter()
            .find(|proxy| proxy.connection == connection)?;
        Some(proxy.peer)
    }

    /// Counts a wrong answer. `true`: it was one too many.
    pub(super) fn strike(&mut self, id: ProxyId) -> bool {
        let Some(proxy) = self.all.iter_mut().find(|proxy| proxy.id == id) else {
            return false;
        };
        proxy.strikes += 1;
        proxy.strikes >= MAX_STRIKES
    }

    /// Who is asked: the longest known one.
    pub(super) fn reader(&self) -> Option<ProxyId> {
        self.ready().next()
    }

    /// Who publishes: another one, if there is another.
    pub(super) fn writer(&self) -> Option<ProxyId> {
        self.ready().last()
    }

    /// `false`: it is not there, or does not keep up.
    pub(super) fn ask(&self, id: ProxyId, request: Request) -> bool {
        self.all.iter().any(|proxy| match &proxy.state {
            State::Ready(line) if proxy.id == id => line.requests.try_send(request.clone()).is_ok(),
            _ => false,
        })
    }

    /// How far we believe the world's clock to be ahead of ours: the middle one of those heard, and
    /// of two in the middle the smaller.
    pub(super) fn offset(&self) -> Option<i64> {
        let mut offsets: Vec<i64> = self.offsets.iter().map(|(_, offset)| *offset).collect();
        offsets.sort_unstable();
        let middle = offsets.len().checked_sub(1)? / 2;
        let upper = offsets[offsets.len() / 2];
        Some(if offsets[middle].abs() <= upper.abs() {
            offsets[middle]
        } else {
            upper
        })
    }

    fn ready(&self) -> impl Iterator<Item = ProxyId> {
        self.all
            .iter()
            .filter(|proxy| matches!(proxy.state, State::Ready(_)))
            .map(|proxy| proxy.id)
    }
}

impl Line {
    fn start(id: ProxyId, stream: Stream, news: mpsc::Sender<ProxyNews>) -> Line {
        let (incoming, outgoing) = stream.split();
        let (requests, mut queue) = mpsc::channel::<Request>(LEAVING);
        let ended = news.clone();
        let reading = async move {
            let mut frames = FrameReader::new(incoming);
            while let Ok(Some(reply)) = frames.next::<Reply>().await {
                let reply = Some(reply);
                if news.send(ProxyNews { from: id, reply }).await.is_err() {
                    return;
                }
            }
            let _ = news
                .send(ProxyNews {
                    from: id,
                    reply: None,
                })
                .await;
        };
        let writing = async move {
            let mut frames = FrameWriter::new(outgoing, PATIENCE);
            while let Some(request) = queue.recv().await {
                if frames.send([&request]).await.is_err() {
                    let _ = ended
                        .send(ProxyNews {
                            from: id,
                            reply: None,
                        })
                        .await;
                    return;
                }
            }
        };
        let tasks = [
            tokio::spawn(reading).abort_handle(),
            tokio::spawn(writing).abort_handle(),
        ];
        Line { requests, tasks }
    }
}

/// The names to watch, filled up to a multiple of `step` with names that look like all others and
/// that nobody has. They are the same ones from one start to the next, and each changes once a day
/// at its own time and with the overlap that real ones have: what came and went differently would
/// show which are real. `unix` is in seconds since 1970.
pub(super) fn filled(
    names: &BTreeSet<[u8; 32]>,
    step: usize,
    secret: &[u8; 32],
    unix: u64,
) -> BTreeSet<[u8; 32]> {
    let mut filled = names.clone();
    let wanted = names.len().max(1).next_multiple_of(step);
    let mut slot = 0_u64;
    while filled.len() < wanted {
        let decoys = decoys(secret, slot, unix);
        if filled.len() + decoys.len() <= wanted {
            filled.extend(decoys);
        }
        slot += 1;
    }
    filled
}

fn decoys(secret: &[u8; 32], slot: u64, unix: u64) -> BTreeSet<[u8; 32]> {
    let phase = digest(secret, slot, None);
    let phase = u64::from(u32::from_le_bytes([phase[0], phase[1], phase[2], phase[3]])) % PERIOD;
    let times = [unix.saturating_sub(EDGE), unix, unix + EDGE];
    let periods: BTreeSet<u64> = times.map(|unix| (unix + phase) / PERIOD).into();
    // Public keys of secrets that nobody keeps: half of all random bytes would be none.
    periods
        .into_iter()
        .map(|period| digest(secret, slot, Some(period)))
        .map(|key| SigningKey::from_bytes(&key).verifying_key().to_bytes())
        .collect()
}

fn digest(secret: &[u8; 32], slot: u64, period: Option<u64>) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"twocan/1 decoy\0")
        .chain_update(secret)
        .chain_update(slot.to_le_bytes())
        .chain_update(period.map_or([0xFF; 8], u64::to_le_bytes))
        .finalize()
        .into()
}

const WANTED: usize = 2;
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
const MAX_STRIKES: u32 = 16;
const MAX_FAILED: usize = 64;
const MAX_OFFSETS: usize = 5;
const ARRIVING: usize = 32;
const LEAVING: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn with_offsets(offsets: &[i64]) -> Option<i64> {
        let (mut proxies, _) = Proxies::new();
        proxies.offsets = offsets
            .iter()
            .map(|offset| (PeerId::random(), *offset))
            .collect();
        proxies.offset()
    }

    #[test]
    fn one_liar_does_not_move_the_clock() {
        assert_eq!(with_offsets(&[]), None);
        assert_eq!(with_offsets(&[7]), Some(7));
        assert_eq!(with_offsets(&[7200, 1]), Some(1));
        assert_eq!(with_offsets(&[-7200, -1]), Some(-1));
        assert_eq!(with_offsets(&[7201, 7200, -90_000]), Some(7200));
        assert_eq!(with_offsets(&[0, 1, 1_000_000]), Some(1));
    }

    #[test]
    fn decoys_fill_up_and_move_like_real_names() {
        let (secret, unix) = ([3; 32], 1_728_000_000);
        let names = filled(&BTreeSet::new(), 50, &[9; 32], unix);
        assert_eq!(names.len(), 50);
        let watched = filled(&names, 64, &secret, unix);
        assert_eq!(watched.len(), 64);
        assert!(names.is_subset(&watched));
        for name in &watched {
            assert!(ed25519_dalek::VerifyingKey::from_bytes(name).is_ok());
        }
        let mut fewer = names.clone();
        fewer.pop_first();
        let changed = filled(&fewer, 64, &secret, unix);
        let gone = watched.difference(&changed).count();
        assert!(gone <= 2, "{gone} others changed as well");
        assert_eq!(filled(&watched, 64, &secret, unix), watched);

        let common = |hours: u64| {
            let later = filled(&names, 64, &secret, unix + hours * 3600);
            later.intersection(&watched).count() - names.len()
        };
        assert!(common(1) >= 10, "{} stay for an hour", common(1));
        assert!(common(13) < 12, "{} stay for half a day", common(13));
        assert_eq!(common(27), 0, "some stay for more than a day");
    }
}
