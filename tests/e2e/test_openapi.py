#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The API keeps its contract: schemathesis asks what doc/openapi.yaml allows,
and every answer validates; the metrics are what Prometheus reads."""

import os
import pathlib
import subprocess
import sys

import harness
import https
from harness import SRC, Skip
from https import site

CACHE = pathlib.Path(os.environ.get("KUZET_CACHE") or pathlib.Path(
    os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    / "kuzet")
VENV = CACHE / "api-venv"

# What a schemathesis run loads first: lists are JSON lines.
HOOKS = '''
import json
import schemathesis

@schemathesis.deserializer("application/x-ndjson")
def lines(ctx, response):
    return [json.loads(line) for line in response.text.splitlines()]

@schemathesis.deserializer("text/event-stream", "text/plain")
def text(ctx, response):
    return response.text
'''


# Methods that libevent does not know are its own to refuse; those without a
# body are refused for the body that is tried.
CONFIG = """\
[phases.coverage]
unexpected-methods = ["POST", "PUT", "PATCH"]
"""


def venv(program):
    path = VENV / "bin" / program
    if not path.exists():
        raise Skip(f"no {path}: packaging/deps test")
    return path


def test_contract():
    """every answer to what the contract allows, and forbids, validates"""
    schemathesis = venv("schemathesis")
    with site("  rate: 100000") as s:
        s.feed("web-1", ["an intruder here", "something else"])
        https.wait_for_incidents(s, 1)
        s.add_roles()
        hooks = s.world.dir / "hooks.py"
        hooks.write_text(HOOKS)
        config = s.world.dir / "schemathesis.toml"
        config.write_text(CONFIG)
        r = subprocess.run(
            [schemathesis, "--config-file", config, "run", SRC / "doc/openapi.yaml",
             "--url", f"https://127.0.0.1:{s.port}",
             "--tls-verify", s.world.pki / "ca.pem",
             "-H", f"Authorization: Bearer {s.tokens['administrator']}",
             # those that end what the others need, or never end
             "--exclude-path", "/v1/logout", "--exclude-path", "/v1/live",
             "--exclude-path", "/v1/tokens/{id}",
             "--exclude-path", "/v1/me/tokens/{id}",
             "--phases", "examples,coverage,fuzzing",
             "--checks", "not_a_server_error,status_code_conformance,"
             "content_type_conformance,response_headers_conformance,"
             "response_schema_conformance,negative_data_rejection,"
             "unsupported_method",
             "--max-examples", "4", "--seed", "1", "--workers", "1",
             "--generation-database", "none", "--no-color",
             "--request-timeout", str(harness.PATIENCE)],
            env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks",
                 "PYTHONPATH": str(s.world.dir)},
            cwd=s.world.dir, capture_output=True, text=True, check=False)
        if os.environ.get("KUZET_KEEP"):
            (s.world.dir / "schemathesis.log").write_text(r.stdout)
        assert r.returncode == 0, r.stdout[-6000:] + r.stderr[-2000:]
        print("# " + next((line.strip() for line in r.stdout.splitlines()
                           if "generated" in line), "")[:70])
        assert s.ask("GET", "/healthz").status == 200


def test_metrics():
    """the metrics are read by Prometheus' own parser"""
    python = venv("python")
    with site() as s:
        s.add_user("prometheus", "auditor")
        r = s.ask("GET", "/metrics", token=s.token("prometheus", "status"))
        assert r.headers["Content-Type"] == "text/plain; version=0.0.4"
        read = subprocess.run(
            [python, "-c", "import sys\n"
             "from prometheus_client.parser import *\n"
             "for f in text_string_to_metric_families(sys.stdin.read()):\n"
             "  assert f.documentation and f.type in ('gauge', 'counter'), f\n"
             "  assert len(f.samples) == 1, f\n"
             "  print(f.samples[0].name)\n"],
            input=r.body, capture_output=True, text=True, check=False)
        assert read.returncode == 0, read.stderr
        names = read.stdout.split()
        assert len(names) == len(set(names)) > 20, names
        assert "kuzet_events_received_total" in names, names
        for line in r.body.splitlines():
            assert line.startswith(("# HELP kuzet_", "# TYPE kuzet_",
                                    "kuzet_")), line


if __name__ == "__main__":
    sys.exit(harness.main([test_contract, test_metrics]))
