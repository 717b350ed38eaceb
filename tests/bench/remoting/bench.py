"""What a row of the bench is made of: its name, what it is measured against, its ratios and how far each may go.

A row is a function with @row in a module of this folder that run.py imports; it measures both sides in the same run, in turns, and
returns its ratios. A ratio that misses is said so and makes the run fail; nothing is measured once and believed.
"""
import os
import pathlib
import resource
import statistics
import subprocess
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = ROOT / os.environ.get('BENCH_BUILD', 'build/release')
PROGRAM = BUILD / 'casbridge'
ROUNDS = int(os.environ.get('BENCH_ROUNDS', '3'))
ROWS = []


class Ratio(NamedTuple):
    what: str       # wall, CPU, latency ...
    ours: float     # in the unit of `unit`
    theirs: float
    reach: float    # at most this; with more=True at least
    unit: str = 's'
    more: bool = False

    @property
    def ratio(self):
        return self.ours / self.theirs if self.theirs else float('inf')

    @property
    def reached(self):
        return self.ratio >= self.reach if self.more else self.ratio <= self.reach


class Row(NamedTuple):
    name: str
    work: str
    against: str
    measure: object


def row(name, work, against):
    """Registers a function of no arguments that returns (ratios, note)."""
    def add(function):
        ROWS.append(Row(name, work, against, function))
        return function
    return add


class Used(NamedTuple):
    wall: float
    cpu: float      # user and system, of the process and all it waited for
    out: str


def run(argv, stdin=None, env=None):
    """A program to its end: what it took. A failure is no measurement."""
    began = time.monotonic()
    with subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as child:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        out, err = child.communicate(stdin)
        wall = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if child.returncode:
        raise RuntimeError(f'{argv[0]} ended with {child.returncode}: {err.strip()[-500:]}')
    return Used(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, out)


def in_turns(ours, theirs, rounds=ROUNDS):
    """Both sides in turns, so that a neighbour on the machine disturbs both; the medians."""
    a, b = [], []
    for _ in range(rounds):
        a.append(ours())
        b.append(theirs())
    def middle(all_, field):
        return statistics.median(getattr(one, field) for one in all_)
    return tuple(Used(middle(x, 'wall'), middle(x, 'cpu'), x[-1].out) for x in (a, b))
