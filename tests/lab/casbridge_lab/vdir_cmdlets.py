"""The cmdlets of virtual directories, Outlook Anywhere's among them. IIS follows as it does in life
(iis.py).
"""
import json
import os
import re
import uuid

from . import org
from .directory import number, text
from .layout import DC_FQDN
from .ldapdata import rpc_vdir
from .naming import OBJECT_NAME_RPC, server_dn
from .psshell import ShellBase, flag_names, flag_sum, invalid, object_version_text
from .pserror import CmdletError

SWITCHES = {
    'BasicAuthentication': org.BASIC,
    'DigestAuthentication': org.DIGEST,
    'WindowsAuthentication': org.WINDOWS,
    'FormsAuthentication': org.FBA,
    'WSSecurityAuthentication': org.WSSECURITY,
    'OAuthAuthentication': org.OAUTH,
    'CertificateAuthentication': org.CERTIFICATE,
    'BasicAuthEnabled': org.BASIC,
    'WindowsAuthEnabled': org.WINDOWS,
}
EXTENDED = ('ExtendedProtectionTokenChecking', 'ExtendedProtectionFlags', 'ExtendedProtectionSPNList')
IIS_OA_METHODS = {2007: ('Basic', 'Ntlm'), 2010: ('Basic', 'Ntlm'), 2013: ('Basic', 'Ntlm', 'Negotiate')}


class VdirCmdlets(ShellBase):
    def set_vdir(self, cmdlet, kind, values):
        identity = values['Identity']
        rows = self.find_vdirs(cmdlet, kind, identity)
        if len(rows) > 1:
            raise CmdletError(
                f"The operation couldn't be performed because '{identity}' matches multiple entries.",
                'A0B2F11,Microsoft.Exchange.Management',
                'InvalidData',
                exception='ManagementObjectAmbiguousException',
            )
        dn, entry = rows[0]
        self.must_be_writable(dn, entry)
        shown = f'{self.owner(dn).name}\\{text(entry, "cn")}'
        changes = (
            self._rpc_changes(cmdlet, values, entry)
            if kind == 'RpcHttp'
            else self._vdir_changes(values, entry)
        )
        changed = self.set_attributes(dn, entry, changes, shown, values)
        changed = self._set_extended(shown, values) or changed
        if values.get('WhatIf'):
            self.warnings.append(f'What if: {cmdlet.name} on "{shown}".')
        elif not changed:
            self.unchanged(shown)
        elif kind != 'RpcHttp':
            self.tell_iis()
        return []

    def _vdir_changes(self, values, entry):
        changes = {}
        for name, attribute in (
            ('InternalUrl', 'msExchInternalHostName'),
            ('ExternalUrl', 'msExchExternalHostName'),
            ('InternalNLBBypassUrl', 'msExchInternalNLBBypassHostName'),
        ):
            if name in values:
                changes[attribute] = values[name] or None
        flags = before = number(entry, 'msExchInternalAuthenticationMethods', 0)
        for name, flag in SWITCHES.items():
            if name in values:
                flags = flags | flag if values[name] else flags & ~flag
        if values.get('FormsAuthentication'):
            flags = (flags | org.BASIC) & ~(
                org.DIGEST if values.get('WindowsAuthentication') else org.DIGEST | org.WINDOWS
            )
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
            raise invalid(
                f'The IISAuthenticationMethods parameter takes {", ".join(allowed)}, at least one of them.',
                '7D0A4C31',
                cmdlet.name,
            )
        return flag_sum(methods)

    def _rpc_changes(self, cmdlet, values, entry):
        generation = self.server.generation
        changes = {}
        client = values.get('ClientAuthenticationMethod') or values.get('ExternalClientAuthenticationMethod')
        default = values.get('DefaultAuthenticationMethod')
        others = [
            n
            for n in (
                'ClientAuthenticationMethod',
                'ExternalClientAuthenticationMethod',
                'InternalClientAuthenticationMethod',
                'IISAuthenticationMethods',
            )
            if n in values
        ]
        if default and others:
            raise invalid(
                f'The DefaultAuthenticationMethod parameter cannot be used together with {others[0]}.',
                '19DAF0BC',
                cmdlet.name,
            )
        for name in (client, default):
            if name and name not in IIS_OA_METHODS[generation]:
                raise invalid(
                    f"The authentication method '{name}' is not one that Outlook Anywhere clients can use.",
                    '5D31FC12',
                    cmdlet.name,
                )
        if client or default:
            changes['msExchExternalAuthenticationMethods'] = org.METHOD_FLAGS[client or default]
        if default:
            changes['msExchInternalAuthenticationMethods'] = org.METHOD_FLAGS[default]
        if 'IISAuthenticationMethods' in values:
            changes['msExchInternalAuthenticationMethods'] = self._iis_methods(cmdlet, values, generation)
        if 'InternalClientAuthenticationMethod' in values or (default and generation >= 2013):
            changes['msExchManagementSettings'] = org.METHOD_ORDINALS[
                values.get('InternalClientAuthenticationMethod') or default
            ]
        if 'SSLOffloading' in values:
            before = number(entry, 'msExchRpcHttpFlags', 0)
            changes['msExchRpcHttpFlags'] = (
                before | org.SSL_OFFLOADING if values['SSLOffloading'] else before & ~org.SSL_OFFLOADING
            )
        for side in ('External', 'Internal'):
            changes.update(self._host_change(cmdlet, values, entry, side))
        return changes

    def _host_change(self, cmdlet, values, entry, side):
        attribute = f'msExch{side}HostName'
        host, tls = values.get(f'{side}Hostname'), values.get(f'{side}ClientsRequireSsl')
        given = f'{side}Hostname' in values
        if self.server.generation >= 2013 and given and host:
            needed = [f'{side}ClientsRequireSsl'] + (
                ['ExternalClientAuthenticationMethod'] if side == 'External' else []
            )
            absent = [
                n
                for n in needed
                if n not in values and not (n.endswith('Method') and 'DefaultAuthenticationMethod' in values)
            ]
            if absent:
                raise invalid(
                    f'When you specify {side}Hostname you must also specify {" and ".join(absent)}.',
                    '8B0F6C2A',
                    cmdlet.name,
                )
        if given:
            return {attribute: f'{"http" if tls is False else "https"}://{host}/rpc' if host else None}
        if tls is not None and text(entry, attribute):
            return {
                attribute: ('https' if tls else 'http') + '://' + text(entry, attribute).partition('://')[2]
            }
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

    def get_vdir(self, cmdlet, kind, values):
        if values.get('Identity'):
            rows = self.find_vdirs(cmdlet, kind, values['Identity'])
        else:
            s = self.find_server(cmdlet, values['Server']) if values.get('Server') else None
            rows = [
                r
                for r in self.vdirs(kind, s)
                if org.BACK not in r[0] or values.get('ShowMailboxVirtualDirectories')
            ]
        return [self._rpc_object(dn, e) if kind == 'RpcHttp' else self._vdir_object(dn, e) for dn, e in rows]

    def _tail(self, dn, entry, s):
        name = text(entry, 'cn')
        return {
            'MetabasePath': text(entry, 'msExchMetabasePath'),
            'Server': s.name,
            'AdminDisplayVersion': 'Version {}.{} (Build {}.{})'.format(*s.version),
            'ExchangeVersion': object_version_text(number(entry, 'msExchVersion')),
            'Name': name,
            'DistinguishedName': dn,
            'Identity': f'{s.name}\\{name}',
            'Guid': str(uuid.UUID(bytes_le=entry['objectGUID'][0])),
            'WhenChanged': text(entry, 'whenChanged'),
            'OriginatingServer': DC_FQDN,
            'IsValid': True,
        }

    def _extended_of(self, s, entry):
        mine = self._extended().get(f'{s.name}\\{text(entry, "cn")}'.lower(), {})
        return (
            {}
            if s.generation == 2007
            else {
                EXTENDED[0]: mine.get(EXTENDED[0], 'None'),
                EXTENDED[1]: mine.get(EXTENDED[1], []),
                EXTENDED[2]: mine.get(EXTENDED[2], []),
            }
        )

    def _rpc_object(self, dn, entry):
        s = self.owner(dn)
        client = next(
            iter(flag_names(number(entry, 'msExchExternalAuthenticationMethods', 0))), 'Misconfigured'
        )
        iis = flag_names(
            number(entry, 'msExchInternalAuthenticationMethods', 0) or (8195 if s.generation >= 2013 else 0)
        )
        external, internal = text(entry, 'msExchExternalHostName', ''), text(
            entry, 'msExchInternalHostName', ''
        )
        host = re.compile(r'(?:https?://)?([^/]*)')
        out = {
            'ServerName': s.name,
            'SSLOffloading': bool(number(entry, 'msExchRpcHttpFlags', 0) & org.SSL_OFFLOADING),
            'ExternalHostname': host.match(external)[1] or None,
        }
        if s.generation >= 2013:
            order = list(org.METHOD_ORDINALS)
            out.update(
                InternalHostname=host.match(internal)[1] or None,
                ExternalClientAuthenticationMethod=client,
                InternalClientAuthenticationMethod=order[number(entry, 'msExchManagementSettings', 2)],
                IISAuthenticationMethods=iis,
                ExternalClientsRequireSsl=external.startswith('https:'),
                InternalClientsRequireSsl=internal.startswith('https:'),
            )
        else:
            out.update(ClientAuthenticationMethod=client, IISAuthenticationMethods=iis)
        return {**out, **self._extended_of(s, entry), **self._tail(dn, entry, s)}

    def _vdir_object(self, dn, entry):
        s = self.owner(dn)
        internal = number(entry, 'msExchInternalAuthenticationMethods', 0)
        out = {
            'InternalAuthenticationMethods': flag_names(internal),
            'BasicAuthentication': bool(internal & org.BASIC),
            'WindowsAuthentication': bool(internal & (org.WINDOWS | org.NTLM)),
            'FormsAuthentication': bool(internal & org.FBA),
            'InternalUrl': text(entry, 'msExchInternalHostName'),
            'ExternalUrl': text(entry, 'msExchExternalHostName'),
            'ExternalAuthenticationMethods': flag_names(
                number(entry, 'msExchExternalAuthenticationMethods', 0)
            ),
        }
        return {**out, **self._extended_of(s, entry), **self._tail(dn, entry, s)}

    # ---- Outlook Anywhere on and off

    def enable_outlookanywhere(self, cmdlet, values):
        s = self.find_server(cmdlet, values['Server']) if values.get('Server') else self.server
        if not s.front_end or s.generation >= 2013:
            raise invalid(
                f"The server '{s.name}' is not a Client Access server of this version.",
                '2F64F3C5',
                cmdlet.name,
                s.name,
            )
        if self.vdirs('RpcHttp', s):
            raise invalid(
                f"The virtual directory 'Rpc' already exists under '{s.fqdn}/Default Web Site'.\nParameter "
                "name: VirtualDirectoryName",
                '3E5C5D77',
                cmdlet.name,
                s.name,
            )
        client, default = values.get('ClientAuthenticationMethod'), values.get('DefaultAuthenticationMethod')
        if bool(client) == bool(default) or (default and 'IISAuthenticationMethods' in values):
            raise CmdletError(
                'Parameter set cannot be resolved using the specified named parameters.',
                f'AmbiguousParameterSet,{cmdlet.name}',
                'InvalidArgument',
                exception='ParameterBindingException',
            )
        if (client or default) not in IIS_OA_METHODS[s.generation]:
            raise invalid(
                f"The authentication method '{client or default}' is not one that Outlook Anywhere clients "
                "can use.",
                '5D31FC12',
                cmdlet.name,
            )
        iis = (
            self._iis_methods(cmdlet, values, s.generation)
            if 'IISAuthenticationMethods' in values
            else org.METHOD_FLAGS[default]
            if default
            else org.BASIC | org.NTLM
        )
        dn = f'CN={OBJECT_NAME_RPC},CN=HTTP,CN=Protocols,{server_dn(s.name)}'
        attributes = rpc_vdir(
            s,
            f'https://{values["ExternalHostname"]}/rpc',
            org.METHOD_FLAGS[client or default],
            iis,
            ssl_offloading=values['SSLOffloading'],
        )
        if values.get('WhatIf'):
            self.warnings.append(f'What if: {cmdlet.name} on "{s.name}".')
            return []
        self.write(
            lambda: self.directory.add(
                dn, ['top', 'msExchVirtualDirectory', 'msExchRpcHttpVirtualDirectory'], attributes
            )
        )
        self._set_extended(f'{s.name}\\{OBJECT_NAME_RPC}', values)
        self.warnings.append(
            'Outlook Anywhere is enabled. It may take up to an hour before clients can use it.'
        )
        return [self._rpc_object(dn, e) for dn, e in self.vdirs('RpcHttp', s)]

    def disable_outlookanywhere(self, cmdlet, values):
        if values.get('Identity'):
            dn, _ = self.find_vdirs(cmdlet, 'RpcHttp', values['Identity'])[0]
        else:
            s = self.find_server(cmdlet, values['Server']) if values.get('Server') else self.server
            rows = self.vdirs('RpcHttp', s)
            if not rows:
                raise self.missing(cmdlet, f'{s.name}\\{OBJECT_NAME_RPC}')
            dn = rows[0][0]
        if values.get('WhatIf'):
            self.warnings.append(f'What if: {cmdlet.name} on "{self.owner(dn).name}".')
        else:
            self.write(lambda: self.directory.delete(dn))
        return []
