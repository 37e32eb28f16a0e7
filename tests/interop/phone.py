"""A telephone without a screen, made from man/twocan-protocol.7 alone.

    phone.py call LINE     opens an invite, becomes a contact, calls, talks, hangs up
    phone.py answer        makes an invite, lets in who opens it, answers his calls

It says what happens in JSON, one object a line, and ends with status 0 if all went as the page says.
With --loss SHARE that share of the datagrams vanishes, in both directions.
"""

import argparse
import json
import os
import random
import select
import socket
import struct
import time

import crypto
import lines
import page
import wire
from session import RUNG, Session, handshake


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["call", "answer"])
    parser.add_argument("line", nargs="?")
    parser.add_argument("--loss", type=float, default=0.0)
    given = parser.parse_args()
    phone = Phone(given.loss)
    if given.what == "call":
        call(phone, lines.parse_invite(given.line))
    else:
        answer(phone)


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


# What may be said at any time, and needs no answer. We stay on the paths that we have.
PASSING = (wire.ABOUT, wire.TEXT_OK, wire.HOLD, wire.CANDIDATES, wire.ROOM)


class Phone:
    """One socket, one identity, one session at a time."""

    def __init__(self, loss):
        self.person = crypto.Person.new(int(time.time()))
        self.loss, self.luck = loss, random.Random(1)
        self.socket = self.bind("127.0.0.1")
        self.session = None
        # Who may knock: dial secret to expected identity (None for an invite's token).
        self.doors = {}
        self.half_open = {}
        self.cookies = {}  # Address to the cookie that it has to show.
        self.came_by = None

    def bind(self, host):
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind((host, 0))
        return bound

    def send(self, datagram, address):
        if self.luck.random() >= self.loss:
            self.socket.sendto(datagram, address)

    def poll(self, wait=0.002):
        """The datagrams that have come."""
        select.select([self.socket], [], [], wait)
        while select.select([self.socket], [], [], 0)[0]:
            datagram, address = self.socket.recvfrom(2048)
            if self.luck.random() >= self.loss:
                yield wire.kind(datagram), datagram, address

    def reach(self, peer, device, secret, address, crowd=None):
        """As initiator: makes a session. With a `crowd`, which sends HELLOs of other people just
        before ours, only one for which a cookie was asked."""
        began, pause, cookies = time.monotonic(), 0.5, 0
        while time.monotonic() < began + 20:
            sidx = struct.unpack("<I", os.urandom(4))[0]
            noise = handshake(self.person, peer, device)
            dial = crypto.dial_key(secret, int(time.time()) // crypto.DIAL_EPOCH, device)
            hello = crypto.sign_hello(wire.hello(sidx, bytes(noise.write_message(bytes(32)))), dial)
            if crowd:
                crowd(dial)
            self.send(hello, address)
            until = time.monotonic() + pause
            while time.monotonic() < until:
                for kind, datagram, _ in self.poll():
                    if kind == wire.COOKIE and wire.u32(datagram, 4) == sidx:
                        cookies += 1
                        cookie = crypto.open_cookie(dial, hello[88:104], datagram[32:], datagram[8:32])
                        self.send(crypto.sign_hello(hello, dial, cookie), address)
                    is_reply = kind == wire.REPLY and wire.u32(datagram, 8) == sidx
                    if is_reply and (cookies or not crowd):
                        sidx_r = wire.u32(bytes(noise.read_message(datagram[12:])))
                        noise3 = bytes(noise.write_message(self.person.certificate))
                        finish = wire.finish(sidx_r, noise3)
                        self.begin(peer, device, noise, True, (sidx, sidx_r), address)
                        self.session.finish = finish
                        return
            pause *= 1.5
        raise SystemExit("the peer is not reachable")

    def begin(self, peer, device, noise, initiator, indices, address):
        self.session = Session(
            self.person, peer, device, noise, initiator, indices, address, self.send
        )

    def run(self, wanted, seconds=20):
        """Lets the session live until something is heard that `wanted` takes (its value is
        returned). Epochs and pongs go by; anything else that is heard before is an error."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for kind, datagram, address in self.poll():
                self.take(kind, datagram, address)
            if not self.session:
                continue
            self.session.tick()
            while self.session.heard:
                name, value = self.session.heard.pop(0)
                if name == "epoch":
                    say("epoch", number=value)
                if (found := wanted(name, value)) is not None:
                    return found
                if name == "signal" and value[0] in PASSING:
                    continue
                if name in ("signal", "bye", "elsewhere"):
                    raise SystemExit(f"heard {name} {value!r} out of turn")
        raise SystemExit(f"waited {seconds} s for something that did not come")

    def take(self, kind, datagram, address):
        if kind == wire.DATA and self.session:
            self.session.receive(datagram, address)
        elif kind == wire.HELLO:
            self.take_hello(datagram, address)
        elif kind == wire.FINISH:
            self.take_finish(datagram, address)

    def take_hello(self, hello, address):
        epoch, mac1 = int(time.time()) // crypto.DIAL_EPOCH, hello[88:104]
        for secret in self.doors:
            dial = crypto.dial_key(secret, epoch, self.person.device)
            if crypto.mac(dial, hello[:88])[:16] == mac1:
                break
        else:
            return
        cookie = self.cookies.setdefault(address, os.urandom(16))
        if crypto.mac(cookie, hello[:104])[:16] != hello[104:]:
            nonce = os.urandom(24)
            sealed = crypto.seal_cookie(dial, mac1, cookie, nonce)
            self.send(wire.cookie(wire.u32(hello, 4), nonce, sealed), address)
            return say("challenged")
        noise = handshake(self.person, self.person.identity)
        noise.read_message(hello[8:88])
        sidx = struct.unpack("<I", os.urandom(4))[0]
        self.half_open[sidx] = (noise, secret, wire.u32(hello, 4))
        noise2 = bytes(noise.write_message(struct.pack("<I12x", sidx)))
        self.send(wire.reply(sidx, wire.u32(hello, 4), noise2), address)

    def take_finish(self, finish, address):
        sidx = wire.u32(finish, 4)
        if sidx not in self.half_open:
            return
        noise, secret, sidx_i = self.half_open.pop(sidx)
        state = noise.noise_protocol.handshake_state
        certificate = bytes(noise.read_message(finish[8:]))
        device = state.rs.public_bytes
        peer = crypto.check_certificate(
            certificate, device, int(time.time()), self.doors[secret]
        )
        self.came_by = secret
        self.begin(peer, device, noise, False, (sidx, sidx_i), address)

    # What both sides do in a session.

    def until_open(self):
        self.run(lambda name, value: name == "epoch" and value == 1 or None)
        say("open", rtt_ms=self.session.rtt * 1000)

    def signal(self, wanted):
        return self.run(
            lambda name, value: value[1] if name == "signal" and value[0] == wanted else None
        )

    def talk(self, frames):
        """Talks until that many frames were heard, and checks that they are what was agreed."""
        had, until = len(self.session.frames), time.monotonic() + 20
        while len(self.session.frames) < had + frames:
            self.run(lambda name, value: True if name == "pong" else None)
            if time.monotonic() > until:
                raise SystemExit(f"only {len(self.session.frames) - had} frames came")

    def check_frames(self):
        seqs = [seq for seq, _ in self.session.frames]
        wrong = [opus for seq, opus in self.session.frames if opus != frame_of(seq)]
        if wrong or len(set(seqs)) != len(seqs):
            raise SystemExit("frames came damaged or twice")
        copies = self.session.copies
        if len(copies) != 2 * len(seqs) or any(opus != frame_of(seq) for seq, opus in copies):
            raise SystemExit("copies came damaged or not at all")
        if set(self.session.reports) != {(7, 9, 5, 3)}:
            raise SystemExit(f"other reports came: {set(self.session.reports)}")
        if self.session.sizes | {wire.PLAIN} != {wire.PLAIN, wire.VOICE[RUNG]}:
            raise SystemExit(f"packets of other sizes came: {self.session.sizes}")
        say("heard", frames=len(seqs), span=max(seqs) - min(seqs) + 1)

    def part(self, reason):
        """Says farewell and waits for the other side to have heard it."""
        self.session.close(reason)
        self.run(lambda name, value: True if name == "bye-ack" else None, 3)
        say("parted", reason=reason, byes=self.session.byes)

    def live(self, seconds):
        """Lets time pass, and answers repetitions of a farewell."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for kind, datagram, address in self.poll():
                self.take(kind, datagram, address)
            self.session.tick()


def frame_of(seq):
    """What the phone under test sends in frame `seq`: 27 bytes, Opus by their first one."""
    return bytes([0xF8]) + bytes([seq & 0xFF]) * 26


def call(phone, invite):
    peer, device, address = invite.identity, invite.device, invite.hints[0]
    silent(phone, peer, device, address)

    phone.reach(peer, device, invite.token, address)
    phone.until_open()
    half = os.urandom(32)
    hints = [phone.socket.getsockname()]
    phone.session.signal(wire.REQUEST, wire.card(half, "pia", hints))
    theirs, name, _ = wire.read_card(phone.signal(wire.OK))
    secret = crypto.pairwise(half, theirs)
    say("contact", name=name)
    swap_reaches(phone)
    phone.part(0)

    phone.reach(peer, device, secret, address, crowd(phone, peer, device, address))
    phone.until_open()
    session, number, nonce = phone.session, os.urandom(16), os.urandom(32)
    session.signal(wire.INVITE, number + crypto.commitment(nonce, session.t))
    if phone.signal(wire.RINGING) != number:
        raise SystemExit("another call rings")
    say("ringing")
    body = phone.signal(wire.ANSWER)
    if body[:16] != number or len(body) != 48:
        raise SystemExit("another call was answered")
    session.signal(wire.CONFIRM, nonce)
    session.talk()
    say("words", words=page.sas_words(crypto.sas(session.t, nonce, body[16:])))
    phone.talk(50)

    session.signal(wire.TEXT, struct.pack("<I", 7) + "grüße".encode())
    if phone.signal(wire.TEXT_OK) != struct.pack("<I", 7):
        raise SystemExit("another text was confirmed")
    # Types and items of a later version, which have to be skipped.
    session.signal(200, b"later")
    session.signal(wire.ABOUT, wire.put_name("pia") + wire.put_hints(hints) + b"later")
    session.signal(wire.HOLD, b"\1")
    phone.talk(0)
    session.signal(wire.HOLD, b"\0")

    session.rekey()
    phone.run(lambda name, value: True if (name, value) == ("epoch", 2) else None)
    phone.talk(50)
    # The same session from another port: the far phone asks there before it follows.
    phone.socket = phone.bind("127.0.0.1")
    phone.run(lambda name, value: True if name == "challenge" else None)
    say("moved")
    phone.talk(50)
    phone.check_frames()
    phone.part(1)


def silent(phone, peer, device, address):
    """To somebody who has no secret the port says nothing, whatever he sends."""
    noise = handshake(phone.person, peer, device)
    hello = wire.hello(1, bytes(noise.write_message(bytes(32))))
    wrong = crypto.sign_hello(hello, os.urandom(32))
    for datagram in (hello, wrong, wire.finish(1, bytes(202)), bytes([0x10]) + bytes(152)):
        phone.socket.sendto(datagram, address)
    if list(phone.poll(0.3)):
        raise SystemExit("a stranger got an answer")
    say("silent")


def crowd(phone, peer, device, address):
    """Sends valid HELLOs from another network, so many that cookies are asked for."""
    noise = handshake(phone.person, peer, device)
    noise1 = bytes(noise.write_message(bytes(32)))

    def send(dial):
        hellos = [crypto.sign_hello(wire.hello(sidx, noise1), dial) for sidx in range(120)]
        others = phone.bind("127.0.77.1")
        for hello in hellos:
            others.sendto(hello, address)
        others.close()
        say("crowd")

    return send


def answer(phone):
    token = os.urandom(16)
    hint = phone.socket.getsockname()
    invite = lines.Invite(
        phone.person.identity, phone.person.device, token, int(time.time()) + 600, [hint]
    )
    phone.doors[token] = None
    say("invite", line=invite.to_line())

    phone.until_open()
    half = os.urandom(32)
    theirs, name, hints = wire.read_card(phone.signal(wire.REQUEST))
    phone.session.signal(wire.OK, wire.card(half, "pia", [hint]))
    phone.doors[crypto.pairwise(theirs, half)] = phone.session.peer
    say("contact", name=name, hints=hints)
    swap_reaches(phone)
    take_call(phone)
    say("again")
    phone.session = None
    phone.until_open()
    if phone.came_by == token:
        raise SystemExit("the second call came by the invite")
    take_call(phone)


def swap_reaches(phone):
    """Each side tells the other under which secret it is found."""
    theirs = phone.signal(wire.REACH)
    if len(theirs) != 36 or theirs[:4] == bytes(4):
        raise SystemExit("the far phone tells no secret")
    phone.session.signal(wire.REACH_OK, theirs[:4])
    phone.session.signal(wire.REACH, struct.pack("<I", 5) + os.urandom(32))
    if phone.signal(wire.REACH_OK) != struct.pack("<I", 5):
        raise SystemExit("another secret was confirmed")


def take_call(phone):
    """Rings, answers, talks until the far side says farewell."""
    session, nonce = phone.session, os.urandom(32)
    body = phone.signal(wire.INVITE)
    number, commitment = body[:16], body[16:]
    session.signal(wire.RINGING, number)
    say("ringing")
    phone.live(0.2)
    session.signal(wire.ANSWER, number + nonce)
    session.talk()
    caller = phone.signal(wire.CONFIRM)
    if crypto.commitment(caller, session.t) != commitment:
        raise SystemExit("the commitment was not kept")
    say("words", words=page.sas_words(crypto.sas(session.t, caller, nonce)))
    reason = phone.run(lambda name, value: value if name == "bye" else None, 60)
    phone.check_frames()
    say("bye", reason=reason)
    phone.live(0.5)


if __name__ == "__main__":
    main()
