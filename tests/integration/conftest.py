"""What the integration tests share: the program, and a lab of one's own that is taken down whatever happens."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import pytest

ENGINE_TMP = tempfile.mkdtemp(prefix='cb-')  # short: PowerShell's engine makes a socket there, which stays when it is killed
os.environ['DOTNET_EnableDiagnostics'] = '0'  # PowerShell's engine would leave sockets in the temporary folder
ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / os.environ.get('CASBRIDGE', 'build/release/casbridge')
SHARED = pathlib.Path(os.environ.get('CASBRIDGE_SHARED', ROOT.parent / 'shared'))
LAB = ROOT / 'tests/lab/lab'
ORG = 'Contoso'


def pytest_sessionfinish():
    shutil.rmtree(ENGINE_TMP, ignore_errors=True)


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)


def clean_env():
    """Nothing of the caller's Kerberos, configuration or locale: the profile must be enough."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(('KRB5', 'XDG_', 'LDAP'))}
    env.update(LC_ALL='C.UTF-8', HOME='/proc/nonexistent', ASAN_OPTIONS='abort_on_error=0:detect_leaks=1', TERM='dumb')
    return env


def casbridge(*args, timeout=120, input=None, env=None):
    done = subprocess.run([str(PROGRAM), *map(str, args)], capture_output=True, text=True, timeout=timeout, input=input,
                          env=env or clean_env(), stdin=subprocess.DEVNULL if input is None else None)
    assert 'Sanitizer' not in done.stderr and 'runtime error' not in done.stderr, done.stderr
    return Result(done)


class Lab:
    def __init__(self, directory):
        self.dir = pathlib.Path(directory)

    def do(self, *args, check=True):
        return subprocess.run([str(LAB), *args, '--dir', str(self.dir)], capture_output=True, text=True, timeout=60, check=check)

    @property
    def config(self):
        return self.dir / 'config.ini'

    def run(self, *args, **kw):
        return casbridge('--config', self.config, '--profile', 'lab', *args, **kw)

    def json(self, *args, **kw):
        return self.run('--format', 'json', *args, **kw).json()

    def value(self, key):
        return re.search(rf'^{re.escape(key)} *= *(.*)$', self.config.read_text(), re.M).group(1)

    def address(self, host):
        return self.value(f'host.{host}.contoso.lab').rsplit(':', 1)


@pytest.fixture
def lab(tmp_path):
    """A fresh organisation for one test."""
    made = Lab(tmp_path / 'lab')
    made.do('up')
    try:
        yield made
    finally:
        made.do('down')


@pytest.fixture(scope='module')
def shared_lab(tmp_path_factory):
    """One organisation for tests that only look."""
    made = Lab(tmp_path_factory.mktemp('lab') / 'lab')
    made.do('up')
    try:
        yield made
    finally:
        made.do('down')


class Proxy:
    """The engine in batch, until the with block ends."""

    def __init__(self, lab, *args):
        self.args = [str(PROGRAM), '--config', str(lab.config), '--profile', 'lab', 'proxy', '--listen', '127.0.0.1:0', *map(str, args)]

    def __enter__(self):
        self.process = subprocess.Popen(self.args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_env())
        line = self.process.stderr.readline()
        found = re.search(r'listening on 127\.0\.0\.1:(\d+)', line)
        if not found:
            self.process.kill()
            raise AssertionError(line + self.process.stderr.read())
        self.port, self.fingerprint = int(found.group(1)), line.rsplit(' ', 1)[-1].strip()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.out, self.err = self.process.communicate(timeout=30)
        assert 'Sanitizer' not in self.err, self.err
        self.code = self.process.returncode

    def curl(self, path, *args, host='mail.contoso.lab'):
        """HTTP status and body of a request through the engine."""
        done = subprocess.run(['curl', '-sk', '--max-time', '20', '--connect-to', f'{host}:443:127.0.0.1:{self.port}', '-w', '\n%{http_code}',
                               *args, f'https://{host}{path}'], capture_output=True, text=True, timeout=40, env=clean_env())
        body, _, status = done.stdout.rpartition('\n')
        return int(status), body


def wait_for(what, seconds=20, every=0.1):
    """Until what() is true; its value."""
    until = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > until:
            return value
        time.sleep(every)
