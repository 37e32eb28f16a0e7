//! Where the sound server is, and the socket to it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

#[cfg(unix)]
use std::os::unix::net::UnixStream;

use crate::audio::pulse::{PATIENCE, PulseError};

/// A connection to a server.
#[derive(Debug)]
pub(super) enum Socket {
    #[cfg(unix)]
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Connects to the server that `PULSE_SERVER` names, else to the usual places. Also says which one
/// it was.
pub(super) fn connect() -> Result<(Socket, String), PulseError> {
    let named = std::env::var("PULSE_SERVER").unwrap_or_default();
    let mut failure = PulseError::NoServer;
    for address in named.split_whitespace() {
        match open(address) {
            Ok(socket) => return Ok((socket, address.to_owned())),
            Err(why) => {
                failure = PulseError::Server {
                    server: address.to_owned(),
                    why: why.to_string(),
                }
            }
        }
    }
    if !named.trim().is_empty() {
        return Err(failure);
    }
    for path in usual_places() {
        let address = path.display().to_string();
        if let Ok(socket) = open(&address) {
            return Ok((socket, address));
        }
    }
    Err(PulseError::NoServer)
}

/// What proves to the server that the user may use it. A server that knows the user by the socket
/// accepts any, but insists on the length.
pub(super) fn cookie() -> Vec<u8> {
    let home = std::env::home_dir();
    let named = std::env::var_os("PULSE_COOKIE").map(PathBuf::from);
    let below = |path| home.as_ref().map(|home| home.join(path));
    [named, below(".config/pulse/cookie"), below(".pulse-cookie")]
        .into_iter()
        .flatten()
        .find_map(|path| std::fs::read(path).ok())
        .unwrap_or_else(|| vec![0; COOKIE])
}

impl Socket {
    pub(super) fn duplicate(&self) -> io::Result<Socket> {
        Ok(match self {
            #[cfg(unix)]
            Socket::Unix(socket) => Socket::Unix(socket.try_clone()?),
            Socket::Tcp(socket) => Socket::Tcp(socket.try_clone()?),
        })
    }

    /// Makes every wait for it end.
    pub(super) fn shut_down(&self) {
        // A socket whose other end is gone already is down already.
        let _ = match self {
            #[cfg(unix)]
            Socket::Unix(socket) => socket.shutdown(Shutdown::Both),
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Socket::Unix(socket) => socket.read(buffer),
            Socket::Tcp(socket) => socket.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Socket::Unix(socket) => socket.write(bytes),
            Socket::Tcp(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `{machine}unix:/path`, `/path`, `tcp:host:port`, `host`.
fn open(address: &str) -> io::Result<Socket> {
    let address = match address.strip_prefix('{') {
        Some(rest) => rest.split_once('}').map_or(rest, |(_, address)| address),
        None => address,
    };
    let path = address.strip_prefix("unix:").unwrap_or(address);
    if path.starts_with('/') {
        return open_path(path);
    }
    let host = ["tcp:", "tcp4:", "tcp6:"]
        .iter()
        .find_map(|prefix| address.strip_prefix(prefix))
        .unwrap_or(address);
    let found = match host.to_socket_addrs() {
        Ok(mut found) => found.next(),
        Err(_) => (host, PORT).to_socket_addrs()?.next(),
    };
    let Some(found) = found else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no such computer"));
    };
    let socket = TcpStream::connect_timeout(&found, CONNECT)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(Socket::Tcp(socket))
}

#[cfg(unix)]
fn open_path(path: &str) -> io::Result<Socket> {
    let socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(Socket::Unix(socket))
}

#[cfg(not(unix))]
fn open_path(_: &str) -> io::Result<Socket> {
    Err(io::ErrorKind::Unsupported.into())
}

fn usual_places() -> impl Iterator<Item = PathBuf> {
    let runtime =
        std::env::var_os("PULSE_RUNTIME_PATH").map(|dir| PathBuf::from(dir).join("native"));
    let session =
        std::env::var_os("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("pulse/native"));
    runtime.into_iter().chain(session)
}

/// Length that PulseAudio gives its cookies.
const COOKIE: usize = 256;

const PORT: u16 = 4713;

const CONNECT: Duration = Duration::from_secs(2);
