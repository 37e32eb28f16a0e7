//! Who may knock: the silent door in front of the handshake.
//!
//! A HELLO carries a MAC keyed by a *dial key* that only a contact or the holder of an open invite
//! can compute. To everybody else the port is silent, so it cannot be probed for who lives there
//! (the flaw of WireGuard's `mac1`, which is keyed by the public key: NDSS 2024). Dial keys are
//! pairwise, so a contact who is blocked or removed finds the same silence at once, and nobody else
//! has to be told. Checks run from cheap to dear: form, MAC, cookie under load, address bucket.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hmac::{KeyInit, Mac};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use zeroize::Zeroizing;

use super::keys::{HmacSha256, derive, keyed, truncated};
use super::types::{Datagram, Now, Path};
use super::wire::{self, Cookie, Hello, MAC1_COVERS, MAC2_COVERS};
use crate::peer::PeerId;

/// Whose dial key a HELLO was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Contact(PeerId),
    /// By the token of an open invite.
    Invite([u8; 16]),
}

#[derive(Debug)]
pub enum Verdict {
    Admit(Caller),
    /// We are under load: come again with this cookie.
    Challenge(Box<Datagram>),
    /// Say nothing.
    Drop,
}

/// The secret of one contact or invite, from which its dial keys come.
#[derive(Clone)]
pub struct Secret {
    pub caller: Caller,
    pub secret: Zeroizing<Vec<u8>>,
    /// Seconds since 1970 from which on it lets nobody in.
    pub until: u64,
}

pub struct Gate {
    device: [u8; 32],
    secrets: Vec<Secret>,
    doors: Vec<Door>,
    /// Dial epochs for which `doors` was made.
    epochs: Vec<u64>,
    jar: CookieJar,
    checked: Rate,
    valid: Rate,
    buckets: BTreeMap<Prefix, Bucket>,
}

struct Door {
    caller: Caller,
    until: u64,
    dial: Zeroizing<[u8; 32]>,
    /// Keyed once, cloned for each check.
    mac: HmacSha256,
}

impl Gate {
    /// `device` is our own static public key.
    pub fn new(device: [u8; 32], rng: &mut ChaCha20Rng) -> Gate {
        Gate {
            device,
            secrets: Vec::new(),
            doors: Vec::new(),
            epochs: Vec::new(),
            jar: CookieJar::new(rng),
            checked: Rate::default(),
            valid: Rate::default(),
            buckets: BTreeMap::new(),
        }
    }

    /// Replaces the list of those who may knock.
    pub fn admit_only(&mut self, secrets: Vec<Secret>) {
        self.secrets = secrets;
        self.epochs.clear();
    }

    /// Decides about one HELLO. `half_open` handshakes wait for their FINISH.
    pub fn judge(
        &mut self,
        hello: &Hello<'_>,
        from: Path,
        half_open: usize,
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Verdict {
        self.refresh(now.unix);
        if self.checked.count(now.mono, self.doors.len()) > MAX_CHECKS {
            return Verdict::Drop;
        }
        let open = |door: &&Door| now.unix < door.until && door.fits(hello);
        let Some(door) = self.doors.iter().find(open) else {
            return Verdict::Drop;
        };
        let caller = door.caller;
        let busy =
            self.valid.count(now.mono, 1) > MAX_HELLOS || half_open >= HALF_OPEN_BEFORE_COOKIES;
        if busy && !self.jar.accepts(hello, from, now.mono, rng) {
            let cookie = self.jar.bake(from, now.mono, rng);
            return match seal_cookie(&door.dial, hello, &cookie, rng) {
                Some(datagram) => Verdict::Challenge(Box::new(datagram)),
                None => Verdict::Drop,
            };
        }
        if !self.take(from, now.mono) {
            return Verdict::Drop;
        }
        Verdict::Admit(caller)
    }

    fn refresh(&mut self, unix: u64) {
        let epochs = dial_epochs(unix);
        if epochs == self.epochs {
            return;
        }
        self.doors = self
            .secrets
            .iter()
            .flat_map(|secret| {
                epochs
                    .iter()
                    .map(|&epoch| Door::new(secret, epoch, &self.device))
            })
            .collect();
        self.epochs = epochs;
    }

    /// Takes one HELLO from the bucket of the sender's network.
    fn take(&mut self, from: Path, now: Duration) -> bool {
        let prefix = prefix(from);
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(&prefix) {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(&prefix) {
            return false;
        }
        self.buckets
            .entry(prefix)
            .or_insert_with(|| Bucket::full(now))
            .take(now)
    }
}

impl Door {
    fn new(secret: &Secret, epoch: u64, device: &[u8; 32]) -> Door {
        let dial = dial_key(&secret.secret, epoch, device);
        Door {
            caller: secret.caller,
            until: secret.until,
            mac: keyed(dial.as_ref()),
            dial,
        }
    }

    fn fits(&self, hello: &Hello<'_>) -> bool {
        let mac = self.mac.clone().chain_update(&hello.whole[..MAC1_COVERS]);
        mac.verify_truncated_left(hello.mac1).is_ok()
    }
}

/// The key of `mac1`, for calls to the phone whose static key is `device`.
pub fn dial_key(secret: &[u8], epoch: u64, device: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let info = [b"twocan/1 dial".as_slice(), &epoch.to_le_bytes(), device].concat();
    derive(b"", secret, &info, key.as_mut());
    key
}

/// The dial epoch: 12 hours, counted from 1970.
pub fn dial_epoch(unix: u64) -> u64 {
    unix / DIAL_EPOCH
}

/// Fills in `mac1` and, when a cookie is at hand, `mac2`. Returns `mac1`.
pub fn sign(hello: &mut Datagram, dial: &[u8; 32], cookie: Option<&[u8; 16]>) -> [u8; 16] {
    let mac1 = truncated(keyed(dial).chain_update(&hello[..MAC1_COVERS]));
    hello[MAC1_COVERS..MAC2_COVERS].copy_from_slice(&mac1);
    if let Some(cookie) = cookie {
        let mac2 = truncated(keyed(cookie).chain_update(&hello[..MAC2_COVERS]));
        hello[MAC2_COVERS..].copy_from_slice(&mac2);
    }
    mac1
}

/// The cookie in a COOKIE packet that answers the HELLO with this `mac1`.
pub fn open_cookie(dial: &[u8; 32], mac1: &[u8; 16], packet: &Cookie<'_>) -> Option<[u8; 16]> {
    let (sealed, tag) = packet.sealed.split_first_chunk::<16>()?;
    let nonce = XNonce::try_from(packet.nonce).ok()?;
    let mut cookie = *sealed;
    cookie_cipher(dial)
        .decrypt_inout_detached(
            &nonce,
            mac1,
            (&mut cookie[..]).into(),
            &Tag::try_from(tag).ok()?,
        )
        .ok()?;
    Some(cookie)
}

fn seal_cookie(
    dial: &[u8; 32],
    hello: &Hello<'_>,
    cookie: &[u8; 16],
    rng: &mut ChaCha20Rng,
) -> Option<Datagram> {
    let mut nonce = [0; 24];
    rng.fill_bytes(&mut nonce);
    let sealed = seal_with(dial, hello.mac1, cookie, &nonce)?;
    Some(wire::cookie(hello.sidx, &nonce, &sealed))
}

/// The cookie and its tag, bound to the HELLO with this `mac1`.
pub(super) fn seal_with(
    dial: &[u8; 32],
    mac1: &[u8],
    cookie: &[u8; 16],
    nonce: &[u8; 24],
) -> Option<[u8; 32]> {
    let mut sealed = [0; 32];
    let (body, tag) = sealed.split_at_mut(16);
    body.copy_from_slice(cookie);
    let made = cookie_cipher(dial)
        .encrypt_inout_detached(&(*nonce).into(), mac1, body.into())
        .ok()?;
    tag.copy_from_slice(&made);
    Some(sealed)
}

fn cookie_cipher(dial: &[u8; 32]) -> XChaCha20Poly1305 {
    let mut key = Zeroizing::new([0; 32]);
    derive(b"", dial, b"twocan/1 cookie", key.as_mut());
    XChaCha20Poly1305::new((&*key).into())
}

/// The secrets behind cookies: a cookie proves that its bearer receives at his address.
struct CookieJar {
    secret: [u8; 32],
    previous: [u8; 32],
    since: Duration,
}

impl CookieJar {
    fn new(rng: &mut ChaCha20Rng) -> CookieJar {
        let mut jar = CookieJar {
            secret: [0; 32],
            previous: [0; 32],
            since: Duration::ZERO,
        };
        rng.fill_bytes(&mut jar.secret);
        rng.fill_bytes(&mut jar.previous);
        jar
    }

    fn bake(&mut self, from: Path, now: Duration, rng: &mut ChaCha20Rng) -> [u8; 16] {
        self.turn(now, rng);
        cookie_for(&self.secret, from)
    }

    fn accepts(
        &mut self,
        hello: &Hello<'_>,
        from: Path,
        now: Duration,
        rng: &mut ChaCha20Rng,
    ) -> bool {
        self.turn(now, rng);
        [self.secret, self.previous].iter().any(|secret| {
            keyed(&cookie_for(secret, from))
                .chain_update(&hello.whole[..MAC2_COVERS])
                .verify_truncated_left(hello.mac2)
                .is_ok()
        })
    }

    fn turn(&mut self, now: Duration, rng: &mut ChaCha20Rng) {
        let age = now.saturating_sub(self.since);
        if age < COOKIE_LIFE {
            return;
        }
        self.previous = self.secret;
        rng.fill_bytes(&mut self.secret);
        if age >= 2 * COOKIE_LIFE {
            rng.fill_bytes(&mut self.previous);
        }
        self.since = now;
    }
}

fn cookie_for(secret: &[u8; 32], from: Path) -> [u8; 16] {
    let address = match from {
        Path::Udp(address) | Path::Side(_, address) => address,
        Path::Reflected(leg) => {
            let mac = keyed(secret).chain_update(b"reflected");
            return truncated(mac.chain_update(leg.room.to_le_bytes()));
        }
        Path::Circuit(id) => {
            let mac = keyed(secret).chain_update(b"circuit");
            return truncated(mac.chain_update(id.to_le_bytes()));
        }
    };
    let mac = keyed(secret).chain_update(address.port().to_le_bytes());
    truncated(match address.ip() {
        IpAddr::V4(ip) => mac.chain_update(ip.octets()),
        IpAddr::V6(ip) => mac.chain_update(ip.octets()),
    })
}

fn dial_epochs(unix: u64) -> Vec<u64> {
    let mut epochs = vec![
        dial_epoch(unix),
        dial_epoch(unix.saturating_sub(CLOCK_SLACK)),
        dial_epoch(unix + CLOCK_SLACK),
    ];
    epochs.dedup();
    epochs
}

/// Events in the running second.
#[derive(Default)]
struct Rate {
    second: u64,
    events: usize,
}

impl Rate {
    fn count(&mut self, now: Duration, events: usize) -> usize {
        if self.second != now.as_secs() {
            self.second = now.as_secs();
            self.events = 0;
        }
        self.events = self.events.saturating_add(events);
        self.events
    }
}

/// IPv4 /24 or IPv6 /48: what one network can easily speak from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Prefix {
    V4([u8; 3]),
    V6([u8; 6]),
    /// All circuits together: a relay hides who speaks through it.
    Circuit,
}

fn prefix(from: Path) -> Prefix {
    let Some(address) = from.udp() else {
        return Prefix::Circuit;
    };
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            Prefix::V4([a, b, c])
        }
        IpAddr::V6(ip) => Prefix::V6(*ip.octets().first_chunk().expect("16 octets")),
    }
}

/// Token bucket: [`BUCKET_RATE`] a second, [`BUCKET_BURST`] at once.
struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Bucket {
    fn full(now: Duration) -> Bucket {
        Bucket {
            tokens: BUCKET_BURST,
            at: now,
        }
    }

    fn refilled(&self, now: Duration) -> f64 {
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        (self.tokens + elapsed * BUCKET_RATE).min(BUCKET_BURST)
    }

    fn is_full(&self, now: Duration) -> bool {
        self.refilled(now) >= BUCKET_BURST
    }

    fn take(&mut self, now: Duration) -> bool {
        self.tokens = self.refilled(now);
        self.at = now;
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        allowed
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}

const DIAL_EPOCH: u64 = 12 * 3600;
/// How far two clocks may be apart at the border of two dial epochs, in seconds.
const CLOCK_SLACK: u64 = 2 * 3600;
/// MACs computed for HELLOs in a second at most, one for each contact and invite: less than a tenth
/// of a processor, so a phone with few contacts stays reachable in any flood that its line carries.
const MAX_CHECKS: usize = 200_000;
/// HELLOs with a right MAC in a second, above which cookies are asked for.
const MAX_HELLOS: usize = 50;
const HALF_OPEN_BEFORE_COOKIES: usize = 32;
const COOKIE_LIFE: Duration = Duration::from_secs(120);
const BUCKET_RATE: f64 = 5.0;
const BUCKET_BURST: f64 = 10.0;
const MAX_BUCKETS: usize = 1024;
