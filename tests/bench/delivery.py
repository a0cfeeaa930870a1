#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""File to durable store over TLS, beside rsyslog doing the same in one run.

Prints one table: lines per second by the wall clock, CPU seconds and peak
memory of sender and receiver.  rsyslog (with rsyslog-relp, rsyslog-openssl) is
measured where it is installed.

--faults kills: the receiver at 30 % of the lines; the receiver after it was
frozen for a second; the sender.  Prints for each what was lost, what is in the
store twice, and how many lines came again and were dropped.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

from bench import Parser
from harness import Process, World, free_port, wait_for

TICK = os.sysconf("SC_CLK_TCK")
USERS = ["root", "admin", "oracle", "test", "postgres", "ubuntu", "deploy"]


def make_log(path, lines):
    """sshd, sudo, cron and web server lines, 110 to 130 bytes each."""
    with open(path, "w") as f:
        for i in range(lines):
            at = (f"Nov {1 + i // 864000:2} {i // 36000 % 24:02}:"
                  f"{i // 600 % 60:02}:{i // 10 % 60:02}")
            user = USERS[i % len(USERS)]
            ip = f"198.51.{i // 7 % 200}.{i % 250}"
            kind = i % 10
            if kind < 5:
                f.write(f"{at} web-1 sshd[{1000 + i % 30000}]: Failed password "
                        f"for invalid user {user} from {ip} port "
                        f"{1024 + i % 60000} ssh2\n")
            elif kind < 7:
                f.write(f"{at} web-1 sshd[{1000 + i % 30000}]: pam_unix(sshd:"
                        f"session): session opened for user {user} by (uid=0) "
                        f"number {i}\n")
            elif kind < 9:
                f.write(f"{at} web-1 CRON[{1000 + i % 30000}]: ({user}) CMD "
                        f"(test -x /usr/sbin/job && run-parts --report "
                        f"/etc/cron.hourly/{i % 100})\n")
            else:
                f.write(f"{at} web-1 kernel: [{i}.{i % 1000:03}] eth0: link "
                        f"becomes ready, flow control rx/tx number {i}\n")


class Usage:
    """CPU seconds and memory of a running process."""

    def __init__(self, pid):
        self.pid = pid
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text()
        fields = fields.rsplit(")", 1)[1].split()
        self.cpu = (int(fields[11]) + int(fields[12])) / TICK
        self.peak = self.rss = 0
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().split("\n"):
            if line.startswith("VmHWM"):
                self.peak = int(line.split()[1]) / 1024
            elif line.startswith("VmRSS"):
                self.rss = int(line.split()[1]) / 1024


def row(name, lines, seconds, sender, receiver):
    per_million = 1e6 / lines
    return (name, f"{lines / seconds:,.0f}", f"{sender.cpu * per_million:.2f}",
            f"{receiver.cpu * per_million:.2f}", f"{sender.peak:.1f}",
            f"{receiver.peak:.1f}")


def kuzet(lines):
    with World() as w:
        make_log(w.log("a.log"), lines)
        began = time.monotonic()
        collector = w.start_collector()
        ready = time.monotonic() - began
        agent = w.start_agent(paths=[w.dir / "none" / "*.log"])
        time.sleep(2)
        idle = Usage(agent.pid).rss
        agent.stop()
        began = time.monotonic()
        agent = w.start_agent()
        wait_for("every line", lambda: w.stored() >= lines, 600)
        seconds = time.monotonic() - began
        result = row("kuzet, ACKs, rules, durable store", lines, seconds,
                     Usage(agent.pid), Usage(collector.pid))
        wait_for("correlation", w.correlated, 600)
        behind = time.monotonic() - began - seconds
        s = w.status()
        note = (f"kuzet: start to ready {ready:.2f} s; agent idle {idle:.1f} "
                f"MB; {s['detections']} detections, {s['incidents']} "
                f"incidents, correlated {behind:.2f} s after the last ACK")
        return result, note


RECEIVER = """
global(workDirectory="{dir}" defaultNetstreamDriverCAFile="{pki}/ca.pem"
  defaultNetstreamDriverCertFile="{pki}/collector.pem"
  defaultNetstreamDriverKeyFile="{pki}/collector.key")
template(name="raw" type="string" string="%rawmsg%\\n")
{listen}
action(type="omfile" file="{dir}/received.log" template="raw")
"""
SENDER = """
global(workDirectory="{dir}/s" defaultNetstreamDriverCAFile="{pki}/ca.pem"
  defaultNetstreamDriverCertFile="{pki}/web-1.pem"
  defaultNetstreamDriverKeyFile="{pki}/web-1.key")
module(load="imfile")
{load}
input(type="imfile" file="{dir}/logs/a.log" tag="a:")
{send}
"""
PEERS = {
    "rsyslog RELP over TLS, ACKs": (
        'module(load="imrelp") input(type="imrelp" port="{port}" tls="on" '
        'tls.cacert="{pki}/ca.pem" tls.mycert="{pki}/collector.pem" '
        'tls.myprivkey="{pki}/collector.key" tls.authmode="name" '
        'tls.permittedpeer=["web-1"])',
        'module(load="omrelp")',
        'action(type="omrelp" target="127.0.0.1" port="{port}" tls="on" '
        'windowSize="1024" tls.cacert="{pki}/ca.pem" '
        'tls.mycert="{pki}/web-1.pem" tls.myprivkey="{pki}/web-1.key" '
        'tls.authmode="name" tls.permittedpeer=["collector"] '
        'action.resumeRetryCount="-1")'),
    "rsyslog TLS, no ACKs": (
        'module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" '
        'streamDriver.authMode="anon") '
        'input(type="imtcp" address="127.0.0.1" port="{port}")',
        "",
        'action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" '
        'streamDriver="ossl" streamDriverMode="1" '
        'streamDriverAuthMode="anon" action.resumeRetryCount="-1")'),
}


def count_lines(path):
    if not path.exists():
        return 0
    return int(subprocess.run(["wc", "-l", path], capture_output=True,
                              text=True, check=True).stdout.split()[0])


def rsyslog(name, lines):
    listen, load, send = PEERS[name]
    with World() as w:
        (w.dir / "s").mkdir()
        make_log(w.log("a.log"), lines)
        values = {"dir": w.dir, "pki": w.pki, "port": free_port()}
        values |= {"listen": listen.format(**values),
                   "load": load, "send": send.format(**values)}
        processes = []
        for part, text in (("receiver", RECEIVER), ("sender", SENDER)):
            conf = w.dir / f"{part}.conf"
            conf.write_text(text.format(**values))
            began = time.monotonic()
            p = Process(["rsyslogd", "-n", "-f", conf, "-i",
                         w.dir / f"{part}.pid"], w.dir / f"{part}.txt")
            w.processes.append(p)
            processes.append(p)
            if part == "receiver":
                time.sleep(1)
        received = w.dir / "received.log"
        wait_for(name, lambda: count_lines(received) >= lines, 300)
        return row(name, lines, time.monotonic() - began,
                   Usage(processes[1].pid), Usage(processes[0].pid))


def receiver_killed(w):
    w.collector.kill()
    time.sleep(3)
    w.start_collector()


def receiver_stalled(w):
    w.collector.signal(signal.SIGSTOP)
    time.sleep(1)
    receiver_killed(w)


def sender_killed(w):
    w.agent.kill()
    time.sleep(3)
    w.start_agent()


def fault(lines, disturb):
    with World() as w:
        w.write_lines(0, lines)
        w.collector = w.start_collector()
        began = time.monotonic()
        w.agent = w.start_agent()
        wait_for("30 %", lambda: w.stored() >= lines * 3 // 10, 600)
        disturb(w)
        w.wait_stored(lines)
        seconds = time.monotonic() - began
        time.sleep(2)  # what comes too often comes soon
        seen = {}
        for e in w.events("--flat"):
            number = int(e["event.original"].split()[6])
            seen[number] = seen.get(number, 0) + 1
        again = w.status()["events"]["duplicates_dropped"]
        return (f"{lines - len(seen)}", f"{sum(seen.values()) - len(seen)}",
                f"{again}", f"{seconds:.1f}")


def faults(lines):
    table = [("", "lost", "doubled", "came again, dropped", "seconds")]
    for name, disturb in (("receiver kill -9", receiver_killed),
                          ("receiver stalled, then kill -9",
                           receiver_stalled),
                          ("sender kill -9", sender_killed)):
        table.append((name, *fault(lines, disturb)))
    show(table)
    return all(r[1] == r[2] == "0" for r in table[1:])


def show(table):
    widths = [max(len(r[i]) for r in table) for i in range(len(table[0]))]
    for r in table:
        print("  ".join([r[0].ljust(widths[0])] +
                        [c.rjust(x) for c, x in zip(r[1:], widths[1:])]))


def main():
    p = Parser(__doc__, "kuzet-agent", "kuzet-collector", "kuzetctl")
    p.add_argument("--faults", action="store_true",
                   help="kill instead of measuring")
    p.add_argument("lines", nargs="?", type=int, default=1000000,
                   help="default 1,000,000")
    args = p.parse()
    if args.faults:
        sys.exit(0 if faults(args.lines) else 1)
    lines = args.lines
    head = ("", "lines/s", "CPU s per 1 M, sender", "receiver",
            "peak MB, sender", "receiver")
    first, note = kuzet(lines)
    table = [head, first]
    for name in PEERS:
        try:
            table.append(rsyslog(name, lines))
        except (FileNotFoundError, AssertionError) as e:
            table.append((name, f"not measured: {e}", "", "", "", ""))
    show(table)
    print(note)


if __name__ == "__main__":
    main()
