#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No line lost, none doubled, none out of order, whatever is killed."""

import os
import signal
import time

import lumberjack as lj
from harness import World, main, small_disk, wait_for

LINES = 60000


def stream_with(disturb):
    """Two files, one of them growing; `disturb` acts while they are shipped."""
    with World() as w:
        w.write_lines(0, LINES, "a.log")
        w.write_lines(0, LINES // 2, "b.log")
        w.collector = w.start_collector()
        w.agent = w.start_agent()
        wait_for("the first lines", lambda: w.stored() > 0)
        disturb(w)
        w.write_lines(LINES // 2, LINES // 2, "b.log")
        w.wait_stored(2 * LINES)
        w.check_delivery({"a.log": LINES, "b.log": LINES})
        assert w.collector.stop() == 0 and w.agent.stop() == 0


def collector_killed():
    """the collector is killed in mid-stream, three times"""
    def disturb(w):
        for _ in range(3):
            w.collector.kill()
            w.collector = w.start_collector()
            time.sleep(0.3)
    stream_with(disturb)


def collector_frozen_then_killed():
    """the collector freezes for a second, then is killed"""
    def disturb(w):
        w.collector.signal(signal.SIGSTOP)
        time.sleep(1)
        w.collector.kill()
        w.collector = w.start_collector()
    stream_with(disturb)


def agent_killed():
    """the agent is killed in mid-stream, three times"""
    def disturb(w):
        for _ in range(3):
            w.agent.kill()
            w.agent = w.start_agent()
            time.sleep(0.3)
    stream_with(disturb)


def both_killed():
    """agent and collector are killed together"""
    def disturb(w):
        w.agent.kill()
        w.collector.kill()
        w.agent = w.start_agent()
        time.sleep(0.2)
        w.collector = w.start_collector()
    stream_with(disturb)


def drained():
    """SIGTERM to both in mid-stream: they end with 0 and lose nothing"""
    def disturb(w):
        assert w.agent.stop(15) == 0
        assert w.collector.stop(15) == 0
        w.collector = w.start_collector()
        w.agent = w.start_agent()
    stream_with(disturb)


def reloaded():
    """SIGHUP to both in mid-stream changes nothing for the lines"""
    def disturb(w):
        for _ in range(3):
            w.collector.signal(signal.SIGHUP)
            w.agent.signal(signal.SIGHUP)
            time.sleep(0.2)
        assert w.collector.alive() and w.agent.alive()
        wait_for("the reload", lambda: "reloaded" in w.collector.text())
    stream_with(disturb)


def rules_changed():
    """rules change in mid-stream, and correlation passes over no hit"""
    def write_rule(w, words):
        (w.rules / "fox.yml").write_text(f"""\
title: A fox
id: 6f1b0c7e-55c3-4d0e-9d7b-0a4a3c5d1e01
logsource: {{product: linux}}
detection:
  keywords: [{words}]
  condition: keywords
level: high
""")

    def counted(w):
        return sum(i["events"] for i in w.ctl_json("incidents"))

    with World() as w:
        w.rules = w.dir / "rules"
        w.rules.mkdir()
        write_rule(w, "quick brown fox")
        w.collector = w.start_collector()
        w.write_lines(0, LINES)
        w.agent = w.start_agent()
        for i in range(4):
            before = w.stored()
            wait_for("lines to be shipped",
                     lambda before=before: w.stored() > before or w.stored() == LINES)
            write_rule(w, f"quick brown fox, never{i}")
            w.collector.signal(signal.SIGHUP)
            wait_for("the reload", lambda i=i: w.collector.text().count("reloaded") > i)
        w.wait_stored(LINES)
        wait_for("correlation", w.correlated)
        assert w.status()["correlation"]["unknown_hits"] == 0
        assert counted(w) == LINES, counted(w)
        assert w.collector.stop() == 0 and w.agent.stop() == 0


def reload_is_put_off(w):
    def put_off():
        r = w.ctl("rules", "reload", check=False)
        return r.returncode == 1 and "put off: the store cannot write" in r.stderr

    wait_for("a reload to be put off", put_off)


def reload_on_a_full_disk(w):
    """It is put off and says so, and workers work on meanwhile."""
    reload_is_put_off(w)
    received = w.status()["events"]["received"]
    with lj.connect(w, "web-2") as sock:
        sock.sendall(lj.batch([{"message": "while the disk is full"}]))
        wait_for("the intake", lambda:
                 w.status()["events"]["received"] > received)


def disk_full():
    """a full disk stops ACKs and not the collector; freed, all arrives"""
    with World(["web-1", "web-2"]) as w, small_disk(w.dir / "disk", "24m") as disk:
        ballast = disk / "ballast"
        w.write_lines(0, LINES, "a.log")
        collector = w.start_collector(state="disk/state")
        room = os.statvfs(disk).f_bfree * os.statvfs(disk).f_bsize
        ballast.write_bytes(bytes(room - (256 << 10)))
        agent = w.start_agent()
        wait_for("the full disk to be noticed",
                 lambda: "cannot write" in collector.text())
        assert collector.alive()
        assert w.status() is not None, "reads go on"
        before = w.stored()
        assert before < LINES
        reload_on_a_full_disk(w)
        ballast.unlink()
        wait_for("the reload", lambda: w.status()["reload"]["state"] == "done")
        w.wait_stored(LINES)
        wait_for("all lines", lambda: w.ctl_json(
            "events", "--where", "agent.id=web-1", "--count") == [{"count": LINES}])
        w.check_delivery({"a.log": LINES})
        assert collector.stop() == 0 and agent.stop() == 0


def stopped_with_disk_full():
    """SIGTERM is heard with a full disk; freed, all arrives after a start"""
    with World() as w, small_disk(w.dir / "disk", "24m") as disk:
        ballast = disk / "ballast"
        w.write_lines(0, LINES, "a.log")
        collector = w.start_collector(state="disk/state")
        room = os.statvfs(disk).f_bfree * os.statvfs(disk).f_bsize
        ballast.write_bytes(bytes(room - (256 << 10)))
        agent = w.start_agent()
        wait_for("the full disk to be noticed",
                 lambda: "cannot write" in collector.text())
        reload_is_put_off(w)
        assert collector.stop() == 0
        ballast.unlink()
        collector = w.start_collector(state="disk/state")
        w.wait_stored(LINES)
        w.check_delivery({"a.log": LINES})
        assert collector.stop() == 0 and agent.stop() == 0


def restart_keeps_incidents():
    """incidents are the same after kill -9 and restart"""
    with World() as w:
        with open(w.log("auth.log"), "w") as f:
            for i in range(40):
                f.write(f"Nov 22 03:00:{i:02} web-1 sshd[{i}]: Failed password"
                        f" for root from 203.0.113.7 port 40{i:02} ssh2\n")
        collector = w.start_collector()
        agent = w.start_agent()
        wait_for("the lines", lambda: w.stored() == 40 and w.correlated())
        before = w.ctl_json("incidents")
        assert before, "there is an incident"
        collector.kill()
        collector = w.start_collector()
        wait_for("correlation", w.correlated)
        assert w.ctl_json("incidents") == before
        with open(w.log("auth.log"), "a") as f:
            f.write("Nov 22 03:00:41 web-1 sshd[9]: Failed password"
                    " for root from 203.0.113.7 port 4099 ssh2\n")
        wait_for("one line more", lambda: w.stored() == 41 and w.correlated())
        after = w.ctl_json("incidents")
        assert [i["id"] for i in after] == [i["id"] for i in before]
        assert sum(i["events"] for i in after) > \
            sum(i["events"] for i in before), "the incident goes on"
        assert collector.stop() == 0 and agent.stop() == 0


if __name__ == "__main__":
    main([collector_killed, collector_frozen_then_killed, agent_killed,
          both_killed, drained, reloaded, rules_changed, disk_full, stopped_with_disk_full,
          restart_keeps_incidents])
