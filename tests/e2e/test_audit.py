#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The audit input: records become events, each once."""

import contextlib
import os
import pathlib
import pwd
import random
import socket
import subprocess
import time

from harness import BUILD, PATIENCE, USER, World, main, wait_for


def event(n, uid=0):
    head = f"msg=audit(1763773323.123:{n}):"
    return "".join(f"type={line}\n" for line in (
        f"SYSCALL {head} arch=c000003e syscall=59 success=yes exit=0 a0=5 a1=6 "
        f"a2=7 a3=8 items=1 ppid=1 pid={n} auid={uid} uid={uid} gid=0 euid=0 "
        "suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3 comm=\"id\" "
        "exe=\"/usr/bin/id\" key=\"run\"",
        f"EXECVE {head} argc=2 a0=\"id\" a1=2D75",
        f"CWD {head} cwd=\"/root\"",
        f"PATH {head} item=0 name=\"/usr/bin/id\" inode=5 dev=08:01 "
        "mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL",
        f"PROCTITLE {head} proctitle=6964002D75",
        f"EOE {head} "))


def inputs(w):
    return f'  - type: audit\n    paths: ["{w.log("audit.log")}"]\n'


def log_in(n):
    return (f"type=USER_LOGIN msg=audit(1763773324.000:{n}): pid=5 uid=0 "
            "auid=4294967295 ses=4294967295 msg='op=login acct=\"bob\" "
            "exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.7 terminal=ssh "
            "res=failed'\n")


def fields():
    """records of one event arrive as one, with names that the object knows"""
    with World() as w:
        w.log("audit.log").write_text(event(1) + log_in(2))
        collector = w.start_collector()
        agent = w.start_agent(inputs=inputs(w))
        wait_for("both", lambda: w.stored() >= 2)
        run, login = w.events("--flat")
        assert run["auditd.sequence"] == 1, run
        assert run["process.args"] == ["id", "-u"]
        assert run["process.title"] == "id -u"
        assert run["event.action"] == "executed"
        assert run["user.audit.id"] == "0" and run["auditd.session"] == "3"
        assert run["user.audit.name"] == pwd.getpwuid(0).pw_name
        assert run["user.name"] == pwd.getpwuid(0).pw_name
        assert run["event.original"] == event(1).rstrip("\n")
        assert login["user.name"] == "bob", login
        assert login["source.ip"] == "192.0.2.7"
        assert login["event.outcome"] == "failure"
        assert agent.stop() == 0 and collector.stop() == 0


def killed():
    """agent and collector are killed while the log is written and rotated"""
    with World() as w:
        log = w.log("audit.log")
        log.touch()
        collector = w.start_collector()
        agent = w.start_agent(inputs=inputs(w))
        rng = random.Random(9)
        n = 0
        for turn in range(12):
            text = "".join(event(n + i) for i in range(60))
            n += 60
            cut = rng.randrange(len(text))  # within an event, and a line
            for part in (text[:cut], text[cut:]):
                with open(log, "a", encoding="utf-8") as f:
                    f.write(part)
                time.sleep(rng.random() / 20)
            if turn % 4 == 1:
                agent.kill()
                agent = w.start_agent(inputs=inputs(w))
            if turn % 4 == 2:
                # a log is renamed only after the agent has seen it
                wait_for("some of it", lambda: w.stored() > n - 60)
                log.rename(pathlib.Path(f"{log}.{turn}"))
            if turn == 7:
                collector.kill()
                collector = w.start_collector()
        wait_for("all events", lambda: w.stored() >= n)
        events = w.events("--flat")
        got = sorted(e["auditd.sequence"] for e in events)
        assert got == list(range(n)), (len(got), len(set(got)), n)
        assert all(e.get("process.title") == "id -u" for e in events)
        assert agent.stop() == 0 and collector.stop() == 0


class Auditd:
    """auditd's af_unix plugin: a socket with one reader.  Its folder is root's
    alone, as the manual has it, and the socket everybody's."""

    def __init__(self, w):
        self.path = w.dir / "audit" / "events"
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        self.listener = self.connection = None

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.path.chmod(0o666)
        self.listener.listen(1)
        self.listener.settimeout(PATIENCE)

    def accept(self):
        if self.connection:
            self.connection.close()
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(PATIENCE)

    def send(self, text):
        self.connection.sendall(text.encode())

    def stop(self):
        # whoever comes again finds nobody, until start()
        self.path.unlink()
        self.listener.close()
        self.connection.close()
        self.connection = None

    def input(self):
        return f'  - type: audit\n    socket: "{self.path}"\n'


def user():
    """Where it can be, the agent's processes are those of another user."""
    return "user: nobody\n" if os.geteuid() == 0 and not USER else ""


def from_socket():
    """records come from auditd's socket as from its log, and again after its restart"""
    with World() as w:
        auditd = Auditd(w)
        collector = w.start_collector()
        # auditd is not there yet
        agent = w.start_agent(inputs=auditd.input(), extra=user())
        wait_for("a word of that",
                 lambda: "trying again until it is there" in agent.text())
        auditd.start()
        auditd.accept()
        text = event(1) + log_in(2)
        for at in range(0, len(text), 300):  # within records
            auditd.send(text[at:at + 300])
        wait_for("both", lambda: w.stored() >= 2)
        run, login = w.events("--flat")
        assert run["auditd.sequence"] == 1, run
        assert run["process.args"] == ["id", "-u"]
        assert run["process.title"] == "id -u"
        assert run["event.action"] == "executed"
        assert run["event.dataset"] == "auditd.log"
        assert run["input.type"] == "audit"
        assert run["log.flags"] == ["multiline"]
        assert run["user.audit.name"] == pwd.getpwuid(0).pw_name
        assert run["user.name"] == pwd.getpwuid(0).pw_name
        assert run["event.original"] == event(1).rstrip("\n")
        assert login["user.name"] == "bob", login
        assert login["source.ip"] == "192.0.2.7"
        # it ends within a record
        torn = log_in(3)[:90]
        auditd.send(torn)
        auditd.stop()
        wait_for("what there was", lambda: w.stored() >= 3)
        auditd.start()
        auditd.accept()
        auditd.send(event(4))
        wait_for("the next", lambda: w.stored() >= 4)
        part, again = w.events("--flat")[2:]
        assert part["event.original"] == torn, part
        assert part["log.flags"] == ["truncated"], part
        assert again["auditd.sequence"] == 4, again
        # more than one event of the spool takes
        head = "msg=audit(1763773325.000:5):"
        text = "".join(f"type=EXECVE {head} a{i}={'41' * 4000}\n"
                       for i in range(40)) + f"type=EOE {head} \n"
        auditd.send(text)
        wait_for("its parts", lambda: w.stored() >= 7)
        parts = w.events("--flat")[4:]
        assert "\n".join(p["event.original"] for p in parts) + "\n" == text
        assert [p["auditd.sequence"] for p in parts] == [5, 5, 5]
        assert ["split" in p["log.flags"] for p in parts] == [
            True, True, False], [p["log.flags"] for p in parts]
        assert agent.stop() == 0 and collector.stop() == 0


def in_spool(w, text):
    """whether it is in the spool, the last of it"""
    for path in (w.dir / "web-1-state/spool").glob("*"):
        with contextlib.suppress(FileNotFoundError):  # one that was replaced
            if path.is_file() and text.encode() in path.read_bytes():
                return True
    return False


def killed_with_socket():
    """nothing that came from the socket into the spool is lost by kill -9"""
    with World() as w:
        auditd = Auditd(w)
        auditd.start()
        n, turns = 200, 3
        for turn in range(turns):  # no collector: all of it stays
            agent = w.start_agent(inputs=auditd.input(), extra=user())
            auditd.accept()
            auditd.send("".join(event(turn * n + i) for i in range(n)))
            last = f"type=EOE msg=audit(1763773323.123:{turn * n + n - 1})"
            wait_for("the last of them",
                     lambda last=last: in_spool(w, last))
            agent.kill()
        collector = w.start_collector()
        agent = w.start_agent(inputs=auditd.input(), extra=user())
        w.wait_stored(n * turns)
        auditd.accept()
        auditd.send(event(n * turns))
        # what is under way when it is told to end goes to the spool, too
        auditd.send(log_in(n * turns + 1))
        w.wait_stored(n * turns + 2)
        got = [e["auditd.sequence"] for e in w.events("--flat")]
        assert sorted(got) == list(range(n * turns + 2)), (len(got), got[-5:])
        assert agent.stop() == 0 and collector.stop() == 0


def checked():
    """what a socket cannot be is said with file and line"""
    with World() as w:
        log = w.log("audit.log")
        log.touch()
        for inputs, word in (
                (f'  - {{type: audit, socket: "{log}"}}', "is no socket"),
                (f'  - {{type: audit, socket: /run/x, paths: ["{log}"]}}',
                 "the log or the socket"),
                ('  - {type: audit, socket: /run/x}\n'
                 '  - {type: audit, name: b, socket: /run/x}',
                 "of another input"),
                (f'  - {{type: file, paths: ["{log}"], socket: /run/x}}',
                 "has no such key")):
            path = w.agent_config(inputs=inputs)
            r = subprocess.run(
                [BUILD / "kuzet-agent", "-c", path, "--check-config"],
                capture_output=True, text=True, env=w.env, check=False)
            assert r.returncode == 2, r
            assert word in r.stderr and f"{path}:" in r.stderr, r
        path = w.agent_config(inputs='  - {type: audit, socket: /run/none}')
        r = subprocess.run(
            [BUILD / "kuzet-agent", "-c", path, "--check-config"],
            capture_output=True, text=True, env=w.env, check=False)
        assert r.returncode == 0, r


if __name__ == "__main__":
    main([fields, killed, from_socket, killed_with_socket, checked])
