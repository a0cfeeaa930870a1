# SPDX-License-Identifier: Apache-2.0
"""What end-to-end tests share: a throw-away world with real programs in it.

A World is a temporary folder with certificates, a collector and agents on free
loopback ports.  Everything started is stopped by its own pid.  Tests speak TAP.
"""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

SRC = pathlib.Path(os.environ.get(
    "top_srcdir", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("top_builddir", SRC))
SHARED = pathlib.Path(os.environ.get("KUZET_SHARED", SRC / "../shared"))

# Sanitizers and a busy machine are slow; nothing here measures time.
PATIENCE = float(os.environ.get("KUZET_TEST_PATIENCE", "60"))


given_ports = set()


def free_port():
    """Below the ephemeral ports: none of the many connections that tests make
    takes it before its listener, or while that is being started again.  None
    is given twice."""
    while True:
        port = random.SystemRandom().randrange(10000, 20000)
        if port in given_ports:
            continue
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                given_ports.add(port)
                return port


def wait_for(what, condition, seconds=None):
    """Polls until the condition is true; says what was waited for if never."""
    deadline = time.monotonic() + (seconds or PATIENCE)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.05)


class Process:
    """A program under test, with its log kept."""

    def __init__(self, argv, log, env=None):
        self.log = pathlib.Path(log)
        self.out = open(self.log, "ab")
        self.popen = subprocess.Popen(
            [str(a) for a in argv], stdin=subprocess.DEVNULL,
            stdout=self.out, stderr=self.out, env=env)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def signal(self, signo):
        self.popen.send_signal(signo)

    def kill(self):
        """kill -9, and gone when this returns."""
        if self.alive():
            self.popen.kill()
        self.popen.wait()
        self.out.close()

    def stop(self, seconds=None):
        """SIGTERM; the exit status."""
        if self.alive():
            self.signal(signal.SIGTERM)
        try:
            status = self.popen.wait(seconds or PATIENCE)
        except subprocess.TimeoutExpired as e:
            self.kill()
            raise AssertionError(f"{self.log.name}: SIGTERM ignored") from e
        self.out.close()
        return status

    def text(self):
        return self.log.read_text(errors="replace")


# run by root, the agent's processes are those of `user: NAME`
USER = os.environ.get("KUZET_TEST_USER")


class World:
    def __init__(self, agents=("web-1",)):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="kuzet-e2e-"))
        self.dir.chmod(0o711)
        self.pki = self.dir / "pki"
        self.processes = []
        self.port = free_port()
        self.syslog_port = free_port()
        self.rules = SRC / "rules/packs"
        self.env = dict(os.environ, KUZET_DATADIR=str(SRC / "rules"))
        subprocess.run([SRC / "tests/lib/make-pki", self.pki,
                        "--agents", ",".join(agents)],
                       check=True, stdout=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for p in self.processes:
            if p.alive():
                p.kill()
        if kind is not None:
            for p in self.processes:
                for line in p.text().splitlines()[-15:]:
                    print(f"# {p.log.name}: {line}")
        if os.environ.get("KUZET_KEEP"):
            print(f"# kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    # ---- collector ----------------------------------------------------

    def collector_config(self, extra="", state="collector-state"):
        path = self.dir / "collector.yaml"
        path.write_text(f"""\
listeners:
  beats: {{address: "127.0.0.1:{self.port}"}}
  syslog: {{address: "127.0.0.1:{self.syslog_port}"}}
tls:
  ca: pki/ca.pem
  certificate: pki/collector.pem
  key: pki/collector.key
state_dir: {state}
control: collector.sock
rules: ["{self.rules}"]
{extra}
""")
        return path

    def start_collector(self, extra="", state="collector-state", wait=True):
        path = self.collector_config(extra, state)
        p = Process([BUILD / "kuzet-collector", "-c", path],
                    self.dir / "collector.log", self.env)
        self.processes.append(p)
        if wait:
            wait_for("the collector to be ready",
                     lambda: self.status() is not None or not p.alive())
            assert p.alive(), p.text()
        return p

    def ctl(self, *args, check=True):
        return subprocess.run(
            [BUILD / "kuzetctl", "--socket", self.dir / "collector.sock",
             *map(str, args)],
            capture_output=True, text=True, env=self.env, check=check)

    def ctl_json(self, *args):
        return [json.loads(line)
                for line in self.ctl(*args, "--json").stdout.splitlines()]

    def status(self):
        r = self.ctl("status", "--json", check=False)
        return json.loads(r.stdout) if r.returncode == 0 else None

    def stored(self):
        s = self.status()
        return s["events"]["stored"] if s else 0

    def wait_stored(self, n):
        """Until so many events are stored; patience is for no progress."""
        seen, deadline = -1, 0
        while (now := self.stored()) < n:
            if now > seen:
                seen, deadline = now, time.monotonic() + PATIENCE
            assert time.monotonic() < deadline, f"{now} of {n} are stored"
            time.sleep(0.05)

    def events(self, *args):
        return self.ctl_json("events", "--limit", "0", *args)

    def correlated(self):
        s = self.status()
        return (s is not None and
                s["log"]["commits"] == s["log"]["correlated"])

    # ---- agents -------------------------------------------------------

    def agent_config(self, name="web-1", paths=None, extra="", inputs=None,
                     port=None):
        path = self.dir / f"{name}.yaml"
        fresh = self.dir / f"{name}.yaml.new"
        paths = paths or [self.dir / "logs" / "*.log"]
        inputs = inputs or (
            "  - type: file\n    paths: [" +
            ", ".join(f'"{p}"' for p in paths) + "]\n")
        fresh.write_text(f"""\
collector:
  hosts: ["127.0.0.1:{port or self.port}"]
tls:
  ca: pki/ca.pem
  certificate: pki/{name}.pem
  key: pki/{name}.key
state_dir: {name}-state
{f"user: {USER}" if USER and "user:" not in extra else ""}
{extra}
inputs:
{inputs}
""")
        fresh.replace(path)  # an agent may be reading it
        return path

    def start_agent(self, name="web-1", **kwargs):
        path = self.agent_config(name, **kwargs)
        p = Process([BUILD / "kuzet-agent", "-c", path],
                    self.dir / f"{name}.log.txt", self.env)
        self.processes.append(p)
        return p

    # ---- logs ---------------------------------------------------------

    def log(self, name="a.log"):
        path = self.dir / "logs" / name
        path.parent.mkdir(exist_ok=True)
        return path

    def write_lines(self, first, n, name="a.log", mode="a"):
        with open(self.log(name), mode) as f:
            f.writelines(numbered(name, i) for i in range(first, first + n))

    def check_delivery(self, expected):
        """Each line once, in order within its file.  expected: {name: n}"""
        seen = {name: [] for name in expected}
        for e in self.events("--flat"):
            if "log.file.path" not in e:
                continue  # of no file: the collector's own, another client's
            words = e["event.original"].split()
            seen[words[5]].append(int(words[6]))
        for name, n in expected.items():
            got = seen[name]
            lost = set(range(n)) - set(got)
            assert not lost, f"{name}: {len(lost)} lost: {sorted(lost)[:5]}"
            assert len(got) == n, f"{name}: {len(got) - n} doubled"
            assert got == sorted(got), f"{name}: out of order"


def write_failures(w, first, n):
    """Log-ins that fail, of one address for each hundred lines."""
    with open(w.log("auth.log"), "a") as f:
        for i in range(first, first + n):
            f.write(f"Nov 22 {i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}"
                    f" web-1 sshd[{i}]: Failed password for root from"
                    f" 203.0.{i // 20000 % 100}.{1 + i // 100 % 200} port"
                    f" {i % 9999 + 1} ssh2\n")


def numbered(name, i):
    return (f"Nov 22 {i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02} "
            f"web-1 app[77]: {name} {i} the quick brown fox jumps\n")


# ---- TAP ------------------------------------------------------------------

def effective(capability):
    """whether this process has it, by its number in capabilities(7)"""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("CapEff:")[1].split()[0], 16) >> capability & 1


class Skip(Exception):
    pass


def main(tests):
    """Runs functions; the docstring is the test's name."""
    # a test that is stopped stops what it started
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wanted = sys.argv[1:]
    tests = [t for t in tests if not wanted or t.__name__ in wanted]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for i, test in enumerate(tests, 1):
        name = (test.__doc__ or test.__name__).strip().splitlines()[0]
        try:
            test()
            print(f"ok {i} - {name}", flush=True)
        except Skip as e:
            print(f"ok {i} - {name} # SKIP {e}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            print(f"not ok {i} - {name}", flush=True)
    sys.exit(1 if failed else 0)


def need(program):
    if shutil.which(program) is None:
        raise Skip(f"{program} is not installed")


@contextlib.contextmanager
def small_disk(path, size):
    """A file system of its own, mounted at `path`; root only."""
    if os.geteuid() != 0:
        raise Skip("mounting needs root")
    path.mkdir(exist_ok=True)
    r = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}",
                        "kuzet-test", path], check=False,
                       capture_output=True)
    if r.returncode != 0:
        raise Skip("mounting is not allowed here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=False)
