"""The realm CONTOSO.LAB: an MIT KDC, its principals and their keytabs. AES only, pre-authentication
required, as AD has it.
"""
import os

from . import org
from .layout import AUTODISCOVER, DC_FQDN, KDC_PORT, LEGACY, NAMESPACE, PASSWORD, REALM
from .prereq import program
from .processes import run
from .slapd import answers

# udp_preference_limit = 1: TCP always, so that runs are alike.
KRB5_CONF = '''[libdefaults]
    default_realm = {realm}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    forwardable = true
    udp_preference_limit = 1
    default_ccache_name = FILE:{dir}/krb5cc_%{{uid}}
    permitted_enctypes = aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96
[realms]
    {realm} = {{
        kdc = {address}:{port}
    }}
[domain_realm]
    .contoso.lab = {realm}
    contoso.lab = {realm}
'''
KDC_CONF = '''[kdcdefaults]
    kdc_listen = {address}:{port}
    kdc_tcp_listen = {address}:{port}
[realms]
    {realm} = {{
        database_name = {dir}/kdc/principal
        key_stash_file = {dir}/kdc/stash
        acl_file = {dir}/kdc/kadm5.acl
        supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal
        default_principal_flags = +preauth
        max_life = 10h
        max_renewable_life = 7d
    }}
[logging]
    kdc = FILE:{dir}/log/kdc.log
'''


def keytabs():
    """(file, principals) of every keytab; principals without a password of their own."""
    yield 'ldap.keytab', [f'ldap/{DC_FQDN}']
    for s in org.SERVERS:
        principals = [f'HTTP/{s.fqdn}', f'host/{s.fqdn}']
        if s.name == org.ARRIVING:  # holds the alternate service account's names
            principals = [f'{s.name}$', *principals, f'HTTP/{NAMESPACE}', f'HTTP/{AUTODISCOVER}']
        elif s.external == LEGACY:
            principals.append(f'HTTP/{LEGACY}')
        yield f'{s.name.lower()}.keytab', principals


class Kdc:
    NAME = 'krb5kdc'

    def __init__(self, lab, processes):
        self.lab, self.processes = lab, processes

    def environment(self):
        return self.processes.environment(
            KRB5_CONFIG=self.lab.path('krb5.conf'), KRB5_KDC_PROFILE=self.lab.path('kdc', 'kdc.conf')
        )

    def setup(self):
        lab = self.lab
        os.makedirs(lab.path('kdc'))
        os.makedirs(lab.path('keytabs'), mode=0o700)
        names = dict(realm=REALM, dir=lab.dir, address=lab.dc_address, port=KDC_PORT)
        for path, text in ((lab.path('krb5.conf'), KRB5_CONF), (lab.path('kdc', 'kdc.conf'), KDC_CONF)):
            with open(path, 'w', encoding='utf-8') as f:
                f.write(text.format(**names))
        env = self.environment()
        run(
            [program('kdb5_util'), 'create', '-r', REALM, '-s', '-P', 'master'],
            env=env,
            what='making the realm',
        )
        # one kadmin.local for everything: a process for each principal is slow
        script = [f'addprinc -pw {PASSWORD} {name}' for name in (org.ADMIN, *(p[0] for p in org.PEOPLE))]
        script.append(f'ktadd -k {lab.path("keytabs", "admin.keytab")} -norandkey {org.ADMIN}')
        expected = {lab.path('keytabs', 'admin.keytab')}
        for name, principals in keytabs():
            path = lab.path('keytabs', name)
            expected.add(path)
            script += [f'addprinc -randkey {p}' for p in principals]
            script.append(f'ktadd -k {path} -norandkey {" ".join(principals)}')
        out = run(
            [program('kadmin.local'), '-r', REALM],
            env=env,
            stdin='\n'.join(script).encode() + b'\nquit\n',
            what='kadmin.local',
        )
        with open(lab.path('log', 'kadmin.out'), 'wb') as f:
            f.write(out)
        absent = [path for path in expected if not os.path.exists(path)]
        if absent:
            raise RuntimeError(f'keytabs not made: {absent}, see {lab.path("log", "kadmin.out")}')

    def start(self):
        self.processes.start(self.NAME, [program('krb5kdc'), '-n', '-r', REALM], env=self.environment())

    def wait(self):
        self.processes.wait_until(self.NAME, lambda: answers(self.lab.dc_address, KDC_PORT))
