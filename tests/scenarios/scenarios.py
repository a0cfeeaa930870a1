#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every scenario beside this file, as TAP.

A scenario is a folder with
  input.log        lines of our own making, or
  input.jsonl      events as they are after the normalizers
  scenario.json    "about": one sentence; "rules": files or folders below
                   rules/packs, "." for all; "dataset", "year", "timezone"
  rules.yml        rules of its own, besides or instead
  expected.jsonl   the matches that `kuzetctl rules match` must print, in this
                   order; of each only the keys given count.  "rule" may be
                   left out for "title".  Empty: nothing may match that would
                   open an incident or that is of level medium or above.

usage: scenarios.py [NAME...]
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.environ.get("top_srcdir", os.path.join(HERE, "..", ".."))
BUILD = os.environ.get("top_builddir", TOP)
KUZETCTL = os.path.join(BUILD, "kuzetctl")
QUIET = ("informational", "low")


def run(folder, scenario):
    command = [KUZETCTL, "rules", "match", "--json", "--rules"]
    command += [os.path.normpath(os.path.join(TOP, "rules", "packs", r))
                for r in scenario["rules"]]
    own = os.path.join(folder, "rules.yml")
    if os.path.exists(own):
        command.append(own)
    events = os.path.join(folder, "input.jsonl")
    if os.path.exists(events):
        command += ["--events", events]
    else:
        command += ["--log", os.path.join(folder, "input.log")]
    for option in ("dataset", "year", "timezone"):
        if option in scenario:
            command += ["--" + option, str(scenario[option])]
    env = dict(os.environ, KUZET_DATADIR=os.path.join(TOP, "rules"))
    done = subprocess.run(command, env=env, timeout=120, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    found = [json.loads(line) for line in done.stdout.decode().splitlines()]
    return done.returncode, found, done.stderr.decode(errors="replace")


def differences(expected, found):
    if not expected:
        for match in found:
            if "group" in match or match.get("level") not in QUIET:
                yield "unexpected: " + json.dumps(match)
        return
    for i, want in enumerate(expected):
        have = found[i] if i < len(found) else None
        if have is None or any(have.get(k) != v for k, v in want.items()):
            yield "expected: " + json.dumps(want)
            yield "got:      " + json.dumps(have)
    for match in found[len(expected):]:
        yield "unexpected: " + json.dumps(match)


def main():
    names = sys.argv[1:] or sorted(
        n for n in os.listdir(HERE)
        if os.path.exists(os.path.join(HERE, n, "scenario.json")))
    failed = 0
    for number, name in enumerate(names, 1):
        folder = os.path.join(HERE, name)
        with open(os.path.join(folder, "scenario.json"), encoding="utf-8") as f:
            scenario = json.load(f)
        with open(os.path.join(folder, "expected.jsonl"), encoding="utf-8") as f:
            expected = [json.loads(line) for line in f]
        try:
            status, found, errors = run(folder, scenario)
            problems = list(differences(expected, found))
            if status != 0 or errors:
                problems += ["status %d" % status] + errors.splitlines()
        except (OSError, ValueError, subprocess.TimeoutExpired) as e:
            problems = [str(e)]
        print("%sok %d - %s: %s" % ("not " if problems else "", number, name,
                                    scenario["about"]), flush=True)
        for line in problems[:40]:
            print("# " + line)
        failed += bool(problems)
    print("1..%d" % len(names))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
