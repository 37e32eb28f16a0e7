#!/usr/bin/env python3
"""Calls between homes behind every kind of NAT: real programs, real sockets, in network namespaces.

    homes.py matrix [--some] [--jobs N]   every kind with each, both directions; a table of what came of it
    homes.py pair KIND_A KIND_B           one of them, with all its events
    homes.py ring                         dial to ringing, 40 ms from phone to phone, warm and cold
    homes.py lend                         two who need a reflector, and a contact's phone that lends its own
    homes.py moves                        address change, NAT reboot, a reflector that dies, in mid-call
    homes.py tcp                          one end with nothing but TCP to port 443, at 1 % loss

Needs root and a program `netlab` that makes such networks (NETLAB names it). Both ends are cold in
each trial: new processes, nothing remembered but who the other one is. Exits with 1 if a call did
not come about, was silent, or ran by a detour where a direct path is possible.
"""
import argparse
import array
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

NETLAB = os.environ.get("NETLAB", "netlab")
TWOCAN = os.environ.get("TWOCAN", "target/release/twocan")
RELAYS = {"relay1": "198.18.0.20", "relay2": "198.18.0.21"}
TONES = {"a": 440, "b": 1000}
RATE = 48000

NO_UDP = ("udp-blocked", "tcp443-only")
# Another mapping for each destination, with ports that nobody can foresee.
RANDOM = ("symmetric", "linux-random")
SEQUENTIAL = ("symmetric-sequential",)
SCENARIOS = ("same-lan", "same-cgnat", "same-cgnat-hairpin")
KINDS = ("open", "firewall", "full-cone", "address-restricted", "port-restricted", "symmetric",
         "symmetric-sequential", "cgnat", "linux", "linux-random", "upnp", *NO_UDP)
SOME = [("open", "symmetric"), ("full-cone", "symmetric"), ("port-restricted", "port-restricted"),
        ("port-restricted", "symmetric"), ("linux-random", "cgnat"), ("symmetric-sequential", "port-restricted"),
        ("symmetric", "symmetric"), ("udp-blocked", "port-restricted"), ("tcp443-only", "symmetric"),
        ("same-lan", "same-lan"), ("same-cgnat", "same-cgnat")]


def expected(a, b):
    """The best path that theory allows: "direct" (punched or not), "reflected" or "circuit"."""
    if a in NO_UDP or b in NO_UDP:
        return "circuit"
    if a in SCENARIOS:
        return "reflected" if a == "same-cgnat" else "direct"
    hard = [kind for kind in (a, b) if kind in RANDOM + SEQUENTIAL]
    # Both change their ports: only chance would help.
    return "reflected" if len(hard) == 2 else "direct"


class Lab:
    """A network that is there as long as the `with` lasts, with two ultrapeers in it."""

    def __init__(self, topology, folder, reflect="everyone"):
        self.reflect = reflect
        self.name = f"homes{os.getpid()}-{threading.get_ident() % 100000}"
        self.folder = Path(folder)
        self.topology = topology
        self.running = []

    def __enter__(self):
        file = self.folder / "topology.json"
        file.write_text(json.dumps(self.topology))
        self.netlab("up", str(file), self.name)
        self.bootstrap = []
        try:
            for host in RELAYS:
                self.relay(host)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.kill()
        subprocess.run([NETLAB, "down", self.name], stdout=subprocess.DEVNULL, check=False)

    def netlab(self, command, *rest):
        lab = [] if command == "up" else [self.name]
        subprocess.run([NETLAB, command, *lab, *rest], stdout=subprocess.DEVNULL, check=True)

    def inside(self, host):
        return ["ip", "netns", "exec", f"netlab.{self.name}.{host}"]

    def kill_reflector(self):
        """The one that carries the call: whichever has sent more so far."""
        stats = json.loads(subprocess.run([NETLAB, "stats", self.name, "--json"], capture_output=True, check=True).stdout)
        busiest = max(RELAYS, key=lambda host: stats[f"link {host} up"]["packets"])
        self.running[list(RELAYS).index(busiest)].kill()

    def relay(self, host):
        home = self.folder / host
        entry = [f"--bootstrap={line}" for line in self.bootstrap[:1]]
        command = [*self.inside(host), TWOCAN, "--home", str(home), "relay", "--json", "--network", "private",
                   "--listen", f"{RELAYS[host]}:443", "--reflect", self.reflect, *entry]
        log = open(self.folder / f"{host}.err", "w")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self.running.append(process)
        ready = json.loads(process.stdout.readline())
        self.bootstrap.append(ready["addresses"][0])
        threading.Thread(target=process.stdout.read, daemon=True).start()
        return process


class Phone:
    """A running `twocan daemon` on a host of the lab, and the events that it has told."""

    def __init__(self, lab, host, home, tone, bootstrap=None, options=()):
        self.lab, self.host, self.home = lab, host, Path(home)
        self.events = []
        self.out = self.home / "heard.wav"
        bootstrap = [f"--bootstrap={line}" for line in (bootstrap or lab.bootstrap)]
        command = [*lab.inside(host), TWOCAN, "--home", str(home), "daemon", "--json", "--network", "private",
                   *bootstrap, "--audio", f"wav:{tone},{self.out}", "--answer", "auto", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(self.home / "err", "w"), text=True)
        lab.running.append(self.process)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def wait(self, is_it, patience):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            for event in list(self.events):
                if is_it(event):
                    return event
            time.sleep(0.01)
        return None

    def reachable(self, patience=15):
        return self.wait(lambda e: e["event"] == "network" and e["network"]["state"] == "reachable", patience)

    def call(self, name, seconds):
        command = [TWOCAN, "--home", str(self.home), "call", name, "--for", f"{seconds}s", "--json"]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", "")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


def befriend(folder, number, ends="ab"):
    """Homes of which the first knows all others, made on the loopback of this machine."""
    homes = {end: Path(folder) / f"{end}{number}" for end in ends}
    daemons = []
    for end, home in homes.items():
        plain("--home", home, "id", "new", "--name", end, "--no-input")
        daemon = [TWOCAN, "--home", str(home), "daemon", "--network", "none", "--listen", "127.0.0.1:0", "--audio", "null"]
        daemons.append(subprocess.Popen(daemon, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    try:
        until(lambda: all((home / "control.sock").exists() for home in homes.values()))
        for others, end in enumerate(ends[1:]):
            line = plain("--home", homes["a"], "invite").strip()
            plain("--home", homes[end], "contact", "add", line, "--name", "a")
            until(lambda: len(contacts(homes["a"])) > others and not contacts(homes[end])[0].get("pending"))
            until(lambda: end in [contact["name"] for contact in contacts(homes["a"])])
        time.sleep(0.5)
    finally:
        for daemon in daemons:
            daemon.terminate()
            daemon.wait(10)
    for home in homes.values():
        (home / "port").unlink(missing_ok=True)
    return homes


def contacts(home):
    return json.loads(plain("--home", home, "contact", "list", "--json"))["contacts"]


def plain(*words):
    done = subprocess.run([TWOCAN, *map(str, words)], capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise RuntimeError(f"twocan {words}: {done.stderr}")
    return done.stdout


def until(is_so, patience=20):
    end = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > end:
            raise RuntimeError("waited in vain")
        time.sleep(0.05)


def fresh(homes, folder):
    """Copies of two homes, as if nothing had ever happened there but the befriending."""
    copies = {}
    for end, home in homes.items():
        copies[end] = Path(folder) / home.name
        shutil.rmtree(copies[end], ignore_errors=True)
        shutil.copytree(home, copies[end], ignore=shutil.ignore_patterns("control.sock", "lock", "*.log"))
    return copies


def tones(folder, length):
    files = {}
    for end, pitch in TONES.items():
        files[end] = Path(folder) / f"tone-{end}.wav"
        second = [int(9000 * math.sin(2 * math.pi * pitch * n / RATE)) for n in range(RATE)]
        write(files[end], array.array("h", second * length))
    return files


def write(file, samples):
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1), out.setsampwidth(2), out.setframerate(RATE)
        out.writeframes(samples.tobytes())


def heard(file, pitch):
    """For each 20 ms of a recording whether the tone is in it."""
    try:
        with wave.open(str(file)) as sound:
            samples = array.array("h", sound.readframes(sound.getnframes()))
            channels = sound.getnchannels()
    except (OSError, EOFError, wave.Error):
        return []
    samples, step, block = samples[::channels], 6, RATE // 50
    turn = 2 * math.pi * pitch / RATE
    table = [(math.cos(turn * n), math.sin(turn * n)) for n in range(0, block, step)]
    marks = []
    for start in range(0, len(samples) - block, block):
        part = samples[start:start + block:step]
        x = sum(s * c for s, (c, _) in zip(part, table))
        y = sum(s * c for s, (_, c) in zip(part, table))
        marks.append(2 * math.hypot(x, y) / len(table) > 2500)
    return marks


def voice(marks):
    """Share of the time with the tone, from when it is first there, and the longest gap in it, in ms."""
    if True not in marks:
        return 0.0, 0
    marks = marks[marks.index(True):len(marks) - marks[::-1].index(True)]
    gap = longest = 0
    for mark in marks:
        gap = 0 if mark else gap + 20
        longest = max(longest, gap)
    return sum(marks) / len(marks), longest


def seconds(event):
    return datetime.fromisoformat(event["at"][:26].rstrip("Z")).timestamp()


def trial(lab, host_a, host_b, homes, sounds, length=7):
    """One call from `a` to `b`; what is to be known of it."""
    phones = {"a": Phone(lab, host_a, homes["a"], sounds["a"]), "b": Phone(lab, host_b, homes["b"], sounds["b"])}
    try:
        for end, phone in phones.items():
            if not phone.reachable():
                return {"why": f"{end} did not become reachable"}
        started = time.time()
        done = phones["a"].call("b", length)
        time.sleep(1.2)
        result = report(done, phones, started)
    finally:
        for phone in phones.values():
            phone.stop()
    return result


def report(done, phones, started):
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    calls = [e for e in events if e["event"] == "call"]
    at = {e["state"]: seconds(e) for e in reversed(calls)}
    ends = [e.get("why") for e in calls if e["state"] == "ended"]
    if "active" not in at:
        return {"why": f"no call: exit {done.returncode} {ends} {done.stderr.strip()[-200:]}", "events": events}
    paths = [(seconds(e) - at["active"], e["path"]) for e in events if e["event"] == "path"]
    direct = next((t for t, path in paths if path in ("direct", "punched")), None)
    shares = {end: voice(heard(phone.out, TONES["ab".replace(end, "")])) for end, phone in phones.items()}
    return {"ring": at.get("ringing", at["active"]) - at.get("looking-up", at.get("connecting", started)),
            "path": paths[-1][1] if paths else "?", "paths": paths, "direct": direct,
            "share": min(s for s, _ in shares.values()), "gap": max(g for _, g in shares.values()), "events": events}


def judge(pair, result):
    """Empty if all is as it should be, else what is not."""
    if "why" in result:
        return result["why"]
    faults = []
    if result["share"] < 0.9:
        faults.append(f"voice only {result['share']:.0%} of the time")
    best = expected(*pair)
    got = "direct" if result["path"] in ("direct", "punched") else result["path"]
    if ["direct", "reflected", "circuit"].index(got) > ["direct", "reflected", "circuit"].index(best):
        faults.append(f"{got} instead of {best}")
    elif best == "direct" and (result["direct"] or 0) > 3:
        faults.append("direct only after 3 s")
    return ", ".join(faults)


def topology(*words):
    generator = Path(shutil.which(NETLAB) or NETLAB).resolve().parent / "generate.py"
    return json.loads(subprocess.run([sys.executable, generator, *words], capture_output=True, check=True).stdout)


def line_of(pair, result, fault):
    name = f"{pair[0]:21}{pair[1]:21}"
    if "why" in result:
        return f"{name}{fault}"
    direct = "-" if result["direct"] is None else f"{max(result['direct'], 0) * 1000:.0f}"
    return (f"{name}{result['path']:10}{result['ring'] * 1000:7.0f}{direct:>9}{result['share']:8.0%}"
            f"{result['gap']:7}  {fault}")


HEAD = f"{'caller':21}{'called':21}{'path':10}{'ring ms':>7}{'direct ms':>9}{'voice':>8}{'gap ms':>7}"


def matrix(options):
    # Of each kind there is one home for each end: neighbours in the list are of other kinds, so that
    # several can call at once.
    size = len(KINDS)
    all_pairs = [(KINDS[n], KINDS[(n + apart) % size]) for apart in range(size) for n in range(size)]
    pairs = SOME if options.some else all_pairs + [(scenario, scenario) for scenario in SCENARIOS]
    with tempfile.TemporaryDirectory() as folder, Lab(topology("matrix"), folder) as lab:
        sounds = tones(folder, 8)
        jobs = [befriend(folder, n) for n in range(options.jobs)]
        free, busy, gate, bad = list(range(options.jobs)), set(), threading.Condition(), []

        def run(pair):
            hosts = {f"a-{pair[0]}", f"b-{pair[1]}"}
            with gate:
                gate.wait_for(lambda: free and not hosts & busy)
                job = free.pop()
                busy.update(hosts)
            place = Path(folder) / f"job{job}"
            try:
                for _ in range(options.tries):
                    result = trial(lab, f"a-{pair[0]}", f"b-{pair[1]}", fresh(jobs[job], place), sounds)
                    fault = judge(pair, result)
                    print(line_of(pair, result, fault), flush=True)
                    if not fault:
                        break
                if fault:
                    bad.append(pair)
                return result
            finally:
                with gate:
                    free.append(job)
                    busy.difference_update(hosts)
                    gate.notify_all()

        print(HEAD, flush=True)
        with ThreadPoolExecutor(options.jobs) as pool:
            results = list(pool.map(run, pairs))
    summary(pairs, results, bad)
    return 1 if bad else 0


def summary(pairs, results, bad):
    good = [r for r in results if "why" not in r]
    kinds = {path: sum(r["path"] == path for r in good) for path in ("direct", "punched", "reflected", "circuit")}
    print(f"\n{len(pairs)} pairs, {len(good)} calls, {len(bad)} not as they should be; {kinds}")
    if good:
        ring = sorted(r["ring"] for r in good)
        print(f"dial to ringing: median {ring[len(ring) // 2] * 1000:.0f} ms, worst {ring[-1] * 1000:.0f} ms")


def pair(options):
    scenario = options.a in SCENARIOS
    words = ("pair", options.a) if scenario else ("pair", options.a, options.b)
    with tempfile.TemporaryDirectory() as folder, Lab(topology(*words), folder) as lab:
        homes, sounds = befriend(folder, 0), tones(folder, 12)
        result = trial(lab, "alice", "bob", fresh(homes, Path(folder) / "run"), sounds)
        if options.keep:
            shutil.copytree(folder, options.keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
    for event in result.pop("events", []):
        print(json.dumps(event))
    fault = judge((options.a, options.a if scenario else options.b), result)
    print(HEAD, line_of((options.a, options.b or options.a), result, fault), sep="\n")
    return 1 if fault else 0


def pulses(folder, length):
    """For each end a file with 200 ms of its tone at the beginning of each second."""
    files = {}
    for end, pitch in TONES.items():
        files[end] = Path(folder) / f"pulses-{end}.wav"
        second = [int(9000 * math.sin(2 * math.pi * pitch * n / RATE)) if n < RATE // 5 else 0 for n in range(RATE)]
        write(files[end], array.array("h", second * length))
    return files


def onsets(marks):
    """Where, in seconds, something begins to be heard after at least 300 ms of quiet."""
    found, quiet = [], 100
    for n, mark in enumerate(marks):
        if mark and quiet >= 15:
            found.append(n / 50)
        quiet = 0 if mark else quiet + 1
    return found


def active_at(phone):
    return next((seconds(e) for e in phone.events if e["event"] == "call" and e["state"] == "active"), None)


def delays(speaker, listener, pitch):
    """Mouth to ear of each pulse, in ms: both files begin when the call becomes active at their end."""
    begin, end = active_at(speaker), active_at(listener)
    if begin is None or end is None:
        return []
    shifted = [at + end - begin for at in onsets(heard(listener.out, pitch))]
    return [1000 * (at % 1) for at in shifted if at > 1]


def with_delay(pair_, delay):
    """Two homes, so far apart that a packet needs `delay` ms from one to the other."""
    made = topology("pair", *pair_)
    for router in made["routers"].values():
        router["link"] = {"delay": f"{delay / 2}ms"}
    for host in ("alice", "bob"):
        if "behind" not in made["hosts"][host]:
            made["hosts"][host]["link"] = {"delay": f"{delay / 2}ms"}
    for host in RELAYS:
        made["hosts"][host]["link"] = {"delay": "5ms"}
    return made


def two(lab, homes, sounds):
    phones = {"a": Phone(lab, "alice", homes["a"], sounds["a"]), "b": Phone(lab, "bob", homes["b"], sounds["b"])}
    for end, phone in phones.items():
        if not phone.reachable():
            raise RuntimeError(f"{end} did not become reachable")
    return phones


def ring(options):
    made = with_delay(("port-restricted", "port-restricted"), 40)
    with tempfile.TemporaryDirectory() as folder, Lab(made, folder) as lab:
        homes, sounds = befriend(folder, 0), tones(folder, 4)
        for what in ("warm", "cold"):
            times = []
            for _ in range(options.times):
                run = fresh(homes, Path(folder) / "run")
                listener = Phone(lab, "bob", run["b"], sounds["b"])
                listener.reachable()
                if what == "warm":
                    speaker = Phone(lab, "alice", run["a"], sounds["a"])
                    speaker.reachable(), time.sleep(3)
                    command = [TWOCAN, "--home", str(run["a"]), "call", "b", "--for", "1s", "--json"]
                else:
                    # The program that calls is the one that has to find its way first.
                    command = [*lab.inside("alice"), TWOCAN, "--home", str(run["a"]), "call", "b", "--for", "1s", "--json",
                               "--network", "private", *(f"--bootstrap={line}" for line in lab.bootstrap), "--audio", "null"]
                started = time.time()
                subprocess.run(command, capture_output=True, timeout=60)
                rung = [seconds(e) for e in listener.events if e["event"] == "call" and e["state"] == "ringing"]
                times.append(1000 * (rung[0] - started) if rung else math.inf)
                for phone in (listener, *((speaker,) if what == "warm" else ())):
                    phone.stop()
            times.sort()
            print(f"start of `twocan call` to ringing at the far phone, 40 ms each way, {what}: "
                  f"median {times[len(times) // 2]:.0f} ms, worst {times[-1]:.0f} ms of {len(times)}", flush=True)
    return 0


MOVES = {
    "new address in the same home": (("port-restricted", "port-restricted"), lambda lab: lab.netlab("event", "readdr", "alice", "192.168.0.99")),
    "to another network": (("port-restricted", "port-restricted"), lambda lab: lab.netlab("event", "move", "alice", "behind=router-c")),
    "NAT reboots, with a new address": (("port-restricted", "port-restricted"),
                                        lambda lab: lab.netlab("event", "reboot", "router-a", "addr=203.0.113.77")),
    "to the internet without NAT": (("port-restricted", "symmetric"), lambda lab: lab.netlab("event", "move", "alice", "behind=internet")),
    "the reflector dies": (("symmetric", "symmetric"), lambda lab: lab.kill_reflector()),
}


def moves(options):
    bad = 0
    for name, (pair_, act) in MOVES.items():
        made = with_delay(pair_, 40)
        made["routers"]["router-c"] = {"nat": "port-restricted", "link": {"delay": "20ms"}}
        made["hosts"]["carol"] = {"behind": "router-c"}
        gaps, paths = [], []
        for _ in range(options.times):
            with tempfile.TemporaryDirectory() as folder, Lab(made, folder) as lab:
                run, sounds = fresh(befriend(folder, 0), Path(folder) / "run"), tones(folder, 21)
                phones = two(lab, run, sounds)
                timer = threading.Timer(8, act, [lab])
                timer.start()
                done = phones["a"].call("b", 20)
                time.sleep(1.2)
                result = report(done, phones, time.time())
                for phone in phones.values():
                    phone.stop()
                gaps.append(math.inf if "why" in result or result["share"] < 0.5 else result["gap"])
                paths = [f"{at:.1f} s {path}" for at, path in result.get("paths", [])] or [result.get("why", "?")]
        limit = 1500 if "dies" in name else 1000
        bad += max(gaps) > limit
        print(f"{name}: without voice for {', '.join(f'{gap:.0f}' for gap in gaps)} ms (last time: {'; '.join(paths)})", flush=True)
    return 1 if bad else 0


def lend(_options):
    """Two who cannot reach each other, and no reflector but that of a contact of one of them."""
    made = with_delay(("symmetric", "symmetric"), 40)
    made["hosts"]["gus"] = {"addr": "198.18.0.77"}
    with tempfile.TemporaryDirectory() as folder, Lab(made, folder, "nobody") as lab:
        homes, sounds = befriend(folder, 0, "abg"), tones(folder, 16)
        gus = Phone(lab, "gus", homes["g"], sounds["a"], options=("--lend", "true"))
        if not gus.reachable():
            print("gus did not become reachable")
            return 1
        phones = two(lab, homes, sounds)
        done = phones["a"].call("b", 15)
        time.sleep(1.2)
        result = report(done, phones, time.time())
        carried = json.loads(plain("--home", homes["g"], "relay", "status", "--json"))["reflector"]
        for phone in (gus, *phones.values()):
            phone.stop()
    print(f"by a contact's phone: {result.get('path', result.get('why'))}, voice {100 * result.get('share', 0):.0f} % of the time, "
          f"{carried['given']} rooms given, {carried['packets']} packets carried", flush=True)
    return 0 if result.get("path") == "reflected" and carried["packets"] > 100 else 1


def tcp(options):
    made = with_delay(("tcp443-only", "port-restricted"), 40)
    made["hosts"]["alice"]["link"] = {"loss": "1%"}
    with tempfile.TemporaryDirectory() as folder, Lab(made, folder) as lab:
        run, sounds = fresh(befriend(folder, 0), Path(folder) / "run"), pulses(folder, options.seconds + 1)
        phones = two(lab, run, sounds)
        result = report(phones["a"].call("b", options.seconds), phones, time.time())
        time.sleep(1.2)
        for end, other in ("ab", "ba"):
            found = delays(phones[end], phones[other], TONES[end])
            third = max(1, len(found) // 3)
            middle = lambda part: sorted(part)[len(part) // 2] if part else math.inf
            print(f"{end} to {other}, nothing but TCP to 443 at one end, 1 % loss, 40 ms path: {result.get('path', result.get('why'))}, "
                  f"{len(found)} of {options.seconds} pulses heard, mouth to ear {middle(found[:third]):.0f} ms in the first third, "
                  f"{middle(found[-third:]):.0f} ms in the last, worst {max(found, default=math.inf):.0f} ms", flush=True)
        for phone in phones.values():
            phone.stop()
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    of_matrix = commands.add_parser("matrix")
    of_matrix.add_argument("--some", action="store_true", help="a few pairs, of every sort")
    of_matrix.add_argument("--jobs", type=int, default=4)
    of_matrix.add_argument("--tries", type=int, default=1, help="how often a pair may try, on a busy machine")
    of_matrix.set_defaults(run=matrix)
    of_pair = commands.add_parser("pair")
    of_pair.add_argument("a"), of_pair.add_argument("b", nargs="?")
    of_pair.add_argument("--keep", help="a folder for the logs and recordings")
    of_pair.set_defaults(run=pair)
    for name, run, times in (("ring", ring, 5), ("moves", moves, 3)):
        of_it = commands.add_parser(name)
        of_it.add_argument("--times", type=int, default=times)
        of_it.set_defaults(run=run)
    commands.add_parser("lend").set_defaults(run=lend)
    of_tcp = commands.add_parser("tcp")
    of_tcp.add_argument("--seconds", type=int, default=60)
    of_tcp.set_defaults(run=tcp)
    options = parser.parse_args()
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
