"""exec --via winrm against the lab's listener, which was written apart from our client: logins, seals, faults, lost connections.

The lab counts what really came: a command is never sent twice, and every shell is deleted."""
import itertools
import json
import shutil
import signal
import socket
import subprocess
import time
import xml.etree.ElementTree as ET

import pytest

from conftest import PROGRAM, ROOT, casbridge, clean_env
from psrp_support import PUSH, build
from test_winrm_hostile import SOAP, op_of, reply
from wsman_replay import RSP, S, SHELL, W, Listener, Session, fault

HTTP, HTTPS = 'http://{fqdn}:10985/wsman', 'https://{fqdn}:10986/wsman'
GET = ('Get-ExchangeServer', '-Identity', 'EXCAS01')
SET = ('Set-OutlookAnywhere', '-Identity', 'EXCAS01\\Rpc (Default Web Site)', '-IISAuthenticationMethods', 'Basic,NTLM')
PASSWORD = 'Passw0rd!lab'
MANY = ('EXCAS01', 'EXCAS02', 'E2K7CAS01', 'EX10NTLM', 'EX13CAS01') # those with TLS


class Remote:
    def __init__(self, lab):
        self.lab, self.n = lab, 0

    def knobs(self, *lines, server='EXCAS01'):
        (self.lab.dir / 'faults' / server).write_text('\n'.join(lines) + '\n')

    def counts(self, server='EXCAS01'):
        answer = json.loads(self.lab.do('shells').stdout)[server]
        return dict(answer['operations']), answer['shells']

    def config(self, *lines, url=HTTP, auth='kerberos', **secrets):
        text = ''.join(l for l in self.lab.config.read_text().splitlines(True) if not l.startswith(('winrm_url', 'winrm_auth')))
        for name, value in secrets.items():
            path = self.lab.dir / f'{name}-{self.n}'
            path.write_text(value)
            path.chmod(0o600)
            lines += (f'{name} = file:{path}',)
        self.n += 1
        path = self.lab.dir / f'winrm-{self.n}.ini'
        path.write_text('\n'.join([text, f'winrm_url = {url}', f'winrm_auth = {auth}', *lines, '']))
        path.chmod(0o600)
        return path

    def run(self, *config, on=('EXCAS01',), cmdlet=GET, timeout=30, leaks=True, via='winrm', **kw):
        env = clean_env()
        if not leaks: # gss-ntlmssp is unloaded at exit without giving back its OpenSSL context
            env['ASAN_OPTIONS'] = env['ASAN_OPTIONS'].replace('detect_leaks=1', 'detect_leaks=0')
        how = ('--via', via) if via else ()
        done = casbridge('--config', self.config(*config, **kw), '--profile', 'lab', '--format', 'json', '--timeout', timeout, 'exec',
                         '--on', *on, *how, '--', *cmdlet, env=env)
        assert PASSWORD not in done.out + done.err
        return done, done.json() if done.out else None


@pytest.fixture(scope='module')
def remote(shared_lab):
    return Remote(shared_lab)


@pytest.fixture(autouse=True)
def quiet(remote):
    yield
    wanted = ''
    for path in (remote.lab.dir / 'faults').iterdir():
        wanted += path.read_text()
        path.unlink()
    left = {s: v['shells'] for s, v in json.loads(remote.lab.do('shells').stdout).items() if v['shells']}
    if left:
        remote.lab.do('reset')
    # only a Create whose answer was lost or did not open, and a Delete that was refused, may leave one behind
    assert not left or any(w in wanted for w in ('Create', 'Delete', 'identity-change')), left


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


@pytest.mark.parametrize('server,knob,left', [
    ('EX13CAS01', 'winrm-drop-before', 0), ('EX13CAS01', 'winrm-drop-after', 0), ('EX13CAS01', 'winrm-deny-after', 0),
    ('EXCAS01', 'winrm-drop-before', 0), ('EXCAS01', 'winrm-drop-after', 1), ('EXCAS01', 'winrm-deny-after', 2)])
def test_a_shell_nobody_told_us_of(remote, server, knob, left):
    """It is deleted by the name that was asked for. A 2010 server has given it another name: that does no harm."""
    remote.knobs(f'{knob} Create', server=server)
    before = remote.counts(server)[0]
    done, hosts = remote.run(on=(server,), timeout=15)
    counts, shells = remote.counts(server)
    after = {k: v - before.get(k, 0) for k, v in counts.items()}
    assert done.code == 6 and not after.get('Command') and after.get('Delete', 0) <= 2, (after, hosts)
    assert len(shells) == left, (after, shells)


def push_twice(config):
    """Two runs of one transport on one server, one after the other (exec takes a server named twice for one)."""
    build(PUSH)
    case = {'server': 'EXCAS01', 'fqdn': 'excas01.contoso.lab', 'generation': '2010', 'cmdlet': GET[0], 'params': [[GET[1][1:], 'string', GET[2]]]}
    done = subprocess.run([str(PUSH), str(config), 'winrm', 'lab'], input=(json.dumps(case) + '\n') * 2, capture_output=True, text=True,
                          timeout=120, env=clean_env())
    assert done.returncode == 0 and 'Sanitizer' not in done.stderr, done.stderr
    got = [json.loads(line) for line in done.stdout.splitlines()]
    assert [g['ok'] for g in got] == [True, True], got


def twice_on(remote, answer):
    """Two runs over one session with a listener of ours: operations and the names of their shells, in order."""
    def name(request):
        root = ET.fromstring(request)
        shell = root.find(f'{S}Body/{RSP}Shell')
        return shell.get('ShellId') if shell is not None else next(e.text for e in root.iter(W + 'Selector'))
    with Listener(answer) as listener:
        config = remote.config(f'host.excas01.contoso.lab/{listener.port} = 127.0.0.1:{listener.port}',
                               url=f'http://{{fqdn}}:{listener.port}/wsman', auth='none')
        push_twice(config)
        return [(op_of(r), name(r)) for r in listener.requests]


def test_a_create_on_a_dying_connection(remote):
    """Only a kept connection may have died of age: the shell that may be there is deleted, another one is asked for under another name."""
    creates = itertools.count()
    heard = twice_on(remote, lambda r, n: None if op_of(r) == 'create' and next(creates) == 1 else (200, SOAP, reply(r)))
    once = ['create', 'command', 'receive', 'delete']
    assert [op for op, _ in heard] == once + ['create', 'delete'] + once, heard
    names = [name for op, name in heard if op == 'create']
    assert len(set(names)) == 3 and heard[5][1] == names[1], heard


def test_a_name_that_is_taken(remote):
    """The server had carried out a Create that it then wanted a login for: that shell is deleted, another one is asked for, once."""
    creates = itertools.count()
    heard = twice_on(remote, lambda r, n: (500, SOAP, reply(r, fault(2150858843, 'InvalidSelectors'))) if op_of(r) == 'create' and
                     next(creates) == 0 else (200, SOAP, reply(r)))
    once = ['create', 'command', 'receive', 'delete']
    assert [op for op, _ in heard] == ['create', 'delete'] + once + once, heard
    names = [name for op, name in heard if op == 'create']
    assert len(set(names)) == 3 and heard[1][1] == names[0], heard


def test_a_server_that_takes_no_names(remote):
    fault = ('<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd">'
             'w:SchemaValidationError</s:Value></s:Subcode></s:Code><s:Reason><s:Text>x</s:Text></s:Reason></s:Fault>')
    heard = twice_on(remote, lambda r, n: (500, SOAP, reply(r, fault)) if 'ShellId="' in r and op_of(r) == 'create' else
                     (200, SOAP, reply(r)))
    assert [op for op, _ in heard] == ['create', 'create', 'command', 'receive', 'delete'] * 2, heard
    assert [bool(name) for op, name in heard if op == 'create'] == [True, False] * 2


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


def test_the_next_run_goes_on_with_the_connection(remote):
    """Two runs on one server, one after the other: one login, a shell each; and another login when the server has hung up between."""
    def logins():
        log = remote.lab.dir / 'winrm/EXCAS01.log'
        return sum(' Login ' in line for line in log.read_text().splitlines()) if log.exists() else 0

    def twice():
        before, shells = logins(), remote.counts()[0].get('Create', 0)
        push_twice(remote.config())
        return logins() - before, remote.counts()[0]['Create'] - shells
    assert twice() == (1, 2)
    remote.knobs('winrm-close-on Delete') # with it a run is over
    assert twice() == (2, 2)
    # hung up while the next Create was under way: only on a kept connection is it asked for again
    remote.knobs('winrm-drop-before Create')
    assert casbridge('--config', remote.config(), '--profile', 'lab', 'exec', '--on', 'EXCAS01', '--via', 'winrm', '--', *GET).code == 6


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
