//! The half that reads: who of our circle is there, and where.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::friend::{Friend, Place, Seek};
use super::{MAX_INVITES, MAX_MEMBERS, Moment, Output, TICK};
use crate::directory::{Name, Offer, Spot, Stamp, check, is_newer};
use crate::peer::{Circle, PeerId};

pub(super) struct Theirs {
    me: PeerId,
    friends: BTreeMap<PeerId, Friend>,
    names: BTreeMap<Name, Whose>,
    /// The newest record of each name: nothing older is believed again.
    held: BTreeMap<Name, Stamp>,
    watched: BTreeSet<Name>,
    /// Since when names are watched that need not be.
    idle_since: Option<Duration>,
    /// The driver has to be told of [`Theirs::watched`] whatever it was told before.
    forgotten: bool,
    move_at: Duration,
    /// What was said last of what our contacts offer.
    offers: Vec<Offer>,
}

/// Whose name it is: the person, the place's number there, the period.
type Whose = (PeerId, usize, u64);

impl Theirs {
    pub fn new(me: PeerId) -> Theirs {
        Theirs {
            me,
            friends: BTreeMap::new(),
            names: BTreeMap::new(),
            held: BTreeMap::new(),
            watched: BTreeSet::new(),
            idle_since: None,
            forgotten: false,
            move_at: Duration::ZERO,
            offers: Vec::new(),
        }
    }

    pub fn set_circle(&mut self, circle: &Circle, now: Moment) {
        let mut before = std::mem::take(&mut self.friends);
        let mut places: BTreeMap<PeerId, Vec<Place>> = BTreeMap::new();
        for member in circle.members.iter().take(MAX_MEMBERS) {
            let theirs = places.entry(member.id).or_default();
            if member.reach.version > 0 && !member.reach.secret.is_zero() {
                theirs.push(Place::new(Spot::location(member.id, &member.reach), false));
            }
            if !member.pairwise.is_zero() {
                theirs.push(Place::new(Spot::slot(member.id, &member.pairwise), true));
            }
        }
        for (id, token) in circle.opened.iter().take(MAX_INVITES) {
            let theirs = places.entry(*id).or_default();
            theirs.push(Place::new(Spot::invite(*id, token), false));
        }
        places.remove(&self.me);
        for (id, new) in places {
            let mut friend = before.remove(&id).unwrap_or_else(|| Friend::new(id));
            let member = circle.members.iter().find(|member| member.id == id);
            friend.settle(new, member.map_or(0, |member| member.reach.version));
            self.friends.insert(id, friend);
        }
        self.move_on(now);
    }

    pub fn set_online(&mut self) {
        self.forgotten = true;
        self.friends
            .values_mut()
            .for_each(|friend| friend.since = None);
    }

    pub fn clock_changed(&mut self) {
        self.move_at = Duration::ZERO;
    }

    pub fn take_record(
        &mut self,
        name: Name,
        value: &[u8],
        now: Moment,
        out: &mut VecDeque<Output>,
    ) {
        let Some((id, place, period)) = self.names.get(&name).copied() else {
            return;
        };
        let Some(friend) = self.friends.get_mut(&id) else {
            return;
        };
        let slot = friend.places[place].slot;
        if let Ok(stamp) = check(&name, value, now.unix) {
            let held = self.held.get(&name);
            let older = held.is_some_and(|held| is_newer(held, &stamp));
            if held.is_none_or(|held| is_newer(&stamp, held)) {
                self.held.insert(name, stamp);
                out.extend(friend.take(place, period, value, stamp, now));
            }
            if let Some(seek) = &mut friend.seek {
                seek.confirmed |= seek.asked.contains(&name) && !slot && !older;
            }
        }
        friend.seek.iter_mut().for_each(|seek| {
            seek.open.remove(&name);
        });
    }

    pub fn take_gone(&mut self, name: Name, sequence: u64, now: Moment) {
        let Some((id, place, _)) = self.names.get(&name).copied() else {
            return;
        };
        // Never beyond what is known: else one lie would silence all records to come.
        let known = self
            .held
            .get(&name)
            .map(|stamp| stamp.sequence.min(sequence));
        if let (Some(sequence), Some(friend)) = (known, self.friends.get_mut(&id))
            && !friend.places[place].slot
        {
            friend.lose(sequence, now);
        }
    }

    pub fn take_absent(&mut self, name: Name) {
        let friend = self.names.get(&name).map(|(id, ..)| *id);
        let friend = friend.and_then(|id| self.friends.get_mut(&id));
        if let Some(seek) = friend.and_then(|friend| friend.seek.as_mut()) {
            seek.open.remove(&name);
        }
    }

    pub fn seek(&mut self, id: PeerId, now: Moment, out: &mut VecDeque<Output>) {
        let Some(friend) = self.friends.get_mut(&id) else {
            out.push_back(Output::NotLocated { id });
            return;
        };
        let located = friend.located(false, now);
        if located.is_empty() {
            friend.seek = Some(Seek {
                until: now.mono + PATIENCE,
                open: BTreeSet::new(),
                asked: BTreeSet::new(),
                confirmed: false,
            });
        }
        out.extend(located);
    }

    pub fn work(&mut self, now: Moment, online: bool, out: &mut VecDeque<Output>) {
        if self.move_at <= now.mono {
            self.move_on(now);
        }
        for friend in self.friends.values_mut() {
            if online && friend.since.is_none() {
                friend.since = Some(now.mono);
            }
            out.extend(friend.news(now, online));
            search(friend, now, online, out);
        }
        if online {
            self.watch(now, out);
        }
        self.tell_offers(now, out);
    }

    fn tell_offers(&mut self, now: Moment, out: &mut VecDeque<Output>) {
        let offers = self.friends.values().filter_map(|friend| friend.offer(now));
        let same = offers.clone().take(MAX_OFFERS).eq(&self.offers);
        if !same {
            self.offers = offers.take(MAX_OFFERS).cloned().collect();
            out.push_back(Output::Offers(self.offers.clone()));
        }
    }

    pub fn deadline(&self, now: Moment, online: bool) -> Option<Duration> {
        let friends = self.friends.values();
        friends
            .filter_map(|friend| friend.deadline(now, online))
            .chain(Some(self.move_at).filter(|_| !self.friends.is_empty()))
            .chain(self.idle_since.filter(|_| online).map(|since| since + IDLE))
            .min()
    }

    /// Brings all names up to date with the day.
    fn move_on(&mut self, now: Moment) {
        self.move_at = now.mono + TICK;
        self.names.clear();
        for (id, friend) in &mut self.friends {
            for (at, place) in friend.places.iter_mut().enumerate() {
                place.move_to(now.unix);
                let names = place.names.iter();
                self.names
                    .extend(names.map(|(period, name)| (*name, (*id, at, *period))));
            }
        }
        let names = &self.names;
        self.held.retain(|name, _| names.contains_key(name));
    }

    /// Says what to watch: what is new at once, what can be left out when it is worth it.
    fn watch(&mut self, now: Moment, out: &mut VecDeque<Output>) {
        let friends = self.friends.values();
        let wanted: BTreeSet<Name> = friends.flat_map(|friend| friend.names(now)).collect();
        if self.watched != wanted {
            self.idle_since.get_or_insert(now.mono);
        } else {
            self.idle_since = None;
        }
        let idle = self
            .idle_since
            .is_some_and(|since| since + IDLE <= now.mono);
        if self.forgotten || idle || !wanted.is_subset(&self.watched) {
            self.forgotten = false;
            self.idle_since = None;
            self.watched = wanted;
            out.push_back(Output::Watch(self.watched.clone()));
        }
    }
}

/// Goes on with a search: asks what has not been asked, ends it when there is an answer.
fn search(friend: &mut Friend, now: Moment, online: bool, out: &mut VecDeque<Output>) {
    let names: BTreeSet<Name> = friend.names(now).collect();
    let Some(seek) = &mut friend.seek else {
        return;
    };
    if online {
        for name in names.difference(&seek.asked) {
            seek.open.insert(*name);
            out.push_back(Output::Get(*name));
        }
        seek.asked.extend(names);
    }
    let (confirmed, late) = (seek.confirmed, seek.until <= now.mono);
    let answered = online && seek.open.is_empty();
    let located = friend.located(confirmed || late, now);
    if !located.is_empty() && (confirmed || late || friend.is_fresh(now)) {
        out.extend(located);
    } else if late || (answered && !friend.awaits_circle() && !friend.is_looked_for(now)) {
        out.push_back(Output::NotLocated { id: friend.id });
    } else {
        return;
    }
    friend.seek = None;
}

/// Contacts whose ultrapeers may be used at a time.
const MAX_OFFERS: usize = 16;
/// How long to search for somebody who is to be called.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long names are watched for nothing before they are left out.
const IDLE: Duration = Duration::from_secs(60);
