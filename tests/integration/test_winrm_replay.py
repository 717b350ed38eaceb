"""Every recording of real Windows that is at hand: our client says the same, and understands what it is told."""
import pathlib
import xml.etree.ElementTree as ET

import pytest

from conftest import SHARED
from wsman_replay import A, OPS, W, Listener, Session, head, meaning, operation, relate, understood, write_config

RECORDINGS = SHARED / 'fixtures/winrm/pypsrp-responses'
FILES = sorted(p.name for p in RECORDINGS.glob('test_*.yml'))
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
            return 200, SOAP, DELETED.format(message_id).encode()
        m = messages[n]
        ours, theirs = meaning(xml), meaning(m['request'])
        faults.extend(f'request {n}: {k}: {ours[k]!r} instead of {theirs[k]!r}' for k in ours if ours[k] != theirs[k])
        status = (m.get('transport_error') or {}).get('code', 200)
        return status, SOAP, relate(m['response'], message_id).encode()
    return answer


DELETED = ('<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing">'
           '<s:Header><a:Action>http://schemas.xmlsoap.org/ws/2004/09/transfer/DeleteResponse</a:Action><a:RelatesTo>{}</a:RelatesTo>'
           '</s:Header><s:Body/></s:Envelope>')


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
