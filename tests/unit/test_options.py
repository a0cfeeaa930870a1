#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The options of every command are the same in the program, in its --help, in its manual page and in its completion. Prints TAP."""
import glob
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '../lib'))
from tap import BUILD, TOP, check, done  # pylint: disable=wrong-import-position

# Asks the completion of a program, a line each: what is typed -> what is offered.
COMPLETE = r"""
source "$1"
while read -ra COMP_WORDS; do
	COMP_WORDS+=("$2")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	"$3"
	echo "${COMPREPLY[*]}"
done
"""
PROGRAMS = {'kuzetctl': 'kuzetctl.1', 'kuzet-agent': 'kuzet-agent.8', 'kuzet-collector': 'kuzet-collector.8'}
# Said once in the manual, of every command; and what --help need not say of itself.
EVERYWHERE = {'--json', '--help', '--config', '--socket', '--profile'}
# Manual pages that tell the options of one command where another one is told: COMMAND -> the sections that count.
TOLD_AT = {'rules explain': ['rules explain', 'rules match', 'rules check'], 'rules match': ['rules match', 'rules check'],
           'rules coverage': ['rules coverage', 'rules check'], 'rules replay': ['rules replay', 'rules check'], 'rules test': ['rules test', 'rules check'],
           'normalizers unparsed': ['normalizers unparsed', 'parse']}
OPTION = re.compile(r'(?<![\w-])--[a-z][a-z-]*')


def read(*path):
    with open(os.path.join(TOP, *path), encoding='utf-8') as f:
        return f.read()


def run(program, *arguments):
    env = dict(os.environ, KUZET_DATADIR=os.path.join(TOP, 'rules'), KUZET_CACHEDIR='', COLUMNS='80')
    r = subprocess.run([os.path.join(BUILD, program), *arguments], capture_output=True, text=True, env=env, check=False, stdin=subprocess.DEVNULL)
    return r.returncode, r.stdout, r.stderr


def completions(program, lines, current):
    function = '_' + program.replace('-', '_')
    script = os.path.join(os.path.abspath(TOP), 'packaging/completion', program + '.bash')
    with tempfile.TemporaryDirectory() as folder:  # no file is taken for a subcommand
        r = subprocess.run(['bash', '-c', COMPLETE, 'bash', script, current, function], input=''.join(x + '\n' for x in lines),
                           capture_output=True, text=True, check=True, cwd=folder)
    return [x.split() for x in r.stdout.split('\n')[:-1]]


def words(program, line):
    """What follows, that is no option: subcommands, if it has any."""
    return [x for x in completions(program, [line], '')[0] if re.fullmatch('[a-z]+(-[a-z]+)*', x)]


def commands(program):
    """Each as it is typed behind the program: '', 'status', 'rules check', ..."""
    found = [[]]
    for first in words(program, program):
        more = words(program, f'{program} {first}')
        found += [[first, x] for x in more] or [[first]]
    return found


def as_typed(page):
    """Options of mdoc(7) as they are typed."""
    text = re.sub(r'\bFl (Fl |-)', '--', page.replace('\\-', '-'))
    return re.sub(r' , -(?=[a-z])', ' , --', text)


def sections(text):
    """Title -> text, of .Ss and .Sh."""
    out = {}
    for part in re.split(r'^\.S[hs] ', text, flags=re.M)[1:]:
        title = part.split('\n', 1)[0]
        out[title] = out.get(title, '') + part
    return out


def told(page, command):
    """All options that the manual tells of a command."""
    wanted = TOLD_AT.get(command, [command])
    page = as_typed(page)
    text = page if command == '' else ''
    for title, part in sections(page).items():
        plain = re.split(r' [-[(]| O[op] | -| Ar | P[oq] ', ' ' + title + ' ')[0].strip()
        for want in wanted:
            first, _, second = want.partition(' ')
            if plain == want or title.startswith(want + ' ') or (title.startswith(first + ' ') and second and re.search(rf'\b{second}\b', title)):
                text += part
    return set(OPTION.findall(text))


def check_command(program, page, command, help_, offered):
    name = ' '.join([program, *command])
    in_help = set(OPTION.findall(help_))
    unknown = [x for x in offered if 'unrecognized option' in (said := run(program, *command, f'{x}=x' if x != '--help' else '--nothing')[2])
               and f"'{x}" in said]
    check(help_.startswith(('usage:', 'Usage:')) and not unknown, f'{name}: it takes what completion offers', f'{unknown} {help_}')
    check(not set(offered) - in_help - EVERYWHERE, f'{name}: --help tells what completion offers', set(offered) - in_help)
    told_here = told(page, ' '.join(command) if program == 'kuzetctl' else '')
    check(not set(offered) - told_here - EVERYWHERE, f'{name}: so does the manual page', set(offered) - told_here - EVERYWHERE)


def rows(help_):
    """The options that it lists, not those of other commands that it speaks of."""
    return {option for line in help_.splitlines() for option in OPTION.findall(line)[:1] if re.match(r'\s+(-\w, )?--', line)}


def check_program(program, manual):
    page = read('doc/man', manual)
    all_of = commands(program)
    offered = completions(program, [' '.join([program, *c]) for c in all_of], '--')
    helps = [run(program, *command, '--help')[1] for command in all_of]
    for command, options, help_ in zip(all_of, offered, helps):
        check_command(program, page, command, help_, options)
        if helps.count(help_) == 1:  # else it is of several commands
            missing = rows(help_) - set(options) - EVERYWHERE
            check(not missing, f'{" ".join([program, *command])}: completion offers what --help tells', missing)
    return {x for options in offered for x in options}


def options_of_sources(*folders):
    """The names in tables for getopt_long(3)."""
    found = {}
    for folder in folders:
        for path in glob.glob(os.path.join(TOP, folder, '**/*.[ch]'), recursive=True):
            with open(path, encoding='utf-8') as f:
                for name in re.findall(r'\{\s*"([a-z-]+)",\s*(?:no|required|optional)_argument', f.read()):
                    found.setdefault('--' + name, os.path.relpath(path, TOP))
    return found


def main():
    offered = {program: check_program(program, manual) for program, manual in PROGRAMS.items()}
    for program, folder in (('kuzetctl', 'ctl'), ('kuzet-agent', 'agent'), ('kuzet-collector', 'collector')):
        taken = options_of_sources(folder)
        missing = {x: where for x, where in taken.items() if x not in offered[program]}
        check(taken and not missing, f'{program}: completion offers every option that the sources name', missing)
    listed = re.findall(r'^  ([a-z]+) ', run('kuzetctl', '--help')[1], flags=re.M)
    check(sorted(listed) == sorted(words('kuzetctl', 'kuzetctl')), 'kuzetctl --help and completion know the same commands', listed)
    prose = {x for name in ('README.md', 'doc/ARCHITECTURE.md', 'doc/packs.md') for x in re.findall(r'(?:kuzetctl|kuzet-agent|kuzet-collector) [^`\n]*', read(name))}
    named = {x for line in prose for x in OPTION.findall(line)}
    check(named and not named - set().union(*offered.values()), 'what the README and other pages show is taken', named - set().union(*offered.values()))
    bounds = re.findall(r'^(?:CPU|IO|Memory|Tasks)\w+=\d\S*', read('packaging/systemd/kuzet-agent.service'), flags=re.M)
    page = read('doc/man/kuzet-agent.8')
    told = [x for x in bounds if re.search(re.escape(x) + r'(?!\w)', page)]
    check(len(bounds) > 3 and told == bounds, "the bounds of the agent's unit are those of its manual page", set(bounds) - set(told))
    return done()


if __name__ == '__main__':
    sys.exit(main())
