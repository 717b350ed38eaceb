"""Every PSRP recording of real Windows, driven through our client (psrp_wsman.c, by the helper `push`): what it says is compared with what
the recorded client said, what it understands with what the recorded server said as psrp_recording.py reads it.

One run of the client is one pool with one pipeline, so a recorded pool with three pipelines is driven three times. ROWS says of each
recording what of it the client cannot be asked for, and why that is right."""
import base64
import json
import re
import subprocess
import xml.etree.ElementTree as ET

import pytest

from conftest import casbridge, clean_env
from psrp_recording import STREAMS, WINDOWS, Reader, blobs, line_of, load, names, pools, rename, said, split
from psrp_support import PUSH, build, psrp
from wsman_replay import A, FAULT, OPS, RSP, Listener, envelope, fault, head, meaning, relate, write_config

pytestmark = pytest.mark.skipif(not WINDOWS.exists(), reason='no ../shared/fixtures/winrm')
SOAP = 'application/soap+xml;charset=UTF-8'


NO_PIPELINE = fault(2150858843, 'InvalidSelectors', 'The recording has no pipeline.')
NOTHING_YET = fault(2150858793, 'TimedOut', 'The pool has nothing to say.')


class Windows:
    """A listener that is the recorded server of one pool and one pipeline of it, or none. faults: what our client should not have said."""

    def __init__(self, pool, pipeline, refusal=None):
        self.pool, self.pipeline, self.refusal = pool, pipeline, refusal
        self.opening = list(pool.opening)
        self.receives, self.sends = (list(pipeline.receives), list(pipeline.sends)) if pipeline else ([], [])
        self.ops, self.pairs, self.messages, self.faults, self.pid, self.objects = [], [], [], [], None, {}

    def recorded(self, op, root):
        """The recorded message that this request is the counterpart of; None: there is none."""
        if op == 'receive':
            of_pipeline = any(e.get('CommandId') for e in root.iter())
            left = self.receives if of_pipeline else self.opening
            if not left and not of_pipeline and 'command' in self.ops:
                return None  # a pipeline with nothing to say is no reason not to ask the pool
            if not left:
                self.faults.append(f'a Receive too many ({"pipeline" if of_pipeline else "pool"})')
            return left.pop(0) if left else None
        if op == 'send':
            return self.sends.pop(0) if self.sends else None
        pipeline = self.pipeline
        return {'create': self.pool.create, 'delete': self.pool.delete, 'command': pipeline and pipeline.command,
                'signal': pipeline and pipeline.signal}[op]

    def answer(self, xml, _):
        root = ET.fromstring(xml)
        action, message_id = head(root, A + 'Action'), head(root, A + 'MessageID')
        op = OPS[action]
        self.ops.append(op)
        for blob in blobs(xml):
            for kind, pid, text in split(blob, self.objects):
                self.messages.append((kind, text))
                self.pid = pid if kind == 'CREATE_PIPELINE' else self.pid
        m = self.recorded(op, root)
        self.pairs.append((op, xml, m and m['request']))
        if op == 'command' and not self.pipeline:
            refused = self.refusal and relate(self.refusal, message_id).encode()
            return 500, SOAP, refused or envelope(FAULT, message_id, NO_PIPELINE)
        if m is None and op == 'receive':
            return 500, SOAP, envelope(FAULT, message_id, NOTHING_YET)
        if m is None:
            body = {'signal': '<rsp:SignalResponse/>', 'send': '<rsp:SendResponse/>'}.get(op, '')
            return 200, SOAP, envelope(action + 'Response', message_id, body)
        text = m['response']
        if self.pid:
            text = re.sub(STREAMS, lambda s: s.group(1) + base64.b64encode(rename(base64.b64decode(s.group(2)), self.pid)).decode(), text)
        return (m.get('transport_error') or {}).get('code', 200), SOAP, relate(text, message_id).encode()

    def run(self, folder, cmdlet, params):
        build(PUSH)
        resource = meaning(self.pool.create['request'])['resource']
        with Listener(self.answer) as listener:
            path = write_config(folder, 'http://unused/', 'winrm_auth = none', f'psrp_url = http://{{fqdn}}:{listener.port}/wsman',
                                f'psrp_configuration = {resource.rsplit("/", 1)[-1]}')
            case = {'server': 'EXCAS01', 'fqdn': 'excas01.contoso.lab', 'generation': '2010', 'cmdlet': cmdlet, 'params': params}
            done = subprocess.run([str(PUSH), str(path), 'psrp'], input=json.dumps(case) + '\n', capture_output=True, text=True, timeout=60,
                                  env=clean_env())
        assert done.returncode == 0 and 'Sanitizer' not in done.stderr, done.stderr
        return json.loads(done.stdout)


def cmdlet_of(pipeline):
    """The recorded pipeline's first command as a case of ours, where it is a cmdlet with parameters; what stands for a script otherwise."""
    if pipeline is None or pipeline.kind != 'CREATE_PIPELINE':
        return 'Get-Any', [['Name', 'string', 'x']]
    one = Reader(pipeline.text).value()['PowerShell']['Cmds'][0]
    if one['IsScript'] or any(a['N'] is None for a in one['Args']):
        return 'Get-Any', [['Name', 'string', 'x']]
    kinds = {str: 'string', int: 'int', bool: 'bool'}
    return one['Cmd'], [[a['N'], kinds[type(a['V'])], a['V']] for a in one['Args']]


def drive(name, folder):
    """(pool, pipeline, server, what our client understood) of each run."""
    out = []
    for pool in pools(name)[0]:
        for pipeline in pool.pipelines or [None]:
            refusal = next((m['response'] for op, _, m in pool.others if op == 'get' and m.get('transport_error')), None)
            server = Windows(pool, pipeline, refusal)
            out.append((pool, pipeline, server, server.run(folder, *cmdlet_of(pipeline))))
    return out


ID = {'create': r'ShellId="([^"]*)"', 'command': r'CommandId="([^"]*)"'}


def differences(op, ours, theirs):
    """{what: (ours, theirs)} of a pair of requests: the envelope by meaning, PSRP by the leaves of its messages."""
    out = {}
    if op in ID: # each client names its own
        ours = ours.replace(re.search(ID[op], ours).group(1), re.search(ID[op], theirs).group(1))
    a, b = (meaning(re.sub(STREAMS, r'\1', x)) for x in (ours, theirs))
    out.update({k: (a[k], b[k]) for k in a if a[k] != b[k]})
    a, b = ([(kind, Reader(text).leaves()) for x in blobs(xml) for kind, _, text in split(x, {})] for xml in (ours, theirs))
    for kind in dict.fromkeys(k for k, _ in a + b):
        la, lb = (next((leaves for k, leaves in side if k == kind), {}) for side in (a, b))
        out.update({f'{kind} {leaf}': (la.get(leaf), lb.get(leaf)) for leaf in {**la, **lb} if la.get(leaf) != lb.get(leaf)})
    return out


# ---- what may differ, and why ----

KIND = 'System.Management.Automation.Runspaces.'
POWERSHELLS = "as PowerShell's own client says it: test_psrp_recorded.py compares that"
# (operation, what, ours, theirs, why); None: whatever it is
EVERYWHERE = [
    ('receive', 'options', [['WSMAN_CMDSHELL_OPTION_KEEPALIVE', 'TRUE', False]], [['WSMAN_CMDSHELL_OPTION_KEEPALIVE', 'True', False]],
     'a truth is spelt either way'),
    ('command', 'options', [], [['WINRS_SKIP_CMD_SHELL', 'False', False]], 'an option of the command shell, which PSRP has no use for'),
    ('create', 'INIT_RUNSPACEPOOL ApartmentState', 'Unknown 2 System.Threading.ApartmentState', f'UNKNOWN 2 {KIND}ApartmentState', POWERSHELLS),
    ('create', 'INIT_RUNSPACEPOOL HostInfo._useRunspaceHost', 'B false', 'B true', POWERSHELLS),
    ('command', 'CREATE_PIPELINE ApartmentState', 'Unknown 2 System.Threading.ApartmentState', f'UNKNOWN 2 {KIND}ApartmentState', POWERSHELLS),
    ('command', 'CREATE_PIPELINE RemoteStreamOptions', 'AddInvocationInfo 15 System.Management.Automation.RemoteStreamOptions',
     f'AddInvocationInfo 15 {KIND}RemoteStreamOptions', POWERSHELLS),
    ('command', 'CREATE_PIPELINE PowerShell.RedirectShellErrorOutputPipe', 'B true', 'B false', POWERSHELLS),
    ('command', 'CREATE_PIPELINE PowerShell.ExtraCmds', None, 'Nil', POWERSHELLS),
]
HOST = ('create|command', r'(INIT_RUNSPACEPOOL|CREATE_PIPELINE) HostInfo\..*', 'the recorded client has a host; this one says that it has none')
SCRIPT = ('command', r'CREATE_PIPELINE PowerShell\.Cmds\[0\]\.(Cmd|IsScript|Args.*)',
          'a script: this client sends a cmdlet with its parameters, all that an endpoint in no-language mode takes')
MORE = ('command', r'CREATE_PIPELINE PowerShell\.ExtraCmds.*', 'a second statement, which is a second pipeline to this client')
SLOWER = ('create|command|receive|delete', 'timeout', 'the recorded client was told another OperationTimeout')
SHARED_CONNECTION = ('create|receive', 'envelope', "the recorded client's second pool goes by what the first one's server said")
INPUT = ('command', r'CREATE_PIPELINE (NoInput|PowerShell\.Cmds\[0\]\.Merge.*)', 'input for a script, and its errors among its output')
METADATA = ('command', r'(CREATE_PIPELINE|GET_COMMAND_METADATA) .*', 'Import-PSSession asks so for cmdlets to imitate; here Get-Command is a cmdlet')
ANSWER = ('send', r'body|PIPELINE_HOST_RESPONSE m[er].*',
          "an error instead of an answer, and on the pipeline's own stream, as MS-PSRP 3.1.4.1.3 has it (the recorded client names no command)")
DISCONNECT = 'a session of ours is one command long and then deleted: there is nothing to come back to'
IDLE = ('create', 'body', 'the recorded client asks for an idle time-out of a minute; this one leaves it to the server')
HISTORY = ('command', 'CREATE_PIPELINE AddToHistory', 'a history is for people')
ALIVE = 'the next command finds out, and is told the same'
POOL = 'the pool is always of one runspace'
KEYS = 'keys are exchanged to send a SecureString: no cmdlet of Exchange that is pushed takes one, so none is sent and none is opened'


class Row:
    """differs: besides EVERYWHERE. beyond: what the recorded client did that this one does not do, in words of MS-WSMV and MS-PSRP."""

    def __init__(self, *differs, beyond='', why=''):
        self.differs, self.beyond, self.why = differs, sorted(beyond.split()), why


ROWS = {
    'test_psrp_application_args': Row(SCRIPT, ('create', r'INIT_RUNSPACEPOOL ApplicationArguments.*', 'for $PSSenderInfo of a script')),
    'test_psrp_clear_commands': Row(SCRIPT),
    'test_psrp_disconnect_runspaces': Row(SHARED_CONNECTION, beyond='disconnect reconnect enumerate connect', why=DISCONNECT),
    'test_psrp_disconnected_commands': Row(SCRIPT, SHARED_CONNECTION, beyond='disconnect reconnect enumerate connect', why=DISCONNECT),
    'test_psrp_error_failed': Row(SCRIPT),
    'test_psrp_get_command_metadata': Row(METADATA),
    'test_psrp_is_alive_invalid_selectors': Row(IDLE, beyond='get', why=ALIVE),
    'test_psrp_is_alive_other_wsman_error': Row(IDLE, SLOWER, beyond='get', why=ALIVE),
    'test_psrp_is_alive_state_disconnected': Row(IDLE, beyond='get', why=ALIVE),
    'test_psrp_key_exchange_timeout': Row(beyond='PUBLIC_KEY', why=KEYS),
    'test_psrp_long_running_cmdlet': Row(MORE, SLOWER),
    'test_psrp_multiple_invocations': Row(SCRIPT),
    'test_psrp_no_profile': Row(SCRIPT, ('create', 'options', "the account's profile is loaded, as Exchange's endpoint does anyway")),
    'test_psrp_open_runspace': Row(),
    'test_psrp_pshost_methods': Row(SCRIPT, HOST),
    'test_psrp_pshost_raw_ui_mocked_methods': Row(SCRIPT, HOST, ANSWER),
    'test_psrp_pshost_ui_mocked_methods': Row(SCRIPT, HOST, ANSWER, beyond='PUBLIC_KEY', why=KEYS),
    'test_psrp_reset_runspace_state': Row(SCRIPT, HISTORY, beyond='RESET_RUNSPACE_STATE', why='every command has a pool of its own'),
    'test_psrp_reset_runspace_state_fail': Row(beyond='RESET_RUNSPACE_STATE', why='every command has a pool of its own'),
    'test_psrp_run_protocol_version_2.1': Row(SCRIPT, INPUT),
    'test_psrp_run_protocol_version_2.3': Row(SCRIPT, INPUT),
    'test_psrp_set_runspaces': Row(beyond='GET_AVAILABLE_RUNSPACES SET_MAX_RUNSPACES SET_MIN_RUNSPACES', why=POOL),
    'test_psrp_stream_no_output_invocation': Row(SCRIPT, ('command', 'CREATE_PIPELINE RemoteStreamOptions', 'records without who said them')),
    'test_psrp_with_history': Row(SCRIPT, HISTORY),
    'test_psrp_with_jea_configuration': Row(MORE),
    'test_psrp_with_no_history': Row(SCRIPT),
}


def excuse(row, op, what, ours, theirs):
    """The entry that allows for a difference; None: there is none."""
    for entry in EVERYWHERE:
        if entry[:2] == (op, what) and entry[2] == ours and entry[3] == theirs:
            return entry
    return next((e for e in row.differs if re.fullmatch(e[0], op) and re.fullmatch(e[1], what)), None)


def expected_warnings(pipeline):
    out = []
    for kind, text in pipeline.messages():
        if kind == 'WARNING_RECORD':
            out += said([(kind, text)])['warnings']
        elif kind == 'PIPELINE_HOST_CALL':
            (_, method, _), = said([(kind, text)])['host_calls']
            out.append(f'the command asked its host for {method}: there is none, it was refused')
    if any(e['id'] == 'ScriptsNotAllowed' for e in said(pipeline.messages())['errors']):
        out.append('the endpoint is in no-language mode: one cmdlet with parameters a pipeline, nothing else')
    return out


def check_understood(pipeline, got):
    want = said(pipeline.messages())
    assert got['err'] == 'OK' and got['sent'] and not got['outcome_unknown'], got
    assert got['objects'] == want['output'] and got['errors'] == want['errors'] and got['warnings'] == expected_warnings(pipeline)
    assert {k: got[k] for k in ('verbose', 'debug', 'information')} == {k: want[k] for k in ('verbose', 'debug', 'information')}
    assert got['ok'] == (want['state'] == 'Completed' and not want['errors'])


def check_answers(pipeline, server):
    """Each host call that waits is answered, by its number: an error where the recorded client had an answer."""
    ours, theirs = ([Reader(text).value() for text in texts] for texts in
                    ([text for kind, text in server.messages if kind == 'PIPELINE_HOST_RESPONSE'], pipeline.responses()))
    assert [(o['ci'], o['mi']) for o in ours] == [(t['ci'], t['mi']) for t in theirs]
    assert all('answers no prompts' in o['me']['Exception']['Message'] for o in ours) and all('mr' in t for t in theirs)
    sent = [ET.fromstring(xml).find(f'.//{RSP}Stream') for op, xml, _ in server.pairs if op == 'send']
    assert [(one.get('Name'), one.get('CommandId')) for one in sent] == [('pr', pipeline.id)] * len(theirs)


@pytest.mark.parametrize('name', names())
def test_recording(name, tmp_path):
    row, used = ROWS[name], []
    for pool, pipeline, server, got in drive(name, tmp_path):
        for op, ours, theirs in server.pairs:
            for what, (a, b) in (differences(op, ours, theirs) if theirs else {}).items():
                entry = excuse(row, op, what, a, b)
                assert entry, (op, what, 'ours', a, 'theirs', b)
                used.append(entry)
        assert server.faults == [] and server.opening == [] and server.receives == []
        kinds = [kind for kind, _ in server.messages if kind != 'PIPELINE_HOST_RESPONSE']
        assert kinds == ['SESSION_CAPABILITY', 'INIT_RUNSPACEPOOL', 'CREATE_PIPELINE']
        begun = ['create'] + ['receive'] * len(pool.opening) + ['command']
        assert server.ops[:len(begun)] == begun and server.ops[-1] == 'delete' and server.ops.count('command') == 1
        if pipeline:
            assert server.ops[-2] == 'signal'
            check_understood(pipeline, got)
            check_answers(pipeline, server)
        else:
            assert not got['sent'] and not got['outcome_unknown'] and got['objects'] is None, got
            assert got['err'] == 'REMOTE' and ('PT-1S' if 'other_wsman' in name else 'is gone on the server') in got['what'], got
    assert all(entry in used for entry in row.differs), 'a difference that is none any more'


@pytest.mark.parametrize('name', names())
def test_what_is_beyond(name):
    """ROWS leaves nothing out: each recorded operation is driven, or in its row with a reason."""
    found, (recorded, nobodys) = set(), pools(name)
    for op, kinds, _ in [one for pool in recorded for one in pool.others]:
        found.update(kinds if op == 'send' else [op])
    assert sorted(found) == ROWS[name].beyond and bool(found) == bool(ROWS[name].why)
    assert {OPS.get(head(ET.fromstring(m['request']), A + 'Action')) for m in nobodys} <= {None}
    assert set(ROWS) == set(names())


def test_every_difference_that_is_allowed_is_there(tmp_path):
    """Each row of EVERYWHERE is met: in an ordinary recording there are all."""
    met = set()
    for _, _, server, _ in drive('test_psrp_clear_commands', tmp_path):
        for op, ours, theirs in server.pairs:
            met.update((op, what) for what in (differences(op, ours, theirs) if theirs else {}))
    assert {entry[:2] for entry in EVERYWHERE} <= met


# What was on the recorded screen, for the judge's sake: read off the recordings by eye.
KNOWN = {
    'test_psrp_application_args': [[{'test_var': 'abcdef12345'}]], 'test_psrp_clear_commands': [['new']],
    'test_psrp_disconnected_commands': [['a', 'b'], ['a', 'b']], 'test_psrp_error_failed': [['before']],
    'test_psrp_long_running_cmdlet': [['hi']], 'test_psrp_multiple_invocations': [[2], [2]],
    'test_psrp_no_profile': [['C:\\WINDOWS\\SYSTEM32\\CONFIG\\SYSTEMPROFILE']],
    'test_psrp_pshost_ui_mocked_methods': [['ReadLine response', '(SecureString, refused)', {'prompt field': 'prompt response'},
                                            {'UserName': 'username', 'Password': '(SecureString, refused)'}, 1]],
    'test_psrp_reset_runspace_state': [['hi'], []], 'test_psrp_stream_no_output_invocation': [['output stream']],
    'test_psrp_with_no_history': [[1, 2], []],
}


@pytest.mark.parametrize('name', KNOWN)
def test_the_judge_reads_what_people_read(name):
    assert [said(p.messages())['output'] for pool in pools(name)[0] for p in pool.pipelines] == KNOWN[name]


def test_the_judge_can_fail(tmp_path):
    """A recording that was changed is not taken for what we say or understand."""
    pool, = pools('test_psrp_long_running_cmdlet')[0]
    pipeline, = pool.pipelines
    server = Windows(pool, pipeline)
    got = server.run(tmp_path, 'Start-Sleep', [['Seconds', 'int', 11]])
    op, ours, theirs = next(pair for pair in server.pairs if pair[0] == 'command')
    found = differences(op, ours, theirs)['CREATE_PIPELINE PowerShell.Cmds[0].Args[0].V']
    row = ROWS['test_psrp_long_running_cmdlet']
    assert found == ('I32 11', 'I32 10') and not excuse(row, op, 'CREATE_PIPELINE PowerShell.Cmds[0].Args[0].V', *found)
    got['objects'] = ['ho']
    with pytest.raises(AssertionError):
        check_understood(pipeline, got)


# ---- what `exec` shows of it ----

def test_exec_shows_every_stream(shared_lab, tmp_path):
    """Objects, errors and warnings as the result; verbose, debug and information on standard error, in JSON as lists of their own."""
    ldif = tmp_path / 'organisation.ldif'
    shared_lab.do('export', ldif)

    def run(name, form):
        pool, = pools(name)[0]
        with Listener(Windows(pool, pool.pipelines[0]).answer) as listener:
            path = write_config(tmp_path, 'http://unused/', 'winrm_auth = none', f'psrp_url = http://{{fqdn}}:{listener.port}/wsman',
                                'psrp_configuration = Microsoft.PowerShell')
            return casbridge('--config', path, '--profile', 'test', '--source', f'ldif:{ldif}', '--format', form, 'exec', '--on', 'EXCAS01',
                             '--via', 'psrp', '--', 'Get-Any', '-Name', 'x')
    streams = ('verbose', 'debug', 'information')
    done = run('test_psrp_stream_no_output_invocation', 'text')
    assert [line for line in done.err.splitlines() if 'stream' in line] == [f'casbridge: EXCAS01: {s}: {s} stream' for s in (
        'debug', 'verbose', 'information')]
    assert done.code == 6 and not any(f'{s} stream' in done.out for s in streams)
    assert all(line in done.out.splitlines() for line in ('output stream', 'warning: warning stream', 'error: error stream'))
    done = run('test_psrp_stream_no_output_invocation', 'json')
    host, = done.json()
    assert host['output'] == ['output stream'] and host['warnings'] == ['warning stream'] and host['errors'][0]['message'] == 'error stream'
    assert {s: host[s] for s in streams} == {s: [f'{s} stream'] for s in streams} and 'stream' not in done.err
    host, = run('test_psrp_clear_commands', 'json').json()
    assert host['output'] == ['new'] and not set(streams) & set(host)  # the document is the contract's where nothing was said


# ---- all that the recorded servers said, also beyond what our client asks for ----


@pytest.mark.parametrize('name', names())
def test_all_that_was_said_is_understood(name):
    """Every message of the server in the order in which it came, through psrp.h alone; answers to what we never ask are passed over."""
    lines, pipelines = [], []
    for m in load(name):
        for blob in blobs(m['request']):
            for kind, pid, _ in split(blob, {}):
                if kind in ('CREATE_PIPELINE', 'GET_COMMAND_METADATA'):
                    lines.append(line_of('>', 'Command', pid))
                    pipelines.append((pid, []))
        objects = {}
        for blob in blobs(m['response']):
            lines.append(line_of('<', 'Data', bytes(16), blob))
            for kind, pid, text in split(blob, objects):
                if pipelines and pid == pipelines[-1][0]:  # one that its client had left is not listened to
                    pipelines[-1][1].append((kind, text))
    got = [json.loads(line) for line in psrp('replay', data='\n'.join(lines) + '\n').stdout.split(b'\n')[:-1]]
    assert len(got) == len(pipelines)
    for one, (_, messages) in zip(got, pipelines):
        want = said(messages)
        ended = want['state'] == 'Failed' and want['errors'].pop()
        want['state'] = f'Failed: {ended["message"]}' if ended else want['state']
        want['errors'] = [f'{e["id"]} | {e["category"]} | {e["message"]}' for e in want['errors']]
        want['host_calls'] = [method for _, method, _ in want['host_calls']]
        assert one == {**want, 'unreadable': []}
