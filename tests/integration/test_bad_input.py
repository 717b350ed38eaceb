"""What goes wrong at an admin's desk: each a clear line with a hint, the right exit code, and the rest still shown."""
import os
import re
import socket

import pytest
from conftest import ORG, Proxy, casbridge

LINE = re.compile(r'^casbridge: .+: .+', re.M)


def says(done, code, *words):
    assert done.code == code, (done.code, done.err)
    assert LINE.search(done.err), done.err
    assert 'Passw0rd' not in done.err + done.out
    for word in words:
        assert word.lower() in done.err.lower(), (word, done.err)


@pytest.fixture(scope='module')
def org_ldif(shared_lab, tmp_path_factory):
    """The lab's organisation as an export."""
    file = tmp_path_factory.mktemp('ldif') / 'org.ldif'
    shared_lab.do('export', str(file))
    return file


def test_usage():
    says(casbridge('chekc'), 2, 'chekc', 'check')
    says(casbridge('check', '--formt', 'json'), 2, '--format')
    says(casbridge('check', '--format', 'yaml'), 2, 'json')
    says(casbridge('route', '--user', 'x'), 2)
    says(casbridge('--host', 'nonsense', 'inventory'), 2, 'nonsense')
    says(casbridge('--target', '2012', 'inventory'), 2, '2012')


def test_profile_with_a_typo(shared_lab, tmp_path):
    file = tmp_path / 'config.ini'
    file.write_text(shared_lab.config.read_text().replace('source =', 'suorce ='))
    file.chmod(0o600)
    says(casbridge('--config', file, '--profile', 'lab', 'inventory'), 3, 'suorce', 'source', 'config.ini:')
    says(casbridge('--config', shared_lab.config, '--profile', 'lba', 'inventory'), 3, 'lba', 'lab')
    says(casbridge('--config', tmp_path / 'none.ini', 'inventory'), 3, 'none.ini')


def edited(lab, tmp_path, **keys):
    text = lab.config.read_text()
    for key, value in keys.items():
        text = re.sub(rf'^{re.escape(key)} *=.*\n', '', text, flags=re.M)
        if value:
            text += f'{key} = {value}\n'
    file = tmp_path / 'config.ini'
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_no_ticket(shared_lab, tmp_path):
    file = edited(shared_lab, tmp_path, krb5_principal=None, krb5_keytab=None, krb5_ccache=f'FILE:{tmp_path}/none')
    says(casbridge('--config', file, '--profile', 'lab', 'inventory'), 5, 'ticket', 'kinit')


def test_wrong_keytab(shared_lab, tmp_path):
    file = edited(shared_lab, tmp_path, krb5_principal='nobody@CONTOSO.LAB')
    says(casbridge('--config', file, '--profile', 'lab', 'inventory'), 5, 'nobody')


def test_wrong_simple_password(shared_lab, tmp_path):
    secret = tmp_path / 'password'
    secret.write_text('Passw0rd!wrong')
    secret.chmod(0o600)
    file = edited(shared_lab, tmp_path, ldap_user='CN=admin,CN=Users,DC=contoso,DC=lab', ldap_password=f'file:{secret}')
    says(casbridge('--config', file, '--profile', 'lab', 'inventory'), 5)
    secret.chmod(0o644)
    says(casbridge('--config', file, '--profile', 'lab', 'inventory'), 3, 'readable by others')


def test_unreachable_controller(shared_lab):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
        says(shared_lab.run('--host', f'dc1.contoso.lab=127.0.0.1:{port}', 'inventory'), 4, 'refused')
        s.listen(1)                                        # accepts and says nothing
        says(shared_lab.run('--host', f'dc1.contoso.lab=127.0.0.1:{port}', '--timeout', '2', 'inventory', timeout=30), 4)
    says(shared_lab.run('--source', 'ldap://no-such-host.invalid', 'inventory'), 4, 'no-such-host')
    says(shared_lab.run('--source', 'http://x', 'inventory'), 2, 'http')


def test_ldif(org_ldif, tmp_path):
    whole = casbridge('--source', f'ldif:{org_ldif}', '--format', 'json', 'inventory').json()
    assert whole['organization'] == ORG and len(whole['servers']) == 9
    says(casbridge('--source', f'ldif:{tmp_path}/none.ldif', 'inventory'), 3, 'none.ldif')
    (tmp_path / 'text.ldif').write_text('this is not LDIF\n' * 5)
    says(casbridge('--source', f'ldif:{tmp_path}/text.ldif', 'inventory'), 3)
    (tmp_path / 'empty.ldif').write_text('')
    says(casbridge('--source', f'ldif:{tmp_path}/empty.ldif', 'inventory'), 3)


def test_ldif_cut_in_the_middle(org_ldif, tmp_path):
    raw = org_ldif.read_bytes()
    end = raw.rindex(b'\ndn: ')
    file = tmp_path / 'cut.ldif'
    file.write_bytes(raw[:end + 30])
    done = casbridge('--source', f'ldif:{file}', '--format', 'json', 'inventory')
    assert done.code == 0 and done.json()['organization'] == ORG and LINE.search(done.err)


def test_ldif_in_utf16(org_ldif, tmp_path):
    file = tmp_path / 'wide.ldif'
    file.write_bytes(org_ldif.read_text(encoding='utf-8').replace('\n', '\r\n').encode('utf-16'))
    assert casbridge('--source', f'ldif:{file}', '--format', 'json', 'inventory').json()['servers'] == \
        casbridge('--source', f'ldif:{org_ldif}', '--format', 'json', 'inventory').json()['servers']


def server_entry(text, name):
    """The LDIF entry of a server, and the file without it."""
    entries = re.split(r'\n\n+', text)
    mine = [e for e in entries if re.match(rf'dn: CN={name},CN=Servers,', e, re.I)]
    assert len(mine) == 1
    return mine[0]


def test_strange_servers(org_ldif, tmp_path):
    text = re.sub(r'\n ', '', org_ldif.read_text(encoding='utf-8'))
    entry = server_entry(text, 'EXCAS01')

    def variant(name, *edits):
        e = entry.replace('EXCAS01', name).replace('excas01', name.lower())
        for pattern, replacement in edits:
            e, n = re.subn(pattern, replacement, e, flags=re.M | re.I)
            assert n, pattern
        return e

    file = tmp_path / 'strange.ldif'
    file.write_text(text + '\n\n' + '\n\n'.join([
        variant('OLD2003', (r'^versionNumber:.*', 'versionNumber: 6944'), (r'^serialNumber:.*', 'serialNumber: Version 6.5 (Build 6944.4)')),
        variant('FUTURE', (r'^versionNumber:.*', 'versionNumber: 2013298690'), (r'^serialNumber:.*', 'serialNumber: Version 32.0 (Build 30001.1)')),
        variant('NOSITE', (r'^msExchServerSite:.*\n?', '')),
        variant('CONTROL', (r'^serialNumber:.*', 'serialNumber:: VmVyc2lvbhtbMzFtIDE0')),
        variant('HUGE', (r'^networkAddress: ncacn_ip_tcp.*', 'networkAddress: ncacn_ip_tcp:huge.contoso.lab\nadminDisplayName: ' + 'x' * 10_000_000)),
    ]) + '\n')
    done = casbridge('--source', f'ldif:{file}', '--format', 'json', 'inventory')
    assert done.code == 0, done.err
    by_name = {s['name']: s for s in done.json()['servers']}
    assert len(by_name) == 14 and by_name['NOSITE']['site'] is None and by_name['FUTURE']['generation'] is None
    text_out = casbridge('--source', f'ldif:{file}', 'inventory')
    assert '\x1b' not in text_out.out + text_out.err and 'OLD2003' in text_out.out
    check = casbridge('--source', f'ldif:{file}', '--format', 'json', 'check').json()
    assert check['verdict'] == 'blocked'
    assert any(f['id'] == 'coexistence' and '2003' in f['summary'] for f in check['findings'])
    assert [u for u in check['unknown'] if u['server'] == 'FUTURE'], 'an unknown version is never passed over'


def test_dead_server(lab):
    lab.do('cas-stop', 'E2K7CAS01')
    check = lab.json('check', '--probe')
    unknown = {(u['id'], u['server']): u['why'] for u in check['unknown']}
    assert ('oa-wire', 'E2K7CAS01') in unknown and 'refused' in unknown[('oa-wire', 'E2K7CAS01')]
    assert any(p['server'] == 'EX10NTLM' and p['id'] == 'oa-wire' for p in check['passed']), 'the others are still judged'
    assert lab.run('probe', 'E2K7CAS01').code == 6
    with Proxy(lab, '--arrive', 'EX13CAS01') as proxy:
        status, body = proxy.curl('/rpc/rpcproxy.dll?e2k7cas01.contoso.lab:6001', '-X', 'RPC_IN_DATA', '-H', 'Content-Length: 0', '--basic', '-u',
                                  'carol@contoso.lab:Passw0rd!lab')
        assert status in (404, 503), body
    lab.do('cas-start', 'E2K7CAS01')


def test_unknown_user(shared_lab):
    says(shared_lab.run('route', '--user', 'nobody@contoso.lab', '--protocol', 'oa', '--arrive', 'EX13CAS01'), 3, 'nobody')
    says(shared_lab.run('route', '--user', 'alice@contoso.lab', '--protocol', 'oa', '--arrive', 'NOCAS'), 2, 'NOCAS')


def test_bad_plans(shared_lab, tmp_path):
    file = tmp_path / 'plan.json'
    file.write_text('{ "format": 1')
    says(shared_lab.run('apply', file, '--yes', ORG), 3, 'plan.json')
    says(shared_lab.run('apply', tmp_path / 'none', '--yes', ORG), 3, 'none')
    shared_lab.run('plan', '-o', file)
    whole = file.read_text()
    file.write_text(whole.replace('"organization": "Contoso"', '"organization": "Fabrikam"'))
    says(shared_lab.run('apply', file, '--yes', ORG), 7, 'Fabrikam')
    file.write_text(whole.replace('Set-OutlookAnywhere', 'Remove-Mailbox'))
    says(shared_lab.run('apply', file, '--yes', ORG), 3, 'Remove-Mailbox')
    file.write_text(whole.replace("-IISAuthenticationMethods Basic,NTLM", "-IISAuthenticationMethods Basic,NTLM; Remove-Item x"))
    says(shared_lab.run('apply', file, '--yes', ORG), 3)


def test_ssh_host_key_changed(shared_lab, tmp_path):
    known = tmp_path / 'known_hosts'
    lines = [line.split(' ', 1) for line in open(shared_lab.value('ssh_known_hosts'))]
    keys = sorted({key for _, key in lines})
    known.write_text(''.join(f'{host} {keys[(keys.index(key) + 1) % len(keys)]}' for host, key in lines))
    file = edited(shared_lab, tmp_path, ssh_known_hosts=known)
    done = casbridge('--config', file, '--profile', 'lab', 'exec', '--on', 'EXCAS01', '--', 'Get-ExchangeServer')
    assert done.code == 6 and (done.out + done.err).count('SHA256:') >= 2, done.out + done.err
    known.write_text('')
    done = casbridge('--config', file, '--profile', 'lab', 'exec', '--on', 'EXCAS01', '--', 'Get-ExchangeServer')
    assert done.code == 6 and 'SHA256:' in done.out + done.err


def test_listening_where_it_must_not(shared_lab):
    says(shared_lab.run('proxy', '--listen', '0.0.0.0:0', '--arrive', 'EX13CAS01'), 7, '--allow')
    says(shared_lab.run('proxy', '--listen', '127.0.0.1:0', '--arrive', 'NOCAS'), 2, 'NOCAS')
    says(shared_lab.run('proxy', '--listen', '127.0.0.1:0'), 2, '--arrive')


def test_the_engine_refuses_wrong_passwords(shared_lab):
    with Proxy(shared_lab, '--arrive', 'EX13CAS01') as proxy:
        assert proxy.curl('/EWS/Exchange.asmx', '--basic', '-u', 'alice@contoso.lab:wrong')[0] == 401
        assert proxy.curl('/EWS/Exchange.asmx')[0] == 401
        assert proxy.curl('/EWS/Exchange.asmx', '--basic', '-u', 'nobody@contoso.lab:Passw0rd!lab')[0] == 401
        assert proxy.curl('/EWS/Exchange.asmx', '--basic', '-u', 'alice@contoso.lab:Passw0rd!lab')[0] < 400


def test_locked_out_store(shared_lab, tmp_path):
    if os.geteuid() == 0:
        target = tmp_path / 'a-file'
        target.write_text('')
        file = edited(shared_lab, tmp_path, store=f'sqlite:{target}/store.db')
    else:
        file = edited(shared_lab, tmp_path, store='sqlite:/proc/store.db')
    says(casbridge('--config', file, '--profile', 'lab', 'journal'), 3)
