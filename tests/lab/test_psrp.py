"""Exchange's /PowerShell/ in the lab, with PowerShell's own client in front of it: once served by PowerShell's own
engine, once by the lab's few lines of Python. Both must look the same to that client.
"""
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

import pytest
from conftest import HERE, LabUnderTest, lab_command

IDENTITY = 'EXCAS01\\Rpc (Default Web Site)'
CASES = [
    {'command': 'Get-OutlookAnywhere', 'parameters': {'Server': 'EXCAS01'}},
    {'command': 'Get-ExchangeServer', 'parameters': {}},
    {'command': 'Get-OutlookAnywhere', 'parameters': {'Identity': 'nope'}},
    {'command': 'Get-NoSuchThing', 'parameters': {'Identity': 'x'}},
    {'command': 'Set-OutlookAnywhere', 'parameters': {'Identity': IDENTITY, 'IISAuthenticationMethods': ['Basic', 'Ntlm']}},
    {'command': 'Set-OutlookAnywhere', 'parameters': {'Identity': IDENTITY, 'IISAuthenticationMethods': ['Basic', 'Ntlm']}},
    {'command': 'Set-OutlookAnywhere', 'parameters': {'Identity': IDENTITY, 'SSLOffloading': True}},
    {'command': 'Set-OutlookAnywhere', 'parameters': {'Identity': IDENTITY, 'NoSuch': '1'}},
    {'script': 'Get-OutlookAnywhere -Server EXCAS01'},
    {'script': '$x = 1'},
    {'command': 'Get-OutlookAnywhere', 'parameters': {'Server': 'EXCAS01'}},
]  # fmt: skip


@pytest.fixture(scope='session')
def engine_lab(engine):
    """A lab whose servers have PowerShell's own engine."""
    directory = tempfile.mkdtemp(prefix='casbridge-lab-test.')
    lab_command(directory, 'up', '--poll', '1', '--engine', engine)
    try:
        yield LabUnderTest(directory)
    finally:
        lab_command(directory, 'down')
        shutil.rmtree(directory)


@pytest.fixture
def fresh_engine(engine_lab):
    yield engine_lab
    engine_lab.command('reset')


def knobs(lab, *lines):
    with open(os.path.join(lab.dir, 'faults', 'EXCAS01'), 'w', encoding='utf-8') as f:
        f.write(''.join(line + '\n' for line in lines))


def shells(lab):
    return json.loads(lab.command('shells').stdout)['EXCAS01']


def client(lab, engine, url, configuration, pipelines, *credentials):
    """What PowerShell's client understood, a pipeline each."""
    with tempfile.TemporaryDirectory(prefix='casbridge-psrp.') as directory:
        with open(os.path.join(directory, 'scripts.json'), 'w', encoding='utf-8') as f:
            json.dump([{'name': 'run', 'pipelines': pipelines}], f)
        done = subprocess.run(
            [engine, 'client', directory, url, configuration, *credentials],
            env={**os.environ, 'TEE': os.path.join(HERE, 'psrp_bridge.py'), 'HOME': directory},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        with open(os.path.join(directory, 'run.expect.jsonl'), encoding='utf-8') as f:
            return [json.loads(line) for line in f]


def exchange(lab, engine, pipelines):
    knobs(lab, 'winrm-no-auth')
    address = lab.hosts['excas01.contoso.lab']
    return client(lab, engine, f'http://{address}:10080/PowerShell/', 'Microsoft.Exchange', pipelines)


def normal(answer):
    """Without what PowerShell 7 words otherwise than Windows PowerShell."""
    text = json.dumps(answer, sort_keys=True)
    text = text.replace('as the name', 'as a name').replace('operable program', 'executable program')
    return re.sub(r'\\n|(?<=program\.) ', ' ', text)


def test_both_servers_look_alike_to_powershells_client(fresh, fresh_engine, engine):
    for lab in (fresh, fresh_engine):
        lab.command('reset')  # its counters begin anew
    own = exchange(fresh, engine, CASES)
    real = exchange(fresh_engine, engine, CASES)
    for case, a, b in zip(CASES, own, real):
        assert normal(a) == normal(b), case
    assert [a['state'].partition(':')[0] for a in own] == [
        'Completed', 'Completed', 'Failed', 'Failed', 'Completed', 'Completed', 'Completed', 'Failed', 'Failed',
        'Failed', 'Completed',
    ]  # fmt: skip
    assert len(own[1]['output']) == 9
    assert 'no settings' in own[5]['warnings'][0]
    assert 'no-language mode' in own[8]['state'] and 'no-language mode' in own[9]['state']
    for lab in (fresh, fresh_engine):
        row = lab.rpc_vdir('EXCAS01')
        assert row['msExchInternalAuthenticationMethods'] == '3' and row['msExchRpcHttpFlags'] == '1'
        counts = shells(lab)
        assert counts['shells'] == [] and counts['running'] == 0
        assert counts['operations']['Create'] == counts['operations']['Delete'] == 1
        assert counts['operations']['Command'] == len(CASES)


def test_the_full_language_endpoint_is_winrms(engine_lab, engine):
    address, ca = engine_lab.hosts['excas01.contoso.lab'], engine_lab.config['trust']
    got = client(
        engine_lab, engine, f'https://{address}:10986/wsman', 'Microsoft.PowerShell',
        [{'script': "'a','b' | ForEach-Object { $_ + 'c' }"}, {'script': 'Get-ExchangeServer | ForEach-Object Name'},
         {'script': "Write-Warning careful; Write-Error soft; throw 'hard'"}],
        'admin:Passw0rd!lab', ca,
    )  # fmt: skip
    assert got[0]['output'] == ['ac', 'bc']
    assert len(got[1]['output']) == 9 and 'EXCAS01' in got[1]['output']
    assert got[2]['state'].startswith('Failed: hard') and got[2]['warnings'] == ['careful']
    assert shells(engine_lab)['shells'] == []


def test_an_object_may_be_large(engine_lab, engine):
    """More than a client may say at once."""
    address, ca = engine_lab.hosts['excas01.contoso.lab'], engine_lab.config['trust']
    script = {'script': "'y' * 17MB; 'after'"}
    got = client(engine_lab, engine, f'https://{address}:10986/wsman', 'Microsoft.PowerShell', [script], 'admin:Passw0rd!lab', ca)
    assert got[0]['state'] == 'Completed' and got[0]['output'][0].startswith('yyy') and got[0]['output'][1:] == ['after']


def test_wrong_endpoints_and_versions(fresh, engine):
    knobs(fresh, 'winrm-no-auth')
    address = fresh.hosts['excas01.contoso.lab']
    for url, configuration in (
        (f'http://{address}:10985/wsman', 'Microsoft.Exchange'),
        (f'http://{address}:10080/PowerShell/', 'Microsoft.PowerShell'),
    ):
        with pytest.raises(AssertionError, match='2150858811'):
            client(fresh, engine, url, configuration, CASES[:1])
    with pytest.raises(AssertionError, match='maximum of 0 concurrent shells'):
        exchange_with(fresh, engine, 'winrm-max-shells 0')
    with pytest.raises(AssertionError, match='2150859173'):
        exchange_with(fresh, engine, 'winrm-throttle 60000')
    with pytest.raises(AssertionError, match='Redirect location reported: https://other'):
        exchange_with(fresh, engine, 'winrm-redirect https://other/PowerShell')


def exchange_with(lab, engine, knob):
    knobs(lab, 'winrm-no-auth', knob)
    address = lab.hosts['excas01.contoso.lab']
    return client(lab, engine, f'http://{address}:10080/PowerShell/', 'Microsoft.Exchange', CASES[:1])


def test_ssh_has_the_engine_too(engine_lab, engine):
    """powershell by SSH is the engine where there is one, and its subsystem speaks PowerShell remoting."""
    done = engine_lab.ssh('EXCAS01', "'a','b' | ForEach-Object { $_ + 'c' }; Get-ExchangeServer EXCAS01 | ForEach-Object Fqdn")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().split() == ['ac', 'bc', 'excas01.contoso.lab']
    with tempfile.TemporaryDirectory(prefix='casbridge-psrp.') as directory:
        with open(os.path.join(directory, 'scripts.json'), 'w', encoding='utf-8') as f:
            json.dump([{'name': 'run', 'pipelines': [CASES[0], {'script': '1 + 1'}]}], f)
        tee = os.path.join(directory, 'tee')
        with open(tee, 'w', encoding='utf-8') as f:
            f.write('#!/bin/sh\nshift\nexec "$@"\n')
        os.chmod(tee, 0o755)
        ssh = [
            'ssh', '-F', '/dev/null', '-p', engine_lab.config['ssh_port'], '-i', engine_lab.config['ssh_key'],
            '-o', f'UserKnownHostsFile={engine_lab.config["ssh_known_hosts"]}', '-o', 'BatchMode=yes',
            f'{engine_lab.config["ssh_user"]}@{engine_lab.hosts["excas01.contoso.lab"]}', '-s', 'powershell',
        ]  # fmt: skip
        done = subprocess.run(
            [engine, 'client', directory, *ssh], env={**os.environ, 'TEE': tee, 'HOME': directory},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        with open(os.path.join(directory, 'run.expect.jsonl'), encoding='utf-8') as f:
            got = [json.loads(line) for line in f]
    assert got[0]['state'] == 'Completed' and 'EXCAS01' in got[0]['output'][0]
    assert got[1]['output'] == ['2'] or got[1]['output'] == [2]


def test_a_session_that_dies_in_a_change(fresh, fresh_engine, engine):
    """The directory says whether it was done; the client does not know."""
    change = [CASES[4]]
    for lab in (fresh, fresh_engine):
        for knob, done in (('drop-before-write', '1'), ('drop-after-write', '3')):
            knobs(lab, 'winrm-no-auth', knob)
            address = lab.hosts['excas01.contoso.lab']
            try:
                client(lab, engine, f'http://{address}:10080/PowerShell/', 'Microsoft.Exchange', change)
            except (AssertionError, subprocess.TimeoutExpired):
                pass
            assert lab.rpc_vdir('EXCAS01')['msExchInternalAuthenticationMethods'] == done, (lab.dir, knob)
            assert shells(lab)['shells'] == [] and shells(lab)['running'] == 0


def test_a_command_that_hangs_does_not_hold_the_server(engine_lab, engine):
    """A stop of WinRM takes seconds, whatever a pipeline says to being closed."""
    address, ca = engine_lab.hosts['excas01.contoso.lab'], engine_lab.config['trust']

    def hang():
        script = {'script': '[System.Threading.Thread]::Sleep(600000)'}
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            client(engine_lab, engine, f'https://{address}:10986/wsman', 'Microsoft.PowerShell', [script], 'admin:Passw0rd!lab', ca)

    thread = threading.Thread(target=hang)
    thread.start()
    try:
        until = time.monotonic() + 60
        while not any(s['commands'] for s in shells(engine_lab)['shells']) and time.monotonic() < until:
            time.sleep(0.1)
        begun = time.monotonic()
        engine_lab.command('winrm-stop', 'EXCAS01')
        assert time.monotonic() - begun < 40
        assert shells(engine_lab)['shells'] == [] and shells(engine_lab)['running'] == 0
    finally:
        engine_lab.command('winrm-start', 'EXCAS01')
        thread.join(60)
