"""A mistyped SSH password against a real sshd that stands for every server: how often a run offers it, counted in sshd's log."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

import pytest
from conftest import ORG, wait_for

SSHD = '/usr/sbin/sshd'
FAILED = re.compile(r'^Failed (password|keyboard-interactive/pam) for ', re.M)


class Sshd:
    """Takes no key; on all addresses, since the lab's servers have one each."""

    def __init__(self, folder, *lines):
        self.log = folder / 'sshd.log'
        key = folder / 'host_key'
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key], check=True)
        with socket.create_server(('', 0)) as free:
            self.port = free.getsockname()[1]
        self.public = ' '.join(key.with_suffix('.pub').read_text().split()[:2])
        (folder / 'sshd.conf').write_text('\n'.join(
            [*lines, f'Port {self.port}', 'ListenAddress 0.0.0.0', f'HostKey {key}', 'PidFile none', 'UsePAM no', 'StrictModes no', 'PermitRootLogin yes',
             'PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'PubkeyAuthentication no', 'MaxStartups 200', 'LogLevel VERBOSE', '']))
        self.made_run = os.getuid() == 0 and not os.path.isdir('/run/sshd')
        if self.made_run:
            os.mkdir('/run/sshd')
        self.process = subprocess.Popen([SSHD, '-D', '-e', '-f', folder / 'sshd.conf'], stderr=self.log.open('w'))
        while b'Server listening' not in self.log.read_bytes():
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def refused(self, at_least):
        """sshd may write its line after it has answered."""
        def seen():
            return len(FAILED.findall(self.log.read_text(errors='replace')))
        wait_for(lambda: seen() >= at_least)
        return seen()

    def stop(self):
        self.process.terminate()
        self.process.wait()
        if self.made_run:
            os.rmdir('/run/sshd')


@pytest.mark.parametrize('lines', [['PasswordAuthentication yes'], ['KbdInteractiveAuthentication yes', 'UsePAM yes']], ids=['password', 'interactive'])
def test_offered_once_a_run(lab, tmp_path, lines):
    if not shutil.which(SSHD) or ('UsePAM yes' in lines and (os.getuid() != 0 or not pathlib.Path('/etc/pam.d/sshd').exists())):
        pytest.skip('no sshd, or no PAM for it')
    plan = tmp_path / 'plan.json'
    assert lab.run('plan', '-o', plan).code == 1
    sshd = Sshd(tmp_path, *lines)
    try:
        secret = tmp_path / 'secret'
        secret.write_text('mistyped')
        secret.chmod(0o600)
        text = re.sub(r'^ssh_(port|key|known_hosts) .*\n', '', lab.config.read_text(), flags=re.M)
        names = re.findall(r'^host\.([a-z0-9]+\.contoso\.lab) ', text, re.M)
        (tmp_path / 'known_hosts').write_text(''.join(f'[{n}]:{sshd.port} {sshd.public}\n' for n in names))
        lab.config.write_text(text + f'ssh_port = {sshd.port}\nssh_password = file:{secret}\nssh_known_hosts = {tmp_path}/known_hosts\n')
        servers = ('EXCAS01', 'EXCAS02', 'E2K7CAS01', 'EX10NTLM', 'EX13CAS01')
        done = lab.run('--format', 'json', 'exec', *(x for s in servers for x in ('--on', s)), '--parallel', '32', '--via', 'ssh', '--', 'Get-ExchangeServer')
        said = [e['message'] for host in done.json() for e in host['errors']]
        assert done.code == 6 and sshd.refused(1) == 1, (done.code, said)
        assert sum('was not let in' in m for m in said) == 1 and sum('has just refused it' in m for m in said) == len(servers) - 1, said
        lab.run('check', '--remote', '--via', 'ssh')
        assert sshd.refused(2) == 2
        done = lab.run('apply', plan, '--yes', ORG, '--via', 'ssh', '--canary', '3', '--max-fail', '9')
        assert done.code == 6 and sshd.refused(3) == 3, (done.code, done.err)
        assert lab.run('--source', 'ldap://dc1.contoso.lab', 'plan').code == 1          # nothing was changed
    finally:
        sshd.stop()
    assert 'mistyped' not in sshd.log.read_text(errors='replace')
