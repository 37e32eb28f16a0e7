//! A forwarder that knows beforehand who talks to whom, and does nothing else: the least that a
//! thread with recvmmsg and sendmmsg can do.

use std::array;
use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

use super::load::{Talker, cpu, socket};

const BATCH: usize = 64;

pub struct Bare {
    address: SocketAddr,
    sockets: Vec<UdpSocket>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bare {
    pub fn start(pairs: usize) -> Bare {
        let sockets: Vec<UdpSocket> = (0..2 * pairs).map(|_| socket()).collect();
        let ports = sockets.iter().map(|socket| match socket.local_addr() {
            Ok(SocketAddr::V4(address)) => address,
            other => panic!("{other:?}"),
        });
        let ports: Vec<SocketAddrV4> = ports.collect();
        let other = |n: usize| (ports[n].port(), SockaddrIn::from(ports[n ^ 1]));
        let peers: HashMap<u16, SockaddrIn> = (0..ports.len()).map(other).collect();
        let server = socket();
        let wait = Some(Duration::from_millis(200));
        server.set_read_timeout(wait).expect("set");
        socket2::SockRef::from(&server)
            .set_recv_buffer_size(4 << 20)
            .expect("set");
        let address = server.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("bare".to_owned());
        let thread = thread
            .spawn(move || run(&server, &peers, &told))
            .expect("a thread");
        Bare {
            address,
            sockets,
            stop,
            thread: Some(thread),
        }
    }

    pub fn pairs(&self, payload: usize) -> Vec<Talker> {
        let talker = |socket: &UdpSocket| Talker {
            socket: socket.try_clone().expect("cloned"),
            to: self.address,
            datagram: vec![0x10; payload],
        };
        self.sockets.iter().map(talker).collect()
    }

    pub fn cpu(&self) -> Duration {
        cpu("self", "bare")
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("until now");
        thread.join().expect("it ran well");
    }
}

fn run(server: &UdpSocket, peers: &HashMap<u16, SockaddrIn>, stop: &AtomicBool) {
    let mut buffers = Box::new([[0_u8; 1280]; BATCH]);
    let mut incoming = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut outgoing = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    while !stop.load(Ordering::Relaxed) {
        let mut got = [(0, None); BATCH];
        let mut count = 0;
        {
            let mut free = buffers.iter_mut();
            let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
                array::from_fn(|_| [IoSliceMut::new(free.next().expect("as many"))]);
            let flags = MsgFlags::MSG_WAITFORONE;
            let fd = server.as_raw_fd();
            let Ok(arrived) = recvmmsg(fd, &mut incoming, slices.iter_mut(), flags, None) else {
                continue;
            };
            for message in arrived {
                let from = message.address.expect("an address");
                got[count] = (message.bytes, peers.get(&from.port()).copied());
                count += 1;
            }
        }
        let slices: [[IoSlice<'_>; 1]; BATCH] =
            array::from_fn(|n| [IoSlice::new(&buffers[n][..got[n].0])]);
        let to: [Option<SockaddrIn>; BATCH] = array::from_fn(|n| got[n].1);
        let sent = sendmmsg(
            server.as_raw_fd(),
            &mut outgoing,
            slices[..count].iter(),
            &to[..count],
            [],
            MsgFlags::empty(),
        );
        sent.expect("the loopback takes all");
    }
}
