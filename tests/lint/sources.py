#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the house asks of its sources beyond format and clang-tidy, as TAP.

usage: sources.py TOP FILE...     FILE relative to TOP, as `git ls-files` prints

- layering: a stage sees include/ and itself; stages meet in the pipelines and
  in ctl/; a library is included only in its one place
- a folder of sources has its line in doc/ARCHITECTURE.md
- banned functions
- SPDX header in each source and script
- no path of somebody's workplace
"""
import os
import re
import sys

# Where a library may be included: prefix of the header -> prefixes of files.
PLACES = {
    "event2/": ("lib/loop.c", "collector/api/http"),
    "openssl/": ("lib/tls.c", "lib/tls_", "lib/digest.c", "lib/secret.c",
                 "lib/sign.c", "lib/tsa.c", "lib/authority.c"),
    "sqlite3.h": ("include/sql.h", "lib/sql.c", "collector/store/"),
    "hs.h": ("rules/engine/", "collector/search/sweep.c"),
    "hs/": ("rules/engine/",),
    "pcre2.h": ("rules/engine/", "collector/normalize/", "lib/multiline.c",
                "collector/search/expression.c",
                "agent/inputs/policy/policy_pattern.c"),
    "librdkafka/": ("collector/publish/",),
    "curl/": ("lib/http_post.c",),
    "yaml.h": ("lib/conf.c", "lib/yaml.c"),
    "zlib.h": ("lib/lumberjack.c", "agent/inputs/gzip.c", "agent/spool/",
               "collector/store/", "ctl/input_file.c"),
    "zstd.h": ("collector/store/",),
    "expat.h": ("collector/normalize/",),
    "maxminddb.h": ("collector/enrich/",),
    "libaudit.h": ("collector/normalize/audit_value.c",),
    "cap-ng.h": ("lib/privileges.c",),
    "seccomp.h": ("agent/roles/sandbox.c",),
    "linux/landlock.h": ("agent/roles/sandbox.c",),
    "ares.h": ("agent/inputs/probe/", "agent/inputs/input_probe.c"),
    "arpa/nameser.h": ("agent/inputs/probe/",),
    "resolv.h": ("agent/inputs/probe/",),
    "systemd/": ("agent/inputs/journal.c",),
}

# The same for a header of ours that is a library's face, or that only the files
# of one unit share.
FACES = {
    "include/sql.h": ("lib/sql.c", "lib/sql_fds.h", "collector/store/", "agent/inputs/"),
    "agent/pipeline_parts.h": ("agent/pipeline",),
    "collector/pipeline_parts.h": ("collector/pipeline",),
}

# Folders where stages meet: their files may include any of the prefixes.
MEETING = {
    "ctl": ("ctl/", "collector/", "agent/", "rules/"),
    "collector": ("collector/",),
    "agent": ("agent/",),
}

# A stage that may see another, and why.
NEIGHBOURS = {
    # files only through the opener; what has none is kept in the spool
    "agent/inputs": ("agent/roles/opener", "agent/spool/spool.h"),
    # inputs in several files
    "agent/inputs/fim": ("agent/roles/opener", "agent/inputs/"),
    "agent/inputs/inventory": ("agent/roles/opener", "agent/inputs/"),
    "agent/inputs/probe": ("agent/inputs/",),
    "agent/inputs/policy": (
        "agent/roles/opener",
        "agent/roles/runner.h",
        "agent/inputs/",
    ),
}

BANNED = {
    "strcpy": "snprintf or struct buf",
    "strcat": "struct buf",
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "gets": "getline",
    "strtok": "struct slice",
    "system": "posix_spawn",
    "popen": "posix_spawn",
    "rand": "getrandom",
    "srand": "getrandom",
    "random": "getrandom",
    "setenv": "an argument (not safe in threads)",
    "putenv": "an argument (not safe in threads)",
    "gmtime": "timestamp.h",
    "localtime": "timestamp.h",
    "asctime": "timestamp.h",
    "ctime": "timestamp.h",
    "atoi": "strtol with its errors",
    "atol": "strtol with its errors",
    "atof": "strtod with its errors",
    "strerror": "error_errno() or strerror_r",
    "alloca": "an arena or a bounded array",
    "tmpnam": "mkstemp",
    "mktemp": "mkstemp",
}

BANNED_CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
COMMENT_OR_TEXT = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S
)
WORKPLACE = re.compile(r"(?<![\w.-])/(work|root|home/\w+|tmp/build-\w+)/")
SCRIPT = re.compile(r"^#!.*\b(sh|bash|python3|awk)\b")


def blank(match):
    """Comments and literals, emptied, with their line breaks kept."""
    return re.sub(r"[^\n]", " ", match.group(0))


def read(top, path):
    with open(os.path.join(top, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def resolve(top, path, name):
    """The file that `#include "name"` in `path` means, as the build looks."""
    for folder in (os.path.dirname(path), "include", "tests", "", "rules/engine"):
        candidate = os.path.normpath(os.path.join(folder, name))
        if os.path.exists(os.path.join(top, candidate)):
            return candidate
    return None


def may_see(path, target):
    folder = os.path.dirname(path)
    if target.startswith("include/") or os.path.dirname(target) == folder:
        return True
    if path.startswith("tests/") or target.startswith(NEIGHBOURS.get(folder, "\0")):
        return True
    if target.startswith(folder + "/") and folder.count("/") >= 1:
        return True
    return target.startswith(MEETING.get(folder, "\0"))


def layering(top, path, text):
    for number, line in enumerate(text.split("\n"), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        name = match.group(2)
        if match.group(1) == "<":
            for prefix, places in PLACES.items():
                if name.startswith(prefix) and not path.startswith(
                    places + ("tests/",)
                ):
                    yield number, "<%s> is included only in %s" % (
                        name,
                        ", ".join(places),
                    )
            continue
        target = resolve(top, path, name)
        if target is None:
            continue  # config.h and other generated files
        if target in FACES and not path.startswith(FACES[target] + ("tests/",)):
            yield number, "%s is included only in %s" % (
                target,
                ", ".join(FACES[target]),
            )
        if not may_see(path, target):
            yield number, "%s may not include %s" % (
                os.path.dirname(path) or path,
                target,
            )


def house(top, path):
    folder = os.path.dirname(path)
    if folder and not path.startswith("tests/"):
        if "`%s/`" % folder not in read(top, "doc/ARCHITECTURE.md"):
            yield 1, "%s/ has no line in doc/ARCHITECTURE.md" % folder


def banned(text):
    lines = text.split("\n")
    code = COMMENT_OR_TEXT.sub(blank, text)
    for number, line in enumerate(code.split("\n"), 1):
        for match in BANNED_CALL.finditer(line):
            if "NOLINT" not in lines[number - 1]:
                name = match.group(1)
                yield number, "%s() is banned: use %s" % (name, BANNED[name])


def spdx(path, text):
    head = "\n".join(text.split("\n")[:3])
    if "SPDX-License-Identifier: Apache-2.0" not in head:
        yield 1, "no SPDX-License-Identifier in the first three lines"


def workplace(text):
    for number, line in enumerate(text.split("\n"), 1):
        match = WORKPLACE.search(line)
        if match and "workplace-ok" not in line:
            yield number, "path of a workplace: %s" % match.group(0)


def main():
    top, files = sys.argv[1], sys.argv[2:]
    findings = {"layering": [], "folders": [], "banned functions": [],
                "SPDX headers": [], "no workplace paths": []}
    counted = dict.fromkeys(findings, 0)

    def add(kind, path, found):
        counted[kind] += 1
        for number, message in found:
            findings[kind].append("%s:%d: %s" % (path, number, message))

    for path in files:
        if not os.path.isfile(os.path.join(top, path)):
            continue
        text = read(top, path)
        source = path.endswith((".c", ".h"))
        if source:
            add("layering", path, layering(top, path, text))
            add("folders", path, house(top, path))
            add("banned functions", path, banned(text))
        if source or SCRIPT.match(text) or path.endswith((".py", ".sh")):
            add("SPDX headers", path, spdx(path, text))
        # logs and corpora speak of the machines they came from
        if "/corpus/" not in path and not path.endswith((".log", ".jsonl")):
            add("no workplace paths", path, workplace(text))
    failed = False
    for number, (kind, found) in enumerate(findings.items(), 1):
        failed |= bool(found)
        print("%sok %d - %s (%d files)" % (
            "not " if found else "", number, kind, counted[kind]))
        for line in found:
            print("# " + line)
    print("1..%d" % len(findings))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
