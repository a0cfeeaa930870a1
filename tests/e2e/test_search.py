#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kuzetctl search against a running collector."""

import json
import subprocess
from collections import Counter

from harness import BUILD, World, main, wait_for

LINES = [
    "Nov 22 01:02:{:02} web-1 sshd[{}]: Failed password for {} from {} "
    "port {} ssh2\n".format(i % 60, 4000 + i, ("root", "admin", "Serik")[i % 3],
                            f"192.0.2.{i % 7}" if i % 2 else
                            f"198.51.100.{i % 5}", 30000 + i)
    for i in range(300)]


def filled(w):
    """A collector with the lines above, and what it stored of them."""
    w.start_collector()
    w.log("auth.log").write_text("".join(LINES))
    w.start_agent(inputs=f"""\
  - type: file
    paths: ["{w.log('auth.log')}"]
    dataset: system.auth
    year: 2026
    timezone: UTC
""")
    w.wait_stored(len(LINES))
    return w.events("--flat")


def ids(events):
    return [e["event.id"] for e in events]


def queries_find_what_they_name():
    """queries find what they name, in the order asked for"""
    with World() as w:
        stored = filled(w)
        cases = {
            "user.name:root": lambda e: e.get("user.name") == "root",
            "user.name:ROOT": lambda e: e.get("user.name") == "root",
            "source.ip:192.0.2.0/24":
                lambda e: e.get("source.ip", "").startswith("192.0.2."),
            "source.port >= 30290": lambda e: e.get("source.port", 0) >= 30290,
            "source.port:[30010 TO 30020}":
                lambda e: 30010 <= e.get("source.port", 0) < 30020,
            '"Failed password" AND NOT serik':
                lambda e: "Serik" not in e["event.original"],
            "sshd[4017]": lambda e: "sshd[4017]" in e["event.original"],
            "/port 3000[0-4] /":
                lambda e: any(f"port 3000{k} " in e["event.original"]
                              for k in range(5)),
            "*": lambda e: True,
            "user.name:(root or adm*)":
                lambda e: e.get("user.name") in ("root", "admin"),
            "no.such.field:1": lambda e: False,
        }
        for query, wanted in cases.items():
            expected = [e for e in stored if wanted(e)]
            got = w.ctl_json("search", query, "--flat", "--sort", "arrival")
            assert ids(got) == ids(expected), query
            assert w.ctl_json("search", query, "--count") == [
                {"count": len(expected)}], query
        by_time = w.ctl_json("search", "*", "--flat")
        assert sorted(ids(by_time)) == sorted(ids(stored))
        times = [e["@timestamp"] for e in by_time]
        assert times == sorted(times)
        newest = w.ctl_json("search", "*", "--flat", "--sort", "-time")
        assert newest == by_time[::-1]


def where_and_search_agree():
    """events --where and search find the same events"""
    with World() as w:
        filled(w)
        a = w.ctl_json("events", "--where", "user.name=root")
        b = w.ctl_json("search", "user.name:root", "--sort", "arrival")
        assert a == b and len(a) == 100, (len(a), len(b))


def in_pages(w, *args):
    """All lines, one page after another."""
    got, after = [], []
    while True:
        r = w.ctl(*args, "--json", *after)
        got += [json.loads(line) for line in r.stdout.splitlines()]
        if "more: --after" not in r.stderr:
            return got
        after = r.stderr.split()[1:3]


def pages_follow_each_other():
    """a limit ends with a cursor, and the next page begins behind it"""
    with World() as w:
        filled(w)
        whole = w.ctl_json("search", "user.name:admin", "--flat")
        got = in_pages(w, "search", "user.name:admin", "--flat",
                       "--limit", "37")
        assert got == whole and len(got) == 100, len(got)


def groups_count():
    """groups, histograms and figures agree with a count by hand"""
    with World() as w:
        stored = filled(w)
        rows = w.ctl_json("search", "*", "--by", "user.name", "source.ip")
        counted = Counter((e["user.name"], e["source.ip"]) for e in stored)
        assert {tuple(r["key"]): r["count"] for r in rows} == counted
        counts = [r["count"] for r in rows]
        assert counts == sorted(counts, reverse=True)
        rows = w.ctl_json("search", "*", "--every", "10s")
        assert [r["count"] for r in rows] == [50] * 6, rows
        assert rows[0]["key"] == ["2026-11-22T01:02:00.000Z"], rows
        rows = w.ctl_json("search", "*", "--by", "user.name", "--distinct",
                          "source.port", "--measure", "source.port",
                          "--percentiles", "0,100", "--limit", "2")
        assert len(rows) == 2 and rows[0]["distinct"] == 100, rows
        assert rows[0]["key"] == ["Serik"], rows
        assert rows[0]["percentiles"] == {"0": 30002, "100": 30299}, rows
        assert w.ctl("search", "*", "--by", "user.name").stdout.split(
        )[:4] == ["COUNT", "KEY", "100", "Serik"]


def mistakes_are_shown():
    """a mistake is shown with a caret, or a column, and is wrong usage"""
    with World() as w:
        w.start_collector()
        r = w.ctl("search", "user.name:root AND (a", check=False)
        assert r.returncode == 2 and r.stdout == "", r
        lines = r.stderr.splitlines()
        assert lines[1].startswith(" " * 19 + "^ column 20"), r.stderr
        r = w.ctl("search", "a OR", "--json", check=False)
        assert r.returncode == 2 and json.loads(r.stderr)["column"] == 5, r
        r = w.ctl("search", "a", "--since", "never", check=False)
        assert r.returncode == 2 and "--since" in r.stderr, r
        r = w.ctl("search", check=False)
        assert r.returncode == 2, r
        r = w.ctl("search", "a b", "c", check=False)
        assert r.returncode == 2 and "quote the query" in r.stderr, r
        assert w.ctl("search", "a").stderr == "none\n"


def what_comes_in_is_followed():
    """--follow prints what comes in from then on, once"""
    with World() as w:
        filled(w)
        out = open(w.dir / "follow", "wb")
        tail = subprocess.Popen(
            [BUILD / "kuzetctl", "--socket", w.dir / "collector.sock",
             "search", "user.name:late", "--follow", "--json", "--flat"],
            stdout=out, env=w.env)
        try:
            def seen():
                # the last line may still be being written
                text = (w.dir / "follow").read_bytes().rpartition(b"\n")[0]
                return [json.loads(x) for x in text.splitlines()]

            def one_more():
                with open(w.log("auth.log"), "a") as f:
                    f.write(LINES[0].replace("root", "late"))
                return len(seen()) >= 5

            # some come before kuzetctl has begun to look
            wait_for("the follower", one_more)
            got = ids(seen())
            assert len(got) == len(set(got)), got
            assert tail.poll() is None
        finally:
            tail.kill()
            tail.wait()
            out.close()


def rules_run_over_history():
    """replay raises what the collector raised with the same rules"""
    with World() as w:
        w.rules = w.dir / "rules"
        w.rules.mkdir()
        (w.rules / "bruteforce.yml").write_text("""\
title: Failed logins in a row
name: failed_in_a_row
id: 6f2f4c06-2d51-4fd5-9a0e-5c8f0ad1b7a1
status: test
correlation:
  type: event_count
  rules: [failed_login]
  group-by: [source.ip]
  timespan: 1m
  condition: {gte: 10}
level: high
---
title: Failed login
name: failed_login
id: 0c8de5cb-5ad6-4a57-8a4b-9d1b41d2b3f4
status: test
logsource: {product: linux, service: sshd}
detection:
  failed: {message|contains: Failed password}
  condition: failed
level: low
generate: true
---
title: Any word of sshd
id: 5a4a6f0e-6d0b-4f0c-9c5b-0d4a3a7e2c11
status: test
logsource: {product: linux, service: sshd}
detection:
  any: {message|contains: e}
  condition: any
level: low
""")
        filled(w)
        wait_for("correlation", w.correlated)
        live = w.ctl_json("incidents")
        assert len(live) == 12, len(live)
        args = ["rules", "replay", "--rules", w.rules, "--dir",
                w.dir / "collector-state"]
        got = w.ctl_json(*args)
        summary = got.pop()
        found = [x for x in got if x.get("type") == "incident"]

        def states(incidents):
            return {i["id"]: (i["events"], i["first_seen"], i["group"])
                    for i in incidents}

        assert states(found) == states(live), (found, live)
        detections = w.ctl_json("detections")
        assert ([d["id"] for d in got if "type" not in d] ==
                [d["id"] for d in detections])
        assert summary["events"] == len(LINES), summary
        assert summary["incidents"] == 12, summary
        assert summary["detections"] == len(detections), summary
        by_time = sorted(detections, key=lambda d: (d["@timestamp"], d["id"]))
        n = len(detections)
        assert n > 10
        for limit in (str(n // 3), str(n - 1), str(n), "10000"):
            assert in_pages(w, "detections", "--limit", limit) == by_time
        assert in_pages(w, "detections", "--limit", "7", "--rule",
                        "no-such-rule") == []
        for limit in ("5", "12"):
            assert in_pages(w, "incidents", "--limit", limit) == live
        for wrong in ("x", "1.", "1.zz", ".1", "123456789abcdef01.2"):
            r = w.ctl("incidents", "--after", wrong, check=False)
            assert r.returncode == 2 and "after:" in r.stderr, r
        r = w.ctl("detections", "--limit", "10001", check=False)
        assert r.returncode == 2 and "10000" in r.stderr, r
        late = w.ctl_json(*args, "--since", "2026-11-22T01:02:30Z",
                          "--incidents")
        assert late[-1]["events"] == 150 and len(late) == 13, late[-1]
        r = w.ctl("rules", "replay", check=False)
        assert r.returncode == 2 and "--rules" in r.stderr, r


main([queries_find_what_they_name, where_and_search_agree,
      pages_follow_each_other, groups_count, mistakes_are_shown,
      what_comes_in_is_followed, rules_run_over_history])
