#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What search takes on millions of events, beside SQLite FTS5 and zgrep.

Parses real logs (those of ../shared or KUZET_SHARED, or the LOGs), and lets
bench_search fill a store with their lines, repeated with shifted times and other
digits: one million, five, twenty.  At each size it asks everything; last it
appends alone and beside a query.  Then the peers get the first --peers of the
same lines (one million; 0: none) and are asked what they can answer.  One table:
processor seconds are the figure to compare on a busy machine.  --store keeps the
store, a folder (twenty million events are 1.4 GB), for another run that goes on
from there.
"""

import json
import os
import pathlib
import resource
import sqlite3
import subprocess
import sys
import tempfile

from bench import BUILD, SRC, Parser

LOGS = ("elastic-examples/web_apache/apache_access_combined.log",
        "opensearch-catalog/web_nginx/nginx_access.log",
        "netdata-god/proxy/squid_access.log",
        "beats-filebeat/sshd_auth/system_auth_auth-ubuntu1204.log",
        "grok-exporter/mail/exim_rejected_rcpt.log",
        "lnav/web_other/logfile_shop_access_log.0")
MILLION = 1000000


def cpu_seconds():
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (own.ru_utime + own.ru_stime + children.ru_utime +
            children.ru_stime)


class Table:
    """CPU milliseconds by query and column; notes below."""

    def __init__(self):
        self.columns, self.cells, self.rows = [], {}, []

    def add(self, row, column, cpu_ms, events, found):
        if row not in self.rows:
            self.rows.append(row)
        if column not in self.columns:
            self.columns.append(column)
        self.cells[row, column] = (cpu_ms, events, found)

    def write(self, as_json):
        if as_json:
            for (row, column), (cpu, n, found) in self.cells.items():
                print(json.dumps({"what": row, "by": column, "events": n,
                                  "cpu_ms": round(cpu, 2), "found": found}))
            return
        print("CPU milliseconds (million events a CPU second)")
        wide = max(map(len, self.rows))
        print(" " * wide + "".join(f"{c:>19}" for c in self.columns))
        for row in self.rows:
            line = row.ljust(wide)
            for column in self.columns:
                cell = self.cells.get((row, column))
                line += f"{'-':>19}" if cell is None else (
                    f"{cell[0]:10.1f} ({cell[1] / cell[0] / 1e3:6.1f})")
            print(line)


def measure(table, row, column, events, ask):
    """The best of three."""
    best = None
    for _ in range(3):
        began = cpu_seconds()
        found = ask()
        took = (cpu_seconds() - began) * 1e3
        best = took if best is None else min(best, took)
    table.add(row, column, max(best, 0.01), events, found)


def parse(logs, out):
    with open(out, "wb") as f:
        for log in logs:
            subprocess.run(
                [BUILD / "kuzetctl", "parse", "--flat", "--json", log],
                stdout=f, stderr=subprocess.DEVNULL, check=False,
                env=dict(os.environ, KUZET_DATADIR=str(SRC / "rules")))
    if out.stat().st_size == 0:
        sys.exit("no event in these logs")


def ours(table, store, events, sizes):
    """bench_search's lines; what it says of appending goes below the table."""
    notes = []
    with subprocess.Popen([BUILD / "tests/bench/bench_search", store, events,
                           *map(str, sizes)], stdout=subprocess.PIPE,
                          text=True) as p:
        for line in p.stdout:
            said = json.loads(line)
            if "query" in said:
                table.add(said["query"], f"kuzet {said['events'] / 1e6:.0f} M",
                          said["cpu_ms"], said["events"], said["found"])
            else:
                notes.append(f"append {said['append']}: "
                             f"{said['events_per_cpu_second'] / 1e3:.0f} k "
                             f"events a CPU second")
            print("#", line.strip(), file=sys.stderr)
    if p.returncode != 0:
        sys.exit(p.returncode)
    return notes


def split(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            yield line.rstrip("\n").split("\t", 3)


def fts5(table, folder, path, n):
    column = f"FTS5 {n / 1e6:.1f} M"
    db = sqlite3.connect(folder / "fts5.db")
    db.executescript(
        "PRAGMA journal_mode=WAL; CREATE TABLE event(time INTEGER, host TEXT,"
        " dataset TEXT); CREATE VIRTUAL TABLE line USING fts5(text);")
    began = cpu_seconds()
    with db:
        for time, host, dataset, text in split(path):
            at = db.execute("INSERT INTO event VALUES(?, ?, ?)",
                            (int(time), host, dataset)).lastrowid
            db.execute("INSERT INTO line(rowid, text) VALUES(?, ?)", (at, text))
        db.execute("CREATE INDEX by_host ON event(host, time)")
    table.add("append", column, (cpu_seconds() - began) * 1e3, n, n)

    def count(sql, *args):
        return lambda: db.execute(sql, args).fetchone()[0]
    like = "SELECT count(*) FROM line WHERE text LIKE ?"
    asked = {
        "rare token": count(
            "SELECT count(*) FROM line WHERE line MATCH 'needle0'"),
        "token that is nowhere": count(
            "SELECT count(*) FROM line WHERE line MATCH 'nowheretobefound'"),
        "substring": count(like, "%ozilla/4%"),
        "substring in few events": count(like, "%wp-logi%"),
        "count by dataset": lambda: len(db.execute(
            "SELECT dataset, count(*) FROM event GROUP BY dataset").fetchall()),
        "count by host": lambda: len(db.execute(
            "SELECT host, count(*) FROM event GROUP BY host").fetchall()),
        "last 100 of a host": lambda: len(db.execute(
            "SELECT text FROM event JOIN line ON line.rowid = event.rowid WHERE"
            " host = 'host-7' ORDER BY time DESC LIMIT 100").fetchall()),
    }
    for what, ask in asked.items():
        measure(table, what, column, n, ask)
    db.close()
    size = (folder / "fts5.db").stat().st_size
    return f"FTS5 takes {size / n:.0f} bytes an event"


def zgrep(table, folder, path, n):
    column = f"zgrep {n / 1e6:.1f} M"
    packed = folder / "log.gz"
    began = cpu_seconds()
    with open(packed, "wb") as out:
        subprocess.run(["gzip", "-c", path], stdout=out, check=True)
    table.add("append", column, (cpu_seconds() - began) * 1e3, n, n)

    def ask(*args):
        r = subprocess.run(["zgrep", "-c", *args, packed],
                           stdout=subprocess.PIPE, check=False)
        return int(r.stdout)
    asked = {
        "rare token": ("-w", "needle0"),
        "substring": ("-i", "ozilla/4"),
        "substring in few events": ("-i", "wp-logi"),
        "regular expression": ("-E", "HTTP.1.[01]. 4[0-9][0-9] "),
        "regular expression without a literal": (
            "-E", "[0-9]{3}[[:space:]][0-9]{5}[[:space:]]"),
    }
    for what, args in asked.items():
        measure(table, what, column, n, lambda args=args: ask(*args))
    return f"gzip takes {packed.stat().st_size / n:.0f} bytes an event"


def arguments():
    shared = pathlib.Path(os.environ.get("KUZET_SHARED", SRC / "../shared"))
    p = Parser(__doc__, "kuzetctl", "tests/bench/bench_search")
    p.add_argument("logs", nargs="*", type=pathlib.Path,
                   default=[shared / "corpora/logs" / log for log in LOGS])
    p.add_argument("--events", default="1000000,5000000,20000000")
    p.add_argument("--peers", type=int, default=MILLION)
    p.add_argument("--store", type=pathlib.Path)
    p.add_argument("--json", action="store_true")
    return p.parse()


def main():
    args = arguments()
    for log in args.logs:
        if not log.exists():
            sys.exit(f"{log}: no such log: name logs, or set KUZET_SHARED")
    table, notes = Table(), []
    with tempfile.TemporaryDirectory(prefix="kuzet-bench-") as d:
        folder = pathlib.Path(d)
        events, lines = folder / "events.jsonl", folder / "lines.tsv"
        store = args.store or folder / "store"
        parse(args.logs, events)
        sizes = sorted(map(int, filter(None, args.events.split(","))))
        if sizes:
            notes += ours(table, store, events, sizes)
            stored = sum(f.stat().st_size for f in store.glob("*.db"))
            notes.append(f"the store takes {stored / 1e6:.0f} MB")
        if args.peers > 0:
            subprocess.run([BUILD / "tests/bench/bench_search", "-l", lines,
                            events, str(args.peers)], check=True)
            notes.append(fts5(table, folder, lines, args.peers))
            notes.append(zgrep(table, folder, lines, args.peers))
    table.write(args.json)
    for note in notes:
        print(note, file=sys.stderr if args.json else sys.stdout)


if __name__ == "__main__":
    main()
