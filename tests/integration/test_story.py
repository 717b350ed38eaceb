"""The main job, end to end and unattended: see what blocks the new CAS, feel it, fix it over SSH, prove it."""
import json
import subprocess

from conftest import ORG, Proxy, clean_env, wait_for

USER = ('--basic', '-u', 'alice@contoso.lab:Passw0rd!lab')
ECHO = ('-X', 'RPC_IN_DATA', '-H', 'Content-Length: 0', '-A', 'MSRPC')
LEGACY = {'EXCAS01', 'EXCAS02', 'E2K7CAS01', 'EX10NTLM'}


def findings(check, rule):
    return {f['server']: f for f in check['findings'] if f['id'] == rule}


def passed(check, rule):
    return {p['server'] for p in check['passed'] if p['id'] == rule}


def virtual_connection(port, user, server):
    """impacket's RPC over HTTP through the engine: CONN/A1 to C2 and a DCE bind. The text of what went wrong, or ''."""
    script = f'''
import ssl, sys
from impacket.dcerpc.v5 import transport
from impacket.uuid import uuidtup_to_bin
from impacket.dcerpc.v5.rpch import AUTH_BASIC
ssl._create_default_https_context = ssl._create_unverified_context
t = transport.DCERPCTransportFactory('ncacn_http:{server}[6001,RpcProxy=mail.contoso.lab:443]')
t.set_rpc_proxy_url('https://127.0.0.1:{port}/rpc/rpcproxy.dll')
t.set_credentials('{user}', 'Passw0rd!lab', '', '', '')
t.set_auth_type(AUTH_BASIC)
d = t.get_dce_rpc()
d.connect()
d.bind(uuidtup_to_bin(('A4F1DB00-CA47-1067-B31F-00DD010662DA', '0.81')))   # the store's interface (MS-OXCRPC)
print('bound')
'''
    done = subprocess.run(['/usr/bin/python3', '-c', script], capture_output=True, text=True, timeout=60, env=clean_env())
    return '' if 'bound' in done.stdout else done.stdout + done.stderr


def test_the_story(lab, tmp_path):
    # 2. the organisation, read over LDAP with Kerberos
    inventory = lab.json('inventory')
    assert inventory['organization'] == ORG
    assert {s['name'] for s in inventory['sites']} == {'Barcelona', 'Dublin', 'Seattle'}
    assert {s['generation'] for s in inventory['servers']} == {'2007', '2010', '2013'}
    by_name = {s['name']: s for s in inventory['servers']}
    oa = {n: [v for v in by_name[n]['virtual_directories'] if v['protocol'] == 'oa'] for n in LEGACY}
    assert oa['EXCAS01'][0]['iis_auth'] == ['basic'] and oa['E2K7CAS01'][0]['iis_auth'] == ['basic']
    assert oa['EXCAS02'] == [] and 'ntlm' in oa['EX10NTLM'][0]['iis_auth']
    sites = {s['name']: s for s in inventory['sites']}
    assert sites['Barcelona']['internet_facing'] and not sites['Dublin']['internet_facing']

    # ... and what is wrong with it
    done = lab.run('--format', 'json', 'check', '--probe')
    check = done.json()
    assert done.code == 1 and check['target'] == '2013'
    assert set(findings(check, 'oa-iis-auth')) == {'EXCAS01', 'E2K7CAS01'}
    assert set(findings(check, 'oa-enabled')) == {'EXCAS02'}
    assert 'EX10NTLM' in passed(check, 'oa-iis-auth') & passed(check, 'oa-enabled') & passed(check, 'oa-wire')
    assert not [f for f in check['findings'] if f['server'] == 'EX10NTLM']
    assert findings(check, 'oa-iis-auth')['EXCAS01']['fix']['cmdlet'] == (
        "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)' -ClientAuthenticationMethod Basic -IISAuthenticationMethods Basic,NTLM")

    # 3. real traffic through the engine: the password is right and it is 401 for ever
    events = tmp_path / 'events.jsonl'
    with Proxy(lab, '--arrive', 'EX13CAS01', '--events', events) as proxy:
        for _ in range(2):
            assert proxy.curl('/rpc/rpcproxy.dll?EXCAS01.contoso.lab:6001', *ECHO, *USER)[0] == 401
        assert virtual_connection(proxy.port, 'alice@contoso.lab', 'excas01.contoso.lab') != ''
    assert proxy.code == 0
    rows = [json.loads(line) for line in events.read_text().splitlines()]
    seen = [r for r in rows if r['target'] == 'EXCAS01' and r['status'] == 401]
    assert seen and all('oa-iis-auth' in r['error'] and 'Basic' in r['error'] for r in seen)
    assert seen[0]['action'] == 'proxy' and seen[0]['user'] == 'alice@contoso.lab' and seen[0]['protocol'] == 'oa'

    # 4. the plan
    plan_file = tmp_path / 'plan.json'
    assert lab.run('plan', '-o', plan_file).code == 1
    plan = json.loads(plan_file.read_text())
    steps = {s['server']: s for s in plan['steps']}
    assert set(steps) == {'EXCAS01', 'EXCAS02', 'E2K7CAS01'}
    assert steps['EXCAS01']['before']['iis_auth'] == ['basic'] and steps['EXCAS01']['after']['iis_auth'] == ['basic', 'ntlm']
    assert steps['EXCAS02']['cmdlet'].startswith('Enable-OutlookAnywhere')
    for word in ('mail.contoso.lab', '-ClientAuthenticationMethod Basic', '-IISAuthenticationMethods Basic,NTLM', '-SSLOffloading:$false'):
        assert word in steps['EXCAS02']['cmdlet']

    # 5. pushed over SSH, read again, proved on the wire
    assert lab.run('apply', plan_file).code == 7                       # nobody confirmed
    assert lab.run('apply', plan_file, '--yes', 'Elsewhere').code == 7
    assert lab.run('--read-only', 'apply', plan_file, '--yes', ORG).code == 7
    assert lab.run('check').code == 1                                  # nothing was done
    done = lab.run('--format', 'json', 'apply', plan_file, '--yes', ORG, timeout=180)
    assert done.code == 0, done.err
    progress = [json.loads(line) for line in done.out.splitlines()]
    for server in steps:
        phases = [p['phase'] for p in progress if p['server'] == server]
        assert [x for i, x in enumerate(phases) if i == 0 or x != phases[i - 1]] == ['intent', 'push', 'reread', 'verify', 'done'], (server, phases)
    assert any('interval' in (p['detail'] or '') for p in progress)
    run = progress[0]['run']
    journal = lab.json('journal', run)
    assert {r['server'] for r in journal if r['phase'] == 'intent'} == set(steps)
    assert lab.run('journal', 'verify').code == 0
    again = lab.run('apply', plan_file, '--yes', ORG)
    assert again.code == 8 and 'IISAuthenticationMethods' not in again.out, again.err   # stale now: what it was made from has moved

    # 6. the same traffic works
    events = tmp_path / 'events2.jsonl'
    with Proxy(lab, '--arrive', 'EX13CAS01', '--events', events) as proxy:
        status, _ = proxy.curl('/rpc/rpcproxy.dll?EXCAS01.contoso.lab:6001', *ECHO, *USER)
        assert status == 200
        assert virtual_connection(proxy.port, 'alice@contoso.lab', 'excas01.contoso.lab') == ''
        assert virtual_connection(proxy.port, 'bob@contoso.lab', 'excas02.contoso.lab') == ''
        assert virtual_connection(proxy.port, 'carol@contoso.lab', 'e2k7cas01.contoso.lab') == ''
    rows = [json.loads(line) for line in events.read_text().splitlines()]
    assert {(r['protocol'], r['method']) for r in rows} >= {('oa', 'RPC_IN_DATA'), ('oa', 'RPC_OUT_DATA')}
    assert all('kerberos' in r['auth'] for r in rows if r['status'] == 200)
    check = lab.run('--format', 'json', 'check', '--probe')
    assert check.json()['findings'] == [] and check.code == 0, check.out
    assert all(u['why'] for u in check.json()['unknown'])
    assert lab.run('plan').code == 0

    # 7. somebody edits IIS by hand: shown as it is, and gone after the next poll
    def edited():
        lab.do('iis-edit', 'EXCAS01', 'basic')
        return findings(lab.json('check', '--probe'), 'auth-drift').get('EXCAS01')
    # right after the change a difference may still be IIS on its way ("pending"), and a poll may come between edit and look
    drift = wait_for(lambda: (d := edited()) and d['class'] != 'pending' and d, seconds=40)
    assert drift and drift['class'] == 'will-be-overwritten' and 'will-be-overwritten' in drift['summary'], drift
    lab.do('poll', 'EXCAS01')
    assert 'EXCAS01' not in findings(lab.json('check', '--probe'), 'auth-drift')

    # and back again
    done = lab.run('--format', 'json', 'rollback', run, '--yes', ORG, timeout=180)
    assert done.code == 0, done.err
    assert set(findings(lab.json('check'), 'oa-iis-auth')) == {'EXCAS01', 'E2K7CAS01'}
    assert set(findings(lab.json('check'), 'oa-enabled')) == {'EXCAS02'}
