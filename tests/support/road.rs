//! A road between two phones that can be cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use twocan::peer::Invite;

/// Carries datagrams between one phone and whoever calls it here, until it is cut.
pub struct Road {
    entrance: SocketAddr,
    cut: Arc<AtomicBool>,
    carrier: JoinHandle<()>,
}

impl Road {
    /// A road to the phone that listens on `end`.
    pub async fn to(end: SocketAddr) -> Road {
        let door = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        far.connect(end).await.expect("loopback");
        let entrance = door.local_addr().expect("bound");
        let cut = Arc::new(AtomicBool::new(false));
        let carrier = tokio::spawn(carry(door, far, cut.clone()));
        Road {
            entrance,
            cut,
            carrier,
        }
    }

    /// The same invite, but over this road.
    pub fn lead(&self, line: &str) -> String {
        let mut invite = Invite::parse_line(line).expect("an invite");
        invite.hints = vec![self.entrance];
        invite.to_line()
    }

    /// From now on nothing comes through, and nobody is told.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

async fn carry(door: UdpSocket, far: UdpSocket, cut: Arc<AtomicBool>) {
    let (mut there, mut back) = ([0; 2048], [0; 2048]);
    let mut caller = None;
    loop {
        // What cannot be delivered is lost, as on any road.
        tokio::select! {
            Ok((len, from)) = door.recv_from(&mut there) => {
                caller = Some(from);
                if !cut.load(Ordering::Relaxed) {
                    let _ = far.send(&there[..len]).await;
                }
            }
            Ok(len) = far.recv(&mut back) => {
                if let Some(caller) = caller && !cut.load(Ordering::Relaxed) {
                    let _ = door.send_to(&back[..len], caller).await;
                }
            }
        }
    }
}
