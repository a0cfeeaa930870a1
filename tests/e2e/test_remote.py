#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kuzetctl over HTTPS: log-in, profiles, accounts, incidents."""

import json
import os
import subprocess

import harness
import https
from harness import BUILD
from https import site


def ctl(s, *args, stdin="", **env):
    return subprocess.run(
        [BUILD / "kuzetctl", *map(str, args)], input=stdin, text=True,
        capture_output=True, check=False,
        env={**s.world.env, "XDG_CONFIG_HOME": str(s.world.dir / "config"),
             **env})


def local(s, *args, **kwargs):
    return ctl(s, "--socket", s.world.dir / "collector.sock", *args, **kwargs)


def log_in(s, user, *more, stdin=https.PASSWORD.format(7) + "\n", before=()):
    return ctl(s, *before, "login", "--server", f"127.0.0.1:{s.port}", "--ca",
               s.world.pki / "ca.pem", "--user", user, *more, stdin=stdin)


def test_session():
    """a first administrator is made locally and works from afar"""
    with site("  rate: 10000") as s:
        s.feed("web-1", ["an intruder here"])
        https.wait_for_incidents(s, 1)
        r = local(s, "user", "add", "anna", "--role", "administrator",
                  stdin=https.PASSWORD.format(7) + "\n")
        assert r.returncode == 0, r.stderr
        r = log_in(s, "anna", stdin="not this one, no\n")
        assert r.returncode == 1, r.stderr
        r = log_in(s, "anna")
        assert r.returncode == 0, r.stderr
        folder = s.world.dir / "config/kuzet"
        profile = folder / "default.yaml"
        assert profile.stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        r = ctl(s, "status", "--json")
        assert json.loads(r.stdout)["ready"], r.stderr
        incident = json.loads(ctl(s, "incidents", "--json").stdout)
        r = ctl(s, "incident", "update", incident["id"], "--status", "open",
                "--assignee", "anna", "--note", "seen", "--json")
        assert json.loads(r.stdout)["assignee"] == "anna", r.stderr
        r = ctl(s, "incident", "update", incident["id"], "--status",
                "closed", "--revision", "1")
        assert r.returncode == 1 and "changed" in r.stderr, r.stderr
        r = ctl(s, "incident", "show", incident["id"])
        assert "open" in r.stdout and "anna" in r.stdout, r.stdout
        r = ctl(s, "incident", "show", "nothing")
        assert r.returncode == 1, r.returncode
        r = ctl(s, "events", "--json", "--count")
        assert json.loads(r.stdout)["count"] >= 1
        r = ctl(s, "audit", "log", "--user", "anna", "--json")
        actions = [json.loads(line)["action"] for line in r.stdout.split("\n")
                   if line]
        assert "incidents.update" in actions, actions
        os.chmod(profile, 0o644)
        r = ctl(s, "status")
        assert r.returncode == 2 and "chmod 600" in r.stderr, r.stderr
        os.chmod(profile, 0o600)
        assert ctl(s, "logout").returncode == 0
        r = ctl(s, "status")
        assert r.returncode == 1 and "login" in r.stderr, r.stderr
        # the socket is still asked where that is said
        assert local(s, "status").returncode == 0


def test_accounts():
    """users and tokens are made, changed, listed and removed"""
    with site("  rate: 10000") as s:
        word = https.PASSWORD.format(7) + "\n"
        for name, role in (("anna", "administrator"), ("ivan", "analyst")):
            r = local(s, "user", "add", name, "--role", role, stdin=word)
            assert r.returncode == 0, r.stderr
        r = local(s, "user", "add", "anna", "--role", "auditor", stdin=word)
        assert r.returncode == 1 and "already" in r.stderr, r.stderr
        r = local(s, "user", "add", "eva", "--role", "queen", stdin=word)
        assert r.returncode == 2, r.stderr
        r = local(s, "user", "add", "eva", "--role", "auditor",
                  stdin="short\n")
        assert r.returncode == 2 and "12 characters" in r.stderr, r.stderr
        r = local(s, "user", "add", "robot", "--role", "auditor",
                  "--no-password", "--certificate", s.world.pki / "web-1.pem")
        assert r.returncode == 0, r.stderr
        r = local(s, "user", "list")
        assert r.stdout.startswith("USER") and "ivan" in r.stdout, r.stdout
        # by certificate alone, in a profile of its own
        r = ctl(s, "--profile", "robot", "login", "--server",
                f"127.0.0.1:{s.port}", "--ca", s.world.pki / "ca.pem",
                "--certificate", s.world.pki / "web-1.pem",
                "--key", s.world.pki / "web-1.key")
        assert r.returncode == 0, r.stderr
        r = ctl(s, "--profile", "robot", "user", "list", "--json")
        assert r.returncode == 0 and "robot" in r.stdout, r.stderr
        r = ctl(s, "--profile", "robot", "user", "remove", "ivan")
        assert r.returncode == 1, r.stderr
        assert log_in(s, "ivan").returncode == 0
        r = ctl(s, "token", "add", "--name", "report", "--scope", "events",
                "--json")
        token = json.loads(r.stdout)
        assert s.ask("GET", "/v1/events",
                     token=token["token"]).status == 200
        r = ctl(s, "token", "list")
        assert "report" in r.stdout, r.stdout
        assert ctl(s, "token", "remove", token["id"]).returncode == 0
        assert s.ask("GET", "/v1/events", token=token["token"]).status == 401
        r = ctl(s, "token", "add", "--name", "x", "--scope", "users")
        assert r.returncode == 1, r.stderr
        # disabled: its sessions are over
        r = local(s, "user", "update", "ivan", "--disable")
        assert r.returncode == 0, r.stderr
        assert ctl(s, "events", "--count").returncode == 1
        assert local(s, "user", "remove", "ivan").returncode == 0
        assert local(s, "user", "show", "ivan").returncode == 1


def test_pinned():
    """a collector of another authority is not believed"""
    with site() as s:
        s.add_user("anna", "analyst")
        r = ctl(s, "login", "--server", f"127.0.0.1:{s.port}", "--ca",
                s.world.pki / "stranger-ca.pem", "--user", "anna",
                stdin=https.PASSWORD.format(7) + "\n")
        assert r.returncode == 1 and "certificate" in r.stderr, r.stderr
        assert "--ca" in r.stderr, r.stderr
        assert not (s.world.dir / "config/kuzet/default.yaml").exists()
        # what fails changes nothing of a profile that is there
        assert log_in(s, "anna").returncode == 0
        r = log_in(s, "anna", stdin="not this one, no\n")
        assert r.returncode == 1 and "kuzetctl" not in r.stderr[9:], r.stderr
        assert ctl(s, "incidents").returncode == 0
        # several profiles
        assert log_in(s, "anna", before=("--profile", "two")).returncode == 0
        r = ctl(s, "login", "--list", "--json")
        assert [(p["profile"], p["user"], p["session"]) for p in map(
            json.loads, r.stdout.splitlines())] == [
            ("default", "anna", True), ("two", "anna", True)], r.stdout
        assert ctl(s, "--profile", "two", "logout").returncode == 0
        r = ctl(s, "--profile", "two", "incidents")
        assert r.returncode == 1, r.stderr
        assert "kuzetctl --profile two login" in r.stderr, r.stderr
        assert ctl(s, "incidents").returncode == 0
        assert ctl(s, "--profile", "two", "logout", "--forget").returncode == 0
        assert ctl(s, "--profile", "two", "logout").returncode == 2
        assert sorted(p.name for p in (
            s.world.dir / "config/kuzet").iterdir()) == [
            "default-ca.pem", "default.yaml"]
        r = log_in(s, "anna", before=("--profile", "../x"))
        assert r.returncode == 2, r.stderr
        r = ctl(s, "--profile", "none", "status")
        assert r.returncode == 2 and "login" in r.stderr, r.stderr


def test_saved_searches():
    """a search is kept by name, run, shared, replaced and removed"""
    with site("  rate: 10000") as s:
        s.feed("web-1", ["an intruder here", "nothing"])
        for user in ("anna", "ivan"):
            s.add_user(user, "analyst")
            assert log_in(s, user, before=("--profile", user)).returncode == 0

        def search(user, *args, status=0):
            r = ctl(s, "--profile", user, "search", *args)
            assert r.returncode == status, (args, r.returncode, r.stderr)
            return r

        query = "intruder AND NOT event.dataset:kuzet.audit"
        search("anna", "--save", "strangers", query, "--since", "1h")
        search("anna", "--save", "per agent", query, "--by", "agent.id",
               "--share")
        assert "intruder here" in search("anna", "--saved", "strangers").stdout
        r = search("ivan", "--saved", "per agent", "--json")
        assert json.loads(r.stdout) == {"key": ["web-1"], "count": 1}
        r = search("ivan", "--saved", "anna/per agent")
        assert "web-1" in r.stdout and "COUNT" in r.stdout, r.stdout
        r = search("ivan", "--saved", "strangers", status=1)
        assert "--list-saved" in r.stderr, r.stderr
        listed = [json.loads(line) for line in search(
            "anna", "--list-saved", "--json").stdout.splitlines()]
        assert [(x["name"], x["visibility"]) for x in listed] == [
            ("per agent", "shared"), ("strangers", "own")], listed
        assert listed[1]["since"] == "1h", listed
        r = search("anna", "--save", "strangers", "nothing", status=1)
        assert "--replace" in r.stderr, r.stderr
        search("anna", "--save", "strangers", "nothing", "--replace")
        r = search("anna", "--saved", "strangers", "--count")
        assert r.stdout == "1\n", r.stdout
        # one's own goes before what another shares
        search("ivan", "--save", "per agent", "no such words", "--count")
        assert search("ivan", "--saved", "per agent").stdout == "0\n"
        r = search("ivan", "--delete-saved", "anna/per agent", status=1)
        assert "somebody else" in r.stderr, r.stderr
        search("anna", "--delete-saved", "per agent")
        search("anna", "--delete-saved", "per agent", status=1)
        for wrong in (["--save", "x"], ["--saved", "x", "query"],
                      ["--list-saved", "--saved", "x"], ["a", "--share"],
                      ["--save", "a/b", "query"], ["--save", "x", "a AND"]):
            search("anna", *wrong, status=2)


if __name__ == "__main__":
    harness.main([test_session, test_accounts, test_saved_searches,
                  test_pinned])
