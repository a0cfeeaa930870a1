#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An agent for a long time on a bad day.

The agent and the collector live in network namespaces of their own, joined by a
pair of virtual interfaces.  Meanwhile the log is rotated every second, the link
goes down and comes back (2 to 20 s of every 30), and the agent's clock jumps, an
hour forth, a day back.  Prints what was lost or doubled at the collector, and
memory and descriptors of the agent's processes, early and late.  Needs root.

The clock is libfaketime's (Debian: faketime), preloaded into the agent alone:
a time namespace does not move CLOCK_REALTIME, and setting the machine's clock
would move everybody's.  Without it, no clock jumps; the table says so.
"""

import glob
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time

from bench import BUILD, Parser, family
from harness import Process, World, wait_for

HERE, THERE = "198.18.0.1", "198.18.0.2"
KEPT = 90                # generations of the log
TICK_S, LINES_A_TICK = 0.05, 20
INSIDE = "KUZET_SOAK_INSIDE"


def enter():
    """A network namespace for this program; what stands in the way."""
    if os.environ.get(INSIDE):
        return None
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            return f"needs {tool}"
    r = subprocess.run(["unshare", "-n", "ip", "link", "add", "soak0", "type",
                        "veth", "peer", "name", "soak1"], capture_output=True,
                       text=True, check=False)
    if r.returncode != 0:
        return f"no network namespaces: {r.stderr.strip()}"
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Link:
    """The way between the two."""

    def __init__(self):
        self.cuts = 0
        ip("link", "set", "lo", "up")
        ip("link", "add", "soak0", "type", "veth", "peer", "name", "soak1")
        # a process keeps the other namespace alive
        self.keeper = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        mine = os.readlink("/proc/self/ns/net")
        wait_for("the namespace", lambda: os.readlink(
            f"/proc/{self.keeper.pid}/ns/net") != mine)
        ip("link", "set", "soak1", "netns", str(self.keeper.pid))
        ip("addr", "add", f"{HERE}/30", "dev", "soak0")
        ip("link", "set", "soak0", "up")
        for words in (("link", "set", "lo", "up"),
                      ("addr", "add", f"{THERE}/30", "dev", "soak1"),
                      ("link", "set", "soak1", "up")):
            subprocess.run([*self.there(), "ip", *words], check=True)

    def there(self):
        return ["nsenter", "-t", str(self.keeper.pid), "-n"]

    def up(self, yes):
        self.cuts += not yes
        ip("link", "set", "soak0", "up" if yes else "down")

    def end(self):
        self.keeper.kill()
        self.keeper.wait()


class Writer(threading.Thread):
    """Numbered lines, and a rotation every second."""

    def __init__(self, w):
        super().__init__(daemon=True)
        self.w, self.n, self.rotations = w, 0, 0
        self.log = w.log("a.log")
        self.stop = threading.Event()

    def rotate(self):
        (self.log.parent / f"a.log.{KEPT}").unlink(missing_ok=True)
        for i in range(KEPT - 1, 0, -1):
            old = self.log.parent / f"a.log.{i}"
            if old.exists():
                old.rename(self.log.parent / f"a.log.{i + 1}")
        self.log.rename(self.log.parent / "a.log.1")
        self.rotations += 1

    def run(self):
        due = time.monotonic() + 1
        while not self.stop.wait(TICK_S):
            self.w.write_lines(self.n, LINES_A_TICK)
            self.n += LINES_A_TICK
            if time.monotonic() >= due:
                due += 1
                self.rotate()


class Watch(threading.Thread):
    """Its own memory (no file's pages) and descriptors, every two seconds."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.rows = pid, []
        self.stop = threading.Event()

    def run(self):
        while not self.stop.wait(2):
            memory = fds = 0
            try:
                for p in family(self.pid):
                    text = pathlib.Path(f"/proc/{p}/smaps_rollup").read_text()
                    memory += int(text.split("Anonymous:")[1].split()[0])
                    fds += len(os.listdir(f"/proc/{p}/fd"))
            except OSError:
                return
            self.rows.append((memory / 1024, fds))

    def part(self, column, first, last):
        n = len(self.rows)
        rows = self.rows[int(n * first):max(int(n * last), 1)]
        return statistics.median(r[column] for r in rows) if rows else 0


class Clock:
    """The agent's, which can be set."""

    JUMPS = ("+0", "+3600", "-86400", "+120", "-5")

    def __init__(self, w):
        found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        self.library = found[0] if found else None
        self.file = w.dir / "web-1-state" / "clock"
        if self.library is not None and subprocess.run(
                [BUILD / "kuzet-agent", "--version"], check=False,
                env={**os.environ, "LD_PRELOAD": self.library},
                capture_output=True).returncode != 0:
            self.library = None  # sanitizers want to be first
        self.jumps = 0
        self.set("+0")

    def set(self, offset):
        fresh = self.file.with_suffix(".new")
        fresh.write_text(offset + "\n")
        fresh.chmod(0o644)
        fresh.rename(self.file)

    def jump(self):
        if self.library is not None:
            self.jumps += 1
            self.set(random.choice(self.JUMPS))

    def environment(self):
        if self.library is None:
            return {}
        return {"LD_PRELOAD": self.library, "FAKETIME_NO_CACHE": "1",
                "FAKETIME_TIMESTAMP_FILE": str(self.file),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1"}


def start_agent(w, link, clock):
    state = w.dir / "web-1-state"
    shutil.chown(state, "nobody")
    config = w.agent_config(extra="user: nobody\nreport_interval: 10s\n")
    text = config.read_text().replace(f"127.0.0.1:{w.port}",
                                      f"{HERE}:{w.port}")
    config.write_text(text)
    p = Process([*link.there(), BUILD / "kuzet-agent", "-c", config],
                w.dir / "web-1.log.txt", {**w.env, **clock.environment()})
    w.processes.append(p)
    return p


def start_collector(w):
    path = w.collector_config()
    path.write_text(path.read_text().replace("127.0.0.1:" + str(w.port),
                                             f"{HERE}:{w.port}"))
    p = Process([BUILD / "kuzet-collector", "-c", path],
                w.dir / "collector.log", w.env)
    w.processes.append(p)
    wait_for("the collector", lambda: w.status() is not None or not p.alive())
    assert p.alive(), p.text()
    return p


def bad_day(link, clock, seconds, alive):
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        assert alive(), "the agent ended"
        cut = min(random.uniform(2, 20), max(left / 2, 0.5))
        link.up(False)
        time.sleep(cut / 2)
        clock.jump()
        time.sleep(cut / 2)
        link.up(True)
        time.sleep(min(max(0, 30 - cut), max(end - time.monotonic(), 0)))
        clock.jump()


def soak(seconds):
    """What was lost, doubled, and what it cost; asserts nothing."""
    with World() as w:
        w.log("a.log").touch()
        (w.dir / "logs").chmod(0o755)
        (w.dir / "web-1-state").mkdir(mode=0o700)
        clock = Clock(w)
        link = Link()
        try:
            start_collector(w)
            agent = start_agent(w, link, clock)
            writer, watch = Writer(w), Watch(agent.popen.pid)
            writer.start()
            wait_for("the first lines", lambda: w.stored() > 0)
            watch.start()
            bad_day(link, clock, seconds, agent.alive)
            writer.stop.set()
            writer.join()
            w.wait_stored(writer.n)
            watch.stop.set()
            watch.join()
            seen = {}
            for e in w.events("--flat"):
                if "log.file.path" in e:
                    number = int(e["event.original"].split()[6])
                    seen[number] = seen.get(number, 0) + 1
            status = agent.stop()
            return {"seconds": seconds, "lines": writer.n,
                    "lost": writer.n - len(seen),
                    "doubled": sum(seen.values()) - len(seen),
                    "rotations": writer.rotations, "cuts": link.cuts,
                    "clock jumps": clock.jumps, "exit": status,
                    "own MB, early": watch.part(0, 0.1, 0.3),
                    "own MB, late": watch.part(0, 0.8, 1),
                    "descriptors, early": watch.part(1, 0.1, 0.3),
                    "descriptors, late": watch.part(1, 0.8, 1),
                    "descriptors, most": max((r[1] for r in watch.rows),
                                             default=0),
                    "log": w.processes[-1].text()[-2000:]}
        finally:
            link.end()


def main():
    p = Parser(__doc__, "kuzet-agent", "kuzet-collector", "kuzetctl")
    p.add_argument("minutes", nargs="?", type=float, default=30,
                   help="default 30")
    minutes = p.parse().minutes
    why = enter()
    if why is not None:
        print(f"not measured: {why}")
        return 1
    found = soak(minutes * 60)
    log = found.pop("log")
    for name, value in found.items():
        print(f"{name:24} {value:,.1f}" if isinstance(value, float)
              else f"{name:24} {value:,}")
    if found["lost"] or found["doubled"]:
        print(log)
    return 1 if found["lost"] or found["doubled"] or found["exit"] else 0


if __name__ == "__main__":
    sys.exit(main())
