"""Exchange's endpoint as it should not be: host calls at the wrong time, fragments that are none, silence where an answer is due. Nothing
hangs, nothing is sent twice, no shell is left behind, and what is said of the outcome is true."""
import base64
import json
import re
import subprocess
import time

import pytest

from conftest import ENGINE_TMP, clean_env
from psrp_listener import (CAPABILITY, CREATE, KEY, KEY_REQUEST, OUTPUT, POOL_ANSWER, POOL_CALL, POOL_STATE, SOAP, TIMED_OUT, Server, host_call,
                           member, run)
from psrp_support import PSRP, PUSH, build, live
from test_pwsh import PWSH, unpack
from wsman_replay import Listener, write_config


def test_the_server_itself(tmp_path):
    server = Server()
    got = run(server, tmp_path)
    assert got['err'] == 'OK' and got['ok'] and got['objects'] == ['done'], got
    assert server.operations == ['create', 'receive', 'command', 'receive', 'signal', 'delete'], server.operations
    assert server.deleted == [server.shell_id] and server.signals == ['terminate']


@pytest.mark.parametrize('opens_at_once', [False, True])
def test_a_host_call_while_the_pool_opens(opens_at_once, tmp_path):
    """It is answered where it came, never along with the command."""
    class Asks(Server):
        def opened(self):
            self.say(POOL_CALL, host_call())
            if opens_at_once:
                super().opened()

        def answered(self):
            if not opens_at_once:
                super().opened()
    server = Asks()
    got = run(server, tmp_path, timeout_ms=30000)
    assert got['err'] == 'OK' and got['ok'] and 'ReadLine' in str(got['warnings']), got
    assert server.heard == [('create', '', CAPABILITY), ('create', '', 0x10004), ('send', 'pr', POOL_ANSWER), ('command', '', CREATE)]


def test_a_server_that_hangs_on_signals(tmp_path):
    """The shell is deleted nevertheless: what is left open counts against the user's eighteen."""
    class Hangs(Server):
        def started(self):
            pass

        def receive(self, root):
            if self.pipeline:
                self.came.set()
            return super().receive(root)

        def signal(self, root):
            super().signal(root)
            self.tidied.wait(60)
            return '<rsp:SignalResponse/>'

        def delete(self, root):
            self.tidied.set()
            return super().delete(root)
    server = Hangs()
    begun = time.monotonic()
    got = run(server, tmp_path, interrupted=True)
    assert got['err'] == 'INTERRUPTED' and got['outcome_unknown'] and 'its outcome is not known' in got['what'], got
    assert server.signals == ['ctrl_c']  # not a second one that hangs as long
    assert server.deleted == [server.shell_id] and time.monotonic() - begun < 50


@pytest.mark.parametrize('how', ['dropped', 'unreadable', 'silent', 'gateway', 'fault'])
def test_an_answer_to_create_that_never_came(how, tmp_path):
    """We chose the shell's name, so it can be deleted unheard; where it was refused there is none."""
    class Mute(Server):
        def create(self, root):
            super().create(root)
            self.came.set()
            if how == 'silent':
                self.tidied.wait(60)
            return {'unreadable': (200, SOAP, b'<not'), 'gateway': (502, 'text/html', b'<html>Bad Gateway</html>'),
                    'fault': TIMED_OUT.replace('2150858793', '5')}.get(how)

        def delete(self, root):
            self.tidied.set()
            return super().delete(root)
    server = Mute()
    got = run(server, tmp_path, interrupted=how == 'silent')
    assert got['err'] != 'OK' and not got['sent'] and not got['outcome_unknown'] and got['objects'] is None, got
    assert server.operations.count('create') == 1
    assert server.deleted == ([] if how == 'fault' else [server.shell_id]), server.operations


def test_what_was_lost_while_the_pool_opened(tmp_path):
    class Loses(Server):
        def receive(self, root):
            first = self.asked == 0
            answer = super().receive(root)
            return None if first else answer
    server = Loses()
    begun = time.monotonic()
    got = run(server, tmp_path, timeout_ms=30000)
    assert got['err'] == 'UNREACHABLE' and not got['sent'] and 'while the runspace pool was being opened' in got['what'], got
    assert not got['warnings'] and time.monotonic() - begun < 25 and server.deleted == [server.shell_id]


def test_a_connection_lost_before_anything_was_said(tmp_path):
    """The pool opens over the next one: nothing is missing, nothing is remarked."""
    class Drops(Server):
        def receive(self, root):
            if not self.asked:
                self.asked = 1
                return None
            return super().receive(root)
    server = Drops()
    got = run(server, tmp_path)
    assert got['ok'] and got['objects'] == ['done'] and not got['warnings'], got


def test_interrupted_while_the_command_is_handed_over(tmp_path):
    """What had not left yet never leaves: the command cannot begin after it was told to stop."""
    class Slow(Server):
        def send(self, root):
            answer = super().send(root)
            self.came.set()
            self.tidied.wait(60)
            return answer

        def signal(self, root):
            self.tidied.set()
            return super().signal(root)
    server = Slow()
    got = run(server, tmp_path, interrupted=True, params=[[f'P{i}', 'string', 'x' * 60000] for i in range(7)])
    assert got['err'] == 'INTERRUPTED' and got['sent'] and got['outcome_unknown'], got
    assert server.operations.count('send') == 1 and server.pipeline is None, server.operations
    assert 'ctrl_c' in server.signals and server.deleted == [server.shell_id]


def silent_until(pool_says):
    """A server whose pipeline waits for what only the pool's stream tells."""
    class Waits(Server):
        def started(self):
            self.say(*pool_says)

        def answered(self):
            super().started()

        def unlocked(self, clixml):
            self.key = base64.b64decode(re.search('<S N="PublicKey">([^<]*)</S>', clixml).group(1))
            self.say(OUTPUT, '<Obj RefId="0"><MS><SS N="Password">AAECAwQFBgcICQoLDA0ODw==</SS></MS></Obj>', True)
            super().started()
    return Waits()


def test_a_key_is_given_that_nobody_has(tmp_path):
    """A server of 2.1 waits for one before it sends a SecureString, and takes no signal meanwhile."""
    servers = [silent_until((KEY_REQUEST, '<S></S>')) for _ in range(2)]
    for server in servers:
        got = run(server, tmp_path, timeout_ms=30000)
        assert got['ok'] and got['objects'] == [{'Password': '(SecureString, refused)'}, 'done'], got
        assert 'SecureString' in got['warnings'][0]
        assert server.heard[-1] == ('send', 'stdin', KEY) and server.addressees == [None]
        assert server.key[:20] == bytes.fromhex('0602000000a400005253413100080000') + b'\1\0\1\0' and len(server.key) == 276
        modulus = int.from_bytes(server.key[20:], 'little')
        assert modulus.bit_length() == 2048 and modulus % 2 and modulus % 3 and modulus % 5
    assert servers[0].key != servers[1].key


def test_a_server_that_asks_for_a_key_again(tmp_path):
    """It gets the same one; people are told once."""
    server, keys = silent_until((KEY_REQUEST, '<S></S>')), []

    def unlocked(clixml):
        keys.append(clixml)
        if len(keys) == 2:
            server.started = lambda: Server.started(server)
            server.started()
        else:
            server.say(KEY_REQUEST, '<S></S>')
    server.unlocked = unlocked
    got = run(server, tmp_path, timeout_ms=30000)
    assert got['ok'] and len(keys) == 2 and keys[0] == keys[1] and len(got['warnings']) == 1, got


def test_a_host_call_of_the_pool_while_the_pipeline_waits(tmp_path):
    got = run(silent_until((POOL_CALL, host_call())), tmp_path, timeout_ms=30000)
    assert got['ok'] and got['objects'] == ['done'] and 'ReadLine' in got['warnings'][0], got


def test_a_pool_that_breaks_while_the_pipeline_waits(tmp_path):
    begun = time.monotonic()
    got = run(silent_until((POOL_STATE, member('RunspaceState', 5))), tmp_path, timeout_ms=60000)
    assert got['err'] == 'REMOTE' and got['outcome_unknown'] and 'closed the runspace pool' in got['what'], got
    assert time.monotonic() - begun < 40


OLD = """
import base64, re, subprocess, sys
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
for line in sys.stdin.buffer:
    found = re.search(b'>([^<]*)</Data>', line)
    if found:
        data = base64.b64decode(found[1]).replace(b'"protocolversion">2.3<', b'"protocolversion">2.1<')
        line = line[:found.start(1)] + base64.b64encode(data) + line[found.end(1):]
    server.stdin.write(line)
    server.stdin.flush()
server.stdin.close()
server.wait()
"""


@live
def test_powershell_sends_a_secure_string_as_to_an_old_client(tmp_path):
    """PowerShell's engine, told that we speak 2.1, asks for a key as old servers do of everybody."""
    unpack()
    build(PSRP)
    (tmp_path / 'old.py').write_text(OLD)
    (tmp_path / 'secret.ps1').write_text("""
function Get-Secret { $s = [Security.SecureString]::new(); $s.AppendChar('x'); [pscustomobject]@{ Name = 'n'; Password = $s }; $s }
function Get-One { 1 }
""")
    cases = ''.join(json.dumps({'cmdlet': c, 'params': [], 'timeout_ms': 20000}) + '\n' for c in ('Get-Secret', 'Get-Secret', 'Get-One'))
    done = subprocess.run([str(PSRP), 'pipe', '/usr/bin/python3', str(tmp_path / 'old.py'), str(PWSH), '-s', '-InitialScript',
                           str(tmp_path / 'secret.ps1')], input=cases, capture_output=True, text=True, timeout=120,
                          env={**clean_env(), 'HOME': ENGINE_TMP, 'TMPDIR': ENGINE_TMP})
    assert done.returncode == 0 and 'Sanitizer' not in done.stderr, done.stderr
    first, second, third = [json.loads(line) for line in done.stdout.splitlines()]
    for got in (first, second):
        assert got['ok'] and got['objects'] == [{'Name': 'n', 'Password': '(SecureString, refused)'}, '(SecureString, refused)'], got
    assert 'SecureString' in first['warnings'][0] and third['ok'] and third['objects'] == [1]


@pytest.mark.parametrize('allowed,host,follows', [(True, 'b.contoso.lab', True), (True, 'b.elsewhere.lab', False), (False, 'b.contoso.lab', False)])
def test_sent_elsewhere_before_the_login(allowed, host, follows, tmp_path):
    """A proxy before the server sends us on before anybody asked who we are: the same rule as for a fault."""
    build(PUSH)
    secret = tmp_path / 'password'
    secret.write_text('not asked for')
    secret.chmod(0o600)
    with Listener(lambda r, n: (401, None, b'', {'WWW-Authenticate': 'Basic realm="WSMAN"'})) as there:
        place = f'http://{host}:{there.port}/PowerShell/'
        with Listener(lambda r, n: (302, None, b'', {'Location': place})) as here:
            config = write_config(tmp_path, 'http://x/', f'psrp_url = http://{{fqdn}}:{here.port}/PowerShell/', 'winrm_auth = ntlm',
                                  'winrm_user = CONTOSO\\admin', f'winrm_password = file:{secret}', f'host.{host} = 127.0.0.1',
                                  *(['winrm_redirect = yes'] if allowed else []))
            case = {'server': 'EXCAS01', 'fqdn': 'excas01.contoso.lab', 'generation': '2010', 'cmdlet': 'Get-X', 'params': []}
            done = subprocess.run([str(PUSH), str(config), 'psrp'], input=json.dumps(case) + '\n', capture_output=True, text=True, timeout=60,
                                  env=clean_env())
        got = json.loads(done.stdout)
    assert not got['sent'] and place in got['what'] + got['hint'] + done.stderr, got
    assert bool(there.requests) == follows and got['err'] == ('AUTH' if follows else 'REFUSED'), (got, there.requests)
    assert follows or 'winrm_redirect' in got['hint']
