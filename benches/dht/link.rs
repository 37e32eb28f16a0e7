//! The links between the nodes: in memory, encrypted and multiplexed like the real ones, late by a
//! fixed time, and counted.

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use libp2p::core::Transport;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, MemoryTransport};
use libp2p::core::upgrade::Version;
use libp2p::futures::{AsyncRead, AsyncWrite};
use libp2p::identity::Keypair;
use libp2p::{PeerId, noise, yamux};
use tokio::time::{Instant, Sleep};

/// One way.
pub const DELAY: Duration = Duration::from_millis(25);

/// Bytes that went over all links.
pub static BYTES: AtomicU64 = AtomicU64::new(0);

pub fn transport(key: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    MemoryTransport::default()
        .map(|stream, _| Late::new(stream))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).expect("a good key"))
        .multiplex(yamux::Config::default())
        .boxed()
}

/// A stream whose bytes are read [`DELAY`] after they came.
struct Late<S> {
    inner: S,
    coming: VecDeque<(Instant, Vec<u8>)>,
    ended: bool,
    alarm: Pin<Box<Sleep>>,
}

impl<S> Late<S> {
    fn new(inner: S) -> Late<S> {
        Late {
            inner,
            coming: VecDeque::new(),
            ended: false,
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }
}

impl<S: AsyncRead + Unpin> Late<S> {
    /// Takes all that is there.
    fn take(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let mut bytes = [0; 4096];
        while !self.ended {
            let read = pin!(&mut self.inner).poll_read(context, &mut bytes);
            let Poll::Ready(count) = read else {
                return Ok(());
            };
            let count = count?;
            BYTES.fetch_add(count as u64, Ordering::Relaxed);
            self.ended = count == 0;
            let due = Instant::now() + DELAY;
            self.coming.push_back((due, bytes[..count].to_vec()));
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Late<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.take(context)?;
        let Some(&(due, _)) = self.coming.front() else {
            return if self.ended {
                Poll::Ready(Ok(0))
            } else {
                Poll::Pending
            };
        };
        if due > Instant::now() {
            self.alarm.as_mut().reset(due);
            ready!(self.alarm.as_mut().poll(context));
        }
        let (_, bytes) = self.coming.front_mut().expect("there is one");
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        bytes.drain(..count);
        if bytes.is_empty() {
            self.coming.pop_front();
        }
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Late<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        pin!(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.inner).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.inner).poll_close(context)
    }
}
