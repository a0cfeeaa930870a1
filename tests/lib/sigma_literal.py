# SPDX-License-Identifier: Apache-2.0
"""Sigma read literally: a second evaluator of detection rules, for tests to compare the engine with.

Deliberately simple and its own: it reads the YAML of rules and of rules/taxonomy itself and shares no line of code with
rules/engine.  No index, no automaton: every selection of every rule is looked at, value by value.  What it decides where the
specification (v2.1.0) is open is what kuzet-rules(5) says.
"""
import base64
import datetime
import ipaddress
import json
import re

import yaml

LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
ANY, ONE, DASH = 'any', 'one', 'dash'  # what a pattern holds besides characters
DASHES = '-/\u2013\u2014\u2015'


class Refused(Exception):
    """The rule cannot be evaluated, and why."""


# ---- YAML, as the 1.2 core schema has it -------------------------------------------------------------------------------

class Number(str):
    """A number that is not written as events have it; `other` is the second of the two."""
    other = ''


def plain(node):
    """A node as Python's: lists, maps in their order, None for a plain null; everything else is text."""
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return {key.value: plain(value) for key, value in node.value}
    if node.style in (None, '') and node.value in ('', '~', 'null', 'Null', 'NULL'):
        return None
    if node.style in (None, '') and re.fullmatch('0x[0-9a-fA-F]+|0o[0-7]+|[-+]?[0-9]+', node.value):
        number = Number(int(node.value, 0 if node.value[1:2] in ('x', 'o') else 10))
        number.other = node.value
        return number
    if node.style in (None, '') and re.fullmatch(r'[-+]?(\.[0-9]+|[0-9]+\.[0-9]*([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)', node.value):
        number = Number(node.value)
        number.other = '%.15g' % float(node.value)
        return number
    return node.value


def documents(path):
    with open(path, encoding='utf-8') as text:
        return [plain(node) for node in yaml.compose_all(text, Loader=LOADER)]


# ---- letters ---------------------------------------------------------------------------------------------------------------

def fold(text):
    """Unicode's simple case folding: a character becomes one character."""
    if text.isascii():
        return text.lower()
    out = []
    for c in text:
        folded = c.casefold() if len(c.casefold()) == 1 else c.lower()
        out.append(folded if len(folded) == 1 else c)
    return ''.join(out)


def fold_name(name):
    return ''.join(chr(ord(c) + 32) if 'A' <= c <= 'Z' else c for c in name if c != ' ')


# ---- patterns ----------------------------------------------------------------------------------------------------------------

def read_pattern(text):
    """A list of characters, [ANY] and [ONE]; a backslash escapes only *, ? and itself."""
    out, i = [], 0
    while i < len(text):
        c = text[i]
        if c == '\\' and i + 1 < len(text) and text[i + 1] in '*?\\':
            out.append(text[i + 1])
            i += 1
        elif c == '*':
            out.append([ANY])
        elif c == '?':
            out.append([ONE])
        else:
            out.append(c)
        i += 1
    return out


def is_word(item):
    return isinstance(item, str) and (item == '_' or item.isalnum())


def dashed(pattern):
    """A dash that begins an option is any of five."""
    out = []
    for i, item in enumerate(pattern):
        before = i > 0 and is_word(pattern[i - 1])
        after = i + 1 < len(pattern) and is_word(pattern[i + 1])
        out.append([DASH] if isinstance(item, str) and item in DASHES and not before and after else item)
    return out


def text_of(pattern, modifier):
    if any(not isinstance(item, str) for item in pattern):
        raise Refused(f'wildcard with {modifier}')
    return ''.join(pattern)


def glob_regex(pattern, cased):
    words = {ANY: '.*', ONE: '.', DASH: f'[{re.escape(DASHES)}]'}
    return re.compile(''.join(words[item[0]] if isinstance(item, list) else re.escape(item if cased else fold(item)) for item in pattern),
                      re.DOTALL)


def glob(pattern, cased):
    """A function of a text (folded, unless `cased`): whether the whole of it is like the pattern."""
    if any(isinstance(item, list) and item[0] != ANY for item in pattern):
        compiled = glob_regex(pattern, cased)
        return lambda text: compiled.fullmatch(text) is not None
    parts = ['']
    for item in pattern:
        if isinstance(item, list):
            parts.append('')
        else:
            parts[-1] += item
    if not cased:
        parts = [fold(part) for part in parts]
    if len(parts) == 1:
        return lambda text: text == parts[0]

    def like(text):
        if not text.startswith(parts[0]):
            return False
        at = len(parts[0])
        for part in parts[1:-1]:
            found = text.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        return len(text) - at >= len(parts[-1]) and text.endswith(parts[-1])
    return like


# ---- values of a rule --------------------------------------------------------------------------------------------------------

def offsets(data):
    """What base64 makes of the bytes wherever they stand in a longer text."""
    for i in range(3):
        whole = base64.b64encode(b' ' * i + data).decode()
        inner = whole[(0, 2, 3)[i]:(None, -3, -2)[(len(data) + i) % 3]]
        if not inner:
            raise Refused('too short for base64offset')
        yield inner


TIME = re.compile(r'(\d{4})[-/](\d\d)[-/](\d\d)(?:[Tt ](\d\d):(\d\d))?', re.ASCII)
NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?', re.ASCII)
COMPARE = {'lt': lambda a, b: a < b, 'lte': lambda a, b: a <= b, 'gt': lambda a, b: a > b, 'gte': lambda a, b: a >= b,
           None: lambda a, b: a == b}


def time_part(text, part):
    found = TIME.match(text)
    if found is None:
        return None
    year, month, day = (int(found[i]) for i in (1, 2, 3))
    try:
        date = datetime.date(year, month, day)
    except ValueError:
        return None
    if part in ('minute', 'hour'):
        return int(found[5 if part == 'minute' else 4]) if found[4] else None
    return {'day': day, 'week': date.isocalendar()[1], 'month': month, 'year': year}[part]


def in_network(text, network):
    try:
        address = ipaddress.ip_address(text.split('%')[0])
    except ValueError:
        return False
    if address.version == 6 and address.ipv4_mapped is not None and network.version == 4:
        address = address.ipv4_mapped
    return address.version == network.version and address in network


MODIFIERS = {'all', 'startswith', 'endswith', 'contains', 'exists', 'cased', 'neq', 'windash', 're', 'i', 'm', 's', 'ignorecase',
             'multiline', 'dotall', 'base64', 'base64offset', 'utf16le', 'utf16be', 'utf16', 'wide', 'lt', 'lte', 'gt', 'gte', 'minute',
             'hour', 'day', 'week', 'month', 'year', 'cidr', 'expand', 'fieldref'}
WIDE = {'wide': 'utf-16-le', 'utf16le': 'utf-16-le', 'utf16be': 'utf-16-be'}
FLAGS = {'i': re.IGNORECASE, 'ignorecase': re.IGNORECASE, 'm': re.MULTILINE, 'multiline': re.MULTILINE, 's': re.DOTALL, 'dotall': re.DOTALL}


def compile_text(value, modifiers):
    """The test of a text value under text modifiers, applied from left to right."""
    variants = [read_pattern(value)]
    if isinstance(value, Number) and not set(modifiers) - {'neq', 'all'}:
        variants.append(read_pattern(value.other))
    for modifier in modifiers:
        if modifier == 'windash':
            variants = [dashed(p) for p in variants]
        elif modifier in ('contains', 'startswith', 'endswith'):
            head = [] if modifier == 'startswith' else [[ANY]]
            tail = [] if modifier == 'endswith' else [[ANY]]
            variants = [head + p + tail for p in variants]
        elif modifier in WIDE:
            variants = [list(text_of(p, modifier).encode(WIDE[modifier]).decode('latin-1')) for p in variants]
        elif modifier == 'utf16':
            variants = [list((b'\xff\xfe' + text_of(p, modifier).encode('utf-16-le')).decode('latin-1')) for p in variants]
        elif modifier in ('base64', 'base64offset'):
            wide = any(m in WIDE or m == 'utf16' for m in modifiers)
            data = [text_of(p, modifier).encode('latin-1' if wide else 'utf-8') for p in variants]
            variants = [list(text) for d in data for text in (offsets(d) if modifier == 'base64offset' else [base64.b64encode(d).decode()])]
    cased = 'cased' in modifiers
    likes = [glob(p, cased) for p in variants]
    if cased:
        return lambda value, event: any(like(value.text) for like in likes)
    return lambda value, event: any(like(value.folded()) for like in likes)


def compile_fieldref(other, modifiers):
    cased = 'cased' in modifiers

    def test(value, event):
        for o in event.values(other):
            a, b = (value.text, o.text) if cased else (value.folded(), o.folded())
            if 'contains' in modifiers:
                good = b in a
            elif 'startswith' in modifiers:
                good = a.startswith(b)
            elif 'endswith' in modifiers:
                good = a.endswith(b)
            else:
                good = a == b
            if good:
                return True
        return False
    return test


def compile_value(value, modifiers):
    """A function of (a value of the event, the event)."""
    part = next((m for m in modifiers if m in ('minute', 'hour', 'day', 'week', 'month', 'year')), None)
    compare = COMPARE[next((m for m in modifiers if m in ('lt', 'lte', 'gt', 'gte')), None)]
    if 're' in modifiers:
        flags = re.ASCII if value.isascii() else 0
        for m in modifiers:
            flags |= FLAGS.get(m, 0)
        compiled = re.compile(value, flags)
        return lambda v, event: compiled.search(v.text) is not None
    if 'cidr' in modifiers:
        network = ipaddress.ip_network(value, strict=False)
        return lambda v, event: in_network(v.text, network)
    if 'fieldref' in modifiers:
        return compile_fieldref(value, modifiers)
    if part is not None:
        number = float(value)
        return lambda v, event: (got := time_part(v.text, part)) is not None and compare(got, number)
    if any(m in modifiers for m in ('lt', 'lte', 'gt', 'gte')):
        number = float(value)
        return lambda v, event: (got := v.number()) is not None and compare(got, number)
    return compile_text(value, modifiers)


# ---- selections --------------------------------------------------------------------------------------------------------------

def compile_item(key, values, placeholders):
    """A function of an event: whether FIELD|MODIFIER... : VALUES holds."""
    field, *modifiers = key.split('|')
    unknown = [m for m in modifiers if m not in MODIFIERS]
    if unknown:
        raise Refused(f'unknown modifier {unknown[0]}')
    values = values if isinstance(values, list) else [values]
    if 'expand' in modifiers:
        values = [text for v in values for text in expand(v, placeholders)]
    if 'exists' in modifiers:
        return lambda event: event.has(field) == (values[0].lower() == 'true')
    if values == [None]:
        return lambda event: (not event.values(field)) != ('neq' in modifiers)
    if field == '' and 're' not in modifiers and 'contains' not in modifiers:
        modifiers = modifiers + ['contains']  # a keyword is sought within the text
    tests = [compile_value(v, [m for m in modifiers if m not in ('all', 'neq', 'expand')]) for v in values]

    def holds(event):
        seen = event.values(field) if field else event.keywords()
        results = (any(test(v, event) for v in seen) for test in tests)
        if 'neq' in modifiers:
            return not any(results)
        return all(results) if 'all' in modifiers else any(results)
    return holds


def expand(value, placeholders):
    names = re.findall(r'(?<!\\)%([^%]+)%', value)
    if not names:
        return [value]
    if names[0] not in placeholders:
        raise Refused(f'placeholder %{names[0]}%')
    return [text for v in placeholders[names[0]] for text in expand(value.replace(f'%{names[0]}%', v, 1), placeholders)]


def compile_selection(body, placeholders):
    if isinstance(body, dict):
        items = [compile_item(key, values, placeholders) for key, values in body.items()]
        return lambda event: all(item(event) for item in items)
    if isinstance(body, list):
        alternatives = [compile_selection(item, placeholders) for item in body]
        return lambda event: any(alternative(event) for alternative in alternatives)
    return compile_item('', body, placeholders)


# ---- conditions: or, and, not, N of, (), from the weakest -----------------------------------------------------------------------

TOKEN = re.compile(r'\s*([()]|[^\s()]+)')


class Condition:
    def __init__(self, text, names):
        self.tokens = TOKEN.findall(text)
        self.names = names
        self.used = set()
        self.tree = self.any()
        if self.tokens:
            raise Refused(f'"{self.tokens[0]}" is too much')

    def word(self):
        return self.tokens[0].lower() if self.tokens else None

    def any(self):
        terms = [self.every()]
        while self.word() == 'or':
            self.tokens.pop(0)
            terms.append(self.every())
        return lambda event: any(term(event) for term in terms)

    def every(self):
        terms = [self.no()]
        while self.word() == 'and':
            self.tokens.pop(0)
            terms.append(self.no())
        return lambda event: all(term(event) for term in terms)

    def no(self):
        if self.word() == 'not':
            self.tokens.pop(0)
            term = self.no()
            return lambda event: not term(event)
        return self.one()

    def one(self):
        if not self.tokens:
            raise Refused('the condition ends too early')
        token = self.tokens.pop(0)
        if token == '(':
            term = self.any()
            if not self.tokens or self.tokens.pop(0) != ')':
                raise Refused('not closed')
            return term
        if self.word() == 'of' and (token.isdigit() or token.lower() in ('all', 'any')):
            self.tokens.pop(0)
            return self.some(token.lower(), self.tokens.pop(0))
        self.used.add(token)
        if token not in self.names:
            raise Refused(f'no selection {token}')
        return self.names[token]

    def some(self, number, pattern):
        if pattern.lower() == 'them':
            chosen = [name for name in self.names if not name.startswith('_')]
        else:
            compiled = re.compile('.*'.join(re.escape(part) for part in pattern.split('*')))
            chosen = [name for name in self.names if compiled.fullmatch(name)]
        terms = [self.names[name] for name in chosen]
        needed = {'all': len(terms), 'any': 1}.get(number) or int(number)
        return lambda event: sum(1 for term in terms if term(event)) >= needed


# ---- events ------------------------------------------------------------------------------------------------------------------

class Value:
    """A scalar of an event: its text, and its number if it is one."""

    def __init__(self, value):
        self.value = value
        self.lower = None
        if isinstance(value, bool):
            self.text = 'true' if value else 'false'
        elif isinstance(value, float):
            self.text = '%.15g' % value
        elif isinstance(value, (list, dict)):
            self.text = compact(value)
        else:
            self.text = str(value)

    def folded(self):
        if self.lower is None:
            self.lower = fold(self.text)
        return self.lower

    def number(self):
        if isinstance(self.value, (int, float)) and not isinstance(self.value, bool):
            return float(self.value)
        return float(self.text) if NUMBER.fullmatch(self.text) else None


def compact(value):
    """JSON as the events of a test are written, so that both sides see the same text."""
    return json.dumps(value, ensure_ascii=False, separators=(',', ':'))


class Event:
    """Flat: (name, values that are not null), found by each name a rule may use."""

    def __init__(self, obj, taxonomy):
        self.taxonomy = taxonomy
        self.fields = {}  # name as the event has it -> values
        self.names = {}   # folded name -> names as the event has them
        self.found = {}
        self.flatten('', obj)
        for name in self.fields:
            for spelt in taxonomy.spellings(name):
                self.names.setdefault(spelt, []).append(name)

    def flatten(self, prefix, obj):
        for key, value in obj.items():
            if isinstance(value, dict) and value:
                self.flatten(prefix + key + '.', value)
                continue
            scalars = value if isinstance(value, list) else [value]
            if any(isinstance(v, (list, dict)) for v in scalars):
                scalars = [value]
            self.fields[prefix + key] = [Value(v) for v in scalars if v is not None]

    def look(self, field):
        """(whether the field is there, its values)"""
        if field in self.found:
            return self.found[field]
        chosen = []
        for name in [field] + self.taxonomy.fields.get(fold_name(field), []):
            chosen += [n for n in self.names.get(fold_name(name), []) if n not in chosen]
        values = [v for name in chosen for v in self.fields[name]]
        there = bool(chosen)
        derived = self.taxonomy.derived.get(fold_name(field))
        if derived:
            members = [m for v in self.values(derived['from']) for m in member(v.text, derived['key'])]
            values += [Value(m) for m in members]
            there = there or bool(members)
        self.found[field] = there, values
        return self.found[field]

    def values(self, field):
        return self.look(field)[1]

    def has(self, field):
        return self.look(field)[0]

    def keywords(self):
        """The line of a text log; else every value, but not what stands as the line."""
        line = ''.join(v.text for v in self.fields.get('event.original', [])[:1])
        is_text = line.lstrip(' ')[:1] not in ('', '{', '<')
        return [v for name, values in self.fields.items() if (name == 'event.original') == is_text for v in values]


def member(text, key):
    """KEY's of "KEY=VALUE, ..."; the first."""
    for one in text.split(','):
        name, equals, value = one.lstrip(' ').partition('=')
        if equals and name.lower() == key.lower():
            return [value]
    return []


# ---- taxonomy ------------------------------------------------------------------------------------------------------------------

PARTS = ('product', 'category', 'service')


class Taxonomy:
    def __init__(self, paths):
        self.entries, self.fields, self.prefixes, self.derived, self.generic = [], {}, [], {}, {}
        self.spelt = {}
        for path in paths:
            for section, body in documents(path)[0].items():
                if section == 'logsources':
                    self.entries += [({p: e[p] for p in PARTS if p in e}, compile_selection(e['where'], {})) for e in body]
                elif section == 'fields':
                    for name, others in body.items():
                        self.fields.setdefault(fold_name(name), []).extend(others)
                elif section == 'prefixes':
                    self.prefixes += [re.compile('[^.]*'.join(re.escape(fold_name(p)) for p in prefix.split('*')) + r'\.') for prefix in body]
                elif section == 'derived':
                    self.derived.update({fold_name(name): how for name, how in body.items()})
                elif section == 'generic':
                    self.generic.update(body)

    def spellings(self, name):
        """All names under which rules may mean a field of an event."""
        if name not in self.spelt:
            folded = fold_name(name)
            found = [folded]
            for prefix in self.prefixes:
                head = prefix.match(folded)
                if head and head.end() < len(folded):
                    found.append(folded[head.end():].replace('.#attributes.', '_', 1))
            self.spelt[name] = list(dict.fromkeys(found))
        return self.spelt[name]

    def route(self, logsource):
        """Conditions that events of a logsource fulfil: the entries that say most of it."""
        missing = {p for p in PARTS if logsource.get(p)}
        conditions = []
        while missing:
            best = None
            for parts, where in self.entries:
                fits = missing & set(parts) and all(logsource.get(p) == v for p, v in parts.items())
                if fits and (best is None or len(parts) >= len(best[0])):
                    best = parts, where
            if best is not None:
                conditions.append(best[1])
                missing -= set(best[0])
                continue
            part = min(missing, key=PARTS.index)
            conditions.append(compile_selection(self.generic[part], {'value': [logsource[part]]}))
            missing.remove(part)
        return conditions


# ---- rules -----------------------------------------------------------------------------------------------------------------------

class Rule:
    def __init__(self, document, placeholders):
        detection = dict(document['detection'])
        conditions = detection.pop('condition')
        detection.pop('timeframe', None)
        names = {name: compile_selection(body, placeholders) for name, body in detection.items()}
        trees = [Condition(text, names).tree for text in (conditions if isinstance(conditions, list) else [conditions])]
        self.id = document.get('id', document['title'])
        self.holds = lambda event: any(tree(event) for tree in trees)


class Rules:
    """All detection rules of some files, in groups of one logsource."""

    def __init__(self, paths, taxonomy, placeholders=None):
        self.taxonomy = taxonomy
        self.groups = {}
        self.refused = {}
        self.n = 0
        for path in paths:
            for document in documents(path):
                self.add(document, placeholders or {})

    def add(self, document, placeholders):
        logsource = {p: document['logsource'][p].lower() for p in PARTS if document['logsource'].get(p)}
        key = tuple(logsource.get(p) for p in PARTS)
        try:
            rule = Rule(document, placeholders)
        except Refused as why:
            self.refused[document.get('id', document['title'])] = str(why)
            return
        if key not in self.groups:
            self.groups[key] = self.taxonomy.route(logsource), []
        self.groups[key][1].append(rule)
        self.n += 1

    def matches(self, obj):
        """The ids of the rules that match an event (as json.loads() has it)."""
        event = Event(obj, self.taxonomy)
        return {rule.id for route, rules in self.groups.values() if all(term(event) for term in route) for rule in rules if rule.holds(event)}
