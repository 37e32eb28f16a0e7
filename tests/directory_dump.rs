//! What those who keep the directory hold and see of 50 phones in three days.
#![expect(clippy::print_stdout, reason = "what keepers see is worth seeing")]

mod bulletin;

use std::collections::{BTreeMap, BTreeSet};

use bulletin::{START, World, seconds};
use twocan::directory::{Announced, Input, State};

const PHONES: usize = 50;
const DAYS: u64 = 3;
const DAY: u64 = 86_400;

/// Every phone knows the next two and the two before it; some come and go, and change what they
/// say of themselves.
fn three_days() -> World {
    let mut world = World::new();
    for at in 0..PHONES {
        world.add(at as u8);
    }
    for at in 0..PHONES {
        world.befriend(at, (at + 1) % PHONES);
        world.befriend(at, (at + 2) % PHONES);
        world.phones[at].circle.invites = vec![([at as u8; 16], START + DAYS * DAY)];
    }
    world.open();
    for hour in 0..DAYS * 24 {
        let at = (hour * 7) as usize % PHONES;
        let state = [State::Away, State::Off, State::Available][hour as usize % 3];
        world.tell(at, Input::Standing(state));
        world.run(seconds(1800));
        world.tell(at, Input::Standing(State::Available));
        world.run(seconds(1800));
    }
    world
}

#[test]
fn keepers_of_records_learn_nothing_of_their_owners() {
    let world = three_days();
    let mut days: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    let mut owners: BTreeMap<_, BTreeSet<usize>> = BTreeMap::new();
    let mut sizes = BTreeSet::new();
    let mut nonces: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for (unix, at, name, value) in &world.log {
        let seen = days.entry(*name).or_insert((*unix, *unix));
        seen.1 = *unix;
        owners.entry(*name).or_default().insert(*at);
        sizes.insert(value.len());
        // The blob begins at byte 245 with its version and 24 bytes of nonce.
        let blob = value[245..245 + 1321].to_vec();
        nonces.entry(blob[1..25].to_vec()).or_default().insert(blob);
    }
    let longest = days
        .values()
        .map(|(first, last)| last - first)
        .max()
        .expect("puts");
    println!(
        "{} phones, {DAYS} days: {} puts under {} names, sizes {sizes:?}, no name for longer \
         than {:.1} h, {} blobs",
        PHONES,
        world.log.len(),
        days.len(),
        longest as f64 / 3600.0,
        nonces.len(),
    );
    assert_eq!(sizes.len(), 1, "one size");
    assert!(
        longest <= DAY + 2 * 3600 + 60,
        "no key on two days but while they overlap"
    );
    // Location and invite of 50 phones; 3 days touch at most 4 periods and the one before the next.
    assert!(days.len() >= 2 * PHONES * DAYS as usize && days.len() <= 2 * PHONES * 5);
    assert!(owners.values().all(|owners| owners.len() == 1));
    assert!(
        nonces.values().all(|blobs| blobs.len() == 1),
        "a nonce used twice"
    );
    assert_nothing_is_told(&world);
    let shown =
        (0..PHONES).filter(|at| world.presence(*at, (at + 1) % PHONES) == Announced::Available);
    assert_eq!(shown.count(), PHONES, "and still they see each other");
}

/// No eight bytes in a row of anything that belongs to a phone stand in a record or a name.
fn assert_nothing_is_told(world: &World) {
    let mut known: BTreeSet<[u8; 8]> = BTreeSet::new();
    let mut add = |bytes: &[u8]| {
        known.extend(
            bytes
                .windows(8)
                .map(|part| <[u8; 8]>::try_from(part).expect("8")),
        );
    };
    for phone in &world.phones {
        add(phone.identity.id().as_bytes());
        add(&phone.device.x_public());
        add(&phone.device.d_public());
        add(phone.circle.mine.secret.as_bytes());
        phone
            .circle
            .members
            .iter()
            .for_each(|member| add(member.pairwise.as_bytes()));
        // The libp2p PeerId and the relays of every phone of this world.
        add(&[1; 38]);
    }
    let told = |bytes: &[u8]| {
        let mut parts = bytes.windows(8);
        parts.any(|part| known.contains(&<[u8; 8]>::try_from(part).expect("8")))
    };
    for (.., name, value) in &world.log {
        assert!(!told(&name.0) && !told(value), "{name:?}");
    }
}
