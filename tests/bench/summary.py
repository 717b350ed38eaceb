#!/usr/bin/python3
"""summary.py MAKE TARGET...: makes the targets one after the other, then says on one page which rows were reached and which missed.

A bench calls record() for each of its rows and finish() at its end. Exit status 1 when a row missed or a bench did not come to its end.
"""
import json
import os
import subprocess
import sys
import tempfile

FILE = 'BENCH_SUMMARY'
END = 'end'


def record(group, what, met, shown):
    """One row, for the page at the end; nothing when there is to be none."""
    _write([group, what, met, shown])


def finish():
    """Every row was measured. Without it the bench broke off, and rows are missing."""
    _write(END)


def _write(line):
    if FILE in os.environ:
        with open(os.environ[FILE], 'a', encoding='utf-8') as f:
            f.write(json.dumps(line) + '\n')


def main(make, targets):
    with tempfile.NamedTemporaryFile(prefix='casbridge-bench-', mode='r', encoding='utf-8') as file:
        env = {**os.environ, FILE: file.name}
        broken, rows = [], []
        for target in targets:
            print(f'\n==== {target}', flush=True)
            subprocess.run([make, '--no-print-directory', target], env=env, check=False)
            lines = [json.loads(line) for line in file.read().splitlines()]
            rows += [line for line in lines if line != END]
            broken += [target] if END not in lines else []
    print('\n==== summary')
    for group, what, met, shown in rows:
        print(f'  {"pass" if met else "MISS"}  {group[:44]:<45}{what[:44]:<45}{shown}')
    for target in broken:
        print(f'  {target} did not come to its end')
    missed = sum(not met for _, _, met, _ in rows)
    print(f'{len(rows) - missed} of {len(rows)} reached')
    return 1 if missed or broken else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2:]))
