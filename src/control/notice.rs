//! A socket that only tells: the same kind of line to whoever connects, once a second.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::server::{ACCEPT_PAUSE, MAX_CLIENTS, Server, is_ours};

impl Server {
    /// Tells everybody who connects, at most [`MAX_CLIENTS`] at a time, what `line` yields, at once
    /// and then each second until he is gone. Ends when it is dropped.
    pub async fn tell(self, line: impl Fn() -> String + Clone + Send + 'static) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if is_ours(&stream) && clients.len() < MAX_CLIENTS => {
                        clients.spawn(write(stream, line.clone()));
                    }
                    Ok(_) => tracing::warn!("the status socket: somebody was refused"),
                    Err(error) => {
                        tracing::warn!("the status socket: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = clients.join_next() => {}
            }
        }
    }
}

async fn write(mut stream: UnixStream, line: impl Fn() -> String) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let line = line() + "\n";
        let sent = tokio::time::timeout(PATIENCE, stream.write_all(line.as_bytes())).await;
        // Whoever has heard enough closes his end.
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

const EVERY: Duration = Duration::from_secs(1);

/// A reader that takes nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(5);
