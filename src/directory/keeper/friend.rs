//! What the directory has told us about one person.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Announced, Moment, Output};
use crate::directory::{Content, Device, Name, Offer, Spot, Stamp, State, VALID};
use crate::peer::{PeerId, Reach};

pub(super) struct Friend {
    pub id: PeerId,
    pub places: Vec<Place>,
    /// Version of the secret by which we look.
    reach: u32,
    /// Version of the last secret that was handed on.
    handed: u32,
    seen: Option<Sighting>,
    /// What was seen is from a place that is none any more: whatever comes from another one is
    /// better, the last word under the old name being later than the first under the new one.
    moved: bool,
    /// Up to which sequence the records are of somebody who has gone, and when we heard that.
    gone: Option<(u64, u64)>,
    /// Since when we look, with a network to look in.
    pub since: Option<Duration>,
    told: (Announced, Option<u64>),
    pub seek: Option<Seek>,
}

/// Something to look at, on whatever day.
pub(super) struct Place {
    pub spot: Spot,
    pub slot: bool,
    /// Of the periods in which to look at present.
    pub names: BTreeMap<u64, Name>,
}

/// The newest location that we have of somebody.
struct Sighting {
    stamp: Stamp,
    state: State,
    /// Those whose certificates are good.
    devices: Vec<Device>,
    offer: Option<Offer>,
}

/// A search for somebody who is to be called.
pub(super) struct Seek {
    pub until: Duration,
    /// Names from which no answer has come.
    pub open: BTreeSet<Name>,
    /// Something has been asked.
    pub asked: BTreeSet<Name>,
    /// A record of a location has come as the answer.
    pub confirmed: bool,
}

impl Friend {
    pub fn new(id: PeerId) -> Friend {
        Friend {
            id,
            places: Vec::new(),
            reach: 0,
            handed: 0,
            seen: None,
            moved: false,
            gone: None,
            since: None,
            told: (Announced::Unknown, None),
            seek: None,
        }
    }

    /// Looks at these places from now on.
    pub fn settle(&mut self, places: Vec<Place>, reach: u32) {
        let old = std::mem::replace(&mut self.places, places);
        self.reach = reach;
        for before in old {
            match self
                .places
                .iter_mut()
                .find(|place| place.spot == before.spot)
            {
                // Each name costs a multiplication on the curve.
                Some(place) => place.names = before.names,
                None => self.moved |= !before.slot,
            }
        }
    }

    /// Takes a checked record from the place with this number.
    pub fn take(
        &mut self,
        place: usize,
        period: u64,
        value: &[u8],
        stamp: Stamp,
        now: Moment,
    ) -> Option<Output> {
        if let Some(seen) = &mut self.seen
            && seen.stamp.blob == stamp.blob
        {
            seen.stamp = newer(seen.stamp, stamp);
            return None;
        }
        let place = &self.places[place];
        let content = crate::directory::open(&place.spot, period, value)?;
        match content {
            Content::Slot(reach) if place.slot => self.hand_on(reach),
            Content::Location {
                state,
                devices,
                offer,
            } if !place.slot => {
                let seen = Sighting {
                    stamp,
                    state,
                    devices,
                    offer,
                };
                self.see(seen, now);
                None
            }
            _ => None,
        }
    }

    fn hand_on(&mut self, reach: Reach) -> Option<Output> {
        if reach.version <= self.reach.max(self.handed) {
            return None;
        }
        self.handed = reach.version;
        Some(Output::Reach { id: self.id, reach })
    }

    fn see(&mut self, mut seen: Sighting, now: Moment) {
        let stamp = seen.stamp;
        let old = self.seen.as_ref().map(|seen| seen.stamp);
        if !self.moved && old.is_some_and(|old| newer(old, stamp) == old) {
            return;
        }
        if std::mem::take(&mut self.moved) {
            self.gone = None;
        }
        let id = Some(self.id);
        seen.devices.retain(|device| {
            let good = device.cert.verify(&device.x_public, id.as_ref(), now.unix);
            good.is_ok()
        });
        self.seen = Some(seen);
    }

    /// What he offers his contacts, as long as he is there.
    pub fn offer(&self, now: Moment) -> Option<&Offer> {
        self.fresh(now)?.offer.as_ref()
    }

    /// Somebody who knew says that whoever put the record has gone. That can only lower what we
    /// believe, and the next record sets it right.
    pub fn lose(&mut self, sequence: u64, now: Moment) {
        if self.seen.is_some() && self.gone.is_none_or(|(gone, _)| gone < sequence) {
            self.gone = Some((sequence, now.unix));
        }
    }

    /// True while a new secret is handed on that has not come back as a place to look at.
    pub fn awaits_circle(&self) -> bool {
        self.handed > self.reach
    }

    /// When the location that we have ends, in seconds since 1970.
    pub fn end(&self) -> Option<u64> {
        self.seen.as_ref().map(|seen| seen.stamp.validity)
    }

    /// A location that has not ended and does not say that it is none.
    fn standing(&self, now: Moment) -> Option<&Sighting> {
        let seen = self.seen.as_ref()?;
        (seen.stamp.validity > now.unix && seen.state != State::Off).then_some(seen)
    }

    /// As [`Friend::standing`], and nobody has said that it is over.
    fn fresh(&self, now: Moment) -> Option<&Sighting> {
        let sequence = self.gone.map_or(0, |(sequence, _)| sequence);
        self.standing(now)
            .filter(|seen| seen.stamp.sequence > sequence)
    }

    pub fn is_fresh(&self, now: Moment) -> bool {
        self.fresh(now).is_some()
    }

    /// We have only begun to look, and he too may just be coming, or coming back: his record would
    /// be pushed to us.
    pub fn is_looked_for(&self, now: Moment) -> bool {
        let begun = self.since.is_none_or(|since| now.mono < since + LOOK);
        begun && self.places.iter().any(|place| !place.slot)
    }

    pub fn presence(&self, now: Moment, online: bool) -> (Announced, Option<u64>) {
        let said = self.seen.as_ref().map(|seen| {
            let said = seen.stamp.validity.saturating_sub(VALID);
            said.min(now.unix)
        });
        let waited = self.since.is_some_and(|since| since + LOOK <= now.mono);
        let announced = match self.fresh(now).map(|seen| seen.state) {
            _ if !online => Announced::Unknown,
            Some(State::Available) => Announced::Available,
            Some(State::Away) => Announced::Away,
            Some(State::DoNotDisturb) => Announced::DoNotDisturb,
            Some(State::Off) => Announced::Offline,
            None if self.seen.is_some() => Announced::Offline,
            None if waited && self.places.iter().any(|place| !place.slot) => Announced::Offline,
            None => Announced::Unknown,
        };
        let gone = self.gone.map(|(_, at)| at).filter(|_| !self.is_fresh(now));
        (announced, said.max(gone.filter(|_| said.is_some())))
    }

    /// The news in [`Friend::presence`], if there are any. The time alone is none while he is there.
    pub fn news(&mut self, now: Moment, online: bool) -> Option<Output> {
        let (presence, at) = self.presence(now, online);
        let same = match presence {
            Announced::Offline => self.told == (presence, at),
            _ => self.told.0 == presence,
        };
        if same {
            return None;
        }
        self.told = (presence, at);
        let id = self.id;
        Some(Output::Seen { id, presence, at })
    }

    /// All devices to try. `confirmed`: even if somebody has said that they are gone.
    pub fn located(&self, confirmed: bool, now: Moment) -> Vec<Output> {
        let seen = if confirmed {
            self.standing(now)
        } else {
            self.fresh(now)
        };
        let devices = seen.map(|seen| &seen.devices[..]).unwrap_or_default();
        let good = devices.iter().filter(|device| {
            let verified = device
                .cert
                .verify(&device.x_public, Some(&self.id), now.unix);
            verified.is_ok()
        });
        let located = good.map(|device| Output::Located {
            id: self.id,
            device: device.x_public,
            peer: device.peer.clone(),
            relays: device.relays.clone(),
        });
        located.collect()
    }

    /// Where to look at present: at the slot only as long as he is not found without it.
    pub fn names(&self, now: Moment) -> impl Iterator<Item = Name> {
        let slots = !self.is_fresh(now);
        let places = self.places.iter().filter(move |place| slots || !place.slot);
        places.flat_map(|place| place.names.values().copied())
    }

    /// When [`Friend::presence`] changes by itself, on the clock of [`Moment::mono`].
    pub fn deadline(&self, now: Moment, online: bool) -> Option<Duration> {
        let left = |end: u64| now.mono + Duration::from_secs(end.saturating_sub(now.unix));
        let end = self
            .end()
            .filter(|_| online && self.is_fresh(now))
            .map(left);
        let waiting = online && self.seen.is_none() && self.told.0 == Announced::Unknown;
        let look = self.since.filter(|_| waiting).map(|since| since + LOOK);
        let look = look.filter(|at| *at > now.mono);
        let seek = self.seek.as_ref().map(|seek| seek.until);
        end.into_iter().chain(look).chain(seek).min()
    }
}

impl Place {
    pub fn new(spot: Spot, slot: bool) -> Place {
        Place {
            spot,
            slot,
            names: BTreeMap::new(),
        }
    }

    /// Brings the names up to date with the day.
    pub fn move_to(&mut self, unix: u64) {
        let periods = self.spot.read_periods(unix);
        self.names.retain(|period, _| periods.contains(period));
        for period in periods {
            let spot = &self.spot;
            self.names
                .entry(period)
                .or_insert_with(|| spot.name(period));
        }
    }
}

fn newer(old: Stamp, new: Stamp) -> Stamp {
    if crate::directory::is_newer(&new, &old) {
        new
    } else {
        old
    }
}

/// How long to look before nothing found means that there is nothing.
const LOOK: Duration = Duration::from_secs(10);
