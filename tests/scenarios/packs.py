#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What every rule of the packs by kind of object must have, as TAP.

Words in Kazakh and Russian, the article that asks for it, a scenario in which
it matches and one of the same pack in which nothing does; and quiet logs, where
the corpus is there, stay quiet.  A rule of another pack that has words at all
has them in both languages, and its two scenarios.
"""
import json
import os
import re
import subprocess
import sys

from scenarios import HERE, KUZETCTL, TOP

ALL_PACKS = os.path.join(TOP, "rules", "packs")
PACKS = os.path.join(ALL_PACKS, "objects")
SHARED = os.environ.get("KUZET_SHARED", os.path.join(TOP, "..", "shared"))
LOGS = os.path.join(SHARED, "corpora", "logs")
REASONS = [r"requirement: \[R-.+\]", r"article: \S.+"]
WORDS = [
    rf"{lang}:\n    title: \S.+\n    advice: (>-\n +)?\S.+"
    for lang in ("kk", "ru")]
LETTERS = {"kk": "[әғқңөұүһі]", "ru": "[а-я]"}


def titled_rules():
    """(file, title, text) of each rule that is for people to act upon."""
    for folder, _, names in sorted(os.walk(ALL_PACKS)):
        for name in sorted(n for n in names if n.endswith(".yml")):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                for text in f.read().split("\n---\n"):
                    title = re.search(r"^title: (.+)$", text, re.M).group(1)
                    loud = "\nlevel: informational" not in text
                    if "\nkuzet:" in text or (folder == PACKS and loud):
                        yield folder, name, title, text


def scenario_titles():
    """Titles that scenarios expect; packs that have one that expects none."""
    titles, quiet = set(), set()
    for name in os.listdir(HERE):
        expected = os.path.join(HERE, name, "expected.jsonl")
        if not os.path.exists(expected):
            continue
        with open(os.path.join(HERE, name, "scenario.json"),
                  encoding="utf-8") as f:
            rules = json.load(f)["rules"]
        with open(expected, encoding="utf-8") as f:
            found = [json.loads(line).get("title") for line in f]
        titles.update(found)
        if not found:
            quiet.update(os.path.basename(r) for r in rules)
    return titles, quiet


def rules_are_whole():
    titles, quiet = scenario_titles()
    for folder, name, title, text in titled_rules():
        for word in (REASONS if folder == PACKS else []) + WORDS:
            if not re.search(word, text):
                yield f"{name}: {title}: lacks {word}"
        for lang, letters in LETTERS.items():
            said = re.search(rf"\n  {lang}:\n((    .*\n?)+)", text)
            if said is None or not re.search(letters, said.group(1)):
                yield f"{name}: {title}: says nothing in {lang}"
        if title not in titles:
            yield f"{name}: {title}: no scenario expects it"
        if name not in quiet:
            yield f"{name}: {title}: no scenario in which nothing matches"


def quiet_logs_stay_quiet():
    env = dict(os.environ, KUZET_DATADIR=os.path.join(TOP, "rules"))
    for folder, _, names in os.walk(LOGS):
        for name in names:
            log = os.path.join(folder, name)
            done = subprocess.run(
                [KUZETCTL, "rules", "match", "--json", "--rules", PACKS,
                 "--log", log, "--year", "2020"], env=env, timeout=300,
                check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for line in done.stdout.decode().splitlines():
                match = json.loads(line)
                if match["level"] != "informational":
                    yield f"{os.path.relpath(log, LOGS)}: {match['title']}"


def main():
    failed = 0
    checks = [("every rule has its words, its article and its scenarios",
               rules_are_whole, None),
              ("quiet logs stay quiet", quiet_logs_stay_quiet,
               None if os.path.isdir(LOGS) else "no corpus")]
    for number, (about, check, skip) in enumerate(checks, 1):
        problems = [] if skip else list(check())
        print("%sok %d - %s%s" % ("not " if problems else "", number, about,
                                  f" # SKIP {skip}" if skip else ""))
        for line in problems[:40]:
            print("# " + line)
        failed += bool(problems)
    print("1..%d" % len(checks))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
