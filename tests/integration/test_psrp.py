"""CLIXML and PSRP by another's word: PowerShell's recordings and PowerShell's engine itself (../shared/peers), recordings of real Windows,
a real Exchange server's exports. What we read must be what its own client understood, what we write must come back the same."""
import base64
import hashlib
import http.server
import json
import os
import re
import struct
import subprocess
import threading

import pytest

from conftest import ENGINE_TMP, PROGRAM, ROOT, SHARED, clean_env
from test_pwsh import PEER, PWSH, Server, hostile_values, unpack

PSRP = PROGRAM.parent / 'tests/integration/psrp'
PUSH = PROGRAM.parent / 'tests/integration/push'
FIXTURES = SHARED / 'fixtures/pwsh'
WINDOWS = SHARED / 'fixtures/winrm/pypsrp-responses'
EXCHANGE = SHARED / 'fixtures/exchange-clixml'

recorded = pytest.mark.skipif(not FIXTURES.exists(), reason='no ../shared/fixtures/pwsh')
live = pytest.mark.skipif(not PEER.exists(), reason='no ../shared/peers')
windows = pytest.mark.skipif(not WINDOWS.exists(), reason='no ../shared/fixtures/winrm')
exchange = pytest.mark.skipif(not EXCHANGE.exists(), reason='no ../shared/fixtures/exchange-clixml')


@pytest.fixture(scope='module', autouse=True)
def helpers():
    for one in (PSRP, PUSH):
        if not one.exists():
            subprocess.run(['make', '-s', f'CONFIG={PROGRAM.parent.name}', str(one.relative_to(ROOT))], cwd=ROOT, check=True)


@pytest.fixture(scope='module')
def pwsh():
    if not PEER.exists():
        pytest.skip('no ../shared/peers')
    unpack()
    return PWSH


def psrp(*args, data=b'', check=True, timeout=120):
    if isinstance(data, str):
        data = data.encode()
    done = subprocess.run([str(PSRP), *map(str, args)], input=data, capture_output=True, timeout=timeout, env=clean_env())
    assert b'Sanitizer' not in done.stderr and b'runtime error' not in done.stderr, done.stderr
    assert not check or done.returncode == 0, done.stderr
    return done


def each(mode, files):
    """What the helper makes of each file."""
    return psrp(mode, *files).stdout.split(b'\x1e')[:-1]


def values_of(text):
    return [json.loads(line) for line in text.decode().split('\n')[:-1]]


def as_json(data):
    return values_of(psrp('json', data=data).stdout)


# ---- CLIXML ----

KNOWN = {
    'string': 'plain', 'empty': '', 'null': None, 'control': 'a\0b\x01\x1b[2J\r\n\t\x7f\x85\u2028', 'lonesurrogate': '\ufffdx\ufffd',
    'cjk': '\u65e5\u672c', 'rtl': '\u202eabc', 'xmlmeta': '<a href="x">&amp;</a>]]>', 'quotes': '\'"\u2018\u2019\u201a\u201b`$',
    'spaces': '  lead and trail  \n\n', 'int32': 42, 'int32min': -2**31, 'int64': -2**63, 'uint32': 2**32 - 1, 'uint64': str(2**64 - 1),
    'int16': -5, 'uint16': 9, 'byte': 255, 'sbyte': -1, 'true': True, 'false': False, 'double': 0.1, 'nan': 'NaN',
    'negativeinfinity': '-Infinity', 'doublemax': 1.7976931348623157e308, 'negativezero': 0, 'single': 1.5, 'char': 'x', 'charzero': '\0',
    'datetimeutc': '2012-10-16T09:30:15.123Z', 'datetimeunspecified': '2012-10-16T09:30:15.123', 'timespan': '00:15:30',
    'guid': '77378f46-2c66-4aa9-a6a6-3e7a48b19596', 'version': '14.3.123.4', 'uri': 'https://mail.contoso.com/rpc?a=1&b=2',
    'xml': '<a b="1">t</a>', 'scriptblock': " Get-Date; '<x>' ", 'bytes': 'AAECA/7/', 'bytesempty': '', 'array': [1, 'two', None, [3, 4]],
    'arrayempty': [], 'arraytyped': ['a', 'b'], 'arraynested': [[[1]]], 'list': ['a', 1], 'hashtable': {'a': 1},
    'hashtablekeys': {'1': 'int', 'a b': 'space', '': 'empty', 'n': None, 'l': ['x', 'y']}, 'enum': {'text': 'Tuesday', 'value': 2},
    'psobject': {'Name': 'EXCAS01', 'IISAuthenticationMethods': ['Basic', 'Ntlm'], 'SSLOffloading': False, 'Nothing': None},
    'psobjecttyped': {'Name': 'Rpc (Default Web Site)'}, 'psobjectempty': {},
    'psobjectoddnames': {'a b': 1, 'x<y': 2, 'd.o.t': 3, 'q\'"': 4, '_x0041_': 5, 'nl\n': 6}, 'notedstring': {'value': 'base', 'Extra': 7},
    'notedint': {'value': 5, 'Unit': 'KB'}, 'references': [{'n': 1}, {'n': 1}, {'again': {'n': 1}}],
    'selfreference': {'name': 'self', 'me': {'name': 'self', 'me': {'$ref': 1}}}, 'jagged': [[1, 2], [3]], 'dictionarytyped': {'a': 1},
    'regex': {'Options': {'text': 'None', 'value': 0}, 'RightToLeft': False, 'MatchTimeout': '-00:00:00.001'},
    'progressrecord': {'Activity': 'Moving', 'ActivityId': 1, 'ParentActivityId': -1, 'PercentComplete': -1, 'Type': 'Processing',
                       'SecondsRemaining': -1, 'StatusDescription': 'half'},
    'hostinfo': {'Width': 80, 'Height': 25}, 'mailaddress': {'DisplayName': '', 'User': 'a', 'Host': 'contoso.com', 'Address': 'a@contoso.com'},
}


def clixml_cases():
    return sorted(f for f in (FIXTURES / 'clixml').glob('*.clixml') if f.read_bytes().startswith(b'<Objs'))


@recorded
def test_clixml_as_json():
    seen = set()
    cases = clixml_cases()
    for case, text in zip(cases, each('json', cases), strict=True):
        values = values_of(text)
        assert len(values) == 1, case
        if case.stem in KNOWN:
            assert values[0] == KNOWN[case.stem], case.stem
            assert type(values[0]) is type(KNOWN[case.stem]) or case.stem == 'negativezero'
            seen.add(case.stem)
    assert seen == set(KNOWN)
    big, = as_json((FIXTURES / 'clixml/big.clixml').read_bytes())
    assert big == [{'Id': i, 'Name': f'user{i}', 'Tags': ['a', 'b'], 'Quota': i * 1048576} for i in range(1, 2001)]
    error, = as_json((FIXTURES / 'clixml/errorwrite.clixml').read_bytes())
    assert error['Exception']['Message'] == 'soft' and error['FullyQualifiedErrorId'] == 'Id1,WriteErrorCmd'


@recorded
@live
def test_what_we_write_comes_back_the_same(pwsh, tmp_path):
    """PowerShell reads its own text and ours and writes both again."""
    cases = clixml_cases() + sorted(EXCHANGE.glob('*.xml'))
    lines, written = [], []
    for case, text in zip(cases, each('rewrite', cases), strict=True):
        ours = tmp_path / f'{case.stem}.ours'
        ours.write_bytes(text)
        written.append(ours)
        lines.append(f"Compare-One '{case}' '{ours}'")
    assert each('rewrite', written) == [ours.read_bytes() for ours in written]
    (tmp_path / 'compare.ps1').write_text("""
function Read-One($f) { ([System.Management.Automation.PSSerializer]::DeserializeAsList([IO.File]::ReadAllText($f)) | ForEach-Object {
    [System.Management.Automation.PSSerializer]::Serialize($_, 8) }) -join "`n" }
function Compare-One($a, $b) { $x = Read-One $a; $y = Read-One $b; if ($x -ceq $y -and $x.Length -gt 50) { 'same' } else { "DIFFERENT $a" } }
""" + '\n'.join(lines))
    done = subprocess.run([str(pwsh), '-NoProfile', '-NonInteractive', '-File', str(tmp_path / 'compare.ps1')], capture_output=True, text=True,
                          timeout=120, env={**clean_env(), 'HOME': str(tmp_path)})
    assert done.stdout.split() == ['same'] * len(cases), done.stdout + done.stderr
    assert len(cases) >= 75


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


@exchange
def test_exports_of_a_real_exchange_server():
    server, = as_json((EXCHANGE / 'GetExchangeServer.xml').read_bytes())
    assert server['Name'] == 'SOLO-E16A' and server['DataPath']['PathName'] == r'C:\Program Files\Microsoft\Exchange Server\V15\Mailbox'
    text = (EXCHANGE / 'GetExchangeCertificate.xml').read_bytes()
    certificates = as_json(text)
    thumbprints = [hashlib.sha1(base64.b64decode(one['RawData'])).hexdigest().upper() for one in certificates]
    assert thumbprints == re.findall(r'\[Thumbprint\]_x000D__x000A_  ([0-9A-F]{40})', text.decode('utf-16' if text[:1] == b'\xff' else 'utf-8'))
    assert thumbprints[0] == '92E196F3C8D3D753FCFC5B7690C3173AA1C0ABE3' and len(certificates) == 3
    ews, = as_json((EXCHANGE / 'GetWebServicesVirtualDirectory.xml').read_bytes())
    assert ews['Name'] == 'EWS (Default Web Site)'
    assert [m['text'] for m in ews['InternalAuthenticationMethods']][0] == 'Ntlm'
    assert len(as_json((EXCHANGE / 'GetServerComponentState.xml').read_bytes())) >= 30


# ---- recordings ----

def shown(value):
    """A value of ours as PowerShell's ToString prints what its client had."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        return 'System.Collections.ArrayList'
    if isinstance(value, dict):
        return '@{' + '; '.join(f'{k}={inner(v)}' for k, v in value.items()) + '}'
    return str(value)


def inner(value):
    return '' if isinstance(value, dict) or value is None else shown(value)


def at_top(value, theirs):
    """What stands alone: null by name, an empty object and a list in words that JSON has no room for."""
    if value is None:
        return 'null'
    if value in ([], {}) and theirs in ('', 'System.Collections.Hashtable'):
        return theirs
    text = shown(value)
    return f'{text[:40]}... {len(text)} characters' if len(text) > 300 else text


@recorded
@pytest.mark.parametrize('name', sorted(p.stem for p in (FIXTURES / 'psrp').glob('*.rec')) if FIXTURES.exists() else [])
def test_recordings_of_powershell(name):
    got = [json.loads(line) for line in psrp('replay', data=(FIXTURES / f'psrp/{name}.rec').read_bytes()).stdout.split(b'\n')[:-1]]
    want = [json.loads(line) for line in (FIXTURES / f'psrp/{name}.expect.jsonl').read_text().splitlines()]
    assert len(got) == len(want)
    for g, w in zip(got, want):
        assert g.pop('host_calls') == [] and g.pop('unreadable') == []
        if w['state'] != 'Completed':
            g['output'] = []  # PowerShell's client drops the output of a run that failed
        g['output'] = [at_top(a, b) for a, b in zip(g['output'], w['output'], strict=True)]
        assert g == w


def test_recording_of_psrpcore():
    rec = SHARED / 'fixtures/winrm/psrp-outofproc-psrpcore.rec'
    if not rec.exists():
        pytest.skip('no ../shared/fixtures/winrm')
    servers, error, other = (json.loads(line) for line in psrp('replay', data=rec.read_bytes()).stdout.split(b'\n')[:-1])
    assert [s['Name'] for s in servers['output']] == ['EX1', 'EX2']
    assert servers['output'][0]['AdminDisplayVersion'] == 'Version 15.1 (Build 2507.6)'
    assert error['errors'] == ['Peer.Boom | NotSpecified | boom from peer'] and other['state'] == 'Completed'


def fragments_of(text, pattern):
    return [base64.b64decode(s) for s in re.findall(pattern, text)]


def split(blob, open_objects):
    """(type, data) of each message that ends in blob: an own reading of the framing."""
    while blob:
        number, _, flags, size = struct.unpack('>QQBI', blob[:21])
        open_objects[number] = open_objects.get(number, b'') + blob[21:21 + size]
        blob = blob[21 + size:]
        if flags & 2:
            message = open_objects.pop(number)
            yield struct.unpack('<I', message[4:8])[0], message[24:40], message[40:]


def line_of(direction, element, guid, data=None):
    return f"{direction} <{element} PSGuid='{guid.lower()}'" + (f">{base64.b64encode(data).decode()}</{element}>" if data else ' />')


@windows
@pytest.mark.parametrize('name', sorted(p.stem for p in WINDOWS.glob('test_psrp_*.yml')) if WINDOWS.exists() else [])
def test_recordings_of_windows(name):
    """What real Windows sent, taken out of its envelopes: each pipeline ends as it did there, with as many objects and errors."""
    yaml = pytest.importorskip('yaml')
    lines, want, now, open_objects, pipeline = [], [], None, {}, None
    now_pid = None
    zero = '00000000-0000-0000-0000-000000000000'
    for message in yaml.safe_load((WINDOWS / f'{name}.yml').read_text())['messages']:
        request, response = message['request'] or '', message['response'] or ''
        for blob in fragments_of(request, r'<rsp:Arguments[^>]*>([^<]*)<'):
            for kind, pid, _ in split(blob, {}):
                if kind == 0x21006:
                    a, b, c = struct.unpack('<IHH', pid[:8])
                    now_pid, pipeline = pid, f'{a:08x}-{b:04x}-{c:04x}-{pid[8:10].hex()}-{pid[10:].hex()}'
                    lines.append(line_of('>', 'Command', pipeline))
                    now = {'output': 0, 'errors': 0, 'host': 0, 'state': None}
                    want.append(now)
        for blob in fragments_of(response, r'<rsp:Stream[^>]*>([^<]*)<'):
            lines.append(line_of('<', 'Data', zero, blob))
            for kind, pid, data in split(blob, open_objects):
                if pid != now_pid:
                    continue  # a pipeline that its client had left
                key = {0x41004: 'output', 0x41005: 'errors', 0x41100: 'host'}.get(kind)
                if now and key:
                    now[key] += 1
                elif now and kind == 0x41006:
                    now['state'] = {b'4': 'Completed', b'5': 'Failed', b'3': 'Stopped'}.get(
                        re.search(rb'PipelineState">(\d)', data).group(1), now['state'])
    done = psrp('replay', data='\n'.join(lines) + '\n', check=False)
    if not lines:
        return
    assert done.returncode == 0, done.stderr
    got = [json.loads(line) for line in done.stdout.split(b'\n')[:-1]]
    assert len(got) == len(want)
    for g, w in zip(got, want):
        assert g['unreadable'] == []
        assert (len(g['output']), len(g['errors']), len(g['host_calls'])) == (w['output'], w['errors'], w['host'])
        assert (g['state'] or '').split(':')[0] == (w['state'] or '')
    if name == 'test_psrp_with_jea_configuration':
        assert got[0]['state'] == 'Completed' and len(got) == 2
        assert 'no-language mode' in json.dumps(got[1])
    if name == 'test_psrp_error_failed':
        assert got[0]['state'].startswith('Failed: ')


# ---- PowerShell itself ----

EXCHANGE_PS1 = """
function Set-OutlookAnywhere { [CmdletBinding()] param(
    [Parameter(Mandatory=$true)][AllowEmptyString()][string]$Identity, [AllowEmptyString()][string]$ExternalHostname,
    [AllowEmptyCollection()][AllowEmptyString()][string[]]$IISAuthenticationMethods, [bool]$SSLOffloading, [switch]$WhatIfLike, [long]$Number,
    [AllowNull()][object]$Nothing)
    if ($env:PSRP_RAN) { [IO.File]::AppendAllText($env:PSRP_RAN, "Set-OutlookAnywhere`n") }
    if ($Identity -eq 'warn') { $PSCmdlet.WriteWarning('It takes up to fifteen minutes.') }
    if ($Identity -eq 'gone') {
        $e = [InvalidOperationException]::new("The operation couldn't be performed because object 'gone' couldn't be found on 'dc1.contoso.lab'.")
        $PSCmdlet.ThrowTerminatingError([System.Management.Automation.ErrorRecord]::new($e, '8EBB9CC0', 'InvalidArgument', 'gone'))
    }
    $PSBoundParameters }
function Get-Endless { for (;;) { [System.Threading.Thread]::Sleep(20) } }
function Get-Many { param([int]$Count, [int]$Size) for ($i = 0; $i -lt $Count; $i++) { [pscustomobject]@{ Id = $i; Text = 'x' * $Size } } }
function Get-Answer { $Host.UI.ReadLine() }
function Get-HostName { $Host.Name }
function Get-Ended { [System.Environment]::Exit(3) }
"""


def piped(pwsh, tmp_path, cases, *args, env=None, mode='pipe'):
    (tmp_path / 'exchange.ps1').write_text(EXCHANGE_PS1)
    lines = ''.join(json.dumps({'cmdlet': 'Set-OutlookAnywhere', **case}) + '\n' for case in cases)
    done = subprocess.run([str(PSRP), mode, str(pwsh), '-s', '-InitialScript', str(tmp_path / 'exchange.ps1'), *args], input=lines.encode(),
                          capture_output=True, timeout=200, env={**clean_env(), 'HOME': ENGINE_TMP, 'TMPDIR': ENGINE_TMP, **(env or {})})
    assert b'Sanitizer' not in done.stderr and done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.decode().split('\n')[:-1]]


def hostile_cases():
    values = hostile_values()
    assert len(values) >= 230
    cases, want = [], []
    for a, b in zip(values, values[1:] + values[:1]):
        cases.append({'params': [['Identity', 'string', a], ['ExternalHostname', 'string', b], ['IISAuthenticationMethods', 'list', [a, b, a]]]})
        want.append({'Identity': a, 'ExternalHostname': b, 'IISAuthenticationMethods': [a, b, a]})
    return cases, want


@live
@pytest.mark.parametrize('mode', [(), ('-LanguageMode', 'NoLanguage')], ids=['full', 'no-language'])
def test_hostile_values_reach_the_binder_as_data(pwsh, tmp_path, mode):
    cases, want = hostile_cases()
    ran = tmp_path / 'ran'
    for case, expected, got in zip(cases, want, piped(pwsh, tmp_path, cases, *mode, env={'PSRP_RAN': str(ran)}), strict=True):
        assert got['err'] == 'OK' and got['ok'] and got['errors'] == [] and got['objects'] == [expected], (case, got)
    assert len(ran.read_text().splitlines()) == len(cases)


@live
def test_each_kind_and_each_ending(pwsh, tmp_path):
    kinds, warned, gone, unknown, missing, none, after = piped(pwsh, tmp_path, [
        {'params': [['Identity', 'string', 'x'], ['SSLOffloading', 'bool', False], ['WhatIfLike', 'switch', None], ['Number', 'int', -2**40],
                    ['Nothing', 'null', None], ['IISAuthenticationMethods', 'words', ['Basic', 'NTLM']]]},
        {'params': [['Identity', 'string', 'warn']]}, {'params': [['Identity', 'string', 'gone']]},
        {'params': [['Identity', 'string', 'x'], ['NoSuch', 'string', 'y']]}, {'params': []}, {'cmdlet': 'Get-Mailbox', 'params': []},
        {'params': [['Identity', 'string', 'the pool lives on'], ['Number', 'int', 5]]}], '-LanguageMode', 'NoLanguage')
    assert kinds['objects'][0].pop('WhatIfLike')['IsPresent'] is True
    assert kinds['objects'] == [{'Identity': 'x', 'SSLOffloading': False, 'Number': -2**40, 'Nothing': None,
                                 'IISAuthenticationMethods': ['Basic', 'NTLM']}]
    assert warned['ok'] and warned['warnings'] == ['It takes up to fifteen minutes.']
    assert not gone['ok'] and gone['err'] == 'OK' and not gone['outcome_unknown']
    assert gone['errors'] == [{'message': "The operation couldn't be performed because object 'gone' couldn't be found on 'dc1.contoso.lab'.",
                               'id': '8EBB9CC0,Set-OutlookAnywhere', 'category': 'InvalidArgument', 'target': 'gone'}]
    assert unknown['errors'][0]['id'] == 'NamedParameterNotFound,Set-OutlookAnywhere'
    assert missing['errors'][0]['id'] == 'MissingMandatoryParameter,Set-OutlookAnywhere'  # asked for, and refused, not waited for
    assert none['errors'][0]['id'] == 'CommandNotFoundException' and none['errors'][0]['target'] == 'Get-Mailbox'
    assert after['ok'] and after['objects'] == [{'Identity': 'the pool lives on', 'Number': 5}]


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
    got, after = piped(pwsh, tmp_path, [{'cmdlet': 'Get-Endless', 'params': [], 'timeout_ms': 1500}, {'params': [['Identity', 'string', 'x']]}])
    assert got['err'] == 'TIMEOUT' and got['sent'] and got['outcome_unknown']
    assert got['errors'][0]['id'] == 'PipelineStopped'  # the server said so: nothing runs on
    assert after['ok']


@live
def test_a_server_that_ends_in_the_middle(pwsh, tmp_path):
    got, after = piped(pwsh, tmp_path, [{'cmdlet': 'Get-Ended', 'params': []}, {'params': [['Identity', 'string', 'x']]}])
    assert got['err'] == 'UNREACHABLE' and got['sent'] and got['outcome_unknown'] and not got['ok']
    assert after['err'] == 'UNREACHABLE' and not after['sent'] and not after['outcome_unknown']


@live
def test_large_objects_and_many(pwsh, tmp_path):
    large, many = piped(pwsh, tmp_path, [{'cmdlet': 'Get-Many', 'params': [['Count', 'int', 3], ['Size', 'int', 1000000]]},
                                         {'cmdlet': 'Get-Many', 'params': [['Count', 'int', 2000], ['Size', 'int', 10]]}])
    assert [len(o['Text']) for o in large['objects']] == [1000000] * 3
    assert [o['Id'] for o in many['objects']] == list(range(2000))


@live
def test_what_cannot_travel_is_refused_here(pwsh, tmp_path):
    ran = tmp_path / 'ran'
    for got in piped(pwsh, tmp_path, [{'params': [['Identity', 'string', v]]} for v in ('\ufffe', 'a\uffffb')], env={'PSRP_RAN': str(ran)}):
        assert got['err'] == 'INPUT' and not got['sent'] and '-Identity' in got['what'] and 'U+FFF' in got['what']
    assert not ran.exists()


def test_servers_that_are_none():
    for command, why in (('head -c 1 > /dev/null; sleep 0.3', 'closed the stream'), ('echo welcome', 'the server said "welcome"'),
                         ("echo \"<Data Stream='Default' PSGuid='00000000-0000-0000-0000-000000000000'>AAAA\"; cat", 'the server said'),
                         ("echo \"<Data Stream='Default' PSGuid='00000000-0000-0000-0000-000000000000'>!</Data>\"; cat", 'no base64'),
                         ('head -c 7000000 /dev/zero | tr "\\0" a', 'a line longer'),
                         ("printf '\\0\\0\\n'; cat", 'the server said')):
        done = psrp('pipe', 'sh', '-c', command, data='{}\n', check=False, timeout=60)
        assert done.returncode == 1 and why in done.stderr.decode(), (command, done.stderr)


# ---- as SSH's subsystem ----

@pytest.fixture(scope='module')
def subsystem(pwsh, tmp_path_factory):
    if not os.path.exists('/usr/sbin/sshd'):
        pytest.skip('no sshd')
    directory = tmp_path_factory.mktemp('subsystem')
    (directory / 'exchange.ps1').write_text(EXCHANGE_PS1)
    one = Server(directory, f'SetEnv HOME={ENGINE_TMP} TMPDIR={ENGINE_TMP} DOTNET_EnableDiagnostics=0\n'
                 'Subsystem powershell {pwsh} -sshs -NoLogo -LanguageMode NoLanguage -InitialScript {dir}/exchange.ps1',
                 'ssh_psrp = yes\n')
    for mode in ('auto', 'no'):
        text = (directory / 'config.ini').read_text().replace('ssh_psrp = yes', f'ssh_psrp = {mode}')
        (directory / f'{mode}.ini').write_text(text)
        (directory / f'{mode}.ini').chmod(0o600)
    try:
        yield one
    finally:
        one.stop()


def test_objects_over_ssh(subsystem):
    values = ["--% x'\u2019; Get-Item /; '$(calc)`\"\r\n\U0001f600", 'h\u00e4\u2019' * 10000]
    cases = [{'params': [['Identity', 'string', v], ['IISAuthenticationMethods', 'list', [v, 'NTLM']]]} for v in values]
    for value, got in zip(values, subsystem.push(cases), strict=True):
        assert got['ok'] and got['exit_code'] is None and got['output'] is None, got
        assert got['objects'] == [{'Identity': value, 'IISAuthenticationMethods': [value, 'NTLM']}]


def test_errors_over_ssh(subsystem):
    gone, unknown = subsystem.push([{'params': [['Identity', 'string', 'gone']]}, {'cmdlet': 'Get-Mailbox', 'params': []}])
    assert gone['errors'][0]['id'] == '8EBB9CC0,Set-OutlookAnywhere' and not gone['outcome_unknown']
    assert unknown['errors'][0]['id'] == 'CommandNotFoundException' and 'ssh_psrp = no' in unknown['warnings'][0]
    late, = subsystem.push([{'cmdlet': 'Get-Endless', 'params': [], 'timeout_ms': 6000}])
    assert late['err'] == 'TIMEOUT' and late['outcome_unknown'] and 'PipelineStopped' in [e['id'] for e in late['errors']]


def test_auto_takes_the_subsystem(subsystem):
    got, = subsystem.push([{'params': [['Identity', 'string', 'x']]}], 'auto.ini')
    assert got['objects'] == [{'Identity': 'x'}] and got['output'] is None


@pytest.fixture(scope='module')
def without_subsystem(pwsh, tmp_path_factory):
    if not os.path.exists('/usr/sbin/sshd'):
        pytest.skip('no sshd')
    one = Server(tmp_path_factory.mktemp('exec'), profile='ssh_psrp = auto\n')
    try:
        yield one
    finally:
        one.stop()


def test_auto_falls_back_to_a_command_line(without_subsystem):
    got, = without_subsystem.push([{'params': [['Identity', 'string', 'x']]}])
    assert got['ok'] and got['exit_code'] == 0 and json.loads(got['output']) == {'Identity': 'x'} and got['objects'] is None
    config = without_subsystem.dir / 'config.ini'
    (without_subsystem.dir / 'yes.ini').write_text(config.read_text().replace('ssh_psrp = auto', 'ssh_psrp = yes'))
    (without_subsystem.dir / 'yes.ini').chmod(0o600)
    refused, = without_subsystem.push([{'params': [['Identity', 'string', 'x']]}], 'yes.ini')
    assert refused['err'] == 'DENIED' and not refused['sent'] and 'no powershell subsystem' in refused['what'] and 'ssh_psrp' in refused['hint']
    assert without_subsystem.ran() == 1


# ---- over WS-Management, Windows as recorded ----

class Recorded:
    """A listener that answers each operation with the next recorded answer to one of its kind, the pipeline's name put right in it."""

    def __init__(self, name):
        yaml = pytest.importorskip('yaml')
        self.left = yaml.safe_load((WINDOWS / f'{name}.yml').read_text())['messages']
        self.seen, self.pid, self.said = [], None, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                status, body = outer.answer(self.rfile.read(int(self.headers['Content-Length'])).decode())
                self.send_response(status)
                self.send_header('Content-Type', 'application/soap+xml;charset=UTF-8')
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def action(xml):
        found = re.search(r'Action[^>]*>([^<]*)<', xml)
        return found.group(1).rsplit('/', 1)[-1] if found else ''

    def rename(self, found):
        """Fragments of the recorded pipeline, as ours."""
        blob, out = base64.b64decode(found.group(2)), b''
        while blob:
            size = struct.unpack('>I', blob[17:21])[0]
            one, blob = blob[:21 + size], blob[21 + size:]
            if one[16] & 1 and one[45:61] != bytes(16) and self.pid:
                one = one[:45] + self.pid + one[61:]
            out += one
        return found.group(1) + base64.b64encode(out).decode() + '<'

    def answer(self, request):
        action = self.action(request)
        self.seen.append(action)
        for blob in fragments_of(request, r'(?:Arguments|creationXml)[^>]*>([^<]*)<'):
            for kind, pid, data in split(blob, {}):
                self.said.append((kind, data.decode()))
                if kind == 0x21006:
                    self.pid = pid
        for i, message in enumerate(self.left):
            if message['request'] and self.action(message['request']) == action:
                del self.left[:i + 1]
                answer = re.sub(r'(<rsp:Stream[^>]*>)([^<]*)<', self.rename, message['response'] or '')
                status = (message.get('transport_error') or {}).get('code', 200)
                break
        else:
            answer, status = self.plain(action), 200
        message_id = re.search(r'MessageID[^>]*>([^<]*)<', request).group(1)
        return status, re.sub(r'(RelatesTo[^>]*>)[^<]*<', rf'\g<1>{message_id}<', answer).encode()

    @staticmethod
    def plain(action):
        name = 'ws/2004/09/transfer/DeleteResponse'
        if action == 'Signal':
            name = 'wbem/wsman/1/windows/shell/SignalResponse'
        return ('<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing">'
                f'<s:Header><a:Action>http://schemas.xmlsoap.org/{name}</a:Action><a:RelatesTo>x</a:RelatesTo></s:Header><s:Body>'
                + ('<rsp:SignalResponse xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"/>' if action == 'Signal' else '')
                + '</s:Body></s:Envelope>')

    def run(self, tmp_path, configuration='Microsoft.PowerShell'):
        config = tmp_path / 'config.ini'
        config.write_text('[test]\nwinrm_auth = none\nhost.windows = 127.0.0.1\n'
                          f'psrp_url = http://127.0.0.1:{self.server.server_address[1]}/wsman\npsrp_configuration = {configuration}\n')
        config.chmod(0o600)
        case = {'server': 'windows', 'fqdn': '127.0.0.1', 'generation': '2010', 'cmdlet': 'Get-Any', 'params': [['Name', 'string', 'x']]}
        done = subprocess.run([str(PUSH), str(config), 'psrp'], input=json.dumps(case) + '\n', capture_output=True, text=True, timeout=60,
                              env=clean_env())
        self.server.shutdown()
        self.server.server_close()
        assert done.returncode == 0 and 'Sanitizer' not in done.stderr, done.stderr
        return json.loads(done.stdout)

    def pipeline(self):
        return next(data for kind, data in self.said if kind == 0x21006)


@windows
@pytest.mark.parametrize('name,ok,objects', [
    ('test_psrp_with_jea_configuration', True, 1), ('test_psrp_run_protocol_version_2.1', True, None),
    ('test_psrp_run_protocol_version_2.3', True, None), ('test_psrp_long_running_cmdlet', True, None),
    ('test_psrp_no_profile', True, None), ('test_psrp_error_failed', False, None)])
def test_windows_over_ws_management(tmp_path, name, ok, objects):
    windows_server = Recorded(name)
    got = windows_server.run(tmp_path)
    assert got['err'] == 'OK' and got['sent'] and not got['outcome_unknown'] and got['ok'] == ok, got
    assert objects is None or len(got['objects']) == objects
    assert windows_server.seen[0] == 'Create' and windows_server.seen[-1] == 'Delete'  # nothing is left open
    assert windows_server.seen.count('Command') == 1
    assert [kind for kind, _ in windows_server.said] == [0x10002, 0x10004, 0x21006]
    assert ('MergeInformation' in windows_server.pipeline()) == (name != 'test_psrp_run_protocol_version_2.1')
    assert ('MergeError' in windows_server.pipeline()) == (name != 'test_psrp_run_protocol_version_2.1')
    if not ok:
        assert got['errors']
    if 'jea' in name:
        assert got['objects'][0]['Name'] == 'AllowUnencrypted'


@windows
def test_a_connection_lost_after_the_command(tmp_path):
    """The answers end after the Command: it is not sent again, and its outcome is not known."""
    lost = Recorded('test_psrp_run_protocol_version_2.3')
    usual = lost.answer

    def answer(request):
        if lost.action(request) == 'Receive' and lost.pid:
            return 500, b'not an envelope'
        return usual(request)
    lost.answer = answer
    got = lost.run(tmp_path)
    assert got['err'] != 'OK' and got['sent'] and got['outcome_unknown'] and not got['ok'] and 'outcome is not known' in got['what']
    assert lost.seen.count('Command') == 1 and lost.seen[-1] == 'Delete'
