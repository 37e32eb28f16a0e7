//! The ultrapeer that this phone runs for its contacts, and the pass for it that they hold.
//!
//! The pass hangs on the secret under which contacts find this phone in the directory: with that it
//! changes when one of them is removed or blocked, and with that the others are told the new one.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::directory::Offer;
use crate::peer::{Reach, Redacted};

/// The ultrapeer that this phone lends to its contacts, and who may use it.
#[derive(Debug)]
pub struct Lending {
    relay: Vec<u8>,
    secret: Redacted<Zeroizing<[u8; 32]>>,
    passes: watch::Sender<Redacted<[u8; 16]>>,
    /// What contacts were offered last.
    offered: Option<Offer>,
}

impl Lending {
    /// `relay`: where the ultrapeer is, a multiaddr with `/p2p`. `secret`: random, and another one at
    /// each start. The ultrapeer is told by `passes` what its friends hold.
    pub fn new(
        relay: Vec<u8>,
        secret: [u8; 32],
        passes: watch::Sender<Redacted<[u8; 16]>>,
    ) -> Lending {
        Lending {
            relay,
            secret: Redacted(Zeroizing::new(secret)),
            passes,
            offered: None,
        }
    }

    /// Contacts find this phone by `mine` now: what they are to be offered, if that is news. The
    /// ultrapeer takes no other pass from then on.
    pub(super) fn follow(&mut self, mine: &Reach) -> Option<Offer> {
        let offer = Offer {
            relay: self.relay.clone(),
            pass: Redacted(self.pass(mine)),
        };
        if self.offered.as_ref() == Some(&offer) {
            return None;
        }
        self.passes.send_replace(offer.pass);
        self.offered = Some(offer.clone());
        Some(offer)
    }

    fn pass(&self, mine: &Reach) -> [u8; 16] {
        let keyed = <Hmac<Sha256> as KeyInit>::new_from_slice(&*self.secret.0);
        let mac = keyed
            .expect("HMAC takes keys of any length")
            .chain_update(b"twocan/1 lent pass\0")
            .chain_update(mine.secret.as_bytes())
            .finalize()
            .into_bytes();
        let mut pass = [0; 16];
        pass.copy_from_slice(&mac[..16]);
        pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Secret32;

    #[test]
    fn the_pass_is_another_one_as_soon_as_the_contacts_are_others() {
        let (passes, mut told) = watch::channel(Redacted([0; 16]));
        let mut lending = Lending::new(vec![1, 2], [7; 32], passes.clone());
        let reach = |version: u32, byte| Reach {
            version,
            secret: Secret32::new([byte; 32]),
        };
        let first = lending.follow(&reach(1, 1)).expect("the first");
        assert_eq!(first.relay, [1, 2]);
        assert_eq!(*told.borrow_and_update(), first.pass);
        assert_eq!(lending.follow(&reach(1, 1)), None, "nothing has changed");
        assert!(told.has_changed().is_ok_and(|changed| !changed));
        let second = lending.follow(&reach(2, 2)).expect("another");
        assert_ne!(second.pass, first.pass);
        assert_eq!(*told.borrow_and_update(), second.pass);
        let mut elsewhere = Lending::new(vec![1, 2], [8; 32], passes);
        let other = elsewhere.follow(&reach(2, 2)).expect("the first");
        assert_ne!(other.pass, second.pass, "at the next start");
    }
}
