"""The engine against independent clients and servers: the acceptance test of rpc-over-http.md section 1, logons that lock nobody out,
the engine's own identity, dead servers, reload under traffic."""
import concurrent.futures
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import SHARED, Proxy, clean_env, wait_for

PROBE = SHARED / 'bench/proxy/src/rpcprobe.py'
PASSWORD = 'Passw0rd!lab'
LOCKOUT_THRESHOLD = 10   # of the lab's domain
ECHO = ('-X', 'RPC_IN_DATA', '--data-binary', 'ABCD')


def basic(user, password=PASSWORD):
    return '--basic', '-u', f'{user}:{password}'


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def probed(port):
    done = subprocess.run([sys.executable, '-B', str(PROBE), 'probe', '127.0.0.1', str(port), 'x'], capture_output=True, text=True, timeout=60)
    return dict(line.split('\t')[1:3] for line in done.stdout.splitlines())


def timeless(text):
    """Delays differ and connection numbers do; what is said does not."""
    text = re.sub(r"after [\d.]+ m?s|after [\d.]+s|\(\d+ ms\)|head [\d.]+s|\[[\d. ]+\]|'\d+'", '_', text)
    return re.sub(r'\(\d+\.\d+, (\d+)\)', r'(_, \1)', text)


@pytest.fixture
def backend(tmp_path):
    """rpcprobe's own server: behaves like rpcproxy, holds connection-bound logons."""
    if not PROBE.exists():
        pytest.skip(f'{PROBE} is not there')
    shutil.copytree(PROBE.parent, tmp_path / 'kit/src')
    (tmp_path / 'kit/conf').mkdir()
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=proxylab.test',
                    '-keyout', tmp_path / 'kit/conf/key.pem', '-out', tmp_path / 'kit/conf/cert.pem'], check=True, capture_output=True)
    port = free_port()
    server = subprocess.Popen([sys.executable, '-B', str(tmp_path / 'kit/src/rpcprobe.py'), 'serve', str(port), '100'])
    try:
        assert wait_for(lambda: socket.socket().connect_ex(('127.0.0.1', port)) == 0)
        yield port
    finally:
        server.kill()
        server.wait()


def test_relay_reads_as_direct(shared_lab, backend):
    direct = probed(backend)
    with Proxy(shared_lab, '--upstream', f'https://127.0.0.1:{backend}', '--upstream-insecure') as proxy:
        through = probed(proxy.port)
    assert {k: timeless(v) for k, v in through.items()} == {k: timeless(v) for k, v in direct.items()}
    assert 'PINNED' in through['conn-bound auth']
    delays = [float(d) for d in re.search(r'delays ms \[(.*)\]', through['rpc_in 1GiB']).group(1).split()]
    assert len(delays) == 4 and max(delays) < 200
    assert proxy.code == 0


def failed_logons(lab, user):
    return sum(user in line and 'PREAUTH_FAILED' in line for line in (lab.dir / 'log/kdc.log').read_text().splitlines())


def test_wrong_passwords_lock_nobody_out(lab, tmp_path):
    events = tmp_path / 'events'
    with Proxy(lab, '--arrive', 'EX13CAS01', '--events', events) as proxy:
        path = '/rpc/rpcproxy.dll?ex10ntlm.contoso.lab:6001'
        assert proxy.curl(path, *ECHO, *basic('erin@contoso.lab'))[0] == 200
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for status, _ in pool.map(lambda i: proxy.curl(path, *ECHO, *basic('erin', f'guess{i}')), range(24)):
                assert status == 401
        asked = failed_logons(lab, 'erin')
        assert 0 < asked <= LOCKOUT_THRESHOLD - 2
        # one client that repeats itself is not asked for again either
        for _ in range(5):
            assert proxy.curl(path, *ECHO, *basic('carol', 'old'))[0] == 401
        assert failed_logons(lab, 'carol') == 1
        # and who was right stays welcome, whatever others tried
        assert proxy.curl(path, *ECHO, *basic('erin@contoso.lab'))[0] == 200
    text = events.read_text()
    assert PASSWORD not in text and 'guess' not in text
    assert any('not locked' in (r['error'] or '') for r in rows(events))


def test_own_identity(lab, tmp_path):
    events = tmp_path / 'events'
    keytab = lab.value('engine_keytab')
    with Proxy(lab, '--arrive', 'EX13CAS01', '--upstream-auth', f'keytab:{keytab}', '--events', events) as proxy:
        for user in ('erin@contoso.lab', 'CONTOSO\\erin'):
            assert proxy.curl('/rpc/rpcproxy.dll?ex10ntlm.contoso.lab:6001', *ECHO, *basic(user))[0] == 200
        assert proxy.curl('/rpc/rpcproxy.dll?ex10ntlm.contoso.lab:6001', *ECHO, *basic('erin', 'wrong'))[0] == 401
    assert [r['status'] for r in rows(events)] == [200, 200, 401]
    log = (lab.dir / 'cas/EX10NTLM.log').read_text()
    assert 'ex13cas01$@contoso.lab 200' in log.lower() and 'erin' not in log


def test_dead_server(lab, tmp_path):
    events = tmp_path / 'events'
    lab.do('cas-stop', 'EXCAS01')
    with Proxy(lab, '--arrive', 'EX13CAS01', '--events', events) as proxy:
        status, body = proxy.curl('/EWS/Services.wsdl', *basic('alice@contoso.lab'))
        assert status in (404, 503), body
    assert rows(events)[0]['error']


def test_anonymous_and_bound_logons(shared_lab, tmp_path):
    with Proxy(shared_lab, '--arrive', 'EX13CAS01') as proxy:
        done = subprocess.run(['curl', '-sk', '-D', '-', '-o', '/dev/null', f'https://127.0.0.1:{proxy.port}/EWS/Exchange.asmx'], capture_output=True,
                              text=True, timeout=30, env=clean_env())
        assert ' 401 ' in done.stdout and 'WWW-Authenticate: Basic realm="ex13cas01.contoso.lab"' in done.stdout
        status, body = proxy.curl('/EWS/Exchange.asmx', '-H', 'Authorization: Negotiate YIIabc')
        assert status == 401 and 'delegation' in body
        assert proxy.curl('/owa/healthcheck.htm')[0] == 200
        assert proxy.curl('/nothing', *basic('alice@contoso.lab'))[0] == 404


def test_reload_under_traffic(lab, tmp_path):
    events = tmp_path / 'events'
    with Proxy(lab, '--arrive', 'EX13CAS01', '--threads', '2', '--events', events) as proxy:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(proxy.curl, '/EWS/Services.wsdl', *basic(f'{u}@contoso.lab')) for u in ('alice', 'erin', 'dave') * 6]
            for _ in range(4):
                proxy.process.send_signal(signal.SIGHUP)
                time.sleep(0.3)
            assert {job.result()[0] for job in jobs} == {302}   # to the service's description
    assert proxy.code == 0
    assert len(rows(events)) == 18
