//! A port of the gateway that leads to the phone's own, asked for by PCP, NAT-PMP or UPnP IGD.
//!
//! All of it happens on a thread of its own, which nobody waits for: most gateways do not answer,
//! and some take seconds.

mod gateway;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

pub use gateway::{Forward, Protocol};

/// Keeps a port forwarded as long as it lives.
#[derive(Debug)]
pub struct Mapper {
    wish: watch::Sender<Wish>,
    news: mpsc::Receiver<Option<SocketAddr>>,
    has_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// To this address of ours, if there is one that a gateway stands before.
    Forward(Option<Ipv4Addr>),
    End,
}

impl Mapper {
    /// Has `port` forwarded to `inside`, an address of ours that means nothing to the Internet.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(port: NonZeroU16, inside: Option<Ipv4Addr>) -> io::Result<Mapper> {
        let (wish, wishes) = watch::channel(Wish::Forward(inside));
        let (tell, news) = mpsc::channel(NEWS);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("mapping".to_owned())
            .spawn(move || runtime.block_on(run(port, wishes, tell)))?;
        Ok(Mapper {
            wish,
            news,
            has_ended: false,
        })
    }

    /// The computer has another address.
    pub fn moved(&self, inside: Option<Ipv4Addr>) {
        let wish = Wish::Forward(inside);
        self.wish.send_if_modified(|old| {
            let differs = *old != wish && *old != Wish::End;
            if differs {
                *old = wish;
            }
            differs
        });
    }

    /// Takes the port back; [`Mapper::has_ended`] tells when that is done.
    pub fn end(&self) {
        self.wish.send_replace(Wish::End);
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Where the phone's port is reached from outside from now on; `None`: nowhere. Cancel safe;
    /// pending for ever after the end.
    pub async fn news(&mut self) -> Option<SocketAddr> {
        if self.has_ended {
            return std::future::pending().await;
        }
        let news = self.news.recv().await;
        self.has_ended = news.is_none();
        news.flatten()
    }
}

async fn run(
    port: NonZeroU16,
    mut wishes: watch::Receiver<Wish>,
    tell: mpsc::Sender<Option<SocketAddr>>,
) {
    let mut told = None;
    let mut held: Option<Forward> = None;
    loop {
        let wish = *wishes.borrow_and_update();
        let (Wish::Forward(inside), false) = (wish, tell.is_closed()) else {
            break;
        };
        held = renewed(held, inside, port).await;
        let outside = held.as_ref().map(Forward::outside);
        if outside != told {
            told = outside;
            let _ = tell.send(outside).await;
        }
        let pause = held.as_ref().map_or(NEXT_TRY, Forward::renewal);
        tokio::select! {
            changed = wishes.changed() => if changed.is_err() {
                break;
            },
            () = sleep(pause) => {}
        }
    }
    if let Some(forward) = held {
        forward.remove().await;
    }
}

/// What stands after a forward to `inside` was renewed, or made anew where there is none.
async fn renewed(
    held: Option<Forward>,
    inside: Option<Ipv4Addr>,
    port: NonZeroU16,
) -> Option<Forward> {
    let inside = inside?;
    if let Some(held) = held.filter(|held| held.inside() == inside)
        && let Some(renewed) = held.renew().await
    {
        return Some(renewed);
    }
    match Forward::make(inside, port).await {
        Ok(forward) => {
            tracing::info!("the gateway forwards a port, by {}", forward.protocol());
            Some(forward)
        }
        Err(why) => {
            tracing::debug!("no port is forwarded: {why}");
            None
        }
    }
}

/// Whoever does not forward ports now may do so after somebody has changed his settings.
const NEXT_TRY: Duration = Duration::from_secs(1800);

const NEWS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn with_nothing_to_forward_nothing_is_said_and_the_end_is_quick() {
        let port = NonZeroU16::new(4000).expect("not 0");
        let mut mapper = Mapper::start(port, None).expect("a thread");
        let quiet = tokio::time::timeout(Duration::from_millis(50), mapper.news()).await;
        assert!(quiet.is_err(), "{quiet:?}");
        mapper.end();
        mapper.moved(Some(Ipv4Addr::LOCALHOST));
        let end = tokio::time::timeout(Duration::from_secs(5), mapper.news()).await;
        assert_eq!(end, Ok(None));
        assert!(mapper.has_ended());
    }
}
