#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The audit input: records become events, each once."""

import pathlib
import pwd
import random
import time

from harness import World, main, wait_for


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


if __name__ == "__main__":
    main([fields, killed])
