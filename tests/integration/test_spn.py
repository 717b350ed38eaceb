"""casbridge spn, and what check makes of service names, IIS files and the certificate of the namespace."""
import csv
import io

import pytest
from conftest import SHARED, casbridge

ASA, CAS = 'EXCH2013ASA$', 'excas01.contoso.lab'


def rows(document):
    return {r['name']: r for r in document['names']}


def test_a_sound_organisation(shared_lab):
    done = shared_lab.run('--format', 'json', 'spn')
    assert done.code == 0, done.err
    o = done.json()
    assert o['whole_forest'] is True and o['setspn'] == []
    names = rows(o)
    assert [n for n, r in names.items() if r['kind'] == 'namespace'] == ['mail.contoso.lab', 'legacy.contoso.lab', 'autodiscover.contoso.lab']
    mail = names['mail.contoso.lab']
    assert mail['state'] == 'ok' and [w['account'] for w in mail['owners']] == [ASA] and mail['server'] is None
    assert names[CAS]['state'] == 'host-alias' and names[CAS]['server'] == 'EXCAS01' and names[CAS]['owners'][0]['host_alias'] is True
    for r in names.values():
        assert r['ticket']['outcome'] == 'ok' and r['ticket']['etype'] in (17, 18) and r['ticket']['kvno'] >= 1 and r['problems'] == []
    asa = next(a for a in o['accounts'] if a['account'] == ASA)
    assert asa['alternate_service_account_guess'] is True and len(asa['why']) >= 3 and asa['encryption_types'] == ['aes256', 'aes128', 'rc4']
    assert asa['supported_encryption_types'] == 28 and asa['password_age_days'] >= 0 and asa['class'] == 'computer'
    assert not [a for a in o['accounts'] if a['server'] and a['alternate_service_account_guess']]
    text = shared_lab.run('spn').out
    assert 'a guess' in text and 'The whole forest was searched' in text
    table = list(csv.DictReader(io.StringIO(shared_lab.run('--format', 'csv', 'spn').out)))
    assert {r['state'] for r in table} == {'ok', 'host-alias'} and len(table) == len(names)


def test_a_duplicate(lab):
    lab.do('plant', 'duplicate-spn', 'foreign-spn')
    done = lab.run('--format', 'json', 'spn')
    assert done.code == 1, done.err
    o = done.json()
    names = rows(o)
    assert names['mail.contoso.lab']['state'] == 'duplicate'
    assert {w['account'] for w in names['mail.contoso.lab']['owners']} == {ASA, 'WEB01$'}
    assert names['excas02.contoso.lab']['state'] == 'foreign' and names[CAS]['state'] == 'host-alias'
    commands = [c['command'] for c in o['setspn']]
    assert commands == ['setspn -D HTTP/mail.contoso.lab WEB01$', 'setspn -D HTTP/excas02.contoso.lab WEB02$']
    text = lab.run('spn').out
    assert 'nothing of this is run here' in text and 'setspn -D HTTP/mail.contoso.lab WEB01$' in text
    checked = lab.run('--format', 'json', 'check', '--probe').json()
    found = {f['server']: f for f in checked['findings'] if f['id'] == 'spn-unique'}
    assert set(found) == {None, 'EXCAS02'} and found[None]['severity'] == 'error'
    assert len(found[None]['evidence']) == 2 and {e['source'] for e in found[None]['evidence']} == {'directory'}
    passed = {p['server'] for p in checked['passed'] if p['id'] == 'spn-unique'}
    assert 'EXCAS01' in passed and 'EXCAS02' not in passed and None not in passed


def test_from_an_export(shared_lab, tmp_path):
    export = tmp_path / 'all.ldif'
    shared_lab.do('export', str(export))
    done = casbridge('--format', 'json', '--source', f'ldif:{export}', 'spn')
    o = done.json()
    assert done.code == 0 and o['whole_forest'] is False and 'no Kerberos ticket' in done.err
    assert rows(o)['mail.contoso.lab']['state'] == 'ok' and rows(o)['mail.contoso.lab']['ticket'] is None


def test_from_a_snapshot(shared_lab, tmp_path):
    whole, bare = tmp_path / 'whole.snapshot', tmp_path / 'bare.snapshot'
    assert shared_lab.run('snapshot', '-o', whole, '--probe').code == shared_lab.run('snapshot', '-o', bare).code == 0

    def states(*source):
        done = shared_lab.run(*source, '--format', 'json', 'spn')
        return done.code, {name: (r['state'], bool(r['ticket'])) for name, r in rows(done.json()).items()}

    assert states('--source', f'snapshot:{whole}') == states()
    nothing = shared_lab.run('--source', f'snapshot:{bare}', 'spn')
    assert nothing.code == 3 and '--probe' in nothing.err and not nothing.out


def test_no_ticket(lab):
    lab.do('plant', 'no-ticket')
    done = lab.run('--format', 'json', 'spn')
    assert done.code == 1
    row = rows(done.json())['excas02.contoso.lab']
    assert row['ticket']['outcome'] == 'failed' and row['ticket']['error'] and row['problems'] == ['the KDC gives no ticket']


def test_words_are_refused():
    assert casbridge('spn', 'EXCAS01').code == 2


# ---- IIS files


def iis(name):
    path = SHARED / 'fixtures/exchange-iis' / name
    if not path.exists():
        pytest.skip(f'{path} is not here')
    return path


def test_extended_protection(shared_lab):
    on = iis('E15_Configured_Both_ApplicationHost.config')
    off = iis('E15_NotConfigured_Cas_ApplicationHost.config')
    none = shared_lab.json('check')
    assert [u['server'] for u in none['unknown'] if u['id'] == 'extended-protection'] == [None]
    o = shared_lab.json('check', '--iis', f'EX13CAS01={on}')
    found = [f for f in o['findings'] if f['id'] == 'extended-protection']
    assert [(f['server'], f['severity']) for f in found] == [('EX13CAS01', 'error')] and 'in the path' in found[0]['summary']
    assert any(e['source'] == 'iis' for e in found[0]['evidence'])
    o = shared_lab.json('check', '--iis', f'ex13cas01.contoso.lab={off}')
    assert not [f for f in o['findings'] if f['id'] == 'extended-protection']
    assert 'EX13CAS01' in [p['server'] for p in o['passed'] if p['id'] == 'extended-protection']
    assert 'EX13MBX01' in [u['server'] for u in o['unknown'] if u['id'] == 'extended-protection']


RPC = '''<configuration><location path="DEFAULT WEB SITE/rpc"><system.webServer><security><authentication>
<anonymousAuthentication enabled="false"/><basicAuthentication enabled="{basic}"/><windowsAuthentication enabled="{windows}"/>
</authentication></security></system.webServer></location></configuration>'''


def test_drift_by_a_file(shared_lab, tmp_path):
    file = tmp_path / 'applicationHost.config'
    for basic, windows, drifts in (('true', 'true', False), ('true', 'false', True), ('false', 'true', True)):
        file.write_text('\ufeff' + RPC.format(basic=basic, windows=windows))
        o = shared_lab.json('check', '--iis', f'EX10NTLM={file}')
        found = [f for f in o['findings'] if f['id'] == 'auth-drift']
        assert [f['server'] for f in found] == (['EX10NTLM'] if drifts else [])
        if drifts:
            assert found[0]['class'] in ('pending', 'will-be-overwritten') and any(e['source'] == 'iis' for e in found[0]['evidence'])


LAUGHS = '<!DOCTYPE l [<!ENTITY a "ha">' + ''.join(f'<!ENTITY {chr(b)} "{("&" + chr(b - 1) + ";") * 10}">' for b in range(98, 110)) + \
         ']><configuration><location path="&m;"/></configuration>'


@pytest.mark.parametrize('text, why', [
    (LAUGHS, 'document type'),
    ('<configuration><location path="x">', 'applicationHost.config: line'),
    ('<html></html>', 'root'),
    ('', 'line'),
])
def test_files_that_are_none(shared_lab, tmp_path, text, why):
    file = tmp_path / 'applicationHost.config'
    file.write_text(text)
    done = shared_lab.run('check', '--iis', f'EX10NTLM={file}')
    assert done.code == 3 and why in done.err and done.out == '' and done.err.startswith('casbridge: ')


def test_wrong_use(shared_lab, tmp_path):
    file = tmp_path / 'applicationHost.config'
    file.write_text(RPC.format(basic='true', windows='true'))
    assert shared_lab.run('check', '--iis', 'EX10NTLM').code == 2
    assert shared_lab.run('check', '--iis', f'NOBODY={file}').code == 2
    assert shared_lab.run('check', '--iis', f'EX10NTLM={tmp_path}/absent').code == 3
