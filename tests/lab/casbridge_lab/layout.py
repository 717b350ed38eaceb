"""Where a lab keeps its things: folders, addresses, ports and names, all derived from one folder DIR.

Every other module takes a Lab and asks it; nothing else builds a path or an address.
"""
import hashlib
import ipaddress
import json
import os
import pwd
import socket
import tempfile

DOMAIN = 'contoso.lab'
REALM = 'CONTOSO.LAB'
NETBIOS = 'CONTOSO'
BASE_DN = 'DC=contoso,DC=lab'
DC_NAME = 'dc1'
DC_FQDN = f'dc1.{DOMAIN}'
NAMESPACE = f'mail.{DOMAIN}'
AUTODISCOVER = f'autodiscover.{DOMAIN}'
LEGACY = f'legacy.{DOMAIN}'
ARRAY = f'outlook.{DOMAIN}'
PASSWORD = 'Passw0rd!lab'

LDAP_PORT, LDAPS_PORT, KDC_PORT, HTTPS_PORT, SSH_PORT = 10389, 10636, 10088, 10443, 10022
HTTP_PORT = 10081  # plain http of the web servers
WINRM_PORT, WINRMS_PORT, EXCHANGE_PORT = 10985, 10986, 10080  # 5985, 5986 and 80 in life
SERVER_PORTS = (HTTPS_PORT, HTTP_PORT, SSH_PORT, WINRM_PORT, WINRMS_PORT, EXCHANGE_PORT)
CLAIM_PORT = 10009  # held open on the block's first address for as long as the lab runs
DEFAULT_POLL = 3.0  # seconds; 15 minutes in life

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # tests/lab
ROOT = os.path.dirname(os.path.dirname(HERE))
SOCKET_PATH_LIMIT = 100  # sun_path holds 108 bytes with its NUL


class LabError(Exception):
    """Something a person must read: what happened, and what to do about it."""


def default_dir():
    return os.path.join(ROOT, 'build', 'lab')


class Lab:
    def __init__(self, directory):
        self.dir = os.path.abspath(directory)
        self.block = None  # '127.A.B', once chosen
        self.poll = DEFAULT_POLL
        self.extra_users = 0
        self.engine = None  # PowerShell's own, where `up` was given one
        self.user = pwd.getpwuid(os.geteuid()).pw_name

    # ---- folders and files

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    @property
    def state_file(self):
        return self.path('lab.json')

    @property
    def run(self):
        """Folder for sockets: DIR/run, or one of our own below the temporary folder where DIR is too long
        for a socket's path.
        """
        inside = self.path('run')
        if len(inside) + len('/control') <= SOCKET_PATH_LIMIT:
            return inside
        digest = hashlib.sha256(self.dir.encode()).hexdigest()[:12]
        return os.path.join(tempfile.gettempdir(), f'casbridge-lab-{os.geteuid()}-{digest}')

    @property
    def ldapi_uri(self):
        return 'ldapi://' + os.path.join(self.run, 'ldapi').replace('/', '%2F')

    @property
    def control_socket(self):
        return os.path.join(self.run, 'control')

    @property
    def winrm_socket(self):
        return os.path.join(self.run, 'winrm')

    def engine_modules(self):
        """What PowerShell's engine imports: the lab's cmdlets, and what a test has put beside them."""
        more = self.path('engine.psm1')
        return [os.path.join(HERE, 'LabExchange.psm1'), *([more] if os.path.exists(more) else [])]

    def fault_file(self, server):
        return self.path('faults', server)

    def load(self):
        """Reads what `up` recorded. Raises LabError where there is no lab."""
        try:
            with open(self.state_file, encoding='utf-8') as f:
                state = json.load(f)
        except FileNotFoundError:
            raise LabError(f'no lab in {self.dir}: run "lab up" first') from None
        except ValueError as e:
            raise LabError(
                f'{self.state_file} is damaged ({e}): remove the folder and run "lab up"'
            ) from None
        self.block, self.poll = state['block'], float(state['poll'])
        self.extra_users = int(state.get('users', 0))
        self.engine = state.get('engine')
        return self

    def save(self):
        temporary = self.state_file + '.new'
        with open(temporary, 'w', encoding='utf-8') as f:
            state = {'block': self.block, 'poll': self.poll, 'users': self.extra_users, 'engine': self.engine}
            json.dump(state, f)
        os.replace(temporary, self.state_file)

    # ---- addresses

    @property
    def dc_address(self):
        return f'{self.block}.10'

    def server_address(self, index):
        """Address of the index-th server of the organisation."""
        return f'{self.block}.{21 + index}'

    def candidate_blocks(self):
        """Blocks to try, the one of the last run first, then by the folder's name. 127.0.x is left to
        everybody else.
        """
        if self.block:
            yield self.block
        digest = hashlib.sha256(self.dir.encode()).digest()
        start = int.from_bytes(digest[:4], 'big')
        for i in range(64):
            n = start + i * 7919
            yield f'127.{20 + n % 200}.{1 + n // 200 % 250}'

    def claim_block(self, servers):
        """Takes a /24 that nobody uses. The returned listening socket is the claim: the lab holds it while
        it runs.
        """
        for block in self.candidate_blocks():
            claim = _listen(f'{block}.1', CLAIM_PORT)
            if claim is None:
                continue
            self.block = block
            wanted = [(self.dc_address, port) for port in (LDAP_PORT, LDAPS_PORT, KDC_PORT)]
            wanted += [
                (self.server_address(i), port) for i in range(servers) for port in SERVER_PORTS
            ]
            if all(_is_free(*place) for place in wanted):
                return claim
            claim.close()
        raise LabError(
            'no free block of loopback addresses: stop a lab that is no longer needed ("lab down --dir DIR")'
        )


def _listen(address, port):
    assert ipaddress.ip_address(address).is_loopback
    s = socket.socket()
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        s.listen(1)
        return s
    except OSError:
        s.close()
        return None


def _is_free(address, port):
    s = _listen(address, port)
    if s is None:
        return False
    s.close()
    return True
