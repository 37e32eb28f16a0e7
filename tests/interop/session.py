"""One session from the first HELLO to the farewell: sections HANDSHAKE to ROAMING of the page.

It tells what happens by `session.heard`, a list of (name, value).
"""

import os
import struct
import time

from cryptography.exceptions import InvalidTag
from noise.connection import Keypair, NoiseConnection

import crypto
import wire
from stream import Stream

PATTERN = b"Noise_XK_25519_ChaChaPoly_SHA256"
SILENCE_FRAME = bytes.fromhex("f8fffe")  # Opus: 20 ms, mono, nothing in it.


def handshake(person, responder, device=None, ephemeral=None):
    """A Noise handshake; `device` is the responder's key and makes us the initiator."""
    noise = NoiseConnection.from_name(PATTERN)
    noise.set_prologue(b"twocan/1\0" + responder)
    noise.set_keypair_from_private_bytes(Keypair.STATIC, person.x_secret)
    if ephemeral:
        noise.set_keypair_from_private_bytes(Keypair.EPHEMERAL, ephemeral)
    if device:
        noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, device)
        noise.set_as_initiator()
    else:
        noise.set_as_responder()
    noise.start_handshake()
    return noise


def split(noise, initiator):
    """h and the two keys, from initiator to responder first."""
    protocol = noise.noise_protocol
    keys = [protocol.cipher_state_encrypt.k, protocol.cipher_state_decrypt.k]
    return protocol.handshake_hash, *(keys if initiator else keys[::-1])

# The number of the size that the phone under test shall take: it goes by the third byte of REPORT.
RUNG = 4


class Epoch:
    def __init__(self, number, chain, initiator, index_in=None, index_out=None):
        out, back = (0, 1) if initiator else (1, 0)
        self.number, self.chain = number, chain
        self.send, self.take = crypto.data_key(chain, out), crypto.data_key(chain, back)
        self.index_out = crypto.index(chain, out) if index_out is None else index_out
        self.index_in = crypto.index(chain, back) if index_in is None else index_in
        self.counter, self.seen = 0, set()

    def seal(self, plain):
        header = struct.pack("<BII", 0x10 + self.number % 4, self.index_out, self.counter)
        nonce = bytes(4) + struct.pack("<Q", self.counter)
        self.counter += 1
        return header + self.send.encrypt(nonce, plain, header)

    def open(self, datagram):
        """The plaintext and whether it is the newest; None for what does not verify."""
        header, counter = datagram[:9], wire.u32(datagram, 5)
        newest = max(self.seen, default=-1)
        if header[0] != 0x10 + self.number % 4 or counter in self.seen or counter < newest - 1023:
            return None
        try:
            nonce = bytes(4) + struct.pack("<Q", counter)
            plain = self.take.decrypt(nonce, datagram[9:], header)
        except InvalidTag:
            return None
        self.seen.add(counter)
        return plain, counter > newest


class Session:
    """`send(datagram, address)` puts a datagram on the wire."""

    def __init__(self, person, peer, device, noise, initiator, indices, address, send):
        self.person, self.peer, self.device, self.initiator = person, peer, device, initiator
        self.address, self.send = address, send
        self.h, k1, k2 = split(noise, initiator)
        self.current = Epoch(0, crypto.first_chain_key(self.h, k1, k2), initiator, *indices)
        self.previous = self.next = self.finish = self.offer = self.t = None
        self.streams = {"signals": Stream(), "keys": Stream()}
        self.talking = self.closed = self.farewell = False
        self.heard, self.frames = [], []
        self.copies, self.reports, self.sizes = [], [], set()
        self.seq, self.next_tick = 0, 0.0
        self.pong = None
        self.rtt, self.rtt_known = 0.1, False
        self.bye, self.bye_at, self.byes = None, 0.0, 0
        self.began = self.heard_at = time.monotonic()
        self.pinged = 0.0
        if initiator:
            self.rekey()

    @property
    def open(self):
        return self.current.number >= 1 and not self.closed

    def rekey(self):
        """Offers keys for the next epoch. Only the initiator may."""
        self.offer = crypto.XWing(os.urandom(32))
        body = bytes([(self.current.number + 1) % 256]) + self.offer.ek
        self.streams["keys"].push(wire.OFFER, body)

    def signal(self, kind, body):
        self.streams["signals"].push(kind, body)

    def talk(self):
        if not self.talking:
            self.talking, self.next_tick = True, time.monotonic()

    def close(self, reason):
        self.bye, self.talking, self.byes = reason, False, 0

    # Receiving.

    def receive(self, datagram, address):
        plain = self.unseal(datagram)
        if plain is None:
            return
        plain, epoch, newest = plain
        self.finish, self.heard_at = None, time.monotonic()
        if newest and address != self.address and not self.closed:
            self.heard.append(("elsewhere", address))
        if self.talking:
            self.sizes.add(len(plain))
        frame, items = wire.split(plain)
        if epoch >= 1 and self.talking:
            self.take_voice(frame, items)
        for item, body in items:
            self.take(item, body, epoch, address)
        for kind, body in self.streams["keys"].messages():
            self.take_keys(kind, body)
        if self.open:
            self.heard += [("signal", message) for message in self.streams["signals"].messages()]

    def take_voice(self, frame, items):
        """The frame, the copies of earlier ones (their number and bytes), the reports with the
        size of the packet that brought them."""
        if frame:
            self.frames.append(frame)
            copies = [body for item, body in items if item == wire.COPY]
            self.copies += [((frame[0] - body[0]) & 0xFFFF, body[1:]) for body in copies]
        self.reports += [tuple(body[:4]) for item, body in items if item == wire.REPORT]

    def unseal(self, datagram):
        index = wire.u32(datagram, 1)
        for epoch in filter(None, (self.current, self.previous, self.next)):
            opened = epoch.open(datagram) if epoch.index_in == index else None
            if opened is None:
                continue
            if epoch is self.next:
                self.switch(self.next)
            return opened[0], epoch.number, opened[1] and epoch is self.current
        return None

    def take(self, item, body, epoch, address):
        for name, stream in self.streams.items():
            if name == "signals" and epoch < 1:
                continue
            if item == wire.SEGMENT[name]:
                stream.receive(body)
            elif item == wire.ACK[name]:
                stream.acknowledge(body)
        if item == wire.PING:
            self.pong = (body, time.monotonic())
        elif item == wire.PONG:
            stamp, held = struct.unpack("<II", body)
            sample = ((time.monotonic_ns() // 1000 - stamp - held) & 0xFFFFFFFF) / 1e6
            self.rtt = self.rtt * 7 / 8 + sample / 8 if self.rtt_known else sample
            self.rtt_known = True
            self.heard.append(("pong", sample))
        elif item == wire.PATH_CHALLENGE:
            self.alone(wire.PATH_RESPONSE, body, address)
            self.heard.append(("challenge", address))
        elif item == wire.BYE and epoch >= 1:
            if not self.closed and not self.farewell:
                self.heard.append(("bye", body[0]))
            self.closed, self.talking = True, False
            self.alone(wire.BYE_ACK, b"", self.address)
        elif item == wire.BYE_ACK and self.bye is not None and not self.closed:
            self.closed = self.farewell = True
            self.heard.append(("bye-ack", self.byes))

    def take_keys(self, kind, body):
        if body[0] != (self.current.number + 1) % 256:
            raise ValueError(f"keys for epoch {body[0]} in epoch {self.current.number}")
        if kind == wire.OFFER and not self.initiator:
            ek = body[1:]
            ct, ss = crypto.encapsulate(ek)
            self.next = self.following(ss, ek, ct)
            answer = body[:1] + ct + self.person.certificate
            self.streams["keys"].push(wire.KEY_ANSWER, answer)
        elif kind == wire.KEY_ANSWER and self.offer:
            ct, certificate = body[1:1121], body[1121:]
            crypto.check_certificate(certificate, self.device, int(time.time()), self.peer)
            epoch = self.following(self.offer.decapsulate(ct), self.offer.ek, ct)
            self.offer = None
            self.switch(epoch)
        else:
            raise ValueError(f"message {kind} in the stream of keys")

    def following(self, ss, ek, ct):
        if self.t is None:
            me, peer = (self.person.identity, self.person.device), (self.peer, self.device)
            (i, x_i), (r, x_r) = (me, peer) if self.initiator else (peer, me)
            self.t = crypto.transcript(self.h, ek, ct, i, r, x_i, x_r)
        chain = crypto.next_chain_key(self.current.chain, ss, ek, ct)
        return Epoch(self.current.number + 1, chain, self.initiator)

    def switch(self, epoch):
        self.previous, self.current, self.next = self.current, epoch, None
        self.heard.append(("epoch", epoch.number))

    # Sending.

    def tick(self):
        now = time.monotonic()
        if self.bye is not None and not self.closed and now >= self.bye_at:
            self.byes += 1
            self.bye_at = now + (0.02 if self.byes < 3 else 0.2)
            self.alone(wire.BYE, bytes([self.bye]), self.address)
        if self.closed or self.bye is not None:
            return
        if self.talking:
            if now >= self.next_tick:
                self.next_tick += 0.02
                self.seq += 1
                self.transmit(self.compose(wire.VOICE[2], (self.seq & 0xFFFF, SILENCE_FRAME), now))
            return
        for _ in range(16):
            wide = not self.open and self.streams["keys"].queue
            plain = self.compose(wire.WIDE if wide else wire.PLAIN, None, now)
            if not any(plain):
                return
            if self.finish:
                self.send(self.finish, self.address)
            self.transmit(plain)

    def compose(self, size, frame, now):
        packet = wire.Plaintext(size, frame)
        if frame and frame[0] > 1:
            packet.add(wire.COPY, b"\1" + SILENCE_FRAME)
        if frame:
            packet.add(wire.REPORT, bytes([2, 0, RUNG, 0]) + b"later")
        if self.open and now >= self.pinged + (1 if self.talking else 5):
            self.pinged = now
            packet.add(wire.PING, struct.pack("<I", time.monotonic_ns() // 1000 & 0xFFFFFFFF))
        if self.open and self.pong:
            stamp, at = self.pong
            held = int((time.monotonic() - at) * 1e6)
            if packet.add(wire.PONG, stamp + struct.pack("<I", held)):
                self.pong = None
        rto = min(2 * self.rtt + (0.08 if self.talking else 0.03), 1)
        for name, stream in self.streams.items():
            if name == "signals" and not self.open:
                continue
            if stream.owed and packet.room() >= 20:
                packet.add(wire.ACK[name], stream.acknowledgement())
            while packet.room() > 4:
                segment = stream.segment(packet.room() - 4, now, rto)
                if segment is None:
                    break
                packet.add(wire.SEGMENT[name], struct.pack("<I", segment[0]) + segment[1])
        return packet.whole()

    def alone(self, item, body, address):
        packet = wire.Plaintext(wire.PLAIN)
        packet.add(item, body)
        self.send(self.current.seal(packet.whole()), address)

    def transmit(self, plain):
        self.send(self.current.seal(plain), self.address)
