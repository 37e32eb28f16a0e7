//! The computer comes to another place, or wakes up: whoever has to know is told.

use std::net::SocketAddr;

use super::run::Run;
use crate::api::Event;
use crate::net::mapping::Mapper;
use crate::net::{NodeCommand, Place, Watch};
use crate::phone::types::{Input, Now};

/// Where the computer was when it was looked at last, and when it was awake.
#[derive(Debug)]
pub(super) struct Moving {
    watch: Watch,
    place: Place,
    /// How far the calendar is ahead of the monotonic clock, in seconds. The one goes on while the
    /// computer sleeps, the other does not.
    ahead: i64,
    mapper: Option<Mapper>,
}

/// What there is to see.
#[derive(Debug)]
pub(super) enum Seen {
    /// The addresses may have changed, or the computer has woken up.
    Change,
    /// Where the gateway forwards to the phone.
    Mapped(Option<SocketAddr>),
}

impl Moving {
    pub(super) fn new(watch: Watch, place: Place, mapper: Option<Mapper>, now: Now) -> Moving {
        Moving {
            watch,
            place,
            mapper,
            ahead: ahead(now),
        }
    }

    /// There may be something to see. Cancel safe.
    pub(super) async fn news(&mut self) -> Seen {
        let Some(mapper) = &mut self.mapper else {
            self.watch.changed().await;
            return Seen::Change;
        };
        tokio::select! {
            () = self.watch.changed() => Seen::Change,
            mapped = mapper.news() => Seen::Mapped(mapped),
        }
    }

    /// Gives back what the gateway forwards.
    pub(super) fn end(&self) {
        if let Some(mapper) = &self.mapper {
            mapper.end();
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.mapper.as_ref().is_none_or(Mapper::has_ended)
    }

    /// Whether the computer has slept since this was asked last, or somebody has set its calendar
    /// forward, which looks the same.
    fn has_slept(&mut self, now: Now) -> bool {
        let ahead = ahead(now);
        let jump = ahead - self.ahead;
        self.ahead = ahead;
        jump >= NAP
    }
}

impl Run {
    pub(super) fn see(&mut self, seen: Seen) {
        match seen {
            Seen::Change => self.look_around(),
            Seen::Mapped(outside) => self.tell_phone(Input::Mapped(outside)),
        }
    }

    fn look_around(&mut self) {
        let now = self.parts.clock.now();
        self.notice_sleep(now);
        self.look_for_addresses();
    }

    /// After a sleep no NAT knows us any more, and no relay.
    pub(super) fn notice_sleep(&mut self, now: Now) {
        if self.parts.moving.has_slept(now) {
            tracing::info!("the computer was asleep: all connections are made anew");
            self.ask_node(NodeCommand::NetworkChanged);
        }
    }

    /// Tells the phone its addresses if they have changed, and the node if none of its connections
    /// can live on.
    pub(super) fn look_for_addresses(&mut self) {
        let place = self.parts.net.place();
        if place == self.parts.moving.place {
            return;
        }
        let before = std::mem::replace(&mut self.parts.moving.place, place.clone());
        self.tell_of_port(&before, &place);
        if let Some(mapper) = &self.parts.moving.mapper {
            mapper.moved(place.inside());
        }
        if place.is_elsewhere(&before) {
            tracing::info!("this computer is in another network");
            self.ask_node(NodeCommand::NetworkChanged);
        }
        if place.addresses() != before.addresses() || place.is_elsewhere(&before) {
            self.tell_phone(Input::Addresses(place.addresses().to_vec()));
        }
    }

    /// A port that is bound to one address lives on without it, hears nothing, and works again when
    /// it is back.
    fn tell_of_port(&mut self, before: &Place, place: &Place) {
        let listen = self.parts.net.listen();
        match (before.has(listen.ip()), place.has(listen.ip())) {
            (true, false) => self.announce(Event::Error { why: gone(listen) }),
            (false, true) => tracing::info!("{} is an address of this computer again", listen.ip()),
            _ => {}
        }
    }
}

fn gone(listen: SocketAddr) -> String {
    format!(
        "{} is no address of this computer any more: nothing arrives until it is back; start with \
         --listen 0.0.0.0:{} to listen on whatever address there is",
        listen.ip(),
        listen.port()
    )
}

fn ahead(now: Now) -> i64 {
    let mono = i64::try_from(now.mono.as_secs()).unwrap_or(i64::MAX);
    i64::try_from(now.unix).unwrap_or(i64::MAX) - mono
}

/// A sleep of fewer seconds does no harm.
const NAP: i64 = 10;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::Net;

    fn at(mono: u64, unix: u64) -> Now {
        Now {
            mono: Duration::from_secs(mono),
            unix,
        }
    }

    #[tokio::test]
    async fn a_sleep_is_noticed_once_and_a_corrected_clock_is_none() {
        let net = Net::open("127.0.0.1:0".parse().expect("an address"), None).expect("port");
        let mut moving = Moving::new(Watch::start(), net.place(), None, at(5, 1_000_000));
        assert!(!moving.has_slept(at(65, 1_000_061)), "a rounded second");
        assert!(moving.has_slept(at(66, 1_003_662)));
        assert!(!moving.has_slept(at(67, 1_003_663)));
        assert!(!moving.has_slept(at(68, 900_000)), "it was set back");
        assert!(!moving.has_slept(at(69, 900_001)));
    }
}
