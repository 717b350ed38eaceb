"""DIR/config.ini: the profile that lets the console reach the whole lab without any environment variable."""
import os

from . import mail, org
from .layout import (
    ARRAY,
    AUTODISCOVER,
    DC_FQDN,
    EXCHANGE_PORT,
    HTTP_PORT,
    HTTPS_PORT,
    LDAP_PORT,
    LEGACY,
    NAMESPACE,
    REALM,
    SSH_PORT,
    WINRM_PORT,
    WINRMS_PORT,
)
from .sshd import CLIENT_KEY


def hosts(lab):
    """(name, address, port) of everything with a name. The common names still lead to the old servers: the
    move is yet to come.
    """
    yield DC_FQDN, lab.dc_address, LDAP_PORT
    address = {s.name: lab.server_address(i) for i, s in enumerate(org.SERVERS)}
    for s in org.SERVERS:
        yield s.fqdn, address[s.name], HTTPS_PORT
    for name, owner in (
        (NAMESPACE, 'EXCAS01'),
        (AUTODISCOVER, 'EXCAS01'),
        (ARRAY, 'EXCAS01'),
        (LEGACY, 'E2K7CAS01'),
    ):
        yield name, address[owner], HTTPS_PORT


def _settings(lab):
    yield 'source', f'ldap://{DC_FQDN}'
    yield 'target', '2013'
    for name, address, port in hosts(lab):
        yield f'host.{name}', f'{address}:{port}'
        if port == HTTPS_PORT:
            yield f'host.{name}/80', f'{address}:{HTTP_PORT}'
    for s in org.SERVERS:
        address = lab.server_address(org.server_index(s.name))
        for port in (WINRM_PORT, WINRMS_PORT, EXCHANGE_PORT):
            yield f'host.{s.fqdn}/{port}', f'{address}:{port}'
    for i, s in enumerate(org.SERVERS):
        if s.web:  # where the services are off the port refuses, as in life
            for port, wanted in mail.WANTED.items():
                yield f'host.{s.fqdn}/{wanted}', f'{lab.server_address(i)}:{port}'
    yield 'namespace', NAMESPACE
    yield 'trust', lab.path('ca.pem')
    yield 'via', 'ssh'
    yield 'ssh_user', lab.user
    yield 'ssh_key', lab.path('ssh', CLIENT_KEY)
    yield 'ssh_port', SSH_PORT
    yield 'ssh_known_hosts', lab.path('ssh', 'known_hosts')
    yield 'winrm_url', f'http://{{fqdn}}:{WINRM_PORT}/wsman'
    yield 'winrm_auth', 'negotiate'
    yield 'psrp_url', f'http://{{fqdn}}:{EXCHANGE_PORT}/PowerShell/'
    yield 'psrp_configuration', 'Microsoft.Exchange'
    yield 'store', f'sqlite:{lab.path("store.db")}'
    yield 'krb5_config', lab.path('krb5.conf')
    yield 'krb5_principal', f'{org.ADMIN}@{REALM}'
    yield 'krb5_keytab', lab.path('keytabs', 'admin.keytab')
    yield 'engine_keytab', lab.path('keytabs', f'{org.ARRIVING.lower()}.keytab')
    yield 'engine_principal', f'{org.ARRIVING}$@{REALM}'
    yield 'poll_interval', f'{lab.poll:g}'


def write(lab):
    path = lab.path('config.ini')
    with open(
        os.open(path + '.new', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w', encoding='utf-8'
    ) as f:
        f.write('; written by "lab up"; a stand-in organisation on loopback\n[lab]\n')
        for key, value in _settings(lab):
            f.write(f'{key} = {value}\n')
    os.replace(path + '.new', path)


def environment(lab):
    """What a person's shell needs to try things by hand: (variable, value)."""
    yield 'LAB_DIR', lab.dir
    yield 'KRB5_CONFIG', lab.path('krb5.conf')
    yield 'KRB5_CLIENT_KTNAME', f'FILE:{lab.path("keytabs", "admin.keytab")}'
    yield 'KRB5CCNAME', f'FILE:{lab.path("krb5cc")}'
    yield 'LDAPTLS_CACERT', lab.path('ca.pem')
    yield 'CURL_CA_BUNDLE', lab.path('ca.pem')
    yield 'LAB_CURL_RESOLVE', ' '.join(
        f'--resolve {name}:{port}:{address}' for name, address, port in hosts(lab) if port == HTTPS_PORT
    )
