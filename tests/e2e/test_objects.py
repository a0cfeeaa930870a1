#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The register of objects: whose an event is, and what the register lacks."""

import json
import os
import re

import https
from harness import SRC, World, main, wait_for

REGISTER = """\
organizations:
  - id: works
    bin: "010440000025"
    name: {kk: Зауыт, ru: Завод}
    networks: [192.0.2.0/24]
  - id: bank
    name: {kk: Банк, ru: Банк}
  - {id: hoster}
objects:
  - id: portal
    name: {kk: Портал, ru: Портал услуг}
    kind: S8
    criticality: critical
    class: 1
    owner: works
    holder: bank
    hosting: hoster
    agents: [web-1]
    networks: [192.0.2.0/28]
    silent_after: 0s
  - id: quiet
    name: {kk: Тыныш, ru: Тихий}
    kind: S33
    class: 3
    owner: works
    silent_after: 2s
  - id: mended
    name: {kk: Жөндеу, ru: В ремонте}
    kind: S33
    class: 3
    owner: works
    silent_after: 2s
    maintenance:
      - {from: "2020-01-01T00:00:00Z", until: "2090-01-01T00:00:00Z"}
"""
AGENT = "5e9c1b64-2f38-4c0b-b7a6-3d8e1f6a7c33"
ADDRESS = "8b2d4e70-9a5c-4d1f-a3c8-7e6f0b5d4e44"
SILENT = "d95f0a2b-7c41-4d83-8e16-62b3c8f1a966"


def world():
    w = World(agents=("web-1", "web-2"))
    (w.dir / "objects.yaml").write_text(REGISTER)
    w.rules = SRC / "rules/packs/objects"
    return w


def incidents(w, rule):
    return w.ctl_json("incidents", "--rule", rule)


def replace(path, text):
    """At once, as `kuzetctl objects import` does."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


def of_agent(w, agent):
    return [e for e in w.events("--flat") if e.get("agent.id") == agent]


def test_whose_it_is():
    """events say whose they are, and what no object claims is found"""
    with world() as w:
        w.start_collector("objects: objects.yaml")
        s = https.Site(w, 0, "")
        s.feed("web-1", ["hello from 192.0.2.5", "again"])
        s.feed("web-2", ["a stranger"])
        for e in of_agent(w, "web-1"):
            want = {
                "kuzet.object.id": "portal",
                "kuzet.object.name": ["Портал", "Портал услуг"],
                "kuzet.object.kind": "S8",
                "kuzet.object.criticality": "critical",
                "kuzet.object.class": 1, "kuzet.object.owner": "works",
                "kuzet.object.holder": "bank",
                "kuzet.object.hosting": "hoster",
                "organization.id": "works", "organization.name": "Завод"}
            assert {k: e.get(k) for k in want} == want, e
        stranger = of_agent(w, "web-2")
        assert len(stranger) == 1, stranger
        assert stranger[0]["organization.id"] == "default"
        assert "kuzet.object.id" not in stranger[0]
        wait_for("an incident of the unregistered agent",
                 lambda: incidents(w, AGENT))
        s.feed("web-2", ["once more"])
        found = [e for e in of_agent(w, "kuzet-collector")
                 if e.get("event.action") == "object-unregistered"]
        assert [e["kuzet.unregistered.agent"] for e in found] == ["web-2"]
        assert found[0]["organization.id"] == "default"
        assert incidents(w, AGENT)[0]["group"] == {
            "kuzet.unregistered.agent": "web-2"}


def test_own_addresses():
    """an address of the owner's networks that no object claims is found"""
    with world() as w:
        w.start_collector("objects: objects.yaml")
        s = https.Site(w, 0, "")
        sshd = "sshd[1]: Failed password for root from {} port 22 ssh2"
        s.feed("web-1", [f"x{i}" for i in range(3)])
        lines = ["192.0.2.5", "192.0.2.77", "198.51.100.1", "192.0.2.77"]
        feed_lines(s, "web-1", [sshd.format(a) for a in lines])
        assert [e.get("source.ip") for e in of_agent(w, "web-1")][3:] == lines
        wait_for("an incident of the unregistered address",
                 lambda: incidents(w, ADDRESS))
        found = [e for e in of_agent(w, "kuzet-collector")
                 if "kuzet.unregistered.address" in e]
        assert [e["source.ip"] for e in found] == ["192.0.2.77"], found
        assert found[0]["organization.id"] == "works"
        assert found[0]["kuzet.unregistered.seen_by"] == "web-1"


def feed_lines(s, agent, messages):
    """Lines as sshd's host writes them, without a year."""
    import lumberjack
    stream = s.streams[agent]
    events = []
    for m in messages:
        stream[1] += 100
        events.append({
            "message": f"Nov 22 01:02:03 web-1 {m}",
            "log": {"offset": stream[1], "file": {"path": "/x.log"}},
            "kuzet": {"stream": stream[0], "input": "in"}})
    with lumberjack.connect(s.world, agent) as c:
        c.sendall(lumberjack.batch(events))
        assert lumberjack.read_ack(c) == len(messages)


def test_silence_and_reload():
    """a silent object is found, but not in its maintenance; a change acts"""
    with world() as w:
        p = w.start_collector("objects: objects.yaml")
        s = https.Site(w, 0, "")
        wait_for("an incident of the silent object",
                 lambda: incidents(w, SILENT))
        register = w.dir / "objects.yaml"
        replace(register, REGISTER.replace("class: 3", "class: 9"))
        wait_for("the broken register to be refused",
                 lambda: "reload refused" in p.text())
        said = next(x for x in p.text().splitlines() if "reload ref" in x)
        assert "objects.yaml:24: " in said and "class" in said, said
        s.feed("web-1", ["still known"])
        assert of_agent(w, "web-1")[0]["kuzet.object.class"] == 1
        replace(register, REGISTER.replace("class: 1", "class: 2"))
        wait_for("the mended register to be used",
                 lambda: "reloaded: " in p.text())
        s.feed("web-1", ["changed"])
        assert of_agent(w, "web-1")[1]["kuzet.object.class"] == 2
        found = incidents(w, SILENT)
        assert [i["group"] for i in found] == [
            {"kuzet.object.id": "quiet"}], found
        told = [e for e in of_agent(w, "kuzet-collector")
                if e.get("event.action") == "object-unmonitored"]
        assert len(told) == 1, told
        assert told[0]["kuzet.object.owner"] == "works"
        assert told[0]["organization.name"] == "Завод"


def test_personal_data():
    """personal data is masked or hashed before anything is stored"""
    with world() as w:
        (w.dir / "personal.key").write_bytes(bytes(range(32)))
        (w.dir / "personal.key").chmod(0o600)
        w.start_collector("personal_data: {iin: hash, card: mask, "
                          "phone: hash, key: personal.key}")
        s = https.Site(w, 0, "")
        s.feed("web-1", ["user 850101300124 paid with 4111 1111 1111 1111",
                         "sms to +7 (701) 123-45-67",
                         "sms to 87011234567", "user 850101300125 failed"])
        first, second, third, wrong = of_agent(w, "web-1")
        iin = re.search(r"iin_[0-9a-f]{32}", first["message"])[0]
        assert "paid with **** **** **** 1111" in first["event.original"]
        assert iin in first["event.original"], first
        phones = {re.search(r"phone_[0-9a-f]{32}", e["message"])[0]
                  for e in (second, third)}
        assert len(phones) == 1, phones
        assert "850101300125" in wrong["message"], wrong
        text = json.dumps(w.events())
        for secret in ("850101300124", "4111 1111", "701) 123",
                       "7011234567"):
            assert secret not in text, secret
        found = w.ctl_json("search", f"message:{iin}")
        assert len(found) == 1, found
        assert w.ctl("store", "verify").returncode == 0


if __name__ == "__main__":
    main([test_whose_it_is, test_own_addresses, test_silence_and_reload,
          test_personal_data])
