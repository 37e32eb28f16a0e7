//! What stands in a record for those who can open it.

use zeroize::Zeroizing;

use crate::directory::sealed::PLAIN;
use crate::peer::{DeviceCert, PeerId, Reach, Redacted, Secret32};

/// Devices that a record can list.
pub const MAX_DEVICES: usize = 4;
/// Relays that a record can list for each device.
pub const MAX_RELAYS: usize = 3;
/// Bytes that the address of a relay can have.
pub const MAX_RELAY: usize = 128;
/// Bytes that the libp2p PeerId of a device can have.
pub const MAX_PEER: usize = 42;

/// What a record tells its readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// How a person can be reached: in the location, and in the copies for invites.
    Location {
        state: State,
        devices: Vec<Device>,
        /// Never in a copy for an invite: it is for contacts.
        offer: Option<Offer>,
    },
    /// Under which secret the writer's location stands from now on: in a slot.
    Slot(Reach),
}

/// What a person says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Gone, or not to be seen.
    #[default]
    Off,
    Available,
    Away,
    DoNotDisturb,
}

/// One device and where it can be met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub cert: DeviceCert,
    /// `X_d`, its Noise static key.
    pub x_public: [u8; 32],
    /// Its libp2p PeerId in bytes, at most [`MAX_PEER`].
    pub peer: Vec<u8>,
    /// Multiaddrs of the relays that know it, each at most [`MAX_RELAY`] bytes; at most
    /// [`MAX_RELAYS`].
    pub relays: Vec<Vec<u8>>,
}

/// An ultrapeer that the writer runs for his contacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its multiaddr with `/p2p`, at most [`MAX_RELAY`] bytes.
    pub relay: Vec<u8>,
    /// The secret of the pass that its reflector wants to see.
    pub pass: Redacted<[u8; 16]>,
}

impl Content {
    pub(super) fn encode(&self) -> Zeroizing<[u8; PLAIN]> {
        let mut plain = Zeroizing::new([0; PLAIN]);
        let mut bytes = Zeroizing::new(Vec::with_capacity(PLAIN));
        bytes.push(VERSION);
        match self {
            Content::Location {
                state,
                devices,
                offer,
            } => {
                bytes.extend([LOCATION, state.code()]);
                let offer = offer.as_ref().map(Offer::encode).unwrap_or_default();
                encode_devices(devices, PLAIN - offer.len(), &mut bytes);
                bytes.extend(offer);
            }
            Content::Slot(reach) => {
                bytes.push(SLOT);
                bytes.extend(reach.version.to_le_bytes());
                bytes.extend(reach.secret.as_bytes());
            }
        }
        plain[..bytes.len()].copy_from_slice(&bytes);
        plain
    }

    /// Reads what `id` has written. Bytes behind what is known are ignored, so that later versions
    /// can add to it.
    pub(super) fn decode(plain: &[u8], id: &PeerId) -> Option<Content> {
        let mut reader = Reader(plain);
        if reader.byte()? != VERSION {
            return None;
        }
        match reader.byte()? {
            LOCATION => {
                let state = State::from_code(reader.byte()?)?;
                let count = usize::from(reader.byte()?);
                if count > MAX_DEVICES {
                    return None;
                }
                let devices = (0..count)
                    .map(|_| reader.device(id))
                    .collect::<Option<_>>()?;
                let offer = reader.offer();
                Some(Content::Location {
                    state,
                    devices,
                    offer,
                })
            }
            SLOT => {
                let version = u32::from_le_bytes(reader.array()?);
                let secret = Secret32::new(reader.array()?);
                let told = version > 0 && !secret.is_zero();
                told.then_some(Content::Slot(Reach { version, secret }))
            }
            _ => None,
        }
    }
}

impl State {
    fn code(self) -> u8 {
        match self {
            State::Off => 0,
            State::Available => 1,
            State::Away => 2,
            State::DoNotDisturb => 3,
        }
    }

    fn from_code(code: u8) -> Option<State> {
        Some(match code {
            0 => State::Off,
            1 => State::Available,
            2 => State::Away,
            3 => State::DoNotDisturb,
            _ => return None,
        })
    }
}

impl Offer {
    /// Nothing where the address is too long.
    fn encode(&self) -> Vec<u8> {
        if self.relay.is_empty() || self.relay.len() > MAX_RELAY {
            return Vec::new();
        }
        [&[self.relay.len() as u8], &self.relay[..], &self.pass.0].concat()
    }
}

impl Device {
    /// Bytes of the device without its relays.
    fn len(&self) -> usize {
        32 + CERT + 1 + self.peer.len() + 1
    }
}

/// Writes them, with as many relays as fit into `most` bytes altogether.
fn encode_devices(devices: &[Device], most: usize, out: &mut Vec<u8>) {
    let devices: Vec<&Device> = devices
        .iter()
        .filter(|device| device.peer.len() <= MAX_PEER)
        .take(MAX_DEVICES)
        .collect();
    let mut relays: Vec<Vec<&[u8]>> = devices
        .iter()
        .map(|device| {
            let fitting = device.relays.iter().map(Vec::as_slice);
            fitting
                .filter(|relay| relay.len() <= MAX_RELAY)
                .take(MAX_RELAYS)
                .collect()
        })
        .collect();
    let fixed: usize = devices.iter().map(|device| device.len()).sum();
    while room(&relays) + fixed + out.len() + 1 > most {
        let longest = relays.iter_mut().max_by_key(|relays| relays.len());
        longest.expect("without devices it fits").pop();
    }
    out.push(devices.len() as u8);
    for (device, relays) in devices.iter().zip(relays) {
        out.extend(device.x_public);
        out.extend(&device.cert.to_bytes()[32..]);
        out.push(device.peer.len() as u8);
        out.extend(&device.peer);
        out.push(relays.len() as u8);
        for relay in relays {
            out.push(relay.len() as u8);
            out.extend(relay);
        }
    }
}

fn room(relays: &[Vec<&[u8]>]) -> usize {
    relays.iter().flatten().map(|relay| 1 + relay.len()).sum()
}

/// Takes from the front; nothing where there is too little.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn bytes(&mut self, most: usize) -> Option<Vec<u8>> {
        let length = usize::from(self.byte()?);
        if length > most {
            return None;
        }
        self.take(length).map(<[u8]>::to_vec)
    }

    /// Where nothing more is said, zeros follow, or nothing.
    fn offer(&mut self) -> Option<Offer> {
        let relay = self.bytes(MAX_RELAY).filter(|relay| !relay.is_empty())?;
        let pass = Redacted(self.array()?);
        Some(Offer { relay, pass })
    }

    fn device(&mut self, id: &PeerId) -> Option<Device> {
        let x_public = self.array()?;
        let cert = [&id.as_bytes()[..], self.take(CERT)?].concat();
        let cert = DeviceCert::parse(&cert).ok()?;
        let peer = self.bytes(MAX_PEER)?;
        let count = usize::from(self.byte()?);
        if count > MAX_RELAYS {
            return None;
        }
        let relays = (0..count)
            .map(|_| self.bytes(MAX_RELAY))
            .collect::<Option<_>>()?;
        Some(Device {
            cert,
            x_public,
            peer,
            relays,
        })
    }
}

const VERSION: u8 = 1;
const LOCATION: u8 = 1;
const SLOT: u8 = 2;
/// Bytes of a certificate without the identity, which the reader knows.
const CERT: usize = DeviceCert::LEN - 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::peer::{DeviceKeys, Identity, Seed};

    fn identity() -> Identity {
        Identity::from_seed(&Seed::from_bytes([1; 32]))
    }

    fn device(peer: usize, relays: &[usize]) -> Device {
        let keys = DeviceKeys::from_secrets([2; 32], [3; 32]);
        Device {
            cert: identity().certify(&keys, 1_800_000_000, 1_800_086_400, 0),
            x_public: keys.x_public(),
            peer: vec![0x11; peer],
            relays: relays.iter().map(|length| vec![0x22; *length]).collect(),
        }
    }

    fn location(devices: Vec<Device>) -> Content {
        let state = State::Away;
        Content::Location {
            state,
            devices,
            offer: None,
        }
    }

    fn offering(devices: Vec<Device>, relay: usize) -> Content {
        Content::Location {
            state: State::Available,
            devices,
            offer: Some(Offer {
                relay: vec![0x33; relay],
                pass: Redacted([0x44; 16]),
            }),
        }
    }

    fn again(content: &Content) -> Option<Content> {
        Content::decode(&content.encode()[..], &identity().id())
    }

    #[test]
    fn contents_come_back() {
        let slot = Content::Slot(Reach {
            version: 7,
            secret: Secret32::new([8; 32]),
        });
        let contents = [
            slot,
            location(vec![]),
            location(vec![device(38, &[60, 128, 0])]),
            location(vec![device(MAX_PEER, &[MAX_RELAY]); MAX_DEVICES]),
            offering(vec![device(38, &[60, 128, 128])], MAX_RELAY),
            offering(vec![], 1),
        ];
        for content in contents {
            assert_eq!(again(&content).as_ref(), Some(&content));
        }
    }

    #[test]
    fn too_much_is_left_out_and_the_rest_stays() {
        let full = location(vec![device(42, &[128, 128, 128]); 4]);
        let Some(Content::Location { devices, .. }) = again(&full) else {
            panic!("not read back");
        };
        assert_eq!(devices.len(), 4);
        assert!(devices.iter().all(|device| device.relays.len() == 1));
        let five = location(vec![device(38, &[20; 9]); 5]);
        let Some(Content::Location { devices, .. }) = again(&five) else {
            panic!("not read back");
        };
        assert_eq!(devices, vec![device(38, &[20; 3]); 4]);
        let crowded = offering(vec![device(42, &[128, 128, 128]); 4], MAX_RELAY);
        let Some(Content::Location { devices, offer, .. }) = again(&crowded) else {
            panic!("not read back");
        };
        let relays: usize = devices.iter().map(|device| device.relays.len()).sum();
        assert!(
            offer.is_some() && devices.len() == 4 && relays >= 2,
            "{relays}"
        );
        let endless = again(&offering(vec![], MAX_RELAY + 1));
        assert!(matches!(
            endless,
            Some(Content::Location { offer: None, .. })
        ));
        let long = location(vec![device(38, &[129, 10]), device(43, &[])]);
        assert_eq!(again(&long), Some(location(vec![device(38, &[10])])));
    }

    #[test]
    fn a_slot_without_a_secret_says_nothing() {
        assert_eq!(again(&Content::Slot(Reach::default())), None);
    }

    #[test]
    fn what_ends_early_is_refused() {
        let content = location(vec![device(38, &[60]); 2]);
        let length = 4 + 2 * (32 + 106 + 1 + 38 + 1 + 61);
        let plain = content.encode();
        for cut in 0..length {
            assert_eq!(Content::decode(&plain[..cut], &identity().id()), None);
        }
        let whole = Content::decode(&plain[..length], &identity().id());
        assert_eq!(whole, Some(content));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut plain: Vec<u8>, kind in 0..4_u8) {
            plain.splice(0..0, [VERSION, kind]);
            if let Some(content) = Content::decode(&plain, &identity().id()) {
                prop_assert_eq!(again(&content), Some(content));
            }
        }

        #[test]
        fn damaged_contents_never_panic(changes in prop::collection::vec((0..PLAIN, any::<u8>()), 0..8)) {
            let mut plain = location(vec![device(38, &[60, 61]); 3]).encode();
            for (at, byte) in changes {
                plain[at] = byte;
            }
            if let Some(content) = Content::decode(&plain[..], &identity().id()) {
                prop_assert_eq!(again(&content), Some(content));
            }
        }
    }
}
