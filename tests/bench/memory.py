#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an idle agent costs, beside other log shippers in one run.

Prints one table.  "MB once" is the figure to compare: each page of a program's
processes counted once, as if nothing else on the machine used the same
libraries; what it is most of the time, and "at most", of a look a second.  PSS
shares those pages with whoever else runs; RSS counts a page in each process;
"own" is what no other process has.  Then the CPU seconds of 35 idle ones, in
which is a sign of life.  All inputs of the agent are on; the others tail one
file, of which a line has come over TLS before.

Root sees pages, and starts the agent as three processes, as it is installed.
"""

import array
import collections
import contextlib
import os
import pathlib
import re
import shutil
import socket
import ssl
import sys
import threading
import time

from bench import SRC, Parser, cpu, family
from harness import Process, World, wait_for

PAGE = os.sysconf("SC_PAGE_SIZE")
# Documentation/admin-guide/mm/pagemap.rst
PRESENT, SWAPPED, FRAME = 1 << 63, 1 << 62, (1 << 55) - 1
ZERO_PAGE = 1 << 24
SETTLE = 35  # the start, and what comes of it, is over
IDLE = 35  # the agent's heartbeat is every 30

POLICY = SRC / "rules/policies/debian-server.yml"
INPUTS = """\
  - {{type: file, paths: ['{d}/logs/*.log']}}
  - {{type: journal, directory: '{d}/journal'}}
  - {{type: audit, paths: ['{d}/logs/audit/audit.log']}}
  - {{type: fim, paths: ['{d}/tree'], realtime: true}}
  - {{type: inventory}}
  - {{type: policy, paths: ['{policy}']}}
  - {{type: probe, check: tcp, targets: ['127.0.0.1:{port}'], interval: 5s}}
"""


def mappings(pid):
    """(from, to, kind) of each that the process can do without: what the
    kernel puts into every one is not its own."""
    for line in open(f"/proc/{pid}/maps", encoding="utf-8"):
        fields = line.split(None, 5)
        path = fields[5].strip() if len(fields) > 5 else "anonymous"
        if path in ("[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]"):
            continue
        kind = "code" if "x" in fields[1] else (
            "data" if "w" in fields[1] else "constants")
        start, end = (int(x, 16) for x in fields[0].split("-"))
        yield start, end, f"{os.path.basename(path)} {kind}"


def pages(pids):
    """{page: (what it is, the processes that have it)}, each page once."""
    out = {}
    for pid in pids:
        with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as table:
            for start, end, kind in mappings(pid):
                table.seek(start // PAGE * 8)
                entries = array.array(
                    "Q", table.read((end - start) // PAGE * 8))
                for at, entry in enumerate(entries):
                    if entry & SWAPPED:
                        out[pid, start // PAGE + at] = kind, {pid}
                    elif entry & PRESENT:
                        out.setdefault(entry & FRAME, (kind, set()))[1].add(pid)
    with open("/proc/kpageflags", "rb", buffering=0) as flags:
        for frame in [f for f in out if isinstance(f, int)]:
            # what was read and never written: the machine has one page for it
            word = os.pread(flags.fileno(), 8, frame * 8)
            if int.from_bytes(word, sys.byteorder) & ZERO_PAGE:
                del out[frame]
    return out


def rollup(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {k: int(v) for k, v in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}


def row(name, pid, show_maps=False):
    time.sleep(SETTLE)
    pids = family(pid)
    before = cpu(pids)
    looks = []
    for _ in range(IDLE):
        time.sleep(1)
        looks.append(pages(pids) if os.geteuid() == 0 else {})
    looks.sort(key=len)
    once = [f"{len(x) * PAGE / 2 ** 20:8.1f}" if x else f"{'root':>8}"
            for x in (looks[IDLE // 2], looks[-1])]
    sums = collections.Counter()
    for p in pids:
        sums.update(rollup(p))
    own = sums["Private_Dirty"] + sums["Private_Clean"]
    print(f"{name:28} {len(pids):9} {' '.join(once)} {sums['Pss'] / 1024:8.1f} "
          f"{sums['Rss'] / 1024:8.1f} {own / 1024:8.1f} "
          f"{cpu(pids) - before:8.2f}", flush=True)
    if show_maps:
        maps(looks[-1], pids)


def maps(found, pids):
    """KB by mapping, the largest first: in all, and of which process alone."""
    total = collections.Counter()
    alone = collections.Counter()
    for kind, those in found.values():
        total[kind] += PAGE // 1024
        if len(those) == 1:
            alone[kind, *those] += PAGE // 1024
    names = [pathlib.Path(f"/proc/{p}/comm").read_text().strip() for p in pids]
    print(f"  {'KB once':>8}  of it only in: {', '.join(names)}")
    for kind, kb in total.most_common(30):
        print(f"  {kb:8}  {kind:40}" +
              "".join(f"{alone[kind, p]:8}" for p in pids))
    print(f"  {sum(total.values()):8}  {'all':40}" + "".join(
        f"{sum(n for (_, q), n in alone.items() if p == q):8}" for p in pids))


def kuzet(show_maps):
    with World() as w:
        (w.dir / "tree").mkdir()
        (w.dir / "journal").mkdir()
        (w.dir / "logs" / "audit").mkdir(parents=True)
        (w.dir / "logs" / "audit" / "audit.log").touch()
        for i in range(1000):
            (w.dir / "tree" / f"f{i}").write_text(f"{i}\n")
        w.write_lines(0, 1000)
        w.start_collector()
        extra = ""
        if os.geteuid() == 0:
            extra = "user: nobody\n"
            (w.dir / "web-1-state").mkdir(mode=0o700)
            shutil.chown(w.dir / "web-1-state", "nobody")
            for name in ("logs", "journal", "tree"):
                (w.dir / name).chmod(0o755)
        inputs = INPUTS.format(d=w.dir, port=w.port, policy=POLICY)
        agent = w.start_agent(inputs=inputs, extra=extra)
        wait_for("the lines", lambda: w.stored() > 1000 or not agent.alive())
        assert agent.alive(), agent.text()
        row("kuzet-agent, all inputs", agent.pid, show_maps)
        agent.stop()
        agent = w.start_agent(extra=extra)
        row("kuzet-agent, one file", agent.pid)


RSYSLOG = """
global(workDirectory="{dir}" defaultNetstreamDriverCAFile="{pki}/ca.pem"
  defaultNetstreamDriverCertFile="{pki}/web-1.pem"
  defaultNetstreamDriverKeyFile="{pki}/web-1.key")
module(load="imfile")
input(type="imfile" file="{dir}/a.log" tag="a:")
action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp"
  streamDriver="ossl" streamDriverMode="1" streamDriverAuthMode="anon")
"""
SYSLOG_NG = """
@version: 3.38
source s {{ file("{dir}/a.log" flags(no-parse)); }};
destination d {{ network("127.0.0.1" port({port}) transport("tls")
  tls(ca-file("{pki}/ca.pem") cert-file("{pki}/web-1.pem")
    key-file("{pki}/web-1.key"))); }};
log {{ source(s); destination(d); }};
"""


class Sink:
    """Who takes what a peer sends, over TLS."""

    def __init__(self, pki):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "collector.pem", pki / "collector.key")
        self.socket = context.wrap_socket(
            socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port = self.socket.getsockname()[1]
        self.taken = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            with contextlib.suppress(OSError):
                connection = self.socket.accept()[0]
                while some := connection.recv(65536):
                    self.taken += len(some)


def peer(name, text, argv):
    if shutil.which(argv[0]) is None:
        print(f"{name:28} not installed")
        return
    with World() as w:
        (w.dir / "a.log").write_text("one\n")
        sink = Sink(w.pki)
        values = {"dir": w.dir, "pki": w.pki, "port": sink.port}
        conf = w.dir / "peer.conf"
        conf.write_text(text.format(**values))
        p = Process([a.format(conf=conf, **values) for a in argv],
                    w.dir / "peer.txt")
        w.processes.append(p)
        try:
            wait_for("a line", lambda: sink.taken > 0 or not p.alive(), 20)
            assert p.alive(), "it ended"
        except AssertionError as why:
            print(f"{name:28} {why}: {p.text().strip()[-200:]}")
            return
        row(name, p.pid)


def main():
    p = Parser(__doc__, "kuzet-agent", "kuzet-collector", "kuzetctl")
    p.add_argument("--maps", action="store_true",
                   help="where the agent's pages are when it has most")
    args = p.parse()
    print(f"{'':28} {'processes':>9} {'MB once':>8} {'at most':>8} "
          f"{'PSS MB':>8} {'RSS MB':>8} {'own MB':>8} {'CPU s':>8}")
    kuzet(args.maps)
    peer("rsyslogd, one file", RSYSLOG,
         ["rsyslogd", "-n", "-f", "{conf}", "-i", "{dir}/pid"])
    peer("syslog-ng, one file", SYSLOG_NG,
         ["syslog-ng", "-F", "--no-caps", "-f", "{conf}", "-R",
          "{dir}/persist", "-c", "{dir}/ctl", "-p", "{dir}/pid"])
    peer("fluent-bit, one file", "", [
        "fluent-bit", "-i", "tail", "-p", "path={dir}/a.log", "-o",
        "forward", "-p", "port={port}", "-p", "tls=on", "-p",
        "tls.verify=off"])


if __name__ == "__main__":
    main()
