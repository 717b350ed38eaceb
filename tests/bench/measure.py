"""Runs commands in turn and says how they compare: pairs in one run, so that a machine that gets slower gets slower for both."""
import os
import statistics
import subprocess
from typing import NamedTuple

import ground
import summary

WIDTH = 112


class Taken(NamedTuple):
    wall: float  # seconds
    cpu: float
    peak: float  # MiB, of the largest process


class Command:
    """One side: arguments, environment, and the file its output goes to (a file, as grep stops at the first match otherwise)."""

    def __init__(self, argv, env, output=os.devnull, codes=(0,)):
        self.argv, self.env, self.output, self.codes = argv, env, output, codes

    def run(self, folder):
        figures = os.path.join(folder, 'figures')
        errors = os.path.join(folder, 'errors')
        with open(self.output, 'wb') as out, open(errors, 'wb') as err:
            subprocess.run(
                [ground.built('tests/bench/meter'), figures, *self.argv],
                env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, check=True,
            )
        with open(figures, encoding='ascii') as f:
            wall, user, system, peak, code = f.read().split()
        if int(code) not in self.codes:
            with open(errors, encoding='utf-8', errors='replace') as f:
                raise RuntimeError(f'{" ".join(self.argv[:6])} ...: exit status {code}\n{f.read()[-1500:]}')
        return Taken(float(wall), float(user) + float(system), int(peak) / 1024)


def alternate(commands, folder, runs):
    """A warm-up of each, then runs rounds in which each has its turn, the order reversed every time: a list of Taken for each."""
    taken = [[] for _ in commands]
    for command in commands:
        command.run(folder)
    for n in range(runs):
        order = list(enumerate(commands))
        for i, command in order if n % 2 == 0 else reversed(order):
            taken[i].append(command.run(folder))
    return taken


def spread(values, unit, digits=0):
    low, mid, high = min(values), statistics.median(values), max(values)
    return f'{mid:.{digits}f} {unit} ({low:.{digits}f}-{high:.{digits}f})'


def ms(values):
    return spread([v * 1000 for v in values], 'ms')


class Table:
    """The rows as they come, and what was missed at the end."""

    def __init__(self):
        self.rows = self.missed = 0
        self.section = ''

    def title(self, text):
        self.section = text
        print(f'\n{text}', flush=True)

    def note(self, text):
        print(f'    {text}', flush=True)

    def row(self, what, value, reach, shown, detail=''):
        met = value <= reach
        self.rows += 1
        self.missed += not met
        print(f'  {"pass" if met else "MISS"}  {what:<44} {shown:<30} {detail}', flush=True)
        summary.record(self.section, what, met, shown)

    def ratio(self, what, ours, theirs, reach):
        """Figures of the same rounds, ours against theirs."""
        ratios = [a / b for a, b in zip(ours, theirs)]
        mid = statistics.median(ratios)
        shown = f'{mid:.2f}x ({min(ratios):.2f}-{max(ratios):.2f}), reach {reach:g}x'
        self.row(what, mid, reach, shown, f'{ms(ours)} : {ms(theirs)}')

    def peak(self, taken, reach):
        values = [t.peak for t in taken]
        mid = statistics.median(values)
        self.row('peak memory', mid, reach, f'{mid:.1f} MiB, reach {reach:g} MiB')

    def end(self):
        print(f'\n{self.rows - self.missed} of {self.rows} reached')
        summary.finish()
