#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The hard cases of tailing files, by number and name.

Each has cost users of some log shipper lines.  Without a crash every line
arrives exactly once and in order; with one, at least once, and once behind a
mark for each stream, as the collector keeps it.
"""

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import time

import agent_ship
import harness
from agent_ship import AGENT, World, memory_kb, sanitized
from harness import PATIENCE, Skip, main, wait_for

# pylint: disable=consider-using-with


class Tail(World):
    """An agent, and a receiver with bad habits; ended with the block."""

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for line in self.err().splitlines()[-12:]:
                print(f"# {line}")
        self.end()

    def err(self):
        path = f"{self.dir}/agent.err"
        return super().err() if os.path.exists(path) else ""

    def path(self, name):
        return f"{self.dir}/{name}"

    def append(self, name, data):
        if isinstance(data, str):
            data = data.encode()
        with open(self.path(name), "ab") as f:
            f.write(data)

    def got(self, *names):
        """All that was taken, or of these files."""
        with self.receiver.lock:
            return [m for p, lines in self.receiver.lines.items()
                    if not names or p in names for m in lines]

    def expect(self, lines, ordered=True):
        """These lines, and nothing else."""
        lines = list(lines)
        deadline, seen = 0, -1
        while (now := len(self.got())) < len(lines):
            if now > seen:
                seen, deadline = now, time.monotonic() + PATIENCE
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        time.sleep(0.2)  # what comes too often comes soon
        got = self.got()
        if not ordered:
            got, lines = sorted(got), sorted(lines)
        there = set(got)
        lost = [m for m in lines if m not in there]
        assert not lost, f"{len(lost)} of {len(lines)} lost: {lost[:5]}"
        assert got == lines, f"{len(got)} for {len(lines)}: {got[:5]}"

    def status(self):
        r = subprocess.run([AGENT, "status", "-c", self.config, "--json"],
                           capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in r.stdout.splitlines()]
        return (lines[0] if lines else None), {
            os.path.basename(f["path"]): f for f in lines[1:]}

    def deleted_descriptors(self):
        fds = f"/proc/{self.agent.pid}/fd"
        targets = []
        for fd in os.listdir(fds):
            try:
                targets.append(os.readlink(f"{fds}/{fd}"))
            except FileNotFoundError:
                pass  # closed meanwhile
        return [t for t in targets
                if self.dir in t and t.endswith("(deleted)")]


def inputs(*entries):
    return "".join(f"  - {{type: file, {e}}}\n" for e in entries)


def numbers(n, first=0, text="the line"):
    return [f"{i} {text}" for i in range(first, first + n)]


def lines_of(texts):
    return "".join(t + "\n" for t in texts)


def rotate(w, name, keep):
    """As logrotate without compression: .1 becomes .2, and so on."""
    for i in range(keep, 0, -1):
        if os.path.exists(w.path(f"{name}.{i}")):
            os.rename(w.path(f"{name}.{i}"), w.path(f"{name}.{i + 1}"))
    os.rename(w.path(name), w.path(f"{name}.1"))


def case_01():
    """case 1: rename and create under load, several times between two scans"""
    with Tail() as w:
        w.configure(inputs=inputs("paths: [app.log]"))
        w.append("app.log", "0 the line\n")
        w.start()
        w.expect(numbers(1))
        n = 1
        for i in range(60):
            w.append("app.log", lines_of(numbers(50, n)))
            n += 50
            rotate(w, "app.log", 70)
            if i % 5 == 0:
                time.sleep(0.03)
        w.append("app.log", lines_of(numbers(10, n)))
        w.expect(numbers(n + 10), ordered=False)


def case_02():
    """case 2: rotated, compressed and deleted before it was read: all of it"""
    with Tail() as w:
        w.configure(inputs=inputs("paths: [app.log]"))
        w.receiver.ack_delay = 0.3
        w.append("app.log", lines_of(numbers(20000)))
        w.start()
        wait_for("a beginning", w.got)
        os.rename(w.path("app.log"), w.path("app.log.1"))
        with open(w.path("app.log.1"), "rb") as f, \
                gzip.open(w.path("app.log.1.gz"), "wb", 1) as z:
            z.write(f.read())
        os.unlink(w.path("app.log.1"))
        w.append("app.log", lines_of(numbers(10, 20000)))
        w.receiver.ack_delay = 0
        w.expect(numbers(20010), ordered=False)
        wait_for("the deleted file's space to be given back",
                 lambda: not w.deleted_descriptors())


def case_03():
    """case 3: a new file gets the freed inode"""
    with Tail() as w:
        w.append("a.log", lines_of(numbers(500)))
        inode = os.stat(w.path("a.log")).st_ino
        w.start()
        w.expect(numbers(500))
        w.stop()
        for again in range(200):
            os.unlink(w.path("a.log"))
            w.append("a.log", lines_of(numbers(700, 1000, "another")))
            if os.stat(w.path("a.log")).st_ino == inode:
                break
        else:
            raise Skip("this file system does not use inodes again at once")
        w.start()
        w.expect(numbers(500) + numbers(700, 1000, "another"))
        print(f"# the same inode after {again + 1} times")


def case_04():
    """case 4: files that begin alike, and files shorter than a fingerprint"""
    head = lines_of(f"# the same header {i}" for i in range(200)).encode()
    with Tail() as w:
        for name in ("a.log", "b.log", "c.log"):
            w.append(name, head)
        w.append("short-1.log", "x\n")
        w.append("short-2.log", "x\n")
        w.start()
        wait_for("all files", lambda: len(w.got()) == 602)
        for name in ("a.log", "b.log", "short-1.log"):
            w.append(name, f"more of {name}\n")
        wait_for("what follows", lambda: len(w.got()) >= 605)
        for name in ("a.log", "b.log", "c.log"):
            more = [f"more of {name}"] if name != "c.log" else []
            assert w.got(name) == head.decode().splitlines() + more, name
        assert w.got("short-1.log") == ["x", "more of short-1.log"]
        assert w.got("short-2.log") == ["x"]


def case_05():
    """case 5: truncated in place to less, the same and more, also while down"""
    sizes = (3, 50, 90)
    expected = numbers(50)
    with Tail() as w:
        w.append("a.log", lines_of(expected))
        w.start()
        w.expect(expected)
        for i, n in enumerate(sizes * 2):
            new = numbers(n, 100 * (i + 1))
            if i == 3:
                w.stop()
            # in place: the inode stays
            with open(w.path("a.log"), "w", encoding="ascii") as f:
                f.write(lines_of(new))
            if i == 3:
                w.start()
            expected += new
            w.expect(expected)
        w.stop()
        w.start()
        w.expect(expected)  # not read again at each start


def copytruncate(w, number, pause=lambda: None):
    for i in range(number, 0, -1):
        if os.path.exists(w.path(f"app.log.{i}")):
            os.rename(w.path(f"app.log.{i}"), w.path(f"app.log.{i + 1}"))
    pause()
    shutil.copyfile(w.path("app.log"), w.path("app.log.1"))
    pause()
    os.truncate(w.path("app.log"), 0)


def case_06():
    """case 6: copytruncate: nothing twice, no tail lost"""
    for paths in ("paths: [app.log]", "paths: ['app.log*']"):
        with Tail() as w:
            w.configure(inputs=inputs(paths))
            w.append("app.log", lines_of(numbers(100)))
            w.start()
            w.expect(numbers(100))
            n = 100
            for i in range(6):
                w.append("app.log", lines_of(numbers(30, n)))
                n += 30
                w.expect(numbers(n), ordered=False)
                copytruncate(w, i)
                time.sleep(0.5)
            w.append("app.log", lines_of(numbers(5, n)))
            w.expect(numbers(n + 5), ordered=False)


def case_06_often():
    """case 6: copytruncate faster than anybody looks: each line once"""
    for seed in range(4):
        rng = random.Random(seed)

        def pause():
            if rng.random() < 0.5:
                time.sleep(rng.choice([0.0005, 0.001, 0.002, 0.005, 0.01]))

        with Tail() as w:
            w.configure(inputs=inputs(("paths: [app.log]",
                                       "paths: ['app.log*']")[seed % 2]))
            w.append("app.log", lines_of(numbers(100)))
            w.start()
            w.expect(numbers(100))
            n = 100
            for i in range(50):
                count = rng.choice([1, 3, 30, 30, 60])
                w.append("app.log", lines_of(numbers(count, n)))
                n += count
                pause()
                copytruncate(w, i, pause)
                pause()
                if rng.random() < 0.25:
                    time.sleep(0.05)
            w.append("app.log", lines_of(numbers(5, n)))
            w.expect(numbers(n + 5), ordered=False)


def case_06_away():
    """case 6: the copy is held while the receiver is away, even if deleted"""
    with Tail() as w:
        w.configure(inputs=inputs("paths: [app.log]"))
        w.receiver.close()
        w.append("app.log", lines_of(numbers(40000, 0, "x" * 80)))
        w.start()
        wait_for("attempts", lambda: "trying on" in w.err())
        copytruncate(w, 1)
        wait_for("the copy to be found", lambda: "holds the rest" in w.err())
        os.unlink(w.path("app.log.1"))
        w.append("app.log", lines_of(numbers(10, 40000, "x" * 80)))
        w.receiver = agent_ship.Receiver(w.pki, w.receiver.port)
        w.expect(numbers(40010, 0, "x" * 80))


def case_07():
    """case 7: rotated and compressed while the agent was down"""
    with Tail() as w:
        w.configure(inputs=inputs("paths: ['app.log*']"))
        w.append("app.log", lines_of(numbers(100)))
        w.start()
        w.expect(numbers(100))
        w.stop()
        w.append("app.log", lines_of(numbers(100, 100)))
        rotate(w, "app.log", 3)
        w.append("app.log", lines_of(numbers(100, 200)))
        rotate(w, "app.log", 3)
        with open(w.path("app.log.2"), "rb") as f, \
                gzip.open(w.path("app.log.2.gz"), "wb") as z:
            z.write(f.read())
        os.unlink(w.path("app.log.2"))
        w.append("app.log", lines_of(numbers(100, 300)))
        w.start()
        w.expect(numbers(400), ordered=False)
        w.stop()
        w.start()
        time.sleep(0.5)
        w.expect(numbers(400), ordered=False)
        assert w.receiver.duplicates == 0, w.receiver.duplicates


def case_08():
    """case 8: SIGKILL and SIGTERM with data under way: position after ACK"""
    with Tail() as w:
        w.receiver.silent = 2
        w.append("a.log", lines_of(numbers(9000)))
        w.start()
        wait_for("a window that is not acknowledged",
                 lambda: w.receiver.offered > 0)
        assert not w.got()
        w.kill()
        w.receiver.silent = 0
        w.receiver.ack_delay = 0.05
        w.start()
        wait_for("some of it", lambda: len(w.got()) > 2000)
        assert w.stop()[0] == 0
        w.start()
        w.expect(numbers(9000))


def case_09():
    """case 9: the receiver away for long: bounded, no drop, full pace again"""
    with Tail() as w:
        w.receiver.close()
        w.append("a.log", lines_of(numbers(60000, 0, "x" * 80)))
        w.start()
        wait_for("attempts", lambda: "trying on" in w.err())
        time.sleep(1)
        rss = memory_kb(w.agent.pid, "VmRSS")
        assert sanitized() or rss < 15000, rss
        w.receiver = agent_ship.Receiver(w.pki, w.receiver.port)
        w.expect(numbers(60000, 0, "x" * 80))
        assert sanitized() or memory_kb(w.agent.pid) < 15000


def case_10():
    """case 10: state empty, corrupt, left half written, on a full disk"""
    with Tail() as w:
        w.append("a.log", lines_of(numbers(100)))
        w.start()
        w.expect(numbers(100))
        w.stop()
        state = w.path("state/files.state")
        good = open(state, "rb").read()
        # a crash between writing and renaming: the old one counts
        with open(w.path("state/files.state.new"), "wb") as f:
            f.write(good[:40])
        w.start()
        w.append("a.log", lines_of(numbers(1, 100)))
        w.expect(numbers(101))
        w.stop()
        for i, bad in enumerate((b"", good[:-20], bytes(500), b"x" * 500)):
            with open(state, "wb") as f:
                f.write(bad)
            w.receiver.lines.clear()
            w.start()
            w.append("a.log", lines_of(numbers(1, 101 + i)))
            # doubles, never losses; and it says so
            w.expect(numbers(102 + i))
            assert "positions are lost" in w.err()
            w.stop()
        # what is written cannot be kept: it goes on, and says so
        if os.geteuid() == 0 and subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=4k", "kuzet-test",
                 w.path("state")], check=False,
                capture_output=True).returncode == 0:
            try:
                with open(w.path("state/ballast"), "wb", buffering=0) as f:
                    try:
                        f.write(bytes(8192))
                    except OSError:
                        pass
                w.receiver.lines.clear()
                w.start()
                w.expect(numbers(105))
                wait_for("the warning",
                         lambda: "positions cannot be saved" in w.err())
                w.append("a.log", lines_of(numbers(1, 105)))
                w.expect(numbers(106))
                w.stop()
            finally:
                subprocess.run(["umount", "-l", w.path("state")], check=False)


def case_11():
    """case 11: thousands of short-lived files leave nothing behind"""
    with Tail() as w:
        w.start()
        expected = []
        for batch in range(2):
            for i in range(250):
                text = f"line of {batch}-{i}"
                w.append(f"job-{batch}-{i}.log", text + "\n")
                expected.append(text)
            w.expect(expected, ordered=False)
            for i in range(250):
                os.unlink(w.path(f"job-{batch}-{i}.log"))
        wait_for("all descriptors to be closed",
                 lambda: not w.deleted_descriptors())
        wait_for("all streams to be ended", lambda: sum(
            c["control"] == "stream_end" for c in w.receiver.controls) >= 500)
        first, files = w.status()
        assert first["files"]["open"] == 0, first
        assert all(f["state"] == "finished" for f in files.values()), files
        assert os.path.getsize(w.path("state/files.state")) < 1 << 20
        w.expect(expected, ordered=False)


def case_12():
    """case 12: a line longer than the bound: cut, flagged, counted; goes on"""
    with Tail() as w:
        w.configure(inputs=inputs("paths: [a.log], max_line: 100"))
        w.receiver.keep_events = True
        w.append("a.log", "before\n" + "x" * 300000 + "\nafter\n")
        w.start()
        w.expect(["before", "x" * 100, "after"])
        flags = [e["log"].get("flags") for e in w.receiver.events]
        assert flags == [None, ["truncated"], None], flags
        _, files = w.status()
        assert files["a.log"]["cut"] == 1, files
        w.append("a.log", "later\n")
        w.expect(["before", "x" * 100, "after", "later"])


def case_13():
    """case 13: last lines without an end: in pieces, rotated, deleted"""
    with Tail() as w:
        w.configure(inputs=inputs("paths: [a.log]"))
        w.append("a.log", "one\nin ")
        w.start()
        w.expect(["one"])
        w.append("a.log", "two pie")
        time.sleep(0.3)
        assert w.got() == ["one"]
        w.stop()
        w.append("a.log", "ces\nrotated so")
        w.start()
        w.expect(["one", "in two pieces"])
        os.rename(w.path("a.log"), w.path("a.log.1"))
        w.append("a.log", "new\ndeleted so")
        w.expect(["one", "in two pieces", "rotated so", "new"], False)
        os.unlink(w.path("a.log"))
        w.expect(["one", "in two pieces", "rotated so", "new", "deleted so"],
                 False)


def case_14():
    """case 14: an event of several lines, cut by restart, time-out, rotation"""
    with Tail() as w:
        w.configure(inputs=inputs(
            "paths: [a.log], multiline: {indent: true, timeout: 1s}"))
        w.append("a.log", "one\n a\n")
        w.start()
        time.sleep(0.2)
        w.kill()
        w.append("a.log", " b\ntwo\n")
        w.start()
        w.expect(["one\n a\n b", "two"])  # "two" by the time-out
        w.configure(inputs=inputs(
            "paths: [a.log], multiline: {indent: true, timeout: 1h}"))
        w.agent.send_signal(signal.SIGHUP)
        w.append("a.log", "three\n a\n")
        time.sleep(0.2)
        os.rename(w.path("a.log"), w.path("a.log.1"))
        w.append("a.log.1", " b")
        w.append("a.log", "four\nfive\n")
        w.expect(["one\n a\n b", "two", "three\n a\n b", "four"], False)


def case_15():
    """case 15: no inotify watches, no inotify: polling finds the same"""
    limits = ("max_inotify_watches", "max_inotify_instances")
    if subprocess.run(["unshare", "-Ur", "sh", "-c",
                       "echo 0 > /proc/sys/user/max_inotify_watches"],
                      check=False, capture_output=True).returncode != 0:
        raise Skip("a user namespace with limits of its own is not to be had")
    for limit in limits:
        with Tail() as w:
            w.configure(rest="scan_interval: 200ms\n")
            w.append("a.log", lines_of(numbers(10)))
            w.log = open(w.path("agent.err"), "a", encoding="utf-8")
            w.agent = subprocess.Popen(
                ["unshare", "-Ur", "sh", "-c",
                 f"echo 0 > /proc/sys/user/{limit}; exec \"$@\"", "sh",
                 os.path.abspath(AGENT), "-c", w.config], stderr=w.log)
            w.expect(numbers(10))
            os.rename(w.path("a.log"), w.path("a.log.1"))
            w.append("a.log.1", lines_of(numbers(10, 10)))
            w.append("a.log", lines_of(numbers(10, 20)))
            w.append("b.log", lines_of(numbers(10, 30)))
            w.expect(numbers(40), ordered=False)


def case_16():
    """case 16: a symbolic link whose target rotates"""
    with Tail() as w:
        os.mkdir(w.path("real"))
        w.append("real/app.out", "one\n")
        os.symlink("real/app.out", w.path("app.log"))
        w.start()
        w.expect(["one"])
        w.append("real/app.out", "two\n")
        os.rename(w.path("real/app.out"), w.path("real/app.out.1"))
        w.append("real/app.out.1", "three\n")
        w.append("real/app.out", "four\n")
        w.expect(["one", "two", "three", "four"], ordered=False)


def case_17():
    """case 17: NUL bytes, invalid UTF-8, CRLF, UTF-16"""
    with Tail() as w:
        w.append("a.log", b"a\0b\r\n\xff\xfe bad\n" + "ж\n".encode())
        w.append("b.log", "п\r\nр\n".encode("utf-16"))
        w.start()
        wait_for("all", lambda: len(w.got()) == 5)
        assert w.got("a.log") == ["a\0b", "\ufffd\ufffd bad", "ж"]
        assert w.got("b.log") == ["п", "р"]


def case_18():
    """case 18: the first bytes of fresh files are never missing"""
    with Tail() as w:
        w.receiver.keep_events = True
        w.start()
        expected = []
        for i in range(150):
            with open(w.path(f"fresh-{i}.log"), "wb", buffering=0) as f:
                for part in (b"fi", b"rst %d\n" % i, b"second %d\n" % i):
                    f.write(part)
            expected += [f"first {i}", f"second {i}"]
        w.expect(expected, ordered=False)
        firsts = [e for e in w.receiver.events if e["log"]["offset"] == 0]
        assert len(firsts) == 150, len(firsts)
        assert all(e["message"].startswith("first ") for e in firsts)


def case_19():
    """case 19: the server restarted while idle: the first line arrives"""
    with Tail() as w:
        w.append("a.log", "one\n")
        w.start()
        w.expect(["one"])
        for i in range(3):
            old = w.receiver
            old.close()
            w.receiver = agent_ship.Receiver(w.pki, old.port)
            w.receiver.marks, w.receiver.lines = old.marks, old.lines
            w.append("a.log", f"after restart {i}\n")
            w.expect(["one"] + [f"after restart {k}" for k in range(i + 1)])


def case_20():
    """case 20: one file by two globs, a hard link, a symbolic link, two inputs"""
    with Tail() as w:
        w.configure(inputs=inputs("name: one, paths: ['*.log', 'a*.log']",
                                  "name: two, paths: [a.log, 'link*']"))
        w.append("a.log", lines_of(numbers(100)))
        os.link(w.path("a.log"), w.path("a-hard.log"))
        os.symlink("a.log", w.path("link.log"))
        w.start()
        w.expect(numbers(100))
        w.append("a-hard.log", lines_of(numbers(100, 100)))
        w.expect(numbers(200))
        w.kill()
        w.start()
        w.append("a.log", lines_of(numbers(1, 200)))
        w.expect(numbers(201))


def case_21():
    """case 21: a slow receiver that says it lives gets nothing twice"""
    with Tail() as w:
        w.configure(collector="  ack_timeout: 1s\n")
        w.receiver.ack_delay = 2.2
        w.receiver.keep_alive = 0.3
        w.append("a.log", lines_of(numbers(3000)))
        w.start()
        w.expect(numbers(3000))
        assert w.receiver.connections == 1, w.receiver.connections
        assert w.receiver.duplicates == 0 and w.receiver.offered == 3000


def case_22():
    """case 22: what the collector acknowledged survives its kill -9"""
    with harness.World() as w:
        w.write_lines(0, 8000)
        collector = w.start_collector()
        agent = w.start_agent()

        def acked():
            r = subprocess.run(
                [AGENT, "status", "-c", w.dir / "web-1.yaml", "--json"],
                capture_output=True, text=True, check=False)
            return (json.loads(r.stdout.splitlines()[0])["events"]["acked"]
                    if r.returncode == 0 else 0)
        for _ in range(2):
            n = wait_for("ACKs", acked)
            collector.kill()
            n = max(n, acked())
            collector = w.start_collector()
            assert w.stored() >= n, (w.stored(), n)
        w.wait_stored(8000)
        w.check_delivery({"a.log": 8000})
        assert collector.stop() == 0 and agent.stop() == 0


def case_23():
    """case 23: a thousand files beside a huge one: nobody starves"""
    with Tail() as w:
        w.receiver.keep_events = True
        w.append("huge.log", lines_of(numbers(60000, 0, "y" * 60)))
        for i in range(1000):
            w.append(f"small-{i}.log", f"small {i}\n")
        w.start()
        w.expect(numbers(60000, 0, "y" * 60) +
                 [f"small {i}" for i in range(1000)], ordered=False)
        order = [e["message"].startswith("small")
                 for e in w.receiver.events]
        last = len(order) - order[::-1].index(True)
        assert last < len(order) // 2, f"the last small one was {last}th"


def case_24():
    """case 24: every byte is accounted for, with its file"""
    with Tail() as w:
        w.configure(inputs=inputs("paths: ['*.log'], max_line: 100"))
        w.append("a.log", lines_of(numbers(50)) + "z" * 200 + "\n")
        w.append("gone.log", "seen\n")
        w.start()
        w.expect(numbers(50) + ["z" * 100, "seen"], ordered=False)
        # truncated while nothing can be sent: bytes that nobody could read
        w.agent.send_signal(signal.SIGSTOP)
        w.append("gone.log", "never seen\n")
        with open(w.path("gone.log"), "r+b") as f:
            f.truncate(0)
        w.agent.send_signal(signal.SIGCONT)
        w.append("gone.log", "new\n")
        w.expect(numbers(50) + ["z" * 100, "seen", "new"], ordered=False)

        def settled():
            first, files = w.status()
            return first and first["events"]["acked"] == 53 and files
        files = wait_for("the ACKs", settled)
        a = files["a.log"]
        size = os.path.getsize(w.path("a.log"))
        assert (a["lines"], a["sent"], a["acked"], a["cut"], a["skipped"]) == \
            (51, 51, 51, 1, 0), a
        assert a["size"] == a["read"] == a["acked_to"] == size, a
        assert a["backlog"] == 0, a
        w.agent.send_signal(signal.SIGUSR1)
        wait_for("the log", lambda: "lines read 53, acknowledged 53, cut 1"
                 in w.err())


def case_24_lost():
    """case 24: bytes that were gone before they could be read are counted"""
    with Tail() as w:
        w.receiver.close()
        w.append("a.log", lines_of(numbers(60000, 0, "x" * 80)))
        w.start()
        wait_for("attempts", lambda: "trying on" in w.err())
        _, files = w.status()
        read = files["a.log"]["read"]
        size = os.path.getsize(w.path("a.log"))
        assert 0 < read < size
        os.truncate(w.path("a.log"), 0)
        wait_for("the loss to be told", lambda: "were never read" in w.err())
        first, _ = w.status()
        assert first["lost"]["bytes_skipped"] == size - read, (first, size,
                                                               read)


if __name__ == "__main__":
    if not os.access(AGENT, os.X_OK) or shutil.which("openssl") is None:
        print("1..0 # SKIP no kuzet-agent or openssl here")
    else:
        main([f for name, f in sorted(globals().items())
              if name.startswith("case_")])
