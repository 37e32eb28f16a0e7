//! Who watches which names, and what each has been told. Pure.
//!
//! News go out at once. A record that is only good for longer is told within [`LINGER`] together
//! with others, as long as whoever watches holds one that is good for some time yet: an idle phone
//! then hears of fifty contacts in a few frames an hour.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::shelf::{Entry, Shelf};
use crate::directory::{Name, renewal};
use crate::net::proxy::{Renewal, Reply};

/// One stream of the directory protocol that somebody opened here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// See the module.
#[derive(Debug, Default)]
pub struct Desk {
    clients: HashMap<ClientId, Client>,
    watchers: HashMap<Name, BTreeSet<ClientId>>,
}

#[derive(Debug, Default)]
struct Client {
    names: BTreeSet<Name>,
    told: HashMap<Name, Told>,
    /// Renewals that wait for company, since when.
    late: BTreeSet<Name>,
    since: Option<Duration>,
}

/// What somebody knows of a name.
#[derive(Clone, Copy, Debug)]
struct Told {
    sequence: u64,
    validity: u64,
    blob: [u8; 32],
    gone: bool,
}

/// What is to be sent to whom.
pub type Outbox = Vec<(ClientId, Vec<Reply>)>;

/// How long a renewal may wait for others.
pub const LINGER: Duration = Duration::from_secs(120);

/// A record that ends sooner than this, in seconds, is renewed without waiting.
const HURRY: u64 = 300;

impl Desk {
    /// From now on `client` watches these names and no others. Returns those that it did not watch
    /// before.
    pub fn watch(&mut self, client: ClientId, names: BTreeSet<Name>) -> Vec<Name> {
        let state = self.clients.entry(client).or_default();
        let before = std::mem::replace(&mut state.names, names);
        let fresh: Vec<Name> = state.names.difference(&before).copied().collect();
        for name in before.difference(&state.names) {
            state.told.remove(name);
            state.late.remove(name);
            forget(&mut self.watchers, name, client);
        }
        for name in &fresh {
            self.watchers.entry(*name).or_default().insert(client);
        }
        fresh
    }

    /// The client is gone.
    pub fn close(&mut self, client: ClientId) {
        let Some(state) = self.clients.remove(&client) else {
            return;
        };
        for name in &state.names {
            forget(&mut self.watchers, name, client);
        }
    }

    pub fn is_watched(&self, name: &Name) -> bool {
        self.watchers.contains_key(name)
    }

    pub fn watched(&self) -> impl Iterator<Item = &Name> {
        self.watchers.keys()
    }

    /// Tells all who watch `name` what stands there, as far as they do not know it.
    pub fn tell(&mut self, name: &Name, entry: &Entry, now: Duration, unix: u64) -> Outbox {
        let Some(watchers) = self.watchers.get(name) else {
            return Outbox::new();
        };
        let tell = |&client: &ClientId| {
            let state = self.clients.get_mut(&client)?;
            let replies = state.news(name, entry, now, unix);
            (!replies.is_empty()).then_some((client, replies))
        };
        watchers.iter().filter_map(tell).collect()
    }

    /// Tells one of them, say when it has just begun to watch.
    pub fn tell_one(
        &mut self,
        client: ClientId,
        name: &Name,
        entry: &Entry,
        now: Duration,
        unix: u64,
    ) -> Vec<Reply> {
        match self.clients.get_mut(&client) {
            Some(state) if state.names.contains(name) => state.news(name, entry, now, unix),
            _ => Vec::new(),
        }
    }

    /// The renewals that have waited long enough.
    pub fn flush(&mut self, shelf: &Shelf, now: Duration) -> Outbox {
        let due = |client: &Client| client.since.is_some_and(|since| now >= since + LINGER);
        let mut outbox = Outbox::new();
        for (&id, client) in &mut self.clients {
            if due(client) {
                outbox.push((id, client.flush(shelf)));
            }
        }
        outbox
    }
}

impl Client {
    fn news(&mut self, name: &Name, entry: &Entry, now: Duration, unix: u64) -> Vec<Reply> {
        let stamp = &entry.stamp;
        let known = self.told.get(name).copied();
        let same_blob = known.is_some_and(|told| told.blob == stamp.blob);
        let renewed = known
            .is_none_or(|told| (stamp.sequence, stamp.validity) > (told.sequence, told.validity));
        let was_gone = known.is_some_and(|told| told.gone);
        let mut replies = Vec::new();
        if renewed && same_blob && !was_gone && !entry.gone {
            let in_time = known.is_some_and(|told| told.validity > unix + HURRY);
            self.late.insert(*name);
            if in_time {
                self.since.get_or_insert(now);
                return replies;
            }
            self.late.remove(name);
        }
        if !same_blob || (was_gone && !entry.gone && !renewed) {
            replies.push(Reply::Record {
                name: name.0,
                value: entry.value.clone(),
            });
        } else if renewed && let Some(renewal) = shortened(name, entry) {
            replies.push(Reply::Renewed(vec![renewal]));
        }
        if entry.gone && (!was_gone || renewed) {
            replies.push(Reply::Gone {
                name: name.0,
                sequence: stamp.sequence,
            });
        }
        self.late.remove(name);
        self.told.insert(*name, Told::of(entry));
        replies
    }

    fn flush(&mut self, shelf: &Shelf) -> Vec<Reply> {
        self.since = None;
        let mut renewals = Vec::new();
        for name in std::mem::take(&mut self.late) {
            if let Some(entry) = shelf.get(&name)
                && let Some(renewal) = shortened(&name, entry)
            {
                self.told.insert(name, Told::of(entry));
                renewals.push(renewal);
            }
        }
        Reply::renewed(&renewals).collect()
    }
}

impl Told {
    fn of(entry: &Entry) -> Told {
        Told {
            sequence: entry.stamp.sequence,
            validity: entry.stamp.validity,
            blob: entry.stamp.blob,
            gone: entry.gone,
        }
    }
}

fn shortened(name: &Name, entry: &Entry) -> Option<Renewal> {
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&name.0[..8]);
    Some(Renewal {
        prefix,
        change: renewal(&entry.value)?,
    })
}

fn forget(watchers: &mut HashMap<Name, BTreeSet<ClientId>>, name: &Name, client: ClientId) {
    if let Some(all) = watchers.get_mut(name) {
        all.remove(&client);
        if all.is_empty() {
            watchers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;
    use crate::directory::{Content, Pen, Spot, check};
    use crate::peer::{Identity, Reach, Secret32, Seed};
    use crate::relay::{Group, Source};

    const ME: ClientId = ClientId(1);
    const UNIX: u64 = 1_800_000_000;

    fn entry(pen: &Pen, what: u8, sequence: u64, validity: u64) -> Entry {
        let content = Content::Slot(Reach {
            version: 1,
            secret: Secret32::new([what; 32]),
        });
        let blob = pen.seal(&content, &[what; 32]);
        let value = pen.sign(&blob, UNIX * 1000 + sequence, validity);
        let stamp = check(&pen.name(), &value, UNIX).expect("a good record");
        Entry {
            value,
            stamp,
            source: Source {
                group: Group::of([127, 0, 0, 1].into()),
                node: PeerId::random(),
            },
            gone: false,
        }
    }

    fn pen(n: u8) -> Pen {
        let identity = Identity::from_seed(&Seed::from_bytes([n; 32]));
        let reach = Reach {
            version: 1,
            secret: Secret32::new([n; 32]),
        };
        Pen::new(
            &identity.blinder(),
            &Spot::location(identity.id(), &reach),
            1,
        )
    }

    /// Twenty contacts, all told and all good for some time.
    fn watched() -> (Desk, Shelf, Vec<Pen>) {
        let pens: Vec<Pen> = (1..=20).map(pen).collect();
        let mut desk = Desk::default();
        let fresh = desk.watch(ME, pens.iter().map(Pen::name).collect());
        assert_eq!(fresh.len(), 20);
        let mut shelf = Shelf::new(100);
        for pen in &pens {
            let outbox = put(&mut desk, &mut shelf, pen, &entry(pen, 1, 1, UNIX + 900), 0);
            assert!(
                matches!(outbox[..], [(ME, ref told)] if matches!(told[..], [Reply::Record { .. }]))
            );
        }
        (desk, shelf, pens)
    }

    fn put(desk: &mut Desk, shelf: &mut Shelf, pen: &Pen, entry: &Entry, at: u64) -> Outbox {
        let Entry {
            value,
            stamp,
            source,
            ..
        } = entry.clone();
        shelf.put(pen.name(), value, stamp, source).expect("room");
        let kept = shelf.get(&pen.name()).expect("kept");
        desk.tell(&pen.name(), kept, Duration::from_secs(at), UNIX)
    }

    #[test]
    fn renewals_travel_together() {
        let (mut desk, mut shelf, pens) = watched();
        for (pen, at) in pens.iter().zip(10..) {
            let renewed = entry(pen, 1, 2, UNIX + 1800);
            assert!(put(&mut desk, &mut shelf, pen, &renewed, at).is_empty());
        }
        assert!(desk.flush(&shelf, Duration::from_secs(129)).is_empty());
        let told = desk.flush(&shelf, Duration::from_secs(130));
        let [(ME, replies)] = &told[..] else {
            panic!("{told:?}");
        };
        let sizes: Vec<usize> = replies
            .iter()
            .map(|reply| match reply {
                Reply::Renewed(renewals) => renewals.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sizes, [14, 6]);
        assert!(desk.flush(&shelf, Duration::from_secs(999)).is_empty());
    }

    #[test]
    fn what_is_said_waits_for_nothing() {
        let (mut desk, mut shelf, pens) = watched();
        let news = put(
            &mut desk,
            &mut shelf,
            &pens[0],
            &entry(&pens[0], 2, 2, UNIX + 1800),
            5,
        );
        assert!(matches!(news[0].1[..], [Reply::Record { .. }]));

        let name = pens[1].name();
        let mut gone = shelf.get(&name).expect("there").clone();
        gone.gone = true;
        let told = desk.tell(&name, &gone, Duration::ZERO, UNIX);
        assert!(matches!(told[0].1[..], [Reply::Gone { .. }]));
        assert!(
            desk.tell(&name, &gone, Duration::ZERO, UNIX).is_empty(),
            "once"
        );
        let back = put(
            &mut desk,
            &mut shelf,
            &pens[1],
            &entry(&pens[1], 1, 2, UNIX + 1800),
            5,
        );
        assert!(matches!(back[0].1[..], [Reply::Renewed(_)]));

        let late = entry(&pens[2], 1, 2, UNIX + 1800);
        let replies = {
            shelf
                .put(pens[2].name(), late.value.clone(), late.stamp, late.source)
                .expect("room");
            // What is known of it would end in a minute.
            desk.tell(&pens[2].name(), &late, Duration::ZERO, UNIX + 840)
        };
        assert!(matches!(replies[0].1[..], [Reply::Renewed(_)]));
    }

    #[test]
    fn who_no_longer_watches_is_told_nothing() {
        let (mut desk, mut shelf, pens) = watched();
        assert!(desk.watch(ME, [pens[3].name()].into()).is_empty());
        let other = put(
            &mut desk,
            &mut shelf,
            &pens[0],
            &entry(&pens[0], 2, 2, UNIX + 1800),
            5,
        );
        assert!(other.is_empty() && !desk.is_watched(&pens[0].name()));
        desk.close(ME);
        let last = put(
            &mut desk,
            &mut shelf,
            &pens[3],
            &entry(&pens[3], 2, 2, UNIX + 1800),
            5,
        );
        assert!(last.is_empty() && desk.watched().next().is_none());
        assert!(desk.clients.is_empty());
    }
}
