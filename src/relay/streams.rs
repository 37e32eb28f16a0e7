//! The streams of our own protocols, each a task of its own: those that others open here, and those
//! that this ultrapeer opens at others. They only carry messages; the ultrapeer decides.

use std::io;
use std::time::Duration;

use libp2p::futures::AsyncReadExt;
use libp2p::{PeerId, Stream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::desk::ClientId;
use super::rooms::Asked;
use crate::net::proxy::{FrameReader, FrameWriter, Peers, Reply, Request, VERSION};

/// What the tasks report to the ultrapeer.
#[derive(Debug)]
pub enum Said {
    Request(ClientId, Request),
    Ended(ClientId),
    /// The directory stream that was opened at another ultrapeer ended, or never came up.
    Parted(PeerId),
    /// Which ultrapeers another one knows.
    Heard(Peers),
    /// Somebody asks for a room at the reflector.
    Asked(Asked),
}

/// Serves one directory stream until it ends or `replies` is closed.
pub fn serve(
    id: ClientId,
    stream: Stream,
    unix: u64,
    said: mpsc::Sender<Said>,
    mut replies: mpsc::Receiver<Vec<Reply>>,
) {
    tokio::spawn(async move {
        let (read, write) = stream.split();
        let mut reader = FrameReader::new(read);
        let mut writer = FrameWriter::new(write, PATIENCE);
        let ended = async {
            greet(&mut reader, &mut writer, unix).await?;
            let read = async {
                while let Some(request) = reader.next().await? {
                    if said.send(Said::Request(id, request)).await.is_err() {
                        break;
                    }
                }
                Ok(())
            };
            let write = async {
                while let Some(replies) = replies.recv().await {
                    writer.send(&replies).await?;
                }
                Ok(())
            };
            tokio::select! {
                ended = read => ended,
                ended = write => ended,
            }
        };
        let ended: io::Result<()> = ended.await;
        if let Err(error) = ended {
            tracing::debug!("a directory stream ended: {error}");
        }
        writer.close().await;
        let _ = said.send(Said::Ended(id)).await;
    });
}

async fn greet<R, W>(
    reader: &mut FrameReader<R>,
    writer: &mut FrameWriter<W>,
    unix: u64,
) -> io::Result<()>
where
    R: libp2p::futures::AsyncRead + Unpin,
    W: libp2p::futures::AsyncWrite + Unpin,
{
    match timeout(PATIENCE, reader.next()).await?? {
        Some(Request::Hello { version: VERSION.. }) => {}
        _ => return Err(io::ErrorKind::InvalidData.into()),
    }
    let version = VERSION;
    writer.send([&Reply::Hello { version, unix }]).await
}

/// Tells whoever opened the stream of these ultrapeers.
pub fn gossip(stream: Stream, peers: Peers) {
    tokio::spawn(async move {
        let mut writer = FrameWriter::new(stream, PATIENCE);
        if writer.send([&peers]).await.is_ok() {
            writer.close().await;
        }
    });
}

/// Carries requests to another ultrapeer, over the directory stream that was opened there.
pub fn attend(
    node: PeerId,
    stream: Stream,
    mut requests: mpsc::Receiver<Request>,
    said: mpsc::Sender<Said>,
) {
    tokio::spawn(async move {
        let ended = async {
            let (read, write) = stream.split();
            let mut reader = FrameReader::new(read);
            let mut writer = FrameWriter::new(write, PATIENCE);
            writer.send([&Request::Hello { version: VERSION }]).await?;
            let read = async {
                // It answers nothing that matters here, but it has to keep to the protocol.
                while reader.next::<Reply>().await?.is_some() {}
                Ok(())
            };
            let write = async {
                while let Some(request) = requests.recv().await {
                    writer.send([&request]).await?;
                }
                Ok(())
            };
            tokio::select! {
                ended = read => ended,
                ended = write => ended,
            }
        };
        let ended: io::Result<()> = ended.await;
        tracing::debug!("the stream to ultrapeer {node} ended: {ended:?}");
        let _ = said.send(Said::Parted(node)).await;
    });
}

/// Asks another ultrapeer whom it knows, over a stream that was opened there.
pub fn ask(node: PeerId, stream: Stream, said: mpsc::Sender<Said>) {
    tokio::spawn(async move {
        match timeout(PATIENCE, FrameReader::new(stream).next()).await {
            Ok(Ok(Some(peers))) => {
                let _ = said.send(Said::Heard(peers)).await;
            }
            other => tracing::debug!("{node} does not say whom it knows: {other:?}"),
        }
    });
}

/// How long somebody may let a stream wait.
const PATIENCE: Duration = Duration::from_secs(10);
