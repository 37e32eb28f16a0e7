//! `Noise_XK_25519_ChaChaPoly_SHA256` by snow: three messages, then the split keys and nothing else.
//!
//! snow draws its ephemeral keys from a generator of ours, so that the whole phone is a function of
//! its inputs. Its Diffie-Hellman accepts low-order points; ours refuses them.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::keys::ChainKey;
use super::wire::{NOISE1, NOISE2, NOISE3};
use crate::peer::{DeviceCert, PeerId};

/// Bytes of HELLO's encrypted payload: zeros, kept for later versions.
const PAYLOAD1: usize = 32;
/// Bytes of REPLY's encrypted payload: the responder's index, then zeros.
const PAYLOAD2: usize = 16;

const PATTERN: &str = "Noise_XK_25519_ChaChaPoly_SHA256";

/// One side's handshake under way.
pub struct Handshake(HandshakeState);

/// What a finished handshake leaves.
#[derive(Debug)]
pub struct Finished {
    pub chain: ChainKey,
    /// Hash of all that was said, for the transcript.
    pub hash: [u8; 32],
}

/// The peer's bytes do not fit this handshake. Deliberately without detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl Handshake {
    /// As caller: `peer` is the identity that is dialled, `device` its phone's static key.
    pub fn initiator(
        secret: &[u8; 32],
        peer: &PeerId,
        device: &[u8; 32],
        rng: &mut ChaCha20Rng,
    ) -> Result<Handshake, Refused> {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        let state = builder(seed)
            .prologue(&prologue(peer))
            .and_then(|b| b.local_private_key(secret))
            .and_then(|b| b.remote_public_key(device))
            .and_then(Builder::build_initiator);
        state.map(Handshake).map_err(|_| Refused)
    }

    /// As callee, after a HELLO: `own` is our identity, `index` where FINISH shall go. Also returns
    /// REPLY. The same arguments, of which `seed` is to be random, give the same handshake again.
    ///
    /// The index stands in REPLY's head too, but counts only here, where nobody can change it on
    /// the way.
    pub fn responder(
        secret: &[u8; 32],
        own: &PeerId,
        hello: &[u8],
        index: u32,
        seed: Zeroizing<[u8; 32]>,
    ) -> Result<(Handshake, [u8; NOISE2]), Refused> {
        let state = builder(seed)
            .prologue(&prologue(own))
            .and_then(|b| b.local_private_key(secret))
            .and_then(Builder::build_responder);
        let mut handshake = state.map(Handshake).map_err(|_| Refused)?;
        handshake.read::<PAYLOAD1>(hello)?;
        let mut payload = [0; PAYLOAD2];
        payload[..4].copy_from_slice(&index.to_le_bytes());
        let reply = handshake.write(&payload)?;
        Ok((handshake, reply))
    }

    pub fn write_hello(&mut self) -> Result<[u8; NOISE1], Refused> {
        self.write(&[0; PAYLOAD1])
    }

    /// The index to send FINISH to. After an error the handshake stands as before.
    pub fn read_reply(&mut self, noise: &[u8]) -> Result<u32, Refused> {
        let payload = self.read::<PAYLOAD2>(noise)?;
        let (index, _) = payload.split_first_chunk().ok_or(Refused)?;
        Ok(u32::from_le_bytes(*index))
    }

    pub fn write_finish(&mut self, cert: &DeviceCert) -> Result<[u8; NOISE3], Refused> {
        self.write(&cert.to_bytes())
    }

    /// The caller's certificate and static key. The certificate is not judged here.
    ///
    /// After an error the handshake is spoilt: snow 0.10 sets its hash and chaining key back, but
    /// not the cipher's key, which this message changes half way. [`Handshake::responder`] makes it
    /// anew.
    pub fn read_finish(&mut self, noise: &[u8]) -> Result<(DeviceCert, [u8; 32]), Refused> {
        let payload = self.read::<{ DeviceCert::LEN }>(noise)?;
        let device = self.0.get_remote_static().ok_or(Refused)?;
        let device = <[u8; 32]>::try_from(device).map_err(|_| Refused)?;
        let cert = DeviceCert::parse(&payload).map_err(|_| Refused)?;
        Ok((cert, device))
    }

    /// The keys, once all three messages have been said.
    pub fn split(mut self) -> Result<Finished, Refused> {
        if !self.0.is_handshake_finished() {
            return Err(Refused);
        }
        let hash = self.0.get_handshake_hash();
        let hash = <[u8; 32]>::try_from(hash).map_err(|_| Refused)?;
        let (i2r, r2i) = self.0.dangerously_get_raw_split();
        let (i2r, r2i) = (Zeroizing::new(i2r), Zeroizing::new(r2i));
        Ok(Finished {
            chain: ChainKey::first(&hash, &i2r, &r2i),
            hash,
        })
    }

    fn write<const N: usize>(&mut self, payload: &[u8]) -> Result<[u8; N], Refused> {
        let mut out = [0; N];
        match self.0.write_message(payload, &mut out) {
            Ok(length) if length == N => Ok(out),
            _ => Err(Refused),
        }
    }

    fn read<const N: usize>(&mut self, noise: &[u8]) -> Result<[u8; N], Refused> {
        let mut payload = [0; N];
        match self.0.read_message(noise, &mut payload) {
            Ok(length) if length == N => Ok(payload),
            _ => Err(Refused),
        }
    }
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handshake(..)")
    }
}

fn prologue(responder: &PeerId) -> Vec<u8> {
    [b"twocan/1\0".as_slice(), responder.as_bytes()].concat()
}

fn builder<'a>(seed: Zeroizing<[u8; 32]>) -> Builder<'a> {
    let params: NoiseParams = PATTERN
        .parse()
        .expect("the pattern is a constant that parses");
    Builder::with_resolver(params, Box::new(Resolver(seed)))
}

/// snow's own primitives, but our randomness and a Diffie-Hellman that refuses low-order points.
struct Resolver(Zeroizing<[u8; 32]>);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SeededRandom(ChaCha20Rng::from_seed(*self.0))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519)
            .then(|| Box::new(CheckedDh::default()) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct SeededRandom(ChaCha20Rng);

impl Random for SeededRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}

#[derive(Default)]
struct CheckedDh {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl CheckedDh {
    fn derive_public(&mut self) {
        self.public = PublicKey::from(&StaticSecret::from(*self.secret)).to_bytes();
    }
}

impl Dh for CheckedDh {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, privkey: &[u8]) {
        self.secret.copy_from_slice(privkey);
        self.derive_public();
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        rng.try_fill_bytes(self.secret.as_mut())?;
        self.derive_public();
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_ref()
    }

    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let point = pubkey.first_chunk::<32>().ok_or(snow::Error::Dh)?;
        let shared = StaticSecret::from(*self.secret).diffie_hellman(&PublicKey::from(*point));
        if !shared.was_contributory() {
            return Err(snow::Error::Dh);
        }
        let out = out.first_chunk_mut::<32>().ok_or(snow::Error::Dh)?;
        out.copy_from_slice(shared.as_bytes());
        Ok(())
    }
}
