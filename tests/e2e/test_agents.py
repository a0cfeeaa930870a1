#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What agents say of themselves, where it is shown, and two with one id."""

import json
import subprocess
import time

from harness import BUILD, Process, World, main, wait_for

FAST = "heartbeat: 200ms\n"


def show(w, name="web-1"):
    return w.ctl_json("agent", "show", name)[0]


def shown():
    """the newest status of an agent is shown, in JSON and as a table"""
    with World() as w:
        w.write_lines(0, 500, "a.log")
        collector = w.start_collector()
        agent = w.start_agent(extra=FAST)
        w.wait_stored(500)
        a = wait_for("a status with everything acknowledged", lambda: next(
            (s for s in w.ctl_json("agent", "show", "web-1")
             if s.get("status", {}).get("events", {}).get("acked") == 500),
            None))
        assert a["agent"] == "web-1" and a["connected"] is True, a
        assert a["events"] == 500 and a["version"], a
        status = a["status"]
        assert status["memory"]["rss_bytes"] > 1 << 20, status
        assert status["cpu_seconds"] > 0, status
        assert status["files"] == {"open": 1, "known": 1, "behind": 0,
                                   "backlog_bytes": 0}, status
        assert status["lost"] == {"bytes_skipped": 0, "files_dropped": 0,
                                  "files_damaged": 0}, status
        size = w.log("a.log").stat().st_size
        (position,) = a["positions"]
        assert position["path"] == str(w.log("a.log")), position
        assert position["size"] == position["acked_to"] == size, position
        assert position["lines"] == position["acked"] == 500, position
        rows = w.ctl_json("agent", "list")
        assert [r["agent"] for r in rows] == ["web-1"], rows
        assert "positions" not in rows[0] and "status" in rows[0], rows
        table = w.ctl("agent", "list").stdout
        assert "web-1" in table and "CONNECTED" in table, table
        table = w.ctl("agent", "show", "web-1").stdout
        assert "events acknowledged     500" in table, table
        assert str(w.log("a.log")) in table, table
        r = w.ctl("agent", "show", "nobody", check=False)
        assert r.returncode != 0 and "nobody" in r.stderr, r
        assert agent.stop() == 0
        wait_for("the end", lambda: not show(w)["connected"])
        assert show(w)["status"]["events"]["acked"] == 500
        assert w.stored() == 500, "control messages are no events"
        assert collector.stop() == 0


def local():
    """kuzet-agent status tells the same without a collector"""
    with World() as w:
        w.write_lines(0, 100, "a.log")
        w.log("long.log").write_text("x" * 100 + "\n" + "y\n")
        path = w.agent_config(inputs=(
            f'  - {{type: file, paths: ["{w.dir}/logs/*.log"], '
            'max_line: 64}\n'))

        def ask(*args):
            return subprocess.run([BUILD / "kuzet-agent", "status", "-c", path,
                                   *args], capture_output=True, text=True,
                                  check=False)
        r = ask()
        assert r.returncode == 1 and "no agent answers" in r.stderr, r
        collector = w.start_collector()
        agent = w.start_agent(inputs=path.read_text().split("inputs:\n")[1])

        def lines():
            r = ask("--json")
            return [json.loads(line) for line in r.stdout.splitlines()]
        wait_for("everything", lambda: (
            lines() and lines()[0]["events"]["acked"] == 102))
        first, *files = lines()
        assert first["type"] == "agent" and first["pid"] == agent.pid, first
        assert first["output"]["connected"] is True, first
        by = {f["path"].rsplit("/", 1)[1]: f for f in files}
        assert by["long.log"]["cut"] == 1 and by["long.log"]["lines"] == 2, by
        assert by["a.log"]["lines"] == 100 and by["a.log"]["backlog"] == 0, by
        table = ask().stdout
        assert "cut" in table and "long.log" in table, table
        assert ask("--nonsense").returncode == 2
        assert agent.stop() == 0
        assert ask().returncode == 1
        assert collector.stop() == 0


def doubled():
    """two live agents with one id raise a finding, once; restarts do not"""
    with World() as w:
        w.write_lines(0, 10, "a.log")
        collector = w.start_collector()
        for _ in range(3):
            seen = w.ctl_json("agent", "list")
            agent = w.start_agent(extra=FAST)
            wait_for("a heartbeat of this one", lambda: [
                a for a in w.ctl_json("agent", "list") if a.get("instance")
                and a["instance"] not in [s.get("instance") for s in seen]])
            agent.kill()
        agent = w.start_agent(extra=FAST)
        w.wait_stored(10)

        def findings():
            return w.events("--where", "event.action=agent-doubled")
        time.sleep(3)  # longer than what tells two from one
        assert not findings(), findings()
        # the same certificate on another machine: another state folder
        path = w.dir / "web-1.yaml"
        other = w.dir / "other.yaml"
        other.write_text(path.read_text().replace(
            "web-1-state", "other-state"))
        twin = subprocess.Popen([BUILD / "kuzet-agent", "-c", other],
                                stderr=subprocess.DEVNULL)
        try:
            wait_for("the finding", findings)
            time.sleep(1)
            (f,) = findings()
        finally:
            twin.terminate()
            twin.wait()
        assert f["event"]["kind"] == "alert" and f["agent"]["id"] == "web-1", f
        assert "two live agents" in f["message"], f
        assert f["source"]["ip"] == "127.0.0.1", f
        assert agent.stop() == 0 and collector.stop() == 0



def told(w, action):
    return [e for e in w.events("--flat", "--where", f"event.action={action}")
            if e["event.dataset"] == "kuzet.collector"]


def ending():
    """a certificate that ends is told by the agent and by the collector"""
    with World() as w:
        w.write_lines(0, 5)
        collector = w.start_collector()
        w.start_agent("ending", extra=FAST)
        [event] = wait_for("the event", lambda: told(w, "certificate-ending"))
        assert event["kuzet.certificate.subject"] == "ending", event
        assert event["kuzet.certificate.use"] == "agent", event
        [incident] = wait_for("its incident", lambda: [
            i for i in w.ctl_json("incidents")
            if i["rule"]["title"] == "Certificate of the monitoring ends soon"])
        assert incident["group"]["kuzet.certificate.subject"] == "ending"
        local = [BUILD / "kuzet-agent", "status", "-c", w.dir / "ending.yaml"]
        r = subprocess.run(local, capture_output=True, text=True, check=False)
        assert r.returncode == 1 and "it ENDS soon" in r.stdout, r
        assert "its own certificate     ending" in w.ctl(
            "agent", "show", "ending").stdout
        states = {c["use"]: c["state"] for c in w.status()["certificates"]}
        assert states == {"tls.certificate": "good", "tls.ca": "good"}, states
        assert collector.stop() == 0
        # once the collector's own has ended nobody comes in: it is not ready
        path = w.collector_config()
        path.write_text(path.read_text().replace(
            "pki/collector.", "pki/expired-collector."))
        collector = Process([BUILD / "kuzet-collector", "-c", path],
                            w.dir / "collector.log", w.env)
        w.processes.append(collector)
        wait_for("the collector to answer", lambda: w.ctl(
            "events", "--count", check=False).returncode == 0)
        [event] = wait_for("the event", lambda: told(w, "certificate-ended"))
        assert event["kuzet.certificate.use"] == "tls.certificate", event
        assert event["file.path"].endswith("expired-collector.pem"), event
        r = w.ctl("status", check=False)
        assert r.returncode == 1 and "has ended" in r.stderr, r
        assert "ended until 2020-02-01T00:00:00Z" in r.stdout, r.stdout


if __name__ == "__main__":
    main([shown, local, doubled, ending])
