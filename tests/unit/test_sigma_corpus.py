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
import sys
import tarfile
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '../lib'))
import tap  # pylint: disable=wrong-import-position
from tap import TOP, check, done  # pylint: disable=wrong-import-position

SHARED = os.environ.get('KUZET_SHARED', os.path.join(TOP, '../shared'))
ACTIVE = ['rules', 'rules-compliance', 'rules-emerging-threats', 'rules-placeholder', 'rules-threat-hunting']
PLACEHOLDER_RULES = 25

# What we match and the peer does not: decisions of ours, each with the rules that it concerns, by the first eight digits of their ids.
PROCESSES = set('''
    03cc0c25 138d3531 183e7ea8 1a5fefe6 2c28c248 2ddef153 38646daa 38879043 4f73421b 502b42de 5b80a791 646ea171 754ed792 8518ed3d
    8de1cbe8 a642964e b2317cfa c260b6db cc7abbd0 cd5cfd80 cf879ffb d042284c d059842b d21374ff e4b6d2a7 e593cf51 e7be6119 f4bbd493
    ffa6861c'''.split())  # Security 4688 is a process creation too, and each of these looks at a field that it has
PROVIDERS = set('100ef69e d99b79d2 f512acbf'.split())  # SourceName is Provider_Name: the log cleared, a volume mounted
# What the peer matches and we do not: it tries rules of category `database` on events of Windows.
DATABASE = {'d84c0ded-edd7-4123-80ed-348bb3ccc4d5'}

# Rules that match the events of another rule's case, each looked at once: (rule, the rules of the cases, why it is right), by the
# first eight digits of their ids.
EXTRA = [
    ('15434e33', 'e568650b', 'wmic names a product'),
    ('19b08b1c', '42a5f1e7', 'certutil fetches a URL, whatever the site'),
    ('1cf465a1', '7d604714', 'certutil writes below AppData'),
    ('25ffa65d', 'c7da8edc f50f3c09', 'a value EulaAccepted is set, which is all that the rule asks'),
    ('297afac9', 'd5866ddf', 'a program writes a program'),
    ('2ddef153', '5b80a791 8518ed3d 99c840f2', 'the same transfer, into AppData or the public folder'),
    ('36210e0d', '6385697e', 'powershell with " -exec bypass"'),
    ('3a525307', '69ca12af aba15bdd', 'any *.dmp is meant'),
    ('42a5f1e7', '19b08b1c', 'the URL of the certutil case is on githubusercontent'),
    ('502b42de', '07f8bdc2', 'cmdkey /l is one of its commands'),
    ('514e7e3e', 'df55196f', 'a renamed AdFind keeps its original name and import hash'),
    ('526be59f', '3c89a1e8 7773b877', 'both are wmic process call create'),
    ('5b80a791', '8518ed3d 99c840f2', 'both bitsadmin transfers fetch a .dll'),
    ('5ef9853e', '9f5c1d59', 'lsass is opened with full access through dbgcore'),
    ('6225c53a', 'c17d47b7', 'the same value EnableVirtualizationBasedSecurity below DeviceGuard'),
    ('63332011', '4fe074b4', 'the pipe into findstr begins with tasklist'),
    ('737e618a', '8f3ab69a', '"\\calc.exe " stands in the command line'),
    ('76f55eaa', '68bcd73b', 'wmic service'),
    ('7a74da6b', 'bd1c6866', 'msdt under cmd, by its original name'),
    ('8518ed3d', '5b80a791', 'the URL is on github'),
    ('87e3c4e8', '6385697e', '-exec with Bypass is a policy'),
    ('899133d5', '50a0aa3d', 'python -c'),
    ('8a2f4b1c', '416bc4a2', 'WerFaultSecure loads dbgcore'),
    ('8d63dadf', 'e568650b', '/format: and two backslashes in one command line'),
    ('93ff0ceb', 'acd74772', 'the value lies below the tree of tasks'),
    ('94771a71', '0e8cfe08', 'chrome with a URL that ends in .txt'),
    ('966315ef', '9ace0707', 'a value below Environment points into Temp'),
    ('9a132afa', '514e7e3e', 'AdFind asks for objectcategory='),
    ('9a517fca', '9cc85849', 'curl with --output'),
    ('9cd55b6c', 'beaa66d6', 'Get-WinEvent'),
    ('9fc51a3c', '2c1486f5 9cc85849 aa6f6ea6', '"curl " is one of its commands'),
    ('a5a2d357', '69ca12af aba15bdd', 'the dump is called lsass.dmp'),
    ('ba3874b9', 'bae7c70b afa71271', 'node runs a .js'),
    ('bbeaed61', '2c1486f5 5a6e1e16 9cc85849 aa6f6ea6', 'any curl.exe is meant'),
    ('bef37fa2', '54773c5f', 'both scanners take /portable and /lng'),
    ('c7da8edc', '25ffa65d f50f3c09', 'EulaAccepted below Sysinternals'),
    ('ccb5742c', '4fe074b4', 'tasklist piped to find'),
    ('ce72ef99', '81bcb81b', 'the service that sc stops is the firewall'),
    ('d059842b', '5b80a791 8518ed3d 99c840f2', 'any bitsadmin /transfer is meant'),
    ('d2b749ee', 'fa00b701', 'AdvancedRun with its options'),
    ('d38d2fa4', 'e76ca062', 'the driver utility and UACMe carry the same company'),
    ('d85ecdd7', '221b251a 68bcd73b e568650b', 'wmic path ... get of what it lists'),
    ('dc5c24af', '9b0f8a61', 'TreatAs\\(Default)'),
    ('e218595b', '9cc85849 aa6f6ea6', 'curl fetches a .txt, and into Temp a .dll'),
    ('e62a9f0c', '82a6714f ea0cdc3e', 'any certutil -encode is meant'),
    ('ea0cdc3e', '82a6714f e62a9f0c', 'what certutil encodes is an .xml, a .bat'),
    ('ef9dcfed', '0e8cfe08 1c526788', 'any --headless browser is meant'),
    ('f4bbd493', '6385697e beaa66d6 c17d47b7', 'powershell that no desktop started'),
    ('f59c3faf', '9ace0707', 'UserInitMprLogonScript is in its list'),
    ('f674e36a', '944e8941', 'Print\\Monitors is in its list'),
    ('f91ed517', '50a0aa3d', 'python came from WindowsApps, and Base64 stands in the line'),
    ('fa34b441', '9f5c1d59', 'the caller lies in the public folder'),
    ('fb843269', '6385697e', 'powershell " -e "'),
]


def kuzetctl(*arguments):
    run = tap.kuzetctl('rules', *arguments)
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines()], run.stderr


def reason(event, rule):
    """Why a match that the peer does not have is right."""
    if event.get('EventID') == 4688 and rule[:8] in PROCESSES:
        return rule[:8]
    if 'SourceName' in event and 'Provider_Name' not in event and rule[:8] in PROVIDERS:
        return rule[:8]
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
    warnings = [line for line in lines if line.get('severity') == 'warning']
    strange = [line for line in warnings if not line['message'].startswith(('slow: ', 'no tag says'))]
    check(not strange and len(warnings) == 12, 'lint is quiet on good rules: it finds 10 slow ones and 2 without a tag', '\n'.join(map(str, strange)))


def test_correlation_samples(tmp):
    """Correlation rules of others load; of the specification's samples those whose rules are there."""
    archive = os.path.join(SHARED, 'sigma/correlation-samples.tar.gz')
    with tarfile.open(archive) as tar:
        tar.extractall(tmp)
    for folder, rules in (('mdecrevoisier+SIGMA-detection-rules', 28), ('Yamato-Security+hayabusa-rules', 8)):
        status, lines, errors = kuzetctl('check', '--json', os.path.join(tmp, folder))
        check(status == 0 and lines[-1] == {'loaded': rules, 'refused': 0}, f'all rules of {folder} load', errors)
    status, lines, _ = kuzetctl('check', '--json', os.path.join(tmp, 'sigma-specification/tests/schema'))
    refused = [line['message'] for line in lines if line.get('severity') == 'error']
    known = ('is not there: load it too', 'is taken by', 'needs "percentile"')
    check(refused and all(any(why in message for why in known) for message in refused), "the specification's samples lack what is said",
          '\n'.join(refused))


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


def test_extra(matches):
    """No rule matches the case of another but as EXTRA says; and what it says is so."""
    wanted = {(case, rule) for rule, cases, _ in EXTRA for case in cases.split()}
    seen = {(os.path.basename(os.path.dirname(file))[:8], rule[:8]) for file, _, rule in matches if '/sigma-regression/' in file}
    seen = {(case, rule) for case, rule in seen if case != rule}
    check(not seen - wanted, 'no rule matches the case of another without a reason', sorted(seen - wanted))
    check(not wanted - seen, 'every match with a reason is there', sorted(wanted - seen))


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
    test_extra(matches)
    with open(os.path.join(SHARED, 'sigma/peer/matches.tsv'), encoding='utf-8') as tsv:
        peer = {(file, int(index), rule) for file, index, rule in (line.rstrip('\n').split('\t') for line in tsv)}
    begin = dict(zip(names, starts))
    reasons = {m: reason(json.loads(events[begin[m[0]] + m[1]]), m[2]) for m in matches - peer}
    extra = sorted(m for m, why in reasons.items() if why is None)
    check(not extra, 'what the peer does not match is explained', '\n'.join(map(str, extra)))
    gone = (PROCESSES | PROVIDERS) - set(reasons.values())
    check(not gone, 'and every explanation is of a match', gone)
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
        test_correlation_samples(os.path.join(tmp, 'samples'))
        test_matches(folders, tmp)
    return done()


if __name__ == '__main__':
    sys.exit(main())
