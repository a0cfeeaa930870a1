#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""File integrity, beside AIDE, `openssl dgst` and `find` in one run.

Prints one table: wall clock, CPU seconds and peak memory of the baseline and of
both kinds of check, what the peers need for the same files, and how long a
change takes to the receiver while the agent runs.
"""

import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile
import time

from bench import BUILD, Parser, cpu, family, peak
import agent_ship
from harness import World, wait_for

SIZE = 20480
AIDE = "All=p+i+n+u+g+s+m+c+acl+xattrs+sha256"


def make_tree(top, files):
    blob = random.Random(1).randbytes(1 << 20)
    for i in range(0, files, 100):
        folder = top / f"d{i // 100 % 50}" / f"e{i // 100}"
        folder.mkdir(parents=True)
        for k in range(100):
            at = (i * 131 + k * 7919) % (len(blob) - SIZE)
            (folder / f"f{k}").write_bytes(blob[at:at + SIZE])


def measure(name, *argv, good=(0,)):
    # by time(1): what a child of this script has as its peak is this script's
    r = subprocess.run(["/usr/bin/time", "-f", "%e %U %S %M", *argv],
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                       text=True, check=False)
    wall, user, system, peak = map(
        float, r.stderr.strip().splitlines()[-1].split())
    note = "" if r.returncode in good else f"  exit {r.returncode}"
    print(f"{name:32} {wall:8.2f} {user + system:8.2f} {peak / 1024:8.1f}"
          f"{note}", flush=True)


def aide(work, tree):
    conf = work / "aide.conf"
    conf.write_text(f"database_in=file:{work}/aide.db\n"
                    f"database_out=file:{work}/aide.db.new\n"
                    f"{AIDE}\n{tree} All\n")
    measure("AIDE --init", "aide", "-c", str(conf), "--init")
    os.replace(work / "aide.db.new", work / "aide.db")
    measure("AIDE --check", "aide", "-c", str(conf), "--check",
            good=(0, 1, 2, 3, 4, 5, 6, 7))


def latency(tree):
    world = agent_ship.World()
    arrived = {}

    def take(events):
        for text in events:
            e = json.loads(text)
            if "file" in e:
                arrived.setdefault(e["file"]["name"], time.monotonic())
            if e.get("event", {}).get("action") == "fim-baseline":
                arrived["baseline"] = time.monotonic()

    world.receiver.take = take
    world.configure(inputs=f"  - {{type: fim, paths: ['{tree}'], rate: 0}}\n")
    world.start()
    spans = []
    try:
        wait_for("the baseline", lambda: "baseline" in arrived)
        for i in range(50):
            path = tree / f"change{i}"
            began = time.monotonic()
            path.write_text("x")
            while path.name not in arrived:
                time.sleep(0.0005)
                assert time.monotonic() - began < 60
            spans.append(1000 * (arrived[path.name] - began))
            time.sleep(0.02)
    finally:
        world.end()
    spans.sort()
    print(f"change to receiver, ms: median {statistics.median(spans):.1f}, "
          f"90 % {spans[45]:.1f}, most {spans[-1]:.1f}")


def daemon(name, tree, extra):
    """The baseline as the agent takes it: in one process, or by its opener."""
    with World() as w:
        (w.dir / "web-1-state").mkdir(mode=0o700)
        if "user:" in extra:
            shutil.chown(w.dir / "web-1-state", "nobody")
        began = time.monotonic()
        agent = w.start_agent(extra=extra, inputs="  - {type: fim, rate: 0, "
                              f"paths: ['{tree}'], realtime: false}}\n")
        wait_for("the baseline", lambda: "baseline taken" in agent.text())
        wall = time.monotonic() - began
        pids = family(agent.pid)
        print(f"{name:32} {wall:8.2f} {cpu(pids):8.2f} "
              f"{sum(peak(p) for p in pids):8.1f}", flush=True)
        agent.kill()


def main():
    p = Parser(__doc__, "kuzet-agent")
    p.add_argument("files", nargs="?", type=int, default=100000,
                   help="of 20 KB each (default 100,000)")
    files = p.parse().files
    work = pathlib.Path(tempfile.mkdtemp(prefix="kuzet-bench-fim-"))
    tree = work / "tree"
    make_tree(tree, files)
    conf = work / "agent.yaml"
    conf.write_text("state_dir: state\ninputs:\n"
                    f"  - {{type: fim, paths: ['{tree}'], rate: 0}}\n")
    agent = [str(BUILD / "kuzet-agent"), "fim"]
    print(f"{files} files, {files * SIZE / 1e9:.1f} GB, warm\n"
          f"{'':32} {'wall s':>8} {'CPU s':>8} {'peak MB':>8}")
    try:
        for _ in range(2):
            measure("kuzet-agent fim baseline", *agent, "baseline", "-c",
                    str(conf))
        measure("kuzet-agent fim check", *agent, "check", "-c", str(conf))
        measure("kuzet-agent fim check --full", *agent, "check", "-c",
                str(conf), "--full")
        daemon("baseline by kuzet-agent alone", tree, "")
        if os.geteuid() == 0:
            work.chmod(0o755)
            daemon("baseline, opener and worker", tree, "user: nobody")
        measure("openssl dgst, 2 at a time", "sh", "-c",
                f"find {tree} -type f -print0 | "
                "xargs -0 -n 2000 -P 2 openssl dgst -sha256")
        measure("find -printf", "find", str(tree), "-printf", "%s %T@ %p\n")
        if shutil.which("aide"):
            aide(work, tree)
        else:
            print("AIDE is not installed")
        latency(tree)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
