#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Audit records as go-libaudit reads them: at least 95 % of its pairs of field
and value, none of them otherwise."""

import json
import os
import pathlib
import subprocess
import sys

SRC = pathlib.Path(os.environ.get("top_srcdir", ".")).resolve()
BUILD = pathlib.Path(os.environ.get("top_builddir", SRC)).resolve()
SHARED = pathlib.Path(os.environ.get("KUZET_SHARED", SRC / "../shared"))
CASES = SHARED / "corpora/conformance/go-libaudit/cases.jsonl"

IDS = {"auid": "user.audit.id", "uid": "user.id", "gid": "user.group.id",
       "euid": "user.effective.id", "egid": "user.effective.group.id",
       "suid": "user.saved.id", "sgid": "user.saved.group.id",
       "fsuid": "user.filesystem.id", "fsgid": "user.filesystem.group.id"}
PROCESS = {"pid": "process.pid", "ppid": "process.parent.pid",
           "title": "process.title", "name": "process.name",
           "exe": "process.executable", "cwd": "process.working_directory",
           "args": "process.args"}
RECORD = {**IDS, "ses": "auditd.session", "result": "event.outcome",
          "comm": "process.name", "exe": "process.executable",
          "cwd": "process.working_directory", "proctitle": "process.title",
          "pid": "process.pid", "ppid": "process.parent.pid",
          "addr": "source.ip"}
RECORD.update({f"subj_{part}": f"user.selinux.{part}" for part in
               ("user", "role", "domain", "level", "category")})


def flat(value, prefix=""):
    if not isinstance(value, dict):
        yield prefix, value
        return
    for key, inner in value.items():
        yield from flat(inner, f"{prefix}.{key}" if prefix else key)


def joined_pairs(expected):
    """What it says of a joined event, under our names."""
    for key, value in flat(expected):
        head, _, rest = key.partition(".")
        if head == "user" and rest.startswith("ids."):
            yield IDS.get(rest[4:], f"auditd.data.{rest[4:]}"), value
        elif key in ("sequence", "session"):
            yield f"auditd.{key}", value
        elif key == "record_type":
            yield "auditd.message_type", value
        elif key == "result" and value != "unknown":
            yield "event.outcome", {"fail": "failure"}.get(value, value)
        elif head == "process":
            yield PROCESS[rest], value
        elif head == "data":
            yield f"auditd.{key}", value
        elif key == "paths":
            yield "auditd.paths", value
        elif key == "summary.action":
            yield "event.action", value
        elif key.startswith("ecs.event."):
            # it says "info" twice for a record that is two things
            yield key[4:], (sorted(set(value)) if isinstance(value, list)
                            else value)
        elif head in ("source", "network", "file", "user", "tags",
                      "@timestamp"):
            yield key, value


def record_pairs(records):
    for r in filter(None, records):
        for key, value in r.get("data", {}).items():
            if r["record_type"] == "path":
                continue  # is in auditd.paths
            if r["record_type"] == "sockaddr":
                yield f"auditd.data.socket_{key}", value
            elif key == "result":
                yield "event.outcome", {"fail": "failure"}.get(value, value)
            else:
                yield RECORD.get(key, f"auditd.data.{key}"), value


def parse(records):
    out = subprocess.run(
        [BUILD / "kuzetctl", "parse", "--dataset", "auditd.log", "--flat", "-"],
        input="\n".join(records) + "\n", text=True, capture_output=True,
        check=True, env=dict(os.environ, KUZET_DATADIR=str(SRC / "rules")))
    return [json.loads(line) for line in out.stdout.splitlines()]


def same(key, got, wanted):
    if key == "@timestamp":
        return got.rstrip("Z0.") == wanted.rstrip("Z0.")
    if key in ("event.category", "event.type"):
        return sorted(got) == wanted
    return got == wanted or str(got) == str(wanted)


def main():
    if not CASES.exists():
        print("1..0 # SKIP no corpus")
        return 0
    right, missing, wrong, shapes = 0, [], [], []
    for line in CASES.read_text().splitlines():
        case = json.loads(line)
        events = parse(case["records"])
        if len(events) != 1:
            shapes.append(f"{case['id']}: {len(events)} events")
            continue
        pairs = (joined_pairs(case["expected"]) if "expected" in case
                 else record_pairs(case["expected_records"]))
        for key, value in pairs:
            got = events[0].get(key)
            if got is None:
                missing.append(f"{case['id']}: {key}={value}")
            elif same(key, got, value):
                right += 1
            else:
                wrong.append(f"{case['id']}: {key}={value}, got {got}")
    share = 100 * right / (right + len(missing) + len(wrong))
    for what in shapes + missing + wrong:
        print(f"# {what}")
    print("1..3")
    for i, (good, name) in enumerate((
            (not shapes, "each case is one event"),
            (share >= 95, f"{share:.1f} % of {right + len(missing)} pairs"),
            (not wrong, "none is otherwise")), 1):
        print(f"{'ok' if good else 'not ok'} {i} - {name}")
    return 0 if not shapes and share >= 95 and not wrong else 1


sys.exit(main())
