"""probe --protocol: each application asked in its own language, on servers that are well and on servers that are not."""
import os
import socket
import ssl
import subprocess
import threading
import xml.etree.ElementTree as ElementTree

import pytest
from conftest import clean_env

PASSWORD = 'Passw0rd!lab'
PROTOCOLS = ['mapi', 'owa', 'ecp', 'ews', 'eas', 'oab', 'autodiscover', 'powershell']
# what is ours of a run: the steps behind authentication
STEPS = {
    'mapi': ['ping-emsmdb', 'ping-nspi'],
    'owa': ['redirects', 'form'],
    'ecp': ['redirects', 'form'],
    'ews': ['get-folder'],
    'eas': ['options', 'folder-sync'],
    'oab': ['manifest'],
    'autodiscover': ['scp', 'settings', 'exch', 'expr', 'web', 'mobilesync'],
    'powershell': ['http'],
}
ALL_STEPS = {step for steps in STEPS.values() for step in steps} | {'proxy-door', 'build'}
WAYS = ['domain-url', 'autodiscover-url', 'http-redirect', 'srv', 'by-domain']


def probe(lab, server, *protocols, user='alice', password=PASSWORD, json=True, timeout=90):
    args = [server] if server else []
    for p in protocols:
        args += ['--protocol', p]
    if user:
        args += ['--user', f'{user}@contoso.lab', '--password', 'env:PROBE_PASSWORD']
    env = dict(clean_env(), PROBE_PASSWORD=password)
    return lab.run(*(['--format', 'json'] if json else []), 'probe', *args, env=env, timeout=timeout)


def seen(lab, server, *protocols, **kw):
    """{(protocol, step): observation} of one server's applications, and of the namespace's ways."""
    done = probe(lab, server, *protocols, **kw)
    assert PASSWORD not in done.out + done.err
    found = done.json()['observations']
    return {(o['protocol'], o['step']): o for o in found if o['step'] in ALL_STEPS or (o['step'] in WAYS and o['server'] is None)}


@pytest.fixture
def fault(shared_lab):
    """Writes a knob; nothing is left of it."""
    written = []

    def write(server, knob):
        path = shared_lab.dir / 'faults' / server
        path.write_text(knob + '\n')
        written.append(path)

    yield write
    for path in written:
        path.unlink(missing_ok=True)


# ---- well

@pytest.mark.parametrize('server,user', [('EXCAS01', 'alice'), ('EX13CAS01', 'dave'), ('E2K7CAS01', 'carol'), ('EX10NTLM', 'erin')])
def test_a_healthy_server_is_well_in_every_protocol(shared_lab, server, user):
    found = seen(shared_lab, server, *PROTOCOLS, user=user)
    legacy, oldest = server != 'EX13CAS01', server == 'E2K7CAS01'
    for protocol, steps in STEPS.items():
        absent = (protocol == 'mapi' and legacy) or (protocol in ('ecp', 'powershell') and oldest)
        for step in steps:
            if absent:
                assert (protocol, step) not in found
            else:
                o = found[protocol, step]
                assert o['outcome'] == 'ok', o
                assert o['server'] == server and o['elapsed_ms'] >= 0 and o['detail']
    assert (('eas', 'proxy-door') in found) == (server in ('EXCAS01', 'EX10NTLM'))
    builds = {o['detail'].split(',')[0] for (_, step), o in found.items() if step == 'build'}
    assert builds == {{'EX13CAS01': 'build 15.0.1497.2', 'E2K7CAS01': 'build 8.3.517'}.get(server, 'build 14.3.513')}


def test_the_shell_lets_kerberos_in(shared_lab):
    done = probe(shared_lab, 'EXCAS01', 'powershell')
    found = {o['step']: o for o in done.json()['observations'] if o['protocol'] == 'powershell'}
    assert found['logon-negotiate']['outcome'] == 'ok', found['logon-negotiate']


def test_details_say_what_was_seen(shared_lab):
    found = seen(shared_lab, 'EXCAS01', *PROTOCOLS)
    for key, words in {
        ('owa', 'redirects'): '302 to https://excas01.contoso.lab/owa/auth/logon.aspx, 200',
        ('owa', 'form'): 'logon form, sent to /owa/auth/owaauth.dll',
        ('ews', 'get-folder'): '200, the folder Inbox answers',
        ('eas', 'options'): 'ActiveSync of 14.3, protocol versions 2.0,2.1,2.5,12.0,12.1,14.0,14.1',
        ('eas', 'folder-sync'): 'status 1, 1 folder',
        ('eas', 'proxy-door'): '401, offers Negotiate, NTLM',
        ('oab', 'manifest'): 'manifest of \\Global Address List, sequence 1, 1 complete',
        ('autodiscover', 'settings'): 'settings for Alice Example, 3 providers',
        ('autodiscover', 'exch'): 'EXCH server outlook.contoso.lab, version 14.3.123',
        ('autodiscover', 'expr'): 'EXPR server mail.contoso.lab, SSL On, AuthPackage Basic',
        ('autodiscover', 'scp'): 'Outlook tries https://autodiscover.contoso.lab/Autodiscover/Autodiscover.xml',
        ('autodiscover', 'mobilesync'): 'ActiveSync at https://mail.contoso.lab/Microsoft-Server-ActiveSync',
        ('powershell', 'http'): '401 over http, offers Negotiate, Kerberos',
    }.items():
        assert words in found[key]['detail'], found[key]


def test_outlook_anywhere_that_is_off_is_named(shared_lab):
    found = seen(shared_lab, 'EXCAS02', 'autodiscover', 'owa', user='bob')
    assert found['autodiscover', 'expr']['outcome'] == 'failed'
    assert 'EXPR is missing: Outlook Anywhere is off' in found['autodiscover', 'expr']['detail']
    # an internal site has no forms, and the directory says so
    assert found['owa', 'redirects']['outcome'] == 'ok' and 'no form' in found['owa', 'redirects']['detail']
    assert ('owa', 'form') not in found


def test_without_a_user_what_needs_one_is_skipped_with_the_reason(shared_lab):
    found = seen(shared_lab, 'EXCAS01', *PROTOCOLS, user=None)
    for key in [('oab', 'manifest'), ('autodiscover', 'settings')]:
        assert found[key]['outcome'] == 'skipped' and '--user' in found[key]['detail']
    assert found['ews', 'get-folder']['outcome'] == 'ok'  # by the run's own ticket, whose account has no mailbox
    assert 'has no mailbox' in found['ews', 'get-folder']['detail']
    assert found['owa', 'form']['outcome'] == 'ok'
    assert not any(step in WAYS for _, step in found)


def test_text_names_the_steps(shared_lab):
    done = probe(shared_lab, 'EXCAS01', 'ews', 'autodiscover', json=False)
    assert done.code == 0, done.out
    for words in ('get-folder', 'settings', 'expr', 'scp', 'autodiscover-url', 'the folder Inbox answers'):
        assert words in done.out


def test_the_xml_carries_them(shared_lab):
    env = dict(clean_env(), PROBE_PASSWORD=PASSWORD)
    done = shared_lab.run('--format', 'xml', 'probe', 'EXCAS01', '--protocol', 'ews', '--protocol', 'autodiscover', '--user',
                          'alice@contoso.lab', '--password', 'env:PROBE_PASSWORD', env=env)
    assert done.code == 0, done.err
    root = ElementTree.fromstring(done.out.encode())
    by_test = {x.get('testdescription'): x for x in root.iter('testresult')}
    ews = by_test['Testing Exchange Web Services.']
    inbox = next(x for x in ews.iter('testresult') if 'GetFolder' in x.get('testdescription'))
    assert inbox.get('status') == 'Success' and 'the folder Inbox answers' in inbox.get('additionaldetails')
    found = by_test['Attempting to test potential Autodiscover URL https://autodiscover.contoso.lab/autodiscover/autodiscover.xml.']
    assert found.get('status') == 'Success' and int(found.get('elapsedMilliseconds')) >= 0
    expr = by_test['Validating the EXPR provider in the Autodiscover answer of https://excas01.contoso.lab/Autodiscover/Autodiscover.xml.']
    assert expr.get('status') == 'Success'


# ---- by the domain

def test_ways_by_the_domain(shared_lab):
    found = seen(shared_lab, 'EXCAS01', 'autodiscover')
    ways = {step: found['autodiscover', step] for step in WAYS}
    assert ways['domain-url']['outcome'] == 'skipped' and 'cannot be resolved' in ways['domain-url']['detail']
    assert ways['autodiscover-url']['outcome'] == 'ok', ways['autodiscover-url']
    assert ways['autodiscover-url']['name'] == 'autodiscover.contoso.lab'
    # EXCAS01 has no key for that name: Kerberos is refused there, and said
    assert 'negotiate refused, so' in ways['autodiscover-url']['detail'] and 'Alice' in ways['autodiscover-url']['detail']
    for step in ('http-redirect', 'srv'):
        assert ways[step]['outcome'] == 'skipped' and 'not needed: autodiscover.contoso.lab' in ways[step]['detail']
    assert ways['by-domain']['outcome'] == 'ok'


def test_the_ways_are_asked_once_a_run(shared_lab):
    done = probe(shared_lab, None, 'autodiscover')
    several = shared_lab.run('--format', 'json', 'probe', 'EXCAS01', 'EX13CAS01', 'EX10NTLM', '--protocol', 'autodiscover', '--user',
                             'alice@contoso.lab', '--password', 'env:PROBE_PASSWORD', env=dict(clean_env(), PROBE_PASSWORD=PASSWORD))
    assert done.code in (0, 6)
    assert [o['step'] for o in several.json()['observations']].count('by-domain') == 1


def no_autodiscover_name(lab):
    """Options that take autodiscover's https away, so that the next way is needed."""
    return ['--host', 'autodiscover.contoso.lab:443=127.0.0.1:9']


def ways_with(lab, *options):
    env = dict(clean_env(), PROBE_PASSWORD=PASSWORD)
    done = lab.run('--format', 'json', *options, 'probe', 'EXCAS01', '--protocol', 'autodiscover', '--user', 'alice@contoso.lab', '--password',
                   'env:PROBE_PASSWORD', env=env)
    return {o['step']: o for o in done.json()['observations'] if o['server'] is None and o['step'] in WAYS}


@pytest.mark.parametrize('knob,outcome,words', [
    ('plain redirect https://mail.contoso.lab/autodiscover/autodiscover.xml', 'ok', '302 to https://mail.contoso.lab/'),
    ('plain redirect https://evil.example/autodiscover/autodiscover.xml', 'skipped', 'evil.example is no name of this organisation'),
    ('plain redirect http://mail.contoso.lab/x', 'failed', 'no https URL, not followed'),
    ('plain page', 'failed', 'A positive HTTP response other than a redirect response was received'),
    ('http-delay 0', 'skipped', 'no redirect there: 403'),
])
def test_the_plain_redirect(shared_lab, fault, knob, outcome, words):
    fault('EXCAS01', knob)
    ways = ways_with(shared_lab, *no_autodiscover_name(shared_lab))
    assert ways['autodiscover-url']['outcome'] == 'skipped'
    assert ways['http-redirect']['outcome'] == outcome, ways['http-redirect']
    assert words in ways['http-redirect']['detail']
    assert ways['by-domain']['outcome'] == ('ok' if outcome == 'ok' else 'failed')


class Stranger(threading.Thread):
    """A TLS server with a certificate of its own making, which offers Basic and notes what it is sent."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        pem = folder / 'stranger.pem'
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj',
                        '/CN=autodiscover.contoso.lab', '-keyout', pem, '-out', folder / 'stranger.crt'], check=True, capture_output=True)
        self.context, self.heads = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
        self.context.load_cert_chain(folder / 'stranger.crt', pem)
        self.socket = socket.create_server(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]

    def run(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(client, server_side=True) as tls:
                    tls.settimeout(10)
                    head = tls.recv(65536)
                    if head:
                        self.heads.append(head)
                        tls.sendall(b'HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
            except OSError:
                pass


def test_no_credentials_where_the_certificate_is_not_trusted(shared_lab, tmp_path):
    stranger = Stranger(tmp_path)
    stranger.start()
    try:
        ways = ways_with(shared_lab, '--host', f'autodiscover.contoso.lab:443=127.0.0.1:{stranger.port}')
    finally:
        stranger.socket.close()
    o = ways['autodiscover-url']
    assert o['outcome'] == 'failed' and 'no credentials are sent' in o['detail'], o
    assert any(head.startswith(b'POST /autodiscover/') for head in stranger.heads)
    assert not any(b'authorization' in head.lower() for head in stranger.heads)


def test_a_web_site_at_the_domain_is_named(shared_lab, fault):
    host, port = shared_lab.address('excas02')
    fault('EXCAS02', 'http-503')
    ways = ways_with(shared_lab, '--host', f'contoso.lab:443={host}:{port}')
    assert ways['domain-url']['outcome'] == 'skipped' and '503' in ways['domain-url']['detail']


# ---- not well

LEGACY = 'EX10NTLM'


@pytest.mark.parametrize('knob,protocol,step,words', [
    ('app ews fault ErrorMailboxStoreUnavailable', 'ews', 'get-folder', '500 ErrorMailboxStoreUnavailable: the mailbox database is not mounted'),
    ('app ews fault ErrorOfTomorrow', 'ews', 'get-folder', '500 ErrorOfTomorrow: Asked for by a fault.'),
    ('app ews html', 'ews', 'get-folder', '200 text/html, but no answer of EWS'),
    ('app ews junk', 'ews', 'get-folder', '200 application/octet-stream, but no answer of EWS'),
    ('app ews huge', 'ews', 'get-folder', 'the answer is larger than 1024 KiB'),
    ('app ews laughs', 'ews', 'get-folder', 'document type'),
    ('app ews status 503', 'ews', 'get-folder', '503: service unavailable'),
    ('app ews away https://evil.example/', 'ews', 'get-folder', '302, redirects to https://evil.example/ (not followed)'),
    ('app eas bare-options', 'eas', 'options', 'without MS-Server-ActiveSync'),
    ('app eas moved https://other.contoso.lab/x', 'eas', 'folder-sync', '451: the mailbox is served elsewhere, at https://other.contoso.lab/x'),
    ('app eas status 403', 'eas', 'folder-sync', '403: forbidden: ActiveSync is disabled'),
    ('app eas status 500', 'eas', 'folder-sync', '500: internal error: does the user object inherit'),
    ('app eas status 503', 'eas', 'folder-sync', '503: service unavailable: the mailbox database is down'),
    ('app eas sync-status 129', 'eas', 'folder-sync', 'status 129: the device is blocked'),
    ('app eas html', 'eas', 'folder-sync', '200 text/html, but: '),
    ('app eas junk', 'eas', 'folder-sync', 'but: '),
    ('app eas huge', 'eas', 'folder-sync', 'larger than 1024 KiB'),
    ('app oab empty', 'oab', 'manifest', 'no complete file of version 4'),
    ('app oab html', 'oab', 'manifest', 'no manifest'),
    ('app oab status 404', 'oab', 'manifest', '404: the address book of the test user'),
    ('app autodiscover no-expr', 'autodiscover', 'expr', 'EXPR is missing: Outlook Anywhere is off'),
    ('app autodiscover no-package', 'autodiscover', 'expr', 'AuthPackage is missing'),
    ('app autodiscover wrong-url', 'autodiscover', 'exch', 'ASUrl https://gone.contoso.lab/EWS/Exchange.asmx is no virtual directory'),
    ('app autodiscover error 500', 'autodiscover', 'settings', 'Autodiscover error 500: the server does not know the address'),
    ('app autodiscover redirect-address alice@contoso.lab', 'autodiscover', 'settings', 'redirect loop: redirected to the address alice@contoso.lab'),
    ('app autodiscover redirect-address alice@evil.example', 'autodiscover', 'settings', 'of no domain of this organisation: not followed'),
    ('app autodiscover redirect-url https://evil.example/x', 'autodiscover', 'settings', 'evil.example is no name of this organisation'),
    ('app autodiscover redirect-url http://mail.contoso.lab/x', 'autodiscover', 'settings', 'no https URL: not followed'),
    ('app autodiscover away https://evil.example/x', 'autodiscover', 'settings', 'so no credentials are sent there'),
    ('app autodiscover html', 'autodiscover', 'settings', 'no answer of Autodiscover'),
    ('app autodiscover huge', 'autodiscover', 'settings', 'larger than 1024 KiB'),
    ('app autodiscover laughs', 'autodiscover', 'settings', 'document type'),
    ('app autodiscover junk', 'autodiscover', 'settings', 'no answer of Autodiscover'),
    ('app owa loop', 'owa', 'redirects', 'redirect loop: '),
    ('app owa html', 'owa', 'form', 'without a form that asks for them: the directory says forms-based'),
    ('app owa away https://evil.example/owa', 'owa', 'redirects', 'no server of this organisation, not followed'),
    ('app owa huge', 'owa', 'form', 'larger than 1024 KiB'),
    ('app ecp status 503', 'ecp', 'redirects', '503: service unavailable'),
    ('plain ssl', 'powershell', 'http', '403: RequireSsl is on'),
    ('plain page', 'powershell', 'http', '200'),
])
def test_what_is_wrong_is_named(shared_lab, fault, knob, protocol, step, words):
    fault(LEGACY, knob)
    found = seen(shared_lab, LEGACY, protocol, user='erin')
    o = found[protocol, step]
    assert o['outcome'] == 'failed' and words in o['detail'], o


@pytest.mark.parametrize('code,words', [(5, 'the request type is not known'), (16, 'the endpoint is disabled')])
def test_mapi_codes(shared_lab, fault, code, words):
    fault('EX13CAS01', f'app mapi code {code}')
    o = seen(shared_lab, 'EX13CAS01', 'mapi', user='dave')['mapi', 'ping-emsmdb']
    assert o['outcome'] == 'failed' and words in o['detail'], o


@pytest.mark.parametrize('knob', ['app eas sync-status 142', 'app eas status 449'])
def test_a_mailbox_that_wants_provisioning_is_well(shared_lab, fault, knob):
    fault(LEGACY, knob)
    o = seen(shared_lab, LEGACY, 'eas', user='erin')['eas', 'folder-sync']
    assert o['outcome'] == 'ok' and 'provision' in o['detail'], o


def test_another_server_of_ours_is_asked_only_by_its_own_certificate(shared_lab, fault):
    fault(LEGACY, 'app autodiscover redirect-url https://excas01.contoso.lab/autodiscover/autodiscover.xml')
    o = seen(shared_lab, LEGACY, 'autodiscover', user='alice')['autodiscover', 'settings']
    assert o['outcome'] == 'ok' and 'redirected to https://excas01.contoso.lab/' in o['detail'], o


def test_a_wrong_password_is_shown_to_no_application(shared_lab):
    done = probe(shared_lab, LEGACY, 'ews', 'eas', 'autodiscover', user='erin', password='wrong')
    found = {(o['protocol'], o['step']): o for o in done.json()['observations']}
    for key in [('ews', 'get-folder'), ('eas', 'options'), ('autodiscover', 'settings')]:
        assert found[key]['outcome'] == 'skipped', found[key]
    assert 'wrong' not in done.out.replace('wrong password', '')


@pytest.mark.parametrize('knob,code', [('http-silent', 6), ('http-drop', 6), ('http-delay 0.2', 0)])
def test_silent_and_slow_servers_end_in_time(shared_lab, fault, knob, code):
    fault(LEGACY, knob)
    done = probe(shared_lab, LEGACY, 'ews', 'owa', user='erin', timeout=60)
    assert done.code == code, done.out
    found = {o['step'] for o in done.json()['observations']}
    assert {'tls', 'challenge'} <= found


class Junk(threading.Thread):
    """Accepts, says one thing without TLS, closes."""

    def __init__(self, text):
        super().__init__(daemon=True)
        self.text, self.socket = text, socket.create_server(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]

    def run(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client:
                client.sendall(self.text)


def test_rubbish_on_port_80(shared_lab):
    junk = Junk(os.urandom(300) + b'\x1b[2J')
    junk.start()
    try:
        env = dict(clean_env(), PROBE_PASSWORD=PASSWORD)
        done = shared_lab.run('--format', 'json', '--host', f'ex10ntlm.contoso.lab:80=127.0.0.1:{junk.port}', 'probe', LEGACY,
                              '--protocol', 'powershell', env=env)
        o = next(o for o in done.json()['observations'] if o['step'] == 'http')
        assert o['outcome'] == 'error' and '\x1b' not in done.out, o
    finally:
        junk.socket.close()
