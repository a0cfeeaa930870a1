#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A short form of tests/bench/soak.py."""

import pathlib
import sys

import harness

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import soak  # noqa: E402

SECONDS = 15
DESCRIPTORS_MAX = 250  # two for each generation that is there, and the rest


def bad_day():
    """rotation each second, the network cut, the clock jumps: nothing is lost"""
    found = soak.soak(SECONDS)
    log = found.pop("log")
    assert found["lost"] == found["doubled"] == found["exit"] == 0, \
        f"{found}\n{log}"
    assert found["rotations"] > 0 and found["cuts"] > 0, found
    assert found["descriptors, most"] < DESCRIPTORS_MAX, found


if __name__ == "__main__":
    why = soak.enter()
    if why is not None:
        print(f"1..0 # SKIP {why}")
        sys.exit(0)
    sys.exit(harness.main([bad_day]))
