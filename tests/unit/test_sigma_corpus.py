#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The public Sigma corpus: all of it loads, its regression cases match, and nothing else matches but what is explained here.

Needs ../shared (or KUZET_SHARED): sigma/rules-corpus.tar.gz, sigma/peer/matches.tsv and corpora/. Prints TAP."""
import bisect
import glob
import gzip
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile

TOP = os.environ.get('top_srcdir', os.path.join(os.path.dirname(__file__), '../..'))
BUILD = os.environ.get('top_builddir', TOP)
SHARED = os.environ.get('KUZET_SHARED', os.path.join(TOP, '../shared'))
ACTIVE = ['rules', 'rules-compliance', 'rules-emerging-threats', 'rules-placeholder', 'rules-threat-hunting']
PLACEHOLDER_RULES = 25

# What we match and the peer does not: decisions of ours, each with the rules that it may concern.
CLEARED = {'d99b79d2-0a6f-4f46-ad8b-260b6e17f982', '100ef69e-3327-481c-8e5c-6d80d9507556'}
SHADOW = {'f512acbf-e662-4903-843e-97ce4652b740'}
# What the peer matches and we do not: it tries rules of category `database` on events of Windows.
DATABASE = {'d84c0ded-edd7-4123-80ed-348bb3ccc4d5'}

number = 0
failed = 0


def check(ok, name, remark=''):
    global number, failed
    number += 1
    print(f'{"ok" if ok else "not ok"} {number} - {name}')
    if not ok:
        failed += 1
        for line in str(remark).splitlines()[:40]:
            print('#', line)


def kuzetctl(*arguments):
    env = dict(os.environ, KUZET_DATADIR=os.path.join(TOP, 'rules'))
    run = subprocess.run([os.path.join(BUILD, 'kuzetctl'), 'rules', *arguments], capture_output=True, text=True, env=env, check=False)
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines()], run.stderr


def explained(event, rule):
    """A match that the peer does not have."""
    if event.get('EventID') == 4688:
        return 'Security 4688 is a process creation too'
    if 'SourceName' in event and rule in CLEARED | SHADOW:
        return 'SourceName is Provider_Name'
    return None


def read_events(out):
    """All Windows events, in one file: where each file begins, and the objects."""
    starts, names, events = [], [], []
    files = sorted(glob.glob('sigma-regression/*/*/events.jsonl', root_dir=os.path.join(SHARED, 'corpora')))
    files += sorted(glob.glob('attack/security-datasets/windows/*/*/*.json*', root_dir=os.path.join(SHARED, 'corpora')))
    for name in files:
        path = os.path.join(SHARED, 'corpora', name)
        starts.append(len(events))
        names.append('corpora/' + name)
        with (gzip.open if name.endswith('.gz') else open)(path, 'rt', encoding='utf-8') as lines:
            for line in lines:
                if line.strip():
                    out.write(line.rstrip('\n') + '\n')
                    events.append(line)
    return starts, names, events


def test_load(folders):
    status, lines, _ = kuzetctl('check', '--json', *folders)
    errors = [line for line in lines if line.get('severity') == 'error']
    wrong = [line for line in errors if 'placeholder %' not in line['message']]
    check(not wrong, 'only rules that need a placeholder are refused', '\n'.join(map(str, wrong)))
    check(len(errors) == PLACEHOLDER_RULES and lines[-1]['refused'] == PLACEHOLDER_RULES and status == 1,
          'each of them by name', lines[-1])
    check(lines[-1]['loaded'] == 3780 - PLACEHOLDER_RULES, 'all others load', lines[-1])


def test_cases(matches):
    for info in sorted(glob.glob(os.path.join(SHARED, 'corpora/sigma-regression/*/*/info.yml'))):
        folder = os.path.dirname(info)
        with open(info, encoding='utf-8') as text:
            count = re.search(r'match_count: *(\d+)', text.read())
        with open(os.path.join(folder, 'rule.yml'), encoding='utf-8') as text:
            rule = re.search(r'^id: *(\S+)', text.read(), re.M).group(1)
        name = 'corpora/' + os.path.relpath(folder, os.path.join(SHARED, 'corpora')) + '/events.jsonl'
        got = sum(1 for file, _, matched in matches if file == name and matched == rule)
        check(got >= int(count.group(1) if count else 1), f'{os.path.basename(os.path.dirname(folder))} {rule} matches its events', got)


def test_matches(folders, tmp):
    path = os.path.join(tmp, 'events.jsonl')
    with open(path, 'w', encoding='utf-8') as out:
        starts, names, events = read_events(out)
    status, lines, errors = kuzetctl('match', '--json', '--rules', *folders, '--events', path)
    check(status == 0, 'the corpus runs over all Windows events', errors)
    matches = set()
    for line in lines:
        file = bisect.bisect_right(starts, line['event']) - 1
        matches.add((names[file], line['event'] - starts[file], line['rule']))
    test_cases(matches)
    with open(os.path.join(SHARED, 'sigma/peer/matches.tsv'), encoding='utf-8') as tsv:
        peer = {(file, int(index), rule) for file, index, rule in (line.rstrip('\n').split('\t') for line in tsv)}
    begin = dict(zip(names, starts))
    extra = [m for m in sorted(matches - peer) if not explained(json.loads(events[begin[m[0]] + m[1]]), m[2])]
    check(not extra, 'what the peer does not match is explained', '\n'.join(map(str, extra)))
    missing = [m for m in sorted(peer - matches) if m[2] not in DATABASE]
    check(not missing, 'what the peer matches matches', '\n'.join(map(str, missing)))


def main():
    corpus = os.path.join(SHARED, 'sigma/rules-corpus.tar.gz')
    if not os.path.exists(corpus):
        print('1..0 # SKIP no corpus')
        return 0
    with tempfile.TemporaryDirectory() as tmp:
        with tarfile.open(corpus) as tar:
            tar.extractall(tmp)
        folders = [os.path.join(tmp, name) for name in ACTIVE]
        test_load(folders)
        test_matches(folders, tmp)
    print(f'1..{number}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
