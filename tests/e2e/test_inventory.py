#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The inventory: whole at first, then what differs, at the collector."""

import os
import socket

import harness
from harness import World, wait_for

INPUT = "  - type: inventory\n    name: machine\n    interval: 1s\n"


def items(world, action):
    return world.events("--where", f"event.action={action}")


def test_snapshot_and_differences():
    """one event for each item at first, then one for each that differs"""
    with World() as world:
        world.start_collector()
        agent = world.start_agent(inputs=INPUT)
        wait_for("the baseline",
                 lambda: items(world, "inventory-baseline"))
        first = items(world, "inventory-snapshot")
        baseline = items(world, "inventory-baseline")[0]["kuzet"]["inventory"]
        assert len(first) == baseline["items"], baseline
        classes = {e["kuzet"]["inventory"]["class"] for e in first}
        assert {"os", "user", "group"} <= classes, classes
        root = [e for e in first if e["kuzet"]["inventory"]["class"] == "user"
                and e["user"]["name"] == "root"]
        assert root[0]["user"]["id"] == "0", root
        if os.path.exists("/var/lib/dpkg/status"):
            libc = [e for e in first
                    if e.get("package", {}).get("name") == "libc6"]
            assert libc and libc[0]["package"]["version"], "no libc6"
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            key = f"kuzet.inventory.key=tcp/127.0.0.1:{port}"

            def told(action):
                return world.events("--where", f"event.action={action}",
                                    "--where", key)

            wait_for("the new port", lambda: told("inventory-added"))
            e = told("inventory-added")[0]
            assert e["server"]["port"] == port, e
            assert e["event"]["type"] == ["creation"], e
        wait_for("the port to go", lambda: told("inventory-removed"))
        agent.kill()
        agent = world.start_agent(inputs=INPUT)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            key = f"kuzet.inventory.key=tcp/127.0.0.1:{s.getsockname()[1]}"
            wait_for("a difference after kill -9",
                     lambda: told("inventory-added"))
        assert len(items(world, "inventory-baseline")) == 1
        assert len(items(world, "inventory-snapshot")) == len(first)
        assert agent.stop() == 0


if __name__ == "__main__":
    harness.main([test_snapshot_and_differences])
