//! Addresses of sound servers in every form that `PULSE_SERVER` has, and sockets to them.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

#[cfg(unix)]
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Path(PathBuf),
    Tcp {
        host: String,
        port: u16,
        family: Family,
    },
}

/// Which addresses of a name will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Any,
    Four,
    Six,
}

impl Address {
    /// `unix:/path`, `/path`, `tcp:host:port`, `tcp4:host`, `tcp6:[::1]:4713`, `host`, `host:port`.
    /// The port is 4713 without one.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Address, String> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Address::Path(path.into()));
        }
        let (family, rest) = [
            ("tcp4:", Family::Four),
            ("tcp6:", Family::Six),
            ("tcp:", Family::Any),
        ]
        .into_iter()
        .find_map(|(prefix, family)| Some((family, text.strip_prefix(prefix)?)))
        .unwrap_or((Family::Any, text));
        let wrong = || format!("`{text}` is no address: write unix:/PATH or tcp:HOST:PORT");
        if rest.is_empty() || text.starts_with("unix:") {
            return Err(wrong());
        }
        let (host, port) = split(rest).ok_or_else(wrong)?;
        Ok(Address::Tcp {
            host: host.to_owned(),
            port,
            family,
        })
    }

    /// It cannot be anything but another computer: not a socket file, and not the loopback.
    pub(super) fn is_elsewhere(&self) -> bool {
        match self {
            Address::Path(_) => false,
            Address::Tcp { host, .. } => {
                let is_loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
                !is_loopback && host != "localhost"
            }
        }
    }

    /// Connects within `limit`.
    ///
    /// # Errors
    /// Whatever the system says about it.
    pub(super) fn connect(&self, limit: Duration) -> io::Result<Socket> {
        match self {
            Address::Path(path) => connect_path(path, limit),
            Address::Tcp { host, port, family } => {
                let found = resolve(host, *port, *family, limit)?;
                let socket = TcpStream::connect_timeout(&found, limit)?;
                socket.set_nodelay(true)?;
                Ok(Socket::Tcp(socket))
            }
        }
    }
}

/// A connection to a server.
#[derive(Debug)]
pub(super) enum Socket {
    #[cfg(unix)]
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Socket {
    /// How long reading may wait.
    pub(super) fn patience(&self, limit: Duration) -> io::Result<()> {
        // Nothing at all would mean for ever.
        let limit = Some(limit.max(Duration::from_millis(1)));
        match self {
            #[cfg(unix)]
            Socket::Unix(socket) => socket.set_read_timeout(limit),
            Socket::Tcp(socket) => socket.set_read_timeout(limit),
        }
    }

    /// How long writing may wait.
    pub(super) fn patience_to_write(&self, limit: Duration) -> io::Result<()> {
        match self {
            #[cfg(unix)]
            Socket::Unix(socket) => socket.set_write_timeout(Some(limit)),
            Socket::Tcp(socket) => socket.set_write_timeout(Some(limit)),
        }
    }

    /// From now on neither reading nor writing waits.
    pub(super) fn do_not_wait(&self) -> io::Result<()> {
        match self {
            #[cfg(unix)]
            Socket::Unix(socket) => socket.set_nonblocking(true),
            Socket::Tcp(socket) => socket.set_nonblocking(true),
        }
    }

    /// Waits until there is something to read, or room to write if that is wanted, or for `limit`.
    pub(super) fn wait(&self, writes: bool, limit: Duration) {
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, writes);
        let mut watched = [match self {
            #[cfg(unix)]
            Socket::Unix(socket) => PollFd::new(socket, flags),
            Socket::Tcp(socket) => PollFd::new(socket, flags),
        }];
        let limit = Timespec::try_from(limit).ok();
        // A signal ends it too, and an error comes again from the next read.
        let _ = poll(&mut watched, limit.as_ref());
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

/// `host`, `host:port`, `[::1]`, `[::1]:port`, `::1`.
fn split(text: &str) -> Option<(&str, u16)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, port.parse().ok()?)),
            None => after.is_empty().then_some((host, PORT)),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Some((text, PORT)),
        Some(("", _)) => None,
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((text, PORT)),
    }
}

/// Asking for a name may take longer than anybody wants to wait, so it is done aside.
fn resolve(host: &str, port: u16, family: Family, limit: Duration) -> io::Result<SocketAddr> {
    let (send, found) = sync_channel(1);
    let asked = (host.to_owned(), port);
    thread::Builder::new()
        .name("look up".to_owned())
        .spawn(move || {
            let found = asked.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
            // Nobody waits any more if it took too long.
            let _ = send.send(found);
        })?;
    let found = found
        .recv_timeout(limit)
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the name is not found in time"))??;
    let fits = |address: &SocketAddr| match family {
        Family::Any => true,
        Family::Four => address.is_ipv4(),
        Family::Six => address.is_ipv6(),
    };
    let none = || io::Error::new(io::ErrorKind::NotFound, "no such computer");
    found.into_iter().find(fits).ok_or_else(none)
}

/// The system counts the time-out for writing for connecting too, which would wait for ever when
/// the server has stopped taking connections.
#[cfg(unix)]
fn connect_path(path: &std::path::Path, limit: Duration) -> io::Result<Socket> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.set_write_timeout(Some(limit))?;
    socket
        .connect(&socket2::SockAddr::unix(path)?)
        .map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                io::Error::new(io::ErrorKind::TimedOut, "takes no connections")
            }
            _ => error,
        })?;
    Ok(Socket::Unix(std::os::fd::OwnedFd::from(socket).into()))
}

#[cfg(not(unix))]
fn connect_path(_: &std::path::Path, _: Duration) -> io::Result<Socket> {
    Err(io::ErrorKind::Unsupported.into())
}

const PORT: u16 = 4713;

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, family: Family) -> Address {
        let host = host.to_owned();
        Address::Tcp { host, port, family }
    }

    #[test]
    fn every_form_is_read() {
        let path = |path: &str| Address::Path(path.into());
        let good = [
            ("unix:/run/x/native", path("/run/x/native")),
            ("/mnt/wslg/PulseServer", path("/mnt/wslg/PulseServer")),
            ("tcp:example.org:99", tcp("example.org", 99, Family::Any)),
            ("tcp:192.0.2.1", tcp("192.0.2.1", 4713, Family::Any)),
            ("tcp4:a:1", tcp("a", 1, Family::Four)),
            ("tcp6:[2001:db8::1]:1", tcp("2001:db8::1", 1, Family::Six)),
            ("tcp6:[::1]", tcp("::1", 4713, Family::Six)),
            ("::1", tcp("::1", 4713, Family::Any)),
            ("anna-laptop", tcp("anna-laptop", 4713, Family::Any)),
            ("anna-laptop:4000", tcp("anna-laptop", 4000, Family::Any)),
        ];
        for (text, address) in good {
            assert_eq!(Address::parse(text), Ok(address), "{text}");
        }
        for text in [
            "",
            "tcp:",
            "unix:",
            "unix:here",
            "tcp:a:b",
            "[::1",
            "[::1]x",
            ":1",
        ] {
            let error = Address::parse(text).expect_err(text);
            assert!(error.contains("is no address"), "{error}");
        }
    }

    #[test]
    fn only_what_cannot_be_here_is_elsewhere() {
        for (text, elsewhere) in [
            ("/run/x", false),
            ("tcp:127.0.0.1:1", false),
            ("tcp:localhost", false),
            ("tcp:192.0.2.1", true),
            ("anna-laptop", true),
        ] {
            let address = Address::parse(text).expect("an address");
            assert_eq!(address.is_elsewhere(), elsewhere, "{text}");
        }
    }
}
