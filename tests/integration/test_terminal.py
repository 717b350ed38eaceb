"""What a batch command asks on its terminal: passwords, unknown servers, a change; and that Ctrl-C always ends it."""
import os
import pty
import re
import select
import subprocess
import termios
import time

from conftest import PROGRAM, clean_env

GET = ['exec', '--on', 'EXCAS01', '--via', 'ssh', '--', 'Get-OutlookAnywhere', '-Server', 'EXCAS01']


class Terminal:
    """A command with a terminal of its own."""

    def __init__(self, config, *args):
        self.master, slave = pty.openpty()
        self.said = ''
        self.process = subprocess.Popen(
            [str(PROGRAM), '--config', str(config), '--profile', 'lab', *map(str, args)], stdin=slave, stdout=slave, stderr=slave,
            env=clean_env(), start_new_session=True, preexec_fn=lambda: __import__('fcntl').ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)

    def read(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            got = os.read(self.master, 65536)
        except OSError:   # the other end is closed
            return False
        self.said += got.decode(errors='replace')
        return bool(got)

    def expect(self, text, seconds=180):
        until = time.monotonic() + seconds
        while text not in self.said:
            assert time.monotonic() < until and (self.read(1) or self.process.poll() is None), self.said
        return self

    def type(self, text):
        os.write(self.master, text.encode())
        return self

    def echoes(self):
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def end(self, seconds=180):
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < until, self.said
            self.read(0.1)
        while self.read(0.1):
            pass
        assert 'Sanitizer' not in self.said, self.said
        return self.process.returncode


def profile(lab, tmp_path, *lines, without=()):
    """The lab's profile with other lines about SSH."""
    config = tmp_path / 'config.ini'
    kept = [line for line in lab.config.read_text().splitlines() if line.split(' = ')[0] not in without]
    config.write_text('\n'.join([*kept, *lines]) + '\n')
    return config


def test_a_password_is_asked_for(shared_lab, tmp_path):
    config = profile(shared_lab, tmp_path, 'ssh_password = ask', without=['ssh_key'])
    with Terminal(config, *GET) as t:
        t.expect('SSH password: ')
        assert not t.echoes()
        assert t.type('hunter2\n').end() == 6   # the lab takes keys only
        assert 'hunter2' not in t.said and 'SSH password: :' not in t.said and t.echoes()
    with Terminal(config, *GET) as t:
        assert t.expect('SSH password: ').type('hunt\x03').end() == 130
        assert 'interrupted' in t.said and 'hunt' not in t.said and t.echoes()


def test_an_unknown_server(shared_lab, tmp_path):
    known = tmp_path / 'known_hosts'
    ask = profile(shared_lab, tmp_path, f'ssh_known_hosts = {known}', 'ssh_new_host = ask', without=['ssh_known_hosts'])
    question = 'Trust it from now on? (yes/no): '
    with Terminal(ask, *GET) as t:
        t.expect(question)
        assert re.search(r'\[excas01\.contoso\.lab\]:\d+ is met for the first time and shows the host key [a-z0-9-]+ SHA256:\S{43}', t.said)
        assert t.type('y\n').end() == 6 and 'its host key is not known' in t.said   # only the whole word counts
    with Terminal(ask, *GET) as t:
        assert t.expect(question).type('\x03').end() == 130 and t.echoes()
    assert not known.exists()
    with Terminal(ask, *GET) as t:
        assert t.expect(question).type('yes\n').end() == 0 and 'ServerName' in t.said
    assert len(known.read_text().splitlines()) == 1
    with Terminal(ask, *GET) as t:
        assert t.end() == 0 and 'first time' not in t.said


def test_an_unknown_server_and_nobody_to_ask(shared_lab, tmp_path):
    known = tmp_path / 'known_hosts'
    for choice, code, words in ((None, 6, 'its host key is not known'), ('refuse', 6, 'ssh_new_host = ask'), ('ask', 6, 'is not known'),
                                ('accept', 0, 'is trusted from now on'), ('refuse', 0, 'ok')):
        lines = [f'ssh_known_hosts = {known}'] + ([f'ssh_new_host = {choice}'] if choice else [])
        config = profile(shared_lab, tmp_path, *lines, without=['ssh_known_hosts'])
        done = subprocess.run([str(PROGRAM), '--config', str(config), '--profile', 'lab', *GET], capture_output=True, text=True,
                              env=clean_env(), stdin=subprocess.DEVNULL, start_new_session=True, timeout=180)
        assert done.returncode == code and words in done.stdout + done.stderr, (choice, done)
        assert known.exists() == (code == 0)


def test_a_change_is_shown_before_it_is_asked_about(lab, tmp_path):
    def runs():
        return lab.json('journal')

    plan = tmp_path / 'plan.json'
    assert lab.run('plan', '-o', plan).code == 1
    with Terminal(lab.config, 'apply', plan) as t:
        t.expect('Organisation Contoso: 3 changes on 3 servers will be made. Type its name to go on: ')
        assert "E2K7CAS01      Set-OutlookAnywhere -Identity 'E2K7CAS01\\Rpc (Default Web Site)'" in t.said
        assert t.type('contoso\n').end() == 7 and not runs()
    with Terminal(lab.config, 'apply', plan) as t:
        t.expect('go on: ')
        assert t.type('\x03').end() == 130 and not runs()
    with Terminal(lab.config, 'apply', plan, '--reason', 'change 4711') as t:
        t.expect('go on: ')
        assert t.type('Contoso\n').end() == 0
    run = runs()[0]['run']
    assert lab.run('exec', '--on', 'EXCAS01', '--via', 'winrm', '--', 'Set-OutlookAnywhere', '-Identity', 'EXCAS01\\Rpc (Default Web Site)',
                   '-ClientAuthenticationMethod', 'NTLM').code == 0
    with Terminal(lab.config, 'rollback', run) as t:
        t.expect('Organisation Contoso: 2 changes on 2 servers will be made. Type its name to go on: ')
        assert 'EXCAS01        somebody changed it since' in t.said and 'Disable-OutlookAnywhere' in t.said
        assert t.type('Contoso\n').end() == 6   # one stays as it is
    assert lab.run('exec', '--on', 'EXCAS01', '--via', 'winrm', '--', 'Set-OutlookAnywhere', '-Identity', 'EXCAS01\\Rpc (Default Web Site)',
                   '-ClientAuthenticationMethod', 'Basic', '-IISAuthenticationMethods', 'Basic').code == 0
    told = lab.run('journal', run).out.splitlines()
    assert re.search(r' begin +3 steps on 3 servers by admin@CONTOSO\.LAB from \S+: change 4711$', told[0])
    assert sum(1 for line in told if re.search(r' E\w+ +capture  [a-z_]+ [a-z]', line)) == 3 and '{' not in '\n'.join(told[:4])
    assert '          ServerName                      : EXCAS02' in told   # a line of its own, not a mark for its end
    again = lab.run('rollback', run, '--yes', 'Contoso')
    assert again.code == 0 and f'nothing of run {run} is left to take back' in again.err
