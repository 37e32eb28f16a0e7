"""Keys, MACs, certificates, X-Wing and the words: the cryptography of the page, from its text.

Primitives come from `cryptography` and `kyber-py`, nothing from the program under test.
"""

import hashlib
import hmac
import os
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from kyber_py.ml_kem import ML_KEM_768

DIAL_EPOCH = 43200


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def extract(salt, secret):
    return mac(salt or bytes(32), secret)


def expand(prk, info, length=32):
    out, block = b"", b""
    while len(out) < length:
        block = mac(prk, block + info + bytes([len(out) // 32 + 1]))
        out += block
    return out[:length]


def hkdf(salt, secret, info, length=32):
    return expand(extract(salt, secret), info, length)


def x_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def x25519(secret, public):
    """Raises ValueError for a result of all zeros."""
    key = X25519PrivateKey.from_private_bytes(secret)
    return key.exchange(X25519PublicKey.from_public_bytes(public))


class Person:
    """An identity and one device of it."""

    def __init__(self, seed, x_secret, d_secret, not_before, not_after):
        self.signing = Ed25519PrivateKey.from_private_bytes(hkdf(b"", seed, b"twocan/1 identity"))
        self.identity = self.signing.public_key().public_bytes_raw()
        self.x_secret = x_secret
        self.device = x_public(x_secret)
        d_key = Ed25519PrivateKey.from_private_bytes(d_secret)
        fields = self.identity + d_key.public_key().public_bytes_raw()
        fields += struct.pack("<IIH", not_before, not_after, 0)
        self.certificate = fields + self.signing.sign(CERTIFICATE + self.device + fields)

    @staticmethod
    def new(unix):
        return Person(os.urandom(32), os.urandom(32), os.urandom(32), unix - 60, unix + 30 * 86400)


def check_certificate(certificate, device, unix, expected=None):
    """The identity that speaks for `device`."""
    if len(certificate) != 138:
        raise ValueError("a certificate of the wrong length")
    identity, fields, signature = certificate[:32], certificate[:74], certificate[74:]
    not_before, not_after = struct.unpack("<II", certificate[64:72])
    if not 0 < not_after - not_before <= 35 * 86400:
        raise ValueError("a certificate of the wrong life")
    if not not_before - 7200 <= unix <= not_after + 7200:
        raise ValueError("a certificate of another time")
    if expected is not None and identity != expected:
        raise ValueError("a certificate of somebody else")
    Ed25519PublicKey.from_public_bytes(identity).verify(signature, CERTIFICATE + device + fields)
    return identity


CERTIFICATE = b"twocan/1 device cert\0"


def dial_key(secret, epoch, device):
    return hkdf(b"", secret, b"twocan/1 dial" + struct.pack("<Q", epoch) + device)


def pairwise(invited, inviter):
    return hkdf(b"", invited + inviter, b"twocan/1 pair")


def sign_hello(hello, dial, cookie=None):
    """The HELLO with its MACs, from one with anything in their place."""
    hello = hello[:88] + mac(dial, hello[:88])[:16]
    return hello + (mac(cookie, hello)[:16] if cookie else bytes(16))


def seal_cookie(dial, mac1, cookie, nonce):
    key, nonce = xchacha(hkdf(b"", dial, b"twocan/1 cookie"), nonce)
    return ChaCha20Poly1305(key).encrypt(nonce, cookie, mac1)


def open_cookie(dial, mac1, sealed, nonce):
    key, nonce = xchacha(hkdf(b"", dial, b"twocan/1 cookie"), nonce)
    return ChaCha20Poly1305(key).decrypt(nonce, sealed, mac1)


def xchacha(key, nonce):
    """Key and nonce for ChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03, section 2.2)."""
    state = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce[:16]))

    def turn(a, b, c, d):
        for to, by, bits in ((a, b, 16), (c, d, 12), (a, b, 8), (c, d, 7)):
            other = d if to == a else b
            state[to] = (state[to] + state[by]) & 0xFFFFFFFF
            value = state[other] ^ state[to]
            state[other] = (value << bits | value >> (32 - bits)) & 0xFFFFFFFF

    for _ in range(10):
        for at in range(4):
            turn(at, 4 + at, 8 + at, 12 + at)
        for at in range(4):
            turn(at, 4 + (at + 1) % 4, 8 + (at + 2) % 4, 12 + (at + 3) % 4)
    subkey = struct.pack("<8I", *state[:4], *state[12:])
    return subkey, bytes(4) + nonce[16:]


class XWing:
    """A key pair of X-Wing."""

    def __init__(self, seed):
        expanded = hashlib.shake_256(seed).digest(96)
        self.ek_m, self.dk_m = ML_KEM_768.key_derive(expanded[:64])
        self.x_secret = expanded[64:]
        self.ek = self.ek_m + x_public(self.x_secret)

    def decapsulate(self, ct):
        ss_m = ML_KEM_768.decaps(self.dk_m, ct[:1088])
        return combine(ss_m, x25519(self.x_secret, ct[1088:]), ct[1088:], self.ek[1184:])


def encapsulate(ek, randomness=None):
    """Ciphertext and secret."""
    randomness = randomness or os.urandom(64)
    # The public interface of kyber-py checks the key but draws its own randomness.
    ML_KEM_768.encaps(ek[:1184])
    ss_m, ct_m = ML_KEM_768._encaps_internal(ek[:1184], randomness[:32])
    ct_x = x_public(randomness[32:])
    return ct_m + ct_x, combine(ss_m, x25519(randomness[32:], ek[1184:]), ct_x, ek[1184:])


def combine(ss_m, ss_x, ct_x, pk_x):
    return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + bytes.fromhex("5c2e2f2f5e5c")).digest()


def first_chain_key(h, k1, k2):
    return extract(h, k1 + k2)


def next_chain_key(chain, ss, ek, ct):
    return extract(chain, ss + hashlib.sha256(ek + ct).digest())


def data_key(chain, direction):
    return ChaCha20Poly1305(expand(chain, b"twocan/1 data" + bytes([direction])))


def index(chain, direction):
    return struct.unpack("<I", expand(chain, b"twocan/1 idx" + bytes([direction]), 4))[0]


def transcript(h, ek, ct, initiator, responder, initiator_device, responder_device):
    parts = h + ek + ct + initiator + responder + initiator_device + responder_device
    return hashlib.sha256(b"twocan/1 transcript\0" + parts).digest()


def commitment(caller_nonce, t):
    return hashlib.sha256(b"twocan/1 sas commit\0" + caller_nonce + t).digest()


def sas(t, caller_nonce, callee_nonce):
    return hkdf(t, caller_nonce + callee_nonce, b"twocan/1 sas", 4)
