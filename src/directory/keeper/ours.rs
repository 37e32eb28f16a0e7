//! The half that publishes: where we are, new secrets for single contacts, copies for invites.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::post::Post;
use super::{MAX_INVITES, MAX_MEMBERS, Moment, Output, TICK};
use crate::directory::{Content, Device, Name, Offer, Pen, Spot, State, check};
use crate::peer::{Blinder, Circle, DeviceCert};

pub(super) struct Ours {
    blinder: Blinder,
    rng: ChaCha20Rng,
    circle: Circle,
    drafts: Vec<Draft>,
    device: Option<(DeviceCert, [u8; 32])>,
    state: State,
    offer: Option<Offer>,
    /// Where we are, as the network has it at this moment.
    routes: Option<Routes>,
    /// Where we say that we are.
    settled: Option<Routes>,
    quiet: Option<Quiet>,
    posts: BTreeMap<Name, Post>,
    /// The last sequence used: no two records of ours have the same one.
    sequence: u64,
    /// When the posts have to be compared with what they should be.
    plan_at: Duration,
}

type Routes = (Vec<u8>, Vec<Vec<u8>>);

/// The time during which routes may still change.
#[derive(Clone, Copy)]
struct Quiet {
    since: Duration,
    until: Duration,
}

/// Something that should be written, on whatever day.
struct Draft {
    spot: Spot,
    kind: Kind,
    /// Of the periods in which it stands at present.
    names: BTreeMap<u64, Name>,
    /// Of periods that ended a moment ago.
    old: Vec<Name>,
}

/// What is written into a draft.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// For contacts: where we are, and what we offer.
    Location,
    /// For one contact: a new secret.
    Slot,
    /// For whoever has an invite: where we are.
    Invite,
}

impl Ours {
    pub fn new(seed: [u8; 32], blinder: Blinder, born: u64) -> Ours {
        Ours {
            blinder,
            rng: ChaCha20Rng::from_seed(seed),
            circle: Circle::default(),
            drafts: Vec::new(),
            device: None,
            state: State::Off,
            offer: None,
            routes: None,
            settled: None,
            quiet: None,
            posts: BTreeMap::new(),
            sequence: born,
            plan_at: Duration::ZERO,
        }
    }

    pub fn tell_time(&mut self, millis: u64) {
        self.sequence = self.sequence.max(millis);
    }

    pub fn set_circle(&mut self, mut circle: Circle) {
        circle.members.truncate(MAX_MEMBERS);
        circle.invites.truncate(MAX_INVITES);
        self.circle = circle;
        self.plan_at = Duration::ZERO;
    }

    pub fn set_device(&mut self, cert: DeviceCert, x_public: [u8; 32]) {
        self.device = Some((cert, x_public));
        self.plan_at = Duration::ZERO;
    }

    pub fn set_state(&mut self, state: State) {
        self.state = state;
        self.plan_at = Duration::ZERO;
    }

    pub fn set_offer(&mut self, offer: Option<Offer>) {
        self.offer = offer;
        self.plan_at = Duration::ZERO;
    }

    /// What changes often is published when it has come to rest; but whoever cannot be met at all
    /// is told of at once.
    pub fn set_routes(&mut self, peer: Vec<u8>, relays: Vec<Vec<u8>>, now: Moment) {
        let met = |routes: &Option<Routes>| routes.as_ref().is_some_and(|(_, r)| !r.is_empty());
        self.routes = Some((peer, relays));
        if self.routes == self.settled {
            self.quiet = None;
            return;
        }
        if !met(&self.settled) && met(&self.routes) {
            self.settle();
            return;
        }
        let since = self.quiet.map_or(now.mono, |quiet| quiet.since);
        let until = (now.mono + QUIET).min(since + LONGEST_QUIET);
        self.quiet = Some(Quiet { since, until });
    }

    /// Whoever takes our records now may be another one than before.
    pub fn set_online(&mut self, now: Moment) {
        self.posts
            .values_mut()
            .for_each(|post| post.start_over(now));
    }

    pub fn clock_changed(&mut self) {
        self.plan_at = Duration::ZERO;
    }

    pub fn stored(&mut self, name: Name, copies: u16, now: Moment) {
        let Some(post) = self.posts.get_mut(&name) else {
            return;
        };
        post.stored(copies, now);
        if post.is_done() {
            self.posts.remove(&name);
        }
    }

    /// Perhaps what stands there is of a time when our clock was ahead: have a look.
    pub fn refused(&mut self, name: Name, now: Moment, out: &mut VecDeque<Output>) {
        if let Some(post) = self.posts.get_mut(&name)
            && post.refused(now)
        {
            out.push_back(Output::Get(name));
        }
    }

    /// `false`: the name is none of ours.
    pub fn take_record(&mut self, name: Name, value: &[u8], now: Moment) -> bool {
        let Some(post) = self.posts.get_mut(&name) else {
            return false;
        };
        if let Ok(stamp) = check(&name, value, now.unix) {
            self.sequence = self.sequence.max(stamp.sequence);
            post.found(&stamp, now);
        }
        true
    }

    pub fn work(&mut self, now: Moment, online: bool, out: &mut VecDeque<Output>) {
        if self.quiet.is_some_and(|quiet| quiet.until <= now.mono) {
            self.settle();
        }
        if self.plan_at <= now.mono {
            self.plan(now);
            self.plan_at = now.mono + TICK;
        }
        if !online {
            return;
        }
        for (name, post) in &mut self.posts {
            if post.is_due(now) {
                let jitter = Duration::from_millis(u64::from(self.rng.next_u32() % JITTER_MS));
                let value = post.put(&mut self.sequence, now, jitter);
                out.push_back(Output::Put { name: *name, value });
            }
        }
    }

    pub fn deadline(&self, now: Moment, online: bool) -> Option<Duration> {
        let posts = self.posts.values().filter(|_| online);
        posts
            .map(|post| post.due(now))
            .chain(self.quiet.map(|quiet| quiet.until))
            .chain(Some(self.plan_at).filter(|_| !self.drafts.is_empty()))
            .min()
    }

    fn settle(&mut self) {
        self.settled = self.routes.clone();
        self.quiet = None;
        self.plan_at = Duration::ZERO;
    }

    /// Makes the posts what they should be at this time.
    fn plan(&mut self, now: Moment) {
        self.draft(now);
        let written = self.location();
        let mut wanted = BTreeMap::new();
        for (at, draft) in self.drafts.iter().enumerate() {
            wanted.extend(
                draft
                    .names
                    .iter()
                    .map(|(period, name)| (*name, (at, *period))),
            );
        }
        if let Some(location) = &written {
            for (name, (at, period)) in &wanted {
                let draft = &self.drafts[*at];
                let content = match draft.kind {
                    Kind::Slot => Content::Slot(self.circle.mine.clone()),
                    Kind::Location => self.with_offer(location),
                    Kind::Invite => location.clone(),
                };
                let mut fresh = [0; 32];
                self.rng.fill_bytes(&mut fresh);
                let blinder = &self.blinder;
                let pen = || Pen::new(blinder, &draft.spot, *period);
                self.posts
                    .entry(*name)
                    .or_insert_with(|| Post::new(pen(), draft.kind == Kind::Slot, now))
                    .set(content, &fresh, now);
            }
        }
        let visible = written.is_some();
        // Who is to follow us to another name is told so before the old one says that we are off.
        let delay = if visible { FOLLOW } else { Duration::ZERO };
        let drafts = &self.drafts;
        let rng = &mut self.rng;
        self.posts.retain(|name, post| {
            if visible && wanted.contains_key(name) {
                return true;
            }
            // A day is over: what stood there ends by itself, and its readers have moved.
            if visible && drafts.iter().any(|draft| draft.is_old(name)) {
                return false;
            }
            let mut fresh = [0; 32];
            rng.fill_bytes(&mut fresh);
            post.sign_off(&fresh, delay, now)
        });
        for draft in &mut self.drafts {
            draft.old.clear();
        }
    }

    /// Brings the drafts up to date with the circle and their names with the day.
    fn draft(&mut self, now: Moment) {
        let me = self.blinder.id();
        let mine = &self.circle.mine;
        let told = |told: u32| told < mine.version;
        let location = Some(mine).filter(|mine| mine.version > 0 && !mine.secret.is_zero());
        let mut spots = Vec::new();
        spots.extend(location.map(|mine| (Spot::location(me, mine), Kind::Location)));
        let untold =
            self.circle.members.iter().filter(|member| {
                location.is_some() && told(member.told) && !member.pairwise.is_zero()
            });
        spots.extend(untold.map(|member| (Spot::slot(me, &member.pairwise), Kind::Slot)));
        let open = self
            .circle
            .invites
            .iter()
            .filter(|(_, end)| *end > now.unix);
        spots.extend(open.map(|(token, _)| (Spot::invite(me, token), Kind::Invite)));
        let mut before = std::mem::take(&mut self.drafts);
        for (spot, kind) in spots {
            let known = before.iter().position(|draft| draft.spot == spot);
            let mut draft =
                known.map_or_else(|| Draft::new(spot, kind), |at| before.swap_remove(at));
            draft.move_to(now.unix);
            self.drafts.push(draft);
        }
    }

    /// What is to be said of us, or nothing if we are not to be seen or cannot be met.
    fn location(&self) -> Option<Content> {
        let (cert, x_public) = self.device.clone()?;
        let (peer, relays) = self.settled.clone()?;
        let device = Device {
            cert,
            x_public,
            peer,
            relays,
        };
        (self.state != State::Off).then(|| Content::Location {
            state: self.state,
            devices: vec![device],
            offer: None,
        })
    }

    fn with_offer(&self, location: &Content) -> Content {
        let mut content = location.clone();
        if let Content::Location { offer, .. } = &mut content {
            offer.clone_from(&self.offer);
        }
        content
    }
}

impl Draft {
    fn new(spot: Spot, kind: Kind) -> Draft {
        Draft {
            spot,
            kind,
            names: BTreeMap::new(),
            old: Vec::new(),
        }
    }

    fn move_to(&mut self, unix: u64) {
        let periods = self.spot.write_periods(unix);
        let ended = self
            .names
            .extract_if(.., |period, _| !periods.contains(period));
        self.old.extend(ended.map(|(_, name)| name));
        for period in periods {
            let spot = &self.spot;
            self.names
                .entry(period)
                .or_insert_with(|| spot.name(period));
        }
    }

    fn is_old(&self, name: &Name) -> bool {
        self.old.contains(name)
    }
}

/// How long routes must have stayed the same, and how long that is waited for at most.
const QUIET: Duration = Duration::from_secs(10);
const LONGEST_QUIET: Duration = Duration::from_secs(30);
/// Between word of a new name and the last word under the old one.
const FOLLOW: Duration = Duration::from_secs(1);
/// Renewals come that much too early, at random, so that nothing links two names by their rhythm.
const JITTER_MS: u32 = 60_000;
