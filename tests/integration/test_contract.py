"""Names, JSON fields and exit codes of the command line, on the lab."""
import json
import re

import pytest
from conftest import ORG, casbridge

TIME = re.compile(r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
METHODS = {'basic', 'ntlm', 'negotiate', 'kerberos', 'fba', 'digest', 'windows', 'wssecurity', 'certificate', 'oauth', 'adfs', 'nego2', 'none'}
ROLES = {'client_access', 'mailbox', 'hub_transport', 'unified_messaging', 'edge', 'frontend_transport'}


def test_inventory(shared_lab):
    done = shared_lab.run('inventory', '--format', 'json')
    assert done.code == 0 and done.err == ''
    o = done.json()
    assert o['organization'] == ORG and o['domain'] == 'contoso.lab' and TIME.match(o['taken_at']) and o['source'].startswith('ldap://')
    barcelona = next(s for s in o['sites'] if s['name'] == 'Barcelona')
    assert barcelona['subnets'] == ['10.1.0.0/16'] and 'EXCAS01' in barcelona['servers'] and barcelona['internet_facing'] is True
    server = next(s for s in o['servers'] if s['name'] == 'EXCAS01')
    assert server['fqdn'] == 'excas01.contoso.lab' and server['site'] == 'Barcelona' and server['version'] == '14.3.123.4'
    assert server['product'] == 'Exchange 2010 SP3' and server['generation'] == '2010' and set(server['roles']) == {'client_access', 'hub_transport'}
    oa = next(v for v in server['virtual_directories'] if v['protocol'] == 'oa')
    assert oa['name'] == 'Rpc (Default Web Site)' and oa['internal_url'] is None and oa['external_hostname'] == 'mail.contoso.lab'
    assert oa['external_url'] == 'https://mail.contoso.lab/rpc' and oa['client_auth'] == ['basic'] and oa['iis_auth'] == ['basic']
    assert oa['ssl_offloading'] is False
    for s in o['servers']:
        assert set(s['roles']) <= ROLES
        for v in s['virtual_directories']:
            assert set(v['iis_auth'] or []) | set(v['client_auth'] or []) <= METHODS
    assert {'name', 'owner', 'servers'} <= set(o['databases'][0]) and {'server', 'url', 'sites'} <= set(o['autodiscover'][0])
    assert {'name', 'fqdn', 'site'} <= set(o['arrays'][0])
    e13 = next(s for s in o['servers'] if s['name'] == 'EX13CAS01')
    assert e13['product'] == 'Exchange 2013 CU23' and 'client_access' in e13['roles']


def test_check(shared_lab):
    done = shared_lab.run('check', '--format', 'json')
    assert done.code == 1
    o = done.json()
    assert set(o) >= {'target', 'verdict', 'findings', 'passed', 'unknown'} and o['verdict'] == 'not_ready'
    for f in o['findings']:
        assert set(f) >= {'id', 'severity', 'server', 'site', 'summary', 'evidence', 'fix', 'accepted'}
        assert f['severity'] in {'blocker', 'error', 'warning', 'info'} and f['summary'] and f['evidence']
        for e in f['evidence']:
            assert set(e) >= {'source', 'subject', 'observed', 'expected', 'at'}
            assert e['source'] in {'directory', 'wire', 'iis', 'kerberos', 'host'} and TIME.match(e['at'])
    wire = [u for u in o['unknown'] if u['id'] == 'oa-wire']
    assert wire and all(u['why'] for u in wire), 'not probed is unknown, not passed'
    assert not [p for p in o['passed'] if p['id'] == 'oa-wire']
    floor = [u for u in o['unknown'] if u['id'] == 'version-floor' and u['server'] == 'E2K7CAS01']
    assert floor and 'RU10' in floor[0]['why']
    assert {'id', 'server'} <= set(o['passed'][0])


@pytest.mark.parametrize('user, generation, site, target', [
    ('alice@contoso.lab', '2010', 'Barcelona', 'EXCAS01'),
    ('bob@contoso.lab', '2010', 'Dublin', 'EXCAS02'),
    ('carol@contoso.lab', '2007', 'Seattle', 'E2K7CAS01'),
    ('erin@contoso.lab', '2010', 'Seattle', 'EX10NTLM'),
    ('dave@contoso.lab', '2013', 'Barcelona', 'EX13MBX01'),
])
def test_route(shared_lab, user, generation, site, target):
    done = shared_lab.run('route', '--user', user, '--protocol', 'oa', '--arrive', 'EX13CAS01', '--format', 'json')
    assert done.code == 0, done.err
    o = done.json()
    assert o['arriving'] == 'EX13CAS01' and o['protocol'] == 'oa' and o['user'] == user
    assert o['mailbox']['generation'] == generation and o['mailbox']['site'] == site
    assert o['action'] == 'proxy' and o['style'] is None and o['confidence'] == 'documented' and o['why'] and o['sources']
    port = 444 if generation == '2013' else 443
    if o['target'] is not None:
        assert o['target'] == target
        assert o['url'] == f'https://{target.lower()}.contoso.lab:{port}/rpc/rpcproxy.dll'
        assert o['hops'][0]['from'] == 'client' and o['hops'][0]['to'] == 'EX13CAS01'
        assert o['hops'][1] == {'from': 'EX13CAS01', 'to': target, 'auth': 'kerberos', 'spn': f'HTTP/{target.lower()}.contoso.lab'}
    else:                                                  # Dublin: no CAS there offers Outlook Anywhere yet
        assert user.startswith('bob') and o['status'] == 404
    holds = {(p['rule'], p['server']): p['holds'] for p in o['preconditions']}
    if user.startswith('alice'):
        assert holds[('oa-iis-auth', 'EXCAS01')] is False and o['works'] is False
    if user.startswith('bob'):
        assert holds[('oa-enabled', 'EXCAS02')] is False and o['works'] is False
    if user.startswith('erin'):
        assert holds[('oa-iis-auth', 'EX10NTLM')] is True and o['works'] is not False


def test_route_by_version_and_site(shared_lab):
    o = shared_lab.json('route', '--mailbox-version', '2010', '--mailbox-site', 'Seattle', '--protocol', 'mapi', '--arrive', 'EX13CAS01')
    assert o['action'] == 'refuse' and o['status'] == 404 and o['user'] is None
    o = shared_lab.json('route', '--mailbox-version', '2007', '--mailbox-site', 'Seattle', '--protocol', 'owa', '--arrive', 'EX13CAS01')
    assert o['action'] == 'redirect' and 'legacy.contoso.lab' in o['url']


def test_plan_file(shared_lab, tmp_path):
    file = tmp_path / 'plan.json'
    done = shared_lab.run('plan', '-o', file)
    assert done.code == 1
    p = json.loads(file.read_text())
    assert p['format'] == 1 and p['organization'] == ORG and p['target'] == '2013' and TIME.match(p['made_at']) and p['made_by'] and p['id']
    for i, s in enumerate(p['steps']):
        assert s['n'] == i + 1 and set(s) >= {'finding', 'server', 'cmdlet', 'inverse', 'before', 'after', 'preconditions', 'verify', 'takes_effect', 'impact'}
        assert s['verify'] == ['directory', 'wire'] and s['inverse']
        for c in s['preconditions']:
            assert set(c) >= {'dn', 'attribute', 'value'}
    first = next(s for s in p['steps'] if s['server'] == 'EXCAS01')
    assert {'dn': first['preconditions'][0]['dn'], 'attribute': 'msExchInternalAuthenticationMethods', 'value': '1'} in first['preconditions']
    one = shared_lab.json('plan', '--server', 'E2K7CAS01')
    assert [s['server'] for s in one['steps']] == ['E2K7CAS01']
    assert shared_lab.json('plan', '--finding', 'oa-enabled')['steps'][0]['server'] == 'EXCAS02'


def test_exec(shared_lab):
    done = shared_lab.run('exec', '--on', 'EXCAS01', '--on', 'E2K7CAS01', '--format', 'json', '--', 'Get-OutlookAnywhere', '-Server', 'EXCAS01')
    assert done.code in (0, 6)
    first = done.json()[0]
    assert set(first) >= {'server', 'via', 'ok', 'exit_code', 'output', 'warnings', 'errors', 'elapsed_ms'}
    assert first['server'] == 'EXCAS01' and first['via'] == 'ssh' and first['ok'] is True and first['exit_code'] == 0
    once = shared_lab.json('exec', '--on', 'EXCAS02', 'EXCAS01', 'excas01', 'excas01.contoso.lab', '--on', 'EXCAS02', '--', 'Get-OutlookAnywhere')
    assert [h['server'] for h in once] == ['EXCAS02', 'EXCAS01']   # named twice, sent once
    bad = shared_lab.run('exec', '--on', 'EXCAS01', '--format', 'json', '--', 'Get-Nothing')
    assert bad.code == 6 and bad.json()[0]['ok'] is False and 'Get-Nothing' in bad.json()[0]['errors'][0]['message']
    assert shared_lab.run('--read-only', 'exec', '--on', 'EXCAS01', '--', 'Set-OutlookAnywhere', '-Identity', 'x').code == 7


def test_other_commands(shared_lab):
    assert casbridge('version').code == 0 and casbridge('--version').out.startswith('casbridge')
    assert 'default' in casbridge('themes').out.split()
    for shell in ('bash', 'zsh', 'fish'):
        assert 'inventory' in casbridge('completion', shell).out
    for command in ('inventory', 'check', 'probe', 'route', 'plan', 'apply', 'rollback', 'journal', 'exec', 'proxy'):
        assert casbridge('help', command).code == 0 and casbridge(command, '--help').out.startswith('casbridge ' + command)
    assert shared_lab.run('journal').code == 0 and shared_lab.run('journal', 'verify').code == 0
    csv = shared_lab.run('check', '--format', 'csv').out.splitlines()
    assert csv[0].startswith('state,id,severity') and any(line.startswith('found,oa-iis-auth,error,EXCAS01') for line in csv)


def test_output_goes_to_a_file(shared_lab, tmp_path):
    file = tmp_path / 'inventory.json'
    assert shared_lab.run('inventory', '--format', 'json', '--output', file).out == ''
    assert json.loads(file.read_text())['organization'] == ORG
