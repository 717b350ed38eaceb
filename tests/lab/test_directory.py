"""The directory and the realm, as OpenLDAP's client and MIT's tools see them."""
import re
import subprocess

ORG = 'CN=Configuration,DC=contoso,DC=lab'


def entries(done):
    assert done.returncode == 0, done.stderr
    return [b for b in done.stdout.split('\n\n') if b.strip()]


def test_root_dse_is_all_an_anonymous_client_sees(lab):
    done = lab.ldapsearch(
        '-s',
        'base',
        '-b',
        '',
        'defaultNamingContext',
        'configurationNamingContext',
        'supportedCapabilities',
        method=('-x',),
    )
    assert 'configurationNamingContext: CN=Configuration,DC=contoso,DC=lab' in done.stdout
    assert '1.2.840.113556.1.4.800' in done.stdout
    done = lab.ldapsearch('-b', ORG, method=('-x',))
    assert done.stdout.strip() == '' or done.returncode != 0


def test_gssapi_is_sealed_and_names_the_user(lab):
    wrapped = lab.ldapsearch('-b', ORG, '(objectClass=msExchExchangeServer)', 'cn', method=('-Y', 'GSSAPI'))
    assert re.search('SASL SSF: 256', wrapped.stderr), wrapped.stderr
    assert 'SASL username: admin@CONTOSO.LAB' in wrapped.stderr
    assert len(entries(wrapped)) == 10  # nine servers and the array


def test_ldaps_has_a_certificate_of_the_lab(lab):
    done = lab.ldapsearch(
        '-b', ORG, '(objectClass=site)', 'cn', tls=True, method=('-Y', 'GSSAPI', '-Q', '-O', 'maxssf=0')
    )
    assert sorted(re.findall('^cn: (.*)', done.stdout, re.M)) == ['Barcelona', 'Dublin', 'Seattle']


def test_users_only_read(lab):
    assert lab.kinit('alice').returncode == 0
    change = 'dn: CN=bob,CN=Users,DC=contoso,DC=lab\nchangetype: modify\nreplace: sn\nsn: Evil\n'
    env = {**lab.environment('alice')}
    assert len(entries(lab.ldapsearch('-b', 'DC=contoso,DC=lab', '(homeMDB=*)', 'cn', user='alice'))) == 5
    done = subprocess.run(
        ['ldapmodify', '-x', '-H', f'ldap://{lab.hosts["dc1.contoso.lab"]}:10389'],
        input=change,
        env=env,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0


def test_planted_faults_and_nothing_else(lab):
    rows = {}
    for block in entries(lab.ldapsearch('-b', ORG, '(objectClass=msExchRpcHttpVirtualDirectory)')):
        entry = dict(line.split(': ', 1) for line in block.splitlines() if ': ' in line)
        rows[re.search('cn=protocols,cn=([^,]*)', block, re.I)[1].upper()] = entry
    assert set(rows) == {'EX13CAS01', 'EXCAS01', 'E2K7CAS01', 'EX10NTLM'}
    assert {s: rows[s]['msExchInternalAuthenticationMethods'] for s in rows} == {
        'EX13CAS01': '8195',
        'EXCAS01': '1',
        'E2K7CAS01': '1',
        'EX10NTLM': '3',
    }
    assert {s: rows[s]['msExchExternalAuthenticationMethods'] for s in rows} == dict.fromkeys(rows, '1')
    assert all('mail.contoso.lab' in rows[s]['msExchExternalHostName'] for s in rows)


def test_servers(lab):
    blocks = entries(
        lab.ldapsearch(
            '-b',
            ORG,
            '(&(objectClass=msExchExchangeServer)(!(objectClass=msExchClientAccessArray)))',
            'cn',
            'versionNumber',
            'serialNumber',
            'msExchCurrentServerRoles',
            'networkAddress',
        )
    )
    found = {re.search('^cn: (.*)', b, re.M)[1]: b for b in blocks}
    assert (
        'versionNumber: 1937997947' in found['EXCAS01']
        and 'serialNumber: Version 14.3 (Build 30123.4)' in found['EXCAS01']
    )
    assert (
        'versionNumber: 1912832083' in found['E2K7CAS01']
        and 'versionNumber: 1941997017' in found['EX13CAS01']
    )
    assert (
        'msExchCurrentServerRoles: 16385' in found['EX13CAS01']
        and 'msExchCurrentServerRoles: 54' in found['EX13MBX01']
    )
    assert 'networkAddress: ncacn_ip_tcp:excas02.contoso.lab' in found['EXCAS02']


def test_dublin_publishes_nothing(lab):
    blocks = entries(
        lab.ldapsearch(
            '-b',
            ORG,
            '(&(objectClass=msExchVirtualDirectory)(msExchExternalHostName=*))',
            'msExchExternalHostName',
        )
    )
    assert blocks and not any('cn=excas02' in b.lower() for b in blocks)
    legacy = [b for b in blocks if 'cn=e2k7cas01' in b.lower() and ('cn=owa' in b or 'cn=EWS' in b)]
    assert len(legacy) == 2 and all('legacy.contoso.lab' in b for b in legacy)


def test_mailboxes_point_at_databases_that_exist(lab):
    users = entries(
        lab.ldapsearch(
            '-b',
            'CN=Users,DC=contoso,DC=lab',
            '(homeMDB=*)',
            'homeMDB',
            'msExchHomeServerName',
            'msExchMailboxGuid',
        )
    )
    for block in users:
        dn = re.search('^homeMDB: (.*)', block, re.M)[1]
        assert (
            len(
                entries(
                    lab.ldapsearch(
                        '-s', 'base', '-b', dn, '(objectClass=msExchPrivateMDB)', 'msExchOwningServer'
                    )
                )
            )
            == 1
        )


def test_each_service_name_has_one_owner(lab):
    blocks = entries(
        lab.ldapsearch('-b', 'DC=contoso,DC=lab', '(servicePrincipalName=*)', 'servicePrincipalName')
    )
    names = [n.lower() for b in blocks for n in re.findall('^servicePrincipalName: (.*)', b, re.M)]
    assert len(names) == len(set(names))
    assert 'http/mail.contoso.lab' in names and 'host/excas01.contoso.lab' in names


def test_page_limit(lab, tmp_path_factory):
    """1,000 entries and result 4 without paging, all with it: in a lab with 1,200 more mailboxes."""
    import shutil
    import tempfile
    from conftest import LabUnderTest, lab_command

    directory = tempfile.mkdtemp(prefix='casbridge-lab-test.')
    try:
        lab_command(directory, 'up', '--users', '1200')
        big = LabUnderTest(directory)
        plain = big.ldapsearch('-b', 'DC=contoso,DC=lab', '(homeMDB=*)', 'cn')
        assert plain.returncode == 4 and plain.stdout.count('dn: ') == 1000
        paged = big.ldapsearch('-E', 'pr=500/noprompt', '-b', 'DC=contoso,DC=lab', '(homeMDB=*)', 'cn')
        assert paged.returncode == 0 and paged.stdout.count('dn: ') == 1205
    finally:
        lab_command(directory, 'down', check=False)
        shutil.rmtree(directory)


def test_realm(lab):
    assert lab.kinit('carol').returncode == 0
    assert (
        'Preauthentication failed' in lab.kinit('bob', 'wrong').stderr
        or 'Password incorrect' in lab.kinit('bob', 'wrong').stderr
    )
    done = subprocess.run(
        ['klist', '-e', '-k', lab.config['engine_keytab']],
        env=lab.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'EX13CAS01$@CONTOSO.LAB' in done.stdout and 'HTTP/mail.contoso.lab@CONTOSO.LAB' in done.stdout
    assert 'aes256' in done.stdout and 'arcfour' not in done.stdout
    assert lab.kinit('alice').returncode == 0
    for server in ('excas01', 'e2k7cas01', 'ex10ntlm', 'ex13mbx01'):
        done = subprocess.run(
            ['kvno', f'HTTP/{server}.contoso.lab'],
            env=lab.environment('alice'),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    done = subprocess.run(
        ['kvno', 'HTTP/nowhere.contoso.lab'],
        env=lab.environment('alice'),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0


def test_export(lab, tmp_path):
    file = tmp_path / 'org.ldif'
    lab.command('export', str(file))
    text = file.read_text(encoding='utf-8').replace('\n ', '')
    assert text.count('\ndn: ') + 1 == text.count('\nobjectClass: adObject')
    assert re.search('^dn: cn=EXCAS01,cn=Servers,', text, re.M | re.I)
    assert lab.command('export', '/proc/nonexistent/x', check=False).returncode == 1
