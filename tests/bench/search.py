#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What search takes, beside SQLite FTS5 and zgrep over the same log lines.

usage: search.py BUILD LOG... -- N...

Parses the logs, lets bench_search fill a store with N events made of them (a
curve where several are given), and asks the peers for the same words in as many
lines.  Prints JSON, one object a line; processor seconds are the figure to
compare on a busy machine.  BUILD is an optimised build with bench_search.
"""

import gzip
import json
import pathlib
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time

WORDS = {"substring": "ozilla/4", "token": "mozilla"}


def parse(build, logs, out):
    """The logs' events as bench_search reads them; their lines."""
    lines = []
    with open(out, "w", encoding="utf-8") as f:
        for log in logs:
            r = subprocess.run(
                [build / "kuzetctl", "parse", "--flat", "--json", log],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                check=False)
            for line in r.stdout.splitlines():
                f.write(line + "\n")
                lines.append(json.loads(line).get("event.original", ""))
    assert lines, "no event in these logs"
    return lines


def clock():
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic(), (time.process_time() + children.ru_utime +
                              children.ru_stime)


def report(peer, what, n, began, found):
    wall, cpu = (now - then for now, then in zip(clock(), began))
    print(json.dumps({"peer": peer, "what": what, "lines": n,
                      "wall_ms": round(wall * 1e3, 2),
                      "cpu_ms": round(cpu * 1e3, 2), "found": found}),
          flush=True)


def numbered(lines, n):
    return (f"{lines[i % len(lines)]} {i}" for i in range(n))


def fts5(folder, lines, n):
    db = sqlite3.connect(folder / "fts5.db")
    db.executescript("PRAGMA journal_mode=WAL; CREATE VIRTUAL TABLE log"
                     " USING fts5(line);")
    began = clock()
    with db:
        db.executemany("INSERT INTO log VALUES(?)",
                       ((line,) for line in numbered(lines, n)))
    report("SQLite FTS5", "append", n, began, n)
    for what, text in (("rare token", str(n - 1)), ("token", WORDS["token"])):
        began = clock()
        found = db.execute("SELECT count(*) FROM log WHERE log MATCH ?",
                           (f'"{text}"',)).fetchone()[0]
        report("SQLite FTS5", what, n, began, found)
    began = clock()
    found = db.execute("SELECT count(*) FROM log WHERE line LIKE ?",
                       (f"%{WORDS['substring']}%",)).fetchone()[0]
    report("SQLite FTS5", "substring", n, began, found)
    db.close()


def zgrep(folder, lines, n):
    path = folder / "log.gz"
    with gzip.open(path, "wt", compresslevel=6, encoding="utf-8") as f:
        f.writelines(line + "\n" for line in numbered(lines, n))
    for what, text in (("rare token", f" {n - 1}$"),
                       ("substring", WORDS["substring"])):
        began = clock()
        r = subprocess.run(["zgrep", "-c", "-i", text, path],
                           stdout=subprocess.PIPE, text=True, check=False)
        report("zgrep", what, n, began, int(r.stdout))


def main(argv):
    if "--" not in argv or len(argv) < 4:
        sys.exit(__doc__)
    cut = argv.index("--")
    build, logs = pathlib.Path(argv[1]), argv[2:cut]
    sizes = [int(n) for n in argv[cut + 1:]]
    with tempfile.TemporaryDirectory(prefix="kuzet-bench-") as d:
        folder = pathlib.Path(d)
        lines = parse(build, logs, folder / "events.jsonl")
        subprocess.run([build / "tests/bench/bench_search", folder / "store",
                        folder / "events.jsonl", *map(str, sizes)], check=True)
        for n in sizes:
            with tempfile.TemporaryDirectory(dir=folder) as peer:
                fts5(pathlib.Path(peer), lines, n)
                zgrep(pathlib.Path(peer), lines, n)


if __name__ == "__main__":
    main(sys.argv)
