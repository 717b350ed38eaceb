"""The lab's own way into its directory: over the Unix socket, as the account that runs the lab. Keeps
whenChanged and uSNChanged as AD does.
"""
import fcntl
import time

import ldap
import ldap.filter
import ldap.modlist
import ldif

from .naming import GROUP, ORG, ad_time, category, guid

VDIR_ATTRIBUTES = [
    'cn',
    'objectClass',
    'msExchInternalHostName',
    'msExchExternalHostName',
    'msExchInternalAuthenticationMethods',
    'msExchExternalAuthenticationMethods',
    'msExchMetabasePath',
    'msExchRpcHttpFlags',
    'msExchManagementSettings',
    'msExchVersion',
    'objectGUID',
    'whenChanged',
]


class NoSuchObject(Exception):
    pass


class Directory:
    """One connection; not for several threads at once. Attribute names keep their spelling, values are
    bytes.
    """

    def __init__(self, lab):
        self.lab = lab
        self.connection = None

    def _connect(self):
        if self.connection is None:
            c = ldap.initialize(self.lab.ldapi_uri)
            c.set_option(ldap.OPT_NETWORK_TIMEOUT, 5)
            c.set_option(ldap.OPT_TIMEOUT, 10)
            c.sasl_external_bind_s()
            self.connection = c
        return self.connection

    def _try(self, work):
        """A server that was restarted in between is asked once more."""
        try:
            return work(self._connect())
        except ldap.SERVER_DOWN:
            self.connection = None
            return work(self._connect())

    def search(self, base, text, attributes=None, scope=ldap.SCOPE_SUBTREE):
        """[(dn, {attribute: [bytes]})]; raises NoSuchObject where the base is missing."""
        try:
            return self._try(lambda c: c.search_s(base, scope, text, attributes))
        except ldap.NO_SUCH_OBJECT:
            raise NoSuchObject(base) from None

    def get(self, dn, attributes=None):
        return self.search(dn, '(objectClass=*)', attributes, ldap.SCOPE_BASE)[0][1]

    def vdirs(self, server_dn=None):
        """All virtual directories, or one server's."""
        base = f'CN=HTTP,CN=Protocols,{server_dn}' if server_dn else ORG
        try:
            return self.search(base, '(objectClass=msExchVirtualDirectory)', VDIR_ATTRIBUTES)
        except NoSuchObject:
            return []

    def mailbox(self, name):
        """The user of that e-mail address, UPN or account name, or None."""
        v = ldap.filter.escape_filter_chars(name)
        rows = self.search(
            self.domain,
            f'(&(objectClass=user)(homeMDB=*)(|(proxyAddresses=smtp:{v})(userPrincipalName={v})'
            f'(sAMAccountName={v})))',
        )
        return rows[0][1] if rows else None

    @property
    def domain(self):
        return ORG[ORG.index('DC=') :]

    @property
    def group(self):
        return GROUP

    def export(self, path):
        """Everything, as an LDIF export like ldapsearch's. Returns the number of entries."""
        rows = self.search(self.domain, '(objectClass=*)')
        with open(path, 'w', encoding='utf-8') as f:
            writer = ldif.LDIFWriter(f)
            for dn, entry in rows:
                writer.unparse(dn, entry)
        return len(rows)

    # ---- changes

    def _stamp(self):
        """(whenChanged, uSNChanged) of a change made now; the number never repeats."""
        with open(self.lab.path('slapd', 'usn'), 'r+', encoding='utf-8') as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            usn = int(f.read()) + 1
            f.seek(0)
            f.write(f'{usn}\n')
            f.truncate()
        return ad_time(time.time()), str(usn)

    def modify(self, dn, changes):
        """changes: {attribute: [values] or None to delete}. Values are texts, numbers or bytes."""
        when, usn = self._stamp()
        changes = {**changes, 'whenChanged': [when], 'uSNChanged': [usn]}
        self._try(
            lambda c: c.modify_s(
                dn, [(ldap.MOD_REPLACE, name, _values(values)) for name, values in changes.items()]
            )
        )

    def add(self, dn, classes, attributes):
        when, usn = self._stamp()
        rdn, _, value = dn.partition(',')[0].partition('=')
        entry = {
            'objectClass': [*classes, 'adObject'],
            rdn.lower(): [value],
            'objectGUID': [guid(f'{dn} {usn}')],
            'objectCategory': category(classes[-1]),
            'instanceType': [4],
            'whenCreated': [when],
            'whenChanged': [when],
            'uSNCreated': [usn],
            'uSNChanged': [usn],
            **attributes,
        }
        entry = {name: _values(values) for name, values in entry.items() if _values(values)}
        self._try(lambda c: c.add_s(dn, ldap.modlist.addModlist(entry)))

    def delete(self, dn):
        self._stamp()
        self._try(lambda c: c.delete_s(dn))


def _values(values):
    if values is None:
        return None
    if not isinstance(values, (list, tuple)):
        values = [values]
    return [v if isinstance(v, bytes) else str(v).encode() for v in values if v is not None]


def text(entry, name, default=None):
    """First value of an attribute as text."""
    for key, values in entry.items():
        if key.lower() == name.lower() and values:
            return values[0].decode(errors='replace')
    return default


def number(entry, name, default=None):
    value = text(entry, name)
    return default if value is None else int(value)
