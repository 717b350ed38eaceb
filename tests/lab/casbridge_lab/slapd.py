"""slapd in the part of a domain controller: AD's rootDSE, AD's page limit, GSSAPI, TLS."""
import os
import shutil
import socket

from . import schema
from .layout import BASE_DN, DC_FQDN, DC_NAME, DOMAIN, LDAP_PORT, LDAPS_PORT, REALM
from .ldapdata import ldif
from .naming import CONFIG, SCHEMA
from .prereq import program
from .processes import run

CAPABILITIES = (
    '1.2.840.113556.1.4.800',
    '1.2.840.113556.1.4.1670',
    '1.2.840.113556.1.4.1791',
    '1.2.840.113556.1.4.1935',
)

# size.*: 1,000 entries without paging and then result 4, any number with it, as AD's MaxPageSize.
# sasl-realm must stay unset, or the names in authz-regexp gain a cn=REALM part.
CONF = '''include {dir}/slapd/ad.schema
pidfile {dir}/slapd/slapd.pid
modulepath {modules}
moduleload back_mdb
rootDSE {dir}/slapd/rootdse.ldif
TLSCACertificateFile {dir}/ca.pem
TLSCertificateFile {dir}/pki/dc1.pem
TLSCertificateKeyFile {dir}/pki/dc1.key
sizelimit size.soft=1000 size.hard=unlimited size.pr=1000 size.prtotal=unlimited
threads 8
tool-threads 2
sasl-host {host}
sasl-secprops none
authz-regexp "gidNumber=[0-9]+[+]uidNumber={uid},cn=peercred,cn=external,cn=auth" "cn=lab,{base}"
authz-regexp "uid=([^,]*)[$],cn=gssapi,cn=auth" "cn=$1,cn=Computers,{base}"
authz-regexp "uid=([^,/]*),cn=gssapi,cn=auth" "cn=$1,cn=Users,{base}"

database mdb
suffix "{base}"
rootdn "cn=lab,{base}"
directory {dir}/slapd/db
maxsize 1073741824
dbnosync
index objectClass,objectCategory eq
index cn,sAMAccountName,userPrincipalName,mail,proxyAddresses,legacyExchangeDN,servicePrincipalName eq
index msExchMailboxGuid,homeMDB eq
access to dn.base="" by * read
access to dn.base="cn=Subschema" by users read
access to * by users read by anonymous auth
'''
MODULE_FOLDERS = ('/usr/lib/ldap', '/usr/lib/openldap', '/usr/lib64/openldap')


def _root_dse():
    lines = [
        'dn:',
        'objectClass: adRootDSE',
        f'defaultNamingContext: {BASE_DN}',
        f'configurationNamingContext: {CONFIG}',
        f'schemaNamingContext: {SCHEMA}',
        f'rootDomainNamingContext: {BASE_DN}',
        f'dNSHostName: {DC_FQDN}',
        f'ldapServiceName: {DOMAIN}:{DC_NAME}$@{REALM}',
        f'serverName: CN={DC_NAME.upper()},CN=Servers,CN=Barcelona,CN=Sites,{CONFIG}',
        f'dsServiceName: CN=NTDS Settings,CN={DC_NAME.upper()},CN=Servers,CN=Barcelona,CN=Sites,{CONFIG}',
        'isSynchronized: TRUE',
        'isGlobalCatalogReady: TRUE',
        'domainFunctionality: 4',
        'forestFunctionality: 4',
        'domainControllerFunctionality: 6',
    ]
    return '\n'.join(lines + [f'supportedCapabilities: {oid}' for oid in CAPABILITIES]) + '\n'


class Slapd:
    NAME = 'slapd'

    def __init__(self, lab, processes):
        self.lab, self.processes = lab, processes

    def setup(self):
        """Configuration, and a database holding the organisation as first made."""
        lab = self.lab
        os.makedirs(lab.path('slapd', 'db'))
        modules = next((m for m in MODULE_FOLDERS if os.path.isdir(m)), MODULE_FOLDERS[0])
        text, usn = ldif(extra_users=lab.extra_users)
        for name, content in (
            ('ad.schema', schema.slapd_schema()),
            ('rootdse.ldif', _root_dse()),
            ('org.ldif', text),
            ('usn.first', f'{usn}\n'),
            (
                'slapd.conf',
                CONF.format(dir=lab.dir, modules=modules, host=DC_FQDN, uid=os.geteuid(), base=BASE_DN),
            ),
        ):
            with open(lab.path('slapd', name), 'w', encoding='utf-8') as f:
                f.write(content)
        self._load()

    def _load(self):
        lab = self.lab
        run(
            [
                program('slapadd'),
                '-q',
                '-f',
                lab.path('slapd', 'slapd.conf'),
                '-b',
                BASE_DN,
                '-l',
                lab.path('slapd', 'org.ldif'),
            ],
            env=self.processes.environment(),
            what='loading the directory',
        )
        shutil.copyfile(lab.path('slapd', 'usn.first'), lab.path('slapd', 'usn'))

    def restore(self):
        """The organisation as first made; slapd must be down."""
        for name in os.listdir(self.lab.path('slapd', 'db')):
            os.unlink(self.lab.path('slapd', 'db', name))
        self._load()

    def start(self):
        lab = self.lab
        urls = f'{lab.ldapi_uri} ldap://{lab.dc_address}:{LDAP_PORT} ldaps://{lab.dc_address}:{LDAPS_PORT}'
        # The usual replay cache lies in a place per uid that may belong to another lab or to root.
        env = self.processes.environment(
            KRB5_CONFIG=lab.path('krb5.conf'),
            KRB5_KTNAME=lab.path('keytabs', 'ldap.keytab'),
            KRB5RCACHENAME='none:',
        )
        self.processes.start(
            self.NAME,
            [program('slapd'), '-d', '0', '-f', lab.path('slapd', 'slapd.conf'), '-h', urls],
            env=env,
        )

    def wait(self):
        self.processes.wait_until(self.NAME, lambda: answers(self.lab.dc_address, LDAP_PORT))


def answers(address, port):
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False
