# SPDX-License-Identifier: Apache-2.0
"""A client of the API for tests, and a collector that serves it."""

import base64
import contextlib
import datetime
import hashlib
import hmac
import http.client
import json
import re
import socket
import ssl
import struct
import time
import uuid

import lumberjack
from harness import PATIENCE, SRC, World, free_port, wait_for

ROLES = ["owner", "analyst", "responder", "auditor", "administrator",
         "national-centre"]
PASSWORD = "dveri zakryty {}"

RULES = """\
title: An intruder
id: 5e1b7c1e-0c0a-4b8e-9a44-0000000000aa
status: test
author: kuzet
level: high
logsource: {product: linux}
detection:
  selection: {message|contains: "intruder"}
  condition: selection
"""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]


class Site:
    """A World whose collector serves the API on `api_port`."""

    def __init__(self, world, port, extra):
        self.world, self.port, self.extra = world, port, extra
        self.tokens = {}
        self.streams = {}

    def context(self, certificate=None):
        ctx = ssl.create_default_context(cafile=self.world.pki / "ca.pem")
        if certificate:
            ctx.load_cert_chain(self.world.pki / f"{certificate}.pem",
                                self.world.pki / f"{certificate}.key")
        return ctx

    def raw(self, certificate=None, source="127.0.0.1"):
        """A TLS connection, for what no HTTP client would send."""
        s = socket.create_connection(("127.0.0.1", self.port), PATIENCE,
                                     (source, 0))
        return self.context(certificate).wrap_socket(
            s, server_hostname="127.0.0.1")

    def raw_local(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(PATIENCE)
        s.connect(str(self.world.dir / "collector.sock"))
        return s

    def ask(self, method, path, body=None, token=None, headers=None,
            certificate=None):
        c = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=PATIENCE,
            context=self.context(certificate))
        h = dict(headers or {})
        if token:
            h["Authorization"] = f"Bearer {token}"
        if body is not None:
            h["Content-Type"] = "application/json"
            body = json.dumps(body)
        with contextlib.closing(c):
            c.request(method, path, body, h)
            r = c.getresponse()
            return Answer(r.status, r.headers, r.read().decode())

    def login(self, user, code=None, **more):
        body = {"user": user, "password": PASSWORD.format(7), **more}
        if code:
            body["code"] = code
        return self.ask("POST", "/v1/login", body)

    def local(self, method, path, body=None):
        """Over the control socket, as kuzetctl asks."""
        c = http.client.HTTPConnection("localhost", timeout=PATIENCE)
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.connect(str(self.world.dir / "collector.sock"))
        with contextlib.closing(c):
            c.request(method, path,
                      None if body is None else json.dumps(body),
                      {"Content-Type": "application/json"})
            r = c.getresponse()
            return Answer(r.status, r.headers, r.read().decode())

    def add_user(self, name, role, **more):
        r = self.local("POST", "/v1/users", {
            "user": name, "role": role, "password": PASSWORD.format(7),
            **more})
        assert r.status == 201, r.body

    def token(self, user, scope=None, **more):
        """Made locally: no time is spent on passwords."""
        r = self.local("POST", f"/v1/users/{user}/tokens",
                       {"name": "test", "scope": scope, **more})
        assert r.status == 201, r.body
        return r.json()["token"]

    def add_roles(self):
        """One user of each role, with a token for all that it may."""
        for role in ROLES:
            more = {"organization": "plant"} if role == "owner" else {}
            r = self.local("POST", "/v1/users",
                           {"user": role, "role": role, **more})
            assert r.status == 201, r.body
            self.tokens[role] = self.token(role, " ".join(scopes(role)))

    def feed(self, agent, messages):
        """Events of an agent, in the log when this returns."""
        stream = self.streams.setdefault(agent, [str(uuid.uuid4()), 0])
        events = []
        for m in messages:
            stream[1] += 100
            at = datetime.datetime.now(datetime.timezone.utc).isoformat()
            events.append({
                "@timestamp": at, "message": f"{at} {agent} app[1]: {m}",
                "log": {"offset": stream[1], "file": {"path": "/x.log"}},
                "kuzet": {"stream": stream[0], "input": "in"}})
        with lumberjack.connect(self.world, agent) as s:
            s.sendall(lumberjack.batch(events))
            assert lumberjack.read_ack(s) == len(messages)


def scopes(role):
    """What a role may; written out, to be compared with what the API does."""
    reads = ["events", "incidents", "agents"]
    return {
        "owner": reads + ["searches:write", "self"],
        "analyst": reads + ["searches:write", "incidents:write", "rules",
                            "rules:reload", "status", "self"],
        "responder": reads + ["searches:write", "incidents:write", "rules",
                              "respond",
                              "status", "self"],
        "auditor": reads + ["rules", "status", "users", "audit", "self"],
        "administrator": reads + ["searches:write", "incidents:write", "agents:write", "respond",
                                  "rules", "rules:reload", "status", "users",
                                  "users:write", "audit", "self"],
        "national-centre": ["incidents", "self"],
    }[role]


@contextlib.contextmanager
def site(api="", agents=("web-1", "web-2")):
    """Two agents of two organizations, and a rule."""
    with World(agents=agents) as w:
        port = free_port()
        (w.dir / "rules").mkdir()
        (w.dir / "rules/intruder.yml").write_text(RULES)
        w.rules = w.dir / "rules"
        extra = f"""\
organizations: {{web-2: plant}}
api:
  address: "127.0.0.1:{port}"
{api}
"""
        w.start_collector(extra)
        yield Site(w, port, extra)


def operations():
    """(method, path, operationId) of each operation of the contract."""
    path, method, found = None, None, []
    for line in (SRC / "doc/openapi.yaml").read_text().splitlines():
        if line == "components:":
            break
        if m := re.fullmatch(r"  (/\S*):", line):
            path = m[1]
        elif m := re.fullmatch(r"    (get|post|put|patch|delete):", line):
            method = m[1].upper()
        elif m := re.fullmatch(r"      operationId: (\S+)", line):
            found.append((method, path, m[1]))
    return found


def totp(secret, at=None):
    """RFC 6238, by another implementation than the collector's."""
    step = int((at or time.time()) // 30)
    mac = hmac.new(base64.b32decode(secret), struct.pack(">Q", step),
                   hashlib.sha1).digest()
    o = mac[-1] & 15
    n = struct.unpack(">I", mac[o:o + 4])[0] & 0x7fffffff
    return f"{n % 1000000:06}"


def wait_for_incidents(s, n):
    wait_for(f"{n} incidents",
             lambda: s.world.status()["incidents"] == n)
