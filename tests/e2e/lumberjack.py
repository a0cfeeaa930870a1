# SPDX-License-Identifier: Apache-2.0
"""A Lumberjack v2 client for tests: honest, or lying where the test says so."""

import json
import socket
import ssl
import struct
import zlib

from harness import PATIENCE


def window(n):
    return struct.pack(">2sI", b"2W", n)


def event(seq, payload):
    if not isinstance(payload, bytes):
        payload = json.dumps(payload).encode()
    return struct.pack(">2sII", b"2J", seq, len(payload)) + payload


def compressed(frames, level=1):
    body = zlib.compress(frames, level)
    return struct.pack(">2sI", b"2C", len(body)) + body


def batch(payloads, pack=True):
    """One window of these payloads."""
    frames = b"".join(event(i, p) for i, p in enumerate(payloads, 1))
    return window(len(payloads)) + (compressed(frames) if pack else frames)


def connect(world, name="web-1", port=None, timeout=PATIENCE):
    ctx = ssl.create_default_context(cafile=world.pki / "ca.pem")
    ctx.check_hostname = False
    if name is not None:
        ctx.load_cert_chain(world.pki / f"{name}.pem",
                            world.pki / f"{name}.key")
    raw = socket.create_connection(("127.0.0.1", port or world.port), timeout)
    return ctx.wrap_socket(raw)


def read_ack(sock):
    """The next ACK that is no keep-alive; None when the peer closed."""
    while True:
        data = b""
        while len(data) < 6:
            try:
                more = sock.recv(6 - len(data))
            except (ConnectionError, ssl.SSLError):
                return None
            if not more:
                return None
            data += more
        kind, seq = struct.unpack(">2sI", data)
        assert kind == b"2A", data
        if seq != 0:
            return seq


def closed(sock):
    """Whether the peer ends the connection without acknowledging anything."""
    return read_ack(sock) is None
