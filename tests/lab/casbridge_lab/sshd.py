"""One OpenSSH server per Exchange server. It lets in the account that runs the lab, by key, and into
nothing but the stand-in powershell.
"""
import os
import shlex
import shutil
import subprocess

from . import keys, org
from .layout import HERE, SSH_PORT
from .prereq import program
from .slapd import answers

# SHLVL: so deep down bash does not read the account's .bashrc, which may start anything
CONF = '''ListenAddress {address}:{port}
HostKey {dir}/ssh/host_{name}
PidFile none
AuthorizedKeysFile "{dir}/ssh/authorized_keys"
StrictModes no
UsePAM {pam}
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
PermitRootLogin prohibit-password
AllowUsers {user}
UseDNS no
PrintMotd no
PrintLastLog no
PermitTTY no
AllowTcpForwarding no
AllowAgentForwarding no
AllowStreamLocalForwarding no
X11Forwarding no
MaxStartups 200
MaxSessions 100
LogLevel INFO
SetEnv SHLVL=2
ForceCommand {command}
'''
CLIENT_KEY = 'id_ed25519'
SUBSYSTEM = 'powershell-subsystem'  # what the forced command is told then


def _account_is_locked(user):
    """Without PAM sshd refuses a locked account even with a key; with PAM it asks only whether the account
    has expired.
    """
    passwd = shutil.which('passwd')
    if passwd is None:
        return False
    done = subprocess.run(
        [passwd, '-S', user], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    return done.stdout.split()[1:2] in ([b'L'], [b'LK'])


class Sshd:
    def __init__(self, lab, processes, server):
        self.lab, self.processes, self.server = lab, processes, server
        self.name = f'sshd-{server.name.lower()}'
        self.address = lab.server_address(org.server_index(server.name))

    @staticmethod
    def prepare(lab, env):
        """What all of them share: the client's key, and who may come in."""
        os.makedirs(lab.path('ssh'), mode=0o700)
        keys.make_ssh_key(lab, env, CLIENT_KEY)
        shutil.copyfile(lab.path('ssh', CLIENT_KEY + '.pub'), lab.path('ssh', 'authorized_keys'))
        if os.geteuid() == 0:
            os.makedirs(
                '/run/sshd', mode=0o755, exist_ok=True
            )  # sshd's own; its package makes it when its service starts

    def setup(self, env):
        lab, name = self.lab, self.server.name.lower()
        keys.make_ssh_key(lab, env, f'host_{name}')
        command = ' '.join(
            map(
                shlex.quote,
                [os.path.join(HERE, 'powershell'), '--dir', lab.dir, '--server', self.server.name],
            )
        )
        pam = 'yes' if _account_is_locked(lab.user) else 'no'
        with open(lab.path('ssh', f'{name}.conf'), 'w', encoding='utf-8') as f:
            f.write(
                CONF.format(
                    address=self.address,
                    port=SSH_PORT,
                    dir=lab.dir,
                    name=name,
                    user=lab.user,
                    command=command,
                    pam=pam,
                )
            )
            if lab.engine:
                f.write(f'Subsystem powershell {SUBSYSTEM}\n')

    def start(self):
        conf = self.lab.path('ssh', f'{self.server.name.lower()}.conf')
        self.processes.start(self.name, [program('sshd'), '-D', '-e', '-f', conf])

    def answers(self):
        return answers(self.address, SSH_PORT)

    def known_hosts(self):
        with open(self.lab.path('ssh', f'host_{self.server.name.lower()}.pub'), encoding='utf-8') as f:
            key = ' '.join(f.read().split()[:2])
        return [f'[{host}]:{SSH_PORT} {key}' for host in (self.server.fqdn, self.address)]


def write_known_hosts(lab, daemons):
    with open(lab.path('ssh', 'known_hosts'), 'w', encoding='utf-8') as f:
        f.write('\n'.join(line for d in daemons for line in d.known_hosts()) + '\n')
