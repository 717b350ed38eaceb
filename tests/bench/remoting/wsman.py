"""One command through WinRM, sealed, 200 times: the program's transport beside python3-winrm, with the lab's listener as the server."""
import configparser
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

from bench import BUILD, ROOT, Ratio, row

COMMANDS, FRESH, TURN = 200, 40, 20     # so many on each side with one login, with one for each; so many at once
LAB, PASSWORD = ROOT / 'tests/lab/lab', 'Passw0rd!lab'
SERVER, FQDN, PORT = 'EXCAS01', 'excas01.contoso.lab', 10985
# python3-winrm's NTLM wants MD4, which OpenSSL 3 keeps in a provider that nobody loads by itself
LEGACY = 'openssl_conf = o\n[o]\nproviders = p\n[p]\ndefault = d\nlegacy = l\n[d]\nactivate = 1\n[l]\nactivate = 1\n'


class Client:
    """One process that runs commands when told to; the server knows nothing of which."""

    def __init__(self, argv, env, first=None):
        self.ms, self.cpu_ms = [], 0.0
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        if first is not None:
            self._say(json.dumps(first))

    def _say(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f'{self.process.args[0]} ended with {self.process.wait()}')
        return line

    def turn(self, how, n, counts=True):
        self._say(f'{how} {n}')
        done = json.loads(self.hear())
        assert len(done['ms']) == n
        if counts:
            self.ms += done['ms']
            self.cpu_ms += done['cpu_ms']

    @property
    def latency(self):
        return statistics.median(self.ms)

    @property
    def cpu(self):
        return self.cpu_ms / len(self.ms)

    def end(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Ground:
    """A lab of our own, and both sides' settings for it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.lab = self.folder / 'lab'
        ini = configparser.ConfigParser(interpolation=None)
        ini.read(self.lab / 'config.ini')
        self.config = ini['lab']
        self.hosts = {k[5:]: v.rpartition(':')[0] for k, v in self.config.items() if k.startswith('host.') and '/' not in k}
        (self.folder / 'openssl.cnf').write_text(LEGACY)

    def ours(self, auth):
        lines = {k: v for k, v in self.config.items() if not k.startswith('winrm_')}
        lines.update(winrm_url=f'http://{{fqdn}}:{PORT}/wsman', winrm_auth=auth)
        if auth == 'ntlm':
            (self.folder / 'password').write_text(PASSWORD)
            (self.folder / 'password').chmod(0o600)
            lines.update(winrm_user='CONTOSO\\admin', winrm_password=f'file:{self.folder}/password')
        config = self.folder / f'{auth}.ini'
        config.write_text('[bench]\n' + ''.join(f'{k} = {v}\n' for k, v in lines.items()))
        config.chmod(0o600)
        env = {k: v for k, v in os.environ.items() if not k.startswith('KRB5')}
        client = Client([BUILD / 'tests/bench/remoting/winrm', config, 'winrm', SERVER, FQDN], env)
        client.line = client.hear().strip()
        return client

    def theirs(self, line):
        options = dict(transport='ntlm', message_encryption='always', username='CONTOSO\\admin', password=PASSWORD)
        first = dict(url=f'http://{FQDN}:{PORT}/wsman', hosts=self.hosts, server=SERVER, line=line, options=options)
        env = {**os.environ, 'OPENSSL_CONF': str(self.folder / 'openssl.cnf')}
        return Client(['/usr/bin/python3', '-B', pathlib.Path(__file__).with_name('pywinrm.py')], env, first)

    def operations(self):
        done = subprocess.run([LAB, 'shells', '--dir', self.lab], capture_output=True, text=True, check=True)
        here = json.loads(done.stdout)[SERVER]
        assert here['shells'] == [], 'a shell was left open'
        return sum(here['operations'].values())


@contextlib.contextmanager
def ground():
    folder = tempfile.mkdtemp(prefix='casbridge-bench-')
    try:
        subprocess.run([LAB, 'up', '--dir', f'{folder}/lab'], stdout=subprocess.DEVNULL, check=True)
        yield Ground(folder)
    finally:
        subprocess.run([LAB, 'down', '--dir', f'{folder}/lab'], stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(folder)


def in_turns(g, clients, how, commands):
    """Each client's commands in turns; how many operations each of them came to at the server, a command."""
    for client in clients:
        client.ms, client.cpu_ms = [], 0.0
        client.turn(how, 2, counts=False)     # modules and files read, pages there
    before, posts = g.operations(), [0] * len(clients)
    for _ in range(commands // TURN):
        for i, client in enumerate(clients):
            client.turn(how, TURN)
            after = g.operations()
            posts[i] += after - before
            before = after
    return [p / commands for p in posts]


@row('winrm', f'one command through WinRM, NTLM, sealed, x{COMMANDS}, one login kept by both sides', 'python3-winrm')
def winrm():
    with ground() as g, contextlib.ExitStack() as stack:
        def started(client):
            stack.callback(client.end)
            return client

        ours = started(g.ours('ntlm'))
        theirs, kerberos = started(g.theirs(ours.line)), started(g.ours('kerberos'))
        clients = [ours, theirs, kerberos]
        posts = in_turns(g, clients, 'kept', COMMANDS)
        ratios = [Ratio('CPU', ours.cpu, theirs.cpu, 0.15, 'ms'), Ratio('latency', ours.latency, theirs.latency, 0.5, 'ms')]
        # what a client that takes no time at all would wait for this server: no ratio can be better
        least = (ours.latency - ours.cpu) / theirs.latency
        notes = [f'a command: {posts[0]:.1f} operations against {posts[1]:.1f}; the server alone takes {ours.latency - ours.cpu:.1f} ms of ours, '
                 f'so that no client gets below {least:.2f}x of that latency',
                 f'by Kerberos (python3-winrm of Debian cannot seal with it): {kerberos.cpu:.3f} ms of CPU, {kerberos.latency:.1f} ms']
        in_turns(g, clients, 'fresh', FRESH)
        notes.append(f'a fresh login for each of {FRESH}: CPU {ours.cpu:.3f} ms against {theirs.cpu:.3f} ({ours.cpu / theirs.cpu:.2f}x), latency '
                     f'{ours.latency:.1f} ms against {theirs.latency:.1f} ({ours.latency / theirs.latency:.2f}x); by Kerberos {kerberos.cpu:.3f} ms '
                     f'of CPU')
    return ratios, '\n    '.join(notes)
