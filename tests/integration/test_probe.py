"""casbridge probe: the wire part on the lab. Methods one by one, RPC channels to their end, mail ports, TLS versions,
a wrong password that reaches no server, silence, and an interrupted run that keeps what was seen.
"""
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import pytest
from conftest import LAB, PROGRAM, clean_env, wait_for

sys.path.insert(0, str(LAB.parent))
from casbridge_lab.layout import PASSWORD  # noqa: E402


def env(password=PASSWORD):
    return {**clean_env(), 'PROBE_PASSWORD': password}


def probe(lab, *args, user='alice', code=0, password=PASSWORD):
    words = ['--user', user, '--password', 'env:PROBE_PASSWORD'] if user else []
    done = lab.run('--format', 'json', 'probe', *words, *args, env=env(password))
    assert done.code == code, done.err
    assert password not in done.out + done.err
    return done.json()['observations']


def by_step(observations, server, protocol=None):
    return {o['step']: o for o in observations if o['server'] == server and (protocol is None or o['protocol'] == protocol)}


def outcomes(steps):
    return {name: o['outcome'] for name, o in steps.items()}


def test_every_method_on_its_own(shared_lab):
    seen = probe(shared_lab, 'EX10NTLM', 'EXCAS01', '--protocol', 'oa')
    steps = by_step(seen, 'EX10NTLM', 'oa')
    assert outcomes(steps) == dict.fromkeys(
        ['challenge', 'logon-basic', 'logon-ntlm', 'logon-negotiate-ntlm', 'logon-negotiate',
         'echo-in', 'echo-out', 'rpc-6001', 'rpc-6002', 'rpc-6004'], 'ok')
    assert steps['logon-negotiate']['user'] == 'alice@CONTOSO.LAB'
    assert steps['logon-basic']['user'] == 'alice'
    for o in steps.values():
        assert o['elapsed_ms'] >= 0 and o['detail'] and o['subject'].startswith('https://ex10ntlm.contoso.lab/rpc/rpcproxy.dll')
    assert 'virtual connection in ' in steps['rpc-6001']['detail'] and '(EMSMDB)' in steps['rpc-6001']['detail']
    # Basic only: what a new CAS comes with is refused, what Outlook comes with works to the end
    steps = by_step(seen, 'EXCAS01', 'oa')
    assert outcomes(steps) == {'challenge': 'ok', 'logon-basic': 'ok', 'logon-negotiate': 'failed', 'echo-in': 'ok', 'echo-out': 'ok',
                               'rpc-6001': 'ok', 'rpc-6002': 'ok', 'rpc-6004': 'ok'}
    assert 'offers Basic only' in steps['logon-negotiate']['detail']


def test_the_text_has_each_server_once(shared_lab):
    done = shared_lab.run('probe', 'EXCAS01', 'E2K7CAS01', '--protocol', 'autodiscover', '--protocol', 'powershell', '--user', 'alice',
                          '--password', 'env:PROBE_PASSWORD', env=env())
    heads = [line for line in done.out.splitlines() if not line.startswith(' ')]
    assert heads == ['test user', 'EXCAS01', 'E2K7CAS01', 'by the domain']


def test_of_a_snapshot_only_what_is_asked_now(shared_lab, tmp_path):
    file = tmp_path / 'org.snapshot'
    assert shared_lab.run('snapshot', '-o', file, '--probe').code == 0
    done = shared_lab.run('--source', f'snapshot:{file}', '--format', 'json', 'probe', 'EXCAS01')
    assert {o['server'] for o in done.json()['observations']} == {'EXCAS01'}


def test_a_user_nobody_knows(shared_lab):
    done = shared_lab.run('probe', 'EXCAS01', '--user', 'nobody@contoso.lab')
    assert done.code == 0 and 'nobody@contoso.lab' in done.err and done.out.startswith('EXCAS01')
    assert shared_lab.run('probe', '--user', 'nobody@contoso.lab').code == 3


def test_the_xml_is_worded_as_the_analyzers(shared_lab):
    done = shared_lab.run('--format', 'xml', 'probe', 'EX10NTLM', '--protocol', 'oa', '--protocol', 'imap', '--user', 'alice', '--password',
                          'env:PROBE_PASSWORD', env=env())
    host = 'ex10ntlm.contoso.lab'
    said = {x.get('testdescription'): x.get('resultdescription') for x in ElementTree.fromstring(done.out.encode()).iter('testresult')}
    assert said[f"Testing TCP port 443 on host {host} to ensure it's listening and open."] == 'The port was opened successfully.'
    assert f"Testing TCP port 143 on host {host} to ensure it's listening and open." in said
    assert said[f'Attempting to ping RPC proxy {host} on the IN channel.'] == 'RPC Proxy was pinged successfully.'
    for port, what in ((6001, 'Mail Store'), (6002, 'Referral Service'), (6004, 'Address Book')):
        assert any(re.fullmatch(rf'Attempting to ping the MAPI {what} endpoint with identity: \S+:{port}\.', text) for text in said), port
    assert 'Testing the test user.' in said and 'Testing the password of alice at the KDC.' in said


def test_without_a_user_it_says_what_was_left_out(shared_lab):
    seen = by_step(probe(shared_lab, 'EX13CAS01', '--protocol', 'oa', user=None), 'EX13CAS01', 'oa')
    assert seen['logon-basic']['outcome'] == seen['logon-ntlm']['outcome'] == 'skipped'
    assert '--user' in seen['logon-basic']['detail']
    assert seen['logon-negotiate']['outcome'] == 'ok'  # by the ticket of the run
    assert seen['rpc']['outcome'] == 'skipped' and '--user' in seen['rpc']['detail']
    assert seen['healthcheck']['outcome'] == 'ok'


def test_a_wrong_password_reaches_no_server(shared_lab):
    log = shared_lab.dir / 'cas' / 'EXCAS01.log'
    before = len(log.read_text().splitlines())
    seen = probe(shared_lab, 'EXCAS01', '--protocol', 'oa', password='not it', code=5)
    login = next(o for o in seen if o['step'] == 'login')
    assert login['outcome'] == 'failed' and 'password' in login['detail'] and login['server'] is None
    steps = by_step(seen, 'EXCAS01', 'oa')
    assert steps['logon-basic']['outcome'] == 'skipped' and 'shown to no server' in steps['logon-basic']['detail']
    assert steps['challenge']['outcome'] == 'ok'
    assert wait_for(lambda: len(log.read_text().splitlines()) > before)
    assert [line.split()[-1] for line in log.read_text().splitlines()[before:]] == ['401']  # the anonymous one


def test_passwords_only_by_reference(shared_lab):
    done = shared_lab.run('probe', 'EXCAS01', '--user', 'alice', '--password', PASSWORD)
    assert done.code == 3 and 'file:PATH' in done.err and PASSWORD not in done.err
    done = shared_lab.run('probe', 'EXCAS01', '--password', 'ask')
    assert done.code == 2 and '--user' in done.err
    done = shared_lab.run('probe', 'EXCAS01', '--user', 'alice', '--password', 'ask')
    assert done.code == 7 and 'terminal' in done.err


def test_a_stopped_application_pool_proves_nothing(shared_lab):
    fault = shared_lab.dir / 'faults' / 'EX10NTLM'
    fault.write_text('http-503\n')
    try:
        steps = by_step(probe(shared_lab, 'EX10NTLM', '--protocol', 'oa'), 'EX10NTLM', 'oa')
        assert outcomes(steps) == {'challenge': 'failed'}
    finally:
        fault.unlink()


def test_mail_ports(shared_lab):
    seen = probe(shared_lab, 'EX10NTLM', 'EXCAS02', '--protocol', 'pop', '--protocol', 'imap')
    for protocol, plain, secure in (('pop', 110, 995), ('imap', 143, 993)):
        steps = {(o['step'], int(o['subject'].rpartition(':')[2])): o for o in seen if o['server'] == 'EX10NTLM' and o['protocol'] == protocol}
        assert {k: o['outcome'] for k, o in steps.items()} == dict.fromkeys(
            [('tcp', plain), ('banner', plain), ('capability', plain), ('starttls', plain), ('capability-tls', plain),
             ('tcp', secure), ('tls', secure), ('banner', secure), ('capability-tls', secure)], 'ok')
        assert 'Microsoft Exchange' in steps['banner', plain]['detail']
        assert 'no login before TLS' in steps['capability', plain]['detail']
        assert 'NTLM' in steps['capability-tls', plain]['detail']
        off = [o for o in seen if o['server'] == 'EXCAS02' and o['protocol'] == protocol]
        assert [o['outcome'] for o in off] == ['failed', 'failed'] and 'refused' in off[0]['detail']
    assert 'LOGINDISABLED' in next(o['detail'] for o in seen if o['step'] == 'capability' and o['protocol'] == 'imap')


def test_tls_versions(lab):
    before = by_step(probe(lab, 'EXCAS02', user=None), 'EXCAS02')
    assert before['tls']['versions_offered'] == ['TLSv1.2', 'TLSv1.3'] and before['tls']['client_certificate'] == 'no'
    assert before['tls-versions']['outcome'] == 'ok'
    lab.do('plant', 'old-tls')
    after = [o for o in probe(lab, user=None) if o['step'] == 'tls-versions' and o['outcome'] == 'failed']
    assert len(after) == 1 and after[0]['detail'].startswith('TLS 1.0, TLS 1.1 offered')


@pytest.fixture
def silent(shared_lab):
    fault = shared_lab.dir / 'faults' / 'EXCAS02'
    fault.write_text('http-silent\n')
    yield 'EXCAS02'
    fault.unlink()


def test_silence_costs_one_server_its_deadline(shared_lab, silent):
    began = time.monotonic()
    seen = probe(shared_lab, 'EXCAS01', 'EXCAS02', '--protocol', 'ews', code=6)
    assert time.monotonic() - began < 25  # 15 s a server, both at once
    steps = by_step(seen, 'EXCAS02')
    assert steps['tls']['outcome'] == 'ok' and steps['challenge']['outcome'] == 'error'
    assert by_step(seen, 'EXCAS01')['challenge']['outcome'] == 'ok'


def test_an_interrupted_run_keeps_what_was_seen(shared_lab, silent):
    p = subprocess.Popen([str(PROGRAM), '--config', str(shared_lab.config), '--profile', 'lab', 'probe', 'EXCAS01', 'EXCAS02',
                          '--protocol', 'ews'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_env())
    time.sleep(2)
    p.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, err = p.communicate(timeout=20)
    assert time.monotonic() - began < 5 and p.returncode == 130, err
    assert 'interrupted' in err
    assert 'EXCAS01\n' in out and 'EXCAS02\n' in out and '401, offers' in out


def test_time_for_the_whole_run(shared_lab, silent):
    began = time.monotonic()
    done = shared_lab.run('--timeout', '3', 'probe', 'EXCAS01', 'EXCAS02', '--protocol', 'ews', '--protocol', 'owa', '--protocol', 'eas')
    assert time.monotonic() - began < 6
    assert done.code in (4, 6), done.err  # the whole run's time, or a step's share of it, was over
    assert '401, offers' in done.out and 'no answer within' in done.out
