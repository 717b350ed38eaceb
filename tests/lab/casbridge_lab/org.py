"""The organisation as data: sites, servers, mailboxes, and what each version's virtual directories look
like.

Three faults are planted, all in Outlook Anywhere: EXCAS01 and E2K7CAS01 offer Basic only, EXCAS02 has none.
Everything else is meant to be in order. Nothing here was recorded from an Exchange 2007 or 2010: it follows
public documents.
"""
from typing import NamedTuple, Optional

from .layout import ARRAY, DOMAIN, LEGACY, NAMESPACE

ORGANIZATION = 'Contoso'
ADMIN_GROUP = 'Exchange Administrative Group (FYDIBOHF23SPDLT)'

# msExchCurrentServerRoles
CAFE, MAILBOX, CLIENT_ACCESS, UNIFIED_MESSAGING, HUB, FRONTEND_TRANSPORT = 1, 2, 4, 16, 32, 16384

# flags of msExchInternalAuthenticationMethods and msExchExternalAuthenticationMethods
BASIC, NTLM, FBA, DIGEST, WINDOWS, WSSECURITY, CERTIFICATE = 1, 2, 4, 8, 16, 128, 256
NEGOEX, OAUTH, ADFS, KERBEROS, NEGOTIATE = 512, 1024, 2048, 4096, 8192
METHOD_FLAGS = {
    'Basic': BASIC,
    'Ntlm': NTLM,
    'Fba': FBA,
    'Digest': DIGEST,
    'WindowsIntegrated': WINDOWS,
    'LiveIdFba': 32,
    'LiveIdBasic': 64,
    'WSSecurity': WSSECURITY,
    'Certificate': CERTIFICATE,
    'NegoEx': NEGOEX,
    'OAuth': OAUTH,
    'Adfs': ADFS,
    'Kerberos': KERBEROS,
    'Negotiate': NEGOTIATE,
    'LiveIdNegotiate': 16384,
}
# the same names as ordinals of the enumeration, which msExchManagementSettings holds
METHOD_ORDINALS = {
    name: i
    for i, name in enumerate(
        (
            'Basic',
            'Digest',
            'Ntlm',
            'Fba',
            'WindowsIntegrated',
            'LiveIdFba',
            'LiveIdBasic',
            'WSSecurity',
            'Certificate',
            'NegoEx',
            'OAuth',
            'Adfs',
            'Kerberos',
            'Negotiate',
            'LiveIdNegotiate',
        )
    )
}
SSL_OFFLOADING = 1  # bit of msExchRpcHttpFlags


def object_version(minor, major, build_minor, build):
    """msExchVersion: version of the object's format, 0.minor (major.build_minor.build.0)."""
    return minor << 42 | major << 34 | build_minor << 26 | build << 10


OBJECT_VERSION = {
    2007: object_version(1, 8, 0, 535),
    2010: object_version(10, 14, 0, 100),
    2013: object_version(20, 15, 0, 0),
}
assert OBJECT_VERSION == {2007: 4535486012416, 2010: 44220983382016, 2013: 88218628259840}

FRONT, BACK = 'Default Web Site', 'Exchange Back End'


class Site(NamedTuple):
    name: str
    subnet: str


class Server(NamedTuple):
    name: str
    generation: int
    version: tuple  # four parts
    roles: int
    site: str
    external: Optional[str] = None  # host name published to the Internet; None: internal only
    outlook_anywhere: Optional[dict] = None
    databases: tuple = ()

    @property
    def fqdn(self):
        return f'{self.name.lower()}.{DOMAIN}'

    @property
    def front_end(self):
        """A CAS that clients talk to."""
        return bool(self.roles & (CAFE if self.generation >= 2013 else CLIENT_ACCESS))

    @property
    def back_end(self):
        """A 2013 mailbox server: takes what a 2013 front end passes on."""
        return self.generation >= 2013 and bool(self.roles & MAILBOX)

    @property
    def web(self):
        return self.front_end or self.back_end


SITES = (Site('Barcelona', '10.1.0.0/16'), Site('Dublin', '10.2.0.0/16'), Site('Seattle', '10.3.0.0/16'))
SITE_LINKS = (
    ('Barcelona-Dublin', ('Barcelona', 'Dublin'), 10),
    ('Barcelona-Seattle', ('Barcelona', 'Seattle'), 50),
)

V2007, V2010, V2013 = (8, 3, 83, 6), (14, 3, 123, 4), (15, 0, 1497, 2)
_URI = f'https://{NAMESPACE}/rpc'
_LEGACY_ALL = CLIENT_ACCESS | HUB

# The order fixes the addresses: the n-th server has .21 + n.
SERVERS = (
    Server(
        'EX13CAS01',
        2013,
        V2013,
        CAFE | FRONTEND_TRANSPORT,
        'Barcelona',
        NAMESPACE,
        dict(external=_URI, internal=_URI, client=BASIC, iis=BASIC | NTLM | NEGOTIATE),
    ),
    Server(
        'EX13MBX01',
        2013,
        V2013,
        MAILBOX | CLIENT_ACCESS | UNIFIED_MESSAGING | HUB,
        'Barcelona',
        databases=('DB13-BCN01',),
    ),
    Server(
        'EXCAS01',
        2010,
        V2010,
        _LEGACY_ALL,
        'Barcelona',
        NAMESPACE,
        dict(external=_URI, client=BASIC, iis=BASIC),
    ),
    Server('EXMBX01', 2010, V2010, MAILBOX, 'Barcelona', databases=('DB10-BCN01',)),
    Server('EXCAS02', 2010, V2010, _LEGACY_ALL, 'Dublin'),
    Server('EXMBX02', 2010, V2010, MAILBOX, 'Dublin', databases=('DB10-DUB01',)),
    # what 2007 writes as host name nobody has confirmed; here it is the bare name
    Server(
        'E2K7CAS01',
        2007,
        V2007,
        _LEGACY_ALL,
        'Seattle',
        LEGACY,
        dict(external=NAMESPACE, client=BASIC, iis=BASIC),
    ),
    Server('E2K7MBX01', 2007, V2007, MAILBOX, 'Seattle', databases=('Mailbox Database 2007',)),
    Server(
        'EX10NTLM',
        2010,
        V2010,
        _LEGACY_ALL | MAILBOX,
        'Seattle',
        NAMESPACE,
        dict(external=_URI, client=BASIC, iis=BASIC | NTLM),
        databases=('DB10-SEA01',),
    ),
)
BY_NAME = {s.name.upper(): s for s in SERVERS}
STORAGE_GROUP = 'First Storage Group'
CLIENT_ACCESS_ARRAY = (ARRAY, 'Barcelona')
# server part of a database's legacyExchangeDN: what Outlook is told to connect to
RPC_ENDPOINT = {'EXMBX01': ARRAY, 'EXMBX02': 'EXCAS02.' + DOMAIN, 'EX10NTLM': 'EX10NTLM.' + DOMAIN}

ARRIVING = 'EX13CAS01'
ASA = 'EXCH2013ASA'  # alternate service account: owns the SPNs of the namespaces
PEOPLE = (
    ('alice', 'Alice Example', 'DB10-BCN01'),
    ('bob', 'Bob Börjesson', 'DB10-DUB01'),
    ('carol', 'Carol Čapková', 'Mailbox Database 2007'),
    ('dave', 'Dave Dupont', 'DB13-BCN01'),
    ('erin', 'Erin Ó Briain', 'DB10-SEA01'),
)
ADMIN = 'admin'


def server(name):
    """The server of that name (short or full, any case), or None."""
    return BY_NAME.get(name.upper().removesuffix('.' + DOMAIN.upper()))


def server_index(name):
    return [s.name for s in SERVERS].index(name.upper())


def database_owner(database):
    return next(s for s in SERVERS if database in s.databases)


class Vdir(NamedTuple):
    name: str
    kind: str  # the class is msExch<kind>VirtualDirectory
    path: Optional[str]  # None: has no URL
    internal: dict  # generation: flags
    external: Optional[int] = None  # None: as internal
    first: int = 2007  # first generation that has it
    front: bool = True
    back: bool = True


_EWS = {2007: NTLM | WINDOWS, 2010: NTLM | WINDOWS | WSSECURITY, 2013: NTLM | WINDOWS | WSSECURITY | OAUTH}
_FORMS = {2007: BASIC | FBA, 2010: BASIC | FBA | WINDOWS, 2013: BASIC | FBA}
VDIRS = (
    Vdir('owa', 'OWA', 'owa', _FORMS, external=FBA),
    Vdir('ecp', 'ECP', 'ecp', _FORMS, external=FBA, first=2010),
    Vdir('EWS', 'WebServices', 'EWS/Exchange.asmx', _EWS),
    Vdir('OAB', 'OAB', 'OAB', {2007: WINDOWS, 2010: WINDOWS, 2013: WINDOWS | OAUTH}),
    Vdir(
        'Microsoft-Server-ActiveSync',
        'Mobile',
        'Microsoft-Server-ActiveSync',
        {2007: BASIC, 2010: BASIC, 2013: BASIC},
    ),
    Vdir('Autodiscover', 'AutoDiscover', None, {g: BASIC | f for g, f in _EWS.items()}),
    Vdir('PowerShell', 'PowerShell', 'PowerShell', {2010: 0, 2013: 0}, first=2010),
    Vdir('mapi', 'Mapi', 'mapi', {2013: NTLM | NEGOTIATE | OAUTH}, first=2013, back=False),
    Vdir(
        'PushNotifications',
        'PushNotifications',
        'PushNotifications',
        {2013: WINDOWS | OAUTH},
        first=2013,
        front=False,
    ),
)
BACK_END_METHODS = {'OWA': NTLM | WINDOWS, 'ECP': NTLM | WINDOWS, 'Mobile': BASIC | WINDOWS}


def vdir_rows(s):
    """(common name, kind, internal URL, external URL, internal flags, external flags, metabase path) of
    one server.
    """
    for v in VDIRS:
        if s.generation < v.first:
            continue
        if s.front_end and v.front:
            internal = v.internal[s.generation]
            if v.kind in ('OWA', 'ECP') and s.external is None:
                internal = BASIC | WINDOWS  # an internal site is reached by proxy only: no forms there
            scheme = 'http' if v.kind == 'PowerShell' else 'https'
            inner = v.path and f'{scheme}://{s.fqdn}/{v.path}'
            outer = None
            if s.external and v.path and v.kind != 'PowerShell':
                # 2007's ActiveSync is published on the common name: the new CAS proxies it
                host = NAMESPACE if v.kind == 'Mobile' else s.external
                outer = f'https://{host}/{v.path}'
            external = internal if v.external is None or not internal & FBA else v.external
            metabase = f'IIS://{s.fqdn}/W3SVC/1/ROOT/{v.name}'
            yield f'{v.name} ({FRONT})', v.kind, inner, outer, internal, external, metabase
        if s.back_end and v.back:
            internal = BACK_END_METHODS.get(v.kind, v.internal[s.generation])
            inner = v.path and (
                f'http://{s.fqdn}:444/{v.path}'
                if v.kind == 'PowerShell'
                else f'https://{s.fqdn}:444/{v.path}'
            )
            metabase = f'IIS://{s.fqdn}/W3SVC/2/ROOT/{v.name}'
            yield f'{v.name} ({BACK})', v.kind, inner, None, internal, internal, metabase
