#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rule engine beside rsigma: same events, same rules, same run.

Needs python3-yaml and ../shared (or KUZET_SHARED): the public Sigma rules
and the events of corpora/.  CPU seconds of one core, and matches.

rsigma is measured where it is on PATH (or RSIGMA names it; the script in
shared/sigma/peer says how it is built), on Windows events by that script, on
others in the same way, as they are: no pipeline tells it the names that we
have for their fields, so its matches of these are not to be compared.  Without
it, what it matches in corpora/ is, with shared/sigma/peer/matches.tsv.

The same events come in every pass.  That helps kuzet's memories (names between
values, values, routes) no more than a log does: they hold 16 values a field,
and thousands of others come between.  To compare two builds let their runs
alternate, and take the least: the figure grows by a quarter where the other
half of the core is busy.
"""
import bisect
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile

import yaml

from bench import BUILD, SRC, Parser

os.environ.setdefault('KUZET_SHARED', os.path.join(SRC, '../shared'))
SHARED = os.environ['KUZET_SHARED']
sys.path.insert(0, os.path.join(SRC, 'tests/unit'))
import test_sigma_corpus as corpus  # noqa: E402  pylint: disable=wrong-import-position

SECONDS = 2  # of CPU that a measurement takes, about
LOGS = {  # of which `kuzetctl parse` makes events
    'web': ['logs/elastic-examples/web_apache/apache_access_combined.log',
            'logs/opensearch-catalog/web_nginx/nginx_access.log'],
    'linux': ['logs/beats-filebeat/sshd_auth/system_auth_auth-ubuntu1204.log',
              'logs/beats-filebeat/auditd/audit-rhel7.log', 'logs/audit-userspace/auditd/test.log'],
}

TAGS = {'web': {'category': 'webserver'}, 'linux': {'product': 'linux'}}  # what the peer routes them by


def run(*command, env=None):
    """Its output, CPU seconds and greatest memory in MB."""
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL,  # pylint: disable=consider-using-with
                                 env=dict(os.environ, **(env or {})))
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode()
    if child.returncode != 0:
        sys.exit(f'{command[0]}: exit status {child.returncode}')
    return text, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def row(what, kuzet, peer, wanted):
    print(f'{what:<58} {kuzet:>22} {peer:>22}   {wanted}', flush=True)


# ---- rules --------------------------------------------------------------------

def texts(folders):
    for folder in folders:
        for path, _, names in sorted(os.walk(folder)):
            for name in sorted(names):
                if name.endswith('.yml'):
                    with open(os.path.join(path, name), encoding='utf-8') as file:
                        yield file.read()


def write_rules(folder, rules):
    os.makedirs(folder)
    for i, text in enumerate(rules):
        with open(os.path.join(folder, f'{i}.yml'), 'w', encoding='utf-8') as file:
            file.write(text)
    return folder


def is_windows(text):
    return re.search(r'^ +product: *windows', text, re.M) is not None


def is_linux_or_web(text):
    return re.search(r'^ +product: *linux|^ +category: *(webserver|proxy|firewall)', text, re.M) is not None


def vary(text, number):
    """Another rule of the same kind: under its own id, with other words."""
    def other(value):
        if isinstance(value, str) and len(value) > 2:
            return value[:-1] + f'q{number}' + value[-1]
        if isinstance(value, list):
            return [other(v) for v in value]
        if isinstance(value, dict):
            return {k: v if '|re' in str(k) or '|cidr' in str(k) or '|base64' in str(k) else other(v)
                    for k, v in value.items()}
        return value

    rule = next(yaml.safe_load_all(text))
    rule['id'] = f'{number:08x}' + str(rule['id'])[8:]
    detection = rule['detection']
    rule['detection'] = {k: v if k == 'condition' else other(v) for k, v in detection.items()}
    return yaml.safe_dump(rule, allow_unicode=True, sort_keys=False)


def more(rules, n):
    """So many of them: a sample, or all and then varied ones."""
    if n <= len(rules):
        return random.Random(1).sample(rules, n)
    return rules + [vary(rules[i % len(rules)], i) for i in range(n - len(rules))]


# ---- events -------------------------------------------------------------------

def sysmon_events(path, everything):
    with open(everything, encoding='utf-8') as events, open(path, 'w', encoding='utf-8') as out:
        out.writelines(e for e in events if 'sysmon' in str(json.loads(e).get('Channel', '')).lower())
    return path


def log_events(path, name):
    files = [os.path.join(SHARED, 'corpora', file) for file in LOGS[name]]
    text, _, _ = run(os.path.join(BUILD, 'kuzetctl'), 'parse', '--year', '2026', '--json', *files)
    with open(path, 'w', encoding='utf-8') as out:
        out.write(text)
    return path


# ---- measurements -------------------------------------------------------------

def measure(rules, events):
    """CPU seconds per million: JSON text in, matches out; and without the JSON."""
    bench = os.path.join(BUILD, 'tests/bench/bench_rules')
    once = json.loads(run(bench, rules, events, '1')[0])
    total = once['events'] * (once['cpu_seconds_per_million'] + once['parsed_cpu_seconds_per_million']) / 1e6
    return json.loads(run(bench, rules, events, str(max(2, round(SECONDS / total))))[0])


def has_peer():
    return shutil.which(os.environ.get('RSIGMA', 'rsigma')) is not None


def measure_peer(rules, events, tags):
    """By its own script, which takes events of Windows; others in the same way, tagged for its routing."""
    if not has_peer():
        return 'skipped: no peer'
    if tags is None:
        script = os.path.join(SHARED, 'sigma/peer/rsigma-bench')
        last = json.loads(run(script, rules, events, '1')[0].splitlines()[-1])
        return f'{last["cpu_seconds_per_million"]:.1f} s, {last["matches"]}, {last["rss_mb"]} MB'
    with open(events, encoding='utf-8') as lines, open(events + '.tagged', 'w', encoding='utf-8') as out:
        n = sum(1 for line in lines if out.write(json.dumps(dict(json.loads(line), **tags)) + '\n'))
    with open(events + '.none', 'w', encoding='utf-8'):
        pass
    used = [run(os.environ.get('RSIGMA', 'rsigma'), 'engine', 'eval', '-r', rules, '--logsource-routing', '--input-format', 'json',
                '--output-format', 'ndjson', '-o', events + '.out', '-e', '@' + events + end) for end in ('.none', '.tagged')]
    with open(events + '.out', encoding='utf-8') as out:
        matches = sum(1 for _ in out)
    return f'{(used[1][1] - used[0][1]) / n * 1e6:.1f} s, {matches}, {used[1][2]:.0f} MB'


def compare_matches(folders, tmp):
    """Every match over all Windows events, beside those of the peer."""
    path = os.path.join(tmp, 'windows.jsonl')
    with open(path, 'w', encoding='utf-8') as out:
        starts, names, events = corpus.read_events(out)
    text, _, _ = run(os.path.join(BUILD, 'kuzetctl'), 'rules', 'match', '--json', '--rules', *folders, '--events', path)
    ours = set()
    for match in map(json.loads, text.splitlines()):
        file = bisect.bisect_right(starts, match['event']) - 1
        ours.add((names[file], match['event'] - starts[file], match['rule']))
    with open(os.path.join(SHARED, 'sigma/peer/matches.tsv'), encoding='utf-8') as tsv:
        peer = {(f, int(i), r) for f, i, r in (line.rstrip('\n').split('\t') for line in tsv)}
    begin = dict(zip(names, starts))
    explained = {m for m in ours - peer if corpus.reason(json.loads(events[begin[m[0]] + m[1]]), m[2])}
    missing = {m for m in peer - ours if m[2] not in corpus.DATABASE}
    print(f'matches over {len(events)} Windows events: {len(ours & peer)} as the peer, {len(explained)} more that '
          f'are explained, {len(ours - peer - explained)} that are not, {len(missing)} missing', flush=True)
    return path, not missing and ours - peer == explained


def measure_load(folders, tmp):
    cache = {'KUZET_CACHEDIR': os.path.join(tmp, 'cache')}
    command = [os.path.join(BUILD, 'kuzetctl'), 'rules', 'match', '--json', '--stats', '--rules', *folders, '--events', '/dev/null']
    for what, wanted in (('cold', '2 s'), ('from the cache', '0.3 s')):
        text, cpu, rss = run(*command, env=cache)
        took = json.loads(text.splitlines()[-1])['load_seconds']
        row(f'load of the whole corpus, {what}', f'{took:.2f} s, {cpu:.2f} CPU s', '', wanted)
        row(f'memory, whole corpus loaded, {what}', f'{rss:.0f} MB', '', '120 MB')


def measure_correlation():
    text, _, _ = run(os.path.join(BUILD, 'tests/bench/bench_correlate'), '1000000', '1')
    found = re.search(r'([\d.]+) M hits/s +(\d+) keys .* ([\d.]+) B/key', text)
    row(f'correlation, 1 M updates, {found.group(2)} live keys',
        f'{1 / float(found.group(1)):.2f} s, {found.group(3)} B/key', '', '0.5 s, 200 B/key')


def measure_events(folders, rules, tmp, windows):
    def both(what, chosen, events, wanted, tags=None):
        got = measure(chosen, events)
        row(f'{what} ({got["rules"]} rules, {got["bytes_per_event"]} B)',
            f'{got["cpu_seconds_per_million"]:.2f} s ({got["parsed_cpu_seconds_per_million"]:.2f}), {got["matches"]}',
            measure_peer(chosen, events, tags), wanted)

    everything = os.path.join(tmp, 'all')
    os.mkdir(everything)
    for folder in folders:
        os.rename(folder, os.path.join(everything, os.path.basename(folder)))
    sysmon = sysmon_events(os.path.join(tmp, 'sysmon.jsonl'), windows)
    windows_rules = write_rules(os.path.join(tmp, 'windows'), filter(is_windows, rules))
    other_rules = write_rules(os.path.join(tmp, 'others'), filter(is_linux_or_web, rules))
    both('Windows rules, Sysmon events', windows_rules, sysmon, '5 s')
    both('all rules, Sysmon events', everything, sysmon, 'as above')
    for name in LOGS:
        events = log_events(os.path.join(tmp, name + '.jsonl'), name)
        both(f'Linux, web, proxy, firewall rules, {name} events', other_rules, events, '1 s', TAGS[name])
        both(f'all rules, {name} events', everything, events, 'as above', TAGS[name])
    return sysmon


def measure_curve(rules, sysmon, tmp):
    windows = more([r for r in rules if is_windows(r)], 100)
    others = [r for r in rules if not is_windows(r)]
    print('\nCPU seconds per 1 M Sysmon events, JSON text in (and without reading it)')
    print(f'{"rules":>6} {"100 for Windows, the rest for others":>40} {"of all kinds":>30}')
    for n in (100, 1000, 3780, 10000):
        cells = []
        for kind, chosen in (('others', windows + more(others, n - 100)), ('all', more(rules, n))):
            got = measure(write_rules(os.path.join(tmp, f'{kind}-{n}'), chosen), sysmon)
            cells.append(f'{got["cpu_seconds_per_million"]:.2f} ({got["parsed_cpu_seconds_per_million"]:.2f})')
        print(f'{n:>6} {cells[0]:>40} {cells[1]:>30}', flush=True)


def main():
    Parser(__doc__, 'kuzetctl', 'tests/bench/bench_rules', 'tests/bench/bench_correlate').parse()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as tmp:
        with tarfile.open(os.path.join(SHARED, 'sigma/rules-corpus.tar.gz')) as tar:
            tar.extractall(tmp)
        folders = [os.path.join(tmp, name) for name in corpus.ACTIVE]
        rules = list(texts(folders))
        windows, equal = compare_matches(folders, tmp)
        row('per 1 M events, JSON text in (JSON read), matches', 'kuzet', 'rsigma', 'wanted below')
        measure_load(folders, tmp)
        measure_correlation()
        sysmon = measure_events(folders, rules, tmp, windows)
        measure_curve(rules, sysmon, tmp)
    return 0 if equal else 1


if __name__ == '__main__':
    sys.exit(main())
