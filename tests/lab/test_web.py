"""The web servers, as curl sees them: challenges, credentials, each application, faults."""
import re
import time
import xml.etree.ElementTree as ET

from conftest import PASSWORD

RPC = 'https://{}.contoso.lab:10443/rpc/rpcproxy.dll?{}.contoso.lab:6001'
BASIC = ('-u', f'alice:{PASSWORD}')
NEGOTIATE = ('--negotiate', '-u', ':')


def rpc(server):
    return RPC.format(server, server)


def offered(text):
    return re.findall('^WWW-Authenticate: (\\w+)', text, re.M)


def fault(lab, server, text):
    with open(f'{lab.dir}/faults/{server}', 'w', encoding='utf-8') as f:
        f.write(text)


def test_challenges_are_those_of_the_directory(lab):
    want = {
        'excas01': ['Basic'],
        'e2k7cas01': ['Basic'],
        'ex10ntlm': ['Negotiate', 'NTLM', 'Basic'],
        'ex13cas01': ['Negotiate', 'NTLM', 'Basic'],
        'ex13mbx01': ['Negotiate', 'NTLM'],
    }
    for server, methods in want.items():
        status, text = lab.curl(rpc(server), '-X', 'RPC_IN_DATA', '-H', 'Content-Length: 0')
        assert (status, offered(text)) == (401, methods), server
    assert 'Basic realm="excas01.contoso.lab"' in lab.curl(rpc('excas01'))[1]
    assert lab.curl(rpc('excas02'))[0] == 404


def test_server_headers_tell_the_version(lab):
    for server, header, front in (
        ('e2k7cas01', '7.0', False),
        ('excas01', '7.5', False),
        ('ex13cas01', '8.5', True),
        ('ex13mbx01', '8.5', False),
    ):
        text = lab.curl(rpc(server))[1]
        assert (
            f'Server: Microsoft-IIS/{header}' in text
            and 'X-Powered-By: ASP.NET' in text
            and 'X-Lab: stand-in' in text
        )
        assert ('X-FEServer: EX13CAS01' in text) == front


def test_basic_is_checked_by_the_realm(lab):
    assert lab.curl(rpc('excas01'), *BASIC, '-X', 'RPC_IN_DATA', '-H', 'Content-Length: 0')[0] == 200
    for user in (
        f'CONTOSO\\alice:{PASSWORD}',
        f'alice@contoso.lab:{PASSWORD}',
        f'ALICE:{PASSWORD}',
        f'contoso.lab\\alice:{PASSWORD}',
    ):
        assert (
            lab.curl(rpc('excas01'), '-u', user, '-X', 'RPC_IN_DATA', '-H', 'Content-Length: 0')[0] == 200
        ), user
    for user in (
        'alice:wrong',
        f'nobody:{PASSWORD}',
        f'FABRIKAM\\alice:{PASSWORD}',
        'alice:',
        f':{PASSWORD}',
    ):
        assert (
            lab.curl(rpc('excas01'), '-u', user, '-X', 'RPC_IN_DATA', '-H', 'Content-Length: 0')[0] == 401
        ), user


def test_negotiate_where_windows_is_on_and_refused_elsewhere(lab):
    status, text = lab.curl(rpc('ex10ntlm'), *NEGOTIATE, '-X', 'RPC_IN_DATA', '-H', 'Content-Length: 0')
    assert status == 200 and 'Persistent-Auth: true' in text and 'WWW-Authenticate: Negotiate ' in text
    assert lab.curl(rpc('excas01'), *NEGOTIATE, '-X', 'RPC_IN_DATA', '-H', 'Content-Length: 0')[0] == 401
    for server in ('ex13cas01', 'ex13mbx01'):
        assert lab.curl(rpc(server), *NEGOTIATE, '-X', 'RPC_IN_DATA', '-H', 'Content-Length: 0')[0] == 200


def test_negotiate_binds_the_connection(lab):
    """Two requests, one ticket: curl sends no credentials with the second and is still known."""
    url = rpc('ex10ntlm')
    text = lab.curl(url, *NEGOTIATE, '-X', 'RPC_IN_DATA', '-H', 'Content-Length: 0', url)[1]
    assert text.count('HTTP/1.1 200 Success') == 2 and text.count('Persistent-Auth: true') == 1
    with open(f'{lab.dir}/cas/EX10NTLM.log', encoding='utf-8') as f:
        log = f.read().splitlines()[-4:]
    assert sum(line.endswith('admin@contoso.lab 200') for line in log) == 2


def test_a_ticket_for_another_server_is_refused(lab):
    """What a client gets for HTTP/ex13cas01 is no good at ex10ntlm."""
    done = lab.curl(
        'https://ex10ntlm.contoso.lab:10443/OAB/x/oab.xml',
        *NEGOTIATE,
        '--resolve',
        f'ex10ntlm.contoso.lab:10443:{lab.hosts["ex13cas01.contoso.lab"]}',
        '-k',
    )
    assert done[0] == 401


def test_ntlm(lab):
    """gss-ntlmssp on both ends; curl's own NTLM cannot be read by it."""
    import base64
    import os
    import socket
    import ssl

    import pytest

    gssapi = pytest.importorskip('gssapi')
    ntlm = gssapi.OID.from_int_seq('1.3.6.1.4.1.311.2.2.10')
    if ntlm not in gssapi.raw.indicate_mechs():
        pytest.skip('gss-ntlmssp is not installed')
    os.environ['NTLM_USER_FILE'] = f'{lab.dir}/cas/ntlm.users'
    name = gssapi.Name('CONTOSO\\alice', gssapi.NameType.user)
    credentials = gssapi.raw.acquire_cred_with_password(
        name, PASSWORD.encode(), mechs=[ntlm], usage='initiate'
    ).creds
    context = gssapi.SecurityContext(
        name=gssapi.Name('HTTP@ex10ntlm.contoso.lab', gssapi.NameType.hostbased_service),
        creds=gssapi.Credentials(credentials),
        mech=ntlm,
        usage='initiate',
    )
    tls = ssl.create_default_context(cafile=lab.config['trust'])
    with socket.create_connection((lab.hosts['ex10ntlm.contoso.lab'], 10443)) as raw, tls.wrap_socket(
        raw, server_hostname='ex10ntlm.contoso.lab'
    ) as s:
        token, statuses = None, []
        for _ in range(2):
            token = context.step(token)
            s.sendall(
                'GET /OAB/x/oab.xml HTTP/1.1\r\nHost: ex10ntlm\r\nAuthorization: NTLM '
                f'{base64.b64encode(token).decode()}\r\n\r\n'.encode()
            )
            head = s.recv(65536).decode('latin-1')
            statuses.append(int(head.split()[1]))
            found = re.search('WWW-Authenticate: NTLM (\\S+)', head)
            token = base64.b64decode(found[1]) if found else None
    assert statuses == [401, 200]


def test_certificates(lab):
    for name in ('excas01', 'mail', 'autodiscover', 'legacy'):
        address = lab.hosts['excas01.contoso.lab']
        assert (
            lab.curl(
                f'https://{name}.contoso.lab:10443/rpc/rpcproxy.dll',
                '--resolve',
                f'{name}.contoso.lab:10443:{address}',
            )[0]
            == 401
        )


def test_an_edit_by_hand_lives_until_the_next_poll(seldom):
    """Nobody polls here but us: on a busy machine a single command takes longer than the other lab's step."""
    seldom.command('iis-edit', 'EXCAS01', 'basic,ntlm')
    assert offered(seldom.curl(rpc('excas01'))[1]) == ['Negotiate', 'NTLM', 'Basic']
    assert seldom.curl(rpc('excas01'), *NEGOTIATE, '-X', 'RPC_IN_DATA', '-H', 'Content-Length: 0')[0] == 200
    assert 'edited by hand' in seldom.command('status').stdout
    assert 'EXCAS01: /rpc offers basic' in seldom.command('poll', 'EXCAS01').stdout
    assert offered(seldom.curl(rpc('excas01'))[1]) == ['Basic']
    assert 'edited by hand' not in seldom.command('status').stdout
    assert seldom.command('iis-edit', 'EXCAS02', 'basic', check=False).returncode == 1


def test_the_next_poll_comes_by_itself(fresh):
    fresh.command('iis-edit', 'EXCAS01', 'negotiate')
    deadline = time.monotonic() + 60
    while offered(fresh.curl(rpc('excas01'))[1]) != ['Basic']:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_stuck_configurator(fresh):
    fault(fresh, 'EXCAS01', 'no-poll\n')
    fresh.command('iis-edit', 'EXCAS01', 'negotiate')
    fresh.command('poll')
    assert offered(fresh.curl(rpc('excas01'))[1]) == ['Negotiate', 'NTLM']


def test_stopped_service(fresh):
    fresh.command('cas-stop', 'EXCAS01')
    import socket

    with socket.socket() as s:
        assert s.connect_ex((fresh.hosts['excas01.contoso.lab'], 10443)) != 0
    fresh.command('cas-start', 'EXCAS01')
    assert fresh.curl(rpc('excas01'))[0] == 401


def test_faults_of_the_web_service(fresh):
    fault(fresh, 'EX10NTLM', 'http-503\n')
    assert fresh.curl(rpc('ex10ntlm'))[0] == 503
    fault(fresh, 'EX10NTLM', 'http-delay 0.3\n')
    began = time.monotonic()
    assert fresh.curl(rpc('ex10ntlm'))[0] == 401 and time.monotonic() - began > 0.29


def test_owa_by_forms(lab):
    url = 'https://excas01.contoso.lab:10443/owa/'
    status, text = lab.curl(url)
    assert status == 302 and '/owa/auth/logon.aspx?url=' in text
    status, text = lab.curl(re.search('Location: (\\S+)', text)[1])
    assert status == 200 and 'action="/owa/auth/owaauth.dll"' in text
    form = (
        '--data-urlencode',
        'destination=https://excas01.contoso.lab:10443/owa/',
        '--data-urlencode',
        'username=CONTOSO\\alice',
    )
    status, text = lab.curl(
        'https://excas01.contoso.lab:10443/owa/auth/owaauth.dll', *form, '--data-urlencode', 'password=wrong'
    )
    assert status == 302 and 'reason=2' in text
    status, text = lab.curl(
        'https://excas01.contoso.lab:10443/owa/auth/owaauth.dll',
        *form,
        '--data-urlencode',
        f'password={PASSWORD}',
    )
    cookie = re.search('Set-Cookie: (cadata=\\w+)', text)[1]
    status, text = lab.curl(url, '-H', f'Cookie: {cookie}')
    assert status == 200 and 'alice@contoso.lab' in text
    assert lab.curl(url, *BASIC)[0] == 200 and lab.curl(url, *NEGOTIATE)[0] == 200
    assert offered(lab.curl('https://excas02.contoso.lab:10443/owa/')[1]) == ['Negotiate', 'NTLM', 'Basic']
    assert lab.curl('https://ex13cas01.contoso.lab:10443/owa/auth/logon.aspx')[1].count('/owa/auth.owa') == 1


def test_ews(lab):
    ns = (
        'xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://schemas.microsoft.com/exchange/'
        'services/2006/messages" '
        'xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"'
    )
    body = (
        f'<s:Envelope {ns}><s:Body><m:GetFolder><m:FolderShape><t:BaseShape>Default</t:BaseShape></'
        'm:FolderShape><m:FolderIds>'
        '<t:DistinguishedFolderId Id="inbox"/></m:FolderIds></m:GetFolder></s:Body></s:Envelope>'
    )
    url = 'https://ex10ntlm.contoso.lab:10443/EWS/Exchange.asmx'
    post = ('-H', 'Content-Type: text/xml; charset=utf-8', '--data-binary', '@-')
    assert offered(lab.curl(url, *post, data=body.encode())[1]) == ['Negotiate', 'NTLM']
    status, text = lab.curl(url, *NEGOTIATE, *post, data=body.encode())
    assert status == 500 and 'ErrorNonExistentMailbox' in text  # the administrator has none
    assert lab.kinit('alice').returncode == 0
    for chunked in ((), ('-H', 'Transfer-Encoding: chunked')):
        status, text = lab.curl(url, *NEGOTIATE, *post, *chunked, user='alice', data=body.encode())
        tree = ET.fromstring(text.partition('\r\n\r\n')[2])
        types = '{http://schemas.microsoft.com/exchange/services/2006/types}'
        assert status == 200 and tree.find(f'.//{types}DisplayName').text == 'Inbox'
        assert tree.find(f'.//{types}ServerVersionInfo').get('MajorVersion') == '14'
    assert lab.curl(url, *NEGOTIATE, *post, data=b'<not xml')[0] == 500
    assert lab.curl(url + '/wssecurity', *post, data=body.encode())[0] == 500


def test_activesync(lab):
    url = 'https://{}.contoso.lab:10443/Microsoft-Server-ActiveSync'
    for server, versions in (('e2k7cas01', '12.1'), ('excas01', '14.1')):
        status, text = lab.curl(url.format(server), *BASIC, '-X', 'OPTIONS')
        assert status == 200 and re.search(
            '^MS-ASProtocolVersions: .*' + re.escape(versions) + '\r?$', text, re.M
        )
    status, text = lab.curl(
        url.format('excas01') + '?Cmd=FolderSync&User=alice&DeviceId=d1&DeviceType=t1',
        *BASIC,
        '--data-binary',
        '@-',
        data=b'\x03\x01\x6a\x00\x00\x07\x56\x52\x030\x00\x01\x01',
    )
    assert status == 200 and 'Inbox' in text and 'application/vnd.ms-sync.wbxml' in text
    assert lab.curl(url.format('excas01'), '-X', 'OPTIONS')[0] == 401


def test_autodiscover_tells_what_the_mailbox_version_would(lab):
    url = 'https://{}.contoso.lab:10443/Autodiscover/Autodiscover.xml'
    request = (
        '<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/'
        '2006"><Request>'
        '<EMailAddress>{}</EMailAddress></Request></Autodiscover>'
    )
    ns = '{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}'

    def ask(server, address):
        status, text = lab.curl(
            url.format(server), *BASIC, '--data-binary', '@-', data=request.format(address).encode()
        )
        assert status == 200
        return ET.fromstring(text.partition('\r\n\r\n')[2])

    for server, user, endpoint, ews in (
        ('ex13cas01', 'alice', 'outlook.contoso.lab', 'https://excas01.contoso.lab/EWS/Exchange.asmx'),
        ('excas02', 'bob', 'EXCAS02.contoso.lab', 'https://excas02.contoso.lab/EWS/Exchange.asmx'),
        ('e2k7cas01', 'carol', 'E2K7MBX01', 'https://e2k7cas01.contoso.lab/EWS/Exchange.asmx'),
    ):
        protocols = {
            p.findtext(f'{ns}Type'): p
            for p in ask(server, f'{user}@contoso.lab').iter(f'{ns}Protocol')
            if p.find(f'{ns}Server') is not None
        }
        assert (
            protocols['EXCH'].findtext(f'{ns}Server') == endpoint
            and protocols['EXCH'].findtext(f'{ns}EwsUrl') == ews
        )
        if user == 'bob':
            assert 'EXPR' not in protocols
        else:
            assert protocols['EXPR'].findtext(f'{ns}Server') == 'mail.contoso.lab'
            assert protocols['EXPR'].findtext(f'{ns}AuthPackage') == 'Basic'
    dave = ask('ex13cas01', 'dave@contoso.lab')
    assert re.fullmatch('[0-9a-f-]{36}@contoso.lab', dave.find(f'.//{ns}Server').text)
    for server, address in (('excas01', 'nobody@contoso.lab'), ('excas01', 'dave@contoso.lab')):
        assert ask(server, address).find('.//{*}ErrorCode').text == '500'


def test_health_pages_only_on_2013(lab):
    for name in (
        'owa',
        'ecp',
        'EWS',
        'OAB',
        'mapi',
        'rpc',
        'Autodiscover',
        'Microsoft-Server-ActiveSync',
        'PowerShell',
    ):
        status, text = lab.curl(f'https://ex13cas01.contoso.lab:10443/{name}/healthcheck.htm')
        assert status == 200 and '200 OK<br/>ex13cas01.contoso.lab' in text, name
    assert lab.curl('https://excas01.contoso.lab:10443/EWS/healthcheck.htm')[0] == 401


def test_mapi_and_powershell(lab):
    status, text = lab.curl(
        'https://ex13cas01.contoso.lab:10443/mapi/emsmdb/',
        *NEGOTIATE,
        '-H',
        'X-RequestType: Connect',
        '-H',
        'Content-Type: application/mapi-http',
        '--data-binary',
        '@-',
        data=b'\0' * 12,
    )
    assert status == 200 and 'X-ResponseCode: 0' in text and 'PROCESSING' in text
    assert lab.curl('https://excas01.contoso.lab:10443/mapi/emsmdb/')[0] == 404
    assert offered(lab.curl('https://excas01.contoso.lab:10443/PowerShell/')[1]) == ['Negotiate', 'Kerberos']
    assert lab.curl('https://excas01.contoso.lab:10443/PowerShell/', *NEGOTIATE)[0] == 405
    assert lab.curl('https://excas01.contoso.lab:10443/PowerShell/', '--ntlm', '-u', f'alice:{PASSWORD}')[0] == 401
    assert lab.curl('https://e2k7cas01.contoso.lab:10443/PowerShell/')[0] == 404


def test_access_log(lab):
    lab.curl(rpc('e2k7cas01'), '-u', f'carol:{PASSWORD}', '-X', 'RPC_OUT_DATA', '-H', 'Content-Length: 0')
    with open(f'{lab.dir}/cas/E2K7CAS01.log', encoding='utf-8') as f:
        last = f.read().splitlines()[-1]
    assert last.endswith('RPC_OUT_DATA /rpc/rpcproxy.dll?e2k7cas01.contoso.lab:6001 carol@contoso.lab 200')
