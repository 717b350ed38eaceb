"""Every recording of real Windows that is at hand: our client says the same, and understands what it is told."""
import json
import re
import subprocess
import xml.etree.ElementTree as ET

import pytest

from conftest import SHARED, clean_env
from psrp_support import PUSH, build
from wsman_replay import A, OPS, RSP, S, W, X, Listener, Session, envelope, head, meaning, operation, relate, understood, write_config

RECORDINGS = SHARED / 'fixtures/winrm/pypsrp-responses'
FILES = sorted(p.name for p in RECORDINGS.glob('test_*.yml'))
SOAP_TRANSFER, ENUMERATION = X[1:-1], 'http://schemas.xmlsoap.org/ws/2004/09/enumeration'
SOAP = 'application/soap+xml;charset=UTF-8'
pytestmark = pytest.mark.skipif(not FILES, reason='the recordings (../shared/fixtures/winrm) are not here')


def load(name):
    yaml = pytest.importorskip('yaml', reason='python3-yaml is not installed')
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    return [m for m in yaml.load((RECORDINGS / name).read_text(), Loader=loader)['messages'] if operation(m['request'])]


def answer_from(messages, faults):
    """Answers as recorded, in order; what differs from the recorded request is kept in faults."""
    def answer(xml, n):
        root = ET.fromstring(xml)
        message_id = head(root, A + 'MessageID')
        if n >= len(messages): # a session that ends deletes the shell that the recording had left (Disconnect)
            action = head(root, A + 'Action')
            if OPS[action] != 'delete':
                faults.append(f'request {n} is one too many: {action}')
            return 200, SOAP, envelope(action + 'Response', message_id, '')
        m = messages[n]
        ours, theirs = meaning(xml), meaning(m['request'])
        faults.extend(f'request {n}: {k}: {ours[k]!r} instead of {theirs[k]!r}' for k in ours if ours[k] != theirs[k])
        status = (m.get('transport_error') or {}).get('code', 200)
        return status, SOAP, relate(m['response'], message_id).encode()
    return answer


def check_answer(job, said, expected):
    if 'fault' in expected:
        if expected['fault'] == 2150858793 and job['op'] == 'receive':
            assert said['err'] == 'OK' and said['timed_out'], said
        else:
            assert said['err'] != 'OK' and said['hint'] is not None, said
        assert said['fault']['code'] == expected['fault'] and said['fault']['subcode'] == expected['subcode'], said
        assert said['fault']['reason']
        return
    assert said['err'] == 'OK', said
    for key, value in expected.items():
        assert said[key] == value, (job['op'], key, said[key], value)


@pytest.mark.parametrize('name', FILES)
def test_recording(name, tmp_path):
    messages, faults, sessions = load(name), [], {}
    assert messages
    with Listener(answer_from(messages, faults)) as listener:
        config = write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/{meaning(messages[0]["request"])["to"]}', 'winrm_auth = none')
        try:
            for m in messages:
                root, job = ET.fromstring(m['request']), operation(m['request'])
                if job['op'] == 'create': # a session of ours has one shell, a recorded one several
                    key = understood(m['response'])['shell_id']
                else:
                    key = next((e.text for e in root.iter(W + 'Selector')), None)
                if key not in sessions: # winrm/config is nobody's
                    sessions[key] = Session(config)
                session = sessions[key]
                session.do(op='envelope', bytes=int(head(root, W + 'MaxEnvelopeSize')))
                session.do(op='timeout', seconds=int(head(root, W + 'OperationTimeout')[2:-1]))
                check_answer(job, session.do(**job), understood(m['response']))
        finally:
            for s in sessions.values():
                s.close()
        assert not faults, faults
        assert listener.connections == len(sessions) # one connection a session, never another


def test_the_judge_can_fail(tmp_path):
    """A recording that was changed is not taken for what we say."""
    name = 'test_winrs_standard.yml'
    messages, faults = load(name), []
    messages[0]['request'] = messages[0]['request'].replace('stdout stderr', 'stdout')
    with Listener(answer_from(messages, faults)) as listener:
        config = write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none')
        with Session(config) as session:
            job = operation(messages[0]['request'])
            job['output'] = 'stdout stderr'
            session.do(**job)
    assert any('body' in f for f in faults)


# ---- another client's requests, a real server's answers ----

MASTERZEN = SHARED / 'fixtures/winrm/masterzen'
PROFILE = ('create', 'options', [['WINRS_CODEPAGE', '65001', False], ['WINRS_NOPROFILE', 'TRUE', False]],
           [['WINRS_CODEPAGE', '65001', False], ['WINRS_NOPROFILE', 'FALSE', False]], 'no cmdlet of ours needs the account\'s profile')
# (operation, what, ours, theirs, why); the rest is the same
DIFFERS = [PROFILE] + [entry for op in ('create', 'command', 'receive', 'delete', 'signal') for entry in (
    (op, 'timeout', 'PT20S', 'PT5M0S' if op == 'signal' else 'PT60S',
     'so that Ctrl-C and a deadline are noticed sooner; a Receive that timed out is asked again'),
    (op, 'headers', ['SessionId'], [], 'by which a server knows the session again on a new connection (MS-WSMV 3.1.4.1.31)'))]
COMMAND = f'{RSP}Command'
STARTED = '1A6DEE6B-EC68-4DD6-87E9-030C0048ECC4'  # in executeCommandResponse


def samples():
    """{operation: envelope} of the other client's sequence."""
    text = (MASTERZEN / 'sample_requests.txt').read_text()
    envelopes = re.findall(r'<env:Envelope.*?</env:Envelope>', text, re.S)
    return {OPS[head(ET.fromstring(e), A + 'Action')]: e for e in envelopes}


def headers(xml):
    return {e.tag.rsplit('}', 1)[-1] for e in ET.fromstring(xml).find(S + 'Header')}


def unnamed(body):
    """Without names that a server gives out or a client asks for, and without the command's text."""
    tag, attributes, text, children = body
    return (tag, tuple(a for a in attributes if a[0] not in ('CommandId', 'ShellId')), None if tag == COMMAND else text, tuple(map(unnamed, children)))


def run_against(answers, tmp_path):
    """The winrm transport against those answers, one an operation (the last of Receive's again and again): (requests, result)."""
    left = {op: list(names) for op, names in answers.items()}

    def answer(xml, _):
        root = ET.fromstring(xml)
        message_id, op = head(root, A + 'MessageID'), OPS[head(root, A + 'Action')]
        if op not in left:
            return 200, SOAP, envelope(head(root, A + 'Action') + 'Response', message_id, '')
        text = (MASTERZEN / f'{left[op].pop(0) if len(left[op]) > 1 else left[op][0]}.xml').read_text()
        text = re.sub(r'CommandId="[^"]*"', f'CommandId="{STARTED}"', text)  # the answers are of several sessions
        return 500 if 'Fault>' in text else 200, SOAP, relate(text, message_id).encode()
    build(PUSH)
    with Listener(answer) as listener:
        config = write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none')
        case = {'server': 'EXCAS01', 'fqdn': 'excas01.contoso.lab', 'generation': '2010', 'cmdlet': 'Get-Any', 'params': []}
        done = subprocess.run([str(PUSH), str(config), 'winrm'], input=json.dumps(case) + '\n', capture_output=True, text=True, timeout=60,
                              env=clean_env())
        assert done.returncode == 0 and 'Sanitizer' not in done.stderr, done.stderr
        return listener.requests, json.loads(done.stdout)


masterzen = pytest.mark.skipif(not MASTERZEN.exists(), reason='no ../shared/fixtures/winrm/masterzen')
ANSWERS = {'create': ['createShellResponse'], 'command': ['executeCommandResponse'],
           'receive': ['operationTimeoutResponse', 'outputResponse', 'doneCommandResponse']}


@masterzen
def test_we_say_what_another_client_says(tmp_path):
    """masterzen/winrm's sequence for one command, and the same of the winrm transport: all that differs is in DIFFERS."""
    requests, _ = run_against(ANSWERS, tmp_path)
    stopped, _ = run_against({**ANSWERS, 'receive': ['executeCommandResponseWithError']}, tmp_path)  # then the command is ended
    theirs, found = samples(), []
    ours = {OPS[head(ET.fromstring(xml), A + 'Action')]: xml for xml in reversed(stopped + requests)}
    assert set(theirs) == {'create', 'command', 'receive', 'delete', 'signal'} == set(ours)
    for op, xml in theirs.items():
        a, b = meaning(ours[op]), meaning(xml)
        for one in (a, b):
            one['body'] = [unnamed(child) for child in one['body']]
            one['selectors'] = [name for name, _ in one['selectors']]
        a['headers'], b['headers'] = sorted(headers(ours[op]) - headers(xml)), sorted(headers(xml) - headers(ours[op]))
        found += [(op, k, a[k], b[k]) for k in a if a[k] != b[k]]
        assert head(ET.fromstring(xml), W + 'MaxEnvelopeSize') == a['envelope']
    allowed = [entry[:4] for entry in DIFFERS]
    assert [one for one in found if one not in allowed] == [] and [one for one in allowed if one not in found] == []
    line = ET.fromstring(ours['command']).findtext(f'.//{COMMAND}')
    assert re.fullmatch(r'powershell -NoProfile -NonInteractive -EncodedCommand [A-Za-z0-9+/=]+', line)


@masterzen
def test_what_a_real_server_answered_is_understood(tmp_path):
    requests, got = run_against(ANSWERS, tmp_path)
    assert [OPS[head(ET.fromstring(r), A + 'Action')] for r in requests] == ['create', 'command'] + ['receive'] * 3 + ['delete']
    assert got['err'] == 'OK' and got['exit_code'] == 123 and got['output'] == "That's all folks!!!" and not got['ok'], got
    assert [e['message'] for e in got['errors']] == ["This is stderr, I'm pretty sure!"] and not got['outcome_unknown']
    _, got = run_against({**ANSWERS, 'receive': ['singleOutputResponse', 'doneCommandExitCode0Response']}, tmp_path)
    assert got['ok'] and got['exit_code'] == 0 and got['output'] == "That's all folks!!!" and got['errors'] == []
    requests, got = run_against({**ANSWERS, 'command': ['executeCommandResponseWithError']}, tmp_path)
    assert got['err'] == 'REMOTE' and not got['sent'] and not got['outcome_unknown'] and 'too long' in got['what']
    assert OPS[head(ET.fromstring(requests[-1]), A + 'Action')] == 'delete'


# ---- OMI ----

OMI = SHARED / 'fixtures/winrm/omi/omi-basic-plain.rec'


@pytest.mark.skipif(not OMI.exists(), reason='no ../shared/fixtures/winrm/omi')
def test_omi_is_understood(tmp_path):
    """Microsoft's server for Linux, byte by byte: its dialect of the envelope is read, its answer to another operation is not."""
    asked, told = (part.split(b'\n', 1)[1] for part in re.split(rb'@@ (?=[CS]->)', OMI.read_bytes())[1:3])
    request, answer = (part.replace(b'\r\n', b'\n').partition(b'\n\n')[2].decode() for part in (asked, told))
    status, kind = int(told.split()[1]), re.search(rb'Content-Type: *([^\r\n]+)', told).group(1).decode()
    theirs = ET.fromstring(request)
    assert head(theirs, A + 'Action').endswith('/Enumerate') and kind == SOAP
    for action, name, value in (('GetResponse', 'ProductVersionString', '1.0.8-6'), ('GetResponse', 'OperatingSystem', 'LINUX'),
                                ('GetResponse', 'NoSuchProperty', ''), ('EnumerateResponse', 'ProductVersionString', None)):
        said = re.sub('(<wsa:Action>)[^<]*<', rf'\g<1>{SOAP_TRANSFER if action == "GetResponse" else ENUMERATION}/{action}<', answer)

        def reply(xml, _):
            return status, kind, relate(said, head(ET.fromstring(xml), A + 'MessageID')).encode()
        with Listener(reply) as listener:
            with Session(write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none')) as session:
                got = session.do(op='get', resource=head(theirs, W + 'ResourceURI'), of_shell=False, name=name)
            ours = ET.fromstring(listener.requests[0])
        if value is None:
            assert got['err'] == 'PROTOCOL' and 'another operation' in got['what'], got
        else:
            assert got['err'] == 'OK' and got['value'] == value, got
        # what both clients say of themselves is the same; the rest is the operation's
        for tag in (f'{A}ReplyTo/{A}Address', W + 'ResourceURI'):
            assert head(ours, tag) == head(theirs, tag)
    assert re.search(rb'Content-Type: *([^\r\n]+)', asked).group(1).decode() == listener.headers[0]['Content-Type'] == SOAP
