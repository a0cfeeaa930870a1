#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: their files, what they need, and what is run."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

import harness
from harness import BUILD, SRC
from test_rpm import run, version


def files(package):
    """{path: (mode, owner)}, of folders too"""
    lines = run("dpkg-deb", "-c", package).splitlines()
    return {line.split(None, 5)[5].rstrip("/").removeprefix("."):
            tuple(line.split()[:2]) for line in lines}


def field(package, name):
    return run("dpkg-deb", "-f", package, name).strip()


def control(package, name):
    return run("dpkg-deb", "-I", package, name)


def packages():
    """Debian packages: programs, units, the user, and what only root may read"""
    with tempfile.TemporaryDirectory(prefix="kuzet-deb-") as top:
        made = run(SRC / "packaging/deb/build", BUILD, top).split()
        built = {pathlib.Path(p).name.split("_")[0]: p for p in made}
        assert set(built) == {"kuzet-agent", "kuzet-collector"}, built
        have = {name: files(path) for name, path in built.items()}
        for name, wanted in (
                ("kuzet-agent", ("/usr/sbin/kuzet-agent",
                                 "/usr/share/man/man8/kuzet-agent.8.gz")),
                ("kuzet-collector", ("/usr/sbin/kuzet-collector",
                                     "/usr/bin/kuzetctl",
                                     "/usr/share/kuzet/taxonomy"))):
            missing = [p for p in wanted if p not in have[name]]
            assert not missing, missing
        for name, path in built.items():
            part = name.removeprefix("kuzet-")
            config = f"/etc/kuzet/{part}.yaml"
            mode = "-rw-------" if part == "agent" else "-rw-r-----"
            assert have[name][config][0] == mode, have[name][config]
            assert have[name][f"/usr/lib/systemd/system/{name}.service"][0] == \
                "-rw-r--r--"
            assert control(path, "conffiles").split() == [config]
            assert field(path, "Version") == version()
            for library in ("libssl3", "libevent-", "libc6"):
                assert library in field(path, "Depends"), field(path, "Depends")
            for script in ("postinst", "prerm", "postrm"):
                text = control(path, script)
                subprocess.run(["sh", "-n"], input=text, text=True, check=True)
            assert "--ingroup kuzet" in control(path, "postinst")
        odd = {p: m for h in have.values() for p, m in h.items()
               if m[1] != "root/root" or "s" in m[0] or m[0][8] == "w"}
        assert not odd, odd
        twice = {p for p in set(have["kuzet-agent"]) &
                 set(have["kuzet-collector"])
                 if not have["kuzet-agent"][p][0].startswith("d")}
        assert not twice, twice


def units():
    """the units are what systemd understands"""
    harness.need("systemd-analyze")
    with tempfile.TemporaryDirectory(prefix="kuzet-deb-") as top:
        for unit in sorted((SRC / "packaging/systemd").glob("*.service")):
            # not installed: the programs are where they were built
            copy = pathlib.Path(top) / unit.name
            copy.write_text(unit.read_text().replace("/usr/sbin/", f"{BUILD}/"))
            r = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", str(copy)],
                capture_output=True, text=True, check=False)
            wrong = [line for line in (r.stdout + r.stderr).splitlines()
                     if unit.name in line]
            assert not wrong, wrong


if __name__ == "__main__":
    if shutil.which("dpkg-shlibdeps") is None:
        print("1..0 # SKIP no dpkg-dev here")
        sys.exit(0)
    sys.exit(harness.main([packages, units]))
