#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much of what others expect of log lines the formats find.

Each expected (field, value) pair is found, missing, or wrong: the field is
there with another value, which counts twice.  A value that the line does not
hold literally is left out: it is the other tool's own word for something.
Where an expectation cannot be met, or contradicts ECS or another family, it is
"explained", see EXPLAINED: not found, but no mistake either.  -v prints each
pair that is not found.

Then raw logs: how many of their lines no format knows; and the attackers of
CrowdSec's hub: how many the packs find (tests/scenarios/crowdsec_hub.py -v says
which not).  Names of tables: those of sources, "logs", "hub".
"""
import collections
import gzip
import json
import os
import re
import subprocess
import sys

from bench import BUILD, SRC, Parser

CORPORA = os.path.join(os.environ.get("KUZET_SHARED") or
                       os.path.join(SRC, "..", "shared"), "corpora")
CASES = os.path.join(CORPORA, "conformance")
LOGS = os.path.join(CORPORA, "logs")

# What Filebeat of 2019 says about itself, what is made of the user agent and
# of GeoIP data, and words that ECS has changed since (event.type is a list now).
BEATS_LEFT = re.compile(
    r"(fileset|service|ecs|source\.geo|user_agent\.(device|os|name|version)|"
    r"log\.flags|log\.original|event\.timezone|postgresql\.log\.timestamp|"
    r"@timestamp|event\.(dataset|module|type)$)")
# Programs of syslog lines without their header.
PROGRAMS = {
    "cisco-asa_msg": "", "openLDAP": "slapd", "openLDAP-extras": "slapd",
    "named": "named", "named-2": "named", "pam": "cron", "sshd": "sshd",
    "postfix": "postfix/smtp", "dhcpd": "dhcpd", "wabauth": "wabauth",
    "wabObjects": "wabauth",
}
# Files of columns without names: whoever reads such a file names its dataset.
DATASETS = {"deny_event": "denyall.rweb", "deny_traffic": "denyall.rweb",
            "IIS": "iis.access"}
# Expected name -> where the value has to be.  A name that is not here may be
# in any field.
PLACES = {
    "source_ip": ["source.ip", "source.address"],
    "client_ip": ["source.ip", "source.address", "client.ip"],
    "postfix_client_ip": ["source.ip"],
    "postfix_client_port": ["source.port"],
    "postfix_relay_ip": ["destination.ip"],
    "postfix_relay_port": ["destination.port"],
    "source_port": ["source.port", "client.port"],
    "dest_ip": ["destination.ip", "destination.address"],
    "dest_port": ["destination.port"],
    "pid": ["process.pid"],
    "useragent": ["user_agent.original"],
    "source.ip": ["source.ip", "client.ip"],
    "client.ip": ["source.ip", "client.ip"],
    "client.port": ["source.port", "client.port"],
    "source.address": ["source.address"],
    "source.port": ["source.port"],
    "destination.ip": ["destination.ip"],
    "destination.port": ["destination.port"],
    "http.response.status_code": ["http.response.status_code"],
    "http.request.method": ["http.request.method"],
    "url.original": ["url.original"],
}
# The same of Filebeat's names of 2019: what ECS 8 or Auditbeat calls otherwise.
BEATS_PLACES = {
    "auditd.log.sequence": ["auditd.sequence"],
    "auditd.log.ses": ["auditd.session"],
    "process.ppid": ["process.parent.pid"],
    "user.terminal": ["auditd.data.terminal"],
    "haproxy.source": ["source.address"],
    "icinga.debug.facility": ["icinga.main.facility"],
    "icinga.startup.facility": ["icinga.main.facility"],
    "postgresql.log.core_id": ["postgresql.log.session_line_number"],
}
# Filebeat's action of an audit record is the record's type.
AUDIT_PLACES = {"event.action": ["auditd.message_type"]}
# (name, another tool's word) -> ours, which says the same.
WORDS = {
    # OpenSSH's own words; ECS has two outcomes
    ("event.outcome", "Accepted"): "success",
    ("event.outcome", "Failed"): "failure",
    ("event.outcome", "Invalid"): "failure",
    # res=1 of the kernel's audit records
    ("event.outcome", "1"): "success",
    # (uint32_t)-1, no log-in user: audit's own tools and go-libaudit say unset
    ("user.audit.id", "4294967295"): "unset",
    ("auditd.log.ses", "4294967295"): "unset",
    # DHCP's message types, RFC 2131: the line has the prefix
    ("action", "DISCOVER"): "DHCPDISCOVER",
    ("action", "OFFER"): "DHCPOFFER",
    ("action", "REQUEST"): "DHCPREQUEST",
    # number 44 of x86_64; the name is what go-libaudit expects
    ("auditd.log.syscall", "44"): "sendto",
}
# (source, case, name): why a pair is not found and will not be.
EXPLAINED = [
    ("beats-filebeat", r"auditd/log/test.log:3", r"auditd.log.subj",
     "taken apart as go-libaudit does: user.selinux.*"),
    ("beats-filebeat", r"auditd/", r"message",
     "the first word of msg='...', cut off by a reader of pairs"),
    ("beats-filebeat", r"elasticsearch/.*json|test-audit", r"message",
     "the whole JSON line; it is in event.original"),
    ("beats-filebeat", r"elasticsearch/(server/test.log:16|slowlog/)",
     r"message", "the whole line; it is in event.original"),
    ("beats-filebeat", r"slowlog/test.log:2", r".*source_query",
     "with the bracket and comma that end it"),
    ("beats-filebeat", r"test-access.log:8", r".*body.content",
     "cut off at the first bracket within it"),
    ("beats-filebeat", r"ipv6_?zone", r"(source|destination)\.address",
     "an address is in its normal form, without a zone"),
    ("beats-filebeat", r"haproxy/log/default", r"haproxy\.source",
     "the reader of that line calls the destination so"),
    ("beats-filebeat", r"test-audit", r"source\.address",
     "address and port; the port is source.port"),
    ("fail2ban", r"sshd:147", r"host",
     "the client chose a name that looks like an address and a port; the peer "
     "is what stands behind it"),
    ("logstash-patterns", r"netscreen:(9|57)|junos:|firewalls:572", r".*",
     "the corpus has the line cut off; the value is told behind that"),
    ("pylogsparser", r"(URLparser|RefererParser|UserAgent|GeoIPsource):", r".*",
     "a value, and no line of any log"),
    ("pylogsparser", r"MSExchange2003ISMailboxStoreFR", r".*",
     "a French text of a discontinued version"),
    ("pylogsparser", r"apache:apache-002", r"request",
     "the request line; its parts are http.request.method, url.original ..."),
    ("pylogsparser", r"dhcpd:", r"source_ip",
     "the address that is given or asked for: client.ip"),
]
# Pieces of patterns, which are no lines of any log.
FRAGMENTS = ("POSTFIX_COMMAND_COUNTER_DATA", "POSTFIX_TLS_FEATURES")
NOTHING = ("", "-", "unknown", "(null)")
SKIP = {"taxonomy", "timestamp", "postfix_keyvalue_data",
        "postfix_command_counter_data", "body", "date"}


def cases(source):
    with open(os.path.join(CASES, source, "cases.jsonl"),
              encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def flat(value, prefix=""):
    if not isinstance(value, dict):
        yield prefix, value
        return
    for name, member in value.items():
        yield from flat(member, f"{prefix}.{name}" if prefix else name)


def fail2ban():
    for c in cases("fail2ban"):
        e = c["expected"]
        year = int(e.get("time", "2005")[:4] or 2005)
        pairs = [("host", ["source.address", "source.ip", "source.domain",
                           "client.address"], e.get("host")),
                 ("user", ["user.name"], e.get("user"))]
        if e.get("match"):
            yield c, {"year": year}, [p for p in pairs if p[2]]


def beats_place(case, name):
    if case["module"] == "auditd" and name in AUDIT_PLACES:
        return AUDIT_PLACES[name]
    if name.startswith("auditd.log.") and name not in BEATS_PLACES:
        return None
    return BEATS_PLACES.get(name) or [name]


def filebeat():
    for c in cases("beats-filebeat"):
        pairs = [(name, beats_place(c, name), value)
                 for name, value in c["expected"].items()
                 if not BEATS_LEFT.match(name) and value != "-"]
        yield c, {"dataset": f"{c['module']}.{c['fileset']}",
                  "year": 2019}, pairs


def any_place(name):
    return PLACES.get(name) or PLACES.get(name.split(".")[-1])


def pylogsparser():
    for c in cases("pylogsparser"):
        yield c, {"program": PROGRAMS.get(c["normalizer"], ""),
                  "dataset": DATASETS.get(c["normalizer"], "")}, [
            (n, any_place(n), v) for n, v in c["expected"].items()
            if n not in SKIP and v != "-"]


def postfix():
    for c in cases("postfix-grok"):
        if any(f in c["pattern"] for f in FRAGMENTS):
            continue
        daemon = re.sub(r"\W", "", c["pattern"].replace("POSTFIX_", ""))
        yield c, {"program": "postfix/" + daemon.lower()}, [
            (n, any_place(n), v) for n, v in c["expected"].items()
            if n not in SKIP]


def logstash():
    for c in cases("logstash-patterns"):
        yield c, {"program": "", "year": 2026}, [
            (n, PLACES.get(n), v) for n, v in flat(c["expected_ecs"])
            if n not in SKIP]


SOURCES = {"fail2ban": fail2ban, "beats-filebeat": filebeat,
           "pylogsparser": pylogsparser, "postfix-grok": postfix,
           "logstash-patterns": logstash}


def number(value):
    if isinstance(value, str) and value.lower().startswith("0x"):
        return int(value, 16)
    return float(value)


def same(want, got):
    if isinstance(got, list):
        return want == got or any(same(want, g) for g in got)
    if isinstance(want, bool) or isinstance(got, bool):
        return want == got or str(want).lower() == str(got).lower()
    try:
        return number(want) == number(got)
    except (TypeError, ValueError):
        return str(want).strip().lower() == str(got).strip().lower()


def in_line(value, line):
    if isinstance(value, (dict, list)) or value in NOTHING:
        return False
    return str(value).lower() in line.lower()


def judge(places, want, event):
    if places is None:
        got = [v for k, v in event.items() if k != "event.original"]
        return "found" if any(same(want, g) for g in got) else "missing"
    got = [event[p] for p in places if p in event]
    if any(same(want, g) for g in got):
        return "found"
    return "wrong" if got else "missing"


def explanation(source, case, name):
    for where, which, what, why in EXPLAINED:
        if (where == source and re.search(which, case) and
                re.fullmatch(what, name)):
            return why
    return None


def run(requests):
    tool = os.path.join(BUILD, "tests", "bench", "coverage_events")
    made = subprocess.run(
        [tool, os.path.join(SRC, "rules", "normalizers")],
        input="".join(json.dumps(r) + "\n" for r in requests), text=True,
        stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in made.stdout.splitlines()]


def score(source, verbose):
    table = collections.defaultdict(collections.Counter)
    everything = list(SOURCES[source]())
    events = run([dict(hints, log=c["log"]) for c, hints, _ in everything])
    for (c, hints, pairs), event in zip(everything, events):
        for name, places, want in pairs:
            if not in_line(want, c["log"]):
                continue
            verdict = judge(places, want, event)
            if (name, want) in WORDS and verdict != "found":
                verdict = judge(places, WORDS[name, want], event)
            why = explanation(source, c["id"], name)
            if verdict != "found" and why:
                verdict = "explained"
            table[c["family"]][verdict] += 1
            if verbose and verdict != "found":
                print(f"{verdict} {source} {c['id']} "
                      f"{'/'.join(places or ['any'])} = {want!r} "
                      f"({event.get('event.dataset')}) {c['log'][:300]!r}"
                      f"{' because ' + why if why else ''}")
    return table


def main():
    p = Parser(__doc__, "kuzetctl", "tests/bench/coverage_events")
    p.add_argument("-v", "--verbose", action="store_true")
    p.add_argument("names", metavar="SOURCE", nargs="*")
    args = p.parse()
    names, verbose = args.names, args.verbose
    for name in names:
        if name not in (*SOURCES, "logs", "hub"):
            p.error(f"{name}: there are {', '.join(SOURCES)}, logs, hub")
    if not os.path.isdir(CASES):
        print("skipped: no corpus")
        return
    print(f"{'source':18} {'family':14} {'pairs':>6} {'found':>6} "
          f"{'missing':>8} {'explained':>9} {'wrong':>6} {'':>7}")
    total = collections.Counter()
    for source in [n for n in names or SOURCES if n in SOURCES]:
        table = score(source, verbose)
        table["all"] = sum(table.values(), collections.Counter())
        total += table["all"]
        for family, n in sorted(table.items()):
            row(source, family, n)
    row("all", "", total)
    if not names or "logs" in names:
        unparsed()
    if not names or "hub" in names:
        attackers()


def row(source, family, n):
    everything = sum(n.values()) or 1
    right = (n["found"] - n["wrong"]) / everything
    print(f"{source:18} {family:14} {sum(n.values()):6} {n['found']:6} "
          f"{n['missing']:8} {n['explained']:9} {n['wrong']:6} {right:7.1%}")


# Of the folders of raw logs: what is no log of lines.
NO_LOGS = {
    "auparse_test.ref": "what a test program of audit-userspace prints",
    "bash_history": "commands, without a time or anything else",
    "logfile_tcsh_history.0": "commands",
    "utmp_wtmp.1": "binary", "utmp_utmp": "binary",
    "utmp_utmp_x86_64": "binary",
}


def raw_logs():
    """(source, path) of every log file."""
    for source in sorted(os.listdir(LOGS)):
        for folder, _, files in sorted(os.walk(os.path.join(LOGS, source))):
            for name in sorted(files):
                if name in NO_LOGS or name in ("LICENSE", "ORIGIN.md"):
                    continue
                yield source, os.path.join(folder, name)


def read_log(path):
    """The file's text, ending with a line's end."""
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rb") as f:
        text = f.read()
    return text if text.endswith(b"\n") else text + b"\n"


def parse(text):
    """The kinds of the text's events, as kuzetctl parse prints them."""
    made = subprocess.run(
        [os.path.join(BUILD, "kuzetctl"), "parse", "--flat", "-"],
        input=text, stdout=subprocess.PIPE, check=True, env=dict(
            os.environ, KUZET_DATADIR=os.path.join(SRC, "rules")))
    return collections.Counter(
        json.loads(line).get("event.kind")
        for line in made.stdout.decode().splitlines())


def unparsed():
    """How many lines of the raw logs no format knows, a source a row."""
    table = collections.defaultdict(collections.Counter)
    for source, path in raw_logs():
        table[source].update(parse(read_log(path)))
    print(f"\n{'raw logs':18} {'lines':>8} {'unparsed':>8}")
    table["all"] = sum(table.values(), collections.Counter())
    for source, n in table.items():
        lines, errors = sum(n.values()), n["pipeline_error"]
        print(f"{source:18} {lines:8} {errors:8} {errors / (lines or 1):7.1%}")


def attackers():
    """Whom the packs find in the cases of CrowdSec's hub, a family a row."""
    sys.path.insert(0, os.path.join(SRC, "tests", "scenarios"))
    import crowdsec_hub  # pylint: disable=import-outside-toplevel
    table, *_ = crowdsec_hub.measure()
    n = table["all"] = sum(table.values(), collections.Counter())
    print(f"\n{'crowdsec-hub':18} {'wanted':>8} {'found':>8}")
    for family, f in table.items():
        if f["wanted"]:
            print(f"{family:18} {f['wanted']:8} {f['found']:8} "
                  f"{f['found'] / f['wanted']:7.1%}")
    print(f"quiet cases that raise something: {n['raised']} of {n['quiet']}; "
          f"{len(crowdsec_hub.LOUD)} more hold an attack")


if __name__ == "__main__":
    main()
