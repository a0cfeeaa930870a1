#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the agent's spool keeps arrives once, whoever is killed."""

import json
import random
import struct
import time
import uuid
import zlib

from harness import World, main, wait_for

EVENTS = 3000


def segment(stream, number, first, n):
    """A segment's file as agent/spool/record.h describes it."""
    head = b"kuzetSG1" + stream.bytes + struct.pack(">Q", number)
    out = [head, struct.pack(">I", zlib.crc32(head))]
    for i in range(first, first + n):
        text = json.dumps({
            "@timestamp": "2026-11-22T01:02:03.000Z",
            "event": {"kind": "state", "dataset": "test"},
            "message": f"kept {i}", "labels": {"n": i, "pad": "x" * 2000},
            "kuzet.input": "test"}).encode()
        middle = struct.pack(">IQ", len(text), i + 1)
        crc = zlib.crc32(middle + text)
        out += [b"\xffKS1", middle, struct.pack(">I", crc), text]
    return b"".join(out)


def fill_spool(w, name="web-1"):
    """As an agent leaves it that was never connected."""
    folder = w.dir / f"{name}-state" / "spool"
    folder.mkdir(parents=True)
    stream = uuid.uuid4()
    for number in range(1, 7):
        n = EVENTS // 6
        (folder / f"{number:020}.seg").write_bytes(
            segment(stream, number, (number - 1) * n, n))
    return folder


def check(w, lost=()):
    events = [e for e in w.events() if e.get("labels", {}).get("n") is not None]
    numbers = [e["labels"]["n"] for e in events]
    assert numbers == sorted(set(range(EVENTS)) - set(lost)), len(numbers)
    assert all(e["message"] == f"kept {e['labels']['n']}" for e in events)
    assert all(e["event"]["kind"] == "state" for e in events)
    assert all(e["event"]["id"].endswith(f":{e['labels']['n'] + 1}")
               for e in events)


def segments(folder):
    return sorted(p.name for p in folder.glob("*.seg"))


def shipped(disturb):
    with World() as w:
        w.log().touch()
        folder = fill_spool(w)
        w.collector = w.start_collector()
        w.agent = w.start_agent()
        disturb(w)
        wait_for("every event", lambda: w.stored() >= EVENTS)
        wait_for("the spool to be empty", lambda: not segments(folder))
        check(w)
        assert w.agent.stop() == 0 and w.collector.stop() == 0


def agent_killed():
    """the agent is killed four times while it sends its spool"""
    def disturb(w):
        rng = random.Random(5)
        for _ in range(4):
            time.sleep(rng.random() / 2)
            w.agent.kill()
            w.agent = w.start_agent()
    shipped(disturb)


def collector_killed():
    """the collector is killed three times while it is sent a spool"""
    def disturb(w):
        for _ in range(3):
            time.sleep(0.2)
            w.collector.kill()
            w.collector = w.start_collector()
    shipped(disturb)


def damaged():
    """a damaged spool is sent as far as it can be read, and says so"""
    with World() as w:
        w.log().touch()
        folder = fill_spool(w)
        names = segments(folder)
        text = bytearray((folder / names[2]).read_bytes())
        at = text.index(b"kept 1200")
        text[at:at + 4] = b"\0\0\0\0"
        (folder / names[2]).write_bytes(text)
        torn = (folder / names[5]).read_bytes()
        (folder / names[5]).write_bytes(torn[:-100])
        collector = w.start_collector()
        agent = w.start_agent()
        wait_for("what is whole, and the report",
                 lambda: w.stored() >= EVENTS - 2 + 1)
        wait_for("the spool to be empty", lambda: names[5] not in
                 segments(folder))
        check(w, lost=(1200, EVENTS - 1))
        reports = [e for e in w.events()
                   if e["event"].get("action") == "spool-loss"]
        assert len(reports) == 1, reports
        spool = reports[0]["kuzet"]["spool"]
        assert spool["damaged_bytes"] > 2000 and spool["torn_bytes"] > 1000
        assert "damaged" in agent.text()
        assert agent.stop() == 0 and collector.stop() == 0


if __name__ == "__main__":
    main([agent_killed, collector_killed, damaged])
