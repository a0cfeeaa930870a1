#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The API over HTTPS: who may what, and what strangers can do to it."""

import contextlib
import hashlib
import ssl
import time
import warnings

import harness
import https
from harness import wait_for
from https import ROLES, site

# TLS records (RFC 8446, 5.1)
ALERT, SERVER_HELLO = b"\x15", b"\x16"

# Who may each operation; "all": every role, None: everybody without log-in.
# An operation that has no row here fails the matrix.
ALL = set(ROLES)
SOC = {"analyst", "responder", "auditor", "administrator"}
READERS = SOC | {"owner"}
WORKERS = {"analyst", "responder", "administrator"}
ADMIN = {"administrator"}
KEEPERS = WORKERS | {"owner"}
MATRIX = {
    "health": None,
    "login": None,
    "logout": ALL,
    "me.show": ALL,
    "me.password": ALL,
    "me.totp.begin": ALL,
    "me.totp.confirm": ALL,
    "me.tokens.list": ALL,
    "me.tokens.add": ALL,
    "me.tokens.remove": ALL,
    "openapi": ALL,
    "events.list": READERS,
    "search": READERS,
    "histogram": READERS,
    "searches.list": READERS,
    "searches.add": KEEPERS,
    "searches.show": READERS,
    "searches.update": KEEPERS,
    "searches.remove": KEEPERS,
    "searches.run": READERS,
    "detections.list": READERS,
    "incidents.list": ALL,
    "incidents.show": ALL,
    "incidents.update": WORKERS,
    "live": ALL,
    "agents.list": READERS,
    "agents.revoke": ADMIN,
    "agents.enroll": None,
    "agents.renew": None,
    "enroll_tokens.list": ADMIN,
    "enroll_tokens.add": ADMIN,
    "enroll_tokens.remove": ADMIN,
    "configs.list": READERS,
    "configs.key": READERS,
    "configs.check": ADMIN,
    "configs.push": ADMIN,
    "orders.list": READERS,
    "orders.show": READERS,
    "respond": {"responder", "administrator"},
    "objects.list": READERS,
    "objects.show": READERS,
    "rules.list": SOC,
    "rules.show": SOC,
    "rules.reload": {"analyst", "administrator"},
    "status": SOC,
    "store.stats": SOC,
    "store.verify": {"auditor", "administrator"},
    "store.proof": {"auditor", "administrator"},
    "metrics": SOC,
    "users.list": {"auditor", "administrator"},
    "users.add": ADMIN,
    "users.show": {"auditor", "administrator"},
    "users.update": ADMIN,
    "users.remove": ADMIN,
    "users.tokens.add": ADMIN,
    "tokens.list": {"auditor", "administrator"},
    "tokens.remove": ADMIN,
    "audit.list": {"auditor", "administrator"},
}
FAST = "  rate: 10000"


def concrete(path):
    return path.replace("{id}", "999999").replace(
        "{name}", "nobody").replace("{agent}", "nobody")


def test_matrix():
    """each operation is for the roles that it is for, and for no other"""
    with site(FAST) as s:
        s.feed("web-1", ["something to verify"])
        s.add_roles()
        for method, path, operation in https.operations():
            may = MATRIX[operation]
            body = None if method in ("GET", "DELETE") else {"no such": 1}
            if operation in ("live", "logout"):
                body, method = None, "PUT" if operation == "live" else method
            nobody = s.ask(method, concrete(path), body).status
            if may is None:
                assert nobody not in (401, 403), (operation, nobody)
                continue
            assert nobody == 401, (operation, nobody)
            if operation in ("live", "logout"):
                continue  # they end what the others need: tested below
            for role in ROLES:
                got = s.ask(method, concrete(path), body, s.tokens[role])
                if role in may:
                    assert got.status in (200, 202, 400, 404), (
                        operation, role, got.status, got.body)
                else:
                    assert got.status == 403, (operation, role, got.status)
        # a token without the scope may as little as a role without the right
        bare = s.token("administrator", "self")
        for method, path, operation in https.operations():
            if MATRIX[operation] and MATRIX[operation] != ALL:
                got = s.ask(method, concrete(path), None, bare)
                assert got.status == 403, (operation, got.status)


def test_nothing_before_login():
    """who has not logged in learns nothing"""
    with site() as s:
        health = s.ask("GET", "/healthz")
        assert health.status == 200 and health.json() == {"status": "ok"}
        known = s.ask("GET", "/v1/events")
        unknown = s.ask("GET", "/v1/no/such/thing")
        method = s.ask("DELETE", "/v1/events")
        for r in (known, unknown, method):
            assert r.status == 401, r.status
            assert r.json() == {"error": "log in first"}, r.body
            for h in ("Server", "X-Powered-By"):
                assert h not in r.headers
            assert r.headers["X-Content-Type-Options"] == "nosniff"
            assert "max-age" in r.headers["Strict-Transport-Security"]
            assert r.headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in r.headers["Content-Security-Policy"]
        s.add_user("anna", "analyst")
        wrong = s.ask("POST", "/v1/login", {
            "user": "anna", "password": "another password"})
        none = s.ask("POST", "/v1/login", {
            "user": "nobody", "password": "another password"})
        assert wrong.status == none.status == 401
        assert wrong.body == none.body
        for bad in ("kzs_0", "", "x" * 5000, "kzt_" + "0" * 64):
            assert s.ask("GET", "/v1/events", token=bad or "-").status == 401


def test_methods():
    """HEAD is GET without what it answers; OPTIONS says what there is"""
    with site(FAST) as s:
        s.feed("web-1", ["something", "more"])
        s.add_user("anna", "administrator")
        t = s.token("anna", "events incidents users users:write self")
        for path, status in (("/healthz", 200), ("/v1/events", 200),
                             ("/v1/search?query=more", 200),
                             ("/v1/live", 200), ("/v1/nothing", 404),
                             ("/v1/search?query=a+AND", 400),
                             ("/v1/audit", 403), ("/v1/login", 405)):
            r = s.ask("HEAD", path, token=t)
            assert (r.status, r.body) == (status, ""), (path, r.status)
        # and the next request of that connection has its answer
        sock = s.raw()
        sock.sendall((b"HEAD /v1/events HTTP/1.1\r\nHost: x\r\n"
                      b"Authorization: Bearer " + t.encode() + b"\r\n\r\n")
                     * 2 + b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
                     b"Connection: close\r\n\r\n")
        answer = b""
        while more := sock.recv(4096):
            answer += more
        assert answer.count(b"HTTP/1.1 200 ") == 3, answer
        assert answer.count(b"x-ndjson") == 2, answer
        assert answer.count(b"{") == 1, answer
        for path, allow in (("/v1/users", "GET, HEAD, POST, OPTIONS"),
                            ("/v1/users/anna",
                             "GET, HEAD, PATCH, DELETE, OPTIONS"),
                            ("/v1/me/password", "PUT, OPTIONS")):
            r = s.ask("OPTIONS", path, token=t)
            assert (r.status, r.headers["Allow"]) == (204, allow), r.headers
            r = s.ask("TRACE", path, token=t)
            assert (r.status, r.headers["Allow"]) == (405, allow), r.headers
        assert s.ask("OPTIONS", "/v1/users").status == 401
        assert s.ask("OPTIONS", "/v1/nothing", token=t).status == 404


def test_owner_sees_its_own():
    """an owner of objects sees those of its organization and no others"""
    with site(FAST) as s:
        s.feed("web-1", ["an intruder here", "a"])
        s.feed("web-2", ["an intruder there", "b", "c"])
        https.wait_for_incidents(s, 2)
        s.add_roles()
        for role, agents in (("owner", {"web-2"}),
                             ("analyst", {"web-1", "web-2"})):
            t = s.tokens[role]
            events = [e for e in s.ask(
                "GET", "/v1/events?flat=1", token=t).lines()
                if e.get("event.dataset") != "kuzet.audit"]
            owners = {e["organization.id"] for e in events}
            assert owners == ({"plant"} if role == "owner"
                              else {"plant", "default"}), owners
            n = 3 if role == "owner" else 5
            assert len(events) == n
            count = s.ask("GET", "/v1/events?count=1&where=agent.id=web-1",
                          token=t).json()
            assert count == {"count": 0 if role == "owner" else 2}, count
            got = {a["agent"] for a in s.ask(
                "GET", "/v1/agents", token=t).lines()}
            assert got - {"kuzet-collector"} == agents, got
            assert role != "owner" or got == agents
            objects = s.ask("GET", "/v1/objects", token=t).lines()
            assert len(objects) == len(agents), objects
            incidents = s.ask("GET", "/v1/incidents", token=t).lines()
            assert {a for i in incidents for a in i["agents"]} == agents
            spans = s.ask("GET", "/v1/histogram?query=intruder+AND+NOT+"
                          "event.dataset:kuzet.audit",
                          token=t).lines()
            assert sum(x.get("count", 0) for x in spans) == len(agents), spans
            found = s.ask("GET", "/v1/detections", token=t).lines()
            assert len(found) == len(agents), found
        every = s.ask("GET", "/v1/incidents",
                      token=s.tokens["national-centre"]).lines()
        assert len(every) == 2
        foreign = next(i for i in every if i["agents"] == ["web-1"])
        r = s.ask("GET", f"/v1/incidents/{foreign['id']}",
                  token=s.tokens["owner"])
        assert r.status == 404, r.status


def test_saved_searches():
    """a saved search is its owner's; who runs it sees what it may see"""
    with site(FAST) as s:
        s.feed("web-1", ["an intruder here", "nothing"])
        s.feed("web-2", ["an intruder there"])
        s.add_roles()
        t = s.tokens
        analyst, owner, admin = t["analyst"], t["owner"], t["administrator"]
        wanted = {"name": "чужие", "query": "intruder AND NOT "
                  "event.dataset:kuzet.audit", "visibility": "shared",
                  "since": "1h", "by": ["organization.id"], "limit": 10}
        made = s.ask("POST", "/v1/searches", wanted, analyst)
        assert made.status == 201, made.body
        made = made.json()
        assert made["owner"] == "analyst" and made["mine"], made
        assert {k: made[k] for k in wanted} == wanted, made
        path = f"/v1/searches/{made['id']}"
        assert s.ask("GET", path, token=analyst).json() == made
        again = s.ask("POST", "/v1/searches", wanted, analyst)
        assert again.status == 409, again.body

        def found(token, more=""):
            r = s.ask("GET", path + "/run" + more, token=token)
            assert r.status == 200, r.body
            return r.lines()

        groups = {tuple(g["key"]): g["count"] for g in found(analyst)}
        assert groups == {("default",): 1, ("plant",): 1}, groups
        # what is given goes before what was saved
        assert found(analyst, "?since=2001-01-01&until=2001-01-02") == []
        assert found(analyst, "?limit=1")[0]["count"] == 1
        # shared by the SOC: not with the owner of an organization's objects
        assert s.ask("GET", path, token=owner).status == 404
        assert s.ask("GET", path + "/run", token=owner).status == 404
        assert s.ask("GET", "/v1/searches", token=owner).lines() == []
        # one of an organization is seen by the SOC, who then see it all
        r = s.ask("POST", "/v1/searches",
                  {**wanted, "name": "ours"}, owner).json()
        path = f"/v1/searches/{r['id']}"
        assert [g["key"] for g in found(owner)] == [["plant"]]
        assert len(found(analyst)) == 2
        # others may run it, and neither change nor remove it
        for method, body in (("PUT", wanted), ("DELETE", None)):
            r = s.ask(method, path, body, analyst)
            assert r.status == 403, (method, r.status)
        # unshared it is nobody's but its owner's, and an administrator's
        r = s.ask("PUT", path, {**wanted, "name": "ours", "revision": 1,
                                "visibility": "own"}, owner)
        assert r.status == 200 and r.json()["revision"] == 2, r.body
        r = s.ask("PUT", path, {**wanted, "revision": 1}, owner)
        assert r.status == 409, r.body
        assert s.ask("GET", path, token=analyst).status == 404
        assert s.ask("GET", "/v1/searches?name=ours",
                     token=admin).lines() == []
        listed = s.ask("GET", "/v1/searches?all=1&name=ours", token=admin)
        assert [x["owner"] for x in listed.lines()] == ["owner"], listed.body
        assert s.ask("GET", "/v1/searches?all=1",
                     token=analyst).status == 403
        # what could not be run is not kept
        for bad, word in (({"query": "a AND"}, "column"),
                          ({"since": "yesterday-ish"}, "since"),
                          ({"by": ["a", "b", "c", "d"]}, "by"),
                          ({"by": "source.ip"}, "by"),
                          ({"every": "0"}, "every"),
                          ({"visibility": "world"}, "visibility"),
                          ({"name": ""}, "name"), ({"name": "a/b"}, "name"),
                          ({"name": "x" * 65}, "name"),
                          ({"colour": "red"}, "colour")):
            r = s.ask("POST", "/v1/searches", {**wanted, "name": "bad", **bad},
                      analyst)
            assert r.status == 400 and word in r.body, (bad, r.body)
        # who is removed leaves what others use
        r = s.ask("POST", "/v1/searches",
                  {"name": "mine", "query": ""}, analyst)
        assert r.status == 201, r.body
        assert s.ask("DELETE", "/v1/users/analyst", token=admin).status == 204
        names = {x["name"] for x in s.ask(
            "GET", "/v1/searches?all=1", token=admin).lines()}
        assert names == {"чужие", "ours"}, names
        assert s.ask("DELETE", path, token=admin).status == 204
        assert s.ask("DELETE", path, token=admin).status == 404

        def audited(action, status, detail):
            return any(
                (e["user"], e["action"], e["status"]) ==
                ("analyst", action, status) and detail in e.get("detail", "")
                for e in s.ask("GET", "/v1/audit", token=admin).lines())

        for entry in (("searches.add", 201, "чужие"),
                      ("searches.run", 200, "чужие"),
                      ("searches.remove", 403, "")):
            wait_for(entry, lambda e=entry: audited(*e))


def test_incident_is_worked_on():
    """a person's word on an incident counts, on the state it was given on"""
    with site(FAST) as s:
        s.feed("web-1", ["an intruder here"])
        https.wait_for_incidents(s, 1)
        s.add_roles()
        t = s.tokens["analyst"]
        listed = s.ask("GET", "/v1/incidents", token=t).json()
        path = f"/v1/incidents/{listed['id']}"
        shown = s.ask("GET", path, token=t).json()
        assert shown["status"] == "new" and shown["notes"] == []
        edit = {"revision": shown["revision"], "status": "open",
                "assignee": "anna", "note": "looking at it"}
        done = s.ask("PATCH", path, edit, t)
        assert done.status == 200, done.body
        new = done.json()
        assert new["status"] == "open" and new["assignee"] == "anna"
        assert new["notes"][0]["text"] == "looking at it"
        assert new["notes"][0]["author"] == "analyst"
        assert new["revision"] > shown["revision"]
        again = s.ask("PATCH", path, edit, t)
        assert again.status == 409, again.status
        for bad in ({"revision": new["revision"]},
                    {"revision": new["revision"], "status": "solved"},
                    {"revision": new["revision"], "note": ""},
                    {"status": "open"}):
            assert s.ask("PATCH", path, bad, t).status == 400, bad
        # more events change what the machine says, and not what a person said
        s.feed("web-1", ["the intruder again"])
        wait_for("a second incident or a change",
                 lambda: s.world.correlated())
        still = s.ask("GET", path, token=t).json()
        assert still["status"] == "open" and still["assignee"] == "anna"


def test_sessions_of_browsers():
    """a cookie alone changes nothing: the page must know the session's word"""
    with site(FAST) as s:
        s.add_user("anna", "administrator")
        r = s.login("anna", cookie=True)
        assert r.status == 200 and "token" not in r.json(), r.body
        cookie = r.headers["Set-Cookie"]
        for word in ("__Host-kuzet=kzs_", "HttpOnly", "Secure",
                     "SameSite=Strict", "Path=/"):
            assert word in cookie, cookie
        csrf = r.json()["csrf"]
        jar = {"Cookie": cookie.split(";")[0]}
        assert s.ask("GET", "/v1/me", headers=jar).json()["csrf"] == csrf
        new = {"user": "ivan", "role": "analyst"}
        for headers in ({}, {"X-CSRF-Token": "0" * 32},
                        {"X-CSRF-Token": csrf,
                         "Sec-Fetch-Site": "cross-site"}):
            r = s.ask("POST", "/v1/users", new, headers={**jar, **headers})
            assert r.status == 403, (headers, r.status)
        r = s.ask("POST", "/v1/users", new,
                  headers={**jar, "X-CSRF-Token": csrf,
                           "Sec-Fetch-Site": "same-origin"})
        assert r.status == 201, r.body
        r = s.ask("POST", "/v1/logout",
                  headers={**jar, "X-CSRF-Token": csrf})
        assert r.status == 204 and "Max-Age=0" in r.headers["Set-Cookie"]
        assert s.ask("GET", "/v1/me", headers=jar).status == 401


def test_second_factor():
    """a second factor is set up, asked for, and each code counts once"""
    with site(FAST) as s:
        s.add_user("anna", "analyst")
        t = s.login("anna").json()["token"]
        r = s.ask("POST", "/v1/me/totp", {"password": "not this one, no"}, t)
        assert r.status == 409, r.status
        r = s.ask("POST", "/v1/me/totp",
                  {"password": https.PASSWORD.format(7)}, t)
        secret = r.json()["secret"]
        assert r.json()["uri"].startswith("otpauth://totp/kuzet:anna?")
        code = https.totp(secret, time.time() - 30)
        r = s.ask("PUT", "/v1/me/totp", {"code": code}, t)
        assert r.status == 204, r.body
        r = s.login("anna")
        assert r.status == 401 and "code" in r.json()["error"], r.body
        assert s.login("anna", code).status == 401
        code = https.totp(secret)
        assert s.login("anna", code).status == 200
        assert s.login("anna", code).status == 401


def test_certificates():
    """a client certificate of an account logs in; another is nobody's"""
    with site(FAST) as s:
        pem = (s.world.pki / "web-1.pem").read_text()
        der = ssl.PEM_cert_to_DER_cert(pem)
        s.add_user("robot", "auditor",
                   certificate=hashlib.sha256(der).hexdigest())
        me = s.ask("GET", "/v1/me", certificate="web-1")
        assert me.status == 200, me.body
        assert me.json()["user"] == "robot", me.body
        assert me.json()["by"] == "certificate"
        assert s.ask("GET", "/v1/me", certificate="web-2").status == 401
        assert s.ask("GET", "/v1/me").status == 401
        try:
            refused = s.ask("GET", "/v1/me", certificate="stranger").status
        except (OSError, ssl.SSLError):
            refused = 0
        assert refused == 0, "a certificate of a stranger is let in"


def test_live():
    """who listens hears of incidents and detections, an owner of its own"""
    with site(FAST) as s:
        s.add_roles()
        ears = {}
        for role in ("analyst", "owner", "national-centre"):
            ears[role] = s.raw()
            ears[role].sendall(
                b"GET /v1/live HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                + s.tokens[role].encode() + b"\r\n\r\n")
            assert b"text/event-stream" in hear(ears[role], b":\n\n")
        s.feed("web-1", ["an intruder here"])
        s.feed("web-2", ["an intruder there"])
        for role, agents, kinds in (
                ("analyst", 2, (b"incident", b"detection")),
                ("owner", 1, (b"incident", b"detection")),
                ("national-centre", 2, (b"incident",))):
            text = b""
            for kind in kinds:
                want = b"event: " + kind + b"\n"
                while text.count(want) < agents:
                    text += hear(ears[role], b"\n\n")
            if role == "owner":
                assert b"web-1" not in text, text
            if role == "national-centre":
                assert b"event: detection" not in text, text
        for ear in ears.values():
            ear.close()
        wait_for("the listeners to be forgotten", lambda: (
            s.feed("web-1", [f"an intruder {time.time()}"]),
            "kuzet_api_live_listeners 0\n" in s.local("GET", "/metrics").body,
        )[1])


def hear(sock, end):
    """What comes, up to and with `end`."""
    data = b""
    while end not in data:
        more = sock.recv(4096)
        assert more, data
        data += more
    return data


def test_audit():
    """each access and change is in the audit log"""
    with site(FAST) as s:
        s.add_roles()
        s.add_user("anna", "analyst")
        s.login("anna")
        s.ask("GET", "/v1/events?where=user.name=root",
              token=s.tokens["owner"])
        s.ask("GET", "/v1/users", token=s.tokens["owner"])
        s.ask("GET", "/v1/events")
        s.ask("GET", "/healthz")

        def entries():
            return [(e["user"], e["action"], e["status"]) for e in s.ask(
                "GET", "/v1/audit", token=s.tokens["auditor"]).lines()]

        for wanted in (("local:0" if harness.os.geteuid() == 0 else None,
                        "users.add", 201),
                       ("anna", "login", 200),
                       ("owner", "events.list", 200),
                       ("owner", "users.list", 403)):
            if wanted[0]:
                wait_for(wanted, lambda w=wanted: w in entries())
        assert not [e for e in entries() if e[1] == "health"]
        lines = s.ask("GET", "/v1/audit?user=owner",
                      token=s.tokens["auditor"]).lines()
        assert {e["user"] for e in lines} == {"owner"}
        assert any("where=user.name=root" in e["target"] for e in lines)
        # and among the events, once each, also after a restart
        ids = [e["id"] for e in s.local("GET", "/v1/audit").lines()]

        def stored():
            return [int(e["log.offset"]) for e in s.local(
                "GET", "/v1/events?flat=1&where=event.dataset=kuzet.audit")
                .lines()]

        wait_for("the entries as events", lambda: stored() == ids)
        s.world.processes[-1].kill()
        s.world.start_collector(s.extra)
        s.ask("GET", "/v1/users", token=s.tokens["owner"])
        wait_for("one more", lambda: stored() == [*ids, ids[-1] + 1])
        one = s.local("GET", "/v1/events?flat=1&where=event.action=login")
        one = one.lines()[0]
        assert one["user.name"] == "anna" and one["source.ip"] == "127.0.0.1"
        assert one["event.outcome"] == "success", one
        assert one["event.category"] == ["authentication"], one
        text = s.local("GET", "/v1/audit").body
        for secret in [https.PASSWORD.format(7), *s.tokens.values()]:
            assert secret not in text


def test_limits():
    """who asks too much or too slowly is turned away, and nobody else"""
    with site("  request_timeout: 2s\n  rate: 5\n"
              "  max_connections: 12") as s:
        # rate of an account: a burst of 20
        s.add_user("anna", "auditor")
        t = s.token("anna", "status self")
        got = [s.ask("GET", "/v1/me", token=t).status for _ in range(30)]
        assert 200 in got and 429 in got, got
        # slow-loris: a byte now and then
        slow = s.raw()
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")

        def dropped():
            try:
                slow.sendall(b"X")
                slow.settimeout(0.05)
                return slow.recv(100) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        wait_for("the slow connection to be dropped", dropped)
        # many connections of one address
        many = []
        for _ in range(6):
            try:
                many.append(s.raw())
            except OSError:
                break
        wait_for("some of them to be dropped",
                 lambda: any(gone(m) for m in many))
        for m in many:
            m.close()
        wait_for("room again",
                 lambda: s.ask("GET", "/healthz").status in (200, 429))


def test_logins_at_once():
    """an address that logs in many times at once holds up no other"""
    with site(FAST) as s:
        s.add_user("anna", "analyst")
        body = ('{"user": "anna", "password": "%s"}'
                % https.PASSWORD.format(7)).encode()
        request = (b"POST /v1/login HTTP/1.1\r\nHost: x\r\n"
                   b"Content-Type: application/json\r\n"
                   b"Connection: close\r\nContent-Length: %d\r\n\r\n"
                   % len(body)) + body

        def turned_away():
            many = [s.raw() for _ in range(10)]
            for sock in many:
                sock.sendall(request)
            other = s.raw(source="127.0.0.2")
            other.sendall(request)
            # it is let in while the first one's requests wait
            assert hear(other, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
            other.close()
            answers = [hear(sock, b"}\n") for sock in many]
            for sock in many:
                sock.close()
            refused = [a for a in answers
                       if not a.startswith(b"HTTP/1.1 200 ")]
            for a in refused:
                assert a.startswith(b"HTTP/1.1 429 "), a
                assert b"\r\nRetry-After: 1\r\n" in a, a
                assert b"at once" in a, a
            assert len(refused) <= 6, answers
            return refused

        wait_for("more at once than one address may", turned_away)


def gone(sock):
    try:
        sock.settimeout(0.05)
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def answered_by_us(sock, request):
    """All of an answer to what is no good: JSON as any other, or nothing."""
    answer = b""
    try:
        sock.sendall(request)
        while more := sock.recv(4096):
            answer += more
    except OSError:
        pass
    sock.close()
    if not answer:
        return answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) >= 400, (request[:60], answer)
    for word in (b"<html", b"libevent", b"text/html"):
        assert word not in answer.lower(), (request[:60], answer)
    assert b"\r\nContent-Type: application/json\r\n" in head, answer
    assert b"\r\nCache-Control: no-store" in head, answer
    if sock.family != harness.socket.AF_UNIX:
        assert b"\r\nStrict-Transport-Security: " in head, answer
        assert b"\r\nContent-Security-Policy: " in head, answer
    assert b'{"error":"' in body, (request[:60], answer)
    return answer


def test_oversized():
    """what is too large is refused and costs nobody else anything"""
    with site(FAST) as s:
        s.add_user("anna", "administrator")
        t = s.token("anna", "users:write users self")
        head = (b"POST /v1/users HTTP/1.1\r\nHost: x\r\n"
                b"Content-Type: application/json\r\nAuthorization: Bearer "
                + t.encode() + b"\r\n")
        for request in (
                head + b"X: " + b"x" * 40000 + b"\r\n\r\n",
                head + b"Content-Length: 70000\r\n\r\n" + b"x" * 70000,
                head + b"Content-Length: 99999999999999999999\r\n\r\n",
                head + b"Transfer-Encoding: chunked\r\n\r\n"
                + b"20000\r\n" + b"x" * 0x20000 + b"\r\n0\r\n\r\n",
                b"GET /" + b"x" * 40000 + b" HTTP/1.1\r\n\r\n",
                head + b"Expect: the best\r\nContent-Length: 2\r\n\r\n{}",
                b"\x00" * 1000 + b"\r\n\r\n",
                b"GET / HTTP/9.9\r\n\r\n",
                b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
                b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n",
                b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
                b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n"):
            for sock in s.raw(), s.raw_local():
                answered_by_us(sock, request)
        # those that end here are answered, not only hung up on
        for request, status in (
                (b"GET\r\n\r\n", 400),
                (b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", 501)):
            got = answered_by_us(s.raw(), request)
            assert got.startswith(b"HTTP/1.1 %d " % status), got
        # libevent's own word between a head and its body is none of that
        sock = s.raw()
        sock.sendall(head + b"Expect: 100-continue\r\n"
                     b"Content-Length: 2\r\nConnection: close\r\n\r\n")
        assert hear(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"{}")
        assert hear(sock, b"}\n").startswith(b"HTTP/1.1 400 ")
        # smuggled: the second request must not be answered
        sock = s.raw()
        sock.sendall(head + b"Content-Length: 4\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                     b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        try:
            while more := sock.recv(4096):
                answer += more
        except OSError:
            pass
        assert answer.startswith(b"HTTP/1.1 400") and b'"ok"' not in answer
        # pipelined ones are answered in their order
        sock = s.raw()
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                     b"GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n"
                     b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
                     b"Connection: close\r\n\r\n")
        answer = b""
        while more := sock.recv(4096):
            answer += more
        status = [p[:3] for p in answer.split(b"HTTP/1.1 ")[1:]]
        assert status == [b"200", b"401", b"200"], status
        assert s.ask("GET", "/healthz").status == 200


def hellos(s, n):
    """The first byte of the answer to each of so many handshakes at once."""
    begun = ssl.MemoryBIO()
    tls = s.context().wrap_bio(ssl.MemoryBIO(), begun,
                               server_hostname="127.0.0.1")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = begun.read()
    with contextlib.ExitStack() as open_ones:
        socks = [open_ones.enter_context(harness.socket.create_connection(
            ("127.0.0.1", s.port), harness.PATIENCE)) for _ in range(n)]
        for sock in socks:
            sock.sendall(hello)
        return [sock.recv(1) for sock in socks]


def test_tls():
    """TLS 1.2 and later only, and not more handshakes than an address may"""
    with site("  rate: 1") as s:
        ctx = s.context()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            ctx.minimum_version = ssl.TLSVersion.TLSv1
            ctx.maximum_version = ssl.TLSVersion.TLSv1_1
        sock = harness.socket.create_connection(("127.0.0.1", s.port))
        try:
            ctx.wrap_socket(sock, server_hostname="127.0.0.1")
        except (ssl.SSLError, OSError):
            pass
        else:
            raise AssertionError("TLS 1.1 was accepted")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            ctx = s.context()
            ctx.minimum_version = ctx.maximum_version = version
            sock = harness.socket.create_connection(("127.0.0.1", s.port))
            with ctx.wrap_socket(sock, server_hostname="127.0.0.1") as tls:
                tls.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                assert b" 200 " in hear(tls, b"\r\n\r\n")
        # plain HTTP gets nothing
        with harness.socket.create_connection(("127.0.0.1", s.port)) as plain:
            plain.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            plain.settimeout(harness.PATIENCE)
            try:
                got = plain.recv(100)
            except OSError:
                got = b""
            assert b"HTTP" not in got, got
        # an address may have 2 handshakes a second, and 8 at once
        wait_for("handshakes to be refused", lambda: ALERT in hellos(s, 12))
        status = s.local("GET", "/v1/status").json()
        limited, fields = status["handshakes"], status["fields"]
        assert limited["api_limited"] > 0 and limited["limited"] == 0, limited
        name = "kuzet_api_handshakes_limited_total"
        metrics = s.local("GET", "/metrics").body
        assert f"{name} {limited['api_limited']}\n" in metrics, metrics
        assert fields["known"] > 100 and fields["refused"] == 0, fields
        assert "kuzet_field_names_refused_total 0\n" in metrics, metrics
        wait_for("handshakes again", lambda: hellos(s, 1) == [SERVER_HELLO])


def test_reload():
    """rules are reloaded over the API, and shown"""
    with site(FAST) as s:
        s.add_roles()
        t = s.tokens["analyst"]
        rules = s.ask("GET", "/v1/rules", token=t).lines()
        assert [r["title"] for r in rules] == ["An intruder"]
        one = s.ask("GET", f"/v1/rules/{rules[0]['id']}", token=t).json()
        assert one == rules[0]
        (s.world.dir / "rules/two.yml").write_text(
            https.RULES.replace("An intruder", "A second")
            .replace("00aa", "00bb"))
        reply = s.ask("POST", "/v1/rules/reload", token=t)
        assert reply.status == 202 and reply.json() == {
            "reload": "begun", "number": 1}
        wait_for("two rules", lambda: len(
            s.ask("GET", "/v1/rules", token=t).lines()) == 2)


if __name__ == "__main__":
    harness.main([
        test_matrix, test_nothing_before_login, test_methods,
        test_owner_sees_its_own, test_saved_searches,
        test_incident_is_worked_on, test_sessions_of_browsers,
        test_second_factor, test_certificates, test_live, test_audit,
        test_limits, test_logins_at_once, test_oversized, test_tls,
        test_reload])
