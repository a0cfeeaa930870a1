#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kuzet-agent, the program, against a Lumberjack receiver with every bad habit.

The receiver is this script (its own decoder, so that a mistake in ours shows).
It keeps one mark for each stream as a collector does.  Each line of the test
files says its file and number; whatever happens, each must be taken once, in
order.  TAP on standard output.
"""
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

from harness import PATIENCE, free_port

TOP = os.environ.get("top_srcdir", ".")
BUILD = os.environ.get("top_builddir", ".")
AGENT = os.path.join(BUILD, "kuzet-agent")

tap = {"n": 0, "failed": 0}


def check(passed, name, *why):
    tap["n"] += 1
    tap["failed"] += not passed
    print(f"{'ok' if passed else 'not ok'} {tap['n']} - {name}", flush=True)
    if not passed:
        for w in why:
            print(f"# {w}", flush=True)


class Receiver:
    """One port; habits are attributes that tests set."""

    def __init__(self, pki, port=0, name="collector"):
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.minimum_version = ssl.TLSVersion.TLSv1_3
        self.ctx.load_cert_chain(f"{pki}/{name}.pem", f"{pki}/{name}.key")
        self.ctx.load_verify_locations(f"{pki}/ca.pem")
        self.ctx.verify_mode = ssl.CERT_REQUIRED
        self.lock = threading.Lock()
        self.marks = {}
        self.lines = {}  # path -> messages that were taken
        self.events = []  # all taken, decoded, when keep_events
        self.controls = []
        self.offered = 0
        self.duplicates = 0
        self.connections = 0
        self.refused = 0
        self.resumed = 0
        self.windows = []  # their counts
        self.keep_events = False
        self.ack_delay = 0.0
        self.keep_alive = 0.0  # between ACKs of 0 while it waits
        self.partial = False  # half of it first
        self.close_after_partial = 0  # so many times
        self.close_in_window = 0  # so many times, after some frames
        self.ack_too_much = 0  # so many times
        self.silent = 0  # so many windows are never acknowledged
        self.stop = False
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", port or free_port()))
        self.port = self.sock.getsockname()[1]
        self.sock.listen(16)
        self.open = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.stop:
            try:
                c, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def close(self):
        self.stop = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        for c in list(self.open):
            self.drop(c)

    def drop(self, c):
        try:
            c.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        c.close()

    def serve(self, raw):
        try:
            c = self.ctx.wrap_socket(raw, server_side=True)
        except (ssl.SSLError, OSError):
            self.refused += 1
            raw.close()
            return
        self.connections += 1
        self.resumed += bool(c.session_reused)
        self.open.append(c)
        try:
            while not self.stop:
                self.window(c)
        except (EOFError, OSError, ssl.SSLError):
            pass
        finally:
            if c in self.open:
                self.open.remove(c)
            self.drop(c)

    @staticmethod
    def read(c, n):
        out = b""
        while len(out) < n:
            piece = c.recv(n - len(out))
            if not piece:
                raise EOFError
            out += piece
        return out

    def use(self, counter):
        with self.lock:
            left = getattr(self, counter)
            if left > 0:
                setattr(self, counter, left - 1)
            return left > 0

    def window(self, c):
        head = self.read(c, 6)
        assert head[:2] == b"2W", head
        n = struct.unpack(">I", head[2:])[0]
        events = []
        closing = self.use("close_in_window")
        while len(events) < n:
            kind = self.read(c, 2)
            if kind == b"2C":
                size = struct.unpack(">I", self.read(c, 4))[0]
                if closing and size > 10:
                    self.read(c, size // 2)
                    raise EOFError
                self.frames(zlib.decompress(self.read(c, size)), events)
            else:
                assert kind == b"2J", kind
                seq, size = struct.unpack(">II", self.read(c, 8))
                assert seq == len(events) + 1
                events.append(self.read(c, size))
            if closing:
                raise EOFError
        assert len(events) == n
        self.windows.append(n)
        self.answer(c, n, events)

    @staticmethod
    def frames(b, events):
        at = 0
        while at < len(b):
            assert b[at : at + 2] == b"2J"
            seq, size = struct.unpack(">II", b[at + 2 : at + 10])
            assert seq == len(events) + 1
            assert size < 7 << 20
            events.append(b[at + 10 : at + 10 + size])
            at += 10 + size

    def ack(self, c, seq):
        c.sendall(b"2A" + struct.pack(">I", seq))

    def answer(self, c, n, events):
        self.offered += sum(b'"control":"' not in e for e in events)
        end = time.monotonic() + self.ack_delay
        while time.monotonic() < end:
            left = end - time.monotonic()
            time.sleep(max(0, min(left, self.keep_alive or left)))
            if self.keep_alive:
                self.ack(c, 0)
        if self.use("silent"):
            time.sleep(3600)
        if self.use("ack_too_much"):
            self.ack(c, n + 1)
            raise_after = self.read(c, 1)
            raise EOFError(raise_after)
        done = 0
        if self.partial and n > 1:
            done = n // 2
            self.take(events[:done])
            self.ack(c, done)
            if self.use("close_after_partial"):
                time.sleep(0.1)  # what is unread makes a reset of the close
                raise EOFError
        self.take(events[done:])
        self.ack(c, n)

    def take(self, events):
        with self.lock:
            for text in events:
                e = json.loads(text)
                k = e["kuzet"]
                if "control" in k:
                    self.controls.append(k)
                    continue
                offset = e["log"]["offset"]
                if offset <= self.marks.get(k["stream"], -1):
                    self.duplicates += 1
                    continue
                self.marks[k["stream"]] = offset
                path = os.path.basename(e["log"]["file"]["path"])
                self.lines.setdefault(path, []).append(e["message"])
                if self.keep_events:
                    self.events.append(e)

    def total(self):
        with self.lock:
            return sum(len(v) for v in self.lines.values())


# run by root, the agent's processes are those of `user: NAME`
USER = os.environ.get("KUZET_TEST_USER")


class World:
    """A folder with a configuration; the agent in it."""

    pki = None

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="kuzet-agent-")
        os.chmod(self.dir, 0o711)
        self.agent = None
        self.written = {}
        if World.pki is None:
            World.pki = tempfile.mkdtemp(prefix="kuzet-pki-")
            subprocess.run(
                [f"{TOP}/tests/lib/make-pki", World.pki, "--agents", "agent"],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self.receiver = Receiver(World.pki)
        self.configure()

    def configure(self, hosts=None, collector="", inputs=None, rest=""):
        hosts = hosts or [f"127.0.0.1:{self.receiver.port}"]
        self.config = f"{self.dir}/agent.yaml"
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(
                f"collector:\n  hosts: [{', '.join(hosts)}]\n"
                f"  backoff_min: 50ms\n  backoff_max: 200ms\n{collector}"
                f"tls:\n  ca: {self.pki}/ca.pem\n"
                f"  certificate: {self.pki}/agent.pem\n"
                f"  key: {self.pki}/agent.key\n"
                "state_dir: state\n"
                + (f"user: {USER}\n" if USER else "") +
                f"{rest}"
                "inputs:\n"
                + (inputs or "  - {type: file, paths: ['*.log']}\n")
            )

    def start(self, *args):
        self.log = open(f"{self.dir}/agent.err", "a", encoding="utf-8")
        self.agent = subprocess.Popen(
            [AGENT, "-c", self.config, *args], stderr=self.log, cwd="/"
        )

    def err(self):
        with open(f"{self.dir}/agent.err", encoding="utf-8") as f:
            return f.read()

    def kill(self):
        self.agent.kill()
        self.agent.wait()

    def stop(self):
        began = time.monotonic()
        self.agent.terminate()
        code = self.agent.wait(timeout=PATIENCE)
        return code, time.monotonic() - began

    def write(self, name, n, text="the line"):
        first = self.written.get(name, 0)
        with open(f"{self.dir}/{name}", "a", encoding="utf-8") as f:
            for i in range(first, first + n):
                f.write(f"{name} {i} {text}\n")
        self.written[name] = first + n

    def wait(self, total, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while self.receiver.total() < total and time.monotonic() < end:
            time.sleep(0.02)
        return self.receiver.total() >= total

    def wait_for(self, what, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while not what() and time.monotonic() < end:
            time.sleep(0.02)
        return what()

    def right(self, name, ordered=True):
        """Each line once, and in order (always within a generation)."""
        time.sleep(0.1)
        for path, n in self.written.items():
            got = [int(m.split()[1]) for m in self.receiver.lines.get(path, [])]
            if (got if ordered else sorted(got)) != list(range(n)):
                missing = sorted(set(range(n)) - set(got))
                check(
                    False,
                    name,
                    f"{path}: {len(got)} of {n}, missing {missing[:5]}, "
                    f"in order: {got == sorted(got)}",
                    *self.err().splitlines()[-12:],
                )
                return False
        check(True, name)
        return True

    def end(self):
        if self.agent and self.agent.poll() is None:
            self.kill()
        self.receiver.close()
        shutil.rmtree(self.dir)


def memory_kb(pid, key="VmHWM"):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        for line in f:
            if line.startswith(key):
                return int(line.split()[1])
    return 0


def sanitized():
    with open(AGENT, "rb") as f:
        return b"__asan_init" in f.read()


def late_acks(w):
    w.receiver.ack_delay = 0.2
    for f in ("a.log", "b.log", "c.log"):
        w.write(f, 4000)
    w.start()
    w.wait(12000)
    w.right("late ACKs: each line once, in order")
    check(w.receiver.duplicates == 0, "late ACKs: nothing is sent twice")
    check(max(w.receiver.windows) <= 2048, "windows of at most 2,048 events")
    code, seconds = w.stop()
    check(
        code == 0 and seconds < 15,
        "SIGTERM ends it with 0 within 15 s",
        f"{code} after {seconds} s",
    )


def partial_acks(w):
    w.receiver.partial = True
    w.write("a.log", 9000)
    w.start()
    w.wait(9000)
    w.right("partial ACKs are progress")
    check(w.receiver.duplicates == 0, "partial ACKs: nothing is sent twice")


def partial_then_close(w):
    w.receiver.partial = True
    w.receiver.close_after_partial = 3
    w.write("a.log", 9000)
    w.start()
    w.wait(9000)
    w.right("closed after a partial ACK: the rest comes again")
    check(
        w.receiver.duplicates == 0 and w.receiver.connections == 4,
        "and only the rest",
        f"{w.receiver.duplicates} twice, {w.receiver.connections} connections",
    )
    check(w.receiver.resumed > 0, "TLS sessions are resumed")


def no_compression(w):
    w.configure(collector="  compression_level: 0\n")
    w.receiver.partial = True
    w.receiver.close_after_partial = 3
    w.write("a.log", 9000)
    w.start()
    w.wait(9000)
    w.right("the same without compression")


def keep_alives(w):
    w.configure(collector="  ack_timeout: 1s\n")
    w.receiver.ack_delay = 2.5
    w.receiver.keep_alive = 0.3
    w.write("a.log", 100)
    w.start()
    w.wait(100)
    w.right("a slow collector that says it is alive is waited for")
    check(
        w.receiver.connections == 1 and w.receiver.offered == 100,
        "on one connection, without sending again",
    )


def silence(w):
    w.configure(collector="  ack_timeout: 500ms\n")
    w.receiver.silent = 2
    w.write("a.log", 100)
    w.start()
    w.wait(100)
    w.right("a silent one is left, and all is sent again")
    check(w.receiver.connections == 3, "once for each silence")


def closed_in_window(w):
    w.receiver.close_in_window = 5
    w.write("a.log", 9000)
    w.start()
    w.wait(9000)
    w.right("closed in the middle of windows: all is sent again")


def acks_too_much(w):
    w.receiver.ack_too_much = 1
    w.write("a.log", 100)
    w.start()
    w.wait(100)
    w.right("an ACK beyond the window ends the connection, and acknowledges "
            "nothing")
    n = w.receiver.windows[0]
    check(f"acknowledges event {n + 1} of a window of {n}" in w.err(),
          "the log says why")


def killed(w):
    w.receiver.ack_delay = 0.02
    done = threading.Event()

    def writer():
        for i in range(60):
            w.write("a.log", 500)
            w.write("b.log", 100)
            # a file renamed before anybody saw it is nobody's; what comes
            # after the first one is found beside it, however short it lived
            if i == 5:
                w.wait_for(lambda: w.receiver.lines.get("a.log"))
            if i % 10 == 5:
                os.rename(f"{w.dir}/a.log", f"{w.dir}/a.log.{i}")
            time.sleep(0.05)
        done.set()

    threading.Thread(target=writer, daemon=True).start()
    w.start()
    kills = 0
    while not done.is_set():
        time.sleep(0.35)
        w.kill()
        kills += 1
        w.start()
    w.wait(36000)
    # a generation that is found beside the file comes when it is found
    w.right(f"killed {kills} times in mid-stream, files rotating: nothing lost",
            ordered=False)
    print(f"# {w.receiver.duplicates} of {w.receiver.offered} came twice")


def both_die(w):
    w.write("a.log", 30000)
    w.start()
    for _ in range(4):
        time.sleep(0.15)
        port = w.receiver.port
        old = w.receiver
        old.close()
        w.kill()
        w.receiver = Receiver(w.pki, port)
        w.receiver.marks, w.receiver.lines = old.marks, old.lines
        w.receiver.ack_delay = 0.03
        w.start()
    w.wait(30000)
    w.right("receiver and agent die together: nothing lost")


def away(w):
    port = w.receiver.port
    w.receiver.close()
    w.start()
    for i in range(20):
        w.write("a.log", 10000, "x" * 100)
        if i == 0:  # a file renamed before anybody saw it is nobody's
            w.wait_for(lambda: "reading it from its start" in w.err())
        if i == 10:
            os.rename(f"{w.dir}/a.log", f"{w.dir}/a.log.1")
    time.sleep(1)
    peak = memory_kb(w.agent.pid)
    w.receiver = Receiver(w.pki, port)
    w.wait(200000)
    w.right("the collector was away: the files were the buffer")
    peak = max(peak, memory_kb(w.agent.pid))
    check(
        sanitized() or peak < 15000,
        "memory stays below 15 MB",
        f"{peak} kB",
    )
    print(f"# peak {peak} kB")


def drain(w):
    w.write("a.log", 10)
    with open(f"{w.dir}/a.log", "a", encoding="utf-8") as f:
        f.write("a.log 10 unfin")
    w.start()
    w.wait(10)
    w.write("b.log", 3000)
    code, _ = w.stop()
    check(code == 0, "SIGTERM: exit 0")
    w.right("what is there at SIGTERM is sent; an unfinished line stays")
    with open(f"{w.dir}/a.log", "a", encoding="utf-8") as f:
        f.write("ished\n")
    w.written["a.log"] = 11
    w.start()
    w.wait(3011)
    w.right("and is sent whole after the next start")
    check(w.receiver.offered == 3011, "nothing is sent again")
    w.receiver.close()
    w.write("a.log", 10)
    code, seconds = w.stop()
    check(code == 0 and seconds < 15, "SIGTERM without a collector, too",
          f"{seconds} s")


def reload(w):
    w.write("a.log", 10)
    w.start()
    w.wait(10)
    w.write("b.txt", 10)
    w.configure(inputs="  - {type: file, paths: ['*.log']}\n"
                "  - {type: file, paths: ['*.txt'], dataset: other}\n")
    w.receiver.keep_events = True
    w.agent.send_signal(signal.SIGHUP)
    w.wait(20)
    w.write("a.log", 10)
    w.wait(30)
    w.right("SIGHUP: a new input is read, the old one goes on")
    check(
        any(e.get("event", {}).get("dataset") == "other"
            for e in w.receiver.events),
        "with what its entry says",
    )
    with open(w.config, "a", encoding="utf-8") as f:
        f.write("nonsense: 1\n")
    w.agent.send_signal(signal.SIGHUP)
    w.wait_for(lambda: "stays as it was" in w.err())
    w.write("a.log", 10)
    w.wait(40)
    w.right("a wrong configuration changes nothing")
    check("nonsense" in w.err() and w.agent.poll() is None,
          "and the log says what is wrong")


def fail_over(w):
    dead = socket.socket()
    dead.bind(("127.0.0.1", 0))
    w.configure(hosts=[f"127.0.0.1:{dead.getsockname()[1]}",
                       f"localhost:{w.receiver.port}"])
    w.write("a.log", 100)
    w.start()
    w.wait(100)
    w.right("the second collector takes over")
    dead.close()


def three_hosts(w):
    others = [Receiver(World.pki) for _ in range(2)]
    hosts = [w.receiver, *others]
    ports = [r.port for r in hosts]
    w.configure(hosts=[f"127.0.0.1:{p}" for p in ports],
                collector="  return_after: 1s\n")
    for r in hosts:  # as collectors that share a store
        r.marks, r.lines = w.receiver.marks, w.receiver.lines
        r.ack_delay = 0.02
    w.write("a.log", 20000)
    w.start()
    w.wait(1)
    hosts[0].close()
    w.wait(6000)
    w.write("a.log", 20000)
    w.wait(40000)
    check(hosts[1].offered > 0 and hosts[2].offered == 0,
          "the second takes over from the first, and is kept",
          [r.offered for r in hosts])
    sent = sum(r.offered for r in hosts)
    first = Receiver(World.pki, ports[0])
    first.marks, first.lines = w.receiver.marks, w.receiver.lines
    w.wait_for(lambda: first.connections > 0)
    w.write("a.log", 100)
    w.wait(40100)
    w.right("after a while the first one is tried again, and takes over")
    check(first.offered == 100 and
          sum(r.offered for r in hosts) == sent, "nothing is sent twice for it",
          [r.offered for r in hosts], first.offered)
    first.close()
    for r in others:
        r.close()


def foreign(w):
    w.configure(rest="heartbeat: 100ms\n",
                collector="  control_messages: false\n")
    w.receiver.keep_events = True
    w.write("a.log", 10)
    w.start()
    w.wait(10)
    os.rename(f"{w.dir}/a.log", f"{w.dir}/a.gone")
    os.unlink(f"{w.dir}/a.gone")
    w.write("b.log", 10)
    w.wait(20)
    time.sleep(1)
    w.right("a receiver that is no kuzet-collector gets lines")
    check(not w.receiver.controls, "and no control messages",
          str(w.receiver.controls[:2]))


def stranger(w):
    w.receiver.close()
    w.receiver = Receiver(w.pki, name="stranger-collector")
    w.configure()
    w.write("a.log", 100)
    w.start()
    w.wait_for(lambda: w.receiver.refused >= 2)
    check(w.receiver.total() == 0 and w.receiver.refused >= 2,
          "a collector with a stranger's certificate gets nothing")
    check("collector 127.0.0.1" in w.err(), "and the log says so")


def controls(w):
    w.configure(rest="heartbeat: 1s\n",
                inputs="  - {type: file, name: one, paths: ['*.log']}\n")
    w.write("a.log", 10)
    w.start()
    w.wait(10)
    os.unlink(f"{w.dir}/a.log")
    w.wait_for(lambda: {"heartbeat", "stream_end"}
               <= {c["control"] for c in w.receiver.controls})
    beats = [c for c in w.receiver.controls if c["control"] == "heartbeat"]
    ends = [c for c in w.receiver.controls if c["control"] == "stream_end"]
    check(len(beats) > 0 and beats[0]["input"] == "one"
          and beats[0]["version"] != "", "an idle input sends heartbeats")
    check([e["stream"] for e in ends] == list(w.receiver.marks),
          "the end of a deleted file's stream is told, once",
          str(w.receiver.controls))


def long_lines(w):
    with open(f"{w.dir}/long.txt", "wb") as f:
        for c in (b"\x01", b"\xff", b"x"):
            f.write(c * (3 << 20) + b"\n")
        f.write(b"end\n")
    w.configure(inputs="  - {type: file, paths: [long.txt]}\n")
    w.start()
    w.wait(4)
    lines = w.receiver.lines.get("long.txt", [])
    check([len(m) for m in lines] == [1 << 20] * 3 + [3],
          "lines of 3 MiB, also of bytes that take six: cut at 1 MiB",
          str([len(m) for m in lines]))
    print(f"# peak {memory_kb(w.agent.pid)} kB")


def usage(w):
    def run(*args):
        return subprocess.run([AGENT, *args], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)

    r = run("--version")
    check(r.returncode == 0 and r.stdout.startswith("kuzet-agent "),
          "--version")
    r = run("--help")
    check(r.returncode == 0 and "state_dir" in r.stdout,
          "--help names the configuration keys")
    check(run().returncode == 2 and run("-c").returncode == 2
          and run("--none").returncode == 2
          and run("-c", w.config, "--log-level", "loud").returncode == 2,
          "wrong usage ends with 2")
    r = run("-c", w.config, "--check-config")
    check(r.returncode == 0 and not os.path.exists(f"{w.dir}/state"),
          "--check-config of a good file ends with 0 and makes nothing",
          r.stderr)
    wrong = {
        "unknown input type": ("type: file", "type: tape", "inputs"),
        "two ways to join lines": ("type: file",
                                   "type: file, multiline: {indent: true, "
                                   "first: x}", "multiline"),
        "a pattern that is none": ("type: file",
                                   "type: file, multiline: {first: '(x'}",
                                   "multiline.first"),
        "an encoding that is none": ("type: file",
                                     "type: file, encoding: klingon",
                                     "klingon"),
        "unknown time zone": ("type: file", "type: file, timezone: X/Y",
                              "timezone"),
        "unknown key": ("state_dir", "state_dri", "state_dri"),
        "missing CA": ("/ca.pem", "/none.pem", "none.pem"),
        "a key that does not fit": ("agent.key", "revoked.key", "key"),
        "a host twice": (f"127.0.0.1:{w.receiver.port}",
                         "'[::1]:1', '[::1]:1'", "hosts"),
    }
    with open(w.config, encoding="utf-8") as f:
        good = f.read()
    for name, (old, new, says) in wrong.items():
        bad = f"{w.dir}/bad.yaml"
        with open(bad, "w", encoding="utf-8") as f:
            f.write(good.replace(old, new, 1))
        r = run("-c", bad, "--check-config")
        check(r.returncode == 2 and says in r.stderr and bad in r.stderr,
              f"{name}: exit 2, and the message says where", r.stderr)
    key = f"{w.dir}/open.key"
    shutil.copy(f"{w.pki}/agent.key", key)
    os.chmod(key, 0o644)
    bad = f"{w.dir}/bad.yaml"
    with open(bad, "w", encoding="utf-8") as f:
        f.write(good.replace(f"{w.pki}/agent.key", key))
    r = run("-c", bad, "--check-config")
    check(r.returncode == 2 and "600" in r.stderr,
          "a private key that others can read is refused", r.stderr)
    w.start()
    w.wait_for(lambda: os.path.exists(f"{w.dir}/state/lock"))
    time.sleep(0.3)
    r = run("-c", w.config)
    check(r.returncode == 1 and "another agent" in r.stderr,
          "two agents do not share one state", r.stderr)


def process_of(w, name):
    """The pid of the agent's child of that name, or None."""
    pid = w.agent.pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as f:
        for child in f.read().split():
            try:
                with open(f"/proc/{child}/comm", encoding="utf-8") as comm:
                    if comm.read().strip() == name:
                        return int(child)
            except OSError:
                pass
    return None


def gone(pid):
    """No such process, or one that nobody has waited for."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def capabilities(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return {k: int(v, 16) for k, v in
                (line.split(":") for line in f if line.startswith("Cap"))}


def apart(w):
    if os.geteuid() != 0 or not capabilities("self")["CapPrm"] & 1 << 2:
        print("# not root, or without CAP_DAC_READ_SEARCH: one process")
        return
    logs = f"{w.dir}/private"
    os.mkdir(logs, 0o700)
    inputs = "  - {type: file, paths: ['private/*.log']}\n"
    user = "" if USER else "user: nobody\n"
    w.configure(inputs=inputs, rest=user)
    os.chmod(w.config, 0o600)

    def write(n, name="a.log"):
        w.write(f"private/{name}", n)
        os.chmod(f"{logs}/{name}", 0o600)

    write(10)
    w.start()
    w.wait(10)
    check(w.receiver.total() == 10, "logs that only root reads are read",
          *w.err().splitlines()[-5:])
    opener = process_of(w, "kuzet-opener")
    check(opener is not None and
          not any(capabilities(w.agent.pid).values()) and
          capabilities(opener)["CapPrm"] == 1 << 2,
          "by a process that keeps CAP_DAC_READ_SEARCH; the other has nothing")
    r = subprocess.run([AGENT, "status", "-c", w.config, "--json"],
                       stdout=subprocess.PIPE, check=False)
    told = json.loads(r.stdout.splitlines()[0]) if r.stdout else {}
    told = told.get("sandbox", {})
    check(told.get("opener") is True and told.get("refused") == 0 and
          told.get("syscalls_refused") == 0,
          "its status says so, and that nothing was refused", str(told))
    w.configure(inputs=inputs +
                "  - {type: file, paths: ['private/*.txt']}\n", rest=user)
    os.chmod(w.config, 0o600)
    write(5, "b.txt")
    w.agent.send_signal(signal.SIGHUP)
    w.wait(15)
    check(w.receiver.total() == 15,
          "SIGHUP: both read the configuration of root's again",
          *w.err().splitlines()[-5:])
    os.kill(opener, signal.SIGKILL)
    code = w.agent.wait(timeout=PATIENCE)
    check(code == 1 and "opener process is gone" in w.err(),
          "without its opener the agent ends and says why", f"exit {code}")
    write(10)
    w.start()
    w.wait(25)
    opener = process_of(w, "kuzet-opener")
    w.kill()
    check(w.wait_for(lambda: gone(opener)),
          "without its worker the opener ends")
    write(10)
    w.start()
    w.wait(35)
    got = sum(len(set(w.receiver.lines.get(n, []))) for n in
              ("a.log", "b.txt"))
    check(got == 35, "and nothing is lost by either", f"{got} of 35")
    code, _ = w.stop()
    check(code == 0, "SIGTERM ends both", f"exit {code}")


TESTS = [usage, late_acks, partial_acks, partial_then_close, no_compression,
         keep_alives, silence, closed_in_window, acks_too_much, killed,
         both_die, away, drain, reload, fail_over, three_hosts, foreign, stranger,
         controls, apart,
         long_lines]


def main():
    if not os.access(AGENT, os.X_OK) or shutil.which("openssl") is None:
        print("1..0 # SKIP no kuzet-agent or openssl here")
        return 0
    chosen = [t for t in TESTS if not sys.argv[1:] or t.__name__ in sys.argv]
    for test in chosen:
        w = World()
        try:
            test(w)
        finally:
            w.end()
    shutil.rmtree(World.pki, ignore_errors=True)
    print(f"1..{tap['n']}")
    return 1 if tap["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
