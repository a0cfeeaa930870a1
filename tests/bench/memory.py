#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an idle agent costs, beside other log shippers in one run.

  tests/bench/memory.py [--maps]     (needs `make` before; by root: three
                                      processes, as they are installed)

Prints one table: PSS (each page of several processes counted once, shared
libraries by the number of those that use them) and RSS, summed over the
processes of each program, and the CPU seconds of ten idle ones.  All inputs of
the agent are on; the others tail one file over TLS.  --maps says where the
agent's PSS is, by mapping.
"""

import collections
import os
import pathlib
import re
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import SRC, Process, World, free_port, wait_for  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
SETTLE = 5
IDLE = 10

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


def family(pid):
    """The process and its children."""
    out = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            out += family(int(child))
    return out


def rollup(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {k: int(v) for k, v in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}


def peak(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024


def cpu(pids):
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text()
        fields = fields.rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def row(name, pid):
    time.sleep(SETTLE)
    pids = family(pid)
    before = cpu(pids)
    time.sleep(IDLE)
    sums = collections.Counter()
    for p in pids:
        sums.update(rollup(p))
    print(f"{name:36} {len(pids):9} {sums['Pss'] / 1024:8.1f} "
          f"{sums['Rss'] / 1024:8.1f} "
          f"{(sums['Private_Dirty'] + sums['Private_Clean']) / 1024:8.1f} "
          f"{cpu(pids) - before:8.2f}", flush=True)
    return pids


def maps(pids):
    """PSS by mapping, the largest first."""
    sums = collections.Counter()
    for pid in pids:
        name = ""
        for line in open(f"/proc/{pid}/smaps", encoding="utf-8"):
            if re.match(r"^[0-9a-f]+-", line):
                fields = line.split(None, 5)
                path = fields[5].strip() if len(fields) > 5 else "anonymous"
                kind = "code" if "x" in fields[1] else (
                    "data" if "w" in fields[1] else "constants")
                name = f"{os.path.basename(path)} {kind}"
            elif line.startswith("Pss:"):
                sums[name] += int(line.split()[1])
    for name, kb in sums.most_common(25):
        print(f"  {kb:6} KB  {name}")


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
        pids = row("kuzet-agent, all inputs", agent.pid)
        if show_maps:
            maps(pids)
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


def peer(name, text, argv):
    if shutil.which(argv[0]) is None:
        print(f"{name:36} not installed")
        return
    with World() as w:
        (w.dir / "a.log").write_text("one\n")
        values = {"dir": w.dir, "pki": w.pki, "port": free_port()}
        conf = w.dir / "peer.conf"
        conf.write_text(text.format(**values))
        p = Process([a.format(conf=conf, **values) for a in argv],
                    w.dir / "peer.txt")
        w.processes.append(p)
        time.sleep(1)
        if not p.alive():
            print(f"{name:36} does not start: {p.text().strip()[-200:]}")
            return
        row(name, p.pid)


def main():
    print(f"{'':36} {'processes':>9} {'PSS MB':>8} {'RSS MB':>8} "
          f"{'own MB':>8} {'CPU s':>8}")
    kuzet("--maps" in sys.argv)
    peer("rsyslogd, one file", RSYSLOG,
         ["rsyslogd", "-n", "-f", "{conf}", "-i", "{dir}/pid"])
    peer("syslog-ng, one file", SYSLOG_NG,
         ["syslog-ng", "-F", "--no-caps", "-f", "{conf}", "-R",
          "{dir}/persist", "-c", "{dir}/ctl", "-p", "{dir}/pid"])
    peer("fluent-bit, one file", "", [
        "fluent-bit", "-i", "tail", "-p", "path={dir}/a.log", "-o",
        "forward", "-p", "port={port}", "-p", "tls=on"])


if __name__ == "__main__":
    main()
