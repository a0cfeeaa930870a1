#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The register of objects: whose an event is, and what the register lacks."""

import datetime
import functools
import json
import os
import re
import tempfile
import time

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
    attestation: {certificate: "№ 118", issued: 2026-02-02}
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
    attestation: {certificate: "№ 7", expires: 2020-01-31}
    maintenance:
      - {from: "2020-01-01T00:00:00Z", until: "2090-01-01T00:00:00Z"}
"""
AGENT = "5e9c1b64-2f38-4c0b-b7a6-3d8e1f6a7c33"
ADDRESS = "8b2d4e70-9a5c-4d1f-a3c8-7e6f0b5d4e44"
VOLUME = "a81f3d6c-27e4-4b90-8c5d-e6094fb1a723"
SILENT = "d95f0a2b-7c41-4d83-8e16-62b3c8f1a966"
ATTESTED = "e46c0b57-91fa-4d3c-8f60-d5a7b238916d"


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


def test_who_may_see():
    """an owner sees its own objects; status and metrics count"""
    register = """\
organizations: [{id: plant}, {id: default}]
objects:
  - {id: mine, name: {kk: Менікі, ru: Моё}, kind: S33, class: 2,
     owner: plant, agents: [web-2]}
  - {id: theirs, name: {kk: Олардікі, ru: Их}, kind: other, class: 3,
     owner: default, agents: [web-1]}
"""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        f.write(register)
        f.flush()
        with https.site(f"  rate: 10000\nobjects: {f.name}") as s:
            s.feed("web-2", ["hello"])
            s.feed("web-1", ["hello"])
            s.add_roles()
            for role, ids in (("owner", ["mine"]),
                              ("analyst", ["mine", "theirs"])):
                t = s.tokens[role]
                rows = s.ask("GET", "/v1/objects", token=t).lines()
                got = [r for r in rows if "id" in r]
                assert [r["id"] for r in got] == ids, rows
                assert got[0]["monitoring"] == "monitored", got
                assert got[0]["owner"]["id"] == "plant", got
                assert got[0]["name"]["kk"] == "Менікі", got
                one = s.ask("GET", "/v1/objects/theirs", token=t)
                assert one.status == (404 if role == "owner" else 200)
            one = s.ask("GET", "/v1/objects/mine", token=s.tokens["owner"])
            assert one.json()["class"] == 2, one.body
            status = s.world.status()
            assert status["objects"] == {
                "registered": 2, "unmonitored": 0, "findings": 0,
                "findings_left_out": 0}, status
            assert status["unparsed_by_program"].get("app") == 2, status
            metrics = s.ask("GET", "/metrics",
                            token=s.tokens["analyst"]).body
            assert "kuzet_objects_registered 2" in metrics, metrics
            assert ('kuzet_events_unparsed_by_program_total{program="app"} 2'
                    in metrics), metrics
            shapes = s.world.ctl_json("normalizers", "unparsed")
            assert shapes[0]["program"] == "app", shapes
            assert shapes[0]["count"] == 2, shapes
            assert shapes[0]["shape"] == "hello", shapes


def test_register_offline():
    """kuzetctl objects: list, show, check, export, import"""
    with world() as w:
        path = w.dir / "objects.yaml"
        ctl = functools.partial(w.ctl, "objects", check=False)
        at = ("--file", path)
        ids = [x["id"] for x in w.ctl_json("objects", "list", *at)]
        assert ids == ["portal", "quiet", "mended"], ids
        assert "owner: \"works\"" in ctl("show", "portal", *at).stdout
        assert ctl("show", "nothing", *at).returncode == 1
        assert "3 objects, 3 organizations" in ctl("check", *at).stdout
        before = ctl("export", "--format", "json", *at).stdout
        table = w.dir / "t.csv"
        table.write_text(ctl("export", *at).stdout)
        done = ctl("import", table, *at)
        assert done.returncode == 0 and "3 changed" in done.stderr, done
        assert ctl("export", "--format", "json", *at).stdout == before
        (w.dir / "copy.yaml").write_text(
            ctl("export", "--format", "yaml", *at).stdout)
        assert ctl("export", "--format", "json", "--file",
                   w.dir / "copy.yaml").stdout == before
        table.write_text(
            "\ufeffid;name_kk;name_ru;class;owner;hosts\r\n"
            'gate;Қақпа;"Шлюз ""А""; первый";2;newcomer;g-1 g-2\r\n')
        done = ctl("import", table, *at)
        assert "1 objects added" in done.stderr, done
        gate = w.ctl_json("objects", "show", "gate", *at)[0]
        assert gate["name"]["ru"] == 'Шлюз "А"; первый', gate
        assert gate["hosts"] == ["g-1", "g-2"], gate
        assert gate["owner"] == {"id": "newcomer"}, gate
        kept = path.read_text()
        for bad, said in (
                ("id,name_kk,name_ru,class,owner\nx,а,а,9,works\n",
                 "t.csv:2: class: 1, 2 or 3"),
                ("id,name\n", "t.csv:1: there is no column \"name\""),
                ("id,agents,name_kk,name_ru,class,owner\n"
                 "x,web-1,а,а,1,works\n", "claimed by \"portal\" too"),
                ('id,name_kk\n"x', "a quote is not closed")):
            table.write_text(bad)
            done = ctl("import", table, *at)
            assert done.returncode == 2 and said in done.stderr, done
        assert path.read_text() == kept
        assert len(w.ctl_json("objects", "kinds")) == 41


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
        wait_for("one of the attestation that has ended",
                 lambda: incidents(w, ATTESTED))
        register = w.dir / "objects.yaml"
        replace(register, REGISTER.replace("class: 3", "class: 9"))
        wait_for("the broken register to be refused",
                 lambda: "reload refused" in p.text())
        said = next(x for x in p.text().splitlines() if "reload ref" in x)
        assert "objects.yaml:25: " in said and "class" in said, said
        s.feed("web-1", ["still known"])
        first = of_agent(w, "web-1")[0]
        assert first["kuzet.object.class"] == 1
        assert first["kuzet.object.attestation"] == "№ 118"
        replace(register, REGISTER.replace("class: 1", "class: 2"))
        wait_for("the mended register to be used",
                 lambda: "reloaded: " in p.text())
        s.feed("web-1", ["changed"])
        assert of_agent(w, "web-1")[1]["kuzet.object.class"] == 2
        found = incidents(w, SILENT)
        assert [i["group"] for i in found] == [
            {"kuzet.object.id": "quiet"}], found
        assert found[0]["owner"]["bin"] == "010440000025", found
        assert [o["id"] for o in found[0]["objects"]] == ["quiet"], found
        assert found[0]["objects"][0]["owner"]["name"] == {
            "kk": "Зауыт", "ru": "Завод"}, found
        ended = incidents(w, ATTESTED)
        assert [i["group"] for i in ended] == [
            {"kuzet.object.id": "mended"}], ended
        own = of_agent(w, "kuzet-collector")
        told = [e for e in own if e.get("event.action") == "attestation-ended"]
        assert len(told) == 1 and told[0]["kuzet.attestation.days_left"] < -2000
        told = [e for e in own if e.get("event.action") == "object-unmonitored"]
        assert len(told) == 1, told
        assert told[0]["kuzet.object.owner"] == "works"
        assert told[0]["organization.name"] == "Завод"


def message(time_s, megabytes):
    """What a gateway writes of one answer."""
    return json.dumps({
        "@timestamp": datetime.datetime.fromtimestamp(
            time_s, datetime.timezone.utc).isoformat(),
        "event": {"dataset": "egov.gateway", "action": "message_exchanged"},
        "source": {"ip": "192.0.2.5"},
        "destination": {"bytes": megabytes << 20}})


def test_volume():
    """an hour beyond a system's own history at the gateway is found"""
    with world() as w:
        p = w.start_collector("objects: objects.yaml")
        s = https.Site(w, 0, "")
        # the hour that has settled, or the next one, if that settles now
        hour = int(time.time() - 600) // 3600 * 3600
        s.feed("web-1", [message(hour - h * 3600 + 60, 1)
                         for h in range(3, 33)] +
               [message(hour - 3600 + 60, 20), message(hour + 60, 90)])
        assert of_agent(w, "web-1")[0]["event.dataset"] == "egov.gateway"
        assert p.stop() == 0
        w.start_collector("objects: objects.yaml")
        wait_for("an incident of the volume", lambda: incidents(w, VOLUME))
        found, = incidents(w, VOLUME)
        assert found["group"] == {"source.ip": "192.0.2.5"}, found
        for e in of_agent(w, "kuzet-collector"):
            if e.get("event.action") == "volume-unusual":
                assert e["kuzet.volume.bytes"] in (20 << 20, 90 << 20), e
                assert e["organization.id"] == "works", e


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
    main([test_whose_it_is, test_who_may_see, test_register_offline,
          test_own_addresses, test_silence_and_reload, test_volume,
          test_personal_data])
