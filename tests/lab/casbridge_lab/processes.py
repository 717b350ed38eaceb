"""Starts, recognises and ends the lab's processes.

A process is known by its pid and its start time: pids are used again, and a command line proves nothing. What
a daemon starts itself (an sshd's sessions) is found by descent, and by a mark in the environment that only we
set.
"""
import os
import signal
import subprocess
import time

from .layout import LabError

MARK = 'CASBRIDGE_LAB_DAEMON'
SBIN = '/usr/sbin:/sbin:/usr/local/sbin'


def search_path():
    return os.environ.get('PATH', '/usr/bin:/bin') + ':' + SBIN


def start_time(pid):
    """Clock ticks from boot to the start of pid; None where there is none such, or only its zombie."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as f:
            fields = f.read().rpartition(')')[2].split()
    except OSError:
        return None
    return None if fields[0] == 'Z' else int(fields[19])


def _parents():
    parents = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open(f'/proc/{name}/stat', encoding='utf-8', errors='replace') as f:
                    parents[int(name)] = int(f.read().rpartition(')')[2].split()[1])
            except (OSError, IndexError):
                pass
    return parents


class Processes:
    def __init__(self, lab):
        self.lab = lab
        self.folder = lab.path('run')
        self.children = {}  # name: Popen, of those this very process started

    def _pid_file(self, name):
        return os.path.join(self.folder, name + '.pid')

    def output_file(self, name):
        return self.lab.path('log', name + '.out')

    def environment(self, **extra):
        env = {
            'PATH': search_path(),
            'LC_ALL': 'C.UTF-8',
            'HOME': os.environ.get('HOME', '/'),
            MARK: self.lab.dir,
        }
        env.update(extra)
        return env

    def start(self, name, argv, env=None, stdin=subprocess.DEVNULL, pass_fds=()):
        """Runs argv as daemon name, in a session of its own, its output in DIR/log/NAME.out."""
        if self.alive(name):
            raise LabError(f'{name} already runs')
        with open(self.output_file(name), 'wb') as out:
            try:
                child = subprocess.Popen(
                    argv,
                    env=env or self.environment(),
                    stdin=stdin,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                    pass_fds=pass_fds,
                    cwd='/',
                )
            except OSError as e:
                raise LabError(f'cannot start {argv[0]}: {e.strerror}') from None
        with open(self._pid_file(name), 'w', encoding='utf-8') as f:
            f.write(f'{child.pid} {start_time(child.pid) or 0}\n')
        self.children[name] = child
        return child

    def recorded(self):
        """Names of all daemons that were started and not yet stopped."""
        try:
            return sorted(f[:-4] for f in os.listdir(self.folder) if f.endswith('.pid'))
        except FileNotFoundError:
            return []

    def pid(self, name):
        """The pid of the daemon if it still is ours, else None."""
        try:
            with open(self._pid_file(name), encoding='utf-8') as f:
                pid, began = map(int, f.read().split())
        except (OSError, ValueError):
            return None
        return pid if start_time(pid) == began else None

    def alive(self, name):
        return self.pid(name) is not None

    def last_words(self, name, lines=12):
        try:
            with open(self.output_file(name), encoding='utf-8', errors='replace') as f:
                return '\n'.join(f.read().splitlines()[-lines:])
        except OSError:
            return ''

    def wait_until(self, name, ready, seconds=10.0):
        """Waits until ready() is true; a daemon that dies or stays silent is a LabError with its last
        words.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            child = self.children.get(name)
            if (child and child.poll() is not None) or (not child and not self.alive(name)):
                raise LabError(f'{name} ended while starting:\n{self.last_words(name)}')
            if time.monotonic() > deadline:
                raise LabError(f'{name} does not answer after {seconds:.0f} s:\n{self.last_words(name)}')
            time.sleep(0.01)

    # ---- ending

    def _family(self, roots):
        """roots and all their descendants, and every process that carries our mark; never ourselves."""
        parents = _parents()
        mark = f'{MARK}={self.lab.dir}'.encode()
        found = set(roots)
        for pid in parents:
            ancestor, line = pid, []
            while ancestor > 1 and ancestor not in found:
                line.append(ancestor)
                ancestor = parents.get(ancestor, 0)
            if ancestor in found:
                found.update(line)
        for pid in parents:
            try:
                with open(f'/proc/{pid}/environ', 'rb') as f:
                    if mark in f.read().split(b'\0'):
                        found.add(pid)
            except OSError:
                pass
        found.discard(os.getpid())
        return {pid: start_time(pid) for pid in found}

    def stop(self, names=None):
        """Ends the named daemons (default: all) with what they started."""
        whole = names is None
        names = self.recorded() if whole else names
        roots = [pid for pid in map(self.pid, names) if pid]
        for _ in range(5):  # what was being started meanwhile is seen the next time
            family = self._family(roots) if whole else self._descendants(roots)
            family = {pid: began for pid, began in family.items() if began is not None}
            if not family:
                break
            self._end(family)
        for name in names:
            try:
                os.unlink(self._pid_file(name))
            except FileNotFoundError:
                pass
            child = self.children.pop(name, None)
            if child:
                child.wait()

    def _end(self, family):
        """TERM, and KILL after three seconds."""
        for sig, seconds in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 2.0)):
            for pid, began in family.items():
                if start_time(pid) == began:
                    try:
                        os.kill(pid, sig)
                    except ProcessLookupError:
                        pass
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                for child in self.children.values():
                    child.poll()
                family = {pid: began for pid, began in family.items() if start_time(pid) == began}
                if not family:
                    break
                time.sleep(0.01)
        if family:
            raise LabError(f'processes that will not end: {" ".join(map(str, family))}')

    def _descendants(self, roots):
        parents, found = _parents(), set(roots)
        grew = True
        while grew:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            found |= more
            grew = bool(more)
        found.discard(os.getpid())
        return {pid: start_time(pid) for pid in found}


def run(argv, env=None, stdin=None, what=None):
    """One short command; a failure is a LabError with what it said."""
    try:
        done = subprocess.run(
            argv, env=env, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    except OSError as e:
        raise LabError(f'cannot run {argv[0]}: {e.strerror}') from None
    if done.returncode != 0:
        words = done.stdout.decode(errors='replace').strip()[-2000:]
        raise LabError(f'{what or os.path.basename(argv[0])} failed ({done.returncode}): {words}')
    return done.stdout
