#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The syslog port: both framings, long frames, and a real rsyslog."""

import contextlib
import signal
import socket
import ssl
import threading
import time

import lumberjack as lj
from harness import PATIENCE, Process, World, main, need, wait_for

RFC5424 = ('<34>1 2026-11-20T10:00:00.123Z web-1 su 77 ID47 '
           '[ex@32473 a="b"] {}')
RFC3164 = "<34>Nov 20 10:00:00 web-1 su[77]: {}"


def counted(text):
    data = text.encode()
    return str(len(data)).encode() + b" " + data


def send(w, data, chunk=None):
    with lj.connect(w, port=w.syslog_port) as s:
        for i in range(0, len(data), chunk or len(data)):
            s.sendall(data[i:i + (chunk or len(data))])
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            s.unwrap()  # its close_notify may be answered by a plain close


def framings():
    """octet counting and LF framing on one port, even on one connection"""
    with World() as w:
        collector = w.start_collector()
        send(w, counted(RFC5424.format("one")) +
             counted(RFC3164.format("two")) +
             (RFC5424.format("three") + "\n").encode() +
             (RFC3164.format("four") + "\n").encode())
        wait_for("four messages", lambda: w.stored() == 4)
        got = w.events("--flat")
        assert [e["message"] for e in got] == ["one", "two", "three", "four"]
        for e in got:
            assert e["process.name"] == "su", e
            assert e["log.syslog.priority"] == 34, e
        assert got[0]["log.syslog.appname"] == "su"
        assert got[0]["@timestamp"] == "2026-11-20T10:00:00.123Z"
        assert got[0]["event.original"] == RFC5424.format("one")
        assert collector.stop() == 0


def long_and_torn():
    """frames of 8,192 octets and more are whole, however they arrive"""
    with World() as w:
        collector = w.start_collector()
        sizes = [2048, 8192, 65536, 200000]
        data = b"".join(counted(RFC5424.format("x" * n)) for n in sizes)
        send(w, data)
        send(w, data[:9000] + data[9000:], chunk=1009)
        wait_for("all", lambda: w.stored() == 2 * len(sizes))
        assert [len(e["message"]) for e in w.events("--flat")] == sizes * 2
        send(w, counted(RFC5424.format("Әлем, мир, 世界 \x00 end")))
        wait_for("unicode", lambda: w.stored() == 2 * len(sizes) + 1)
        assert "Әлем, мир, 世界" in w.events("--flat")[-1]["message"]
        assert collector.stop() == 0


def garbage():
    """garbage hurts nobody else"""
    with World() as w:
        collector = w.start_collector()
        with socket.create_connection(("127.0.0.1", w.syslog_port)) as s:
            s.sendall(b"no TLS at all\n")
        for data in (b"99999999999999999999 x", b"\0\0\0\0\n", b"12",
                     b"0 x", b"\xff" * 5000 + b"\n"):
            send(w, data)
        send(w, counted(RFC5424.format("fine")))
        wait_for("the good one",
                 lambda: w.events("--where", "message=fine", "--flat"))
        assert collector.alive() and collector.stop() == 0


RSYSLOG = """
global(workDirectory="{dir}/rs" defaultNetstreamDriverCAFile="{pki}/ca.pem"
  defaultNetstreamDriverCertFile="{pki}/web-1.pem"
  defaultNetstreamDriverKeyFile="{pki}/web-1.key")
module(load="imfile" mode="inotify")
input(type="imfile" file="{dir}/logs/a.log" tag="app")
action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp"
  streamDriver="{driver}" streamDriverMode="1" streamDriverAuthMode="x509/name"
  streamDriverPermittedPeers="localhost" TCP_Framing="{framing}"
  template="RSYSLOG_SyslogProtocol23Format" action.resumeRetryCount="-1")
"""


def rsyslog_delivers():
    """a real rsyslog delivers over TLS, in both framings"""
    need("rsyslogd")
    with World() as w:
        collector = w.start_collector()
        (w.dir / "rs").mkdir()
        w.write_lines(0, 2000)
        for i, framing in enumerate(("octet-counted", "traditional"), 1):
            conf = w.dir / f"rsyslog-{i}.conf"
            conf.write_text(RSYSLOG.format(
                dir=w.dir, pki=w.pki, port=w.syslog_port, driver="ossl",
                framing=framing))
            for state in (w.dir / "rs").iterdir():
                state.unlink()
            p = Process(["rsyslogd", "-n", "-f", conf, "-i",
                         w.dir / f"rsyslog-{i}.pid"],
                        w.dir / f"rsyslog-{i}.txt")
            w.processes.append(p)
            wait_for(f"2,000 lines, {framing}",
                     lambda n=i: w.stored() >= 2000 * n)
            p.stop()
        got = w.events("--where", "process.name=app", "--flat")
        assert len(got) >= 4000, len(got)
        assert "a.log 0 the quick" in got[0]["message"]
        assert collector.stop() == 0


def handshakes_are_finished():
    """a peer whose handshake goes on at SIGTERM still gets its message in"""
    with World() as w:
        collector = w.start_collector()
        raw = socket.create_connection(("127.0.0.1", w.syslog_port))
        time.sleep(0.2)  # accepted or not: both end well
        collector.signal(signal.SIGSTOP)
        ctx = ssl.create_default_context(cafile=w.pki / "ca.pem")
        ctx.check_hostname = False
        ctx.load_cert_chain(w.pki / "web-1.pem", w.pki / "web-1.key")

        def peer():
            with contextlib.suppress(OSError):
                with ctx.wrap_socket(raw) as s:
                    s.sendall(counted(RFC5424.format("at the last moment")))
                    sent.append(True)
                    s.recv(1)

        sent = []
        t = threading.Thread(target=peer)
        t.start()
        collector.signal(signal.SIGTERM)
        collector.signal(signal.SIGCONT)
        assert collector.popen.wait(PATIENCE) == 0, collector.text()
        t.join()
        w.start_collector()
        if sent:
            got = [e["message"] for e in w.events("--flat")]
            assert got == ["at the last moment"], got


if __name__ == "__main__":
    main([framings, long_and_torn, garbage, rsyslog_delivers, handshakes_are_finished])
