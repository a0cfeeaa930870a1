#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The collector is killed again and again, at moments that nobody chose.

Two senders go on meanwhile: a client that knows which of its windows were
acknowledged, and an agent that ships a log in which rules find something.
KUZET_EXHAUSTIVE=1 kills a hundred times, else twelve.
"""

import collections
import json
import os
import random
import re
import sqlite3
import ssl
import subprocess
import threading
import time

from harness import BUILD, World, main, wait_for, write_failures
from lumberjack import batch, connect, read_ack

KILLS = 100 if os.environ.get("KUZET_EXHAUSTIVE") else 12
WINDOW = 50


class Client(threading.Thread):
    """Sends window after window; what was not acknowledged comes again."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world = world
        self.acked = 0     # windows
        self.running = True

    def window(self):
        first = self.acked * WINDOW
        return batch([{"event": {"id": f"id-{i}"}, "message": f"number {i}"}
                      for i in range(first, first + WINDOW)])

    def run(self):
        while self.running:
            try:
                with connect(self.world, "peer-1", timeout=30) as s:
                    while self.running:
                        s.sendall(self.window())
                        if read_ack(s) != WINDOW:
                            break
                        self.acked += 1
                        time.sleep(0.002)
            except (OSError, ssl.SSLError):
                time.sleep(0.05)

    def stop(self):
        self.running = False
        self.join()


def numbers(state):
    """The last commit of the log, and how far correlation says it has read."""
    days = sorted(p for p in state.iterdir()
                  if re.fullmatch(r"\d{4}-\d\d-\d\d\.db", p.name))
    last = cursor = 0
    for day in days:
        with sqlite3.connect(day) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] > 0:
                last = db.execute("SELECT coalesce(max(number), 0)"
                                  " FROM commits").fetchone()[0] or last
        db.close()
    if (state / "soc.db").exists():
        with sqlite3.connect(state / "soc.db") as db:
            if db.execute("PRAGMA user_version").fetchone()[0] > 0:
                row = db.execute("SELECT commit_number FROM cursor").fetchone()
                cursor = row[0] if row else 0
        db.close()
    return last, cursor, bool(days)


def check_dead(w):
    """What a killed collector left, before anybody opens it again."""
    state = w.dir / "collector-state"
    r = subprocess.run([BUILD / "kuzetctl", "store", "verify", "--dir", state,
                        "--json"], capture_output=True, text=True, env=w.env,
                       check=False)
    last, cursor, any_day = numbers(state)
    if last > 0 or r.returncode == 0:
        assert r.returncode == 0, r.stdout + r.stderr
        end = json.loads(r.stdout.splitlines()[-1])
        assert end["damaged"] == 0, end
    else:
        assert not any_day or "holds no store" in r.stderr or \
            r.returncode == 0, r.stderr
    assert cursor <= last, (cursor, last)


def summary(w):
    """Incidents and detections without what each run makes anew."""
    incidents = w.ctl_json("incidents")
    assert len({i["id"] for i in incidents}) == len(incidents)
    detections = collections.Counter(
        (d["rule"]["id"], d["@timestamp"], json.dumps(d["group"]))
        for d in w.ctl_json("detections"))
    return sorted((i["rule"]["id"], json.dumps(i["group"]), i["events"],
                   i["first_seen"], i["last_seen"], i["level"])
                  for i in incidents), detections


def killed_at_random():
    """store, cursor, detections, incidents agree with what was acknowledged"""
    rng = random.Random(int(os.environ.get("KUZET_SEED", "1")))
    lines = 0
    with World(agents=("web-1", "peer-1")) as w:
        write_failures(w, 0, 100)
        lines += 100
        collector = w.start_collector()
        agent = w.start_agent()
        client = Client(w)
        client.start()
        for kill in range(KILLS):
            # while it starts, too
            if rng.random() < 0.8:
                wait_for("the collector to be ready",
                         lambda: w.status() is not None)
                write_failures(w, lines, 150)
                lines += 150
            time.sleep(rng.random() * 0.5)
            acked = client.acked
            collector.kill()
            check_dead(w)
            collector = w.start_collector(wait=False)
            if kill % 4 == 3:
                agent.kill()
                agent = w.start_agent()
            assert client.acked >= acked
        wait_for("the collector to be ready", lambda: w.status() is not None)
        acked = client.acked
        wait_for("more ACKs", lambda: client.acked > acked)
        client.stop()
        sent = client.acked * WINDOW
        wait_for("every line of the log", lambda: len(w.events(
            "--where", "event.dataset=system.auth")) >= lines)
        wait_for("correlation", w.correlated)
        check_events(w, sent, lines)
        after = summary(w)
        assert after[0], "there are incidents"
        assert collector.stop() == 0 and agent.stop() == 0
        check_dead(w)
        text = w.log("auth.log").read_text()
    assert after == undisturbed(text, lines), "as without any kill"


def check_events(w, sent, lines):
    """All that was acknowledged is there once; of the last window perhaps."""
    ids = collections.Counter()
    shipped = collections.Counter()
    for e in w.events("--flat"):
        if e["event.id"].startswith("id-"):
            ids[int(e["event.id"][3:])] += 1
        else:
            shipped[e["event.original"]] += 1
    assert set(range(sent)) <= set(ids), "something acknowledged is lost"
    assert max(ids) < sent + WINDOW, "more than was sent"
    assert max(ids.values()) == 1, "something is there twice"
    assert len(shipped) == lines and max(shipped.values()) == 1, len(shipped)


def undisturbed(text, lines):
    """The same log, and nobody is killed."""
    with World() as w:
        w.log("auth.log").write_text(text)
        collector = w.start_collector()
        agent = w.start_agent()
        wait_for("every line", lambda: w.stored() == lines)
        wait_for("correlation", w.correlated)
        result = summary(w)
        assert collector.stop() == 0 and agent.stop() == 0
    return result


if __name__ == "__main__":
    main([killed_at_random])
