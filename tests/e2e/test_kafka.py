#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every incident reaches a real Apache Kafka, whatever is killed meanwhile."""

import atexit
import contextlib
import json
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from harness import BUILD, SRC, Skip, World, main, need, wait_for

SCRIPT = SRC / "tests/e2e/kafka/kafka.sh"


class Kafka:
    """One broker for all tests: each has a topic of its own."""

    def __init__(self):
        need("kcat")
        r = subprocess.run([SCRIPT, "fetch"], capture_output=True, text=True,
                           check=False)
        if r.returncode == 77:
            raise Skip((r.stderr.strip() or "no reason").splitlines()[-1])
        assert r.returncode == 0, r.stderr
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="kuzet-kafka-"))
        atexit.register(self.remove)
        self.address = self.run("prepare")

    def run(self, verb):
        r = subprocess.run([SCRIPT, verb, self.dir], capture_output=True,
                           text=True, check=False)
        assert r.returncode == 0, r.stderr
        return r.stdout.strip()

    def start(self):
        if not (self.dir / "pid").exists():
            self.run("start")

    def kill(self):
        if (self.dir / "pid").exists():
            self.run("kill")

    def freeze(self, signo):
        subprocess.run(["kill", f"-{signo.name[3:]}",
                        (self.dir / "pid").read_text().strip()], check=True)

    def remove(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def messages(self, prefix):
        """[(key, value)], in the order of the topic."""
        r = subprocess.run(
            ["kcat", "-b", self.address, "-C", "-t", f"{prefix}incidents",
             "-o", "beginning", "-e", "-q", "-f", "%k\t%s\n"],
            capture_output=True, text=True, check=False)
        if r.returncode != 0:
            assert "Unknown topic" in r.stderr or "timed out" in r.stderr, \
                r.stderr
            return []
        return [tuple(line.split("\t", 1)) for line in r.stdout.splitlines()]


shared = []


def kafka():
    if not shared:
        shared.append(Kafka())
    return shared[0]


class Site(World):
    """A world whose collector publishes under a prefix of its own."""

    def __init__(self, prefix, running=True, **properties):
        super().__init__()
        self.broker, self.prefix = kafka(), prefix
        if running:
            self.broker.start()
        else:
            self.broker.kill()
        lines = [f"    {k}: {json.dumps(str(v))}"
                 for k, v in properties.items()]
        self.extra = "\n".join([
            "kafka:", f"  brokers: ['{self.broker.address}']",
            f"  topic_prefix: '{prefix}'", "  properties:",
            "    security.protocol: plaintext", *lines])
        self.lines = 0
        self.collector = self.agent = None

    def start(self):
        self.collector = self.start_collector(self.extra)
        self.agent = self.start_agent()

    def again(self):
        """The collector anew."""
        self.collector = self.start_collector(self.extra)

    def attack(self, first, addresses, attempts=12, second=0):
        """SSH brute force from so many addresses."""
        attack(self.log("auth.log"), first, addresses, attempts, second)
        self.lines += addresses * attempts

    def settled(self):
        """Every line written so far is stored and correlated."""
        def done():
            s = self.status()
            return (s is not None and s["events"]["stored"] == self.lines and
                    s["log"]["commits"] == s["log"]["correlated"])
        wait_for("the lines to be stored and correlated", done)

    def messages(self):
        return self.broker.messages(self.prefix)

    def published(self):
        """Each incident has a message, if not yet its last one."""
        wait_for("the incidents to be published", lambda: (
            {i["id"] for i in self.ctl_json("incidents")} ==
            {key for key, _ in self.messages()}))

    @contextlib.contextmanager
    def frozen(self):
        """Kafka takes what is sent and answers nothing."""
        self.broker.freeze(signal.SIGSTOP)
        try:
            yield
        finally:
            self.broker.freeze(signal.SIGCONT)

    def end(self):
        """SIGTERM; then the topic holds what kuzetctl said."""
        self.settled()
        incidents = self.ctl_json("incidents")
        assert incidents
        assert self.collector.stop() == 0, self.collector.text()[-2000:]
        return incidents, check_topic(self.messages(), incidents)


def attack(log, first, addresses, attempts, second):
    with open(log, "a") as f:
        for n in range(first, first + addresses):
            for i in range(attempts):
                f.write(f"Nov 21 {n // 60 % 24:02}:{n % 60:02}:"
                        f"{second + i:02} web-1 sshd[{1000 + n}]: Failed "
                        f"password for root from 198.51.{100 + n // 250}."
                        f"{1 + n % 250} port {40000 + i} ssh2\n")


def check_topic(messages, incidents):
    """The topic is the truth; returns the number of its messages."""
    assert len(set(messages)) == len(messages), "a value twice: " + str(
        [m for m in set(messages) if messages.count(m) > 1][:2])
    last = dict(messages)
    want = {i["id"]: i for i in incidents}
    assert len(want) == len(incidents), "ids are unique"
    assert set(last) == set(want), (
        f"{len(set(want) - set(last))} missing, "
        f"{len(set(last) - set(want))} unknown")
    for key, text in last.items():
        value = json.loads(text)
        assert value["id"] == key
        assert value == want[key], (value, want[key])
    return len(messages)


def published():
    """the topic's last value of each key is the incident; none is twice"""
    with Site("plain.") as w:
        w.start()
        w.attack(0, 30)
        w.settled()
        w.published()
        early = w.messages()
        began = time.monotonic()
        for round_ in range(3):
            # the same ones grow, others come
            w.attack(0, 15, second=15 + 12 * round_)
            w.attack(100 + 10 * round_, 10)
            w.settled()
        incidents, n = w.end()
        assert n > len(early), "growth was published"
        most = 3 + (time.monotonic() - began) // 60
        keys = [key for key, _ in w.messages()]
        assert max(map(keys.count, keys)) <= most, "once a minute at most"
        assert any(i["events"] >= 48 for i in incidents)
        # a restart has nothing to add
        w.again()
        wait_for("correlation", w.correlated)
        assert w.ctl_json("incidents") == incidents
        time.sleep(2)
        assert w.status()["outbox"]["pending"] == 0
        assert w.status()["outbox"]["delivered"] == n
        assert w.collector.stop() == 0
        assert check_topic(w.messages(), incidents) == n


def away():
    """Kafka is away for the whole run: nothing stops; started, it gets all"""
    with Site("away.", running=False) as w:
        w.start()
        w.attack(0, 40)
        w.settled()
        incidents = w.ctl_json("incidents")
        assert w.status()["outbox"] == {"pending": len(incidents),
                                        "delivered": 0}
        assert w.collector.stop(15) == 0, "Kafka's absence does not hold it"
        w.again()
        w.attack(20, 40, second=20)
        w.settled()
        assert len(w.ctl_json("incidents")) > len(incidents)
        w.broker.start()
        w.published()
        w.end()
        assert w.agent.stop() == 0


def broker_killed():
    """Kafka is killed in mid-run, twice: everything arrives, nothing twice"""
    with Site("killed.") as w:
        w.start()
        w.attack(0, 50)
        for round_ in (1, 2):
            w.attack(round_ * 200, 150)
            before = w.status()["outbox"]["delivered"]
            wait_for("deliveries", lambda n=before:
                     w.status()["outbox"]["delivered"] > n)
            w.broker.kill()
            w.attack(round_ * 200 + 150, 50)
            w.settled()
            w.broker.start()
        w.published()
        w.end()


def collector_killed():
    """the collector is killed while it publishes: nothing twice"""
    with Site("collector.") as w:
        w.start()
        for round_ in range(5):
            before = w.status()["incidents"]
            w.attack(round_ * 200, 200)
            wait_for("incidents", lambda n=before:
                     w.status()["incidents"] > n)
            w.collector.kill()
            w.again()
        w.settled()
        w.published()
        w.end()


def collector_killed_unanswered():
    """the collector is killed with messages under way to a frozen Kafka"""
    with Site("frozen.") as w:
        w.start()
        w.attack(0, 20)
        wait_for("messages", w.messages)
        for round_ in (1, 2, 3):
            w.settled()
            with w.frozen():
                w.attack(round_ * 100, 50)
                w.settled()
                time.sleep(1.5)
                w.collector.kill()
                w.again()
            w.published()
        w.end()


def stopped_unanswered():
    """SIGTERM while Kafka is frozen: it ends with 0, and nothing is twice"""
    with Site("stopped.") as w:
        w.start()
        w.attack(0, 20)
        wait_for("messages", w.messages)
        w.settled()
        with w.frozen():
            w.attack(100, 50)
            w.settled()
            time.sleep(1.5)
            assert w.collector.stop(20) == 0
            w.again()
        w.published()
        w.end()


def answers_late():
    """Kafka answers after every time-out: nothing is twice"""
    with Site("late.", **{"message.timeout.ms": 2000,
                          "socket.timeout.ms": 1000,
                          "request.timeout.ms": 1000}) as w:
        w.start()
        w.attack(0, 20)
        wait_for("messages", w.messages)
        for round_ in (1, 2, 3):
            w.settled()
            with w.frozen():
                w.attack(round_ * 100, 50)
                w.settled()
                time.sleep(4)
            w.published()
        w.end()


def last_state():
    """an incident's last state is out within a minute, without a stop"""
    with Site("last.") as w:
        w.start()
        w.attack(0, 5)
        w.settled()
        w.published()
        w.attack(0, 5, second=20)
        w.settled()
        incidents = w.ctl_json("incidents")
        wait_for("their last states", lambda: dict(
            (i["id"], i) for i in incidents) == {
                k: json.loads(v) for k, v in w.messages()}, 90)
        assert w.end()[0] == incidents


def refused():
    """a wrong property of Kafka's is refused by name"""
    with World() as w:
        def check(text):
            return subprocess.run(
                [BUILD / "kuzet-collector", "-c", w.collector_config(text),
                 "--check-config"], capture_output=True, text=True,
                check=False, env=w.env)
        start = "kafka:\n  brokers: ['127.0.0.1:9092']\n  properties: "
        assert check(start + "{linger.ms: '7'}").returncode == 0
        assert not (w.dir / "collector-state").exists(), "creates nothing"
        for properties, word in (
                ("{no.such.property: '1'}", "no.such.property"),
                ("{linger.ms: soon}", "linger.ms"),
                ("{compression.codec: rar}", "compression.codec"),
                ("{security.protocol: ssl, ssl.ca.location: /nowhere.pem}",
                 "ssl.ca.location")):
            r = check(start + properties)
            assert r.returncode == 2, (properties, r.returncode, r.stderr)
            assert word in r.stderr, (properties, r.stderr)


def off():
    """without Kafka incidents are there, and the outbox is off"""
    with Site("off.") as w:
        w.extra = ""
        w.start()
        w.attack(0, 10)
        w.settled()
        assert len(w.ctl_json("incidents")) >= 10
        assert w.status()["outbox"] == {"pending": 0, "delivered": 0}
        assert w.collector.stop() == 0


if __name__ == "__main__":
    main([published, away, broker_killed, collector_killed,
          collector_killed_unanswered, stopped_unanswered, answers_late,
          last_state, refused, off])
