#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Policy checks: the command line alone, and the agent with its collector."""

import json
import os
import subprocess
import tempfile

import harness
from harness import BUILD, SRC, World, wait_for

POLICY = """\
policy: ours
checks:
  - id: port
    title: the port is 22
    severity: high
    file: {{path: "{path}", matches: '^Port 22$'}}
    remedy: Port 22
  - id: absent
    title: not applicable here
    when: {{file: "{path}.no"}}
    file: {{path: /}}
    remedy: none
"""


def agent(*args):
    return subprocess.run(
        [BUILD / "kuzet-agent", "policy", "check", *map(str, args)],
        capture_output=True, text=True, check=False,
        env=dict(os.environ, KUZET_DATADIR=str(SRC / "rules")))


def test_command_line():
    """policy check prints a table or JSON, and refuses broken files by line"""
    with tempfile.TemporaryDirectory(prefix="kuzet-policy-") as d:
        path, policy = f"{d}/conf", f"{d}/p.yml"
        with open(path, "w", encoding="utf-8") as f:
            f.write("Port 23\n")
        with open(policy, "w", encoding="utf-8") as f:
            f.write(POLICY.format(path=path))
        r = agent(policy)
        assert r.returncode == 1, r
        assert "remedy: Port 22" in r.stdout, r.stdout
        assert "0 pass, 1 fail, 1 not applicable" in r.stdout, r.stdout
        r = agent("--json", policy)
        events = [json.loads(line) for line in r.stdout.splitlines()]
        assert [e["kuzet"]["policy"]["result"] for e in events] == [
            "fail", "not_applicable"], events
        assert events[0]["event"]["outcome"] == "failure", events
        with open(path, "w", encoding="utf-8") as f:
            f.write("Port 22\n")
        assert agent(policy).returncode == 0
        with open(policy, "a", encoding="utf-8") as f:
            f.write("  - id: port\n")
        r = agent(policy)
        assert r.returncode == 2 and f"{policy}:13:" in r.stderr, r
    r = agent("--json")
    assert r.returncode in (0, 1), r
    assert len(r.stdout.splitlines()) > 20, r.stdout


def test_agent():
    """each result is told at first, and when it changes; killed or not"""
    with World() as world:
        world.start_collector()
        path, policy = world.dir / "conf", world.dir / "p.yml"
        path.write_text("Port 22\n")
        policy.write_text(POLICY.format(path=path))
        inputs = (f'  - type: policy\n    name: p\n    paths: ["{policy}"]\n'
                  "    interval: 1s\n")

        def results():
            return [(e["rule"]["id"], e["kuzet"]["policy"]["result"],
                     e["kuzet"]["policy"].get("previous"))
                    for e in world.events(
                        "--where", "event.action=policy-check")]

        expected = [("port", "pass", None), ("absent", "not_applicable", None)]
        a = world.start_agent(inputs=inputs)
        wait_for("the first results", lambda: results() == expected)
        path.write_text("Port 23\n")
        expected.append(("port", "fail", "pass"))
        wait_for("a failure", lambda: results() == expected)
        a.kill()
        path.write_text("Port 22\n")
        expected.append(("port", "pass", "fail"))
        a = world.start_agent(inputs=inputs)
        wait_for("it to pass again", lambda: results() == expected)
        assert a.stop() == 0


if __name__ == "__main__":
    harness.main([test_command_line, test_agent])
