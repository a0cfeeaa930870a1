# SPDX-License-Identifier: Apache-2.0
"""What the tests in Python that have many checks share: TAP, and kuzetctl."""

import os
import subprocess

TOP = os.environ.get('top_srcdir', os.path.join(os.path.dirname(__file__), '../..'))
BUILD = os.environ.get('top_builddir', TOP)

counts = {'checks': 0, 'failed': 0}


def check(ok, name, remark=''):
    counts['checks'] += 1
    print(f'{"ok" if ok else "not ok"} {counts["checks"]} - {name}')
    if not ok:
        counts['failed'] += 1
        for line in str(remark).splitlines()[:40]:
            print('#', line[:2000])


def done():
    """The plan; what main() returns."""
    print(f'1..{counts["checks"]}')
    return 1 if counts['failed'] else 0


def kuzetctl(*arguments, **environment):
    env = dict(os.environ, KUZET_DATADIR=os.path.join(TOP, 'rules'), **environment)
    return subprocess.run([os.path.join(BUILD, 'kuzetctl'), *arguments], capture_output=True, text=True, env=env, check=False)
