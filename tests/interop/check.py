"""Checks that need no network: the page's worked example, and X-Wing against the Rust crate.

    check.py example      every value of the page's EXAMPLE, made again
    check.py xwing        one exchange a line of standard input, one a line of standard output
"""

import struct
import sys

import crypto
import lines
import page
import session
import wire


def main():
    {"example": example, "xwing": xwing}[sys.argv[1]]()


def example():
    values = page.example()
    raw = lambda name: bytes.fromhex(values[name])
    checked = []

    def same(name, made):
        made = made if isinstance(made, str) else made.hex()
        if values[name] != made:
            raise SystemExit(f"{name}: the page has {values[name]}, this made {made}")
        checked.append(name)

    unix = 1_790_000_000
    anna, bo = (
        crypto.Person(
            raw(f"{name} seed"),
            raw(f"{name} x secret"),
            raw(f"{name} d secret"),
            unix - 60,
            unix + 30 * 86400,
        )
        for name in ("anna", "bo")
    )
    for name, who in (("anna", anna), ("bo", bo)):
        same(f"{name} I", who.identity)
        same(f"{name} ID", lines.write_id(who.identity))
        same(f"{name} I", lines.read_id(values[f"{name} ID"]))
        same(f"{name} X_d", who.device)
        same(f"{name} certificate", who.certificate)

    invite = lines.parse_invite(values["bo invite"])
    assert (invite.identity, invite.device) == (bo.identity, bo.device)
    assert invite.expires == unix + 3600
    same("bo invite", invite.to_line())
    epoch = unix // crypto.DIAL_EPOCH
    same("dial epoch", str(epoch))
    same("dial key by token", crypto.dial_key(invite.token, epoch, bo.device))

    half, name, hints = wire.read_card(raw("request body"))
    same("request type", str(wire.REQUEST))
    same("request body", wire.card(half, name, hints))
    secret = crypto.pairwise(half, raw("half of bo"))
    same("pairwise secret", secret)
    dial = crypto.dial_key(secret, epoch, bo.device)
    same("dial key", dial)

    ours = session.handshake(anna, bo.identity, bo.device, raw("e_i secret"))
    theirs = session.handshake(bo, bo.identity, ephemeral=raw("e_r secret"))
    noise = bytes(ours.write_message(bytes(32)))
    hello = crypto.sign_hello(wire.hello(0x0A0B0C0D, noise), dial)
    same("HELLO", hello)
    mac1, nonce = hello[88:104], raw("COOKIE")[8:32]
    sealed = crypto.seal_cookie(dial, mac1, raw("cookie"), nonce)
    same("COOKIE", wire.cookie(0x0A0B0C0D, nonce, sealed))
    same("cookie", crypto.open_cookie(dial, mac1, raw("COOKIE")[32:], nonce))
    same("mac2", crypto.sign_hello(hello, dial, raw("cookie"))[104:])
    theirs.read_message(noise)
    noise = bytes(theirs.write_message(struct.pack("<I12x", 0x01020304)))
    same("REPLY", wire.reply(0x01020304, 0x0A0B0C0D, noise))
    assert wire.u32(bytes(ours.read_message(noise))) == 0x01020304
    noise = bytes(ours.write_message(anna.certificate))
    same("FINISH", wire.finish(0x01020304, noise))
    same("anna certificate", bytes(theirs.read_message(noise)))
    crypto.check_certificate(anna.certificate, anna.device, unix, anna.identity)
    h, k1, k2 = session.split(ours, True)
    assert session.split(theirs, False) == (h, k1, k2)
    same("h", h)
    chain = crypto.first_chain_key(h, k1, k2)
    same("CK_0", chain)

    keys = crypto.XWing(raw("X-Wing seed"))
    same("SHA-256(ek)", crypto.hashlib.sha256(keys.ek).digest())
    ct, ss = crypto.encapsulate(keys.ek, raw("X-Wing randomness"))
    same("SHA-256(ct)", crypto.hashlib.sha256(ct).digest())
    same("X-Wing secret", ss)
    same("X-Wing secret", keys.decapsulate(ct))
    chain = crypto.next_chain_key(chain, ss, keys.ek, ct)
    same("CK_1", chain)

    plain = wire.Plaintext(wire.PLAIN, (0x0102, session.SILENCE_FRAME))
    plain.add(wire.PING, struct.pack("<I", 0x11223344))
    plain.add(wire.SEGMENT["signals"], struct.pack("<IHBB", 0, 2, wire.HOLD, 1))
    same("plaintext", plain.whole())
    same("DATA", session.Epoch(1, chain, True).seal(plain.whole()))
    same("plaintext", session.Epoch(1, chain, False).open(raw("DATA"))[0])

    t = crypto.transcript(h, keys.ek, ct, anna.identity, bo.identity, anna.device, bo.device)
    same("T", t)
    same("commit", crypto.commitment(raw("n_A"), t))
    same("words", " ".join(page.sas_words(crypto.sas(t, raw("n_A"), raw("n_B")))))

    given = {"X-Wing seed", "X-Wing randomness", "half of bo", "n_A", "n_B"}
    given |= {name for name in values if name.endswith(("seed", "secret")) and name not in checked}
    unchecked = set(values) - set(checked) - given
    if unchecked:
        raise SystemExit(f"nothing checks {sorted(unchecked)}")
    print(f"{len(set(checked))} values are right")


def xwing():
    """Reads "seed randomness ct" (hex; ct may be bent), writes "ek ct secret secret-of-given-ct".

    What is refused is a "-".
    """
    for line in sys.stdin:
        seed, randomness, given = (bytes.fromhex(part) for part in line.split())
        keys = crypto.XWing(seed)
        ct, ss = crypto.encapsulate(keys.ek, randomness)
        try:
            opened = keys.decapsulate(given).hex()
        except ValueError:
            opened = "-"
        print(keys.ek.hex(), ct.hex(), ss.hex(), opened, flush=True)


if __name__ == "__main__":
    main()
