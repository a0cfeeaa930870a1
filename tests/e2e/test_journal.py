#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The journal input, on journals that systemd-journal-remote wrote."""

import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import uuid

from harness import BUILD, Process, Skip, World, effective, main, wait_for

REMOTE = next((p for p in map(pathlib.Path, (
    "/lib/systemd/systemd-journal-remote",
    "/usr/lib/systemd/systemd-journal-remote")) if p.exists()), None)
T0 = 1_795_000_000_000_000  # microseconds


def need_tools():
    if REMOTE is None:
        raise Skip("systemd-journal-remote is not installed")
    config = (BUILD / "config.h").read_text()
    if "#define HAVE_LIBSYSTEMD 1" not in config:
        raise Skip("built without libsystemd")


class Journal:
    """A folder with journal files; each entry has a time of its own."""

    def __init__(self, w, name="journal"):
        self.dir = w.dir / name
        self.dir.mkdir()
        self.boot = uuid.uuid4().hex
        self.n = 0

    def entry(self, message, **fields):
        self.n += 1
        out = [b"__CURSOR=x", b"__REALTIME_TIMESTAMP=%d" % (T0 + self.n * 1000),
               b"__MONOTONIC_TIMESTAMP=%d" % (self.n * 1000),
               b"_BOOT_ID=" + self.boot.encode()]
        fields = {"PRIORITY": "6", "_TRANSPORT": "syslog", **fields}
        for k, v in fields.items():
            out.append(f"{k}={v}".encode())
        if isinstance(message, str):
            message = message.encode()
        if b"\n" in message or b"\0" in message:
            out.append(b"MESSAGE\n" + len(message).to_bytes(8, "little") +
                       message)
        else:
            out.append(b"MESSAGE=" + message)
        return b"\n".join(out) + b"\n\n"

    def write(self, name, entries):
        subprocess.run([REMOTE, "-o", self.dir / f"{name}.journal", "-"],
                       input=b"".join(entries), check=True,
                       capture_output=True)
        # the opener's alone, where there is one
        self.dir.chmod(0o700)
        for path in self.dir.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)

    def numbered(self, first, n, **fields):
        return [self.entry(f"entry {i} the quick brown fox",
                           SYSLOG_IDENTIFIER="app", _PID=str(100 + i), **fields)
                for i in range(first, first + n)]


def inputs(journal, extra=""):
    return f'  - type: journal\n    directory: "{journal.dir}"\n{extra}'


def numbers(w):
    messages = (e.get("message", "").split() for e in w.events("--flat"))
    return [int(words[1]) for words in messages if words[:1] == ["entry"]]


def check(w, n):
    got = collections.Counter(numbers(w))
    lost = set(range(n)) - set(got)
    assert not lost, f"{len(lost)} lost: {sorted(lost)[:5]}"
    doubled = [i for i, k in got.items() if k > 1]
    assert not doubled, f"{len(doubled)} doubled: {sorted(doubled)[:5]}"


def confined():
    """the worker in its sandbox reads the journal, and what comes after"""
    need_tools()
    if os.geteuid() != 0 or not effective(2):
        raise Skip("needs root with CAP_DAC_READ_SEARCH")
    with World() as w:
        j = Journal(w)
        j.write("system", j.numbered(0, 50))
        collector = w.start_collector()
        agent = w.start_agent(inputs=inputs(j), extra="user: nobody")
        wait_for("the entries", lambda: w.stored() >= 50)
        j.write("system", j.numbered(50, 50))
        wait_for("what was added", lambda: w.stored() >= 100)
        beside = Journal(w, "beside")  # it comes with its mode
        beside.n = j.n
        beside.write("another", beside.numbered(100, 50))
        (beside.dir / "another.journal").rename(j.dir / "another.journal")
        wait_for("a new file", lambda: w.stored() >= 150)
        check(w, 150)
        told = subprocess.run([BUILD / "kuzet-agent", "status", "-c",
                               w.dir / "web-1.yaml", "--json"],
                              capture_output=True, text=True, check=True)
        told = json.loads(told.stdout.splitlines()[0])["sandbox"]
        assert told["opener"] and told["syscalls_refused"] == 0, told
        assert agent.stop() == 0 and collector.stop() == 0


def fields():
    """entries become ECS events, their messages go through the normalizers"""
    need_tools()
    with World() as w:
        j = Journal(w)
        j.write("system", [
            j.entry("Failed password for invalid user bob from 203.0.113.9 "
                    "port 4711 ssh2", SYSLOG_IDENTIFIER="sshd", _PID="812",
                    _COMM="sshd", _EXE="/usr/sbin/sshd", _UID="0",
                    _HOSTNAME="web-9", _SYSTEMD_UNIT="ssh.service",
                    SYSLOG_FACILITY="4", PRIORITY="5"),
            j.entry("Started something nobody knows.", PRIORITY="6",
                    SYSLOG_IDENTIFIER="nobodys-program", JOB_TYPE="start",
                    MESSAGE_ID="39f53479d3a045ac8e11786248231fbf"),
            j.entry(b"two\nlines, no UTF-8: \xff\0", SYSLOG_IDENTIFIER="app"),
        ])
        collector = w.start_collector()
        agent = w.start_agent(inputs=inputs(j))
        wait_for("the entries", lambda: w.stored() >= 3)
        ssh, other, binary = w.events("--flat")
        assert ssh["@timestamp"].startswith("2026-11-18T"), ssh
        assert ssh["source.ip"] == "203.0.113.9", ssh
        assert ssh["user.name"] == "bob" and ssh["process.name"] == "sshd"
        assert ssh["event.outcome"] == "failure"
        assert ssh["process.pid"] == 812
        assert ssh["process.executable"] == "/usr/sbin/sshd"
        assert ssh["systemd.unit"] == "ssh.service"
        assert ssh["host.hostname"] == "web-9"
        assert ssh["log.syslog.severity.code"] == 5
        assert ssh["log.syslog.facility.code"] == 4
        assert ssh["input.type"] == "journald" and ssh["journald.uid"] == 0
        assert other["process.name"] == "nobodys-program", other
        assert other["event.kind"] == "event", other
        assert other["journald.custom.job_type"] == "start"
        assert other["event.code"] == "39f53479d3a045ac8e11786248231fbf"
        assert binary["message"] == "two\nlines, no UTF-8: \ufffd\0", binary
        assert agent.stop() == 0 and collector.stop() == 0


def killed():
    """agent and collector are killed, the state is lost: each entry once"""
    need_tools()
    with World() as w:
        j = Journal(w)
        j.write("a", j.numbered(0, 4000))
        collector = w.start_collector()
        agent = w.start_agent(inputs=inputs(j))
        rng = random.Random(3)
        for i in range(4):
            time.sleep(rng.random() / 2)
            if i == 2:
                wait_for("a state", (w.dir / "web-1-state").is_dir)
            agent.kill()
            if i == 1:
                collector.kill()
                collector = w.start_collector()
            if i == 2:
                shutil.rmtree(w.dir / "web-1-state")
            agent = w.start_agent(inputs=inputs(j))
        j.write("b", j.numbered(4000, 500))
        wait_for("all entries", lambda: w.stored() >= 4500)
        assert agent.stop() == 0
        agent = w.start_agent(inputs=inputs(j))
        j.write("b", j.numbered(4500, 10))
        wait_for("the last ones", lambda: w.stored() >= 4510)
        check(w, 4510)
        sent = w.status()["events"]["received"]
        agent.stop()
        agent = w.start_agent(inputs=inputs(j))
        j.write("b", j.numbered(4510, 1))
        wait_for("one more", lambda: w.stored() >= 4511)
        assert w.status()["events"]["received"] <= sent + 1, \
            "a clean start sends again what is acknowledged"
        assert agent.stop() == 0 and collector.stop() == 0


def rotated():
    """files come, are renamed and go, boots change"""
    need_tools()
    with World() as w:
        j = Journal(w)
        j.write("system", j.numbered(0, 50))
        collector = w.start_collector()
        agent = w.start_agent(inputs=inputs(j))
        wait_for("the first boot", lambda: w.stored() >= 50)
        j.boot = uuid.uuid4().hex
        os.rename(j.dir / "system.journal", j.dir / "system@1.journal")
        j.write("system", j.numbered(50, 50))
        wait_for("the second boot", lambda: w.stored() >= 100)
        (j.dir / "system@1.journal").unlink()
        j.write("system", j.numbered(100, 50))
        wait_for("more of it", lambda: w.stored() >= 150)
        agent.kill()
        (j.dir / "system.journal").unlink()
        j.write("other", j.numbered(150, 50))
        agent = w.start_agent(inputs=inputs(j))
        wait_for("what a vacuum left", lambda: w.stored() >= 200)
        check(w, 200)
        assert len({e["host.boot.id"] for e in w.events("--flat")}) == 2
        assert agent.stop() == 0 and collector.stop() == 0


def of_machine():
    """without a folder it is this machine's, also if it comes later"""
    need_tools()
    if os.geteuid() != 0 or not effective(2):
        raise Skip("needs root with CAP_DAC_READ_SEARCH")
    if shutil.which("unshare") is None:
        raise Skip("needs unshare")
    machine = pathlib.Path("/etc/machine-id").read_text().strip()
    with World() as w:
        logs = w.dir / "run-log"
        logs.mkdir()
        collector = w.start_collector()
        path = w.agent_config(inputs="  - type: journal\n",
                              extra="user: nobody")
        agent = Process(
            ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /run && "
             f"mkdir /run/log && mount --bind {logs} /run/log && "
             f"exec {BUILD / 'kuzet-agent'} -c {path}"],
            w.dir / "web-1.log.txt", w.env)
        w.processes.append(agent)
        wait_for("word that there is none", lambda: not agent.alive() or
                 "no file can be read in /run/log/journal" in agent.text())
        if not agent.alive() and any(word in agent.text() for word in
                                     ("mount:", "unshare:")):
            raise Skip("mounting is not allowed here")
        j = Journal(w, "run-log/journal")
        for folder in (machine, "0" * 32):
            (j.dir / folder).mkdir()
        j.write(f"{machine}/system", j.numbered(0, 20))
        j.write("0" * 32 + "/system", [j.entry("entry 777 of another")])
        wait_for("the first", lambda: w.stored() >= 20)
        (j.dir / machine / "system.journal").rename(
            j.dir / machine / "system@1.journal")
        j.write(f"{machine}/user-1000", j.numbered(20, 5))
        j.write(f"{machine}/system", j.numbered(25, 5))
        wait_for("the next", lambda: w.stored() >= 30)
        check(w, 30)
        assert len(numbers(w)) == 30, numbers(w)
        assert agent.stop() == 0 and collector.stop() == 0


def in_turn():
    """files that come while others are written to: no entry is passed over"""
    need_tools()
    with World() as w:
        j = Journal(w)
        j.write("system", j.numbered(0, 10))
        machine = j.dir / uuid.uuid4().hex
        collector = w.start_collector()
        agent = w.start_agent(inputs=inputs(j))
        wait_for("the first", lambda: w.stored() >= 10)
        rounds = 12
        for i in range(rounds):
            n = 10 + 8 * i
            if i == rounds // 2:  # what it does not see happen
                agent.signal(signal.SIGSTOP)
            if i == rounds // 2 + 1:
                machine.mkdir()
            folder = f"{machine.name}/" if machine.exists() else ""
            j.write(f"{folder}user-{i}", j.numbered(n, 2))
            j.write("system", j.numbered(n + 2, 2))
            if i % 3 == 1:
                os.rename(j.dir / "system.journal",
                          j.dir / f"system@{i}.journal")
            j.write("system", j.numbered(n + 4, 2))
            j.write(f"{folder}user-{i}", j.numbered(n + 6, 2))
            if i == rounds // 2:
                agent.signal(signal.SIGCONT)
        wait_for("all", lambda: w.stored() >= 10 + 8 * rounds)
        check(w, 10 + 8 * rounds)
        assert agent.stop() == 0 and collector.stop() == 0


def damaged():
    """a damaged file costs its own entries only, the agent goes on"""
    need_tools()
    with World() as w:
        j = Journal(w)
        j.write("a", j.numbered(0, 1000))
        j.write("b", j.numbered(1000, 1000))
        j.write("c", j.numbered(2000, 1000))
        path = j.dir / "b.journal"
        text = bytearray(path.read_bytes())
        rng = random.Random(1)
        for i in range(4096, len(text), 97):
            text[i] = rng.randrange(256)
        path.write_bytes(text)
        (j.dir / "d.journal").write_bytes(b"no journal at all")
        collector = w.start_collector()
        agent = w.start_agent(inputs=inputs(j))
        wait_for("the other files", lambda: set(numbers(w)) >=
                 set(range(1000)) | set(range(2000, 3000)))
        assert agent.alive()
        wait_for("word of it", lambda: f"{j.dir / 'd.journal'} is left out"
                 in agent.text())
        j.write("e", j.numbered(3000, 10))
        wait_for("new entries", lambda: set(numbers(w)) >=
                 set(range(3000, 3010)))
        assert agent.stop() == 0 and collector.stop() == 0


def filtered():
    """units and priorities choose; inputs with other filters lose nothing"""
    need_tools()
    with World() as w:
        j = Journal(w)
        entries = []
        for i in range(300):
            unit = ("ssh.service", "cron.service", "app.service")[i % 3]
            entries += j.numbered(i, 1, _SYSTEMD_UNIT=unit,
                                  PRIORITY=str(i % 8))
        j.write("system", entries)
        collector = w.start_collector()
        text = (inputs(j, "    name: units\n    units: [ssh, app.service]\n") +
                inputs(j, "    name: urgent\n    priority: err\n"))
        agent = w.start_agent(inputs=text)
        units = {i for i in range(300) if i % 3 != 1}
        urgent = {i for i in range(300) if i % 8 <= 3}
        wait_for("both", lambda: w.stored() >= len(units) + len(urgent))
        streams = collections.defaultdict(list)
        for e in w.events("--flat"):
            stream, _, offset = e["event.id"].partition(":")
            streams[stream].append(int(e["message"].split()[1]))
            assert int(offset) == streams[stream][-1] + 1, e
        assert sorted(streams.values(), key=len) == [
            sorted(urgent), sorted(units)], streams
        assert agent.stop() == 0 and collector.stop() == 0


def from_the_end():
    """seek: tail begins with what comes, and remembers where that was"""
    need_tools()
    with World() as w:
        j = Journal(w)
        j.write("system", j.numbered(0, 20))
        collector = w.start_collector()
        text = inputs(j, "    seek: tail\n")
        agent = w.start_agent(inputs=text)
        wait_for("the place to be kept", lambda: list(
            (w.dir / "web-1-state").glob("journal-*.state")))
        agent.kill()
        j.write("system", j.numbered(20, 5))
        agent = w.start_agent(inputs=text)
        wait_for("what came meanwhile", lambda: w.stored() >= 5)
        assert sorted(numbers(w)) == list(range(20, 25)), numbers(w)
        assert agent.stop() == 0 and collector.stop() == 0


def chosen_files():
    """files: reads those files and no others, long messages are cut"""
    need_tools()
    with World() as w:
        j = Journal(w)
        j.write("a", j.numbered(0, 5) + [j.entry("entry 5 " + "x" * 100000)])
        j.write("b", j.numbered(6, 5))
        collector = w.start_collector()
        agent = w.start_agent(
            inputs="  - type: journal\n    max_line: 1KiB\n"
                   f'    files: ["{j.dir / "a.journal"}"]\n')
        wait_for("one file", lambda: w.stored() >= 6)
        assert numbers(w) == list(range(6)), numbers(w)
        last = w.events("--flat")[-1]
        assert len(last["message"]) == 1024, len(last["message"])
        assert last["log.flags"] == ["truncated"], last
        assert agent.stop() == 0 and collector.stop() == 0


def reloaded():
    """SIGHUP changes filters, inputs come and go"""
    need_tools()
    with World() as w:
        j, k = Journal(w), Journal(w, "second")
        for i in range(10):
            j.write("system", j.numbered(i, 1, PRIORITY=str(i % 8)))
        k.write("system", k.numbered(100, 5))
        collector = w.start_collector()
        agent = w.start_agent(inputs=inputs(j, "    name: a\n"
                                            "    priority: err\n"))
        wait_for("the urgent ones", lambda: w.stored() >= 6)
        w.agent_config(inputs=inputs(j, "    name: a\n") +
                       inputs(k, "    name: b\n"))
        agent.signal(1)
        wait_for("the second journal", lambda: w.stored() >= 11)
        j.write("system", j.numbered(10, 1, PRIORITY="7"))
        wait_for("with the new filter", lambda: 10 in numbers(w))
        w.agent_config(inputs=inputs(k, "    name: b\n"))
        agent.signal(1)
        k.write("system", k.numbered(105, 5))
        wait_for("the one that stayed", lambda: 109 in numbers(w))
        got = numbers(w)
        assert len(got) == len(set(got)), got
        assert agent.stop() == 0 and collector.stop() == 0


if __name__ == "__main__":
    main([fields, confined, of_machine, killed, rotated, in_turn, damaged, filtered,
          from_the_end, chosen_files, reloaded])
