"""IDs and invite lines: sections IDENTITY and INVITES of the page."""

import ipaddress
import struct
from dataclasses import dataclass, field

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

# Generator, bits of the residue, first residue to be right, characters of checksum.
BECH32M = ([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3], 30, 0x2BC830A3, 6)
LONG = (
    [
        0x3D59D273535EA62D897,
        0x7A9BECB6361C6C51507,
        0x543F9B7E6C38D8A2A0E,
        0x0C577EAECCF1990D13C,
        0x1887F74F8DC71B10651,
    ],
    75,
    0x43381E570BF4798AB26,
    15,
)


@dataclass
class Invite:
    identity: bytes
    device: bytes
    token: bytes
    expires: int
    hints: list = field(default_factory=list)
    public: bool = False

    def to_line(self):
        shape = len(self.hints) | self.public << 3
        tail = b""
        for at, (host, port) in enumerate(self.hints):
            packed = ipaddress.ip_address(host).packed
            shape |= (len(packed) == 16) << (4 + at)
            tail += packed + struct.pack("<H", port)
        payload = bytes([1, shape]) + self.identity + self.device + self.token
        payload += struct.pack("<I", self.expires) + tail
        return "twocan:1:" + spell("twocan", to_fives(payload), LONG)


def parse_invite(line):
    line = line.strip()
    if not line.lower().startswith("twocan:1:"):
        raise ValueError("not an invite")
    payload = to_bytes(read("twocan", line[9:], LONG))
    version, shape = payload[0], payload[1]
    count = shape & 7
    if version != 1 or count > 4 or shape >> (4 + count):
        raise ValueError("an invite of a later version")
    invite = Invite(payload[2:34], payload[34:66], payload[66:82], *struct.unpack("<I", payload[82:86]))
    invite.public = bool(shape & 8)
    at = 86
    for hint in range(count):
        size = 16 if shape >> (4 + hint) & 1 else 4
        host = str(ipaddress.ip_address(payload[at : at + size]))
        invite.hints.append((host, *struct.unpack("<H", payload[at + size : at + size + 2])))
        at += size + 2
    if at != len(payload):
        raise ValueError("an invite of the wrong length")
    return invite


def write_id(identity):
    return "tc1" + spell("tc", to_fives(b"\x01" + identity), BECH32M)


def read_id(text):
    payload = to_bytes(read("tc", text[3:], BECH32M))
    if not text.startswith("tc1") or payload[0] != 1 or len(payload) != 33:
        raise ValueError("not an ID")
    return payload[1:]


def polymod(values, code):
    generator, bits, _, _ = code
    residue = 1
    for value in values:
        top = residue >> (bits - 5)
        residue = ((residue & ((1 << (bits - 5)) - 1)) << 5) ^ value
        for k in range(5):
            if top >> k & 1:
                residue ^= generator[k]
    return residue


def expand(prefix):
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def spell(prefix, data, code):
    _, _, target, length = code
    residue = polymod(expand(prefix) + data + [0] * length, code) ^ target
    checksum = [residue >> 5 * (length - 1 - at) & 31 for at in range(length)]
    return "".join(ALPHABET[value] for value in data + checksum)


def read(prefix, text, code):
    if text not in (text.lower(), text.upper()):
        raise ValueError("mixed case")
    values = [ALPHABET.index(c) for c in text.lower()]
    if polymod(expand(prefix) + values, code) != code[2]:
        raise ValueError("wrong checksum")
    return values[: -code[3]]


def to_fives(data):
    number = int.from_bytes(data, "big")
    count = -(-len(data) * 8 // 5)
    number <<= count * 5 - len(data) * 8
    return [number >> 5 * (count - 1 - at) & 31 for at in range(count)]


def to_bytes(values):
    number = 0
    for value in values:
        number = number << 5 | value
    length = len(values) * 5 // 8
    spare = len(values) * 5 - length * 8
    if number & ((1 << spare) - 1):
        raise ValueError("spare bits are not zero")
    return (number >> spare).to_bytes(length, "big")
