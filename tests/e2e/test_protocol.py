#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Lumberjack port survives every client, and says no only to the bad one.
"""

import os
import signal
import socket
import struct
import time

import lumberjack as lj
from harness import World, main, wait_for


def with_collector(test):
    def run():
        with World() as w:
            # hundreds of clients of one address
            collector = w.start_collector("connection_rate: 10000\n")
            with lj.connect(w) as honest:
                test(w)
                # whatever the bad client did, an honest one is served
                honest.sendall(lj.batch([{"message": "honest"}]))
                assert lj.read_ack(honest) == 1
            assert collector.alive()
            assert collector.stop() == 0
    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


@with_collector
def windows_are_acknowledged(w):
    """one ACK a window, equal to its count, in order"""
    with lj.connect(w) as s:
        s.sendall(lj.batch([{"message": f"a{i}"} for i in range(3)]) +
                  lj.batch([{"message": "b"}], pack=False) +
                  lj.batch([{"message": f"c{i}"} for i in range(2000)]))
        assert [lj.read_ack(s) for _ in range(3)] == [3, 1, 2000]
    assert w.stored() == 2004


@with_collector
def large_windows_and_events(w):
    """windows of 10,000 and an event of 1 MiB are taken whole"""
    with lj.connect(w) as s:
        s.sendall(lj.batch([{"message": f"m{i}"} for i in range(10000)]))
        assert lj.read_ack(s) == 10000
        text = "x" * (1 << 20)
        s.sendall(lj.batch([{"message": text, "tag": "big"}]))
        assert lj.read_ack(s) == 1
    big = w.events("--where", "tag=big", "--flat")
    assert len(big) == 1 and big[0]["message"] == text


@with_collector
def undecodable_json_is_kept(w):
    """JSON that cannot be decoded is kept, marked, acknowledged"""
    deep = b'{"a":' * 1000 + b"1" + b"}" * 1000
    bad = [b"{broken", b"[1,2]", b"", b"\xff\xfe", deep, b'"text"', b"{}"]
    with lj.connect(w) as s:
        s.sendall(lj.batch(bad))
        assert lj.read_ack(s) == len(bad)
    kept = w.events("--where", "event.kind=pipeline_error")
    assert len(kept) == len(bad), kept


@with_collector
def unknown_fields_are_kept(w):
    """an event that came as JSON keeps message and every unknown field"""
    sent = {"message": "hello", "labels": {"env": "prod", "n": 1.5},
            "fields": {"list": [1, "a", None], "deep": [{"x": 1}]},
            "big": 12345678901234567890123, "flag": True, "none": None}
    with lj.connect(w) as s:
        s.sendall(lj.batch([sent]))
        assert lj.read_ack(s) == 1
    got = w.events("--where", "message=hello")[0]
    for key, value in sent.items():
        assert got[key] == value, (key, got.get(key))


@with_collector
def columns_are_as_the_header_names_them(w):
    """a line that came with its log's header is read by it"""
    header = ("#Software: Microsoft Internet Information Services 10.0\n"
              "#Fields: date time sc-status c-ip cs-method cs-uri-stem\n")
    line = "2026-11-22 01:02:03 403 192.0.2.7 GET /columns"
    with lj.connect(w) as s:
        s.sendall(lj.batch([{
            "message": line, "log": {"offset": 77},
            "kuzet": {"stream": "11111111-2222-4333-8444-555555555555",
                      "input": "iis", "header": header}}]))
        assert lj.read_ack(s) == 1
    got = w.events("--where", "url.path=/columns")[0]
    assert got["event"]["dataset"] == "iis.access", got
    assert got["source"]["ip"] == "192.0.2.7", got
    assert got["http"]["response"]["status_code"] == 403, got
    assert got["message"] == got["event"]["original"] == line, got
    assert "header" not in got.get("kuzet", {}), got


@with_collector
def resends_count_once(w):
    """events with an identity that come again are dropped"""
    ours = [{"message": f"line {i}", "log": {"offset": i * 10,
             "file": {"path": "/x"}},
             "kuzet": {"stream": "6ba7b810-9dad-41d1-80b4-00c04fd430c8"}}
            for i in range(100)]
    beats = [{"message": f"beat {i}", "event": {"id": f"id-{i}"}}
             for i in range(50)]
    bare = [{"message": "same"}] * 3
    for _ in range(3):
        with lj.connect(w) as s:
            s.sendall(lj.batch(ours) + lj.batch(beats))
            assert [lj.read_ack(s), lj.read_ack(s)] == [100, 50]
    with lj.connect(w) as s:
        s.sendall(lj.batch(bare))
        assert lj.read_ack(s) == 3
    assert w.stored() == 153
    assert w.status()["events"]["duplicates_dropped"] == 300
    marked = w.events("--where", "kuzet.delivery=at_least_once")
    assert len(marked) == 3
    assert len({e["event"]["id"] for e in w.events()}) == 153


@with_collector
def liars_are_cut_off(w):
    """lying lengths and broken frames end that connection without an ACK"""
    good = lj.event(1, {"message": "x"})
    lies = {
        "window above the bound": lj.window(1 << 30) + good,
        "J of 4 GiB": lj.window(1) + struct.pack(">2sII", b"2J", 1, 2**32 - 1),
        "C of 4 GiB": lj.window(1) + struct.pack(">2sI", b"2C", 2**32 - 1),
        "no zlib": lj.window(1) + struct.pack(">2sI", b"2C", 4) + b"abcd",
        "C within C": lj.window(1) + lj.compressed(lj.compressed(good)),
        "W within C": lj.window(1) + lj.compressed(lj.window(1) + good),
        "torn C": lj.window(2) + lj.compressed(good + good[:-1]),
        "too many in C": lj.window(1) + lj.compressed(good + good),
        "too many": lj.window(1) + good + good,
        "event without window": good,
        "version 1": b"1D\0\0\0\1\0\0\0\0",
        "garbage": os.urandom(4096),
        "HTTP": b"GET / HTTP/1.1\r\n\r\n",
        "an ACK": struct.pack(">2sI", b"2A", 1),
    }
    for name, data in lies.items():
        with lj.connect(w) as s:
            s.sendall(data)
            if name == "too many":
                assert lj.read_ack(s) in (1, None), name
            assert lj.closed(s), name


@with_collector
def zip_bombs_are_refused(w):
    """a zip bomb in a compressed frame costs that connection only"""
    bomb = lj.compressed(
        struct.pack(">2sII", b"2J", 1, 500 << 20) + bytes(500 << 20), 9)
    many = lj.compressed(
        b"".join(lj.event(i, b'{"a":"' + b"x" * 4000 + b'"}')
                 for i in range(1, 60000)), 9)
    for payload, n in ((bomb, 1), (many, 10000)):
        with lj.connect(w) as s:
            s.sendall(lj.window(n) + payload)
            assert lj.closed(s)


@with_collector
def idle_connections_are_cheap(w):
    """1,000 idle connections leave room for a working one"""
    idle = [socket.create_connection(("127.0.0.1", w.port))
            for _ in range(500)]
    held = [lj.connect(w) for _ in range(500)]
    with lj.connect(w) as s:
        s.sendall(lj.batch([{"message": "beside"}]))
        assert lj.read_ack(s) == 1
    for s in idle + held:
        s.close()


@with_collector
def torn_in_the_middle(w):
    """a client that goes in mid-window leaves nothing half"""
    data = lj.batch([{"message": f"t{i}", "event": {"id": f"t{i}"}}
                     for i in range(500)], pack=False)
    for cut in (1, 7, 100, len(data) // 2, len(data) - 1):
        s = lj.connect(w)
        s.sendall(data[:cut])
        s.close()
    with lj.connect(w) as s:
        s.sendall(data)
        assert lj.read_ack(s) == 500
    assert w.stored() == 500


@with_collector
def slow_senders_are_waited_for(w):
    """a frame that comes a few bytes at a time is taken"""
    data = lj.batch([{"message": "drip"}])
    with lj.connect(w) as s:
        for i in range(0, len(data), 5):
            s.sendall(data[i:i + 5])
            time.sleep(0.01)
        assert lj.read_ack(s) == 1


def refuses(w, name):
    try:
        with lj.connect(w, name) as s:
            s.sendall(lj.batch([{"message": "let me in"}]))
            return lj.closed(s)
    except TimeoutError:
        raise  # no answer is no refusal
    except OSError:
        return True


def certificates():
    """strangers, expired, revoked and missing certificates are refused"""
    with World() as w:
        collector = w.start_collector("", wait=True)
        assert not refuses(w, "web-1")
        for name in ("stranger", "expired", None):
            assert refuses(w, name), name
        stored = w.stored()
        assert stored == 1, stored
        assert collector.stop() == 0
        path = w.collector_config()
        path.write_text(path.read_text().replace(
            "tls:\n", "tls:\n  crl: pki/crl.pem\n"))
        from harness import BUILD, Process
        collector = Process([BUILD / "kuzet-collector", "-c", path],
                            w.dir / "collector2.log", w.env)
        w.processes.append(collector)
        wait_for("the collector", lambda: w.status() is not None)
        assert refuses(w, "revoked")
        assert not refuses(w, "web-1")
        text = collector.text()
        assert "revoked" in text, text
        # a revocation acts at once, on who is connected too
        with lj.connect(w, "web-1") as s:
            s.sendall(lj.batch([{"message": "before"}]))
            assert lj.read_ack(s) == 1
            collector.signal(signal.SIGHUP)
            assert lj.closed(s), "everybody must show a certificate again"
        assert not refuses(w, "web-1")
        assert collector.stop() == 0


if __name__ == "__main__":
    main([windows_are_acknowledged, large_windows_and_events,
          undecodable_json_is_kept, unknown_fields_are_kept,
          columns_are_as_the_header_names_them, resends_count_once, liars_are_cut_off, zip_bombs_are_refused,
          idle_connections_are_cheap, torn_in_the_middle,
          slow_senders_are_waited_for, certificates])
