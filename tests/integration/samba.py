"""A Samba AD domain controller for tests: the lab's organisation in a directory that is Active Directory's in manners, not slapd.

Everything lies in one folder; the controller's ports (88, 389, 636, 3268) cannot be moved, so it takes a loopback address of its own and
needs root. What the controller's schema lacks of the lab's table is added, classes below the parents that the organisation really has.
"""
import base64
import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

import ldap
import ldap.modlist

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lab'))
from casbridge_lab import layout, org, schema  # noqa: E402
from casbridge_lab.cmdlet_table import table_rows  # noqa: E402
from casbridge_lab.ldapdata import ldif  # noqa: E402
from casbridge_lab.naming import CONFIG, SCHEMA  # noqa: E402

BASE, PASSWORD, REALM = layout.BASE_DN, layout.PASSWORD, layout.REALM
PROGRAMS = ('samba', 'samba-tool', 'samba_spnupdate')
SYNTAX = {  # kind of the lab's table: attributeSyntax, oMSyntax of AD (MS-ADTS 3.1.1.2.2.2)
    'dn': ('2.5.5.1', 127),
    'text': ('2.5.5.12', 64),
    'int': ('2.5.5.9', 2),
    'bool': ('2.5.5.8', 1),
    'octets': ('2.5.5.10', 4),
    'time': ('2.5.5.11', 24),
    'oid': ('2.5.5.2', 6),
}
LARGE = {'msExchVersion', 'msExchRecipientTypeDetails', 'msExchDatabaseCreated'}
LINKS = {'homeMDB': 7032, 'homeMDBBL': 7033}
# isMemberOfPartialAttributeSet: what the global catalogue has of a mailbox
IN_CATALOGUE = {'homeMDB', 'msExchHomeServerName', 'msExchMailboxGuid', 'mailNickname', 'msExchVersion'}
# full control for administrators and the system, read for everybody who is logged on
SECURITY = 'D:(A;;RPWPCRCCDCLCLORCWOWDSDDTSW;;;DA)(A;;RPWPCRCCDCLCLORCWOWDSDDTSW;;;SY)(A;;RPLCLORC;;;AU)'
ARC = schema.ARC.rsplit('.', 1)[0] + '.5521'
# the controller makes these itself
OWN = {
    'objectGUID', 'objectSid', 'objectCategory', 'instanceType', 'whenCreated', 'whenChanged', 'uSNCreated', 'uSNChanged',
    'systemFlags', 'memberOf', 'homeMDBBL', 'sAMAccountType', 'pwdLastSet', 'msDS-KeyVersionNumber', 'name',
}
# what a domain brings itself: the naming contexts, its own cross references, the controller
ITS_OWN = [re.compile(p, re.I) for p in (r'^CN=Configuration,DC', '^CN=Schema,', '(^|,)CN=Partitions,', f'CN={layout.DC_NAME},(CN=Servers|OU=Domain)')]
NAMES = {name.rstrip('*') for name in schema.ATTRIBUTES['dn'].split()}
KRB5_CONF = '''[libdefaults]
    default_realm = {realm}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    forwardable = true
    udp_preference_limit = 1
[realms]
    {realm} = {{
        kdc = {address}:88
    }}
[domain_realm]
    .contoso.lab = {realm}
    contoso.lab = {realm}
'''


def why_not():
    """Why there can be no controller here; None when there can."""
    if os.geteuid() != 0:
        return 'a Samba domain controller needs root: its ports cannot be moved'
    missing = [p for p in PROGRAMS if not shutil.which(p, path=os.environ.get('PATH', '') + ':/usr/sbin')]
    return f'not installed: {" ".join(missing)}' if missing else None


def open_port(address, port):
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def entries(text):
    """(dn, {attribute: [bytes]}) of each record that the lab writes: no folding, no changes."""
    for record in text.split('\n\n'):
        dn, values = None, {}
        for line in filter(None, record.split('\n')):
            name, _, value = line.partition(':')
            value = base64.b64decode(value[1:]) if value.startswith(':') else value.strip().encode()
            if name == 'dn':
                dn = value.decode()
            else:
                values.setdefault(name, []).append(value)
        if dn:
            yield dn, values


def parent(dn):
    return re.split(r'(?<!\\),', dn, maxsplit=1)[1]


class Controller:
    def __init__(self, folder, address):
        self.dir, self.address, self.process = pathlib.Path(folder), address, None
        self.domain, self.conf = self.dir / 'domain', self.dir / 'domain/etc/smb.conf'
        self.krb5 = self.dir / 'krb5.conf'
        self.hosts = {f'{layout.DC_NAME}.{layout.DOMAIN}': address}

    def env(self, **more):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(('KRB5', 'LDAP'))}
        return {**kept, 'PATH': kept['PATH'] + ':/usr/sbin', 'KRB5_CONFIG': str(self.krb5), 'LC_ALL': 'C.UTF-8', **more}

    def tool(self, *args, **kw):
        done = subprocess.run([*args], capture_output=True, text=True, env=self.env(), stdin=subprocess.DEVNULL, **kw)
        assert done.returncode == 0, f'{args[:3]}: {done.stdout[-1500:]}{done.stderr[-1500:]}'
        return done.stdout

    # ---- the domain

    def provision(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        for sub in ('run', 'log', 'ncalrpc'):
            (self.domain / sub).mkdir(parents=True)
        empty = self.dir / 'empty.conf'  # the distribution's smb.conf would leak into the domain
        empty.write_text('')
        self.krb5.write_text(KRB5_CONF.format(realm=REALM, address=self.address))
        options = {
            'interfaces': f'{self.address}/8',  # a /32 is "no network interface" to it
            'bind interfaces only': 'yes',
            'dsdb:schema update allowed': 'true',
            'log file': f'{self.domain}/log/log.%m',
            'pid directory': f'{self.domain}/run',
            'ncalrpc dir': f'{self.domain}/ncalrpc',
            'winbindd socket directory': f'{self.domain}/run/winbindd',
            'ntp signd socket directory': f'{self.domain}/run/ntp_signd',
        }
        self.tool(
            'samba-tool', 'domain', 'provision', f'--configfile={empty}', f'--realm={REALM}', f'--domain={layout.NETBIOS}',
            '--server-role=dc', '--function-level=2008_R2', f'--host-name={layout.DC_NAME}', f'--host-ip={self.address}',
            f'--adminpass={PASSWORD}', '--dns-backend=NONE', '--backend-store=tdb', f'--targetdir={self.domain}',
            *(f'--option={k}={v}' for k, v in options.items()),
        )
        text = re.sub(r'server services = .*', 'server services = ldap, cldap, kdc, rpc', self.conf.read_text())
        self.conf.write_text(text.replace('[global]', '[global]\n\tldb:nosync = true', 1))
        self.tool('samba_spnupdate', '-s', str(self.conf))  # ldap/dc1...: else GSSAPI finds no service

    def start(self, **settings):
        """settings: options of smb.conf for this start, '_' for a blank."""
        command = ['samba', '-i', '-M', 'single', '-s', str(self.conf), '--no-process-group']
        command += [f'--option={k.replace("_", " ")}={v}' for k, v in settings.items()]
        with open(self.dir / 'samba.out', 'wb') as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=self.env(),
                                            start_new_session=True)
        until = time.monotonic() + 60
        while not all(open_port(self.address, port) for port in (389, 636, 88, 3268)):
            assert self.process.poll() is None, (self.dir / 'samba.out').read_text(errors='replace')[-2000:]
            assert time.monotonic() < until, 'the controller does not answer'
            time.sleep(0.05)

    def stop(self):
        if self.process:
            with contextlib.suppress(ProcessLookupError):  # it did not come up: that is the failure to be shown
                os.killpg(self.process.pid, 15)
                try:
                    self.process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(self.process.pid, 9)
                    self.process.wait(10)
        self.process = None

    def system(self):
        """A connection that may do everything: the local socket, as the system."""
        path = str(self.domain / 'private/ldap_priv/ldapi').replace('/', '%2F')
        c = ldap.initialize(f'ldapi://{path}')
        c.set_option(ldap.OPT_REFERRALS, 0)
        return c

    # ---- schema and organisation

    def load(self):
        records = list(entries(ldif()[0]))
        c = self.system()
        have = self._schema(c, records)
        self.later = []
        for dn, values in records:
            if dn.lower() == BASE.lower():
                c.modify_s(dn, [(ldap.MOD_REPLACE, 'lockoutThreshold', values['lockoutThreshold'])])
            elif not any(p.search(dn) for p in ITS_OWN) and b'attributeSchema' not in values['objectClass']:
                self._entry(c, dn, values, have)
        for dn, changes in self.later:
            c.modify_s(dn, changes)
        self._people(c)
        c.unbind_s()

    def _names(self, c):
        found = c.search_s(SCHEMA, ldap.SCOPE_ONELEVEL, '(lDAPDisplayName=*)', ['lDAPDisplayName', 'cn'])
        return {v['lDAPDisplayName'][0].decode(): v['cn'][0].decode() for dn, v in found if dn}

    def _refresh(self, c):
        c.modify_s('', [(ldap.MOD_ADD, 'schemaUpdateNow', [b'1'])])

    def _schema(self, c, records):
        """Adds the attributes and classes that this controller lacks; the names it then has."""
        have = self._names(c)
        kinds = {n.rstrip('*'): (kind, n.endswith('*')) for kind, names in schema.ATTRIBUTES.items() for n in names.split()}
        new = set()
        versions = {v['lDAPDisplayName'][0].decode(): (v['cn'][0].decode(), v['rangeUpper'][0].decode())
                    for dn, v in records if b'attributeSchema' in v['objectClass']}
        for i, (name, (kind, multi)) in enumerate(sorted(kinds.items())):
            if name in have:
                continue
            new.add(name)
            syntax, om = ('2.5.5.16', 65) if name in LARGE else SYNTAX[kind]
            cn, upper = versions.get(name, ('x-lab-' + name, None))
            more = {'oMObjectClass': base64.b64decode('KwwCh3McAIVK')} if kind == 'dn' else {}
            if name in LINKS:
                more['linkID'] = LINKS[name]
                if LINKS[name] % 2:
                    more.update(systemFlags=1, systemOnly='TRUE')
            if name in IN_CATALOGUE:
                more['isMemberOfPartialAttributeSet'] = 'TRUE'
            self._add(c, f'CN={cn},{SCHEMA}', objectClass=['top', 'attributeSchema'], attributeID=f'{ARC}.1.{i + 1}', attributeSyntax=syntax,
                      oMSyntax=om, isSingleValued='FALSE' if multi else 'TRUE', lDAPDisplayName=name, searchFlags=1 if name != 'homeMDBBL' else 0, rangeUpper=upper, **more)
        self._refresh(c)
        self._classes(c, records, have, new)
        return self._names(c)

    def _classes(self, c, records, have, new):
        table = {}
        for line in table_rows(schema.CLASSES):
            name, above, *may = line.split()
            table[name] = above, [] if may == ['-'] else may
        leaf = {dn.lower(): values['objectClass'][-2].decode() for dn, values in records}  # the last is the lab's own auxiliary class
        below = {}  # class: classes it stands below
        for dn in leaf:
            if parent(dn) in leaf:
                below.setdefault(leaf[dn], set()).add(leaf[parent(dn)])
        common = [a for a in schema.AD_OBJECT.split() if a in new]
        waiting = [n for n in table if n not in have]
        known, number = set(have), 0
        for name, (_, may) in table.items():  # what classes of AD gain: attributes, parents
            if name in have:
                self._extend(c, have[name], 'mayContain', [a for a in may + common if a in new and name != 'domain'])
        while waiting:
            batch = [n for n in waiting if table[n][0] in known]
            assert batch, f'classes without a parent: {waiting}'
            for name in batch:
                number += 1
                above, may = table[name]
                places = sorted(p for p in below.get(name, ()) if p in known) or ['container']
                self._add(c, f'CN=x-lab-{name},{SCHEMA}', objectClass=['top', 'classSchema'], governsID=f'{ARC}.2.{number}', lDAPDisplayName=name,
                          subClassOf=above, objectClassCategory=1, rDNAttID='cn', possSuperiors=places, mayContain=sorted(set(may + common)) or None,
                          defaultSecurityDescriptor=SECURITY, defaultObjectCategory=f'CN=x-lab-{name},{SCHEMA}')
                have[name] = f'x-lab-{name}'
            waiting = [n for n in waiting if n not in batch]
            known.update(batch)
            self._refresh(c)
        for name, places in below.items():
            if name in table:
                self._extend(c, have[name], 'possSuperiors', sorted(places))
        self._refresh(c)

    @staticmethod
    def _add(c, dn, **values):
        def raw(v):
            return v if isinstance(v, bytes) else str(v).encode()
        c.add_s(dn, [(k, [raw(x) for x in (v if isinstance(v, list) else [v])]) for k, v in values.items() if v is not None])

    @staticmethod
    def _extend(c, cn, attribute, names):
        for name in names:
            try:
                c.modify_s(f'CN={cn},{SCHEMA}', [(ldap.MOD_ADD, attribute, [name.encode()])])
            except (ldap.TYPE_OR_VALUE_EXISTS, ldap.UNWILLING_TO_PERFORM, ldap.CONSTRAINT_VIOLATION):
                pass  # it has it, or is one that may not be changed

    def _entry(self, c, dn, values, have):
        known = {k.lower() for k in have}
        values = {k: v for k, v in values.items() if k not in OWN and k.lower() in known or k == 'objectClass'}
        values['objectClass'] = [v for v in values['objectClass'] if v not in (b'adObject',)]
        if b'computer' in values['objectClass'] or b'user' in values['objectClass']:
            values['userAccountControl'] = [b'4098' if b'computer' in values['objectClass'] else b'514']
        values = {k: v for k, v in values.items() if k.lower() not in ('cn', 'dc', 'ou')}
        try:
            c.add_s(dn, list(values.items()))
        except ldap.ALREADY_EXISTS:
            pass  # a container that every domain has
        except (ldap.CONSTRAINT_VIOLATION, ldap.NO_SUCH_OBJECT):  # names an object that is yet to come
            later = {k: values.pop(k) for k in NAMES & set(values)}
            c.add_s(dn, list(values.items()))
            self.later.append((dn, [(ldap.MOD_ADD, k, v) for k, v in later.items()]))

    def _people(self, c):
        """Passwords: nobody, no server either, gets a ticket without one."""
        accounts = [(f'CN={name},CN=Users,{BASE}', 512) for name in (org.ADMIN, *(p[0] for p in org.PEOPLE))]
        accounts += [(f'CN={name},CN=Computers,{BASE}', 4096) for name in (org.ASA, *(s.name for s in org.SERVERS))]
        for dn, control in accounts:
            c.modify_s(dn, [(ldap.MOD_REPLACE, 'unicodePwd', [f'"{PASSWORD}"'.encode('utf-16-le')]),
                            (ldap.MOD_REPLACE, 'userAccountControl', [str(control).encode()])])

    def kinit(self, user, password=PASSWORD):
        cache = self.dir / f'cc.{user}'
        done = subprocess.run(['kinit', '-c', f'FILE:{cache}', user], input=password + '\n', env=self.env(), text=True, capture_output=True, timeout=30)
        return cache if done.returncode == 0 else None


def free_address():
    for n in range(200):
        address = f'127.9.{(os.getpid() + n) % 200 + 1}.10'  # another run beside this one has not taken its address yet
        if not any(open_port(address, port) for port in (88, 389, 636, 3268)):
            try:
                with socket.socket() as s:
                    s.bind((address, 389))
                return address
            except OSError:
                continue
    raise RuntimeError('no free loopback address for a controller')
