//! Somebody who writes records.

use std::time::{SystemTime, UNIX_EPOCH};

use twocan::directory::{self, Blob, Content, Pen, Spot};
use twocan::peer::{Identity, Reach, Secret32, Seed};

/// Somebody with a name of his own in the directory.
pub struct Author {
    pub name: [u8; 32],
    pen: Pen,
    since: u64,
}

impl Author {
    pub fn new() -> Author {
        let identity = Identity::from_seed(&Seed::from_bytes(random()));
        let reach = Reach {
            version: 1,
            secret: Secret32::new(random()),
        };
        let spot = Spot::location(identity.id(), &reach);
        let pen = Pen::new(&identity.blinder(), &spot, 1);
        Author {
            name: pen.name().0,
            pen,
            since: unix() * 1000,
        }
    }

    /// The record that says `what`, the `number`th of this author, good until `validity`.
    pub fn record(&self, what: u32, number: u64, validity: u64) -> Vec<u8> {
        let content = Content::Slot(Reach {
            version: what,
            secret: Secret32::new([1; 32]),
        });
        let blob: Blob = self.pen.seal(&content, &[what as u8; 32]);
        self.pen.sign(&blob, self.sequence(number), validity)
    }

    pub fn sequence(&self, number: u64) -> u64 {
        self.since + number
    }

    pub fn key(&self) -> Vec<u8> {
        directory::Name(self.name).key()
    }
}

pub fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("random numbers");
    bytes
}

#[expect(clippy::disallowed_methods, reason = "records have real times")]
pub fn unix() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}
