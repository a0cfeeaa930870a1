#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The probe input, on services of our own."""

import contextlib
import hashlib
import http.server
import shutil
import signal
import socket
import ssl
import struct
import threading
import time

from harness import World, free_port, main, wait_for

BODY = b"<html>all is well</html>\n"


@contextlib.contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # pylint: disable=invalid-name
        status = 503 if self.path == "/down" else 200
        self.send_response(status)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


class Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A look that ends in between is none of the server's errors."""


def web(w=None):
    s = Quiet(("127.0.0.1", free_port()), Pages)
    if w is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(w.pki / "collector.pem",
                                w.pki / "collector.key")
        s.socket = context.wrap_socket(s.socket, server_side=True)
    return serving(s)


class Udp:
    """Answers datagrams by a function; None: no answer."""

    def __init__(self, answer):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.1)
        self.port = self.socket.getsockname()[1]
        self.answer = answer
        self.stopped = False

    def serve_forever(self):
        while not self.stopped:
            with contextlib.suppress(TimeoutError):
                packet, peer = self.socket.recvfrom(2048)
                reply = self.answer(packet)
                if reply is not None:
                    self.socket.sendto(reply, peer)

    def shutdown(self):
        self.stopped = True

    def server_close(self):
        self.socket.close()


def soa(serial, authoritative=True, signed_days=None):
    """A server of every zone (RFC 1035), its signatures by RFC 4034."""
    def answer(query):
        flags = 0x8400 if authoritative else 0x8000
        end = query.index(b"\0", 12) + 5
        kind, = struct.unpack(">H", query[end - 4:end - 2])
        names = b"\2ns\xc0\x0c" + b"\4root\xc0\x0c"
        data = names + struct.pack(">IIIII", serial, 3600, 600, 86400, 60)
        records = [(6, data)] if kind == 6 else []
        # OPT's flags; no signature for who does not ask for it
        if signed_days is not None and query[-4] & 0x80:
            now = int(time.time())
            records += [(46, struct.pack(
                ">HBBIIIH", kind, 13, 2, 60, now + days * 86400 + 3600,
                now - 60, 7) + b"\xc0\x0c" + bytes(64))
                for days in (signed_days, signed_days - 30)]
        return (query[:2] + struct.pack(
            ">HHHHH", flags, 1, len(records), 0, 0) + query[12:end] + b"".join(
                b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) +
                data for kind, data in records))
    return answer


def ntp(offset):
    def answer(query):
        now = time.time() + offset + 2208988800
        stamp = struct.pack(">II", int(now) & 0xffffffff,
                            int((now % 1) * 2**32) & 0xffffffff)
        return (bytes([0x24, 2, 0, 0xe9]) + bytes(20) + query[40:48] +
                stamp + stamp)
    return answer


def probe(name, check, targets, *more):
    lines = "".join(f"    {line}\n" for line in more)
    listed = ", ".join(f'"{t}"' for t in targets)
    return (f"  - type: probe\n    name: {name}\n    check: {check}\n"
            f"    targets: [{listed}]\n    every: 1s\n    timeout: 3s\n{lines}")


def latest(w):
    """The newest result of each target, by check and target."""
    return {(e["kuzet.probe.check"], e["kuzet.probe.target"]): e
            for e in w.events("--flat") if "kuzet.probe.check" in e}


def results_of(w, n):
    wait_for(f"{n} targets", lambda: len(latest(w)) >= n)
    return latest(w)


def web_checks():
    """TCP, HTTP, HTTPS and certificates: what is good and what is not"""
    with World() as w, web() as plain, web(w) as secure:
        base = f"http://127.0.0.1:{plain.server_port}"
        tls = f"127.0.0.1:{secure.server_port}"
        nobody = f"127.0.0.1:{free_port()}"
        digest = hashlib.sha256(BODY).hexdigest()
        # whoever the agent is must be able to read it
        ca = w.dir / "probes-ca.pem"
        shutil.copyfile(w.pki / "ca.pem", ca)
        collector = w.start_collector()
        agent = w.start_agent(inputs=probe(
            "tcp", "tcp", [f"127.0.0.1:{plain.server_port}", nobody]) + probe(
            "good", "http", [base + "/"], f"sha256: {digest}") + probe(
            "bad", "http", [base + "/down", base + "/x"],
            f"sha256: {'0' * 64}") + probe(
            "https", "http", [f"https://{tls}/"], f"ca: {ca}",
            "certificate_days: 0") + probe(
            "tls", "tls", [tls], "certificate_days: 0"))
        seen = results_of(w, 7)
        up = seen["tcp", f"127.0.0.1:{plain.server_port}"]
        assert up["event.outcome"] == "success", up
        assert up["server.ip"] == "127.0.0.1" and up["event.duration"] > 0
        assert up["event.dataset"] == "probe.tcp"
        down = seen["tcp", nobody]
        assert down["event.outcome"] == "failure", down
        assert "refused" in down["error.message"]
        good = seen["http", base + "/"]
        assert good["event.outcome"] == "success", good
        assert good["http.response.status_code"] == 200
        assert good["kuzet.probe.body_sha256"] == digest
        assert good["http.response.body.bytes"] == len(BODY)
        assert seen["http", base + "/down"]["error.message"] == "status 503"
        assert "content" in seen["http", base + "/x"]["error.message"]
        https = seen["http", f"https://{tls}/"]
        assert https["event.outcome"] == "success", https
        assert https["kuzet.probe.found.tls.trusted"] is True
        assert https["kuzet.probe.found.tls.days_left"] >= 0
        stranger = seen["tls", tls]
        assert stranger["event.outcome"] == "failure", stranger
        assert stranger["kuzet.probe.found.tls.trusted"] is False
        assert stranger["kuzet.probe.found.tls.subject"]
        ca.unlink()
        wait_for("word of the file", lambda: f"{ca}: No such file" in latest(
            w)["http", f"https://{tls}/"].get("error.message", ""))
        assert agent.stop() == 0 and collector.stop() == 0


def dns_and_ntp():
    """zones on each of their servers, and clocks"""
    with World() as w, serving(Udp(soa(7))) as a, serving(Udp(soa(7))) as b, \
            serving(Udp(soa(6))) as old, serving(Udp(lambda q: None)) as mute, \
            serving(Udp(soa(7, signed_days=9))) as signed, \
            serving(Udp(soa(7, signed_days=1))) as ending, \
            serving(Udp(ntp(0))) as clock, serving(Udp(ntp(100))) as fast:
        def servers(*all_of):
            return "servers: [" + ", ".join(
                f'"127.0.0.1:{s.port}"' for s in all_of) + "]"
        collector = w.start_collector()
        agent = w.start_agent(inputs=probe(
            "same", "dns", ["same.example.org"], servers(a, b)) + probe(
            "late", "dns", ["late.example.org"], servers(a, b, old)) + probe(
            "part", "dns", ["part.example.org"], servers(a, mute)) + probe(
            "signed", "dns", ["signed.example.org"], servers(signed)) + probe(
            "ending", "dns", ["ending.example.org"],
            servers(signed, ending)) + probe(
            "clock", "ntp", [f"127.0.0.1:{clock.port}",
                             f"127.0.0.1:{fast.port}"]))
        seen = results_of(w, 7)
        signed = seen["dns", "signed.example.org"]
        assert signed["event.outcome"] == "success", signed
        assert signed["kuzet.probe.found.signature_days_left"] == 9
        ending = seen["dns", "ending.example.org"]
        assert ending["event.outcome"] == "failure", ending
        assert ending["kuzet.probe.found.signature_days_left"] == 1
        assert ending["error.message"] == \
            "signatures of the zone hold 1 days more"
        same = seen["dns", "same.example.org"]
        assert same["kuzet.probe.found.signed"] is False
        assert same["event.outcome"] == "success", same
        assert same["kuzet.probe.found.servers_live"] == 2
        assert same["kuzet.probe.found.serial"] == 7
        assert same["kuzet.probe.found.serial_agreement"] is True
        late = seen["dns", "late.example.org"]
        assert late["event.outcome"] == "failure", late
        assert late["kuzet.probe.found.serial_agreement"] is False
        assert late["error.message"] == "2 of 3 servers have serial 7"
        part = seen["dns", "part.example.org"]
        assert part["event.outcome"] == "failure", part
        assert part["kuzet.probe.found.servers_live"] == 1
        assert part["error.message"] == "1 of 2 servers answer"
        good = seen["ntp", f"127.0.0.1:{clock.port}"]
        assert good["event.outcome"] == "success", good
        assert abs(good["kuzet.probe.found.offset_ms"]) < 1000
        bad = seen["ntp", f"127.0.0.1:{fast.port}"]
        assert bad["event.outcome"] == "failure", bad
        assert bad["kuzet.probe.found.offset_ms"] > 99000
        assert agent.stop() == 0 and collector.stop() == 0


def outage():
    """results outlive an outage and kill -9; a change is one, maintenance too"""
    with World() as w:
        port = free_port()
        text = probe("p", "tcp", [f"127.0.0.1:{port}"],
                     'maintenance: ["00:00-24:00"]')
        w.log().touch()
        agent = w.start_agent(inputs=text)
        spool = w.dir / "web-1-state" / "spool"
        wait_for("results on disk", lambda: sum(
            p.read_bytes().count(b'"probe"') for p in spool.glob("*.seg")) >= 3)
        agent.kill()
        collector = w.start_collector()
        agent = w.start_agent(inputs=text)
        wait_for("the results of before", lambda: w.stored() >= 4)
        with serving(http.server.ThreadingHTTPServer(
                ("127.0.0.1", port), Pages)):
            wait_for("the change", lambda: any(
                e.get("kuzet.probe.changed") for e in w.events("--flat")))
        events = [e for e in w.events("--flat") if "kuzet.probe.check" in e]
        changed = [e for e in events if e["kuzet.probe.changed"]]
        assert changed[0]["event.outcome"] == "success"
        assert all(e["kuzet.probe.maintenance"] for e in events)
        assert len({e["event.id"] for e in events}) == len(events)
        assert agent.stop() == 0 and collector.stop() == 0


def reloaded():
    """SIGHUP changes targets; a look that waits holds up neither it nor SIGTERM"""
    with World() as w, serving(Udp(lambda q: None)) as mute:
        waiting = probe("wait", "dns", ["example.org"],
                        f'servers: ["127.0.0.1:{mute.port}"]')
        waiting = waiting.replace("timeout: 3s", "timeout: 60s")
        collector = w.start_collector()
        agent = w.start_agent(inputs=waiting + probe(
            "a", "tcp", [f"127.0.0.1:{free_port()}"]))
        results_of(w, 1)
        target = f"127.0.0.1:{w.port}"
        w.agent_config(inputs=waiting + probe("b", "tcp", [target]))
        agent.signal(signal.SIGHUP)
        wait_for("the new target", lambda: ("tcp", target) in latest(w))
        assert latest(w)["tcp", target]["event.outcome"] == "success"
        assert not any(check == "dns" for check, _ in latest(w))
        assert agent.stop() == 0 and collector.stop() == 0


if __name__ == "__main__":
    main([web_checks, dns_and_ntp, outage, reloaded])
