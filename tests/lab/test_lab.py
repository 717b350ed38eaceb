"""The lab's life: up, down, reset, two side by side, and what it leaves behind."""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import pytest
from conftest import HERE, LAB, LabUnderTest, lab_command


def processes_of(directory):
    """Command lines of all processes that name the folder or carry its mark."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/environ', 'rb') as e, open(f'/proc/{pid}/cmdline', 'rb') as c:
                if directory.encode() in e.read() + c.read() and int(pid) != os.getpid():
                    c.seek(0)
                    found.append(c.read().replace(b'\0', b' ').decode())
        except OSError:
            pass
    return found


@pytest.fixture
def folder():
    directory = tempfile.mkdtemp(prefix='casbridge-lab-test.')
    yield directory
    lab_command(directory, 'down', check=False)
    shutil.rmtree(directory, ignore_errors=True)


def test_down_leaves_no_process_and_no_socket(folder):
    lab_command(folder, 'up')
    other = LabUnderTest(folder)
    assert len(processes_of(folder)) >= 12
    session = subprocess.Popen(
        [
            'ssh',
            '-F',
            '/dev/null',
            '-p',
            '10022',
            '-i',
            other.config['ssh_key'],
            '-o',
            f'UserKnownHostsFile={other.config["ssh_known_hosts"]}',
            f'{other.config["ssh_user"]}@{other.hosts["excas01.contoso.lab"]}',
            'powershell -NoProfile -NonInteractive -EncodedCommand QQ==',
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    lab_command(folder, 'down')
    session.wait(10)
    assert processes_of(folder) == []
    assert os.listdir(os.path.join(folder, 'run')) == []
    for address in other.hosts.values():
        with socket.socket() as s:
            assert s.connect_ex((address, 10443)) != 0
    assert lab_command(folder, 'down').returncode == 0
    lab_command(folder, 'up')
    assert LabUnderTest(folder).hosts == other.hosts


def test_sessions_do_not_outlive_the_lab(folder):
    lab_command(folder, 'up')
    other = LabUnderTest(folder)
    with open(os.path.join(folder, 'faults', 'EXCAS01'), 'w', encoding='utf-8') as f:
        f.write('ssh-delay 600\n')
    session = subprocess.Popen(
        [
            'ssh',
            '-F',
            '/dev/null',
            '-p',
            '10022',
            '-i',
            other.config['ssh_key'],
            '-o',
            f'UserKnownHostsFile={other.config["ssh_known_hosts"]}',
            f'{other.config["ssh_user"]}@{other.hosts["excas01.contoso.lab"]}',
            'powershell -NoProfile -NonInteractive -EncodedCommand QQ==',
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while not any('powershell --dir' in x for x in processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert any('powershell --dir' in x for x in processes_of(folder))
    lab_command(folder, 'down')
    assert session.wait(10) == 255
    assert processes_of(folder) == []


def test_two_labs_side_by_side(lab, folder):
    lab_command(folder, 'up')
    other = LabUnderTest(folder)
    assert set(other.hosts.values()).isdisjoint(lab.hosts.values())
    other.command('iis-edit', 'EXCAS01', 'negotiate')
    assert 'negotiate,ntlm ' in other.command('status').stdout
    url = 'https://excas01.contoso.lab:10443/rpc/rpcproxy.dll'
    assert 'Basic realm' in lab.curl(url)[1]
    assert 'Basic realm' not in other.curl(url)[1]
    other.command('down')
    assert lab.command('status').returncode == 0


def test_up_twice_and_status(lab):
    assert 'already up' in lab.command('up').stdout
    text = lab.command('status').stdout
    assert re.search(r'EXCAS01 .* /rpc basic$', text, re.M), text
    assert re.search(r'EXCAS02 .* /rpc absent$', text, re.M)
    assert re.search(r'EX10NTLM .* /rpc negotiate,ntlm,basic$', text, re.M)


def test_a_failed_up_cleans_up(folder):
    """A slapd that cannot load: no process stays, and the message says what failed."""
    stub = os.path.join(folder, 'bin')
    os.mkdir(stub)
    target = os.path.join(folder, 'lab')
    os.mkdir(target)
    with open(os.path.join(stub, 'slapadd'), 'w', encoding='utf-8') as f:
        f.write('#!/bin/sh\necho no luck; exit 3\n')
    os.chmod(os.path.join(stub, 'slapadd'), 0o755)
    env = {**os.environ, 'PATH': f'{stub}:{os.environ["PATH"]}'}
    done = subprocess.run([LAB, 'up', '--dir', target], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and 'no luck' in done.stderr
    assert processes_of(target) == []
    assert set(os.listdir(target)) <= {'lock', 'pycache'}


def test_a_missing_package_is_named(folder):
    empty = os.path.join(folder, 'none')
    os.mkdir(empty)
    program = (
        'import sys; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True\n'
        'from casbridge_lab import prereq\nprereq.search_path = lambda: sys.argv[2]\nprereq.check()'
    )
    done = subprocess.run(
        ['/usr/bin/python3', '-c', program, HERE, empty], capture_output=True, text=True, check=False
    )
    assert 'slapd' in done.stderr and 'krb5-kdc' in done.stderr and 'apt-get install' in done.stderr


def test_a_folder_with_other_things_is_left_alone(folder):
    with open(os.path.join(folder, 'thesis.txt'), 'w', encoding='utf-8') as f:
        f.write('do not remove\n')
    done = lab_command(folder, 'up', check=False)
    assert done.returncode == 1 and 'another folder' in done.stdout
    assert os.path.exists(os.path.join(folder, 'thesis.txt'))


def test_wrong_words():
    for words in (
        ['iis-edit', 'EXCAS99', 'basic'],
        ['iis-edit', 'EXCAS01', 'fingerprint'],
        ['frobnicate'],
        [],
    ):
        assert subprocess.run([LAB, *words], capture_output=True, check=False).returncode == 2


def test_config_is_private_and_complete(lab):
    path = os.path.join(lab.dir, 'config.ini')
    assert os.stat(path).st_mode & 0o777 == 0o600
    for key in ('trust', 'ssh_key', 'ssh_known_hosts', 'krb5_config', 'krb5_keytab', 'engine_keytab'):
        assert os.path.isabs(lab.config[key]) and os.path.exists(lab.config[key])
    assert lab.config['source'] == 'ldap://dc1.contoso.lab'
    assert lab.config['host.dc1.contoso.lab'].endswith(':10389')
    assert os.stat(lab.config['ssh_key']).st_mode & 0o077 == 0


def test_reset_restores_the_organisation(fresh):
    before = fresh.rpc_vdir('EXCAS01')
    done = fresh.exchange(
        'EXCAS01',
        2010,
        "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)' -IISAuthenticationMethods Basic,"
        "NTLM",
    )
    assert done.returncode == 0, done.stderr
    assert fresh.rpc_vdir('EXCAS01')['msExchInternalAuthenticationMethods'] == '3'
    fresh.command('cas-stop', 'EXCAS01')
    with open(os.path.join(fresh.dir, 'faults', 'EXCAS01'), 'w', encoding='utf-8') as f:
        f.write('http-503\n')
    fresh.command('reset')
    assert fresh.rpc_vdir('EXCAS01') == before
    assert fresh.curl('https://excas01.contoso.lab:10443/rpc/rpcproxy.dll')[0] == 401


def test_environment_for_people(lab):
    text = lab.command('env').stdout
    script = (
        text + 'curl -s -o /dev/null -w "%{http_code}" --negotiate -u : $LAB_CURL_RESOLVE https://'
        'ex10ntlm.contoso.lab:10443/OAB/x/oab.xml'
    )
    done = subprocess.run(['bash', '-c', script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == '200', done.stderr
