#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Policy checks: the command line alone, and the agent with its collector."""

import contextlib
import json
import os
import pathlib
import signal
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

COMMANDS = """\
policy: ours
checks:
  - id: clock
    title: a command
    severity: low
    command: {run: time-sync, matches: '^Timezone'}
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


def runner_of(agent):
    """its process that runs commands"""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, rest = stat.read_text().split("(", 1)[1].rsplit(")", 1)
            if name == "kuzet-runner" and int(rest.split()[1]) == agent.pid:
                return int(stat.parent.name)
    return None


def test_runner():
    """without the process that runs commands nothing is told of them"""
    if os.geteuid() != 0 or not harness.effective(2):
        raise harness.Skip("needs root and CAP_DAC_READ_SEARCH")
    with World() as world:
        world.start_collector()
        policy = world.dir / "p.yml"
        policy.write_text(COMMANDS)
        inputs = (f'  - type: policy\n    name: p\n    paths: ["{policy}"]\n'
                  "    interval: 1s\n")

        def results():
            return [e["kuzet"]["policy"]["result"] for e in world.events(
                "--where", "event.action=policy-check")]

        a = world.start_agent(inputs=inputs, extra="user: nobody")
        first = wait_for("the result", results)
        os.kill(wait_for("the runner", lambda: runner_of(a)), signal.SIGKILL)
        wait_for("the end", lambda: not a.alive())
        assert a.popen.wait() == 1
        assert "the runner process is gone: ending" in a.text(), a.text()
        a = world.start_agent(inputs=inputs, extra="user: nobody")
        wait_for("the runner", lambda: runner_of(a))
        wait_for("the agent", lambda: a.text().count("connected to") > 1)
        assert a.stop() == 0
        assert results() == first, results()


if __name__ == "__main__":
    harness.main([test_command_line, test_agent, test_runner])
