#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lumberjack v2 with its public Go library, as our client and as our server."""

import atexit
import json
import shutil
import signal
import subprocess
import tempfile
import time

from harness import (BUILD, PATIENCE, SRC, Process, Skip, World, free_port,
                     main, numbered, wait_for)

LINES = 20000
state = {}


def golumber(program):
    """Built once; the reason if it cannot be."""
    if not state:
        state["dir"] = tempfile.mkdtemp(prefix="kuzet-golumber-")
        atexit.register(shutil.rmtree, state["dir"], ignore_errors=True)
        r = subprocess.run([SRC / "tests/e2e/peers/golumber/build",
                            state["dir"]], capture_output=True, text=True,
                           check=False)
        state["why"] = ((r.stderr.strip() or "no reason").splitlines()[-1]
                        if r.returncode == 77 else None)
        assert r.returncode in (0, 77), r.stderr
    if state["why"]:
        raise Skip(state["why"])
    return f"{state['dir']}/{program}"


# ---- its client, our collector ------------------------------------------

def ship(world, events, *options):
    r = subprocess.run(
        [golumber("client"), "-address", f"127.0.0.1:{world.port}",
         "-ca", "ca.pem", "-cert", "web-1.pem", "-key", "web-1.key",
         "-json", *map(str, options)],
        input="".join(json.dumps(e) + "\n" for e in events), text=True,
        capture_output=True, check=False, cwd=world.pki, timeout=2 * PATIENCE)
    assert r.returncode == 0, (options, r.stdout, r.stderr)
    return json.loads(r.stdout.splitlines()[-1])


def events_of(name, n, **more):
    return [{"@timestamp": "2026-11-22T01:02:03.456Z",
             "message": f"{name} {i}", "labels": {"run": name},
             "event": {"id": f"{name}-{i}"}, **more} for i in range(n)]


def windows():
    """its client's windows, of every size and compression, are stored once"""
    golumber("client")
    with World() as w:
        collector = w.start_collector()
        total = 0
        sent = {}
        for n, window, level, inflight in (
                (50, 1, 3, 2), (50, 1, 0, 1), (1000, 7, 1, 4),
                (1000, 100, 0, 2), (5000, 2048, 3, 2), (5000, 2048, 0, 2),
                (5000, 2048, 9, 8), (20001, 10000, 6, 3),
                (10000, 10000, 0, 1)):
            name = f"w{window}-c{level}"
            said = ship(w, events_of(name, n), "-window", window,
                        "-compression", level, "-inflight", inflight)
            assert said == {"sent": n, "windows": -(-n // window),
                            "error": ""}, (name, said)
            total += n
            sent[name] = n
            # what is acknowledged is stored
            assert w.stored() == total, (name, w.stored(), total)
        got = {name: [] for name in sent}
        for e in w.events("--flat"):
            name, i = e["message"].split()
            assert e["labels.run"] == name
            assert e["event.id"] == e["message"].replace(" ", "-"), e
            assert "kuzet.delivery" not in e, e
            got[name].append(int(i))
        for name, n in sent.items():
            assert got[name] == list(range(n)), (name, len(got[name]))
        assert collector.stop() == 0


def resent():
    """what its client sends again is acknowledged and not stored again"""
    golumber("client")
    with World() as w:
        collector = w.start_collector()
        events = events_of("again", 3000)
        for window in (2048, 500):
            said = ship(w, events, "-window", window)
            assert said["sent"] == 3000, said
            assert w.stored() == 3000
        assert w.status()["events"]["duplicates_dropped"] == 3000
        collector.kill()
        collector = w.start_collector()
        assert ship(w, events, "-window", 1000)["sent"] == 3000
        assert w.stored() == 3000, "across a crash too"
        assert collector.stop() == 0


def large():
    """its client's large events come in whole"""
    golumber("client")
    with World() as w:
        collector = w.start_collector()
        size = 900 * 1024
        said = ship(w, events_of("large", 40, blob="x" * size), "-window", 16,
                    "-compression", 1)
        assert said == {"sent": 40, "windows": 3, "error": ""}, said
        assert w.stored() == 40
        for e in w.events("--flat"):
            assert e["blob"] == "x" * size
        assert collector.stop() == 0


# ---- our agent, its server ----------------------------------------------

class Server:
    """Writes what it receives to a file, one event a line."""

    def __init__(self, world, *options, port=None):
        self.world = world
        self.port = port or free_port()
        self.path = world.dir / "received"
        self.options = options
        self.start()

    def start(self):
        self.out = open(self.path, "ab")
        self.log = open(self.world.dir / "server.log", "ab")
        self.popen = subprocess.Popen(
            [golumber("server"), "-listen", f"127.0.0.1:{self.port}",
             "-ca", "ca.pem", "-cert", "collector.pem",
             "-key", "collector.key", *map(str, self.options)],
            stdin=subprocess.PIPE, stdout=self.out, stderr=self.log,
            cwd=self.world.pki)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()
        self.popen.stdin.close()
        self.out.close()
        self.log.close()

    def connections(self):
        log = (self.world.dir / "server.log").read_text()
        return log.count("New connection from")

    def events(self):
        """Of the whole lines; control messages left out."""
        text = self.path.read_bytes()
        for line in text[:text.rfind(b"\n") + 1].splitlines():
            # a killed server's last line is cut: the next begins in it
            cut = line.find(b"listening on ")
            if cut >= 0:
                continue
            e = json.loads(line)
            if "control" not in e["kuzet"]:
                yield e

    def lines(self):
        """What a receiver that keeps one mark for each stream takes."""
        marks, lines, doubles = {}, [], 0
        for e in self.events():
            stream, offset = e["kuzet"]["stream"], e["log"]["offset"]
            if offset > marks.get(stream, -1):
                marks[stream] = offset
                lines.append(e["message"] + "\n")
            else:
                doubles += 1
        return lines, doubles


def delivered(server_options, disturb=None, n=LINES, cuts=0):
    golumber("server")
    expected = [numbered("a.log", i) for i in range(n)]
    with World() as w:
        w.write_lines(0, n // 2)
        with Server(w, *server_options) as server:
            agent = w.start_agent(port=server.port)
            if disturb:
                wait_for("the first events", lambda: server.lines()[0])
                disturb(w, server)
            w.write_lines(n // 2, n - n // 2)
            wait_for("every line", lambda: len(server.lines()[0]) >= n)
            assert agent.stop() == 0
            lines, doubles = server.lines()
            connections = server.connections()
        assert lines == expected, (len(lines), doubles)
        assert connections > cuts, connections
        assert cuts > 0 or (doubles == 0 and connections == 1), doubles


def shipped():
    """its server receives every line of our agent once, in order"""
    delivered([])


def late():
    """its server acknowledges late, with keep-alives before: nothing twice"""
    delivered(["-delay", "4s"], n=6000)


def cut():
    """its server closes in mid-window, several times: every line, in order"""
    delivered(["-cuts", "6", "-cut", "30000"], cuts=6)


def cut_at_once():
    """its server closes within the handshake and the first frames"""
    delivered(["-cuts", "4", "-cut", "3000"], n=2000, cuts=4)


def killed():
    """its server is killed before it acknowledges, and started again"""
    def disturb(_, server):
        for _ in range(3):
            before = len(list(server.events()))
            server.kill()
            server.start()
            wait_for("more events",
                     lambda n=before: len(list(server.events())) > n)
    delivered(["-delay", "500ms"], disturb, cuts=3)


def away():
    """its server is not there when our agent starts"""
    golumber("server")
    with World() as w:
        w.write_lines(0, 1000)
        port = free_port()
        agent = w.start_agent(port=port)
        wait_for("the agent to try", lambda: str(port) in agent.text())
        with Server(w, port=port) as server:
            wait_for("every line", lambda: len(server.lines()[0]) >= 1000)
            assert agent.stop() == 0
            assert server.lines() == ([numbered("a.log", i)
                                       for i in range(1000)], 0)


def without_controls():
    """its server gets lines alone where control messages are switched off"""
    golumber("server")
    with World() as w:
        w.write_lines(0, 1000)
        path = w.agent_config(extra="heartbeat: 100ms")
        config = path.read_text()
        with Server(w, "-delay", "1s") as server:
            path.write_text(config.replace(str(w.port), str(server.port))
                            .replace("collector:\n", "collector:\n"
                                     "  control_messages: false\n"))
            agent = Process([BUILD / "kuzet-agent", "-c", path],
                            w.dir / "agent.txt")
            w.processes.append(agent)
            wait_for("every line", lambda: len(server.lines()[0]) >= 1000)
            time.sleep(1)
            assert agent.stop() == 0
            text = server.path.read_text()
            assert '"control"' not in text, text[-300:]
            assert len(list(server.events())) == 1000


if __name__ == "__main__":
    main([windows, resent, large, shipped, late, cut, cut_at_once, killed,
          away, without_controls])
