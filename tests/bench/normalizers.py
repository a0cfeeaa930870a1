#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a line costs in the normalizers, with few and with many formats.

First table: the same lines with 10, 50 and 150 formats.  The 10 are those that
the lines are of; the others are shipped ones, then made ones where there are
not enough.  What one more format costs a line that is not its own is the
difference between the rows.

Second table: text to JSON, beside liblognorm's lognormalizer (Debian:
liblognorm-utils) in the same run, where it is installed; and lines of real logs
where there is a corpus.  All figures are CPU time of one thread.
"""
import os
import pathlib
import random
import resource
import shutil
import subprocess
import tempfile

from bench import BUILD, SRC, Parser

SHARED = pathlib.Path(os.environ.get("KUZET_SHARED") or SRC / ".." / "shared")
LINES = 100000
REPEATS = 5
OWN = ["sshd", "pam", "sudo", "su", "cron", "iptables", "nginx_access",
       "apache_access", "accounts", "syslog"]
USERS = ["root", "admin", "oracle", "test", "postgres", "ubuntu", "deploy"]
RULES = """version=2
rule=:%t:date-rfc3164% %h:word% sshd[%p:number%]: Failed password for \
invalid user %u:word% from %ip:ipv4% port %port:number% ssh2
rule=:%t:date-rfc3164% %h:word% sshd[%p:number%]: pam_unix(sshd:session): \
session opened for user %u:word% by (uid=%id:number%)
rule=:%t:date-rfc3164% %h:word% CRON[%p:number%]: (%u:char-to:)%) CMD \
(%command:rest%
rule=:%t:date-rfc3164% %h:word% kernel: %message:rest%
rule=:%ip:ipv4% - - [%t:char-to:]%] "%m:word% %url:word% %v:char-to:"%" \
%status:number% %bytes:number% "%ref:char-to:"%" "%agent:char-to:"%"
"""


def make_log(path):
    """sshd, PAM, cron, kernel and web lines; each kind has its rule above."""
    pick = random.Random(1)
    with open(path, "w", encoding="utf-8") as f:
        for i in range(LINES):
            at = f"Nov 22 {i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}"
            user, pid = pick.choice(USERS), 1000 + i % 30000
            ip = f"198.51.100.{i % 250}"
            kind = i % 5
            if kind == 0:
                f.write(f"{at} web-1 sshd[{pid}]: Failed password for invalid "
                        f"user {user} from {ip} port {1024 + i % 60000} ssh2\n")
            elif kind == 1:
                f.write(f"{at} web-1 sshd[{pid}]: pam_unix(sshd:session): "
                        f"session opened for user {user} by (uid=0)\n")
            elif kind == 2:
                f.write(f"{at} web-1 CRON[{pid}]: ({user}) CMD (run-parts "
                        f"--report /etc/cron.hourly/{i % 100})\n")
            elif kind == 3:
                f.write(f"{at} web-1 kernel: [{i}.5] eth0: link is up\n")
            else:
                f.write(f'{ip} - - [22/Nov/2026:{at[7:]} +0000] "GET /a/{i} '
                        f'HTTP/1.1" 200 {i % 5000} "-" "Mozilla/5.0"\n')


def real_log(path):
    """Lines of the corpus, mixed; how many, 0 without one."""
    lines = []
    for file in sorted((SHARED / "corpora" / "logs").rglob("*.log")):
        with open(file, encoding="utf-8", errors="replace") as f:
            lines += [line for line in f if 1 < len(line) < 4096][:2000]
    random.Random(1).shuffle(lines)
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(line.rstrip("\r\n") + "\n" for line in lines)
    return len(lines)


def made_format(n):
    return (f"dataset: made{n}.log\nmatch:\n  programs: [made{n}d]\n"
            f"  contains: ['made{n}: session ', ' made{n}.core ']\n"
            f"  message: ['MADE-{n}-']\n"
            "fields: {user: user.name, ip: source.ip, what: event.action}\n"
            "patterns:\n"
            + "".join(f"  - pattern: '{word} of (?<user>\\S+) from "
                      f"(?<ip>[\\d.]+): (?<what>.*)'\n"
                      for word in ("Login", "Logout", "Session", "Error")))


def folder(root, count):
    """A data folder with `count` formats."""
    shipped = sorted(p.stem for p in
                     (SRC / "rules" / "normalizers").glob("*.yml"))
    names = OWN + [n for n in shipped if n not in OWN]
    target = root / str(count) / "normalizers"
    target.mkdir(parents=True)
    for name in names[:count]:
        shutil.copy(SRC / "rules" / "normalizers" / f"{name}.yml", target)
    for n in range(len(names), count):
        (target / f"made{n}.yml").write_text(made_format(n), encoding="utf-8")
    return target.parent


def bench(data, log):
    """(lines a second, % known, formats, seconds of loading, lines a second
    with the events' JSON); the best."""
    runs = []
    for _ in range(3):
        out = subprocess.run(
            [BUILD / "tests" / "bench" / "bench_normalizer", log],
            env={**os.environ, "KUZET_DATADIR": str(data)}, check=True,
            stdout=subprocess.PIPE, text=True).stdout.split(": ", 1)[1].split()
        runs.append((float(out[0]), out[2].rstrip("%"), out[4], out[8],
                     float(out[10])))
    return max(runs)


def cpu_of(command, log, data=None):
    """Lines a second of CPU time, output thrown away; the best of some."""
    best = 0
    env = {**os.environ, "KUZET_DATADIR": str(data)} if data else None
    lines = sum(1 for _ in open(log, "rb"))
    for _ in range(REPEATS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with open(log, "rb") as f:
            subprocess.run(command, stdin=f, stdout=subprocess.DEVNULL,
                           env=env, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = (after.ru_utime + after.ru_stime -
                before.ru_utime - before.ru_stime)
        best = max(best, lines / used)
    return best


def main():
    Parser(__doc__, "kuzetctl", "tests/bench/bench_normalizer").parse()
    with tempfile.TemporaryDirectory(prefix="kuzet-normalizers-") as name:
        root = pathlib.Path(name)
        log, real, rules = root / "own.log", root / "real.log", root / "rules"
        make_log(log)
        rules.write_text(RULES, encoding="utf-8")
        print(f"{'formats':>8} {'load, CPU s':>12} {'lines/s':>10} "
              f"{'ns a line':>10} {'known':>7}")
        for count in (10, 50, 150):
            rate, known, n, load, _ = bench(folder(root, count), log)
            print(f"{n:>8} {load:>12} {rate:>10.0f} {1e9 / rate:>10.0f} "
                  f"{known:>6}%")
        data = SRC / "rules"
        print()
        print(f"{LINES} lines, all shipped formats")
        rate, _, _, _, written = bench(data, log)
        print(f"  line to event         {rate:>10.0f} lines/s")
        print(f"  … and its JSON        {written:>10.0f} lines/s")
        rate = cpu_of([BUILD / "kuzetctl", "parse", "--flat", "-"], log, data)
        print(f"  kuzetctl parse        {rate:>10.0f} lines/s, loading too")
        if shutil.which("lognormalizer"):
            rate = cpu_of(["lognormalizer", "-r", rules, "-e", "json"], log)
            print(f"  lognormalizer         {rate:>10.0f} lines/s, 5 rules")
        else:
            print("  lognormalizer         not installed (liblognorm-utils)")
        if real_log(real) > 0:
            rate, known, _, _, written = bench(data, real)
            print(f"  real logs, mixed      {rate:>10.0f} lines/s, "
                  f"{known}% known")
            print(f"  … and its JSON        {written:>10.0f} lines/s")


if __name__ == "__main__":
    main()
