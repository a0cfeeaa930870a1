#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the log formats say in ECS is what ECS 8 allows: the words of event.kind, event.category, event.type and event.outcome
(https://www.elastic.co/guide/en/ecs/8.17/ecs-category-field-values-reference.html), the types that go with a category,
addresses in .ip and numbers in .port.  Looks at what each format can set and at the events of all samples, which
`kuzetctl normalizers test` compares with real ones.  Prints TAP."""
import glob
import ipaddress
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '../lib'))
from tap import TOP, check, done  # pylint: disable=wrong-import-position

ALLOWED = {
    'event.kind': 'alert asset enrichment event metric pipeline_error signal state',
    'event.category': 'api authentication configuration database driver email file host iam intrusion_detection library malware '
                      'network package process registry session threat vulnerability web',
    'event.type': 'access admin allowed change connection creation deletion denied device end error group indicator info '
                  'installation protocol start user',
    'event.outcome': 'failure success unknown',
}
LISTS = ('event.category', 'event.type')
# The types that ECS expects of each category; of several categories each has its own.
TYPES = {
    'api': 'access admin allowed change creation deletion denied end info start user',
    'authentication': 'start end info',
    'configuration': 'access change creation deletion info',
    'database': 'access change info error',
    'driver': 'change end info start',
    'email': 'info',
    'file': 'access change creation deletion info',
    'host': 'access change end info start',
    'iam': 'admin change creation deletion group info user',
    'intrusion_detection': 'allowed denied info',
    'library': 'start',
    'malware': 'info',
    'network': 'access allowed connection denied end info protocol start',
    'package': 'access change deletion info installation start',
    'process': 'access change end info start',
    'registry': 'access change creation deletion',
    'session': 'start end info',
    'threat': 'indicator',
    'vulnerability': 'info',
    'web': 'access error info',
}


def listed(value):
    return value if isinstance(value, list) else [value]


def wrong_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return True
    return False


def wrong_pair(name, value):
    """Why a field may not have this value; None: it may."""
    if name in ALLOWED:
        unknown = [str(v) for v in listed(value) if str(v) not in ALLOWED[name].split()]
        if unknown:
            return f'{name} has no {", ".join(unknown)}'
        if name in LISTS and not isinstance(value, list):
            return f'{name} is a list'
    if name.endswith('.ip') and any(wrong_address(str(v)) for v in listed(value)):
        return f'{name} is an address, not {value}'
    if name.endswith('.port') and not all(isinstance(v, int) and 0 <= v <= 65535 for v in listed(value)):
        return f'{name} is a number of 16 bits, not {value!r}'
    return None


def wrong_types(fields):
    """Why these types do not go with these categories; None: they do."""
    categories, types = (listed(fields.get(name, [])) for name in LISTS)
    allowed = ' '.join(TYPES.get(c, '') for c in categories).split()
    alien = [t for t in types if t not in allowed]
    return f'no {", ".join(alien)} of {", ".join(categories)}' if categories and alien else None


def flat(fields, above=''):
    """The pairs of an event that is written nested, dotted, or both."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from flat(value, f'{above}{name}.')
        else:
            yield above + str(name), value


def constants(node):
    """The maps of every `set` of a format."""
    for name, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if name == 'set' and isinstance(value, dict):
            yield value
        elif name != 'samples':
            yield from constants(value)


def looked_up(form, fields):
    """What lookups put into fields that have words of their own; a value as the line has it is no such word."""
    for targets in fields.values():
        for target in listed(targets):
            to = target if isinstance(target, str) else target.get('to') if isinstance(target, dict) else None
            if to in ALLOWED:
                words = form.get('lookups', {}).get(target.get('lookup')) if isinstance(target, dict) else None
                yield from ((to, [w] if to in LISTS else w) for w in (words or {'': "the line's own words"}).values())


def findings(form):
    """(where, why) of all that ECS does not know."""
    base = dict(flat(form.get('set') or {}))
    for pairs in constants({n: v for n, v in form.items() if n != 'cases'}):
        yield 'set', wrong_types({**base, **dict(flat(pairs))})
    for pairs in constants(form):
        for name, value in flat(pairs):
            yield 'set', wrong_pair(name, value)
    for name, value in looked_up(form, form.get('fields') or {}):
        yield 'lookups', wrong_pair(name, value)
    for sample in form.get('samples') or []:
        event = dict(flat(sample['event']))
        yield sample['line'][:60], wrong_types(event)
        for name, value in event.items():
            yield sample['line'][:60], wrong_pair(name, value)


try:
    import yaml
except ImportError:
    print('1..0 # SKIP no python3-yaml')
    sys.exit(0)

check(wrong_pair('event.category', ['auth']) and wrong_pair('event.type', 'start') and wrong_pair('source.ip', 'a') and
      wrong_pair('source.port', '22') and not wrong_pair('event.type', ['start']), 'words that ECS does not have are seen')
check(wrong_types({'event.category': ['email'], 'event.type': ['denied']}) and
      not wrong_types({'event.category': ['email', 'network'], 'event.type': ['info', 'denied']}),
      'types that ECS does not expect of a category are seen')
for path in sorted(glob.glob(os.path.join(TOP, 'rules/normalizers/*.yml'))):
    with open(path, encoding='utf-8') as file:
        bad = [f'{where}: {why}' for where, why in findings(yaml.load(file, getattr(yaml, 'CSafeLoader', yaml.SafeLoader))) if why]
    check(not bad, f'{os.path.basename(path)} says what ECS allows', '\n'.join(bad[:10]))
done()
