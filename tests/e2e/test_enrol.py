#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Agents enrol by a token, renew, are revoked at once, and come back."""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading

import harness
import https
import lumberjack
from harness import BUILD, PATIENCE, USER, Process, World, free_port, wait_for

AGENT = BUILD / "kuzet-agent"


class Site:
    """A collector that enrols, and agents that have nothing yet."""

    def __init__(self, world):
        self.w = world
        self.port = free_port()
        self.collector = None

    def start(self):
        """Each agent renews a second after it got its certificate."""
        self.collector = self.w.start_collector(
            f'api: {{address: "127.0.0.1:{self.port}"}}\n'
            "enrolment: {ca_key: pki/ca.key, lifetime: 3600s, "
            "renew_before: 3599s, crl: revoked.pem}\n"
            "agent_groups: groups")

    def config(self, name, port=None, extra=""):
        path = self.w.dir / f"{name}.yaml"
        path.write_text(f"""\
collector: {{hosts: ["127.0.0.1:{port or self.w.port}"], backoff_max: 1s}}
tls:
  ca: {name}-state/tls/ca.pem
  certificate: {name}-state/tls/agent.pem
  key: {name}-state/tls/agent.key
state_dir: {name}-state
host_name: {name}
{extra}{f"user: {USER}" if USER else ""}
inputs:
  - {{type: file, paths: ["{self.w.dir}/logs/*.log"]}}
""")
        return path

    def token(self, *args):
        r = self.w.ctl("agent", "enroll-token", *args, "--json")
        return json.loads(r.stdout)

    def enroll(self, name, token, *args, port=None, stdin=None, extra=""):
        return subprocess.run(
            [AGENT, "enroll", "-c", self.config(name, extra=extra), "--server",
             f"127.0.0.1:{port or self.port}", "--token", token, *args],
            capture_output=True, text=True, input=stdin, env=self.w.env,
            timeout=PATIENCE)

    def run(self, name, extra=""):
        p = Process([AGENT, "-c", self.config(name, extra=extra)],
                    self.w.dir / f"{name}.log.txt", self.w.env)
        self.w.processes.append(p)
        return p

    def show(self, name):
        return self.w.ctl_json("agent", "show", name)[0]

    def file(self, name, which):
        return self.w.dir / f"{name}-state/tls/{which}"


    def shipped(self):
        return self.w.ctl_json("events", "--count", "--where",
                               f"log.file.path={self.w.log()}")[0]["count"]

    def wait_shipped(self, n):
        wait_for(f"{n} lines", lambda: self.shipped() >= n)


@contextlib.contextmanager
def site():
    with World(agents=("web-1",)) as w:
        w.rules = w.dir / "rules"
        w.rules.mkdir()
        (w.dir / "groups").mkdir()
        (w.rules / "one.yml").write_text(https.RULES)
        s = Site(w)
        s.start()
        yield s


def audited(s, action):
    return [e for e in s.w.ctl_json("audit", "log") if e["action"] == action]


def life(s):
    """enrolled, shipping, renewed, revoked, back again: no line lost or twice"""
    made = s.token("--name", "db-1", "--group", "databases")
    assert made["uses"] == 1 and made["agent"] == "db-1"
    # for people times are to the second
    listed = s.w.ctl("agent", "enroll-token", "--list").stdout
    assert f" {made['expires'][:19]}Z\n" in listed, listed
    r = s.enroll("db-1", made["token"])
    assert r.returncode == 0, r.stderr
    assert 'is the agent "db-1" now' in r.stdout
    assert f"127.0.0.1:{s.w.port} lets it in" in r.stdout
    key = s.file("db-1", "agent.key")
    assert key.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE KEY" not in s.file("db-1", "agent.pem").read_bytes()
    first = s.show("db-1")["identity"]
    assert first["state"] == "enrolled" and first["group"] == "databases"
    assert not s.w.ctl_json("agent", "enroll-token", "--list")

    s.w.write_lines(0, 500)
    agent = s.run("db-1")
    s.wait_shipped(500)
    written = [500]

    def renewed():  # lines come while it happens
        s.w.write_lines(written[0], 50)
        written[0] += 50
        return len(s.show("db-1")["identity"]["certificates"]) >= 3
    wait_for("two renewals", renewed)
    assert agent.alive(), agent.text()
    s.wait_shipped(written[0])
    s.w.check_delivery({"a.log": written[0]})
    assert s.show("db-1")["identity"]["serial"] != first["serial"]
    assert "certificate until" in subprocess.run(
        [AGENT, "status", "-c", s.config("db-1")], capture_output=True,
        text=True, check=True).stdout

    s.w.ctl("agent", "revoke", "db-1", "--reason", "stolen")
    wait_for("it to be out", lambda: not s.show("db-1")["connected"])
    gone = s.show("db-1")["identity"]
    assert gone["state"] == "revoked" and gone["reason"] == "stolen"
    assert all("revoked" in c for c in gone["certificates"])
    s.w.write_lines(written[0], 50)
    refused = "CN=db-1: certificate revoked"
    wait_for("it to be refused", lambda: refused in s.collector.text())
    # and it stays out, also of a collector that starts anew
    s.collector.stop()
    before = s.collector.text().count(refused)
    s.start()
    wait_for("another refusal",
             lambda: s.collector.text().count(refused) > before)
    assert s.shipped() == written[0]
    assert not s.show("db-1")["connected"]
    agent.stop()

    # whoever has the old token, or none with its name, gets nothing
    r = s.enroll("db-1", made["token"], "--force")
    assert r.returncode == 1 and "used already" in r.stderr, r.stderr
    r = s.enroll("db-1", s.token()["token"], "--force")
    assert r.returncode == 1 and "--name db-1" in r.stderr, r.stderr
    r = s.enroll("db-1", "-", "--force",
                 stdin=s.token("--name", "db-1")["token"] + "\n")
    assert r.returncode == 0, r.stderr
    agent = s.run("db-1")
    written[0] += 50

    s.wait_shipped(written[0])
    s.w.check_delivery({"a.log": written[0]})
    assert s.show("db-1")["identity"]["state"] == "enrolled"
    agent.stop()
    assert [e["status"] for e in audited(s, "agents.revoke")] == [204]
    assert {e["status"] for e in audited(s, "agents.enroll")} == {
        201, 401, 409}
    assert all(e["user"] == "db-1" for e in audited(s, "agents.renew"))


GOVERNED = """\
heartbeat: 500ms
central: {accept: true, paths: ["%s/group/**"]}
response: {enabled: [collect_evidence], evidence: ["%s/group/a.log"]}
"""


def governed(s):
    """a token's group is configured, and orders are taken, by no hand"""
    w = s.w
    (w.dir / "group").mkdir()
    (w.dir / "group/a.log").write_text("of the group's file\n")
    (w.dir / "groups/mail.yaml").write_text(
        f'inputs: [{{type: file, name: extra, paths: ["{w.dir}/group/*"]}}]\n')
    # a pattern of another file counts less
    (w.dir / "groups/any.yaml").write_text('agents: ["mail-*"]\ninputs: []\n')
    w.ctl("agent", "config", "push")
    key = w.dir / "orders.pub"
    key.unlink(missing_ok=True)  # of those who enrolled before
    extra = GOVERNED % (w.dir, w.dir)
    check = [AGENT, "-c", s.config("mail-1", extra=extra), "--check-config"]
    r = s.enroll("mail-1", s.token("--group", "mail")["token"], extra=extra)
    assert r.returncode == 0, r.stderr
    assert 'It is in the group "mail".' in r.stdout, r.stdout
    assert key.read_text() == w.ctl("agent", "config", "key").stdout
    # whoever the agent becomes, this is not its to change
    assert (key.stat().st_uid, key.stat().st_mode & 0o777) == (
        os.geteuid(), 0o644)
    subprocess.run(check, check=True, capture_output=True)
    agent = s.run("mail-1", extra)

    def applied():
        return [c for c in w.ctl_json("agent", "config", "show")
                if c["agent"] == "mail-1" and c["state"] == "applied"]
    [shown] = wait_for("its configuration", applied)
    assert shown["enrolled_for"] == "mail" and shown["group"] == "mail.yaml"
    wait_for("the line", lambda: w.ctl_json(
        "events", "--where", "event.original=of the group's file"))

    def taken():  # in the first seconds after its start it is not done
        r = w.ctl("respond", "collect", "--agent", "mail-1", "--reason",
                  "a test", "--json", check=False)
        a = json.loads(r.stdout) if r.stdout else {}
        return a.get("result") == "done" or "ask again" in a.get("message", "")
    wait_for("an order to be taken", taken)
    agent.stop()
    # a key that the owner put there stays, unless told otherwise
    key.write_text("other\n")
    r = subprocess.run(check, capture_output=True, text=True, check=False)
    assert r.returncode == 2 and "central.key" in r.stderr, r.stderr
    r = s.enroll("mail-2", s.token()["token"], extra=extra)
    assert r.returncode == 1 and "kuzetctl agent config key" in r.stderr, r
    assert s.file("mail-2", "agent.pem").exists() and key.read_text() == (
        "other\n")
    key.unlink()
    r = subprocess.run(check, capture_output=True, text=True, check=False)
    assert r.returncode == 2 and "kuzet-agent enroll writes it" in r.stderr
    r = s.enroll("mail-2", s.token("--name", "mail-2", "--replace")["token"],
                 "--force", extra=extra)
    assert r.returncode == 0 and "BEGIN PUBLIC KEY" in key.read_text(), r


def mistakes(s):
    """each mistake has its message; nothing is half done"""
    good = s.token()["token"]
    cases = [
        ("no token", "secret", [], 2, "no enrolment token"),
        ("half a token", good[:80], [], 2, "damaged"),
        ("nobody there", good, ["--server", f"127.0.0.1:{free_port()}"],
         1, "cannot reach"),
        ("no API", good, ["--server", f"127.0.0.1:{s.w.port}"], 1, ""),
        ("a name that is none", good, ["--name", "web 1"], 1,
         "names no agent"),
    ]
    for what, token, args, status, says in cases:
        r = s.enroll("web-2", token, *args)
        assert r.returncode == status, (what, r.stdout, r.stderr)
        assert says in r.stderr, (what, r.stderr)
        assert not s.file("web-2", "agent.pem").exists(), what
    unknown = good[:72] + "0" * 32
    unknown += "." + hashlib.sha256(unknown.encode()).hexdigest()[:8]
    r = s.enroll("web-2", unknown)
    assert r.returncode == 1 and "not known here" in r.stderr, r.stderr
    assert s.enroll("web-2", good).returncode == 0
    r = s.enroll("web-2", s.token()["token"])
    assert r.returncode == 1 and "--force" in r.stderr, r.stderr
    # a live name is nobody else's
    shutil.rmtree(s.w.dir / "web-2-state")
    r = s.enroll("web-2", s.token()["token"])
    assert r.returncode == 1 and "already" in r.stderr, r.stderr
    r = s.enroll("web-2", s.token("--name", "web-2", "--replace")["token"])
    assert r.returncode == 0, r.stderr
    assert s.show("web-2")["identity"]["state"] == "enrolled"
    # not yet enrolled: the agent says what to do
    s.config("web-3")
    r = subprocess.run([AGENT, "-c", s.w.dir / "web-3.yaml",
                        "--check-config"], capture_output=True, text=True)
    assert r.returncode == 2 and "kuzet-agent enroll" in r.stderr, r.stderr


class Sister:
    """Another collector with the same authority, and the list of the first."""

    def __init__(self, s):
        self.s, self.port = s, free_port()
        self.dir = s.w.dir / "sister"
        self.dir.mkdir()
        (self.dir / "c.yaml").write_text(f"""\
listeners: {{beats: {{address: "127.0.0.1:{self.port}"}}}}
tls: {{ca: ../pki/ca.pem, certificate: ../pki/collector.pem,
  key: ../pki/collector.key, crl: ../revoked.pem}}
state_dir: state
control: c.sock
rules: [../rules]
""")
        self.process = Process(
            [BUILD / "kuzet-collector", "-c", self.dir / "c.yaml"],
            self.dir / "log", s.w.env)
        s.w.processes.append(self.process)

    def takes(self, name):
        """an event of that agent"""
        ctx = ssl.create_default_context(cafile=self.s.w.pki / "ca.pem")
        ctx.check_hostname = False
        ctx.load_cert_chain(self.s.file(name, "agent.pem"),
                            self.s.file(name, "agent.key"))
        try:
            with socket.create_connection(("127.0.0.1", self.port),
                                          PATIENCE) as raw:
                with ctx.wrap_socket(raw) as t:
                    t.sendall(lumberjack.batch([{"message": "x"}]))
                    return lumberjack.read_ack(t) == 1
        except (OSError, ssl.SSLError):
            return False


def sisters(s):
    """who is revoked is refused by others that read the list, at once"""
    assert s.enroll("ftp-1", s.token()["token"]).returncode == 0
    assert s.enroll("ftp-2", s.token()["token"]).returncode == 0
    crl = s.w.dir / "revoked.pem"
    sister = Sister(s)
    wait_for("it to take events", lambda: sister.takes("ftp-1"))
    s.w.ctl("agent", "revoke", "ftp-1")
    wait_for("it to be refused", lambda: not sister.takes("ftp-1"))
    # connections end when the list changes, and come again
    wait_for("the other to be taken", lambda: sister.takes("ftp-2"))
    assert not sister.takes("ftp-1"), sister.process.text()
    said = subprocess.run(
        ["openssl", "crl", "-in", crl, "-noout", "-text", "-verify",
         "-CAfile", s.w.pki / "ca.pem"], capture_output=True, text=True,
        check=True)
    assert "verify OK" in said.stderr and "CRL Number" in said.stdout, said
    [serial] = [c["serial"] for c in s.show("ftp-1")["identity"][
        "certificates"]]
    assert serial.upper() in said.stdout.replace(":", ""), said.stdout
    sister.process.stop()


class Impostor(threading.Thread):
    """A TLS server that notes what it is told."""

    def __init__(self, pki, name):
        super().__init__(daemon=True)
        self.told, self.handshakes, self.failed = b"", 0, 0
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            try:
                with self.ctx.wrap_socket(conn, server_side=True) as t:
                    self.handshakes += 1
                    self.told += t.recv(65536)
            except (OSError, ssl.SSLError):
                self.failed += 1


def in_between(s):
    """somebody in between, with another authority, is told nothing"""
    token = s.token()["token"]
    for name in ("stranger-collector", "expired-collector", "otherhost"):
        evil = Impostor(s.w.pki, name)
        r = s.enroll("web-4", token, port=evil.port)
        assert r.returncode == 1, r.stdout
        assert "nothing was sent" in r.stderr, (name, r.stderr)
        wait_for("the connection to end",
                 lambda: evil.handshakes + evil.failed > 0)
        evil.sock.close()
        assert evil.told == b"", (name, evil.told)
        assert token.split(".")[2].encode() not in evil.told
    assert s.enroll("web-4", token).returncode == 0


def at_once(s):
    """of those who use one token at once, one becomes an agent"""
    token = s.token()["token"]
    names = [f"many-{i}" for i in range(4)]
    for name in names:
        s.config(name)
    running = [subprocess.Popen(
        [AGENT, "enroll", "-c", s.w.dir / f"{name}.yaml", "--server",
         f"127.0.0.1:{s.port}", "--token", token],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=s.w.env) for name in names]
    outcomes = [p.communicate(timeout=PATIENCE) + (p.returncode,)
                for p in running]
    assert sorted(o[2] for o in outcomes) == [0, 1, 1, 1], outcomes
    assert all("used already" in o[1] for o in outcomes if o[2]), outcomes
    listed = [a["agent"] for a in s.w.ctl_json("agent", "list")
              if a["agent"].startswith("many-")]
    assert len(listed) == 1, listed


def main():
    """One collector for all."""
    with site() as s:
        tests = []
        for check in (life, governed, sisters, mistakes, in_between,
                      at_once):
            def test(check=check):
                check(s)
            test.__name__, test.__doc__ = check.__name__, check.__doc__
            tests.append(test)
        try:
            harness.main(tests)
        except SystemExit as e:
            if e.code:
                raise  # with the logs


if __name__ == "__main__":
    main()
