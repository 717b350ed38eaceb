"""One lab for all tests, and the clients that are not ours: curl, ldapsearch, OpenSSH, impacket."""
import base64
import configparser
import contextlib
import glob
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.dont_write_bytecode = True
os.environ['DOTNET_EnableDiagnostics'] = '0'  # PowerShell's engine would leave sockets in the temporary folder
HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(HERE, 'lab')
SHARED = os.environ.get('CASBRIDGE_SHARED') or os.path.join(HERE, '..', '..', '..', 'shared')
PASSWORD = 'Passw0rd!lab'
PROLOGUE = (
    "$ProgressPreference='SilentlyContinue'; $ErrorActionPreference='Stop'; "
    "[Console]::OutputEncoding=[Text.Encoding]::UTF8\n"
)
SNAPIN = {
    2007: 'Microsoft.Exchange.Management.PowerShell.Admin',
    2010: 'Microsoft.Exchange.Management.PowerShell.E2010',
    2013: 'Microsoft.Exchange.Management.PowerShell.SnapIn',
}


def lab_command(directory, *words, check=True):
    done = subprocess.run(
        [LAB, *words, '--dir', directory],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stdout
    return done


class LabUnderTest:
    def __init__(self, directory):
        self.dir = directory
        ini = configparser.ConfigParser(interpolation=None)
        ini.read(os.path.join(directory, 'config.ini'))
        self.config = ini['lab']
        self.hosts = {
            k[5:]: v.rpartition(':')[0]
            for k, v in self.config.items()
            if k.startswith('host.') and '/' not in k
        }
        with open(os.path.join(directory, 'hosts'), 'w', encoding='utf-8') as f:
            f.write(''.join(f'{address} {name}\n' for name, address in self.hosts.items()))

    def command(self, *words, check=True):
        return lab_command(self.dir, *words, check=check)

    def environment(self, user='admin'):
        """Kerberos as admin by keytab, or as anybody else after kinit()."""
        env = {
            **os.environ,
            'KRB5_CONFIG': self.config['krb5_config'],
            'KRB5CCNAME': f'FILE:{self.dir}/cc.{user}',
            'LDAPTLS_CACERT': self.config['trust'],
            'LC_ALL': 'C.UTF-8',
        }
        if user == 'admin':
            env['KRB5_CLIENT_KTNAME'] = self.config['krb5_keytab']
        return env

    def kinit(self, user, password=PASSWORD):
        return subprocess.run(
            ['kinit', user],
            input=password + '\n',
            env=self.environment(user),
            text=True,
            capture_output=True,
            check=False,
        )

    def curl(self, url, *options, user='admin', data=None):
        """(status, head and body as text)"""
        words = ['curl', '-sS', '-i', '--max-time', '10', '--cacert', self.config['trust']]
        for name, address in self.hosts.items():
            words += ['--resolve', f'{name}:10443:{address}']
        done = subprocess.run(
            [*words, *options, url], env=self.environment(user), input=data, capture_output=True, check=False
        )
        text = done.stdout.decode('latin-1')
        assert text, done.stderr.decode()
        heads = text.split('\r\n\r\n')
        while len(heads) > 2 and heads[1].startswith('HTTP/1.1 '):
            heads.pop(0)
        text = '\r\n\r\n'.join(heads)
        return int(text.split()[1]), text

    def ldapsearch(self, *words, user='admin', tls=False, method=('-Y', 'GSSAPI', '-Q')):
        wrapper = glob.glob('/usr/lib/*/libnss_wrapper.so')
        if not wrapper:
            pytest.skip('libnss-wrapper is not installed')
        env = {**self.environment(user), 'LD_PRELOAD': wrapper[0], 'NSS_WRAPPER_HOSTS': f'{self.dir}/hosts'}
        url = 'ldaps://dc1.contoso.lab:10636' if tls else 'ldap://dc1.contoso.lab:10389'
        return subprocess.run(
            ['ldapsearch', '-LLL', '-o', 'ldif-wrap=no', '-N', '-H', url, *method, *words],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    def ssh(self, server, script, command=None):
        """OpenSSH's client runs a script on a server, as the product would send it."""
        if command is None:
            command = (
                'powershell -NoProfile -NonInteractive -EncodedCommand '
                + base64.b64encode(script.encode('utf-16-le')).decode()
            )
        return subprocess.run(
            [
                'ssh',
                '-F',
                '/dev/null',
                '-p',
                self.config['ssh_port'],
                '-i',
                self.config['ssh_key'],
                '-o',
                'IdentitiesOnly=yes',
                '-o',
                f'UserKnownHostsFile={self.config["ssh_known_hosts"]}',
                '-o',
                'StrictHostKeyChecking=yes',
                '-o',
                'BatchMode=yes',
                '-o',
                'KexAlgorithms=curve25519-sha256',
                f'{self.config["ssh_user"]}@{self.hosts[server.lower() + ".contoso.lab"]}',
                command,
            ],
            capture_output=True,
            check=False,
        )

    def local(self, server, script, line=None):
        """The same without SSH in between, for the many cases that are about the reader alone."""
        line = line or (
            'powershell -NoProfile -NonInteractive -EncodedCommand '
            + base64.b64encode(script.encode('utf-16-le')).decode()
        )
        return subprocess.run(
            [os.path.join(HERE, 'powershell'), '--dir', self.dir, '--server', server, line],
            capture_output=True,
            check=False,
        )

    def exchange(self, server, generation, script):
        return self.ssh(server, f'{PROLOGUE}Add-PSSnapin {SNAPIN[generation]} -ErrorAction Stop\n{script}')

    def rpc_vdir(self, server):
        """{attribute: value} of a server's Outlook Anywhere, as an LDAP client sees it; {} where there is
        none.
        """
        done = self.ldapsearch(
            '-b', 'CN=Configuration,DC=contoso,DC=lab', '(objectClass=msExchRpcHttpVirtualDirectory)'
        )
        assert done.returncode == 0, done.stderr
        for block in done.stdout.split('\n\n'):
            if f'cn=protocols,cn={server.lower()},' in block.lower():
                return dict(line.split(': ', 1) for line in block.splitlines() if ': ' in line)
        return {}


@contextlib.contextmanager
def running(poll):
    directory = tempfile.mkdtemp(prefix='casbridge-lab-test.')
    lab_command(directory, 'up', '--poll', str(poll))
    try:
        yield LabUnderTest(directory)
    finally:
        lab_command(directory, 'down')
        shutil.rmtree(directory)


@pytest.fixture(scope='session')
def lab():
    with running(1) as made:
        yield made


@pytest.fixture
def seldom():
    """A lab whose IIS takes the directory's settings once an hour, or when told."""
    with running(3600) as made:
        yield made


@pytest.fixture
def fresh(lab):
    """The lab for a test that changes it: afterwards the organisation is as first made again."""
    yield lab
    lab.command('reset')


@pytest.fixture(scope='session')
def shared():
    if not os.path.isdir(os.path.join(SHARED, 'fixtures')):
        pytest.skip(f'{SHARED} is absent (CASBRIDGE_SHARED names another place)')
    return SHARED


@pytest.fixture(scope='session')
def engine(shared):
    """PowerShell's own engine, unpacked once for all tests of the tree."""
    archive = os.path.join(shared, 'peers', 'pwsh.tar.xz')
    if not os.path.exists(archive):
        pytest.skip('PowerShell\'s engine is not at hand')
    place = os.path.join(HERE, '..', '..', 'build', 'peers')
    program = os.path.realpath(os.path.join(place, 'pwsh', 'pwsh'))
    if not os.path.exists(program):
        os.makedirs(place, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix='.pwsh.', dir=place) as directory:
            subprocess.run(['tar', '-xf', archive, '-C', directory], check=True)
            try:
                os.rename(os.path.join(directory, 'pwsh'), os.path.join(place, 'pwsh'))
            except OSError:
                assert os.path.exists(program)  # another run was first
    return program
