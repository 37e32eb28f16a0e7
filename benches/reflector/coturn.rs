//! coturn, asked for one allocation a pair; the other end talks to the relayed address, as with a
//! phone that has an open port. This is the least that TURN can do for two.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::load::{Talker, cpu, socket};

pub struct Coturn {
    child: Child,
    server: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Coturn {
    /// `None` if there is none.
    pub fn start() -> Option<Coturn> {
        let port = socket().local_addr().ok()?.port();
        let dir = tempfile::tempdir().ok()?;
        let arguments = [
            "-n",
            "--no-auth",
            "--no-tls",
            "--no-dtls",
            "--no-tcp",
            "--no-cli",
            "--allow-loopback-peers",
            "--listening-ip=127.0.0.1",
            "--relay-ip=127.0.0.1",
            "--relay-threads=1",
            "--log-file=stdout",
            "--simple-log",
            "--no-rfc5780",
            "--realm=bench",
        ];
        let child = Command::new("turnserver")
            .args(arguments)
            .arg(format!("--listening-port={port}"))
            .arg(format!("--userdb={}", dir.path().join("db").display()))
            .arg(format!("--pidfile={}", dir.path().join("pid").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let coturn = Coturn {
            child,
            server,
            _dir: dir,
        };
        let began = Instant::now();
        let probe = socket();
        probe
            .set_read_timeout(Some(Duration::from_millis(200)))
            .ok()?;
        while began.elapsed() < Duration::from_secs(10) {
            if request(&probe, server, 0x0001, &[]).is_some() {
                return Some(coturn);
            }
        }
        None
    }

    pub fn pairs(&self, pairs: usize, payload: usize) -> Vec<Talker> {
        (0..pairs).flat_map(|_| self.pair(payload)).collect()
    }

    pub fn cpu(&self) -> Duration {
        cpu(&self.child.id().to_string(), "")
    }

    fn pair(&self, payload: usize) -> [Talker; 2] {
        let (near, far) = (socket(), socket());
        let allocated = request(&near, self.server, 0x0003, &[0, 0x19, 0, 4, 17, 0, 0, 0]);
        let relayed = address(&allocated.expect("an allocation"), 0x0016).expect("its address");
        let SocketAddr::V4(peer) = far.local_addr().expect("an address") else {
            panic!("IPv4 was asked for");
        };
        let mut bind = vec![0, 0x0C, 0, 4, 0x40, 0, 0, 0, 0, 0x12, 0, 8, 0, 1];
        bind.extend((peer.port() ^ 0x2112).to_be_bytes());
        bind.extend((u32::from(*peer.ip()) ^ COOKIE).to_be_bytes());
        request(&near, self.server, 0x0009, &bind).expect("a channel");
        let channel = [
            &[0x40, 0][..],
            &(payload as u16).to_be_bytes(),
            &vec![0x10; payload],
        ];
        let talker = |socket, to, datagram| Talker {
            socket,
            to,
            datagram,
        };
        [
            talker(near, self.server, channel.concat()),
            talker(far, relayed, vec![0x10; payload]),
        ]
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const COOKIE: u32 = 0x2112_A442;

/// Asks, and returns the attributes of a success response.
fn request(socket: &UdpSocket, to: SocketAddr, kind: u16, body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    out.extend(kind.to_be_bytes());
    out.extend((body.len() as u16).to_be_bytes());
    out.extend(COOKIE.to_be_bytes());
    out.extend([7; 12]);
    out.extend(body);
    socket.send_to(&out, to).ok()?;
    let mut buffer = [0; 2048];
    let (length, _) = socket.recv_from(&mut buffer).ok()?;
    let success = u16::from_be_bytes([buffer[0], buffer[1]]) == kind | 0x0100;
    success.then(|| buffer[20..length].to_vec())
}

/// The address of IPv4 in an attribute.
fn address(mut attributes: &[u8], kind: u16) -> Option<SocketAddr> {
    loop {
        let (head, rest) = attributes.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(..length)?;
        if u16::from_be_bytes([head[0], head[1]]) == kind {
            let port = u16::from_be_bytes([value[2], value[3]]) ^ 0x2112;
            let ip = u32::from_be_bytes(value[4..8].try_into().ok()?) ^ COOKIE;
            return Some(SocketAddrV4::new(ip.into(), port).into());
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
}
