"""One cmdlet on 100 SSH hosts, 32 at once: casbridge exec beside xargs -P32 ssh, to the same sshd, with the same keys."""
import contextlib
import getpass
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from bench import PROGRAM, Ratio, in_turns, row, run

HOSTS, AT_ONCE = 100, 32
ADDRESSES = 16          # sshd listens at no more than that
SSHD = '/usr/sbin/sshd'
BASE = 'DC=contoso,DC=lab'
SERVERS = (f'CN=Servers,CN=Exchange Administrative Group (FYDIBOHF23SPDLT),CN=Administrative Groups,CN=Contoso,CN=Microsoft Exchange,'
           f'CN=Services,CN=Configuration,{BASE}')


def names():
    return [f'cas{i:04}' for i in range(HOSTS)]


def address(i):
    return f'127.0.77.{1 + i % ADDRESSES}'


def organisation():
    """As little of a directory as makes servers that exec can name."""
    yield f'dn: {BASE}\nobjectClass: domainDNS\n'
    yield f'dn: CN=Contoso,CN=Microsoft Exchange,CN=Services,CN=Configuration,{BASE}\nobjectClass: msExchOrganizationContainer\n'
    for name in names():
        yield (f'dn: CN={name.upper()},{SERVERS}\nobjectClass: msExchExchangeServer\ncn: {name.upper()}\n'
               f'serialNumber: Version 14.3 (Build 30123.4)\nmsExchCurrentServerRoles: 36\n'
               f'networkAddress: ncacn_ip_tcp:{name}.contoso.lab\n')


def account_is_locked(user):
    """Without PAM sshd lets a locked account in not even with a key."""
    done = subprocess.run(['passwd', '-S', user], capture_output=True, text=True, check=False)
    return done.stdout.split()[1:2] in (['L'], ['LK'])


@contextlib.contextmanager
def ground():
    """One sshd in the part of all hosts; PowerShell's part is played by echo. A folder, the port; gone afterwards."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='casbridge-bench-'))
    with socket.socket() as s:
        s.bind((address(0), 0))
        port = s.getsockname()[1]
    user = getpass.getuser()
    for key in ('host', 'user'):
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', folder / key], check=True)
    shutil.copy(folder / 'user.pub', folder / 'authorized')
    made = os.geteuid() == 0 and not os.path.isdir('/run/sshd')
    if made:
        os.mkdir('/run/sshd')
    listen = ''.join(f'ListenAddress {address(i)}:{port}\n' for i in range(ADDRESSES))
    (folder / 'sshd.conf').write_text(
        f'{listen}HostKey {folder}/host\nPidFile none\nStrictModes no\nUsePAM {"yes" if account_is_locked(user) else "no"}\n'
        f'AuthorizedKeysFile {folder}/authorized\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n'
        f'PermitRootLogin prohibit-password\nUseDNS no\nPrintMotd no\nPrintLastLog no\nMaxStartups 500\nForceCommand echo done\n'
        # or the account's shell reads its .bashrc, whatever that may start
        'SetEnv SHLVL=2\n'
        # ssh's own first choice is post-quantum, and costs it 65 ms a host that libssh2 cannot spend: both do the same here
        f'KexAlgorithms curve25519-sha256\n')
    key = ' '.join((folder / 'host.pub').read_text().split()[:2])
    (folder / 'known_hosts').write_text(''.join(f'[{n}.contoso.lab]:{port} {key}\n' for n in names()))
    (folder / 'ssh.conf').write_text(
        ''.join(f'Host {n}.contoso.lab\n  HostName {address(i)}\n  HostKeyAlias [{n}.contoso.lab]:{port}\n' for i, n in enumerate(names())) +
        f'Host *\n  Port {port}\n  User {user}\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  BatchMode yes\n'
        f'  UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n  CheckHostIP no\n')
    (folder / 'org.ldif').write_text('\n'.join(organisation()))
    (folder / 'config.ini').write_text(
        f'[bench]\nsource = ldif:{folder}/org.ldif\nssh_user = {user}\nssh_key = {folder}/user\nssh_port = {port}\n'
        f'ssh_known_hosts = {folder}/known_hosts\n' +
        ''.join(f'host.{n}.contoso.lab = {address(i)}\n' for i, n in enumerate(names())))
    (folder / 'config.ini').chmod(0o600)
    daemon = subprocess.Popen([SSHD, '-D', '-e', '-f', folder / 'sshd.conf'], stderr=open(folder / 'log', 'w'), start_new_session=True)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection((address(0), port), 1):
                break
            time.sleep(0.05)
        yield folder
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()
        shutil.rmtree(folder)
        if made:
            with contextlib.suppress(OSError):
                os.rmdir('/run/sshd')


@row('ssh', f'one cmdlet on {HOSTS} SSH hosts, {AT_ONCE} at once', f'xargs -P{AT_ONCE} ssh')
def ssh():
    with ground() as folder:
        env = {k: v for k, v in os.environ.items() if k != 'SSH_AUTH_SOCK'}
        hosts = [n.upper() for n in names()]

        def ours():
            used = run([PROGRAM, '--config', folder / 'config.ini', '--format', 'json', 'exec', '--parallel', AT_ONCE, '--on', hosts[0],
                        *hosts[1:], '--', 'Get-OutlookAnywhere', '-Server', 'CAS0000'], env=env)
            rows = json.loads(used.out)
            assert len(rows) == HOSTS and all(r['ok'] and r['output'] for r in rows), rows[:1]
            return used

        def theirs():
            used = run(['xargs', f'-P{AT_ONCE}', '-I{}', 'ssh', '-F', folder / 'ssh.conf', '{}.contoso.lab', 'powershell -EncodedCommand AAAA'],
                       stdin='\n'.join(names()), env=env)
            assert used.out.count('done') == HOSTS
            return used

        ours(), theirs()        # both once unmeasured: files read, pages there
        a, b = in_turns(ours, theirs)
    return [Ratio('wall', a.wall, b.wall, 1.0), Ratio('CPU', a.cpu, b.cpu, 0.5)], \
        f'ours {a.cpu / HOSTS * 1000:.1f} ms of CPU a host, ssh {b.cpu / HOSTS * 1000:.1f}; the same key exchange; sshd\'s own is in both walls'
