#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the API gives over HTTPS, beside the control socket and static files.

Fills a collector with EVENTS (200,000) and has curl export what a search finds,
all of them, over HTTPS and over the UNIX socket; then asks REQUESTS (20,000)
small things over four connections that stay open.  Peers give the same bytes as
a file: `openssl s_server -WWW`, and nginx where PATH or NGINX has it.  Prints
JSON, one object a line; on a busy machine the server's processor seconds are
the figure to compare, not the wall clock's.
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from bench import Parser
import harness
import https

CONNECTIONS = 4
TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """Processor seconds of a process and of those that it made."""
    total = 0.0
    for task in (pid, *children(pid)):
        stat = pathlib.Path(f"/proc/{task}/stat").read_text()
        total += sum(map(int, stat.rsplit(")", 1)[1].split()[11:13])) / TICKS
    return total


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(x) for x in text.split()]


def curl(pki, args, out=subprocess.DEVNULL):
    return subprocess.Popen(["curl", "-sSf", "--cacert", pki / "ca.pem",
                             *map(str, args)], stdout=out)


def report(server, what, pid, run, n, size):
    began, used = time.monotonic(), cpu(pid)
    for process in run():
        assert process.wait() == 0, (server, what)
    wall, used = time.monotonic() - began, cpu(pid) - used
    line = {"server": server, "what": what, "wall_s": round(wall, 2),
            "server_cpu_s": round(used, 2)}
    if size:
        line.update(mb=round(size / 1e6, 1),
                    mb_per_s=round(size / 1e6 / wall, 1),
                    mb_per_cpu_s=round(size / 1e6 / max(used, 0.01), 1))
    if n > 1:
        line.update(requests=n, per_s=round(n / wall),
                    per_cpu_s=round(n / max(used, 0.01)))
    print(json.dumps(line), flush=True)


def export(server, pid, pki, args, size):
    report(server, "export", pid, lambda: [curl(pki, args)], 1, size)


def small(server, pid, pki, url, n, args=()):
    # a fragment is not sent: the same request n times, on one connection
    each = n // CONNECTIONS
    report(server, "small", pid, lambda: [
        curl(pki, [*args, f"{url}#[1-{each}]"]) for _ in range(CONNECTIONS)],
        each * CONNECTIONS, 0)


def fill(s, n):
    line = ("Failed password for invalid user {} from 198.51.100.{} port {} "
            "ssh2")
    for i in range(0, n, 10000):
        s.feed("web-1", [line.format(f"u{k % 997}", k % 251, 1024 + k % 60000)
                         for k in range(i, min(i + 10000, n))])


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(
            ("127.0.0.1", port)):
        return True
    return False


@contextlib.contextmanager
def running(args, port, **more):
    process = subprocess.Popen(list(map(str, args)),
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, **more)
    try:
        harness.wait_for("the peer", lambda: listens(port))
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def openssl_server(pki, folder, size):
    port = harness.free_port()
    with running(["openssl", "s_server", "-accept", f"127.0.0.1:{port}",
                  "-WWW", "-quiet", "-cert", pki / "collector.pem",
                  "-key", pki / "collector.key"], port, cwd=folder) as pid:
        export("openssl s_server", pid, pki,
               [f"https://127.0.0.1:{port}/export"], size)


def nginx(pki, folder, size, n):
    program = os.environ.get("NGINX") or shutil.which("nginx")
    if not program:
        print(json.dumps({"server": "nginx", "skipped": "not installed"}))
        return
    port = harness.free_port()
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in (
        "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = folder / "nginx.conf"
    conf.write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; user root;\n"
        f"error_log {folder}/error.log;\nevents {{}}\n"
        f"http {{ access_log off; {temporary} keepalive_requests 1000000;\n"
        f"server {{ listen 127.0.0.1:{port} ssl; root {folder};\n"
        f"ssl_certificate {pki}/collector.pem;\n"
        f"ssl_certificate_key {pki}/collector.key; }} }}\n")
    with running([program, "-c", conf, "-p", folder], port) as pid:
        export("nginx", pid, pki, [f"https://127.0.0.1:{port}/export"], size)
        small("nginx", pid, pki, f"https://127.0.0.1:{port}/small", n)


def main(events, requests):
    with https.site("  rate: 100000") as s, \
            tempfile.TemporaryDirectory() as name:
        folder, pki = pathlib.Path(name), s.world.pki
        folder.chmod(0o755)
        fill(s, events)
        s.add_user("exporter", "auditor")
        token = ["-H", "Authorization: Bearer "
                 + s.token("exporter", "events self")]
        base = f"https://127.0.0.1:{s.port}"
        query = "/v1/search?query=failed&sort=arrival"
        pid = s.world.processes[-1].popen.pid
        with open(folder / "export", "wb") as out:
            assert curl(pki, [*token, base + query], out).wait() == 0
        size = (folder / "export").stat().st_size
        (folder / "small").write_text('{"status":"ok"}\n')
        export("kuzet, HTTPS", pid, pki, [*token, base + query], size)
        export("kuzet, control socket", pid, pki, [
            "--unix-socket", s.world.dir / "collector.sock",
            "http://kuzet" + query], size)
        small("kuzet, HTTPS, without log-in", pid, pki, base + "/healthz",
              requests)
        small("kuzet, HTTPS, with a token", pid, pki, base + "/v1/me",
              requests, token)
        openssl_server(pki, folder, size)
        nginx(pki, folder, size, requests)


if __name__ == "__main__":
    p = Parser(__doc__, "kuzet-agent", "kuzet-collector", "kuzetctl")
    p.add_argument("events", nargs="?", type=int, default=200000,
                   help="default 200,000")
    p.add_argument("requests", nargs="?", type=int, default=20000,
                   help="default 20,000")
    args = p.parse()
    main(args.events, args.requests)
