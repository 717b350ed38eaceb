"""Exchange's endpoint as it should not be: host calls at the wrong time, fragments that are none, silence where an answer is due. Nothing
hangs, nothing is sent twice, no shell is left behind, and what is said of the outcome is true."""
import base64
import json
import re
import signal
import struct
import subprocess
import threading
import time
import uuid
import xml.etree.ElementTree as ET

import pytest

from conftest import ENGINE_TMP, PROGRAM, ROOT, clean_env
from test_pwsh import PEER, PWSH, unpack
from wsman_replay import A, OPS, RSP, SHELL, Listener, head, write_config

PUSH = PROGRAM.parent / 'tests/integration/push'
PSRP = PROGRAM.parent / 'tests/integration/psrp'
live = pytest.mark.skipif(not PEER.exists(), reason='no ../shared/peers')
SOAP = 'application/soap+xml;charset=UTF-8'
PS = 'http://schemas.microsoft.com/powershell'
CAPABILITY, POOL_STATE, POOL_CALL, POOL_ANSWER, CREATE = 0x10002, 0x21005, 0x21100, 0x21101, 0x21006
KEY, KEY_REQUEST = 0x10005, 0x10007
OUTPUT, ERROR, STATE, CALL = 0x41004, 0x41005, 0x41006, 0x41100
NAMES = ('xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
         'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer" '
         f'xmlns:rsp="{SHELL}"')
TIMED_OUT = ('<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:TimedOut</s:Value></s:Subcode></s:Code><s:Reason><s:Text>t'
             '</s:Text></s:Reason><s:Detail><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="2150858793"/>'
             '</s:Detail></s:Fault>')


@pytest.fixture(scope='module', autouse=True)
def helper():
    for one in (PUSH, PSRP):
        if not one.exists():
            subprocess.run(['make', '-s', f'CONFIG={PROGRAM.parent.name}', str(one.relative_to(ROOT))], cwd=ROOT, check=True)


def member(name, number):
    return f'<Obj RefId="0"><MS><I32 N="{name}">{number}</I32></MS></Obj>'


def host_call(number=1, method=11):
    return f'<Obj RefId="0"><MS><I64 N="ci">{number}</I64><I32 N="mi">{method}</I32></MS></Obj>'


def fragment(number, part, flags, data, length=None):
    return struct.pack('>QQBI', number, part, flags, len(data) if length is None else length) + data


class Server:
    """Opens a pool, runs any pipeline with one object; the methods are there to be done otherwise."""

    protocol = '2.1'

    def __init__(self):
        self.operations, self.heard, self.parts = [], [], {}  # heard: (operation, stream, message type)
        self.pool, self.pipeline, self.number = uuid.uuid4(), None, 0
        self.shell_id, self.deleted, self.signals, self.asked = None, [], [], 0
        self.addressees = []  # of what was sent: a pipeline's id; None, the pool
        self.waiting = {False: [], True: []}  # of the pool, of the pipeline
        self.came, self.tidied = threading.Event(), threading.Event()  # what a test waits for; a Signal or Delete that frees who hangs

    # what it says

    def message(self, kind, clixml, pipeline=False):
        pid = self.pipeline.bytes_le if pipeline else bytes(16)
        return struct.pack('<II', 1, kind) + self.pool.bytes_le + pid + b'\xef\xbb\xbf' + clixml.encode()

    def say(self, kind, clixml, pipeline=False):
        self.number += 1
        self.waiting[pipeline].append(fragment(self.number, 0, 3, self.message(kind, clixml, pipeline)))

    def created(self):
        self.say(CAPABILITY, f'<Obj RefId="0"><MS><Version N="protocolversion">{self.protocol}</Version></MS></Obj>')
        self.opened()

    def opened(self):
        self.say(POOL_STATE, member('RunspaceState', 2))

    def started(self):
        self.say(OUTPUT, '<S>done</S>', True)
        self.say(STATE, member('PipelineState', 4), True)

    def answered(self):
        """A host call was."""

    def unlocked(self, clixml):
        """It got a key."""

    # what it hears

    def take(self, operation, stream, data):
        at = 0
        while at < len(data):
            number, part, flags, length = struct.unpack_from('>QQBI', data, at)
            blob, at = data[at + 21:at + 21 + length], at + 21 + length
            assert part == (self.parts.get(number, (0, b''))[0] if not flags & 1 else 0)
            self.parts[number] = (part + 1, self.parts.pop(number, (0, b''))[1] + blob)
            if flags & 2:
                self.got(operation, stream, self.parts.pop(number)[1])

    def got(self, operation, stream, message):
        kind = struct.unpack_from('<I', message, 4)[0]
        self.heard.append((operation, stream, kind))
        if kind == CREATE:
            self.pipeline = uuid.UUID(bytes_le=message[24:40])
            self.started()
        elif kind in (POOL_ANSWER, 0x41101):
            self.answered()
        elif kind == KEY:
            self.unlocked(message[40:].decode())

    # operations

    def __call__(self, request, n):
        root = ET.fromstring(request)
        action = head(root, A + 'Action')
        self.operations.append(OPS[action])
        told = getattr(self, OPS[action])(root)
        if told is None or isinstance(told, tuple):
            return told
        text = (f'<s:Envelope {NAMES}><s:Header><a:Action>{action}Response</a:Action><a:RelatesTo>{head(root, A + "MessageID")}</a:RelatesTo>'
                f'</s:Header><s:Body>{told}</s:Body></s:Envelope>')
        return 500 if told.startswith('<s:Fault') else 200, SOAP, text.encode()

    def create(self, root):
        self.shell_id = root.find(f'.//{RSP}Shell').get('ShellId')
        self.pool = uuid.UUID(self.shell_id)
        self.take('create', '', base64.b64decode(root.findtext(f'.//{{{PS}}}creationXml')))
        self.created()
        return (f'<x:ResourceCreated><a:ReferenceParameters><w:ResourceURI>{PS}/Microsoft.Exchange</w:ResourceURI><w:SelectorSet><w:Selector '
                f'Name="ShellId">{self.shell_id}</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>')

    def command(self, root):
        self.id = root.find(f'.//{RSP}CommandLine').get('CommandId')
        self.take('command', '', base64.b64decode(root.findtext(f'.//{RSP}Arguments')))
        return f'<rsp:CommandResponse><rsp:CommandId>{self.id}</rsp:CommandId></rsp:CommandResponse>'

    def receive(self, root):
        self.asked += 1
        of_pipeline = root.find(f'.//{RSP}DesiredStream').get('CommandId') is not None
        until = time.monotonic() + 0.3
        while not self.waiting[of_pipeline]:
            if time.monotonic() > until:
                return TIMED_OUT
            time.sleep(0.01)
        data = b''.join(self.waiting[of_pipeline])
        self.waiting[of_pipeline] = []
        return self.received(data, of_pipeline)

    def received(self, data, of_pipeline, state='Running'):
        mark = f' CommandId="{self.id}"' if of_pipeline else ''
        ended = f'<rsp:CommandState{mark} State="{SHELL}/CommandState/{state}"/>' if of_pipeline else ''
        return f'<rsp:ReceiveResponse><rsp:Stream Name="stdout"{mark}>{base64.b64encode(data).decode()}</rsp:Stream>{ended}</rsp:ReceiveResponse>'

    def send(self, root):
        stream = root.find(f'.//{RSP}Stream')
        self.addressees.append(stream.get('CommandId'))
        self.take('send', stream.get('Name'), base64.b64decode(stream.text))
        return '<rsp:SendResponse/>'

    def signal(self, root):
        self.signals.append(root.findtext(f'.//{RSP}Code').rsplit('/', 1)[-1])
        return '<rsp:SignalResponse/>'

    def delete(self, root):
        self.deleted.append(re.search(r'Name="ShellId">([^<]*)<', ET.tostring(root).decode()).group(1))
        return ''


def run(server, tmp_path, timeout_ms=20000, params=(['Identity', 'string', 'x'],), interrupted=False):
    """What the client makes of that server; interrupted: as soon as the server's `came` is set."""
    with Listener(server) as listener:
        config = write_config(tmp_path, 'http://x/', 'winrm_auth = none', f'psrp_url = http://{{fqdn}}:{listener.port}/PowerShell/')
        case = {'server': 'EXCAS01', 'fqdn': 'excas01.contoso.lab', 'generation': '2010', 'timeout_ms': timeout_ms, 'cmdlet': 'Set-X',
                'params': list(params)}
        with subprocess.Popen([str(PUSH), str(config), 'psrp'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=clean_env()) as process:
            try:
                process.stdin.write(json.dumps(case) + '\n')
                process.stdin.flush()
                if interrupted:
                    assert server.came.wait(60), server.operations
                    process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=90)
            finally:
                process.kill()
    assert process.returncode == 0 and 'Sanitizer' not in err and 'runtime error' not in err, err
    return json.loads(out)


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


def stream(make):
    """A server whose pipeline says that instead."""
    class Says(Server):
        def started(self):
            for data in make(self):
                self.waiting[True].append(data)
    return Says()


def whole(server, kind, clixml, number=100):
    return fragment(number, 0, 3, server.message(kind, clixml, True))


COMPLETED = member('PipelineState', 4)
BAD = {
    'begins in the middle': lambda s: [fragment(9, 1, 2, s.message(STATE, COMPLETED, True))],
    'out of order': lambda s: [fragment(9, 0, 1, s.message(OUTPUT, '<S>', True)), fragment(9, 2, 2, b'x</S>')],
    'twice': lambda s: [fragment(9, 0, 1, s.message(OUTPUT, '<S>', True)), fragment(9, 0, 1, s.message(OUTPUT, '<S>', True))],
    'absurd length': lambda s: [fragment(9, 0, 3, b'', 0xffffffff)],
    'absurd length, not the last': lambda s: [fragment(9, 0, 1, b'', 0x7fffffff)],
    'unknown flags': lambda s: [fragment(9, 0, 7, s.message(STATE, COMPLETED, True))],
    'shorter than its header': lambda s: [fragment(9, 0, 3, b'\x01')],
    'empty object': lambda s: [fragment(9, 0, 3, b'')],
    'seventeen begun': lambda s: [fragment(200 + i, 0, 1, b'x') for i in range(17)],
    'a state that is none': lambda s: [whole(s, STATE, '<Obj><MS><S N="PipelineState">done</S></MS></Obj>')],
    'a state cut short': lambda s: [whole(s, STATE, COMPLETED[:-9])],
    'a host call without number': lambda s: [whole(s, CALL, '<Obj><MS /></Obj>')],
    'a hundred host calls': lambda s: [whole(s, CALL, host_call(i), 100 + i) for i in range(100)],
}


@pytest.mark.parametrize('case', list(BAD))
def test_bad_streams(case, tmp_path):
    server = stream(BAD[case])
    got = run(server, tmp_path, timeout_ms=30000)
    assert got['err'] in ('PROTOCOL', 'LIMIT') and got['sent'] and got['outcome_unknown'] and not got['ok'], got
    assert 'its outcome is not known' in got['what'] and server.operations.count('command') == 1
    assert server.deleted == [server.shell_id]


def test_done_without_completed(tmp_path):
    class Ends(Server):
        def started(self):
            self.say(OUTPUT, '<S>half</S>', True)

        def received(self, data, of_pipeline, state='Done'):
            return super().received(data, of_pipeline, state)
    server = Ends()
    got = run(server, tmp_path, timeout_ms=30000)
    assert got['err'] == 'PROTOCOL' and got['outcome_unknown'] and 'did not say how it ended' in got['what'] and got['objects'] == ['half'], got
    assert server.deleted == [server.shell_id]


def test_an_error_that_cannot_be_read_is_one(tmp_path):
    server = stream(lambda s: [whole(s, ERROR, '<Obj RefId="0"><NewKind /></Obj>'), whole(s, STATE, COMPLETED, 101)])
    got = run(server, tmp_path)
    assert got['err'] == 'OK' and not got['ok'] and 'could not be read' in got['errors'][0]['message'], got


def test_numbers_that_fit_nowhere(tmp_path):
    server = stream(lambda s: [whole(s, OUTPUT, '<D>79228162514264337593543950335</D>'),
                               whole(s, OUTPUT, '<Obj><MS><S N="a_x0000_b">c</S></MS></Obj>', 101), whole(s, STATE, COMPLETED, 102)])
    got = run(server, tmp_path)
    assert got['ok'] and got['objects'] == ['79228162514264337593543950335', {'a\ufffdb': 'c'}], got


def test_other_pipelines_and_duplicates_say_nothing(tmp_path):
    def make(server):
        other = server.message(STATE, member('PipelineState', 5), True)
        other = other[:24] + uuid.uuid4().bytes_le + other[40:]
        return [fragment(300, 0, 3, other), whole(server, OUTPUT, '<S>one</S>'), whole(server, STATE, COMPLETED, 101),
                whole(server, STATE, member('PipelineState', 5), 102), whole(server, STATE, COMPLETED, 103)]
    got = run(stream(make), tmp_path)
    assert got['ok'] and got['objects'] == ['one'] and not got['errors'], got


def test_a_flood_is_left_at_the_deadline(tmp_path):
    """Output without end: at the deadline it is told to stop, and what came is kept."""
    class Floods(Server):
        stopped = False

        def started(self):
            def flood():
                until = time.monotonic() + 60
                while not self.stopped and time.monotonic() < until:
                    self.say(OUTPUT, f'<S>{"x" * 1000}</S>', True)
                    time.sleep(0.001)
                self.say(STATE, member('PipelineState', 3), True)
            threading.Thread(target=flood, daemon=True).start()

        def signal(self, root):
            self.stopped = True
            return super().signal(root)
    server = Floods()
    begun = time.monotonic()
    got = run(server, tmp_path, timeout_ms=5000)
    assert got['err'] == 'TIMEOUT' and got['outcome_unknown'] and len(got['objects']) > 10, str(got)[:500]
    assert time.monotonic() - begun < 40 and server.signals[0] == 'ctrl_c' and server.deleted == [server.shell_id]


COUNT = (1 << 18) + 1  # of an array's places jansson doubles


def test_output_that_cannot_be_shown_is_no_success(shared_lab, tmp_path):
    """A quarter of a million numbers, and no memory for their list: exec says so, and not that there was nothing."""
    class Counts(Server):
        left = COUNT

        def started(self):
            self.more()

        def more(self):
            for _ in range(min(self.left, 8000)):
                self.say(OUTPUT, '<I32>1</I32>', True)
                self.left -= 1
            if not self.left:
                self.say(STATE, COMPLETED, True)

        def receive(self, root):
            if self.pipeline and not self.waiting[True]:
                self.more()
            return super().receive(root)
    ldif = tmp_path / 'organisation.ldif'
    shared_lab.do('export', ldif)

    def show(form, enough):
        with Listener(Counts()) as listener:
            config = write_config(tmp_path, 'http://x/', 'winrm_auth = none', f'psrp_url = http://{{fqdn}}:{listener.port}/PowerShell/')
            env = clean_env()
            if not enough:  # the list wants four megabytes at once, nothing before it as much
                env['ASAN_OPTIONS'] += ':allocator_may_return_null=1:max_allocation_size_mb=3'
            return subprocess.run([str(PROGRAM), '--config', str(config), '--profile', 'test', '--source', f'ldif:{ldif}', '--format', form, 'exec',
                                   '--on', 'EXCAS01', '--via', 'psrp', '--', 'Get-Any', '-Name', 'x'], capture_output=True, text=True, env=env,
                                  stdin=subprocess.DEVNULL, timeout=120)
    done = show('text', True)
    assert done.returncode == 0 and done.stdout.count('1\n') == COUNT, done.stderr[-500:]
    if 'asan' not in PROGRAM.parts:
        pytest.skip('only this build can be given too little memory')
    done = show('json', False)
    assert done.returncode == 6, (done.stdout[:500], done.stderr[-500:])
    host, = json.loads(done.stdout)
    assert not host['ok'] and host['output'] == [] and 'cannot be shown' in host['errors'][0]['message'] and host['errors'][0]['id'] == 'NOMEM', host
    done = show('text', False)
    assert done.returncode == 6 and 'FAILED' in done.stdout and 'cannot be shown' in done.stdout, done.stdout[:500]
