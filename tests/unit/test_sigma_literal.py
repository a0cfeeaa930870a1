#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The engine against tests/lib/sigma_literal.py, a second evaluator that shares no code with it: any difference fails.

Generated rules over generated events, and the public corpus over every event of ../shared/corpora (Windows events, audit trails,
Zeek, and all logs through the normalizers).  The corpus runs over a sample here, over everything with KUZET_EXHAUSTIVE=1.  Prints TAP."""
import glob
import gzip
import json
import os
import random
import sys
import tarfile
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '../lib'))
from tap import TOP, check, done, kuzetctl  # pylint: disable=wrong-import-position

SHARED = os.environ.get('KUZET_SHARED', os.path.join(TOP, '../shared'))
EXHAUSTIVE = os.environ.get('KUZET_EXHAUSTIVE', '') not in ('', '0')

ACTIVE = ['rules', 'rules-compliance', 'rules-emerging-threats', 'rules-placeholder', 'rules-threat-hunting']
SAMPLE = 2400  # events of the corpora, unless all
ROUNDS, RULES, EVENTS = (40, 60, 120) if EXHAUSTIVE else (4, 60, 120)
SHOWN = 10


def compare(name, rules, paths, events, tmp):
    """Both over the same events; returns how many matches there were."""
    path = os.path.join(tmp, 'events.jsonl')
    with open(path, 'w', encoding='utf-8') as out:
        for event in events:
            out.write(literal.compact(event) + '\n')
    run = kuzetctl('rules', 'match', '--json', '--rules', *paths, '--events', path)
    engine = {}
    for line in run.stdout.splitlines():
        match = json.loads(line)
        engine.setdefault(match['event'], set()).add(match['rule'])
    differences, matches = [], 0
    for i, event in enumerate(events):
        read = rules.matches(event)
        matches += len(read)
        for rule in read ^ engine.get(i, set()):
            differences.append(f'{rule}: the engine says {"no" if rule in read else "yes"} of {literal.compact(event)}')
    check(run.returncode == 0 and not differences, f'{name}: {len(events)} events, {rules.n} rules, as they read',
          run.stderr[-2000:] if run.returncode else f'{len(differences)} differences\n' + '\n'.join(differences[:SHOWN]))
    return matches


# ---- generated -----------------------------------------------------------------------------------------------------------------

FIELDS = ['A', 'B', 'C', 'a.b', 'Imphash', 'Hashes', 'Image', 'User', 'When']
TEXTS = ['x', 'X', 'ab', 'Ab*', '*b*c', 'a?c', '?', '*', '', 'ЖҰ', 'қ', 'b\\*c', 'a\\\\*', '\\\\', 'c\\', '-a', ' /a -b', '7', 'true', '5.5', 'a.c', 'ß']
CHAINS = ['', '|contains', '|startswith', '|endswith', '|cased', '|contains|cased', '|windash', '|contains|windash', '|windash|endswith',
          '|neq', '|neq|contains', '|all', '|contains|all', '|contains|all|windash', '|startswith|cased|all']
PLAIN = ['x', 'ab', 'Ab', 'abc', 'a b', 'жұ']
SPECIAL = [
    '{f}|base64: {p}', '{f}|base64|contains: {p}', '{f}|base64offset|contains: {p}', '{f}|wide|base64offset|contains: {p}',
    '{f}|utf16be|base64|contains: {p}', '{f}|utf16|base64|contains: {p}',
    "{f}|re: 'a.?c'", "{f}|re|i: '^AB'", "{f}|re: '[ab]{{3,120}}c'", "{f}|re: 'a(?!b)'", "{f}|re|s: 'a.+c$'", "{f}|re|m: '^b'", "{f}|re: '(?i)B+C'",
    "{f}|cidr: ['192.0.2.0/24', '2001:db8::/32']", '{f}|cidr: 192.0.2.8/30', '{f}|gt: 5', '{f}|lte: 7', '{f}|lt: -1', '{f}|gte: 5.5',
    '{f}|exists: true', '{f}|exists: false', '{f}: null', '{f}|fieldref: {g}', '{f}|fieldref|neq: {g}', '{f}|fieldref|contains: {g}',
    '{f}|fieldref|startswith: {g}', '{f}|fieldref|endswith: {g}', '{f}|hour: 5', '{f}|minute|gte: 30', '{f}|day: 22', '{f}|week: 47',
    '{f}|month|lt: 12', '{f}|year: 2026']
CONDITIONS = ['s0', 's0 and s1', 's0 or s2', 's0 and not s1', 'not s0', '1 of s*', 'all of s*', '2 of s*', 'not 1 of s*', 'not all of them',
              '(s0 or s1) and not (s2 and s0)', 'not (s0 or s1)', 'any of them', 's0 or s1 and s2', 'not s0 or s1', '2 of them',
              'not not s2 and (s0 or not s1)', 'all of *1 or s2', '[s0, s1 and s2]']
LOGSOURCES = ['{}', '{product: linux}', '{product: windows, category: process_creation}', '{product: none, service: x}', '{category: webserver}',
              '{product: windows, service: security}', '{product: linux, service: sshd}']
VALUES = ['x', 'X', 'ab', 'Ab', 'abc', 'aXc', 'acb', 'aaabbbc', '', None, 7, '7', 5.5, -3, True, ['x', 'ab'], [None], [], {}, 'Қ жұ', 'ẞ', '192.0.2.9',
          '2001:db8::1', '::ffff:192.0.2.9', 'cmd /a b', 'cmd \u2013a', 'x /a \u2014b', 'IMPHASH=ab,MD5=x', 'SHA1=1, Imphash=AB', ['y', 7, ['x']],
          'yyy\0ab', 'a\nbc', 'b*c', 'a\\b', '\\', 'c\\', 'eGFiYw==', 'YWI=', 'eABhAGIA', '//5hAGIA', 'AGEAYg==', '2026-11-22T05:32:03Z', '2026/01/05',
          {'k': 'ab', 'l': [1, {'m': 'x'}]}, 1e300, 12345678901, 10, -0.3, '5.50', '007', '0X7', 'ab' * 40 + 'c']
KINDS = [{'k': 1}, {'host': {'os': {'type': 'linux'}}}, {'Channel': 'Microsoft-Windows-Sysmon/Operational', 'EventID': 1},
         {'event': {'original': 'a line with ab', 'module': 'none', 'dataset': 'x'}}, {'winlog': {'channel': 'Security', 'event_id': '4688'}},
         {'Event': {'System': {'Channel': 'Security', 'EventID': 4624, 'Provider': {'#attributes': {'Name': 'abc'}}}}},
         {'event': {'original': '{"a": "ab"}', 'dataset': 'nginx.access'}}, {'process': {'name': 'sshd'}, 'log': {'syslog': {'appname': 'sshd'}}}]
NAMES = ['A', 'b', 'C', 'a.b', 'Hashes', 'process.executable', 'user.name', 'winlog.event_data.A', 'Event.EventData.B', 'When', 'Event.UserData.x.C', 'U ser']


def a_scalar(rnd):
    return json.dumps(rnd.choice(TEXTS), ensure_ascii=False) if rnd.random() < 0.9 else rnd.choice(['7', '5.5', '5.50', '1e1', '-0.30', 'true', '0x7', '007', '+7'])


def an_item(rnd):
    field, other = rnd.choice(FIELDS), rnd.choice(FIELDS)
    if rnd.random() < 0.5:
        return rnd.choice(SPECIAL).format(f=field, g=other, p=json.dumps(rnd.choice(PLAIN), ensure_ascii=False))
    chain = rnd.choice(CHAINS)
    values = [a_scalar(rnd) for _ in range(rnd.choice([1, 1, 2, 3]))]
    if 'all' in chain and len(values) == 1:
        values.append(a_scalar(rnd))
    return f'{field}{chain}: ' + (values[0] if len(values) == 1 else f'[{", ".join(values)}]')


def a_selection(rnd):
    kind = rnd.random()
    if kind < 0.1:
        return json.dumps(rnd.sample(['ab', 'Y*', 'x', 'ұ', 'a?c', 'line'], 2), ensure_ascii=False)
    if kind < 0.15:
        return '{"|all": [a, b]}'
    maps = []
    for _ in range(rnd.choice([1, 1, 2])):
        items = {item.split(':')[0]: item for item in (an_item(rnd) for _ in range(rnd.choice([1, 1, 2])))}
        maps.append('\n      '.join(items.values()))
    return '\n    - ' + '\n    - '.join(maps)


def a_rule(rnd, i):
    selections = '\n'.join(f'  s{k}: {a_selection(rnd)}' for k in range(3))
    return f'---\ntitle: generated {i}\nid: rule-{i}\nlogsource: {rnd.choice(LOGSOURCES)}\ndetection:\n{selections}\n  condition: {rnd.choice(CONDITIONS)}\n'


def an_event(rnd):
    event = dict(rnd.choice(KINDS))
    for name in rnd.sample(NAMES, rnd.randrange(1, len(NAMES))):
        event[name] = rnd.choice(VALUES)
    return event


def test_generated(taxonomy, tmp):
    matches = 0
    for i in range(ROUNDS):
        rnd = random.Random(i)
        path = os.path.join(tmp, f'generated-{i}.yml')
        with open(path, 'w', encoding='utf-8') as out:
            out.write(''.join(a_rule(rnd, k) for k in range(RULES)))
        rules = literal.Rules([path], taxonomy)
        matches += compare(f'generated rules, {i}', rules, [path], [an_event(rnd) for _ in range(EVENTS)], tmp)
    check(matches > ROUNDS * RULES, 'the generated rules match something', matches)


# ---- the corpora ----------------------------------------------------------------------------------------------------------------


def json_events(name):
    """Objects of a file: one a line."""
    path = os.path.join(SHARED, 'corpora', name)
    with (gzip.open if name.endswith('.gz') else open)(path, 'rt', encoding='utf-8', errors='replace') as lines:
        return [json.loads(line) for line in lines if line.strip()]


def strings_below(obj, keys):
    """Log lines in a case: what stands under one of the keys."""
    if isinstance(obj, dict):
        for key, value in obj.items():
            if key in keys and isinstance(value, str):
                yield value
            elif key in keys and isinstance(value, list):
                for v in value:
                    yield from [v] if isinstance(v, str) else strings_below(v, keys)
            else:
                yield from strings_below(value, keys)
    elif isinstance(obj, list):
        for v in obj:
            yield from strings_below(v, keys)


def lines_of(name):
    path = os.path.join(SHARED, 'corpora', name)
    if name.endswith('cases.jsonl'):
        return [line for case in json_events(name) for text in strings_below(case, ('log', 'logs', 'records')) for line in text.split('\n')]
    with (gzip.open if name.endswith('.gz') else open)(path, 'rb') as f:
        return f.read().decode('utf-8', 'replace').split('\n')


def found(*patterns):
    corpora = os.path.join(SHARED, 'corpora')
    names = {n for p in patterns for n in glob.glob(p, root_dir=corpora, recursive=True) if os.path.isfile(os.path.join(corpora, n))}
    return sorted(n for n in names if os.path.basename(n) not in ('LICENSE', 'ORIGIN.md', 'NOTICE'))


def sample(items, share):
    """Some of each file, and always the same."""
    if EXHAUSTIVE or share >= 1:
        return items
    step = max(1, round(1 / share))
    return items[len(items) % step::step]


def structured():
    every = {name: json_events(name) for name in found('sigma-regression/*/*/events.jsonl')}
    others = {name: json_events(name) for name in found('attack/security-datasets/**/*.json', 'attack/security-datasets/**/*.json.gz',
                                                        'attack/security-datasets/apt29-zeek/*.log')}
    share = SAMPLE / 2 / max(1, sum(len(events) for events in others.values()))
    for name, events in every.items():
        yield from events
    for name, events in others.items():
        yield from sample(events, share)


def from_logs(tmp):
    """Every line of every log, through the normalizers."""
    files = {name: lines_of(name) for name in found('logs/*/*/**', 'rule-tests/*/cases.jsonl', 'conformance/*/cases.jsonl', 'conformance/*/*/*.log',
                                                    'attack/security-datasets/linux/**/*.log')}
    share = SAMPLE / 2 / max(1, sum(len(lines) for lines in files.values()))
    paths = []
    for i, lines in enumerate(files.values()):
        paths.append(os.path.join(tmp, f'{i}.log'))
        with open(paths[-1], 'w', encoding='utf-8') as out:
            out.writelines(line.replace('\r', '') + '\n' for line in sample(lines, share) if line)
    run = kuzetctl('parse', '--year', '2026', *paths)
    check(run.returncode == 0, 'all logs go through the normalizers', run.stderr[-2000:])
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_corpus(taxonomy, tmp):
    with tarfile.open(os.path.join(SHARED, 'sigma/rules-corpus.tar.gz')) as tar:
        tar.extractall(tmp)
    folders = [os.path.join(tmp, name) for name in ACTIVE]
    files = [path for folder in folders for path in sorted(glob.glob(folder + '/**/*.yml', recursive=True))]
    rules = literal.Rules(files, taxonomy)
    check(rules.n == 3755 and all('placeholder' in why for why in rules.refused.values()), 'the same rules are refused', rules.refused)
    events = list(structured())
    n = len(events)
    events += from_logs(tmp)
    print(f'# {n} structured events, {len(events) - n} out of logs')
    matches = compare('the corpora', rules, folders, events, tmp)
    check(matches >= 200, 'rules of the corpus match something', matches)


def main():
    taxonomy = literal.Taxonomy(sorted(glob.glob(os.path.join(TOP, 'rules/taxonomy/*.yml'))))
    with tempfile.TemporaryDirectory() as tmp:
        test_generated(taxonomy, tmp)
        if os.path.exists(os.path.join(SHARED, 'sigma/rules-corpus.tar.gz')):
            test_corpus(taxonomy, tmp)
        else:
            print('# no corpus')
    return done()


if __name__ == '__main__':
    try:
        import sigma_literal as literal
    except ImportError:
        print('1..0 # SKIP no python3-yaml')
        sys.exit(0)
    sys.exit(main())
