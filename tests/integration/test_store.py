"""One store for several admins: a real PostgreSQL, started here, and commands that meet on it."""
import glob
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from conftest import ORG, PROGRAM, casbridge, clean_env, wait_for

SECRET = 'correct-horse-battery'


def free_port():
    """Below the range that connections get theirs from: while the server is away nobody else may be given it."""
    while True:
        port = random.randint(15000, 31000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                continue


class Postgres:
    """A cluster in a folder, run as somebody who is not root, gone with the with block."""

    def __init__(self, folder):
        self.folder, self.data = folder, folder / 'data'
        self.bin = os.path.dirname(sorted(glob.glob('/usr/lib/postgresql/*/bin/initdb'))[-1])
        self.process = None
        self.port = free_port()
        self.databases = 0

    def demoted(self):
        if os.geteuid() != 0:
            return {}
        names = {p.pw_name for p in pwd.getpwall()}
        who = pwd.getpwnam('postgres' if 'postgres' in names else 'nobody')
        return {'user': who.pw_uid, 'group': who.pw_gid, 'extra_groups': []}

    def __enter__(self):
        who = self.demoted()
        self.folder.mkdir()
        if who:
            os.chown(self.folder, who['user'], who['group'])
        subprocess.run([f'{self.bin}/initdb', '-D', self.data, '-U', 'casbridge', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync',
                        '--no-instructions'], check=True, stdout=subprocess.DEVNULL, cwd='/', **who)
        (self.data / 'pg_hba.conf').write_text('host all keeper 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n')
        self.log = open(self.folder / 'log', 'w')
        self.start()
        self.sql(f"CREATE ROLE keeper LOGIN SUPERUSER PASSWORD '{SECRET}'")
        return self

    def start(self):
        """After a crash the last process of the old one may still hold its memory: then the new one ends at once, and is started again."""
        ready = [f'{self.bin}/pg_isready', '-q', '-h', '127.0.0.1', '-p', str(self.port)]
        until = time.monotonic() + 90
        while True:
            if self.process is None or self.process.poll() is not None:
                self.process = subprocess.Popen([f'{self.bin}/postgres', '-D', self.data, '-k', self.folder, '-h', '127.0.0.1', '-p', str(self.port),
                                                 '-c', 'fsync=off', '-c', 'shared_buffers=16MB', '-c', 'max_connections=40'],
                                                stdout=subprocess.DEVNULL, stderr=self.log, cwd='/', **self.demoted())
            if subprocess.run(ready).returncode == 0:
                return
            assert time.monotonic() < until, (self.folder / 'log').read_text()[-2000:]
            time.sleep(0.2)

    def stop(self, how=signal.SIGINT):
        self.process.send_signal(how)
        self.process.wait(timeout=30)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
        self.log.close()

    def sql(self, text, database='postgres'):
        done = subprocess.run([f'{self.bin}/psql', '-qAt', '-h', '127.0.0.1', '-p', str(self.port), '-U', 'casbridge', '-c', text, database],
                              capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.strip()

    def url(self, user='casbridge', database=None):
        if not database:
            self.databases += 1
            database = f'd{self.databases}'
            self.sql(f'CREATE DATABASE {database} TEMPLATE template0')
        return f'postgresql://{user}@127.0.0.1:{self.port}/{database}'


@pytest.fixture(scope='module')
def postgres():
    if not glob.glob('/usr/lib/postgresql/*/bin/initdb'):
        pytest.skip('no PostgreSQL is installed here')
    folder = pathlib.Path(tempfile.mkdtemp(prefix='casbridge-pg-'))     # pytest's own folders are closed to everybody else
    folder.chmod(0o755)
    try:
        with Postgres(folder / 'cluster') as server:
            yield server
    finally:
        shutil.rmtree(folder)


def use_store(lab, url, *more):
    """The lab's profile, with another store."""
    lines = [line for line in lab.config.read_text().splitlines() if not line.startswith('store')]
    at = lines.index('[lab]') + 1
    lab.config.write_text('\n'.join(lines[:at] + [f'store = {url}', *more] + lines[at:]) + '\n')


STARTED = []


@pytest.fixture(autouse=True)
def ended():
    """What a test that failed left at work."""
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.communicate()


def start(lab, *args, to=subprocess.PIPE):
    STARTED.append(subprocess.Popen([str(PROGRAM), '--config', str(lab.config), '--profile', 'lab', *map(str, args)], stdout=to,
                                    stderr=subprocess.PIPE, text=True, env=clean_env(), stdin=subprocess.DEVNULL))
    return STARTED[-1]


def holder(lab):
    return lab.json('store', 'status')['holder']


def test_two_admins_one_store(lab, postgres, tmp_path):
    use_store(lab, postgres.url())
    plan = tmp_path / 'plan.json'
    assert lab.run('plan', '-o', plan).code == 1
    shown = tmp_path / 'shown.jsonl'
    with open(shown, 'w') as f:
        following = start(lab, '--format', 'json', 'journal', '--follow', to=f)

    def seen():
        return [r for r in map(json.loads, shown.read_text().splitlines()) if r['run'] != '-']
    while not shown.read_text():                            # until it follows
        assert following.poll() is None
        assert lab.run('accept', 'kb3140410', '--reason', 'known').code == 0
    wait = lab.dir / 'faults' / json.loads(plan.read_text())['steps'][0]['server']
    wait.parent.mkdir(exist_ok=True)
    wait.write_text('ssh-delay 250\nwinrm-delay 250\n')     # until all of this was looked at
    first = start(lab, 'apply', plan, '--yes', ORG, '--reason', 'change 4711', '--parallel', '1', '--wave', '1')
    held = wait_for(lambda: holder(lab), seconds=120)
    assert held['pid'] == first.pid and 'change 4711' in held['reason'] and not held['ended']
    second = lab.run('apply', plan, '--yes', ORG)
    assert second.code == 7 and 'holds the lock' in second.err and 'change 4711' in second.err and str(first.pid) in second.err

    # the second admin sees it move while it moves, not only at its end
    assert wait_for(lambda: len(seen()) > 2, seconds=120) and first.poll() is None
    assert seen()[0]['phase'] == 'begin'
    run = seen()[0]['run']
    watching = start(lab, 'journal', run, '--follow')       # of that run: ends with it
    wait.unlink()
    out, err = first.communicate(timeout=180)
    assert first.returncode == 0, err
    text, err = watching.communicate(timeout=120)
    assert watching.returncode == 0, err
    for phase in ('capture', 'intent', 'result', 'reread', 'verify', 'done', 'end'):
        assert phase in text
    records = lab.json('journal', run)
    assert [int(n) for n in re.findall(r'^ *([0-9]+)  20', text, re.M)] == [r['id'] for r in records]
    assert wait_for(lambda: [r['id'] for r in seen()] == [r['id'] for r in records], seconds=120)
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=120)
    assert following.returncode == 130, err
    assert holder(lab) is None
    assert lab.json('journal', 'verify')['whole']


def test_holder_killed(lab, postgres, tmp_path):
    use_store(lab, postgres.url())
    plan = tmp_path / 'plan.json'
    assert lab.run('plan', '-o', plan).code == 1
    first = start(lab, '--format', 'json', 'apply', plan, '--yes', ORG, '--parallel', '1', '--wave', '1')
    assert wait_for(lambda: any(r['phase'] == 'intent' for run in lab.json('journal') for r in lab.json('journal', run['run'])))
    first.kill()
    first.wait()
    first.stdout.close()
    first.stderr.close()
    assert wait_for(lambda: holder(lab)['ended'], seconds=10)   # the server let go with its session
    run = lab.json('journal')[0]['run']
    done = lab.run('resume', run, '--yes', ORG, timeout=180)
    assert done.code == 0, done.err
    taken = lab.json('journal', '-')[0]
    assert taken['phase'] == 'lock' and 'has ended' in taken['detail']
    assert holder(lab) is None and lab.json('journal', 'verify')['whole']


def test_server_gone_in_mid_run(lab, postgres, tmp_path):
    use_store(lab, postgres.url())
    plan = tmp_path / 'plan.json'
    assert lab.run('plan', '-o', plan).code == 1
    first = start(lab, 'apply', plan, '--yes', ORG, '--parallel', '1', '--wave', '1')
    assert wait_for(lambda: any(r['phase'] == 'intent' for run in lab.json('journal') for r in lab.json('journal', run['run'])))
    try:
        postgres.stop(signal.SIGQUIT)                       # at once, as a crash
        out, err = first.communicate(timeout=120)
        assert first.returncode == 4 and 'casbridge: run ' in err and 'the store postgresql://' in err, err
        begun = time.monotonic()
        for command in (['journal'], ['store'], ['accept', 'list'], ['apply', plan, '--yes', ORG], ['journal', '--follow']):
            done = lab.run(*command)
            assert done.code == 4 and 'see that PostgreSQL runs' in done.err, (command, done.err)
        check = lab.run('check')
        assert check.code == 1 and 'accepted findings are not known' in check.err   # the rest of the work goes on
        assert time.monotonic() - begun < 60
    finally:
        postgres.start()
    journal = lab.json('journal', 'verify')
    assert journal['whole']
    run = lab.json('journal')[0]
    assert run['status'] in ('unfinished', 'interrupted')
    done = lab.run('resume', run['run'], '--yes', ORG, timeout=180)
    assert done.code == 0, done.err
    assert lab.run('plan', '-o', tmp_path / 'none.json').code == 0          # everything is as it should be


def test_copy_and_evidence(shared_lab, postgres, tmp_path):
    lab = shared_lab
    before = lab.config.read_text()
    first, second, third = f'sqlite:{tmp_path}/first.db', postgres.url(), f'sqlite:{tmp_path}/third.db'
    try:
        use_store(lab, first)
        assert lab.run('accept', 'certificate', '--reason', 'gone soon').code == 0
        checked = lab.json('check', '--probe')
        kept = lab.run('--format', 'json', 'check', '--kept')
        assert 'minutes ago' in kept.err

        def verdicts(c):
            return sorted((f['id'], f['server'] or '', f['severity']) for f in c['findings'])
        assert verdicts(kept.json()) == verdicts(checked)   # nobody was asked again
        assert verdicts(lab.json('check')) != verdicts(checked)

        done = lab.run('--format', 'json', 'store', 'copy', first, second)
        assert done.code == 0, done.err
        assert done.json()['records'] == 1 and done.json()['accepted'] == 1 and done.json()['evidence'] == 1
        assert lab.run('store', 'copy', second, third).code == 0
        again = lab.run('store', 'copy', first, second)
        assert again.code == 7 and 'not empty' in again.err
        assert lab.run('--read-only', 'store', 'copy', first, f'sqlite:{tmp_path}/x.db').code == 7
        hashes = []
        for store in (first, second, third):
            lab.config.write_text(before)
            use_store(lab, store)
            assert lab.json('journal', 'verify') == {'records': 1, 'whole': True, 'error': None}
            hashes.append(lab.json('journal', '-')[0]['hash'])
            assert lab.json('accept', 'list')[0]['reason'] == 'gone soon'
            assert verdicts(lab.json('check', '--kept')) == verdicts(checked)
            status = lab.json('store', 'status')
            assert status['evidence'][0]['organization'] == ORG and status['holder'] is None
        assert len(set(hashes)) == 1
    finally:
        lab.config.write_text(before)


def test_a_look_makes_nothing(postgres, tmp_path):
    """The address may be of the wrong database: looking into it, or copying from it, leaves nothing behind."""
    url = postgres.url()
    database = url.rsplit('/', 1)[1]
    config = tmp_path / 'config.ini'
    config.write_text(f'[p]\nstore = {url}\n')
    config.chmod(0o600)
    assert casbridge('--config', config, '--read-only', 'store').code == 3
    assert casbridge('--config', config, '--read-only', '--format', 'json', 'journal').json() == []
    assert casbridge('--config', config, '--read-only', '--format', 'json', 'accept', 'list').json() == []
    copied = casbridge('--config', config, 'store', 'copy', url, f'sqlite:{tmp_path}/copy.db')
    assert copied.code == 3 and 'no store yet' in copied.err
    assert not (tmp_path / 'copy.db').exists()
    assert postgres.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'casbridge'", database) == '0'
    assert casbridge('--config', config, 'store').code == 0


def test_passwords(postgres, tmp_path):
    config = tmp_path / 'config.ini'
    url = postgres.url(user='keeper')

    def run(store, *more, env=None):
        config.write_text('\n'.join(['[p]', f'store = {store}', *more]) + '\n')
        config.chmod(0o600)
        done = casbridge('--config', config, 'store', env={**clean_env(), **(env or {})})
        assert SECRET not in done.out + done.err
        return done

    refused = run(url.replace('keeper@', f'keeper:{SECRET}@'))
    assert refused.code == 3 and 'holds a password' in refused.err and 'store_password' in refused.err
    assert run(url).code == 5
    assert run(url, 'store_password = env:STORE_WORD', env={'STORE_WORD': 'wrong'}).code == 5
    good = run(url, 'store_password = env:STORE_WORD', env={'STORE_WORD': SECRET})
    assert good.code == 0 and 'postgresql, layout' in good.out
    passfile = tmp_path / 'pgpass'
    passfile.write_text(f'127.0.0.1:{postgres.port}:*:keeper:{SECRET}\n')
    passfile.chmod(0o600)
    assert run(url, env={'PGPASSFILE': str(passfile)}).code == 0
    assert run(url + '?sslmode=require', 'store_password = env:STORE_WORD', env={'STORE_WORD': SECRET}).code == 4
    assert run('postgresql://127.0.0.1:1/x?connect_timeout=2').code == 4
    assert run('mysql://h/x').code == 3


def test_password_goes_to_its_own_server(postgres, tmp_path):
    """store copy names stores freely; the profile's password goes to the server that the profile names, and to nobody else."""
    config, source = tmp_path / 'config.ini', f'sqlite:{tmp_path}/source.db'
    ours, there = postgres.url(user='keeper'), postgres.url(user='keeper')
    elsewhere = there.replace('127.0.0.1', 'localhost')         # the same server, but nobody could know
    config.write_text(f'[p]\nstore = {ours}\nstore_password = env:STORE_WORD\n')
    config.chmod(0o600)
    env = {**clean_env(), 'STORE_WORD': SECRET, 'OTHER_WORD': SECRET}
    plain = tmp_path / 'plain.ini'
    plain.write_text(f'[p]\nstore = {source}\n')
    plain.chmod(0o600)
    assert casbridge('--config', plain, 'store').code == 0

    def copy(*args):
        done = casbridge('--config', config, 'store', 'copy', *args, env=env)
        assert SECRET not in done.out + done.err
        return done
    refused = copy(source, elsewhere)
    assert refused.code == 5 and 'only for the server' in refused.err and '--to-password' in refused.err, refused.err
    refused = copy(elsewhere, source)
    assert refused.code == 5 and '--from-password' in refused.err
    refused = copy(source, there + '?sslmode=disable')          # its own server, but with less care
    assert refused.code == 5 and '--to-password' in refused.err
    plainly = copy(source, elsewhere, '--to-password', SECRET)
    assert plainly.code == 2 and 'no reference' in plainly.err
    assert postgres.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'casbridge'", there.rsplit('/', 1)[1]) == '0'
    assert copy(source, elsewhere, '--to-password', 'env:OTHER_WORD').code == 0
    assert copy(there, ours).code == 0                          # both on the profile's server
    assert copy(elsewhere, source, '--from-password', 'env:OTHER_WORD').code == 0


def test_tls(postgres, tmp_path):
    """What the address says about TLS is done: the server's name and authority are checked."""
    key, certificate, other = (postgres.data / 'server.key', postgres.data / 'server.crt', tmp_path / 'other.crt')
    for k, c in ((key, certificate), (tmp_path / 'other.key', other)):
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=db', '-addext',
                        'subjectAltName=IP:127.0.0.1', '-keyout', k, '-out', c], check=True, capture_output=True)
    ours = tmp_path / 'ca.crt'
    ours.write_bytes(certificate.read_bytes())
    who = postgres.demoted()
    for path in (key, certificate):
        path.chmod(0o600)
        if who:
            os.chown(path, who['user'], who['group'])
    postgres.sql('ALTER SYSTEM SET ssl = on')
    postgres.sql('SELECT pg_reload_conf()')
    url = postgres.url()
    try:
        assert wait_for(lambda: postgres.sql('SHOW ssl') == 'on', seconds=8), (postgres.folder / 'log').read_text()[-1500:]
        config = tmp_path / 'config.ini'

        def code(parameters):
            config.write_text(f'[p]\nstore = {url}?{parameters}\n')
            config.chmod(0o600)
            return casbridge('--config', config, 'store').code
        assert code(f'sslmode=verify-full&sslrootcert={ours}') == 0
        assert code(f'sslmode=verify-full&sslrootcert={other}') == 4
        assert code(f'sslmode=verify-full&sslrootcert={ours}&host=localhost&hostaddr=127.0.0.1') == 4     # another name
    finally:
        postgres.sql('ALTER SYSTEM RESET ssl')
        postgres.sql('SELECT pg_reload_conf()')


def test_no_answer(postgres, tmp_path):
    """A server whose processes are stopped says nothing at all."""
    config = tmp_path / 'config.ini'
    config.write_text(f'[p]\nstore = {postgres.url()}?connect_timeout=3\n')
    config.chmod(0o600)
    assert casbridge('--config', config, 'store').code == 0
    os.kill(postgres.process.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        done = casbridge('--config', config, 'store', timeout=60)
        assert done.code == 4 and 'see that PostgreSQL runs' in done.err, done.err
        assert time.monotonic() - begun < 20
    finally:
        os.kill(postgres.process.pid, signal.SIGCONT)
