#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much of what others expect of log lines the formats find.

    make tests/bench/coverage_events && tests/bench/coverage.py [-v] [SOURCE...]

Each expected (field, value) pair is found, missing, or wrong: the field is
there with another value, which counts twice.  A value that the line does not
hold literally is left out: it is the other tool's own word for something.  -v
prints each pair that is not found.
"""
import collections
import json
import os
import re
import subprocess
import sys

TOP = os.environ.get("top_srcdir") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("top_builddir") or os.getcwd()
CASES = os.path.join(os.environ.get("KUZET_SHARED") or
                     os.path.join(TOP, "..", "shared"), "corpora",
                     "conformance")

# What Filebeat of 2019 says about itself, what is made of the user agent and
# of GeoIP data, and words that ECS has changed since (event.type is a list now).
BEATS_LEFT = re.compile(
    r"(fileset|service|ecs|source\.geo|user_agent\.(device|os|name|version)|"
    r"log\.flags|log\.original|event\.timezone|postgresql\.log\.timestamp|"
    r"@timestamp|event\.(dataset|module|type)$)")
# Programs of syslog lines without their header.
PROGRAMS = {
    "cisco-asa_msg": "", "openLDAP": "slapd", "openLDAP-extras": "slapd",
    "named": "named", "named-2": "named", "pam": "cron", "sshd": "sshd",
    "postfix": "postfix/smtp", "dhcpd": "dhcpd", "wabauth": "wabauth",
    "wabObjects": "wabauth",
}
# Expected name -> where the value has to be.  A name that is not here may be
# in any field.
PLACES = {
    "source_ip": ["source.ip", "source.address"],
    "client_ip": ["source.ip", "source.address", "client.ip"],
    "postfix_client_ip": ["source.ip"],
    "postfix_client_port": ["source.port"],
    "postfix_relay_ip": ["destination.ip"],
    "postfix_relay_port": ["destination.port"],
    "source_port": ["source.port", "client.port"],
    "dest_ip": ["destination.ip", "destination.address"],
    "dest_port": ["destination.port"],
    "pid": ["process.pid"],
    "useragent": ["user_agent.original"],
    "source.ip": ["source.ip", "client.ip"],
    "client.ip": ["source.ip", "client.ip"],
    "client.port": ["source.port", "client.port"],
    "source.address": ["source.address"],
    "source.port": ["source.port"],
    "destination.ip": ["destination.ip"],
    "destination.port": ["destination.port"],
    "http.response.status_code": ["http.response.status_code"],
    "http.request.method": ["http.request.method"],
    "url.original": ["url.original"],
}
# Pieces of patterns, which are no lines of any log.
FRAGMENTS = ("POSTFIX_COMMAND_COUNTER_DATA", "POSTFIX_TLS_FEATURES")
NOTHING = ("", "-", "unknown", "(null)")
SKIP = {"taxonomy", "timestamp", "postfix_keyvalue_data",
        "postfix_command_counter_data", "body", "date"}


def cases(source):
    with open(os.path.join(CASES, source, "cases.jsonl"),
              encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def flat(value, prefix=""):
    if not isinstance(value, dict):
        yield prefix, value
        return
    for name, member in value.items():
        yield from flat(member, f"{prefix}.{name}" if prefix else name)


def fail2ban():
    for c in cases("fail2ban"):
        e = c["expected"]
        year = int(e.get("time", "2005")[:4] or 2005)
        pairs = [(["source.address", "source.ip", "source.domain",
                   "client.address"], e.get("host"))]
        pairs += [(["user.name"], e.get("user"))]
        if e.get("match"):
            yield c, {"year": year}, [p for p in pairs if p[1]]


def filebeat():
    for c in cases("beats-filebeat"):
        pairs = [([name], value) for name, value in c["expected"].items()
                 if not BEATS_LEFT.match(name) and value != "-"]
        yield c, {"dataset": f"{c['module']}.{c['fileset']}",
                  "year": 2019}, pairs


def any_place(name):
    return PLACES.get(name) or PLACES.get(name.split(".")[-1])


def pylogsparser():
    for c in cases("pylogsparser"):
        yield c, {"program": PROGRAMS.get(c["normalizer"], "")}, [
            (any_place(n), v) for n, v in c["expected"].items()
            if n not in SKIP and v != "-"]


def postfix():
    for c in cases("postfix-grok"):
        if any(f in c["pattern"] for f in FRAGMENTS):
            continue
        daemon = re.sub(r"\W", "", c["pattern"].replace("POSTFIX_", ""))
        yield c, {"program": "postfix/" + daemon.lower()}, [
            (any_place(n), v) for n, v in c["expected"].items()
            if n not in SKIP]


def logstash():
    for c in cases("logstash-patterns"):
        yield c, {"program": "", "year": 2026}, [
            (PLACES.get(n), v) for n, v in flat(c["expected_ecs"])
            if n not in SKIP]


SOURCES = {"fail2ban": fail2ban, "beats-filebeat": filebeat,
           "pylogsparser": pylogsparser, "postfix-grok": postfix,
           "logstash-patterns": logstash}


def same(want, got):
    if isinstance(got, list):
        return want == got or any(same(want, g) for g in got)
    if isinstance(want, bool) or isinstance(got, bool):
        return want == got or str(want).lower() == str(got).lower()
    try:
        return float(want) == float(got)
    except (TypeError, ValueError):
        return str(want).strip().lower() == str(got).strip().lower()


def in_line(value, line):
    if isinstance(value, (dict, list)) or value in NOTHING:
        return False
    return str(value).lower() in line.lower()


def judge(places, want, event):
    if places is None:
        got = [v for k, v in event.items() if k != "event.original"]
        return "found" if any(same(want, g) for g in got) else "missing"
    got = [event[p] for p in places if p in event]
    if any(same(want, g) for g in got):
        return "found"
    return "wrong" if got else "missing"


def run(requests):
    tool = os.path.join(BUILD, "tests", "bench", "coverage_events")
    if not os.path.exists(tool):
        sys.exit(f"{tool} is missing: make tests/bench/coverage_events")
    made = subprocess.run(
        [tool, os.path.join(TOP, "rules", "normalizers")],
        input="".join(json.dumps(r) + "\n" for r in requests), text=True,
        stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in made.stdout.splitlines()]


def score(source, verbose):
    table = collections.defaultdict(collections.Counter)
    everything = list(SOURCES[source]())
    events = run([dict(hints, log=c["log"]) for c, hints, _ in everything])
    for (c, hints, pairs), event in zip(everything, events):
        for places, want in pairs:
            if not in_line(want, c["log"]):
                continue
            verdict = judge(places, want, event)
            table[c["family"]][verdict] += 1
            if verbose and verdict != "found":
                print(f"{verdict} {source} {c['id']} "
                      f"{'/'.join(places or ['any'])} = {want!r} "
                      f"({event.get('event.dataset')}) {c['log'][:300]!r}")
    return table


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    verbose = "-v" in sys.argv[1:]
    if not os.path.isdir(CASES):
        print("skipped: no corpus")
        return
    print(f"{'source':18} {'family':14} {'pairs':>6} {'found':>6} "
          f"{'missing':>8} {'wrong':>6} {'':>7}")
    total = collections.Counter()
    for source in names or SOURCES:
        table = score(source, verbose)
        table["all"] = sum(table.values(), collections.Counter())
        total += table["all"]
        for family, n in sorted(table.items()):
            row(source, family, n)
    row("all", "", total)


def row(source, family, n):
    everything = sum(n.values()) or 1
    right = (n["found"] - n["wrong"]) / everything
    print(f"{source:18} {family:14} {sum(n.values()):6} {n['found']:6} "
          f"{n['missing']:8} {n['wrong']:6} {right:7.1%}")


if __name__ == "__main__":
    main()
