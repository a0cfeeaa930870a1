#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every wrong configuration is refused with file, line, key and remedy."""

import os
import subprocess

from harness import BUILD, World, main


def check(world, program, path):
    return subprocess.run([BUILD / program, "-c", path, "--check-config"],
                          capture_output=True, text=True, check=False,
                          env=world.env)


def refused(world, program, text, *words):
    path = world.dir / "wrong.yaml"
    path.write_text(text)
    r = check(world, program, path)
    assert r.returncode == 2, (r.returncode, r.stderr, text)
    for word in words:
        assert word in r.stderr, (word, r.stderr, text)
    # and a start without --check-config ends the same way
    r = subprocess.run([BUILD / program, "-c", path], capture_output=True,
                       text=True, check=False, env=world.env, timeout=60)
    assert r.returncode in (1, 2), (r.returncode, r.stderr, text)


def collector():
    """the collector refuses wrong keys, types, ranges and files"""
    with World() as w:
        good = w.collector_config().read_text()
        assert check(w, "kuzet-collector", w.collector_config()
                     ).returncode == 0
        assert not (w.dir / "collector-state").exists(), "creates nothing"
        c = "kuzet-collector"
        refused(w, c, good + "colour: red\n", "wrong.yaml:", "colour")
        refused(w, c, good + "workers: many\n", "wrong.yaml:", "workers")
        refused(w, c, good + "workers: 9999\n", "workers", "256")
        refused(w, c, good + "memory: 3 elephants\n", "memory")
        refused(w, c, good + "incident_level: huge\n", "incident_level",
                "high")
        refused(w, c, good + "state_dir: x\n", "state_dir")
        refused(w, c, good + "rules: [a\n", "wrong.yaml:")
        kafka = "kafka:\n  brokers: [127.0.0.1:9]\n  properties:\n"
        line = good.count("\n") + 4
        refused(w, c, good + kafka + "    no.such: 1\n",
                f"wrong.yaml:{line}:", "kafka.properties.no.such")
        refused(w, c, good.replace("rules:", "rules: [nowhere] #"), "nowhere")
        refused(w, c, good.replace("ca: pki/ca.pem", "ca: no.pem"), "no.pem")
        refused(w, c, good.replace("  ca: pki/ca.pem\n", ""), "tls.ca")
        refused(w, c, good.replace("pki/collector.key", "pki/web-1.key"),
                "web-1.key")
        refused(w, c, good.replace(str(w.syslog_port), str(w.port)),
                "address")
        refused(w, c, good.replace(f'"127.0.0.1:{w.port}"', "here"),
                "listeners.beats.address")
        refused(w, c, "", "")
        refused(w, c, "[]\n", "wrong.yaml")
        refused(w, c, "\0\0", "wrong.yaml")
        os.chmod(w.pki / "collector.key", 0o644)
        refused(w, c, good, "collector.key", "chmod")


def agent():
    """the agent refuses wrong keys, types, ranges and files"""
    with World() as w:
        good = w.agent_config().read_text()
        assert check(w, "kuzet-agent", w.agent_config()).returncode == 0
        assert not (w.dir / "web-1-state").exists(), "creates nothing"
        a = "kuzet-agent"
        refused(w, a, good + "colour: red\n", "wrong.yaml:", "colour")
        refused(w, a, good.replace("type: file", "type: telepathy"),
                "wrong.yaml:", "telepathy", "file")
        refused(w, a, good.replace("paths:", "path:"), "wrong.yaml:", "path")
        refused(w, a, good + "    timezone: Mars/Olympus\n", "Mars/Olympus")
        refused(w, a, good + "    year: 12\n", "year")
        refused(w, a, good + "    units: [ssh]\n", "units", "file")
        refused(w, a, good.replace("type: file", "type: journal"),
                "wrong.yaml:", "journal")
        refused(w, a, good + "  - {type: probe, targets: [x]}\n", "targets",
                "HOST:PORT")
        refused(w, a, good + "  - {type: probe, targets: ['x:1'], "
                "maintenance: [noon]}\n", "maintenance", "noon")
        refused(w, a, good + "spool: {max_size: 1KiB}\n", "spool.max_size")
        refused(w, a, good.replace("web-1.pem", "other.pem"), "other.pem")
        refused(w, a, good.replace(f"127.0.0.1:{w.port}", "nowhere"),
                "hosts")
        refused(w, a, "inputs: []\n", "wrong.yaml")
        os.chmod(w.pki / "web-1.key", 0o640)
        refused(w, a, good, "web-1.key", "chmod")


def usage():
    """--help, --version and wrong options answer as every program does"""
    with World() as w:
        for program in ("kuzet-collector", "kuzet-agent", "kuzetctl"):
            def run(*args, name=program):
                return subprocess.run([BUILD / name, *args], check=False,
                                      capture_output=True, text=True,
                                      env=w.env)
            assert run("--help").returncode == 0
            assert program in run("--help").stdout
            assert run("--version").returncode == 0
            assert run("--nonsense").returncode == 2
            assert run().returncode == 2
        r = w.ctl("status", check=False)
        assert r.returncode == 1 and "collector.sock" in r.stderr, r
        assert w.ctl("nonsense", check=False).returncode == 2


if __name__ == "__main__":
    main([collector, agent, usage])
