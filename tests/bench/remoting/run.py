#!/usr/bin/python3
"""run.py [ROW...]: the bench of remoting and change. Each row prints its ratios, pass or MISS; exit 1 when one missed.

BENCH_ROUNDS (3) says how often each side is measured, BENCH_BUILD (build/release) what is measured.
"""
import os
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import apply  # noqa: E402,F401  rows register themselves
import psrp  # noqa: E402,F401
import ssh  # noqa: E402,F401
import wsman  # noqa: E402,F401
import summary  # noqa: E402
from bench import ROWS  # noqa: E402


def main(wanted):
    unknown = set(wanted) - {r.name for r in ROWS}
    if unknown:
        sys.exit(f'no row {", ".join(sorted(unknown))}; there are {", ".join(r.name for r in ROWS)}')
    missed = 0
    for one in ROWS:
        if wanted and one.name not in wanted:
            continue
        print(f'{one.name}: {one.work}, against {one.against}', flush=True)
        ratios, note = one.measure()
        for r in ratios:
            sign = '>=' if r.more else '<='
            print(f'    {r.what:8} {r.ours:9.3f} {r.unit} against {r.theirs:9.3f} {r.unit}   {r.ratio:5.2f}x   '
                  f'wanted {sign} {r.reach:.2f}x   {"pass" if r.reached else "MISS"}')
            summary.record(f'{one.name}: {one.work}', r.what, r.reached, f'{r.ratio:.2f}x, reach {r.reach:g}x')
            missed += not r.reached
        print(f'    {note}', flush=True)
    summary.finish()
    load = os.getloadavg()[0]
    print(f'load {load:.1f} on {os.cpu_count()} cores' + ('; others were at work' if load > os.cpu_count() + 1 else ''))
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
