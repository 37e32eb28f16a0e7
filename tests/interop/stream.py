"""One reliable stream, both directions: section STREAMS of the page."""

import struct
from dataclasses import dataclass, replace

WINDOW = 4096
MASK = 0xFFFFFFFF


@dataclass
class Part:
    offset: int
    length: int
    sent: float = 0.0
    attempts: int = 0
    came: bool = False


class Stream:
    def __init__(self):
        self.base = 0  # Offset of the first byte of `queue`.
        self.queue = b""
        self.flight = []  # Parts of the queue that were sent, in order and without gaps.
        self.next = 0  # Offset of the next byte wanted.
        self.ready = b""
        self.early = {}
        self.recent = []
        self.owed = False

    def push(self, kind, body):
        self.queue += struct.pack("<HB", len(body) + 1, kind) + body

    def idle(self):
        return not self.queue

    def segment(self, room, now, rto):
        """(offset, bytes) of what is to be sent next, or None."""
        for at, part in enumerate(self.flight):
            if not part.came and now >= part.sent + min(rto * 2 ** (part.attempts - 1), 2):
                if part.length > room:
                    rest = replace(part, offset=part.offset + room & MASK, length=part.length - room)
                    self.flight.insert(at + 1, rest)
                    part.length = room
                return self.send(part, now)
        under_way = sum(part.length for part in self.flight)
        length = min(room, 251, len(self.queue) - under_way, WINDOW - under_way)
        if length <= 0:
            return None
        self.flight.append(Part(self.base + under_way & MASK, length))
        return self.send(self.flight[-1], now)

    def send(self, part, now):
        part.sent, part.attempts = now, part.attempts + 1
        start = part.offset - self.base & MASK
        return part.offset, self.queue[start : start + part.length]

    def acknowledge(self, body):
        wanted, *came = struct.unpack_from(f"<{len(body) // 4}I", body)
        if wanted - self.base & MASK > sum(part.length for part in self.flight):
            return
        for part in self.flight:
            part.came |= part.offset in came
        while self.flight and self.base != wanted:
            first = self.flight[0]
            step = min(first.length, wanted - self.base & MASK)
            self.base, self.queue = self.base + step & MASK, self.queue[step:]
            first.offset, first.length = self.base, first.length - step
            if not first.length:
                self.flight.pop(0)

    def receive(self, body):
        offset, data = struct.unpack_from("<I", body)[0], body[4:]
        self.owed = True
        ahead = offset - self.next & MASK
        if ahead > MASK // 2:
            ahead -= MASK + 1
        if ahead + len(data) > WINDOW or ahead + len(data) <= 0:
            return
        self.early[offset] = max(data, self.early.get(offset, b""), key=len)
        self.recent = [offset, *self.recent][:4]
        self.join()

    def join(self):
        moved = True
        while moved:
            moved = False
            for offset, data in list(self.early.items()):
                known = self.next - offset & MASK
                if known <= len(data):
                    del self.early[offset]
                    self.ready += data[known:]
                    self.next = offset + len(data) & MASK
                    moved = True

    def acknowledgement(self):
        self.owed = False
        return struct.pack(f"<{1 + len(self.recent)}I", self.next, *self.recent)

    def messages(self):
        """The whole messages (type, body) that have come."""
        while len(self.ready) >= 2:
            length = struct.unpack_from("<H", self.ready)[0]
            if not 1 <= length <= 2048:
                raise ValueError("broken framing")
            if len(self.ready) < 2 + length:
                return
            message, self.ready = self.ready[2 : 2 + length], self.ready[2 + length :]
            yield message[0], message[1:]
