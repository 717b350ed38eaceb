"""CLIXML and PSRP as PowerShell, psrpcore and a real Exchange server left them: what we read is what their own clients understood, what we
say is what PowerShell's own client says, what we write comes back the same."""
import base64
import hashlib
import json
import re
import subprocess

import pytest

from conftest import SHARED, clean_env
from psrp_recording import Reader, frame, line_of, split, values_in
from psrp_support import EXCHANGE, FIXTURES, as_json, exchange, live, psrp, pwsh, recorded, values_of


def each(mode, files):
    """What the helper makes of each file."""
    return psrp(mode, *files).stdout.split(b'\x1e')[:-1]


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
def test_clixml_as_another_reader_has_it():
    """Every recorded document but two kinds that only KNOWN has: the same JSON as psrp_recording.py makes of it."""
    cases = [c for c in clixml_cases() + sorted(EXCHANGE.glob('*.xml')) if c.stem not in ('selfreference', 'progressrecord')]
    for case, text in zip(cases, each('json', cases), strict=True):
        raw = case.read_bytes()
        document = raw.decode('utf-16' if raw[:2] in (b'\xff\xfe', b'\xfe\xff') else 'utf-8-sig')
        assert values_of(text) == values_in(document), case.name
    assert len(cases) >= 75
    # PowerShell itself refused to write this one
    assert [c.stem for c in (FIXTURES / 'clixml').glob('*.clixml') if c not in clixml_cases()] == ['noncharacter']


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


WINRB = SHARED / 'fixtures/winrm/winrb-stubs/clixml'


@pytest.mark.skipif(not WINRB.exists(), reason='no ../shared/fixtures/winrm')
def test_records_of_windows_as_another_client_has_them():
    """Templates that were cut out of real records; what is put into them comes out."""
    said = {'error_message': "object 'x' &amp; more", 'error_id': 'Some.Id', 'pipeline_state': '5', 'script_root': 'C:\\', 'stack_trace': 'at line 1',
            'category_message': 'OperationStopped: (x:String) [], RuntimeException'}
    lines, pid = [], bytes(range(16))
    for i, (kind, name) in enumerate((('ERROR_RECORD', 'error_record'), ('PIPELINE_STATE', 'pipeline_state'))):
        text = re.sub('<%= *([a-z_]+) *%>', lambda m: said[m.group(1)], (WINRB / f'{name}.xml.erb').read_text())
        lines.append(line_of('<', 'Data', bytes(16), frame(i + 1, kind, pid, text.strip())))
    opened = [line_of('<', 'Data', bytes(16), frame(10 + i, kind, bytes(16), f'<Obj><MS>{text}</MS></Obj>')) for i, (kind, text) in enumerate((
        ('SESSION_CAPABILITY', '<Version N="protocolversion">2.3</Version>'), ('RUNSPACEPOOL_STATE', '<I32 N="RunspaceState">2</I32>')))]
    got, = values_of(psrp('replay', data='\n'.join(opened + [line_of('>', 'Command', pid)] + lines) + '\n').stdout)
    assert got['errors'] == ["Some.Id | NotSpecified | object 'x' & more"] and got['state'] == "Failed: object 'x' & more"
    assert got['unreadable'] == [] and got['output'] == []


# ---- what is said ----

# The recorded client is PowerShell 7: it speaks 2.4 and tells what it is, and its list is of another assembly's version.
NOT_OURS = {'SESSION_CAPABILITY protocolversion': ('Version 2.3', 'Version 2.4'),
            'INIT_RUNSPACEPOOL ApplicationArguments': ('Nil', None),
            'INIT_RUNSPACEPOOL ApplicationArguments:type': (None, 'System.Management.Automation.PSPrimitiveDictionary'),
            'INIT_RUNSPACEPOOL ApplicationArguments:keys': (None, 'PSVersionTable')}
SCRIPT = re.compile(r'CREATE_PIPELINE PowerShell\.Cmds\[0\]\.(Cmd|IsScript|Args.*)')  # this client sends none


def recorded_requests(name):
    """(type, CLIXML) of each message of the recorded client."""
    objects = {}
    for line in (FIXTURES / f'psrp/{name}.rec').read_text().splitlines():
        data = re.fullmatch(r"> <Data [^>]*>([^<]*)</Data>", line)
        if data:
            yield from ((kind, text) for kind, _, text in split(base64.b64decode(data.group(1)), objects))


def case_of(text):
    one = Reader(text).value()['PowerShell']['Cmds'][0]
    if one['IsScript']:
        return {'cmdlet': 'Get-Any', 'params': []}
    kinds = {str: 'string', int: 'int', bool: 'bool', list: 'list'}
    return {'cmdlet': one['Cmd'], 'params': [[a['N'], kinds[type(a['V'])], a['V']] for a in one['Args']]}


@recorded
@pytest.mark.parametrize('name', sorted(p.stem for p in (FIXTURES / 'psrp').glob('*.rec')) if FIXTURES.exists() else [])
def test_we_say_what_powershell_says(name):
    theirs = [m for m in recorded_requests(name) if m[0] not in ('PIPELINE_INPUT', 'END_OF_PIPELINE_INPUT')]
    cases = [case_of(text) for kind, text in theirs if kind == 'CREATE_PIPELINE']
    objects = {}
    ours = [(kind, text) for line in psrp('say', 3, data=''.join(json.dumps(c) + '\n' for c in cases)).stdout.decode().split()
            for kind, _, text in split(base64.b64decode(line), objects)]
    assert [kind for kind, _ in ours] == [kind for kind, _ in theirs]
    for (kind, a), (_, b) in zip(ours, theirs):
        a, b = Reader(a).leaves(), Reader(b).leaves()
        found = {f'{kind} {leaf}': (a.get(leaf), b.get(leaf)) for leaf in {**a, **b} if a.get(leaf) != b.get(leaf)}
        script = any(what.endswith('IsScript') for what in found)
        left = {what: pair for what, pair in found.items() if not (script and SCRIPT.fullmatch(what))}
        assert all(NOT_OURS.get(what) == pair for what, pair in left.items()), left


def test_an_older_server_is_told_less():
    """Fields that came with 2.2 and 2.3 stay away from a server that speaks less (MS-PSRP 2.2.3.11)."""
    seen = []
    for minor in (1, 2, 3):
        _, line = psrp('say', minor, data='{"cmdlet": "Get-Any", "params": []}\n').stdout.decode().split()
        (_, _, text), = split(base64.b64decode(line), {})
        seen.append({leaf.rsplit('.', 1)[-1] for leaf in Reader(text).leaves() if '.Merge' in leaf})
    assert seen[1] - seen[0] == {'MergeError', 'MergeWarning', 'MergeVerbose', 'MergeDebug'} and seen[2] - seen[1] == {'MergeInformation'}
