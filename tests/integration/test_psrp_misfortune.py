"""PSRP and CLIXML that go wrong: text that is none, bombs, secrets, prompts, time that is over, servers that end or are none."""
import json

import pytest

from psrp_recording import WINDOWS, pools
from psrp_support import as_json, live, piped, psrp, pwsh
from test_psrp_windows import Windows


def test_clixml_that_is_none():
    deep = '<Obj><LST>' * 200 + '</LST></Obj>' * 200
    cases = {
        '': 'there is nothing', '<S>a': 'ends within', '<S>a</S><S>b</S>': 'follows', '<X>a</X>': '<X> is not known',
        '<!DOCTYPE S [<!ENTITY a "b">]><S>&a;</S>': 'a document type', '<S>&a;</S>': 'a reference', '<I32>x</I32>': '<I32>',
        '<I32>99999999999</I32>': '<I32>', '<B>maybe</B>': '<B>', '<BA>a</BA>': '<BA>', '<S>a</B>': '</B> where <S> is open',
        '<Ref RefId="0" />': 'a reference to an object', '<Obj><TNRef RefId="3" /></Obj>': 'a reference to types',
        '<Obj RefId="4000000000"><MS /></Obj>': 'leaps', deep: 'deeper', '<Obj><DCT><En><S N="Key">a</S></En></DCT></Obj>': 'an entry',
        '<S N="a" N="b">x</S>': 'twice', '<Obj>text</Obj>': 'text in <Obj>',
    }
    for text, why in cases.items():
        done = psrp('json', data=text, check=False)
        assert done.returncode == 1 and why in done.stderr.decode(), (text[:60], done.stderr)
    for raw in (b'<S>\xff</S>', b'<S>\xc0\x80</S>', b'<S>\xed\xa0\x80</S>', b'<S>\x01</S>', b'<S>\xef\xbf\xbe</S>'):
        assert psrp('json', data=raw, check=False).returncode == 1


def test_a_bomb_of_references():
    bomb = '<Objs><Obj RefId="0"><LST>' + '<S>x</S>' * 10 + '</LST></Obj>'
    for i in range(1, 40):
        bomb += f'<Obj RefId="{i}"><LST>' + f'<Ref RefId="{i - 1}" />' * 10 + '</LST></Obj>'
    out = psrp('json', data=bomb + '</Objs>').stdout
    assert len(out) < 100_000_000 and b'"$ref"' in out
    chain = '<Objs><Obj RefId="0"><LST /></Obj>' + ''.join(
        f'<Obj RefId="{i}"><LST><Ref RefId="{i - 1}" /></LST></Obj>' for i in range(1, 5000)) + '</Objs>'
    assert b'{"$ref":' in psrp('json', data=chain).stdout


def test_a_secure_string_is_never_kept():
    secret = '<Objs><Obj RefId="0"><MS><SS N="Password">cGFzc3dvcmQ=</SS></MS></Obj></Objs>'
    assert as_json(secret) == [{'Password': '(SecureString, refused)'}]
    done = psrp('rewrite', data=secret, check=False)
    assert done.returncode == 1 and b'SecureString' in done.stderr and b'cGFzc' not in done.stderr


@live
def test_what_cannot_travel_is_refused_here(pwsh, tmp_path):
    ran = tmp_path / 'ran'
    for got in piped(pwsh, tmp_path, [{'params': [['Identity', 'string', v]]} for v in ('\ufffe', 'a\uffffb')], env={'PSRP_RAN': str(ran)}):
        assert got['err'] == 'INPUT' and not got['sent'] and '-Identity' in got['what'] and 'U+FFF' in got['what']
    assert not ran.exists()


@live
def test_a_prompt_does_not_hang(pwsh, tmp_path):
    got, after = piped(pwsh, tmp_path, [{'cmdlet': 'Get-Answer', 'params': []}, {'params': [['Identity', 'string', 'x']]}])
    assert not got['ok'] and 'user interaction' in got['errors'][0]['message'] and after['ok']


@live
def test_a_host_that_is_called_for_says_no(pwsh, tmp_path):
    """The server believes in a host and waits for its answer: it gets an error, and the pool lives on."""
    got, width, after = piped(pwsh, tmp_path, [{'cmdlet': 'Get-Answer', 'params': []}, {'cmdlet': 'Get-HostName', 'params': []},
                                               {'params': [['Identity', 'string', 'x']]}], mode='ask')
    assert not got['ok'] and 'answers no prompts' in json.dumps(got['errors']) and not got['outcome_unknown'], got
    assert any('ReadLine' in w for w in got['warnings'])
    assert after['ok'] and after['objects'] == [{'Identity': 'x'}]


@live
def test_stopped_when_its_time_is_over(pwsh, tmp_path):
    got, after = piped(pwsh, tmp_path, [{'cmdlet': 'Get-Endless', 'params': [], 'timeout_ms': 5000}, {'params': [['Identity', 'string', 'x']]}])
    assert got['err'] == 'TIMEOUT' and got['sent'] and got['outcome_unknown']
    assert got['errors'][0]['id'] == 'PipelineStopped'  # the server said so: nothing runs on
    assert after['ok']


@live
def test_a_server_that_ends_in_the_middle(pwsh, tmp_path):
    got, after = piped(pwsh, tmp_path, [{'cmdlet': 'Get-Ended', 'params': []}, {'params': [['Identity', 'string', 'x']]}])
    assert got['err'] == 'UNREACHABLE' and got['sent'] and got['outcome_unknown'] and not got['ok']
    assert after['err'] == 'UNREACHABLE' and not after['sent'] and not after['outcome_unknown']


def test_servers_that_are_none():
    for command, why in (('head -c 1 > /dev/null; sleep 0.3', 'closed the stream'), ('echo welcome', 'the server said "welcome"'),
                         ("echo \"<Data Stream='Default' PSGuid='00000000-0000-0000-0000-000000000000'>AAAA\"; cat", 'the server said'),
                         ("echo \"<Data Stream='Default' PSGuid='00000000-0000-0000-0000-000000000000'>!</Data>\"; cat", 'no base64'),
                         ('head -c 7000000 /dev/zero | tr "\\0" a', 'a line longer'),
                         ("printf '\\0\\0\\n'; cat", 'the server said')):
        done = psrp('pipe', 'sh', '-c', command, data='{}\n', check=False, timeout=60)
        assert done.returncode == 1 and why in done.stderr.decode(), (command, done.stderr)


@pytest.mark.skipif(not WINDOWS.exists(), reason='no ../shared/fixtures/winrm')
def test_a_connection_lost_after_the_command(tmp_path):
    """The answers end after the Command: it is not sent again, and its outcome is not known."""
    pool, = pools('test_psrp_run_protocol_version_2.3')[0]
    lost = Windows(pool, pool.pipelines[0])
    usual = lost.answer

    def answer(request, n):
        told = usual(request, n)
        return (500, 'text/html', b'not an envelope') if lost.ops[-1] == 'receive' and lost.pid else told
    lost.answer = answer
    got = lost.run(tmp_path, 'Get-Any', [['Name', 'string', 'x']])
    assert got['err'] != 'OK' and got['sent'] and got['outcome_unknown'] and not got['ok'] and 'outcome is not known' in got['what']
    assert lost.ops.count('command') == 1 and lost.ops[-1] == 'delete'
