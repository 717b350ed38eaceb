"""Certificates of a lab authority, and the SSH keys: elliptic curves only, so that a first `up` is quick."""
import os

from . import org
from .layout import AUTODISCOVER, DC_FQDN, LEGACY, NAMESPACE
from .prereq import program
from .processes import run

NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-sha256']
DAYS = '365'


def _section(name, common_name, alternatives):
    return (
        f'[{name}]\nbasicConstraints = critical,CA:FALSE\nkeyUsage = critical,'
        'digitalSignature\nextendedKeyUsage = serverAuth\n'
        f'subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n'
        f'subjectAltName = {",".join("DNS:" + a for a in [common_name, *alternatives])}\n'
    )


def subjects():
    """(section, common name, alternative names) of each certificate."""
    yield 'dc1', DC_FQDN, []
    for s in org.SERVERS:
        if s.web:
            yield s.name.lower(), s.fqdn, [NAMESPACE, AUTODISCOVER, LEGACY]


def make_authority(lab, env):
    os.makedirs(lab.path('pki'), mode=0o700)
    with open(lab.path('pki', 'openssl.cnf'), 'w', encoding='utf-8') as f:
        f.write(
            '[req]\ndistinguished_name = dn\nprompt = no\n[dn]\n[ca]\nbasicConstraints = critical,CA:TRUE\n'
            'keyUsage = critical,keyCertSign,cRLSign\nsubjectKeyIdentifier = hash\n'
        )
        for subject in subjects():
            f.write(_section(*subject))
    run(
        [
            program('openssl'),
            'req',
            '-x509',
            *NEW_KEY,
            '-days',
            DAYS,
            '-config',
            lab.path('pki', 'openssl.cnf'),
            '-extensions',
            'ca',
            '-subj',
            '/O=Contoso/CN=Contoso Lab CA',
            '-keyout',
            lab.path('pki', 'ca.key'),
            '-out',
            lab.path('ca.pem'),
        ],
        env=env,
        what='making the authority',
    )


def make_certificate(lab, env, name, common_name, days=DAYS, section=None):
    """section: whose alternative names it gets; None: its own."""
    run(
        [
            program('openssl'),
            'req',
            '-x509',
            *NEW_KEY,
            '-days',
            days,
            '-config',
            lab.path('pki', 'openssl.cnf'),
            '-extensions',
            section or name,
            '-CA',
            lab.path('ca.pem'),
            '-CAkey',
            lab.path('pki', 'ca.key'),
            '-subj',
            f'/O=Contoso/CN={common_name}',
            '-keyout',
            lab.path('pki', f'{name}.key'),
            '-out',
            lab.path('pki', f'{name}.pem'),
        ],
        env=env,
        what=f'certificate of {common_name}',
    )


def make_ssh_key(lab, env, name):
    run(
        [program('ssh-keygen'), '-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', lab.path('ssh', name)],
        env=env,
        what=f'SSH key {name}',
    )
