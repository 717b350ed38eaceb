"""The lab's WinRM against python3-winrm, which was written by others and has talked to many a Windows."""
import base64
import json
import os
import re
import subprocess

import pytest
from conftest import HERE, PASSWORD, PROLOGUE, SNAPIN

pytest.importorskip('winrm')
LEGACY = """openssl_conf = o
[o]
providers = p
[p]
default = d
legacy = l
[d]
activate = 1
[l]
activate = 1
"""
EXCAS01 = 'excas01.contoso.lab'


class Answer:
    def __init__(self, answer):
        self.error, self.text = answer.get('error'), answer.get('text', '')
        self.results = [
            (r['code'], base64.b64decode(r['out']).decode(), base64.b64decode(r['err']).decode())
            for r in answer['results']
        ]

    def __repr__(self):
        return f'{self.error}: {self.text}; {self.results}'


def encoded(script):
    return {
        'command': 'powershell',
        'arguments': [
            '-NoProfile',
            '-NonInteractive',
            '-EncodedCommand',
            base64.b64encode(script.encode('utf-16-le')).decode(),
        ],
    }


def pywinrm(lab, url, *commands, user='admin', **options):
    options.setdefault('username', user)
    options.setdefault('password', PASSWORD)
    options.setdefault('ca_trust_path', lab.config['trust'])
    options.setdefault('operation_timeout_sec', 2)
    options.setdefault('read_timeout_sec', 10)
    conf = os.path.join(lab.dir, 'openssl-legacy.cnf')
    with open(conf, 'w', encoding='utf-8') as f:
        f.write(LEGACY)
    commands = [c if isinstance(c, dict) else {'command': c} for c in commands]
    request = {'url': url, 'hosts': lab.hosts, 'options': options, 'commands': commands}
    done = subprocess.run(
        ['/usr/bin/python3', '-B', os.path.join(HERE, 'pywinrm_client.py')],
        input=json.dumps(request),
        env={**lab.environment(user), 'OPENSSL_CONF': conf},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Answer(json.loads(done.stdout))


def knobs(lab, server, *lines):
    with open(os.path.join(lab.dir, 'faults', server), 'w', encoding='utf-8') as f:
        f.write(''.join(line + '\n' for line in lines))


def shells(lab, server='EXCAS01'):
    return json.loads(lab.command('shells').stdout)[server]


def log(lab, server='EXCAS01'):
    with open(os.path.join(lab.dir, 'winrm', f'{server}.log'), encoding='utf-8') as f:
        return f.read()


def url(kind, host=EXCAS01):
    return {
        'http': f'http://{host}:10985/wsman',
        'https': f'https://{host}:10986/wsman',
        'exchange': f'http://{host}:10080/PowerShell/',
    }[kind]


@pytest.fixture
def faulty(lab):
    """For tests that set knobs."""
    yield lab
    lab.command('reset')


WAYS = {
    'basic over TLS': ('https', dict(transport='basic')),
    'NTLM, sealed': ('http', dict(transport='ntlm', message_encryption='always')),
    'NTLM over TLS': ('https', dict(transport='ntlm', message_encryption='never')),
    'Kerberos over TLS': ('https', dict(transport='kerberos')),
}


@pytest.mark.parametrize('way', WAYS)
def test_a_shell_from_open_to_close(lab, way):
    kind, options = WAYS[way]
    before = shells(lab)['operations']
    script = f'{PROLOGUE}Add-PSSnapin {SNAPIN[2010]}\nGet-OutlookAnywhere -Server EXCAS01'
    got = pywinrm(lab, url(kind), 'echo h\u00e4llo', 'hostname', 'nonsense', 'exit 3', encoded(script), **options)
    assert got.error is None, got
    assert got.results[0] == (0, 'h\u00e4llo\r\n', '')
    assert got.results[1] == (0, 'EXCAS01\r\n', '')
    assert got.results[2][0] == 1 and 'not recognized' in got.results[2][2]
    assert got.results[3] == (3, '', '')
    assert got.results[4][0] == 0 and 'ExternalHostname' in got.results[4][1]
    after = shells(lab)
    assert after['shells'] == []
    begun = {k: v - before.get(k, 0) for k, v in after['operations'].items()}
    assert begun == {'Create': 1, 'Command': 5, 'Receive': begun['Receive'], 'Signal': 5, 'Delete': 1}
    assert 5 <= begun['Receive'] < 10  # output and end of a short command come together


def test_plain_text_is_refused_unless_allowed(faulty):
    """Windows: Basic is not offered without TLS, and after NTLM what is not sealed gets an empty 500."""
    refused = pywinrm(faulty, url('http'), 'hostname', transport='plaintext')
    assert refused.error == 'InvalidCredentialsError'
    unsealed = pywinrm(faulty, url('http'), 'hostname', transport='ntlm', message_encryption='never')
    assert unsealed.error == 'WinRMTransportError' and '500' in unsealed.text
    assert 'not encrypted' in log(faulty)
    kerberos = pywinrm(faulty, url('http'), 'hostname', transport='kerberos', message_encryption='never')
    assert kerberos.error == 'WinRMTransportError' and '500' in kerberos.text
    knobs(faulty, 'EXCAS01', 'winrm-allow-unencrypted')
    for way in ('plaintext', 'ntlm', 'kerberos'):
        got = pywinrm(faulty, url('http'), 'hostname', transport=way, message_encryption='never')
        assert got.error is None and got.results == [(0, 'EXCAS01\r\n', '')], (way, got)


@pytest.mark.parametrize('way', WAYS)
def test_wrong_password(lab, way):
    kind, options = WAYS[way]
    if options['transport'] == 'kerberos':
        pytest.skip('the ticket is the credential')
    got = pywinrm(lab, url(kind), 'hostname', password='wrong', **options)
    assert got.error == 'InvalidCredentialsError', got
    assert shells(lab)['shells'] == []


def test_kerberos_needs_a_ticket_and_the_right_name(lab):
    lab.kinit('carol')
    got = pywinrm(lab, url('https', 'ex10ntlm.contoso.lab'), 'hostname', user='carol', transport='kerberos')
    assert got.results == [(0, 'EX10NTLM\r\n', '')]


def test_a_long_command_times_out_the_operation_only(faulty):
    knobs(faulty, 'EXCAS01', 'winrm-delay 3')
    got = pywinrm(
        faulty, url('https'), encoded('exit 7'), transport='basic', operation_timeout_sec=1, read_timeout_sec=5
    )
    assert got.results[0][0] == 7
    assert 'Receive' in log(faulty) and 'fault 2150858793' in log(faulty)


def test_much_output_comes_whole(lab):
    got = pywinrm(lab, url('https'), encoded('#' * 4000), transport='basic')
    assert '2147942606' in got.text  # over cmd.exe's limit
    big = 'echo ' + 'x' * 8000
    got = pywinrm(lab, url('http'), *[big] * 5, transport='ntlm', message_encryption='always')
    assert [len(out) for _, out, _ in got.results] == [8002] * 5


def test_quotas(faulty):
    knobs(faulty, 'EXCAS01', 'winrm-max-commands 0')
    got = pywinrm(faulty, url('https'), 'hostname', transport='basic')
    assert '2150859174' in got.text
    knobs(faulty, 'EXCAS01', 'winrm-throttle 60000')
    got = pywinrm(faulty, url('https'), 'hostname', transport='basic')
    assert 'QuotaLimit' in got.text and re.search(r'for at least [0-9]+ milliseconds', got.text), got
    assert shells(faulty)['shells'] == []


def test_faults_on_request(faulty):
    for operation, code, name in (
        ('Create', 2150859173, 'QuotaLimit'),
        ('Command', 2150858843, 'InvalidSelectors'),
        ('Receive', 995, ''),
        ('Signal', 5, 'AccessDenied'),
    ):
        knobs(faulty, 'EXCAS01', f'winrm-fault {operation} {code}')
        got = pywinrm(faulty, url('https'), 'hostname', transport='basic')
        assert got.error == 'WinRMError' and str(code) in got.text and name in got.text, got
    assert shells(faulty)['shells'] == []  # also after a fault pywinrm deletes its shell


def test_dropped_connections_say_whether_it_was_done(faulty):
    """before: nothing was done; after: it was, and only the log knows."""
    for knob, done in (('winrm-drop-before', 0), ('winrm-drop-after', 1)):
        faulty.command('reset')
        knobs(faulty, 'EXCAS01', f'{knob} Command')
        with pytest.raises(AssertionError, match='Connection(Error| aborted)'):
            pywinrm(faulty, url('https'), 'hostname', transport='basic')
        assert shells(faulty)['operations'].get('Command', 0) == done


def test_a_closed_connection_takes_its_context_along(faulty):
    faulty.command('reset')  # its counters begin anew
    knobs(faulty, 'EXCAS01', 'winrm-close-after 4')  # three to log in, one to open the shell
    try:  # it logs in anew and seals by the old context, or sees 401, or notices too late that the connection had gone
        got = pywinrm(faulty, url('http'), 'hostname', transport='ntlm', message_encryption='always')
        assert got.error in ('InvalidCredentialsError', 'WinRMTransportError'), got
    except AssertionError as e:
        assert 'RemoteDisconnected' in str(e)
    counts = shells(faulty)['operations']
    assert counts['Create'] == 1 and 'Command' not in counts


def test_exchanges_endpoint_is_elsewhere(lab):
    """/PowerShell/ takes no NTLM and no cmd shell; 2007 has none at all."""
    with pytest.raises(AssertionError, match='StopIteration'):  # requests_ntlm trips over a plain refusal
        pywinrm(lab, url('exchange'), 'hostname', transport='ntlm', message_encryption='always')
    assert 'exchange - - 401 NTLM is not taken here' in log(lab)
    assert '10080' in lab.config['psrp_url']
    done = subprocess.run(
        ['curl', '-s', '-m', '5', f'http://{lab.hosts["e2k7cas01.contoso.lab"]}:10080/PowerShell/'], check=False
    )
    assert done.returncode == 7


# ---- envelopes by hand


ENVELOPE = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/'
    'addressing" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" '
    'xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"><s:Header>'
    '<a:To>https://x/wsman</a:To><a:Action s:mustUnderstand="true">{action}</a:Action><a:MessageID>uuid:1</a:MessageID>'
    '<a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>'
    '<w:ResourceURI>http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd</w:ResourceURI>'
    '<w:OperationTimeout>{timeout}</w:OperationTimeout>{more}</s:Header><s:Body>{body}</s:Body></s:Envelope>'
)
CREATE = 'http://schemas.xmlsoap.org/ws/2004/09/transfer/Create'
GET = 'http://schemas.xmlsoap.org/ws/2004/09/transfer/Get'
DELETE = 'http://schemas.xmlsoap.org/ws/2004/09/transfer/Delete'
SHELL = '<rsp:Shell><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>'


def post(lab, data, *options, user='admin', where='https', head=''):
    credentials = ['-u', f'{user}@contoso.lab:{PASSWORD}'] if where == 'https' else []
    done = subprocess.run(
        ['curl', '-s', '-k', '-m', '10', '-w', '%{http_code}', '--data-binary', '@-', *credentials, '-H',
         head or 'Content-Type: application/soap+xml;charset=UTF-8', *options,
         url(where, lab.hosts[EXCAS01])],
        input=data, capture_output=True, check=False,
    )  # fmt: skip
    return int(done.stdout[-3:]), done.stdout[:-3].decode()


def envelope(action=CREATE, timeout='PT20S', more='', body=SHELL):
    return ENVELOPE.format(action=action, timeout=timeout, more=more, body=body).encode()


def shell_id(text):
    return f'<w:SelectorSet><w:Selector Name="ShellId">{text}</w:Selector></w:SelectorSet>'


def test_what_is_no_request_is_a_fault(lab):
    for data, code in (
        (b'', None),
        (b'<a', 2150858769),
        (envelope()[:-20], 2150858769),
        (b'<!DOCTYPE s [<!ENTITY x "y">]>' + envelope(), 2150858769),
        (envelope(timeout='PT-1S'), 2150858767),
        (envelope(timeout='soon'), 2150858767),
        (envelope(action='urn:nothing'), 2150858752),
        (envelope(more='<q:New xmlns:q="urn:q" s:mustUnderstand="true"/>'), 2150858764),
        (envelope(more='<w:MaxEnvelopeSize>8191</w:MaxEnvelopeSize>'), 2150858747),
        (envelope(body=''), 2150858769),
        (envelope(DELETE, more=shell_id('1B2E2A2A-0000-0000-0000-000000000000')), 2150858843),
    ):
        status, text = post(lab, data)
        if code is None:
            assert status == 200 and text == ''
        else:
            assert status == 500 and f'Code="{code}"' in text, (data[:200], text)
    assert shells(lab)['shells'] == []


def test_a_shell_is_its_owners(lab):
    status, text = post(lab, envelope())
    assert status == 200
    number = re.search(r'Name="ShellId">([0-9A-F-]{36})<', text)[1]
    assert 'RelatesTo>uuid:1<' in text
    delete = envelope(DELETE, more=shell_id(number), body='')
    assert 'AccessDenied' in post(lab, delete, user='carol')[1]
    assert len(shells(lab)['shells']) == 1
    assert post(lab, delete)[0] == 200
    assert shells(lab)['shells'] == []


def test_a_command_that_cannot_be_handed_over_is_refused(lab):
    """With an environment as large as a message: it is never one that ended well without having run."""
    variable = '<rsp:Environment><rsp:Variable Name="long">{}</rsp:Variable></rsp:Environment><rsp:InputStreams>'
    for text, refused in (('\u00e9' * 80000, False), ('\u00e9' * 100000, True)):
        status, told = post(lab, envelope(body=SHELL.replace('<rsp:InputStreams>', variable.format(text))))
        assert status == 200
        more = shell_id(re.search(r'Name="ShellId">([0-9A-F-]{36})<', told)[1])
        line = '<rsp:CommandLine><rsp:Command>set</rsp:Command></rsp:CommandLine>'
        status, told = post(lab, envelope('http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Command', more=more, body=line))
        assert (status, 'too long' in told) == ((500, True) if refused else (200, False)), told
        assert post(lab, envelope(DELETE, more=more, body=''))[0] == 200
    assert shells(lab)['shells'] == []


def test_sealed_means_sealed(lab):
    """Without a context, with the context of nobody, and in plain after a login: refused, each in Windows' manner."""
    sealed = 'Content-Type: multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"'
    assert post(lab, b'--Encrypted Boundary\r\n', where='http', head=sealed)[0] == 401
    done = subprocess.run(
        ['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--negotiate', '-u', ':', '--resolve',
         f'{EXCAS01}:10985:{lab.hosts[EXCAS01]}', '-H', sealed, '--data-binary', 'x' * 300, url('http')],
        env=lab.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == '400' and 'not the layout' in log(lab)


def test_a_stranger_may_ask_who_we_are(lab):
    identify = (
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:i="http://schemas.dmtf.org/wbem/wsman/'
        b'identity/1/wsmanidentity.xsd"><s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>'
    )
    assert post(lab, identify, where='http')[0] == 401
    status, text = post(lab, identify, '-H', 'WSMANIDENTIFY: unauthenticated', where='http')
    assert status == 200 and 'ProductVendor' in text
    status, text = post(lab, envelope(), '-H', 'WSMANIDENTIFY: unauthenticated', where='http')
    assert status == 500 and 'AccessDenied' in text


def test_its_configuration_is_for_administrators(faulty):
    """Get of winrm/config; and what is longer than it says is refused."""
    get = envelope(GET, body='').replace(b'/wsman/1/windows/shell/cmd', b'/wsman/1/config')
    status, text = post(faulty, get)
    assert status == 200 and 'RelatesTo>uuid:1<' in text and '<cfg:MaxEnvelopeSizekb>500<' in text
    assert 'AccessDenied' in post(faulty, get, user='carol')[1]
    assert 'Code="2150858811"' in post(faulty, envelope(GET, body=''))[1]
    knobs(faulty, 'EXCAS01', 'winrm-max-envelope 40')
    assert '<cfg:MaxEnvelopeSizekb>40<' in post(faulty, get)[1]
    padded = get.replace(b'</s:Envelope>', b' ' * (40 * 1024 - len(get)) + b'</s:Envelope>')
    assert post(faulty, padded)[0] == 200 and post(faulty, padded + b' ') == (413, '')
