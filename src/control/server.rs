//! The engine's end of the control socket.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::Link;
use super::lines::{Line, Lines};
use crate::api::{Message, Refusal, Reply, Request, RequestId, Trouble};

/// A listening control socket. Dropping it takes the file away.
#[derive(Debug)]
pub struct Server {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Makes the socket, mode 0600, before anybody can connect to it.
    ///
    /// The caller holds the lock of the home that `path` belongs to; a socket that a dead process
    /// left there is replaced. Needs a running tokio runtime.
    ///
    /// # Errors
    /// When something answers at the socket, when something else stands at its path, or when the
    /// system refuses.
    pub fn bind(path: &Path) -> Result<Server, ServerError> {
        clear(path)?;
        let listener = listen(path).map_err(|source| ServerError::Bind {
            path: path.to_owned(),
            source,
        })?;
        Ok(Server {
            listener,
            path: path.to_owned(),
        })
    }

    /// Serves clients, at most [`MAX_CLIENTS`] at a time, each with its own link to the engine,
    /// until `stop` is done; then waits a moment for what is still on the way to them.
    pub async fn run(self, mut connect: impl FnMut() -> Link, stop: impl Future<Output = ()>) {
        let mut clients = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => admit(stream, &mut clients, &mut connect),
                    Err(error) => {
                        tracing::warn!("control socket: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = clients.join_next() => {}
            }
        }
        drop(connect);
        let rest = async { while clients.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WORDS, rest).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The control socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Another process listens there.
    #[error("another twocan answers at {}; use that one, or end it first", .0.display())]
    InUse(PathBuf),
    #[error("{} is in the way of the control socket and is no socket; move it away", .0.display())]
    InTheWay(PathBuf),
    /// Also when the path has more bytes than such a socket's may have (about 107).
    #[error("cannot make the control socket {}: {source}", path.display())]
    Bind { path: PathBuf, source: io::Error },
}

/// Clients served at a time; more are told so and let go.
pub const MAX_CLIENTS: usize = 16;

/// Longest line that a client may send, in bytes.
pub const MAX_REQUEST_LINE: usize = 64 * 1024;

/// How long to leave alone a socket that cannot be accepted from (too many open files).
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How long clients may take for the last messages when the phone ends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Messages written at once.
const BATCH: usize = 64;

fn clear(path: &Path) -> Result<(), ServerError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(ServerError::InTheWay(path.to_owned()));
    }
    if StdStream::connect(path).is_ok() {
        return Err(ServerError::InUse(path.to_owned()));
    }
    fs::remove_file(path).map_err(|source| ServerError::Bind {
        path: path.to_owned(),
        source,
    })
}

/// Between bind and listen nobody can connect: that is the time to close the door to others.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.listen(MAX_CLIENTS as i32)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

fn admit(stream: UnixStream, clients: &mut JoinSet<()>, connect: &mut impl FnMut() -> Link) {
    if !is_ours(&stream) {
        tracing::warn!("control socket: refused a process of another user");
        return;
    }
    if clients.len() < MAX_CLIENTS {
        let link = connect();
        clients.spawn(async move {
            if let Err(error) = serve(stream, link).await {
                tracing::debug!("control client gone: {error}");
            }
        });
        return;
    }
    let why = format!("{MAX_CLIENTS} programs already use this phone: close one of them");
    let line = encode(&refusal(0, Trouble::NotNow, why));
    // A fresh socket has room for one line; a client that is gone needs none.
    let _ = stream.try_write(line.as_bytes());
}

pub(super) fn is_ours(stream: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == ours)
}

/// Carries words both ways until the engine ends, the client is gone, or it has said all it wants
/// and got every answer.
async fn serve(stream: UnixStream, link: Link) -> io::Result<()> {
    let (requests, mut messages) = link;
    let (reader, mut writer): (OwnedReadHalf, OwnedWriteHalf) = stream.into_split();
    let mut lines = Lines::new(reader, MAX_REQUEST_LINE);
    let mut batch = Vec::with_capacity(BATCH);
    let mut open = true;
    let mut unanswered = 0_usize;
    while open || unanswered > 0 {
        tokio::select! {
            line = lines.next(), if open => match line? {
                None => open = false,
                Some(line) => match request(line) {
                    Ok(request) => {
                        unanswered += 1;
                        if requests.send(request).await.is_err() {
                            return Ok(());
                        }
                    }
                    Err((id, why)) => {
                        let refusal = refusal(id, Trouble::Usage, why);
                        writer.write_all(encode(&refusal).as_bytes()).await?;
                    }
                },
            },
            count = messages.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return Ok(());
                }
                let replies = batch.iter().filter(|message| matches!(message, Message::Reply(_)));
                unanswered = unanswered.saturating_sub(replies.count());
                let text: String = batch.drain(..).map(|message| encode(&message)).collect();
                writer.write_all(text.as_bytes()).await?;
            }
        }
    }
    Ok(())
}

/// Reads one line; what cannot be read comes back as its number and the reason.
fn request(line: Line) -> Result<Request, (RequestId, String)> {
    match line {
        Line::Text(text) => serde_json::from_str(&text).map_err(|error| {
            let why = format!("not a request: {error}; see twocan(1), control socket");
            (number(&text), why)
        }),
        Line::TooLong => Err((0, format!("line longer than {MAX_REQUEST_LINE} bytes"))),
        Line::NotUtf8 => Err((0, "line is not UTF-8".to_owned())),
    }
}

/// The number of a request that cannot be understood otherwise; 0 if it has none either.
fn number(text: &str) -> RequestId {
    #[derive(Deserialize)]
    struct Numbered {
        id: RequestId,
    }
    serde_json::from_str(text).map_or(0, |Numbered { id }| id)
}

fn refusal(id: RequestId, trouble: Trouble, why: String) -> Message {
    let result = Err(Refusal { trouble, why });
    Message::Reply(Reply { reply: id, result })
}

fn encode(message: &Message) -> String {
    let mut line = serde_json::to_string(message)
        .expect("the words of the api are strings, numbers and lists, which are always JSON");
    line.push('\n');
    line
}
