//! Frames over a byte stream.

use std::io;
use std::time::Duration;

use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::message::Message;

/// Reads messages from a stream. Never holds more than the longest frame of its kind.
#[derive(Debug)]
pub struct FrameReader<S> {
    stream: S,
    frame: Vec<u8>,
    filled: usize,
}

impl<S: AsyncRead + Unpin> FrameReader<S> {
    pub fn new(stream: S) -> FrameReader<S> {
        FrameReader {
            stream,
            frame: vec![0; 2],
            filled: 0,
        }
    }

    /// The next message; `None` where the stream ends between two. Cancel safe.
    ///
    /// # Errors
    /// When the stream breaks, or brings what is no message. Nothing more is to be read then.
    pub async fn next<M: Message>(&mut self) -> io::Result<Option<M>> {
        loop {
            while self.filled < self.frame.len() {
                let count = self.stream.read(&mut self.frame[self.filled..]).await?;
                match count {
                    0 if self.filled == 0 => return Ok(None),
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => self.filled += count,
                }
            }
            let len = 2 + usize::from(u16::from_le_bytes([self.frame[0], self.frame[1]]));
            if self.filled < len {
                if len > M::LONGEST {
                    return Err(invalid("a frame is too long"));
                }
                self.frame.resize(len, 0);
                continue;
            }
            let message = M::parse(&self.frame[2..]).map_err(invalid)?;
            self.frame.clear();
            self.frame.resize(2, 0);
            self.filled = 0;
            return Ok(Some(message));
        }
    }

    /// The stream, without what was read of a message that has not come whole.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

/// Writes messages to a stream whose reader has to keep up.
#[derive(Debug)]
pub struct FrameWriter<S> {
    stream: S,
    patience: Duration,
}

impl<S: AsyncWrite + Unpin> FrameWriter<S> {
    /// A reader that takes nothing for as long as `patience` is given up.
    pub fn new(stream: S, patience: Duration) -> FrameWriter<S> {
        FrameWriter { stream, patience }
    }

    /// Sends these messages as one piece. Not cancel safe: a frame may be cut then.
    ///
    /// # Errors
    /// When the stream breaks or its reader stalls. Nothing more is to be written then.
    pub async fn send<'a, M: Message + 'a>(
        &mut self,
        messages: impl IntoIterator<Item = &'a M>,
    ) -> io::Result<()> {
        let frames: Vec<u8> = messages.into_iter().flat_map(M::encode).collect();
        let sent = async {
            self.stream.write_all(&frames).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(self.patience, sent)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Ends the stream in good order, as far as the reader lets it.
    pub async fn close(&mut self) {
        // There is nobody left to tell when this fails.
        let _ = tokio::time::timeout(self.patience, self.stream.close()).await;
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use libp2p::futures::io::Cursor;

    use super::*;
    use crate::net::proxy::{Peers, Reply, Request};

    /// A stream that brings its bytes in pieces of the given size.
    struct Pieces(Vec<u8>, usize);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            into: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            let count = self.1.min(into.len()).min(self.0.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            std::task::Poll::Ready(Ok(count))
        }
    }

    #[tokio::test]
    async fn messages_come_whole_however_the_stream_is_cut() {
        let sent = [
            Request::Hello { version: 1 },
            Request::Put {
                name: [1; 32],
                value: vec![2; 1500],
            },
            Request::Get { name: [3; 32] },
        ];
        let bytes: Vec<u8> = sent.iter().flat_map(Message::encode).collect();
        for piece in [1, 2, 3, 63, 65, 5000] {
            let mut reader = FrameReader::new(Pieces(bytes.clone(), piece));
            for message in &sent {
                let read = reader.next::<Request>().await.expect("a frame");
                assert_eq!(read.as_ref(), Some(message), "in pieces of {piece}");
            }
            assert_eq!(reader.next::<Request>().await.expect("the end"), None);
        }
    }

    #[tokio::test]
    async fn a_stream_that_ends_inside_a_frame_is_broken() {
        let bytes = Request::Get { name: [3; 32] }.encode();
        for end in 1..bytes.len() {
            let mut reader = FrameReader::new(Cursor::new(&bytes[..end]));
            let error = reader.next::<Request>().await.expect_err("half a frame");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[tokio::test]
    async fn a_length_beyond_the_longest_reserves_nothing() {
        let mut reader = FrameReader::new(Cursor::new(vec![0xFF; 70_000]));
        let error = reader.next::<Reply>().await.expect_err("64 KiB");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(reader.frame.capacity() < 100);
        let mut empty = FrameReader::new(Cursor::new(vec![0; 4]));
        assert!(empty.next::<Peers>().await.is_err(), "an empty frame");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stalls_is_given_up() {
        struct Stalled;
        impl AsyncWrite for Stalled {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                _: &[u8],
            ) -> std::task::Poll<io::Result<usize>> {
                std::task::Poll::Pending
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                std::task::Poll::Pending
            }

            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                std::task::Poll::Pending
            }
        }
        let mut writer = FrameWriter::new(Stalled, Duration::from_secs(10));
        let error = writer
            .send([&Request::Hello { version: 1 }])
            .await
            .expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        writer.close().await;
    }
}
