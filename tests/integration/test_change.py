"""A plan against the lab: every kind of step there and exactly back, interrupted, killed, raced, nudged."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

from change_support import LEGACY, Running, directory, lines_of, plan_of, slow
from conftest import ORG, PROGRAM, Lab, casbridge, clean_env, wait_for


def test_every_step_there_and_back(lab, tmp_path):
    lab.do('plant', 'wrong-scp', 'legacy-url', 'no-internal-url', 'no-forms', 'no-rpc-encryption', 'ssl-offloading', 'wrong-oa-name')
    lab.config.write_text(lab.config.read_text() + 'legacy_namespace = legacy.contoso.lab\n')
    lab.config.chmod(0o600)
    first = directory(lab, tmp_path)
    file, plan = plan_of(lab, tmp_path)
    rules = {s['finding'] for s in plan['steps']} | {x for s in plan['steps'] for x in s.get('also', [])}
    assert {'oa-iis-auth', 'oa-enabled', 'oa-external-hostname', 'autodiscover-scp', 'legacy-namespace', 'internal-url'} <= rules
    # what a person must choose is named and left out
    text = lab.run('plan').out
    for rule in ('rpc-encryption', 'fba-match', 'ssl-offloading'):
        assert rule not in rules and f'--finding {rule}:' in text, (rule, text)
    done = lab.run('--format', 'json', 'apply', file, '--yes', ORG, timeout=180)
    assert done.code == 0, done.err
    runs = [lines_of(done)[0]['run']]
    chosen, more = plan_of(lab, tmp_path, '--finding', 'rpc-encryption', '--finding', 'fba-match', '--finding', 'ssl-offloading', name='chosen.json')
    cmdlets = {s['cmdlet'].split()[0] for s in more['steps']}
    assert cmdlets == {'Set-RpcClientAccess', 'Set-OwaVirtualDirectory', 'Set-OutlookAnywhere'}
    assert all(s['note'] for s in more['steps']) and all(s['impact'] for s in more['steps'])
    done = lab.run('--format', 'json', 'apply', chosen, '--yes', ORG, timeout=180)
    assert done.code == 0, done.err
    runs.append(lines_of(done)[0]['run'])
    left = {f['id'] for f in lab.json('check')['findings']}
    assert not left & (rules | {'rpc-encryption', 'fba-match', 'ssl-offloading'}), left
    assert lab.run('plan').code == 0                                        # idempotent: nothing is left to do
    assert directory(lab, tmp_path) != first
    # the last first; each a second time is nothing
    for run in reversed(runs):
        done = lab.run('--format', 'json', 'rollback', run, '--yes', ORG, timeout=180)
        assert done.code == 0, done.err
        again = lab.run('rollback', run, '--yes', ORG)
        assert again.code == 0 and 'nothing was done' in again.err
    last = directory(lab, tmp_path)
    assert set(last) == set(first)
    assert {dn: (first[dn], last[dn]) for dn in first if first[dn] != last[dn]} == {}
    assert lab.run('journal', 'verify').code == 0


def test_a_cmdlet_that_does_more(lab, tmp_path):
    """Forms logon turns other switches too. A plan that was edited not to say so is not believed blindly."""
    lab.do('plant', 'no-forms')
    file, plan = plan_of(lab, tmp_path, '--finding', 'fba-match')
    step, = plan['steps']
    name = "Set-OwaVirtualDirectory -Identity 'E2K7CAS01\\owa (Default Web Site)' -FormsAuthentication:"
    step.update(cmdlet=name + '$true', inverse=name + '$false', before={'forms_authentication': False}, after={'forms_authentication': True})
    file.write_text(json.dumps(plan))
    done = lab.run('--format', 'json', 'apply', file, '--yes', ORG, timeout=180)
    assert done.code == 0, done.err
    last = lines_of(done)[-1]
    assert last['phase'] == 'done' and 'msExchInternalAuthenticationMethods moved further than it was told to' in last['detail'], last


def test_interrupted_then_resumed(lab, tmp_path):
    file, _ = plan_of(lab, tmp_path)
    slow(lab, *LEGACY)
    with Running(lab, 'apply', file, '--yes', ORG, '--reason', 'change 4711') as apply:
        run = apply.until('push')['run']
        first = apply.lines[-1]['server']
        time.sleep(0.3)
        apply.process.send_signal(signal.SIGINT)
        code, err = apply.end()
    assert code == 130 and f'casbridge resume {run}' in err, err
    assert [p['phase'] for p in apply.lines if p['server'] == first][-1] == 'done'       # the host in hand was finished
    assert {p['server'] for p in apply.lines if p['phase'] == 'intent'} == {first}
    done = lab.run('--format', 'json', 'resume', run, '--yes', ORG, timeout=180)
    assert done.code == 0, done.err
    assert {p['server'] for p in lines_of(done) if p['phase'] == 'done'} == set(LEGACY) - {first}
    journal = lab.json('journal', run)
    assert {r['why'] for r in journal if r['phase'] == 'begin'} == {'change 4711'}
    assert [r['phase'] for r in journal if r['server'] is None] == ['begin', 'end', 'resume', 'end']
    assert lab.run('resume', run, '--yes', ORG).code == 7
    assert lab.run('journal', 'verify').code == 0


def test_a_ticket_of_ones_own(lab, tmp_path):
    """Who did it is the ticket's owner, not the jump host's account; a ticket that ends too soon is named before anything is changed."""
    lines = [line for line in lab.config.read_text().splitlines() if not line.startswith(('krb5_principal', 'krb5_keytab'))]
    lab.config.write_text('\n'.join(lines) + f'\nkrb5_ccache = FILE:{tmp_path}/cc\n')
    env = clean_env() | {'KRB5_CONFIG': str(lab.dir / 'krb5.conf')}

    def kinit(life):
        subprocess.run(['kinit', '-c', f'FILE:{tmp_path}/cc', '-l', life, '-k', '-t', lab.dir / 'keytabs/admin.keytab', 'admin@CONTOSO.LAB'],
                       check=True, env=env)
    kinit('300s')                                                           # less than twice the polling interval and what a read takes
    file, plan = plan_of(lab, tmp_path)
    assert plan['made_by'] == 'admin@CONTOSO.LAB'
    done = lab.run('apply', file, '--yes', 'Fabrikam')
    assert done.code == 7 and re.search('the Kerberos ticket ends in [0-5] min', done.err), done.err
    kinit('1h')
    done = lab.run('apply', file, '--yes', ORG)
    assert done.code == 0 and 'ticket' not in done.err, done.err
    run, = lab.json('journal')
    assert run['who'] == 'admin@CONTOSO.LAB'
    text = lab.run('journal', run['run']).out
    assert 'capture  iis_auth basic\n' in text and 'capture  enabled false; client_auth none; ' in text, text


def test_its_time_is_over(lab, tmp_path):
    """--timeout is for the whole run: the server in hand is finished, no other is begun, and it can be gone on with."""
    file, plan = plan_of(lab, tmp_path)
    first = plan['steps'][0]['server']
    for seconds in (5, 10, 20, 40, 80):                                     # the first that is enough to begin a server
        slow(lab, first, seconds=250)
        with Running(lab, '--timeout', seconds, 'apply', file, '--yes', ORG, '--via', 'ssh') as apply:
            if not apply.comes_to('push'):
                continue
            time.sleep(seconds)
            (lab.dir / 'faults' / first).unlink()
            code, err = apply.end()
            break
    assert code == 4 and 'casbridge resume' in err and '1 done, 0 failed, 0 put back, 2 not begun' in err, err
    run = lab.json('journal')[-1]
    assert run['status'] == 'interrupted' and run['done'] == 1
    assert lab.run('resume', run['run'], '--yes', ORG, timeout=180).code == 0
    assert lab.run('plan').code == 0


def test_misspelt_names_are_not_nothing_to_do(lab, tmp_path):
    """A rule or a server that nobody knows must not end with 0."""
    done = lab.run('plan', '--finding', 'oa-iis-aut')
    assert done.code == 2 and 'no rule oa-iis-aut' in done.err, done.err
    assert lab.run('plan', '--server', 'EXCAS1').code == 2
    file, _ = plan_of(lab, tmp_path, '--server', 'EXCAS01')
    done = lab.run('apply', tmp_path / 'other.json', '--yes', ORG)
    assert done.code == 3 and 'casbridge plan -o FILE' in done.err, done.err
    done = lab.run('--format', 'json', 'apply', file, '--yes', ORG, timeout=180)
    assert done.code == 0, done.err
    run = lines_of(done)[0]['run']
    done = lab.run('rollback', run, '--yes', ORG, '--server', 'EXCAS1')
    assert done.code == 2 and 'EXCAS1' in done.err, done.err
    done = lab.run('--format', 'json', 'rollback', run, '--yes', ORG, '--server', 'excas01.contoso.lab', timeout=180)
    assert done.code == 0 and [p['phase'] for p in lines_of(done)][-1] == 'done', done.err


def test_killed_then_resumed(lab, tmp_path):
    file, _ = plan_of(lab, tmp_path)
    slow(lab, 'E2K7CAS01', seconds=2)
    with Running(lab, 'apply', file, '--yes', ORG) as apply:
        run = apply.until('push')['run']
        time.sleep(2.2)                                                     # the command has run, nobody has read what it did
        apply.process.kill()
        apply.process.wait()
    done = lab.run('--format', 'json', 'resume', run, '--yes', ORG, timeout=180)          # takes the dead one's lock over
    assert done.code == 0, done.err
    journal = lab.json('journal', run)
    assert {r['server'] for r in journal if r['phase'] == 'done'} == set(LEGACY)
    assert lab.run('plan').code == 0 and lab.run('journal', 'verify').code == 0


def test_two_consoles(lab, tmp_path):
    file, _ = plan_of(lab, tmp_path)
    slow(lab, *LEGACY, seconds=250)
    with Running(lab, 'apply', file, '--yes', ORG, '--reason', 'ours') as first:
        first.until('push')
        done = lab.run('apply', file, '--yes', ORG)
        assert done.code == 7 and 'holds the lock' in done.err and '--force-lock' in done.err, done.err
        assert lab.run('apply', file, '--yes', ORG, '--force-lock', '').code == 2
        with Running(lab, 'apply', file, '--yes', ORG, '--force-lock', 'the other console hangs') as second:
            assert wait_for(lambda: 'away by force' in lab.run('journal', '-').out, seconds=120)
            slow(lab, *LEGACY, seconds=1)
            code, err = first.end()
            other, said = second.end()
    # the first finishes the host in hand, learns it, and begins no other; the second found either nothing moved or a stale plan
    assert code == 7 and 'took the lock away' in err, err
    assert other in (0, 6, 8), said
    assert sum(1 for p in first.lines if p['phase'] == 'intent') == 1
    taken = [r for r in lab.json('journal', '-') if r['phase'] == 'lock']
    assert any(r['why'] == 'the other console hangs' and 'away by force' in r['detail'] for r in taken), taken
    assert lab.run('journal', 'verify').code == 0


def test_somebody_else_since(lab, tmp_path):
    file, _ = plan_of(lab, tmp_path, '--server', 'EXCAS01', '--server', 'E2K7CAS01')
    done = lab.run('--format', 'json', 'apply', file, '--yes', ORG, timeout=180)
    run = lines_of(done)[0]['run']
    set_ = ('exec', '--on', 'EXCAS01', '--', 'Set-OutlookAnywhere', '-Identity', 'EXCAS01\\Rpc (Default Web Site)', '-IISAuthenticationMethods', 'NTLM')
    assert lab.run(*set_).code == 0
    done = lab.run('--format', 'json', 'rollback', run, '--yes', ORG, timeout=180)
    assert done.code == 6 and 'not everything was put back: 1 of 2 steps left alone, the first: EXCAS01' in done.err, (done.code, done.err)
    skipped = [p for p in lines_of(done) if p['phase'] == 'skipped']
    assert [p['server'] for p in skipped] == ['EXCAS01'] and 'somebody changed it since' in skipped[0]['detail'] and 'ntlm' in skipped[0]['detail']
    iis = {s['name']: [v['iis_auth'] for v in s['virtual_directories'] if v['protocol'] == 'oa'] for s in lab.json('inventory')['servers']}
    assert iis['EXCAS01'] == [['ntlm']] and iis['E2K7CAS01'] == [['basic']]
    # again: nothing is left that could be put back, so nobody is asked; still no success
    done = lab.run('rollback', run)
    assert done.code == 6 and f'To take run {run} back:' in done.err and 'Type its name' not in done.err, (done.code, done.err)
    begun = lab.json('journal', lab.json('journal')[-1]['run'])
    assert begun[0]['after']['rollback_of'] == run and begun[-1]['after']['status'] == 'failed'


def test_server_goes_back_whole(lab, tmp_path):
    """The last step of a server is not seen on its wire: the steps before it go back as well."""
    lab.do('plant', 'legacy-url')
    lab.config.write_text(lab.config.read_text() + 'legacy_namespace = legacy.contoso.lab\n')
    lab.config.chmod(0o600)
    first = directory(lab, tmp_path)
    file, plan = plan_of(lab, tmp_path, '--server', 'E2K7CAS01', '--server', 'EXCAS02')
    wire, url, other = plan['steps']
    assert 'wire' in wire['verify'] and url['server'] == 'E2K7CAS01' and other['server'] == 'EXCAS02'
    others = [url, wire, other]
    for n, step in enumerate(others, 1):
        step['n'] = n
    plan['steps'] = others
    file.write_text(json.dumps(plan))
    (lab.dir / 'faults').mkdir(exist_ok=True)
    (lab.dir / 'faults' / 'E2K7CAS01').write_text('no-poll\n')
    done = lab.run('--format', 'json', 'apply', file, '--yes', ORG, timeout=240)
    assert done.code == 6 and 'E2K7CAS01 (put back): the wire did not follow' in done.err, (done.code, done.err)
    lines = lines_of(done)
    assert [p['step'] for p in lines if p['phase'] == 'undone' and p['detail'].startswith('put back: ')] == [2, 1]
    assert 'E2K7CAS01 is as it was before the run' in [p['detail'] for p in lines]
    last = directory(lab, tmp_path)
    assert {dn: (first[dn], last[dn]) for dn in first if first[dn] != last[dn]} == {}
    again = lab.run('rollback', lines[0]['run'], '--yes', ORG)
    assert again.code == 0 and 'is left to take back' in again.err


def test_nudge(tmp_path):
    lab = Lab(tmp_path / 'lab')
    lab.do('up', '--poll', '600')
    try:
        file, plan = plan_of(lab, tmp_path, '--nudge')
        assert all(s['nudge'] == ["Restart-Service -Name 'MSExchangeServiceHost'"] and 'MSExchangeServiceHost' in s['impact'] for s in plan['steps'])
        done = lab.run('apply', file, '--yes', ORG, '--via', 'psrp')
        assert done.code != 0 and not lab.json('journal')
        began = time.monotonic()
        done = lab.run('--format', 'json', 'apply', file, '--yes', ORG, timeout=180)
        assert done.code == 0, done.err
        assert time.monotonic() - began < 100                              # and not ten minutes
        run = lines_of(done)[0]['run']
        assert sum(1 for r in lab.json('journal', run) if r['phase'] == 'nudge') == 3
    finally:
        lab.do('down')


def test_service_names_are_only_written(lab, tmp_path):
    lab.do('plant', 'duplicate-spn')
    file = tmp_path / 'spn.cmd'
    assert lab.run('plan', '--export-spn', file).code == 1
    text = file.read_text()
    assert 'setspn -D HTTP/mail.contoso.lab WEB01$' in text and 'casbridge never runs them' in text
    assert all(line.startswith(('rem ', 'setspn ')) for line in text.splitlines())
    assert lab.run('spn').code == 1                                        # nothing was done about it
    export = tmp_path / 'all.ldif'
    lab.do('export', str(export))
    done = casbridge('--source', f'ldif:{export}', '--profile', 'lab', '--config', lab.config, 'plan', '--export-spn', tmp_path / 'none.cmd')
    assert done.code in (1, 7) and ((tmp_path / 'none.cmd').exists() or 'looked up' in done.err), done.err


# ---- secrets

PASSWORDS = ('Passw0rd!lab', 'S3cret-of-the-admin')


def holds_secret(data, more):
    return [s for s in (*PASSWORDS, *more) if s.encode() in data or s.encode('utf-16-le') in data]


def test_no_secret_anywhere(lab, tmp_path):
    """Everything that a whole job writes, searched for every secret that it was given."""
    out = tmp_path / 'out'
    out.mkdir()
    secret = tmp_path / 'secret'
    secret.write_text(PASSWORDS[1])
    secret.chmod(0o600)
    key = pathlib.Path(lab.value('ssh_key')).read_text()
    body = [line for line in key.splitlines() if line and not line.startswith('-')]
    lab.config.write_text(lab.config.read_text() + f'ssh_password = file:{secret}\n')
    lab.config.chmod(0o600)
    said = []
    env = {**clean_env(), 'HOME': str(out), 'XDG_STATE_HOME': str(out), 'XDG_CACHE_HOME': str(out), 'KRB5_TRACE': ''}

    def do(*args, **kw):
        done = lab.run(*args, env=env, timeout=180, **kw)
        said.append(f'{args}\n{done.out}\n{done.err}')
        return done

    do('check', '--probe'), do('--format', 'json', 'check', '--probe')
    assert do('plan', '-o', out / 'plan.json').code == 1
    done = do('--format', 'json', 'apply', out / 'plan.json', '--yes', ORG)
    assert done.code == 0, done.err
    run = lines_of(done)[0]['run']
    do('exec', '--on', 'EXCAS01', '--', 'Get-OutlookAnywhere', '-Server', 'EXCAS01')
    do('journal'), do('--format', 'json', 'journal', run), do('journal', 'verify')
    do('snapshot', '-o', out / 'a.snapshot'), do('report', '-o', out / 'report.html'), do('--format', 'json', 'report', '-o', out / 'report.json')
    assert do('rollback', run, '--yes', ORG).code == 0
    secret.write_text('another')                                            # the wrong one is not told either
    do('exec', '--on', 'EXCAS01', '--', 'Get-ExchangeServer')
    (out / 'said').write_text('\n'.join(said))
    for file in lab.dir.glob('store.db*'):
        shutil.copy(file, out)
    files = [f for f in out.rglob('*') if f.is_file()]
    assert {'plan.json', 'said', 'store.db', 'report.html', 'a.snapshot'} <= {f.name for f in files}
    for file in files:
        assert holds_secret(file.read_bytes(), body[:-1]) == [], file
    assert holds_secret(secret.read_bytes() + PASSWORDS[0].encode(), []) == [PASSWORDS[0]], 'the search finds what is there'


def test_no_core_file(lab):
    """The process that may hold secrets leaves no core, whatever its caller allowed."""
    process = subprocess.Popen(['/bin/sh', '-c', f'ulimit -c unlimited 2>/dev/null; exec "{PROGRAM}" --config "{lab.config}" --profile lab '
                                'proxy --listen 127.0.0.1:0 --arrive EX13CAS01'], stderr=subprocess.PIPE, env=clean_env(), text=True)
    try:
        assert 'listen' in process.stderr.readline().lower()
        limits = pathlib.Path(f'/proc/{process.pid}/limits').read_text()
        assert re.search(r'^Max core file size +0 +0 ', limits, re.M), limits
        if 'asan' not in str(PROGRAM):                                      # there the leak checker traces its own process
            owner = os.stat(f'/proc/{process.pid}/environ')
            assert owner.st_uid == 0 and owner.st_gid == 0                  # what the kernel does with one that is not dumpable
    finally:
        process.terminate()
        process.communicate()
