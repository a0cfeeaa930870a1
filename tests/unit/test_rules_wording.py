#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `kuzetctl rules check` says of a broken rule: the line, the reason, the remedy. Prints TAP."""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '../lib'))
import tap  # pylint: disable=wrong-import-position
from tap import check, done  # pylint: disable=wrong-import-position

# 6 lines; a rule goes on behind them.
HEAD = """title: T
id: ID
author: us
level: low
tags: [attack.t1110]
logsource: {product: linux}
"""
# 7 lines with the mark, then a correlation's 5; its keys are behind.
BASE = HEAD.replace('ID', 'BASE') + 'name: base\ndetection: {s: {a: b}, condition: s}\n---\n'
CORRELATION = BASE + 'title: C\nid: ID\nauthor: us\nlevel: low\ntags: [attack.t1110]\ncorrelation:\n'
PLAIN = 'detection: {s: {a: b}, condition: s}\n'


def selection(item):
    return HEAD + 'detection:\n  s:\n    ' + item + '\n  condition: s\n'


def condition(text):
    return HEAD + 'detection:\n  selection: {A: x}\n  condition: ' + text + '\n'


def detection(text):
    return HEAD + 'detection:\n' + text


def counted(type_, rest):
    return CORRELATION + f'  type: {type_}\n  rules: [base]\n  timespan: 5m\n' + rest


def circle(name, other):
    return (f'title: {name}\nname: {name}\nid: ID{name}\nauthor: us\nlevel: low\ntags: [attack.t1110]\n'
            f'correlation: {{type: event_count, rules: [{other}], timespan: 5m, condition: {{gte: 3}}}}\n')


# (what is wrong, the rule, severity, line, a part of the reason, a part of the remedy)
CASES = [
    ('a key further in than it may be', 'title: T\n  bad: x\n', 'error', 2, 'mapping values are not allowed', 'indent the key as those beside it'),
    ('a tab', 'title: T\ndetection:\n\tsel: {a: b}\n', 'error', 3, 'cannot start any token', 'never with tabs'),
    ('a tab between keys', 'title: T\ndetection:\n  s:\n\t\ta: b\n', 'error', 4, 'cannot start any token', 'never with tabs'),
    ('a quote that does not end', 'title: "T\nlogsource: {}\n', 'error', 3, 'from line 1 on', 'close it'),
    ('a list that does not end', 'title: T\ntags: [a, b\nlevel: low\n', 'error', 3, 'did not find expected', 'end the list with ]'),
    ('a text that begins with a star', 'title: *x\n', 'error', 1, 'aliases are not allowed', 'quote a text that begins with *'),
    ('an escape in double quotes', 'title: "C:\\Windows"\n', 'error', 1, 'unknown escape character', 'use single quotes'),
    ('a key twice', selection('A: b\n    A: c'), 'error', 10, 'given twice, first at line 9', 'several values are a list'),
    ('a selection twice', detection('  s: {A: b}\n  s: {A: c}\n  condition: s\n'), 'error', 9, 'given twice, first at line 8', 'keep one'),
    ('a list for a rule', '- a\n- b\n', 'error', 1, 'a rule must be a map', 'of title, logsource, detection'),
    ('an empty file', '', 'warning', 1, 'the file is empty', ''),
    ('the old action', 'action: global\ntitle: T\nid: ID\n', 'error', 1, 'there is no "detection"', 'write each rule in full'),
    ('no detection', HEAD, 'error', 1, 'there is no "detection"', 'add what it is sought by'),
    ('no title', HEAD.replace('title: T\n', '') + PLAIN, 'error', 1, '"title" is missing', 'add what it finds'),
    ('an unknown level', HEAD.replace('low', 'hihg') + PLAIN, 'error', 4, '"level" must be', 'informational, low, medium, high or critical'),
    ('an unknown status', HEAD + 'status: stabel\n' + PLAIN, 'warning', 7, 'not "stabel"', 'stable, test, experimental'),
    ('a date the other way round', HEAD + 'date: 22.11.2026\n' + PLAIN, 'warning', 7, '"date" is no date', 'write it as YYYY-MM-DD'),
    ('a month that is none', HEAD + 'modified: 2026-13-01\n' + PLAIN, 'warning', 7, '"modified" is no date', 'write it as YYYY-MM-DD'),
    ('an id that is no UUID', HEAD.replace('ID', 'mine') + PLAIN, 'warning', 2, 'no UUID', 'uuidgen'),
    ('no id', HEAD.replace('id: ID\n', '') + PLAIN, 'warning', 1, 'there is no id', 'uuidgen'),
    ('no author', HEAD.replace('author: us\n', '') + PLAIN, 'warning', 1, 'there is no author', 'add it'),
    ('no level', HEAD.replace('level: low\n', '') + PLAIN, 'warning', 1, 'there is no level', 'add informational'),
    ('no tag of ATT&CK', HEAD.replace('attack.', 'atack.') + PLAIN, 'warning', 1, 'no tag says', 'as attack.t1110'),
    ('no logsource', HEAD.replace('logsource: {product: linux}\n', '') + PLAIN, 'error', 1, '"logsource" is missing', 'as {product: linux}'),
    ('a logsource in words', HEAD.replace('{product: linux}', 'linux') + PLAIN, 'error', 6, '"logsource" must be a map', 'product, category, service'),
    ('an unknown key of a logsource', HEAD.replace('product', 'prodcut') + PLAIN, 'warning', 6, '"prodcut" in "logsource"', 'is "product" meant?'),
    ('an unknown product', HEAD.replace('linux', 'windos') + PLAIN, 'warning', 6, 'product "windos"', 'is "windows" meant?'),
    ('an unknown category', HEAD.replace('product: linux', 'category: process_creatoin') + PLAIN, 'warning', 6, 'process_creatoin', 'is "process_creation" meant?'),
    ('an unknown field', HEAD.replace('product: linux', 'product: windows, category: process_creation') + 'detection:\n  s:\n    ComandLine: b\n  condition: s\n',
     'warning', 9, 'no field "ComandLine"', 'is "CommandLine" meant?'),
    ('an unknown modifier', selection('A|endwith: x'), 'error', 9, 'unknown modifier "endwith"', 'is "endswith" meant?'),
    ('a modifier like no other', selection('A|glob: x'), 'error', 9, 'unknown modifier "glob"', 'Sigma 2.1.0 has contains'),
    ('a number that is none', selection('A|gt: x'), 'error', 9, 'modifier "gt"', 'must be a number, as 10'),
    ('a network that is none', selection('A|cidr: 192.0.2.0/33'), 'error', 9, 'modifier "cidr"', 'as 192.0.2.0/24'),
    ('null with a modifier', selection('A|contains: null'), 'error', 9, 'null can only be the value of a field without modifiers', "'' is the empty text"),
    ('null among values', selection('A: [x, null]'), 'error', 9, 'null cannot be one of several', 'a selection of its own'),
    ('exists with a word', selection('A|exists: maybe'), 'error', 9, 'modifier "exists"', 'must be true'),
    ('a minute that is none', selection('A|minute: 70'), 'warning', 9, 'no time has 70', 'write 0 to 59'),
    ('fieldref to nothing', selection("A|fieldref: ''"), 'error', 9, 'modifier "fieldref"', 'the name of another field'),
    ('a wildcard in base64', selection("A|base64: 'b*c'"), 'error', 9, 'a wildcard, which cannot be encoded', 'take it out'),
    ('a placeholder without a value', selection("A|expand: '%Nobody%'"), 'error', 9, 'placeholder %Nobody% has no value', 'a taxonomy of your own'),
    ('all of one value', selection('A|contains|all: x'), 'warning', 9, 'modifier "all" on a single value', 'leave it out'),
    ('a broken regular expression', selection("A|re: '('"), 'error', 9, 'missing closing parenthesis', 'at byte 1'),
    ('a regular expression too large', selection("A|re: '(((a{1000}){1000}){1000}){1000}'"), 'error', 9, 'too large', 'count less far'),
    ('a back reference', selection("A|re: '(a+)\\1'"), 'warning', 9, 'slow: the regular expression looks around or back', 'write it without'),
    ('contains behind re', selection('A|re|contains: a'), 'error', 9, 'modifier "contains": works on text only', 'found anywhere as it is'),
    ('an empty list of values', selection('A: []'), 'error', 9, 'an empty list of values', 'give it one'),
    ('a list within a list', selection('A:\n      - a\n      - [b, c]'), 'error', 11, 'a value must be text', 'make lists within lists one'),
    ('a map for a value', selection('A: {b: c}'), 'error', 9, 'has a map as its value', 'as A.name'),
    ('an empty selection', detection('  s: {}\n  condition: s\n'), 'error', 8, 'a selection is empty', 'give it fields'),
    ('a selection of nothing', detection('  s:\n  condition: s\n'), 'error', 8, 'selection "s" is empty', 'give it fields or keywords'),
    ('no selection', HEAD + 'detection: {condition: s}\n', 'error', 7, 'no selection beside the condition', 'add one'),
    ('a detection that is a list', HEAD + 'detection: [a]\n', 'error', 7, '"detection" must be a map', 'selections and a condition'),
    ('no condition', detection('  s: {A: x}\n'), 'error', 8, '"condition" is missing in "detection"', 'as condition: selection'),
    ('an empty condition', condition("''"), 'error', 9, 'a condition must be a text', 'as selection and not filter'),
    ('an unknown selection', condition('selektion'), 'error', 9, 'the selection "selektion", which is not there', 'is "selection" meant?'),
    ('a selection like no other', condition('selection and not filter'), 'error', 9, 'the selection "filter", which is not there', 'add it'),
    ('a pattern that nothing is like', condition('selection and 1 of filter_*'), 'error', 9, 'no selection has such a name', 'mend the pattern'),
    ('more of a pattern than there are', condition('2 of selection*'), 'error', 9, 'too few selections', 'ask for fewer'),
    ('a condition that ends early', condition('selection and'), 'error', 9, 'the condition ends where', 'add it, or take the last word out'),
    ('a parenthesis that is open', condition('(selection'), 'error', 9, 'a parenthesis of the condition is not closed', 'add ")"'),
    ('two names in a row', condition('selection selection'), 'error', 9, 'where "and", "or" or its end is expected', 'join the two'),
    ('the old aggregation', condition('selection | count() > 5'), 'error', 9, 'the old aggregation', 'write a correlation rule'),
    ('a selection that is not used', detection('  s: {A: x}\n  t: {A: y}\n  condition: s\n'), 'warning', 9, 'selection "t" is not in the condition', 'name it there'),
    ('an id twice', (HEAD + PLAIN + '---\n') * 2, 'error', 9, 'is taken by', 'give each rule its own'),
    ('an unknown type', counted('event_cuont', '  condition: {gte: 3}\n'), 'error', 16, '"type" of a correlation', 'must be event_count'),
    ('a timespan in words', CORRELATION + '  type: event_count\n  rules: [base]\n  timespan: 5 minutes\n  condition: {gte: 3}\n', 'error', 18, '"timespan" must be a number and a unit', 'as 15m'),
    ('no timespan', CORRELATION + '  type: event_count\n  rules: [base]\n  condition: {gte: 3}\n', 'error', 16, '"timespan" is missing', 'as 15m'),
    ('a rule that is not there', CORRELATION + '  type: event_count\n  timespan: 5m\n  rules: [bse]\n  condition: {gte: 3}\n', 'error', 18, 'the rule "bse" is not there', 'load it too'),
    ('no rules', CORRELATION + '  type: event_count\n  timespan: 5m\n  condition: {gte: 3}\n', 'error', 16, '"rules" is missing', 'by name or id'),
    ('no condition of a count', counted('event_count', ''), 'error', 16, '"condition" is missing', 'as {gte: 10}'),
    ('an unknown operator', counted('event_count', '  condition: {ge: 3}\n'), 'error', 19, 'unknown key "ge"', 'gt, gte, lt, lte'),
    ('a bound in words', counted('event_count', '  condition: {gte: many}\n'), 'error', 19, '"gte" must be a number', 'as 10'),
    ('a range that nothing is in', counted('event_count', '  condition: {gt: 10, lt: 5}\n'), 'warning', 19, 'never holds', 'above 10 and below 5'),
    ('a count below none', counted('event_count', '  condition: {lt: 0}\n'), 'warning', 19, 'never holds', 'a whole number, 0 or more'),
    ('a count between two', counted('value_count', '  condition: {gt: 2, lt: 3, field: x}\n'), 'warning', 19, 'never holds', 'a whole number'),
    ('more rules than are listed', counted('temporal', '  condition: {gte: 2}\n'), 'warning', 19, 'never holds', '1 are listed'),
    ('a count that each is', counted('event_count', '  condition: {gte: 0}\n'), 'warning', 19, 'always holds', 'gte: 1 is any'),
    ('a key misspelt', HEAD.replace('level: low', 'levle: low') + PLAIN, 'warning', 4, '"levle" means nothing', 'is "level" meant?'),
    ('a key of our own misspelt', HEAD + 'kuzet: {scpoe: all}\n' + PLAIN, 'warning', 7, '"scpoe" means nothing', 'is "scope" meant?'),
    ('a value_count of nothing', counted('value_count', '  condition: {gte: 3}\n'), 'error', 19, '"value_count" needs "field"', 'field: user.name'),
    ('a percentile of what', counted('value_percentile', '  condition: {gte: 3, field: x}\n'), 'error', 19, 'needs "percentile"', 'percentile: 95'),
    ('group-by misspelt', counted('event_count', '  groupby: [x]\n  condition: {gte: 3}\n'), 'warning', 19, '"groupby" in "correlation"', 'is "group-by" meant?'),
    ('an alias of a rule that is not there', counted('temporal', '  group-by: [ip]\n  aliases: {ip: {bsae: x}}\n'), 'error', 20, 'the alias "ip" names the rule "bsae"', 'mend the name'),
    ('a rule that is not listed', counted('temporal', '  condition: base and not other\n'), 'error', 19, 'the rule "other", which is not there', 'add it'),
    ('a circle', circle('a', 'b') + '---\n' + circle('b', 'a'), 'error', 15, 'refers to itself', 'must not make a circle'),
    ('a filter of nobody', HEAD.replace('level: low\n', '') + 'filter:\n  rules: [nobody]\n  s: {a: b}\n  condition: not s\n', 'warning', 7, 'names the rule "nobody"', 'mend the name'),
    ('a filter without a condition', HEAD.replace('level: low\n', '') + 'filter:\n  rules: any\n  s: {a: b}\n', 'error', 7, '"condition" is missing in "filter"', 'say which'),
]


def write_cases(folder):
    """A file each, with ids of its own."""
    for i, case in enumerate(CASES):
        text = case[1].replace('id: IDa', f'id: {i:08x}-0000-4000-8000-00000000000a').replace('id: IDb', f'id: {i:08x}-0000-4000-8000-00000000000b')
        text = text.replace('id: ID', f'id: {i:08x}-0000-4000-8000-000000000001').replace('id: BASE', f'id: {i:08x}-0000-4000-8000-000000000002')
        with open(os.path.join(folder, f'{i:03}.yml'), 'w', encoding='utf-8') as f:
            f.write(text.replace('name: base', f'name: base{i}').replace('[base]', f'[base{i}]').replace('condition: base ', f'condition: base{i} '))


def main():
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        write_cases(folder)
        for i in range(len(CASES)):
            # one at a time: the rules of one have no part in what is said of another
            path = os.path.join(folder, f'{i:03}.yml')
            run = tap.kuzetctl('rules', 'check', '--json', path, KUZET_CACHEDIR='')
            found[i] = [json.loads(x) for x in run.stdout.splitlines()][:-1]
    for i, (name, _, severity, line, reason, remedy) in enumerate(CASES):
        said = [x for x in found[i] if x['severity'] == severity and x['line'] == line and reason in x['message'] and remedy in x['message']]
        others = [x for x in found[i] if x['severity'] == 'error' and x not in said and 'mend that one first' not in x['message']]
        check(len(said) == 1 and not others and said[0]['file'].endswith(f'{i:03}.yml'), 'line, reason and remedy of ' + name, json.dumps(found[i], indent=1))
    return done()


if __name__ == '__main__':
    sys.exit(main())
