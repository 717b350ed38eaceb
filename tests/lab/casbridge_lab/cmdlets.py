"""What the Exchange cmdlets do: read the directory, and change it.

Values come bound and converted. A cmdlet returns a list of objects (ordered dictionaries), adds to
`warnings`, or raises CmdletError.
"""
from . import org
from .directory import NoSuchObject, number, text
from .naming import server_dn, server_legacy_dn
from .pserror import CmdletError
from .vdir_cmdlets import VdirCmdlets
from .windows import WindowsCmdlets

VDIR_NOUNS = {
    'owavirtualdirectory': 'OWA',
    'ecpvirtualdirectory': 'ECP',
    'webservicesvirtualdirectory': 'WebServices',
    'activesyncvirtualdirectory': 'Mobile',
    'oabvirtualdirectory': 'OAB',
    'autodiscovervirtualdirectory': 'AutoDiscover',
    'mapivirtualdirectory': 'Mapi',
    'outlookanywhere': 'RpcHttp',
}


class Shell(VdirCmdlets, WindowsCmdlets):
    """The cmdlets as they run on one server."""

    def run(self, cmdlet, values):
        """Objects of one cmdlet."""
        noun = cmdlet.name.partition('-')[2].lower()
        verb = cmdlet.name.partition('-')[0].lower()
        if cmdlet.changes and self.faults.text('fail'):
            raise CmdletError(
                self.faults.text('fail'),
                f'{noun.upper()[:8]},Microsoft.Exchange.Management',
                'NotSpecified',
                exception='ADOperationException',
            )
        if cmdlet.asks and values.get('Confirm', True) is not False and not values.get('WhatIf'):
            raise CmdletError(
                'Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not '
                'available.',
                f'InvalidOperation,{cmdlet.name}',
                'InvalidOperation',
                exception='PSInvalidOperationException',
            )
        if noun == 'outlookanywhere' and verb in ('enable', 'disable'):
            return getattr(self, f'{verb}_outlookanywhere')(cmdlet, values)
        if noun in VDIR_NOUNS:
            return getattr(self, f'{verb}_vdir')(cmdlet, VDIR_NOUNS[noun], values)
        return getattr(self, f'{verb}_{noun}')(cmdlet, values)

    # ---- servers

    def get_exchangeserver(self, cmdlet, values):
        servers = [self.find_server(cmdlet, values['Identity'])] if values.get('Identity') else org.SERVERS
        roles = {
            org.MAILBOX: 'Mailbox',
            org.CLIENT_ACCESS: 'ClientAccess',
            org.UNIFIED_MESSAGING: 'UnifiedMessaging',
            org.HUB: 'HubTransport',
        }
        return [
            {
                'Name': s.name,
                'Fqdn': s.fqdn,
                'ServerRole': [n for f, n in roles.items() if s.roles & f] or ['ClientAccess'],
                'Site': f'contoso.lab/Configuration/Sites/{s.site}',
                'AdminDisplayVersion': 'Version {}.{} (Build {}.{})'.format(*s.version),
                'Edition': 'Enterprise',
                'IsClientAccessServer': s.front_end,
                'IsMailboxServer': bool(s.roles & org.MAILBOX),
                'DistinguishedName': server_dn(s.name),
                'ExchangeLegacyDN': server_legacy_dn(s.name),
                'Identity': s.name,
                'IsValid': True,
            }
            for s in servers
        ]

    def _scp(self, s):
        return f'CN={s.name},CN=Autodiscover,CN=Protocols,{server_dn(s.name)}'

    def _client_access_server(self, cmdlet, identity):
        s = self.find_server(cmdlet, identity)
        if not s.front_end:
            raise self.missing(cmdlet, identity)
        return s

    def get_clientaccessserver(self, cmdlet, values):
        servers = (
            [self._client_access_server(cmdlet, values['Identity'])]
            if values.get('Identity')
            else [s for s in org.SERVERS if s.front_end]
        )
        out = []
        for s in servers:
            scp = self.directory.get(self._scp(s))
            out.append(
                {
                    'Name': s.name,
                    'Fqdn': s.fqdn,
                    'OutlookAnywhereEnabled': bool(self.vdirs('RpcHttp', s)),
                    'AutoDiscoverServiceCN': s.name,
                    'AutoDiscoverServiceInternalUri': text(scp, 'serviceBindingInformation'),
                    'AutoDiscoverSiteScope': [
                        k.decode()[5:] for k in scp.get('keywords', []) if k.startswith(b'Site=')
                    ],
                    'Identity': s.name,
                    'IsValid': True,
                }
            )
        return out

    def set_clientaccessserver(self, cmdlet, values):
        s = self._client_access_server(cmdlet, values['Identity'])
        entry = self.directory.get(self._scp(s))
        changes = {}
        if 'AutoDiscoverServiceInternalUri' in values:
            changes['serviceBindingInformation'] = values['AutoDiscoverServiceInternalUri'] or None
        if 'AutoDiscoverSiteScope' in values:
            changes['keywords'] = [
                k.decode() for k in entry.get('keywords', []) if not k.startswith(b'Site=')
            ] + [f'Site={x}' for x in values['AutoDiscoverSiteScope']]
        if not self.set_attributes(self._scp(s), entry, changes, s.name, values):
            self.unchanged(s.name)
        return []

    def _rca(self, s):
        return f'CN=RpcClientAccess,CN=Protocols,{server_dn(s.name)}'

    def _rca_entry(self, cmdlet, s):
        try:
            return self.directory.get(self._rca(s))
        except NoSuchObject:
            raise self.missing(cmdlet, s.name) from None

    def get_rpcclientaccess(self, cmdlet, values):
        servers = (
            [self.find_server(cmdlet, values['Server'])]
            if values.get('Server')
            else [s for s in org.SERVERS if s.web and s.generation >= 2010]
        )
        out = []
        for s in servers:
            entry = self._rca_entry(cmdlet, s)
            out.append(
                {
                    'Server': s.name,
                    'MaximumConnections': number(entry, 'msExchMaxIncomingConnections', 65536),
                    'EncryptionRequired': text(entry, 'msExchEncryptionRequired', 'FALSE') == 'TRUE',
                    'BlockedClientVersions': text(entry, 'msExchBlockedClientVersions'),
                    'Name': 'RpcClientAccess',
                    'Identity': s.name,
                    'IsValid': True,
                }
            )
        return out

    def restart_service(self, cmdlet, values):
        """No cmdlet of Exchange: of Windows, and of the one service whose start makes IIS take the directory's settings."""
        if values['Name'].lower() != 'msexchangeservicehost':
            raise CmdletError(
                f"Cannot find any service with service name '{values['Name']}'.",
                'NoServiceFoundForGivenName,Microsoft.PowerShell.Commands.RestartServiceCommand',
                'ObjectNotFound',
                exception='ServiceCommandException',
            )
        self.tell_iis(command='poll', server=self.server.name)
        return []

    def set_rpcclientaccess(self, cmdlet, values):
        s = self.find_server(cmdlet, values['Server'])
        entry = self._rca_entry(cmdlet, s)
        changes = {}
        if 'EncryptionRequired' in values:
            changes['msExchEncryptionRequired'] = 'TRUE' if values['EncryptionRequired'] else 'FALSE'
        if 'MaximumConnections' in values:
            changes['msExchMaxIncomingConnections'] = values['MaximumConnections']
        if 'BlockedClientVersions' in values:
            changes['msExchBlockedClientVersions'] = values['BlockedClientVersions'] or None
        if not self.set_attributes(self._rca(s), entry, changes, s.name, values):
            self.unchanged(s.name)
        return []
