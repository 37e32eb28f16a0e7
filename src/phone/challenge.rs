//! What proves that the peer is at an address: eight bytes that only he can read there.
//!
//! Nothing is kept for each challenge: it carries its time, and a MAC over time and path under a
//! secret of this session. So a thousand addresses can be asked, an answer from anywhere else than
//! where we asked counts for nothing, and each answer tells its own round trip.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hmac::Mac;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use zeroize::Zeroizing;

use super::keys::{HmacSha256, keyed};
use super::types::Path;

/// `stamp u24 | MAC 5`.
pub type Nonce = [u8; 8];

/// Makes and knows the challenges of one session.
#[derive(Default)]
pub struct Challenger {
    secret: Option<Zeroizing<[u8; 16]>>,
}

impl Challenger {
    /// What to ask at `path`.
    pub fn ask(&mut self, path: Path, now: Duration, rng: &mut ChaCha20Rng) -> Nonce {
        let secret = self.secret.get_or_insert_with(|| {
            let mut secret = Zeroizing::new([0; 16]);
            rng.fill_bytes(secret.as_mut());
            secret
        });
        nonce(secret, path, stamp(now))
    }

    /// How long the answer took, if we asked just that there and not long ago.
    pub fn answered(&self, path: Path, answer: Nonce, now: Duration) -> Option<Duration> {
        let secret = self.secret.as_ref()?;
        let [a, b, c, ..] = answer;
        let asked = u32::from_le_bytes([a, b, c, 0]);
        let took = Duration::from_micros(u64::from(stamp(now).wrapping_sub(asked) & MASK) * UNIT);
        (took <= LONGEST && nonce(secret, path, asked) == answer).then_some(took)
    }
}

impl std::fmt::Debug for Challenger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenger(..)")
    }
}

fn stamp(now: Duration) -> u32 {
    (now.as_micros() / u128::from(UNIT)) as u32 & MASK
}

fn nonce(secret: &[u8; 16], path: Path, stamp: u32) -> Nonce {
    let mut mac = keyed(secret);
    mac.update(&stamp.to_le_bytes());
    let (kind, number, address) = match path {
        Path::Udp(address) => (0, 0, Some(address)),
        Path::Side(side, address) => (1, u64::from(side), Some(address)),
        // The leg is part of the kind: all below 16.
        Path::Reflected(leg) => (0x10 | leg.leg, leg.room, Some(leg.server)),
        Path::Circuit(number) => (2, number, None),
    };
    mac.update(&[kind]);
    mac.update(&number.to_le_bytes());
    if let Some(address) = address {
        update(&mut mac, address);
    }
    let mac = mac.finalize().into_bytes();
    let mut nonce = [0; 8];
    nonce[..3].copy_from_slice(&stamp.to_le_bytes()[..3]);
    nonce[3..].copy_from_slice(&mac[..5]);
    nonce
}

fn update(mac: &mut HmacSha256, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => mac.update(&ip.octets()),
        IpAddr::V6(ip) => mac.update(&ip.octets()),
    }
    mac.update(&address.port().to_le_bytes());
}

/// Microseconds that one count of the stamp stands for: 24 bits of it are 28 minutes.
const UNIT: u64 = 100;
const MASK: u32 = 0x00ff_ffff;
/// How long an answer may take: longer than any way that voice could use.
const LONGEST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    const AT: Duration = Duration::from_secs(1 << 20);

    fn paths() -> [Path; 6] {
        let address = "192.0.2.1:4000".parse().expect("an address");
        let leg = |leg| {
            Path::Reflected(crate::phone::types::Leg {
                server: address,
                room: 7,
                leg,
            })
        };
        [
            Path::Udp(address),
            Path::Udp("192.0.2.1:4001".parse().expect("an address")),
            Path::Side(7, address),
            Path::Circuit(7),
            leg(0),
            leg(1),
        ]
    }

    #[test]
    fn an_answer_counts_only_from_where_it_was_asked_and_tells_the_round_trip() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut challenger = Challenger::default();
        for asked in paths() {
            let nonce = challenger.ask(asked, AT, &mut rng);
            let later = AT + Duration::from_millis(57);
            for from in paths() {
                let took = (from == asked).then_some(Duration::from_millis(57));
                assert_eq!(challenger.answered(from, nonce, later), took, "{from:?}");
            }
        }
    }

    #[test]
    fn no_bit_may_change_and_no_answer_may_be_late() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let [path, ..] = paths();
        let mut challenger = Challenger::default();
        assert_eq!(challenger.answered(path, [0; 8], AT), None, "never asked");
        let nonce = challenger.ask(path, AT, &mut rng);
        for bit in 0..64 {
            let mut bent = nonce;
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(challenger.answered(path, bent, AT), None, "bit {bit}");
        }
        assert!(challenger.answered(path, nonce, AT + LONGEST).is_some());
        let late = AT + LONGEST + Duration::from_millis(1);
        assert_eq!(challenger.answered(path, nonce, late), None);
        let other = Challenger::default().ask(path, AT, &mut rng);
        assert_eq!(challenger.answered(path, other, AT), None);
    }
}
