#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""File integrity: the command line alone, and the agent with its collector."""

import collections
import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time

import harness
from harness import BUILD, World, wait_for

CHANGES = {"created", "deleted", "modified", "attributes_modified", "moved"}


class Alone:
    """A folder with a tree and a configuration that names no collector."""

    def __init__(self, extra=""):
        self.temp = tempfile.TemporaryDirectory(prefix="kuzet-fim-")
        self.dir = pathlib.Path(self.temp.name)
        self.tree = self.dir / "tree"
        (self.tree / "sub").mkdir(parents=True)
        (self.tree / "a.conf").write_text("one\ntwo\nthree\n")
        (self.tree / "sub/b").write_text("b")
        (self.dir / "agent.yaml").write_text(f"""\
state_dir: state
inputs:
  - type: fim
    name: tree
    paths: ["{self.tree}"]
    rate: 0
{extra}
""")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.temp.cleanup()

    def fim(self, *args):
        words = [a for a in args if not a.startswith("-")]
        rest = [a for a in args if a.startswith("-")]
        return subprocess.run(
            [BUILD / "kuzet-agent", "fim", *words, "-c",
             self.dir / "agent.yaml", *rest],
            capture_output=True, text=True, check=False)

    def baseline(self):
        r = self.fim("baseline")
        assert r.returncode == 0, r.stderr

    def check(self, *args):
        """{path below the tree: action}"""
        r = self.fim("check", "--json", *args)
        events = [json.loads(line) for line in r.stdout.splitlines()]
        assert r.returncode == (1 if events else 0), r
        self.events = {
            os.path.relpath(e["file"]["path"], self.tree): e for e in events}
        assert len(self.events) == len(events)
        return {p: e["event"]["action"] for p, e in self.events.items()}


def test_command_line():
    """check says each changed path once, and leaves the baseline as it is"""
    with Alone() as w:
        assert w.fim("check").returncode == 2  # no baseline
        w.baseline()
        assert w.check() == {}
        (w.tree / "a.conf").write_text("one\n2\nthree\n")
        (w.tree / "sub/b").chmod(0o600)
        os.symlink("a.conf", w.tree / "link")
        os.mkfifo(w.tree / "fifo")
        expected = {"a.conf": "modified", "sub/b": "attributes_modified",
                    "link": "created", "fifo": "created"}
        assert w.check() == expected, w.events
        assert w.check("--full") == expected
        e = w.events["a.conf"]["kuzet"]["fim"]
        assert "sha256" in e["changed"], e
        assert e["before"]["sha256"] != e["after"]["sha256"]
        e = w.events["sub/b"]["kuzet"]["fim"]
        assert e["before"]["mode"] == "0644" and e["after"]["mode"] == "0600"
        w.baseline()
        assert w.check() == {}


def test_moves_and_links():
    """a new name of the same file is a move, a hard link and a swap are seen"""
    with Alone() as w:
        os.symlink("a.conf", w.tree / "link")
        w.baseline()
        os.rename(w.tree / "sub/b", w.tree / "c")
        os.link(w.tree / "a.conf", w.dir / "outside")
        assert w.check() == {"c": "moved", "a.conf": "attributes_modified"}
        assert w.events["c"]["kuzet"]["fim"]["before"]["path"] == str(
            w.tree / "sub/b")
        assert w.events["a.conf"]["kuzet"]["fim"]["after"]["links"] == 2
        w.baseline()
        os.unlink(w.tree / "link")
        os.symlink("/etc/passwd", w.tree / "link")
        os.unlink(w.tree / "c")
        os.symlink("a.conf", w.tree / "c")
        assert w.check() == {"link": "modified", "c": "modified"}
        changed = w.events["c"]["kuzet"]["fim"]
        assert changed["before"]["type"] == "file", changed
        assert changed["after"]["type"] == "symlink", changed


def test_old_time_and_size():
    """a file with the size and time of before is found changed all the same"""
    with Alone() as w:
        path = w.tree / "a.conf"
        st = path.stat()
        w.baseline()
        path.write_text("one\nTWO\nthree\n")
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
        assert w.check() == {"a.conf": "modified"}
        assert w.events["a.conf"]["kuzet"]["fim"]["changed"] == ["sha256"]


def test_names_and_specials():
    """any name is told, nothing but files is opened, loops end"""
    with Alone("    max_file_size: 1MiB\n") as w:
        w.baseline()
        bad = os.fsencode(w.tree) + b"/bad\xff\nname"
        with open(bad, "w", encoding="ascii") as f:
            f.write("x")
        os.symlink(".", w.tree / "loop")
        os.symlink("loop2", w.tree / "loop2")
        with open(w.tree / "sparse", "wb") as f:
            f.truncate(1 << 40)
        r = w.fim("check")
        assert r.returncode == 1
        assert len(r.stdout.splitlines()) == 4, r.stdout
        assert set(w.check()) >= {"loop", "loop2", "sparse"}
        e = w.events["sparse"]
        assert e["kuzet"]["fim"]["content"] == "too_large", e
        path = [e["file"] for e in w.events.values() if "path_hex" in e["file"]]
        assert bytes.fromhex(path[0]["path_hex"]) == bad


def test_bind_mounts():
    """what is mounted over a file or folder is seen"""
    if os.geteuid() != 0:
        raise harness.Skip("mounting needs root")
    with Alone() as w:
        w.baseline()
        (w.dir / "evil").mkdir()
        (w.dir / "evil.conf").write_text("one\ntwo\nthree\n")
        over = {w.dir / "evil": w.tree / "sub",
                w.dir / "evil.conf": w.tree / "a.conf"}
        mounted = []
        try:
            for what, where in over.items():
                if subprocess.run(["mount", "--bind", what, where],
                                  capture_output=True, check=False).returncode:
                    raise harness.Skip("mounting is not allowed here")
                mounted.append(where)
            told = w.check()
            assert told["sub/b"] == "deleted", told
            for name in ("sub", "a.conf"):
                changed = w.events[name]["kuzet"]["fim"]["changed"]
                assert "mount_point" in changed, changed
        finally:
            for where in mounted:
                subprocess.run(["umount", "-l", where], check=False)


def test_tampered():
    """a baseline that somebody else changed is told"""
    with Alone() as w:
        w.baseline()
        with sqlite3.connect(w.dir / "state/fim.db") as db:
            db.execute("UPDATE entry SET size = size + 1 WHERE content = 1")
        r = w.fim("check")
        assert r.returncode == 1 and "sealed" in r.stderr, r
        w.baseline()
        with sqlite3.connect(w.dir / "state/fim.db") as db:
            db.execute("UPDATE input SET sealed = 0")
        r = w.fim("check")
        assert r.returncode == 1 and "no seal" in r.stderr, r


def test_damaged_alone():
    """what is no database is put aside, and a new baseline can be taken"""
    with Alone() as w:
        w.baseline()
        for name in ("fim.db-wal", "fim.db-shm"):
            (w.dir / "state" / name).unlink(missing_ok=True)
        (w.dir / "state/fim.db").write_bytes(random.randbytes(65536))
        r = w.fim("check")
        assert r.returncode == 2, r
        w.baseline()
        assert w.check() == {}
        assert (w.dir / "state/fim.db.damaged").exists()


def test_config_changes():
    """new paths become part of the baseline without a word, old ones leave"""
    with Alone() as w:
        other = w.dir / "other"
        other.mkdir()
        (other / "x").write_text("x")
        w.baseline()
        conf = w.dir / "agent.yaml"
        text = conf.read_text()
        conf.write_text(text.replace(
            f'["{w.tree}"]', f'["{w.tree}", "{other}"]'))
        assert w.check() == {}
        conf.write_text(text.replace(f'["{w.tree}"]', f'["{w.tree}/sub"]'))
        assert w.check() == {}
        conf.write_text(text.replace(
            f'["{w.tree}"]', f'["{w.tree}", "{w.tree}x"]'))
        r = w.fim("baseline")
        assert f"{w.tree}x is not there" in r.stderr, r
        assert f"{w.tree} is not there" not in r.stderr, r


# ---- with a collector ------------------------------------------------------

def fim_inputs(tree, more=""):
    return (f'  - type: fim\n    name: tree\n    paths: ["{tree}"]\n'
            f"    rate: 0\n{more}")


class Watched:
    """A world with a tree that its agent watches."""

    def __init__(self, world, more="", tree=None):
        self.world = world
        self.more = more
        self.tree = tree or world.dir / "tree"
        self.tree.mkdir(exist_ok=True)
        self.agent = None

    def start(self):
        self.agent = self.world.start_agent(
            inputs=fim_inputs(self.tree, self.more))

    def actions(self):
        """[(action, path)] of all changes told, in order of arrival"""
        return [(e["event.action"], os.path.relpath(e["file.path"], self.tree))
                for e in self.world.events("--flat")
                if e.get("event.action") in CHANGES]

    def summaries(self, action):
        return self.world.events("--where", f"event.action={action}")

    def wait_scans(self, n):
        wait_for(f"{n} scans", lambda: len(self.summaries("fim-scan")) +
                 len(self.summaries("fim-baseline")) >= n)

    def wait(self, *expected):
        wait_for(str(expected),
                 lambda: set(expected) <= set(self.actions()))


def test_agent():
    """the first baseline is one event, later changes are told once, restarted"""
    with World() as world:
        world.start_collector()
        w = Watched(world)
        for i in range(30):
            (w.tree / f"f{i}").write_text(str(i))
        w.start()
        w.wait_scans(1)
        first = w.summaries("fim-baseline")
        assert len(first) == 1, first
        assert first[0]["kuzet"]["fim"]["files"] == 31, first
        assert w.agent.stop() == 0
        (w.tree / "f1").write_text("changed")
        (w.tree / "f2").unlink()
        os.rename(w.tree / "f3", w.tree / "g3")
        w.start()
        w.wait_scans(2)
        expected = [("deleted", "f2"), ("modified", "f1"), ("moved", "g3")]
        assert sorted(w.actions()) == expected, w.actions()
        w.agent.kill()
        w.start()
        w.wait_scans(3)
        assert sorted(w.actions()) == expected, w.actions()
        scans = w.summaries("fim-scan")
        assert scans[-1]["kuzet"]["fim"]["baseline"]["verified"] is True
        assert (scans[-1]["kuzet"]["fim"]["baseline"]["previous"] ==
                scans[-2]["kuzet"]["fim"]["baseline"]["sha256"])


def test_realtime():
    """changes are told when they happen: files, folders, moves, attributes"""
    with World() as world:
        world.start_collector()
        w = Watched(world)
        (w.tree / "passwd").write_text("root\n")
        (w.tree / "mode").write_text("m")
        w.start()
        w.wait_scans(1)
        (w.tree / "new").write_text("n")
        w.wait(("created", "new"))
        (w.tree / "passwd").write_text("root\nevil\n")
        w.wait(("modified", "passwd"))
        os.rename(w.tree / "new", w.tree / "newer")
        w.wait(("moved", "newer"))
        (w.tree / "mode").chmod(0o4755)
        w.wait(("attributes_modified", "mode"))
        (w.tree / "deep/er").mkdir(parents=True)
        (w.tree / "deep/er/x").write_text("x")
        w.wait(("created", "deep/er/x"))
        (w.tree / "deep/er/y").write_text("y")
        w.wait(("created", "deep/er/y"))
        (w.tree / "newer").unlink()
        w.wait(("deleted", "newer"))
        doubled = [a for a, n in collections.Counter(w.actions()).items()
                   if n > 1]
        assert not doubled, w.actions()
        if os.geteuid() == 0:
            e = [e for e in world.events() if
                 e.get("file", {}).get("name") == "passwd"][0]
            who = e.get("process", {})
            assert who.get("pid") in (None, os.getpid()), e


def test_window():
    """a change in a window is expected, and says who opened it"""
    with World() as world:
        world.start_collector()
        w = Watched(world)
        (w.tree / "a").write_text("a")
        w.start()
        w.wait_scans(1)
        config = world.dir / "web-1.yaml"
        fim = [BUILD / "kuzet-agent", "fim", "window"]
        subprocess.run([*fim, "open", "-c", config, "--by", "olga",
                        "--reason", "ticket 7"], check=True)
        (w.tree / "a").write_text("b")
        w.wait(("modified", "a"))
        subprocess.run([*fim, "close", "-c", config], check=True)
        (w.tree / "c").write_text("c")
        w.wait(("created", "c"))
        told = {e["file"]["name"]: e["kuzet"]["fim"]
                for e in world.events() if "file" in e}
        assert told["a"]["expected"] is True
        assert told["a"]["window"]["by"] == "olga"
        assert told["a"]["window"]["reason"] == "ticket 7"
        assert told["c"]["expected"] is False, told["c"]
        (w.tree / "d").write_text("d")
        wait_for("both ends of the window", lambda:
                 len(w.summaries("fim-window-opened")) == 1 and
                 len(w.summaries("fim-window-closed")) == 1)


def test_maintenance():
    """windows of the configuration make changes expected, others do not"""
    for window, expected in (("00:00-24:00", True),
                             ("2001-01-01T00:00:00Z/2001-01-02T00:00:00Z",
                              False)):
        with Alone(f"    timezone: Asia/Almaty\n"
                   f"    maintenance: ['{window}']") as w:
            w.baseline()
            (w.tree / "a.conf").write_text("other")
            assert w.check() == {"a.conf": "modified"}
            told = w.events["a.conf"]["kuzet"]["fim"]
            assert told["expected"] is expected, told
            if expected:
                assert told["window"] == {"by": "configuration",
                                          "reason": window}, told
    with Alone("    maintenance: ['at night']") as w:
        r = w.fim("baseline")
        assert r.returncode == 2 and "is no window" in r.stderr, r


def test_other_user():
    """what root's command line makes is the agent's user's"""
    if os.geteuid() != 0:
        raise harness.Skip("needs root")
    with World() as world:
        world.dir.chmod(0o755)
        for path in [world.pki, *world.pki.iterdir()]:
            os.chown(path, 65534, 65534)
        w = Watched(world)
        (w.tree / "a").write_text("a")
        config = world.agent_config(inputs=fim_inputs(w.tree),
                                    extra="user: nobody")
        subprocess.run([BUILD / "kuzet-agent", "fim", "baseline", "-c",
                        config], check=True, stderr=subprocess.DEVNULL)
        (w.tree / "a").chmod(0)
        world.start_collector()
        w.agent = world.start_agent(inputs=fim_inputs(w.tree),
                                    extra="user: nobody")
        if harness.effective(2):  # CAP_DAC_READ_SEARCH
            w.wait(("attributes_modified", "a"))
        else:
            w.wait(("modified", "a"))
        told = [e for e in world.events() if "file" in e][0]
        assert (told["kuzet"]["fim"].get("content") == "unreadable" or
                told["file"]["hash"]["sha256"] == hashlib.sha256(
                    b"a").hexdigest()), told
        (w.tree / "b").write_text("b")
        w.wait(("created", "b"))
        assert "cannot" not in w.agent.text(), w.agent.text()


def test_kills():
    """kill -9 at any moment of a scan: no change is lost, none told twice"""
    with World() as world:
        world.start_collector()
        w = Watched(world, "    realtime: false\n")
        n = 3000
        for i in range(n):
            folder = w.tree / f"d{i % 30}"
            folder.mkdir(exist_ok=True)
            (folder / f"f{i}").write_text(str(i))
        w.start()
        w.wait_scans(1)
        w.agent.stop()
        expected = set()
        for i in range(n):
            path = w.tree / f"d{i % 30}/f{i}"
            if i % 3 == 0:
                path.write_text("changed")
                expected.add(("modified", f"d{i % 30}/f{i}"))
            elif i % 3 == 1:
                path.unlink()
                expected.add(("deleted", f"d{i % 30}/f{i}"))
        for k in range(6):
            w.start()
            time.sleep(0.05 + 0.1 * k * random.random())
            w.agent.kill()
        w.start()
        wait_for("all changes", lambda: len(w.actions()) >= len(expected))
        w.wait_scans(2)
        told = w.actions()
        assert set(told) == expected, set(told) ^ expected
        assert len(told) == len(expected), "doubled"


def test_damaged():
    """a damaged store never stops the agent: aside, a new baseline, an alert"""
    with World() as world:
        world.start_collector()
        w = Watched(world)
        for i in range(200):
            (w.tree / f"f{i}").write_text(str(i))
        w.start()
        w.wait_scans(1)
        w.agent.stop()
        db = world.dir / "web-1-state/fim.db"
        wal = db.parent / "fim.db-wal"
        assert not wal.exists() or wal.stat().st_size == 0
        wal.unlink(missing_ok=True)
        size = db.stat().st_size
        with open(db, "r+b") as f:
            for at in range(0, size, 4096):
                f.seek(at)
                f.write(random.randbytes(512))
        w.start()
        wait_for("a new baseline",
                 lambda: len(w.summaries("fim-baseline")) == 2)
        again = w.summaries("fim-baseline")[1]
        assert again["event"]["kind"] == "alert", again
        (w.tree / "new").write_text("n")
        w.wait(("created", "new"))
        assert w.agent.stop() == 0


def test_full_disk():
    """a full disk: it is said, and every change is told when there is room"""
    with World() as world:
        state = world.dir / "web-1-state"
        with harness.small_disk(state, "8m"):
            state.chmod(0o700)
            if harness.USER:
                shutil.chown(state, harness.USER)
            world.start_collector()
            w = Watched(world)
            w.start()
            w.wait_scans(1)
            with contextlib.suppress(OSError), \
                    open(state / "filler", "wb", buffering=0) as f:
                while f.write(b"x" * 4096):
                    pass
            made = []

            def said():  # what its files have room for is still stored
                made.append(f"f{len(made)}")
                (w.tree / made[-1]).write_text("x")
                return "disk is full" in w.agent.text()
            wait_for("word of it", said)
            (state / "filler").unlink()
            expected = sorted(("created", name) for name in made)
            wait_for("all of them", lambda: sorted(w.actions()) == expected)
            assert w.agent.stop() == 0


def test_collector_away():
    """without a collector changes are kept, whatever happens to the agent"""
    with World() as world:
        w = Watched(world)
        w.start()
        time.sleep(0.5)
        wait_for("the baseline", lambda: "baseline taken" in w.agent.text())
        for i in range(50):
            (w.tree / f"f{i}").write_text(str(i))
            if i % 20 == 10:
                w.agent.kill()
                w.start()
        wait_for("a scan", lambda: "compared" in w.agent.text())
        world.start_collector()
        expected = sorted(("created", f"f{i}") for i in range(50))
        wait_for("all of them", lambda: sorted(set(w.actions())) == expected)
        assert len(w.actions()) == 50, w.actions()


if __name__ == "__main__":
    harness.main([
        test_command_line,
        test_moves_and_links,
        test_old_time_and_size,
        test_names_and_specials,
        test_bind_mounts,
        test_tampered,
        test_damaged_alone,
        test_config_changes,
        test_agent,
        test_realtime,
        test_window,
        test_maintenance,
        test_other_user,
        test_kills,
        test_damaged,
        test_full_disk,
        test_collector_away,
    ])
