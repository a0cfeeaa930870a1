#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The model behind delivery, store and correlation, seen from outside.

Streams and marks, event time, late hits, absence: each test talks to a real
collector as an agent would.
"""

import datetime
import random
import time
import uuid

import lumberjack as lj
from harness import World, main, wait_for

RULES = """\
title: Failed
id: 5e1b7c1e-0c0a-4b8e-9a44-000000000001
name: failed
status: test
author: kuzet
level: low
tags: [attack.t1110]
logsource: {product: linux}
detection:
  selection: {message|contains: "login failed"}
  condition: selection
---
title: Five failures in ten minutes
id: 5e1b7c1e-0c0a-4b8e-9a44-000000000002
author: kuzet
level: high
tags: [attack.t1110]
correlation:
  type: event_count
  rules: [failed]
  group-by: [labels.from]
  timespan: 10m
  condition: {gte: 5}
---
title: Backup done
id: 5e1b7c1e-0c0a-4b8e-9a44-000000000003
name: backup_done
author: kuzet
level: informational
logsource: {product: linux}
detection:
  selection: {message|contains: "backup done"}
  condition: selection
---
title: No backup in an hour
id: 5e1b7c1e-0c0a-4b8e-9a44-000000000004
author: kuzet
level: high
correlation:
  type: event_count
  rules: [backup_done]
  group-by: [labels.from]
  timespan: 1h
  condition: {lt: 1}
---
title: Pulse
id: 5e1b7c1e-0c0a-4b8e-9a44-000000000005
name: pulse
author: kuzet
level: informational
logsource: {product: linux}
detection:
  selection: {message|contains: "pulse"}
  condition: selection
---
title: No pulse in two seconds
id: 5e1b7c1e-0c0a-4b8e-9a44-000000000006
author: kuzet
level: high
correlation:
  type: event_count
  rules: [pulse]
  group-by: [labels.from]
  timespan: 2s
  condition: {lt: 1}
"""
BURST = "5e1b7c1e-0c0a-4b8e-9a44-000000000002"
GAP = "5e1b7c1e-0c0a-4b8e-9a44-000000000004"
SILENCE = "5e1b7c1e-0c0a-4b8e-9a44-000000000006"


class Sender:
    """One stream of one agent; offsets go up by themselves."""

    def __init__(self, world, name="web-1"):
        self.world = world
        self.name = name
        self.stream = str(uuid.uuid4())
        self.offset = 0

    def event(self, when, message, group):
        self.offset += 100
        return {"@timestamp": when,
                "message": f"{when} web-1 app[1]: {message}",
                "log": {"offset": self.offset, "file": {"path": "/x.log"}},
                "labels": {"from": group},
                "kuzet": {"stream": self.stream, "input": "in"}}

    def heartbeat(self):
        return {"@timestamp": now(), "kuzet": {"control": "heartbeat",
                                               "input": "in"}}

    def send(self, events):
        with lj.connect(self.world, self.name) as s:
            s.sendall(lj.batch(events))
            assert lj.read_ack(s) == len(events)


def world():
    w = World(("web-1", "db-1"))
    w.rules = w.dir / "rules"
    w.rules.mkdir()
    (w.rules / "test.yml").write_text(RULES)
    return w


def start(w):
    return w.start_collector()


def at(minute, second=0, day="2026-11-20"):
    return f"{day}T{minute // 60:02}:{minute % 60:02}:{second:02}.000Z"


def now():
    t = datetime.datetime.now(datetime.timezone.utc)
    return t.strftime("%Y-%m-%dT%H:%M:%S.") + f"{t.microsecond // 1000:03}Z"


def incidents(w, rule=None):
    wait_for("correlation", w.correlated)
    return w.ctl_json("incidents", *(["--rule", rule] if rule else []))


def another_order_after_a_crash():
    """files read in another order, cut at other places, count once"""
    with world() as w:
        collector = start(w)
        senders = [Sender(w) for _ in range(4)]
        streams = [[s.event(at(i), f"line {n} {i}", "x") for i in range(300)]
                   for n, s in enumerate(senders)]
        # never acknowledged as far as the agent knows: cut off at once
        rng = random.Random(7)
        for _ in range(6):
            first = [e for s in streams for e in s[:rng.randint(1, 300)]]
            s = lj.connect(w)
            s.sendall(lj.batch(first))
            s.close()
            rng.shuffle(streams)
        collector.kill()
        collector = start(w)
        for s in streams:
            with lj.connect(w) as c:
                for i in range(0, 300, 77):
                    c.sendall(lj.batch(s[i:i + 77]))
                for i in range(0, 300, 77):
                    assert lj.read_ack(c) == len(s[i:i + 77])
        assert w.stored() == 1200, w.stored()
        assert len({e["event"]["id"] for e in w.events()}) == 1200
        assert collector.stop() == 0


def one_agent_far_behind():
    """hits of two agents meet on event time, however late one of them is"""
    with world() as w:
        collector = start(w)
        web, db = Sender(w, "web-1"), Sender(w, "db-1")
        web.send([web.event(at(60 + i), "login failed", "203.0.113.9")
                  for i in range(3)])
        web.send([web.event(at(600), "nothing", "-")])
        assert not incidents(w, BURST)
        db.send([db.event(at(60 + i, 30), "login failed", "203.0.113.9")
                 for i in range(3)])
        found = incidents(w, BURST)
        assert len(found) == 1, found
        assert found[0]["events"] == 6
        assert found[0]["agents"] == ["db-1", "web-1"]
        assert found[0]["first_seen"] == at(60)
        assert found[0]["last_seen"] == at(62, 30)
        assert collector.stop() == 0


def late_hits_keep_the_id():
    """a late hit moves first_seen and raises events, never the id"""
    with world() as w:
        collector = start(w)
        a, b = Sender(w), Sender(w)
        a.send([a.event(at(100 + i), "login failed", "h") for i in range(5)])
        before = incidents(w, BURST)
        assert len(before) == 1 and before[0]["events"] == 5
        b.send([b.event(at(99), "login failed", "h")])
        after = incidents(w, BURST)
        assert len(after) == 1, after
        assert after[0]["id"] == before[0]["id"]
        assert after[0]["events"] == 6 and after[0]["first_seen"] == at(99)
        collector.kill()
        collector = start(w)
        assert incidents(w, BURST) == after
        b.send([b.event(at(105), "login failed", "h")])
        last = incidents(w, BURST)
        assert [i["id"] for i in last] == [before[0]["id"]]
        assert last[0]["events"] == 7
        assert collector.stop() == 0


def old_logs():
    """time stamps of years ago are honoured"""
    with world() as w:
        collector = start(w)
        s = Sender(w)
        s.send([s.event(at(5, i, "2015-03-02"), "login failed", "old")
                for i in range(5)])
        found = incidents(w, BURST)
        assert len(found) == 1
        assert found[0]["first_seen"] == at(5, 0, "2015-03-02")
        assert w.ctl_json("events", "--since", "2015-03-01", "--until",
                          "2015-03-03", "--count") == [{"count": 5}]
        assert w.ctl_json("events", "--since", "2h", "--count") == \
            [{"count": 0}]
        assert collector.stop() == 0


def future_is_clamped():
    """a time stamp far in the future becomes the time of arrival"""
    with world() as w:
        collector = start(w)
        s = Sender(w)
        s.send([s.event(at(5, 0, "2099-01-01"), "hello", "f")])
        assert not w.events()[0]["@timestamp"].startswith("2099")
        assert collector.stop() == 0


def absence():
    """a gap becomes an incident; a backlog that disproves it closes it"""
    with world() as w:
        collector = start(w)
        s, late = Sender(w), Sender(w)
        s.send([s.event(at(m), "backup done", "db")
                for m in (0, 50, 100, 300)])
        found = incidents(w, GAP)
        assert len(found) == 1, found
        assert found[0]["status"] == "new"
        assert found[0]["first_seen"] == at(100)
        collector.kill()
        collector = start(w)
        assert incidents(w, GAP) == found
        late.send([late.event(at(m), "backup done", "db")
                   for m in (150, 200, 250)])
        closed = incidents(w, GAP)
        assert [i["id"] for i in closed] == [found[0]["id"]]
        assert closed[0]["status"] == "closed", closed
        assert closed[0]["reason"] == "disproved"
        assert collector.stop() == 0


def late_hits_in_a_replay():
    """what comes late, in its commit or after, a replay takes as was done"""
    with world() as w:
        collector = start(w)
        s, late = Sender(w), Sender(w)

        def replayed():
            got = w.ctl_json("rules", "replay", "--rules", w.rules, "--dir",
                             w.dir / "collector-state", "--incidents")
            summary = got.pop()
            return summary, {i["id"]: (i["status"], i["events"])
                             for i in got}

        def live():
            return {i["id"]: (i["status"], i["events"])
                    for i in incidents(w)}

        s.send([s.event(at(0), "backup done", "db")])
        # in one commit: the time goes on before what was between is told
        s.send([s.event(at(120), "nothing of note", "db"),
                s.event(at(30), "backup done", "db"),
                s.event(at(80), "backup done", "db")])
        assert live() == {}
        assert replayed()[1] == {}
        # later: it disproves an absence, and joins what has been raised
        s.send([s.event(at(300), "nothing of note", "db")]
               + [s.event(at(300 + m), "login failed", "x")
                  for m in range(0, 10, 2)])
        assert {status for status, _ in live().values()} == {"new"}
        assert len(live()) == 2 and replayed()[1] == live()
        late.send([late.event(at(m), "backup done", "db")
                   for m in (130, 180, 230)]
                  + [late.event(at(305), "login failed", "x")])
        assert "closed" in {status for status, _ in live().values()}
        summary, found = replayed()
        assert found == live(), (found, live())
        assert summary["late_hits"] == w.status()["correlation"]["late_hits"]
        assert collector.stop() == 0


def idle_source():
    """an idle agent's heartbeat closes the windows of what it fed"""
    with world() as w:
        collector = start(w)
        s = Sender(w)
        s.send([s.event(now(), "pulse", "host")])
        time.sleep(3)
        assert not incidents(w, SILENCE), "nobody has spoken since"
        s.send([s.heartbeat()])
        wait_for("the absence", lambda: incidents(w, SILENCE))
        assert w.stored() == 1, "a heartbeat is no event"
        assert collector.stop() == 0


def silent_source():
    """a live source that falls silent follows the clock; an old one never"""
    with world() as w:
        collector = w.start_collector("silent_after: 3s\n")
        dead, old = Sender(w, "web-1"), Sender(w, "db-1")
        dead.send([dead.event(now(), "pulse", "dead")])
        old.send([old.event(at(5), "pulse", "old")])
        found = wait_for("the silence", lambda: incidents(w, SILENCE))
        assert [i["group"] for i in found] == [{"labels.from": "dead"}]
        time.sleep(2)
        assert len(incidents(w, SILENCE)) == 1
        assert collector.stop() == 0


def any_order_of_arrival():
    """groups, times and counts are the same in any order of arrival"""
    results = []
    for seed in range(3):
        with world() as w:
            collector = start(w)
            rng = random.Random(seed)
            senders = [Sender(w, n) for n in ("web-1", "db-1")]
            # bursts far apart: whatever the order, they never touch
            hits = [(60 * hour + m, g) for hour in (0, 2, 4)
                    for g in ("a", "b") for m in range(7)]
            rng.shuffle(hits)
            for i, (minute, group) in enumerate(hits):
                sender = senders[i % 2]
                sender.send([sender.event(at(minute), "login failed", group)])
                if i == 20 and seed == 1:
                    collector.kill()
                    collector = start(w)
            results.append(sorted(
                (i["group"]["labels.from"], i["first_seen"], i["last_seen"],
                 i["events"]) for i in incidents(w, BURST)))
            assert collector.stop() == 0
    expected = sorted((g, at(60 * h), at(60 * h + 6), 7)
                      for h in (0, 2, 4) for g in ("a", "b"))
    for found in results:
        assert found == expected, found


ONE = """\
title: Word {0}
name: {0}
logsource: {{product: linux}}
level: low
detection: {{s: {{message|contains: "word {0}"}}, condition: s}}
---
"""
EVERY = """\
title: {1}
id: 5e1b7c1e-0c0a-4b8e-9a44-0000000001{0:02}
name: c{0}
level: high
correlation: {{timespan: 1m, {2}}}
---
"""
BY = "group-by: [labels.from], "
BYTES = "field: http.response.body.bytes"
TYPES = [
    ("event_count", f"type: event_count, rules: [a, b], {BY}"
     "condition: {gte: 4}"),
    ("a single event", f"type: event_count, rules: [c], {BY}"
     "condition: {gte: 1}"),
    ("not two", f"type: event_count, rules: [a], {BY}condition: {{neq: 2}}"),
    ("value_count", f"type: value_count, rules: [a, b], {BY}"
     f"condition: {{gte: 3, {BYTES}}}"),
    ("temporal", f"type: temporal, rules: [a, b, c], {BY}"),
    ("temporal_ordered", f"type: temporal_ordered, rules: [a, c], {BY}"),
    ("extended", f"type: temporal, rules: [a, b], {BY}"
     "condition: a and not b"),
    ("value_sum", f"type: value_sum, rules: [a], {BY}"
     f"condition: {{gt: 25, {BYTES}}}"),
    ("value_avg", f"type: value_avg, rules: [b], {BY}"
     f"condition: {{gte: 6, {BYTES}}}"),
    ("value_median", f"type: value_median, rules: [c], {BY}"
     f"condition: {{lt: 3, {BYTES}}}"),
    ("value_percentile", f"type: value_percentile, rules: [a], {BY}"
     f"condition: {{gte: 9, percentile: 90, {BYTES}}}"),
    ("absence", f"type: event_count, rules: [b], {BY}condition: {{lt: 1}}"),
    ("a range", f"type: event_count, rules: [b], {BY}"
     "condition: {gt: 1, lte: 3}"),
    ("a chain", "type: event_count, rules: [c0], generate: true, "
     "condition: {gte: 2}"),
    ("aliases", "type: event_count, rules: [a, b], group-by: [who], "
     "condition: {gte: 6}, aliases: {who: {a: labels.from, b: labels.to}}"),
]


def some_events(sender):
    rng = random.Random(11)
    events, second = [], 0
    for i in range(500):
        second += rng.randrange(12)
        late = rng.randrange(50) if rng.random() < 0.2 else 0
        when = max(0, second - late)
        e = sender.event(at(60 + when // 60, when % 60),
                         f"word {rng.choice('abc')}", f"h{rng.randrange(3)}")
        e["labels"]["to"] = f"h{rng.randrange(3)}"
        e["http"] = {"response": {"body": {"bytes": rng.randrange(10)}}}
        events.append(e)
    return events


def any_number_of_workers():
    """incidents are the same however many workers run, wherever it is cut"""
    stream, results = str(uuid.uuid4()), []
    for workers, cut in ((1, None), (2, 3), (4, 7)):
        with world() as w:
            (w.rules / "test.yml").write_text(
                "".join(ONE.format(x) for x in "abc") +
                "".join(EVERY.format(i, *t) for i, t in enumerate(TYPES)))
            collector = w.start_collector(f"workers: {workers}\n")
            sender = Sender(w)
            sender.stream = stream
            events = some_events(sender)
            for n, i in enumerate(range(0, len(events), 50)):
                sender.send(events[i:i + 50])
                if n == cut:
                    collector.kill()
                    collector = w.start_collector(f"workers: {workers}\n")
            found = [{k: i[k] for k in ("id", "group", "first_seen",
                                        "last_seen", "events", "status")} |
                     {"rule": i["rule"]["title"]} for i in incidents(w)]
            results.append(sorted(found, key=lambda i: i["id"]))
            assert collector.stop() == 0
    silent = {t for t, _ in TYPES} - {i["rule"] for i in results[0]}
    assert not silent, f"these never fire: {silent}"
    for found in results[1:]:
        assert found == results[0], [i for i in found + results[0]
                                     if (i in found) != (i in results[0])][:4]


if __name__ == "__main__":
    main([another_order_after_a_crash, one_agent_far_behind,
          late_hits_keep_the_id, old_logs, future_is_clamped, absence,
          late_hits_in_a_replay, idle_source, silent_source,
          any_order_of_arrival, any_number_of_workers])
