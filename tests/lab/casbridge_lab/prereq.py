"""Says which packages are missing before anything is started."""
import importlib.util
import os
import shutil

from .layout import HERE, LabError
from .processes import search_path

PROGRAMS = {
    'slapd': 'slapd',
    'slapadd': 'slapd',
    'krb5kdc': 'krb5-kdc',
    'kdb5_util': 'krb5-kdc',
    'kadmin.local': 'krb5-admin-server',
    'sshd': 'openssh-server',
    'ssh-keygen': 'openssh-client',
    'openssl': 'openssl',
}
MODULES = {'ldap': 'python3-ldap', 'gssapi': 'python3-gssapi'}
SASL_FOLDERS = (
    '/usr/lib/x86_64-linux-gnu/sasl2',
    '/usr/lib/aarch64-linux-gnu/sasl2',
    '/usr/lib/sasl2',
    '/usr/lib64/sasl2',
)


def _has_sasl_gssapi():
    folders = list(SASL_FOLDERS)
    try:
        folders += [os.path.join('/usr/lib', d, 'sasl2') for d in os.listdir('/usr/lib')]
    except OSError:
        pass
    return any(os.path.exists(os.path.join(f, 'libgssapiv2.so')) for f in folders)


def program(name):
    """Absolute path of a daemon or tool (sshd insists on one)."""
    path = shutil.which(name, path=search_path())
    if path is None:
        raise LabError(
            f'{name} is not installed: apt-get install --no-install-recommends {PROGRAMS.get(name, name)}'
        )
    return path


def missing():
    packages = {
        package for name, package in PROGRAMS.items() if shutil.which(name, path=search_path()) is None
    }
    packages |= {package for name, package in MODULES.items() if importlib.util.find_spec(name) is None}
    if not _has_sasl_gssapi():
        packages.add('libsasl2-modules-gssapi-mit')
    return sorted(packages)


def check():
    packages = missing()
    if packages:
        raise LabError(
            f'packages missing: {" ".join(packages)}: apt-get install --no-install-recommends '
            f'{" ".join(packages)}'
            f' (the whole list is in {os.path.join(HERE, "packages")})'
        )
