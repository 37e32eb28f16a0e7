//! The ultrapeers that contacts run for us.
//!
//! They are dialled when a call needs a reflector, and not before: staying connected with all of them
//! would cost traffic all day. Where one is, and what it wants to see, stands in the contact's record.

use std::time::Duration;

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::address::named;
use super::run::Running;
use crate::directory::Offer;
use crate::net::reflect::Pass;

/// Those that are offered at present.
#[derive(Debug, Default)]
pub(super) struct Offers(Vec<Offered>);

#[derive(Debug)]
struct Offered {
    relay: PeerId,
    address: Multiaddr,
    pass: Pass,
    /// When it was dialled last.
    dialled: Option<Instant>,
}

impl Offers {
    /// Takes what can be used of it in the place of what was known.
    fn set(&mut self, offers: &[Offer], only_global: bool) {
        let before = std::mem::take(&mut self.0);
        for offer in offers {
            let Some((relay, address)) = named(&offer.relay, only_global) else {
                continue;
            };
            let Some(pass) = Pass::of(&relay, offer.pass.0) else {
                continue;
            };
            let known = before.iter().find(|known| known.address == address);
            self.0.push(Offered {
                relay,
                address,
                pass,
                dialled: known.and_then(|known| known.dialled),
            });
        }
    }

    fn passes(&self) -> Vec<Pass> {
        self.0.iter().map(|offered| offered.pass.clone()).collect()
    }

    /// Those to dial for a call: at most two at a time, those that were not dialled lately.
    fn due(&mut self, is_connected: impl Fn(PeerId) -> bool, now: Instant) -> Vec<DialOpts> {
        let rested = |offered: &&mut Offered| {
            let since = offered.dialled.map(|then| now - then);
            since.is_none_or(|since| since >= PAUSE) && !is_connected(offered.relay)
        };
        let mut due: Vec<&mut Offered> = self.0.iter_mut().filter(rested).collect();
        due.sort_by_key(|offered| offered.dialled);
        let dial = |offered: &mut Offered| {
            offered.dialled = Some(now);
            DialOpts::peer_id(offered.relay)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(vec![offered.address.clone()])
                .build()
        };
        due.into_iter().take(AT_ONCE).map(dial).collect()
    }
}

impl Running {
    pub(super) fn take_offers(&mut self, offers: &[Offer]) {
        let only_global = self.only_global();
        self.offers.set(offers, only_global);
        self.rooms.offered(self.offers.passes());
    }

    /// True if one of them may be there in a moment.
    pub(super) fn dial_offers(&mut self, now: Instant) -> bool {
        let peers = &self.peers;
        let due = self
            .offers
            .due(|relay| peers.connection(relay).is_some(), now);
        let mut dialled = false;
        for dial in due {
            match self.swarm.dial(dial) {
                Ok(()) => dialled = true,
                Err(error) => tracing::debug!("a contact's ultrapeer cannot be dialled: {error}"),
            }
        }
        dialled
    }
}

/// For each call.
const AT_ONCE: usize = 2;

/// Whoever did not answer is left alone for so long.
const PAUSE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;
    use crate::net::node::now;
    use crate::peer::Redacted;

    fn offer(host: &str) -> Offer {
        let relay = Keypair::generate_ed25519().public().to_peer_id();
        let address: Multiaddr = format!("/ip4/{host}/tcp/4190/p2p/{relay}")
            .parse()
            .expect("an address");
        Offer {
            relay: address.to_vec(),
            pass: Redacted([1; 16]),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_are_dialled_at_a_time_and_none_twice_in_a_row() {
        let now = now();
        let mut offers = Offers::default();
        let four = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"].map(offer);
        offers.set(&four, false);
        assert_eq!(offers.passes().len(), 4);
        let here = offers.0[0].relay;
        let is_here = |relay| relay == here;
        assert_eq!(offers.due(is_here, now).len(), 2);
        offers.set(&four, false);
        assert_eq!(offers.due(is_here, now).len(), 1);
        assert_eq!(offers.due(is_here, now).len(), 0);
        assert_eq!(offers.due(is_here, now + PAUSE).len(), 2);
    }

    #[test]
    fn a_contact_cannot_send_us_into_our_own_network() {
        let mut offers = Offers::default();
        let mut damaged = offer("203.1.2.3");
        damaged.relay.truncate(20);
        let given = [offer("192.168.1.1"), offer("203.1.2.3"), damaged];
        offers.set(&given, true);
        assert_eq!(offers.0.len(), 1);
        offers.set(&[], true);
        assert!(offers.0.is_empty() && offers.passes().is_empty());
    }
}
