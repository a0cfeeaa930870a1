#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`kuzetctl rules` for people: what check, coverage, explain and test print, and how they exit. Prints TAP."""
import gzip
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '../lib'))
import tap  # pylint: disable=wrong-import-position
from tap import TOP, check, done  # pylint: disable=wrong-import-position

RULES = """
title: Shell asked for
id: 11111111-0000-4000-8000-000000000001
author: us
level: high
tags: [attack.t1059.004, attack.execution, attack.T1059.004, attack.t1059]
logsource: {product: linux}
detection:
    shell:
        process.name|endswith: sh
        user.name: [root, 'adm*']
    quiet:
        source.ip|cidr: 192.0.2.0/24
    condition: shell and not quiet
---
title: Anything by root
id: 11111111-0000-4000-8000-000000000002
author: us
level: low
tags: [attack.execution]
logsource: {product: linux}
detection:
    root: {user.name: root}
    condition: root
"""
HIT = {'host.os.type': 'linux', 'process.name': 'bash', 'user.name': 'root', 'source.ip': '198.51.100.7'}
QUIET = dict(HIT, **{'source.ip': '192.0.2.7'})


def kuzetctl(*arguments, more=None):
    run = tap.kuzetctl('rules', *arguments, **(more or {'KUZET_CACHEDIR': ''}))
    return run.returncode, run.stdout, run.stderr


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def write(folder, name, text):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)
    return path


LINTED = """title: Neither author nor level
logsource: {product: windows, category: dns_query}
detection:
    s:
        QueryName|re: 'a{5,200}b'
        QueryResults|re: '(?!x)y'
        Imphash: abc
        CommandLine: x
    t:
        QueryNmae|re: 'plain.*'
        winlog.event_data.Other: x
        Image: y
        Query Status: 1
    condition: s or t
---
title: Nothing to say
id: 11111111-0000-4000-8000-000000000011
author: us
level: low
tags: [attack.t1110]
logsource: {product: windows}
detection: {s: {CommandLine: x}, condition: s}
---
title: Derived, and tagged with no technique
id: 11111111-0000-4000-8000-000000000012
author: us
level: low
tags: [attack.execution]
logsource: {product: windows, category: image_load}
detection: {s: {Imphash: x}, condition: s}
---
title: Fields of Linux and of the web
id: 11111111-0000-4000-8000-000000000013
author: us
level: low
tags: [attack.execution]
logsource: {product: linux, category: process_creation}
detection: {s: {Image: x, ParentCommandLine: y, auid: 1, ComandLine: z}, condition: s}
---
title: Fields of the web
id: 11111111-0000-4000-8000-000000000014
author: us
level: low
tags: [attack.execution]
logsource: {category: webserver}
detection: {s: {cs-method: GET, url.path: y, cs-uri-steam: z}, condition: s}
"""
WARNINGS = [
    (1, 'there is no id'), (1, 'author'), (1, 'level'), (1, 'ATT&CK'), (5, 'slow: the regular expression counts far'),
    (6, 'slow: the regular expression looks around'), (7, 'no field "Imphash"'), (8, 'no field "CommandLine": if yours do'),
    (10, 'no field "QueryNmae": is "QueryName" meant?'), (38, 'no field "ComandLine": is "CommandLine" meant?'),
    (46, 'no field "cs-uri-steam": is "cs-uri-stem" meant?')]


def test_check(folder):
    rules = write(folder, 'linted.yml', LINTED)
    status, out, err = kuzetctl('check', '--json', rules)
    found = sorted((x['line'], x['message']) for x in objects(out)[:-1])
    left = [x for x in found if not any(x[0] == line and text in x[1] for line, text in WARNINGS)]
    check(len(found) == len(WARNINGS) and not left and status == 0, 'each warning has its line, and nothing else is one', out + err)
    check(all(x['severity'] == 'warning' and x['file'] == rules for x in objects(out)[:-1]), 'they are warnings, and name the file', out)
    twice = write(folder, 'twice.yml', RULES + '---' + RULES)
    status, out, err = kuzetctl('check', twice)
    check(status == 1 and out.count('is taken by ' + twice) == 2, 'a double id is an error that says where the first is', out + err)
    check(kuzetctl('check', '/nonexistent')[0] == 2 and kuzetctl('check')[0] == 2, 'nothing to read is wrong usage')
    status, out, err = kuzetctl('check', os.path.join(TOP, 'rules/packs'))
    check(status == 0 and len(out.splitlines()) == 1, 'the packs give no warning', out + err)


def test_folders(folder):
    """What of a folder cannot be read is refused by its name; the others load."""
    top = os.path.join(folder, 'folders')
    deep = os.path.join(top, *['d'] * 17)
    write(top, 'a.yml', RULES)
    write(deep, 'deep.yml', RULES)
    os.makedirs(os.path.join(top, 'sub/sub'))
    os.symlink('nowhere.yml', os.path.join(top, 'gone.yml'))
    os.symlink('nowhere', os.path.join(top, 'no rule'))
    os.symlink('..', os.path.join(top, 'sub/sub/back'))
    os.symlink('self.yml', os.path.join(top, 'self.yml'))
    os.mkfifo(os.path.join(top, 'pipe.yml'))
    wanted = [(deep, 'nested deeper than 16'), (os.path.join(top, 'gone.yml'), 'the link leads nowhere: mend or remove it'),
              (os.path.join(top, 'self.yml'), 'not readable: '), (os.path.join(top, 'sub/sub/back'), f'the link leads back to {top}/sub: remove it')]
    if os.geteuid() != 0:
        os.mkdir(os.path.join(top, 'shut'), 0)
        wanted.append((os.path.join(top, 'shut'), 'the folder is not readable: Permission denied'))
    status, out, err = kuzetctl('check', '--json', top)
    found = objects(out)
    check(status == 1 and found.pop() == {'loaded': 2, 'refused': len(wanted)} and len(found) == len(wanted) and
          all(any(x['file'] == path and text in x['message'] and x['severity'] == 'error' for x in found) for path, text in wanted),
          'what of a folder cannot be read is refused by name, the others load', out + err)
    status, out, err = kuzetctl('check', os.path.join(top, 'gone.yml'))
    check(status == 2 and 'gone.yml:1: error: not readable: No such file' in out and err.startswith(f'kuzetctl: {top}/gone.yml: '),
          'a path that leads nowhere is wrong usage', out + err)


# The layer format 4.5 of the ATT&CK Navigator: NAME -> (type, must it be there)
LAYER = {'name': (str, True), 'versions': (dict, False), 'domain': (str, True), 'description': (str, False), 'sorting': (int, False),
         'layout': (dict, False), 'hideDisabled': (bool, False), 'techniques': (list, False), 'gradient': (dict, False)}
VERSIONS = {'attack': (str, False), 'navigator': (str, True), 'layer': (str, True)}
TECHNIQUE = {'techniqueID': (str, True), 'tactic': (str, False), 'comment': (str, False), 'enabled': (bool, False), 'score': (int, False),
             'color': (str, False), 'showSubtechniques': (bool, False)}
GRADIENT = {'colors': (list, True), 'minValue': (int, True), 'maxValue': (int, True)}
LAYOUT = {'layout': (str, False), 'showID': (bool, False), 'showName': (bool, False), 'showAggregateScores': (bool, False),
          'countUnscored': (bool, False), 'aggregateFunction': (str, False), 'expandedSubtechniques': (str, False)}


def strays(obj, table):
    """What of an object is not as its table says."""
    wrong = [name for name in obj if name not in table or type(obj[name]) is not table[name][0]]
    return wrong + [name for name, (_, needed) in table.items() if needed and name not in obj]


def layer_faults(layer):
    faults = strays(layer, LAYER) + strays(layer['versions'], VERSIONS) + strays(layer['gradient'], GRADIENT) + strays(layer['layout'], LAYOUT)
    faults += [fault for t in layer['techniques'] for fault in strays(t, TECHNIQUE)]
    faults += [t['techniqueID'] for t in layer['techniques'] if not re.fullmatch(r'T\d{4}(\.\d{3})?', t['techniqueID'])]
    g = layer['gradient']
    if layer['versions']['layer'] != '4.5' or [int(x) for x in layer['versions']['navigator'].split('.')] < [4, 9, 0]:
        faults.append('versions')
    if g['maxValue'] <= g['minValue'] or len(g['colors']) < 2 or not all(re.fullmatch('#[0-9a-f]{6}', c) for c in g['colors']):
        faults.append('gradient')
    if layer['layout'].get('expandedSubtechniques', 'none') not in ('none', 'all', 'annotated') or layer['sorting'] not in (0, 1, 2, 3):
        faults.append('layout')
    return faults


def test_coverage(folder):
    rules = write(folder, 'rules.yml', RULES)
    status, out, err = kuzetctl('coverage', '--json', '--rules', rules)
    rule = '11111111-0000-4000-8000-000000000001'
    check(status == 0 and objects(out) == [
        {'technique': 'T1059', 'count': 1, 'level': 'high', 'rules': [rule]},
        {'technique': 'T1059.004', 'count': 1, 'level': 'high', 'rules': [rule]},
        {'techniques': 2, 'rules': 2, 'untagged': 1}], 'coverage counts a technique once a rule', out + err)
    status, out, err = kuzetctl('coverage', '--navigator', '--rules', rules)
    layer = json.loads(out)
    check(status == 0 and layer['versions']['layer'] == '4.5' and layer['domain'] == 'enterprise-attack' and
          [(t['techniqueID'], t['score']) for t in layer['techniques']] == [('T1059', 1), ('T1059.004', 1)],
          'the Navigator gets a layer', out + err)
    check(layer_faults(layer) == [], 'the layer is as the format says', layer_faults(layer))
    nothing = write(folder, 'untagged.yml', RULES.split('---')[1])
    status, out, err = kuzetctl('coverage', '--navigator', '--rules', nothing)
    check(status == 0 and layer_faults(json.loads(out)) == [] and json.loads(out)['techniques'] == [], 'so is one of no technique', out + err)
    status, out, err = kuzetctl('coverage', '--navigator')
    check(status == 0 and layer_faults(json.loads(out)) == [], 'and that of the packs', out + err)
    status, out, err = kuzetctl('coverage')
    check(status == 0 and 'T1110' in out and err == '', 'without paths it is of the packs', out + err)
    row = next(line for line in out.splitlines() if line.startswith('T1110 '))
    check(int(row.split()[1]) > 3 and row.endswith(f'; and {int(row.split()[1]) - 3} more') and row.count(';') == 3,
          'its table names three rules of a technique and counts the others', row)
    check(kuzetctl('coverage', '--rules', '/nonexistent')[0] == 2, 'no rules at all is wrong usage')


def items(node):
    """The items of an explanation, by field."""
    if node['kind'] == 'item':
        return {node['field']: node}
    return {k: v for child in node.get('children', []) for k, v in items(child).items()}


def test_explain(folder):
    rules = write(folder, 'rules.yml', RULES + """---
title: Many shells
id: 11111111-0000-4000-8000-000000000003
author: us
level: high
correlation:
    type: event_count
    rules: [11111111-0000-4000-8000-000000000001, 11111111-0000-4000-8000-000000000002]
    timespan: 1m
    condition: {gte: 2}
""")
    other = {'process.name': 'bash', 'user.name': 'nobody'}
    events = write(folder, 'events.jsonl', ''.join(json.dumps(e) + '\n' for e in (HIT, QUIET, other)))
    rule = ('--rule', '11111111-0000-4000-8000-000000000001', '--event', events, '--rules', rules)
    status, out, err = kuzetctl('explain', '--json', *rule)
    hit, quiet, foreign = objects(out)
    check(status == 0 and [x['matches'] for x in (hit, quiet, foreign)] == [True, False, False], 'explain says whether it matches', out + err)
    user = items(hit['why']['children'][1])['user.name']
    check(user['seen'] == [{'field': 'user.name', 'value': 'root'}] and [p['hit'] for p in user['patterns']] == [True, False] and
          user['patterns'][0]['value'] == 'root' and user['patterns'][1]['pattern'] == 'adm*' and user['line'] == 11,
          'each pattern says what it hit', json.dumps(user))
    cidr = items(quiet['why']['children'][1])['source.ip']
    check(cidr['holds'] and cidr['patterns'] == [
        {'kind': 'cidr', 'pattern': '192.0.2.0/24', 'cased': False, 'hit': True, 'field': 'source.ip', 'value': '192.0.2.7'}],
        'a selection that is negated is told as it is', json.dumps(cidr))
    check(not foreign['why']['children'][0]['holds'] and not items(foreign['why']['children'][1])['source.ip']['present'],
          'an event of another logsource is told from one that does not match', json.dumps(foreign))
    status, out, err = kuzetctl('explain', *rule)
    check(status == 0 and 'event 0: Shell asked for: matches' in out and 'hit    text *sh' in out and
          'the event has no such field' in out, 'people see a tree', out + err)
    status, out, err = kuzetctl('explain', '--json', '--logsource', 'product=linux', *rule[:-1], rules)
    check(status == 0 and objects(out)[2]['why']['children'][0]['holds'], 'a logsource can be said from outside', out + err)
    status, out, err = kuzetctl('explain', '--json', '--rule', '11111111-0000-4000-8000-000000000003', *rule[2:])
    check(status == 0 and [x.get('matches') for x in objects(out)] == [True, True, False, None] and
          objects(out)[0]['why']['kind'] == 'correlation', 'of a correlation it says what the event counts for', out + err)
    check(kuzetctl('explain', '--rule', 'none', *rule[2:])[0] == 2, 'an unknown rule is wrong usage')
    log = write(folder, 'auth.log', 'Nov 22 01:02:03 web-1 sshd[7]: Failed password for root from 198.51.100.7 port 22 ssh2\n')
    only = ('--rule', '11111111-0000-4000-8000-000000000002', '--rules', rules)
    status, out, err = kuzetctl('explain', '--json', '--log', log, '--year', '2026', '--timezone', 'Asia/Almaty', *only)
    check(status == 0 and [x['matches'] for x in objects(out)] == [True], 'a line of a log is explained as an event is', out + err)
    check(kuzetctl('explain', *only)[0] == 2 and kuzetctl('explain', '--log', log, '--event', events, *only)[0] == 2,
          'events or a log, one of them')


def test_inputs(folder):
    """Files of events and lines, as they are, compressed and broken."""
    rules = write(folder, 'inputs.yml', RULES)
    plain = ''.join(json.dumps(e) + '\n' for e in (HIT, QUIET, HIT)).encode()
    packed = gzip.compress(plain[:90]) + gzip.compress(plain[90:])
    log = b'Nov 22 01:02:03 web-1 sshd[7]: Failed password for root from 198.51.100.7 port 22 ssh2\n'
    paths = {}
    for name, data in (('plain', plain), ('packed', packed), ('cut', packed[:-20]), ('damaged', packed[:40] + b'\xff\xff' + packed[42:]), ('log', gzip.compress(log)),
                       ('lines', json.dumps(HIT, indent=1).encode()), ('list', json.dumps([HIT]).encode()), ('nothing', b''), ('none', gzip.compress(b''))):
        paths[name] = os.path.join(folder, name + '.input')
        with open(paths[name], 'wb') as f:
            f.write(data)
    match = ('match', '--json', '--rules', rules)
    wanted = kuzetctl(*match, '--events', paths['plain'])
    check(wanted[0] == 0 and len(objects(wanted[1])) == 5, 'events are read', wanted)
    check(kuzetctl(*match, '--events', paths['packed']) == wanted, 'as well where gzip compressed them, in two pieces', wanted)
    with open(paths['packed'], 'rb') as f:
        piped = subprocess.run([os.path.join(tap.BUILD, 'kuzetctl'), 'rules', *match, '--events', '-'], stdin=f, capture_output=True, text=True, check=False,
                               env=dict(os.environ, KUZET_DATADIR=os.path.join(TOP, 'rules'), KUZET_CACHEDIR=''))
    check((piped.returncode, piped.stdout, piped.stderr) == wanted, 'or come from standard input', piped)
    status, out, err = kuzetctl(*match, '--log', paths['log'], '--year', '2026', '--logsource', 'product=linux')
    check(status == 0 and [x['title'] for x in objects(out)] == ['Anything by root'], 'so is a log', out + err)
    for name in ('nothing', 'none'):
        check(kuzetctl(*match, '--events', paths[name]) == (0, '', ''), f'no events are no matches: {name}')
    for name, message in (('cut', ': it ends within its compressed data'), ('damaged', ': its compressed data is damaged'),
                          ('lines', ':1: JSON, byte 2: a key is missing; a line must be one JSON object'), ('list', ':1: JSON, byte 0: no object; a line')):
        status, out, err = kuzetctl(*match, '--events', paths[name])
        check(status == 1 and paths[name] + message in err, f'what cannot be read is told: {name}', out + err)


def test_given_up(folder):
    rules = write(folder, 'endless.yml', RULES.split('---', maxsplit=1)[0].replace('name|endswith: sh', "name|re: '^(a|aa)+(?=!)b?\\1$'"))
    events = write(folder, 'endless.jsonl', json.dumps(dict(HIT, **{'process.name': 'a' * 40 + '!'})) + '\n')
    status, out, err = kuzetctl('match', '--json', '--rules', rules, '--events', events)
    check(status == 0 and out == '' and 'too many steps 1 times and was given up' in err, 'a regular expression that is given up is told', out + err)


GROUPED = """title: Tool
name: tool
id: 11111111-0000-4000-8000-000000000001
author: us
level: low
tags: [attack.t1059]
logsource: {product: linux}
detection: {s: {process.name: bash}, condition: s}
---
title: One tool, several users
id: 11111111-0000-4000-8000-000000000002
author: us
tags: [attack.t1059]
level: high
correlation:
    type: value_count
    rules: [tool]
    group-by: [Imphash]
    timespan: 5m
    condition: {gte: 2, field: user.name}
"""


def test_explain_correlation(folder):
    rules = write(folder, 'grouped.yml', GROUPED)
    made = [{'user.name': 'a', 'Hashes': 'MD5=1,IMPHASH=AB'}, {'user.name': 'b', 'Hashes': 'MD5=2, imphash=AB'}, {'Hashes': 'IMPHASH=AB'},
            {'user.name': 'c', 'Hashes': 'MD5=2'}, {'user.name': 'd', 'process.name': 'zsh'}]
    events = write(folder, 'grouped.jsonl', ''.join(json.dumps(dict({
        '@timestamp': f'2026-11-22T01:0{i}:00Z', 'host.os.type': 'linux', 'process.name': 'bash'}, **e)) + '\n' for i, e in enumerate(made)))
    arguments = ('--rule', '11111111-0000-4000-8000-000000000002', '--event', events, '--rules', rules)
    status, out, err = kuzetctl('explain', '--json', *arguments)
    lines = objects(out)
    check(status == 0 and [x['matches'] for x in lines[:5]] == [True, True, False, False, False] and
          lines[0]['why']['definition'] == 'value_count of user.name gte 2 within 5m by Imphash', 'an event counts, or does not', out + err)
    bases = [x['why']['children'][0] for x in lines[:5]]
    check(bases[1]['group'] == {'Imphash': 'AB'} and bases[1]['counted'] == {'user.name': 'b'}, 'for which group and value', bases[1])
    check(bases[2]['missing'] == 'user.name' and bases[3]['missing'] == 'Imphash' and 'missing' not in bases[4],
          'or which field it lacks', out)
    check(lines[5:] == [{'event': 1, 'rule': '11111111-0000-4000-8000-000000000002', 'title': 'One tool, several users', 'level': 'high',
                         'group': {'Imphash': 'AB'}, 'count': 2, 'events': [0, 1]}], 'last, where it fires', out)
    status, out, err = kuzetctl('explain', *arguments)
    check(status == 0 and '2  {"Imphash":"AB"}' in out and 'does not count: the event has no field Imphash' in out and
          out.splitlines()[-1].startswith('1\thigh\t'), 'people see the groups and where it fires', out + err)


TAXONOMY = """logsources:
    - product: Acme
      service: gate
      where: {labels.device: acme-gate}
fields:
    Badge: [acme.badge.number]
placeholders:
    Guards: [g1, 'night*']
"""
GATE = """title: Guard at the gate
id: 11111111-0000-4000-8000-000000000003
author: us
level: high
tags: [attack.t1078]
logsource: {product: acme, service: gate}
detection: {s: {Badge|expand: '%Guards%'}, condition: s}
"""


def test_taxonomy(folder):
    rules = write(folder, 'gate.yml', GATE)
    own = os.path.dirname(write(folder, 'own-taxonomy/acme.yml', TAXONOMY))
    events = write(folder, 'gate.jsonl', ''.join(json.dumps(e) + '\n' for e in (
        {'labels': {'device': 'acme-gate'}, 'acme': {'badge': {'number': 'NightWatch'}}},
        {'labels': {'device': 'other'}, 'acme': {'badge': {'number': 'g1'}}},
        {'labels': {'device': 'acme-gate'}, 'acme': {'badge': {'number': 'g2'}}})))
    match = ('match', '--json', '--rules', rules, '--events', events)
    status, out, err = kuzetctl(*match)
    check(status == 0 and out == '' and 'placeholder %Guards% has no value' in err, 'without a map of its own a rule is refused', out + err)
    status, out, err = kuzetctl(*match, '--taxonomy', own)
    check(status == 0 and [x['event'] for x in objects(out)] == [0], 'a folder of one\'s own adds a logsource, a field, a placeholder', out + err)
    status, out, err = kuzetctl('check', '--taxonomy', own, rules)
    check(status == 0 and out == '1 rules loaded, 0 refused\n', 'check knows it too', out + err)
    scenario(folder, 'gate', [{'labels': {'device': 'acme-gate'}, 'Badge': 'g1'}], [{'event': 0}], rules='gate.yml')
    status, out, err = kuzetctl('test', '--rules', folder, '--taxonomy', own, os.path.join(folder, 'gate'))
    check(status == 0, 'and test', out + err)
    broken = (('unknown.yml', 'feilds: {}', ':1: unknown key "feilds"'), ('list.yml', 'fields: [a]', ':1: "fields" must be a map'),
              ('map.yml', 'logsources: {a: b}', ':1: "logsources" must be a list'), ('entry.yml', 'logsources:\n  - a', ':2: an entry needs'),
              ('prefix.yml', 'prefixes:\n  - [a]', ':2: a prefix is a text'), ('generic.yml', 'generic:\n  vendor: x', ':2: "vendor" is no part'),
              ('where.yml', 'logsources:\n  - {product: x, where: {a|nope: 1}}', ':2: unknown modifier "nope"'), ('yaml.yml', 'a: [', 'yaml.yml:'))
    for name, text, message in broken:
        bad = os.path.dirname(write(folder, f'bad-{name}/{name}', text + '\n'))
        status, out, err = kuzetctl('check', '--taxonomy', bad, rules)
        check(status == 2 and name + message in err or message == 'yaml.yml:' and message in err, f'a broken map is an error: {name}', out + err)
    check(kuzetctl('check', '--taxonomy', '/nonexistent', rules)[0] == 2, 'so is a folder that is not there')


def scenario(folder, name, events, expected, **settings):
    write(folder, name + '/input.jsonl', ''.join(json.dumps(e) + '\n' for e in events))
    write(folder, name + '/expected.jsonl', ''.join(json.dumps(e) + '\n' for e in expected))
    write(folder, name + '/scenario.json', json.dumps(dict(settings)))


def in_terminal(*arguments, **environment):
    """What is printed where standard output is a terminal."""
    ours, theirs = pty.openpty()
    environment = {'KUZET_DATADIR': os.path.join(TOP, 'rules'), 'KUZET_CACHEDIR': '', **environment}
    with subprocess.Popen([os.path.join(tap.BUILD, 'kuzetctl'), 'rules', *arguments], stdout=theirs,
                          env={**{k: v for k, v in os.environ.items() if k != 'NO_COLOR'}, **environment}) as program:
        os.close(theirs)
        out = b''
        try:
            while more := os.read(ours, 65536):
                out += more
        except OSError:
            pass  # the terminal's other end is closed
        os.close(ours)
        program.wait()
    return out.decode().replace('\r\n', '\n')


def check_diff(folder, base, hit, low):
    """One line more and one less among many that are alike."""
    one = os.path.join(folder, 'diff/<one> & "only"')
    came = [dict(x, event=i) for i in range(12) for x in (hit, low)]
    expected = came[:2] + [{'event': 7, 'title': 'Nobody\u001b[2J'}] + came[2:20] + came[21:]
    scenario(folder, one, [HIT] * 12, expected, rules=['rules.yml'])
    report = os.path.join(folder, 'junit.xml')
    status, out, err = kuzetctl('test', *base, '--junit', report, os.path.dirname(one))
    marked = [x for x in out.splitlines() if x[:1] in '+-' and x[:3] not in ('+++', '---')]
    hunks = [x for x in out.splitlines() if x.startswith('@@')]
    check(status == 1 and len(marked) == 2 and 'Nobody' in marked[0] and '"event":10,' in marked[1] and
          hunks == ['@@ -1,6 +1,5 @@', '@@ -19,6 +18,7 @@'], 'a line more or less is all that differs, with what is around', out + err)
    suite = xml.etree.ElementTree.parse(report).getroot()[0]
    case = suite[0]
    check(suite.get('tests') == suite.get('failures') == '1' and case.get('name') == '<one> & "only"' and case.get('classname') == os.path.dirname(one) and
          case[0].get('message') == '2 lines differ' and 'Nobody' in case[0].text, 'JUnit has it too', repr(open(report, encoding='utf-8').read()))
    check(kuzetctl('test', *base, '--junit', folder + '/no/such', one)[0] == 1, 'a report that cannot be written is a failure')
    coloured, plain = in_terminal('test', *base, one), in_terminal('test', *base, one, NO_COLOR='1')
    check('\033[31m-{' in coloured and '\033[32m+{' in coloured and '\033' not in plain and re.sub(r'\033\[[0-9;]*m', '', coloured) == plain,
          'colours are for a terminal where NO_COLOR is not set', repr(coloured) + repr(plain))


def test_scenarios(folder):
    all_of = os.path.join(folder, 'scenarios')
    write(folder, 'base/rules.yml', RULES)
    base = ('--rules', os.path.join(folder, 'base'))
    hit = {'event': 0, 'title': 'Shell asked for', 'level': 'high'}
    low = {'event': 0, 'title': 'Anything by root'}
    scenario(all_of, 'a_hit', [HIT], [hit, low], rules=['rules.yml'], about='a shell')
    scenario(all_of, 'b_quiet', [QUIET], [], rules='rules.yml')
    status, out, err = kuzetctl('test', '--json', *base, all_of)
    lines = objects(out)
    check(status == 0 and [x.get('result') for x in lines] == ['pass', 'pass', None] and
          lines[0]['about'] == 'a shell' and lines[-1] == {'passed': 2, 'failed': 0}, 'scenarios pass', out + err)

    scenario(all_of, 'c_wrong', [HIT], [dict(hit, level='low')], rules=['rules.yml'])
    scenario(all_of, 'd_alarm', [HIT], [], rules=['rules.yml'])
    status, out, err = kuzetctl('test', '--json', *base, all_of)
    wrong, alarm = objects(out)[2:4]
    check(status == 1 and wrong['result'] == 'fail' and len(wrong['differences']) == 2 and
          wrong['differences'][0]['expected'] == dict(hit, level='low') and
          wrong['differences'][0]['got']['level'] == 'high' and 'expected' not in wrong['differences'][1],
          'a difference shows what was expected and what came', out + err)
    check(len(alarm['differences']) == 1, 'with nothing expected a low match is no alarm, a high one is', out)
    status, out, err = kuzetctl('test', *base, os.path.join(all_of, 'c_wrong'))
    lines = out.splitlines()
    check(status == 1 and lines[0] == 'FAIL  c_wrong' and lines[3] == '@@ -1,1 +1,2 @@' and lines[4][:2] == '-{' and
          lines[5][:2] == lines[6][:2] == '+{' and lines[-1] == '0 passed, 1 failed: c_wrong', 'one scenario can be named; people see a diff', out + err)
    check_diff(folder, base, hit, low)

    own = os.path.join(folder, 'own')
    write(own, 'one/rules/rules.yml', RULES)
    write(own, 'one/input.jsonl', json.dumps(HIT) + '\n')
    write(own, 'one/expected.jsonl', json.dumps(hit) + '\n' + json.dumps(low) + '\n')
    status, out, err = kuzetctl('test', own)
    check(status == 0, 'rules may stand beside the input, without scenario.json', out + err)
    scenario(own, 'two', [HIT], [], rules='nothing.yml')
    scenario(own, 'three', [HIT], [hit, low], colour='red')
    write(own, 'three/rules.yml', RULES)
    write(own, 'four/expected.jsonl', '')
    write(own, 'four/rules.yml', RULES + '---\ntitle: broken\n')
    write(own, 'four/input.jsonl', '')
    status, out, err = kuzetctl('test', '--json', own)
    errors = {x['scenario']: x['differences'] for x in objects(out)[:-1]}
    check(status == 1 and 'nothing.yml' in errors['two'][0]['error'], 'rules that are not there fail the scenario', out + err)
    check('colour' in errors['three'][0]['error'], 'so does an unknown key', out + err)
    check('refused' in errors['four'][0]['error'], 'so does a rule that is refused', out + err)
    write(own, 'below/five/input.jsonl', '')
    write(own, 'below/five/rules.yml', RULES)
    status, out, err = kuzetctl('test', own + '/')
    check(status == 1 and 'FAIL  five\n! expected.jsonl cannot be read' in out,
          'folders of folders are looked through, and a forgotten expected.jsonl is told', out + err)
    empty = os.path.join(folder, 'empty')
    os.mkdir(empty)
    check(kuzetctl('test', empty)[0] == 2 and kuzetctl('test')[0] == 2, 'no scenario is wrong usage')
    status, out, err = kuzetctl('test', os.path.join(TOP, 'tests/scenarios'))
    check(status == 0 and ' 0 failed' in out, 'those of the packs pass', out + err)


def test_cache(folder):
    rules = write(folder, 'cached/rules.yml', '---\n'.join(
        f'title: r{i}\nlogsource: {{product: x}}\ndetection: {{s: {{F{i}|contains: word}}, condition: s}}\n' for i in range(40)))
    event = write(folder, 'cached/event.jsonl', '{"F7": "a Word"}\n')
    base, home, own = (os.path.join(folder, 'cached', name) for name in ('base', 'home', 'own'))
    os.mkdir(home)
    environment = {'XDG_CACHE_HOME': base, 'HOME': home}
    for name, more, made in (('XDG_CACHE_HOME', {}, base + '/kuzet'), ('HOME', {'XDG_CACHE_HOME': 'relative'}, home + '/.cache/kuzet'),
                             ('KUZET_CACHEDIR', {'KUZET_CACHEDIR': own}, own), ('no folder', {'KUZET_CACHEDIR': ''}, None)):
        found = set()
        for _ in range(2):
            saved = os.environ.pop('KUZET_CACHEDIR', None)
            status, out, err = kuzetctl('match', '--json', '--rules', rules, '--logsource', 'product=x', '--events', event,
                                        more=dict(environment, **more))
            if saved is not None:
                os.environ['KUZET_CACHEDIR'] = saved
            found.add((status, out, err))
        files = os.listdir(made) if made and os.path.isdir(made) else []
        check(len(found) == 1 and '"r7"' in out and len(files) == (1 if made else 0) and all(f.endswith('.hsdb') for f in files),
              f'compiled rules are kept where the environment says: {name}', f'{found} {files}')


def main():
    with tempfile.TemporaryDirectory() as folder:
        for test in (test_check, test_folders, test_coverage, test_explain, test_explain_correlation, test_inputs, test_given_up, test_taxonomy, test_scenarios, test_cache):
            test(folder)
    for command in ('check', 'coverage', 'explain', 'match', 'reload', 'replay', 'test'):
        status, out, _ = kuzetctl(command, '--help')
        check(status == 0 and out.startswith('usage: kuzetctl rules ' + command), command + ' has --help', out)
    return done()


if __name__ == '__main__':
    sys.exit(main())
