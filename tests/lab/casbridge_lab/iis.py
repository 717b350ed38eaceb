"""What IIS would have configured: switches per virtual directory, made from the directory's flags.

Two things happen as in life. /rpc takes its settings from the directory only when the RpcHttpConfigurator
polls, and a manual edit lives until then. The other virtual directories are written by their cmdlets at once.
"""
from typing import NamedTuple, Optional

from . import org
from .directory import number, text

RPC_DEFAULT = org.BASIC | org.NTLM | org.NEGOTIATE  # how 2013 reads 0 or an absent attribute
_WINDOWS = org.NTLM | org.WINDOWS | org.NEGOTIATE


class Switches(NamedTuple):
    anonymous: bool = False
    basic: bool = False
    windows: bool = False

    def names(self):
        """As the wire shows them."""
        out = ['negotiate', 'ntlm'] if self.windows else []
        return out + (['basic'] if self.basic else []) + (['anonymous'] if self.anonymous else [])


def switches(kind, flags):
    """Windows authentication is one switch that offers Negotiate and NTLM; forms are no switch;
    WS-Security and OAuth need anonymous.
    """
    anonymous = kind in ('WebServices', 'AutoDiscover', 'Mapi', 'OAB') and bool(
        flags & (org.WSSECURITY | org.OAUTH)
    )
    return Switches(anonymous, bool(flags & org.BASIC), bool(flags & _WINDOWS))


class Vdir(NamedTuple):
    kind: str
    name: str
    switches: Switches
    forms: bool = False
    internal: Optional[str] = None
    external: Optional[str] = None


BACK_END_ONLY = {
    'rpc': Vdir('RpcHttp', 'Rpc', Switches(windows=True)),
    'rpcwithcert': Vdir('RpcHttp', 'RpcWithCert', Switches(windows=True)),
    'mapi': Vdir('Mapi', 'mapi', Switches(anonymous=True, windows=True)),
}


def _read(dn, entry):
    kind = next(
        (
            c.decode()[6:-16]
            for c in entry['objectClass']
            if c.lower().endswith(b'virtualdirectory') and c.lower() != b'msexchvirtualdirectory'
        ),
        None,
    )
    name = text(entry, 'cn', '').partition(' (')[0]
    flags = number(entry, 'msExchInternalAuthenticationMethods', 0)
    server = dn.lower().partition(',cn=http,cn=protocols,cn=')[2].partition(',')[0].upper()
    return server, kind, name, flags, entry


class Iis:
    """The live configuration of one server."""

    def __init__(self, server):
        self.server = server
        self.vdirs = {}  # first path segment, lower case: Vdir
        self.edited = False

    def apply(self, rows, with_rpc):
        """Takes the directory's rows of this server; /rpc only when the configurator polls. Returns
        whether /rpc changed.
        """
        rpc = {k: v for k, v in self.vdirs.items() if v.kind == 'RpcHttp'}
        fresh, seen_rpc = dict(BACK_END_ONLY) if self.server.back_end else {}, {}
        for _, kind, name, flags, entry in rows:
            if kind == 'RpcHttp':
                if not flags and self.server.generation >= 2013:
                    flags = RPC_DEFAULT
                seen_rpc['rpc'] = Vdir(kind, name, switches(kind, flags))
                if self.server.generation >= 2010:
                    seen_rpc['rpcwithcert'] = Vdir(kind, 'RpcWithCert', Switches())
            elif kind:
                fresh[name.lower()] = Vdir(
                    kind,
                    name,
                    switches(kind, flags),
                    bool(flags & org.FBA),
                    text(entry, 'msExchInternalHostName'),
                    text(entry, 'msExchExternalHostName'),
                )
        new_rpc = seen_rpc if with_rpc else rpc
        if with_rpc:
            self.edited = False
        if not self.server.back_end:
            fresh.update(new_rpc)
        self.vdirs = fresh
        return new_rpc != rpc

    def edit(self, methods):
        """A manual change of /rpc in IIS Manager. Raises ValueError where there is no /rpc."""
        if 'rpc' not in self.vdirs:
            raise ValueError(f'{self.server.name} has no /rpc: Outlook Anywhere is not enabled there')
        wanted = Switches(
            'anonymous' in methods, 'basic' in methods, bool({'ntlm', 'negotiate', 'windows'} & set(methods))
        )
        self.vdirs = {**self.vdirs, 'rpc': self.vdirs['rpc']._replace(switches=wanted)}
        self.edited = True

    def find(self, path):
        """The virtual directory of a request path, or None. ActiveSync's folder Proxy, where a newer CAS knocks, has Windows
        authentication whatever its parent offers (assumed: what setup leaves there).
        """
        first, *rest = path.lower().lstrip('/').split('/')
        vdir = self.vdirs.get(first)
        if vdir and vdir.kind == 'Mobile' and rest[:1] == ['proxy']:
            return vdir._replace(switches=Switches(windows=True))
        return vdir


def by_server(rows):
    """{server name in upper case: its rows}, from Directory.vdirs()."""
    grouped = {}
    for dn, entry in rows:
        row = _read(dn, entry)
        grouped.setdefault(row[0], []).append(row)
    return grouped
