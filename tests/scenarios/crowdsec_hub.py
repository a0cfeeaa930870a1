#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many of the attackers that others expect do the packs find?  As TAP.

Reads the cases of CrowdSec's hub from the test corpus, where it is there: each
has a log and the addresses that must raise an alert.  An address counts as
found if a correlation names it or an event of it matched a rule of level medium
or above; as false if it was found and is not expected.  Cases named *-logs test
only parsing, so nothing is false there.
"""
import ipaddress
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.environ.get("top_srcdir", os.path.join(HERE, "..", ".."))
BUILD = os.environ.get("top_builddir", TOP)
SHARED = os.environ.get("KUZET_SHARED", os.path.join(TOP, "..", "shared"))
HUB = os.path.join(SHARED, "corpora", "conformance", "crowdsec-hub")
KUZETCTL = os.path.join(BUILD, "kuzetctl")

# folder of the hub -> least share of addresses to find, and most false ones.
# What is missing are formats without a normalizer (Webmin, Guacamole, Magento,
# LiteSpeed, Nextcloud, endlessh) and the hub's own test tokens.
FLOORS = {
    "sshd_auth": (0.60, 1),
    "web_apache": (0.85, 0),
    "web_nginx": (1.00, 0),
}
# reported, without a floor: mostly other products' formats
REPORTED = ("linux_syslog", "web_other", "ftp", "db", "dns", "firewall")


def kuzetctl(*arguments):
    env = dict(os.environ, KUZET_DATADIR=os.path.join(TOP, "rules"))
    done = subprocess.run([KUZETCTL, *arguments], env=env, timeout=300,
                          check=True, stdout=subprocess.PIPE)
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def address(text):
    """As source.ip has it: IPv4-mapped IPv6 is IPv4; None if it is none."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def found_addresses(log):
    events = None
    found = set()
    for match in kuzetctl("rules", "match", "--json", "--rules",
                          os.path.join(TOP, "rules", "packs"), "--log", log):
        if "group" in match and match["group"]:
            found.add(match["group"].get("source.ip"))
        elif match["level"] not in ("informational", "low"):
            if events is None:
                events = kuzetctl("parse", "--json", "--flat", log)
            found.add(events[match["event"]].get("source.ip"))
    return found - {None}


def measure(family):
    expected = hit = 0
    lines, false = [], 0
    for case in sorted(os.listdir(os.path.join(HUB, family))):
        folder = os.path.join(HUB, family, case)
        with open(os.path.join(folder, "expected.json"), encoding="utf-8") as f:
            alerts = json.load(f)
        want = {address(s) for a in alerts["alerts"]
                for s in a["sources"] or ()} - {None}
        found = found_addresses(os.path.join(folder, alerts["log_file"]))
        expected += len(want)
        hit += len(want & found)
        wrong = set() if case.endswith(("-logs", "-logs-nginx")) else found - want
        false += len(wrong)
        if want - found:
            lines.append("missed %s: %s" % (case, " ".join(sorted(want - found))))
        if wrong:
            lines.append("false %s: %s" % (case, " ".join(sorted(wrong))))
    return expected, hit, false, lines


def main():
    if not os.path.isdir(HUB):
        print("1..0 # SKIP no corpus")
        return 0
    failed = 0
    total = [0, 0]
    families = list(FLOORS) + list(REPORTED)
    for number, family in enumerate(families, 1):
        least, most = FLOORS.get(family, (0.0, 1 << 30))
        try:
            expected, hit, false, lines = measure(family)
        except (subprocess.SubprocessError, OSError, ValueError) as e:
            expected, hit, false, lines = 1, 0, 0, [str(e)]
        good = hit >= least * expected and false <= most and expected > 0
        failed += not good
        if family in FLOORS:
            total[0] += expected
            total[1] += hit
        print("%sok %d - %s: %d of %d addresses found (%d %%), %d false" % (
            "" if good else "not ", number, family, hit, expected,
            100 * hit // max(expected, 1), false), flush=True)
        for line in lines:
            print("# " + line)
    share = total[1] / max(total[0], 1)
    good = share >= 0.80
    failed += not good
    print("%sok %d - SSH and web together: %d of %d addresses found (%d %%)" % (
        "" if good else "not ", len(families) + 1, total[1], total[0],
        100 * share))
    print("1..%d" % (len(families) + 1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
