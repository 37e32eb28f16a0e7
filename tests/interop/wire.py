"""Datagrams, plaintexts, items and messages: sections DATAGRAMS, PLAINTEXT, STREAMS and SIGNALS."""

import ipaddress
import struct

HELLO, REPLY, FINISH, COOKIE, DATA = 1, 2, 3, 4, 0x10
SIZES = {HELLO: 120, REPLY: 76, FINISH: 210, COOKIE: 64}

# Items.
SEGMENT = {"signals": 1, "keys": 2}
ACK = {"signals": 3, "keys": 4}
PING, PONG, PATH_CHALLENGE, PATH_RESPONSE, BYE, BYE_ACK = 5, 6, 7, 8, 9, 10
COPY, REPORT = 12, 13

# Messages of the stream of keys, and signals.
OFFER, KEY_ANSWER = 1, 2
REQUEST, OK, INVITE, RINGING, ANSWER, CONFIRM, HOLD, TEXT, TEXT_OK, ABOUT = range(1, 11)
REACH, REACH_OK, CANDIDATES, ROOM = range(11, 15)

PLAIN, WIDE = 128, 480
# Plaintexts of voice packets.
VOICE = (78, 88, 108, 128, 168, 208)


def hello(sidx, noise):
    return struct.pack("<BBHI", HELLO, 1, 0, sidx) + noise + bytes(32)


def reply(sidx_r, sidx_i, noise):
    return struct.pack("<BBHII", REPLY, 1, 0, sidx_r, sidx_i) + noise


def finish(sidx_r, noise):
    return struct.pack("<II", FINISH, sidx_r) + noise


def cookie(sidx_i, nonce, sealed):
    return struct.pack("<II", COOKIE, sidx_i) + nonce + sealed


def kind(datagram):
    """Its type, or None for what is dropped."""
    if not datagram:
        return None
    if datagram[0] >> 2 == DATA >> 2:
        return DATA if len(datagram) - 25 in (*VOICE, WIDE) else None
    if SIZES.get(datagram[0]) != len(datagram):
        return None
    version = 1 if datagram[0] in (HELLO, REPLY) else 0
    return datagram[0] if datagram[1:4] == bytes([version, 0, 0]) else None


def u32(data, at=0):
    return struct.unpack_from("<I", data, at)[0]


class Plaintext:
    """A packet being filled."""

    def __init__(self, size, frame=None):
        seq, opus = frame or (0, b"")
        self.size = size
        self.data = struct.pack("<HB", seq, len(opus)) + opus

    def room(self):
        """Bytes of body that one more item can have."""
        return min(self.size - len(self.data) - 2, 255)

    def add(self, item, body):
        if len(body) > self.room():
            return False
        self.data += bytes([item, len(body)]) + body
        return True

    def whole(self):
        return self.data.ljust(self.size, b"\0")


def split(plain):
    """The frame (seq, opus) or None, and the items."""
    seq, length = struct.unpack_from("<HB", plain)
    if length > 160:
        return None, []
    frame = (seq, plain[3 : 3 + length]) if length else None
    at, items = 3 + length, []
    while at + 2 <= len(plain) and plain[at] != 0:
        end = at + 2 + plain[at + 1]
        if end > len(plain):
            break
        items.append((plain[at], plain[at + 2 : end]))
        at = end
    return frame, items


def card(half, name, hints):
    return half + put_name(name) + put_hints(hints)


def read_card(body):
    name, at = read_name(body, 32)
    return body[:32], name, read_hints(body, at)


def put_name(name):
    data = name.encode()
    return bytes([len(data)]) + data


def read_name(body, at):
    end = at + 1 + body[at]
    return body[at + 1 : end].decode(), end


def put_hints(hints):
    body = bytes([len(hints)])
    for host, port in hints:
        ip = ipaddress.ip_address(host)
        body += bytes([ip.version]) + ip.packed + struct.pack("<H", port)
    return body


def read_hints(body, at):
    hints, count = [], body[at]
    at += 1
    for _ in range(count):
        size = {4: 4, 6: 16}[body[at]]
        host = str(ipaddress.ip_address(body[at + 1 : at + 1 + size]))
        hints.append((host, *struct.unpack_from("<H", body, at + 1 + size)))
        at += size + 3
    return hints
