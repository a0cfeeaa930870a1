#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rpm packages: their files, who owns them, and what is run."""

import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile

import harness
from harness import BUILD, SRC

FIELDS = "[%{FILEMODES:octal} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\\n]"
CONFIG = "[%{FILEFLAGS:fflags} %{FILENAMES}\\n]"


def run(*argv):
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True,
                       check=False, env={k: v for k, v in os.environ.items()
                                         if not k.startswith("MAKE")})
    assert r.returncode == 0, f"{argv}: {(r.stdout + r.stderr)[-3000:]}"
    return r.stdout


def version():
    text = (SRC / "configure.ac").read_text()
    return re.search(r"AC_INIT\(\[kuzet\],\[([^\]]+)\]", text)[1]


def build(top):
    run("rpmbuild", "-bb", "--nodeps", "--quiet",
        "--define", f"_topdir {top}", "--define", f"_dbpath {top}/db",
        "--define", f"kuzet_built {BUILD.resolve()}",
        "--define", f"kuzet_top {SRC.resolve()}",
        "--define", f"kuzet_version {version()}",
        "--define", "__strip /bin/true",
        "--define", "_binary_payload w1.gzdio",
        SRC / "packaging/rpm/kuzet.spec")
    found = {}
    for path in pathlib.Path(top, "RPMS").rglob("*.rpm"):
        found[path.name.split(f"-{version()}")[0]] = path
    return found


def query(package, form):
    return run("rpm", "-qp", "--qf", form, package).splitlines()


def files(package):
    """{path: (mode, owner)}"""
    return {path: (int(mode, 8) & 0o7777, owner) for mode, owner, path in
            (line.split(" ", 2) for line in query(package, FIELDS))
            if not stat.S_ISLNK(int(mode, 8))}


def packages():
    """rpm packages: programs, units, the user, and what only root may read"""
    with tempfile.TemporaryDirectory(prefix="kuzet-rpm-") as top:
        built = build(top)
        assert set(built) == {"kuzet-agent", "kuzet-collector"}, built
        agent, soc = files(built["kuzet-agent"]), files(built["kuzet-collector"])
        for have, wanted in ((agent, ("/usr/sbin/kuzet-agent",
                                      "/usr/share/man/man8/kuzet-agent.8")),
                             (soc, ("/usr/sbin/kuzet-collector",
                                    "/usr/bin/kuzetctl"))):
            for path in wanted:
                assert any(p.startswith(path) for p in have), path
        for have, name in ((agent, "agent"), (soc, "collector")):
            unit = f"/usr/lib/systemd/system/kuzet-{name}.service"
            assert have[unit] == (0o644, "root:root"), have.get(unit)
            assert have["/usr/lib/sysusers.d/kuzet.conf"][0] == 0o644
            config = f"/etc/kuzet/{name}.yaml"
            mine = (0o600, "root:root")  # the agent's: it has the right
            theirs = (0o640, "root:kuzet")
            assert have[config] == (mine if name == "agent" else theirs), \
                have.get(config)
            flags = dict(reversed(line.split(" ", 1)) for line in
                         query(built[f"kuzet-{name}"], CONFIG))
            assert set("cn") <= set(flags[config]), flags[config]
            scripts = run("rpm", "-qp", "--scripts", built[f"kuzet-{name}"])
            assert "useradd -r -g kuzet" in scripts, scripts
            assert f"try-restart kuzet-{name}.service" in scripts, scripts
        odd = {p: m for have in (agent, soc) for p, m in have.items()
               if m[0] & 0o6002}
        assert not odd, odd
        twice = {p for p in set(agent) & set(soc) if "build-id" not in p}
        assert twice == {"/usr/lib/sysusers.d/kuzet.conf", "/etc/kuzet"}, twice


if __name__ == "__main__":
    if shutil.which("rpmbuild") is None:
        print("1..0 # SKIP no rpmbuild here")
        sys.exit(0)
    sys.exit(harness.main([packages]))
