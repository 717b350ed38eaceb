"""Remote PowerShell live: our transports against the lab's OpenSSH and WinRM, logins of every kind, servers that misbehave, and
PowerShell's own engine (../shared/peers) behind all of them as the judge of what arrived."""
import json
import re
import subprocess
import time

import pytest

from conftest import ORG, PROGRAM, ROOT, Lab, casbridge, clean_env, wait_for
from test_pwsh import PEER, PUSH, PWSH, hostile_values, unpack

PASSWORD = 'Passw0rd!lab'
VDIR = 'EXCAS01\\Rpc (Default Web Site)'
GET = ('Get-OutlookAnywhere', '-Server', 'EXCAS01')
SET = ('Set-OutlookAnywhere', '-Identity', VDIR, '-IISAuthenticationMethods', 'Basic,NTLM')
TLS = 'https://{fqdn}:10986/wsman'
BATCH = 60  # values a command: each start of PowerShell costs half a second

PROFILES = {  # name: (via, settings)
    'ssh': ('ssh', {}),
    'subsystem': ('ssh', {'ssh_psrp': 'yes'}),
    'psrp': ('psrp', {}),
    'psrp-password': ('psrp', {'winrm_auth': 'negotiate', 'winrm_user': 'admin@CONTOSO.LAB', 'winrm_password': 'env:LAB_PASSWORD'}),
    'psrp-elsewhere': ('psrp', {'psrp_configuration': 'Contoso.Nowhere'}),
    'kerberos': ('winrm', {'winrm_auth': 'kerberos'}),
    'negotiate': ('winrm', {'winrm_auth': 'negotiate'}),
    'password': ('winrm', {'winrm_auth': 'negotiate', 'winrm_user': 'admin@CONTOSO.LAB', 'winrm_password': 'env:LAB_PASSWORD'}),
    'carol': ('winrm', {'winrm_auth': 'negotiate', 'winrm_user': 'carol@CONTOSO.LAB', 'winrm_password': 'env:LAB_PASSWORD'}),
    'ntlm': ('winrm', {'winrm_auth': 'ntlm', 'winrm_user': 'CONTOSO\\admin', 'winrm_password': 'env:LAB_PASSWORD'}),
    'basic': ('winrm', {'winrm_auth': 'basic', 'winrm_user': 'admin@contoso.lab', 'winrm_password': 'env:LAB_PASSWORD', 'winrm_url': TLS}),
    'kerberos-tls': ('winrm', {'winrm_auth': 'kerberos', 'winrm_url': TLS}),
    'ntlm-tls': ('winrm', {'winrm_auth': 'ntlm', 'winrm_user': 'CONTOSO\\admin', 'winrm_password': 'env:LAB_PASSWORD', 'winrm_url': TLS}),
    'none': ('winrm', {'winrm_auth': 'none'}),
    'plain-basic': ('winrm', {'winrm_auth': 'basic', 'winrm_user': 'admin', 'winrm_password': 'env:LAB_PASSWORD'}),
}
WINRM = [name for name, (via, _) in PROFILES.items() if via == 'winrm' and name not in ('none', 'plain-basic')]
MODULE = """
function Test-Binding { [CmdletBinding()] param([AllowEmptyCollection()][AllowEmptyString()][string[]]$All,
%s)
    [IO.File]::AppendAllText("$env:LAB_DIR/bound", "Test-Binding`n")
    $PSBoundParameters | ConvertTo-Json -Compress -Depth 3
}
""" % ',\n'.join(f'    [AllowEmptyString()][string]$V{i}' for i in range(BATCH))


def environment(profile, password=PASSWORD):
    env = {**clean_env(), 'LAB_PASSWORD': password}
    if PROFILES[profile][1].get('winrm_auth') == 'ntlm':  # gss-ntlmssp goes without giving back its OpenSSL context
        env['ASAN_OPTIONS'] = env['ASAN_OPTIONS'].replace('detect_leaks=1', 'detect_leaks=0')
    return env


class Remote(Lab):
    def __init__(self, directory):
        super().__init__(directory)
        self.profiles = self.dir / 'profiles.ini'

    def write_profiles(self):
        base = self.config.read_text()
        text = ''
        for name, (via, settings) in PROFILES.items():
            lines = [x for x in base.splitlines() if x.partition(' = ')[0] not in {*settings, 'via', 'store'}]
            text += '\n'.join(lines).replace('[lab]', f'[{name}]') + f'\nvia = {via}\n'
            text += ''.join(f'{k} = {v}\n' for k, v in settings.items())
        self.profiles.write_text(text)
        self.profiles.chmod(0o600)

    def through(self, profile, *words, password=PASSWORD, **more):
        return casbridge('--config', self.profiles, '--profile', profile, *words, env=environment(profile, password), **more)

    def exec(self, profile, *cmdlet, on='EXCAS01', options=(), **more):
        done = self.through(profile, '--format', 'json', *options, 'exec', '--on', on, '--', *cmdlet, **more)
        assert done.out, done.err
        row, = done.json()
        row['code'], row['text'] = done.code, done.out + done.err
        return row

    def knobs(self, *lines, server='EXCAS01'):
        (self.dir / 'faults' / server).write_text(''.join(line + '\n' for line in lines))

    def shells(self, server='EXCAS01'):
        return json.loads(self.do('shells').stdout)[server]

    def log(self, server='EXCAS01'):
        try:
            return (self.dir / 'winrm' / f'{server}.log').read_text()
        except FileNotFoundError:
            return ''

    def count(self, operation, *outcomes, server='EXCAS01'):
        """How often the server did it."""
        rows = [line.split() for line in self.log(server).splitlines()]
        return sum(1 for r in rows if len(r) > 6 and r[4] == operation and r[6].rstrip(',') in (outcomes or ('done',)))

    def iis_auth(self, server='EXCAS01'):
        by_name = {s['name']: s for s in self.json('inventory')['servers']}
        return [v['iis_auth'] for v in by_name[server]['virtual_directories'] if v['protocol'] == 'oa'][0]

    def nothing_left(self):
        return all(s['shells'] == [] and s['running'] == 0 for s in json.loads(self.do('shells').stdout).values())


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    lab = Remote(tmp_path_factory.mktemp('remote') / 'lab')
    lab.do('up', '--poll', '1')
    try:
        lab.write_profiles()
        yield lab
    finally:
        lab.do('down')


@pytest.fixture
def remote(made):
    """Healthy servers before and after; no shell is ever left."""
    yield made
    assert wait_for(made.nothing_left, 5), made.do('shells').stdout
    made.do('reset')
    for file in (made.dir / 'winrm').glob('*.log'):
        file.unlink()


# ---- healthy servers


@pytest.mark.parametrize('profile', ['ssh', 'psrp', 'psrp-password', *WINRM])
def test_a_cmdlet_through_every_login(remote, profile):
    got = remote.exec(profile, *GET)
    assert got['ok'] and got['code'] == 0 and got['exit_code'] in (0, None), got
    assert 'mail.contoso.lab' in json.dumps(got['output'])
    assert PASSWORD not in got['text'] + remote.log()
    if PROFILES[profile][0] == 'winrm':
        assert remote.count('Create') == remote.count('Command') == remote.count('Delete') == 1
        assert (' https ' if 'tls' in profile or profile == 'basic' else ' http ') in remote.log()


def test_all_servers_at_once(remote):
    servers = list(json.loads(remote.do('shells').stdout))
    words = [w for s in servers for w in ('--on', s)]
    done = remote.through('negotiate', '--format', 'json', 'exec', *words, '--', 'Get-ExchangeServer', '-Identity', 'EXCAS01')
    assert done.code == 0, done.out + done.err
    assert [r['server'] for r in done.json()] == servers and all(r['ok'] for r in done.json())


@pytest.mark.parametrize('profile', ['ssh', 'kerberos', 'ntlm', 'psrp'])
def test_errors_are_records(remote, profile):
    got = remote.exec(profile, 'Get-Nothing')
    assert not got['ok'] and got['code'] == 6
    assert got['errors'][0]['id'].startswith('CommandNotFoundException')
    got = remote.exec(profile, 'Set-OutlookAnywhere', '-Identity', 'nope', '-SSLOffloading', '$true')
    assert not got['ok'] and "'nope'" in got['errors'][0]['message'] and 'be found' in got['errors'][0]['message'], got
    got = remote.exec(profile, *SET, '-NoSuchParameter', 'x')
    assert 'NoSuchParameter' in got['errors'][0]['message'] and got['exit_code'] in (1, None)
    assert remote.iis_auth() == ['basic']


# ---- who may not


@pytest.mark.parametrize('profile', ['password', 'ntlm', 'basic', 'ntlm-tls', 'psrp-password'])
def test_wrong_password(remote, profile):
    got = remote.exec(profile, *GET, password='not-the-password')
    assert not got['ok'] and got['code'] == 6
    assert got['errors'][0]['id'] == 'AUTH', got
    assert 'not-the-password' not in got['text'] + remote.log()
    assert remote.count('Create') == 0


def test_a_locked_account(remote):
    env = {**clean_env(), 'KRB5_CONFIG': str(remote.dir / 'krb5.conf'), 'KRB5_KDC_PROFILE': str(remote.dir / 'kdc/kdc.conf')}

    def may(flag):
        done = subprocess.run(['/usr/sbin/kadmin.local', '-r', 'CONTOSO.LAB', '-q', f'modprinc {flag}allow_tix carol'], env=env,
                              capture_output=True, text=True, check=True)
        assert 'modified' in done.stdout, done.stderr

    may('-')
    try:
        got = remote.exec('carol', *GET)
        assert got['errors'][0]['id'] == 'AUTH', got
        assert re.search('locked|revoked|disabled', got['errors'][0]['message']), got
    finally:
        may('+')
    assert remote.exec('carol', *GET)['ok']


def test_an_expired_ticket(remote, tmp_path):
    cache = tmp_path / 'cc'
    env = {**clean_env(), 'KRB5_CONFIG': str(remote.dir / 'krb5.conf')}
    subprocess.run(['kinit', '-l', '1s', '-c', f'FILE:{cache}', '-k', '-t', str(remote.dir / 'keytabs/admin.keytab'), 'admin'], env=env, check=True)
    text = remote.config.read_text()
    text = re.sub(r'(?m)^(krb5_principal|krb5_keytab|via) = .*\n', '', text) + f'via = winrm\nkrb5_ccache = FILE:{cache}\n'
    config = tmp_path / 'config.ini'
    config.write_text(text)
    config.chmod(0o600)
    time.sleep(2)
    done = casbridge('--config', config, '--profile', 'lab', '--format', 'json', 'exec', '--on', 'EXCAS01', '--', *GET)
    assert done.code in (5, 6) and 'expired' in done.out + done.err, done.out + done.err
    assert 'Command' not in remote.log()


def test_nothing_secret_goes_in_the_clear(remote):
    got = remote.exec('plain-basic', *GET)
    assert got['errors'][0]['id'] == 'REFUSED' and remote.log() == ''
    got = remote.exec('none', *GET)  # the server wants a login
    assert got['errors'][0]['id'] == 'AUTH'
    remote.knobs('winrm-no-auth')
    assert remote.exec('none', *GET)['ok']


# ---- servers that are ill


def test_a_dead_server(remote):
    remote.do('winrm-stop', 'EXCAS01')
    for profile in ('kerberos', 'ntlm', 'basic', 'psrp'):
        got = remote.exec(profile, *GET)
        assert got['errors'][0]['id'] == 'UNREACHABLE' and got['code'] == 6, got
        assert 'excas01' in got['errors'][0]['message']


@pytest.mark.parametrize('profile', ['kerberos', 'ntlm', 'basic', 'psrp'])
def test_a_change_is_never_sent_twice(remote, profile):
    """The connection dies before the server did it, or after: either way we do not know, and do not ask again."""
    for knob, done, auth in (('winrm-drop-before Command', 0, [['basic']]),
                             ('winrm-drop-after Command', 1, [['basic'], ['basic', 'ntlm']]),  # deleting the shell may overtake it
                             ('drop-before-write', 1, [['basic']]),
                             ('drop-after-write', 1, [['basic', 'ntlm']])):
        remote.knobs(knob)
        got = remote.exec(profile, *SET)
        assert not got['ok'] and got['code'] == 6, got
        assert 'unknown' in got['text'] or 'not known' in got['text'], got
        assert remote.count('Command') == done and remote.log().count(' Command ') == 1, remote.log()
        assert remote.iis_auth() in auth, knob
        remote.do('reset')
        for file in (remote.dir / 'winrm').glob('*.log'):
            file.unlink()


@pytest.mark.parametrize('profile', ['kerberos', 'ntlm', 'basic'])
@pytest.mark.parametrize('operation', ['Receive', 'Delete'])
def test_what_changes_nothing_may_be_asked_again(remote, profile, operation):
    """The kept connection is gone before the answer: log in anew, knowingly; the command itself ran once."""
    remote.knobs(f'winrm-drop-before {operation}')
    got = remote.exec(profile, *SET)
    assert remote.count('Command') == 1 and remote.log().count(' Command ') == 1
    assert got['ok'] if operation == 'Delete' else 'unknown' in got['text'] or 'not known' in got['text'], got
    assert remote.log().count(f' {operation} ') == 2  # the second in vain, too, and then no more
    remote.do('reset')  # Delete was refused every time: the lab takes the shell


@pytest.mark.parametrize('after', [1, 2, 3, 4])
def test_a_connection_that_closes_between_requests(remote, after):
    """libcurl would send the same bytes on another connection by itself."""
    remote.knobs(f'winrm-close-after {after}')
    for profile in ('kerberos', 'ntlm', 'basic', 'psrp'):
        before = remote.count('Command')
        got = remote.exec(profile, *GET)
        assert remote.count('Command') - before <= 1
        assert got['ok'] or got['errors'][0]['id'] in ('AUTH', 'PROTOCOL', 'UNREACHABLE', 'REMOTE'), got
        if got['ok']:
            assert remote.count('Command') - before == 1


FAULTS = [(2150858843, 'InvalidSelectors'), (2150859173, 'QuotaLimit'), (5, 'AccessDenied'), (995, ''), (2150858811, ''), (87, '')]


@pytest.mark.parametrize('profile', ['kerberos', 'psrp'])
@pytest.mark.parametrize('operation', ['Create', 'Command', 'Receive', 'Delete'])
def test_a_fault_for_every_operation(remote, profile, operation):
    for code, _ in FAULTS:
        remote.knobs(f'winrm-fault {operation} {code}')
        got = remote.exec(profile, *GET)
        assert got['ok'] is (operation == 'Delete') or not got['ok'], got
        if operation != 'Delete':
            assert got['errors'] and got['errors'][0]['message'], got
            assert remote.count('Command') <= (operation in ('Receive',)) * len(FAULTS)
    if operation == 'Delete':
        remote.do('reset')


@pytest.mark.parametrize('profile', ['kerberos', 'psrp'])
def test_no_output_for_ever(remote, profile):
    """OperationTimeout again and again is no error; our own deadline is, and the command is ended then."""
    remote.knobs('winrm-delay 30')
    began = time.monotonic()
    got = remote.exec(profile, *GET, options=('--timeout', '3'))
    assert not got['ok'] and time.monotonic() - began < 12, got
    assert got['errors'][0]['id'] == 'TIMEOUT'
    assert remote.count('Delete') == 1


def test_quotas_in_words_with_the_wait_they_name(remote):
    remote.knobs('winrm-max-shells 0')
    got = remote.exec('kerberos', *GET)
    assert not got['ok'] and 'maximum number of 0 concurrent shells' in got['errors'][0]['message'], got
    remote.knobs('winrm-throttle 60000')  # longer than we have
    got = remote.exec('kerberos', *GET, options=('--timeout', '3'))
    assert not got['ok'] and got['elapsed_ms'] < 4000 and 'load quota' in got['errors'][0]['message'], got
    assert re.search(r'[0-9]+ (milliseconds|ms|s)', got['errors'][0]['message'])
    remote.do('reset')
    remote.knobs('winrm-throttle 1000')  # as long as the server says, then once more
    got = remote.exec('kerberos', *GET)
    assert got['ok'] and got['elapsed_ms'] >= 1000, got


@pytest.mark.parametrize('knob', ['winrm-utf16', 'winrm-plain-wrap'])
@pytest.mark.parametrize('profile', ['kerberos', 'ntlm', 'basic', 'psrp'])
def test_other_manners(remote, knob, profile):
    remote.knobs(knob)
    got = remote.exec(profile, *GET)
    assert got['ok'] and 'mail.contoso.lab' in json.dumps(got['output']), got


def test_a_server_that_becomes_another(remote):
    """What it seals can no longer be opened; TLS shows a certificate of another name."""
    remote.knobs('winrm-identity-change')
    for profile in ('kerberos', 'ntlm', 'psrp'):
        got = remote.exec(profile, *SET)
        assert not got['ok'] and got['errors'][0]['id'] in ('PROTOCOL', 'AUTH'), got
    got = remote.exec('basic', *SET)
    assert not got['ok'] and got['errors'][0]['id'] == 'TLS', got
    assert remote.count('Command') == 0 and remote.iis_auth() == ['basic']
    remote.do('reset')  # its shells could not be deleted: nothing it said could be read


def test_a_server_that_becomes_another_in_mid_run(remote):
    """It had accepted the command: what came of it nobody tells us."""
    for profile in ('kerberos', 'ntlm'):
        remote.do('reset')
        before = remote.count('Command')
        remote.knobs('winrm-delay 2')
        words = [str(PROGRAM), '--config', str(remote.profiles), '--profile', profile, 'exec', '--on', 'EXCAS01', '--', *SET]
        running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(profile))
        assert wait_for(lambda n=before: remote.count('Command') == n + 1)
        remote.knobs('winrm-identity-change')
        said = running.communicate(timeout=30)[0]
        assert running.returncode == 6 and ('unknown' in said or 'not known' in said), said
        assert remote.count('Command') == before + 1
    remote.do('reset')


# ---- Exchange's endpoint


def test_exchanges_endpoint_in_its_words(remote):
    got = remote.exec('psrp-elsewhere', *GET)
    assert not got['ok'] and '2150858811' in got['errors'][0]['message'], got
    got = remote.exec('psrp', *GET, on='E2K7CAS01')
    assert not got['ok'] and got['errors'][0]['id'] in ('INPUT', 'REFUSED', 'UNREACHABLE', 'NOTFOUND'), got
    remote.knobs('winrm-max-shells 0')
    got = remote.exec('psrp', *GET)
    assert not got['ok'] and 'maximum of 0 concurrent shells' in got['errors'][0]['message'], got
    remote.knobs('winrm-throttle 1000')
    got = remote.exec('psrp', *GET)
    assert got['ok'] and got['elapsed_ms'] >= 1000, got


@pytest.mark.parametrize('place', ['https://ex13cas01.contoso.lab:10086/PowerShell/', 'http-http://ex13cas01.contoso.lab:10080/PowerShell/'])
def test_a_redirection_is_shown_not_followed(remote, place):
    remote.knobs(f'winrm-redirect {place}')
    got = remote.exec('psrp', *SET)
    assert not got['ok'] and 'ex13cas01.contoso.lab' in got['errors'][0]['message'], got
    assert remote.log('EX13CAS01') == '' and remote.iis_auth() == ['basic']


def test_objects_come_back_as_objects(remote):
    got = remote.exec('psrp', *GET)
    row, = got['output']
    assert row['ServerName'] == 'EXCAS01' and row['SSLOffloading'] is False and row['IISAuthenticationMethods'] == ['Basic']
    assert remote.exec('psrp', *SET)['ok']
    again = remote.exec('psrp', *SET)
    assert again['ok'] and 'no settings' in again['warnings'][0]


# ---- the whole change


@pytest.mark.parametrize('via,servers', [('winrm', ['EXCAS01', 'EXCAS02', 'E2K7CAS01']), ('psrp', ['EXCAS01', 'EXCAS02'])])
def test_plan_apply_verify_put_back(remote, tmp_path, via, servers):
    plan = tmp_path / 'plan.json'
    words = [w for s in servers for w in ('--server', s)]
    assert remote.run('plan', *words, '-o', plan).code == 1
    done = remote.run('--format', 'json', 'apply', plan, '--via', via, '--yes', ORG, timeout=180)
    assert done.code == 0, done.out + done.err
    progress = [json.loads(line) for line in done.out.splitlines()]
    assert {p['server'] for p in progress if p['phase'] == 'done'} == set(servers)
    assert remote.iis_auth() == ['basic', 'ntlm']
    for server in servers:
        assert remote.count('Command', server=server) == 1 and remote.log(server).count(' Command ') == 1
    config = tmp_path / 'config.ini'
    config.write_text(remote.config.read_text().replace('via = ssh', f'via = {via}'))
    config.chmod(0o600)
    done = casbridge('--config', config, '--profile', 'lab', 'rollback', progress[0]['run'], '--yes', ORG, timeout=180)
    assert done.code == 0, done.out + done.err
    assert remote.iis_auth() == ['basic']
    for server in servers:
        assert remote.count('Command', server=server) == 2
    assert remote.run('journal', 'verify').code == 0


# ---- PowerShell's own judgement


@pytest.fixture(scope='module')
def engine(tmp_path_factory):
    """A lab whose servers have PowerShell's own engine, and a cmdlet in it that says what it was given."""
    if not PEER.exists():
        pytest.skip('no ../shared/peers')
    if not PUSH.exists():
        subprocess.run(['make', '-s', f'CONFIG={PROGRAM.parent.name}', str(PUSH.relative_to(ROOT))], cwd=ROOT, check=True)
    unpack()
    lab = Remote(tmp_path_factory.mktemp('engine') / 'lab')
    lab.do('up', '--engine', str(PWSH))
    try:
        (lab.dir / 'engine.psm1').write_text(MODULE)
        lab.write_profiles()
        yield lab
    finally:
        lab.do('down')


def push(lab, profile, cases):
    lines = ''.join(json.dumps({'server': 'EXCAS01', 'fqdn': 'excas01.contoso.lab', 'generation': '2010', **case}) + '\n' for case in cases)
    done = subprocess.run([str(PUSH), str(lab.profiles), PROFILES[profile][0], profile], input=lines, capture_output=True, text=True, timeout=120,
                          env=environment(profile))
    assert done.returncode == 0 and 'Sanitizer' not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.split('\n')[:-1]]


def said(got):
    """What the cmdlet printed, whether it came as text or as an object."""
    return got['output'] if got['objects'] is None else got['objects'][0]


def bound(lab):
    try:
        return len((lab.dir / 'bound').read_text().splitlines())
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize('profile', ['ssh', 'subsystem', 'kerberos', 'psrp'])
def test_hostile_values_arrive_as_data(engine, profile):
    values = hostile_values()
    assert len(values) >= 230
    cases, want = [], []
    for at in range(4):
        part = values[at::len(values) // BATCH][:BATCH]  # from all of them; at least 200 alone, and all in a list
        given = {f'V{i}': v for i, v in enumerate(part)}
        cases.append({'cmdlet': 'Test-Binding', 'params': [[n, 'string', v] for n, v in given.items()] + [['All', 'list', values]]})
        want.append({**given, 'All': values})
    assert len({v for w in want for v in w.values() if isinstance(v, str)}) >= 200
    before = bound(engine)
    for case, expected, got in zip(cases, want, push(engine, profile, cases), strict=True):
        assert got['err'] == 'OK' and got['errors'] == [] and got['ok'], got
        assert json.loads(said(got)) == expected
    assert bound(engine) - before == len(cases)  # each ran once, and nothing else did
    assert wait_for(engine.nothing_left, 5)


@pytest.mark.parametrize('profile', ['ssh', 'subsystem', 'kerberos', 'psrp'])
def test_a_long_script_goes_another_way(engine, profile):
    value = 'h\u00e4\u2019' * 2500
    got, = push(engine, profile, [{'cmdlet': 'Test-Binding', 'params': [['V0', 'string', value]]}])
    assert got['ok'], got
    assert json.loads(said(got)) == {'V0': value}


def test_exchanges_cmdlets_in_the_real_engine(engine):
    hostile = "x\u2019; Disable-OutlookAnywhere -Identity *; \u2018"
    for profile in ('ssh', 'psrp'):
        got = engine.exec(profile, 'Set-OutlookAnywhere', '-Identity', hostile, '-SSLOffloading', '$true')
        assert not got['ok'] and hostile in got['errors'][0]['message'], got
    assert engine.iis_auth() == ['basic']
    assert engine.exec('psrp', *SET)['ok']
    assert engine.iis_auth() == ['basic', 'ntlm']
