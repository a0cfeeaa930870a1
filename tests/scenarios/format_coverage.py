#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The formats find no less of other projects' lines than they did, as TAP.

The floors of tests/bench/coverage.py, which prints the whole table: of each
source the share of (field, value) pairs, none of them wrong; and of the lines
of raw logs, all read in one run, the share that no format knows.
"""
import collections
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "bench"))
import coverage  # pylint: disable=wrong-import-position

# source -> least share of right pairs
FLOORS = {"fail2ban": 0.985, "beats-filebeat": 0.97, "pylogsparser": 0.96,
          "postfix-grok": 0.99, "logstash-patterns": 0.96}
LEAST = 0.975
MOST_UNPARSED = 0.03
# What the corpus has that the floors speak of; of another all is good.
PAIRS = 3487


def pairs():
    scores = {s: sum(coverage.score(s, False).values(), collections.Counter())
              for s in FLOORS}
    total = sum(scores.values(), collections.Counter())
    other = sum(total.values()) != PAIRS
    if other:
        print("# another corpus: reported, without floors")
    for source, n in scores.items():
        share = (n["found"] - n["wrong"]) / sum(n.values())
        yield (other or (share >= FLOORS[source] and n["wrong"] == 0),
               f"{source}: {n['found']} of {sum(n.values())} pairs found "
               f"({share:.1%}), {n['wrong']} wrong")
    share = (total["found"] - total["wrong"]) / sum(total.values())
    yield other or share >= LEAST, f"all sources: {share:.1%} found"


def raw_logs():
    logs = [coverage.read_log(path) for _, path in coverage.raw_logs()]
    n = coverage.parse(b"".join(logs))
    share = n["pipeline_error"] / sum(n.values())
    yield share < MOST_UNPARSED, (
        f"raw logs: {n['pipeline_error']} of {sum(n.values())} lines left "
        f"unparsed ({share:.1%})")


def main():
    if not os.path.isdir(coverage.CASES):
        print("1..0 # SKIP no corpus")
        return 0
    failed = number = 0
    for check in (pairs, raw_logs):
        for good, about in check():
            number += 1
            failed += not good
            print("%sok %d - %s" % ("" if good else "not ", number, about))
    print("1..%d" % number)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
