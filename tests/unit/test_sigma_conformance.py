#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sigma, line by line: each statement of the specification (v2.1.0: RULES, MODS, CORR, FILT, TAX) that an engine must fulfil, and what
is decided where it is open, with the smallest rule and events that would show it broken.  Prints TAP: one line a statement."""
import base64
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '../lib'))
import tap  # pylint: disable=wrong-import-position
from tap import check, done  # pylint: disable=wrong-import-position


def b64(data):
    return base64.b64encode(data).decode()


# ---- events: (statement, detection, events that match, events that do not) ------------------------------------------------------
# A detection that is one line of "FIELD: VALUE" items is a selection of its own.

DASHES = '-/\u2013\u2014\u2015'
MATCHES = [
    # RULES: strings
    ('texts are compared without case', "A: 'foo'", [{'A': 'FOO'}], [{'A': 'fo'}]),
    ('regular expressions with case', "A|re: 'foo'", [{'A': 'foo'}], [{'A': 'FOO'}]),
    ('decided: case is folded simply, for every alphabet', "A: 'ҚАЗАҚ Привет'", [{'A': 'қазақ пРИВЕТ'}], [{'A': 'казак привет'}]),
    ('* is any length, ? one character that must be there', "A: 'a*b?c'", [{'A': 'ab_c'}, {'A': 'axxbxc'}], [{'A': 'abc'}]),
    ('decided: ? is a character, not a byte', "A: 'a?c'", [{'A': 'aқc'}, {'A': 'a😀c'}], [{'A': 'aққc'}]),
    ('without wildcards it is the whole field', "A: 'foo'", [{'A': 'foo'}], [{'A': 'foobar'}, {'A': 'a foo'}]),
    (r'\x stays two characters', "A: 'a\\x'", [{'A': 'a\\x'}], [{'A': 'ax'}]),
    (r'\\ is \ ', "A: 'a\\\\b'", [{'A': 'a\\b'}], [{'A': 'a\\\\b'}]),
    (r'\* is a star, \? a question mark', "A: 'a\\*\\?'", [{'A': 'a*?'}], [{'A': 'abc'}]),
    (r'\\* is a backslash and anything', "A: 'a\\\\*'", [{'A': 'a\\'}, {'A': 'a\\bc'}], [{'A': 'a*'}, {'A': 'abc'}]),
    (r'\\\* is a backslash and a star', "A: 'a\\\\\\*'", [{'A': 'a\\*'}], [{'A': 'a\\b'}]),
    ('three and four backslashes are two', "A: 'a\\\\\\b'\nB: 'a\\\\\\\\b'", [{'A': 'a\\\\b', 'B': 'a\\\\b'}], [{'A': 'a\\\\\\b', 'B': 'a\\\\b'}]),
    ('a lone backslash at the end is itself', "A: 'a\\'", [{'A': 'a\\'}], [{'A': 'a'}]),
    ('... and no escape for what modifiers add', "A|contains: '\\a\\'", [{'A': 'x\\a\\b'}], [{'A': 'x\\a*'}]),
    # RULES: structure
    ('a list of texts is one of them, in the whole event', 's: [foo, bar]', [{'A': 'x', 'B': 'a bar'}], [{'A': 'x'}]),
    ('a list of maps is one of them', 's: [{A: 1}, {B: 2}]', [{'A': 1}, {'B': 2}], [{'A': 2, 'B': 1}]),
    ('the items of a map are all of them', 's: {A: 1, B: 2}', [{'A': 1, 'B': 2}], [{'A': 1}]),
    ('a list of values is one of them', 'A: [x, y]', [{'A': 'y'}], [{'A': 'z'}]),
    ('with all, each of them', 'A|contains|all: [x, y]', [{'A': 'yx'}], [{'A': 'y'}]),
    ("'|all' is each keyword", "s: {'|all': [foo, bar]}", [{'A': 'foo', 'B': 'bar'}], [{'A': 'foo'}]),
    ('decided: a number is its text and the text its number', 'EventID: 4625', [{'EventID': 4625}, {'EventID': '4625'}], [{'EventID': 46250}]),
    ('... however it is written', 'A: 1.50\nB: 1e3\nC: 0x1F', [{'A': 1.5, 'B': 1000, 'C': 31}, {'A': '1.50', 'B': '1e3', 'C': '31'}, {'A': '1.5', 'B': 1e3, 'C': '0x1f'}],
     [{'A': 1.05, 'B': 1000, 'C': 31}, {'A': '1.500', 'B': 1000, 'C': 31}]),
    ('... but a text only as it is', "A: '1.50'\nB|contains: 1.50", [{'A': '1.50', 'B': 'v1.50b'}], [{'A': 1.5, 'B': 'v1.50b'}, {'A': '1.50', 'B': 'v1.5b'}]),
    ('decided: keywords are sought in values, not in names', 's: [foo]', [{'A': 'foo'}], [{'foo': 'A'}]),
    ('decided: ... nor across values', 's: [foo]', [{'A': 'xfoox'}], [{'A': 'fo', 'B': 'o'}]),
    ('decided: ... of text logs in the line', 's: [nginx]', [{'event': {'original': 'an nginx line'}}],
     [{'event': {'original': 'a line', 'module': 'nginx'}}]),
    # RULES: null, empty, exists
    ("'' is empty and not null", "A: ''", [{'A': ''}], [{'A': None}, {'B': 1}]),
    ('null is null', 'A: null', [{'A': None}], [{'A': ''}]),
    ('decided: a field that is missing is null', 'A: null', [{'B': 1}], [{'A': 0}]),
    ('exists: true, be it empty or null', 'A|exists: true', [{'A': ''}, {'A': None}], [{'B': 1}]),
    ('exists: false', 'A|exists: false', [{'B': 1}], [{'A': None}]),
    # RULES: conditions
    ('or is weaker than and', 'a: {A: 1}\nb: {B: 1}\nc: {C: 1}\ncondition: a or b and c', [{'A': 1}], [{'B': 1}]),
    ('and is weaker than not', 'a: {A: 1}\nb: {B: 1}\ncondition: not a and b', [{'B': 1}], [{'A': 1}, {'C': 1}]),
    ('not is weaker than x of', 'a_1: {A: 1}\na_2: {B: 1}\ncondition: not 1 of a_*', [{'C': 1}], [{'B': 1}]),
    ('parentheses are the strongest', 'a: {A: 1}\nb: {B: 1}\nc: {C: 1}\ncondition: (a or b) and c', [{'B': 1, 'C': 1}], [{'A': 1}]),
    ('1 of them', 'a: {A: 1}\nb: {B: 1}\ncondition: 1 of them', [{'B': 1}], [{'C': 1}]),
    ('all of them', 'a: {A: 1}\nb: {B: 1}\ncondition: all of them', [{'A': 1, 'B': 1}], [{'B': 1}]),
    ('them leaves out what begins with _', 'a: {A: 1}\n_b: {B: 1}\ncondition: all of them', [{'A': 1}], [{'B': 1}]),
    ('a star anywhere in a pattern', 'a_x: {A: 1}\nb_x: {B: 1}\na_y: {C: 1}\ncondition: all of *_x', [{'A': 1, 'B': 1}], [{'A': 1, 'C': 1}]),
    ('... and in its middle', 'a_1_x: {A: 1}\na_2_y: {B: 1}\ncondition: 1 of a_*_x', [{'A': 1}], [{'B': 1}]),
    ('any of is 1 of', 'a: {A: 1}\nb: {B: 1}\ncondition: any of them', [{'B': 1}], [{'C': 1}]),
    ('N of', 'a: {A: 1}\nb: {B: 1}\nc: {C: 1}\ncondition: 2 of them', [{'A': 1, 'C': 1}], [{'C': 1}]),
    ('a list of conditions is one of them', 'a: {A: 1}\nb: {B: 1}\ncondition: [a, b]', [{'B': 1}], [{'C': 1}]),
    ('names have letters, digits, _ and -', 'a-1_B: {A: 1}\ncondition: a-1_B', [{'A': 1}], [{'A': 2}]),
    # MODS: generic
    ('startswith', 'A|startswith: ab', [{'A': 'abc'}], [{'A': 'cab'}]),
    ('endswith', 'A|endswith: ab', [{'A': 'cab'}], [{'A': 'abc'}]),
    ('contains', 'A|contains: ab', [{'A': 'cabc'}], [{'A': 'acb'}]),
    ('cased', 'A|contains|cased: aB', [{'A': 'xaBx'}], [{'A': 'xabx'}]),
    ('neq', 'A|neq: x', [{'A': 'y'}], [{'A': 'X'}]),
    ('decided: neq with a list is none of them, and true of what is missing', 'A|neq: [x, y]', [{'A': 'z'}, {'B': 1}], [{'A': 'y'}]),
    ('modifiers apply from left to right', 'A|base64|contains: foobar', [{'A': 'x' + b64(b'foobar') + 'y'}], [{'A': b64(b'*foobar*')}]),
    # MODS: strings
    ('windash writes five dashes', "A|contains|windash: ' -a'", [{'A': f'x {d}a'} for d in DASHES], [{'A': 'x +a'}]),
    ('windash reads five dashes', f"A|contains|windash|all: [{', '.join(repr(f' {d}a') for d in DASHES)}]", [{'A': 'x -a'}], [{'A': 'x a'}]),
    ('windash mixes them', "A|contains|windash: '-a -b'", [{'A': '/a \u2014b'}], [{'A': '-a b'}]),
    ('windash leaves what is within a word', "A|contains|windash: 'a-b'", [{'A': 'a-b'}], [{'A': 'a/b'}]),
    # MODS: regular expressions
    ('re: the metacharacters', "A|re: '^a.b*c+d?(e|f)[g-h]{2,3}$'", [{'A': 'axccegh'}, {'A': 'axbcdfggg'}], [{'A': 'axcceg'}]),
    ('re is not anchored', "A|re: 'b'", [{'A': 'abc'}], [{'A': 'ac'}]),
    (r're: \s \d \w \b, (?:, lazy ones, (?i) in front', r"A|re: '(?i)\bFOO(?:\s\d+?)\w'", [{'A': 'x foo 12a'}], [{'A': 'xfoo 12a'}]),
    ('re|i', 'A|re|i: foo', [{'A': 'FOO'}], [{'A': 'fo'}]),
    ('re|m', "A|re|m: '^b$'", [{'A': 'a\nb\nc'}], [{'A': 'ab'}]),
    ('re|s', "A|re|s: 'a.b'", [{'A': 'a\nb'}], [{'A': 'ab'}]),
    ('re|ignorecase, multiline and dotall, their long names', "A|re|ignorecase|multiline|dotall: '^B.c$'", [{'A': 'a\nb\nc'}], [{'A': 'ab\nc'}]),
    ('re without them: a point is no line end', "A|re: 'a.b'", [{'A': 'a b'}], [{'A': 'a\nb'}]),
    ('re: PCRE that Hyperscan refuses', r"A|re: '(?<=a)b(?!c)|(x)\1'", [{'A': 'ab'}, {'A': 'xx'}], [{'A': 'abc'}]),
    # MODS: encodings
    ('base64', 'A|base64: foobar', [{'A': b64(b'foobar')}], [{'A': 'foobar'}]),
    ('base64offset finds it at each of three places', 'A|base64offset|contains: foobar',
     [{'A': b64(b'x' * n + b'foobar' + b'y' * m)} for n in (0, 1, 2) for m in (0, 1, 2)], [{'A': b64(b'fooba')}]),
    ('utf16le', 'A|utf16le|base64: foo', [{'A': b64('foo'.encode('utf-16-le'))}], [{'A': b64(b'foo')}]),
    ('decided: utf16le and wide are one', 'A|wide|base64: foo', [{'A': b64('foo'.encode('utf-16-le'))}], [{'A': b64('foo'.encode('utf-16-be'))}]),
    ('utf16be', 'A|utf16be|base64: foo', [{'A': b64('foo'.encode('utf-16-be'))}], [{'A': b64('foo'.encode('utf-16-le'))}]),
    ('utf16 begins with a mark', 'A|utf16|base64: foo', [{'A': b64(b'\xff\xfe' + 'foo'.encode('utf-16-le'))}],
     [{'A': b64('foo'.encode('utf-16-le'))}]),
    ('wide and base64offset', 'A|wide|base64offset|contains: foo', [{'A': b64(b'xy' + 'foo'.encode('utf-16-le'))}], [{'A': b64(b'xyfoo')}]),
    # MODS: numbers, times, addresses
    ('lt', 'A|lt: 5', [{'A': 4.5}, {'A': '4'}], [{'A': 5}]),
    ('lte', 'A|lte: 5', [{'A': 5}], [{'A': 5.5}]),
    ('gt compares numbers', 'A|gt: 9', [{'A': 10}, {'A': '10'}], [{'A': 9}]),
    ('gte', 'A|gte: -1', [{'A': -1}], [{'A': -2}]),
    ('decided: what is no number does not match', 'A|lt: 5', [{'A': 1}], [{'A': 'x'}, {'A': ''}, {'B': 1}]),
    ('minute, hour, day, week, month, year', "A|minute: 2\nB|hour: 5\nC|day: 22\nD|week: 47\nE|month: 11\nF|year: 2026",
     [{k: '2026-11-22T05:02:03Z' for k in 'ABCDEF'}], [{k: '2026-12-23T06:03:04Z' for k in 'ABCDEF'}]),
    ('neq of a number', 'A|neq: 5', [{'A': 6}, {'A': '6'}], [{'A': 5}, {'A': '5'}]),
    ('cidr of IPv4', 'A|cidr: 192.0.2.0/25', [{'A': '192.0.2.127'}], [{'A': '192.0.2.128'}, {'A': 'host'}]),
    ('cidr of IPv6', "A|cidr: '2001:db8::/33'", [{'A': '2001:DB8:7fff::1'}], [{'A': '2001:db8:8000::1'}, {'A': '192.0.2.1'}]),
    # MODS: specific
    ('fieldref', 'A|fieldref: B', [{'A': 'x', 'B': 'X'}], [{'A': 'x', 'B': 'y'}, {'A': 'x'}]),
    ('fieldref and neq', 'A|fieldref|neq: B', [{'A': 'x', 'B': 'y'}], [{'A': 'x', 'B': 'X'}]),
    ('fieldref and startswith, endswith, contains', 'A|fieldref|startswith: B\nC|fieldref|endswith: B\nD|fieldref|contains: B',
     [{'A': 'b1', 'B': 'b', 'C': '1b', 'D': '1b1'}], [{'A': '1b', 'B': 'b', 'C': '1b', 'D': '1b1'}]),
    # RULES: placeholders
    ('%name% is a text without expand', "A: '%Administrators%'", [{'A': '%Administrators%'}], [{'A': 'root'}]),
    ('expand takes each value, which may have wildcards', "A|expand: 'x %Administrators%'", [{'A': 'x root'}, {'A': 'x admin'}], [{'A': 'x user'}]),
    (r'\% is a percent sign', "A|expand: '\\%Administrators\\%'", [{'A': '%Administrators%'}], [{'A': 'root'}]),
    # TAX
    ('decided: field names without case, and without the spaces of the log', 'FieldName: x', [{'fieldname': 'x'}, {'Field Name': 'x'}],
     [{'Field_Name': 'x'}]),
    ('XML attributes join with _', 'Provider_Name: x', [{'Event': {'System': {'Provider': {'#attributes': {'Name': 'x'}}}}}],
     [{'Event': {'System': {'Provider': 'x'}}}]),
    ('decided: SourceName is Provider_Name', 'Provider_Name: x', [{'SourceName': 'x'}], [{'Source': 'x'}]),
    ('a process of Security 4688 has its fields', 'Image: x\nParentImage: y', [{'NewProcessName': 'x', 'ParentProcessName': 'y'}], [{'ProcessName': 'x'}]),
    ('decided: Imphash, md5, sha1, sha256 are taken out of Hashes', "Imphash: aa\nmd5: bb\nsha1: cc\nsha256: dd",
     [{'Hashes': 'SHA1=CC,MD5=BB,SHA256=DD,IMPHASH=AA'}], [{'Hashes': 'SHA1=AA,MD5=BB,SHA256=CC,IMPHASH=DD'}]),
    ('W3C names of proxy and web server', "c-uri|contains: /x\ncs-method: GET\nsc-status: 404\nc-useragent: z",
     [{'url.original': '/x?y', 'http.request.method': 'GET', 'http.response.status_code': 404, 'user_agent.original': 'z'}], [{'url.path': '/x'}]),
    ('names of firewalls', 'src_ip: 192.0.2.1\nsrc_port: 1\ndst_ip: 192.0.2.2\ndst_port: 2\nusername: u',
     [{'source': {'ip': '192.0.2.1', 'port': 1}, 'destination': {'ip': '192.0.2.2', 'port': 2}, 'user': {'name': 'u'}}], [{'source.ip': '192.0.2.1'}]),
    ('names of anti-virus', 'Filename: a\nSignature: b\naction: c', [{'file.path': 'a', 'rule.name': 'b', 'event.action': 'c'}], [{'file.path': 'a'}]),
    ('ECS names are taken as they are', 'source.ip: 192.0.2.1\ndns.question.name: x',
     [{'source': {'ip': '192.0.2.1'}, 'dns': {'question': {'name': 'x'}}}], [{'source': {'ip': '192.0.2.1'}}]),
]

SYSMON = 'Microsoft-Windows-Sysmon/Operational'
LOGSOURCES = [
    ('a category is a channel and event ids of Sysmon', '{product: windows, category: process_creation}', [{'Channel': SYSMON, 'EventID': 1}],
     [{'Channel': SYSMON, 'EventID': 3}, {'Channel': 'Security', 'EventID': 1}]),
    ('Security 4688 is a process creation', '{product: windows, category: process_creation}', [{'Channel': 'Security', 'EventID': 4688}],
     [{'Channel': 'Security', 'EventID': 4689}]),
    ('a service is a channel', '{product: windows, service: security}', [{'Channel': 'Security', 'EventID': 1}], [{'Channel': 'System', 'EventID': 1}]),
    ('Winlogbeat and event XML say it too', '{product: windows, service: security}',
     [{'winlog': {'channel': 'Security'}}, {'Event': {'System': {'Channel': 'Security'}}}], [{'winlog': {'channel': 'System'}}]),
    ('decided: registry_add by its EventType', '{product: windows, category: registry_add}', [{'Channel': SYSMON, 'EventID': 12, 'EventType': 'CreateKey'}],
     [{'Channel': SYSMON, 'EventID': 12, 'EventType': 'DeleteKey'}, {'Channel': SYSMON, 'EventID': 13, 'EventType': 'SetValue'}]),
    ('decided: registry_delete', '{product: windows, category: registry_delete}', [{'Channel': SYSMON, 'EventID': 12, 'EventType': 'DeleteValue'}],
     [{'Channel': SYSMON, 'EventID': 12, 'EventType': 'CreateKey'}]),
    ('decided: registry_set', '{product: windows, category: registry_set}', [{'Channel': SYSMON, 'EventID': 13}], [{'Channel': SYSMON, 'EventID': 12}]),
    ('webserver, whatever the product', '{category: webserver}', [{'event.dataset': 'nginx.access'}, {'event.module': 'apache'}], [{'event.module': 'system'}]),
    ('all parts of a logsource must hold', '{product: linux, category: webserver}', [{'host.os.type': 'linux', 'event.module': 'nginx'}],
     [{'host.os.type': 'windows', 'event.module': 'nginx'}, {'host.os.type': 'linux', 'event.module': 'cron'}]),
]

# ---- what is refused: (statement, detection or rule, message) -------------------------------------------------------------------------

BASE = 'title: base\nname: base\nlogsource: {}\ndetection: {s: {A: 1}, condition: s}\n---\n'
CORRELATION = BASE + 'title: c\ncorrelation:\n  rules: base\n  timespan: 1m\n'
REFUSED = [
    ('null is not in a list', 'A: [x, null]', 'null cannot'),
    ('wildcards cannot be encoded', "A|base64offset: 'a*'", 'wildcard'),
    ('... nor in base64', "A|base64: 'a?'", 'wildcard'),
    ('numbers only for numeric modifiers', 'A|gt: x', 'must be a number'),
    ('a modifier that is not known', 'A|like: x', 'unknown modifier "like"'),
    ('a pipe in a condition is the old aggregation', 's: {A: 1}\ncondition: s | count() > 5', 'correlation rule'),
    ('a condition names what is not there', 's: {A: 1}\ncondition: s and t', 'the selection "t"'),
    ('a placeholder without a value, by its name', "A|expand: '%Nobody%'", 'placeholder %Nobody% has no value'),
    ('value_percentile without its percentile', CORRELATION + '  type: value_percentile\n  condition: {gte: 2, field: x}\n', 'needs "percentile"'),
    ('value_count without a field', CORRELATION + '  type: value_count\n  condition: {gte: 2}\n', 'needs "field"'),
    ('a reference that is not there', BASE + 'title: c\ncorrelation: {type: temporal, rules: [base, nobody], timespan: 1m}\n', '"nobody" is not there'),
    ('a circle', BASE + 'title: c\nname: c\ncorrelation: {type: temporal, rules: [base, c], timespan: 1m}\n', 'circle'),
    ('YAML that is not closed', "A: [x", 'end the list with ]'),
    ('YAML that is no text', "A: \udcff", 'UTF-8'),
    ('a key twice', 's: {A: 1}\ns: {B: 1}\ncondition: s', 'given twice, first at line 6'),
    ('an alias, which may unfold to anything', 's: &x {A: 1}\nt: *x\ncondition: s or t', 'aliases are not allowed'),
    ('a regular expression that is wrong', "A|re: 'a('", 'regular expression'),
    ('a regular expression too long', f"A|re: '{'a' * 5000}'", 'at most 4096 are allowed'),
    ('a value too long', f"A: '{'a' * 20000}'", 'at most 16384 are allowed'),
    ('too many values', f"A: [{'x, ' * 20000}]", 'at most 16384 are allowed'),
    ('a condition too deep', f"s: {{A: 1}}\ncondition: {'(' * 50}s{')' * 50}", 'deeper than 32'),
    ('more than there is', 's: {A: 1}\ncondition: 5 of s*', 'too few selections have such a name'),
    ('a timespan of nothing', CORRELATION.replace('1m', '0s') + '  type: event_count\n  condition: {gte: 2}\n', 'as 15m'),
    ('a type that is not known', CORRELATION + '  type: event_cuont\n  condition: {gte: 2}\n', 'must be event_count, value_count'),
    ('an extended condition leaves out what is listed', CORRELATION.replace('rules: base', 'rules: [base, two]').replace(
        'title: c', BASE.replace('base', 'two') + 'title: c') + '  type: temporal\n  condition: base\n', '"two" is listed but not in the condition'),
    ('an extended condition of what is not temporal', CORRELATION + '  type: event_count\n  condition: base\n', 'must be a map'),
    ('an order of rules that are not all wanted', CORRELATION.replace('rules: base', 'rules: [base, two]').replace(
        'title: c', BASE.replace('base', 'two') + 'title: c') + '  type: temporal_ordered\n  condition: base or two\n', 'in the order listed'),
    ('a correlation without a condition', CORRELATION + '  type: event_count\n', '"condition" is missing'),
    ('a correlation without rules', CORRELATION.replace('  rules: base\n', '') + '  type: event_count\n  condition: {gte: 2}\n', '"rules" is missing'),
    ('a correlation without a timespan', CORRELATION.replace('  timespan: 1m\n', '') + '  type: event_count\n  condition: {gte: 2}\n',
     '"timespan" is missing'),
    ('a range of three', CORRELATION + '  type: event_count\n  condition: {gt: 1, lt: 5, neq: 3}\n', 'or two as a range'),
    ('an alias for a rule that is not listed', CORRELATION + '  type: temporal\n  group-by: [who]\n  aliases: {who: {nobody: user.name}}\n', '"nobody"'),
    ('an extended condition names what is not there', CORRELATION + '  type: temporal\n  condition: nobody\n', '"nobody"'),
]

# ---- correlations: (statement, rules over a, b, c, log, what fires) ---------------------------------------------------------------------
# A log is a list of (seconds, rule, fields); what fires is a list of (title, the events that count).


def count(condition, span='1m', rules='@a', by='group-by: [user.name], '):
    return f'correlation: {{type: event_count, rules: [{rules}], {by}timespan: {span}, condition: {{{condition}}}}}'


U, V = {'user.name': 'u'}, {'user.name': 'v'}
N = 'http.response.body.bytes'
FIRES = [
    ('event_count counts the events of a group', count('gte: 2'), [(0, 'a', U), (1, 'a', V), (2, 'a', U)], [[0, 2]]),
    ('a timespan slides, and is cut at no boundary', count('gte: 2'), [(50, 'a', U), (65, 'a', U)], [[0, 1]]),
    ('decided: an event one timespan older is outside', count('gte: 2'), [(0, 'a', U), (60, 'a', U)], []),
    ('timespans in s, m, h, d, w, M, y', '\n---\n'.join(
        'title: TITLE\n' + count('gte: 2', span) for span in ('30s', '1h', '2d', '1w', '1M', '1y')), [(0, 'a', U), (29, 'a', U)], [[0, 1]] * 6),
    ('decided: it fires again after it was false', count('gte: 2'), [(0, 'a', U), (1, 'a', U), (100, 'a', U), (101, 'a', U)],
     [[0, 1], [2, 3]]),
    ('decided: hits in between are of the same incident', count('gte: 2'), [(0, 'a', U), (40, 'a', U), (80, 'a', U)], [[0, 1, 2]]),
    ('decided: after a timespan without a hit it is another one', count('gte: 1'), [(0, 'a', U), (59, 'a', U), (119, 'a', U)],
     [[0, 1], [2]]),
    ('gt', count('gt: 1'), [(0, 'a', U), (1, 'a', U)], [[0, 1]]),
    ('neq', count('neq: 1'), [(0, 'a', U), (1, 'a', U)], [[0, 1]]),
    ('decided: eq when its window closes', count('eq: 2'), [(0, 'a', U), (1, 'a', U), (2, 'a', V), (200, 'c', U)], [[0, 1]]),
    ('decided: a range when its window closes', count('gt: 1, lte: 2'), [(0, 'a', U), (1, 'a', U), (200, 'c', U)], [[0, 1]]),
    ('decided: lt is absence, the hit before it counts', count('lt: 1'), [(0, 'a', U), (61, 'c', U)], [[0]]),
    ('decided: ... only event time closes a window', count('lt: 1'), [(0, 'a', U), (60, 'c', U)], []),
    ('decided: eq 0 is absence', count('eq: 0'), [(0, 'a', U), (30, 'a', U), (91, 'c', U)], [[1]]),
    ('decided: lte 1 is too few', count('lte: 1'), [(0, 'a', U), (30, 'a', U), (200, 'c', U)], [[0, 1]]),
    ('decided: without group-by there is one group', count('gte: 2', by=''), [(0, 'a', U), (1, 'a', V)],
     [[0, 1]]),
    ('decided: an event without the field forms no group', count('gte: 1'), [(0, 'a', {})], []),
    ('group-by of several fields', count('gte: 2', by='group-by: [user.name, host.name], '),
     [(0, 'a', dict(U, **{'host.name': 'x'})), (1, 'a', dict(U, **{'host.name': 'y'})), (2, 'a', dict(U, **{'host.name': 'x'}))], [[0, 2]]),
    ('group-by of a field by its Sigma name', count('gte: 2', by='group-by: [src_ip], '),
     [(0, 'a', {'source.ip': '192.0.2.1'}), (1, 'a', {'source': {'ip': '192.0.2.1'}})], [[0, 1]]),
    ('group-by of a field of Windows, as Winlogbeat and as event XML have it', count('gte: 2', by='group-by: [TargetUserName], '),
     [(0, 'a', {'winlog.event_data.TargetUserName': 'u'}), (1, 'a', {'Event': {'EventData': {'TargetUserName': 'u'}}}),
      (2, 'a', {'Event': {'EventData': {'TargetUserName': 'v'}}})], [[0, 1]]),
    ('group-by of a field that a provider of Windows names after itself', count('gte: 2', by='group-by: [SessionID], '),
     [(0, 'a', {'Event': {'System': {'Channel': 'x'}, 'UserData': {'EventXML': {'SessionID': 2}}}}), (1, 'a', {'winlog.user_data.SessionID': 2}),
      (2, 'a', {'Event': {'System': {'Channel': 'x'}, 'UserData': {'Other': {'SessionID': 2}}}}),
      (3, 'a', {'Event': {'System': {'Channel': 'x'}, 'UserData': {'Other': {'SessionID': 3}}}})], [[0, 1, 2]]),
    ('group-by of a derived field', count('gte: 2', by='group-by: [Imphash], '),
     [(0, 'a', {'Hashes': 'MD5=1,IMPHASH=A'}), (1, 'a', {'Hashes': 'IMPHASH=A'}), (2, 'a', {'Hashes': 'IMPHASH=B'})], [[0, 1]]),
    ('several rules count together', count('gte: 2', rules='@b, @a'), [(0, 'b', U), (1, 'a', U)], [[0, 1]]),
    ('decided: equal events count each', count('gte: 2'), [(0, 'a', U), (0, 'a', U)], [[0, 1]]),
    ('decided: ... except with an equal event.id', count('gte: 2'), [(0, 'a', dict(U, **{'event.id': 'e'}))] * 2, []),
    ('an event that two rules match is one event', count('gte: 2', rules='@b, @a'), [(0, 'ab', U), (1, 'c', U)], []),
    ('decided: a late hit is counted where it belongs', count('gte: 2'), [(100, 'a', U), (200, 'a', U), (150, 'a', U)], [[0, 2, 1]]),
    ('value_count counts what differs', 'correlation: {type: value_count, rules: [@a], timespan: 1m, condition: {gte: 2, field: user.name}}',
     [(0, 'a', U), (1, 'a', U), (2, 'a', V)], [[0, 1, 2]]),
    ('value_count of a list of fields counts tuples',
     'correlation: {type: value_count, rules: [@a], timespan: 1m, condition: {gte: 2, field: [user.name, host.name]}}',
     [(0, 'a', dict(U, **{'host.name': 'x'})), (1, 'a', U), (2, 'a', dict(U, **{'host.name': 'y'}))], [[0, 2]]),
    ('temporal: all rules, in any order', 'correlation: {type: temporal, rules: [@a, @b], group-by: [user.name], timespan: 1m}',
     [(0, 'b', U), (1, 'a', V), (2, 'a', U)], [[0, 2]]),
    ('temporal with an operator: so many of the rules',
     'correlation: {type: temporal, rules: [@a, @b, @c], group-by: [user.name], timespan: 1m, condition: {gte: 2}}',
     [(0, 'a', U), (1, 'c', U), (100, 'a', V)], [[0, 1]]),
    ('decided: an extended condition says which rules',
     'correlation: {type: temporal, group-by: [user.name], timespan: 1m, condition: @a and @b}', [(0, 'a', U), (1, 'b', U)], [[0, 1]]),
    ('temporal_ordered: in the order listed', 'correlation: {type: temporal_ordered, rules: [@a, @b], group-by: [user.name], timespan: 1m}',
     [(0, 'b', U), (1, 'a', U), (100, 'a', V), (101, 'b', V)], [[2, 3]]),
    ('decided: an extended condition', 'correlation: {type: temporal, rules: [@a, @b], group-by: [user.name], timespan: 1m, condition: @a and not @b}',
     [(0, 'b', U), (1, 'a', U), (2, 'a', V)], [[2]]),
    ('decided: ... with or and parentheses', 'correlation: {type: temporal, rules: [@a, @b, @c], group-by: [user.name], timespan: 1m, '
     'condition: (@a or @b) and @c}', [(0, 'a', V), (1, 'b', U), (2, 'c', U)], [[1, 2]]),
    ('decided: ... of temporal_ordered', 'correlation: {type: temporal_ordered, group-by: [user.name], timespan: 1m, condition: @a and @b}',
     [(0, 'b', U), (1, 'a', U), (100, 'a', V), (101, 'b', V)], [[2, 3]]),
    ('value_sum', 'correlation: {type: value_sum, rules: [@a], timespan: 1m, condition: {gt: 9, field: ' + N + '}}', [(0, 'a', {N: 5}), (1, 'a', {N: '4.5'})],
     [[0, 1]]),
    ('value_avg', 'correlation: {type: value_avg, rules: [@a], timespan: 1m, condition: {gte: 5, field: ' + N + '}}', [(0, 'a', {N: 1}), (1, 'a', {N: 9})],
     [[0, 1]]),
    ('value_percentile with percentile',
     'correlation: {type: value_percentile, rules: [@a], timespan: 1m, condition: {gte: 8, field: ' + N + ', percentile: 90}}',
     [(0, 'a', {N: 1}), (1, 'a', {N: 9})], [[0, 1]]),
    ('decided: value_median', 'correlation: {type: value_median, rules: [@a], timespan: 1m, condition: {gte: 5, field: ' + N + '}}',
     [(0, 'a', {N: 1}), (1, 'a', {N: 9})], [[0, 1]]),
    ('decided: what is no number is not aggregated', 'correlation: {type: value_sum, rules: [@a], timespan: 1m, condition: {gte: 1, field: ' + N + '}}',
     [(0, 'a', {N: 'x'}), (1, 'a', {N: 1})], [[1]]),
    ('aliases', 'correlation: {type: temporal, rules: [@a, @b], group-by: [who], timespan: 1m, aliases: {who: {@a: user.name, @b: user.target.name}}}',
     [(0, 'a', U), (1, 'b', dict(V, **{'user.target.name': 'u'}))], [[0, 1]]),
    ('rules by id as by name', 'correlation: {type: event_count, rules: [id-@a], timespan: 1m, condition: {gte: 1}}', [(0, 'a', U)], [[0]]),
    ('chaining: only the outer rule shows, by its own group-by',
     count('gte: 2') + '\nname: @inner\n---\ntitle: TITLE\ncorrelation: {type: event_count, rules: [@inner], timespan: 1m, condition: {gte: 2}}',
     [(0, 'a', U), (1, 'a', U), (2, 'a', V), (3, 'a', V)], [[1, 3]]),
]
GENERATE = [
    ('generate is false: base rules do not show', '', '', 0),
    ('generate in the correlation', ', generate: true', '', 2),
    ('decided: generate at top level', '', '\ngenerate: true', 2),
]

FILTERS = [
    ('decided: a filter is (rule) and (filter)', 'rules: [{0}]', '{{}}', True),
    ('filters by name', 'rules: [name-{0}]', '{{}}', True),
    ('rules: any', 'rules: any', '{{service: {0}}}', True),
    ('an empty list is any', 'rules: []', '{{service: {0}}}', True),
    ('a filter of another logsource does not concern it', 'rules: any', '{{product: windows}}', False),
]

# A filter narrows the rules that a correlation counts, never the correlation: (statement, rules of the filter, events that count, warning)
FILTERED_CORRELATIONS = [
    ('a filter of a rule that a correlation counts', '[base]', [1], ''),
    ('rules: any is no correlation', 'any', [1], ''),
    ('a filter that names a correlation leaves it as it is, and is told so', '[corr]', [0, 1], 'the filter names the correlation "corr"'),
    ('a filter that names nobody is told so', '[nobody]', [0, 1], 'the filter names the rule "nobody", which is not loaded'),
]


# ---- running ---------------------------------------------------------------------------------------------------------------------------


def kuzetctl(*arguments):
    return tap.kuzetctl('rules', *arguments)


def write(tmp, name, text):
    path = os.path.join(tmp, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8', errors='surrogateescape') as f:
        f.write(text)
    return path


def detection_of(body):
    """The body of `detection`, as YAML, indented."""
    lines = body.split('\n')
    if not lines[-1].startswith('condition:'):
        name = lines[0].split(':')[0]
        whole = name == 's'
        lines = (lines if whole else ['s:'] + ['    ' + line for line in lines]) + ['condition: s']
    return '\n'.join('    ' + line for line in lines)


def rule_of(i, body, logsource='{}'):
    return f'title: rule {i}\nid: rule-{i}\nname: name-rule-{i}\nlogsource: {logsource}\ndetection:\n{detection_of(body)}\n'


def run(tmp, rules, events, *options):
    path = write(tmp, 'rules.yml', '---\n'.join(rules))
    log = write(tmp, 'events.jsonl', ''.join(json.dumps(e, ensure_ascii=False) + '\n' for e in events))
    result = kuzetctl('match', '--json', '--rules', path, '--events', log, *options)
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def test_matches(tmp):
    taxonomy = os.path.dirname(write(tmp, 'taxonomy/own.yml', "placeholders: {Administrators: [root, 'adm*']}\n"))
    table = [(name, rule_of(i, body), yes, no) for i, (name, body, yes, no) in enumerate(MATCHES)]
    table += [(name, rule_of(len(MATCHES) + i, 'A: 1', logsource), [dict(e, A=1) for e in yes], [dict(e, A=1) for e in no])
              for i, (name, logsource, yes, no) in enumerate(LOGSOURCES)]
    events = [(i, e, wanted) for i, (_, _, yes, no) in enumerate(table) for wanted, some in ((True, yes), (False, no)) for e in some]
    lines, errors = run(tmp, [rule for _, rule, _, _ in table], [e for _, e, _ in events], '--taxonomy', taxonomy)
    seen = {(line['rule'], line['event']) for line in lines}
    for i, (name, rule, _, _) in enumerate(table):
        wrong = [f'{"should" if wanted else "should not"} match: {e}' for at, (k, e, wanted) in enumerate(events)
                 if k == i and ((f'rule-{i}', at) in seen) != wanted]
        refused = errors if not any(line['rule'] == f'rule-{i}' for line in lines) else ''
        check(not wrong, name, '\n'.join(wrong + [rule, refused]))


def lowest_line(rule):
    """Where its trouble begins: what is wrong in a detection is named there, not at the head of the rule."""
    return 6 if rule.startswith('title: rule') else 1


def test_refused(tmp):
    for name, text, message in REFUSED:
        rule = text if text.startswith('title:') else rule_of(0, text)
        path = write(tmp, 'refused/refused.yml', rule)
        write(tmp, 'refused/good.yml', rule_of(1, 'A: 1'))
        result = kuzetctl('check', '--json', os.path.dirname(path))
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        errors = [line for line in lines[:-1] if line['severity'] == 'error']
        good = len(errors) == 1 and message in errors[0]['message'] and errors[0]['line'] >= lowest_line(rule) and errors[0]['file'] == path
        check(good and result.returncode == 1 and lines[-1]['loaded'] >= 1, name + ': refused, the others load', result.stdout + result.stderr)


def stamp(seconds):
    return f'2026-11-22T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z'


def base_rules(prefix):
    return [f'title: {prefix}{x}\nname: {prefix}{x}\nid: id-{prefix}{x}\nlogsource: {{}}\ndetection: {{s: {{labels.case: {prefix}, labels.is|contains: {x}}}, '
            'condition: s}\n' for x in 'abc']


def test_correlations(tmp):
    """Each over events of its own; the third base rule only lets the time pass."""
    for i, (name, text, log, wanted) in enumerate(FIRES):
        prefix, title = f'r{i}', f'the correlation {i}'
        rules = base_rules(prefix)
        body = text.replace('@', prefix).replace('TITLE', title)
        rules.append(body if body.startswith('title:') else f'title: {title}\n{body}\n')
        events = [{'@timestamp': stamp(t), 'labels.case': prefix, 'labels.is': x, **fields} for t, x, fields in log]
        lines, errors = run(tmp, [rule if rule.endswith('\n') else rule + '\n' for rule in rules], events)
        fired = [line['events'] for line in lines if line['title'] == title]
        strangers = [line for line in lines if line['title'] != title and line['title'] != f'{prefix}c' and line['title'] != f'{prefix}b']
        check(sorted(map(sorted, fired)) == sorted(map(sorted, wanted)) and not strangers, name, f'{lines}\n{rules[-1]}\n{errors}')


def test_generate(tmp):
    for name, inside, outside, wanted in GENERATE:
        rules = base_rules('r') + [f'title: c\ncorrelation: {{type: event_count, rules: [ra], timespan: 1m, condition: {{gte: 2}}{inside}}}{outside}\n']
        lines, errors = run(tmp, rules, [{'@timestamp': stamp(t), 'labels.case': 'r', 'labels.is': 'a'} for t in (0, 1)])
        check(sum(line['title'] == 'ra' for line in lines) == wanted and sum(line['title'] == 'c' for line in lines) == 1, name, f'{lines}\n{errors}')


def test_filters(tmp):
    for i, (name, rules, logsource, narrows) in enumerate(FILTERS):
        text = rule_of(i, 'A: 1', f'{{service: rule-{i}}}')
        text += f'---\ntitle: filter\nlogsource: {logsource.format(f"rule-{i}")}\nfilter:\n  {rules.format(f"rule-{i}")}\n  s: {{B: 1}}\n  condition: not s\n'
        events = [{'A': 1, 'event.dataset': f'rule-{i}'}, {'A': 1, 'B': 1, 'event.dataset': f'rule-{i}'}]
        lines, errors = run(tmp, [text], events)
        check([line['event'] for line in lines] == ([0] if narrows else [0, 1]), name, f'{lines}\n{text}\n{errors}')


def test_filtered_correlations(tmp):
    for name, rules, wanted, warning in FILTERED_CORRELATIONS:
        text = BASE + 'title: corr\nname: corr\ncorrelation: {type: event_count, rules: [base], timespan: 1m, condition: {gte: 1}}\n---\n'
        text += f'title: filter\nlogsource: {{}}\nfilter:\n  rules: {rules}\n  s: {{B: 1}}\n  condition: not s\n'
        events = [{'@timestamp': stamp(0), 'A': 1, 'B': 1}, {'@timestamp': stamp(1), 'A': 1}]
        lines, errors = run(tmp, [text], events)
        checked = kuzetctl('check', os.path.join(tmp, 'rules.yml')).stdout
        check([line['events'] for line in lines] == [wanted] and (warning in checked if warning else 'the filter names' not in checked), name,
              f'{lines}\n{checked}\n{errors}')


def test_free_text(tmp):
    """Other makers' rules have a text there."""
    rule = rule_of(0, 'A: 1') + 'correlation: see also the log of the gateway\n'
    lines, errors = run(tmp, [rule], [{'A': 1}, {'A': 2}])
    check([line['event'] for line in lines] == [0], 'correlation: that is a text makes no correlation', f'{lines}\n{errors}')


def test_all_of_one(tmp):
    path = write(tmp, 'one.yml', rule_of(0, 'A|contains|all: x'))
    result = kuzetctl('check', path)
    check('"all" on a single value' in result.stdout + result.stderr, 'all of a single value is loaded with a warning', result.stdout + result.stderr)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        for test in (test_matches, test_refused, test_correlations, test_generate, test_filters, test_filtered_correlations, test_free_text,
                     test_all_of_one):
            test(tmp)
    return done()


if __name__ == '__main__':
    sys.exit(main())
