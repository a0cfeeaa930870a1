#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The store as its keeper and an auditor meet it: real programs only."""

import contextlib
import http.server
import json
import os
import re
import sqlite3
import subprocess
import tarfile
import threading

from harness import BUILD, SRC, World, main, small_disk, wait_for, write_failures
from lumberjack import batch, connect, read_ack

LINES = 3000


def ctl(w, *args, check=None):
    """kuzetctl without a socket; (status, objects of standard output)."""
    r = subprocess.run([BUILD / "kuzetctl", *map(str, args), "--json"],
                       capture_output=True, text=True, env=w.env, check=False)
    if check is not None:
        assert r.returncode == check, (args, r.returncode, r.stderr)
    return [json.loads(line) for line in r.stdout.splitlines()]


def filled(w, extra="", n=LINES):
    """A collector that stored n lines, and has it acknowledged."""
    collector = w.start_collector(extra)
    with connect(w) as s:
        for i in range(0, n, 500):
            s.sendall(batch([{"event": {"id": f"id-{k}"},
                              "message": f"line {k} of peer",
                              "source": {"ip": "192.0.2.7"}}
                             for k in range(i, min(i + 500, n))]))
            assert read_ack(s) == min(500, n - i)
    wait_for("the events", lambda: w.stored() == n)
    return collector


def state(w):
    return w.dir / "collector-state"


def day_files(w):
    return sorted(p for p in state(w).iterdir()
                  if re.fullmatch(r"\d{4}-\d\d-\d\d\.db", p.name))


def change(path, sql):
    with sqlite3.connect(path) as db:
        db.executescript(sql)
    db.close()


def verified_online_and_offline():
    """verify says so online, offline, and after kill -9"""
    with World() as w:
        collector = filled(w)
        last = w.ctl_json("store", "verify")[-1]
        assert last["events"] == LINES and last["damaged"] == 0, last
        collector.kill()
        last = ctl(w, "store", "verify", "--dir", state(w), check=0)[-1]
        assert last["events"] == LINES and last["damaged"] == 0, last
        collector = w.start_collector()
        assert collector.stop() == 0
        last = ctl(w, "store", "verify", "--dir", state(w), check=0)[-1]
        assert last["unsigned"] == 0 and last["heads"] > 0, last


def damage_named():
    """a changed and a removed block are named, offline and online"""
    with World() as w:
        collector = filled(w)
        assert collector.stop() == 0
        [day] = day_files(w)
        change(day, "UPDATE block_data SET data = zeroblob(100) WHERE id = 2")
        found = ctl(w, "store", "verify", "--dir", state(w), check=1)
        assert found[0]["block"] == 2 and found[0]["problem"] == "changed"
        assert found[0]["file"] == str(day) and found[-1]["damaged"] == 1
        change(day, "DELETE FROM blocks WHERE id = 1")
        collector = w.start_collector()
        r = w.ctl("store", "verify", "--json", check=False)
        assert r.returncode == 1, r
        found = [json.loads(line) for line in r.stdout.splitlines()]
        assert [f["problem"] for f in found[:-1]] == ["missing", "changed"]
        assert collector.stop() == 0


def follow_recipe(folder):
    """The exit status of each step of the proof's own README, literally."""
    readme = (folder / "README.txt").read_text()
    steps = re.findall(r"^\d\. .*\n((?:     .*\n)+)", readme, re.M)
    assert len(steps) == 5, readme
    return [run_step(folder, step) for step in steps[:4]]


def run_step(folder, step):
    return subprocess.run(["sh", "-c", step], cwd=folder, check=False,
                          capture_output=True).returncode


def recipe_step(folder, number):
    readme = (folder / "README.txt").read_text()
    return run_step(folder, re.search(
        rf"^{number}\. .*\n((?:     .*\n)+)", readme, re.M).group(1))


def unpack(proof, folder):
    with tarfile.open(proof) as tar:
        tar.extractall(folder)
    return folder


def proven():
    """an event is proven, and the proof is checked with sha256sum, openssl"""
    with World() as w:
        collector = filled(w)
        proof = w.dir / "proof.tar"
        w.ctl("store", "verify", "--event", "id-1234", "--out", proof)
        r = subprocess.run(["sh", "-e", "-c", manual_recipe()], cwd=w.dir,
                           capture_output=True, text=True, check=False)
        assert r.returncode == 0, r
        assert "Signature Verified Successfully" in r.stdout, r
        assert follow_recipe(w.dir / "proof") == [0] * 4
        event = json.loads((w.dir / "proof/event.json").read_text())
        assert event["event"]["id"] == "id-1234"
        # a line that never was is none of the commit
        line = (w.dir / "proof/event.json")
        line.write_text(line.read_text().replace("1234", "9999"))
        forged = (w.dir / "proof/lines.jsonl")
        text = forged.read_text()
        forged.write_text(text.replace("line 1234 ", "line 4321 "))
        results = follow_recipe(w.dir / "proof")
        assert results[0] != 0 and results[1] != 0, results
        assert results[2] == 0 and results[3] == 0, results
        head = w.dir / "proof/head.txt"
        head.write_text(head.read_text().replace("events: ", "events: 1"))
        results = follow_recipe(w.dir / "proof")
        assert results[3] != 0, results
        r = w.ctl("store", "verify", "--event", "id-none", check=False)
        assert r.returncode == 1 and "no event" in r.stderr, r
        assert collector.stop() == 0
        # offline the same
        os.unlink(proof)
        ctl(w, "store", "verify", "--dir", state(w), "--event", "id-7",
            "--out", proof, check=0)
        assert follow_recipe(unpack(proof, w.dir / "proof2")) == [0] * 4


def blocks(w):
    """How many blocks the day files hold."""
    n = 0
    for day in day_files(w):
        with sqlite3.connect(f"file:{day}?mode=ro", uri=True) as db:
            n += db.execute("SELECT count(*) FROM block_data").fetchone()[0]
        db.close()
    return n


def merged_while_it_runs():
    """small blocks are merged while it runs; nothing that is seen changes"""
    with World() as w:
        collector = w.start_collector()
        n = 1100
        with connect(w) as s:
            for i in range(n):  # a window, and so a block, for each
                s.sendall(batch([{"event": {"id": f"id-{i}"},
                                  "message": f"line {i}"}]))
                assert read_ack(s) == 1
        wait_for("the blocks to be merged", lambda: blocks(w) < n // 2)
        events = w.events()
        assert [e["event"]["id"] for e in events] == \
            [f"id-{i}" for i in range(n)]
        last = w.ctl_json("store", "verify")[-1]
        assert last["events"] == n and last["damaged"] == 0, last
        collector.kill()
        last = ctl(w, "store", "verify", "--dir", state(w), check=0)[-1]
        assert last["events"] == n and last["damaged"] == 0, last


def kept_by_command():
    """stats, archive, restore and prune take --dir or the configuration"""
    with World() as w:
        archive = w.dir / "archive"
        collector = filled(w, f"store: {{archive: {archive}, keep: 30d}}")
        [day] = day_files(w)
        config = ["--config", w.dir / "collector.yaml"]
        days = ctl(w, *config, "store", "stats", check=0)
        assert days[0]["day"] == day.stem and days[0]["open"], days
        assert days[-1]["events"] == LINES and days[-1]["days"] == 1, days
        assert ctl(w, "store", "stats", "--dir", state(w), check=0) == days
        r = subprocess.run([BUILD / "kuzetctl", *config, "store", "archive",
                            day.stem], capture_output=True, text=True,
                           env=w.env, check=False)
        assert r.returncode == 2 and "newest day" in r.stderr, r
        assert not ctl(w, *config, "store", "archive", "--all", check=0)
        assert not ctl(w, *config, "store", "prune", check=0)
        assert day.exists()
        for wrong in (["archive"], ["archive", "--all", "--dir", state(w)],
                      ["restore", "2020-01-01", "--dir", state(w)],
                      ["prune", "--dir", state(w)], ["stats", "x"],
                      ["prune", "--dir", state(w), "--keep", "soon"]):
            r = subprocess.run([BUILD / "kuzetctl", "store", *wrong],
                               capture_output=True, text=True, env=w.env,
                               check=False)
            assert r.returncode == 2 and r.stderr, (wrong, r)
        assert collector.stop() == 0


def make_authority(folder):
    """An RFC 3161 authority of openssl's own, and its CA."""
    folder.mkdir()
    (folder / "tsa.cnf").write_text(f"""\
[req]
distinguished_name = dn
prompt = no
[dn]
CN = Test authority
[ca]
basicConstraints = critical, CA:true
[stamping]
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/ca.pem
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.1
signer_digest = sha256
digests = sha256
ess_cert_id_alg = sha256
""")
    (folder / "serial").write_text("01\n")

    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, cwd=folder,
                       capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2,
            "-config", "tsa.cnf", "-extensions", "ca", "-keyout", "ca.key",
            "-out", "ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-config", "tsa.cnf",
            "-subj", "/CN=stamps", "-keyout", "tsa.key", "-out", "tsa.csr")
    openssl("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey",
            "ca.key", "-CAcreateserial", "-days", 2, "-extfile", "tsa.cnf",
            "-extensions", "stamping", "-out", "tsa.pem")


class Authority(http.server.BaseHTTPRequestHandler):
    folder = None
    lies = 0  # answers that are of another request

    def do_POST(self):  # pylint: disable=invalid-name
        query = self.rfile.read(int(self.headers["Content-Length"]))
        (self.folder / "query").write_bytes(query)
        if type(self).lies > 0:
            type(self).lies -= 1
            subprocess.run(["openssl", "ts", "-query", "-data", "tsa.cnf",
                            "-sha256", "-cert", "-out", "query"], check=True,
                           cwd=self.folder, capture_output=True)
        r = subprocess.run(["openssl", "ts", "-reply", "-config", "tsa.cnf",
                            "-queryfile", "query", "-out", "answer"],
                           cwd=self.folder, capture_output=True, check=False)
        self.send_response(200 if r.returncode == 0 else 500)
        self.end_headers()
        if r.returncode == 0:
            self.wfile.write((self.folder / "answer").read_bytes())

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


@contextlib.contextmanager
def authority(folder, lies=0):
    make_authority(folder)
    handler = type("Here", (Authority,), {"folder": folder, "lies": lies})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def manual_recipe():
    """What kuzet-store(5) says to type, from its source."""
    page = (SRC / "doc/man/kuzet-store.5").read_text()
    text = re.search(r"^(mkdir proof .*?)^\.Ed", page, re.M | re.S).group(1)
    return text.replace("\\e", "\\")


def stamps(w):
    with sqlite3.connect(day_files(w)[0]) as db:
        n = db.execute("SELECT count(*) FROM heads WHERE timestamp IS NOT NULL"
                       ).fetchone()[0]
    db.close()
    return n


def stamped():
    """an authority stamps the heads, and openssl checks its stamp"""
    with World() as w, authority(w.dir / "tsa") as url:
        collector = filled(w, f"store: {{sign_every: 1s, tsa: {{url: '{url}',"
                           f" ca: {w.dir / 'tsa/ca.pem'}}}}}", 500)
        wait_for("a stamp", lambda: stamps(w) > 0)
        proof = w.dir / "proof.tar"
        w.ctl("store", "verify", "--event", "id-7", "--out", proof)
        folder = unpack(proof, w.dir / "proof")
        assert follow_recipe(folder) == [0] * 4
        (folder / "tsa-ca.pem").write_bytes((w.dir / "tsa/ca.pem").read_bytes())
        assert recipe_step(folder, 5) == 0
        (folder / "head.sig").write_bytes(bytes(64))
        assert recipe_step(folder, 5) != 0
        assert w.ctl_json("store", "verify")[-1]["stamps"] > 0
        assert collector.stop() == 0
        stamps_are_verified(w)


def stamps_are_verified(w):
    verify = ["store", "verify", "--dir", state(w)]
    last = ctl(w, *verify, "--tsa-ca", w.dir / "tsa/ca.pem", check=0)[-1]
    assert last["stamps"] == stamps(w) and last["damaged"] == 0, last
    make_authority(w.dir / "other")
    found = ctl(w, *verify, "--tsa-ca", w.dir / "other/ca.pem", check=1)
    assert found[0]["problem"] == "changed", found
    assert "time stamp" in found[0]["message"], found
    assert found[-1]["stamps"] == 0, found
    # without a CA the stamp of another head is found, not another authority's
    assert ctl(w, *verify, check=0)[-1]["stamps"] == last["stamps"]
    change(day_files(w)[0], "UPDATE heads SET signature = randomblob(64)")
    found = ctl(w, *verify, check=1)
    assert any("time stamp" in f.get("message", "") for f in found), found


def false_stamps_refused():
    """a stamp of something else is refused, and said"""
    with World() as w, authority(w.dir / "tsa", lies=100) as url:
        collector = filled(w, f"store: {{sign_every: 1s, tsa: {{url: '{url}',"
                           f" ca: {w.dir / 'tsa/ca.pem'}}}}}", 500)
        wait_for("the refusal", lambda: "wait for their time stamps" in
                 collector.text())
        assert stamps(w) == 0
        assert collector.stop() == 0


def fill(ballast, room):
    """Takes all of the disk but so many bytes."""
    with open(ballast, "wb", buffering=0) as f, \
            contextlib.suppress(OSError):
        while True:
            f.write(bytes(4096))
    os.truncate(ballast, max(ballast.stat().st_size - room, 0))


ROOMS = (0, 100, 600)  # KiB left of the disk, in turn


def full_at_any_write():
    """a disk that is full at any write stops ACKs, not reads, and recovers"""
    with World() as w, small_disk(w.dir / "disk", "32m") as disk:
        ballast = disk / "ballast"
        lines = 200
        write_failures(w, 0, lines)
        collector = w.start_collector(
            "store: {sign_every: 1s}", state="disk/state")
        agent = w.start_agent()
        wait_for("the first lines", lambda: w.stored() == lines)
        for room in ROOMS:
            fill(ballast, room << 10)
            said = collector.text().count("is full")
            write_failures(w, lines, 3000)
            lines += 3000
            wait_for("the full disk to be noticed",
                     lambda: collector.text().count("is full") > said)
            assert len(w.ctl_json("events", "--limit", "5")) == 5
            assert w.ctl_json("incidents"), "reads go on"
            ballast.unlink()
            wait_for("every line", lambda: w.stored() == lines)
            wait_for("correlation", w.correlated)
        assert w.ctl_json("store", "verify")[-1]["damaged"] == 0
        said = [json.dumps(i["group"]) for i in w.ctl_json("incidents")]
        assert len(set(said)) == (lines + 99) // 100, len(set(said))
        assert collector.stop() == 0 and agent.stop() == 0
        last = ctl(w, "store", "verify", "--dir", disk / "state", check=0)[-1]
        assert last["events"] == lines and last["unsigned"] == 0, last


if __name__ == "__main__":
    main([verified_online_and_offline, damage_named, proven,
          merged_while_it_runs, kept_by_command, full_at_any_write,
          stamped, false_stamps_refused])
