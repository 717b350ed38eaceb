"""The lab's organisation at the size of a large company, and the same bytes each time: 200 sites, 500 servers and 4,000 virtual
directories where nothing else is asked for. It is written by the lab's own code, from a list of servers that is longer.

Twenty servers in turn: four are 2013 with both roles, nine 2010 with Outlook Anywhere (every second one offers Basic only), two
2010 without it, one 2007, four 2010 that hold mailboxes only.
"""
from casbridge_lab import ldapdata, org
from casbridge_lab.layout import LEGACY, NAMESPACE

SERVERS, SITES_PER_5_SERVERS, USERS = 500, 2, 100_000
NOW = 1_790_000_000  # every time stamp is made of it
TURNS = '2013 2010 2010 mbx 2010 none 2010 2013 2010 mbx 2010 2013 2010 mbx 2007 none 2010 2013 2010 mbx'.split()
_URI = f'https://{NAMESPACE}/rpc'
_EVERYTHING = org.CLIENT_ACCESS | org.MAILBOX | org.HUB
_NEW = org.CAFE | org.FRONTEND_TRANSPORT | org.CLIENT_ACCESS | org.MAILBOX | org.UNIFIED_MESSAGING | org.HUB


def _server(number, sites):
    turn = TURNS[(number + number // sites * 7) % len(TURNS)]
    name, site = f'EX{number + 1:04d}', sites_of(sites)[number % sites].name
    databases = (f'DB{number + 1:04d}',)
    if turn == '2013':
        anywhere = dict(external=_URI, internal=_URI, client=org.BASIC, iis=org.BASIC | org.NTLM | org.NEGOTIATE)
        return org.Server(name, 2013, org.V2013, _NEW, site, NAMESPACE, anywhere, databases)
    if turn == '2007':
        anywhere = dict(external=NAMESPACE, client=org.BASIC, iis=org.BASIC)
        return org.Server(name, 2007, org.V2007, _EVERYTHING, site, LEGACY, anywhere, databases)
    if turn == 'mbx':
        return org.Server(name, 2010, org.V2010, org.MAILBOX, site, databases=databases)
    if turn == 'none':
        return org.Server(name, 2010, org.V2010, _EVERYTHING, site, databases=databases)
    anywhere = dict(external=_URI, client=org.BASIC, iis=org.BASIC | (org.NTLM if number % 2 else 0))
    return org.Server(name, 2010, org.V2010, _EVERYTHING, site, NAMESPACE, anywhere, databases)


def sites_of(count):
    """The first has the name that the lab's domain controller looks for its own site by."""
    return [org.Site('Barcelona' if i == 0 else f'Site{i + 1:03d}', f'10.{i // 256}.{i % 256}.0/24') for i in range(count)]


def install(servers=SERVERS):
    """Makes the lab's modules speak of the large organisation, in this process and for good."""
    sites = max(1, servers * SITES_PER_5_SERVERS // 5)
    org.SITES = tuple(sites_of(sites))
    org.SITE_LINKS = tuple(
        (f'Barcelona-{s.name}', ('Barcelona', s.name), 10 + i % 5 * 10) for i, s in enumerate(org.SITES) if i
    )
    org.SERVERS = tuple(_server(i, sites) for i in range(servers))
    org.BY_NAME = {s.name: s for s in org.SERVERS}
    org.RPC_ENDPOINT = {}
    owners = {d: s for s in org.SERVERS for d in s.databases}
    for name in ('E2K7MBX01',):  # of the offline address book
        owners.setdefault(name, org.SERVERS[0])
    org.PEOPLE = (('alice', 'Alice Example', org.SERVERS[1].databases[0]),)
    org.database_owner = owners.__getitem__


def write(path, users=0):
    """Returns (servers, virtual directories, users) of the LDIF it wrote; install() comes first."""
    text, _ = ldapdata.ldif(NOW, users)
    with open(path, 'w', encoding='ascii') as f:
        f.write(text)
    return len(org.SERVERS), text.count('\nobjectClass: msExchVirtualDirectory\n'), users
