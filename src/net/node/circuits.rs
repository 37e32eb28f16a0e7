//! Datagrams between two phones over streams through a relay.
//!
//! A frame is `u16` length (little endian) and one datagram, nothing else. A relay that is slow
//! must not turn into delay: what waited too long is dropped before it is written, as a congested
//! road would have dropped it.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::swarm::ConnectionId;
use libp2p::{PeerId, Stream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::now;
use crate::phone::types::{CircuitId, MAX_DATAGRAM};

/// All open streams.
#[derive(Debug)]
pub(super) struct Circuits {
    open: BTreeMap<CircuitId, Circuit>,
    next: CircuitId,
    news: mpsc::Sender<CircuitNews>,
}

/// What the tasks that serve the streams have to say.
#[derive(Debug)]
pub(super) enum CircuitNews {
    Datagram(CircuitId, Box<[u8]>),
    Ended(CircuitId),
}

#[derive(Debug)]
struct Circuit {
    peer: PeerId,
    connection: ConnectionId,
    /// Opened by the other end, and the phone has not said a word to it yet.
    unanswered: bool,
    outgoing: mpsc::Sender<(Instant, Box<[u8]>)>,
    tasks: [AbortHandle; 2],
}

impl Drop for Circuit {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Circuits {
    /// With the queue in which the streams' news arrive.
    pub(super) fn new() -> (Circuits, mpsc::Receiver<CircuitNews>) {
        let (news, arriving) = mpsc::channel(ARRIVING);
        let circuits = Circuits {
            open: BTreeMap::new(),
            next: 1,
            news,
        };
        (circuits, arriving)
    }

    /// Serves a stream that we opened.
    pub(super) fn opened(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        stream: Stream,
    ) -> CircuitId {
        self.serve(peer, connection, stream, false)
    }

    /// Serves a stream that somebody opened to us; `None` where one peer has too many. The second
    /// is a circuit that had to make room: one to which the phone never said anything, because
    /// whoever opened it could not show that he may call.
    pub(super) fn accepted(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        stream: Stream,
    ) -> Option<(CircuitId, Option<CircuitId>)> {
        let of_peer = self.open.values().filter(|circuit| circuit.peer == peer);
        if of_peer.count() >= MAX_OF_PEER {
            return None;
        }
        let mut replaced = None;
        if self.open.len() >= MAX_OPEN {
            let oldest = self.open.iter().find(|(_, circuit)| circuit.unanswered);
            replaced = Some(*oldest?.0);
        }
        let id = self.serve(peer, connection, stream, true);
        Some((id, replaced))
    }

    /// Sends now or never.
    pub(super) fn send(&mut self, id: CircuitId, datagram: Box<[u8]>) {
        if let Some(circuit) = self.open.get_mut(&id) {
            circuit.unanswered = false;
            // A full queue is a relay that does not keep up: the datagram is lost.
            let _ = circuit.outgoing.try_send((now(), datagram));
        }
    }

    /// Ends a stream. `Some`: the connection that nothing uses any more.
    pub(super) fn close(&mut self, id: CircuitId) -> Option<ConnectionId> {
        let connection = self.open.remove(&id)?.connection;
        (!self.uses(connection)).then_some(connection)
    }

    /// Ends all streams of a connection that has closed.
    pub(super) fn connection_closed(&mut self, connection: ConnectionId) -> Vec<CircuitId> {
        let gone: Vec<CircuitId> = self
            .open
            .iter()
            .filter(|(_, circuit)| circuit.connection == connection)
            .map(|(id, _)| *id)
            .collect();
        for id in &gone {
            self.open.remove(id);
        }
        gone
    }

    pub(super) fn is_open(&self, id: CircuitId) -> bool {
        self.open.contains_key(&id)
    }

    pub(super) fn uses(&self, connection: ConnectionId) -> bool {
        self.open
            .values()
            .any(|circuit| circuit.connection == connection)
    }

    fn serve(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        stream: Stream,
        unanswered: bool,
    ) -> CircuitId {
        let id = self.next;
        self.next += 1;
        let (incoming, sending) = stream.split();
        let (outgoing, queue) = mpsc::channel(LEAVING);
        let tasks = [
            tokio::spawn(read(id, incoming, self.news.clone())).abort_handle(),
            tokio::spawn(write(id, sending, queue, self.news.clone())).abort_handle(),
        ];
        let circuit = Circuit {
            peer,
            connection,
            unanswered,
            outgoing,
            tasks,
        };
        self.open.insert(id, circuit);
        id
    }
}

/// Waits for its turn with each datagram, so that one circuit cannot crowd out the others.
async fn read<S: AsyncRead + Unpin>(id: CircuitId, mut stream: S, news: mpsc::Sender<CircuitNews>) {
    let mut len = [0; 2];
    while stream.read_exact(&mut len).await.is_ok() {
        let len = usize::from(u16::from_le_bytes(len));
        if len == 0 || len > MAX_DATAGRAM {
            break;
        }
        let mut datagram = vec![0; len].into_boxed_slice();
        if stream.read_exact(&mut datagram).await.is_err() {
            break;
        }
        if news
            .send(CircuitNews::Datagram(id, datagram))
            .await
            .is_err()
        {
            return;
        }
    }
    // Nobody is left to hear it only when the node itself has ended.
    let _ = news.send(CircuitNews::Ended(id)).await;
}

async fn write<S: AsyncWrite + Unpin>(
    id: CircuitId,
    mut stream: S,
    mut queue: mpsc::Receiver<(Instant, Box<[u8]>)>,
    news: mpsc::Sender<CircuitNews>,
) {
    while let Some((queued, datagram)) = queue.recv().await {
        let mut frames = Vec::with_capacity(2 + datagram.len());
        push_fresh(&mut frames, queued, &datagram);
        while let Ok((queued, datagram)) = queue.try_recv() {
            push_fresh(&mut frames, queued, &datagram);
        }
        let written = async {
            stream.write_all(&frames).await?;
            stream.flush().await
        };
        if !matches!(timeout(STALLED, written).await, Ok(Ok(()))) {
            let _ = news.send(CircuitNews::Ended(id)).await;
            return;
        }
    }
}

fn push_fresh(frames: &mut Vec<u8>, queued: Instant, datagram: &[u8]) {
    let Ok(len) = u16::try_from(datagram.len()) else {
        return;
    };
    if queued.elapsed() <= LATE && datagram.len() <= MAX_DATAGRAM {
        frames.extend_from_slice(&len.to_le_bytes());
        frames.extend_from_slice(datagram);
    }
}

/// What waited longer for the relay is not worth sending.
const LATE: Duration = Duration::from_millis(200);

/// A stream that takes nothing for so long is dead.
const STALLED: Duration = Duration::from_secs(10);

const MAX_OPEN: usize = 24;
const MAX_OF_PEER: usize = 3;

/// Datagrams that wait for a stream: more than 200 ms of a call in both sizes.
const LEAVING: usize = 32;

/// Datagrams of all streams that wait for the node.
const ARRIVING: usize = 64;

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// Takes nothing until it is told to, then everything.
    struct Road {
        open: tokio::sync::watch::Receiver<bool>,
        written: mpsc::Sender<Vec<u8>>,
        wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    }

    impl AsyncWrite for Road {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let mut open = self.open.clone();
            let wait = self.wait.get_or_insert_with(|| {
                Box::pin(async move {
                    let _ = open.wait_for(|open| *open).await;
                })
            });
            if wait.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.wait = None;
            self.written.try_send(bytes.to_vec()).expect("room");
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    struct Roadworks {
        allow: tokio::sync::watch::Sender<bool>,
        road: mpsc::Receiver<Vec<u8>>,
        outgoing: mpsc::Sender<(Instant, Box<[u8]>)>,
        heard: mpsc::Receiver<CircuitNews>,
    }

    /// Writes to a stream that takes nothing until it is allowed.
    fn closed_road(id: CircuitId) -> Roadworks {
        let (allow, open) = tokio::sync::watch::channel(false);
        let (written, road) = mpsc::channel(8);
        let (outgoing, queue) = mpsc::channel(LEAVING);
        let (news, heard) = mpsc::channel(1);
        let stream = Road {
            open,
            written,
            wait: None,
        };
        tokio::spawn(write(id, stream, queue, news));
        Roadworks {
            allow,
            road,
            outgoing,
            heard,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_too_long_is_never_written() {
        let Roadworks {
            allow,
            mut road,
            outgoing,
            heard: _kept,
        } = closed_road(1);

        for n in 1..=3 {
            outgoing
                .send((now(), vec![n; 3].into()))
                .await
                .expect("room");
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        allow.send(true).expect("the road");
        let first = road.recv().await.expect("the one that was being written");
        assert_eq!(first, [3, 0, 1, 1, 1]);
        let second = road.recv().await.expect("the one that is fresh");
        assert_eq!(second, [3, 0, 3, 3, 3], "the second one waited 300 ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_takes_nothing_ends() {
        let Roadworks {
            allow: _allow,
            road: _road,
            outgoing,
            mut heard,
        } = closed_road(7);
        outgoing.send((now(), vec![1].into())).await.expect("room");
        assert!(matches!(heard.recv().await, Some(CircuitNews::Ended(7))));
    }

    #[tokio::test]
    async fn junk_ends_the_stream_and_datagrams_before_it_arrive() {
        for junk in [&[0, 0][..], &[0xB1, 4, 1], &[5, 0, 1, 2], &[9]] {
            let mut bytes = vec![2, 0, 8, 9];
            bytes.extend_from_slice(junk);
            let (news, mut heard) = mpsc::channel(4);
            read(3, libp2p::futures::io::Cursor::new(bytes), news).await;
            let Some(CircuitNews::Datagram(3, datagram)) = heard.recv().await else {
                panic!("no datagram before {junk:?}");
            };
            assert_eq!(*datagram, [8, 9]);
            assert!(matches!(heard.recv().await, Some(CircuitNews::Ended(3))));
        }
    }
}
