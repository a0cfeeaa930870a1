# SPDX-License-Identifier: Apache-2.0
"""What the benches share: which build they measure, and their command line.

Import it first.  The build folder of all of them is, in this order: that of
--build (or a build folder as the first argument), top_builddir of the
environment, the folder they are run from, the sources.
"""

import argparse
import os
import pathlib
import sys

SRC = pathlib.Path(os.environ.get("top_srcdir") or
                   pathlib.Path(__file__).resolve().parents[2])
TICK = os.sysconf("SC_CLK_TCK")


def is_build(folder):
    return (pathlib.Path(folder) / "config.status").is_file()


def find_build():
    named = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    named.add_argument("--build")
    build = named.parse_known_args()[0].build
    if build is None and len(sys.argv) > 1 and is_build(sys.argv[1]):
        build = sys.argv.pop(1)
    if build is None:
        build = os.environ.get("top_builddir") or (
            "." if is_build(".") else SRC)
    return pathlib.Path(build).resolve()


BUILD = find_build()
# for the tests' own modules, and for the programs
os.environ["top_srcdir"] = str(SRC)
os.environ["top_builddir"] = str(BUILD)
os.environ.setdefault("KUZET_DATADIR", str(SRC / "rules"))
sys.path.insert(0, str(SRC / "tests/e2e"))


class Parser(argparse.ArgumentParser):
    """Of a bench that says in `doc` what it does, and needs `programs`."""

    def __init__(self, doc, *programs):
        super().__init__(description=doc, allow_abbrev=False,
                         formatter_class=argparse.RawDescriptionHelpFormatter)
        self.programs = programs
        self.add_argument(
            "--build", metavar="DIR", help="the build to measure, an optimised "
            "one (default: $top_builddir, or the folder it is run from)")

    def parse(self):
        args = self.parse_args()
        lacks = [p for p in self.programs if not os.access(BUILD / p, os.X_OK)]
        if lacks:
            self.exit(2, f"{self.prog}: {BUILD} has no {lacks[0]}: "
                      f"`make {' '.join(lacks)}` there, or name the build "
                      "folder by --build\n")
        return args


def family(pid):
    """The process and its children."""
    out = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            out += family(int(child))
    return out


def peak(pid):
    """Its memory at most so far, MB."""
    for line in open(f"/proc/{pid}/status", encoding="utf-8"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0


def cpu(pids):
    """Processor seconds of all of them."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text()
        fields = fields.rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK
