"""What the Exchange cmdlets do: read the directory, and change it. IIS follows as it does in life (iis.py).

Values come bound and converted. A cmdlet returns a list of objects (ordered dictionaries), adds to `warnings`, or raises CmdletError.
"""
import json
import os
import re
import uuid

from . import control, org
from .cmdlet_table import METHODS
from .directory import NoSuchObject, number, text
from .faults import Faults
from .layout import DC_FQDN, LabError
from .ldapdata import OBJECT_NAME_RPC, rpc_vdir, server_dn, server_legacy_dn
from .pserror import CmdletError

VDIR_NOUNS = {'owavirtualdirectory': 'OWA', 'ecpvirtualdirectory': 'ECP', 'webservicesvirtualdirectory': 'WebServices',
              'activesyncvirtualdirectory': 'Mobile', 'oabvirtualdirectory': 'OAB', 'autodiscovervirtualdirectory': 'AutoDiscover',
              'mapivirtualdirectory': 'Mapi', 'outlookanywhere': 'RpcHttp'}
SWITCHES = {'BasicAuthentication': org.BASIC, 'DigestAuthentication': org.DIGEST, 'WindowsAuthentication': org.WINDOWS, 'FormsAuthentication': org.FBA,
            'WSSecurityAuthentication': org.WSSECURITY, 'OAuthAuthentication': org.OAUTH, 'CertificateAuthentication': org.CERTIFICATE,
            'BasicAuthEnabled': org.BASIC, 'WindowsAuthEnabled': org.WINDOWS}
EXTENDED = ('ExtendedProtectionTokenChecking', 'ExtendedProtectionFlags', 'ExtendedProtectionSPNList')
IIS_OA_METHODS = {2007: ('Basic', 'Ntlm'), 2010: ('Basic', 'Ntlm'), 2013: ('Basic', 'Ntlm', 'Negotiate')}


def flag_names(flags):
    return [name for name, flag in org.METHOD_FLAGS.items() if flags & flag]


def flag_sum(names):
    total = 0
    for name in names:
        total |= org.METHOD_FLAGS.get(name, 0)
    return total


def object_version_text(value):
    if value is None:
        return ''
    return f'0.{value >> 42 & 0xFF} ({value >> 34 & 0xFF}.{value >> 26 & 0xFF}.{value >> 10 & 0xFFFF}.{value & 0x3FF})'


def _invalid(message, identifier, cmdlet, target=''):
    return CmdletError(message, f'{identifier},Microsoft.Exchange.Management.{cmdlet}', 'InvalidOperation', target, 'String' if target else '',
                       'InvalidOperationException')


class Shell:
    """The cmdlets as they run on one server."""

    def __init__(self, lab, server, directory):
        self.lab, self.server, self.directory = lab, server, directory
        self.faults = Faults(lab, server.name)
        self.warnings = []
        self.wrote = False

    def run(self, cmdlet, values):
        """Objects of one cmdlet."""
        noun = cmdlet.name.partition('-')[2].lower()
        verb = cmdlet.name.partition('-')[0].lower()
        if cmdlet.changes and self.faults.text('fail'):
            raise CmdletError(self.faults.text('fail'), f'{noun.upper()[:8]},Microsoft.Exchange.Management', 'NotSpecified', exception='ADOperationException')
        if cmdlet.asks and values.get('Confirm', True) is not False and not values.get('WhatIf'):
            raise CmdletError('Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available.',
                              f'InvalidOperation,{cmdlet.name}', 'InvalidOperation', exception='PSInvalidOperationException')
        if noun == 'outlookanywhere' and verb in ('enable', 'disable'):
            return getattr(self, f'{verb}_outlookanywhere')(cmdlet, values)
        if noun in VDIR_NOUNS:
            return getattr(self, f'{verb}_vdir')(cmdlet, VDIR_NOUNS[noun], values)
        return getattr(self, f'{verb}_{noun}')(cmdlet, values)

    # ---- finding things

    def _missing(self, cmdlet, identity):
        words = f"The operation couldn't be performed because object '{identity}' couldn't be found on '{DC_FQDN}'."
        if self.server.generation == 2007:
            words = f"The operation could not be performed because object '{identity}' could not be found on domain controller '{DC_FQDN}'."
        return CmdletError(words, f'5E0A6A5,Microsoft.Exchange.Management.SystemConfigurationTasks.{cmdlet.name.replace("-", "")}', 'InvalidData',
                           exception='ManagementObjectNotFoundException')

    def find_server(self, cmdlet, identity):
        """By name, FQDN, DN, or legacy DN."""
        for s in org.SERVERS:
            if identity.lower() in (s.name.lower(), s.fqdn, server_dn(s.name).lower(), server_legacy_dn(s.name).lower()):
                return s
        raise self._missing(cmdlet, identity)

    def _vdirs(self, kind, s=None):
        rows = self.directory.vdirs(server_dn(s.name) if s else None)
        wanted = f'msexch{kind}virtualdirectory'.lower().encode()
        return [(dn, e) for dn, e in rows if wanted in [c.lower() for c in e['objectClass']]]

    @staticmethod
    def _owner(dn):
        return org.server(dn.lower().partition(',cn=http,cn=protocols,cn=')[2].partition(',')[0])

    def find_vdirs(self, cmdlet, kind, identity):
        """SERVER\\Name, Name (with * at its end for any web site), DN or GUID."""
        rows = self._vdirs(kind)
        lower = identity.lower()
        try:
            wanted = uuid.UUID(lower).bytes_le
            found = [r for r in rows if r[1]['objectGUID'][0] == wanted]
        except ValueError:
            if lower.startswith('cn='):
                found = [r for r in rows if re.sub(r'\s*,\s*', ',', r[0].lower()) == re.sub(r'\s*,\s*', ',', lower)]
            else:
                owner, backslash, name = lower.rpartition('\\')
                rows = [r for r in rows if not backslash or self._owner(r[0]) is org.server(owner)]
                found = [r for r in rows if text(r[1], 'cn').lower() == name or
                         (name.endswith('*') and text(r[1], 'cn').lower().startswith(name[:-1]))]
        if not found:
            raise self._missing(cmdlet, identity)
        return found

    # ---- changing things

    def write(self, change):
        """Runs the change unless a fault says otherwise; faults.py has the knobs."""
        if self.faults.has('drop-before-write'):
            drop_connection()
        if not self.faults.has('no-op'):
            change()
        self.wrote = True
        if self.faults.has('drop-after-write'):
            drop_connection()

    def _unchanged(self, shown):
        words = (f"The command completed successfully but no settings of '{shown}' have been modified.")
        self.warnings.append(words)

    def _set(self, dn, entry, changes, shown, values):
        """Writes what differs. Attribute values are texts, or None to delete."""
        current = {name.lower(): sorted(v.decode(errors='surrogateescape') for v in vs) for name, vs in entry.items()}
        differing = {}
        for name, value in changes.items():
            wanted = sorted(map(str, value)) if isinstance(value, list) else [] if value is None else [str(value)]
            if current.get(name.lower(), []) != wanted:
                differing[name] = wanted or None
        if not differing:
            return False
        if not values.get('WhatIf'):
            self.write(lambda: self.directory.modify(dn, differing))
        return True

    def _must_be_writable(self, dn, entry):
        mine = org.OBJECT_VERSION[min(self.server.generation, 2013)]
        theirs = number(entry, 'msExchVersion')
        if theirs is not None and theirs > mine:
            raise CmdletError(f"The object '{text(entry, 'cn')}' is read-only because it was created by a later version of Exchange: "
                              f'{object_version_text(theirs)}. Current supported version is {object_version_text(mine)}.',
                              'B4C4E93,Microsoft.Exchange.Management', 'InvalidOperation', exception='InvalidObjectOperationException')

    # ---- virtual directories

    def set_vdir(self, cmdlet, kind, values):
        identity = values['Identity']
        rows = self.find_vdirs(cmdlet, kind, identity)
        if len(rows) > 1:
            raise CmdletError(f"The operation couldn't be performed because '{identity}' matches multiple entries.", 'A0B2F11,Microsoft.Exchange.Management',
                              'InvalidData', exception='ManagementObjectAmbiguousException')
        dn, entry = rows[0]
        self._must_be_writable(dn, entry)
        shown = f'{self._owner(dn).name}\\{text(entry, "cn")}'
        changes = self._rpc_changes(cmdlet, values, entry) if kind == 'RpcHttp' else self._vdir_changes(values, entry)
        changed = self._set(dn, entry, changes, shown, values)
        changed = self._set_extended(shown, values) or changed
        if values.get('WhatIf'):
            self.warnings.append(f'What if: {cmdlet.name} on "{shown}".')
        elif not changed:
            self._unchanged(shown)
        elif kind != 'RpcHttp':
            self.tell_iis()
        return []

    def _vdir_changes(self, values, entry):
        changes = {}
        for name, attribute in (('InternalUrl', 'msExchInternalHostName'), ('ExternalUrl', 'msExchExternalHostName'),
                                ('InternalNLBBypassUrl', 'msExchInternalNLBBypassHostName')):
            if name in values:
                changes[attribute] = values[name] or None
        flags = before = number(entry, 'msExchInternalAuthenticationMethods', 0)
        for name, flag in SWITCHES.items():
            if name in values:
                flags = flags | flag if values[name] else flags & ~flag
        if values.get('FormsAuthentication'):
            flags = (flags | org.BASIC) & ~(org.DIGEST if values.get('WindowsAuthentication') else org.DIGEST | org.WINDOWS)
        if values.get('WindowsAuthentication') is False or values.get('WindowsAuthEnabled') is False:
            flags &= ~org.NTLM
        for name in ('InternalAuthenticationMethods', 'IISAuthenticationMethods'):
            if name in values:
                flags = flag_sum(values[name])
        if flags != before:
            changes['msExchInternalAuthenticationMethods'] = flags
        if 'ExternalAuthenticationMethods' in values:
            changes['msExchExternalAuthenticationMethods'] = flag_sum(values['ExternalAuthenticationMethods'])
        return changes

    def _iis_methods(self, cmdlet, values, generation):
        methods = values['IISAuthenticationMethods']
        allowed = IIS_OA_METHODS[generation]
        if not methods or any(m not in allowed for m in methods):
            raise _invalid(f'The IISAuthenticationMethods parameter takes {", ".join(allowed)}, at least one of them.', '7D0A4C31', cmdlet.name)
        return flag_sum(methods)

    def _rpc_changes(self, cmdlet, values, entry):
        generation = self.server.generation
        changes = {}
        client = values.get('ClientAuthenticationMethod') or values.get('ExternalClientAuthenticationMethod')
        default = values.get('DefaultAuthenticationMethod')
        others = [n for n in ('ClientAuthenticationMethod', 'ExternalClientAuthenticationMethod', 'InternalClientAuthenticationMethod',
                              'IISAuthenticationMethods') if n in values]
        if default and others:
            raise _invalid(f'The DefaultAuthenticationMethod parameter cannot be used together with {others[0]}.', '19DAF0BC', cmdlet.name)
        for name in (client, default):
            if name and name not in IIS_OA_METHODS[generation]:
                raise _invalid(f"The authentication method '{name}' is not one that Outlook Anywhere clients can use.", '5D31FC12', cmdlet.name)
        if client or default:
            changes['msExchExternalAuthenticationMethods'] = org.METHOD_FLAGS[client or default]
        if default:
            changes['msExchInternalAuthenticationMethods'] = org.METHOD_FLAGS[default]
        if 'IISAuthenticationMethods' in values:
            changes['msExchInternalAuthenticationMethods'] = self._iis_methods(cmdlet, values, generation)
        if 'InternalClientAuthenticationMethod' in values or (default and generation >= 2013):
            changes['msExchManagementSettings'] = org.METHOD_ORDINALS[values.get('InternalClientAuthenticationMethod') or default]
        if 'SSLOffloading' in values:
            before = number(entry, 'msExchRpcHttpFlags', 0)
            changes['msExchRpcHttpFlags'] = before | org.SSL_OFFLOADING if values['SSLOffloading'] else before & ~org.SSL_OFFLOADING
        for side in ('External', 'Internal'):
            changes.update(self._host_change(cmdlet, values, entry, side))
        return changes

    def _host_change(self, cmdlet, values, entry, side):
        attribute = f'msExch{side}HostName'
        host, tls = values.get(f'{side}Hostname'), values.get(f'{side}ClientsRequireSsl')
        given = f'{side}Hostname' in values
        if self.server.generation >= 2013 and given and host:
            needed = [f'{side}ClientsRequireSsl'] + (['ExternalClientAuthenticationMethod'] if side == 'External' else [])
            absent = [n for n in needed if n not in values and not (n.endswith('Method') and 'DefaultAuthenticationMethod' in values)]
            if absent:
                raise _invalid(f'When you specify {side}Hostname you must also specify {" and ".join(absent)}.', '8B0F6C2A', cmdlet.name)
        if given:
            return {attribute: f'{"http" if tls is False else "https"}://{host}/rpc' if host else None}
        if tls is not None and text(entry, attribute):
            return {attribute: ('https' if tls else 'http') + '://' + text(entry, attribute).partition('://')[2]}
        return {}

    def _iis_file(self):
        return self.lab.path('cas', 'extended-protection.json')

    def _extended(self):
        try:
            with open(self._iis_file(), encoding='utf-8') as f:
                return json.load(f)
        except OSError:
            return {}

    def _set_extended(self, shown, values):
        """Extended Protection is IIS's, not the directory's."""
        wanted = {n: values[n] for n in EXTENDED if n in values}
        stored = self._extended()
        mine = stored.get(shown.lower(), {})
        if not wanted or all(mine.get(n) == v for n, v in wanted.items()):
            return False
        if not values.get('WhatIf') and not self.faults.has('no-op'):
            stored[shown.lower()] = {**mine, **wanted}
            with open(self._iis_file() + '.new', 'w', encoding='utf-8') as f:
                json.dump(stored, f)
            os.replace(self._iis_file() + '.new', self._iis_file())
        return True

    def tell_iis(self, **request):
        """The cmdlets of all but Outlook Anywhere write IIS themselves."""
        try:
            control.ask(self.lab, **(request or {'command': 'refresh'}))
        except LabError:
            pass                        # no web service runs: nothing to tell

    def get_vdir(self, cmdlet, kind, values):
        if values.get('Identity'):
            rows = self.find_vdirs(cmdlet, kind, values['Identity'])
        else:
            s = self.find_server(cmdlet, values['Server']) if values.get('Server') else None
            rows = [r for r in self._vdirs(kind, s) if org.BACK not in r[0] or values.get('ShowMailboxVirtualDirectories')]
        return [self._rpc_object(dn, e) if kind == 'RpcHttp' else self._vdir_object(dn, e) for dn, e in rows]

    def _tail(self, dn, entry, s):
        name = text(entry, 'cn')
        return {'MetabasePath': text(entry, 'msExchMetabasePath'), 'Server': s.name,
                'AdminDisplayVersion': 'Version {}.{} (Build {}.{})'.format(*s.version), 'ExchangeVersion': object_version_text(number(entry, 'msExchVersion')),
                'Name': name, 'DistinguishedName': dn, 'Identity': f'{s.name}\\{name}', 'Guid': str(uuid.UUID(bytes_le=entry['objectGUID'][0])),
                'WhenChanged': text(entry, 'whenChanged'), 'OriginatingServer': DC_FQDN, 'IsValid': True}

    def _extended_of(self, s, entry):
        mine = self._extended().get(f'{s.name}\\{text(entry, "cn")}'.lower(), {})
        return {} if s.generation == 2007 else {EXTENDED[0]: mine.get(EXTENDED[0], 'None'), EXTENDED[1]: mine.get(EXTENDED[1], []),
                                                EXTENDED[2]: mine.get(EXTENDED[2], [])}

    def _rpc_object(self, dn, entry):
        s = self._owner(dn)
        client = next(iter(flag_names(number(entry, 'msExchExternalAuthenticationMethods', 0))), 'Misconfigured')
        iis = flag_names(number(entry, 'msExchInternalAuthenticationMethods', 0) or (8195 if s.generation >= 2013 else 0))
        external, internal = text(entry, 'msExchExternalHostName', ''), text(entry, 'msExchInternalHostName', '')
        host = re.compile(r'(?:https?://)?([^/]*)')
        out = {'ServerName': s.name, 'SSLOffloading': bool(number(entry, 'msExchRpcHttpFlags', 0) & org.SSL_OFFLOADING),
               'ExternalHostname': host.match(external)[1] or None}
        if s.generation >= 2013:
            order = list(org.METHOD_ORDINALS)
            out.update(InternalHostname=host.match(internal)[1] or None, ExternalClientAuthenticationMethod=client,
                       InternalClientAuthenticationMethod=order[number(entry, 'msExchManagementSettings', 2)], IISAuthenticationMethods=iis,
                       ExternalClientsRequireSsl=external.startswith('https:'), InternalClientsRequireSsl=internal.startswith('https:'))
        else:
            out.update(ClientAuthenticationMethod=client, IISAuthenticationMethods=iis)
        return {**out, **self._extended_of(s, entry), **self._tail(dn, entry, s)}

    def _vdir_object(self, dn, entry):
        s = self._owner(dn)
        internal = number(entry, 'msExchInternalAuthenticationMethods', 0)
        out = {'InternalAuthenticationMethods': flag_names(internal), 'BasicAuthentication': bool(internal & org.BASIC),
               'WindowsAuthentication': bool(internal & (org.WINDOWS | org.NTLM)), 'FormsAuthentication': bool(internal & org.FBA),
               'InternalUrl': text(entry, 'msExchInternalHostName'), 'ExternalUrl': text(entry, 'msExchExternalHostName'),
               'ExternalAuthenticationMethods': flag_names(number(entry, 'msExchExternalAuthenticationMethods', 0))}
        return {**out, **self._extended_of(s, entry), **self._tail(dn, entry, s)}

    # ---- Outlook Anywhere on and off

    def enable_outlookanywhere(self, cmdlet, values):
        s = self.find_server(cmdlet, values['Server']) if values.get('Server') else self.server
        if not s.front_end or s.generation >= 2013:
            raise _invalid(f"The server '{s.name}' is not a Client Access server of this version.", '2F64F3C5', cmdlet.name, s.name)
        if self._vdirs('RpcHttp', s):
            raise _invalid(f"The virtual directory 'Rpc' already exists under '{s.fqdn}/Default Web Site'.\nParameter name: VirtualDirectoryName",
                           '3E5C5D77', cmdlet.name, s.name)
        client, default = values.get('ClientAuthenticationMethod'), values.get('DefaultAuthenticationMethod')
        if bool(client) == bool(default) or (default and 'IISAuthenticationMethods' in values):
            raise CmdletError('Parameter set cannot be resolved using the specified named parameters.', f'AmbiguousParameterSet,{cmdlet.name}',
                              'InvalidArgument', exception='ParameterBindingException')
        if (client or default) not in IIS_OA_METHODS[s.generation]:
            raise _invalid(f"The authentication method '{client or default}' is not one that Outlook Anywhere clients can use.", '5D31FC12', cmdlet.name)
        iis = self._iis_methods(cmdlet, values, s.generation) if 'IISAuthenticationMethods' in values else \
            org.METHOD_FLAGS[default] if default else org.BASIC | org.NTLM
        dn = f'CN={OBJECT_NAME_RPC},CN=HTTP,CN=Protocols,{server_dn(s.name)}'
        attributes = rpc_vdir(s, f'https://{values["ExternalHostname"]}/rpc', org.METHOD_FLAGS[client or default], iis,
                              ssl_offloading=values['SSLOffloading'])
        if values.get('WhatIf'):
            self.warnings.append(f'What if: {cmdlet.name} on "{s.name}".')
            return []
        self.write(lambda: self.directory.add(dn, ['top', 'msExchVirtualDirectory', 'msExchRpcHttpVirtualDirectory'], attributes))
        self._set_extended(f'{s.name}\\{OBJECT_NAME_RPC}', values)
        self.warnings.append('Outlook Anywhere is enabled. It may take up to an hour before clients can use it.')
        return [self._rpc_object(dn, e) for dn, e in self._vdirs('RpcHttp', s)]

    def disable_outlookanywhere(self, cmdlet, values):
        if values.get('Identity'):
            dn, _ = self.find_vdirs(cmdlet, 'RpcHttp', values['Identity'])[0]
        else:
            s = self.find_server(cmdlet, values['Server']) if values.get('Server') else self.server
            rows = self._vdirs('RpcHttp', s)
            if not rows:
                raise self._missing(cmdlet, f'{s.name}\\{OBJECT_NAME_RPC}')
            dn = rows[0][0]
        if values.get('WhatIf'):
            self.warnings.append(f'What if: {cmdlet.name} on "{self._owner(dn).name}".')
        else:
            self.write(lambda: self.directory.delete(dn))
        return []

    # ---- servers

    def get_exchangeserver(self, cmdlet, values):
        servers = [self.find_server(cmdlet, values['Identity'])] if values.get('Identity') else org.SERVERS
        roles = {org.MAILBOX: 'Mailbox', org.CLIENT_ACCESS: 'ClientAccess', org.UNIFIED_MESSAGING: 'UnifiedMessaging', org.HUB: 'HubTransport'}
        return [{'Name': s.name, 'Fqdn': s.fqdn, 'ServerRole': [n for f, n in roles.items() if s.roles & f] or ['ClientAccess'],
                 'Site': f'contoso.lab/Configuration/Sites/{s.site}', 'AdminDisplayVersion': 'Version {}.{} (Build {}.{})'.format(*s.version),
                 'Edition': 'Enterprise', 'IsClientAccessServer': s.front_end, 'IsMailboxServer': bool(s.roles & org.MAILBOX),
                 'DistinguishedName': server_dn(s.name), 'ExchangeLegacyDN': server_legacy_dn(s.name), 'Identity': s.name, 'IsValid': True}
                for s in servers]

    def _scp(self, s):
        return f'CN={s.name},CN=Autodiscover,CN=Protocols,{server_dn(s.name)}'

    def _client_access_server(self, cmdlet, identity):
        s = self.find_server(cmdlet, identity)
        if not s.front_end:
            raise self._missing(cmdlet, identity)
        return s

    def get_clientaccessserver(self, cmdlet, values):
        servers = [self._client_access_server(cmdlet, values['Identity'])] if values.get('Identity') else [s for s in org.SERVERS if s.front_end]
        out = []
        for s in servers:
            scp = self.directory.get(self._scp(s))
            out.append({'Name': s.name, 'Fqdn': s.fqdn, 'OutlookAnywhereEnabled': bool(self._vdirs('RpcHttp', s)),
                        'AutoDiscoverServiceCN': s.name, 'AutoDiscoverServiceInternalUri': text(scp, 'serviceBindingInformation'),
                        'AutoDiscoverSiteScope': [k.decode()[5:] for k in scp.get('keywords', []) if k.startswith(b'Site=')],
                        'Identity': s.name, 'IsValid': True})
        return out

    def set_clientaccessserver(self, cmdlet, values):
        s = self._client_access_server(cmdlet, values['Identity'])
        entry = self.directory.get(self._scp(s))
        changes = {}
        if 'AutoDiscoverServiceInternalUri' in values:
            changes['serviceBindingInformation'] = values['AutoDiscoverServiceInternalUri'] or None
        if 'AutoDiscoverSiteScope' in values:
            changes['keywords'] = [k.decode() for k in entry.get('keywords', []) if not k.startswith(b'Site=')] + \
                [f'Site={x}' for x in values['AutoDiscoverSiteScope']]
        if not self._set(self._scp(s), entry, changes, s.name, values):
            self._unchanged(s.name)
        return []

    def _rca(self, s):
        return f'CN=RpcClientAccess,CN=Protocols,{server_dn(s.name)}'

    def _rca_entry(self, cmdlet, s):
        try:
            return self.directory.get(self._rca(s))
        except NoSuchObject:
            raise self._missing(cmdlet, s.name) from None

    def get_rpcclientaccess(self, cmdlet, values):
        servers = [self.find_server(cmdlet, values['Server'])] if values.get('Server') else [s for s in org.SERVERS if s.web and s.generation >= 2010]
        out = []
        for s in servers:
            entry = self._rca_entry(cmdlet, s)
            out.append({'Server': s.name, 'MaximumConnections': number(entry, 'msExchMaxIncomingConnections', 65536),
                        'EncryptionRequired': text(entry, 'msExchEncryptionRequired', 'FALSE') == 'TRUE',
                        'BlockedClientVersions': text(entry, 'msExchBlockedClientVersions'), 'Name': 'RpcClientAccess', 'Identity': s.name, 'IsValid': True})
        return out

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
        if not self._set(self._rca(s), entry, changes, s.name, values):
            self._unchanged(s.name)
        return []


def drop_connection():
    """Ends the SSH session that runs us, without a word: what a cable does."""
    import signal
    pid = os.getpid()
    while pid > 1:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as f:
            stat = f.read()
        name, parent = stat[stat.index('(') + 1:stat.rindex(')')], int(stat.rpartition(')')[2].split()[1])
        if name.startswith('sshd'):
            os.kill(pid, signal.SIGKILL)
            break
        pid = parent
    os._exit(1)


assert METHODS[2013]
