//! The phone's end: asks for a room, works for it if need be, and makes sense of the answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use libp2p::PeerId;
use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::{Answer, Ask, MAX_MIRRORS, Pass, Refusal, VERSION, Work};
use crate::net::proxy::{FrameReader, FrameWriter};
use crate::net::{is_global, is_nowhere};
use crate::phone::types::Room;

/// Who asks whom.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The phone's own PeerId.
    pub me: PeerId,
    pub relay: PeerId,
    /// Where the ultrapeer was reached, if that is an address: stands for every one in its answer
    /// that it does not know itself.
    pub ip: Option<IpAddr>,
    /// The passes that this phone holds, of whatever ultrapeers.
    pub passes: Vec<Pass>,
}

/// What was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub room: Room,
    /// How long it lasts at most.
    pub lasts: Duration,
    /// UDP ports that answer STUN: at least two if the reflector has as many.
    pub mirrors: Vec<SocketAddr>,
}

/// Why there is no room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    #[error("the stream to the reflector broke: {0}")]
    Stream(#[from] io::Error),
    #[error("the reflector has no room: {0:?}")]
    Refused(Refusal),
    #[error("the reflector asks for more work than is decent")]
    Work,
    #[error("the reflector's answer makes no sense")]
    Senseless,
}

/// Asks for a room of two legs over a fresh stream of [`crate::net::swarm::REFLECT`]. Takes as long
/// as the network does; with work a second more; never longer than 15 s. Needs a running tokio
/// runtime.
///
/// # Errors
/// When there is no room, or no sense in what comes back.
pub async fn ask<S>(stream: S, asker: &Asker) -> Result<Given, AskError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let asked = tokio::time::timeout(PATIENCE, talk(stream, asker)).await;
    asked.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

async fn talk<S>(stream: S, asker: &Asker) -> Result<Given, AskError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (read, write) = stream.split();
    let mut reader = FrameReader::new(read);
    let mut writer = FrameWriter::new(write, PATIENCE);
    let pass = asker.passes.iter().find(|pass| pass.is_for(&asker.relay));
    let mut ask = Ask {
        version: VERSION,
        legs: 2,
        pass: pass.map_or([0; 16], |pass| pass.shown(&asker.me, &asker.relay)),
        worked: 0,
    };
    writer.send([&ask]).await?;
    let mut answer = next(&mut reader).await?;
    if let Answer::Work(work) = answer {
        ask.worked = solve(work).await?;
        writer.send([&ask]).await?;
        answer = next(&mut reader).await?;
    }
    writer.close().await;
    asker.given(answer)
}

async fn next<S>(reader: &mut FrameReader<S>) -> Result<Answer, AskError>
where
    S: AsyncRead + Unpin,
{
    let end = || io::Error::from(io::ErrorKind::UnexpectedEof);
    Ok(reader.next().await?.ok_or_else(end)?)
}

async fn solve(work: Work) -> Result<u64, AskError> {
    let solved = tokio::task::spawn_blocking(move || work.solve()).await;
    solved.ok().flatten().ok_or(AskError::Work)
}

impl Asker {
    fn given(&self, answer: Answer) -> Result<Given, AskError> {
        let (room, lasts, tokens, servers, mirrors) = match answer {
            Answer::Given {
                room,
                lasts,
                tokens,
                servers,
                mirrors,
            } => (room, lasts, tokens, servers, mirrors),
            Answer::Refused(why) => return Err(AskError::Refused(why)),
            Answer::Work(_) => return Err(AskError::Work),
        };
        let room = Room {
            servers: self.reached(servers).take(super::MAX_SERVERS).collect(),
            room,
            tokens: tokens.try_into().map_err(|_| AskError::Senseless)?,
        };
        if room.servers.is_empty() {
            return Err(AskError::Senseless);
        }
        Ok(Given {
            room,
            lasts: Duration::from_secs(lasts.into()),
            mirrors: self.reached(mirrors).take(MAX_MIRRORS).collect(),
        })
    }

    /// Those of the addresses that a phone may send to on a stranger's word.
    fn reached(&self, addresses: Vec<SocketAddr>) -> impl Iterator<Item = SocketAddr> {
        let named = move |address: SocketAddr| {
            let ip = match address.ip().to_canonical() {
                ip if ip.is_unspecified() => self.ip?,
                ip => ip,
            };
            let near = self.ip.is_some_and(|own| own == ip || is_near(ip, own));
            let good = is_global(ip) || near;
            (good && address.port() != 0).then_some(SocketAddr::new(ip, address.port()))
        };
        let mut named: Vec<SocketAddr> = addresses.into_iter().filter_map(named).collect();
        // Stable: what the reflector prefers stays first among those at which it surely is.
        named.sort_by_key(|address| self.ip != Some(address.ip()));
        let mut seen = Vec::new();
        named.retain(|address| {
            let fresh = !seen.contains(address);
            seen.push(*address);
            fresh
        });
        named.into_iter()
    }
}

/// Whether an ultrapeer at `own` may speak of `ip` although it means nothing to the Internet.
fn is_near(ip: IpAddr, own: IpAddr) -> bool {
    !is_nowhere(ip) && !is_global(own) && ip.is_loopback() == own.is_loopback()
}

/// How long all of it may take.
pub const PATIENCE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(ip: &str) -> Asker {
        Asker {
            me: PeerId::random(),
            relay: PeerId::random(),
            ip: ip.parse().ok(),
            passes: Vec::new(),
        }
    }

    fn answer(servers: &[&str], legs: usize) -> Answer {
        let addresses = |text: &[&str]| text.iter().map(|t| t.parse().expect(t)).collect();
        Answer::Given {
            room: 5,
            lasts: 60,
            tokens: vec![[1; 16]; legs],
            servers: addresses(servers),
            mirrors: addresses(servers),
        }
    }

    #[test]
    fn an_unknown_address_is_that_at_which_the_ultrapeer_was_reached() {
        let given = asker("9.9.9.9").given(answer(&["0.0.0.0:7", "[::]:8", "9.9.9.9:7"], 2));
        let given = given.expect("a room");
        let servers = ["9.9.9.9:7", "9.9.9.9:8"].map(|text| text.parse().expect(text));
        assert_eq!(given.room.servers[..], servers);
        assert_eq!(given.mirrors[..], servers);
    }

    #[test]
    fn nobody_is_sent_into_houses_by_strangers() {
        let inside = [
            "10.0.0.1:7",
            "127.0.0.1:7",
            "224.0.0.1:7",
            "[::1]:7",
            "1.1.1.1:0",
        ];
        let refused = asker("9.9.9.9").given(answer(&inside, 2));
        assert!(matches!(refused, Err(AskError::Senseless)), "{refused:?}");
        let at_home = asker("10.0.0.9").given(answer(&inside, 2)).expect("a room");
        assert!(
            at_home
                .room
                .servers
                .contains(&"10.0.0.1:7".parse().expect("one"))
        );
        assert!(
            !at_home
                .room
                .servers
                .contains(&"224.0.0.1:7".parse().expect("one"))
        );
    }

    #[test]
    fn only_rooms_of_two_make_sense() {
        let odd = asker("9.9.9.9").given(answer(&["0.0.0.0:7"], 3));
        assert!(matches!(odd, Err(AskError::Senseless)));
        let again = asker("9.9.9.9").given(Answer::Work(Work {
            challenge: [0; 16],
            bits: 1,
        }));
        assert!(matches!(again, Err(AskError::Work)));
    }
}
