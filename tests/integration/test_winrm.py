"""exec --via winrm against the lab's listener, which was written apart from our client: logins, seals, faults, lost connections.

The lab counts what really came: a command is never sent twice, and every shell is deleted."""
import json
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import PROGRAM, ROOT, casbridge, clean_env
from winrm_support import GET, HTTP, HTTPS, MANY, PASSWORD, SET, quiet, remote  # noqa: F401
from wsman_replay import SHELL, Session

WAYS = {
    'ticket': dict(auth='kerberos'),
    'kerberos by password': dict(auth='kerberos', user='admin@CONTOSO.LAB'),
    'negotiate by password': dict(auth='negotiate', user='CONTOSO\\admin'),
    'ntlm': dict(auth='ntlm', user='CONTOSO\\admin'),
    'basic': dict(auth='basic', user='admin', url=HTTPS),
    'ntlm when no KDC can be asked': dict(auth='negotiate', user='ELSEWHERE.LAB\\admin'),
}


@pytest.mark.parametrize('url', [HTTP, HTTPS])
@pytest.mark.parametrize('way', ['ticket', 'kerberos by password', 'negotiate by password', 'ntlm'])
def test_every_login_over_http_and_https(remote, way, url):
    how = dict(WAYS[way])
    user = how.pop('user', None)
    lines = (f'winrm_user = {user}',) if user else ()
    secrets = dict(winrm_password=PASSWORD) if user else {}
    done, hosts = remote.run(*lines, url=url, leaks='ntlm' not in way, **how, **secrets)
    assert done.code == 0, (done.err, hosts)
    assert hosts[0]['ok'] and hosts[0]['exit_code'] == 0 and 'EXCAS01' in hosts[0]['output'][0] and hosts[0]['via'] == 'winrm'
    assert remote.counts()[1] == []


def test_basic_goes_over_tls_only(remote):
    done, hosts = remote.run('winrm_user = admin', url=HTTPS, auth='basic', winrm_password=PASSWORD)
    assert done.code == 0 and hosts[0]['ok']
    before = remote.counts()[0]
    done, hosts = remote.run('winrm_user = admin', url=HTTP, auth='basic', winrm_password=PASSWORD)
    assert done.code == 6 and hosts[0]['errors'][0]['id'] == 'REFUSED' and 'not https' in hosts[0]['errors'][0]['message']
    assert remote.counts()[0] == before


def test_no_login_is_for_loopback(remote):
    remote.knobs('winrm-no-auth')
    done, hosts = remote.run(auth='none')
    assert done.code == 0 and hosts[0]['ok']
    done, hosts = remote.run('host.excas01.contoso.lab/10985 = 192.0.2.1:10985', auth='none') # reserved; never reached
    assert done.code == 6 and hosts[0]['errors'][0]['id'] == 'REFUSED'


@pytest.mark.parametrize('way', ['ntlm', 'basic', 'kerberos by password', 'negotiate by password', 'ntlm when no KDC can be asked'])
def test_a_wrong_password_is_offered_once(remote, way):
    """However many begin at once: a domain locks an account after a handful of failed logins."""
    def refused(server):
        log = remote.lab.dir / f'winrm/{server}.log'
        return log.read_text().count(' - - 401 Negotiate: ') if log.exists() else 0
    how = dict(WAYS[way])
    before = sum(map(refused, MANY))
    done, hosts = remote.run(f'winrm_user = {how.pop("user")}', on=MANY, winrm_password='wrong', leaks=False, **how)
    assert done.code == 6 and all(h['errors'][0]['id'] == 'AUTH' for h in hosts), hosts
    messages = [h['errors'][0]['message'] for h in hosts]
    assert sum('a moment ago' in m or 'another server has just refused' in m for m in messages) == len(MANY) - 1, messages
    if 'ntlm' in way:
        assert sum(map(refused, MANY)) == before + 1


@pytest.mark.parametrize('way', ['ntlm', 'basic'])
def test_a_right_password_goes_to_all(remote, way):
    """Those who waited for the first go on."""
    how = dict(WAYS[way])
    done, hosts = remote.run(f'winrm_user = {how.pop("user")}', on=MANY, winrm_password=PASSWORD, leaks=False, **how)
    assert done.code == 0 and all(h['ok'] for h in hosts), hosts


def test_the_organisation_from_a_file(remote):
    """With a source that needs no ticket, Kerberos is still the profile's: its krb5.conf, its keytab."""
    ldif = remote.lab.dir / 'exported.ldif'
    remote.lab.do('export', ldif)
    for via in ('winrm', 'psrp'):
        done = casbridge('--config', remote.config(), '--profile', 'lab', '--source', f'ldif:{ldif}', '--format', 'json', 'exec', '--on', 'EXCAS01',
                         '--via', via, '--', *GET)
        assert done.code == 0 and done.json()[0]['ok'], done.out + done.err


@pytest.fixture
def silent_kdc(remote):
    """A krb5.conf whose KDC takes connections and says nothing, and the socket where it listens."""
    with socket.create_server(('127.0.0.1', 0), backlog=64) as s:
        path = remote.lab.dir / 'silent.conf'
        realm = f'CONTOSO.LAB = {{\n kdc = 127.0.0.1:{s.getsockname()[1]}\n}}\n'
        path.write_text('[libdefaults]\ndefault_realm = CONTOSO.LAB\ndns_lookup_kdc = false\nudp_preference_limit = 1\n'
                        f'[realms]\n{realm}[domain_realm]\n.contoso.lab = CONTOSO.LAB\n')
        s.settimeout(60)
        yield path, s


@pytest.mark.parametrize('way', ['password', 'ticket'])
@pytest.mark.parametrize('end', ['deadline', 'ctrl-c'])
def test_a_silent_kdc_holds_nobody_up(remote, silent_kdc, way, end):
    """libkrb5 waits 25 s and more for a KDC, one server after the other: neither --timeout nor Ctrl-C may have to."""
    conf, listener = silent_kdc
    lines, secrets = ['winrm_user = admin@CONTOSO.LAB'], dict(winrm_password=PASSWORD)
    if way == 'ticket': # there is one for the realm; the one for the server is asked for
        cache = remote.lab.dir / 'silent.ccache'
        env = dict(clean_env(), KRB5_CONFIG=str(remote.lab.dir / 'krb5.conf'))
        subprocess.run(['kinit', '-c', f'FILE:{cache}', '-k', '-t', str(remote.lab.dir / 'keytabs/admin.keytab'), 'admin@CONTOSO.LAB'],
                       env=env, check=True)
        lines, secrets = [f'krb5_ccache = FILE:{cache}'], {}
    ldif = remote.lab.dir / 'silent.ldif'
    remote.lab.do('export', ldif)
    config = remote.config(f'krb5_config = {conf}', *lines, **secrets)
    keep = (str(conf), 'silent.ccache')
    config.write_text(''.join(l for l in config.read_text().splitlines(True) if not l.startswith('krb5_') or any(k in l for k in keep)))
    process = subprocess.Popen([str(PROGRAM), '--config', str(config), '--profile', 'lab', '--source', f'ldif:{ldif}', '--format', 'json',
                                *(('--timeout', '2') if end == 'deadline' else ()), 'exec', '--on', *MANY, '--via', 'winrm', '--', *GET],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_env(), cwd=ROOT)
    asked, _ = listener.accept()
    begun = time.monotonic()
    if end == 'ctrl-c':
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    asked.close()
    assert time.monotonic() - begun < 20 and 'Sanitizer' not in err, err
    assert process.returncode == (6 if end == 'deadline' else 130)
    assert {h['errors'][0]['id'] for h in json.loads(out)} == {'TIMEOUT' if end == 'deadline' else 'INTERRUPTED'}, out


def test_service_name(remote):
    done, hosts = remote.run('winrm_spn = HTTP/nowhere.contoso.lab')
    assert done.code == 6 and 'no account owns' in hosts[0]['errors'][0]['message']
    # another server's name: a ticket there is, but the server cannot read it
    done, hosts = remote.run('winrm_spn = HTTP/excas02.contoso.lab')
    assert done.code == 6 and hosts[0]['errors'][0]['id'] == 'AUTH'
    done, hosts = remote.run('winrm_spn = HTTP/{fqdn}')
    assert done.code == 0


def test_seals_as_omi_makes_them_and_utf16(remote):
    for knob in ('winrm-plain-wrap', 'winrm-utf16'):
        remote.knobs(knob)
        done, hosts = remote.run()
        assert done.code == 0 and hosts[0]['ok'], (knob, hosts)


def test_an_answer_that_does_not_open_is_refused(remote):
    remote.knobs('winrm-identity-change')
    done, hosts = remote.run()
    assert done.code == 6 and hosts[0]['errors'][0]['id'] == 'PROTOCOL', hosts
    done, hosts = remote.run(url=HTTPS) # the certificate of another server
    assert done.code == 6 and hosts[0]['errors'][0]['id'] == 'TLS', hosts


def test_long_waits_and_operation_timeouts(remote):
    """A Receive that has nothing to say within its OperationTimeout (20 s) is asked again; here the server's delay is shorter."""
    remote.knobs('winrm-delay 2')
    done, hosts = remote.run()
    assert done.code == 0 and hosts[0]['elapsed_ms'] > 2000


def test_deadline_terminates_the_command(remote):
    remote.knobs('winrm-delay 20')
    begun = time.monotonic()
    done, hosts = remote.run(timeout=2)
    assert time.monotonic() - begun < 9
    message = hosts[0]['errors'][0]['message']
    assert hosts[0]['errors'][0]['id'] == 'TIMEOUT' and 'its outcome is not known' in message and 'terminated' in message, message
    counts, shells = remote.counts()
    assert shells == [] and counts.get('Signal', 0) >= 1


def test_ctrl_c_terminates_the_command(remote):
    remote.knobs('winrm-delay 20')
    process = subprocess.Popen([str(PROGRAM), '--config', str(remote.config()), '--profile', 'lab', '--format', 'json', 'exec', '--on',
                                'EXCAS01', '--via', 'winrm', '--', *GET], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=clean_env(), cwd=ROOT)
    for _ in range(100):
        if remote.counts()[1]:
            break
        time.sleep(0.1)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert 'Sanitizer' not in err, err
    assert process.returncode == 130 and json.loads(out)[0]['errors'][0]['id'] == 'INTERRUPTED', (process.returncode, out, err)
    assert remote.counts()[1] == []


@pytest.mark.parametrize('operation', ['Create', 'Command', 'Receive', 'Send', 'Delete'])
@pytest.mark.parametrize('knob', ['winrm-drop-before', 'winrm-drop-after'])
def test_a_lost_connection_never_sends_twice(remote, knob, operation):
    remote.knobs(f'{knob} {operation}')
    before = remote.counts()[0]
    long = ('-ExternalHostname', 'x' * 4000 + '.contoso.lab') if operation == 'Send' else ()
    done, hosts = remote.run(cmdlet=SET + long, timeout=15)
    after = {k: v - before.get(k, 0) for k, v in remote.counts()[0].items()}
    assert after.get('Command', 0) <= 1 and after.get('Create', 0) <= 1, after
    if operation == 'Delete':
        assert done.code == 0, hosts
    elif operation == 'Create':
        assert done.code == 6 and not after.get('Command')
        assert 'not known' not in hosts[0]['errors'][0]['message']
    elif operation in ('Command', 'Send'):
        assert done.code == 6 and 'its outcome is not known' in hosts[0]['errors'][0]['message'], hosts
        assert after.get(operation, 0) <= 1
    else:
        assert done.code == 6 or hosts[0]['warnings'], hosts # asked again, on a connection logged in anew


@pytest.mark.parametrize('url', [HTTP, HTTPS])
@pytest.mark.parametrize('operation', ['Create', 'Command', 'Send', 'Receive', 'Delete'])
def test_a_refusal_in_the_clear_is_not_believed(remote, operation, url):
    """A 401 to a sealed command may come from anybody, after the server has run it. Over TLS it is the server's own and says that it has
    not. What runs something is sent once in either case; the rest again after another login."""
    remote.knobs(f'winrm-deny-after {operation}')
    before = remote.counts()[0]
    long = ('-ExternalHostname', 'x' * 4000 + '.contoso.lab') if operation == 'Send' else ()
    done, hosts = remote.run(cmdlet=SET + long, url=url, timeout=15)
    after = {k: v - before.get(k, 0) for k, v in remote.counts()[0].items()}
    runs = operation in ('Command', 'Send')
    assert after.get(operation, 0) == (1 if runs else 2), after
    if runs:
        message = hosts[0]['errors'][0]['message']
        known = operation == 'Command' and url == HTTPS # before Send, the Command was taken
        assert done.code == 6 and ('its outcome is not known' in message) == (not known), hosts


def test_a_command_that_took_too_long_to_start(remote):
    """A time-out is no refusal: the command may have begun."""
    for code, unknown in (('2150858793', True), ('995', True), ('5', False)):
        remote.knobs(f'winrm-fault Command {code}')
        done, hosts = remote.run(cmdlet=SET, timeout=15)
        assert done.code == 6 and ('its outcome is not known' in hosts[0]['errors'][0]['message']) == unknown, (code, hosts)


def test_a_connection_closed_between_requests(remote):
    """What has not left yet may go over a new connection: nobody has seen it."""
    remote.knobs('winrm-close-after 3')
    before = remote.counts()[0]
    done, hosts = remote.run(cmdlet=SET)
    after = {k: v - before.get(k, 0) for k, v in remote.counts()[0].items()}
    assert after['Command'] == 1 and after['Create'] == 1
    assert done.code == 0, hosts


@pytest.mark.parametrize('operation', ['Create', 'Command', 'Receive', 'Delete'])
@pytest.mark.parametrize('code', ['2150858843', '2150859174', '5'])
def test_a_fault_for_every_operation(remote, operation, code):
    remote.knobs(f'winrm-fault {operation} {code}')
    before = remote.counts()[0]
    done, hosts = remote.run(timeout=15)
    assert done.code in ((0,) if operation == 'Delete' else (6,)), hosts
    if operation != 'Delete':
        error = hosts[0]['errors'][0]
        assert error['message'] and error['id'] in ('REMOTE', 'CONFIG', 'DENIED', 'NOTFOUND'), error
    after = {k: v - before.get(k, 0) for k, v in remote.counts()[0].items()}
    assert after.get('Command', 0) <= 2 and after.get('Delete', 0) >= (operation not in ('Create', 'Delete')), after


def test_throttling_is_waited_out_and_said(remote):
    remote.knobs('winrm-throttle 1500')
    begun = time.monotonic()
    done, hosts = remote.run()
    assert done.code == 0 and hosts[0]['ok'], (hosts, done.err)
    assert time.monotonic() - begun >= 1.4 and 'asks to wait' in done.err
    remote.knobs('winrm-throttle 90000', server='EXCAS02')
    done, hosts = remote.run(timeout=3, on=('EXCAS02',))
    assert done.code == 6 and 'throttles' in hosts[0]['errors'][0]['message'], hosts


def test_quota_in_words(remote):
    remote.knobs('winrm-max-shells 0.5')
    done, hosts = remote.run()
    assert done.code == 6 and 'too many shells' in hosts[0]['errors'][0]['message'], hosts


def test_a_ticket_that_ends_in_the_middle(remote):
    """The connection is lost when the ticket has ended: there is no going on, and the words say why."""
    if not shutil.which('kinit'):
        pytest.skip('kinit (krb5-user) is not installed')
    cache = remote.lab.dir / 'short.ccache'
    env = dict(clean_env(), KRB5_CONFIG=str(remote.lab.dir / 'krb5.conf'), KRB5CCNAME=f'FILE:{cache}')
    subprocess.run(['kinit', '-l', '4s', '-k', '-t', str(remote.lab.dir / 'keytabs/admin.keytab'), 'admin@CONTOSO.LAB'], env=env, check=True)
    config = remote.config(f'krb5_ccache = FILE:{cache}')
    text = ''.join(l for l in config.read_text().splitlines(True) if not l.startswith(('krb5_principal', 'krb5_keytab')))
    config.write_text(text)
    with Session(config) as session:
        made = session.do(op='create', resource=SHELL + '/cmd', input='stdin', output='stdout stderr')
        assert made['err'] == 'OK', made
        started = session.do(op='command', line='ping -n 30 127.0.0.1')
        assert started['err'] == 'OK', started
        remote.knobs('winrm-close-after 0')
        session.do(op='receive', id=started['id'], streams='stdout stderr')
        time.sleep(4.5)
        remote.knobs('winrm-drop-before Receive')
        result = session.do(op='receive', id=started['id'], streams='stdout stderr')
        assert result['err'] == 'AUTH' and 'expired' in result['what'] and result['hint'], result
        assert not result['unknown']
    remote.lab.do('reset') # without a ticket nobody can delete the shell


def test_a_password_outlives_its_ticket(remote):
    """The ticket that a password got ends while a command runs: the next login gets another one."""
    krb5 = remote.lab.dir / 'short.conf'
    krb5.write_text((remote.lab.dir / 'krb5.conf').read_text().replace('[libdefaults]', '[libdefaults]\n ticket_lifetime = 4s'))
    config = remote.config('winrm_user = admin@CONTOSO.LAB', f'krb5_config = {krb5}', winrm_password=PASSWORD)
    text = config.read_text().splitlines(True)
    config.write_text(''.join(l for l in text if not l.startswith('krb5_') or str(krb5) in l))
    with Session(config) as session:
        made = session.do(op='create', resource=SHELL + '/cmd', input='stdin', output='stdout stderr')
        assert made['err'] == 'OK', made
        started = session.do(op='command', line='ping -n 8 127.0.0.1')
        assert started['err'] == 'OK', started
        time.sleep(4.5)
        remote.knobs('winrm-close-after 2')
        for _ in range(4): # closed in between, with a login each
            result = session.do(op='receive', id=started['id'], streams='stdout stderr')
            assert result['err'] == 'OK', result


@pytest.mark.parametrize('lines,on,via', [
    ((), 'EXCAS01', 'winrm'), ((), 'E2K7CAS01', 'winrm'), (('[lab server EXCAS01]', 'via = ssh'), 'EXCAS01', 'ssh'),
    (('[lab server EXCAS01]', 'winrm_url = http://{fqdn}:1/wsman', 'psrp_url = http://{fqdn}:1/'), 'EXCAS01', 'ssh')])
def test_a_way_is_chosen(remote, lines, on, via):
    config = remote.config(*lines)
    config.write_text('\n'.join(l for l in config.read_text().splitlines() if not l.startswith(('via = ssh', 'psrp_')) or l in lines))
    done = casbridge('--config', config, '--profile', 'lab', '--format', 'json', 'exec', '--on', on, '--', *GET)
    host = done.json()[0]
    assert done.code == 0 and host['via'] == via, host


def test_apply_by_winrm(remote):
    remote.lab.do('reset')
    plan = remote.lab.dir / 'winrm.plan'
    config = remote.config()
    made = casbridge('--config', config, '--profile', 'lab', 'plan', '--server', 'EXCAS01', '-o', plan)
    assert made.code == 1, made.err
    done = casbridge('--config', config, '--profile', 'lab', 'apply', plan, '--via', 'winrm', '--yes', 'Contoso')
    assert done.code == 0, done.out + done.err
    assert remote.counts()[1] == []


def test_not_there(remote):
    for url, error in (('http://{fqdn}:1/wsman', 'UNREACHABLE'), ('http://{fqdn}:10985/nowhere', 'CONFIG'),
                       ('http://{fqdn}:10443/wsman', 'UNREACHABLE')):
        done, hosts = remote.run(url=url, timeout=10)
        assert done.code == 6 and hosts[0]['errors'][0]['id'] == error, (url, hosts)
