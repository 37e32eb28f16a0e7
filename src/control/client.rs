//! The other end of the control socket: what a screen or a command uses to steer a running phone.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::Link;
use super::lines::{Line, Lines};
use crate::api::{Command, Done, Event, Message, Refusal, Reply, Request, RequestId, Stamped};

/// Connects to the phone behind `path`. The link looks just like one to an engine in this process.
///
/// Needs a running tokio runtime, on which it carries words until one of the ends is closed.
///
/// # Errors
/// When no phone runs there, or the socket cannot be opened.
pub async fn connect(path: &Path) -> Result<Link, ConnectError> {
    let stream = UnixStream::connect(path)
        .await
        .map_err(|source| ConnectError::new(path, source))?;
    let ours = rustix::process::geteuid().as_raw();
    if !stream.peer_cred().is_ok_and(|peer| peer.uid() == ours) {
        return Err(ConnectError::Stranger(path.to_owned()));
    }
    let (requests, to_send) = mpsc::channel(REQUESTS);
    let (received, messages) = mpsc::channel(MESSAGES);
    tokio::spawn(async move {
        if let Err(error) = pump(stream, to_send, received).await {
            tracing::debug!("control socket: {error}");
        }
    });
    Ok((requests, messages))
}

/// No conversation with a running phone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is no socket, or nobody behind it.
    #[error("no twocan runs here (nothing answers at {}); start one with `twocan daemon`", .0.display())]
    NobodyThere(PathBuf),
    #[error("{} belongs to another user's process", .0.display())]
    Stranger(PathBuf),
    #[error("cannot open the control socket {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl ConnectError {
    fn new(path: &Path, source: io::Error) -> ConnectError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ConnectError::NobodyThere(path)
            }
            _ => ConnectError::Io { path, source },
        }
    }
}

/// Questions and answers in order, over any link: for commands, which do one thing after another.
#[derive(Debug)]
pub struct Client {
    requests: mpsc::Sender<Request>,
    messages: mpsc::Receiver<Message>,
    last: RequestId,
    /// Events that came while an answer was waited for.
    waiting: VecDeque<Stamped>,
}

impl Client {
    /// Speaks over `link`, which must be fresh: nobody else has asked anything over it.
    pub fn new(link: Link) -> Client {
        let (requests, messages) = link;
        Client {
            requests,
            messages,
            last: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Speaks to the phone behind `path`.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn connect(path: &Path) -> Result<Client, ConnectError> {
        connect(path).await.map(Client::new)
    }

    /// Asks and waits for the answer. Not cancel safe.
    ///
    /// # Errors
    /// When the phone refuses, or has ended.
    pub async fn request(&mut self, command: Command) -> Result<Done, ClientError> {
        self.last += 1;
        let id = self.last;
        let request = Request { id, command };
        if self.requests.send(request).await.is_err() {
            return Err(self.last_word());
        }
        loop {
            match self.messages.recv().await.ok_or(ClientError::Gone)? {
                // 0 answers what could not be read: here, that there are too many clients.
                Message::Reply(Reply { reply, result }) if reply == id || reply == 0 => {
                    return result.map_err(ClientError::Refused);
                }
                Message::Reply(_) => {}
                Message::Event(event) => self.keep(event),
            }
        }
    }

    /// The next event, `None` when the phone has ended. Cancel safe.
    pub async fn event(&mut self) -> Option<Stamped> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if let Message::Event(event) = self.messages.recv().await? {
                return Some(event);
            }
        }
    }

    /// Why a link that takes no requests was closed, if that was said.
    fn last_word(&mut self) -> ClientError {
        while let Ok(message) = self.messages.try_recv() {
            if let Message::Reply(Reply {
                reply: 0,
                result: Err(refusal),
            }) = message
            {
                return ClientError::Refused(refusal);
            }
        }
        ClientError::Gone
    }

    fn keep(&mut self, event: Stamped) {
        if self.waiting.len() == MESSAGES {
            self.waiting.clear();
            self.waiting.push_back(Stamped {
                event: Event::Resync,
                at: event.at,
            });
        }
        self.waiting.push_back(event);
    }
}

/// A request brought nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the phone has ended")]
    Gone,
}

/// Requests on their way to the phone.
const REQUESTS: usize = 32;

/// Messages that wait to be looked at.
const MESSAGES: usize = 256;

/// Longest line from the phone: a status with some ten thousand contacts, in bytes.
const MAX_MESSAGE_LINE: usize = 8 * 1024 * 1024;

async fn pump(
    stream: UnixStream,
    mut to_send: mpsc::Receiver<Request>,
    received: mpsc::Sender<Message>,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = Lines::new(reader, MAX_MESSAGE_LINE);
    let mut open = true;
    loop {
        tokio::select! {
            request = to_send.recv(), if open => {
                // Whoever reads no more may still have said why.
                open = match request {
                    Some(request) => writer.write_all(encode(&request).as_bytes()).await.is_ok(),
                    None => false,
                };
                if !open {
                    let _ = writer.shutdown().await;
                }
            }
            line = lines.next() => {
                let Some(line) = line? else { return Ok(()) };
                let Some(message) = message(line) else { continue };
                if received.send(message).await.is_err() {
                    return Ok(());
                }
            }
            () = received.closed() => return Ok(()),
        }
    }
}

/// A newer phone may say things that this program does not know; those are passed over.
fn message(line: Line) -> Option<Message> {
    let Line::Text(text) = line else {
        tracing::warn!("control socket: skipped a line that is too long or no text");
        return None;
    };
    serde_json::from_str(&text)
        .inspect_err(|error| tracing::warn!("control socket: skipped a line: {error}"))
        .ok()
}

fn encode(request: &Request) -> String {
    let mut line = serde_json::to_string(request)
        .expect("a request is strings and numbers, which are always JSON");
    line.push('\n');
    line
}
